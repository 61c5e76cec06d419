/*
 * fields.c - save, load, print and compare, each a walk over a state table.
 *
 * Saved form of a table, all numbers little-endian:
 *
 *     name NUL | u32 count | u32 size (0: elements are tables) | count elements     ... for every field
 *     NUL                                                                           ... an empty name ends it
 *
 * Elements of 1, 2, 4 and 8 bytes are integers; those of another size are bytes as they lie in memory.
 */
#include "core/fields.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define WHERE_SIZE 160

static bool is_integer(size_t size)
{
    return size == 1 || size == 2 || size == 4 || size == 8;
}

static uint64_t get_integer(const uint8_t *at, size_t size)
{
    uint8_t v8;
    uint16_t v16;
    uint32_t v32;
    uint64_t v64;

    switch (size) {
    case 1:
        memcpy(&v8, at, 1);
        return v8;
    case 2:
        memcpy(&v16, at, 2);
        return v16;
    case 4:
        memcpy(&v32, at, 4);
        return v32;
    default:
        memcpy(&v64, at, 8);
        return v64;
    }
}

static void put_integer(uint8_t *at, size_t size, uint64_t value)
{
    uint8_t v8 = (uint8_t)value;
    uint16_t v16 = (uint16_t)value;
    uint32_t v32 = (uint32_t)value;

    switch (size) {
    case 1:
        memcpy(at, &v8, 1);
        break;
    case 2:
        memcpy(at, &v16, 2);
        break;
    case 4:
        memcpy(at, &v32, 4);
        break;
    default:
        memcpy(at, &value, 8);
        break;
    }
}

static uint64_t get_le(const uint8_t *data, size_t size)
{
    uint64_t value = 0;

    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)data[i] << (8 * i);
    return value;
}

/* --- save ---------------------------------------------------------------------------------------- */

static bool append(struct state_buf *buf, const void *data, size_t size)
{
    if (size > buf->capacity - buf->size) {
        size_t capacity = buf->capacity ? buf->capacity : 256;
        while (capacity - buf->size < size) {
            if (capacity > SIZE_MAX / 2)
                return false;
            capacity *= 2;
        }
        uint8_t *grown = realloc(buf->data, capacity);
        if (!grown)
            return false;
        buf->data = grown;
        buf->capacity = capacity;
    }
    memcpy(buf->data + buf->size, data, size);
    buf->size += size;
    return true;
}

static bool append_le(struct state_buf *buf, uint64_t value, size_t size)
{
    uint8_t bytes[8];

    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    return append(buf, bytes, size);
}

static bool save_element(const struct field *f, const uint8_t *at, struct state_buf *buf)
{
    if (f->nested)
        return fields_save(f->nested, at, buf);
    if (is_integer(f->size))
        return append_le(buf, get_integer(at, f->size), f->size);
    return append(buf, at, f->size);
}

bool fields_save(const struct field *table, const void *object, struct state_buf *buf)
{
    for (const struct field *f = table; f->name; f++) {
        if (!append(buf, f->name, strlen(f->name) + 1) || !append_le(buf, f->count, 4) ||
            !append_le(buf, f->nested ? 0 : f->size, 4))
            return false;
        for (size_t i = 0; i < f->count; i++) {
            if (!save_element(f, (const uint8_t *)object + f->offset + i * f->size, buf))
                return false;
        }
    }
    return append(buf, "", 1);
}

/* --- load ---------------------------------------------------------------------------------------- */

struct loader {
    const uint8_t *data;
    size_t size, at;
    char *why;
    size_t why_size;
};

static bool refuse(struct loader *in, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool refuse(struct loader *in, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (in->why_size)
        vsnprintf(in->why, in->why_size, format, args);
    va_end(args);
    return false;
}

static bool load_table(struct loader *in, const struct field *table, uint8_t *object);

/* The next name, in place; NULL when the data ends before its NUL. */
static const char *load_name(struct loader *in)
{
    const uint8_t *name = in->data + in->at;
    const uint8_t *nul = in->at < in->size ? memchr(name, 0, in->size - in->at) : NULL;

    if (!nul)
        return NULL;
    in->at += (size_t)(nul - name) + 1;
    return (const char *)name;
}

static bool load_element(struct loader *in, const struct field *f, uint8_t *to)
{
    if (f->nested)
        return load_table(in, f->nested, to);
    if (in->size - in->at < f->size)
        return refuse(in, "the data ends inside field '%s'", f->name);
    if (is_integer(f->size)) {
        uint64_t value = get_le(in->data + in->at, f->size);
        if (f->boolean && value > 1)
            return refuse(in, "field '%s' is a truth value but holds %" PRIu64, f->name, value);
        put_integer(to, f->size, value);
    } else {
        memcpy(to, in->data + in->at, f->size);
    }
    in->at += f->size;
    return true;
}

/* Is `name` the field that the table has next? Says what is wrong if not. */
static bool match_name(struct loader *in, const struct field *table, const struct field *f, const char *name)
{
    if (!name)
        return refuse(in, "the data ends before field '%s'", f->name ? f->name : "(end)");
    if (strcmp(name, f->name ? f->name : "") == 0)
        return true;
    const struct field *known = table;
    while (known->name && strcmp(known->name, name) != 0)
        known++;
    /* The name may be garbage from a damaged file: show a bounded piece. */
    if (*name && !known->name)
        return refuse(in, "unknown field '%.40s'", name);
    if (!f->name)
        return refuse(in, "field '%.40s' comes twice", name);
    return refuse(in, "field '%s' is missing", f->name);
}

static bool load_table(struct loader *in, const struct field *table, uint8_t *object)
{
    for (const struct field *f = table;; f++) {
        if (!match_name(in, table, f, load_name(in)))
            return false;
        if (!f->name)
            return true;
        if (in->size - in->at < 8)
            return refuse(in, "the data ends inside field '%s'", f->name);
        uint64_t count = get_le(in->data + in->at, 4), size = get_le(in->data + in->at + 4, 4);
        in->at += 8;
        if (count != f->count)
            return refuse(in, "field '%s' has %" PRIu64 " elements, not %zu", f->name, count, f->count);
        if (size != (f->nested ? 0 : f->size))
            return refuse(in, "field '%s' has elements of %" PRIu64 " bytes, not %zu", f->name, size,
                          f->nested ? 0 : f->size);
        for (size_t i = 0; i < f->count; i++) {
            if (!load_element(in, f, object + f->offset + i * f->size))
                return false;
        }
    }
}

size_t fields_load(const struct field *table, void *object, const uint8_t *data, size_t size, char *why,
                   size_t why_size)
{
    struct loader in = {.data = data, .size = size, .why = why, .why_size = why_size};

    return load_table(&in, table, object) ? in.at : 0;
}

/* --- print and compare --------------------------------------------------------------------------- */

/* A path through nested tables; each level knows the one above it. */
struct path {
    const struct path *parent;
    const struct field *field;
    size_t index;
};

static size_t path_text(const struct path *path, char *out, size_t size)
{
    size_t used = 0;

    if (path->parent) {
        used = path_text(path->parent, out, size);
        used += (size_t)snprintf(used < size ? out + used : NULL, used < size ? size - used : 0, ".");
    }
    char *at = used < size ? out + used : NULL;
    size_t left = used < size ? size - used : 0;
    if (path->field->count > 1)
        return used + (size_t)snprintf(at, left, "%s[%zu]", path->field->name, path->index);
    return used + (size_t)snprintf(at, left, "%s", path->field->name);
}

static void print_value(const struct field *f, const uint8_t *at, FILE *out)
{
    if (is_integer(f->size)) {
        fprintf(out, "0x%" PRIx64, get_integer(at, f->size));
        return;
    }
    /* As one number would read: highest byte first. */
    fputs("0x", out);
    for (size_t i = f->size; i-- > 0;)
        fprintf(out, "%02x", at[i]);
}

static void print_table(const struct field *table, const uint8_t *object, FILE *out, const char *indent,
                        const struct path *parent)
{
    for (const struct field *f = table; f->name; f++) {
        struct path path = {.parent = parent, .field = f};
        char name[WHERE_SIZE];

        if (f->nested) {
            for (path.index = 0; path.index < f->count; path.index++)
                print_table(f->nested, object + f->offset + path.index * f->size, out, indent, &path);
            continue;
        }
        /* An array of numbers is one line, so its name carries no index. */
        struct field plain = *f;
        plain.count = 1;
        path.field = &plain;
        path_text(&path, name, sizeof(name));
        fprintf(out, "%s%s =", indent, name);
        for (size_t i = 0; i < f->count; i++) {
            fputc(' ', out);
            print_value(f, object + f->offset + i * f->size, out);
        }
        fputc('\n', out);
    }
}

void fields_print(const struct field *table, const void *object, FILE *out, const char *indent)
{
    print_table(table, object, out, indent ? indent : "", NULL);
}

static bool equal_table(const struct field *table, const uint8_t *a, const uint8_t *b, char *where,
                        size_t where_size, const struct path *parent)
{
    for (const struct field *f = table; f->name; f++) {
        struct path path = {.parent = parent, .field = f};

        for (; path.index < f->count; path.index++) {
            size_t at = f->offset + path.index * f->size;
            if (f->nested) {
                if (!equal_table(f->nested, a + at, b + at, where, where_size, &path))
                    return false;
            } else if (memcmp(a + at, b + at, f->size) != 0) {
                if (where_size)
                    path_text(&path, where, where_size);
                return false;
            }
        }
    }
    return true;
}

bool fields_equal(const struct field *table, const void *a, const void *b, char *where, size_t where_size)
{
    return equal_table(table, a, b, where, where_size, NULL);
}
