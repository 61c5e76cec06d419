/* The PCI bus, the i440FX host bridge and port 0xCF9. */
#include "devices/pci.h"
#include "devices/pci_host.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct bus *ports;
static struct pci_bus *pci;
static struct pci_host *host;
static unsigned resets, inits, shadows;
static uint8_t shadow[64]; /* by 16 KiB page of the first MiB: bit 0 reads, bit 1 writes go to RAM */

/* A function with a port BAR, a 64-bit memory BAR and a register that clears on ones. */
struct toy {
    struct pci_function function;
    unsigned reads, writes, last_reg, last_size;
};

static struct toy toy;

static void toy_reading(void *dev, unsigned reg, unsigned size)
{
    struct toy *t = dev;

    t->reads++;
    t->last_reg = reg;
    t->last_size = size;
    t->function.config[0xF0]++;
}

static void toy_written(void *dev, unsigned reg, unsigned size)
{
    struct toy *t = dev;

    t->writes++;
    t->last_reg = reg;
    t->last_size = size;
}

static void on_wire(void *opaque, int n, bool level)
{
    (void)opaque;
    *(n ? &inits : &resets) += level;
}

static void on_shadow(void *opaque, uint32_t base, uint32_t size, bool read, bool write)
{
    (void)opaque;
    shadows++;
    ck_assert(base >= 0xC0000 && base + size <= 0x100000);
    for (uint32_t page = base >> 14; page < (base + size) >> 14; page++)
        shadow[page] = read | write << 1;
}

static void setup(void)
{
    struct pci_host_wires wires = {
        .reset = {on_wire, NULL, 0}, .init = {on_wire, NULL, 1}, .shadow = on_shadow};

    resets = inits = shadows = 0;
    memset(shadow, 0xFF, sizeof(shadow));
    ports = bus_new("ports", 0x10000, NULL);
    pci = pci_bus_new(NULL);
    host = pci_host_new(ports, pci, &wires, NULL);
    memset(&toy, 0, sizeof(toy));
    toy.function.dev = &toy;
    toy.function.reading = toy_reading;
    toy.function.written = toy_written;
    pci_set(&toy.function, PCI_VENDOR_ID, 0x1234, 2);
    pci_set(&toy.function, PCI_DEVICE_ID, 0x5678, 2);
    pci_init_bar(&toy.function, 0, 0x20, PCI_BAR_IO);
    pci_init_bar(&toy.function, 2, 0x10000000, PCI_BAR_MEMORY64 | PCI_BAR_PREFETCH);
    toy.function.clearable[PCI_STATUS + 1] = 0xF9;
    ck_assert(pci_bus_add(pci, 3, 1, &toy.function));
}

static void teardown(void)
{
    pci_host_class.free(host);
    pci_bus_free(pci);
    bus_free(ports);
}

static uint32_t address(unsigned slot, unsigned function, unsigned reg)
{
    return 0x80000000u | slot << 11 | function << 8 | (reg & 0xFC);
}

static uint32_t get(unsigned slot, unsigned function, unsigned reg, unsigned size)
{
    bus_write(ports, 0xCF8, address(slot, function, reg), 4);
    return bus_read(ports, 0xCFC + (reg & 3), size);
}

static void set(unsigned slot, unsigned function, unsigned reg, uint32_t value, unsigned size)
{
    bus_write(ports, 0xCF8, address(slot, function, reg), 4);
    bus_write(ports, 0xCFC + (reg & 3), value, size);
}

START_TEST(identity)
{
    ck_assert_uint_eq(get(0, 0, 0, 4), 0x12378086);
    ck_assert_uint_eq(get(0, 0, 8, 4), 0x06000002);
    ck_assert_uint_eq(get(0, 0, 4, 2), 0x0006);
    ck_assert_uint_eq(get(0, 0, 2, 2), 0x1237);
    ck_assert_uint_eq(get(0, 0, 3, 1), 0x12);
    ck_assert_uint_eq(get(0, 0, 0x0E, 1), 0);
    set(0, 0, 0, 0xFFFFFFFF, 4);
    ck_assert_uint_eq(get(0, 0, 0, 4), 0x12378086);
}
END_TEST

START_TEST(mechanism)
{
    bus_write(ports, 0xCF8, 0xFFFFFFFF, 4);
    ck_assert_uint_eq(bus_read(ports, 0xCF8, 4), 0x80FFFFFC);
    bus_write(ports, 0xCF8, 0x80000000, 4);
    bus_write(ports, 0xCF8, 0x11, 1); /* narrow writes pass by */
    bus_write(ports, 0xCFA, 0x2222, 2);
    ck_assert_uint_eq(bus_read(ports, 0xCF8, 4), 0x80000000);
    ck_assert_uint_eq(bus_read(ports, 0xCF8, 1), 0xFF);
    ck_assert_uint_eq(bus_read(ports, 0xCFC, 4), 0x12378086);
    bus_write(ports, 0xCF8, 0, 4); /* not enabled */
    ck_assert_uint_eq(bus_read(ports, 0xCFC, 4), 0xFFFFFFFF);
    ck_assert_uint_eq(get(1, 0, 0, 4), 0xFFFFFFFF); /* nobody there */
    ck_assert_uint_eq(get(31, 7, 0, 2), 0xFFFF);
    set(31, 7, 0, 1, 4);
    bus_write(ports, 0xCF8, 0x80010000, 4); /* bus 1 */
    ck_assert_uint_eq(bus_read(ports, 0xCFC, 4), 0xFFFFFFFF);
    ck_assert_uint_eq(resets + inits, 0);
}
END_TEST

START_TEST(base_address_registers)
{
    const struct pci_function *f = &toy.function;

    ck_assert_uint_eq(pci_bar_address(f, 0), PCI_BAR_UNMAPPED);
    set(3, 1, PCI_BAR(0), 0xFFFFFFFF, 4);
    ck_assert_uint_eq(get(3, 1, PCI_BAR(0), 4), 0xFFFFFFE1);
    set(3, 1, PCI_BAR(0), 0xC001, 4);
    ck_assert_uint_eq(pci_bar_address(f, 0), PCI_BAR_UNMAPPED);
    set(3, 1, PCI_COMMAND, 0xFFFF, 2);
    ck_assert_uint_eq(get(3, 1, PCI_COMMAND, 2), PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
    ck_assert_uint_eq(pci_bar_address(f, 0), 0xC000);
    set(3, 1, PCI_BAR(2), 0xFFFFFFFF, 4);
    set(3, 1, PCI_BAR(3), 0xFFFFFFFF, 4);
    ck_assert_uint_eq(get(3, 1, PCI_BAR(2), 4), 0xF000000C);
    ck_assert_uint_eq(get(3, 1, PCI_BAR(3), 4), 0xFFFFFFFF);
    set(3, 1, PCI_BAR(2), 0xE0000000, 4);
    set(3, 1, PCI_BAR(3), 0x12, 4);
    ck_assert_uint_eq(pci_bar_address(f, 2), 0x12E0000000);
    set(3, 1, PCI_BAR(1), 0xFFFFFFFF, 4);
    ck_assert_uint_eq(get(3, 1, PCI_BAR(1), 4), 0);
}
END_TEST

START_TEST(hooks_and_clearing)
{
    pci_set(&toy.function, PCI_STATUS, 0xF900, 2);
    set(3, 1, PCI_STATUS + 1, 0x81, 1);
    ck_assert_uint_eq(pci_get(&toy.function, PCI_STATUS, 2), 0x7800);
    ck_assert(toy.last_reg == PCI_STATUS + 1 && toy.last_size == 1 && toy.writes == 1);
    ck_assert_uint_eq(get(3, 1, 0xF0, 1), 1);
    ck_assert_uint_eq(get(3, 1, 0xF0, 1), 2);
    ck_assert_uint_eq(toy.reads, 2);
    ck_assert(!pci_bus_add(pci, 3, 1, &toy.function)); /* taken */
    ck_assert(!pci_bus_add(pci, 32, 0, &toy.function));
    pci_bus_remove(pci, &toy.function);
    ck_assert_uint_eq(get(3, 1, 0, 4), 0xFFFFFFFF);
}
END_TEST

START_TEST(reset_control)
{
    bus_write(ports, 0xCF9, 0x02, 1);
    ck_assert_uint_eq(bus_read(ports, 0xCF9, 1), 0x02);
    ck_assert_uint_eq(resets, 0);
    bus_write(ports, 0xCF9, 0x06, 1);
    ck_assert_uint_eq(resets, 1);
    bus_write(ports, 0xCF9, 0x06, 1); /* no rising edge */
    ck_assert_uint_eq(resets, 1);
    bus_write(ports, 0xCF9, 0x00, 1);
    bus_write(ports, 0xCF9, 0x04, 1);
    ck_assert_uint_eq(inits, 1);
    pci_host_class.reset(host);
    ck_assert_uint_eq(bus_read(ports, 0xCF9, 1), 0);
    bus_write(ports, 0xCF9, 0x0E, 1);
    ck_assert_uint_eq(resets, 2);
    ck_assert_uint_eq(PCI_HOST_HARD_RESET, 6);
}
END_TEST

/* 82441FX data sheet 3.2.18: PAM0's high half is the BIOS, then 16 KiB a half byte. */
START_TEST(shadow_ram)
{
    ck_assert_uint_eq(shadows, 13);
    for (unsigned page = 0xC0000 >> 14; page < 64; page++)
        ck_assert_uint_eq(shadow[page], 0);
    set(0, 0, 0x59, 0x10, 1);
    ck_assert_uint_eq(shadows, 14);
    for (unsigned page = 0xF0000 >> 14; page < 64; page++)
        ck_assert_uint_eq(shadow[page], 1);
    set(0, 0, 0x5A, 0x32, 1);
    ck_assert_uint_eq(shadow[0xC0000 >> 14], 2);
    ck_assert_uint_eq(shadow[0xC4000 >> 14], 3);
    set(0, 0, 0x5C, 0x33333333, 4);
    ck_assert_uint_eq(shadow[0xD0000 >> 14], 3);
    ck_assert_uint_eq(shadow[0xEC000 >> 14], 3);
    ck_assert_uint_eq(shadow[0xC8000 >> 14], 0);
    ck_assert_uint_eq(shadows, 24);
    set(0, 0, 0x59, 0xFF, 1);
    ck_assert_uint_eq(get(0, 0, 0x59, 1), 0x30);
    pci_host_class.reset(host);
    for (unsigned page = 0xC0000 >> 14; page < 64; page++)
        ck_assert_uint_eq(shadow[page], 0);
}
END_TEST

START_TEST(interrupt_routing)
{
    ck_assert_uint_eq(pci_pirq(1, 1), 0);
    ck_assert_uint_eq(pci_pirq(1, 4), 3);
    ck_assert_uint_eq(pci_pirq(2, 1), 1);
    ck_assert_uint_eq(pci_pirq(0, 1), 3);
    ck_assert_uint_eq(pci_pirq(31, 4), 1);
}
END_TEST

START_TEST(state_travels)
{
    struct state_buf buf = {0};
    char why[128];

    set(0, 0, 0x59, 0x30, 1);
    ck_assert(fields_save(pci_host_class.state, host, &buf));
    pci_host_class.reset(host);
    ck_assert_uint_gt(fields_load(pci_host_class.state, host, buf.data, buf.size, why, sizeof(why)), 0);
    pci_host_class.loaded(host);
    ck_assert_uint_eq(shadow[63], 3);
    ck_assert_uint_eq(bus_read(ports, 0xCF8, 4), 0x80000058);
    free(buf.data);
}
END_TEST

START_TEST(random_accesses)
{
    uint64_t seed = 11;

    for (unsigned i = 0; i < 200000; i++) {
        uint32_t a;

        seed = seed * 6364136223846793005u + 1442695040888963407u;
        a = seed >> 32;
        if (a & 1)
            bus_write(ports, 0xCF8,
                      (a & 2 ? 0x80000000 : 0) | (a & 4 ? 0x1900 : 0) | (a >> 8 & (a & 8 ? 0xFF : ~0u)), 4);
        if (a & 16)
            bus_write(ports, 0xCF6 + (a >> 8) % 12, seed >> 16, 1u << (a >> 16 & 3));
        else
            bus_read(ports, 0xCF6 + (a >> 8) % 12, 1u << (a >> 16 & 3));
    }
    ck_assert_uint_eq(get(0, 0, 0, 4), 0x12378086);
    ck_assert_uint_eq(get(3, 1, 0, 4), 0x56781234);
    for (unsigned page = 0xC0000 >> 14; page < 64; page++)
        ck_assert_uint_le(shadow[page], 3);
}
END_TEST

Suite *pci_suite(void)
{
    Suite *suite = suite_create("pci");
    TCase *tcase = tcase_create("pci");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, identity);
    tcase_add_test(tcase, mechanism);
    tcase_add_test(tcase, base_address_registers);
    tcase_add_test(tcase, hooks_and_clearing);
    tcase_add_test(tcase, reset_control);
    tcase_add_test(tcase, shadow_ram);
    tcase_add_test(tcase, interrupt_routing);
    tcase_add_test(tcase, state_travels);
    tcase_add_test(tcase, random_accesses);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return suite;
}
