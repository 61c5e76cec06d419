/*
 * share_lock.c - locks. A client settles its own programs' conflicts before it asks; what it asks for here is
 * that the host's programs, and other guests that share the folder, see them, too.
 *
 * A lock's owner is a process of the client. On the host it is a descriptor of its own for each file that the
 * process has locks in, with locks that belong to the descriptor (F_OFD_SETLK): so one process that opened a
 * file twice doesn't lock itself out. A folder that is read-only for the guest has no locks on the host,
 * where they would hinder others.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/share_internal.h"

#define OWNERS_MAX 1024
#define CLIENT_MAX 64

enum { LOCK_SUCCESS, LOCK_BLOCKED, LOCK_ERROR };
enum { TYPE_READ, TYPE_WRITE, TYPE_UNLOCK };

struct share_lock {
    struct share_lock *next;
    const struct share_fid *fid; /* through which it came; its end is the locks' */
    dev_t dev;
    ino_t ino;
    uint32_t process;
    char client[CLIENT_MAX];
    int fd;
};

/* What both messages ask for. */
struct lock_request {
    uint8_t type;
    uint64_t start, length; /* length 0: to the end */
    uint32_t process;
    char client[CLIENT_MAX];
};

static void get_request(struct share_message *m, struct lock_request *r, bool with_flags)
{
    r->type = share_get8(m);
    if (with_flags)
        share_get32(m); /* whether it would wait: it asks again instead */
    r->start = share_get64(m);
    r->length = share_get64(m);
    r->process = share_get32(m);
    share_get_string(m, r->client, sizeof(r->client));
    if (!m->error && (r->type > TYPE_UNLOCK || r->start > INT64_MAX || r->length > INT64_MAX - r->start))
        m->error = EINVAL;
}

static struct flock host_lock(const struct lock_request *r)
{
    static const short types[] = {F_RDLCK, F_WRLCK, F_UNLCK};

    return (struct flock){.l_type = types[r->type],
                          .l_whence = SEEK_SET,
                          .l_start = (off_t)r->start,
                          .l_len = (off_t)r->length};
}

/* With server->lock. */
static struct share_lock *find_owner(struct share_server *server, const struct share_fid *fid,
                                     const struct lock_request *r)
{
    struct share_lock *lock = server->locks;

    while (lock && (lock->ino != fid->ino || lock->dev != fid->dev || lock->process != r->process ||
                    strcmp(lock->client, r->client)))
        lock = lock->next;
    return lock;
}

static int open_for_lock(struct share_server *server, const struct share_fid *fid)
{
    int fd = share_reopen(server, fid->path, O_RDWR);

    return fd == -EACCES || fd == -EROFS || fd == -EISDIR || fd == -ETXTBSY
               ? share_reopen(server, fid->path, O_RDONLY)
               : fd;
}

/* With server->lock; `fd` is the new owner's. */
static struct share_lock *add_owner(struct share_server *server, const struct share_fid *fid,
                                    const struct lock_request *r, int fd)
{
    struct share_lock *lock = server->lock_count < OWNERS_MAX ? calloc(1, sizeof(*lock)) : NULL;

    if (!lock)
        return NULL;
    *lock = (struct share_lock){
        .next = server->locks, .fid = fid, .dev = fid->dev, .ino = fid->ino, .process = r->process, .fd = fd};
    strcpy(lock->client, r->client);
    server->locks = lock;
    server->lock_count++;
    return lock;
}

/* With server->lock. */
static void drop(struct share_server *server, struct share_lock **at)
{
    struct share_lock *lock = *at;

    *at = lock->next;
    server->lock_count--;
    close(lock->fd);
    free(lock);
}

void share_lock_drop(struct share_server *server, const struct share_fid *fid)
{
    pthread_mutex_lock(&server->lock);
    for (struct share_lock **at = &server->locks; *at;)
        if (!fid || (*at)->fid == fid)
            drop(server, at);
        else
            at = &(*at)->next;
    pthread_mutex_unlock(&server->lock);
}

/* 0 or an errno value. */
static int set_lock(struct share_server *server, const struct share_fid *fid, const struct lock_request *r)
{
    struct flock flock = host_lock(r);
    struct share_lock *lock;
    int fd = -1, error = 0;

    if (r->type != TYPE_UNLOCK && (fd = open_for_lock(server, fid)) < 0)
        return -fd;
    pthread_mutex_lock(&server->lock);
    lock = find_owner(server, fid, r);
    if (!lock && r->type != TYPE_UNLOCK) {
        lock = add_owner(server, fid, r, fd);
        error = lock ? 0 : ENOLCK;
        fd = lock ? -1 : fd;
    }
    if (lock && fcntl(lock->fd, F_OFD_SETLK, &flock) < 0)
        error = errno;
    pthread_mutex_unlock(&server->lock);
    if (fd >= 0)
        close(fd);
    return error;
}

int share_lock(struct share_message *m)
{
    struct share_fid *fid = share_fid_read(m);
    struct lock_request r;
    int error;

    get_request(m, &r, true);
    error = m->error;
    if (!error && fid->file < 0)
        error = EBADF;
    if (!error) {
        int failure = m->server->read_only ? 0 : set_lock(m->server, fid, &r);

        share_put8(m, !failure                                 ? LOCK_SUCCESS
                      : failure == EAGAIN || failure == EACCES ? LOCK_BLOCKED
                                                               : LOCK_ERROR);
    }
    share_fid_put(m->server, fid);
    return error;
}

int share_getlock(struct share_message *m)
{
    struct share_fid *fid = share_fid_read(m);
    struct lock_request r;
    int error, fd = -1;

    get_request(m, &r, false);
    error = m->error;
    if (!error && (fid->file < 0 || r.type == TYPE_UNLOCK))
        error = EINVAL;
    struct flock flock = {.l_type = F_UNLCK};
    if (!error && !m->server->read_only) {
        fd = open_for_lock(m->server, fid);
        error = fd < 0 ? -fd : 0;
    }
    if (!error && fd >= 0) {
        pthread_mutex_lock(&m->server->lock);
        struct share_lock *own = find_owner(m->server, fid, &r);
        flock = host_lock(&r);
        if (fcntl(own ? own->fd : fd, F_OFD_GETLK, &flock) < 0)
            error = errno;
        pthread_mutex_unlock(&m->server->lock);
    }
    if (fd >= 0)
        close(fd);
    share_fid_put(m->server, fid);
    if (error)
        return error;
    bool free_range = flock.l_type == F_UNLCK;
    share_put8(m, free_range ? TYPE_UNLOCK : flock.l_type == F_WRLCK ? TYPE_WRITE : TYPE_READ);
    share_put64(m, free_range ? r.start : (uint64_t)flock.l_start);
    share_put64(m, free_range ? r.length : (uint64_t)flock.l_len);
    share_put32(m, free_range || flock.l_pid < 0 ? r.process : (uint32_t)flock.l_pid);
    share_put_string(m, r.client, strlen(r.client));
    return 0;
}
