/* guest.c - see guest.h. */
#include "tests/system/guest.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool guest_log_in(struct drive *drive, double seconds)
{
    char *output;
    bool there = drive_expect(drive, "oxbow login: ", seconds) && drive_send(drive, "root\n") &&
                 drive_expect(drive, "Password: ", seconds) && drive_send(drive, "oxbow\n") &&
                 drive_expect(drive, "# ", seconds) && drive_send(drive, "exec sh\n") &&
                 drive_expect(drive, "exec sh", seconds) && drive_expect(drive, "# ", seconds) &&
                 !drive_command(drive, "dmesg -n 1", &output, seconds);

    if (there)
        free(output);
    return there;
}

bool guest_test(struct tap *tap, struct drive *drive, const char *name, const char *expected, double seconds,
                const char *format, ...)
{
    char *output = NULL, *command = NULL;
    va_list arguments;
    int status = -1;

    va_start(arguments, format);
    if (vasprintf(&command, format, arguments) < 0)
        command = NULL;
    va_end(arguments);
    if (command)
        status = drive_command(drive, command, &output, seconds);
    bool passed =
        tap_ok(tap, !status && (expected ? strstr(output, expected) != NULL : !*output), "%s", name);
    if (!passed) {
        printf("# exit status %d of: %s\n", status, command ? command : "(out of memory)");
        tap_note("it printed", output ? output : "(nothing in time)");
    }
    free(command);
    free(output);
    return passed;
}

bool guest_test_dhcp(struct tap *tap, struct drive *drive, const char *name, const char *cards,
                     double seconds)
{
    return guest_test(tap, drive, name, "online\n", seconds,
                      "mkdir -p /run/systemd/network; printf '[Match]\\nName=%s\\n[Network]\\nDHCP=ipv4\\n' "
                      ">/run/systemd/network/test.network; systemctl start systemd-networkd && "
                      "/lib/systemd/systemd-networkd-wait-online --timeout=60 && echo online",
                      cards);
}
