/*
 * string.c - MOVS, CMPS, STOS, LODS, SCAS, INS, OUTS and their repeat prefixes (SDM 1 7.3.9, 2B "REP").
 *
 * A repeated instruction is a loop whose every turn leaves RCX, RSI and RDI as the manual has them after that
 * many iterations: a fault in the middle needs nothing taken back, and the loop may stop after any turn and
 * be begun again. It stops when the CPU is wanted elsewhere (stop_at is 0), and after one iteration in single
 * steps.
 *
 * Upwards, a turn takes all elements that lie in one page (of source and destination) as a block on the
 * host's memory. Downwards, and where chips or code are touched, it takes one element.
 */
#include <string.h>

#include "cpu/interp/body.h"
#include "cpu/system.h"

#define INLINE static inline __attribute__((always_inline))

#define REPEATED(i)  ((i)->flags & (INSN_REP | INSN_REPNE))
#define PAGE_SIZE_4K 4096u

/* --- What the loops are made of ---------------------------------------------------------------------------
 */

INLINE uint64_t load(struct cpu *cpu, const struct insn *i, unsigned seg, uint64_t linear, unsigned shift)
{
    switch (shift) {
    case SIZE_B:
        return ld8(cpu, i, seg, linear);
    case SIZE_W:
        return ld16(cpu, i, seg, linear);
    case SIZE_D:
        return ld32(cpu, i, seg, linear);
    default:
        return ld64(cpu, i, seg, linear);
    }
}

INLINE void store(struct cpu *cpu, const struct insn *i, uint64_t linear, unsigned shift, uint64_t value)
{
    switch (shift) {
    case SIZE_B:
        st8(cpu, i, ES, linear, (uint8_t)value);
        break;
    case SIZE_W:
        st16(cpu, i, ES, linear, (uint16_t)value);
        break;
    case SIZE_D:
        st32(cpu, i, ES, linear, (uint32_t)value);
        break;
    default:
        st64(cpu, i, ES, linear, value);
        break;
    }
}

/* Element `n` of an array on the host. */
INLINE uint64_t element(const void *array, uint64_t n, unsigned shift)
{
    switch (shift) {
    case SIZE_B:
        return ((const u8_any *)array)[n];
    case SIZE_W:
        return ((const u16_any *)array)[n];
    case SIZE_D:
        return ((const u32_any *)array)[n];
    default:
        return ((const u64_any *)array)[n];
    }
}

INLINE void set_element(void *array, uint64_t n, unsigned shift, uint64_t value)
{
    switch (shift) {
    case SIZE_B:
        ((u8_any *)array)[n] = (uint8_t)value;
        break;
    case SIZE_W:
        ((u16_any *)array)[n] = (uint16_t)value;
        break;
    case SIZE_D:
        ((u32_any *)array)[n] = (uint32_t)value;
        break;
    default:
        ((u64_any *)array)[n] = value;
        break;
    }
}

INLINE uint64_t accumulator(const struct cpu *cpu, unsigned shift)
{
    return cpu->s.gpr[RAX] & (UINT64_MAX >> (64 - (8u << shift)));
}

INLINE void set_accumulator(struct cpu *cpu, unsigned shift, uint64_t value)
{
    if (shift == SIZE_B)
        set8(cpu, REG_OFFSET(RAX), (uint8_t)value);
    else
        gpr_set(cpu, RAX, shift, value);
}

INLINE bool downwards(const struct cpu *cpu)
{
    return cpu->s.rflags & FLAG_DF;
}

/* Whether a loop may take more than one element at a time. */
INLINE bool in_blocks(const struct cpu *cpu)
{
    return !(cpu->s.rflags & (FLAG_DF | FLAG_TF)) && !cpu->single;
}

INLINE uint64_t index_of(const struct cpu *cpu, const struct insn *i, unsigned reg)
{
    return cpu->s.gpr[reg] & address_mask(i->asize);
}

/* RSI or RDI goes on by `n` elements. */
INLINE void advance(struct cpu *cpu, const struct insn *i, unsigned reg, uint64_t n, unsigned shift)
{
    uint64_t bytes = n << shift;

    gpr_set(cpu, reg, i->asize, downwards(cpu) ? cpu->s.gpr[reg] - bytes : cpu->s.gpr[reg] + bytes);
}

/*
 * How many of `count` elements going up from seg:offset (at `linear`, its first element checked) are in the
 * same page, inside the segment, and do not wrap. At least one; the first may itself cross.
 */
static uint64_t block_length(const struct cpu *cpu, const struct insn *i, unsigned seg, uint64_t offset,
                             uint64_t linear, unsigned shift, uint64_t count)
{
    const struct segment *s = &cpu->s.seg[seg];
    uint64_t bytes = PAGE_SIZE_4K - linear % PAGE_SIZE_4K;
    uint64_t last = address_mask(i->asize);

    if (!cpu->long64) {
        if ((s->attr & (SEG_CODE | SEG_EXPDOWN)) == SEG_EXPDOWN)
            return 1;
        if (last > s->limit)
            last = s->limit;
    }
    if (bytes - 1 > last - offset)
        bytes = last - offset + 1;
    if (count > bytes >> shift)
        count = bytes >> shift;
    return count ? count : 1;
}

/* Whether a loop with iterations left takes the next one now. */
INLINE bool goes_on(const struct cpu *cpu)
{
    return likely(atomic_load_explicit(&cpu->stop_at, memory_order_relaxed) != 0) &&
           !(cpu->s.rflags & FLAG_TF) && !cpu->single;
}

/*
 * The instruction stays to be finished: RIP points at it. The attempt counts, as a fault's does. An
 * instruction breakpoint on it has been hit before the first iteration: RF keeps it from hitting again before
 * each, and is in what a trap between them pushes (SDM 3B 18.3.1.1).
 */
static void leave_unfinished(struct cpu *cpu, const struct insn *i)
{
    if (unlikely(cpu->single) && (breakpoints_armed(cpu) || cpu->s.rflags & FLAG_TF))
        cpu->s.rflags |= FLAG_RF;
    cpu->retired -= i->rest;
    cpu->s.rip = rip_of(cpu, i);
    if (unlikely(cpu->stops))
        stop_unfinished(cpu);
}

/* --- MOVS -------------------------------------------------------------------------------------------------
 */

INLINE void movs_one(struct cpu *cpu, const struct insn *i, unsigned shift)
{
    unsigned size = 1u << shift;
    uint64_t from = seg_linear(cpu, i, i->seg, index_of(cpu, i, RSI), size, ACCESS_READ);
    uint64_t value = load(cpu, i, i->seg, from, shift);
    uint64_t to = seg_linear(cpu, i, ES, index_of(cpu, i, RDI), size, ACCESS_WRITE);

    store(cpu, i, to, shift, value);
    advance(cpu, i, RSI, 1, shift);
    advance(cpu, i, RDI, 1, shift);
}

/* Copies upwards as the instruction does: a destination a little above its source repeats what is between
 * them. */
INLINE void copy_up(void *to, const void *from, uint64_t n, unsigned shift)
{
    uint64_t distance = (uint64_t)(uintptr_t)to - (uint64_t)(uintptr_t)from;

    if (distance >= n << shift)
        memmove(to, from, n << shift);
    else
        for (uint64_t k = 0; k < n; k++)
            set_element(to, k, shift, element(from, k, shift));
}

/* One block, if both sides are plain memory at hand: the elements moved, or 0. */
INLINE uint64_t movs_block(struct cpu *cpu, const struct insn *i, uint64_t count, unsigned shift)
{
    uint64_t src = index_of(cpu, i, RSI), dst = index_of(cpu, i, RDI);
    uint64_t from = seg_linear(cpu, i, i->seg, src, 1u << shift, ACCESS_READ), to, n;
    const void *r = tlb_read_host(cpu, from, 1u << shift);
    void *w;

    if (!r)
        return 0; /* its page fault comes before any of the destination's */
    to = seg_linear(cpu, i, ES, dst, 1u << shift, ACCESS_WRITE);
    w = tlb_write_host(cpu, to, 1u << shift);
    if (!w)
        return 0;
    n = block_length(cpu, i, i->seg, src, from, shift, count);
    n = block_length(cpu, i, ES, dst, to, shift, n);
    copy_up(w, r, n, shift);
    advance(cpu, i, RSI, n, shift);
    advance(cpu, i, RDI, n, shift);
    return n;
}

/* Each rep_ function returns whether the instruction is finished. */
INLINE bool rep_movs(struct cpu *cpu, const struct insn *i, unsigned shift)
{
    uint64_t count = index_of(cpu, i, RCX), n;

    while (count) {
        n = in_blocks(cpu) ? movs_block(cpu, i, count, shift) : 0;
        if (!n) {
            movs_one(cpu, i, shift);
            n = 1;
        }
        count -= n;
        gpr_set(cpu, RCX, i->asize, count);
        if (count && !goes_on(cpu))
            return false;
    }
    return true;
}

/* --- STOS -------------------------------------------------------------------------------------------------
 */

INLINE void stos_one(struct cpu *cpu, const struct insn *i, unsigned shift)
{
    uint64_t to = seg_linear(cpu, i, ES, index_of(cpu, i, RDI), 1u << shift, ACCESS_WRITE);

    store(cpu, i, to, shift, cpu->s.gpr[RAX]);
    advance(cpu, i, RDI, 1, shift);
}

INLINE uint64_t stos_block(struct cpu *cpu, const struct insn *i, uint64_t count, unsigned shift)
{
    uint64_t dst = index_of(cpu, i, RDI), value = accumulator(cpu, shift), n;
    uint64_t to = seg_linear(cpu, i, ES, dst, 1u << shift, ACCESS_WRITE);
    void *w = tlb_write_host(cpu, to, 1u << shift);

    if (!w)
        return 0;
    n = block_length(cpu, i, ES, dst, to, shift, count);
    if (shift == SIZE_B || value == 0)
        memset(w, (int)value, n << shift);
    else
        for (uint64_t k = 0; k < n; k++)
            set_element(w, k, shift, value);
    advance(cpu, i, RDI, n, shift);
    return n;
}

INLINE bool rep_stos(struct cpu *cpu, const struct insn *i, unsigned shift)
{
    uint64_t count = index_of(cpu, i, RCX), n;

    while (count) {
        n = in_blocks(cpu) ? stos_block(cpu, i, count, shift) : 0;
        if (!n) {
            stos_one(cpu, i, shift);
            n = 1;
        }
        count -= n;
        gpr_set(cpu, RCX, i->asize, count);
        if (count && !goes_on(cpu))
            return false;
    }
    return true;
}

/* --- LODS -------------------------------------------------------------------------------------------------
 */

INLINE void lods_one(struct cpu *cpu, const struct insn *i, unsigned shift)
{
    uint64_t from = seg_linear(cpu, i, i->seg, index_of(cpu, i, RSI), 1u << shift, ACCESS_READ);

    set_accumulator(cpu, shift, load(cpu, i, i->seg, from, shift));
    advance(cpu, i, RSI, 1, shift);
}

INLINE bool rep_lods(struct cpu *cpu, const struct insn *i, unsigned shift)
{
    uint64_t count = index_of(cpu, i, RCX);

    while (count) {
        lods_one(cpu, i, shift);
        gpr_set(cpu, RCX, i->asize, --count);
        if (count && !goes_on(cpu))
            return false;
    }
    return true;
}

/* --- SCAS -------------------------------------------------------------------------------------------------
 */

INLINE void flags_of(struct cpu *cpu, uint64_t a, uint64_t b, unsigned shift)
{
    flags_sub(cpu, a, b, a - b, 8u << shift);
}

INLINE void scas_one(struct cpu *cpu, const struct insn *i, unsigned shift)
{
    uint64_t at = seg_linear(cpu, i, ES, index_of(cpu, i, RDI), 1u << shift, ACCESS_READ);
    uint64_t value = load(cpu, i, ES, at, shift);

    flags_of(cpu, accumulator(cpu, shift), value, shift);
    advance(cpu, i, RDI, 1, shift);
}

/*
 * The flags are written when the loop ends or stops, not before: a page fault in the middle must show those
 * from before the instruction (SDM 2B "REP").
 */
INLINE bool rep_scas(struct cpu *cpu, const struct insn *i, unsigned shift)
{
    uint64_t count = index_of(cpu, i, RCX), acc = accumulator(cpu, shift), value, n;
    bool wanted = i->flags & INSN_REPNE; /* ends when "equal" is this */

    while (count) {
        uint64_t dst = index_of(cpu, i, RDI);
        uint64_t at = seg_linear(cpu, i, ES, dst, 1u << shift, ACCESS_READ);
        const void *r = in_blocks(cpu) ? tlb_read_host(cpu, at, 1u << shift) : NULL;

        n = 0;
        if (r) {
            uint64_t max = block_length(cpu, i, ES, dst, at, shift, count);

            do
                value = element(r, n++, shift);
            while ((value == acc) != wanted && n < max);
        } else {
            value = load(cpu, i, ES, at, shift);
            n = 1;
        }
        advance(cpu, i, RDI, n, shift);
        count -= n;
        gpr_set(cpu, RCX, i->asize, count);
        if (!count || (value == acc) == wanted || !goes_on(cpu)) {
            flags_of(cpu, acc, value, shift);
            return !count || (value == acc) == wanted;
        }
    }
    return true;
}

/* --- CMPS -------------------------------------------------------------------------------------------------
 */

INLINE void cmps_one(struct cpu *cpu, const struct insn *i, unsigned shift)
{
    unsigned size = 1u << shift;
    uint64_t from = seg_linear(cpu, i, i->seg, index_of(cpu, i, RSI), size, ACCESS_READ);
    uint64_t a = load(cpu, i, i->seg, from, shift);
    uint64_t to = seg_linear(cpu, i, ES, index_of(cpu, i, RDI), size, ACCESS_READ);
    uint64_t b = load(cpu, i, ES, to, shift);

    flags_of(cpu, a, b, shift);
    advance(cpu, i, RSI, 1, shift);
    advance(cpu, i, RDI, 1, shift);
}

INLINE bool rep_cmps(struct cpu *cpu, const struct insn *i, unsigned shift)
{
    uint64_t count = index_of(cpu, i, RCX), a, b, n;
    bool wanted = i->flags & INSN_REPNE;

    while (count) {
        uint64_t src = index_of(cpu, i, RSI), dst = index_of(cpu, i, RDI), to;
        uint64_t from = seg_linear(cpu, i, i->seg, src, 1u << shift, ACCESS_READ);
        const void *x, *y;

        a = load(cpu, i, i->seg, from, shift);
        to = seg_linear(cpu, i, ES, dst, 1u << shift, ACCESS_READ);
        b = load(cpu, i, ES, to, shift);
        n = 1;
        x = tlb_read_host(cpu, from, 1u << shift);
        y = tlb_read_host(cpu, to, 1u << shift);
        if (in_blocks(cpu) && x && y) {
            uint64_t max = block_length(cpu, i, i->seg, src, from, shift, count);

            max = block_length(cpu, i, ES, dst, to, shift, max);
            while ((a == b) != wanted && n < max) {
                a = element(x, n, shift);
                b = element(y, n++, shift);
            }
        }
        advance(cpu, i, RSI, n, shift);
        advance(cpu, i, RDI, n, shift);
        count -= n;
        gpr_set(cpu, RCX, i->asize, count);
        if (!count || (a == b) == wanted || !goes_on(cpu)) {
            flags_of(cpu, a, b, shift);
            return !count || (a == b) == wanted;
        }
    }
    return true;
}

/* --- INS, OUTS --------------------------------------------------------------------------------------------
 */

/* The destination is checked first: reading a port can't be taken back. */
INLINE void ins_one(struct cpu *cpu, const struct insn *i, unsigned shift)
{
    uint16_t port = (uint16_t)cpu->s.gpr[RDX];
    uint64_t to;

    check_port(cpu, i, port, 1u << shift);
    to = seg_linear(cpu, i, ES, index_of(cpu, i, RDI), 1u << shift, ACCESS_WRITE);
    if (!tlb_write_host(cpu, to, 1u << shift))
        probe_write(cpu, i, ES, to, 1u << shift);
    if (unlikely(cpu->stops))
        stop_alone(cpu, i);
    store(cpu, i, to, shift, read_port(cpu, i, port, 1u << shift));
    advance(cpu, i, RDI, 1, shift);
}

INLINE bool rep_ins(struct cpu *cpu, const struct insn *i, unsigned shift)
{
    uint64_t count = index_of(cpu, i, RCX);

    check_port(cpu, i, (uint16_t)cpu->s.gpr[RDX], 1u << shift); /* even if the count is 0 */
    while (count) {
        ins_one(cpu, i, shift);
        gpr_set(cpu, RCX, i->asize, --count);
        if (count && !goes_on(cpu))
            return false;
    }
    return true;
}

INLINE void outs_one(struct cpu *cpu, const struct insn *i, unsigned shift)
{
    uint16_t port = (uint16_t)cpu->s.gpr[RDX];
    uint64_t from;

    check_port(cpu, i, port, 1u << shift);
    from = seg_linear(cpu, i, i->seg, index_of(cpu, i, RSI), 1u << shift, ACCESS_READ);
    write_port(cpu, i, port, load(cpu, i, i->seg, from, shift), 1u << shift);
    advance(cpu, i, RSI, 1, shift);
}

INLINE bool rep_outs(struct cpu *cpu, const struct insn *i, unsigned shift)
{
    uint64_t count = index_of(cpu, i, RCX);

    check_port(cpu, i, (uint16_t)cpu->s.gpr[RDX], 1u << shift);
    while (count) {
        outs_one(cpu, i, shift);
        gpr_set(cpu, RCX, i->asize, --count);
        if (count && !goes_on(cpu))
            return false;
    }
    return true;
}

/* --- The bodies -------------------------------------------------------------------------------------------
 */

#define STRING_BODY(op, suffix, shift)                                                                       \
    static __attribute__((noinline)) bool rep_##op##_##suffix(struct cpu *cpu, const struct insn *i)         \
    {                                                                                                        \
        return rep_##op(cpu, i, shift);                                                                      \
    }                                                                                                        \
    BODY(op##_##suffix)                                                                                      \
    {                                                                                                        \
        if (!REPEATED(i)) {                                                                                  \
            op##_one(cpu, i, shift);                                                                         \
        } else if (!rep_##op##_##suffix(cpu, i)) {                                                           \
            leave_unfinished(cpu, i);                                                                        \
            return;                                                                                          \
        }                                                                                                    \
        NEXT;                                                                                                \
    }

#define STRING_BODIES(op)                                                                                    \
    STRING_BODY(op, b, SIZE_B)                                                                               \
    STRING_BODY(op, w, SIZE_W)                                                                               \
    STRING_BODY(op, d, SIZE_D)                                                                               \
    STRING_BODY(op, q, SIZE_Q)

STRING_BODIES(movs)
STRING_BODIES(stos)
STRING_BODIES(lods)
STRING_BODIES(scas)
STRING_BODIES(cmps)

/* Ports are 32 bits wide at most: REX.W changes nothing. */
STRING_BODY(ins, b, SIZE_B)
STRING_BODY(ins, w, SIZE_W)
STRING_BODY(ins, d, SIZE_D)
STRING_BODY(ins, q, SIZE_D)

/* What a chip was told may have changed the machine: leave, as OUT does. */
#define OUTS_BODY(suffix, shift)                                                                             \
    BODY(outs_##suffix)                                                                                      \
    {                                                                                                        \
        if (!REPEATED(i)) {                                                                                  \
            outs_one(cpu, i, shift);                                                                         \
        } else if (!rep_outs(cpu, i, shift)) {                                                               \
            leave_unfinished(cpu, i);                                                                        \
            return;                                                                                          \
        }                                                                                                    \
        LEAVE(next_rip(cpu, i));                                                                             \
    }
OUTS_BODY(b, SIZE_B)
OUTS_BODY(w, SIZE_W)
OUTS_BODY(d, SIZE_D)
OUTS_BODY(q, SIZE_D)
