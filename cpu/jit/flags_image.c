/*
 * flags_image.c - the guest's flags from what translated code kept of them (struct jit_kind).
 *
 * Translated code calls jit_flags_image() with the guest's XMM registers and x87 in the host's, so nothing here may touch
 * those: compiled for general registers only.
 */
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("general-regs-only"))), apply_to = function)
#else
#pragma GCC target("general-regs-only")
#endif
#include "cpu/interp/flags.h"
#include "cpu/jit/jit.h"

static uint64_t truncated(uint64_t v, unsigned bits)
{
    return bits == 64 ? v : v & ((1ull << bits) - 1);
}

static void sync_shift(struct cpu *cpu, unsigned op, uint64_t a, unsigned bits, unsigned count)
{
    uint64_t result, top = 1ull << (bits - 1);
    bool cf, of;

    a = truncated(a, bits);
    if (op == JF_SHL) {
        result = a << count;
        cf = a >> (bits - count) & 1;
        of = (truncated(result, bits) & top) ? !cf : cf;
    } else if (op == JF_SHR) {
        result = a >> count;
        cf = a >> (count - 1) & 1;
        of = (result & top) != (result << 1 & top);
    } else {
        int64_t s = (int64_t)(a << (64 - bits)) >> (64 - bits);

        result = (uint64_t)(s >> count);
        cf = s >> (count - 1) & 1;
        of = false;
    }
    flags_result(cpu, result, bits, cf, of, 1);
}

static void sync_operation(struct cpu *cpu)
{
    struct jit_tables *jt = &cpu->jt;
    unsigned op = jt->kind.op & 63, bits = 8u << (jt->kind.op >> 6);
    uint64_t a = truncated(jt->a, bits), b = truncated(jt->b, bits), cf = jt->cf;

    switch (op) {
    case JF_LAZY:
        return;
    case JF_ADD:
        flags_add(cpu, a, b, a + b, bits);
        break;
    case JF_ADC:
        flags_add(cpu, a, b, a + b + cf, bits);
        break;
    case JF_SUB:
        flags_sub(cpu, a, b, a - b, bits);
        break;
    case JF_SBB:
        flags_sub(cpu, a, b, a - b - cf, bits);
        break;
    case JF_NEG:
        flags_sub(cpu, 0, a, -a, bits);
        break;
    case JF_LOGIC:
        flags_logic(cpu, a, bits);
        break;
    case JF_MUL:
        flags_result(cpu, a, bits, (unsigned)cf, (unsigned)cf, 0);
        break;
    case JF_IMAGE:
        set_arith_flags(cpu, (uint32_t)jt->a);
        break;
    default:
        sync_shift(cpu, op, a, bits, jt->kind.count);
    }
}

/* All but CF of an INC or DEC with this result. */
static void sync_step(struct cpu *cpu, unsigned step, uint64_t result)
{
    unsigned bits = 8u << (step >> 4);
    bool dec = (step & 15) == JF_DEC;
    uint64_t r = truncated(result, bits), top = 1ull << (bits - 1);

    flags_result(cpu, r, bits, get_cf(cpu), r == (dec ? top - 1 : top), (r & 15) == (dec ? 15 : 0));
}

void jit_sync_flags(struct cpu *cpu)
{
    struct jit_tables *jt = &cpu->jt;

    sync_operation(cpu);
    if (jt->kind.step)
        sync_step(cpu, jt->kind.step, jt->stepped);
    if (jt->kind.own_carry)
        set_cf(cpu, jt->carry);
    jt->kind = (struct jit_kind){.op = JF_LAZY};
}

uint64_t jit_flags_image(struct cpu *cpu)
{
    jit_sync_flags(cpu);
    return get_arith_flags(cpu) | FLAG_1 | FLAG_IF;
}

#if defined(__clang__)
#pragma clang attribute pop
#endif
