/*
 * grub.c - a boot loader does its work through the BIOS: GRUB starts from a disk's master boot record, from a
 * CD and from a floppy disk, shows its menu, reads a kernel from a drive and starts it.
 *
 * Runs in the build folder: tests/system/grub. The media are those of make-media in cache/, where `./setup
 * check` puts them; OXBOW in the environment replaces ./oxbow.
 */
#include <stdlib.h>
#include <unistd.h>

#include "tests/system/screen.h"

/* Seconds. */
#define MENU    PATIENCE(120)
#define BOOT    PATIENCE(240)
#define COMMAND PATIENCE(60)

#define PROMPT "oxbow# "
#define DOWN   "\033[B"

/* The title has GRUB's version in it. */
static const struct area title[] = {{0, 16, 720, 16}};
static const struct golden menu = {"grub-menu", {0, title, 1}};

static bool start(struct tap *tap, struct screen *screen, const char *medium, const char *second)
{
    const char *arguments[] = {"--display", "none", "--serial", "stdio", medium, second ? "--disk" : NULL,
                               second,      NULL};

    return tap_ok(tap, screen_start(screen, arguments, false), "Oxbow starts with %s", medium) &&
           screen_shows(tap, screen, &menu, MENU);
}

static void starts_linux(struct tap *tap, const char *medium, const char *second)
{
    struct screen screen;
    char *output;

    if (start(tap, &screen, medium, second)) {
        drive_send(&screen.drive, "\r");
        bool there = drive_expect(&screen.drive, PROMPT, BOOT);
        if (!tap_ok(tap, there, "the kernel comes to a shell"))
            tap_note("what was printed", screen.drive.text);
        tap_ok(tap, drive_command(&screen.drive, "grep -q BOOT_IMAGE /proc/cmdline", &output, COMMAND) == 0,
               "it was GRUB that started it");
        free(output);
        drive_send(&screen.drive, "poweroff\n");
        tap_ok(tap, drive_wait(&screen.drive, COMMAND) == 0, "it powers off");
    }
    screen_free(&screen);
}

/* The only kernel that a floppy disk has room for. */
static void starts_from_floppy(struct tap *tap, const char *floppy)
{
    struct screen screen;

    if (start(tap, &screen, floppy, NULL)) {
        drive_send(&screen.drive, DOWN "\r");
        bool there = drive_expect(&screen.drive, "Memtest86+", BOOT);
        if (!tap_ok(tap, there, "a kernel is read from the floppy disk and starts"))
            tap_note("what was printed", screen.drive.text);
    }
    screen_free(&screen);
}

int main(void)
{
    struct tap tap = {0};

    if (access("cache/disk.img", R_OK))
        return tap_skip_all("no media to boot from; ./setup check makes them");
#ifdef __SANITIZE_THREAD__
    return tap_skip_all("with ThreadSanitizer it takes too long");
#endif
    starts_linux(&tap, "cache/disk.img,snapshot", NULL);
    starts_linux(&tap, "cache/boot.iso", NULL);
    starts_linux(&tap, "cache/floppy.img,snapshot", "cache/disk.img,snapshot");
    if (access("cache/memtest/boot/memtest86+x64.bin", R_OK))
        tap_skip(&tap, "a kernel from the floppy disk", "no memtest86+");
    else
        starts_from_floppy(&tap, "cache/floppy.img,snapshot");
    return tap_done(&tap);
}
