/*
 * terminal.c - serial on stdio: keys reach the guest, Ctrl-A X leaves, and the terminal gets its modes back
 * however the run ends. Runs in the build folder: tests/system/terminal.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>

#include "tests/system/drive.h"
#include "tests/system/tap.h"

#define SOON 60

static const char *oxbow;

static bool start(struct drive *drive, const char *guest, const char *option, bool on_terminal)
{
    char path[64];
    const char *argv[] = {oxbow, "--headless", "--kernel", path, option, NULL};

    snprintf(path, sizeof(path), "tests/system/%s.elf", guest);
    return drive_start(drive, argv, on_terminal);
}

static struct termios modes_of(const struct drive *drive)
{
    struct termios modes = {0};

    tcgetattr(drive->terminal, &modes);
    return modes;
}

static bool same_modes(const struct termios *a, const struct termios *b)
{
    return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_cflag == b->c_cflag &&
           a->c_lflag == b->c_lflag && !memcmp(a->c_cc, b->c_cc, sizeof(a->c_cc));
}

/* Ends a run on a terminal by keys, by a signal, or by waiting; looks at the exit status and the modes after
 * it. */
static void leave(struct tap *tap, const char *guest, const char *keys, int number, int expected,
                  const char *name)
{
    struct drive drive;
    struct termios before, during, after;

    if (!start(&drive, guest, NULL, true)) {
        tap_ok(tap, false, "%s: no terminal", name);
        return;
    }
    before = modes_of(&drive);
    bool ready = strcmp(guest, "echo") || drive_expect(&drive, "ready", SOON);
    during = modes_of(&drive);
    if (keys)
        drive_send(&drive, keys);
    if (number)
        kill(drive.pid, number);
    int status = drive_wait(&drive, SOON);
    after = modes_of(&drive);
    if (!tap_ok(tap, ready && status == expected, "%s: exit status %d", name, expected)) {
        printf("# it was %d\n", status);
        tap_note("what was printed", drive.text);
    }
    if (!strcmp(guest, "echo"))
        tap_ok(tap, !(during.c_lflag & (ICANON | ECHO | ISIG)), "%s: the terminal was raw", name);
    tap_ok(tap, same_modes(&before, &after), "%s: the terminal has its modes back", name);
    drive_free(&drive);
}

static void keys_reach_the_guest(struct tap *tap)
{
    struct drive drive;

    if (!tap_ok(tap, start(&drive, "echo", NULL, true) && drive_expect(&drive, "ready", SOON),
                "the guest listens"))
        tap_note("what was printed", drive.text);
    drive_send(&drive, "abc");
    tap_ok(tap, drive_expect(&drive, "abc", SOON), "letters arrive");
    drive_send(&drive, "\003");
    tap_ok(tap, drive_expect(&drive, "\003", SOON), "Ctrl-C arrives");
    drive_send(&drive, "\001\001");
    tap_ok(tap, drive_expect(&drive, "\001", SOON), "Ctrl-A twice is one Ctrl-A");
    drive_send(&drive, "q");
    tap_ok(tap, drive_wait(&drive, SOON) == 0, "q powers off");
    drive_free(&drive);
}

static void the_monitor(struct tap *tap)
{
    struct drive drive;

    tap_ok(tap, start(&drive, "echo", NULL, true) && drive_expect(&drive, "ready", SOON),
           "a guest to look into");
    drive_send(&drive, "\001c");
    tap_ok(tap, drive_expect(&drive, "(oxbow) ", SOON), "Ctrl-A C opens the monitor");
    drive_send(&drive, "info sta\t\r");
    tap_ok(tap,
           drive_expect(&drive, "info status", SOON) && drive_expect(&drive, "The machine is running.", SOON),
           "Tab completes, Enter runs");
    drive_send(&drive, "frob\b\b\bx\025\033[A\r");
    tap_ok(tap, drive_expect(&drive, "The machine is running.", SOON), "the arrow brings the line back");
    drive_send(&drive, "break next\025break 0x10001f\r");
    tap_ok(tap, drive_expect(&drive, "Stopped by 1 break 10001f", SOON), "a breakpoint says that it is hit");
    drive_send(&drive, "delete\rcont\r\001c");
    drive_send(&drive, "a");
    tap_ok(tap, drive_expect(&drive, "cont", SOON) && drive_expect(&drive, "a", SOON),
           "Ctrl-A C goes back to the guest");
    drive_send(&drive, "\001c");
    drive_expect(&drive, "(oxbow) ", SOON);
    drive_send(&drive, "quit\r");
    tap_ok(tap, drive_wait(&drive, SOON) == 0, "quit ends the run");
    drive_free(&drive);
}

static void pipes(struct tap *tap)
{
    struct drive drive;

    tap_ok(tap, start(&drive, "echo", NULL, false) && drive_expect(&drive, "ready", SOON),
           "it runs on pipes");
    drive_send(&drive, "x\001y");
    tap_ok(tap, drive_expect(&drive, "x\001y", SOON), "a pipe's bytes arrive as they are");
    drive_send(&drive, "q");
    tap_ok(tap, drive_wait(&drive, SOON) == 0, "it powers off on pipes");
    drive_free(&drive);
}

static void pipe_signal(struct tap *tap, int number)
{
    struct drive drive;
    bool started = start(&drive, "echo", NULL, false) && drive_expect(&drive, "ready", SOON);

    kill(drive.pid, number);
    int status = drive_wait(&drive, SOON);
    tap_ok(tap, started && status == 128 + number, "signal %d ends it on pipes: exit status %d", number,
           128 + number);
    drive_free(&drive);
}

static void on_terminal(struct tap *tap)
{
    keys_reach_the_guest(tap);
    the_monitor(tap);
    leave(tap, "echo", "\001x", 0, 0, "Ctrl-A X");
    leave(tap, "echo", "q", 0, 0, "power-off");
    leave(tap, "echo", NULL, SIGTERM, 128 + SIGTERM, "SIGTERM");
    leave(tap, "echo", NULL, SIGINT, 128 + SIGINT, "SIGINT");
    leave(tap, "echo", NULL, SIGHUP, 128 + SIGHUP, "SIGHUP");
    leave(tap, "crash", NULL, 0, 3, "a crash");
}

int main(void)
{
    struct tap tap = {0};

    oxbow = getenv("OXBOW") ? getenv("OXBOW") : "./oxbow";
    if (drive_has_terminal())
        on_terminal(&tap);
    else
        tap_skip(&tap, "serial on a terminal", "this host has no pseudo-terminals");
    pipes(&tap);
    pipe_signal(&tap, SIGTERM);
    pipe_signal(&tap, SIGINT);
    return tap_done(&tap);
}
