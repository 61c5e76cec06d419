/*
 * history.c - the CPU's last control transfers, in words; see history.h.
 *
 * Of near branches the CPU says only which pieces of code ran, one after the other (cpu_history()). The
 * branch from one to the next is found by going through the first's instructions until one leads there: the
 * first that can.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "debug/history.h"
#include "debug/listing.h"

#define PIECE_MAX 255u /* bytes of a piece of code, and more than there are */
#define PER_LINE  4u   /* pieces for a transfer, as some fall into the next */

struct transfer {
    const struct cpu_past *event; /* NULL: a near branch */
    struct cpu_place from, to;
    unsigned times; /* in a row */
    bool found;     /* `from` is the branch, and not the piece of code it is in */
    char name[24];
};

static bool is_target(const struct cpu_place *place, uint64_t target, uint64_t rip)
{
    return place->bits == 64 ? target == rip : (uint32_t)target == rip || (uint16_t)target == rip;
}

/* What leads from the piece of code at t->from to t->to. False: it just goes on there. */
static bool find_branch(struct cpu *cpu, struct transfer *t)
{
    const struct cpu_place piece = t->from;
    uint64_t to = t->to.rip;
    uint8_t code[PIECE_MAX];
    size_t size = cpu_peek(cpu, piece.linear, code, sizeof(code)), at = 0;
    struct listing_branch b;

    snprintf(t->name, sizeof(t->name), "branch");
    for (; at < size; at += b.length) {
        if (!listing_branch(piece.bits, piece.rip + at, code + at, size - at, &b))
            return true;
        if (b.kind == LISTING_INDIRECT || (b.kind && is_target(&piece, b.target, to))) {
            t->found = true;
            t->from.rip += at;
            t->from.linear += at;
            snprintf(t->name, sizeof(t->name), "%s", b.name);
            return true;
        }
        if (b.kind == LISTING_DIRECT)
            return true;
        if (is_target(&piece, piece.rip + at + b.length, to))
            return false;
    }
    return true;
}

static void name_event(struct cpu *cpu, struct transfer *t)
{
    static const char *const names[] = {[CPU_PAST_FAR] = "far",
                                        [CPU_PAST_IRET] = "iret",
                                        [CPU_PAST_SYSCALL] = "syscall",
                                        [CPU_PAST_SYSRET] = "sysret",
                                        [CPU_PAST_OUTSIDE] = "set"};
    const struct cpu_past *e = t->event;
    uint8_t code[15];
    struct listing_branch b;

    switch (e->kind) {
    case CPU_PAST_EXCEPTION:
        snprintf(t->name, sizeof(t->name), e->has_error ? "%s %04x" : "%s", cpu_exception_name(e->vector),
                 e->error);
        break;
    case CPU_PAST_INTERRUPT:
        snprintf(t->name, sizeof(t->name), "interrupt %02x", e->vector);
        break;
    case CPU_PAST_SOFTWARE:
        snprintf(t->name, sizeof(t->name), "int %02x", e->vector);
        break;
    default:
        snprintf(t->name, sizeof(t->name), "%s", names[e->kind]);
        if (e->kind != CPU_PAST_OUTSIDE &&
            listing_branch(t->from.bits, t->from.rip, code, cpu_peek(cpu, t->from.linear, code, sizeof(code)),
                           &b) &&
            b.kind)
            snprintf(t->name, sizeof(t->name), "%s", b.name);
    }
}

static bool is_same(const struct transfer *a, const struct transfer *b)
{
    return !a->event && !b->event && a->from.linear == b->from.linear && a->to.linear == b->to.linear;
}

/* Transfers out of what the CPU says, the oldest first; how many. */
static unsigned connect(struct cpu *cpu, const struct cpu_past *past, unsigned count, struct transfer *list)
{
    struct cpu_place here = {0};
    bool known = false; /* where the CPU was */
    unsigned n = 0;

    for (unsigned k = 0; k < count; k++) {
        struct transfer *t = &list[n];

        *t = (struct transfer){.from = here, .to = past[k].to, .times = 1};
        if (past[k].kind != CPU_PAST_CODE) {
            t->event = &past[k];
            t->from = past[k].from;
            name_event(cpu, t);
            n++;
        } else if (known && past[k].to.rip != here.rip && find_branch(cpu, t)) {
            if (n && is_same(t, t - 1))
                t[-1].times++;
            else
                n++;
        }
        here = past[k].to;
        known = true;
    }
    return n;
}

static void print_place(const struct cpu_place *place, const struct symbols *symbols, FILE *out)
{
    char name[120];

    if (place->bits == 64)
        fprintf(out, "%016" PRIx64, place->rip);
    else
        fprintf(out, "%04x:%0*" PRIx64, place->cs, place->bits == 32 ? 8 : 4, place->rip);
    if (*symbols_format(symbols, place->linear, name, sizeof(name)))
        fprintf(out, " <%s>", name);
}

static void print_transfer(const struct transfer *t, const struct symbols *symbols, FILE *out)
{
    fprintf(out, "  %-12s ", t->name);
    if (t->event && t->event->kind == CPU_PAST_OUTSIDE) {
        fprintf(out, "from outside (reset, engine or debugger)");
    } else {
        if (!t->event && !t->found)
            fprintf(out, "behind ");
        print_place(&t->from, symbols, out);
    }
    fprintf(out, " to ");
    print_place(&t->to, symbols, out);
    if (t->times > 1)
        fprintf(out, ", %u times", t->times);
    fprintf(out, "\n");
}

/* Where the CPU is now: it may have been stopped before the code there was entered. */
static struct cpu_past present(struct cpu *cpu)
{
    const struct cpu_state *s = cpu_state(cpu);
    unsigned bits = cpu_code_bits(s);
    uint64_t linear = bits == 64 ? s->rip : (uint32_t)(s->seg[CS].base + s->rip);

    return (struct cpu_past){
        .kind = CPU_PAST_CODE,
        .to = {.rip = s->rip, .linear = linear, .cs = s->seg[CS].selector, .bits = (uint8_t)bits}};
}

unsigned history_print(struct cpu *cpu, const struct symbols *symbols, unsigned count, FILE *out)
{
    unsigned wanted = count > CPU_PAST_BRANCHES / PER_LINE ? CPU_PAST_BRANCHES : count * PER_LINE + PER_LINE,
             n = 0, all;
    struct cpu_past *past = calloc(wanted + 1, sizeof(*past));
    struct transfer *list = calloc(wanted + 1, sizeof(*list));

    if (past && list) {
        all = cpu_history(cpu, past, wanted);
        if (cpu_keeps_branches(cpu))
            past[all++] = present(cpu);
        n = connect(cpu, past, all, list);
        for (unsigned k = n > count ? n - count : 0; k < n; k++)
            print_transfer(&list[k], symbols, out);
    }
    free(past);
    free(list);
    return n < count ? n : count;
}
