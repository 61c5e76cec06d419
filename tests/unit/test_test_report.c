/*
 * test_test_report.c - what `oxbow test` prints of its cases.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "debug/test_report.h"

#define TEXT(words)                                                                                          \
    {                                                                                                        \
        (char *)words, sizeof(words) - 1, false                                                                      \
    }

/* What a function prints, for the caller to free. */
#define PRINTED(text, call)                                                                                  \
    char *text = NULL;                                                                                       \
    size_t text##_size;                                                                                      \
    FILE *out = open_memstream(&text, &text##_size);                                                         \
    call;                                                                                                    \
    fclose(out)

START_TEST(engines_that_differ)
{
    const struct test_case cases[] = {
        {.image = "a", .engine = "interp", .verdict = TEST_PASSED, .serial = TEXT("one\ntwo\n")},
        {.image = "a",
         .engine = "jit",
         .verdict = TEST_FAILED,
         .reason = "triple fault",
         .serial = TEXT("one\nTWO\n")},
        {.image = "b", .engine = "interp", .verdict = TEST_FAILED, .reason = "time", .serial = TEXT("one\n")},
        {.image = "b", .engine = "jit", .verdict = TEST_FAILED, .reason = "time", .serial = TEXT("two\n")},
        {.image = "c", .engine = "interp", .verdict = TEST_PASSED, .serial = TEXT("one\n")},
        {.image = "c", .engine = "jit", .verdict = TEST_SKIPPED, .reason = "no host"},
        {.image = "d", .engine = "interp", .verdict = TEST_FAILED, .reason = "time", .serial = TEXT("")},
        {.image = "d", .engine = "jit", .verdict = TEST_PASSED, .serial = TEXT("more")},
    };

    PRINTED(text, test_print_differences(cases, 8, "# ", out));
    ck_assert_str_eq(text, "# a passes under interp and fails under jit: triple fault\n"
                           "#   what they print differs from line 2 on:\n"
                           "#     interp  two\n"
                           "#     jit     TWO\n"
                           "# d passes under jit and fails under interp: time\n"
                           "#   what they print differs from line 1 on:\n"
                           "#     jit     more\n"
                           "#     interp  (nothing)\n");
    free(text);
}
END_TEST

START_TEST(runs_that_differ)
{
    const struct test_case cases[] = {
        {.image = "a", .engine = "jit", .repeat = 0, .verdict = TEST_PASSED},
        {.image = "a", .engine = "jit", .repeat = 1, .verdict = TEST_PASSED},
        {.image = "a", .engine = "jit", .repeat = 2, .verdict = TEST_FAILED, .reason = "time"},
        {.image = "b", .engine = "jit", .repeat = 0, .verdict = TEST_PASSED},
        {.image = "b", .engine = "jit", .repeat = 1, .verdict = TEST_PASSED},
    };
    char name[60];

    PRINTED(text, test_print_differences(cases, 5, "", out));
    ck_assert_str_eq(text, "a passes under jit sometimes only\n");
    free(text);
    struct test_totals totals = test_count(cases, 5);
    ck_assert(totals.passed == 4 && totals.failed == 1 && !totals.skipped && !totals.waiting);
    test_name(&cases[2], true, true, name, sizeof(name));
    ck_assert_str_eq(name, "a (jit, run 3)");
    test_name(&cases[2], false, false, name, sizeof(name));
    ck_assert_str_eq(name, "a");
}
END_TEST

START_TEST(tails)
{
    const struct test_case test = {.serial = TEXT("1\n2\r\n3\033[2J\n4"), .errors = TEXT("e\n")};

    PRINTED(text, test_print_tail(&test, 3, "| ", out));
    ck_assert_str_eq(text, "| ...\n| 2\n| 3.[2J\n| 4\n| e\n");
    free(text);
}
END_TEST

START_TEST(xml)
{
    const struct test_case test = {.image = "a<b>&\"c\"",
                                   .engine = "jit",
                                   .verdict = TEST_FAILED,
                                   .reason = "it printed \"\1\"",
                                   .serial = TEXT("\xff]]>\r\n")};
    char path[] = "junit-XXXXXX", text[600] = "";
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    ck_assert(test_write_junit(path, &test, 1, 1.5));
    FILE *in = fdopen(fd, "r");
    ck_assert_uint_gt(fread(text, 1, sizeof(text) - 1, in), 0);
    fclose(in);
    remove(path);
    ck_assert_ptr_nonnull(strstr(text, "name=\"a&lt;b&gt;&amp;&quot;c&quot;\""));
    ck_assert_ptr_nonnull(strstr(text, "<failure message=\"it printed &quot;?&quot;\"/>"));
    ck_assert_ptr_nonnull(strstr(text, "<system-out>&#255;]]&gt;\n</system-out>"));
    ck_assert(!test_write_junit("no/such/folder", &test, 1, 1.5));
}
END_TEST

Suite *test_report_suite(void)
{
    Suite *suite = suite_create("test_report");
    TCase *tests = tcase_create("test_report");

    tcase_add_test(tests, engines_that_differ);
    tcase_add_test(tests, runs_that_differ);
    tcase_add_test(tests, tails);
    tcase_add_test(tests, xml);
    suite_add_tcase(suite, tests);
    return suite;
}
