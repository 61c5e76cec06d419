/*
 * nvme_admin.c - admin commands (NVMe 1.4, chapter 5): making and deleting queues, features, aborting,
 * events.
 */
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "devices/nvme_internal.h"

#define DELETE_SUBMISSION 0x00
#define CREATE_SUBMISSION 0x01
#define GET_LOG_PAGE      0x02
#define DELETE_COMPLETION 0x04
#define CREATE_COMPLETION 0x05
#define IDENTIFY          0x06
#define ABORT             0x08
#define SET_FEATURES      0x09
#define GET_FEATURES      0x0A
#define EVENT_REQUEST     0x0C

/* --- Queues. */

#define CONTIGUOUS 1u /* dword 11 */
#define INTERRUPTS 2u

static uint16_t check_new_queue(const struct nvme_command *command, unsigned id, uint32_t size)
{
    if (!id || id >= NVME_QUEUES)
        return NVME_INVALID_QUEUE_ID;
    if (size < 2 || size > NVME_QUEUE_SIZE)
        return NVME_INVALID_QUEUE_SIZE;
    if (!(nvme_word(command, 11) & CONTIGUOUS) || nvme_quad(command, 6) & (NVME_PAGE - 1))
        return NVME_INVALID_FIELD;
    return NVME_SUCCESS;
}

static uint16_t create_completion(struct nvme_command *command)
{
    struct nvme *nvme = command->nvme;
    unsigned id = nvme_word(command, 10) & 0xFFFF, vector = nvme_word(command, 11) >> 16;
    uint32_t size = (nvme_word(command, 10) >> 16) + 1;
    uint16_t status = check_new_queue(command, id, size);

    if (status)
        return status;
    if (nvme->completion[id].used)
        return NVME_INVALID_QUEUE_ID;
    if (CC_IOCQES(nvme->cc) != 4)
        return NVME_INVALID_QUEUE_SIZE;
    if (vector >= NVME_QUEUES || (vector && !pci_msix_enabled(&nvme->msix)))
        return NVME_INVALID_VECTOR;
    nvme->completion[id] = (struct nvme_completion){
        .used = true,
        .interrupts = nvme_word(command, 11) & INTERRUPTS,
        .phase = true,
        .base = nvme_quad(command, 6),
        .size = size,
        .vector = vector,
    };
    return NVME_SUCCESS;
}

static uint16_t create_submission(struct nvme_command *command)
{
    struct nvme *nvme = command->nvme;
    unsigned id = nvme_word(command, 10) & 0xFFFF, completion = nvme_word(command, 11) >> 16;
    uint32_t size = (nvme_word(command, 10) >> 16) + 1;
    uint16_t status = check_new_queue(command, id, size);

    if (status)
        return status;
    if (nvme->submission[id].used)
        return NVME_INVALID_QUEUE_ID;
    if (!completion || completion >= NVME_QUEUES || !nvme->completion[completion].used)
        return NVME_CQ_INVALID;
    if (CC_IOSQES(nvme->cc) != 6)
        return NVME_INVALID_QUEUE_SIZE;
    nvme->submission[id] = (struct nvme_submission){
        .used = true, .base = nvme_quad(command, 6), .size = size, .completion = completion};
    return NVME_SUCCESS;
}

static uint16_t delete_completion(struct nvme_command *command)
{
    struct nvme *nvme = command->nvme;
    unsigned id = nvme_word(command, 10) & 0xFFFF;

    if (!id || id >= NVME_QUEUES || !nvme->completion[id].used)
        return NVME_INVALID_QUEUE_ID;
    for (unsigned n = 0; n < NVME_QUEUES; n++)
        if (nvme->submission[n].used && nvme->submission[n].completion == id)
            return NVME_INVALID_DELETION;
    nvme->completion[id] = (struct nvme_completion){0};
    return NVME_SUCCESS;
}

/* Is anything of the queue with the medium? What only waits for a place in its completion queue goes with it.
 */
static bool busy(struct nvme *nvme, unsigned id)
{
    bool found = false;

    for (unsigned n = 0; n < NVME_COMMANDS; n++) {
        struct nvme_command *command = &nvme->command[n];

        if (!command->used || command->queue != id)
            continue;
        if (command->ended)
            command->used = command->ended = false;
        else
            found = true;
    }
    return found;
}

/* It is over when the last of the queue's commands came back from the medium. */
static uint16_t delete_submission(struct nvme_command *command)
{
    struct nvme *nvme = command->nvme;
    unsigned id = nvme_word(command, 10) & 0xFFFF;

    if (!id || id >= NVME_QUEUES || !nvme->submission[id].used)
        return NVME_INVALID_QUEUE_ID;
    nvme->submission[id].deleting = true;
    if (busy(nvme, id))
        return NVME_LATER;
    nvme->submission[id] = (struct nvme_submission){0};
    return NVME_SUCCESS;
}

void nvme_queue_rests(struct nvme *nvme, unsigned queue)
{
    nvme->submission[queue] = (struct nvme_submission){0};
    for (unsigned n = 0; n < NVME_COMMANDS; n++) {
        struct nvme_command *command = &nvme->command[n];

        if (command->used && !command->ended && !command->unwanted && !command->queue &&
            nvme_opcode(command) == DELETE_SUBMISSION && (nvme_word(command, 10) & 0xFFFF) == queue)
            nvme_end(command, NVME_SUCCESS, 0);
    }
}

/* --- Events. A kind that was reported is not reported again until its log page was read. */

static const struct {
    uint32_t result; /* log page, information, type: 0 for errors */
} events[NVME_EVENTS_KNOWN] = {
    [NVME_EVENT_BAD_DOORBELL] = {0x01 << 16 | 0x00 << 8},
    [NVME_EVENT_BAD_DOORBELL_VALUE] = {0x01 << 16 | 0x01 << 8},
};

static struct nvme_command *find_admin(struct nvme *nvme, uint16_t id, uint8_t opcode)
{
    for (unsigned n = 0; n < NVME_COMMANDS; n++) {
        struct nvme_command *command = &nvme->command[n];

        if (command->used && !command->ended && !command->unwanted && !command->queue &&
            nvme_id(command) == id && nvme_opcode(command) == opcode)
            return command;
    }
    return NULL;
}

static void report_events(struct nvme *nvme)
{
    for (unsigned n = 0; n < NVME_EVENTS_KNOWN && nvme->event_requests; n++) {
        if (!(nvme->event_pending & ~nvme->event_masked & 1u << n))
            continue;
        nvme->event_pending &= (uint8_t) ~(1u << n);
        nvme->event_masked = (1u << NVME_EVENTS_KNOWN) - 1; /* all are errors */
        struct nvme_command *command =
            find_admin(nvme, nvme->event_id[--nvme->event_requests], EVENT_REQUEST);
        if (command)
            nvme_end(command, NVME_SUCCESS, events[n].result);
    }
}

void nvme_event(struct nvme *nvme, enum nvme_event event)
{
    log_at(nvme->wires.log, LOG_GUEST, "nvme", "a doorbell of %s was rung",
           event == NVME_EVENT_BAD_DOORBELL ? "no queue" : "a wrong value");
    nvme->event_pending |= (uint8_t)(1u << event);
    report_events(nvme);
}

static uint16_t request_event(struct nvme_command *command)
{
    struct nvme *nvme = command->nvme;

    if (nvme->event_requests == NVME_EVENTS)
        return NVME_EVENT_LIMIT;
    nvme->event_id[nvme->event_requests++] = nvme_id(command);
    report_events(nvme);
    return NVME_LATER;
}

/* --- Features. */

enum { NUMBER_OF_QUEUES = 0x07, VECTOR_SETTING = 0x09, LAST_FEATURE = 0x0B };

static const struct {
    bool known, fixed; /* fixed: it can be set, to what it is */
    uint32_t mask;     /* what of it is kept */
    uint32_t initial;
} features[LAST_FEATURE + 1] = {
    [0x01] = {true, false, 0xFFFFFF07, 0},      /* arbitration */
    [0x02] = {true, true, 0x00000000, 0},       /* power state */
    [0x04] = {true, false, 0x003FFFFF, 0x0157}, /* temperature threshold: over 343 K */
    [0x05] = {true, false, 0x0001FFFF, 0},      /* error recovery */
    [0x06] = {true, false, 0x00000001, 1},      /* volatile write cache */
    [NUMBER_OF_QUEUES] = {true, true, 0xFFFFFFFF, (NVME_QUEUES - 2) << 16 | (NVME_QUEUES - 2)},
    [0x08] = {true, false, 0x0000FFFF, 0}, /* interrupt coalescing */
    [VECTOR_SETTING] = {true, true, 0x0001FFFF, 0},
    [0x0A] = {true, false, 0x00000001, 0},    /* write atomicity */
    [0x0B] = {true, false, 0x000003FF, 0x1F}, /* events' configuration */
};

void nvme_features_reset(struct nvme *nvme)
{
    for (unsigned n = 0; n <= LAST_FEATURE; n++)
        nvme->feature[n] = features[n].initial;
}

static uint16_t set_features(struct nvme_command *command)
{
    struct nvme *nvme = command->nvme;
    uint32_t select = nvme_word(command, 10), value = nvme_word(command, 11);
    unsigned id = select & 0xFF;

    if (select & 0x80000000u)
        return NVME_FEATURE_NOT_SAVEABLE;
    if (id > LAST_FEATURE || !features[id].known)
        return NVME_INVALID_FIELD;
    if (id == NUMBER_OF_QUEUES && ((value & 0xFFFF) == 0xFFFF || value >> 16 == 0xFFFF))
        return NVME_INVALID_FIELD;
    if (id == VECTOR_SETTING && (value & 0xFFFF) >= NVME_QUEUES)
        return NVME_INVALID_FIELD;
    if (!features[id].fixed)
        nvme->feature[id] = value & features[id].mask;
    command->result = id == NUMBER_OF_QUEUES ? nvme->feature[id] : 0;
    return NVME_SUCCESS;
}

static uint16_t get_features(struct nvme_command *command)
{
    unsigned id = nvme_word(command, 10) & 0xFF, vector = nvme_word(command, 11) & 0xFFFF;

    if (id > LAST_FEATURE || !features[id].known || (id == VECTOR_SETTING && vector >= NVME_QUEUES))
        return NVME_INVALID_FIELD;
    command->result = id == VECTOR_SETTING ? vector | 0x10000u : command->nvme->feature[id];
    return NVME_SUCCESS;
}

/* --- Others. */

/* What is with the medium can't be called back: bit 0 says that nothing was aborted. */
static uint16_t abort_command(struct nvme_command *command)
{
    command->result = 1;
    return NVME_SUCCESS;
}

uint16_t nvme_admin(struct nvme_command *command)
{
    if (command->entry[1] & 3)
        return NVME_INVALID_FIELD;
    switch (nvme_opcode(command)) {
    case DELETE_SUBMISSION:
        return delete_submission(command);
    case CREATE_SUBMISSION:
        return create_submission(command);
    case GET_LOG_PAGE: {
        uint16_t status = nvme_log_page(command);
        if (!status && (nvme_word(command, 10) & 0x80FF) == 0x01) /* the errors, and not to be kept */
            command->nvme->event_masked = 0;
        report_events(command->nvme);
        return status;
    }
    case DELETE_COMPLETION:
        return delete_completion(command);
    case CREATE_COMPLETION:
        return create_completion(command);
    case IDENTIFY:
        return nvme_identify(command);
    case ABORT:
        return abort_command(command);
    case SET_FEATURES:
        return set_features(command);
    case GET_FEATURES:
        return get_features(command);
    case EVENT_REQUEST:
        return request_event(command);
    default:
        return NVME_INVALID_OPCODE;
    }
}
