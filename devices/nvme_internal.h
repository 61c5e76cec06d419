/*
 * nvme_internal.h - between the files of the NVMe controller.
 *
 *     nvme.c           the PCI function, registers, enabling, shutting down, reset
 *     nvme_queue.c     queues: commands from them, completions into them, interrupts
 *     nvme_admin.c     admin commands: queues, features, events
 *     nvme_identify.c  what it says of itself: identify and log pages
 *     nvme_io.c        where a command's data lie, and the commands that move them
 */
#ifndef DEVICES_NVME_INTERNAL_H
#define DEVICES_NVME_INTERNAL_H

#include "devices/nvme.h"
#include "devices/pci_msi.h"
#include "devices/sg.h"

#define NVME_QUEUES       17 /* of each kind: admin's, and 16 for I/O */
#define NVME_QUEUE_SIZE   1024
#define NVME_COMMANDS     256 /* under way at once */
#define NVME_EVENTS       4   /* requests for events that can be held */
#define NVME_ERRORS       16  /* in the log */
#define NVME_PAGE         4096u
#define NVME_TRANSFER_MAX (256 * NVME_PAGE) /* MDTS says so */
#define NVME_SECTOR       512u

/* Status: code, type in bits 8 to 10, and that trying again is of no use (4.6.1). */
#define NVME_DNR 0x4000
enum nvme_status {
    NVME_SUCCESS = 0x0000,
    NVME_INVALID_OPCODE = 0x0001 | NVME_DNR,
    NVME_INVALID_FIELD = 0x0002 | NVME_DNR,
    NVME_DATA_TRANSFER_ERROR = 0x0004,
    NVME_INTERNAL_ERROR = 0x0006,
    NVME_INVALID_NAMESPACE = 0x000B | NVME_DNR,
    NVME_PRP_OFFSET_INVALID = 0x0013 | NVME_DNR,
    NVME_WRITE_PROTECTED = 0x0020 | NVME_DNR,
    NVME_LBA_OUT_OF_RANGE = 0x0080 | NVME_DNR,
    NVME_CQ_INVALID = 0x0100 | NVME_DNR,
    NVME_INVALID_QUEUE_ID = 0x0101 | NVME_DNR,
    NVME_INVALID_QUEUE_SIZE = 0x0102 | NVME_DNR,
    NVME_EVENT_LIMIT = 0x0105 | NVME_DNR,
    NVME_INVALID_VECTOR = 0x0108 | NVME_DNR,
    NVME_INVALID_LOG = 0x0109 | NVME_DNR,
    NVME_INVALID_DELETION = 0x010C | NVME_DNR,
    NVME_FEATURE_NOT_SAVEABLE = 0x010D | NVME_DNR,
    NVME_WRITE_FAULT = 0x0280,
    NVME_READ_ERROR = 0x0281,
    NVME_LATER = 0xFFFF /* no status: the command is still under way */
};

/* CC and CSTS. */
#define CC_EN          0x00000001u
#define CC_SHN         0x0000C000u
#define CC_IOSQES(cc)  ((cc) >> 16 & 15)
#define CC_IOCQES(cc)  ((cc) >> 20 & 15)
#define CSTS_RDY       0x00000001u
#define CSTS_CFS       0x00000002u
#define CSTS_SHST      0x0000000Cu
#define CSTS_SHST_BUSY 0x00000004u
#define CSTS_SHST_DONE 0x00000008u

struct nvme_submission {
    bool used, deleting;
    uint64_t base;
    uint32_t size; /* entries */
    uint32_t head, tail;
    uint32_t completion; /* number of its completion queue */
};

struct nvme_completion {
    bool used, interrupts;
    bool phase;
    uint64_t base;
    uint32_t size, head, tail;
    uint32_t vector;
};

/* A command under way. */
struct nvme_command {
    bool used;
    bool ended;    /* its completion finds no place yet */
    bool unwanted; /* the controller was reset: nobody is told */
    uint32_t queue;
    uint8_t entry[64]; /* as it was fetched */
    uint32_t result;
    uint16_t status;

    struct nvme *nvme;
    struct block_request request;
    struct sg sg;
    uint8_t *ranges; /* DATASET MANAGEMENT's, */
    unsigned range;  /* and which is next */
    bool flying;     /* the request is with the medium */
    bool flush;      /* to do afterwards */
};

struct nvme_error {
    uint64_t count, lba;
    uint32_t namespace_id;
    uint16_t queue, id, status;
};

struct nvme {
    struct pci_function function;
    struct pci_msix msix;
    uint64_t asq, acq;
    uint32_t mask, cc, csts, aqa;
    struct nvme_submission submission[NVME_QUEUES];
    struct nvme_completion completion[NVME_QUEUES];
    struct nvme_command command[NVME_COMMANDS];
    uint32_t turn; /* the submission queue to look at first */

    uint32_t feature[16]; /* dword 11 of the last Set Features, by feature */

    uint16_t event_id[NVME_EVENTS]; /* held requests */
    uint32_t event_requests;
    uint8_t event_pending, event_masked; /* enum nvme_event, a bit each */

    struct nvme_error error[NVME_ERRORS]; /* the newest is at (errors - 1) % NVME_ERRORS */
    uint64_t errors;
    uint64_t sectors_read, sectors_written, reads, writes, media_errors;

    bool shutting_down; /* the request below is with the medium */
    struct block_request shutdown;
    unsigned flying; /* requests with the medium */
    unsigned place;  /* of a command: where to look for a free one first */
    bool waiting;    /* completions may wait for places in their queues */
    bool active;     /* nvme_go() is at work */
    bool ringing;    /* a doorbell is */
    struct nvme_wires wires;
    struct region *region;
};

enum nvme_event { NVME_EVENT_BAD_DOORBELL, NVME_EVENT_BAD_DOORBELL_VALUE, NVME_EVENTS_KNOWN };

/* --- nvme.c */
/* Nothing more goes until the driver resets it. */
void nvme_fatal(struct nvme *nvme, const char *what);
bool nvme_running(const struct nvme *nvme);
/* A request came back: what waited for all of them may be done now. */
void nvme_landed(struct nvme *nvme);

/* --- nvme_queue.c */
extern const struct field nvme_submission_fields[], nvme_completion_fields[], nvme_command_fields[];
void nvme_doorbell(struct nvme *nvme, unsigned index, uint32_t value);
/* Takes and starts what can be started. */
void nvme_go(struct nvme *nvme);
void nvme_end(struct nvme_command *command, uint16_t status, uint32_t result);
void nvme_update_irq(struct nvme *nvme);
/* Forgets all queues and commands, but for those that are with the medium. */
void nvme_queues_reset(struct nvme *nvme);
void nvme_queues_loaded(struct nvme *nvme);

/* --- nvme_admin.c: these two carry out a command, and say how it ended, or NVME_LATER. */
uint16_t nvme_admin(struct nvme_command *command);
void nvme_event(struct nvme *nvme, enum nvme_event event);
/* A queue that waits to be deleted has nothing under way any more. */
void nvme_queue_rests(struct nvme *nvme, unsigned queue);
void nvme_features_reset(struct nvme *nvme);

/* --- nvme_identify.c */
uint16_t nvme_identify(struct nvme_command *command);
uint16_t nvme_log_page(struct nvme_command *command);

/* --- nvme_io.c */
uint16_t nvme_io(struct nvme_command *command);
/* The command's memory as a list; and a buffer into it. */
uint16_t nvme_gather(struct nvme_command *command, uint64_t size);
uint16_t nvme_give(struct nvme_command *command, const void *data, uint32_t size);

static inline uint32_t nvme_word(const struct nvme_command *command, unsigned n)
{
    const uint8_t *at = command->entry + 4 * n;

    return at[0] | at[1] << 8 | at[2] << 16 | (uint32_t)at[3] << 24;
}

static inline uint64_t nvme_quad(const struct nvme_command *command, unsigned n)
{
    return nvme_word(command, n) | (uint64_t)nvme_word(command, n + 1) << 32;
}

static inline uint8_t nvme_opcode(const struct nvme_command *command)
{
    return command->entry[0];
}

static inline uint16_t nvme_id(const struct nvme_command *command)
{
    return (uint16_t)(nvme_word(command, 0) >> 16);
}

#endif
