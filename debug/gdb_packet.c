/*
 * gdb_packet.c - see gdb_packet.h.
 */
#include "debug/gdb_packet.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { BETWEEN, INSIDE, FIRST_DIGIT, SECOND_DIGIT };

#define ESCAPE     '}'
#define ESCAPE_XOR 0x20
#define INTERRUPT  0x03

int gdb_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* --- Receiving ------------------------------------------------------------------------------------ */

static enum gdb_event between(struct gdb_reader *r, uint8_t byte)
{
    switch (byte) {
    case '$':
        r->state = INSIDE;
        r->size = 0;
        r->sum = 0;
        r->escaped = r->too_long = false;
        return GDB_NOTHING;
    case '+':
        return GDB_ACK;
    case '-':
        return GDB_NAK;
    case INTERRUPT:
        return GDB_INTERRUPT;
    default:
        return GDB_NOTHING;
    }
}

static void inside(struct gdb_reader *r, uint8_t byte)
{
    if (byte == '#') {
        r->state = FIRST_DIGIT;
        r->data[r->size] = 0;
        return;
    }
    if (byte == '$') { /* never in data: what came before was cut off */
        between(r, byte);
        return;
    }
    r->sum = (uint8_t)(r->sum + byte);
    if (byte == ESCAPE && !r->escaped) {
        r->escaped = true;
        return;
    }
    if (r->size == GDB_PACKET_SIZE)
        r->too_long = true;
    else
        r->data[r->size++] = (char)(r->escaped ? byte ^ ESCAPE_XOR : byte);
    r->escaped = false;
}

enum gdb_event gdb_receive(struct gdb_reader *r, uint8_t byte)
{
    int digit = gdb_digit((char)byte);

    switch (r->state) {
    case BETWEEN:
        return between(r, byte);
    case INSIDE:
        inside(r, byte);
        return GDB_NOTHING;
    case FIRST_DIGIT:
        r->sent_sum = (uint8_t)((unsigned)digit << 4);
        r->too_long |= digit < 0;
        r->state = SECOND_DIGIT;
        return GDB_NOTHING;
    default:
        r->state = BETWEEN;
        if (digit < 0 || r->too_long || r->escaped || (r->sent_sum | digit) != r->sum)
            return GDB_BAD;
        return GDB_PACKET;
    }
}

/* --- Sending -------------------------------------------------------------------------------------- */

void gdb_begin(struct gdb_writer *w)
{
    w->data[0] = '$';
    w->size = 1;
    w->full = false;
}

static bool room(struct gdb_writer *w, size_t size)
{
    if (w->size - 1 + size > GDB_PACKET_SIZE)
        w->full = true;
    return !w->full;
}

void gdb_put(struct gdb_writer *w, const char *text)
{
    size_t size = strlen(text);

    if (!room(w, size))
        return;
    memcpy(w->data + w->size, text, size);
    w->size += size;
}

void gdb_format(struct gdb_writer *w, const char *format, ...)
{
    char text[400];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    gdb_put(w, text);
}

void gdb_put_hex(struct gdb_writer *w, const void *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *byte = bytes;

    if (!room(w, 2 * size))
        return;
    for (size_t n = 0; n < size; n++) {
        w->data[w->size++] = digits[byte[n] >> 4];
        w->data[w->size++] = digits[byte[n] & 15];
    }
}

size_t gdb_put_binary(struct gdb_writer *w, const void *bytes, size_t size)
{
    const char *byte = bytes;

    for (size_t n = 0; n < size; n++) {
        bool escape = byte[n] == ESCAPE || byte[n] == '#' || byte[n] == '$' || byte[n] == '*';

        if (!room(w, escape ? 2 : 1))
            return n;
        if (escape)
            w->data[w->size++] = ESCAPE;
        w->data[w->size++] = (char)(escape ? byte[n] ^ ESCAPE_XOR : byte[n]);
    }
    return size;
}

void gdb_end(struct gdb_writer *w)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t sum = 0;

    for (size_t n = 1; n < w->size; n++)
        sum = (uint8_t)(sum + (uint8_t)w->data[n]);
    w->data[w->size++] = '#';
    w->data[w->size++] = digits[sum >> 4];
    w->data[w->size++] = digits[sum & 15];
}

/* --- Numbers -------------------------------------------------------------------------------------- */

size_t gdb_get_hex(const char *text, void *bytes, size_t max)
{
    uint8_t *byte = bytes;
    size_t n = 0;

    for (; n < max; n++, text += 2) {
        int high = gdb_digit(text[0]), low = high < 0 ? -1 : gdb_digit(text[1]);

        if (low < 0)
            break;
        byte[n] = (uint8_t)(high << 4 | low);
    }
    return n;
}

bool gdb_get_number(const char **text, uint64_t *value)
{
    uint64_t v = 0;
    const char *at = *text;

    for (int digit; (digit = gdb_digit(*at)) >= 0; at++) {
        if (v >> 60)
            return false;
        v = v << 4 | (unsigned)digit;
    }
    if (at == *text)
        return false;
    *text = at;
    *value = v;
    return true;
}
