/*
 * network.c - network cards and where their cables lead.
 */
#include <string.h>

#include "config.h"
#include "devices/e1000.h"
#include "devices/ne2k.h"
#include "devices/piix.h"
#include "devices/rtl8139.h"
#include "devices/virtio_net.h"
#include "host/net_dump.h"
#include "host/net_socket.h"
#include "host/net_tap.h"
#include "host/net_user.h"
#include "machine/machine.h"

#define FIRST_SLOT 3
#define ROMS       "/usr/lib/ipxe/qemu/"
#define ROM_MAX    (1u << 20)

/* Where a BIOS would put the cards' registers, for kernels that start without one. */
#define REGISTERS 0xFEB00000u
#define PORTS     0xD000u

/* A card's own address, unless the user gives one: the first is the one that virtual machines often have. */
static const uint8_t first_mac[NET_ADDRESS_SIZE] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

/* What nobody asked for: a card on a user network, as soon as something is started that may use it. */
static unsigned choose(struct machine *m)
{
    const struct options *options = m->options;

    if (options->nets || options->no_net)
        return options->nets;
#ifdef HAVE_SLIRP
    if (m->bios.size || m->kernel_name)
        return 1;
#endif
    return 0;
}

static const struct net_option *option(const struct machine *m, unsigned n)
{
    return m->options->nets ? &m->options->net[n] : &net_option_usual;
}

#ifdef HAVE_SLIRP
static struct net *open_user(struct machine *m, const struct net_option *o, char *why, size_t why_size)
{
    struct net_user_forward forward[OPTIONS_FORWARDS];
    const struct net_user_options user = {
        .network = o->network,
        .mask = o->mask,
        .restricted = o->restricted,
        .hostname = o->hostname,
        .tftp = o->tftp,
        .bootfile = o->bootfile,
        .forward = forward,
        .forwards = o->forwards,
    };

    for (unsigned n = 0; n < o->forwards; n++) {
        const struct forward_option *f = &o->forward[n];
        forward[n] =
            (struct net_user_forward){f->udp, f->host_address, f->guest_address, f->host_port, f->guest_port};
    }
    return net_user_open(&user, m->loop, m->clock, m->log, why, why_size);
}
#else
static struct net *open_user(struct machine *m, const struct net_option *o, char *why, size_t why_size)
{
    (void)m;
    (void)o;
    snprintf(why, why_size,
             "user: this Oxbow was built without libslirp; install libslirp-dev and build it again");
    return NULL;
}
#endif

static struct net *open_tap(struct machine *m, const struct net_option *o, char *why, size_t why_size)
{
    const struct net_tap_options tap = {
        .ifname = o->ifname, .script = o->script, .downscript = o->downscript};

    return net_tap_open(&tap, m->loop, m->clock, m->log, why, why_size);
}

static struct net *open_socket(struct machine *m, const struct net_option *o, char *why, size_t why_size)
{
    return net_socket_open(o->path, m->loop, m->clock, m->log, why, why_size);
}

static struct net *open_net(struct machine *m, const struct net_option *o, char *why, size_t why_size)
{
    static struct net *(*const open[])(struct machine *, const struct net_option *, char *, size_t) = {
        [NET_USER] = open_user, [NET_TAP] = open_tap, [NET_SOCKET] = open_socket};
    struct net *net = open[o->kind](m, o, why, why_size), *dump;

    if (!net || !o->dump)
        return net;
    dump = net_dump_open(net, o->dump, m->clock, m->log, why, why_size);
    if (!dump)
        net->close(net);
    return dump;
}

/* --- cards --------------------------------------------------------------------------------------- */

/* What a card is made of. */
struct card {
    const struct net_option *option;
    unsigned slot;
    struct irq irq; /* of the slot */
    struct net *net;
    uint8_t mac[NET_ADDRESS_SIZE];
    struct host_file rom; /* empty: none */
};

static void *make_e1000(struct machine *m, const struct card *card)
{
    struct e1000_wires wires = {
        .pci = m->pci_bus,
        .slot = card->slot,
        .memory = m->memory,
        .ports = m->ports,
        .clock = m->clock,
        .irq = card->irq,
        .net = card->net,
        .rom = card->rom.data,
        .rom_size = card->rom.size,
        .log = m->log,
    };

    memcpy(wires.mac, card->mac, sizeof(wires.mac));
    return e1000_new(&wires);
}

static struct ne2k_wires ne2k_wires(struct machine *m, const struct card *card, struct irq irq)
{
    struct ne2k_wires wires = {
        .ports = m->ports, .clock = m->clock, .irq = irq, .net = card->net, .log = m->log};

    memcpy(wires.mac, card->mac, sizeof(wires.mac));
    return wires;
}

static void *make_ne2k_pci(struct machine *m, const struct card *card)
{
    const struct ne2k_wires wires = ne2k_wires(m, card, card->irq);

    return ne2k_pci_new(&wires, m->pci_bus, card->slot, m->memory, card->rom.data, card->rom.size);
}

static void *make_ne2k_isa(struct machine *m, const struct card *card)
{
    const struct ne2k_wires wires = ne2k_wires(m, card, isa_input(m, card->option->irq, ISA_NETWORK));

    return ne2k_isa_new(&wires, card->option->iobase);
}

static void *make_8139(struct machine *m, const struct card *card, bool plain)
{
    struct rtl8139_wires wires = {
        .pci = m->pci_bus,
        .slot = card->slot,
        .memory = m->memory,
        .ports = m->ports,
        .clock = m->clock,
        .irq = card->irq,
        .net = card->net,
        .plain = plain,
        .rom = card->rom.data,
        .rom_size = card->rom.size,
        .log = m->log,
    };

    memcpy(wires.mac, card->mac, sizeof(wires.mac));
    return rtl8139_new(&wires);
}

static void *make_rtl8139(struct machine *m, const struct card *card)
{
    return make_8139(m, card, false);
}

static void *make_rtl8139c(struct machine *m, const struct card *card)
{
    return make_8139(m, card, true);
}

static void *make_virtio_net(struct machine *m, const struct card *card)
{
    struct virtio_net_wires wires = {
        .bus =
            {
                .pci = m->pci_bus,
                .slot = card->slot,
                .memory = m->memory,
                .ports = m->ports,
                .irq = card->irq,
                .rom = card->rom.data,
                .rom_size = card->rom.size,
                .log = m->log,
            },
        .clock = m->clock,
        .net = card->net,
        .pairs = m->options->cpus < VIRTIO_NET_PAIRS ? m->options->cpus : VIRTIO_NET_PAIRS,
    };

    memcpy(wires.mac, card->mac, sizeof(wires.mac));
    return virtio_net_new(&wires);
}

static const struct model {
    const char *name;
    const struct device_class *class;
    void *(*make)(struct machine *m, const struct card *card);
    const char *rom; /* iPXE's; NULL: the card has no place for it */
    uint32_t
        id; /* the card's vendor and device, where the ROM is another's or nobody's; 0: it is this one's */
} models[] = {
    {"e1000", &e1000_class, make_e1000, ROMS "pxe-e1000.rom", 0},
    {"ne2k_pci", &ne2k_pci_class, make_ne2k_pci, ROMS "pxe-ne2k_pci.rom", 0x802910EC},
    {"ne2k_isa", &ne2k_isa_class, make_ne2k_isa, NULL, 0},
    {"rtl8139", &rtl8139_class, make_rtl8139, ROMS "pxe-rtl8139.rom", 0},
    {"rtl8139c", &rtl8139_class, make_rtl8139c, ROMS "pxe-rtl8139.rom", 0},
    {"virtio-net", &virtio_net_class, make_virtio_net, ROMS "pxe-virtio.rom", 0x10001AF4},
};

static const struct model *find_model(const char *name)
{
    for (size_t n = 0; n < sizeof(models) / sizeof(*models); n++)
        if (!strcmp(models[n].name, name))
            return &models[n];
    return NULL;
}

/* Firmware runs the code only if its PCI data structure (PCI 3.0, 6.3.1.2) has the card's numbers. Byte 6,
 * which is free, keeps the sum of all bytes zero. */
static void claim_rom(struct host_file *rom, uint32_t id)
{
    uint8_t *data = rom->data;
    size_t at = rom->size > 0x1A ? data[0x18] | (size_t)data[0x19] << 8 : 0;

    if (!id || at < 0x1A || at + 8 > rom->size || memcmp(data + at, "PCIR", 4))
        return;
    for (unsigned n = 0; n < 4; n++) {
        uint8_t byte = (uint8_t)(id >> 8 * n);

        data[6] += (uint8_t)(data[at + 4 + n] - byte);
        data[at + 4 + n] = byte;
    }
}

/* Firmware sees the ROM only where it is to boot from a network, because it takes its time there. */
static void read_rom(struct machine *m, const struct model *model, struct host_file *rom)
{
    char reason[300];

    if (!m->bios.size || !m->options->boot || !strchr(m->options->boot, 'n'))
        return;
    if (!model->rom)
        log_at(m->log, LOG_WARN, "oxbow", "--boot: firmware can't boot from a network by a %s card",
               model->name);
    else if (!host_file_read(rom, model->rom, ROM_MAX, reason, sizeof(reason)))
        log_at(m->log, LOG_WARN, "oxbow",
               "--boot: there is no ROM that boots from a network: %s; install the package ipxe-qemu",
               reason);
    else
        claim_rom(rom, model->id);
}

static bool add_card(struct machine *m, unsigned n, char *why, size_t why_size)
{
    const struct net_option *o = option(m, n);
    const struct model *model = find_model(o->model);
    struct card card = {
        .option = o,
        .slot = FIRST_SLOT + n,
        .irq = piix_interrupt(m->piix, FIRST_SLOT + n, 1),
        .net = m->net[n],
    };

    if (!model) {
        snprintf(why, why_size, "--net: this Oxbow has no card %s", o->model);
        return false;
    }
    memcpy(card.mac, o->mac, NET_ADDRESS_SIZE);
    if (!memcmp(o->mac, (const uint8_t[NET_ADDRESS_SIZE]){0}, NET_ADDRESS_SIZE)) {
        memcpy(card.mac, first_mac, NET_ADDRESS_SIZE);
        card.mac[5] += (uint8_t)n;
    }
    if (!n)
        read_rom(m, model, &card.rom);
    void *device = m->chip_count < MACHINE_CHIPS ? model->make(m, &card) : NULL;
    host_file_free(&card.rom);
    if (!device)
        return false;
    m->chips[m->chip_count++] = (struct machine_chip){model->class, device};
    return true;
}

/* ISA cards don't share. */
static bool check_isa(struct machine *m, char *why, size_t why_size)
{
    for (unsigned n = 0; n < m->nets; n++)
        for (unsigned k = 0; k < n; k++) {
            const struct net_option *a = option(m, n), *b = option(m, k);

            if (strcmp(a->model, "ne2k_isa") || strcmp(b->model, "ne2k_isa") ||
                (a->iobase != b->iobase && a->irq != b->irq))
                continue;
            snprintf(why, why_size,
                     "--net: two ne2k_isa cards have the same iobase or irq; give each its own");
            return false;
        }
    return true;
}

/* With the machine lock held, as networks want it. */
static bool build(struct machine *m, char *why, size_t why_size)
{
    char reason[300];

    m->nets = choose(m);
    if (!check_isa(m, why, why_size))
        return false;
    for (unsigned n = 0; n < m->nets; n++) {
        m->net[n] = open_net(m, option(m, n), reason, sizeof(reason));
        if (!m->net[n]) {
            snprintf(why, why_size, "--net %s", reason);
            return false;
        }
    }
    for (unsigned n = 0; n < m->nets; n++)
        if (!add_card(m, n, why, why_size))
            return false;
    return true;
}

bool network_build(struct machine *m, char *why, size_t why_size)
{
    pthread_mutex_lock(&m->lock);
    bool done = build(m, why, why_size);
    pthread_mutex_unlock(&m->lock);
    return done;
}

void network_close(struct machine *m)
{
    pthread_mutex_lock(&m->lock);
    for (unsigned n = 0; n < OPTIONS_NETS; n++) {
        if (m->net[n])
            m->net[n]->close(m->net[n]);
        m->net[n] = NULL;
    }
    pthread_mutex_unlock(&m->lock);
}

/* A place of its size for each BAR, memory from *memory on and ports from *ports. */
static void place_bars(struct machine *m, unsigned devfn, uint32_t *memory, uint32_t *ports)
{
    for (unsigned n = 0; n < 6; n++) {
        pci_config_write(m->pci_bus, 0, devfn, PCI_BAR(n), UINT32_MAX, 4);
        uint32_t mask = pci_config_read(m->pci_bus, 0, devfn, PCI_BAR(n), 4);
        bool io = mask & PCI_BAR_IO;
        uint32_t size = -(mask & (io ? ~3u : ~15u)), *at = io ? ports : memory;

        if (!size)
            continue;
        *at = (*at + size - 1) & ~(size - 1);
        pci_config_write(m->pci_bus, 0, devfn, PCI_BAR(n), *at, 4);
        *at += size;
        if (!io && mask & PCI_BAR_MEMORY64)
            pci_config_write(m->pci_bus, 0, devfn, PCI_BAR(++n), 0, 4);
    }
}

void network_set_cards(struct machine *m)
{
    uint32_t memory = REGISTERS, ports = PORTS;

    for (unsigned n = 0; n < m->nets; n++) {
        unsigned devfn = PCI_DEVFN(FIRST_SLOT + n, 0), route = pci_pirq(FIRST_SLOT + n, 1);

        if (pci_config_read(m->pci_bus, 0, devfn, PCI_VENDOR_ID, 2) == 0xFFFF)
            continue;
        place_bars(m, devfn, &memory, &ports);
        pci_config_write(m->pci_bus, 0, devfn, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY, 2);
        pci_config_write(
            m->pci_bus, 0, devfn, PCI_INTERRUPT_LINE,
            pci_config_read(m->pci_bus, 0, PCI_DEVFN(PIIX_SLOT, PIIX_ISA_FUNCTION), PIIX_PIRQ(route), 1), 1);
    }
}
