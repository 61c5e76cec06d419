/*
 * oxbow.c - options, machine, run; or a command.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "accel/engine.h"
#include "config.h"
#include "core/log.h"
#include "core/options.h"
#include "cpu/cpu.h"
#include "debug/ctl.h"
#include "debug/test_command.h"
#include "machine/image_command.h"
#include "machine/machine.h"
#include "machine/qemu_arguments.h"

/* A signal handler gets nothing but its number. */
static struct machine *volatile running;

static void on_signal(int number)
{
    if (number == SIGUSR1) {
        if (running)
            machine_signal_screenshot(running);
        return;
    }
    if (running) {
        machine_signal(running, number);
        return;
    }
    signal(number, SIG_DFL);
    raise(number);
}

static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};

/* Signals that end the run end it tidily, and SIGUSR1 asks for a picture; those that whoever started us
 * ignores stay ignored. */
static void catch_signals(void (*handler)(int))
{
    for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
        struct sigaction old, new = {.sa_handler = handler};

        sigemptyset(&new.sa_mask);
        if (!sigaction(signals[i], NULL, &old) && old.sa_handler != SIG_IGN)
            sigaction(signals[i], &new, NULL);
    }
}

static void print_version(void)
{
    char why[200];

    printf("Oxbow %s\n", PACKAGE_VERSION);
    for (const struct engine *const *engine = engines; *engine; engine++)
        printf("engine %-7s %s\n", (*engine)->name, (*engine)->probe(why, sizeof(why)) ? "yes" : "no");
}

static int accel_command(int argc, char **argv)
{
    if (argc > 1) {
        bool asked = !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h");
        fprintf(asked ? stdout : stderr, "%soxbow accel takes no arguments; it lists the engines\n",
                asked ? "" : "oxbow: ");
        return asked ? 0 : EXIT_USAGE;
    }
    engine_report(stdout);
    return 0;
}

/* What was printed for the user must have arrived. */
static int printed(int status)
{
    if (!fflush(stdout) && !ferror(stdout))
        return status;
    fprintf(stderr, "oxbow: cannot write to standard output\n");
    return EXIT_HOST;
}

static const struct command_row commands[];

/* Answers what can be answered without a machine. True when that was all. */
static bool answer(const struct options *options)
{
    if (options->action == OPTIONS_HELP)
        options_print_help(stdout, commands);
    else if (options->action == OPTIONS_VERSION)
        print_version();
    else if (options->action == OPTIONS_MAN)
        options_print_man(stdout, commands);
    else if (!strcmp(options->accel, "help"))
        engine_report(stdout);
    else if (options->cpu && !strcmp(options->cpu, "help"))
        cpu_list_models(stdout);
    else
        return false;
    return true;
}

/* Says in `end` how it ended, unless that is NULL. */
static int run(const struct options *options, struct test_end *end)
{
    struct machine_config config = {.options = options};
    struct machine *machine;
    struct log log;
    char why[400];

    log_init(&log, stderr);
    log.enabled = options->log;
    config.log = &log;
    catch_signals(on_signal);
    int status = machine_new(&config, &machine, why, sizeof(why));
    if (!machine) {
        fprintf(stderr, "oxbow: %s\n", why);
        return status;
    }
    running = machine;
    status = machine_run(machine);
    running = NULL;
    if (options->check)
        machine_print_check(machine, stderr);
    if (options->stats)
        machine_print_stats(machine, stderr);
    if (end)
        *end = (struct test_end){true, status, machine->exit_value};
    machine_free(machine);
    return status;
}

static void run_test(const struct options *options, struct test_end *end)
{
    run(options, end);
}

static int test(int argc, char **argv)
{
    return test_command(argc, argv, run_test);
}

/* QEMU ends with 0 when a guest that may not reset does. */
static int qemu(int argc, char **argv)
{
    struct options options;
    char why[400];
    int status = EXIT_USAGE;

    if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-help") || !strcmp(argv[1], "-h"))) {
        qemu_arguments_print_help(stdout);
        return 0;
    }
    options_init(&options);
    if (qemu_arguments_read(&options, argc, argv, stderr, why, sizeof(why)))
        status = run(&options, NULL);
    else
        fprintf(stderr, "oxbow qemu: %s\n", why);
    options_free(&options);
    return status == EXIT_RESET ? 0 : status;
}

static const struct command_row commands[] = {
    {"accel", "", "Lists the engines, and what this host offers or lacks for each.", accel_command},
    {"ctl", "PATH [COMMAND...]", "Controls the machine whose --control is unix:PATH.", ctl_main},
    {"image", "COMMAND...", "Makes, describes, checks, converts and changes disk images.", image_command},
    {"qemu", "[QEMU-OPTION]...", "Runs what QEMU's command line describes.", qemu},
    {"test", "[OPTION]... IMAGE...", "Boots kernels and says which of them did well.", test},
    {.name = NULL},
};

static const struct command_row *find_command(const char *name)
{
    for (const struct command_row *row = commands; row->name; row++)
        if (!strcmp(row->name, name))
            return row;
    return NULL;
}

int main(int argc, char **argv)
{
    struct options options;
    char why[400];
    const struct command_row *command = argc > 1 ? find_command(argv[1]) : NULL;
    int status = 0;

    /* An image of such a name is ./NAME. */
    if (command)
        return printed(command->run(argc - 1, argv + 1));
    options_init(&options);
    if (!options_parse(&options, argc, argv, machine_file_read, why, sizeof(why))) {
        fprintf(stderr, "oxbow: %s\n", why);
        status = EXIT_USAGE;
    } else if (answer(&options)) {
        status = printed(0);
    } else {
        status = run(&options, NULL);
    }
    options_free(&options);
    return status;
}
