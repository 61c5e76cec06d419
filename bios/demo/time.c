/* time.c - clocks measured against each other, timer interrupts, and how fast the processor runs a loop. */
#include "demo.h"

#define PIT_HZ      1193182u
#define PM_TIMER_HZ 3579545u

#define PIC1       0x20
#define PIC2       0xA0
#define PIC_VECTOR 32
#define TICK_HZ    100

struct gate {
    uint16_t offset_low, selector;
    uint8_t ist, type;
    uint16_t offset_middle;
    uint32_t offset_high, reserved;
};

extern const uint64_t demo_entries[48];

static struct gate idt[48];
static volatile unsigned ticks;

void demo_interrupt(const struct interrupt_frame *frame);
void demo_interrupt(const struct interrupt_frame *frame)
{
    if (frame->vector == PIC_VECTOR) {
        ticks = ticks + 1;
        outb(PIC1, 0x20); /* end of interrupt */
        return;
    }
    print("\nunexpected %s %lu, error code 0x%lx, at 0x%lx; stopping\n",
          frame->vector < 32 ? "exception" : "interrupt", frame->vector, frame->error, frame->rip);
    for (;;)
        __asm__ volatile("cli; hlt");
}

void interrupts_init(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) pointer = {sizeof idt - 1, (uint64_t)idt};
    for (unsigned i = 0; i < 48; i++) {
        uint64_t entry = demo_entries[i];
        idt[i] =
            (struct gate){(uint16_t)entry, 8, 0, 0x8E, (uint16_t)(entry >> 16), (uint32_t)(entry >> 32), 0};
    }
    __asm__ volatile("lidt %0" : : "m"(pointer));
    /* ICW1-4: vectors 32-47, slave on input 2, 8086 mode. Everything masked. */
    outb(PIC1, 0x11);
    outb(PIC2, 0x11);
    outb(PIC1 + 1, PIC_VECTOR);
    outb(PIC2 + 1, PIC_VECTOR + 8);
    outb(PIC1 + 1, 4);
    outb(PIC2 + 1, 2);
    outb(PIC1 + 1, 1);
    outb(PIC2 + 1, 1);
    outb(PIC1 + 1, 0xFF);
    outb(PIC2 + 1, 0xFF);
}

/* TSC ticks in `ms` (at most 50) of PIT channel 2, whose output port 0x61 shows; 0 when it never comes. */
static uint64_t tsc_over_pit(unsigned ms)
{
    unsigned count = PIT_HZ * ms / 1000;
    outb(0x61, (uint8_t)((inb(0x61) & ~2) | 1)); /* gate on, speaker off */
    outb(0x43, 0xB0);                            /* channel 2, mode 0 */
    outb(0x42, (uint8_t)count);
    outb(0x42, (uint8_t)(count >> 8));
    uint64_t start = rdtsc();
    for (unsigned i = 0; i < 20000000; i++)
        if (inb(0x61) & 0x20)
            return rdtsc() - start;
    return 0;
}

/* The same by the ACPI PM timer, which is 24 bits wide or more. */
static uint64_t tsc_over_pm(const struct acpi *acpi, unsigned ms)
{
    uint32_t span = PM_TIMER_HZ / 1000 * ms, first = inl(acpi->pm_timer);
    uint64_t start = rdtsc();
    for (unsigned i = 0; i < 20000000; i++)
        if (((inl(acpi->pm_timer) - first) & 0xFFFFFF) >= span)
            return rdtsc() - start;
    return 0;
}

static void show_rate(const char *name, uint64_t hz)
{
    if (hz)
        print("  %-12s%lu.%03lu MHz\n", name, hz / 1000000, hz / 1000 % 1000);
    else
        print("  %-12sno answer\n", name);
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The least of several tries: a host that looks away only ever makes one too long. */
uint64_t show_clocks(const struct acpi *acpi)
{
    enum { MS = 8, TRIES = 4 };
    uint64_t pit = tsc_over_pit(MS), pm = acpi->pm_timer ? tsc_over_pm(acpi, MS) : 0;
    for (unsigned i = 1; i < TRIES; i++) {
        pit = pit ? smaller(pit, tsc_over_pit(MS)) : 0;
        pm = pm ? smaller(pm, tsc_over_pm(acpi, MS)) : 0;
    }
    pit = pit * 1000 / MS;
    pm = pm * 1000 / MS;
    heading("Time stamp counter");
    show_rate("by the PIT", pit);
    show_rate("by ACPI PM", pm);
    return pit ? pit : pm;
}

void show_interrupts(void)
{
    enum { WANTED = 10 };
    uint16_t divisor = PIT_HZ / TICK_HZ;
    heading("Timer interrupts");
    outb(0x43, 0x34); /* channel 0, mode 2 */
    outb(0x40, (uint8_t)divisor);
    outb(0x40, (uint8_t)(divisor >> 8));
    outb(PIC1 + 1, 0xFE);
    __asm__ volatile("sti");
    /* The first one is waited for awake: a HLT without working interrupts would never end. */
    for (unsigned i = 0; i < 20000000 && !ticks; i++)
        inb(0x61);
    while (ticks && ticks < WANTED)
        __asm__ volatile("hlt");
    __asm__ volatile("cli");
    outb(PIC1 + 1, 0xFF);
    if (ticks)
        print("  %-12s%u at %u Hz, through PIC and IDT, asleep in between\n", "received", ticks, TICK_HZ);
    else
        print("  %-12snone\n", "received");
}

/* A loop of LOOP instructions a round: dependent and independent arithmetic, a load, a store and a branch. */
#define LOOP 10
static uint64_t run_loop(uint64_t rounds)
{
    static uint64_t cell = 1;
    uint64_t a = 1, b = 2;
    __asm__ volatile("1: addq %[b], %[a]\n"
                     "   xorq $0x55, %[b]\n"
                     "   rolq $7, %[a]\n"
                     "   movq %[cell], %%rdx\n"
                     "   addq %[a], %%rdx\n"
                     "   movq %%rdx, %[cell]\n"
                     "   subq %%rdx, %[b]\n"
                     "   leaq 3(%[a], %[b]), %[a]\n"
                     "   decq %[rounds]\n"
                     "   jnz 1b"
                     : [a] "+r"(a), [b] "+r"(b), [rounds] "+r"(rounds), [cell] "+m"(cell)
                     :
                     : "rdx", "cc");
    return a ^ b;
}

/* Primes below `limit` (at most 65536) by the sieve of Eratosthenes; there are 6542. */
static unsigned count_primes(unsigned limit)
{
    static uint8_t composite[65536];
    unsigned count = 0;
    for (unsigned i = 0; i < limit; i++)
        composite[i] = 0;
    for (unsigned i = 2; i < limit; i++) {
        if (composite[i])
            continue;
        count++;
        for (unsigned j = i * 2; j < limit; j += i)
            composite[j] = 1;
    }
    return count;
}

static uint64_t microseconds(uint64_t tsc, uint64_t tsc_hz)
{
    return tsc_hz >= 1000000 ? tsc / (tsc_hz / 1000000) : 0;
}

void show_speed(uint64_t tsc_hz)
{
    enum { ROUNDS = 2000000 };
    heading("Speed");
    if (!tsc_hz) {
        print("  no clock to measure with\n");
        return;
    }
    uint64_t start = rdtsc();
    unsigned primes = count_primes(65536);
    print("  %-12s%u primes below 65536 in %lu us\n", "sieve", primes, microseconds(rdtsc() - start, tsc_hz));
    start = rdtsc();
    run_loop(ROUNDS);
    uint64_t us = microseconds(rdtsc() - start, tsc_hz);
    print("  %-12s%u million instructions in %lu us: %lu MIPS\n", "loop", ROUNDS / 1000000 * LOOP, us,
          us ? (uint64_t)ROUNDS * LOOP / us : 0);
}
