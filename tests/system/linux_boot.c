/*
 * linux_boot.c - boots Debian's kernel to a shell on the serial console, works in it as a user would, and
 * leaves by each way there is.
 *
 * Runs in the build folder: tests/system/linux_boot. OXBOW, KERNEL and INITRD in the environment replace
 * ./oxbow and what
 * `./setup check` put into cache/; OXBOW_OPTIONS adds an option (one word) to every run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/system/drive.h"
#include "tests/system/tap.h"

/* Seconds that bound the waits: generous, for slow and busy hosts and builds with sanitizers. */
#define BOOT    240
#define COMMAND 60
#define LEAVE   60

#define PROMPT "oxbow# "

struct files {
    const char *oxbow, *kernel, *initrd, *extra;
};

/* A command line, and what must be in its output (NULL: there must be none). */
static const struct {
    const char *name, *command, *expected;
} commands[] = {
    {"the kernel is a Linux 6 for x86-64", "uname -srm", "Linux 6."},
    {"the processor is described", "cat /proc/cpuinfo", "model name"},
    {"memory is about what was asked for",
     "awk '/MemTotal/ { print ($2 > 200000 && $2 < 262144) }' /proc/meminfo", "1\n"},
    {"the root is listed", "ls -1 /", "proc\n"},
    {"shell arithmetic", "echo $((123456789 * 987654321 % 1000000007))", "259106859\n"},
    {"floating point", "awk 'BEGIN { printf \"%.6f %.3e\\n\", 22 / 7, 1 / 3e7 }'", "3.142857 3.333e-08\n"},
    {"SHA-256 of generated text", "seq 1 100000 | sha256sum",
     "b2bc7d3f8b652d2ec96865b68ad8f80e22cca174abe1aed7889e242a747d590f"},
    {"MD5 of 16 MiB of zeros", "dd if=/dev/zero bs=1M count=16 2>/dev/null | md5sum",
     "2c7ab85a893283e98c931e9511add182"},
    {"sorting", "seq 1 5000 | sort | sha1sum", "67213b590941062e451a248896eb93ccfeea6872"},
    {"compression and back", "seq 1 30000 >/tmp/a; gzip -c /tmp/a | gunzip | cmp - /tmp/a && echo same",
     "same\n"},
    {"background jobs", "sleep 100 & kill -9 %1; wait %1; echo ended $?", "ended 137\n"},
    {"timers", "sleep 0.2; echo slept", "slept\n"},
    {"the console is the UART", "cat /sys/class/tty/console/active", "ttyS0\n"},
    {"the serial port interrupts", "grep -c ttyS0 /proc/interrupts", "1\n"},
    {"the real-time clock is there", "cat /sys/class/rtc/rtc0/name", "rtc_cmos"},
    {"no complaint about ACPI", "dmesg | grep -E 'ACPI (BIOS )?(Error|Warning|Exception)'", NULL},
    {"no complaint from the kernel", "dmesg | grep -E 'BUG|WARNING|Oops|Call Trace|soft lockup|rcu.*stall'",
     NULL},
};

static bool start(struct drive *drive, const struct files *files, const char *option)
{
    const char *argv[16] = {files->oxbow,  "--headless", "-m",          "256M",     "--kernel",
                            files->kernel, "--initrd",   files->initrd, "--append", "console=ttyS0"};
    int argc = 10;

    if (option)
        argv[argc++] = option;
    if (files->extra)
        argv[argc++] = files->extra;
    return drive_start(drive, argv, drive_has_terminal());
}

static bool reach_prompt(struct tap *tap, struct drive *drive, const char *name)
{
    bool there = drive_expect(drive, PROMPT, BOOT);

    if (!tap_ok(tap, there, "%s", name))
        tap_note("what was printed", drive->text);
    return there;
}

static void run_commands(struct tap *tap, struct drive *drive)
{
    char *output;

    /* The kernel's messages must not come between what commands print. */
    drive_command(drive, "dmesg -n 1", &output, COMMAND);
    free(output);
    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
        const char *expected = commands[i].expected;
        int status = drive_command(drive, commands[i].command, &output, COMMAND);
        bool passed = status >= 0 && (expected ? strstr(output, expected) != NULL : !*output);
        if (!tap_ok(tap, passed, "%s", commands[i].name)) {
            tap_note("it printed", output ? output : "(nothing in time)");
            if (status < 0) {
                tap_note("all output", drive->text);
                return;
            }
        }
        free(output);
    }
}

static void check_date(struct tap *tap, struct drive *drive)
{
    char *output;
    int status = drive_command(drive, "date +%s", &output, COMMAND);
    long long difference = status == 0 ? strtoll(output, NULL, 10) - (long long)time(NULL) : 0;

    tap_ok(tap, status == 0 && difference > -30 && difference < 30, "the date is right (off by %lld s)",
           difference);
    free(output);
}

/* Ctrl-C must reach the guest and interrupt what runs there, not Oxbow. */
static void check_interrupt(struct tap *tap, struct drive *drive)
{
    bool started =
        drive_send(drive, "echo wai''ting; sleep 1000\n") && drive_expect(drive, "waiting", COMMAND);

    drive_expect(drive, "\n", COMMAND);
    drive_send(drive, "\003");
    tap_ok(tap, started && drive_expect(drive, PROMPT, COMMAND), "Ctrl-C interrupts the guest's program");
}

static void leave(struct tap *tap, struct drive *drive, const char *command, int expected, const char *name)
{
    drive_send(drive, command);
    int status = drive_wait(drive, LEAVE);
    if (!tap_ok(tap, status == expected, "%s: exit status %d", name, expected)) {
        printf("# it was %d\n", status);
        tap_note("what was printed", drive->text);
    }
}

/* One boot in which everything is tried; it ends with a reset, a second boot and power-off. */
static void long_session(struct tap *tap, const struct files *files)
{
    struct drive drive;

    if (!tap_ok(tap, start(&drive, files, NULL), "Oxbow starts"))
        return;
    if (reach_prompt(tap, &drive, "the kernel boots to a shell")) {
        run_commands(tap, &drive);
        check_date(tap, &drive);
        check_interrupt(tap, &drive);
        drive_send(&drive, "reboot\n");
        if (reach_prompt(tap, &drive, "a reset boots it again"))
            leave(tap, &drive, "poweroff\n", 0, "poweroff");
    }
    drive_free(&drive);
}

static void no_reboot_session(struct tap *tap, const struct files *files)
{
    struct drive drive;

    if (!start(&drive, files, "--no-reboot"))
        return;
    if (reach_prompt(tap, &drive, "it boots under --no-reboot"))
        leave(tap, &drive, "reboot\n", 6, "reboot under --no-reboot");
    drive_free(&drive);
}

int main(void)
{
    struct files files = {getenv("OXBOW"), getenv("KERNEL"), getenv("INITRD"), getenv("OXBOW_OPTIONS")};
    struct tap tap = {0};

    if (!files.oxbow)
        files.oxbow = "./oxbow";
    if (!files.kernel)
        files.kernel = "cache/vmlinuz";
    if (!files.initrd)
        files.initrd = "cache/initrd.gz";
    if (access(files.kernel, R_OK) || access(files.initrd, R_OK))
        return tap_skip_all("no kernel to boot; ./setup check fetches Debian's");
#ifdef __SANITIZE_THREAD__
    return tap_skip_all("with ThreadSanitizer it takes too long");
#endif
    long_session(&tap, &files);
    no_reboot_session(&tap, &files);
    return tap_done(&tap);
}
