/*
 * char_terminal.c - the terminal this process runs in: raw mode, and the promise that it always comes back.
 *
 * The file-static state here is deliberate: a process has one controlling terminal and one set of signal
 * handlers, and a handler finds its data nowhere else.
 */
#include "host/char_parts.h"
#include "host/terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The machine dies of these, so the terminal comes first. */
static const int fatal_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGSEGV,
                                    SIGBUS, SIGFPE,  SIGILL, SIGABRT};

#define FATAL_COUNT (sizeof(fatal_signals) / sizeof(fatal_signals[0]))

static struct {
    bool claimed;
    bool exit_hooked;
    volatile sig_atomic_t raw; /* we changed the terminal and owe it back */
    int fd;
    struct termios saved, settings;
    const char *enter, *leave;     /* a full screen's sequences, or NULL */
    volatile sig_atomic_t resumed; /* times we got the terminal back */
    struct sigaction old_fatal[FATAL_COUNT], old_stop, old_continue;
} terminal;

bool terminal_claim(void)
{
    return !__atomic_exchange_n(&terminal.claimed, true, __ATOMIC_SEQ_CST);
}

void terminal_release(void)
{
    __atomic_store_n(&terminal.claimed, false, __ATOMIC_SEQ_CST);
}

void terminal_raw_settings(struct termios *settings)
{
    settings->c_iflag &= (tcflag_t) ~(BRKINT | ICRNL | IGNCR | INLCR | INPCK | ISTRIP | IXON | PARMRK);
    settings->c_lflag &= (tcflag_t) ~(ECHO | ECHONL | ICANON | IEXTEN | ISIG);
    settings->c_cflag = (settings->c_cflag & (tcflag_t) ~(CSIZE | PARENB)) | CS8;
    settings->c_cc[VMIN] = 1;
    settings->c_cc[VTIME] = 0;
}

static void install(int signal_number, void (*fn)(int), struct sigaction *old)
{
    struct sigaction action = {.sa_handler = fn, .sa_flags = SA_RESTART | SA_ONSTACK};

    sigemptyset(&action.sa_mask);
    sigaction(signal_number, &action, old);
}

/*
 * Settings and a sequence for the screen, if there is one. Async-signal-safe. A process in the background
 * would be stopped for touching the terminal, so that is blocked.
 */
static void set_terminal(const struct termios *settings, const char *sequence)
{
    sigset_t block, saved;

    sigemptyset(&block);
    sigaddset(&block, SIGTTOU);
    pthread_sigmask(SIG_BLOCK, &block, &saved);
    if (sequence && write(STDOUT_FILENO, sequence, strlen(sequence)) < 0) {
        /* there is nobody to tell */
    }
    tcsetattr(terminal.fd, TCSANOW, settings);
    pthread_sigmask(SIG_SETMASK, &saved, NULL);
}

/* After this the signal's next delivery, which raise() makes, is what it would have been without us. */
static void on_fatal(int signal_number)
{
    int saved = errno;

    if (terminal.raw)
        set_terminal(&terminal.saved, terminal.leave);
    terminal.raw = 0;
    for (size_t i = 0; i < FATAL_COUNT; i++) {
        if (fatal_signals[i] == signal_number)
            sigaction(signal_number, &terminal.old_fatal[i], NULL);
    }
    raise(signal_number);
    errno = saved;
}

static void on_stop(int signal_number)
{
    int saved = errno;
    sigset_t stop, before;

    if (terminal.raw)
        set_terminal(&terminal.saved, terminal.leave);
    install(SIGTSTP, SIG_DFL, NULL);
    sigemptyset(&stop);
    sigaddset(&stop, SIGTSTP);
    raise(signal_number);
    /* Here the process stops, and goes on once it is continued. */
    pthread_sigmask(SIG_UNBLOCK, &stop, &before);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    install(SIGTSTP, on_stop, NULL);
    errno = saved;
}

/* Continued in the background (bg) the terminal is somebody else's; the fg that follows continues us again.
 */
static void on_continue(int signal_number)
{
    int saved = errno;

    (void)signal_number;
    if (terminal.raw && tcgetpgrp(terminal.fd) == getpgrp()) {
        set_terminal(&terminal.settings, terminal.enter);
        terminal.resumed = (sig_atomic_t)((unsigned)terminal.resumed + 1);
    }
    errno = saved;
}

static void give_back(int signal_number, void (*ours)(int), const struct sigaction *old)
{
    struct sigaction now;

    /* Whoever installed a handler after us keeps it. */
    if (sigaction(signal_number, NULL, &now) == 0 && now.sa_handler == ours)
        sigaction(signal_number, old, NULL);
}

void terminal_restore(void)
{
    if (!terminal.raw)
        return;
    set_terminal(&terminal.saved, terminal.leave);
    terminal.raw = 0;
    for (size_t i = 0; i < FATAL_COUNT; i++)
        give_back(fatal_signals[i], on_fatal, &terminal.old_fatal[i]);
    give_back(SIGTSTP, on_stop, &terminal.old_stop);
    give_back(SIGCONT, on_continue, &terminal.old_continue);
}

bool terminal_make_raw(int fd)
{
    if (tcgetattr(fd, &terminal.saved) < 0)
        return false;
    terminal.fd = fd;
    terminal.settings = terminal.saved;
    terminal_raw_settings(&terminal.settings);
    if (!terminal.exit_hooked && atexit(terminal_restore) != 0)
        return false;
    terminal.exit_hooked = true;

    /* The handlers before the change: there is no moment at which a signal leaves the terminal raw. */
    terminal.raw = 1;
    for (size_t i = 0; i < FATAL_COUNT; i++) {
        install(fatal_signals[i], on_fatal, &terminal.old_fatal[i]);
        /* Ignored by whoever started us (nohup): still ignored. */
        if (terminal.old_fatal[i].sa_handler == SIG_IGN)
            sigaction(fatal_signals[i], &terminal.old_fatal[i], NULL);
    }
    install(SIGTSTP, on_stop, &terminal.old_stop);
    install(SIGCONT, on_continue, &terminal.old_continue);
    if (tcsetattr(fd, TCSANOW, &terminal.settings) < 0) {
        int error = errno;
        terminal_restore();
        errno = error;
        return false;
    }
    return true;
}

bool host_screen_open(const char *enter, const char *leave, char *why, size_t why_size)
{
    if (!terminal_claim()) {
        snprintf(why, why_size, "the terminal is already used by another device of this process");
        return false;
    }
    terminal.enter = enter;
    terminal.leave = leave;
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        snprintf(why, why_size, "standard input and output are not a terminal");
    } else if (!terminal_make_raw(STDIN_FILENO)) {
        snprintf(why, why_size, "%s", strerror(errno));
    } else {
        set_terminal(&terminal.settings, enter);
        return true;
    }
    terminal.enter = terminal.leave = NULL;
    terminal_release();
    return false;
}

void host_screen_close(void)
{
    terminal_restore();
    terminal.enter = terminal.leave = NULL;
    terminal_release();
}

unsigned host_screen_resumed(void)
{
    return (unsigned)terminal.resumed;
}
