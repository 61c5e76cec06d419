/*
 * uart.h - 16550A serial port.
 *
 * Locking: all calls with the machine lock held.
 */
#ifndef DEVICES_UART_H
#define DEVICES_UART_H

#include "core/bus.h"
#include "core/chardev.h"
#include "core/clock.h"
#include "core/device.h"
#include "core/irq.h"
#include "core/log.h"

struct uart;

extern const struct device_class uart_class;

/*
 * A port at `base` to base+7. What the guest sends goes to `chr`, and the port becomes its receiver; NULL is
 * a port with nothing but silence at the other end. `log` may be NULL. NULL when memory ran out.
 */
struct uart *uart_new(struct bus *ports, uint16_t base, struct irq irq, struct chardev *chr,
                      struct clock *clock, struct log *log);

/* The other end sends a break (Linux: the first half of magic SysRq). Lost when there is no room for a
 * character. */
void uart_receive_break(struct uart *uart);

#endif
