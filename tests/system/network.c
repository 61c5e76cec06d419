/*
 * network.c - the user network as a guest and its host see it: firmware boots from it by DHCP and TFTP;
 * Debian gets an address, loads from a server on this host and sends to it, is reached through a forwarded
 * port, and reaches nobody by a second card whose network is restricted. Afterwards the dump has the frames.
 * Then the other cards, each with its driver of Debian's.
 *
 * Runs in the build folder: tests/system/network. OXBOW and DISK in the environment replace ./oxbow and what
 * `./setup check` put into cache/.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "tests/system/guest.h"

/* Seconds that bound the waits. */
#ifdef OXBOW_SANITIZED
#define BOOT 1200
#else
#define BOOT 240
#endif
#define COMMAND (BOOT / 2)

#define WORK   "tests/system/network"
#define ROMS   "/usr/lib/ipxe/qemu/"
#define AMOUNT (6u << 20) /* bytes, either way */

struct files {
    const char *oxbow, *disk;
};

/* --- this host's side */

/* The numbers that both sides expect. */
static void make_data(uint8_t *data)
{
    uint32_t seed = 1;

    for (size_t n = 0; n < AMOUNT; n++) {
        seed = seed * 1664525 + 1013904223;
        data[n] = (uint8_t)(seed >> 24);
    }
}

static bool send_all(int fd, const uint8_t *data, size_t size)
{
    while (size) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        data += sent;
        size -= (size_t)sent;
    }
    return true;
}

static bool receive_all(int fd, uint8_t *data, size_t size)
{
    while (size) {
        ssize_t got = recv(fd, data, size, 0);
        if (got <= 0)
            return false;
        data += got;
        size -= (size_t)got;
    }
    return true;
}

/* A letter says what the client wants: to be sent the data (g), or to send them and hear whether they arrived
 * (p). */
static void serve(int client, const uint8_t *data, uint8_t *space)
{
    uint8_t letter;

    if (!receive_all(client, &letter, 1))
        return;
    if (letter == 'g')
        send_all(client, data, AMOUNT);
    else if (letter == 'p')
        send_all(client,
                 (const uint8_t *)(receive_all(client, space, AMOUNT) && !memcmp(space, data, AMOUNT)
                                       ? "same\n"
                                       : "else\n"),
                 5);
}

static int listen_here(unsigned *port)
{
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(where);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&where, size) || listen(fd, 4) ||
        getsockname(fd, (struct sockaddr *)&where, &size))
        return -1;
    *port = ntohs(where.sin_port);
    return fd;
}

/* The server, as a process of its own; 0: the host has none. */
static pid_t start_server(unsigned *port)
{
    int fd = listen_here(port);
    pid_t pid = fd < 0 ? -1 : fork();

    if (pid) {
        if (fd >= 0)
            close(fd);
        return pid < 0 ? 0 : pid;
    }
    uint8_t *data = malloc(AMOUNT), *space = malloc(AMOUNT);
    if (!data || !space)
        _exit(1);
    make_data(data);
    for (int client; (client = accept(fd, NULL, NULL)) >= 0; close(client))
        serve(client, data, space);
    _exit(0);
}

/* A port that is free now. */
static unsigned free_port(void)
{
    unsigned port = 0;
    int fd = listen_here(&port);

    if (fd >= 0)
        close(fd);
    return port;
}

/* Says a line to the guest through the forwarded port and hears its answer. */
static bool ask_guest(unsigned port, int type, const char *line, char *answer, size_t size)
{
    struct sockaddr_in where = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = COMMAND};
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    ssize_t got = -1;

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (!connect(fd, (struct sockaddr *)&where, sizeof(where)) &&
        send(fd, line, strlen(line), MSG_NOSIGNAL) > 0)
        got = recv(fd, answer, size - 1, 0);
    close(fd);
    answer[got > 0 ? got : 0] = 0;
    return got > 0;
}

/* --- booting from it */

static void pxe_session(struct tap *tap, const struct files *files, const char *model, const char *rom)
{
    char net[120];
    const char *argv[] = {files->oxbow, "--headless", "--boot",   "n",    "--net",         net,
                          "--debugcon", "stdio",      "--serial", "none", "--exit-device", "--timeout",
                          "100",        NULL};
    struct drive drive;

    if (access(rom, R_OK)) {
        tap_skip(tap, "firmware boots from the network", "no ROM of iPXE; the package ipxe-qemu has it");
        return;
    }
    snprintf(net, sizeof(net), "user,restrict,model=%s,tftp=tests/system,bootfile=sector.img", model);
    if (tap_ok(tap, drive_start(&drive, argv, false), "Oxbow starts, to boot from the network") &&
        !tap_ok(tap, drive_expect(&drive, "sector: started", BOOT), "firmware boots from the network by %s",
                model))
        tap_note("what was printed", drive.text);
    drive_free(&drive);
}

/* --- Debian on it */

static bool log_in(struct tap *tap, struct drive *drive)
{
    bool there = guest_log_in(drive, BOOT);

    if (!tap_ok(tap, there, "Debian with two network cards boots to a login"))
        tap_note("what was printed", drive->text);
    return there;
}

/* Runs a command in the guest; its output must have `expected`, or be empty if that is NULL. */
static bool guest(struct tap *tap, struct drive *drive, const char *name, const char *expected,
                  const char *command)
{
    char *output;
    int status = drive_command(drive, command, &output, COMMAND);
    bool passed = status >= 0 && (expected ? strstr(output, expected) != NULL : !*output);

    if (!tap_ok(tap, passed, "%s", name))
        tap_note("it printed", output ? output : "(nothing in time)");
    free(output);
    return passed;
}

/* Answers lines of the host: TCP at port 2222, UDP at 3333. */
static const char guest_server[] =
    "cat >server.pl <<'END'\n"
    "use IO::Socket;\n"
    "my $udp = IO::Socket::INET->new(LocalPort => 3333, Proto => 'udp') or die;\n"
    "unless (fork) { while ($udp->recv(my $line, 100)) { $udp->send(\"guest heard $line\") } exit }\n"
    "my $tcp = IO::Socket::INET->new(LocalPort => 2222, Listen => 1) or die;\n"
    "system 'echo', 'listen' . 'ing';\n"
    "while (my $client = $tcp->accept) { my $line = <$client>; print $client \"guest heard $line\"; close "
    "$client }\n"
    "END\n";

static void check_forwards(struct tap *tap, struct drive *drive, unsigned tcp, unsigned udp)
{
    char answer[200];

    drive_send(drive, guest_server);
    drive_send(drive, "perl server.pl &\n");
    if (!tap_ok(tap, drive_expect(drive, "listening", COMMAND), "a server in the guest"))
        tap_note("what was printed", drive->text);
    tap_ok(tap,
           ask_guest(tcp, SOCK_STREAM, "hello\n", answer, sizeof(answer)) &&
               !strcmp(answer, "guest heard hello\n"),
           "the host reaches it through a forwarded port (TCP)");
    tap_ok(tap,
           ask_guest(udp, SOCK_DGRAM, "ahoy", answer, sizeof(answer)) && !strcmp(answer, "guest heard ahoy"),
           "the host reaches it through a forwarded port (UDP)");
}

static void check_traffic(struct tap *tap, struct drive *drive, unsigned port)
{
    char command[400], sum[80] = "";
    uint8_t *data = malloc(AMOUNT);
    FILE *sums = popen("sha256sum >" WORK ".sum", "w");

    if (data && sums) {
        make_data(data);
        fwrite(data, 1, AMOUNT, sums);
    }
    if (sums)
        pclose(sums);
    free(data);
    sums = fopen(WORK ".sum", "r");
    if (!sums || !fgets(sum, 65, sums))
        strcpy(sum, "(unknown)");
    if (sums)
        fclose(sums);
    unlink(WORK ".sum");
    snprintf(command, sizeof(command),
             "bash -c 'exec 3<>/dev/tcp/10.0.2.2/%u; printf g >&3; cat <&3 >data'; sha256sum data", port);
    guest(tap, drive, "the guest loads 6 MiB from a server of this host", sum, command);
    snprintf(command, sizeof(command),
             "bash -c 'exec 3<>/dev/tcp/10.0.2.2/%u; printf p >&3; cat data >&3; head -n 1 <&3'", port);
    guest(tap, drive, "and sends them to it", "same\n", command);
    snprintf(command, sizeof(command),
             "timeout 5 bash -c 'exec 3<>/dev/tcp/10.9.9.2/%u; printf g >&3; head -c 1 <&3' 2>/dev/null",
             port);
    guest(tap, drive, "by the restricted network it reaches nobody", NULL, command);
}

/* --- the dump */

static void check_dump(struct tap *tap, const char *path)
{
    FILE *file = fopen(path, "rb");
    uint32_t head[6], record[4];
    uint8_t frame[65536];
    unsigned frames = 0, ip = 0;
    bool whole = file && fread(head, 4, 6, file) == 6 && head[0] == 0xA1B23C4D && head[5] == 1;

    while (whole && fread(record, 4, 4, file) == 4) {
        whole = record[2] == record[3] && record[2] >= 14 && record[2] <= sizeof(frame) &&
                fread(frame, 1, record[2], file) == record[2];
        frames++;
        ip += whole && frame[12] == 8 && !frame[13] && frame[14] == 0x45;
    }
    if (file)
        fclose(file);
    if (!tap_ok(tap, whole && ip > 2 * AMOUNT / 65536 && ip <= frames, "the dump has the frames"))
        printf("# %u frames, %u of IPv4, %s\n", frames, ip, whole ? "complete" : "broken off");
}

static void debian_session(struct tap *tap, const struct files *files, unsigned port)
{
    unsigned tcp = free_port(), udp = free_port();
    char disk[4200], net[400];
    const char *argv[] = {files->oxbow, "--headless", "--disk", disk,
                          "--net",      net,          "--net",  "user,restrict,net=10.9.9.0/24",
                          NULL};
    struct drive drive;

    snprintf(disk, sizeof(disk), "%s,snapshot", files->disk);
    snprintf(net, sizeof(net),
             "user,hostfwd=tcp:127.0.0.1:%u-:2222,hostfwd=udp:127.0.0.1:%u-10.0.2.15:3333,dump=" WORK
             ".pcap,hostname=ox-guest",
             tcp, udp);
    if (!tap_ok(tap, drive_start(&drive, argv, drive_has_terminal()), "Oxbow starts, with Debian") ||
        !log_in(tap, &drive)) {
        drive_free(&drive);
        return;
    }
    if (guest(tap, &drive, "both cards get an address by DHCP", "online\n",
              "mkdir -p /run/systemd/network; printf '[Match]\\nName=en*\\n[Network]\\nDHCP=ipv4\\n' "
              ">/run/systemd/network/en.network; "
              "systemctl start systemd-networkd && "
              "/lib/systemd/systemd-networkd-wait-online --timeout=60 -i enp0s3 -i enp0s4 && echo online")) {
        guest(tap, &drive, "the first one's", "10.0.2.15", "networkctl status enp0s3 | cat");
        guest(tap, &drive, "the second one's", "10.9.9.15", "networkctl status enp0s4 | cat");
        guest(tap, &drive, "the name that DHCP gave", "ox-guest", "cat /run/systemd/netif/leases/*");
        check_traffic(tap, &drive, port);
        check_forwards(tap, &drive, tcp, udp);
        guest(tap, &drive, "no errors were counted", NULL,
              "cat /sys/class/net/en*/statistics/*_errors | grep -v '^0$'; "
              "dmesg | grep -E 'e1000.*(Hang|hang|rror|eset)|BUG:|WARNING:'");
    }
    drive_send(&drive, "poweroff\n");
    tap_ok(tap, drive_wait(&drive, COMMAND) == 0, "poweroff: exit status 0");
    drive_free(&drive);
    check_dump(tap, WORK ".pcap");
    unlink(WORK ".pcap");
}

/* --- the other cards */

/* In the order of their slots, from 00:03.0 on. */
static const struct {
    const char *model, *driver;
} cards[] = {
    {"virtio-net", "virtio_net"}, {"rtl8139", "8139cp"}, {"rtl8139c", "8139too"}, {"ne2k_pci", "ne2k-pci"}};

enum { CARDS = sizeof(cards) / sizeof(*cards) };

/* Both ways by one card, whose network is 10.7.N.0. */
static void check_card(struct tap *tap, struct drive *drive, unsigned n, unsigned port)
{
    char name[100], command[500];

    snprintf(command, sizeof(command), "basename $(readlink /sys/class/net/enp0s%u/device/driver)", 3 + n);
    snprintf(name, sizeof(name), "%s has its driver", cards[n].model);
    guest(tap, drive, name, cards[n].driver, command);
    snprintf(
        command, sizeof(command),
        "bash -c 'exec 3<>/dev/tcp/10.7.%u.2/%u; printf g >&3; cat <&3 >data; exec 3<>/dev/tcp/10.7.%u.2/%u; "
        "printf p >&3; cat data >&3; head -n 1 <&3'",
        n, port, n, port);
    snprintf(name, sizeof(name), "by %s 6 MiB come and go back", cards[n].model);
    guest(tap, drive, name, "same\n", command);
}

static void cards_session(struct tap *tap, const struct files *files, unsigned port)
{
    char disk[4200], net[CARDS][80];
    const char *argv[5 + 2 * CARDS] = {files->oxbow, "--headless", "--disk", disk};
    struct drive drive;

    snprintf(disk, sizeof(disk), "%s,snapshot", files->disk);
    for (unsigned n = 0; n < CARDS; n++) {
        snprintf(net[n], sizeof(net[n]), "user,model=%s,net=10.7.%u.0/24", cards[n].model, n);
        argv[4 + 2 * n] = "--net";
        argv[5 + 2 * n] = net[n];
    }
    if (!tap_ok(tap, drive_start(&drive, argv, drive_has_terminal()), "Oxbow starts, with the other cards") ||
        !log_in(tap, &drive)) {
        drive_free(&drive);
        return;
    }
    if (guest(tap, &drive, "they get addresses by DHCP", "online\n",
              "mkdir -p /run/systemd/network; printf '[Match]\\nName=en*\\n[Network]\\nDHCP=ipv4\\n' "
              ">/run/systemd/network/en.network; systemctl start systemd-networkd && "
              "/lib/systemd/systemd-networkd-wait-online --timeout=60 -i enp0s3 -i enp0s4 -i enp0s5 -i "
              "enp0s6 && "
              "echo online")) {
        for (unsigned n = 0; n < CARDS; n++)
            check_card(tap, &drive, n, port);
        guest(tap, &drive, "no errors were counted", NULL,
              "cat /sys/class/net/en*/statistics/*_errors | grep -v '^0$'; dmesg | grep -E "
              "'BUG:|WARNING:|timed out'");
    }
    drive_send(&drive, "poweroff\n");
    tap_ok(tap, drive_wait(&drive, COMMAND) == 0, "poweroff: exit status 0");
    drive_free(&drive);
}

/* A port that somebody has can't be forwarded: one line. */
static void check_busy_port(struct tap *tap, const struct files *files, unsigned port)
{
    char net[80];
    const char *argv[] = {files->oxbow, "--headless", "--boot", "d", "--net", net, "--timeout", "5", NULL};
    struct drive drive;

    snprintf(net, sizeof(net), "user,hostfwd=tcp:127.0.0.1:%u-:22", port);
    bool started = drive_start(&drive, argv, false);
    int status = started ? drive_wait(&drive, BOOT) : -1;
    const char *line = started ? strstr(drive.text, "the port is in use; choose another\n") : NULL;
    if (!tap_ok(tap, status == 2 && line && strchr(drive.text, '\n') == strrchr(drive.text, '\n'),
                "a port in use is refused in a line"))
        tap_note("what was printed", started ? drive.text : "");
    drive_free(&drive);
}

int main(void)
{
    struct files files = {getenv("OXBOW"), getenv("DISK")};
    struct tap tap = {0};
    unsigned port = 0;

#ifndef HAVE_SLIRP
    return tap_skip_all("built without libslirp");
#endif
#ifdef __SANITIZE_THREAD__
    return tap_skip_all("with ThreadSanitizer it takes too long");
#endif
    if (!files.oxbow)
        files.oxbow = "./oxbow";
    if (!files.disk)
        files.disk = "cache/debian.img";
    pid_t server = start_server(&port);
    if (!server)
        return tap_skip_all("this host has no loopback to listen at");
    check_busy_port(&tap, &files, port);
    pxe_session(&tap, &files, "e1000", ROMS "pxe-e1000.rom");
    pxe_session(&tap, &files, "virtio-net", ROMS "pxe-virtio.rom");
    pxe_session(&tap, &files, "rtl8139", ROMS "pxe-rtl8139.rom");
    pxe_session(&tap, &files, "ne2k_pci", ROMS "pxe-ne2k_pci.rom");
    if (access(files.disk, R_OK)) {
        tap_skip(&tap, "Debian on the network",
                 "no Debian disk to boot; ./setup check makes one, or says why it can't");
    } else {
        debian_session(&tap, &files, port);
        cards_session(&tap, &files, port);
    }
    kill(server, SIGTERM);
    waitpid(server, NULL, 0);
    return tap_done(&tap);
}
