/*
 * board.h - an empty board for tests of single chips: two buses, a clock whose hands the test turns, and
 * lines that remember what happened on them.
 */
#ifndef TESTS_UNIT_BOARD_H
#define TESTS_UNIT_BOARD_H

#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/bus.h"
#include "core/clock.h"
#include "core/device.h"
#include "core/irq.h"
#include "core/log.h"

struct board {
    uint64_t now;  /* clock ns */
    uint64_t wall; /* wall-clock ns at clock 0 */
    uint64_t random;
    pthread_mutex_t lock;
    struct clock *clock;
    struct bus *ports, *mem;
    struct log log; /* silent */
};

struct line {
    struct board *board;
    bool level;
    unsigned rises;
    uint64_t rose_at; /* clock ns of the last rise */
};

static inline uint64_t board_source_now(void *opaque)
{
    return ((struct board *)opaque)->now;
}

static inline uint64_t board_source_wall(void *opaque)
{
    struct board *board = opaque;

    return board->wall + board->now;
}

static inline void board_init(struct board *board)
{
    pthread_mutexattr_t attributes;
    struct clock_source source = {.now = board_source_now, .wall = board_source_wall, .opaque = board};

    memset(board, 0, sizeof(*board));
    board->random = 0x9E3779B97F4A7C15;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&board->lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
    board->clock = clock_new(&source);
    board->ports = bus_new("ports", 0x10000, &board->lock);
    board->mem = bus_new("memory", 1ull << 40, &board->lock);
    ck_assert(board->clock && board->ports && board->mem);
    clock_start(board->clock);
}

static inline void board_free(struct board *board)
{
    bus_free(board->ports);
    bus_free(board->mem);
    clock_free(board->clock);
    pthread_mutex_destroy(&board->lock);
}

/* Lets `ns` pass, stopping at every deadline on the way. */
static inline void board_advance(struct board *board, uint64_t ns)
{
    uint64_t end = board->now + ns;

    while (clock_next(board->clock) <= end) {
        if (clock_next(board->clock) > board->now)
            board->now = clock_next(board->clock);
        clock_run(board->clock);
    }
    board->now = end;
}

static inline uint8_t in(struct board *board, uint16_t port)
{
    return bus_read(board->ports, port, 1);
}

static inline void out(struct board *board, uint16_t port, uint8_t value)
{
    bus_write(board->ports, port, value, 1);
}

static inline void line_set(void *opaque, int n, bool level)
{
    struct line *line = opaque;

    (void)n;
    if (level && !line->level) {
        line->rises++;
        line->rose_at = line->board ? line->board->now : 0;
    }
    line->level = level;
}

static inline struct irq line_irq(struct line *line)
{
    return (struct irq){line_set, line, 0};
}

/* The next pseudo-random number (xorshift64*); the sequence is the same for every board. */
static inline uint32_t board_random(struct board *board)
{
    board->random ^= board->random >> 12;
    board->random ^= board->random << 25;
    board->random ^= board->random >> 27;
    return board->random * 0x2545F4914F6CDD1Dull >> 32;
}

/* A time step for fuzzing: mostly short, sometimes hours. */
static inline uint64_t board_random_step(struct board *board)
{
    return (uint64_t)board_random(board) >> board_random(board) % 32 << (board_random(board) % 64 ? 0 : 12);
}

/*
 * What a snapshot does: saves `from`, loads that into `to`, a chip of the same class on the same board, and
 * expects the two to agree.
 */
static inline void board_copy_state(const struct device_class *class, const void *from, void *to)
{
    struct state_buf buf = {0};
    char why[128] = "", where[128] = "";

    ck_assert(fields_save(class->state, from, &buf));
    ck_assert_msg(fields_load(class->state, to, buf.data, buf.size, why, sizeof(why)) == buf.size, "%s", why);
    class->loaded(to);
    ck_assert_msg(fields_equal(class->state, from, to, where, sizeof(where)), "%s differs", where);
    free(buf.data);
}

#endif
