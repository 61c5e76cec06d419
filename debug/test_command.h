/*
 * test_command.h - `oxbow test`: boots kernels and says which of them did well.
 */
#ifndef DEBUG_TEST_COMMAND_H
#define DEBUG_TEST_COMMAND_H

#include "debug/test_run.h"

/* argv[0] is "test". Returns the exit status: 0 all passed, 1 not all, 2 usage, 5 the host failed, 128 +
 * signal. */
int test_command(int argc, char **argv, test_runner *run);

#endif
