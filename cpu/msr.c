/*
 * msr.c - the model-specific registers: SDM 4, AMD APM 2 appendix A.
 *
 * A register is a row of state_rows[] (a word of the state, with a rule for what may be written), of
 * call_rows[] (a function reads or writes it) or of fixed_rows[] (reads as a constant, writes vanish), or it
 * belongs to one of three ranges: x2APIC, variable MTRRs, machine-check banks. Whatever is none of these
 * raises #GP(0), and the log hears of it at level guest.
 */
#include "cpu/interp/access.h"
#include "cpu/system.h"
#include "cpu/xsave.h"

enum {
    MSR_TSC = 0x10,
    MSR_KVM_WALL_CLOCK_OLD = 0x11,
    MSR_KVM_SYSTEM_TIME_OLD = 0x12,
    MSR_APIC_BASE = 0x1b,
    MSR_TSC_ADJUST = 0x3b,
    MSR_MTRRCAP = 0xfe,
    MSR_SYSENTER_CS = 0x174,
    MSR_SYSENTER_ESP = 0x175,
    MSR_SYSENTER_EIP = 0x176,
    MSR_MCG_CAP = 0x179,
    MSR_MCG_STATUS = 0x17a,
    MSR_DEBUGCTL = 0x1d9,
    MSR_MISC_ENABLE = 0x1a0,
    MSR_MTRR_BASE0 = 0x200, /* base and mask by turns, eight pairs */
    MSR_MTRR_MASK7 = 0x20f,
    MSR_MTRR_FIX64K = 0x250,
    MSR_MTRR_FIX16K = 0x258, /* two */
    MSR_MTRR_FIX4K = 0x268,  /* eight */
    MSR_PAT = 0x277,
    MSR_MTRR_DEF_TYPE = 0x2ff,
    MSR_MC0_CTL = 0x400, /* CTL, STATUS, ADDR, MISC of each bank */
    MSR_TSC_DEADLINE = 0x6e0,
    MSR_X2APIC = 0x800, /* to 0x8ff */
    MSR_XSS = 0xda0,
};

#define MSR_KVM_WALL_CLOCK  0x4b564d00u
#define MSR_KVM_SYSTEM_TIME 0x4b564d01u
#define MSR_EFER           0xc0000080u
#define MSR_STAR           0xc0000081u
#define MSR_LSTAR          0xc0000082u
#define MSR_CSTAR          0xc0000083u
#define MSR_SFMASK         0xc0000084u
#define MSR_FS_BASE        0xc0000100u
#define MSR_GS_BASE        0xc0000101u
#define MSR_KERNEL_GS_BASE 0xc0000102u
#define MSR_TSC_AUX        0xc0000103u
#define MSR_PERF_CTL0      0xc0010000u /* four, then four PERF_CTR */

#define APIC_BASE_X2APIC         (1u << 10) /* EXTD */
#define MTRR_COUNT               8u
#define MTRRCAP_VALUE            (MTRR_COUNT | 1u << 8 | 1u << 10) /* fixed ranges, write combining */
#define MTRR_DEF_VALID           0xcffu                            /* E, FE, type */
#define MTRR_BASE_VALID          0xffu /* type; the address bits come by phys_bits() */
#define MTRR_MASK_VALID          0x800u
#define MCG_STATUS_VALID         7u
#define MISC_ENABLE_FAST_STRINGS 1u

/* --- Registers that are a word of the state ---------------------------------------------------------------
 */

enum rule {
    RULE_ANY,
    RULE_CANONICAL, /* else #GP(0) */
    RULE_32,        /* bits 63:32 are reserved */
    RULE_LOW32,     /* bits 63:32 are dropped */
    RULE_MTRR_TYPE, /* eight memory types */
    RULE_PAT_TYPE,
    RULE_MTRR_DEFAULT,
    RULE_MCG_STATUS,
    RULE_MISC_ENABLE, /* one bit can be changed */
    RULE_XSS,         /* components of the supervisor's state */
};

static const struct state_row {
    uint32_t index;
    enum cpu_feature feature;
    uint16_t offset;
    uint8_t rule;
} state_rows[] = {
#define ROW(index, feature, member, rule)                                                                    \
    {                                                                                                        \
        index, F_##feature, offsetof(struct cpu, s.member), rule                                             \
    }
    ROW(MSR_SYSENTER_CS, SEP, sysenter_cs, RULE_LOW32),
    ROW(MSR_SYSENTER_ESP, SEP, sysenter_esp, RULE_CANONICAL),
    ROW(MSR_SYSENTER_EIP, SEP, sysenter_eip, RULE_CANONICAL),
    ROW(MSR_PAT, PAT, pat, RULE_PAT_TYPE),
    ROW(MSR_STAR, SYSCALL, star, RULE_ANY),
    ROW(MSR_LSTAR, SYSCALL, lstar, RULE_CANONICAL),
    ROW(MSR_CSTAR, SYSCALL, cstar, RULE_CANONICAL),
    ROW(MSR_SFMASK, SYSCALL, sfmask, RULE_32),
    ROW(MSR_FS_BASE, LM, seg[FS].base, RULE_CANONICAL),
    ROW(MSR_GS_BASE, LM, seg[GS].base, RULE_CANONICAL),
    ROW(MSR_KERNEL_GS_BASE, LM, kernel_gs_base, RULE_CANONICAL),
    ROW(MSR_TSC_AUX, RDTSCP, tsc_aux, RULE_32),
    ROW(MSR_MTRR_FIX64K, MTRR, mtrr_fixed[0], RULE_MTRR_TYPE),
    ROW(MSR_MTRR_FIX16K, MTRR, mtrr_fixed[1], RULE_MTRR_TYPE),
    ROW(MSR_MTRR_FIX16K + 1, MTRR, mtrr_fixed[2], RULE_MTRR_TYPE),
    ROW(MSR_MTRR_FIX4K, MTRR, mtrr_fixed[3], RULE_MTRR_TYPE),
    ROW(MSR_MTRR_FIX4K + 1, MTRR, mtrr_fixed[4], RULE_MTRR_TYPE),
    ROW(MSR_MTRR_FIX4K + 2, MTRR, mtrr_fixed[5], RULE_MTRR_TYPE),
    ROW(MSR_MTRR_FIX4K + 3, MTRR, mtrr_fixed[6], RULE_MTRR_TYPE),
    ROW(MSR_MTRR_FIX4K + 4, MTRR, mtrr_fixed[7], RULE_MTRR_TYPE),
    ROW(MSR_MTRR_FIX4K + 5, MTRR, mtrr_fixed[8], RULE_MTRR_TYPE),
    ROW(MSR_MTRR_FIX4K + 6, MTRR, mtrr_fixed[9], RULE_MTRR_TYPE),
    ROW(MSR_MTRR_FIX4K + 7, MTRR, mtrr_fixed[10], RULE_MTRR_TYPE),
    ROW(MSR_MTRR_DEF_TYPE, MTRR, mtrr_def_type, RULE_MTRR_DEFAULT),
    ROW(MSR_MCG_STATUS, MCA, mcg_status, RULE_MCG_STATUS),
    ROW(MSR_MISC_ENABLE, BASE, misc_enable, RULE_MISC_ENABLE),
    ROW(MSR_XSS, XSAVES, xss, RULE_XSS),
#undef ROW
};

/*
 * Registers of AMD's families 0x10 to 0x19 that firmware and kernels look at whatever CPUID says. Nothing in
 * this processor depends on them: they read as a chip's would whose errata are all fixed, and writes vanish.
 */
static const struct fixed_row {
    uint32_t index;
    uint64_t value;
} fixed_rows[] = {
    {0x00000017, 0},          /* PLATFORM_ID */
    {0x0000002a, 0},          /* EBL_CR_POWERON */
    {0x0000008b, 0x0a0011ff}, /* PATCH_LEVEL: of the microcode */
    {0x000001db, 0},          /* last branch from, to; last exception from, to */
    {0x000001dc, 0},          {0x000001dd, 0},
    {0x000001de, 0},          {0xc0010010, 0}, /* SYSCFG: nothing enabled, MtrrFixDramModEn least of all */
    {0xc0010015, 1u << 24},                    /* HWCR: TscFreqSel, the TSC counts at P0's frequency */
    {0xc0010016, 0},                           /* IORRBase0, IORRMask0, IORRBase1, IORRMask1 */
    {0xc0010017, 0},          {0xc0010018, 0},
    {0xc0010019, 0},          {0xc001001a, 0}, /* TOP_MEM, TOP_MEM2 */
    {0xc001001d, 0},          {0xc001001f, 0}, /* NB_CFG */
    {0xc0010055, 0},                           /* INT_PENDING: no C1E */
    {0xc0010058, 0},                           /* MMIO_CONF_BASE: none */
    {0xc0010140, 0},                           /* OSVW_ID_LENGTH, OSVW_STATUS */
    {0xc0010141, 0},          {0xc0011020, 0}, /* LS_CFG, IC_CFG, DC_CFG, BU_CFG */
    {0xc0011021, 0},          {0xc0011022, 0},
    {0xc0011023, 0},          {0xc0011029, 1u << 1}, /* DE_CFG: LFENCE is serialising */
    {0xc001102a, 0},                                 /* BU_CFG2 */
};

/* Memory types (SDM 3A 12.3): UC 0, WC 1, WT 4, WP 5, WB 6; the PAT knows UC- as 7. */
static bool mtrr_type(unsigned type)
{
    return type < 8 && (1u << type & 0x73);
}

static bool eight_types(uint64_t value, unsigned allowed)
{
    for (unsigned n = 0; n < 8; n++) {
        unsigned type = value >> 8 * n & 0xff;

        if (type > 7 || !(1u << type & allowed))
            return false;
    }
    return true;
}

static bool rule_holds(const struct cpu *cpu, unsigned rule, uint64_t value)
{
    switch (rule) {
    case RULE_CANONICAL:
        return canonical_value(cpu, value);
    case RULE_32:
        return value >> 32 == 0;
    case RULE_MTRR_TYPE:
        return eight_types(value, 0x73);
    case RULE_PAT_TYPE:
        return eight_types(value, 0xf3);
    case RULE_MTRR_DEFAULT:
        return !(value & ~(uint64_t)MTRR_DEF_VALID) && mtrr_type(value & 0xff);
    case RULE_XSS:
        return !(value & ~xsave_supervisor_components(cpu));
    case RULE_MCG_STATUS:
        return !(value & ~(uint64_t)MCG_STATUS_VALID);
    default:
        return true;
    }
}

static const struct state_row *find_state(const struct cpu *cpu, uint32_t index)
{
    for (unsigned n = 0; n < sizeof(state_rows) / sizeof(state_rows[0]); n++)
        if (state_rows[n].index == index)
            return has_feature(cpu, state_rows[n].feature) ? &state_rows[n] : NULL;
    return NULL;
}

static uint64_t read_state(const struct cpu *cpu, const struct state_row *row)
{
    return get64(cpu, row->offset);
}

static bool write_state(struct cpu *cpu, const struct state_row *row, uint64_t value)
{
    uint64_t old = read_state(cpu, row);

    if (!rule_holds(cpu, row->rule, value))
        return false;
    if (row->rule == RULE_LOW32)
        value = (uint32_t)value;
    else if (row->rule == RULE_MISC_ENABLE) /* the other bits say what this processor has, and stay */
        value = (old & ~(uint64_t)MISC_ENABLE_FAST_STRINGS) | (value & MISC_ENABLE_FAST_STRINGS);
    set64(cpu, row->offset, value);
    return true;
}

/* --- MTRRs ------------------------------------------------------------------------------------------------
 */

static uint64_t read_mtrr_variable(const struct cpu *cpu, uint32_t index)
{
    unsigned n = (index - MSR_MTRR_BASE0) / 2;

    return index & 1 ? cpu->s.mtrr_mask[n] : cpu->s.mtrr_base[n];
}

static bool write_mtrr_variable(struct cpu *cpu, uint32_t index, uint64_t value)
{
    unsigned n = (index - MSR_MTRR_BASE0) / 2;
    uint64_t address = ((1ull << phys_bits(cpu)) - 1) & ~0xfffull;

    if (index & 1) {
        if (value & ~(address | MTRR_MASK_VALID))
            return false;
        cpu->s.mtrr_mask[n] = value;
    } else {
        if (value & ~(address | MTRR_BASE_VALID) || !mtrr_type(value & 0xff))
            return false;
        cpu->s.mtrr_base[n] = value;
    }
    return true;
}

static bool is_mtrr_variable(const struct cpu *cpu, uint32_t index)
{
    return has_feature(cpu, F_MTRR) && index >= MSR_MTRR_BASE0 && index <= MSR_MTRR_MASK7;
}

/* --- The interrupt controller's ---------------------------------------------------------------------------
 */

static bool read_x2apic(struct cpu *cpu, uint32_t index, uint64_t *value)
{
    bool ok = false;

    if (cpu->intc.ops && cpu->intc.ops->read_msr) {
        lock_machine(cpu);
        ok = cpu->intc.ops->read_msr(cpu->intc.opaque, index, value);
        unlock_machine(cpu);
    }
    return ok;
}

static bool write_x2apic(struct cpu *cpu, uint32_t index, uint64_t value)
{
    bool ok = false;

    if (cpu->intc.ops && cpu->intc.ops->write_msr) {
        lock_machine(cpu);
        ok = cpu->intc.ops->write_msr(cpu->intc.opaque, index, value);
        unlock_machine(cpu);
    }
    return ok;
}

static bool is_x2apic(const struct cpu *cpu, uint32_t index)
{
    return index >> 8 == MSR_X2APIC >> 8 && has_feature(cpu, F_X2APIC);
}

static bool write_apic_base(struct cpu *cpu, uint64_t value)
{
    bool ok = false;

    if (value & APIC_BASE_X2APIC && !has_feature(cpu, F_X2APIC))
        return false;
    if (cpu->intc.ops && cpu->intc.ops->set_base && !(value >> phys_bits(cpu))) {
        lock_machine(cpu);
        ok = cpu->intc.ops->set_base(cpu->intc.opaque, value);
        unlock_machine(cpu);
    }
    return ok;
}

static uint64_t read_deadline(struct cpu *cpu)
{
    uint64_t raw = 0;

    if (cpu->intc.ops && cpu->intc.ops->get_tsc_deadline) {
        lock_machine(cpu);
        raw = cpu->intc.ops->get_tsc_deadline(cpu->intc.opaque);
        unlock_machine(cpu);
    }
    return raw;
}

/* Clock time at which the guest's TSC gets to `raw`; the present when it has passed it. */
static uint64_t deadline_to_ns(struct cpu *cpu, uint64_t raw)
{
    uint64_t now = clock_now(cpu->clock);
    uint64_t ticks = clock_ns_to_ticks(now, cpu->tsc_hz);
    uint64_t tsc = ticks + cpu->s.tsc_offset;

    if (raw <= tsc)
        return now ? now : 1; /* 0 would mean disarmed */
    if (raw - tsc > UINT64_MAX - ticks)
        return CLOCK_NEVER;
    return clock_ticks_to_ns(ticks + (raw - tsc), cpu->tsc_hz);
}

static bool write_deadline(struct cpu *cpu, uint64_t raw)
{
    if (cpu->intc.ops && cpu->intc.ops->set_tsc_deadline) {
        lock_machine(cpu);
        cpu->intc.ops->set_tsc_deadline(cpu->intc.opaque, raw ? deadline_to_ns(cpu, raw) : 0, raw);
        unlock_machine(cpu);
    }
    return true;
}

/* --- Time -------------------------------------------------------------------------------------------------
 */

/* The TSC jumps: IA32_TSC_ADJUST counts along (SDM 3B 18.17.3), an armed deadline comes nearer or further. */
static bool move_tsc(struct cpu *cpu, uint64_t delta)
{
    uint64_t deadline;

    cpu->s.tsc_offset += delta;
    cpu->s.tsc_adjust += delta;
    if (has_feature(cpu, F_TSC_DEADLINE) && (deadline = read_deadline(cpu)) != 0)
        write_deadline(cpu, deadline);
    cpu_renew_clock(cpu);
    return true;
}

static bool write_tsc(struct cpu *cpu, uint64_t value)
{
    return move_tsc(cpu, value - read_tsc(cpu));
}

static uint64_t read_tsc_adjust(struct cpu *cpu)
{
    return cpu->s.tsc_adjust;
}

static bool write_tsc_adjust(struct cpu *cpu, uint64_t value)
{
    return move_tsc(cpu, value - cpu->s.tsc_adjust);
}

/* --- Modes ------------------------------------------------------------------------------------------------
 */

static uint64_t read_efer(struct cpu *cpu)
{
    return cpu->s.efer;
}

static bool write_efer(struct cpu *cpu, uint64_t value)
{
    uint64_t old = cpu->s.efer, allowed = 0;

    if (has_feature(cpu, F_SYSCALL))
        allowed |= EFER_SCE;
    if (has_feature(cpu, F_LM))
        allowed |= EFER_LME | EFER_LMA;
    if (has_feature(cpu, F_NX))
        allowed |= EFER_NXE;
    if (value & ~allowed)
        return false;
    if ((value ^ old) & EFER_LME && cpu->s.cr0 & CR0_PG)
        return false;
    /* LMA is the processor's: what software writes there is ignored. */
    cpu->s.efer = (value & ~(uint64_t)EFER_LMA) | (old & EFER_LMA);
    if ((value ^ old) & EFER_NXE)
        tlb_flush_all(cpu);
    return true;
}

static uint64_t read_zero(struct cpu *cpu)
{
    (void)cpu;
    return 0;
}

/* DEBUGCTL: no branch is recorded and none traps, so only "all off" can be had. */
static bool write_zero_only(struct cpu *cpu, uint64_t value)
{
    (void)cpu;
    return value == 0;
}

static uint64_t read_mtrrcap(struct cpu *cpu)
{
    (void)cpu;
    return MTRRCAP_VALUE;
}

static uint64_t read_mcg_cap(struct cpu *cpu)
{
    (void)cpu;
    return MC_BANKS;
}

static const struct call_row {
    uint32_t index;
    enum cpu_feature feature;
    uint64_t (*read)(struct cpu *cpu);
    bool (*write)(struct cpu *cpu, uint64_t value); /* false: #GP(0); NULL: read-only */
} call_rows[] = {
    {MSR_TSC, F_TSC, read_tsc, write_tsc},
    {MSR_APIC_BASE, F_APIC, apic_base, write_apic_base},
    {MSR_TSC_ADJUST, F_TSC_ADJUST, read_tsc_adjust, write_tsc_adjust},
    {MSR_MTRRCAP, F_MTRR, read_mtrrcap, NULL},
    {MSR_MCG_CAP, F_MCA, read_mcg_cap, NULL},
    {MSR_DEBUGCTL, F_BASE, read_zero, write_zero_only},
    {MSR_TSC_DEADLINE, F_TSC_DEADLINE, read_deadline, write_deadline},
    {MSR_EFER, F_MSR, read_efer, write_efer},
    {MSR_KVM_WALL_CLOCK_OLD, F_KVMCLOCK, kvmclock_read_wall, kvmclock_write_wall},
    {MSR_KVM_SYSTEM_TIME_OLD, F_KVMCLOCK, kvmclock_read_system, kvmclock_write_system},
    {MSR_KVM_WALL_CLOCK, F_KVMCLOCK, kvmclock_read_wall, kvmclock_write_wall},
    {MSR_KVM_SYSTEM_TIME, F_KVMCLOCK, kvmclock_read_system, kvmclock_write_system},
};

static const struct call_row *find_call(const struct cpu *cpu, uint32_t index)
{
    for (unsigned n = 0; n < sizeof(call_rows) / sizeof(call_rows[0]); n++)
        if (call_rows[n].index == index)
            return has_feature(cpu, call_rows[n].feature) ? &call_rows[n] : NULL;
    return NULL;
}

/* --- Machine checks: banks that never have anything to report ----------------------------------------------
 */

static bool is_mc_bank(const struct cpu *cpu, uint32_t index)
{
    return has_feature(cpu, F_MCA) && index >= MSR_MC0_CTL && index < MSR_MC0_CTL + 4 * MC_BANKS;
}

static uint64_t read_mc_bank(const struct cpu *cpu, uint32_t index)
{
    unsigned bank = (index - MSR_MC0_CTL) / 4;

    return index % 4 == 0 ? cpu->s.mc_ctl[bank] : index % 4 == 2 ? cpu->s.mc_addr[bank] : 0;
}

static bool write_mc_bank(struct cpu *cpu, uint32_t index, uint64_t value)
{
    unsigned bank = (index - MSR_MC0_CTL) / 4;

    if (index % 4 == 0)
        cpu->s.mc_ctl[bank] = value;
    else if (index % 4 == 2)
        cpu->s.mc_addr[bank] = value;
    /* STATUS may only be cleared (SDM 3B 16.3.2.2). MISC is read-only (HWCR.McStatusWrEn is 0). */
    return index % 4 != 1 || value == 0;
}

/* The four performance counters that all of AMD's processors have (APM 2 13.2.1). These never count. */
static bool is_perf_counter(uint32_t index)
{
    return index >= MSR_PERF_CTL0 && index < MSR_PERF_CTL0 + 8;
}

/* --- The two ways in --------------------------------------------------------------------------------------
 */

static const struct fixed_row *find_fixed(uint32_t index)
{
    for (unsigned n = 0; n < sizeof(fixed_rows) / sizeof(fixed_rows[0]); n++)
        if (fixed_rows[n].index == index)
            return &fixed_rows[n];
    return NULL;
}

bool get_msr(struct cpu *cpu, uint32_t index, uint64_t *value)
{
    const struct state_row *state = find_state(cpu, index);
    const struct call_row *call = find_call(cpu, index);
    const struct fixed_row *fixed = find_fixed(index);

    *value = 0;
    if (is_x2apic(cpu, index))
        return read_x2apic(cpu, index, value);
    if (state)
        *value = read_state(cpu, state);
    else if (call)
        *value = call->read(cpu);
    else if (fixed)
        *value = fixed->value;
    else if (is_mtrr_variable(cpu, index))
        *value = read_mtrr_variable(cpu, index);
    else if (is_mc_bank(cpu, index))
        *value = read_mc_bank(cpu, index);
    else
        return is_perf_counter(index);
    return true;
}

bool set_msr(struct cpu *cpu, uint32_t index, uint64_t value)
{
    const struct state_row *state = find_state(cpu, index);
    const struct call_row *call = find_call(cpu, index);

    if (is_x2apic(cpu, index))
        return write_x2apic(cpu, index, value);
    if (state)
        return write_state(cpu, state, value);
    if (call)
        return call->write && call->write(cpu, value);
    if (is_mtrr_variable(cpu, index))
        return write_mtrr_variable(cpu, index, value);
    if (is_mc_bank(cpu, index))
        return write_mc_bank(cpu, index, value);
    return is_perf_counter(index) || find_fixed(index);
}

uint64_t read_msr(struct cpu *cpu, const struct insn *i, uint32_t index)
{
    uint64_t value = 0;

    if (!get_msr(cpu, index, &value)) {
        log_at(cpu->log, LOG_GUEST, "cpu", "RDMSR %#x: no such register here", index);
        gp0(cpu, i);
    }
    return value;
}

void write_msr(struct cpu *cpu, const struct insn *i, uint32_t index, uint64_t value)
{
    if (!set_msr(cpu, index, value)) {
        log_at(cpu->log, LOG_GUEST, "cpu", "WRMSR %#x: no such register here, or it can't be %#llx", index,
               (unsigned long long)value);
        gp0(cpu, i);
    }
}
