/*
 * test_kvm_random.c - random programs at CPL 3 end in the same state under KVM, the interpreter and, where
 * there is one, the translator. A program is drawn from its number; OXBOW_PROGRAM in the environment runs
 * that one alone.
 */
#include "accel/engine.h"
#include "tests/unit/cpu_rig.h"

#define PROGRAMS 3000
#define LENGTH   40       /* instructions of a program */
#define CODE     0x20000u /* pages of its own, for user and supervisor alike */
#define DATA     0x21000u

static struct rig *r;
static uint64_t seed;

static uint32_t any(uint32_t below)
{
    uint64_t z = seed += 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return (uint32_t)((z ^ z >> 31) >> 16) % below;
}

static uint64_t any64(void)
{
    return (uint64_t)any(UINT32_MAX) << 32 | any(UINT32_MAX);
}

/* What comes after REX and before ModRM. Flags that the manual leaves undefined are those of the host, and
 * are not drawn for. */
static const struct form {
    uint8_t prefix, size, opcode[3], imm; /* size: of opcode; imm: bytes behind */
    bool no_memory, vector;
} forms[] = {
    {0, 1, {0x00}, 0, false, false},        {0, 1, {0x01}, 0, false, false},
    {0, 1, {0x03}, 0, false, false},        {0, 1, {0x11}, 0, false, false},
    {0, 1, {0x13}, 0, false, false},        {0, 1, {0x19}, 0, false, false},
    {0, 1, {0x1b}, 0, false, false},        {0, 1, {0x28}, 0, false, false},
    {0, 1, {0x29}, 0, false, false},        {0, 1, {0x2b}, 0, false, false},
    {0, 1, {0x39}, 0, false, false},        {0, 1, {0x3b}, 0, false, false},
    {0x66, 1, {0x01}, 0, false, false},     {0x66, 1, {0x2b}, 0, false, false},
    {0, 1, {0x81}, 4, false, false},        {0, 1, {0x83}, 1, false, false},
    {0, 1, {0x87}, 0, false, false},        {0, 1, {0x89}, 0, false, false},
    {0, 1, {0x8b}, 0, false, false},        {0, 1, {0x88}, 0, false, false},
    {0, 2, {0x0f, 0xb6}, 0, false, false},  {0, 2, {0x0f, 0xb7}, 0, false, false},
    {0, 2, {0x0f, 0xbe}, 0, false, false},  {0, 2, {0x0f, 0xbf}, 0, false, false},
    {0, 1, {0x63}, 0, false, false},        {0, 2, {0x0f, 0x42}, 0, false, false},
    {0, 2, {0x0f, 0x4f}, 0, false, false},  {0, 2, {0x0f, 0x45}, 0, false, false},
    {0, 2, {0x0f, 0x92}, 0, false, false},  {0, 2, {0x0f, 0x9c}, 0, false, false},
    {0, 2, {0x0f, 0xc1}, 0, false, false},  {0, 2, {0x0f, 0xb1}, 0, false, false},
    {0x66, 2, {0x0f, 0xfe}, 0, true, true}, {0x66, 2, {0x0f, 0xd4}, 0, true, true},
    {0x66, 2, {0x0f, 0xef}, 0, true, true}, {0x66, 2, {0x0f, 0xdb}, 0, true, true},
    {0x66, 2, {0x0f, 0x6f}, 0, true, true}, {0x66, 2, {0x0f, 0x62}, 0, true, true},
    {0x66, 2, {0x0f, 0xf4}, 0, true, true}, {0x66, 2, {0x0f, 0x70}, 1, true, true},
    {0x66, 2, {0x0f, 0x63}, 0, true, true}, {0x66, 2, {0x0f, 0xe5}, 0, true, true},
    {0x66, 2, {0x0f, 0x6e}, 0, true, true}, {0x66, 2, {0x0f, 0x7e}, 0, true, false},
    {0, 2, {0x0f, 0x58}, 0, true, true},
};
#define FORMS (sizeof(forms) / sizeof(forms[0]))

/* RSP and RSI, which points to the data, are left alone. */
static unsigned any_register(void)
{
    unsigned n = any(16);

    return n == RSP || n == RSI ? RAX : n;
}

static unsigned put_instruction(uint8_t *at)
{
    const struct form *form = &forms[any(FORMS)];
    unsigned reg = form->vector ? any(16) : any_register(), rm = form->vector ? any(16) : any_register(),
             n = 0;
    bool memory = !form->no_memory && any(3) == 0, wide = any(2) && !form->vector;

    if (form->size == 2 && (form->opcode[1] == 0x6e || form->opcode[1] == 0x7e)) {
        reg = any(16);
        rm = any_register();
    }
    if (form->opcode[0] >= 0x81 && form->opcode[0] <= 0x83) /* ADD, ADC, SBB, SUB, CMP */
        reg = (unsigned[]){0, 2, 3, 5, 7}[any(5)];
    if (form->prefix)
        at[n++] = form->prefix;
    at[n++] = (uint8_t)(0x40 | wide << 3 | (reg >> 3) << 2 | (memory ? 0 : rm >> 3));
    memcpy(at + n, form->opcode, form->size);
    n += form->size;
    at[n++] = (uint8_t)((memory ? 0x40 : 0xc0) | (reg & 7) << 3 | (memory ? RSI : rm & 7));
    if (memory)
        at[n++] = (uint8_t)any(120);
    for (unsigned k = 0; k < form->imm; k++)
        at[n++] = (uint8_t)any(256);
    return n;
}

/* Ends by a write to RIG_PORT, which makes the engine be left. */
static void draw_program(uint64_t number)
{
    static const uint8_t end[] = {0x66, 0xba, RIG_PORT & 0xff, RIG_PORT >> 8, 0xee, 0xeb, 0xfe};
    uint8_t *at = r->ram + CODE;

    seed = number * 0x100000001b3ull;
    for (unsigned n = 0; n < LENGTH; n++)
        at += put_instruction(at);
    memcpy(at, end, sizeof(end));
    for (unsigned n = 0; n < 256; n += 8)
        rig_put64(r, DATA + n, any64());
}

static void draw_state(void)
{
    struct cpu_state *s = cpu_state(r->cpu);

    rig_long_mode(r);
    for (unsigned n = 0; n < SEG_COUNT; n++) {
        s->seg[n].attr |= SEG_DPL;
        s->seg[n].selector |= 3;
    }
    s->cpl = 3;
    s->cr4 |= CR4_OSFXSR;
    s->cr0 &= ~(uint64_t)(CR0_EM | CR0_TS);
    s->activity = CPU_RUNNING;
    s->shadow = s->event_pending = 0;
    s->rip = CODE;
    s->rflags = FLAG_1 | FLAG_IOPL;
    s->mxcsr = 0x1f80;
    for (unsigned n = 0; n < 16; n++) {
        s->gpr[n] = any64();
        for (unsigned k = 0; k < 2; k++)
            s->zmm[n].u64[k] = any64();
    }
    s->gpr[RSI] = DATA;
    s->gpr[RSP] = DATA + 0x800;
}

struct outcome {
    uint64_t gpr[16], rip, rflags;
    union zmm zmm[16];
    uint8_t data[256];
};

static void note(struct outcome *outcome)
{
    const struct cpu_state *s = cpu_state(r->cpu);

    memset(outcome, 0, sizeof(*outcome));
    memcpy(outcome->gpr, s->gpr, sizeof(outcome->gpr));
    memcpy(outcome->zmm, s->zmm, sizeof(outcome->zmm));
    memcpy(outcome->data, r->ram + DATA, sizeof(outcome->data));
    outcome->rip = s->rip;
    outcome->rflags = s->rflags & ~(uint64_t)(FLAG_RF | FLAG_IOPL); /* some hosts without VT lose IOPL */
}

static void run(const struct engine *engine, uint64_t number, struct outcome *outcome)
{
    char why[300];

    draw_program(number);
    draw_state();
    r->written_count = 0;
    ck_assert_msg(!engine->attach || engine->attach(r->cpu, NULL, why, sizeof(why)), "%s", why);
    cpu_forget_code(r->cpu);
    engine->push(r->cpu);
    for (unsigned n = 0; n < 100 && !r->written_count; n++)
        ck_assert_int_eq(engine->run(r->cpu, 1000), CPU_EXIT_KICK);
    engine->pull(r->cpu);
    if (engine->detach)
        engine->detach(r->cpu);
    ck_assert_uint_eq(r->written_count, 1);
    note(outcome);
}

static void compare(const struct outcome *a, const struct outcome *b, const char *name, uint64_t number)
{
    for (unsigned n = 0; n < 16; n++)
        ck_assert_msg(a->gpr[n] == b->gpr[n], "program %llu: register %u is %#llx, under %s %#llx",
                      (unsigned long long)number, n, (unsigned long long)a->gpr[n], name,
                      (unsigned long long)b->gpr[n]);
    ck_assert_msg(a->rflags == b->rflags, "program %llu: RFLAGS is %#llx, under %s %#llx",
                  (unsigned long long)number, (unsigned long long)a->rflags, name,
                  (unsigned long long)b->rflags);
    for (unsigned n = 0; n < 16; n++)
        ck_assert_msg(!memcmp(&a->zmm[n], &b->zmm[n], 16), "program %llu: XMM%u differs under %s",
                      (unsigned long long)number, n, name);
    ck_assert_msg(!memcmp(a->data, b->data, sizeof(a->data)), "program %llu: memory differs under %s",
                  (unsigned long long)number, name);
}

START_TEST(same_under_each_engine)
{
    const char *alone = getenv("OXBOW_PROGRAM");
    uint64_t first = alone ? strtoull(alone, NULL, 0) : 1, last = alone ? first : PROGRAMS;
    static const char *const names[] = {"kvm", "jit"};
    const struct engine *engine[2], *interp;
    struct outcome expected, outcome;
    char why[300];

    for (unsigned n = 0; n < 2; n++)
        engine[n] = engine_pick(names[n], why, sizeof(why));
    interp = engine_pick("interp", why, sizeof(why));
    ck_assert(engine[0] && interp);
    r = rig_new(NULL, engine[0]->tsc_hz());
    r->kick_on_write = true;
    for (uint64_t page = CODE / 4096; page <= DATA / 4096; page++)
        rig_put64(r, RIG_PT + 8 * page, page * 4096 | 7);
    for (uint64_t number = first; number <= last; number++) {
        run(interp, number, &expected);
        for (unsigned n = 0; n < 2; n++)
            if (engine[n]) {
                run(engine[n], number, &outcome);
                compare(&expected, &outcome, names[n], number);
            }
    }
    rig_free(r);
}
END_TEST

Suite *kvm_random_suite(void);
Suite *kvm_random_suite(void)
{
    Suite *suite = suite_create("kvm_random");
    TCase *tc = tcase_create("kvm");

    tcase_set_tags(tc, "kvm");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, same_under_each_engine);
    suite_add_tcase(suite, tc);
    return suite;
}
