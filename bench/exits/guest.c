/*
 * guest.c - what it costs to leave the guest: a kernel on tests/guest's foundation that counts TSC cycles,
 * for any PC. It prints a line for each measurement on COM1, "NAME CYCLES", the median of some hundred
 * rounds:
 *
 *     pio   a byte to port 0x80
 *     mmio  32 bits of the HPET's identification
 *     apic  the local APIC's ID register
 *     timer from the start of the APIC's timer to its handler, with HLT in between, less the 0.5 ms that it is to take
 *     hlt   from the start of a PIT count of 2 ms, which is in it, to its handler, with HLT in between
 *     user  a turn of a loop at CPL 3, in hundredths; bench/exits/native.c has the same
 */
#include "lib.h"

#include "loop.h"

enum { PIC1 = 0x20, PIC2 = 0xa0, VEC_PIT = 0x20, VEC_TIMER = 0x41, VEC_SPURIOUS = 0xff, ROUNDS = 200, COUNT_2_MS = 2386 };

static volatile uint64_t woken;
static uint64_t took[ROUNDS];

static uint64_t median(unsigned count)
{
    for (unsigned i = 1; i < count; i++)
        for (unsigned j = i; j && took[j] < took[j - 1]; j--) {
            uint64_t swap = took[j];

            took[j] = took[j - 1];
            took[j - 1] = swap;
        }
    return took[count / 2];
}

static void on_pit(struct frame *frame)
{
    (void)frame;
    woken = rdtsc();
    outb(PIC1, 0x20);
}

static void pic_init(void)
{
    static const uint8_t words[2][4] = {{0x11, VEC_PIT, 4, 1}, {0x11, VEC_PIT + 8, 2, 1}};

    for (unsigned n = 0; n < 4; n++) {
        outb(PIC1 + (n != 0), words[0][n]);
        outb(PIC2 + (n != 0), words[1][n]);
    }
    outb(PIC1 + 1, 0xfe);
    outb(PIC2 + 1, 0xff);
    set_gate(VEC_PIT, lib_entries[VEC_PIT], SEL_CODE64, 0, 0x8e);
    handlers[VEC_PIT] = on_pit;
}

#define MEASURE(name, what)                                                                                  \
    do {                                                                                                     \
        for (unsigned i = 0; i < ROUNDS; i++) {                                                              \
            uint64_t start = rdtsc();                                                                        \
            for (unsigned k = 0; k < 10; k++)                                                                \
                what;                                                                                        \
            took[i] = (rdtsc() - start) / 10;                                                                \
        }                                                                                                    \
        print(name " %lu\n", median(ROUNDS));                                                                \
    } while (0)

static void halts(void)
{
    pic_init();
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t start;

        outb(0x43, 0x30); /* counter 0, both bytes, mode 0: OUT rises at the end */
        outb(0x40, COUNT_2_MS & 0xff);
        start = rdtsc();
        outb(0x40, COUNT_2_MS >> 8);
        woken = 0;
        while (!woken)
            __asm__ volatile("sti; hlt; cli" : : : "memory");
        took[i] = woken - start;
    }
    print("hlt %lu\n", median(ROUNDS));
}

SNIPPET(user_loop, LOOP_BEGIN, LOOP_TURNS, "ud2");

static void user(void)
{
    struct regs r = snippet_regs(&user_loop, 3);

    r.rdi = LOOP_COUNT;
    run(&r);
    print("user %lu\n", (r.rax - r.r8) * 100 / LOOP_COUNT);
}

static volatile uint32_t *const lapic = (uint32_t *)0xfee00000;

static void on_timer(struct frame *frame)
{
    (void)frame;
    woken = rdtsc();
    lapic[0xb0 / 4] = 0; /* EOI */
}

/* One-shot, divided by 1. How long 0.5 ms are in the TSC's ticks is measured first. */
static void timers(void)
{
    uint64_t begin, half_ms;
    uint32_t ticks = 500000; /* at 1 GHz, which KVM and Oxbow have */

    set_gate(VEC_TIMER, lib_entries[VEC_TIMER], SEL_CODE64, 0, 0x8e);
    handlers[VEC_TIMER] = on_timer;
    lapic[0xf0 / 4] = 0x100 | VEC_SPURIOUS;
    lapic[0x3e0 / 4] = 11;
    lapic[0x320 / 4] = 1 << 16 | VEC_TIMER;
    lapic[0x380 / 4] = UINT32_MAX;
    begin = rdtsc();
    while (lapic[0x390 / 4] > UINT32_MAX - 100 * ticks)
        ;
    half_ms = (rdtsc() - begin) / 100;
    lapic[0x320 / 4] = VEC_TIMER;
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t start;

        woken = 0;
        start = rdtsc();
        lapic[0x380 / 4] = ticks;
        while (!woken)
            __asm__ volatile("sti; hlt; cli" : : : "memory");
        took[i] = woken - start - half_ms;
    }
    lapic[0x320 / 4] = 1 << 16;
    print("timer %lu\n", median(ROUNDS));
}

void guest_main(void)
{
    volatile uint32_t *hpet = (volatile uint32_t *)0xfed00000;

    MEASURE("pio", outb(0x80, 0));
    MEASURE("mmio", (void)*hpet);
    MEASURE("apic", (void)lapic[0x20 / 4]);
    timers();
    halts();
    user();
}
