/*
 * avx_mask.c - VMASKMOVPS and its kin, and gathers: memory operands of which a mask picks the elements.
 *
 * Elements that are not picked are not accessed and raise nothing. Alignment is never checked, as on AMD's
 * processors.
 */
#include <string.h>

#include "cpu/interp/avx.h"

/* Linear address of one element; `offset` is truncated to the address size as far as the manual says so. */
static uint64_t element_linear(struct cpu *cpu, const struct insn *i, uint64_t offset, unsigned size,
                               enum access access)
{
    uint64_t linear = seg_linear(cpu, i, i->seg, offset, 1, access);

    seg_linear(cpu, i, i->seg, offset + size - 1, 1, access);
    return linear;
}

static uint64_t element_get(const union elements *v, unsigned n, unsigned size)
{
    return size == 8 ? v->u64[n] : v->u32[n];
}

static void element_set(union elements *v, unsigned n, unsigned size, uint64_t value)
{
    if (size == 8)
        v->u64[n] = value;
    else
        v->u32[n] = (uint32_t)value;
}

static uint64_t element_load(struct cpu *cpu, const struct insn *i, uint64_t offset, unsigned size)
{
    uint64_t linear = element_linear(cpu, i, offset, size, ACCESS_READ);

    return size == 8 ? ld64(cpu, i, i->seg, linear) : ld32(cpu, i, i->seg, linear);
}

/* Whether element n's sign bit is set. */
static bool picked(const union elements *mask, unsigned n, unsigned size)
{
    return element_get(mask, n, size) >> (8 * size - 1) & 1;
}

static unsigned vector_bytes(const struct insn *i)
{
    return i->osize == VEC_Y ? 32 : 16;
}

/* --- Masked moves -------------------------------------------------------------------------------- */

/* Elements that are not picked are zero. */
static __attribute__((noinline)) void masked_load(struct cpu *cpu, const struct insn *i, unsigned size)
{
    union elements mask = {GET_HY}, r = {.u64 = {0}};
    uint64_t offset = ea(cpu, i);

    avx_check(cpu, i);
    for (unsigned n = 0; n < vector_bytes(i) / size; n++)
        if (picked(&mask, n, size))
            element_set(&r, n, size, element_load(cpu, i, offset + n * size, size));
    set_y(cpu, i->reg, r.v.low, r.v.high);
}

/* All elements can be written before one is. */
static __attribute__((noinline)) void masked_store(struct cpu *cpu, const struct insn *i, unsigned size)
{
    union elements mask = {GET_HY}, value = {get_y(cpu, i->reg)};
    uint64_t offset = ea(cpu, i);

    avx_check(cpu, i);
    for (unsigned n = 0; n < vector_bytes(i) / size; n++)
        if (picked(&mask, n, size))
            probe_write(cpu, i, i->seg, element_linear(cpu, i, offset + n * size, size, ACCESS_WRITE), size);
    for (unsigned n = 0; n < vector_bytes(i) / size; n++) {
        if (picked(&mask, n, size)) {
            uint64_t linear = element_linear(cpu, i, offset + n * size, size, ACCESS_WRITE);

            if (size == 8)
                st64(cpu, i, i->seg, linear, value.u64[n]);
            else
                st32(cpu, i, i->seg, linear, value.u32[n]);
        }
    }
}

/* name_x_m and the others; `signs` makes a mask of the sign bits, `size` is an element's bytes. */
#define MASKED_LOAD(name, signs, size)                                                                       \
    DO(name##_x)                                                                                             \
    {                                                                                                        \
        set_x(cpu, i->reg, source &signs(GET_HX));                                                           \
    }                                                                                                        \
    DO_Y(name##_y)                                                                                           \
    {                                                                                                        \
        struct v256 mask = GET_HY;                                                                           \
                                                                                                             \
        set_y(cpu, i->reg, source.low &signs(mask.low), source.high &signs(mask.high));                      \
    }                                                                                                        \
    MASKED_GENERAL(name, masked_load, size)                                                                  \
    FAST_LOAD_BODY(name##_x, u, avx_blocked, (void)0)                                                        \
    FAST_LOAD_BODY(name##_y, y, avx_blocked, (void)0)

#define MASKED_GENERAL(name, function, size)                                                                 \
    NO_REG_FORM(name##_x)                                                                                    \
    NO_REG_FORM(name##_y)                                                                                    \
    GENERAL_BODY(name##_x_g)                                                                                 \
    {                                                                                                        \
        function(cpu, i, size);                                                                              \
        NEXT;                                                                                                \
    }                                                                                                        \
    GENERAL_BODY(name##_y_g)                                                                                 \
    {                                                                                                        \
        function(cpu, i, size);                                                                              \
        NEXT;                                                                                                \
    }

/* Another processor may write the elements that aren't picked: they are left alone, not written back. */
#define MASKED_STORE(name, size)                                                                             \
    MASKED_GENERAL(name, masked_store, size)                                                                 \
    MASKED_STORE_BODY(name##_x, 16, size)                                                                    \
    MASKED_STORE_BODY(name##_y, 32, size)

#define MASKED_STORE_BODY(name, bytes, size)                                                                 \
    BODY(name##_m)                                                                                           \
    {                                                                                                        \
        uint64_t linear = ea64(cpu, i);                                                                      \
        uint8_t *host = tlb_write_host(cpu, linear, bytes);                                                  \
        const uint8_t *mask = reg_at(cpu, h_reg(i)), *value = reg_at(cpu, i->reg);                           \
                                                                                                             \
        if (unlikely(!host || avx_blocked(cpu))) {                                                           \
            name##_g(cpu, i);                                                                                \
            return;                                                                                          \
        }                                                                                                    \
        for (unsigned n = 0; n < (bytes); n += (size))                                                       \
            if (mask[n + (size)-1] & 0x80)                                                                   \
                memcpy(host + n, value + n, size);                                                           \
        NEXT;                                                                                                \
    }

MASKED_LOAD(vmaskmovps_load, sign_dwords, 4) /* VPMASKMOVD too */
MASKED_LOAD(vmaskmovpd_load, sign_quads, 8)  /* VPMASKMOVQ too */
MASKED_STORE(vmaskmovps_store, 4)
MASKED_STORE(vmaskmovpd_store, 8)

/* --- Gathers (AVX2) ------------------------------------------------------------------------------ */

/*
 * Element by element from the lowest on: what is loaded goes into the destination and takes its element of
 * the mask away, so that after a fault the instruction goes on where it stopped (SDM 2C, VPGATHERDD). Until
 * all is done the upper bits of both registers, and the elements beyond, stay as they are.
 */
static __attribute__((noinline)) void gather(struct cpu *cpu, const struct insn *i, unsigned index_size,
                                             unsigned size)
{
    union elements *to = reg_at(cpu, i->reg), *mask = reg_at(cpu, h_reg(i));
    const union elements *index = reg_at(cpu, i->index);
    unsigned count = vector_bytes(i) / (index_size > size ? index_size : size);

    /* No two of the three registers may be the same. */
    if (to == mask || to == index || mask == index)
        ud(cpu, i);
    avx_check(cpu, i);
    for (unsigned n = 0; n < count; n++) {
        if (picked(mask, n, size)) {
            uint64_t at = index_size == 8 ? index->u64[n] : (uint64_t)(int32_t)index->u32[n];
            uint64_t offset = get64(cpu, i->base) + (at << i->scale) + (uint64_t)(int64_t)i->disp;

            element_set(to, n, size, element_load(cpu, i, offset & address_mask(i->asize), size));
        }
        element_set(mask, n, size, 0);
    }
    memset((uint8_t *)to + count * size, 0, sizeof(union zmm) - count * size);
    memset(mask, 0, sizeof(union zmm));
}

#define GATHER(name, index_size, size)                                                                       \
    BODY(name)                                                                                               \
    {                                                                                                        \
        gather(cpu, i, index_size, size);                                                                    \
        NEXT;                                                                                                \
    }

GATHER(vpgatherdd, 4, 4) /* VGATHERDPS too, and so on */
GATHER(vpgatherdq, 4, 8)
GATHER(vpgatherqd, 8, 4)
GATHER(vpgatherqq, 8, 8)
