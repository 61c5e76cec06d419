/*
 * network.c - network cards and where their cables lead.
 */
#include <string.h>

#include "config.h"
#include "devices/e1000.h"
#include "devices/piix.h"
#include "host/net_dump.h"
#include "host/net_socket.h"
#include "host/net_tap.h"
#include "host/net_user.h"
#include "machine/machine.h"

#define FIRST_SLOT 3
#define PXE_ROM    "/usr/lib/ipxe/qemu/pxe-e1000.rom"
#define ROM_MAX    (1u << 20)

/* Where a BIOS would put a card's registers, for kernels that start without one. */
#define REGISTERS      0xFEB00000u
#define REGISTERS_STEP 0x20000u
#define PORTS          0xC100u
#define PORTS_STEP     0x40u

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
    const struct net_tap_options tap = {.ifname = o->ifname, .script = o->script, .downscript = o->downscript};

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

/* Firmware sees the ROM only where it is to boot from a network, because it takes its time there. */
static void read_rom(struct machine *m, struct host_file *rom)
{
    char reason[300];

    *rom = (struct host_file){0};
    if (!m->bios.size || !m->options->boot || !strchr(m->options->boot, 'n'))
        return;
    if (!host_file_read(rom, PXE_ROM, ROM_MAX, reason, sizeof(reason)))
        log_at(m->log, LOG_WARN, "oxbow",
               "--boot: there is no ROM that boots from a network: %s; install the package ipxe-qemu",
               reason);
}

static bool add_card(struct machine *m, unsigned n, const struct host_file *rom)
{
    const struct net_option *o = option(m, n);
    struct e1000_wires wires = {
        .pci = m->pci_bus,
        .slot = FIRST_SLOT + n,
        .memory = m->memory,
        .ports = m->ports,
        .clock = m->clock,
        .irq = piix_interrupt(m->piix, FIRST_SLOT + n, 1),
        .net = m->net[n],
        .rom = n ? NULL : rom->data,
        .rom_size = n ? 0 : rom->size,
        .log = m->log,
    };

    memcpy(wires.mac, o->mac, NET_ADDRESS_SIZE);
    if (!memcmp(o->mac, (const uint8_t[NET_ADDRESS_SIZE]){0}, NET_ADDRESS_SIZE)) {
        memcpy(wires.mac, first_mac, NET_ADDRESS_SIZE);
        wires.mac[5] += (uint8_t)n;
    }
    struct e1000 *card = m->chip_count < MACHINE_CHIPS ? e1000_new(&wires) : NULL;
    if (!card)
        return false;
    m->chips[m->chip_count++] = (struct machine_chip){&e1000_class, card};
    return true;
}

/* With the machine lock held, as networks want it. */
static bool build(struct machine *m, char *why, size_t why_size)
{
    struct host_file rom;
    char reason[300];
    bool done = true;

    m->nets = choose(m);
    for (unsigned n = 0; n < m->nets; n++) {
        m->net[n] = open_net(m, option(m, n), reason, sizeof(reason));
        if (!m->net[n]) {
            snprintf(why, why_size, "--net %s", reason);
            return false;
        }
    }
    read_rom(m, &rom);
    for (unsigned n = 0; n < m->nets && done; n++)
        done = add_card(m, n, &rom);
    host_file_free(&rom);
    return done;
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

void network_set_cards(struct machine *m)
{
    for (unsigned n = 0; n < m->nets; n++) {
        unsigned devfn = PCI_DEVFN(FIRST_SLOT + n, 0), route = pci_pirq(FIRST_SLOT + n, 1);

        pci_config_write(m->pci_bus, 0, devfn, PCI_BAR(0), REGISTERS + n * REGISTERS_STEP, 4);
        pci_config_write(m->pci_bus, 0, devfn, PCI_BAR(1), PORTS + n * PORTS_STEP, 4);
        pci_config_write(m->pci_bus, 0, devfn, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY, 2);
        pci_config_write(
            m->pci_bus, 0, devfn, PCI_INTERRUPT_LINE,
            pci_config_read(m->pci_bus, 0, PCI_DEVFN(PIIX_SLOT, PIIX_ISA_FUNCTION), PIIX_PIRQ(route), 1), 1);
    }
}
