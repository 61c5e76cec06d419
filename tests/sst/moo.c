/*
 * moo.c - reads a file of captured tests.
 *
 * All numbers are little-endian. A file, and the payload of a TEST behind its index, is a row of chunks: four
 * letters, u32 length, payload. Unknown ones are skipped.
 *
 *     MOO    version, reserved, u32 count of tests, processor
 *     RMSK   like REGS: bits of the registers that count, in all tests or in the one whose FINA it is in
 *     TEST   u32 index, then chunks:
 *         NAME   u32 length, text              BYTS   u32 length, the instruction and a HLT
 *         INIT   REGS, RAM                     FINA   REGS of what changed, perhaps RMSK, RAM
 *         EXCP   u8 vector, u32 address where the flags were pushed (one less if that is odd; not used)
 *         HASH   SHA-1
 *     REGS   u16 which of them, a u16 for each   RAM    u32 count, u32 address and u8 value for each
 */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "tests/sst/sst.h"

#define MAX_FILE (64u << 20)

const char *const sst_reg_names[SST_REGS] = {"ax", "bx", "cx", "dx", "cs", "ss", "ds",
                                             "es", "sp", "bp", "si", "di", "ip", "flags"};

struct chunk {
    char name[4];
    const uint8_t *data;
    size_t size;
};

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t get32(const uint8_t *p)
{
    return get16(p) | (uint32_t)get16(p + 2) << 16;
}

/* The chunk at *at of data: 1; 0 at the end; -1 when it sticks out. */
static int next_chunk(const uint8_t *data, size_t size, size_t *at, struct chunk *c)
{
    if (*at == size)
        return 0;
    if (size - *at < 8 || size - *at - 8 < get32(data + *at + 4))
        return -1;
    memcpy(c->name, data + *at, 4);
    c->size = get32(data + *at + 4);
    c->data = data + *at + 8;
    *at += 8 + c->size;
    return 1;
}

static bool is(const struct chunk *c, const char *name)
{
    return memcmp(c->name, name, 4) == 0;
}

/* Registers that are not there keep their values. */
static bool read_regs(const struct chunk *c, uint16_t reg[SST_REGS])
{
    size_t at = 2;
    uint16_t which;

    if (c->size < 2)
        return false;
    which = get16(c->data);
    for (unsigned n = 0; n < 16; n++) {
        if (!(which >> n & 1))
            continue;
        if (c->size - at < 2 || n >= SST_REGS)
            return false;
        reg[n] = get16(c->data + at);
        at += 2;
    }
    return true;
}

static bool read_ram(const struct chunk *c, struct sst_state *state)
{
    if (c->size < 4 || (c->size - 4) / 5 < get32(c->data))
        return false;
    state->ram_count = get32(c->data);
    state->ram = c->data + 4;
    return true;
}

static bool read_state(const struct chunk *c, struct sst_state *state, uint16_t mask[SST_REGS])
{
    struct chunk part;
    size_t at = 0;
    int more;
    bool good = true;

    while (good && (more = next_chunk(c->data, c->size, &at, &part)) > 0) {
        if (is(&part, "REGS"))
            good = read_regs(&part, state->reg);
        else if (is(&part, "RAM "))
            good = read_ram(&part, state);
        else if (is(&part, "RMSK"))
            good = read_regs(&part, mask);
    }
    return good && more == 0;
}

static bool read_text(const struct chunk *c, const uint8_t **text, uint32_t *length)
{
    if (c->size < 4 || c->size - 4 < get32(c->data))
        return false;
    *length = get32(c->data);
    *text = c->data + 4;
    return true;
}

static bool read_part(const struct chunk *c, struct sst_test *t)
{
    const uint8_t *text;
    uint32_t length;

    if (is(c, "NAME")) {
        if (!read_text(c, &text, &length))
            return false;
        snprintf(t->name, sizeof(t->name), "%.*s", (int)(length < 63 ? length : 63), (const char *)text);
    } else if (is(c, "BYTS")) {
        return read_text(c, &t->code, &t->length);
    } else if (is(c, "INIT")) {
        if (!read_state(c, &t->init, t->mask))
            return false;
        memcpy(t->final.reg, t->init.reg, sizeof(t->final.reg));
    } else if (is(c, "FINA")) {
        return read_state(c, &t->final, t->mask);
    } else if (is(c, "EXCP")) {
        if (c->size < 5)
            return false;
        t->exception = true;
        t->vector = c->data[0];
    } else if (is(c, "HASH")) {
        for (unsigned n = 0; n < 20 && n < c->size; n++)
            snprintf(t->hash + 2 * n, 3, "%02x", c->data[n]);
    }
    return true;
}

int sst_next(struct sst_file *file, struct sst_test *t)
{
    struct chunk c, part;
    size_t at = 4;
    int more;

    do {
        more = next_chunk(file->data, file->size, &file->at, &c);
        if (more <= 0)
            return more;
        if (is(&c, "RMSK") && !read_regs(&c, file->mask))
            return -1;
    } while (!is(&c, "TEST"));
    if (c.size < 4)
        return -1;
    memset(t, 0, sizeof(*t));
    t->index = get32(c.data);
    memcpy(t->mask, file->mask, sizeof(t->mask));
    while ((more = next_chunk(c.data, c.size, &at, &part)) > 0) {
        if (!read_part(&part, t))
            return -1;
    }
    return more == 0 && t->length && t->init.ram_count ? 1 : -1;
}

static bool fail(struct sst_file *file, char *why, size_t why_size, const char *what)
{
    snprintf(why, why_size, "%s", what);
    free(file->data);
    file->data = NULL;
    return false;
}

bool sst_open(struct sst_file *file, const char *path, char *why, size_t why_size)
{
    gzFile gz = gzopen(path, "rb");
    size_t room = 1u << 20;
    struct chunk c;
    int got = 0;

    memset(file, 0, sizeof(*file));
    memset(file->mask, 0xff, sizeof(file->mask));
    if (!gz)
        return fail(file, why, why_size, "it can't be opened");
    do {
        uint8_t *data = realloc(file->data, room);

        if (!data)
            break;
        file->data = data;
        got = gzread(gz, data + file->size, (unsigned)(room - file->size));
        file->size += got > 0 ? (size_t)got : 0;
        if (file->size == room)
            room *= 2;
    } while (got > 0 && room <= MAX_FILE);
    gzclose(gz);
    if (got != 0)
        return fail(file, why, why_size, "it can't be unpacked");
    if (next_chunk(file->data, file->size, &file->at, &c) != 1 || !is(&c, "MOO ") || c.size < 8)
        return fail(file, why, why_size, "it has no header");
    file->count = get32(c.data + 4);
    return true;
}

void sst_close(struct sst_file *file)
{
    free(file->data);
    file->data = NULL;
}

uint8_t sst_ram(const struct sst_state *state, uint32_t n, uint32_t *address)
{
    *address = get32(state->ram + 5 * n);
    return state->ram[5 * n + 4];
}
