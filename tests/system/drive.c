/* drive.c - see drive.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <utmp.h>

#include "tests/system/drive.h"

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* A shell that starts the tests in the background has them ignore what Ctrl-C and Ctrl-\ send. */
static void execute(const char *const argv[])
{
    signal(SIGINT, SIG_DFL);
    signal(SIGQUIT, SIG_DFL);
    execv(argv[0], (char *const *)argv);
    _exit(127);
}

static void child(int in, int out, const char *const argv[])
{
    dup2(in, 0);
    dup2(out, 1);
    dup2(out, 2);
    execute(argv);
}

bool drive_has_terminal(void)
{
    int master, slave;

    if (openpty(&master, &slave, NULL, NULL, NULL))
        return false;
    close(master);
    close(slave);
    return true;
}

static bool start_on_terminal(struct drive *drive, const char *const argv[])
{
    int slave;

    if (openpty(&drive->in, &slave, NULL, NULL, NULL))
        return false;
    drive->out = drive->in;
    drive->terminal = slave;
    drive->pid = fork();
    if (!drive->pid) {
        close(drive->in);
        login_tty(slave);
        execute(argv);
    }
    return drive->pid > 0;
}

static bool start_on_pipes(struct drive *drive, const char *const argv[])
{
    int in[2], out[2];

    if (pipe(in) || pipe(out))
        return false;
    drive->pid = fork();
    if (!drive->pid) {
        close(in[1]);
        close(out[0]);
        child(in[0], out[1], argv);
    }
    close(in[0]);
    close(out[1]);
    drive->in = in[1];
    drive->out = out[0];
    return drive->pid > 0;
}

bool drive_start(struct drive *drive, const char *const argv[], bool on_terminal)
{
    *drive = (struct drive){.in = -1, .out = -1, .terminal = -1, .status = -1};
    signal(SIGPIPE, SIG_IGN);
    drive->text = calloc(1, 1);
    return drive->text && (on_terminal ? start_on_terminal(drive, argv) : start_on_pipes(drive, argv));
}

void drive_free(struct drive *drive)
{
    if (drive->status < 0 && drive->pid > 0) {
        kill(drive->pid, SIGKILL);
        waitpid(drive->pid, NULL, 0);
    }
    if (drive->in >= 0)
        close(drive->in);
    if (drive->out >= 0 && drive->out != drive->in)
        close(drive->out);
    if (drive->terminal >= 0)
        close(drive->terminal);
    free(drive->text);
}

static void append(struct drive *drive, const char *data, size_t size)
{
    if (drive->size + size + 1 > drive->capacity) {
        drive->capacity = 2 * (drive->size + size + 1);
        drive->text = realloc(drive->text, drive->capacity);
        if (!drive->text)
            abort();
    }
    memcpy(drive->text + drive->size, data, size);
    drive->size += size;
    drive->text[drive->size] = 0;
}

/* Reads what the program printed, waiting for it until `end`. False when the time is up or nothing more will
 * come. */
static bool take(struct drive *drive, double end)
{
    struct pollfd fd = {.fd = drive->out, .events = POLLIN};
    double left = end - now();
    char data[4096];

    if (drive->ended || left <= 0)
        return false;
    /* On a terminal, our own copy of its other side keeps it open: look now and then whether the program
     * lives. */
    int ready = poll(&fd, 1, drive->terminal >= 0 && left > 0.1 ? 100 : (int)(left * 1000) + 1);
    if (ready < 0)
        return errno == EINTR;
    if (!ready) {
        siginfo_t info = {0};
        if (drive->terminal >= 0 && !waitid(P_PID, (id_t)drive->pid, &info, WEXITED | WNOHANG | WNOWAIT))
            drive->ended = info.si_pid == drive->pid;
        return !drive->ended;
    }
    ssize_t size = read(drive->out, data, sizeof(data));
    if (size > 0)
        append(drive, data, (size_t)size);
    else
        drive->ended = true;
    return true;
}

bool drive_send(struct drive *drive, const char *text)
{
    size_t left = strlen(text);
    double end = now() + 30;

    while (left) {
        /* A terminal takes what the reader leaves room for; read meanwhile, or both sides wait for each
         * other. */
        struct pollfd fds[2] = {{.fd = drive->in, .events = POLLOUT}, {.fd = drive->out, .events = POLLIN}};
        if (now() > end || poll(fds, 2, 100) < 0)
            return false;
        if (fds[1].revents & POLLIN)
            take(drive, end);
        if (!(fds[0].revents & POLLOUT)) {
            if (fds[0].revents)
                return false;
            continue;
        }
        ssize_t size = write(drive->in, text, left < 256 ? left : 256);
        if (size < 0 && errno != EAGAIN)
            return false;
        if (size > 0) {
            text += size;
            left -= (size_t)size;
        }
    }
    return true;
}

bool drive_expect(struct drive *drive, const char *text, double seconds)
{
    double end = now() + seconds;

    for (;;) {
        const char *found = strstr(drive->text + drive->mark, text);
        if (found) {
            drive->mark = (size_t)(found - drive->text) + strlen(text);
            return true;
        }
        if (!take(drive, end))
            return false;
    }
}

void drive_listen(struct drive *drive, double seconds)
{
    double end = now() + seconds;

    while (take(drive, end))
        ;
}

int drive_wait(struct drive *drive, double seconds)
{
    double end = now() + seconds;
    struct timespec pause = {.tv_nsec = 2000000};

    while (take(drive, end))
        ;
    /* Its outputs are closed, so this takes a moment at most. */
    while (drive->status < 0) {
        int status;
        pid_t pid = waitpid(drive->pid, &status, WNOHANG);
        if (pid == drive->pid)
            drive->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        else if (now() > end)
            break;
        else
            nanosleep(&pause, NULL);
    }
    return drive->status;
}

/* A copy of text[0..size) without carriage returns. */
static char *plain(const char *text, size_t size)
{
    char *copy = malloc(size + 1), *to = copy;

    if (!copy)
        abort();
    for (size_t i = 0; i < size; i++)
        if (text[i] != '\r')
            *to++ = text[i];
    *to = 0;
    return copy;
}

int drive_command(struct drive *drive, const char *command, char **output, double seconds)
{
    size_t start;
    char line[1024];
    int status;

    *output = NULL;
    /* The shell joins the quoted pieces, so the marks are in what it prints and not in the echo of what was
     * typed. */
    snprintf(line, sizeof(line), "echo '<''<'; %s; echo '>''>'$?'<'\n", command);
    if (!drive_send(drive, line) || !drive_expect(drive, "<<\r", seconds))
        return -1;
    drive_expect(drive, "\n", seconds);
    start = drive->mark;
    if (!drive_expect(drive, ">>", seconds))
        return -1;
    *output = plain(drive->text + start, drive->mark - 2 - start);
    start = drive->mark;
    if (!drive_expect(drive, "<", seconds) || sscanf(drive->text + start, "%d<", &status) != 1)
        return -1;
    return status;
}
