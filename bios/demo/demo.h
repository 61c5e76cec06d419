/*
 * demo.h - the demo guest: a kernel of a few pages that shows what the machine it runs in looks like.
 *
 * It is a PVH kernel, entered in 32-bit mode (start.S), and runs in 64-bit mode with 4 GiB mapped to itself.
 * Nothing here is shared with the emulator around it: it believes only what it can see from inside.
 *
 * Built freestanding: -m64 -ffreestanding -mno-red-zone -mgeneral-regs-only -fno-pic -static -nostdlib -T
 * demo.ld.
 */
#ifndef DEMO_H
#define DEMO_H

#include <stdbool.h>
#include <stdint.h>

/* The PVH start information (version 1) and a row of its memory map. */
struct start_info {
    uint32_t magic, version, flags, modules;
    uint64_t module_list, command_line, rsdp, memory_map;
    uint32_t memory_map_entries, reserved;
};

struct memory_range {
    uint64_t base, size;
    uint32_t type, reserved;
};

struct interrupt_frame {
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

/* console.c: formatted text to COM1 and the screen. %[-][0][width][l] of d u x s c, and %%. */
void console_init(void);
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
void heading(const char *text);
void title(const char *text);
/* A word of a list that is wrapped at the screen's width; indented lines. NULL ends the list. */
void print_word(unsigned *column, const char *word);

/* screen.c: an 80x25 text screen, if there is one. The cursor stays behind until it is shown. */
#define COLOR_TEXT    0x07
#define COLOR_TITLE   0x0F
#define COLOR_HEADING 0x0B
void screen_init(void);
void screen_color(uint8_t attribute);
void screen_put(char c);
void screen_show_cursor(void);

/* cpu.c */
void show_cpu(void);

/* acpi.c */
struct acpi {
    uint64_t lapic, ioapic, hpet; /* physical addresses; 0 if there is none */
    unsigned cpus;
    uint16_t pm_timer, pm1a_control, pm1b_control; /* ports */
    bool pm_timer_32bit;
    uint16_t sleep_type_a, sleep_type_b; /* of S5 */
};
void acpi_find(struct acpi *acpi, uint64_t rsdp);
void show_acpi(const struct acpi *acpi);
void power_off(const struct acpi *acpi);

/* devices.c */
void show_devices(const struct acpi *acpi);

/* time.c */
void interrupts_init(void);
uint64_t show_clocks(const struct acpi *acpi); /* measures; returns the TSC's Hz, 0 if that failed */
void show_interrupts(void);
void show_speed(uint64_t tsc_hz);

static inline void outb(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void outw(uint16_t port, uint16_t value)
{
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline void outl(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline uint32_t inl(uint16_t port)
{
    uint32_t value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline uint64_t rdtsc(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static inline uint32_t mmio_read(uint64_t address)
{
    return *(volatile uint32_t *)address;
}

#endif
