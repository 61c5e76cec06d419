/*
 * share_server.c - the session: a message is read, its handler called, its answer written; and the messages
 * that make and drop the client's numbers. See share_internal.h.
 *
 * What a message says is copied before it is looked at: the client's memory may change under our eyes. The
 * bytes of reads and writes go between file and client directly.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/log.h"
#include "host/share_internal.h"

#define SMALL        2048 /* most messages; what is longer is allocated */
#define WRITE_FIELDS (P9_HEADER + 4 + 8 + 4)

static int share_version(struct share_message *m)
{
    static const char ours[] = "9P2000.L", unknown[] = "unknown";
    char version[32];

    uint32_t msize = share_get32(m);
    share_get_string(m, version, sizeof(version));
    if (m->error)
        return m->error;
    if (msize < P9_MSIZE_MIN)
        return EMSGSIZE;
    if (msize > P9_MSIZE_MAX)
        msize = P9_MSIZE_MAX;
    /* A new session: whatever was open is not. */
    share_lock_drop(m->server, NULL);
    share_fid_remove_all(m->server);
    __atomic_store_n(&m->server->msize, msize, __ATOMIC_RELAXED);
    const char *answer = strcmp(version, ours) ? unknown : ours;
    share_put32(m, msize);
    share_put_string(m, answer, strlen(answer));
    return 0;
}

static int share_attach(struct share_message *m)
{
    char user[256], tree[PATH_MAX];
    struct stat st;
    int error, path;

    uint32_t number = share_get32(m), authenticated = share_get32(m);
    share_get_string(m, user, sizeof(user));
    share_get_string(m, tree, sizeof(tree));
    uint32_t uid = share_get32(m);
    error = m->error;
    if (!error && authenticated != P9_NOFID)
        error = EOPNOTSUPP;
    if (!error && *tree && strcmp(tree, "/"))
        error = ENOENT; /* there is one tree */
    if (error)
        return error;
    path = share_duplicate(m->server, m->server->root);
    error = path < 0 ? -path : share_stat(m->server, path, &st);
    if (!error)
        error = share_fid_add(m->server, number, path, uid, NULL);
    else if (path >= 0)
        close(path);
    if (!error)
        share_put_qid(m, &st);
    return error;
}

/* The client waits until the answer to its message number `oldtag` has come, or won't; share.c sees to that.
 */
static int share_flush(struct share_message *m)
{
    share_get16(m);
    return m->error;
}

/* One name on from `path`, which is closed; a descriptor or a negative errno value. */
static int walk_one(struct share_server *server, int path, const char *name)
{
    int next;

    if (!strcmp(name, ".."))
        next = share_open_parent(server, path);
    else if (!*name || strchr(name, '/') || !strcmp(name, "."))
        next = -ENOENT;
    else
        next = share_open_child(server, path, name);
    close(path);
    return next;
}

/* All names, with a qid each; the last one's descriptor, or a negative errno value. *done: how many there
 * were. */
static int walk(struct share_message *m, const struct share_fid *fid, unsigned names, unsigned *done)
{
    struct share_name name;
    struct stat st;
    int path = share_duplicate(m->server, fid->path);

    for (*done = 0; *done < names && path >= 0; ++*done) {
        share_get_string(m, name.text, sizeof(name.text));
        if (m->error) {
            close(path);
            return -m->error;
        }
        path = walk_one(m->server, path, name.text);
        int error = path < 0 ? 0 : share_stat(m->server, path, &st);
        if (error) {
            close(path);
            path = -error;
        }
        if (path < 0)
            break;
        share_put_qid(m, &st);
    }
    return path;
}

static int share_walk(struct share_message *m)
{
    struct share_fid *fid = share_fid_write(m);
    uint32_t number = share_get32(m);
    unsigned names = share_get16(m), done = 0;
    size_t count_at = m->out_size;
    int error = m->error, path;

    if (!error && (names > P9_WALK_MAX || fid->xattr))
        error = EINVAL;
    if (!error && (number == fid->number ? fid->file >= 0 : share_fid_known(m->server, number)))
        error = EBADF;
    if (error) {
        share_fid_put(m->server, fid);
        return error;
    }
    share_put16(m, 0);
    path = walk(m, fid, names, &done);
    /* A way that ends early is an answer; only one that doesn't begin is an error. */
    if (path < 0)
        error = done && !m->error ? 0 : -path;
    else if (number == fid->number)
        error = share_fid_move(m->server, fid, path);
    else
        error = share_fid_add(m->server, number, path, fid->uid, NULL);
    m->out[count_at] = (uint8_t)done;
    share_fid_put(m->server, fid);
    return error;
}

/* The number is free afterwards even when this fails. */
static int share_clunk(struct share_message *m)
{
    struct share_fid *fid = share_fid_last(m);
    int error = m->error;

    if (!fid)
        return error;
    if (fid->xattr && fid->xattr->writing)
        error = share_xattr_set(m->server, fid);
    share_lock_drop(m->server, fid);
    share_fid_remove(m->server, fid);
    share_fid_put(m->server, fid);
    return error;
}

static const struct {
    share_handler *fn;
    bool changes; /* refused where nothing may change. Those that don't always look for themselves */
} handlers[] = {
    [P9_TSTATFS] = {share_statfs, false},
    [P9_TLOPEN] = {share_lopen, false},
    [P9_TLCREATE] = {share_lcreate, true},
    [P9_TSYMLINK] = {share_symlink, true},
    [P9_TMKNOD] = {share_mknod, true},
    [P9_TRENAME] = {share_rename, true},
    [P9_TREADLINK] = {share_readlink, false},
    [P9_TGETATTR] = {share_getattr, false},
    [P9_TSETATTR] = {share_setattr, true},
    [P9_TXATTRWALK] = {share_xattrwalk, false},
    [P9_TXATTRCREATE] = {share_xattrcreate, true},
    [P9_TREADDIR] = {share_readdir, false},
    [P9_TFSYNC] = {share_fsync, false},
    [P9_TLOCK] = {share_lock, false},
    [P9_TGETLOCK] = {share_getlock, false},
    [P9_TLINK] = {share_link, true},
    [P9_TMKDIR] = {share_mkdir, true},
    [P9_TRENAMEAT] = {share_renameat, true},
    [P9_TUNLINKAT] = {share_unlinkat, true},
    [P9_TVERSION] = {share_version, false},
    [P9_TATTACH] = {share_attach, false},
    [P9_TFLUSH] = {share_flush, false},
    [P9_TWALK] = {share_walk, false},
    [P9_TREAD] = {share_read, false},
    [P9_TWRITE] = {share_write, false},
    [P9_TCLUNK] = {share_clunk, false},
    [P9_TREMOVE] = {share_remove, false},
};

/* All of the message that its handler reads, at `small` if it fits there. NULL: see m->error. */
static uint8_t *copy_in(struct share_message *m, uint8_t type, uint8_t *small)
{
    uint8_t size[4];
    size_t said, length;
    uint8_t *data = small;

    share_gather(size, sizeof(size), m->in_iov, m->in_count, 0);
    said = size[0] | size[1] << 8 | size[2] << 16 | (size_t)size[3] << 24;
    if (said < P9_HEADER || said > m->in_total || (said > m->server->msize && type != P9_TVERSION)) {
        m->error = said > m->in_total || said < P9_HEADER ? EPROTO : EMSGSIZE;
        return NULL;
    }
    /* Linux counts the bytes to write in the size, or doesn't when it sends them straight from its pages. */
    length = type == P9_TWRITE && said > WRITE_FIELDS ? WRITE_FIELDS : said;
    if (length > SMALL)
        data = malloc(length);
    if (!data) {
        m->error = ENOMEM;
        return NULL;
    }
    m->in_size = share_gather(data, length, m->in_iov, m->in_count, 0);
    m->in = data;
    m->at = P9_HEADER;
    return data;
}

static int handle(struct share_message *m, uint8_t type)
{
    if (type >= sizeof(handlers) / sizeof(*handlers) || !handlers[type].fn)
        return EOPNOTSUPP;
    if (handlers[type].changes && m->server->read_only)
        return EROFS;
    int error = handlers[type].fn(m);
    return error ? error : m->error;
}

/* The answer's header and fields; the payload is there already. */
static size_t answer(struct share_message *m, uint8_t type, uint16_t tag, int error)
{
    if (!error && m->out_size + m->payload > m->room)
        error = EMSGSIZE;
    if (error) {
        m->out_size = P9_HEADER;
        m->payload = 0;
        type = P9_TLERROR;
        m->error = 0;
        share_put32(m, (uint32_t)error);
    }
    size_t fields = m->out_size, size = fields + m->payload;
    m->out_size = 0;
    share_put32(m, (uint32_t)size);
    share_put8(m, type + 1);
    share_put16(m, tag);
    share_scatter(m->out_iov, m->out_count, 0, m->out, fields);
    return size;
}

size_t share_answer(struct share_server *server, const struct iovec *in, unsigned in_count,
                    const struct iovec *out, unsigned out_count)
{
    uint8_t small[SMALL], type, *data;
    uint16_t tag, old_tag;
    struct share_message m;
    uint32_t msize = __atomic_load_n(&server->msize, __ATOMIC_RELAXED);
    size_t room = share_iov_size(out, out_count);

    if (!share_read_header(in, in_count, &type, &tag, &old_tag) || room < P9_IO_HEADER)
        return 0;
    memset(&m, 0, offsetof(struct share_message, out));
    m.server = server;
    m.in_iov = in;
    m.in_count = in_count;
    m.in_total = share_iov_size(in, in_count);
    m.out_iov = out;
    m.out_count = out_count;
    m.room = room < msize ? room : msize;
    m.out_size = P9_HEADER;
    data = copy_in(&m, type, small);
    int error = data ? handle(&m, type) : m.error;
    if (data != small)
        free(data);
    return answer(&m, type, tag, error);
}

/* How many descriptors numbers may have: half of those that this process may get at all. */
static unsigned descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 256;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0 && getrlimit(RLIMIT_NOFILE, &limit) < 0)
            return 256;
    }
    if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > 2 * SHARE_FIDS_MAX)
        return SHARE_FIDS_MAX;
    return (unsigned)limit.rlim_cur / 2;
}

static bool refuse(const struct host_share_options *options, const char *text, char *why, size_t why_size)
{
    snprintf(why, why_size, "%s: %s", options->path, text);
    return false;
}

static bool open_root(struct share_server *server, const struct host_share_options *options, char *why,
                      size_t why_size)
{
    struct stat st;
    int fd;

    server->root = open(options->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (server->root < 0)
        return refuse(options,
                      errno == ENOENT    ? "no such folder"
                      : errno == ENOTDIR ? "is not a folder"
                                         : strerror(errno),
                      why, why_size);
    if (fstat(server->root, &st) < 0 || access(share_proc_path(server->root).text, F_OK) < 0)
        return refuse(options, "folders can be shared where /proc is mounted", why, why_size);
    server->root_dev = st.st_dev;
    server->root_ino = st.st_ino;
    fd = share_open_child(server, server->root, ".");
    if (fd < 0)
        return refuse(options, fd == -ENOSYS ? "this host's kernel lacks openat2 (Linux 5.6)" : strerror(-fd),
                      why, why_size);
    close(fd);
    if (options->owners == SHARE_OWNERS_MAPPED && !options->read_only &&
        !host_share_can_map(share_proc_path(server->root).text))
        return refuse(
            options,
            "its file system has no extended attributes for users, in which owners are kept; use owners=host",
            why, why_size);
    return true;
}

struct share_server *share_server_new(const struct host_share_options *options, struct log *log, char *why,
                                      size_t why_size)
{
    struct share_server *server = calloc(1, sizeof(*server));

    if (!server || !(server->name = strdup(options->path))) {
        refuse(options, "out of memory", why, why_size);
        free(server);
        return NULL;
    }
    server->read_only = options->read_only;
    server->owners = options->owners;
    server->host_uid = geteuid();
    server->host_gid = getegid();
    server->log = log;
    server->msize = P9_MSIZE_MIN;
    server->paths_max = descriptor_limit();
    pthread_mutex_init(&server->lock, NULL);
    pthread_mutex_init(&server->owner_lock, NULL);
    if (open_root(server, options, why, why_size))
        return server;
    share_server_free(server);
    return NULL;
}

void share_server_reset(struct share_server *server)
{
    share_lock_drop(server, NULL);
    share_fid_remove_all(server);
    server->msize = P9_MSIZE_MIN;
}

void share_server_free(struct share_server *server)
{
    share_server_reset(server);
    if (server->root >= 0)
        close(server->root);
    pthread_mutex_destroy(&server->lock);
    pthread_mutex_destroy(&server->owner_lock);
    free(server->name);
    free(server);
}
