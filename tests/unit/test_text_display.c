/*
 * test_text_display.c - the guest's text screen in a terminal, and a terminal's keys. Alone: tests/unit/unit
 * text_display
 */
#include <check.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "gui/cp437.h"
#include "gui/text_display.h"
#include "host/terminal.h"

static int master, terminal; /* a pseudo-terminal's two ends */
static struct text_display *display;
static uint16_t cells[25 * 80];
static struct text_screen screen;
static bool graphics, ended;
static unsigned refreshes;
static char typed[2000];
static char written[100000];

static const struct surface *refresh(void *opaque, bool all, struct rect *damage)
{
    static uint32_t pixel;
    static const struct surface surface = {640, 480, &pixel};

    (void)opaque;
    (void)all;
    (void)damage;
    refreshes++;
    return &surface;
}

static bool text(void *opaque, struct text_screen *to)
{
    (void)opaque;
    *to = screen;
    return !graphics;
}

/* "+4 -4 " for the key A pressed and released. */
static void key(void *opaque, unsigned usage, bool down)
{
    (void)opaque;
    snprintf(typed + strlen(typed), sizeof(typed) - strlen(typed), "%c%u ", down ? '+' : '-', usage);
}

static void quit(void *opaque)
{
    (void)opaque;
    ended = true;
}

static void resize(unsigned short columns, unsigned short rows)
{
    ioctl(master, TIOCSWINSZ, &(struct winsize){.ws_col = columns, .ws_row = rows});
}

static void setup(void)
{
    struct termios raw;

    master = posix_openpt(O_RDWR | O_NOCTTY);
    ck_assert_int_ge(master, 0);
    ck_assert(!grantpt(master) && !unlockpt(master));
    terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
    ck_assert_int_ge(terminal, 0);
    tcgetattr(terminal, &raw);
    cfmakeraw(&raw);
    tcsetattr(terminal, TCSANOW, &raw);
    fcntl(master, F_SETFL, O_NONBLOCK);
    resize(80, 25);
    for (unsigned i = 0; i < 25 * 80; i++)
        cells[i] = 0x0720;
    screen = (struct text_screen){.columns = 80, .rows = 25, .cells = cells};
    graphics = ended = false;
    refreshes = 0;
    struct text_display_config config = {
        .source = {refresh, text, NULL},
        .keys = {.key = key},
        .in = terminal,
        .out = terminal,
        .quit = quit,
    };
    display = text_display_new(&config);
    ck_assert(display);
}

static void teardown(void)
{
    text_display_free(display);
    close(master);
    close(terminal);
}

/* What a tick writes. */
static const char *tick(void)
{
    size_t size = 0;
    ssize_t part;

    text_display_tick(display);
    while ((part = read(master, written + size, sizeof(written) - 1 - size)) > 0)
        size += (size_t)part;
    written[size] = 0;
    return written;
}

START_TEST(only_changes_are_written)
{
    ck_assert(strlen(tick()) >= 80 * 25);
    ck_assert_str_eq(tick(), "");
    cells[80 * 3 + 5] = 0x1E41;
    cells[80 * 3 + 6] = 0x1E42;
    ck_assert_str_eq(tick(), "\033[4;6H\033[0;93;44mAB");
    ck_assert_str_eq(tick(), "");
    screen.cursor_visible = true;
    screen.cursor_x = 7;
    ck_assert_str_eq(tick(), "\033[1;8H\033[?25h");
    ck_assert_str_eq(tick(), "");
    cells[80 * 3 + 6] = 0x1E43;
    ck_assert_str_eq(tick(), "\033[4;7H\033[0;93;44mC\033[1;8H");
    screen.cursor_visible = false;
    ck_assert_str_eq(tick(), "\033[?25l");
}
END_TEST

START_TEST(colours_and_characters)
{
    tick();
    cells[0] = 0x4CB0; /* light red on red, a shade */
    ck_assert_str_eq(tick(), "\033[1;1H\033[0;91;41m\xE2\x96\x91");
    cells[0] = 0xB981; /* light blue on bright cyan, u umlaut */
    ck_assert_str_eq(tick(), "\033[1;1H\033[0;94;106m\xC3\xBC");
    screen.blink = true;
    ck_assert_str_eq(tick(), "\033[1;1H\033[0;5;94;46m\xC3\xBC");
    for (int byte = 0; byte < 256; byte++) {
        int back = cp437_from_unicode(cp437_to_unicode((uint8_t)byte));
        ck_assert(back == byte || cp437_to_unicode((uint8_t)byte) == ' ');
    }
}
END_TEST

/* A small terminal shows the part around the cursor. */
START_TEST(small_terminals)
{
    resize(40, 10);
    cells[0] = 0x0741;
    cells[80 * 24 + 79] = 0x075A;
    screen.cursor_visible = true;
    ck_assert(strstr(tick(), "A"));
    ck_assert(!strstr(written, "Z"));
    screen.cursor_x = 79;
    screen.cursor_y = 24;
    ck_assert(strstr(tick(), "\033[10;40HZ"));
    resize(80, 25);
    ck_assert(strstr(tick(), "A"));
}
END_TEST

START_TEST(graphics_modes_are_named)
{
    tick();
    graphics = true;
    ck_assert(strstr(tick(), "640x480"));
    for (unsigned i = 0; i < 60; i++)
        tick();
    ck_assert_uint_le(refreshes, 4);
}
END_TEST

START_TEST(notes_pass)
{
    tick();
    text_display_note(display, "disk: full");
    ck_assert(strstr(tick(), "\033[25;1H\033[0;30;47m disk: full "));
    for (unsigned i = 0; i < 5 * TEXT_DISPLAY_HZ - 1; i++)
        ck_assert_str_eq(tick(), "");
    ck_assert(strlen(tick()));
}
END_TEST

/* What the keys make of these bytes. */
static void expect_keys(const char *bytes, size_t size, const char *keys)
{
    typed[0] = 0;
    ck_assert_int_eq(write(master, bytes, size), (ssize_t)size);
    ck_assert(text_display_readable(display));
    for (unsigned i = 0; i < 10; i++)
        tick();
    ck_assert_str_eq(typed, keys);
}

#define KEYS(bytes, keys) expect_keys(bytes, sizeof(bytes) - 1, keys)

START_TEST(characters_are_typed)
{
    KEYS("a", "+4 -4 ");
    KEYS("Z1", "+225 +29 -29 -225 +30 -30 ");
    KEYS("0!|", "+39 -39 +225 +30 -30 -225 +225 +49 -49 -225 ");
    KEYS("\r\t\x7F ", "+40 -40 +43 -43 +42 -42 +44 -44 ");
    KEYS("\x03", "+224 +6 -6 -224 ");
    KEYS("\x1C", "+224 +49 -49 -224 ");
    KEYS("\xC3\xA4", "+226 +89 -89 +91 -91 +90 -90 -226 "); /* 132 */
}
END_TEST

START_TEST(sequences_are_keys)
{
    KEYS("\033[A\033OB", "+82 -82 +81 -81 ");
    KEYS("\033[1;5C", "+224 +79 -79 -224 ");
    KEYS("\033[3;3~", "+226 +76 -76 -226 ");
    KEYS("\033OP\033[15~\033[24~\033[[A", "+58 -58 +62 -62 +69 -69 +58 -58 ");
    KEYS("\033[1;4P", "+225 +226 +58 -58 -225 -226 ");
    KEYS("\033[Z", "+225 +43 -43 -225 ");
    KEYS("\033x", "+226 +27 -27 -226 ");
    KEYS("\033", "+41 -41 ");
    KEYS("\033\033[A", "+226 +82 -82 -226 ");
    KEYS("\033[", "+226 +47 -47 -226 ");
    KEYS("\033[?99h", "");
    KEYS("\xE2\x98", "");
    KEYS("b", "+5 -5 ");
}
END_TEST

START_TEST(ctrl_a_is_for_the_viewer)
{
    tick();
    KEYS("\x01\x01", "+224 +4 -4 -224 ");
    KEYS("\x01"
         "d",
         "+224 +226 +76 -76 -224 -226 ");
    ck_assert(!ended);
    KEYS("\x01x", "");
    ck_assert(ended);
    ck_assert_int_eq(write(master, "\x01h", 2), 2);
    text_display_readable(display);
    ck_assert(strstr(tick(), "Ctrl-Alt-Delete"));
    ck_assert_int_eq(write(master, "\x01l", 2), 2);
    text_display_readable(display);
    ck_assert(strlen(tick()) >= 80 * 25);
    ck_assert(!strstr(written, "Ctrl-Alt-Delete"));
}
END_TEST

START_TEST(pastes_are_typed_slowly)
{
    char paste[100];

    memset(paste, 'a', sizeof(paste));
    typed[0] = 0;
    ck_assert_int_eq(write(master, paste, sizeof(paste)), sizeof(paste));
    text_display_readable(display);
    ck_assert_uint_lt(strlen(typed), 10 * strlen("+4 -4 "));
    for (unsigned i = 0; i < 100; i++)
        tick();
    ck_assert_uint_eq(strlen(typed), 100 * strlen("+4 -4 "));
}
END_TEST

START_TEST(the_end_of_the_terminal)
{
    close(master);
    master = -1;
    ck_assert(!text_display_readable(display));
    text_display_tick(display);
    text_display_tick(display);
}
END_TEST

/* Whatever ends the process, the terminal is given back. _i: a signal, or 0 for exit(). */
START_TEST(the_terminal_comes_back)
{
    static const int ways[] = {SIGTERM, SIGSEGV, 0};
    struct termios after;
    char why[100], seen[100] = "";
    int fd, status;

    pid_t child = forkpty(&fd, NULL, NULL, NULL);
    ck_assert_int_ge(child, 0);
    if (!child) {
        signal(ways[_i] ? ways[_i] : SIGINT, SIG_DFL);
        if (!host_screen_open("<enter>", "<leave>", why, sizeof(why)) ||
            host_screen_open("", "", why, sizeof(why)))
            _exit(9);
        if (ways[_i])
            raise(ways[_i]);
        exit(3);
    }
    for (size_t n = 0; !strstr(seen, "<leave>") && n < sizeof(seen) - 1;) {
        ssize_t part = read(fd, seen + n, sizeof(seen) - 1 - n);
        if (part <= 0)
            break;
        n += (size_t)part;
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_str_eq(seen, "<enter><leave>");
    ck_assert(ways[_i] ? WIFSIGNALED(status) && WTERMSIG(status) == ways[_i] : WEXITSTATUS(status) == 3);
    tcgetattr(fd, &after);
    ck_assert(after.c_lflag & ICANON);
    close(fd);
}
END_TEST

Suite *text_display_suite(void)
{
    Suite *suite = suite_create("text_display");
    TCase *tcase = tcase_create("terminal");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, only_changes_are_written);
    tcase_add_test(tcase, colours_and_characters);
    tcase_add_test(tcase, small_terminals);
    tcase_add_test(tcase, graphics_modes_are_named);
    tcase_add_test(tcase, notes_pass);
    tcase_add_test(tcase, characters_are_typed);
    tcase_add_test(tcase, sequences_are_keys);
    tcase_add_test(tcase, ctrl_a_is_for_the_viewer);
    tcase_add_test(tcase, pastes_are_typed_slowly);
    tcase_add_test(tcase, the_end_of_the_terminal);
    tcase_add_loop_test(tcase, the_terminal_comes_back, 0, 3);
    suite_add_tcase(suite, tcase);
    return suite;
}
