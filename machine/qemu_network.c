/*
 * qemu_network.c - network cards of QEMU's command line; see qemu_reader.h.
 *
 * There are three ways to say it: -nic has card and network in one; -device names a card and, by its id, the
 * -netdev behind it; and -net has them as two options, which belong together.
 */
#include <string.h>

#include "machine/qemu_reader.h"

#define TEXT_MAX 4200

/* The user network's parts that mean the same here. */
static const char *const same_parts[] = {"net", "hostname", "tftp", "bootfile"};

/* What has no effect on a guest that only wants a network. */
static const char *const silent_parts[] = {"id",  "type",    "ipv4",      "vlan",   "addr",
                                           "bus", "romfile", "bootindex", "vectors"};

static void append(char *text, const char *name, const char *value)
{
    size_t used = strlen(text);

    snprintf(text + used, TEXT_MAX - used, ",%s=%s", name, value);
}

/* "tcp::2222-:22": QEMU listens for all hosts there. */
static void append_forward(struct qemu_reader *reader, const struct qemu_argument *argument, char *text,
                           const char *value)
{
    const char *address = strchr(value, ':');

    append(text, "hostfwd", value);
    if (address && address[1] == ':')
        qemu_note(reader,
                  "-%s: hostfwd=%s is for this host alone; name an address, like 0.0.0.0, to let others in",
                  argument->name, value);
}

static void append_network(struct qemu_reader *reader, const struct qemu_argument *argument, char *text,
                           struct qemu_list *list)
{
    for (unsigned n = 0; n < list->count; n++)
        if (list->item[n].name && !strcmp(list->item[n].name, "hostfwd")) {
            list->item[n].used = true;
            append_forward(reader, argument, text, list->item[n].value);
        }
    for (size_t n = 0; n < sizeof(same_parts) / sizeof(*same_parts); n++) {
        const char *value = qemu_list_get(list, same_parts[n]);
        if (value)
            append(text, same_parts[n], value);
    }
    if (qemu_list_is_on(list, "restrict", false))
        append(text, "restrict", "on");
}

/* -netdev tap and -nic tap. QEMU's own default scripts are its installation's, and not run. */
static void begin_tap(char *text, struct qemu_list *list)
{
    static const char *const scripts[] = {"script", "downscript"};
    const char *ifname = qemu_list_get(list, "ifname");

    snprintf(text, TEXT_MAX, "tap");
    if (ifname)
        append(text, "ifname", ifname);
    for (unsigned n = 0; n < 2; n++) {
        const char *script = qemu_list_get(list, scripts[n]);
        if (script && strcmp(script, "no"))
            append(text, scripts[n], script);
    }
    qemu_list_get(list, "vhost");
    qemu_list_get(list, "queues");
}

/* All that there is no counterpart for becomes a user network. */
static void check_kind(struct qemu_reader *reader, const struct qemu_argument *argument, const char *kind)
{
    if (kind && strcmp(kind, "user"))
        qemu_note(reader, "-%s %s: there is no such network here yet; a user network stands in for it",
                  argument->name, kind);
}

/* The network as --net's value, as far as its card. */
static void begin_network(struct qemu_reader *reader, const struct qemu_argument *argument, char *text,
                          struct qemu_list *list)
{
    const char *kind = qemu_list_get(list, "type"), *path;

    if (kind && !strcmp(kind, "tap")) {
        begin_tap(text, list);
        return;
    }
    if (kind && !strcmp(kind, "stream") && (path = qemu_list_get(list, "addr.path"))) {
        snprintf(text, TEXT_MAX, "socket:%s", path);
        qemu_list_get(list, "addr.type");
        qemu_list_get(list, "server");
        qemu_list_get(list, "reconnect");
        return;
    }
    check_kind(reader, argument, kind);
    snprintf(text, TEXT_MAX, "user");
    append_network(reader, argument, text, list);
}

/* QEMU's names of cards that are here. */
static const struct {
    const char *name, *model;
} models[] = {
    {"e1000", "e1000"},
    {"e1000-82540em", "e1000"},
    {"rtl8139", "rtl8139"},
    {"ne2k_pci", "ne2k_pci"},
    {"ne2k_isa", "ne2k_isa"},
    {"virtio", "virtio-net"},
    {"virtio-net", "virtio-net"},
    {"virtio-net-pci", "virtio-net"},
    {"virtio-net-pci-transitional", "virtio-net"},
    {"virtio-net-pci-non-transitional", "virtio-net"},
};

static void append_card(struct qemu_reader *reader, const struct qemu_argument *argument, char *text,
                        const char *model, const char *mac)
{
    const char *found = NULL;

    for (size_t n = 0; model && n < sizeof(models) / sizeof(*models); n++)
        if (!strcmp(models[n].name, model))
            found = models[n].model;
    if (model && !found)
        qemu_note(reader, "-%s: there is no %s here yet; an e1000 stands in for it", argument->name, model);
    if (found)
        append(text, "model", found);
    if (mac)
        append(text, "mac", mac);
}

/* Where an ISA card's jumpers are. */
static void append_places(char *text, struct qemu_list *list)
{
    static const char *const places[] = {"iobase", "irq"};

    for (unsigned n = 0; n < 2; n++) {
        const char *value = qemu_list_get(list, places[n]);
        if (value)
            append(text, places[n], value);
    }
}

static void ignore_silently(struct qemu_list *list)
{
    for (size_t n = 0; n < sizeof(silent_parts) / sizeof(*silent_parts); n++)
        qemu_list_get(list, silent_parts[n]);
}

bool qemu_take_nic(struct qemu_reader *reader, const struct qemu_argument *argument, const char *value)
{
    char text[TEXT_MAX];
    struct qemu_list list;
    bool good = true;

    reader->network = true;
    if (!qemu_list_read(&list, value, "type"))
        return qemu_out_of_memory(reader);
    const char *kind = qemu_list_get(&list, "type");
    if (kind && !strcmp(kind, "none")) {
        good = reader->options->nets || qemu_set(reader, "net", "none");
    } else {
        begin_network(reader, argument, text, &list);
        append_card(reader, argument, text, qemu_list_get(&list, "model"), qemu_list_get(&list, "mac"));
        ignore_silently(&list);
        qemu_note_unused(reader, argument, &list);
        good = qemu_set(reader, "net", text);
    }
    qemu_list_free(&list);
    return good;
}

bool qemu_take_netdev(struct qemu_reader *reader, const struct qemu_argument *argument, const char *value)
{
    reader->network = true;
    if (reader->netdevs == NETDEVS_MAX)
        return qemu_fail(reader, "there are more than %d -%s", NETDEVS_MAX, argument->name);
    return qemu_list_read(&reader->netdev[reader->netdevs++], value, "type") || qemu_out_of_memory(reader);
}

/* -device e1000,netdev=ID,mac=ADDRESS and its like. */
bool qemu_add_card(struct qemu_reader *reader, struct qemu_list *list)
{
    static const struct qemu_argument device = {.name = "device"}, netdev = {.name = "netdev"};
    const char *id = qemu_list_get(list, "netdev"), *driver = qemu_list_get(list, "driver");
    char text[TEXT_MAX] = "user";
    struct qemu_list *found = NULL;

    reader->network = true;
    for (unsigned n = 0; n < reader->netdevs && id; n++) {
        const char *name = qemu_list_get(&reader->netdev[n], "id");
        if (name && !strcmp(name, id))
            found = &reader->netdev[n];
    }
    if (id && !found)
        return qemu_fail(reader, "-device %s: there is no -netdev with id=%s", driver, id);
    if (found) {
        begin_network(reader, &netdev, text, found);
        ignore_silently(found);
        qemu_note_unused(reader, &netdev, found);
    } else {
        append(text, "restrict", "on"); /* a cable that leads nowhere */
    }
    append_card(reader, &device, text, driver, qemu_list_get(list, "mac"));
    append_places(text, list);
    ignore_silently(list);
    return qemu_set(reader, "net", text);
}

bool qemu_take_net(struct qemu_reader *reader, const struct qemu_argument *argument, const char *value)
{
    struct qemu_list list;

    reader->network = true;
    if (!qemu_list_read(&list, value, "type"))
        return qemu_out_of_memory(reader);
    const char *kind = qemu_list_get(&list, "type");
    if (kind && !strcmp(kind, "nic")) {
        reader->hub_card = true;
        append_card(reader, argument, reader->hub, qemu_list_get(&list, "model"),
                    qemu_list_get(&list, "macaddr"));
    } else if (kind && strcmp(kind, "none")) {
        check_kind(reader, argument, kind);
        append_network(reader, argument, reader->hub, &list);
    }
    ignore_silently(&list);
    qemu_list_get(&list, "name");
    qemu_note_unused(reader, argument, &list);
    qemu_list_free(&list);
    return true;
}

bool qemu_finish_network(struct qemu_reader *reader)
{
    char text[TEXT_MAX + 8];

    if (reader->hub_card) {
        snprintf(text, sizeof(text), "user%s", reader->hub);
        return qemu_set(reader, "net", text);
    }
    /* Who says something of networks, or -nodefaults, gets what was said. */
    if ((reader->network || reader->bare) && !reader->options->nets)
        return qemu_set(reader, "net", "none");
    return true;
}
