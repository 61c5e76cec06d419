/*
 * sst80286.c - 97,500 instructions captured from an 80286, run by the interpreter.
 *
 *     sst80286                     all, as TAP: a test a file, which is an opcode
 *     sst80286 CD F6.6             some files
 *     sst80286 F6.6:12             one test, with its states
 *     sst80286 --data FOLDER ...   else the tests lie in ../shared/data/sst-80286, seen from $srcdir
 *
 * Each difference is a line that begins with the argument that brings it back.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sst/sst.h"
#include "tests/system/tap.h"

#define SHOWN 20 /* differences of a file */

struct count {
    unsigned run, passed, undefined, failed, revoked, excused[SST_MAX_REASONS];
};

struct report {
    struct sst_machine *machine;
    char folder[1024];
    char *revoked; /* the list's text */
    struct tap tap;
    struct count total;
};

/* The list of tests that were found to be wrong, by their hash. */
static char *read_revoked(const char *folder)
{
    char path[1100], *text = calloc(1, 1u << 20);
    FILE *f;

    snprintf(path, sizeof(path), "%s/revocation_list.txt", folder);
    f = fopen(path, "r");
    if (f) {
        text[fread(text, 1, (1u << 20) - 1, f)] = '\0';
        fclose(f);
    }
    return text;
}

/* Why our end of a test that differs is right, as a processor of today has it; -1 when it isn't. */
static int judge(struct report *report, const struct sst_test *t, const struct sst_result *r)
{
    struct sst_modern modern;
    struct sst_result again;
    int reason = sst_reason(t, r, &modern);

    if (reason < 0)
        return -1;
    sst_run(report->machine, &modern.test, &again);
    return again.differs ? -1 : reason;
}

static void run_test(struct report *report, const char *name, const struct sst_test *t, struct count *count)
{
    struct sst_result r;
    int reason;

    if (t->hash[0] && strstr(report->revoked, t->hash)) {
        count->revoked++;
        return;
    }
    sst_run(report->machine, t, &r);
    count->run++;
    if (!r.differs) {
        count->passed++;
        count->undefined += r.undefined_differ;
    } else if ((reason = judge(report, t, &r)) >= 0) {
        count->excused[reason]++;
    } else if (count->failed++ < SHOWN) {
        printf("# %s:%u (%s): %s\n", name, t->index, t->name, r.text);
    }
}

static unsigned excused(const struct count *count)
{
    unsigned sum = 0;

    for (unsigned n = 0; n < sst_reason_count; n++)
        sum += count->excused[n];
    return sum;
}

static void run_file(struct report *report, const char *name)
{
    struct count count = {0}, *total = &report->total;
    struct sst_file file;
    struct sst_test t;
    char path[1100], why[100];
    int more;

    snprintf(path, sizeof(path), "%s/%s.MOO.gz", report->folder, name);
    if (!sst_open(&file, path, why, sizeof(why))) {
        tap_ok(&report->tap, false, "%s: %s", name, why);
        return;
    }
    while ((more = sst_next(&file, &t)) > 0)
        run_test(report, name, &t, &count);
    tap_ok(&report->tap, !count.failed && more == 0 && count.run + count.revoked == file.count,
           "%s: %u run, %u as the 80286, %u otherwise for a reason, %u otherwise%s", name, count.run,
           count.passed, excused(&count), count.failed,
           more < 0                                  ? "; the file is malformed"
           : count.run + count.revoked != file.count ? "; the file has not as many tests as it says"
                                                     : "");
    sst_close(&file);
    total->run += count.run;
    total->passed += count.passed;
    total->undefined += count.undefined;
    total->failed += count.failed;
    total->revoked += count.revoked;
    for (unsigned n = 0; n < sst_reason_count; n++)
        total->excused[n] += count.excused[n];
}

/* --- One test, in full --------------------------------------------------------------------------- */

static void print_regs(const char *who, const uint16_t *reg)
{
    printf("%-8s", who);
    for (unsigned n = 0; n < SST_REGS; n++)
        printf(" %s %04x", sst_reg_names[n], reg[n]);
    printf("\n");
}

static void print_ram(const char *who, const struct sst_state *state)
{
    printf("%-8s", who);
    for (uint32_t n = 0; n < state->ram_count; n++) {
        uint32_t address;
        uint8_t value = sst_ram(state, n, &address);

        printf(" [%05x] %02x", address, value);
    }
    printf("\n");
}

static int show_test(struct report *report, const char *name, unsigned long index)
{
    struct sst_file file;
    struct sst_test t;
    struct sst_result r;
    char path[1100], why[100];
    int more, reason;

    snprintf(path, sizeof(path), "%s/%s.MOO.gz", report->folder, name);
    if (!sst_open(&file, path, why, sizeof(why))) {
        printf("%s: %s\n", path, why);
        return 1;
    }
    while ((more = sst_next(&file, &t)) > 0 && t.index != index)
        ;
    if (more <= 0) {
        printf("%s: no test %lu\n", path, index);
        sst_close(&file);
        return 1;
    }
    sst_run(report->machine, &t, &r);
    printf("%s  ", t.name);
    for (unsigned n = 0; n < t.length; n++)
        printf(" %02x", t.code[n]);
    printf("\n");
    print_regs("start", t.init.reg);
    print_ram("", &t.init);
    print_regs("80286", t.final.reg);
    print_ram("", &t.final);
    if (t.exception)
        printf("%-8s exception %u\n", "", t.vector);
    print_regs("ours", r.reg);
    printf("%s %s\n", r.differs ? "differs:" : "agrees", r.text);
    reason = r.differs ? judge(report, &t, &r) : -1;
    if (reason >= 0)
        printf("as it must: %s\n", sst_reason_text((unsigned)reason));
    sst_close(&file);
    return r.differs && reason < 0;
}

/* --- All of them --------------------------------------------------------------------------------- */

static int is_tests(const struct dirent *entry)
{
    const char *dot = strstr(entry->d_name, ".MOO.gz");

    return dot && !dot[7];
}

static void run_folder(struct report *report)
{
    struct dirent **entries;
    int count = scandir(report->folder, &entries, is_tests, alphasort);

    for (int n = 0; n < count; n++) {
        *strstr(entries[n]->d_name, ".MOO.gz") = '\0';
        run_file(report, entries[n]->d_name);
        free(entries[n]);
    }
    if (count >= 0)
        free(entries);
    tap_ok(&report->tap, count > 0, "there are files in the folder");
}

static void print_total(const struct report *report)
{
    const struct count *total = &report->total;

    printf("# %u run: %u as the 80286, %u otherwise for a reason, %u otherwise; %u revoked\n", total->run,
           total->passed, excused(total), total->failed, total->revoked);
    for (unsigned n = 0; n < sst_reason_count; n++)
        printf("# %6u %s\n", total->excused[n], sst_reason_text(n));
    printf("# %6u of those as the 80286 have other values in undefined flags\n", total->undefined);
}

int main(int argc, char **argv)
{
    const char *source = getenv("srcdir"), *data = NULL;
    struct report report = {0};
    DIR *folder;
    int first = 1, status;

    if (argc > 2 && !strcmp(argv[1], "--data")) {
        data = argv[2];
        first = 3;
    }
    if (data)
        snprintf(report.folder, sizeof(report.folder), "%s", data);
    else
        snprintf(report.folder, sizeof(report.folder), "%s/../shared/data/sst-80286", source ? source : ".");
    folder = opendir(report.folder);
    if (!folder && data) {
        printf("Bail out! %s can't be read\n", data);
        return 1;
    }
    if (!folder)
        return tap_skip_all("the captured tests are not here: ../shared/data/sst-80286 beside the sources");
    closedir(folder);

    report.revoked = read_revoked(report.folder);
    report.machine = sst_machine_new();
    if (first < argc && strchr(argv[first], ':')) {
        char *colon = strchr(argv[first], ':');

        *colon = '\0';
        status = show_test(&report, argv[first], strtoul(colon + 1, NULL, 10));
    } else {
        for (int n = first; n < argc; n++)
            run_file(&report, argv[n]);
        if (first == argc)
            run_folder(&report);
        print_total(&report);
        status = tap_done(&report.tap);
    }
    sst_machine_free(report.machine);
    free(report.revoked);
    return status;
}
