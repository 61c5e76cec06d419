/*
 * share_client.h - a client of the server of shared folders, for its tests: a message is begun, its fields
 * are put, and call() sends it and has the answer, whose fields get() takes. And the tree that they work in.
 */
#ifndef TESTS_UNIT_SHARE_CLIENT_H
#define TESTS_UNIT_SHARE_CLIENT_H

#include "core/log.h"
#include "host/loop.h"
#include "host/share_internal.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ROOT 1u /* the number that everything starts from */

static char folder[64], inside[96], outside[96], why[400];
static struct share_server *server;
static struct log log_;

/* The client: a message, and its answer. */
static uint8_t message[P9_MSIZE_MAX], reply[P9_MSIZE_MAX];
static size_t message_size, reply_at;

static inline void put(uint64_t value, unsigned size)
{
    for (unsigned n = 0; n < size; n++)
        message[message_size++] = (uint8_t)(value >> 8 * n);
}

static inline void put_bytes(const void *data, size_t size)
{
    memcpy(message + message_size, data, size);
    message_size += size;
}

static inline void put_text(const char *text)
{
    put(strlen(text), 2);
    put_bytes(text, strlen(text));
}

static inline void begin(uint8_t type)
{
    message_size = 0;
    put(0, 4);
    put(type, 1);
    put(7, 2);
}

static inline uint64_t get(unsigned size)
{
    uint64_t value = 0;

    for (unsigned n = 0; n < size; n++)
        value |= (uint64_t)reply[reply_at++] << 8 * n;
    return value;
}

/* Sends what was put; 0 or the errno value of the answer. */
static inline int call(void)
{
    struct iovec in = {message, message_size}, out = {reply, sizeof(reply)};
    uint8_t type = message[4];

    for (unsigned n = 0; n < 4; n++)
        message[n] = (uint8_t)(message_size >> 8 * n);
    memset(reply, 0xEE, 64);
    size_t size = share_answer(server, &in, 1, &out, 1);
    reply_at = 0;
    ck_assert_uint_ge(size, P9_HEADER);
    ck_assert_uint_eq(get(4), size);
    uint8_t answered = (uint8_t)get(1);
    ck_assert_uint_eq(get(2), 7);
    if (answered == P9_TLERROR + 1)
        return (int)get(4);
    ck_assert_uint_eq(answered, type + 1u);
    return 0;
}

static inline int version(uint32_t msize)
{
    begin(P9_TVERSION);
    put(msize, 4);
    put_text("9P2000.L");
    return call();
}

static inline int attach_as(uint32_t fid, uint32_t uid)
{
    begin(P9_TATTACH);
    put(fid, 4);
    put(P9_NOFID, 4);
    put_text("");
    put_text("");
    put(uid, 4);
    return call();
}

static inline int attach(uint32_t fid)
{
    return attach_as(fid, geteuid());
}

/* To `path`, whose parts slashes separate; "" for the same place. */
static inline int walk_from(uint32_t from, uint32_t fid, const char *path)
{
    size_t count_at;
    unsigned names = 0;

    begin(P9_TWALK);
    put(from, 4);
    put(fid, 4);
    count_at = message_size;
    put(0, 2);
    while (*path) {
        size_t length = strcspn(path, "/");
        put(length, 2);
        put_bytes(path, length);
        path += length + (path[length] == '/');
        names++;
    }
    message[count_at] = (uint8_t)names;
    int error = call();
    return error ? error : get(2) == names ? 0 : ENOENT;
}

static inline int walk(uint32_t fid, const char *path)
{
    return walk_from(ROOT, fid, path);
}

static inline int clunk(uint32_t fid)
{
    begin(P9_TCLUNK);
    put(fid, 4);
    return call();
}

static inline int lopen(uint32_t fid, uint32_t flags)
{
    begin(P9_TLOPEN);
    put(fid, 4);
    put(flags, 4);
    return call();
}

static inline int lcreate(uint32_t fid, const char *name, uint32_t flags, uint32_t mode)
{
    begin(P9_TLCREATE);
    put(fid, 4);
    put_text(name);
    put(flags, 4);
    put(mode, 4);
    put(getegid(), 4);
    return call();
}

static inline int write_at(uint32_t fid, uint64_t offset, const void *data, size_t size)
{
    begin(P9_TWRITE);
    put(fid, 4);
    put(offset, 8);
    put(size, 4);
    put_bytes(data, size);
    return call();
}

/* What was read is at reply + reply_at, `*got` bytes. */
static inline int read_at(uint32_t fid, uint64_t offset, uint32_t size, uint32_t *got)
{
    begin(P9_TREAD);
    put(fid, 4);
    put(offset, 8);
    put(size, 4);
    int error = call();
    *got = error ? 0 : (uint32_t)get(4);
    return error;
}

static inline int mkdir_in(uint32_t fid, const char *name, uint32_t mode)
{
    begin(P9_TMKDIR);
    put(fid, 4);
    put_text(name);
    put(mode, 4);
    put(getegid(), 4);
    return call();
}

static inline int symlink_in(uint32_t fid, const char *name, const char *target)
{
    begin(P9_TSYMLINK);
    put(fid, 4);
    put_text(name);
    put_text(target);
    put(getegid(), 4);
    return call();
}

static inline int mknod_in(uint32_t fid, const char *name, uint32_t mode, uint32_t major, uint32_t minor)
{
    begin(P9_TMKNOD);
    put(fid, 4);
    put_text(name);
    put(mode, 4);
    put(major, 4);
    put(minor, 4);
    put(getegid(), 4);
    return call();
}

static inline int unlink_in(uint32_t fid, const char *name, uint32_t flags)
{
    begin(P9_TUNLINKAT);
    put(fid, 4);
    put_text(name);
    put(flags, 4);
    return call();
}

static inline int rename_in(uint32_t from, const char *old, uint32_t to, const char *new)
{
    begin(P9_TRENAMEAT);
    put(from, 4);
    put_text(old);
    put(to, 4);
    put_text(new);
    return call();
}

struct attributes {
    uint8_t type;
    uint64_t path;
    uint32_t mode, uid, gid;
    uint64_t links, rdev, size;
};

static inline int getattr(uint32_t fid, struct attributes *a)
{
    begin(P9_TGETATTR);
    put(fid, 4);
    put(0x7FF, 8);
    int error = call();
    if (error)
        return error;
    ck_assert_uint_eq(get(8), 0x7FF);
    a->type = (uint8_t)get(1);
    get(4);
    a->path = get(8);
    a->mode = (uint32_t)get(4);
    a->uid = (uint32_t)get(4);
    a->gid = (uint32_t)get(4);
    a->links = get(8);
    a->rdev = get(8);
    a->size = get(8);
    return 0;
}

static inline int setattr(uint32_t fid, uint32_t valid, uint32_t mode, uint32_t uid, uint32_t gid,
                          uint64_t size)
{
    begin(P9_TSETATTR);
    put(fid, 4);
    put(valid, 4);
    put(mode, 4);
    put(uid, 4);
    put(gid, 4);
    put(size, 8);
    put(0, 8);
    put(0, 8);
    put(1234567890, 8);
    put(5, 8);
    return call();
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void make_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    ck_assert(file != NULL);
    fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
}

static inline const char *in(const char *name)
{
    static char path[400];

    snprintf(path, sizeof(path), "%s/%s", inside, name);
    return path;
}

static inline void serve(bool read_only, enum share_owners owners)
{
    struct host_share_options options = {
        .tag = "t", .path = inside, .read_only = read_only, .owners = owners};

    share_server_free(server);
    server = share_server_new(&options, &log_, why, sizeof(why));
    ck_assert_msg(server != NULL, "%s", why);
    ck_assert_int_eq(version(P9_MSIZE_MAX), 0);
    ck_assert_int_eq(attach(ROOT), 0);
}

/*
 *     FOLDER/secret          what must not be reached
 *     FOLDER/inside/         shared
 *         file  dir/deep/leaf  up -> ..  absolute -> FOLDER/secret  loop -> loop  to_dir -> dir
 */
static inline void setup(void)
{
    log_init(&log_, NULL);
    log_.enabled = 0;
    strcpy(folder, "/var/tmp/oxbow-share-XXXXXX"); /* not a tmpfs: those came late to extended attributes */
    ck_assert(mkdtemp(folder) != NULL);
    snprintf(inside, sizeof(inside), "%s/inside", folder);
    snprintf(outside, sizeof(outside), "%s/secret", folder);
    make_file(outside, "secret");
    ck_assert_int_eq(mkdir(inside, 0755), 0);
    make_file(in("file"), "contents");
    ck_assert_int_eq(mkdir(in("dir"), 0755), 0);
    ck_assert_int_eq(mkdir(in("dir/deep"), 0755), 0);
    make_file(in("dir/deep/leaf"), "leaf");
    ck_assert_int_eq(symlink("..", in("up")), 0);
    ck_assert_int_eq(symlink(outside, in("absolute")), 0);
    ck_assert_int_eq(symlink("loop", in("loop")), 0);
    ck_assert_int_eq(symlink("dir", in("to_dir")), 0);
    server = NULL;
    struct host_share_options options = {.tag = "t", .path = inside};
    server = share_server_new(&options, &log_, why, sizeof(why));
    ck_assert_msg(server != NULL, "%s", why);
    ck_assert_int_eq(version(P9_MSIZE_MAX), 0);
    ck_assert_int_eq(attach(ROOT), 0);
}

static inline void teardown(void)
{
    share_server_free(server);
    server = NULL;
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static inline int xattr_write(uint32_t fid, const char *name, const char *value, uint32_t flags)
{
    ck_assert_int_eq(walk_from(fid, 50, ""), 0);
    begin(P9_TXATTRCREATE);
    put(50, 4);
    put_text(name);
    put(strlen(value), 8);
    put(flags, 4);
    int error = call();
    if (!error && *value)
        error = write_at(50, 0, value, strlen(value));
    int end = clunk(50);
    return error ? error : end;
}

static inline int xattr_read(uint32_t fid, const char *name, char *value, uint32_t *size)
{
    begin(P9_TXATTRWALK);
    put(fid, 4);
    put(51, 4);
    put_text(name);
    int error = call();
    if (error)
        return error;
    uint64_t whole = get(8);
    ck_assert_int_eq(read_at(51, 0, 4096, size), 0);
    ck_assert_uint_eq(whole, *size);
    memcpy(value, reply + reply_at, *size);
    ck_assert_int_eq(clunk(51), 0);
    return 0;
}

static inline int lock_as(uint32_t process, uint8_t type, uint64_t start, uint64_t length, uint32_t fid)
{
    begin(P9_TLOCK);
    put(fid, 4);
    put(type, 1);
    put(0, 4);
    put(start, 8);
    put(length, 8);
    put(process, 4);
    put_text("client");
    int error = call();
    return error ? -error : (int)get(1);
}

#endif
