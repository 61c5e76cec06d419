/*
 * bcd.c - decimal adjustments, SALC, and the instructions that set single flags.
 */
#include "cpu/interp/body.h"

#define SZAPC_IN_AH (FLAG_SF | FLAG_ZF | FLAG_AF | FLAG_PF | FLAG_CF)

static uint8_t al(const struct cpu *cpu)
{
    return (uint8_t)cpu->s.gpr[RAX];
}

static void set_al(struct cpu *cpu, uint8_t value)
{
    set8(cpu, REG_OFFSET(RAX), value);
}

/* DAA and DAS, SDM 2A: 6 for the low digit, 0x60 for the high one. OF is that of the addition, as on AMD's. */
static void decimal_adjust(struct cpu *cpu, bool subtract)
{
    uint8_t old = al(cpu), value = old;
    bool cf = get_cf(cpu), af = get_af(cpu) || (old & 15) > 9, carry = false;
    unsigned overflow;

    if (af) {
        carry = subtract ? old < 6 : old > 0xf9;
        value = (uint8_t)(subtract ? value - 6 : value + 6);
    }
    carry |= cf;
    if (old > 0x99 || cf) {
        value = (uint8_t)(subtract ? value - 0x60 : value + 0x60);
        carry = true;
    }
    set_al(cpu, value);
    overflow = subtract ? old & ~value : ~old & value;
    flags_result(cpu, value, 8, carry, overflow >> 7 & 1, af);
}

BODY(daa)
{
    decimal_adjust(cpu, false);
    NEXT;
}
BODY(das)
{
    decimal_adjust(cpu, true);
    NEXT;
}

/* The undefined flags are those of adding or subtracting in AX, as on AMD's processors. */
static void ascii_adjust(struct cpu *cpu, bool subtract)
{
    bool adjust = get_af(cpu) || (al(cpu) & 15) > 9;
    uint16_t ax = (uint16_t)cpu->s.gpr[RAX];
    uint16_t old = ax;

    if (adjust)
        ax = (uint16_t)(subtract ? ax - 0x106 : ax + 0x106);
    set16(cpu, REG_OFFSET(RAX), ax & 0xff0f);
    flags_result(cpu, ax, 16, adjust, (subtract ? old & ~ax : ~old & ax) >> 15 & 1, adjust);
}

BODY(aaa)
{
    ascii_adjust(cpu, false);
    NEXT;
}
BODY(aas)
{
    ascii_adjust(cpu, true);
    NEXT;
}

BODY(aam)
{
    uint8_t base = (uint8_t)i->imm, value = al(cpu);

    if (!base)
        fault0(cpu, i, EX_DE);
    set16(cpu, REG_OFFSET(RAX), (uint16_t)(value / base << 8 | value % base));
    flags_logic(cpu, value % base, 8);
    NEXT;
}
BODY(aad)
{
    uint8_t low = al(cpu), tens = (uint8_t)((uint8_t)(cpu->s.gpr[RAX] >> 8) * (uint8_t)i->imm);
    uint8_t value = (uint8_t)(low + tens);

    set16(cpu, REG_OFFSET(RAX), value);
    flags_add(cpu, low, tens, value, 8);
    NEXT;
}

BODY(salc)
{
    set_al(cpu, get_cf(cpu) ? 0xff : 0);
    NEXT;
}

BODY(clc)
{
    set_cf(cpu, false);
    NEXT;
}
BODY(stc)
{
    set_cf(cpu, true);
    NEXT;
}
BODY(cmc)
{
    set_cf(cpu, !get_cf(cpu));
    NEXT;
}
BODY(cld)
{
    cpu->s.rflags &= ~(uint64_t)FLAG_DF;
    NEXT;
}
BODY(std_df)
{
    cpu->s.rflags |= FLAG_DF;
    NEXT;
}

BODY(lahf)
{
    set8(cpu, REG_OFFSET(RAX) + 1, (uint8_t)((get_arith_flags(cpu) & 0xff) | FLAG_1));
    NEXT;
}
BODY(sahf)
{
    uint32_t ah = get8(cpu, REG_OFFSET(RAX) + 1);

    set_arith_flags(cpu, (ah & SZAPC_IN_AH) | (get_of(cpu) ? FLAG_OF : 0));
    NEXT;
}
