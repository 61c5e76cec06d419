/*
 * acpi_pm.h - ACPI fixed hardware: power management events, sleep control, PM timer, one general purpose
 * event block, and the SMI command port through which an OS takes over from firmware.
 */
#ifndef DEVICES_ACPI_PM_H
#define DEVICES_ACPI_PM_H

#include <stdbool.h>
#include <stdint.h>

#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"

/* As the FADT gives them; the same places and values as on other virtual PIIX4 machines. */
#define ACPI_PM_BASE    0x600
#define ACPI_PM_EVENT   (ACPI_PM_BASE + 0x0) /* 4 bytes: status, enable */
#define ACPI_PM_CONTROL (ACPI_PM_BASE + 0x4) /* 2 bytes */
#define ACPI_PM_TIMER   (ACPI_PM_BASE + 0x8) /* 4 bytes, 24 bits count */
#define ACPI_PM_GPE0    (ACPI_PM_BASE + 0xC) /* 4 bytes: 16 status bits, 16 enable bits */
#define ACPI_PM_SIZE    0x10
#define ACPI_PM_SMI     0xB2
#define ACPI_PM_ENABLE  0xF1 /* to the SMI command port: the OS takes over */
#define ACPI_PM_DISABLE 0xF0
#define ACPI_PM_HZ      3579545
#define ACPI_PM_SLP_S5  0 /* SLP_TYP of soft off */

struct acpi_pm;
struct clock;
struct log;

struct acpi_pm_wires {
    struct irq sci;      /* level */
    struct irq poweroff; /* called with true when the guest enters S5 */
    struct irq smi;      /* pulse: an SMI command that isn't ACPI enable or disable */
};

extern const struct device_class acpi_pm_class;

/* Maps its ports, at ACPI_PM_BASE until acpi_pm_map() says otherwise. NULL when memory ran out. */
struct acpi_pm *acpi_pm_new(struct clock *clock, struct bus *ports, const struct acpi_pm_wires *wires,
                            struct log *log);

/* The ACPI_PM_SIZE ports are at `base`, or nowhere; the SMI command port stays. */
void acpi_pm_map(struct acpi_pm *pm, uint16_t base, bool enabled);

/*
 * The power button is pressed. False when nobody listens: the guest has not enabled ACPI or the button's
 * event. Machine lock held.
 */
bool acpi_pm_power_button(struct acpi_pm *pm);

/* General purpose event n, 0 to 15: a rising edge latches its status bit. */
struct irq acpi_pm_gpe(struct acpi_pm *pm, unsigned n);

#endif
