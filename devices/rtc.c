/*
 * rtc.c - MC146818A real-time clock and 256 bytes of CMOS RAM in two banks.
 *
 * In: clock_wall() for the date, clock_now() for the periodic rate. Out: IRQ8.
 *
 * The chip's time is wall time plus an offset that changes when the guest sets the clock; the bytes of the
 * time registers are worked out when they are read. Only while the clock is stopped (SET, or the divider held
 * in reset) do the bytes in cmos[] themselves hold the time. The flags of register C are brought up to date
 * by rtc_sync(), which looks at what has passed since the last look; timers are armed only for enabled
 * interrupts.
 *
 * Differences from the bare chip: changing the data mode (BCD or binary, 12 or 24 hours) of a running clock
 * changes how the time is shown and not the time; all undocumented divider settings run at the normal rate;
 * daylight saving (DSE) and the square wave pin are remembered but do nothing.
 */
#include "devices/rtc.h"

#include <stdlib.h>

enum rtc_register {
    RTC_SECONDS = 0x00,
    RTC_SECONDS_ALARM = 0x01,
    RTC_MINUTES = 0x02,
    RTC_MINUTES_ALARM = 0x03,
    RTC_HOURS = 0x04,
    RTC_HOURS_ALARM = 0x05,
    RTC_WEEKDAY = 0x06,
    RTC_DAY = 0x07,
    RTC_MONTH = 0x08,
    RTC_YEAR = 0x09,
    RTC_A = 0x0A,
    RTC_B = 0x0B,
    RTC_C = 0x0C,
    RTC_D = 0x0D,
    RTC_CENTURY = 0x32,
    RTC_CENTURY_PS2 = 0x37,
};

#define A_UIP         0x80
#define A_DIVIDER     0x70
#define A_32768HZ     0x20
#define A_RESET       0x60 /* both bits: the divider stands still */
#define A_RATE        0x0F
#define B_SET         0x80
#define B_PIE         0x40
#define B_AIE         0x20
#define B_UIE         0x10
#define B_SQWE        0x08
#define B_BINARY      0x04
#define B_24H         0x02
#define C_IRQF        0x80
#define C_PF          0x40 /* the flags stand where B has their enables */
#define C_AF          0x20
#define C_UF          0x10
#define C_FLAGS       (C_PF | C_AF | C_UF)
#define D_VRT         0x80 /* the battery is good */
#define HOUR_PM       0x80
#define ALARM_ANY     0xC0 /* both bits: this field matches always */
#define INDEX_NMI     0x80
#define BANK          0x80
#define OSCILLATOR_HZ 32768ull

/* An update takes 1984 us and UIP leads it by 244 us (MC146818A, table 6). */
#define UIP_NS 2228000ull
/* The first update comes half a second after the divider is released (MC146818A, register A). */
#define RELEASE_NS (NS_PER_SEC / 2)

#define SECONDS_PER_DAY 86400
#define EPOCH_DAYS      719528      /* from 0000-01-01 to 1970-01-01 */
#define EPOCH_WEEKDAY   4           /* a Thursday */
#define OFFSET_LIMIT    (1ll << 40) /* more than the calendar's 10000 years */

struct rtc {
    uint8_t cmos[2 * BANK]; /* the RAM; the time only while stopped */
    uint8_t index, index2;  /* ports 0x70 and 0x72, without bit 7 */
    bool nmi_masked;
    uint8_t a, b, c;
    int64_t offset_s;     /* chip time minus wall time, seconds */
    uint32_t offset_ns;   /* and nanoseconds, 0 to 999999999 */
    uint8_t weekday_skew; /* 0 to 6 days between the weekday shown and the date's own */
    int64_t last_second;  /* the chip's second when the flags were last looked at */
    uint64_t rate_base;   /* clock ns at which the divider was released */
    uint64_t rate_seen;   /* periods since then when the flags were last looked at */
    struct timer update_timer, rate_timer;
    struct clock *clock;
    struct irq irq8;
    struct log *log;
};

/* Chip time in seconds since 1970 and ns within the second. */
struct rtc_time {
    int64_t s;
    uint32_t ns;
};

static const uint16_t days_before_month[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};

static bool leap_year(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Days from 0000-01-01 to the first day of `year`, in the Gregorian calendar; year >= 0. */
static int64_t days_before_year(int64_t year)
{
    return year * 365 + (year + 3) / 4 - (year + 99) / 100 + (year + 399) / 400;
}

static int64_t days_before(int64_t year, unsigned month)
{
    return days_before_year(year) + days_before_month[month - 1] + (month > 2 && leap_year(year));
}

static bool rtc_stopped(const struct rtc *rtc)
{
    return rtc->b & B_SET || (rtc->a & A_RESET) == A_RESET;
}

static struct rtc_time rtc_now(const struct rtc *rtc)
{
    uint64_t wall = clock_wall(rtc->clock);
    uint64_t ns = wall % NS_PER_SEC + rtc->offset_ns;

    return (struct rtc_time){(int64_t)(wall / NS_PER_SEC) + rtc->offset_s + (ns >= NS_PER_SEC),
                             ns % NS_PER_SEC};
}

static uint8_t rtc_encode(const struct rtc *rtc, unsigned value)
{
    return rtc->b & B_BINARY ? value : (value / 10 % 10) << 4 | value % 10;
}

static unsigned rtc_decode(const struct rtc *rtc, uint8_t raw)
{
    return rtc->b & B_BINARY ? raw : (raw >> 4) * 10u + (raw & 15);
}

static uint8_t rtc_encode_hour(const struct rtc *rtc, unsigned hour)
{
    if (rtc->b & B_24H)
        return rtc_encode(rtc, hour);
    return rtc_encode(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static unsigned rtc_decode_hour(const struct rtc *rtc, uint8_t raw)
{
    if (rtc->b & B_24H)
        return rtc_decode(rtc, raw);
    return rtc_decode(rtc, raw & ~HOUR_PM) % 12 + (raw & HOUR_PM ? 12 : 0);
}

/* 0 is Sunday. */
static unsigned natural_weekday(int64_t days)
{
    int64_t weekday = (days - EPOCH_DAYS + EPOCH_WEEKDAY) % 7;

    return weekday < 0 ? weekday + 7 : weekday;
}

static void split_seconds(int64_t s, int64_t *days, uint32_t *second_of_day)
{
    int64_t rest = s % SECONDS_PER_DAY;

    *days = s / SECONDS_PER_DAY + EPOCH_DAYS;
    if (rest < 0) {
        rest += SECONDS_PER_DAY;
        --*days;
    }
    *second_of_day = rest;
}

/* Fills the time registers with the second `s`. */
static void rtc_show(struct rtc *rtc, int64_t s)
{
    int64_t days, year;
    uint32_t second;
    unsigned month = 12;

    split_seconds(s, &days, &second);
    if (days < 0)
        days = 0;
    year = days / 366; /* early by a year in 500 */
    while (days_before_year(year + 1) <= days)
        year++;
    while (days_before(year, month) > days)
        month--;

    rtc->cmos[RTC_SECONDS] = rtc_encode(rtc, second % 60);
    rtc->cmos[RTC_MINUTES] = rtc_encode(rtc, second / 60 % 60);
    rtc->cmos[RTC_HOURS] = rtc_encode_hour(rtc, second / 3600);
    rtc->cmos[RTC_WEEKDAY] = rtc_encode(rtc, (natural_weekday(days) + rtc->weekday_skew) % 7 + 1);
    rtc->cmos[RTC_DAY] = rtc_encode(rtc, days - days_before(year, month) + 1);
    rtc->cmos[RTC_MONTH] = rtc_encode(rtc, month);
    rtc->cmos[RTC_YEAR] = rtc_encode(rtc, year % 100);
    rtc->cmos[RTC_CENTURY] = rtc->cmos[RTC_CENTURY_PS2] = rtc_encode(rtc, year / 100 % 100);
}

/*
 * Sets the running time to what the registers say, keeping the phase within the second. Fields out of range
 * carry into the next one; months are forced into the year.
 */
static void rtc_take(struct rtc *rtc)
{
    unsigned month = rtc_decode(rtc, rtc->cmos[RTC_MONTH]);
    int64_t year = rtc_decode(rtc, rtc->cmos[RTC_CENTURY]) * 100 + rtc_decode(rtc, rtc->cmos[RTC_YEAR]);
    int64_t days, s;

    month = month < 1 ? 1 : month > 12 ? 12 : month;
    days = days_before(year, month) + rtc_decode(rtc, rtc->cmos[RTC_DAY]) - 1;
    s = (days - EPOCH_DAYS) * SECONDS_PER_DAY + rtc_decode_hour(rtc, rtc->cmos[RTC_HOURS]) * 3600 +
        rtc_decode(rtc, rtc->cmos[RTC_MINUTES]) * 60 + rtc_decode(rtc, rtc->cmos[RTC_SECONDS]);
    /* The chip counts weekdays on their own; what was written there is right by definition. */
    rtc->weekday_skew = (rtc_decode(rtc, rtc->cmos[RTC_WEEKDAY]) + 13 - natural_weekday(days)) % 7;
    rtc->offset_s += s - rtc_now(rtc).s;
    rtc->last_second = s;
}

static void rtc_set_phase(struct rtc *rtc, uint64_t ns)
{
    rtc->offset_ns = (ns + NS_PER_SEC - clock_wall(rtc->clock) % NS_PER_SEC) % NS_PER_SEC;
}

static bool alarm_field(uint8_t alarm, uint8_t value)
{
    return (alarm & ALARM_ANY) == ALARM_ANY || alarm == value;
}

static bool rtc_alarm_at(const struct rtc *rtc, int64_t s)
{
    int64_t days;
    uint32_t second;

    split_seconds(s, &days, &second);
    return alarm_field(rtc->cmos[RTC_SECONDS_ALARM], rtc_encode(rtc, second % 60)) &&
           alarm_field(rtc->cmos[RTC_MINUTES_ALARM], rtc_encode(rtc, second / 60 % 60)) &&
           alarm_field(rtc->cmos[RTC_HOURS_ALARM], rtc_encode_hour(rtc, second / 3600));
}

/* The period of PF in ticks of the oscillator, 0 when it is off. The two fastest settings repeat slower ones.
 */
static uint64_t rtc_period(const struct rtc *rtc)
{
    unsigned rate = rtc->a & A_RATE;

    if (!rate || (rtc->a & A_RESET) == A_RESET)
        return 0;
    return 1u << (rate <= 2 ? rate + 6 : rate - 1);
}

static uint64_t rtc_periods(const struct rtc *rtc)
{
    uint64_t period = rtc_period(rtc);
    uint64_t now = clock_now(rtc->clock);

    if (!period || now < rtc->rate_base)
        return 0;
    return clock_ns_to_ticks(now - rtc->rate_base, OSCILLATOR_HZ) / period;
}

/* Sets the flags for all that has happened since the last look. */
static void rtc_sync(struct rtc *rtc)
{
    uint64_t periods = rtc_periods(rtc);
    int64_t s;

    if (periods != rtc->rate_seen)
        rtc->c |= C_PF;
    rtc->rate_seen = periods;
    if (rtc_stopped(rtc))
        return;
    s = rtc_now(rtc).s;
    if (s > rtc->last_second) {
        rtc->c |= C_UF;
        if (s - rtc->last_second > SECONDS_PER_DAY) /* every alarm comes once a day */
            rtc->last_second = s - SECONDS_PER_DAY;
        while (rtc->last_second < s && !(rtc->c & C_AF))
            if (rtc_alarm_at(rtc, ++rtc->last_second))
                rtc->c |= C_AF;
    }
    rtc->last_second = s;
}

/* Drives IRQ8 from the flags and times the next one that can matter. */
static void rtc_update(struct rtc *rtc)
{
    uint64_t period = rtc_period(rtc);
    uint64_t update = CLOCK_NEVER, rate = CLOCK_NEVER;

    rtc->c &= C_FLAGS;
    if (rtc->c & rtc->b)
        rtc->c |= C_IRQF;
    irq_set(&rtc->irq8, rtc->c & C_IRQF);
    /* A flag that is set already has nothing to add until register C is read. */
    if (rtc->b & (B_UIE | B_AIE) & ~rtc->c && !rtc_stopped(rtc))
        update = clock_now(rtc->clock) + NS_PER_SEC - rtc_now(rtc).ns;
    if (rtc->b & B_PIE & ~rtc->c && period)
        rate = rtc->rate_base + clock_ticks_to_ns((rtc->rate_seen + 1) * period, OSCILLATOR_HZ);
    timer_arm(&rtc->update_timer, update);
    timer_arm(&rtc->rate_timer, rate);
}

static void rtc_expired(void *opaque)
{
    rtc_sync(opaque);
    rtc_update(opaque);
}

/* Changes registers A and B, starting or stopping the clock as they say. */
static void rtc_control(struct rtc *rtc, uint8_t a, uint8_t b)
{
    bool was_stopped = rtc_stopped(rtc);
    bool was_reset = (rtc->a & A_RESET) == A_RESET;
    bool stop = b & B_SET || (a & A_RESET) == A_RESET;

    if (!was_stopped && stop)
        rtc_show(rtc, rtc_now(rtc).s);
    if (!(rtc->b & B_SET) && b & B_SET)
        b &= ~B_UIE;
    rtc->a = a & ~A_UIP;
    rtc->b = b;
    if (was_reset && (a & A_RESET) != A_RESET) {
        rtc_set_phase(rtc, RELEASE_NS);
        rtc->rate_base = clock_now(rtc->clock);
    }
    if (was_stopped && !stop)
        rtc_take(rtc);
    rtc->rate_seen = rtc_periods(rtc);
}

static bool is_time(uint8_t index)
{
    return index == RTC_CENTURY || index == RTC_CENTURY_PS2 ||
           (index <= RTC_YEAR && index != RTC_SECONDS_ALARM && index != RTC_MINUTES_ALARM &&
            index != RTC_HOURS_ALARM);
}

static void rtc_write_time(struct rtc *rtc, uint8_t index, uint8_t value)
{
    if (!rtc_stopped(rtc))
        rtc_show(rtc, rtc_now(rtc).s);
    rtc->cmos[index] = value;
    if (index == RTC_CENTURY || index == RTC_CENTURY_PS2)
        rtc->cmos[RTC_CENTURY] = rtc->cmos[RTC_CENTURY_PS2] = value;
    if (!rtc_stopped(rtc))
        rtc_take(rtc);
}

static void rtc_write_cmos(struct rtc *rtc, uint8_t index, uint8_t value)
{
    if (index >= RTC_A && index <= RTC_D)
        rtc_sync(rtc);
    switch (index) {
    case RTC_A:
        if ((value & A_RESET) != A_RESET && (value & A_DIVIDER) != A_32768HZ)
            log_at(rtc->log, LOG_GUEST, "rtc", "register A %#x is not for a 32768 Hz crystal", value);
        rtc_control(rtc, value, rtc->b);
        break;
    case RTC_B:
        rtc_control(rtc, rtc->a, value);
        break;
    case RTC_C:
    case RTC_D: /* read-only */
        break;
    case RTC_SECONDS_ALARM:
    case RTC_MINUTES_ALARM:
    case RTC_HOURS_ALARM:
        rtc_sync(rtc); /* what has passed was measured by the old alarm */
        rtc->cmos[index] = value;
        break;
    default:
        if (!is_time(index)) {
            rtc->cmos[index] = value;
            return;
        }
        rtc_sync(rtc);
        rtc_write_time(rtc, index, value);
        break;
    }
    rtc_update(rtc);
}

static uint8_t rtc_read_c(struct rtc *rtc)
{
    uint8_t flags;

    rtc_sync(rtc);
    rtc_update(rtc);
    flags = rtc->c;
    rtc->c = 0;
    rtc_update(rtc);
    return flags;
}

static uint8_t rtc_read_cmos(struct rtc *rtc, uint8_t index)
{
    struct rtc_time now = rtc_now(rtc);

    switch (index) {
    case RTC_A:
        return rtc->a | (!rtc_stopped(rtc) && now.ns >= NS_PER_SEC - UIP_NS ? A_UIP : 0);
    case RTC_B:
        return rtc->b;
    case RTC_C:
        return rtc_read_c(rtc);
    case RTC_D:
        return D_VRT;
    default:
        if (is_time(index) && !rtc_stopped(rtc))
            rtc_show(rtc, now.s);
        return rtc->cmos[index];
    }
}

static uint64_t rtc_read(void *dev, uint64_t addr, unsigned size)
{
    struct rtc *rtc = dev;

    (void)size;
    switch (addr) {
    case 1:
        return rtc_read_cmos(rtc, rtc->index);
    case 3:
        return rtc->cmos[BANK | rtc->index2];
    default:
        return 0xFF; /* the index ports are write-only */
    }
}

static void rtc_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct rtc *rtc = dev;

    (void)size;
    switch (addr) {
    case 0:
        rtc->nmi_masked = value & INDEX_NMI;
        rtc->index = value & (BANK - 1);
        break;
    case 1:
        rtc_write_cmos(rtc, rtc->index, value);
        break;
    case 2:
        rtc->index2 = value & (BANK - 1);
        break;
    default:
        rtc->cmos[BANK | rtc->index2] = value;
        break;
    }
}

static const struct bus_ops rtc_ops = {rtc_read, rtc_write, 1};

void rtc_set_cmos(struct rtc *rtc, uint8_t index, uint8_t value)
{
    if (index > RTC_D && !is_time(index))
        rtc->cmos[index] = value;
}

bool rtc_nmi_masked(const struct rtc *rtc)
{
    return rtc->nmi_masked;
}

/* RESET# stops the interrupts; time, calendar and RAM live on the battery (MC146818A, RESET pin). */
static void rtc_reset(void *device)
{
    struct rtc *rtc = device;

    rtc->b &= ~(B_PIE | B_AIE | B_UIE | B_SQWE);
    rtc->c = 0;
    rtc->index = rtc->index2 = 0;
    rtc->nmi_masked = false;
    rtc_update(rtc);
}

static void rtc_loaded(void *device)
{
    struct rtc *rtc = device;

    rtc->index &= BANK - 1;
    rtc->index2 &= BANK - 1;
    rtc->offset_ns %= NS_PER_SEC;
    rtc->weekday_skew %= 7;
    if (llabs(rtc->offset_s) > OFFSET_LIMIT)
        rtc->offset_s = 0;
    if (llabs(rtc->last_second) > 2 * OFFSET_LIMIT)
        rtc->last_second = rtc_now(rtc).s;
    rtc_sync(rtc);
    rtc_update(rtc);
}

static void rtc_free(void *device)
{
    struct rtc *rtc = device;

    timer_disarm(&rtc->update_timer);
    timer_disarm(&rtc->rate_timer);
    free(rtc);
}

static const struct field rtc_fields[] = {
    FIELD_ARRAY(struct rtc, cmos),  FIELD(struct rtc, index),
    FIELD(struct rtc, index2),      FIELD(struct rtc, nmi_masked),
    FIELD(struct rtc, a),           FIELD(struct rtc, b),
    FIELD(struct rtc, c),           FIELD(struct rtc, offset_s),
    FIELD(struct rtc, offset_ns),   FIELD(struct rtc, weekday_skew),
    FIELD(struct rtc, last_second), FIELD(struct rtc, rate_base),
    FIELD(struct rtc, rate_seen),   FIELD_END,
};

const struct device_class rtc_class = {
    .name = "rtc",
    .reset = rtc_reset,
    .loaded = rtc_loaded,
    .free = rtc_free,
    .state = rtc_fields,
};

struct rtc *rtc_new(struct clock *clock, struct bus *ports, struct irq irq8, struct log *log)
{
    struct rtc *rtc = calloc(1, sizeof(*rtc));

    if (!rtc)
        return NULL;
    rtc->clock = clock;
    rtc->irq8 = irq8;
    rtc->log = log;
    rtc->a = A_32768HZ | 6; /* 1024 Hz, as firmware leaves it */
    rtc->b = B_24H;
    rtc->last_second = rtc_now(rtc).s;
    rtc->rate_seen = rtc_periods(rtc);
    timer_init(&rtc->update_timer, clock, "rtc update", rtc_expired, rtc);
    timer_init(&rtc->rate_timer, clock, "rtc rate", rtc_expired, rtc);
    rtc_reset(rtc);
    if (!bus_map(ports, "rtc", 0x70, 4, &rtc_ops, rtc)) {
        rtc_free(rtc);
        return NULL;
    }
    return rtc;
}
