/*
 * file.c - reading, not mapping: a mapped file that somebody truncates kills its reader with SIGBUS.
 */
#include "host/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_SIZE (1u << 20)

static const char *reason(int error)
{
    switch (error) {
    case ENOENT:
        return "no such file";
    case ENOTDIR:
        return "a part of the path is not a directory";
    case EISDIR:
        return "is a directory, not a file";
    case EACCES:
        return "no permission to read it";
    case ENOMEM:
        return "too large for this host's memory";
    default:
        return strerror(error);
    }
}

static bool refuse(const char *path, const char *text, char *why, size_t why_size)
{
    snprintf(why, why_size, "%s: %s", path, text);
    return false;
}

static bool resize(struct host_file *file, size_t size)
{
    void *data = file->mapped ? mremap(file->data, file->mapped, size, MREMAP_MAYMOVE)
                              : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (data == MAP_FAILED)
        return false;
    file->data = data;
    file->mapped = size;
    return true;
}

/* Reads to the end, whatever the size looked like; 0 or an errno. EFBIG when there is more than `limit`. */
static int read_all(struct host_file *file, int fd, uint64_t limit)
{
    for (;;) {
        if (file->size == file->mapped && !resize(file, 2 * file->mapped))
            return ENOMEM;
        ssize_t got = read(fd, file->data + file->size, file->mapped - file->size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno;
        if (got == 0)
            return 0;
        file->size += (size_t)got;
        if (limit && file->size > limit)
            return EFBIG;
    }
}

/* Is this something that has an end? */
static int check_kind(const struct stat *st, uint64_t limit)
{
    if (S_ISDIR(st->st_mode))
        return EISDIR;
    if (S_ISREG(st->st_mode) && limit && (uint64_t)st->st_size > limit)
        return EFBIG;
    if (S_ISREG(st->st_mode) || S_ISFIFO(st->st_mode))
        return 0;
    return ENODEV;
}

static int read_fd(struct host_file *file, int fd, uint64_t limit)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return errno;
    int error = check_kind(&st, limit);
    if (error)
        return error;
    /* One byte more than the size, so that the end shows without growing. */
    size_t first = S_ISREG(st.st_mode) && st.st_size > 0 ? (size_t)st.st_size + 1 : FIRST_SIZE;
    if (!resize(file, first))
        return ENOMEM;
    return read_all(file, fd, limit);
}

bool host_file_read(struct host_file *file, const char *path, uint64_t limit, char *why, size_t why_size)
{
    memset(file, 0, sizeof(*file));
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return refuse(path, reason(errno), why, why_size);
    bool done = host_file_read_fd(file, fd, path, limit, why, why_size);
    close(fd);
    return done;
}

bool host_file_read_fd(struct host_file *file, int fd, const char *path, uint64_t limit, char *why, size_t why_size)
{
    char text[96];

    memset(file, 0, sizeof(*file));
    int error = read_fd(file, fd, limit);
    if (!error && file->size)
        return true;

    host_file_free(file);
    if (!error)
        return refuse(path, "is empty", why, why_size);
    if (error == ENODEV)
        return refuse(path, "is a device or a socket, not a file", why, why_size);
    if (error == EFBIG) {
        snprintf(text, sizeof(text), "larger than the %" PRIu64 " bytes there is room for", limit);
        return refuse(path, text, why, why_size);
    }
    return refuse(path, reason(error), why, why_size);
}

bool host_file_append(struct host_file *file, const void *data, size_t size)
{
    size_t room = file->mapped ? file->mapped : FIRST_SIZE;

    while (room - file->size < size)
        room *= 2;
    if (room != file->mapped && !resize(file, room))
        return false;
    memcpy(file->data + file->size, data, size);
    file->size += size;
    return true;
}

void host_file_free(struct host_file *file)
{
    if (file->mapped)
        munmap(file->data, file->mapped);
    memset(file, 0, sizeof(*file));
}
