/*
 * test_device.c - a latch, a memory and interrupt lines for tests; see test_device.h.
 *
 *     ports   E0-E3      the latch: four bytes that are read as they were written, in any width
 *             E4-E7      a physical address whose page an engine shall forget. Engines here keep nothing of a
 *                        page that the guest could notice, so there is nothing to do.
 *             2000-2017  a line each: 0 lowers it, anything else raises it
 *     memory  FF000000   64 KiB that are a chip's and no RAM: each access leaves the processor
 */
#include "devices/test_device.h"

#include <stdlib.h>
#include <string.h>

#define LATCH_BASE  0xE0
#define LATCH_SIZE  4u
#define FORGET_BASE 0xE4
#define FORGET_SIZE 4u
#define LINES_BASE  0x2000
#define MEMORY_BASE 0xFF000000u

struct test_device {
    uint8_t latch[LATCH_SIZE];
    uint32_t raised; /* a bit a line */
    struct irq line[TEST_DEVICE_LINES];
    uint8_t memory[TEST_DEVICE_MEMORY];
};

static void update_irq(struct test_device *dev)
{
    for (unsigned n = 0; n < TEST_DEVICE_LINES; n++)
        irq_set(&dev->line[n], dev->raised >> n & 1);
}

/* Bytes of an array, lowest first. The bus keeps `addr` inside; `size` may reach over the end. */
static uint64_t get_bytes(const uint8_t *bytes, uint64_t length, uint64_t addr, unsigned size)
{
    uint64_t value = 0;

    for (unsigned n = 0; n < size && addr + n < length; n++)
        value |= (uint64_t)bytes[addr + n] << 8 * n;
    return value;
}

static void set_bytes(uint8_t *bytes, uint64_t length, uint64_t addr, uint64_t value, unsigned size)
{
    for (unsigned n = 0; n < size && addr + n < length; n++)
        bytes[addr + n] = (uint8_t)(value >> 8 * n);
}

static uint64_t latch_read(void *opaque, uint64_t addr, unsigned size)
{
    return get_bytes(((struct test_device *)opaque)->latch, LATCH_SIZE, addr, size);
}

static void latch_write(void *opaque, uint64_t addr, uint64_t value, unsigned size)
{
    set_bytes(((struct test_device *)opaque)->latch, LATCH_SIZE, addr, value, size);
}

static uint64_t lines_read(void *opaque, uint64_t addr, unsigned size)
{
    struct test_device *dev = opaque;

    (void)size;
    return dev->raised >> addr & 1;
}

static void lines_write(void *opaque, uint64_t addr, uint64_t value, unsigned size)
{
    struct test_device *dev = opaque;
    uint32_t line = 1u << addr;

    (void)size;
    dev->raised = value ? dev->raised | line : dev->raised & ~line;
    update_irq(dev);
}

static uint64_t memory_read(void *opaque, uint64_t addr, unsigned size)
{
    return get_bytes(((struct test_device *)opaque)->memory, TEST_DEVICE_MEMORY, addr, size);
}

static void memory_write(void *opaque, uint64_t addr, uint64_t value, unsigned size)
{
    set_bytes(((struct test_device *)opaque)->memory, TEST_DEVICE_MEMORY, addr, value, size);
}

static const struct bus_ops latch_ops = {.read = latch_read, .write = latch_write, .max_size = LATCH_SIZE};
static const struct bus_ops forget_ops = {.max_size = FORGET_SIZE};
static const struct bus_ops lines_ops = {.read = lines_read, .write = lines_write, .max_size = 4};
static const struct bus_ops memory_ops = {.read = memory_read, .write = memory_write, .max_size = 8};

static void test_device_reset(void *opaque)
{
    struct test_device *dev = opaque;

    memset(dev->latch, 0, sizeof(dev->latch));
    dev->raised = 0;
    update_irq(dev);
}

static void test_device_loaded(void *opaque)
{
    struct test_device *dev = opaque;

    dev->raised &= (1u << TEST_DEVICE_LINES) - 1;
    update_irq(dev);
}

static void test_device_free(void *opaque)
{
    free(opaque);
}

static const struct field test_device_fields[] = {
    FIELD_ARRAY(struct test_device, latch),
    FIELD(struct test_device, raised),
    FIELD_ARRAY(struct test_device, memory),
    FIELD_END,
};

const struct device_class test_device_class = {
    .name = "test-device",
    .reset = test_device_reset,
    .loaded = test_device_loaded,
    .free = test_device_free,
    .state = test_device_fields,
};

struct test_device *test_device_new(struct bus *ports, struct bus *memory,
                                    const struct irq line[TEST_DEVICE_LINES])
{
    struct test_device *dev = calloc(1, sizeof(*dev));

    if (!dev)
        return NULL;
    memcpy(dev->line, line, sizeof(dev->line));
    if (!bus_map(ports, "test-latch", LATCH_BASE, LATCH_SIZE, &latch_ops, dev) ||
        !bus_map(ports, "test-forget", FORGET_BASE, FORGET_SIZE, &forget_ops, dev) ||
        !bus_map(ports, "test-lines", LINES_BASE, TEST_DEVICE_LINES, &lines_ops, dev) ||
        !bus_map(memory, "test-memory", MEMORY_BASE, TEST_DEVICE_MEMORY, &memory_ops, dev)) {
        free(dev);
        return NULL;
    }
    return dev;
}
