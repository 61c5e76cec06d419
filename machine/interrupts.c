/*
 * interrupts.c - interrupt lines and controllers in words, for people: who is asked for what and by whom, and
 * what holds it back.
 */
#include <inttypes.h>

#include "devices/ioapic.h"
#include "devices/lapic.h"
#include "devices/pic.h"
#include "machine/machine.h"

#define NOT_SET_UP 0x10000u /* an I/O APIC's entry after a reset */

/* What the PC/AT has there; "" where cards and PCI are. */
static const char *const usual[ISA_LINES] = {
    "timer",        "keyboard", "second 8259",     "COM2, COM4", "COM1, COM3", "",
    "floppy disks", "printer",  "real-time clock", "ACPI",       "",           "",
    "mouse",        "FPU",      "first IDE",       "second IDE"};

static const char *const sources[] = {"a card",          "PCI",           "ACPI", "a second card",
                                      "the test device", "a network card"};

static const char *const delivery[8] = {"fixed", "lowest priority", "SMI", "reserved", "NMI", "INIT",
                                        "SIPI",  "ExtINT"};

static void print_flags(bool masked, bool requested, bool in_service, FILE *out)
{
    fprintf(out, "%s%s%s", masked ? ", masked" : "", requested ? ", pending" : "",
            in_service ? ", in service" : "");
}

void machine_print_pic(const struct machine *m, FILE *out)
{
    for (unsigned chip = 0; chip < 2; chip++)
        if (!pic_initialised(m->pic, chip))
            fprintf(out, "The %s 8259 isn't initialised.\n", chip ? "second" : "first");
    for (unsigned n = 0; n < ISA_LINES; n++) {
        struct pic_line line = pic_line(m->pic, n);

        fprintf(out, "IRQ %-2u vector %02x, %s, %s", n, line.vector, line.level ? "level" : "edge",
                line.high ? "high" : "low");
        print_flags(line.masked, line.requested, line.in_service, out);
        fprintf(out, *usual[n] ? "; %s\n" : "\n", usual[n]);
    }
}

static void print_entry(uint64_t entry, FILE *out)
{
    unsigned mode = entry >> 8 & 7;

    if (mode < 2)
        fprintf(out, "vector %02x", (unsigned)(entry & 0xFF));
    else
        fprintf(out, "%s", delivery[mode]);
    fprintf(out, " to %s %02x%s, %s", entry >> 11 & 1 ? "logical" : "APIC", (unsigned)(entry >> 56),
            mode == 1 ? " (lowest priority)" : "", entry >> 15 & 1 ? "level" : "edge");
    print_flags(entry >> 16 & 1, false, entry >> 14 & 1, out);
}

void machine_print_ioapic(const struct machine *m, FILE *out)
{
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        uint64_t entry = ioapic_entry(m->ioapic, pin);

        fprintf(out, "pin %-2u ", pin);
        if (entry == NOT_SET_UP)
            fprintf(out, "masked, as after a reset");
        else
            print_entry(entry, out);
        fprintf(out, ", %s\n", ioapic_is_high(m->ioapic, pin) ? "high" : "low");
    }
}

void machine_print_lapic(const struct machine *m, FILE *out)
{
    lapic_print(m->lapic, out);
}

static void print_line(const struct machine *m, unsigned n, FILE *out)
{
    struct pic_line line = pic_line(m->pic, n);
    uint64_t entry = ioapic_entry(m->ioapic, n ? n : 2); /* as pc.c wires the timer */
    unsigned pulled = 0;

    fprintf(out, "IRQ %-2u %s: 8259 ", n, *usual[n] ? usual[n] : "free");
    if (line.masked)
        fprintf(out, "masked");
    else
        fprintf(out, "vector %02x", line.vector);
    print_flags(false, line.requested, line.in_service, out);
    if (n != 2) { /* that pin is the timer's */
        fprintf(out, "; I/O APIC ");
        if (entry >> 16 & 1)
            fprintf(out, "masked");
        else
            print_entry(entry, out);
    }
    for (unsigned source = 0; source < sizeof(sources) / sizeof(*sources); source++)
        if (m->isa_pulled[n] >> source & 1)
            fprintf(out, "%s%s", pulled++ ? " and " : "; held high by ", sources[source]);
    fprintf(out, "\n");
}

void machine_print_irqs(const struct machine *m, FILE *out)
{
    for (unsigned n = 0; n < ISA_LINES; n++)
        print_line(m, n, out);
}
