/*
 * sg.c - lists of pieces of guest RAM. Pieces that follow each other become one.
 */
#include "devices/sg.h"

#include <stdlib.h>
#include <string.h>

#include "core/block.h"

static bool make_room(struct sg *sg)
{
    unsigned capacity = sg->capacity ? 2 * sg->capacity : 16;

    if (sg->count < sg->capacity)
        return true;
    if (sg->count >= BLOCK_PIECES)
        return false;
    struct iovec *iov = realloc(sg->iov, capacity * sizeof(*iov));
    if (!iov)
        return false;
    sg->iov = iov;
    uint64_t *addr = realloc(sg->addr, capacity * sizeof(*addr));
    if (!addr)
        return false;
    sg->addr = addr;
    sg->capacity = capacity;
    return true;
}

/* Does the piece go on where the last one ends, both for the guest and for the host? */
static bool follows(const struct sg *sg, uint64_t addr, const uint8_t *host)
{
    const struct iovec *last = &sg->iov[sg->count - 1];

    return sg->addr[sg->count - 1] + last->iov_len == addr &&
           (uint8_t *)last->iov_base + last->iov_len == host;
}

bool sg_add(struct sg *sg, struct bus *bus, uint64_t addr, uint64_t size)
{
    while (size) {
        size_t part = (size_t)size;
        uint8_t *host = bus_dma(bus, addr, &part);

        if (!host)
            return false;
        if (sg->count && follows(sg, addr, host)) {
            sg->iov[sg->count - 1].iov_len += part;
        } else {
            if (!make_room(sg))
                return false;
            sg->addr[sg->count] = addr;
            sg->iov[sg->count++] = (struct iovec){host, part};
        }
        sg->size += part;
        addr += part;
        size -= part;
    }
    return true;
}

void sg_written(const struct sg *sg, struct bus *bus)
{
    for (unsigned i = 0; i < sg->count; i++)
        bus_dma_written(bus, sg->addr[i], sg->iov[i].iov_len);
}

void sg_clear(struct sg *sg)
{
    sg->count = 0;
    sg->size = 0;
}

void sg_free(struct sg *sg)
{
    free(sg->iov);
    free(sg->addr);
    *sg = (struct sg){0};
}

bool sg_read_ram(struct bus *bus, uint64_t addr, void *data, size_t size)
{
    uint8_t *to = data;

    while (size) {
        size_t part = size;
        const uint8_t *host = bus_dma(bus, addr, &part);

        if (!host)
            return false;
        memcpy(to, host, part);
        to += part;
        addr += part;
        size -= part;
    }
    return true;
}

bool sg_write_ram(struct bus *bus, uint64_t addr, const void *data, size_t size)
{
    const uint8_t *from = data;

    while (size) {
        size_t part = size;
        uint8_t *host = bus_dma(bus, addr, &part);

        if (!host)
            return false;
        memcpy(host, from, part);
        bus_dma_written(bus, addr, part);
        from += part;
        addr += part;
        size -= part;
    }
    return true;
}
