/*
 * dma.h - the PC's pair of 8237A DMA controllers with their page registers: channels 0 to 3 move bytes, 5 to
 * 7 16-bit words, 4 connects the first controller to the second.
 *
 * Locking: all calls with the machine lock held.
 */
#ifndef DEVICES_DMA_H
#define DEVICES_DMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"
#include "core/log.h"

struct dma;

extern const struct device_class dma_class;

/*
 * The pair at ports 0x00-0x0F, 0x80-0x8F and 0xC0-0xDF, which reads and writes `memory`. `log` may be NULL.
 * NULL when memory ran out.
 */
struct dma *dma_new(struct bus *ports, struct bus *memory, struct log *log);

/*
 * The device on a channel has `size` bytes for memory (to_memory), or wants them from memory, in `data`; on
 * channels 5 to 7 `size` is even. As many as the channel's count allows are moved, in the way in which the
 * guest programmed the channel:
 *
 *   - verify: bytes are counted, memory isn't touched, and a device that wants bytes gets zeros;
 *   - the direction opposite to the device's: likewise;
 *   - masked, disabled, in cascade mode or no such channel: nothing moves and 0 is returned.
 *
 * Returns the bytes moved. *terminal says whether the last of them was the count's last: TC, upon which the
 * device ends its command. A channel in auto-initialise mode then has its first address and count again.
 */
size_t dma_transfer(struct dma *dma, unsigned channel, bool to_memory, void *data, size_t size,
                    bool *terminal);

/* Whether dma_transfer() would move anything now. */
bool dma_ready(const struct dma *dma, unsigned channel);

/* `ready` follows dma_ready() of the channel, for devices that wait until they are let. */
void dma_watch(struct dma *dma, unsigned channel, struct irq ready);

#endif
