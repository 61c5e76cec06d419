/*
 * monitor_internal.h - between monitor.c and the files with its commands.
 */
#ifndef DEBUG_MONITOR_INTERNAL_H
#define DEBUG_MONITOR_INTERNAL_H

#include <stdint.h>

#include "debug/keys.h"
#include "debug/monitor.h"
#include "debug/symbols.h"
#include "machine/machine.h"

struct console;

#define MONITOR_WORDS 32
#define MONITOR_STOPS 64

/* Where `x` and `disas` go on when they are given no address. */
struct monitor_place {
    uint64_t address;
    char format, size; /* as gdb's letters */
    bool physical;
};

#define TRACE_KEPT 1024u

/* What a trace writes down; see trace.c. */
struct trace {
    struct machine_stop_watch watch;
    unsigned on; /* bit n: the n-th category */
    uint64_t count;
    struct trace_event {
        enum cpu_stop_kind kind;
        uint64_t address, value, instructions, rip, linear, rax;
        uint32_t error;
        uint16_t cs;
        uint8_t bits;
        bool write, has_error;
    } event[TRACE_KEPT]; /* number n at n % TRACE_KEPT */
};

#define MONITOR_NODES 16u

/* An image that has a name; name NULL: none. */
struct block_node {
    char *name, *path;
    bool read_only;
};
void block_node_free(struct block_node *node); /* qmp_media.c */

struct monitor {
    struct machine *machine;
    struct block_node node[MONITOR_NODES];
    struct symbols *symbols; /* NULL: none */
    bool learned;            /* the kernel's own names were looked for */
    struct key_queue keys;
    struct console *console;
    struct monitor_place next;
    struct cpu_stop stop[MONITOR_STOPS]; /* owner NULL: none */
    struct machine_stop_watch watch;
    struct trace trace;
};

struct monitor_row;

/* A command being run. */
struct monitor_call {
    struct monitor *monitor;
    struct machine *machine;
    const struct monitor_row *row;
    FILE *out;
    int argc;
    char **argv;        /* argv[0] is the command's name, or the topic of info */
    const char *format; /* what follows a '/' behind the name; "" for nothing */
    const char *rest;   /* the line behind the name */
};

struct monitor_row {
    const char *name;
    const char *arguments; /* as help shows them */
    const char *help;
    bool (*run)(struct monitor_call *call);
    int least, most; /* words behind the name */
    bool looks;      /* runs between machine_look() and machine_look_away() */
};

/* Both end with a row whose name is NULL. */
extern const struct monitor_row monitor_table[], info_table[];

/* Prints a line that says why not; returns false. */
bool monitor_fail(struct monitor_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * A number, $REGISTER or symbol, or several with + and - between; false, with a line printed, when it isn't.
 * The CPU's state is looked at, so `looks` must be set.
 */
bool monitor_value(struct monitor_call *call, const char *text, uint64_t *value);

/* A number as C writes it, alone. */
bool monitor_number(const char *text, uint64_t *value);

/* " <name+0x12>", or nothing. */
void monitor_print_symbol(struct monitor_call *call, uint64_t address);

/* inspect_cpu.c */
bool info_registers(struct monitor_call *call), info_fpu(struct monitor_call *call),
    info_msr(struct monitor_call *call), info_gdt(struct monitor_call *call),
    info_idt(struct monitor_call *call), info_tss(struct monitor_call *call);

/* inspect_memory.c */
bool monitor_in(struct monitor_call *call), monitor_out(struct monitor_call *call);
bool monitor_x(struct monitor_call *call), monitor_xp(struct monitor_call *call),
    monitor_disas(struct monitor_call *call), info_mem(struct monitor_call *call),
    info_tlb(struct monitor_call *call), info_paging(struct monitor_call *call),
    info_mtree(struct monitor_call *call);

/* inspect_machine.c */
bool info_status(struct monitor_call *call), info_version(struct monitor_call *call),
    info_cpus(struct monitor_call *call), info_engine(struct monitor_call *call),
    info_clock(struct monitor_call *call), info_irq(struct monitor_call *call),
    info_pic(struct monitor_call *call), info_ioapic(struct monitor_call *call),
    info_lapic(struct monitor_call *call),
    info_pci(struct monitor_call *call), info_block(struct monitor_call *call),
    info_chardev(struct monitor_call *call), info_chip(struct monitor_call *call),
    info_chips(struct monitor_call *call), info_symbol(struct monitor_call *call);

/* balloon.c */
bool monitor_balloon(struct monitor_call *call), info_balloon(struct monitor_call *call);

/* inspect_history.c */
bool monitor_history(struct monitor_call *call), info_history(struct monitor_call *call);

/* breaks.c; the machine is built, and still there. */
bool monitor_break(struct monitor_call *call), monitor_watch(struct monitor_call *call),
    monitor_catch(struct monitor_call *call), monitor_delete(struct monitor_call *call),
    monitor_step(struct monitor_call *call), info_breakpoints(struct monitor_call *call);
void breaks_init(struct monitor *monitor);
void breaks_end(struct monitor *monitor);

/* trace.c, likewise */
bool monitor_trace(struct monitor_call *call), info_trace(struct monitor_call *call);
void trace_init(struct monitor *monitor);
void trace_end(struct monitor *monitor);

/* console.c: --monitor, and Ctrl-A C on a terminal that is a serial port. NULL with `why`. */
struct console *console_open(struct monitor *monitor, char *why, size_t why_size);
void console_close(struct console *console);
void console_poll(struct console *console);
/* Something happened meanwhile: says so to who types there. */
void console_say(struct console *console, const char *text);

#endif
