/*
 * flags.h - arithmetic flags, computed only when somebody asks.
 *
 * An instruction stores its result, sign-extended to 64 bits, and a word that tells the carries:
 *
 *     lf_result   ZF = (lf_result == 0), SF = its top bit, PF = parity of its low byte
 *     lf_aux      bit 63 carry out of the operand's top bit      = CF
 *                 bit 62 carry out of the bit below it    CF ^ this = OF
 *                 bit 3  carry out of bit 3                     = AF
 *                 bit 4  inverts SF, bits 15:8 are XORed into the byte whose parity is PF: for flag images
 * (POPF, SAHF) that no result could have produced, such as ZF and SF both set
 *
 * Example: an 8-bit 0x7f + 1 stores lf_result = 0xffffffffffffff80 and carries 0x7f: out of bit 7 none, out
 * of bit 6 one, so lf_aux = 1 << 62 | 1 << 3: CF 0, OF 1, SF 1, ZF 0, AF 1.
 */
#ifndef CPU_INTERP_FLAGS_H
#define CPU_INTERP_FLAGS_H

#include "cpu/internal.h"

#define AUX_CF   (1ull << 63)
#define AUX_PO   (1ull << 62)
#define AUX_AF   (1ull << 3)
#define AUX_SF   (1ull << 4)
#define AUX_MASK (AUX_CF | AUX_PO | AUX_AF)

/* The carries out of each bit of an addition or subtraction of `bits` wide operands, as lf_aux wants them. */
static forced_inline uint64_t aux_from_carries(uint64_t carries, unsigned bits)
{
    if (bits < 64)
        carries = carries << (64 - bits) | (carries & AUX_AF);
    return carries & AUX_MASK;
}

static forced_inline void flags_add(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t result, unsigned bits)
{
    cpu->lf_result = (uint64_t)((int64_t)(result << (64 - bits)) >> (64 - bits));
    cpu->lf_aux = aux_from_carries((a & b) | ((a | b) & ~result), bits);
}

static forced_inline void flags_sub(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t result, unsigned bits)
{
    cpu->lf_result = (uint64_t)((int64_t)(result << (64 - bits)) >> (64 - bits));
    cpu->lf_aux = aux_from_carries((~a & b) | ((~a | b) & result), bits);
}

/* AND, OR, XOR, TEST and others that clear CF and OF. */
static forced_inline void flags_logic(struct cpu *cpu, uint64_t result, unsigned bits)
{
    cpu->lf_result = (uint64_t)((int64_t)(result << (64 - bits)) >> (64 - bits));
    cpu->lf_aux = 0;
}

/* ZF, SF and PF by the result; CF, OF and AF as given (0 or 1). */
static forced_inline void flags_result(struct cpu *cpu, uint64_t result, unsigned bits, unsigned cf,
                                       unsigned of, unsigned af)
{
    cpu->lf_result = (uint64_t)((int64_t)(result << (64 - bits)) >> (64 - bits));
    cpu->lf_aux = (uint64_t)cf << 63 | (uint64_t)(cf ^ of) << 62 | (uint64_t)af << 3;
}

static forced_inline bool get_cf(const struct cpu *cpu)
{
    return cpu->lf_aux >> 63;
}

static forced_inline bool get_of(const struct cpu *cpu)
{
    return (cpu->lf_aux ^ cpu->lf_aux << 1) >> 63;
}

static forced_inline bool get_zf(const struct cpu *cpu)
{
    return cpu->lf_result == 0;
}

static forced_inline bool get_sf(const struct cpu *cpu)
{
    return (cpu->lf_result ^ cpu->lf_aux << 59) >> 63;
}

static forced_inline bool get_pf(const struct cpu *cpu)
{
    return !__builtin_parity((uint8_t)(cpu->lf_result ^ cpu->lf_aux >> 8));
}

static forced_inline bool get_af(const struct cpu *cpu)
{
    return cpu->lf_aux >> 3 & 1;
}

/* CF alone; OF stays. */
static forced_inline void set_cf(struct cpu *cpu, bool cf)
{
    if (get_cf(cpu) != cf)
        cpu->lf_aux ^= AUX_CF | AUX_PO;
}

/* CF and OF; the others stay. */
static forced_inline void set_cf_of(struct cpu *cpu, unsigned cf, unsigned of)
{
    cpu->lf_aux = (cpu->lf_aux & ~(AUX_CF | AUX_PO)) | (uint64_t)cf << 63 | (uint64_t)(cf ^ of) << 62;
}

/* The six flags in their RFLAGS places. */
static inline uint32_t get_arith_flags(const struct cpu *cpu)
{
    return (get_cf(cpu) ? FLAG_CF : 0) | (get_pf(cpu) ? FLAG_PF : 0) | (get_af(cpu) ? FLAG_AF : 0) |
           (get_zf(cpu) ? FLAG_ZF : 0) | (get_sf(cpu) ? FLAG_SF : 0) | (get_of(cpu) ? FLAG_OF : 0);
}

static inline void set_arith_flags(struct cpu *cpu, uint32_t flags)
{
    bool zf = flags & FLAG_ZF, sf = flags & FLAG_SF, pf = flags & FLAG_PF, cf = flags & FLAG_CF,
         of = flags & FLAG_OF;

    /* Result 0 has ZF 1, SF 0, PF 1; result 1 has ZF 0, SF 0, PF 0. The rest by the inverting bits. */
    cpu->lf_result = zf ? 0 : 1;
    cpu->lf_aux = (uint64_t)cf << 63 | (uint64_t)(cf ^ of) << 62 | (flags & FLAG_AF ? AUX_AF : 0) |
                  (sf ? AUX_SF : 0) | (pf != zf ? 1u << 8 : 0);
}

/* One flag to a value, the others kept: for ZF of CMPXCHG8B, LAR, BSF ... */
static inline void set_zf(struct cpu *cpu, bool zf)
{
    set_arith_flags(cpu, (get_arith_flags(cpu) & ~FLAG_ZF) | (zf ? FLAG_ZF : 0));
}

/* Condition `cc` as in Jcc, SETcc and CMOVcc; constant in every caller. */
static forced_inline bool condition(const struct cpu *cpu, unsigned cc)
{
    bool c = false;

    switch (cc >> 1) {
    case 0:
        c = get_of(cpu);
        break;
    case 1:
        c = get_cf(cpu);
        break;
    case 2:
        c = get_zf(cpu);
        break;
    case 3:
        c = get_cf(cpu) || get_zf(cpu);
        break;
    case 4:
        c = get_sf(cpu);
        break;
    case 5:
        c = get_pf(cpu);
        break;
    case 6:
        c = get_sf(cpu) != get_of(cpu);
        break;
    case 7:
        c = get_zf(cpu) || get_sf(cpu) != get_of(cpu);
        break;
    }
    return c != (cc & 1);
}

#endif
