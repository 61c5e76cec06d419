/*
 * oracle.c - runs cases in as many processes as wanted.
 *
 *     oracle                      two million cases and programs from seed 1, as TAP: a test a CPUID feature
 *     oracle --seconds 600 --seed 7
 *     oracle --case 7:123456      one case again, with both states printed; 7:p123456 a program
 *     oracle --only shl,shr --rows 1 --flags
 *     oracle --feature avx2 --engine steps
 *     oracle --engine jit         by translated code, compared with the host and with the interpreter
 *
 * Each worker is a process of its own, so that a case that tears it down can be named.
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cpu/internal.h"
#include "tests/oracle/tally.h"

#define SHOWN    3       /* differences shown of one instruction, a worker */
#define STUCK_MS 120000u /* a worker without progress */

struct worker {
    const struct oracle *o;
    struct tally *tally;
    struct soft *soft, *interpreter; /* the same, if there is nothing to compare */
    struct test_case c;
    struct outcome by_soft, by_interpreter, by_host;
};

static void die(const char *what)
{
    printf("Bail out! %s\n", what);
    exit(1);
}

static struct worker *worker_new(const struct oracle *o, struct tally *tally)
{
    const uint8_t *const_page = generator_const_page(&o->generator);
    struct worker *w = aligned_alloc(64, sizeof(*w));
    char why[200] = "";
    bool low;

    memset(w, 0, sizeof(*w));
    w->o = o;
    w->tally = tally;
    if (!native_init(const_page, &o->features, &low, why, sizeof(why)))
        die(why);
    /* An engine's own signal handlers, set once a process, came before those of native_init(): main() had
     * one. */
    w->soft = w->interpreter = soft_new(o->opt.engine, const_page, low);
    if (o->opt.engine->exact)
        w->interpreter = soft_new(soft_engine_find("interpreter"), const_page, low);
    return w;
}

static void worker_free(struct worker *w)
{
    if (w->interpreter != w->soft)
        soft_free(w->interpreter);
    soft_free(w->soft);
    free(w);
}

/* Whether the host may run it: not when the case would touch what this process has mapped elsewhere. */
static bool fit_for_host(struct worker *w)
{
    const struct outcome *s = &w->by_soft;

    if (s->end == END_NEVER) {
        w->tally->endless++;
    } else if (s->end == END_KERNEL) {
        w->tally->kernel++;
    } else if (s->end == END_EXCEPTION && s->vector == EX_PF && (s->cr2 - (CODE - GUARD) > 2 * GUARD) &&
               (s->cr2 < USER_END || s->cr2 >= 0xffffffff00000000ull) && native_occupied(s->cr2)) {
        w->tally->occupied++;
    } else {
        return true;
    }
    return false;
}

static void count_flags(struct worker *w)
{
    const struct opcode_row *row = &opcode_rows[w->c.row[0]];
    struct row_count *count = &w->tally->row[w->c.row[0]];
    uint32_t different;

    if (w->c.row_count != 1 || w->c.changed || !row->flags_undefined || w->by_host.vector != EX_BP)
        return;
    different = flag_differences(&w->by_soft, &w->by_host) & row->flags_undefined;
    count->undefined++;
    for (unsigned n = 0; n < FLAG_BITS; n++)
        count->unlike[n] += (different & flag_names[n].flag) != 0;
}

/* "7:p12", as --case takes it. */
static void print_number(uint64_t seed, uint64_t number)
{
    printf("%" PRIu64 ":%s%" PRIu64, seed, number & PROGRAM ? "p" : "", number & ~PROGRAM);
}

static void make_case(const struct oracle *o, struct test_case *c, uint64_t number)
{
    generate(&o->generator, c, o->opt.seed, number & ~PROGRAM, number & PROGRAM);
}

/* Counts the case as one that differs, and prints how to have it again. */
static void note_difference(struct worker *w, uint64_t number, const char *text)
{
    struct tally *t = w->tally;

    t->differ++;
    t->programs_differ += w->c.program;
    for (unsigned n = 0; n < w->c.row_count && !w->c.program; n++)
        t->row[w->c.row[n]].differ++;
    if (t->row[w->c.row[0]].shown++ >= SHOWN || w->o->opt.quiet)
        return;
    printf("# tests/oracle/oracle %s--case ", w->o->same);
    print_number(w->c.seed, number);
    printf(" # ");
    print_case(stdout, &w->c);
    printf(" ours%s\n", text);
    fflush(stdout);
}

static bool engines_agree(struct worker *w, char *text, size_t size)
{
    if (w->interpreter == w->soft)
        return true;
    soft_run(w->interpreter, &w->c, &w->by_interpreter);
    if (!engines_differ(&w->c, &w->by_soft, &w->by_interpreter, text, size))
        return true;
    if (!engines_may_differ(w->interpreter, &w->c, &w->by_soft, &w->by_interpreter, w->o->facts))
        return false;
    if (w->tally)
        w->tally->engines_may++;
    w->by_soft = w->by_interpreter; /* which does as the host with them */
    return true;
}

static void run_case(struct worker *w, uint64_t number)
{
    struct tally *t = w->tally;
    char text[1024];
    bool alone;
    int known;

    t->now = number;
    make_case(w->o, &w->c, number);
    soft_run(w->soft, &w->c, &w->by_soft);
    if (!engines_agree(w, text, sizeof(text))) {
        t->engines_differ++;
        note_difference(w, number, text);
        return;
    }
    if (w->by_soft.end != END_SHUTDOWN && !fit_for_host(w))
        return;
    native_run(&w->c, &w->by_host);
    t->cases++;
    t->programs += w->c.program;
    t->reached += w->c.program && w->by_host.vector == EX_BP &&
                  w->by_host.machine.rip == w->c.start.rip + w->c.length + 1;
    t->instructions += w->c.row_count;
    t->vectors[w->by_host.vector & 31]++;
    alone = w->c.row_count == 1 && !w->c.changed && !w->c.misfit;
    for (unsigned n = 0; n < w->c.row_count; n++) {
        t->row[w->c.row[n]].cases++;
        t->row[w->c.row[n]].alone += alone;
        t->row[w->c.row[n]].faults += alone && w->by_host.vector != EX_BP;
    }
    count_flags(w);
    if (!differ(&w->c, &w->by_soft, &w->by_host, text, sizeof(text)))
        return;
    known = known_difference(w->soft, &w->c, &w->by_soft, &w->by_host, w->o->facts);
    if (known >= 0) {
        t->known[known]++;
        return;
    }
    native_run(&w->c, &w->by_host);
    if (!differ(&w->c, &w->by_soft, &w->by_host, text, sizeof(text))) {
        t->unsteady++;
        return;
    }
    note_difference(w, number, text);
}

static double seconds_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void work(const struct oracle *o, unsigned job)
{
    struct worker *w = worker_new(o, o->tallies[job]);
    double end = seconds_now() + o->opt.seconds;

    for (uint64_t n = job; o->opt.seconds || n < o->opt.cases || n < o->opt.programs; n += o->opt.jobs) {
        if (o->opt.seconds && n / o->opt.jobs % 256 == 0 && seconds_now() >= end)
            break;
        if (o->opt.seconds ? o->opt.cases : n < o->opt.cases)
            run_case(w, n);
        if (o->opt.seconds ? o->opt.programs && (!o->opt.cases || n % o->opt.engine->cases == 0)
                           : n < o->opt.programs)
            run_case(w, n | PROGRAM);
    }
    memcpy(w->tally->work, soft_work(w->soft), sizeof(w->tally->work));
    worker_free(w);
}

/* --- One case, in full ----------------------------------------------------------------------------- */

static int show_case(const struct oracle *o)
{
    struct worker *w = worker_new(o, NULL);
    char text[4096];
    static uint16_t rows[PROGRAM_BUDGET];
    unsigned n;
    bool different, agree;

    make_case(o, &w->c, o->opt.number);
    print_case(stdout, &w->c);
    for (n = 0; n < w->c.length && w->c.program; n++)
        printf("%s%02x", n % 32 ? " " : "\n", w->c.bytes[n]);
    printf("\n");
    print_outcome(stdout, "start", &w->c, NULL);
    soft_run(w->soft, &w->c, &w->by_soft);
    print_outcome(stdout, "ours", &w->c, &w->by_soft);
    agree = engines_agree(w, text, sizeof(text));
    if (!agree) {
        print_outcome(stdout, "interpreter", &w->c, &w->by_interpreter);
        printf("differs from the interpreter: ours%s\n", text);
    }
    n = soft_executed(w->soft, &w->c, rows, PROGRAM_BUDGET);
    printf("executes:");
    for (unsigned k = 0; k < n; k++)
        printf(" %s", rows[k] == UINT16_MAX ? "-" : opcode_rows[rows[k]].name);
    printf("\n");
    fflush(stdout);
    if (w->by_soft.end != END_EXCEPTION)
        printf("not run on the host\n");
    else
        native_run(&w->c, &w->by_host);
    print_outcome(stdout, "host", &w->c, &w->by_host);
    different = differ(&w->c, &w->by_soft, &w->by_host, text, sizeof(text));
    printf("%s%s\n", different ? "differs: ours" : "agrees", text);
    if (different) {
        int known = known_difference(w->soft, &w->c, &w->by_soft, &w->by_host, o->facts);

        if (known >= 0)
            printf("as it may: %s\n", known_reason((unsigned)known));
        different = known < 0;
    }
    report_work(soft_work(w->soft));
    worker_free(w);
    return different || !agree;
}

/* --- Workers --------------------------------------------------------------------------------------- */

/* Until all are done; one that makes no progress is ended. Returns how many were lost. */
static int wait_for_workers(const struct oracle *o, const pid_t *pids)
{
    uint64_t seen[MAX_JOBS] = {0};
    unsigned still[MAX_JOBS] = {0}, left = o->opt.jobs;
    bool done[MAX_JOBS] = {false};
    int lost = 0;

    while (left) {
        nanosleep(&(struct timespec){0, 50000000}, NULL);
        for (unsigned j = 0; j < o->opt.jobs; j++) {
            const volatile struct tally *t = o->tallies[j];
            int status = 0;
            pid_t pid = done[j] ? 0 : waitpid(pids[j], &status, WNOHANG);

            still[j] = t->now == seen[j] ? still[j] + 50 : 0;
            seen[j] = t->now;
            if (!done[j] && pid == 0 && still[j] >= STUCK_MS) {
                kill(pids[j], SIGKILL);
                pid = waitpid(pids[j], &status, 0);
            }
            if (done[j] || pid == 0)
                continue;
            done[j] = true;
            left--;
            if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
                continue;
            printf("# tests/oracle/oracle %s--case ", o->same);
            print_number(o->opt.seed, t->now);
            printf(" # %s its worker\n", still[j] >= STUCK_MS ? "holds up" : "ended");
            lost++;
        }
    }
    return lost;
}

static int run_all(struct oracle *o)
{
    pid_t pids[MAX_JOBS];
    double start = seconds_now();
    int lost;

    fflush(stdout);
    for (unsigned j = 0; j < o->opt.jobs; j++) {
        pids[j] = fork();
        if (pids[j] == 0) {
            work(o, j);
            exit(0);
        }
    }
    lost = wait_for_workers(o, pids);
    return report(o, lost, seconds_now() - start);
}

/* SEED:NUMBER, or SEED:pNUMBER for a program. */
static bool parse_case(struct oracle *o, const char *text)
{
    if (sscanf(text, "%" SCNu64 ":p%" SCNu64, &o->opt.seed, &o->opt.number) == 2)
        o->opt.number |= PROGRAM;
    else if (sscanf(text, "%" SCNu64 ":%" SCNu64, &o->opt.seed, &o->opt.number) != 2)
        die("a case is SEED:NUMBER or SEED:pNUMBER");
    return true;
}

static void parse(struct oracle *o, int argc, char **argv)
{
    static const struct option options[] = {
        {"cases", 1, NULL, 'n'},   {"seconds", 1, NULL, 't'}, {"seed", 1, NULL, 's'},
        {"jobs", 1, NULL, 'j'},    {"only", 1, NULL, 'o'},    {"bits", 1, NULL, 'b'},
        {"rows", 1, NULL, 'r'},    {"case", 1, NULL, 'c'},    {"programs", 1, NULL, 'p'},
        {"feature", 1, NULL, 'F'}, {"engine", 1, NULL, 'e'},  {"flags", 0, NULL, 'f'},
        {"list", 0, NULL, 'l'},    {"quiet", 0, NULL, 'q'},   {NULL, 0, NULL, 0}};
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'n':
            o->opt.cases = strtoull(optarg, NULL, 0);
            break;
        case 't':
            o->opt.seconds = (unsigned)strtoul(optarg, NULL, 0);
            break;
        case 's':
            o->opt.seed = strtoull(optarg, NULL, 0);
            break;
        case 'j':
            o->opt.jobs = (unsigned)strtoul(optarg, NULL, 0);
            break;
        case 'o':
            o->generator.only = optarg;
            break;
        case 'b':
            o->generator.bits = (unsigned)strtoul(optarg, NULL, 0);
            break;
        case 'r':
            o->generator.rows = (unsigned)strtoul(optarg, NULL, 0);
            break;
        case 'c':
            o->opt.one_case = parse_case(o, optarg);
            break;
        case 'p':
            o->opt.programs = strtoull(optarg, NULL, 0);
            break;
        case 'F':
            o->generator.feature = optarg;
            break;
        case 'e':
            o->opt.engine = soft_engine_find(optarg);
            if (!o->opt.engine)
                die("there is no such engine");
            break;
        case 'f':
            o->opt.flags = true;
            break;
        case 'l':
            o->opt.list = true;
            break;
        case 'q':
            o->opt.quiet = true;
            break;
        default:
            die("unknown option");
        }
    }
    if (o->opt.jobs < 1 || o->opt.jobs > MAX_JOBS || o->generator.rows > MAX_ROWS)
        die("that number of jobs or rows is out of range");
}

/* Whether signals tell what happened: an empty case must end at its INT3, with all registers as given. */
static bool signals_tell(const struct oracle *o, char *why, size_t size)
{
    struct test_case *c = aligned_alloc(64, sizeof(*c));
    struct outcome *out = aligned_alloc(64, sizeof(*out));
    bool ok;

    generate(&o->generator, c, 1, 0, false);
    c->length = 0;
    native_run(c, out);
    ok = out->end == END_EXCEPTION && out->vector == EX_BP && out->machine.rip == c->start.rip + 1 &&
         !memcmp(&out->machine.gpr[R8], &c->start.gpr[R8], 64) &&
         !memcmp(out->machine.fx + FX_XMM, c->start.fx + FX_XMM, 256);
    if (!ok)
        snprintf(why, size, "signals don't tell the processor's state here");
    free(c);
    free(out);
    return ok;
}

/* Tries to set up what a worker needs, in a process of its own: sanitizers keep the low addresses for
 * themselves. */
static bool can_run(const struct oracle *o, char *why, size_t size)
{
    int status, pipe_fds[2];
    pid_t pid;
    bool low;

    if (pipe(pipe_fds) || (pid = fork()) < 0)
        return false;
    if (pid == 0) {
        bool ok = native_init(generator_const_page(&o->generator), &o->features, &low, why, size) &&
                  signals_tell(o, why, size);

        if (write(pipe_fds[1], why, size) != (ssize_t)size)
            ok = false;
        _exit(!ok);
    }
    if (waitpid(pid, &status, 0) != pid || read(pipe_fds[0], why, size) != (ssize_t)size)
        status = 1;
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int argc, char **argv)
{
    char why[200] = "";
    struct oracle *o = calloc(1, sizeof(*o));
    static const uint8_t no_page[PAGE];
    struct soft *soft;
    int result;

    o->opt = (struct options){.seed = 1,
                              .cases = 2000000,
                              .programs = 100000,
                              .engine = soft_engine_find("interpreter"),
                              .jobs = (unsigned)sysconf(_SC_NPROCESSORS_ONLN)};
    if (o->opt.jobs > MAX_JOBS)
        o->opt.jobs = MAX_JOBS;
    parse(o, argc, argv);
    setvbuf(stdout, NULL, _IOLBF, 0);

    if (o->generator.only)
        snprintf(o->same, sizeof(o->same), "--only %.200s ", o->generator.only);
    if (o->generator.feature)
        snprintf(o->same + strlen(o->same), 60, "--feature %.40s ", o->generator.feature);
    if (strcmp(o->opt.engine->name, "interpreter"))
        snprintf(o->same + strlen(o->same), 40, "--engine %.20s ", o->opt.engine->name);
    if (o->generator.bits)
        snprintf(o->same + strlen(o->same), 20, "--bits %u ", o->generator.bits);
    if (o->generator.rows)
        snprintf(o->same + strlen(o->same), 20, "--rows %u ", o->generator.rows);
    o->facts = calloc(opcode_row_count, sizeof(*o->facts));
    o->features.host = calloc(feature_count(), sizeof(bool));
    o->features.cpu = calloc(feature_count(), sizeof(bool));
    soft = soft_new(o->opt.engine, no_page, false);
    features_find(&o->features, soft_cpu(soft));
    soft_free(soft);
    rows_examine(o->facts, &o->features);
    o->generator.facts = o->facts;
    o->generator.features = &o->features;
    if (!generator_init(&o->generator))
        die("no such instructions");
    for (unsigned j = 0; j < o->opt.jobs; j++) {
        o->tallies[j] = mmap(NULL, sizeof(struct tally) + opcode_row_count * sizeof(struct row_count),
                             PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (o->tallies[j] == MAP_FAILED)
            die("out of memory");
    }
    if (can_run(o, why, sizeof(why))) {
        result = o->opt.one_case ? show_case(o) : run_all(o);
    } else {
        printf("1..0 # SKIP %s\n", why);
        result = 0;
    }
    generator_free(&o->generator);
    free(o->features.host);
    free(o->features.cpu);
    free(o->facts);
    free(o);
    return result;
}
