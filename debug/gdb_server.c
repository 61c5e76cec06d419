/*
 * gdb_server.c - sockets, and what a session wants of the machine; see gdb_server.h.
 *
 * What the event loop reports is only noted; gdb_server_poll(), outside the machine lock, accepts, reads,
 * answers.
 */
#include "debug/gdb_server.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "debug/gdb.h"
#include "debug/monitor.h"
#include "machine/machine.h"

#define READ_SIZE   4096u
#define WAITING_MAX ((size_t)4 << 20) /* bytes that a client doesn't read before it is let go */
#define LAST_MS     200               /* for the last reply to leave */

struct gdb_server {
    struct machine *machine;
    struct tcp_listener tcp;
    struct unix_listener unix_socket;
    struct loop_watch *listening, *watch;
    int client; /* -1: none */
    bool due, leaving;
    char *out;
    size_t out_count, out_room;

    struct cpu *cpus[1];
    struct gdb_target target;
    struct gdb session;
    struct machine_stop_watch stops;
};

/* --- Output --------------------------------------------------------------------------------------- */

/* Writes what waits, as far as the client takes it. */
static void flush(struct gdb_server *s)
{
    size_t start = 0;

    while (start < s->out_count) {
        ssize_t sent = send(s->client, s->out + start, s->out_count - start, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0) {
            s->leaving |= errno != EAGAIN;
            break;
        }
        start += (size_t)sent;
    }
    s->out_count -= start;
    memmove(s->out, s->out + start, s->out_count);
}

static void send_to_client(void *opaque, const void *data, size_t size)
{
    struct gdb_server *s = opaque;

    if (s->leaving || !size)
        return;
    if (s->out_count + size > s->out_room) {
        size_t room = 2 * (s->out_count + size);
        char *out = room > WAITING_MAX ? NULL : realloc(s->out, room);

        if (!out) {
            s->leaving = true;
            return;
        }
        s->out = out;
        s->out_room = room;
    }
    memcpy(s->out + s->out_count, data, size);
    s->out_count += size;
    flush(s);
}

/* --- What the session asks for -------------------------------------------------------------------- */

static void resume(void *opaque, unsigned cpu, bool step)
{
    (void)cpu;
    machine_go(((struct gdb_server *)opaque)->machine, step);
}

static void interrupt(void *opaque)
{
    struct gdb_server *s = opaque;

    machine_stop(s->machine);
    /* What it came to by itself meanwhile will be told by stops_poll(). */
    if (!__atomic_load_n(&s->machine->stop_noted, __ATOMIC_ACQUIRE))
        gdb_stopped(&s->session, 0, GDB_ASKED, NULL, 0);
}

static void changed(void *opaque, unsigned cpu)
{
    struct machine *m = ((struct gdb_server *)opaque)->machine;

    (void)cpu;
    m->vcpu.engine->push(m->cpu);
}

static void stops_changed(void *opaque)
{
    machine_stops_changed(((struct gdb_server *)opaque)->machine);
}

static void detach(void *opaque)
{
    ((struct gdb_server *)opaque)->leaving = true;
}

static void kill_machine(void *opaque)
{
    machine_end(((struct gdb_server *)opaque)->machine, EXIT_POWEROFF);
}

static bool command(void *opaque, const char *line, FILE *out)
{
    monitor_command(((struct gdb_server *)opaque)->machine->monitor, line, out);
    return true;
}

static bool commands(void *opaque, FILE *out)
{
    (void)opaque;
    fprintf(out, "\nOther commands are those of Oxbow's monitor:\n");
    return command(opaque, "help", out);
}

static bool stopped(void *opaque, const struct cpu_stopped *hits, unsigned count)
{
    struct gdb_server *s = opaque;
    enum gdb_reason reason = cpu_state(s->machine->cpu)->activity == CPU_SHUTDOWN ? GDB_SHUTDOWN
                             : s->session.stepping                                ? GDB_STEPPED
                                                                                  : GDB_STOP;

    return s->client >= 0 && gdb_stopped(&s->session, 0, reason, hits, count);
}

/* --- Clients -------------------------------------------------------------------------------------- */

/* Machine lock held: as the loop calls it. */
static void client_ready(void *opaque, short revents)
{
    struct gdb_server *s = opaque;

    (void)revents;
    s->due = true;
    loop_modify(s->watch, 0);
}

static void listener_ready(void *opaque, short revents)
{
    struct gdb_server *s = opaque;

    (void)revents;
    s->due = true;
    loop_modify(s->listening, 0);
}

/* Which also tells the loop of what has changed since. */
static void watch(struct gdb_server *s)
{
    struct machine *m = s->machine;

    pthread_mutex_lock(&m->lock);
    if (s->watch)
        loop_modify(s->watch, s->out_count ? POLLIN | POLLOUT : POLLIN);
    if (s->listening)
        loop_modify(s->listening, POLLIN);
    pthread_mutex_unlock(&m->lock);
}

static bool elf32(const struct machine *m)
{
    static const uint8_t start[] = {0x7f, 'E', 'L', 'F', 1};

    return m->kernel.size > sizeof(start) && !memcmp(m->kernel.data, start, sizeof(start));
}

static void drop_client(struct gdb_server *s)
{
    struct machine *m = s->machine;

    machine_stop(m);
    flush(s);
    gdb_close(&s->session);
    machine_unwatch_stops(m, &s->stops);
    machine_debugged(m, false);
    pthread_mutex_lock(&m->lock);
    loop_unwatch(s->watch);
    pthread_mutex_unlock(&m->lock);
    s->watch = NULL;
    close(s->client);
    s->client = -1;
    s->out_count = 0;
    machine_go(m, false);
}

static void take_client(struct gdb_server *s, int fd)
{
    struct machine *m = s->machine;

    pthread_mutex_lock(&m->lock);
    s->watch = loop_watch_fd(m->loop, fd, POLLIN, client_ready, s);
    pthread_mutex_unlock(&m->lock);
    if (!s->watch) {
        close(fd);
        return;
    }
    s->client = fd;
    s->leaving = false;
    s->target.elf32 = elf32(m);
    machine_stop(m);
    machine_debugged(m, true);
    gdb_open(&s->session, &s->target);
    machine_watch_stops(m, &s->stops);
}

static void accept_client(struct gdb_server *s)
{
    int fd = s->tcp.fd >= 0 ? tcp_accept(&s->tcp) : unix_accept(&s->unix_socket);

    if (fd < 0)
        return;
    if (s->client >= 0) {
        log_at(s->machine->log, LOG_INFO, "gdb", "refused a second client");
        close(fd);
        return;
    }
    take_client(s, fd);
}

static void serve(struct gdb_server *s)
{
    uint8_t data[READ_SIZE];
    ssize_t got = recv(s->client, data, sizeof(data), 0);

    if (got > 0)
        gdb_receive_bytes(&s->session, data, (size_t)got);
    else if (!got || (errno != EAGAIN && errno != EINTR))
        s->leaving = true;
    flush(s);
}

void gdb_server_poll(struct gdb_server *s)
{
    if (!s || !s->due)
        return;
    s->due = false;
    if (s->client >= 0)
        serve(s);
    if (s->client >= 0 && s->leaving)
        drop_client(s);
    accept_client(s);
    watch(s);
}

/* --- Coming and going ----------------------------------------------------------------------------- */

static bool listen_at(struct gdb_server *s, const char *where, char *why, size_t why_size)
{
    const char *path = strncmp(where, "unix:", 5) ? NULL : where + 5, *wrong;

    if (!path) {
        char reason[300];

        if (tcp_listen(&s->tcp, where, reason, sizeof(reason)))
            return true;
        snprintf(why, why_size, "--gdb %s", reason);
        return false;
    }
    wrong = unix_listen(&s->unix_socket, path);
    if (wrong)
        snprintf(why, why_size, "--gdb %s: %s", where, wrong);
    return !wrong;
}

struct gdb_server *gdb_server_open(struct machine *m, const char *where, bool wait, char *why,
                                   size_t why_size)
{
    struct gdb_server *s = calloc(1, sizeof(*s));
    int fd;

    snprintf(why, why_size, "out of memory");
    if (!s)
        return NULL;
    s->machine = m;
    s->client = s->tcp.fd = s->unix_socket.fd = -1;
    s->cpus[0] = m->cpu;
    s->stops = (struct machine_stop_watch){.stopped = stopped, .opaque = s};
    s->target = (struct gdb_target){.opaque = s,
                                    .cpus = s->cpus,
                                    .cpu_count = 1,
                                    .send = send_to_client,
                                    .resume = resume,
                                    .interrupt = interrupt,
                                    .changed = changed,
                                    .stops_changed = stops_changed,
                                    .detach = detach,
                                    .kill = kill_machine,
                                    .command = command,
                                    .commands = commands};
    if (!listen_at(s, where, why, why_size)) {
        free(s);
        return NULL;
    }
    fd = s->tcp.fd >= 0 ? s->tcp.fd : s->unix_socket.fd;
    pthread_mutex_lock(&m->lock);
    s->listening = loop_watch_fd(m->loop, fd, POLLIN, listener_ready, s);
    pthread_mutex_unlock(&m->lock);
    if (!s->listening) {
        gdb_server_close(s);
        return NULL;
    }
    if (s->tcp.fd >= 0)
        log_at(m->log, LOG_INFO, "gdb", "listening at port %u", s->tcp.port);
    if (wait)
        machine_stop(m);
    return s;
}

void gdb_server_exited(struct gdb_server *s, int status)
{
    struct pollfd slot;

    if (!s || s->client < 0)
        return;
    gdb_exited(&s->session, status);
    slot = (struct pollfd){.fd = s->client, .events = POLLOUT};
    if (s->out_count && poll(&slot, 1, LAST_MS) > 0)
        flush(s);
    drop_client(s);
}

void gdb_server_close(struct gdb_server *s)
{
    if (!s)
        return;
    if (s->client >= 0)
        drop_client(s);
    pthread_mutex_lock(&s->machine->lock);
    loop_unwatch(s->listening);
    pthread_mutex_unlock(&s->machine->lock);
    tcp_listener_close(&s->tcp);
    unix_listener_close(&s->unix_socket);
    free(s->out);
    free(s);
}
