/*
 * emit.h - x86-64 host instructions, byte by byte.
 *
 * An emitter writes through one mapping of code memory what runs in another; addresses are those where it runs.
 * Running out of room sets `full` and drops what follows.
 */
#ifndef CPU_JIT_EMIT_H
#define CPU_JIT_EMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct emit {
    uint8_t *at, *end; /* where to write */
    ptrdiff_t to_exec; /* add for the address where it runs */
    bool full;
};

/* Host registers with roles of their own; guest registers are in those of their own number (translate.h). */
enum {
    H_RAX,
    H_RCX,
    H_RDX,
    H_RBX,
    H_RSP,
    H_RBP,
    H_RSI,
    H_RDI,
    H_SP = 12,    /* the guest's RSP */
    H_TMP = 13,   /* scratch */
    H_ADDR = 14,  /* scratch; the address of a memory operand */
    H_COUNT = 15, /* cpu->retired */
};

/* An operand in the ModRM.rm place: a register, a field of struct cpu, or memory at a register. */
struct place {
    enum { P_REG, P_SLOT, P_MEM, P_TABLE } kind;
    uint8_t reg;    /* P_REG; the base of P_MEM; the index of P_TABLE, whose base is a field */
    int32_t offset; /* field, or displacement */
};

#define REG(n)        ((struct place){P_REG, (uint8_t)(n), 0})
#define SLOT(off)    ((struct place){P_SLOT, 0, (int32_t)(off)})
#define MEM(base, d)  ((struct place){P_MEM, (uint8_t)(base), (d)})
#define TABLE(n, off) ((struct place){P_TABLE, (uint8_t)(n), (int32_t)(off)})

enum emit_flags {
    E_W = 1,     /* 64-bit operands */
    E_66 = 2,    /* prefixes */
    E_F3 = 4,
    E_F2 = 8,
    E_REX = 16,  /* SPL to DIL, not AH to BH */
    E_0F = 32,   /* opcode map */
    E_0F38 = 64,
    E_0F3A = 128,
};

static inline void emit8(struct emit *e, unsigned byte)
{
    if (e->at < e->end)
        *e->at++ = (uint8_t)byte;
    else
        e->full = true;
}

static inline void emit32(struct emit *e, uint32_t v)
{
    for (unsigned n = 0; n < 4; n++)
        emit8(e, v >> 8 * n & 0xff);
}

static inline void emit64(struct emit *e, uint64_t v)
{
    emit32(e, (uint32_t)v);
    emit32(e, (uint32_t)(v >> 32));
}

/* Where the next byte will run. */
static inline const uint8_t *emit_here(const struct emit *e)
{
    return e->at + e->to_exec;
}

/* ModRM, SIB and displacement for `p` with register `reg`. */
static inline void emit_modrm(struct emit *e, unsigned reg, struct place p)
{
    unsigned r = (reg & 7) << 3, low = p.reg & 7;

    switch (p.kind) {
    case P_REG:
        emit8(e, 0xc0 | r | low);
        break;
    case P_SLOT: /* absolute, behind GS */
        emit8(e, 0x04 | r);
        emit8(e, 0x25);
        emit32(e, (uint32_t)p.offset);
        break;
    case P_TABLE:
        emit8(e, 0x80 | r | low);
        if (low == 4)
            emit8(e, 0x24);
        emit32(e, (uint32_t)p.offset);
        break;
    case P_MEM:
        if (p.offset == 0 && low != 5) {
            emit8(e, r | low);
            if (low == 4)
                emit8(e, 0x24);
        } else {
            bool small = p.offset >= -128 && p.offset < 128;

            emit8(e, (small ? 0x40u : 0x80u) | r | low);
            if (low == 4)
                emit8(e, 0x24);
            if (small)
                emit8(e, (uint8_t)p.offset);
            else
                emit32(e, (uint32_t)p.offset);
        }
        break;
    }
}

/* An instruction with ModRM: `reg` in its reg field, `p` in rm. */
static inline void emit_op(struct emit *e, unsigned flags, unsigned opcode, unsigned reg, struct place p)
{
    unsigned rex = (flags & E_W ? 8 : 0) | (reg & 8 ? 4 : 0) | (p.kind != P_SLOT && p.reg & 8 ? 1 : 0);

    if (p.kind == P_SLOT || p.kind == P_TABLE)
        emit8(e, 0x65);
    if (flags & E_66)
        emit8(e, 0x66);
    if (flags & E_F3)
        emit8(e, 0xf3);
    if (flags & E_F2)
        emit8(e, 0xf2);
    if (rex || (flags & E_REX))
        emit8(e, 0x40 | rex);
    if (flags & (E_0F | E_0F38 | E_0F3A))
        emit8(e, 0x0f);
    if (flags & E_0F38)
        emit8(e, 0x38);
    if (flags & E_0F3A)
        emit8(e, 0x3a);
    emit8(e, opcode);
    emit_modrm(e, reg, p);
}

/*
 * A VEX-encoded instruction. flags: E_W, E_66, E_F3, E_F2, E_L for 256 bits; map 1 to 3; `v` is VEX.vvvv, 0 where there is
 * none.
 */
enum { E_L = 1024 };

static inline void emit_vex(struct emit *e, unsigned flags, unsigned map, unsigned opcode, unsigned reg, unsigned v,
                            struct place p)
{
    unsigned pp = flags & E_66 ? 1 : flags & E_F3 ? 2 : flags & E_F2 ? 3 : 0;

    if (p.kind == P_SLOT || p.kind == P_TABLE)
        emit8(e, 0x65);
    emit8(e, 0xc4);
    emit8(e, (reg & 8 ? 0 : 0x80u) | 0x40 | (p.kind != P_SLOT && p.reg & 8 ? 0 : 0x20u) | map);
    emit8(e, (flags & E_W ? 0x80u : 0) | (~v & 15) << 3 | (flags & E_L ? 4u : 0) | pp);
    emit8(e, opcode);
    emit_modrm(e, reg, p);
}

/* LEA reg, [base + index << scale + disp]; index 4 (RSP) is none. flags: E_W or none for 32 bits. */
static inline void emit_lea(struct emit *e, unsigned flags, unsigned reg, unsigned base, unsigned index,
                            unsigned scale, int32_t disp)
{
    unsigned rex = (flags & E_W ? 8 : 0) | (reg & 8 ? 4 : 0) | (index & 8 ? 2 : 0) | (base & 8 ? 1 : 0);
    bool small = disp >= -128 && disp < 128, none = disp == 0 && (base & 7) != 5;

    if (rex)
        emit8(e, 0x40 | rex);
    emit8(e, 0x8d);
    emit8(e, (none ? 0x04u : small ? 0x44u : 0x84u) | (reg & 7) << 3);
    emit8(e, scale << 6 | (index & 7) << 3 | (base & 7));
    if (!none && small)
        emit8(e, (uint8_t)disp);
    else if (!none)
        emit32(e, (uint32_t)disp);
}

/* LEA reg, [index << scale + disp] */
static inline void emit_lea_index(struct emit *e, unsigned flags, unsigned reg, unsigned index, unsigned scale,
                                  int32_t disp)
{
    unsigned rex = (flags & E_W ? 8 : 0) | (reg & 8 ? 4 : 0) | (index & 8 ? 2 : 0);

    if (rex)
        emit8(e, 0x40 | rex);
    emit8(e, 0x8d);
    emit8(e, 0x04 | (reg & 7) << 3);
    emit8(e, scale << 6 | (index & 7) << 3 | 5);
    emit32(e, (uint32_t)disp);
}

#define NO_INDEX 4

/* MOV between a register and a place, 64 bits. */
static inline void emit_load(struct emit *e, unsigned reg, struct place p)
{
    emit_op(e, E_W, 0x8b, reg, p);
}

static inline void emit_store(struct emit *e, struct place p, unsigned reg)
{
    emit_op(e, E_W, 0x89, reg, p);
}

/* MOV place, imm32: 64-bit (sign-extended), 32-bit and 8-bit stores. */
static inline void emit_store_imm(struct emit *e, struct place p, int32_t value)
{
    emit_op(e, E_W, 0xc7, 0, p);
    emit32(e, (uint32_t)value);
}

static inline void emit_store_imm32(struct emit *e, struct place p, uint32_t value)
{
    emit_op(e, 0, 0xc7, 0, p);
    emit32(e, value);
}

static inline void emit_store_imm8(struct emit *e, struct place p, unsigned value)
{
    emit_op(e, 0, 0xc6, 0, p);
    emit8(e, value);
}

/* MOV reg, value in the shortest form. */
static inline void emit_mov_imm(struct emit *e, unsigned reg, uint64_t value)
{
    if (value <= UINT32_MAX) {
        if (reg & 8)
            emit8(e, 0x41);
        emit8(e, 0xb8 | (reg & 7));
        emit32(e, (uint32_t)value);
    } else if ((int64_t)value == (int32_t)value) {
        emit_op(e, E_W, 0xc7, 0, REG(reg));
        emit32(e, (uint32_t)value);
    } else {
        emit8(e, 0x48 | (reg & 8 ? 1 : 0));
        emit8(e, 0xb8 | (reg & 7));
        emit64(e, value);
    }
}

/* Group 1 with an immediate: ADD 0, OR 1, ADC 2, SBB 3, AND 4, SUB 5, XOR 6, CMP 7. */
static inline void emit_alu_imm(struct emit *e, unsigned flags, unsigned n, struct place p, int32_t value)
{
    bool small = value >= -128 && value < 128;

    emit_op(e, flags, small ? 0x83 : 0x81, n, p);
    if (small)
        emit8(e, (uint8_t)value);
    else
        emit32(e, (uint32_t)value);
}

/* Jumps with a 32-bit displacement to somewhere known, or to be filled in: they return where the displacement is. */
static inline void set_rel32(struct emit *e, uint8_t *rel, const uint8_t *target)
{
    int32_t distance = (int32_t)(target - (rel + 4 + e->to_exec));

    if (!e->full)
        memcpy(rel, &distance, 4);
}

static inline uint8_t *emit_jmp(struct emit *e, const uint8_t *target)
{
    uint8_t *rel;

    emit8(e, 0xe9);
    rel = e->at;
    emit32(e, 0);
    if (target)
        set_rel32(e, rel, target);
    return rel;
}

static inline uint8_t *emit_jcc(struct emit *e, unsigned cc, const uint8_t *target)
{
    uint8_t *rel;

    emit8(e, 0x0f);
    emit8(e, 0x80 | cc);
    rel = e->at;
    emit32(e, 0);
    if (target)
        set_rel32(e, rel, target);
    return rel;
}

static inline uint8_t *emit_call(struct emit *e, const uint8_t *target)
{
    uint8_t *rel;

    emit8(e, 0xe8);
    rel = e->at;
    emit32(e, 0);
    if (target)
        set_rel32(e, rel, target);
    return rel;
}

/* The jump whose displacement is at `rel` comes here. */
static inline void emit_land(struct emit *e, uint8_t *rel)
{
    set_rel32(e, rel, emit_here(e));
}

enum { CC_O, CC_NO, CC_B, CC_AE, CC_E, CC_NE, CC_BE, CC_A, CC_S, CC_NS, CC_P, CC_NP, CC_L, CC_GE, CC_LE, CC_G };

#endif
