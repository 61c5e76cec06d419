/*
 * nvme.c - the NVMe controller's PCI function and registers (NVMe 1.4, 3.1), and how it is enabled, shut down
 * and reset (3.5, 7.3, 7.6).
 *
 * In: accesses to its registers; the medium's completions. Out: messages or INTA#; reads and writes of
 * memory.
 *
 * What is with the medium can't be called back, and goes straight to the guest's memory. So a controller that
 * is disabled stays "ready" until the last of it came back.
 *
 * One namespace of 512-byte sectors. Not here: SGLs, a controller memory buffer, other page sizes than 4 KiB,
 * arbitration other than round robin, formatting, firmware updates, reservations, metadata.
 */
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "devices/nvme_internal.h"

#define REGISTERS_SIZE 0x2000u /* doorbells included; what follows in the BAR is MSI-X's */
#define BAR_SIZE       0x4000u
#define MSIX           0x40u /* capability */

#define REG_CAP   0x00
#define REG_VS    0x08
#define REG_INTMS 0x0C
#define REG_INTMC 0x10
#define REG_CC    0x14
#define REG_CSTS  0x1C
#define REG_AQA   0x24
#define REG_ASQ   0x28
#define REG_ACQ   0x30
#define DOORBELLS 0x1000

/* Queues of NVME_QUEUE_SIZE in one piece, ready within 30 s, NVM commands, pages of 4 KiB. */
#define CAP     ((NVME_QUEUE_SIZE - 1ull) | 1ull << 16 | 60ull << 24 | 1ull << 37)
#define VERSION 0x00010400u

#define CC_WRITABLE 0x00FFFFF1u
#define CC_CSS      0x00000070u
#define CC_MPS      0x00000780u
#define CC_AMS      0x00003800u

/* --- Enabling and disabling. */

bool nvme_running(const struct nvme *nvme)
{
    return nvme->cc & CC_EN && nvme->csts & CSTS_RDY && !(nvme->csts & CSTS_CFS);
}

void nvme_fatal(struct nvme *nvme, const char *what)
{
    log_at(nvme->wires.log, LOG_GUEST, "nvme", "controller %u stops: %s", nvme->wires.number, what);
    nvme->csts |= CSTS_CFS;
}

static void enable(struct nvme *nvme)
{
    uint32_t submissions = (nvme->aqa & 0xFFF) + 1, completions = (nvme->aqa >> 16 & 0xFFF) + 1;

    if (nvme->cc & (CC_CSS | CC_MPS | CC_AMS) || submissions < 2 || completions < 2) {
        nvme_fatal(nvme, "it was enabled with settings that it doesn't have");
        return;
    }
    nvme->submission[0] = (struct nvme_submission){.used = true, .base = nvme->asq, .size = submissions};
    nvme->completion[0] = (struct nvme_completion){
        .used = true, .interrupts = true, .phase = true, .base = nvme->acq, .size = completions};
    nvme->csts = CSTS_RDY;
}

/* A controller level reset (7.3.2): all but the admin queues' places is as after power-on. */
static void disable(struct nvme *nvme)
{
    nvme_queues_reset(nvme);
    nvme_features_reset(nvme);
    nvme->event_requests = 0;
    nvme->event_pending = nvme->event_masked = 0;
    nvme->mask = 0;
    nvme->csts = nvme->flying ? CSTS_RDY : 0;
    nvme_update_irq(nvme);
}

void nvme_landed(struct nvme *nvme)
{
    if (nvme->flying || nvme->cc & CC_EN || !(nvme->csts & CSTS_RDY))
        return;
    nvme->csts &= ~CSTS_RDY;
}

/* --- Shutting down: what was written becomes durable. */

static void shutdown_done(struct block_request *request, int error)
{
    struct nvme *nvme = request->opaque;

    nvme->media_errors += error != 0;
    nvme->shutting_down = false;
    nvme->flying--;
    if ((nvme->csts & CSTS_SHST) == CSTS_SHST_BUSY)
        nvme->csts = (nvme->csts & ~CSTS_SHST) | CSTS_SHST_DONE;
    nvme_landed(nvme);
}

static void shut_down(struct nvme *nvme)
{
    nvme->csts = (nvme->csts & ~CSTS_SHST) | CSTS_SHST_BUSY;
    if (nvme->shutting_down)
        return;
    nvme->shutting_down = true;
    nvme->flying++;
    nvme->shutdown = (struct block_request){.op = BLOCK_FLUSH, .done = shutdown_done, .opaque = nvme};
    block_submit(nvme->wires.disk, &nvme->shutdown);
}

static void write_cc(struct nvme *nvme, uint32_t value)
{
    uint32_t before = nvme->cc;

    /* While what was disabled isn't at rest, it can't be enabled (3.1.5). */
    if (value & ~before & CC_EN && nvme->csts & CSTS_RDY)
        value &= ~CC_EN;
    nvme->cc = value & CC_WRITABLE;
    if (value & CC_SHN && !(before & CC_SHN))
        shut_down(nvme);
    if (value & ~before & CC_EN)
        enable(nvme);
    else if (before & ~value & CC_EN)
        disable(nvme);
}

/* --- Registers. */

static uint64_t read_quad(const struct nvme *nvme, unsigned reg)
{
    switch (reg) {
    case REG_CAP:
        return CAP;
    case REG_VS:
        return VERSION | (uint64_t)nvme->mask << 32;
    case REG_INTMC:
        return nvme->mask | (uint64_t)nvme->cc << 32;
    case REG_CSTS & ~7:
        return (uint64_t)nvme->csts << 32;
    case REG_AQA & ~7:
        return (uint64_t)nvme->aqa << 32;
    case REG_ASQ:
        return nvme->asq;
    case REG_ACQ:
        return nvme->acq;
    default:
        return 0;
    }
}

static uint64_t mmio_read(void *dev, uint64_t addr, unsigned size)
{
    uint64_t value = addr < DOORBELLS ? read_quad(dev, (unsigned)addr & ~7u) >> (addr & 7) * 8 : 0;

    return size == 8 ? value : value & ((1ull << size * 8) - 1);
}

static void set_half(uint64_t *address, unsigned reg, uint32_t value)
{
    *address = reg & 4 ? (*address & UINT32_MAX) | (uint64_t)value << 32 : (*address >> 32 << 32) | value;
    *address &= ~(NVME_PAGE - 1ull);
}

static void write_register(struct nvme *nvme, unsigned reg, uint32_t value)
{
    bool enabled = nvme->cc & CC_EN;

    switch (reg) {
    case REG_INTMS:
    case REG_INTMC:
        nvme->mask = reg == REG_INTMS ? nvme->mask | value : nvme->mask & ~value;
        nvme_update_irq(nvme);
        break;
    case REG_CC:
        write_cc(nvme, value);
        break;
    case REG_AQA:
        nvme->aqa = enabled ? nvme->aqa : value & 0x0FFF0FFF;
        break;
    case REG_ASQ:
    case REG_ASQ + 4:
        if (!enabled)
            set_half(&nvme->asq, reg, value);
        break;
    case REG_ACQ:
    case REG_ACQ + 4:
        if (!enabled)
            set_half(&nvme->acq, reg, value);
        break;
    }
}

/* Registers are written in whole, or the 64-bit ones in halves (3.1). */
static void mmio_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct nvme *nvme = dev;

    if (size < 4 || addr & 3)
        return;
    if (addr >= DOORBELLS) {
        nvme->ringing = true;
        nvme_doorbell(nvme, (unsigned)(addr - DOORBELLS) / 4, (uint32_t)value);
        nvme->ringing = false;
        block_collect(nvme->wires.disk);
        return;
    }
    write_register(nvme, (unsigned)addr, (uint32_t)value);
    if (size == 8)
        write_register(nvme, (unsigned)addr + 4, (uint32_t)(value >> 32));
}

static const struct bus_ops mmio_ops = {mmio_read, mmio_write, 8};

/* --- PCI. */

static void map(struct nvme *nvme)
{
    uint64_t base = pci_bar_address(&nvme->function, 0);

    pci_move_region(nvme->region, base, base != PCI_BAR_UNMAPPED);
    pci_msix_written(&nvme->msix);
}

static void config_written(void *dev, unsigned reg, unsigned size)
{
    struct nvme *nvme = dev;

    (void)reg;
    (void)size;
    map(nvme);
    nvme_update_irq(nvme);
    nvme_go(nvme);
}

/* The vendor is the one of the graphics adapter, which is nobody's: drivers go by the class. */
static void init_config(struct nvme *nvme)
{
    struct pci_function *function = &nvme->function;

    memset(function->config, 0, sizeof(function->config));
    pci_set(function, PCI_VENDOR_ID, 0x1234, 2);
    pci_set(function, PCI_DEVICE_ID, 0x4E56, 2);
    pci_set(function, PCI_CLASS, 0x010802, 3); /* NVMe, I/O controller */
    pci_set(function, PCI_SUBSYSTEM_VENDOR, PCI_SUBSYSTEM_BOARD_VENDOR, 2);
    pci_set(function, PCI_SUBSYSTEM_ID, PCI_SUBSYSTEM_BOARD, 2);
    pci_set(function, PCI_INTERRUPT_PIN, 1, 1);
    pci_allow(function, PCI_COMMAND, PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE, 2);
    pci_allow(function, 0x0C, 0xFF, 1); /* cache line size */
    pci_allow(function, PCI_INTERRUPT_LINE, 0xFF, 1);
    pci_init_bar(function, 0, BAR_SIZE, PCI_BAR_MEMORY64);
    pci_msix_reset(&nvme->msix);
}

/* --- State. */

static const struct field function_fields[] = {FIELD_ARRAY(struct pci_function, config), FIELD_END};

static const struct field error_fields[] = {
    FIELD(struct nvme_error, count),
    FIELD(struct nvme_error, lba),
    FIELD(struct nvme_error, namespace_id),
    FIELD(struct nvme_error, queue),
    FIELD(struct nvme_error, id),
    FIELD(struct nvme_error, status),
    FIELD_END,
};

static const struct field nvme_fields[] = {
    FIELD_STRUCT(struct nvme, function, function_fields),
    FIELD_STRUCT(struct nvme, msix, pci_msix_fields),
    FIELD(struct nvme, asq),
    FIELD(struct nvme, acq),
    FIELD(struct nvme, mask),
    FIELD(struct nvme, cc),
    FIELD(struct nvme, csts),
    FIELD(struct nvme, aqa),
    FIELD_STRUCTS(struct nvme, submission, nvme_submission_fields),
    FIELD_STRUCTS(struct nvme, completion, nvme_completion_fields),
    FIELD_STRUCTS(struct nvme, command, nvme_command_fields),
    FIELD(struct nvme, turn),
    FIELD_ARRAY(struct nvme, feature),
    FIELD_ARRAY(struct nvme, event_id),
    FIELD(struct nvme, event_requests),
    FIELD(struct nvme, event_pending),
    FIELD(struct nvme, event_masked),
    FIELD_STRUCTS(struct nvme, error, error_fields),
    FIELD(struct nvme, errors),
    FIELD(struct nvme, sectors_read),
    FIELD(struct nvme, sectors_written),
    FIELD(struct nvme, reads),
    FIELD(struct nvme, writes),
    FIELD(struct nvme, media_errors),
    FIELD_END,
};

static void nvme_reset(void *device)
{
    struct nvme *nvme = device;

    init_config(nvme);
    nvme->asq = nvme->acq = 0;
    nvme->cc = nvme->aqa = 0;
    nvme->errors = nvme->media_errors = 0;
    nvme->sectors_read = nvme->sectors_written = nvme->reads = nvme->writes = 0;
    disable(nvme);
    map(nvme);
}

/* A shutdown that was under way, and a reset that waited, are over: nothing is with the medium. */
static void nvme_loaded(void *device)
{
    struct nvme *nvme = device;

    if (nvme->event_requests > NVME_EVENTS)
        nvme->event_requests = 0;
    map(nvme);
    if (!(nvme->cc & CC_EN))
        nvme->csts &= ~CSTS_RDY;
    nvme_queues_loaded(nvme);
    if ((nvme->csts & CSTS_SHST) == CSTS_SHST_BUSY)
        shut_down(nvme);
}

static void nvme_free(void *device)
{
    struct nvme *nvme = device;

    if (!nvme)
        return;
    for (unsigned n = 0; n < NVME_COMMANDS; n++)
        sg_free(&nvme->command[n].sg);
    pci_bus_remove(nvme->wires.pci, &nvme->function);
    free(nvme);
}

const struct device_class nvme_class = {
    .name = "nvme",
    .reset = nvme_reset,
    .loaded = nvme_loaded,
    .free = nvme_free,
    .state = nvme_fields,
};

/* --- Construction. */

struct nvme *nvme_new(const struct nvme_wires *wires)
{
    struct nvme *nvme = calloc(1, sizeof(*nvme));

    if (!nvme)
        return NULL;
    nvme->wires = *wires;
    nvme->function.name = "NVMe";
    nvme->function.dev = nvme;
    nvme->function.written = config_written;
    nvme->region = bus_map(wires->memory, "nvme", 0xE0000000, REGISTERS_SIZE, &mmio_ops, nvme);
    if (!nvme->region ||
        !pci_msix_init(&nvme->msix, &nvme->function, wires->memory, "nvme-msix", MSIX, NVME_QUEUES, 0,
                       REGISTERS_SIZE) ||
        !pci_bus_add(wires->pci, wires->slot, 0, &nvme->function)) {
        nvme_free(nvme);
        return NULL;
    }
    nvme_reset(nvme);
    return nvme;
}
