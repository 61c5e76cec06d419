/*
 * test_qemu_arguments.c - QEMU's command line as our options.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "machine/qemu_arguments.h"
#include "machine/qemu_list.h"

#define WORDS_MAX 24

struct reading {
    struct options options;
    char *notes, why[400];
    size_t notes_size;
    bool good;
};

/* `line`'s words become the arguments; none of them has a blank in it. */
static void read_line(struct reading *r, const char *line)
{
    char *copy = strdup(line), *rest, *words[WORDS_MAX + 1] = {(char *)"qemu"};
    int count = 1;

    for (char *word = strtok_r(copy, " ", &rest); word && count < WORDS_MAX;
         word = strtok_r(NULL, " ", &rest))
        words[count++] = word;
    *r = (struct reading){.notes = NULL};
    FILE *notes = open_memstream(&r->notes, &r->notes_size);
    options_init(&r->options);
    r->good = qemu_arguments_read(&r->options, count, words, notes, r->why, sizeof(r->why));
    fclose(notes);
    free(copy);
}

static void done(struct reading *r)
{
    options_free(&r->options);
    free(r->notes);
}

static void refused(const char *line, const char *why)
{
    struct reading r;

    read_line(&r, line);
    ck_assert_msg(!r.good, "%s was taken", line);
    ck_assert_msg(strstr(r.why, why), "%s: \"%s\" has no \"%s\"", line, r.why, why);
    done(&r);
}

static void noted(const char *line, const char *note)
{
    struct reading r;

    read_line(&r, line);
    ck_assert_msg(r.good, "%s: %s", line, r.why);
    ck_assert_msg(strstr(r.notes, note), "%s: \"%s\" has no \"%s\"", line, r.notes, note);
    done(&r);
}

START_TEST(lists)
{
    struct qemu_list list;

    ck_assert(qemu_list_read(&list, "a,,b,c=d,,e,f,nog,c=2", "file"));
    ck_assert_str_eq(qemu_list_get(&list, "file"), "a,b");
    ck_assert_str_eq(qemu_list_unused(&list), "c");
    ck_assert_str_eq(qemu_list_get(&list, "c"), "2");
    ck_assert(qemu_list_is_on(&list, "f", false));
    ck_assert(!qemu_list_is_on(&list, "g", true));
    ck_assert(qemu_list_is_on(&list, "h", true));
    ck_assert_ptr_null(qemu_list_unused(&list));
    qemu_list_free(&list);

    ck_assert(qemu_list_read(&list, "", "file"));
    ck_assert_str_eq(qemu_list_get(&list, "file"), "");
    qemu_list_free(&list);
    ck_assert(
        !qemu_list_read(&list, "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v,w,x,y,z,1,2,3,4,5,6,7", NULL));
    qemu_list_free(&list);
}
END_TEST

START_TEST(kernels)
{
    struct reading r;

    read_line(&r, "-kernel k.elf -initrd i.gz -append console=ttyS0 -m 1G -nographic -no-reboot "
                  "-device isa-debug-exit,iobase=0xf4,iosize=0x04 -nodefaults -name x -rtc base=utc");
    ck_assert_msg(r.good, "%s", r.why);
    ck_assert_str_eq(r.options.kernel, "k.elf");
    ck_assert_str_eq(r.options.initrd, "i.gz");
    ck_assert_str_eq(r.options.append, "console=ttyS0");
    ck_assert_uint_eq(r.options.memory, 1ull << 30);
    ck_assert_str_eq(r.options.display, "none");
    ck_assert_uint_eq(r.options.serials, 1);
    ck_assert_str_eq(r.options.serial[0], "stdio");
    ck_assert(r.options.no_reboot);
    ck_assert_int_eq(r.options.exit_port, 0xF4);
    ck_assert_str_eq(r.notes, "");
    done(&r);

    read_line(&r, "--kernel k.elf");
    ck_assert_msg(r.good, "%s", r.why);
    ck_assert_uint_eq(r.options.memory, 128ull << 20);
    ck_assert_str_eq(r.options.serial[0], "none");
    ck_assert_int_eq(r.options.exit_port, -1);
    done(&r);
    read_line(&r, "-device isa-debug-exit -kernel k");
    ck_assert_int_eq(r.options.exit_port, 0x501);
    done(&r);
}
END_TEST

START_TEST(drives)
{
    struct reading r;

    read_line(
        &r, "-drive if=none,id=root,file=a.img,format=raw -hdb b.img -cdrom c.iso -fda d.img -boot "
            "order=dc,menu=on "
            "-device ide-hd,drive=root,bus=ide.0 -drive file=e,,f.img,readonly=on,if=ide,index=3,media=disk");
    ck_assert_msg(r.good, "%s", r.why);
    ck_assert_uint_eq(r.options.disks, 3);
    ck_assert_str_eq(r.options.disk[0].path, "a.img");
    ck_assert(!r.options.disk[0].read_only && !r.options.disk[0].snapshot);
    ck_assert_str_eq(r.options.disk[1].path, "b.img");
    ck_assert_str_eq(r.options.disk[2].path, "e,f.img");
    ck_assert(r.options.disk[2].read_only);
    ck_assert_uint_eq(r.options.discs, 1);
    ck_assert_str_eq(r.options.cdrom[0].path, "c.iso");
    ck_assert_uint_eq(r.options.floppies, 1);
    ck_assert_str_eq(r.options.floppy[0].path, "d.img");
    ck_assert_str_eq(r.options.boot, "dc");
    ck_assert(r.options.boot_menu);
    done(&r);

    read_line(&r,
              "-snapshot os.img -drive file=x.iso,media=cdrom -drive if=none,id=spare,file=s.img -boot c");
    ck_assert_msg(r.good, "%s", r.why);
    ck_assert_uint_eq(r.options.disks, 1);
    ck_assert_str_eq(r.options.disk[0].path, "os.img");
    ck_assert(r.options.disk[0].snapshot);
    ck_assert_str_eq(r.options.cdrom[0].path, "x.iso");
    ck_assert_str_eq(r.options.boot, "c");
    done(&r);

    read_line(&r, "-drive file=a.q,if=virtio,format=qcow2 -drive if=none,id=n,file=b -device nvme,drive=n");
    ck_assert_msg(r.good, "%s", r.why);
    ck_assert_uint_eq(r.options.disks, 2);
    ck_assert_str_eq(r.options.disk[0].path, "a.q");
    ck_assert_str_eq(r.options.disk[0].format, "qcow2");
    ck_assert_int_eq(r.options.disk[0].interface, DRIVE_VIRTIO);
    ck_assert_str_eq(r.options.disk[1].path, "b");
    ck_assert_int_eq(r.options.disk[1].interface, DRIVE_NVME);
    done(&r);

    noted("-drive file=x,if=scsi,format=raw", "there is no scsi here yet; the disk is an IDE disk");
    refused("-drive if=pflash,file=OVMF.fd,format=raw", "UEFI");
    refused("-drive format=raw", "say which file");
    refused("-device virtio-blk-pci,drive=root", "no drive \"root\"");
}
END_TEST

START_TEST(streams)
{
    struct reading r;

    read_line(&r, "-display none -serial mon:stdio -serial file:com2 -serial unix:/tmp/s,server=on,wait=off "
                  "-debugcon chardev:d -chardev socket,path=dbg,server=on,id=d -parallel null -monitor none");
    ck_assert_msg(r.good, "%s", r.why);
    ck_assert_uint_eq(r.options.serials, 3);
    ck_assert_str_eq(r.options.serial[0], "stdio");
    ck_assert_str_eq(r.options.serial[1], "file:com2");
    ck_assert_str_eq(r.options.serial[2], "unix:/tmp/s");
    ck_assert_str_eq(r.options.debugcon, "unix:dbg");
    ck_assert_str_eq(r.options.parallel, "none");
    done(&r);
    read_line(&r, "-chardev file,id=log,path=out.txt -device isa-debugcon,iobase=0x402,chardev=log");
    ck_assert_msg(r.good, "%s", r.why);
    ck_assert_str_eq(r.options.debugcon, "file:out.txt");
    done(&r);
    refused("-serial chardev:x", "no -chardev with id=x");
    refused("-serial tcp::4444,server", "there is no \"tcp::4444,server\" here; use stdio");
    refused("-chardev udp,id=x -serial chardev:x", "only stdio");
}
END_TEST

START_TEST(debuggers)
{
    struct reading r;

    read_line(&r, "-s -S -qmp unix:/tmp/q,server=on,wait=off -monitor unix:/tmp/m,server,nowait -kernel k");
    ck_assert_msg(r.good, "%s", r.why);
    ck_assert_str_eq(r.options.gdb, "1234");
    ck_assert(r.options.wait_gdb);
    ck_assert_str_eq(r.options.control, "unix:/tmp/q");
    ck_assert_str_eq(r.options.monitor, "unix:/tmp/m");
    done(&r);
    read_line(&r, "-gdb tcp:0.0.0.0:4321 -monitor none");
    ck_assert_msg(r.good, "%s", r.why);
    ck_assert_str_eq(r.options.gdb, "0.0.0.0:4321");
    ck_assert_ptr_null(r.options.monitor);
    done(&r);
    refused("-gdb stdio", "use tcp::PORT or unix:PATH");
    refused("-qmp stdio", "use unix:PATH");
    noted("-monitor telnet::55,server,nowait", "can't be reached so");
}
END_TEST

START_TEST(processors)
{
    struct reading r;

    read_line(&r, "-cpu Haswell,+avx,-sse3,pcid=off -machine pc,accel=tcg -smp 1");
    ck_assert_msg(r.good, "%s", r.why);
    ck_assert_str_eq(r.options.cpu, "v3,+avx,-sse3,-pcid");
    ck_assert(!strcmp(r.options.accel, "jit") || !strcmp(r.options.accel, "interp"));
    done(&r);
    read_line(&r, "-enable-kvm -cpu host -M q35");
    ck_assert_msg(r.good, "%s", r.why);
    ck_assert_str_eq(r.options.cpu, "host");
    ck_assert_str_eq(r.options.accel, "auto");
    ck_assert_ptr_nonnull(strstr(r.notes, "no q35 yet"));
    done(&r);
    noted("-smp 4,sockets=2", "runs one processor");
    refused("-accel xen", "choose from tcg and kvm");
    refused("-M microvm", "no board \"microvm\"");
    refused("-m lots", "is not a size");
}
END_TEST

START_TEST(virtio_devices)
{
    struct reading r;

    read_line(&r, "-device virtio-rng-pci -device virtio-balloon-pci,id=b -device virtio-serial-pci "
                  "-chardev pty,id=c -device virtconsole,chardev=c -chardev file,id=f,path=out "
                  "-device virtserialport,chardev=f,name=org.x -device virtio-tablet-pci -kernel k");
    ck_assert_msg(r.good, "%s", r.why);
    ck_assert_uint_eq(r.options.devices, 5);
    ck_assert_int_eq(r.options.device[0].kind, DEVICE_RNG);
    ck_assert_int_eq(r.options.device[1].kind, DEVICE_BALLOON);
    ck_assert_str_eq(r.options.device[2].to, "pty");
    ck_assert_str_eq(r.options.device[3].name, "org.x");
    ck_assert_str_eq(r.options.device[3].to, "file:out");
    ck_assert_int_eq(r.options.device[4].kind, DEVICE_TABLET);
    done(&r);
    refused("-device virtconsole,chardev=none -kernel k", "no -chardev with id=none");
}
END_TEST

START_TEST(networks)
{
    static const uint8_t mac[6] = {0x52, 0x54, 0, 1, 2, 3};
    struct reading r;

    read_line(&r, "-nic user,model=e1000,id=n0,mac=52:54:00:01:02:03,hostfwd=tcp:127.0.0.1:2222-:22,"
                  "hostfwd=udp:0.0.0.0:53-10.0.2.15:53,restrict=on,hostname=box -nic user");
    ck_assert_msg(r.good, "%s", r.why);
    ck_assert_str_eq(r.notes, "");
    ck_assert_uint_eq(r.options.nets, 2);
    ck_assert_uint_eq(r.options.net[0].forwards, 2);
    ck_assert(r.options.net[0].restricted && !r.options.net[1].restricted);
    ck_assert_mem_eq(r.options.net[0].mac, mac, 6);
    ck_assert_str_eq(r.options.net[0].hostname, "box");
    done(&r);
    read_line(&r, "-device virtio-net-pci,netdev=n1,mac=52:54:00:01:02:03 -netdev user,id=n1,hostfwd=tcp::8080-:80");
    ck_assert_msg(r.good, "%s", r.why);
    ck_assert_str_eq(r.options.net[0].model, "virtio-net");
    ck_assert_ptr_nonnull(strstr(r.notes, "for this host alone"));
    ck_assert_uint_eq(r.options.nets, 1);
    ck_assert_uint_eq(r.options.net[0].forward[0].host_port, 8080);
    ck_assert_mem_eq(r.options.net[0].mac, mac, 6);
    done(&r);
    read_line(&r, "-net nic,model=e1000,macaddr=52:54:00:01:02:03 -net user,net=10.5.0.0/16");
    ck_assert_msg(r.good, "%s", r.why);
    ck_assert_uint_eq(r.options.nets, 1);
    ck_assert_uint_eq(r.options.net[0].network, 0x0A050000);
    ck_assert_mem_eq(r.options.net[0].mac, mac, 6);
    done(&r);
    for (unsigned n = 0; n < 4; n++) {
        static const char *const none[] = {"-nic none", "-net none", "-nodefaults", "-netdev user,id=nobody"};
        read_line(&r, none[n]);
        ck_assert_msg(r.good && !r.options.nets && r.options.no_net, "%s", none[n]);
        done(&r);
    }
    read_line(&r, "-kernel k");
    ck_assert(r.good && !r.options.nets && !r.options.no_net); /* the usual card */
    done(&r);
    noted("-nic bridge,br=br0", "a user network stands in");
    noted("-nic user,model=pcnet", "an e1000 stands in");
    read_line(&r, "-nic tap,ifname=tap0,script=no,downscript=/down,model=virtio -nic user,model=rtl8139 "
                  "-device ne2k_isa,netdev=s,iobase=0x320,irq=5 "
                  "-netdev stream,id=s,addr.type=unix,addr.path=/tmp/s,server=on");
    ck_assert_msg(r.good, "%s", r.why);
    ck_assert_uint_eq(r.options.nets, 3);
    ck_assert_int_eq(r.options.net[0].kind, NET_TAP);
    ck_assert_str_eq(r.options.net[0].ifname, "tap0");
    ck_assert_ptr_null(r.options.net[0].script);
    ck_assert_str_eq(r.options.net[0].downscript, "/down");
    ck_assert_str_eq(r.options.net[0].model, "virtio-net");
    ck_assert_str_eq(r.options.net[1].model, "rtl8139");
    ck_assert_int_eq(r.options.net[2].kind, NET_SOCKET);
    ck_assert_str_eq(r.options.net[2].path, "/tmp/s");
    ck_assert_str_eq(r.options.net[2].model, "ne2k_isa");
    ck_assert_uint_eq(r.options.net[2].iobase, 0x320);
    ck_assert_uint_eq(r.options.net[2].irq, 5);
    done(&r);
    refused("-device e1000,netdev=n7", "no -netdev with id=n7");
    refused("-nic user,hostfwd=80", "is not a forward");
}
END_TEST

START_TEST(what_is_not_here)
{
    refused("-kernal k", "the nearest is -kernel");
    refused("-frob", "there is no -frob here; oxbow qemu --help");
    refused("-kernel", "needs a value, FILE");
    refused("-daemonize", "foreground");
    noted("-device qemu-xhci -kernel k", "no such device here; the machine goes without it");
    noted("-device VGA,vgamem_mb=32 -kernel k", "\"vgamem_mb\" makes no difference here");
}
END_TEST

START_TEST(help_names_every_option)
{
    char *help = NULL;
    size_t size;
    FILE *out = open_memstream(&help, &size);

    qemu_arguments_print_help(out);
    fclose(out);
    ck_assert_ptr_nonnull(strstr(help, "\n  -kernel FILE\n"));
    ck_assert_ptr_nonnull(strstr(help, "\n  -vnc WHERE: there is no VNC here\n"));
    ck_assert_ptr_null(strstr(help, "-daemonize"));
    free(help);
}
END_TEST

Suite *qemu_arguments_suite(void)
{
    Suite *suite = suite_create("qemu_arguments");
    TCase *tests = tcase_create("qemu_arguments");

    tcase_add_test(tests, lists);
    tcase_add_test(tests, kernels);
    tcase_add_test(tests, drives);
    tcase_add_test(tests, streams);
    tcase_add_test(tests, debuggers);
    tcase_add_test(tests, processors);
    tcase_add_test(tests, virtio_devices);
    tcase_add_test(tests, networks);
    tcase_add_test(tests, what_is_not_here);
    tcase_add_test(tests, help_names_every_option);
    suite_add_tcase(suite, tests);
    return suite;
}
