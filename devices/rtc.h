/*
 * rtc.h - MC146818A real-time clock with the PC's battery-backed CMOS RAM.
 *
 * Locking: all calls with the machine lock held.
 */
#ifndef DEVICES_RTC_H
#define DEVICES_RTC_H

#include <stdbool.h>
#include <stdint.h>

#include "core/bus.h"
#include "core/clock.h"
#include "core/device.h"
#include "core/irq.h"
#include "core/log.h"

struct rtc;

extern const struct device_class rtc_class;

/*
 * The clock at ports 0x70 to 0x73, showing clock_wall() as UTC until the guest sets it. `log` may be NULL.
 * NULL when memory ran out.
 */
struct rtc *rtc_new(struct clock *clock, struct bus *ports, struct irq irq8, struct log *log);

/*
 * Sets a byte of CMOS RAM as firmware's setup would: 0x0E to 0x7F in the first bank, 0x80 to 0xFF in the
 * second. The clock's own registers (below 0x0E, and the century at 0x32 and 0x37) can't be set so; such a
 * call has no effect.
 */
void rtc_set_cmos(struct rtc *rtc, uint8_t index, uint8_t value);

/* Bit 7 of what was last written to port 0x70: the board holds NMIs back. */
bool rtc_nmi_masked(const struct rtc *rtc);

#endif
