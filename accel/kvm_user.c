/*
 * kvm_user.c - KVM for user code only (--kvm-code user), for hosts where it emulates kernel code.
 *
 * KVM gets 64-bit code at CPL 3, and gives it back at the first event: its IDT is empty, so that an
 * exception, or INT n, ends as a triple fault with RIP at the instruction, which the software CPU then
 * executes; and with it whatever the guest does until it is back at CPL 3. Interrupts are never injected, but
 * the guest is left for them. So the emulator sees nothing, and what it gets wrong does no harm. In
 * particular, SYSCALL from CPL 3 leaves CS as it was on such hosts; KVM's LSTAR is an address where no user
 * code is, by which it is recognised and made undone.
 *
 * At CPL 3 neither control and debug registers nor MSRs can change; of the state, only the rest is brought
 * home.
 */
#include <string.h>

#include "accel/kvm_internal.h"

/* In the last page of all. SYSCALL goes on there, and finds no page, or none for it. */
#define NOWHERE 0xfffffffffffff0c4ull

#define MSR_LSTAR 0xc0000082
#define MSR_CSTAR 0xc0000083

/*
 * KVM's turn costs as much as the software CPU takes for some thousand instructions, translations lost
 * included. When turns are short, it is not asked again before twice as many, up to a number that makes the
 * loss small.
 */
#define STINT_MIN 2000
#define STINT_MAX 2000000
#define WORTH_NS  200000

/*
 * CPUID at CPL 3 is the host's on such hosts. Programs that choose by it what to run do so when they begin;
 * so a program's first instructions, as far as they can be told by CR3, are not KVM's.
 */
#define SETTLED 2000000

void kvm_user_setup(struct kvm *kvm, const char *code)
{
    kvm->user_only = code && strcmp(code, "all") && kvm_user_only();
    kvm->stint = STINT_MIN;
    /* Nor could it be done: where the processor itself runs the guest, a triple fault may cost it its state.
     */
    if (code && !strcmp(code, "user") && !kvm->user_only)
        log_at(kvm->config.log, LOG_WARN, "kvm",
               "--kvm-code user: kernel code runs natively here, so KVM has all code");
}

bool kvm_user_turn(const struct kvm *kvm, unsigned requests)
{
    const struct cpu_state *s = kvm->s;

    if (kvm->owed || requests & ~(unsigned)CPU_REQUEST_KICK)
        return false;
    return !kvm->home ||
           (s->cpl == 3 && s->efer & EFER_LMA && s->seg[CS].attr & SEG_L && !(s->rflags & FLAG_TF) &&
            !(s->dr[7] & 0xff) && !s->shadow && !s->event_pending && !s->nmi_pending && !s->smi_pending &&
            !s->init_pending && !s->pending_debug && kvm->settled >= SETTLED);
}

/* In pieces, so that it is seen when another program's tables are in use. */
bool kvm_user_software(struct kvm *kvm, enum cpu_exit *exit)
{
    uint64_t left = kvm->stint;

    if (kvm->ran)
        cpu_forget_code(kvm->cpu); /* which the guest may have written */
    kvm->ran = kvm->owed = false;
    kvm->stats.stints++;
    do {
        *exit = cpu_run(kvm->cpu, STINT_MIN);
        cpu_pull(kvm->cpu);
        kvm->settled = kvm->s->cr3 == kvm->cr3 ? kvm->settled + STINT_MIN : 0;
        kvm->cr3 = kvm->s->cr3;
        left -= left < STINT_MIN ? left : STINT_MIN;
    } while (left && *exit == CPU_EXIT_KICK && !atomic_load(&kvm->kicked));
    return *exit != CPU_EXIT_KICK;
}

void kvm_user_event(struct kvm *kvm)
{
    kvm->owed = true;
    kvm->stats.events++;
}

void kvm_user_disguise(struct kvm_raw *raw)
{
    raw->sregs.idt.limit = 0;
    raw->sregs.cr2 = 0;
    for (unsigned n = 0; n < KVM_MSRS; n++)
        if (kvm_msr_rows[n].name &&
            (kvm_msr_rows[n].index == MSR_LSTAR || kvm_msr_rows[n].index == MSR_CSTAR))
            raw->msr[n] = NOWHERE;
}

void kvm_user_home(struct kvm *kvm)
{
    struct cpu_state *s = kvm->s;
    uint64_t took = engine_host_ns() - kvm->entered_at;

    if (s->rip == NOWHERE) { /* SYSCALL has left what it needs to be executed again */
        s->rip = s->gpr[RCX] - 2;
        s->rflags = s->gpr[R11];
    }
    kvm->stint = took >= WORTH_NS ? STINT_MIN : kvm->stint < STINT_MAX ? kvm->stint * 2 : STINT_MAX;
}
