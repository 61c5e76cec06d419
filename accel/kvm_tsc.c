/*
 * kvm_tsc.c - the guest's TSC: the kernel counts it by the host's, cpu_state() by the clock, and both mean
 * the same one.
 *
 * Whoever hands it over reads one first and then the other, in the order in which the guest may find that its
 * TSC went slowly, never that it went back. Some KVMs without VT can't set a guest's TSC: then the clock's
 * side follows it.
 */
#include "accel/kvm_internal.h"

#define MSR_TSC 0x10

static uint64_t clock_ticks(const struct kvm *kvm)
{
    return clock_ns_to_ticks(clock_now(kvm->config.clock), kvm->config.tsc_hz);
}

/* Host ns in which the guest's clock stood, since the thread left the engine. */
static uint64_t time_stood(const struct kvm *kvm)
{
    uint64_t host = engine_host_ns() - kvm->left_host, clock = clock_now(kvm->config.clock) - kvm->left_clock;

    return kvm->left_host && host > clock + 100000 ? host - clock : 0; /* the two are not read at once */
}

void kvm_tsc_leave(struct kvm *kvm)
{
    kvm->left_clock = clock_now(kvm->config.clock);
    kvm->left_host = engine_host_ns();
}

static bool kernel_tsc(const struct kvm *kvm, uint64_t *tsc)
{
    if (!kvm->offer.tsc_fixed)
        return kvm_msr_get_one(kvm->fd, MSR_TSC, tsc);
    *tsc = __builtin_ia32_rdtsc();
    return true;
}

#define TRIES 5
#define CLOSE 2000 /* ns */

/*
 * First the TSC, then the clock: the guest may find that its TSC went slowly, never that it went back. The
 * two are read again when something came between them: a timer that was set by the one fires by the other,
 * and never too early.
 */
void kvm_tsc_home(struct kvm *kvm)
{
    uint64_t stood = clock_ns_to_ticks(time_stood(kvm), kvm->config.tsc_hz), best = UINT64_MAX;

    for (unsigned n = 0; n < TRIES && best > CLOSE; n++) {
        uint64_t before = engine_host_ns(), tsc, clock, took;

        if (!kernel_tsc(kvm, &tsc))
            return;
        clock = clock_ticks(kvm);
        took = engine_host_ns() - before;
        if (took < best)
            kvm->s->tsc_offset = tsc - stood - clock;
        if (took < best)
            best = took;
    }
    kvm->raw.tsc_offset = kvm->s->tsc_offset;
}

static struct kvm_device_attr offset_attr(uint64_t *offset)
{
    return (struct kvm_device_attr){
        .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uint64_t)(uintptr_t)offset};
}

#define MSR_TSC_DEADLINE 0x6e0

/* The TSC can't be set, and has jumped for the guest: what goes by it is told. */
static void follow_tsc(struct kvm *kvm)
{
    uint64_t deadline;

    kvm_tsc_home(kvm);
    cpu_renew_clock(kvm->cpu);
    if (cpu_read_msr(kvm->cpu, MSR_TSC_DEADLINE, &deadline) && deadline)
        cpu_write_msr(kvm->cpu, MSR_TSC_DEADLINE, deadline);
}

/* The kernel's TSC becomes `wanted`. Written as an MSR it is rounded by KVM to what other vCPUs might have.
 */
static void set_tsc(struct kvm *kvm, uint64_t wanted)
{
    uint64_t offset, now;
    struct kvm_device_attr attr = offset_attr(&offset);

    if (kvm->offer.tsc_fixed) {
        follow_tsc(kvm);
        return;
    }
    if (kvm->offer.tsc_offset && !ioctl(kvm->fd, KVM_GET_DEVICE_ATTR, &attr) &&
        kvm_msr_get_one(kvm->fd, MSR_TSC, &now)) {
        offset += wanted - now;
        if (!ioctl(kvm->fd, KVM_SET_DEVICE_ATTR, &attr))
            return;
    }
    kvm_msr_set_one(kvm->fd, MSR_TSC, wanted);
}

/* The clock may stand until the thread comes back. */
void kvm_tsc_take(struct kvm *kvm)
{
    set_tsc(kvm, clock_ticks(kvm) + kvm->s->tsc_offset);
    kvm_tsc_leave(kvm);
}

void kvm_tsc_return(struct kvm *kvm)
{
    uint64_t stood = time_stood(kvm), tsc;

    kvm->left_host = 0;
    if (!stood)
        return;
    if (kvm->home)
        kvm->raw_valid = false; /* so that the TSC is set */
    else if (kvm_msr_get_one(kvm->fd, MSR_TSC, &tsc))
        set_tsc(kvm, tsc - clock_ns_to_ticks(stood, kvm->config.tsc_hz));
}
