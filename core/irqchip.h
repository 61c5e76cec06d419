/*
 * irqchip.h - interrupt controllers on loan.
 *
 * An engine that has interrupt controllers of its own (KVM) may borrow the machine's while it runs the guest:
 * it gets a chip's registers, and until it gives them back the model does nothing but to pass on what reaches
 * its inputs. So there is one state, which is in one place at a time, and whoever looks at a chip while the
 * CPU stands still finds it at home.
 *
 * Registers are kept in the form of the data sheets, lines as levels that are high when asserted.
 *
 * Locking: all calls with the machine lock held, in both directions.
 */
#ifndef CORE_IRQCHIP_H
#define CORE_IRQCHIP_H

#include <stdbool.h>
#include <stdint.h>

#define IRQCHIP_APIC_LVTS   6
#define IRQCHIP_IOAPIC_PINS 24

struct apic_registers {
    uint64_t base; /* IA32_APIC_BASE */
    uint32_t id, tpr, ldr, dfr, svr, esr;
    uint64_t icr;
    uint32_t isr[8], tmr[8], irr[8];
    uint32_t lvt[IRQCHIP_APIC_LVTS]; /* timer, thermal, performance, LINT0, LINT1, error */
    uint32_t divide, initial, current;
    uint64_t deadline; /* the TSC's value that was written; 0: none is waited for */
};

struct ioapic_registers {
    uint8_t select, id;
    uint32_t lines; /* levels of the inputs; not the engine's to change */
    uint64_t entry[IRQCHIP_IOAPIC_PINS];
};

/* The pair; [1] is cascaded. */
struct pic_registers {
    uint8_t line; /* levels of the inputs; not the engine's to change */
    uint8_t irr, isr, imr, elcr;
    uint8_t base, lowest; /* vector of line 0; line of lowest priority */
    uint8_t step;         /* which initialisation word comes next, 2 to 4; 0: none */
    bool icw4_follows, auto_eoi, rotate_on_aeoi, special_mask, special_nested, read_isr, poll;
};

enum irqchip { IRQCHIP_IOAPIC, IRQCHIP_PIC };

/* Who has chips on loan; what isn't his chip's may be NULL. */
struct irqchip_tenant {
    void *opaque;
    /* A message to local APICs, as a device's write (MSI): SDM 3A 10.11. False: no APIC took it. */
    bool (*message)(void *opaque, uint32_t address, uint32_t data);
    void (*line)(void *opaque, enum irqchip chip, unsigned n, bool level);
    /* An I/O APIC that is not on loan: its redirection entries have changed. */
    void (*entries_changed)(void *opaque);
};

/*
 * The machine's chips but for the local APICs, which are their CPUs' (core/intc.h). lend: registers on their
 * way out, `tenant` is told of everything from now on. take_back: the registers as they are now; the model
 * goes on with them.
 */
struct irqchips {
    void *ioapic, *pic, *apic_bus;
    void (*ioapic_lend)(void *ioapic, const struct irqchip_tenant *tenant,
                        struct ioapic_registers *registers);
    void (*ioapic_take_back)(void *ioapic, const struct ioapic_registers *registers);
    /* entries_changed() from now on; NULL: no more. And what the entries are. */
    void (*ioapic_watch)(void *ioapic, const struct irqchip_tenant *tenant);
    void (*ioapic_read)(void *ioapic, struct ioapic_registers *registers);
    void (*pic_lend)(void *pic, const struct irqchip_tenant *tenant, struct pic_registers registers[2]);
    void (*pic_take_back)(void *pic, const struct pic_registers registers[2]);
    /* A local APIC on loan ended the service of a level-triggered vector. */
    void (*end_of_interrupt)(void *apic_bus, uint8_t vector);
};

#endif
