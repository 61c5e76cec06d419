/*
 * e1000_eeprom.c - the two chips beside the controller: a 93C46 EEPROM (5.) with the card's address, reached
 * through EERD or bit by bit through EECD; and the PHY (13.5), reached through MDIC.
 */
#include "devices/e1000_internal.h"

#define EECD_SK   0x001u
#define EECD_CS   0x002u
#define EECD_DI   0x004u
#define EECD_DO   0x008u
#define EECD_REQ  0x040u
#define EECD_GNT  0x080u
#define EECD_PRES 0x100u

#define EERD_START      0x01u
#define EERD_DONE       0x10u
#define EERD_ADDRESS(r) ((r) >> 8 & 0xFF)

/* A command of the EEPROM: a start bit, two bits, six of address. */
#define COMMAND_BITS 9
#define COMMAND_READ 6u /* with the start bit */

/* Words of the EEPROM (5.6). */
#define WORD_SERDES     0x04
#define WORD_INIT1      0x0A
#define WORD_SUBSYSTEM  0x0B
#define WORD_SUBVENDOR  0x0C
#define WORD_DEVICE     0x0D
#define WORD_VENDOR     0x0E
#define WORD_CHECKSUM   0x3F
#define INIT1_SIGNATURE 0x4000u
#define INIT1_FD        0x0400u
#define INIT1_LOAD_IDS  0x0003u
#define EEPROM_SUM      0xBABAu

#define EEPROM_WORDS 64

#define MDIC_REGISTER(r) ((r) >> 16 & 31)
#define MDIC_PHY(r)      ((r) >> 21 & 31)
#define MDIC_WRITE       0x04000000u
#define MDIC_READ        0x08000000u
#define MDIC_READY       0x10000000u
#define MDIC_INTERRUPT   0x20000000u
#define MDIC_ERROR       0x40000000u
#define PHY_ADDRESS      1

#define PHY_CONTROL        0
#define PHY_STATUS         1
#define PHY_ABILITY        5
#define PHY_EXPANSION      6
#define PHY_GIGABIT_STATUS 10
#define PHY_SPECIFIC       17

#define CONTROL_RESET     0x8000u
#define CONTROL_RESTART   0x0200u
#define STATUS_NEGOTIATED 0x0020u
#define STATUS_LINK       0x0004u

const struct field e1000_eeprom_fields[] = {
    FIELD(struct e1000_eeprom, in),        FIELD(struct e1000_eeprom, in_count),
    FIELD(struct e1000_eeprom, out_count), FIELD(struct e1000_eeprom, out),
    FIELD(struct e1000_eeprom, dout),      FIELD_END,
};

void e1000_eeprom_init(struct e1000 *card)
{
    uint16_t *word = card->eeprom.word, sum = 0;
    const uint8_t *mac = card->wires.mac;

    for (unsigned n = 0; n < 3; n++)
        word[n] = (uint16_t)(mac[2 * n] | mac[2 * n + 1] << 8);
    word[WORD_SERDES] = 0xFFFF;
    word[WORD_INIT1] = INIT1_SIGNATURE | INIT1_FD | INIT1_LOAD_IDS;
    word[WORD_SUBSYSTEM] = PCI_SUBSYSTEM_BOARD;
    word[WORD_SUBVENDOR] = PCI_SUBSYSTEM_BOARD_VENDOR;
    word[WORD_DEVICE] = 0x100E;
    word[WORD_VENDOR] = 0x8086;
    for (unsigned n = 0; n < WORD_CHECKSUM; n++)
        sum = (uint16_t)(sum + word[n]);
    word[WORD_CHECKSUM] = (uint16_t)(EEPROM_SUM - sum);
}

/* SK rose: a bit of the command comes in, or one of the word goes out. A 0 goes before the word. */
static void clock_eeprom(struct e1000_eeprom *rom, bool in)
{
    if (rom->in_count == COMMAND_BITS) {
        rom->dout = rom->out & 0x8000;
        rom->out = (uint16_t)(rom->out << 1);
        if (rom->out_count)
            rom->out_count--;
        else
            rom->dout = true;
        return;
    }
    if (!rom->in_count && !in)
        return; /* before the start bit */
    rom->in = (rom->in << 1 | in) & 0x1FF;
    if (++rom->in_count < COMMAND_BITS)
        return;
    rom->dout = rom->in >> 6 != COMMAND_READ; /* others do nothing, and are done at once */
    rom->out = rom->dout ? 0xFFFF : rom->word[rom->in & (EEPROM_WORDS - 1)];
    rom->out_count = 16;
}

void e1000_eeprom_write(struct e1000 *card, uint32_t eecd)
{
    struct e1000_eeprom *rom = &card->eeprom;
    uint32_t old = *e1000_reg(card, EECD);

    *e1000_reg(card, EECD) = eecd & (EECD_SK | EECD_CS | EECD_DI | EECD_REQ | 0x30);
    if (!(eecd & EECD_CS)) {
        rom->in = rom->in_count = rom->out_count = rom->out = 0;
        rom->dout = true;
    } else if (eecd & ~old & EECD_SK) {
        clock_eeprom(rom, eecd & EECD_DI);
    }
}

uint32_t e1000_eeprom_read(struct e1000 *card)
{
    uint32_t eecd = *e1000_reg(card, EECD) | EECD_PRES;

    if (card->eeprom.dout)
        eecd |= EECD_DO;
    return eecd & EECD_REQ ? eecd | EECD_GNT : eecd;
}

void e1000_eeprom_fetch(struct e1000 *card, uint32_t eerd)
{
    unsigned address = EERD_ADDRESS(eerd);
    uint32_t word = address < EEPROM_WORDS ? card->eeprom.word[address] : 0xFFFF;

    *e1000_reg(card, EERD) = eerd & EERD_START ? word << 16 | address << 8 | EERD_DONE : eerd & 0xFF00;
}

/* What each register of the PHY is after reset, and which bits can be written. */
static const struct {
    uint8_t number;
    uint16_t reset, writable;
} phy_registers[] = {
    {PHY_CONTROL, 0x1140, 0x7DC0},
    {PHY_STATUS, 0x7949, 0},
    {2, 0x0141, 0}, /* identifier */
    {3, 0x0C20, 0},
    {4, 0x0DE1, 0xFFFF}, /* what is advertised */
    {PHY_EXPANSION, 0x0004, 0},
    {7, 0x2001, 0xBFFF}, /* next page */
    {9, 0x0E00, 0xFFFF}, /* 1000BASE-T control */
    {15, 0x3000, 0},     /* extended status: 1000BASE-T */
    {16, 0x0068, 0xFFFF},
    {PHY_SPECIFIC, 0x8000, 0}, /* 1000 Mb/s */
    {18, 0x0000, 0xFFFF},
    {20, 0x0D60, 0xFFFF},
    {22, 0x0000, 0xFFFF},
    {24, 0x4100, 0xFFFF},
    {29, 0x0000, 0xFFFF},
    {30, 0x0000, 0xFFFF},
};

enum { PHY_REGISTERS = sizeof(phy_registers) / sizeof(*phy_registers) };

void e1000_phy_link(struct e1000 *card)
{
    bool up = e1000_link(card);

    card->phy[PHY_STATUS] &= (uint16_t) ~(STATUS_NEGOTIATED | STATUS_LINK);
    card->phy[PHY_STATUS] |= up ? STATUS_NEGOTIATED | STATUS_LINK : 0;
    card->phy[PHY_ABILITY] = up ? 0x41E1 : 0; /* the partner has all speeds but no flow control, */
    card->phy[PHY_GIGABIT_STATUS] = up ? 0x3C00 : 0;
    card->phy[PHY_EXPANSION] = up ? 0x0005 : 0x0004;
    card->phy[PHY_SPECIFIC] = up ? 0xAC00 : 0x8000; /* and we agreed on 1000 Mb/s, full duplex */
}

void e1000_phy_reset(struct e1000 *card)
{
    for (unsigned n = 0; n < 32; n++)
        card->phy[n] = 0;
    for (unsigned n = 0; n < PHY_REGISTERS; n++)
        card->phy[phy_registers[n].number] = phy_registers[n].reset;
    e1000_phy_link(card);
}

static void write_phy(struct e1000 *card, unsigned number, uint16_t value)
{
    for (unsigned n = 0; n < PHY_REGISTERS; n++)
        if (phy_registers[n].number == number) {
            uint16_t bits = phy_registers[n].writable;
            card->phy[number] = (uint16_t)((card->phy[number] & ~bits) | (value & bits));
        }
    if (number != PHY_CONTROL)
        return;
    if (value & CONTROL_RESET)
        e1000_phy_reset(card);
    if (value & (CONTROL_RESET | CONTROL_RESTART) && e1000_link(card))
        e1000_cause(card, CAUSE_LSC);
}

void e1000_phy_access(struct e1000 *card, uint32_t mdic)
{
    unsigned number = MDIC_REGISTER(mdic);
    bool here = MDIC_PHY(mdic) == PHY_ADDRESS;

    mdic &= ~(MDIC_READY | MDIC_ERROR);
    if (mdic & MDIC_READ && here)
        mdic = (mdic & ~0xFFFFu) | card->phy[number];
    else if (mdic & MDIC_WRITE && here)
        write_phy(card, number, (uint16_t)mdic);
    else
        mdic |= MDIC_ERROR;
    *e1000_reg(card, MDIC) = mdic | MDIC_READY;
    if (mdic & MDIC_INTERRUPT)
        e1000_cause(card, CAUSE_MDAC);
}
