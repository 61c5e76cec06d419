/*
 * tally.h - what is run and counted: shared by oracle.c and report.c.
 */
#ifndef TESTS_ORACLE_TALLY_H
#define TESTS_ORACLE_TALLY_H

#include "tests/oracle/oracle.h"

#define MAX_JOBS  64
#define FLAG_BITS 6

#define PROGRAM ((uint64_t)1 << 63) /* in a case's number */

struct row_count {
    uint64_t cases, differ, shown;
    uint64_t alone,
        faults; /* as the only instruction of a case, and how many of those ended in an exception */
    /* Of single instructions that leave flags undefined: how often there were some, and how often both
     * differed. */
    uint64_t undefined, unlike[FLAG_BITS];
};

/* What a worker counts, in memory shared with the parent. */
struct tally {
    uint64_t now; /* the case it is at; programs above PROGRAM */
    uint64_t cases, programs, reached, programs_differ, instructions, differ, unsteady, endless, kernel,
        occupied, known[KNOWN_COUNT];
    uint64_t engines_differ, engines_may; /* from the interpreter: of those that differ; as they may */
    uint64_t vectors[32];
    struct soft_work work[CODE_SIZES];
    struct row_count row[];
};

struct options {
    uint64_t seed, cases, programs, number; /* how many of each kind */
    unsigned seconds, jobs;
    const struct soft_engine *engine;
    bool one_case, flags, list, quiet;
};

struct oracle {
    struct options opt;
    char same[400]; /* options that a case depends on */
    struct generator generator;
    struct features features;
    struct row_facts *facts;
    struct tally *tallies[MAX_JOBS];
};

/* --- report.c ------------------------------------------------------------------------------------- */

extern const struct flag_name {
    uint32_t flag;
    const char *name;
} flag_names[FLAG_BITS];

/* What of it was translated, for engines that translate. */
void report_work(const struct soft_work *work);
/* All that the workers counted in so many seconds, as TAP, when `lost` of them were. Returns the exit status.
 */
int report(const struct oracle *o, int lost, double seconds);

#endif
