/*
 * option_net.c - reads the values of --net, KIND[,NAME=VALUE]...; see option_values.h.
 */
#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/option_values.h"

#define LOOPBACK      0x7F000001u
#define MASK_BITS_MAX 27 /* room for DHCP's addresses, 15 to 30 */

const struct net_option net_option_usual = {
    .kind = NET_USER, .model = "e1000", .iobase = 0x300, .irq = 9, .network = 0x0A000200, .mask = 0xFFFFFF00};

/* By enum net_kind. */
static const char *const kinds[] = {"user", "tap", "socket"};

/* One --net while it is read. */
struct reading {
    const char *option;
    struct net_option *net;
    char *why;
    size_t why_size;
};

static bool refuse(const struct reading *r, const char *what, const char *instead)
{
    snprintf(r->why, r->why_size, "--%s: \"%.100s\" is not %s", r->option, what, instead);
    return false;
}

/* A number up to `most` at *at, which is moved behind it. */
static bool read_number(const char **at, unsigned long most, unsigned long *number)
{
    char *end;

    if (!isdigit((unsigned char)**at))
        return false;
    errno = 0;
    *number = strtoul(*at, &end, 10);
    *at = end;
    return !errno && *number <= most;
}

/* a.b.c.d */
static bool read_address(const char **at, uint32_t *address)
{
    unsigned long part;

    *address = 0;
    for (unsigned n = 0; n < 4; n++) {
        if (n && *(*at)++ != '.')
            return false;
        if (!read_number(at, 255, &part))
            return false;
        *address = *address << 8 | (uint32_t)part;
    }
    return true;
}

/* [ADDRESS]:PORT */
static bool read_place(const char **at, uint32_t *address, uint16_t *port)
{
    unsigned long number;

    if (**at != ':' && !read_address(at, address))
        return false;
    if (*(*at)++ != ':' || !read_number(at, UINT16_MAX, &number) || !number)
        return false;
    *port = (uint16_t)number;
    return true;
}

static bool take_forward(const struct reading *r, char *value)
{
    struct forward_option *forward = &r->net->forward[r->net->forwards];
    const char *at = value;

    if (r->net->forwards == OPTIONS_FORWARDS) {
        snprintf(r->why, r->why_size, "--%s: there is room for %d hostfwd; leave out \"%.60s\"", r->option,
                 OPTIONS_FORWARDS, value);
        return false;
    }
    *forward = (struct forward_option){.host_address = LOOPBACK};
    forward->udp = !strncmp(at, "udp:", 4);
    if (forward->udp || !strncmp(at, "tcp:", 4))
        at += 3;
    else if (*at != ':')
        return refuse(r, value,
                      "a forward; give tcp:[ADDRESS]:PORT-[ADDRESS]:PORT, like tcp:127.0.0.1:2222-:22");
    at++;
    if (!read_place(&at, &forward->host_address, &forward->host_port) || *at++ != '-' ||
        !read_place(&at, &forward->guest_address, &forward->guest_port) || *at)
        return refuse(r, value,
                      "a forward; give tcp:[ADDRESS]:PORT-[ADDRESS]:PORT, like tcp:127.0.0.1:2222-:22");
    r->net->forwards++;
    return true;
}

static bool take_mac(const struct reading *r, char *value)
{
    static const char wanted[] = "an address for a card; give six bytes, like 52:54:00:12:34:56";
    const char *at = value;

    for (unsigned n = 0; n < 6; n++) {
        if (!isxdigit((unsigned char)at[0]) || !isxdigit((unsigned char)at[1]) || at[2] != (n < 5 ? ':' : 0))
            return refuse(r, value, wanted);
        r->net->mac[n] = (uint8_t)strtoul(at, NULL, 16);
        at += 3;
    }
    for (unsigned n = 0; n < 6; n++)
        if (r->net->mac[n])
            return !(r->net->mac[0] & 1) ||
                   refuse(r, value, "a card's address but a group's: its first byte is odd");
    return refuse(r, value, wanted);
}

#define MODELS "e1000|virtio-net|rtl8139|rtl8139c|ne2k_pci|ne2k_isa"

static bool take_model(const struct reading *r, char *value)
{
    r->net->model = value;
    if (options_one_of(value, MODELS))
        return true;
    int used =
        snprintf(r->why, r->why_size, "--%s: there is no card \"%.40s\"; choose from ", r->option, value);
    for (const char *at = MODELS; *at && used > 0 && (size_t)used < r->why_size; at++)
        used +=
            snprintf(r->why + used, r->why_size - (size_t)used, "%s", *at == '|' ? ", " : (char[]){*at, 0});
    return false;
}

/* Those of a NE2000's jumpers that the board's own chips leave free. */
static bool take_iobase(const struct reading *r, char *value)
{
    char *end;
    unsigned long port = strtoul(value, &end, 0);

    r->net->iobase = (uint16_t)port;
    return (!*end && !(port & 0x1F) &&
            ((port >= 0x200 && port <= 0x2C0) || (port >= 0x300 && port <= 0x340))) ||
           refuse(r, value,
                  "a place for an ISA card; choose 0x200 to 0x2C0 or 0x300 to 0x340, by steps of 0x20");
}

static bool take_irq(const struct reading *r, char *value)
{
    r->net->irq = (uint8_t)strtoul(value, NULL, 10);
    return options_one_of(value, "3|4|5|7|9|10|11|15") ||
           refuse(r, value, "an interrupt for an ISA card; choose 3, 4, 5, 7, 9, 10, 11 or 15");
}

static bool take_restrict(const struct reading *r, char *value)
{
    r->net->restricted = options_one_of(value, "yes|on|true|1|y");
    if (r->net->restricted || options_one_of(value, "no|off|false|0|n"))
        return true;
    snprintf(r->why, r->why_size, "--%s: restrict is on or off, not \"%.40s\"", r->option, value);
    return false;
}

static bool take_network(const struct reading *r, char *value)
{
    const char *at = value;
    unsigned long bits = 24;

    if (!read_address(&at, &r->net->network) || (*at == '/' && (at++, !read_number(&at, 32, &bits))) || *at ||
        bits < 8 || bits > MASK_BITS_MAX)
        return refuse(r, value, "a network; give an address and 8 to 27 bits, like 10.0.2.0/24");
    r->net->mask = UINT32_MAX << (32 - bits);
    r->net->network &= r->net->mask;
    return true;
}

static bool take_hostname(const struct reading *r, char *value)
{
    r->net->hostname = value;
    for (const char *at = value; *at; at++)
        if (!isalnum((unsigned char)*at) && *at != '-' && *at != '.')
            return refuse(r, value, "a name for a host; give letters, digits and hyphens");
    return strlen(value) < 64 ||
           refuse(r, value, "short enough for a host's name; give 63 characters at most");
}

static bool take_bootfile(const struct reading *r, char *value)
{
    r->net->bootfile = value;
    return strlen(value) < 128 || refuse(r, value, "short enough for DHCP; give 127 characters at most");
}

static bool take_ifname(const struct reading *r, char *value)
{
    r->net->ifname = value;
    return strlen(value) < 16 ||
           refuse(r, value, "short enough for an interface's name; give 15 characters at most");
}

#define TEXT(member) NULL, offsetof(struct net_option, member)
#define USER         (1u << NET_USER)
#define TAP          (1u << NET_TAP)
#define SOCKET       (1u << NET_SOCKET)
#define ANY          (USER | TAP | SOCKET)

static const struct part {
    const char *name;
    unsigned kinds;                                     /* that have it */
    bool (*take)(const struct reading *r, char *value); /* NULL: it is kept as it is, */
    size_t text;                                        /* here */
    const char *alone;                                  /* the value when there is none */
} parts[] = {
    {"hostfwd", USER, take_forward, 0, NULL},
    {"restrict", USER, take_restrict, 0, "on"},
    {"net", USER, take_network, 0, NULL},
    {"hostname", USER, take_hostname, 0, NULL},
    {"tftp", USER, TEXT(tftp), NULL},
    {"bootfile", USER, take_bootfile, 0, NULL},
    {"ifname", TAP, take_ifname, 0, NULL},
    {"script", TAP, TEXT(script), NULL},
    {"downscript", TAP, TEXT(downscript), NULL},
    {"path", SOCKET, TEXT(path), NULL},
    {"mac", ANY, take_mac, 0, NULL},
    {"model", ANY, take_model, 0, NULL},
    {"dump", ANY, TEXT(dump), NULL},
    {"iobase", ANY, take_iobase, 0, NULL},
    {"irq", ANY, take_irq, 0, NULL},
};

#define PARTS (sizeof(parts) / sizeof(*parts))

static bool take_value(const struct reading *r, const struct part *part, char *value)
{
    if (part->take)
        return part->take(r, value);
    *(const char **)((char *)r->net + part->text) = value;
    return true;
}

/* What there is to choose from. */
static bool refuse_part(const struct reading *r, const char *name)
{
    char names[240] = "";
    size_t used = 0;

    for (size_t n = 0; n < PARTS; n++)
        if (parts[n].kinds >> r->net->kind & 1)
            used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s%s", used ? ", " : "",
                                     parts[n].name, parts[n].alone ? "" : "=");
    snprintf(r->why, r->why_size, "--%s: \"%.60s\" is not part of a %s network; choose from %s", r->option,
             name, kinds[r->net->kind], names);
    return false;
}

/* `alone` is writable for takers, which keep what they are given. */
static bool take_part(const struct reading *r, char *text)
{
    char *equals = strchr(text, '='), alone[8];

    if (equals)
        *equals = 0;
    for (const struct part *part = parts; part < parts + PARTS; part++) {
        if (strcmp(part->name, text) || !(part->kinds >> r->net->kind & 1))
            continue;
        if (equals && equals[1])
            return take_value(r, part, equals + 1);
        if (!equals && part->alone) {
            snprintf(alone, sizeof(alone), "%s", part->alone);
            return take_value(r, part, alone);
        }
        snprintf(r->why, r->why_size, "--%s: %s needs a value, %s=VALUE", r->option, text, text);
        return false;
    }
    return refuse_part(r, text);
}

/* The parts behind the kind, cut at commas. */
static bool take_parts(const struct reading *r, char *text)
{
    char *rest = NULL;

    for (char *part = strtok_r(text, ",", &rest); part; part = strtok_r(NULL, ",", &rest))
        if (!take_part(r, part))
            return false;
    return true;
}

/* KIND, or socket:PATH. False: there is no such kind. */
static bool take_kind(struct net_option *net, char *kind)
{
    *net = net_option_usual;
    if (!strncmp(kind, "socket:", 7) && kind[7]) {
        net->path = kind + 7;
        kind[6] = 0;
    }
    for (unsigned n = 0; n < sizeof(kinds) / sizeof(*kinds); n++)
        if (!strcmp(kinds[n], kind)) {
            net->kind = (enum net_kind)n;
            return true;
        }
    return false;
}

bool set_net(struct options *options, const struct option_row *row, const char *value, char *why,
             size_t why_size)
{
    const struct reading r = {row->name, &options->net[options->nets], why, why_size};
    char *text, *comma;

    if (!strcmp(value, "none")) {
        options->nets = 0;
        options->no_net = true;
        return true;
    }
    if (options->nets == OPTIONS_NETS) {
        snprintf(why, why_size, "--%s: the machine has room for %d of them; leave out \"%.60s\"", row->name,
                 OPTIONS_NETS, value);
        return false;
    }
    text = options_keep(options, value, why, why_size);
    if (!text)
        return false;
    comma = strchr(text, ',');
    if (comma)
        *comma++ = 0;
    if (!take_kind(r.net, text)) {
        snprintf(why, why_size,
                 "--%s: there is no network \"%.60s\"; choose from user, tap, socket:PATH, none", row->name,
                 text);
        return false;
    }
    if (comma && !take_parts(&r, comma))
        return false;
    if (r.net->kind == NET_SOCKET && !r.net->path) {
        snprintf(why, why_size, "--%s: socket needs a path, socket:PATH", row->name);
        return false;
    }
    options->nets++;
    options->no_net = false;
    return true;
}
