/*
 * test_xsave.c - the XSAVE family (SDM 1 chapter 13): rules of XCR0 and of headers, sizes, formats, faults;
 * and, where the host has the instructions, what its processor makes of random states and areas.
 */
#include <signal.h>
#include <stdio.h>

#include "cpu/fpu.h"
#include "cpu/system.h"
#include "cpu/xsave.h"
#include "tests/unit/cpu_rig.h"

#define OK        (-1)
#define AREA      0x10000u
#define COMPACTED (1ull << 63)
#define X87       1u
#define SSE_      2u
#define AVX_      4u
#define PKRU_     0x200u

static struct rig *r;
static struct cpu *cpu;

static void setup(void)
{
    r = rig_new("max", 0);
    cpu = r->cpu;
    cpu->feature[F_AVX] = 1; /* the state, whether or not its instructions are there */
    rig_long_mode(r);
    cpu->s.cr4 |= CR4_OSXSAVE | CR4_OSFXSR;
    cpu->s.xcr0 = X87 | SSE_ | AVX_ | PKRU_;
    cpu->s.mxcsr = MXCSR_DEFAULT;
    fpu_init(&cpu->s);
}

static void teardown(void)
{
    rig_free(r);
}

/* The operand [RBX], in 64-bit mode with REX.W. */
static const struct insn operand = {.osize = SIZE_Q,
                                    .asize = SIZE_Q,
                                    .base = REG_OFFSET(RBX),
                                    .index = ZERO_OFFSET,
                                    .seg = DS,
                                    .flags = INSN_MEM};

static int store(uint64_t rfbm, enum xsave_kind kind)
{
    cpu->s.gpr[RBX] = AREA;
    return EXCEPTION(r, xsave_store(cpu, &operand, rfbm, kind));
}

static int load(uint64_t rfbm, bool supervisor)
{
    cpu->s.gpr[RBX] = AREA;
    return EXCEPTION(r, xsave_load(cpu, &operand, rfbm, supervisor));
}

static uint64_t word(unsigned offset)
{
    uint64_t v;

    memcpy(&v, r->ram + AREA + offset, 8);
    return v;
}

static void put_word(unsigned offset, uint64_t value)
{
    rig_put64(r, AREA + offset, value);
}

static void clear_area(uint8_t with)
{
    memset(r->ram + AREA, with, 4096);
    memset(r->ram + AREA + 512, 0, 64);
    put_word(24, MXCSR_DEFAULT);
}

/* Runs code; the vector of its first exception, or OK. The machine is as before, as far as that goes. */
static int run(const uint8_t *code, unsigned size)
{
    struct cpu_fault chain[6];
    int vector = OK;

    cpu->s.rip = RIG_CODE;
    if (rig_run(r, code, size) == CPU_EXIT_SHUTDOWN) {
        ck_assert_uint_ge(cpu_chain(cpu, chain, 6), 1);
        vector = chain[0].vector;
        cpu->s.activity = CPU_RUNNING;
    }
    return vector;
}
#define EXEC(...) run((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))
#define XGETBV    0x0f, 0x01, 0xd0
#define XSETBV    0x0f, 0x01, 0xd1

START_TEST(xcr0_combinations)
{
    ck_assert(xcr0_valid(cpu, X87));
    ck_assert(xcr0_valid(cpu, X87 | SSE_));
    ck_assert(xcr0_valid(cpu, X87 | SSE_ | AVX_));
    ck_assert(xcr0_valid(cpu, X87 | PKRU_));
    ck_assert(!xcr0_valid(cpu, 0));
    ck_assert(!xcr0_valid(cpu, SSE_));
    ck_assert(!xcr0_valid(cpu, X87 | AVX_)); /* AVX without SSE */
    for (unsigned bit = 3; bit < 64; bit++)
        if (bit != 9)
            ck_assert(!xcr0_valid(cpu, X87 | SSE_ | 1ull << bit));
    cpu->feature[F_PKU] = cpu->feature[F_AVX] = 0;
    ck_assert(!xcr0_valid(cpu, X87 | PKRU_));
    ck_assert(!xcr0_valid(cpu, X87 | SSE_ | AVX_));
}
END_TEST

START_TEST(xgetbv_and_xsetbv)
{
    cpu->s.gpr[RCX] = 0;
    cpu->s.gpr[RAX] = 3;
    cpu->s.gpr[RDX] = 0;
    ck_assert_int_eq(EXEC(XSETBV, XGETBV), OK);
    ck_assert_uint_eq(cpu->s.xcr0, 3);
    ck_assert_uint_eq(cpu->s.gpr[RAX], 3);
    cpu->s.gpr[RDX] = 1;
    ck_assert_int_eq(EXEC(XSETBV), EX_GP);
    cpu->s.gpr[RDX] = 0;
    cpu->s.gpr[RCX] = 1;
    ck_assert_int_eq(EXEC(XSETBV), EX_GP); /* readable only: XINUSE */
    cpu->s.zmm[3].u8[7] = 1;
    ck_assert_int_eq(EXEC(XGETBV), OK);
    ck_assert_uint_eq(cpu->s.gpr[RAX], 2);
    cpu->s.gpr[RCX] = 2;
    ck_assert_int_eq(EXEC(XGETBV), EX_GP);
    ck_assert_int_eq(EXEC(0x66, XGETBV), EX_UD);
    ck_assert_int_eq(EXEC(0xf3, XSETBV), EX_UD);
    cpu->s.cr4 &= ~(uint64_t)CR4_OSXSAVE;
    ck_assert_int_eq(EXEC(XGETBV), EX_UD);
    ck_assert_int_eq(EXEC(XSETBV), EX_UD);
}
END_TEST

START_TEST(cpuid_tells_sizes)
{
    uint32_t out[4];

    cpuid(cpu, 0xd, 0, out);
    ck_assert_uint_eq(out[0], X87 | SSE_ | AVX_ | PKRU_);
    ck_assert_uint_eq(out[1], 2440);
    ck_assert_uint_eq(out[2], 2440);
    cpu->s.xcr0 = 3;
    cpuid(cpu, 0xd, 0, out);
    ck_assert_uint_eq(out[1], 576);
    cpuid(cpu, 0xd, 2, out);
    ck_assert_uint_eq(out[0], 256);
    ck_assert_uint_eq(out[1], 576);
    ck_assert_uint_eq(out[2], 0);
    cpuid(cpu, 0xd, 9, out);
    ck_assert_uint_eq(out[0], 8);
    ck_assert_uint_eq(out[1], 2432);
    cpuid(cpu, 0xd, 3, out);
    ck_assert_uint_eq(out[0] | out[1] | out[2] | out[3], 0);
    cpu->s.xcr0 = X87 | SSE_ | PKRU_;
    cpuid(cpu, 0xd, 1, out);
    ck_assert_uint_eq(out[0], 15); /* XSAVEOPT, XSAVEC, XGETBV1, XSAVES */
    ck_assert_uint_eq(out[1], 584);
    cpuid(cpu, 1, 0, out);
    ck_assert_uint_eq(out[2] >> 26 & 3, 3); /* XSAVE, OSXSAVE */
    cpu->s.cr4 &= ~(uint64_t)CR4_OSXSAVE;
    cpuid(cpu, 1, 0, out);
    ck_assert_uint_eq(out[2] >> 26 & 3, 1);
    cpu->feature[F_XSAVE] = 0;
    cpuid(cpu, 0xd, 0, out);
    ck_assert_uint_eq(out[0] | out[1] | out[2] | out[3], 0);
}
END_TEST

START_TEST(what_is_in_use)
{
    memset(cpu->s.st, 0, sizeof(cpu->s.st));
    memset(cpu->s.zmm, 0, sizeof(cpu->s.zmm));
    ck_assert_uint_eq(xsave_in_use(cpu), 0);
    cpu->s.mxcsr = 0x1fa0; /* belongs to no component's XINUSE */
    ck_assert_uint_eq(xsave_in_use(cpu), 0);
    cpu->s.fcw = 0x27f;
    cpu->s.zmm[15].u8[31] = 1;
    cpu->s.pkru = 4;
    ck_assert_uint_eq(xsave_in_use(cpu), X87 | AVX_ | PKRU_);
    cpu->long64 = false; /* registers 8 to 15 don't count */
    ck_assert_uint_eq(xsave_in_use(cpu), X87 | PKRU_);
}
END_TEST

START_TEST(stores_only_what_it_must)
{
    memset(cpu->s.zmm, 0, sizeof(cpu->s.zmm));
    clear_area(0xcc);
    put_word(512, UINT64_MAX);
    put_word(520, 0x1234);
    cpu->s.zmm[1].u64[2] = 0x1122334455667788;
    ck_assert_int_eq(store(SSE_ | AVX_, XSAVE_PLAIN), OK);
    ck_assert_uint_eq(word(0), 0xcccccccccccccccc);
    ck_assert_uint_eq(word(512), ~(uint64_t)SSE_); /* the rest of XSTATE_BV stays */
    ck_assert_uint_eq(word(520), 0x1234);
    ck_assert_uint_eq(word(160), 0);
    ck_assert_uint_eq(word(576 + 16), 0x1122334455667788);

    clear_area(0xcc);
    ck_assert_int_eq(store(SSE_ | AVX_, XSAVE_OPT), OK);
    ck_assert_uint_eq(word(160), 0xcccccccccccccccc); /* in its initial state */
    ck_assert_uint_eq(word(24), (uint64_t)MXCSR_WRITABLE << 32 | MXCSR_DEFAULT);
    ck_assert_uint_eq(word(512), AVX_);

    clear_area(0xcc);
    cpu->s.pkru = 0x44;
    ck_assert_int_eq(store(SSE_ | PKRU_, XSAVE_COMPACTED), OK);
    ck_assert_uint_eq(word(512), PKRU_);
    ck_assert_uint_eq(word(520), COMPACTED | SSE_ | PKRU_);
    ck_assert_uint_eq(word(576), 0x44); /* directly behind the header */
    cpu->s.mxcsr = 0x1fa0;
    ck_assert_int_eq(store(SSE_ | PKRU_, XSAVE_COMPACTED), OK);
    ck_assert_uint_eq(word(512), SSE_ | PKRU_); /* for MXCSR's sake */
}
END_TEST

START_TEST(headers_are_checked)
{
    clear_area(0);
    ck_assert_int_eq(load(7, false), OK);
    for (unsigned bit = 0; bit < 64; bit++) {
        bool exists = bit < 3 || bit == 9;

        clear_area(0);
        put_word(512, 1ull << bit); /* standard: in XCR0 */
        ck_assert_int_eq(load(0, false), exists ? OK : EX_GP);
        clear_area(0);
        put_word(520, COMPACTED | 1ull << bit);
        ck_assert_int_eq(load(0, false), exists || bit == 63 ? OK : EX_GP);
        put_word(520, 1ull << bit); /* without the format's bit */
        ck_assert_int_eq(load(0, false), bit == 63 ? OK : EX_GP);
    }
    clear_area(0);
    put_word(512, SSE_);
    put_word(520, COMPACTED | X87); /* a component that the area has no room for */
    ck_assert_int_eq(load(7, false), EX_GP);
    for (unsigned byte = 16; byte < 64; byte++) {
        clear_area(0);
        r->ram[AREA + 512 + byte] = 1;
        ck_assert_int_eq(load(7, false), byte < 24 ? EX_GP : OK);
        put_word(520, COMPACTED | 7);
        ck_assert_int_eq(load(7, false), EX_GP);
    }
}
END_TEST

START_TEST(mxcsr_is_checked)
{
    cpu->s.mxcsr = 0x1f81;
    clear_area(0);
    put_word(24, 0x11f80);
    ck_assert_int_eq(load(SSE_, false), EX_GP);
    ck_assert_int_eq(load(AVX_, false), EX_GP);
    ck_assert_int_eq(load(X87, false), OK);
    ck_assert_uint_eq(cpu->s.mxcsr, 0x1f81);
    put_word(520, COMPACTED | 7);
    ck_assert_int_eq(load(AVX_, false), OK);
    ck_assert_uint_eq(cpu->s.mxcsr, 0x1f81);
    ck_assert_int_eq(load(SSE_, false), OK); /* initialised, not loaded */
    ck_assert_uint_eq(cpu->s.mxcsr, MXCSR_DEFAULT);
    put_word(512, SSE_);
    ck_assert_int_eq(load(SSE_, false), EX_GP);
}
END_TEST

START_TEST(supervisor_forms)
{
    clear_area(0);
    ck_assert_int_eq(load(7, true), EX_GP); /* XRSTORS has no standard format */
    put_word(520, COMPACTED | 7);
    ck_assert_int_eq(load(7, true), OK);
    cpu->s.gpr[RBX] = AREA;
    cpu->s.gpr[RAX] = 7;
    cpu->s.gpr[RDX] = 0;
    ck_assert_int_eq(EXEC(0x48, 0x0f, 0xc7, 0x2b, 0x48, 0x0f, 0xc7, 0x1b), OK); /* xsaves64, xrstors64 */
    ck_assert_int_eq(EXCEPTION(r, write_msr(cpu, NULL, 0xda0, 0)), OK);
    ck_assert_int_eq(EXCEPTION(r, write_msr(cpu, NULL, 0xda0, 1)), EX_GP);
    ck_assert_int_eq(EXCEPTION(r, write_msr(cpu, NULL, 0xda0, 1u << 8)), EX_GP);
    cpu->s.cpl = 3;
    cpu->s.seg[CS].attr |= SEG_DPL;
    update_mode(cpu);
    ck_assert_int_eq(EXEC(0x48, 0x0f, 0xc7, 0x2b), EX_GP);
}
END_TEST

START_TEST(encodings_and_checks)
{
    cpu->s.gpr[RBX] = AREA;
    cpu->s.gpr[RAX] = 7;
    cpu->s.gpr[RDX] = 0;
    clear_area(0);
    ck_assert_int_eq(EXEC(0x48, 0x0f, 0xae, 0x23), OK); /* xsave64 */
    ck_assert_int_eq(EXEC(0x0f, 0xae, 0x2b), OK);       /* xrstor */
    ck_assert_int_eq(EXEC(0x0f, 0xae, 0x33), OK);       /* xsaveopt */
    ck_assert_int_eq(EXEC(0x0f, 0xc7, 0x23), OK);       /* xsavec */
    ck_assert_int_eq(EXEC(0x66, 0x0f, 0xae, 0x23), EX_UD);
    ck_assert_int_eq(EXEC(0xf3, 0x0f, 0xc7, 0x23), EX_UD);
    ck_assert_int_eq(EXEC(0xf0, 0x0f, 0xae, 0x23), EX_UD);
    for (unsigned off = 1; off < 64; off++) {
        cpu->s.gpr[RBX] = AREA + off;
        ck_assert_int_eq(EXEC(0x0f, 0xae, 0x23), EX_GP);
        ck_assert_int_eq(EXEC(0x0f, 0xae, 0x2b), EX_GP);
    }
    cpu->s.cr0 |= CR0_TS;
    ck_assert_int_eq(EXEC(0x0f, 0xae, 0x23), EX_NM);
    cpu->s.cr0 |= CR0_EM;
    cpu->s.cr0 &= ~(uint64_t)CR0_TS;
    cpu->s.gpr[RBX] = AREA;
    ck_assert_int_eq(EXEC(0x0f, 0xae, 0x23), OK); /* EM doesn't matter */
    cpu->s.cr4 &= ~(uint64_t)CR4_OSXSAVE;
    ck_assert_int_eq(EXEC(0x0f, 0xae, 0x23), EX_UD);
}
END_TEST

/* The header and what follows lie in a page that isn't there. */
START_TEST(page_faults_change_nothing)
{
    const unsigned at = AREA + 0x1000 - 512;
    struct cpu_state before;

    memset(r->ram + AREA, 0xcc, 0x2000);
    rig_put64(r, RIG_PT + 8 * ((AREA >> 12) + 1), 0);
    tlb_flush_all(cpu);
    cpu->s.gpr[RBX] = at;
    ck_assert_int_eq(EXCEPTION(r, xsave_store(cpu, &operand, 7, XSAVE_PLAIN)), EX_PF);
    ck_assert_int_eq(EXCEPTION(r, xsave_store(cpu, &operand, 7, XSAVE_COMPACTED)), EX_PF);
    ck_assert_uint_eq(cpu->s.cr2 & ~0xfffull, AREA + 0x1000);
    for (unsigned n = 0; n < 0x2000; n++)
        ck_assert_uint_eq(r->ram[AREA + n], 0xcc);

    /* The area's end: the AVX component, 576 bytes on. */
    cpu->s.gpr[RBX] = AREA + 0x1000 - 640;
    memset(r->ram + AREA + 0x1000 - 640, 0, 640);
    memcpy(r->ram + AREA + 0x1000 - 640 + 24, "\x80\x1f", 2);
    r->ram[AREA + 0x1000 - 640 + 512] = 7;
    before = cpu->s;
    ck_assert_int_eq(EXCEPTION(r, xsave_load(cpu, &operand, 7, false)), EX_PF);
    before.cr2 = cpu->s.cr2;
    ck_assert(memcmp(&before, &cpu->s, sizeof(before)) == 0);
    ck_assert_int_eq(EXCEPTION(r, xsave_load(cpu, &operand, 3, false)), OK); /* not read: no fault */
    ck_assert_int_eq(EXCEPTION(r, xsave_store(cpu, &operand, 3, XSAVE_PLAIN)), OK);
}
END_TEST

/* In 16-bit code: eight registers, 32-bit pointers with selectors, the segment's limit. */
START_TEST(in_real_mode)
{
    rig_free(r);
    r = rig_new("max", 0);
    cpu = r->cpu;
    rig_real_mode(r);
    cpu->s.cr4 |= CR4_OSXSAVE;
    cpu->s.xcr0 = 3;
    cpu->s.mxcsr = MXCSR_DEFAULT;
    fpu_init(&cpu->s);
    cpu->s.fip = 0x12345678;
    cpu->s.fcs = 0x9abc;
    memset(&cpu->s.zmm[7], 7, 16);
    memset(&cpu->s.zmm[8], 8, 16);
    memset(r->ram + 0x4000, 0xcc, 1024);
    cpu->s.gpr[RBX] = 0x4000;
    cpu->s.gpr[RAX] = 3;
    cpu->s.gpr[RDX] = 0;
    ck_assert_int_eq(EXEC(0x0f, 0xae, 0x27), OK); /* xsave [bx] */
    ck_assert_int_eq(memcmp(r->ram + 0x4008, "\x78\x56\x34\x12\xbc\x9a\x00\x00", 8), 0);
    ck_assert_uint_eq(r->ram[0x4000 + 160 + 7 * 16], 7);
    ck_assert_uint_eq(r->ram[0x4000 + 160 + 8 * 16], 0xcc);
    memset(r->ram + 0x4000 + 512, 0, 64);
    ck_assert_int_eq(EXEC(0x0f, 0xae, 0x2f), OK); /* xrstor [bx]: all initialised */
    ck_assert_uint_eq(cpu->s.zmm[7].u8[0], 0);
    ck_assert_uint_eq(cpu->s.zmm[8].u8[0], 8);
    ck_assert_uint_eq(cpu->s.fip, 0);
    cpu->s.gpr[RBX] = 0xfdc0; /* the header's end is the segment's */
    ck_assert_int_eq(EXCEPTION(r, xsave_store(cpu, &operand, 3, XSAVE_PLAIN)), OK);
    cpu->s.gpr[RBX] = 0xfe00;
    ck_assert_int_eq(EXCEPTION(r, xsave_store(cpu, &operand, 3, XSAVE_PLAIN)), EX_GP);
    ck_assert_int_eq(EXCEPTION(r, xsave_load(cpu, &operand, 3, false)), EX_GP);
}
END_TEST

/* --- The host's processor as judge -------------------------------------------------------------------------
 */

#if defined(__x86_64__)
#include <cpuid.h>

static bool host_has_it(void)
{
    uint32_t a, b, c, d;

    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1) || !(c >> 28 & 1))
        return false;
    __cpuid_count(0xd, 1, a, b, c, d);
    return (a & 7) == 7;
}

static sigjmp_buf host_fault;

static void on_fault(int signal)
{
    (void)signal;
    siglongjmp(host_fault, 1);
}

enum op { OP_XSAVE, OP_XSAVEOPT, OP_XSAVEC, OP_XRSTOR, OP_COUNT };

typedef uint8_t image[4096] __attribute__((aligned(64)));

/* All of the state from `from`, the instruction on `area`, and all of the state into `to`; false: it faulted.
 */
#define HOST_OP(name)                                                                                        \
    static void host_##name(const image from, image area, uint32_t mask, image to, uint32_t *in_use)         \
    {                                                                                                        \
        uint32_t low, high;                                                                                  \
                                                                                                             \
        __asm__ volatile("mov $7, %%eax\n\txor %%edx, %%edx\n\txrstor64 (%[from])\n\t"                       \
                         "mov $1, %%ecx\n\txgetbv\n\tmov %%eax, %[in_use]\n\t"                               \
                         "mov %[mask], %%eax\n\txor %%edx, %%edx\n\t" #name "64 (%[area])\n\t"               \
                         "mov $7, %%eax\n\txor %%edx, %%edx\n\txsave64 (%[to])"                              \
                         : "=&a"(low), "=&d"(high), [in_use] "=&r"(*in_use)                                  \
                         : [from] "r"(from), [area] "r"(area), [mask] "r"(mask), [to] "r"(to)                \
                         : "ecx", "memory", "cc");                                                           \
        (void)low;                                                                                           \
        (void)high;                                                                                          \
    }
HOST_OP(xsave)
HOST_OP(xsaveopt)
HOST_OP(xsavec)
HOST_OP(xrstor)

static bool host_run(enum op op, const image from, image area, uint32_t mask, image to, uint32_t *in_use)
{
    static void (*const ops[])(const image, image, uint32_t, image, uint32_t *) = {host_xsave, host_xsaveopt,
                                                                                   host_xsavec, host_xrstor};
    struct sigaction action = {.sa_handler = on_fault, .sa_flags = SA_NODEFER}, old;
    const uint32_t mxcsr = MXCSR_DEFAULT;
    image own;
    volatile bool done = false;

    sigaction(SIGSEGV, &action, &old);
    __asm__ volatile("fxsave64 (%0)" ::"r"(own) : "memory");
    if (sigsetjmp(host_fault, 1) == 0) {
        ops[op](from, area, mask, to, in_use);
        done = true;
    }
    __asm__ volatile("vzeroupper\n\tfxrstor64 (%0)\n\tldmxcsr %1" ::"r"(own), "m"(mxcsr) : "memory");
    sigaction(SIGSEGV, &old, NULL);
    return done;
}

static uint64_t seed;

static uint64_t random_word(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

/* A component in four is in its initial state; the header is good in most areas. */
static void random_area(image area, bool whole)
{
    uint64_t header[8] = {random_word() & 7};

    for (unsigned n = 0; n < sizeof(image); n += 8) {
        uint64_t v = random_word();

        memcpy(area + n, &v, 8);
    }
    memset(area + 26, 0, 2); /* MXCSR's upper half */
    if (random_word() % 8 == 0)
        memset(area + 160, 0, 256);
    if (whole) {
        header[0] = random_word() & random_word() % 4 ? 7 : random_word() & 7;
    } else {
        if (random_word() & 1) {
            header[1] = COMPACTED | (random_word() & 7);
            if (random_word() & 7)
                header[0] &= header[1];
        }
        if (random_word() % 8 == 0)
            header[random_word() & 7] |= 1ull << (random_word() & 63 & ~7u) << 3;
        if (random_word() % 8 == 0)
            area[26] = 4; /* a reserved bit of every processor's */
    }
    memcpy(area + 512, header, sizeof(header));
}

static bool our_run(enum op op, uint32_t mask)
{
    static const enum xsave_kind kinds[] = {XSAVE_PLAIN, XSAVE_OPT, XSAVE_COMPACTED};

    return (op == OP_XRSTOR ? load(mask, false) : store(mask, kinds[op])) == OK;
}

/* What tells processors apart: MXCSR_MASK, and FOP, FIP and FDP, which some lose while no exception is
 * pending. */
static bool host_specific(unsigned byte)
{
    return (byte >= 6 && byte < 24) || (byte >= 28 && byte < 32);
}

/* The first byte of our area that isn't the host's; `size` when there is none. */
static unsigned first_difference(const image host, unsigned size)
{
    unsigned n = 0;

    while (n < size && (r->ram[AREA + n] == host[n] || host_specific(n)))
        n++;
    return n;
}

/*
 * The operation from the same state here and there; what differs is in `text`, which is empty otherwise. A
 * host that gives our thread's processor to another meanwhile may find other components in their initial
 * state afterwards.
 */
static void compare_with_host(enum op op, const image from, const image area, uint32_t mask, char *text,
                              size_t size)
{
    image host_state, host_area;
    uint32_t in_use = 0;
    unsigned k;

    memcpy(host_area, area, sizeof(image));
    memset(host_state, 0, sizeof(image));
    bool ok = host_run(op, from, host_area, mask, host_state, &in_use);

    *text = 0;
    memcpy(r->ram + AREA, from, sizeof(image));
    ck_assert_int_eq(load(7, false), OK);
    /* The host may say "in use" of what is in its initial state, but not the other way round. */
    if (ok && (xsave_in_use(cpu) & 7 & ~in_use))
        snprintf(text, size, "the host has other components in use");
    memcpy(r->ram + AREA, area, sizeof(image));
    if (our_run(op, mask) != ok)
        snprintf(text, size, "the host %s", ok ? "doesn't fault" : "faults");
    k = first_difference(host_area, sizeof(image));
    if (k != sizeof(image))
        snprintf(text, size, "byte %u of the area differs", k);
    if (!ok || *text)
        return;
    memset(r->ram + AREA, 0, sizeof(image));
    ck_assert_int_eq(store(7, XSAVE_PLAIN), OK);
    k = first_difference(host_state, 832);
    if (k != 832)
        snprintf(text, size, "byte %u of the state differs", k);
}

START_TEST(as_the_host_does)
{
    image from, area;
    char text[80];

    if (!host_has_it())
        return;
    seed = 0x1234567 + (uint64_t)_i;
    cpu->s.xcr0 = 7;
    for (unsigned n = 0; n < 2000; n++) {
        enum op op = random_word() % OP_COUNT;
        uint32_t mask = random_word() & 7;
        unsigned tries = 0;

        random_area(from, true);
        random_area(area, false);
        do /* a difference counts when the host repeats it */
            compare_with_host(op, from, area, mask, text, sizeof(text));
        while (*text && ++tries < 4);
        ck_assert_msg(!*text, "seed %d case %u: op %d mask %u: %s", _i, n, op, mask, text);
    }
}
END_TEST
#endif

Suite *xsave_suite(void)
{
    Suite *suite = suite_create("xsave");
    TCase *tc = tcase_create("xsave");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, xcr0_combinations);
    tcase_add_test(tc, xgetbv_and_xsetbv);
    tcase_add_test(tc, cpuid_tells_sizes);
    tcase_add_test(tc, what_is_in_use);
    tcase_add_test(tc, stores_only_what_it_must);
    tcase_add_test(tc, headers_are_checked);
    tcase_add_test(tc, mxcsr_is_checked);
    tcase_add_test(tc, supervisor_forms);
    tcase_add_test(tc, encodings_and_checks);
    tcase_add_test(tc, page_faults_change_nothing);
    tcase_add_test(tc, in_real_mode);
#if defined(__x86_64__)
    tcase_add_loop_test(tc, as_the_host_does, 0, 4);
#endif
    suite_add_tcase(suite, tc);
    return suite;
}
