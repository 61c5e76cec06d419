/* Shared folders: what 9P2000.L messages do to the folder, and what hostile ones can't. */
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

static void put(uint64_t value, unsigned size)
{
    for (unsigned n = 0; n < size; n++)
        message[message_size++] = (uint8_t)(value >> 8 * n);
}

static void put_bytes(const void *data, size_t size)
{
    memcpy(message + message_size, data, size);
    message_size += size;
}

static void put_text(const char *text)
{
    put(strlen(text), 2);
    put_bytes(text, strlen(text));
}

static void begin(uint8_t type)
{
    message_size = 0;
    put(0, 4);
    put(type, 1);
    put(7, 2);
}

static uint64_t get(unsigned size)
{
    uint64_t value = 0;

    for (unsigned n = 0; n < size; n++)
        value |= (uint64_t)reply[reply_at++] << 8 * n;
    return value;
}

/* Sends what was put; 0 or the errno value of the answer. */
static int call(void)
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

static int version(uint32_t msize)
{
    begin(P9_TVERSION);
    put(msize, 4);
    put_text("9P2000.L");
    return call();
}

static int attach_as(uint32_t fid, uint32_t uid)
{
    begin(P9_TATTACH);
    put(fid, 4);
    put(P9_NOFID, 4);
    put_text("");
    put_text("");
    put(uid, 4);
    return call();
}

static int attach(uint32_t fid)
{
    return attach_as(fid, geteuid());
}

/* To `path`, whose parts slashes separate; "" for the same place. */
static int walk_from(uint32_t from, uint32_t fid, const char *path)
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

static int walk(uint32_t fid, const char *path)
{
    return walk_from(ROOT, fid, path);
}

static int clunk(uint32_t fid)
{
    begin(P9_TCLUNK);
    put(fid, 4);
    return call();
}

static int lopen(uint32_t fid, uint32_t flags)
{
    begin(P9_TLOPEN);
    put(fid, 4);
    put(flags, 4);
    return call();
}

static int lcreate(uint32_t fid, const char *name, uint32_t flags, uint32_t mode)
{
    begin(P9_TLCREATE);
    put(fid, 4);
    put_text(name);
    put(flags, 4);
    put(mode, 4);
    put(getegid(), 4);
    return call();
}

static int write_at(uint32_t fid, uint64_t offset, const void *data, size_t size)
{
    begin(P9_TWRITE);
    put(fid, 4);
    put(offset, 8);
    put(size, 4);
    put_bytes(data, size);
    return call();
}

/* What was read is at reply + reply_at, `*got` bytes. */
static int read_at(uint32_t fid, uint64_t offset, uint32_t size, uint32_t *got)
{
    begin(P9_TREAD);
    put(fid, 4);
    put(offset, 8);
    put(size, 4);
    int error = call();
    *got = error ? 0 : (uint32_t)get(4);
    return error;
}

static int mkdir_in(uint32_t fid, const char *name, uint32_t mode)
{
    begin(P9_TMKDIR);
    put(fid, 4);
    put_text(name);
    put(mode, 4);
    put(getegid(), 4);
    return call();
}

static int symlink_in(uint32_t fid, const char *name, const char *target)
{
    begin(P9_TSYMLINK);
    put(fid, 4);
    put_text(name);
    put_text(target);
    put(getegid(), 4);
    return call();
}

static int mknod_in(uint32_t fid, const char *name, uint32_t mode, uint32_t major, uint32_t minor)
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

static int unlink_in(uint32_t fid, const char *name, uint32_t flags)
{
    begin(P9_TUNLINKAT);
    put(fid, 4);
    put_text(name);
    put(flags, 4);
    return call();
}

static int rename_in(uint32_t from, const char *old, uint32_t to, const char *new)
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

static int getattr(uint32_t fid, struct attributes *a)
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

static int setattr(uint32_t fid, uint32_t valid, uint32_t mode, uint32_t uid, uint32_t gid, uint64_t size)
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

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void make_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    ck_assert(file != NULL);
    fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
}

static const char *in(const char *name)
{
    static char path[400];

    snprintf(path, sizeof(path), "%s/%s", inside, name);
    return path;
}

static void serve(bool read_only, enum share_owners owners)
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
static void setup(void)
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

static void teardown(void)
{
    share_server_free(server);
    server = NULL;
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* --- What it is for */

START_TEST(version_is_agreed)
{
    ck_assert_int_eq(version(8192), 0);
    ck_assert_uint_eq(get(4), 8192);
    ck_assert_uint_eq(get(2), 8);
    ck_assert_int_eq(memcmp(reply + reply_at, "9P2000.L", 8), 0);
    /* A new session has nothing of the old one. */
    ck_assert_int_eq(walk(2, ""), EBADF);

    ck_assert_int_eq(version(1u << 30), 0);
    ck_assert_uint_eq(get(4), P9_MSIZE_MAX);
    ck_assert_int_eq(version(100), EMSGSIZE);
    begin(P9_TVERSION);
    put(8192, 4);
    put_text("9P2000");
    ck_assert_int_eq(call(), 0);
    get(4);
    ck_assert_uint_eq(get(2), 7);
    ck_assert_int_eq(memcmp(reply + reply_at, "unknown", 7), 0);
}
END_TEST

START_TEST(files_are_read_and_written)
{
    struct attributes a;
    uint32_t got;
    char text[32] = {0};

    ck_assert_int_eq(walk(2, "file"), 0);
    ck_assert_int_eq(getattr(2, &a), 0);
    ck_assert_uint_eq(a.size, 8);
    ck_assert_uint_eq(a.type, 0);
    ck_assert(S_ISREG(a.mode));
    ck_assert_int_eq(read_at(2, 0, 100, &got), EBADF); /* not open */
    ck_assert_int_eq(lopen(2, O_RDWR), 0);
    ck_assert_int_eq(lopen(2, O_RDWR), EINVAL);
    ck_assert_int_eq(read_at(2, 3, 100, &got), 0);
    ck_assert_uint_eq(got, 5);
    ck_assert_int_eq(memcmp(reply + reply_at, "tents", 5), 0);
    ck_assert_int_eq(read_at(2, 8, 100, &got), 0);
    ck_assert_uint_eq(got, 0);
    ck_assert_int_eq(write_at(2, 6, "NTS, more", 9), 0);
    ck_assert_uint_eq(get(4), 9);
    begin(P9_TFSYNC);
    put(2, 4);
    put(0, 4);
    ck_assert_int_eq(call(), 0);
    FILE *file = fopen(in("file"), "r");
    ck_assert(file != NULL && fgets(text, sizeof(text), file));
    fclose(file);
    ck_assert_str_eq(text, "contenNTS, more");
    ck_assert_int_eq(clunk(2), 0);
    ck_assert_int_eq(clunk(2), EBADF);
}
END_TEST

START_TEST(files_and_folders_are_made_with_their_mode)
{
    struct stat st;

    ck_assert_int_eq(walk(2, ""), 0);
    ck_assert_int_eq(lcreate(2, "new", O_WRONLY | O_CREAT | O_EXCL, 0646), 0);
    ck_assert_int_eq(write_at(2, 0, "x", 1), 0);
    ck_assert_int_eq(stat(in("new"), &st), 0);
    ck_assert_uint_eq(st.st_mode, S_IFREG | 0646); /* whatever our umask is */
    ck_assert_uint_eq(st.st_size, 1);
    ck_assert_int_eq(clunk(2), 0);
    ck_assert_int_eq(walk(2, ""), 0);
    ck_assert_int_eq(lcreate(2, "new", O_WRONLY | O_CREAT | O_EXCL, 0600), EEXIST);
    ck_assert_int_eq(lcreate(2, "new", O_RDWR | O_CREAT, 0600), 0); /* that is an open */

    ck_assert_int_eq(mkdir_in(ROOT, "folder", 01777), 0);
    ck_assert_int_eq(stat(in("folder"), &st), 0);
    ck_assert_uint_eq(st.st_mode, S_IFDIR | 01777);
    ck_assert_int_eq(mkdir_in(ROOT, "folder", 0755), EEXIST);
    ck_assert_int_eq(unlink_in(ROOT, "folder", 0), EISDIR);
    ck_assert_int_eq(unlink_in(ROOT, "folder", AT_REMOVEDIR), 0);
    ck_assert_int_eq(unlink_in(ROOT, "new", 0), 0);
    ck_assert_int_lt(stat(in("new"), &st), 0);
}
END_TEST

START_TEST(links_are_handed_over)
{
    struct attributes a;
    struct stat st;

    ck_assert_int_eq(walk(2, "up"), 0);
    ck_assert_int_eq(getattr(2, &a), 0);
    ck_assert_uint_eq(a.type, 2);
    ck_assert(S_ISLNK(a.mode));
    begin(P9_TREADLINK);
    put(2, 4);
    ck_assert_int_eq(call(), 0);
    ck_assert_uint_eq(get(2), 2);
    ck_assert_int_eq(memcmp(reply + reply_at, "..", 2), 0);
    ck_assert_int_eq(symlink_in(ROOT, "new", "/etc/passwd"), 0);
    ck_assert_int_eq(lstat(in("new"), &st), 0);
    ck_assert(S_ISLNK(st.st_mode));
    ck_assert_uint_eq(st.st_size, 11);

    begin(P9_TREADLINK);
    put(ROOT, 4);
    ck_assert_int_eq(call(), EINVAL);

    /* A second name for a file, and for a link itself. */
    ck_assert_int_eq(walk(3, "file"), 0);
    begin(P9_TLINK);
    put(ROOT, 4);
    put(3, 4);
    put_text("again");
    ck_assert_int_eq(call(), 0);
    ck_assert_int_eq(stat(in("again"), &st), 0);
    ck_assert_uint_eq(st.st_nlink, 2);
    begin(P9_TLINK);
    put(ROOT, 4);
    put(2, 4);
    put_text("up2");
    ck_assert_int_eq(call(), 0);
    ck_assert_int_eq(lstat(in("up2"), &st), 0);
    ck_assert(S_ISLNK(st.st_mode));
}
END_TEST

START_TEST(things_are_renamed)
{
    struct attributes a;
    struct stat st;

    ck_assert_int_eq(walk(2, "dir/deep"), 0);
    ck_assert_int_eq(rename_in(2, "leaf", ROOT, "moved"), 0);
    ck_assert_int_eq(stat(in("moved"), &st), 0);
    ck_assert_int_eq(walk(3, "moved"), 0);
    begin(P9_TRENAME);
    put(3, 4);
    put(2, 4);
    put_text("back");
    ck_assert_int_eq(call(), 0);
    ck_assert_int_eq(stat(in("dir/deep/back"), &st), 0);
    /* What is open, or just known, stays what it is. */
    ck_assert_int_eq(getattr(3, &a), 0);
    ck_assert_uint_eq(a.size, 4);
    begin(P9_TREMOVE);
    put(3, 4);
    ck_assert_int_eq(call(), 0);
    ck_assert_int_lt(stat(in("dir/deep/back"), &st), 0);
    ck_assert_int_eq(clunk(3), EBADF);
    begin(P9_TREMOVE);
    put(ROOT, 4);
    ck_assert_int_eq(call(), EBUSY);
}
END_TEST

START_TEST(what_is_unlinked_lives_while_it_is_known)
{
    struct attributes a;
    uint32_t got;

    ck_assert_int_eq(walk(2, "file"), 0);
    ck_assert_int_eq(walk(3, "file"), 0);
    ck_assert_int_eq(lopen(3, O_RDWR), 0);
    ck_assert_int_eq(unlink_in(ROOT, "file", 0), 0);
    ck_assert_int_eq(getattr(2, &a), 0);
    ck_assert_uint_eq(a.links, 0);
    ck_assert_int_eq(read_at(3, 0, 8, &got), 0);
    ck_assert_uint_eq(got, 8);
    ck_assert_int_eq(setattr(2, 8, 0, 0, 0, 3), 0);
    ck_assert_int_eq(getattr(3, &a), 0);
    ck_assert_uint_eq(a.size, 3);
}
END_TEST

START_TEST(folders_are_listed)
{
    char name[300];
    uint64_t offset = 0;
    unsigned entries = 0, turns = 0;

    for (unsigned n = 0; n < 500; n++) {
        snprintf(name, sizeof(name), "dir/%0*u", 1 + (int)n % 200, n);
        make_file(in(name), "");
    }
    ck_assert_int_eq(walk(2, "dir"), 0);
    ck_assert_int_eq(lopen(2, O_RDONLY | 0200000), 0);
    for (;;) {
        begin(P9_TREADDIR);
        put(2, 4);
        put(offset, 8);
        put(700, 4);
        ck_assert_int_eq(call(), 0);
        uint32_t size = (uint32_t)get(4);
        ck_assert_uint_le(size, 700);
        if (!size)
            break;
        for (size_t end = reply_at + size; reply_at < end; entries++) {
            get(5);
            get(8);
            offset = get(8);
            get(1);
            reply_at += get(2);
            ck_assert_uint_le(reply_at, end);
        }
        turns++;
    }
    ck_assert_uint_eq(entries, 500 + 3); /* with ".", ".." and deep */
    ck_assert_uint_gt(turns, 50);
    begin(P9_TREADDIR); /* no room for one */
    put(2, 4);
    put(0, 8);
    put(10, 4);
    ck_assert_int_eq(call(), EINVAL);
    begin(P9_TREADDIR); /* no place in it */
    put(2, 4);
    put(UINT64_MAX, 8);
    put(4000, 4);
    ck_assert_int_eq(call(), EINVAL);
}
END_TEST

START_TEST(attributes_are_set)
{
    struct stat st;

    ck_assert_int_eq(walk(2, "file"), 0);
    ck_assert_int_eq(setattr(2, 1 | 8 | 0x20 | 0x100, 0604, 0, 0, 2), 0);
    ck_assert_int_eq(stat(in("file"), &st), 0);
    ck_assert_uint_eq(st.st_mode, S_IFREG | 0604);
    ck_assert_uint_eq(st.st_size, 2);
    ck_assert_int_eq(st.st_mtim.tv_sec, 1234567890);
    ck_assert_int_eq(st.st_mtim.tv_nsec, 5);
    begin(P9_TSTATFS);
    put(2, 4);
    ck_assert_int_eq(call(), 0);
    ck_assert_uint_eq(get(4), 0x01021997);
    ck_assert_uint_gt(get(4), 0);
    ck_assert_uint_gt(get(8), 0);
}
END_TEST

static int xattr_write(uint32_t fid, const char *name, const char *value, uint32_t flags)
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

static int xattr_read(uint32_t fid, const char *name, char *value, uint32_t *size)
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

START_TEST(extended_attributes_are_kept)
{
    char value[4096];
    uint32_t size;

    if (!host_share_can_map(inside))
        return;
    ck_assert_int_eq(walk(2, "file"), 0);
    ck_assert_int_eq(xattr_read(2, "user.a", value, &size), ENODATA);
    ck_assert_int_eq(xattr_write(2, "user.a", "something", 0), 0);
    ck_assert_int_eq(getxattr(in("file"), "user.a", value, sizeof(value)), 9);
    ck_assert_int_eq(xattr_read(2, "user.a", value, &size), 0);
    ck_assert_uint_eq(size, 9);
    ck_assert_int_eq(memcmp(value, "something", 9), 0);
    ck_assert_int_eq(xattr_read(2, "", value, &size), 0);
    ck_assert_int_eq(memcmp(value, "user.a", 7), 0);
    ck_assert_int_eq(xattr_write(2, "user.a", "x", XATTR_CREATE), EEXIST);
    ck_assert_int_eq(xattr_write(2, "user.b", "x", XATTR_REPLACE), ENODATA);
    ck_assert_int_eq(xattr_write(2, "user.c", "", 0), 0);
    ck_assert_int_eq(getxattr(in("file"), "user.c", value, sizeof(value)), 0);
    ck_assert_int_eq(xattr_write(2, "user.a", "", XATTR_REPLACE), 0); /* that removes it */
    ck_assert_int_lt(getxattr(in("file"), "user.a", value, sizeof(value)), 0);
    /* Larger than it was said to be, and not complete. */
    ck_assert_int_eq(walk_from(2, 50, ""), 0);
    begin(P9_TXATTRCREATE);
    put(50, 4);
    put_text("user.d");
    put(4, 8);
    put(0, 4);
    ck_assert_int_eq(call(), 0);
    ck_assert_int_eq(write_at(50, 0, "12345", 5), EINVAL);
    ck_assert_int_eq(write_at(50, 2, "12", 2), EINVAL);
    ck_assert_int_eq(write_at(50, 0, "123", 3), 0);
    ck_assert_int_eq(clunk(50), EINVAL);
    ck_assert_int_eq(walk_from(2, 50, ""), 0);
    begin(P9_TXATTRCREATE);
    put(50, 4);
    put_text("user.e");
    put(1ull << 40, 8);
    put(0, 4);
    ck_assert_int_eq(call(), E2BIG);
}
END_TEST

static int lock_as(uint32_t process, uint8_t type, uint64_t start, uint64_t length, uint32_t fid)
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

START_TEST(locks_hold_against_the_host_and_other_processes)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(in("file"), O_RDWR);

    ck_assert_int_eq(walk(2, "file"), 0);
    ck_assert_int_eq(lock_as(1, 1, 0, 0, 2), -EBADF);
    ck_assert_int_eq(lopen(2, O_RDWR), 0);
    ck_assert_int_eq(walk(3, "file"), 0);
    ck_assert_int_eq(lopen(3, O_RDWR), 0);
    ck_assert_int_eq(lock_as(1, 1, 0, 4, 2), 0);
    ck_assert_int_eq(lock_as(1, 1, 0, 8, 3), 0); /* the same process, by another number */
    ck_assert_int_eq(lock_as(2, 0, 4, 1, 3), 1); /* another: it would have to wait */
    ck_assert_int_lt(fcntl(fd, F_OFD_SETLK, &whole), 0);
    begin(P9_TGETLOCK);
    put(3, 4);
    put(1, 1);
    put(2, 8);
    put(0, 8);
    put(2, 4);
    put_text("client");
    ck_assert_int_eq(call(), 0);
    ck_assert_uint_eq(get(1), 1);
    ck_assert_uint_eq(get(8), 0);
    ck_assert_uint_eq(get(8), 8);
    ck_assert_int_eq(lock_as(1, 2, 0, 0, 2), 0);
    ck_assert_int_eq(fcntl(fd, F_OFD_SETLK, &whole), 0);
    ck_assert_int_eq(lock_as(1, 0, 0, 1, 2), 1);
    close(fd);
    /* With its number a lock goes. */
    ck_assert_int_eq(lock_as(5, 1, 0, 0, 3), 0);
    ck_assert_int_eq(clunk(3), 0);
    ck_assert_int_eq(lock_as(6, 1, 0, 0, 2), 0);
    ck_assert_int_eq(lock_as(6, 1, UINT64_MAX, 1, 2), -EINVAL);
    ck_assert_int_eq(lock_as(6, 9, 0, 1, 2), -EINVAL);
}
END_TEST

/* --- What must not be possible */

START_TEST(no_way_leads_out)
{
    struct attributes root, a;

    ck_assert_int_eq(getattr(ROOT, &root), 0);
    ck_assert_int_eq(walk(2, ".."), 0);
    ck_assert_int_eq(getattr(2, &a), 0);
    ck_assert_uint_eq(a.path, root.path); /* it is its own parent */
    ck_assert_int_eq(clunk(2), 0);
    ck_assert_int_eq(walk(2, "dir/../../../.."), 0);
    ck_assert_int_eq(getattr(2, &a), 0);
    ck_assert_uint_eq(a.path, root.path);
    ck_assert_int_eq(clunk(2), 0);
    ck_assert_int_eq(walk(2, "../secret"), ENOENT);
    ck_assert_int_eq(walk(2, "up/secret"), ENOENT); /* a link is no folder */
    ck_assert_int_eq(walk(2, "to_dir/deep"), ENOENT);
    ck_assert_int_eq(walk(2, "absolute"), 0); /* the link itself, which can't be opened */
    ck_assert_int_eq(lopen(2, O_RDONLY), ELOOP);
    ck_assert_int_ne(setattr(2, 8, 0, 0, 0, 0), 0);
    ck_assert_int_eq(clunk(2), 0);
    ck_assert_int_eq(walk(2, "loop"), 0);
    ck_assert_int_eq(lopen(2, O_RDWR), ELOOP);
    ck_assert_int_eq(access(outside, F_OK), 0);
}
END_TEST

/* Names that are more than a name, in each message that has one. */
START_TEST(names_are_names)
{
    static const char *const names[] = {"",        ".",  "..", "../secret", "dir/../../secret", "/etc/passwd",
                                        "dir/new", "a/", "/"};
    struct stat st;

    for (size_t n = 0; n < sizeof(names) / sizeof(*names); n++) {
        const char *name = names[n];

        if (strcmp(name, "..")) {
            begin(P9_TWALK);
            put(ROOT, 4);
            put(2, 4);
            put(1, 2);
            put_text(name);
            ck_assert_int_eq(call(), ENOENT);
        }
        ck_assert_int_eq(walk(3, ""), 0);
        ck_assert_int_eq(lcreate(3, name, O_RDWR | O_CREAT, 0644), EINVAL);
        ck_assert_int_eq(clunk(3), 0);
        ck_assert_int_eq(mkdir_in(ROOT, name, 0755), EINVAL);
        ck_assert_int_eq(symlink_in(ROOT, name, "x"), EINVAL);
        ck_assert_int_eq(mknod_in(ROOT, name, S_IFREG | 0644, 0, 0), EINVAL);
        ck_assert_int_eq(unlink_in(ROOT, name, 0), EINVAL);
        ck_assert_int_eq(unlink_in(ROOT, name, AT_REMOVEDIR), EINVAL);
        ck_assert_int_eq(rename_in(ROOT, name, ROOT, "x"), EINVAL);
        ck_assert_int_eq(rename_in(ROOT, "file", ROOT, name), EINVAL);
        ck_assert_int_eq(walk(3, "file"), 0);
        begin(P9_TLINK);
        put(ROOT, 4);
        put(3, 4);
        put_text(name);
        ck_assert_int_eq(call(), EINVAL);
        begin(P9_TRENAME);
        put(3, 4);
        put(ROOT, 4);
        put_text(name);
        ck_assert_int_eq(call(), EINVAL);
        ck_assert_int_eq(clunk(3), 0);
    }
    begin(P9_TMKDIR); /* with a NUL in it */
    put(ROOT, 4);
    put(3, 2);
    put_bytes("a\0b", 3);
    put(0755, 4);
    put(0, 4);
    ck_assert_int_eq(call(), EINVAL);
    char longest[NAME_MAX + 2];
    memset(longest, 'x', sizeof(longest));
    longest[NAME_MAX + 1] = 0;
    ck_assert_int_eq(mkdir_in(ROOT, longest, 0755), ENAMETOOLONG);
    longest[NAME_MAX] = 0;
    ck_assert_int_eq(mkdir_in(ROOT, longest, 0755), 0);
    ck_assert_int_eq(stat(in("file"), &st), 0);
}
END_TEST

/* A link that is put in a folder's or file's place, between any two messages, isn't followed. */
START_TEST(places_that_become_links_stay_places)
{
    struct attributes a;
    uint32_t got;

    ck_assert_int_eq(walk(2, "dir"), 0);
    ck_assert_int_eq(walk(3, "file"), 0);
    char old[400];
    snprintf(old, sizeof(old), "%s", in("dir"));
    ck_assert_int_eq(rename(old, in("elsewhere")), 0);
    ck_assert_int_eq(symlink(folder, old), 0);
    snprintf(old, sizeof(old), "%s", in("file"));
    ck_assert_int_eq(unlink(old), 0);
    ck_assert_int_eq(symlink(outside, old), 0);

    ck_assert_int_eq(walk_from(2, 4, "secret"), ENOENT);
    ck_assert_int_eq(walk_from(2, 4, "deep"), 0); /* it is the folder that it was */
    ck_assert_int_eq(getattr(3, &a), 0);
    ck_assert_uint_eq(a.size, 8);
    ck_assert_int_eq(lopen(3, O_RDWR), 0);
    ck_assert_int_eq(read_at(3, 0, 10, &got), 0);
    ck_assert_int_eq(memcmp(reply + reply_at, "contents", 8), 0);
    ck_assert_int_eq(walk(5, ""), 0);
    ck_assert_int_eq(lcreate(5, "file", O_RDWR | O_CREAT | 01000, 0644), ELOOP);
    ck_assert_int_eq(walk(6, "dir"), 0);
    ck_assert_int_eq(lcreate(6, "new", O_RDWR | O_CREAT, 0644), ENOTDIR);
    ck_assert_int_eq(mkdir_in(6, "new", 0755), ENOTDIR);
    ck_assert_int_eq(rename_in(6, "secret", ROOT, "mine"), ENOTDIR);
    ck_assert_int_eq(unlink_in(6, "secret", 0), ENOTDIR);
    struct stat st;
    ck_assert_int_eq(stat(outside, &st), 0);
    ck_assert_uint_eq(st.st_size, 6);
}
END_TEST

/* A folder that the host moved out leads up to nowhere. */
START_TEST(up_from_outside_leads_nowhere)
{
    char moved[400], old[400];

    ck_assert_int_eq(walk(2, "dir/deep"), 0);
    snprintf(old, sizeof(old), "%s", in("dir"));
    snprintf(moved, sizeof(moved), "%s/moved", folder);
    ck_assert_int_eq(rename(old, moved), 0);
    ck_assert_int_eq(walk_from(2, 3, "../../secret"), ENOENT);
    ck_assert_int_eq(walk_from(2, 3, ".."), ENOENT);
}
END_TEST

static volatile bool racing;

/* Swaps a folder and a link to the outside as fast as the host can. */
static void *race(void *opaque)
{
    char place[200], link[200], spare[200];

    (void)opaque;
    snprintf(place, sizeof(place), "%s/place", inside);
    snprintf(link, sizeof(link), "%s/link", inside);
    snprintf(spare, sizeof(spare), "%s/spare", inside);
    while (racing) {
        if (rename(place, spare) || rename(link, place) || rename(place, link) || rename(spare, place))
            break;
    }
    return NULL;
}

START_TEST(races_lead_nowhere)
{
    pthread_t thread;
    unsigned reached = 0;

    ck_assert_int_eq(mkdir(in("place"), 0755), 0);
    make_file(in("place/here"), "");
    ck_assert_int_eq(symlink(folder, in("link")), 0);
    racing = true;
    ck_assert_int_eq(pthread_create(&thread, NULL, race, NULL), 0);
    for (unsigned n = 0; n < 3000; n++) {
        ck_assert_int_ne(walk(2, "place/secret"), 0);
        if (!walk(2, "place/here")) {
            reached++;
            clunk(2);
        }
        if (!walk(3, "place")) {
            ck_assert_int_ne(unlink_in(3, "secret", 0), 0);
            clunk(3);
        }
    }
    racing = false;
    pthread_join(thread, NULL);
    ck_assert_uint_gt(reached, 0);
    ck_assert_int_eq(access(outside, F_OK), 0);
}
END_TEST

/* Opening a FIFO would wait, opening a device would do something: neither is opened. */
START_TEST(nodes_are_not_opened)
{
    ck_assert_int_eq(mknod_in(ROOT, "pipe", S_IFIFO | 0666, 0, 0), 0);
    ck_assert_int_eq(walk(2, "pipe"), 0);
    ck_assert_int_eq(lopen(2, O_RDONLY), ENXIO);
    ck_assert_int_eq(lopen(2, O_RDWR), ENXIO);
    ck_assert_int_eq(setattr(2, 8, 0, 0, 0, 0), ENXIO);
    ck_assert_int_eq(walk(3, ""), 0);
    ck_assert_int_eq(lcreate(3, "pipe", O_RDWR | O_CREAT, 0644), ENXIO);
    ck_assert_int_eq(mknod_in(ROOT, "device", S_IFCHR | 0666, 1, 3), EPERM);
    ck_assert_int_eq(mknod_in(ROOT, "device", S_IFBLK | 0666, 8, 0), EPERM);
}
END_TEST

START_TEST(numbers_are_checked)
{
    ck_assert_int_eq(attach(ROOT), EBADF); /* in use */
    ck_assert_int_eq(attach(P9_NOFID), EBADF);
    ck_assert_int_eq(walk(2, "file"), 0);
    ck_assert_int_eq(walk(2, "dir"), EBADF);
    ck_assert_int_eq(walk_from(77, 3, ""), EBADF);
    ck_assert_int_eq(walk(ROOT, "dir"), 0); /* onto itself */
    ck_assert_int_eq(walk(3, "deep"), 0);
    ck_assert_int_eq(lopen(3, O_RDONLY), 0);
    ck_assert_int_eq(walk_from(3, 3, "leaf"), EBADF); /* open */
    ck_assert_int_eq(unlink_in(2, "x", 0), ENOTDIR);
    ck_assert_int_eq(clunk(1000), EBADF);
    begin(P9_TWALK);
    put(ROOT, 4);
    put(4, 4);
    put(17, 2);
    for (unsigned n = 0; n < 17; n++)
        put_text("..");
    ck_assert_int_eq(call(), EINVAL);
    begin(P9_TATTACH);
    put(9, 4);
    put(5, 4); /* there is no authentication */
    put_text("");
    put_text("");
    put(0, 4);
    ck_assert_int_eq(call(), EOPNOTSUPP);
    begin(102); /* Tauth */
    ck_assert_int_eq(call(), EOPNOTSUPP);
}
END_TEST

/* A walk that ends early answers with what it found, and the new number isn't taken. */
START_TEST(a_walk_may_end_early)
{
    begin(P9_TWALK);
    put(ROOT, 4);
    put(2, 4);
    put(3, 2);
    put_text("dir");
    put_text("nothing");
    put_text("more");
    ck_assert_int_eq(call(), 0);
    ck_assert_uint_eq(get(2), 1);
    ck_assert_int_eq(clunk(2), EBADF);
}
END_TEST

START_TEST(messages_are_cut_and_lie)
{
    struct iovec in_iov = {message, 0}, out_iov = {reply, sizeof(reply)};

    /* Every beginning of a message, with its true size and with a larger one. */
    begin(P9_TLCREATE);
    put(ROOT, 4);
    put_text("file");
    put(O_RDWR, 4);
    put(0644, 4);
    put(0, 4);
    size_t whole = message_size;
    for (size_t size = 0; size < whole; size++)
        for (unsigned lie = 0; lie < 2; lie++) {
            size_t said = lie ? whole : size;
            for (unsigned n = 0; n < 4; n++)
                message[n] = (uint8_t)(said >> 8 * n);
            in_iov.iov_len = size;
            size_t got = share_answer(server, &in_iov, 1, &out_iov, 1);
            if (size < P9_HEADER) {
                ck_assert_uint_eq(got, 0);
                continue;
            }
            ck_assert_uint_eq(got, P9_IO_HEADER);
            ck_assert_uint_eq(reply[4], P9_TLERROR + 1);
            ck_assert_uint_eq(reply[7], EPROTO);
        }
    /* No room for an answer, and for no more than an error. */
    begin(P9_TGETATTR);
    put(ROOT, 4);
    put(0, 8);
    message[0] = (uint8_t)message_size;
    in_iov.iov_len = message_size;
    out_iov.iov_len = 10;
    ck_assert_uint_eq(share_answer(server, &in_iov, 1, &out_iov, 1), 0);
    out_iov.iov_len = 20;
    ck_assert_uint_eq(share_answer(server, &in_iov, 1, &out_iov, 1), P9_IO_HEADER);
    ck_assert_uint_eq(reply[4], P9_TLERROR + 1);
    /* Counts beyond what is there. */
    uint32_t got;
    ck_assert_int_eq(walk(2, "file"), 0);
    ck_assert_int_eq(lopen(2, O_RDWR), 0);
    ck_assert_int_eq(read_at(2, 0, UINT32_MAX, &got), 0);
    ck_assert_uint_eq(got, 8);
    ck_assert_int_eq(read_at(2, UINT64_MAX, 1, &got), EINVAL);
    begin(P9_TWRITE);
    put(2, 4);
    put(0, 8);
    put(UINT32_MAX, 4);
    put_bytes("abc", 3);
    ck_assert_int_eq(call(), EPROTO);
    begin(P9_TREAD); /* larger than the session's messages */
    message_size = 100000;
    ck_assert_int_eq(version(8192), 0);
    begin(P9_TFLUSH);
    memset(message + message_size, 0, 9000);
    message_size += 9000;
    ck_assert_int_eq(call(), EMSGSIZE);
}
END_TEST

/* A message and an answer in pieces of any size are the same as in one. */
START_TEST(memory_comes_in_pieces)
{
    struct iovec in_iov[64], out_iov[600];
    unsigned count = 0, pieces = 0;
    uint8_t whole[64];

    ck_assert_int_eq(walk(2, "file"), 0);
    ck_assert_int_eq(lopen(2, O_RDWR), 0);
    begin(P9_TREAD);
    put(2, 4);
    put(0, 8);
    put(8, 4);
    message[0] = (uint8_t)message_size;
    for (; count < message_size; count++)
        in_iov[count] = (struct iovec){message + count, 1};
    memset(reply, 0, sizeof(reply));
    for (size_t at = 0; at < 600; at += pieces++ % 5)
        out_iov[pieces] = (struct iovec){reply + at, pieces % 5};
    ck_assert_uint_eq(share_answer(server, in_iov, count, out_iov, pieces), P9_IO_HEADER + 8);
    share_gather(whole, sizeof(whole), out_iov, pieces, 0);
    ck_assert_uint_eq(whole[4], P9_TREAD + 1);
    ck_assert_uint_eq(whole[7], 8);
    ck_assert_int_eq(memcmp(whole + P9_IO_HEADER, "contents", 8), 0);
}
END_TEST

/* With few descriptors, numbers beyond them still work, through renames of what is above them, too. */
START_TEST(numbers_outnumber_descriptors)
{
    struct attributes first, again;
    char name[40], from[400];

    server->paths_max = 20;
    ck_assert_int_eq(walk(2, "dir/deep"), 0);
    ck_assert_int_eq(walk(3, "dir/deep/leaf"), 0);
    ck_assert_int_eq(getattr(3, &first), 0);
    for (unsigned n = 0; n < 200; n++) {
        snprintf(name, sizeof(name), "n%u", n);
        make_file(in(name), "");
        ck_assert_int_eq(walk(1000 + n, name), 0);
    }
    ck_assert_uint_le(server->paths, 30);
    ck_assert_int_eq(rename_in(ROOT, "dir", ROOT, "renamed"), 0);
    ck_assert_int_eq(getattr(3, &again), 0);
    ck_assert_uint_eq(first.path, again.path);
    ck_assert_int_eq(walk_from(2, 4, "leaf"), 0);
    for (unsigned n = 0; n < 200; n++)
        ck_assert_int_eq(getattr(1000 + n, &again), 0);
    /* Something else in its place is another file. */
    snprintf(from, sizeof(from), "%s", in("n199"));
    ck_assert_int_eq(rename(from, in("n0")), 0);
    ck_assert_int_eq(getattr(1000, &again), ESTALE);
    for (unsigned n = 0; n < 200; n++)
        ck_assert_int_eq(clunk(1000 + n), 0);
}
END_TEST

START_TEST(numbers_are_limited)
{
    unsigned n = 0;
    int error = 0;

    server->paths_max = 16;
    server->fids = SHARE_FIDS_MAX - 10;
    while (!error && n < 100)
        error = walk(100 + n++, "file");
    ck_assert_int_eq(error, ENFILE);
    ck_assert_uint_eq(n, 11);
}
END_TEST

START_TEST(read_only_is_read_only)
{
    struct stat before, after;
    uint32_t got;

    serve(true, SHARE_OWNERS_HOST);
    ck_assert_int_eq(stat(in("file"), &before), 0);
    ck_assert_int_eq(walk(2, "file"), 0);
    ck_assert_int_eq(lopen(2, O_RDWR), EROFS);
    ck_assert_int_eq(lopen(2, O_WRONLY), EROFS);
    ck_assert_int_eq(lopen(2, O_RDONLY | 01000), EROFS);
    ck_assert_int_eq(setattr(2, 1, 0, 0, 0, 0), EROFS);
    ck_assert_int_eq(setattr(2, 8, 0, 0, 0, 0), EROFS);
    ck_assert_int_eq(mkdir_in(ROOT, "x", 0755), EROFS);
    ck_assert_int_eq(symlink_in(ROOT, "x", "y"), EROFS);
    ck_assert_int_eq(mknod_in(ROOT, "x", S_IFIFO, 0, 0), EROFS);
    ck_assert_int_eq(unlink_in(ROOT, "file", 0), EROFS);
    ck_assert_int_eq(rename_in(ROOT, "file", ROOT, "x"), EROFS);
    begin(P9_TXATTRCREATE);
    put(2, 4);
    put_text("user.x");
    put(0, 8);
    put(0, 4);
    ck_assert_int_eq(call(), EROFS);
    begin(P9_TLINK);
    put(ROOT, 4);
    put(2, 4);
    put_text("x");
    ck_assert_int_eq(call(), EROFS);
    ck_assert_int_eq(lopen(2, O_RDONLY), 0);
    ck_assert_int_eq(read_at(2, 0, 8, &got), 0);
    ck_assert_uint_eq(got, 8);
    ck_assert_int_eq(write_at(2, 0, "x", 1), EBADF);
    ck_assert_int_eq(lock_as(1, 1, 0, 0, 2), 0);
    ck_assert_int_eq(walk(3, ""), 0);
    ck_assert_int_eq(lcreate(3, "x", O_RDWR | O_CREAT, 0644), EROFS);
    begin(P9_TREMOVE);
    put(2, 4);
    ck_assert_int_eq(call(), EROFS);
    ck_assert_int_eq(stat(in("file"), &after), 0);
    ck_assert_int_eq(memcmp(&before.st_mtim, &after.st_mtim, sizeof(before.st_mtim)), 0);
}
END_TEST

/* Owners, modes and nodes that only the host's root could make. */
START_TEST(owners_are_mapped)
{
    struct attributes a;
    struct stat st;
    char value[4096];
    uint32_t size;

    if (!host_share_can_map(inside))
        return;
    serve(false, SHARE_OWNERS_MAPPED);
    ck_assert_int_eq(walk(2, "file"), 0);
    ck_assert_int_eq(getattr(2, &a), 0);
    ck_assert_uint_eq(a.uid, 0); /* what is the user's is root's */
    ck_assert_uint_eq(a.gid, 0);
    ck_assert_int_eq(setattr(2, 1 | 2 | 4, 04751, 33, 44, 0), 0);
    ck_assert_int_eq(getattr(2, &a), 0);
    ck_assert_uint_eq(a.uid, 33);
    ck_assert_uint_eq(a.gid, 44);
    ck_assert_uint_eq(a.mode, S_IFREG | 04751);
    ck_assert_int_eq(stat(in("file"), &st), 0);
    ck_assert_uint_eq(st.st_uid, geteuid());
    ck_assert_uint_eq(st.st_mode, S_IFREG | 0751); /* no set-user-ID on the host */

    ck_assert_int_eq(mknod_in(ROOT, "sda", S_IFBLK | 0660, 8, 17), 0);
    ck_assert_int_eq(stat(in("sda"), &st), 0);
    ck_assert(S_ISREG(st.st_mode));
    ck_assert_int_eq(walk(3, "sda"), 0);
    ck_assert_int_eq(getattr(3, &a), 0);
    ck_assert_uint_eq(a.mode, S_IFBLK | 0660);
    ck_assert_uint_eq(a.rdev, 8 << 8 | 17);
    ck_assert_int_eq(lopen(3, O_RDWR), ENXIO);

    ck_assert_int_eq(walk(4, ""), 0);
    ck_assert_int_eq(lcreate(4, "shadow", O_RDWR | O_CREAT, 0), 0);
    ck_assert_int_eq(getattr(4, &a), 0);
    ck_assert_uint_eq(a.mode, S_IFREG | 0);
    ck_assert_int_eq(stat(in("shadow"), &st), 0);
    ck_assert_uint_eq(st.st_mode & 0700, 0600); /* we get at it nevertheless */

    /* Attributes of root's, under another name; our own can't be seen. */
    ck_assert_int_eq(xattr_write(2, "security.capability", "caps", 0), 0);
    ck_assert_int_eq(xattr_read(2, "security.capability", value, &size), 0);
    ck_assert_uint_eq(size, 4);
    ck_assert_int_lt(getxattr(in("file"), "security.capability", value, sizeof(value)), 0);
    ck_assert_int_eq(xattr_read(2, "", value, &size), 0);
    ck_assert_uint_eq(size, sizeof("security.capability"));
    ck_assert_int_eq(memcmp(value, "security.capability", size), 0);
    ck_assert_int_eq(xattr_write(2, SHARE_OWNER_XATTR, "0 0 0 0:0", 0), EPERM);
    ck_assert_int_eq(xattr_read(2, SHARE_OWNER_XATTR, value, &size), ENODATA);
    /* What says nothing new isn't kept. */
    ck_assert_int_eq(setattr(2, 1 | 2 | 4, 0644, 0, 0, 0), 0);
    ck_assert_int_lt(getxattr(in("file"), SHARE_OWNER_XATTR, value, sizeof(value)), 0);
    /* Nonsense in the attribute is none. */
    ck_assert_int_eq(setxattr(in("file"), SHARE_OWNER_XATTR, "1 2 40755 0:0", 13, 0), 0);
    ck_assert_int_eq(getattr(2, &a), 0);
    ck_assert_uint_eq(a.uid, 0);
    ck_assert(S_ISREG(a.mode));
}
END_TEST

START_TEST(folders_are_refused)
{
    struct host_share_options options = {.tag = "t", .path = "/nowhere/at/all"};

    ck_assert(share_server_new(&options, &log_, why, sizeof(why)) == NULL);
    ck_assert_str_eq(why, "/nowhere/at/all: no such folder");
    options.path = outside;
    ck_assert(share_server_new(&options, &log_, why, sizeof(why)) == NULL);
    ck_assert(strstr(why, "is not a folder") != NULL);
}
END_TEST

/* --- The queue */

static struct loop *loop;
static unsigned completed;

struct ticket {
    struct share_request request;
    struct iovec in, out;
    uint8_t message[64], reply[200];
    unsigned turn;
    size_t size;
};

static void ticket_done(struct share_request *request, size_t size)
{
    struct ticket *ticket = request->opaque;

    ticket->turn = ++completed;
    ticket->size = size;
}

static void send_ticket(struct share *share, struct ticket *ticket, uint8_t type, uint16_t tag)
{
    begin(type);
    message[5] = (uint8_t)tag;
    if (type == P9_TVERSION) {
        put(8192, 4);
        put_text("9P2000.L");
    } else if (type == P9_TATTACH) {
        put(ROOT, 4);
        put(P9_NOFID, 4);
        put_text("");
        put_text("");
        put(0, 4);
    } else if (type == P9_TFLUSH) {
        put(2, 2); /* the attach */
    } else {
        put(ROOT, 4);
        put(0, 8);
    }
    message[0] = (uint8_t)message_size;
    memcpy(ticket->message, message, message_size);
    ticket->in = (struct iovec){ticket->message, message_size};
    ticket->out = (struct iovec){ticket->reply, sizeof(ticket->reply)};
    ticket->request = (struct share_request){.in = &ticket->in,
                                             .out = &ticket->out,
                                             .in_count = 1,
                                             .out_count = 1,
                                             .done = ticket_done,
                                             .opaque = ticket};
    share_submit(share, &ticket->request);
}

START_TEST(the_queue_keeps_what_order_there_is)
{
    struct host_share_options options = {.tag = "t", .path = inside};
    struct ticket version_ticket, attach_ticket, flush_ticket, many[50], last;

    loop = loop_new();
    struct share *share = host_share_open(&options, loop, &log_, why, sizeof(why));
    ck_assert_msg(share != NULL, "%s", why);
    for (unsigned turn = 0; turn < 50; turn++) {
        completed = 0;
        send_ticket(share, &version_ticket, P9_TVERSION, 1);
        send_ticket(share, &attach_ticket, P9_TATTACH, 2);
        send_ticket(share, &flush_ticket, P9_TFLUSH, 3);
        while (completed < 3)
            loop_run_once(loop, NULL, NULL);
        ck_assert_uint_eq(version_ticket.turn, 1);
        ck_assert_uint_lt(attach_ticket.turn, flush_ticket.turn);
        ck_assert_uint_eq(attach_ticket.reply[4], P9_TATTACH + 1);
        for (unsigned n = 0; n < 50; n++)
            send_ticket(share, &many[n], P9_TGETATTR, (uint16_t)(10 + n));
        send_ticket(share, &version_ticket, P9_TVERSION, 1);
        send_ticket(share, &last, P9_TGETATTR, 5);
        while (completed < 55)
            loop_run_once(loop, NULL, NULL);
        for (unsigned n = 0; n < 50; n++)
            ck_assert_uint_eq(many[n].reply[4], P9_TGETATTR + 1);
        ck_assert_uint_gt(version_ticket.turn, 50);
        ck_assert_uint_eq(last.turn, 55);
        ck_assert_uint_eq(last.reply[4], P9_TLERROR + 1); /* of the old session */
    }
    /* A reset: nobody is told, nothing is touched, nothing is left open. */
    send_ticket(share, &version_ticket, P9_TVERSION, 1);
    send_ticket(share, &attach_ticket, P9_TATTACH, 2);
    for (unsigned n = 0; n < 50; n++)
        send_ticket(share, &many[n], P9_TGETATTR, (uint16_t)(10 + n));
    share_reset(share);
    memset(many, 0xAA, sizeof(many));
    completed = 0;
    send_ticket(share, &last, P9_TGETATTR, 5);
    while (completed < 1)
        loop_run_once(loop, NULL, NULL);
    ck_assert_uint_eq(last.reply[4], P9_TLERROR + 1);
    share_close(share);
    loop_free(loop);
}
END_TEST

Suite *share_suite(void);
Suite *share_suite(void)
{
    Suite *suite = suite_create("share");
    TCase *uses = tcase_create("uses"), *limits = tcase_create("limits");

    tcase_add_checked_fixture(uses, setup, teardown);
    tcase_add_checked_fixture(limits, setup, teardown);
    tcase_set_timeout(uses, 60);
    tcase_set_timeout(limits, 60);
    tcase_add_test(uses, version_is_agreed);
    tcase_add_test(uses, files_are_read_and_written);
    tcase_add_test(uses, files_and_folders_are_made_with_their_mode);
    tcase_add_test(uses, links_are_handed_over);
    tcase_add_test(uses, things_are_renamed);
    tcase_add_test(uses, what_is_unlinked_lives_while_it_is_known);
    tcase_add_test(uses, folders_are_listed);
    tcase_add_test(uses, attributes_are_set);
    tcase_add_test(uses, extended_attributes_are_kept);
    tcase_add_test(uses, locks_hold_against_the_host_and_other_processes);
    tcase_add_test(uses, owners_are_mapped);
    tcase_add_test(uses, the_queue_keeps_what_order_there_is);
    tcase_add_test(limits, no_way_leads_out);
    tcase_add_test(limits, names_are_names);
    tcase_add_test(limits, places_that_become_links_stay_places);
    tcase_add_test(limits, up_from_outside_leads_nowhere);
    tcase_add_test(limits, races_lead_nowhere);
    tcase_add_test(limits, nodes_are_not_opened);
    tcase_add_test(limits, numbers_are_checked);
    tcase_add_test(limits, a_walk_may_end_early);
    tcase_add_test(limits, messages_are_cut_and_lie);
    tcase_add_test(limits, memory_comes_in_pieces);
    tcase_add_test(limits, numbers_outnumber_descriptors);
    tcase_add_test(limits, numbers_are_limited);
    tcase_add_test(limits, read_only_is_read_only);
    tcase_add_test(limits, folders_are_refused);
    suite_add_tcase(suite, uses);
    suite_add_tcase(suite, limits);
    return suite;
}
