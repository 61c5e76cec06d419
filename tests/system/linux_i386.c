/*
 * linux_i386.c - boots Debian's kernels for 32-bit processors, without and with PAE, to a shell on the serial
 * console, works in it, and switches off.
 *
 * Runs in the build folder: tests/system/linux_i386. OXBOW and I386 in the environment replace ./oxbow and
 * the folder that
 * `./setup check` filled, cache/i386; OXBOW_OPTIONS adds an option (one word) to every run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/system/drive.h"
#include "tests/system/tap.h"

/* Seconds that bound the waits: generous, for slow and busy hosts and builds with sanitizers. */
#define BOOT    600
#define COMMAND 60
#define LEAVE   60

#define PROMPT "oxbow# "

struct files {
    const char *oxbow, *folder, *extra;
};

/* A command line, and what must be in its output (NULL: there must be none). */
static const struct {
    const char *name, *command, *expected;
} commands[] = {
    {"the kernel is a Linux 6 for 32-bit processors", "uname -srm", "i686\n"},
    {"memory is about what was asked for",
     "awk '/MemTotal/ { print ($2 > 200000 && $2 < 262144) }' /proc/meminfo", "1\n"},
    {"shell arithmetic in 64 bits", "echo $((123456789 * 987654321 % 1000000007))", "259106859\n"},
    {"floating point", "awk 'BEGIN { printf \"%.6f %.3e %.4f\\n\", 22 / 7, 1 / 3e7, 1e100 / 3e99 }'",
     "3.142857 3.333e-08 3.3333\n"},
    {"SHA-256 of generated text", "seq 1 100000 | sha256sum",
     "b2bc7d3f8b652d2ec96865b68ad8f80e22cca174abe1aed7889e242a747d590f"},
    {"SHA-512 of nothing", "sha512sum </dev/null",
     "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"},
    {"MD5 of 16 MiB of zeros", "dd if=/dev/zero bs=1M count=16 2>/dev/null | md5sum",
     "2c7ab85a893283e98c931e9511add182"},
    {"sorting", "seq 1 5000 | sort | sha1sum", "67213b590941062e451a248896eb93ccfeea6872"},
    {"compression and back", "seq 1 30000 >/tmp/a; gzip -c /tmp/a | gunzip | cmp - /tmp/a && echo same",
     "same\n"},
    {"bc", "echo '2^200 / 3^50' | bc", "2238393297946874000179418290327143433\n"},
    {"many processes", "i=0; while [ $i -lt 200 ]; do (exit 3) || i=$((i + 1)); done; echo $i", "200\n"},
    {"background jobs", "sleep 100 & kill -9 %1; wait %1; echo ended $?", "ended 137\n"},
    {"a program that reads where it may not is killed",
     "cat /proc/self/maps >/dev/null; sh -c 'kill -SEGV $$'; echo ended $?", "ended 139\n"},
    {"timers", "sleep 0.2; echo slept", "slept\n"},
    {"no complaint about ACPI", "dmesg | grep -E 'ACPI (BIOS )?(Error|Warning|Exception)'", NULL},
    {"no complaint from the kernel", "dmesg | grep -E 'BUG|WARNING|Oops|Call Trace|soft lockup|rcu.*stall'",
     NULL},
    {"no complaint from the kernel's tests of its ciphers",
     "dmesg | grep -E 'alg:.*(fail|error)|self-tests.*failed'", NULL},
};

/* The kernel tests its ciphers as it starts, which is more than half of its way; one of the two does. */
static const char *const quick = "console=ttyS0 panic=-1 cryptomgr.notests";
static const char *const tested = "console=ttyS0 panic=-1";

static bool start(struct drive *drive, const struct files *files, const char *kernel, const char *append)
{
    char initrd[1024];
    const char *argv[16] = {files->oxbow, "--headless", "-m",   "256M",     "--no-reboot", "--kernel",
                            kernel,       "--initrd",   initrd, "--append", append};
    int argc = 11;

    snprintf(initrd, sizeof(initrd), "%s/initrd.gz", files->folder);
    if (files->extra)
        argv[argc++] = files->extra;
    return drive_start(drive, argv, drive_has_terminal());
}

static void run_commands(struct tap *tap, struct drive *drive, const char *kind)
{
    char *output;

    /* The kernel's messages must not come between what commands print. */
    drive_command(drive, "dmesg -n 1", &output, COMMAND);
    free(output);
    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
        const char *expected = commands[i].expected;
        int status = drive_command(drive, commands[i].command, &output, COMMAND);
        bool passed = status >= 0 && (expected ? strstr(output, expected) != NULL : !*output);
        if (!tap_ok(tap, passed, "%s: %s", kind, commands[i].name)) {
            tap_note("it printed", output ? output : "(nothing in time)");
            if (status < 0) {
                tap_note("all output", drive->text);
                return;
            }
        }
        free(output);
    }
}

static void session(struct tap *tap, const struct files *files, const char *kind, const char *append)
{
    char kernel[1024];
    struct drive drive;

    snprintf(kernel, sizeof(kernel), "%s/vmlinuz-%s", files->folder, kind);
    if (!tap_ok(tap, start(&drive, files, kernel, append), "%s: Oxbow starts", kind))
        return;
    if (tap_ok(tap, drive_expect(&drive, PROMPT, BOOT), "%s: the kernel boots to a shell", kind)) {
        run_commands(tap, &drive, kind);
        drive_send(&drive, "poweroff\n");
        int status = drive_wait(&drive, LEAVE);
        if (!tap_ok(tap, status == 0, "%s: poweroff: exit status 0", kind)) {
            printf("# it was %d\n", status);
            tap_note("what was printed", drive.text);
        }
    } else {
        tap_note("what was printed", drive.text);
    }
    drive_free(&drive);
}

int main(void)
{
    struct files files = {getenv("OXBOW"), getenv("I386"), getenv("OXBOW_OPTIONS")};
    char initrd[1024];
    struct tap tap = {0};

    if (!files.oxbow)
        files.oxbow = "./oxbow";
    if (!files.folder)
        files.folder = "cache/i386";
    snprintf(initrd, sizeof(initrd), "%s/initrd.gz", files.folder);
    if (access(initrd, R_OK))
        return tap_skip_all("no kernels for 32-bit processors; ./setup check fetches Debian's");
#ifdef __SANITIZE_THREAD__
    return tap_skip_all("with ThreadSanitizer it takes too long");
#endif
    session(&tap, &files, "686", quick);
    session(&tap, &files, "686-pae", tested);
    return tap_done(&tap);
}
