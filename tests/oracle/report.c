/*
 * report.c - what was counted, as TAP.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "cpu/internal.h"
#include "tests/oracle/tally.h"

const struct flag_name flag_names[FLAG_BITS] = {{FLAG_OF, "OF"}, {FLAG_SF, "SF"}, {FLAG_ZF, "ZF"},
                                                {FLAG_AF, "AF"}, {FLAG_PF, "PF"}, {FLAG_CF, "CF"}};

void report_work(const struct soft_work *work)
{
    static const unsigned bits[CODE_SIZES] = {16, 32, 64};

    for (unsigned n = 0; n < CODE_SIZES; n++) {
        const struct soft_work *w = &work[n];
        double all = (double)w->instructions;

        if (w->blocks)
            printf(
                "# translated: %.1f%% of %.0f instructions in %u-bit code, %.1f%% by their bodies; %" PRIu64
                " blocks, entered %" PRIu64 " times, %" PRIu64 " dropped by what ran, all %" PRIu64
                " times\n",
                100 * (double)w->translated / all, all, bits[n], 100 * (double)w->bodies / all, w->blocks,
                w->entered, w->dropped, w->resets);
    }
}

static struct tally *sum(const struct oracle *o)
{
    struct tally *all = calloc(1, sizeof(*all) + opcode_row_count * sizeof(all->row[0]));
    size_t words = (sizeof(*all) + opcode_row_count * sizeof(all->row[0])) / 8;

    for (unsigned j = 0; j < o->opt.jobs; j++)
        for (size_t n = 0; n < words; n++)
            ((uint64_t *)all)[n] += ((const uint64_t *)o->tallies[j])[n];
    return all;
}

static void report_flags(const struct tally *all)
{
    printf("# flags that are undefined, and how often ours were not the host's:\n");
    for (unsigned n = 0; n < opcode_row_count; n++) {
        const struct row_count *c = &all->row[n];

        if (!c->undefined)
            continue;
        printf("# %-8s %u %02x %8" PRIu64 ":", opcode_rows[n].name, opcode_rows[n].map, opcode_rows[n].opcode,
               c->undefined);
        for (unsigned k = 0; k < FLAG_BITS; k++)
            if (opcode_rows[n].flags_undefined & flag_names[k].flag)
                printf(" %s %" PRIu64, flag_names[k].name, c->unlike[k]);
        printf("\n");
    }
}

static void report_list(const struct oracle *o, const struct tally *all)
{
    for (unsigned n = 0; n < opcode_row_count; n++) {
        const struct opcode_row *row = &opcode_rows[n];
        const char *reason = o->facts[n].reason;

        if (!reason && all->row[n].alone > 40 && all->row[n].alone == all->row[n].faults)
            reason = "beyond the exception that it always ended in";
        if (reason)
            printf("# not checked: %s (%s, %u %02x): %s\n", row->name, feature_name(row->feature), row->map,
                   row->opcode, reason);
    }
}

/* A test for each feature that has instructions. */
static int report_tap(const struct oracle *o, const struct tally *all, int lost)
{
    unsigned tests = 0;
    int failed = lost;

    for (unsigned f = 0; f < feature_count(); f++) {
        uint64_t rows = 0, checked = 0, cases = 0, differences = 0;
        const char *why = "";

        for (unsigned n = 0; n < opcode_row_count; n++) {
            if (opcode_rows[n].feature != f)
                continue;
            rows++;
            checked += all->row[n].cases != 0;
            cases += all->row[n].cases;
            differences += all->row[n].differ;
            if (!o->facts[n].usable)
                why = o->facts[n].reason;
        }
        if (!rows)
            continue;
        tests++;
        /* The model is an AMD processor: elsewhere, differences are worth reading, but no failure. */
        if (differences && o->features.amd)
            failed++;
        printf("%s %u - %s: %" PRIu64 " of %" PRIu64 " encodings, %" PRIu64 " runs",
               differences && o->features.amd ? "not ok" : "ok", tests, feature_name(f), checked, rows,
               cases);
        if (differences)
            printf(", %" PRIu64 " differ", differences);
        if (!cases)
            printf(" # SKIP not checked: %s", why);
        else if (differences && !o->features.amd)
            printf(" # SKIP the model is AMD's, this host is not");
        printf("\n");
    }
    if (all->programs) {
        bool bad = all->programs_differ && o->features.amd;

        printf("%s %u - programs: %" PRIu64 ", %" PRIu64 " to their ends, %" PRIu64 " differ%s\n",
               bad ? "not ok" : "ok", ++tests, all->programs, all->reached, all->programs_differ,
               all->programs_differ && !bad ? " # SKIP the model is AMD's, this host is not" : "");
        failed += bad;
    }
    printf("%s %u - every worker lived\n", lost ? "not ok" : "ok", ++tests);
    printf("1..%u\n", tests);
    return failed != 0;
}

int report(const struct oracle *o, int lost, double seconds)
{
    struct tally *all;
    int failed;

    all = sum(o);
    if (o->opt.list)
        report_list(o, all);
    if (o->opt.flags)
        report_flags(all);
    printf("# seed %" PRIu64 ": %" PRIu64 " cases with %" PRIu64 " instructions in %.1f s; %" PRIu64
           " differ\n",
           o->opt.seed, all->cases, all->instructions, seconds, all->differ);
    report_work(all->work);
    if (all->engines_differ || all->engines_may)
        printf("# %" PRIu64 " differ from the interpreter, %" PRIu64
               " as they may: flags that are undefined\n",
               all->engines_differ, all->engines_may);
    printf("# not run on the host: %" PRIu64 " endless, %" PRIu64 " for the kernel, %" PRIu64
           " at addresses in use\n",
           all->endless, all->kernel, all->occupied);
    if (all->unsteady)
        printf("# %" PRIu64 " differed, and not when the host ran them again\n", all->unsteady);
    for (unsigned n = 0; n < KNOWN_COUNT; n++)
        if (all->known[n])
            printf("# %" PRIu64 " differ as they may: %s\n", all->known[n], known_reason(n));
    printf("# exceptions:");
    for (unsigned v = 0; v < 32; v++)
        if (all->vectors[v])
            printf(" %s %" PRIu64, v == EX_BP ? "none" : cpu_exception_name(v), all->vectors[v]);
    printf("\n");
    failed = report_tap(o, all, lost);
    free(all);
    return failed;
}
