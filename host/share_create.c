/*
 * share_create.c - names in folders: files, folders, links and nodes made, linked, renamed and removed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "host/share_internal.h"

#define DOTL_EXCL      0200u /* 9P2000.L's flags are those of Linux on x86, whatever the client is */
#define DOTL_TRUNC     01000u
#define DOTL_REMOVEDIR 0x200u
#define MODE_MADE      0600 /* until share_own() sets the right one */

/*
 * What was just made under this name becomes the guest's, and its qid the answer. When that fails it is taken
 * away again.
 */
static int present(struct share_message *m, const struct share_fid *dir, const struct share_name *name,
                   uint32_t gid, mode_t mode, dev_t rdev)
{
    struct share_server *server = m->server;
    int path = share_open_child(server, dir->path, name->text);
    int error = path < 0 ? -path : share_own(server, path, dir->uid, gid, mode, rdev);
    struct stat st;

    if (!error)
        error = share_stat(server, path, &st);
    if (path >= 0)
        close(path);
    if (error)
        unlinkat(dir->path, name->text, S_ISDIR(mode) ? AT_REMOVEDIR : 0);
    else
        share_put_qid(m, &st);
    return error;
}

int share_symlink(struct share_message *m)
{
    struct share_fid *dir = share_fid_read(m);
    struct share_name name;
    char target[PATH_MAX];
    int error;

    share_get_name(m, &name);
    share_get_string(m, target, sizeof(target));
    uint32_t gid = share_get32(m);
    error = m->error;
    if (!error && symlinkat(target, dir->path, name.text) < 0)
        error = errno;
    if (!error)
        error = present(m, dir, &name, gid, S_IFLNK | 0777, 0);
    share_fid_put(m->server, dir);
    return error;
}

static int make_node(struct share_message *m, const struct share_fid *dir, const struct share_name *name,
                     mode_t mode, dev_t rdev)
{
    mode_t made = share_keeps_node(m->server, mode) ? (mode & S_IFMT) : S_IFREG;

    /* A guest's root is not the host's: nobody on the host shall find a device that a guest put there. */
    if (S_ISCHR(made) || S_ISBLK(made))
        return EPERM;
    return mknodat(dir->path, name->text, made | MODE_MADE, rdev) < 0 ? errno : 0;
}

int share_mknod(struct share_message *m)
{
    struct share_fid *dir = share_fid_read(m);
    struct share_name name;
    int error;

    share_get_name(m, &name);
    mode_t mode = share_get32(m);
    uint32_t major = share_get32(m), minor = share_get32(m), gid = share_get32(m);
    dev_t rdev = makedev(major, minor);
    if (!(mode & S_IFMT))
        mode |= S_IFREG;
    if (S_ISREG(mode) || S_ISFIFO(mode) || S_ISSOCK(mode))
        rdev = 0;
    error = m->error;
    if (!error && (S_ISDIR(mode) || S_ISLNK(mode)))
        error = EINVAL;
    if (!error)
        error = make_node(m, dir, &name, mode, rdev);
    if (!error)
        error = present(m, dir, &name, gid, mode & (S_IFMT | 07777), rdev);
    share_fid_put(m->server, dir);
    return error;
}

int share_mkdir(struct share_message *m)
{
    struct share_fid *dir = share_fid_read(m);
    struct share_name name;
    int error;

    share_get_name(m, &name);
    mode_t mode = share_get32(m) & 07777;
    uint32_t gid = share_get32(m);
    error = m->error;
    if (!error && mkdirat(dir->path, name.text, 0700) < 0)
        error = errno;
    if (!error)
        error = present(m, dir, &name, gid, S_IFDIR | mode, 0);
    share_fid_put(m->server, dir);
    return error;
}

/* Makes the file, or opens it if it is there and may be. A descriptor, or a negative errno value. */
static int create(struct share_server *server, const struct share_fid *dir, const struct share_name *name,
                  uint32_t flags, bool *made)
{
    struct open_how how = {.flags =
                               (flags & O_ACCMODE) | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW,
                           .mode = MODE_MADE,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    unsigned tries = 0;
    long fd;

    do
        fd = syscall(SYS_openat2, dir->path, name->text, &how, sizeof(how));
    while (fd < 0 && share_try_again(server, errno, &tries));
    *made = fd >= 0;
    if (fd >= 0)
        return (int)fd;
    if (errno != EEXIST || flags & DOTL_EXCL)
        return -errno;
    int path = share_open_child(server, dir->path, name->text);
    if (path < 0)
        return path;
    fd = share_reopen(server, path, (int)(flags & O_ACCMODE) | (flags & DOTL_TRUNC ? O_TRUNC : 0));
    close(path);
    return (int)fd;
}

/* The file that was opened, as the fid's place. */
static int enter(struct share_message *m, struct share_fid *fid, const struct share_name *name, int file)
{
    struct stat st, opened;
    int path = share_open_child(m->server, fid->path, name->text);
    int error = path < 0 ? -path : 0;

    if (!error && (fstat(path, &st) < 0 || fstat(file, &opened) < 0))
        error = errno;
    if (!error && (st.st_ino != opened.st_ino || st.st_dev != opened.st_dev))
        error = ENOENT; /* renamed or removed already */
    if (error && path >= 0)
        close(path);
    if (!error)
        error = share_fid_move(m->server, fid, path);
    if (!error)
        error = share_stat(m->server, fid->path, &st);
    if (!error) {
        fid->file = file;
        share_put_qid(m, &st);
        share_put32(m, 0); /* iounit: as msize allows */
    }
    return error;
}

int share_lcreate(struct share_message *m)
{
    struct share_fid *fid = share_fid_write(m);
    struct share_name name;
    bool made = false;
    int error, file = -1;

    share_get_name(m, &name);
    uint32_t flags = share_get32(m);
    mode_t mode = share_get32(m) & 07777;
    uint32_t gid = share_get32(m);
    error = m->error;
    if (!error && (fid->file >= 0 || fid->xattr || (flags & O_ACCMODE) == O_ACCMODE))
        error = EINVAL;
    if (!error) {
        file = create(m->server, fid, &name, flags, &made);
        error = file < 0 ? -file : 0;
    }
    if (!error && made) {
        error = share_own(m->server, file, fid->uid, gid, S_IFREG | mode, 0);
        if (error)
            unlinkat(fid->path, name.text, 0);
    }
    if (!error)
        error = enter(m, fid, &name, file);
    if (error && file >= 0)
        close(file);
    share_fid_put(m->server, fid);
    return error;
}

int share_link(struct share_message *m)
{
    struct share_fid *dir = share_fid_read(m), *fid = share_fid_read(m);
    struct share_name name;
    int error;

    share_get_name(m, &name);
    error = m->error;
    if (!error &&
        linkat(AT_FDCWD, share_proc_path(fid->path).text, dir->path, name.text, AT_SYMLINK_FOLLOW) < 0)
        error = errno;
    share_fid_put(m->server, fid);
    share_fid_put(m->server, dir);
    return error;
}

/* "WHERE/NAME"; false when it is too long, or the folder is not there any more. */
static bool full_name(struct share_server *server, int dir, const char *name, char *full)
{
    char where[PATH_MAX];

    return share_where(server, dir, where, sizeof(where)) &&
           (size_t)snprintf(full, PATH_MAX, "%s%s%s", where, *where ? "/" : "", name) < PATH_MAX;
}

static int rename_one(struct share_server *server, int from_dir, const char *from, int to_dir, const char *to)
{
    char old[PATH_MAX], new[PATH_MAX];
    int error = 0;

    /* Nobody gives a descriptor up meanwhile and remembers the old name. */
    pthread_mutex_lock(&server->lock);
    bool known = full_name(server, from_dir, from, old) && full_name(server, to_dir, to, new);
    if (renameat(from_dir, from, to_dir, to) < 0)
        error = errno;
    else if (known)
        share_fid_renamed(server, old, new);
    pthread_mutex_unlock(&server->lock);
    return error;
}

int share_renameat(struct share_message *m)
{
    struct share_fid *from, *to;
    struct share_name old, new;
    int error;

    from = share_fid_read(m);
    share_get_name(m, &old);
    to = share_fid_read(m);
    share_get_name(m, &new);
    error = m->error;
    if (!error)
        error = rename_one(m->server, from->path, old.text, to->path, new.text);
    share_fid_put(m->server, to);
    share_fid_put(m->server, from);
    return error;
}

int share_rename(struct share_message *m)
{
    struct share_fid *fid = share_fid_read(m), *to = share_fid_read(m);
    struct share_name old, new;
    int error, parent;

    share_get_name(m, &new);
    error = m->error;
    if (!error) {
        parent = share_locate(m->server, fid->path, &old);
        error = parent < 0 ? -parent : rename_one(m->server, parent, old.text, to->path, new.text);
        if (parent >= 0)
            close(parent);
    }
    share_fid_put(m->server, to);
    share_fid_put(m->server, fid);
    return error;
}

int share_unlinkat(struct share_message *m)
{
    struct share_fid *dir = share_fid_read(m);
    struct share_name name;
    int error;

    share_get_name(m, &name);
    uint32_t flags = share_get32(m);
    error = m->error;
    if (!error && unlinkat(dir->path, name.text, flags & DOTL_REMOVEDIR ? AT_REMOVEDIR : 0) < 0)
        error = errno;
    share_fid_put(m->server, dir);
    return error;
}

/* The fid is gone afterwards, whether its file is or not. */
int share_remove(struct share_message *m)
{
    struct share_fid *fid = share_fid_last(m);
    struct share_name name;
    struct stat st;
    int error = m->error, parent = -1;

    if (!fid)
        return error;
    if (fid->xattr || fid->path < 0)
        error = fid->xattr ? EINVAL : ESTALE;
    if (!error && m->server->read_only)
        error = EROFS;
    if (!error) {
        parent = share_locate(m->server, fid->path, &name);
        error = parent < 0 ? -parent : 0;
    }
    if (!error && (fstat(fid->path, &st) < 0 ||
                   unlinkat(parent, name.text, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) < 0))
        error = errno;
    if (parent >= 0)
        close(parent);
    share_lock_drop(m->server, fid);
    share_fid_remove(m->server, fid);
    share_fid_put(m->server, fid);
    return error;
}
