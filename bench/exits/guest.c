/*
 * guest.c - what it costs to leave the guest: a kernel on tests/guest's foundation that counts TSC cycles,
 * for any PC. It prints a line for each measurement on COM1, "NAME CYCLES", the median of some hundred
 * rounds:
 *
 *     pio   a byte to port 0x80
 *     mmio  32 bits of the HPET's identification
 *     hlt   from the start of a PIT count of 2 ms, which is in it, to its handler, with HLT in between
 *     user  a turn of a loop at CPL 3, in hundredths; bench/exits/native.c has the same
 */
#include "lib.h"

#include "loop.h"

enum { PIC1 = 0x20, PIC2 = 0xa0, VEC_PIT = 0x20, ROUNDS = 200, COUNT_2_MS = 2386 };

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

void guest_main(void)
{
    volatile uint32_t *hpet = (volatile uint32_t *)0xfed00000;

    MEASURE("pio", outb(0x80, 0));
    MEASURE("mmio", (void)*hpet);
    halts();
    user();
}
