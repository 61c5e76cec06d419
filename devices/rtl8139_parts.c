/* rtl8139_parts.c - what is beside the frames: EEPROM, PHY, timer, statistics. */
#include <stddef.h>
#include <string.h>

#include "devices/rtl8139_internal.h"

/* --- EEPROM: a 93C46 at four wires (data sheet, 5.12 and 6) */

#define EEM  0xC0u
#define EECS 0x08u
#define EESK 0x04u
#define EEDI 0x02u
#define EEDO 0x01u

#define EEM_PROGRAM 0x80u

/* A start bit, two of the command, six of the address. */
#define COMMAND_BITS 0x100u
#define COMMAND_READ 2u

const struct field rtl8139_eeprom_fields[] = {
    FIELD(struct rtl8139_eeprom, in),   FIELD(struct rtl8139_eeprom, out_count),
    FIELD(struct rtl8139_eeprom, out),  FIELD(struct rtl8139_eeprom, clock),
    FIELD(struct rtl8139_eeprom, dout), FIELD_END,
};

void rtl8139_eeprom_init(struct rtl8139 *card)
{
    uint16_t *word = card->eeprom.word;

    word[0] = 0x8129; /* it is valid */
    word[1] = 0x10EC;
    word[2] = 0x8139;
    word[3] = PCI_SUBSYSTEM_BOARD_VENDOR;
    word[4] = PCI_SUBSYSTEM_BOARD;
    memcpy(word + 7, card->wires.mac, sizeof(card->wires.mac));
}

/* A bit goes in and one comes out, the highest first. */
static void clock_rises(struct rtl8139_eeprom *eeprom, bool bit)
{
    if (eeprom->out_count) {
        eeprom->dout = eeprom->out >> 15;
        eeprom->out = (uint16_t)(eeprom->out << 1);
        eeprom->out_count--;
        return;
    }
    if (eeprom->in || bit)
        eeprom->in = (uint16_t)(eeprom->in << 1 | bit);
    if (!(eeprom->in & COMMAND_BITS))
        return;
    if ((eeprom->in >> 6 & 3) == COMMAND_READ) {
        eeprom->out = eeprom->word[eeprom->in & 63];
        eeprom->out_count = 16;
        eeprom->dout = false; /* the dummy bit */
    }
    eeprom->in = 0;
}

void rtl8139_eeprom_write(struct rtl8139 *card, uint8_t cr9346)
{
    struct rtl8139_eeprom *eeprom = &card->eeprom;
    bool clock = cr9346 & EESK;

    if ((cr9346 & EEM) != EEM_PROGRAM || !(cr9346 & EECS)) {
        eeprom->in = eeprom->out_count = 0;
        eeprom->dout = true;
    } else if (clock && !eeprom->clock) {
        clock_rises(eeprom, cr9346 & EEDI);
    }
    eeprom->clock = clock;
    card->reg[CR9346] = (uint8_t)((cr9346 & ~EEDO) | (eeprom->dout ? EEDO : 0));
    if ((cr9346 & EEM) == 0x40) { /* loads itself from the EEPROM, and is done */
        rtl8139_load_address(card);
        card->reg[CR9346] &= (uint8_t)~EEM;
    }
}

void rtl8139_load_address(struct rtl8139 *card)
{
    memcpy(card->reg + IDR, card->wires.mac, sizeof(card->wires.mac));
}

/* --- PHY: 100 Mb/s in full duplex as soon as there is a cable */

#define BMCR_RESET   0x8000u
#define BMCR_RESTART 0x0200u
#define BMSR_NO_LINK 0x7809u
#define BMSR_LINK    0x0024u /* and negotiated */

#define MSR_LINKB 0x04u /* there is none */

static bool has_link(const struct rtl8139 *card)
{
    return card->wires.net && card->wires.net->up;
}

void rtl8139_link(struct rtl8139 *card)
{
    bool link = has_link(card);

    rtl_set(card, BMSR, BMSR_NO_LINK | (link ? BMSR_LINK : 0), 2);
    rtl_set(card, ANLPAR, link ? 0x41E1 : 0, 2);
    rtl_set(card, ANER, link ? 1 : 0, 2);
    card->reg[MSR] = (uint8_t)((card->reg[MSR] & ~MSR_LINKB) | (link ? 0 : MSR_LINKB));
}

void rtl8139_phy_reset(struct rtl8139 *card)
{
    memset(card->reg + BMCR, 0, PHY_END - BMCR);
    rtl_set(card, BMCR, 0x3100, 2);
    rtl_set(card, ANAR, 0x05E1, 2);
    rtl8139_link(card);
}

void rtl8139_phy_written(struct rtl8139 *card)
{
    uint32_t bmcr = rtl_get(card, BMCR, 2);

    if (bmcr & BMCR_RESET)
        rtl8139_phy_reset(card);
    else
        rtl_set(card, BMCR, bmcr & ~BMCR_RESTART, 2);
}

/* --- timer: it counts at the PCI clock and interrupts at TimerInt, unless that is 0 */

#define TIMER_HZ 33000000u

uint32_t rtl8139_count(struct rtl8139 *card)
{
    return (uint32_t)clock_ns_to_ticks(clock_now(card->wires.clock) - card->timer_start, TIMER_HZ);
}

void rtl8139_arm_timer(struct rtl8139 *card)
{
    uint32_t at = rtl_get(card, TIMERINT, 4);
    uint64_t ticks = clock_ns_to_ticks(clock_now(card->wires.clock) - card->timer_start, TIMER_HZ);
    uint32_t left = at - (uint32_t)ticks;

    timer_arm(&card->timer,
              at ? card->timer_start + clock_ticks_to_ns(ticks + (left ? left : 1ull << 32), TIMER_HZ)
                 : CLOCK_NEVER);
}

/* --- statistics */

const struct field rtl8139_tally_fields[] = {
    FIELD(struct rtl8139_tally, tx_ok),        FIELD(struct rtl8139_tally, rx_ok),
    FIELD(struct rtl8139_tally, tx_error),     FIELD(struct rtl8139_tally, rx_error),
    FIELD(struct rtl8139_tally, missed),       FIELD(struct rtl8139_tally, rx_own),
    FIELD(struct rtl8139_tally, rx_broadcast), FIELD(struct rtl8139_tally, rx_multicast),
    FIELD(struct rtl8139_tally, tx_aborted),   FIELD_END,
};

_Static_assert(sizeof(struct rtl8139_tally) == 64, "as the controller stores it");

#define DTCCR_DUMP 0x08u

void rtl8139_dump_tally(struct rtl8139 *card)
{
    uint64_t command = rtl_get64(card, DTCCR);

    if (!(command & DTCCR_DUMP) || !rtl_may_master(card))
        return;
    card->busy = true;
    bus_write_block(card->wires.memory, command & ~63ull, &card->tally, sizeof(card->tally));
    card->busy = false;
    card->reg[DTCCR] &= (uint8_t)~DTCCR_DUMP;
}
