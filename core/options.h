/*
 * options.h - everything a user can say about a machine, in one table.
 *
 * A row of option_table[] feeds the command line, --help, the man page and the machine file (an INI file with
 * the long names as keys). Adding an option is a row there and a member here.
 *
 * Errors are one line that names the option, says what is wrong with it and what to do; the caller puts the
 * program's name before it.
 */
#ifndef CORE_OPTIONS_H
#define CORE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* How a run of Oxbow ends; documented and stable. */
enum exit_status {
    EXIT_POWEROFF = 0, /* also: the user quit, or asked for --help and the like */
    EXIT_USAGE = 2,
    EXIT_CRASH = 3,
    EXIT_TIMEOUT = 4,
    EXIT_HOST = 5,
    EXIT_RESET = 6,
    EXIT_DIFFERS = 7,
    EXIT_SIGNAL = 128, /* plus the signal's number */
};

enum options_action { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_VERSION, OPTIONS_MAN };

#define OPTIONS_DISKS    16
#define OPTIONS_FLOPPIES 2
#define OPTIONS_DISCS    8
#define OPTIONS_SERIALS  4

/* A drive's medium and how it is connected: FILE[,NAME[=VALUE]]... */
struct drive_option {
    const char *path; /* NULL: none */
    bool read_only, snapshot;
    enum drive_interface { DRIVE_IDE, DRIVE_VIRTIO, DRIVE_AHCI, DRIVE_NVME, DRIVE_INTERFACES } interface;
    const char *format;  /* NULL: recognised by content */
    const char *backing; /* "yes": any that the image names may be opened; a path: in its place; NULL: only near it */
    bool keep_discarded; /* what the guest discards keeps its space on the host */
    uint64_t iops, bps;  /* requests and bytes a second at most; 0: no limit */
    unsigned queues;     /* of a virtio disk; 0: as usual */
};

/* What of translated code is printed: ADDRESS|all[,FILE]. */
struct dump_option {
    bool on, all;
    uint64_t address; /* linear; unless all */
    const char *path; /* NULL: standard error */
};

#define OPTIONS_SWITCHES 16

/* When another engine takes over: CONDITION:ENGINE. */
struct switch_option {
    enum switch_kind {
        SWITCH_ADDRESS, /* the instruction at this linear address is next */
        SWITCH_SERIAL,  /* a line on the first serial port contains this text */
        SWITCH_TIME,    /* at this guest time */
        SWITCH_PORT,    /* the guest writes to this port */
        SWITCH_EVERY,   /* again and again, to one at random; for tests */
    } kind;
    uint64_t number;      /* address, port, or ns of guest time */
    uint64_t value;       /* of SWITCH_PORT, if has_value: only this counts */
    bool has_value;
    const char *text;     /* SWITCH_SERIAL */
    const char *engines;  /* one; of SWITCH_EVERY several, separated by commas */
};

#define OPTIONS_HISTORY  1024u
#define OPTIONS_NETS     4
#define OPTIONS_FORWARDS 32

/* A port of the host that leads to one of the guest: [tcp|udp]:[ADDRESS]:PORT-[ADDRESS]:PORT. IPv4, as numbers. */
struct forward_option {
    bool udp;
    uint32_t host_address, guest_address; /* guest_address 0: the first that DHCP gives */
    uint16_t host_port, guest_port;
};

enum net_kind { NET_USER, NET_TAP, NET_SOCKET };

/* A network card and where its cable leads: KIND[,NAME=VALUE]... */
struct net_option {
    enum net_kind kind;
    const char *model;
    uint8_t mac[6]; /* all 0: the card's own */
    const char *dump; /* NULL: none */
    uint16_t iobase;  /* of an ISA card */
    uint8_t irq;
    /* Of the user network: */
    bool restricted;
    uint32_t network, mask; /* IPv4 */
    const char *hostname, *tftp, *bootfile; /* NULL: none */
    struct forward_option forward[OPTIONS_FORWARDS];
    unsigned forwards;
    const char *ifname, *script, *downscript; /* of tap; NULL: none */
    const char *path;                         /* of a socket */
};

/* A card on a user network, without anything special. */
extern const struct net_option net_option_usual;

#define OPTIONS_SHARES  8
#define OPTIONS_TAG_MAX 31

/* A folder of the host that the guest can mount: TAG=FOLDER[,readonly][,owners=WHOSE]. */
struct share_option {
    const char *tag, *path; /* path NULL: none */
    bool read_only;
    enum owners_option {
        OWNERS_USUAL,
        OWNERS_HOST,   /* the host's own */
        OWNERS_MAPPED, /* what the guest sets is kept beside the files */
    } owners;
};

/* What ends the run with a crash report: WHAT[,WHAT]... */
struct stop_on_option {
    bool panic;          /* a line on the first serial port says so */
    bool nonsense;       /* code or the stack is where there is no memory */
    uint32_t exceptions; /* bit n: exception n */
};

#define OPTIONS_DEVICES  16
#define DEVICE_NAME_SIZE 64
#define DRIVE_QUEUES     16 /* at most */

/* A device without a place of its own among the options: NAME[,PART=VALUE]... */
struct device_option {
    enum device_kind {
        DEVICE_RNG,
        DEVICE_BALLOON,
        DEVICE_CONSOLE,
        DEVICE_PORT,
        DEVICE_KEYBOARD,
        DEVICE_MOUSE,
        DEVICE_TABLET,
    } kind;
    const char *to;   /* of consoles and ports: where it leads; otherwise NULL */
    const char *name; /* of ports; otherwise NULL */
};

struct options {
    enum options_action action;
    const char *image;
    struct drive_option image_drive;      /* the same, if it is a drive's */
    const char *kernel, *initrd, *append; /* NULL when not given */
    struct share_option root;             /* the root file system's folder; without a tag */
    const char *modules;                  /* a folder with its kernel's modules; NULL: where they usually are */
    const char *bios, *boot;              /* boot: letters of "acdn" */
    bool boot_menu;
    struct drive_option disk[OPTIONS_DISKS], cdrom[OPTIONS_DISCS], floppy[OPTIONS_FLOPPIES];
    unsigned disks, discs, floppies;
    const char *on_io_error; /* report, stop or enospc */
    uint64_t memory; /* bytes, whole pages */
    unsigned cpus;
    const char *accel;
    const char *kvm_code, *kvm_irqchip;
    struct switch_option switch_at[OPTIONS_SWITCHES];
    unsigned switches;
    uint64_t jit_cache; /* bytes */
    struct dump_option jit_dump;
    bool perf_map;
    const char *gdb; /* [HOST:]PORT or unix:PATH; NULL: none */
    bool wait_gdb;
    const char *perf_symbols;            /* NULL: none */
    const char *cpu;                     /* NULL: the default model */
    const char *serial[OPTIONS_SERIALS]; /* COM1 to COM4 */
    unsigned serials;
    bool serials_weak; /* the next --serial replaces them all */
    const char *debugcon, *parallel;
    struct device_option device[OPTIONS_DEVICES];
    unsigned devices;
    struct net_option net[OPTIONS_NETS];
    unsigned nets;
    struct share_option share[OPTIONS_SHARES];
    unsigned shares;
    bool no_net; /* it is none that was asked for; otherwise, with no nets, nothing was said */
    const char *display;
    const char *screenshot;
    const char *control, *monitor, *symbols, *coverage, *crash_report; /* NULL: none */
    struct stop_on_option stop_on;
    int history; /* entries of the CPU's history; 0: without branches; -1: nothing was said */
    uint64_t timeout; /* host ns; 0: none */
    bool stats, no_reboot;
    uint32_t check; /* how often a block of translated code is compared; 0: never */
    unsigned log;  /* bit n: enum log_level n is printed */
    int exit_port; /* the exit device's port, -1: not there */
    bool test_device;
    const char *machine;
    struct option_text *texts; /* the strings above; options_free() releases them */
};

struct option_row {
    const char *name;     /* long name, and key in a machine file */
    char letter;          /* 0: none */
    const char *argument; /* as help shows it, NULL for a switch; "[=X]" when it may be left out */
    const char *initial;  /* the default as a user would write it, NULL: none */
    const char *group;    /* heading in help; NULL: not listed */
    const char *help;
    /* Puts `value` (NULL: given without one) at `offset`; says in `why` what is wrong with it. */
    bool (*set)(struct options *options, const struct option_row *row, const char *value, char *why,
                size_t why_size);
    size_t offset;
    const char *choices; /* for a choice: the words, separated by '|' */
    bool positional;     /* stands alone on the command line */
    bool command_only;   /* means nothing in a machine file */
};

/* Ends with a row whose name is NULL. */
extern const struct option_row option_table[];

/* What each exit status means; ends with NULL. */
struct exit_row {
    const char *status, *meaning;
};
extern const struct exit_row exit_table[];

/* A first word that makes Oxbow something else than a machine to run. */
struct command_row {
    const char *name;
    const char *arguments; /* as help shows them; "" for none */
    const char *help;
    int (*run)(int argc, char **argv); /* argv[0] is the name; returns an exit status */
};

/* Every option at its default. */
void options_init(struct options *options);
void options_free(struct options *options);

/* Sets one option by its long name, as a machine file does. Switches take yes, no or nothing. False: see
 * `why`. */
bool options_set(struct options *options, const char *name, const char *value, char *why, size_t why_size);

/* Reads a machine file by calling options_set(); false: see `why`. */
typedef bool options_reader(const char *path, struct options *options, char *why, size_t why_size);

/*
 * Reads the command line (argv[0] is skipped) into options that options_init() prepared. A machine file is
 * read first, so that the command line has the last word. False: see `why`.
 */
bool options_parse(struct options *options, int argc, char **argv, options_reader *reader, char *why,
                   size_t why_size);

/* "512M" in bytes: K, M, G or T, or none for MiB. False when it is not a size or doesn't fit 64 bits. */
bool options_size(const char *text, uint64_t *bytes);

/* The name in the table that `name` was probably meant to be, NULL when none is near. */
const char *options_nearest(const char *name);

/* `commands` ends with a row whose name is NULL. */
void options_print_help(FILE *out, const struct command_row *commands);
/* The man page's sections that come from the tables, in man(7) source. */
void options_print_man(FILE *out, const struct command_row *commands);

#endif
