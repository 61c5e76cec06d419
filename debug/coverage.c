/*
 * coverage.c - gathers what ran and writes it; see coverage.h.
 *
 * The CPU names each stretch of code when it is about to run for the first time since it was decoded; a
 * stretch ends at a branch. They are kept in a hash set, so naming one twice costs nothing but the look-up.
 */
#define _GNU_SOURCE
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "debug/coverage.h"

#define FIRST_SIZE 4096u

struct stretch {
    uint64_t start;
    uint32_t size; /* bytes; 0: an empty place of the set */
};

struct coverage {
    const char *path, *image;
    FILE *out;
    Dwarf *debug; /* NULL: for drcov */
    Elf *elf;
    int fd;
    uint64_t first, end; /* the image's linear addresses */
    struct stretch *set;
    size_t places, used; /* places: a power of two */
    bool lost;           /* memory ran out */
};

static size_t place_of(const struct coverage *c, uint64_t start)
{
    size_t place = (size_t)((start * 0x9E3779B97F4A7C15u) >> 32) & (c->places - 1);

    while (c->set[place].size && c->set[place].start != start)
        place = (place + 1) & (c->places - 1);
    return place;
}

static void grow(struct coverage *c)
{
    struct coverage larger = *c;

    larger.places = c->places * 2;
    larger.set = calloc(larger.places, sizeof(*larger.set));
    if (!larger.set) {
        c->lost = true;
        return;
    }
    for (size_t n = 0; n < c->places; n++)
        if (c->set[n].size)
            larger.set[place_of(&larger, c->set[n].start)] = c->set[n];
    free(c->set);
    *c = larger;
}

/* On the CPU's thread. */
static void ran(void *opaque, uint64_t linear, uint32_t size, bool user)
{
    struct coverage *c = opaque;

    if (user || linear >= c->end || linear + size <= c->first || c->lost)
        return;
    struct stretch *stretch = &c->set[place_of(c, linear)];
    if (!stretch->size) {
        stretch->start = linear;
        c->used++;
    }
    if (stretch->size < size)
        stretch->size = size;
    if (c->used * 2 > c->places)
        grow(c);
}

struct cpu_cover coverage_watch(struct coverage *coverage)
{
    return (struct cpu_cover){.ran = ran, .opaque = coverage};
}

/* --- The image --------------------------------------------------------------------------------------------
 */

/* The extent of what is loaded; false when there is nothing. */
static bool find_extent(struct coverage *c)
{
    size_t count;

    c->first = UINT64_MAX;
    if (elf_kind(c->elf) != ELF_K_ELF || elf_getphdrnum(c->elf, &count))
        return false;
    for (size_t n = 0; n < count; n++) {
        GElf_Phdr segment;
        if (!gelf_getphdr(c->elf, (int)n, &segment) || segment.p_type != PT_LOAD || !segment.p_memsz)
            continue;
        if (segment.p_vaddr < c->first)
            c->first = segment.p_vaddr;
        if (segment.p_vaddr + segment.p_memsz > c->end)
            c->end = segment.p_vaddr + segment.p_memsz;
    }
    return c->first < c->end;
}

static bool open_image(struct coverage *c, bool lines, char *why, size_t why_size)
{
    c->fd = open(c->image, O_RDONLY | O_CLOEXEC);
    if (c->fd < 0) {
        snprintf(why, why_size, "--coverage: %s: %s", c->image, strerror(errno));
        return false;
    }
    elf_version(EV_CURRENT);
    c->elf = elf_begin(c->fd, ELF_C_READ, NULL);
    if (!c->elf || !find_extent(c)) {
        snprintf(why, why_size, "--coverage: %s is no ELF file with code; name one with --symbols", c->image);
        return false;
    }
    if (lines)
        c->debug = dwarf_begin_elf(c->elf, DWARF_C_READ, NULL);
    if (lines && !c->debug)
        snprintf(
            why, why_size,
            "--coverage: %s has no debug information; compile it with -g, or write to a file named .drcov",
            c->image);
    return !lines || c->debug;
}

static void free_coverage(struct coverage *c)
{
    if (c->debug)
        dwarf_end(c->debug);
    if (c->elf)
        elf_end(c->elf);
    if (c->fd >= 0)
        close(c->fd);
    if (c->out)
        fclose(c->out);
    free(c->set);
    free(c);
}

static bool is_drcov(const char *path)
{
    size_t length = strlen(path);

    return length >= 6 && !strcmp(path + length - 6, ".drcov");
}

struct coverage *coverage_open(const char *path, const char *image, char *why, size_t why_size)
{
    struct coverage *c = calloc(1, sizeof(*c));

    snprintf(why, why_size, "out of memory");
    if (!c)
        return NULL;
    *c = (struct coverage){.path = path, .image = image, .fd = -1, .places = FIRST_SIZE};
    c->set = calloc(c->places, sizeof(*c->set));
    if (c->set && open_image(c, !is_drcov(path), why, why_size)) {
        c->out = fopen(path, "w");
        if (c->out)
            return c;
        snprintf(why, why_size, "--coverage: cannot write %s: %s", path, strerror(errno));
    }
    free_coverage(c);
    return NULL;
}

/* --- Writing ----------------------------------------------------------------------------------------------
 */

static int by_start(const void *left, const void *right)
{
    const struct stretch *a = left, *b = right;

    return a->start < b->start ? -1 : a->start > b->start;
}

/* The set becomes a sorted list of `used` stretches. */
static void sort(struct coverage *c)
{
    size_t to = 0;

    for (size_t n = 0; n < c->places; n++)
        if (c->set[n].size)
            c->set[to++] = c->set[n];
    qsort(c->set, c->used, sizeof(*c->set), by_start);
}

/*
 * Whether anything of [first, end) ran. Stretches may overlap, where code was entered in the middle; none is
 * longer than a page.
 */
static bool did_run(const struct coverage *c, uint64_t first, uint64_t end)
{
    size_t low = 0, high = c->used;

    while (low < high) { /* the first stretch that starts at or behind `end` */
        size_t middle = low + (high - low) / 2;
        if (c->set[middle].start < end)
            low = middle + 1;
        else
            high = middle;
    }
    while (low-- && c->set[low].start + 4096 > first)
        if (c->set[low].start + c->set[low].size > first)
            return true;
    return false;
}

/* drcov, version 2: a table of one module, and of each stretch its offset in it, its size, the module. */
static void write_drcov(const struct coverage *c)
{
    fprintf(c->out,
            "DRCOV VERSION: 2\nDRCOV FLAVOR: drcov\nModule Table: version 2, count 1\n"
            "Columns: id, base, end, entry, checksum, timestamp, path\n"
            "0, 0x%016" PRIx64 ", 0x%016" PRIx64 ", 0x0, 0x0, 0x0, %s\nBB Table: %zu bbs\n",
            c->first, c->end, c->image, c->used);
    for (size_t n = 0; n < c->used; n++) {
        uint64_t offset = c->set[n].start - c->first;
        uint8_t entry[8] = {(uint8_t)offset,
                            (uint8_t)(offset >> 8),
                            (uint8_t)(offset >> 16),
                            (uint8_t)(offset >> 24),
                            (uint8_t)c->set[n].size,
                            (uint8_t)(c->set[n].size >> 8),
                            0,
                            0};
        fwrite(entry, sizeof(entry), 1, c->out);
    }
}

struct line {
    const char *file;
    int number;
    bool ran;
};

struct lines {
    struct line *line;
    size_t count, room;
};

static void add_line(struct coverage *c, struct lines *lines, const char *file, int number, bool line_ran)
{
    if (lines->count == lines->room) {
        size_t room = lines->room ? 2 * lines->room : 1024;
        struct line *more = realloc(lines->line, room * sizeof(*more));
        if (!more) {
            c->lost = true;
            return;
        }
        lines->line = more;
        lines->room = room;
    }
    lines->line[lines->count++] = (struct line){file, number, line_ran};
}

/* The lines of a compilation unit: each row of its table reaches to the next one's address. */
static void add_unit(struct coverage *c, struct lines *lines, Dwarf_Die *unit)
{
    Dwarf_Lines *rows;
    size_t count;

    if (dwarf_getsrclines(unit, &rows, &count))
        return;
    for (size_t n = 0; n + 1 < count; n++) {
        Dwarf_Line *row = dwarf_onesrcline(rows, n), *next = dwarf_onesrcline(rows, n + 1);
        Dwarf_Addr address, end;
        bool last;
        int number;
        const char *file = dwarf_linesrc(row, NULL, NULL);
        if (!file || dwarf_lineno(row, &number) || !number || dwarf_lineaddr(row, &address) ||
            dwarf_lineaddr(next, &end) || dwarf_lineendsequence(row, &last) || last || end <= address)
            continue;
        add_line(c, lines, file, number, did_run(c, address, end));
    }
}

static int by_place(const void *left, const void *right)
{
    const struct line *a = left, *b = right;
    int order = strcmp(a->file, b->file);

    return order ? order : a->number != b->number ? (a->number < b->number ? -1 : 1) : 0;
}

/* lcov's trace file. A line that is several pieces of code ran if one of them did. */
static void write_lcov(struct coverage *c)
{
    struct lines lines = {.line = NULL};
    Dwarf_Off at = 0, next;
    size_t header, found = 0, hit = 0;

    for (; !dwarf_nextcu(c->debug, at, &next, &header, NULL, NULL, NULL); at = next) {
        Dwarf_Die unit;
        if (dwarf_offdie(c->debug, at + header, &unit))
            add_unit(c, &lines, &unit);
    }
    if (lines.count)
        qsort(lines.line, lines.count, sizeof(*lines.line), by_place);
    for (size_t n = 0; n < lines.count;) {
        const struct line *line = &lines.line[n];
        bool line_ran = false;
        if (!n || strcmp(line->file, lines.line[n - 1].file)) {
            fprintf(c->out, "TN:\nSF:%s\n", line->file);
            found = hit = 0;
        }
        for (; n < lines.count && !by_place(line, &lines.line[n]); n++)
            line_ran = line_ran || lines.line[n].ran;
        fprintf(c->out, "DA:%d,%d\n", line->number, line_ran);
        found++;
        hit += line_ran;
        if (n == lines.count || strcmp(line->file, lines.line[n].file))
            fprintf(c->out, "LF:%zu\nLH:%zu\nend_of_record\n", found, hit);
    }
    free(lines.line);
}

bool coverage_close(struct coverage *c, char *why, size_t why_size)
{
    bool good;

    if (!c)
        return true;
    sort(c);
    if (c->debug)
        write_lcov(c);
    else
        write_drcov(c);
    good = !c->lost && !ferror(c->out);
    if (fclose(c->out))
        good = false;
    c->out = NULL;
    if (!good)
        snprintf(why, why_size, "--coverage: cannot write %s: %s", c->path,
                 c->lost ? "out of memory" : strerror(errno));
    free_coverage(c);
    return good;
}
