/*
 * log.c - lines of text, whole even when several threads speak at once.
 *
 * A line's text may come from the guest (a firmware's debug port, a kernel's panic string), so control
 * characters are shown as '?': a guest can neither forge a second line nor steer the user's terminal.
 */
#include "core/log.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char *const level_names[LOG_LEVELS] = {"error", "warn", "info", "guest", "debug"};

void log_init(struct log *log, FILE *out)
{
    memset(log, 0, sizeof(*log));
    log->out = out ? out : stderr;
    log->enabled = 1u << LOG_ERROR | 1u << LOG_WARN | 1u << LOG_INFO;
}

/* Bytes from 0x80 up stay, so that UTF-8 file names read well. */
static void defuse(char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c != '\t' && (c < 0x20 || c == 0x7f))
            *text = '?';
    }
}

static void emit(struct log *log, enum log_level level, char *line, size_t length)
{
    defuse(line);
    if (log->tap)
        log->tap(log->tap_opaque, level, line);
    if (!log->out || !(log->enabled & 1u << level))
        return;
    /* One fwrite, newline included: stdio's lock keeps the line whole, and an unbuffered stream writes once.
     */
    line[length] = '\n';
    fwrite(line, 1, length + 1, log->out);
    fflush(log->out);
}

void log_at(struct log *log, enum log_level level, const char *part, const char *format, ...)
{
    char small[512], *line = small;
    va_list args;

    if (!log || level >= LOG_LEVELS || (!log->tap && !(log->enabled & 1u << level)))
        return;

    va_start(args, format);
    int body = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (body < 0)
        return;

    size_t head = strlen(part) + 2, length = head + (size_t)body;
    /* One byte for the terminator that becomes the newline, one for snprintf's own. */
    if (length + 2 > sizeof(small)) {
        line = malloc(length + 2);
        if (!line) {
            line = small;
            length = sizeof(small) - 2;
        }
    }
    size_t room = length + 1;
    int used = snprintf(line, room, "%s: ", part);
    if (used >= 0 && (size_t)used < room) {
        va_start(args, format);
        vsnprintf(line + used, room - (size_t)used, format, args);
        va_end(args);
    }
    /* Another thread's change to an argument's string may have made it shorter than it was measured. */
    emit(log, level, line, strlen(line));
    if (line != small)
        free(line);
}

const char *log_level_name(enum log_level level)
{
    return level < LOG_LEVELS ? level_names[level] : "?";
}

int log_level_from_name(const char *name)
{
    for (int i = 0; i < LOG_LEVELS; i++) {
        if (strcmp(level_names[i], name) == 0)
            return i;
    }
    return -1;
}
