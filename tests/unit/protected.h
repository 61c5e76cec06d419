/*
 * protected.h - a bare CPU with 1 MiB of RAM, descriptor tables, stacks and handlers in place, for tests of
 * the protection machinery. Each handler is nothing but an address: tests step one instruction and look where
 * it led.
 */
#ifndef TESTS_UNIT_PROTECTED_H
#define TESTS_UNIT_PROTECTED_H

#include <check.h>
#include <pthread.h>

#include "cpu/cpu.h"

/* Where things are. */
enum {
    AT_GDT = 0x1000,
    AT_IDT = 0x2000,
    AT_TSS = 0x3000,
    AT_TSS1 = 0x3400,
    AT_LDT = 0x3800,
    AT_PML4 = 0x4000,
    AT_CODE = 0x10000,
    AT_CODE1 = 0x14000, /* second task, gate targets */
    AT_HANDLERS = 0x18000,
    STACK0 = 0x21000,
    STACK_IST = 0x23000,
    STACK1 = 0x25000,
    STACK3 = 0x31000,
    RAM_SIZE = 0x100000,
};

/* Selectors. */
enum {
    S_CODE0 = 0x08,
    S_DATA0 = 0x10,
    S_CODE3 = 0x18 | 3,
    S_DATA3 = 0x20 | 3,
    S_TSS = 0x28, /* 16 bytes in long mode */
    S_CODE0_64 = 0x38,
    S_CODE3_64 = 0x40 | 3,
    S_CONFORMING = 0x48,
    S_TSS1 = 0x50,
    S_GATE = 0x58, /* call gate; 16 bytes in long mode */
    S_ABSENT = 0x68,
    S_EXPDOWN = 0x70,
    S_LDT = 0x78, /* 16 bytes in long mode */
    S_READONLY = 0x88,
    S_EXECONLY = 0x90,
    S_TASK_GATE = 0x98,
    S_DATA3_16 = 0xa0 | 3,
    S_TSS16 = 0xa8,
    GDT_LIMIT = 0xaf,
};

struct box {
    uint8_t *ram;
    struct bus *memory, *ports;
    struct clock *clock;
    pthread_mutex_t lock;
    struct cpu *cpu;
    struct cpu_state *s;
};

struct box *box_new(void);
void box_free(struct box *box);

uint64_t box_get(struct box *box, uint32_t at, unsigned size);
void box_put(struct box *box, uint32_t at, uint64_t value, unsigned size);
void box_code(struct box *box, uint32_t at, const char *bytes, unsigned size);

/* Modes to start in; each with RIP at AT_CODE (real mode: 1000:0000) and interrupts off. */
void start_real(struct box *box);
void start_protected(struct box *box, unsigned cpl);
void start_long(struct box *box, unsigned cpl);
void start_vm86(struct box *box, unsigned iopl); /* at 1000:0000, stack at 3000:1000 */

/* A gate in the IDT of the current mode to handler number `vector`. type: 6, 7, 14, 15. */
void set_gate(struct box *box, unsigned vector, unsigned type, unsigned dpl, uint16_t cs, unsigned ist);
void remove_gate(struct box *box, unsigned vector);
static inline uint64_t handler(unsigned vector)
{
    return AT_HANDLERS + vector * 16;
}

/* One instruction or event; then the state is exact. */
void step(struct box *box);

/* Puts code at CS:RIP and steps it. */
void exec(struct box *box, const char *bytes, unsigned size);
#define EXEC(box, bytes) exec(box, bytes, sizeof(bytes) - 1)

/* The `n`th item of `size` bytes on the stack. */
uint64_t stacked(struct box *box, unsigned n, unsigned size);

/* Asserts that the step ended in the handler of `vector`, and with this error code on top of its stack. */
void expect_fault(struct box *box, unsigned vector, uint32_t error);
void expect_fault0(struct box *box, unsigned vector);

/* A call gate at S_GATE to AT_CODE1; type 4 or 12. */
void put_call_gate(struct box *box, unsigned type, unsigned dpl, uint16_t cs, unsigned params);

/* Adds tests as a case of the suite. */
void box_cases(Suite *suite, const char *name, SFun setup, SFun teardown, const TTest *const *tests,
               unsigned count);

uint64_t segment_descriptor(uint32_t base, uint32_t limit, uint32_t attr);

#endif
