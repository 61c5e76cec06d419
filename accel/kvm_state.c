/*
 * kvm_state.c - the processor's state between cpu_state() and the kernel, both ways; see kvm_internal.h.
 *
 * What the kernel has no place for stays in cpu_state() while it runs: machine-check and memory-type
 * registers, FCS and FDS, PKRU and vector registers that this KVM doesn't know.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "accel/kvm_internal.h"

/* --- General registers
 * --------------------------------------------------------------------------------------- */

/* Where struct kvm_regs has them, by their number in encodings. */
static const uint8_t regs_offset[16] = {
#define AT(name) offsetof(struct kvm_regs, name)
    AT(rax), AT(rcx), AT(rdx), AT(rbx), AT(rsp), AT(rbp), AT(rsi), AT(rdi),
    AT(r8),  AT(r9),  AT(r10), AT(r11), AT(r12), AT(r13), AT(r14), AT(r15),
#undef AT
};

static void regs_out(const struct cpu_state *s, struct kvm_regs *regs)
{
    for (unsigned n = 0; n < 16; n++)
        memcpy((uint8_t *)regs + regs_offset[n], &s->gpr[n], 8);
    regs->rip = s->rip;
    regs->rflags = s->rflags;
}

static void regs_in(struct cpu_state *s, const struct kvm_regs *regs)
{
    for (unsigned n = 0; n < 16; n++)
        memcpy(&s->gpr[n], (const uint8_t *)regs + regs_offset[n], 8);
    s->rip = regs->rip;
    s->rflags = regs->rflags;
}

/* --- Segments and control registers
 * ------------------------------------------------------------------------------ */

static void segment_out(const struct segment *from, struct kvm_segment *to)
{
    *to = (struct kvm_segment){
        .base = from->base,
        .limit = from->limit,
        .selector = from->selector,
        .type = from->attr & SEG_TYPE,
        .s = !!(from->attr & SEG_S),
        .dpl = (from->attr & SEG_DPL) >> SEG_DPL_SHIFT,
        .present = !!(from->attr & SEG_P),
        .avl = !!(from->attr & SEG_AVL),
        .l = !!(from->attr & SEG_L),
        .db = !!(from->attr & SEG_DB),
        .g = !!(from->attr & SEG_G),
        .unusable = !!(from->attr & SEG_UNUSABLE),
    };
}

static void segment_in(struct segment *to, const struct kvm_segment *from)
{
    *to = (struct segment){
        .base = from->base,
        .limit = from->limit,
        .selector = from->selector,
        .attr = (from->type & SEG_TYPE) | (from->s ? SEG_S : 0) | (uint32_t)from->dpl << SEG_DPL_SHIFT |
                (from->present ? SEG_P : 0) | (from->avl ? SEG_AVL : 0) | (from->l ? SEG_L : 0) |
                (from->db ? SEG_DB : 0) | (from->g ? SEG_G : 0) | (from->unusable ? SEG_UNUSABLE : 0),
    };
}

/* Where struct kvm_sregs2 has them, by their number in encodings. */
static const uint16_t segment_offset[SEG_COUNT] = {
    [ES] = offsetof(struct kvm_sregs2, es), [CS] = offsetof(struct kvm_sregs2, cs),
    [SS] = offsetof(struct kvm_sregs2, ss), [DS] = offsetof(struct kvm_sregs2, ds),
    [FS] = offsetof(struct kvm_sregs2, fs), [GS] = offsetof(struct kvm_sregs2, gs),
};

static struct kvm_segment *segment_of(struct kvm_sregs2 *sregs, unsigned n)
{
    return (struct kvm_segment *)((uint8_t *)sregs + segment_offset[n]);
}

static bool has_pdptes(const struct cpu_state *s)
{
    return s->cr0 & CR0_PG && s->cr4 & CR4_PAE && !(s->efer & EFER_LMA);
}

/* The APIC's part of sregs. */
static void apic_out(struct kvm *kvm, struct kvm_sregs2 *sregs)
{
    const struct intc *intc = &kvm->config.intc;

    if (!intc->ops)
        return;
    kvm_lock(kvm);
    sregs->apic_base = intc->ops->get_base(intc->opaque);
    sregs->cr8 = intc->ops->get_cr8(intc->opaque);
    kvm_unlock(kvm);
}

static void sregs_out(struct kvm *kvm, struct kvm_sregs2 *sregs)
{
    const struct cpu_state *s = kvm->s;

    memset(sregs, 0, sizeof(*sregs));
    for (unsigned n = 0; n < SEG_COUNT; n++)
        segment_out(&s->seg[n], segment_of(sregs, n));
    segment_out(&s->ldtr, &sregs->ldt);
    segment_out(&s->tr, &sregs->tr);
    sregs->gdt = (struct kvm_dtable){.base = s->gdtr.base, .limit = s->gdtr.limit};
    sregs->idt = (struct kvm_dtable){.base = s->idtr.base, .limit = s->idtr.limit};
    sregs->cr0 = s->cr0;
    sregs->cr2 = s->cr2;
    sregs->cr3 = s->cr3;
    sregs->cr4 = s->cr4;
    sregs->efer = s->efer;
    if (has_pdptes(s)) {
        sregs->flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
        memcpy(sregs->pdptrs, s->pdpte, sizeof(sregs->pdptrs));
    }
    apic_out(kvm, sregs);
}

static void sregs_in(struct kvm *kvm, struct kvm_sregs2 *sregs)
{
    struct cpu_state *s = kvm->s;

    for (unsigned n = 0; n < SEG_COUNT; n++)
        segment_in(&s->seg[n], segment_of(sregs, n));
    segment_in(&s->ldtr, &sregs->ldt);
    segment_in(&s->tr, &sregs->tr);
    s->gdtr = (struct table_reg){.base = sregs->gdt.base, .limit = sregs->gdt.limit};
    s->idtr = (struct table_reg){.base = sregs->idt.base, .limit = sregs->idt.limit};
    s->cr0 = sregs->cr0;
    s->cr2 = sregs->cr2;
    s->cr3 = sregs->cr3;
    s->cr4 = sregs->cr4;
    s->efer = sregs->efer;
    if (sregs->flags & KVM_SREGS2_FLAGS_PDPTRS_VALID)
        memcpy(s->pdpte, sregs->pdptrs, sizeof(s->pdpte));
    s->cpl = (s->seg[SS].attr & SEG_DPL) >> SEG_DPL_SHIFT;
}

/* --- x87 and vector registers: the XSAVE area, in the standard format (SDM 1 13.4)
 * --------------------------------- */

enum {
    XSAVE_FCW = 0,
    XSAVE_FSW = 2,
    XSAVE_FTW = 4,
    XSAVE_FOP = 6,
    XSAVE_FIP = 8,
    XSAVE_FDP = 16,
    XSAVE_MXCSR = 24,
    XSAVE_ST = 32,
    XSAVE_XMM = 160,
    XSAVE_BV = 512
};

#define XCR0_OPMASK   (1u << 5)
#define XCR0_ZMM_HIGH (1u << 6)
#define XCR0_ZMM_MORE (1u << 7)

void kvm_state_setup(struct kvm *kvm)
{
    struct kvm_cpuid2 *cpuid = kvm_cpuid_supported(kvm->device);
    const struct {
        unsigned component, *offset;
    } rows[] = {{2, &kvm->avx_offset},
                {5, &kvm->opmask_offset},
                {6, &kvm->zmm_high_offset},
                {7, &kvm->zmm_more_offset},
                {9, &kvm->pkru_offset}};

    kvm->xsave_mask = XCR0_X87 | XCR0_SSE;
    for (unsigned e = 0; cpuid && e < cpuid->nent; e++)
        for (unsigned n = 0; n < sizeof(rows) / sizeof(rows[0]); n++) {
            const struct kvm_cpuid_entry2 *entry = &cpuid->entries[e];

            if (entry->function != 0xd || entry->index != rows[n].component || !entry->eax ||
                entry->ebx + entry->eax > KVM_XSAVE)
                continue;
            *rows[n].offset = entry->ebx;
            kvm->xsave_mask |= 1ull << rows[n].component;
        }
    free(cpuid);
}

static void xsave_out(const struct kvm *kvm, uint8_t *area)
{
    const struct cpu_state *s = kvm->s;
    unsigned top = s->fsw >> 11 & 7;

    memset(area, 0, KVM_XSAVE);
    memcpy(area + XSAVE_FCW, &s->fcw, 2);
    memcpy(area + XSAVE_FSW, &s->fsw, 2);
    area[XSAVE_FTW] = s->fptag;
    memcpy(area + XSAVE_FOP, &s->fop, 2);
    memcpy(area + XSAVE_FIP, &s->fip, 8);
    memcpy(area + XSAVE_FDP, &s->fdp, 8);
    memcpy(area + XSAVE_MXCSR, &s->mxcsr, 4);
    for (unsigned n = 0; n < 8; n++) { /* by stack position there */
        const struct f80 *st = &s->st[(top + n) & 7];

        memcpy(area + XSAVE_ST + 16 * n, &st->mantissa, 8);
        memcpy(area + XSAVE_ST + 16 * n + 8, &st->exponent, 2);
    }
    for (unsigned n = 0; n < 16; n++) {
        memcpy(area + XSAVE_XMM + 16 * n, s->zmm[n].u8, 16);
        if (kvm->avx_offset)
            memcpy(area + kvm->avx_offset + 16 * n, s->zmm[n].u8 + 16, 16);
        if (kvm->zmm_high_offset)
            memcpy(area + kvm->zmm_high_offset + 32 * n, s->zmm[n].u8 + 32, 32);
        if (kvm->zmm_more_offset)
            memcpy(area + kvm->zmm_more_offset + 64 * n, s->zmm[16 + n].u8, 64);
    }
    if (kvm->opmask_offset)
        memcpy(area + kvm->opmask_offset, s->opmask, sizeof(s->opmask));
    if (kvm->pkru_offset)
        memcpy(area + kvm->pkru_offset, &s->pkru, 4);
    memcpy(area + XSAVE_BV, &kvm->xsave_mask, 8);
}

static void xsave_in(struct kvm *kvm, const uint8_t *area)
{
    struct cpu_state *s = kvm->s;
    unsigned top;

    memcpy(&s->fcw, area + XSAVE_FCW, 2);
    memcpy(&s->fsw, area + XSAVE_FSW, 2);
    s->fptag = area[XSAVE_FTW];
    memcpy(&s->fop, area + XSAVE_FOP, 2);
    memcpy(&s->fip, area + XSAVE_FIP, 8);
    memcpy(&s->fdp, area + XSAVE_FDP, 8);
    memcpy(&s->mxcsr, area + XSAVE_MXCSR, 4);
    top = s->fsw >> 11 & 7;
    for (unsigned n = 0; n < 8; n++) {
        struct f80 *st = &s->st[(top + n) & 7];

        memcpy(&st->mantissa, area + XSAVE_ST + 16 * n, 8);
        memcpy(&st->exponent, area + XSAVE_ST + 16 * n + 8, 2);
    }
    for (unsigned n = 0; n < 16; n++) {
        memcpy(s->zmm[n].u8, area + XSAVE_XMM + 16 * n, 16);
        if (kvm->avx_offset)
            memcpy(s->zmm[n].u8 + 16, area + kvm->avx_offset + 16 * n, 16);
        if (kvm->zmm_high_offset)
            memcpy(s->zmm[n].u8 + 32, area + kvm->zmm_high_offset + 32 * n, 32);
        if (kvm->zmm_more_offset)
            memcpy(s->zmm[16 + n].u8, area + kvm->zmm_more_offset + 64 * n, 64);
    }
    if (kvm->opmask_offset)
        memcpy(s->opmask, area + kvm->opmask_offset, sizeof(s->opmask));
    if (kvm->pkru_offset)
        memcpy(&s->pkru, area + kvm->pkru_offset, 4);
}

/* --- Debug registers
 * ------------------------------------------------------------------------------------------------ */

static void debug_out(const struct cpu_state *s, struct kvm_debugregs *debug)
{
    memset(debug, 0, sizeof(*debug));
    memcpy(debug->db, s->dr, sizeof(debug->db));
    debug->dr6 = s->dr[6];
    debug->dr7 = s->dr[7];
}

static void debug_in(struct cpu_state *s, const struct kvm_debugregs *debug)
{
    memcpy(s->dr, debug->db, sizeof(debug->db));
    s->dr[6] = debug->dr6;
    s->dr[7] = debug->dr7;
}

/* --- What is between instructions
 * ----------------------------------------------------------------------------------- */

#define SHADOW_STI    1
#define SHADOW_MOV_SS 2

static void events_out(const struct cpu_state *s, struct kvm_vcpu_events *events)
{
    memset(events, 0, sizeof(*events));
    events->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
    if (s->event_pending && s->event_type == EVENT_EXCEPTION) {
        events->exception.injected = 1;
        events->exception.nr = s->event_vector;
        events->exception.has_error_code = s->event_has_error;
        events->exception.error_code = s->event_error;
    } else if (s->event_pending && s->event_type == EVENT_NMI) {
        events->nmi.injected = 1;
    } else if (s->event_pending) {
        events->interrupt.injected = 1;
        events->interrupt.nr = s->event_vector;
    }
    events->nmi.pending = s->nmi_pending;
    events->nmi.masked = s->nmi_blocked;
    events->interrupt.shadow = (s->shadow & SHADOW_STI ? KVM_X86_SHADOW_INT_STI : 0) |
                               (s->shadow & SHADOW_MOV_SS ? KVM_X86_SHADOW_INT_MOV_SS : 0);
}

static void set_event(struct cpu_state *s, enum event_type type, uint8_t vector)
{
    s->event_pending = 1;
    s->event_type = (uint8_t)type;
    s->event_vector = vector;
    s->event_has_error = 0;
    s->event_error = 0;
}

/* Software interrupts and exceptions are left out: RIP is still at their instruction, which raises them
 * again. */
static void events_in(struct cpu_state *s, const struct kvm_vcpu_events *events)
{
    bool soft = events->exception.nr == 3 || events->exception.nr == 4;

    s->event_pending = 0;
    if ((events->exception.injected || events->exception.pending) && !soft) {
        set_event(s, EVENT_EXCEPTION, events->exception.nr);
        s->event_has_error = events->exception.has_error_code;
        s->event_error = events->exception.error_code;
    } else if (events->nmi.injected) {
        set_event(s, EVENT_NMI, 2);
    } else if (events->interrupt.injected && !events->interrupt.soft) {
        set_event(s, EVENT_INTERRUPT, events->interrupt.nr);
    }
    s->nmi_pending = !!events->nmi.pending;
    s->nmi_blocked = !!events->nmi.masked;
    s->shadow = (events->interrupt.shadow & KVM_X86_SHADOW_INT_STI ? SHADOW_STI : 0) |
                (events->interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS ? SHADOW_MOV_SS : 0);
}

/* --- Both ways
 * ----------------------------------------------------------------------------------------------------------
 */

static bool get(struct kvm *kvm, unsigned long request, const char *name, void *argument)
{
    char why[200];

    if (kvm_ioctl(kvm->fd, request, name, argument, why, sizeof(why)))
        return true;
    kvm_fail(kvm, "%s", why);
    return false;
}

/* With an APIC of the kernel's, its vCPU halts without an exit. */
static bool get_activity(struct kvm *kvm)
{
    struct kvm_mp_state state;

    if (!kvm->chips)
        return true;
    if (!get(kvm, KVM_GET_MP_STATE, "KVM_GET_MP_STATE", &state))
        return false;
    kvm->halted = state.mp_state == KVM_MP_STATE_HALTED;
    if (kvm->halted)
        kvm->s->activity = CPU_HALTED;
    return true;
}

/* Of what user code can change; events are left behind: the software CPU finds them again. */
static bool home_from_user(struct kvm *kvm)
{
    struct kvm_raw *raw = &kvm->raw;
    struct table_reg idtr = kvm->s->idtr;
    uint64_t cr2 = kvm->s->cr2, iopl = kvm->s->rflags & FLAG_IOPL, apic_base, cr8;

    if (!kvm_complete(kvm) || !get(kvm, KVM_GET_REGS, "KVM_GET_REGS", &raw->regs) ||
        !get(kvm, KVM_GET_SREGS2, "KVM_GET_SREGS2", &raw->sregs) ||
        !get(kvm, KVM_GET_XSAVE, "KVM_GET_XSAVE", raw->xsave))
        return false;
    regs_in(kvm->s, &raw->regs);
    sregs_in(kvm, &raw->sregs);
    xsave_in(kvm, raw->xsave);
    kvm->s->idtr = idtr;
    kvm->s->cr2 = cr2;
    kvm->s->rflags = (kvm->s->rflags & ~(uint64_t)FLAG_IOPL) | iopl; /* which such hosts don't keep */
    kvm_tsc_home(kvm);
    kvm_user_home(kvm);
    kvm->home = kvm->raw_valid = true;
    apic_base = raw->sregs.apic_base;
    cr8 = raw->sregs.cr8;
    sregs_out(kvm, &raw->sregs);
    raw->sregs.apic_base = apic_base;
    raw->sregs.cr8 = cr8;
    xsave_out(kvm, raw->xsave);
    kvm_user_disguise(raw);
    cpu_push(kvm->cpu);
    return true;
}

bool kvm_home(struct kvm *kvm)
{
    struct kvm_raw *raw = &kvm->raw;
    struct kvm_xcrs xcrs = {0};
    uint64_t apic_base, cr8;

    if (kvm->home)
        return true;
    if (kvm->user_only)
        return home_from_user(kvm);
    if (!kvm_chips_home(kvm) || !kvm_complete(kvm) || !get_activity(kvm) || !get(kvm, KVM_GET_REGS, "KVM_GET_REGS", &raw->regs) ||
        !get(kvm, KVM_GET_SREGS2, "KVM_GET_SREGS2", &raw->sregs) ||
        !get(kvm, KVM_GET_XSAVE, "KVM_GET_XSAVE", raw->xsave) ||
        !get(kvm, KVM_GET_XCRS, "KVM_GET_XCRS", &xcrs) ||
        !get(kvm, KVM_GET_DEBUGREGS, "KVM_GET_DEBUGREGS", &raw->debug) ||
        !get(kvm, KVM_GET_VCPU_EVENTS, "KVM_GET_VCPU_EVENTS", &raw->events) || !kvm_msrs_get(kvm, raw->msr))
        return false;
    regs_in(kvm->s, &raw->regs);
    sregs_in(kvm, &raw->sregs);
    xsave_in(kvm, raw->xsave);
    debug_in(kvm->s, &raw->debug);
    events_in(kvm->s, &raw->events);
    raw->xcr0 = xcrs.xcrs[0].value;
    if (xcrs.nr_xcrs && kvm->s->cr4 & CR4_OSXSAVE)
        kvm->s->xcr0 = raw->xcr0;
    for (unsigned n = 0; n < KVM_MSRS; n++)
        if (kvm_msr_rows[n].name && !kvm->msr_refused[n])
            memcpy((uint8_t *)kvm->s + kvm_msr_rows[n].offset, &raw->msr[n], 8);
    kvm_tsc_home(kvm);
    kvm->home = kvm->raw_valid = true;
    /* Compared with what kvm_take() makes of the same state, not with what the kernel answers. */
    apic_base = raw->sregs.apic_base; /* but for what the APIC has by now */
    cr8 = raw->sregs.cr8;
    sregs_out(kvm, &raw->sregs);
    raw->sregs.apic_base = apic_base;
    raw->sregs.cr8 = cr8;
    xsave_out(kvm, raw->xsave);
    debug_out(kvm->s, &raw->debug);
    events_out(kvm->s, &raw->events);
    cpu_push(kvm->cpu);
    return true;
}

static bool refused(struct kvm *kvm, const char *what)
{
    if (!kvm->warned_unfit)
        log_at(kvm->config.log, LOG_INFO, "kvm",
               "%s: the software CPU runs the guest while it is so (CR0 %#llx, CR4 %#llx, EFER %#llx)",
               what, (unsigned long long)kvm->s->cr0, (unsigned long long)kvm->s->cr4,
               (unsigned long long)kvm->s->efer);
    kvm->warned_unfit = kvm->unfit = true;
    return false;
}

static bool set(struct kvm *kvm, unsigned long request, const char *name, void *argument)
{
    char why[200];

    return kvm_ioctl(kvm->fd, request, name, argument, why, sizeof(why)) || refused(kvm, why);
}

/* A KVM that knows long mode's paging only says yes and drops CR0.PG; so what was set is looked at. */
static bool set_sregs(struct kvm *kvm, struct kvm_sregs2 *sregs)
{
    struct kvm_sregs2 got;

    if (!set(kvm, KVM_SET_SREGS2, "KVM_SET_SREGS2", sregs) || ioctl(kvm->fd, KVM_GET_SREGS2, &got))
        return false;
    if (got.cr0 == sregs->cr0 && got.cr3 == sregs->cr3 && got.cr4 == sregs->cr4 && got.efer == sregs->efer)
        return true;
    return refused(kvm, "KVM can't have these control registers");
}

#define DIFFERS(part) (!kvm->raw_valid || memcmp(&raw->part, &now->part, sizeof(raw->part)))

/* What differs between `raw` and `now` is set. Control registers come first: others depend on them. */
static bool set_all(struct kvm *kvm, struct kvm_raw *now)
{
    const struct kvm_raw *raw = &kvm->raw;
    struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs = {{.xcr = 0, .value = now->xcr0}}};
    struct kvm_mp_state running = {.mp_state = KVM_MP_STATE_RUNNABLE};

    if (DIFFERS(sregs) && !set_sregs(kvm, &now->sregs))
        return false;
    if (DIFFERS(xcr0) && !set(kvm, KVM_SET_XCRS, "KVM_SET_XCRS", &xcrs))
        return false;
    if (DIFFERS(xsave) && !set(kvm, KVM_SET_XSAVE, "KVM_SET_XSAVE", now->xsave))
        return false;
    if (DIFFERS(debug) && !set(kvm, KVM_SET_DEBUGREGS, "KVM_SET_DEBUGREGS", &now->debug))
        return false;
    kvm_msrs_set(kvm, now->msr, kvm->raw_valid ? raw->msr : NULL);
    if (!set(kvm, KVM_SET_REGS, "KVM_SET_REGS", &now->regs))
        return false;
    if (kvm->halted && !set(kvm, KVM_SET_MP_STATE, "KVM_SET_MP_STATE", &running))
        return false;
    kvm->halted = false;
    return !(kvm->user_only || DIFFERS(events)) || set(kvm, KVM_SET_VCPU_EVENTS, "KVM_SET_VCPU_EVENTS", &now->events);
}

bool kvm_take(struct kvm *kvm)
{
    struct cpu_state *s = kvm->s;
    struct kvm_raw now;

    if (!kvm->home)
        return true;
    if (!kvm_complete(kvm))
        return false;
    regs_out(s, &now.regs);
    sregs_out(kvm, &now.sregs);
    xsave_out(kvm, now.xsave);
    debug_out(s, &now.debug);
    events_out(s, &now.events);
    now.xcr0 = s->cr4 & CR4_OSXSAVE ? s->xcr0 : XCR0_X87;
    for (unsigned n = 0; n < KVM_MSRS; n++)
        if (kvm_msr_rows[n].name)
            memcpy(&now.msr[n], (const uint8_t *)s + kvm_msr_rows[n].offset, 8);
        else
            now.msr[n] = 0;
    if (kvm->user_only)
        kvm_user_disguise(&now);
    kvm_memory_renew_tables(kvm);
    if (!set_all(kvm, &now)) {
        kvm->raw_valid = false;
        return false;
    }
    if (!kvm->raw_valid || s->tsc_offset != kvm->raw.tsc_offset)
        kvm_tsc_take(kvm);
    kvm->run->cr8 = now.sregs.cr8;
    kvm->cr8 = (uint8_t)now.sregs.cr8;
    kvm->cr8_stale = false;
    /* Whether the kernel's APIC lets the 8259s through, only it knows. */
    kvm->ready = !kvm->chips && s->rflags & FLAG_IF && !s->shadow && !s->event_pending;
    kvm->home = kvm->raw_valid = kvm->unfit = false;
    if (kvm->user_only) { /* what isn't brought home stays as it was set */
        now.tsc_offset = kvm->raw.tsc_offset;
        kvm->raw = now;
        kvm->entered_at = engine_host_ns();
    }
    return true;
}
