/*
 * translate.c - a trace to a block of host code, instruction by instruction.
 *
 * Each instruction has a rule (alu.c and others: jit.h), or is run by its body in the interpreter. Code that is
 * rarely run (slow memory accesses, branches taken out of the middle) comes behind the block's.
 */
#include "cpu/jit/translate.h"

static const struct rule *const rule_sets[] = {move_rules, alu_rules, shift_rules, muldiv_rules, atomic_rules, branch_rules, simd_rules, x87_rules, string_rules, system_rules, segment_rules};

static bool ext_matches(const struct rule *r, const struct opcode_row *row)
{
    if (r->ext >= 8)
        return (row->sel & (SEL_HAS_EXT | SEL_HAS_RM)) == (SEL_HAS_EXT | SEL_HAS_RM) &&
               ((row->sel >> 5 & 7u) << 3 | (row->sel & 7u)) == (unsigned)r->ext;
    return r->ext < 0 || ((row->sel & SEL_HAS_EXT) && (row->sel >> 5 & 7) == (unsigned)r->ext);
}

static bool is_byte(const struct opcode_row *row, unsigned n)
{
    return row->operand[n] == O_Eb || row->operand[n] == O_Gb || row->operand[n] == O_Zb || row->operand[n] == O_AL;
}

/* AH to BH can't be named together with what needs a REX prefix: such instructions are left to the interpreter. */
static bool names_fit(const struct insn *i)
{
    const struct opcode_row *row = &opcode_rows[i->row];
    bool high = false, rex = i->flags & INSN_REX || i->flags & INSN_MEM;

    if (i->flags & INSN_MEM && row->map == 0 && (row->opcode & 0xfd) == 0x88) /* MOV knows a way */
        return true;
    /* ESP is R12 here. */
    rex |= i->reg == (unsigned)GUEST(RSP) || i->rm == (unsigned)GUEST(RSP);

    for (unsigned n = 0; n < 2; n++) {
        unsigned offset = row->operand[n] == O_Gb ? i->reg : i->rm;

        if (row->operand[n] == O_Eb && i->flags & INSN_MEM)
            continue;
        if (is_byte(row, n))
            high |= is_high(offset);
        else if (row->operand[n])
            rex |= i->osize == SIZE_Q;
    }
    return !high || !rex;
}

/* What operand and address sizes a rule is good for. */
static bool sizes_fit(const struct trans *t, const struct rule *r, const struct insn *i)
{
    unsigned word = t->word == 8 ? SIZE_Q : SIZE_D;

    if ((r->flags & R_64) && word != SIZE_Q)
        return false;
    if ((r->flags & R_ONCE) && (i->flags & (INSN_REP | INSN_REPNE) || (word == SIZE_Q && (i->asize != word || i->seg >= FS))))
        return false;
    if ((r->flags & R_BRANCH) && i->osize != word && !t->block->segmented)
        return false;
    return !((r->flags & R_WIDE) && i->osize == SIZE_W);
}

static bool rule_fits(const struct trans *t, const struct rule *r, const struct opcode_row *row, const struct insn *i)
{
    const struct jit *jit = t->jit;

    if (r->map != row->map || row->opcode < r->first || row->opcode > r->last || !ext_matches(r, row))
        return false;
    if (r->prefix != PFX_ANY && r->prefix != row->prefix)
        return false;
    if ((row->attr & A_END) && !(r->flags & (R_BRANCH | R_ENDS)))
        return false;
    if (((r->flags & R_CPL0) && t->block->cpl) || !sizes_fit(t, r, i))
        return false;
    if ((r->flags & R_REAL) && !(t->block->trace->mode & MODE_REAL))
        return false;
    if ((r->flags & R_PLAIN) && i->flags & (INSN_REP | INSN_REPNE))
        return false;
    if ((r->flags & R_BRANCH) && i->imm > INT32_MAX - (int)BUS_PAGE) /* the offset from the page must fit */
        return false;
    if ((r->flags & R_BRANCH) && (!branch_within_limit(t, i) || branch_target(t, i) == INT32_MIN))
        return false;
    if (((r->flags & R_MEMORY) && !(i->flags & INSN_MEM)) || (!(r->flags & R_MEMORY) && i->flags & INSN_LOCK))
        return false;
    if ((r->flags & R_REGISTER) && i->flags & INSN_MEM)
        return false;
    if (r->flags & R_X87)
        return x87_supported(i);
    if ((r->flags & R_XMM || r->map > VEX) && !simd_supported(jit, i))
        return false;
    return !(r->flags & (R_HOST | R_XMM)) || jit->host[row->feature];
}

static const struct rule *find_rule(const struct trans *t, const struct insn *i)
{
    const struct opcode_row *row;

    if (i->row == UINT16_MAX)
        return NULL;
    row = &opcode_rows[i->row];
    if (i->flags & INSN_MEM && !address_supported(i))
        return NULL;
    if (!names_fit(i))
        return NULL;
    for (unsigned s = 0; s < sizeof(rule_sets) / sizeof(rule_sets[0]); s++)
        for (const struct rule *r = rule_sets[s]; r->emit; r++)
            if (rule_fits(t, r, row, i))
                return r;
    return NULL;
}

uint32_t new_site(struct trans *t, const struct insn *i)
{
    uint32_t n = t->jit->site_count++;
    const struct opcode_row *row = i->row != UINT16_MAX ? &opcode_rows[i->row] : NULL;
    bool fixed = row && row->map == 0 && (row->opcode & 0xfc) == 0xa0; /* MOV, without ModRM */

    t->jit->sites[n] = (struct jit_site){
        .insn = i, .block = t->block, .seg = i->flags & INSN_MEM || fixed ? i->seg : SS};
    return n;
}

struct later *emit_later(struct trans *t, uint8_t *rel, int kind)
{
    struct later *l = &t->later[t->later_count++];

    *l = (struct later){.kind = kind, .rel = rel};
    return l;
}

void emit_thunk(struct trans *t, uint32_t number, const uint8_t *thunk)
{
    emit_mov_imm(&t->e, H_TMP, number);
    emit_jmp(&t->e, thunk);
}

void emit_body(struct trans *t, const struct insn *i)
{
    uint32_t site = new_site(t, i);

    emit_thunk(t, site, t->jit->body);
    if (!(t->block->flat32 && jit_loads_segment(i))) /* after which they may no longer be flat */
        t->jit->sites[site].next = emit_here(&t->e);
    t->host_flags = 0;
    t->kind = (struct jit_kind){.op = JF_LAZY};
    t->kind_known = true;
}

/* The trace's instructions, up to a backward branch, behind which code is rarely reached. */
static void collect(struct trans *t)
{
    const struct trace *trace = t->block->trace;

    for (unsigned slot = 0; t->n < trace->count; slot += trace->insn[slot].flags & INSN_LINKED ? 2 : 1) {
        const struct insn *i = &trace->insn[slot];

        t->insn[t->n] = i;
        t->rule[t->n] = find_rule(t, i);
        t->n++;
        if (t->rule[t->n - 1] && branches_near(t, i) && branch_target(t, i) <= t->block->page_offset + i->off) {
            t->block->loops = branch_target(t, i) == t->block->page_offset;
            break;
        }
    }
    t->block->count = (uint16_t)t->n;
    t->block->cut = (uint16_t)(trace->count - t->n);
}

static bool uses(const struct trans *t, unsigned unit)
{
    for (unsigned n = 0; n < t->n; n++)
        if (t->rule[n] && t->rule[n]->flags & unit)
            return true;
    return false;
}

/* The unit whose flag is at `live` has the guest's registers, or gets them now. */
static void emit_unit(struct trans *t, int32_t live, int table)
{
    uint32_t site = new_site(t, t->insn[0]);
    struct later *l;

    emit_op(&t->e, 0, 0x80, 7, SLOT(live));
    emit8(&t->e, 0);
    l = emit_later(t, emit_jcc(&t->e, CC_E, NULL), LATER_SLOW);
    l->site = site;
    l->table = table;
    t->jit->sites[site].resume = emit_here(&t->e);
}

/* An instruction that hangs over its page's edge: the next page has to be mapped where the trace found it. */
static void emit_second_page(struct trans *t)
{
    struct emit *e = &t->e;
    struct later *l;

    emit_page_check(t, BUS_PAGE);
    l = emit_later(t, emit_jcc(e, CC_NE, NULL), LATER_TAKEN);
    l->offset = INT32_MIN;
    emit_frame_check(t, BUS_PAGE, (uint32_t)(t->block->trace->phys2 >> 12));
    l = emit_later(t, emit_jcc(e, CC_NE, NULL), LATER_TAKEN);
    l->offset = INT32_MIN;
}

/* As history_code() does. */
static void emit_history(struct trans *t)
{
    struct emit *e = &t->e;

    emit_load(e, H_TMP, SLOT(offsetof(struct cpu, history_at)));
    emit_rip(t, H_ADDR, t->block->page_offset);
    emit_op(e, E_W, 0x89, H_ADDR, MEM(H_TMP, 0));
    emit_lea(e, E_W, H_TMP, H_TMP, NO_INDEX, 0, sizeof(uint64_t));
    emit_alu_imm(e, E_W, 4, REG(H_TMP), (int32_t)t->cpu->history_wrap);
    emit_store(e, SLOT(offsetof(struct cpu, history_at)), H_TMP);
}

/* What every block begins with: XMM registers; is the CPU wanted elsewhere; counting. */
static void emit_head(struct trans *t)
{
    struct emit *e = &t->e;
    struct later *l;

    if (t->block->trace->phys2 != NO_PAGE)
        emit_second_page(t);
    t->block->xmm = uses(t, R_XMM);
    t->block->x87 = uses(t, R_X87);
    t->block->ymm = uses(t, R_YMM);
    if (t->block->xmm)
        emit_unit(t, JT(xmm_live), XMM_ABSENT);
    if (t->block->ymm) {
        emit_op(e, 0, 0x80, 7, SLOT(JT(ymm_allowed)));
        emit8(e, 0);
        l = emit_later(t, emit_jcc(e, CC_E, NULL), LATER_TAKEN);
        l->offset = INT32_MIN;
    }
    if (t->block->x87) {
        emit_unit(t, JT(x87_live), X87_ABSENT);
    }
    if (t->cpu->history_at)
        emit_history(t);
    t->block->again = emit_here(e);
    emit_op(e, E_W, 0x3b, H_COUNT, SLOT(offsetof(struct cpu, stop_at)));
    l = emit_later(t, emit_jcc(e, CC_AE, NULL), LATER_TAKEN);
    l->offset = INT32_MIN;
    emit_lea(e, E_W, H_COUNT, H_COUNT, NO_INDEX, 0, t->block->count);
}

static void emit_laters(struct trans *t)
{
    struct emit *e = &t->e;

    for (unsigned n = 0; n < t->later_count; n++) {
        struct later *l = &t->later[n];

        if (l->kind == LATER_STUB) {
            emit_stub(t, l->exit);
            continue;
        }
        if (l->kind == LATER_WINDOW) {
            emit_beside_window(t, l);
            continue;
        }
        emit_land(e, l->rel);
        if (l->kind == LATER_BODY) {
            emit_thunk(t, l->site, t->jit->body);
        } else if (l->kind == LATER_TAKEN) {
            if (l->offset == INT32_MIN) {
                emit_leave_at(t, t->block->page_offset);
                continue;
            }
            if (l->rest)
                emit_lea(e, E_W, H_COUNT, H_COUNT, NO_INDEX, 0, -(int32_t)l->rest);
            emit_goto(t, l->offset);
        } else if (l->table == XMM_ABSENT || l->table == X87_ABSENT) {
            emit_thunk(t, l->site, l->table == XMM_ABSENT ? t->jit->xmm : t->jit->x87);
        } else if (l->near) {
            emit_thunk(t, l->site, t->jit->near[t->block->context][t->jit->sites[l->site].way]);
        } else {
            if (l->table != NOT_LOOKED_UP)
                emit_op(e, E_W, 0x03, H_ADDR, l->stack ? SLOT(l->table) : TABLE(H_TMP, l->table));
            emit_thunk(t, l->site,
                       l->table == NOT_LOOKED_UP ? t->jit->slow
                                                 : t->jit->quick[t->block->context][t->jit->sites[l->site].way]);
        }
    }
}

/* After a slow access that its body made, go on here; where it made flags the block can't (runtime.c). */
static void go_on_here(struct trans *t, const struct insn *i, uint32_t first_site)
{
    const struct rule *rule = t->rule[t->at];
    uint32_t read, written;

    if (!rule || first_site == t->jit->site_count)
        return;
    row_flags(i, &read, &written);
    if (written || rule->flags & R_BRANCH)
        return;
    for (uint32_t s = first_site; s < t->jit->site_count; s++)
        t->jit->sites[s].next = emit_here(&t->e);
    if (i->flags & INSN_MEM && has_checked_segment(t, i->seg)) /* a body brings none of the host's flags */
        t->host_flags = 0;
}

bool jit_translate(struct cpu *cpu, struct jit *jit, struct jit_block *block)
{
    uint32_t mode = block->trace->mode;
    bool wide = (mode & MODE_BITS) == SIZE_Q;
    struct trans t = {.cpu = cpu,
                      .jit = jit,
                      .block = block,
                      .word = wide ? 8 : 4,
                      .stack = wide ? SIZE_Q : mode & MODE_SS32 ? SIZE_D : SIZE_W,
                      .page_rip = block->rip - block->page_offset};
    uint8_t *start = jit->write + jit->used;
    uint32_t first_site = jit->site_count;

    if (block->segmented) {
        unsigned n = jit_code_segment(jit, block);

        if (!n)
            return false;
        block->code_segment = (uint16_t)n;
    }
    if (jit->site_count + 6 * MAX_INSNS > MAX_SITES || jit->exit_count + 2 * MAX_INSNS > MAX_EXITS)
        return false;
    t.e = (struct emit){.at = start, .end = jit->write + jit->size, .to_exec = jit->exec - jit->write};
    block->code = emit_here(&t.e);
    block->exits = &jit->exits[jit->exit_count];
    collect(&t);
    emit_head(&t);
    for (t.at = 0; t.at < t.n && !t.ended; t.at++) {
        const struct insn *i = t.insn[t.at];
        uint32_t sites = jit->site_count;

        if (t.rule[t.at])
            t.rule[t.at]->emit(&t, i);
        else
            emit_body(&t, i);
        go_on_here(&t, i, sites);
    }
    if (!t.ended) {
        const struct insn *last = t.insn[t.n - 1];

        if (block->cut || t.rule[t.n - 1] || (last->row != UINT16_MAX && !(opcode_rows[last->row].attr & A_END)))
            emit_goto(&t, block->page_offset + last->off + last->len);
        else
            emit_jmp(&t.e, jit->leave); /* not reached: the body left */
    }
    emit_laters(&t);
    if (t.e.full) {
        jit->site_count = first_site;
        return false;
    }
    block->size = (uint32_t)(t.e.at - start);
    jit->used += (block->size + 15) & ~15u;
    return true;
}
