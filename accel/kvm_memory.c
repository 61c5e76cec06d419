/*
 * kvm_memory.c - the guest's RAM and ROM as KVM's slots, which follow the memory map.
 *
 * Every span of RAM or ROM in the map is a slot; where there is none, accesses come out as MMIO exits and go
 * to the bus, chips and single bytes of ROM included. A change of the map (PAM, BARs) leaves unchanged slots
 * alone.
 *
 * Who watches RAM for writes asks the bus (bus_collect_written()) before he looks at the pages' flags. The
 * first time, the region's slots get a log of written pages; from then on the log is emptied into the flags.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "accel/kvm_internal.h"

#define LOGGED (sizeof(((struct kvm *)0)->logged) / sizeof(struct region *))

static bool is_logged(const struct kvm *kvm, const struct region *region)
{
    for (unsigned n = 0; n < LOGGED; n++)
        if (kvm->logged[n] == region)
            return true;
    return false;
}

/* The slots that the map wants, of whole pages; how many. */
static unsigned wanted_slots(struct kvm *kvm, struct kvm_slot *slots)
{
    struct bus *bus = kvm->config.memory;
    unsigned count = 0;
    uint64_t span;

    for (uint64_t at = 0; (span = bus_span(bus, at)) != 0 && count < KVM_SLOTS; at += span) {
        uint64_t offset, start = (at + BUS_PAGE - 1) & ~(uint64_t)(BUS_PAGE - 1);
        uint64_t end = (at + span) & ~(uint64_t)(BUS_PAGE - 1);
        struct region *region = bus_find(bus, start, &offset);

        if (start >= end || !region || region->kind == REGION_IO)
            continue;
        slots[count++] = (struct kvm_slot){
            .address = start,
            .size = end - start,
            .host = region->host + offset,
            .flags = region->kind == REGION_ROM ? KVM_MEM_READONLY
                     : is_logged(kvm, region)   ? KVM_MEM_LOG_DIRTY_PAGES
                                                : 0,
            .region = region,
            .offset = offset,
        };
    }
    return count;
}

static bool same_place(const struct kvm_slot *a, const struct kvm_slot *b)
{
    return a->address == b->address && a->size == b->size && a->host == b->host &&
           (a->flags & KVM_MEM_READONLY) == (b->flags & KVM_MEM_READONLY);
}

/* Size 0 takes the slot away. */
static void set_slot(struct kvm *kvm, unsigned number, const struct kvm_slot *slot, uint64_t size)
{
    struct kvm_userspace_memory_region memory = {
        .slot = number,
        .flags = slot->flags,
        .guest_phys_addr = slot->address,
        .memory_size = size,
        .userspace_addr = (uint64_t)(uintptr_t)slot->host,
    };

    if (ioctl(kvm->vm, KVM_SET_USER_MEMORY_REGION, &memory))
        kvm_fail(kvm, "KVM_SET_USER_MEMORY_REGION, slot %u of %#llx bytes at %#llx: %s", number,
                 (unsigned long long)size, (unsigned long long)slot->address, strerror(errno));
}

static bool is_wanted(const struct kvm_slot *slot, const struct kvm_slot *wanted, unsigned count)
{
    for (unsigned n = 0; n < count; n++)
        if (same_place(slot, &wanted[n]))
            return true;
    return false;
}

static void put_slot(struct kvm *kvm, const struct kvm_slot *wanted)
{
    unsigned number = 0;

    for (unsigned n = 0; n < KVM_SLOTS; n++)
        if (kvm->slot[n].region && same_place(&kvm->slot[n], wanted)) {
            if (kvm->slot[n].flags != wanted->flags)
                set_slot(kvm, n, wanted, wanted->size);
            kvm->slot[n] = *wanted;
            return;
        }
    while (number < KVM_SLOTS && kvm->slot[number].region)
        number++;
    if (number == KVM_SLOTS) /* what doesn't fit is reached by exits */
        return;
    kvm->slot[number] = *wanted;
    set_slot(kvm, number, wanted, wanted->size);
}

void kvm_memory_update(struct kvm *kvm)
{
    struct kvm_slot wanted[KVM_SLOTS];
    unsigned count;

    kvm_lock(kvm);
    count = wanted_slots(kvm, wanted);
    for (unsigned n = 0; n < KVM_SLOTS; n++)
        if (kvm->slot[n].region && !is_wanted(&kvm->slot[n], wanted, count)) {
            set_slot(kvm, n, &kvm->slot[n], 0);
            kvm->slot[n].region = NULL;
        }
    for (unsigned n = 0; n < count; n++)
        put_slot(kvm, &wanted[n]);
    kvm_unlock(kvm);
}

/* --- Tables ------------------------------------------------------------------------------------------------- */

/* Where a slot may come and go; nothing else is there (open_vcpu() has its neighbours). */
#define SPARE_ADDRESS 0xfeffb000u
#define SPARE_SLOT    KVM_SLOTS

/*
 * On hosts without nested paging KVM translates by tables of its own, and notes what the guest writes to those in its
 * memory while it runs it. What the software CPU writes there it doesn't see; but the guest, which can't know who
 * executes it, asks for its changes to be noticed as it has to on any processor. If it has, KVM forgets all that it has
 * when a slot goes away.
 */
void kvm_memory_renew_tables(struct kvm *kvm)
{
    struct kvm_slot spare = {.address = SPARE_ADDRESS, .host = kvm->spare};
    uint64_t now = cpu_tlb_invalidations(kvm->cpu);

    if (!kvm->shadow_paging || now == kvm->invalidations)
        return;
    kvm->invalidations = now;
    set_slot(kvm, SPARE_SLOT, &spare, BUS_PAGE);
    set_slot(kvm, SPARE_SLOT, &spare, 0);
    kvm->stats.renewals++;
}

/* --- What the bus tells
 * --------------------------------------------------------------------------------------- */

static void map_changed(void *opaque)
{
    struct kvm *kvm = opaque;

    atomic_store(&kvm->map_stale, true);
}

static void empty_log(struct kvm *kvm, unsigned number)
{
    const struct kvm_slot *slot = &kvm->slot[number];
    uint64_t bits[KVM_LOG_PAGES / 64] = {0};
    struct kvm_dirty_log log = {.slot = number, .dirty_bitmap = bits};

    if (ioctl(kvm->vm, KVM_GET_DIRTY_LOG, &log))
        return;
    for (uint64_t page = 0; page < slot->size / BUS_PAGE; page++)
        if (bits[page / 64] >> page % 64 & 1)
            bus_ram_written(kvm->config.memory, slot->region, slot->offset + page * BUS_PAGE, BUS_PAGE);
}

/* Somebody is going to look which pages were written. Machine lock held. */
static void collect_written(void *opaque, struct region *ram)
{
    struct kvm *kvm = opaque;

    if (!atomic_load(&kvm->attached) || ram->size / BUS_PAGE > KVM_LOG_PAGES)
        return;
    if (!is_logged(kvm, ram)) {
        for (unsigned n = 0; n < LOGGED; n++)
            if (!kvm->logged[n]) {
                kvm->logged[n] = ram;
                break;
            }
        kvm_memory_update(kvm);
        bus_ram_written(kvm->config.memory, ram, 0, ram->size); /* who knows what was before */
        return;
    }
    for (unsigned n = 0; n < KVM_SLOTS; n++)
        if (kvm->slot[n].region == ram && kvm->slot[n].flags & KVM_MEM_LOG_DIRTY_PAGES)
            empty_log(kvm, n);
}

bool kvm_memory_setup(struct kvm *kvm, char *why, size_t why_size)
{
    kvm->invalidations = UINT64_MAX;
    kvm->shadow_paging = kvm_user_only();
    if (kvm->shadow_paging && posix_memalign(&kvm->spare, BUS_PAGE, BUS_PAGE)) {
        snprintf(why, why_size, "out of memory for KVM");
        return false;
    }
    kvm->listener =
        (struct bus_listener){.map_changed = map_changed, .collect_written = collect_written, .opaque = kvm};
    bus_listen(kvm->config.memory, &kvm->listener);
    return true;
}

void kvm_memory_end(struct kvm *kvm)
{
    if (kvm->listener.opaque)
        bus_unlisten(kvm->config.memory, &kvm->listener);
    free(kvm->spare);
}
