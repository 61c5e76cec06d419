/* lib.c - see lib.h. */
#include <stdarg.h>

#include "lib.h"

#define COM1          0x3F8
#define LSR_THR_EMPTY 0x20

struct gate idt[256];
struct tss tss;
uint64_t lib_start_info;

static uint8_t ist_stack[16384] __attribute__((aligned(16)));
static uint8_t rsp0_stack[16384] __attribute__((aligned(16)));
uint8_t stack0[8192] __attribute__((aligned(4096)));
uint8_t stack3[8192] __attribute__((aligned(4096)));

static struct {
    unsigned passed, failed;
    const char *name;
    bool failing;
    char why[160];
} report;

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

int memcmp(const void *a, const void *b, size_t size)
{
    const unsigned char *p = a, *q = b;
    for (; size--; p++, q++)
        if (*p != *q)
            return *p - *q;
    return 0;
}

/* Where formatted text goes: a buffer, or the ports. */
struct sink {
    char *at, *end;
};

static void put(struct sink *sink, char c)
{
    if (sink->at) {
        if (sink->at < sink->end)
            *sink->at++ = c;
        return;
    }
    if (c == '\n')
        put(sink, '\r');
    while (!(inb(COM1 + 5) & LSR_THR_EMPTY))
        ;
    outb(COM1, (uint8_t)c);
    if (c != '\r')
        outb(0xE9, (uint8_t)c);
}

static void put_number(struct sink *sink, uint64_t value, unsigned base, bool negative, unsigned width,
                       char pad)
{
    char digits[24];
    unsigned at = sizeof digits;
    do {
        digits[--at] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    if (negative)
        digits[--at] = '-';
    for (unsigned n = sizeof digits - at; n < width; n++)
        put(sink, pad);
    while (at < sizeof digits)
        put(sink, digits[at++]);
}

/* %[0][width][l]{d,u,x}, %s, %c, %%. */
static void vformat(struct sink *sink, const char *format, va_list args)
{
    for (; *format; format++) {
        if (*format != '%') {
            put(sink, *format);
            continue;
        }
        char pad = *++format == '0' ? '0' : ' ';
        unsigned width = 0;
        bool wide = false;
        for (; *format >= '0' && *format <= '9'; format++)
            width = width * 10 + (unsigned)(*format - '0');
        for (; *format == 'l'; format++)
            wide = true;
        if (*format == 's') {
            for (const char *text = va_arg(args, const char *); *text; text++)
                put(sink, *text);
        } else if (*format == 'c') {
            put(sink, (char)va_arg(args, int));
        } else if (*format == 'd') {
            int64_t value = wide ? va_arg(args, int64_t) : va_arg(args, int);
            put_number(sink, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 10, value < 0, width, pad);
        } else if (*format == 'u' || *format == 'x') {
            uint64_t value = wide ? va_arg(args, uint64_t) : va_arg(args, unsigned);
            put_number(sink, value, *format == 'u' ? 10 : 16, false, width, pad);
        } else {
            put(sink, *format);
        }
    }
}

void print(const char *format, ...)
{
    struct sink sink = {0};
    va_list args;
    va_start(args, format);
    vformat(&sink, format, args);
    va_end(args);
}

void test_begin(const char *name)
{
    report.name = name;
    report.failing = false;
}

void test_fail(const char *format, ...)
{
    if (report.failing)
        return;
    report.failing = true;
    struct sink sink = {report.why, report.why + sizeof report.why - 1};
    va_list args;
    va_start(args, format);
    vformat(&sink, format, args);
    va_end(args);
    *sink.at = 0;
}

bool test_equal(uint64_t got, uint64_t want, const char *what)
{
    if (got != want)
        test_fail("%s is 0x%lx, not 0x%lx", what, got, want);
    return got == want;
}

void test_end(void)
{
    if (report.failing) {
        report.failed++;
        print("FAIL %s: %s\n", report.name, report.why);
    } else {
        report.passed++;
        print("PASS %s\n", report.name);
    }
}

void test_skip(const char *name, const char *why)
{
    print("SKIP %s: %s\n", name, why);
}

void test_run(const char *name, struct regs *regs, unsigned vector, uint64_t error, const uint8_t *where)
{
    test_begin(name);
    run(regs);
    if (regs->vector != vector)
        test_fail("vector %lu with error code 0x%lx at 0x%lx (CR2 0x%lx), not vector %u", regs->vector,
                  regs->error, regs->rip, regs->cr2, vector);
    test_equal(regs->error, error, "error code");
    test_equal(regs->rip, (uint64_t)where, "RIP");
    test_end();
}

static void power_off(void)
{
    outb(0xF4, report.failed ? 1 : 0); /* isa-debug-exit, where there is one */
    outw(0x604, 1 << 13);              /* PM1a_CNT: SLP_EN with SLP_TYP 0, soft off */
    for (;;)
        __asm__ volatile("cli; hlt");
}

void test_result(void)
{
    print("RESULT %u passed, %u failed\n", report.passed, report.failed);
    power_off();
    __builtin_unreachable();
}

void lib_unexpected(const struct frame *frame);
void lib_unexpected(const struct frame *frame)
{
    uint64_t cr2;
    __asm__ volatile("movq %%cr2, %0" : "=r"(cr2));
    if (!report.failing)
        test_fail("unexpected vector %lu, error code 0x%lx, at 0x%lx, CR2 0x%lx, RFLAGS 0x%lx", frame->vector,
                  frame->error, frame->rip, cr2, frame->rflags);
    if (!report.name)
        report.name = "start";
    test_end();
    test_result();
}

void set_gate(unsigned vector, uint64_t offset, uint16_t selector, uint8_t ist, uint8_t type)
{
    idt[vector] = (struct gate){(uint16_t)offset,         selector, ist, type, (uint16_t)(offset >> 16),
                                (uint32_t)(offset >> 32), 0};
}

void set_tss_limit(uint32_t limit)
{
    uint64_t base = (uint64_t)&tss;
    gdt[SEL_TSS / 8] = descriptor((uint32_t)base, limit, 0x89, 0);
    gdt[SEL_TSS / 8 + 1] = base >> 32;
    __asm__ volatile("ltr %0" : : "r"((uint16_t)SEL_TSS) : "memory");
}

uint64_t descriptor(uint32_t base, uint32_t limit, unsigned access, unsigned flags)
{
    return (limit & 0xFFFF) | (uint64_t)(base & 0xFFFFFF) << 16 | (uint64_t)(access & 0xFF) << 40 |
           (uint64_t)(limit >> 16 & 15) << 48 | (uint64_t)(flags & 15) << 52 | (uint64_t)(base >> 24) << 56;
}

uint64_t map_page(unsigned n, uint64_t physical, uint64_t flags)
{
    uint64_t address = TEST_BASE + n * 4096ull;
    test_pt[n] = physical | flags;
    invlpg(address);
    return address;
}

struct regs snippet_regs(const struct snippet *snippet, unsigned cpl)
{
    struct regs regs = {0};
    regs.rip = (uint64_t)snippet->start;
    regs.rflags = 2;
    regs.cs = cpl ? SEL_USER_CODE64 : SEL_CODE64;
    regs.ss = cpl ? SEL_USER_DATA : SEL_DATA;
    regs.rsp = (uint64_t)(cpl ? stack3_top : stack0_top);
    return regs;
}

void lib_main(uint64_t start_info);
void lib_main(uint64_t start_info)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) pointer = {sizeof idt - 1, (uint64_t)idt};
    lib_start_info = start_info;
    outb(COM1 + 1, 0);
    outb(COM1 + 3, 0x80);
    outb(COM1, 1); /* 115200 baud */
    outb(COM1 + 1, 0);
    outb(COM1 + 3, 3);
    outb(COM1 + 2, 7);
    for (unsigned i = 0; i < 256; i++)
        set_gate(i, lib_entries[i], SEL_CODE64, i < 32 || i == VEC_END,
                 i == VEC_END || i == VEC_BP || i == VEC_OF ? 0xEE : 0x8E);
    __asm__ volatile("lidt %0" : : "m"(pointer));
    /* Both PICs are silent until a test wants them. */
    outb(0x21, 0xFF);
    outb(0xA1, 0xFF);
    tss.rsp[0] = (uint64_t)(rsp0_stack + sizeof rsp0_stack);
    tss.ist[0] = (uint64_t)(ist_stack + sizeof ist_stack);
    tss.io_map = sizeof tss; /* beyond the limit: no port is open */
    set_tss_limit(sizeof tss - 1);
    __asm__ volatile("lldt %0" : : "r"((uint16_t)0)); /* RESET leaves one of 64 KiB at 0 */
    guest_main();
    test_result();
}
