/*
 * test_command.c - the command line of `oxbow test`, and its progress; see test_command.h.
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "debug/test_command.h"
#include "debug/test_report.h"
#include "machine/machine.h"

#define ENGINES_MAX 8
#define CASES_MAX   1000000u
#define TAIL_LINES  20

enum { FAILED = 1 };

struct command {
    struct test_plan plan;
    unsigned jobs, repeat;
    const char *engines[ENGINES_MAX]; /* NULL: no more; parts of `list` */
    char *list;
    const char *junit, *logs;
    bool tap;
    regex_t expect, fail;

    struct test_case *cases;
    size_t count, ended, running;
    bool terminal; /* standard error is one: there is a line of progress */
};

static const struct test_option {
    const char *name, *argument, *help;
} table[] = {
    {"jobs", "N", "How many run at a time. Default: as many as the host has processors."},
    {"timeout", "SECONDS", "How long each may take. Default: 60."},
    {"expect", "REGEX", "Passes when a line on the first serial port matches (extended regular expression)."},
    {"fail", "REGEX", "Fails when a line matches."},
    {"exit-success", "VALUE",
     "What the guest writes to the exit device (port 0xF4) to say that all is well. Default: 0."},
    {"accel", "LIST", "Engines to run each under, with commas between, and to compare. Default: auto."},
    {"repeat", "N", "Runs each so many times. Default: 1."},
    {"junit", "FILE", "Writes the results as JUnit's XML, too."},
    {"logs", "FOLDER", "Writes all that each prints to files there: IMAGE.ENGINE.serial, IMAGE.ENGINE.errors."},
    {"tap", NULL, "Prints TAP."},
    {"help", NULL, "Prints this."},
    {NULL, NULL, NULL},
};

static void print_help(void)
{
    fputs("Usage: oxbow test [OPTION]... IMAGE... [-- MACHINE-OPTION...]\n\n"
          "Boots each image in a machine of its own, without a screen, and says which did well. What is "
          "behind \"--\"\n"
          "is given to every machine, like --memory 64M or --initrd FILE.\n\n"
          "An image passes when it writes VALUE to the exit device, powers the machine off, or, with "
          "--expect, prints\n"
          "a line that matches. It fails when it writes something else there (the first value counts), "
          "prints a line\n"
          "that matches --fail, ends in a triple fault, resets the machine or is not done in time.\n\n",
          stdout);
    for (const struct test_option *option = table; option->name; option++) {
        int width = printf("  --%s%s%s", option->name, option->argument ? " " : "",
                           option->argument ? option->argument : "");
        printf("%*s%s\n", 24 - width, "", option->help);
    }
    fputs("\nExit status: 0 all passed, 1 some failed or none ran, 2 usage, 5 the host failed, 128+N ended "
          "by signal N.\n"
          "\nExample:\n"
          "  oxbow test --accel interp,jit --expect 'all tests passed' build/*.elf\n",
          stdout);
}

static bool complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

static bool complain(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fputs("oxbow test: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return false;
}

static bool take_number(const char *name, const char *text, unsigned long least, unsigned long most,
                        unsigned long *number)
{
    char *end;

    errno = 0;
    *number = strtoul(text, &end, 0);
    if (isdigit((unsigned char)*text) && !errno && !*end && *number >= least && *number <= most)
        return true;
    return complain("--%s: \"%s\" is not a number from %lu to %lu", name, text, least, most);
}

static bool take_pattern(const char *name, const char *text, regex_t *pattern, regex_t **wanted)
{
    char why[200];
    int error;

    if (*wanted)
        return complain("--%s is given twice; join the patterns with |", name);
    error = regcomp(pattern, text, REG_EXTENDED | REG_NOSUB);
    if (!error) {
        *wanted = pattern;
        return true;
    }
    regerror(error, pattern, why, sizeof(why));
    return complain("--%s: \"%s\" is not a regular expression: %s", name, text, why);
}

static bool take_seconds(const char *text, uint64_t *ns)
{
    char *end;
    double seconds = strtod(text, &end);

    if (!isdigit((unsigned char)*text) || *end || !isfinite(seconds) || seconds <= 0 || seconds > 1e6)
        return complain("--timeout: \"%s\" is not a time; give seconds, more than 0, like 60 or 2.5", text);
    *ns = (uint64_t)(seconds * (double)NS_PER_SEC);
    return true;
}

static bool take_engines(struct command *command, const char *text)
{
    unsigned count = 0;
    char *rest, why[200];

    free(command->list);
    command->list = strdup(text);
    if (!command->list)
        return complain("out of memory");
    memset(command->engines, 0, sizeof(command->engines));
    for (char *name = strtok_r(command->list, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
        bool known = !strcmp(name, "auto");
        for (const struct engine *const *engine = engines; *engine; engine++)
            known = known || !strcmp((*engine)->name, name);
        if (!known) {
            engine_pick(name, why, sizeof(why));
            return complain("--accel: %s; oxbow accel lists them", why);
        }
        if (count == ENGINES_MAX)
            return complain("--accel: \"%s\" has more than %d engines", text, ENGINES_MAX);
        command->engines[count++] = name;
    }
    return count || complain("--accel needs an engine; oxbow accel lists them");
}

static bool take(struct command *command, const char *name, const char *value)
{
    unsigned long number = 0;
    bool good = true;

    if (!strcmp(name, "jobs")) {
        good = take_number(name, value, 1, TEST_JOBS_MAX, &number);
        command->jobs = (unsigned)number;
    } else if (!strcmp(name, "repeat")) {
        good = take_number(name, value, 1, CASES_MAX, &number);
        command->repeat = (unsigned)number;
    } else if (!strcmp(name, "exit-success")) {
        good = take_number(name, value, 0, 0x7FFFFFFF, &number);
        command->plan.exit_success = (int)number;
    } else if (!strcmp(name, "timeout")) {
        good = take_seconds(value, &command->plan.timeout);
    } else if (!strcmp(name, "expect")) {
        good = take_pattern(name, value, &command->expect, &command->plan.expect);
    } else if (!strcmp(name, "fail")) {
        good = take_pattern(name, value, &command->fail, &command->plan.fail);
    } else if (!strcmp(name, "accel")) {
        good = take_engines(command, value);
    } else if (!strcmp(name, "junit")) {
        command->junit = value;
    } else if (!strcmp(name, "logs")) {
        command->logs = value;
    } else if (!strcmp(name, "tap")) {
        command->tap = true;
    }
    return good;
}

/* Those behind "--" are the machines'. */
static bool check_machine_options(char **options)
{
    struct options parsed;
    const char *arguments[256] = {"oxbow"};
    char why[400];
    int count = 1;
    bool good;

    while (options[count - 1]) {
        if (count == 200)
            return complain("too many machine options behind \"--\"");
        arguments[count] = options[count - 1];
        count++;
    }
    options_init(&parsed);
    good = options_parse(&parsed, count, (char **)arguments, NULL, why, sizeof(why));
    if (good && parsed.action != OPTIONS_RUN)
        good = complain("what is behind \"--\" is for machines to run");
    else if (good && parsed.image)
        good = complain("\"%s\" behind \"--\" is no option; images stand before it", parsed.image);
    else if (!good)
        complain("%s", why);
    options_free(&parsed);
    return good;
}

static bool make_cases(struct command *command, int images, char **image)
{
    unsigned engines_wanted = 0;

    while (engines_wanted < ENGINES_MAX && command->engines[engines_wanted])
        engines_wanted++;
    for (int n = 0; n < images; n++)
        if (access(image[n], R_OK))
            return complain("%s: %s", image[n], strerror(errno));
    if ((uint64_t)images * engines_wanted * command->repeat > CASES_MAX)
        return complain("these are more than %u runs", CASES_MAX);
    command->count = (size_t)images * engines_wanted * command->repeat;
    command->cases = calloc(command->count, sizeof(*command->cases));
    if (!command->cases)
        return complain("out of memory");
    struct test_case *test = command->cases;
    for (int n = 0; n < images; n++)
        for (unsigned engine = 0; engine < engines_wanted; engine++)
            for (unsigned repeat = 0; repeat < command->repeat; repeat++, test++) {
                *test = (struct test_case){
                    .image = image[n], .engine = command->engines[engine], .repeat = repeat};
                if (!engine_pick(test->engine, test->reason, sizeof(test->reason)))
                    test->verdict = TEST_SKIPPED;
            }
    return true;
}

static void name_of(const struct command *command, const struct test_case *test, char *name, size_t size)
{
    test_name(test, command->engines[1], command->repeat > 1, name, size);
}

static void show_progress(const struct command *command, const char *name)
{
    if (command->terminal)
        fprintf(stderr, "\r\033[K[%zu/%zu] %.60s", command->ended, command->count, name);
}

static void hide_progress(const struct command *command)
{
    if (command->terminal)
        fputs("\r\033[K", stderr);
}

static void started(void *opaque, const struct test_case *test)
{
    struct command *command = opaque;
    char name[300];

    name_of(command, test, name, sizeof(name));
    show_progress(command, name);
}

static void print_result(const struct command *command, const struct test_case *test)
{
    bool failed = test->verdict == TEST_FAILED, skipped = test->verdict == TEST_SKIPPED;
    char name[300];

    name_of(command, test, name, sizeof(name));
    if (command->tap)
        printf("%sok %zu - %s%s%s\n", failed ? "not " : "", command->ended, name, skipped ? " # SKIP " : "",
               skipped ? test->reason : "");
    else
        printf("%s  %s (%.2f s): %s\n",
               failed    ? "FAIL"
               : skipped ? "skip"
                         : "pass",
               name, test->seconds, test->reason);
    if (failed && command->tap)
        printf("# %s\n", test->reason);
    if (failed)
        test_print_tail(test, TAIL_LINES, command->tap ? "# " : "    | ", stdout);
    fflush(stdout);
}

static void done(void *opaque, const struct test_case *test)
{
    struct command *command = opaque;

    command->ended++;
    hide_progress(command);
    print_result(command, test);
}

static int run_cases(struct command *command)
{
    uint64_t began = test_now();
    char why[300];

    command->terminal = isatty(STDERR_FILENO) && !command->tap;
    if (command->tap)
        printf("1..%zu\n", command->count);
    for (size_t n = 0; n < command->count; n++)
        if (command->cases[n].verdict == TEST_SKIPPED)
            done(command, &command->cases[n]);
    int ended = test_run(&command->plan, command->cases, command->count, command->jobs, started, done,
                         command, why, sizeof(why));
    hide_progress(command);
    if (ended < 0)
        complain("%s", why);
    test_print_differences(command->cases, command->count, command->tap ? "# " : "", stdout);
    double seconds = (double)(test_now() - began) / (double)NS_PER_SEC;
    struct test_totals totals = test_count(command->cases, command->count);
    printf("%s%zu passed, %zu failed, %zu skipped", command->tap ? "# " : "", totals.passed, totals.failed,
           totals.skipped);
    if (totals.waiting)
        printf(", %zu not run", totals.waiting);
    printf(" in %.1f s\n", seconds);
    if (command->junit && !test_write_junit(command->junit, command->cases, command->count, seconds)) {
        complain("cannot write %s: %s", command->junit, strerror(errno));
        return EXIT_HOST;
    }
    if (command->logs && !test_write_logs(command->logs, command->cases, command->count)) {
        complain("cannot write to %s: %s", command->logs, strerror(errno));
        return EXIT_HOST;
    }
    return ended < 0 ? EXIT_HOST : ended ? EXIT_SIGNAL + ended : totals.failed || !totals.passed ? FAILED : 0;
}

/* An exit status, or -1 to go on. */
static int parse(struct command *command, int argc, char **argv)
{
    struct option longs[sizeof(table) / sizeof(*table)] = {{NULL, 0, NULL, 0}};
    int result, index;

    for (size_t n = 0; table[n].name; n++)
        longs[n] =
            (struct option){table[n].name, table[n].argument ? required_argument : no_argument, NULL, 256};
    optind = 0;
    opterr = 0;
    while ((result = getopt_long(argc, argv, ":hj:", longs, &index)) != -1) {
        if (result == 'h' || (result == 256 && !strcmp(longs[index].name, "help"))) {
            print_help();
            return 0;
        }
        if (result == ':' || result == '?') {
            complain(result == ':'
                         ? "%s needs a value"
                         : "%s: there is no such option, or it takes no value; see oxbow test --help",
                     argv[optind - 1]);
            return EXIT_USAGE;
        }
        if (!take(command, result == 'j' ? "jobs" : longs[index].name, optarg))
            return EXIT_USAGE;
    }
    return -1;
}

static void free_command(struct command *command)
{
    for (size_t n = 0; n < command->count && command->cases; n++)
        test_case_free(&command->cases[n]);
    free(command->cases);
    free(command->list);
    if (command->plan.expect)
        regfree(command->plan.expect);
    if (command->plan.fail)
        regfree(command->plan.fail);
}

int test_command(int argc, char **argv, test_runner *run)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    struct command command = {
        .plan = {.run = run, .timeout = 60 * NS_PER_SEC},
        .jobs = processors < 1               ? 1
                : processors > TEST_JOBS_MAX ? TEST_JOBS_MAX
                                             : (unsigned)processors,
        .repeat = 1,
        .engines = {"auto"},
    };
    int own = 1, status;

    while (own < argc && strcmp(argv[own], "--"))
        own++;
    command.plan.options = argv + own + (own < argc);
    status = parse(&command, own, argv);
    int first = optind; /* of the images; reading the machines' options changes optind */
    if (status < 0 && first == own) {
        complain("there is nothing to run; name an image, or see oxbow test --help");
        status = EXIT_USAGE;
    }
    if (status < 0 &&
        (!check_machine_options(command.plan.options) || !make_cases(&command, own - first, argv + first)))
        status = EXIT_USAGE;
    if (status < 0)
        status = run_cases(&command);
    free_command(&command);
    return status;
}
