/*
 * random.h - the host's randomness.
 */
#ifndef HOST_RANDOM_H
#define HOST_RANDOM_H

#include <stdint.h>

/* 64 random bits, good enough for keys. `opaque` is not used. Any thread. */
uint64_t host_random(void *opaque);

#endif
