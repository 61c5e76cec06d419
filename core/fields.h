/*
 * fields.h - state tables: one description of a struct's fields serves save, load, compare and print.
 *
 * Each device and the CPU declares the fields that a guest could notice. Example:
 *
 *     static const struct field pit_channel_fields[] = {
 *         FIELD(struct pit_channel, reload), FIELD(struct pit_channel, mode), FIELD_END};
 *     static const struct field pit_fields[] = {
 *         FIELD(struct pit, speaker), FIELD_STRUCTS(struct pit, channel, pit_channel_fields), FIELD_END};
 *
 * What is derived (cached pointers, timers' queue links) is not in the table; a device recomputes it in its
 * class's `loaded` (device.h). Times are saved as clock nanoseconds.
 *
 * Saved form: for each field in table order, its name and values as little-endian integers of the field's
 * size (fields.c has the layout). A loader that meets a name it doesn't know, or misses one, says which and
 * refuses.
 */
#ifndef CORE_FIELDS_H
#define CORE_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct field {
    const char *name;
    size_t offset;
    size_t size;                /* bytes of one element */
    size_t count;               /* elements; 1 for a scalar */
    const struct field *nested; /* the element's own table, when it is a struct */
    bool boolean;               /* a bool: a loader takes 0 and 1 only */
};

#define FIELD_IS_BOOL(type, member) _Generic(((type *)0)->member, bool : true, bool * : true, default : false)
#define FIELD(type, member)                                                                                  \
    {                                                                                                        \
#member, offsetof(type, member), sizeof(((type *)0)->member), 1, NULL, FIELD_IS_BOOL(type, member)   \
    }
#define FIELD_ARRAY(type, member)                                                                            \
    {                                                                                                        \
#member, offsetof(type, member), sizeof(((type *)0)->member[0]),                                     \
            sizeof(((type *)0)->member) / sizeof(((type *)0)->member[0]), NULL, FIELD_IS_BOOL(type, member)  \
    }
#define FIELD_STRUCT(type, member, table)                                                                    \
    {                                                                                                        \
#member, offsetof(type, member), sizeof(((type *)0)->member), 1, table, false                        \
    }
#define FIELD_STRUCTS(type, member, table)                                                                   \
    {                                                                                                        \
#member, offsetof(type, member), sizeof(((type *)0)->member[0]),                                     \
            sizeof(((type *)0)->member) / sizeof(((type *)0)->member[0]), table, false                       \
    }
#define FIELD_END                                                                                            \
    {                                                                                                        \
        NULL, 0, 0, 0, NULL, false                                                                           \
    }

/* A growing byte buffer that a state is saved into; free with free(data). */
struct state_buf {
    uint8_t *data;
    size_t size, capacity;
};

/* Appends the object's fields to `buf`. False when memory ran out. */
bool fields_save(const struct field *table, const void *object, struct state_buf *buf);

/*
 * Reads the fields from data[0..size) into the object. Returns the bytes consumed, or 0 when they don't match
 * the table; then `why` (of `why_size` bytes) says in a phrase what is wrong and the object may be partly
 * written.
 */
size_t fields_load(const struct field *table, void *object, const uint8_t *data, size_t size, char *why,
                   size_t why_size);

/* One "name = value" line per field, nested names joined by dots, values in hex. */
void fields_print(const struct field *table, const void *object, FILE *out, const char *indent);

/*
 * Compares two objects. Returns false and writes the dotted name of the first difference into `where` when
 * they differ.
 */
bool fields_equal(const struct field *table, const void *a, const void *b, char *where, size_t where_size);

#endif
