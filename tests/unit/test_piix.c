/* The PIIX3 ISA bridge, the PIIX4 power management function and the parallel port beside them. */
#include "core/chardev.h"
#include "devices/parallel.h"
#include "devices/piix.h"
#include "tests/unit/board.h"

static struct bus *ports;
static struct pci_bus *pci;
static struct piix *piix;
static struct piix_pm *pm;
static bool line[16];
static unsigned changes;
static uint16_t pm_base;
static bool pm_enabled;

static void on_line(void *opaque, int n, bool level)
{
    (void)opaque;
    ck_assert(line[n] != level);
    line[n] = level;
    changes++;
}

static void on_moved(void *opaque, uint16_t base, bool enabled)
{
    (void)opaque;
    pm_base = base;
    pm_enabled = enabled;
}

static void setup(void)
{
    const struct piix_pm_wires wires = {on_moved, NULL};
    struct irq isa[16];

    for (int n = 0; n < 16; n++)
        isa[n] = (struct irq){on_line, NULL, n};
    memset(line, 0, sizeof(line));
    changes = 0;
    pm_base = 0xFFFF;
    pm_enabled = true;
    ports = bus_new("ports", 0x10000, NULL);
    pci = pci_bus_new(NULL);
    piix = piix_new(pci, isa);
    pm = piix_pm_new(pci, ports, &wires);
    ck_assert(piix && pm);
}

static void teardown(void)
{
    piix_pm_class.free(pm);
    piix_class.free(piix);
    pci_bus_free(pci);
    bus_free(ports);
}

static uint32_t get(unsigned function, unsigned reg, unsigned size)
{
    return pci_config_read(pci, 0, PCI_DEVFN(1, function), reg, size);
}

static void set(unsigned function, unsigned reg, uint32_t value, unsigned size)
{
    pci_config_write(pci, 0, PCI_DEVFN(1, function), reg, value, size);
}

START_TEST(identity)
{
    ck_assert_uint_eq(get(0, 0, 4), 0x70008086);
    ck_assert_uint_eq(get(0, 8, 4) >> 8, 0x060100);
    ck_assert_uint_eq(get(0, 0x0E, 1), 0x80);
    ck_assert_uint_eq(get(0, 4, 2), 0x0007);
    ck_assert_uint_eq(get(0, 0x2C, 4), 0x11001AF4);
    ck_assert_uint_eq(get(0, 0x4C, 1), 0x4D);
    ck_assert_uint_eq(get(0, 0x4E, 2), 0x0003);
    ck_assert_uint_eq(get(0, 0x60, 4), 0x80808080);
    ck_assert_uint_eq(get(3, 0, 4), 0x71138086);
    ck_assert_uint_eq(get(3, 8, 4) >> 8, 0x068000);
    ck_assert_uint_eq(get(3, 0x3D, 1), 1);
    ck_assert_uint_eq(get(3, 0x40, 4), 1);
    set(0, 4, 0, 2);
    ck_assert_uint_eq(get(0, 4, 2), 0x0007); /* hard-wired */
    set(0, 0, 0, 4);
    ck_assert_uint_eq(get(0, 0, 4), 0x70008086);
}
END_TEST

START_TEST(routing)
{
    struct irq pin = piix_interrupt(piix, 3, 1); /* slot 3's INTA# is PIRQC */

    irq_set(&pin, true);
    ck_assert_uint_eq(changes, 0); /* routed nowhere */
    set(0, 0x62, 0x0B, 1);
    ck_assert(line[11]);
    set(0, 0x62, 0x0A, 1); /* moves with the request */
    ck_assert(!line[11] && line[10]);
    set(0, 0x62, 0x8A, 1);
    ck_assert(!line[10]);
    set(0, 0x60, 0x05050505, 4);
    ck_assert(line[5]);
    irq_set(&pin, false);
    ck_assert(!line[5]);
    ck_assert_uint_eq(get(0, 0x60, 4), 0x05050505);
    set(0, 0x60, 0xFF, 1);
    ck_assert_uint_eq(get(0, 0x60, 1), 0x8F);
}
END_TEST

/* The board's own lines can't be had. */
START_TEST(forbidden_lines)
{
    struct irq pin = piix_interrupt(piix, 1, 1);

    irq_set(&pin, true);
    for (unsigned n = 0; n < 16; n++) {
        bool allowed = n >= 3 && n != 8 && n != 13;

        set(0, 0x60, n, 1);
        ck_assert_int_eq(line[n], allowed);
    }
}
END_TEST

START_TEST(sharing)
{
    struct irq a = piix_interrupt(piix, 1, 1), b = piix_interrupt(piix, 5, 1), c = piix_interrupt(piix, 2, 1);

    set(0, 0x60, 0x0A0A0A0A, 4);
    irq_set(&a, true);
    irq_set(&b, true); /* the same PIRQ */
    irq_set(&c, true); /* another, the same line */
    ck_assert_uint_eq(changes, 1);
    irq_set(&a, false);
    irq_set(&c, false);
    ck_assert(line[10]);
    irq_set(&b, false);
    ck_assert(!line[10]);
    ck_assert_ptr_null(piix_interrupt(piix, 32, 1).fn);
    ck_assert_ptr_null(piix_interrupt(piix, 1, 0).fn);
    ck_assert_ptr_null(piix_interrupt(piix, 1, 5).fn);
}
END_TEST

START_TEST(reset_and_state)
{
    struct irq pin = piix_interrupt(piix, 1, 1);
    struct state_buf buf = {0};
    char why[100];

    set(0, 0x60, 0x0B, 1);
    irq_set(&pin, true);
    ck_assert(line[11]);
    ck_assert(fields_save(piix_class.state, piix, &buf));
    piix_class.reset(piix);
    ck_assert(!line[11]);
    ck_assert_uint_eq(get(0, 0x60, 1), 0x80);
    irq_set(&pin, false);
    ck_assert_uint_eq(fields_load(piix_class.state, piix, buf.data, buf.size, why, sizeof(why)), buf.size);
    /* Every line is driven, whatever it was: here that is no news for all but one. */
    for (int n = 0; n < 16; n++)
        line[n] = n != 11;
    piix_class.loaded(piix);
    for (int n = 0; n < 16; n++)
        ck_assert_int_eq(line[n], n == 11);
    free(buf.data);
}
END_TEST

START_TEST(power_management)
{
    ck_assert(!pm_enabled);
    set(3, 0x40, 0x0601, 4);
    ck_assert(!pm_enabled);
    set(3, 0x80, 1, 1);
    ck_assert(pm_enabled);
    ck_assert_uint_eq(pm_base, 0x600);
    set(3, 0x40, 0xB03F, 4);
    ck_assert_uint_eq(get(3, 0x40, 4), 0xB001);
    ck_assert_uint_eq(pm_base, 0xB000);
    set(3, 0x40, 0, 4); /* port 0 is nowhere */
    ck_assert(!pm_enabled);
    set(3, 0x40, 0x600, 4);
    piix_pm_class.reset(pm);
    ck_assert(!pm_enabled);
    ck_assert_uint_eq(get(3, 0x58, 4) & 0x02000000, 0x02000000); /* no SMM to be set up */
}
END_TEST

START_TEST(smbus)
{
    ck_assert_uint_eq(bus_read(ports, 0x700, 1), 0xFF);
    set(3, 0x90, 0x701, 4);
    ck_assert_uint_eq(get(3, 0x90, 4), 0x701);
    set(3, 0xD2, 0x09, 1);
    ck_assert_uint_eq(bus_read(ports, 0x700, 1), 0);
    bus_write(ports, 0x704, 0xA1, 1);
    bus_write(ports, 0x702, 0x48, 1); /* start, byte data */
    ck_assert_uint_eq(bus_read(ports, 0x702, 1), 0x08);
    ck_assert_uint_eq(bus_read(ports, 0x700, 1), 0x04); /* not busy: no answer */
    bus_write(ports, 0x700, 0xFF, 1);
    ck_assert_uint_eq(bus_read(ports, 0x700, 1), 0);
    set(3, 0xD2, 0, 1);
    ck_assert_uint_eq(bus_read(ports, 0x704, 1), 0xFF);
}
END_TEST

static uint8_t printed[8];
static unsigned printed_count, acknowledged;

static void on_print(struct chardev *chr, const uint8_t *data, size_t size)
{
    (void)chr;
    ck_assert(printed_count + size <= sizeof(printed));
    memcpy(printed + printed_count, data, size);
    printed_count += size;
}

static void on_acknowledge(void *opaque, int n, bool level)
{
    (void)opaque;
    (void)n;
    acknowledged += level;
}

START_TEST(parallel_port)
{
    struct chardev paper = {.write = on_print};
    struct parallel *port = parallel_new(ports, 0x378, (struct irq){on_acknowledge, NULL, 0}, &paper);
    struct parallel *empty = parallel_new(ports, 0x278, (struct irq){0}, NULL);

    printed_count = acknowledged = 0;
    ck_assert_uint_eq(bus_read(ports, 0x379, 1), 0xDF);
    ck_assert_uint_eq(bus_read(ports, 0x279, 1) & 0x80, 0); /* busy: nobody there */
    ck_assert_uint_eq(bus_read(ports, 0x37A, 1), 0xCC);
    bus_write(ports, 0x378, 'a', 1);
    ck_assert_uint_eq(bus_read(ports, 0x378, 1), 'a');
    ck_assert_uint_eq(printed_count, 0);
    bus_write(ports, 0x37A, 0x0D, 1); /* strobe */
    bus_write(ports, 0x37A, 0x0D, 1); /* still the same pulse */
    bus_write(ports, 0x37A, 0x0C, 1);
    ck_assert_uint_eq(printed_count, 1);
    ck_assert_uint_eq(acknowledged, 0);
    bus_write(ports, 0x378, 'b', 1);
    bus_write(ports, 0x37A, 0x1D, 1); /* with interrupt */
    ck_assert_mem_eq(printed, "ab", 2);
    ck_assert_uint_eq(acknowledged, 1);
    bus_write(ports, 0x37A, 0x2C, 1);
    ck_assert_uint_eq(bus_read(ports, 0x378, 1), 0xFF); /* turned to input */
    parallel_class.reset(port);
    ck_assert_uint_eq(bus_read(ports, 0x37A, 1), 0xCC);
    bus_write(ports, 0x27A, 0x0D, 1);
    parallel_class.free(port);
    parallel_class.free(empty);
}
END_TEST

START_TEST(random_accesses)
{
    uint64_t seed = 1;

    for (int i = 0; i < 30000; i++) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        uint32_t a = seed >> 32;
        struct irq pin = piix_interrupt(piix, a >> 20 & 31, (a >> 25 & 3) + 1);

        set(a & 1 ? 3 : 0, a >> 1 & 0xFF, seed >> 16 & 0xFFFFFFFF, 1u << (a >> 9) % 3);
        irq_set(&pin, a & 0x80000000);
    }
    ck_assert_uint_eq(get(0, 0, 4), 0x70008086);
    ck_assert_uint_eq(get(3, 0, 4), 0x71138086);
}
END_TEST

Suite *piix_suite(void)
{
    Suite *suite = suite_create("piix");
    TCase *tcase = tcase_create("piix");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, identity);
    tcase_add_test(tcase, routing);
    tcase_add_test(tcase, forbidden_lines);
    tcase_add_test(tcase, sharing);
    tcase_add_test(tcase, reset_and_state);
    tcase_add_test(tcase, power_management);
    tcase_add_test(tcase, smbus);
    tcase_add_test(tcase, parallel_port);
    tcase_add_test(tcase, random_accesses);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return suite;
}
