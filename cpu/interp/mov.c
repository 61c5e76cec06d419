/*
 * mov.c - data movement: MOV, MOVZX, MOVSX, LEA, XCHG, CMOVcc, SETcc, PUSH, POP, BSWAP, CBW and relatives,
 * XLAT.
 */
#include "cpu/interp/rmw.h"

#define DEFINE_MOV(b, bits, suffix)                                                                          \
    WRITE_BODIES(mov##b##_e_g, suffix, bits, get##bits(cpu, i->reg))                                         \
    WRITE_BODIES(mov##b##_e_i, suffix, bits, i->imm)                                                         \
    READ_BODIES(mov##b##_g_e, suffix, bits, set##bits(cpu, i->reg, a))
DEFINE_MOV(b, 8, )
DEFINE_MOV(, 16, _w)
DEFINE_MOV(, 32, _d)
DEFINE_MOV(, 64, _q)

/* MOV register, immediate (B0-BF). */
BODY(movb_z_i)
{
    set8(cpu, i->rm, (uint8_t)i->imm);
    NEXT;
}
BODY(mov_z_i_w)
{
    set16(cpu, i->rm, (uint16_t)i->imm);
    NEXT;
}
BODY(mov_z_i_d)
{
    set32(cpu, i->rm, (uint32_t)i->imm);
    NEXT;
}
BODY(mov_z_i_q)
{
    set64(cpu, i->rm, (uint64_t)i->imm);
    NEXT;
}

/* moffs: the offset is in the instruction, as wide as an address. */
#define DEFINE_MOFFS(b, bits, suffix)                                                                        \
    BODY(mov##b##_a_o##suffix)                                                                               \
    {                                                                                                        \
        uint64_t linear = seg_linear(cpu, i, i->seg, (uint64_t)i->imm, bits / 8, ACCESS_READ);               \
                                                                                                             \
        set##bits(cpu, REG_OFFSET(RAX), ld##bits(cpu, i, i->seg, linear));                                   \
        NEXT;                                                                                                \
    }                                                                                                        \
    BODY(mov##b##_o_a##suffix)                                                                               \
    {                                                                                                        \
        uint64_t linear = seg_linear(cpu, i, i->seg, (uint64_t)i->imm, bits / 8, ACCESS_WRITE);              \
                                                                                                             \
        st##bits(cpu, i, i->seg, linear, get##bits(cpu, REG_OFFSET(RAX)));                                   \
        NEXT;                                                                                                \
    }
DEFINE_MOFFS(b, 8, )
DEFINE_MOFFS(, 16, _w)
DEFINE_MOFFS(, 32, _d)
DEFINE_MOFFS(, 64, _q)

/* MOVZX, MOVSX, MOVSXD: source bits, destination bits. */
#define DEFINE_EXTEND(name, from, type, to, suffix)                                                          \
    READ_BODIES(name, suffix, from, set##to(cpu, i->reg, (uint##to##_t)(type)a))
DEFINE_EXTEND(movzx_g_eb, 8, uint8_t, 16, _w)
DEFINE_EXTEND(movzx_g_eb, 8, uint8_t, 32, _d)
DEFINE_EXTEND(movzx_g_eb, 8, uint8_t, 64, _q)
DEFINE_EXTEND(movzx_g_ew, 16, uint16_t, 16, _w)
DEFINE_EXTEND(movzx_g_ew, 16, uint16_t, 32, _d)
DEFINE_EXTEND(movzx_g_ew, 16, uint16_t, 64, _q)
DEFINE_EXTEND(movsx_g_eb, 8, int8_t, 16, _w)
DEFINE_EXTEND(movsx_g_eb, 8, int8_t, 32, _d)
DEFINE_EXTEND(movsx_g_eb, 8, int8_t, 64, _q)
DEFINE_EXTEND(movsx_g_ew, 16, int16_t, 16, _w)
DEFINE_EXTEND(movsx_g_ew, 16, int16_t, 32, _d)
DEFINE_EXTEND(movsx_g_ew, 16, int16_t, 64, _q)
DEFINE_EXTEND(movsxd_g_ed, 32, int32_t, 16, _w) /* reads 32 bits all the same, on AMD's processors */
DEFINE_EXTEND(movsxd_g_ed, 32, int32_t, 32, _d)
DEFINE_EXTEND(movsxd_g_ed, 32, int32_t, 64, _q)

/* LEA: the offset, without a segment. Form 1 has the segment's base in the insn, so it isn't used here. */
BODY(lea_w)
{
    set16(cpu, i->reg, (uint16_t)ea(cpu, i));
    NEXT;
}
BODY(lea_d)
{
    set32(cpu, i->reg, (uint32_t)ea(cpu, i));
    NEXT;
}
BODY(lea_q)
{
    set64(cpu, i->reg, ea(cpu, i));
    NEXT;
}

/*
 * XCHG. With memory it is locked, LOCK prefix or not (SDM 2B XCHG): forms 1 and 2 are the same.
 */
#define DEFINE_XCHG(b, bits, suffix)                                                                         \
    BODY(xchg##b##_r##suffix)                                                                                \
    {                                                                                                        \
        uint##bits##_t a = get##bits(cpu, i->rm);                                                            \
                                                                                                             \
        set##bits(cpu, i->rm, get##bits(cpu, i->reg));                                                       \
        set##bits(cpu, i->reg, a);                                                                           \
        NEXT;                                                                                                \
    }                                                                                                        \
    NO_ALIGNMENT BODY(xchg##b##_g##suffix)                                                                   \
    {                                                                                                        \
        uint64_t linear = mem_linear(cpu, i, bits / 8, ACCESS_WRITE);                                        \
        uint##bits##_t *p = host_for_write(cpu, i, i->seg, linear, bits / 8);                                \
        uint##bits##_t a;                                                                                    \
                                                                                                             \
        if (p) {                                                                                             \
            a = __atomic_exchange_n(p, get##bits(cpu, i->reg), __ATOMIC_SEQ_CST);                            \
            wrote_host(cpu, i, linear, bits / 8);                                                            \
        } else {                                                                                             \
            a = (uint##bits##_t)linear_read(cpu, i, i->seg, linear, bits / 8);                               \
            linear_write(cpu, i, i->seg, linear, get##bits(cpu, i->reg), bits / 8);                          \
        }                                                                                                    \
        set##bits(cpu, i->reg, a);                                                                           \
        NEXT;                                                                                                \
    }                                                                                                        \
    NO_ALIGNMENT BODY(xchg##b##_m##suffix)                                                                   \
    {                                                                                                        \
        uint##bits##_t *p = tlb_write_host(cpu, ea64(cpu, i), bits / 8);                                     \
                                                                                                             \
        if (unlikely(!p)) {                                                                                  \
            xchg##b##_g##suffix(cpu, i);                                                                     \
            return;                                                                                          \
        }                                                                                                    \
        set##bits(cpu, i->reg, __atomic_exchange_n(p, get##bits(cpu, i->reg), __ATOMIC_SEQ_CST));            \
        NEXT;                                                                                                \
    }
DEFINE_XCHG(b, 8, )
DEFINE_XCHG(, 16, _w)
DEFINE_XCHG(, 32, _d)
DEFINE_XCHG(, 64, _q)

/* XCHG rAX, register (90-97). 90 itself is NOP: it doesn't even zero-extend EAX. */
#define DEFINE_XCHG_A(bits, suffix)                                                                          \
    BODY(xchg_z_a##suffix)                                                                                   \
    {                                                                                                        \
        uint##bits##_t a = get##bits(cpu, REG_OFFSET(RAX));                                                  \
                                                                                                             \
        if (i->rm != REG_OFFSET(RAX)) {                                                                      \
            set##bits(cpu, REG_OFFSET(RAX), get##bits(cpu, i->rm));                                          \
            set##bits(cpu, i->rm, a);                                                                        \
        }                                                                                                    \
        NEXT;                                                                                                \
    }
DEFINE_XCHG_A(16, _w)
DEFINE_XCHG_A(32, _d)
DEFINE_XCHG_A(64, _q)

/* CMOVcc: the memory operand is read, and faults, whether or not the condition holds; 32 bits always
 * zero-extend. */
#define DEFINE_CC(name, cc)                                                                                  \
    READ_BODIES(cmov##name, _w, 16, if (condition(cpu, cc)) set16(cpu, i->reg, a))                           \
    READ_BODIES(cmov##name, _d, 32, set32(cpu, i->reg, condition(cpu, cc) ? a : get32(cpu, i->reg)))         \
    READ_BODIES(cmov##name, _q, 64, set64(cpu, i->reg, condition(cpu, cc) ? a : get64(cpu, i->reg)))         \
    WRITE_BODIES(set##name, , 8, condition(cpu, cc))
DEFINE_CC(o, 0)
DEFINE_CC(no, 1)
DEFINE_CC(b, 2)
DEFINE_CC(nb, 3)
DEFINE_CC(z, 4)
DEFINE_CC(nz, 5)
DEFINE_CC(be, 6)
DEFINE_CC(nbe, 7)
DEFINE_CC(s, 8)
DEFINE_CC(ns, 9)
DEFINE_CC(p, 10)
DEFINE_CC(np, 11)
DEFINE_CC(l, 12)
DEFINE_CC(nl, 13)
DEFINE_CC(le, 14)
DEFINE_CC(nle, 15)

/*
 * PUSH and POP. The 64-bit forms exist only in 64-bit mode, where the stack is flat; what isn't an aligned or
 * unchecked access to a page that the TLB knows goes the general way.
 */
static inline u64_any *stack64_host(struct cpu *cpu, uint64_t sp, bool write)
{
    if (unlikely(cpu->mode & MODE_AC))
        return NULL;
    return write ? tlb_write_host(cpu, sp, 8) : tlb_read_host(cpu, sp, 8);
}

#define DEFINE_PUSH64(name, value)                                                                           \
    static void name##_general(struct cpu *cpu, const struct insn *i)                                        \
    {                                                                                                        \
        push(cpu, i, SIZE_Q, value);                                                                         \
        NEXT;                                                                                                \
    }                                                                                                        \
    BODY(name)                                                                                               \
    {                                                                                                        \
        uint64_t sp = cpu->s.gpr[RSP] - 8;                                                                   \
        u64_any *p = stack64_host(cpu, sp, true);                                                            \
                                                                                                             \
        if (unlikely(!p)) {                                                                                  \
            name##_general(cpu, i);                                                                          \
            return;                                                                                          \
        }                                                                                                    \
        *p = value;                                                                                          \
        cpu->s.gpr[RSP] = sp;                                                                                \
        NEXT;                                                                                                \
    }
DEFINE_PUSH64(push_z_q, get64(cpu, i->rm))
DEFINE_PUSH64(push_i_q, (uint64_t)i->imm)

static void pop_z_q_general(struct cpu *cpu, const struct insn *i)
{
    uint64_t value = pop(cpu, i, SIZE_Q);

    set64(cpu, i->rm, value);
    NEXT;
}
BODY(pop_z_q)
{
    uint64_t sp = cpu->s.gpr[RSP];
    const u64_any *p = stack64_host(cpu, sp, false);

    if (unlikely(!p)) {
        pop_z_q_general(cpu, i);
        return;
    }
    cpu->s.gpr[RSP] = sp + 8; /* first: in POP RSP the value wins */
    set64(cpu, i->rm, *p);
    NEXT;
}

BODY(push_z_w)
{
    push(cpu, i, SIZE_W, get16(cpu, i->rm));
    NEXT;
}
BODY(push_z_d)
{
    push(cpu, i, SIZE_D, get32(cpu, i->rm));
    NEXT;
}
BODY(push_i_w)
{
    push(cpu, i, SIZE_W, (uint16_t)i->imm);
    NEXT;
}
BODY(push_i_d)
{
    push(cpu, i, SIZE_D, (uint32_t)i->imm);
    NEXT;
}

/* POP rSP: the value popped wins over the increment. */
BODY(pop_z_w)
{
    uint16_t value = (uint16_t)pop(cpu, i, SIZE_W);

    set16(cpu, i->rm, value);
    NEXT;
}
BODY(pop_z_d)
{
    uint32_t value = (uint32_t)pop(cpu, i, SIZE_D);

    set32(cpu, i->rm, value);
    NEXT;
}

/* PUSH E. */
#define DEFINE_PUSH_E(bits, suffix, size) READ_BODIES(push_e, suffix, bits, push(cpu, i, size, a))
DEFINE_PUSH_E(16, _w, SIZE_W)
DEFINE_PUSH_E(32, _d, SIZE_D)
DEFINE_PUSH_E(64, _q, SIZE_Q)

/*
 * POP E. An address that uses rSP is computed after the increment (SDM 2B POP); when the store faults rSP
 * must be as before. So: pop, store, and on a fault's way out nothing was committed because the store is
 * checked first.
 */
static void pop_mem(struct cpu *cpu, const struct insn *i)
{
    unsigned size = i->osize;
    uint64_t value = stack_read(cpu, i, cpu->s.gpr[RSP], size), old = cpu->s.gpr[RSP], linear;

    set_sp(cpu, old + (1u << size));
    linear = ea(cpu, i);
    cpu->s.gpr[RSP] = old;
    linear = seg_linear(cpu, i, i->seg, linear, 1u << size, ACCESS_WRITE);
    linear_write(cpu, i, i->seg, linear, value, 1u << size);
    set_sp(cpu, old + (1u << size));
}

BODY(pop_e)
{
    if (i->flags & INSN_MEM) {
        pop_mem(cpu, i);
    } else if (i->osize == SIZE_Q) {
        pop_z_q(cpu, i);
        return;
    } else if (i->osize == SIZE_D) {
        pop_z_d(cpu, i);
        return;
    } else {
        pop_z_w(cpu, i);
        return;
    }
    NEXT;
}

/* PUSHA and POPA: all stack accesses are checked before any register changes. */
static void push_all(struct cpu *cpu, const struct insn *i)
{
    unsigned size = i->osize, bytes = 1u << size;
    uint64_t sp = cpu->s.gpr[RSP];

    for (unsigned n = 0; n < 8; n++)
        probe_write(cpu, i, SS,
                    seg_linear(cpu, i, SS, (sp - bytes * (n + 1)) & address_mask(stack_size(cpu)), bytes,
                               ACCESS_WRITE),
                    bytes);
    for (unsigned n = 0; n < 8; n++)
        stack_write(cpu, i, sp - bytes * (n + 1), size, gpr_get(cpu, n, size));
    set_sp(cpu, sp - 8 * bytes);
}

static void pop_all(struct cpu *cpu, const struct insn *i)
{
    unsigned size = i->osize, bytes = 1u << size;
    uint64_t sp = cpu->s.gpr[RSP], value[8];

    for (unsigned n = 0; n < 8; n++)
        value[7 - n] = stack_read(cpu, i, sp + bytes * n, size);
    for (unsigned n = 0; n < 8; n++)
        if (n != RSP)
            gpr_set(cpu, n, size, value[n]);
    set_sp(cpu, sp + 8 * bytes);
}

BODY(pusha)
{
    push_all(cpu, i);
    NEXT;
}
BODY(popa)
{
    pop_all(cpu, i);
    NEXT;
}

BODY(bswap_w) /* undefined by the manuals; processors clear the word */
{
    set16(cpu, i->rm, 0);
    NEXT;
}
BODY(bswap_d)
{
    set32(cpu, i->rm, __builtin_bswap32(get32(cpu, i->rm)));
    NEXT;
}
BODY(bswap_q)
{
    set64(cpu, i->rm, __builtin_bswap64(get64(cpu, i->rm)));
    NEXT;
}

/* CBW, CWDE, CDQE; CWD, CDQ, CQO */
BODY(cbw_w)
{
    set16(cpu, REG_OFFSET(RAX), (uint16_t)(int8_t)cpu->s.gpr[RAX]);
    NEXT;
}
BODY(cbw_d)
{
    set32(cpu, REG_OFFSET(RAX), (uint32_t)(int16_t)cpu->s.gpr[RAX]);
    NEXT;
}
BODY(cbw_q)
{
    cpu->s.gpr[RAX] = (uint64_t)(int32_t)cpu->s.gpr[RAX];
    NEXT;
}
BODY(cwd_w)
{
    set16(cpu, REG_OFFSET(RDX), cpu->s.gpr[RAX] & 0x8000 ? 0xffff : 0);
    NEXT;
}
BODY(cwd_d)
{
    set32(cpu, REG_OFFSET(RDX), cpu->s.gpr[RAX] & 0x80000000u ? UINT32_MAX : 0);
    NEXT;
}
BODY(cwd_q)
{
    cpu->s.gpr[RDX] = (int64_t)cpu->s.gpr[RAX] < 0 ? UINT64_MAX : 0;
    NEXT;
}

BODY(xlat)
{
    uint64_t offset = (cpu->s.gpr[RBX] + (uint8_t)cpu->s.gpr[RAX]) & address_mask(i->asize);

    set8(cpu, REG_OFFSET(RAX), ld8(cpu, i, i->seg, seg_linear(cpu, i, i->seg, offset, 1, ACCESS_READ)));
    NEXT;
}

BODY(nop)
{
    NEXT;
}

/* MOVBE: READ_BODIES and WRITE_BODIES with the bytes turned round. */
#define DEFINE_MOVBE(bits, suffix)                                                                           \
    READ_BODIES(movbe_g_m, suffix, bits, set##bits(cpu, i->reg, __builtin_bswap##bits(a)))                   \
    WRITE_BODIES(movbe_m_g, suffix, bits, __builtin_bswap##bits(get##bits(cpu, i->reg)))
DEFINE_MOVBE(16, _w)
DEFINE_MOVBE(32, _d)
DEFINE_MOVBE(64, _q)
