/*
 * irq.h - an interrupt line as a value.
 *
 * A device drives its line with irq_set(); it never knows which controller, pin or inverter is at the other
 * end. The machine wires lines when it creates devices. A line that nobody listens to is the zero value.
 *
 * Locking: the machine lock is held by whoever drives a line.
 */
#ifndef CORE_IRQ_H
#define CORE_IRQ_H

#include <stdbool.h>

struct irq {
    void (*fn)(void *opaque, int n, bool level);
    void *opaque;
    int n;
};

static inline void irq_set(const struct irq *irq, bool level)
{
    if (irq->fn)
        irq->fn(irq->opaque, irq->n, level);
}

/* A rising edge followed by a falling one: what an edge-triggered input sees as one request. */
static inline void irq_pulse(const struct irq *irq)
{
    irq_set(irq, true);
    irq_set(irq, false);
}

#endif
