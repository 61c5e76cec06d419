/*
 * gdb_packets.c - anything at all as what GDB sends: bytes go to a session over a processor with a little
 * memory, which runs a little whenever it is let go. What must hold: each right packet gets at most one
 * answer that isn't console text, every answer is framed rightly, and all else is up to the sanitizers.
 *
 *     gdb_packets                   CASES conversations from seed 1, as TAP
 *     gdb_packets --seconds 600 --seed 7
 *     gdb_packets --case 7:1234     one of them again, shown
 *
 * With -DFUZZ_LIBFUZZER it is a target of libFuzzer's.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "debug/gdb.h"
#include "tests/fuzz/fuzz.h"
#include "tests/oracle/random.h"

#define CASES      4000u
#define INPUT_SIZE 4096u
#define BUDGET     300u

struct conversation {
    struct cpu *cpu;
    struct gdb gdb;
    struct gdb_target target;
    struct gdb_reader answers; /* what the session sends, as its client reads it */
    bool running, step, show;
};

static _Noreturn void broken(const char *what)
{
    fprintf(stderr, "gdb_packets: %s\n", what);
    abort();
}

static void take_answer(void *opaque, const void *data, size_t size)
{
    struct conversation *c = opaque;
    const uint8_t *byte = data;
    enum gdb_event event = GDB_NOTHING;

    if (c->show)
        printf("< %.*s\n", (int)size, (const char *)data);
    for (size_t n = 0; n < size; n++) {
        event = gdb_receive(&c->answers, byte[n]);
        if (event == GDB_BAD || event == GDB_INTERRUPT)
            broken("an answer is not framed rightly");
    }
    if (event == GDB_NOTHING)
        broken("an answer has no end");
}

static void resume(void *opaque, unsigned cpu, bool step)
{
    struct conversation *c = opaque;

    (void)cpu;
    c->running = true;
    c->step = step;
}

static void changed(void *opaque, unsigned cpu)
{
    (void)cpu;
    cpu_push(((struct conversation *)opaque)->cpu);
}

/* What the machine would do after each packet that lets it run. */
static void run(struct conversation *c)
{
    struct cpu_stopped hits[CPU_STOP_HITS];
    enum cpu_exit exit;
    unsigned count;

    c->running = false;
    exit = c->step ? cpu_step_over(c->cpu) : cpu_run(c->cpu, BUDGET);
    cpu_pull(c->cpu);
    count = exit == CPU_EXIT_STOPPED ? cpu_stopped(c->cpu, hits, CPU_STOP_HITS) : 0;
    if (exit == CPU_EXIT_STOPPED && !count)
        broken("the CPU stopped for nothing");
    gdb_stopped(&c->gdb, 0,
                exit == CPU_EXIT_SHUTDOWN  ? GDB_SHUTDOWN
                : c->step                  ? GDB_STEPPED
                : exit == CPU_EXIT_STOPPED ? GDB_STOP
                                           : GDB_ASKED,
                hits, count);
}

/* The first bytes choose the processor's mode and code, the others are the client's. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
static bool show;
static struct fuzz_machine *machine; /* of all conversations */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t code[] = {0xff, 0x03, 0x8b, 0x43, 0x08, 0x50, 0x58,
                                   0xe6, 0xe0, 0x66, 0x87, 0xdb, 0xeb, 0xf2};
    uint8_t start[FUZZ_HEADER + sizeof(code)] = {0};
    struct conversation *c = calloc(1, sizeof(*c));
    struct cpu *cpus[1];

    if (!c || size < 1)
        goto out;
    start[0] = data[0];
    memcpy(start + FUZZ_HEADER, code, sizeof(code));
    if (!machine)
        machine = fuzz_machine_new();
    if (!machine)
        goto out;
    fuzz_prepare(machine, start, sizeof(start));
    c->cpu = cpus[0] = fuzz_cpu(machine);
    c->show = show;
    c->target = (struct gdb_target){.opaque = c,
                                    .cpus = cpus,
                                    .cpu_count = 1,
                                    .elf32 = data[0] & 1,
                                    .send = take_answer,
                                    .resume = resume,
                                    .changed = changed};
    gdb_open(&c->gdb, &c->target);
    for (size_t n = 1; n < size; n++) {
        gdb_receive_bytes(&c->gdb, data + n, 1);
        for (unsigned turns = 0; c->running && turns < 50; turns++)
            run(c);
        c->running = false;
    }
    gdb_close(&c->gdb);
out:
    free(c);
    return 0;
}

#ifndef FUZZ_LIBFUZZER

/* --- Conversations from a seed -------------------------------------------------------------------- */

static const char *const stock[] = {
    "?",
    "g",
    "c",
    "s",
    "vCont?",
    "vCont;c",
    "vCont;s:1;c",
    "vCont;r0,ffffffff:1",
    "vCont;C05;s:p1.1",
    "D",
    "k",
    "R",
    "!",
    "qSupported:swbreak+;hwbreak+;xmlRegisters=i386",
    "qXfer:features:read:target.xml:0,fff",
    "qXfer:memory-map:read::0,100",
    "qXfer:features:read:target.xml:10,40",
    "qfThreadInfo",
    "qsThreadInfo",
    "qThreadExtraInfo,1",
    "qC",
    "qAttached",
    "QStartNoAckMode",
    "Hg0",
    "Hc-1",
    "T1",
    "T7",
    "p0",
    "p10",
    "p33",
    "P10=0010000000000000",
    "P0=ff",
    "Gff",
    "m1000,40",
    "m0,ffffffffffffffff",
    "mffffffffffffffff,8",
    "M1000,2:9090",
    "X1000,2:\x90\x90",
    "X1000,0:",
    "Z0,1000,1",
    "z0,1000,1",
    "Z1,1005,1",
    "Z2,3000,4",
    "Z3,3000,8",
    "Z4,0,ffffffffffffffff",
    "z4,0,ffffffffffffffff",
    "Z9,0,0",
    "Z0",
    "vKill;1",
};

/* Lines for `monitor`. */
static const char *const lines[] = {
    "help",
    "where",
    "disas",
    "disas 0x1000 200",
    "phys on",
    "phys off",
    "phys 0x1000 64",
    "phys 0 -1",
    "translate 0x1000",
    "msrs",
    "msr EFER",
    "msr 0xc0000080 0",
    "msr STAR 5",
    "break-on #GP",
    "break-on cr3",
    "break-on port 0xe0",
    "break-on interrupt any",
    "break-on magic",
    "break-on mode",
    "break-on phys-write 0x3000 8",
    "break-off all",
    "break-off cr3",
    "arch i386",
    "arch auto",
    "break-on exception",
    "break-on port",
    "x y z a b c d e f g h i",
};

static size_t put_packet(uint8_t *out, const char *text, size_t size, bool right)
{
    uint8_t sum = 0;
    size_t n = 0;

    out[n++] = '$';
    for (size_t k = 0; k < size; k++)
        sum = (uint8_t)(sum + (out[n++] = (uint8_t)text[k]));
    return n + (size_t)sprintf((char *)out + n, "#%02x", right ? sum : sum ^ 1u);
}

static size_t make_input(uint64_t seed, uint64_t number, uint8_t *out)
{
    struct random r = {seed * 0xd1342543de82ef95ull + number * 0x2545f4914f6cdd1dull};
    size_t size = 0;

    (void)random64(&r);
    out[size++] = (uint8_t)random64(&r);
    for (unsigned want = 1 + below(&r, 24); want && size < INPUT_SIZE - 600; want--) {
        char text[600];
        size_t length;

        if (one_in(&r, 4)) {
            const char *line = lines[below(&r, sizeof(lines) / sizeof(lines[0]))];

            length = (size_t)sprintf(text, "qRcmd,");
            for (; *line; line++)
                length += (size_t)sprintf(text + length, "%02x", (uint8_t)*line);
        } else {
            length = (size_t)sprintf(text, "%s", stock[below(&r, sizeof(stock) / sizeof(stock[0]))]);
        }
        for (unsigned changes = one_in(&r, 3) ? 1 + below(&r, 4) : 0; changes && length; changes--)
            text[below(&r, (unsigned)length)] =
                one_in(&r, 2) ? (char)random64(&r) : "0123456789abcdef:;,-#$}"[below(&r, 23)];
        if (one_in(&r, 8))
            length = below(&r, (unsigned)length + 1);
        size += put_packet(out + size, text, length, !one_in(&r, 20));
        if (one_in(&r, 3))
            out[size++] = "+-\x03$#"[below(&r, 5)];
    }
    return size;
}

static void run_one(uint64_t seed, uint64_t number)
{
    uint8_t made[INPUT_SIZE], *input;
    size_t size = make_input(seed, number, made);

    input = malloc(size); /* so that reading beyond it is seen */
    memcpy(input, made, size);
    if (show)
        printf("> %.*s\n", (int)size, (const char *)input);
    LLVMFuzzerTestOneInput(input, size);
    free(input);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seconds", 1, NULL, 't'}, {"seed", 1, NULL, 's'}, {"case", 1, NULL, 'c'}, {0}};
    uint64_t seed = 1, number = 0, cases = CASES;
    unsigned seconds = 0;
    time_t begin = time(NULL);

    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 't')
            seconds = (unsigned)strtoul(optarg, NULL, 0);
        else if (c == 's')
            seed = strtoull(optarg, NULL, 0);
        else if (c == 'c')
            show = sscanf(optarg, "%" SCNu64 ":%" SCNu64, &seed, &number) == 2;
        else
            return 2;
    }
    if (show) {
        run_one(seed, number);
        return 0;
    }
    while (seconds ? time(NULL) - begin < (time_t)seconds : number < cases) {
        /* Whoever finds something dies with it: its number is on the last line. */
        if (number % 1000 == 0)
            printf("# --case %" PRIu64 ":%" PRIu64 " and on\n", seed, number), fflush(stdout);
        run_one(seed, number++);
    }
    fuzz_machine_free(machine);
    printf("ok 1 - %" PRIu64 " conversations from seed %" PRIu64 "\n1..1\n", number, seed);
    return 0;
}

#endif
