/*
 * fdc_internal.h - what the controller's three files share: fdc.c has registers and commands, fdc_transfer.c
 * the execution phase of commands that read and write, fdc_drive.c drives and media.
 */
#ifndef DEVICES_FDC_INTERNAL_H
#define DEVICES_FDC_INTERNAL_H

#include "devices/fdc.h"

#define FDC_SECTOR 512u
#define FDC_DRIVES 4 /* the controller's; two can exist */

/* Data rates as CCR and DSR have them */
#define RATE_500K 0
#define RATE_300K 1
#define RATE_250K 2
#define RATE_1M   3

#define DOR_SELECT   0x03
#define DOR_NO_RESET 0x04
#define DOR_DMA_GATE 0x08 /* DRQ and INT reach the bus */
#define DOR_MOTOR_0  0x10

#define ST0_ABNORMAL   0x40
#define ST0_INVALID    0x80
#define ST0_POLLING    0xC0
#define ST0_SEEK_END   0x20
#define ST0_EQUIPMENT  0x10
#define ST1_END        0x80
#define ST1_DATA_ERROR 0x20
#define ST1_OVERRUN    0x10
#define ST1_NO_DATA    0x04
#define ST1_PROTECTED  0x02
#define ST1_NO_MARK    0x01
#define ST2_MARK       0x40 /* the other kind of data mark than asked for */
#define ST2_DATA_ERROR 0x20
#define ST2_WRONG_CYL  0x10
#define ST2_BAD_CYL    0x02
#define ST3_PROTECTED  0x40
#define ST3_ONES       0x28
#define ST3_TRACK_0    0x10

#define CONFIG_IMPLIED_SEEK 0x40
#define CONFIG_NO_FIFO      0x20
#define CONFIG_NO_POLL      0x10
#define CONFIG_THRESHOLD    0x0F

/*
 * Mechanics run some hundred times too fast, except that a driver always has the time to go to sleep before
 * the interrupt: a track takes 50 us to cross, a sector 100 us to pass, and a search ends unsuccessfully
 * after 20 ms.
 */
#define FDC_RESET_NS   50000ull
#define FDC_SETTLE_NS  200000ull
#define FDC_STEP_NS    50000ull
#define FDC_SECTOR_NS  100000ull
#define FDC_SEARCH_NS  20000000ull
#define FDC_OVERRUN_NS 200000000ull /* a revolution, in which the DMA controller must answer */

/* How a disk was formatted, which goes by the image's size. */
struct fdc_format {
    uint16_t sectors;
    uint8_t cylinders, heads, per_track;
    uint8_t rate;
    uint8_t drive; /* enum fdc_drive_type that suits it */
};

struct fdc_drive {
    struct block_slot *slot; /* NULL: no drive */
    uint8_t type;
    uint8_t track;                   /* where the heads are */
    bool changed;                    /* DSKCHG: until a step with a disk in */
    const struct fdc_format *format; /* of the disk in it; NULL: none */
    bool written;                    /* since the last flush */
    bool flushing;
    struct block_request flush;
};

enum fdc_phase { FDC_COMMAND, FDC_EXECUTION, FDC_RESULT };

enum fdc_step {
    FDC_IDLE,
    FDC_FIND, /* the sector is about to come by, when the timer says so */
    FDC_DISK, /* the image is being read or written */
    FDC_DATA, /* bytes go between sector[] and the host; the timer looks again at DMA */
    FDC_FAIL, /* the search will end, when the timer says so */
};

enum fdc_op {
    FDC_OP_NONE,
    FDC_OP_READ,
    FDC_OP_READ_DELETED,
    FDC_OP_READ_TRACK,
    FDC_OP_READ_ID,
    FDC_OP_VERIFY,
    FDC_OP_WRITE,
    FDC_OP_FORMAT,
};

struct fdc {
    uint8_t dor, tape, rate, precompensation;
    uint8_t phase;                        /* enum fdc_phase */
    uint8_t fifo[16], fifo_at, fifo_size; /* a command being written or a result being read */
    uint8_t specify[2], config, precomp_track, perpendicular;
    bool locked;
    uint8_t eot; /* the last one, or the last SC (DUMPREG) */
    uint8_t pcn[FDC_DRIVES];
    uint8_t seek_st0[FDC_DRIVES];  /* for the next sense interrupt, 0: nothing to tell */
    uint64_t seek_end[FDC_DRIVES]; /* clock ns, CLOCK_NEVER when not seeking */
    uint8_t reset_senses;          /* drives that a sense interrupt must still tell of after a reset */
    uint64_t reset_end;            /* clock ns, CLOCK_NEVER */
    bool interrupt;

    /* the execution phase */
    uint8_t step, op;    /* enum fdc_step, enum fdc_op */
    uint64_t step_at;    /* clock ns, CLOCK_NEVER: the timer isn't what is waited for */
    uint64_t overrun_at; /* CLOCK_NEVER: DMA doesn't keep us waiting */
    uint8_t drive, head, c, h, r, n;
    uint8_t st0, st1, st2;
    bool multi_track, skip, mfm, counted, terminal;
    uint8_t fill;       /* FORMAT's data byte */
    uint16_t remaining; /* sectors, of commands that count them */
    uint8_t index;      /* READ TRACK: the sector passing by */
    uint32_t lba;
    uint16_t data_at, data_size;
    uint8_t sector[FDC_SECTOR];

    struct fdc_drive drives[FDC_DRIVES];
    /*
     * The one request for data. A reset can't take it back: `stale` says that its end is nobody's business,
     * `wanted` that the next one waits for that end.
     */
    struct block_request request;
    uint8_t request_data[FDC_SECTOR];
    bool request_busy, request_stale, request_wanted;
    struct timer seek_timer, step_timer, reset_timer;
    struct clock *clock;
    struct fdc_wires wires;
    struct log *log;
};

/* fdc.c */
void fdc_set_interrupt(struct fdc *fdc, bool level);
void fdc_set_result(struct fdc *fdc, const uint8_t *bytes, uint8_t size);

/* fdc_transfer.c: all commands here have their bytes in fifo[]. */
void fdc_start(struct fdc *fdc, enum fdc_op op);
void fdc_cancel(struct fdc *fdc);
void fdc_step_due(void *opaque);
bool fdc_wants_byte(const struct fdc *fdc, bool *to_host); /* non-DMA mode */
uint8_t fdc_data_out(struct fdc *fdc);
void fdc_data_in(struct fdc *fdc, uint8_t value);
void fdc_transfer_loaded(struct fdc *fdc);
void fdc_transfer_init(struct fdc *fdc);

/* fdc_drive.c */
void fdc_drive_init(struct fdc *fdc, unsigned n);
void fdc_drive_look(struct fdc_drive *drive); /* at what the slot holds */
unsigned fdc_drive_step(struct fdc_drive *drive,
                        int tracks); /* inwards when positive; returns the steps made */
bool fdc_drive_changed(const struct fdc_drive *drive);
bool fdc_drive_protected(const struct fdc_drive *drive);
/* Whether address marks pass by under this head; and the cylinder they name. */
bool fdc_drive_readable(const struct fdc *fdc, unsigned n, unsigned head);
unsigned fdc_drive_cylinder(const struct fdc_drive *drive);
void fdc_drive_flush(struct fdc_drive *drive);

#endif
