/*
 * flags.c - arithmetic flags of the guest in translated code.
 *
 * They are the host's flags right after the instruction that made them, and most are used or dead before anything
 * disturbs these. Where they may be seen later (at a fault, after the block, or beyond a memory access, whose TLB look-up
 * uses the host's flags) the operands are stored too, under the name of the operation: enum jit_flags.
 */
#include "cpu/interp/flags.h"
#include "cpu/jit/translate.h"

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

static bool clobbers(const struct trans *t, unsigned k)
{
    return !t->rule[k] || can_exit(t, k) || t->rule[k]->flags & R_CLOBBERS;
}

/* Whether an instruction may keep some flags as they were. */
static bool is_partial(const struct trans *t, unsigned k)
{
    const struct insn *i = t->insn[k];
    unsigned opcode = opcode_rows[i->row].opcode;

    if (!(t->rule[k]->flags & R_PARTIAL))
        return false;
    /* Shifts by a count that is known and not 0. */
    if (opcode_rows[i->row].map == 0 && opcode >= 0xc0 && opcode <= 0xd1 && (opcode_rows[i->row].sel >> 5 & 7) >= 4)
        return opcode <= 0xc1 && !((uint8_t)i->imm & (i->osize == SIZE_Q && opcode & 1 ? 63 : 31));
    return true;
}

/* Whether anybody sees `live`, flags as they are after instruction `from`. *lost: not only through the host's. */
static bool live_after(const struct trans *t, unsigned from, uint32_t live, bool *lost)
{
    bool clobbered = false, seen = false;

    *lost = false;
    for (unsigned k = from + 1; k < t->n; k++) {
        uint32_t read, written;

        if (can_exit(t, k)) {
            *lost = true;
            return true;
        }
        row_flags(t->insn[k], &read, &written);
        if (is_partial(t, k))
            read = live; /* what it keeps it passes on */
        if (read & live) {
            seen = true;
            if (clobbered || t->rule[k]->flags & R_CLOBBERS) {
                *lost = true;
                return true;
            }
        }
        if (!is_partial(t, k))
            live &= ~written;
        if (!live)
            return seen;
        clobbered |= clobbers(t, k) || written;
    }
    *lost = true;
    return true;
}

bool flags_needed(const struct trans *t)
{
    bool lost;

    return live_after(t, t->at, FLAGS_ARITH, &lost);
}

bool flags_stored(const struct trans *t, uint32_t flags)
{
    bool lost;

    return live_after(t, t->at, flags, &lost) && lost;
}

void flags_kind(struct trans *t, unsigned op, unsigned size, unsigned count)
{
    t->kind = op | size << 8 | count << 16;
    emit_store_imm32(&t->e, SLOT(JT(kind)), t->kind);
}

void flags_load(struct trans *t)
{
    unsigned size = t->kind >> 8 & 0xff, count = t->kind >> 16, flags = size_flags(size);
    unsigned op = size == SIZE_B ? 0 : 1;
    struct emit *e = &t->e;

    if (t->host_flags)
        return;
    t->host_flags = true;
    switch (t->kind & 0xff) {
    case JF_ADD:
        emit_load(e, H_TMP, SLOT(JT(a)));
        emit_op(e, flags, 0x02 | op, H_TMP, SLOT(JT(b)));
        return;
    case JF_SUB:
        emit_load(e, H_TMP, SLOT(JT(a)));
        emit_op(e, flags, 0x3a | op, H_TMP, SLOT(JT(b)));
        return;
    case JF_LOGIC:
        emit_load(e, H_TMP, SLOT(JT(a)));
        emit_op(e, flags, 0x84 | op, H_TMP, REG(H_TMP));
        return;
    case JF_NEG:
        emit_load(e, H_TMP, SLOT(JT(a)));
        emit_op(e, flags, 0xf6 | op, 3, REG(H_TMP));
        return;
    case JF_SHL:
    case JF_SHR:
    case JF_SAR:
        emit_load(e, H_TMP, SLOT(JT(a)));
        emit_op(e, flags, 0xc0 | op, (t->kind & 0xff) == JF_SHL ? 4 : (t->kind & 0xff) == JF_SHR ? 5 : 7, REG(H_TMP));
        emit8(e, count);
        return;
    default:
        emit_call(e, t->jit->flags);
    }
}

void flags_save_image(struct trans *t)
{
    if (!flags_stored(t, FLAGS_ARITH))
        return;
    emit8(&t->e, 0x9c); /* PUSHFQ, POP */
    emit_op(&t->e, 0, 0x8f, 0, SLOT(JT(a)));
    flags_kind(t, JF_IMAGE, 0, 0);
}
