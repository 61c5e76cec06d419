/*
 * control.c - the control socket's clients; see control.h.
 *
 * What the event loop reports of a client is only noted; control_poll(), outside the machine lock, reads,
 * does what is asked and writes. A client whose answers wait is not read from, so that a flood of requests
 * fills nothing.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "debug/control.h"
#include "debug/qmp.h"
#include "machine/machine.h"

#define CLIENTS        16u
#define READ_SIZE      4096u
#define MESSAGES       8u                 /* of a client, before timers and others have their turn */
#define WAITING        ((size_t)64 << 10) /* bytes not read by a client that isn't listened to any more, */
#define WAITING_MAX    ((size_t)1 << 20)  /* and of one that is disconnected */
#define LAST_CHANCE_MS 100

struct client {
    struct control *control;
    int fd;
    struct loop_watch *watch;
    bool ready; /* the loop has something to report */
    bool hung;  /* the other end is closed */
    bool ended; /* nothing more comes */
    bool gone;  /* to be freed */
    struct qmp_session session;
    struct qmp_reader reader;
    char in[READ_SIZE];
    size_t in_start, in_count;
    char *out;
    size_t out_start, out_count, out_room;
    struct client *next;
};

struct control {
    struct machine *machine;
    struct unix_listener listener;
    struct loop_watch *watch;
    struct client *clients;
    unsigned count;
    bool due;   /* somebody is ready */
    bool quits; /* a client ended the run */
};

/* --- Output -------------------------------------------------------------------------------------- */

static void flush(struct client *client)
{
    while (client->out_count && !client->gone) {
        ssize_t done = send(client->fd, client->out + client->out_start, client->out_count, MSG_NOSIGNAL);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0) {
            client->gone = errno != EAGAIN;
            return;
        }
        client->out_start += (size_t)done;
        client->out_count -= (size_t)done;
    }
    client->out_start = 0;
}

static bool make_room(struct client *client, size_t size)
{
    size_t room = client->out_room ? client->out_room : 1024;

    if (client->out_start) {
        memmove(client->out, client->out + client->out_start, client->out_count);
        client->out_start = 0;
    }
    while (room < client->out_count + size)
        room *= 2;
    if (room == client->out_room)
        return true;
    char *out = realloc(client->out, room);
    if (!out)
        return false;
    client->out = out;
    client->out_room = room;
    return true;
}

/* One message and the end of its line. An answer may be large; events for a deaf client pile up to a limit.
 */
static void put(struct client *client, struct json_object *message)
{
    size_t size;
    const char *text = json_object_to_json_string_length(
        message, JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE, &size);

    if (client->gone)
        return;
    if (client->out_count > WAITING_MAX || !text || !make_room(client, size + 2)) {
        log_at(client->control->machine->log, LOG_WARN, "control",
               "a client that doesn't read is disconnected");
        client->gone = true;
        return;
    }
    memcpy(client->out + client->out_start + client->out_count, text, size);
    memcpy(client->out + client->out_start + client->out_count + size, "\r\n", 2);
    client->out_count += size + 2;
    flush(client);
}

/* --- Clients ------------------------------------------------------------------------------------- */

/* Machine lock held: as the loop calls it. */
static void client_ready(void *opaque, short revents)
{
    struct client *client = opaque;

    client->ready = client->control->due = true;
    client->hung |= (revents & (POLLHUP | POLLERR)) != 0;
    loop_modify(client->watch, 0);
}

static void free_client(struct client *client)
{
    struct machine *m = client->control->machine;

    pthread_mutex_lock(&m->lock);
    loop_unwatch(client->watch);
    pthread_mutex_unlock(&m->lock);
    close(client->fd);
    qmp_reader_free(&client->reader);
    free(client->out);
    free(client);
}

static void say(struct client *client, struct json_object *message)
{
    put(client, message);
    json_object_put(message);
}

static void add_client(struct control *control, int fd)
{
    struct machine *m = control->machine;
    struct client *client = calloc(1, sizeof(*client));

    if (client) {
        *client = (struct client){.control = control, .fd = fd, .session.machine = m};
        client->watch = loop_watch_fd(m->loop, fd, POLLIN, client_ready, client);
    }
    if (!client || !client->watch) {
        free(client);
        close(fd);
        return;
    }
    client->next = control->clients;
    control->clients = client;
    control->count++;
    say(client, qmp_greeting());
}

/* Machine lock held. */
static void listener_ready(void *opaque, short revents)
{
    struct control *control = opaque;
    int fd = unix_accept(&control->listener);

    (void)revents;
    if (fd < 0)
        return;
    if (control->count < CLIENTS) {
        add_client(control, fd);
        return;
    }
    log_at(control->machine->log, LOG_WARN, "control", "refused a client; there are %u", CLIENTS);
    close(fd);
}

static void read_more(struct client *client)
{
    ssize_t got = recv(client->fd, client->in, sizeof(client->in), 0);

    client->in_start = 0;
    client->in_count = got > 0 ? (size_t)got : 0;
    client->ended = !got || (got < 0 && errno != EAGAIN && errno != EINTR);
}

static bool may_read(const struct client *client)
{
    return client->out_count < WAITING && !client->gone;
}

static void do_messages(struct client *client)
{
    for (unsigned n = 0; n < MESSAGES && client->in_count && may_read(client);) {
        struct json_object *message;
        const char *error;
        size_t used =
            qmp_read(&client->reader, client->in + client->in_start, client->in_count, &message, &error);

        client->in_start += used;
        client->in_count -= used;
        if (message || error)
            n++;
        if (error)
            say(client, qmp_refusal(error));
        if (message)
            say(client, qmp_handle(&client->session, message));
        json_object_put(message);
    }
}

/* What is to be waited for now. */
static void rearm(struct client *client)
{
    struct machine *m = client->control->machine;
    short events = client->ended ? POLLPRI : 0; /* hang-ups are reported with anything that is waited for */

    if (client->out_count)
        events |= POLLOUT;
    if (!client->ended && may_read(client)) {
        if (client->in_count || client->hung) {
            client->ready = client->control->due = true;
            loop_kick(m->loop);
        }
        events |= POLLIN;
    }
    pthread_mutex_lock(&m->lock);
    loop_modify(client->watch, client->ready ? 0 : events);
    pthread_mutex_unlock(&m->lock);
}

static void serve(struct client *client)
{
    client->ready = false;
    flush(client);
    if (!client->ended && !client->in_count && may_read(client))
        read_more(client);
    do_messages(client);
    if (client->hung && (client->ended || client->out_count))
        client->gone = true;
    if (!client->gone)
        rearm(client);
}

void control_poll(struct control *control)
{
    if (!control || !control->due)
        return;
    control->due = false;
    for (struct client *client = control->clients; client; client = client->next)
        if (client->ready)
            serve(client);
    for (struct client **at = &control->clients; *at;) {
        struct client *client = *at;

        if (!client->gone) {
            at = &client->next;
            continue;
        }
        *at = client->next;
        control->count--;
        free_client(client);
    }
}

/* --- Open and close ------------------------------------------------------------------------------ */

static const char *listen_at(struct control *control, const char *spec)
{
    struct machine *m = control->machine;
    const char *obstacle;

    if (strncmp(spec, "unix:", 5) || !spec[5])
        return "not of the form unix:PATH";
    obstacle = unix_listen(&control->listener, spec + 5);
    if (obstacle)
        return obstacle;
    pthread_mutex_lock(&m->lock);
    control->watch = loop_watch_fd(m->loop, control->listener.fd, POLLIN, listener_ready, control);
    pthread_mutex_unlock(&m->lock);
    return control->watch ? NULL : "out of memory";
}

struct control *control_open(struct machine *machine, const char *spec, char *why, size_t why_size)
{
    struct control *control = calloc(1, sizeof(*control));
    const char *obstacle = "out of memory";

    if (control) {
        control->machine = machine;
        control->listener.fd = -1;
        obstacle = listen_at(control, spec);
    }
    if (!obstacle)
        return control;
    snprintf(why, why_size, "--control %s: %s", spec, obstacle);
    control_close(control);
    return NULL;
}

void control_close(struct control *control)
{
    if (!control)
        return;
    while (control->clients) {
        struct client *client = control->clients;
        struct pollfd slot = {.fd = client->fd, .events = POLLOUT};

        while (client->out_count && !client->gone && poll(&slot, 1, LAST_CHANCE_MS) > 0)
            flush(client);
        control->clients = client->next;
        free_client(client);
    }
    pthread_mutex_lock(&control->machine->lock);
    loop_unwatch(control->watch);
    pthread_mutex_unlock(&control->machine->lock);
    unix_listener_close(&control->listener);
    free(control);
}

/* --- Events -------------------------------------------------------------------------------------- */

static void tell(struct control *control, const char *name, struct json_object *data)
{
    struct json_object *event;

    if (!control) {
        json_object_put(data);
        return;
    }
    event = qmp_event(name, data);
    for (struct client *client = control->clients; client; client = client->next) {
        if (!client->session.negotiated)
            continue;
        put(client, event);
        /* serve() will wait for room, or free it. */
        client->ready = control->due = true;
    }
    json_object_put(event);
    loop_kick(control->machine->loop);
}

static struct json_object *cause(bool guest, const char *reason)
{
    struct json_object *data = json_object_new_object();

    json_object_object_add(data, "guest", json_object_new_boolean(guest));
    json_object_object_add(data, "reason", json_object_new_string(reason));
    return data;
}

void control_paused(struct control *control, bool paused)
{
    tell(control, paused ? "STOP" : "RESUME", NULL);
}

void control_reset(struct control *control, bool guest)
{
    tell(control, "RESET", cause(guest, guest ? "guest-reset" : "host-qmp-system-reset"));
}

void control_shutdown(struct control *control, bool guest, const char *reason)
{
    tell(control, "SHUTDOWN", cause(guest, reason));
}

void control_disk_failed(struct control *control, const char *drive, bool writing, int error)
{
    struct json_object *data = json_object_new_object();

    json_object_object_add(data, "device", json_object_new_string(drive));
    json_object_object_add(data, "operation", json_object_new_string(writing ? "write" : "read"));
    json_object_object_add(data, "action", json_object_new_string("stop"));
    json_object_object_add(data, "nospace", json_object_new_boolean(error == ENOSPC));
    json_object_object_add(data, "reason", json_object_new_string(strerror(error)));
    tell(control, "BLOCK_IO_ERROR", data);
}

void control_power_button(struct control *control)
{
    tell(control, "POWERDOWN", NULL);
}

void control_note(struct control *control, const char *text)
{
    struct json_object *data = json_object_new_object();

    json_object_object_add(data, "text", json_object_new_string_len(text, (int)strcspn(text, "\n")));
    tell(control, "X_OXBOW_NOTE", data);
}

void control_tray_moved(struct control *control, const char *drive, bool open)
{
    struct json_object *data = json_object_new_object();

    json_object_object_add(data, "device", json_object_new_string(drive));
    json_object_object_add(data, "id", json_object_new_string(drive));
    json_object_object_add(data, "tray-open", json_object_new_boolean(open));
    tell(control, "DEVICE_TRAY_MOVED", data);
}
