/*
 * test_monitor.c - the monitor's commands on the demo guest, which has been loaded and not yet begun.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "debug/monitor_internal.h"

#define PLACE 0x1800000u /* memory that nobody uses */

static struct options options;
static struct log log_;
static struct machine *machine;
static char *text, folder[] = "/tmp/oxbow-monitor-XXXXXX", path[80];
static size_t text_size;

static void nothing(struct chardev *chr, const uint8_t *data, size_t size)
{
    (void)chr, (void)data, (void)size;
}

static void nobody(struct chardev *chr)
{
    (void)chr;
}

static struct chardev silent = {.write = nothing, .close = nobody};

static void setup(void)
{
    struct machine_config config = {.options = &options, .log = &log_, .serial = &silent};
    char why[300];

    options_init(&options);
    options.memory = 32 << 20;
    log_init(&log_, stderr);
    snprintf(folder, sizeof(folder), "/tmp/oxbow-monitor-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/map", folder);
    FILE *map = fopen(path, "w");
    fprintf(map, "0000000001800000 T first\n0000000001800010 t second\n0000000001800020 D data\n");
    fclose(map);
    options.symbols = path;
    ck_assert_msg(machine_new(&config, &machine, why, sizeof(why)) == 0, "%s", why);
    machine->serial[0] = NULL;
}

static void teardown(void)
{
    machine_free(machine);
    options_free(&options);
    free(text);
    text = NULL;
    unlink(path);
    rmdir(folder);
}

/* Whether the line succeeds; what it prints is in `text`. */
static bool run(const char *line)
{
    FILE *out;

    free(text);
    out = open_memstream(&text, &text_size);
    bool done = monitor_command(machine->monitor, line, out);
    fclose(out);
    return done;
}

static void prints(const char *line, const char *what)
{
    ck_assert_msg(run(line), "%s: %s", line, text);
    ck_assert_msg(strstr(text, what), "%s prints no \"%s\":\n%s", line, what, text);
}

static void is(const char *line, const char *all)
{
    ck_assert_msg(run(line), "%s: %s", line, text);
    ck_assert_str_eq(text, all);
}

static void refuses(const char *line, const char *what)
{
    ck_assert_msg(!run(line), "%s: %s", line, text);
    ck_assert_msg(strstr(text, what), "%s says no \"%s\":\n%s", line, what, text);
}

static void put(uint64_t at, const char *bytes, size_t size)
{
    bus_write_block(machine->memory, at, bytes, size);
}

START_TEST(values)
{
    is("print 0x10+16-1", "0x1f 31\n");
    is("p -1+0", "0xffffffffffffffff -1\n");
    is("print first", "0x1800000 25165824 <first>\n");
    is("print second+4", "0x1800014 25165844 <second+0x4>\n");
    is("print f000:fff0", "0xffff0 1048560\n");
    cpu_state(machine->cpu)->gpr[RBX] = 0x123456789abcdef0;
    is("print $rbx", "0x123456789abcdef0 1311768467463790320\n");
    is("print $ebx", "0x9abcdef0 2596069104\n");
    refuses("print $rzx", "there is no register $rzx");
    refuses("print nowhere", "\"nowhere\" is no number, $register or symbol");
    refuses("print 1 2", "print is used so: print VALUE");
}
END_TEST

START_TEST(dumps)
{
    put(PLACE,
        "\x01\x02\x03\x04\xff\xfe\xfd\xfc"
        "Oxbow\n\"\0",
        16);
    is("xp/8xb 0x1800000", "0000000001800000: 0x01 0x02 0x03 0x04 0xff 0xfe 0xfd 0xfc\n");
    is("xp/2xw 0x1800000", "0000000001800000: 0x04030201 0xfcfdfeff\n");
    is("xp/1xg 0x1800000", "0000000001800000: 0xfcfdfeff04030201\n");
    is("xp/1db 0x1800004", "0000000001800004: -1\n");
    is("xp/1ub 0x1800004", "0000000001800004: 255\n");
    is("xp/1ob 0x1800003", "0000000001800003: 04\n");
    is("xp/1tb 0x1800003", "0000000001800003: 00000100\n");
    is("xp/2c 0x1800008", "0000000001800008: 'O' 'x'\n");
    is("xp/s 0x1800008", "0000000001800008: \"Oxbow\\n\\\"\"\n");
    is("x/2xb first", "0000000001800000 <first>: 0x01 0x02\n");
    is("x", "0000000001800002 <first+0x2>: 0x03\n"); /* goes on, in the same way */
    is("x /1xh second", "0000000001800010 <second>: 0x0000\n");
    refuses("x/2q first", "there is no format \"q\"");
    refuses("info/3 status", "info takes no format");
    refuses("xp 0xfec00000", "there is no memory at physical fec00000"); /* a chip, which isn't read */
    refuses("xp 0xffffffffffffffff", "there is no memory");
}
END_TEST

START_TEST(ports)
{
    ck_assert(run("o/b 0x70 0xf")); /* CMOS: the reason of a shutdown */
    ck_assert(run("o/b 0x71 0x5a"));
    is("i/b 0x71", "port 0071: 0x5a\n");
    is("i /h 0xcf8+4", "port 0cfc: 0xffff\n");
    refuses("i/g 0x71", "1, 2 or 4 bytes");
    refuses("i 0x10000", "there is no port 10000");
    refuses("o 0x70", "o is used so: o [/b|h|w] PORT VALUE");
}
END_TEST

START_TEST(code)
{
    put(PLACE, "\x90\xe8\x0a\0\0\0\xc3", 7);
    prints("x/3i first", "first:\n  0000000001800000  90 ");
    prints("x/3i first", "nop\n");
    prints("x/3i first", "call 0x01800010 <second>\n");
    prints("disas first 1", "nop\n");
    prints("disas", "> "); /* where the processor is */
}
END_TEST

/* Every topic has something to say, or says why not. */
START_TEST(topics)
{
    for (const struct monitor_row *row = info_table; row->name; row++) {
        char line[80];

        snprintf(line, sizeof(line), "info %s%s", row->name,
                 !row->least                  ? ""
                 : !strcmp(row->name, "chip") ? " uart"
                                              : " 0x1800000");
        ck_assert_msg(run(line), "%s: %s", line, text);
        ck_assert_msg(*text || !strcmp(row->name, "breakpoints"), "%s prints nothing", line);
    }
    prints("info status", "running");
    prints("info registers", "rip ");
    prints("info mtree", "0000000000100000-");
    prints("info mtree", " chip  0 ioapic");
    prints("info pci", "00:00.0 host bridge, 8086:1237");
    prints("info gdt", "32-bit code");
    prints("info block", "ide1-cd0: no medium\n");
    prints("info paging 0x1800000", "physical 1800000");
    prints("info symbol 0x1800014", "<second+0x4>");
    prints("info lapic", "Local APIC 0: ");
    prints("info msr 0xc0000080", "c0000080 0000000000000");
    prints("info cpus", "CPU 0: running, 32-bit code");
    refuses("info", "info about what?");
    refuses("info weather", "there is no topic \"weather\"");
    refuses("info paging", "paging is used so: info paging ADDRESS");
    refuses("info chip toaster", "there is no chip \"toaster\"");
    refuses("info msr 0x12345678", "there is no MSR 12345678");
}
END_TEST

START_TEST(lines)
{
    char line[6000];

    ck_assert(run(""));
    ck_assert(run("   \t "));
    prints("help", "screendump FILE");
    prints("help info", "info paging ADDRESS");
    prints("help x", "x [/FMT] [ADDRESS]");
    prints("help info gdt", "info gdt");
    refuses("help frob", "there is no \"frob\"");
    refuses("frob", "there is no command \"frob\"");
    refuses("change \"ide1-cd0 x", "a quote without its end");
    memset(line, 'a', sizeof(line) - 1);
    line[sizeof(line) - 1] = 0;
    refuses(line, "the line is too long");
    for (size_t n = 0; n < 300; n++)
        memcpy(line + 2 * n, "a ", 3);
    refuses(line, "too many words");
}
END_TEST

START_TEST(stops)
{
    ck_assert(run("stop"));
    ck_assert(machine->paused);
    uint64_t rip = cpu_state(machine->cpu)->rip, before = cpu_instructions(machine->cpu);

    prints("step", "> ");
    ck_assert_uint_ne(cpu_state(machine->cpu)->rip, rip);
    prints("step 10", "> ");
    ck_assert_uint_eq(cpu_instructions(machine->cpu) - before, 11);
    refuses("step many", "is no number of steps");
    is("break second", "1 break 1800010 <second>\n");
    is("watch data 8", "2 write 1800020, 8 bytes <data>\n");
    is("catch exception #gp", "3 exception #GP\n");
    is("catch cr3", "4 cr3\n");
    is("catch port 0x60 5", "5 port 60, 5 bytes\n");
    is("catch nonsense", "6 nonsense\n");
    is("catch msr 0x10", "7 msr 10\n");
    is("catch syscall", "8 syscall\n");
    refuses("catch mmio", "takes a number");
    for (unsigned n = 6; n <= 8; n++)
        ck_assert(run((const char *[]){"delete 6", "delete 7", "delete 8"}[n - 6]));
    ck_assert(cpu_has_stops(machine->cpu));
    ck_assert(run("delete 2"));
    is("info breakpoints", "1 break 1800010 <second>\n3 exception #GP\n4 cr3\n5 port 60, 5 bytes\n");
    refuses("delete 2", "there is no number \"2\"");
    refuses("watch data 8 sometimes", "write, read or access");
    refuses("catch cold", "one can catch");
    refuses("catch cr3 5", "takes no number");
    ck_assert(run("delete"));
    ck_assert(!cpu_has_stops(machine->cpu));
    is("info breakpoints", "");
}
END_TEST

/* On its way to 64-bit mode the demo guest loads control registers, EFER and CR3, and jumps far. */
START_TEST(traces_of_registers)
{
    ck_assert(run("trace on cr3"));
    ck_assert(run("trace on mode"));
    ck_assert(run("trace on cr"));
    ck_assert(run("trace on msrs"));
    ck_assert(run("trace on far"));
    ck_assert_int_eq(machine_run(machine), EXIT_POWEROFF);
    prints("info trace", " cr3 ");
    prints("info trace", " cr0 ");
    prints("info trace", " cr3 written, ");
    prints("info trace", " wrmsr c0000080, ");
    prints("info trace", " far from ");
}
END_TEST

START_TEST(interrupts_in_words)
{
    ck_assert(run("o/b 0x20 0x11")); /* ICW1 to 4: vectors from 40 on */
    prints("info pic", "The first 8259 isn't initialised.\n");
    ck_assert(run("o/b 0x21 0x40"));
    ck_assert(run("o/b 0x21 0x04"));
    ck_assert(run("o/b 0x21 0x01"));
    ck_assert(run("o/b 0x21 0xfe"));
    prints("info pic", "IRQ 0  vector 40, edge, low; timer\nIRQ 1  vector 41, edge, low, masked; keyboard\n");
    ck_assert(!strstr(text, "first 8259 isn't"));
    struct irq keyboard = isa_input(machine, 1, ISA_CARD);
    irq_set(&keyboard, true);
    prints("info pic", "IRQ 1  vector 41, edge, high, masked, pending; keyboard\n");
    prints("info irq", "IRQ 1  keyboard: 8259 masked, pending; I/O APIC masked; held high by a card\n");
    irq_set(&keyboard, false);
    bus_write(machine->memory, 0xfec00000, 0x12, 4); /* pin 1: vector 31, level, to APIC 0 */
    bus_write(machine->memory, 0xfec00010, 0x8031, 4);
    prints("info ioapic", "pin 0  masked, as after a reset, low\npin 1  vector 31 to APIC 00, level, low\n");
    prints("info irq", "IRQ 1  keyboard: 8259 masked, pending; I/O APIC vector 31 to APIC 00, level\n");
    prints("info irq", "IRQ 2  second 8259: 8259 masked\n");
    bus_write(machine->memory, 0xfee000f0, 0x1ff, 4); /* enabled */
    bus_write(machine->memory, 0xfee00320, 0x20055, 4);
    bus_write(machine->memory, 0xfee00300, 0x40066, 4); /* to itself */
    prints("info lapic", "xAPIC mode, registers at fee00000; enabled\n");
    prints("info lapic", "Pending: 66\nIn service: none\n");
    prints("info lapic", "Timer: periodic, 0 of 0");
    prints("info lapic", "  timer                vector 55\n");
    prints("info chip lapic", "irr");
}
END_TEST

START_TEST(traces)
{
    prints("trace", "  exceptions ");
    ck_assert(run("trace on ports"));
    ck_assert(run("trace on cr3"));
    prints("trace", "* ports ");
    prints("trace", "* cr3 ");
    ck_assert(cpu_has_stops(machine->cpu));
    is("info trace", "0 events so far\n");
    ck_assert_int_eq(machine_run(machine), EXIT_POWEROFF); /* the demo guest prints much */
    prints("info trace", " write port 03f8, ");
    prints("info history", " to ");
    prints("info history 1", "Near branches aren't kept");
    ck_assert(run("history on 100"));
    ck_assert(cpu_keeps_branches(machine->cpu));
    refuses("history on 0", "is no number of branches");
    refuses("history maybe", "on or off");
    refuses("info history -1", "is no number of transfers");
    ck_assert(run("history off"));
    ck_assert(!cpu_keeps_branches(machine->cpu));
    prints("info trace 2", " events so far");
    ck_assert_uint_gt(machine->monitor->trace.count, TRACE_KEPT);
    refuses("trace on", "trace what?");
    refuses("trace on everything", "there is no category \"everything\"");
    refuses("trace maybe", "on or off");
    ck_assert(run("trace off"));
    ck_assert(!cpu_has_stops(machine->cpu));
}
END_TEST

/* A breakpoint in the running guest pauses it, and it goes on from there. */
static bool meet(void *opaque, const struct cpu_stopped *hits, unsigned count)
{
    struct monitor *monitor = opaque;
    char line[80];

    (void)hits;
    if (count && machine->paused) { /* the monitor's watch was first */
        snprintf(line, sizeof(line), "delete");
        ck_assert(monitor_command(monitor, line, stderr));
        ck_assert(monitor_command(monitor, "cont", stderr));
    }
    return false;
}

START_TEST(a_port_is_met)
{
    struct machine_stop_watch watch = {.stopped = meet, .opaque = machine->monitor};

    machine_unwatch_stops(machine, &machine->monitor->watch);
    machine_watch_stops(machine, &watch);
    machine_watch_stops(machine, &machine->monitor->watch);
    ck_assert(run("catch port 0x3f8"));
    ck_assert_int_eq(machine_run(machine), EXIT_POWEROFF);
    ck_assert(!cpu_has_stops(machine->cpu));
    machine_unwatch_stops(machine, &watch);
}
END_TEST

START_TEST(files)
{
    char line[200], file[100], bytes[20] = "";

    snprintf(file, sizeof(file), "%s/out", folder);
    put(PLACE, "saved bytes", 11);
    for (unsigned physical = 0; physical < 2; physical++) {
        snprintf(line, sizeof(line), "%smemsave first 11 %s", physical ? "p" : "", file);
        ck_assert_msg(run(line), "%s: %s", line, text);
        FILE *in = fopen(file, "r");
        ck_assert_uint_eq(fread(bytes, 1, sizeof(bytes), in), 11);
        ck_assert_mem_eq(bytes, "saved bytes", 11);
        fclose(in);
    }
    snprintf(line, sizeof(line), "pmemsave 0xfec00000 4 %s", file);
    refuses(line, "there is no memory at fec00000");
    refuses("memsave first 11 /no/such/folder/x", "cannot write /no/such/folder/x");
    refuses("screendump /no/such/folder/x.png", "the machine has no screen");
    refuses("change toaster x", "there is no drive \"toaster\"");
    refuses("change cdrom /no/such/disc.iso", "/no/such/disc.iso");
    unlink(file);
}
END_TEST

START_TEST(keys_and_log)
{
    ck_assert(run("sendkey ctrl-alt-delete"));
    ck_assert_uint_eq(machine->monitor->keys.count, 6);
    ck_assert(run("sendkey a 50"));
    ck_assert_uint_eq(machine->monitor->keys.count, 8);
    for (unsigned n = 1; n < 8; n++)
        ck_assert_uint_ge(machine->monitor->keys.event[n].when, machine->monitor->keys.event[n - 1].when);
    refuses("sendkey ctrl-frob", "there is no key \"frob\"");
    refuses("sendkey a forever", "is no time in ms");
    for (unsigned n = 0; n < 124; n++)
        ck_assert(run("sendkey a"));
    refuses("sendkey a", "too many keys wait");
    is("log guest,warn", "error,warn,guest\n");
    ck_assert_uint_eq(log_.enabled, 1u << LOG_ERROR | 1u << LOG_WARN | 1u << LOG_GUEST);
    is("log none", "error\n");
    refuses("log loud", "there is no level \"loud\"");
}
END_TEST

static void collect(void *opaque, const char *word)
{
    fprintf(opaque, "%s ", word);
}

static void completes(const char *line, const char *words)
{
    FILE *out;

    free(text);
    out = open_memstream(&text, &text_size);
    monitor_complete(machine->monitor, line, collect, out);
    fclose(out);
    ck_assert_msg(!strcmp(text, words), "%s: %s, not %s", line, text, words);
}

START_TEST(completion)
{
    completes("scr", "screendump ");
    completes("info pi", "pic pit ");
    completes("info paging se", "second ");
    completes("x/i fir", "first ");
    completes("sendkey ctrl-alt-del", "ctrl-alt-delete ");
    completes("accel in", "interp ");
    completes("eject ", "ide1-cd0 ");
    completes("frob x", "");
}
END_TEST

Suite *monitor_suite(void)
{
    Suite *suite = suite_create("monitor");
    TCase *tc = tcase_create("monitor");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, values);
    tcase_add_test(tc, dumps);
    tcase_add_test(tc, ports);
    tcase_add_test(tc, code);
    tcase_add_test(tc, topics);
    tcase_add_test(tc, lines);
    tcase_add_test(tc, stops);
    tcase_add_test(tc, traces);
    tcase_add_test(tc, traces_of_registers);
    tcase_add_test(tc, interrupts_in_words);
    tcase_add_test(tc, a_port_is_met);
    tcase_add_test(tc, files);
    tcase_add_test(tc, keys_and_log);
    tcase_add_test(tc, completion);
    suite_add_tcase(suite, tc);
    return suite;
}
