/*
 * boot_order.c - which of several disks firmware boots from: the first --disk, whatever it is connected with.
 * SeaBIOS goes by kinds of controllers; a list of devices' paths, the best first, tells it otherwise. Among
 * IDE disks alone it needs no telling.
 */
#include <stdarg.h>
#include <string.h>

#include "devices/pci.h"
#include "machine/machine.h"

#define CLASS_SATA 0x010601
#define CLASS_NVME 0x010802
#define NET_SLOTS  4
#define NET_SLOT   3 /* the first */

struct list {
    char *text;
    size_t size, used;
};

static __attribute__((format(printf, 2, 3))) void add(struct list *list, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(list->text + list->used, list->size - list->used, format, arguments);
    va_end(arguments);
    if (length > 0 && (size_t)length < list->size - list->used)
        list->used += (size_t)length;
    else
        list->text[list->used] = 0;
}

static bool is_virtio_disk(uint32_t id)
{
    return id == 0x10011AF4 || id == 0x10421AF4;
}

/* The slot of the n-th controller for disks of an interface; 0: there is none. */
static unsigned find_slot(struct machine *m, enum drive_interface interface, unsigned n)
{
    for (unsigned slot = 1; slot < 32; slot++) {
        uint32_t id = pci_config_read(m->pci_bus, 0, PCI_DEVFN(slot, 0), PCI_VENDOR_ID, 4);
        uint32_t class = pci_config_read(m->pci_bus, 0, PCI_DEVFN(slot, 0), PCI_REVISION, 4) >> 8;
        bool is = interface == DRIVE_AHCI   ? class == CLASS_SATA
                  : interface == DRIVE_NVME ? class == CLASS_NVME
                                            : is_virtio_disk(id);

        if (is && !n--)
            return slot;
    }
    return 0;
}

static void add_disks(struct machine *m, struct list *list)
{
    for (unsigned n = 0; n < m->disks; n++) {
        enum drive_interface interface = m->disk[n].interface;
        unsigned number = drives_number(m, n), channel, unit;

        if (interface == DRIVE_IDE) {
            drives_ide_place(number, &channel, &unit);
            add(list, "/pci@i0cf8/ide@1,1/drive@%x/disk@%x\n", channel, unit);
        } else if (interface == DRIVE_AHCI) {
            add(list, "/pci@i0cf8/sata@%x/drive@%x/disk@0\n", find_slot(m, DRIVE_AHCI, 0), number);
        } else {
            add(list, "/pci@i0cf8/scsi@%x\n", find_slot(m, interface, number));
        }
    }
}

static void add_cdrom(struct machine *m, struct list *list)
{
    if (m->discs && m->disc[0].interface == DRIVE_AHCI)
        add(list, "/pci@i0cf8/sata@%x/drive@%x/disk@0\n", find_slot(m, DRIVE_AHCI, 0), STORAGE_CDROM_PORT);
    else
        add(list, "/pci@i0cf8/ide@1,1/drive@1/disk@0\n");
}

bool boot_order_list(struct machine *m, const char *letters, char *text, size_t size)
{
    struct list list = {text, size, 0};
    bool mixed = m->discs && m->disc[0].interface != DRIVE_IDE;

    for (unsigned n = 0; n < m->disks; n++)
        mixed |= m->disk[n].interface != DRIVE_IDE;
    text[0] = 0;
    for (; mixed && *letters; letters++) {
        if (*letters == 'a')
            add(&list, "/pci@i0cf8/isa@1/fdc@03f0/floppy@0\n");
        else if (*letters == 'c')
            add_disks(m, &list);
        else if (*letters == 'd')
            add_cdrom(m, &list);
        else
            for (unsigned slot = NET_SLOT; slot < NET_SLOT + NET_SLOTS; slot++)
                add(&list, "/pci@i0cf8/ethernet@%x\n", slot);
    }
    return list.used;
}
