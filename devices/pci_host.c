/*
 * pci_host.c - the i440FX host bridge (Intel 82441FX data sheet), and port 0xCF9 of the ISA bridge next to
 * it, which lies inside the bridge's ports.
 *
 * In: ports 0xCF8-0xCFF, its own configuration space. Out: configuration accesses on the PCI bus, reset,
 * shadow RAM routing. DRAM sizing registers keep what the guest writes; SMRAM is not decoded.
 */
#include "devices/pci_host.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"

#define CONFIG_ENABLE   0x80000000u
#define CONFIG_WRITABLE 0x80FFFFFCu
#define CONFIG_BUS(a)   (((a) >> 16) & 0xFF)
#define CONFIG_DEVFN(a) (((a) >> 8) & 0xFF)
#define CONFIG_REG(a)   ((a)&0xFC)

/* Ports, from 0xCF8 */
#define PORT_ADDRESS 0
#define PORT_RESET   1
#define PORT_DATA    4

/* Reset control: writing 1 to CPU after 0 resets, hard or soft as HARD says. */
#define RESET_HARD     0x02
#define RESET_CPU      0x04
#define RESET_WRITABLE 0x0E

#define REG_PAM   0x59 /* seven bytes */
#define REG_SMRAM 0x72

#define SMRAM_WRITABLE 0x78
#define SMRAM_LOCK     0x10 /* sticks, and with it the register but for bit 3 */
#define SMRAM_OPEN     0x40
#define SMRAM_ENABLE   0x08

struct pci_host {
    struct log *log;
    struct pci_bus *bus;
    struct pci_host_wires wires;

    struct pci_function function;
    uint32_t address;
    uint8_t reset_control;
    uint8_t routed[7]; /* the PAM registers that the shadow wire was last told of */
};

/*
 * One half of a PAM byte for each area, bits 0 and 1: reads and writes go to RAM. PAM0's low half is unused,
 * its high half the BIOS at 0xF0000; the other twelve are 16 KiB each from 0xC0000, low half first.
 */
static unsigned pam_half(const uint8_t pam[7], unsigned half)
{
    return pam[half / 2] >> (half & 1) * 4 & 3;
}

static void route_shadow(struct pci_host *host, bool all)
{
    uint8_t pam[7];

    memcpy(pam, &host->function.config[REG_PAM], sizeof(pam));
    for (unsigned half = 1; half < 14; half++) {
        unsigned bits = pam_half(pam, half);
        uint32_t base = half == 1 ? 0xF0000 : 0xC0000 + (half - 2) * 0x4000;
        uint32_t size = half == 1 ? 0x10000 : 0x4000;

        if ((all || bits != pam_half(host->routed, half)) && host->wires.shadow)
            host->wires.shadow(host->wires.shadow_opaque, base, size, bits & 1, bits & 2);
    }
    memcpy(host->routed, pam, sizeof(pam));
}

/* Once locked, only a reset opens SMRAM again. */
static void lock_smram(struct pci_host *host)
{
    bool locked = host->function.config[REG_SMRAM] & SMRAM_LOCK;

    host->function.writable[REG_SMRAM] = locked ? SMRAM_ENABLE : SMRAM_WRITABLE;
    if (locked)
        host->function.config[REG_SMRAM] &= ~SMRAM_OPEN;
}

static void config_written(void *dev, unsigned reg, unsigned size)
{
    if (reg < REG_PAM + 7 && reg + size > REG_PAM)
        route_shadow(dev, false);
    if (reg <= REG_SMRAM && reg + size > REG_SMRAM)
        lock_smram(dev);
}

static void write_reset_control(struct pci_host *host, uint8_t value)
{
    bool rising = (value & RESET_CPU) && !(host->reset_control & RESET_CPU);

    host->reset_control = value & RESET_WRITABLE;
    if (!rising)
        return;
    /* After this the guest runs anew or not at all; a reset clears the register. */
    irq_pulse(value & RESET_HARD ? &host->wires.reset : &host->wires.init);
}

static uint64_t host_read(void *dev, uint64_t addr, unsigned size)
{
    struct pci_host *host = dev;

    if (addr >= PORT_DATA) {
        unsigned reg = CONFIG_REG(host->address) + (addr - PORT_DATA);

        if (!(host->address & CONFIG_ENABLE))
            return UINT64_MAX;
        return pci_config_read(host->bus, CONFIG_BUS(host->address), CONFIG_DEVFN(host->address), reg, size);
    }
    if (addr == PORT_ADDRESS && size == 4)
        return host->address;
    if (addr == PORT_RESET && size == 1)
        return host->reset_control;
    return UINT64_MAX;
}

/* Only 32-bit accesses reach the address register; narrower ones pass by (mechanism #1, PCI 3.0, 3.2.2.3.2).
 */
static void host_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct pci_host *host = dev;

    if (addr >= PORT_DATA) {
        unsigned reg = CONFIG_REG(host->address) + (addr - PORT_DATA);

        if (host->address & CONFIG_ENABLE)
            pci_config_write(host->bus, CONFIG_BUS(host->address), CONFIG_DEVFN(host->address), reg, value,
                             size);
    } else if (addr == PORT_ADDRESS && size == 4) {
        host->address = value & CONFIG_WRITABLE;
    } else if (addr == PORT_RESET && size == 1) {
        write_reset_control(host, value);
    } else {
        log_at(host->log, LOG_GUEST, "pci_host", "%u-byte write to port 0x%x ignored", size,
               0xCF8 + (unsigned)addr);
    }
}

static const struct bus_ops host_ops = {host_read, host_write, 4};

static const struct field function_fields[] = {FIELD_ARRAY(struct pci_function, config), FIELD_END};
static const struct field pci_host_fields[] = {FIELD_STRUCT(struct pci_host, function, function_fields),
                                               FIELD(struct pci_host, address),
                                               FIELD(struct pci_host, reset_control), FIELD_END};

/* Register defaults from the data sheet, chapter 3. */
static void set_defaults(struct pci_function *function)
{
    memset(function->config, 0, sizeof(function->config));
    pci_set(function, PCI_VENDOR_ID, 0x8086, 2);
    pci_set(function, PCI_DEVICE_ID, 0x1237, 2);
    pci_set(function, PCI_COMMAND, 0x0006, 2);
    pci_set(function, PCI_STATUS, 0x0280, 2);
    pci_set(function, PCI_REVISION, 0x02, 1);
    pci_set(function, PCI_CLASS, 0x060000, 3);
    pci_set(function, PCI_SUBSYSTEM_VENDOR, PCI_SUBSYSTEM_BOARD_VENDOR, 2);
    pci_set(function, PCI_SUBSYSTEM_ID, PCI_SUBSYSTEM_BOARD, 2);
    pci_set(function, REG_SMRAM, 0x02, 1);
}

static void set_masks(struct pci_function *function)
{
    pci_allow(function, PCI_COMMAND, 0x0140, 2); /* SERR# and parity; master and memory are hard-wired */
    function->clearable[PCI_STATUS + 1] = 0xF9;
    pci_allow(function, 0x0D, 0xF8, 1);
    pci_allow(function, 0x50, 0xFFFF, 2); /* PMC configuration */
    pci_allow(function, 0x57, 0xFF, 1);   /* DRAM control, timing */
    pci_allow(function, 0x58, 0xFF, 1);
    pci_allow(function, REG_PAM, 0x33333330, 4);
    pci_allow(function, REG_PAM + 4, 0x333333, 3);
    for (unsigned reg = 0x60; reg < 0x68; reg++) /* DRAM row boundaries */
        function->writable[reg] = 0xFF;
    pci_allow(function, REG_SMRAM, SMRAM_WRITABLE, 1);
}

static void pci_host_reset(void *device)
{
    struct pci_host *host = device;

    set_defaults(&host->function);
    host->address = 0;
    host->reset_control = 0;
    lock_smram(host);
    route_shadow(host, true);
}

static void pci_host_loaded(void *device)
{
    lock_smram(device);
    route_shadow(device, true);
}

static void pci_host_free(void *device)
{
    struct pci_host *host = device;

    if (!host)
        return;
    pci_bus_remove(host->bus, &host->function);
    free(host);
}

struct pci_host *pci_host_new(struct bus *ports, struct pci_bus *bus, const struct pci_host_wires *wires,
                              struct log *log)
{
    struct pci_host *host = calloc(1, sizeof(*host));

    if (!host || !pci_bus_add(bus, 0, 0, &host->function) ||
        !bus_map(ports, "pci-host", 0xCF8, 8, &host_ops, host)) {
        if (host)
            pci_bus_remove(bus, &host->function);
        free(host);
        return NULL;
    }
    host->log = log;
    host->bus = bus;
    host->wires = *wires;
    host->function.name = "i440FX";
    host->function.dev = host;
    host->function.written = config_written;
    set_masks(&host->function);
    pci_host_reset(host);
    return host;
}

const struct device_class pci_host_class = {"pci_host", pci_host_reset, pci_host_loaded, pci_host_free,
                                            pci_host_fields};
