/*
 * memtest.c - memtest86+, started by GRUB from a CD, makes a pass over the memory and finds no errors.
 *
 * Of its eleven tests the last one waits for minutes whether memory forgets; it is left through memtest86+'s
 * own menu. MEMTEST_FULL=1 in the environment waits with it.
 *
 * Runs in the build folder: tests/system/memtest. The CD is make-media's, in cache/; OXBOW in the environment
 * replaces
 * ./oxbow.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/system/screen.h"

/* Seconds. */
#define MENU PATIENCE(120)
#define TEST PATIENCE(400)
#define FADE 400

#define DOWN "\033[B"

/* The last of the tests. The serial console is told of some only, for it is brought up to date every other
 * second. */
#define FADE_TEST "#10 [Bit fade test"

static const struct area grub_title[] = {{0, 16, 720, 16}};
static const struct golden grub_menu = {"grub-menu", {0, grub_title, 1}};

/* What is around the menu. */
static const struct area around[] = {
    {0, 0, 720, 48}, {0, 48, 189, 352}, {531, 48, 189, 352}, {189, 336, 342, 64}};
static const struct golden settings = {"memtest-settings", {0, around, 4}};

/* Whether "Errors:" is never followed by anything but 0. */
static bool no_errors(const char *text)
{
    size_t count = 0;

    while ((text = strstr(text, "Errors:"))) {
        char *end;
        text += strlen("Errors:");
        if (!strchr(text, '\033') && strlen(text) < 20)
            break;
        if (strtoul(text, &end, 10) || end == text)
            return false;
        count++;
    }
    return count;
}

static void leave_fade_test(struct tap *tap, struct screen *screen)
{
    drive_send(&screen->drive, "1");
    if (screen_shows(tap, screen, &settings, MENU))
        drive_send(&screen->drive, "5");
}

static void make_pass(struct tap *tap, struct screen *screen)
{
    bool full = getenv("MEMTEST_FULL");

    drive_send(&screen->drive, DOWN "\r");
    bool good = tap_ok(tap, drive_expect(&screen->drive, FADE_TEST, TEST), "the pass comes to its last test");
    if (good && !full)
        leave_fade_test(tap, screen);
    good =
        good && tap_ok(tap, drive_expect(&screen->drive, "Pass:  1 ", full ? FADE : MENU), "the pass ends");
    drive_expect(&screen->drive, "Errors: ", MENU);
    drive_listen(&screen->drive, 1);
    if (!tap_ok(tap, good && no_errors(screen->drive.text), "there are no errors"))
        tap_note("what was printed", screen->drive.text);
}

int main(void)
{
    const char *arguments[] = {"--display", "none", "--serial", "stdio", "-m", "16M", "cache/boot.iso", NULL};
    struct tap tap = {0};
    struct screen screen;

    if (access("cache/boot.iso", R_OK) || access("cache/memtest/boot/memtest86+x64.bin", R_OK))
        return tap_skip_all("no CD with memtest86+; ./setup check makes it");
#ifdef __SANITIZE_THREAD__
    return tap_skip_all("with ThreadSanitizer it takes too long");
#endif
    if (tap_ok(&tap, screen_start(&screen, arguments, false), "Oxbow starts") &&
        screen_shows(&tap, &screen, &grub_menu, MENU))
        make_pass(&tap, &screen);
    screen_free(&screen);
    return tap_done(&tap);
}
