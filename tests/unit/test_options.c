/* The option table and what reads it: core/options.h. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/options.h"

#define ARGS_MAX 16

static struct options o;
static char why[200];

static void setup(void)
{
    options_init(&o);
    why[0] = 0;
}

static void teardown(void)
{
    options_free(&o);
}

static bool no_reader(const char *path, struct options *options, char *text, size_t size)
{
    (void)options;
    snprintf(text, size, "cannot read %s", path);
    return false;
}

/* A machine file that says "memory = 64M", "stats", "serial = none". */
static bool some_reader(const char *path, struct options *options, char *text, size_t size)
{
    (void)path;
    return options_set(options, "memory", "64M", text, size) &&
           options_set(options, "stats", NULL, text, size) &&
           options_set(options, "serial", "none", text, size);
}

/* Parses the words after the program's name, up to a NULL. */
static bool parse_with(options_reader *reader, const char *const *words)
{
    char *argv[ARGS_MAX + 2] = {strdup("oxbow")};
    int argc = 1;

    while (*words && argc <= ARGS_MAX)
        argv[argc++] = strdup(*words++);
    bool ok = options_parse(&o, argc, argv, reader, why, sizeof(why));
    for (int i = 0; i < argc; i++)
        free(argv[i]);
    return ok;
}

#define PARSE(...) parse_with(no_reader, (const char *const[]){__VA_ARGS__, NULL})
#define REFUSED(text, ...)                                                                                   \
    do {                                                                                                     \
        ck_assert(!PARSE(__VA_ARGS__));                                                                      \
        ck_assert_str_eq(why, text);                                                                         \
    } while (0)

START_TEST(defaults)
{
    ck_assert_int_eq(o.action, OPTIONS_RUN);
    ck_assert_ptr_null(o.image);
    ck_assert_ptr_null(o.kernel);
    ck_assert_ptr_null(o.append);
    ck_assert_uint_eq(o.memory, 512ull << 20);
    ck_assert_uint_eq(o.cpus, 1);
    ck_assert_str_eq(o.accel, "auto");
    ck_assert_ptr_null(o.cpu);
    ck_assert_ptr_null(o.serial[0]); /* the machine decides */
    ck_assert_str_eq(o.debugcon, "none");
    ck_assert_str_eq(o.display, "auto");
    ck_assert_uint_eq(o.timeout, 0);
    ck_assert(!o.stats && !o.no_reboot);
    ck_assert_uint_eq(o.log, 1u << LOG_ERROR | 1u << LOG_WARN | 1u << LOG_INFO);
    ck_assert_int_eq(o.exit_port, -1);
}
END_TEST

START_TEST(every_option_lands_in_its_member)
{
    ck_assert(
        PARSE("--kernel", "k", "--initrd=i", "--append", "a b", "-m", "1G", "--cpus", "1", "--accel=interp"));
    ck_assert_str_eq(o.kernel, "k");
    ck_assert_str_eq(o.initrd, "i");
    ck_assert_str_eq(o.append, "a b");
    ck_assert_uint_eq(o.memory, 1ull << 30);
    ck_assert_str_eq(o.accel, "interp");
    ck_assert(PARSE("--cpu", "x,+y", "--serial", "pty", "--debugcon", "file:f", "--display", "sdl",
                    "--timeout", "1.5"));
    ck_assert_str_eq(o.cpu, "x,+y");
    ck_assert_str_eq(o.serial[0], "pty");
    ck_assert_str_eq(o.debugcon, "file:f");
    ck_assert_str_eq(o.display, "sdl");
    ck_assert_uint_eq(o.timeout, 1500000000);
    ck_assert(PARSE("--stats", "--no-reboot", "--log", "guest,debug"));
    ck_assert(o.stats && o.no_reboot);
    ck_assert_uint_eq(o.log, (1u << LOG_LEVELS) - 1);
}
END_TEST

START_TEST(headless_is_display_none_and_serial_on_stdio)
{
    ck_assert(PARSE("--display", "sdl", "--serial", "none", "--headless"));
    ck_assert_str_eq(o.display, "none");
    ck_assert_str_eq(o.serial[0], "stdio");
    ck_assert(PARSE("--headless", "--serial", "file:log"));
    ck_assert_str_eq(o.serial[0], "file:log");
}
END_TEST

START_TEST(image_may_stand_anywhere)
{
    ck_assert(PARSE("disk.img", "--stats"));
    ck_assert_str_eq(o.image, "disk.img");
    ck_assert(o.stats);
    ck_assert(PARSE("--", "--odd-name"));
    ck_assert_str_eq(o.image, "--odd-name");
}
END_TEST

START_TEST(log_none_leaves_errors)
{
    ck_assert(PARSE("--log", "none"));
    ck_assert_uint_eq(o.log, 1u << LOG_ERROR);
}
END_TEST

START_TEST(exit_device_takes_a_port_or_none)
{
    ck_assert(PARSE("--exit-device"));
    ck_assert_int_eq(o.exit_port, 0xF4);
    ck_assert(PARSE("--exit-device=0x501"));
    ck_assert_int_eq(o.exit_port, 0x501);
    REFUSED("--exit-device: \"65536\" is not a port; give a number from 0 to 0xFFFF", "--exit-device=65536");
}
END_TEST

START_TEST(check_takes_a_number_or_none)
{
    ck_assert(PARSE("--stats"));
    ck_assert_uint_eq(o.check, 0);
    ck_assert(PARSE("--check"));
    ck_assert_uint_eq(o.check, 1);
    ck_assert(PARSE("--check=500"));
    ck_assert_uint_eq(o.check, 500);
    REFUSED("--check: \"0\" is not a number of times; give 1 to 1000000", "--check=0");
}
END_TEST

START_TEST(actions)
{
    ck_assert(PARSE("--help"));
    ck_assert_int_eq(o.action, OPTIONS_HELP);
    ck_assert(PARSE("-h"));
    ck_assert_int_eq(o.action, OPTIONS_HELP);
    ck_assert(PARSE("--version"));
    ck_assert_int_eq(o.action, OPTIONS_VERSION);
    ck_assert(PARSE("--help-man"));
    ck_assert_int_eq(o.action, OPTIONS_MAN);
}
END_TEST

/* What --memory makes of a text; 0 bytes: not a size. */
static const struct {
    const char *text;
    uint64_t bytes;
} sizes[] = {
    {"1", 1 << 20},
    {"512", 512 << 20},
    {"4K", 4096},
    {"4k", 4096},
    {"8M", 8 << 20},
    {"8MB", 8 << 20},
    {"8MiB", 8 << 20},
    {"2G", 2ull << 30},
    {"1T", 1ull << 40},
    {"", 0},
    {"M", 0},
    {"-1M", 0},
    {"+1M", 0},
    {" 1M", 0},
    {"1 M", 0},
    {"1.5G", 0},
    {"1X", 0},
    {"1MM", 0},
    {"0x10", 0},
    {"1Mi ", 0},
    {"16777216T", 0},
    {"17592186044416", 0},
    {"99999999999999999999", 0},
};

START_TEST(sizes_are_read)
{
    uint64_t bytes = 0;
    bool ok = options_size(sizes[_i].text, &bytes);

    ck_assert_int_eq(ok, sizes[_i].bytes != 0);
    ck_assert_uint_eq(bytes, sizes[_i].bytes);
}
END_TEST

START_TEST(nonsense_memory_is_refused)
{
    REFUSED("--memory: 0 is too little, a PC has at least 1M; try 512M", "-m", "0");
    REFUSED("--memory: 0M is too little, a PC has at least 1M; try 512M", "--memory", "0M");
    REFUSED("--memory: \"lots\" is not a size; give a number with K, M, G or T, like 512M", "-mlots");
    REFUSED("--memory: \"-5M\" is not a size; give a number with K, M, G or T, like 512M", "-m", "-5M");
    REFUSED("--memory: 1T is more than this machine can address; give at most 512G", "-m", "1T");
    ck_assert_uint_eq(o.memory, 512ull << 20);
}
END_TEST

START_TEST(memory_is_whole_pages)
{
    ck_assert(PARSE("-m", "1025K"));
    ck_assert_uint_eq(o.memory, 1024 << 10);
}
END_TEST

START_TEST(more_processors_are_refused)
{
    REFUSED("--cpus: this version runs one processor, not 2; leave the option out or give 1", "-c", "2");
    REFUSED("--cpus: \"0\" is not a number of processors; give 1", "--cpus=0");
    REFUSED("--cpus: \"two\" is not a number of processors; give 1", "--cpus=two");
}
END_TEST

START_TEST(nonsense_times_are_refused)
{
    static const char *const times[] = {"0", "-1", "soon", "", "nan", "inf", "1s", "1e300", "0x10p", " 1"};

    ck_assert(!PARSE("--timeout", times[_i]));
    ck_assert_ptr_nonnull(strstr(why, "is not a time"));
    ck_assert_uint_eq(o.timeout, 0);
}
END_TEST

START_TEST(serial_ports_add_up)
{
    ck_assert(PARSE("--serial", "pty", "--serial", "none", "--serial", "file:c"));
    ck_assert_uint_eq(o.serials, 3);
    ck_assert_str_eq(o.serial[0], "pty");
    ck_assert_str_eq(o.serial[2], "file:c");
    REFUSED("--serial: the machine has room for 4 of them; leave out \"e\"", "--serial", "a", "--serial", "b",
            "--serial", "c", "--serial", "d", "--serial", "e");
}
END_TEST

START_TEST(conditions_to_switch_at)
{
    ck_assert(PARSE("--switch-at", "addr=0xffffffff81000000:interp", "--switch-at", "serial=a=b: c:jit", "--switch-at",
                    "time=2.5:kvm", "--switch-at", "port=0xe9:auto", "--switch-at", "port=128=0x1b:jit", "--switch-at",
                    "every=0.003:interp,jit"));
    ck_assert_uint_eq(o.switches, 6);
    ck_assert_int_eq(o.switch_at[0].kind, SWITCH_ADDRESS);
    ck_assert_uint_eq(o.switch_at[0].number, 0xffffffff81000000);
    ck_assert_str_eq(o.switch_at[0].engines, "interp");
    ck_assert_str_eq(o.switch_at[1].text, "a=b: c");
    ck_assert_str_eq(o.switch_at[1].engines, "jit");
    ck_assert_uint_eq(o.switch_at[2].number, 2500000000);
    ck_assert(o.switch_at[3].number == 0xe9 && !o.switch_at[3].has_value);
    ck_assert(o.switch_at[4].number == 128 && o.switch_at[4].has_value && o.switch_at[4].value == 0x1b);
    ck_assert_str_eq(o.switch_at[5].engines, "interp,jit");
}
END_TEST

START_TEST(nonsense_to_switch_at)
{
    REFUSED("--switch-at: \"bogus\" is not CONDITION:ENGINE, like serial=login:jit", "--switch-at=bogus");
    REFUSED("--switch-at: \"x\" is not a condition; choose from addr=, serial=, time=, port=", "--switch-at=x:jit");
    REFUSED("--switch-at: \"x\" is not a condition; choose from addr=, serial=, time=, port=", "--switch-at=x=1:jit");
    REFUSED("--switch-at: there is no engine \"fast\"; choose from interp, jit, kvm, auto", "--switch-at=time=1:fast");
    REFUSED("--switch-at: there is no engine \"\"; choose from interp, jit, kvm, auto", "--switch-at=every=1:jit,");
    REFUSED("--switch-at: there is no engine \"jit,interp\"; choose from interp, jit, kvm, auto",
            "--switch-at=time=1:jit,interp");
    REFUSED("--switch-at: \"-1\" is not a time; give seconds since the machine was switched on, like 2.5",
            "--switch-at=time=-1:jit");
    REFUSED("--switch-at: \"0x10000\" is not a port; give a number from 0 to 0xFFFF", "--switch-at=port=0x10000:jit");
    REFUSED("--switch-at: \"-1\" is not a value that a port takes; give a number, like 0x1B", "--switch-at=port=1=-1:jit");
    REFUSED("--switch-at: \"main\" is not an address; give a linear one in hexadecimal, like 0x100000",
            "--switch-at=addr=main:jit");
    REFUSED("--switch-at: \"\" is not a text to wait for; give one, like serial=login:", "--switch-at=serial=:jit");
    for (unsigned n = 0; n < OPTIONS_SWITCHES; n++)
        ck_assert(options_set(&o, "switch-at", "time=1:jit", why, sizeof(why)));
    REFUSED("--switch-at: there is room for 16 of them; leave out \"time=2:jit\"", "--switch-at=time=2:jit");
}
END_TEST

START_TEST(devices)
{
    ck_assert(PARSE("--device", "virtio-rng", "--device", "virtio-console,to=pty", "--device",
                    "virtio-port,name=org.x.0,to=file:/tmp/a,b", "--device", "virtio-port,to=unix:/tmp/c,name=d",
                    "--device", "virtio-tablet", "--disk", "a.img,if=virtio,queues=4"));
    ck_assert_uint_eq(o.devices, 5);
    ck_assert_int_eq(o.device[0].kind, DEVICE_RNG);
    ck_assert_ptr_null(o.device[0].to);
    ck_assert_int_eq(o.device[1].kind, DEVICE_CONSOLE);
    ck_assert_str_eq(o.device[1].to, "pty");
    ck_assert_int_eq(o.device[2].kind, DEVICE_PORT);
    ck_assert_str_eq(o.device[2].name, "org.x.0");
    ck_assert_str_eq(o.device[2].to, "file:/tmp/a,b");
    ck_assert_str_eq(o.device[3].name, "d");
    ck_assert_str_eq(o.device[3].to, "unix:/tmp/c");
    ck_assert_int_eq(o.device[4].kind, DEVICE_TABLET);
    ck_assert_uint_eq(o.disk[0].queues, 4);
}
END_TEST

START_TEST(nonsense_devices)
{
    REFUSED("--device: there is no \"rng\"; choose from virtio-rng, virtio-balloon, virtio-console, virtio-port, "
            "virtio-keyboard, virtio-mouse, virtio-tablet",
            "--device", "rng");
    REFUSED("--device virtio-rng: \"rate=5\" is not known here", "--device", "virtio-rng,rate=5");
    REFUSED("--device virtio-console: give it as virtio-console,to=WHERE", "--device", "virtio-console");
    REFUSED("--device virtio-port: give it as virtio-port,name=NAME,to=WHERE", "--device", "virtio-port,to=pty");
    REFUSED("--device virtio-rng: give it as virtio-rng", "--device", "virtio-rng,to=pty");
    REFUSED("--device virtio-port: \"name=\" is not known here", "--device", "virtio-port,name=,to=pty");
    ck_assert(PARSE("--device", "virtio-mouse"));
    REFUSED("--device: there is one virtio-mouse already; leave one out", "--device", "virtio-mouse");
    REFUSED("--disk: queues=17: give a number from 1 to 16", "--disk", "a,if=virtio,queues=17");
    REFUSED("--disk: queues=0: give a number from 1 to 16", "--disk", "a,if=virtio,queues=0");
}
END_TEST

/* A file's name may have commas: only what is known is cut off its end. */
START_TEST(drives)
{
    ck_assert(PARSE("--disk",
                    "a,b=c.img,if=nvme,format=qcow2,readonly,discard=off,iops=500,bps=20M,backing=yes",
                    "--disk", "x,snapshot,odd,if", "--cdrom", "c.iso,if=ahci", "--floppy",
                    "f.img,readonly=off,snapshot"));
    const struct drive_option *d = &o.disk[0];
    ck_assert_str_eq(d->path, "a,b=c.img");
    ck_assert_int_eq(d->interface, DRIVE_NVME);
    ck_assert_str_eq(d->format, "qcow2");
    ck_assert_str_eq(d->backing, "yes");
    ck_assert(d->read_only && !d->snapshot && d->keep_discarded);
    ck_assert_uint_eq(d->iops, 500);
    ck_assert_uint_eq(d->bps, 20 << 20);
    ck_assert_str_eq(o.disk[1].path, "x,snapshot,odd,if");
    ck_assert(!o.disk[1].snapshot && !o.disk[1].keep_discarded && !o.disk[1].format);
    ck_assert_int_eq(o.disk[1].interface, DRIVE_IDE);
    ck_assert_int_eq(o.cdrom[0].interface, DRIVE_AHCI);
    ck_assert(!o.floppy[0].read_only && o.floppy[0].snapshot);
    ck_assert_str_eq(o.on_io_error, "report");
    REFUSED("--disk: if=scsi: choose from ide, virtio, ahci, nvme", "--disk", "a,if=scsi");
    REFUSED("--disk: iops=0: give a number of requests a second, like 500", "--disk", "a,iops=0");
    REFUSED("--disk: bps=fast: give bytes a second, like 20M", "--disk", "a,bps=fast");
    REFUSED("--disk: readonly=maybe: this is on or off", "--disk", "a,readonly=maybe");
    REFUSED("--disk: format needs a value, format=VALUE", "--disk", "a,format=");
    REFUSED("--on-io-error: there is no \"panic\"; choose from report, stop, enospc", "--on-io-error",
            "panic");
}
END_TEST

START_TEST(networks)
{
    static const uint8_t mac[6] = {0x52, 0x54, 0, 1, 2, 0xFF};

    ck_assert(PARSE("--stats"));
    ck_assert(!o.nets && !o.no_net);
    ck_assert(PARSE("--net", "user", "--net",
                    "user,mac=52:54:00:01:02:fF,restrict,net=10.1.2.3/16,hostname=ox,tftp=/a,bootfile=b,dump=c.pcap,"
                    "hostfwd=tcp:127.0.0.1:2222-:22,hostfwd=udp:0.0.0.0:53-10.1.0.99:54,hostfwd=tcp::1-:2,hostfwd=::3-:4"));
    ck_assert_uint_eq(o.nets, 2);
    ck_assert_uint_eq(o.net[0].network, 0x0A000200);
    ck_assert_uint_eq(o.net[0].mask, 0xFFFFFF00);
    ck_assert(!o.net[0].restricted && !o.net[0].dump && !o.net[0].forwards);
    const struct net_option *net = &o.net[1];
    ck_assert_mem_eq(net->mac, mac, 6);
    ck_assert(net->restricted);
    ck_assert_uint_eq(net->network, 0x0A010000);
    ck_assert_uint_eq(net->mask, 0xFFFF0000);
    ck_assert_str_eq(net->hostname, "ox");
    ck_assert_str_eq(net->tftp, "/a");
    ck_assert_str_eq(net->bootfile, "b");
    ck_assert_str_eq(net->dump, "c.pcap");
    ck_assert_uint_eq(net->forwards, 4);
    ck_assert(!net->forward[0].udp && net->forward[1].udp);
    ck_assert_uint_eq(net->forward[0].host_address, 0x7F000001);
    ck_assert_uint_eq(net->forward[1].host_address, 0);
    ck_assert_uint_eq(net->forward[1].guest_address, 0x0A010063);
    ck_assert_uint_eq(net->forward[1].guest_port, 54);
    ck_assert_uint_eq(net->forward[2].host_address, 0x7F000001); /* this host alone */
    ck_assert_uint_eq(net->forward[3].host_port, 3);
    ck_assert(PARSE("--net", "none"));
    ck_assert(!o.nets && o.no_net);
}
END_TEST

START_TEST(nonsense_to_net)
{
    static const char *const forwards[] = {"80", "tcp:80", "tcp::80", "tcp::80-", "tcp::80-80", "tcp::0-:80", "tcp::80-:65536",
                                           "tcp:1.2.3:80-:80", "tcp:1.2.3.256:80-:80", "tcp::80-:80x", "icmp::80-:80"};
    char value[80], wanted[200];

    for (size_t n = 0; n < sizeof(forwards) / sizeof(*forwards); n++) {
        snprintf(value, sizeof(value), "user,hostfwd=%s", forwards[n]);
        snprintf(wanted, sizeof(wanted),
                 "--net: \"%s\" is not a forward; give tcp:[ADDRESS]:PORT-[ADDRESS]:PORT, like tcp:127.0.0.1:2222-:22",
                 forwards[n]);
        REFUSED(wanted, "--net", value);
    }
    REFUSED("--net: there is no network \"bridge\"; choose from user, tap, socket:PATH, none", "--net", "bridge,br=b");
    REFUSED("--net: there is no network \"socket:\"; choose from user, tap, socket:PATH, none", "--net", "socket:");
    REFUSED("--net: socket needs a path, socket:PATH", "--net", "socket,mac=52:54:00:01:02:03");
    REFUSED("--net: \"hostfwd\" is not part of a tap network; choose from ifname=, script=, downscript=, mac=, model=, "
            "dump=, iobase=, irq=",
            "--net", "tap,hostfwd=tcp::1-:1");
    REFUSED("--net: \"a123456789012345\" is not short enough for an interface's name; give 15 characters at most",
            "--net", "tap,ifname=a123456789012345");
    REFUSED("--net: \"52:54:00:01:02\" is not an address for a card; give six bytes, like 52:54:00:12:34:56", "--net",
            "user,mac=52:54:00:01:02");
    REFUSED("--net: \"00:00:00:00:00:00\" is not an address for a card; give six bytes, like 52:54:00:12:34:56", "--net",
            "user,mac=00:00:00:00:00:00");
    REFUSED("--net: \"03:00:00:00:00:00\" is not a card's address but a group's: its first byte is odd", "--net",
            "user,mac=03:00:00:00:00:00");
    REFUSED("--net: \"10.0.0.0/28\" is not a network; give an address and 8 to 27 bits, like 10.0.2.0/24", "--net",
            "user,net=10.0.0.0/28");
    REFUSED("--net: restrict is on or off, not \"maybe\"", "--net", "user,restrict=maybe");
    REFUSED("--net: hostname needs a value, hostname=VALUE", "--net", "user,hostname=");
    REFUSED("--net: \"a_b\" is not a name for a host; give letters, digits and hyphens", "--net", "user,hostname=a_b");
    REFUSED("--net: there is no card \"ne3k\"; choose from e1000, virtio-net, rtl8139, rtl8139c, ne2k_pci, ne2k_isa", "--net", "user,model=ne3k");
    REFUSED("--net: \"0x378\" is not a place for an ISA card; choose 0x200 to 0x2C0 or 0x300 to 0x340, by steps of 0x20",
            "--net", "user,model=ne2k_isa,iobase=0x378");
    REFUSED("--net: \"8\" is not an interrupt for an ISA card; choose 3, 4, 5, 7, 9, 10, 11 or 15", "--net",
            "user,model=ne2k_isa,irq=8");
    for (unsigned n = 0; n < OPTIONS_NETS; n++)
        ck_assert(options_set(&o, "net", "user", why, sizeof(why)));
    REFUSED("--net: the machine has room for 4 of them; leave out \"user\"", "--net", "user");
}
END_TEST

START_TEST(other_networks)
{
    ck_assert(PARSE("--net", "tap,ifname=t0,script=/up,downscript=/down,dump=d", "--net", "tap", "--net", "socket:/a=b",
                    "--net", "socket,model=ne2k_isa,path=/c,iobase=0x320,irq=5"));
    ck_assert_uint_eq(o.net[0].iobase, 0x300);
    ck_assert_uint_eq(o.net[0].irq, 9);
    ck_assert_uint_eq(o.net[3].iobase, 0x320);
    ck_assert_uint_eq(o.net[3].irq, 5);
    ck_assert_int_eq(o.net[0].kind, NET_TAP);
    ck_assert_str_eq(o.net[0].ifname, "t0");
    ck_assert_str_eq(o.net[0].script, "/up");
    ck_assert_str_eq(o.net[0].downscript, "/down");
    ck_assert_str_eq(o.net[0].dump, "d");
    ck_assert_int_eq(o.net[1].kind, NET_TAP);
    ck_assert_ptr_null(o.net[1].ifname);
    ck_assert_int_eq(o.net[2].kind, NET_SOCKET);
    ck_assert_str_eq(o.net[2].path, "/a=b");
    ck_assert_str_eq(o.net[3].path, "/c");
}
END_TEST

START_TEST(choices_are_listed)
{
    REFUSED("--display: there is no \"gtk\"; choose from auto, sdl, text, none", "--display", "gtk");
    REFUSED("--accel: there is no \"tcg\"; choose from interp, jit, kvm, auto, help", "--accel", "tcg");
    REFUSED("--accel: there is no \"\"; choose from interp, jit, kvm, auto, help", "--accel=");
    REFUSED("--log: there is no level \"loud\"; choose from error, warn, info, guest, debug, or none",
            "--log", "guest,loud");
    REFUSED("--log: there is no level \"\"; choose from error, warn, info, guest, debug, or none", "--log",
            "guest,");
}
END_TEST

START_TEST(unknown_options_get_a_suggestion)
{
    REFUSED("there is no option --kernal; did you mean --kernel?", "--kernal", "x");
    REFUSED("there is no option --memroy; did you mean --memory?", "--memroy=3");
    REFUSED("there is no option --frobnicate; oxbow --help lists them", "--frobnicate");
    REFUSED("there is no option -z; oxbow --help lists them", "-z");
    REFUSED("there is no option -kernel; did you mean --kernel?", "-kernel", "x");
    REFUSED("there is no option -no-reboot; did you mean --no-reboot?", "-no-reboot");
    REFUSED("--he could be several options; write it out (oxbow --help lists them)", "--he");
}
END_TEST

START_TEST(missing_and_superfluous_values)
{
    REFUSED("--kernel needs a value, FILE", "--kernel");
    REFUSED("-m needs a value; oxbow --help lists the options", "-m");
    REFUSED("--stats is a switch; leave out \"=yes\"", "--stats=yes");
    REFUSED("--kernel is empty; give it a value or leave it out", "--kernel", "");
    REFUSED("image is empty; give it a value or leave it out", "");
}
END_TEST

START_TEST(one_image_only)
{
    REFUSED("one image is booted, but \"a\" and \"b\" were given; leave one out", "a", "b");
    REFUSED("both an image (a) and --kernel (b) are given; leave one out", "a", "--kernel", "b");
}
END_TEST

START_TEST(command_line_wins_over_machine_file)
{
    static const char *const words[] = {"--memory", "32M", "--machine", "pc.ini", NULL};

    ck_assert(parse_with(some_reader, words));
    ck_assert_uint_eq(o.memory, 32 << 20);
    ck_assert(o.stats);
    ck_assert_str_eq(o.serial[0], "none");
}
END_TEST

START_TEST(bad_machine_file_is_refused)
{
    REFUSED("cannot read pc.ini", "--machine", "pc.ini");
}
END_TEST

START_TEST(set_by_name)
{
    ck_assert(options_set(&o, "no-reboot", "yes", why, sizeof(why)));
    ck_assert(o.no_reboot);
    ck_assert(options_set(&o, "no-reboot", "no", why, sizeof(why)));
    ck_assert(!o.no_reboot);
    ck_assert(options_set(&o, "exit-device", "", why, sizeof(why)));
    ck_assert_int_eq(o.exit_port, 0xF4);
    ck_assert(options_set(&o, "append", "", why, sizeof(why)));
    ck_assert_str_eq(o.append, "");
    ck_assert(options_set(&o, "image", "x", why, sizeof(why)));
    ck_assert_str_eq(o.image, "x");
}
END_TEST

START_TEST(set_by_name_refuses)
{
    ck_assert(!options_set(&o, "no-reboot", "maybe", why, sizeof(why)));
    ck_assert_str_eq(why, "--no-reboot is yes or no, not \"maybe\"");
    ck_assert(!options_set(&o, "kernal", "x", why, sizeof(why)));
    ck_assert_str_eq(why, "there is no option \"kernal\"; did you mean \"kernel\"?");
    ck_assert(!options_set(&o, "machine", "x", why, sizeof(why)));
    ck_assert_str_eq(why, "\"machine\" belongs on the command line, not in a machine file");
    ck_assert(!options_set(&o, "memory", "", why, sizeof(why)));
    ck_assert_str_eq(why, "\"memory\" needs a value, SIZE");
}
END_TEST

START_TEST(help_and_man_show_every_option)
{
    static const struct command_row commands[] = {{"graze", "MEADOW...", "Eats grass.", NULL}, {.name = NULL}};
    char *help = NULL, *man = NULL;
    size_t help_size, man_size;
    FILE *out = open_memstream(&help, &help_size);
    options_print_help(out, commands);
    fclose(out);
    out = open_memstream(&man, &man_size);
    options_print_man(out, commands);
    fclose(out);

    for (const struct option_row *row = option_table; row->name; row++) {
        char name[40];
        snprintf(name, sizeof(name), "--%s", row->name);
        if (row->group && !row->positional)
            ck_assert_msg(strstr(help, name), "%s is not in the help", name);
        if (!row->group)
            ck_assert_ptr_null(strstr(help, name));
    }
    ck_assert_ptr_nonnull(strstr(man, "\\-\\-no\\-reboot\n"));
    ck_assert_ptr_nonnull(strstr(help, "  oxbow graze MEADOW...   Eats grass.\n"));
    ck_assert_ptr_nonnull(strstr(man, ".B oxbow graze\n.I MEADOW...\nEats grass.\n"));
    ck_assert_ptr_nonnull(strstr(man, ".SH EXIT STATUS\n"));
    for (const char *line = help; *line; line += strcspn(line, "\n") + 1)
        ck_assert_uint_le(strcspn(line, "\n"), 79);
    free(help);
    free(man);
}
END_TEST

Suite *options_suite(void)
{
    Suite *suite = suite_create("options");
    TCase *tcase = tcase_create("options");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, defaults);
    tcase_add_test(tcase, every_option_lands_in_its_member);
    tcase_add_test(tcase, headless_is_display_none_and_serial_on_stdio);
    tcase_add_test(tcase, image_may_stand_anywhere);
    tcase_add_test(tcase, log_none_leaves_errors);
    tcase_add_test(tcase, exit_device_takes_a_port_or_none);
    tcase_add_test(tcase, check_takes_a_number_or_none);
    tcase_add_test(tcase, actions);
    tcase_add_loop_test(tcase, sizes_are_read, 0, sizeof(sizes) / sizeof(*sizes));
    tcase_add_test(tcase, nonsense_memory_is_refused);
    tcase_add_test(tcase, memory_is_whole_pages);
    tcase_add_test(tcase, more_processors_are_refused);
    tcase_add_loop_test(tcase, nonsense_times_are_refused, 0, 10);
    tcase_add_test(tcase, serial_ports_add_up);
    tcase_add_test(tcase, conditions_to_switch_at);
    tcase_add_test(tcase, devices);
    tcase_add_test(tcase, nonsense_devices);
    tcase_add_test(tcase, drives);
    tcase_add_test(tcase, networks);
    tcase_add_test(tcase, other_networks);
    tcase_add_test(tcase, nonsense_to_net);
    tcase_add_test(tcase, nonsense_to_switch_at);
    tcase_add_test(tcase, choices_are_listed);
    tcase_add_test(tcase, unknown_options_get_a_suggestion);
    tcase_add_test(tcase, missing_and_superfluous_values);
    tcase_add_test(tcase, one_image_only);
    tcase_add_test(tcase, command_line_wins_over_machine_file);
    tcase_add_test(tcase, bad_machine_file_is_refused);
    tcase_add_test(tcase, set_by_name);
    tcase_add_test(tcase, set_by_name_refuses);
    tcase_add_test(tcase, help_and_man_show_every_option);
    suite_add_tcase(suite, tcase);
    return suite;
}
