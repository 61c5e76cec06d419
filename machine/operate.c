/*
 * operate.c - what people and programs do to a running machine: look at it, press its keys and its power
 * button, change its media.
 */
#include <string.h>

#include "devices/acpi_pm.h"
#include "devices/pci.h"
#include "devices/ps2.h"
#include "devices/virtio_input.h"
#include "machine/machine.h"

void machine_look(struct machine *m)
{
    vcpu_hold_for(&m->vcpu, VCPU_LOOKED_AT);
    vcpu_wait(&m->vcpu);
    m->vcpu.engine->pull(m->cpu);
    pthread_mutex_lock(&m->lock);
}

void machine_look_away(struct machine *m, bool changed)
{
    pthread_mutex_unlock(&m->lock);
    if (changed)
        m->vcpu.engine->push(m->cpu);
    vcpu_release_for(&m->vcpu, VCPU_LOOKED_AT);
}

bool machine_power_button(struct machine *m)
{
    pthread_mutex_lock(&m->lock);
    bool heard = acpi_pm_power_button(m->acpi_pm);
    pthread_mutex_unlock(&m->lock);
    return heard;
}

void machine_nmi(struct machine *m)
{
    cpu_nmi(m->cpu);
}

void machine_key(struct machine *m, unsigned usage, bool down)
{
    struct input_sink sink = ps2_keyboard_sink(m->keyboard);

    virtio_input_route(m, VIRTIO_KEYBOARD, &sink);
    sink.key(sink.opaque, usage, down);
}

void machine_pointer(struct machine *m, int dx, int dy, int wheel, unsigned buttons)
{
    struct input_sink sink = ps2_mouse_sink(m->mouse);

    virtio_input_route(m, VIRTIO_MOUSE, &sink);
    sink.pointer(sink.opaque, dx, dy, wheel, buttons);
}

bool machine_has_tablet(const struct machine *m)
{
    struct input_sink sink;

    return virtio_input_route(m, VIRTIO_TABLET, &sink);
}

void machine_pointer_at(struct machine *m, int x, int y, int wheel, unsigned buttons)
{
    struct input_sink sink;

    if (virtio_input_route(m, VIRTIO_TABLET, &sink))
        sink.pointer_at(sink.opaque, x, y, wheel, buttons);
}

bool machine_type(struct machine *m, const char *text)
{
    return ps2_type_text(m->keyboard, text);
}

uint32_t machine_pci_read(struct machine *m, unsigned devfn, unsigned reg, unsigned size)
{
    return pci_config_read(m->pci_bus, 0, devfn, reg, size);
}

const struct machine_chip *machine_chip(const struct machine *m, const char *name, unsigned number)
{
    for (unsigned n = 0; n < m->chip_count; n++)
        if (!strcmp(m->chips[n].class->name, name) && !number--)
            return &m->chips[n];
    return NULL;
}
