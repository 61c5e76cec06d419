/*
 * compare.c - what both sides must agree on.
 */
#include <stdarg.h>
#include <string.h>

#include "cpu/internal.h"
#include "tests/oracle/oracle.h"

#define FLAGS_COMPARED                                                                                       \
    (FLAGS_ARITH | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_IOPL | FLAG_NT | FLAG_RF | FLAG_VM | FLAG_AC |         \
     FLAG_VIF | FLAG_VIP | FLAG_ID)

struct report {
    char *text;
    size_t size, used;
    const char *other; /* whom the second outcome is of */
    bool pointers;     /* of the x87: FOP, FIP, FDP are compared always */
};

static void __attribute__((format(printf, 2, 3))) say(struct report *r, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = r->used < r->size ? vsnprintf(r->text + r->used, r->size - r->used, format, args) : 0;
    va_end(args);
    r->used += n > 0 ? (size_t)n : 0;
}

static const char *const register_names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                             "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
static const char *const segment_names[] = {"es", "cs", "ss", "ds", "fs", "gs"};

static void compare64(struct report *r, const char *name, uint64_t soft, uint64_t host)
{
    if (soft != host)
        say(r, " %s %llx, %s %llx;", name, (unsigned long long)soft, r->other, (unsigned long long)host);
}

uint32_t flag_differences(const struct outcome *soft, const struct outcome *host)
{
    return (uint32_t)(soft->machine.rflags ^ host->machine.rflags) & FLAGS_COMPARED;
}

static void compare_exception(struct report *r, const struct outcome *soft, const struct outcome *host)
{
    uint32_t error = host->error;

    if (soft->vector != host->vector) {
        say(r, " exception %u (error %x), %s %u (error %x);", soft->vector, soft->error, r->other,
            host->vector, host->error);
        return;
    }
    if (soft->vector == EX_PF) {
        compare64(r, "cr2", soft->cr2, host->cr2);
        if (host->cr2 >= USER_END && !host->instructions) /* Linux says "present" for all of its half */
            error = (error & ~1u) | (soft->error & 1);
    }
    if (soft->vector >= EX_DF && soft->vector <= EX_PF && soft->vector != 9)
        compare64(r, "error", soft->error, error);
    else if (soft->vector == EX_AC)
        compare64(r, "error", soft->error, error);
}

/*
 * FOP, FIP and FDP: AMD's processors note them only for an exception that is not masked, Intel's older ones
 * for every instruction.
 */
static bool has_pointers(const uint8_t *fx)
{
    return fx[FX_FSW] & 0x80;
}

static void compare_fx(struct report *r, const uint8_t *soft, const uint8_t *host)
{
    static const struct {
        const char *name;
        unsigned at, size;
    } fields[] = {{"fcw", FX_FCW, 2}, {"fsw", FX_FSW, 2}, {"ftag", FX_TAG, 1},   {"fop", FX_FOP, 2},
                  {"fip", FX_FIP, 8}, {"fdp", FX_FDP, 8}, {"mxcsr", FX_MXCSR, 4}};

    for (unsigned n = 0; n < sizeof(fields) / sizeof(fields[0]); n++) {
        uint64_t a = 0, b = 0;

        if (fields[n].at >= FX_FOP && fields[n].at < FX_MXCSR && !r->pointers && !has_pointers(host))
            continue;
        memcpy(&a, soft + fields[n].at, fields[n].size);
        memcpy(&b, host + fields[n].at, fields[n].size);
        compare64(r, fields[n].name, a, b);
    }
    for (unsigned n = 0; n < 24; n++) {
        unsigned at = FX_ST + 16 * n, length = n < 8 ? 10 : 16;
        uint64_t a[2] = {0, 0}, b[2] = {0, 0};

        memcpy(a, soft + at, length);
        memcpy(b, host + at, length);
        if (a[0] != b[0] || a[1] != b[1])
            say(r, " %s%u %llx:%016llx, %s %llx:%016llx;", n < 8 ? "st" : "xmm", n < 8 ? n : n - 8,
                (unsigned long long)a[1], (unsigned long long)a[0], r->other, (unsigned long long)b[1],
                (unsigned long long)b[0]);
    }
}

static void compare_bytes(struct report *r, const char *name, uint64_t base, const uint8_t *soft,
                          const uint8_t *host, unsigned size)
{
    unsigned first = 0, last = size - 1;

    if (!memcmp(soft, host, size))
        return;
    while (soft[first] == host[first])
        first++;
    while (soft[last] == host[last])
        last--;
    say(r, " %s %llx:", name, (unsigned long long)base + first);
    for (unsigned n = first; n <= last && n < first + 16; n++)
        say(r, " %02x", soft[n]);
    say(r, ", %s", r->other);
    for (unsigned n = first; n <= last && n < first + 16; n++)
        say(r, " %02x", host[n]);
    say(r, "%s;", last >= first + 16 ? " ..." : "");
}

static void compare(struct report *r, const struct test_case *c, const struct outcome *soft,
                    const struct outcome *host)
{
    const struct machine *a = &soft->machine, *b = &host->machine;
    uint32_t flags;

    compare_exception(r, soft, host);
    compare64(r, "rip", a->rip, b->rip);
    for (unsigned n = 0; n < 16; n++) {
        /* Linux's way back to a 16-bit stack leaves its own bits in RSP's upper half. */
        uint64_t mask = n == RSP && selector_bits(b->seg[CS]) != 64 ? UINT32_MAX : UINT64_MAX;

        compare64(r, register_names[n], a->gpr[n] & mask, b->gpr[n] & mask);
    }
    flags = flag_differences(soft, host);
    if (host->vector == EX_BP && b->rip == c->entry - c->code_base + c->length + 1)
        flags &= ~c->undefined_flags;
    else
        flags &= ~c->undefined_on_the_way;
    if (flags)
        say(r, " flags %llx, %s %llx (%x);", (unsigned long long)a->rflags, r->other,
            (unsigned long long)b->rflags, flags);
    for (unsigned n = 0; n < SEG_COUNT; n++) /* the way back to user mode makes null selectors 0 */
        compare64(r, segment_names[n], a->seg[n] < 4 ? 0 : a->seg[n], b->seg[n] < 4 ? 0 : b->seg[n]);
    compare64(r, "fs.base", a->fs_base, b->fs_base);
    compare64(r, "gs.base", a->gs_base, b->gs_base);
    if (memcmp(a->fx, b->fx, 416))
        compare_fx(r, a->fx, b->fx);
    compare_bytes(r, "ymm", 0, a->ymm_high, b->ymm_high, sizeof(a->ymm_high));
    compare_bytes(r, "memory", DATA, soft->data, host->data, DATA_SIZE);
    compare_bytes(r, "code", CODE, soft->code, host->code, CODE_SIZE);
}

bool differ(const struct test_case *c, const struct outcome *soft, const struct outcome *host, char *text,
            size_t size)
{
    struct report r = {text, size, 0, "host", false};

    text[0] = 0;
    if (soft->end != host->end)
        say(&r, " ends %u, host %u;", soft->end, host->end);
    else
        compare(&r, c, soft, host);
    return r.used > 0;
}

bool engines_differ(const struct test_case *c, const struct outcome *soft, const struct outcome *interpreter,
                    char *text, size_t size)
{
    struct report r = {text, size, 0, "interpreter", true};
    const struct outcome *sooner = soft->end == END_NEVER ? interpreter : soft;

    text[0] = 0;
    if (soft->end == END_NEVER || interpreter->end == END_NEVER) {
        /* They stop where it suits them, within a block of a budget's end. */
        if (sooner->end == END_NEVER || sooner->instructions + MAX_BLOCK >= budget_of(c))
            return false;
    }
    compare64(&r, "ends", soft->end, interpreter->end);
    compare64(&r, "executed", soft->instructions, interpreter->instructions);
    if (!r.used)
        compare(&r, c, soft, interpreter);
    return r.used > 0;
}

void print_case(FILE *f, const struct test_case *c)
{
    if (c->program) {
        fprintf(f, "%u-bit program of %u bytes at %llx", c->bits, c->length,
                (unsigned long long)c->start.rip);
        return;
    }
    fprintf(f, "%u-bit", c->bits);
    for (unsigned n = 0; n < c->row_count; n++)
        fprintf(f, " %s", opcode_rows[c->row[n]].name);
    fprintf(f, " [");
    for (unsigned n = 0; n < c->length; n++)
        fprintf(f, "%s%02x", n ? " " : "", c->bytes[n]);
    fprintf(f, "]");
}

void print_outcome(FILE *f, const char *title, const struct test_case *c, const struct outcome *o)
{
    const struct machine *m = o ? &o->machine : &c->start;
    uint16_t fcw, fsw;
    uint32_t mxcsr;

    memcpy(&fcw, m->fx, 2);
    memcpy(&fsw, m->fx + 2, 2);
    memcpy(&mxcsr, m->fx + FX_MXCSR, 4);
    fprintf(f, "%s:", title);
    if (o)
        fprintf(f, " end %u vector %u error %x cr2 %llx", o->end, o->vector, o->error,
                (unsigned long long)o->cr2);
    fprintf(f, " rip %llx rflags %llx\n", (unsigned long long)m->rip, (unsigned long long)m->rflags);
    for (unsigned n = 0; n < 16; n++)
        fprintf(f, "  %-3s %016llx%s", register_names[n], (unsigned long long)m->gpr[n],
                n % 4 == 3 ? "\n" : "");
    for (unsigned n = 0; n < SEG_COUNT; n++)
        fprintf(f, "  %s %04x", segment_names[n], m->seg[n]);
    fprintf(f, "  fs.base %llx gs.base %llx\n", (unsigned long long)m->fs_base,
            (unsigned long long)m->gs_base);
    fprintf(f, "  fcw %04x fsw %04x tag %02x mxcsr %05x\n", fcw, fsw, m->fx[FX_TAG], mxcsr);
    for (unsigned n = 0; n < 24; n++) {
        uint64_t v[2];

        memcpy(v, m->fx + FX_ST + 16 * n, 16);
        fprintf(f, "  %s%-2u %016llx:%016llx%s", n < 8 ? "st" : "xmm", n < 8 ? n : n - 8,
                (unsigned long long)v[1], (unsigned long long)v[0], n % 2 ? "\n" : "");
    }
}
