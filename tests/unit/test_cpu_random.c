/*
 * test_cpu_random.c - random bytes as code, run twice: by cpu_run, with traces, links and fast paths, and by cpu_step, an
 * instruction at a time. Both must end in the same state. Nothing may crash the host (the sanitizers watch).
 *
 * OXBOW_RANDOM=N runs N programs a mode instead of the default, from the seed OXBOW_SEED.
 */
#include "tests/unit/cpu_rig.h"

#define PROGRAMS 600
#define LENGTH   48  /* bytes of random code */
#define BUDGET   400
#define DATA     0x10000u

enum mode { FROM_REAL, FROM_FLAT32, FROM_LONG };

/* xorshift64* */
static uint32_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (uint32_t)(*state * 0x2545f4914f6cdd1dull >> 32);
}

static void flat32(struct rig *r)
{
    struct cpu_state *s = &r->cpu->s;

    for (unsigned n = 0; n < SEG_COUNT; n++)
        s->seg[n] = (struct segment){.selector = n == CS ? 8 : 16,
                                     .limit = UINT32_MAX,
                                     .attr = SEG_P | SEG_S | SEG_DB | SEG_G | SEG_ACCESSED | SEG_WRITABLE |
                                             (n == CS ? SEG_CODE : 0)};
    s->cr0 = CR0_PE | CR0_ET | CR0_NE;
    s->rip = RIG_CODE;
    cpu_push(r->cpu);
}

/* A machine about to run the program that `seed` stands for. */
static struct rig *prepare(enum mode mode, uint64_t seed)
{
    struct rig *r = rig_new("max", 0);
    struct cpu_state *s = &r->cpu->s;
    uint64_t random = seed * 0x9e3779b97f4a7c15ull + 1;

    r->log.enabled = 0;
    if (mode == FROM_LONG)
        rig_long_mode(r);
    else if (mode == FROM_FLAT32)
        flat32(r);
    else
        rig_real_mode(r);
    s->cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT;
    s->idtr.limit = 0; /* the first exception ends it */
    for (unsigned n = 0; n < LENGTH; n++)
        r->ram[RIG_CODE + n] = (uint8_t)next_random(&random);
    for (unsigned n = 0; n < 16; n++) {
        uint64_t kind = next_random(&random);

        /* Half of the registers point at data, the others hold anything. */
        s->gpr[n] = kind & 1 ? DATA + (kind >> 8 & 0xfff) : (uint64_t)next_random(&random) << 32 | next_random(&random);
        if (mode == FROM_REAL)
            s->gpr[n] &= 0xffff;
    }
    s->gpr[RSP] = mode == FROM_REAL ? 0x8000 : DATA + 0x8000;
    for (unsigned n = 0; n < 0x1000; n++)
        r->ram[DATA + n] = (uint8_t)next_random(&random);
    for (unsigned n = 0; n < 32; n++)
        for (unsigned k = 0; k < 4; k++)
            s->zmm[n].u64[k] = (uint64_t)next_random(&random) << 32 | next_random(&random);
    s->fcw = 0x37f;
    s->fptag = 0;
    cpu_push(r->cpu);
    return r;
}

/* Runs until the program ends in a shutdown or HLT. False when it doesn't, within BUDGET steps. */
static bool finish(struct rig *r, bool by_steps)
{
    enum cpu_exit exit = CPU_EXIT_KICK;

    for (unsigned n = 0; n < BUDGET && exit == CPU_EXIT_KICK; n++)
        exit = by_steps ? cpu_step(r->cpu) : cpu_run(r->cpu, 1 + n % 40);
    cpu_pull(r->cpu);
    return exit != CPU_EXIT_KICK;
}

/* True when the program ended, both ways. Endless ones, and REP with huge counts, are not compared. */
static bool compare(enum mode mode, uint64_t seed)
{
    struct rig *run = prepare(mode, seed), *step = prepare(mode, seed);
    char where[100] = "";
    bool ended = finish(run, false) && finish(step, true);

    if (ended) {
        ck_assert_msg(fields_equal(cpu_state_fields, &run->cpu->s, &step->cpu->s, where, sizeof(where)),
                      "mode %d seed %llu: %s differs", mode, (unsigned long long)seed, where);
        ck_assert_msg(!memcmp(run->ram, step->ram, RIG_RAM), "mode %d seed %llu: memory differs", mode,
                      (unsigned long long)seed);
    }
    rig_free(run);
    rig_free(step);
    return ended;
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *value = getenv(name);

    return value ? strtoull(value, NULL, 0) : otherwise;
}

START_TEST(traces_do_what_steps_do)
{
    uint64_t seed = from_environment("OXBOW_SEED", 1), count = from_environment("OXBOW_RANDOM", PROGRAMS);

    uint64_t compared = 0;

    for (uint64_t n = 0; n < count; n++)
        compared += compare((enum mode)_i, seed + n);
    ck_assert_uint_gt(compared, count / 4);
}
END_TEST

Suite *cpu_random_suite(void);
Suite *cpu_random_suite(void)
{
    Suite *suite = suite_create("cpu_random");
    TCase *tcase = tcase_create("modes");

    tcase_set_timeout(tcase, 600);
    tcase_add_loop_test(tcase, traces_do_what_steps_do, FROM_REAL, FROM_LONG + 1);
    suite_add_tcase(suite, tcase);
    return suite;
}
