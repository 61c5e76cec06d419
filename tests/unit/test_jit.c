/*
 * test_jit.c - translated code: the same programs on two CPUs, one of which translates all it runs.
 * Registers, flags and all of memory must be the same afterwards; exceptions leave their frames there.
 *
 * The random programs are made of the instructions that the translator knows, with operands of all kinds.
 * Flags that the manual leaves undefined are never read: the generator keeps account of them.
 */
#include <check.h>
#include <string.h>

#include "accel/software.h"
#include "cpu/jit/jit.h"
#include "tests/unit/cpu_rig.h"
#include "tests/unit/suites.h"

#if defined(__x86_64__)

enum {
    AT_GDT = 0x50000,
    AT_IDT = 0x51000,
    AT_HANDLERS = 0x52000, /* 16 bytes each: PUSH vector, HLT */
    AT_CODE = 0x60000,
    AT_DATA = 0x100000, /* RBP points to the middle of its first page, R13 to the end of its second */
    AT_STACK = 0x180000,
    AT_ABSENT = 0x1f0000,   /* a page that is not present, */
    AT_READ_ONLY = 0x1f1000 /* one that can't be written */
};

struct twins {
    struct rig *soft, *hard; /* interpreted, translated */
    unsigned differences;    /* told by cpu_check() */
    char what[1500];         /* and the block's code */
};

/* --- Two CPUs ----------------------------------------------------------------------------------------- */

static void put_gate(struct rig *r, unsigned vector)
{
    uint32_t handler = AT_HANDLERS + 16 * vector;
    uint8_t code[3] = {0x6a, (uint8_t)vector, 0xf4};

    rig_put64(r, AT_IDT + 16 * vector,
              (handler & 0xffff) | 8 << 16 | 0x8e00ull << 32 | (uint64_t)(handler >> 16) << 48);
    memcpy(r->ram + handler, code, sizeof(code));
}

static struct rig *new_rig(bool translate)
{
    struct rig *r = rig_new(NULL, 0);
    char why[200];

    rig_long_mode(r);
    rig_put64(r, RIG_PT + 8 * (AT_ABSENT >> 12), 0);
    rig_put64(r, RIG_PT + 8 * (AT_READ_ONLY >> 12), AT_READ_ONLY | 5);
    rig_put64(r, AT_GDT + 8, 0x00af9b000000ffff);
    for (unsigned vector = 0; vector < 32; vector++)
        put_gate(r, vector);
    r->cpu->s.gdtr = (struct table_reg){AT_GDT, 15};
    r->cpu->s.idtr = (struct table_reg){AT_IDT, 16 * 32 - 1};
    r->cpu->s.cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT;
    if (translate) {
        ck_assert_msg(engine_jit.attach(r->cpu, NULL, why, sizeof(why)), "%s", why);
        r->cpu->jit->hot = 1;
    }
    return r;
}

static void differs(void *opaque, const struct cpu_difference *difference)
{
    struct twins *t = opaque;

    size_t length = (size_t)snprintf(t->what, sizeof(t->what), "%.600s", difference->what);

    t->differences++;
    for (size_t n = 0; n < difference->guest_size; n++)
        length += (size_t)snprintf(t->what + length, sizeof(t->what) - length, "%02x ", difference->guest[n]);
}

static struct twins *twins_new(bool check)
{
    struct twins *t = calloc(1, sizeof(*t));

    t->soft = new_rig(false);
    t->hard = new_rig(true);
    if (check) {
        ck_assert(cpu_check(t->hard->cpu, 1, differs, t));
        t->hard->cpu->jit->hot = 1;
    }
    return t;
}

static void twins_free(struct twins *t)
{
    rig_free(t->soft);
    rig_free(t->hard);
    free(t);
}

/* Runs `code` at `at` from the state in `from`, until it halts. */
static void run_one(struct rig *r, const struct cpu_state *from, uint32_t at, const uint8_t *code,
                    unsigned size)
{
    struct cpu_state *s = &r->cpu->s;
    enum cpu_exit exit;

    memset(r->ram + AT_DATA, 0x5a, 0x4000);
    memset(r->ram + AT_STACK - 0x2000, 0xa5, 0x4000);
    bus_write_block(r->memory, at, code, size);
    memcpy(s->gpr, from->gpr, sizeof(s->gpr));
    memcpy(s->zmm, from->zmm, sizeof(s->zmm));
    memset(s->st, 0, sizeof(s->st));
    s->mxcsr = 0x1f80;
    s->fcw = 0x37f;
    s->fsw = 0;
    s->fptag = 0;
    s->rip = at;
    s->rflags = FLAG_1;
    s->cr2 = 0;
    s->activity = CPU_RUNNING;
    cpu_push(r->cpu);
    exit = cpu_run(r->cpu, 100000);
    cpu_pull(r->cpu);
    ck_assert_msg(exit == CPU_EXIT_HALT, "it does not halt: RIP %llx", (unsigned long long)s->rip);
}

/* The same on both; all must be the same afterwards. */
static void run_both(struct twins *t, const struct cpu_state *from, uint32_t at, const uint8_t *code,
                     unsigned size, uint64_t seed)
{
    const struct cpu_state *a = &t->soft->cpu->s, *b = &t->hard->cpu->s;
    char where[80] = "";

    run_one(t->soft, from, at, code, size);
    run_one(t->hard, from, at, code, size);
    ck_assert_msg(!t->differences, "program %llu: %s", (unsigned long long)seed, t->what);
    if (!fields_equal(cpu_state_fields, a, b, where, sizeof(where)))
        ck_abort_msg("program %llu: %s differs; RIP %llx and %llx, RFLAGS %llx and %llx",
                     (unsigned long long)seed, where, (unsigned long long)a->rip, (unsigned long long)b->rip,
                     (unsigned long long)a->rflags, (unsigned long long)b->rflags);
    for (uint32_t n = 0; n < RIG_RAM; n++)
        if (t->soft->ram[n] != t->hard->ram[n])
            ck_abort_msg("program %llu: memory at %x differs: %02x and %02x", (unsigned long long)seed, n,
                         t->soft->ram[n], t->hard->ram[n]);
}

/* --- A generator of programs -------------------------------------------------------------------------- */

struct program {
    uint8_t code[8192];
    unsigned size;
    uint32_t at;
    uint32_t undefined; /* flags */
    uint64_t random;
};

/* SplitMix (Steele, Lea, Flood). */
static uint64_t next(struct program *p)
{
    uint64_t z = p->random += 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static unsigned below(struct program *p, unsigned n)
{
    return (unsigned)(next(p) >> 32) % n;
}

static void byte(struct program *p, unsigned value)
{
    p->code[p->size++] = (uint8_t)value;
}

static void bytes(struct program *p, uint64_t value, unsigned n)
{
    for (; n--; value >>= 8)
        byte(p, value & 0xff);
}

/* Makes all flags defined. */
static void define_flags(struct program *p)
{
    bytes(p, below(p, 2) ? 0xc839 : 0xd001, 2); /* CMP eax, ecx; ADD eax, edx */
    p->undefined = 0;
}

static void need_flags(struct program *p, uint32_t flags)
{
    if (p->undefined & flags)
        define_flags(p);
}

static void wrote_flags(struct program *p, uint32_t written, uint32_t undefined)
{
    p->undefined = (p->undefined & ~written) | undefined;
}

#define OSZAPC FLAGS_ARITH

/* A register that may be written: not RSP, nor what points to data. */
static unsigned pick(struct program *p)
{
    static const uint8_t registers[] = {0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 14, 15};

    return registers[below(p, sizeof(registers))];
}

/* What an instruction looks like: opcode in map 0, 1 (0F) or 2 (0F 38), with ModRM. */
struct form {
    unsigned prefix, map, opcode, size; /* size: log2 of bytes, 0 to 3 */
    int reg;                            /* -1: any that may be written */
    unsigned immediate;                 /* bytes */
    bool lock;
};

enum where { ANYWHERE, IN_REGISTER, IN_MEMORY };

static void modrm_memory(struct program *p, unsigned reg, unsigned base, bool indexed, unsigned immediate)
{
    unsigned scale = below(p, 4);
    int disp = (int)below(p, 0x200) - 0x100;

    if (base == 16) { /* relative to RIP */
        uint32_t next_rip = p->at + p->size + 5 + immediate;

        byte(p, (reg & 7) << 3 | 5);
        bytes(p, AT_DATA + 0x3000 + below(p, 64) - next_rip, 4);
        return;
    }
    if (base == RSP)
        disp = (int)below(p, 0x80);
    if (indexed || base == RSP) {
        byte(p, 0x84 | (reg & 7) << 3);
        byte(p, indexed ? scale << 6 | 1 << 3 | (base & 7) : 0x24);
        bytes(p, (uint32_t)disp, 4);
    } else if (disp >= -128 && disp < 128) {
        byte(p, 0x40 | (reg & 7) << 3 | (base & 7));
        byte(p, (unsigned)disp);
    } else {
        byte(p, 0x80 | (reg & 7) << 3 | (base & 7));
        bytes(p, (uint32_t)disp, 4);
    }
}

/* Emits an instruction with a random operand in ModRM.rm, and its immediate but that. */
static void modrm(struct program *p, struct form f, enum where where)
{
    static const uint8_t bases[] = {RBP, RBP, R13, R13, RSP, 16};
    bool memory = where == IN_MEMORY || (where == ANYWHERE && below(p, 2));
    unsigned base = bases[below(p, sizeof(bases))], reg = f.reg >= 0 ? (unsigned)f.reg : pick(p),
             rm = pick(p), rex;
    bool indexed = memory && base != 16 && base != RSP && below(p, 3) == 0;

    if (indexed)
        bytes(p, 0xc9b60f, 3);                                 /* MOVZX ecx, cl */
    if (f.size == 0 && below(p, 2) && (!memory || base < 8)) { /* without REX: AH to BH */
        if (f.reg < 0)
            reg = below(p, 8);
        rm = below(p, 8);
        rex = 0;
    } else {
        rex = (f.size == 3 ? 8 : 0) | (reg & 8 ? 4 : 0) | (memory ? (base == R13 ? 1 : 0) : (rm & 8 ? 1 : 0));
        if (f.size == 0)
            rex |= 0x40;
    }
    if (f.lock && memory)
        byte(p, 0xf0);
    if (f.size == 1)
        byte(p, 0x66);
    if (f.prefix)
        byte(p, f.prefix);
    if (rex)
        byte(p, 0x40 | rex);
    if (f.map)
        byte(p, 0x0f);
    if (f.map == 2)
        byte(p, 0x38);
    byte(p, f.opcode);
    if (memory)
        modrm_memory(p, reg, base, indexed, f.immediate);
    else
        byte(p, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

static unsigned any_size(struct program *p)
{
    static const uint8_t sizes[] = {0, 0, 1, 2, 2, 2, 3, 3, 3};

    return sizes[below(p, sizeof(sizes))];
}

static unsigned wide_size(struct program *p)
{
    return 1 + below(p, 3);
}

/* --- Its instructions --------------------------------------------------------------------------------- */

static void gen_alu(struct program *p)
{
    unsigned op = below(p, 8), size = any_size(p);
    bool logic = op == 1 || op == 4 || op == 6;

    if (op == 2 || op == 3)
        need_flags(p, FLAG_CF);
    if (below(p, 3)) {
        modrm(p,
              (struct form){.opcode = op << 3 | below(p, 2) << 1 | (size ? 1 : 0), .size = size, .reg = -1},
              ANYWHERE);
    } else {
        bool small = size && below(p, 2);
        unsigned n = small || !size ? 1 : size == 1 ? 2 : 4;

        modrm(p,
              (struct form){.opcode = !size   ? 0x80
                                      : small ? 0x83
                                              : 0x81,
                            .size = size,
                            .reg = (int)op,
                            .immediate = n},
              ANYWHERE);
        bytes(p, next(p), n);
    }
    wrote_flags(p, OSZAPC, logic ? FLAG_AF : 0);
}

static void gen_test(struct program *p)
{
    unsigned size = any_size(p), n = !size ? 1 : size == 1 ? 2 : 4;

    if (below(p, 2)) {
        modrm(p, (struct form){.opcode = size ? 0x85 : 0x84, .size = size, .reg = -1}, ANYWHERE);
    } else {
        modrm(p, (struct form){.opcode = size ? 0xf7 : 0xf6, .size = size, .reg = 0, .immediate = n},
              ANYWHERE);
        bytes(p, next(p), n);
    }
    wrote_flags(p, OSZAPC, FLAG_AF);
}

static void gen_unary(struct program *p) /* INC, DEC, NOT, NEG */
{
    unsigned size = any_size(p), n = below(p, 4);

    modrm(p, (struct form){.opcode = (n < 2 ? 0xfe : 0xf6) | (size ? 1u : 0), .size = size, .reg = (int)n},
          ANYWHERE);
    if (n == 3)
        wrote_flags(p, OSZAPC, 0);
    else if (n < 2)
        wrote_flags(p, OSZAPC & ~FLAG_CF, 0);
}

static void gen_shift(struct program *p)
{
    unsigned size = any_size(p), n = below(p, 8), kind = below(p, 3), count = below(p, 8u << size);
    uint32_t undefined = FLAG_OF | (n >= 4 ? FLAG_AF : 0);

    if (n == 2 || n == 3)
        need_flags(p, FLAG_CF);
    if (kind == 2) {         /* by CL, which may be more than the operand has bits */
        bytes(p, 0xe180, 2); /* AND cl */
        byte(p, below(p, 3) ? (8u << size) - 1 : 0);
        wrote_flags(p, OSZAPC, FLAG_AF);
        if (n == 2 || n == 3)
            need_flags(p, FLAG_CF);
    }
    modrm(p,
          (struct form){.opcode = (kind == 0   ? 0xd0
                                   : kind == 1 ? 0xc0
                                               : 0xd2) |
                                  (size ? 1u : 0),
                        .size = size,
                        .reg = (int)n,
                        .immediate = kind == 1},
          ANYWHERE);
    if (kind == 1)
        byte(p, count);
    if (kind == 0)
        wrote_flags(p, n < 4 ? FLAG_CF | FLAG_OF : OSZAPC, n >= 4 ? FLAG_AF : 0);
    else /* the count may be 0, and then nothing is written */
        p->undefined |= undefined;
}

static void gen_double_shift(struct program *p)
{
    unsigned size = 2 + below(p, 2), count = below(p, 32);

    modrm(
        p,
        (struct form){.map = 1, .opcode = below(p, 2) ? 0xa4 : 0xac, .size = size, .reg = -1, .immediate = 1},
        ANYWHERE);
    byte(p, count);
    p->undefined |= FLAG_OF | FLAG_AF;
}

static void gen_move(struct program *p)
{
    unsigned size = any_size(p), n = !size ? 1 : size == 1 ? 2 : 4;

    switch (below(p, 7)) {
    case 0:
    case 1:
        modrm(p, (struct form){.opcode = 0x88 | below(p, 2) << 1 | (size ? 1 : 0), .size = size, .reg = -1},
              ANYWHERE);
        break;
    case 2:
        modrm(p, (struct form){.opcode = size ? 0xc7 : 0xc6, .size = size, .reg = 0, .immediate = n},
              ANYWHERE);
        bytes(p, next(p), n);
        break;
    case 3:
        modrm(p,
              (struct form){
                  .map = 1, .opcode = 0xb6 | below(p, 2) << 3 | below(p, 2), .size = wide_size(p), .reg = -1},
              ANYWHERE);
        break;
    case 4:
        modrm(p, (struct form){.opcode = 0x63, .size = 3, .reg = -1}, ANYWHERE);
        break;
    case 5:
        modrm(p, (struct form){.opcode = 0x8d, .size = wide_size(p), .reg = -1}, IN_MEMORY);
        break;
    default:
        modrm(p, (struct form){.opcode = size ? 0x87 : 0x86, .size = size, .reg = -1}, ANYWHERE);
    }
}

static void gen_short(struct program *p) /* opcodes that name a register, or RAX */
{
    unsigned reg = pick(p), rex = 0x48 | (reg & 8 ? 1 : 0);

    switch (below(p, 6)) {
    case 0:
        bytes(p, rex | (0xc80full | (uint64_t)(reg & 7) << 8) << 8, 3); /* BSWAP */
        break;
    case 1:
        bytes(p, (rex & ~8u) | (uint64_t)(0xb8 | (reg & 7)) << 8, 2); /* MOV r32, imm */
        bytes(p, next(p), 4);
        break;
    case 2:
        bytes(p, rex | (uint64_t)(0xb8 | (reg & 7)) << 8, 2);
        bytes(p, next(p), 8);
        break;
    case 3:
        bytes(p, rex | (uint64_t)(0x90 | (reg & 7)) << 8, 2); /* XCHG rax */
        break;
    case 4:
        bytes(p, 0x9848 + (below(p, 2) << 8), 2); /* CDQE, CQO */
        break;
    default:
        bytes(p, 0x98 + below(p, 2), 1);
    }
}

static uint32_t flags_of_condition(unsigned cc)
{
    static const uint32_t flags[] = {FLAG_OF, FLAG_CF, FLAG_ZF,           FLAG_CF | FLAG_ZF,
                                     FLAG_SF, FLAG_PF, FLAG_SF | FLAG_OF, FLAG_ZF | FLAG_SF | FLAG_OF};

    return flags[cc >> 1];
}

static void gen_condition(struct program *p) /* CMOVcc, SETcc */
{
    unsigned cc = below(p, 16);

    need_flags(p, flags_of_condition(cc));
    if (below(p, 2))
        modrm(p, (struct form){.map = 1, .opcode = 0x40 | cc, .size = wide_size(p), .reg = -1}, ANYWHERE);
    else
        modrm(p, (struct form){.map = 1, .opcode = 0x90 | cc, .reg = 0}, ANYWHERE);
}

static void gen_multiply(struct program *p)
{
    unsigned size = any_size(p), wide = wide_size(p);

    if (below(p, 2)) {
        modrm(p, (struct form){.opcode = size ? 0xf7 : 0xf6, .size = size, .reg = 4 + (int)below(p, 2)},
              ANYWHERE);
    } else if (below(p, 2)) {
        modrm(p, (struct form){.map = 1, .opcode = 0xaf, .size = wide, .reg = -1}, ANYWHERE);
    } else {
        modrm(p, (struct form){.opcode = 0x6b, .size = wide, .reg = -1, .immediate = 1}, ANYWHERE);
        byte(p, below(p, 256));
    }
    wrote_flags(p, OSZAPC, OSZAPC & ~(FLAG_CF | FLAG_OF));
}

/* Divisors from 1 to 255, and dividends whose quotient fits. */
static void gen_divide(struct program *p)
{
    bool wide = below(p, 2), is_signed = below(p, 2);

    bytes(p, 0x01c980, 3); /* OR cl, 1; MOVZX ecx, cl */
    bytes(p, 0xc9b60f, 3);
    if (is_signed) { /* CDQ or CQO; IDIV */
        bytes(p, wide ? 0x9948 : 0x99, wide ? 2 : 1);
        bytes(p, wide ? 0xf9f748 : 0xf9f7, wide ? 3 : 2);
    } else { /* XOR edx, edx; DIV */
        bytes(p, 0xd231, 2);
        bytes(p, wide ? 0xf1f748 : 0xf1f7, wide ? 3 : 2);
    }
    wrote_flags(p, OSZAPC, OSZAPC);
}

static void gen_stack(struct program *p)
{
    unsigned reg = pick(p), other = pick(p);

    if (reg & 8)
        byte(p, 0x41);
    byte(p, 0x50 | (reg & 7));
    if (below(p, 3) == 0) {
        need_flags(p, OSZAPC);
        bytes(p, 0x9c, 1); /* PUSHF, POP */
        byte(p, 0x58);
    }
    if (below(p, 3) == 0) {
        byte(p, 0x68); /* PUSH imm; ADD [rsp], rax; POP */
        bytes(p, next(p), 4);
        bytes(p, 0x24040148, 4);
        byte(p, 0x5a);
        wrote_flags(p, OSZAPC, 0);
    }
    if (other & 8)
        byte(p, 0x41);
    byte(p, 0x58 | (other & 7));
}

static void gen_bits(struct program *p)
{
    unsigned size = wide_size(p);

    switch (below(p, 4)) {
    case 0:
        modrm(p, (struct form){.map = 1, .opcode = 0xa3 | below(p, 4) << 3, .size = size, .reg = -1},
              IN_REGISTER);
        break;
    case 1:
        modrm(p,
              (struct form){
                  .map = 1, .opcode = 0xba, .size = size, .reg = 4 + (int)below(p, 4), .immediate = 1},
              ANYWHERE);
        byte(p, below(p, 256));
        break;
    default:
        bytes(p, 0x01ca80, 3); /* OR dl, 1: BSF and BSR of 0 have no result */
        bytes(p, 0xc2bc0f + (below(p, 2) << 8), 3);
        wrote_flags(p, OSZAPC, OSZAPC & ~FLAG_ZF);
        return;
    }
    wrote_flags(p, FLAG_CF, FLAG_OF | FLAG_SF | FLAG_AF | FLAG_PF);
}

static void gen_flags(struct program *p)
{
    switch (below(p, 5)) {
    case 0:
        need_flags(p, FLAG_CF);
        byte(p, 0xf5);
        break;
    case 1:
    case 2:
        byte(p, 0xf8 + below(p, 2));
        wrote_flags(p, FLAG_CF, 0);
        break;
    case 3:
        need_flags(p, OSZAPC);
        byte(p, 0x9f); /* LAHF */
        break;
    default:
        byte(p, 0x9e);
        wrote_flags(p, OSZAPC & ~FLAG_OF, 0);
    }
}

static void gen_locked(struct program *p)
{
    unsigned size = any_size(p), wide = size ? 1 : 0;

    switch (below(p, 4)) {
    case 0:
        modrm(p, (struct form){.map = 1, .opcode = 0xc0 | wide, .size = size, .reg = -1, .lock = below(p, 2)},
              ANYWHERE); /* XADD */
        break;
    case 1:
        modrm(p, (struct form){.map = 1, .opcode = 0xb0 | wide, .size = size, .reg = -1, .lock = below(p, 2)},
              ANYWHERE);
        break;
    case 2:
        modrm(
            p,
            (struct form){.opcode = 0x00 | wide | below(p, 2) * 0x28, .size = size, .reg = -1, .lock = true},
            IN_MEMORY);
        break;
    default:
        modrm(p, (struct form){.opcode = 0xfe | wide, .size = size, .reg = (int)below(p, 2), .lock = true},
              IN_MEMORY);
        wrote_flags(p, OSZAPC & ~FLAG_CF, 0);
        return;
    }
    wrote_flags(p, OSZAPC, 0);
}

static void gen_sse(struct program *p)
{
    static const struct {
        uint8_t prefix, opcode;
    } table[] = {{0x66, 0xfe}, {0x66, 0xef}, {0x66, 0x6f}, {0x66, 0x61}, {0, 0x57}, {0x66, 0xd4},
                 {0x66, 0xeb}, {0, 0x14},    {0, 0x28},    {0x66, 0x74}, {0, 0x54}, {0x66, 0xf4}};
    unsigned n = below(p, sizeof(table) / sizeof(table[0])), a = below(p, 16), b = below(p, 16);

    switch (below(p, 4)) {
    case 0: /* MOVDQU, from and to memory */
        modrm(p,
              (struct form){
                  .prefix = 0xf3, .map = 1, .opcode = below(p, 2) ? 0x6f : 0x7f, .size = 2, .reg = (int)a},
              IN_MEMORY);
        return;
    case 1: /* MOVQ to and from a general register */
        bytes(p, 0x0f4866 | (a & 8 ? 0x400 : 0), 3);
        byte(p, below(p, 2) ? 0x6e : 0x7e);
        byte(p, 0xc0 | (a & 7) << 3 | below(p, 4));
        return;
    default:
        if (table[n].prefix)
            byte(p, table[n].prefix);
        byte(p, 0x40 | (a & 8 ? 4 : 0) | (b & 8 ? 1 : 0));
        byte(p, 0x0f);
        byte(p, table[n].opcode);
        byte(p, 0xc0 | (a & 7) << 3 | (b & 7));
    }
}

static void gen_call(struct program *p)
{
    /* CALL over what is called; JMP over it; here: add to it; RET */
    bytes(p, 0x02e8, 5);
    bytes(p, 0x05eb, 2);
    bytes(p, 0xc883 | (uint64_t)below(p, 128) << 16, 3); /* OR eax, imm */
    bytes(p, 0x90c3, 2);
    wrote_flags(p, OSZAPC, FLAG_AF);
}

static void gen_any(struct program *p)
{
    static void (*const all[])(struct program * p) = {
        gen_alu,   gen_alu,   gen_alu,       gen_alu,          gen_test,     gen_unary,
        gen_unary, gen_shift, gen_shift,     gen_double_shift, gen_move,     gen_move,
        gen_move,  gen_short, gen_condition, gen_condition,    gen_multiply, gen_divide,
        gen_stack, gen_bits,  gen_flags,     gen_locked,       gen_sse,      gen_call};

    all[below(p, sizeof(all) / sizeof(all[0]))](p);
}

/* Jcc, or JRCXZ, over a few instructions: the flags it finds were made in this block or an earlier one. */
static void gen_branch(struct program *p)
{
    unsigned cc = below(p, 16), from;
    uint32_t undefined;

    if (below(p, 8)) {
        need_flags(p, flags_of_condition(cc));
        bytes(p, 0x800f | cc << 8, 6);
    } else { /* JRCXZ reaches a byte's distance */
        bytes(p, 0x02e3, 2);
        bytes(p, 0x05eb, 2);
        bytes(p, 0xe9, 5);
    }
    from = p->size;
    undefined = p->undefined;
    for (unsigned n = below(p, 6); n--;)
        gen_any(p);
    p->undefined |= undefined;
    from = p->size - from;
    memcpy(&p->code[p->size - from - 4], &from, 4);
}

/* Where a program begins, and its numbers. */
static void program_start(struct program *p, uint64_t seed)
{
    memset(p, 0, sizeof(*p));
    p->random = seed;
    next(p);
    p->at = AT_CODE + (below(p, 3) ? below(p, 4096) : 0);
}

/* The end of a round, whose code begins at `start`, and of the program. */
static void program_end(struct program *p, unsigned start)
{
    bytes(p, 0x0dff, 2); /* DEC dword [rip + ...]; JNZ */
    bytes(p, AT_DATA + 0x3800 - (p->at + p->size + 4), 4);
    bytes(p, 0x850f, 2);
    bytes(p, start - (p->size + 4), 4);
    define_flags(p);
    byte(p, 0xf4);
}

static unsigned begin_rounds(struct program *p, unsigned rounds)
{
    bytes(p, 0x05c7, 2); /* MOV dword [rip + ...], rounds */
    bytes(p, AT_DATA + 0x3800 - (p->at + p->size + 8), 4);
    bytes(p, rounds, 4);
    return p->size;
}

static void random_state(struct program *p, struct cpu_state *s)
{
    static const uint64_t odd[] = {0, 1, UINT64_MAX, 0x7fffffff, 0x80000000, 1ull << 63, 0x7f, 0x80, 0xffff};

    memset(s, 0, sizeof(*s));
    for (unsigned n = 0; n < 16; n++) {
        s->gpr[n] = below(p, 3) ? next(p) : odd[below(p, sizeof(odd) / sizeof(odd[0]))];
        s->zmm[n].u64[0] = next(p);
        s->zmm[n].u64[1] = next(p);
    }
    s->gpr[RSP] = AT_STACK;
    s->gpr[RBP] = AT_DATA + 0x800;
    s->gpr[R13] = AT_DATA + 0x2000;
}

static void body(struct program *p, unsigned instructions)
{
    while (instructions--)
        if (below(p, 5) == 0)
            gen_branch(p);
        else
            gen_any(p);
}

/* --- Tests -------------------------------------------------------------------------------------------- */

static void run_programs(bool check, uint64_t first, unsigned count)
{
    struct twins *t = twins_new(check);
    struct cpu_state from;
    struct program p;

    for (uint64_t seed = first; seed < first + count; seed++) {
        unsigned start;

        program_start(&p, seed);
        random_state(&p, &from);
        start = begin_rounds(&p, 3);
        body(&p, 10 + below(&p, 50));
        program_end(&p, start);
        run_both(t, &from, p.at, p.code, p.size, seed);
    }
    if (check)
        ck_assert_uint_gt(t->hard->cpu->stats.check.blocks, 10 * count);
    twins_free(t);
}

START_TEST(random_programs)
{
    run_programs(false, 1, 400);
}
END_TEST

START_TEST(random_programs_in_lockstep)
{
    run_programs(true, 100001, 200);
}
END_TEST

/* What faults, after instructions that may have left their flags anywhere. */
static void gen_fault(struct program *p)
{
    need_flags(p, OSZAPC);
    switch (below(p, 7)) {
    case 0: /* ADD [absent], eax */
        bytes(p, 0x250401, 3);
        bytes(p, AT_ABSENT + 0x10, 4);
        break;
    case 1: /* ADC eax, [absent], across pages */
        bytes(p, 0x250413, 3);
        bytes(p, AT_ABSENT - 2, 4);
        break;
    case 2: /* MOV [read only], rdx */
        bytes(p, 0x25148948, 4);
        bytes(p, AT_READ_ONLY + 8, 4);
        break;
    case 3: /* XOR ebx, ebx; DIV ebx; flags defined in between */
        bytes(p, 0xdb31, 2);
        bytes(p, 0xc839, 2);
        bytes(p, 0xf3f7, 2);
        break;
    case 4: /* MOV rsi, not canonical; MOV eax, [rsi] */
        bytes(p, 0xbe48, 2);
        bytes(p, 0x8000000000000000ull, 8);
        bytes(p, 0x068b, 2);
        break;
    case 5: /* MOVAPS xmm1, [rbp + 1] */
        bytes(p, 0x014d280f, 4);
        break;
    default: /* MOV rdx, not canonical; CALL rdx; JMP rdx */
        bytes(p, 0xba48, 2);
        bytes(p, 0x0123456789abcdefull, 8);
        bytes(p, below(p, 2) ? 0xd2ff : 0xe2ff, 2);
    }
}

START_TEST(faults_in_the_middle)
{
    struct twins *t = twins_new(_i);
    struct cpu_state from;
    struct program p;

    for (uint64_t seed = 1; seed <= 300; seed++) {
        program_start(&p, seed + 1000000);
        random_state(&p, &from);
        body(&p, below(&p, 20));
        gen_fault(&p);
        body(&p, 3);
        define_flags(&p);
        byte(&p, 0xf4);
        run_both(t, &from, p.at, p.code, p.size, seed);
        ck_assert_uint_ge(t->hard->cpu->s.rip, AT_HANDLERS); /* it did fault */
        ck_assert_uint_lt(t->hard->cpu->s.rip, AT_HANDLERS + 0x200);
    }
    if (_i)
        ck_assert_uint_gt(t->hard->cpu->stats.check.faults, 250);
    twins_free(t);
}
END_TEST

#define RUN_BOTH(t, from, ...)                                                                               \
    run_both(t, from, AT_CODE, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), 0)

/* A loop that changes the immediate of an instruction further on in the same block, each time round. */
START_TEST(running_block_changes_itself)
{
    struct twins *t = twins_new(_i);
    struct cpu_state from = {0};

    from.gpr[RSP] = AT_STACK;
    from.gpr[RCX] = 50;
    RUN_BOTH(t, &from,                           /* again: */
             0x88, 0x0d, 0x03, 0x00, 0x00, 0x00, /* MOV [immediate], cl */
             0x01, 0xd3,                         /* ADD ebx, edx */
             0x05, 0x00, 0x00, 0x00, 0x00,       /* ADD eax, immediate */
             0xff, 0xc9,                         /* DEC ecx */
             0x75, 0xef,                         /* JNZ again */
             0xf4);
    ck_assert_uint_eq(t->hard->cpu->s.gpr[RAX], 50 * 51 / 2);
    twins_free(t);
}
END_TEST

/* INC and DEC leave CF to be used later, across a block's end too; a shift by 0 leaves all. */
START_TEST(flags_outlive_blocks)
{
    struct twins *t = twins_new(_i);
    struct cpu_state from = {0};

    from.gpr[RSP] = AT_STACK;
    from.gpr[RCX] = 40;
    RUN_BOTH(t, &from,               /* again: */
             0xf9,                   /* STC */
             0x48, 0xff, 0xc0,       /* INC rax */
             0x48, 0xff, 0xcb,       /* DEC rbx */
             0xeb, 0x00,             /* JMP to a block of its own */
             0x49, 0x11, 0xc4,       /* ADC r12, rax */
             0x9c, 0x41, 0x5e,       /* PUSHF; POP r14 */
             0x49, 0xff, 0xc7,       /* INC r15 */
             0x88, 0xca, 0xb1, 0x00, /* MOV dl, cl; MOV cl, 0 */
             0xd3, 0xe0,             /* SHL eax, cl */
             0x88, 0xd1,             /* MOV cl, dl */
             0x72, 0x04,             /* JC over what follows */
             0x49, 0x83, 0xc3, 0x01, /* ADD r11, 1 */
             0x00, 0xf4,             /* ADD ah, dh */
             0xff, 0xc9,             /* DEC ecx */
             0x75, 0xda,             /* JNZ again */
             0xf4);
    ck_assert_uint_eq(t->hard->cpu->s.gpr[R11], 40); /* ADC left no carry, and what follows it kept that */
    ck_assert_uint_eq(t->hard->cpu->s.gpr[R15], 40);
    twins_free(t);
}
END_TEST

/* A block that is not what it should be is found. */
START_TEST(lockstep_finds_a_difference)
{
    static const uint8_t code[] = {0xb8, 0x78, 0x56, 0x34, 0x12, 0xff, 0xc9, 0x75, 0xf7, 0xf4};
    struct twins *t = twins_new(true);
    struct cpu_state from = {0};
    const uint8_t *at;
    unsigned found = 0;

    from.gpr[RSP] = AT_STACK;
    from.gpr[RCX] = 20;
    run_one(t->hard, &from, AT_CODE, code, sizeof(code));
    ck_assert_uint_eq(t->differences, 0);
    ck_assert_uint_gt(t->hard->cpu->stats.check.blocks, 10);
    /* Its immediate in the code memory. */
    at = t->hard->cpu->jit->write + t->hard->cpu->jit->keep;
    for (; at + 4 <= t->hard->cpu->jit->write + t->hard->cpu->jit->used; at++)
        if (!memcmp(at, code + 1, 4)) {
            *(uint8_t *)(uintptr_t)at = 0x79;
            found++;
        }
    ck_assert_uint_gt(found, 0);
    memcpy(t->hard->cpu->s.gpr, from.gpr, sizeof(from.gpr));
    t->hard->cpu->s.rip = AT_CODE;
    t->hard->cpu->s.activity = CPU_RUNNING;
    cpu_push(t->hard->cpu);
    cpu_run(t->hard->cpu, 1000);
    ck_assert_uint_eq(t->differences, 1);
    ck_assert_msg(strstr(t->what, "rax: interpreted 0000000012345678, translated 0000000012345679") != NULL,
                  "%s", t->what);
    ck_assert_uint_eq(t->hard->cpu->s.gpr[RAX], 0x12345678); /* what goes on is the interpreter's */
    twins_free(t);
}
END_TEST

Suite *jit_suite(void)
{
    Suite *suite = suite_create("jit");
    TCase *c = tcase_create("translated code");

    tcase_set_timeout(c, 120);
    tcase_add_test(c, random_programs);
    tcase_add_test(c, random_programs_in_lockstep);
    tcase_add_loop_test(c, faults_in_the_middle, 0, 2);
    tcase_add_loop_test(c, running_block_changes_itself, 0, 2);
    tcase_add_loop_test(c, flags_outlive_blocks, 0, 2);
    tcase_add_test(c, lockstep_finds_a_difference);
    suite_add_tcase(suite, c);
    return suite;
}

#else

/* There is no translator for this host. */
Suite *jit_suite(void)
{
    return suite_create("jit");
}

#endif
