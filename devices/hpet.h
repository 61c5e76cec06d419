/*
 * hpet.h - high precision event timers (IA-PC HPET specification 1.0a).
 *
 * Locking: all calls with the machine lock held.
 */
#ifndef DEVICES_HPET_H
#define DEVICES_HPET_H

#include "core/bus.h"
#include "core/clock.h"
#include "core/device.h"
#include "core/irq.h"
#include "core/log.h"

#define HPET_BASE   0xFED00000ull
#define HPET_SIZE   0x400ull
#define HPET_ROUTES 24

struct hpet;

extern const struct device_class hpet_class;

/*
 * Three timers at HPET_BASE. routes[n] is I/O APIC input n; of those the timers use 11 (timer 2 only) and 20
 * to 23.
 *
 * irq0 and irq8 are what IRQ0 and IRQ8 are connected to (PIC line and I/O APIC input together). The PIT and
 * the RTC reach them through hpet_pit_input() and hpet_rtc_input(), and are cut off while legacy replacement
 * gives the two lines to timers 0 and 1. `log` may be NULL. NULL when memory ran out.
 */
struct hpet *hpet_new(struct clock *clock, struct bus *mem, const struct irq routes[HPET_ROUTES],
                      struct irq irq0, struct irq irq8, struct log *log);

struct irq hpet_pit_input(struct hpet *hpet);
struct irq hpet_rtc_input(struct hpet *hpet);

#endif
