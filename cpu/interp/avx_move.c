/*
 * avx_move.c - VEX-encoded moves between registers and memory, non-temporal ones too; VZEROALL, VZEROUPPER,
 * MXCSR.
 *
 * Non-temporal hints have no effect here: a store is a store. Names end in _load and _store where one
 * mnemonic has both directions.
 */
#include "cpu/interp/avx.h"

#define REG_X get_x(cpu, i->reg)
#define REG_Y get_y(cpu, i->reg)

/* --- Memory operands of 32 bytes ----------------------------------------------------------------- */

__attribute__((noinline)) struct v256 avx_load_slow(struct cpu *cpu, const struct insn *i, uint64_t linear)
{
    const v128_any *p = tlb_read_host(cpu, linear, 32);
    v128 value[2];

    if (likely(p != NULL))
        return (struct v256){p[0], p[1]};
    linear_read_block(cpu, i, i->seg, linear, value, sizeof(value));
    return (struct v256){value[0], value[1]};
}

__attribute__((noinline)) void avx_store_slow(struct cpu *cpu, const struct insn *i, uint64_t linear,
                                              v128 low, v128 high)
{
    v128_any *p = tlb_write_host(cpu, linear, 32);
    v128 value[2] = {low, high};

    if (likely(p != NULL)) {
        p[0] = low;
        p[1] = high;
    } else {
        linear_write_block(cpu, i, i->seg, linear, value, sizeof(value));
    }
}

/* --- Whole registers ----------------------------------------------------------------------------- */

#define LOAD_BODIES(name, kind_x, kind_y)                                                                    \
    DO(name##_x)                                                                                             \
    {                                                                                                        \
        set_x(cpu, i->reg, source);                                                                          \
    }                                                                                                        \
    DO_Y(name##_y)                                                                                           \
    {                                                                                                        \
        set_y(cpu, i->reg, source.low, source.high);                                                         \
    }                                                                                                        \
    AVX_FORMS(name##_x, kind_x)                                                                              \
    AVX_FORMS(name##_y, kind_y)

LOAD_BODIES(vmovaps_load, x, ya) /* VMOVAPD, VMOVDQA, VMOVNTDQA too */
LOAD_BODIES(vmovups_load, u, y)  /* VMOVUPD, VMOVDQU, VLDDQU */

#define REGISTER_STORE(body, value)                                                                          \
    BODY(body)                                                                                               \
    {                                                                                                        \
        avx_check(cpu, i);                                                                                   \
        set_x(cpu, i->rm, value);                                                                            \
        NEXT;                                                                                                \
    }
#define STORE_BODIES_XY(name, kind_x, kind_y)                                                                \
    REGISTER_STORE(name##_x_r, REG_X)                                                                        \
    BODY(name##_y_r)                                                                                         \
    {                                                                                                        \
        struct v256 value = REG_Y;                                                                           \
                                                                                                             \
        avx_check(cpu, i);                                                                                   \
        set_y(cpu, i->rm, value.low, value.high);                                                            \
        NEXT;                                                                                                \
    }                                                                                                        \
    AVX_STORE_FORMS(name##_x, kind_x, REG_X)                                                                 \
    AVX_STORE_FORMS(name##_y, kind_y, REG_Y)

STORE_BODIES_XY(vmovaps_store, x, ya) /* VMOVAPD, VMOVDQA, VMOVNTPS, VMOVNTPD, VMOVNTDQ too */
STORE_BODIES_XY(vmovups_store, u, y)  /* VMOVUPD, VMOVDQU */

/* --- Scalars and halves -------------------------------------------------------------------------- */

/* Between registers VMOVSS and VMOVSD take the upper bits from VEX.vvvv's, from memory they clear them. */
#define SCALAR_MOVE(name, kind, op)                                                                          \
    BODY(name##_merge)                                                                                       \
    {                                                                                                        \
        avx_check(cpu, i);                                                                                   \
        set_x(cpu, i->reg, op(GET_HX, get_x(cpu, i->rm)));                                                   \
        NEXT;                                                                                                \
    }                                                                                                        \
    BODY(name##_merge_rm) /* opcode 11: the destination is ModRM.rm */                                       \
    {                                                                                                        \
        avx_check(cpu, i);                                                                                   \
        set_x(cpu, i->rm, op(GET_HX, REG_X));                                                                \
        NEXT;                                                                                                \
    }                                                                                                        \
    AVX_X_BODIES(name##_load, kind, b)                                                                       \
    NO_REG_FORM(name##_store)                                                                                \
    AVX_STORE_FORMS(name##_store, kind, REG_X)

SCALAR_MOVE(vmovss, d, op_movss)
SCALAR_MOVE(vmovsd, q, op_movsd) /* VMOVLPS and VMOVLPD store as it does */

/* VMOVQ clears the upper half in every form. */
AVX_X_BODIES(vmovq_load, q, low64(b[0]))
REGISTER_STORE(vmovq_store_r, low64(REG_X[0]))
AVX_STORE_FORMS(vmovq_store, q, REG_X)

AVX_X_BODIES(vmovlps_load, q, ((v128){b[0], a[1]})) /* VMOVLPD too */
AVX_X_BODIES(vmovhps_load, q, ((v128){a[0], b[0]})) /* VMOVHPD, and VMOVLHPS between registers */

BODY(vmovhlps)
{
    avx_check(cpu, i);
    set_x(cpu, i->reg, (v128){get_x(cpu, i->rm)[1], GET_HX[1]});
    NEXT;
}

NO_REG_FORM(vmovhps_store)
AVX_STORE_FORMS(vmovhps_store, q, low64(REG_X[1]))

/* --- Duplicating moves --------------------------------------------------------------------------- */

DO(vmovddup_x)
{
    set_x(cpu, i->reg, (v128){source[0], source[0]});
}
AVX_FORMS(vmovddup_x, q)

DO_Y(vmovddup_y)
{
    set_y(cpu, i->reg, (v128){source.low[0], source.low[0]}, (v128){source.high[0], source.high[0]});
}
AVX_FORMS(vmovddup_y, y)

AVX_BODIES(vmovsldup, (b & 0xffffffff) | b << 32)
AVX_BODIES(vmovshdup, b >> 32 | (b >> 32 << 32))

/* --- General registers --------------------------------------------------------------------------- */

/* VMOVD and, with VEX.W in 64-bit mode, VMOVQ. */
BODY(vmovd_load_r)
{
    avx_check(cpu, i);
    set_x(cpu, i->reg, low64(i->osize == SIZE_Q ? get64(cpu, i->rm) : get32(cpu, i->rm)));
    NEXT;
}

BODY(vmovd_load_m)
{
    avx_check(cpu, i);
    if (i->osize == SIZE_Q)
        set_x(cpu, i->reg, low64(ld64(cpu, i, i->seg, ea64(cpu, i))));
    else
        set_x(cpu, i->reg, low64(ld32(cpu, i, i->seg, ea64(cpu, i))));
    NEXT;
}

BODY(vmovd_load_g)
{
    avx_check(cpu, i);
    set_x(cpu, i->reg, low64(mem_read(cpu, i, i->osize == SIZE_Q ? 8 : 4)));
    NEXT;
}

BODY(vmovd_store_r)
{
    avx_check(cpu, i);
    if (i->osize == SIZE_Q)
        set64(cpu, i->rm, REG_X[0]);
    else
        set32(cpu, i->rm, (uint32_t)REG_X[0]);
    NEXT;
}

BODY(vmovd_store_m)
{
    avx_check(cpu, i);
    if (i->osize == SIZE_Q)
        st64(cpu, i, i->seg, ea64(cpu, i), REG_X[0]);
    else
        st32(cpu, i, i->seg, ea64(cpu, i), (uint32_t)REG_X[0]);
    NEXT;
}

BODY(vmovd_store_g)
{
    avx_check(cpu, i);
    mem_write(cpu, i, i->osize == SIZE_Q ? 8 : 4, REG_X[0]);
    NEXT;
}

/* Sign bits to a general register; `size` is what one lane gives. */
#define SIGN_BITS(name, op, size)                                                                            \
    BODY(name)                                                                                               \
    {                                                                                                        \
        uint32_t bits = op(get_x(cpu, i->rm));                                                               \
                                                                                                             \
        avx_check(cpu, i);                                                                                   \
        if (i->osize == VEC_Y)                                                                               \
            bits |= op(get_y(cpu, i->rm).high) << (size);                                                    \
        set32(cpu, i->reg, bits);                                                                            \
        NEXT;                                                                                                \
    }

SIGN_BITS(vmovmskps, op_movmskps, 4)
SIGN_BITS(vmovmskpd, op_movmskpd, 2)
SIGN_BITS(vpmovmskb, op_pmovmskb, 16)

BODY(vmaskmovdqu)
{
    avx_check(cpu, i);
    sse_masked_store(cpu, i, REG_X, op_pmovmskb(get_x(cpu, i->rm)), 16);
    NEXT;
}

/* --- State --------------------------------------------------------------------------------------- */

/* Outside 64-bit mode there are eight registers, and the others keep what they have. */
BODY(vzeroupper)
{
    avx_check(cpu, i);
    for (unsigned n = 0; n < (cpu->long64 ? 16 : 8); n++)
        set_x(cpu, XMM_OFFSET(n), get_x(cpu, XMM_OFFSET(n)));
    NEXT;
}

BODY(vzeroall)
{
    avx_check(cpu, i);
    for (unsigned n = 0; n < (cpu->long64 ? 16 : 8); n++)
        set_x(cpu, XMM_OFFSET(n), low64(0));
    NEXT;
}

BODY(vldmxcsr)
{
    uint32_t value;

    avx_check(cpu, i);
    value = (uint32_t)mem_read(cpu, i, 4);
    if (value & ~MXCSR_WRITABLE)
        gp0(cpu, i);
    cpu->s.mxcsr = value;
    NEXT;
}

BODY(vstmxcsr)
{
    avx_check(cpu, i);
    mem_write(cpu, i, 4, cpu->s.mxcsr);
    NEXT;
}
