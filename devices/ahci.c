/*
 * ahci.c - the SATA controller as a whole: its PCI function, its generic registers (AHCI 1.3.1, 3.1) and its
 * interrupt.
 *
 * In: accesses to its registers, media's completions. Out: INTA# or a message; reads and writes of memory.
 *
 * It has six ports at 3 Gb/s with native command queuing, and no more of what is optional than the registers
 * need: no port multipliers, enclosure management, staggered spin-up, power management of the link,
 * coalescing of interrupts, nor legacy ports. DMA Setup FISes, which ask for nothing, are not put into
 * memory.
 */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "devices/ahci_internal.h"

#define MMIO_BAR  5
#define MMIO_SIZE 0x1000u

#define REG_CAP 0x00
#define REG_GHC 0x04
#define REG_IS  0x08
#define REG_PI  0x0C
#define REG_VS  0x10
#define PORTS   0x100 /* the first port's registers, */
#define STRIDE  0x80  /* and from one to the next */

/*
 * 64-bit addresses, queuing, CLO, 3 Gb/s, AHCI only, PIO in blocks of several sectors, 32 slots.
 */
#define CAP                                                                                                  \
    (0x80000000u | 0x40000000u | 0x01000000u | 0x00200000u | 0x00040000u | 0x00008000u |                     \
     (AHCI_SLOTS - 1) << 8 | (AHCI_PORTS - 1))
#define PI      ((1u << AHCI_PORTS) - 1)
#define VERSION 0x00010301u

#define GHC_HR 0x00000001u
#define GHC_IE 0x00000002u
#define GHC_AE 0x80000000u

#define MSI_CAPABILITY 0x80

/* --- Interrupts (10.6): IS shows the ports that have something to say, and stays until that was heard. */

static uint32_t pending(const struct ahci *ahci)
{
    uint32_t ports = 0;

    for (unsigned n = 0; n < AHCI_PORTS; n++)
        if (ahci_port_read(&ahci->port[n], PORT_IS) & ahci->port[n].ie)
            ports |= 1u << n;
    return ports;
}

/*
 * A message is sent for each port that begins to be shown, so whoever clears the port's causes first and its
 * bit of IS then hears of all.
 */
void ahci_update(struct ahci *ahci)
{
    uint8_t *status = &ahci->function.config[PCI_STATUS];
    bool disabled = pci_get(&ahci->function, PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE;
    bool messages = pci_msi_enabled(&ahci->msi);

    ahci->is |= pending(ahci);
    uint32_t shown = ahci->ghc & GHC_IE ? ahci->is : 0;
    if (messages && shown & ~ahci->told)
        pci_msi_send(&ahci->msi, 0);
    ahci->told = shown;
    *status = shown ? *status | PCI_STATUS_INTERRUPT : *status & ~PCI_STATUS_INTERRUPT;
    irq_set(&ahci->wires.irq, shown && !disabled && !messages);
}

bool ahci_may_master(const struct ahci *ahci)
{
    return pci_get(&ahci->function, PCI_COMMAND, 2) & PCI_COMMAND_MASTER;
}

/* --- Registers. */

void ahci_port_rests(struct ahci *ahci)
{
    bool draining = false;

    for (unsigned n = 0; n < AHCI_PORTS; n++)
        draining |= ahci_port_draining(&ahci->port[n]);
    if (ahci->reset_waits && !draining) {
        ahci->reset_waits = false;
        ahci->ghc &= ~GHC_HR;
    }
}

static void reset_ports(struct ahci *ahci, bool cold)
{
    ahci->is = ahci->told = 0;
    ahci->ghc = GHC_AE | GHC_HR;
    ahci->reset_waits = true;
    for (unsigned n = 0; n < AHCI_PORTS; n++)
        ahci_port_reset(&ahci->port[n], cold);
    ahci_port_rests(ahci);
    for (unsigned n = 0; n < AHCI_PORTS; n++)
        ahci_port_go(&ahci->port[n]);
}

static uint32_t read_register(struct ahci *ahci, unsigned reg)
{
    switch (reg) {
    case REG_CAP:
        return CAP;
    case REG_GHC:
        return ahci->ghc;
    case REG_IS:
        return ahci->is;
    case REG_PI:
        return PI;
    case REG_VS:
        return VERSION;
    }
    if (reg < PORTS || reg >= PORTS + AHCI_PORTS * STRIDE)
        return 0;
    return ahci_port_read(&ahci->port[(reg - PORTS) / STRIDE], reg % STRIDE);
}

static void write_register(struct ahci *ahci, unsigned reg, uint32_t value)
{
    if (reg == REG_GHC) {
        if (value & GHC_HR && !ahci->reset_waits)
            reset_ports(ahci, false);
        else
            ahci->ghc = (ahci->ghc & ~GHC_IE) | (value & GHC_IE);
    } else if (reg == REG_IS) {
        ahci->is &= ~value;
        ahci->told &= ahci->is;
    } else if (reg >= PORTS && reg < PORTS + AHCI_PORTS * STRIDE) {
        struct ahci_port *port = &ahci->port[(reg - PORTS) / STRIDE];

        ahci->writing = true;
        ahci_port_write(port, reg % STRIDE, value);
        ahci->writing = false;
        if (port->drive.disk)
            block_collect(port->drive.disk);
    }
    ahci_update(ahci);
}

/* Of registers in which ones do something, the bytes that aren't written are zeroes. */
static bool acts_on_ones(unsigned reg)
{
    unsigned in_port = reg % STRIDE;

    return reg == REG_IS || (reg >= PORTS && (in_port == PORT_IS || in_port == PORT_SERR ||
                                              in_port == PORT_SACT || in_port == PORT_CI));
}

static uint64_t mmio_read(void *dev, uint64_t addr, unsigned size)
{
    uint32_t value = read_register(dev, addr & ~3u) >> (addr & 3) * 8;

    return size == 4 ? value : value & ((1u << size * 8) - 1);
}

static void mmio_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    unsigned reg = addr & ~3u, shift = (addr & 3) * 8;
    uint32_t written = (uint32_t)value;

    if (size < 4) {
        uint32_t mask = ((1u << size * 8) - 1) << shift;
        uint32_t rest = acts_on_ones(reg) ? 0 : read_register(dev, reg) & ~mask;

        written = (written << shift & mask) | rest;
    }
    write_register(dev, reg, written);
}

static const struct bus_ops mmio_ops = {mmio_read, mmio_write, 4};

/* --- The drives' wires: look again. */

static void drive_calls(void *opaque)
{
    ahci_port_go(opaque);
}

/* --- PCI. */

static void map(struct ahci *ahci)
{
    uint64_t base = pci_bar_address(&ahci->function, MMIO_BAR);

    pci_move_region(ahci->region, base, base != PCI_BAR_UNMAPPED);
}

static void config_written(void *dev, unsigned reg, unsigned size)
{
    struct ahci *ahci = dev;

    (void)reg;
    (void)size;
    map(ahci);
    pci_msi_written(&ahci->msi);
    for (unsigned n = 0; n < AHCI_PORTS; n++)
        ahci_port_go(&ahci->port[n]);
}

static void init_config(struct ahci *ahci)
{
    struct pci_function *function = &ahci->function;

    memset(function->config, 0, sizeof(function->config));
    pci_set(function, PCI_VENDOR_ID, 0x8086, 2);
    pci_set(function, PCI_DEVICE_ID, 0x2922, 2);
    pci_set(function, PCI_STATUS, 0x0280, 2);
    pci_set(function, PCI_REVISION, 2, 1);
    pci_set(function, PCI_CLASS, 0x010601, 3); /* SATA, AHCI */
    pci_set(function, PCI_SUBSYSTEM_VENDOR, PCI_SUBSYSTEM_BOARD_VENDOR, 2);
    pci_set(function, PCI_SUBSYSTEM_ID, PCI_SUBSYSTEM_BOARD, 2);
    pci_set(function, PCI_INTERRUPT_PIN, 1, 1);
    pci_allow(function, PCI_COMMAND, PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE, 2);
    function->clearable[PCI_STATUS + 1] = 0xF9;
    pci_allow(function, 0x0C, 0xFFFF, 2); /* cache line size, latency timer */
    pci_allow(function, PCI_INTERRUPT_LINE, 0xFF, 1);
    pci_init_bar(function, MMIO_BAR, MMIO_SIZE, PCI_BAR_MEMORY32);
    pci_msi_reset(&ahci->msi);
}

/* --- State. */

static const struct field function_fields[] = {FIELD_ARRAY(struct pci_function, config), FIELD_END};

static const struct field ahci_fields[] = {
    FIELD_STRUCT(struct ahci, function, function_fields),
    FIELD(struct ahci, ghc),
    FIELD(struct ahci, is),
    FIELD(struct ahci, told),
    FIELD(struct ahci, reset_waits),
    FIELD_STRUCTS(struct ahci, port, ahci_port_fields),
    FIELD_END,
};

static void ahci_reset(void *device)
{
    struct ahci *ahci = device;

    init_config(ahci);
    map(ahci);
    reset_ports(ahci, true);
}

static void ahci_loaded(void *device)
{
    struct ahci *ahci = device;

    map(ahci);
    pci_msi_written(&ahci->msi);
    for (unsigned n = 0; n < AHCI_PORTS; n++)
        ahci_port_loaded(&ahci->port[n]);
    ahci_port_rests(ahci);
    ahci_update(ahci);
}

static void ahci_free(void *device)
{
    struct ahci *ahci = device;

    if (!ahci)
        return;
    for (unsigned n = 0; n < AHCI_PORTS; n++)
        ahci_queue_free(&ahci->port[n]);
    pci_bus_remove(ahci->wires.pci, &ahci->function);
    free(ahci);
}

const struct device_class ahci_class = {
    .name = "ahci",
    .reset = ahci_reset,
    .loaded = ahci_loaded,
    .free = ahci_free,
    .state = ahci_fields,
};

/* --- Construction. */

struct ahci *ahci_new(const struct ahci_wires *wires)
{
    struct ahci *ahci = calloc(1, sizeof(*ahci));

    if (!ahci)
        return NULL;
    ahci->wires = *wires;
    ahci->function.name = "ICH9 AHCI";
    ahci->function.dev = ahci;
    ahci->function.written = config_written;
    for (unsigned n = 0; n < AHCI_PORTS; n++) {
        ahci->port[n].ahci = ahci;
        ahci->port[n].number = n;
    }
    ahci->region = bus_map(wires->memory, "ahci", 0xE0000000, MMIO_SIZE, &mmio_ops, ahci);
    pci_msi_init(&ahci->msi, &ahci->function, MSI_CAPABILITY, 1);
    if (!ahci->region || !pci_bus_add(wires->pci, wires->slot, 0, &ahci->function)) {
        ahci_free(ahci);
        return NULL;
    }
    ahci_reset(ahci);
    return ahci;
}

/* NULL when it is taken or doesn't exist. */
static struct ahci_port *place_for(struct ahci *ahci, unsigned number, char *serial, size_t size)
{
    if (number >= AHCI_PORTS || ahci->port[number].drive.kind)
        return NULL;
    snprintf(serial, size, "OX%08u", 100 + number);
    ahci->port[number].drive.sata = true;
    return &ahci->port[number];
}

bool ahci_attach_disk(struct ahci *ahci, unsigned number, struct block *disk)
{
    char serial[21];
    struct ahci_port *port = place_for(ahci, number, serial, sizeof(serial));

    if (!port)
        return false;
    const struct ata_cable cable = {drive_calls, drive_calls, port};
    ata_init_disk(&port->drive, 0, serial, disk, &cable, ahci->wires.log);
    ahci_port_reset(port, true);
    ahci_port_go(port);
    return true;
}

bool ahci_attach_cdrom(struct ahci *ahci, unsigned number, struct block_slot *slot)
{
    char serial[21];
    struct ahci_port *port = place_for(ahci, number, serial, sizeof(serial));

    if (!port)
        return false;
    const struct ata_cable cable = {drive_calls, drive_calls, port};
    ata_init_cdrom(&port->drive, 0, serial, slot, &cable, ahci->wires.log);
    ahci_port_reset(port, true);
    ahci_port_go(port);
    return true;
}
