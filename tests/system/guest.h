/*
 * guest.h - a Debian guest that ./setup check's scripts made, on its serial console: logs in, and runs
 * commands in it as tests.
 */
#ifndef TESTS_SYSTEM_GUEST_H
#define TESTS_SYSTEM_GUEST_H

#include <stdbool.h>

#include "tests/system/drive.h"
#include "tests/system/tap.h"

/* Logs in as root within `seconds`, to a plain shell without the kernel's messages. */
bool guest_log_in(struct drive *drive, double seconds);

/* Runs a command; passes if it ends with status 0 and its output has `expected` (NULL: is empty). */
bool guest_test(struct tap *tap, struct drive *drive, const char *name, const char *expected, double seconds,
                const char *format, ...) __attribute__((format(printf, 6, 7)));

/* The network cards whose names begin with `cards` get their addresses by DHCP, IPv4 alone. */
bool guest_test_dhcp(struct tap *tap, struct drive *drive, const char *name, const char *cards,
                     double seconds);

#endif
