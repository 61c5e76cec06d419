/*
 * shares.c - folders of the host that the guest can mount, a virtio device each; the one of --root is the
 * first.
 */
#include <unistd.h>

#include "devices/piix.h"
#include "devices/virtio_9p.h"
#include "host/share.h"
#include "machine/machine.h"

#define FIRST_SLOT 0x10

/* Whose the files are, if the user doesn't say. A root file system has owners, and only the host's root can
 * give files away. */
static enum share_owners owners(const struct share_option *option, bool is_root)
{
    if (option->owners == OWNERS_USUAL)
        return is_root && geteuid() ? SHARE_OWNERS_MAPPED : SHARE_OWNERS_HOST;
    return option->owners == OWNERS_MAPPED ? SHARE_OWNERS_MAPPED : SHARE_OWNERS_HOST;
}

static bool add(struct machine *m, const struct share_option *option, bool is_root, char *why,
                size_t why_size)
{
    unsigned number = m->shares, slot = FIRST_SLOT + number;
    const struct host_share_options how = {
        .tag = is_root ? ROOT_TAG : option->tag,
        .path = option->path,
        .read_only = option->read_only,
        .owners = owners(option, is_root),
    };
    const struct virtio_slot place = {
        .pci = m->pci_bus,
        .slot = slot,
        .memory = m->memory,
        .ports = m->ports,
        .irq = piix_interrupt(m->piix, slot, 1),
        .log = m->log,
    };
    char reason[400];

    m->share[number] = host_share_open(&how, m->loop, m->log, reason, sizeof(reason));
    if (!m->share[number]) {
        snprintf(why, why_size, "%s %s", is_root ? "--root" : "--share", reason);
        return false;
    }
    m->shares++;
    struct virtio_9p *device = m->chip_count < MACHINE_CHIPS ? virtio_9p_new(&place, m->share[number]) : NULL;
    if (!device)
        return false;
    m->chips[m->chip_count++] = (struct machine_chip){&virtio_9p_class, device};
    return true;
}

bool shares_build(struct machine *m, char *why, size_t why_size)
{
    const struct options *options = m->options;
    bool done = true;

    pthread_mutex_lock(&m->lock);
    if (options->root.path)
        done = add(m, &options->root, true, why, why_size);
    for (unsigned n = 0; n < options->shares && done; n++)
        done = add(m, &options->share[n], false, why, why_size);
    pthread_mutex_unlock(&m->lock);
    return done;
}

void shares_close(struct machine *m)
{
    pthread_mutex_lock(&m->lock);
    while (m->shares)
        share_close(m->share[--m->shares]);
    pthread_mutex_unlock(&m->lock);
}
