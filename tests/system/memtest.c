/*
 * memtest.c - memtest86+, started by GRUB from a CD, makes a pass over the memory and finds no errors.
 *
 * Of the pass, the bit fade test is entered and then left through memtest86+'s own menu: it waits for minutes whether
 * memory forgets. MEMTEST_FULL=1 in the environment waits with it.
 *
 * Runs in the build folder: tests/system/memtest. The CD is make-media's, in cache/; OXBOW in the environment replaces
 * ./oxbow.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/system/screen.h"

/* Seconds that bound the waits. */
#define MENU 120
#define TEST 300
#define FADE 400

#define DOWN "\033[B"

static const char *const tests[] = {
    "#0  [Address test, walking ones",  "#1  [Address test, own address",     "#2  [Address test, own address",
    "#3  [Moving inversions, 1s & 0s",  "#4  [Moving inversions, 8 bit",      "#5  [Moving inversions, random",
    "#6  [Moving inversions, 32/64 bit", "#7  [Block move",                    "#8  [Random number",
    "#9  [Modulo 20",
};
#define FADE_TEST "#10 [Bit fade test"

static const struct area grub_title[] = {{0, 16, 720, 16}};
static const struct golden grub_menu = {"grub-menu", {0, grub_title, 1}};

/* What is around the menu. */
static const struct area around[] = {{0, 0, 720, 48}, {0, 48, 189, 352}, {531, 48, 189, 352}, {189, 336, 342, 64}};
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
    bool full = getenv("MEMTEST_FULL"), good = true;

    drive_send(&screen->drive, DOWN "\r");
    for (size_t n = 0; good && n < sizeof(tests) / sizeof(*tests); n++)
        good = tap_ok(tap, drive_expect(&screen->drive, tests[n], TEST), "test %s]", tests[n]);
    good = good && tap_ok(tap, drive_expect(&screen->drive, FADE_TEST, TEST), "test " FADE_TEST "]");
    if (good && !full)
        leave_fade_test(tap, screen);
    good = good && tap_ok(tap, drive_expect(&screen->drive, "Pass:  1 ", full ? FADE : TEST), "the pass ends");
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
