/*
 * host_fault.c - signals that the host raises in translated code; see host_fault.h.
 *
 * The file-static state here is deliberate: a process has one set of signal handlers, and a handler finds its
 * data nowhere else. The list of code memories changes with its lock held; the handler reads it without,
 * which is safe for the one entry that it looks for: that of the CPU whose thread was interrupted.
 */
#include "accel/host_fault.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ucontext.h>

#define STACK_SIZE (128u << 10)

struct watched {
    struct watched *next;
    struct cpu *cpu;
    const uint8_t *code;
    size_t size;
    struct engine_options options;
    bool has_thread; /* which has `stack` */
    pthread_t thread;
    uint8_t stack[STACK_SIZE];
};

static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};

#define SIGNALS (sizeof(signals) / sizeof(signals[0]))

static struct {
    pthread_mutex_t lock;
    struct watched *first;
    bool installed;
    struct sigaction before[SIGNALS];
} host_fault = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct watched *find(const uint8_t *pc)
{
    for (struct watched *w = __atomic_load_n(&host_fault.first, __ATOMIC_ACQUIRE); w; w = w->next)
        if (pc >= w->code && pc < w->code + w->size)
            return w;
    return NULL;
}

static void report(const struct watched *w, int number, const siginfo_t *info, const mcontext_t *host)
{
    static const uint8_t registers[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                          REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                          REG_R12, REG_R13, REG_R14, REG_R15};
    struct cpu_block block;
    /* Who sends a signal names no address; and of a general protection fault the host knows none. */
    struct cpu_host_fault fault = {.cpu = w->cpu,
                                   .signal = number,
                                   .address = info->si_addr,
                                   .addressed = info->si_code > 0 && info->si_code != SI_KERNEL,
                                   .pc = (const uint8_t *)host->gregs[REG_RIP],
                                   .rflags = (uint64_t)host->gregs[REG_EFL]};

    for (unsigned n = 0; n < 16; n++)
        fault.gpr[n] = (uint64_t)host->gregs[registers[n]];
    if (cpu_block_at(w->cpu, fault.pc, &block))
        fault.block = &block;
    w->options.broken(w->options.opaque, &fault);
    abort();
}

/* As if we had never been there. */
static void pass_on(int number, siginfo_t *info, void *context)
{
    const struct sigaction *before = NULL;

    for (unsigned n = 0; n < SIGNALS; n++)
        if (signals[n] == number)
            before = &host_fault.before[n];
    if (before->sa_flags & SA_SIGINFO) {
        before->sa_sigaction(number, info, context);
    } else if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN) {
        before->sa_handler(number);
    } else { /* delivered again when this handler is done */
        sigaction(number, before, NULL);
        raise(number);
    }
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    const mcontext_t *host = &((ucontext_t *)context)->uc_mcontext;
    const struct watched *w = find((const uint8_t *)host->gregs[REG_RIP]);
    int saved = errno;

    if (w && w->options.broken)
        report(w, number, info, host);
    else
        pass_on(number, info, context);
    errno = saved;
}

/* Lock held. */
static void install(void)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};

    if (host_fault.installed)
        return;
    host_fault.installed = true;
    sigemptyset(&action.sa_mask);
    for (unsigned n = 0; n < SIGNALS; n++)
        sigaction(signals[n], &action, &host_fault.before[n]);
}

bool host_fault_watch(struct cpu *cpu, const struct cpu_code *code, const struct engine_options *options)
{
    struct watched *w = calloc(1, sizeof(*w));

    if (!w)
        return false;
    w->cpu = cpu;
    w->code = code->exec;
    w->size = code->size;
    w->options = *options;
    pthread_mutex_lock(&host_fault.lock);
    install();
    w->next = host_fault.first;
    __atomic_store_n(&host_fault.first, w, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&host_fault.lock);
    return true;
}

void host_fault_thread(const struct cpu *cpu)
{
    struct watched *w;
    stack_t now;

    pthread_mutex_lock(&host_fault.lock);
    for (w = host_fault.first; w && w->cpu != cpu; w = w->next)
        ;
    pthread_mutex_unlock(&host_fault.lock);
    if (!w || (w->has_thread && pthread_equal(w->thread, pthread_self())))
        return;
    w->has_thread = true;
    w->thread = pthread_self();
    if (!sigaltstack(NULL, &now) && now.ss_flags & SS_DISABLE)
        sigaltstack(&(stack_t){.ss_sp = w->stack, .ss_size = sizeof(w->stack)}, NULL);
}

void host_fault_forget(const void *exec)
{
    struct watched **at, *w;
    stack_t now;

    pthread_mutex_lock(&host_fault.lock);
    for (at = &host_fault.first; *at && (*at)->code != exec; at = &(*at)->next)
        ;
    w = *at;
    if (w)
        __atomic_store_n(at, w->next, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&host_fault.lock);
    /* Another thread that had the stack has ended. */
    if (w && !sigaltstack(NULL, &now) && now.ss_sp == w->stack)
        sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
    free(w);
}
