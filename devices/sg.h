/*
 * sg.h - scatter and gather: the pieces of guest RAM that a disk's request moves, and reading and writing RAM
 * as controllers do that must notice when there is none.
 */
#ifndef DEVICES_SG_H
#define DEVICES_SG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "core/bus.h"

/* Zero is an empty list. The arrays stay for the next one, until sg_free(). */
struct sg {
    struct iovec *iov; /* for struct block_request; */
    uint64_t *addr;    /* and where each piece is for the guest */
    unsigned count, capacity;
    uint64_t size; /* bytes, of all pieces */
};

/* Appends guest RAM. False when not all of it is RAM, there would be too many pieces, or memory ran out. */
bool sg_add(struct sg *sg, struct bus *bus, uint64_t addr, uint64_t size);
/* The pieces were written: the bus must know. */
void sg_written(const struct sg *sg, struct bus *bus);
void sg_clear(struct sg *sg);
void sg_free(struct sg *sg);

/* RAM only: false, perhaps halfway, when there is none. */
bool sg_read_ram(struct bus *bus, uint64_t addr, void *data, size_t size);
bool sg_write_ram(struct bus *bus, uint64_t addr, const void *data, size_t size);

#endif
