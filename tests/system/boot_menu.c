/*
 * boot_menu.c - SeaBIOS's boot menu, seen on a terminal and in a picture, and worked with its keys.
 *
 * Runs in the build folder: tests/system/boot_menu. OXBOW in the environment replaces ./oxbow.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/system/screen.h"

#define SOON PATIENCE(100) /* seconds */

/* SeaBIOS's version is in the first line. */
static const struct area version[] = {{0, 0, 720, 16}};
static const struct golden menu = {"boot-menu", {0, version, 1}};

/* A floppy disk whose program ends with status 33, and a disk whose program ends with 67. */
static bool make_images(const char *floppy, const char *disk)
{
    char *command;

    if (asprintf(
            &command,
            "cp tests/system/sector.img '%s' && truncate -s 1440K '%s' && "
            "{ printf '\\260\\041\\346\\364\\364'; head -c 505 /dev/zero; printf '\\125\\252'; } >'%s' && "
            "truncate -s 1M '%s'",
            floppy, floppy, disk, disk) < 0)
        abort();
    bool made = !system(command);
    free(command);
    return made;
}

static void choose(struct tap *tap, const char *floppy, const char *disk, const char *key, int expected,
                   const char *name)
{
    const char *arguments[] = {"--display",     "text",        "--serial", "none",
                               "--exit-device", "--boot-menu", "--disk",   disk,
                               "--floppy",      floppy,        NULL};
    struct screen screen;

    /* Blanks that were blank before are not sent to a terminal, so words it is. */
    if (tap_ok(tap, screen_start(&screen, arguments, true) && drive_expect(&screen.drive, "ESC", SOON),
               "SeaBIOS offers its menu")) {
        drive_send(&screen.drive, "\033");
        drive_expect(&screen.drive, "device:", SOON);
        screen_shows(tap, &screen, &menu, SOON);
        drive_send(&screen.drive, key);
        int status = drive_wait(&screen.drive, SOON);
        if (!tap_ok(tap, status == expected, "%s: exit status %d", name, expected))
            printf("# it was %d\n", status);
    }
    screen_free(&screen);
}

int main(void)
{
    char folder[] = "/tmp/oxbow-menu-XXXXXX", *floppy, *disk;
    struct tap tap = {0};

    if (!drive_has_terminal())
        return tap_skip_all("this host has no pseudo-terminals");
    if (!mkdtemp(folder) || asprintf(&floppy, "%s/floppy.img", folder) < 0 ||
        asprintf(&disk, "%s/disk.img", folder) < 0)
        return tap_skip_all("no folder for files");
    if (tap_ok(&tap, make_images(floppy, disk), "images are made")) {
        choose(&tap, floppy, disk, "1", 67, "the disk is chosen");
        choose(&tap, floppy, disk, "3", 33, "the floppy disk is chosen");
    }
    unlink(floppy);
    unlink(disk);
    rmdir(folder);
    free(floppy);
    free(disk);
    return tap_done(&tap);
}
