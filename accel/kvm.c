/*
 * kvm.c - KVM as an engine: attached, run, kicked. See kvm_internal.h for who has the state when; exits are
 * in kvm_exits.c.
 *
 * A request from outside sets its bit in the CPU and then pokes. The thread says that it is inside before it
 * looks at the bits; so either it sees the bit, or the poke sees that it is inside, makes KVM_RUN return at
 * once (immediate_exit, for when it isn't there yet) and interrupts it by a signal (for when it is).
 */
#include "accel/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "accel/kvm_internal.h"

bool kvm_ioctl(int fd, unsigned long request, const char *name, void *argument, char *why, size_t why_size)
{
    if (ioctl(fd, request, argument) >= 0)
        return true;
    snprintf(why, why_size, "%s: %s", name, strerror(errno));
    return false;
}

void kvm_fail(struct kvm *kvm, const char *format, ...)
{
    char *text = NULL;
    size_t size;
    va_list arguments;
    FILE *out;

    if (kvm->broken)
        return;
    kvm->broken = true;
    out = open_memstream(&text, &size);
    if (out) {
        va_start(arguments, format);
        vfprintf(out, format, arguments);
        va_end(arguments);
        fclose(out);
    }
    if (kvm->options.failed)
        kvm->options.failed(kvm->options.opaque, text ? text : "out of memory");
    else
        log_at(kvm->config.log, LOG_ERROR, "kvm", "%s", text ? text : "out of memory");
    free(text);
}

/* --- Requests from outside
 * ----------------------------------------------------------------------------------- */

static void on_kick(int number)
{
    (void)number;
}

static void poke(void *data)
{
    struct kvm *kvm = data;

    if (!atomic_load(&kvm->inside) || pthread_equal(kvm->thread, pthread_self()))
        return;
    __atomic_store_n(&kvm->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    pthread_kill(kvm->thread, KVM_KICK_SIGNAL);
}

static struct kvm *kvm_of(struct cpu *cpu)
{
    return cpu_get_engine(cpu)->data;
}

static void kvm_kick(struct cpu *cpu)
{
    struct kvm *kvm = kvm_of(cpu);

    if (kvm)
        atomic_store(&kvm->kicked, true);
    cpu_kick(cpu);
}

/* --- Running
 * --------------------------------------------------------------------------------------------------- */

/* NMI and INTR to the guest, or an exit as soon as it would take one. The kernel has the state. */
static void offer_interrupts(struct kvm *kvm, unsigned requests)
{
    const struct intc *intc = &kvm->config.intc;
    struct kvm_interrupt interrupt;
    int vector;

    kvm->run->request_interrupt_window = 0;
    if (requests & CPU_REQUEST_NMI) {
        cpu_take_request(kvm->cpu, CPU_REQUEST_NMI);
        ioctl(kvm->fd, KVM_NMI, 0);
    }
    if (!(requests & CPU_REQUEST_INTR) || !intc->ops)
        return;
    if (kvm->ready) {
        kvm_lock(kvm);
        vector = intc->ops->acknowledge(intc->opaque);
        kvm_unlock(kvm);
        interrupt.irq = (uint32_t)vector;
        if (vector >= 0 && ioctl(kvm->fd, KVM_INTERRUPT, &interrupt))
            kvm_fail(kvm, "KVM_INTERRUPT: %s", strerror(errno));
        kvm->ready = vector < 0;
        kvm->stats.interrupts++;
        requests = cpu_requests(kvm->cpu);
    }
    kvm->run->request_interrupt_window = !!(requests & CPU_REQUEST_INTR);
}

/* The task priority that the APIC has. */
static void send_cr8(struct kvm *kvm)
{
    const struct intc *intc = &kvm->config.intc;

    kvm->cr8_stale = false;
    if (!intc->ops)
        return;
    kvm_lock(kvm);
    kvm->cr8 = (uint8_t)intc->ops->get_cr8(intc->opaque);
    kvm_unlock(kvm);
    kvm->run->cr8 = kvm->cr8;
}

/* KVM_RUN, and what the last exit tells of the state. False: no exit to handle. */
static bool enter(struct kvm *kvm)
{
    struct kvm_run *run = kvm->run;
    const struct intc *intc = &kvm->config.intc;
    int result;

    kvm->raw_valid = false;
    kvm->ran = true;
    kvm->stats.entries++;
    result = ioctl(kvm->fd, KVM_RUN, 0);
    kvm->completing = false;
    kvm->ready = run->ready_for_interrupt_injection;
    if (run->cr8 != kvm->cr8 && intc->ops && !kvm->has_chips) {
        kvm->cr8 = (uint8_t)run->cr8;
        kvm_lock(kvm);
        intc->ops->set_cr8(intc->opaque, kvm->cr8);
        kvm_unlock(kvm);
    }
    if (!result)
        return true;
    if (errno == EINTR || errno == EAGAIN)
        kvm->stats.signals++;
    else
        kvm_fail(kvm, "KVM_RUN: %s", strerror(errno));
    return false;
}

bool kvm_complete(struct kvm *kvm)
{
    /* An access may be made in several parts, an exit each; no instruction has as many as this. */
    for (unsigned parts = 0; kvm->completing && parts < 64; parts++) {
        __atomic_store_n(&kvm->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
        if (enter(kvm))
            kvm_access_exit(kvm);
    }
    __atomic_store_n(&kvm->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
    return !kvm->broken;
}

void kvm_drain(struct kvm *kvm)
{
    for (unsigned n = 0; n < 64 && !kvm->broken; n++) {
        __atomic_store_n(&kvm->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
        if (!enter(kvm)) {
            if (!__atomic_load_n(&kvm->run->immediate_exit, __ATOMIC_SEQ_CST))
                return;
        } else if (kvm_is_access(kvm)) {
            kvm_access_exit(kvm);
        } else {
            kvm->exit_waits = true;
            return;
        }
    }
}

/* While the kernel won't have the state: in slices, after each of which it is asked again. */
#define SLICE 1000000

static enum cpu_exit run_software(struct kvm *kvm)
{
    enum cpu_exit exit = cpu_run(kvm->cpu, SLICE);

    kvm->stats.unfit++;
    cpu_pull(kvm->cpu);
    cpu_forget_code(kvm->cpu); /* the kernel's turn may change it unseen */
    return exit;
}

/* What KVM has no words for: the software CPU does it, an instruction or event at a time. */
static bool needs_software(const struct kvm *kvm, unsigned requests)
{
    return requests & (CPU_REQUEST_START | CPU_REQUEST_A20) || (kvm->home && kvm->s->pending_debug);
}

static bool wakes(const struct kvm *kvm, unsigned requests)
{
    return requests & (CPU_REQUEST_NMI | CPU_REQUEST_START) ||
           (requests & CPU_REQUEST_INTR && kvm->s->rflags & FLAG_IF && kvm->s->activity == CPU_HALTED);
}

/* One round: up to an exit and what it asks for. True when *exit says to leave. */
static bool round_trip(struct kvm *kvm, enum cpu_exit *exit)
{
    unsigned requests;

    __atomic_store_n(&kvm->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
    atomic_store(&kvm->inside, true);
    requests = cpu_requests(kvm->cpu);
    *exit = CPU_EXIT_KICK;
    if (kvm->exit_waits) {
        kvm->exit_waits = false;
        atomic_store(&kvm->inside, false);
        return kvm_exit(kvm, exit);
    }
    if (atomic_exchange(&kvm->kicked, false) || requests & CPU_REQUEST_KICK || kvm->broken) {
        cpu_take_request(kvm->cpu, CPU_REQUEST_KICK);
        return true;
    }
    if (kvm->s->activity == CPU_SHUTDOWN) {
        *exit = CPU_EXIT_SHUTDOWN;
        return true;
    }
    if (kvm->s->activity != CPU_RUNNING && !wakes(kvm, requests)) {
        *exit = CPU_EXIT_HALT;
        return true;
    }
    if (kvm->s->activity == CPU_HALTED)
        kvm->s->activity = CPU_RUNNING;
    if (kvm->user_only && !kvm_user_turn(kvm, requests)) {
        atomic_store(&kvm->inside, false);
        return !kvm_home(kvm) || kvm_user_software(kvm, exit);
    }
    if (needs_software(kvm, requests)) {
        atomic_store(&kvm->inside, false);
        return kvm_home(kvm) && kvm_software(kvm, exit);
    }
    if (kvm_stopped(kvm)) {
        atomic_store(&kvm->inside, false);
        return kvm_debug_step(kvm, exit);
    }
    kvm_debug_take(kvm);
    if (!kvm_take(kvm)) {
        atomic_store(&kvm->inside, false);
        *exit = kvm->unfit ? run_software(kvm) : CPU_EXIT_KICK;
        return true;
    }
    if (!kvm_chips_take(kvm) || !kvm_chips_route(kvm))
        return true;
    if (atomic_exchange(&kvm->map_stale, false))
        kvm_memory_update(kvm);
    if (!kvm->user_only) /* what comes now is poked for */
        offer_interrupts(kvm, cpu_requests(kvm->cpu));
    if (kvm->cr8_stale && !kvm->has_chips)
        send_cr8(kvm);
    bool exited = enter(kvm);
    atomic_store(&kvm->inside, false);
    return exited && kvm_exit(kvm, exit);
}

static enum cpu_exit kvm_run(struct cpu *cpu, uint64_t budget)
{
    struct kvm *kvm = kvm_of(cpu);
    enum cpu_exit exit = CPU_EXIT_KICK;

    (void)budget; /* who wants the CPU kicks */
    kvm->thread = pthread_self();
    kvm_tsc_return(kvm);
    while (!round_trip(kvm, &exit))
        ;
    atomic_store(&kvm->inside, false);
    kvm_chips_home(kvm);
    kvm_tsc_leave(kvm);
    return exit;
}

static void kvm_pull(struct cpu *cpu)
{
    struct kvm *kvm = kvm_of(cpu);

    kvm->thread = pthread_self();
    kvm_home(kvm);
}

static void kvm_push(struct cpu *cpu)
{
    struct kvm *kvm = kvm_of(cpu);

    kvm->home = true;
    cpu_push(cpu);
    if (!kvm->user_only)
        kvm_take(kvm); /* refused: the software CPU runs it, see round_trip() */
}

/* --- Life
 * -------------------------------------------------------------------------------------------------------- */

static void release(void *data)
{
    struct kvm *kvm = data;

    kvm_memory_end(kvm);
    if (kvm->run)
        munmap(kvm->run, kvm->run_size);
    if (kvm->fd >= 0)
        close(kvm->fd);
    if (kvm->vm >= 0)
        close(kvm->vm);
    if (kvm->device >= 0)
        close(kvm->device);
    free(kvm);
}

/* Signals are the process's: one that somebody else already has is left to him. */
static void catch_kicks(void)
{
    struct sigaction old, new = {.sa_handler = on_kick};
    sigset_t kick;

    sigemptyset(&new.sa_mask);
    if (!sigaction(KVM_KICK_SIGNAL, NULL, &old) && old.sa_handler == SIG_DFL)
        sigaction(KVM_KICK_SIGNAL, &new, NULL);
    sigemptyset(&kick);
    sigaddset(&kick, KVM_KICK_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &kick, NULL); /* which the CPU's thread inherits */
}

static bool open_vcpu(struct kvm *kvm, const struct engine_options *options, char *why, size_t why_size)
{
    int size;

    kvm->device = kvm_open(why, why_size);
    if (kvm->device < 0)
        return false;
    kvm->vm = ioctl(kvm->device, KVM_CREATE_VM, 0);
    if (kvm->vm < 0) {
        snprintf(why, why_size, "KVM_CREATE_VM: %s", strerror(errno));
        return false;
    }
    /* Places that Intel's processors without "unrestricted guest" need; above all RAM, below the BIOS. */
    ioctl(kvm->vm, KVM_SET_IDENTITY_MAP_ADDR, &(uint64_t){0xfeffc000});
    ioctl(kvm->vm, KVM_SET_TSS_ADDR, 0xfeffd000ul);
    if (options)
        kvm_user_setup(kvm, options->code);
    if (options && !kvm_chips_create(kvm, options->irqchip, options->irqchips, why, why_size))
        return false;
    kvm->fd = ioctl(kvm->vm, KVM_CREATE_VCPU, (unsigned long)kvm->config.id);
    if (kvm->fd < 0) {
        snprintf(why, why_size, "KVM_CREATE_VCPU: %s", strerror(errno));
        return false;
    }
    size = ioctl(kvm->device, KVM_GET_VCPU_MMAP_SIZE, 0);
    kvm->run_size = size > 0 ? (size_t)size : sizeof(struct kvm_run);
    kvm->run = mmap(NULL, kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, kvm->fd, 0);
    if (kvm->run == MAP_FAILED) {
        kvm->run = NULL;
        snprintf(why, why_size, "mapping KVM's page for a CPU: %s", strerror(errno));
        return false;
    }
    return true;
}

static bool set_up(struct kvm *kvm, const struct engine_options *options, char *why, size_t why_size)
{
    struct kvm_enable_cap failures = {.cap = KVM_CAP_EXIT_ON_EMULATION_FAILURE, .args = {1}};

    if (!open_vcpu(kvm, options, why, why_size))
        return false;
    kvm_get_offer(kvm->vm, kvm->fd, &kvm->offer);
    if (kvm->offer.emulation_exits && !KVM_IOCTL(kvm->vm, KVM_ENABLE_CAP, &failures, why, why_size))
        return false;
    if (!kvm_cpuid_setup(kvm, why, why_size) || !kvm_msr_setup(kvm, why, why_size) ||
        !kvm_memory_setup(kvm, why, why_size))
        return false;
    kvm_state_setup(kvm);
    if (kvm->config.tsc_hz / 1000 != kvm->offer.tsc_khz &&
        ioctl(kvm->fd, KVM_SET_TSC_KHZ, (unsigned long)(kvm->config.tsc_hz / 1000))) {
        snprintf(why, why_size,
                 "the guest's TSC counts at %llu MHz, and KVM here knows %u MHz only: start the machine with "
                 "--accel kvm",
                 (unsigned long long)kvm->config.tsc_hz / 1000000, kvm->offer.tsc_khz / 1000);
        return false;
    }
    return true;
}

static struct kvm *kvm_new(struct cpu *cpu, const struct engine_options *options, char *why, size_t why_size)
{
    struct kvm *kvm;

    if (posix_memalign((void **)&kvm, 64, sizeof(*kvm))) {
        snprintf(why, why_size, "out of memory for KVM");
        return NULL;
    }
    memset(kvm, 0, sizeof(*kvm));
    kvm->cpu = cpu;
    kvm->s = cpu_state(cpu);
    kvm->device = kvm->vm = kvm->fd = -1;
    cpu_get_config(cpu, &kvm->config);
    if (set_up(kvm, options, why, why_size))
        return kvm;
    release(kvm);
    return NULL;
}

static bool kvm_attach(struct cpu *cpu, const struct engine_options *options, char *why, size_t why_size)
{
    struct kvm *kvm = kvm_of(cpu);

    if (!kvm) {
        kvm = kvm_new(cpu, options, why, why_size);
        if (!kvm)
            return false;
        cpu_set_engine(cpu, &(struct cpu_engine){kvm, poke, release});
    }
    if (kvm_cpuid_in_the_way(kvm, why, why_size))
        return false;
    if (options)
        kvm->options = *options;
    catch_kicks();
    kvm->home = true;
    kvm->raw_valid = kvm->unfit = kvm->exit_waits = false;
    kvm->invalidations = UINT64_MAX;
    atomic_store(&kvm->map_stale, true);
    atomic_store(&kvm->attached, true);
    cpu_forget_code(cpu);
    return true;
}

/* The VM is kept for the next time. */
static void kvm_detach(struct cpu *cpu)
{
    struct kvm *kvm = kvm_of(cpu);

    kvm_home(kvm);
    atomic_store(&kvm->attached, false);
    cpu_forget_code(cpu);
}

static void kvm_stats(struct cpu *cpu, FILE *out)
{
    struct kvm *kvm = kvm_of(cpu);

    if (kvm)
        kvm_print_stats(kvm, out);
}

const struct engine engine_kvm = {
    .name = "kvm",
    .about = "the host's hardware virtualisation, by Linux's KVM",
    .probe = kvm_probe,
    .report = kvm_report,
    .user_only = kvm_user_only,
    .lacking = kvm_lacking,
    .tsc_hz = kvm_tsc_hz,
    .tsc_now = kvm_tsc_now,
    .attach = kvm_attach,
    .detach = kvm_detach,
    .stops = kvm_stops,
    .run = kvm_run,
    .kick = kvm_kick,
    .pull = kvm_pull,
    .push = kvm_push,
    .print_stats = kvm_stats,
};
