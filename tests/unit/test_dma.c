/* The 8237A pair and its page registers, against Intel's 8237A data sheet and the PIIX3's. */
#include "devices/dma.h"
#include "tests/unit/board.h"

#define SIZE (1u << 20)

static struct bus *ports, *memory;
static struct dma *dma;
static uint8_t *ram;

static void setup(void)
{
    ports = bus_new("ports", 0x10000, NULL);
    memory = bus_new("memory", 1ull << 32, NULL);
    ram = calloc(1, SIZE);
    ck_assert_ptr_nonnull(bus_map_ram(memory, "ram", 0, SIZE, ram));
    dma = dma_new(ports, memory, NULL);
    ck_assert_ptr_nonnull(dma);
    bus_write(ports, 0xD6, 0xC0, 1); /* channel 4: cascade, as firmware leaves it */
    bus_write(ports, 0xD4, 0x00, 1);
}

static void teardown(void)
{
    dma_class.free(dma);
    bus_free(ports);
    bus_free(memory);
    free(ram);
}

static const uint8_t page_port[8] = {0x87, 0x83, 0x81, 0x82, 0x8F, 0x8B, 0x89, 0x8A};

/* The port of register `reg` of the channel's controller. */
static unsigned port_of(unsigned channel, unsigned reg)
{
    return channel < 4 ? reg : 0xC0 + 2 * reg;
}

static void program(unsigned channel, uint8_t mode, uint8_t page, uint16_t address, uint16_t count)
{
    unsigned low = channel & 3;

    bus_write(ports, port_of(channel, 12), 0, 1);
    bus_write(ports, port_of(channel, 2 * low), address & 0xFF, 1);
    bus_write(ports, port_of(channel, 2 * low), address >> 8, 1);
    bus_write(ports, port_of(channel, 2 * low + 1), count & 0xFF, 1);
    bus_write(ports, port_of(channel, 2 * low + 1), count >> 8, 1);
    bus_write(ports, page_port[channel], page, 1);
    bus_write(ports, port_of(channel, 11), mode | low, 1);
    bus_write(ports, port_of(channel, 10), low, 1);
}

static uint16_t word(unsigned channel, unsigned reg)
{
    bus_write(ports, port_of(channel, 12), 0, 1);
    unsigned value = bus_read(ports, port_of(channel, reg), 1);

    return value | bus_read(ports, port_of(channel, reg), 1) << 8;
}

START_TEST(to_memory)
{
    uint8_t data[16] = "0123456789abcdef";
    bool end;

    program(2, 0x44, 0x03, 0x1234, 15);
    ck_assert(dma_ready(dma, 2));
    ck_assert_uint_eq(dma_transfer(dma, 2, true, data, 10, &end), 10);
    ck_assert(!end);
    ck_assert_uint_eq(word(2, 4), 0x1234 + 10);
    ck_assert_uint_eq(word(2, 5), 5);
    ck_assert_uint_eq(bus_read(ports, 0x08, 1), 0);
    ck_assert_uint_eq(dma_transfer(dma, 2, true, data + 10, 6, &end), 6);
    ck_assert(end);
    ck_assert_mem_eq(ram + 0x31234, data, 16);
    ck_assert_uint_eq(ram[0x31234 + 16], 0);
    ck_assert_uint_eq(word(2, 5), 0xFFFF);
    ck_assert_uint_eq(bus_read(ports, 0x08, 1), 0x04); /* TC, which reading clears */
    ck_assert_uint_eq(bus_read(ports, 0x08, 1), 0);
    ck_assert(!dma_ready(dma, 2)); /* masked itself */
    ck_assert_uint_eq(bus_read(ports, 0x0F, 1) & 0x0F, 0x0F);
    ck_assert_uint_eq(dma_transfer(dma, 2, true, data, 1, &end), 0);
}
END_TEST

START_TEST(more_than_the_count)
{
    uint8_t data[8] = "12345678";
    bool end;

    program(1, 0x44, 0x01, 0, 3);
    ck_assert_uint_eq(dma_transfer(dma, 1, true, data, sizeof(data), &end), 4);
    ck_assert(end);
    ck_assert_mem_eq(ram + 0x10000, "1234\0\0", 6);
}
END_TEST

START_TEST(from_memory)
{
    uint8_t data[4] = {0};
    bool end;

    memcpy(ram + 0x20010, "wxyz", 4);
    program(3, 0x48, 0x02, 0x0010, 3);
    ck_assert_uint_eq(dma_transfer(dma, 3, false, data, 4, &end), 4);
    ck_assert(end);
    ck_assert_mem_eq(data, "wxyz", 4);
}
END_TEST

START_TEST(verify_and_wrong_way)
{
    uint8_t data[4] = "abcd";
    bool end;

    program(2, 0x40, 0x00, 0x8000, 3); /* verify: counted, not moved */
    ck_assert_uint_eq(dma_transfer(dma, 2, true, data, 4, &end), 4);
    ck_assert(end);
    ck_assert_uint_eq(ram[0x8000], 0);
    program(2, 0x48, 0x00, 0x8000, 3); /* the channel reads memory, the device does too */
    ck_assert_uint_eq(dma_transfer(dma, 2, true, data, 4, &end), 4);
    ck_assert_uint_eq(ram[0x8000], 0);
    ram[0x8000] = 0x55;
    program(2, 0x44, 0x00, 0x8000, 3);
    ck_assert_uint_eq(dma_transfer(dma, 2, false, data, 4, &end), 4);
    ck_assert_uint_eq(data[0], 0);
    ck_assert_uint_eq(ram[0x8000], 0x55);
}
END_TEST

START_TEST(auto_initialise)
{
    uint8_t data[4] = "abcd";
    bool end;

    program(1, 0x54, 0x00, 0x4000, 1);
    ck_assert_uint_eq(dma_transfer(dma, 1, true, data, 2, &end), 2);
    ck_assert(end);
    ck_assert(dma_ready(dma, 1));
    ck_assert_uint_eq(word(1, 2), 0x4000);
    ck_assert_uint_eq(word(1, 3), 1);
    ck_assert_uint_eq(dma_transfer(dma, 1, true, data + 2, 2, &end), 2);
    ck_assert_mem_eq(ram + 0x4000, "cd", 2);
}
END_TEST

START_TEST(downwards)
{
    uint8_t data[3] = "abc";
    bool end;

    program(2, 0x64, 0x00, 0x5002, 2);
    ck_assert_uint_eq(dma_transfer(dma, 2, true, data, 3, &end), 3);
    ck_assert_mem_eq(ram + 0x5000, "cba", 3);
    ck_assert_uint_eq(word(2, 4), 0x4FFF);
}
END_TEST

/* The page register doesn't count: a transfer that runs over 64 KiB goes on at the page's start. */
START_TEST(wrap_in_page)
{
    uint8_t data[4] = "abcd";
    bool end;

    program(2, 0x44, 0x02, 0xFFFE, 3);
    ck_assert_uint_eq(dma_transfer(dma, 2, true, data, 4, &end), 4);
    ck_assert(end);
    ck_assert_mem_eq(ram + 0x2FFFE, "ab", 2);
    ck_assert_mem_eq(ram + 0x20000, "cd", 2);
    ck_assert_uint_eq(ram[0x30000], 0);
}
END_TEST

/* Channels 5 to 7 count words; their page's bit 0 means nothing. */
START_TEST(words)
{
    uint8_t data[7] = "abcdefg";
    bool end;

    program(5, 0x44, 0x05, 0x0008, 2);
    ck_assert_uint_eq(dma_transfer(dma, 5, true, data, 7, &end), 6);
    ck_assert(end);
    ck_assert_mem_eq(ram + 0x40010, "abcdef\0", 7);
    program(6, 0x44, 0x06, 0xFFFF, 1);
    ck_assert_uint_eq(dma_transfer(dma, 6, true, data, 4, &end), 4);
    ck_assert_mem_eq(ram + 0x7FFFE, "ab", 2);
    ck_assert_mem_eq(ram + 0x60000, "cd", 2);
}
END_TEST

START_TEST(gates)
{
    uint8_t data[1] = "a";
    bool end;

    program(2, 0x44, 0, 0, 9);
    bus_write(ports, 0x08, 0x04, 1); /* controller off */
    ck_assert(!dma_ready(dma, 2));
    bus_write(ports, 0x08, 0x00, 1);
    ck_assert(dma_ready(dma, 2));
    bus_write(ports, 0xD4, 0x04, 1); /* the cascade masked: nothing of the first controller passes */
    ck_assert(!dma_ready(dma, 2));
    ck_assert_uint_eq(dma_transfer(dma, 2, true, data, 1, &end), 0);
    program(5, 0x44, 0, 0, 9);
    ck_assert(dma_ready(dma, 5));
    bus_write(ports, 0xDC, 0, 1); /* clear all masks */
    ck_assert(dma_ready(dma, 2));
    bus_write(ports, 0x0F, 0x04, 1);
    ck_assert(!dma_ready(dma, 2));
    ck_assert(!dma_ready(dma, 8));
    ck_assert_uint_eq(dma_transfer(dma, 4, true, data, 1, &end), 0);
    ck_assert_uint_eq(dma_transfer(dma, 200, true, data, 1, &end), 0);
    program(2, 0xC4, 0, 0, 9); /* cascade: a bus master's, not ours to move */
    ck_assert(!dma_ready(dma, 2));
}
END_TEST

static bool watched;

static void on_ready(void *opaque, int n, bool level)
{
    (void)opaque;
    (void)n;
    watched = level;
}

START_TEST(watching)
{
    uint8_t data[1] = "a";
    bool end;

    watched = true;
    dma_watch(dma, 2, (struct irq){on_ready, NULL, 0});
    ck_assert(!watched);
    program(2, 0x44, 0, 0, 0);
    ck_assert(watched);
    dma_transfer(dma, 2, true, data, 1, &end);
    ck_assert(!watched);
    bus_write(ports, 0x0A, 0x02, 1);
    ck_assert(watched);
    bus_write(ports, 0x0D, 0, 1); /* master clear masks all */
    ck_assert(!watched);
}
END_TEST

START_TEST(registers)
{
    bus_write(ports, 0x0C, 0, 1);
    bus_write(ports, 0x02, 0x34, 1);
    ck_assert_uint_eq(word(1, 2), 0x0034);
    bus_write(ports, 0x0C, 0, 1);
    bus_write(ports, 0x02, 0x34, 1);
    bus_write(ports, 0x02, 0x12, 1);
    ck_assert_uint_eq(word(1, 2), 0x1234);
    bus_write(ports, 0x09, 0x06, 1); /* software request on channel 2 */
    ck_assert_uint_eq(bus_read(ports, 0x08, 1), 0x40);
    bus_write(ports, 0x09, 0x02, 1);
    ck_assert_uint_eq(bus_read(ports, 0x08, 1), 0);
    bus_write(ports, 0x80, 0xAA, 1); /* POST code */
    ck_assert_uint_eq(bus_read(ports, 0x80, 1), 0xAA);
    bus_write(ports, 0x0F, 0, 1);
    bus_write(ports, 0x0D, 0, 1);
    ck_assert_uint_eq(bus_read(ports, 0x0F, 1) & 0x0F, 0x0F);
    ck_assert_uint_eq(word(1, 2), 0x1234);
    bus_write(ports, 0xC4, 0x78, 1); /* the second controller's registers are two ports apart */
    bus_write(ports, 0xC4, 0x56, 1);
    ck_assert_uint_eq(word(5, 2), 0x5678);
}
END_TEST

START_TEST(state_travels)
{
    struct state_buf buf = {0};
    char why[100];

    program(2, 0x54, 0x07, 0x1111, 0x22);
    bus_write(ports, 0x0C, 0, 1);
    bus_read(ports, 0x04, 1); /* the flip-flop is at the second byte */
    ck_assert(fields_save(dma_class.state, dma, &buf));
    dma_class.reset(dma);
    bus_write(ports, 0x81, 0, 1);
    ck_assert(!dma_ready(dma, 2));
    ck_assert_uint_eq(fields_load(dma_class.state, dma, buf.data, buf.size, why, sizeof(why)), buf.size);
    dma_class.loaded(dma);
    ck_assert_uint_eq(bus_read(ports, 0x04, 1), 0x11);
    ck_assert(dma_ready(dma, 2));
    ck_assert_uint_eq(bus_read(ports, 0x81, 1), 0x07);
    free(buf.data);
}
END_TEST

START_TEST(random_accesses)
{
    static uint8_t data[70000];
    uint64_t seed = 1;
    bool end;

    for (int i = 0; i < 30000; i++) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        unsigned a = seed >> 33, port = a % 0x40;

        port = port < 0x10 ? port : port < 0x20 ? 0x70 + port : 0xA0 + port;
        if (a & 0x1000)
            bus_write(ports, port, a >> 16, 1u << (a >> 14 & 1));
        else
            bus_read(ports, port, 1);
        if (a % 50 == 0) {
            size_t size = (seed >> 20) % sizeof(data);
            ck_assert_uint_le(dma_transfer(dma, a >> 8 & 15, a & 0x2000, data, size, &end), size);
        }
    }
}
END_TEST

Suite *dma_suite(void)
{
    Suite *suite = suite_create("dma");
    TCase *tcase = tcase_create("dma");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, to_memory);
    tcase_add_test(tcase, more_than_the_count);
    tcase_add_test(tcase, from_memory);
    tcase_add_test(tcase, verify_and_wrong_way);
    tcase_add_test(tcase, auto_initialise);
    tcase_add_test(tcase, downwards);
    tcase_add_test(tcase, wrap_in_page);
    tcase_add_test(tcase, words);
    tcase_add_test(tcase, gates);
    tcase_add_test(tcase, watching);
    tcase_add_test(tcase, registers);
    tcase_add_test(tcase, state_travels);
    tcase_add_test(tcase, random_accesses);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return suite;
}
