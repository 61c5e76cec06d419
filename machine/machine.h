/*
 * machine.h - a whole PC: created from options, run until something ends it, freed. Any number can live in
 * one process; each is run by the thread that calls machine_run(), which serves its devices, and has a thread
 * per CPU.
 *
 * Locking: machine->lock guards the devices, the memory and port maps and the clock's timers. It is
 * recursive. Who waits for a CPU to stand still must not hold it.
 */
#ifndef MACHINE_MACHINE_H
#define MACHINE_MACHINE_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>

#include "bios/boot.h"
#include "core/bus.h"
#include "core/chardev.h"
#include "core/clock.h"
#include "core/device.h"
#include "core/log.h"
#include "core/options.h"
#include "host/file.h"
#include "host/loop.h"
#include "host/ram.h"
#include "machine/vcpu.h"

#define MACHINE_CHIPS 24
#define ISA_LINES     16

struct machine_chip {
    const struct device_class *class;
    void *device;
};

struct machine {
    const struct options *options; /* the caller's, as long as the machine lives */
    struct log *log;
    pthread_mutex_t lock;
    struct loop *loop;
    struct clock *clock;
    struct bus *memory, *ports;
    struct host_ram *ram;

    struct cpu *cpu;
    struct vcpu vcpu;

    /* The chips, in the order in which they were made: reset in this order, freed in the reverse. */
    struct machine_chip chips[MACHINE_CHIPS];
    unsigned chip_count;
    struct apic_bus *apic_bus;
    struct lapic *lapic;
    struct region *lapic_page;
    struct ioapic *ioapic;
    struct pic *pic;
    struct pci_bus *pci_bus;
    struct rtc *rtc;
    struct acpi_pm *acpi_pm;
    struct irq isa_pic[ISA_LINES], isa_ioapic[ISA_LINES]; /* where an ISA interrupt line leads */
    struct chardev *serial, *debugcon;

    struct host_file kernel, initrd; /* kept for the next reset */

    struct timer timeout;
    volatile sig_atomic_t signalled; /* the signal that ends the run; 0: none */
    int end;                         /* exit status to end with, -1: go on; atomic */
    bool reset_asked;                /* atomic */
};

struct machine_config {
    const struct options *options;
    struct log *log;
    /* In place of what the options name; the machine closes them. NULL: as the options say. */
    struct chardev *serial, *debugcon;
};

/*
 * Builds the machine and loads what it boots. Returns 0 and the machine in *machine, or an exit status with a
 * line in `why` that says what is wrong and what to do.
 */
int machine_new(const struct machine_config *config, struct machine **machine, char *why, size_t why_size);
void machine_free(struct machine *machine);

/* Runs it to its end; returns the exit status. A crash is reported on stderr. Once per machine. */
int machine_run(struct machine *machine);

/* Ends the run with this exit status; the first call counts. Any thread, not a signal handler. */
void machine_end(struct machine *machine, int status);

/* Ends the run as a signal's default action would, tidily. From a signal handler. */
void machine_signal(struct machine *machine, int number);

/* The guest asks for a reset. Any thread. */
void machine_reset(struct machine *machine);

/* What ran and how fast, after machine_run(). */
void machine_print_stats(const struct machine *machine, FILE *out);

/* machine_file.c: an options_reader for INI files. */
bool machine_file_read(const char *path, struct options *options, char *why, size_t why_size);

/* For machine/ itself. pc.c: makes and wires all chips and the CPU; undoes that, whatever of it was done. */
bool pc_build(struct machine *machine, char *why, size_t why_size);
void pc_free(struct machine *machine);

/* boot.c: reads the files that are booted; exit status or 0. */
int machine_read_files(struct machine *machine, char *why, size_t why_size);
/* What firmware would do: tables, CMOS, loading, the CPU's state at entry. The CPU stands, just reset. */
bool machine_boot(struct machine *machine, char *why, size_t why_size);

#endif
