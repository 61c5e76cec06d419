/*
 * flags.c - arithmetic flags of the guest in translated code.
 *
 * They are the host's flags right after the instruction that made them, and most are used or dead before anything
 * disturbs these. Where they may be seen later (at a fault, after the block, or beyond a memory access, whose TLB look-up
 * uses the host's flags) the operands are stored too, under the name of the operation: struct jit_kind.
 */
#include "cpu/jit/translate.h"

uint32_t condition_flags(unsigned cc)
{
    static const uint16_t flags[] = {FLAG_OF,           FLAG_CF, FLAG_ZF,           FLAG_CF | FLAG_ZF,
                                     FLAG_SF,           FLAG_PF, FLAG_SF | FLAG_OF, FLAG_ZF | FLAG_SF | FLAG_OF};

    return flags[cc >> 1 & 7];
}

bool row_flags(const struct insn *i, uint32_t *read, uint32_t *written)
{
    const struct opcode_row *row = &opcode_rows[i->row];

    *read = *written = 0;
    if (i->row == UINT16_MAX) /* only raises */
        return false;
    *read = row->flags_read & FLAGS_ARITH;
    *written = (row->flags_written | row->flags_undefined) & FLAGS_ARITH;
    return *read || *written;
}

/* Whether an instruction can leave the block before it has done anything. */
static bool can_exit(const struct trans *t, unsigned k)
{
    const struct rule *rule = t->rule[k];

    if (!rule)
        return true;
    return rule->flags & (R_STACK | R_EXITS | R_BRANCH) || ((t->insn[k]->flags & INSN_MEM) && !(rule->flags & R_NOMEM));
}

/* R_MAYBE and R_CLOBBERS of instruction `k`. */
static unsigned keeping(const struct trans *t, unsigned k)
{
    const struct insn *i = t->insn[k];
    unsigned opcode = opcode_rows[i->row].opcode, n = opcode_rows[i->row].sel >> 5 & 7, count;

    if (!(t->rule[k]->flags & R_SHIFT))
        return t->rule[k]->flags & (R_MAYBE | R_CLOBBERS);
    if (opcode >= 0xd2)
        return R_MAYBE | R_CLOBBERS;
    count = opcode >= 0xd0 ? 1 : (uint8_t)i->imm & (operand_size(i, 0) == SIZE_Q ? 63u : 31u);
    return (count == 0 ? R_MAYBE : 0) | (n == 2 || n == 3 || (n < 2 && count == 1) ? R_CLOBBERS : 0);
}

/* Whether anybody sees `live`, flags as they are after instruction `from`. *lost: not only through the host's. */
static bool live_after(const struct trans *t, unsigned from, uint32_t live, bool *lost)
{
    bool clobbered = false, seen = false;
    const uint32_t made = live;

    *lost = false;
    for (unsigned k = from + 1; k < t->n; k++) {
        uint32_t read, written;

        if (can_exit(t, k)) {
            *lost = true;
            return true;
        }
        row_flags(t->insn[k], &read, &written);
        if (read & ~made) /* they may be loaded, all of them */
            clobbered = true;
        if (read & live) {
            seen = true;
            *lost |= clobbered || keeping(t, k) & R_CLOBBERS;
        }
        if (!(keeping(t, k) & R_MAYBE))
            live &= ~written;
        if (!live)
            return seen;
        clobbered |= (keeping(t, k) & R_CLOBBERS) != 0;
    }
    *lost = true;
    return true;
}

bool flags_needed(const struct trans *t, uint32_t flags)
{
    bool lost;

    return live_after(t, t->at, flags, &lost);
}

bool flags_stored(const struct trans *t, uint32_t flags)
{
    bool lost;

    return live_after(t, t->at, flags, &lost) && lost;
}

/* --- Storing ------------------------------------------------------------------------------------------ */

void flags_kind(struct trans *t, unsigned op, unsigned size, unsigned count)
{
    t->kind = (struct jit_kind){.op = (uint8_t)(op | size << 6), .count = (uint8_t)count};
    t->kind_known = true;
    emit_store_imm32(&t->e, SLOT(JT(kind)), t->kind.op | count << 8);
}

void flags_step(struct trans *t, bool dec, unsigned size)
{
    t->kind.step = (uint8_t)((dec ? JF_DEC : JF_INC) | size << 4);
    emit_store_imm8(&t->e, SLOT(JT(kind.step)), t->kind.step);
}

void flags_carry(struct trans *t)
{
    if (!flags_stored(t, FLAG_CF))
        return;
    emit_op(&t->e, E_0F, 0x92, 0, SLOT(JT(carry)));
    t->kind.own_carry = 1;
    emit_store_imm8(&t->e, SLOT(JT(kind.own_carry)), 1);
}

void flags_save_image(struct trans *t)
{
    if (!flags_stored(t, FLAGS_ARITH))
        return;
    emit8(&t->e, 0x9c); /* PUSHFQ, POP */
    emit_op(&t->e, 0, 0x8f, 0, SLOT(JT(a)));
    flags_kind(t, JF_IMAGE, 0, 0);
}

/* --- Loading ------------------------------------------------------------------------------------------ */

/* By the operation that made them all. */
static bool load_by_operation(struct trans *t)
{
    unsigned size = t->kind.op >> 6, flags = size_flags(size), opcode = size == SIZE_B ? 0 : 1, op = t->kind.op & 63;
    struct emit *e = &t->e;

    switch (op) {
    case JF_ADD:
        emit_load(e, H_TMP, SLOT(JT(a)));
        emit_op(e, flags, 0x02 | opcode, H_TMP, SLOT(JT(b)));
        return true;
    case JF_SUB:
        emit_load(e, H_TMP, SLOT(JT(a)));
        emit_op(e, flags, 0x3a | opcode, H_TMP, SLOT(JT(b)));
        return true;
    case JF_ADC:
    case JF_SBB:
        emit_load(e, H_TMP, SLOT(JT(a)));
        emit_op(e, E_0F, 0xba, 4, SLOT(JT(cf))); /* BT: to CF */
        emit8(e, 0);
        emit_op(e, flags, (op == JF_ADC ? 0x12 : 0x1a) | opcode, H_TMP, SLOT(JT(b)));
        return true;
    case JF_LOGIC:
        emit_load(e, H_TMP, SLOT(JT(a)));
        emit_op(e, flags, 0x84 | opcode, H_TMP, REG(H_TMP));
        return true;
    case JF_NEG:
        emit_load(e, H_TMP, SLOT(JT(a)));
        emit_op(e, flags, 0xf6 | opcode, 3, REG(H_TMP));
        return true;
    case JF_SHL:
    case JF_SHR:
    case JF_SAR:
        if (!t->kind.count)
            return false;
        emit_load(e, H_TMP, SLOT(JT(a)));
        emit_op(e, flags, 0xc0 | opcode, op == JF_SHL ? 4 : op == JF_SHR ? 5 : 7, REG(H_TMP));
        emit8(e, t->kind.count);
        return true;
    case JF_IMAGE:
        emit_op(e, 0, 0xff, 6, SLOT(JT(a))); /* PUSH, POPFQ */
        emit8(e, 0x9d);
        return true;
    default:
        return false;
    }
}

void flags_load(struct trans *t, uint32_t wanted)
{
    struct emit *e = &t->e;
    const struct jit_kind *k = &t->kind;

    if (!(wanted & ~t->host_flags))
        return;
    if (wanted == FLAG_CF && k->own_carry) {
        emit_op(e, E_0F, 0xba, 4, SLOT(JT(carry)));
        emit8(e, 0);
        t->host_flags = FLAG_CF;
        return;
    }
    if (k->step && !(wanted & ~(FLAG_ZF | FLAG_SF | FLAG_PF))) {
        unsigned size = k->step >> 4;

        emit_load(e, H_TMP, SLOT(JT(stepped)));
        emit_op(e, size_flags(size), size == SIZE_B ? 0x84 : 0x85, H_TMP, REG(H_TMP));
        t->host_flags = FLAG_ZF | FLAG_SF | FLAG_PF;
        return;
    }
    t->host_flags = FLAGS_ARITH;
    if (t->kind_known && !k->step && !k->own_carry && load_by_operation(t))
        return;
    emit_call(e, t->jit->flags);
}
