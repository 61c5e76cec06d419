/*
 * apic_bus.c - finds the targets of interrupt messages. Keeps no state that a guest could notice.
 */
#include "devices/apic_bus.h"

#include <stdlib.h>

#include "devices/lapic.h"

#define MSI_BASE       0xFEE00000u
#define MSI_LOGICAL    (1u << 2)
#define MSI_REDIRECT   (1u << 3)
#define MSI_DEST(addr) (((addr) >> 12) & 0xFF)
#define MSI_ASSERT     (1u << 14)
#define MSI_LEVEL      (1u << 15)

struct apic_bus {
    struct lapic **lapics;
    unsigned count;
    void (*eoi)(void *opaque, uint8_t vector);
    void *eoi_opaque;
};

struct apic_bus *apic_bus_new(void)
{
    return calloc(1, sizeof(struct apic_bus));
}

void apic_bus_free(struct apic_bus *bus)
{
    if (!bus)
        return;
    free(bus->lapics);
    free(bus);
}

bool apic_bus_attach(struct apic_bus *bus, struct lapic *lapic)
{
    struct lapic **grown = realloc(bus->lapics, (bus->count + 1) * sizeof(*grown));

    if (!grown)
        return false;
    bus->lapics = grown;
    bus->lapics[bus->count++] = lapic;
    return true;
}

void apic_bus_detach(struct apic_bus *bus, struct lapic *lapic)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < bus->count; i++)
        if (bus->lapics[i] != lapic)
            bus->lapics[kept++] = bus->lapics[i];
    bus->count = kept;
}

static bool is_target(const struct lapic *lapic, const struct apic_message *message, bool all,
                      const struct lapic *except)
{
    if (lapic == except)
        return false;
    return all ? lapic_present(lapic) : lapic_is_target(lapic, message->dest, message->logical);
}

/*
 * APICs on loan are found by their tenant, who has what that depends on. A message whose destination has more than the 8
 * bits that go into an address is for none of them, but for a broadcast.
 */
static bool send_to_tenant(struct apic_bus *bus, const struct apic_message *message, bool all)
{
    const struct irqchip_tenant *tenant = NULL;
    uint32_t dest = all || message->dest == APIC_BROADCAST ? 0xFF : message->dest;
    uint32_t address = MSI_BASE | (dest & 0xFF) << 12 | (message->logical && !all ? MSI_LOGICAL : 0);
    uint32_t data = message->vector | (uint32_t)message->mode << 8 | (message->level ? MSI_LEVEL | MSI_ASSERT : 0);

    for (unsigned i = 0; i < bus->count && !tenant; i++)
        tenant = lapic_tenant(bus->lapics[i]);
    return tenant && dest <= 0xFF && tenant->message(tenant->opaque, address, data);
}

/*
 * Lowest priority goes to one target: the one with the lowest arbitration priority, and among equals the one
 * attached first. Hardware rotates between equals; a fixed choice is as legal and makes runs repeatable.
 */
static bool send(struct apic_bus *bus, const struct apic_message *message, bool all,
                 const struct lapic *except)
{
    struct lapic *lowest = NULL;
    bool taken = send_to_tenant(bus, message, all);

    for (unsigned i = 0; i < bus->count; i++) {
        struct lapic *lapic = bus->lapics[i];

        if (lapic_tenant(lapic) || !is_target(lapic, message, all, except))
            continue;
        if (message->mode != APIC_LOWEST)
            taken |= lapic_receive(lapic, message);
        else if (lapic_accepts_fixed(lapic) &&
                 (!lowest || lapic_arbitration_priority(lapic) < lapic_arbitration_priority(lowest)))
            lowest = lapic;
    }
    if (lowest)
        taken = lapic_receive(lowest, message);
    return taken;
}

bool apic_bus_send(struct apic_bus *bus, const struct apic_message *message)
{
    return send(bus, message, false, NULL);
}

bool apic_bus_send_all(struct apic_bus *bus, const struct apic_message *message, const struct lapic *except)
{
    return send(bus, message, true, except);
}

bool apic_bus_msi(struct apic_bus *bus, uint64_t addr, uint32_t data)
{
    struct apic_message message = {
        .dest = MSI_DEST(addr),
        .logical = addr & MSI_LOGICAL,
        .level = data & MSI_LEVEL,
        .mode = (data >> 8) & 7,
        .vector = data & 0xFF,
    };

    if (message.level && !(data & MSI_ASSERT))
        return true;
    /* The redirection hint asks for one target of a logical set (SDM 3A 10.11.1). */
    if ((addr & MSI_REDIRECT) && message.logical && message.mode == APIC_FIXED)
        message.mode = APIC_LOWEST;
    if (!message.logical && message.dest == 0xFF)
        message.dest = APIC_BROADCAST;
    if (message.mode == APIC_SIPI)
        return false;
    return apic_bus_send(bus, &message);
}

void apic_bus_on_eoi(struct apic_bus *bus, void (*fn)(void *opaque, uint8_t vector), void *opaque)
{
    bus->eoi = fn;
    bus->eoi_opaque = opaque;
}

void apic_bus_end_of_interrupt(void *bus, uint8_t vector)
{
    apic_bus_eoi(bus, vector);
}

void apic_bus_eoi(struct apic_bus *bus, uint8_t vector)
{
    if (bus->eoi)
        bus->eoi(bus->eoi_opaque, vector);
}
