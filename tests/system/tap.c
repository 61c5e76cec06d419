/* tap.c - see tap.h. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/system/tap.h"

bool tap_ok(struct tap *tap, bool passed, const char *format, ...)
{
    va_list args;

    tap->count++;
    tap->failed += !passed;
    printf("%sok %d - ", passed ? "" : "not ", tap->count);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
    return passed;
}

void tap_skip(struct tap *tap, const char *name, const char *why)
{
    printf("ok %d - %s # SKIP %s\n", ++tap->count, name, why);
    fflush(stdout);
}

void tap_note(const char *label, const char *text)
{
    printf("# %s:\n", label);
    while (*text) {
        size_t length = strcspn(text, "\r\n");
        printf("#   %.*s\n", (int)length, text);
        text += length;
        text += strspn(text, "\r\n");
    }
    fflush(stdout);
}

int tap_skip_all(const char *why)
{
    printf("1..0 # SKIP %s\n", why);
    return 0;
}

int tap_done(const struct tap *tap)
{
    printf("1..%d\n", tap->count);
    return tap->failed ? 1 : 0;
}
