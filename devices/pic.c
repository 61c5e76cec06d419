/*
 * pic.c - two 8259A interrupt controllers as PC chipsets contain them.
 *
 * In: 16 request lines. Out: INTR. Each chip always has INT asserted exactly when its priority resolver finds
 * a request more urgent than what is in service; the second chip's INT is line 2 of the first.
 *
 * Differences from the bare chip, all as in the chipsets: the trigger mode comes from ELCR, one bit a line,
 * and ICW1's LTIM is ignored; the vector is always delivered in 8086 form; the cascade is wired, so ICW3
 * changes nothing. An edge, once seen, stays requested until it is acknowledged, even if the line falls first
 * (irq.h, irq_pulse).
 */
#include "devices/pic.h"

#include <stdlib.h>

#define ICW1_IC4     0x01 /* an ICW4 follows */
#define ICW1_SNGL    0x02 /* no cascade: no ICW3 follows */
#define ICW1_SELECT  0x10 /* at the even port: this is ICW1, not an OCW */
#define ICW4_UPM     0x01 /* 8086 mode */
#define ICW4_AEOI    0x02
#define ICW4_SFNM    0x10
#define OCW2_EOI     0x20
#define OCW2_SL      0x40 /* a level is given in bits 2:0 */
#define OCW2_R       0x80
#define OCW3_SELECT  0x08
#define OCW3_RIS     0x01 /* with RR: the in-service register, else the request register */
#define OCW3_RR      0x02
#define OCW3_POLL    0x04
#define OCW3_SMM     0x20
#define OCW3_ESMM    0x40
#define POLL_REQUEST 0x80

#define CASCADE_LINE 2
#define SPURIOUS     7

/* Lines that belong to the board's own parts (timer, keyboard, cascade; RTC, FPU) are edge-triggered for
 * good. */
#define ELCR_MASK_MASTER 0xF8
#define ELCR_MASK_SLAVE  0xDE

enum pic_step { STEP_READY, STEP_ICW2, STEP_ICW3, STEP_ICW4 };

struct pic_chip {
    uint8_t line;   /* the request pins' levels */
    uint8_t irr;    /* requests */
    uint8_t isr;    /* in service */
    uint8_t imr;    /* masked */
    uint8_t elcr;   /* bit set: level-triggered */
    uint8_t base;   /* vector of line 0 */
    uint8_t lowest; /* the line of lowest priority; the next one, modulo 8, has the highest */
    uint8_t step;   /* enum pic_step: which initialisation word the odd port takes next */
    bool icw3_follows, icw4_follows;
    bool auto_eoi;       /* acknowledging ends the service at once */
    bool rotate_on_aeoi; /* and makes that line the least urgent */
    bool special_mask;   /* masked lines in service don't hold back others */
    bool special_nested; /* the cascade line in service doesn't hold back itself */
    bool read_isr;       /* what the even port reads */
    bool poll;           /* the next read is an acknowledge */
    struct pic *pic;
};

struct pic {
    struct pic_chip chip[2];
    bool out_level;
    struct irq out;
    struct log *log;
    const struct irqchip_tenant *tenant; /* who has the registers; NULL: nobody else */
};

/* The line to deliver, or -1: the most urgent request that nothing in service holds back. */
static int chip_request(const struct pic_chip *chip)
{
    bool master = chip == &chip->pic->chip[0];
    uint8_t requests = chip->irr & ~chip->imr;
    uint8_t busy = chip->isr;

    if (!requests || chip->step != STEP_READY)
        return -1;
    if (chip->special_mask)
        busy &= ~chip->imr;
    for (unsigned i = 1; i <= 8; i++) {
        unsigned n = (chip->lowest + i) & 7;
        bool in_service = busy >> n & 1;
        /* A more urgent line of the second chip must get through while an earlier one is served. */
        bool reentrant = master && chip->special_nested && n == CASCADE_LINE;

        if (in_service && !reentrant)
            return -1;
        if (requests >> n & 1)
            return n;
        if (in_service)
            return -1;
    }
    return -1;
}

static void chip_set_line(struct pic_chip *chip, unsigned n, bool level)
{
    uint8_t bit = 1 << n;

    if (chip->elcr & bit)
        chip->irr = level ? chip->irr | bit : chip->irr & ~bit;
    else if (level && !(chip->line & bit))
        chip->irr |= bit;
    chip->line = level ? chip->line | bit : chip->line & ~bit;
}

static void pic_drive(struct pic *pic, bool level)
{
    if (level == pic->out_level)
        return;
    pic->out_level = level;
    irq_set(&pic->out, level);
}

static void pic_update(struct pic *pic)
{
    chip_set_line(&pic->chip[0], CASCADE_LINE, chip_request(&pic->chip[1]) >= 0);
    pic_drive(pic, chip_request(&pic->chip[0]) >= 0);
}

/* What an INTA pulse does to one chip: its request goes into service and INT falls, to rise again for the
 * next. */
static void chip_accept(struct pic_chip *chip, unsigned n)
{
    uint8_t bit = 1 << n;

    if (!(chip->elcr & bit))
        chip->irr &= ~bit;
    if (!chip->auto_eoi)
        chip->isr |= bit;
    else if (chip->rotate_on_aeoi)
        chip->lowest = n;
    if (chip == &chip->pic->chip[1])
        chip_set_line(&chip->pic->chip[0], CASCADE_LINE, false);
    else
        pic_drive(chip->pic, false);
}

int pic_acknowledge(struct pic *pic)
{
    struct pic_chip *chip = &pic->chip[0];
    int n = chip_request(chip);

    if (n >= 0) {
        chip_accept(chip, n);
        if (n == CASCADE_LINE) {
            chip = &pic->chip[1];
            n = chip_request(chip);
            if (n >= 0)
                chip_accept(chip, n);
        }
    }
    pic_update(pic);
    return chip->base | (n >= 0 ? n : SPURIOUS);
}

/* The level is noted here, and what follows from it happens at the tenant's. */
static void lent_input(struct pic *pic, int n, bool level)
{
    struct pic_chip *chip = &pic->chip[n >> 3];
    uint8_t bit = 1 << (n & 7);

    if (level == !!(chip->line & bit))
        return;
    chip->line ^= bit;
    pic->tenant->line(pic->tenant->opaque, IRQCHIP_PIC, (unsigned)n, level);
}

static void pic_set_input(void *opaque, int n, bool level)
{
    struct pic *pic = opaque;

    if (n < 0 || n > 15 || n == CASCADE_LINE)
        return;
    if (pic->tenant) {
        lent_input(pic, n, level);
        return;
    }
    chip_set_line(&pic->chip[n >> 3], n & 7, level);
    pic_update(pic);
}

struct irq pic_input(struct pic *pic, int n)
{
    return (struct irq){pic_set_input, pic, n};
}

/* The read that follows a poll command: an INTA pulse for this chip alone. */
static uint8_t chip_poll(struct pic_chip *chip)
{
    int n = chip_request(chip);

    chip->poll = false;
    if (n < 0)
        return 0;
    chip_accept(chip, n);
    pic_update(chip->pic);
    return POLL_REQUEST | n;
}

static uint64_t pic_read(void *dev, uint64_t addr, unsigned size)
{
    struct pic_chip *chip = dev;

    (void)size;
    if (chip->poll)
        return chip_poll(chip);
    if (addr & 1)
        return chip->imr;
    return chip->read_isr ? chip->isr : chip->irr;
}

/* Initialisation begins. Lines that are high must fall and rise again to count as an edge (8259A, ICW1). */
static void chip_icw1(struct pic_chip *chip, uint8_t value)
{
    chip->irr = chip->line & chip->elcr;
    chip->isr = 0;
    chip->imr = 0;
    chip->lowest = 7;
    chip->auto_eoi = chip->rotate_on_aeoi = false;
    chip->special_mask = chip->special_nested = false;
    chip->read_isr = chip->poll = false;
    chip->icw3_follows = !(value & ICW1_SNGL);
    chip->icw4_follows = value & ICW1_IC4;
    chip->step = STEP_ICW2;
    if (!chip->icw4_follows)
        log_at(chip->pic->log, LOG_GUEST, "pic", "ICW1 %#x asks for 8080 mode; vectors stay in 8086 form",
               value);
}

static void chip_ocw2(struct pic_chip *chip, uint8_t value)
{
    uint8_t level = value & 7;
    /* In special mask mode a non-specific EOI passes over masked lines (8259A, special mask mode). */
    uint8_t served = chip->special_mask ? chip->isr & ~chip->imr : chip->isr;

    if (!(value & OCW2_EOI)) {
        if (!(value & OCW2_SL))
            chip->rotate_on_aeoi = value & OCW2_R;
        else if (value & OCW2_R)
            chip->lowest = level;
        return;
    }
    if (!(value & OCW2_SL)) {
        if (!served)
            return;
        for (level = (chip->lowest + 1) & 7; !(served >> level & 1); level = (level + 1) & 7)
            ;
    }
    chip->isr &= ~(1u << level);
    if (value & OCW2_R)
        chip->lowest = level;
}

static void chip_ocw3(struct pic_chip *chip, uint8_t value)
{
    chip->poll = value & OCW3_POLL;
    if (value & OCW3_RR)
        chip->read_isr = value & OCW3_RIS;
    if (value & OCW3_ESMM)
        chip->special_mask = value & OCW3_SMM;
}

static void chip_icw3(struct pic_chip *chip, uint8_t value)
{
    bool master = chip == &chip->pic->chip[0];

    if (value != (master ? 1 << CASCADE_LINE : CASCADE_LINE))
        log_at(chip->pic->log, LOG_GUEST, "pic", "ICW3 %#x of the %s doesn't match the wiring", value,
               master ? "first chip" : "second chip");
}

static void chip_icw4(struct pic_chip *chip, uint8_t value)
{
    chip->auto_eoi = value & ICW4_AEOI;
    chip->special_nested = value & ICW4_SFNM;
    if (!(value & ICW4_UPM))
        log_at(chip->pic->log, LOG_GUEST, "pic", "ICW4 %#x asks for 8080 mode; vectors stay in 8086 form",
               value);
}

/* The odd port: the next word of an initialisation in progress, otherwise OCW1, the mask. */
static void chip_write_odd(struct pic_chip *chip, uint8_t value)
{
    switch (chip->step) {
    case STEP_ICW2:
        chip->base = value & 0xF8;
        chip->step = chip->icw3_follows ? STEP_ICW3 : chip->icw4_follows ? STEP_ICW4 : STEP_READY;
        break;
    case STEP_ICW3:
        chip_icw3(chip, value);
        chip->step = chip->icw4_follows ? STEP_ICW4 : STEP_READY;
        break;
    case STEP_ICW4:
        chip_icw4(chip, value);
        chip->step = STEP_READY;
        break;
    default:
        chip->imr = value;
        break;
    }
}

static void pic_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct pic_chip *chip = dev;

    (void)size;
    if (addr & 1)
        chip_write_odd(chip, value);
    else if (value & ICW1_SELECT)
        chip_icw1(chip, value);
    else if (value & OCW3_SELECT)
        chip_ocw3(chip, value);
    else
        chip_ocw2(chip, value);
    pic_update(chip->pic);
}

static uint64_t elcr_read(void *dev, uint64_t addr, unsigned size)
{
    struct pic *pic = dev;

    (void)size;
    return pic->chip[addr & 1].elcr;
}

static void elcr_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct pic *pic = dev;
    struct pic_chip *chip = &pic->chip[addr & 1];

    (void)size;
    chip->elcr = value & (addr & 1 ? ELCR_MASK_SLAVE : ELCR_MASK_MASTER);
    chip->irr = (chip->irr & ~chip->elcr) | (chip->line & chip->elcr);
    pic_update(pic);
}

static const struct bus_ops pic_ops = {pic_read, pic_write, 1};
static const struct bus_ops elcr_ops = {elcr_read, elcr_write, 1};

/*
 * The 8259A has no reset pin and wakes up in no particular state. Here it wakes up with all lines masked,
 * which spares a guest that never looks at it interrupts at a vector nobody chose. The request pins keep
 * their levels.
 */
struct pic_line pic_line(const struct pic *pic, unsigned n)
{
    const struct pic_chip *chip = &pic->chip[n >> 3 & 1];
    unsigned bit = n & 7;

    return (struct pic_line){
        .high = chip->line >> bit & 1,
        .requested = chip->irr >> bit & 1,
        .masked = chip->imr >> bit & 1,
        .in_service = chip->isr >> bit & 1,
        .level = chip->elcr >> bit & 1,
        .vector = (uint8_t)(chip->base + bit),
    };
}

bool pic_initialised(const struct pic *pic, unsigned chip)
{
    return pic->chip[chip & 1].step == STEP_READY;
}

static void pic_reset(void *device)
{
    struct pic *pic = device;

    for (int i = 0; i < 2; i++) {
        uint8_t line = pic->chip[i].line;

        pic->chip[i] = (struct pic_chip){.line = line, .imr = 0xFF, .lowest = 7, .pic = pic};
    }
    pic_update(pic);
}

static void pic_loaded(void *device)
{
    struct pic *pic = device;

    for (int i = 0; i < 2; i++)
        pic->chip[i].lowest &= 7;
    pic->out_level = chip_request(&pic->chip[0]) >= 0;
    irq_set(&pic->out, pic->out_level);
}

/* ---- on loan ---- */

void pic_lend(void *device, const struct irqchip_tenant *tenant, struct pic_registers registers[2])
{
    struct pic *pic = device;

    for (int i = 0; i < 2; i++) {
        const struct pic_chip *chip = &pic->chip[i];

        registers[i] = (struct pic_registers){.line = chip->line,
                                              .irr = chip->irr,
                                              .isr = chip->isr,
                                              .imr = chip->imr,
                                              .elcr = chip->elcr,
                                              .base = chip->base,
                                              .lowest = chip->lowest,
                                              .step = chip->step == STEP_READY ? 0 : chip->step + 1,
                                              .icw4_follows = chip->icw4_follows,
                                              .auto_eoi = chip->auto_eoi,
                                              .rotate_on_aeoi = chip->rotate_on_aeoi,
                                              .special_mask = chip->special_mask,
                                              .special_nested = chip->special_nested,
                                              .read_isr = chip->read_isr,
                                              .poll = chip->poll};
    }
    pic->tenant = tenant;
    pic_drive(pic, false);
}

void pic_take_back(void *device, const struct pic_registers registers[2])
{
    struct pic *pic = device;

    pic->tenant = NULL;
    for (int i = 0; i < 2; i++) {
        const struct pic_registers *from = &registers[i];
        struct pic_chip *chip = &pic->chip[i];

        chip->irr = from->irr;
        chip->isr = from->isr;
        chip->imr = from->imr;
        chip->elcr = from->elcr;
        chip->base = from->base & 0xF8;
        chip->lowest = from->lowest & 7;
        chip->step = from->step >= 2 && from->step <= 4 ? from->step - 1 : STEP_READY;
        chip->icw4_follows = from->icw4_follows;
        chip->icw3_follows = true;
        chip->auto_eoi = from->auto_eoi;
        chip->rotate_on_aeoi = from->rotate_on_aeoi;
        chip->special_mask = from->special_mask;
        chip->special_nested = from->special_nested;
        chip->read_isr = from->read_isr;
        chip->poll = from->poll;
    }
    /* The cascade line follows from the second chip. */
    chip_set_line(&pic->chip[0], CASCADE_LINE, false);
    pic->chip[0].irr &= ~(1u << CASCADE_LINE);
    pic_update(pic);
}

static const struct field pic_chip_fields[] = {
    FIELD(struct pic_chip, line),
    FIELD(struct pic_chip, irr),
    FIELD(struct pic_chip, isr),
    FIELD(struct pic_chip, imr),
    FIELD(struct pic_chip, elcr),
    FIELD(struct pic_chip, base),
    FIELD(struct pic_chip, lowest),
    FIELD(struct pic_chip, step),
    FIELD(struct pic_chip, icw3_follows),
    FIELD(struct pic_chip, icw4_follows),
    FIELD(struct pic_chip, auto_eoi),
    FIELD(struct pic_chip, rotate_on_aeoi),
    FIELD(struct pic_chip, special_mask),
    FIELD(struct pic_chip, special_nested),
    FIELD(struct pic_chip, read_isr),
    FIELD(struct pic_chip, poll),
    FIELD_END,
};

static const struct field pic_fields[] = {
    FIELD_STRUCTS(struct pic, chip, pic_chip_fields),
    FIELD_END,
};

const struct device_class pic_class = {
    .name = "pic",
    .reset = pic_reset,
    .loaded = pic_loaded,
    .free = free,
    .state = pic_fields,
};

struct pic *pic_new(struct bus *ports, struct irq out, struct log *log)
{
    struct pic *pic = calloc(1, sizeof(*pic));

    if (!pic)
        return NULL;
    pic->out = out;
    pic->log = log;
    pic_reset(pic);
    if (!bus_map(ports, "pic", 0x20, 2, &pic_ops, &pic->chip[0]) ||
        !bus_map(ports, "pic2", 0xA0, 2, &pic_ops, &pic->chip[1]) ||
        !bus_map(ports, "elcr", 0x4D0, 2, &elcr_ops, pic)) {
        free(pic);
        return NULL;
    }
    return pic;
}
