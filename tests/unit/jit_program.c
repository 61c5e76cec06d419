/*
 * jit_program.c - see jit_program.h.
 */
#include <string.h>

#include "tests/unit/jit_program.h"

/* SplitMix (Steele, Lea, Flood). */
static uint64_t next(struct program *p)
{
    uint64_t z = p->random += 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

unsigned program_below(struct program *p, unsigned n)
{
    return (unsigned)(next(p) >> 32) % n;
}

void program_byte(struct program *p, unsigned value)
{
    p->code[p->size++] = (uint8_t)value;
}

void program_bytes(struct program *p, uint64_t value, unsigned n)
{
    for (; n--; value >>= 8)
        program_byte(p, value & 0xff);
}

/* Makes all flags defined. */
void program_define_flags(struct program *p)
{
    program_bytes(p, program_below(p, 2) ? 0xc839 : 0xd001, 2); /* CMP eax, ecx; ADD eax, edx */
    p->undefined = 0;
}

void program_need_flags(struct program *p, uint32_t flags)
{
    if (p->undefined & flags)
        program_define_flags(p);
}

static void wrote_flags(struct program *p, uint32_t written, uint32_t undefined)
{
    p->undefined = (p->undefined & ~written) | undefined;
}

/* A register that may be written: not RSP, nor what points to data. */
static unsigned pick(struct program *p)
{
    static const uint8_t registers[] = {0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 14, 15};

    return registers[program_below(p, sizeof(registers))];
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
    unsigned scale = program_below(p, 4);
    int disp = (int)program_below(p, 0x200) - 0x100;

    if (base == 16) { /* relative to RIP */
        uint32_t next_rip = p->at + p->size + 5 + immediate;

        program_byte(p, (reg & 7) << 3 | 5);
        program_bytes(p, AT_DATA + 0x3000 + program_below(p, 64) - next_rip, 4);
        return;
    }
    if (base == RSP)
        disp = (int)program_below(p, 0x80);
    if (indexed || base == RSP) {
        program_byte(p, 0x84 | (reg & 7) << 3);
        program_byte(p, indexed ? scale << 6 | 1 << 3 | (base & 7) : 0x24);
        program_bytes(p, (uint32_t)disp, 4);
    } else if (disp >= -128 && disp < 128) {
        program_byte(p, 0x40 | (reg & 7) << 3 | (base & 7));
        program_byte(p, (unsigned)disp);
    } else {
        program_byte(p, 0x80 | (reg & 7) << 3 | (base & 7));
        program_bytes(p, (uint32_t)disp, 4);
    }
}

/* Emits an instruction with a random operand in ModRM.rm, and its immediate but that. */
static void modrm(struct program *p, struct form f, enum where where)
{
    static const uint8_t bases[] = {RBP, RBP, R13, R13, RSP, 16};
    bool memory = where == IN_MEMORY || (where == ANYWHERE && program_below(p, 2));
    unsigned base = bases[program_below(p, sizeof(bases))], reg = f.reg >= 0 ? (unsigned)f.reg : pick(p),
             rm = pick(p), rex;
    bool indexed = memory && base != 16 && base != RSP && program_below(p, 3) == 0;

    if (indexed)
        program_bytes(p, 0xc9b60f, 3);                                 /* MOVZX ecx, cl */
    if (f.size == 0 && program_below(p, 2) && (!memory || base < 8)) { /* without REX: AH to BH */
        if (f.reg < 0)
            reg = program_below(p, 8);
        rm = program_below(p, 8);
        rex = 0;
    } else {
        rex = (f.size == 3 ? 8 : 0) | (reg & 8 ? 4 : 0) | (memory ? (base == R13 ? 1 : 0) : (rm & 8 ? 1 : 0));
        if (f.size == 0)
            rex |= 0x40;
    }
    if (f.lock && memory)
        program_byte(p, 0xf0);
    if (f.size == 1)
        program_byte(p, 0x66);
    if (f.prefix)
        program_byte(p, f.prefix);
    if (rex)
        program_byte(p, 0x40 | rex);
    if (f.map)
        program_byte(p, 0x0f);
    if (f.map == 2)
        program_byte(p, 0x38);
    program_byte(p, f.opcode);
    if (memory)
        modrm_memory(p, reg, base, indexed, f.immediate);
    else
        program_byte(p, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

static unsigned any_size(struct program *p)
{
    static const uint8_t sizes[] = {0, 0, 1, 2, 2, 2, 3, 3, 3};

    return sizes[program_below(p, sizeof(sizes))];
}

static unsigned wide_size(struct program *p)
{
    return 1 + program_below(p, 3);
}

/* --- Its instructions --------------------------------------------------------------------------------- */

static void gen_alu(struct program *p)
{
    unsigned op = program_below(p, 8), size = any_size(p);
    bool logic = op == 1 || op == 4 || op == 6;

    if (op == 2 || op == 3)
        program_need_flags(p, FLAG_CF);
    if (program_below(p, 3)) {
        modrm(p,
              (struct form){
                  .opcode = op << 3 | program_below(p, 2) << 1 | (size ? 1 : 0), .size = size, .reg = -1},
              ANYWHERE);
    } else {
        bool small = size && program_below(p, 2);
        unsigned n = small || !size ? 1 : size == 1 ? 2 : 4;

        modrm(p,
              (struct form){.opcode = !size   ? 0x80
                                      : small ? 0x83
                                              : 0x81,
                            .size = size,
                            .reg = (int)op,
                            .immediate = n},
              ANYWHERE);
        program_bytes(p, next(p), n);
    }
    wrote_flags(p, OSZAPC, logic ? FLAG_AF : 0);
}

static void gen_test(struct program *p)
{
    unsigned size = any_size(p), n = !size ? 1 : size == 1 ? 2 : 4;

    if (program_below(p, 2)) {
        modrm(p, (struct form){.opcode = size ? 0x85 : 0x84, .size = size, .reg = -1}, ANYWHERE);
    } else {
        modrm(p, (struct form){.opcode = size ? 0xf7 : 0xf6, .size = size, .reg = 0, .immediate = n},
              ANYWHERE);
        program_bytes(p, next(p), n);
    }
    wrote_flags(p, OSZAPC, FLAG_AF);
}

static void gen_unary(struct program *p) /* INC, DEC, NOT, NEG */
{
    unsigned size = any_size(p), n = program_below(p, 4);

    modrm(p, (struct form){.opcode = (n < 2 ? 0xfe : 0xf6) | (size ? 1u : 0), .size = size, .reg = (int)n},
          ANYWHERE);
    if (n == 3)
        wrote_flags(p, OSZAPC, 0);
    else if (n < 2)
        wrote_flags(p, OSZAPC & ~FLAG_CF, 0);
}

static void gen_shift(struct program *p)
{
    unsigned size = any_size(p), n = program_below(p, 8), kind = program_below(p, 3),
             count = program_below(p, 8u << size);
    uint32_t undefined = FLAG_OF | (n >= 4 ? FLAG_AF : 0);

    if (n == 2 || n == 3)
        program_need_flags(p, FLAG_CF);
    if (kind == 2) {                 /* by CL, which may be more than the operand has bits */
        program_bytes(p, 0xe180, 2); /* AND cl */
        program_byte(p, program_below(p, 3) ? (8u << size) - 1 : 0);
        wrote_flags(p, OSZAPC, FLAG_AF);
        if (n == 2 || n == 3)
            program_need_flags(p, FLAG_CF);
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
        program_byte(p, count);
    if (kind == 0)
        wrote_flags(p, n < 4 ? FLAG_CF | FLAG_OF : OSZAPC, n >= 4 ? FLAG_AF : 0);
    else /* the count may be 0, and then nothing is written */
        p->undefined |= undefined;
}

static void gen_double_shift(struct program *p)
{
    unsigned size = 2 + program_below(p, 2), count = program_below(p, 32);

    modrm(p,
          (struct form){
              .map = 1, .opcode = program_below(p, 2) ? 0xa4 : 0xac, .size = size, .reg = -1, .immediate = 1},
          ANYWHERE);
    program_byte(p, count);
    p->undefined |= FLAG_OF | FLAG_AF;
}

static void gen_move(struct program *p)
{
    unsigned size = any_size(p), n = !size ? 1 : size == 1 ? 2 : 4;

    switch (program_below(p, 7)) {
    case 0:
    case 1:
        modrm(p,
              (struct form){
                  .opcode = 0x88 | program_below(p, 2) << 1 | (size ? 1 : 0), .size = size, .reg = -1},
              ANYWHERE);
        break;
    case 2:
        modrm(p, (struct form){.opcode = size ? 0xc7 : 0xc6, .size = size, .reg = 0, .immediate = n},
              ANYWHERE);
        program_bytes(p, next(p), n);
        break;
    case 3:
        modrm(p,
              (struct form){.map = 1,
                            .opcode = 0xb6 | program_below(p, 2) << 3 | program_below(p, 2),
                            .size = wide_size(p),
                            .reg = -1},
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

    switch (program_below(p, 6)) {
    case 0:
        program_bytes(p, rex | (0xc80full | (uint64_t)(reg & 7) << 8) << 8, 3); /* BSWAP */
        break;
    case 1:
        program_bytes(p, (rex & ~8u) | (uint64_t)(0xb8 | (reg & 7)) << 8, 2); /* MOV r32, imm */
        program_bytes(p, next(p), 4);
        break;
    case 2:
        program_bytes(p, rex | (uint64_t)(0xb8 | (reg & 7)) << 8, 2);
        program_bytes(p, next(p), 8);
        break;
    case 3:
        program_bytes(p, rex | (uint64_t)(0x90 | (reg & 7)) << 8, 2); /* XCHG rax */
        break;
    case 4:
        program_bytes(p, 0x9848 + (program_below(p, 2) << 8), 2); /* CDQE, CQO */
        break;
    default:
        program_bytes(p, 0x98 + program_below(p, 2), 1);
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
    unsigned cc = program_below(p, 16);

    program_need_flags(p, flags_of_condition(cc));
    if (program_below(p, 2))
        modrm(p, (struct form){.map = 1, .opcode = 0x40 | cc, .size = wide_size(p), .reg = -1}, ANYWHERE);
    else
        modrm(p, (struct form){.map = 1, .opcode = 0x90 | cc, .reg = 0}, ANYWHERE);
}

static void gen_multiply(struct program *p)
{
    unsigned size = any_size(p), wide = wide_size(p);

    if (program_below(p, 2)) {
        modrm(p,
              (struct form){.opcode = size ? 0xf7 : 0xf6, .size = size, .reg = 4 + (int)program_below(p, 2)},
              ANYWHERE);
    } else if (program_below(p, 2)) {
        modrm(p, (struct form){.map = 1, .opcode = 0xaf, .size = wide, .reg = -1}, ANYWHERE);
    } else {
        modrm(p, (struct form){.opcode = 0x6b, .size = wide, .reg = -1, .immediate = 1}, ANYWHERE);
        program_byte(p, program_below(p, 256));
    }
    wrote_flags(p, OSZAPC, OSZAPC & ~(FLAG_CF | FLAG_OF));
}

/* Divisors from 1 to 255, and dividends whose quotient fits. */
static void gen_divide(struct program *p)
{
    bool wide = program_below(p, 2), is_signed = program_below(p, 2);

    program_bytes(p, 0x01c980, 3); /* OR cl, 1; MOVZX ecx, cl */
    program_bytes(p, 0xc9b60f, 3);
    if (is_signed) { /* CDQ or CQO; IDIV */
        program_bytes(p, wide ? 0x9948 : 0x99, wide ? 2 : 1);
        program_bytes(p, wide ? 0xf9f748 : 0xf9f7, wide ? 3 : 2);
    } else { /* XOR edx, edx; DIV */
        program_bytes(p, 0xd231, 2);
        program_bytes(p, wide ? 0xf1f748 : 0xf1f7, wide ? 3 : 2);
    }
    wrote_flags(p, OSZAPC, OSZAPC);
}

static void gen_stack(struct program *p)
{
    unsigned reg = pick(p), other = pick(p);

    if (reg & 8)
        program_byte(p, 0x41);
    program_byte(p, 0x50 | (reg & 7));
    if (program_below(p, 3) == 0) {
        program_need_flags(p, OSZAPC);
        program_bytes(p, 0x9c, 1); /* PUSHF, POP */
        program_byte(p, 0x58);
    }
    if (program_below(p, 3) == 0) {
        program_byte(p, 0x68); /* PUSH imm; ADD [rsp], rax; POP */
        program_bytes(p, next(p), 4);
        program_bytes(p, 0x24040148, 4);
        program_byte(p, 0x5a);
        wrote_flags(p, OSZAPC, 0);
    }
    if (other & 8)
        program_byte(p, 0x41);
    program_byte(p, 0x58 | (other & 7));
}

static void gen_bits(struct program *p)
{
    unsigned size = wide_size(p);

    switch (program_below(p, 4)) {
    case 0:
        modrm(p, (struct form){.map = 1, .opcode = 0xa3 | program_below(p, 4) << 3, .size = size, .reg = -1},
              IN_REGISTER);
        break;
    case 1:
        modrm(
            p,
            (struct form){
                .map = 1, .opcode = 0xba, .size = size, .reg = 4 + (int)program_below(p, 4), .immediate = 1},
            ANYWHERE);
        program_byte(p, program_below(p, 256));
        break;
    default:
        program_bytes(p, 0x01ca80, 3); /* OR dl, 1: BSF and BSR of 0 have no result */
        program_bytes(p, 0xc2bc0f + (program_below(p, 2) << 8), 3);
        wrote_flags(p, OSZAPC, OSZAPC & ~FLAG_ZF);
        return;
    }
    wrote_flags(p, FLAG_CF, FLAG_OF | FLAG_SF | FLAG_AF | FLAG_PF);
}

static void gen_flags(struct program *p)
{
    switch (program_below(p, 5)) {
    case 0:
        program_need_flags(p, FLAG_CF);
        program_byte(p, 0xf5);
        break;
    case 1:
    case 2:
        program_byte(p, 0xf8 + program_below(p, 2));
        wrote_flags(p, FLAG_CF, 0);
        break;
    case 3:
        program_need_flags(p, OSZAPC);
        program_byte(p, 0x9f); /* LAHF */
        break;
    default:
        program_byte(p, 0x9e);
        wrote_flags(p, OSZAPC & ~FLAG_OF, 0);
    }
}

static void gen_locked(struct program *p)
{
    unsigned size = any_size(p), wide = size ? 1 : 0;

    switch (program_below(p, 4)) {
    case 0:
        modrm(p,
              (struct form){
                  .map = 1, .opcode = 0xc0 | wide, .size = size, .reg = -1, .lock = program_below(p, 2)},
              ANYWHERE); /* XADD */
        break;
    case 1:
        modrm(p,
              (struct form){
                  .map = 1, .opcode = 0xb0 | wide, .size = size, .reg = -1, .lock = program_below(p, 2)},
              ANYWHERE);
        break;
    case 2:
        modrm(p,
              (struct form){
                  .opcode = 0x00 | wide | program_below(p, 2) * 0x28, .size = size, .reg = -1, .lock = true},
              IN_MEMORY);
        break;
    default:
        modrm(
            p,
            (struct form){.opcode = 0xfe | wide, .size = size, .reg = (int)program_below(p, 2), .lock = true},
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
    unsigned n = program_below(p, sizeof(table) / sizeof(table[0])), a = program_below(p, 16),
             b = program_below(p, 16);

    switch (program_below(p, 4)) {
    case 0: /* MOVDQU, from and to memory */
        modrm(p,
              (struct form){.prefix = 0xf3,
                            .map = 1,
                            .opcode = program_below(p, 2) ? 0x6f : 0x7f,
                            .size = 2,
                            .reg = (int)a},
              IN_MEMORY);
        return;
    case 1: /* MOVQ to and from a general register */
        program_bytes(p, 0x0f4866 | (a & 8 ? 0x400 : 0), 3);
        program_byte(p, program_below(p, 2) ? 0x6e : 0x7e);
        program_byte(p, 0xc0 | (a & 7) << 3 | program_below(p, 4));
        return;
    default:
        if (table[n].prefix)
            program_byte(p, table[n].prefix);
        program_byte(p, 0x40 | (a & 8 ? 4 : 0) | (b & 8 ? 1 : 0));
        program_byte(p, 0x0f);
        program_byte(p, table[n].opcode);
        program_byte(p, 0xc0 | (a & 7) << 3 | (b & 7));
    }
}

static void gen_call(struct program *p)
{
    /* CALL over what is called; JMP over it; here: add to it; RET */
    program_bytes(p, 0x02e8, 5);
    program_bytes(p, 0x05eb, 2);
    program_bytes(p, 0xc883 | (uint64_t)program_below(p, 128) << 16, 3); /* OR eax, imm */
    program_bytes(p, 0x90c3, 2);
    wrote_flags(p, OSZAPC, FLAG_AF);
}

static void gen_any(struct program *p)
{
    static void (*const all[])(struct program * p) = {
        gen_alu,   gen_alu,   gen_alu,       gen_alu,          gen_test,     gen_unary,
        gen_unary, gen_shift, gen_shift,     gen_double_shift, gen_move,     gen_move,
        gen_move,  gen_short, gen_condition, gen_condition,    gen_multiply, gen_divide,
        gen_stack, gen_bits,  gen_flags,     gen_locked,       gen_sse,      gen_call};

    all[program_below(p, sizeof(all) / sizeof(all[0]))](p);
}

/* Jcc, or JRCXZ, over a few instructions: the flags it finds were made in this block or an earlier one. */
static void gen_branch(struct program *p)
{
    unsigned cc = program_below(p, 16), from;
    uint32_t undefined;

    if (program_below(p, 8)) {
        program_need_flags(p, flags_of_condition(cc));
        program_bytes(p, 0x800f | cc << 8, 6);
    } else { /* JRCXZ reaches a byte's distance */
        program_bytes(p, 0x02e3, 2);
        program_bytes(p, 0x05eb, 2);
        program_bytes(p, 0xe9, 5);
    }
    from = p->size;
    undefined = p->undefined;
    for (unsigned n = program_below(p, 6); n--;)
        gen_any(p);
    p->undefined |= undefined;
    from = p->size - from;
    memcpy(&p->code[p->size - from - 4], &from, 4);
}

/* Where a program begins, and its numbers. */
void program_start(struct program *p, uint64_t seed)
{
    memset(p, 0, sizeof(*p));
    p->random = seed;
    next(p);
    p->at = AT_CODE + (program_below(p, 3) ? program_below(p, 4096) : 0);
}

/* The end of a round, whose code begins at `start`, and of the program. */
void program_end(struct program *p, unsigned start)
{
    program_bytes(p, 0x0dff, 2); /* DEC dword [rip + ...]; JNZ */
    program_bytes(p, AT_DATA + 0x3800 - (p->at + p->size + 4), 4);
    program_bytes(p, 0x850f, 2);
    program_bytes(p, start - (p->size + 4), 4);
    program_define_flags(p);
    program_byte(p, 0xf4);
}

unsigned program_rounds(struct program *p, unsigned rounds)
{
    program_bytes(p, 0x05c7, 2); /* MOV dword [rip + ...], rounds */
    program_bytes(p, AT_DATA + 0x3800 - (p->at + p->size + 8), 4);
    program_bytes(p, rounds, 4);
    return p->size;
}

void program_state(struct program *p, struct cpu_state *s)
{
    static const uint64_t odd[] = {0, 1, UINT64_MAX, 0x7fffffff, 0x80000000, 1ull << 63, 0x7f, 0x80, 0xffff};

    memset(s, 0, sizeof(*s));
    for (unsigned n = 0; n < 16; n++) {
        s->gpr[n] = program_below(p, 3) ? next(p) : odd[program_below(p, sizeof(odd) / sizeof(odd[0]))];
        s->zmm[n].u64[0] = next(p);
        s->zmm[n].u64[1] = next(p);
    }
    s->gpr[RSP] = AT_STACK;
    s->gpr[RBP] = AT_DATA + 0x800;
    s->gpr[R13] = AT_DATA + 0x2000;
}

void program_body(struct program *p, unsigned instructions)
{
    while (instructions--)
        if (program_below(p, 5) == 0)
            gen_branch(p);
        else
            gen_any(p);
}
