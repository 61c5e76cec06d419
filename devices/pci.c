/*
 * pci.c - configuration accesses on a PCI bus (PCI local bus specification 3.0, chapter 6).
 */
#include "devices/pci.h"

#include <stdlib.h>

#include "core/bus.h"
#include "core/log.h"

struct pci_bus {
    struct log *log;
    struct pci_function *functions[256]; /* by devfn */
    void (*message)(void *opaque, uint64_t address, uint32_t data);
    void *message_opaque;
};

struct pci_bus *pci_bus_new(struct log *log)
{
    struct pci_bus *bus = calloc(1, sizeof(*bus));

    if (bus)
        bus->log = log;
    return bus;
}

void pci_bus_free(struct pci_bus *bus)
{
    free(bus);
}

bool pci_bus_add(struct pci_bus *bus, unsigned slot, unsigned number, struct pci_function *function)
{
    if (slot > 31 || number > 7 || bus->functions[PCI_DEVFN(slot, number)])
        return false;
    bus->functions[PCI_DEVFN(slot, number)] = function;
    function->bus = bus;
    return true;
}

void pci_bus_remove(struct pci_bus *bus, struct pci_function *function)
{
    for (unsigned i = 0; i < 256; i++)
        if (bus->functions[i] == function)
            bus->functions[i] = NULL;
}

void pci_bus_on_message(struct pci_bus *bus, void (*fn)(void *opaque, uint64_t address, uint32_t data),
                        void *opaque)
{
    bus->message = fn;
    bus->message_opaque = opaque;
}

void pci_bus_message(struct pci_bus *bus, uint64_t address, uint32_t data)
{
    if (bus->message)
        bus->message(bus->message_opaque, address, data);
}

static struct pci_function *find(struct pci_bus *bus, unsigned bus_number, unsigned devfn, unsigned reg,
                                 unsigned size)
{
    if (bus_number || devfn > 255 || reg >= PCI_CONFIG_SIZE || (reg & 3) + size > 4)
        return NULL;
    return bus->functions[devfn];
}

uint32_t pci_config_read(struct pci_bus *bus, unsigned bus_number, unsigned devfn, unsigned reg,
                         unsigned size)
{
    struct pci_function *function = find(bus, bus_number, devfn, reg, size);

    if (!function)
        return UINT32_MAX;
    if (function->reading)
        function->reading(function->dev, reg, size);
    return pci_get(function, reg, size);
}

void pci_config_write(struct pci_bus *bus, unsigned bus_number, unsigned devfn, unsigned reg, uint32_t value,
                      unsigned size)
{
    struct pci_function *function = find(bus, bus_number, devfn, reg, size);

    if (!function)
        return;
    for (unsigned i = 0; i < size; i++) {
        uint8_t *byte = &function->config[reg + i];
        uint8_t bits = value >> i * 8, writable = function->writable[reg + i];

        *byte = (*byte & ~writable) | (bits & writable);
        *byte &= ~(bits & function->clearable[reg + i]);
    }
    if (function->written)
        function->written(function->dev, reg, size);
}

uint32_t pci_get(const struct pci_function *function, unsigned reg, unsigned size)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (uint32_t)function->config[reg + i] << i * 8;
    return value;
}

void pci_set(struct pci_function *function, unsigned reg, uint32_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        function->config[reg + i] = value >> i * 8;
}

void pci_allow(struct pci_function *function, unsigned reg, uint32_t bits, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        function->writable[reg + i] |= bits >> i * 8;
}

void pci_init_bar(struct pci_function *function, unsigned n, uint64_t size, unsigned type)
{
    uint64_t mask = ~(size - 1);

    pci_set(function, PCI_BAR(n), type, 4);
    pci_allow(function, PCI_BAR(n), (uint32_t)mask, 4);
    if (type & PCI_BAR_MEMORY64)
        pci_allow(function, PCI_BAR(n + 1), mask >> 32, 4);
    pci_allow(function, PCI_COMMAND, type & PCI_BAR_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY, 2);
}

uint64_t pci_bar_address(const struct pci_function *function, unsigned n)
{
    uint64_t bar = pci_get(function, PCI_BAR(n), 4);
    bool io = bar & PCI_BAR_IO;
    unsigned enable = io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;

    if (!io && (bar & PCI_BAR_MEMORY64))
        bar |= (uint64_t)pci_get(function, PCI_BAR(n + 1), 4) << 32;
    bar &= io ? ~3ull : ~15ull;
    return bar && (pci_get(function, PCI_COMMAND, 2) & enable) ? bar : PCI_BAR_UNMAPPED;
}

void pci_add_capability(struct pci_function *function, uint8_t id, unsigned reg)
{
    pci_set(function, reg, id, 1);
    pci_set(function, reg + 1, function->config[PCI_CAPABILITIES], 1);
    pci_set(function, PCI_CAPABILITIES, reg, 1);
    function->config[PCI_STATUS] |= PCI_STATUS_CAPABILITIES;
}

void pci_move_region(struct region *region, uint64_t base, bool enabled)
{
    if (!enabled)
        base = region->base;
    if (region->base != base || region->enabled != enabled)
        region_set(region, base, enabled, -1);
}
