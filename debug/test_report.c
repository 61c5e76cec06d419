/*
 * test_report.c - prints what became of test cases; see test_report.h.
 */
#include <errno.h>
#include <string.h>

#include "debug/test_report.h"

#define TAIL_COLUMNS 300 /* of a line shown */

struct test_totals test_count(const struct test_case *cases, size_t count)
{
    struct test_totals totals = {0};

    for (size_t n = 0; n < count; n++) {
        totals.passed += cases[n].verdict == TEST_PASSED;
        totals.failed += cases[n].verdict == TEST_FAILED;
        totals.skipped += cases[n].verdict == TEST_SKIPPED;
        totals.waiting += cases[n].verdict == TEST_WAITING;
    }
    return totals;
}

void test_name(const struct test_case *test, bool with_engine, bool with_repeat, char *name, size_t size)
{
    char repeat[32] = "";

    if (with_repeat)
        snprintf(repeat, sizeof(repeat), "run %u", test->repeat + 1);
    if (!with_engine && !with_repeat)
        snprintf(name, size, "%s", test->image);
    else
        snprintf(name, size, "%s (%s%s%s)", test->image, with_engine ? test->engine : "",
                 with_engine && with_repeat ? ", " : "", repeat);
}

/* What a terminal might take for a command becomes a dot. */
static void print_line(const char *line, size_t length, const char *before, FILE *out)
{
    size_t shown = length > TAIL_COLUMNS ? TAIL_COLUMNS : length;

    fputs(before, out);
    for (size_t n = 0; n < shown; n++) {
        unsigned char c = (unsigned char)line[n];
        if (c != '\r' || n + 1 < length)
            fputc((c < ' ' && c != '\t') || c == 0x7f ? '.' : c, out);
    }
    fputs(shown < length ? "...\n" : "\n", out);
}

static void print_last(const struct test_text *text, unsigned lines, const char *before, FILE *out)
{
    const char *at = text->data, *end = text->data + text->size;

    if (!text->size)
        return;
    if (end[-1] == '\n')
        end--;
    const char *start = end;
    while (start > at && (start[-1] != '\n' || --lines))
        start--;
    if (start > at || text->truncated)
        fprintf(out, "%s...\n", before);
    while (start <= end) {
        const char *stop = memchr(start, '\n', (size_t)(end - start));
        if (!stop)
            stop = end;
        print_line(start, (size_t)(stop - start), before, out);
        start = stop + 1;
    }
}

void test_print_tail(const struct test_case *test, unsigned lines, const char *before, FILE *out)
{
    print_last(&test->serial, lines, before, out);
    print_last(&test->errors, 60, before, out);
}

static bool same_image(const struct test_case *a, const struct test_case *b)
{
    return !strcmp(a->image, b->image);
}

/* Line `number` of a text, from 0; false when there are not so many. */
static bool line_of(const struct test_text *text, size_t number, const char **line, size_t *length)
{
    const char *at = text->data, *end = at + text->size;

    for (; at < end; number--) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop)
            stop = end;
        if (!number) {
            *line = at;
            *length = (size_t)(stop - at);
            return true;
        }
        at = stop + 1;
    }
    *line = "";
    *length = 0;
    return false;
}

static void print_first_difference(const struct test_case *a, const struct test_case *b, const char *before,
                                   FILE *out)
{
    char label[40];

    for (size_t number = 0;; number++) {
        const char *line[2];
        size_t length[2];
        bool more[2] = {line_of(&a->serial, number, &line[0], &length[0]),
                        line_of(&b->serial, number, &line[1], &length[1])};
        if (!more[0] && !more[1])
            return;
        if (more[0] == more[1] && length[0] == length[1] && !memcmp(line[0], line[1], length[0]))
            continue;
        fprintf(out, "%s  what they print differs from line %zu on:\n", before, number + 1);
        for (int n = 0; n < 2; n++) {
            snprintf(label, sizeof(label), "%s    %-8s", before, (n ? b : a)->engine);
            print_line(more[n] ? line[n] : "(nothing)", more[n] ? length[n] : 9, label, out);
        }
        return;
    }
}

/* The cases of `first`'s image whose verdicts are compared: the first one that ended otherwise, or NULL. */
static const struct test_case *other_verdict(const struct test_case *first, const struct test_case *end,
                                             bool other_engine)
{
    for (const struct test_case *test = first + 1; test < end && same_image(first, test); test++) {
        bool same = !strcmp(first->engine, test->engine);
        if (same != other_engine && first->verdict != test->verdict &&
            (test->verdict == TEST_PASSED || test->verdict == TEST_FAILED))
            return test;
    }
    return NULL;
}

void test_print_differences(const struct test_case *cases, size_t count, const char *before, FILE *out)
{
    const struct test_case *end = cases + count;

    for (const struct test_case *test = cases; test < end; test++) {
        if (test->verdict != TEST_PASSED && test->verdict != TEST_FAILED)
            continue;
        const struct test_case *other = test->repeat ? NULL : other_verdict(test, end, true);
        if (other && (test == cases || !same_image(test - 1, test))) {
            const struct test_case *good = test->verdict == TEST_PASSED ? test : other,
                                   *bad = good == test ? other : test;
            fprintf(out, "%s%s passes under %s and fails under %s: %s\n", before, test->image, good->engine,
                    bad->engine, bad->reason);
            print_first_difference(good, bad, before, out);
        }
        other = test->repeat ? NULL : other_verdict(test, end, false);
        if (other)
            fprintf(out, "%s%s passes under %s sometimes only\n", before, test->image, test->engine);
    }
}

/* XML has no way to write most control characters, nor bytes that are no UTF-8. */
static void print_xml(const char *text, size_t size, FILE *out)
{
    for (size_t n = 0; n < size; n++) {
        unsigned char c = (unsigned char)text[n];
        switch (c) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            if (c >= 0x80)
                fprintf(out, "&#%u;", c); /* as Latin-1 */
            else if (c >= ' ' || c == '\n' || c == '\t')
                fputc(c, out);
            else if (c != '\r')
                fputc('?', out);
        }
    }
}

static void print_element(const char *name, const struct test_text *text, FILE *out)
{
    if (!text->size)
        return;
    fprintf(out, "    <%s>", name);
    print_xml(text->data, text->size, out);
    fprintf(out, "</%s>\n", name);
}

static void print_case(const struct test_case *test, FILE *out)
{
    fprintf(out, "  <testcase classname=\"%s\" name=\"", test->engine);
    print_xml(test->image, strlen(test->image), out);
    if (test->repeat)
        fprintf(out, " (run %u)", test->repeat + 1);
    fprintf(out, "\" time=\"%.3f\">\n", test->seconds);
    if (test->verdict != TEST_PASSED) {
        fprintf(out, "    <%s message=\"", test->verdict == TEST_FAILED ? "failure" : "skipped");
        if (test->verdict == TEST_WAITING)
            fputs("interrupted before it was done", out);
        print_xml(test->reason, strlen(test->reason), out);
        fputs("\"/>\n", out);
    }
    print_element("system-out", &test->serial, out);
    print_element("system-err", &test->errors, out);
    fputs("  </testcase>\n", out);
}

static bool write_log(const char *folder, const struct test_case *test, const char *kind, const struct test_text *text)
{
    const char *slash = strrchr(test->image, '/'), *image = slash ? slash + 1 : test->image;
    char path[4096], repeat[24] = "";
    FILE *out;

    if (test->repeat)
        snprintf(repeat, sizeof(repeat), ".%u", test->repeat + 1);
    snprintf(path, sizeof(path), "%s/%s.%s%s.%s", folder, image, test->engine, repeat, kind);
    out = fopen(path, "w");
    if (!out)
        return false;
    if (text->size)
        fwrite(text->data, 1, text->size, out);
    bool good = !ferror(out);
    return !fclose(out) && good;
}

bool test_write_logs(const char *folder, const struct test_case *cases, size_t count)
{
    for (size_t n = 0; n < count; n++)
        if (!write_log(folder, &cases[n], "serial", &cases[n].serial) ||
            !write_log(folder, &cases[n], "errors", &cases[n].errors))
            return false;
    return true;
}

bool test_write_junit(const char *path, const struct test_case *cases, size_t count, double seconds)
{
    struct test_totals totals = test_count(cases, count);
    FILE *out = fopen(path, "w");

    if (!out)
        return false;
    fprintf(out,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"oxbow\" tests=\"%zu\" "
            "failures=\"%zu\" "
            "errors=\"0\" skipped=\"%zu\" time=\"%.3f\">\n",
            count, totals.failed, totals.skipped + totals.waiting, seconds);
    for (size_t n = 0; n < count; n++)
        print_case(&cases[n], out);
    fputs("</testsuite>\n", out);
    bool good = !ferror(out);
    return !fclose(out) && good;
}
