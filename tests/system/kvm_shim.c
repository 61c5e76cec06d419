/*
 * kvm_shim.c - a KVM that fails when told to, for tests/system/kvm_errors.sh, which preloads it into Oxbow:
 *
 *     SHIM_FAIL=REQUEST        this ioctl fails with EIO
 *     SHIM_LACKS=CAPABILITY    the kernel says that it hasn't this one
 *     SHIM_EXIT=REASON         KVM_RUN comes back with this exit
 *
 * KVM_RUN and what else the probe does too fail for the engine's own machine only, which is told by its MSR
 * filter.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct {
    const char *name;
    unsigned long request;
    bool probe; /* does it, too */
} requests[] = {
#define ROW(name, probe)                                                                                     \
    {                                                                                                        \
#name, name, probe                                                                                   \
    }
    ROW(KVM_RUN, true),
    ROW(KVM_GET_REGS, true),
    ROW(KVM_SET_REGS, true),
    ROW(KVM_SET_CPUID2, false),
    ROW(KVM_X86_SET_MSR_FILTER, false),
    ROW(KVM_SET_LAPIC, false),
    ROW(KVM_GET_LAPIC, false),
    ROW(KVM_SET_IRQCHIP, false),
    ROW(KVM_SET_GSI_ROUTING, false),
    ROW(KVM_CREATE_IRQCHIP, false),
    ROW(KVM_SET_USER_MEMORY_REGION, true),
    ROW(KVM_GET_XSAVE, false),
};

static const struct {
    const char *name;
    unsigned long capability;
} capabilities[] = {
    {"KVM_CAP_SREGS2", KVM_CAP_SREGS2},
    {"KVM_CAP_X86_MSR_FILTER", KVM_CAP_X86_MSR_FILTER},
    {"KVM_CAP_SPLIT_IRQCHIP", KVM_CAP_SPLIT_IRQCHIP},
    {"KVM_CAP_SIGNAL_MSI", KVM_CAP_SIGNAL_MSI},
    {"KVM_CAP_EXIT_ON_EMULATION_FAILURE", KVM_CAP_EXIT_ON_EMULATION_FAILURE},
};

static bool armed;
static int vcpu = -1, engine = -1; /* made last; the engine's */
static struct kvm_run *run, *engine_run;

static bool is_asked(const char *variable, const char *name)
{
    const char *value = getenv(variable);

    return value && !strcmp(value, name);
}

static bool fails(unsigned long request)
{
    for (unsigned n = 0; n < sizeof(requests) / sizeof(requests[0]); n++)
        if (requests[n].request == request && (armed || !requests[n].probe) &&
            is_asked("SHIM_FAIL", requests[n].name))
            return true;
    return false;
}

static bool lacks(unsigned long capability)
{
    for (unsigned n = 0; n < sizeof(capabilities) / sizeof(capabilities[0]); n++)
        if (capabilities[n].capability == capability && is_asked("SHIM_LACKS", capabilities[n].name))
            return true;
    return false;
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    unsigned long argument;
    int result;

    va_start(arguments, request);
    argument = va_arg(arguments, unsigned long);
    va_end(arguments);
    if (fails(request)) {
        errno = EIO;
        return -1;
    }
    if (request == KVM_CHECK_EXTENSION && lacks(argument))
        return 0;
    result = (int)syscall(SYS_ioctl, fd, request, argument);
    if (request == KVM_CREATE_VCPU)
        vcpu = result;
    if (request == KVM_X86_SET_MSR_FILTER) {
        armed = true;
        engine = vcpu;
        engine_run = run;
    }
    if (request == KVM_RUN && fd == engine && engine_run && getenv("SHIM_EXIT")) {
        engine_run->exit_reason = (unsigned)atoi(getenv("SHIM_EXIT"));
        return 0;
    }
    return result;
}

/* Where an exit's reason is written. */
void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    void *at = (void *)syscall(SYS_mmap, address, size, protection, flags, fd, offset);

    if (fd >= 0 && fd == vcpu && at != MAP_FAILED)
        run = at;
    return at;
}
