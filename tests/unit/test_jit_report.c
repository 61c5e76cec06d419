/*
 * test_jit_report.c - what translated code tells of itself: blocks, thunks, counters, and the host's signals
 * in it.
 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "accel/engine.h"
#include "debug/jit_dump.h"
#include "tests/unit/cpu_rig.h"

#define DATA 0x3000u

/* mov ecx, 100; again: mov rax, [rbx]; cpuid is left to its body; dec ecx; jnz again */
static const uint8_t loop_code[] = {0xb9, 100, 0, 0, 0, 0x48, 0x8b, 0x03, 0xff, 0xc9, 0x75, 0xf9};
static const uint8_t body_code[] = {0xbe, 100, 0, 0, 0, 0x31, 0xc0, 0x0f, 0xa2, 0xff, 0xce, 0x75, 0xf8};

#define LOOP (RIG_CODE + 5) /* where the block starts that is taken */

struct seen {
    unsigned blocks, thunks;
    struct cpu_block loop;
    char thunk[40];
};

#if defined(__x86_64__)

static void see_block(void *opaque, const struct cpu_block *block)
{
    struct seen *seen = opaque;

    seen->blocks++;
    if (block->linear == LOOP)
        seen->loop = *block;
}

static void see_thunk(void *opaque, const char *name, const uint8_t *host, size_t size)
{
    struct seen *seen = opaque;

    ck_assert_uint_gt(size, 0);
    ck_assert_ptr_nonnull(host);
    if (!seen->thunks++)
        snprintf(seen->thunk, sizeof(seen->thunk), "%s", name);
}

static struct rig *new_rig(const struct engine_options *options, struct seen *seen)
{
    struct rig *r = rig_new(NULL, 0);
    struct cpu_watch watch = {.opaque = seen, .translated = see_block, .thunk = see_thunk};
    const struct engine *jit;
    char why[200];

    jit = engine_pick("jit", why, sizeof(why));
    ck_assert_msg(jit != NULL, "%s", why);
    ck_assert_msg(jit->attach(r->cpu, options, why, sizeof(why)), "%s", why);
    jit->watch(r->cpu, &watch);
    rig_long_mode(r);
    r->cpu->s.gpr[RBX] = DATA;
    return r;
}

START_TEST(blocks_are_handed_over)
{
    struct seen seen = {0};
    struct rig *r = new_rig(NULL, &seen);
    struct cpu_block block;

    ck_assert_uint_gt(seen.thunks, 8);
    ck_assert_str_eq(seen.thunk, "enter");
    rig_run(r, loop_code, sizeof(loop_code));
    ck_assert_uint_eq(r->cpu->s.gpr[RCX], 0);
    ck_assert_uint_gt(seen.blocks, 0);
    ck_assert_uint_eq(seen.loop.linear, LOOP);
    ck_assert_uint_eq(seen.loop.bits, 64);
    ck_assert(!seen.loop.user);
    ck_assert_uint_eq(seen.loop.guest_size, 7); /* not the JMP that the trace goes on with */
    ck_assert_mem_eq(seen.loop.guest, loop_code + 5, 7);
    ck_assert_uint_gt(seen.loop.host_size, 0);

    ck_assert(cpu_block_at(r->cpu, seen.loop.host, &block));
    ck_assert_uint_eq(block.linear, LOOP);
    ck_assert(cpu_block_at(r->cpu, seen.loop.host + seen.loop.host_size - 1, &block));
    ck_assert_ptr_eq(block.host, seen.loop.host);
    ck_assert(!cpu_block_at(r->cpu, &block, &block));
    rig_free(r);
}
END_TEST

START_TEST(counters_count)
{
    struct seen seen = {0};
    struct rig *r = new_rig(&(struct engine_options){.code_size = 2u << 20}, &seen);
    struct cpu_stats before, stats;

    cpu_get_stats(r->cpu, &before);
    ck_assert(before.jit.active);
    ck_assert_uint_eq(before.jit.blocks, 0);
    ck_assert_uint_eq(before.jit.size, 2u << 20);
    rig_run(r, body_code, sizeof(body_code));
    cpu_get_stats(r->cpu, &stats);
    ck_assert_uint_eq(stats.jit.blocks, seen.blocks);
    ck_assert_uint_gt(stats.jit.instructions, 0);
    ck_assert_uint_gt(stats.jit.bytes, stats.jit.guest_bytes);
    ck_assert_uint_gt(stats.jit.nanoseconds, 0);
    ck_assert_uint_gt(stats.jit.used, before.jit.used);
    ck_assert_uint_gt(stats.jit.entered, 0);
    ck_assert_uint_eq(stats.jit.resets, 0);
    ck_assert_uint_eq(stats.jit.longest_reset, 0);
    /* The first turns are interpreted. */
    ck_assert_uint_gt(stats.jit.bodies, 50);
    ck_assert_uint_le(stats.jit.bodies, 100);
    ck_assert_str_eq(stats.jit.body[0].name, "cpuid");
    ck_assert_uint_eq(stats.jit.body[0].count, stats.jit.bodies);
    ck_assert_ptr_null(stats.jit.body[1].name);

    bus_write_block(r->memory, RIG_CODE + 6, "\xc0", 1);
    cpu_get_stats(r->cpu, &before);
    rig_run(r, loop_code, sizeof(loop_code));
    cpu_get_stats(r->cpu, &stats);
    ck_assert_uint_gt(stats.jit.dropped, 0);
    rig_free(r);
}
END_TEST

/* What is in a file, which is then removed. */
static char *take_file(const char *path)
{
    static char text[1 << 20];
    FILE *file = fopen(path, "r");

    ck_assert_msg(file != NULL, "%s", path);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    unlink(path);
    return text;
}

/* Runs the loop with blocks going where the options say. */
static void run_dumped(const struct options *options)
{
    struct seen seen = {0};
    struct rig *r = new_rig(NULL, &seen);
    struct cpu_watch watch;
    struct jit_dump *dump;
    char why[200];

    dump = jit_dump_open(options, why, sizeof(why));
    ck_assert_msg(dump != NULL, "%s", why);
    watch = jit_dump_watch(dump);
    cpu_watch_code(r->cpu, &watch);
    rig_run(r, loop_code, sizeof(loop_code));
    rig_free(r);
    jit_dump_close(dump);
}

START_TEST(blocks_are_printed)
{
    char path[64], *text;
    struct options options = {.jit_dump = {.on = true, .all = true, .path = path}};

    snprintf(path, sizeof(path), "/tmp/oxbow-dump-%ld", (long)getpid());
    run_dumped(&options);
    text = take_file(path);
    ck_assert_ptr_nonnull(strstr(text, "Block at 0000000000001005: "));
    ck_assert_ptr_nonnull(strstr(text, "mov rax, [rbx]"));
    ck_assert_ptr_nonnull(strstr(text, "Host code:"));

    /* Only those that have code there: the last byte of MOV. */
    options.jit_dump.all = false;
    options.jit_dump.address = LOOP + 2;
    run_dumped(&options);
    ck_assert_ptr_nonnull(strstr(take_file(path), "mov rax, [rbx]"));
    options.jit_dump.address = DATA;
    run_dumped(&options);
    ck_assert_str_eq(take_file(path), "");
}
END_TEST

START_TEST(perf_gets_names)
{
    char map[64], symbols[64], *text;
    struct options options = {.perf_map = true};
    FILE *file;

    snprintf(map, sizeof(map), "/tmp/perf-%ld.map", (long)getpid());
    snprintf(symbols, sizeof(symbols), "/tmp/oxbow-symbols-%ld", (long)getpid());
    run_dumped(&options);
    text = take_file(map);
    ck_assert_ptr_nonnull(strstr(text, " oxbow:enter\n"));
    ck_assert_ptr_nonnull(strstr(text, " guest64k:0000000000001005\n"));

    file = fopen(symbols, "w");
    fputs("0000000000001006 T behind\n0000000000001000 t here\n0000000000001004 D data\n", file);
    fclose(file);
    options.perf_symbols = symbols;
    run_dumped(&options);
    unlink(symbols);
    ck_assert_ptr_nonnull(strstr(take_file(map), " guest64k:here+0x5\n"));
}
END_TEST

/* More blocks than there is room for. */
START_TEST(full_code_memory_begins_anew)
{
    enum { TURNS = 40, LINKS = 900 };
    struct seen seen = {0};
    struct rig *r = new_rig(&(struct engine_options){.code_size = 64u << 10}, &seen);
    uint8_t *code = calloc(1, 8 + LINKS * 8 + 8);
    struct cpu_stats stats;
    unsigned at = 5;

    /* mov ecx, TURNS; LINKS times: inc eax; jmp onwards; at last: dec ecx; jnz to the first */
    memcpy(code, (const uint8_t[]){0xb9, TURNS, 0, 0, 0}, 5);
    for (unsigned n = 0; n < LINKS; n++, at += 8)
        memcpy(code + at, (const uint8_t[]){0xff, 0xc0, 0xeb, 0x04, 0x90, 0x90, 0x90, 0x90}, 8);
    int32_t back = -(int32_t)(LINKS * 8 + 8);
    memcpy(code + at, (const uint8_t[]){0xff, 0xc9, 0x0f, 0x85}, 4);
    memcpy(code + at + 4, &back, 4);
    r->cpu->s.gpr[RAX] = 0;
    r->cpu->s.rip = RIG_CODE;
    bus_write_block(r->memory, RIG_CODE, code, at + 8);
    bus_write_block(r->memory, RIG_CODE + at + 8, "\xeb\xfe", 2);
    cpu_run(r->cpu, TURNS * (2 * LINKS + 2) + 100);
    cpu_pull(r->cpu);
    ck_assert_uint_eq(r->cpu->s.gpr[RAX], TURNS * LINKS);
    ck_assert_uint_eq(r->cpu->s.gpr[RCX], 0);
    cpu_get_stats(r->cpu, &stats);
    ck_assert_uint_gt(stats.jit.resets, 0);
    ck_assert_uint_gt(stats.jit.longest_reset, 0);
    ck_assert_uint_gt(stats.jit.blocks, stats.jit.resets);
    ck_assert_uint_le(stats.jit.used, 64u << 10);
    free(code);
    rig_free(r);
}
END_TEST

static void broken(void *opaque, const struct cpu_host_fault *fault)
{
    jit_dump_fault(fault, opaque);
    _exit(EXIT_CRASH);
}

static void chained(int number)
{
    _exit(number == SIGSEGV ? 77 : 78);
}

/* In a child: what a signal in translated code, or elsewhere, leads to. Returns its exit status; `text` is
 * its report. */
static int crash(bool elsewhere, char *text, size_t size)
{
    int pipes[2], status;
    size_t length = 0;
    ssize_t got;
    pid_t child;

    ck_assert_int_eq(pipe(pipes), 0);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (!child) {
        struct seen seen = {0};
        signal(SIGSEGV, chained);
        struct rig *r =
            new_rig(&(struct engine_options){.broken = broken, .opaque = fdopen(pipes[1], "w")}, &seen);
        rig_run(r, loop_code, sizeof(loop_code));
        if (elsewhere)
            raise(SIGSEGV);
        /* Translated code believes what this says of host addresses. */
        for (unsigned c = 0; c < JIT_CONTEXTS; c++)
            for (unsigned n = 0; n < JIT_TLB_SIZE; n++)
                r->cpu->jt.read[c][n].host = 0x10;
        r->cpu->s.gpr[RBX] = DATA + 8;
        r->cpu->s.rip = RIG_CODE;
        cpu_run(r->cpu, 1000);
        _exit(0);
    }
    close(pipes[1]);
    while (length < size - 1 && (got = read(pipes[0], text + length, size - 1 - length)) > 0)
        length += (size_t)got;
    text[length] = '\0';
    close(pipes[0]);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status), "ended by signal %d", WTERMSIG(status));
    return WEXITSTATUS(status);
}

START_TEST(signals_in_translated_code_are_reported)
{
    static char text[65536];

    ck_assert_int_eq(crash(false, text, sizeof(text)), EXIT_CRASH);
    ck_assert_msg(strstr(text, "at an access to 0000000000000018"), "%s", text);
    ck_assert_msg(strstr(text, "Block at 0000000000001005"), "%s", text);
    ck_assert_msg(strstr(text, "48 8b 03") && strstr(text, "mov rax, [rbx]"), "%s", text);
    ck_assert_msg(strstr(text, "\n> "), "%s", text); /* the host instruction */
    ck_assert_msg(strstr(text, "rbx 0000000000003008"), "%s", text);
}
END_TEST

START_TEST(signals_elsewhere_go_where_they_went)
{
    static char text[65536];

    ck_assert_int_eq(crash(true, text, sizeof(text)), 77);
    ck_assert_str_eq(text, "");
}
END_TEST

#endif

static bool parse(struct options *options, char *why, size_t why_size, const char *argument)
{
    char program[] = "oxbow", text[100];

    snprintf(text, sizeof(text), "%s", argument);
    options_free(options);
    options_init(options);
    return options_parse(options, 2, (char *[]){program, text, NULL}, NULL, why, why_size);
}
#define PARSE(argument)         parse(&o, why, sizeof(why), argument)
#define REFUSED(argument, text)                                                                              \
    do {                                                                                                     \
        ck_assert(!PARSE(argument));                                                                         \
        ck_assert_str_eq(why, text);                                                                         \
    } while (0)

START_TEST(options_say_what_is_wrong)
{
    struct options o;
    char why[400];

    options_init(&o);
    ck_assert_uint_eq(o.jit_cache, 128u << 20);
    ck_assert(PARSE("--jit-cache=1M"));
    ck_assert_uint_eq(o.jit_cache, 1u << 20);
    REFUSED("--jit-cache=1023K", "--jit-cache: 1023K is too little for translated code; give 1M to 1G");
    REFUSED("--jit-cache=2G", "--jit-cache: 2G is too much; give 1M to 1G");
    REFUSED("--jit-cache=big", "--jit-cache: \"big\" is not a size; give a number with K, M or G, like 128M");
    ck_assert(PARSE("--jit-dump=all"));
    ck_assert(o.jit_dump.on && o.jit_dump.all && !o.jit_dump.path);
    ck_assert(PARSE("--jit-dump=0xffffffff81000000,a,b"));
    ck_assert(o.jit_dump.on && !o.jit_dump.all);
    ck_assert_uint_eq(o.jit_dump.address, 0xffffffff81000000);
    ck_assert_str_eq(o.jit_dump.path, "a,b");
    REFUSED("--jit-dump=some", "--jit-dump: \"some\" is not an address; give one in hexadecimal, or all");
    REFUSED("--jit-dump=all,",
            "--jit-dump: there is no file behind the comma; name one, or leave the comma out");
    ck_assert(PARSE("--perf-map"));
    ck_assert(o.perf_map && !o.perf_symbols);
    ck_assert(PARSE("--perf-map=System.map"));
    ck_assert(o.perf_map);
    ck_assert_str_eq(o.perf_symbols, "System.map");
    options_free(&o);
}
END_TEST

Suite *jit_report_suite(void)
{
    Suite *suite = suite_create("jit_report");
    TCase *tcase = tcase_create("jit_report");

#if defined(__x86_64__)
    tcase_add_test(tcase, blocks_are_handed_over);
    tcase_add_test(tcase, counters_count);
    tcase_add_test(tcase, blocks_are_printed);
    tcase_add_test(tcase, perf_gets_names);
    tcase_add_test(tcase, full_code_memory_begins_anew);
    tcase_add_test(tcase, signals_in_translated_code_are_reported);
    tcase_add_test(tcase, signals_elsewhere_go_where_they_went);
#endif
    tcase_add_test(tcase, options_say_what_is_wrong);
    suite_add_tcase(suite, tcase);
    return suite;
}
