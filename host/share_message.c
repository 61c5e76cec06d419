/*
 * share_message.c - 9P messages: little-endian numbers, and strings with their length before them, in memory
 * that comes in pieces.
 */
#include <errno.h>
#include <string.h>

#include "host/share_internal.h"

size_t share_iov_size(const struct iovec *iov, unsigned count)
{
    size_t size = 0;

    for (unsigned n = 0; n < count; n++)
        size += iov[n].iov_len;
    return size;
}

unsigned share_slice(struct iovec *slice, const struct iovec *iov, unsigned count, size_t from, size_t size)
{
    unsigned pieces = 0;

    for (unsigned n = 0; n < count && size && pieces < IOV_MAX; n++) {
        size_t length = iov[n].iov_len;

        if (from >= length) {
            from -= length;
            continue;
        }
        length -= from;
        if (length > size)
            length = size;
        slice[pieces++] = (struct iovec){(char *)iov[n].iov_base + from, length};
        from = 0;
        size -= length;
    }
    return pieces;
}

size_t share_gather(void *data, size_t size, const struct iovec *iov, unsigned count, size_t from)
{
    size_t done = 0;

    for (unsigned n = 0; n < count && done < size; n++) {
        size_t length = iov[n].iov_len;

        if (from >= length) {
            from -= length;
            continue;
        }
        length -= from;
        if (length > size - done)
            length = size - done;
        memcpy((char *)data + done, (const char *)iov[n].iov_base + from, length);
        done += length;
        from = 0;
    }
    return done;
}

size_t share_scatter(const struct iovec *iov, unsigned count, size_t from, const void *data, size_t size)
{
    size_t done = 0;

    for (unsigned n = 0; n < count && done < size; n++) {
        size_t length = iov[n].iov_len;

        if (from >= length) {
            from -= length;
            continue;
        }
        length -= from;
        if (length > size - done)
            length = size - done;
        memcpy((char *)iov[n].iov_base + from, (const char *)data + done, length);
        done += length;
        from = 0;
    }
    return done;
}

bool share_read_header(const struct iovec *in, unsigned count, uint8_t *type, uint16_t *tag,
                       uint16_t *old_tag)
{
    uint8_t head[P9_HEADER + 2] = {0};
    size_t got = share_gather(head, sizeof(head), in, count, 0);

    *type = head[4];
    *tag = (uint16_t)(head[5] | head[6] << 8);
    *old_tag = (uint16_t)(head[7] | head[8] << 8);
    return got >= P9_HEADER;
}

static uint64_t get(struct share_message *m, unsigned size)
{
    uint64_t value = 0;

    if (m->error || m->in_size - m->at < size) {
        m->error = m->error ? m->error : EPROTO;
        return 0;
    }
    for (unsigned n = 0; n < size; n++)
        value |= (uint64_t)m->in[m->at++] << 8 * n;
    return value;
}

uint8_t share_get8(struct share_message *m)
{
    return (uint8_t)get(m, 1);
}

uint16_t share_get16(struct share_message *m)
{
    return (uint16_t)get(m, 2);
}

uint32_t share_get32(struct share_message *m)
{
    return (uint32_t)get(m, 4);
}

uint64_t share_get64(struct share_message *m)
{
    return get(m, 8);
}

void share_get_string(struct share_message *m, char *text, size_t size)
{
    size_t length = share_get16(m);

    *text = 0;
    if (!m->error && length > m->in_size - m->at)
        m->error = EPROTO;
    if (!m->error && length >= size)
        m->error = ENAMETOOLONG;
    if (!m->error && memchr(m->in + m->at, 0, length))
        m->error = EINVAL;
    if (m->error)
        return;
    memcpy(text, m->in + m->at, length);
    text[length] = 0;
    m->at += length;
}

void share_get_name(struct share_message *m, struct share_name *name)
{
    share_get_string(m, name->text, sizeof(name->text));
    if (!m->error &&
        (!*name->text || strchr(name->text, '/') || !strcmp(name->text, ".") || !strcmp(name->text, "..")))
        m->error = EINVAL;
}

static void put(struct share_message *m, uint64_t value, unsigned size)
{
    if (sizeof(m->out) - m->out_size < size) {
        m->error = m->error ? m->error : EMSGSIZE;
        return;
    }
    for (unsigned n = 0; n < size; n++)
        m->out[m->out_size++] = (uint8_t)(value >> 8 * n);
}

void share_put8(struct share_message *m, uint8_t value)
{
    put(m, value, 1);
}

void share_put16(struct share_message *m, uint16_t value)
{
    put(m, value, 2);
}

void share_put32(struct share_message *m, uint32_t value)
{
    put(m, value, 4);
}

void share_put64(struct share_message *m, uint64_t value)
{
    put(m, value, 8);
}

void share_put_string(struct share_message *m, const char *text, size_t size)
{
    if (size > UINT16_MAX || sizeof(m->out) - m->out_size < size + 2) {
        m->error = m->error ? m->error : EMSGSIZE;
        return;
    }
    share_put16(m, (uint16_t)size);
    memcpy(m->out + m->out_size, text, size);
    m->out_size += size;
}

uint8_t share_qid_type(mode_t mode)
{
    return S_ISDIR(mode) ? 0x80 : S_ISLNK(mode) ? 0x02 : 0;
}

/* Numbers of file systems below the folder, in the order in which they are met; its own is 0. */
static uint64_t device_number(struct share_server *server, dev_t dev)
{
    uint64_t number = 0;

    if (dev == server->root_dev)
        return 0;
    pthread_mutex_lock(&server->lock);
    while (number < server->device_count && server->devices[number] != dev)
        number++;
    if (number == server->device_count && number < SHARE_DEVICES) {
        server->devices[number] = dev;
        server->device_count++;
    }
    pthread_mutex_unlock(&server->lock);
    return number < SHARE_DEVICES ? number + 1 : (uint64_t)dev + SHARE_DEVICES;
}

/* Clients take equal paths for one file. Inode numbers begin small in all file systems, so others than the
 * folder's own are spread over all 64 bits. */
uint64_t share_qid_path(struct share_server *server, dev_t dev, ino_t ino)
{
    return (uint64_t)ino ^ device_number(server, dev) * 0x9E3779B97F4A7C15u;
}

void share_put_qid(struct share_message *m, const struct stat *st)
{
    share_put8(m, share_qid_type(st->st_mode));
    share_put32(m, (uint32_t)st->st_mtim.tv_sec ^ (uint32_t)st->st_mtim.tv_nsec ^ (uint32_t)st->st_size << 8);
    share_put64(m, share_qid_path(m->server, st->st_dev, st->st_ino));
}
