/*
 * ioapic.c - the I/O APIC (82093AA data sheet), version 0x20 with the EOI register of later chips.
 *
 * In: 24 lines, the register window, EOI messages from local APICs. Out: messages on the APIC bus. Lines
 * carry "asserted", not volts, so the polarity bit is stored without effect.
 */
#include "devices/ioapic.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"

/* The window, memory mapped. */
#define WINDOW_SELECT 0x00
#define WINDOW_DATA   0x10
#define WINDOW_EOI    0x40

/* Registers behind it. */
#define REG_ID          0x00
#define REG_VERSION     0x01
#define REG_ARBITRATION 0x02
#define REG_REDIRECTION 0x10 /* two for each pin */

#define VERSION (0x20u | (IOAPIC_PINS - 1) << 16)

/* A redirection entry. */
#define ENTRY_VECTOR(entry) ((entry)&0xFF)
#define ENTRY_MODE(entry)   (((entry) >> 8) & 7)
#define ENTRY_LOGICAL       (1u << 11)
#define ENTRY_STATUS        (1u << 12) /* always idle here */
#define ENTRY_REMOTE_IRR    (1u << 14)
#define ENTRY_LEVEL         (1u << 15)
#define ENTRY_MASKED        (1u << 16)
#define ENTRY_DEST(entry)   ((entry) >> 56)
#define ENTRY_WRITABLE      0xFF0000000001AFFFull

struct ioapic {
    struct apic_bus *bus;
    struct log *log;
    const struct irqchip_tenant *tenant;  /* who has the registers; NULL: nobody else */
    const struct irqchip_tenant *watcher; /* who is told of changes to entries; NULL: nobody */

    uint8_t select;
    uint8_t id; /* bits 3:0 */
    uint32_t lines;
    uint64_t entry[IOAPIC_PINS];
};

static bool send(struct ioapic *ioapic, unsigned pin)
{
    uint64_t entry = ioapic->entry[pin];
    struct apic_message message = {
        .dest = ENTRY_DEST(entry),
        .logical = entry & ENTRY_LOGICAL,
        .level = entry & ENTRY_LEVEL,
        .mode = ENTRY_MODE(entry),
        .vector = ENTRY_VECTOR(entry),
    };

    if (message.mode == 3 || message.mode == APIC_SIPI) {
        log_at(ioapic->log, LOG_GUEST, "ioapic", "pin %u has reserved delivery mode %u", pin, message.mode);
        return false;
    }
    if (!message.logical && message.dest == 0xFF)
        message.dest = APIC_BROADCAST;
    return apic_bus_send(ioapic->bus, &message);
}

/* Only fixed and lowest-priority interrupts get an EOI; the other modes are edges whatever the entry says. */
static bool is_level(uint64_t entry)
{
    return (entry & ENTRY_LEVEL) && ENTRY_MODE(entry) <= APIC_LOWEST;
}

/* A level asks until an APIC takes it, then waits for the EOI. */
static void service_level(struct ioapic *ioapic, unsigned pin)
{
    uint64_t entry = ioapic->entry[pin];

    if (!is_level(entry) || (entry & (ENTRY_MASKED | ENTRY_REMOTE_IRR)) || !(ioapic->lines >> pin & 1))
        return;
    /* Before sending: the vector may be illegal, and what it causes may come back here. */
    ioapic->entry[pin] |= ENTRY_REMOTE_IRR;
    if (!send(ioapic, pin))
        ioapic->entry[pin] &= ~(uint64_t)ENTRY_REMOTE_IRR;
}

static void input_changed(void *opaque, int n, bool level)
{
    struct ioapic *ioapic = opaque;
    uint32_t bit = 1u << n;
    bool was = ioapic->lines & bit, rising = level && !was;

    ioapic->lines = level ? ioapic->lines | bit : ioapic->lines & ~bit;
    if (ioapic->tenant) {
        if (level != was)
            ioapic->tenant->line(ioapic->tenant->opaque, IRQCHIP_IOAPIC, (unsigned)n, level);
        return;
    }
    if (is_level(ioapic->entry[n]))
        service_level(ioapic, n);
    else if (rising && !(ioapic->entry[n] & ENTRY_MASKED)) /* an edge on a masked pin is lost */
        send(ioapic, n);
}

struct irq ioapic_input(struct ioapic *ioapic, unsigned n)
{
    return (struct irq){n < IOAPIC_PINS ? input_changed : NULL, ioapic, n};
}

static void end_of_interrupt(void *opaque, uint8_t vector)
{
    struct ioapic *ioapic = opaque;

    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        uint64_t entry = ioapic->entry[pin];

        if (!(entry & ENTRY_REMOTE_IRR) || ENTRY_VECTOR(entry) != vector)
            continue;
        ioapic->entry[pin] &= ~(uint64_t)ENTRY_REMOTE_IRR;
        service_level(ioapic, pin);
    }
}

uint64_t ioapic_entry(const struct ioapic *ioapic, unsigned pin)
{
    return ioapic->entry[pin];
}

bool ioapic_is_high(const struct ioapic *ioapic, unsigned pin)
{
    return ioapic->lines >> pin & 1;
}

static uint32_t read_register(const struct ioapic *ioapic)
{
    unsigned pin = (ioapic->select - REG_REDIRECTION) / 2;

    switch (ioapic->select) {
    case REG_ID:
    case REG_ARBITRATION:
        return (uint32_t)ioapic->id << 24;
    case REG_VERSION:
        return VERSION;
    case REG_REDIRECTION ... REG_REDIRECTION + 2 * IOAPIC_PINS - 1:
        return ioapic->entry[pin] >> (ioapic->select & 1) * 32;
    default:
        return 0;
    }
}

static void write_entry(struct ioapic *ioapic, unsigned pin, bool high, uint32_t value)
{
    uint64_t old = ioapic->entry[pin];
    uint64_t new = high ? (uint64_t)value << 32 | (uint32_t)old : (old & 0xFFFFFFFF00000000) | value;

    new = (new &ENTRY_WRITABLE) | (old & ENTRY_REMOTE_IRR);
    /* Going to edge drops remote IRR; drivers of chips without an EOI register count on it. */
    if (!is_level(new))
        new &= ~(uint64_t)ENTRY_REMOTE_IRR;
    ioapic->entry[pin] = new;
    if (ioapic->watcher)
        ioapic->watcher->entries_changed(ioapic->watcher->opaque);
    service_level(ioapic, pin);
}

static void write_register(struct ioapic *ioapic, uint32_t value)
{
    switch (ioapic->select) {
    case REG_ID:
        ioapic->id = value >> 24 & 15;
        break;
    case REG_REDIRECTION ... REG_REDIRECTION + 2 * IOAPIC_PINS - 1:
        write_entry(ioapic, (ioapic->select - REG_REDIRECTION) / 2, ioapic->select & 1, value);
        break;
    default:
        log_at(ioapic->log, LOG_GUEST, "ioapic", "write to register 0x%02x ignored", ioapic->select);
    }
}

static uint64_t ioapic_read(void *dev, uint64_t addr, unsigned size)
{
    struct ioapic *ioapic = dev;
    uint32_t value = 0;

    if ((addr & ~3ull) == WINDOW_SELECT)
        value = ioapic->select;
    else if ((addr & ~3ull) == WINDOW_DATA)
        value = read_register(ioapic);
    value >>= (addr & 3) * 8;
    return size < 4 ? value & ((1u << size * 8) - 1) : value;
}

/* The data register takes 32 bits at a time; the index is a byte and may be written as one. */
static void ioapic_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct ioapic *ioapic = dev;

    if (addr == WINDOW_SELECT)
        ioapic->select = value;
    else if (addr == WINDOW_DATA && size == 4)
        write_register(ioapic, value);
    else if (addr == WINDOW_EOI)
        end_of_interrupt(ioapic, value);
    else
        log_at(ioapic->log, LOG_GUEST, "ioapic", "%u-byte write at offset 0x%03x ignored", size,
               (unsigned)addr);
}

static const struct bus_ops ioapic_ops = {ioapic_read, ioapic_write, 4};

static const struct field ioapic_fields[] = {FIELD(struct ioapic, select), FIELD(struct ioapic, id),
                                             FIELD(struct ioapic, lines), FIELD_ARRAY(struct ioapic, entry),
                                             FIELD_END};

/* ---- on loan ---- */

void ioapic_get_registers(void *device, struct ioapic_registers *registers)
{
    const struct ioapic *ioapic = device;

    *registers = (struct ioapic_registers){.select = ioapic->select, .id = ioapic->id, .lines = ioapic->lines};
    memcpy(registers->entry, ioapic->entry, sizeof(registers->entry));
}

void ioapic_lend(void *device, const struct irqchip_tenant *tenant, struct ioapic_registers *registers)
{
    struct ioapic *ioapic = device;

    ioapic_get_registers(ioapic, registers);
    ioapic->tenant = tenant;
}

void ioapic_take_back(void *device, const struct ioapic_registers *registers)
{
    struct ioapic *ioapic = device;

    ioapic->tenant = NULL;
    ioapic->select = registers->select;
    ioapic->id = registers->id & 15;
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        ioapic->entry[pin] = registers->entry[pin] & (ENTRY_WRITABLE | ENTRY_REMOTE_IRR);
}

void ioapic_watch(void *device, const struct irqchip_tenant *tenant)
{
    struct ioapic *ioapic = device;

    ioapic->watcher = tenant;
}

/* The lines keep their levels: they are driven from outside. */
static void ioapic_reset(void *device)
{
    struct ioapic *ioapic = device;

    ioapic->select = 0;
    ioapic->id = 0;
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        ioapic->entry[pin] = ENTRY_MASKED;
}

static void ioapic_free(void *device)
{
    struct ioapic *ioapic = device;

    if (!ioapic)
        return;
    apic_bus_on_eoi(ioapic->bus, NULL, NULL);
    free(ioapic);
}

_Static_assert(IOAPIC_PINS == IRQCHIP_IOAPIC_PINS, "as core/irqchip.h has them");

struct ioapic *ioapic_new(struct bus *memory, struct apic_bus *bus, struct log *log)
{
    struct ioapic *ioapic = calloc(1, sizeof(*ioapic));

    if (!ioapic || !bus_map(memory, "ioapic", IOAPIC_BASE, IOAPIC_SIZE, &ioapic_ops, ioapic)) {
        free(ioapic);
        return NULL;
    }
    ioapic->bus = bus;
    ioapic->log = log;
    apic_bus_on_eoi(bus, end_of_interrupt, ioapic);
    ioapic_reset(ioapic);
    return ioapic;
}

const struct device_class ioapic_class = {"ioapic", ioapic_reset, NULL, ioapic_free, ioapic_fields};
