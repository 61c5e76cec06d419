/*
 * symbols.c - see symbols.h. ELF and DWARF are read by elfutils.
 */
#include "debug/symbols.h"

#include <elfutils/libdw.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FURTHEST (1ull << 20) /* from a name to what it stands for */
#define LONGEST  255          /* of a name in a list */

struct symbol {
    uint64_t address;
    char *name;
    bool code;
};

struct symbols {
    struct symbol *at; /* by address */
    size_t count, room;
    int fd; /* of the ELF file; -1: none */
    Elf *elf;
    Dwarf *dwarf; /* NULL: not asked for yet, or there is none */
    bool dwarf_tried;
};

static bool add(struct symbols *symbols, uint64_t address, const char *name, bool code)
{
    if (symbols->count == symbols->room) {
        size_t room = symbols->room ? 2 * symbols->room : 1024;
        struct symbol *more = realloc(symbols->at, room * sizeof(*more));
        if (!more)
            return false;
        symbols->at = more;
        symbols->room = room;
    }
    symbols->at[symbols->count] = (struct symbol){address, strdup(name), code};
    return symbols->at[symbols->count].name && ++symbols->count;
}

/* --- Files --------------------------------------------------------------------------------------- */

/* Lines of address, type and name. */
static const char *read_list(struct symbols *symbols, FILE *file)
{
    char line[512], name[LONGEST + 1], type;
    uint64_t address;

    while (fgets(line, sizeof(line), file))
        if (sscanf(line, "%" SCNx64 " %c %255s", &address, &type, name) == 3 && !strchr("aAUN", type) &&
            !add(symbols, address, name, strchr("TtWw", type)))
            return "out of memory";
    return symbols->count ? NULL
                          : "has no line of address, type and name, as nm prints them, nor is it an ELF file";
}

static const char *read_section(struct symbols *symbols, Elf_Scn *section, const GElf_Shdr *header)
{
    Elf_Data *data = elf_getdata(section, NULL);
    size_t count = data && header->sh_entsize ? data->d_size / header->sh_entsize : 0;
    GElf_Sym symbol;

    for (size_t n = 0; n < count && gelf_getsym(data, (int)n, &symbol); n++) {
        unsigned type = GELF_ST_TYPE(symbol.st_info);
        const char *name = elf_strptr(symbols->elf, header->sh_link, symbol.st_name);

        if (!name || !*name || symbol.st_shndx == SHN_UNDEF || symbol.st_shndx == SHN_ABS ||
            (type != STT_FUNC && type != STT_OBJECT && type != STT_NOTYPE))
            continue;
        if (!add(symbols, symbol.st_value, name, type != STT_OBJECT))
            return "out of memory";
    }
    return NULL;
}

static const char *read_elf(struct symbols *symbols, int fd)
{
    Elf_Scn *section = NULL;
    GElf_Shdr header;

    symbols->fd = fd;
    if (elf_version(EV_CURRENT) == EV_NONE || !(symbols->elf = elf_begin(fd, ELF_C_READ_MMAP, NULL)) ||
        elf_kind(symbols->elf) != ELF_K_ELF)
        return "is a broken ELF file";
    while ((section = elf_nextscn(symbols->elf, section))) {
        const char *error = NULL;

        if (gelf_getshdr(section, &header) && header.sh_type == SHT_SYMTAB)
            error = read_section(symbols, section, &header);
        if (error)
            return error;
    }
    return symbols->count ? NULL : "has no symbols: it was stripped";
}

static int by_address(const void *a, const void *b)
{
    const struct symbol *x = a, *y = b;

    return x->address != y->address ? (x->address > y->address) - (x->address < y->address)
                                    : strcmp(x->name, y->name);
}

static const char *read_file(struct symbols *symbols, const char *path)
{
    FILE *file = fopen(path, "re");
    char magic[4];
    const char *error;

    if (!file)
        return strerror(errno);
    if (fread(magic, 1, sizeof(magic), file) == sizeof(magic) && !memcmp(magic, "\177ELF", sizeof(magic))) {
        int fd = dup(fileno(file));
        error = fd < 0 ? strerror(errno) : read_elf(symbols, fd);
    } else {
        rewind(file);
        error = read_list(symbols, file);
    }
    fclose(file);
    return error;
}

struct symbols *symbols_read(const char *path, char *why, size_t why_size)
{
    struct symbols *symbols = calloc(1, sizeof(*symbols));
    const char *error = "out of memory";

    if (symbols) {
        symbols->fd = -1;
        error = read_file(symbols, path);
    }
    if (error) {
        snprintf(why, why_size, "%s: %s", path, error);
        symbols_free(symbols);
        return NULL;
    }
    qsort(symbols->at, symbols->count, sizeof(*symbols->at), by_address);
    return symbols;
}

void symbols_free(struct symbols *symbols)
{
    if (!symbols)
        return;
    for (size_t n = 0; n < symbols->count; n++)
        free(symbols->at[n].name);
    free(symbols->at);
    if (symbols->dwarf)
        dwarf_end(symbols->dwarf);
    if (symbols->elf)
        elf_end(symbols->elf);
    if (symbols->fd >= 0)
        close(symbols->fd);
    free(symbols);
}

/* --- Looking up ---------------------------------------------------------------------------------- */

static const char *name_at(const struct symbols *symbols, uint64_t address, bool code, uint64_t *offset)
{
    size_t low = 0, high = symbols ? symbols->count : 0;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (symbols->at[middle].address <= address)
            low = middle + 1;
        else
            high = middle;
    }
    while (low && code && !symbols->at[low - 1].code && address - symbols->at[low - 1].address < FURTHEST)
        low--;
    if (!low || address - symbols->at[low - 1].address >= FURTHEST)
        return NULL;
    *offset = address - symbols->at[low - 1].address;
    return symbols->at[low - 1].name;
}

const char *symbols_at(const struct symbols *symbols, uint64_t address, uint64_t *offset)
{
    return name_at(symbols, address, false, offset);
}

const char *symbols_code_at(const struct symbols *symbols, uint64_t address, uint64_t *offset)
{
    return name_at(symbols, address, true, offset);
}

const char *symbols_format(const struct symbols *symbols, uint64_t address, char *text, size_t size)
{
    uint64_t offset;
    const char *name = symbols_at(symbols, address, &offset);

    *text = 0;
    if (name && offset)
        snprintf(text, size, "%s+0x%" PRIx64, name, offset);
    else if (name)
        snprintf(text, size, "%s", name);
    return text;
}

bool symbols_find(const struct symbols *symbols, const char *name, uint64_t *address)
{
    for (size_t n = 0; symbols && n < symbols->count; n++) {
        if (strcmp(symbols->at[n].name, name))
            continue;
        *address = symbols->at[n].address;
        return true;
    }
    return false;
}

void symbols_complete(const struct symbols *symbols, const char *start, unsigned most,
                      void (*found)(void *opaque, const char *name), void *opaque)
{
    size_t length = strlen(start);

    for (size_t n = 0; symbols && n < symbols->count && most; n++) {
        if (strncmp(symbols->at[n].name, start, length))
            continue;
        found(opaque, symbols->at[n].name);
        most--;
    }
}

bool symbols_line(struct symbols *symbols, uint64_t address, const char **file, int *line)
{
    Dwarf_Die unit;
    Dwarf_Line *found;

    if (!symbols || !symbols->elf)
        return false;
    if (!symbols->dwarf_tried) {
        symbols->dwarf_tried = true;
        symbols->dwarf = dwarf_begin_elf(symbols->elf, DWARF_C_READ, NULL);
    }
    if (!symbols->dwarf || !dwarf_addrdie(symbols->dwarf, address, &unit))
        return false;
    found = dwarf_getsrc_die(&unit, address);
    if (!found || dwarf_lineno(found, line))
        return false;
    *file = dwarf_linesrc(found, NULL, NULL);
    return *file;
}
