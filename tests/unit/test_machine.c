/* Whole machines: made, run, several at once, ended from outside; and what they are made from: machine/,
 * accel/. */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "accel/engine.h"
#include "debug/crash.h"
#include "machine/machine.h"

/* A stream that keeps what the guest sends. */
struct memory_stream {
    struct chardev chr;
    char *text;
    size_t size;
    FILE *out;
    struct machine *ends; /* the machine to end at the first byte; NULL: none */
};

static void stream_write(struct chardev *chr, const uint8_t *data, size_t size)
{
    struct memory_stream *stream = (struct memory_stream *)chr;

    fwrite(data, 1, size, stream->out);
    if (stream->ends)
        machine_end(stream->ends, 77);
}

static void stream_close(struct chardev *chr)
{
    fclose(((struct memory_stream *)chr)->out);
}

static void stream_open(struct memory_stream *stream)
{
    *stream = (struct memory_stream){.chr = {.write = stream_write, .close = stream_close}};
    stream->out = open_memstream(&stream->text, &stream->size);
}

/* A machine with the demo guest. */
struct demo {
    struct options options;
    struct log log;
    struct memory_stream serial;
    struct machine *machine;
    int status;
};

/* `engine` NULL and code_size 0: as by default. */
static void demo_make_with(struct demo *demo, const char *engine, uint64_t code_size)
{
    struct machine_config config = {
        .options = &demo->options, .log = &demo->log, .serial = &demo->serial.chr};
    char why[300];

    options_init(&demo->options);
    demo->options.memory = 32 << 20;
    if (engine)
        demo->options.accel = engine;
    if (code_size)
        demo->options.jit_cache = code_size;
    log_init(&demo->log, stderr);
    stream_open(&demo->serial);
    int status = machine_new(&config, &demo->machine, why, sizeof(why));
    ck_assert_msg(status == 0, "%s", why);
}

static void demo_make(struct demo *demo)
{
    demo_make_with(demo, NULL, 0);
}

static void *demo_run(void *opaque)
{
    struct demo *demo = opaque;

    demo->status = machine_run(demo->machine);
    return NULL;
}

static void demo_free(struct demo *demo)
{
    machine_free(demo->machine);
    options_free(&demo->options);
    free(demo->serial.text);
}

START_TEST(demo_guest_runs_and_powers_off)
{
    struct demo demo;

    demo_make(&demo);
    demo_run(&demo);
    ck_assert_int_eq(demo.status, EXIT_POWEROFF);
    fflush(demo.serial.out);
    ck_assert_ptr_nonnull(strstr(demo.serial.text, "demo guest"));
    ck_assert_uint_gt(cpu_instructions(demo.machine->cpu), 1000);
    demo_free(&demo);
}
END_TEST

START_TEST(two_machines_run_at_once)
{
    struct demo demo[2];
    pthread_t thread[2];

    for (int i = 0; i < 2; i++)
        demo_make(&demo[i]);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, demo_run, &demo[i]), 0);
    for (int i = 0; i < 2; i++) {
        pthread_join(thread[i], NULL);
        ck_assert_int_eq(demo[i].status, EXIT_POWEROFF);
        fflush(demo[i].serial.out);
        ck_assert_ptr_nonnull(strstr(demo[i].serial.text, "Powering off"));
        demo_free(&demo[i]);
    }
}
END_TEST

/* Before it runs a machine stands as when paused. */
START_TEST(engines_change_while_it_stands)
{
    struct demo demo;
    char why[300] = "";

    demo_make(&demo);
    ck_assert(machine_switch_engine(demo.machine, "interp", why, sizeof(why)));
    ck_assert_str_eq(demo.machine->vcpu.engine->name, "interp");
    ck_assert(!machine_switch_engine(demo.machine, "ox", why, sizeof(why)));
    ck_assert_str_eq(why, "there is no engine \"ox\"");
    ck_assert_str_eq(demo.machine->vcpu.engine->name, "interp");
#if defined(__x86_64__)
    ck_assert(machine_switch_engine(demo.machine, "jit", why, sizeof(why)));
    ck_assert(machine_switch_engine(demo.machine, "interp", why, sizeof(why)));
    ck_assert(machine_switch_engine(demo.machine, "jit", why, sizeof(why)));
    ck_assert_str_eq(demo.machine->vcpu.engine->name, "jit");
    ck_assert_uint_ge(demo.machine->engines.switches, 3);
#endif
    demo_run(&demo);
    ck_assert_int_eq(demo.status, EXIT_POWEROFF);
    demo_free(&demo);
}
END_TEST

#if defined(__x86_64__)
START_TEST(an_engine_that_cannot_leaves_the_other)
{
    struct demo demo;
    char why[300] = "";

    demo_make_with(&demo, "interp", 1ull << 60);
    ck_assert(!machine_switch_engine(demo.machine, "jit", why, sizeof(why)));
    ck_assert_ptr_nonnull(strstr(why, "translated code"));
    ck_assert_str_eq(demo.machine->vcpu.engine->name, "interp");
    demo_run(&demo);
    ck_assert_int_eq(demo.status, EXIT_POWEROFF);
    demo_free(&demo);
}
END_TEST
#endif

START_TEST(a_chip_can_end_the_run)
{
    struct demo demo;

    demo_make(&demo);
    demo.serial.ends = demo.machine;
    demo_run(&demo);
    ck_assert_int_eq(demo.status, 77);
    demo_free(&demo);
}
END_TEST

START_TEST(the_first_end_counts)
{
    struct demo demo;

    demo_make(&demo);
    machine_end(demo.machine, 9);
    machine_end(demo.machine, 10);
    demo_run(&demo);
    ck_assert_int_eq(demo.status, 9);
    demo_free(&demo);
}
END_TEST

START_TEST(a_signal_ends_the_run)
{
    struct demo demo;

    demo_make(&demo);
    machine_signal(demo.machine, 15);
    demo_run(&demo);
    ck_assert_int_eq(demo.status, 128 + 15);
    demo_free(&demo);
}
END_TEST

START_TEST(a_machine_can_be_freed_without_running)
{
    struct demo demo;

    demo_make(&demo);
    demo_free(&demo);
}
END_TEST

/* A reset starts the guest from its beginning. */
static void reset_once(struct chardev *chr, const uint8_t *data, size_t size)
{
    struct memory_stream *stream = (struct memory_stream *)chr;

    fwrite(data, 1, size, stream->out);
    fflush(stream->out);
    if (stream->ends && strstr(stream->text, "Memory")) {
        machine_reset(stream->ends);
        stream->ends = NULL;
    }
}

START_TEST(reset_boots_again)
{
    struct demo demo;

    demo_make(&demo);
    demo.serial.chr.write = reset_once;
    demo.serial.ends = demo.machine;
    demo_run(&demo);
    ck_assert_int_eq(demo.status, EXIT_POWEROFF);
    const char *first = strstr(demo.serial.text, "Memory");
    ck_assert_ptr_nonnull(strstr(first + 1, "Processor"));
    ck_assert_ptr_nonnull(strstr(first + 1, "Powering off"));
    demo_free(&demo);
}
END_TEST

START_TEST(no_reboot_ends_at_reset)
{
    struct demo demo;

    demo_make(&demo);
    demo.options.no_reboot = true;
    demo.serial.chr.write = reset_once;
    demo.serial.ends = demo.machine;
    demo_run(&demo);
    ck_assert_int_eq(demo.status, EXIT_RESET);
    demo_free(&demo);
}
END_TEST

START_TEST(engines_say_why_not)
{
    char why[200];

    ck_assert_str_eq(engine_pick("interp", why, sizeof(why))->name, "interp");
#if defined(__x86_64__)
    ck_assert_str_eq(engine_pick("jit", why, sizeof(why))->name, "jit");
    ck_assert_str_ne(engine_pick("auto", why, sizeof(why))->name, "interp");
#else
    ck_assert_str_eq(engine_pick("auto", why, sizeof(why))->name, "interp");
#endif
    if (!engine_pick("kvm", why, sizeof(why))) /* not on every host */
        ck_assert_ptr_nonnull(strcasestr(why, "kvm"));
    ck_assert_ptr_null(engine_pick("tcg", why, sizeof(why)));
    ck_assert_str_eq(why, "there is no engine \"tcg\"");
}
END_TEST

/* Reads a machine file with this text; gives whether it was good. */
static bool read_text(const char *text, struct options *options, char *why, size_t why_size)
{
    char path[] = "/tmp/oxbow-test-XXXXXX";
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    options_init(options);
    bool good = machine_file_read(path, options, why, why_size);
    unlink(path);
    return good;
}

START_TEST(machine_file)
{
    struct options options;
    char why[300] = "";

    ck_assert_msg(
        read_text("; comment\n[machine]\nmemory = 64M\nappend = a=b c\nno-reboot = yes\nexit-device =\n",
                  &options, why, sizeof(why)),
        "%s", why);
    ck_assert_uint_eq(options.memory, 64 << 20);
    ck_assert_str_eq(options.append, "a=b c");
    ck_assert(options.no_reboot);
    ck_assert_int_eq(options.exit_port, 0xF4);
    options_free(&options);
}
END_TEST

static const struct {
    const char *text, *complaint;
} bad_files[] = {
    {"memory = 1M\nmemory = x\nkernal = y\n", "line 2: --memory"},
    {"[machine]\nkernal = x\n", "did you mean \"kernel\""},
    {"[disk]\na = b\n", "section [disk]"},
    {"no equals sign here\n", "line 1"},
    {"[machine\n", "line 1"},
    {"machine = other.ini\n", "command line"},
    {"megs: 32\nata0-master: type=disk, path=x, mode=sparse\n", "line 2: only disk images of mode flat"},
    {"boot: usb\n", "line 1: boot from disk"},
    {"megs: lots\n", "line 1: --memory"},
    {"com1: mode=socket-client, dev=localhost:8888\n", "line 1: a serial port's mode"},
};

START_TEST(bad_machine_files)
{
    struct options options;
    char why[300] = "";

    ck_assert(!read_text(bad_files[_i].text, &options, why, sizeof(why)));
    ck_assert_msg(strstr(why, bad_files[_i].complaint), "%s", why);
    options_free(&options);
}
END_TEST

START_TEST(bochsrc)
{
    struct options options;
    char why[300] = "";

    ck_assert_msg(
        read_text("# made by hand\nplugin_ctrl: unmapped=1\nmegs: 48\nboot: cdrom, disk\n"
                  "romimage: file=\"$BXSHARE/BIOS-bochs-latest\"\n"
                  "ata0-master: type=disk, path=\"my disk, old.img\", mode=flat, cylinders=0\n"
                  "ata1-master: type=cdrom, path=os.iso, status=inserted # the CD\n"
                  "ata1-slave: type=cdrom, path=none.iso, status=ejected\n"
                  "floppya: 1_44=a.img, status=inserted\ncom1: enabled=1, mode=file, dev=serial.txt\n"
                  "port_e9_hack: enabled=1\ndisplay_library: nogui\ngdbstub: enabled=1, port=4321\n"
                  "ne2k: ioaddr=0x280, irq=5, mac=52:54:00:01:02:03, ethmod=vnet, ethdev=c:/temp\n"
                  "e1000: enabled=1, mac=52:54:00:01:02:04, ethmod=tuntap, ethdev=/dev/net/tun0\n",
                  &options, why, sizeof(why)),
        "%s", why);
    ck_assert_uint_eq(options.memory, 48 << 20);
    ck_assert_str_eq(options.boot, "dc");
    ck_assert_uint_eq(options.disks, 1);
    ck_assert_str_eq(options.disk[0].path, "my disk, old.img");
    ck_assert_uint_eq(options.discs, 1);
    ck_assert_str_eq(options.cdrom[0].path, "os.iso");
    ck_assert_str_eq(options.floppy[0].path, "a.img");
    ck_assert_str_eq(options.serial[0], "file:serial.txt");
    ck_assert_str_eq(options.debugcon, "stdio");
    ck_assert_str_eq(options.display, "none");
    ck_assert_str_eq(options.gdb, "4321");
    ck_assert_uint_eq(options.nets, 2);
    ck_assert_int_eq(options.net[0].kind, NET_USER);
    ck_assert_str_eq(options.net[0].model, "ne2k_isa");
    ck_assert_uint_eq(options.net[0].iobase, 0x280);
    ck_assert_uint_eq(options.net[0].irq, 5);
    ck_assert_uint_eq(options.net[0].mac[5], 3);
    ck_assert_int_eq(options.net[1].kind, NET_TAP);
    ck_assert_str_eq(options.net[1].model, "e1000");
    ck_assert_str_eq(options.net[1].ifname, "tun0");
    options_free(&options);
}
END_TEST

START_TEST(registers_are_printed)
{
    struct cpu_state state = {.rip = 0x1234, .cr0 = CR0_PE, .rflags = FLAG_1};
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    state.gpr[R15] = 0xFEDCBA9876543210;
    state.seg[CS].attr = SEG_P | SEG_S | SEG_CODE | SEG_DB;
    crash_print_registers(&state, out);
    fclose(out);
    ck_assert_ptr_nonnull(strstr(text, "protected mode, 32-bit code, CPL 0, no paging"));
    ck_assert_ptr_nonnull(strstr(text, "r15 fedcba9876543210"));
    ck_assert_ptr_nonnull(strstr(text, "rip 0000000000001234"));
    free(text);
}
END_TEST

Suite *machine_suite(void)
{
    Suite *suite = suite_create("machine");
    TCase *runs = tcase_create("runs"), *parts = tcase_create("parts");

    tcase_set_timeout(runs, 120);
    tcase_add_test(runs, demo_guest_runs_and_powers_off);
    tcase_add_test(runs, two_machines_run_at_once);
    tcase_add_test(runs, a_chip_can_end_the_run);
    tcase_add_test(runs, engines_change_while_it_stands);
#if defined(__x86_64__)
    tcase_add_test(runs, an_engine_that_cannot_leaves_the_other);
#endif
    tcase_add_test(runs, the_first_end_counts);
    tcase_add_test(runs, a_signal_ends_the_run);
    tcase_add_test(runs, a_machine_can_be_freed_without_running);
    tcase_add_test(runs, reset_boots_again);
    tcase_add_test(runs, no_reboot_ends_at_reset);
    suite_add_tcase(suite, runs);
    tcase_add_test(parts, engines_say_why_not);
    tcase_add_test(parts, machine_file);
    tcase_add_test(parts, bochsrc);
    tcase_add_loop_test(parts, bad_machine_files, 0, sizeof(bad_files) / sizeof(*bad_files));
    tcase_add_test(parts, registers_are_printed);
    suite_add_tcase(suite, parts);
    return suite;
}
