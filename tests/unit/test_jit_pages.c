/*
 * test_jit_pages.c - translated code and where pages are: instructions that hang over a page's edge, loops
 * whose accesses stay in a page or change it each time, pages that are mapped elsewhere meanwhile; and
 * LDMXCSR, STMXCSR.
 */
#include "accel/engine.h"
#include "tests/unit/cpu_rig.h"

#if defined(__x86_64__)

enum { EDGE = 0x7000, OTHER = 0x20000, NUMBERS = 0x40000, SUMS = 0x180000, ELSEWHERE = 0x1c0000 };

static void see_block(void *opaque, const struct cpu_block *block)
{
    unsigned *over_edge = opaque;

    *over_edge += block->linear < EDGE && block->linear + block->guest_size > EDGE;
}

static struct rig *new_rig(unsigned *over_edge)
{
    struct cpu_watch watch = {.opaque = over_edge, .translated = see_block};
    struct rig *r = rig_new(NULL, 0);
    const struct engine *jit;
    char why[200];

    jit = engine_pick("jit", why, sizeof(why));
    ck_assert_msg(jit != NULL, "%s", why);
    rig_long_mode(r);
    r->cpu->s.cr4 |= CR4_OSFXSR;
    r->cpu->s.mxcsr = 0x1f80;
    ck_assert_msg(jit->attach(r->cpu, NULL, why, sizeof(why)), "%s", why);
    jit->watch(r->cpu, &watch);
    cpu_push(r->cpu);
    return r;
}

static void map(struct rig *r, uint32_t linear, uint32_t phys)
{
    uint64_t entry = phys | 7;

    bus_write_block(r->memory, RIG_PT + 8 * (linear >> 12), &entry, sizeof(entry));
}

/* From `rip` on, to code that spins. */
static void run(struct rig *r, uint64_t rip)
{
    r->cpu->s.rip = rip;
    cpu_push(r->cpu);
    cpu_run(r->cpu, 5000);
    cpu_pull(r->cpu);
}

START_TEST(instructions_over_an_edge)
{
    /* invlpg [rdi]; mov ecx, 100; nop, 5 times; again: add eax, 0x??0001, the last two bytes on the next page
     */
    static const uint8_t first[] = {0x0f, 0x01, 0x3f, 0xb9, 100,  0,    0,    0,
                                    0x90, 0x90, 0x90, 0x90, 0x90, 0x05, 0x01, 0x00};
    static const uint8_t rest[] = {0xff, 0xc9, 0x75, 0xf7, 0xeb, 0xfe}; /* dec ecx; jnz again; spin */
    unsigned over_edge = 0;
    struct rig *r = new_rig(&over_edge);

    bus_write_block(r->memory, EDGE - sizeof(first), first, sizeof(first));
    for (unsigned n = 1; n <= 2; n++) {
        uint32_t page = n == 1 ? EDGE : OTHER;

        bus_write_block(r->memory, page, (const uint8_t[]){(uint8_t)n, 0}, 2);
        bus_write_block(r->memory, page + 2, rest, sizeof(rest));
    }
    r->cpu->s.gpr[RDI] = EDGE;
    for (unsigned n = 1; n <= 5; n++) {
        unsigned which = n == 3 ? 2 : 1;

        map(r, EDGE, which == 1 ? EDGE : OTHER);
        if (n == 5) { /* where it is now other code is written */
            bus_write_block(r->memory, EDGE, (const uint8_t[]){9}, 1);
            which = 9;
        }
        r->cpu->s.gpr[RAX] = 0;
        run(r, EDGE - sizeof(first));
        ck_assert_uint_eq(r->cpu->s.gpr[RCX], 0);
        ck_assert_uint_eq(r->cpu->s.gpr[RAX], 100 * (1 + (which << 16)));
    }
    ck_assert_uint_gt(over_edge, 1);
    rig_free(r);
}
END_TEST

/* How far the loop goes on from number to number: not at all, within pages, a page and more. */
static const uint32_t strides[] = {0, 8, 24, 4096, 4104};

START_TEST(loops_over_pages)
{
    /* invlpg [rdi]; mov ecx, 240; again: add rax, [rbx]; mov [rdx], rax; add rbx, rsi; add rdx, 8; dec ecx;
     * jnz again */
    static const uint8_t code[] = {0x0f, 0x01, 0x3f, 0xb9, 240,  0,    0,    0,    0x48,
                                   0x03, 0x03, 0x48, 0x89, 0x02, 0x48, 0x01, 0xf3, 0x48,
                                   0x83, 0xc2, 0x08, 0xff, 0xc9, 0x75, 0xef, 0xeb, 0xfe};
    unsigned over_edge;
    struct rig *r = new_rig(&over_edge);
    uint32_t stride = strides[_i];

    bus_write_block(r->memory, RIG_CODE, code, sizeof(code));
    for (uint32_t at = NUMBERS; at < SUMS; at += 8)
        rig_put64(r, at, at * 0x9e3779b97f4a7c15);
    for (uint32_t at = ELSEWHERE; at < ELSEWHERE + 4096; at += 8)
        rig_put64(r, at, at);
    for (unsigned turn = 0; turn < 6; turn++) {
        uint32_t phys = turn & 1 ? ELSEWHERE : NUMBERS; /* of the first page */
        uint64_t sum = 0;

        map(r, NUMBERS, phys);
        r->cpu->s.gpr[RDI] = NUMBERS;
        r->cpu->s.gpr[RAX] = 0;
        r->cpu->s.gpr[RBX] = NUMBERS;
        r->cpu->s.gpr[RDX] = SUMS;
        r->cpu->s.gpr[RSI] = stride;
        run(r, RIG_CODE);
        ck_assert_uint_eq(r->cpu->s.gpr[RCX], 0);
        for (uint32_t n = 0; n < 240; n++) {
            uint32_t linear = NUMBERS + n * stride,
                     at = linear < NUMBERS + 4096 ? phys + (linear & 4095) : linear;
            uint64_t number, got;

            memcpy(&number, r->ram + at, 8);
            memcpy(&got, r->ram + SUMS + 8 * n, 8);
            sum += number;
            ck_assert_msg(got == sum, "turn %u, number %u", turn, n);
        }
    }
    rig_free(r);
}
END_TEST

/* Strings over pages, upwards and downwards. */
START_TEST(strings_element_by_element)
{
    /* mov ecx, 240; again: movsb; lodsw; stosq; dec ecx; jnz again; the first byte is CLD or STD */
    static const uint8_t code[] = {0xfc, 0xb9, 240,  0,    0,    0,    0xa4, 0x66, 0xad,
                                   0x48, 0xab, 0xff, 0xc9, 0x75, 0xf7, 0xeb, 0xfe};
    static uint8_t want[0x8000];
    uint32_t from = NUMBERS + 4096 - 10, to = SUMS + 4096 - 13;
    int32_t sign = _i ? -1 : 1;
    unsigned over_edge;
    struct rig *r = new_rig(&over_edge);

    bus_write_block(r->memory, RIG_CODE, code, sizeof(code));
    if (_i)
        bus_write_block(r->memory, RIG_CODE, "\xfd", 1);
    for (uint32_t at = NUMBERS; at < NUMBERS + 0x2000; at += 8)
        rig_put64(r, at, at * 0x9e3779b97f4a7c15);
    for (unsigned turn = 0; turn < 3; turn++) {
        uint32_t s = from, d = to;
        uint64_t accumulator = 0x0123456789abcdef;

        memset(r->ram + SUMS, 0x5a, sizeof(want));
        memset(want, 0x5a, sizeof(want));
        for (unsigned n = 0; n < 240; n++) {
            want[d - SUMS] = r->ram[s];
            s += (uint32_t)sign;
            d += (uint32_t)sign;
            memcpy(&accumulator, r->ram + s, 2);
            s += (uint32_t)(2 * sign);
            memcpy(want + (d - SUMS), &accumulator, 8);
            d += (uint32_t)(8 * sign);
        }
        r->cpu->s.gpr[RAX] = 0x0123456789abcdef;
        r->cpu->s.gpr[RSI] = from;
        r->cpu->s.gpr[RDI] = to;
        run(r, RIG_CODE);
        ck_assert_uint_eq(r->cpu->s.gpr[RSI], s);
        ck_assert_uint_eq(r->cpu->s.gpr[RDI], d);
        ck_assert_uint_eq(r->cpu->s.gpr[RAX], accumulator);
        ck_assert_mem_eq(r->ram + SUMS, want, sizeof(want));
    }
    rig_free(r);
}
END_TEST

START_TEST(mxcsr_comes_and_goes)
{
    /* mov ecx, 100; again: ldmxcsr [rbx + 8 * rcx]; stmxcsr [rbx + 8 * rcx + 4]; dec ecx; jnz again */
    static const uint8_t code[] = {0xb9, 100,  0,    0,    0,    0x0f, 0xae, 0x14, 0xcb, 0x0f,
                                   0xae, 0x5c, 0xcb, 0x04, 0xff, 0xc9, 0x75, 0xf3, 0xeb, 0xfe};
    unsigned over_edge;
    struct rig *r = new_rig(&over_edge);
    struct cpu_stats before, after;

    bus_write_block(r->memory, RIG_CODE, code, sizeof(code));
    for (unsigned turn = 0; turn < 4; turn++) {
        bool unmasks = turn & 1; /* an exception, for a while: translated code must not have it */
        uint32_t values[101], got;

        for (unsigned n = 0; n <= 100; n++) {
            values[n] = unmasks && n > 40 && n < 50 ? 0x1f00 : 0x1f80 | n % 64 | (n % 4) << 13;
            rig_put64(r, NUMBERS + 8 * n, values[n]);
        }
        r->cpu->s.gpr[RBX] = NUMBERS;
        r->cpu->s.mxcsr = 0x1f80;
        cpu_get_stats(r->cpu, &before);
        run(r, RIG_CODE);
        cpu_get_stats(r->cpu, &after);
        for (unsigned n = 1; n <= 100; n++) {
            memcpy(&got, r->ram + NUMBERS + 8 * n + 4, 4);
            ck_assert_uint_eq(got, values[n]);
        }
        ck_assert_uint_eq(r->cpu->s.mxcsr, values[1]);
        ck_assert_uint_eq(after.jit.bodies > before.jit.bodies, unmasks);
    }
    rig_free(r);
}
END_TEST

#endif

Suite *jit_pages_suite(void)
{
    Suite *suite = suite_create("jit_pages");
    TCase *tcase = tcase_create("jit_pages");

#if defined(__x86_64__)
    tcase_add_test(tcase, instructions_over_an_edge);
    tcase_add_loop_test(tcase, loops_over_pages, 0, sizeof(strides) / sizeof(*strides));
    tcase_add_loop_test(tcase, strings_element_by_element, 0, 2);
    tcase_add_test(tcase, mxcsr_comes_and_goes);
#endif
    suite_add_tcase(suite, tcase);
    return suite;
}
