/*
 * test_cpu_state.c - the CPU's state table, the lazy flags and the unpacking of descriptors.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/internal.h"
#include "cpu/interp/flags.h"
#include "tests/unit/suites.h"

/* --- The table ----------------------------------------------------------------------------------- */

static void mark(const struct field *table, uint8_t *covered)
{
    for (const struct field *f = table; f->name; f++) {
        for (size_t n = 0; n < f->count; n++) {
            uint8_t *at = covered + f->offset + n * f->size;
            if (f->nested)
                mark(f->nested, at);
            else
                for (size_t b = 0; b < f->size; b++)
                    ck_assert_msg(!at[b]++, "field %s overlaps another", f->name);
        }
    }
}

/* What no field covers is padding: less than 8 bytes in a row, or up to a cache line before the vector
 * registers. */
START_TEST(every_field_is_in_the_table)
{
    static uint8_t covered[sizeof(struct cpu_state)];
    size_t run = 0;

    memset(covered, 0, sizeof(covered));
    mark(cpu_state_fields, covered);
    for (size_t at = 0; at < sizeof(covered); at++) {
        run = covered[at] ? 0 : run + 1;
        if (at < offsetof(struct cpu_state, zmm) - 64 || at >= offsetof(struct cpu_state, zmm))
            if (at < offsetof(struct cpu_state, pending_debug) + 8)
                ck_assert_msg(run < 8, "no field for the bytes before offset %zu", at + 1);
    }
}
END_TEST

START_TEST(state_survives_saving)
{
    static struct cpu_state a, b;
    struct state_buf buf = {0};
    char why[128] = "", where[128] = "";
    uint8_t *bytes = (uint8_t *)&a;

    for (size_t n = 0; n < sizeof(a); n++)
        bytes[n] = (uint8_t)(n * 7 + n / 251 + 1);
    memset(&b, 0, sizeof(b));
    ck_assert(fields_save(cpu_state_fields, &a, &buf));
    ck_assert_msg(fields_load(cpu_state_fields, &b, buf.data, buf.size, why, sizeof(why)) == buf.size, "%s",
                  why);
    ck_assert_msg(fields_equal(cpu_state_fields, &a, &b, where, sizeof(where)), "%s differs", where);
    ck_assert_uint_eq(a.seg[GS].selector, b.seg[GS].selector);
    ck_assert_int_eq(memcmp(a.zmm, b.zmm, sizeof(a.zmm)), 0);
    b.seg[SS].attr ^= 1;
    ck_assert(!fields_equal(cpu_state_fields, &a, &b, where, sizeof(where)));
    ck_assert_str_eq(where, "seg[2].attr");
    free(buf.data);
}
END_TEST

/* --- Flags --------------------------------------------------------------------------------------- */

static const uint32_t arith[6] = {FLAG_CF, FLAG_PF, FLAG_AF, FLAG_ZF, FLAG_SF, FLAG_OF};

START_TEST(any_flag_image_can_be_held)
{
    struct cpu *cpu = calloc(1, sizeof(*cpu));
    uint32_t image = 0;

    for (unsigned b = 0; b < 6; b++)
        image |= _i >> b & 1 ? arith[b] : 0;
    set_arith_flags(cpu, image);
    ck_assert_uint_eq(get_arith_flags(cpu), image);
    set_zf(cpu, !(image & FLAG_ZF));
    ck_assert_uint_eq(get_arith_flags(cpu), image ^ FLAG_ZF);
    set_cf(cpu, !(image & FLAG_CF));
    ck_assert_uint_eq(get_arith_flags(cpu), image ^ FLAG_ZF ^ FLAG_CF);
    free(cpu);
}
END_TEST

START_TEST(rflags_have_no_reserved_bits)
{
    struct cpu *cpu = calloc(1, sizeof(*cpu));
    struct tlb *tlbs = calloc(TLB_COUNT, sizeof(*tlbs));

    cpu->tlbs = tlbs;
    set_rflags(cpu, UINT64_MAX);
    ck_assert_uint_eq(get_rflags(cpu), 0x3f7fd7);
    set_rflags(cpu, 0);
    ck_assert_uint_eq(get_rflags(cpu), FLAG_1);
    free(tlbs);
    free(cpu);
}
END_TEST

/* --- Descriptors --------------------------------------------------------------------------------- */

static const struct {
    uint64_t descriptor, base;
    uint32_t limit, attr;
} descriptors[] = {
    {0x00cf9b000000ffffull, 0, 0xffffffff, 0xc09b},       /* flat 32-bit code */
    {0x00af9b000000ffffull, 0, 0xffffffff, 0xa09b},       /* 64-bit code */
    {0x120f93345678abcdull, 0x12345678, 0xfabcd, 0x0093}, /* byte granular */
    {0x8000f20000010000ull, 0x80000001, 0, 0x00f2},       /* limit 0, ring 3 */
    {0x00c0960000000000ull, 0, 0xfff, 0xc096},            /* a limit of one page, expand-down */
};

START_TEST(descriptors_unpack)
{
    struct segment s;

    unpack_descriptor(&s, 0x1b, descriptors[_i].descriptor);
    ck_assert_uint_eq(s.selector, 0x1b);
    ck_assert_uint_eq(s.base, descriptors[_i].base);
    ck_assert_uint_eq(s.limit, descriptors[_i].limit);
    ck_assert_uint_eq(s.attr, descriptors[_i].attr);
}
END_TEST

START_TEST(exceptions_have_names)
{
    ck_assert_str_eq(cpu_exception_name(EX_PF), "#PF");
    ck_assert_str_eq(cpu_exception_name(EX_XM), "#XM");
    ck_assert_ptr_nonnull(cpu_exception_name(31));
    ck_assert_ptr_nonnull(cpu_exception_name(255));
}
END_TEST

Suite *cpu_state_suite(void)
{
    Suite *suite = suite_create("cpu_state");
    TCase *table = tcase_create("table"), *flags = tcase_create("flags"), *desc = tcase_create("descriptors");

    tcase_add_test(table, every_field_is_in_the_table);
    tcase_add_test(table, state_survives_saving);
    tcase_add_loop_test(flags, any_flag_image_can_be_held, 0, 64);
    tcase_add_test(flags, rflags_have_no_reserved_bits);
    tcase_add_loop_test(desc, descriptors_unpack, 0, sizeof(descriptors) / sizeof(descriptors[0]));
    tcase_add_test(desc, exceptions_have_names);
    suite_add_tcase(suite, table);
    suite_add_tcase(suite, flags);
    suite_add_tcase(suite, desc);
    return suite;
}
