/*
 * char_pty.c - a pseudo-terminal that any terminal program can open.
 *
 * We keep its slave side open ourselves: without any opener the master reports a hang-up for ever, which
 * poll(2) cannot wait out. So output waits for the first reader instead of vanishing.
 */
#include "host/char_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct char_pty {
    struct host_char host;
    struct char_input input;
    struct char_output output;
    int master, slave;
};

static void pty_write(struct chardev *chr, const uint8_t *data, size_t size)
{
    char_output_write(&((struct char_pty *)chr)->output, data, size);
}

static void pty_room_changed(struct chardev *chr)
{
    char_input_room_changed(&((struct char_pty *)chr)->input);
}

static void pty_close(struct chardev *chr)
{
    struct char_pty *pty = (struct char_pty *)chr;

    char_input_stop(&pty->input);
    char_output_stop(&pty->output);
    if (pty->slave >= 0)
        close(pty->slave);
    if (pty->master >= 0)
        close(pty->master);
    free(pty);
}

/* Opens both sides, raw. False and errno on failure. */
static bool open_sides(struct char_pty *pty, char *name, size_t name_size)
{
    struct termios settings;

    pty->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (pty->master < 0 || grantpt(pty->master) < 0 || unlockpt(pty->master) < 0)
        return false;
    int error = ptsname_r(pty->master, name, name_size);
    if (error) {
        errno = error;
        return false;
    }
    pty->slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (pty->slave < 0 || tcgetattr(pty->slave, &settings) < 0)
        return false;
    cfmakeraw(&settings);
    if (tcsetattr(pty->slave, TCSANOW, &settings) < 0)
        return false;
    return fcntl(pty->master, F_SETFL, O_RDWR | O_NONBLOCK) == 0;
}

struct chardev *char_pty_open(struct loop *loop, struct log *log, char *why, size_t why_size)
{
    struct char_pty *pty = host_char_new(sizeof(*pty), loop, log, why, why_size);
    char name[64];

    if (!pty)
        return NULL;
    pty->master = pty->slave = -1;
    pty->host.chr.write = pty_write;
    pty->host.chr.room_changed = pty_room_changed;
    pty->host.chr.close = pty_close;
    bool open = open_sides(pty, name, sizeof(name));
    pty->input.owner = pty->output.owner = &pty->host;
    pty->input.fd = pty->output.fd = pty->master;
    pty->output.name = "pty";
    if (!open || !char_input_start(&pty->input) || !char_output_start(&pty->output)) {
        host_char_refuse("pty", strerror(open ? ENOMEM : errno), why, why_size);
        pty_close(&pty->host.chr);
        return NULL;
    }
    log_at(log, LOG_INFO, "pty", "connect a terminal to %s", name);
    return &pty->host.chr;
}
