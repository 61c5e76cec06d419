/*
 * sse4.c - SSE4.1 and SSE4.2 integer operations, blends, inserts and extracts, in legacy and VEX encodings.
 */
#include "cpu/interp/avx.h"
#include "cpu/interp/sse4_ops.h"

/* The legacy instruction `name`, `expr` of a, b and imm as in AVX_BODIES. */
#define LEGACY(name, kind, expr)                                                                             \
    DO(name)                                                                                                 \
    {                                                                                                        \
        v128 a = *xmm(cpu, i->reg), b = source;                                                              \
        unsigned imm = IMM8;                                                                                 \
                                                                                                             \
        (void)a, (void)b, (void)imm;                                                                         \
        *xmm(cpu, i->reg) = (expr);                                                                          \
    }                                                                                                        \
    SSE_BODIES(name, kind)

/* --- Lane by lane -------------------------------------------------------------------------------- */

#define PLAIN(name)                                                                                          \
    LEGACY(name, x, op_##name(a, b))                                                                         \
    AVX_BODIES(v##name, op_##name(a, b))

PLAIN(pminsb)
PLAIN(pminuw)
PLAIN(pminsd)
PLAIN(pminud)
PLAIN(pmaxsb)
PLAIN(pmaxuw)
PLAIN(pmaxsd)
PLAIN(pmaxud)
PLAIN(pcmpeqq)
PLAIN(pcmpgtq)
PLAIN(pmuldq)
PLAIN(pmulld)
PLAIN(packusdw)

/* In 256 bits, blends of singles and doubles and MPSADBW take bits of the immediate that are the upper lane's
 * own. */
LEGACY(pblendw, x, op_pblendw(a, b, imm))
LEGACY(blendps, x, op_blendps(a, b, imm))
LEGACY(blendpd, x, op_blendpd(a, b, imm))
LEGACY(mpsadbw, x, op_mpsadbw(a, b, imm))
AVX_BODIES(vpblendw, op_pblendw(a, b, imm))
AVX_BODIES(vblendps, op_blendps(a, b, imm >> 4 * lane))
AVX_BODIES(vblendpd, op_blendpd(a, b, imm >> 2 * lane))
AVX_BODIES(vmpsadbw, op_mpsadbw(a, b, imm >> 3 * lane))

LEGACY(phminposuw, x, op_phminposuw(b))
AVX_X_BODIES(vphminposuw, u, op_phminposuw(b))

/* --- Blends by a mask: XMM0, or the register that an immediate names ----------------------------- */

#define BLEND(name)                                                                                          \
    LEGACY(name, x, op_##name(a, b, *xmm(cpu, XMM_OFFSET(0))))                                               \
    DO(v##name##_x)                                                                                          \
    {                                                                                                        \
        set_x(cpu, i->reg, op_##name(GET_HX, source, get_x(cpu, l_reg(cpu, i))));                            \
    }                                                                                                        \
    DO_Y(v##name##_y)                                                                                        \
    {                                                                                                        \
        struct v256 a = GET_HY, mask = get_y(cpu, l_reg(cpu, i));                                            \
                                                                                                             \
        set_y(cpu, i->reg, op_##name(a.low, source.low, mask.low),                                           \
              op_##name(a.high, source.high, mask.high));                                                    \
    }                                                                                                        \
    AVX_FORMS(v##name##_x, u)                                                                                \
    AVX_FORMS(v##name##_y, y)

BLEND(pblendvb)
BLEND(blendvps)
BLEND(blendvpd)

/* --- Extensions ---------------------------------------------------------------------------------- */

/* `kind` is the source of 128 bits, `kind_y` that of 256, whose upper lane starts as `high` of it. */
#define EXTEND(name, kind, kind_y, high)                                                                     \
    LEGACY(name, kind, op_##name(b))                                                                         \
    DO(v##name##_x)                                                                                          \
    {                                                                                                        \
        set_x(cpu, i->reg, op_##name(source));                                                               \
    }                                                                                                        \
    DO(v##name##_y)                                                                                          \
    {                                                                                                        \
        set_y(cpu, i->reg, op_##name(source), op_##name(low64(high)));                                       \
    }                                                                                                        \
    AVX_FORMS(v##name##_x, kind)                                                                             \
    AVX_FORMS(v##name##_y, kind_y)

EXTEND(pmovsxbw, q, u, source[1])
EXTEND(pmovsxbd, d, q, source[0] >> 32)
EXTEND(pmovsxbq, w, d, source[0] >> 16)
EXTEND(pmovsxwd, q, u, source[1])
EXTEND(pmovsxwq, d, q, source[0] >> 32)
EXTEND(pmovsxdq, q, u, source[1])
EXTEND(pmovzxbw, q, u, source[1])
EXTEND(pmovzxbd, d, q, source[0] >> 32)
EXTEND(pmovzxbq, w, d, source[0] >> 16)
EXTEND(pmovzxwd, q, u, source[1])
EXTEND(pmovzxwq, d, q, source[0] >> 32)
EXTEND(pmovzxdq, q, u, source[1])

/* --- PTEST --------------------------------------------------------------------------------------- */

DO(ptest)
{
    set_arith_flags(cpu, op_ptest(*xmm(cpu, i->reg), source));
}
SSE_BODIES(ptest, x)

DO(vptest_x)
{
    set_arith_flags(cpu, op_ptest(get_x(cpu, i->reg), source));
}
AVX_FORMS(vptest_x, u)

DO_Y(vptest_y)
{
    struct v256 a = get_y(cpu, i->reg);

    set_arith_flags(cpu, op_ptest(a.low, source.low) & op_ptest(a.high, source.high));
}
AVX_FORMS(vptest_y, y)

/* --- Elements in and out ------------------------------------------------------------------------- */

#define INSERT_BODY(name, size, check, from, put)                                                            \
    BODY(name)                                                                                               \
    {                                                                                                        \
        uint64_t value;                                                                                      \
                                                                                                             \
        check(cpu, i);                                                                                       \
        value = i->flags & INSN_MEM ? mem_read(cpu, i, size) : get64(cpu, i->rm);                            \
        put(cpu, i->reg, insert_element(from, value, IMM8, size));                                           \
        NEXT;                                                                                                \
    }
#define INSERT(name, size)                                                                                   \
    INSERT_BODY(name, size, sse_check, *xmm(cpu, i->reg), put_x)                                             \
    INSERT_BODY(v##name, size, avx_check, GET_HX, set_x)

/* A general register gets 32 bits at least. */
#define EXTRACT_BODY(name, bits, check)                                                                      \
    BODY(name)                                                                                               \
    {                                                                                                        \
        unsigned n = IMM8 & (128 / (bits)-1);                                                                \
        uint64_t value = get##bits(cpu, (uint16_t)(i->reg + (bits) / 8 * n));                                \
                                                                                                             \
        check(cpu, i);                                                                                       \
        if (i->flags & INSN_MEM)                                                                             \
            mem_write(cpu, i, (bits) / 8, value);                                                            \
        else                                                                                                 \
            set64(cpu, i->rm, value);                                                                        \
        NEXT;                                                                                                \
    }
#define EXTRACT(name, bits)                                                                                  \
    EXTRACT_BODY(name, bits, sse_check)                                                                      \
    EXTRACT_BODY(v##name, bits, avx_check)

ALWAYS_INLINE void put_x(struct cpu *cpu, uint16_t reg, v128 value)
{
    *xmm(cpu, reg) = value;
}

INSERT(pinsr_b, 1)
INSERT(pinsr_d, 4)
INSERT(pinsr_q, 8)
EXTRACT(pextr_b, 8)
EXTRACT(pextr_w, 16) /* 0F 3A 15; 0F C5 is PEXTRW from SSE2 */
EXTRACT(pextr_d, 32) /* EXTRACTPS too */
EXTRACT(pextr_q, 64)

BODY(pinsr_dq)
{
    if (i->osize == SIZE_Q)
        pinsr_q(cpu, i);
    else
        pinsr_d(cpu, i);
}

BODY(pextr_dq)
{
    if (i->osize == SIZE_Q)
        pextr_q(cpu, i);
    else
        pextr_d(cpu, i);
}

/* Memory has one element to give, a register four. */
ALWAYS_INLINE v128 inserted_single(v128 to, v128 source, unsigned imm)
{
    union vec s = {.v = source};

    return op_insertps(to, s.u32[imm >> 6 & 3], imm);
}

DO(insertps)
{
    *xmm(cpu, i->reg) = op_insertps(*xmm(cpu, i->reg), (uint32_t)source[0], IMM8);
}
DO(insertps_element)
{
    *xmm(cpu, i->reg) = inserted_single(*xmm(cpu, i->reg), source, IMM8);
}
SSE_REG_BODY(insertps_r, insertps_element)
SSE_MEM_BODIES(insertps, d)

DO(vinsertps)
{
    set_x(cpu, i->reg, op_insertps(GET_HX, (uint32_t)source[0], IMM8));
}
DO(vinsertps_element)
{
    set_x(cpu, i->reg, inserted_single(GET_HX, source, IMM8));
}
AVX_REG_FORM(vinsertps_r, vinsertps_element, u)
AVX_MEM_FORMS(vinsertps, d)
