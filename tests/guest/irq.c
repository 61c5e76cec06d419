/*
 * irq.c - interrupts from the chip to the handler: PIT through PIC and I/O APIC, the local APIC's timer in
 * its three modes, priorities, level-triggered lines, NMI, HLT, and the instruction after STI.
 */
#include "lib.h"

enum {
    PIC1 = 0x20,
    PIC2 = 0xA0,
    VEC_PIT = 0x20,
    VEC_TIMER = 0x41,
    VEC_LOW = 0x52,
    VEC_HIGH = 0x93,
    VEC_IOAPIC = 0x61,
    VEC_SPURIOUS = 0xFF,
};
#define PIT_HZ 1193182u

/* Local APIC registers. */
enum {
    LAPIC_ID = 0x20,
    LAPIC_TPR = 0x80,
    LAPIC_EOI = 0xB0,
    LAPIC_SVR = 0xF0,
    LAPIC_ISR = 0x100,
    LAPIC_IRR = 0x200,
    LAPIC_ICR = 0x300,
    LAPIC_ICR_HIGH = 0x310,
    LAPIC_LVT_TIMER = 0x320,
    LAPIC_LVT_LINT0 = 0x350,
    LAPIC_LVT_LINT1 = 0x360,
    LAPIC_INITIAL = 0x380,
    LAPIC_CURRENT = 0x390,
    LAPIC_DIVIDE = 0x3E0,
    LVT_MASKED = 1 << 16,
    LVT_PERIODIC = 1 << 17,
    LVT_DEADLINE = 2 << 17,
    ICR_SELF = 1 << 18,
    ICR_NMI = 4 << 8,
    DIVIDE_1 = 11,
    MSR_TSC_DEADLINE = 0x6E0,
};

static volatile uint32_t *const lapic = (uint32_t *)0xFEE00000;
static volatile uint32_t *const ioapic = (uint32_t *)0xFEC00000;

static uint32_t lapic_read(unsigned reg)
{
    return lapic[reg / 4];
}

static void lapic_write(unsigned reg, uint32_t value)
{
    lapic[reg / 4] = value;
}

static bool lapic_bit(unsigned reg, unsigned vector)
{
    return lapic_read(reg + vector / 32 * 16) >> vector % 32 & 1;
}

static void ioapic_write(unsigned index, uint32_t value)
{
    ioapic[0] = index;
    ioapic[4] = value;
}

static uint32_t ioapic_read(unsigned index)
{
    ioapic[0] = index;
    return ioapic[4];
}

/* Flags, low half first written last so that a half-written entry stays masked. */
static void ioapic_route(unsigned pin, uint32_t low)
{
    ioapic_write(0x10 + pin * 2, LVT_MASKED);
    ioapic_write(0x11 + pin * 2, lapic_read(LAPIC_ID) & 0xFF000000);
    ioapic_write(0x10 + pin * 2, low);
}

static void sti(void)
{
    __asm__ volatile("sti; nop" : : : "memory");
}

static void cli(void)
{
    __asm__ volatile("cli" : : : "memory");
}

static volatile unsigned count, depth, deepest;
static volatile uint64_t last_rip;

/* Waits with interrupts on until `count` is `wanted`; gives up after a few seconds' worth of polling. */
static void wait_count(unsigned wanted)
{
    sti();
    for (unsigned i = 0; i < 3000000 && count < wanted; i++)
        inb(0x61);
    cli();
}

/* ---- PIC and PIT ---- */

static void pic_init(uint8_t mask1)
{
    outb(PIC1, 0x11);
    outb(PIC2, 0x11);
    outb(PIC1 + 1, VEC_PIT);
    outb(PIC2 + 1, VEC_PIT + 8);
    outb(PIC1 + 1, 4);
    outb(PIC2 + 1, 2);
    outb(PIC1 + 1, 1);
    outb(PIC2 + 1, 1);
    outb(PIC1 + 1, mask1);
    outb(PIC2 + 1, 0xFF);
}

static uint8_t pic_irr(void)
{
    outb(PIC1, 0x0A);
    return inb(PIC1);
}

static uint8_t pic_isr(void)
{
    outb(PIC1, 0x0B);
    return inb(PIC1);
}

static void pit_start(unsigned mode, unsigned reload)
{
    outb(0x43, (uint8_t)(0x30 | mode << 1));
    outb(0x40, (uint8_t)reload);
    outb(0x40, (uint8_t)(reload >> 8));
}

static bool wait_irr(void)
{
    for (unsigned i = 0; i < 1000000; i++)
        if (pic_irr() & 1)
            return true;
    return false;
}

static void on_pit(struct frame *frame)
{
    count = count + 1;
    last_rip = frame->rip;
    outb(PIC1, 0x20);
}

/* The PIC answers so when a request goes away before it is acknowledged, as at a change of the PIT's mode. It
 * wants no EOI. */
static void on_spurious(struct frame *frame)
{
    (void)frame;
}

static void on_pit_no_eoi(struct frame *frame)
{
    (void)frame;
    count = count + 1;
}

static void legacy_interrupts(void)
{
    lapic_write(LAPIC_SVR, 0x100 | VEC_SPURIOUS);
    lapic_write(LAPIC_LVT_LINT0, 0x700); /* ExtINT: the PIC's line */
    handlers[VEC_PIT] = on_pit;
    handlers[VEC_PIT + 7] = handlers[VEC_SPURIOUS] = on_spurious;
    pic_init(0xFE);
    test_begin("PIT interrupts through the PIC");
    count = 0;
    pit_start(2, PIT_HZ / 1000);
    wait_count(5);
    if (count < 5)
        test_fail("%u interrupts", count);
    test_end();
    test_begin("HLT wakes up at each interrupt");
    count = 0;
    for (unsigned i = 0; i < 5; i++)
        __asm__ volatile("sti; hlt; cli" : : : "memory");
    test_equal(count, 5, "interrupts");
    test_end();
    test_begin("a masked interrupt waits in the IRR");
    outb(PIC1 + 1, 0xFF);
    count = 0;
    if (!wait_irr())
        test_fail("no request in the IRR");
    for (unsigned i = 0; i < 10; i++)
        sti();
    cli();
    test_equal(count, 0, "interrupts while masked");
    outb(PIC1 + 1, 0xFE);
    sti();
    sti();
    cli();
    if (!count)
        test_fail("no interrupt after unmasking");
    test_end();
    test_begin("mode 0 of the PIT interrupts once");
    pit_start(0, 20000);
    sti(); /* whatever the old mode left behind */
    cli();
    count = 0;
    wait_count(1);
    sti();
    for (unsigned i = 0; i < 20000; i++)
        inb(0x61);
    cli();
    test_equal(count, 1, "interrupts");
    test_end();
    test_begin("no second interrupt before EOI");
    handlers[VEC_PIT] = on_pit_no_eoi;
    pit_start(2, PIT_HZ / 1000);
    count = 0;
    wait_count(2);
    test_equal(count, 1, "interrupts");
    test_equal(pic_isr(), 1, "ISR");
    outb(PIC1, 0x20);
    test_equal(pic_isr(), 0, "ISR after EOI");
    test_end();
    handlers[VEC_PIT] = on_pit;
}

/* ---- the instruction after STI ---- */

SNIPPET(i_sti_cli, "", "sti; cli", "");
SNIPPET(i_sti_nop_cli, "", "sti; nop", "cli");
SNIPPET(i_sti_sti_cli, "", "sti; sti", "cli");
SNIPPET(i_sti_hlt, "", "sti; hlt", "cli");
SNIPPET(i_popf, "push $0x202", "popfq", "cli");
SNIPPET(i_iret,
        "mov %ss, %ecx; mov %rsp, %rdx; push %rcx; push %rdx; push $0x202; mov %cs, %ecx; push %rcx; lea "
        "i_iret_next(%rip), %rax; push %rax",
        "iretq", "cli");

/* Runs with a request already waiting: how many interrupts came, and where. */
static void pending(const char *what, const struct snippet *s, unsigned want)
{
    struct regs r = snippet_regs(s, 0);
    pit_start(0, 50);
    if (!wait_irr())
        test_fail("%s: no request", what);
    count = 0;
    run(&r);
    if (r.vector != VEC_END)
        test_fail("%s: vector %lu", what, r.vector);
    test_equal(count, want, what);
    if (want)
        test_equal(last_rip, (uint64_t)s->next, what);
    else { /* take it now */
        sti();
        cli();
    }
}

static void shadows(void)
{
    handlers[VEC_PIT] = on_pit;
    test_begin("an interrupt waits for the instruction after STI");
    pending("STI, CLI", &i_sti_cli, 0);
    pending("STI, NOP", &i_sti_nop_cli, 1);
    pending("STI, STI", &i_sti_sti_cli, 1);
    pending("STI, HLT", &i_sti_hlt, 1);
    test_end();
    test_begin("POPF and IRET open interrupts at once");
    pending("POPF", &i_popf, 1);
    pending("IRET", &i_iret, 1);
    test_end();
    outb(PIC1 + 1, 0xFF);
}

/* ---- the local APIC ---- */

static void on_apic(struct frame *frame)
{
    count = count + 1;
    last_rip = frame->rip;
    lapic_write(LAPIC_EOI, 0);
}

static void timer_once(void)
{
    handlers[VEC_TIMER] = on_apic;
    test_begin("APIC timer, one shot");
    lapic_write(LAPIC_DIVIDE, DIVIDE_1);
    lapic_write(LAPIC_LVT_TIMER, VEC_TIMER);
    count = 0;
    lapic_write(LAPIC_INITIAL, 100000);
    if (lapic_read(LAPIC_CURRENT) > 100000)
        test_fail("current count 0x%x", lapic_read(LAPIC_CURRENT));
    wait_count(1);
    test_equal(count, 1, "interrupts");
    test_equal(lapic_read(LAPIC_CURRENT), 0, "current count afterwards");
    sti();
    for (unsigned i = 0; i < 10000; i++)
        inb(0x61);
    cli();
    test_equal(count, 1, "interrupts a while later");
    test_end();
    test_begin("APIC timer, masked and stopped");
    lapic_write(LAPIC_LVT_TIMER, LVT_MASKED | VEC_TIMER);
    count = 0;
    lapic_write(LAPIC_INITIAL, 1000);
    for (unsigned i = 0; i < 1000000 && lapic_read(LAPIC_CURRENT); i++)
        ;
    sti();
    cli();
    test_equal(count, 0, "interrupts");
    test_equal(lapic_bit(LAPIC_IRR, VEC_TIMER), 0, "IRR");
    lapic_write(LAPIC_LVT_TIMER, VEC_TIMER);
    lapic_write(LAPIC_INITIAL, 1000000000);
    lapic_write(LAPIC_INITIAL, 0);
    test_equal(lapic_read(LAPIC_CURRENT), 0, "current count after writing 0");
    test_end();
}

static void timer_periodic(void)
{
    test_begin("APIC timer, periodic");
    lapic_write(LAPIC_LVT_TIMER, LVT_PERIODIC | VEC_TIMER);
    count = 0;
    lapic_write(LAPIC_INITIAL, 200000);
    wait_count(6);
    if (count < 6)
        test_fail("%u interrupts", count);
    lapic_write(LAPIC_LVT_TIMER, LVT_MASKED);
    lapic_write(LAPIC_INITIAL, 0);
    sti();
    cli();
    test_end();
}

static void timer_deadline(void)
{
    if (!(cpuid(1, 0).c & 1 << 24)) {
        test_skip("APIC timer, TSC deadline", "the CPU lacks it");
        return;
    }
    test_begin("APIC timer, TSC deadline");
    lapic_write(LAPIC_LVT_TIMER, LVT_DEADLINE | VEC_TIMER);
    count = 0;
    uint64_t deadline = rdtsc() + 30000000;
    wrmsr(MSR_TSC_DEADLINE, deadline);
    test_equal(rdmsr(MSR_TSC_DEADLINE), deadline, "MSR while armed");
    wait_count(1);
    if (rdtsc() < deadline)
        test_fail("it came before its time");
    test_equal(count, 1, "interrupts");
    test_equal(rdmsr(MSR_TSC_DEADLINE), 0, "MSR afterwards");
    wrmsr(MSR_TSC_DEADLINE, 1);
    wait_count(2);
    test_equal(count, 2, "interrupts after a deadline in the past");
    wrmsr(MSR_TSC_DEADLINE, rdtsc() + (1ull << 40));
    wrmsr(MSR_TSC_DEADLINE, 0);
    test_equal(rdmsr(MSR_TSC_DEADLINE), 0, "MSR after disarming");
    lapic_write(LAPIC_LVT_TIMER, LVT_MASKED);
    test_end();
}

static unsigned order[4], order_count;

static void on_ordered(struct frame *frame)
{
    if (order_count < 4)
        order[order_count++] = (unsigned)frame->vector;
    lapic_write(LAPIC_EOI, 0);
}

static void set_cr8(uint64_t value)
{
    __asm__ volatile("movq %0, %%cr8" : : "r"(value) : "memory");
}

static void on_nested(struct frame *frame)
{
    if (order_count < 4)
        order[order_count++] = (unsigned)frame->vector;
    if (frame->vector == VEC_LOW && order_count == 1) {
        lapic_write(LAPIC_ICR, ICR_SELF | VEC_HIGH);
        sti(); /* the higher one comes in between; the lower one again doesn't */
        lapic_write(LAPIC_ICR, ICR_SELF | VEC_LOW);
        sti();
        cli();
        if (order_count < 3)
            order[order_count++] = 0;
    }
    lapic_write(LAPIC_EOI, 0);
}

static void priorities(void)
{
    handlers[VEC_LOW] = handlers[VEC_HIGH] = on_ordered;
    test_begin("the higher vector comes first");
    order_count = 0;
    lapic_write(LAPIC_ICR, ICR_SELF | VEC_LOW);
    lapic_write(LAPIC_ICR, ICR_SELF | VEC_HIGH);
    test_equal(lapic_bit(LAPIC_IRR, VEC_LOW) + lapic_bit(LAPIC_IRR, VEC_HIGH), 2, "requests in the IRR");
    sti();
    sti();
    cli();
    test_equal(order_count, 2, "interrupts");
    test_equal(order[0], VEC_HIGH, "first");
    test_equal(order[1], VEC_LOW, "second");
    test_end();
    test_begin("CR8 holds off lower priorities");
    order_count = 0;
    set_cr8(5);
    test_equal(lapic_read(LAPIC_TPR), 0x50, "TPR");
    lapic_write(LAPIC_ICR, ICR_SELF | VEC_LOW);
    sti();
    cli();
    test_equal(order_count, 0, "interrupts at the same class");
    lapic_write(LAPIC_ICR, ICR_SELF | VEC_HIGH);
    sti();
    cli();
    test_equal(order_count, 1, "interrupts of a higher class");
    set_cr8(4);
    sti();
    cli();
    test_equal(order_count, 2, "interrupts after lowering CR8");
    set_cr8(0);
    test_end();
    test_begin("handlers nest by priority");
    handlers[VEC_LOW] = handlers[VEC_HIGH] = on_nested;
    order_count = 0;
    lapic_write(LAPIC_ICR, ICR_SELF | VEC_LOW);
    sti();
    cli();
    handlers[VEC_LOW] = on_ordered;
    sti();
    cli();
    test_equal(order[0], VEC_LOW, "first");
    test_equal(order[1], VEC_HIGH, "second, within the first");
    test_equal(order[2], 0, "nothing else within the first");
    test_equal(lapic_read(LAPIC_ISR + VEC_LOW / 32 * 16), 0, "ISR");
    test_end();
}

/* ---- the I/O APIC ---- */

static void edge_triggered(void)
{
    handlers[VEC_IOAPIC] = on_apic;
    test_begin("edge-triggered interrupt through the I/O APIC");
    count = 0;
    ioapic_route(2, VEC_IOAPIC); /* the PIT, by the usual override of IRQ 0 */
    pit_start(2, PIT_HZ / 1000);
    wait_count(5);
    if (count < 5)
        test_fail("%u interrupts", count);
    ioapic_route(2, LVT_MASKED);
    count = 0;
    wait_count(1);
    test_equal(count, 0, "interrupts while masked");
    pit_start(0, 50);
    test_end();
}

enum { COM1 = 0x3F8, LEVEL = 1 << 15, REMOTE_IRR = 1 << 14 };
static volatile uint32_t remote_irr;
static volatile bool quieten;

/* Reading the IIR takes back the transmitter's request. */
static void on_uart(struct frame *frame)
{
    (void)frame;
    count = count + 1;
    remote_irr = ioapic_read(0x10 + 4 * 2) & REMOTE_IRR;
    if (quieten || count >= 10)
        inb(COM1 + 2);
    lapic_write(LAPIC_EOI, 0);
}

static void wait_transmitter(void)
{
    for (unsigned i = 0; i < 1000000 && (inb(COM1 + 5) & 0x60) != 0x60; i++)
        ;
}

static void level_triggered(void)
{
    handlers[VEC_IOAPIC] = on_uart;
    wait_transmitter();
    test_begin("level-triggered interrupt through the I/O APIC");
    quieten = true;
    count = 0;
    ioapic_route(4, LEVEL | VEC_IOAPIC);
    outb(COM1 + 4, 0x0B); /* OUT2 connects the line */
    outb(COM1 + 1, 2);    /* transmitter empty */
    wait_count(1);
    for (unsigned i = 0; i < 100; i++)
        sti();
    cli();
    test_equal(count, 1, "interrupts while the handler quietens the line");
    test_equal(remote_irr, REMOTE_IRR, "remote IRR in the handler");
    test_equal(ioapic_read(0x10 + 4 * 2) & REMOTE_IRR, 0, "remote IRR after EOI");
    outb(COM1 + 1, 0);
    quieten = false;
    count = 0;
    outb(COM1 + 1, 2);
    wait_count(10);
    for (unsigned i = 0; i < 100; i++)
        sti();
    cli();
    test_equal(count, 10, "interrupts while the line stays high");
    outb(COM1 + 1, 0);
    outb(COM1 + 4, 3);
    ioapic_route(4, LVT_MASKED);
    test_end();
}

/* ---- NMI ---- */

static void send_nmi(void)
{
    lapic_write(LAPIC_ICR_HIGH, lapic_read(LAPIC_ID) & 0xFF000000);
    lapic_write(LAPIC_ICR, ICR_NMI);
}

static void on_nmi(struct frame *frame)
{
    depth = depth + 1;
    count = count + 1;
    last_rip = frame->rip;
    if (depth > deepest)
        deepest = depth;
    if (count == 1) {
        send_nmi(); /* waits for this handler's IRET */
        for (unsigned i = 0; i < 100; i++)
            inb(0x61);
    }
    depth = depth - 1;
}

static void non_maskable(void)
{
    handlers[VEC_NMI] = on_nmi;
    test_begin("NMI comes with IF = 0, and not within itself");
    count = depth = deepest = 0;
    send_nmi();
    for (unsigned i = 0; i < 1000 && count < 2; i++)
        inb(0x61);
    test_equal(count, 2, "NMIs");
    test_equal(deepest, 1, "depth");
    test_end();
    handlers[VEC_NMI] = NULL;
}

void guest_main(void)
{
    legacy_interrupts();
    shadows();
    timer_once();
    timer_periodic();
    timer_deadline();
    priorities();
    edge_triggered();
    level_triggered();
    non_maskable();
}
