/*
 * torture.c - long computations that have all of the processor's registers in use, with timer interrupts in
 * between, for some seconds: somebody changes the engine under it meanwhile (--switch-at every=), and nothing
 * of it may show.
 *
 * The work is done at CPL 3. Each piece has a result that is known beforehand by another way than repeating
 * it. "seconds=N" on the command line says how long; 2 by default. By hand, for minutes:
 *
 *     ./oxbow --headless --exit-device --switch-at every=0.003:interp,jit --append seconds=300 \
 *         --kernel tests/guest/torture.elf
 *
 * BEGIN and END are printed around the time that ELAPSED tells in ms, so that who listens can hold a watch
 * against it.
 */
#include "lib.h"

enum {
    VEC_TIMER = 0x41,
    VEC_SPURIOUS = 0xFF,
    LAPIC_EOI = 0xB0,
    LAPIC_SVR = 0xF0,
    LAPIC_LVT_TIMER = 0x320,
    LAPIC_LVT_LINT0 = 0x350,
    LAPIC_INITIAL = 0x380,
    LAPIC_CURRENT = 0x390,
    LAPIC_DIVIDE = 0x3E0,
    LVT_MASKED = 1 << 16,
    LVT_PERIODIC = 1 << 17,
    LVT_DEADLINE = 2 << 17,
    DIVIDE_1 = 11,
    MSR_TSC_DEADLINE = 0x6E0,
    TURNS = 100000, /* of each loop */
    WORDS = 65536,  /* of memory */
};
#define LCG_A 6364136223846793005ull
#define LCG_C 1442695040888963407ull

static volatile uint32_t *const lapic = (uint32_t *)0xFEE00000;
static volatile uint64_t *const hpet = (uint64_t *)0xFED00000;

/* --- The work ------------------------------------------------------------------------------------------ */

/* Each ends by UD2: INT n from CPL 3 is more than some hosts' KVM can do. */

/* All general registers: R8 goes through a generator's sequence, RDX:RAX counts in 128 bits, the others by
 * steps. */
SNIPPET(integers, "mov $100000, %ecx; movabs $6364136223846793005, %r10; movabs $1442695040888963407, %r11",
        "1: imul %r10, %r8; add %r11, %r8; add %r11, %rax; adc $0, %rdx; add $3, %rbx; sub $5, %rsi; add $7, "
        "%rdi;"
        "xor %ecx, %r9d; lea 11(%rbp), %rbp; add $13, %r12; sub $17, %r13; add $19, %r14; add $23, %r15;"
        "dec %ecx; jnz 1b",
        "ud2");

/* Memory is filled, then read back: RBX counts what is wrong. */
SNIPPET(memory, "mov %rdi, %rsi; mov %r8, %rax; movabs $6364136223846793005, %r10; mov $65536, %ecx",
        "1: imul %r10, %rax; inc %rax; mov %rax, (%rdi); add $8, %rdi; dec %ecx; jnz 1b;"
        "mov %r8, %rdx; mov $65536, %ecx;"
        "2: imul %r10, %rdx; inc %rdx; lodsq; cmp %rdx, %rax; setne %al; movzbl %al, %eax; add %rax, %rbx; "
        "loop 2b",
        "ud2");

/* XMM0-7 count in quadwords, XMM8-15 in doubles, which stay whole numbers; rounding goes towards zero
 * meanwhile. */
SNIPPET(vectors,
        "ldmxcsr vector_control(%rip)\n.irp k,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\npxor %xmm\\k, "
        "%xmm\\k\n.endr\n"
        "mov $100000, %ecx",
        "1:\n.irp k,0,1,2,3,4,5,6,7\npaddq vector_steps+32*\\k(%rip), %xmm\\k\n.endr\n"
        ".irp k,8,9,10,11,12,13,14,15\naddpd vector_steps+32*\\k(%rip), %xmm\\k\n.endr\ndec %ecx; jnz 1b\n",
        ".irp k,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\nmovups %xmm\\k, 32*\\k(%rdi)\n.endr\n"
        "cvtsd2si vector_fraction(%rip), %rax; stmxcsr 512(%rdi); movl $0x1f80, 516(%rdi); ldmxcsr "
        "516(%rdi); ud2");

/* The same in doubles with all 256 bits. */
SNIPPET(
    wide_vectors,
    ".irp k,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\nvxorpd %ymm\\k, %ymm\\k, %ymm\\k\n.endr\nmov $100000, "
    "%ecx",
    "1:\n.irp k,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\nvaddpd wide_steps+32*\\k(%rip), %ymm\\k, "
    "%ymm\\k\n.endr\n"
    "dec %ecx; jnz 1b\n",
    ".irp k,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\nvmovupd %ymm\\k, 32*\\k(%rdi)\n.endr\nvzeroupper; ud2");

/* The x87's stack holds seven sums; numbers are rounded up meanwhile. */
SNIPPET(
    floats, "fninit; fldcw float_control(%rip)\n.rept 7\nfldz\n.endr\nmov $100000, %ecx",
    "1:\n.irp k,1,2,3,4,5,6,7\nfilds float_steps+2*\\k(%rip); faddp %st, %st(\\k)\n.endr\ndec %ecx; jnz 1b\n",
    ".irp k,1,2,3,4,5,6,7\nfistpll 8*\\k(%rdi)\n.endr\nfldl float_fraction(%rip); fistpll (%rdi); fnstcw "
    "64(%rdi);"
    "fnstsw 66(%rdi); ud2");

/* RBX counts how often the TSC went back; R9 is the word at FS:0. */
SNIPPET(
    time, "rdtsc; shl $32, %rdx; lea (%rdx,%rax), %rsi; mov $20000, %ecx",
    "1: rdtsc; shl $32, %rdx; add %rdx, %rax; cmp %rsi, %rax; adc $0, %rbx; mov %rax, %rsi; mov %fs:0, %r9;"
    "dec %ecx; jnz 1b",
    "ud2");

#define EACH_OF_16(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define QUADWORDS(k)  ".quad 3 + 2 * " #k ", -5 - " #k ", 0, 0\n"
#define DOUBLES(k)    ".double " #k ", -" #k ", 1" #k ", -1" #k "\n"
__asm__(
    ".pushsection .data\n.balign 32\n"
    "vector_steps: " QUADWORDS(0) QUADWORDS(1) QUADWORDS(2) QUADWORDS(3) QUADWORDS(4) QUADWORDS(5) QUADWORDS(
        6) QUADWORDS(7) DOUBLES(8) DOUBLES(9) DOUBLES(10) DOUBLES(11) DOUBLES(12) DOUBLES(13) DOUBLES(14)
        DOUBLES(15) "wide_steps: " EACH_OF_16(
            DOUBLES) "vector_control: .long 0x7f80\nvector_fraction: .double 1.75\nfloat_fraction: .double "
                     "1.25\n"
                     "float_control: .word 0x0b7f\nfloat_steps: .word 0, 1, 2, 3, 4, 5, 6, 7\n.popsection");

static uint64_t words[WORDS], results[80];
static uint64_t fs_word = 0x6f78626f77;

/* --- What comes of it ---------------------------------------------------------------------------------- */

/* A kind of work: how often it was done, and the first thing that was wrong. */
struct work {
    const char *name;
    void (*fn)(struct work *work);
    unsigned rounds, wrong;
    const char *what;
    uint64_t got, want;
};

static void expect(struct work *w, uint64_t got, uint64_t want, const char *what)
{
    if (got == want || w->wrong++)
        return;
    w->what = what;
    w->got = got;
    w->want = want;
}

static uint64_t random = 0x123456789abcdef;

static uint64_t next_random(void)
{
    random = random * LCG_A + LCG_C;
    return random ^ random >> 29;
}

/* At CPL 3 with interrupts on, to its end. */
static void user(struct work *w, const struct snippet *s, struct regs *r)
{
    r->rip = (uint64_t)s->start;
    r->rflags = 2 | FLAG_IF;
    r->cs = SEL_USER_CODE64;
    r->ss = SEL_USER_DATA;
    r->rsp = (uint64_t)stack3_top;
    run(r);
    expect(w, r->vector, VEC_UD, "vector");
    expect(w, r->rsp, (uint64_t)stack3_top, "RSP");
    expect(w, r->cs, SEL_USER_CODE64, "CS");
    expect(w, r->rflags & ~(uint64_t)(FLAGS_STATUS | FLAG_RF), 2 | FLAG_IF, "RFLAGS");
}

/* The generator's state n steps after x, by squaring the step. */
static uint64_t lcg_after(uint64_t x, unsigned n)
{
    uint64_t a = LCG_A, c = LCG_C;

    for (; n; n >>= 1) {
        if (n & 1)
            x = x * a + c;
        c *= a + 1;
        a *= a;
    }
    return x;
}

static void do_integers(struct work *w)
{
    struct regs r = {0}, start;
    unsigned __int128 sum;

    r.rax = next_random(), r.rbx = next_random(), r.rdx = next_random(), r.rsi = next_random();
    r.rdi = next_random(), r.rbp = next_random(), r.r8 = next_random(), r.r9 = (uint32_t)next_random();
    r.r12 = next_random(), r.r13 = next_random(), r.r14 = next_random(), r.r15 = next_random();
    start = r;
    user(w, &integers, &r);
    sum = ((unsigned __int128)start.rdx << 64 | start.rax) + (unsigned __int128)LCG_C * TURNS;
    expect(w, r.rax, (uint64_t)sum, "RAX");
    expect(w, r.rdx, (uint64_t)(sum >> 64), "RDX");
    expect(w, r.rbx, start.rbx + 3ull * TURNS, "RBX");
    expect(w, r.rcx, 0, "RCX");
    expect(w, r.rsi, start.rsi - 5ull * TURNS, "RSI");
    expect(w, r.rdi, start.rdi + 7ull * TURNS, "RDI");
    expect(w, r.rbp, start.rbp + 11ull * TURNS, "RBP");
    expect(w, r.r8, lcg_after(start.r8, TURNS), "R8");
    expect(w, r.r9, start.r9 ^ TURNS, "R9"); /* 1 ^ 2 ^ ... ^ n is n where n is a multiple of 4 */
    expect(w, r.r10, LCG_A, "R10");
    expect(w, r.r11, LCG_C, "R11");
    expect(w, r.r12, start.r12 + 13ull * TURNS, "R12");
    expect(w, r.r13, start.r13 - 17ull * TURNS, "R13");
    expect(w, r.r14, start.r14 + 19ull * TURNS, "R14");
    expect(w, r.r15, start.r15 + 23ull * TURNS, "R15");
}

static void do_memory(struct work *w)
{
    struct regs r = {.rdi = (uint64_t)words, .r8 = next_random()};

    user(w, &memory, &r);
    expect(w, r.rbx, 0, "words that differ");
    expect(w, r.rax <= 1 && r.rsi == (uint64_t)(words + WORDS), 1, "the end");
    expect(w, words[WORDS - 1], r.rdx, "the last word");
}

/* A whole number below 2^52 as a double. */
static uint64_t as_double(int64_t value)
{
    uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    unsigned top = 63;

    if (!value)
        return 0;
    while (!(size >> top & 1))
        top--;
    return (value < 0 ? 1ull << 63 : 0) | (uint64_t)(1023 + top) << 52 |
           (size << (52 - top) & ((1ull << 52) - 1));
}

/* "1k" as the assembler joined it. */
static int64_t with_a_1(unsigned k)
{
    return k < 10 ? 10 + (int64_t)k : 100 + (int64_t)k;
}

static void do_vectors(struct work *w)
{
    struct regs r = {.rdi = (uint64_t)results};

    user(w, &vectors, &r);
    for (unsigned k = 0; k < 8; k++) {
        expect(w, results[4 * k], (3 + 2 * k) * (uint64_t)TURNS, "a quadword");
        expect(w, results[4 * k + 1], 0 - (5 + k) * (uint64_t)TURNS, "a high quadword");
    }
    for (unsigned k = 8; k < 16; k++) {
        expect(w, results[4 * k], as_double((int64_t)k * TURNS), "a double");
        expect(w, results[4 * k + 1], as_double(-(int64_t)k * TURNS), "a high double");
    }
    expect(w, r.rax, 1, "1.75 rounded towards zero");
    expect(w, (uint32_t)results[64] & ~0x20u, 0x7f80, "MXCSR"); /* but for "inexact" */
}

static void do_wide_vectors(struct work *w)
{
    struct regs r = {.rdi = (uint64_t)results};

    user(w, &wide_vectors, &r);
    for (unsigned k = 0; k < 16; k++) {
        const int64_t steps[4] = {k, -(int64_t)k, with_a_1(k), -with_a_1(k)};

        for (unsigned n = 0; n < 4; n++)
            expect(w, results[4 * k + n] & (k || n > 1 ? ~0ull : ~(1ull << 63)), as_double(steps[n] * TURNS),
                   "a double of YMM");
    }
}

static void do_floats(struct work *w)
{
    struct regs r = {.rdi = (uint64_t)results};

    user(w, &floats, &r);
    for (unsigned k = 1; k < 8; k++)
        expect(w, results[k], (uint64_t)k * TURNS, "a sum");
    expect(w, results[0], 2, "1.25 rounded up");
    expect(w, (uint16_t)results[8], 0x0b7f, "the control word");
    expect(w, (uint16_t)(results[8] >> 16) & 0x3900, 0, "the top of the stack");
}

static void do_time(struct work *w)
{
    struct regs r = {0};

    user(w, &time, &r);
    expect(w, r.rbx, 0, "times the TSC went back");
    expect(w, r.r9, fs_word, "the word at FS:0");
}

/* --- Registers that only have to stay ------------------------------------------------------------------ */

static const struct {
    uint32_t index;
    uint64_t value;
} msrs[] = {
    {0x174, 0x18},
    {0x175, 0xffff812345678000},
    {0x176, 0xffff812345679000},
    {0x277, 0x0007010600070406},
    {0xC0000081, 0x0023001000000000},
    {0xC0000082, 0xffffffff81234560},
    {0xC0000084, 0x47700},
    {0xC0000102, 0xffff888012345000},
};

#define DR(n)          "mov %0, %%dr" #n
#define READ_DR(n, to) __asm__ volatile("mov %%dr" #n ", %0" : "=r"(to))

static void set_system(void)
{
    for (unsigned n = 0; n < sizeof msrs / sizeof *msrs; n++)
        wrmsr(msrs[n].index, msrs[n].value);
    wrmsr(0xC0000100, (uint64_t)&fs_word);
    __asm__ volatile(DR(0) : : "r"(0x1111ull));
    __asm__ volatile(DR(1) : : "r"(0xffff800000002222ull));
    __asm__ volatile(DR(2) : : "r"(0x3333ull));
    __asm__ volatile(DR(3) : : "r"(0x4444ull));
}

static void do_system(struct work *w)
{
    uint64_t dr[4];

    READ_DR(0, dr[0]);
    READ_DR(1, dr[1]);
    READ_DR(2, dr[2]);
    READ_DR(3, dr[3]);
    expect(w, dr[0], 0x1111, "DR0");
    expect(w, dr[1], 0xffff800000002222, "DR1");
    expect(w, dr[2], 0x3333, "DR2");
    expect(w, dr[3], 0x4444, "DR3");
    for (unsigned n = 0; n < sizeof msrs / sizeof *msrs; n++)
        expect(w, rdmsr(msrs[n].index), msrs[n].value, "an MSR");
    expect(w, rdmsr(0xC0000100), (uint64_t)&fs_word, "FS base");
}

/* --- Timers -------------------------------------------------------------------------------------------- */

static volatile unsigned ticks, early;
static volatile bool left_over;    /* the next one may be of the mode before */
static volatile uint64_t earliest;       /* TSC ticks before its time */
static volatile uint64_t deadline, step; /* step: TSC ticks a millisecond; 0: the timer repeats by itself */

static void on_timer(struct frame *frame)
{
    (void)frame;
    ticks = ticks + 1;
    lapic[LAPIC_EOI / 4] = 0;
    if (!step)
        return;
    uint64_t now = rdtsc();
    if (now < deadline && !left_over) {
        early = early + 1;
        if (deadline - now > earliest)
            earliest = deadline - now;
    }
    left_over = false;
    deadline = now + step;
    wrmsr(MSR_TSC_DEADLINE, deadline);
}

static void on_spurious(struct frame *frame)
{
    (void)frame;
}

/* a * b / c, with 128 bits in between. */
static uint64_t scale(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t high;

    __asm__("mul %2; div %3" : "+a"(a), "=&d"(high) : "r"(b), "r"(c) : "cc");
    return a;
}

static uint64_t hpet_ns(void)
{
    return scale(hpet[0xF0 / 8], hpet[0] >> 32, 1000000); /* the period is in fs */
}

struct rates {
    uint64_t tsc, lapic; /* ticks a ms */
};

/* The clocks at one moment: of a few tries the one that was least interrupted. */
static struct sample {
    uint64_t ns, tsc, lapic;
} sample(void)
{
    struct sample best = {0};
    uint64_t least = UINT64_MAX;

    for (unsigned n = 0; n < 20; n++) {
        uint64_t tsc = rdtsc(), ns = hpet_ns(), count = lapic[LAPIC_CURRENT / 4], took = rdtsc() - tsc;

        if (took < least) {
            least = took;
            best = (struct sample){ns, tsc + took / 2, count};
        }
    }
    return best;
}

static struct rates measure(void)
{
    lapic[LAPIC_DIVIDE / 4] = DIVIDE_1;
    lapic[LAPIC_LVT_TIMER / 4] = LVT_MASKED;
    lapic[LAPIC_INITIAL / 4] = 0xFFFFFFFF;
    struct sample begin = sample(), end;
    while (hpet_ns() < begin.ns + 50000000)
        ;
    end = sample();
    lapic[LAPIC_INITIAL / 4] = 0;
    uint64_t took = end.ns - begin.ns;
    struct rates rates = {(end.tsc - begin.tsc) * 1000000 / took, (begin.lapic - end.lapic) * 1000000 / took};
    /* The hypervisor's word counts for more: where a KVM can't set the TSC, it jumps ahead once. */
    if (cpuid(1, 0).c >> 31 && cpuid(0x40000000, 0).a >= 0x40000010 && cpuid(0x40000010, 0).a)
        rates.tsc = cpuid(0x40000010, 0).a;
    return rates;
}

static void start_timer(const struct rates *rates, bool by_deadline)
{
    lapic[LAPIC_LVT_TIMER / 4] = LVT_MASKED;
    left_over = true;
    step = by_deadline ? rates->tsc : 0;
    lapic[LAPIC_LVT_TIMER / 4] = (by_deadline ? LVT_DEADLINE : LVT_PERIODIC) | VEC_TIMER;
    if (by_deadline) {
        deadline = rdtsc() + step;
        wrmsr(MSR_TSC_DEADLINE, deadline);
    } else {
        lapic[LAPIC_INITIAL / 4] = (uint32_t)rates->lapic;
    }
}

/* --- All of it ----------------------------------------------------------------------------------------- */

/* N of "seconds=N" on the command line, which the start information has at byte 24. */
static unsigned seconds(void)
{
    const char *text = *(const char **)(lib_start_info + 24);
    unsigned n = 0;

    for (; text && *text && memcmp(text, "seconds=", 8); text++)
        ;
    for (text += text ? 8 : 0; text && *text >= '0' && *text <= '9'; text++)
        n = 10 * n + (unsigned)(*text - '0');
    return n ? n : 2;
}

static bool enable_vectors(void)
{
    struct cpuid one = cpuid(1, 0);
    bool avx = (one.c >> 26 & 1) && (one.c >> 28 & 1);

    write_cr0((read_cr0() & ~0xCull) | 2);               /* no EM, TS; MP */
    write_cr4(read_cr4() | 0x600 | (avx ? 1 << 18 : 0)); /* OSFXSR, OSXMMEXCPT, OSXSAVE */
    if (avx)
        __asm__ volatile("xsetbv" : : "c"(0), "a"(7), "d"(0));
    return avx;
}

static void about(uint64_t got, uint64_t want, const char *what)
{
    if (got > want + want / 100 || got < want - want / 100)
        test_fail("%s: %lu, not within 1%% of %lu", what, got, want);
}

void guest_main(void)
{
    static struct work works[] = {
        {.name = "integers", .fn = do_integers}, {.name = "memory", .fn = do_memory},
        {.name = "SSE", .fn = do_vectors},       {.name = "x87", .fn = do_floats},
        {.name = "time", .fn = do_time},         {.name = "MSRs and debug registers", .fn = do_system},
        {.name = "AVX", .fn = do_wide_vectors},
    };
    unsigned count = sizeof works / sizeof *works - !enable_vectors();

    handlers[VEC_TIMER] = on_timer;
    handlers[VEC_SPURIOUS] = on_spurious;
    outb(0x21, 0xFF);
    outb(0xA1, 0xFF);
    lapic[LAPIC_SVR / 4] = 0x100 | VEC_SPURIOUS;
    lapic[LAPIC_LVT_LINT0 / 4] = LVT_MASKED;
    hpet[0x10 / 8] |= 1;
    set_system();
    struct rates rates = measure(), again;
    bool by_deadline = false, deadlines = cpuid(1, 0).c >> 24 & 1;
    struct sample first = sample(), last;
    uint64_t begin = first.ns, end = begin + seconds() * 1000000000ull;
    print("BEGIN\n");
    start_timer(&rates, false);
    while (hpet_ns() < end) {
        for (unsigned n = 0; n < count; n++) {
            works[n].rounds++;
            works[n].fn(&works[n]);
        }
        if (!by_deadline && deadlines && hpet_ns() > begin / 2 + end / 2)
            start_timer(&rates, by_deadline = true);
    }
    last = sample();
    uint64_t took = last.ns - first.ns;
    step = 0;
    lapic[LAPIC_LVT_TIMER / 4] = LVT_MASKED;
    print("END\nELAPSED %lu\n", took / 1000000);

    for (unsigned n = 0; n < count; n++) {
        test_begin(works[n].name);
        if (works[n].wrong)
            test_fail("%u times in %u rounds, first %s: 0x%lx, not 0x%lx", works[n].wrong, works[n].rounds,
                      works[n].what, works[n].got, works[n].want);
        test_end();
    }
    if (count < sizeof works / sizeof *works)
        test_skip("AVX", "the CPU lacks it");
    test_begin("the TSC keeps its rate");
    about((last.tsc - first.tsc) / rates.tsc, took / 1000000, "ms by the TSC");
    again = measure();
    about(again.lapic, rates.lapic, "APIC timer ticks a ms");
    test_end();
    test_begin("timer interrupts come, and none before its time");
    if (early)
        test_fail("%u early ones, by %lu ticks at most", early, earliest);
    if (ticks < took / 1000000 / 20 || ticks > took / 1000000 + took / 50000000 + 5)
        test_fail("%u of them in %lu ms, at one a ms", ticks, took / 1000000);
    test_end();
    test_result();
}
