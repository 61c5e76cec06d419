/*
 * installer.c - Debian's installer comes to its first question, in a text mode of the VGA and in a window of
 * its own on the frame buffer.
 *
 * Runs in the build folder: tests/system/installer. The CD is make-media's, in cache/; OXBOW in the
 * environment replaces
 * ./oxbow.
 */
#include <unistd.h>

#include "tests/system/screen.h"

/* Seconds. */
#define MENU     PATIENCE(120)
#define QUESTION PATIENCE(400)

#define DOWN "\033[B"

/* The text is smoothed in a way that may change, so a golden picture of half the size must do. */
static const struct golden text = {"installer-text", {0, NULL, 0}};
static const struct golden graphical = {"installer-graphical", {40, NULL, 0}};

static void come_to_question(struct tap *tap, const char *keys, const struct golden *question)
{
    const char *arguments[] = {"--display",           "none", "--serial", "stdio", "-m", "1G",
                               "cache/installer.iso", NULL};
    struct screen screen;

    if (tap_ok(tap, screen_start(&screen, arguments, false), "Oxbow starts") &&
        tap_ok(tap, drive_expect(&screen.drive, "command-line", MENU), "GRUB has a menu")) {
        drive_send(&screen.drive, keys);
        screen_shows(tap, &screen, question, QUESTION);
    }
    screen_free(&screen);
}

int main(void)
{
    struct tap tap = {0};

    if (access("cache/installer.iso", R_OK))
        return tap_skip_all("no CD with Debian's installer; ./setup check makes it");
#ifdef __SANITIZE_THREAD__
    return tap_skip_all("with ThreadSanitizer it takes too long");
#endif
    come_to_question(&tap, "\r", &text);
    come_to_question(&tap, DOWN "\r", &graphical);
    return tap_done(&tap);
}
