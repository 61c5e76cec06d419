/*
 * bus.h - an address space: which RAM, ROM or chip answers at an address. The machine has two, memory and
 * ports; one registration call serves both.
 *
 * Regions may overlap; the higher priority answers, and among equals the one mapped later. Where nothing
 * answers, reads give all ones and writes vanish, as on a PC's bus.
 *
 * Locking: bus_read/bus_write take the machine lock around a chip's functions (it is recursive, so that a
 * chip may itself access the bus). RAM access never locks. Mapping changes are made with the machine lock
 * held.
 */
#ifndef CORE_BUS_H
#define CORE_BUS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUS_PAGE 4096u

/*
 * A chip's registers. `addr` is the offset into its region, `size` 1, 2, 4 or 8 bytes, never more than
 * max_size: a wider access arrives as several, lowest address first. An access that crosses into another
 * region arrives as bytes. A missing function reads as all ones or ignores the write.
 */
struct bus_ops {
    uint64_t (*read)(void *dev, uint64_t addr, unsigned size);
    void (*write)(void *dev, uint64_t addr, uint64_t value, unsigned size);
    uint8_t max_size; /* 0 means 1 */
};

/* Flags of one 4 KiB page of RAM. */
enum page_flag {
    PAGE_CODE = 1,  /* an engine holds code decoded from this page: tell the listeners of writes */
    PAGE_TRACK = 2, /* somebody wants to know of the next write: it sets PAGE_DIRTY and clears this */
    PAGE_DIRTY = 4, /* see bus_take_dirty() */
};

enum region_kind { REGION_RAM, REGION_ROM, REGION_IO };

struct region {
    const char *name;
    enum region_kind kind;
    bool enabled;
    int priority;
    uint64_t base, size;
    uint8_t *host;             /* RAM and ROM: the bytes */
    uint8_t *page_flags;       /* RAM: enum page_flag, a byte a page; written atomically */
    const struct bus_ops *ops; /* IO */
    void *dev;
    struct bus *bus;
    struct region *next; /* the bus's list, in order of registration */
};

/* Those that cache what the map says (TLBs, KVM slots) and those that cache what RAM says (decoded code). */
struct bus_listener {
    void (*map_changed)(void *opaque); /* drop cached host pointers; may be NULL */
    void (*code_written)(void *opaque, uint64_t addr,
                         uint64_t size); /* a PAGE_CODE page was written; may be NULL */
    void *opaque;
    struct bus_listener *next;
    /* Pages of this RAM have PAGE_TRACK again: drop cached permission to write them unseen; may be NULL */
    void (*tracking_armed)(void *opaque, struct region *ram);
    /* Say now, by bus_ram_written(), which pages of it were written unseen; may be NULL */
    void (*collect_written)(void *opaque, struct region *ram);
};

/*
 * A new empty space of `size` bytes. `lock` is the machine lock, recursive, or NULL when only one thread uses
 * the bus. NULL when memory ran out.
 */
struct bus *bus_new(const char *name, uint64_t size, pthread_mutex_t *lock);
void bus_free(struct bus *bus);

/*
 * Maps a chip, RAM or ROM; the region is enabled, at priority 0. RAM and ROM take base and size in whole
 * pages, inside the bus; what sticks out of a chip's region is out of reach. The name must outlive the bus.
 * NULL when memory ran out. A ROM that must shadow RAM gets a higher priority from region_set().
 */
struct region *bus_map(struct bus *bus, const char *name, uint64_t base, uint64_t size,
                       const struct bus_ops *ops, void *dev);
struct region *bus_map_ram(struct bus *bus, const char *name, uint64_t base, uint64_t size, uint8_t *host);
struct region *bus_map_rom(struct bus *bus, const char *name, uint64_t base, uint64_t size, uint8_t *host);

/* Moves, enables or re-ranks a region (BARs, APIC base, PAM). Listeners hear of it if what answers anywhere
 * changed. */
void region_set(struct region *region, uint64_t base, bool enabled, int priority);

/* The regions, in order of registration, for listings: for (r = bus_first(bus); r; r = r->next). */
struct region *bus_first(struct bus *bus);

/*
 * Listeners come and go while no engine runs. map_changed is called with the machine lock held, after the
 * change; code_written from the writing thread, after the write, with or without the lock, a call a page. It
 * is the listener that clears PAGE_CODE once it holds no more code of the page. tracking_armed and collect_written are
 * called with the machine lock held; a listener may act on it a moment later (bus_take_dirty()).
 */
void bus_listen(struct bus *bus, struct bus_listener *listener);
void bus_unlisten(struct bus *bus, struct bus_listener *listener);

/* One access of 1, 2, 4 or 8 bytes, any alignment. RAM, ROM or chip. */
uint64_t bus_read(struct bus *bus, uint64_t addr, unsigned size);
void bus_write(struct bus *bus, uint64_t addr, uint64_t value, unsigned size);

/*
 * Blocks, as DMA would: any length. Chips get naturally aligned pieces. A block doesn't wrap past the end of
 * the bus; `data` may itself lie in guest RAM.
 */
void bus_read_block(struct bus *bus, uint64_t addr, void *data, size_t size);
void bus_write_block(struct bus *bus, uint64_t addr, const void *data, size_t size);

/*
 * RAM for a chip that masters the bus for longer than a block: its bytes at `addr`, and in *size, cut down where
 * need be, how many lie in one piece. NULL, and *size 0, where no RAM answers. The pointer stays good as long as
 * the bus. Whoever has written through it says so by bus_dma_written(), after the bytes and before the guest is
 * told.
 */
uint8_t *bus_dma(struct bus *bus, uint64_t addr, size_t *size);
void bus_dma_written(struct bus *bus, uint64_t addr, size_t size);

/*
 * What answers at `addr`: the region (NULL when nothing does), and in *offset where in it. Stable until a map
 * change. Takes no lock; safe beside map changes made by other threads in the sense that old or new map is
 * seen.
 */
struct region *bus_find(struct bus *bus, uint64_t addr, uint64_t *offset);

/* From `addr` on, for how many bytes the same answers; 0 at the end of the bus. */
uint64_t bus_span(struct bus *bus, uint64_t addr);

/* A write to RAM that bypassed the bus (a CPU's own store) hit a page with flags: set dirty bits, tell
 * listeners. */
void bus_ram_written(struct bus *bus, struct region *ram, uint64_t offset, uint64_t size);

/*
 * Watching RAM for writes, as a screen does, one watcher a page. A round begins with bus_collect_written(), for
 * engines that note writes elsewhere. bus_take_dirty() says whether page number
 * `page` was written since it was last asked (yes the first time), and arms PAGE_TRACK anew. After a round in
 * which it said yes for any page the watcher calls bus_tracking_armed() once, and only then reads the bytes.
 *
 * A CPU on another thread may go on writing unseen until it acts on that call, so a page that was dirty in
 * one round is to be read again in the next.
 */
void bus_collect_written(struct region *ram);
bool bus_take_dirty(struct region *ram, uint64_t page);
void bus_tracking_armed(struct region *ram);

#endif
