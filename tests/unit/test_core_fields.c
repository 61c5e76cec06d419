/* State tables: what is saved comes back, and what doesn't fit is refused with its name. */
#include "core/fields.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

struct inner {
    uint16_t reload;
    bool gate;
    uint8_t derived; /* not in the table */
};

struct outer {
    uint8_t mode;
    uint32_t base;
    uint64_t when;
    uint8_t bytes[5];
    uint16_t words[3];
    bool flags[2];
    struct inner channel[2];
    struct inner one;
    struct {
        uint64_t low, high;
    } wide;
};

static const struct field inner_fields[] = {FIELD(struct inner, reload), FIELD(struct inner, gate),
                                            FIELD_END};
static const struct field outer_fields[] = {FIELD(struct outer, mode),
                                            FIELD(struct outer, base),
                                            FIELD(struct outer, when),
                                            FIELD_ARRAY(struct outer, bytes),
                                            FIELD_ARRAY(struct outer, words),
                                            FIELD_ARRAY(struct outer, flags),
                                            FIELD_STRUCTS(struct outer, channel, inner_fields),
                                            FIELD_STRUCT(struct outer, one, inner_fields),
                                            FIELD(struct outer, wide),
                                            FIELD_END};

static struct outer sample(void)
{
    struct outer o;

    memset(&o, 0, sizeof(o));
    o.mode = 0x81;
    o.base = 0xfee00900;
    o.when = 0x1122334455667788;
    memcpy(o.bytes, "\1\2\3\4\5", 5);
    o.words[0] = 0xbeef;
    o.words[2] = 0x1234;
    o.flags[1] = true;
    o.channel[0].reload = 0xffff;
    o.channel[1].reload = 0x4a9;
    o.channel[1].gate = true;
    o.one.reload = 7;
    o.wide.low = 1;
    o.wide.high = UINT64_C(0x8000000000000000);
    return o;
}

START_TEST(round_trip)
{
    struct outer a = sample(), b;
    struct state_buf buf = {0};
    char why[80] = "", where[80] = "";

    memset(&b, 0, sizeof(b));
    b.channel[0].derived = 42;
    ck_assert(fields_save(outer_fields, &a, &buf));
    ck_assert_uint_eq(fields_load(outer_fields, &b, buf.data, buf.size, why, sizeof(why)), buf.size);
    ck_assert_str_eq(why, "");
    ck_assert(fields_equal(outer_fields, &a, &b, where, sizeof(where)));
    ck_assert_uint_eq(b.when, a.when);
    ck_assert_uint_eq(b.channel[1].reload, 0x4a9);
    ck_assert_uint_eq(b.channel[0].derived, 42);
    free(buf.data);
}
END_TEST

START_TEST(two_objects_in_a_row)
{
    struct inner a = {.reload = 1}, b = {.reload = 2}, c = {0};
    struct state_buf buf = {0};
    char why[80];

    ck_assert(fields_save(inner_fields, &a, &buf));
    ck_assert(fields_save(inner_fields, &b, &buf));
    size_t used = fields_load(inner_fields, &c, buf.data, buf.size, why, sizeof(why));
    ck_assert_uint_gt(used, 0);
    ck_assert_uint_eq(c.reload, 1);
    ck_assert_uint_eq(fields_load(inner_fields, &c, buf.data + used, buf.size - used, why, sizeof(why)),
                      buf.size - used);
    ck_assert_uint_eq(c.reload, 2);
    free(buf.data);
}
END_TEST

START_TEST(integers_are_little_endian)
{
    struct inner a = {.reload = 0x1234};
    struct state_buf buf = {0};

    ck_assert(fields_save(inner_fields, &a, &buf));
    ck_assert_mem_eq(buf.data, "reload\0\1\0\0\0\2\0\0\0\x34\x12", 17);
    free(buf.data);
}
END_TEST

START_TEST(every_truncation_is_refused)
{
    struct outer a = sample(), b;
    struct state_buf buf = {0};

    ck_assert(fields_save(outer_fields, &a, &buf));
    for (size_t size = 0; size < buf.size; size++) {
        char why[80] = "";
        /* A copy of the exact size, so that a sanitizer sees a read past it. */
        uint8_t *cut = malloc(size + !size);
        memcpy(cut, buf.data, size);
        ck_assert_uint_eq(fields_load(outer_fields, &b, cut, size, why, sizeof(why)), 0);
        ck_assert_str_ne(why, "");
        free(cut);
    }
    free(buf.data);
}
END_TEST

/* Saves with one table and loads with another: the reason must name the field. */
static void expect_refusal(const struct field *from, const struct field *to, const char *reason)
{
    struct outer a = sample(), b;
    struct state_buf buf = {0};
    char why[80] = "";

    memset(&b, 0, sizeof(b));
    ck_assert(fields_save(from, &a, &buf));
    ck_assert_uint_eq(fields_load(to, &b, buf.data, buf.size, why, sizeof(why)), 0);
    ck_assert_msg(strstr(why, reason) != NULL, "'%s' doesn't say '%s'", why, reason);
    free(buf.data);
}

START_TEST(mismatches_are_named)
{
    static const struct field two[] = {FIELD(struct outer, mode), FIELD(struct outer, base), FIELD_END};
    static const struct field only[] = {FIELD(struct outer, mode), FIELD_END};
    static const struct field last[] = {FIELD(struct outer, base), FIELD_END};
    static const struct field array[] = {FIELD_ARRAY(struct outer, words), FIELD_END};
    static const struct field shorter[] = {{"words", offsetof(struct outer, words), 2, 2, NULL, false},
                                           FIELD_END};
    static const struct field wider[] = {{"words", offsetof(struct outer, base), 4, 3, NULL, false},
                                         FIELD_END};

    expect_refusal(two, only, "unknown field 'base'");
    expect_refusal(only, two, "field 'base' is missing");
    expect_refusal(last, two, "field 'mode' is missing");
    expect_refusal(array, shorter, "'words' has 3 elements, not 2");
    expect_refusal(array, wider, "'words' has elements of 2 bytes, not 4");
}
END_TEST

START_TEST(truth_values_are_checked)
{
    struct inner a = {.gate = true}, b = {0};
    struct state_buf buf = {0};
    char why[80] = "";

    ck_assert(fields_save(inner_fields, &a, &buf));
    buf.data[buf.size - 2] = 2;
    ck_assert_uint_eq(fields_load(inner_fields, &b, buf.data, buf.size, why, sizeof(why)), 0);
    ck_assert(strstr(why, "'gate'") != NULL);
    free(buf.data);
}
END_TEST

START_TEST(first_difference_is_named)
{
    struct outer a = sample(), b = sample();
    char where[80] = "";

    b.one.derived = 1;
    ck_assert(fields_equal(outer_fields, &a, &b, where, sizeof(where)));
    b.channel[1].reload ^= 0x100;
    ck_assert(!fields_equal(outer_fields, &a, &b, where, sizeof(where)));
    ck_assert_str_eq(where, "channel[1].reload");
    b.words[2]++;
    ck_assert(!fields_equal(outer_fields, &a, &b, where, sizeof(where)));
    ck_assert_str_eq(where, "words[2]");
    ck_assert(!fields_equal(outer_fields, &a, &b, where, 4));
    ck_assert_str_eq(where, "wor");
}
END_TEST

START_TEST(prints_names_and_hex)
{
    struct outer a = sample();
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    fields_print(outer_fields, &a, out, "  ");
    fclose(out);
    ck_assert(strstr(text, "  base = 0xfee00900\n") != NULL);
    ck_assert(strstr(text, "  words = 0xbeef 0x0 0x1234\n") != NULL);
    ck_assert(strstr(text, "  channel[1].reload = 0x4a9\n") != NULL);
    ck_assert(strstr(text, "  one.reload = 0x7\n") != NULL);
    ck_assert(strstr(text, "  wide = 0x80000000000000000000000000000001\n") != NULL);
    free(text);
}
END_TEST

Suite *core_fields_suite(void);

Suite *core_fields_suite(void)
{
    Suite *suite = suite_create("core_fields");
    TCase *tc = tcase_create("fields");

    tcase_add_test(tc, round_trip);
    tcase_add_test(tc, two_objects_in_a_row);
    tcase_add_test(tc, integers_are_little_endian);
    tcase_add_test(tc, every_truncation_is_refused);
    tcase_add_test(tc, mismatches_are_named);
    tcase_add_test(tc, truth_values_are_checked);
    tcase_add_test(tc, first_difference_is_named);
    tcase_add_test(tc, prints_names_and_hex);
    suite_add_tcase(suite, tc);
    return suite;
}
