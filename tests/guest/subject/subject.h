/* subject.h - a kernel to be debugged: see main.c. */
#ifndef SUBJECT_H
#define SUBJECT_H

#include <stdint.h>

struct point {
    int x, y;
    double weight;
};

extern volatile int turn, watched, read_only;
extern struct point points[4];
extern uint32_t count32;

void prepare(void);
void visit_legacy(void);
int work(int n);
double weigh(const struct point *point);
void trouble(void);

static inline void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

#endif
