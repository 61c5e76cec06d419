/*
 * lapic_internal.h - what the local APIC's files share.
 *
 *     lapic.c            what is pending and in service, messages in and out, the LINT pins, reset and state
 *     lapic_timer.c      the timer
 *     lapic_registers.c  the register page, the MSRs, IA32_APIC_BASE: the software's side
 *     lapic_loan.c       its registers in an engine's hands
 */
#ifndef DEVICES_LAPIC_INTERNAL_H
#define DEVICES_LAPIC_INTERNAL_H

#include "core/clock.h"
#include "devices/lapic.h"

enum lvt { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVTS };

#define BASE_BSP  (1ull << 8)
#define BASE_EXTD (1ull << 10)
#define BASE_EN   (1ull << 11)

#define SVR_ENABLE (1u << 8)

#define LVT_VECTOR(lvt)     ((lvt)&0xFF)
#define LVT_MODE(lvt)       (((lvt) >> 8) & 7)
#define LVT_REMOTE_IRR      (1u << 14)
#define LVT_LEVEL           (1u << 15)
#define LVT_MASKED          (1u << 16)
#define LVT_READ_ONLY       (1u << 12 | LVT_REMOTE_IRR)
#define LVT_TIMER_MODE(lvt) (((lvt) >> 17) & 3)

#define ICR_LOGICAL        (1u << 11)
#define ICR_STATUS         (1u << 12)
#define ICR_ASSERT         (1u << 14)
#define ICR_LEVEL          (1u << 15)
#define ICR_SHORTHAND(icr) (((icr) >> 18) & 3)
#define ICR_SELF           (1u << 18)

#define ESR_SEND_ILLEGAL     (1u << 5)
#define ESR_RECEIVE_ILLEGAL  (1u << 6)
#define ESR_ILLEGAL_REGISTER (1u << 7)

struct lapic {
    /* wiring */
    struct clock *clock;
    struct apic_bus *bus;
    struct log *log;
    struct lapic_wires wires;
    uint32_t id;
    unsigned phys_bits;
    struct timer timer;
    bool intr; /* level of wires.intr */
    const struct irqchip_tenant *tenant; /* who has the registers; NULL: nobody else */

    /* state */
    uint64_t base; /* IA32_APIC_BASE */
    uint32_t tpr, ldr, dfr, svr, esr, divide;
    uint32_t errors; /* seen since ESR was last written */
    uint64_t icr;
    uint32_t isr[8], tmr[8], irr[8];
    uint32_t lvt[LVTS];
    bool lint[2];        /* levels of the pins */
    bool extint_message; /* an ExtINT came as a message and waits for its INTA */
    uint32_t initial;    /* timer: reload value */
    uint32_t count;      /* timer: what the counter held ... */
    uint64_t count_time; /* ... at this clock time, or 0 and stopped */
    uint64_t deadline;   /* TSC-deadline mode: clock ns */
    uint64_t deadline_raw;
};

static inline bool lapic_enabled(const struct lapic *lapic)
{
    return lapic->base & BASE_EN;
}

static inline bool lapic_in_x2apic(const struct lapic *lapic)
{
    return lapic->base & BASE_EXTD;
}

static inline uint32_t lapic_xapic_id(const struct lapic *lapic)
{
    return lapic->id & 0xFF;
}

/* The logical ID that x2APIC mode derives from the ID (SDM 3A 10.12.10.2). */
static inline uint32_t lapic_x2apic_ldr(const struct lapic *lapic)
{
    return (lapic->id >> 4) << 16 | 1u << (lapic->id & 15);
}

/* lapic.c. After whatever changes a priority or a request, update_irq drives INTR. */
void lapic_update_irq(struct lapic *lapic);
bool lapic_wants_intr(const struct lapic *lapic);
unsigned lapic_ppr(const struct lapic *lapic);
int lapic_acknowledge(void *lapic);
void lapic_end_of_interrupt(struct lapic *lapic);
/* An LVT's source fires: the timer, an error, or an edge or level on a LINT pin. */
void lapic_local_interrupt(struct lapic *lapic, enum lvt n);
void lapic_service_level_lint0(struct lapic *lapic);
void lapic_raise_error(struct lapic *lapic, uint32_t error);
void lapic_send_ipi(struct lapic *lapic, uint32_t icr, uint32_t dest);
void lapic_reset_registers(struct lapic *lapic);

/* lapic_timer.c */
void lapic_timer_init(struct lapic *lapic);
void lapic_timer_reset(struct lapic *lapic);
void lapic_timer_loaded(struct lapic *lapic);
/* One that is due fires now, not when the event loop looks. */
void lapic_timer_settle(struct lapic *lapic);
void lapic_timer_taken_back(struct lapic *lapic, const struct apic_registers *registers);
uint32_t lapic_timer_current(const struct lapic *lapic);
void lapic_timer_set_initial(struct lapic *lapic, uint32_t value);
void lapic_timer_set_divide(struct lapic *lapic, uint32_t value);
void lapic_timer_set_lvt(struct lapic *lapic, uint32_t value);
void lapic_timer_set_tsc_deadline(void *lapic, uint64_t deadline, uint64_t raw);
uint64_t lapic_timer_get_tsc_deadline(void *lapic);

/* lapic_loan.c: core/intc.h's lend and take_back. */
void lapic_lend(void *lapic, const struct irqchip_tenant *tenant, struct apic_registers *registers);
void lapic_take_back(void *lapic, const struct apic_registers *registers);

/* lapic_registers.c: tells the machine where the page is. */
void lapic_tell_base(struct lapic *lapic);

#endif
