/*
 * integer.c - arithmetic, logic, shifts, multiplication, division: results and flags for edge values, against
 * values computed bit by bit in C. Flags that the manual leaves undefined are not compared.
 */
#include "model.h"

/* ---- two operands ---- */

enum op2 { ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST, OPS2 };
static const char *const op2_names[OPS2] = {"ADD", "OR", "ADC", "SBB", "AND", "SUB", "XOR", "CMP", "TEST"};

static uint64_t model2(enum op2 op, uint64_t a, uint64_t b, unsigned width, bool carry, uint64_t *flags)
{
    uint64_t result = op == OR ? a | b : op == XOR ? a ^ b : a & b;
    switch (op) {
    case ADD:
    case ADC:
        result = model_add(a, b, op == ADC && carry, width, flags);
        return merge(a, result, width);
    case SUB:
    case SBB:
    case CMP:
        result = model_sub(a, b, op == SBB && carry, width, flags);
        return op == CMP ? a : merge(a, result, width);
    default:
        *flags = flags_szp(result, width);
        return op == TEST ? a : merge(a, result, width);
    }
}

typedef uint64_t insn2(uint64_t a, uint64_t b, uint64_t *flags);

#define DEFINE2(op, s, m)                                                                                    \
    static uint64_t op##_##s(uint64_t a, uint64_t b, uint64_t *flags)                                        \
    {                                                                                                        \
        uint64_t f = *flags;                                                                                 \
        __asm__ volatile("pushq %[f]; popfq; " #op #s " %" m "[b], %" m "[a]; pushfq; popq %[f]"             \
                         : [a] "+&r"(a), [f] "+&r"(f)                                                        \
                         : [b] "r"(b)                                                                        \
                         : "cc");                                                                            \
        *flags = f;                                                                                          \
        return a;                                                                                            \
    }                                                                                                        \
    static uint64_t op##_##s##_mem(uint64_t a, uint64_t b, uint64_t *flags)                                  \
    {                                                                                                        \
        uint64_t f = *flags, cell = a;                                                                       \
        __asm__ volatile("pushq %[f]; popfq; " #op #s " %" m "[b], (%[p]); pushfq; popq %[f]"                \
                         : [f] "+&r"(f)                                                                      \
                         : [p] "r"(&cell), [b] "r"(b)                                                        \
                         : "cc", "memory");                                                                  \
        *flags = f;                                                                                          \
        return cell;                                                                                         \
    }
#define DEFINE2_ALL(op) DEFINE2(op, b, "b") DEFINE2(op, w, "w") DEFINE2(op, l, "k") DEFINE2(op, q, "q")
DEFINE2_ALL(add)
DEFINE2_ALL(or)
DEFINE2_ALL(adc)
DEFINE2_ALL(sbb)
DEFINE2_ALL(and)
DEFINE2_ALL(sub)
DEFINE2_ALL(xor)
DEFINE2_ALL(cmp)
DEFINE2_ALL(test)
#define ROW2(op)                                                                                             \
    {                                                                                                        \
        {op##_b, op##_w, op##_l, op##_q},                                                                    \
        {                                                                                                    \
            op##_b_mem, op##_w_mem, op##_l_mem, op##_q_mem                                                   \
        }                                                                                                    \
    }
static insn2 *const insns2[OPS2][2][4] = {ROW2(add), ROW2(or),  ROW2(adc), ROW2(sbb), ROW2(and),
                                          ROW2(sub), ROW2(xor), ROW2(cmp), ROW2(test)};

static void check2(enum op2 op, bool memory, unsigned w, uint64_t a, uint64_t b, bool carry)
{
    unsigned width = 8u << w;
    uint64_t want_flags, flags = carry ? 2 | FLAG_CF : 2 | (FLAGS_STATUS & ~FLAG_CF);
    uint64_t compared =
        op == OR || op == AND || op == XOR || op == TEST ? FLAGS_STATUS & ~FLAG_AF : FLAGS_STATUS;
    uint64_t want = model2(op, a, b, width, carry, &want_flags);
    if (memory) /* a store leaves what lies above it */
        want = (a & ~mask(width)) | (want & mask(width));
    uint64_t got = insns2[op][memory][w](a, b, &flags);
    if (got != want || ((flags ^ want_flags) & compared))
        test_fail("%u bits, %s: 0x%lx, 0x%lx, CF %u give 0x%lx, flags 0x%lx; not 0x%lx, 0x%lx", width,
                  memory ? "memory" : "register", a, b, carry, got, flags & compared, want,
                  want_flags & compared);
}

static void two_operands(void)
{
    for (enum op2 op = 0; op < OPS2; op++) {
        test_begin(op2_names[op]);
        for (unsigned w = 0; w < 4; w++)
            for (unsigned i = 0; i < EDGES; i++)
                for (unsigned j = 0; j < EDGES; j++)
                    for (unsigned k = 0; k < 4; k++)
                        check2(op, k >> 1, w, edges[i], edges[j], k & 1);
        test_end();
    }
}

/* ---- one operand ---- */

enum op1 { INC, DEC, NEG, NOT, OPS1 };
static const char *const op1_names[OPS1] = {"INC", "DEC", "NEG", "NOT"};

#define DEFINE1(op, s, m)                                                                                    \
    static uint64_t op##_##s(uint64_t a, uint64_t b, uint64_t *flags)                                        \
    {                                                                                                        \
        uint64_t f = *flags;                                                                                 \
        (void)b;                                                                                             \
        __asm__ volatile("pushq %[f]; popfq; " #op #s " %" m "[a]; pushfq; popq %[f]"                        \
                         : [a] "+&r"(a), [f] "+&r"(f)                                                        \
                         :                                                                                   \
                         : "cc");                                                                            \
        *flags = f;                                                                                          \
        return a;                                                                                            \
    }
#define DEFINE1_ALL(op) DEFINE1(op, b, "b") DEFINE1(op, w, "w") DEFINE1(op, l, "k") DEFINE1(op, q, "q")
DEFINE1_ALL(inc)
DEFINE1_ALL(dec)
DEFINE1_ALL(neg)
DEFINE1_ALL(not )
#define ROW1(op)                                                                                             \
    {                                                                                                        \
        op##_b, op##_w, op##_l, op##_q                                                                       \
    }
static insn2 *const insns1[OPS1][4] = {ROW1(inc), ROW1(dec), ROW1(neg), ROW1(not )};

static void check1(enum op1 op, unsigned w, uint64_t a, uint64_t before)
{
    unsigned width = 8u << w;
    uint64_t flags = before | 2, want_flags = before, want;
    switch (op) {
    case INC:
        want = model_add(a, 1, 0, width, &want_flags);
        break;
    case DEC:
        want = model_sub(a, 1, 0, width, &want_flags);
        break;
    case NEG:
        want = model_sub(0, a, 0, width, &want_flags);
        break;
    default:
        want = ~a;
    }
    if (op == INC || op == DEC)
        want_flags = (want_flags & ~(uint64_t)FLAG_CF) | (before & FLAG_CF);
    want = merge(a, want, width);
    uint64_t got = insns1[op][w](a, 0, &flags);
    if (got != want || ((flags ^ want_flags) & FLAGS_STATUS))
        test_fail("%u bits: 0x%lx gives 0x%lx, flags 0x%lx; not 0x%lx, 0x%lx", width, a, got,
                  flags & FLAGS_STATUS, want, want_flags);
}

static void one_operand(void)
{
    for (enum op1 op = 0; op < OPS1; op++) {
        test_begin(op1_names[op]);
        for (unsigned w = 0; w < 4; w++)
            for (unsigned i = 0; i < EDGES; i++) {
                check1(op, w, edges[i], 0);
                check1(op, w, edges[i], FLAGS_STATUS);
            }
        test_end();
    }
}

/* ---- shifts and rotates ---- */

enum shift { ROL, ROR, RCL, RCR, SHL, SHR, SAR, SHIFTS };
static const char *const shift_names[SHIFTS] = {"ROL", "ROR", "RCL", "RCR", "SHL", "SHR", "SAR"};

#define DEFINE_SHIFT(op, s, m)                                                                               \
    static uint64_t op##_##s(uint64_t a, uint64_t count, uint64_t *flags)                                    \
    {                                                                                                        \
        uint64_t f = *flags;                                                                                 \
        __asm__ volatile("pushq %[f]; popfq; " #op #s " %%cl, %" m "[a]; pushfq; popq %[f]"                  \
                         : [a] "+&r"(a), [f] "+&r"(f)                                                        \
                         : "c"(count)                                                                        \
                         : "cc");                                                                            \
        *flags = f;                                                                                          \
        return a;                                                                                            \
    }
#define DEFINE_SHIFT_ALL(op)                                                                                 \
    DEFINE_SHIFT(op, b, "b") DEFINE_SHIFT(op, w, "w") DEFINE_SHIFT(op, l, "k") DEFINE_SHIFT(op, q, "q")
DEFINE_SHIFT_ALL(rol)
DEFINE_SHIFT_ALL(ror)
DEFINE_SHIFT_ALL(rcl)
DEFINE_SHIFT_ALL(rcr)
DEFINE_SHIFT_ALL(shl)
DEFINE_SHIFT_ALL(shr)
DEFINE_SHIFT_ALL(sar)
static insn2 *const shifts[SHIFTS][4] = {ROW1(rol), ROW1(ror), ROW1(rcl), ROW1(rcr),
                                         ROW1(shl), ROW1(shr), ROW1(sar)};

/* One step at a time, as the manual's pseudo-code does. */
static uint64_t model_shift(enum shift op, uint64_t a, unsigned count, unsigned width, uint64_t *flags)
{
    uint64_t before = *flags, v = a & mask(width);
    bool carry = before & FLAG_CF, first = top(v, width);
    count &= width == 64 ? 63 : 31;
    if (!count)
        return a;
    for (unsigned i = 0; i < count; i++) {
        bool high = top(v, width), low = v & 1;
        switch (op) {
        case ROL:
            v = v << 1 | high;
            carry = high;
            break;
        case ROR:
            v = v >> 1 | (uint64_t)low << (width - 1);
            carry = low;
            break;
        case RCL:
            v = v << 1 | carry;
            carry = high;
            break;
        case RCR:
            v = v >> 1 | (uint64_t)carry << (width - 1);
            carry = low;
            break;
        case SHL:
            v = v << 1;
            carry = high;
            break;
        default:
            v = v >> 1 | (uint64_t)(op == SAR && high) << (width - 1);
            carry = low;
        }
        v &= mask(width);
    }
    bool overflow = op == ROL || op == RCL || op == SHL ? top(v, width) != carry
                    : op == SHR                         ? first
                    : op == SAR                         ? false
                                                        : top(v, width) != (v >> (width - 2) & 1);
    *flags = (carry ? FLAG_CF : 0) | (overflow ? FLAG_OF : 0);
    *flags |= op >= SHL ? flags_szp(v, width) : before & (FLAG_SF | FLAG_ZF | FLAG_PF | FLAG_AF);
    return v;
}

static void check_shift(enum shift op, unsigned w, uint64_t a, unsigned count, uint64_t before)
{
    unsigned width = 8u << w, masked = count & (width == 64 ? 63 : 31);
    uint64_t flags = before | 2, want_flags = before, compared = FLAGS_STATUS;
    uint64_t want = merge(a, model_shift(op, a, count, width, &want_flags), width);
    uint64_t got = shifts[op][w](a, count, &flags);
    if (masked > 1)
        compared &= ~(uint64_t)FLAG_OF;
    if (masked && op >= SHL)
        compared &= ~(uint64_t)FLAG_AF;
    if (masked > width && (op == SHL || op == SHR)) /* CF is undefined then */
        compared &= ~(uint64_t)FLAG_CF;
    if (masked == width && width < 32 && (op == SHL || op == SHR))
        compared &= ~(uint64_t)FLAG_CF;
    if (got != want || ((flags ^ want_flags) & compared))
        test_fail("%u bits: 0x%lx by %u, flags 0x%lx gives 0x%lx, flags 0x%lx; not 0x%lx, 0x%lx", width, a,
                  count, before, got, flags & compared, want, want_flags & compared);
}

static void shift_group(void)
{
    for (enum shift op = 0; op < SHIFTS; op++) {
        test_begin(shift_names[op]);
        for (unsigned w = 0; w < 4; w++)
            for (unsigned i = 0; i < EDGES; i++)
                for (unsigned count = 0; count < 72; count++) {
                    check_shift(op, w, edges[i], count, 0);
                    check_shift(op, w, edges[i], count, FLAGS_STATUS);
                }
        test_end();
    }
}

#define DEFINE_DOUBLE(op, s, m)                                                                              \
    static uint64_t op##_##s(uint64_t a, uint64_t b, unsigned count, uint64_t *flags)                        \
    {                                                                                                        \
        uint64_t f = *flags;                                                                                 \
        __asm__ volatile("pushq %[f]; popfq; " #op #s " %%cl, %" m "[b], %" m "[a]; pushfq; popq %[f]"       \
                         : [a] "+&r"(a), [f] "+&r"(f)                                                        \
                         : "c"(count), [b] "r"(b)                                                            \
                         : "cc");                                                                            \
        *flags = f;                                                                                          \
        return a;                                                                                            \
    }
DEFINE_DOUBLE(shld, w, "w")
DEFINE_DOUBLE(shld, l, "k")
DEFINE_DOUBLE(shld, q, "q")
DEFINE_DOUBLE(shrd, w, "w")
DEFINE_DOUBLE(shrd, l, "k")
DEFINE_DOUBLE(shrd, q, "q")

static void double_shifts(void)
{
    static uint64_t (*const insns[2][3])(uint64_t, uint64_t, unsigned,
                                         uint64_t *) = {{shld_w, shld_l, shld_q}, {shrd_w, shrd_l, shrd_q}};
    for (unsigned right = 0; right < 2; right++) {
        test_begin(right ? "SHRD" : "SHLD");
        for (unsigned w = 0; w < 3; w++)
            for (unsigned i = 0; i < EDGES * EDGES; i++)
                for (unsigned count = 0; count < 66; count++) {
                    unsigned width = 16u << w, n = count & (width == 64 ? 63 : 31);
                    uint64_t a = edges[i % EDGES], b = edges[i / EDGES], v = a & mask(width);
                    uint64_t flags = 2 | FLAG_CF, want_flags = FLAG_CF, compared = FLAGS_STATUS & ~FLAG_AF;
                    bool carry = true;
                    if (n > width) /* undefined in 16 bits */
                        continue;
                    for (unsigned k = 0; k < n; k++) {
                        carry = right ? v & 1 : top(v, width);
                        v = right ? v >> 1 | (b >> k & 1) << (width - 1)
                                  : v << 1 | (b >> (width - 1 - k) & 1);
                        v &= mask(width);
                    }
                    if (n)
                        want_flags = flags_szp(v, width) | (carry ? FLAG_CF : 0) |
                                     (top(v, width) != top(a, width) ? FLAG_OF : 0);
                    else
                        v = a;
                    if (n > 1)
                        compared &= ~(uint64_t)FLAG_OF;
                    uint64_t got = insns[right][w](a, b, count, &flags), want = merge(a, v, width);
                    if (got != want || ((flags ^ want_flags) & compared))
                        test_fail("%u bits: 0x%lx, 0x%lx by %u gives 0x%lx, flags 0x%lx; not 0x%lx, 0x%lx",
                                  width, a, b, count, got, flags & compared, want, want_flags & compared);
                }
        test_end();
    }
}

/* ---- multiplication and division ---- */

struct wide {
    uint64_t low, high;
};

static struct wide model_mul(uint64_t a, uint64_t b)
{
    struct wide r = {0, 0};
    for (unsigned i = 64; i-- > 0;) {
        r.high = r.high << 1 | r.low >> 63;
        r.low <<= 1;
        if (b >> i & 1) {
            r.low += a;
            r.high += r.low < a;
        }
    }
    return r;
}

static struct wide model_imul(uint64_t a, uint64_t b)
{
    struct wide r = model_mul(a, b);
    r.high -= (a >> 63 ? b : 0) + (b >> 63 ? a : 0);
    return r;
}

#define DEFINE_MUL(op, s, m)                                                                                 \
    static struct wide op##_##s(uint64_t a, uint64_t b, uint64_t *flags)                                     \
    {                                                                                                        \
        struct wide r = {a, 0x1111111111111111};                                                             \
        __asm__ volatile(#op #s " %" m "[b]; pushfq; popq %[f]"                                              \
                         : "+&a"(r.low), "+&d"(r.high), [f] "=&r"(*flags)                                    \
                         : [b] "r"(b)                                                                        \
                         : "cc");                                                                            \
        return r;                                                                                            \
    }
DEFINE_MUL(mul, b, "b")
DEFINE_MUL(mul, w, "w")
DEFINE_MUL(mul, l, "k")
DEFINE_MUL(mul, q, "q")
DEFINE_MUL(imul, b, "b")
DEFINE_MUL(imul, w, "w")
DEFINE_MUL(imul, l, "k")
DEFINE_MUL(imul, q, "q")

static void check_mul(bool is_signed, unsigned w, uint64_t a, uint64_t b)
{
    static struct wide (*const insns[2][4])(uint64_t, uint64_t, uint64_t *) = {
        {mul_b, mul_w, mul_l, mul_q}, {imul_b, imul_w, imul_l, imul_q}};
    unsigned width = 8u << w;
    uint64_t flags, d = 0x1111111111111111;
    struct wide p = is_signed ? model_imul(sign_extend(a, width), sign_extend(b, width))
                              : model_mul(a & mask(width), b & mask(width));
    uint64_t high = width == 64 ? p.high : p.low >> width;
    bool over = is_signed ? sign_extend(p.low, width) != p.low || p.high != (p.low >> 63 ? ~0ull : 0)
                          : (high & mask(width)) != 0;
    uint64_t want_a = width == 8 ? merge(a, p.low, 16) : merge(a, p.low, width);
    uint64_t want_d = width == 8 ? d : merge(d, high, width);
    struct wide got = insns[is_signed][w](a, b, &flags);
    if (got.low != want_a || got.high != want_d ||
        (flags & (FLAG_CF | FLAG_OF)) != (over ? FLAG_CF | FLAG_OF : 0))
        test_fail("%u bits: 0x%lx * 0x%lx gives RDX:RAX 0x%lx:0x%lx, flags 0x%lx; not 0x%lx:0x%lx", width, a,
                  b, got.high, got.low, flags, want_d, want_a);
}

/* IMUL with two and three operands: the low half, and whether it is all. */
static void check_imul2(uint64_t a, uint64_t b)
{
    uint64_t flags, r = a;
    struct wide p = model_imul(a, b);
    __asm__ volatile("imulq %2, %0; pushfq; popq %1" : "+&r"(r), "=&r"(flags) : "r"(b) : "cc");
    bool over = p.high != (p.low >> 63 ? ~0ull : 0);
    if (r != p.low || !!(flags & FLAG_OF) != over || !!(flags & FLAG_CF) != over)
        test_fail("64 bits: 0x%lx * 0x%lx gives 0x%lx, flags 0x%lx", a, b, r, flags);
    p = model_imul(sign_extend(a, 16), (uint64_t)-77);
    r = b;
    __asm__ volatile("imulw $-77, %w2, %w0; pushfq; popq %1" : "+&r"(r), "=&r"(flags) : "r"(a) : "cc");
    over = sign_extend(p.low, 16) != p.low;
    if (r != merge(b, p.low, 16) || !!(flags & FLAG_OF) != over)
        test_fail("16 bits: 0x%lx * -77 gives 0x%lx, flags 0x%lx", a & 0xFFFF, r, flags);
}

#define DEFINE_DIV(op, s, m)                                                                                 \
    static struct wide op##_##s(struct wide r, uint64_t b)                                                   \
    {                                                                                                        \
        __asm__ volatile(#op #s " %" m "[b]" : "+a"(r.low), "+d"(r.high) : [b] "r"(b) : "cc");               \
        return r;                                                                                            \
    }
DEFINE_DIV(div, b, "b")
DEFINE_DIV(div, w, "w")
DEFINE_DIV(div, l, "k")
DEFINE_DIV(div, q, "q")
DEFINE_DIV(idiv, b, "b")
DEFINE_DIV(idiv, w, "w")
DEFINE_DIV(idiv, l, "k")
DEFINE_DIV(idiv, q, "q")

/* Builds the dividend from a chosen quotient and remainder, so that nothing here divides. */
static void check_div(bool is_signed, unsigned w, uint64_t q, uint64_t b, uint64_t rest)
{
    static struct wide (*const insns[2][4])(struct wide, uint64_t) = {{div_b, div_w, div_l, div_q},
                                                                      {idiv_b, idiv_w, idiv_l, idiv_q}};
    unsigned width = 8u << w;
    uint64_t m = mask(width);
    q = is_signed ? sign_extend(q, width) : q & m;
    b = is_signed ? sign_extend(b, width) : b & m;
    if (b == 0)
        return;
    uint64_t size = is_signed && b >> 63 ? 0 - b : b;
    rest &= m;
    if (rest >= size)
        rest = size - 1;
    /* The remainder has the dividend's sign. */
    struct wide p = is_signed ? model_imul(q, b) : model_mul(q, b);
    bool negative = is_signed && (p.high >> 63 || (!p.low && !p.high && rest & 1));
    uint64_t r = negative ? 0 - rest : rest;
    struct wide n = {p.low + r, p.high + (p.low + r < r) - (negative && rest ? 1 : 0)};
    /* As the instruction wants the dividend: in RDX:RAX, EDX:EAX, DX:AX or AX. */
    struct wide in = {n.low, width == 64 ? n.high : n.low >> width};
    struct wide got = insns[is_signed][w](in, b);
    uint64_t quotient = got.low & m, remainder = width == 8 ? got.low >> 8 & m : got.high & m;
    if (quotient != (q & m) || remainder != (r & m))
        test_fail("%u bits: 0x%lx:0x%lx / 0x%lx gives 0x%lx rest 0x%lx; not 0x%lx rest 0x%lx", width, in.high,
                  in.low, b, quotient, remainder, q & m, r & m);
}

static void multiply_divide(void)
{
    for (unsigned is_signed = 0; is_signed < 2; is_signed++) {
        test_begin(is_signed ? "IMUL, one operand" : "MUL");
        for (unsigned i = 0; i < 4 * EDGES * EDGES; i++)
            check_mul(is_signed, i & 3, edges[i / 4 % EDGES], edges[i / 4 / EDGES]);
        test_end();
        test_begin(is_signed ? "IDIV" : "DIV");
        for (unsigned i = 0; i < 4 * EDGES * EDGES * EDGES; i++)
            check_div(is_signed, i & 3, edges[i / 4 % EDGES], edges[i / 4 / EDGES % EDGES],
                      edges[i / 4 / EDGES / EDGES]);
        test_end();
    }
    test_begin("IMUL, two and three operands");
    for (unsigned i = 0; i < EDGES * EDGES; i++)
        check_imul2(edges[i % EDGES], edges[i / EDGES]);
    test_end();
}

void guest_main(void)
{
    two_operands();
    one_operand();
    shift_group();
    double_shifts();
    multiply_divide();
}
