/* An IDE controller with memory, ports, interrupt lines, and disks made of memory. For test_ata.c and
 * test_atapi.c. */
#ifndef TESTS_UNIT_IDE_RIG_H
#define TESTS_UNIT_IDE_RIG_H

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/bus.h"
#include "devices/ide.h"
#include "devices/pci.h"

#define RIG_RAM  0x100000u
#define RIG_BM   0xC000u /* where the bus master's BAR is put */
#define RIG_PRD  0x1000u /* where tests put descriptor tables */
#define RIG_DATA 0x20000u

#define BSY  0x80
#define DRDY 0x40
#define DSC  0x10
#define DRQ  0x08
#define ERR  0x01

/* A medium that completes requests when told to. Sectors past `stored` read as their number, and lose writes.
 */
struct fake {
    struct block block;
    uint8_t *data;
    uint64_t stored; /* bytes */
    struct block_request *waiting[4];
    unsigned count, reads, writes, flushes;
    uint64_t bad; /* this 512-byte sector fails; UINT64_MAX: none */
    bool bad_flush;
};

struct rig {
    struct bus *memory, *ports;
    struct pci_bus *pci;
    struct ide *ide;
    uint8_t *ram;
    bool level[2];
    unsigned edges[2]; /* rising */
    uint64_t seed;
};

static inline void rig_irq(void *opaque, int n, bool level)
{
    struct rig *rig = opaque;

    rig->edges[n] += level && !rig->level[n];
    rig->level[n] = level;
}

static inline void fake_submit(struct block *block, struct block_request *request)
{
    struct fake *fake = (struct fake *)block;

    ck_assert_uint_lt(fake->count, 4);
    ck_assert(request->offset % 512 == 0 && request->size % 512 == 0);
    ck_assert(request->offset <= block->size && request->size <= block->size - request->offset);
    ck_assert(request->op == BLOCK_FLUSH || request->size);
    ck_assert(request->op != BLOCK_WRITE || !block->read_only);
    fake->waiting[fake->count++] = request;
}

static inline void fake_close(struct block *block)
{
    (void)block;
}

static const struct block_ops fake_ops = {.submit = fake_submit, .close = fake_close};

static inline void fake_init(struct fake *fake, uint64_t size, uint64_t stored)
{
    memset(fake, 0, sizeof(*fake));
    fake->block = (struct block){.ops = &fake_ops, .name = "fake", .size = size};
    fake->stored = stored;
    fake->data = malloc(stored);
    fake->bad = UINT64_MAX;
    for (uint64_t i = 0; i < stored; i++)
        fake->data[i] = (uint8_t)(i * 7 + i / 512 + (i >> 17));
}

static inline int fake_perform(struct fake *fake, const struct block_request *request)
{
    uint64_t first = request->offset / 512, count = request->size / 512;

    if (request->op == BLOCK_FLUSH) {
        fake->flushes++;
        return fake->bad_flush ? EIO : 0;
    }
    fake->reads += request->op == BLOCK_READ;
    fake->writes += request->op == BLOCK_WRITE;
    if (fake->bad >= first && fake->bad < first + count)
        return EIO;
    for (uint64_t i = 0; i < count; i++) {
        uint8_t *at = (uint8_t *)request->data + i * 512;
        uint64_t sector = first + i;

        if (sector * 512 >= fake->stored) {
            if (request->op == BLOCK_READ)
                for (unsigned j = 0; j < 512; j += 8)
                    memcpy(at + j, &sector, 8);
        } else if (request->op == BLOCK_READ) {
            memcpy(at, fake->data + sector * 512, 512);
        } else {
            memcpy(fake->data + sector * 512, at, 512);
        }
    }
    return 0;
}

/* Completes one request; false when there is none. */
static inline bool fake_step(struct fake *fake)
{
    struct block_request *request;

    if (!fake->count)
        return false;
    request = fake->waiting[0];
    memmove(fake->waiting, fake->waiting + 1, --fake->count * sizeof(*fake->waiting));
    request->done(request, fake_perform(fake, request));
    return true;
}

static inline void fake_pump(struct fake *fake)
{
    while (fake_step(fake))
        ;
}

static inline uint8_t in8(struct rig *rig, unsigned port)
{
    return (uint8_t)bus_read(rig->ports, port, 1);
}

static inline uint16_t in16(struct rig *rig, unsigned port)
{
    return (uint16_t)bus_read(rig->ports, port, 2);
}

static inline void out8(struct rig *rig, unsigned port, uint8_t value)
{
    bus_write(rig->ports, port, value, 1);
}

static inline void out16(struct rig *rig, unsigned port, uint16_t value)
{
    bus_write(rig->ports, port, value, 2);
}

static inline void out32(struct rig *rig, unsigned port, uint32_t value)
{
    bus_write(rig->ports, port, value, 4);
}

static inline void pci_out(struct rig *rig, unsigned reg, uint32_t value, unsigned size)
{
    pci_config_write(rig->pci, 0, PCI_DEVFN(1, 1), reg, value, size);
}

static inline void rig_enable(struct rig *rig)
{
    pci_out(rig, PCI_BAR(4), RIG_BM, 4);
    pci_out(rig, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MASTER, 2);
}

static inline void rig_new(struct rig *rig)
{
    memset(rig, 0, sizeof(*rig));
    rig->memory = bus_new("memory", 1ull << 52, NULL);
    rig->ports = bus_new("ports", 1ull << 16, NULL);
    rig->pci = pci_bus_new(NULL);
    rig->ram = calloc(1, RIG_RAM);
    ck_assert(bus_map_ram(rig->memory, "ram", 0, RIG_RAM, rig->ram) != NULL);
    rig->ide = ide_new(rig->pci, rig->ports, rig->memory, (struct irq){rig_irq, rig, 0},
                       (struct irq){rig_irq, rig, 1}, NULL);
    ck_assert(rig->ide != NULL);
    rig_enable(rig);
}

static inline void rig_free(struct rig *rig)
{
    ide_class.free(rig->ide);
    pci_bus_free(rig->pci);
    bus_free(rig->ports);
    bus_free(rig->memory);
    free(rig->ram);
}

/* Descriptor n of the table at RIG_PRD. */
static inline void rig_prd(struct rig *rig, unsigned n, uint32_t address, uint32_t count, bool last)
{
    uint32_t entry[2] = {address, (count & 0xFFFF) | (last ? 0x80000000u : 0)};

    memcpy(rig->ram + RIG_PRD + 8 * n, entry, 8);
}

static inline void rig_start(struct rig *rig, unsigned channel, bool to_host)
{
    unsigned bm = RIG_BM + 8 * channel;

    out32(rig, bm + 4, RIG_PRD);
    out8(rig, bm, to_host ? 8 : 0);
    out8(rig, bm + 2, 6);
    out8(rig, bm, to_host ? 9 : 1);
}

static inline uint32_t rig_random(struct rig *rig)
{
    rig->seed = rig->seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(rig->seed >> 33);
}

#endif
