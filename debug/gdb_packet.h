/*
 * gdb_packet.h - the framing of GDB's remote serial protocol: `$data#checksum`, with escapes,
 * acknowledgements and the interrupt byte between packets. Knows no socket.
 */
#ifndef DEBUG_GDB_PACKET_H
#define DEBUG_GDB_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of a packet's data as it is sent, either way: what qSupported's PacketSize says. */
#define GDB_PACKET_SIZE 0x4000u

enum gdb_event {
    GDB_NOTHING, /* more is to come */
    GDB_PACKET,  /* one is complete and right: data, size */
    GDB_BAD,     /* one had a wrong checksum, or no room: the other end is to send it again */
    GDB_ACK,     /* '+' and '-': the last reply arrived well, or didn't */
    GDB_NAK,
    GDB_INTERRUPT, /* Ctrl-C */
};

/* Zero it. */
struct gdb_reader {
    char data[GDB_PACKET_SIZE + 1]; /* unescaped, with a NUL behind it */
    size_t size;
    unsigned state;
    bool escaped, too_long;
    uint8_t sum, sent_sum;
};

/* Takes the next byte. */
enum gdb_event gdb_receive(struct gdb_reader *reader, uint8_t byte);

/* A reply in the making. What doesn't fit is left out, and `full` says so. */
struct gdb_writer {
    char data[GDB_PACKET_SIZE + 4];
    size_t size;
    bool full;
};

void gdb_begin(struct gdb_writer *writer);
void gdb_put(struct gdb_writer *writer, const char *text); /* no character of which needs an escape */
void gdb_format(struct gdb_writer *writer, const char *format, ...) __attribute__((format(printf, 2, 3)));
void gdb_put_hex(struct gdb_writer *writer, const void *bytes, size_t size); /* two digits a byte */
/* Escaped where needed; how many of the bytes fitted. */
size_t gdb_put_binary(struct gdb_writer *writer, const void *bytes, size_t size);
/* The whole, '$' and checksum included, is then in data. */
void gdb_end(struct gdb_writer *writer);

/* Value of a hexadecimal digit; -1: it is none. */
int gdb_digit(char c);
/* Two digits a byte, up to `max` bytes or the first character that is no digit. How many bytes. */
size_t gdb_get_hex(const char *text, void *bytes, size_t max);
/* A hexadecimal number of up to 64 bits at *text, which is moved behind it. False: there is none, or it is
 * too large. */
bool gdb_get_number(const char **text, uint64_t *value);

#endif
