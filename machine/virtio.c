/*
 * virtio.c - virtio devices, a PCI function each: disks in the slots of disks' controllers and, when these
 * are full, from slot 1F down; those of --device from slot 10 on, where shared folders leave room.
 */
#include <string.h>

#include "devices/piix.h"
#include "devices/virtio_balloon.h"
#include "devices/virtio_blk.h"
#include "devices/virtio_console.h"
#include "devices/virtio_input.h"
#include "devices/virtio_rng.h"
#include "host/random.h"
#include "machine/machine.h"

#define FIRST_DISK_SLOT  0x07
#define LAST_DISK_SLOT   0x0F
#define FIRST_OTHER_SLOT 0x10
#define LAST_SLOT        0x1F

/* Where a BIOS would put a function's registers, for kernels that start without one. */
#define VENDOR    0x1AF4
#define PORTS(s)  (0x8000u + (s)*0x200u)
#define MEMORY(s) (0xFD000000u + (s)*0x10000u)
#define MODERN    0x8000u /* in that: BAR 4 */

static uint32_t config(struct machine *m, unsigned slot, unsigned reg, unsigned size)
{
    return pci_config_read(m->pci_bus, 0, PCI_DEVFN(slot, 0), reg, size);
}

static void set_config(struct machine *m, unsigned slot, unsigned reg, uint32_t value, unsigned size)
{
    pci_config_write(m->pci_bus, 0, PCI_DEVFN(slot, 0), reg, value, size);
}

static bool is_free(struct machine *m, unsigned slot)
{
    return config(m, slot, PCI_VENDOR_ID, 4) == UINT32_MAX;
}

static struct virtio_slot place_at(struct machine *m, unsigned slot)
{
    return (struct virtio_slot){
        .pci = m->pci_bus,
        .slot = slot,
        .memory = m->memory,
        .ports = m->ports,
        .irq = piix_interrupt(m->piix, slot, 1),
        .log = m->log,
    };
}

static bool add(struct machine *m, const struct device_class *class, void *device)
{
    if (!device)
        return false;
    m->chips[m->chip_count++] = (struct machine_chip){class, device};
    return true;
}

/* A device behind the others; false: there is no place. */
static bool find_place(struct machine *m, struct virtio_slot *place)
{
    unsigned slot = FIRST_OTHER_SLOT;

    while (slot <= LAST_SLOT && !is_free(m, slot))
        slot++;
    *place = place_at(m, slot);
    return slot <= LAST_SLOT && m->chip_count < MACHINE_CHIPS;
}

/* --- disks */

/* Of the `number`th virtio disk, as the user wants it. */
static unsigned queues_of(const struct machine *m, unsigned number)
{
    for (unsigned n = 0; n < m->disks; n++)
        if (m->disk[n].interface == DRIVE_VIRTIO && !number--)
            return m->disk[n].queues ? m->disk[n].queues : 1;
    return 1;
}

bool virtio_attach_disk(struct machine *m, unsigned number, struct block *medium)
{
    char serial[21];
    struct virtio_blk_wires wires = {.medium = medium, .serial = serial, .queues = queues_of(m, number)};
    unsigned slot = FIRST_DISK_SLOT;

    while (slot <= LAST_DISK_SLOT && !is_free(m, slot))
        slot++;
    if (slot > LAST_DISK_SLOT)
        for (slot = LAST_SLOT; slot >= FIRST_OTHER_SLOT && !is_free(m, slot);)
            slot--;
    if (slot < FIRST_DISK_SLOT || !is_free(m, slot) || m->chip_count == MACHINE_CHIPS)
        return false;
    wires.bus = place_at(m, slot);
    snprintf(serial, sizeof(serial), "OXV%08u", number + 1);
    return add(m, &virtio_blk_class, virtio_blk_new(&wires));
}

/* --- consoles and ports: all in one device */

/* Adds those of a kind; consoles are first, because drivers without ports see the first alone. */
static bool open_ports(struct machine *m, enum device_kind kind, struct virtio_console_wires *wires,
                       char *why, size_t why_size)
{
    char reason[300];

    for (unsigned n = 0; n < m->options->devices; n++) {
        const struct device_option *option = &m->options->device[n];

        if (option->kind != kind)
            continue;
        m->device_stream[n] = machine_open_stream(m, option->to, reason, sizeof(reason));
        if (!m->device_stream[n]) {
            snprintf(why, why_size, "--device %s", reason);
            return false;
        }
        wires->port[wires->ports++] = (struct virtio_console_port){m->device_stream[n], option->name};
    }
    return true;
}

static bool build_console(struct machine *m, char *why, size_t why_size)
{
    struct virtio_console_wires wires = {.ports = 0};

    return open_ports(m, DEVICE_CONSOLE, &wires, why, why_size) &&
           open_ports(m, DEVICE_PORT, &wires, why, why_size) &&
           (!wires.ports ||
            (find_place(m, &wires.bus) && add(m, &virtio_console_class, virtio_console_new(&wires))));
}

/* --- memory that the guest gives back */

static void release(void *opaque, uint8_t *host, size_t size)
{
    struct machine *m = opaque;

    host_ram_release(m->ram, host, size);
}

static bool build_balloon(struct machine *m)
{
    struct virtio_balloon_wires wires = {.release = release, .opaque = m};

    if (!find_place(m, &wires.bus))
        return false;
    m->balloon = virtio_balloon_new(&wires);
    return add(m, &virtio_balloon_class, m->balloon);
}

bool machine_balloon_set(struct machine *m, uint64_t memory)
{
    if (!m->balloon)
        return false;
    virtio_balloon_set(m->balloon, memory < m->ram->size ? m->ram->size - memory : 0);
    return true;
}

bool machine_balloon(struct machine *m, struct machine_memory *memory)
{
    uint64_t size = m->balloon ? virtio_balloon_size(m->balloon) : 0;

    if (!m->balloon)
        return false;
    *memory = (struct machine_memory){
        .actual = size < m->ram->size ? m->ram->size - size : 0,
        .free = virtio_balloon_stat(m->balloon, BALLOON_FREE),
        .total = virtio_balloon_stat(m->balloon, BALLOON_TOTAL),
        .available = virtio_balloon_stat(m->balloon, BALLOON_AVAILABLE),
    };
    virtio_balloon_ask(m->balloon);
    return true;
}

/* --- keyboard, mouse, tablet */

static void input_used(void *opaque, bool used)
{
    (void)used;
    viewer_route_pointer(opaque);
}

static bool build_input(struct machine *m, enum virtio_input_kind kind)
{
    struct virtio_input_wires wires = {.kind = kind, .used = input_used, .opaque = m};

    if (!find_place(m, &wires.bus))
        return false;
    struct virtio_input *input = virtio_input_new(&wires);
    m->virtio_input[kind] = input;
    return add(m, &virtio_input_class, input);
}

bool virtio_input_route(const struct machine *m, unsigned kind, struct input_sink *sink)
{
    struct virtio_input *input = m->virtio_input[kind];

    if (!input || !virtio_input_used(input))
        return false;
    *sink = virtio_input_sink(input);
    return true;
}

/* --- all of --device */

static bool build_one(struct machine *m, const struct device_option *option)
{
    struct virtio_rng_wires rng = {.random = host_random};

    switch (option->kind) {
    case DEVICE_RNG:
        return find_place(m, &rng.bus) && add(m, &virtio_rng_class, virtio_rng_new(&rng));
    case DEVICE_BALLOON:
        return build_balloon(m);
    case DEVICE_KEYBOARD:
        return build_input(m, VIRTIO_KEYBOARD);
    case DEVICE_MOUSE:
        return build_input(m, VIRTIO_MOUSE);
    case DEVICE_TABLET:
        return build_input(m, VIRTIO_TABLET);
    default:
        return true; /* build_console()'s */
    }
}

bool virtio_build(struct machine *m, char *why, size_t why_size)
{
    bool done = true;

    pthread_mutex_lock(&m->lock);
    for (unsigned n = 0; n < m->options->devices && done; n++) {
        done = build_one(m, &m->options->device[n]);
        if (!done)
            snprintf(why, why_size,
                     "--device: there are no slots left for so many disks, folders and devices");
    }
    done = done && build_console(m, why, why_size);
    pthread_mutex_unlock(&m->lock);
    return done;
}

void virtio_close(struct machine *m)
{
    for (unsigned n = 0; n < OPTIONS_DEVICES; n++)
        if (m->device_stream[n])
            m->device_stream[n]->close(m->device_stream[n]);
}

void virtio_set_functions(struct machine *m)
{
    for (unsigned slot = 0; slot <= LAST_SLOT; slot++) {
        unsigned route = pci_pirq(slot, 1);

        if (config(m, slot, PCI_VENDOR_ID, 2) != VENDOR)
            continue;
        set_config(m, slot, PCI_BAR(0), PORTS(slot), 4); /* without effect where there are none */
        set_config(m, slot, PCI_BAR(1), MEMORY(slot), 4);
        set_config(m, slot, PCI_BAR(4), MEMORY(slot) + MODERN, 4);
        set_config(m, slot, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY, 2);
        set_config(
            m, slot, PCI_INTERRUPT_LINE,
            pci_config_read(m->pci_bus, 0, PCI_DEVFN(PIIX_SLOT, PIIX_ISA_FUNCTION), PIIX_PIRQ(route), 1), 1);
    }
}
