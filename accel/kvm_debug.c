/*
 * kvm_debug.c - breakpoints under KVM: up to four, by the processor's debug registers (KVM_SET_GUEST_DEBUG).
 *
 * KVM only says that one was reached. The software CPU, to which the state then goes, finds the stop itself
 * and reports it; and when it is let go, it makes the first step. All other stops, and more than four, need
 * an engine that knows them.
 */
#include <errno.h>
#include <string.h>

#include "accel/kvm_internal.h"

#define BREAKPOINTS 4u

#define DR7_ALWAYS      0x400u
#define DR7_ENABLE(n)   (1u << 2 * (n)) /* L0 to L3; as execution breakpoints, the other bits being 0 */
#define DR7_ANY_ENABLED 0xFFu

/* What of the list the kernel can do; false: not all of it. */
static bool translate(const struct cpu *cpu, struct kvm_guest_debug *debug)
{
    struct cpu_stop stop[BREAKPOINTS + 1];
    unsigned count = cpu_stops(cpu, stop, BREAKPOINTS + 1);

    *debug = (struct kvm_guest_debug){0};
    if (!count)
        return true;
    if (count > BREAKPOINTS)
        return false;
    debug->control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
    debug->arch.debugreg[7] = DR7_ALWAYS;
    for (unsigned n = 0; n < count; n++) {
        if (stop[n].kind != CPU_STOP_EXECUTE)
            return false;
        debug->arch.debugreg[n] = stop[n].address;
        debug->arch.debugreg[7] |= DR7_ENABLE(n);
    }
    return true;
}

/* Where user code runs natively and the rest in an emulator, breakpoints may work in one of them only. */
static bool all_code_stops(void)
{
    return kvm_breakpoints_work(0) && kvm_breakpoints_work(3);
}

bool kvm_stops(struct cpu *cpu)
{
    struct kvm *kvm = cpu_get_engine(cpu)->data;
    struct kvm_guest_debug debug;

    /* The guest's own breakpoints would not be its any more. */
    if (!translate(cpu, &debug) || cpu_state(cpu)->dr[7] & DR7_ANY_ENABLED)
        return false;
    if (!kvm) /* it is to be attached */
        return all_code_stops();
    if (!kvm->breakpoints_tried) {
        kvm->breakpoints_tried = true;
        kvm->breakpoints_work = all_code_stops();
    }
    return kvm->breakpoints_work;
}

void kvm_debug_take(struct kvm *kvm)
{
    struct kvm_guest_debug debug;

    if (!translate(kvm->cpu, &debug))
        debug = (struct kvm_guest_debug){0};
    if (!memcmp(&debug, &kvm->debug, sizeof(debug)))
        return;
    if (ioctl(kvm->fd, KVM_SET_GUEST_DEBUG, &debug))
        kvm_fail(kvm, "KVM_SET_GUEST_DEBUG: %s", strerror(errno));
    kvm->debug = debug;
}

bool kvm_stopped(const struct kvm *kvm)
{
    struct cpu_stopped hit;

    return cpu_has_stops(kvm->cpu) && cpu_stopped(kvm->cpu, &hit, 1);
}

bool kvm_debug_step(struct kvm *kvm, enum cpu_exit *exit)
{
    if (!kvm_home(kvm))
        return false;
    *exit = cpu_run(kvm->cpu, 1);
    kvm->stats.software++;
    cpu_pull(kvm->cpu);
    cpu_forget_code(kvm->cpu); /* the kernel's turn may change it unseen */
    return *exit != CPU_EXIT_KICK;
}
