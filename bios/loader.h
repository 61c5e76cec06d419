/*
 * loader.h - what the loaders share: the room left in guest memory, writing into it, and failing with a
 * message.
 *
 * Private to bios/. A loader first puts the kernel where it wants to be with loader_take(), then places all
 * else (initrd, tables, strings) with loader_place() into what is left, so that nothing collides whatever a
 * file asks for.
 */
#ifndef BIOS_LOADER_H
#define BIOS_LOADER_H

#include "bios/boot.h"

#define LOADER_CLAIMS  80
#define LOADER_LOW_MIN 0x1000ull  /* page 0 stays free: it has the real-mode vectors */
#define LOADER_LOW_MAX 0xA0000ull /* exclusive; the map says where the EBDA cuts it shorter */
#define LOADER_4G      (1ull << 32)

struct loader {
    struct bus *bus;
    const struct boot_request *req;
    char *why;
    size_t why_size;
    size_t claims;
    struct loader_claim {
        uint64_t base, end;
    } claim[LOADER_CLAIMS]; /* memory that is taken, in no order */
};

/* Says why and returns false. The caller names the file or option in the text. */
bool loader_fail(struct loader *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Whether [base, base + size) is RAM in the map; size 0 is. */
bool loader_is_ram(const struct loader *l, uint64_t base, uint64_t size);

/*
 * Claims [base, base + size) for `what` ("segment 2"), which must be RAM; otherwise the message tells a
 * machine that is too small from an address where there can't be RAM.
 */
bool loader_take(struct loader *l, uint64_t base, uint64_t size, const char *what);

/*
 * Finds `size` free bytes of RAM at a multiple of `align` (a power of two) within [low, high) and claims
 * them: the highest such place, or the lowest. Returns false, without a message, when there is none.
 */
bool loader_place_high(struct loader *l, uint64_t size, uint64_t align, uint64_t low, uint64_t high,
                       uint64_t *addr);
bool loader_place_low(struct loader *l, uint64_t size, uint64_t align, uint64_t low, uint64_t high,
                      uint64_t *addr);

/* For the loader's tables: below 640 KiB if there is room, or else anywhere below 4 GiB, with a message for
 * `what`. */
bool loader_place_table(struct loader *l, uint64_t size, uint64_t align, const char *what, uint64_t *addr);

/* Places `size` bytes as a table and writes them; or a string with its zero. */
bool loader_add_table(struct loader *l, const void *data, size_t size, const char *what, uint64_t *addr);
bool loader_add_string(struct loader *l, const char *text, const char *what, uint64_t *addr);

/* "kernel-name command line", as Multiboot kernels expect it; to be freed. NULL, with a message, without
 * memory. */
char *loader_named_command_line(struct loader *l);

/*
 * Places the initrd page-aligned, as high below `high` as it goes, or if there is no room and `above_4g` says
 * that the kernel can cope, above 4 GiB; and writes it. Without an initrd, *addr is 0.
 */
bool loader_add_initrd(struct loader *l, uint64_t high, bool above_4g, uint64_t *addr);

void loader_write(struct loader *l, uint64_t addr, const void *data, size_t size);
void loader_zero(struct loader *l, uint64_t addr, uint64_t size);

/* Fills *entry for protected mode or long mode at `rip`: GDT (CS 0x10, data 0x18), in LONG64 page tables too.
 */
bool loader_enter_flat32(struct loader *l, struct boot_entry *entry, uint64_t rip);
bool loader_enter_long64(struct loader *l, struct boot_entry *entry, uint64_t rip);

/* "4 MiB", "300 KiB", rounded up, for messages. */
struct loader_size_text {
    char text[32];
};
struct loader_size_text loader_size(uint64_t bytes);

/* The lowest and highest RAM in the old BIOS measures: KiB from 0, at most 640; KiB from 1 MiB to the first
 * hole. */
uint32_t loader_mem_lower(const struct loader *l);
uint32_t loader_mem_upper(const struct loader *l);

/* The protocols. */
bool linux_load(struct loader *l, struct boot_entry *entry);
bool multiboot1_load(struct loader *l, struct boot_entry *entry);
bool multiboot2_load(struct loader *l, struct boot_entry *entry);
bool pvh_load(struct loader *l, struct boot_entry *entry);

#endif
