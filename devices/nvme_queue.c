/*
 * nvme_queue.c - submission and completion queues (NVMe 1.4, 4.1): doorbells, commands, completions,
 * interrupts.
 *
 * A command is copied when it is taken from its queue, and its place among nvme->command is its own until its
 * completion was written. Where the completion queue is full it waits there for the driver.
 */
#include <string.h>

#include "core/log.h"
#include "devices/nvme_internal.h"

#define ENTRY_SIZE  64u
#define RESULT_SIZE 16u

/* --- Interrupts: messages when something is written, or a level as long as something is unread. */

void nvme_update_irq(struct nvme *nvme)
{
    uint8_t *status = &nvme->function.config[PCI_STATUS];
    bool disabled = pci_get(&nvme->function, PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE;
    bool level = false;

    for (unsigned n = 0; n < NVME_QUEUES; n++) {
        const struct nvme_completion *queue = &nvme->completion[n];
        level |= queue->used && queue->interrupts && queue->head != queue->tail;
    }
    level = level && !(nvme->mask & 1) && !pci_msix_enabled(&nvme->msix);
    *status = level ? *status | PCI_STATUS_INTERRUPT : *status & ~PCI_STATUS_INTERRUPT;
    irq_set(&nvme->wires.irq, level && !disabled);
}

static void tell(struct nvme *nvme, const struct nvme_completion *queue)
{
    if (queue->interrupts && pci_msix_enabled(&nvme->msix))
        pci_msix_send(&nvme->msix, queue->vector);
}

/* --- Completions. */

static uint32_t after(uint32_t place, uint32_t size)
{
    return place + 1 == size ? 0 : place + 1;
}

static bool full(const struct nvme_completion *queue)
{
    return after(queue->tail, queue->size) == queue->head;
}

static void forget(struct nvme_command *command)
{
    command->used = command->ended = command->unwanted = false;
}

static void note_error(struct nvme_command *command)
{
    struct nvme *nvme = command->nvme;
    struct nvme_error *error = &nvme->error[nvme->errors % NVME_ERRORS];

    *error = (struct nvme_error){
        .count = ++nvme->errors,
        .lba = command->queue ? nvme_quad(command, 10) : 0,
        .namespace_id = nvme_word(command, 1),
        .queue = (uint16_t)command->queue,
        .id = nvme_id(command),
        .status = command->status,
    };
}

/* Writes the completion; false while there is no place for it. The phase bit says that it is new. */
static bool post(struct nvme_command *command)
{
    struct nvme *nvme = command->nvme;
    const struct nvme_submission *from = &nvme->submission[command->queue];
    struct nvme_completion *to = &nvme->completion[from->completion];
    uint32_t entry[4] = {
        command->result,
        0,
        from->head | command->queue << 16,
        nvme_id(command) | (uint32_t)to->phase << 16 | (uint32_t)command->status << 17,
    };

    if (full(to)) {
        nvme->waiting = true;
        return false;
    }
    /* The last word goes last: the driver may look at any time. */
    uint64_t place = to->base + (uint64_t)to->tail * RESULT_SIZE;
    if (!sg_write_ram(nvme->wires.memory, place, entry, 12) ||
        !sg_write_ram(nvme->wires.memory, place + 12, &entry[3], 4)) {
        nvme_fatal(nvme, "a completion queue is in no memory");
        return false;
    }
    to->tail = after(to->tail, to->size);
    if (!to->tail)
        to->phase = !to->phase;
    tell(nvme, to);
    return true;
}

/* A submission queue that is being deleted waits for its commands. */
static void look_at_deletion(struct nvme *nvme, unsigned queue)
{
    if (!nvme->submission[queue].deleting)
        return;
    for (unsigned n = 0; n < NVME_COMMANDS; n++)
        if (nvme->command[n].used && nvme->command[n].queue == queue)
            return;
    nvme_queue_rests(nvme, queue);
}

/* Nobody has to read of commands whose queue goes away. */
static void finish(struct nvme_command *command)
{
    struct nvme *nvme = command->nvme;

    if (nvme_running(nvme) && !nvme->submission[command->queue].deleting && !post(command))
        return;
    forget(command);
    look_at_deletion(nvme, command->queue);
}

void nvme_end(struct nvme_command *command, uint16_t status, uint32_t result)
{
    struct nvme *nvme = command->nvme;

    if (command->unwanted) {
        forget(command);
    } else {
        command->status = status;
        command->result = result;
        command->ended = true;
        if (status)
            note_error(command);
        finish(command);
    }
    nvme_update_irq(nvme);
}

/* The driver has read some: those that waited for a place. */
static void finish_waiting(struct nvme *nvme, unsigned completion)
{
    bool waiting = nvme->waiting;

    nvme->waiting = false;
    for (unsigned n = 0; n < NVME_COMMANDS && waiting; n++) {
        struct nvme_command *command = &nvme->command[n];

        if (!command->used || !command->ended)
            continue;
        if (nvme->submission[command->queue].completion == completion)
            finish(command);
        else
            nvme->waiting = true;
    }
}

/* --- Commands. */

static struct nvme_command *free_place(struct nvme *nvme)
{
    for (unsigned n = 0; n < NVME_COMMANDS; n++) {
        unsigned place = (nvme->place + n) % NVME_COMMANDS;

        if (nvme->command[place].used)
            continue;
        nvme->place = place + 1;
        return &nvme->command[place];
    }
    return NULL;
}

static void start(struct nvme_command *command)
{
    uint16_t status = command->queue ? nvme_io(command) : nvme_admin(command);

    if (status != NVME_LATER)
        nvme_end(command, status, command->result);
}

static void take(struct nvme *nvme, unsigned number, struct nvme_command *command)
{
    struct nvme_submission *queue = &nvme->submission[number];

    if (!sg_read_ram(nvme->wires.memory, queue->base + (uint64_t)queue->head * ENTRY_SIZE, command->entry,
                     ENTRY_SIZE)) {
        nvme_fatal(nvme, "a submission queue is in no memory");
        return;
    }
    queue->head = after(queue->head, queue->size);
    command->used = true;
    command->ended = command->unwanted = false;
    command->queue = number;
    command->result = 0;
    command->nvme = nvme;
    start(command);
}

static bool has_work(const struct nvme_submission *queue)
{
    return queue->used && !queue->deleting && queue->head != queue->tail;
}

/* The queues take turns, a command each (4.13: round robin). */
void nvme_go(struct nvme *nvme)
{
    struct nvme_command *place;
    unsigned idle = 0;

    if (nvme->active)
        return;
    nvme->active = true;
    while (idle < NVME_QUEUES && nvme_running(nvme) &&
           pci_get(&nvme->function, PCI_COMMAND, 2) & PCI_COMMAND_MASTER) {
        unsigned number = nvme->turn % NVME_QUEUES;

        if (!has_work(&nvme->submission[number])) {
            idle++;
        } else if ((place = free_place(nvme))) {
            idle = 0;
            take(nvme, number, place);
        } else {
            break;
        }
        nvme->turn = (number + 1) % NVME_QUEUES;
    }
    nvme->active = false;
}

/* --- Doorbells. */

static void ring_submission(struct nvme *nvme, unsigned number, uint32_t value)
{
    struct nvme_submission *queue = &nvme->submission[number];

    if (!queue->used)
        nvme_event(nvme, NVME_EVENT_BAD_DOORBELL);
    else if (value >= queue->size)
        nvme_event(nvme, NVME_EVENT_BAD_DOORBELL_VALUE);
    else
        queue->tail = value;
}

static void ring_completion(struct nvme *nvme, unsigned number, uint32_t value)
{
    struct nvme_completion *queue = &nvme->completion[number];
    uint32_t unread, read;

    if (!queue->used) {
        nvme_event(nvme, NVME_EVENT_BAD_DOORBELL);
        return;
    }
    unread = (queue->tail + queue->size - queue->head) % queue->size;
    read = (value + queue->size - queue->head) % queue->size;
    if (value >= queue->size || read > unread) {
        nvme_event(nvme, NVME_EVENT_BAD_DOORBELL_VALUE);
        return;
    }
    queue->head = value;
    finish_waiting(nvme, number);
    nvme_update_irq(nvme);
}

/* Even ones are submission queues' tails, odd ones completion queues' heads. */
void nvme_doorbell(struct nvme *nvme, unsigned index, uint32_t value)
{
    if (!nvme_running(nvme))
        return;
    if (index / 2 >= NVME_QUEUES)
        nvme_event(nvme, NVME_EVENT_BAD_DOORBELL);
    else if (index & 1)
        ring_completion(nvme, index / 2, value & 0xFFFF);
    else
        ring_submission(nvme, index / 2, value & 0xFFFF);
    nvme_go(nvme);
}

/* --- State. */

void nvme_queues_reset(struct nvme *nvme)
{
    memset(nvme->submission, 0, sizeof(nvme->submission));
    memset(nvme->completion, 0, sizeof(nvme->completion));
    for (unsigned n = 0; n < NVME_COMMANDS; n++) {
        struct nvme_command *command = &nvme->command[n];

        if (command->flying)
            command->unwanted = true;
        else
            forget(command);
    }
    nvme->turn = 0;
}

static bool sane(const struct nvme *nvme)
{
    for (unsigned n = 0; n < NVME_QUEUES; n++) {
        const struct nvme_submission *from = &nvme->submission[n];
        const struct nvme_completion *to = &nvme->completion[n];

        if (from->used &&
            (from->size < 2 || from->size > 4096 || from->head >= from->size || from->tail >= from->size ||
             from->completion >= NVME_QUEUES || !nvme->completion[from->completion].used))
            return false;
        if (to->used && (to->size < 2 || to->size > 4096 || to->head >= to->size || to->tail >= to->size))
            return false;
    }
    for (unsigned n = 0; n < NVME_COMMANDS; n++)
        if (nvme->command[n].used &&
            (nvme->command[n].queue >= NVME_QUEUES || !nvme->submission[nvme->command[n].queue].used))
            return false;
    return true;
}

/* What was with the medium starts anew: reading and writing twice is as good as once. */
void nvme_queues_loaded(struct nvme *nvme)
{
    if (!sane(nvme))
        nvme_queues_reset(nvme);
    nvme->waiting = true;
    for (unsigned n = 0; n < NVME_COMMANDS; n++) {
        struct nvme_command *command = &nvme->command[n];

        command->nvme = nvme;
        if (command->unwanted)
            forget(command);
        else if (command->used && !command->ended && nvme_running(nvme))
            start(command);
    }
    nvme_update_irq(nvme);
    nvme_go(nvme);
}

const struct field nvme_submission_fields[] = {
    FIELD(struct nvme_submission, used),       FIELD(struct nvme_submission, deleting),
    FIELD(struct nvme_submission, base),       FIELD(struct nvme_submission, size),
    FIELD(struct nvme_submission, head),       FIELD(struct nvme_submission, tail),
    FIELD(struct nvme_submission, completion), FIELD_END,
};

const struct field nvme_completion_fields[] = {
    FIELD(struct nvme_completion, used),
    FIELD(struct nvme_completion, interrupts),
    FIELD(struct nvme_completion, phase),
    FIELD(struct nvme_completion, base),
    FIELD(struct nvme_completion, size),
    FIELD(struct nvme_completion, head),
    FIELD(struct nvme_completion, tail),
    FIELD(struct nvme_completion, vector),
    FIELD_END,
};

const struct field nvme_command_fields[] = {
    FIELD(struct nvme_command, used),     FIELD(struct nvme_command, ended),
    FIELD(struct nvme_command, unwanted), FIELD(struct nvme_command, queue),
    FIELD(struct nvme_command, entry),    FIELD(struct nvme_command, result),
    FIELD(struct nvme_command, status),   FIELD_END,
};
