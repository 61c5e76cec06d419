/*
 * ticker.h - a beat by the host's clock, for those who look at the machine from outside: it goes on while the
 * machine's own clock stands.
 *
 * Locking: as loop.h's watches.
 */
#ifndef HOST_TICKER_H
#define HOST_TICKER_H

#include "host/loop.h"

struct ticker;

/* Calls fn `hz` times a second from the loop; beats that were missed are not made up for. NULL when the host
 * refuses. */
struct ticker *ticker_new(struct loop *loop, unsigned hz, void (*fn)(void *opaque), void *opaque);
void ticker_free(struct ticker *ticker);

#endif
