/*
 * native.c - a case by the host processor.
 *
 * native_enter loads the whole state and leaves to the case by IRET; the exception that ends it comes back as
 * a signal, whose context holds the state it left. The handler runs on a stack of its own, puts the FS base
 * back, notes the state and goes straight to native_leave. A timer of the process's own time ends what
 * doesn't end.
 */
#include <cpuid.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#include "tests/oracle/oracle.h"

#define TICK_US   20000
#define MAX_TICKS 4

#define HWCAP2_FSGSBASE_BIT 2u

/* What native_enter takes: the state, with IRET's frame behind it. */
struct entry {
    struct machine machine;
    uint64_t frame[5]; /* RIP, CS, RFLAGS, RSP, SS */
    uint64_t mask;     /* of XRSTOR */
    uint64_t far;      /* enter by a far jump: IRET to a 16-bit stack would keep half of this one's pointer */
};

_Static_assert(offsetof(struct entry, machine.gpr) == 832, "native_enter knows the layout");
_Static_assert(offsetof(struct entry, machine.fs_base) == 976, "native_enter knows the layout");
_Static_assert(offsetof(struct entry, machine.seg) == 992, "native_enter knows the layout");
_Static_assert(offsetof(struct entry, frame) == 1024, "native_enter knows the layout");

/* Where signals lead; a handler has no other way to know. */
static struct {
    struct entry entry;
    struct outcome *out;
    volatile sig_atomic_t running, ticks;
    const struct features *features;
    uint8_t *signal_stack;
} native;

/* For the assembly. */
uint64_t native_host_sp, native_host_fs;
uint8_t native_fsgsbase;
struct {
    uint32_t offset;
    uint16_t selector;
} __attribute__((aligned(8))) native_target;

void native_enter(struct entry *entry);
_Noreturn void native_leave(void);
void native_signal(int signal, siginfo_t *info, void *context);
void native_handle(int signal, siginfo_t *info, void *context, uint64_t fs_base, uint64_t gs_base,
                   uint64_t selectors);

/* All but RSP; RDI, the pointer, last. */
#define LOAD_REGISTERS                                                                                       \
    "    mov 832(%rdi), %rax\n"                                                                              \
    "    mov 840(%rdi), %rcx\n"                                                                              \
    "    mov 848(%rdi), %rdx\n"                                                                              \
    "    mov 856(%rdi), %rbx\n"                                                                              \
    "    mov 872(%rdi), %rbp\n"                                                                              \
    "    mov 880(%rdi), %rsi\n"                                                                              \
    "    mov 896(%rdi), %r8\n"                                                                               \
    "    mov 904(%rdi), %r9\n"                                                                               \
    "    mov 912(%rdi), %r10\n"                                                                              \
    "    mov 920(%rdi), %r11\n"                                                                              \
    "    mov 928(%rdi), %r12\n"                                                                              \
    "    mov 936(%rdi), %r13\n"                                                                              \
    "    mov 944(%rdi), %r14\n"                                                                              \
    "    mov 952(%rdi), %r15\n"                                                                              \
    "    mov 888(%rdi), %rdi\n"

__asm__(".pushsection .text\n"
        "native_enter:\n"
        "    push %rbx\n"
        "    push %rbp\n"
        "    push %r12\n"
        "    push %r13\n"
        "    push %r14\n"
        "    push %r15\n"
        "    mov %rsp, native_host_sp(%rip)\n"
        "    mov 1064(%rdi), %eax\n"
        "    xor %edx, %edx\n"
        "    xrstor64 (%rdi)\n"
        "    movzwl 992(%rdi), %eax\n"
        "    mov %eax, %es\n"
        "    movzwl 998(%rdi), %eax\n"
        "    mov %eax, %ds\n"
        "    cmpb $0, native_fsgsbase(%rip)\n"
        "    je 1f\n"
        /* Selectors before bases, since the one sets the other. */
        "    movzwl 1000(%rdi), %eax\n"
        "    mov %fs, %ecx\n"
        "    cmp %ax, %cx\n"
        "    je 2f\n"
        "    mov %eax, %fs\n"
        "2:  movzwl 1002(%rdi), %eax\n"
        "    mov %gs, %ecx\n"
        "    cmp %ax, %cx\n"
        "    je 2f\n"
        "    mov %eax, %gs\n"
        "2:  mov 976(%rdi), %rax\n"
        "    wrfsbase %rax\n"
        "    mov 984(%rdi), %rax\n"
        "    wrgsbase %rax\n"
        "1:  cmpb $0, 1072(%rdi)\n"
        "    jne 3f\n"
        "    lea 1024(%rdi), %rsp\n" LOAD_REGISTERS "    iretq\n"
        "3:  pushq 1040(%rdi)\n"
        "    popfq\n"
        "    movzwl 996(%rdi), %eax\n"
        "    mov %eax, %ss\n"
        "    mov 864(%rdi), %rsp\n" LOAD_REGISTERS "    ljmpl *native_target(%rip)\n"
        "native_leave:\n"
        "    mov native_host_sp(%rip), %rsp\n"
        "    pop %r15\n"
        "    pop %r14\n"
        "    pop %r13\n"
        "    pop %r12\n"
        "    pop %rbp\n"
        "    pop %rbx\n"
        "    ret\n"
        /* The kernel leaves AC, NT and the FS base as the case had them; C needs them as they were. */
        "native_signal:\n"
        "    pushfq\n"
        "    andl $~0x44000, (%rsp)\n"
        "    popfq\n"
        "    xor %ecx, %ecx\n"
        "    xor %r8d, %r8d\n"
        "    cmpb $0, native_fsgsbase(%rip)\n"
        "    je 1f\n"
        "    rdfsbase %rcx\n"
        "    rdgsbase %r8\n"
        "    mov native_host_fs(%rip), %rax\n"
        "    wrfsbase %rax\n"
        "1:  push %rcx\n"
        "    mov %gs, %r9d\n"
        "    shl $16, %r9\n"
        "    mov %fs, %eax\n"
        "    or %rax, %r9\n"
        "    shl $16, %r9\n"
        "    mov %ds, %eax\n"
        "    or %rax, %r9\n"
        "    shl $16, %r9\n"
        "    mov %es, %eax\n"
        "    or %rax, %r9\n"
        "    call native_handle\n"
        "    pop %rcx\n"
        "    cmpb $0, native_fsgsbase(%rip)\n"
        "    je 1f\n"
        "    wrfsbase %rcx\n"
        "1:  ret\n"
        ".popsection\n");

bool native_has_fsgsbase(void)
{
    return getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_BIT;
}

/* Whether this kernel lets programs have an LDT. */
bool native_has_ldt(void)
{
    uint64_t none;

    return syscall(SYS_modify_ldt, 0, &none, sizeof(none)) >= 0;
}

/* Wider addresses change what WRFSBASE takes, whether they are enabled or not. */
bool native_has_la57(void)
{
    unsigned eax, ebx, ecx, edx;

    return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (ecx >> 16 & 1);
}

/* Only where AVX is enabled. */
uint64_t native_xcr0(void)
{
    uint32_t low, high;

    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

uint64_t native_cpu_limit(void)
{
    uint64_t limit = 0;

    __asm__("lsl %1, %0" : "+r"(limit) : "r"(0x7bull) : "cc");
    return limit & 0xffff;
}

/* The XSAVE image that the kernel left beside the context; components that were in their initial state are
 * not in it. */
static void note_vectors(struct machine *m, const uint8_t *image)
{
    uint64_t present = 3;
    uint32_t magic;

    memcpy(m->fx, image, 416);
    memset(m->fx + 416, 0, 96);
    memset(m->ymm_high, 0, sizeof(m->ymm_high));
    memset(m->xsave_header, 0, sizeof(m->xsave_header));
    memcpy(&magic, image + 464, 4);
    if (magic == 0x46505853) {
        memcpy(&present, image + 512, 8);
        if (present & 4)
            memcpy(m->ymm_high, image + 576, 256);
    }
    if (!(present & 1)) {
        static const uint8_t initial[8] = {0x7f, 3};

        memset(m->fx, 0, 24);
        memcpy(m->fx, initial, 8);
        memset(m->fx + FX_ST, 0, 128);
    }
    if (!(present & 2))
        memset(m->fx + FX_XMM, 0, 256);
    memset(m->fx + 28, 0, 4); /* MXCSR_MASK */
}

void native_handle(int signal, siginfo_t *info, void *context, uint64_t fs_base, uint64_t gs_base,
                   uint64_t selectors)
{
    static const uint8_t order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                      REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    const ucontext_t *uc = context;
    const greg_t *gregs = uc->uc_mcontext.gregs;
    struct outcome *out = native.out;
    struct machine *m;

    (void)info;
    if (!native.running) {
        if (signal == SIGVTALRM)
            return;
        sigaction(signal, &(struct sigaction){.sa_handler = SIG_DFL}, NULL); /* our own mistake */
        return;
    }
    if (signal == SIGVTALRM && ++native.ticks < MAX_TICKS)
        return;
    native.running = 0;
    m = &out->machine;
    out->end = signal == SIGVTALRM ? END_NEVER : END_EXCEPTION;
    out->vector = (unsigned)gregs[REG_TRAPNO];
    out->error = (uint32_t)gregs[REG_ERR];
    out->cr2 = (uint64_t)gregs[REG_CR2];
    for (unsigned n = 0; n < 16; n++)
        m->gpr[n] = (uint64_t)gregs[order[n]];
    m->rip = (uint64_t)gregs[REG_RIP];
    m->rflags = (uint64_t)gregs[REG_EFL];
    m->seg[CS] = (uint16_t)gregs[REG_CSGSFS];
    m->seg[SS] = (uint16_t)((uint64_t)gregs[REG_CSGSFS] >> 48);
    m->seg[ES] = (uint16_t)selectors;
    m->seg[DS] = (uint16_t)(selectors >> 16);
    m->seg[FS] = (uint16_t)(selectors >> 32);
    m->seg[GS] = (uint16_t)(selectors >> 48);
    m->fs_base = fs_base;
    m->gs_base = gs_base;
    note_vectors(m, (const uint8_t *)uc->uc_mcontext.fpregs);
    native_leave();
}

static bool map_at(uint64_t address, uint64_t size, int protection, int flags, int fd, uint64_t offset)
{
    void *want = (void *)(uintptr_t)address;

    return mmap(want, size, protection, flags | MAP_FIXED_NOREPLACE, fd, (off_t)offset) == want;
}

/* The window's pages in a file, so that DATA can be mapped at several places, and room around them. */
static bool map_pages(const uint8_t *const_page, bool *low, char *why, size_t why_size)
{
    int fd = memfd_create("oracle", 0), rw = PROT_READ | PROT_WRITE;
    bool ok = fd >= 0 && !ftruncate(fd, CODE_SIZE + DATA_SIZE + PAGE) &&
              pwrite(fd, const_page, PAGE, CODE_SIZE + DATA_SIZE) == (ssize_t)PAGE &&
              map_at(CODE, CODE_SIZE, rw | PROT_EXEC, MAP_SHARED, fd, 0) &&
              map_at(DATA, DATA_SIZE, rw, MAP_SHARED, fd, CODE_SIZE) &&
              map_at(CONST, PAGE, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, CODE_SIZE + DATA_SIZE) &&
              map_at(DATA_HIGH, DATA_SIZE, rw, MAP_SHARED, fd, CODE_SIZE) &&
              map_at(DATA_TOP, DATA_SIZE, rw, MAP_SHARED, fd, CODE_SIZE);

    if (!ok)
        snprintf(why, why_size, "can't map the test pages at their places: %s", strerror(errno));
    *low = ok && map_at(DATA_LOW, DATA_SIZE, rw, MAP_SHARED, fd, CODE_SIZE);
    if (fd >= 0)
        close(fd);
    return ok;
}

bool native_init(const uint8_t *const_page, const struct features *features, bool *low, char *why,
                 size_t why_size)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGVTALRM};
    struct itimerval timer = {{0, TICK_US}, {0, TICK_US}};
    struct sigaction action = {.sa_sigaction = native_signal,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    stack_t stack = {.ss_size = 256u << 10};

    native.features = features;
    native_fsgsbase = features->fsgsbase;
    if (native_fsgsbase)
        __asm__ volatile("rdfsbase %0" : "=r"(native_host_fs));
    if (!map_pages(const_page, low, why, why_size))
        return false;
    if (features->ldt && !ldt_install()) {
        snprintf(why, why_size, "can't set up an LDT: %s", strerror(errno));
        return false;
    }
    stack.ss_sp = native.signal_stack = malloc(stack.ss_size);
    if (!native.signal_stack || sigaltstack(&stack, NULL)) {
        snprintf(why, why_size, "can't set up a signal stack: %s", strerror(errno));
        return false;
    }
    for (unsigned n = 0; n < sizeof(signals) / sizeof(signals[0]); n++)
        sigaction(signals[n], &action, NULL);
    memset((void *)(uintptr_t)CODE, 0xcc, CODE_SIZE);
    setitimer(ITIMER_VIRTUAL, &timer, NULL);
    return true;
}

void native_run(const struct test_case *c, struct outcome *out)
{
    struct entry *e = &native.entry;
    uint8_t *code = (uint8_t *)(uintptr_t)CODE, *data = (uint8_t *)(uintptr_t)DATA;

    memcpy(data, c->data, DATA_SIZE);
    memset(code, 0xcc, CODE_SIZE);
    memcpy(code + (c->entry - CODE), c->bytes, c->length);
    e->machine = c->start;
    e->frame[0] = c->start.rip;
    e->frame[1] = c->start.seg[CS];
    e->frame[2] = c->start.rflags;
    e->frame[3] = c->start.gpr[RSP];
    e->frame[4] = c->start.seg[SS];
    e->mask = native.features->avx ? 7 : 3;
    e->far = selector_bits(c->start.seg[CS]) != 64;
    native_target.offset = (uint32_t)c->start.rip;
    native_target.selector = c->start.seg[CS];
    native.out = out;
    native.ticks = 0;
    native.running = 1;
    native_enter(e);
    memcpy(out->data, data, DATA_SIZE);
    memcpy(out->code, code, CODE_SIZE);
}

/* Read anew each time: the allocator's mappings come and go. It is asked for few cases. */
bool native_occupied(uint64_t linear)
{
    FILE *f = fopen("/proc/self/maps", "r");
    unsigned long long start, end;
    bool found = linear - 0xffffffffff600000ull < PAGE;
    char line[512];

    while (f && fgets(line, sizeof(line), f)) {
        if (sscanf(line, "%llx-%llx", &start, &end) != 2)
            continue;
        if (start == CODE || start == DATA || start == CONST || start == DATA_HIGH || start == DATA_TOP ||
            start == DATA_LOW)
            continue;
        found |= linear + GUARD >= start && linear < end + GUARD;
    }
    if (f)
        fclose(f);
    return found || !f;
}
