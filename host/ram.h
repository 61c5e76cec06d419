/*
 * ram.h - guest RAM: anonymous shared memory behind a file descriptor, so that every engine can map the same
 * pages.
 */
#ifndef HOST_RAM_H
#define HOST_RAM_H

#include <stddef.h>
#include <stdint.h>

struct host_ram {
    int fd;        /* of size `size`, which is sealed */
    uint8_t *base; /* all of it, zeroed, 2 MiB aligned */
    uint64_t size;
};

/*
 * `size` bytes, in whole 4 KiB pages. The host's memory is taken as the guest touches it. NULL when the host
 * refuses; then `why` says in a phrase what and why.
 */
struct host_ram *host_ram_new(uint64_t size, char *why, size_t why_size);
/* Gives memory back to the host: these whole pages read as zeroes from now on. Outside guest RAM it does nothing. */
void host_ram_release(struct host_ram *ram, uint8_t *at, size_t size);
void host_ram_free(struct host_ram *ram);

#endif
