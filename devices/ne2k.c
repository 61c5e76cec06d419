/*
 * ne2k.c - the DP8390 network interface controller on a NE2000 board.
 *
 * The controller stores what it receives in a ring of 256-byte pages of its memory, from PSTART up to PSTOP:
 *
 *     PSTART        BNRY                  CURR                 PSTOP
 *       | free ...    | not read yet ...    | free ...           |
 *
 * CURR is where the next frame begins, each behind four bytes that say its status, the page where the next
 * one begins, and its size. Software moves BNRY behind what it has read. Frames wait on the host while the
 * ring has no room for the longest one; where a ring never has, they are missed, as on a real network.
 *
 * Sending takes no time. Not here: the FIFO's contents and what loopback would put there, and writing the
 * controller's internal address registers on page 2, which are for diagnosis. The RTL8029AS's page 3 keeps
 * CONFIG3 behind the lock in 9346CR; its EEPROM's wires lead nowhere.
 */
#include "devices/ne2k_internal.h"

#include <stdlib.h>
#include <string.h>

#include "devices/ethernet.h"

/* Command register. */
#define CR_STP      0x01u
#define CR_STA      0x02u
#define CR_TXP      0x04u
#define CR_READ     0x08u /* remote DMA */
#define CR_WRITE    0x10u
#define CR_SEND     0x18u
#define CR_ABORT    0x20u
#define CR_DMA      0x38u
#define CR_PAGE(cr) ((cr) >> 6)

#define ISR_PRX 0x01u
#define ISR_PTX 0x02u
#define ISR_OVW 0x10u
#define ISR_CNT 0x20u
#define ISR_RDC 0x40u
#define ISR_RST 0x80u

#define DCR_WTS 0x01u
#define DCR_LAS 0x04u
#define DCR_LS  0x08u /* clear: loopback */
#define DCR_AR  0x10u

#define TCR_LB  0x06u
#define TSR_PTX 0x01u

#define RCR_AB  0x04u
#define RCR_AM  0x08u
#define RCR_PRO 0x10u
#define RCR_MON 0x20u

#define RSR_PRX 0x01u
#define RSR_MPA 0x10u
#define RSR_PHY 0x20u
#define RSR_DIS 0x40u

#define CR9346_EEM 0xC0u /* both: the configuration may be written */

#define PAGE        256u
#define HEADER_SIZE 4u
#define FRAME_PAGES 6u /* the longest frame with its header */

#define REMINDER_PAUSE 1000000u /* ns */

/* Where things are in the 32 ports. */
#define DATA_PORT  0x10
#define RESET_PORT 0x18

/* --- outputs */

void ne2k_update_irq(struct ne2k *card)
{
    irq_set(&card->wires.irq, card->isr & card->imr & 0x7F);
}

static void set_isr(struct ne2k *card, uint8_t bits)
{
    card->isr |= bits;
    ne2k_update_irq(card);
}

/* --- the board's memory: the address PROM, each byte twice, and RAM */

static uint8_t read_memory(const struct ne2k *card, uint16_t addr)
{
    if (addr < 2 * sizeof(card->prom))
        return card->prom[addr / 2];
    return addr - NE2K_RAM_BASE < NE2K_RAM_SIZE ? card->ram[addr - NE2K_RAM_BASE] : 0xFF;
}

static void write_memory(struct ne2k *card, uint16_t addr, uint8_t value)
{
    if (addr - NE2K_RAM_BASE < NE2K_RAM_SIZE)
        card->ram[addr - NE2K_RAM_BASE] = value;
}

/* --- receiving */

static unsigned ring_pages(const struct ne2k *card)
{
    return card->pstop > card->pstart ? card->pstop - card->pstart : 0;
}

/* Pages from CURR to BNRY; all where the two are the same: then the ring is empty. */
static unsigned free_pages(const struct ne2k *card)
{
    unsigned pages = ring_pages(card);

    if (card->curr < card->bnry)
        return card->bnry - card->curr;
    return card->curr - card->bnry < (int)pages ? pages - (card->curr - card->bnry) : 0;
}

static bool is_receiving(const struct ne2k *card)
{
    return card->cr & CR_STA && !(card->cr & CR_STP) && !(card->tcr & TCR_LB) && card->dcr & DCR_LS;
}

/* One page always stays free, lest a full ring look empty. */
static bool has_room(const struct ne2k *card, unsigned pages)
{
    return pages < free_pages(card);
}

static bool is_ready(void *opaque)
{
    const struct ne2k *card = opaque;
    unsigned pages = ring_pages(card);

    if (!is_receiving(card) || card->rcr & RCR_MON || pages <= FRAME_PAGES)
        return true;
    return has_room(card, FRAME_PAGES);
}

static void receive_more(struct ne2k *card)
{
    if (is_ready(card))
        net_ready(card->wires.net);
}

/* Some drivers keep BNRY a page behind what they read last. */
static bool is_ring_empty(const struct ne2k *card)
{
    return free_pages(card) + 1 >= ring_pages(card);
}

/* Drivers acknowledge what came while they emptied the ring and may leave some of it there. On a real network
 * the next frame's interrupt reminds them; where the next ones wait for this very ring, one of our own does.
 */
static void remind_later(struct ne2k *card)
{
    if (is_receiving(card) && !(card->isr & ISR_PRX) && !is_ring_empty(card) &&
        card->reminder.when == CLOCK_NEVER)
        timer_arm(&card->reminder, clock_now(card->wires.clock) + REMINDER_PAUSE);
}

static void remind(void *opaque)
{
    struct ne2k *card = opaque;

    if (is_receiving(card) && !is_ring_empty(card))
        set_isr(card, ISR_PRX);
}

static bool is_wanted(const struct ne2k *card, const uint8_t *frame)
{
    if (ethernet_is_broadcast(frame))
        return card->rcr & RCR_AB;
    if (frame[0] & 1)
        return card->rcr & RCR_AM && ethernet_in_table(card->mar, frame);
    return card->rcr & RCR_PRO || !memcmp(card->par, frame, sizeof(card->par));
}

static void count_missed(struct ne2k *card)
{
    if (card->counter[2] < 0xC0 && ++card->counter[2] & 0x80)
        set_isr(card, ISR_CNT);
}

/* Bytes one after the other, from page to page of the ring. */
static uint16_t store(struct ne2k *card, uint16_t at, const uint8_t *data, size_t size)
{
    for (; size--; data++) {
        write_memory(card, at++, *data);
        if (at == card->pstop * PAGE)
            at = (uint16_t)(card->pstart * PAGE);
    }
    return at;
}

static void store_frame(struct ne2k *card, const uint8_t *frame, size_t size, unsigned pages)
{
    static const uint8_t zeroes[NET_FRAME_MIN];
    size_t padding = size < NET_FRAME_MIN ? NET_FRAME_MIN - size : 0,
           count = size + padding + ETHERNET_FCS_SIZE;
    unsigned next = card->curr + pages;
    uint8_t copy[NET_FRAME_MIN];

    if (padding) { /* for the check sequence */
        memcpy(copy, frame, size);
        memcpy(copy + size, zeroes, padding);
        frame = copy;
        size = NET_FRAME_MIN;
    }
    uint32_t fcs = ~ethernet_crc(frame, size);
    if (next >= card->pstop)
        next -= ring_pages(card);
    uint8_t header[HEADER_SIZE] = {card->rsr, (uint8_t)next, (uint8_t)count, (uint8_t)(count >> 8)};
    uint16_t at = store(card, (uint16_t)(card->curr * PAGE), header, HEADER_SIZE);
    at = store(card, at, frame, size);
    card->clda = store(card, at, (const uint8_t *)&fcs, ETHERNET_FCS_SIZE);
    card->curr = (uint8_t)next;
}

static void receive(void *opaque, const uint8_t *frame, size_t size)
{
    struct ne2k *card = opaque;
    size_t padded = size < NET_FRAME_MIN ? NET_FRAME_MIN : size;
    unsigned pages = (unsigned)((padded + HEADER_SIZE + ETHERNET_FCS_SIZE + PAGE - 1) / PAGE);

    if (!is_receiving(card) || !is_wanted(card, frame))
        return;
    card->rsr = frame[0] & 1 ? RSR_PHY : 0;
    if (card->rcr & RCR_MON) {
        card->rsr |= RSR_MPA | RSR_DIS;
        count_missed(card);
        return;
    }
    if (!has_room(card, pages)) {
        card->rsr |= RSR_MPA;
        count_missed(card);
        set_isr(card, ISR_OVW | ISR_RST);
        return;
    }
    card->rsr |= RSR_PRX;
    store_frame(card, frame, size, pages);
    set_isr(card, ISR_PRX);
}

/* --- sending */

static void transmit(struct ne2k *card)
{
    uint8_t frame[NET_FRAME_MAX];
    bool looped = card->tcr & TCR_LB || !(card->dcr & DCR_LS);

    if (card->tbcr <= sizeof(frame) && !looped) {
        for (unsigned n = 0; n < card->tbcr; n++)
            frame[n] = read_memory(card, (uint16_t)(card->tpsr * PAGE + n));
        net_send(card->wires.net, frame, card->tbcr);
    } else if (!looped) {
        log_at(card->wires.log, LOG_GUEST, "ne2k", "a frame of %u bytes to send", card->tbcr);
    }
    card->tsr = TSR_PTX;
    card->cr &= (uint8_t)~CR_TXP;
    set_isr(card, ISR_PTX);
}

/* --- remote DMA: the data port */

static void end_dma(struct ne2k *card)
{
    if ((card->cr & CR_DMA) == CR_SEND)
        card->bnry = read_memory(card, (uint16_t)(card->bnry * PAGE + 1));
    card->cr = (uint8_t)((card->cr & ~CR_DMA) | CR_ABORT);
    set_isr(card, ISR_RDC);
    receive_more(card);
}

/* "Send packet" reads the ring's next frame: where it begins and how much it is, its header says. */
static void begin_dma(struct ne2k *card)
{
    card->crda = card->rsar;
    if ((card->cr & CR_DMA) == CR_SEND) {
        card->crda = (uint16_t)(card->bnry * PAGE);
        card->rbcr = (uint16_t)(read_memory(card, card->crda + 2u) | read_memory(card, card->crda + 3u) << 8);
    }
    if (!card->rbcr)
        end_dma(card);
}

static void advance(struct ne2k *card, unsigned size)
{
    card->crda += (uint16_t)size;
    if (card->crda == card->pstop * PAGE)
        card->crda = (uint16_t)(card->pstart * PAGE);
    card->rbcr = card->rbcr > size ? (uint16_t)(card->rbcr - size) : 0;
    if (!card->rbcr)
        end_dma(card);
}

/* Of the controller's bus, a word or byte; the RTL8029AS takes 32 bits at once. */
static unsigned transfer_size(const struct ne2k *card, unsigned size)
{
    if (size == 4)
        return 4;
    return card->dcr & DCR_WTS ? 2 : 1;
}

static uint64_t data_read(void *dev, uint64_t addr, unsigned size)
{
    struct ne2k *card = dev;
    uint32_t value = 0;

    (void)addr;
    for (unsigned done = 0; done < size;) {
        unsigned part = transfer_size(card, size);

        if (!card->rbcr || !(card->cr & CR_READ))
            return UINT64_MAX;
        for (unsigned n = 0; n < part; n++)
            value |= (uint32_t)read_memory(card, (uint16_t)(card->crda + n)) << 8 * ((done + n) & 3);
        advance(card, part);
        done += part;
    }
    return value;
}

static void data_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct ne2k *card = dev;

    (void)addr;
    for (unsigned done = 0; done < size;) {
        unsigned part = transfer_size(card, size);

        if (!card->rbcr || (card->cr & CR_DMA) != CR_WRITE)
            return;
        for (unsigned n = 0; n < part; n++)
            write_memory(card, (uint16_t)(card->crda + n), (uint8_t)(value >> 8 * ((done + n) & 7)));
        advance(card, part);
        done += part;
    }
}

static const struct bus_ops isa_data_ops = {data_read, data_write, 2};
static const struct bus_ops pci_data_ops = {data_read, data_write, 4};

/* --- registers */

static void write_command(struct ne2k *card, uint8_t value)
{
    if (!(value & (CR_STA | CR_STP))) /* it goes on as it was */
        value |= card->cr & (CR_STA | CR_STP);
    card->cr = (uint8_t)(value | (card->cr & CR_TXP));
    if (value & CR_STP) {
        card->cr &= (uint8_t)~CR_TXP;
        card->isr |= ISR_RST;
    } else if (value & CR_STA) {
        card->isr &= (uint8_t)~ISR_RST;
    }
    if (value & CR_ABORT)
        card->cr = (uint8_t)((card->cr & ~CR_DMA) | CR_ABORT);
    else if (value & CR_DMA)
        begin_dma(card);
    if (card->cr & CR_TXP)
        transmit(card);
    receive_more(card);
}

/* Tallies count until they are read. */
static uint8_t take_counter(struct ne2k *card, unsigned n)
{
    uint8_t value = card->counter[n];

    card->counter[n] = 0;
    return value;
}

static uint8_t read_page0(struct ne2k *card, unsigned reg)
{
    switch (reg) {
    case 0x01:
        return (uint8_t)card->clda;
    case 0x02:
        return (uint8_t)(card->clda >> 8);
    case 0x03:
        return card->bnry;
    case 0x04:
        return card->tsr;
    case 0x05:
        return 0; /* collisions */
    case 0x06:
        return 0; /* FIFO */
    case 0x07:
        return card->isr;
    case 0x08:
        return (uint8_t)card->crda;
    case 0x09:
        return (uint8_t)(card->crda >> 8);
    case 0x0A:
        return card->realtek ? 0x50 : 0xFF;
    case 0x0B:
        return card->realtek ? 0x43 : 0xFF;
    case 0x0C:
        return card->rsr;
    default:
        return take_counter(card, reg - 0x0D);
    }
}

static uint8_t read_page2(const struct ne2k *card, unsigned reg)
{
    switch (reg) {
    case 0x01:
        return card->pstart;
    case 0x02:
        return card->pstop;
    case 0x04:
        return card->tpsr;
    case 0x0C:
        return card->rcr | 0xC0;
    case 0x0D:
        return card->tcr | 0xE0;
    case 0x0E:
        return card->dcr | 0x80;
    case 0x0F:
        return card->imr | 0x80;
    default:
        return 0xFF;
    }
}

static uint8_t read_page3(const struct ne2k *card, unsigned reg)
{
    switch (reg) {
    case 0x01:
        return card->cr9346;
    case 0x03:
    case 0x05:
        return 0; /* CONFIG0, CONFIG2: a twisted pair, no boot ROM's page */
    case 0x06:
        return card->config3;
    case 0x0E:
        return 0x29; /* 8029ASID */
    case 0x0F:
        return 0x80;
    default:
        return 0xFF;
    }
}

static uint64_t register_read(void *dev, uint64_t addr, unsigned size)
{
    struct ne2k *card = dev;
    unsigned reg = (unsigned)addr;

    (void)size;
    if (!reg)
        return card->cr;
    switch (CR_PAGE(card->cr)) {
    case 0:
        return read_page0(card, reg);
    case 1:
        return reg < 7 ? card->par[reg - 1] : reg == 7 ? card->curr : card->mar[reg - 8];
    case 2:
        return read_page2(card, reg);
    default:
        return card->realtek ? read_page3(card, reg) : 0xFF;
    }
}

static uint16_t with_low(uint16_t old, uint8_t value)
{
    return (uint16_t)((old & 0xFF00) | value);
}

static uint16_t with_high(uint16_t old, uint8_t value)
{
    return (uint16_t)((old & 0xFF) | value << 8);
}

static void write_page0(struct ne2k *card, unsigned reg, uint8_t value)
{
    switch (reg) {
    case 0x01:
        card->pstart = value;
        break;
    case 0x02:
        card->pstop = value;
        break;
    case 0x03:
        card->bnry = value;
        if (!(card->cr & CR_STP))
            card->isr &= (uint8_t)~ISR_RST; /* there is room again */
        break;
    case 0x04:
        card->tpsr = value;
        break;
    case 0x05:
        card->tbcr = with_low(card->tbcr, value);
        break;
    case 0x06:
        card->tbcr = with_high(card->tbcr, value);
        break;
    case 0x07:
        card->isr &= (uint8_t) ~(value & ~ISR_RST);
        break;
    case 0x08:
        card->rsar = card->crda = with_low(card->rsar, value);
        break;
    case 0x09:
        card->rsar = card->crda = with_high(card->rsar, value);
        break;
    case 0x0A:
        card->rbcr = with_low(card->rbcr, value);
        break;
    case 0x0B:
        card->rbcr = with_high(card->rbcr, value);
        break;
    case 0x0C:
        card->rcr = value & 0x3F;
        break;
    case 0x0D:
        card->tcr = value & 0x1F;
        break;
    case 0x0E:
        card->dcr = value & 0x7F;
        break;
    case 0x0F:
        card->imr = value & 0x7F;
        break;
    }
    ne2k_update_irq(card);
    receive_more(card);
    if (reg == 0x07)
        remind_later(card);
}

static void write_page1(struct ne2k *card, unsigned reg, uint8_t value)
{
    if (reg < 7)
        card->par[reg - 1] = value;
    else if (reg == 7)
        card->curr = value;
    else
        card->mar[reg - 8] = value;
}

static void write_page3(struct ne2k *card, unsigned reg, uint8_t value)
{
    if (reg == 0x01)
        card->cr9346 = value & CR9346_EEM;
    else if (reg == 0x06 && card->cr9346 == CR9346_EEM)
        card->config3 = value & 0x46; /* FUDUP, SLEEP, PWRDN */
}

static void register_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct ne2k *card = dev;
    unsigned reg = (unsigned)addr, page = CR_PAGE(card->cr);

    (void)size;
    if (!reg)
        write_command(card, (uint8_t)value);
    else if (page == 0)
        write_page0(card, reg, (uint8_t)value);
    else if (page == 1)
        write_page1(card, reg, (uint8_t)value);
    else if (page == 3 && card->realtek)
        write_page3(card, reg, (uint8_t)value);
}

static const struct bus_ops register_ops = {register_read, register_write, 1};

/* The reset port's eight addresses: reading one, or writing, resets the controller. */
static void reset_controller(struct ne2k *card)
{
    card->cr = CR_STP | CR_ABORT;
    card->isr |= ISR_RST;
    card->imr = 0;
    card->dcr |= DCR_LAS;
    card->tcr &= (uint8_t)~TCR_LB;
    ne2k_update_irq(card);
    receive_more(card);
}

static uint64_t reset_read(void *dev, uint64_t addr, unsigned size)
{
    (void)addr;
    (void)size;
    reset_controller(dev);
    return 0;
}

static void reset_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    (void)addr;
    (void)value;
    (void)size;
    reset_controller(dev);
}

static const struct bus_ops reset_ops = {reset_read, reset_write, 1};

/* --- state and construction */

const struct field ne2k_fields[] = {
    FIELD(struct ne2k, cr),
    FIELD(struct ne2k, isr),
    FIELD(struct ne2k, imr),
    FIELD(struct ne2k, dcr),
    FIELD(struct ne2k, tcr),
    FIELD(struct ne2k, rcr),
    FIELD(struct ne2k, tsr),
    FIELD(struct ne2k, rsr),
    FIELD(struct ne2k, pstart),
    FIELD(struct ne2k, pstop),
    FIELD(struct ne2k, bnry),
    FIELD(struct ne2k, curr),
    FIELD(struct ne2k, tpsr),
    FIELD(struct ne2k, tbcr),
    FIELD(struct ne2k, rsar),
    FIELD(struct ne2k, rbcr),
    FIELD(struct ne2k, crda),
    FIELD(struct ne2k, clda),
    FIELD_ARRAY(struct ne2k, counter),
    FIELD_ARRAY(struct ne2k, par),
    FIELD_ARRAY(struct ne2k, mar),
    FIELD(struct ne2k, cr9346),
    FIELD(struct ne2k, config3),
    FIELD_ARRAY(struct ne2k, ram),
    FIELD_END,
};

void ne2k_power_on(struct ne2k *card)
{
    memset(card->ram, 0, sizeof(card->ram));
    memset(card->counter, 0, sizeof(card->counter));
    memset(card->par, 0, sizeof(card->par));
    memset(card->mar, 0, sizeof(card->mar));
    card->isr = card->tcr = card->rcr = card->dcr = card->tsr = card->rsr = 0;
    card->pstart = card->pstop = card->bnry = card->curr = card->tpsr = 0;
    card->tbcr = card->rsar = card->rbcr = card->crda = card->clda = 0;
    card->cr9346 = card->config3 = 0;
    reset_controller(card);
}

void ne2k_move(struct ne2k *card, uint64_t base, bool enabled)
{
    static const uint8_t offset[NE2K_REGIONS] = {0, DATA_PORT, RESET_PORT};

    for (unsigned n = 0; n < NE2K_REGIONS; n++) {
        struct region *region = card->region[n];
        uint64_t place = enabled ? base + offset[n] : region->base;

        if (region->base != place || region->enabled != enabled)
            region_set(region, place, enabled, 0);
    }
}

bool ne2k_wire(struct ne2k *card, const struct ne2k_wires *wires, uint16_t base)
{
    card->wires = *wires;
    timer_init(&card->reminder, wires->clock, "ne2k", remind, card);
    memcpy(card->prom, wires->mac, sizeof(wires->mac));
    card->prom[14] = card->prom[15] = 'W'; /* the sign of a 16-bit slot */
    card->region[0] = bus_map(wires->ports, "ne2k", base, DATA_PORT, &register_ops, card);
    card->region[1] = bus_map(wires->ports, "ne2k-data", base + DATA_PORT, RESET_PORT - DATA_PORT,
                              card->realtek ? &pci_data_ops : &isa_data_ops, card);
    card->region[2] =
        bus_map(wires->ports, "ne2k-reset", base + RESET_PORT, NE2K_PORTS - RESET_PORT, &reset_ops, card);
    if (!card->region[0] || !card->region[1] || !card->region[2])
        return false;
    if (wires->net)
        wires->net->receiver = (struct net_receiver){.ready = is_ready, .receive = receive, .opaque = card};
    return true;
}

void ne2k_unwire(struct ne2k *card)
{
    if (card->wires.net && card->wires.net->receiver.opaque == card)
        card->wires.net->receiver = (struct net_receiver){0};
    if (card->reminder.clock)
        timer_disarm(&card->reminder);
}

static void isa_reset(void *device)
{
    ne2k_power_on(device);
}

static void isa_loaded(void *device)
{
    ne2k_update_irq(device);
}

static void isa_free(void *device)
{
    if (device)
        ne2k_unwire(device);
    free(device);
}

const struct device_class ne2k_isa_class = {
    .name = "ne2k_isa",
    .reset = isa_reset,
    .loaded = isa_loaded,
    .free = isa_free,
    .state = ne2k_fields,
};

struct ne2k *ne2k_isa_new(const struct ne2k_wires *wires, uint16_t base)
{
    struct ne2k *card = calloc(1, sizeof(*card));

    if (!card)
        return NULL;
    if (!ne2k_wire(card, wires, base)) {
        isa_free(card);
        return NULL;
    }
    ne2k_power_on(card);
    return card;
}
