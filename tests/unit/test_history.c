/*
 * test_history.c - the CPU's last control transfers, as both engines write them down, and as they are
 * printed.
 */
#include "accel/engine.h"
#include "debug/history.h"
#include "tests/unit/cpu_rig.h"

#define LOOPS 200u

#if defined(__x86_64__)
#define ENGINES 2
#else
#define ENGINES 1
#endif

/* Engine 0 interprets, 1 translates. */
static struct rig *new_rig(int engine)
{
    struct rig *r = rig_new(NULL, 0);
    char why[200];

    if (engine) {
        const struct engine *jit = engine_pick("jit", why, sizeof(why));

        ck_assert_msg(jit && jit->attach(r->cpu, NULL, why, sizeof(why)), "%s", why);
    }
    return r;
}

/* 1000: mov ecx, LOOPS; 1005: call 1010; 100a: dec ecx; 100c: jnz 1005; 100e: jmp 100e; 1010: test cl, 1;
 * 1013: jz 1016; 1015: nop; 1016: ret */
static const uint8_t calls[] = {0xb9, LOOPS & 0xff, LOOPS >> 8, 0,    0,    0xe8, 0x06, 0,    0,
                                0,    0xff,         0xc9,       0x75, 0xf7, 0xeb, 0xfe, 0xf6, 0xc1,
                                0x01, 0x74,         0x01,       0x90, 0xc3};

static struct rig *run_calls(int engine, unsigned kept)
{
    struct rig *r = new_rig(engine);

    rig_long_mode(r);
    ck_assert(cpu_keep_branches(r->cpu, kept));
    bus_write_block(r->memory, RIG_CODE, calls, sizeof(calls));
    ck_assert_int_eq(cpu_run(r->cpu, 10 * LOOPS), CPU_EXIT_KICK);
    cpu_pull(r->cpu);
    ck_assert_uint_eq(r->cpu->s.gpr[RCX], 0);
    ck_assert_uint_eq(r->cpu->s.rip, RIG_CODE + 14);
    return r;
}

START_TEST(branches_in_words)
{
    struct rig *r = run_calls(_i, 64);
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    ck_assert_uint_eq(history_print(r->cpu, NULL, 7, out), 7);
    fclose(out);
    ck_assert_str_eq(text, "  jnz          000000000000100c to 0000000000001005\n"
                           "  call         0000000000001005 to 0000000000001010\n"
                           "  jz           0000000000001013 to 0000000000001016\n"
                           "  ret          0000000000001016 to 000000000000100a\n"
                           "  jnz          000000000000100c to 0000000000001005\n"
                           "  call         0000000000001005 to 0000000000001010\n"
                           "  ret          0000000000001016 to 000000000000100a\n");
    free(text);
    rig_free(r);
}
END_TEST

/* 0123:0008 and on, linear 1238: mov cx, LOOPS; call f; dec cx; jnz to the call; jmp $. In the next page, f: ret */
START_TEST(branches_of_16_bit_code)
{
    static const uint8_t code[] = {0xb9, LOOPS & 0xff, LOOPS >> 8, 0xe8, 0x05, 0x10, 0x49, 0x75, 0xfa, 0xeb, 0xfe};
    struct rig *r = new_rig(_i);
    char *text;
    size_t size;
    FILE *out;

    rig_real_mode(r);
    r->cpu->s.seg[CS].selector = 0x123;
    r->cpu->s.seg[CS].base = 0x1230;
    r->cpu->s.rip = 8;
    r->cpu->s.gpr[RCX] = 0;
    cpu_push(r->cpu);
    ck_assert(cpu_keep_branches(r->cpu, 64));
    bus_write_block(r->memory, 0x1238, code, sizeof(code));
    bus_write_block(r->memory, 0x1230 + 0x1013, "\xc3", 1);
    r->cpu->s.gpr[RSP] = 0x8000;
    ck_assert_int_eq(cpu_run(r->cpu, 10 * LOOPS), CPU_EXIT_KICK);
    cpu_pull(r->cpu);
    ck_assert_uint_eq(r->cpu->s.rip, 0x11);
    out = open_memstream(&text, &size);
    history_print(r->cpu, NULL, 4, out);
    fclose(out);
    ck_assert_str_eq(text, "  ret          0123:1013 to 0123:000e\n"
                           "  jnz          0123:000f to 0123:000b\n"
                           "  call         0123:000b to 0123:1013\n"
                           "  ret          0123:1013 to 0123:000e\n");
    free(text);
    rig_free(r);
}
END_TEST

/* As many as asked for, and not what was before. */
START_TEST(the_ring_wraps)
{
    struct cpu_past past[200];
    struct rig *r = run_calls(_i, 100); /* 128 */
    unsigned count = cpu_history(r->cpu, past, 200);

    ck_assert_uint_eq(count, 128);
    for (unsigned n = 0; n < count; n++) {
        ck_assert_int_eq(past[n].kind, CPU_PAST_CODE);
        ck_assert(past[n].to.rip >= RIG_CODE && past[n].to.rip < RIG_CODE + sizeof(calls));
        ck_assert_uint_eq(past[n].to.linear, past[n].to.rip);
        ck_assert_uint_eq(past[n].to.bits, 64);
    }
    ck_assert_uint_eq(cpu_history(r->cpu, past, 5), 5);
    ck_assert(cpu_keep_branches(r->cpu, 0));
    ck_assert(!cpu_keeps_branches(r->cpu));
    ck_assert_int_eq(cpu_run(r->cpu, 100), CPU_EXIT_KICK);
    count = cpu_history(r->cpu, past, 200);
    ck_assert_uint_ge(count, 1); /* the events are still there */
    for (unsigned n = 0; n < count; n++)
        ck_assert_int_eq(past[n].kind, CPU_PAST_OUTSIDE);
    rig_free(r);
}
END_TEST

static void is_event(const struct cpu_past *past, enum cpu_past_kind kind, unsigned vector, uint64_t from,
                     uint64_t to)
{
    ck_assert_int_eq(past->kind, kind);
    ck_assert_uint_eq(past->vector, vector);
    ck_assert_uint_eq(past->from.linear, from);
    ck_assert_uint_eq(past->to.linear, to);
    ck_assert_uint_eq(past->to.bits, 16);
}

/* INT 21h and its IRET, a far jump, an invalid opcode: in real mode, from segment 100h to segment 0. */
START_TEST(events)
{
    static const uint8_t code[] = {0xcd, 0x21, 0xea, 0x07, 0x10, 0x10, 0, 0x0f, 0x0b};
    static const uint64_t before = RIG_CODE; /* 0100:0000; the far jump leads to 0010:1007, linear 1107 */
    struct cpu_past past[32];
    struct rig *r = new_rig(_i);
    unsigned count = 0;

    ck_assert(cpu_keep_branches(r->cpu, _i % 2 ? 64 : 0));
    rig_real_mode(r);
    r->cpu->s.seg[CS].selector = RIG_CODE >> 4;
    r->cpu->s.seg[CS].base = RIG_CODE;
    r->cpu->s.rip = 0;
    cpu_push(r->cpu);
    bus_write_block(r->memory, RIG_CODE, code, 7);
    bus_write_block(r->memory, 0x1107, code + 7, 2);
    bus_write_block(r->memory, 4 * 0x21, "\x00\x20\x00\x00", 4);
    bus_write_block(r->memory, 4 * 6, "\x10\x20\x00\x00", 4);
    bus_write_block(r->memory, 0x2000, "\xcf", 1);
    bus_write_block(r->memory, 0x2010, "\xeb\xfe", 2);
    ck_assert_int_eq(cpu_run(r->cpu, 100), CPU_EXIT_KICK);
    for (unsigned n = 0, all = cpu_history(r->cpu, past, 32); n < all; n++) /* the events alone */
        if (past[n].kind != CPU_PAST_CODE)
            past[count++] = past[n];
    ck_assert_uint_ge(count, 5);
    ck_assert_int_eq(past[count - 5].kind, CPU_PAST_OUTSIDE);
    is_event(&past[count - 4], CPU_PAST_SOFTWARE, 0x21, before, 0x2000);
    is_event(&past[count - 3], CPU_PAST_IRET, 0, 0x2000, before + 2);
    is_event(&past[count - 2], CPU_PAST_FAR, 0, before + 2, 0x1107);
    is_event(&past[count - 1], CPU_PAST_EXCEPTION, 6, 0x1107, 0x2010);
    ck_assert_uint_eq(past[count - 2].from.cs, RIG_CODE >> 4);
    ck_assert_uint_eq(past[count - 2].from.rip, 2);
    ck_assert_uint_eq(past[count - 2].to.cs, 0x10);
    ck_assert_uint_lt(past[count - 3].instructions, past[count - 2].instructions);
    rig_free(r);
}
END_TEST

/* Code before a change of segment has the base that was CS's then. */
START_TEST(bases_of_what_was)
{
    /* 0100:0000 jmp 0100:0004; 0100:0004 jmp far 0000:2000; 0000:2000 jmp $ */
    static const uint8_t code[] = {0xeb, 0x02, 0x90, 0x90, 0xea, 0x00, 0x20, 0, 0};
    struct cpu_past past[32];
    struct rig *r = new_rig(_i);
    unsigned count;

    rig_real_mode(r);
    r->cpu->s.seg[CS].selector = RIG_CODE >> 4;
    r->cpu->s.seg[CS].base = RIG_CODE;
    r->cpu->s.rip = 0;
    cpu_push(r->cpu);
    ck_assert(cpu_keep_branches(r->cpu, 64));
    bus_write_block(r->memory, RIG_CODE, code, sizeof(code));
    bus_write_block(r->memory, 0x2000, "\xeb\xfe", 2);
    ck_assert_int_eq(cpu_run(r->cpu, 100), CPU_EXIT_KICK);
    count = cpu_history(r->cpu, past, 32);
    ck_assert_uint_ge(count, 5);
    ck_assert_int_eq(past[0].kind, CPU_PAST_OUTSIDE);
    ck_assert_uint_eq(past[1].to.linear, RIG_CODE);
    ck_assert_uint_eq(past[2].to.linear, RIG_CODE + 4);
    ck_assert_uint_eq(past[2].to.rip, 4);
    ck_assert_uint_eq(past[2].to.cs, RIG_CODE >> 4);
    is_event(&past[3], CPU_PAST_FAR, 0, RIG_CODE + 4, 0x2000);
    for (unsigned n = 4; n < count; n++) /* the loop, once interpreted, once translated */
        ck_assert_uint_eq(past[n].to.linear, 0x2000);
    rig_free(r);
}
END_TEST

Suite *history_suite(void)
{
    Suite *s = suite_create("history");
    TCase *t = tcase_create("history");

    tcase_add_loop_test(t, branches_in_words, 0, ENGINES);
    tcase_add_loop_test(t, branches_of_16_bit_code, 0, ENGINES);
    tcase_add_loop_test(t, the_ring_wraps, 0, ENGINES);
    tcase_add_loop_test(t, events, 0, ENGINES);
    tcase_add_loop_test(t, bases_of_what_was, 0, ENGINES);
    suite_add_tcase(s, t);
    return s;
}
