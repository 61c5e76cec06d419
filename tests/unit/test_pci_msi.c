/* MSI and MSI-X: registers, masks and pending bits (PCI local bus specification 3.0, 6.8). */
#include "devices/pci_msi.h"
#include "tests/unit/board.h"

#define BASE    0xFEB00000u
#define MSIX_AT 0x98u
#define MSI_AT  0x50u
#define TABLE   0x1000u /* in the BAR */
#define VECTORS 5u
#define DEVFN   PCI_DEVFN(4, 0)

static struct board board;
static struct pci_bus *pci;
static struct pci_msix msix;
static struct pci_msi msi;
static struct pci_function function;
static struct {
    uint64_t address;
    uint32_t data;
    unsigned count;
} last;

static void on_message(void *opaque, uint64_t address, uint32_t data)
{
    (void)opaque;
    last.address = address;
    last.data = data;
    last.count++;
}

static void written(void *dev, unsigned reg, unsigned size)
{
    (void)dev;
    (void)reg;
    (void)size;
    pci_msix_written(&msix);
    pci_msi_written(&msi);
}

static void config(unsigned reg, uint32_t value, unsigned size)
{
    pci_config_write(pci, 0, DEVFN, reg, value, size);
}

static uint32_t configured(unsigned reg, unsigned size)
{
    return pci_config_read(pci, 0, DEVFN, reg, size);
}

static void entry(unsigned vector, uint64_t address, uint32_t data, uint32_t control)
{
    uint64_t at = BASE + TABLE + vector * 16;

    bus_write(board.mem, at, (uint32_t)address, 4);
    bus_write(board.mem, at + 4, address >> 32, 4);
    bus_write(board.mem, at + 8, data, 4);
    bus_write(board.mem, at + 12, control, 4);
}

static uint64_t pending(void)
{
    return bus_read(board.mem, BASE + TABLE + 0x800, 8);
}

static void setup(void)
{
    board_init(&board);
    pci = pci_bus_new(&board.log);
    pci_bus_on_message(pci, on_message, NULL);
    memset(&last, 0, sizeof(last));
    memset(&function, 0, sizeof(function));
    function.written = written;
    ck_assert(pci_bus_add(pci, 4, 0, &function));
    pci_init_bar(&function, 1, 0x2000, PCI_BAR_MEMORY32);
    pci_allow(&function, PCI_COMMAND, PCI_COMMAND_MASTER, 2);
    ck_assert(pci_msix_init(&msix, &function, board.mem, "msix", MSIX_AT, VECTORS, 1, TABLE));
    pci_msi_init(&msi, &function, MSI_AT, 8);
    pci_msix_reset(&msix);
    pci_msi_reset(&msi);
    config(PCI_BAR(1), BASE, 4);
    config(PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
}

static void teardown(void)
{
    pci_bus_free(pci);
    board_free(&board);
}

START_TEST(capabilities_are_listed)
{
    ck_assert_uint_eq(configured(PCI_STATUS, 2) & PCI_STATUS_CAPABILITIES, PCI_STATUS_CAPABILITIES);
    ck_assert_uint_eq(configured(PCI_CAPABILITIES, 1), MSI_AT);
    ck_assert_uint_eq(configured(MSI_AT, 2), 0x05 | MSIX_AT << 8);
    ck_assert_uint_eq(configured(MSIX_AT, 2), 0x11);
    ck_assert_uint_eq(configured(MSIX_AT + 2, 2), VECTORS - 1);
    ck_assert_uint_eq(configured(MSIX_AT + 4, 4), TABLE | 1);
    ck_assert_uint_eq(configured(MSIX_AT + 8, 4), (TABLE + 0x800) | 1);
    ck_assert_uint_eq(configured(MSI_AT + 2, 2), 0x0186); /* masks, 64 bits, eight vectors */
    config(MSIX_AT + 2, 0xFFFF, 2);
    ck_assert_uint_eq(configured(MSIX_AT + 2, 2), 0xC000 | (VECTORS - 1));
}
END_TEST

START_TEST(vectors_are_messages)
{
    entry(2, 0x1FEE01007, 0x4321, 0);
    ck_assert_uint_eq(bus_read(board.mem, BASE + TABLE + 32, 8), 0x1FEE01004);
    pci_msix_send(&msix, 2); /* not enabled */
    ck_assert_uint_eq(last.count, 0);
    config(MSIX_AT + 2, 0x8000, 2);
    ck_assert(pci_msix_enabled(&msix));
    pci_msix_send(&msix, 2);
    ck_assert_uint_eq(last.count, 1);
    ck_assert_uint_eq(last.address, 0x1FEE01004);
    ck_assert_uint_eq(last.data, 0x4321);
    pci_msix_send(&msix, VECTORS);
    pci_msix_send(&msix, 0xFFFF);
    ck_assert_uint_eq(last.count, 1);
    config(PCI_COMMAND, PCI_COMMAND_MEMORY, 2); /* it may not write */
    pci_msix_send(&msix, 2);
    ck_assert_uint_eq(last.count, 1);
}
END_TEST

START_TEST(masked_vectors_wait)
{
    config(MSIX_AT + 2, 0x8000, 2);
    entry(1, 0xFEE00000, 1, 1);
    entry(3, 0xFEE00000, 3, 0);
    pci_msix_send(&msix, 1);
    pci_msix_send(&msix, 1);
    ck_assert_uint_eq(last.count, 0);
    ck_assert_uint_eq(pending(), 1 << 1);
    entry(1, 0xFEE00000, 0x11, 0);
    ck_assert_uint_eq(last.count, 1);
    ck_assert_uint_eq(last.data, 0x11);
    ck_assert_uint_eq(pending(), 0);

    config(MSIX_AT + 2, 0xC000, 2); /* the whole function */
    pci_msix_send(&msix, 3);
    ck_assert_uint_eq(last.count, 1);
    ck_assert_uint_eq(pending(), 1 << 3);
    bus_write(board.mem, BASE + TABLE + 0x800, 0, 4); /* read-only */
    config(MSIX_AT + 2, 0x8000, 2);
    ck_assert_uint_eq(last.count, 2);
    ck_assert_uint_eq(last.data, 3);
    ck_assert_uint_eq(pending(), 0);
}
END_TEST

START_TEST(reset_masks_all)
{
    config(MSIX_AT + 2, 0x8000, 2);
    entry(0, 0xFEE00000, 7, 0);
    memset(function.config, 0, sizeof(function.config));
    pci_msix_reset(&msix);
    ck_assert(!pci_msix_enabled(&msix));
    config(PCI_BAR(1), BASE, 4);
    config(PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
    ck_assert_uint_eq(bus_read(board.mem, BASE + TABLE + 12, 4), 1);
    ck_assert_uint_eq(bus_read(board.mem, BASE + TABLE + 8, 4), 0);
}
END_TEST

START_TEST(msi_has_consecutive_data)
{
    config(MSI_AT + 4, 0xFEE02003, 4);
    config(MSI_AT + 12, 0x55, 2);
    pci_msi_send(&msi, 0); /* not enabled */
    ck_assert_uint_eq(last.count, 0);
    config(MSI_AT + 2, 2 << 4 | 1, 2); /* four vectors */
    pci_msi_send(&msi, 2);
    ck_assert_uint_eq(last.address, 0xFEE02000);
    ck_assert_uint_eq(last.data, 0x56);
    pci_msi_send(&msi, 7);
    ck_assert_uint_eq(last.data, 0x57);
    config(MSI_AT + 2, 7 << 4 | 1, 2); /* more than there are */
    pci_msi_send(&msi, 7);
    ck_assert_uint_eq(last.data, 0x57);
    ck_assert_uint_eq(last.count, 3);
}
END_TEST

START_TEST(msi_vectors_can_be_masked)
{
    config(MSI_AT + 2, 3 << 4 | 1, 2);
    config(MSI_AT + 4, 0xFEE00000, 4);
    config(MSI_AT + 16, 0xFFFFFFFF, 4);
    ck_assert_uint_eq(configured(MSI_AT + 16, 4), 0xFF);
    pci_msi_send(&msi, 5);
    ck_assert_uint_eq(last.count, 0);
    ck_assert_uint_eq(configured(MSI_AT + 20, 4), 1 << 5);
    config(MSI_AT + 16, 0xDF, 4);
    ck_assert_uint_eq(last.count, 1);
    ck_assert_uint_eq(last.data, 5);
    ck_assert_uint_eq(configured(MSI_AT + 20, 4), 0);
}
END_TEST

START_TEST(nonsense)
{
    for (unsigned n = 0; n < 200000; n++) {
        uint32_t r = board_random(&board), value = board_random(&board);
        unsigned size = 1u << r % 3;

        if (r & 0x10000)
            bus_write(board.mem, BASE + TABLE + r % 0x1000, value, size);
        else if (r & 0x20000)
            bus_read(board.mem, BASE + TABLE + r % 0x1000, 1u << r % 4);
        else if (r & 0x40000)
            config(r % 256 & ~(size - 1), value, size);
        else if (r & 0x80000)
            pci_msix_send(&msix, value % 80);
        else
            pci_msi_send(&msi, value % 40);
        if (n % 16 == 0) {
            config(PCI_BAR(1), BASE, 4);
            config(PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
        }
    }
    ck_assert_uint_gt(last.count, 100);
    ck_assert_uint_eq(msix.pending >> VECTORS, 0);
}
END_TEST

Suite *pci_msi_suite(void)
{
    Suite *suite = suite_create("pci_msi");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, capabilities_are_listed);
    tcase_add_test(tc, vectors_are_messages);
    tcase_add_test(tc, masked_vectors_wait);
    tcase_add_test(tc, reset_masks_all);
    tcase_add_test(tc, msi_has_consecutive_data);
    tcase_add_test(tc, msi_vectors_can_be_masked);
    tcase_add_test(tc, nonsense);
    suite_add_tcase(suite, tc);
    return suite;
}
