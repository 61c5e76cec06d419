/*
 * e1000_registers.c - the 82540EM's registers as the guest reads and writes them. All are 32 bits wide, and a
 * write of less goes nowhere (13.2).
 */
#include "devices/e1000_internal.h"

#include <string.h>

#define CTRL_EXT_EE_RST 0x2000u

#define IOADDR 0 /* ports of BAR 1 */
#define IODATA 4

/* Registers that keep what is written: how many in a row, which bits, and what they are after reset. */
static const struct {
    uint16_t offset, count;
    uint32_t writable, reset;
} plain[] = {
    {CTRL, 1, 0, CTRL_FD | CTRL_SLU | CTRL_SPEED},
    {CTRL_EXT, 1, 0xFFFFDFFF, 0},
    {0x0028, 1, UINT32_MAX, 0x00C28001}, /* FCAL, FCAH: the address of pause frames */
    {0x002C, 1, 0xFFFF, 0x0100},
    {0x0030, 1, 0xFFFF, 0x8808}, /* FCT */
    {VET, 1, 0xFFFF, 0x8100},
    {0x0170, 1, 0xFFFF, 0},     /* FCTTV */
    {0x0178, 1, UINT32_MAX, 0}, /* TXCW */
    {TCTL, 1, 0x1FFFFFA, 0},
    {0x0410, 1, 0x3FFFFFFF, 0x00602008}, /* TIPG */
    {0x0458, 1, 0xFFFF, 0},              /* AIFS */
    {0x0E00, 1, UINT32_MAX, 0x07068302}, /* LEDCTL */
    {PBA, 1, 0xFFFF, 0x00100030},        /* KiB for sending and receiving */
    {0x2160, 1, 0x8000FFF8, 0},          /* FCRTL, FCRTH */
    {0x2168, 1, 0xFFF8, 0},
    {RDBAL, 1, 0xFFFFFFF0, 0},
    {RDBAH, 1, UINT32_MAX, 0},
    {RDLEN, 1, 0xFFF80, 0},
    {RDH, 1, 0xFFFF, 0},
    {0x2828, 1, 0x013F3F3F, 0x01010000}, /* RXDCTL */
    {RADV, 1, 0xFFFF, 0},
    {0x2C00, 1, 0xFFF, 0}, /* RSRPD */
    {TDBAL, 1, 0xFFFFFFF0, 0},
    {TDBAH, 1, UINT32_MAX, 0},
    {TDLEN, 1, 0xFFF80, 0},
    {TDH, 1, 0xFFFF, 0},
    {0x3828, 1, 0xFF3F3F3F, 0}, /* TXDCTL */
    {TADV, 1, 0xFFFF, 0},
    {0x3830, 1, UINT32_MAX, 0}, /* TSPMT */
    {RXCSUM, 1, 0x3FF, 0},
    {MTA, 128, UINT32_MAX, 0},
    {RAL(0), 2 * RECEIVE_ADDRESSES, UINT32_MAX, 0},
    {VFTA, 128, UINT32_MAX, 0},
    {0x5800, 1, 0x0000000F, 0}, /* WUC, WUFC */
    {0x5808, 1, 0x000F00FF, 0},
    {0x5820, 1, UINT32_MAX, 0}, /* MANC */
    {0x5838, 1, 0xFFFF, 0},     /* IPAV */
    {0x5840, 8, UINT32_MAX, 0}, /* IP4AT */
    {0x5880, 4, UINT32_MAX, 0}, /* IP6AT */
};

enum { PLAIN = sizeof(plain) / sizeof(*plain) };

/* The EEPROM's first words become the card's address (5.6.1). */
void e1000_registers_init(struct e1000 *card)
{
    const uint8_t *mac = card->wires.mac;

    memset(card->reg, 0, sizeof(card->reg));
    for (unsigned n = 0; n < PLAIN; n++)
        for (unsigned i = 0; i < plain[n].count; i++)
            *e1000_reg(card, plain[n].offset + 4 * i) = plain[n].reset;
    *e1000_reg(card, RAL(0)) = mac[0] | mac[1] << 8 | mac[2] << 16 | (uint32_t)mac[3] << 24;
    *e1000_reg(card, RAH(0)) = mac[4] | mac[5] << 8 | 0x80000000u;
}

/* --- statistics */

void e1000_count(struct e1000 *card, unsigned statistic)
{
    uint32_t *count = e1000_reg(card, statistic);

    if (*count < UINT32_MAX)
        ++*count;
}

void e1000_count_bytes(struct e1000 *card, unsigned statistic, size_t bytes)
{
    uint32_t *low = e1000_reg(card, statistic), *high = e1000_reg(card, statistic + 4);
    uint64_t count = (uint64_t)*high << 32 | *low;

    count = count > UINT64_MAX - bytes ? UINT64_MAX : count + bytes;
    *low = (uint32_t)count;
    *high = (uint32_t)(count >> 32);
}

void e1000_count_size(struct e1000 *card, unsigned first, size_t size)
{
    static const uint16_t most[] = {64, 127, 255, 511, 1023};
    unsigned n = 0;

    while (n < sizeof(most) / sizeof(*most) && size > most[n])
        n++;
    e1000_count(card, first + 4 * n);
}

/* Of the 64-bit ones, the higher half is read last and clears both (13.7). */
static uint32_t read_statistic(struct e1000 *card, unsigned offset)
{
    uint32_t value = *e1000_reg(card, offset);

    switch (offset) {
    case GORCL:
    case GOTCL:
    case TORL:
    case TOTL:
        break;
    case GORCL + 4:
    case GOTCL + 4:
    case TORL + 4:
    case TOTL + 4:
        *e1000_reg(card, offset - 4) = 0;
        *e1000_reg(card, offset) = 0;
        break;
    default:
        *e1000_reg(card, offset) = 0;
    }
    return value;
}

/* --- reads */

static uint32_t read_status(const struct e1000 *card)
{
    return STATUS_FD | STATUS_SPEED | STATUS_ASDV | (e1000_link(card) ? STATUS_LU : 0);
}

static uint32_t take_causes(struct e1000 *card)
{
    uint32_t causes = *e1000_reg(card, ICR);

    *e1000_reg(card, ICR) = 0;
    e1000_update_irq(card);
    return causes;
}

static uint32_t read_register(struct e1000 *card, unsigned offset)
{
    if (offset >= REGISTERS_END)
        return 0;
    if (offset >= STATISTICS && offset < STATISTICS_END)
        return read_statistic(card, offset);
    switch (offset) {
    case STATUS:
        return read_status(card);
    case EECD:
        return e1000_eeprom_read(card);
    case ICR:
        return take_causes(card);
    default:
        return *e1000_reg(card, offset);
    }
}

/* --- writes */

static void write_control(struct e1000 *card, uint32_t value)
{
    if (value & CTRL_RST) {
        e1000_reset_registers(card);
        return;
    }
    *e1000_reg(card, CTRL) = value & ~(CTRL_RST | CTRL_PHY_RST);
    if (value & CTRL_PHY_RST) {
        e1000_phy_reset(card);
        if (e1000_link(card))
            e1000_cause(card, CAUSE_LSC);
    }
}

static void write_delay(struct e1000 *card, unsigned offset, struct e1000_delay *delay, uint32_t value)
{
    *e1000_reg(card, offset) = value & 0xFFFF;
    if (value & DELAY_FLUSH)
        e1000_flush(card, delay);
}

static void write_tail(struct e1000 *card, unsigned offset, uint32_t value)
{
    *e1000_reg(card, offset) = value & 0xFFFF;
    if (offset == TDT)
        e1000_transmit(card);
    else
        e1000_receive_more(card);
}

static void write_interrupt(struct e1000 *card, unsigned offset, uint32_t value)
{
    value &= CAUSES;
    switch (offset) {
    case ICR:
        *e1000_reg(card, ICR) &= ~value;
        break;
    case ICS:
        *e1000_reg(card, ICR) |= value;
        break;
    case IMS:
        *e1000_reg(card, IMS) |= value;
        break;
    default:
        *e1000_reg(card, IMS) &= ~value;
    }
    e1000_update_irq(card);
}

static void write_plain(struct e1000 *card, unsigned offset, uint32_t value)
{
    for (unsigned n = 0; n < PLAIN; n++)
        if (offset >= plain[n].offset && offset < plain[n].offset + 4u * plain[n].count) {
            uint32_t *reg = e1000_reg(card, offset), bits = plain[n].writable;
            *reg = (*reg & ~bits) | (value & bits);
            return;
        }
}

static void write_register(struct e1000 *card, unsigned offset, uint32_t value)
{
    switch (offset) {
    case CTRL:
        write_control(card, value);
        break;
    case EECD:
        e1000_eeprom_write(card, value);
        break;
    case EERD:
        e1000_eeprom_fetch(card, value);
        break;
    case MDIC:
        e1000_phy_access(card, value);
        break;
    case ICR:
    case ICS:
    case IMS:
    case IMC:
        write_interrupt(card, offset, value);
        break;
    case ITR:
        *e1000_reg(card, ITR) = value & 0xFFFF;
        break;
    case RCTL:
        *e1000_reg(card, RCTL) = value & 0x06DFFFFE;
        e1000_receive_more(card);
        break;
    case RDTR:
        write_delay(card, RDTR, &card->received, value);
        break;
    case TIDV:
        write_delay(card, TIDV, &card->sent, value);
        break;
    case RDT:
    case TDT:
        write_tail(card, offset, value);
        break;
    case TCTL:
        write_plain(card, offset, value);
        e1000_transmit(card);
        break;
    default:
        write_plain(card, offset, value);
    }
}

/* While the card's own DMA is under way, what arrives is that DMA, aimed at the card: nothing listens to it.
 */
static void access_write(struct e1000 *card, uint64_t offset, uint64_t value, unsigned size)
{
    if (card->busy)
        return;
    if (size != 4 || offset & 3)
        log_at(card->wires.log, LOG_GUEST, "e1000", "a write of %u bytes to register 0x%04x", size,
               (unsigned)offset);
    else
        write_register(card, (unsigned)offset, (uint32_t)value);
}

static uint32_t access_read(struct e1000 *card, uint64_t offset)
{
    return card->busy ? UINT32_MAX : read_register(card, (unsigned)offset & ~3u) >> 8 * (offset & 3);
}

static uint64_t mmio_read(void *dev, uint64_t addr, unsigned size)
{
    (void)size;
    return access_read(dev, addr);
}

static void mmio_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    access_write(dev, addr, value, size);
}

const struct bus_ops e1000_register_ops = {mmio_read, mmio_write, 4};

/* --- ports: an address and the register there (13.2.1.2) */

static uint64_t port_read(void *dev, uint64_t addr, unsigned size)
{
    struct e1000 *card = dev;

    (void)size;
    if ((addr & ~3ull) == IOADDR)
        return card->address >> 8 * (addr & 3);
    return (addr & ~3ull) == IODATA && card->address < 0x20000 ? access_read(card, card->address + (addr & 3))
                                                               : 0;
}

static void port_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct e1000 *card = dev;

    if (addr == IOADDR && size == 4 && !card->busy)
        card->address = (uint32_t)value;
    else if (addr == IODATA && card->address < 0x20000)
        access_write(card, card->address, value, size);
}

const struct bus_ops e1000_port_ops = {port_read, port_write, 4};
