/*
 * kvm_probe.c - what this host's KVM offers, and what it is worth: whether kernel code runs natively on it.
 *
 * On hosts whose processor has no VT-x or AMD-V to offer, /dev/kvm may be there all the same, and run user
 * code natively and everything else in KVM's instruction emulator, a thousand times slower. So a loop is run
 * for a few milliseconds at CPL 0 and one at CPL 3, in a machine of a few pages that is thrown away.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "accel/kvm_internal.h"

#define DEVICE "/dev/kvm"

/* --- What must be there
 * ------------------------------------------------------------------------------------------- */

static const struct {
    int capability;
    const char *name, *since;
} needed[] = {
    {KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT", "4.12"},
    {KVM_CAP_READONLY_MEM, "KVM_CAP_READONLY_MEM", "3.7"},
    {KVM_CAP_XSAVE, "KVM_CAP_XSAVE", "2.6.36"},
    {KVM_CAP_XCRS, "KVM_CAP_XCRS", "2.6.36"},
    {KVM_CAP_DEBUGREGS, "KVM_CAP_DEBUGREGS", "2.6.35"},
    {KVM_CAP_VCPU_EVENTS, "KVM_CAP_VCPU_EVENTS", "2.6.33"},
    {KVM_CAP_SREGS2, "KVM_CAP_SREGS2", "5.14"},
    {KVM_CAP_X86_USER_SPACE_MSR, "KVM_CAP_X86_USER_SPACE_MSR", "5.10"},
    {KVM_CAP_X86_MSR_FILTER, "KVM_CAP_X86_MSR_FILTER", "5.10"},
};

static void explain_open(char *why, size_t why_size)
{
    if (errno == EACCES || errno == EPERM)
        snprintf(why, why_size,
                 DEVICE " exists but you may not open it: add yourself to the group kvm; or use --accel jit");
    else if (errno == ENOENT || errno == ENXIO || errno == ENODEV)
        snprintf(why, why_size,
                 "there is no " DEVICE ": this host's processor has no VT-x or AMD-V, or it is off in the "
                 "firmware's settings, or the module kvm_intel or kvm_amd isn't loaded; use --accel jit");
    else
        snprintf(why, why_size, DEVICE ": %s; use --accel jit", strerror(errno));
}

int kvm_open(char *why, size_t why_size)
{
    int device = open(DEVICE, O_RDWR | O_CLOEXEC), version;

    if (device < 0) {
        explain_open(why, why_size);
        return -1;
    }
    version = ioctl(device, KVM_GET_API_VERSION, 0);
    if (version != KVM_API_VERSION) {
        snprintf(why, why_size, DEVICE " speaks version %d of its interface, and Oxbow %d; use --accel jit",
                 version, KVM_API_VERSION);
        close(device);
        return -1;
    }
    for (unsigned n = 0; n < sizeof(needed) / sizeof(needed[0]); n++) {
        if (ioctl(device, KVM_CHECK_EXTENSION, needed[n].capability) > 0)
            continue;
        snprintf(why, why_size, "this kernel's KVM has no %s, which came with Linux %s; use --accel jit",
                 needed[n].name, needed[n].since);
        close(device);
        return -1;
    }
    return device;
}

bool kvm_probe(char *why, size_t why_size)
{
    int device = kvm_open(why, why_size), vm;

    if (device < 0)
        return false;
    vm = ioctl(device, KVM_CREATE_VM, 0);
    if (vm < 0)
        snprintf(why, why_size, "KVM_CREATE_VM: %s; use --accel jit", strerror(errno));
    else
        close(vm);
    close(device);
    return vm >= 0;
}

static bool offers(int vm, int capability)
{
    return ioctl(vm, KVM_CHECK_EXTENSION, capability) > 0;
}

/* Whether the TSC goes on as if nothing had been set. */
static bool tsc_is_fixed(int fd)
{
    uint64_t before, after;

    return kvm_msr_get_one(fd, 0x10, &before) && kvm_msr_set_one(fd, 0x10, before + (1ull << 50)) &&
           kvm_msr_get_one(fd, 0x10, &after) && after - before < 1ull << 49;
}

void kvm_get_offer(int vm, int fd, struct kvm_offer *offer)
{
    struct kvm_device_attr attr = {.group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET};
    int khz = ioctl(fd, KVM_GET_TSC_KHZ, 0);

    *offer = (struct kvm_offer){
        .tsc_scaling = offers(vm, KVM_CAP_TSC_CONTROL),
        .emulation_exits = offers(vm, KVM_CAP_EXIT_ON_EMULATION_FAILURE),
        .tsc_offset = offers(vm, KVM_CAP_VCPU_ATTRIBUTES) && !ioctl(fd, KVM_HAS_DEVICE_ATTR, &attr),
        .tsc_fixed = tsc_is_fixed(fd),
        .tsc_khz = khz > 0 ? (unsigned)khz : 0,
    };
}

/* --- A machine of six pages: four levels of tables, a page of code and one for the stack
 * ------------------------------ */

#define PAGE_TABLES 0x0000u
#define CODE_PAGE   0x4000u
#define TRIAL_SIZE  0x6000u
#define TRIAL_NS    4000000

struct trial {
    int device, vm, fd;
    struct kvm_run *run;
    size_t run_size;
    uint8_t *memory;
    struct kvm_offer offer;
};

static void trial_end(struct trial *t)
{
    if (t->run)
        munmap(t->run, t->run_size);
    if (t->memory)
        munmap(t->memory, TRIAL_SIZE);
    if (t->fd >= 0)
        close(t->fd);
    if (t->vm >= 0)
        close(t->vm);
    if (t->device >= 0)
        close(t->device);
}

static void *map(size_t size, int fd)
{
    void *at =
        mmap(NULL, size, PROT_READ | PROT_WRITE, fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);

    return at == MAP_FAILED ? NULL : at;
}

static bool trial_begin(struct trial *t)
{
    char why[200];
    int size;

    *t = (struct trial){.device = kvm_open(why, sizeof(why)), .vm = -1, .fd = -1};
    if (t->device >= 0)
        t->vm = ioctl(t->device, KVM_CREATE_VM, 0);
    if (t->vm < 0)
        return false;
    ioctl(t->vm, KVM_SET_TSS_ADDR, 0xfeffd000ul);
    t->memory = map(TRIAL_SIZE, -1);
    t->fd = ioctl(t->vm, KVM_CREATE_VCPU, 0);
    size = ioctl(t->device, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (!t->memory || t->fd < 0 || size <= 0)
        return false;
    t->run_size = (size_t)size;
    t->run = map(t->run_size, t->fd);
    kvm_get_offer(t->vm, t->fd, &t->offer);
    return t->run && !ioctl(t->vm, KVM_SET_USER_MEMORY_REGION,
                            &(struct kvm_userspace_memory_region){
                                .memory_size = TRIAL_SIZE, .userspace_addr = (uint64_t)(uintptr_t)t->memory});
}

/* Each address is itself; everything may be done by everybody. */
static void make_tables(uint8_t *memory)
{
    const uint64_t present_writable_user = 7;

    for (unsigned level = 0; level < 3; level++) {
        uint64_t next = PAGE_TABLES + 4096 * (level + 1);

        next |= present_writable_user;
        memcpy(memory + PAGE_TABLES + 4096 * level, &next, 8);
    }
    for (uint64_t page = 0; page < TRIAL_SIZE / 4096; page++) {
        uint64_t entry = page * 4096 | present_writable_user;

        memcpy(memory + PAGE_TABLES + 4096 * 3 + 8 * page, &entry, 8);
    }
}

/* 64-bit code: inc eax; jmp to itself. The timer's signal ends it. */
static bool set_state(struct trial *t, unsigned cpl)
{
    static const uint8_t loop[] = {0xff, 0xc0, 0xeb, 0xfc};
    struct kvm_sregs sregs;
    struct kvm_segment flat = {
        .limit = UINT32_MAX, .type = 3, .present = 1, .dpl = (uint8_t)cpl, .db = 1, .s = 1, .g = 1};

    if (ioctl(t->fd, KVM_GET_SREGS, &sregs))
        return false;
    make_tables(t->memory);
    memcpy(t->memory + CODE_PAGE, loop, sizeof(loop));
    flat.selector = (uint16_t)(0x10 | cpl);
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = flat;
    flat.selector = (uint16_t)(0x8 | cpl);
    flat.type = 11;
    flat.db = 0;
    flat.l = 1;
    sregs.cs = flat;
    sregs.cr0 |= CR0_PE | CR0_PG | CR0_NE;
    sregs.cr3 = PAGE_TABLES;
    sregs.cr4 |= CR4_PAE;
    sregs.efer |= EFER_LME | EFER_LMA;
    return !ioctl(t->fd, KVM_SET_SREGS, &sregs) &&
           !ioctl(t->fd, KVM_SET_REGS,
                  &(struct kvm_regs){.rip = CODE_PAGE, .rsp = TRIAL_SIZE, .rflags = FLAG_1});
}

static void on_alarm(int number, siginfo_t *info, void *context)
{
    struct kvm_run *run = info->si_value.sival_ptr;

    (void)number, (void)context;
    run->immediate_exit = 1;
}

/* KVM_RUN, for TRIAL_NS at most; false: it came back for no other reason. */
static bool trial_run(struct trial *t)
{
    struct sigaction action = {.sa_sigaction = on_alarm, .sa_flags = SA_SIGINFO}, before;
    struct sigevent event = {
        .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 1, .sigev_value.sival_ptr = t->run};
    struct itimerspec when = {.it_value.tv_nsec = TRIAL_NS, .it_interval.tv_nsec = TRIAL_NS};
    timer_t timer;
    int result = -1;

    sigemptyset(&action.sa_mask);
    if (sigaction(SIGRTMIN + 1, &action, &before))
        return false;
    t->run->immediate_exit = 0;
    if (!timer_create(CLOCK_MONOTONIC, &event, &timer)) {
        if (!timer_settime(timer, 0, &when, NULL))
            result = ioctl(t->fd, KVM_RUN, 0);
        timer_delete(timer);
    }
    t->run->immediate_exit = 0;
    sigaction(SIGRTMIN + 1, &before, NULL);
    return result >= 0;
}

/* Instructions a second; 0 when it doesn't run. */
static double trial_speed(struct trial *t, unsigned cpl)
{
    struct kvm_regs regs = {0};
    uint64_t start;

    if (!set_state(t, cpl))
        return 0;
    start = engine_host_ns();
    if (trial_run(t))
        return 0;
    start = engine_host_ns() - start;
    if (ioctl(t->fd, KVM_GET_REGS, &regs) || !start)
        return 0;
    return 2.0 * (double)(uint32_t)regs.rax * 1e9 / (double)start;
}

/* Whether the loop stops at a breakpoint on its second instruction. */
static bool trial_breakpoint(struct trial *t, unsigned cpl)
{
    struct kvm_guest_debug debug = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP};

    debug.arch.debugreg[0] = CODE_PAGE + 2;
    debug.arch.debugreg[7] = 0x401;
    return set_state(t, cpl) && !ioctl(t->fd, KVM_SET_GUEST_DEBUG, &debug) && trial_run(t) &&
           t->run->exit_reason == KVM_EXIT_DEBUG && t->run->debug.arch.pc == CODE_PAGE + 2;
}

bool kvm_breakpoints_work(unsigned cpl)
{
    struct trial t;
    bool work = trial_begin(&t) && trial_breakpoint(&t, cpl);

    trial_end(&t);
    return work;
}

struct speeds {
    double kernel, user; /* instructions a second; 0: such code doesn't run */
};

static struct speeds measure(struct kvm_offer *offer)
{
    struct speeds speeds = {0};
    struct trial t;

    if (trial_begin(&t)) {
        speeds.kernel = trial_speed(&t, 0);
        speeds.user = trial_speed(&t, 3);
        *offer = t.offer;
    }
    trial_end(&t);
    return speeds;
}

/* An emulator does a few million a second, a processor a thousand million. */
#define NATIVE 50e6

bool kvm_user_only(void)
{
    struct trial t;
    bool only = !trial_begin(&t) || trial_speed(&t, 0) < NATIVE;

    trial_end(&t);
    return only;
}

void kvm_lacking(char *names, size_t size)
{
    char why[200];
    int device = kvm_open(why, sizeof(why));

    names[0] = 0;
    if (device < 0)
        return;
    kvm_cpuid_lacking(device, names, size);
    close(device);
}

uint64_t kvm_tsc_hz(void)
{
    struct trial t;
    uint64_t hz = 0;

    if (trial_begin(&t) && !t.offer.tsc_scaling)
        hz = t.offer.tsc_khz * 1000ull;
    trial_end(&t);
    return hz;
}

uint64_t kvm_tsc_now(void)
{
    struct trial t;
    bool fixed = trial_begin(&t) && t.offer.tsc_fixed;

    trial_end(&t); /* which takes milliseconds */
    return fixed ? __builtin_ia32_rdtsc() : 0;
}

/* --- oxbow accel
 * -------------------------------------------------------------------------------------------------------- */

static void say_speed(FILE *out, const char *code, double speed)
{
    if (speed >= NATIVE)
        fprintf(out, "        %s code runs natively\n", code);
    else if (speed > 0)
        fprintf(out,
                "        %s code goes through KVM's instruction emulator, at %.1f million instructions a "
                "second\n",
                code, speed / 1e6);
    else
        fprintf(out, "        %s code doesn't run\n", code);
}

static void say_msrs(FILE *out, int fd)
{
    const char *before = "        it refuses MSRs, which the software CPU has instead: ";
    uint64_t value;

    for (unsigned n = 0; n < KVM_MSRS; n++) {
        const struct kvm_msr_row *row = &kvm_msr_rows[n];

        if (!row->name || (kvm_msr_get_one(fd, row->index, &value) && kvm_msr_set_one(fd, row->index, value)))
            continue;
        fprintf(out, "%s%s (%#x)", before, row->name, row->index);
        before = ", ";
    }
    if (before[0] == ',')
        fputc('\n', out);
}

void kvm_report(FILE *out)
{
    struct kvm_offer offer = {0};
    struct speeds speeds = measure(&offer);
    char lacking[500];
    struct trial t;

    say_speed(out, "user", speeds.user);
    say_speed(out, "kernel", speeds.kernel);
    if (speeds.kernel < NATIVE)
        fprintf(
            out,
            "        so this host's processor has no VT-x or AMD-V to give; \"auto\" takes another engine\n");
    if (!trial_begin(&t)) {
        trial_end(&t);
        return;
    }
    kvm_cpuid_lacking(t.device, lacking, sizeof(lacking));
    if (lacking[0])
        fprintf(out, "        it lacks these features of processors: %s\n", lacking);
    if (!offer.tsc_scaling)
        fprintf(out, "        a guest's TSC goes at the host's %.3f GHz: it can't be scaled\n",
                offer.tsc_khz / 1e6);
    if (offer.tsc_fixed)
        fprintf(out, "        a guest's TSC shows the host's: it can't be set, nor does it stand while the "
                     "machine does\n");
    else if (!offer.tsc_offset)
        fprintf(out, "        no exact TSC offset (Linux 5.16): at a change of engines the guest's TSC may "
                     "jump a little\n");
    if (!kvm_breakpoints_work(0) || !kvm_breakpoints_work(3))
        fprintf(out, "        its breakpoints don't stop all code: when some are set, another engine goes on\n");
    if (!offer.emulation_exits)
        fprintf(
            out,
            "        no exits on failed emulation (Linux 5.15): what it can't do in user code raises #UD\n");
    say_msrs(out, t.fd);
    trial_end(&t);
}
