/* trouble.c - an invalid instruction each turn, and the handler that goes on behind it. */
#include "subject.h"

struct gate {
    uint16_t low, selector, attributes, middle;
    uint32_t high, reserved;
};

struct frame {
    uint64_t rip, cs, rflags, rsp, ss;
};

static struct gate idt[32];
static volatile int troubles;

__attribute__((interrupt, target("general-regs-only"))) static void invalid_opcode(struct frame *frame)
{
    troubles++;
    frame->rip += 2;
}

void prepare(void)
{
    uint64_t at = (uint64_t)(uintptr_t)invalid_opcode;
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) pointer = {sizeof(idt) - 1, (uint64_t)(uintptr_t)idt};

    idt[6] = (struct gate){.low = (uint16_t)at, .selector = 8, .attributes = 0x8e00, .middle = (uint16_t)(at >> 16),
                           .high = (uint32_t)(at >> 32)};
    __asm__ volatile("lidt %0" : : "m"(pointer));
}

void trouble(void)
{
    __asm__ volatile("ud2");
}
