/*
 * nvme_io.c - where a command's data lie (NVMe 1.4, 4.3), and the commands of the NVM command set (chapter
 * 6): Flush, Write, Read, Write Zeroes, Dataset Management.
 *
 * Data go straight between the medium and the guest's memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/nvme_internal.h"

#define PAGE_OFFSET(address) ((address) & (NVME_PAGE - 1))

#define FLUSH              0x00
#define WRITE              0x01
#define READ               0x02
#define WRITE_ZEROES       0x08
#define DATASET_MANAGEMENT 0x09

#define FUA            0x40000000u /* dword 12 */
#define DEALLOCATE     0x02000000u /* Write Zeroes: its space may be given back */
#define AD             0x00000004u /* Dataset Management, dword 11: the ranges aren't needed */
#define ALL_NAMESPACES UINT32_MAX

/* --- Memory. */

/* A page, or what is left of the size, to the list. */
static uint16_t add_page(struct nvme_command *command, uint64_t address, uint64_t size)
{
    struct sg *sg = &command->sg;
    uint64_t room = NVME_PAGE - PAGE_OFFSET(address), rest = size - sg->size;

    return sg_add(sg, command->nvme->wires.memory, address, rest < room ? rest : room)
               ? NVME_SUCCESS
               : NVME_DATA_TRANSFER_ERROR;
}

/* Pages from a list in memory, whose last entry in each page leads to the next page of it if more is needed.
 */
static uint16_t add_listed(struct nvme_command *command, uint64_t list, uint64_t size)
{
    uint16_t status = NVME_SUCCESS;

    while (command->sg.size < size && !status) {
        uint64_t entry;

        if (list & 7)
            return NVME_PRP_OFFSET_INVALID;
        if (!sg_read_ram(command->nvme->wires.memory, list, &entry, sizeof(entry)))
            return NVME_DATA_TRANSFER_ERROR;
        if (PAGE_OFFSET(entry))
            return NVME_PRP_OFFSET_INVALID;
        if (PAGE_OFFSET(list) == NVME_PAGE - 8 && size - command->sg.size > NVME_PAGE) {
            list = entry;
            continue;
        }
        status = add_page(command, entry, size);
        list += 8;
    }
    return status;
}

/*
 * PRP entry 1 is where the data begin, anywhere in a page; entry 2 the second page, or a list of all others.
 * A list can't lead in circles for ever: behind each lead there are 511 pages of data.
 */
uint16_t nvme_gather(struct nvme_command *command, uint64_t size)
{
    uint64_t first = nvme_quad(command, 6), second = nvme_quad(command, 8);
    uint16_t status;

    sg_clear(&command->sg);
    if (command->entry[1] & 0xC0) /* SGLs */
        return NVME_INVALID_FIELD;
    if (first & 3)
        return NVME_PRP_OFFSET_INVALID;
    status = add_page(command, first, size);
    if (status || command->sg.size == size)
        return status;
    if (size - command->sg.size > NVME_PAGE)
        return add_listed(command, second, size);
    return PAGE_OFFSET(second) ? NVME_PRP_OFFSET_INVALID : add_page(command, second, size);
}

uint16_t nvme_give(struct nvme_command *command, const void *data, uint32_t size)
{
    uint16_t status = nvme_gather(command, size);
    const uint8_t *from = data;

    for (unsigned n = 0; !status && n < command->sg.count; n++) {
        memcpy(command->sg.iov[n].iov_base, from, command->sg.iov[n].iov_len);
        from += command->sg.iov[n].iov_len;
    }
    if (!status)
        sg_written(&command->sg, command->nvme->wires.memory);
    return status;
}

/* --- Requests to the medium. */

static void request_done(struct block_request *request, int error);

static uint16_t submit(struct nvme_command *command, enum block_op op, uint64_t offset, uint64_t size)
{
    bool pieces = op == BLOCK_READ || op == BLOCK_WRITE;

    command->request = (struct block_request){
        .op = op,
        .offset = offset,
        .size = (size_t)size,
        .iov = pieces ? command->sg.iov : NULL,
        .iov_count = pieces ? command->sg.count : 0,
        .keep_space = op == BLOCK_WRITE_ZEROES && !(nvme_word(command, 12) & DEALLOCATE),
        .collects = command->nvme->ringing,
        .done = request_done,
        .opaque = command,
    };
    command->flying = true;
    command->nvme->flying++;
    block_submit(command->nvme->wires.disk, &command->request);
    return NVME_LATER;
}

static uint16_t next_range(struct nvme_command *command);

static void count(struct nvme *nvme, const struct block_request *request)
{
    if (request->op == BLOCK_READ) {
        nvme->reads++;
        nvme->sectors_read += request->size / NVME_SECTOR;
    } else if (request->op == BLOCK_WRITE) {
        nvme->writes++;
        nvme->sectors_written += request->size / NVME_SECTOR;
    }
}

static uint16_t status_of(struct nvme_command *command, const struct block_request *request, int error)
{
    struct nvme *nvme = command->nvme;

    if (error) {
        nvme->media_errors++;
        return request->op == BLOCK_READ ? NVME_READ_ERROR : NVME_WRITE_FAULT;
    }
    count(nvme, request);
    if (request->op == BLOCK_DISCARD)
        return next_range(command);
    if (command->flush && request->op != BLOCK_FLUSH)
        return submit(command, BLOCK_FLUSH, 0, 0);
    return NVME_SUCCESS;
}

static void request_done(struct block_request *request, int error)
{
    struct nvme_command *command = request->opaque;
    struct nvme *nvme = command->nvme;
    uint16_t status = NVME_SUCCESS;

    command->flying = false;
    nvme->flying--;
    if (request->op == BLOCK_READ)
        sg_written(&command->sg, nvme->wires.memory);
    if (!command->unwanted)
        status = status_of(command, request, error);
    if (status == NVME_LATER)
        return;
    free(command->ranges);
    command->ranges = NULL;
    nvme_end(command, status, 0);
    nvme_landed(nvme);
    nvme_go(nvme);
}

/* --- Commands. */

static uint16_t check_range(const struct nvme *nvme, uint64_t lba, uint64_t sectors)
{
    uint64_t all = nvme->wires.disk->size / NVME_SECTOR;

    return lba > all || sectors > all - lba ? NVME_LBA_OUT_OF_RANGE : NVME_SUCCESS;
}

/* Writes are durable at once if the driver says so, for one or for all (5.21.1.6). */
static bool write_through(const struct nvme_command *command)
{
    return nvme_word(command, 12) & FUA || !(command->nvme->feature[6] & 1);
}

static uint16_t transfer(struct nvme_command *command, enum block_op op)
{
    struct nvme *nvme = command->nvme;
    uint64_t lba = nvme_quad(command, 10), sectors = (nvme_word(command, 12) & 0xFFFF) + 1ull;
    bool data = op != BLOCK_WRITE_ZEROES;
    uint16_t status;

    if (data && sectors * NVME_SECTOR > NVME_TRANSFER_MAX)
        return NVME_INVALID_FIELD;
    status = check_range(nvme, lba, sectors);
    if (!status && op != BLOCK_READ && nvme->wires.disk->read_only)
        status = NVME_WRITE_PROTECTED;
    if (!status && data)
        status = nvme_gather(command, sectors * NVME_SECTOR);
    if (status)
        return status;
    command->flush = op != BLOCK_READ && write_through(command);
    return submit(command, op, lba * NVME_SECTOR, sectors * NVME_SECTOR);
}

/* A range: attributes, length and start, 16 bytes. */
static uint16_t next_range(struct nvme_command *command)
{
    unsigned ranges = (nvme_word(command, 10) & 0xFF) + 1;

    while (command->range < ranges) {
        const uint8_t *range = command->ranges + 16 * command->range++;
        uint32_t sectors;
        uint64_t lba;

        memcpy(&sectors, range + 4, sizeof(sectors));
        memcpy(&lba, range + 8, sizeof(lba));
        if (check_range(command->nvme, lba, sectors))
            return NVME_LBA_OUT_OF_RANGE;
        if (sectors)
            return submit(command, BLOCK_DISCARD, lba * NVME_SECTOR, (uint64_t)sectors * NVME_SECTOR);
    }
    return NVME_SUCCESS;
}

static uint16_t dataset_management(struct nvme_command *command)
{
    const struct nvme *nvme = command->nvme;
    uint32_t size = ((nvme_word(command, 10) & 0xFF) + 1) * 16;
    uint16_t status = nvme_gather(command, size);
    uint8_t *to;

    if (status || !(nvme_word(command, 11) & AD))
        return status;
    if (nvme->wires.disk->read_only)
        return NVME_WRITE_PROTECTED;
    command->ranges = to = malloc(size);
    if (!to)
        return NVME_INTERNAL_ERROR;
    for (unsigned n = 0; n < command->sg.count; n++) {
        memcpy(to, command->sg.iov[n].iov_base, command->sg.iov[n].iov_len);
        to += command->sg.iov[n].iov_len;
    }
    command->range = 0;
    status = next_range(command);
    if (status != NVME_LATER) {
        free(command->ranges);
        command->ranges = NULL;
    }
    return status;
}

uint16_t nvme_io(struct nvme_command *command)
{
    uint32_t namespace_id = nvme_word(command, 1);

    if (namespace_id != 1 && !(nvme_opcode(command) == FLUSH && namespace_id == ALL_NAMESPACES))
        return NVME_INVALID_NAMESPACE;
    if (command->entry[1] & 3) /* fused with another */
        return NVME_INVALID_FIELD;
    switch (nvme_opcode(command)) {
    case FLUSH:
        return submit(command, BLOCK_FLUSH, 0, 0);
    case WRITE:
        return transfer(command, BLOCK_WRITE);
    case READ:
        return transfer(command, BLOCK_READ);
    case WRITE_ZEROES:
        return transfer(command, BLOCK_WRITE_ZEROES);
    case DATASET_MANAGEMENT:
        return dataset_management(command);
    default:
        return NVME_INVALID_OPCODE;
    }
}
