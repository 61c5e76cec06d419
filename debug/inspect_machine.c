/*
 * inspect_machine.c - info about the machine around the processor.
 */
#include <inttypes.h>
#include <string.h>

#include "config.h"
#include "debug/monitor_internal.h"

bool info_status(struct monitor_call *call)
{
    fprintf(call->out, "The machine is %s.\n",
            call->machine->paused    ? "paused"
            : call->machine->stopped ? "held by a debugger"
                                     : "running");
    return true;
}

bool info_version(struct monitor_call *call)
{
    fprintf(call->out, "Oxbow %s\n", PACKAGE_VERSION);
    return true;
}

bool info_cpus(struct monitor_call *call)
{
    static const char *const doing[] = {"running", "halted", "shut down", "waiting for a start-up message"};
    const struct cpu_state *s = cpu_state(call->machine->cpu);

    fprintf(call->out, "CPU 0: %s, %u-bit code, CPL %u, rip %" PRIx64,
            s->activity < 4 ? doing[s->activity] : "?", cpu_code_bits(s), s->cpl, s->rip);
    monitor_print_symbol(call, s->seg[CS].base + s->rip);
    fprintf(call->out, ", thread %ld\n", (long)call->machine->vcpu.host_id);
    return true;
}

bool info_engine(struct monitor_call *call)
{
    char why[300];

    for (const struct engine *const *engine = engines; *engine; engine++) {
        bool serves = (*engine)->probe(why, sizeof(why));

        fprintf(call->out, "%c %-7s %s%s%s\n", *engine == call->machine->vcpu.engine ? '*' : ' ',
                (*engine)->name, (*engine)->about, serves ? "" : "; not here: ", serves ? "" : why);
    }
    engines_print_stats(call->machine, call->out);
    return true;
}

bool info_clock(struct monitor_call *call)
{
    struct clock *clock = call->machine->clock;
    uint64_t now = clock_now(clock), next = clock_next(clock);

    fprintf(call->out, "%.9f s since power-on; the clock %s\n", (double)now / 1e9,
            clock_running(clock) ? "goes" : "is stopped");
    if (next != CLOCK_NEVER)
        fprintf(call->out, "the next timer is due %s%" PRIu64 " ns\n", next >= now ? "in " : "since ",
                next >= now ? next - now : now - next);
    return true;
}

/* --- Chips --------------------------------------------------------------------------------------- */

static void print_chip(struct monitor_call *call, const struct machine_chip *chip)
{
    fprintf(call->out, "%s:\n", chip->class->name);
    if (chip->class->state)
        fields_print(chip->class->state, chip->device, call->out, "  ");
}

/* Those whose topic is the chip's name, and `info chip NAME`. */
bool info_chip(struct monitor_call *call)
{
    const char *name = call->argc > 1 ? call->argv[1] : call->argv[0];
    const struct machine_chip *chip = machine_chip(call->machine, name, 0);

    if (!chip)
        return monitor_fail(call, "there is no chip \"%.40s\"; info chips lists them", name);
    for (unsigned n = 0; chip; chip = machine_chip(call->machine, name, ++n))
        print_chip(call, chip);
    return true;
}

bool info_chips(struct monitor_call *call)
{
    for (unsigned n = 0; n < call->machine->chip_count; n++)
        fprintf(call->out, "%s\n", call->machine->chips[n].class->name);
    return true;
}

bool info_irq(struct monitor_call *call)
{
    struct cpu_stats stats = {0};

    cpu_get_stats(call->machine->cpu, &stats);
    machine_print_irqs(call->machine, call->out);
    fprintf(call->out, "%" PRIu64 " interrupts and %" PRIu64 " exceptions were delivered; the processor takes interrupts: %s.\n",
            stats.interrupts, stats.exceptions,
            cpu_state(call->machine->cpu)->rflags & FLAG_IF ? "yes" : "no (IF is 0)");
    return true;
}

bool info_pic(struct monitor_call *call)
{
    machine_print_pic(call->machine, call->out);
    return true;
}

bool info_ioapic(struct monitor_call *call)
{
    machine_print_ioapic(call->machine, call->out);
    return true;
}

bool info_lapic(struct monitor_call *call)
{
    machine_print_lapic(call->machine, call->out);
    return true;
}

/* --- PCI ----------------------------------------------------------------------------------------- */

static const char *pci_class_name(unsigned class)
{
    static const struct {
        unsigned class;
        const char *name;
    } names[] = {{0x0101, "IDE controller"}, {0x0106, "SATA controller"}, {0x0200, "Ethernet controller"},
                 {0x0300, "VGA controller"}, {0x0600, "host bridge"},     {0x0601, "ISA bridge"},
                 {0x0680, "bridge"},         {0x0C03, "USB controller"},  {0x0C05, "SMBus controller"}};

    for (unsigned n = 0; n < sizeof(names) / sizeof(*names); n++)
        if (names[n].class == class)
            return names[n].name;
    return "device";
}

static void print_bars(struct monitor_call *call, unsigned devfn)
{
    struct machine *m = call->machine;

    for (unsigned n = 0; n < 6; n++) {
        uint64_t bar = machine_pci_read(m, devfn, 0x10 + 4 * n, 4);

        if (!bar)
            continue;
        if (bar & 1) {
            fprintf(call->out, "      BAR%u: ports %04" PRIx64 "\n", n, bar & ~(uint64_t)3);
            continue;
        }
        fprintf(call->out, "      BAR%u: memory ", n);
        if ((bar & 6) == 4) {
            bar |= (uint64_t)machine_pci_read(m, devfn, 0x14 + 4 * n, 4) << 32;
            n++;
        }
        fprintf(call->out, "%08" PRIx64 "%s\n", bar & ~(uint64_t)15, bar & 8 ? ", prefetchable" : "");
    }
}

bool info_pci(struct monitor_call *call)
{
    struct machine *m = call->machine;

    for (unsigned devfn = 0; devfn < 256; devfn++) {
        uint32_t id = machine_pci_read(m, devfn, 0, 4), command;
        unsigned pin;

        if (id == UINT32_MAX)
            continue;
        command = machine_pci_read(m, devfn, 4, 2);
        fprintf(call->out, "00:%02x.%u %s, %04x:%04x, class %04x%s%s%s\n", devfn >> 3, devfn & 7,
                pci_class_name(machine_pci_read(m, devfn, 10, 2)), id & 0xFFFF, id >> 16,
                machine_pci_read(m, devfn, 10, 2), command & 1 ? ", ports on" : "",
                command & 2 ? ", memory on" : "", command & 4 ? ", master" : "");
        print_bars(call, devfn);
        pin = machine_pci_read(m, devfn, 0x3D, 1);
        if (pin)
            fprintf(call->out, "      INT%c#, line %u\n", (char)('A' + (pin - 1) % 4),
                    machine_pci_read(m, devfn, 0x3C, 1));
    }
    return true;
}

/* --- Disks and streams --------------------------------------------------------------------------- */

static void print_medium(struct monitor_call *call, const char *name, const struct block *medium,
                         const struct block_slot *slot)
{
    fprintf(call->out, "%s: ", name);
    if (medium)
        fprintf(call->out, "%s, %s%s%" PRIu64 " bytes%s", medium->name, medium->format ? medium->format : "",
                medium->format ? ", " : "", medium->size, medium->read_only ? ", read-only" : "");
    else
        fprintf(call->out, "no medium");
    fprintf(call->out, "%s\n",
            slot && slot->locked && slot->locked(slot->opaque) ? ", held by the guest" : "");
}

bool info_block(struct monitor_call *call)
{
    static const char *const changing[] = {"ide1-cd0", "floppy0", "floppy1"};
    struct machine *m = call->machine;
    char name[40];

    for (unsigned n = 0; n < m->disks; n++) {
        drives_name(m, n, name, sizeof(name));
        print_medium(call, name, m->disk_media[n], NULL);
    }
    for (unsigned n = 0; n < sizeof(changing) / sizeof(*changing); n++) {
        struct block_slot *slot = drives_slot(m, changing[n]);

        if (slot)
            print_medium(call, changing[n], slot->medium, slot);
    }
    return true;
}

bool info_chardev(struct monitor_call *call)
{
    const struct options *options = call->machine->options;

    if (!options->serials)
        fprintf(call->out, "serial0: %s\n",
                strcmp(machine_display(call->machine), "text") ? "stdio" : "none");
    for (unsigned n = 0; n < options->serials; n++)
        fprintf(call->out, "serial%u: %s\n", n, options->serial[n]);
    fprintf(call->out, "debugcon: %s\n", options->debugcon);
    if (options->parallel)
        fprintf(call->out, "parallel0: %s\n", options->parallel);
    return true;
}

bool info_symbol(struct monitor_call *call)
{
    const char *file;
    uint64_t address;
    int line;

    if (!call->monitor->symbols)
        return monitor_fail(call, "there are no symbols; start with --symbols FILE");
    if (!monitor_value(call, call->argv[1], &address))
        return false;
    fprintf(call->out, "%" PRIx64, address);
    monitor_print_symbol(call, address);
    if (symbols_line(call->monitor->symbols, address, &file, &line))
        fprintf(call->out, " at %s:%d", file, line);
    fprintf(call->out, "\n");
    return true;
}
