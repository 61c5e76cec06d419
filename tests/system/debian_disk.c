/*
 * debian_disk.c - a Debian as a user would install it, on a disk: SeaBIOS, GRUB, Linux, systemd, logins on
 * the screen and the serial port. Works in it, resets it, shuts it down, and looks at the disk afterwards.
 *
 * Runs in the build folder: tests/system/debian_disk. OXBOW and DISK in the environment replace ./oxbow and
 * what
 * `./setup check` put into cache/. It works on a copy of the disk, tests/system/debian_disk.img.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/system/drive.h"
#include "tests/system/picture.h"
#include "tests/system/tap.h"

/* Seconds that bound the waits. */
#ifdef OXBOW_SANITIZED
#define BOOT 1200
#else
#define BOOT 180
#endif
#define COMMAND (BOOT / 2)
#define LEAVE   (BOOT / 2)

#define WORK      "tests/system/debian_disk"
#define IMAGE     WORK ".img"
#define PARTITION "'" IMAGE "?offset=1048576'"

/* What `seq 1 1000000` prints. */
#define NUMBERS_SHA256 "90433fcbd9e16297e6a7c1dacb1056394743194776e52f78ebf0a44b80b6b14f"

struct files {
    const char *oxbow, *disk;
};

/* A command line, and what must be in its output (NULL: there must be none). */
struct command {
    const char *name, *line, *expected;
};

/* In every boot. */
static const struct command looks[] = {
    {"systemd has started all", "systemctl is-system-running --wait", "running\n"},
    {"no unit failed", "systemctl --failed --plain --no-legend", NULL},
    {"no error in the journal", "journalctl -b -q -p err --no-pager", NULL},
    {"no complaint from the kernel", "dmesg | grep -E 'BUG|WARNING|Oops|Call Trace|soft lockup|rcu.*stall'",
     NULL},
    {"no complaint about disks",
     "dmesg | grep -iE 'ata[0-9.]+: .*(exception|error|fail|resetting)|I/O error|EXT4-fs.*(error|recover)'",
     NULL},
    {"no complaint about ACPI", "dmesg | grep -E 'ACPI (BIOS )?(Error|Warning|Exception)'", NULL},
    {"the root is the disk's partition", "findmnt -nro SOURCE,FSTYPE,OPTIONS /", "/dev/sda1 ext4 rw"},
    {"the disk does DMA", "cat /sys/class/ata_device/dev1.0/dma_mode", "DMA"},
    {"the screen has its driver", "cat /proc/fb", "bochs-drm"},
    {"a keyboard", "cat /proc/bus/input/devices", "AT Translated Set 2 keyboard"},
    {"a mouse with a wheel", "cat /proc/bus/input/devices", "Explorer Mouse"},
    {"a power button", "cat /proc/bus/input/devices", "\"Power Button\""},
    {"both logins wait", "systemctl is-active getty@tty1 serial-getty@ttyS0", "active\nactive\n"},
    {"the screen shows its login", "grep -c 'oxbow login:' /dev/vcs1", "1\n"},
};

/* Files of all sizes, and whether they can be read back from the disk. */
static const struct command writes[] = {
    {"writes a file of numbers", "mkdir files && seq 1 1000000 >files/numbers", NULL},
    {"writes 24 MiB of random bytes", "dd if=/dev/urandom of=files/random bs=1M count=24 status=none", NULL},
    {"copies many small files", "cp -a /usr/share/doc files/", NULL},
    {"notes their checksums", "find files -type f | sort | xargs sha256sum >sums; sync", NULL},
};

static const struct command reads[] = {
    {"the disk has what was written", "echo 3 >/proc/sys/vm/drop_caches; sha256sum --quiet -c sums", NULL},
    {"the numbers are as they were computed", "sha256sum <files/numbers", NUMBERS_SHA256},
};

/* Runs a command of the host and gives its exit status; *output (to be freed) is all it printed. */
__attribute__((format(printf, 2, 3))) static int host(char **output, const char *format, ...)
{
    char command[1024];
    size_t size = 0, got;
    va_list args;

    va_start(args, format);
    vsnprintf(command, sizeof(command), format, args);
    va_end(args);
    *output = calloc(1, 65536);
    FILE *pipe = *output ? popen(command, "r") : NULL;
    if (!pipe)
        return -1;
    while (size < 65535 && (got = fread(*output + size, 1, 65535 - size, pipe)) > 0)
        size += got;
    int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The same as a test that the command ends well. */
__attribute__((format(printf, 3, 4))) static bool host_ok(struct tap *tap, const char *name,
                                                          const char *format, ...)
{
    char command[512], *output;
    va_list args;

    va_start(args, format);
    vsnprintf(command, sizeof(command), format, args);
    va_end(args);
    int status = host(&output, "{ %s; } 2>&1", command);
    if (!tap_ok(tap, status == 0, "%s", name)) {
        printf("# exit status %d of: %s\n", status, command);
        tap_note("it printed", output ? output : "");
    }
    free(output);
    return status == 0;
}

static bool expect(struct tap *tap, struct drive *drive, const char *text, double seconds, const char *name)
{
    bool there = drive_expect(drive, text, seconds);

    if (!tap_ok(tap, there, "%s", name))
        tap_note("what was printed", drive->text);
    return there;
}

/* `switches`: as for --switch-at; NULL: one engine does it all. */
static bool start(struct tap *tap, struct drive *drive, const struct files *files, const char *disk,
                  const char *switches)
{
    const char *argv[] = {files->oxbow,   "--disk",     disk,
                          "--headless",   "--debugcon", "file:" WORK ".debugcon",
                          "--screenshot", WORK ".png",  switches ? "--switch-at" : NULL,
                          switches,       "--stats",    NULL};

    return tap_ok(tap, drive_start(drive, argv, drive_has_terminal()), "Oxbow starts with %s", disk);
}

/* From the BIOS to a shell. The shell is the plain one: its prompt has no colours and its lines are not
 * edited. */
static bool log_in(struct tap *tap, struct drive *drive)
{
    char *output;

    if (!expect(tap, drive, "GNU GRUB", BOOT, "GRUB shows its menu") ||
        !expect(tap, drive, "Linux version", BOOT, "Linux starts") ||
        !expect(tap, drive, "oxbow login: ", BOOT, "a login prompt on the serial port"))
        return false;
    drive_send(drive, "root\n");
    if (!expect(tap, drive, "Password: ", COMMAND, "login asks for the password"))
        return false;
    drive_send(drive, "oxbow\n");
    if (!expect(tap, drive, "# ", COMMAND, "a shell"))
        return false;
    drive_send(drive, "exec sh\n");
    if (!drive_expect(drive, "exec sh", COMMAND) || !expect(tap, drive, "# ", COMMAND, "the plain shell"))
        return false;
    /* The kernel's messages must not come between what commands print. */
    drive_command(drive, "dmesg -n 1", &output, COMMAND);
    free(output);
    return true;
}

static bool run(struct tap *tap, struct drive *drive, const struct command *commands, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *expected = commands[i].expected;
        char *output;
        int status = drive_command(drive, commands[i].line, &output, COMMAND);
        bool passed = status >= 0 && (expected ? strstr(output, expected) != NULL : !*output);
        if (!tap_ok(tap, passed, "%s", commands[i].name))
            tap_note("it printed", output ? output : "(nothing in time)");
        free(output);
        if (status < 0) {
            tap_note("all output", drive->text);
            return false;
        }
    }
    return true;
}
#define RUN(tap, drive, commands) run(tap, drive, commands, sizeof(commands) / sizeof(*(commands)))

static void leave(struct tap *tap, struct drive *drive, const char *keys, const char *name)
{
    drive_send(drive, keys);
    int status = drive_wait(drive, LEAVE);
    if (!tap_ok(tap, status == 0, "%s: exit status 0", name)) {
        printf("# it was %d\n", status);
        tap_note("what was printed", drive->text);
    }
}

/* The SHA-256 of the screenshot's pixels as the guest has them in memory: 32 bits each. */
static char *screenshot_sha256(void)
{
    struct picture picture;
    char *sum = NULL, why[200];
    FILE *raw = fopen(WORK ".raw", "w");

    if (picture_read(&picture, WORK ".png", why, sizeof(why)) && raw)
        fwrite(picture.pixels, sizeof(*picture.pixels), (size_t)picture.width * (size_t)picture.height, raw);
    else
        printf("# %s\n", why);
    picture_free(&picture);
    if (raw)
        fclose(raw);
    host(&sum, "sha256sum <" WORK ".raw");
    unlink(WORK ".raw");
    return sum;
}

/* The disk must not change, and the screenshot must be what the guest drew. */
static void snapshot_session(struct tap *tap, const struct files *files)
{
    struct drive drive;
    char *output, *drawn = NULL;

    if (start(tap, &drive, files, IMAGE ",snapshot", NULL) && log_in(tap, &drive) &&
        RUN(tap, &drive, looks) && RUN(tap, &drive, writes) && RUN(tap, &drive, reads)) {
        /* A cursor that blinks would make pictures of two kinds. */
        drive_command(&drive, "echo 0 >/sys/class/graphics/fbcon/cursor_blink; sleep 1", &output, COMMAND);
        free(output);
        drive_command(&drive, "sha256sum </dev/fb0", &drawn, COMMAND);
        leave(tap, &drive, "\001x", "Ctrl-A X");
        char *shown = screenshot_sha256();
        if (!tap_ok(tap, shown && drawn && strlen(shown) > 64 && !strncmp(shown, drawn, 64),
                    "the screenshot is what the guest drew")) {
            tap_note("the guest's sum", drawn ? drawn : "");
            tap_note("the screenshot's", shown ? shown : "");
        }
        free(shown);
        free(drawn);
    }
    drive_free(&drive);
    host_ok(tap, "the disk is as it was", "cmp %s " IMAGE, files->disk);
}

/* Where a file of the guest has this sum on the disk, as the host reads it. */
static void check_file(struct tap *tap, const char *name, const char *sum)
{
    char *output;
    int status = host(&output, "debugfs -R 'cat /root/files/%s' " PARTITION " 2>/dev/null | sha256sum", name);

    if (!tap_ok(tap, status == 0 && output && !strncmp(output, sum, 64),
                "the host reads the guest's file of %s", name)) {
        printf("# expected: %s\n", sum);
        tap_note("it is", output ? output : "");
    }
    free(output);
}

/* How often --stats says that another engine took over. */
static int switches(const struct drive *drive)
{
    const char *text = strstr(drive->text, " switches of the engine");

    while (text && text > drive->text && text[-1] >= '0' && text[-1] <= '9')
        text--;
    return text ? atoi(text) : 0;
}

/*
 * A reset between two boots, then power off, and a file system without a fault; all that while translator and
 * interpreter take turns, if there are both.
 */
static void long_session(struct tap *tap, const struct files *files)
{
    char *sum = NULL;
    struct drive drive;

    if (start(tap, &drive, files, IMAGE, "every=0.2:auto,interp") && log_in(tap, &drive) &&
        RUN(tap, &drive, looks) && RUN(tap, &drive, writes) && RUN(tap, &drive, reads)) {
        drive_send(&drive, "reboot\n");
        if (log_in(tap, &drive) && RUN(tap, &drive, looks) && RUN(tap, &drive, reads)) {
            drive_command(&drive, "sha256sum <files/random", &sum, COMMAND);
            leave(tap, &drive, "poweroff\n", "poweroff");
            char *version;
            bool both = host(&version, "%s --version | grep -q '^engine jit  *yes'", files->oxbow) == 0;
            tap_ok(tap, !both || switches(&drive) >= 20, "the engines took turns (%d switches)",
                   switches(&drive));
            free(version);
            host_ok(tap, "the BIOS ran twice", "[ $(grep -c '^Running on QEMU' " WORK ".debugcon) = 2 ]");
        }
    }
    drive_free(&drive);
    host_ok(tap, "e2fsck finds nothing wrong", "e2fsck -n -f " PARTITION);
    check_file(tap, "numbers", NUMBERS_SHA256);
    check_file(tap, "random", sum ? sum : "(unknown)");
    free(sum);
}

int main(void)
{
    struct files files = {getenv("OXBOW"), getenv("DISK")};
    const char *path = getenv("PATH");
    char paths[4096];
    struct tap tap = {0};

    if (!files.oxbow)
        files.oxbow = "./oxbow";
    if (!files.disk)
        files.disk = "cache/debian.img";
    if (access(files.disk, R_OK))
        return tap_skip_all("no Debian disk to boot; ./setup check makes one, or says why it can't");
#ifdef __SANITIZE_THREAD__
    return tap_skip_all("with ThreadSanitizer it takes too long");
#endif
    /* Where e2fsck is, which users' PATH may lack. */
    snprintf(paths, sizeof(paths), "%s:/usr/sbin:/sbin", path ? path : "/usr/bin:/bin");
    setenv("PATH", paths, 1);
    if (host_ok(&tap, "a copy of the disk", "cp --sparse=always --reflink=auto %s " IMAGE, files.disk)) {
        snapshot_session(&tap, &files);
        long_session(&tap, &files);
    }
    unlink(IMAGE);
    if (!tap.failed) {
        unlink(WORK ".debugcon");
        unlink(WORK ".png");
    }
    return tap_done(&tap);
}
