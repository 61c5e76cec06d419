/*
 * state.c - cpu_state_fields: the architectural state as a table for snapshots, lockstep and the monitor.
 */
#include "cpu/state.h"

static const struct field segment_fields[] = {
    FIELD(struct segment, selector),
    FIELD(struct segment, base),
    FIELD(struct segment, limit),
    FIELD(struct segment, attr),
    FIELD_END,
};

static const struct field table_reg_fields[] = {
    FIELD(struct table_reg, base),
    FIELD(struct table_reg, limit),
    FIELD_END,
};

static const struct field f80_fields[] = {
    FIELD(struct f80, mantissa),
    FIELD(struct f80, exponent),
    FIELD_END,
};

static const struct field zmm_fields[] = {
    FIELD_ARRAY(union zmm, u64),
    FIELD_END,
};

const struct field cpu_state_fields[] = {
    FIELD_ARRAY(struct cpu_state, gpr),
    FIELD(struct cpu_state, rip),
    FIELD(struct cpu_state, rflags),
    FIELD_STRUCTS(struct cpu_state, seg, segment_fields),
    FIELD_STRUCT(struct cpu_state, ldtr, segment_fields),
    FIELD_STRUCT(struct cpu_state, tr, segment_fields),
    FIELD_STRUCT(struct cpu_state, gdtr, table_reg_fields),
    FIELD_STRUCT(struct cpu_state, idtr, table_reg_fields),
    FIELD(struct cpu_state, cpl),
    FIELD(struct cpu_state, cr0),
    FIELD(struct cpu_state, cr2),
    FIELD(struct cpu_state, cr3),
    FIELD(struct cpu_state, cr4),
    FIELD(struct cpu_state, xcr0),
    FIELD_ARRAY(struct cpu_state, dr),
    FIELD(struct cpu_state, efer),
    FIELD_ARRAY(struct cpu_state, pdpte),
    FIELD(struct cpu_state, star),
    FIELD(struct cpu_state, lstar),
    FIELD(struct cpu_state, cstar),
    FIELD(struct cpu_state, sfmask),
    FIELD(struct cpu_state, kernel_gs_base),
    FIELD(struct cpu_state, sysenter_cs),
    FIELD(struct cpu_state, sysenter_esp),
    FIELD(struct cpu_state, sysenter_eip),
    FIELD(struct cpu_state, pat),
    FIELD(struct cpu_state, tsc_offset),
    FIELD(struct cpu_state, tsc_adjust),
    FIELD(struct cpu_state, tsc_aux),
    FIELD(struct cpu_state, misc_enable),
    FIELD(struct cpu_state, spec_ctrl),
    FIELD(struct cpu_state, mtrr_def_type),
    FIELD_ARRAY(struct cpu_state, mtrr_fixed),
    FIELD_ARRAY(struct cpu_state, mtrr_base),
    FIELD_ARRAY(struct cpu_state, mtrr_mask),
    FIELD(struct cpu_state, mcg_status),
    FIELD_ARRAY(struct cpu_state, mc_ctl),
    FIELD_ARRAY(struct cpu_state, mc_addr),
    FIELD(struct cpu_state, xss),
    FIELD(struct cpu_state, pkru),
    FIELD_STRUCTS(struct cpu_state, st, f80_fields),
    FIELD(struct cpu_state, fcw),
    FIELD(struct cpu_state, fsw),
    FIELD(struct cpu_state, fptag),
    FIELD(struct cpu_state, fop),
    FIELD(struct cpu_state, fip),
    FIELD(struct cpu_state, fdp),
    FIELD(struct cpu_state, fcs),
    FIELD(struct cpu_state, fds),
    FIELD(struct cpu_state, mxcsr),
    FIELD_STRUCTS(struct cpu_state, zmm, zmm_fields),
    FIELD_ARRAY(struct cpu_state, opmask),
    FIELD(struct cpu_state, activity),
    FIELD(struct cpu_state, shadow),
    FIELD(struct cpu_state, nmi_blocked),
    FIELD(struct cpu_state, nmi_pending),
    FIELD(struct cpu_state, init_pending),
    FIELD(struct cpu_state, smi_pending),
    FIELD(struct cpu_state, sipi_pending),
    FIELD(struct cpu_state, sipi_vector),
    FIELD(struct cpu_state, event_pending),
    FIELD(struct cpu_state, event_vector),
    FIELD(struct cpu_state, event_type),
    FIELD(struct cpu_state, event_has_error),
    FIELD(struct cpu_state, event_error),
    FIELD(struct cpu_state, pending_debug),
    FIELD_END,
};
