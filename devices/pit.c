/*
 * pit.c - 8254 programmable interval timer.
 *
 * In: the clock, gates (channels 0 and 1 always open, channel 2 from port 0x61). Out: IRQ0 from channel 0,
 * OUT of channel 2 readable at port 0x61.
 *
 * Nothing counts. A channel remembers the count that its counting element was loaded with and the tick at
 * which that happened; counts and outputs are worked out from the ticks that have passed when somebody looks.
 * A load that is yet to come (the chip loads on the clock pulse after a write, or at the end of a period)
 * stands in load_at until channel_sync() passes it. Ticks are numbered from power-on, so edges never drift.
 *
 * Example, mode 2 with a count of 4, written at tick 10:
 *
 *     tick    10 11 12 13 14 15 16 17 18
 *     count    -  4  3  2  1  4  3  2  1      loaded at 11 = since
 *     OUT      1  1  1  1  0  1  1  1  0      rises, and IRQ0 with it, at 15, 19, ...
 *
 * Only rising edges of OUT 0 are timed, since that is all an edge-triggered input can notice: the line's
 * falls happen together with the next rise.
 */
#include "devices/pit.h"

#include <stdlib.h>

#define CONTROL_BCD         0x01
#define CONTROL_READ_BACK   3 /* in the channel bits */
#define ACCESS_LATCH        0 /* in the access bits: latch the count */
#define ACCESS_LOW          1
#define ACCESS_HIGH         2
#define ACCESS_BOTH         3
#define READ_BACK_NO_STATUS 0x10
#define READ_BACK_NO_COUNT  0x20
#define STATUS_OUT          0x80
#define STATUS_NULL         0x40 /* the count written last is not in the counting element yet */

#define SPEAKER_GATE2   0x01
#define SPEAKER_WRITE   0x0F /* gate, speaker data, and the parity and channel check enables */
#define SPEAKER_REFRESH 0x10
#define SPEAKER_OUT2    0x20

#define REFRESH_TICKS 18 /* a PC refreshes a memory row every 15 us */
#define NEVER         UINT64_MAX

struct pit_channel {
    uint8_t mode;     /* 0 to 5 */
    uint8_t access;   /* ACCESS_LOW, _HIGH or _BOTH */
    bool bcd;         /* four decimal digits */
    bool gate;        /* the GATE pin */
    bool has_count;   /* a whole count was written since the control word */
    uint16_t written; /* the count register, as written */
    uint8_t low;      /* first byte of two */
    bool write_high;  /* the second byte is due, writing and reading */
    bool read_high;
    bool count_latched, status_latched;
    uint16_t count_latch;
    uint8_t status_latch;
    bool null_count;  /* STATUS_NULL */
    bool loaded;      /* the counting element holds a count of this mode */
    bool counting;    /* and it moves: decremented at every tick after `since` */
    bool expired;     /* modes 0 and 4: stopped by the gate after it had reached zero */
    bool low_half;    /* mode 3: OUT was low at `since` */
    uint32_t count;   /* ticks, at `since`; up to 65536 */
    uint64_t since;   /* tick number */
    uint64_t load_at; /* tick at which `written` enters the counting element, NEVER when nothing is due */
};

struct pit {
    struct pit_channel channel[3];
    uint8_t speaker;  /* the writable bits of port 0x61 */
    uint64_t rise_at; /* tick of the next rise of OUT 0 that the irq line hasn't seen */
    struct timer timer;
    struct clock *clock;
    struct irq irq0;
    struct log *log;
};

static uint64_t pit_ticks(const struct pit *pit)
{
    return clock_ns_to_ticks(clock_now(pit->clock), PIT_HZ);
}

/* A count as written, in ticks; 0 stands for the largest. */
static uint32_t count_decode(uint16_t raw, bool bcd)
{
    if (!bcd)
        return raw ? raw : 0x10000;
    if (!raw)
        return 10000;
    return (raw >> 12) * 1000 + (raw >> 8 & 15) * 100 + (raw >> 4 & 15) * 10 + (raw & 15);
}

static uint16_t count_encode(uint32_t count, bool bcd)
{
    if (!bcd)
        return count;
    return (count / 1000 % 10) << 12 | (count / 100 % 10) << 8 | (count / 10 % 10) << 4 | count % 10;
}

static bool channel_periodic(const struct pit_channel *ch)
{
    return ch->mode == 2 || ch->mode == 3;
}

static uint64_t channel_elapsed(const struct pit_channel *ch, uint64_t tick)
{
    return ch->counting && tick > ch->since ? tick - ch->since : 0;
}

/* Ticks of mode 3's high half; an odd count's extra tick is in it (8254, mode 3). */
static uint32_t channel_high_half(const struct pit_channel *ch)
{
    return (ch->count + 1) / 2;
}

/* Ticks since the current period began. Only for a counting channel in mode 2 or 3. */
static uint32_t channel_phase(const struct pit_channel *ch, uint64_t tick)
{
    return (channel_elapsed(ch, tick) + (ch->low_half ? channel_high_half(ch) : 0)) % ch->count;
}

static bool channel_out(const struct pit_channel *ch, uint64_t tick)
{
    uint64_t elapsed = channel_elapsed(ch, tick);

    switch (ch->mode) {
    case 0:
        return ch->expired || (ch->counting && elapsed >= ch->count);
    case 1:
        return !(ch->counting && elapsed < ch->count);
    case 2:
        /* A count of 1 is illegal here; OUT stays high then. */
        return !(ch->counting && ch->count > 1 && channel_phase(ch, tick) == ch->count - 1);
    case 3:
        return !(ch->counting && channel_phase(ch, tick) >= channel_high_half(ch));
    default:
        return !(ch->counting && !ch->expired && elapsed == ch->count);
    }
}

/* The counting element's value, 0 to 65536. */
static uint32_t channel_count(const struct pit_channel *ch, uint64_t tick)
{
    uint32_t range = ch->bcd ? 10000 : 0x10000;
    uint32_t phase;

    if (!ch->counting)
        return ch->count;
    switch (ch->mode) {
    case 2:
        return ch->count - channel_phase(ch, tick);
    case 3:
        /* It counts by twos, through the count twice a period, from the next lower even number when odd. */
        phase = channel_phase(ch, tick);
        if (phase >= channel_high_half(ch))
            phase -= channel_high_half(ch);
        return (ch->count & ~1u) - 2 * phase;
    default:
        return (ch->count + range - channel_elapsed(ch, tick) % range) % range;
    }
}

/* Performs the load that came due at or before `tick`. */
static void channel_sync(struct pit_channel *ch, uint64_t tick)
{
    uint64_t at = ch->load_at;

    if (at > tick)
        return;
    ch->low_half = ch->mode == 3 && ch->counting && !channel_out(ch, at);
    ch->count = count_decode(ch->written, ch->bcd);
    ch->since = at;
    ch->load_at = NEVER;
    ch->loaded = true;
    ch->counting = ch->gate || ch->mode == 1 || ch->mode == 5;
    ch->expired = false;
    ch->null_count = false;
}

/* Stops counting at `tick`, keeping the value. */
static void channel_freeze(struct pit_channel *ch, uint64_t tick)
{
    uint64_t elapsed = channel_elapsed(ch, tick);

    if (!ch->counting)
        return;
    if (!channel_periodic(ch) && !ch->expired && elapsed < ch->count) {
        ch->count -= elapsed;
    } else {
        ch->count = channel_count(ch, tick);
        ch->expired = !channel_periodic(ch);
    }
    ch->counting = false;
}

/* The first tick after `tick` at which OUT rises if nothing is loaded before. */
static uint64_t channel_rise_as_loaded(const struct pit_channel *ch, uint64_t tick)
{
    uint64_t elapsed = channel_elapsed(ch, tick);
    uint64_t once;

    if (!ch->counting || ch->expired)
        return NEVER;
    if (channel_periodic(ch))
        return ch->count > 1 ? tick + ch->count - channel_phase(ch, tick) : NEVER;
    once = ch->mode <= 1 ? ch->count : ch->count + 1; /* modes 4 and 5 strobe low for a tick */
    return elapsed < once ? ch->since + once : NEVER;
}

/* The first tick after `tick` at which OUT rises. */
static uint64_t channel_rise(const struct pit_channel *ch, uint64_t tick)
{
    struct pit_channel next = *ch;
    uint64_t rise = channel_rise_as_loaded(ch, tick);

    if (ch->load_at == NEVER)
        return rise;
    /* A one-shot triggered again at its very end stays low; elsewhere the old count's edge still comes. */
    if (rise < ch->load_at || (rise == ch->load_at && ch->mode != 1))
        return rise;
    channel_sync(&next, next.load_at);
    return channel_rise_as_loaded(&next, next.since);
}

/* Where the current period of mode 2, or half period of mode 3, ends. */
static uint64_t channel_boundary(const struct pit_channel *ch, uint64_t tick)
{
    uint32_t phase = channel_phase(ch, tick);
    uint32_t high = channel_high_half(ch);

    if (ch->mode == 3 && phase < high)
        return tick + high - phase;
    return tick + ch->count - phase;
}

static void channel_set_gate(struct pit_channel *ch, bool level, uint64_t tick)
{
    channel_sync(ch, tick);
    if (level == ch->gate)
        return;
    ch->gate = level;
    switch (ch->mode) {
    case 0:
    case 4: /* the gate holds the count */
        if (!level) {
            channel_freeze(ch, tick);
        } else if (ch->loaded) {
            ch->since = tick;
            ch->counting = true;
        }
        break;
    case 2:
    case 3: /* it holds OUT high, and opening it starts a period */
        channel_freeze(ch, tick);
        ch->load_at = level && ch->has_count ? tick + 1 : NEVER;
        break;
    default: /* a rise triggers, the level doesn't matter */
        if (level && ch->has_count)
            ch->load_at = tick + 1;
        break;
    }
}

static void channel_control(struct pit_channel *ch, uint8_t value, uint64_t tick)
{
    channel_sync(ch, tick);
    channel_freeze(ch, tick);
    ch->mode = value >> 1 & 7;
    if (ch->mode > 5)
        ch->mode -= 4; /* modes 2 and 3 ignore the top bit */
    ch->access = value >> 4 & 3;
    ch->bcd = value & CONTROL_BCD;
    ch->has_count = ch->loaded = ch->expired = false;
    ch->write_high = ch->read_high = false;
    ch->count_latched = ch->status_latched = false;
    ch->null_count = true;
    ch->load_at = NEVER;
}

/* A whole count has been written. */
static void channel_set_count(struct pit_channel *ch, uint16_t value, uint64_t tick)
{
    ch->written = value;
    ch->has_count = true;
    ch->null_count = true;
    switch (ch->mode) {
    case 0:
    case 4:
        ch->load_at = tick + 1;
        break;
    case 2:
    case 3: /* a running period, or half of mode 3's, is finished with the old count */
        if (ch->load_at != NEVER)
            break;
        if (ch->counting)
            ch->load_at = channel_boundary(ch, tick);
        else if (!ch->loaded)
            ch->load_at = tick + 1;
        break;
    default: /* waits for a trigger */
        break;
    }
}

static void channel_write(struct pit_channel *ch, uint8_t value, uint64_t tick)
{
    channel_sync(ch, tick);
    if (ch->mode == 0) { /* the first byte already stops the count and pulls OUT low (8254, mode 0) */
        channel_freeze(ch, tick);
        ch->loaded = ch->expired = false;
        ch->load_at = NEVER;
    }
    switch (ch->access) {
    case ACCESS_LOW:
        channel_set_count(ch, value, tick);
        break;
    case ACCESS_HIGH:
        channel_set_count(ch, value << 8, tick);
        break;
    default:
        if (ch->write_high)
            channel_set_count(ch, value << 8 | ch->low, tick);
        else
            ch->low = value;
        ch->write_high = !ch->write_high;
        break;
    }
}

/* Latches hold what they caught first until it is read. */
static void channel_latch(struct pit_channel *ch, bool count, bool status, uint64_t tick)
{
    channel_sync(ch, tick);
    if (count && !ch->count_latched) {
        ch->count_latch = count_encode(channel_count(ch, tick), ch->bcd);
        ch->count_latched = true;
    }
    if (status && !ch->status_latched) {
        ch->status_latch = (channel_out(ch, tick) ? STATUS_OUT : 0) | (ch->null_count ? STATUS_NULL : 0) |
                           ch->access << 4 | ch->mode << 1 | ch->bcd;
        ch->status_latched = true;
    }
}

static uint8_t channel_read(struct pit_channel *ch, uint64_t tick)
{
    bool high = ch->access == ACCESS_HIGH || (ch->access == ACCESS_BOTH && ch->read_high);
    uint16_t count;

    channel_sync(ch, tick);
    if (ch->status_latched) {
        ch->status_latched = false;
        return ch->status_latch;
    }
    count = ch->count_latched ? ch->count_latch : count_encode(channel_count(ch, tick), ch->bcd);
    if (ch->access == ACCESS_BOTH)
        ch->read_high = !ch->read_high;
    if (!ch->read_high)
        ch->count_latched = false;
    return high ? count >> 8 : count;
}

/* Shows IRQ0 the edges up to now and times the next one. Several that were missed count as one. */
static void pit_update(struct pit *pit, uint64_t tick)
{
    struct pit_channel *ch = &pit->channel[0];

    channel_sync(ch, tick);
    if (pit->rise_at <= tick) {
        irq_set(&pit->irq0, false);
        irq_set(&pit->irq0, true);
    }
    irq_set(&pit->irq0, channel_out(ch, tick));
    pit->rise_at = channel_rise(ch, tick);
    timer_arm(&pit->timer, pit->rise_at == NEVER ? CLOCK_NEVER : clock_ticks_to_ns(pit->rise_at, PIT_HZ));
}

static void pit_expired(void *opaque)
{
    pit_update(opaque, pit_ticks(opaque));
}

static void pit_read_back(struct pit *pit, uint8_t value, uint64_t tick)
{
    for (int i = 0; i < 3; i++)
        if (value & 2 << i)
            channel_latch(&pit->channel[i], !(value & READ_BACK_NO_COUNT), !(value & READ_BACK_NO_STATUS),
                          tick);
}

static void pit_control(struct pit *pit, uint8_t value, uint64_t tick)
{
    unsigned n = value >> 6;

    if (n == CONTROL_READ_BACK)
        pit_read_back(pit, value, tick);
    else if ((value >> 4 & 3) == ACCESS_LATCH)
        channel_latch(&pit->channel[n], true, false, tick);
    else
        channel_control(&pit->channel[n], value, tick);
}

static uint64_t pit_read(void *dev, uint64_t addr, unsigned size)
{
    struct pit *pit = dev;

    (void)size;
    if (addr >= 3)
        return 0xFF; /* the control word can't be read */
    return channel_read(&pit->channel[addr], pit_ticks(pit));
}

static void pit_write_count(struct pit *pit, unsigned n, uint8_t value, uint64_t tick)
{
    struct pit_channel *ch = &pit->channel[n];

    channel_write(ch, value, tick);
    if (channel_periodic(ch) && ch->has_count && ch->written == 1 && !ch->write_high)
        log_at(pit->log, LOG_GUEST, "pit", "channel %u: a count of 1 is illegal in mode %u", n, ch->mode);
}

static void pit_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct pit *pit = dev;
    uint64_t tick = pit_ticks(pit);

    (void)size;
    pit_update(pit, tick); /* edges up to now come from the old programming */
    if (addr >= 3)
        pit_control(pit, value, tick);
    else
        pit_write_count(pit, addr, value, tick);
    pit_update(pit, tick);
}

static uint64_t speaker_read(void *dev, uint64_t addr, unsigned size)
{
    struct pit *pit = dev;
    uint64_t tick = pit_ticks(pit);

    (void)addr, (void)size;
    channel_sync(&pit->channel[2], tick);
    return pit->speaker | (tick / REFRESH_TICKS & 1 ? SPEAKER_REFRESH : 0) |
           (channel_out(&pit->channel[2], tick) ? SPEAKER_OUT2 : 0);
}

static void speaker_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct pit *pit = dev;

    (void)addr, (void)size;
    pit->speaker = value & SPEAKER_WRITE;
    channel_set_gate(&pit->channel[2], value & SPEAKER_GATE2, pit_ticks(pit));
}

static const struct bus_ops pit_ops = {pit_read, pit_write, 1};
static const struct bus_ops speaker_ops = {speaker_read, speaker_write, 1};

/* The 8254 has no reset pin either; it wakes up silent, in mode 0 with nothing to count. */
static void pit_reset(void *device)
{
    struct pit *pit = device;

    for (int i = 0; i < 3; i++)
        pit->channel[i] =
            (struct pit_channel){.access = ACCESS_BOTH, .gate = i != 2, .null_count = true, .load_at = NEVER};
    pit->speaker = 0;
    pit->rise_at = NEVER;
    pit_update(pit, pit_ticks(pit));
}

static void pit_loaded(void *device)
{
    struct pit *pit = device;

    for (int i = 0; i < 3; i++) {
        struct pit_channel *ch = &pit->channel[i];

        /* Whatever the file said, no chip counts periods of nothing. */
        if (ch->mode > 5)
            ch->mode = 0;
        if (channel_periodic(ch) && !ch->count)
            ch->counting = false;
    }
    pit_update(pit, pit_ticks(pit));
}

static void pit_free(void *device)
{
    struct pit *pit = device;

    timer_disarm(&pit->timer);
    free(pit);
}

static const struct field pit_channel_fields[] = {
    FIELD(struct pit_channel, mode),
    FIELD(struct pit_channel, access),
    FIELD(struct pit_channel, bcd),
    FIELD(struct pit_channel, gate),
    FIELD(struct pit_channel, has_count),
    FIELD(struct pit_channel, written),
    FIELD(struct pit_channel, low),
    FIELD(struct pit_channel, write_high),
    FIELD(struct pit_channel, read_high),
    FIELD(struct pit_channel, count_latched),
    FIELD(struct pit_channel, status_latched),
    FIELD(struct pit_channel, count_latch),
    FIELD(struct pit_channel, status_latch),
    FIELD(struct pit_channel, null_count),
    FIELD(struct pit_channel, loaded),
    FIELD(struct pit_channel, counting),
    FIELD(struct pit_channel, expired),
    FIELD(struct pit_channel, low_half),
    FIELD(struct pit_channel, count),
    FIELD(struct pit_channel, since),
    FIELD(struct pit_channel, load_at),
    FIELD_END,
};

static const struct field pit_fields[] = {
    FIELD_STRUCTS(struct pit, channel, pit_channel_fields),
    FIELD(struct pit, speaker),
    FIELD(struct pit, rise_at),
    FIELD_END,
};

const struct device_class pit_class = {
    .name = "pit",
    .reset = pit_reset,
    .loaded = pit_loaded,
    .free = pit_free,
    .state = pit_fields,
};

struct pit *pit_new(struct clock *clock, struct bus *ports, struct irq irq0, struct log *log)
{
    struct pit *pit = calloc(1, sizeof(*pit));

    if (!pit)
        return NULL;
    pit->clock = clock;
    pit->irq0 = irq0;
    pit->log = log;
    timer_init(&pit->timer, clock, "pit", pit_expired, pit);
    pit_reset(pit);
    if (!bus_map(ports, "pit", 0x40, 4, &pit_ops, pit) ||
        !bus_map(ports, "speaker", 0x61, 1, &speaker_ops, pit)) {
        pit_free(pit);
        return NULL;
    }
    return pit;
}
