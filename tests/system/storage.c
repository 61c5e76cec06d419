/*
 * storage.c - Debian on NVMe, with disks behind the SATA controller and on an NBD server (that is killed
 * meanwhile, and comes back), and a disc in a SATA drive: Linux's own drivers write, read, discard and reset;
 * what they wrote is in the files afterwards.
 *
 * Runs in the build folder: tests/system/storage. OXBOW and DISK in the environment replace ./oxbow and what
 * `./setup check` put into cache/.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/system/guest.h"

/* Seconds that bound the waits. */
#ifdef OXBOW_SANITIZED
#define BOOT 1200
#else
#define BOOT 180
#endif
#define COMMAND (BOOT / 2)

#define WORK   "tests/system/storage"
#define MIB    (1024 * 1024)
#define DISK   (64 * MIB)
#define DISC   (6 * MIB)
#define SOCKET WORK ".socket"

struct files {
    const char *oxbow, *disk;
};

/* A disk of the guest, and the file that it is. */
static const struct {
    const char *title, *file, *device;
} disks[] = {
    {"SATA", WORK ".sata", "/dev/sda"},
    {"NVMe", WORK ".nvme", "/dev/nvme1n1"},
    {"NBD", WORK ".nbd", "/dev/sdb"},
};

enum { SATA, NVME, NBD, DISKS };

static void make_file(const char *name, size_t size, bool filled)
{
    FILE *file = fopen(name, "wb");
    uint32_t seed = 7;

    if (!file)
        return;
    for (size_t n = 0; filled && n < size; n++) {
        seed = seed * 1664525 + 1013904223;
        putc((int)(seed >> 24), file);
    }
    fclose(file);
    if (!filled && truncate(name, (off_t)size))
        perror(name);
}

/* --- the server */

static bool have_nbd(const char *oxbow)
{
    char command[300];

    snprintf(command, sizeof(command), "command -v nbdkit >/dev/null && ldd '%.200s' | grep -q libnbd",
             oxbow);
    return system(command) == 0;
}

/* It listens when its file with its number is there. 0: it doesn't start. */
static pid_t start_server(void)
{
    unlink(SOCKET);
    unlink(WORK ".pid");
    pid_t pid = fork();
    if (!pid) {
        execlp("nbdkit", "nbdkit", "-f", "-P", WORK ".pid", "-U", SOCKET, "file", disks[NBD].file,
               (char *)NULL);
        _exit(1);
    }
    for (unsigned tries = 0; pid > 0 && tries < 100; tries++) {
        struct stat info;

        if (!stat(WORK ".pid", &info) && info.st_size)
            return pid;
        nanosleep(&(struct timespec){0, 100000000}, NULL);
    }
    return 0;
}

static void kill_server(pid_t pid)
{
    if (pid <= 0)
        return;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* --- the guest */

static bool log_in(struct tap *tap, struct drive *drive)
{
    bool there = guest_log_in(drive, BOOT);

    if (!tap_ok(tap, there, "firmware and Debian boot from NVMe to a login"))
        tap_note("what was printed", drive->text);
    return there;
}

/* Runs a command in the guest; its output must have `expected`, or be empty if that is NULL. */
static bool guest(struct tap *tap, struct drive *drive, const char *title, const char *name,
                  const char *expected, const char *command)
{
    char *output;
    int status = drive_command(drive, command, &output, COMMAND);
    bool passed = status >= 0 && (expected ? strstr(output, expected) != NULL : !*output);

    if (!tap_ok(tap, passed, "%s: %s", title, name))
        tap_note("it printed", output ? output : "(nothing in time)");
    free(output);
    return passed;
}

/* Fills 32 MiB, some in large pieces and some in small ones at once, and reads them back from the disk. */
static void check_disk(struct tap *tap, struct drive *drive, const char *title, const char *device)
{
    char command[900];

    snprintf(
        command, sizeof(command),
        "head -c 32M /dev/urandom >data; "
        "dd if=data of=%s bs=1M count=16 oflag=direct 2>/dev/null; "
        "for n in 0 1 2 3; do dd if=data of=%s bs=4k skip=$((4096 + n * 1024)) seek=$((4096 + n * 1024)) "
        "count=1024 oflag=direct 2>/dev/null & done; wait; sync; "
        "dd if=%s bs=256k count=128 iflag=direct 2>/dev/null | cmp - data && echo same",
        device, device, device);
    guest(tap, drive, title, "what is written is read", "same\n", command);
}

static void check_discard(struct tap *tap, struct drive *drive, unsigned n)
{
    struct stat before = {0}, after = {0};
    char command[200];

    stat(disks[n].file, &before);
    snprintf(command, sizeof(command), "blkdiscard -o 8M -l 16M %s && echo discarded", disks[n].device);
    if (!guest(tap, drive, disks[n].title, "blocks are discarded", "discarded\n", command))
        return;
    stat(disks[n].file, &after);
    if (!tap_ok(tap, before.st_blocks - after.st_blocks >= 15 * MIB / 512, "%s: the host has the space back",
                disks[n].title))
        printf("# from %lld to %lld blocks\n", (long long)before.st_blocks, (long long)after.st_blocks);
}

/* The server goes in the midst of writes. */
static void check_server(struct tap *tap, struct drive *drive, pid_t *server)
{
    static const char writes[] =
        "head -c 48M /dev/urandom >data; (dd if=data of=/dev/sdb bs=64k oflag=direct 2>/dev/null; "
        "sync; echo writ'ten') &\n";

    drive_send(drive, writes);
    for (unsigned times = 0; times < 2; times++) {
        struct stat before, now = {0};

        /* Until it has written some. */
        stat(disks[NBD].file, &before);
        for (unsigned tries = 0; tries < 300; tries++) {
            drive_listen(drive, 0.1);
            stat(disks[NBD].file, &now);
            if (now.st_mtim.tv_nsec != before.st_mtim.tv_nsec || now.st_mtim.tv_sec != before.st_mtim.tv_sec)
                break;
        }
        kill_server(*server);
        drive_listen(drive, 0.5);
        *server = start_server();
    }
    if (!tap_ok(tap, drive_expect(drive, "written", COMMAND), "NBD: writes go on when the server is back"))
        tap_note("what was printed", drive->text);
    guest(tap, drive, "NBD", "nothing is lost", "same\n",
          "dd if=/dev/sdb bs=256k count=192 iflag=direct 2>/dev/null | cmp - data && echo same");
}

/* The same sum in the guest and of the file. */
static void check_sum(struct tap *tap, struct drive *drive, const char *title, const char *file,
                      const char *device)
{
    char command[300], sum[65] = "";

    snprintf(command, sizeof(command), "sha256sum '%s'", file);
    FILE *sums = popen(command, "r");
    if (sums && fread(sum, 1, 64, sums) != 64)
        strcpy(sum, "(unknown)");
    if (sums)
        pclose(sums);
    snprintf(command, sizeof(command), "sha256sum %s", device);
    guest(tap, drive, title, "the guest reads what the file has", sum, command);
}

static void session(struct tap *tap, const struct files *files)
{
    pid_t server = have_nbd(files->oxbow) ? start_server() : 0;
    char root[4200];
    const char *argv[] = {files->oxbow,
                          "--headless",
                          "--disk",
                          root,
                          "--disk",
                          WORK ".sata,if=ahci",
                          "--disk",
                          WORK ".nvme,if=nvme",
                          "--cdrom",
                          WORK ".disc,if=ahci",
                          server > 0 ? "--disk" : NULL,
                          "nbd+unix:///?socket=" SOCKET ",if=ahci",
                          NULL};
    struct drive drive;

    snprintf(root, sizeof(root), "%s,snapshot,if=nvme", files->disk);
    if (!tap_ok(tap, drive_start(&drive, argv, drive_has_terminal()), "Oxbow starts") ||
        !log_in(tap, &drive)) {
        drive_free(&drive);
        kill_server(server);
        return;
    }
    guest(tap, &drive, "NVMe", "the root is there", "/dev/nvme0n1p1 ext4 rw",
          "findmnt -nro SOURCE,FSTYPE,OPTIONS /");
    guest(tap, &drive, "SATA", "commands are queued", "32\n", "cat /sys/block/sda/device/queue_depth");
    guest(tap, &drive, "both", "interrupts are messages", "2\n",
          "grep -cE 'PCI-MSI.*(ahci|nvme0q0)' /proc/interrupts");
    for (unsigned n = 0; n < (server > 0 ? DISKS : NBD); n++) {
        check_disk(tap, &drive, disks[n].title, disks[n].device);
        check_discard(tap, &drive, n);
    }
    check_sum(tap, &drive, "SATA disc", WORK ".disc", "/dev/sr0");
    guest(tap, &drive, "NVMe", "a reset of the controller", "live\n",
          "echo 1 >/sys/class/nvme/nvme1/reset_controller; cat /sys/class/nvme/nvme1/state");
    check_disk(tap, &drive, "NVMe after it", disks[NVME].device);
    guest(
        tap, &drive, "SATA", "a disk is taken out and found again", "found\n",
        "host=$(readlink /sys/block/sda | grep -o 'host[0-9]*' | head -n 1); echo 1 "
        ">/sys/block/sda/device/delete; "
        "echo '- - -' >/sys/class/scsi_host/$host/scan; "
        "n=0; until ls /sys/class/scsi_host/$host/device/target*/*/block >/dev/null 2>&1 || [ $n = 100 ]; do "
        "sleep 0.1; n=$((n + 1)); done; [ $n = 100 ] || echo found");
    if (server > 0)
        check_server(tap, &drive, &server);
    else
        tap_skip(tap, "an NBD server that goes and comes back", "no nbdkit, or built without libnbd");
    guest(tap, &drive, "all", "the kernel saw no error", NULL,
          "dmesg | grep -iE 'ata[0-9.]+: .*(exception|error|fail)|nvme.*(timeout|abort|error)|I/O "
          "error|BUG:|WARNING:'");
    check_sum(tap, &drive, "NVMe at the end", disks[NVME].file, disks[NVME].device);
    drive_send(&drive, "poweroff\n");
    tap_ok(tap, drive_wait(&drive, COMMAND) == 0, "poweroff: exit status 0");
    drive_free(&drive);
    kill_server(server);
}

int main(void)
{
    struct files files = {getenv("OXBOW"), getenv("DISK")};
    struct tap tap = {0};

#ifdef __SANITIZE_THREAD__
    return tap_skip_all("with ThreadSanitizer it takes too long");
#endif
    if (!files.oxbow)
        files.oxbow = "./oxbow";
    if (!files.disk)
        files.disk = "cache/debian.img";
    if (access(files.disk, R_OK))
        return tap_skip_all("no Debian disk to boot; ./setup check makes one, or says why it can't");
    for (unsigned n = 0; n < DISKS; n++)
        make_file(disks[n].file, DISK, false);
    make_file(WORK ".disc", DISC, true);
    session(&tap, &files);
    for (unsigned n = 0; n < DISKS; n++)
        unlink(disks[n].file);
    unlink(WORK ".disc");
    unlink(SOCKET);
    unlink(WORK ".pid");
    return tap_done(&tap);
}
