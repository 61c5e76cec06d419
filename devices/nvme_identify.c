/*
 * nvme_identify.c - what the controller says of itself and of its namespace (NVMe 1.4, 5.15), and its logs
 * (5.14): errors, health, firmware.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/nvme_internal.h"

#define DATA_SIZE 4096u
#define FIRMWARE  "1.0"
#define KELVIN    313 /* 40 degrees Celsius, always */

static void put(uint8_t *data, unsigned at, uint64_t value, unsigned size)
{
    for (unsigned n = 0; n < size; n++)
        data[at + n] = (uint8_t)(value >> 8 * n);
}

static void put_text(uint8_t *data, unsigned at, unsigned size, const char *text)
{
    size_t length = strlen(text);

    for (unsigned n = 0; n < size; n++)
        data[at + n] = n < length ? (uint8_t)text[n] : ' ';
}

/* --- Identify. */

static void identify_controller(const struct nvme *nvme, uint8_t *data)
{
    char serial[21], name[80];

    snprintf(serial, sizeof(serial), "OX%08u", 200 + nvme->wires.number);
    snprintf(name, sizeof(name), "nqn.2014-08.org.nvmexpress:uuid:4f78626f-772d-4e76-8d65-%012x",
             nvme->wires.number);
    put(data, 0, pci_get(&nvme->function, PCI_VENDOR_ID, 2), 2);
    put(data, 2, pci_get(&nvme->function, PCI_SUBSYSTEM_VENDOR, 2), 2);
    put_text(data, 4, 20, serial);
    put_text(data, 24, 40, "Oxbow NVMe disk");
    put_text(data, 64, 8, FIRMWARE);
    put(data, 77, 8, 1); /* 2^8 pages a transfer: NVME_TRANSFER_MAX */
    put(data, 80, 0x00010400, 4);
    put(data, 111, 1, 1); /* an I/O controller */
    put(data, 258, 3, 1); /* aborts at once, less one */
    put(data, 259, NVME_EVENTS - 1, 1);
    put(data, 260, 0x03, 1); /* one slot for firmware, read-only */
    put(data, 262, NVME_ERRORS - 1, 1);
    put(data, 266, KELVIN + 30, 2); /* warning and critical temperature */
    put(data, 268, KELVIN + 50, 2);
    put(data, 512, 0x66, 1); /* sizes of entries: 2^6 */
    put(data, 513, 0x44, 1);
    put(data, 514, NVME_COMMANDS, 2);
    put(data, 516, 1, 4); /* namespaces */
    put(data, 520, 0x08 | (nvme->wires.disk->can_discard ? 0x04 : 0), 2);
    put(data, 525, 1, 1); /* a volatile write cache */
    memcpy(data + 768, name, strlen(name));
    put(data, 2048, 2500, 2); /* the one power state: 25 W */
}

/* Which other disk is it? */
static uint64_t eui64(const struct nvme *nvme)
{
    return __builtin_bswap64(0x525400FFFE000000u + nvme->wires.number);
}

static void identify_namespace(const struct nvme *nvme, uint8_t *data)
{
    const struct block *disk = nvme->wires.disk;
    uint64_t sectors = disk->size / NVME_SECTOR;

    for (unsigned at = 0; at < 24; at += 8) /* size, capacity, used */
        put(data, at, sectors, 8);
    if (disk->sector > NVME_SECTOR) {
        put(data, 24, 0x10, 1); /* the next two are given: sectors that are best written together */
        put(data, 64, disk->sector / NVME_SECTOR - 1, 2);
        put(data, 66, disk->sector / NVME_SECTOR - 1, 2);
    }
    put(data, 48, disk->size, 8);
    put(data, 99, disk->read_only, 1);
    put(data, 120, eui64(nvme), 8);
    put(data, 130, 9, 1); /* format 0: 2^9 bytes a sector */
}

/* How the namespace can be told from all others: its EUI-64. */
static void identify_descriptors(const struct nvme *nvme, uint8_t *data)
{
    data[0] = 1;
    data[1] = 8;
    put(data, 4, eui64(nvme), 8);
}

uint16_t nvme_identify(struct nvme_command *command)
{
    const struct nvme *nvme = command->nvme;
    uint32_t namespace_id = nvme_word(command, 1);
    uint8_t *data = calloc(1, DATA_SIZE);
    uint16_t status = NVME_SUCCESS;

    if (!data)
        return NVME_INTERNAL_ERROR;
    switch (nvme_word(command, 10) & 0xFF) {
    case 0:
        if (namespace_id != 1)
            status = NVME_INVALID_NAMESPACE;
        identify_namespace(nvme, data);
        break;
    case 1:
        identify_controller(nvme, data);
        break;
    case 2: /* the namespaces after this one */
        if (namespace_id >= 0xFFFFFFFE)
            status = NVME_INVALID_NAMESPACE;
        put(data, 0, namespace_id < 1, 4);
        break;
    case 3:
        if (namespace_id != 1)
            status = NVME_INVALID_NAMESPACE;
        identify_descriptors(nvme, data);
        break;
    default:
        status = NVME_INVALID_FIELD;
    }
    if (!status)
        status = nvme_give(command, data, DATA_SIZE);
    free(data);
    return status;
}

/* --- Logs. */

/* The newest error first, 64 bytes each. */
static void log_errors(const struct nvme *nvme, uint8_t *data)
{
    for (unsigned n = 0; n < NVME_ERRORS && n < nvme->errors; n++) {
        const struct nvme_error *error = &nvme->error[(nvme->errors - 1 - n) % NVME_ERRORS];
        uint8_t *entry = data + 64 * n;

        put(entry, 0, error->count, 8);
        put(entry, 8, error->queue, 2);
        put(entry, 10, error->id, 2);
        put(entry, 12, (uint64_t)error->status << 1, 2);
        put(entry, 14, 0xFFFF, 2); /* no field of the command in particular */
        put(entry, 16, error->lba, 8);
        put(entry, 24, error->namespace_id, 4);
    }
}

/* Thousands of sectors, rounded up. */
static uint64_t data_units(uint64_t sectors)
{
    return (sectors + 999) / 1000;
}

static void log_health(const struct nvme *nvme, uint8_t *data)
{
    put(data, 1, KELVIN, 2);
    put(data, 3, 100, 1); /* percent spare, and too few */
    put(data, 4, 10, 1);
    put(data, 32, data_units(nvme->sectors_read), 8);
    put(data, 48, data_units(nvme->sectors_written), 8);
    put(data, 64, nvme->reads, 8);
    put(data, 80, nvme->writes, 8);
    put(data, 112, 1, 8); /* power cycles */
    put(data, 160, nvme->media_errors, 8);
    put(data, 176, nvme->errors, 8);
}

static void log_firmware(uint8_t *data)
{
    data[0] = 1; /* slot 1 runs */
    put_text(data, 8, 8, FIRMWARE);
}

static const struct {
    uint8_t id;
    uint16_t size;
} logs[] = {{0x01, 64 * NVME_ERRORS}, {0x02, 512}, {0x03, 512}};

/* The log from its beginning; what is asked for beyond its end is zero. */
uint16_t nvme_log_page(struct nvme_command *command)
{
    const struct nvme *nvme = command->nvme;
    uint8_t id = (uint8_t)nvme_word(command, 10);
    uint64_t size =
        ((nvme_word(command, 10) >> 16 | (uint64_t)(nvme_word(command, 11) & 0xFFFF) << 16) + 1) * 4;
    uint16_t status;
    uint8_t *data;
    unsigned n = 0;

    while (n < sizeof(logs) / sizeof(*logs) && logs[n].id != id)
        n++;
    if (n == sizeof(logs) / sizeof(*logs))
        return NVME_INVALID_LOG;
    if (nvme_quad(command, 12) || size > NVME_TRANSFER_MAX) /* offsets aren't offered (LPA) */
        return NVME_INVALID_FIELD;
    data = calloc(1, size > logs[n].size ? size : logs[n].size);
    if (!data)
        return NVME_INTERNAL_ERROR;
    if (id == 0x01)
        log_errors(nvme, data);
    else if (id == 0x02)
        log_health(nvme, data);
    else
        log_firmware(data);
    status = nvme_give(command, data, (uint32_t)size);
    free(data);
    return status;
}
