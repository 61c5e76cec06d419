/*
 * bus.c - the map as a flat, sorted view.
 *
 * Regions overlap; the view does not. It is rebuilt at every map change: a sorted array of ranges, each
 * answered by one region. Accesses search it without a lock.
 *
 * There are two views. A change fills the idle one and makes it current, so a search under way in the old one
 * is undisturbed; only a second change would touch what it reads, and then the view's sequence count (odd
 * while it is written) tells the search to start over. So a guest may move its BARs for ever without the host
 * allocating anything: views grow only when a region is added, and what they outgrow is kept until
 * bus_free().
 */
#include "core/bus.h"

#include <stdlib.h>
#include <string.h>

/*
 * Chips whose handlers access the bus may be aimed at themselves by a guest (a DMA engine at its own
 * doorbell). Deeper than this, nothing answers. The longest honest chain (EOI, IOAPIC, message to the LAPIC)
 * needs three.
 */
#define MAX_DEPTH 16

struct range {
    uint64_t start, end; /* [start, end) */
    uint64_t offset;     /* of start in the region */
    struct region *region;
};

struct view {
    unsigned sequence;
    unsigned count, capacity;
    unsigned hot; /* the largest RAM range, tried first */
    struct view *outgrown;
    struct range ranges[];
};

struct bus {
    const char *name;
    uint64_t size;
    pthread_mutex_t *lock;
    unsigned depth; /* of chips accessing the bus from within; machine lock */

    struct region *first, **last;
    unsigned region_count;
    uint64_t *borders; /* scratch for rebuilding, 2 for each region */

    struct view *current, *idle;
    struct view *outgrown; /* readers may still be in these */
    struct bus_listener *listeners;
};

/* What answers at an address, and for how many bytes from there it is the same. */
struct answer {
    struct region *region; /* NULL: nothing */
    uint64_t offset;
    uint64_t span;
};

/* --- the view ------------------------------------------------------------------------------------ */

#define load_relaxed(p)     __atomic_load_n(p, __ATOMIC_RELAXED)
#define store_relaxed(p, v) __atomic_store_n(p, v, __ATOMIC_RELAXED)

static bool range_holds(const struct range *range, uint64_t addr)
{
    return addr >= load_relaxed(&range->start) && addr < load_relaxed(&range->end);
}

/* May read a view that is being rewritten: every index stays below its capacity, and the caller checks the
 * count. */
static struct answer view_search(const struct view *view, uint64_t addr, uint64_t bus_size)
{
    unsigned low = 0, high = load_relaxed(&view->count), hot = load_relaxed(&view->hot);

    if (hot < high && range_holds(&view->ranges[hot], addr)) {
        low = hot;
        high = hot + 1;
    }
    /* The first range that ends above addr is in [low, high]. */
    unsigned limit = high;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (load_relaxed(&view->ranges[middle].end) <= addr)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == limit)
        return (struct answer){.span = bus_size - addr};
    const struct range *range = &view->ranges[low];
    uint64_t start = load_relaxed(&range->start);
    if (addr < start)
        return (struct answer){.span = start - addr};
    return (struct answer){
        .region = load_relaxed(&range->region),
        .offset = load_relaxed(&range->offset) + (addr - start),
        .span = load_relaxed(&range->end) - addr,
    };
}

static struct answer bus_search(struct bus *bus, uint64_t addr)
{
    /* Nothing from here on, and a block never wraps around to address 0. */
    if (addr >= bus->size)
        return (struct answer){.span = UINT64_MAX};
    for (;;) {
        struct view *view = __atomic_load_n(&bus->current, __ATOMIC_ACQUIRE);
        unsigned sequence = __atomic_load_n(&view->sequence, __ATOMIC_ACQUIRE);
        struct answer answer = view_search(view, addr, bus->size);

        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (!(sequence & 1) && sequence == load_relaxed(&view->sequence))
            return answer;
    }
}

static int compare_borders(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* Where the region ends on this bus: BARs may be aimed beyond it. */
static uint64_t region_end(const struct region *region)
{
    uint64_t limit = region->bus->size;

    if (region->base >= limit)
        return region->base;
    return region->size < limit - region->base ? region->base + region->size : limit;
}

static bool region_present(const struct region *region)
{
    return region->enabled && region_end(region) > region->base;
}

static struct region *winner_at(struct bus *bus, uint64_t addr)
{
    struct region *winner = NULL;

    for (struct region *r = bus->first; r; r = r->next) {
        if (!region_present(r) || addr < r->base || addr >= region_end(r))
            continue;
        if (!winner || r->priority >= winner->priority)
            winner = r;
    }
    return winner;
}

static void view_append(struct view *view, uint64_t start, uint64_t end, struct region *region)
{
    struct range *last = view->count ? &view->ranges[view->count - 1] : NULL;

    if (last && last->region == region && last->end == start) {
        store_relaxed(&last->end, end);
        return;
    }
    struct range *range = &view->ranges[view->count];
    store_relaxed(&range->start, start);
    store_relaxed(&range->end, end);
    store_relaxed(&range->offset, start - region->base);
    store_relaxed(&range->region, region);
    store_relaxed(&view->count, view->count + 1);
}

/* Between two neighbouring borders the same region answers throughout; there are fewer such spans than
 * borders. */
static void view_fill(struct view *view, struct bus *bus)
{
    unsigned borders = 0;
    uint64_t largest = 0;

    for (struct region *r = bus->first; r; r = r->next) {
        if (!region_present(r))
            continue;
        bus->borders[borders++] = r->base;
        bus->borders[borders++] = region_end(r);
    }
    if (borders)
        qsort(bus->borders, borders, sizeof(*bus->borders), compare_borders);

    store_relaxed(&view->count, 0);
    store_relaxed(&view->hot, 0);
    for (unsigned i = 0; i + 1 < borders; i++) {
        uint64_t start = bus->borders[i], end = bus->borders[i + 1];
        struct region *winner = start < end ? winner_at(bus, start) : NULL;
        if (winner)
            view_append(view, start, end, winner);
    }
    for (unsigned i = 0; i < view->count; i++) {
        struct range *range = &view->ranges[i];
        if (range->region->kind == REGION_RAM && range->end - range->start > largest) {
            largest = range->end - range->start;
            store_relaxed(&view->hot, i);
        }
    }
}

static bool views_equal(const struct view *a, const struct view *b)
{
    if (a->count != b->count)
        return false;
    for (unsigned i = 0; i < a->count; i++) {
        const struct range *x = &a->ranges[i], *y = &b->ranges[i];
        if (x->start != y->start || x->end != y->end || x->offset != y->offset || x->region != y->region)
            return false;
    }
    return true;
}

static void rebuild(struct bus *bus)
{
    struct view *view = bus->idle;

    store_relaxed(&view->sequence, view->sequence + 1);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    view_fill(view, bus);
    __atomic_store_n(&view->sequence, view->sequence + 1, __ATOMIC_RELEASE);
    if (views_equal(view, bus->current))
        return;

    bus->idle = bus->current;
    __atomic_store_n(&bus->current, view, __ATOMIC_RELEASE);
    for (struct bus_listener *l = bus->listeners; l; l = l->next) {
        if (l->map_changed)
            l->map_changed(l->opaque);
    }
}

static struct view *view_new(unsigned capacity)
{
    struct view *view = calloc(1, sizeof(*view) + capacity * sizeof(struct range));

    if (view)
        view->capacity = capacity;
    return view;
}

/* Room in both views and the scratch for `regions` regions, so that region_set() never needs memory. */
static bool reserve(struct bus *bus, unsigned regions)
{
    if (2 * regions <= bus->idle->capacity)
        return true;
    unsigned capacity = 4 * regions;
    struct view *current = view_new(capacity), *idle = view_new(capacity);
    uint64_t *borders = realloc(bus->borders, capacity * sizeof(*borders));
    if (borders)
        bus->borders = borders;
    if (!current || !idle || !borders) {
        free(current);
        free(idle);
        return false;
    }
    current->count = bus->current->count;
    current->hot = bus->current->hot;
    memcpy(current->ranges, bus->current->ranges, current->count * sizeof(struct range));
    bus->current->outgrown = bus->idle;
    bus->idle->outgrown = bus->outgrown;
    bus->outgrown = bus->current;
    bus->idle = idle;
    __atomic_store_n(&bus->current, current, __ATOMIC_RELEASE);
    return true;
}

/* --- the map ------------------------------------------------------------------------------------- */

struct bus *bus_new(const char *name, uint64_t size, pthread_mutex_t *lock)
{
    struct bus *bus = calloc(1, sizeof(*bus));

    if (!bus)
        return NULL;
    bus->name = name;
    bus->size = size;
    bus->lock = lock;
    bus->last = &bus->first;
    bus->current = view_new(32);
    bus->idle = view_new(32);
    bus->borders = calloc(32, sizeof(*bus->borders));
    if (!bus->current || !bus->idle || !bus->borders) {
        bus_free(bus);
        return NULL;
    }
    return bus;
}

void bus_free(struct bus *bus)
{
    if (!bus)
        return;
    for (struct region *region = bus->first, *next; region; region = next) {
        next = region->next;
        free(region->page_flags);
        free(region);
    }
    for (struct view *view = bus->outgrown, *next; view; view = next) {
        next = view->outgrown;
        free(view);
    }
    free(bus->current);
    free(bus->idle);
    free(bus->borders);
    free(bus);
}

static struct region *map_region(struct bus *bus, const struct region *model)
{
    struct region *region = malloc(sizeof(*region));

    if (!region)
        return NULL;
    *region = *model;
    region->enabled = true;
    region->bus = bus;
    if (region->kind == REGION_RAM) {
        region->page_flags = calloc(region->size / BUS_PAGE, 1);
        if (!region->page_flags) {
            free(region);
            return NULL;
        }
    }
    if (!reserve(bus, bus->region_count + 1)) {
        free(region->page_flags);
        free(region);
        return NULL;
    }
    bus->region_count++;
    *bus->last = region;
    bus->last = &region->next;
    rebuild(bus);
    return region;
}

struct region *bus_map(struct bus *bus, const char *name, uint64_t base, uint64_t size,
                       const struct bus_ops *ops, void *dev)
{
    return map_region(
        bus, &(struct region){
                 .name = name, .kind = REGION_IO, .base = base, .size = size, .ops = ops, .dev = dev});
}

static struct region *map_memory(struct bus *bus, const char *name, enum region_kind kind, uint64_t base,
                                 uint64_t size, uint8_t *host)
{
    if (!size || size % BUS_PAGE || base % BUS_PAGE || base > bus->size || size > bus->size - base)
        return NULL;
    return map_region(bus,
                      &(struct region){.name = name, .kind = kind, .base = base, .size = size, .host = host});
}

struct region *bus_map_ram(struct bus *bus, const char *name, uint64_t base, uint64_t size, uint8_t *host)
{
    return map_memory(bus, name, REGION_RAM, base, size, host);
}

struct region *bus_map_rom(struct bus *bus, const char *name, uint64_t base, uint64_t size, uint8_t *host)
{
    return map_memory(bus, name, REGION_ROM, base, size, host);
}

void region_set(struct region *region, uint64_t base, bool enabled, int priority)
{
    if (region->kind != REGION_IO)
        base -= base % BUS_PAGE;
    region->base = base;
    region->enabled = enabled;
    region->priority = priority;
    rebuild(region->bus);
}

struct region *bus_first(struct bus *bus)
{
    return bus->first;
}

void bus_listen(struct bus *bus, struct bus_listener *listener)
{
    listener->next = bus->listeners;
    __atomic_store_n(&bus->listeners, listener, __ATOMIC_RELEASE);
}

void bus_unlisten(struct bus *bus, struct bus_listener *listener)
{
    for (struct bus_listener **link = &bus->listeners; *link; link = &(*link)->next) {
        if (*link == listener) {
            __atomic_store_n(link, listener->next, __ATOMIC_RELEASE);
            return;
        }
    }
}

struct region *bus_find(struct bus *bus, uint64_t addr, uint64_t *offset)
{
    struct answer answer = bus_search(bus, addr);

    if (offset)
        *offset = answer.offset;
    return answer.region;
}

uint64_t bus_span(struct bus *bus, uint64_t addr)
{
    return addr < bus->size ? bus_search(bus, addr).span : 0;
}

/* --- RAM ----------------------------------------------------------------------------------------- */

static void page_written(struct bus *bus, struct region *ram, uint64_t offset, uint64_t size)
{
    uint8_t *flags = &ram->page_flags[offset / BUS_PAGE];
    uint8_t seen = load_relaxed(flags);

    if (!seen)
        return;
    if (seen & PAGE_TRACK) {
        /* Dirty first: whoever sees TRACK gone must find DIRTY set. */
        __atomic_fetch_or(flags, PAGE_DIRTY, __ATOMIC_SEQ_CST);
        __atomic_fetch_and(flags, (uint8_t)~PAGE_TRACK, __ATOMIC_SEQ_CST);
    }
    if (!(seen & PAGE_CODE))
        return;
    struct bus_listener *next;
    for (struct bus_listener *l = __atomic_load_n(&bus->listeners, __ATOMIC_ACQUIRE); l; l = next) {
        next = __atomic_load_n(&l->next, __ATOMIC_ACQUIRE);
        if (l->code_written)
            l->code_written(l->opaque, ram->base + offset, size);
    }
}

void bus_ram_written(struct bus *bus, struct region *ram, uint64_t offset, uint64_t size)
{
    /*
     * The bytes before the flags. An engine sets PAGE_CODE and then reads the bytes it decodes; with a full
     * barrier on both sides either it reads the new bytes or we see its flag.
     */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    while (size && offset < ram->size) {
        uint64_t part = BUS_PAGE - offset % BUS_PAGE;
        if (part > size)
            part = size;
        page_written(bus, ram, offset, part);
        offset += part;
        size -= part;
    }
}

void bus_collect_written(struct region *ram)
{
    for (struct bus_listener *l = ram->bus->listeners; l; l = l->next) {
        if (l->collect_written)
            l->collect_written(l->opaque, ram);
    }
}

bool bus_take_dirty(struct region *ram, uint64_t page)
{
    uint8_t *flags = &ram->page_flags[page];
    uint8_t seen = load_relaxed(flags);

    if ((seen & (PAGE_TRACK | PAGE_DIRTY)) == PAGE_TRACK)
        return false;
    /* A writer that saw TRACK clears it last: it may be lost here; then the page is dirty again next time. */
    __atomic_fetch_and(flags, (uint8_t)~PAGE_DIRTY, __ATOMIC_SEQ_CST);
    __atomic_fetch_or(flags, PAGE_TRACK, __ATOMIC_SEQ_CST);
    return true;
}

void bus_tracking_armed(struct region *ram)
{
    for (struct bus_listener *l = ram->bus->listeners; l; l = l->next) {
        if (l->tracking_armed)
            l->tracking_armed(l->opaque, ram);
    }
}

/* Fixed-size copies become single moves, so an aligned access is as atomic as the guest may expect. */
static uint64_t ram_read(const uint8_t *at, unsigned size)
{
    uint16_t v16;
    uint32_t v32;
    uint64_t v64;

    switch (size) {
    case 1:
        return *at;
    case 2:
        memcpy(&v16, at, 2);
        return v16;
    case 4:
        memcpy(&v32, at, 4);
        return v32;
    default:
        memcpy(&v64, at, 8);
        return v64;
    }
}

static void ram_write(uint8_t *at, uint64_t value, unsigned size)
{
    uint16_t v16 = (uint16_t)value;
    uint32_t v32 = (uint32_t)value;

    switch (size) {
    case 1:
        *at = (uint8_t)value;
        break;
    case 2:
        memcpy(at, &v16, 2);
        break;
    case 4:
        memcpy(at, &v32, 4);
        break;
    default:
        memcpy(at, &value, 8);
        break;
    }
}

/* --- chips --------------------------------------------------------------------------------------- */

static uint64_t size_mask(unsigned size)
{
    return size >= 8 ? UINT64_MAX : (UINT64_C(1) << (8 * size)) - 1;
}

static unsigned chip_size(const struct region *region)
{
    return region->ops && region->ops->max_size ? region->ops->max_size : 1;
}

static bool enter_chip(struct bus *bus)
{
    if (bus->lock)
        pthread_mutex_lock(bus->lock);
    return ++bus->depth <= MAX_DEPTH;
}

static void leave_chip(struct bus *bus)
{
    bus->depth--;
    if (bus->lock)
        pthread_mutex_unlock(bus->lock);
}

static uint64_t chip_read(struct bus *bus, struct region *region, uint64_t offset, unsigned size)
{
    unsigned step = chip_size(region) < size ? chip_size(region) : size;
    uint64_t value = 0;

    if (!region->ops || !region->ops->read)
        return size_mask(size);
    if (enter_chip(bus)) {
        for (unsigned i = 0; i < size; i += step)
            value |= (region->ops->read(region->dev, offset + i, step) & size_mask(step)) << (8 * i);
    } else {
        value = size_mask(size);
    }
    leave_chip(bus);
    return value;
}

static void chip_write(struct bus *bus, struct region *region, uint64_t offset, uint64_t value, unsigned size)
{
    unsigned step = chip_size(region) < size ? chip_size(region) : size;

    if (!region->ops || !region->ops->write)
        return;
    if (enter_chip(bus)) {
        for (unsigned i = 0; i < size; i += step)
            region->ops->write(region->dev, offset + i, value >> (8 * i) & size_mask(step), step);
    }
    leave_chip(bus);
}

/* --- accesses ------------------------------------------------------------------------------------ */

/* An access that crosses a border: byte by byte, each with whoever answers there. */
static uint64_t read_bytes(struct bus *bus, uint64_t addr, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++) {
        uint64_t byte = addr + i < addr ? 0xff : bus_read(bus, addr + i, 1);
        value |= byte << (8 * i);
    }
    return value;
}

uint64_t bus_read(struct bus *bus, uint64_t addr, unsigned size)
{
    struct answer to = bus_search(bus, addr);

    if (to.span < size)
        return read_bytes(bus, addr, size);
    if (!to.region)
        return size_mask(size);
    if (to.region->kind == REGION_IO)
        return chip_read(bus, to.region, to.offset, size);
    return ram_read(to.region->host + to.offset, size);
}

void bus_write(struct bus *bus, uint64_t addr, uint64_t value, unsigned size)
{
    struct answer to = bus_search(bus, addr);

    if (to.span < size) {
        for (unsigned i = 0; i < size && addr + i >= addr; i++)
            bus_write(bus, addr + i, value >> (8 * i) & 0xff, 1);
        return;
    }
    if (!to.region || to.region->kind == REGION_ROM)
        return;
    if (to.region->kind == REGION_IO) {
        chip_write(bus, to.region, to.offset, value & size_mask(size), size);
        return;
    }
    ram_write(to.region->host + to.offset, value, size);
    bus_ram_written(bus, to.region, to.offset, size);
}

/* The largest naturally aligned piece of a block that a chip takes at once. */
static unsigned block_step(const struct region *region, uint64_t addr, uint64_t left)
{
    unsigned step = 1;

    while (2 * step <= chip_size(region) && 2 * step <= 8 && 2 * step <= left && addr % (2 * step) == 0)
        step *= 2;
    return step;
}

static void read_block_chip(struct bus *bus, struct answer from, uint64_t addr, uint8_t *data, uint64_t size)
{
    for (uint64_t done = 0; done < size;) {
        unsigned step = block_step(from.region, addr + done, size - done);
        uint64_t value = chip_read(bus, from.region, from.offset + done, step);
        for (unsigned i = 0; i < step; i++)
            data[done + i] = (uint8_t)(value >> (8 * i));
        done += step;
    }
}

static void write_block_chip(struct bus *bus, struct answer to, uint64_t addr, const uint8_t *data,
                             uint64_t size)
{
    for (uint64_t done = 0; done < size;) {
        unsigned step = block_step(to.region, addr + done, size - done);
        uint64_t value = 0;
        for (unsigned i = 0; i < step; i++)
            value |= (uint64_t)data[done + i] << (8 * i);
        chip_write(bus, to.region, to.offset + done, value, step);
        done += step;
    }
}

/* Chips may change the map under a block: go on with the new one at the next page. */
static uint64_t block_part(const struct answer *answer, uint64_t addr, size_t size)
{
    uint64_t part = answer->span < size ? answer->span : size;
    uint64_t page = BUS_PAGE - addr % BUS_PAGE;

    if (answer->region && answer->region->kind == REGION_IO && part > page)
        part = page;
    return part;
}

void bus_read_block(struct bus *bus, uint64_t addr, void *data, size_t size)
{
    uint8_t *to = data;

    while (size) {
        struct answer from = bus_search(bus, addr);
        uint64_t part = block_part(&from, addr, size);
        if (!from.region)
            memset(to, 0xff, part);
        else if (from.region->kind == REGION_IO)
            read_block_chip(bus, from, addr, to, part);
        else
            memmove(to, from.region->host + from.offset, part);
        addr += part;
        to += part;
        size -= part;
    }
}

void bus_write_block(struct bus *bus, uint64_t addr, const void *data, size_t size)
{
    const uint8_t *from = data;

    while (size) {
        struct answer to = bus_search(bus, addr);
        uint64_t part = block_part(&to, addr, size);
        if (to.region && to.region->kind == REGION_IO) {
            write_block_chip(bus, to, addr, from, part);
        } else if (to.region && to.region->kind == REGION_RAM) {
            memmove(to.region->host + to.offset, from, part);
            bus_ram_written(bus, to.region, to.offset, part);
        }
        addr += part;
        from += part;
        size -= part;
    }
}

uint8_t *bus_dma(struct bus *bus, uint64_t addr, size_t *size)
{
    struct answer at = bus_search(bus, addr);

    if (!at.region || at.region->kind != REGION_RAM) {
        *size = 0;
        return NULL;
    }
    if (*size > at.span)
        *size = at.span;
    return at.region->host + at.offset;
}

void bus_dma_written(struct bus *bus, uint64_t addr, size_t size)
{
    while (size) {
        struct answer at = bus_search(bus, addr);
        uint64_t part = block_part(&at, addr, size);
        if (at.region && at.region->kind == REGION_RAM)
            bus_ram_written(bus, at.region, at.offset, part);
        addr += part;
        size -= part;
    }
}
