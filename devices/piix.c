/*
 * piix.c - the ISA bridge of the 82371SB (PIIX3, data sheet 290550).
 *
 * In: configuration accesses, the interrupt pins of PCI slots. Out: ISA interrupt lines. The ISA devices that
 * the real chip contains (DMA, timers, interrupt controllers with ELCR, port 92) are files of their own, and
 * reset control is in pci_host.c. The registers for bus timing, BIOS and X-bus decoding, DMA aliasing and SMI
 * keep what is written: no access on this board depends on them.
 */
#include "devices/piix.h"

#include <stdlib.h>
#include <string.h>

#define REG_IORT     0x4C /* ISA I/O recovery timer */
#define REG_XBCS     0x4E /* 16 bits: X-bus chip select */
#define REG_TOM      0x69 /* top of memory that ISA masters reach */
#define REG_MISC     0x6A /* 16 bits */
#define REG_MBIRQ    0x70
#define REG_MBDMA    0x76 /* two of them */
#define REG_PCSC     0x78 /* 16 bits: programmable chip select */
#define REG_APICBASE 0x80
#define REG_LATENCY  0x82
#define REG_SMICNTL  0xA0
#define REG_SMIEN    0xA2 /* 16 bits */
#define REG_EVENTS   0xA4 /* 32 bits */
#define REG_FTMR     0xA8
#define REG_SMIREQ   0xAA /* 16 bits */
#define REG_CLOCK    0xAC
#define REG_CLOCK_HI 0xAE

#define PIRQ_LINE 0x0F
#define PIRQS     4

struct piix {
    struct pci_bus *bus;
    struct pci_function function;
    struct irq isa[16];
    uint16_t driven; /* the levels that `isa` was last given */

    uint32_t pins[PIRQS]; /* of each PIRQ: a bit a slot and pin that is active; a slot has one pin there */
};

/* Lines that are the board's own are never routed to (data sheet, PIRQRC). */
static bool is_routable(unsigned line)
{
    return line >= 3 && line != 8 && line != 13;
}

static uint16_t line_levels(const struct piix *piix)
{
    uint16_t levels = 0;

    for (unsigned n = 0; n < PIRQS; n++) {
        uint8_t route = piix->function.config[PIIX_PIRQ(n)];

        if (piix->pins[n] && !(route & PIIX_PIRQ_NONE) && is_routable(route & PIRQ_LINE))
            levels |= (uint16_t)(1u << (route & PIRQ_LINE));
    }
    return levels;
}

static void update_irq(struct piix *piix)
{
    uint16_t levels = line_levels(piix), changed = levels ^ piix->driven;

    piix->driven = levels;
    for (unsigned line = 0; line < 16; line++)
        if (changed >> line & 1)
            irq_set(&piix->isa[line], levels >> line & 1);
}

static void pin_changed(void *opaque, int n, bool level)
{
    struct piix *piix = opaque;
    unsigned slot = (unsigned)n >> 2, pin = (n & 3) + 1;
    uint32_t *pins = &piix->pins[pci_pirq(slot, pin)];

    *pins = level ? *pins | 1u << slot : *pins & ~(1u << slot);
    update_irq(piix);
}

struct irq piix_interrupt(struct piix *piix, unsigned slot, unsigned pin)
{
    if (slot > 31 || pin < 1 || pin > 4)
        return (struct irq){0};
    return (struct irq){pin_changed, piix, (int)(slot << 2 | (pin - 1))};
}

static void config_written(void *dev, unsigned reg, unsigned size)
{
    if (reg < PIIX_PIRQ(PIRQS) && reg + size > PIIX_PIRQ(0))
        update_irq(dev);
}

static const struct field function_fields[] = {FIELD_ARRAY(struct pci_function, config), FIELD_END};
static const struct field piix_fields[] = {FIELD_STRUCT(struct piix, function, function_fields),
                                           FIELD_ARRAY(struct piix, pins), FIELD_END};

static void set_defaults(struct pci_function *function)
{
    memset(function->config, 0, sizeof(function->config));
    pci_set(function, PCI_VENDOR_ID, 0x8086, 2);
    pci_set(function, PCI_DEVICE_ID, 0x7000, 2);
    pci_set(function, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
    pci_set(function, PCI_STATUS, 0x0200, 2);
    pci_set(function, PCI_CLASS, 0x060100, 3);
    pci_set(function, PCI_HEADER_TYPE, PCI_HEADER_MULTIFUNCTION, 1);
    pci_set(function, PCI_SUBSYSTEM_VENDOR, PCI_SUBSYSTEM_BOARD_VENDOR, 2);
    pci_set(function, PCI_SUBSYSTEM_ID, PCI_SUBSYSTEM_BOARD, 2);
    pci_set(function, REG_IORT, 0x4D, 1);
    pci_set(function, REG_XBCS, 0x0003, 2);
    for (unsigned n = 0; n < PIRQS; n++)
        pci_set(function, PIIX_PIRQ(n), PIIX_PIRQ_NONE, 1);
    pci_set(function, REG_TOM, 0x02, 1);
    pci_set(function, REG_MBIRQ, 0x80, 1);
    pci_set(function, REG_MBDMA, 0x0C0C, 2);
    pci_set(function, REG_PCSC, 0x0002, 2);
    pci_set(function, REG_SMICNTL, 0x08, 1);
    pci_set(function, REG_FTMR, 0x0F, 1);
}

static void set_masks(struct pci_function *function)
{
    pci_allow(function, PCI_COMMAND, 0x0008, 2); /* special cycles */
    function->clearable[PCI_STATUS + 1] = 0x78;
    pci_allow(function, REG_IORT, 0x7F, 1);
    pci_allow(function, REG_XBCS, 0x01FF, 2);
    for (unsigned n = 0; n < PIRQS; n++)
        pci_allow(function, PIIX_PIRQ(n), PIIX_PIRQ_NONE | PIRQ_LINE, 1);
    pci_allow(function, REG_TOM, 0xFE, 1);
    pci_allow(function, REG_MISC, 0x0095, 2);
    pci_allow(function, REG_MBIRQ, 0xCF, 1);
    pci_allow(function, REG_MBDMA, 0x8F8F, 2);
    pci_allow(function, REG_PCSC, 0xFFFF, 2);
    pci_allow(function, REG_APICBASE, 0x7F, 1);
    pci_allow(function, REG_LATENCY, 0x0F, 1);
    pci_allow(function, REG_SMICNTL, 0x1F, 1);
    pci_allow(function, REG_SMIEN, 0x01FF, 2);
    pci_allow(function, REG_EVENTS, 0xE000FFFB, 4);
    pci_allow(function, REG_FTMR, 0xFF, 1);
    pci_allow(function, REG_SMIREQ, 0x01FF, 2);
    pci_allow(function, REG_CLOCK, 0xFF, 1);
    pci_allow(function, REG_CLOCK_HI, 0xFF, 1);
}

/* Devices release their pins at their own resets. */
static void piix_reset(void *device)
{
    struct piix *piix = device;

    set_defaults(&piix->function);
    update_irq(piix);
}

static void piix_loaded(void *device)
{
    struct piix *piix = device;

    piix->driven = (uint16_t)~line_levels(piix); /* so that every line is driven */
    update_irq(piix);
}

static void piix_free(void *device)
{
    struct piix *piix = device;

    if (!piix)
        return;
    pci_bus_remove(piix->bus, &piix->function);
    free(piix);
}

struct piix *piix_new(struct pci_bus *bus, const struct irq isa[16])
{
    struct piix *piix = calloc(1, sizeof(*piix));

    if (!piix || !pci_bus_add(bus, PIIX_SLOT, PIIX_ISA_FUNCTION, &piix->function)) {
        free(piix);
        return NULL;
    }
    piix->bus = bus;
    memcpy(piix->isa, isa, sizeof(piix->isa));
    piix->function.name = "PIIX3 ISA bridge";
    piix->function.dev = piix;
    piix->function.written = config_written;
    set_masks(&piix->function);
    piix_reset(piix);
    return piix;
}

const struct device_class piix_class = {"piix", piix_reset, piix_loaded, piix_free, piix_fields};
