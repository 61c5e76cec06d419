/*
 * share_fid.c - the client's numbers. A client that caches keeps one for every name that it has ever looked
 * up, and the host gives a process only so many descriptors. So those that were used longest ago, and are not
 * opened, give theirs up and remember where they were; it is opened again when they are used, and must be the
 * same file still (ESTALE).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "host/share_internal.h"

#define SPARE_AT_ONCE 32

static struct share_fid **bucket(struct share_server *server, uint32_t number)
{
    return &server->buckets[number % SHARE_FID_BUCKETS];
}

static struct share_fid *find(struct share_server *server, uint32_t number)
{
    struct share_fid *fid = *bucket(server, number);

    while (fid && fid->number != number)
        fid = fid->next;
    return fid;
}

/* In the list of those with a descriptor, as the one used last. */
static void enlist(struct share_server *server, struct share_fid *fid)
{
    fid->newer = NULL;
    fid->older = server->newest;
    *(fid->older ? &fid->older->newer : &server->oldest) = fid;
    server->newest = fid;
    server->paths++;
}

static void delist(struct share_server *server, struct share_fid *fid)
{
    *(fid->older ? &fid->older->newer : &server->oldest) = fid->newer;
    *(fid->newer ? &fid->newer->older : &server->newest) = fid->older;
    server->paths--;
}

static void destroy(struct share_fid *fid)
{
    if (fid->path >= 0)
        close(fid->path);
    if (fid->file >= 0)
        close(fid->file);
    free(fid->xattr);
    free(fid->where);
    pthread_rwlock_destroy(&fid->lock);
    free(fid);
}

/* With server->lock. Nobody uses it, so its own lock isn't needed. */
static bool give_up(struct share_server *server, struct share_fid *fid)
{
    char where[PATH_MAX];
    struct stat st;

    if (!fid->listed || fid->refs > 1 || fid->file >= 0 || fid->xattr ||
        !share_where(server, fid->path, where, sizeof(where)))
        return false;
    /* Never for one that can't be found again. */
    if (fstatat(server->root, *where ? where : ".", &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != fid->dev ||
        st.st_ino != fid->ino)
        return false;
    fid->where = strdup(where);
    if (!fid->where)
        return false;
    delist(server, fid);
    close(fid->path);
    fid->path = -1;
    return true;
}

static bool spare(struct share_server *server)
{
    unsigned freed = 0, looked = server->paths;

    while (freed < SPARE_AT_ONCE && looked--) {
        struct share_fid *fid = server->oldest;

        if (give_up(server, fid)) {
            freed++;
            continue;
        }
        delist(server, fid);
        enlist(server, fid);
    }
    return freed;
}

bool share_fid_spare(struct share_server *server)
{
    pthread_mutex_lock(&server->lock);
    bool freed = spare(server);
    pthread_mutex_unlock(&server->lock);
    return freed;
}

/* Opens what gave its descriptor up; fid->lock is held for writing. 0 or an errno value. */
static int find_again(struct share_server *server, struct share_fid *fid)
{
    struct stat st;
    char *where;

    pthread_mutex_lock(&server->lock);
    where = fid->where ? strdup(fid->where) : NULL;
    pthread_mutex_unlock(&server->lock);
    if (!where)
        return ENOMEM;
    int path = share_open_where(server, where);
    free(where);
    if (path < 0)
        return path == -ENOENT || path == -ENOTDIR || path == -ELOOP ? ESTALE : -path;
    if (fstat(path, &st) < 0 || st.st_dev != fid->dev || st.st_ino != fid->ino) {
        close(path);
        return ESTALE;
    }
    pthread_mutex_lock(&server->lock);
    fid->path = path;
    free(fid->where);
    fid->where = NULL;
    enlist(server, fid);
    if (server->paths > server->paths_max)
        spare(server);
    pthread_mutex_unlock(&server->lock);
    return 0;
}

/* With server->lock, once there are no references. */
static void forget(struct share_server *server, struct share_fid *fid)
{
    if (fid->path >= 0)
        delist(server, fid);
}

void share_fid_put(struct share_server *server, struct share_fid *fid)
{
    if (!fid)
        return;
    pthread_rwlock_unlock(&fid->lock);
    pthread_mutex_lock(&server->lock);
    bool last = !--fid->refs;
    if (last)
        forget(server, fid);
    pthread_mutex_unlock(&server->lock);
    if (last)
        destroy(fid);
}

static struct share_fid *take(struct share_message *m, bool write, bool find_path)
{
    struct share_server *server = m->server;
    uint32_t number = share_get32(m);
    struct share_fid *fid;
    bool there = false; /* its descriptor: it stays while somebody has a reference */

    if (m->error)
        return NULL;
    pthread_mutex_lock(&server->lock);
    fid = find(server, number);
    if (fid) {
        fid->refs++;
        there = fid->path >= 0;
        if (there) {
            delist(server, fid);
            enlist(server, fid);
        }
    }
    pthread_mutex_unlock(&server->lock);
    if (!fid) {
        m->error = EBADF;
        return NULL;
    }
    if (!there && find_path) {
        pthread_rwlock_wrlock(&fid->lock);
        m->error = fid->path < 0 ? find_again(server, fid) : 0;
        pthread_rwlock_unlock(&fid->lock);
    }
    if (write)
        pthread_rwlock_wrlock(&fid->lock);
    else
        pthread_rwlock_rdlock(&fid->lock);
    if (!m->error)
        return fid;
    share_fid_put(server, fid);
    return NULL;
}

struct share_fid *share_fid_read(struct share_message *m)
{
    return take(m, false, true);
}

struct share_fid *share_fid_write(struct share_message *m)
{
    return take(m, true, true);
}

struct share_fid *share_fid_last(struct share_message *m)
{
    return take(m, true, false);
}

bool share_fid_known(struct share_server *server, uint32_t number)
{
    pthread_mutex_lock(&server->lock);
    bool known = find(server, number);
    pthread_mutex_unlock(&server->lock);
    return known;
}

/* With server->lock. */
static int insert(struct share_server *server, struct share_fid *fid)
{
    if (find(server, fid->number))
        return EBADF;
    if (server->fids >= SHARE_FIDS_MAX) {
        if (!server->complained)
            log_at(server->log, LOG_GUEST, "share",
                   "%s: the guest holds %u files, which is all it may; it gets ENFILE", server->name,
                   SHARE_FIDS_MAX);
        server->complained = true;
        return ENFILE;
    }
    fid->next = *bucket(server, fid->number);
    *bucket(server, fid->number) = fid;
    fid->listed = true;
    server->fids++;
    enlist(server, fid);
    if (server->paths > server->paths_max)
        spare(server);
    return 0;
}

int share_fid_add(struct share_server *server, uint32_t number, int path, uint32_t uid,
                  struct share_xattr *xattr)
{
    struct share_fid *fid = calloc(1, sizeof(*fid));
    struct stat st;
    int error = number == P9_NOFID ? EBADF : 0;

    if (!fid || fstat(path, &st) < 0) {
        error = fid ? errno : ENOMEM;
        close(path);
        free(xattr);
        free(fid);
        return error;
    }
    *fid = (struct share_fid){.number = number,
                              .refs = 1,
                              .path = path,
                              .file = -1,
                              .dev = st.st_dev,
                              .ino = st.st_ino,
                              .uid = uid,
                              .xattr = xattr};
    pthread_rwlock_init(&fid->lock, NULL);
    if (!error) {
        pthread_mutex_lock(&server->lock);
        error = insert(server, fid);
        pthread_mutex_unlock(&server->lock);
    }
    if (error)
        destroy(fid);
    return error;
}

int share_fid_move(struct share_server *server, struct share_fid *fid, int path)
{
    struct stat st;

    if (fstat(path, &st) < 0) {
        int error = errno;
        close(path);
        return error;
    }
    pthread_mutex_lock(&server->lock);
    close(fid->path);
    fid->path = path;
    fid->dev = st.st_dev;
    fid->ino = st.st_ino;
    pthread_mutex_unlock(&server->lock);
    return 0;
}

/* With server->lock. */
static void unlist(struct share_server *server, struct share_fid *fid)
{
    struct share_fid **at = bucket(server, fid->number);

    while (*at != fid)
        at = &(*at)->next;
    *at = fid->next;
    fid->listed = false;
    server->fids--;
}

void share_fid_remove(struct share_server *server, struct share_fid *fid)
{
    pthread_mutex_lock(&server->lock);
    if (fid->listed) {
        unlist(server, fid);
        fid->refs--; /* the caller has another */
    }
    pthread_mutex_unlock(&server->lock);
}

void share_fid_remove_all(struct share_server *server)
{
    pthread_mutex_lock(&server->lock);
    for (unsigned n = 0; n < SHARE_FID_BUCKETS; n++)
        while (server->buckets[n]) {
            struct share_fid *fid = server->buckets[n];

            unlist(server, fid);
            if (!--fid->refs) {
                forget(server, fid);
                destroy(fid);
            }
        }
    server->complained = false;
    pthread_mutex_unlock(&server->lock);
}

void share_fid_renamed(struct share_server *server, const char *from, const char *to)
{
    size_t length = strlen(from);

    if (server->paths == server->fids)
        return;
    for (unsigned n = 0; n < SHARE_FID_BUCKETS; n++)
        for (struct share_fid *fid = server->buckets[n]; fid; fid = fid->next) {
            if (!fid->where || strncmp(fid->where, from, length))
                continue;
            const char *rest = fid->where + length;
            if (*rest && *rest != '/')
                continue;
            size_t size = strlen(to) + strlen(rest) + 1;
            char *where = malloc(size);
            if (!where)
                continue; /* it will be stale */
            strcpy(where, to);
            strcat(where, rest);
            free(fid->where);
            fid->where = where;
        }
}
