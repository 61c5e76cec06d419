/*
 * acpi_pm.c - ACPI fixed hardware (ACPI 6.3, 4.8) with the register layout of the PIIX4's power management
 * function.
 *
 * In: ports, the power button, GPE lines, the clock. Out: SCI as a level, power-off. Sleep states other than
 * S5 are not offered by the tables and are ignored with a line in the guest log.
 */
#include "devices/acpi_pm.h"

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/log.h"

/* Offsets from ACPI_PM_BASE. */
#define REG_STATUS     0x0
#define REG_ENABLE     0x2
#define REG_CONTROL    0x4
#define REG_TIMER      0x8
#define REG_GPE_STATUS 0xC
#define REG_GPE_ENABLE 0xE

/* PM1 status and enable */
#define PM1_TMR    (1u << 0)
#define PM1_GBL    (1u << 5)
#define PM1_PWRBTN (1u << 8)
#define PM1_RTC    (1u << 10)
#define PM1_ENABLE (PM1_TMR | PM1_GBL | PM1_PWRBTN | PM1_RTC)

/* PM1 control */
#define CNT_SCI_EN       (1u << 0)
#define CNT_SLP_TYP(cnt) (((cnt) >> 10) & 7)
#define CNT_SLP_EN       (1u << 13)
#define CNT_WRITABLE     0x1C02u /* SLP_TYP, BM_RLD; SCI_EN is firmware's, GBL_RLS and SLP_EN read as 0 */

#define TIMER_MASK 0xFFFFFFu
#define TIMER_HALF 0x800000u /* TMR_STS is set whenever bit 23 changes */

struct acpi_pm {
    struct clock *clock;
    struct log *log;
    struct acpi_pm_wires wires;
    struct region *region;
    struct timer overflow;
    bool sci; /* level of wires.sci */

    uint16_t status, enable, control;
    uint16_t gpe_status, gpe_enable, gpe_lines;
    uint64_t overflow_tick; /* the next at which bit 23 changes and sets TMR_STS, in ticks since power-on */
    uint8_t smi_command, smi_data;
};

static uint64_t ticks(const struct acpi_pm *pm)
{
    return clock_ns_to_ticks(clock_now(pm->clock), ACPI_PM_HZ);
}

static void catch_up(struct acpi_pm *pm)
{
    uint64_t now = ticks(pm);

    if (now < pm->overflow_tick)
        return;
    pm->status |= PM1_TMR;
    pm->overflow_tick = (now / TIMER_HALF + 1) * TIMER_HALF;
}

/* While SCI_EN is clear the events would raise SMIs, for firmware that isn't there. */
static void update_irq(struct acpi_pm *pm)
{
    bool sci;

    catch_up(pm);
    sci = (pm->control & CNT_SCI_EN) &&
          ((pm->status & pm->enable & PM1_ENABLE) || (pm->gpe_status & pm->gpe_enable));
    if (sci != pm->sci) {
        pm->sci = sci;
        irq_set(&pm->wires.sci, sci);
    }
    /* Nobody notices an overflow that is not enabled or already pending until the status is read. */
    if ((pm->enable & PM1_TMR) && !(pm->status & PM1_TMR))
        timer_arm(&pm->overflow, clock_ticks_to_ns(pm->overflow_tick, ACPI_PM_HZ));
    else
        timer_disarm(&pm->overflow);
}

static void overflowed(void *opaque)
{
    update_irq(opaque);
}

bool acpi_pm_power_button(struct acpi_pm *pm)
{
    pm->status |= PM1_PWRBTN;
    update_irq(pm);
    return (pm->control & CNT_SCI_EN) && (pm->enable & PM1_PWRBTN);
}

static void gpe_changed(void *opaque, int n, bool level)
{
    struct acpi_pm *pm = opaque;
    uint16_t bit = 1u << n;

    if (level && !(pm->gpe_lines & bit))
        pm->gpe_status |= bit;
    pm->gpe_lines = level ? pm->gpe_lines | bit : pm->gpe_lines & ~bit;
    update_irq(pm);
}

void acpi_pm_map(struct acpi_pm *pm, uint16_t base, bool enabled)
{
    region_set(pm->region, base, enabled, 0);
}

struct irq acpi_pm_gpe(struct acpi_pm *pm, unsigned n)
{
    return (struct irq){n < 16 ? gpe_changed : NULL, pm, n};
}

static void write_control(struct acpi_pm *pm, uint16_t value)
{
    pm->control = (pm->control & ~CNT_WRITABLE) | (value & CNT_WRITABLE);
    if (!(value & CNT_SLP_EN))
        return;
    if (CNT_SLP_TYP(value) == ACPI_PM_SLP_S5)
        irq_set(&pm->wires.poweroff, true);
    else
        log_at(pm->log, LOG_GUEST, "acpi_pm", "sleep type %u is not supported", CNT_SLP_TYP(value));
}

static uint8_t read_byte(struct acpi_pm *pm, unsigned offset, uint32_t timer)
{
    unsigned shift = (offset & 1) * 8;

    switch (offset & ~1u) {
    case REG_STATUS:
        return pm->status >> shift;
    case REG_ENABLE:
        return pm->enable >> shift;
    case REG_CONTROL:
        return pm->control >> shift;
    case REG_TIMER:
    case REG_TIMER + 2:
        return timer >> (offset & 3) * 8;
    case REG_GPE_STATUS:
        return pm->gpe_status >> shift;
    case REG_GPE_ENABLE:
        return pm->gpe_enable >> shift;
    default:
        return 0;
    }
}

/* The registers work byte by byte: status bits clear by writing 1, and sleep type and enable share a byte. */
static void write_byte(struct acpi_pm *pm, unsigned offset, uint8_t value)
{
    unsigned shift = (offset & 1) * 8;
    uint16_t bits = value << shift, keep = ~(0xFF << shift);

    switch (offset & ~1u) {
    case REG_STATUS:
        pm->status &= ~bits;
        break;
    case REG_ENABLE:
        pm->enable = ((pm->enable & keep) | bits) & PM1_ENABLE;
        break;
    case REG_CONTROL:
        write_control(pm, ((pm->control & keep) | bits));
        break;
    case REG_GPE_STATUS:
        pm->gpe_status &= ~bits;
        break;
    case REG_GPE_ENABLE:
        pm->gpe_enable = (pm->gpe_enable & keep) | bits;
        break;
    }
}

static uint64_t pm_read(void *dev, uint64_t addr, unsigned size)
{
    struct acpi_pm *pm = dev;
    uint32_t timer = ticks(pm) & TIMER_MASK, value = 0;

    catch_up(pm);
    for (unsigned i = 0; i < size; i++)
        value |= (uint32_t)read_byte(pm, addr + i, timer) << i * 8;
    return value;
}

static void pm_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct acpi_pm *pm = dev;

    catch_up(pm); /* an overflow before the write is before it in the status too */
    for (unsigned i = 0; i < size; i++)
        write_byte(pm, addr + i, value >> i * 8);
    update_irq(pm);
}

static uint64_t smi_read(void *dev, uint64_t addr, unsigned size)
{
    struct acpi_pm *pm = dev;

    (void)size;
    return addr ? pm->smi_data : pm->smi_command;
}

static void smi_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct acpi_pm *pm = dev;

    (void)size;
    if (addr) {
        pm->smi_data = value;
        return;
    }
    pm->smi_command = value;
    if (pm->smi_command == ACPI_PM_ENABLE)
        pm->control |= CNT_SCI_EN;
    else if (pm->smi_command == ACPI_PM_DISABLE)
        pm->control &= ~CNT_SCI_EN;
    else
        irq_pulse(&pm->wires.smi);
    update_irq(pm);
}

static const struct bus_ops pm_ops = {pm_read, pm_write, 4};
static const struct bus_ops smi_ops = {smi_read, smi_write, 1};

static const struct field acpi_pm_fields[] = {
    FIELD(struct acpi_pm, status),        FIELD(struct acpi_pm, enable),
    FIELD(struct acpi_pm, control),       FIELD(struct acpi_pm, gpe_status),
    FIELD(struct acpi_pm, gpe_enable),    FIELD(struct acpi_pm, gpe_lines),
    FIELD(struct acpi_pm, overflow_tick), FIELD(struct acpi_pm, smi_command),
    FIELD(struct acpi_pm, smi_data),      FIELD_END};

static void acpi_pm_reset(void *device)
{
    struct acpi_pm *pm = device;

    pm->status = pm->enable = pm->control = 0;
    pm->gpe_status = pm->gpe_enable = 0;
    pm->smi_command = pm->smi_data = 0;
    pm->overflow_tick = (ticks(pm) / TIMER_HALF + 1) * TIMER_HALF;
    update_irq(pm);
}

static void acpi_pm_loaded(void *device)
{
    struct acpi_pm *pm = device;

    update_irq(pm);
    irq_set(&pm->wires.sci, pm->sci);
}

static void acpi_pm_free(void *device)
{
    struct acpi_pm *pm = device;

    if (!pm)
        return;
    timer_disarm(&pm->overflow);
    free(pm);
}

struct acpi_pm *acpi_pm_new(struct clock *clock, struct bus *ports, const struct acpi_pm_wires *wires,
                            struct log *log)
{
    struct acpi_pm *pm = calloc(1, sizeof(*pm));

    if (!pm)
        return NULL;
    pm->region = bus_map(ports, "acpi-pm", ACPI_PM_BASE, ACPI_PM_SIZE, &pm_ops, pm);
    if (!pm->region || !bus_map(ports, "smi-command", ACPI_PM_SMI, 2, &smi_ops, pm)) {
        free(pm);
        return NULL;
    }
    pm->clock = clock;
    pm->log = log;
    pm->wires = *wires;
    timer_init(&pm->overflow, clock, "pm timer overflow", overflowed, pm);
    acpi_pm_reset(pm);
    return pm;
}

const struct device_class acpi_pm_class = {"acpi_pm", acpi_pm_reset, acpi_pm_loaded, acpi_pm_free,
                                           acpi_pm_fields};
