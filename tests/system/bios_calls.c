/*
 * bios_calls.c - 16-bit programs that the BIOS starts from disk, floppy disk and CD use it:
 * tests/guest/boot/NAME.S, which say what they check. The pictures they draw are compared with golden ones,
 * keys are typed on a terminal.
 *
 * Runs in the build folder: tests/system/bios_calls. OXBOW in the environment replaces ./oxbow.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/system/screen.h"

#define SOON   PATIENCE(100) /* seconds */
#define PASSED 33            /* the exit status when all passed */

#define SECTOR       512
#define DISK_SECTORS 16392
#define FIRST        64  /* disk.S: sectors from here on have their number */
#define WRITTEN_CHS  200 /* disk.S: what it inverts */
#define WRITTEN_LBA  300

static char folder[] = "/tmp/oxbow-bios-XXXXXX";

/* A path in the test's folder; the caller frees. */
static char *in_folder(const char *name)
{
    char *path;

    if (asprintf(&path, "%s/%s", folder, name) < 0)
        abort();
    return path;
}

/* Turns the report's lines into results. */
static void report(struct tap *tap, const char *name, const char *text)
{
    for (; *text; text += strcspn(text, "\n"), text += *text == '\n') {
        int length = (int)strcspn(text, "\r\n");

        if (!strncmp(text, "PASS ", 5) || !strncmp(text, "FAIL ", 5))
            tap_ok(tap, *text == 'P', "%s: %.*s", name, length - 5, text + 5);
    }
}

/* Waits for the end of a run that writes to a pipe. */
static void finish(struct tap *tap, struct drive *drive, const char *name)
{
    int status = drive_wait(drive, SOON);

    report(tap, name, drive->text);
    if (!tap_ok(tap, status == PASSED, "%s: runs to its end and passes", name)) {
        printf("# exit status %d\n", status);
        tap_note("what was printed", drive->text);
    }
}

/* Runs a program to its end; `expected` must be in what it says. */
static void run(struct tap *tap, const char *name, const char *image, const char *option,
                const char *expected)
{
    struct drive drive;
    char *path;
    const char *oxbow = getenv("OXBOW");

    if (asprintf(&path, "%s%s", image, option) < 0)
        abort();
    const char *argv[] = {oxbow ? oxbow : "./oxbow", "--display", "none", "--serial", "stdio",
                          "--exit-device",           "-m",        "64M",  path,       NULL};
    if (tap_ok(tap, drive_start(&drive, argv, false), "%s: Oxbow starts", name)) {
        finish(tap, &drive, name);
        if (expected)
            tap_ok(tap, strstr(drive.text, expected), "%s: says %s", name, expected);
    }
    drive_free(&drive);
    free(path);
}

static const struct golden pictures[] = {
    {"bios-text", {0, NULL, 0}},
    {"bios-mode13", {0, NULL, 0}},
    {"bios-vbe", {0, NULL, 0}},
    {"bios-vbe-moved", {0, NULL, 0}},
};

static void video(struct tap *tap)
{
    const char *arguments[] = {
        "--display", "none", "--serial", "stdio", "--exit-device", "tests/guest/boot/video.img", NULL};
    struct screen screen;
    bool good = tap_ok(tap, screen_start(&screen, arguments, false), "video: Oxbow starts");

    for (size_t n = 0; good && n < sizeof(pictures) / sizeof(*pictures); n++) {
        char line[40];

        snprintf(line, sizeof(line), "SHOW %s\r\n", pictures[n].name + strlen("bios-"));
        good = drive_expect(&screen.drive, line, SOON);
        tap_ok(tap, good, "video: comes to its picture %s", pictures[n].name);
        good = good && screen_shows(tap, &screen, &pictures[n], SOON) && drive_send(&screen.drive, "x");
    }
    if (screen.drive.pid > 0)
        finish(tap, &screen.drive, "video");
    screen_free(&screen);
}

/* What is typed, and the scan code and character that int 16h 10 gives for it. */
static const struct {
    const char *name, *typed, *shown;
} keys[] = {
    {"a letter", "a", "KEY=1E61"},
    {"a capital", "A", "KEY=1E41"},
    {"a digit's other sign", "%", "KEY=0625"},
    {"Enter", "\r", "KEY=1C0D"},
    {"Tab", "\t", "KEY=0F09"},
    {"backspace", "\177", "KEY=0E08"},
    {"Ctrl-C", "\003", "KEY=2E03"},
    {"Alt-X", "\033x", "KEY=2D00"},
    {"F1", "\033OP", "KEY=3B00"},
    {"F12", "\033[24~", "KEY=8600"},
    {"shift F1", "\033[1;2P", "KEY=5400"},
    {"cursor up", "\033[A", "KEY=48E0"},
    {"Ctrl-cursor left", "\033[1;5D", "KEY=73E0"},
    {"delete", "\033[3~", "KEY=53E0"},
    {"Escape", "\033", "KEY=011B"},
};

/* The screen is on a terminal, where keys are typed; the report goes to a file. */
static void keyboard(struct tap *tap)
{
    char *file = in_folder("keys"), *serial, text[8192] = "";
    const char *oxbow = getenv("OXBOW");
    struct drive drive;

    if (asprintf(&serial, "file:%s", file) < 0)
        abort();
    const char *argv[] = {
        oxbow ? oxbow : "./oxbow",   "--display", "text", "--serial", serial, "--exit-device",
        "tests/guest/boot/keys.img", NULL};
    bool good = tap_ok(tap, drive_start(&drive, argv, true) && drive_expect(&drive, "READY", SOON),
                       "keys: the program asks for keys");
    for (size_t n = 0; good && n < sizeof(keys) / sizeof(*keys); n++) {
        drive_send(&drive, keys[n].typed);
        good = tap_ok(tap, drive_expect(&drive, keys[n].shown, SOON), "keys: %s", keys[n].name);
    }
    drive_send(&drive, "q");
    int status = drive_wait(&drive, SOON);
    FILE *report_file = fopen(file, "r");
    if (report_file) {
        text[fread(text, 1, sizeof(text) - 1, report_file)] = 0;
        fclose(report_file);
    }
    report(tap, "keys", text);
    if (!tap_ok(tap, status == PASSED, "keys: runs to its end and passes"))
        tap_note("what was printed", drive.text);
    drive_free(&drive);
    free(serial);
    free(file);
}

static void put_number(uint8_t *at, uint32_t number)
{
    for (int n = 0; n < 4; n++)
        at[n] = (uint8_t)(number >> 8 * n);
}

static uint32_t get_number(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* A disk with disk.S in its first sectors and their numbers in the others. */
static bool make_disk(const char *path, uint32_t sectors)
{
    uint8_t *data = calloc(sectors, SECTOR);
    FILE *program = fopen("tests/guest/boot/disk.img", "rb"), *disk = fopen(path, "wb");

    if (!data || !program || !disk)
        abort();
    bool good = fread(data, SECTOR, FIRST, program) > 0;
    for (uint32_t n = FIRST; n < sectors; n++)
        put_number(data + (size_t)n * SECTOR, n);
    good = good && fwrite(data, SECTOR, sectors, disk) == sectors;
    fclose(program);
    free(data);
    return !fclose(disk) && good;
}

/* Whether of the numbered sectors these alone, up to the first 0, have theirs inverted. */
static bool inverted(const char *path, uint32_t sectors, const uint32_t *which)
{
    FILE *disk = fopen(path, "rb");
    uint8_t data[SECTOR];
    bool good = disk && !fseek(disk, FIRST * SECTOR, SEEK_SET);

    for (uint32_t n = FIRST; good && n < sectors; n++) {
        bool want = n == *which;

        which += want;
        good = fread(data, SECTOR, 1, disk) == 1 && get_number(data) == (want ? ~n : n) &&
               get_number(data + SECTOR - 4) == (want ? UINT32_MAX : 0);
    }
    if (disk)
        fclose(disk);
    return good;
}

static void disks(struct tap *tap)
{
    static const uint32_t none[] = {0}, floppy_writes[] = {WRITTEN_CHS, 0},
                          disk_writes[] = {WRITTEN_CHS, WRITTEN_LBA, WRITTEN_LBA + 1, 0};
    char *disk = in_folder("disk.img"), *floppy = in_folder("floppy.img");

    tap_ok(tap, make_disk(disk, DISK_SECTORS) && make_disk(floppy, 2880), "disks are made");
    run(tap, "disk, read-only", disk, ",readonly", "PROTECTED");
    run(tap, "floppy, read-only", floppy, ",readonly", "PROTECTED");
    run(tap, "disk, snapshot", disk, ",snapshot", "WRITTEN");
    tap_ok(tap, inverted(disk, DISK_SECTORS, none), "the disk is as it was");
    tap_ok(tap, inverted(floppy, 2880, none), "the floppy disk is as it was");
    run(tap, "disk", disk, "", "WRITTEN");
    run(tap, "floppy", floppy, "", "WRITTEN");
    tap_ok(tap, inverted(disk, DISK_SECTORS, disk_writes), "the disk has what was written");
    tap_ok(tap, inverted(floppy, 2880, floppy_writes), "the floppy disk has what was written");
    unlink(disk);
    unlink(floppy);
    free(disk);
    free(floppy);
}

/* A CD with disk.S as its boot image. */
static void cd(struct tap *tap)
{
    char *image = in_folder("cd.iso"), *command;

    if (asprintf(
            &command,
            "mkdir '%s/cd' && cp tests/guest/boot/disk.img '%s/cd' && xorriso -as mkisofs -quiet -b disk.img "
            "-no-emul-boot -boot-load-size $(($(wc -c <tests/guest/boot/disk.img) / 512)) -o '%s' '%s/cd' "
            ">/dev/null 2>&1",
            folder, folder, image, folder) < 0)
        abort();
    if (system("xorriso --version >/dev/null 2>&1"))
        tap_skip(tap, "cd", "no xorriso");
    else if (tap_ok(tap, !system(command), "a CD is made"))
        run(tap, "cd", image, "", NULL);
    free(command);
    free(image);
}

int main(void)
{
    struct tap tap = {0};
    char *command;

    if (!mkdtemp(folder))
        return tap_skip_all("no folder for files");
    run(&tap, "services", "tests/guest/boot/services.img", "", NULL);
    video(&tap);
    disks(&tap);
    cd(&tap);
    if (drive_has_terminal())
        keyboard(&tap);
    else
        tap_skip(&tap, "keys", "this host has no pseudo-terminals");
    if (asprintf(&command, "rm -rf '%s'", folder) > 0 && system(command))
        tap_note("left behind", folder);
    free(command);
    return tap_done(&tap);
}
