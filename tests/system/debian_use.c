/*
 * debian_use.c - a Debian guest as its user works with it over the user network: installs packages from a
 * mirror on this host, clones a git repository of this host's, is reached by ssh through a forwarded
 * port, and shares a folder with the host.
 *
 * With INSTALL=1 in the environment it goes on, for some minutes (`make installation`): it installs another
 * Debian onto a blank qcow2 disk, unattended, and that one boots.
 *
 * Runs in the build folder: tests/system/debian_use. OXBOW, DISK and CACHE in the environment replace ./oxbow
 * and what `./setup check` put into cache/. It works in tests/system/debian_use.work/.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config.h"
#include "tests/system/guest.h"

/* Seconds that bound the waits. */
#ifdef OXBOW_SANITIZED
#define BOOT 1200
#else
#define BOOT 240
#endif
#define COMMAND BOOT
#define INSTALL 3000

#define WORK "tests/system/debian_use.work"
#define KEY  WORK "/key"

struct site {
    const char *oxbow, *disk, *cache;
    unsigned web; /* the port of the server on this host */
    pid_t server;
    bool installs;
};

/* --- this host's side */

/* Runs a shell command here; true if it ends with status 0. *output (to be freed, may be NULL) is what it
 * printed. */
__attribute__((format(printf, 2, 3))) static bool host(char **output, const char *format, ...)
{
    char *command = NULL, *text = NULL;
    size_t size = 0, capacity = 0, got;
    va_list arguments;

    va_start(arguments, format);
    if (vasprintf(&command, format, arguments) < 0)
        command = NULL;
    va_end(arguments);
    FILE *pipe = command ? popen(command, "r") : NULL;
    if (!pipe) {
        free(command);
        return false;
    }
    do {
        capacity += 65536;
        text = realloc(text, capacity);
        got = text ? fread(text + size, 1, capacity - size - 1, pipe) : 0;
        size += got;
    } while (got);
    if (text)
        text[size] = 0;
    free(command);
    int status = pclose(pipe);
    if (output)
        *output = text;
    else
        free(text);
    return text && WIFEXITED(status) && !WEXITSTATUS(status);
}

/* A port of the loopback that is free now. */
static unsigned free_port(void)
{
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(where);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool bound = fd >= 0 && !bind(fd, (struct sockaddr *)&where, size) &&
                 !getsockname(fd, (struct sockaddr *)&where, &size);

    if (fd >= 0)
        close(fd);
    return bound ? ntohs(where.sin_port) : 0;
}

/* What is served: the packages, a repository with a history, the key that lets this host in. */
static const char *prepare(struct site *site)
{
    static const char make[] =
        "set -e; rm -rf " WORK "; mkdir -p " WORK "/web " WORK "/share; cd " WORK "; exec >log 2>&1; "
        "ssh-keygen -q -t ed25519 -N '' -f key; cp key.pub web/; "
        "git init -q -b main source; cd source; git config user.name Oxbow; git config user.email "
        "oxbow@localhost; "
        "for n in 1 2 3 4 5 6 7 8 9 10; do seq 1 ${n}0000 >numbers; git add numbers; git commit -qm \"To "
        "${n}0000\"; done; "
        "cd ..; git clone -q --bare source web/numbers.git; git -C web/numbers.git update-server-info; "
        "echo 'from the host' >share/greeting";

    if (!host(NULL, "command -v git && command -v ssh && command -v ssh-keygen"))
        return "needs git and ssh";
    if (!host(NULL, "%s", make))
        return "could not make keys and a repository; see " WORK "/log";
    if (!host(NULL, "ln -s \"$(realpath %s/%s)\" " WORK "/web/debian && test -e " WORK "/web/debian/stamp",
              site->cache, site->installs ? "mirror-whole" : "mirror"))
        return "no mirror to install from; ./setup check makes one, or says why it can't";
    return NULL;
}

/* Busybox's web server. 0: it doesn't start. */
static pid_t serve(struct site *site)
{
    char busybox[4200], place[40];

    snprintf(busybox, sizeof(busybox), "%s/busybox/bin/busybox", site->cache);
    site->web = free_port();
    snprintf(place, sizeof(place), "127.0.0.1:%u", site->web);
    if (access(busybox, X_OK) || !site->web)
        return 0;
    pid_t pid = fork();
    if (!pid) {
        execl(busybox, "busybox", "httpd", "-f", "-p", place, "-h", WORK "/web", NULL);
        _exit(1);
    }
    return pid < 0 ? 0 : pid;
}

/* --- the guest's */

#define TEST(name, expected, ...) guest_test(tap, drive, name, expected, COMMAND, __VA_ARGS__)

static bool install_packages(struct tap *tap, struct drive *drive, const struct site *site)
{
    return guest_test_dhcp(tap, drive, "the card gets an address by DHCP", "en*", COMMAND) &&
           TEST("apt reads the mirror's index", NULL,
                "echo 'deb [trusted=yes] http://10.0.2.2:%u/debian bookworm main' >/etc/apt/sources.list; "
                "apt-get -qq update",
                site->web) &&
           TEST("packages are installed", "Setting up git ",
                "DEBIAN_FRONTEND=noninteractive apt-get -y -q --no-install-recommends install openssh-server "
                "git "
                "debootstrap fdisk </dev/null 2>&1");
}

static void clone(struct tap *tap, struct drive *drive, const struct site *site)
{
    char *commit = NULL;

    if (!host(&commit, "git -C " WORK "/web/numbers.git rev-parse HEAD"))
        tap_ok(tap, false, "the repository has a commit");
    TEST("a repository is cloned from the host", NULL, "git clone -q http://10.0.2.2:%u/numbers.git",
         site->web);
    TEST("its last commit is the host's", commit ? commit : "?", "git -C numbers rev-parse HEAD");
    TEST("its history is there and whole", "10\n",
         "git -C numbers fsck --full && git -C numbers rev-list --count HEAD");
    TEST("its file is right", "100000\n", "tail -n 1 numbers/numbers");
    free(commit);
}

static void reach(struct tap *tap, struct drive *drive, const struct site *site, unsigned port)
{
    char *output = NULL;
    char ssh[300];

    TEST("the host's key is let in", "10.0.2.2",
         "mkdir -m 700 -p .ssh; systemctl start ssh; "
         "/usr/lib/apt/apt-helper download-file http://10.0.2.2:%u/key.pub .ssh/authorized_keys 2>&1",
         site->web);
    snprintf(ssh, sizeof(ssh),
             "timeout %d ssh -q -F none -i " KEY " -o BatchMode=yes -o StrictHostKeyChecking=no -o "
             "UserKnownHostsFile=" WORK "/known -p %u root@127.0.0.1",
             COMMAND, port);
    bool reached = host(&output, "%s 'uname -n; cat /proc/uptime >/dev/null'", ssh);
    if (!tap_ok(tap, reached && output && !strcmp(output, "oxbow\n"),
                "the host reaches the guest by ssh through a forwarded port"))
        tap_note("ssh printed", output ? output : "(nothing)");
    free(output);
    reached = host(&output,
                   "seq 1 1000000 | %s 'tee big | sha256sum' >" WORK
                   "/there && seq 1 1000000 | sha256sum | cmp - " WORK "/there 2>&1",
                   ssh);
    if (!tap_ok(tap, reached, "7 MB go through it unchanged"))
        tap_note("what differs", output ? output : "(nothing)");
    free(output);
}

static void share(struct tap *tap, struct drive *drive)
{
    char *output = NULL;

    TEST("the shared folder is mounted", NULL,
         "modprobe 9pnet_virtio; mkdir -p shared; mount -t 9p -o trans=virtio,version=9p2000.L home shared");
    TEST("it has the host's file", "from the host\n", "cat shared/greeting");
    TEST("the guest writes one there", NULL, "seq 1 200000 >shared/numbers");
    bool same = host(&output, "seq 1 200000 | cmp - " WORK "/share/numbers 2>&1");
    if (!tap_ok(tap, same, "the host reads it"))
        tap_note("what differs", output ? output : "(nothing)");
    free(output);
}

/* Debian onto the second disk, as its installer would do it without questions. */
static void install(struct tap *tap, struct drive *drive, const struct site *site)
{
    guest_test(
        tap, drive, "the blank disk is partitioned and formatted", NULL, COMMAND,
        "echo ',,L,*' | sfdisk -q /dev/vda && mke2fs -q -t ext4 -L debian /dev/vda1 && mount /dev/vda1 /mnt");
    guest_test(tap, drive, "Debian is installed on it from the mirror", NULL, INSTALL,
               "debootstrap --no-check-gpg --variant=minbase "
               "--include=systemd-sysv,udev,dbus,linux-image-amd64,zstd,grub-pc "
               "bookworm /mnt http://10.0.2.2:%u/debian >log 2>&1 || tail log",
               site->web);
    guest_test(
        tap, drive, "and set up", NULL, COMMAND,
        "cd /mnt; echo 'LABEL=debian / ext4 errors=remount-ro 0 1' >etc/fstab; echo oxbow >etc/hostname; "
        "echo '127.0.0.1 localhost oxbow' >etc/hosts; echo root:oxbow | chroot . chpasswd; cd");
    guest_test(tap, drive, "GRUB is put in front", "No error reported", COMMAND,
               "for d in dev proc sys; do mount --bind /$d /mnt/$d; done; "
               "printf '%%s\\n' 'GRUB_CMDLINE_LINUX=\"console=tty0 console=ttyS0,115200\"' 'GRUB_TIMEOUT=1' "
               "'GRUB_TERMINAL=\"console serial\"' >>/mnt/etc/default/grub; "
               "chroot /mnt update-initramfs -u >>log 2>&1; chroot /mnt update-grub >>log 2>&1; "
               "chroot /mnt grub-install /dev/vda 2>&1; umount -R /mnt");
}

static void installed_boots(struct tap *tap, const struct site *site)
{
    const char *argv[] = {site->oxbow, "--headless", "--disk", WORK "/blank.qcow2,if=virtio", NULL};
    struct drive own, *drive = &own;
    char *output = NULL;

    bool clean = host(&output, "qemu-img check " WORK "/blank.qcow2 2>&1");
    if (!tap_ok(tap, clean, "qemu-img finds no error in the image"))
        tap_note("it printed", output ? output : "");
    free(output);
    if (tap_ok(tap, drive_start(drive, argv, drive_has_terminal()) && guest_log_in(drive, BOOT),
               "what was installed boots to a login")) {
        TEST("from its own disk", "/dev/vda1 ext4\n", "findmnt -nro SOURCE,FSTYPE /");
        TEST("all of it started", "running\n", "systemctl is-system-running --wait");
        drive_send(drive, "poweroff\n");
        tap_ok(tap, drive_wait(drive, COMMAND) == 0, "poweroff: exit status 0");
    } else {
        tap_note("what was printed", drive->text);
    }
    drive_free(drive);
}

static void session(struct tap *tap, const struct site *site)
{
    unsigned port = free_port();
    char disk[4200], net[100];
    const char *argv[] = {site->oxbow, "--headless",          "--memory", "1G", "--disk", disk, "--net", net,
                          "--share",   "home=" WORK "/share", NULL,       NULL, NULL};
    struct drive own, *drive = &own;

    snprintf(disk, sizeof(disk), "%s,snapshot", site->disk);
    snprintf(net, sizeof(net), "user,hostfwd=tcp:127.0.0.1:%u-:22", port);
    if (site->installs) {
        argv[10] = "--disk";
        argv[11] = WORK "/blank.qcow2,if=virtio";
        if (!tap_ok(tap, host(NULL, "%s image create " WORK "/blank.qcow2 4G", site->oxbow),
                    "a blank qcow2 disk"))
            return;
    }
    if (!tap_ok(tap, drive_start(drive, argv, drive_has_terminal()) && guest_log_in(drive, BOOT),
                "Debian boots to a login")) {
        tap_note("what was printed", drive->text);
    } else {
        if (install_packages(tap, drive, site)) {
            clone(tap, drive, site);
            reach(tap, drive, site, port);
        }
        share(tap, drive);
        if (site->installs)
            install(tap, drive, site);
        TEST("no complaint from the kernel", NULL,
             "dmesg | grep -E 'BUG|WARNING|Oops|Call Trace|soft lockup|rcu.*stall|e1000.*[Hh]ang' || true");
        drive_send(drive, "poweroff\n");
        tap_ok(tap, drive_wait(drive, COMMAND) == 0, "poweroff: exit status 0");
    }
    drive_free(drive);
    if (site->installs)
        installed_boots(tap, site);
}

int main(void)
{
    struct site site = {.oxbow = getenv("OXBOW"), .disk = getenv("DISK"), .cache = getenv("CACHE")};
    struct tap tap = {0};

#ifndef HAVE_SLIRP
    return tap_skip_all("built without libslirp");
#endif
#ifdef OXBOW_SANITIZED
    return tap_skip_all("with sanitizers it takes too long");
#endif
    if (!site.oxbow)
        site.oxbow = "./oxbow";
    if (!site.cache)
        site.cache = "cache";
    if (!site.disk)
        site.disk = "cache/debian.img";
    site.installs = getenv("INSTALL") != NULL;
    if (access(site.disk, R_OK))
        return tap_skip_all("no Debian disk to boot; ./setup check makes one, or says why it can't");
    const char *why = prepare(&site);
    if (why)
        return tap_skip_all(why);
    site.server = serve(&site);
    if (!site.server)
        return tap_skip_all("no web server for the packages; busybox-static has one");
    session(&tap, &site);
    kill(site.server, SIGTERM);
    waitpid(site.server, NULL, 0);
    if (!tap.failed)
        host(NULL, "rm -rf " WORK);
    return tap_done(&tap);
}
