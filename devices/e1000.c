/*
 * e1000.c - the 82540EM's PCI function, its interrupt, and reset. The other files are named in
 * e1000_internal.h.
 *
 * The PHY's link is the cable's: there is nothing to negotiate, so it is up, at 1000 Mb/s in full duplex, as
 * soon as it is plugged in. Not here, and without effect when a driver sets them: flow control (nobody sends
 * pause frames), wake-up, management, IPv6 checksums of received frames, and writing to the EEPROM. Where the
 * check sequence of a received frame is stored (RCTL.SECRC is clear), it is zero.
 */
#include "devices/e1000_internal.h"

#include <stdlib.h>
#include <string.h>

#define REGISTERS_SIZE   0x20000 /* BAR 0 */
#define PORTS_SIZE       0x40    /* BAR 1 */
#define STATUS_INTERRUPT 0x08    /* PCI_STATUS: INTA# would be asserted (PCI 2.3) */

#define ITR_UNIT   256u  /* ns */
#define DELAY_UNIT 1024u /* ns: of RDTR, RADV, TIDV, TADV */

/* --- interrupts */

static void drive_line(struct e1000 *card, bool level)
{
    bool disabled = pci_get(&card->function, PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE;
    uint8_t *status = &card->function.config[PCI_STATUS];

    card->line = level;
    *status = level ? *status | STATUS_INTERRUPT : *status & ~STATUS_INTERRUPT;
    irq_set(&card->wires.irq, level && !disabled);
}

/* ITR is the least time from one interrupt to the next (13.4.18). */
void e1000_update_irq(struct e1000 *card)
{
    bool wanted = *e1000_reg(card, ICR) & *e1000_reg(card, IMS);
    uint32_t interval = *e1000_reg(card, ITR);

    if (wanted && !card->line && interval) {
        uint64_t now = clock_now(card->wires.clock);

        if (now < card->quiet_until) {
            timer_arm(&card->throttle, card->quiet_until);
            return;
        }
        card->quiet_until = now + (uint64_t)interval * ITR_UNIT;
    }
    if (wanted != card->line)
        drive_line(card, wanted);
}

static void throttle_over(void *opaque)
{
    e1000_update_irq(opaque);
}

void e1000_cause(struct e1000 *card, uint32_t cause)
{
    *e1000_reg(card, ICR) |= cause;
    e1000_update_irq(card);
}

void e1000_flush(struct e1000 *card, struct e1000_delay *delay)
{
    if (delay->latest == CLOCK_NEVER)
        return;
    delay->due = delay->latest = CLOCK_NEVER;
    timer_disarm(&delay->timer);
    e1000_cause(card, delay->cause);
}

/* `relative` of 0 is no delay at all; `absolute` of 0 no bound. */
void e1000_delay(struct e1000 *card, struct e1000_delay *delay, uint32_t relative, uint32_t absolute)
{
    uint64_t now = clock_now(card->wires.clock);

    if (delay->latest == CLOCK_NEVER)
        delay->latest = absolute ? now + (uint64_t)absolute * DELAY_UNIT : CLOCK_NEVER - 1;
    delay->due = now + (uint64_t)relative * DELAY_UNIT;
    if (delay->due > delay->latest)
        delay->due = delay->latest;
    if (relative)
        timer_arm(&delay->timer, delay->due);
    else
        e1000_flush(card, delay);
}

static void received_due(void *opaque)
{
    struct e1000 *card = opaque;

    e1000_flush(card, &card->received);
}

static void sent_due(void *opaque)
{
    struct e1000 *card = opaque;

    e1000_flush(card, &card->sent);
}

static void transmit_due(void *opaque)
{
    e1000_transmit(opaque);
}

/* --- the cable */

bool e1000_link(const struct e1000 *card)
{
    return card->wires.net && card->wires.net->up;
}

static void link_changed(void *opaque)
{
    struct e1000 *card = opaque;

    e1000_phy_link(card);
    e1000_cause(card, CAUSE_LSC);
}

/* --- PCI function */

static void map(struct e1000 *card)
{
    uint64_t registers = pci_bar_address(&card->function, 0), ports = pci_bar_address(&card->function, 1);

    pci_move_region(card->registers, registers, registers != PCI_BAR_UNMAPPED);
    pci_move_region(card->ports, ports, ports <= 0xFFFF - (PORTS_SIZE - 1));
    pci_rom_map(&card->rom, &card->function);
}

static void config_written(void *dev, unsigned reg, unsigned size)
{
    struct e1000 *card = dev;

    (void)reg;
    (void)size;
    map(card);
    drive_line(card, card->line);
    e1000_transmit(card);
}

static void init_config(struct e1000 *card)
{
    struct pci_function *function = &card->function;

    memset(function->config, 0, sizeof(function->config));
    pci_set(function, PCI_VENDOR_ID, 0x8086, 2);
    pci_set(function, PCI_DEVICE_ID, 0x100E, 2);
    pci_set(function, PCI_STATUS, 0x0220, 2); /* medium timing, 66 MHz */
    pci_set(function, PCI_REVISION, 3, 1);
    pci_set(function, PCI_CLASS + 1, 0x0200, 2);
    pci_set(function, PCI_SUBSYSTEM_VENDOR, PCI_SUBSYSTEM_BOARD_VENDOR, 2);
    pci_set(function, PCI_SUBSYSTEM_ID, PCI_SUBSYSTEM_BOARD, 2);
    pci_set(function, PCI_INTERRUPT_PIN, 1, 1);
    pci_allow(function, PCI_COMMAND, PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE, 2);
    function->clearable[PCI_STATUS + 1] = 0xF9;
    pci_allow(function, 0x0C, 0xFFFF, 2); /* cache line size, latency timer */
    pci_allow(function, PCI_INTERRUPT_LINE, 0xFF, 1);
    pci_init_bar(function, 0, REGISTERS_SIZE, PCI_BAR_MEMORY32);
    pci_init_bar(function, 1, PORTS_SIZE, PCI_BAR_IO);
    pci_rom_reset(&card->rom, function);
}

/* --- state */

static const struct field function_fields[] = {FIELD_ARRAY(struct pci_function, config), FIELD_END};
static const struct field delay_fields[] = {FIELD(struct e1000_delay, due), FIELD(struct e1000_delay, latest),
                                            FIELD_END};

static const struct field e1000_fields[] = {
    FIELD_STRUCT(struct e1000, function, function_fields),
    FIELD_ARRAY(struct e1000, reg),
    FIELD(struct e1000, address),
    FIELD_ARRAY(struct e1000, phy),
    FIELD_STRUCT(struct e1000, eeprom, e1000_eeprom_fields),
    FIELD_STRUCT(struct e1000, packet, e1000_packet_fields),
    FIELD(struct e1000, quiet_until),
    FIELD_STRUCT(struct e1000, received, delay_fields),
    FIELD_STRUCT(struct e1000, sent, delay_fields),
    FIELD(struct e1000, line),
    FIELD_END,
};

void e1000_reset_registers(struct e1000 *card)
{
    struct e1000_delay *delays[] = {&card->received, &card->sent};

    for (unsigned n = 0; n < 2; n++) {
        timer_disarm(&delays[n]->timer);
        delays[n]->due = delays[n]->latest = CLOCK_NEVER;
    }
    timer_disarm(&card->throttle);
    timer_disarm(&card->transmit);
    card->quiet_until = 0;
    card->packet = (struct e1000_packet){0};
    e1000_registers_init(card);
    drive_line(card, false);
    net_ready(card->wires.net); /* what waited is lost */
}

static void e1000_reset(void *device)
{
    struct e1000 *card = device;

    init_config(card);
    card->address = 0;
    e1000_eeprom_write(card, 0);
    e1000_phy_reset(card);
    e1000_reset_registers(card);
    map(card);
}

static void e1000_loaded(void *device)
{
    struct e1000 *card = device;
    struct e1000_packet *packet = &card->packet;

    if ((packet->whole ? !e1000_whole_fits(packet) : packet->size > NET_FRAME_MAX - VLAN_TAG_SIZE) ||
        (packet->segmented && e1000_segments_too_long(&packet->segmentation)))
        packet->dropped = true;
    if (card->received.latest != CLOCK_NEVER)
        timer_arm(&card->received.timer, card->received.due);
    if (card->sent.latest != CLOCK_NEVER)
        timer_arm(&card->sent.timer, card->sent.due);
    map(card);
    drive_line(card, card->line);
    if (*e1000_reg(card, ICR) & *e1000_reg(card, IMS))
        timer_arm(&card->throttle, card->quiet_until);
    if (*e1000_reg(card, TDH) != *e1000_reg(card, TDT))
        timer_arm(&card->transmit, clock_now(card->wires.clock));
}

static void e1000_free(void *device)
{
    struct e1000 *card = device;

    if (!card)
        return;
    if (card->wires.net)
        card->wires.net->receiver = (struct net_receiver){0};
    timer_disarm(&card->throttle);
    timer_disarm(&card->transmit);
    timer_disarm(&card->received.timer);
    timer_disarm(&card->sent.timer);
    pci_bus_remove(card->wires.pci, &card->function);
    pci_rom_free(&card->rom);
    free(card);
}

const struct device_class e1000_class = {
    .name = "e1000",
    .reset = e1000_reset,
    .loaded = e1000_loaded,
    .free = e1000_free,
    .state = e1000_fields,
};

/* --- construction */

/* BARs are mapped at a place that they leave at once: reset disables them. */
static bool map_regions(struct e1000 *card)
{
    const struct e1000_wires *wires = &card->wires;

    card->registers = bus_map(wires->memory, "e1000", 0xE0000000, REGISTERS_SIZE, &e1000_register_ops, card);
    card->ports = bus_map(wires->ports, "e1000-ports", 0xC000, PORTS_SIZE, &e1000_port_ops, card);
    return card->registers && card->ports &&
           pci_rom_init(&card->rom, wires->memory, "e1000-rom", wires->rom, wires->rom_size);
}

struct e1000 *e1000_new(const struct e1000_wires *wires)
{
    struct e1000 *card = calloc(1, sizeof(*card));

    if (!card)
        return NULL;
    card->wires = *wires;
    card->function.name = "82540EM";
    card->function.dev = card;
    card->function.written = config_written;
    timer_init(&card->throttle, wires->clock, "e1000 ITR", throttle_over, card);
    timer_init(&card->transmit, wires->clock, "e1000 transmit", transmit_due, card);
    timer_init(&card->received.timer, wires->clock, "e1000 RDTR", received_due, card);
    timer_init(&card->sent.timer, wires->clock, "e1000 TIDV", sent_due, card);
    card->received.cause = CAUSE_RXT0;
    card->sent.cause = CAUSE_TXDW;
    e1000_eeprom_init(card);
    if (!map_regions(card) || !pci_bus_add(wires->pci, wires->slot, 0, &card->function)) {
        card->wires.net = NULL;
        e1000_free(card);
        return NULL;
    }
    card->wires.rom = NULL;
    e1000_reset(card);
    if (wires->net)
        wires->net->receiver = (struct net_receiver){
            .ready = e1000_ready, .receive = e1000_receive, .link_changed = link_changed, .opaque = card};
    return card;
}
