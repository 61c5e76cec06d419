/*
 * fw_cfg.c - the firmware configuration device; see fw_cfg.h for what the guest sees.
 *
 * In: ports, and what the machine adds. Out: bytes, also by DMA. What is in writable files after the guest
 * wrote to them is not part of the saved state; no file of this machine is writable.
 */
#include "devices/fw_cfg.h"

#include <stdlib.h>
#include <string.h>

#define PORT_BASE   0x510
#define PORT_COUNT  12
#define OFFSET_ITEM 0
#define OFFSET_DATA 1
#define OFFSET_DMA  4

#define ITEM_SIGNATURE  0x00
#define ITEM_FEATURES   0x01
#define ITEM_DIRECTORY  0x19
#define ITEM_FIRST_FILE 0x20
#define ITEM_WRITE      0x4000 /* a flag of old; means nothing */

#define FEATURE_PORTS 1
#define FEATURE_DMA   2

#define CONTROL_ERROR  0x01
#define CONTROL_READ   0x02
#define CONTROL_SKIP   0x04
#define CONTROL_SELECT 0x08
#define CONTROL_WRITE  0x10

#define CHUNK      4096u
#define ITEMS      24 /* with numbers of their own, at most */
#define ENTRY_SIZE (8 + FW_CFG_NAME_SIZE)

struct item {
    uint16_t number;
    char name[FW_CFG_NAME_SIZE]; /* files only */
    uint8_t *data;
    size_t size;
    struct fw_cfg_file hooks; /* files only */
};

struct fw_cfg {
    struct log *log;
    struct bus *memory;
    struct item items[ITEMS];
    unsigned item_count;
    struct item files[FW_CFG_FILES]; /* in order of names; number ITEM_FIRST_FILE + index */
    unsigned file_count;
    uint8_t directory[4 + FW_CFG_FILES * ENTRY_SIZE];

    uint16_t selected;
    uint64_t position; /* in the item; may be past its end */
    uint32_t dma_high;
};

static const uint8_t dma_signature[8] = "QEMU CFG";

static void put_be(uint8_t *at, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        at[i] = (uint8_t)(value >> 8 * (size - 1 - i));
}

static uint64_t get_be(const uint8_t *at, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value = value << 8 | at[i];
    return value;
}

/* --- What there is ----------------------------------------------------------------------------------------
 */

static struct item *find_item(struct fw_cfg *cfg, unsigned number)
{
    if (number >= ITEM_FIRST_FILE && number < ITEM_FIRST_FILE + cfg->file_count)
        return &cfg->files[number - ITEM_FIRST_FILE];
    for (unsigned i = 0; i < cfg->item_count; i++)
        if (cfg->items[i].number == number)
            return &cfg->items[i];
    return NULL;
}

/* The selected item's bytes; none when there is no such item. */
static const uint8_t *contents(struct fw_cfg *cfg, size_t *size)
{
    const struct item *item = find_item(cfg, cfg->selected);

    if (cfg->selected == ITEM_DIRECTORY) {
        *size = 4 + (size_t)cfg->file_count * ENTRY_SIZE;
        return cfg->directory;
    }
    *size = item ? item->size : 0;
    return item ? item->data : NULL;
}

static bool set_data(struct item *item, const void *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    if (!copy)
        return false;
    if (size)
        memcpy(copy, data, size);
    free(item->data);
    item->data = copy;
    item->size = size;
    return true;
}

bool fw_cfg_add(struct fw_cfg *cfg, unsigned number, const void *data, size_t size)
{
    struct item *item = find_item(cfg, number);
    bool is_file = number >= ITEM_FIRST_FILE && number < ITEM_FIRST_FILE + FW_CFG_FILES;

    if (number > UINT16_MAX || number == ITEM_DIRECTORY || is_file || (!item && cfg->item_count == ITEMS))
        return false;
    if (!item) {
        item = &cfg->items[cfg->item_count];
        *item = (struct item){.number = (uint16_t)number};
    }
    if (!set_data(item, data, size))
        return false;
    if (item == &cfg->items[cfg->item_count])
        cfg->item_count++;
    return true;
}

static void write_directory(struct fw_cfg *cfg)
{
    memset(cfg->directory, 0, sizeof(cfg->directory));
    put_be(cfg->directory, cfg->file_count, 4);
    for (unsigned i = 0; i < cfg->file_count; i++) {
        uint8_t *entry = cfg->directory + 4 + i * ENTRY_SIZE;

        put_be(entry, cfg->files[i].size, 4);
        put_be(entry + 4, ITEM_FIRST_FILE + i, 2);
        memcpy(entry + 8, cfg->files[i].name, FW_CFG_NAME_SIZE);
    }
}

/* The place of `name` among the files; *found: it is there already. */
static unsigned place_of(const struct fw_cfg *cfg, const char *name, bool *found)
{
    unsigned i = 0;

    while (i < cfg->file_count && strcmp(cfg->files[i].name, name) < 0)
        i++;
    *found = i < cfg->file_count && !strcmp(cfg->files[i].name, name);
    return i;
}

bool fw_cfg_add_file(struct fw_cfg *cfg, const struct fw_cfg_file *file)
{
    struct item new = {.hooks = *file};
    bool found;
    unsigned at = place_of(cfg, file->name, &found);

    if (!*file->name || strlen(file->name) >= FW_CFG_NAME_SIZE || file->size > UINT32_MAX ||
        (!found && cfg->file_count == FW_CFG_FILES) || !set_data(&new, file->data, file->size))
        return false;
    strcpy(new.name, file->name);
    new.hooks.name = NULL; /* the caller's */
    new.hooks.data = NULL;
    if (found) {
        free(cfg->files[at].data);
    } else {
        memmove(&cfg->files[at + 1], &cfg->files[at], (cfg->file_count - at) * sizeof(new));
        cfg->file_count++;
    }
    cfg->files[at] = new;
    write_directory(cfg);
    return true;
}

const uint8_t *fw_cfg_find_file(const struct fw_cfg *cfg, const char *name, size_t *size)
{
    bool found;
    unsigned at = place_of(cfg, name, &found);

    *size = found ? cfg->files[at].size : 0;
    return found ? cfg->files[at].data : NULL;
}

/* --- What the guest does with it --------------------------------------------------------------------------
 */

static void select_item(struct fw_cfg *cfg, uint16_t number)
{
    const struct item *item;

    cfg->selected = number & (uint16_t)~ITEM_WRITE;
    cfg->position = 0;
    item = find_item(cfg, cfg->selected);
    if (item && item->hooks.selected)
        item->hooks.selected(item->hooks.opaque);
}

static uint8_t next_byte(struct fw_cfg *cfg)
{
    size_t size;
    const uint8_t *data = contents(cfg, &size);

    return cfg->position < size ? data[cfg->position++] : 0;
}

/* Copies to guest memory, with zeros for what is past the item's end. */
static void dma_read(struct fw_cfg *cfg, uint64_t address, uint32_t length)
{
    static const uint8_t zeros[CHUNK];
    size_t size;
    const uint8_t *data = contents(cfg, &size);
    uint32_t inside = 0;

    if (cfg->position < size) {
        inside = size - cfg->position < length ? (uint32_t)(size - cfg->position) : length;
        bus_write_block(cfg->memory, address, data + cfg->position, inside);
    }
    for (uint32_t done = inside; done < length;) {
        uint32_t part = length - done < CHUNK ? length - done : CHUNK;

        bus_write_block(cfg->memory, address + done, zeros, part);
        done += part;
    }
    cfg->position += length;
}

static bool dma_write(struct fw_cfg *cfg, uint64_t address, uint32_t length)
{
    struct item *item = find_item(cfg, cfg->selected);

    if (!item || !item->hooks.writable || cfg->position > item->size || length > item->size - cfg->position) {
        log_at(cfg->log, LOG_GUEST, "fw_cfg", "%u bytes can't be written to item 0x%x", length,
               cfg->selected);
        return false;
    }
    bus_read_block(cfg->memory, address, item->data + cfg->position, length);
    if (item->hooks.written)
        item->hooks.written(item->hooks.opaque, item->data, cfg->position, length);
    cfg->position += length;
    return true;
}

static void run_dma(struct fw_cfg *cfg, uint64_t command)
{
    uint8_t block[16], answer[4];
    uint32_t control, length;
    uint64_t address;
    bool done = true;

    bus_read_block(cfg->memory, command, block, sizeof(block));
    control = (uint32_t)get_be(block, 4);
    length = (uint32_t)get_be(block + 4, 4);
    address = get_be(block + 8, 8);
    if (control & CONTROL_SELECT)
        select_item(cfg, (uint16_t)(control >> 16));
    if (control & CONTROL_READ)
        dma_read(cfg, address, length);
    else if (control & CONTROL_WRITE)
        done = dma_write(cfg, address, length);
    else if (control & CONTROL_SKIP)
        cfg->position += length;
    put_be(answer, done ? 0 : CONTROL_ERROR, sizeof(answer));
    bus_write_block(cfg->memory, command, answer, sizeof(answer));
}

static uint64_t fw_cfg_read(void *dev, uint64_t addr, unsigned size)
{
    struct fw_cfg *cfg = dev;
    uint64_t value = 0;

    if (addr >= OFFSET_DMA) { /* the first byte of the text in the lowest port */
        for (unsigned i = 0; i < size; i++)
            value |= (uint64_t)dma_signature[(addr - OFFSET_DMA + i) & 7] << 8 * i;
        return value;
    }
    return addr == OFFSET_DATA && size == 1 ? next_byte(cfg) : 0;
}

static void fw_cfg_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct fw_cfg *cfg = dev;
    uint32_t half = __builtin_bswap32((uint32_t)value);

    if (addr == OFFSET_ITEM && size == 2) {
        select_item(cfg, (uint16_t)value);
    } else if (addr == OFFSET_DMA && size == 4) {
        cfg->dma_high = half;
    } else if (addr == OFFSET_DMA + 4 && size == 4) {
        uint64_t command = (uint64_t)cfg->dma_high << 32 | half;

        cfg->dma_high = 0;
        run_dma(cfg, command);
    }
}

static const struct bus_ops fw_cfg_ops = {fw_cfg_read, fw_cfg_write, 4};

static const struct field fw_cfg_fields[] = {FIELD(struct fw_cfg, selected), FIELD(struct fw_cfg, position),
                                             FIELD(struct fw_cfg, dma_high), FIELD_END};

static void fw_cfg_reset(void *device)
{
    struct fw_cfg *cfg = device;

    cfg->selected = ITEM_SIGNATURE;
    cfg->position = 0;
    cfg->dma_high = 0;
}

static void fw_cfg_free(void *device)
{
    struct fw_cfg *cfg = device;

    if (!cfg)
        return;
    for (unsigned i = 0; i < cfg->item_count; i++)
        free(cfg->items[i].data);
    for (unsigned i = 0; i < cfg->file_count; i++)
        free(cfg->files[i].data);
    free(cfg);
}

struct fw_cfg *fw_cfg_new(struct bus *ports, struct bus *memory, struct log *log)
{
    static const uint8_t features[4] = {FEATURE_PORTS | FEATURE_DMA};
    struct fw_cfg *cfg = calloc(1, sizeof(*cfg));

    if (!cfg || !fw_cfg_add(cfg, ITEM_SIGNATURE, "QEMU", 4) ||
        !fw_cfg_add(cfg, ITEM_FEATURES, features, sizeof(features)) ||
        !bus_map(ports, "fw-cfg", PORT_BASE, PORT_COUNT, &fw_cfg_ops, cfg)) {
        fw_cfg_free(cfg);
        return NULL;
    }
    cfg->log = log;
    cfg->memory = memory;
    fw_cfg_reset(cfg);
    return cfg;
}

const struct device_class fw_cfg_class = {"fw_cfg", fw_cfg_reset, NULL, fw_cfg_free, fw_cfg_fields};
