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
#include "core/block.h"
#include "core/bus.h"
#include "core/chardev.h"
#include "core/clock.h"
#include "core/device.h"
#include "core/display.h"
#include "core/input.h"
#include "core/irqchip.h"
#include "core/log.h"
#include "core/net.h"
#include "core/options.h"
#include "core/share.h"
#include "host/file.h"
#include "host/loop.h"
#include "host/ram.h"
#include "host/tcp_listener.h"
#include "host/unix_listener.h"
#include "machine/vcpu.h"

#define MACHINE_CHIPS 64
#define ISA_LINES     16
#define SHADOW_AREAS  13

/* Who pulls at an ISA interrupt line; it is high while anyone does. */
enum isa_source { ISA_CARD, ISA_PCI, ISA_SCI, ISA_SECOND_CARD, ISA_TEST, ISA_NETWORK };

struct machine_chip {
    const struct device_class *class;
    void *device;
};

/* An area of shadow RAM: at most one of the three is mapped; see memory.c. */
struct shadow_area {
    struct machine *machine;
    struct region *ram, *read_only, *write_only;
};

#define MACHINE_ENGINES 8

/* What the engines did, in the order of engines[]; see engines.c. */
struct engine_account {
    struct engine_turns {
        uint64_t count, wall, instructions; /* wall: host ns, halted or not */
        bool serves;                        /* it has said so */
    } of[MACHINE_ENGINES];
    uint64_t since_wall, since_instructions;     /* where the present turn began */
    uint64_t switches, nanoseconds, longest;     /* nanoseconds: from asking to going on */
};

struct machine {
    const struct options *options; /* the caller's, as long as the machine lives */
    struct log *log;
    pthread_mutex_t lock;
    struct loop *loop;
    struct clock *clock;
    struct bus *memory, *ports;
    struct host_ram *ram;
    struct host_file bios; /* empty: none, a kernel is started directly */
    struct shadow_area shadow[SHADOW_AREAS];

    struct cpu *cpu;
    struct vcpu vcpu;
    struct engine_account engines;
    struct stop_on *stop_on;   /* NULL: there is no --stop-on */
    struct guest_debug *guest_debug;
    struct switches *switches; /* NULL: there is no --switch-at */
    struct coverage *coverage; /* NULL: there is no --coverage */
    struct jit_dump *jit_dump; /* NULL: nobody asked for translated code */

    /* The chips, in the order in which they were made: reset in this order, freed in the reverse. */
    struct machine_chip chips[MACHINE_CHIPS];
    unsigned chip_count;
    struct irqchips irqchips; /* what engines may borrow */
    struct apic_bus *apic_bus;
    struct lapic *lapic;
    struct region *lapic_page;
    struct ioapic *ioapic;
    struct pic *pic;
    struct pci_bus *pci_bus;
    struct piix *piix;
    struct dma *dma;
    struct fdc *fdc;
    struct i8042 *i8042;
    struct ps2_keyboard *keyboard;
    struct ps2_mouse *mouse;
    struct rtc *rtc;
    struct acpi_pm *acpi_pm;
    struct irq isa_pic[ISA_LINES], isa_ioapic[ISA_LINES]; /* where an ISA interrupt line leads */
    uint8_t isa_pulled[ISA_LINES];                        /* by whom: a bit for each enum isa_source */
    struct chardev *serial[OPTIONS_SERIALS], *debugcon, *parallel;

    struct host_file kernel, initrd; /* kept for the next reset */
    const char *kernel_name;         /* NULL: none is given */
    char *root_kernel, *root_line;   /* --root's: the kernel's name in its folder, the command line; NULL: the user's */
    const char *boot_order;          /* letters as for --boot; NULL: nothing speaks for another than usual */

    struct drive_option disk[OPTIONS_DISKS], disc[OPTIONS_DISCS],
        floppy[OPTIONS_FLOPPIES]; /* IMAGE among them */
    unsigned disks, discs, floppies;
    unsigned disc_in; /* which disc lies in the CD-ROM drive; discs: none */
    bool image_is_drive;
    struct ide *ide;
    struct ahci *ahci; /* NULL: nothing is plugged into one */
    struct block *disk_media[OPTIONS_DISKS];
    struct block_slot cdrom_slot, floppy_slot[OPTIONS_FLOPPIES];
    struct disk_failure {
        struct block *disk; /* NULL: none */
        bool writing;
        int error;
    } disk_failure; /* the machine has to stop for it */

    struct net *net[OPTIONS_NETS]; /* the hosts' ends of the network cards' cables */
    unsigned nets;

    struct virtio_balloon *balloon;       /* NULL: none, as for the next */
    struct virtio_input *virtio_input[3]; /* by enum virtio_input_kind */
    struct chardev *device_stream[OPTIONS_DEVICES];
    struct machine_pointer {
        int x, y;         /* absolute, as input_sink.pointer_at has it */
        unsigned buttons; /* that are held */
    } pointer;            /* as programs left it that control the machine */

    struct share *share[OPTIONS_SHARES + 1];
    unsigned shares;

    struct host_ram *vram; /* NULL: no graphics adapter */
    struct vga *vga;
    struct display_source display;
    struct viewer *viewer; /* NULL: nobody looks at it */
    struct monitor *monitor;
    struct control *control; /* NULL: --control is not given */
    bool paused;

    struct machine_stop_watch *stop_watches;
    const struct engine *engine_before_stops; /* NULL: none that knows none gave way */
    bool stopped;                             /* the CPU, for a debugger */
    bool stop_noted;                          /* atomic: it came to a stop, or has made its step */
    bool debugged;                            /* atomic: a triple fault is the debugger's to see */
    struct gdb_server *gdb;                   /* NULL: --gdb is not given */

    struct timer timeout;
    volatile sig_atomic_t signalled; /* the signal that ends the run; 0: none */
    volatile sig_atomic_t pictured;  /* a signal asks for --screenshot's picture now */
    int end;                         /* exit status to end with, -1: go on; atomic */
    char crash_reason[200];          /* why --stop-on ended the run; empty: it didn't */
    int exit_value;                  /* what the guest wrote to the exit device to end the run; -1: nothing */
    bool reset_asked;                /* atomic */
    bool reset_by_host;              /* it was not the guest who asked */
    const char *ended_by;            /* who on the host ended the run, as QMP calls it; NULL: nobody did */
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

/* Ends the run with this exit status; the first call counts, and is told so. Any thread, not a signal handler. */
bool machine_end(struct machine *machine, int status);

/* Ends the run as a signal's default action would, tidily. From a signal handler. */
void machine_signal(struct machine *machine, int number);

/* Writes the picture that --screenshot asks for, soon. From a signal handler. */
void machine_signal_screenshot(struct machine *machine);

/* Lets the machine stand still, time included, or go on. The thread of machine_run(), without the lock. */
void machine_pause(struct machine *machine, bool pause);

/*
 * Lets another engine go on with the machine, paused or running; `name` is as for --accel. Whatever the engine
 * was before, the guest notices nothing. True also when it has that engine already. False with a sentence in
 * `why`: the engine can't serve, and the one before goes on. The thread of machine_run(), without the lock.
 */
bool machine_switch_engine(struct machine *machine, const char *name, char *why, size_t why_size);

/*
 * operate.c. Between these two the CPU stands still, its state can be read and, if `changed` says so, was written, and
 * the lock is held. The thread of machine_run(), without the lock.
 */
void machine_look(struct machine *machine);
void machine_look_away(struct machine *machine, bool changed);

/* The power button; false when the guest doesn't listen. Without the lock. And the NMI wire. */
bool machine_power_button(struct machine *machine);
void machine_nmi(struct machine *machine);

/* A stream as --serial and others name them, for the monitor. NULL with a line in `why`. */
struct chardev *machine_open_stream(struct machine *machine, const char *where, char *why, size_t why_size);

/* With the lock: a key by its HID usage, or a pointer's motion (input_sink.pointer), for the device that the guest uses;
 * text, false when memory ran out; a PCI function's configuration; the `number`th chip of a class, NULL when there is
 * none. */
void machine_key(struct machine *machine, unsigned usage, bool down);
void machine_pointer(struct machine *machine, int dx, int dy, int wheel, unsigned buttons);
/* The same for an absolute pointer (input_sink.pointer_at), if the guest has one. */
void machine_pointer_at(struct machine *machine, int x, int y, int wheel, unsigned buttons);
bool machine_has_tablet(const struct machine *machine);
bool machine_type(struct machine *machine, const char *text);
uint32_t machine_pci_read(struct machine *machine, unsigned devfn, unsigned reg, unsigned size);
const struct machine_chip *machine_chip(const struct machine *machine, const char *name, unsigned number);

/* interrupts.c, with the lock: interrupt controllers in words, and all of the lines. */
void machine_print_pic(const struct machine *machine, FILE *out);
void machine_print_ioapic(const struct machine *machine, FILE *out);
void machine_print_lapic(const struct machine *machine, FILE *out);
void machine_print_irqs(const struct machine *machine, FILE *out);

/*
 * virtio.c, with the lock: has the guest keep `memory` bytes and give the rest back; what it keeps, and what it said of
 * it when it was asked last (UINT64_MAX: nothing), and asks it again. False: there is no balloon.
 */
struct machine_memory {
    uint64_t actual, free, total, available; /* bytes */
};
bool machine_balloon_set(struct machine *machine, uint64_t memory);
bool machine_balloon(struct machine *machine, struct machine_memory *memory);

/*
 * stops.c: who wants to know when the CPU comes to a stop that cpu_stop_add() asked for (all are told, and look for hits
 * of their own), has made the step asked of it, or, while debugged, shut down (activity). The CPU stands still, its state
 * pulled, and time with it. True: it is to stay so, until machine_go(). The thread of machine_run(), without the lock.
 */
struct machine_stop_watch {
    bool (*stopped)(void *opaque, const struct cpu_stopped *hits, unsigned count);
    void *opaque;
    struct machine_stop_watch *next;
};

/* All of these: the thread of machine_run(), without the lock. A watch isn't to unwatch others from stopped(). */
void machine_watch_stops(struct machine *machine, struct machine_stop_watch *watch);
void machine_unwatch_stops(struct machine *machine, struct machine_stop_watch *watch);

/* A debugger's stop: stands still with its state pulled; and goes on, maybe for a step (cpu_step_over()). */
void machine_stop(struct machine *machine);
void machine_go(struct machine *machine, bool step);

/* After stops were added or removed, while the CPU stands still: engines that know none give way to one that does. */
void machine_stops_changed(struct machine *machine);

/* While debugged a triple fault doesn't end the run. Returns what was before. */
bool machine_debugged(struct machine *machine, bool debugged);

/* The guest asks for a reset. Any thread. */
void machine_reset(struct machine *machine);

/* What ran and how fast, after machine_run(). */
void machine_print_stats(const struct machine *machine, FILE *out);

/* What --check compared, and what not. */
void machine_print_check(const struct machine *machine, FILE *out);

/* machine_file.c: an options_reader for INI files. */
bool machine_file_read(const char *path, struct options *options, char *why, size_t why_size);

/* For machine/ itself. pc.c: makes and wires all chips and the CPU; undoes that, whatever of it was done. */
bool pc_build(struct machine *machine, char *why, size_t why_size);
void pc_free(struct machine *machine);
/* An ISA interrupt line's end for one of those who pull at it. */
struct irq isa_input(struct machine *machine, int line, enum isa_source source);

/* memory.c: RAM and BIOS in the map, without shadow RAM; and a pci_host_wires.shadow of the machine. */
bool memory_build(struct machine *machine);
void memory_shadow(void *opaque, uint32_t base, uint32_t size, bool read, bool write);

/* firmware.c: reads the BIOS; exit status or 0. */
int firmware_read(struct machine *machine, char *why, size_t why_size);
struct fw_cfg;
bool firmware_add_files(struct machine *machine, struct fw_cfg *cfg);
/* What is in CMOS when the machine starts. */
void firmware_set_cmos(struct machine *machine);
/* Sets the chips as a BIOS does, for kernels that start without one. */
void firmware_set_board(struct machine *machine);

struct ide;
/* drives.c: what is IMAGE? Sets disk or cdrom and boot_order when it is a drive's; exit status or 0. */
int drives_choose(struct machine *machine, char *why, size_t why_size);
/* Opens the media; plugs the disks and the CD-ROM in; closes the media. */
bool drives_open(struct machine *machine, char *why, size_t why_size);
bool drives_attach(struct machine *machine, struct ide *ide);
void drives_close(struct machine *machine);
/* Before a reset: what disks have under way comes to its end, so that it doesn't write into what is loaded next. */
void drives_settle(struct machine *machine);
/* Stops the machine when a disk failed and --on-io-error says so; does again what failed. Without the lock. */
void drives_poll(struct machine *machine);
void drives_retry(struct machine *machine);
/* Puts the next of the --cdrom discs in, after the last one none. `note` says what is in now, or why not. */
bool drives_swap_disc(struct machine *machine, char *note, size_t note_size);
/* What disk number n is called: ide0-hd0 and so on. */
void drives_name(const struct machine *machine, unsigned n, char *name, size_t size);
/* The drive of that name (ide1-cd0, floppy0, floppy1) with a medium that can be changed; NULL: there is none. */
struct block_slot *drives_slot(struct machine *machine, const char *name);
/* Puts another medium into it, NULL: none. `force` takes out what the guest holds. False: see `why`. No lock. */
bool drives_change(struct machine *machine, const char *name, const struct drive_option *drive, bool force, char *why,
                   size_t why_size);
/*
 * The steps of that, each by itself. Opens or closes the tray, if there is one; *moved: it was otherwise before. `force`
 * opens one that the guest holds. And puts a medium, NULL: none, where the tray is open. False: see `why`. No lock.
 */
bool drives_move_tray(struct machine *machine, const char *name, bool open, bool force, bool *moved, char *why,
                      size_t why_size);
bool drives_put(struct machine *machine, const char *name, const struct drive_option *drive, char *why, size_t why_size);

/* storage.c: plug drives into controllers that are made when there is none yet, false when that can't be done; give the
 * controllers the addresses and interrupts that a BIOS would. */
#define STORAGE_CDROM_PORT 5 /* where a CD-ROM drive is on the SATA controller */
bool storage_attach_ahci(struct machine *machine, unsigned number, struct block *medium);
bool storage_attach_ahci_cdrom(struct machine *machine);
bool storage_attach_nvme(struct machine *machine, unsigned number, struct block *medium);
void storage_set_controllers(struct machine *machine);

/* virtio.c: plugs a disk in; makes what --device names; closes its streams, the devices being gone; gives all virtio
 * functions the addresses and interrupts that a BIOS would. */
bool virtio_attach_disk(struct machine *machine, unsigned number, struct block *medium);
bool virtio_build(struct machine *machine, char *why, size_t why_size);
void virtio_close(struct machine *machine);
void virtio_set_functions(struct machine *machine);
/* Whether the guest uses the input device of this enum virtio_input_kind; then this is where input goes. */
bool virtio_input_route(const struct machine *machine, unsigned kind, struct input_sink *sink);

/*
 * boot_order.c: devices' paths in the order of the letters, for SeaBIOS; false when it needs none. Where an IDE disk is, and
 * the how manieth of its interface disk n is (drives.c).
 */
bool boot_order_list(struct machine *machine, const char *letters, char *text, size_t size);
void drives_ide_place(unsigned number, unsigned *channel, unsigned *unit);
unsigned drives_number(const struct machine *machine, unsigned n);

/* network.c: the networks that the options name, and their cards; closes them, the cards being gone; gives the cards the
 * addresses and interrupts that a BIOS would. */
bool network_build(struct machine *machine, char *why, size_t why_size);
void network_close(struct machine *machine);
void network_set_cards(struct machine *machine);

/* shares.c: the folders that the options name, and their devices; closes them, the devices being gone. */
#define ROOT_TAG "oxbow-root"
bool shares_build(struct machine *machine, char *why, size_t why_size);
void shares_close(struct machine *machine);

/* root.c: for --root, the kernel, an initial RAM disk and the command line; exit status or 0. */
int root_read(struct machine *machine, char *why, size_t why_size);
void root_free(struct machine *machine);

/* stop_on.c: reads along the serial port; when the run begins, sets the CPU's stops and history (false: out of memory). */
bool stop_on_build(struct machine *machine, char *why, size_t why_size);
bool stop_on_start(struct machine *machine);
void stop_on_free(struct machine *machine);

/* guest_debug.c: what the ports by which a guest talks to its debugger are wired to; false when memory ran out. */
struct bochs_debug_wires;
bool guest_debug_build(struct machine *machine, struct bochs_debug_wires *wires);
void guest_debug_free(struct machine *machine);

/* stops.c: whether the engine stops where it should. */
bool stops_known(const struct machine *machine, const struct engine *engine);
/* stops.c: a vcpu's stopped(); tells the watches; whether a debugger gets the triple fault; clock as paused and stopped. */
void stops_noted(void *opaque);
void stops_poll(struct machine *machine);
bool stops_shutdown(struct machine *machine);
void stops_set_clock(struct machine *machine);

/* screen.c: the graphics adapter, if there is to be one; and --screenshot, which says in the log when it
 * fails. */
bool screen_build(struct machine *machine, char *why, size_t why_size);
bool screen_wanted(const struct machine *machine);
/* Sets text mode, for kernels that start without a BIOS. */
void screen_set_text_mode(struct machine *machine);
/* The screen as a PNG file or a portable pixmap; false: see `why`. */
bool screen_write(struct machine *machine, const char *path, bool ppm, char *why, size_t why_size);
/* The file is replaced when the new one is complete, so that who waits for it never reads half a picture. */
void screen_save(struct machine *machine);

/* viewer.c: what --display stands for here; opens, polls (without the lock) and closes window or terminal. */
const char *machine_display(const struct machine *machine);
bool viewer_open(struct machine *machine, char *why, size_t why_size);
void viewer_poll(struct machine *machine);
/* Somebody else has asked the display what changed: shows all of it anew. */
void viewer_refresh_all(struct machine *machine);
void viewer_close(struct machine *machine);
/* With the lock: the guest has an absolute pointer now, or none any more. */
void viewer_route_pointer(struct machine *machine);

/*
 * engines.c: the guest's processor: what --cpu says; without it, the default one less what engines lack that are named
 * on the command line, in `model`.
 */
const char *engines_cpu_model(const struct machine *machine, char *model, size_t size);
/* The first engine takes hold of the CPU, which has no thread yet; exit status or 0. What engines did. */
int engines_start(struct machine *machine, const struct engine *engine, char *why, size_t why_size);
void engines_print_stats(const struct machine *machine, FILE *out);

/*
 * switches.c: watches for the conditions of --switch-at, once clock, ports and streams are there and before they are
 * connected; which ports the CPU is to have; makes a switch that is due (without the lock).
 */
bool switches_build(struct machine *machine, char *why, size_t why_size);
void switches_free(struct machine *machine);
struct bus *switches_ports(struct machine *machine);
void switches_poll(struct machine *machine);
/* When the machine begins to run. Which addresses the CPU is to stop at while it runs under `engine`, the CPU standing
 * still; false when memory ran out. Whether `engine` may have a turn. */
void switches_start(struct machine *machine);
bool switches_set_stops(struct machine *machine, const struct engine *engine);
bool switches_name(const struct machine *machine, const struct engine *engine);

/* boot.c: reads the files that are booted; exit status or 0. */
int machine_read_files(struct machine *machine, char *why, size_t why_size);
/* What firmware would do: tables, CMOS, loading, the CPU's state at entry. The CPU stands, just reset. */
bool machine_boot(struct machine *machine, char *why, size_t why_size);

#endif
