/*
 * uart.c - 16550A universal asynchronous receiver and transmitter.
 *
 * In: bytes from a chardev, taken while there is room. Out: bytes to the chardev, and the interrupt line.
 *
 * Sending takes no time: the transmitter is always empty, and a byte written is at once both sent and done,
 * with the interrupt that tells so. Receiving has no bit rate either; the divisor only sets how long the
 * character timeout is. The modem inputs say that a peer is there and ready (CTS, DSR, DCD).
 *
 * A byte written while the transmitter's interrupt is pending makes the line fall and rise again, unless
 * another cause holds it up, because PCs connect it to an edge-triggered input.
 */
#include "devices/uart.h"

#include <stdlib.h>

enum uart_register {
    UART_DATA,
    UART_IER,
    UART_IIR_FCR,
    UART_LCR,
    UART_MCR,
    UART_LSR,
    UART_MSR,
    UART_SCRATCH
};

#define IER_RX      0x01
#define IER_TX      0x02
#define IER_LINE    0x04
#define IER_MODEM   0x08
#define IER_MASK    0x0F
#define IIR_MODEM   0x00
#define IIR_NONE    0x01
#define IIR_TX      0x02
#define IIR_RX      0x04
#define IIR_LINE    0x06
#define IIR_STALE   0x0C /* character timeout */
#define IIR_FIFO    0xC0
#define FCR_ENABLE  0x01
#define FCR_TRIGGER 0xC0
#define FCR_RESET   0x02 /* the receiver's FIFO; the transmitter's is always empty */
#define LCR_BITS    0x03
#define LCR_STOP2   0x04
#define LCR_PARITY  0x08
#define LCR_BREAK   0x40
#define LCR_DLAB    0x80
#define MCR_DTR     0x01
#define MCR_RTS     0x02
#define MCR_OUT1    0x04
#define MCR_OUT2    0x08 /* opens the board's gate to the interrupt line */
#define MCR_LOOP    0x10
#define MCR_MASK    0x1F
#define LSR_DATA    0x01
#define LSR_OE      0x02
#define LSR_BREAK   0x10
#define LSR_THRE    0x20
#define LSR_TEMT    0x40
#define LSR_FIFO    0x80 /* an error is somewhere in the FIFO */
#define MSR_CTS     0x10 /* bits 3:0: changes of these since the last read */
#define MSR_DSR     0x20
#define MSR_RI      0x40
#define MSR_DCD     0x80
#define MSR_DELTA   0x0F
#define MSR_TERI    0x04

#define INPUT_HZ       1843200ull /* 16 times the highest bit rate */
#define RESET_DIVISOR  12         /* 9600 bits a second */
#define FIFO_SIZE      16
#define TIMEOUT_CHARS  4
#define CLOCKS_PER_BIT 16

struct uart {
    uint8_t ier, lcr, mcr, scratch;
    uint8_t fcr; /* enable and trigger bits */
    uint8_t msr;
    uint8_t errors; /* LSR's error bits, until it is read */
    uint16_t divisor;
    uint8_t rx[FIFO_SIZE];        /* a ring; without FIFOs only one place is used */
    uint8_t rx_errors[FIFO_SIZE]; /* BI of the byte at the same place, until the byte is first in line */
    uint8_t rx_first, rx_count;
    bool tx_done;      /* the transmitter emptied and nobody has been told */
    bool stale;        /* character timeout */
    uint64_t stale_at; /* when it will be, CLOCK_NEVER when not in sight */
    bool irq_level;    /* what the line was last driven to */
    struct timer timer;
    struct clock *clock;
    struct chardev *chr;
    struct irq irq;
    struct log *log;
};

static const uint8_t trigger_level[4] = {1, 4, 8, 14};

static bool uart_fifos(const struct uart *uart)
{
    return uart->fcr & FCR_ENABLE;
}

static unsigned uart_room(const struct uart *uart)
{
    return (uart_fifos(uart) ? FIFO_SIZE : 1) - uart->rx_count;
}

/* The most urgent cause of an interrupt (16550A, table of interrupt control functions). */
static uint8_t uart_cause(const struct uart *uart)
{
    unsigned trigger = uart_fifos(uart) ? trigger_level[uart->fcr >> 6] : 1;

    if (uart->ier & IER_LINE && uart->errors)
        return IIR_LINE;
    if (uart->ier & IER_RX && uart->rx_count >= trigger)
        return IIR_RX;
    if (uart->ier & IER_RX && uart->stale)
        return IIR_STALE;
    if (uart->ier & IER_TX && uart->tx_done)
        return IIR_TX;
    if (uart->ier & IER_MODEM && uart->msr & MSR_DELTA)
        return IIR_MODEM;
    return IIR_NONE;
}

/* In loopback the OUT2 pin is inactive whatever its bit says, and so the board's gate is shut. */
static bool uart_wants_irq(const struct uart *uart)
{
    bool gate = (uart->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;

    return gate && uart_cause(uart) != IIR_NONE;
}

static void uart_update_irq(struct uart *uart)
{
    bool level = uart_wants_irq(uart);

    if (level == uart->irq_level)
        return;
    uart->irq_level = level;
    irq_set(&uart->irq, level);
}

static uint64_t uart_char_ns(const struct uart *uart)
{
    unsigned bits =
        1 + 5 + (uart->lcr & LCR_BITS) + !!(uart->lcr & LCR_PARITY) + (uart->lcr & LCR_STOP2 ? 2 : 1);
    unsigned divisor = uart->divisor ? uart->divisor : 1;

    return clock_ticks_to_ns((uint64_t)bits * divisor * CLOCKS_PER_BIT, INPUT_HZ);
}

/* The timeout runs anew after every byte in or out, while the FIFO holds any. */
static void uart_restart_timeout(struct uart *uart)
{
    uart->stale_at = CLOCK_NEVER;
    if (uart_fifos(uart) && uart->rx_count && !uart->stale)
        uart->stale_at = clock_now(uart->clock) + TIMEOUT_CHARS * uart_char_ns(uart);
    timer_arm(&uart->timer, uart->stale_at);
}

static void uart_timed_out(void *opaque)
{
    struct uart *uart = opaque;

    uart->stale = true;
    uart->stale_at = CLOCK_NEVER;
    uart_update_irq(uart);
}

/* A byte's errors show in LSR when it becomes the next to be read. */
static void uart_reveal_errors(struct uart *uart)
{
    if (!uart->rx_count)
        return;
    uart->errors |= uart->rx_errors[uart->rx_first];
    uart->rx_errors[uart->rx_first] = 0;
}

static void uart_push(struct uart *uart, uint8_t byte, uint8_t errors)
{
    unsigned place;

    if (!uart_room(uart)) { /* a full FIFO keeps what it has, a lone register takes the new byte */
        uart->errors |= LSR_OE;
        if (uart_fifos(uart))
            return;
        uart->rx_count = 0;
    }
    place = (uart->rx_first + uart->rx_count++) % FIFO_SIZE;
    uart->rx[place] = byte;
    uart->rx_errors[place] = errors;
    uart_reveal_errors(uart);
    uart_restart_timeout(uart);
}

static uint8_t uart_pop(struct uart *uart)
{
    uint8_t byte = 0;

    if (uart->rx_count) {
        byte = uart->rx[uart->rx_first];
        uart->rx_first = (uart->rx_first + 1) % FIFO_SIZE;
        uart->rx_count--;
        uart_reveal_errors(uart);
    }
    uart->stale = false;
    uart_restart_timeout(uart);
    return byte;
}

static void uart_clear_rx(struct uart *uart)
{
    uart->rx_first = uart->rx_count = 0;
    uart->stale = false;
    uart_restart_timeout(uart);
}

/* In loopback the receiver listens to the transmitter, and the line has to wait. */
static size_t uart_receiver_room(void *opaque)
{
    struct uart *uart = opaque;

    return uart->mcr & MCR_LOOP ? 0 : uart_room(uart);
}

static void uart_receive(void *opaque, const uint8_t *data, size_t size)
{
    struct uart *uart = opaque;

    if (uart->mcr & MCR_LOOP)
        return;
    for (size_t i = 0; i < size; i++)
        uart_push(uart, data[i], 0);
    uart_update_irq(uart);
}

void uart_receive_break(struct uart *uart)
{
    if (!uart_receiver_room(uart))
        return;
    uart_push(uart, 0, LSR_BREAK);
    uart_update_irq(uart);
}

static void uart_send(struct uart *uart, uint8_t byte)
{
    uart->tx_done = false;
    uart_update_irq(uart);
    if (uart->mcr & MCR_LOOP)
        uart_push(uart, byte, 0);
    else
        chardev_write(uart->chr, &byte, 1);
    uart->tx_done = true;
}

/* Sets the modem inputs, noting what changed; of RI only the end of the ringing counts. */
static void uart_set_modem(struct uart *uart, uint8_t inputs)
{
    uint8_t changed = (uart->msr ^ inputs) >> 4;

    if (inputs & MSR_RI)
        changed &= ~MSR_TERI;
    uart->msr = inputs | (uart->msr & MSR_DELTA) | changed;
}

static void uart_write_mcr(struct uart *uart, uint8_t value)
{
    uint8_t inputs = MSR_CTS | MSR_DSR | MSR_DCD;

    uart->mcr = value & MCR_MASK;
    if (uart->mcr & MCR_LOOP)
        inputs = (value & MCR_RTS ? MSR_CTS : 0) | (value & MCR_DTR ? MSR_DSR : 0) |
                 (value & MCR_OUT1 ? MSR_RI : 0) | (value & MCR_OUT2 ? MSR_DCD : 0);
    uart_set_modem(uart, inputs);
}

/* Bits 5:4 do nothing on this chip, and the others take effect only together with the enable bit. */
static void uart_write_fcr(struct uart *uart, uint8_t value)
{
    bool toggled = (uart->fcr ^ value) & FCR_ENABLE;

    uart->fcr = value & FCR_ENABLE ? value & (FCR_TRIGGER | FCR_ENABLE) : 0;
    if (toggled || (uart_fifos(uart) && value & FCR_RESET))
        uart_clear_rx(uart);
}

static void uart_write_ier(struct uart *uart, uint8_t value)
{
    /* Enabling the transmitter's interrupt while it is empty asks for one at once; drivers start sending so.
     */
    if (value & IER_TX && !(uart->ier & IER_TX))
        uart->tx_done = true;
    uart->ier = value & IER_MASK;
}

static void uart_write_lcr(struct uart *uart, uint8_t value)
{
    bool starts_break = value & ~uart->lcr & LCR_BREAK;

    if (uart->lcr & ~value & LCR_DLAB && !uart->divisor)
        log_at(uart->log, LOG_GUEST, "uart", "a divisor of 0 makes no bit rate");
    uart->lcr = value;
    if (starts_break && uart->mcr & MCR_LOOP)
        uart_push(uart, 0, LSR_BREAK);
}

static uint8_t uart_read_iir(struct uart *uart)
{
    uint8_t cause = uart_cause(uart);

    if (cause == IIR_TX)
        uart->tx_done = false;
    return cause | (uart_fifos(uart) ? IIR_FIFO : 0);
}

static uint8_t uart_read_lsr(struct uart *uart)
{
    uint8_t status = LSR_THRE | LSR_TEMT | uart->errors | (uart->rx_count ? LSR_DATA : 0);
    uint8_t bad = uart->errors & LSR_BREAK;

    for (unsigned i = 0; i < uart->rx_count; i++)
        bad |= uart->rx_errors[(uart->rx_first + i) % FIFO_SIZE];
    if (uart_fifos(uart) && bad)
        status |= LSR_FIFO;
    uart->errors = 0;
    return status;
}

static uint8_t uart_read_msr(struct uart *uart)
{
    uint8_t status = uart->msr;

    uart->msr &= ~MSR_DELTA;
    return status;
}

static uint8_t uart_read_register(struct uart *uart, uint64_t addr)
{
    bool dlab = uart->lcr & LCR_DLAB;

    switch (addr) {
    case UART_DATA:
        return dlab ? uart->divisor & 0xFF : uart_pop(uart);
    case UART_IER:
        return dlab ? uart->divisor >> 8 : uart->ier;
    case UART_IIR_FCR:
        return uart_read_iir(uart);
    case UART_LCR:
        return uart->lcr;
    case UART_MCR:
        return uart->mcr;
    case UART_LSR:
        return uart_read_lsr(uart);
    case UART_MSR:
        return uart_read_msr(uart);
    default:
        return uart->scratch;
    }
}

static void uart_write_register(struct uart *uart, uint64_t addr, uint8_t value)
{
    bool dlab = uart->lcr & LCR_DLAB;

    switch (addr) {
    case UART_DATA:
        if (dlab)
            uart->divisor = (uart->divisor & 0xFF00) | value;
        else
            uart_send(uart, value);
        break;
    case UART_IER:
        if (dlab)
            uart->divisor = (uart->divisor & 0x00FF) | value << 8;
        else
            uart_write_ier(uart, value);
        break;
    case UART_IIR_FCR:
        uart_write_fcr(uart, value);
        break;
    case UART_LCR:
        uart_write_lcr(uart, value);
        break;
    case UART_MCR:
        uart_write_mcr(uart, value);
        break;
    case UART_SCRATCH:
        uart->scratch = value;
        break;
    default: /* LSR is for factory tests, MSR read-only */
        break;
    }
}

/* Whatever the access made of the room for input, the sender learns of it last, as it may send more right
 * away. */
static uint64_t uart_read(void *dev, uint64_t addr, unsigned size)
{
    struct uart *uart = dev;
    size_t room = uart_receiver_room(uart);
    uint8_t value = uart_read_register(uart, addr);

    (void)size;
    uart_update_irq(uart);
    if (uart_receiver_room(uart) > room)
        chardev_room_changed(uart->chr);
    return value;
}

static void uart_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct uart *uart = dev;
    size_t room = uart_receiver_room(uart);

    (void)size;
    uart_write_register(uart, addr, value);
    uart_update_irq(uart);
    if (uart_receiver_room(uart) > room)
        chardev_room_changed(uart->chr);
}

static const struct bus_ops uart_ops = {uart_read, uart_write, 1};

static void uart_reset(void *device)
{
    struct uart *uart = device;

    uart->ier = uart->lcr = uart->mcr = uart->fcr = uart->errors = 0;
    uart->scratch = 0;
    uart->divisor = RESET_DIVISOR;
    uart->msr = MSR_CTS | MSR_DSR | MSR_DCD;
    uart->tx_done = false;
    uart_clear_rx(uart);
    uart_update_irq(uart);
    chardev_room_changed(uart->chr);
}

static void uart_loaded(void *device)
{
    struct uart *uart = device;
    unsigned capacity = uart_fifos(uart) ? FIFO_SIZE : 1;

    uart->rx_first %= FIFO_SIZE;
    if (uart->rx_count > capacity)
        uart->rx_count = capacity;
    timer_arm(&uart->timer, uart->stale_at);
    uart->irq_level = uart_wants_irq(uart);
    irq_set(&uart->irq, uart->irq_level);
    chardev_room_changed(uart->chr);
}

static void uart_free(void *device)
{
    struct uart *uart = device;

    timer_disarm(&uart->timer);
    if (uart->chr && uart->chr->receiver.opaque == uart)
        uart->chr->receiver = (struct char_receiver){0};
    free(uart);
}

static const struct field uart_fields[] = {
    FIELD(struct uart, ier),      FIELD(struct uart, lcr),
    FIELD(struct uart, mcr),      FIELD(struct uart, scratch),
    FIELD(struct uart, fcr),      FIELD(struct uart, msr),
    FIELD(struct uart, errors),   FIELD(struct uart, divisor),
    FIELD_ARRAY(struct uart, rx), FIELD_ARRAY(struct uart, rx_errors),
    FIELD(struct uart, rx_first), FIELD(struct uart, rx_count),
    FIELD(struct uart, tx_done),  FIELD(struct uart, stale),
    FIELD(struct uart, stale_at), FIELD_END,
};

const struct device_class uart_class = {
    .name = "uart",
    .reset = uart_reset,
    .loaded = uart_loaded,
    .free = uart_free,
    .state = uart_fields,
};

struct uart *uart_new(struct bus *ports, uint16_t base, struct irq irq, struct chardev *chr,
                      struct clock *clock, struct log *log)
{
    struct uart *uart = calloc(1, sizeof(*uart));

    if (!uart)
        return NULL;
    uart->irq = irq;
    uart->clock = clock;
    uart->log = log;
    timer_init(&uart->timer, clock, "uart", uart_timed_out, uart);
    uart_reset(uart);
    if (!bus_map(ports, "uart", base, 8, &uart_ops, uart)) {
        uart_free(uart);
        return NULL;
    }
    uart->chr = chr;
    if (chr)
        chr->receiver = (struct char_receiver){uart_receiver_room, uart_receive, uart};
    return uart;
}
