/*
 * dma.c - two cascaded 8237A DMA controllers and the 74LS612's page registers, as the PIIX3 has them.
 *
 * In: ports, and devices that ask for service through dma_transfer(). Out: accesses to memory.
 *
 * A request is served at once and as far as it goes, so the transfer modes single, demand and block don't
 * differ. What a PC can't use is absent: memory to memory, compressed timing, rotating priority. Bits for it
 * are ignored. A request made by software is only shown in the status.
 */
#include "devices/dma.h"

#include <stdlib.h>
#include <string.h>

/* Registers 8 to 15 of a controller; 0 to 7 are address and count of each channel. */
#define REG_STATUS     8 /* reads; writes: command */
#define REG_REQUEST    9
#define REG_MASK       10
#define REG_MODE       11
#define REG_FLIP_FLOP  12
#define REG_RESET      13 /* reads: the temporary register */
#define REG_CLEAR_MASK 14
#define REG_ALL_MASK   15

#define COMMAND_MEMORY  0x01 /* memory to memory */
#define COMMAND_DISABLE 0x04
#define SELECT_BIT      0x04 /* in the request and mask registers: set or clear */

#define MODE_TRANSFER 0x0C
#define MODE_WRITE    0x04 /* to memory */
#define MODE_READ     0x08 /* from memory */
#define MODE_AUTO     0x10
#define MODE_DOWN     0x20
#define MODE_KIND     0xC0
#define MODE_CASCADE  0xC0

#define CASCADE_CHANNEL 4

struct dma_channel {
    uint16_t base_address, base_count;
    uint16_t address, count;
    uint8_t mode; /* as the mode register has it, without the channel number */
};

struct dma_chip {
    struct dma_channel channel[4];
    uint8_t command;
    uint8_t terminal; /* a bit a channel: TC since the status was last read */
    uint8_t request;
    uint8_t mask;
    bool second_byte; /* the flip-flop */
};

struct dma {
    struct log *log;
    struct bus *memory;
    struct irq watch[8];
    uint8_t watched; /* the levels that `watch` has */

    struct dma_chip chip[2];
    uint8_t page[16]; /* ports 0x80 to 0x8F */
};

/* Where the page register of each channel is, from port 0x80. */
static const uint8_t page_of[8] = {0x7, 0x3, 0x1, 0x2, 0xF, 0xB, 0x9, 0xA};

bool dma_ready(const struct dma *dma, unsigned channel)
{
    const struct dma_chip *chip = &dma->chip[channel >> 2 & 1];
    bool cascade;

    if (channel > 7 || (chip->command & COMMAND_DISABLE) || (chip->mask & 1u << (channel & 3)))
        return false;
    cascade = (chip->channel[channel & 3].mode & MODE_KIND) == MODE_CASCADE;
    if (channel == CASCADE_CHANNEL)
        return cascade;
    return !cascade && (channel > CASCADE_CHANNEL || dma_ready(dma, CASCADE_CHANNEL));
}

static void update_watch(struct dma *dma)
{
    for (unsigned n = 0; n < 8; n++) {
        bool ready = dma_ready(dma, n), before = dma->watched >> n & 1;

        dma->watched = (uint8_t)((dma->watched & ~(1u << n)) | (unsigned)ready << n);
        if (ready != before)
            irq_set(&dma->watch[n], ready);
    }
}

void dma_watch(struct dma *dma, unsigned channel, struct irq ready)
{
    if (channel > 7)
        return;
    dma->watch[channel] = ready;
    irq_set(&ready, dma_ready(dma, channel));
}

/* Transfers are counted in units of the channel's width; the page register stays put when the address wraps.
 */
static uint64_t unit_address(const struct dma *dma, unsigned channel, uint16_t address)
{
    uint32_t page = dma->page[page_of[channel]];

    return channel < 4 ? page << 16 | address : (page & 0xFE) << 16 | (uint32_t)address << 1;
}

static void move_unit(struct dma *dma, unsigned channel, bool to_memory, uint8_t *data, unsigned width)
{
    const struct dma_channel *c = &dma->chip[channel >> 2].channel[channel & 3];
    unsigned transfer = c->mode & MODE_TRANSFER;
    uint64_t address = unit_address(dma, channel, c->address);

    if (to_memory && transfer == MODE_WRITE)
        bus_write_block(dma->memory, address, data, width);
    else if (!to_memory && transfer == MODE_READ)
        bus_read_block(dma->memory, address, data, width);
    else if (!to_memory)
        memset(data, 0, width);
}

/*
 * Units that can go in one block: the address goes up, doesn't wrap, and the count's last isn't passed. At
 * least one.
 */
static uint32_t block_units(const struct dma_channel *c, size_t units)
{
    uint32_t most = (uint32_t)c->count + 1, to_wrap = 0x10000u - c->address;

    if (c->mode & MODE_DOWN)
        return 1;
    if (most > to_wrap)
        most = to_wrap;
    return units < most ? (uint32_t)units : most;
}

/* The count's last unit has been moved. */
static void reach_terminal(struct dma_chip *chip, unsigned number)
{
    struct dma_channel *c = &chip->channel[number];

    chip->terminal |= 1u << number;
    chip->request &= ~(1u << number);
    if (c->mode & MODE_AUTO) {
        c->address = c->base_address;
        c->count = c->base_count;
    } else {
        chip->mask |= 1u << number;
    }
}

size_t dma_transfer(struct dma *dma, unsigned channel, bool to_memory, void *data, size_t size,
                    bool *terminal)
{
    struct dma_chip *chip = &dma->chip[channel >> 2 & 1];
    struct dma_channel *c = &chip->channel[channel & 3];
    unsigned width = channel < 4 ? 1 : 2;
    uint8_t *at = data;
    size_t done = 0;

    *terminal = false;
    if (channel == CASCADE_CHANNEL || !dma_ready(dma, channel))
        return 0;
    while (size - done >= width && !*terminal) {
        uint32_t units = block_units(c, (size - done) / width);

        move_unit(dma, channel, to_memory, at + done, units * width);
        done += (size_t)units * width;
        *terminal = units == (uint32_t)c->count + 1;
        c->address = (uint16_t)(c->mode & MODE_DOWN ? c->address - units : c->address + units);
        c->count = (uint16_t)(c->count - units);
    }
    if (*terminal) {
        reach_terminal(chip, channel & 3);
        update_watch(dma);
    }
    return done;
}

/* One byte of a 16-bit register; the flip-flop says which. */
static void put_half(uint16_t *to, bool high, uint8_t value)
{
    *to = high ? (uint16_t)((*to & 0x00FF) | value << 8) : (uint16_t)((*to & 0xFF00) | value);
}

static uint8_t chip_read(struct dma_chip *chip, unsigned reg)
{
    const struct dma_channel *c = &chip->channel[reg >> 1 & 3];
    uint8_t value = 0;

    if (reg < 8) {
        uint16_t word = reg & 1 ? c->count : c->address;

        value = (uint8_t)(chip->second_byte ? word >> 8 : word);
        chip->second_byte = !chip->second_byte;
    } else if (reg == REG_STATUS) {
        value = (uint8_t)(chip->terminal | chip->request << 4);
        chip->terminal = 0;
    } else if (reg == REG_ALL_MASK) {
        value = chip->mask | 0xF0;
    }
    return value;
}

static void write_word(struct dma_chip *chip, unsigned reg, uint8_t value)
{
    struct dma_channel *c = &chip->channel[reg >> 1];

    put_half(reg & 1 ? &c->base_count : &c->base_address, chip->second_byte, value);
    put_half(reg & 1 ? &c->count : &c->address, chip->second_byte, value);
    chip->second_byte = !chip->second_byte;
}

/* Addresses, counts and modes stay as they are. */
static void chip_clear(struct dma_chip *chip)
{
    chip->command = chip->terminal = chip->request = 0;
    chip->second_byte = false;
    chip->mask = 0xF;
}

static void chip_write(struct dma_chip *chip, unsigned reg, uint8_t value)
{
    uint8_t bit = (uint8_t)(1u << (value & 3));

    switch (reg) {
    case REG_STATUS:
        chip->command = value;
        break;
    case REG_REQUEST:
        chip->request = value & SELECT_BIT ? chip->request | bit : chip->request & ~bit;
        break;
    case REG_MASK:
        chip->mask = value & SELECT_BIT ? chip->mask | bit : chip->mask & ~bit;
        break;
    case REG_MODE:
        chip->channel[value & 3].mode = value & 0xFC;
        break;
    case REG_FLIP_FLOP:
        chip->second_byte = false;
        break;
    case REG_RESET:
        chip_clear(chip);
        break;
    case REG_CLEAR_MASK:
        chip->mask = 0;
        break;
    case REG_ALL_MASK:
        chip->mask = value & 0xF;
        break;
    default:
        write_word(chip, reg, value);
    }
}

static uint64_t first_read(void *dev, uint64_t addr, unsigned size)
{
    struct dma *dma = dev;

    (void)size;
    return chip_read(&dma->chip[0], (unsigned)addr);
}

static void first_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct dma *dma = dev;

    (void)size;
    if (addr == REG_STATUS && (value & COMMAND_MEMORY))
        log_at(dma->log, LOG_GUEST, "dma", "transfers from memory to memory are not supported");
    chip_write(&dma->chip[0], (unsigned)addr, (uint8_t)value);
    update_watch(dma);
}

/* The second controller's registers are at even ports; the odd ones answer too, as A0 isn't decoded. */
static uint64_t second_read(void *dev, uint64_t addr, unsigned size)
{
    struct dma *dma = dev;

    (void)size;
    return chip_read(&dma->chip[1], (unsigned)addr >> 1);
}

static void second_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct dma *dma = dev;

    (void)size;
    chip_write(&dma->chip[1], (unsigned)addr >> 1, (uint8_t)value);
    update_watch(dma);
}

static uint64_t page_read(void *dev, uint64_t addr, unsigned size)
{
    struct dma *dma = dev;

    (void)size;
    return dma->page[addr & 15];
}

/* Ports that belong to no channel just keep what is written, such as POST codes at 0x80. */
static void page_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct dma *dma = dev;

    (void)size;
    dma->page[addr & 15] = (uint8_t)value;
}

static const struct bus_ops first_ops = {first_read, first_write, 1};
static const struct bus_ops second_ops = {second_read, second_write, 1};
static const struct bus_ops page_ops = {page_read, page_write, 1};

static const struct field channel_fields[] = {
    FIELD(struct dma_channel, base_address), FIELD(struct dma_channel, base_count),
    FIELD(struct dma_channel, address),      FIELD(struct dma_channel, count),
    FIELD(struct dma_channel, mode),         FIELD_END};
static const struct field chip_fields[] = {FIELD_STRUCTS(struct dma_chip, channel, channel_fields),
                                           FIELD(struct dma_chip, command),
                                           FIELD(struct dma_chip, terminal),
                                           FIELD(struct dma_chip, request),
                                           FIELD(struct dma_chip, mask),
                                           FIELD(struct dma_chip, second_byte),
                                           FIELD_END};
static const struct field dma_fields[] = {FIELD_STRUCTS(struct dma, chip, chip_fields),
                                          FIELD_ARRAY(struct dma, page), FIELD_END};

static void dma_reset(void *device)
{
    struct dma *dma = device;

    chip_clear(&dma->chip[0]);
    chip_clear(&dma->chip[1]);
    update_watch(dma);
}

/* A loaded count may be used at once: what is derived from it is only the watchers' view. */
static void dma_loaded(void *device)
{
    update_watch(device);
}

struct dma *dma_new(struct bus *ports, struct bus *memory, struct log *log)
{
    struct dma *dma = calloc(1, sizeof(*dma));

    if (!dma || !bus_map(ports, "dma-1", 0x00, 0x10, &first_ops, dma) ||
        !bus_map(ports, "dma-pages", 0x80, 0x10, &page_ops, dma) ||
        !bus_map(ports, "dma-2", 0xC0, 0x20, &second_ops, dma)) {
        free(dma);
        return NULL;
    }
    dma->log = log;
    dma->memory = memory;
    dma_reset(dma);
    return dma;
}

const struct device_class dma_class = {"dma", dma_reset, dma_loaded, free, dma_fields};
