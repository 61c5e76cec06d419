/*
 * fw_cfg.h - the firmware configuration device: numbered items and named files that the host has for firmware
 * and drivers, as on other virtual PCs.
 *
 * What the guest sees (all multi-byte fields of the device's own are big-endian, contents are as they are):
 *
 *   port 0x510, 16 bits, write   selects an item and goes to its start
 *   port 0x511, 8 bits, read     the item's next byte; zero past its end
 *   port 0x514, 32 bits, write   upper half of the address of a struct of 16 bytes in guest memory: u32
 *                                control, u32 length, u64 address
 *   port 0x518, 32 bits, write   its lower half; does what it says:
 *                                control bit 3 first selects item number control >> 16; then bit 1 reads
 *                                `length` bytes to `address`, bit 4 writes, bit 2 skips. Control becomes 0,
 * or 1 for an error. ports 0x514-0x51B, read      "QEMU CFG"
 *
 *   item 0x00  "QEMU"            item 0x01  u32, little-endian: bit 0 the ports, bit 1 the DMA interface
 *   item 0x19  the directory: u32 count, then for each file u32 size, u16 item, u16 zero, 56 bytes of name
 * with at least one zero at the end; in order of names item 0x20 and up  the files
 *
 * Locking: all calls with the machine lock held.
 */
#ifndef DEVICES_FW_CFG_H
#define DEVICES_FW_CFG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/bus.h"
#include "core/device.h"
#include "core/log.h"

#define FW_CFG_FILES     64 /* at most */
#define FW_CFG_NAME_SIZE 56

/* Items with fixed numbers, integers in little-endian. */
#define FW_CFG_CPUS      0x05 /* u16 */
#define FW_CFG_BOOT_MENU 0x0E /* u16: 1 to offer it */
#define FW_CFG_MAX_CPUS  0x0F /* u16: highest APIC ID + 1 */
#define FW_CFG_LOCAL     0x8000
#define FW_CFG_IRQ0      (FW_CFG_LOCAL | 2) /* u8: the timer is at I/O APIC input 2 */

struct fw_cfg;

struct fw_cfg_file {
    const char *name; /* shorter than FW_CFG_NAME_SIZE */
    const void *data; /* copied */
    size_t size;
    bool writable; /* through DMA, without changing its size */
    /* The guest selected the file, and: wrote [offset, offset + size) of it, which is `data` now. May be
     * NULL. */
    void (*selected)(void *opaque);
    void (*written)(void *opaque, const uint8_t *data, size_t offset, size_t size);
    void *opaque;
};

extern const struct device_class fw_cfg_class;

/* The device at ports 0x510 to 0x51B, whose DMA goes to `memory`. NULL when memory ran out. */
struct fw_cfg *fw_cfg_new(struct bus *ports, struct bus *memory, struct log *log);

/* Adds an item by number, or replaces it. False for a number that is a file's, or when memory ran out. */
bool fw_cfg_add(struct fw_cfg *cfg, unsigned item, const void *data, size_t size);

/*
 * Adds a file, or replaces the one of that name. False when there are too many, the name is too long or
 * memory ran out. Adding a file renumbers those already there: do it before the guest runs.
 */
bool fw_cfg_add_file(struct fw_cfg *cfg, const struct fw_cfg_file *file);

/* The file's bytes now, NULL when there is no such file. */
const uint8_t *fw_cfg_find_file(const struct fw_cfg *cfg, const char *name, size_t *size);

#endif
