/* console.c - formatted text to COM1 and the screen. */
#include <stdarg.h>
#include <stddef.h>

#include "demo.h"

#define COM1          0x3F8
#define UART_DATA     0
#define UART_IER      1
#define UART_FCR      2
#define UART_LCR      3
#define UART_MCR      4
#define UART_LSR      5
#define LCR_DLAB      0x80
#define LSR_THR_EMPTY 0x20

#define SCREEN_WIDTH 78

/* The compiler may call these for what is written as assignments. */
void *memset(void *to, int byte, size_t size)
{
    unsigned char *p = to;
    while (size--)
        *p++ = (unsigned char)byte;
    return to;
}

void *memcpy(void *to, const void *from, size_t size)
{
    unsigned char *p = to;
    const unsigned char *q = from;
    while (size--)
        *p++ = *q++;
    return to;
}

void console_init(void)
{
    outb(COM1 + UART_IER, 0);
    outb(COM1 + UART_LCR, LCR_DLAB);
    outb(COM1 + UART_DATA, 1); /* divisor 1: 115200 baud */
    outb(COM1 + UART_IER, 0);
    outb(COM1 + UART_LCR, 3); /* 8N1 */
    outb(COM1 + UART_FCR, 7); /* FIFOs on and empty */
    outb(COM1 + UART_MCR, 3); /* DTR, RTS */
    screen_init();
}

static void put_raw(char c)
{
    while (!(inb(COM1 + UART_LSR) & LSR_THR_EMPTY))
        ;
    outb(COM1 + UART_DATA, (uint8_t)c);
}

static void put(char c)
{
    if (c == '\n')
        put_raw('\r');
    put_raw(c);
    screen_put(c);
}

static void put_padded(const char *text, unsigned length, unsigned width, bool left, char pad)
{
    if (!left)
        for (unsigned i = length; i < width; i++)
            put(pad);
    for (unsigned i = 0; i < length; i++)
        put(text[i]);
    if (left)
        for (unsigned i = length; i < width; i++)
            put(' ');
}

static void put_number(uint64_t value, unsigned base, bool negative, unsigned width, bool left, char pad)
{
    char digits[24];
    unsigned at = sizeof digits;
    do {
        digits[--at] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    if (negative)
        digits[--at] = '-';
    put_padded(digits + at, sizeof digits - at, width, left, pad);
}

static unsigned text_length(const char *text)
{
    unsigned n = 0;
    while (text[n])
        n++;
    return n;
}

void print(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    for (; *format; format++) {
        if (*format != '%') {
            put(*format);
            continue;
        }
        bool left = false, wide = false;
        char pad = ' ';
        unsigned width = 0;
        for (format++; *format == '-' || *format == '0'; format++) {
            if (*format == '-')
                left = true;
            else
                pad = '0';
        }
        for (; *format >= '0' && *format <= '9'; format++)
            width = width * 10 + (unsigned)(*format - '0');
        for (; *format == 'l'; format++)
            wide = true;
        if (*format == 's') {
            const char *text = va_arg(args, const char *);
            put_padded(text, text_length(text), width, left, ' ');
        } else if (*format == 'c') {
            put((char)va_arg(args, int));
        } else if (*format == 'd') {
            int64_t value = wide ? va_arg(args, int64_t) : va_arg(args, int);
            put_number(value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 10, value < 0, width, left, pad);
        } else if (*format == 'u' || *format == 'x') {
            uint64_t value = wide ? va_arg(args, uint64_t) : va_arg(args, unsigned);
            put_number(value, *format == 'u' ? 10 : 16, false, width, left, pad);
        } else {
            put(*format);
        }
    }
    va_end(args);
    screen_show_cursor();
}

static void print_colored(uint8_t color, const char *text)
{
    screen_color(color);
    print("\n%s\n", text);
    screen_color(COLOR_TEXT);
}

void heading(const char *text)
{
    print_colored(COLOR_HEADING, text);
}

void title(const char *text)
{
    print_colored(COLOR_TITLE, text);
}

void print_word(unsigned *column, const char *word)
{
    if (!word) {
        print("\n");
        return;
    }
    unsigned length = text_length(word) + 1;
    if (*column + length > SCREEN_WIDTH) {
        print("\n%-13s", "");
        *column = 13;
    }
    print(" %s", word);
    *column += length;
}
