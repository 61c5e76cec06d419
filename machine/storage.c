/*
 * storage.c - the PCI controllers of disks that aren't IDE's: one for all SATA disks, and one for each NVMe
 * disk. They are made when the first disk for them is plugged in, in the first free of the slots that are
 * theirs.
 */
#include "devices/ahci.h"
#include "devices/nvme.h"
#include "devices/piix.h"
#include "machine/machine.h"

#define FIRST_SLOT 7
#define LAST_SLOT  15

/* Where a BIOS would put a controller's registers, for kernels that start without one. */
#define REGISTERS      0xFEA00000u
#define REGISTERS_STEP 0x4000u

static uint32_t config(struct machine *m, unsigned slot, unsigned reg)
{
    return pci_config_read(m->pci_bus, 0, PCI_DEVFN(slot, 0), reg, 4);
}

/* LAST_SLOT + 1: none is left. */
static unsigned free_slot(struct machine *m)
{
    unsigned slot = FIRST_SLOT;

    while (slot <= LAST_SLOT && config(m, slot, PCI_VENDOR_ID) != UINT32_MAX)
        slot++;
    return slot;
}

static bool add(struct machine *m, const struct device_class *class, void *device)
{
    if (!device)
        return false;
    m->chips[m->chip_count++] = (struct machine_chip){class, device};
    return true;
}

static bool have_place(struct machine *m, unsigned *slot)
{
    *slot = free_slot(m);
    return *slot <= LAST_SLOT && m->chip_count < MACHINE_CHIPS;
}

static bool have_ahci(struct machine *m)
{
    struct ahci_wires wires = {.pci = m->pci_bus, .memory = m->memory, .log = m->log};

    if (m->ahci)
        return true;
    if (!have_place(m, &wires.slot))
        return false;
    wires.irq = piix_interrupt(m->piix, wires.slot, 1);
    m->ahci = ahci_new(&wires);
    return add(m, &ahci_class, m->ahci);
}

bool storage_attach_ahci(struct machine *m, unsigned number, struct block *medium)
{
    return have_ahci(m) && ahci_attach_disk(m->ahci, number, medium);
}

bool storage_attach_ahci_cdrom(struct machine *m)
{
    return have_ahci(m) && ahci_attach_cdrom(m->ahci, STORAGE_CDROM_PORT, &m->cdrom_slot);
}

bool storage_attach_nvme(struct machine *m, unsigned number, struct block *medium)
{
    struct nvme_wires wires = {
        .pci = m->pci_bus, .memory = m->memory, .disk = medium, .number = number, .log = m->log};

    if (!have_place(m, &wires.slot))
        return false;
    wires.irq = piix_interrupt(m->piix, wires.slot, 1);
    return add(m, &nvme_class, nvme_new(&wires));
}

/* The first memory BAR: the SATA controller's is its last. */
static unsigned registers_of(struct machine *m, unsigned slot)
{
    return config(m, slot, PCI_REVISION & ~3u) >> 8 == 0x010601 ? PCI_BAR(5) : PCI_BAR(0);
}

void storage_set_controllers(struct machine *m)
{
    for (unsigned slot = FIRST_SLOT; slot <= LAST_SLOT; slot++) {
        unsigned devfn = PCI_DEVFN(slot, 0), route = pci_pirq(slot, 1), bar;

        if (config(m, slot, PCI_REVISION & ~3u) >> 24 != 0x01)
            continue;
        bar = registers_of(m, slot);
        pci_config_write(m->pci_bus, 0, devfn, bar, REGISTERS + (slot - FIRST_SLOT) * REGISTERS_STEP, 4);
        pci_config_write(m->pci_bus, 0, devfn, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
        pci_config_write(
            m->pci_bus, 0, devfn, PCI_INTERRUPT_LINE,
            pci_config_read(m->pci_bus, 0, PCI_DEVFN(PIIX_SLOT, PIIX_ISA_FUNCTION), PIIX_PIRQ(route), 1), 1);
    }
}
