/*
 * main.c - a kernel to be debugged, in a few files and with debug information. It goes round for ever, and each turn comes
 * by what a debugger may want to stop at: 64-, 32- and 16-bit code, calls, data read and written, floating point, an
 * exception, a port, CR3, a magic breakpoint.
 */
#include "subject.h"

volatile int turn, watched, read_only = 7;
struct point points[4] = {{1, 2, 0.5}, {3, 4, 1.5}, {5, 6, 2.5}, {7, 8, 3.5}};

static void reload_cr3(void)
{
    unsigned long value;

    __asm__ volatile("mov %%cr3, %0; mov %0, %%cr3" : "=r"(value));
}

static void magic(void)
{
    __asm__ volatile("xchgw %bx, %bx");
}

int main(void)
{
    for (;;) {
        turn++;
        watched = work(turn);
        weigh(&points[turn & 3]);
        visit_legacy();
        reload_cr3();
        magic();
        out8(0xe0, (uint8_t)turn);
#ifdef __x86_64__
        trouble();
#endif
    }
}
