/*
 * suites.h - the unit tests: for each NAME here there is a test_NAME.c with a NAME_suite().
 */
#ifndef TESTS_UNIT_SUITES_H
#define TESTS_UNIT_SUITES_H

/* clang-format off */
#define SUITES(X) \
    X(acpi_pm) \
    X(ahci) \
    X(ata) \
    X(atapi) \
    X(avx) \
    X(avx_host) \
    X(bmi) \
    X(board) \
    X(bochs_debug) \
    X(boot) \
    X(core_bus) \
    X(core_clock) \
    X(core_fields) \
    X(cpu_random) \
    X(cpu_state) \
    X(cpuid) \
    X(crypto) \
    X(debug) \
    X(disk) \
    X(dma) \
    X(e1000) \
    X(fdc) \
    X(fma) \
    X(font) \
    X(fpu) \
    X(fw_cfg) \
    X(gdb) \
    X(host_chardev) \
    X(history) \
    X(host_loop) \
    X(hpet) \
    X(i8042) \
    X(inspect_paging) \
    X(ioapic) \
    X(irqchip_loan) \
    X(jit_pages) \
    X(jit_report) \
    X(jit_segments) \
    X(jit) \
    X(kvm_random) \
    X(kvm_state) \
    X(kvmclock) \
    X(la57) \
    X(lapic) \
    X(long_mode) \
    X(machine) \
    X(memory) \
    X(models) \
    X(monitor) \
    X(msr) \
    X(ne2k) \
    X(net) \
    X(options) \
    X(nvme) \
    X(pci) \
    X(pci_msi) \
    X(pic) \
    X(piix) \
    X(pit) \
    X(pku) \
    X(png) \
    X(protection) \
    X(ps2) \
    X(qmp) \
    X(qemu_arguments) \
    X(root) \
    X(rtc) \
    X(rtl8139) \
    X(share) \
    X(share_limits) \
    X(sse) \
    X(sse4) \
    X(stop) \
    X(string) \
    X(system) \
    X(tables) \
    X(task) \
    X(test_device) \
    X(test_report) \
    X(text_display) \
    X(uart) \
    X(vga) \
    X(vga_picture) \
    X(vga_text) \
    X(virtio) \
    X(virtio_9p) \
    X(virtio_devices) \
    X(virtio_net) \
    X(virtio_blk) \
    X(window) \
    X(xsave)

/* Those that are built with sanitizers too; see chip_test_files in Makefile.am. */
#define CHIP_SUITES(X) \
    X(acpi_pm) \
    X(ahci) \
    X(ata) \
    X(atapi) \
    X(board) \
    X(dma) \
    X(e1000) \
    X(fdc) \
    X(fw_cfg) \
    X(hpet) \
    X(i8042) \
    X(ioapic) \
    X(irqchip_loan) \
    X(lapic) \
    X(ne2k) \
    X(nvme) \
    X(pci) \
    X(pci_msi) \
    X(pic) \
    X(piix) \
    X(pit) \
    X(ps2) \
    X(rtc) \
    X(rtl8139) \
    X(test_device) \
    X(uart) \
    X(vga) \
    X(virtio) \
    X(virtio_9p) \
    X(virtio_devices) \
    X(virtio_net) \
    X(virtio_blk)
/* clang-format on */

#endif
