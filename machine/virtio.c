/*
 * virtio.c - virtio devices, a PCI function each: disks in the slots of disks' controllers and behind them,
 * others in slots 10 to 1F.
 */
#include <string.h>

#include "devices/piix.h"
#include "devices/virtio_blk.h"
#include "machine/machine.h"

#define FIRST_DISK_SLOT  0x07
#define FIRST_OTHER_SLOT 0x10
#define LAST_SLOT        0x1F

/* Where a BIOS would put a function's registers, for kernels that start without one. */
#define VENDOR    0x1AF4
#define PORTS(s)  (0x8000u + (s)*0x200u)
#define MEMORY(s) (0xFD000000u + (s)*0x10000u)
#define MODERN    0x8000u /* in that: BAR 4 */

static uint32_t config(struct machine *m, unsigned slot, unsigned reg, unsigned size)
{
    return pci_config_read(m->pci_bus, 0, PCI_DEVFN(slot, 0), reg, size);
}

static void set_config(struct machine *m, unsigned slot, unsigned reg, uint32_t value, unsigned size)
{
    pci_config_write(m->pci_bus, 0, PCI_DEVFN(slot, 0), reg, value, size);
}

/* The first free place from slot `first` on; false: there is none. */
static bool find_place(struct machine *m, unsigned first, struct virtio_slot *place)
{
    unsigned slot = first;

    while (slot <= LAST_SLOT && config(m, slot, PCI_VENDOR_ID, 4) != UINT32_MAX)
        slot++;
    if (slot > LAST_SLOT || m->chip_count == MACHINE_CHIPS)
        return false;
    *place = (struct virtio_slot){
        .pci = m->pci_bus,
        .slot = slot,
        .memory = m->memory,
        .ports = m->ports,
        .irq = piix_interrupt(m->piix, slot, 1),
        .log = m->log,
    };
    return true;
}

static bool add(struct machine *m, const struct device_class *class, void *device)
{
    if (!device)
        return false;
    m->chips[m->chip_count++] = (struct machine_chip){class, device};
    return true;
}

bool virtio_attach_disk(struct machine *m, unsigned number, struct block *medium)
{
    char serial[21];
    struct virtio_blk_wires wires = {.medium = medium, .serial = serial, .queues = 1};

    snprintf(serial, sizeof(serial), "OXV%08u", number + 1);
    return find_place(m, FIRST_DISK_SLOT, &wires.bus) && add(m, &virtio_blk_class, virtio_blk_new(&wires));
}

void virtio_set_functions(struct machine *m)
{
    for (unsigned slot = 0; slot <= LAST_SLOT; slot++) {
        unsigned route = pci_pirq(slot, 1);

        if (config(m, slot, PCI_VENDOR_ID, 2) != VENDOR)
            continue;
        set_config(m, slot, PCI_BAR(0), PORTS(slot), 4); /* without effect where there are none */
        set_config(m, slot, PCI_BAR(1), MEMORY(slot), 4);
        set_config(m, slot, PCI_BAR(4), MEMORY(slot) + MODERN, 4);
        set_config(m, slot, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY, 2);
        set_config(
            m, slot, PCI_INTERRUPT_LINE,
            pci_config_read(m->pci_bus, 0, PCI_DEVFN(PIIX_SLOT, PIIX_ISA_FUNCTION), PIIX_PIRQ(route), 1), 1);
    }
}
