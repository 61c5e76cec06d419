/*
 * virtio.c - virtio devices with Linux's drivers: a disk is written and read, flushed and discarded, named
 * ports and a console lead to files, the host's randomness comes, a balloon takes memory and gives it back,
 * keys and an absolute pointer arrive. Once as the drivers want it, packed rings and all, and once through
 * the legacy interface. Then Debian boots from a virtio disk through the firmware.
 *
 * Runs in the build folder: tests/system/virtio. OXBOW and CACHE in the environment replace ./oxbow and where
 * `./setup check` puts kernels and disks; srcdir is where the sources are.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/system/guest.h"

/* Seconds that bound the waits. */
#ifdef OXBOW_SANITIZED
#define BOOT 1200
#else
#define BOOT 240
#endif
#define COMMAND (BOOT / 2)

#define WORK    "tests/system/virtio"
#define CONTROL WORK "/control"
#define DISK    WORK "/disk.img"
#define DISK_MB 64
#define INITRD  WORK "/initrd.gz"
#define PROMPT  "oxbow# "

/* Waits in the guest, in tenths of a second, until a shell condition holds. */
#define UNTIL(condition)                                                                                     \
    "n=0; while ! { " condition "; } && [ $n -lt 600 ]; do sleep 0.1; n=$((n + 1)); done; "

struct site {
    const char *oxbow, *cache, *source;
};

/* --- this host's side */

/* Runs a shell command; true if it ends with status 0. */
static bool host(const char *format, ...) __attribute__((format(printf, 1, 2)));
static bool host(const char *format, ...)
{
    char command[1200];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(command, sizeof(command), format, arguments);
    va_end(arguments);
    fflush(stdout);
    return system(command) == 0;
}

/* A RAM disk with the drivers behind the one with a shell. */
static bool make_initrd(const struct site *site)
{
    return host("rm -rf %s && mkdir -p %s/tree && . %s/tests/system/modules.sh && "
                "add_modules %s/kernel %s/tree/modules virtio_pci virtio_blk virtio_rng virtio_console "
                "virtio_balloon virtio_input evdev && test -s %s/tree/modules/order && "
                "(cd %s/tree && find . | cpio --quiet -o -H newc -R 0:0) | gzip -1 >%s/modules.gz && "
                "cat %s/initrd.gz %s/modules.gz >%s",
                WORK, WORK, site->source, site->cache, WORK, WORK, WORK, WORK, site->cache, WORK, INITRD);
}

/* The same, again and again until it is true, for a minute at most. */
static bool soon(const char *condition)
{
    return host("n=0; until %s; do [ $n -lt 600 ] || exit 1; n=$((n + 1)); sleep 0.1; done", condition);
}

static bool control(const struct site *site, const char *command)
{
    return host("timeout %d %s ctl %s %s >%s/answer 2>&1", COMMAND, site->oxbow, CONTROL, command, WORK);
}

/* Whether the monitor soon says this of the balloon; each time, the guest is asked again. */
static bool says(const struct site *site, const char *pattern)
{
    char condition[600];

    snprintf(condition, sizeof(condition), "timeout %d %s ctl %s info balloon | grep -q '%s'", COMMAND,
             site->oxbow, CONTROL, pattern);
    return soon(condition);
}

/* Resident pages of guest memory, in KiB. */
static long resident(pid_t pid)
{
    char path[64], line[200];
    long memory = -1;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, "RssShmem: %ld", &memory) == 1)
            break;
    if (file)
        fclose(file);
    return memory;
}

/* --- one guest */

static bool start(struct tap *tap, struct drive *drive, const struct site *site, bool legacy)
{
    char kernel[300];
    const char *argv[] = {site->oxbow, "--headless",
                          "-m",        "256M",
                          "--kernel",  kernel,
                          "--initrd",  INITRD,
                          "--append",  "console=ttyS0 quiet",
                          "--net",     "none",
                          "--disk",    DISK ",if=virtio,queues=2",
                          "--disk",    WORK "/fixed.img,if=virtio,readonly",
                          "--device",  "virtio-rng",
                          "--device",  "virtio-console,to=file:" WORK "/console",
                          "--device",  "virtio-port,name=org.example.log,to=file:" WORK "/port",
                          "--device",  "virtio-balloon",
                          "--device",  "virtio-keyboard",
                          "--device",  "virtio-tablet",
                          "--device",  "virtio-mouse",
                          "--log",     "error,warn,guest",
                          "--control", "unix:" CONTROL,
                          NULL};
    bool there;
    char *output;

    snprintf(kernel, sizeof(kernel), "%s/vmlinuz", site->cache);
    if (!host("rm -f %s %s/console %s/port && truncate -s %dM %s %s/fixed.img", DISK, WORK, WORK, DISK_MB,
              DISK, WORK))
        return false;
    there = drive_start(drive, argv, drive_has_terminal()) && drive_expect(drive, PROMPT, BOOT) &&
            !drive_command(drive, "dmesg -n 1", &output, COMMAND);
    if (!tap_ok(tap, there, "%s: a kernel with its drivers", legacy ? "legacy" : "modern"))
        tap_note("what was printed", drive->text);
    return there;
}

static void test_disk(struct tap *tap, struct drive *drive, bool legacy)
{
    const char *way = legacy ? "legacy" : "modern";
    char name[100];

    guest_test(
        tap, drive, "all drivers find their devices", "blk 2\n", COMMAND,
        "cd /modules; while read m; do case $m in virtio_pci.ko) insmod $m force_legacy=%d;; *) insmod $m;; "
        "esac || echo no $m; done <order; cd; " UNTIL("[ -e /dev/vda ] && [ -e /dev/vdb ] && [ -e /dev/hvc0 "
                                                      "]") ""
                                                           "for d in blk rng console balloon input; do echo "
                                                           "$d $(ls -d "
                                                           "/sys/bus/virtio/drivers/virtio_$d/virtio* | wc "
                                                           "-l); done; ls /sys/bus/virtio/drivers/*",
        legacy);
    snprintf(name, sizeof(name), "%s: bit 32 of the features says so", way);
    guest_test(tap, drive, name, legacy ? "0\n" : "1\n", COMMAND, "cut -c33 /sys/block/vda/device/features");
    snprintf(name, sizeof(name), "%s: packed rings", way);
    guest_test(tap, drive, name, legacy ? "0\n" : "1\n", COMMAND, "cut -c35 /sys/block/vda/device/features");
    guest_test(tap, drive, "the disk's size and name", "131072 OXV00000001\n", COMMAND,
               "echo $(cat /sys/block/vda/size) $(cat /sys/block/vda/serial)");
    guest_test(tap, drive, "what is written is read", "same\n", COMMAND,
               "dd if=/dev/urandom of=/tmp/a bs=64k count=400 2>/dev/null; "
               "dd if=/tmp/a of=/dev/vda bs=64k conv=fsync 2>/dev/null; echo 3 >/proc/sys/vm/drop_caches; "
               "dd if=/dev/vda bs=64k count=400 2>/dev/null | cmp - /tmp/a && echo same");
    guest_test(tap, drive, "in small pieces, too", "same\n", COMMAND,
               "dd if=/tmp/a of=/dev/vda bs=512 seek=61440 count=3000 conv=fsync 2>/dev/null; "
               "echo 3 >/proc/sys/vm/drop_caches; "
               "dd if=/dev/vda bs=512 skip=61440 count=3000 2>/dev/null >/tmp/b; cmp -n 1536000 /tmp/a "
               "/tmp/b && echo same");
    guest_test(
        tap, drive, "the other disk can't be written", "1 refused\n", COMMAND,
        "echo $(cat /sys/block/vdb/ro) $(dd if=/tmp/a of=/dev/vdb count=1 2>/dev/null || echo refused)");
    if (!legacy)
        guest_test(tap, drive, "a discarded part reads as zeroes", "0\n", COMMAND,
                   "blkdiscard -o 1048576 -l 1048576 /dev/vda && echo 3 >/proc/sys/vm/drop_caches; "
                   "dd if=/dev/vda bs=1M skip=1 count=1 2>/dev/null | tr -d '\\0' | wc -c");
    guest_test(tap, drive, "randomness", "virtio_rng.0 32\n", COMMAND,
               "echo $(cat /sys/class/misc/hw_random/rng_current) $(dd if=/dev/hwrng bs=1 count=32 "
               "2>/dev/null | wc -c)");
}

static void test_streams(struct tap *tap, struct drive *drive)
{
    guest_test(tap, drive, "a console and a named port", "org.example.log\n", COMMAND,
               "echo to the console >/dev/hvc0; "
               "p=$(grep -l . /sys/class/virtio-ports/*/name | head -n 1); cat $p; "
               "d=$(basename $(dirname $p)); echo to the port >/dev/$d");
    tap_ok(tap, soon("grep -q 'to the console' " WORK "/console"), "the console's bytes are here");
    tap_ok(tap, soon("grep -q 'to the port' " WORK "/port"), "the port's bytes are here");
}

static void test_balloon(struct tap *tap, struct drive *drive, const struct site *site)
{
    long before, after;

    /* Memory that was used and is free again, so the host has given it. */
    guest_test(tap, drive, "memory is used", "60\n", COMMAND,
               "dd if=/dev/zero of=/tmp/c bs=1M count=60 2>/dev/null; echo $(($(stat -c %%s /tmp/c) / "
               "1048576)); rm /tmp/c");
    before = resident(drive->pid);
    tap_ok(tap, control(site, "balloon 136"), "the host wants memory back");
    guest_test(tap, drive, "the guest gives it", "less\n", COMMAND,
               UNTIL("[ $(awk '/MemAvailable/ { print $2 }' /proc/meminfo) -lt 100000 ]") "[ $n -lt 600 ] && "
                                                                                          "echo less");
    after = resident(drive->pid);
    printf("# guest memory on the host: %ld KiB before, %ld KiB after\n", before, after);
    tap_ok(tap, before - after > 40 * 1024, "the host has it again");
    tap_ok(tap, says(site, "actual=136"), "the monitor says so");
    tap_ok(tap, control(site, "balloon value=268435456"), "the guest may have it again");
    guest_test(tap, drive, "it takes it", "more\n", COMMAND,
               UNTIL("[ $(awk '/MemAvailable/ { print $2 }' /proc/meminfo) -gt 130000 ]") "[ $n -lt 600 ] && "
                                                                                          "echo more");
    tap_ok(tap, control(site, "query-balloon") && host("grep -q 268435456 %s/answer", WORK), "QMP says so");
    tap_ok(tap, says(site, "free_mem=[1-9]"), "the guest has statistics");
}

/* `count` events of a device, as bytes of struct input_event behind its time: type, code, value. */
static void test_events(struct tap *tap, struct drive *drive, const struct site *site, const char *name,
                        const char *device, const char *command, int count, const char *expected)
{
    char *output;

    drive_command(drive, "killall dd 2>/dev/null; rm -f /tmp/events", &output, COMMAND);
    free(output);
    /* The event device with that name, by /proc/bus/input/devices. */
    guest_test(
        tap, drive, name, "reads\n", COMMAND,
        "e=$(grep -A 4 '%s' /proc/bus/input/devices | sed -n 's/.*Handlers=.*\\(event[0-9]*\\).*/\\1/p'); "
        "dd if=/dev/input/$e bs=24 of=/tmp/events 2>/dev/null & " UNTIL(
            "ls -l /proc/$!/fd | grep -q event") "echo reads",
        device);
    tap_ok(tap, control(site, command), "%s: sent", name);
    guest_test(tap, drive, name, expected, COMMAND,
               UNTIL("[ $(stat -c %%s /tmp/events) -ge %d ]") "od -An -v -tx1 -w24 /tmp/events | cut -c49-; "
                                                              "killall dd",
               count * 24);
}

static void test_input(struct tap *tap, struct drive *drive, const struct site *site)
{
    test_events(tap, drive, site, "a key arrives", "virtio keyboard", "sendkey b", 2,
                "01 00 30 00 01 00 00 00\n");
    test_events(tap, drive, site, "an absolute place arrives", "virtio tablet",
                "input-send-event events='[{\"type\":\"abs\",\"data\":{\"axis\":\"x\",\"value\":4660}},"
                "{\"type\":\"abs\",\"data\":{\"axis\":\"y\",\"value\":22136}},"
                "{\"type\":\"btn\",\"data\":{\"button\":\"left\",\"down\":true}}]'",
                4,
                "03 00 00 00 34 12 00 00\n 03 00 01 00 78 56 00 00\n 01 00 10 01 01 00 00 00\n 00 00 00 00");
    test_events(tap, drive, site, "relative motion arrives", "virtio mouse",
                "input-send-event events='[{\"type\":\"rel\",\"data\":{\"axis\":\"x\",\"value\":-3}}]'", 2,
                "02 00 00 00 fd ff ff ff\n");
}

static void test_guest(struct tap *tap, const struct site *site, bool legacy)
{
    struct drive drive = {0};

    if (start(tap, &drive, site, legacy)) {
        test_disk(tap, &drive, legacy);
        test_streams(tap, &drive);
        if (!legacy)
            test_input(tap, &drive, site); /* there is no legacy interface for it */
        test_balloon(tap, &drive, site);
        guest_test(tap, &drive, "no complaint from the kernel", NULL, COMMAND,
                   "! dmesg | grep -E 'BUG|WARNING|Oops|Call Trace|I/O error|virtio.*(fail|error)'");
        guest_test(tap, &drive, "what is on the disk", "here\n", COMMAND,
                   "sync; dd if=/tmp/a bs=64k count=15 2>/dev/null | md5sum >/dev/hvc0; echo here");
        drive_send(&drive, "poweroff -f\n");
        tap_ok(tap, drive_wait(&drive, COMMAND) == 0, "off");
        tap_ok(tap,
               host("sum=$(head -c 983040 %s | md5sum); grep -q \"${sum%%%% *}\" %s/console", DISK, WORK),
               "the image has it, too");
        tap_ok(tap, !strstr(drive.text, "needs a reset"), "no device was broken");
    }
    drive_free(&drive);
}

/* Firmware, boot loader and kernel have a driver each. */
static void test_debian(struct tap *tap, const struct site *site)
{
    struct drive drive = {0};
    char disk[300];
    const char *argv[] = {site->oxbow, "--headless", "--net", "none", "--disk", disk, NULL};

    snprintf(disk, sizeof(disk), "%s/debian.img", site->cache);
    if (access(disk, R_OK)) {
        tap_skip(tap, "Debian from a virtio disk", "no Debian on a disk; ./setup check makes one");
        return;
    }
    strcat(disk, ",snapshot,if=virtio");
    bool there = drive_start(&drive, argv, drive_has_terminal()) && guest_log_in(&drive, BOOT);
    if (!tap_ok(tap, there, "Debian boots from a virtio disk"))
        tap_note("what was printed", drive.text);
    if (there) {
        guest_test(tap, &drive, "its root is there", "/dev/vda1 ext4 rw", COMMAND,
                   "findmnt -nro SOURCE,FSTYPE,OPTIONS /");
        guest_test(
            tap, &drive, "a file is written and read", "same\n", COMMAND,
            "dd if=/dev/urandom of=/root/a bs=1M count=40 conv=fsync 2>/dev/null; sha1sum </root/a >/root/b; "
            "echo 3 >/proc/sys/vm/drop_caches; sha1sum </root/a | cmp - /root/b && echo same");
        guest_test(tap, &drive, "free space is discarded", "/: ", COMMAND, "fstrim -v /");
        drive_send(&drive, "poweroff\n");
        tap_ok(tap, drive_wait(&drive, BOOT) == 0, "off");
    }
    drive_free(&drive);
}

int main(void)
{
    struct site site = {getenv("OXBOW"), getenv("CACHE"), getenv("srcdir")};
    struct tap tap = {0};
    char kernel[300];

    site.oxbow = site.oxbow ? site.oxbow : "./oxbow";
    site.cache = site.cache ? site.cache : "cache";
    site.source = site.source ? site.source : "..";
    snprintf(kernel, sizeof(kernel), "%s/vmlinuz", site.cache);
    if (access(kernel, R_OK))
        return tap_skip_all("no kernel; ./setup check fetches one");
    if (!make_initrd(&site))
        return tap_skip_all("no RAM disk with the kernel's modules can be made");
    test_guest(&tap, &site, false);
    test_guest(&tap, &site, true);
    test_debian(&tap, &site);
    if (!tap.failed)
        host("rm -rf %s", WORK);
    return tap_done(&tap);
}
