/*
 * pci_msi.c - MSI and MSI-X; see pci_msi.h.
 *
 * In: what the driver writes into config[] and the table, vectors from the chip. Out: messages on the bus. A
 * vector that is masked is remembered and sent when it no longer is.
 */
#include "devices/pci_msi.h"

#include <string.h>

#include "core/bus.h"

#define CAPABILITY_MSI  0x05
#define CAPABILITY_MSIX 0x11

/* MSI-X: registers from the capability, and where table and pending bits are (6.8.2). */
#define MSIX_CONTROL        2
#define MSIX_TABLE          4
#define MSIX_PENDING        8
#define MSIX_ENABLE         0x8000u
#define MSIX_MASK           0x4000u
#define MSIX_ENTRY_SIZE     16u
#define MSIX_PENDING_OFFSET 0x800u
#define MSIX_ADDRESS_BITS   0xFFFFFFFCu
#define MSIX_CONTROL_MASK   1u
enum { ENTRY_ADDRESS, ENTRY_ADDRESS_HIGH, ENTRY_DATA, ENTRY_CONTROL };

/* MSI (6.8.1) */
#define MSI_CONTROL       2
#define MSI_ADDRESS       4
#define MSI_ADDRESS_HIGH  8
#define MSI_DATA          12
#define MSI_MASK          16
#define MSI_PENDING       20
#define MSI_ENABLE        0x0001u
#define MSI_CAPABLE_SHIFT 1
#define MSI_ENABLED_SHIFT 4
#define MSI_ENABLED_BITS  0x0070u
#define MSI_64            0x0080u
#define MSI_MASKS         0x0100u

static void send(struct pci_function *function, uint64_t address, uint32_t data)
{
    if (pci_get(function, PCI_COMMAND, 2) & PCI_COMMAND_MASTER)
        pci_bus_message(function->bus, address, data);
}

/* --- MSI-X */

static uint32_t msix_control(const struct pci_msix *msix)
{
    return pci_get(msix->function, msix->capability + MSIX_CONTROL, 2);
}

bool pci_msix_enabled(const struct pci_msix *msix)
{
    return msix_control(msix) & MSIX_ENABLE;
}

static bool msix_masked(const struct pci_msix *msix, unsigned vector)
{
    return (msix_control(msix) & MSIX_MASK) || (msix->table[vector][ENTRY_CONTROL] & MSIX_CONTROL_MASK);
}

void pci_msix_send(struct pci_msix *msix, unsigned vector)
{
    const uint32_t *entry;

    if (vector >= msix->vectors || !pci_msix_enabled(msix))
        return;
    if (msix_masked(msix, vector)) {
        msix->pending |= 1ull << vector;
        return;
    }
    msix->pending &= ~(1ull << vector);
    entry = msix->table[vector];
    send(msix->function, (uint64_t)entry[ENTRY_ADDRESS_HIGH] << 32 | entry[ENTRY_ADDRESS], entry[ENTRY_DATA]);
}

/* What waited, as far as it need no longer. */
static void msix_send_pending(struct pci_msix *msix)
{
    uint64_t left = pci_msix_enabled(msix) ? msix->pending : 0;

    for (; left; left &= left - 1) {
        unsigned vector = (unsigned)__builtin_ctzll(left);
        if (!msix_masked(msix, vector))
            pci_msix_send(msix, vector);
    }
}

static uint64_t msix_read(void *dev, uint64_t addr, unsigned size)
{
    const struct pci_msix *msix = dev;
    uint64_t from = addr & ~3ull, value = 0;

    (void)size;
    if (from < msix->vectors * MSIX_ENTRY_SIZE)
        value = msix->table[from / MSIX_ENTRY_SIZE][from / 4 % 4];
    else if (from == MSIX_PENDING_OFFSET || from == MSIX_PENDING_OFFSET + 4)
        value = msix->pending >> (from - MSIX_PENDING_OFFSET) * 8;
    return value >> (addr - from) * 8;
}

/* Narrow accesses aren't for drivers (6.8.2): they are ignored. */
static void msix_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    static const uint32_t bits[4] = {MSIX_ADDRESS_BITS, UINT32_MAX, UINT32_MAX, MSIX_CONTROL_MASK};
    struct pci_msix *msix = dev;

    if (size != 4 || addr % 4 || addr >= msix->vectors * MSIX_ENTRY_SIZE)
        return;
    msix->table[addr / MSIX_ENTRY_SIZE][addr / 4 % 4] = (uint32_t)value & bits[addr / 4 % 4];
    msix_send_pending(msix);
}

static const struct bus_ops msix_ops = {msix_read, msix_write, 4};

static const struct field entry_fields[] = {
    {"word", 0, sizeof(uint32_t), 4, NULL, false},
    FIELD_END,
};

const struct field pci_msix_fields[] = {
    FIELD_STRUCTS(struct pci_msix, table, entry_fields),
    FIELD(struct pci_msix, pending),
    FIELD_END,
};

bool pci_msix_init(struct pci_msix *msix, struct pci_function *function, struct bus *memory, const char *name,
                   unsigned capability, unsigned vectors, unsigned bar, uint32_t offset)
{
    *msix = (struct pci_msix){
        .function = function,
        .capability = capability,
        .vectors = vectors < PCI_MSIX_VECTORS ? vectors : PCI_MSIX_VECTORS,
        .bar = bar,
        .offset = offset,
    };
    msix->region = bus_map(memory, name, 0xE0000000, PCI_MSIX_SIZE, &msix_ops, msix);
    if (!msix->region)
        return false;
    region_set(msix->region, msix->region->base, false, -1);
    return true;
}

void pci_msix_reset(struct pci_msix *msix)
{
    struct pci_function *function = msix->function;
    unsigned at = msix->capability;

    pci_add_capability(function, CAPABILITY_MSIX, at);
    pci_set(function, at + MSIX_CONTROL, msix->vectors - 1, 2);
    pci_allow(function, at + MSIX_CONTROL, MSIX_ENABLE | MSIX_MASK, 2);
    pci_set(function, at + MSIX_TABLE, msix->offset | msix->bar, 4);
    pci_set(function, at + MSIX_PENDING, (msix->offset + MSIX_PENDING_OFFSET) | msix->bar, 4);
    memset(msix->table, 0, sizeof(msix->table));
    for (unsigned n = 0; n < msix->vectors; n++)
        msix->table[n][ENTRY_CONTROL] = MSIX_CONTROL_MASK;
    msix->pending = 0;
    pci_msix_written(msix);
}

void pci_msix_written(struct pci_msix *msix)
{
    uint64_t bar = pci_bar_address(msix->function, msix->bar);
    bool mapped = bar != PCI_BAR_UNMAPPED;

    pci_move_region(msix->region, mapped ? bar + msix->offset : 0, mapped);
    msix_send_pending(msix);
}

/* --- MSI */

static uint32_t msi_control(const struct pci_msi *msi)
{
    return pci_get(msi->function, msi->capability + MSI_CONTROL, 2);
}

bool pci_msi_enabled(const struct pci_msi *msi)
{
    return msi_control(msi) & MSI_ENABLE;
}

/* A driver that enables more than there are gets what there is. */
static unsigned msi_vectors(const struct pci_msi *msi)
{
    unsigned vectors = 1u << ((msi_control(msi) & MSI_ENABLED_BITS) >> MSI_ENABLED_SHIFT);

    return vectors < msi->vectors ? vectors : msi->vectors;
}

void pci_msi_send(struct pci_msi *msi, unsigned vector)
{
    struct pci_function *function = msi->function;
    unsigned at = msi->capability, vectors = msi_vectors(msi);
    uint64_t address;
    uint32_t bit, pending, data;

    if (!pci_msi_enabled(msi))
        return;
    if (vector >= vectors)
        vector = vectors - 1;
    bit = 1u << vector;
    pending = pci_get(function, at + MSI_PENDING, 4);
    if (pci_get(function, at + MSI_MASK, 4) & bit) {
        pci_set(function, at + MSI_PENDING, pending | bit, 4);
        return;
    }
    pci_set(function, at + MSI_PENDING, pending & ~bit, 4);
    address = pci_get(function, at + MSI_ADDRESS, 4);
    address |= (uint64_t)pci_get(function, at + MSI_ADDRESS_HIGH, 4) << 32;
    data = pci_get(function, at + MSI_DATA, 2);
    send(function, address, (data & ~(vectors - 1)) | vector);
}

void pci_msi_init(struct pci_msi *msi, struct pci_function *function, unsigned capability, unsigned vectors)
{
    *msi = (struct pci_msi){function, capability, vectors};
}

void pci_msi_reset(struct pci_msi *msi)
{
    struct pci_function *function = msi->function;
    unsigned at = msi->capability, capable = (unsigned)__builtin_ctz(msi->vectors);
    uint32_t vectors = msi->vectors == 32 ? UINT32_MAX : (1u << msi->vectors) - 1;

    pci_add_capability(function, CAPABILITY_MSI, at);
    pci_set(function, at + MSI_CONTROL, MSI_64 | MSI_MASKS | capable << MSI_CAPABLE_SHIFT, 2);
    pci_allow(function, at + MSI_CONTROL, MSI_ENABLE | MSI_ENABLED_BITS, 2);
    for (unsigned reg = at + MSI_ADDRESS; reg <= at + MSI_PENDING; reg += 4)
        pci_set(function, reg, 0, 4);
    pci_allow(function, at + MSI_ADDRESS, MSIX_ADDRESS_BITS, 4);
    pci_allow(function, at + MSI_ADDRESS_HIGH, UINT32_MAX, 4);
    pci_allow(function, at + MSI_DATA, 0xFFFF, 2);
    pci_allow(function, at + MSI_MASK, vectors, 4);
}

void pci_msi_written(struct pci_msi *msi)
{
    unsigned at = msi->capability;
    uint32_t left = pci_get(msi->function, at + MSI_PENDING, 4) & ~pci_get(msi->function, at + MSI_MASK, 4);

    for (left = pci_msi_enabled(msi) ? left : 0; left; left &= left - 1)
        pci_msi_send(msi, (unsigned)__builtin_ctz(left));
}
