/*
 * rtl8139.c - the RTL8139's PCI function, interrupts, reset and registers. The other files are named in
 * rtl8139_internal.h.
 *
 * Registers are bytes that software reads and writes in any size; a table says which bits it may change, and
 * what happens then is looked at register by register. Not here, and without effect when a driver sets them:
 * flow control, wake-up and power management, early interrupts and thresholds, CardBus's function registers,
 * the Flash.
 */
#include "devices/rtl8139_internal.h"

#include <stdlib.h>

#define REVISION_C      0x10
#define REVISION_C_PLUS 0x20

/* TCR's HWVERID. */
#define VERSION_C      0x74000000u
#define VERSION_C_PLUS 0x74800000u

#define CONFIG1_IOMAP 0x04u /* and */
#define CONFIG1_MEM   0x08u

#define BCR_UNLOCKED 0xC0u /* in 9346CR: configuration may be written */

/* --- interrupts */

static void update_irq(struct rtl8139 *card)
{
    bool level = rtl_get(card, ISR, 2) & rtl_get(card, IMR, 2);

    irq_set(&card->wires.irq,
            level && !(pci_get(&card->function, PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE));
}

void rtl8139_interrupt(struct rtl8139 *card, uint32_t causes)
{
    rtl_set(card, ISR, rtl_get(card, ISR, 2) | causes, 2);
    update_irq(card);
}

static void timer_due(void *opaque)
{
    struct rtl8139 *card = opaque;

    rtl8139_interrupt(card, INT_TIMEOUT);
    rtl8139_arm_timer(card);
}

static void poll_due(void *opaque)
{
    rtl8139_look_again(opaque);
}

static void transmit_due(void *opaque)
{
    rtl8139_send_ring(opaque);
}

static void link_changed(void *opaque)
{
    rtl8139_link(opaque);
    rtl8139_interrupt(opaque, INT_LINK);
}

/* --- reset */

/* By CR's RST: sending and receiving stop, rings begin anew. Addresses, configuration and the PHY stay. */
static void reset_controller(struct rtl8139 *card)
{
    card->reg[CR] = 0;
    for (unsigned n = 0; n < 4; n++)
        rtl_set(card, TSD(n), TSD_OWN, 4);
    rtl_set(card, CAPR, 0xFFF0, 2);
    rtl_set(card, CBR, 0, 2);
    rtl_set(card, IMR, 0, 2);
    rtl_set(card, ISR, 0, 2);
    rtl_set(card, TCR, card->wires.plain ? VERSION_C : VERSION_C_PLUS, 4);
    rtl_set(card, RCR, 0, 4);
    rtl_set(card, MPC, 0, 4);
    rtl_set(card, CPCR, 0, 2);
    card->reg[TPPOLL] = 0;
    card->tx_next[0] = card->tx_next[1] = card->rx_next = 0;
    card->tx_started = card->tx_dropped = false;
    card->tx_size = card->tx_first = 0;
    timer_disarm(&card->poll);
    timer_disarm(&card->transmit);
    update_irq(card);
}

static void power_on(struct rtl8139 *card)
{
    memset(card->reg, 0, sizeof(card->reg));
    memset(&card->tally, 0, sizeof(card->tally));
    card->timer_start = clock_now(card->wires.clock);
    timer_disarm(&card->timer);
    rtl8139_load_address(card);
    rtl8139_eeprom_write(card, 0);
    card->reg[CONFIG1] = CONFIG1_IOMAP | CONFIG1_MEM;
    rtl8139_phy_reset(card);
    reset_controller(card);
}

/* --- reads: what is made up then */

static void refresh(struct rtl8139 *card)
{
    uint32_t all = 0;

    card->reg[CR] = (uint8_t)((card->reg[CR] & ~CR_BUFE) | (rtl8139_ring_empty(card) ? CR_BUFE : 0));
    rtl_set(card, TCTR, rtl8139_count(card), 4);
    for (unsigned n = 0; n < 4; n++) {
        uint32_t tsd = rtl_get(card, TSD(n), 4);
        all |= (tsd & TSD_OWN ? 1u : 0) << n | (tsd & TSD_TABT ? 0x10u : 0) << n |
               (tsd & TSD_TOK ? 0x1000u : 0) << n;
    }
    rtl_set(card, TSALL, all, 2);
}

static uint64_t register_read(void *dev, uint64_t addr, unsigned size)
{
    struct rtl8139 *card = dev;

    if (addr + size > SIZE)
        return UINT64_MAX;
    if (addr < CR + 1 || addr >= TCTR)
        refresh(card);
    return rtl_get(card, (unsigned)addr, size);
}

/* --- writes */

/* Bits that software may change; of what is locked only then, and of C+ mode only where it is. */
static const struct writable {
    uint8_t first, last;
    uint8_t bits[4]; /* by the address's two lowest bits */
    bool locked, plus;
} writable[] = {
    {IDR, IDR + 5, {0xFF, 0xFF, 0xFF, 0xFF}, true, false},
    {MAR, MAR + 7, {0xFF, 0xFF, 0xFF, 0xFF}, false, false},
    {TSD(0), RBSTART + 3, {0xFF, 0xFF, 0xFF, 0xFF}, false, false},
    {CAPR, CAPR + 1, {0xFF, 0xFF, 0, 0}, false, false},
    {IMR, IMR + 1, {0xFF, 0xE1, 0, 0}, false, false},
    {TCR, TCR + 3, {0xF0, 0x07, 0x07, 0x03}, false, false},
    {RCR, RCR + 3, {0xBF, 0xFF, 0x03, 0x0F}, false, false},
    {CONFIG1, CONFIG1, {0, 0, 0xF2, 0}, true, false},
    {TIMERINT, TIMERINT + 3, {0xFF, 0xFF, 0xFF, 0xFF}, false, false},
    {MSR, MSR, {0xC0, 0, 0, 0}, false, false},
    {CONFIG3, CONFIG3, {0, 0x7D, 0, 0}, true, false},
    {CONFIG4, CONFIG4, {0, 0, 0xFF, 0}, true, false},
    {MULINT, MULINT + 1, {0xFF, 0x0F, 0, 0}, false, false},
    {BMCR, BMCR + 1, {0, 0, 0, 0xB3}, false, false},
    {ANAR, ANAR + 1, {0, 0, 0xFF, 0x2D}, false, false},
    {NWAYTR, NWAYTR + 1, {0x80, 0, 0, 0}, false, false},
    {CSCR, PHY_END - 1, {0xFF, 0xFF, 0xFF, 0xFF}, false, false},
    {CONFIG5, CONFIG5, {0x7F, 0, 0, 0}, true, false},
    {CPCR, CPCR + 1, {0x7F, 0x02, 0, 0}, false, true},
    {RDSAR, ETTHR, {0xFF, 0xFF, 0xFF, 0xFF}, false, true},
};

static uint8_t writable_bits(const struct rtl8139 *card, unsigned reg)
{
    bool unlocked = (card->reg[CR9346] & BCR_UNLOCKED) == BCR_UNLOCKED;

    for (size_t n = 0; n < sizeof(writable) / sizeof(*writable); n++) {
        const struct writable *w = &writable[n];

        if (reg >= w->first && reg <= w->last)
            return (w->locked && !unlocked) || (w->plus && card->wires.plain) ? 0 : w->bits[reg & 3];
    }
    return 0;
}

static void write_command(struct rtl8139 *card, uint8_t value)
{
    if (value & CR_RST)
        reset_controller(card);
    else
        card->reg[CR] = value & (CR_TE | CR_RE);
    rtl8139_send_all(card);
    rtl8139_receive_more(card);
}

/* Registers of which a byte is more than its bits; false: it isn't one. */
static bool write_special(struct rtl8139 *card, unsigned reg, uint8_t value)
{
    switch (reg) {
    case CR:
        write_command(card, value);
        return true;
    case ISR:
    case ISR + 1:
        card->reg[reg] &= (uint8_t)~value;
        return true;
    case TCTR:
        card->timer_start = clock_now(card->wires.clock);
        rtl8139_arm_timer(card);
        return true;
    case MPC:
        rtl_set(card, MPC, 0, 4);
        return true;
    case CR9346:
        rtl8139_eeprom_write(card, value);
        return true;
    case TPPOLL:
        if (card->wires.plain)
            return true;
        card->reg[TPPOLL] |= value & (TPPOLL_HPQ | TPPOLL_NPQ);
        if (value & TPPOLL_SW)
            rtl8139_interrupt(card, INT_SW);
        return true;
    default:
        return false;
    }
}

/* What follows from the write to registers `first` up to before `end`. */
static void written(struct rtl8139 *card, unsigned first, unsigned end)
{
#define TOUCHES(reg, size) (first < (reg) + (size) && end > (reg))
    bool plus = rtl_get(card, CPCR, 2) & (CPCR_TX | CPCR_RX);

    for (unsigned n = 0; n < 4 && !plus; n++)
        if (TOUCHES(TSD(n), 4)) {
            /* Its lower half has the size and hands the slot over; the rest is the controller's to say. */
            rtl_set(card, TSD(n), rtl_get(card, TSD(n), 4) & 0x003F3FFF, 4);
            rtl8139_send_slot(card, n);
        }
    if (plus && TOUCHES(DTCCR, 4))
        rtl8139_dump_tally(card);
    if (TOUCHES(TNPDS, 8) && plus)
        card->tx_next[0] = 0;
    if (TOUCHES(THPDS, 8) && plus)
        card->tx_next[1] = 0;
    if (TOUCHES(RDSAR, 8))
        card->rx_next = 0;
    if (TOUCHES(TIMERINT, 4))
        rtl8139_arm_timer(card);
    if (TOUCHES(BMCR, 2))
        rtl8139_phy_written(card);
    if (TOUCHES(TPPOLL, 1) || TOUCHES(CPCR, 2))
        rtl8139_send_ring(card);
    /* Whoever acknowledges, or wants interrupts again, has often handed descriptors back. */
    if (TOUCHES(CAPR, 2) || TOUCHES(ISR, 2) || TOUCHES(IMR, 2) || TOUCHES(RCR, 4) || TOUCHES(CPCR, 2))
        rtl8139_receive_more(card);
    if (TOUCHES(ISR, 2))
        rtl8139_remind(card);
#undef TOUCHES
}

static void register_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct rtl8139 *card = dev;

    if (addr + size > SIZE || card->busy)
        return;
    for (unsigned n = 0; n < size; n++) {
        unsigned reg = (unsigned)addr + n;
        uint8_t byte = (uint8_t)(value >> 8 * n), bits = writable_bits(card, reg);

        if (!write_special(card, reg, byte))
            card->reg[reg] = (uint8_t)((card->reg[reg] & ~bits) | (byte & bits));
    }
    written(card, (unsigned)addr, (unsigned)addr + size);
    update_irq(card);
}

static const struct bus_ops register_ops = {register_read, register_write, 4};

/* --- PCI function */

static void map(struct rtl8139 *card)
{
    uint64_t ports = pci_bar_address(&card->function, 0), registers = pci_bar_address(&card->function, 1);

    pci_move_region(card->ports, ports, ports <= 0x10000 - SIZE);
    pci_move_region(card->registers, registers, registers != PCI_BAR_UNMAPPED);
    pci_rom_map(&card->rom, &card->function);
}

static void config_written(void *dev, unsigned reg, unsigned size)
{
    struct rtl8139 *card = dev;

    (void)reg;
    (void)size;
    map(card);
    update_irq(card);
    if (!card->busy)
        rtl8139_send_all(card);
    rtl8139_receive_more(card);
}

static void init_config(struct rtl8139 *card)
{
    struct pci_function *function = &card->function;

    memset(function->config, 0, sizeof(function->config));
    pci_set(function, PCI_VENDOR_ID, 0x10EC, 2);
    pci_set(function, PCI_DEVICE_ID, 0x8139, 2);
    pci_set(function, PCI_STATUS, 0x0280, 2); /* medium timing, fast back-to-back */
    pci_set(function, PCI_REVISION, card->wires.plain ? REVISION_C : REVISION_C_PLUS, 1);
    pci_set(function, PCI_CLASS + 1, 0x0200, 2);
    pci_set(function, PCI_SUBSYSTEM_VENDOR, PCI_SUBSYSTEM_BOARD_VENDOR, 2);
    pci_set(function, PCI_SUBSYSTEM_ID, PCI_SUBSYSTEM_BOARD, 2);
    pci_set(function, PCI_INTERRUPT_PIN, 1, 1);
    pci_allow(function, PCI_COMMAND, PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE, 2);
    pci_allow(function, 0x0C, 0xFFFF, 2); /* cache line size, latency timer */
    pci_allow(function, PCI_INTERRUPT_LINE, 0xFF, 1);
    pci_init_bar(function, 0, SIZE, PCI_BAR_IO);
    pci_init_bar(function, 1, SIZE, PCI_BAR_MEMORY32);
    pci_rom_reset(&card->rom, function);
}

/* --- state and construction */

static const struct field function_fields[] = {FIELD_ARRAY(struct pci_function, config), FIELD_END};

static const struct field rtl8139_fields[] = {
    FIELD_STRUCT(struct rtl8139, function, function_fields),
    FIELD_ARRAY(struct rtl8139, reg),
    FIELD_STRUCT(struct rtl8139, eeprom, rtl8139_eeprom_fields),
    FIELD_STRUCT(struct rtl8139, tally, rtl8139_tally_fields),
    FIELD(struct rtl8139, timer_start),
    FIELD_ARRAY(struct rtl8139, tx_next),
    FIELD(struct rtl8139, rx_next),
    FIELD(struct rtl8139, tx_size),
    FIELD(struct rtl8139, tx_first),
    FIELD(struct rtl8139, tx_started),
    FIELD(struct rtl8139, tx_dropped),
    FIELD_ARRAY(struct rtl8139, frame),
    FIELD_END,
};

static void rtl8139_reset(void *device)
{
    struct rtl8139 *card = device;

    init_config(card);
    power_on(card);
    map(card);
}

static void rtl8139_loaded(void *device)
{
    struct rtl8139 *card = device;

    card->tx_next[0] %= RING_MAX;
    card->tx_next[1] %= RING_MAX;
    card->rx_next %= RING_MAX;
    if (card->tx_size > NET_LARGE_MAX) {
        card->tx_dropped = true;
        card->tx_size = 0;
    }
    map(card);
    rtl8139_link(card);
    rtl8139_arm_timer(card);
    update_irq(card);
    timer_arm(&card->transmit, clock_now(card->wires.clock));
}

static void rtl8139_free(void *device)
{
    struct rtl8139 *card = device;

    if (!card)
        return;
    if (card->wires.net && card->wires.net->receiver.opaque == card)
        card->wires.net->receiver = (struct net_receiver){0};
    timer_disarm(&card->timer);
    timer_disarm(&card->poll);
    timer_disarm(&card->transmit);
    pci_bus_remove(card->wires.pci, &card->function);
    pci_rom_free(&card->rom);
    free(card);
}

const struct device_class rtl8139_class = {
    .name = "rtl8139",
    .reset = rtl8139_reset,
    .loaded = rtl8139_loaded,
    .free = rtl8139_free,
    .state = rtl8139_fields,
};

struct rtl8139 *rtl8139_new(const struct rtl8139_wires *wires)
{
    struct rtl8139 *card = calloc(1, sizeof(*card));

    if (!card)
        return NULL;
    card->wires = *wires;
    card->function.name = wires->plain ? "RTL8139C" : "RTL8139C+";
    card->function.dev = card;
    card->function.written = config_written;
    timer_init(&card->timer, wires->clock, "rtl8139 TimerInt", timer_due, card);
    timer_init(&card->poll, wires->clock, "rtl8139 receive", poll_due, card);
    timer_init(&card->transmit, wires->clock, "rtl8139 transmit", transmit_due, card);
    rtl8139_eeprom_init(card);
    /* BARs are mapped at a place that they leave at once: reset disables them. */
    card->ports = bus_map(wires->ports, "rtl8139", 0xC000, SIZE, &register_ops, card);
    card->registers = bus_map(wires->memory, "rtl8139", 0xE0000000, SIZE, &register_ops, card);
    if (!card->ports || !card->registers ||
        !pci_rom_init(&card->rom, wires->memory, "rtl8139-rom", wires->rom, wires->rom_size) ||
        !pci_bus_add(wires->pci, wires->slot, 0, &card->function)) {
        rtl8139_free(card);
        return NULL;
    }
    card->wires.rom = NULL;
    rtl8139_reset(card);
    if (wires->net)
        wires->net->receiver = (struct net_receiver){
            .ready = rtl8139_ready, .receive = rtl8139_receive, .link_changed = link_changed, .opaque = card};
    return card;
}
