/*
 * gdb_memory.c - packets of GDB's that read and write memory and registers, and those for breakpoints.
 */
#include "debug/gdb_internal.h"

/* --- Memory --------------------------------------------------------------------------------------- */

static struct bus *memory_of(const struct gdb *g)
{
    struct cpu_config config;

    cpu_get_config(gdb_cpu(g), &config);
    return config.memory;
}

/* The piece of the page at `address` that is RAM or ROM: its length up to `size`, 0 if there is none. */
static size_t piece(struct gdb *g, struct bus *memory, uint64_t address, size_t size, bool write,
                    uint64_t *physical)
{
    size_t left = BUS_PAGE - (address & (BUS_PAGE - 1));
    struct region *r;
    uint64_t offset;

    *physical = g->physical ? address : cpu_translate(gdb_cpu(g), address);
    r = *physical == UINT64_MAX ? NULL : bus_find(memory, *physical, &offset);
    if (!r || (r->kind != REGION_RAM && (write || r->kind != REGION_ROM)))
        return 0;
    return size < left ? size : left;
}

size_t gdb_read_memory(struct gdb *g, uint64_t address, void *data, size_t size)
{
    struct bus *memory = memory_of(g);
    size_t at = 0, n;
    uint64_t physical;

    for (; at < size && (n = piece(g, memory, address + at, size - at, false, &physical)); at += n)
        bus_read_block(memory, physical, (uint8_t *)data + at, n);
    return at;
}

size_t gdb_write_memory(struct gdb *g, uint64_t address, const void *data, size_t size)
{
    struct bus *memory = memory_of(g);
    size_t at = 0, n;
    uint64_t physical;

    for (; at < size && (n = piece(g, memory, address + at, size - at, true, &physical)); at += n)
        bus_write_block(memory, physical, (const uint8_t *)data + at, n);
    return at;
}

void gdb_packet_m(struct gdb *g, const char *text)
{
    static const size_t most = GDB_PACKET_SIZE / 2;
    uint64_t address, size;
    uint8_t data[GDB_PACKET_SIZE / 2];
    size_t got;

    if (!gdb_get_range(&text, &address, &size)) {
        gdb_refuse(g, E_SYNTAX);
        return;
    }
    got = gdb_read_memory(g, address, data, size < most ? size : most);
    if (!got && size) {
        gdb_refuse(g, E_MEMORY);
        return;
    }
    gdb_begin(&g->writer);
    gdb_put_hex(&g->writer, data, got);
    gdb_end(&g->writer);
    gdb_send_reply(g);
}

/* `data` after the colon, `have` bytes of it. */
static void write_memory(struct gdb *g, uint64_t address, uint64_t size, const void *data, size_t have)
{
    if (size != have)
        gdb_refuse(g, E_SYNTAX);
    else if (gdb_write_memory(g, address, data, have) != have)
        gdb_refuse(g, E_MEMORY);
    else
        gdb_done(g);
}

void gdb_packet_M(struct gdb *g, const char *text)
{
    uint8_t data[GDB_PACKET_SIZE / 2];
    uint64_t address, size;

    if (!gdb_get_range(&text, &address, &size) || *text++ != ':') {
        gdb_refuse(g, E_SYNTAX);
        return;
    }
    write_memory(g, address, size, data, gdb_get_hex(text, data, sizeof(data)));
}

void gdb_packet_X(struct gdb *g, const char *text)
{
    uint64_t address, size;

    if (!gdb_get_range(&text, &address, &size) || *text++ != ':') {
        gdb_refuse(g, E_SYNTAX);
        return;
    }
    write_memory(g, address, size, text, (size_t)(g->reader.data + g->reader.size - text));
}

/* --- Registers ------------------------------------------------------------------------------------ */

void gdb_changed(struct gdb *g)
{
    if (g->target->changed)
        g->target->changed(g->target->opaque, g->cpu);
}

void gdb_packet_g(struct gdb *g)
{
    uint8_t value[GDB_REGISTER_MAX];

    gdb_begin(&g->writer);
    for (unsigned n = 0; n < gdb_register_count(g->described); n++)
        gdb_put_hex(&g->writer, value, gdb_register_get(g->described, gdb_cpu(g), n, value));
    gdb_end(&g->writer);
    gdb_send_reply(g);
}

void gdb_packet_G(struct gdb *g, const char *text)
{
    uint8_t value[GDB_REGISTER_MAX];

    for (unsigned n = 0; n < gdb_register_count(g->described); n++) {
        size_t size = gdb_register_size(g->described, n);

        if (gdb_get_hex(text, value, size) != size)
            break;
        gdb_register_set(g->described, gdb_cpu(g), n, value); /* what can't be written stays */
        text += 2 * size;
    }
    gdb_changed(g);
    gdb_done(g);
}

static bool get_register_number(struct gdb *g, const char **text, unsigned *n)
{
    uint64_t number;

    if (!gdb_get_number(text, &number) || number >= gdb_register_count(g->described))
        return false;
    *n = (unsigned)number;
    return true;
}

void gdb_packet_p(struct gdb *g, const char *text)
{
    uint8_t value[GDB_REGISTER_MAX];
    unsigned n;

    if (!get_register_number(g, &text, &n)) {
        gdb_refuse(g, E_SYNTAX);
        return;
    }
    gdb_begin(&g->writer);
    gdb_put_hex(&g->writer, value, gdb_register_get(g->described, gdb_cpu(g), n, value));
    gdb_end(&g->writer);
    gdb_send_reply(g);
}

void gdb_packet_P(struct gdb *g, const char *text)
{
    uint8_t value[GDB_REGISTER_MAX];
    size_t size;
    unsigned n;

    if (!get_register_number(g, &text, &n) || *text++ != '=') {
        gdb_refuse(g, E_SYNTAX);
        return;
    }
    size = gdb_register_size(g->described, n);
    if (gdb_get_hex(text, value, size) != size) {
        gdb_refuse(g, E_SYNTAX);
    } else if (!gdb_register_set(g->described, gdb_cpu(g), n, value)) {
        gdb_refuse(g, E_REGISTER);
    } else {
        gdb_changed(g);
        gdb_done(g);
    }
}

/* --- Breakpoints ---------------------------------------------------------------------------------- */

/* `Z type,address,kind`: 0 and 1 execution, 2 to 4 data that is written, read, either. */
void gdb_packet_Z(struct gdb *g, const char *text, bool insert)
{
    static const enum cpu_stop_kind kinds[] = {CPU_STOP_EXECUTE, CPU_STOP_EXECUTE, CPU_STOP_WRITE,
                                               CPU_STOP_READ, CPU_STOP_ACCESS};
    unsigned type = (unsigned)(text[0] - '0');
    struct cpu_stop stop = {0};

    if (type >= sizeof(kinds) / sizeof(kinds[0])) {
        gdb_reply(g, "");
        return;
    }
    text += 2;
    if (text[-1] != ',' || !gdb_get_range(&text, &stop.address, &stop.size)) {
        gdb_refuse(g, E_SYNTAX);
        return;
    }
    stop.kind = kinds[type];
    stop.owner = gdb_owner(g, type);
    stop.physical = g->physical && type >= 2;
    if (insert && !gdb_add_stop(g, &stop)) {
        gdb_refuse(g, E_ROOM);
        return;
    }
    if (!insert && !gdb_remove_stop(g, &stop)) { /* set before `monitor phys` was turned */
        stop.physical = !stop.physical;
        gdb_remove_stop(g, &stop);
    }
    gdb_done(g);
}
