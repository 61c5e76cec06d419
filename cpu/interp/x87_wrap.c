/*
 * x87_wrap.c - how x87 exceptions become state: flags and pointers, stack faults, and results with wrapped
 * exponents.
 */
#include "cpu/interp/x87.h"

/* Notes where the instruction is, for handlers. The decoder leaves FOP in imm. */
static void note_pointers(struct cpu *cpu, const struct insn *i)
{
    struct cpu_state *s = &cpu->s;

    s->fip = rip_of(cpu, i);
    s->fcs = s->seg[CS].selector;
    s->fop = i->imm & 0x7ff;
    if (i->flags & INSN_MEM) {
        s->fdp = ea(cpu, i);
        s->fds = s->seg[i->seg].selector;
    }
}

void x87_commit(struct cpu *cpu, const struct insn *i, unsigned sw, unsigned cc)
{
    cpu->s.fsw = (uint16_t)((cpu->s.fsw & ~cc) | (sw & (cc | FSW_EXCEPTIONS | FSW_SF)));
    if (sw & FSW_EXCEPTIONS)
        fpu_update_summary(&cpu->s);
    note_pointers(cpu, i);
}

bool x87_stack_fault(struct cpu *cpu, const struct insn *i, bool overflow, unsigned cc)
{
    x87_commit(cpu, i, FSW_IE | FSW_SF | (overflow ? FSW_C1 : 0), cc);
    return cpu->s.fcw & FSW_IE;
}

bool x87_stopped(struct cpu *cpu, const struct insn *i, unsigned sw, unsigned cc)
{
    if (likely(!(unmasked(cpu, sw) & X87_PRE_FLAGS)))
        return false;
    x87_commit(cpu, i, sw & X87_PRE_FLAGS, cc);
    return true;
}

/* v * 2^by, for finite values; below the smallest exponent it stays there, where only its being nonzero
 * matters. */
static struct f80 scaled(struct f80 v, int by)
{
    int exponent = v.exponent & 0x7fff, shift;

    if (!v.mantissa)
        return v;
    shift = __builtin_clzll(v.mantissa);
    v.mantissa <<= shift;
    exponent = (exponent ? exponent : 1) - shift + by;
    v.exponent = (uint16_t)((v.exponent & 0x8000) | (exponent < 1 ? 1 : exponent & 0x7fff));
    return v;
}

static unsigned post_flag(unsigned sw)
{
    return sw & FSW_OE ? FSW_OE : FSW_UE;
}

/*
 * ST(0) op b, rounded as if the exponent had no limits: by operands that are scaled by powers of two.
 * Products and quotients then come out wrapped already.
 */
unsigned x87_wrap_arithmetic(struct cpu *cpu, const struct insn *i, unsigned op, const struct f80 *b,
                             unsigned sw, struct f80 *r)
{
    bool over = sw & FSW_OE, divides = op == X87_DIV || op == X87_DIVR;
    bool adds = op == X87_ADD || op == X87_SUB || op == X87_SUBR;
    int up_a = adds ? (over ? -4 : 128) : over ? -12288 : 12288, up_b = up_a;
    struct f80 a, c;
    unsigned flags;

    if (divides)
        op == X87_DIV ? (up_b = -up_b) : (up_a = -up_a);
    a = scaled(*st(cpu, 0), up_a);
    c = scaled(*b, up_b);
    flags = x87_run(cpu, i, x87_arith[op][X87_F80], &a, &c, r);
    if (adds)
        *r = scaled(*r, over ? 4 - 24576 : 24576 - 128);
    return (sw & FSW_DE) | post_flag(sw) | (flags & (FSW_PE | FSW_C1));
}

/*
 * FSCALE: ST(0)'s mantissa is exact whatever the exponent, so the wrapped result comes straight from it.
 * Where even wrapping can't reach it is infinity or zero.
 */
unsigned x87_wrap_scale(struct cpu *cpu, const struct insn *i, unsigned sw, struct f80 *r)
{
    const struct f80 *a = st(cpu, 0);
    struct f80 by = {0, 0};
    bool over = sw & FSW_OE;
    int exponent;

    x87_run(cpu, i, x87_chop_i32, st(cpu, 1), st(cpu, 1), &by);
    exponent = (int32_t)by.mantissa;
    if (exponent > -65536 && exponent < 65536) {
        exponent += over ? -24576 : 24576;
        exponent += is_tiny(a) ? 1 - __builtin_clzll(a->mantissa) : a->exponent & 0x7fff;
        if (exponent > 0 && exponent < 0x7fff) {
            *r = scaled(*a, 0);
            r->exponent = (uint16_t)((r->exponent & 0x8000) | (unsigned)exponent);
            return (sw & FSW_DE) | post_flag(sw);
        }
    }
    r->mantissa = over ? 1ull << 63 : 0;
    r->exponent = (uint16_t)((a->exponent & 0x8000) | (over ? 0x7fff : 0));
    return (sw & FSW_DE) | post_flag(sw) | FSW_PE | (over ? FSW_C1 : 0);
}

/* Unbiased exponent. */
static int exponent_of(const struct f80 *v)
{
    return (int)(scaled(*v, 0).exponent & 0x7fff) - 0x3fff - (is_tiny(v) ? __builtin_clzll(v->mantissa) : 0);
}

/* Functions: they are linear in one operand, or in all that is tiny, and scaling uses that. */
unsigned x87_wrap_function(struct cpu *cpu, const struct insn *i, x87_op *op, unsigned sw, struct f80 *r)
{
    struct f80 x = *st(cpu, 0), y = *st(cpu, 1);
    int up = sw & FSW_OE ? -24576 : 24576;
    unsigned flags;

    if (op == x87_2xm1) { /* x ln 2 */
        x = scaled(x, 12288);
        up -= 12288;
    } else if (op == x87_yl2x) { /* y log2 x */
        y = scaled(y, up);
        up = 0;
    } else if (op == x87_yl2xp1) { /* y log2 (x + 1): y as far as it goes, the rest of it on x, which is tiny
                                      then */
        int up_y = up > 16380 - exponent_of(&y) ? 16380 - exponent_of(&y) : up;

        y = scaled(y, up_y);
        if (up > up_y)
            x = scaled(x, up - up_y);
        up = 0;
    } else if (op == x87_patan) { /* y / x: both at exponents whose quotient is tiny enough */
        int down = exponent_of(&y) + 8000 - exponent_of(&x);

        y = scaled(y, -8000 - exponent_of(&y));
        x = scaled(x, -exponent_of(&x));
        up += down;
    } else if (op == x87_prem || op == x87_prem1) { /* exact */
        *r = scaled(*r, up);
        return sw | post_flag(sw);
    } else { /* sin x and tan x are nearly x */
        x = scaled(x, 12288);
        up -= 12288;
    }
    flags = x87_run(cpu, i, op, &x, &y, r);
    *r = scaled(*r, up);
    return (sw & FSW_DE) | post_flag(sw) | (flags & (FSW_PE | FSW_C1));
}
