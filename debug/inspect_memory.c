/*
 * inspect_memory.c - memory: dumps in gdb's formats, disassembly, the map, translations.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "debug/inspect_paging.h"
#include "debug/listing.h"
#include "debug/monitor_internal.h"

#define UNITS_MAX 65536u

/* --- Reading ------------------------------------------------------------------------------------- */

/* Physical memory but for chips, which reading could change. Returns the bytes read. */
static size_t peek_physical(struct bus *memory, uint64_t address, void *data, size_t size)
{
    size_t done = 0;

    while (done < size) {
        uint64_t offset, at = address + done;
        struct region *region = bus_find(memory, at, &offset);
        size_t n = BUS_PAGE - (at & (BUS_PAGE - 1));

        if (!region || region->kind == REGION_IO)
            break;
        if (n > size - done)
            n = size - done;
        bus_read_block(memory, at, (uint8_t *)data + done, n);
        done += n;
    }
    return done;
}

static size_t peek(struct monitor_call *call, bool physical, uint64_t address, void *data, size_t size)
{
    return physical ? peek_physical(call->machine->memory, address, data, size)
                    : cpu_peek(call->machine->cpu, address, data, size);
}

bool monitor_save_memory(struct monitor *monitor, uint64_t address, uint64_t size, bool physical,
                         const char *path, char *why, size_t why_size)
{
    struct machine *m = monitor->machine;
    FILE *out = fopen(path, "wbe");
    uint64_t gap = UINT64_MAX;
    uint8_t page[BUS_PAGE];

    snprintf(why, why_size, "cannot write %.200s", path);
    if (!out)
        return false;
    machine_look(m);
    for (uint64_t at = 0, n; at < size && gap == UINT64_MAX && !ferror(out); at += n) {
        n = size - at < sizeof(page) ? size - at : sizeof(page);
        size_t got = physical ? peek_physical(m->memory, address + at, page, n)
                              : cpu_peek(m->cpu, address + at, page, n);

        fwrite(page, 1, got, out);
        if (got < n)
            gap = address + at + got;
    }
    machine_look_away(m, false);
    bool done = !ferror(out);
    if (fclose(out) || !done)
        return false;
    snprintf(why, why_size, "there is no memory at %" PRIx64, gap);
    return gap == UINT64_MAX;
}

/* --- x and xp ------------------------------------------------------------------------------------ */

/* "3i", "16xb", "gx": count, format and size in any order behind the count. */
static bool take_format(struct monitor_call *call, struct monitor_place *place, unsigned *count)
{
    char *end;
    unsigned long number = strtoul(call->format, &end, 10);

    *count = end != call->format ? (unsigned)(number > UNITS_MAX ? UNITS_MAX : number) : 1;
    for (; *end; end++) {
        if (strchr("xduotcsia", *end))
            place->format = *end;
        else if (strchr("bhwg", *end))
            place->size = *end;
        else
            return monitor_fail(
                call, "there is no format \"%c\"; there are x d u o t c s i a, and sizes b h w g", *end);
        if (*end == 'c' && !strpbrk(call->format, "bhwg"))
            place->size = 'b';
        if (*end == 'a')
            place->size = 'g';
    }
    return true;
}

static unsigned unit_size(char size)
{
    return size == 'b' ? 1 : size == 'h' ? 2 : size == 'w' ? 4 : 8;
}

static void print_bits(uint64_t value, unsigned bits, FILE *out)
{
    while (bits--)
        putc(value >> bits & 1 ? '1' : '0', out);
}

static void print_character(unsigned char c, FILE *out)
{
    if (isprint(c) && c != '\\' && c != '"' && c < 0x7f)
        putc(c, out);
    else
        fprintf(out, c == '\n' ? "\\n" : c == '\\' || c == '"' ? "\\%c" : "\\x%02x", c);
}

static void print_unit(struct monitor_call *call, const struct monitor_place *place, uint64_t value)
{
    unsigned size = unit_size(place->size);
    int64_t number = size == 8   ? (int64_t)value
                     : size == 4 ? (int32_t)value
                     : size == 2 ? (int16_t)value
                                 : (int8_t)value;

    putc(' ', call->out);
    switch (place->format) {
    case 'd':
        fprintf(call->out, "%" PRId64, number);
        break;
    case 'u':
        fprintf(call->out, "%" PRIu64, value);
        break;
    case 'o':
        fprintf(call->out, "0%" PRIo64, value);
        break;
    case 't':
        print_bits(value, size * 8, call->out);
        break;
    case 'c':
        putc('\'', call->out);
        print_character((unsigned char)value, call->out);
        putc('\'', call->out);
        break;
    default:
        fprintf(call->out, "0x%0*" PRIx64, (int)size * 2, value);
    }
    if (place->format == 'a')
        monitor_print_symbol(call, value);
}

static bool dump_units(struct monitor_call *call, struct monitor_place *place, unsigned count)
{
    unsigned size = unit_size(place->size), per_line = place->format == 't' ? 8 / size : 16 / size;

    if (place->format == 'a' || !per_line)
        per_line = 1;
    for (unsigned n = 0; n < count; n++, place->address += size) {
        uint64_t value = 0;

        if (n % per_line == 0) {
            fprintf(call->out, "%016" PRIx64, place->address);
            if (!place->physical)
                monitor_print_symbol(call, place->address);
            putc(':', call->out);
        }
        if (peek(call, place->physical, place->address, &value, size) != size) {
            putc('\n', call->out);
            return monitor_fail(call, "there is no memory at %s%" PRIx64, place->physical ? "physical " : "",
                                place->address);
        }
        print_unit(call, place, value);
        if (n % per_line == per_line - 1 || n == count - 1)
            putc('\n', call->out);
    }
    return true;
}

static bool dump_strings(struct monitor_call *call, struct monitor_place *place, unsigned count)
{
    for (unsigned n = 0; n < count; n++) {
        unsigned length = 0;
        unsigned char c = 0;

        fprintf(call->out, "%016" PRIx64 ": \"", place->address);
        for (; length < 1000; length++) {
            if (peek(call, place->physical, place->address++, &c, 1) != 1) {
                fprintf(call->out, "\"\n");
                return monitor_fail(call, "there is no memory at %" PRIx64, place->address - 1);
            }
            if (!c)
                break;
            print_character(c, call->out);
        }
        fprintf(call->out, "\"%s\n", c ? "..." : "");
    }
    return true;
}

/* Instructions, and where they jump to. */
static bool dump_code(struct monitor_call *call, struct monitor_place *place, unsigned count)
{
    const struct cpu_state *s = cpu_state(call->machine->cpu);
    unsigned bits = cpu_code_bits(s);
    uint64_t here = s->seg[CS].base + s->rip;

    for (unsigned n = 0; n < count; n++) {
        uint8_t code[15];
        size_t size = peek(call, place->physical, place->address, code, sizeof(code));
        uint64_t offset;

        if (!size)
            return monitor_fail(call, "there is no memory at %" PRIx64, place->address);
        const char *name =
            place->physical ? NULL : symbols_at(call->monitor->symbols, place->address, &offset);
        if (name && (!n || !offset))
            fprintf(call->out, offset ? "%s+0x%" PRIx64 ":\n" : "%s:\n", name, offset);
        place->address +=
            listing_one(call->out, bits, place->address, code, size,
                        !place->physical && place->address == here ? code : NULL, call->monitor->symbols);
    }
    return true;
}

static bool dump(struct monitor_call *call, bool physical)
{
    struct monitor_place *place = &call->monitor->next;
    unsigned count;

    if (!take_format(call, place, &count))
        return false;
    if (call->argc > 1 && !monitor_value(call, call->argv[1], &place->address))
        return false;
    place->physical = physical;
    if (!place->format)
        place->format = 'x';
    if (!place->size)
        place->size = 'w';
    return place->format == 'i'   ? dump_code(call, place, count)
           : place->format == 's' ? dump_strings(call, place, count)
                                  : dump_units(call, place, count);
}

bool monitor_x(struct monitor_call *call)
{
    return dump(call, false);
}

bool monitor_xp(struct monitor_call *call)
{
    return dump(call, true);
}

bool monitor_disas(struct monitor_call *call)
{
    const struct cpu_state *s = cpu_state(call->machine->cpu);
    struct monitor_place place = {.address = s->seg[CS].base + s->rip};
    uint64_t count = 10;

    if (cpu_code_bits(s) != 64)
        place.address &= UINT32_MAX;
    if (call->argc > 1 && !monitor_value(call, call->argv[1], &place.address))
        return false;
    if (call->argc > 2 && !monitor_value(call, call->argv[2], &count))
        return false;
    return dump_code(call, &place, count > UNITS_MAX ? UNITS_MAX : (unsigned)count);
}

/* --- Ports --------------------------------------------------------------------------------------- */

/* The port, and by the format how many bytes. */
static bool take_port(struct monitor_call *call, uint64_t *port, unsigned *size)
{
    if (strcmp(call->format, "b") && strcmp(call->format, "h") && strcmp(call->format, "w") && *call->format)
        return monitor_fail(call, "a port has b, h or w: 1, 2 or 4 bytes, not \"%.20s\"", call->format);
    *size = *call->format ? unit_size(*call->format) : 1;
    if (!monitor_value(call, call->argv[1], port))
        return false;
    return *port <= UINT16_MAX || monitor_fail(call, "there is no port %" PRIx64, *port);
}

bool monitor_in(struct monitor_call *call)
{
    uint64_t port;
    unsigned size;

    if (!take_port(call, &port, &size))
        return false;
    fprintf(call->out, "port %04" PRIx64 ": 0x%0*" PRIx64 "\n", port, (int)size * 2,
            bus_read(call->machine->ports, port, size));
    return true;
}

bool monitor_out(struct monitor_call *call)
{
    uint64_t port, value;
    unsigned size;

    if (!take_port(call, &port, &size) || !monitor_value(call, call->argv[2], &value))
        return false;
    bus_write(call->machine->ports, port, value, size);
    return true;
}

/* --- Translations -------------------------------------------------------------------------------- */

bool info_paging(struct monitor_call *call)
{
    struct paging_view view = paging_view_of(call->machine->cpu, call->machine->memory);
    uint64_t address;

    if (!monitor_value(call, call->argv[1], &address))
        return false;
    paging_explain(&view, address, call->out);
    return true;
}

bool info_mem(struct monitor_call *call)
{
    struct paging_view view = paging_view_of(call->machine->cpu, call->machine->memory);

    paging_list(&view, false, call->out);
    return true;
}

bool info_tlb(struct monitor_call *call)
{
    struct paging_view view = paging_view_of(call->machine->cpu, call->machine->memory);

    paging_list(&view, true, call->out);
    return true;
}

/* --- The map ------------------------------------------------------------------------------------- */

static void print_map(struct monitor_call *call, const char *title, struct bus *bus, int digits)
{
    static const char *const kinds[] = {"RAM", "ROM", "chip"};

    fprintf(call->out, "%s, from-to, kind, rank:\n", title);
    for (const struct region *r = bus_first(bus); r; r = r->next)
        fprintf(call->out, "  %0*" PRIx64 "-%0*" PRIx64 " %-4s %2d %s%s\n", digits, r->base, digits,
                r->base + r->size - 1, kinds[r->kind], r->priority, r->name, r->enabled ? "" : " (off)");
}

bool info_mtree(struct monitor_call *call)
{
    print_map(call, "Memory", call->machine->memory, 16);
    print_map(call, "Ports", call->machine->ports, 4);
    fprintf(call->out, "Where several cover an address, the highest rank answers, and of these the last.\n");
    return true;
}
