/*
 * sse_move.c - SSE, SSE2 and SSE3 moves between registers and memory, non-temporal ones too.
 *
 * Non-temporal hints have no effect here: a store is a store. Names end in _load and _store where one
 * mnemonic has both directions.
 */
#include "cpu/interp/sse.h"

#define GET_REG (*xmm(cpu, i->reg))

/* --- 128 bits ------------------------------------------------------------------------------------ */

DO(movaps_load) /* MOVAPD, MOVDQA too */
{
    *xmm(cpu, i->reg) = source;
}
SSE_BODIES(movaps_load, x)

DO(movups_load) /* MOVUPD, MOVDQU, LDDQU */
{
    *xmm(cpu, i->reg) = source;
}
SSE_BODIES(movups_load, u)

#define REGISTER_STORE(body, value)                                                                          \
    BODY(body)                                                                                               \
    {                                                                                                        \
        sse_check(cpu, i);                                                                                   \
        *xmm(cpu, i->rm) = (value);                                                                          \
        NEXT;                                                                                                \
    }

REGISTER_STORE(movaps_store_r, GET_REG)
SSE_STORE_BODIES(movaps_store, x, GET_REG) /* MOVNTPS, MOVNTPD, MOVNTDQ too */
REGISTER_STORE(movups_store_r, GET_REG)
SSE_STORE_BODIES(movups_store, u, GET_REG)

/* --- Scalars ------------------------------------------------------------------------------------- */

/* From a register MOVSS and MOVSD leave the upper bits, from memory they clear them. */
BODY(movss_load_r)
{
    sse_check(cpu, i);
    *xmm(cpu, i->reg) = op_movss(*xmm(cpu, i->reg), *xmm(cpu, i->rm));
    NEXT;
}

BODY(movsd_load_r)
{
    sse_check(cpu, i);
    *xmm(cpu, i->reg) = op_movsd(*xmm(cpu, i->reg), *xmm(cpu, i->rm));
    NEXT;
}

DO(movss_load)
{
    *xmm(cpu, i->reg) = source;
}
SSE_MEM_BODIES(movss_load, d)

DO(movsd_load)
{
    *xmm(cpu, i->reg) = source;
}
SSE_MEM_BODIES(movsd_load, q)

REGISTER_STORE(movss_store_r, op_movss(*xmm(cpu, i->rm), GET_REG))
SSE_STORE_BODIES(movss_store, d, GET_REG)
REGISTER_STORE(movsd_store_r, op_movsd(*xmm(cpu, i->rm), GET_REG))
SSE_STORE_BODIES(movsd_store, q, GET_REG)

/* MOVQ clears the upper half in every form. */
DO(movq_load)
{
    *xmm(cpu, i->reg) = low64(source[0]);
}
SSE_BODIES(movq_load, q)

REGISTER_STORE(movq_store_r, low64(GET_REG[0]))
SSE_STORE_BODIES(movq_store, q, GET_REG)

/* --- Halves -------------------------------------------------------------------------------------- */

/* 0F 12 and 66 0F 12: MOVLPS, MOVLPD from memory; MOVHLPS between registers. 0F 16 likewise with the
 * halves changed. */
BODY(movlps_load_r)
{
    sse_check(cpu, i);
    *xmm(cpu, i->reg) = (v128){(*xmm(cpu, i->rm))[1], GET_REG[1]};
    NEXT;
}

DO(movlps_load)
{
    *xmm(cpu, i->reg) = (v128){source[0], GET_REG[1]};
}
SSE_MEM_BODIES(movlps_load, q)

BODY(movhps_load_r)
{
    sse_check(cpu, i);
    *xmm(cpu, i->reg) = (v128){GET_REG[0], (*xmm(cpu, i->rm))[0]};
    NEXT;
}

DO(movhps_load)
{
    *xmm(cpu, i->reg) = (v128){GET_REG[0], source[0]};
}
SSE_MEM_BODIES(movhps_load, q)

/* MOVLPS and MOVLPD store as MOVSD does. */
SSE_STORE_BODIES(movhps_store, q, low64(GET_REG[1]))
REGISTER_STORE(movhps_store_r, (*xmm(cpu, i->rm))) /* no row's: MOVHPS has no register form */

/* --- Duplicating moves (SSE3) -------------------------------------------------------------------- */

DO(movddup)
{
    *xmm(cpu, i->reg) = (v128){source[0], source[0]};
}
SSE_BODIES(movddup, q)

DO(movsldup)
{
    v128 even = source & 0xffffffff;

    *xmm(cpu, i->reg) = even | even << 32;
}
SSE_BODIES(movsldup, x)

DO(movshdup)
{
    v128 odd = source >> 32;

    *xmm(cpu, i->reg) = odd | odd << 32;
}
SSE_BODIES(movshdup, x)

/* --- General registers --------------------------------------------------------------------------- */

/* MOVD and, with REX.W, MOVQ between E and an XMM register. */
BODY(movd_xmm_load_r)
{
    sse_check(cpu, i);
    *xmm(cpu, i->reg) = low64(i->osize == SIZE_Q ? get64(cpu, i->rm) : get32(cpu, i->rm));
    NEXT;
}

GENERAL_BODY(movd_xmm_load_g)
{
    sse_check(cpu, i);
    *xmm(cpu, i->reg) = low64(mem_read(cpu, i, i->osize == SIZE_Q ? 8 : 4));
    NEXT;
}

BODY(movd_xmm_load_m)
{
    uint64_t linear = ea64(cpu, i);
    const void *host = tlb_read_host(cpu, linear, 8);

    if (unlikely(!host || sse_blocked(cpu))) {
        movd_xmm_load_g(cpu, i);
        return;
    }
    *xmm(cpu, i->reg) = i->osize == SIZE_Q ? host_get_q(host) : host_get_d(host);
    NEXT;
}

BODY(movd_xmm_store_r)
{
    sse_check(cpu, i);
    if (i->osize == SIZE_Q)
        set64(cpu, i->rm, GET_REG[0]);
    else
        set32(cpu, i->rm, (uint32_t)GET_REG[0]);
    NEXT;
}

BODY(movd_xmm_store_m)
{
    sse_check(cpu, i);
    if (i->osize == SIZE_Q)
        st64(cpu, i, i->seg, ea64(cpu, i), GET_REG[0]);
    else
        st32(cpu, i, i->seg, ea64(cpu, i), (uint32_t)GET_REG[0]);
    NEXT;
}

GENERAL_BODY(movd_xmm_store_g)
{
    sse_check(cpu, i);
    mem_write(cpu, i, i->osize == SIZE_Q ? 8 : 4, GET_REG[0]);
    NEXT;
}

/* Stores a general register: an SSE2 instruction that needs no SSE state, so none of its checks (exceptions
 * type 5). */
BODY(movnti)
{
    mem_write(cpu, i, i->osize == SIZE_Q ? 8 : 4, get64(cpu, i->reg));
    NEXT;
}

/* Sign bits to a general register. */
BODY(movmskps)
{
    sse_check(cpu, i);
    set32(cpu, i->reg, op_movmskps(*xmm(cpu, i->rm)));
    NEXT;
}

BODY(movmskpd)
{
    sse_check(cpu, i);
    set32(cpu, i->reg, op_movmskpd(*xmm(cpu, i->rm)));
    NEXT;
}

BODY(pmovmskb)
{
    sse_check(cpu, i);
    set32(cpu, i->reg, op_pmovmskb(*xmm(cpu, i->rm)));
    NEXT;
}

/* --- MASKMOVDQU ---------------------------------------------------------------------------------- */

/*
 * Stores the bytes of `data` whose mask byte has its top bit set at DS:rDI (MASKMOVQ's eight, MASKMOVDQU's
 * sixteen). Faults are those of the range from the first selected byte to the last, before anything is
 * stored.
 */
void sse_masked_store(struct cpu *cpu, const struct insn *i, v128 data, uint32_t mask, unsigned size)
{
    union vec bytes = {.v = data};
    uint64_t offset = cpu->s.gpr[RDI] & address_mask(i->asize), linear = 0;
    unsigned first, last;

    mask &= (1u << size) - 1;
    if (!mask)
        return;
    first = (unsigned)__builtin_ctz(mask);
    last = 31u - (unsigned)__builtin_clz(mask);
    for (unsigned n = first; n <= last; n++) {
        uint64_t at = (offset + n) & address_mask(i->asize);

        linear = seg_linear(cpu, i, i->seg, at, 1, ACCESS_WRITE);
        probe_write(cpu, i, i->seg, linear, 1);
    }
    for (unsigned n = first; n <= last; n++) {
        uint64_t at = (offset + n) & address_mask(i->asize);

        linear = seg_linear(cpu, i, i->seg, at, 1, ACCESS_WRITE);
        if (mask >> n & 1)
            st8(cpu, i, i->seg, linear, bytes.u8[n]);
    }
}

BODY(maskmovdqu)
{
    sse_check(cpu, i);
    sse_masked_store(cpu, i, GET_REG, op_pmovmskb(*xmm(cpu, i->rm)), 16);
    NEXT;
}
