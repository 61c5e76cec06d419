/*
 * run.c - a test by the interpreter, and what differs.
 *
 * RAM has the 16 MiB that an 80286 can address. A second array holds what RAM should be like; after a test
 * the pages that were written are compared with it, and put back to the background.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/internal.h"
#include "tests/sst/sst.h"

#define RAM_SIZE (16u << 20)
#define HLT      0xf4
#define HANDLERS 0xf400u /* segment; vector n's at 16 * n */
#define BUDGET   100000  /* turns, when an instruction is repeated; then it counts as endless */
#define IMAGE    (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_OF)

struct sst_machine {
    struct cpu *cpu;
    struct bus *memory, *ports;
    struct region *region;
    struct clock *clock;
    pthread_mutex_t lock;
    struct log log;
    uint8_t *ram, *want;
    struct cpu_state start;
};

static uint64_t no_time(void *opaque)
{
    (void)opaque;
    return 0;
}

static int no_interrupt(void *opaque)
{
    (void)opaque;
    return -1;
}

static unsigned get_cr8(void *opaque)
{
    (void)opaque;
    return 0;
}

static _Noreturn void bail_out(const char *why)
{
    printf("Bail out! %s\n", why);
    exit(1);
}

uint8_t sst_background(uint32_t address)
{
    uint32_t entry = HANDLERS << 16 | (address / 4) << 4;

    return address < 0x400 ? (uint8_t)(entry >> 8 * (address % 4)) : HLT;
}

struct sst_machine *sst_machine_new(void)
{
    static const struct intc_ops intc_ops = {.acknowledge = no_interrupt, .get_cr8 = get_cr8};
    struct clock_source source = {no_time, no_time, NULL, NULL};
    struct sst_machine *m = aligned_alloc(64, sizeof(*m)); /* as cpu_state wants it */
    pthread_mutexattr_t attr;
    char why[200];

    memset(m, 0, sizeof(*m));
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&m->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    log_init(&m->log, stderr);
    m->log.enabled = 0;
    m->ram = aligned_alloc(BUS_PAGE, RAM_SIZE);
    m->want = malloc(RAM_SIZE);
    if (!m->ram || !m->want)
        bail_out("not enough memory");
    for (uint32_t a = 0; a < RAM_SIZE; a++)
        m->ram[a] = m->want[a] = sst_background(a);
    m->memory = bus_new("memory", 1ull << 40, &m->lock);
    m->ports = bus_new("ports", 1u << 16, &m->lock);
    m->region = bus_map_ram(m->memory, "ram", 0, RAM_SIZE, m->ram);
    m->clock = clock_new(&source);
    clock_start(m->clock);
    m->cpu = cpu_new(&(struct cpu_config){.count = 1,
                                          .memory = m->memory,
                                          .ports = m->ports,
                                          .clock = m->clock,
                                          .lock = &m->lock,
                                          .log = &m->log,
                                          .intc = {&intc_ops, m},
                                          .model = "max"},
                     why, sizeof(why));
    if (!m->cpu)
        bail_out(why);
    m->start = *cpu_state(m->cpu);
    return m;
}

void sst_machine_free(struct sst_machine *m)
{
    cpu_free(m->cpu);
    clock_free(m->clock);
    bus_free(m->memory);
    bus_free(m->ports);
    pthread_mutex_destroy(&m->lock);
    free(m->ram);
    free(m->want);
    free(m);
}

/* --- The state ----------------------------------------------------------------------------------- */

static const uint8_t gpr_of[SST_REGS] = {[SST_AX] = RAX, [SST_BX] = RBX, [SST_CX] = RCX, [SST_DX] = RDX,
                                         [SST_SP] = RSP, [SST_BP] = RBP, [SST_SI] = RSI, [SST_DI] = RDI};
static const uint8_t seg_of[SST_REGS] = {[SST_CS] = CS, [SST_SS] = SS, [SST_DS] = DS, [SST_ES] = ES};

static void load_regs(struct sst_machine *m, const uint16_t *reg)
{
    struct cpu_state *s = cpu_state(m->cpu);

    *s = m->start;
    for (unsigned n = 0; n < SST_IP; n++) {
        if (n >= SST_CS && n <= SST_ES) {
            s->seg[seg_of[n]].selector = reg[n];
            s->seg[seg_of[n]].base = (uint32_t)reg[n] << 4;
        } else {
            s->gpr[gpr_of[n]] = reg[n];
        }
    }
    s->rip = reg[SST_IP];
    s->rflags = (reg[SST_FLAGS] & IMAGE) | FLAG_1;
    cpu_push(m->cpu);
}

static void unload_regs(struct sst_machine *m, uint16_t *reg)
{
    struct cpu_state *s = cpu_state(m->cpu);

    cpu_pull(m->cpu);
    for (unsigned n = 0; n < SST_IP; n++)
        reg[n] = n >= SST_CS && n <= SST_ES ? s->seg[seg_of[n]].selector : (uint16_t)s->gpr[gpr_of[n]];
    reg[SST_IP] = (uint16_t)s->rip;
    reg[SST_FLAGS] = (uint16_t)s->rflags;
}

/* Through the bus, so that the processor hears of new code; neighbouring bytes at once. */
static void load_ram(struct sst_machine *m, const struct sst_state *state, bool clear)
{
    uint8_t run[64];
    unsigned length = 0;
    uint32_t start = 0;

    for (uint32_t n = 0; n < state->ram_count; n++) {
        uint32_t address;
        uint8_t value = sst_ram(state, n, &address);

        if (length && (address != start + length || length == sizeof(run))) {
            bus_write_block(m->memory, start, run, length);
            length = 0;
        }
        if (!length)
            start = address;
        run[length++] = clear ? sst_background(address) : value;
    }
    if (length)
        bus_write_block(m->memory, start, run, length);
}

static void set_want(struct sst_machine *m, const struct sst_state *state, bool clear)
{
    for (uint32_t n = 0; n < state->ram_count; n++) {
        uint32_t address;
        uint8_t value = sst_ram(state, n, &address);

        if (address < RAM_SIZE)
            m->want[address] = clear ? sst_background(address) : value;
    }
}

/* --- Comparing ----------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void note(struct sst_result *r, const char *format, ...)
{
    size_t length = strlen(r->text);
    va_list args;

    r->differs = true;
    va_start(args, format);
    vsnprintf(r->text + length, sizeof(r->text) - length, format, args);
    va_end(args);
}

static void compare_regs(const struct sst_test *t, struct sst_result *r)
{
    for (unsigned n = 0; n < SST_REGS; n++) {
        uint16_t mask = t->mask[n];

        if (n == SST_FLAGS) {
            r->undefined_differ = (r->reg[n] ^ t->final.reg[n]) & mask & r->undefined;
            mask &= IMAGE & ~r->undefined;
        }
        if ((r->reg[n] ^ t->final.reg[n]) & mask)
            note(r, "%s %04x, not %04x; ", sst_reg_names[n], r->reg[n] & mask, t->final.reg[n] & mask);
    }
}

/*
 * Bits of a byte that count: the flags that an exception pushed, highest of its frame, have undefined ones
 * too.
 */
static uint8_t byte_mask(const struct sst_test *t, const struct sst_result *r, uint32_t address)
{
    uint32_t base = (uint32_t)t->final.reg[SST_SS] << 4;
    uint16_t at = t->final.reg[SST_SP] + 4;

    if (t->exception && address == base + at)
        return (uint8_t)(IMAGE & ~r->undefined);
    if (t->exception && address == base + (uint16_t)(at + 1))
        return (uint8_t)((IMAGE & ~r->undefined) >> 8);
    return 0xff;
}

static void compare_page(struct sst_machine *m, const struct sst_test *t, struct sst_result *r, uint32_t base)
{
    if (memcmp(m->ram + base, m->want + base, BUS_PAGE) == 0)
        return;
    for (uint32_t a = base; a < base + BUS_PAGE && !t->any_ram; a++) {
        uint8_t mask = byte_mask(t, r, a);

        if ((m->ram[a] ^ m->want[a]) & mask)
            note(r, "[%05x] %02x, not %02x; ", a, m->ram[a] & mask, m->want[a] & mask);
    }
    bus_write_block(m->memory, base, m->want + base, BUS_PAGE);
}

static void compare_ram(struct sst_machine *m, const struct sst_test *t, struct sst_result *r)
{
    set_want(m, &t->init, false);
    set_want(m, &t->final, false);
    for (uint32_t page = 0; page < RAM_SIZE / BUS_PAGE; page++) {
        if (bus_take_dirty(m->region, page))
            compare_page(m, t, r, page * BUS_PAGE);
    }
    bus_tracking_armed(m->region);
}

static void clear_ram(struct sst_machine *m, const struct sst_test *t)
{
    load_ram(m, &t->init, true);
    load_ram(m, &t->final, true);
    set_want(m, &t->init, true);
    set_want(m, &t->final, true);
}

/* --- The instruction ----------------------------------------------------------------------------- */

/* Rows name the flags that are undefined for some count; a count of 1 defines OF, and 0 changes none. */
static uint16_t undefined_flags(const struct sst_test *t, const struct insn *i)
{
    const struct opcode_row *row = &opcode_rows[i->row];
    unsigned opcode = row->map == 0 ? row->opcode : 0, count;

    if ((opcode & 0xfe) == 0xc0) /* shifts and rotates by an immediate, by CL */
        count = i->imm & 31;
    else if ((opcode & 0xfe) == 0xd2)
        count = t->init.reg[SST_CX] & 31;
    else
        return (uint16_t)row->flags_undefined;
    return (uint16_t)(count == 0 ? 0 : count == 1 ? row->flags_undefined & ~FLAG_OF : row->flags_undefined);
}

static void look_up(struct sst_machine *m, const struct sst_test *t, struct sst_result *r)
{
    uint8_t code[16];
    unsigned length = 0, attr;
    bool prefix = true;

    for (unsigned n = 0; n < t->length && length < 15; n++) {
        bool lock = prefix && t->code[n] == 0xf0;

        prefix = prefix && memchr("\x26\x2e\x36\x3e\xf0\xf2\xf3", t->code[n], 7);
        r->locked |= lock;
        if (!lock)
            code[length++] = t->code[n];
    }
    r->insn.row = UINT16_MAX;
    decode(m->cpu, SIZE_W, code, length, 0, 0, &r->insn, &attr);
    if (r->insn.row != UINT16_MAX)
        r->undefined = undefined_flags(t, &r->insn);
}

void sst_run(struct sst_machine *m, const struct sst_test *t, struct sst_result *r)
{
    enum cpu_exit exit;

    memset(r, 0, sizeof(*r));
    look_up(m, t, r);
    load_ram(m, &t->init, false);
    load_regs(m, t->init.reg);
    exit = cpu_run(m->cpu, BUDGET);
    if (exit != CPU_EXIT_HALT)
        note(r, "%s; ", exit == CPU_EXIT_SHUTDOWN ? "it shuts down" : "it never ends");
    unload_regs(m, r->reg);
    compare_regs(t, r);
    compare_ram(m, t, r);
    clear_ram(m, t);
    if (r->differs && strlen(r->text) > 2) /* the last "; " */
        r->text[strlen(r->text) - 2] = '\0';
}
