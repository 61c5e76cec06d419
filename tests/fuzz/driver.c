/*
 * driver.c - main() for the fuzz target where libFuzzer is not: inputs from a seed, half of them random
 * bytes, half instructions of opcodes.def with some bytes changed.
 *
 *     fuzz                        CASES inputs from seed 1, as TAP
 *     fuzz --seconds 600 --seed 7
 *     fuzz --case 7:123456        one input again
 *     fuzz FILE...                inputs in files, as libFuzzer writes them
 *
 * The inputs are run in a child process, so that one that takes it along, or never ends, can be named.
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "tests/oracle/random.h"

#define CASES        100000u
#define MAX_FAILURES 5u
#define STUCK_MS     60000u /* without a new input */
#define INPUT_SIZE   512u

/* What the child tells, in memory that it shares with its parent. */
struct progress {
    volatile uint64_t next;
};

struct options {
    uint64_t seed, cases, number;
    unsigned seconds;
    bool one;
};

/* An instruction of a row, with an encoding around it that is likely to be right. */
static unsigned put_row(struct random *r, uint8_t *out)
{
    static const uint8_t prefixes[] = {0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x64, 0x65};
    static const uint8_t mandatory[] = {0, 0, 0x66, 0xf3, 0xf2};
    const struct opcode_row *row = &opcode_rows[below(r, opcode_row_count)];
    unsigned n = 0, modrm = (unsigned)random64(r) & 255;

    while (one_in(r, 4) && n < 4)
        out[n++] = prefixes[below(r, sizeof(prefixes))];
    if (row->map > VEX) {
        unsigned pp = row->prefix == PFX_66 ? 1 : row->prefix == PFX_F3 ? 2 : row->prefix == PFX_F2 ? 3 : 0;
        unsigned w = row->sel & SEL_W1 ? 0x80 : row->sel & SEL_W0 ? 0 : (unsigned)random64(r) & 0x80;
        unsigned l = row->sel & SEL_L1 ? 4 : row->sel & SEL_L0 ? 0 : (unsigned)random64(r) & 4;

        out[n++] = 0xc4;
        out[n++] = (uint8_t)((random64(r) & 0x20) | 0xc0 | (row->map - VEX));
        out[n++] = (uint8_t)(w | (one_in(r, 2) ? 0x78 : random64(r) & 0x78) | l | pp);
    } else {
        if (mandatory[row->prefix])
            out[n++] = mandatory[row->prefix];
        if (one_in(r, 3))
            out[n++] = (uint8_t)(0x40 | below(r, 16));
        if (row->map)
            out[n++] = 0x0f;
        if (row->map > 1)
            out[n++] = row->map == 2 ? 0x38 : 0x3a;
    }
    out[n++] = (uint8_t)(row->opcode | (row->sel & SEL_PLUS_R ? below(r, 8) : 0));
    if (row->sel & SEL_FORM) {
        unsigned form = row->sel & SEL_FORM;

        if (row->sel & SEL_HAS_EXT)
            modrm = (modrm & 0xc7) | (row->sel >> 5 & 7) << 3;
        if (row->sel & SEL_HAS_RM)
            modrm = (modrm & 0xf8) | (row->sel & 7);
        modrm = form == SEL_REG ? modrm | 0xc0 : form == SEL_MEM && modrm >= 0xc0 ? modrm & 0x7f : modrm;
        out[n++] = (uint8_t)modrm;
    }
    for (unsigned rest = below(r, 7); rest; rest--)
        out[n++] = (uint8_t)(one_in(r, 2) ? 0 : random64(r));
    return n;
}

/* What was found once: the first numbers of any seed. */
static const struct {
    const char *bytes;
    size_t size;
} found[] = {
    /* 32-bit paging without PSE, and a directory entry with bit 7 set. */
    {"\x62\xff\0\0\xdb\xcd\0\xe0\0\xc1\xdb\x0b\x7e", 13},
    /* REP INSD, four thousand million times. */
    {"\x02\x02\x8f\x09\x08\xd0\0\0\x3f\xf2\x6d\x3f\xdc", 13},
};

#define FOUND (sizeof(found) / sizeof(found[0]))

/* The input that a seed and a number stand for. */
static size_t make_input(uint64_t seed, uint64_t number, uint8_t *input)
{
    struct random r = {seed * 0xd1342543de82ef95ull + number * 0x2545f4914f6cdd1dull};
    size_t size;

    if (number < FOUND) {
        memcpy(input, found[number].bytes, found[number].size);
        return found[number].size;
    }
    (void)random64(&r);
    for (size = 0; size < FUZZ_HEADER; size++)
        input[size] = (uint8_t)random64(&r);
    if (!one_in(&r, 3)) /* few changes of control registers, few patches */
        input[2] &= input[3] &= (uint8_t)(1u << below(&r, 8));
    if (!one_in(&r, 4))
        input[5] = 0;
    for (unsigned n = input[5] & 15; n; n--) {
        uint16_t where = (uint16_t)(one_in(&r, 2)   ? below(&r, 0x10000)
                                    : one_in(&r, 2) ? 0x400 + below(&r, 0xa00) /* the tables of segments */
                                                    : 0xc000 + below(&r, 0x2800)); /* of pages */

        memcpy(input + size, &where, 2);
        input[size + 2] = (uint8_t)random64(&r);
        input[size + 3] = (uint8_t)(one_in(&r, 2) ? random64(&r) : 1u << below(&r, 8));
        size += 4;
    }
    for (unsigned want = 1 + below(&r, 40); want && size < INPUT_SIZE - 64; want--) {
        if (one_in(&r, 3))
            for (unsigned n = 1 + below(&r, 15); n; n--)
                input[size++] = (uint8_t)random64(&r);
        else
            size += put_row(&r, input + size);
    }
    for (unsigned changes = one_in(&r, 2) ? below(&r, 8) : 0; changes; changes--)
        input[below(&r, (unsigned)size)] ^= (uint8_t)(1u << below(&r, 8));
    return size;
}

static double seconds_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void run_one(uint64_t seed, uint64_t number)
{
    uint8_t made[INPUT_SIZE + 64], *input;
    size_t size = make_input(seed, number, made);

    input = malloc(size); /* so that reading beyond it is seen */
    memcpy(input, made, size);
    LLVMFuzzerTestOneInput(input, size);
    free(input);
}

static void work(const struct options *o, struct progress *p, double end)
{
    for (; o->seconds ? p->next % 64 || seconds_now() < end : p->next < o->cases; p->next++)
        run_one(o->seed, p->next);
}

/* Runs a child until it is done; false when it broke or got stuck at input p->next. */
static bool supervise(const struct options *o, struct progress *p, double end, const char **how)
{
    uint64_t seen = UINT64_MAX;
    unsigned still = 0;
    int status;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        work(o, p, end);
        _exit(0);
    }
    while (pid > 0 && waitpid(pid, &status, WNOHANG) == 0) {
        nanosleep(&(struct timespec){0, 50000000}, NULL);
        still = p->next == seen ? still + 50 : 0;
        seen = p->next;
        if (still < STUCK_MS)
            continue;
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        *how = "does not end";
        return false;
    }
    *how = "breaks";
    return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int run_all(const struct options *o, const char *program)
{
    struct progress *p = mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    double start = seconds_now(), end = start + o->seconds;
    const char *how = "";
    unsigned failures = 0;

    if (p == MAP_FAILED) {
        printf("Bail out! out of memory\n");
        return 1;
    }
    while (failures < MAX_FAILURES && !supervise(o, p, end, &how)) {
        printf("# %s --case %" PRIu64 ":%" PRIu64 " %s\n", program, o->seed, p->next, how);
        failures++;
        p->next++;
    }
    printf("# seed %" PRIu64 ": %" PRIu64 " inputs in %.1f s\n", o->seed, p->next, seconds_now() - start);
    printf("%s 1 - no input breaks the decoder or the interpreter\n1..1\n", failures ? "not ok" : "ok");
    return failures != 0;
}

static int run_file(const char *name)
{
    FILE *f = fopen(name, "rb");
    uint8_t *input = malloc(1u << 20);
    size_t size = f && input ? fread(input, 1, 1u << 20, f) : 0;

    if (!f) {
        perror(name);
    } else {
        input = realloc(input, size ? size : 1);
        LLVMFuzzerTestOneInput(input, size);
        fclose(f);
    }
    free(input);
    return !f;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"cases", 1, NULL, 'n'},
                                            {"seconds", 1, NULL, 't'},
                                            {"seed", 1, NULL, 's'},
                                            {"case", 1, NULL, 'c'},
                                            {NULL, 0, NULL, 0}};
    struct options o = {.seed = 1, .cases = CASES};
    int c, failed = 0;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'n':
            o.cases = strtoull(optarg, NULL, 0);
            break;
        case 't':
            o.seconds = (unsigned)strtoul(optarg, NULL, 0);
            break;
        case 's':
            o.seed = strtoull(optarg, NULL, 0);
            break;
        case 'c':
            o.one = sscanf(optarg, "%" SCNu64 ":%" SCNu64, &o.seed, &o.number) == 2;
            break;
        default:
            return 2;
        }
    }
    if (o.one) {
        run_one(o.seed, o.number);
        printf("# nothing found\n");
        return 0;
    }
    if (optind == argc)
        return run_all(&o, argv[0]);
    for (; optind < argc; optind++)
        failed |= run_file(argv[optind]);
    return failed;
}
