/*
 * differs.c - what an 80286 does otherwise than the processors since.
 *
 * A rule looks at a test and says whether it is one of these; if so it rewrites the test's end to what a
 * processor of today makes of it, and the interpreter must end exactly so.
 */
#include <string.h>

#include "cpu/internal.h"
#include "tests/sst/sst.h"

#define SEGMENT_END 0xffffu /* where a word does not fit any more */

static const char *name_of(const struct sst_result *r)
{
    return r->insn.row == UINT16_MAX ? "" : opcode_rows[r->insn.row].name;
}

/* A byte as it is before the test. */
static uint8_t byte_before(const struct sst_test *t, uint32_t address)
{
    for (uint32_t n = 0; n < t->init.ram_count; n++) {
        uint32_t at;
        uint8_t value = sst_ram(&t->init, n, &at);

        if (at == address)
            return value;
    }
    return sst_background(address);
}

/* The test ends in the HLT of a vector's handler, with the exception delivered as it does it now. */
static void go_to_handler(struct sst_test *t, unsigned vector)
{
    uint16_t entry[2];

    for (unsigned n = 0; n < 2; n++) {
        uint32_t at = 4 * vector + 2 * n;

        entry[n] = (uint16_t)(byte_before(t, at) | byte_before(t, at + 1) << 8);
    }
    t->exception = true;
    t->vector = (uint8_t)vector;
    t->final.reg[SST_IP] = entry[0] + 1;
    t->final.reg[SST_CS] = entry[1];
}

/* A fault before anything was done. */
static void fault_at_once(struct sst_modern *m, unsigned vector)
{
    struct sst_test *t = &m->test;
    const uint16_t *init = t->init.reg;
    uint16_t words[3] = {init[SST_IP], init[SST_CS], (init[SST_FLAGS] & 0x0fd5) | FLAG_1};

    memcpy(t->final.reg, init, sizeof(t->final.reg));
    for (unsigned n = 0; n < 6; n++) {
        uint32_t at = ((uint32_t)init[SST_SS] << 4) + (uint16_t)(init[SST_SP] - 6 + n);
        uint8_t *entry = m->frame + 5 * n;

        memcpy(entry, &at, 4);
        entry[4] = (uint8_t)(words[n / 2] >> 8 * (n % 2));
    }
    t->final.ram = m->frame;
    t->final.ram_count = 6;
    t->final.reg[SST_SP] -= 6;
    t->final.reg[SST_FLAGS] &= (uint16_t) ~(FLAG_IF | FLAG_TF);
    go_to_handler(t, vector);
}

/* It is executed, and the HLT behind it; what it does to other registers and RAM is not looked at. */
static void execute(struct sst_test *t)
{
    static const uint8_t looked_at[] = {SST_CS, SST_SS, SST_DS, SST_ES, SST_SP, SST_IP};

    memcpy(t->final.reg, t->init.reg, sizeof(t->final.reg));
    t->final.reg[SST_IP] += t->length;
    memset(t->mask, 0, sizeof(t->mask));
    for (unsigned n = 0; n < sizeof(looked_at); n++)
        t->mask[looked_at[n]] = 0xffff;
    t->exception = false;
    t->any_ram = true;
}

/* --- The rules ----------------------------------------------------------------------------------- */

/* SDM 2, LOCK: #UD but before instructions that read and write memory, of those that are named there. */
static bool lock(const struct sst_test *t, const struct sst_result *r, struct sst_modern *m)
{
    (void)t;
    if (!r->locked ||
        (r->insn.row != UINT16_MAX && (opcode_rows[r->insn.row].attr & A_LOCK) && (r->insn.flags & INSN_MEM)))
        return false;
    fault_at_once(m, EX_UD);
    return true;
}

/* SDM 3A 6.15, #GP. */
static bool longer_than_10(const struct sst_test *t, const struct sst_result *r, struct sst_modern *m)
{
    if (t->length - 1 <= 10 || !t->exception || t->vector != EX_GP || r->insn.row == UINT16_MAX)
        return false;
    execute(&m->test);
    return true;
}

/* MOV from and to segment registers 4 and 5. */
static bool fs_and_gs(const struct sst_test *t, const struct sst_result *r, struct sst_modern *m)
{
    const struct opcode_row *row;

    if (!t->exception || t->vector != EX_UD || r->insn.row == UINT16_MAX)
        return false;
    row = &opcode_rows[r->insn.row];
    if (row->map != 0 || (row->opcode != 0x8c && row->opcode != 0x8e))
        return false;
    if (r->insn.reg != FS && r->insn.reg != GS)
        return false;
    execute(&m->test);
    return true;
}

/*
 * A word at the end of a segment: #GP on both, but the 80286 has moved the pointers and counted already.
 * Since then a string instruction can be started again from the state that it leaves (SDM 2, REP).
 */
static bool string_at_end(const struct sst_test *t, const struct sst_result *r, struct sst_modern *m)
{
    static const struct {
        const char *name;
        bool si, di;
    } strings[] = {{"ins", false, true},  {"outs", true, false}, {"movs", true, true}, {"cmps", true, true},
                   {"stos", false, true}, {"lods", true, false}, {"scas", false, true}};
    uint16_t *reg = m->test.final.reg, step = t->init.reg[SST_FLAGS] & FLAG_DF ? (uint16_t)-2 : 2;
    bool repeated = r->insn.flags & (INSN_REP | INSN_REPNE);
    unsigned n = 0;

    while (n < 7 && strcmp(strings[n].name, name_of(r)))
        n++;
    if (n == 7 || !t->exception || t->vector != EX_GP || (repeated && !t->init.reg[SST_CX]))
        return false;
    reg[SST_CX] = t->init.reg[SST_CX];
    reg[SST_SI] = t->init.reg[SST_SI];
    reg[SST_DI] = t->init.reg[SST_DI];
    while (!(strings[n].si && reg[SST_SI] == SEGMENT_END) && !(strings[n].di && reg[SST_DI] == SEGMENT_END)) {
        reg[SST_SI] += strings[n].si ? step : 0;
        reg[SST_DI] += strings[n].di ? step : 0;
        if (!repeated || --reg[SST_CX] == 0)
            return false;
    }
    if (strings[n].si && reg[SST_SI] == SEGMENT_END && r->insn.seg == SS)
        go_to_handler(&m->test, EX_SS);
    return true;
}

/* In real mode vector 13 is the 80286's for words that stick out of any segment; since then the stack's
 * has 12. */
static bool stack_at_end(const struct sst_test *t, const struct sst_result *r, struct sst_modern *m)
{
    static const char *const pop[] = {"pop", "popa", "popf", "leave", "ret", "retf", "iret"};
    bool stack = (r->insn.flags & INSN_MEM) && r->insn.seg == SS;

    for (unsigned n = 0; n < sizeof(pop) / sizeof(pop[0]); n++)
        stack |= !strcmp(name_of(r), pop[n]);
    if (!stack || !t->exception || t->vector != EX_GP)
        return false;
    fault_at_once(m, EX_SS);
    return true;
}

static const struct {
    const char *text;
    bool (*applies)(const struct sst_test *t, const struct sst_result *r, struct sst_modern *m);
} rules[] = {
    {"LOCK where it is #UD since the 80386", lock},
    {"instructions of more than 10 bytes: #GP on the 80286, since then the limit is 15", longer_than_10},
    {"FS and GS, which the 80286 has not", fs_and_gs},
    {"words at the end of a segment in string instructions: the 80286 moves the pointers before #GP",
     string_at_end},
    {"words at the end of the stack segment: #GP on the 80286, #SS since", stack_at_end},
};

const unsigned sst_reason_count = sizeof(rules) / sizeof(rules[0]);
_Static_assert(sizeof(rules) / sizeof(rules[0]) <= SST_MAX_REASONS, "the report has room for each");

int sst_reason(const struct sst_test *test, const struct sst_result *result, struct sst_modern *modern)
{
    for (unsigned n = 0; n < sst_reason_count; n++) {
        modern->test = *test;
        if (rules[n].applies(test, result, modern))
            return (int)n;
    }
    return -1;
}

const char *sst_reason_text(unsigned reason)
{
    return rules[reason].text;
}
