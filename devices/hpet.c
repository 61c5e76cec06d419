/*
 * hpet.c - high precision event timers: a 64-bit counter at 100 MHz and three comparators.
 *
 * In: the clock, and the lines of PIT and RTC. Out: I/O APIC inputs, IRQ0 and IRQ8.
 *
 * The counter is worked out from the time that has passed since it was started. A timer remembers up to which
 * value of the counter it has looked for a match (`seen`); hpet_sync() looks at the rest, (seen, now],
 * advances periodic comparators past it, and interrupts once for however many matches it found. Host timers
 * are armed only for timers with their interrupt enabled.
 *
 * As in real chips, a comparator matches when the counter is equal to it: one that is set to a value just
 * passed waits for the counter to come round. All three timers can be periodic and 64 bits wide; none
 * delivers through the front side bus.
 */
#include "devices/hpet.h"

#include <stdlib.h>

#define TIMERS      3
#define NS_PER_TICK 10u
#define PERIOD_FS   (NS_PER_TICK * 1000000ull)

/* Interrupts that follow each other faster than this are merged, so that a guest can't keep the host busy
 * with them. */
#define FASTEST_NS 10000u

#define REG_CAPABILITIES 0x000
#define REG_CONFIG       0x010
#define REG_STATUS       0x020
#define REG_COUNTER      0x0F0
#define REG_TIMERS       0x100 /* 0x20 bytes a timer */
#define TIMER_CONFIG     0x00
#define TIMER_COMPARATOR 0x08

#define CAP_REVISION    1ull
#define CAP_COUNTER_64  (1ull << 13)
#define CAP_LEGACY      (1ull << 15)
#define CAP_VENDOR      (0x8086ull << 16)
#define CONFIG_ENABLE   1
#define CONFIG_LEGACY   2
#define TN_LEVEL        (1ull << 1)
#define TN_ENABLE       (1ull << 2)
#define TN_PERIODIC     (1ull << 3)
#define TN_CAN_PERIODIC (1ull << 4)
#define TN_CAN_64       (1ull << 5)
#define TN_VAL_SET      (1ull << 6)
#define TN_32BIT        (1ull << 8)
#define TN_ROUTE_SHIFT  9
#define TN_ROUTE        (31ull << TN_ROUTE_SHIFT)
#define TN_CAP_SHIFT    32
#define TN_WRITABLE     (TN_LEVEL | TN_ENABLE | TN_PERIODIC | TN_VAL_SET | TN_32BIT | TN_ROUTE)

/* Outputs in the order of the bits of `levels`: the I/O APIC's, then IRQ0 and IRQ8. */
#define OUT_IRQ0 HPET_ROUTES
#define OUT_IRQ8 (HPET_ROUTES + 1)
#define OUTPUTS  (HPET_ROUTES + 2)

struct hpet_timer {
    uint64_t config;     /* the writable bits */
    uint64_t comparator; /* matches when the counter reaches it */
    uint64_t period;     /* added at a match, in periodic mode */
    uint64_t seen;       /* counter value up to which matches have been handled */
    bool set_high_half;  /* VAL_SET also covers the upper half of the write that used it up */
};

struct hpet {
    struct hpet_timer timer[TIMERS];
    uint64_t config, status;
    uint64_t counter; /* value at `since` */
    uint64_t since;   /* clock ns at which it was started; meaningless while it stands */
    bool pit_level, rtc_level;
    uint32_t levels; /* what each output was last driven to by a level-triggered timer or by PIT and RTC */
    struct irq out[OUTPUTS];
    struct timer alarm; /* for the next match of any timer */
    struct clock *clock;
    struct log *log;
};

/* Timers 0 and 1 reach inputs 20 to 23, timer 2 also 11. */
static const uint32_t route_cap[TIMERS] = {0x00F00000, 0x00F00000, 0x00F00800};

static uint64_t hpet_counter_at(const struct hpet *hpet, uint64_t now)
{
    if (!(hpet->config & CONFIG_ENABLE) || now < hpet->since)
        return hpet->counter;
    return hpet->counter + (now - hpet->since) / NS_PER_TICK;
}

static uint64_t hpet_counter(const struct hpet *hpet)
{
    return hpet_counter_at(hpet, clock_now(hpet->clock));
}

static uint64_t timer_mask(const struct hpet_timer *timer)
{
    return timer->config & TN_32BIT ? UINT32_MAX : UINT64_MAX;
}

/* The output a timer drives, or -1 when it is routed nowhere. */
static int hpet_output(const struct hpet *hpet, int n)
{
    int route = (hpet->timer[n].config & TN_ROUTE) >> TN_ROUTE_SHIFT;

    if (hpet->config & CONFIG_LEGACY && n < 2)
        return n == 0 ? OUT_IRQ0 : OUT_IRQ8;
    return route_cap[n] >> route & 1 ? route : -1;
}

/* The levels that the status bits, the PIT and the RTC ask for. */
static uint32_t hpet_levels(const struct hpet *hpet)
{
    uint32_t levels = 0;

    for (int n = 0; n < TIMERS && hpet->config & CONFIG_ENABLE; n++) {
        uint64_t active = TN_LEVEL | TN_ENABLE;
        int output = hpet_output(hpet, n);

        if (output >= 0 && hpet->status >> n & 1 && (hpet->timer[n].config & active) == active)
            levels |= 1u << output;
    }
    if (!(hpet->config & CONFIG_LEGACY))
        levels |= (uint32_t)hpet->pit_level << OUT_IRQ0 | (uint32_t)hpet->rtc_level << OUT_IRQ8;
    return levels;
}

static void hpet_drive(struct hpet *hpet)
{
    uint32_t levels = hpet_levels(hpet);
    uint32_t changed = levels ^ hpet->levels;

    hpet->levels = levels;
    for (int i = 0; i < OUTPUTS; i++)
        if (changed >> i & 1)
            irq_set(&hpet->out[i], levels >> i & 1);
}

/* Ticks until the timer's comparator is next equal to the counter, less one (so that 2^64 fits). */
static uint64_t timer_distance(const struct hpet_timer *timer, uint64_t counter)
{
    return (timer->comparator - counter - 1) & timer_mask(timer);
}

/* Handles the matches in (seen, counter]; true when there were any. */
static bool timer_match(struct hpet_timer *timer, uint64_t counter)
{
    uint64_t elapsed = counter - timer->seen;
    uint64_t distance = timer_distance(timer, timer->seen);

    timer->seen = counter;
    if (elapsed <= distance)
        return false;
    if (timer->config & TN_PERIODIC && timer->period)
        timer->comparator += ((elapsed - distance - 1) / timer->period + 1) * timer->period;
    timer->comparator &= timer_mask(timer);
    return true;
}

static void hpet_fire(struct hpet *hpet, int n)
{
    int output = hpet_output(hpet, n);

    if (hpet->timer[n].config & TN_LEVEL)
        hpet->status |= 1u << n;
    else if (hpet->timer[n].config & TN_ENABLE && output >= 0 && !(hpet->levels >> output & 1))
        irq_pulse(&hpet->out[output]);
}

/* Catches up with the counter. */
static void hpet_sync(struct hpet *hpet)
{
    uint64_t counter = hpet_counter(hpet);

    if (!(hpet->config & CONFIG_ENABLE))
        return;
    for (int n = 0; n < TIMERS; n++)
        if (timer_match(&hpet->timer[n], counter))
            hpet_fire(hpet, n);
    hpet_drive(hpet);
}

/* Arms the alarm for the next match that will interrupt. Call after hpet_sync(). */
static void hpet_arm(struct hpet *hpet)
{
    uint64_t now = clock_now(hpet->clock), next = CLOCK_NEVER;

    for (int n = 0; n < TIMERS && hpet->config & CONFIG_ENABLE; n++) {
        const struct hpet_timer *timer = &hpet->timer[n];
        uint64_t ticks = timer_distance(timer, timer->seen);
        uint64_t when;

        if (!(timer->config & TN_ENABLE) || (timer->config & TN_LEVEL && hpet->status >> n & 1))
            continue;
        if (__builtin_add_overflow(ticks, timer->seen - hpet->counter + 1, &ticks) ||
            __builtin_mul_overflow(ticks, NS_PER_TICK, &when) ||
            __builtin_add_overflow(when, hpet->since, &when))
            continue;
        if (timer->config & TN_PERIODIC && timer->period < FASTEST_NS / NS_PER_TICK &&
            when < now + FASTEST_NS)
            when = now + FASTEST_NS;
        if (when < next)
            next = when;
    }
    timer_arm(&hpet->alarm, next);
}

static void hpet_expired(void *opaque)
{
    hpet_sync(opaque);
    hpet_arm(opaque);
}

static void hpet_set_pit(void *opaque, int n, bool level)
{
    struct hpet *hpet = opaque;

    (void)n;
    hpet->pit_level = level;
    hpet_drive(hpet);
}

static void hpet_set_rtc(void *opaque, int n, bool level)
{
    struct hpet *hpet = opaque;

    (void)n;
    hpet->rtc_level = level;
    hpet_drive(hpet);
}

struct irq hpet_pit_input(struct hpet *hpet)
{
    return (struct irq){hpet_set_pit, hpet, 0};
}

struct irq hpet_rtc_input(struct hpet *hpet)
{
    return (struct irq){hpet_set_rtc, hpet, 8};
}

static uint64_t timer_read(const struct hpet *hpet, unsigned n, unsigned reg)
{
    const struct hpet_timer *timer = &hpet->timer[n];

    switch (reg) {
    case TIMER_CONFIG:
        return (timer->config & ~TN_VAL_SET) | TN_CAN_PERIODIC | TN_CAN_64 |
               (uint64_t)route_cap[n] << TN_CAP_SHIFT;
    case TIMER_COMPARATOR:
        return timer->comparator & timer_mask(timer);
    default:
        return 0;
    }
}

/* A whole register. `reg` is a multiple of 8 below HPET_SIZE. */
static uint64_t hpet_read_register(const struct hpet *hpet, unsigned reg)
{
    switch (reg) {
    case REG_CAPABILITIES:
        return PERIOD_FS << 32 | CAP_VENDOR | CAP_LEGACY | CAP_COUNTER_64 | (TIMERS - 1) << 8 | CAP_REVISION;
    case REG_CONFIG:
        return hpet->config;
    case REG_STATUS:
        return hpet->status;
    case REG_COUNTER:
        return hpet_counter(hpet);
    default:
        if (reg >= REG_TIMERS && reg < REG_TIMERS + TIMERS * 0x20)
            return timer_read(hpet, (reg - REG_TIMERS) / 0x20, reg & 0x1F);
        return 0;
    }
}

static uint64_t hpet_read(void *dev, uint64_t addr, unsigned size)
{
    struct hpet *hpet = dev;
    unsigned reg = addr & ~7u;
    uint64_t value;

    if (addr & (size - 1))
        return UINT64_MAX;
    if (reg == REG_STATUS || reg >= REG_TIMERS) {
        hpet_sync(hpet);
        hpet_arm(hpet);
    }
    value = hpet_read_register(hpet, reg) >> (addr & 7) * 8;
    return size == 8 ? value : value & ((1ull << size * 8) - 1);
}

/* Starting and stopping, and who owns IRQ0 and IRQ8. */
static void hpet_write_config(struct hpet *hpet, uint64_t value)
{
    uint64_t now = clock_now(hpet->clock);

    if ((hpet->config ^ value) & CONFIG_ENABLE) {
        hpet->counter = hpet_counter_at(hpet, now);
        hpet->since = now;
    }
    hpet->config = value & (CONFIG_ENABLE | CONFIG_LEGACY);
}

static void hpet_write_counter(struct hpet *hpet, uint64_t value)
{
    if (hpet->config & CONFIG_ENABLE)
        log_at(hpet->log, LOG_GUEST, "hpet", "main counter written while it runs");
    hpet->counter = value;
    hpet->since = clock_now(hpet->clock);
    for (int n = 0; n < TIMERS; n++)
        hpet->timer[n].seen = value - 1; /* a comparator that says just this matches too */
}

static void timer_write_config(struct hpet *hpet, unsigned n, uint64_t value)
{
    struct hpet_timer *timer = &hpet->timer[n];
    unsigned route = (value & TN_ROUTE) >> TN_ROUTE_SHIFT;

    value &= TN_WRITABLE;
    if (!(route_cap[n] >> route & 1)) /* a route that isn't there doesn't stick (HPET 2.3.8) */
        value = (value & ~TN_ROUTE) | (timer->config & TN_ROUTE);
    timer->config = value;
    timer->comparator &= timer_mask(timer);
    timer->period &= timer_mask(timer);
    if (!(value & TN_LEVEL))
        hpet->status &= ~(1ull << n);
}

/*
 * In periodic mode a write gives the period, and the comparator follows only under VAL_SET, which the write
 * uses up. A 64-bit timer may be written in two halves, low one first, after setting VAL_SET once. `lanes`
 * has ones where the write has bytes.
 */
static void timer_write_comparator(struct hpet *hpet, unsigned n, uint64_t value, uint64_t lanes)
{
    struct hpet_timer *timer = &hpet->timer[n];
    bool periodic = timer->config & TN_PERIODIC;
    bool low_half = lanes & 1;

    if (low_half)
        timer->set_high_half = timer->config & TN_VAL_SET;
    lanes &= timer_mask(timer);
    if (!periodic || timer->config & TN_VAL_SET || (!low_half && timer->set_high_half)) {
        timer->comparator = (timer->comparator & ~lanes) | (value & lanes);
        timer->seen = hpet_counter(hpet) - 1; /* a match at this very tick counts */
    }
    if (periodic)
        timer->period = (timer->period & ~lanes) | (value & lanes);
    timer->config &= ~TN_VAL_SET;
}

static void hpet_write_register(struct hpet *hpet, unsigned reg, uint64_t value, uint64_t lanes)
{
    uint64_t merged = (hpet_read_register(hpet, reg) & ~lanes) | (value & lanes);
    unsigned n = (reg - REG_TIMERS) / 0x20;

    switch (reg) {
    case REG_CONFIG:
        hpet_write_config(hpet, merged);
        return;
    case REG_STATUS:
        hpet->status &= ~(value & lanes);
        return;
    case REG_COUNTER:
        hpet_write_counter(hpet, merged);
        return;
    }
    if (reg < REG_TIMERS || n >= TIMERS)
        return;
    if ((reg & 0x1F) == TIMER_CONFIG && lanes & 1) /* the upper half is read-only */
        timer_write_config(hpet, n, merged);
    else if ((reg & 0x1F) == TIMER_COMPARATOR)
        timer_write_comparator(hpet, n, value, lanes);
}

static void hpet_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct hpet *hpet = dev;
    unsigned shift = (addr & 7) * 8;

    if (size < 4 || addr & (size - 1)) {
        log_at(hpet->log, LOG_GUEST, "hpet", "%u-byte write at offset %#x ignored", size, (unsigned)addr);
        return;
    }
    hpet_sync(hpet);
    hpet_write_register(hpet, addr & ~7u, value << shift, (size == 8 ? UINT64_MAX : UINT32_MAX) << shift);
    hpet_sync(hpet);
    hpet_drive(hpet);
    hpet_arm(hpet);
}

static const struct bus_ops hpet_ops = {hpet_read, hpet_write, 8};

static void hpet_reset(void *device)
{
    struct hpet *hpet = device;

    for (int n = 0; n < TIMERS; n++)
        hpet->timer[n] = (struct hpet_timer){.comparator = UINT64_MAX};
    hpet->config = hpet->status = 0;
    hpet->counter = 0;
    hpet_drive(hpet);
    hpet_arm(hpet);
}

static void hpet_loaded(void *device)
{
    struct hpet *hpet = device;

    hpet->levels = hpet_levels(hpet);
    for (int i = 0; i < OUTPUTS; i++)
        irq_set(&hpet->out[i], hpet->levels >> i & 1);
    hpet_sync(hpet);
    hpet_arm(hpet);
}

static void hpet_free(void *device)
{
    struct hpet *hpet = device;

    timer_disarm(&hpet->alarm);
    free(hpet);
}

static const struct field hpet_timer_fields[] = {
    FIELD(struct hpet_timer, config),        FIELD(struct hpet_timer, comparator),
    FIELD(struct hpet_timer, period),        FIELD(struct hpet_timer, seen),
    FIELD(struct hpet_timer, set_high_half), FIELD_END,
};

static const struct field hpet_fields[] = {
    FIELD_STRUCTS(struct hpet, timer, hpet_timer_fields),
    FIELD(struct hpet, config),
    FIELD(struct hpet, status),
    FIELD(struct hpet, counter),
    FIELD(struct hpet, since),
    FIELD(struct hpet, pit_level),
    FIELD(struct hpet, rtc_level),
    FIELD_END,
};

const struct device_class hpet_class = {
    .name = "hpet",
    .reset = hpet_reset,
    .loaded = hpet_loaded,
    .free = hpet_free,
    .state = hpet_fields,
};

struct hpet *hpet_new(struct clock *clock, struct bus *mem, const struct irq routes[HPET_ROUTES],
                      struct irq irq0, struct irq irq8, struct log *log)
{
    struct hpet *hpet = calloc(1, sizeof(*hpet));

    if (!hpet)
        return NULL;
    for (int i = 0; i < HPET_ROUTES; i++)
        hpet->out[i] = routes[i];
    hpet->out[OUT_IRQ0] = irq0;
    hpet->out[OUT_IRQ8] = irq8;
    hpet->clock = clock;
    hpet->log = log;
    timer_init(&hpet->alarm, clock, "hpet", hpet_expired, hpet);
    hpet_reset(hpet);
    if (!bus_map(mem, "hpet", HPET_BASE, HPET_SIZE, &hpet_ops, hpet)) {
        hpet_free(hpet);
        return NULL;
    }
    return hpet;
}
