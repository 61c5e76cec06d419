/* char_file.c - output into a file. */
#include "host/char_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct char_file {
    struct host_char host;
    int fd;
    bool broken; /* a write failed; said so */
};

static void file_write(struct chardev *chr, const uint8_t *data, size_t size)
{
    struct char_file *file = (struct char_file *)chr;

    if (file->broken)
        return;
    int error = char_write_all(file->fd, data, size);
    if (error) {
        file->broken = true;
        log_at(file->host.log, LOG_WARN, "file", "cannot write: %s", strerror(error));
    }
}

static void file_close(struct chardev *chr)
{
    struct char_file *file = (struct char_file *)chr;

    /* Some file systems report a lost write only here. */
    if (close(file->fd) < 0 && errno != EINTR)
        log_at(file->host.log, LOG_WARN, "file", "cannot write: %s", strerror(errno));
    free(file);
}

struct chardev *char_file_open(const char *path, struct loop *loop, struct log *log, char *why,
                               size_t why_size)
{
    /* Not waiting for a FIFO's reader: without one that is an error (ENXIO), not a machine that never starts.
     */
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0666);

    if (fd < 0)
        return host_char_refuse(path, errno == ENXIO ? "nobody reads this pipe" : strerror(errno), why,
                                why_size);
    struct char_file *file = host_char_new(sizeof(*file), loop, log, why, why_size);
    if (!file) {
        close(fd);
        return NULL;
    }
    file->fd = fd;
    file->host.chr.write = file_write;
    file->host.chr.close = file_close;
    return &file->host.chr;
}
