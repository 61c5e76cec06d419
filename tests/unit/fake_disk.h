/*
 * fake_disk.h - a medium in memory for tests of controllers that have many requests under way: it keeps them
 * until the test completes one, any of them.
 */
#ifndef TESTS_UNIT_FAKE_DISK_H
#define TESTS_UNIT_FAKE_DISK_H

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/block.h"

#define FAKE_WAITING 1024

struct fake_disk {
    struct block block;
    uint8_t *data;
    struct block_request *waiting[FAKE_WAITING];
    unsigned count, reads, writes, flushes, discards, zeroes;
    uint64_t bad; /* this 512-byte sector fails; UINT64_MAX: none */
    bool bad_flush;
};

static inline void fake_disk_submit(struct block *block, struct block_request *request)
{
    struct fake_disk *fake = (struct fake_disk *)block;
    size_t sum = 0;

    ck_assert_uint_lt(fake->count, FAKE_WAITING);
    ck_assert(request->offset % 512 == 0 && request->size % 512 == 0);
    ck_assert(request->offset <= block->size && request->size <= block->size - request->offset);
    ck_assert(request->op == BLOCK_FLUSH ? !request->size : request->size > 0);
    ck_assert(request->op == BLOCK_READ || request->op == BLOCK_FLUSH || !block->read_only);
    for (unsigned i = 0; i < request->iov_count; i++)
        sum += request->iov[i].iov_len;
    ck_assert(!request->iov || (sum == request->size && request->iov_count <= BLOCK_PIECES));
    fake->waiting[fake->count++] = request;
}

static inline void fake_disk_close(struct block *block)
{
    (void)block;
}

static const struct block_ops fake_disk_ops = {.submit = fake_disk_submit, .close = fake_disk_close};

static inline void fake_disk_init(struct fake_disk *fake, uint64_t size)
{
    memset(fake, 0, sizeof(*fake));
    fake->block = (struct block){.ops = &fake_disk_ops, .name = "fake", .size = size, .can_discard = true};
    fake->data = malloc(size);
    fake->bad = UINT64_MAX;
    for (uint64_t i = 0; i < size; i++)
        fake->data[i] = (uint8_t)(i * 7 + i / 512 + (i >> 17));
}

static inline void fake_disk_move(struct fake_disk *fake, const struct block_request *request)
{
    const struct iovec whole = {request->data, request->size}, *iov = request->iov ? request->iov : &whole;
    uint8_t *at = fake->data + request->offset;

    for (unsigned i = 0; i < (request->iov ? request->iov_count : 1); i++) {
        if (request->op == BLOCK_READ)
            memcpy(iov[i].iov_base, at, iov[i].iov_len);
        else
            memcpy(at, iov[i].iov_base, iov[i].iov_len);
        at += iov[i].iov_len;
    }
}

static inline int fake_disk_perform(struct fake_disk *fake, const struct block_request *request)
{
    bool bad = fake->bad >= request->offset / 512 && fake->bad < (request->offset + request->size) / 512;

    fake->reads += request->op == BLOCK_READ;
    fake->writes += request->op == BLOCK_WRITE;
    fake->flushes += request->op == BLOCK_FLUSH;
    fake->discards += request->op == BLOCK_DISCARD;
    fake->zeroes += request->op == BLOCK_WRITE_ZEROES;
    if (request->op == BLOCK_FLUSH)
        return fake->bad_flush ? EIO : 0;
    if (bad)
        return EIO;
    if (request->op == BLOCK_READ || request->op == BLOCK_WRITE)
        fake_disk_move(fake, request);
    else
        memset(fake->data + request->offset, 0, request->size);
    return 0;
}

/* Completes the request that was submitted as number n of those that wait; false when there is none. */
static inline bool fake_disk_complete(struct fake_disk *fake, unsigned n)
{
    if (n >= fake->count)
        return false;
    struct block_request *request = fake->waiting[n];
    memmove(fake->waiting + n, fake->waiting + n + 1, (--fake->count - n) * sizeof(*fake->waiting));
    request->done(request, fake_disk_perform(fake, request));
    return true;
}

static inline void fake_disk_pump(struct fake_disk *fake)
{
    while (fake_disk_complete(fake, 0))
        ;
}

#endif
