/*
 * share_internal.h - the 9P2000.L server over a host folder, without threads: a message in, an answer out.
 * Any number of threads may call share_answer() at once. For host/share*.c and their tests.
 *
 *     share_server.c   the session: which message is whose; version, attach, walk, clunk
 *     share_message.c  reading messages and writing answers, bounds checked
 *     share_fid.c      what the client's numbers stand for, and how many host descriptors that may take
 *     share_tree.c     opening things so that no path leads out
 *     share_create.c   names: made, renamed, removed
 *     share_file.c     contents: open, read, write, list
 *     share_attr.c     sizes, times, owners, modes, the file system; extended attributes
 *     share_owner.c    owners and modes that the host can't or shall not keep
 *     share_lock.c     locks
 */
#ifndef HOST_SHARE_INTERNAL_H
#define HOST_SHARE_INTERNAL_H

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "host/share.h"

#define P9_NOFID        UINT32_MAX
#define P9_NOTAG        UINT16_MAX
#define P9_NOUID        UINT32_MAX
#define P9_HEADER       7 /* size[4] type[1] tag[2] */
#define P9_IO_HEADER    (P9_HEADER + 4)
#define P9_QID_SIZE     13
#define P9_MSIZE_MIN    4096u
#define P9_MSIZE_MAX    (512u << 10)
#define P9_WALK_MAX     16
#define SHARE_XATTR_MAX 65536u /* what the kernel takes */

/* Types of messages; the answer to one is one more. */
enum p9_type {
    P9_TLERROR = 6,
    P9_TSTATFS = 8,
    P9_TLOPEN = 12,
    P9_TLCREATE = 14,
    P9_TSYMLINK = 16,
    P9_TMKNOD = 18,
    P9_TRENAME = 20,
    P9_TREADLINK = 22,
    P9_TGETATTR = 24,
    P9_TSETATTR = 26,
    P9_TXATTRWALK = 30,
    P9_TXATTRCREATE = 32,
    P9_TREADDIR = 40,
    P9_TFSYNC = 50,
    P9_TLOCK = 52,
    P9_TGETLOCK = 54,
    P9_TLINK = 70,
    P9_TMKDIR = 72,
    P9_TRENAMEAT = 74,
    P9_TUNLINKAT = 76,
    P9_TVERSION = 100,
    P9_TATTACH = 104,
    P9_TFLUSH = 108,
    P9_TWALK = 110,
    P9_TREAD = 116,
    P9_TWRITE = 118,
    P9_TCLUNK = 120,
    P9_TREMOVE = 122,
};

/* An extended attribute while the client reads it, or until the client has written it. */
struct share_xattr {
    bool writing;
    char name[XATTR_NAME_MAX + 1];
    int flags;
    size_t size, filled;
    uint8_t value[];
};

/*
 * What one of the client's numbers stands for: a place in the folder, maybe opened, or an extended attribute.
 * `path` is an O_PATH descriptor, or -1 while there are too many; then `where` is its path from the folder
 * on.
 */
struct share_fid {
    uint32_t number;
    unsigned refs;                   /* the table's, and a request's that uses it; server->lock */
    bool listed;                     /* the table has it; server->lock */
    struct share_fid *next;          /* of the same hash */
    struct share_fid *older, *newer; /* among those with a descriptor, by their last use; server->lock */
    pthread_rwlock_t lock;           /* written by whoever changes what follows or uses `file`'s position */
    int path, file;                  /* file: opened for reading or writing, -1: not */
    char *where;                     /* with server->lock, too */
    dev_t dev;
    ino_t ino;
    uint32_t uid; /* who attached; P9_NOUID: nobody special */
    struct share_xattr *xattr;
};

#define SHARE_FID_BUCKETS 1024
#define SHARE_FIDS_MAX    (1u << 18)
#define SHARE_DEVICES     32

struct share_lock;

struct share_server {
    int root;
    char *name; /* of the folder, for messages */
    bool read_only;
    enum share_owners owners;
    uid_t host_uid;
    gid_t host_gid;
    dev_t root_dev;
    ino_t root_ino;
    struct log *log;
    uint32_t msize; /* atomic */

    pthread_mutex_t lock; /* for all below */
    struct share_fid *buckets[SHARE_FID_BUCKETS];
    struct share_fid *oldest, *newest;
    unsigned fids, paths, paths_max; /* paths: those with a descriptor */
    bool complained;
    dev_t devices[SHARE_DEVICES]; /* file systems seen below the folder, other than its own */
    unsigned device_count;
    struct share_lock *locks;
    unsigned lock_count;

    pthread_mutex_t owner_lock; /* changing what share_owner.c keeps: read, change, write */
};

/* A message being answered. */
struct share_message {
    struct share_server *server;
    const uint8_t *in; /* all of it, but for a write only what precedes the bytes to write */
    size_t in_size, at;
    int error; /* the first thing wrong with it, an errno value */
    const struct iovec *in_iov, *out_iov;
    unsigned in_count, out_count;
    size_t in_total; /* bytes in in_iov */
    size_t room;     /* for the answer */
    size_t payload;  /* bytes of the answer that are in out_iov already, behind those in out[] */
    size_t out_size;
    uint8_t out[6144]; /* the answer, from its header on; nothing but what is read is longer */
};

/* share_server.c */
struct share_server *share_server_new(const struct host_share_options *options, struct log *log, char *why,
                                      size_t why_size);
void share_server_free(struct share_server *server);
/* Forgets the client: nothing is under way. */
void share_server_reset(struct share_server *server);
/* Returns the answer's size; 0 when `in` is no message or `out` has no room for any answer. */
size_t share_answer(struct share_server *server, const struct iovec *in, unsigned in_count,
                    const struct iovec *out, unsigned out_count);

/* share_message.c. The header's fields, from the first bytes; false when these aren't a header. */
bool share_read_header(const struct iovec *in, unsigned count, uint8_t *type, uint16_t *tag,
                       uint16_t *old_tag);
size_t share_iov_size(const struct iovec *iov, unsigned count);
/* Copies up to `size` bytes out of, or into, the pieces from byte `from` on; returns how many. */
size_t share_gather(void *data, size_t size, const struct iovec *iov, unsigned count, size_t from);
size_t share_scatter(const struct iovec *iov, unsigned count, size_t from, const void *data, size_t size);
/* The pieces of `size` bytes from `from` on, at most IOV_MAX of them; returns how many pieces. */
unsigned share_slice(struct iovec *slice, const struct iovec *iov, unsigned count, size_t from, size_t size);

/* What is missing or wrong sets m->error, and reads as 0 or "". */
uint8_t share_get8(struct share_message *m);
uint16_t share_get16(struct share_message *m);
uint32_t share_get32(struct share_message *m);
uint64_t share_get64(struct share_message *m);
void share_get_string(struct share_message *m, char *text, size_t size);
/* A file's name: one component, and neither "." nor "..". */
struct share_name {
    char text[NAME_MAX + 1];
};
void share_get_name(struct share_message *m, struct share_name *name);

void share_put8(struct share_message *m, uint8_t value);
void share_put16(struct share_message *m, uint16_t value);
void share_put32(struct share_message *m, uint32_t value);
void share_put64(struct share_message *m, uint64_t value);
void share_put_string(struct share_message *m, const char *text, size_t size);
void share_put_qid(struct share_message *m, const struct stat *st);
/* What a file is identified by. */
uint64_t share_qid_path(struct share_server *server, dev_t dev, ino_t ino);
uint8_t share_qid_type(mode_t mode);

/*
 * share_fid.c. Takes the fid that the message names next, its path open and its lock held for reading or
 * writing; NULL with m->error when there is none. share_fid_put() gives it back; NULL is fine.
 */
struct share_fid *share_fid_read(struct share_message *m);
struct share_fid *share_fid_write(struct share_message *m);
/* As for writing, but what it stands for may not be found again: then its path is -1. */
struct share_fid *share_fid_last(struct share_message *m);
void share_fid_put(struct share_server *server, struct share_fid *fid);
/* A new fid for `path`, a descriptor that is its from then on, even when it fails (an errno value). */
int share_fid_add(struct share_server *server, uint32_t number, int path, uint32_t uid,
                  struct share_xattr *xattr);
/* Another place for a fid that is locked for writing; takes `path` as share_fid_add() does. */
int share_fid_move(struct share_server *server, struct share_fid *fid, int path);
bool share_fid_known(struct share_server *server, uint32_t number);
/* Takes it out of the table; it goes when nobody uses it. */
void share_fid_remove(struct share_server *server, struct share_fid *fid);
void share_fid_remove_all(struct share_server *server);
/* Closes some descriptors that can be opened again; false when there were none. */
bool share_fid_spare(struct share_server *server);
/* With server->lock: what was at one path is at another now. */
void share_fid_renamed(struct share_server *server, const char *from, const char *to);

/* share_tree.c. All return a descriptor, or a negative errno value. O_PATH, of whatever is there, links
 * included: */
int share_open_child(struct share_server *server, int dir, const char *name);
int share_open_parent(struct share_server *server, int dir);
int share_open_where(struct share_server *server, const char *where);
int share_duplicate(struct share_server *server, int fd);
/* What an O_PATH descriptor leads to, opened: a regular file or a folder, nothing else. */
int share_reopen(struct share_server *server, int path, int flags);
/* A path for calls that take no descriptor; it leads to what the descriptor is of. */
struct share_proc_path {
    char text[32];
};
struct share_proc_path share_proc_path(int fd);
/* Where it is, from the folder on, "" for the folder itself; false when that can't be said (any more). */
bool share_where(const struct share_server *server, int fd, char *where, size_t size);
/* Its parent and its name there; the parent's descriptor, or a negative errno value. */
int share_locate(struct share_server *server, int fd, struct share_name *name);
/* After a call that failed with this errno value for want of descriptors: whether to try it again. */
bool share_try_again(struct share_server *server, int error, unsigned *tries);

/* share_owner.c. All return 0 or an errno value; `path` is any descriptor, O_PATH or not. */
#define SHARE_OWNER_XATTR  "user.oxbow.owner"
#define SHARE_HIDDEN       "user.oxbow."
#define SHARE_OTHERS_XATTR "user.oxbow.other."
/* What the guest sees. */
int share_stat(struct share_server *server, int path, struct stat *st);
/* New owner, group (-1: as it is) and mode (permissions; -1: as they are) as the guest sees them. */
int share_set_owner(struct share_server *server, int path, uint32_t uid, uint32_t gid, int mode);
/* The same for what was just made for a client; `mode` with the type and `rdev` of what it is to be. */
int share_own(struct share_server *server, int path, uint32_t uid, uint32_t gid, mode_t mode, dev_t rdev);
/* Whether the host is to make such a node; otherwise a regular file stands for it. */
bool share_keeps_node(const struct share_server *server, mode_t mode);
/* A file that the host user may not open although it is his: the guest's root could. True: try again. */
bool share_permit(struct share_server *server, int path, bool write);

/* share_lock.c */
void share_lock_drop(struct share_server *server, const struct share_fid *fid); /* NULL: all */

/* Those that answer: 0 or an errno value. */
typedef int share_handler(struct share_message *m);
share_handler share_symlink, share_mknod, share_mkdir, share_link, share_rename, share_renameat,
    share_unlinkat, share_remove, share_lcreate;
share_handler share_lopen, share_read, share_write, share_readdir, share_fsync, share_readlink;
share_handler share_getattr, share_setattr, share_statfs, share_xattrwalk, share_xattrcreate;
share_handler share_lock, share_getlock;
/* A clunk of an attribute that was written: sets it. */
int share_xattr_set(struct share_server *server, const struct share_fid *fid);

#endif
