/*
 * test_jit_segments.c - translated 16-bit code, virtual-8086 code, and 32-bit code in segments that aren't
 * flat: random programs on two CPUs, one of which translates all it runs. Registers, flags, memory, the count
 * of instructions and the first exception must be the same afterwards. There is no IDT, so that an exception
 * ends the program.
 *
 * Each program runs several times, with other registers, so that its blocks are linked.
 */
#include <check.h>
#include <string.h>

#include "accel/software.h"
#include "cpu/jit/jit.h"
#include "tests/unit/cpu_rig.h"
#include "tests/unit/segments_program.h"
#include "tests/unit/suites.h"

#if defined(__x86_64__)

#define BUDGET 20000 /* instructions of a program at most */

static const char *const kind_names[] = {"real mode",       "unreal mode",     "virtual-8086 mode",
                                         "16-bit segments", "32-bit segments", "32-bit flat code"};

/* --- Running it --------------------------------------------------------------------------------------- */

struct twins {
    struct rig *soft, *hard; /* interpreted, translated */
    uint8_t *pattern;        /* what data is at the beginning */
    uint8_t before[AT_DATA]; /* what else was there before the program */
    unsigned differences;    /* told by cpu_check() */
    char what[2000];
};

struct result {
    enum cpu_exit exit;
    uint64_t instructions;
    struct cpu_fault fault;
    unsigned faults;
};

static void differs(void *opaque, const struct cpu_difference *difference)
{
    struct twins *t = opaque;
    size_t length = (size_t)snprintf(t->what, sizeof(t->what), "%.600s", difference->what);

    t->differences++;
    for (size_t n = 0; n < difference->guest_size; n++)
        length += (size_t)snprintf(t->what + length, sizeof(t->what) - length, "%02x ", difference->guest[n]);
}

static struct rig *new_rig(void)
{
    struct rig *r = rig_new("max", 0);

    for (uint32_t n = 0; n < 1024; n++) {
        uint32_t page = n << 12, entry = page | 7;

        entry = page == AT_ABSENT ? 0 : page == AT_READ_ONLY ? page | 5 : entry;
        memcpy(r->ram + AT_PT + 4 * (n & 1023), &entry, 4);
    }
    rig_put64(r, AT_PD, AT_PT | 7);
    r->log.enabled = 0;
    return r;
}

static struct twins *twins_new(bool check)
{
    struct twins *t = calloc(1, sizeof(*t));
    struct program p = {.random = 42};
    char why[200];

    t->soft = new_rig();
    t->hard = new_rig();
    ck_assert_msg(engine_jit.attach(t->hard->cpu, NULL, why, sizeof(why)), "%s", why);
    if (check)
        ck_assert(cpu_check(t->hard->cpu, 1, differs, t));
    t->hard->cpu->jit->hot = 1;
    t->pattern = malloc(AT_END - AT_DATA);
    for (unsigned n = 0; n < AT_END - AT_DATA; n++)
        t->pattern[n] = (uint8_t)segments_random(&p);
    return t;
}

static void twins_free(struct twins *t)
{
    rig_free(t->soft);
    rig_free(t->hard);
    free(t->pattern);
    free(t);
}

static void put(struct rig *r, const struct program *p, const uint8_t *pattern)
{
    struct cpu_state *s = &r->cpu->s;

    bus_write_block(r->memory, AT_DATA, pattern, AT_END - AT_DATA);
    bus_write_block(r->memory, AT_GDT, p->gdt, sizeof(p->gdt));
    if (memcmp(r->ram + p->linear, p->code, p->size)) /* blocks that are there stay */
        bus_write_block(r->memory, p->linear, p->code, p->size);
    memcpy(s->gpr, p->s.gpr, sizeof(s->gpr));
    memcpy(s->zmm, p->s.zmm, sizeof(s->zmm));
    memcpy(s->seg, p->s.seg, sizeof(s->seg));
    memset(s->st, 0, sizeof(s->st));
    s->mxcsr = 0x1f80;
    s->fcw = 0x37f;
    s->fsw = 0;
    s->fptag = 0;
    s->fip = s->fdp = 0;
    s->fop = s->fcs = s->fds = 0;
    s->cpl = p->s.cpl;
    s->rip = p->s.rip;
    s->rflags = p->s.rflags;
    s->cr0 = p->s.cr0;
    s->cr4 = p->s.cr4;
    s->cr3 = AT_PD;
    s->cr2 = 0;
    s->shadow = 0;
    s->pending_debug = 0;
    s->gdtr = (struct table_reg){AT_GDT, sizeof(p->gdt) - 1};
    s->idtr = (struct table_reg){0, 0};
    s->activity = CPU_RUNNING;
    cpu_push(r->cpu);
    tlb_flush_all(r->cpu);
}

static struct result run_one(struct rig *r, const struct program *p, const uint8_t *pattern)
{
    struct result result = {0};
    uint64_t before = r->cpu->retired;

    put(r, p, pattern);
    result.exit = cpu_run(r->cpu, BUDGET);
    cpu_pull(r->cpu);
    result.instructions = r->cpu->retired - before;
    if (result.exit == CPU_EXIT_SHUTDOWN)
        result.faults = cpu_chain(r->cpu, &result.fault, 1);
    r->cpu->s.rflags &= ~(uint64_t)FLAG_AF; /* undefined after logical operations */
    return result;
}

/*
 * Whether the program, interpreted step by step, makes flags that the manual leaves undefined and doesn't
 * define them next: it does when it jumped into the middle of an instruction, or out of itself.
 */
static bool goes_astray(struct twins *t, const struct program *p)
{
    struct cpu *cpu = t->soft->cpu;

    bus_write_block(t->soft->memory, 0, t->before, sizeof(t->before));
    put(t->soft, p, t->pattern);
    for (unsigned n = 0; n < BUDGET && cpu->s.activity == CPU_RUNNING; n++) {
        struct insn i = {0};
        uint8_t text[18] = {0};
        unsigned attr, length;

        cpu_peek(cpu, (uint32_t)(cpu->s.seg[CS].base + cpu->s.rip), text, sizeof(text));
        if (text[0] == 0xfb) /* STI: translated code notes its shadow for longer than it lasts (system.c) */
            return true;
        length = decode(cpu, cpu->mode, text, 16, 0, 0, &i, &attr);
        if (length && i.row != UINT16_MAX && opcode_rows[i.row].flags_undefined & ~FLAG_AF &&
            (text[length] != 0x39 || text[length + 1] != 0xc8 ||
             cpu->s.rip + length + 1 > cpu->s.seg[CS].limit))
            return true;
        cpu_step(cpu);
    }
    return false;
}

/* In what the two ended differently; false: in nothing. */
static bool differ(const struct twins *t, const struct result *x, const struct result *y, char *what,
                   size_t size)
{
    const struct cpu_state *a = &t->soft->cpu->s, *b = &t->hard->cpu->s;
    uint32_t n = 0;
    char where[80] = "";

    if (x->exit != y->exit || x->faults != y->faults || x->fault.vector != y->fault.vector ||
        x->fault.error != y->fault.error || x->fault.rip != y->fault.rip)
        snprintf(what, size, "exits %d and %d, exceptions %u(%x) at %llx and %u(%x) at %llx", (int)x->exit,
                 (int)y->exit, x->fault.vector, x->fault.error, (unsigned long long)x->fault.rip,
                 y->fault.vector, y->fault.error, (unsigned long long)y->fault.rip);
    else if (!fields_equal(cpu_state_fields, a, b, where, sizeof(where)))
        snprintf(what, size, "%s differs; RIP %llx and %llx, RFLAGS %llx and %llx", where,
                 (unsigned long long)a->rip, (unsigned long long)b->rip, (unsigned long long)a->rflags,
                 (unsigned long long)b->rflags);
    else if (x->instructions != y->instructions)
        snprintf(what, size, "%llu and %llu instructions", (unsigned long long)x->instructions,
                 (unsigned long long)y->instructions);
    else if (!memcmp(t->soft->ram, t->hard->ram, AT_END))
        return false;
    else {
        while (t->soft->ram[n] == t->hard->ram[n])
            n++;
        snprintf(what, size, "memory at %x differs: %02x and %02x", n, t->soft->ram[n], t->hard->ram[n]);
    }
    return true;
}

/* False: the program did not come to its end, or did what isn't defined. */
static bool run_both(struct twins *t, const struct program *p, uint64_t seed)
{
    const char *name = kind_names[p->kind];
    struct result x, y;
    char what[200];

    memcpy(t->before, t->soft->ram, sizeof(t->before));
    x = run_one(t->soft, p, t->pattern);
    y = run_one(t->hard, p, t->pattern);
    ck_assert_msg(!t->differences, "%s, program %llu: %s", name, (unsigned long long)seed, t->what);
    if (x.exit == CPU_EXIT_KICK || y.exit == CPU_EXIT_KICK)
        return false;
    if (!differ(t, &x, &y, what, sizeof(what)))
        return true;
    ck_assert_msg(goes_astray(t, p), "%s, program %llu: %s", name, (unsigned long long)seed, what);
    bus_write_block(t->hard->memory, 0, t->soft->ram, AT_END);
    return false;
}

static void run_programs(enum kind kind, bool check, uint64_t first, unsigned count)
{
    struct twins *t = twins_new(check);
    unsigned ended = 0, faults = 0;
    struct program p;

    for (uint64_t seed = first; seed < first + count; seed++) {
        segments_make(&p, kind, seed);
        for (unsigned round = 0; round < 3; round++) {
            segments_registers(&p);
            ended += run_both(t, &p, seed);
            faults += t->soft->cpu->s.activity == CPU_SHUTDOWN;
        }
    }
    ck_assert_uint_gt(ended, 3 * count * 9 / 10);
    ck_assert_uint_gt(faults, count / 4);
    ck_assert_uint_lt(faults, 3 * count);
    twins_free(t);
}

START_TEST(random_programs)
{
    run_programs((enum kind)_i, false, 1, 1000);
}
END_TEST

START_TEST(random_programs_in_lockstep)
{
    run_programs((enum kind)_i, true, 100001, 200);
}
END_TEST

Suite *jit_segments_suite(void)
{
    Suite *s = suite_create("jit_segments");
    TCase *tc = tcase_create("translated code in segments");

    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, random_programs, 0, KINDS);
    tcase_add_loop_test(tc, random_programs_in_lockstep, 0, KINDS);
    suite_add_tcase(s, tc);
    return s;
}

#else

Suite *jit_segments_suite(void)
{
    return suite_create("jit_segments");
}

#endif
