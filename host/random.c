/* random.c - randomness from the host's kernel. */
#include "host/random.h"

#include <stdlib.h>
#include <sys/random.h>

uint64_t host_random(void *opaque)
{
    uint64_t value;

    (void)opaque;
    /* Waits while the host is starting and has none yet; fails only on kernels older than Linux 3.17. */
    if (getentropy(&value, sizeof(value)))
        abort();
    return value;
}
