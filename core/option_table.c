/*
 * option_table.c - the options, a row each, and what each exit status means; see options.h. The texts for help are
 * here, their layout is in options_print.c.
 */
#include "core/option_values.h"

#define AT(member) .offset = offsetof(struct options, member)

#define BOOT  "What to boot"
#define PC    "The machine"
#define WIRES "What it is connected to"
#define RUN   "The run"
#define ABOUT "About Oxbow"

const struct option_row option_table[] = {
    {"image", 0, "IMAGE", NULL, BOOT,
     "What to boot, recognised by its content: a Linux kernel (bzImage), an ELF file with a PVH note or a "
     "Multiboot header, a raw disk or floppy disk (as with --disk, --floppy) or an ISO (as with --cdrom). "
     "With "
     "nothing to boot, a small demo guest runs that is built in.",
     set_image, AT(image), .positional = true},
    {"kernel", 0, "FILE", NULL, BOOT, "The same as IMAGE, by name.", set_text, AT(kernel)},
    {"initrd", 0, "FILE", NULL, BOOT, "Initial RAM disk, or the first Multiboot module.", set_text,
     AT(initrd)},
    {"append", 0, "TEXT", NULL, BOOT, "The kernel's command line.", set_text, AT(append)},
    {"root", 0, "FOLDER", NULL, BOOT,
     "Boots this folder as the root file system, with --kernel, or with the newest kernel in FOLDER/boot; takes the same "
     "additions as --share. For an ordinary user, owners=mapped is usual.",
     set_root, AT(root)},
    {"modules", 0, "FOLDER", NULL, BOOT,
     "Where --root finds the kernel's modules that it needs; lib/modules/VERSION in its folder, beside the kernel or of this "
     "host without.",
     set_text, AT(modules)},

    {"disk", 0, "FILE", NULL, BOOT,
     "A disk image (raw, qcow2, or another format that is recognised), block device or NBD server's image "
     "(nbd://HOST/NAME); up to 16. Behind it, with "
     "commas: readonly (the guest can't write), snapshot (what it writes is gone at the end), "
     "if=ide|virtio|ahci|nvme (how it is connected; ide, of which there are four), format=NAME (it isn't guessed), "
     "discard=off (what the guest discards keeps its space), queues=N (of virtio, up to 16; one), iops=N and bps=SIZE "
     "(limits a second), backing=yes or backing=FILE (a qcow2 image's backing file outside its folder may be opened; or FILE is, in its place).",
     set_disk, AT(disk)},
    {"cdrom", 0, "FILE", NULL, BOOT,
     "A disc's image (ISO). The first of up to eight lies in the drive; the window's Ctrl-Alt-D puts the "
     "next one in. With if=ahci behind it the drive is a SATA one.",
     set_cdrom, AT(cdrom)},
    {"floppy", 0, "FILE", NULL, BOOT,
     "A raw floppy disk image; up to two. Takes the same additions as --disk.", set_floppy, AT(floppy)},
    {"bios", 0, "FILE", NULL, BOOT,
     "The ROM that starts the machine when no kernel is given, 64 KiB to 16 MiB; SeaBIOS by default.",
     set_text, AT(bios)},
    {"boot", 0, "ORDER", NULL, BOOT,
     "What the BIOS tries, best first: c for disks, d for CD-ROM, a for floppy, n for the network; like dc.",
     set_order, AT(boot)},
    {"boot-menu", 0, NULL, NULL, BOOT, "The BIOS lets the user choose what to boot.", set_flag,
     AT(boot_menu)},

    {"memory", 'm', "SIZE", "512M", PC, "Guest memory, with K, M, G or T behind the number; MiB without.",
     set_memory, AT(memory)},
    {"cpus", 'c', "N", "1", PC, "Number of processors. This version has one.", set_cpus, AT(cpus)},
    {"accel", 0, "ENGINE", "auto", PC,
     "What executes the guest: interp, jit, kvm, or auto for the fastest that serves. \"help\" lists them.",
     set_choice, AT(accel), .choices = "interp|jit|kvm|auto|help"},
    {"switch-at", 0, "CONDITION:ENGINE", NULL, PC,
     "Lets another engine go on when a condition holds: addr=0xADDRESS (the guest is about to execute what is at this "
     "linear address), serial=TEXT (a line on COM1 contains it), time=SECONDS (of the guest's), or port=0xN[=VALUE] (the "
     "guest writes to this port). Up to 16 of them.",
     set_switch, AT(switch_at), .choices = "interp|jit|kvm|auto"},
    {"kvm-code", 0, "WHICH", "auto", PC,
     "Which code KVM runs: all of it; user, which is 64-bit code at CPL 3, and the software CPU the rest; or auto: all, where "
     "kernel code runs natively under it.",
     set_choice, AT(kvm_code), .choices = "all|user|auto"},
    {"kvm-irqchip", 0, "WHOSE", "auto", PC,
     "Whose interrupt controllers the guest works with under KVM: the kernel's (full), the kernel's local APIC alone (split), "
     "Oxbow's (off), or auto for what is fastest on this host.",
     set_choice, AT(kvm_irqchip), .choices = "full|split|off|auto"},
    {"jit-cache", 0, "SIZE", "128M", PC,
     "Host memory for translated code, 1M to 1G. When it is full, translation begins anew.", set_cache,
     AT(jit_cache)},
    {"cpu", 0, "MODEL", NULL, PC,
     "Processor model, with features to add or remove (MODEL,+x,-y). \"help\" lists them.", set_text,
     AT(cpu)},
    {"exit-device", 0, "[=PORT]", NULL, PC,
     "Adds a port (0xF4) through which the guest ends the run: writing V gives exit status (V << 1) | 1.",
     set_port, AT(exit_port)},
    {"test-device", 0, NULL, NULL, PC,
     "Adds a chip for tests of processors and kernels: a port (0xE0) and a memory (0xFF000000) that keep "
     "what "
     "is written, and interrupt lines that the guest pulls (ports 0x2000 to 0x2017).",
     set_flag, AT(test_device)},

    {"serial", 0, "WHERE", NULL, WIRES,
     "Where COM1 leads: stdio, file:PATH, pty, unix:PATH (listens there) or none. Ctrl-A then X quits on "
     "stdio. It is stdio unless --display text has the terminal. Given again, it says the same of COM2, COM3 "
     "and COM4.",
     set_serial, AT(serial)},
    {"debugcon", 0, "WHERE", "none", WIRES, "The same for what the guest writes to ports 0xE9 and 0x402.",
     set_text, AT(debugcon)},
    {"parallel", 0, "WHERE", NULL, WIRES,
     "Adds a parallel port and says, like --serial, where what is printed goes.", set_text, AT(parallel)},
    {"device", 0, "DEVICE", NULL, WIRES,
     "Adds a virtio device: virtio-rng (randomness); virtio-balloon (memory that the guest gives back, as the monitor's "
     "\"balloon\" asks for); virtio-console,to=WHERE (a console, WHERE as for --serial); virtio-port,name=NAME,to=WHERE (a "
     "port that programs in the guest find by its name); virtio-keyboard, virtio-mouse, or virtio-tablet (the desktop's "
     "pointer is the guest's). Up to 16 of them.",
     set_device, AT(device)},
    {"net", 0, "NETWORK", NULL, WIRES,
     "Adds a network card: user, a network of the guest's own; tap, an interface of the host; socket:PATH, a cable to "
     "another Oxbow with the same PATH; or none (without --net there is a user network). Behind it, with commas: "
     "mac=ADDRESS, model=CARD (e1000, virtio-net, rtl8139 or without C+ mode rtl8139c, ne2k_pci, or ne2k_isa with iobase= and irq=), dump=FILE (all frames, for Wireshark). "
     "Of user: hostfwd=tcp:127.0.0.1:2222-:22 leads a port "
     "of the host to the guest's (or udp; several), restrict (the guest reaches nobody), net=CIDR, hostname=NAME, "
     "tftp=FOLDER, bootfile=NAME. Of tap: ifname=NAME, script=FILE and downscript=FILE, which are run with the name when "
     "it starts and in the end. Up to four.",
     set_net, AT(net)},
    {"share", 0, "TAG=FOLDER", NULL, WIRES,
     "A folder of this host that the guest can mount: mount -t 9p -o trans=virtio,version=9p2000.L TAG /mnt. Behind it, with "
     "commas: readonly; owners=mapped keeps what the guest says of owners, modes and devices in attributes of the files, "
     "instead of owners=host, which sets it on the host as far as that lets. Up to eight.",
     set_share, AT(share)},
    {"display", 0, "KIND", "auto", WIRES,
     "Where the guest's screen is shown: sdl, a window of the desktop; text, its text modes in this "
     "terminal, with the "
     "keyboard; or none. auto is the window where there is a desktop and the machine starts by its BIOS.",
     set_choice, AT(display), .choices = "auto|sdl|text|none"},
    {"screenshot", 0, "FILE", NULL, WIRES,
     "Writes the guest's screen to a PNG file when the run ends, and whenever Oxbow gets the signal USR1.",
     set_text, AT(screenshot)},
    {"control", 0, "WHERE", NULL, WIRES,
     "Where programs control the machine by QMP, at unix:PATH, for this user alone; oxbow ctl PATH is a client for people.",
     set_text, AT(control)},
    {"monitor", 0, "WHERE", NULL, WIRES,
     "Where the monitor's commands are typed, like --serial; on a serial port's terminal, Ctrl-A then C switches to it.",
     set_text, AT(monitor)},
    {"headless", 0, NULL, NULL, WIRES, "The same as --display none --serial stdio.", set_headless,
     AT(display)},

    {"on-io-error", 0, "WHAT", "report", RUN,
     "What happens when the host can't read or write a disk's image: report (the guest sees a disk error), stop (the "
     "machine stops with a line, and \"cont\" tries again), or enospc (it stops when the host's disk is full).",
     set_choice, AT(on_io_error), .choices = "report|stop|enospc"},
    {"timeout", 0, "SECONDS", NULL, RUN, "Ends the run after so much time, with exit status 4.", set_seconds,
     AT(timeout)},
    {"no-reboot", 0, NULL, NULL, RUN, "A guest that resets itself ends the run, with exit status 6.",
     set_flag, AT(no_reboot)},
    {"gdb", 0, "WHERE", NULL, RUN,
     "GDB connects here: [HOST:]PORT (of this host alone unless HOST is given) or unix:PATH. Breakpoints, "
     "watchpoints, steps, all registers; \"monitor help\" lists what else.",
     set_text, AT(gdb)},
    {"wait-gdb", 0, NULL, NULL, RUN, "Holds at the first instruction until GDB lets the machine go.", set_flag,
     AT(wait_gdb)},
    {"check", 0, "[=N]", NULL, RUN,
     "Compares translated code with the interpreter, block by block; a difference is printed and ends the run with exit "
     "status 7. With N, a block is compared the first N times it runs, and then every Nth time.",
     set_check, AT(check)},
    {"jit-dump", 0, "WHAT", NULL, RUN,
     "Prints blocks as they are translated, their guest code and host code: those with code at a linear ADDRESS, or all. "
     "\",FILE\" behind it says where to, instead of standard error.",
     set_dump, AT(jit_dump)},
    {"perf-map", 0, "[=SYMBOLS]", NULL, RUN,
     "Writes /tmp/perf-PID.map, by which Linux's perf names translated code. SYMBOLS is a file as "
     "for --symbols.",
     set_perf, AT(perf_map)},
    {"symbols", 0, "FILE", NULL, RUN,
     "The guest's symbols, for the monitor and crash reports: an ELF file such as vmlinux, or a list as nm and System.map "
     "have it. Without it, the kernel's own.",
     set_text, AT(symbols)},
    {"crash-report", 0, "FILE", NULL, RUN,
     "When the guest crashes, writes the report to FILE as well, and its memory and registers to FILE.core, an ELF core file "
     "for gdb and crash.",
     set_text, AT(crash_report)},
    {"stop-on", 0, "WHAT", NULL, RUN,
     "Ends the run with a crash report and exit status 3 when the kernel prints that it panics (panic), an exception is "
     "raised (exception:13 or exception:#GP), or code or the stack is where there is no memory (nonsense); several with "
     "commas between.",
     set_stop_on, AT(stop_on)},
    {"history", 0, "[=N]", NULL, RUN,
     "Keeps the last N branches (1024) for crash reports and the monitor's info history, at the cost of some speed; "
     "exceptions, interrupts, far transfers and system calls are always kept. --crash-report and --stop-on mean it, too, "
     "unless --history=0 says otherwise.",
     set_history, AT(history)},
    {"coverage", 0, "FILE", NULL, RUN,
     "Writes which lines of the kernel's source ran, for lcov; or, to a FILE named .drcov, which basic blocks. The kernel, "
     "or the file that --symbols names, is an ELF file.",
     set_text, AT(coverage)},
    {"stats", 0, NULL, NULL, RUN, "At the end, says how many instructions ran and how fast.", set_flag,
     AT(stats)},
    {"log", 0, "LEVELS", "error,warn,info", RUN,
     "Log levels to print as well: guest (what real hardware would ignore or fault), debug; or \"none\" for "
     "errors only.",
     set_log, AT(log)},
    {"machine", 0, "FILE", NULL, RUN,
     "Reads options from an INI file first: their long names without dashes, \"name = value\". A bochsrc is read for "
     "what corresponds.",
     set_text,
     AT(machine), .command_only = true},

    {"help", 'h', NULL, NULL, ABOUT, "Prints this.", set_action, .choices = "help", .command_only = true},
    {"version", 0, NULL, NULL, ABOUT, "Prints the version and what was built in.", set_action,
     .choices = "version", .command_only = true},
    {"help-man", 0, NULL, NULL, NULL, NULL, set_action, .choices = "man", .command_only = true},
    {.name = NULL},
};

const struct exit_row exit_table[] = {
    {"0", "The guest powered off, or the user quit with Ctrl-A X."},
    {"2", "Usage or bad input: an option, a file or a machine file that can't be used."},
    {"3", "The guest crashed: a triple fault, or what --stop-on names; or Oxbow did, in translated code. A report is on standard error."},
    {"4", "The time given by --timeout was over."},
    {"5", "The host or an engine failed."},
    {"6", "The guest asked for a reset, under --no-reboot."},
    {"7", "With --check: translated code did something else than the interpreter."},
    {"128+N", "Ended by signal N: 130 for SIGINT, 143 for SIGTERM."},
    {"odd", "With --exit-device: (V << 1) | 1 for the value V that the guest wrote."},
    {NULL, NULL},
};
