/*
 * multiboot.h - finding Multiboot headers. Private to bios/.
 */
#ifndef BIOS_MULTIBOOT_H
#define BIOS_MULTIBOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A whole header with a right checksum in the first 8 KiB (32 KiB for version 2): its offset in the file. */
bool multiboot1_find(const uint8_t *data, size_t size, size_t *header);
bool multiboot2_find(const uint8_t *data, size_t size, size_t *header);

/* Whether the header found there says where the file is loaded, so that the file needn't be an ELF. */
bool multiboot1_has_addresses(const uint8_t *data, size_t header);
bool multiboot2_has_addresses(const uint8_t *data, size_t header);

/*
 * The load of a file whose header gives addresses, in either version: file bytes from `offset` go to `load`,
 * up to `load_end` (0: the end of the file), and zeros up to `bss_end` (0: none).
 */
struct loader;
struct multiboot_span {
    uint64_t offset, load, load_end, bss_end;
};
bool multiboot_load_span(struct loader *l, const struct multiboot_span *span);

#endif
