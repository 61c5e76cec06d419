/*
 * known.c - differences that are no mistake of either side, each with its reason.
 *
 * A predicate sees a case whose outcomes differ and the instruction that was at the host's RIP. It must be as
 * narrow as it can be: what it lets pass is not checked.
 */
#include <string.h>

#include "cpu/internal.h"
#include "tests/oracle/oracle.h"

/* What the predicates look at. */
struct difference {
    struct soft *side; /* that of `soft` */
    const struct test_case *c;
    const struct outcome *soft, *host;
    const struct insn *insn;      /* at the host's RIP; fn NULL when none is there */
    const struct insn *soft_insn; /* the same at the interpreter's */
    const char *name;             /* of its row, "" when none */
    const uint16_t *rows;         /* executed */
    unsigned row_count;
    const struct row_facts *facts;
};

static bool one_of(const char *name, const char *list)
{
    size_t length = strlen(name);

    for (const char *p = list; length && (p = strstr(p, name)) != NULL; p += length)
        if ((p == list || p[-1] == ' ') && (p[length] == ' ' || !p[length]))
            return true;
    return false;
}

static bool executed(const struct difference *d, const char *names)
{
    for (unsigned n = 0; n < d->row_count; n++)
        if (d->rows[n] != UINT16_MAX && one_of(opcode_rows[d->rows[n]].name, names))
            return true;
    return false;
}

/* Far transfers that took part. */
static unsigned executed_far(const struct difference *d)
{
    unsigned count = 0;

    for (unsigned n = 0; n < d->row_count; n++) {
        const struct opcode_row *row = d->rows[n] != UINT16_MAX ? &opcode_rows[d->rows[n]] : NULL;

        count +=
            row && (one_of(row->name, "retf iret") ||
                    (one_of(row->name, "call jmp") && (row->operand[0] == O_Mp || row->operand[0] == O_Ap)));
    }
    return count;
}

static bool is_fault(unsigned vector)
{
    return vector >= EX_TS && vector <= EX_AC;
}

static bool executed_unusable(const struct difference *d)
{
    for (unsigned n = 0; n < d->row_count; n++)
        if (d->rows[n] != UINT16_MAX && !d->facts[d->rows[n]].usable)
            return true;
    return false;
}

/* Both fault there, and that is all that such instructions promise. */
static bool order_of_accesses(const struct difference *d)
{
    const struct outcome *a = d->soft, *b = d->host;
    bool parts = one_of(d->name, "fldenv frstor fnsave fnstenv fxsave fxrstor enter pusha popa retf iret "
                                 "maskmovq maskmovdqu vmaskmovdqu") ||
                 one_of(d->name, "call") || (one_of(d->name, "jmp") && (d->insn->flags & INSN_MEM)) ||
                 one_of(d->name, "les lds lfs lgs lss") ||
                 (d->name[0] && opcode_rows[d->insn->row].operand[0] == O_Mt);

    return parts && is_fault(a->vector) && is_fault(b->vector) && a->machine.rip == b->machine.rip;
}

/* Bytes that the mask leaves alone may fault or not (SDM 2B MASKMOVDQU). */
static bool masked_store(const struct difference *d)
{
    return one_of(d->name, "maskmovq maskmovdqu vmaskmovdqu") && is_fault(d->host->vector);
}

static uint64_t window_of(uint64_t linear)
{
    static const uint64_t windows[] = {DATA, DATA_HIGH, DATA_TOP, DATA_LOW};

    for (unsigned n = 0; n < 4; n++)
        if (linear + 64 - windows[n] < DATA_SIZE + 128)
            return windows[n];
    return 0;
}

/* What the instruction's memory operand adds up to, before the segment's base. */
static uint64_t effective(const struct insn *i, const struct machine *m)
{
    const char *name = opcode_rows[i->row].name;
    struct cpu cpu;

    if (opcode_rows[i->row].attr & A_REP)
        return m->gpr[RSI];
    if (!(i->flags & INSN_MEM))
        return one_of(name, "maskmovq maskmovdqu vmaskmovdqu") ? m->gpr[RDI]
               : one_of(name, "xlat")                          ? m->gpr[RBX]
               : one_of(name, "clzero")                        ? m->gpr[RAX]
                                                               : (uint64_t)i->imm;
    memset(&cpu, 0, sizeof(cpu));
    memcpy(cpu.s.gpr, m->gpr, sizeof(cpu.s.gpr));
    cpu.s.rip = m->rip;
    return *(uint64_t *)((char *)&cpu + i->base) + (*(uint64_t *)((char *)&cpu + i->index) << i->scale) +
           (uint64_t)(int64_t)i->disp;
}

/*
 * With an FS or GS base in 64-bit mode, AMD's processors want the effective address to be canonical before
 * the base is added, too. The manuals of both vendors speak of the sum.
 */
static bool sum_is_canonical(const struct difference *d)
{
    const struct insn *i = d->insn;
    uint64_t ea;

    if (!d->name[0] || i->segbase == ZERO_OFFSET || (d->host->vector != EX_GP && d->host->vector != EX_SS))
        return false;
    ea = effective(i, &d->host->machine);
    return i->asize == SIZE_Q && (int64_t)(ea << 16) >> 16 != (int64_t)ea;
}

/* It ended in a fault of an instruction with an XSAVE area that isn't all there. */
static bool part_of_area(const struct test_case *c, const struct outcome *o, const struct insn *i)
{
    const struct machine *m = &o->machine;
    uint64_t start, window;

    if (!is_fault(o->vector) || !i->fn || i->row == UINT16_MAX ||
        !one_of(opcode_rows[i->row].name, "xsave xsaveopt xsavec xrstor"))
        return false;
    if (c->bits != 64 && c->data_base) /* segments end early */
        return true;
    start = effective(i, m) + (i->segbase == ZERO_OFFSET ? 0 : i->seg == FS ? m->fs_base : m->gs_base);
    if (i->asize != SIZE_Q)
        start = i->asize == SIZE_W ? (uint16_t)start : (uint32_t)start;
    window = window_of(start);
    return !window || start < window || start + XSAVE_SIZE > window + DATA_SIZE;
}

/* A processor may look at more of the area than it moves (SDM 1 13.7), or not. */
static bool whole_area(const struct difference *d)
{
    return part_of_area(d->c, d->host, d->insn) || part_of_area(d->c, d->soft, d->soft_insn);
}

/* The mask of MXCSR's bits in the image: AMD's has bit 17, misaligned SSE mode. */
static bool mxcsr_mask(const struct difference *d)
{
    const struct outcome *a = d->soft, *b = d->host;
    unsigned unlike = 0, masks = 0;

    for (unsigned n = 0; n < DATA_SIZE; n++) {
        unlike += (a->data[n] != b->data[n]) + (a->code[n] != b->code[n]);
        masks += (a->data[n] == 0 && b->data[n] == 2) + (a->code[n] == 0 && b->code[n] == 2);
    }
    return executed(d, "fxsave xsave xsaveopt xsavec") && masks && (unlike == 1 || d->c->changed);
}

/*
 * Far transfers between 64-bit and other code: AMD's processors use the stack in the target's size, and in
 * 64-bit code without a segment; the manuals don't say.
 */
static bool far_stack(const struct difference *d)
{
    const struct machine *start = &d->c->start;
    uint64_t sp = start->gpr[RSP];
    bool from64 = selector_bits(start->seg[CS]) == 64, leaves;

    leaves = from64 != (selector_bits(d->soft->machine.seg[CS]) == 64) ||
             from64 != (selector_bits(d->host->machine.seg[CS]) == 64);
    return (executed_far(d) && leaves &&
            (sp >> 32 || sp < 64 || start->seg[SS] != USER_DS ||
             d->soft->machine.gpr[RSP] >= (1ull << 32) - 64 || d->soft->machine.gpr[RSP] < 64 ||
             d->host->machine.gpr[RSP] >> 32)) ||
           executed_far(d) > 1;
}

/* A fault in the middle of REP CMPS or SCAS leaves the flags as they were before (SDM 2B REP); AMD's keep the
 * last. */
static bool flags_of_comparison(const struct difference *d)
{
    struct outcome b;
    char text[200];

    if (!one_of(d->name, "cmps cmpsb scas scasb") || !is_fault(d->host->vector))
        return false;
    b = *d->host;
    b.machine.rflags = (b.machine.rflags & ~(uint64_t)FLAGS_ARITH) | (d->soft->machine.rflags & FLAGS_ARITH);
    return !differ(d->c, d->soft, &b, text, sizeof(text));
}

/* FLDENV and FRSTOR in the 16-bit format leave FOP, which AMD's processors had not noted (compare.c). */
static bool opcode_kept(const struct difference *d)
{
    struct outcome b;
    char text[200];

    if (!executed(d, "fldenv frstor"))
        return false;
    b = *d->host;
    memcpy(b.machine.fx + FX_FOP, d->soft->machine.fx + FX_FOP, 2);
    return !differ(d->c, d->soft, &b, text, sizeof(text));
}

/* A MOVS whose two addresses lie in the same memory, and don't look like it. */
static bool visit_move(void *opaque, const struct insn *i, const struct cpu_state *at)
{
    uint64_t mask = i->asize == SIZE_Q ? UINT64_MAX : i->asize == SIZE_D ? UINT32_MAX : UINT16_MAX;
    uint64_t rsi = at->gpr[RSI], rdi = at->gpr[RDI], from, to;
    bool *hidden = opaque;

    if (i->row == UINT16_MAX || !one_of(opcode_rows[i->row].name, "movs movsb"))
        return true;
    from = window_of(at->seg[i->seg].base + (rsi & mask));
    to = window_of(at->seg[ES].base + (rdi & mask));
    *hidden = from && to && (from != to || rsi >> 16 != rdi >> 16);
    return !*hidden;
}

/*
 * REP MOVS between two addresses of the same memory: that they overlap only shows after translation, or after
 * truncation to the address size. Registers whose unused halves differ are taken for far apart, too.
 */
static bool hidden_overlap(const struct difference *d)
{
    struct outcome b;
    char text[200];
    bool hidden = false;

    if (!executed(d, "movs movsb"))
        return false;
    soft_walk(d->side, d->c, visit_move, &hidden);
    if (!hidden)
        return false;
    b = *d->host;
    memcpy(b.data, d->soft->data, DATA_SIZE);
    return !differ(d->c, d->soft, &b, text, sizeof(text));
}

/* A far call whose stack wraps at 4 GiB: under some hypervisors the host begins it again and again. */
static bool repeated_fault(const struct difference *d)
{
    return d->host->end == END_NEVER && d->soft->end == END_EXCEPTION && one_of(d->name, "call") &&
           d->c->bits != 64;
}

/* VEX-encoded instructions of features that the model has not: mask registers of AVX-512, AVX-VNNI. */
static bool has_vex_elsewhere(const struct difference *d)
{
    uint64_t at = d->soft->machine.rip + d->c->code_base - CODE;
    const uint8_t *bytes = d->soft->code + at;
    unsigned map = 1, opcode;

    while (at + 4 < CODE_SIZE && bytes[0] != 0xc4 && bytes[0] != 0xc5) { /* prefixes */
        bytes++;
        at++;
    }
    if (at + 4 >= CODE_SIZE)
        return false;
    if (bytes[0] == 0xc4)
        map = bytes[1] & 31;
    opcode = bytes[0] == 0xc4 ? bytes[3] : bytes[2];
    if (map == 1)
        return (opcode >= 0x41 && opcode <= 0x4b) || (opcode >= 0x90 && opcode <= 0x99);
    return map == 2 ? opcode >= 0x50 && opcode <= 0x53 : map == 3 && opcode >= 0x30 && opcode <= 0x33;
}

/*
 * A jump led into the middle of an instruction, or bytes were changed, and there is an instruction that the
 * interpreter's model has not.
 */
static bool beside_the_way(const struct difference *d)
{
    uint64_t offset = d->soft->machine.rip + d->c->code_base - d->c->entry;

    if (d->soft->vector != EX_UD || d->soft->end != END_EXCEPTION)
        return false;
    if (d->c->misfit && !d->c->changed) /* VEX prefixes that no row wants are nobody's instruction */
        return has_vex_elsewhere(d);
    if (d->c->changed)
        return d->row_count && d->rows[d->row_count - 1] == UINT16_MAX;
    /* It may have been stored there on the way. */
    if (offset < d->c->length && memcmp(d->soft->code + (d->c->entry - CODE) + offset, d->c->bytes + offset,
                                        d->c->length - offset < 15 ? d->c->length - offset : 15) != 0)
        return d->row_count && d->rows[d->row_count - 1] == UINT16_MAX;
    for (unsigned n = 0; n < d->c->row_count; n++)
        if (d->c->offset[n] == offset)
            return false;
    return true;
}

/* XSAVE and its kin by a jump or changed bytes: EAX asks for components that only the host has. */
static bool other_components(const struct difference *d)
{
    for (unsigned n = 0; n < d->c->row_count; n++)
        if (d->facts[d->c->row[n]].kind == KIND_XSAVE && !d->c->changed)
            return false;
    return executed(d, "xsave xsaveopt xsavec xrstor");
}

/*
 * An instruction that doesn't exist and whose bytes lead to the end of the code: how far a processor fetches
 * before it finds that out is its own affair.
 */
static bool cut_off(const struct difference *d)
{
    const struct outcome *a = d->soft, *b = d->host;

    return a->vector == EX_UD && a->machine.rip == b->machine.rip && d->soft_insn->row == UINT16_MAX &&
           a->machine.rip + d->c->code_base + 15 > CODE + CODE_SIZE &&
           ((b->vector == EX_PF && b->cr2 == CODE + CODE_SIZE) || (b->vector == EX_GP && d->c->code_base));
}

/* LDMXCSR and FXRSTOR of bit 17: AMD's processors have it. */
static bool mxcsr_bit(const struct difference *d)
{
    return executed(d, "ldmxcsr vldmxcsr fxrstor xrstor") && d->soft->vector == EX_GP &&
           d->host->machine.rip != d->soft->machine.rip;
}

/* LSL of Linux's segment that tells the CPU's number: the process was moved meanwhile. */
static bool cpu_number(const struct difference *d)
{
    struct outcome b;
    char text[200];

    if (!executed(d, "lsl"))
        return false;
    b = *d->host;
    for (unsigned n = 0; n < 16; n++)
        if ((b.machine.gpr[n] ^ d->soft->machine.gpr[n]) < 4096)
            b.machine.gpr[n] = d->soft->machine.gpr[n];
    return !differ(d->c, d->soft, &b, text, sizeof(text));
}

/*
 * A branch that is the last instruction before the limit of the code segment: now and then, and not again in
 * the same case, the host raises the #GP of what lies behind it, at the branch, taken as it is.
 */
static bool end_of_code(const struct difference *d)
{
    return d->name[0] && d->host->vector == EX_GP && d->host->error == 0 && d->c->code_base &&
           (opcode_rows[d->insn->row].attr & A_LINK) && d->host->machine.rip + d->insn->len == CODE_SIZE;
}

/* What the instructions executed leave undefined. */
static uint32_t undefined_flags(const uint16_t *rows, unsigned count)
{
    uint32_t undefined = 0;

    for (unsigned n = 0; n < count; n++)
        if (rows[n] != UINT16_MAX)
            undefined |= opcode_rows[rows[n]].flags_undefined;
    return undefined;
}

/* The same where a later one hasn't defined them again. In *read: one has read what another had left
 * undefined. */
static uint32_t still_undefined(const uint16_t *rows, unsigned count, const struct row_facts *facts,
                                bool *read)
{
    uint32_t undefined = 0;

    *read = false;
    for (unsigned n = 0; n < count; n++) {
        const struct opcode_row *row = rows[n] != UINT16_MAX ? &opcode_rows[rows[n]] : NULL;

        if (!row)
            continue;
        *read |= (row->flags_read & undefined) != 0;
        if (!(row->attr & A_REP) && facts[rows[n]].kind != KIND_SHIFT) /* they may write none */
            undefined &= ~row->flags_written;
        undefined |= row->flags_undefined;
    }
    return undefined;
}

static void take_flags(struct outcome *to, const struct outcome *from, uint32_t flags)
{
    to->machine.rflags = (to->machine.rflags & ~(uint64_t)flags) | (from->machine.rflags & flags);
}

/* Flags that the instructions left undefined that changed bytes made. */
static bool flags_of_changed(const struct difference *d)
{
    struct outcome b;
    char text[200];

    if (!d->c->changed && !d->c->misfit)
        return false;
    b = *d->host;
    take_flags(&b, d->soft, undefined_flags(d->rows, d->row_count));
    return !differ(d->c, d->soft, &b, text, sizeof(text));
}

static const struct {
    bool (*holds)(const struct difference *d);
    const char *reason;
} known[KNOWN_COUNT] = {
    {executed_unusable, "a jump or changed bytes led to an instruction that is not judged"},
    {order_of_accesses, "several accesses, of which another faulted"},
    {masked_store, "bytes masked off may fault"},
    {whole_area, "parts of an XSAVE area that are not moved may fault"},
    {sum_is_canonical, "AMD checks the effective address without the FS or GS base"},
    {mxcsr_mask, "AMD's MXCSR mask has bit 17"},
    {mxcsr_bit, "AMD's MXCSR has bit 17"},
    {far_stack, "the stack pointer in far transfers between 64- and 32-bit code"},
    {flags_of_comparison, "flags at a fault in the middle of a repeated comparison"},
    {opcode_kept, "FOP from before FLDENV or FRSTOR in the 16-bit format"},
    {hidden_overlap, "a repeated move whose overlap is hidden"},
    {repeated_fault, "a far call that the host repeats for ever"},
    {beside_the_way, "a jump or changed bytes led to an instruction that the model lacks"},
    {other_components, "a jump or changed bytes led to XSAVE or XRSTOR of components that the model lacks"},
    {cut_off, "how much is fetched of an instruction that doesn't exist"},
    {cpu_number, "LSL of the segment that tells the CPU's number"},
    {end_of_code, "a branch at the very end of its code segment"},
    {flags_of_changed, "flags that an instruction made of changed bytes leaves undefined"},
};

const char *known_reason(unsigned n)
{
    return known[n].reason;
}

int known_difference(struct soft *s, const struct test_case *c, const struct outcome *soft,
                     const struct outcome *host, const struct row_facts *facts)
{
    static uint16_t rows[PROGRAM_BUDGET];
    struct insn insn, soft_insn;
    struct difference d = {s, c, soft, host, &insn, &soft_insn, "", rows, 0, facts};

    d.row_count = soft_executed(s, c, rows, PROGRAM_BUDGET);
    soft_decode(s, c, host, &insn);
    soft_decode(s, c, soft, &soft_insn);
    if (insn.fn && insn.row != UINT16_MAX)
        d.name = opcode_rows[insn.row].name;
    for (unsigned n = 0; n < KNOWN_COUNT; n++)
        if (known[n].holds && known[n].holds(&d))
            return (int)n;
    return -1;
}

bool engines_may_differ(struct soft *s, const struct test_case *c, const struct outcome *soft,
                        const struct outcome *interpreter, const struct row_facts *facts)
{
    static uint16_t rows[PROGRAM_BUDGET];
    unsigned count = soft_executed(s, c, rows, PROGRAM_BUDGET);
    struct outcome b = *interpreter;
    char text[200];
    bool read;

    if (count && is_fault(interpreter->vector)) /* the last wasn't */
        count--;
    take_flags(&b, soft, still_undefined(rows, count, facts, &read));
    return read || !engines_differ(c, soft, &b, text, sizeof(text));
}
