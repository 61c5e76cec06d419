/* test_boot.c - direct boot: what a file is, where its bytes go, what the guest is told, and how bad files
 * are refused. */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bios/boot.h"
#include "bios/bytes.h"
#include "bios/image.h"
#include "core/bus.h"

#define MIB (1u << 20)

/* A machine of two pieces of RAM: `low_size` at 0 and, optionally, 16 MiB at 4 GiB. */
struct pc {
    pthread_mutex_t lock;
    struct bus *bus;
    uint8_t *ram, *high;
    struct e820_entry e820[8];
    struct boot_request req;
    struct boot_entry entry;
    char why[256];
};

static struct pc pc;

static void build_pc(uint64_t low_size, bool high)
{
    pthread_mutexattr_t attr;
    memset(&pc, 0, sizeof pc);
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&pc.lock, &attr);
    pc.bus = bus_new("memory", 1ull << 40, &pc.lock);
    pc.ram = malloc(low_size);
    memset(pc.ram, 0xCC, low_size); /* left by whoever ran before */
    bus_map_ram(pc.bus, "ram", 0, low_size, pc.ram);
    struct e820_entry map[] = {{0, 0x9FC00, 1},
                               {0x9FC00, 0x400, 2},
                               {0xE0000, 0x20000, 2},
                               {MIB, low_size - MIB, 1},
                               {1ull << 32, 16 * MIB, 1}};
    memcpy(pc.e820, map, sizeof map);
    pc.req.e820 = pc.e820;
    pc.req.e820_count = high ? 5 : 4;
    if (high) {
        pc.high = calloc(1, 16 * MIB);
        bus_map_ram(pc.bus, "high", 1ull << 32, 16 * MIB, pc.high);
    }
    pc.req.ram_size = low_size;
    pc.req.cpus = 1;
    pc.req.kernel.name = "kernel.img";
    pc.req.initrd.name = "initrd.img";
    pc.req.rsdp = 0xE0000;
}

static void setup(void)
{
    build_pc(64 * MIB, false);
}

static void teardown(void)
{
    bus_free(pc.bus);
    free(pc.ram);
    free(pc.high);
    pthread_mutex_destroy(&pc.lock);
}

static bool load(const uint8_t *data, size_t size)
{
    pc.req.kernel.data = data;
    pc.req.kernel.size = size;
    return boot_load(pc.bus, &pc.req, &pc.entry, pc.why, sizeof pc.why);
}

static void must_load(const uint8_t *data, size_t size)
{
    ck_assert_msg(load(data, size), "refused: %s", pc.why);
}

/* The load fails, with a message that names the file `name` and contains `phrase`. */
static void must_refuse(const uint8_t *data, size_t size, const char *name, const char *phrase)
{
    ck_assert(!load(data, size));
    ck_assert_msg(strstr(pc.why, name) && strstr(pc.why, phrase), "message was: %s", pc.why);
    ck_assert(!strchr(pc.why, '\n'));
}

static const char *guest_string(uint64_t addr)
{
    ck_assert_uint_lt(addr, pc.req.ram_size);
    return (const char *)pc.ram + addr;
}

/* ---- what is it ---- */

START_TEST(kinds_by_mark)
{
    static const struct {
        size_t offset;
        const char *mark;
        size_t size;
        enum image_kind kind;
    } rows[] = {
        {0x202, "HdrS", 4, IMAGE_LINUX},          {510, "\x55\xaa", 2, IMAGE_DISK_MBR},
        {512, "EFI PART", 8, IMAGE_DISK_GPT},     {0x8001, "CD001", 5, IMAGE_ISO9660},
        {0, "QFI\xfb", 4, IMAGE_QCOW2},           {0, "KDMV", 4, IMAGE_VMDK},
        {0x40, "\x7f\x10\xda\xbe", 4, IMAGE_VDI}, {0, "vhdxfile", 8, IMAGE_VHDX},
        {0, "\x1f\x8b\x08", 3, IMAGE_GZIP},       {0, "\177ELF", 4, IMAGE_ELF},
        {100, "nothing", 7, IMAGE_UNKNOWN},
    };
    static uint8_t data[IMAGE_HEAD_SIZE];
    memset(data, 0, sizeof data);
    memcpy(data + rows[_i].offset, rows[_i].mark, rows[_i].size);
    ck_assert_int_eq(image_kind(data, sizeof data), rows[_i].kind);
    ck_assert_ptr_nonnull(image_kind_name(rows[_i].kind));
    /* Cut inside the mark, it is not recognised; ELF needs its four bytes only. */
    ck_assert_int_eq(image_kind(data, rows[_i].offset + rows[_i].size - 1), IMAGE_UNKNOWN);
    ck_assert_int_eq(image_kind(data, 0), IMAGE_UNKNOWN);
}
END_TEST

START_TEST(hybrid_iso_is_an_iso)
{
    static uint8_t data[IMAGE_HEAD_SIZE];
    memcpy(data + 510, "\x55\xaa", 2);
    ck_assert_int_eq(image_kind(data, sizeof data), IMAGE_DISK_MBR);
    memcpy(data + 0x8001, "CD001", 5);
    ck_assert_int_eq(image_kind(data, sizeof data), IMAGE_ISO9660);
}
END_TEST

static void put_multiboot1(uint8_t *p, uint32_t flags)
{
    put32(p, 0x1BADB002);
    put32(p + 4, flags);
    put32(p + 8, 0u - 0x1BADB002u - flags);
}

START_TEST(disk_with_grub_core_is_a_disk)
{
    static uint8_t data[16384];
    put_multiboot1(data + 2048, 1 << 16);
    ck_assert_int_eq(image_kind(data, sizeof data), IMAGE_MULTIBOOT1);
    memcpy(data + 510, "\x55\xaa", 2);
    ck_assert_int_eq(image_kind(data, sizeof data), IMAGE_DISK_MBR);
}
END_TEST

START_TEST(multiboot_needs_checksum_and_early_place)
{
    static uint8_t data[65536];
    memset(data, 0, sizeof data);
    put_multiboot1(data + 8192 - 12, 1 << 16);
    ck_assert_int_eq(image_kind(data, sizeof data), IMAGE_MULTIBOOT1);
    data[8192 - 1] ^= 1;
    ck_assert_int_eq(image_kind(data, sizeof data), IMAGE_UNKNOWN);
    memset(data, 0, sizeof data);
    put_multiboot1(data + 8192 - 8, 1 << 16);
    ck_assert_int_eq(image_kind(data, sizeof data), IMAGE_UNKNOWN);
}
END_TEST

START_TEST(disks_are_refused_as_kernels)
{
    static uint8_t data[1024];
    memset(data, 0, sizeof data);
    must_refuse(data, sizeof data, "kernel.img", "not a kernel that can be started");
    memcpy(data + 510, "\x55\xaa", 2);
    must_refuse(data, sizeof data, "kernel.img", "disk image");
    must_refuse(data, 0, "kernel.img", "empty");
    memcpy(data, "\x1f\x8b\x08", 3);
    must_refuse(data, sizeof data, "kernel.img", "unpack");
}
END_TEST

/* ---- Linux ---- */

#define SETUP_SIZE (3 * 512)
#define LINUX_SIZE (SETUP_SIZE + 0x10000)

/* A bzImage of protocol 2.15 with a 64-bit entry: 64 KiB of kernel that wants 4 MiB at 16 MiB. */
static uint8_t *linux_image(void)
{
    uint8_t *f = calloc(1, LINUX_SIZE);
    f[0x1F1] = 2;
    put32(f + 0x1F4, 0x1000);
    put16(f + 0x1FE, 0xAA55);
    f[0x200] = 0xEB;
    f[0x201] = 0x6A;
    memcpy(f + 0x202, "HdrS", 4);
    put16(f + 0x206, 0x20F);
    f[0x211] = 1;
    put32(f + 0x22C, 0x7FFFFFFF);
    put32(f + 0x230, 0x200000);
    f[0x234] = 1;
    put16(f + 0x236, 1);
    put32(f + 0x238, 2047);
    put64(f + 0x258, 16 * MIB);
    put32(f + 0x260, 4 * MIB);
    for (unsigned i = 0; i < 0x10000; i++)
        f[SETUP_SIZE + i] = (uint8_t)(i * 7 + (i >> 8));
    return f;
}

START_TEST(linux_64bit_entry)
{
    uint8_t *f = linux_image();
    static const uint8_t initrd[5000] = "initrd";
    pc.req.command_line = "console=ttyS0 quiet";
    pc.req.initrd.data = initrd;
    pc.req.initrd.size = sizeof initrd;
    must_load(f, LINUX_SIZE);
    ck_assert_int_eq(pc.entry.mode, BOOT_LONG64);
    ck_assert_uint_eq(pc.entry.rip, 16 * MIB + 0x200);
    ck_assert_uint_eq(pc.entry.cs, 0x10);
    ck_assert_uint_eq(pc.entry.ds, 0x18);
    ck_assert_int_eq(memcmp(pc.ram + 16 * MIB, f + SETUP_SIZE, 0x10000), 0);
    const uint8_t *bp = pc.ram + pc.entry.rsi;
    ck_assert_mem_eq(bp + 0x202, "HdrS", 4);
    ck_assert_uint_eq(bp[0x210], 0xFF);
    ck_assert_str_eq(guest_string(get32(bp + 0x228)), "console=ttyS0 quiet");
    ck_assert_uint_eq(get64(bp + 0x70), 0xE0000);
    ck_assert_uint_eq(bp[0x1E8], 4);
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_uint_eq(get64(bp + 0x2D0 + i * 20), pc.e820[i].base);
        ck_assert_uint_eq(get64(bp + 0x2D8 + i * 20), pc.e820[i].size);
        ck_assert_uint_eq(get32(bp + 0x2E0 + i * 20), pc.e820[i].type);
    }
    /* The last page-aligned place below the end of RAM. */
    ck_assert_uint_eq(get32(bp + 0x218), 64 * MIB - 8192);
    ck_assert_uint_eq(get32(bp + 0x21C), sizeof initrd);
    ck_assert_mem_eq(pc.ram + 64 * MIB - 8192, initrd, sizeof initrd);
    /* No VGA: the screen's description stays zero. */
    ck_assert_uint_eq(bp[0x0F], 0);
    free(f);
}
END_TEST

/* Walks the page tables: the whole 4 GiB maps to itself. */
START_TEST(linux_page_tables_and_gdt)
{
    uint8_t *f = linux_image();
    must_load(f, LINUX_SIZE);
    for (uint64_t va = 0; va < 1ull << 32; va += 0x7FE00000 / 5) {
        uint64_t pml4e = get64(pc.ram + pc.entry.cr3 + (va >> 39 & 511) * 8);
        uint64_t pdpte = get64(pc.ram + (pml4e & ~0xFFFull) + (va >> 30 & 511) * 8);
        uint64_t pde = get64(pc.ram + (pdpte & ~0xFFFull) + (va >> 21 & 511) * 8);
        ck_assert_uint_eq(pml4e & pdpte & pde & 3, 3);
        ck_assert_uint_eq(pde, (va & ~0x1FFFFFull) | 0x83);
    }
    ck_assert_uint_eq(get64(pc.ram + pc.entry.gdt_base + 0x10), 0x00AF9B000000FFFF);
    ck_assert_uint_eq(get64(pc.ram + pc.entry.gdt_base + 0x18), 0x00CF93000000FFFF);
    ck_assert_uint_ge(pc.entry.gdt_limit, 0x1F);
    free(f);
}
END_TEST

START_TEST(linux_32bit_entry)
{
    uint8_t *f = linux_image();
    put16(f + 0x236, 0);
    must_load(f, LINUX_SIZE);
    ck_assert_int_eq(pc.entry.mode, BOOT_FLAT32);
    ck_assert_uint_eq(pc.entry.rip, 16 * MIB);
    ck_assert_uint_eq(pc.entry.rbx | pc.entry.rdi | pc.entry.rbp, 0);
    ck_assert_mem_eq(pc.ram + pc.entry.rsi + 0x202, "HdrS", 4);
    ck_assert_uint_eq(get64(pc.ram + pc.entry.gdt_base + 0x10), 0x00CF9B000000FFFF);
    /* A kernel of protocol 2.04 has no preferred address: it goes to 1 MiB. */
    put16(f + 0x206, 0x204);
    must_load(f, LINUX_SIZE);
    ck_assert_uint_eq(pc.entry.rip, MIB);
    free(f);
}
END_TEST

START_TEST(linux_truncated)
{
    uint8_t *f = linux_image();
    must_refuse(f, LINUX_SIZE - 16, "kernel.img", "truncated"); /* up to 15 bytes are the build's rounding */
    must_refuse(f, 0x210, "kernel.img", "truncated");
    must_refuse(f, SETUP_SIZE, "kernel.img", "truncated");
    put32(f + 0x1F4, 0xFFFFFFFF);
    must_refuse(f, LINUX_SIZE, "kernel.img", "truncated");
    free(f);
}
END_TEST

START_TEST(linux_command_line_limit)
{
    uint8_t *f = linux_image();
    char line[80];
    memset(line, 'x', 65);
    line[65] = 0;
    put32(f + 0x238, 64);
    pc.req.command_line = line;
    must_refuse(f, LINUX_SIZE, "kernel.img", "--append has 65");
    line[64] = 0;
    must_load(f, LINUX_SIZE);
    free(f);
}
END_TEST

START_TEST(linux_moves_when_memory_is_small)
{
    uint8_t *f = linux_image();
    teardown();
    build_pc(12 * MIB, false);
    must_load(f, LINUX_SIZE);
    ck_assert_uint_eq(pc.entry.rip, 2 * MIB + 0x200); /* aligned to 2 MiB */
    f[0x234] = 0;
    must_refuse(f, LINUX_SIZE, "kernel.img", "-m");
    f[0x234] = 1;
    put32(f + 0x260, 11 * MIB);
    must_refuse(f, LINUX_SIZE, "kernel.img", "the machine has 12 MiB");
    free(f);
}
END_TEST

START_TEST(linux_initrd_below_its_limit)
{
    uint8_t *f = linux_image();
    static const uint8_t initrd[4096];
    pc.req.initrd.data = initrd;
    pc.req.initrd.size = sizeof initrd;
    put32(f + 0x22C, 0x2000000 - 1);
    must_load(f, LINUX_SIZE);
    ck_assert_uint_eq(get32(pc.ram + pc.entry.rsi + 0x218), 0x2000000 - 4096);
    /* The kernel's own memory (16-20 MiB) is not free for it. */
    put32(f + 0x22C, 20 * MIB - 1);
    must_load(f, LINUX_SIZE);
    ck_assert_uint_eq(get32(pc.ram + pc.entry.rsi + 0x218), 16 * MIB - 4096);
    pc.req.initrd.size = 0;
    must_refuse(f, LINUX_SIZE, "initrd.img", "empty");
    free(f);
}
END_TEST

START_TEST(linux_initrd_too_large)
{
    uint8_t *f = linux_image();
    uint8_t *initrd = calloc(1, 45 * MIB);
    pc.req.initrd.data = initrd;
    pc.req.initrd.size = 45 * MIB;
    must_refuse(f, LINUX_SIZE, "initrd.img", "does not fit");
    free(initrd);
    free(f);
}
END_TEST

START_TEST(linux_initrd_above_4g)
{
    uint8_t *f = linux_image();
    uint8_t *initrd = calloc(1, 12 * MIB);
    teardown();
    build_pc(24 * MIB, true);
    pc.req.initrd.data = initrd;
    pc.req.initrd.size = 15 * MIB + 4096;
    free(initrd);
    initrd = calloc(1, pc.req.initrd.size);
    initrd[0] = 0x77;
    pc.req.initrd.data = initrd;
    must_refuse(f, LINUX_SIZE, "initrd.img", "does not fit");
    put16(f + 0x236, 3);
    must_load(f, LINUX_SIZE);
    const uint8_t *bp = pc.ram + pc.entry.rsi;
    ck_assert_uint_eq(get32(bp + 0xC0), 1);
    ck_assert_uint_eq(get32(bp + 0x218), MIB - 4096);
    ck_assert_uint_eq(pc.high[MIB - 4096], 0x77);
    free(initrd);
    free(f);
}
END_TEST

START_TEST(linux_old_and_odd)
{
    uint8_t *f = linux_image();
    put16(f + 0x206, 0x203);
    must_refuse(f, LINUX_SIZE, "kernel.img", "too old");
    put16(f + 0x206, 0x20F);
    put32(f + 0x230, 0x300000);
    must_refuse(f, LINUX_SIZE, "kernel.img", "power of two");
    put32(f + 0x230, 0x200000);
    f[0x211] = 0;
    must_refuse(f, LINUX_SIZE, "kernel.img", "zImage");
    free(f);
}
END_TEST

/* ---- ELF ---- */

#define ELF_SIZE 0x3000

/* ELF64 with a PT_LOAD: file 0x1000-0x1FFF to 2 MiB (vaddr 0xFFFFFFFF80200000), 0x3000 bytes in memory; room
 * for notes. */
static uint8_t *elf64_image(void)
{
    uint8_t *f = calloc(1, ELF_SIZE);
    memcpy(f, "\177ELF\2\1\1", 7);
    put16(f + 16, 2);
    put16(f + 18, 62);
    put64(f + 24, 0xFFFFFFFF80200010);
    put64(f + 32, 64);
    put16(f + 54, 56);
    put16(f + 56, 1);
    uint8_t *p = f + 64;
    put32(p, 1);
    put64(p + 8, 0x1000);
    put64(p + 16, 0xFFFFFFFF80200000);
    put64(p + 24, 0x200000);
    put64(p + 32, 0x1000);
    put64(p + 40, 0x3000);
    memset(f + 0x1000, 0x5A, 0x1000);
    return f;
}

/* The same with the note that makes it a PVH kernel. */
static uint8_t *pvh_image(void)
{
    uint8_t *f = elf64_image();
    put16(f + 56, 2);
    uint8_t *p = f + 64 + 56;
    put32(p, 4);
    put64(p + 8, 0x2000);
    put64(p + 32, 40);
    put64(p + 40, 40);
    put64(p + 48, 4);
    /* An unrelated note with a name that needs padding comes first. */
    put32(f + 0x2000, 2);
    put32(f + 0x2004, 1);
    put32(f + 0x2008, 18);
    memcpy(f + 0x200C, "Xe", 2);
    put32(f + 0x2014, 4);
    put32(f + 0x2018, 4);
    put32(f + 0x201C, 18);
    memcpy(f + 0x2020, "Xen", 4);
    put32(f + 0x2024, 0x200020);
    return f;
}

START_TEST(pvh_start_info)
{
    uint8_t *f = pvh_image();
    static const uint8_t initrd[100] = "module";
    pc.req.initrd.data = initrd;
    pc.req.initrd.size = sizeof initrd;
    pc.req.command_line = "a=b";
    ck_assert_int_eq(image_kind(f, ELF_SIZE), IMAGE_PVH);
    must_load(f, ELF_SIZE);
    ck_assert_int_eq(pc.entry.mode, BOOT_FLAT32);
    ck_assert_uint_eq(pc.entry.rip, 0x200020);
    ck_assert_uint_eq(pc.ram[0x200000], 0x5A);
    ck_assert_uint_eq(pc.ram[0x200FFF], 0x5A);
    ck_assert_uint_eq(pc.ram[0x201000], 0); /* cleared up to memsz and not beyond */
    ck_assert_uint_eq(pc.ram[0x202FFF], 0);
    ck_assert_uint_eq(pc.ram[0x203000], 0xCC);
    const uint8_t *s = pc.ram + pc.entry.rbx;
    ck_assert_uint_eq(get32(s), 0x336EC578);
    ck_assert_uint_eq(get32(s + 4), 1);
    ck_assert_uint_eq(get32(s + 12), 1);
    const uint8_t *module = pc.ram + get64(s + 16);
    ck_assert_mem_eq(pc.ram + get64(module), initrd, sizeof initrd);
    ck_assert_uint_eq(get64(module + 8), sizeof initrd);
    ck_assert_str_eq(guest_string(get64(s + 24)), "a=b");
    ck_assert_uint_eq(get64(s + 32), 0xE0000);
    ck_assert_uint_eq(get32(s + 48), 4);
    ck_assert_uint_eq(get64(pc.ram + get64(s + 40) + 3 * 24), MIB);
    ck_assert_uint_eq(get32(pc.ram + get64(s + 40) + 3 * 24 + 16), 1);
    free(f);
}
END_TEST

START_TEST(pvh_entry_must_be_loaded)
{
    uint8_t *f = pvh_image();
    put32(f + 0x2024, 0x500000);
    must_refuse(f, ELF_SIZE, "kernel.img", "outside");
    free(f);
}
END_TEST

START_TEST(elf_without_protocol)
{
    uint8_t *f = elf64_image();
    must_refuse(f, ELF_SIZE, "kernel.img", "without a Multiboot header");
    free(f);
}
END_TEST

START_TEST(elf_bad_segments)
{
    static const struct {
        unsigned offset; /* in the program header */
        uint64_t value;
        const char *phrase;
    } rows[] = {
        {8, ELF_SIZE - 0xFFF, "past the end"}, {8, UINT64_MAX, "past the end"},
        {32, 0x3001, "larger in the file"},    {40, UINT64_MAX, "wraps"},
        {24, UINT64_MAX - 0x1000, "wraps"},    {24, 0xE0000, "not all RAM"},
        {24, 0x9F000, "not all RAM"},          {24, 64 * MIB - 0x1000, "-m"},
        {24, 0xFEE00000, "not all RAM"},       {40, 1ull << 40, "not all RAM"},
    };
    uint8_t *f = pvh_image();
    put64(f + 64 + rows[_i].offset, rows[_i].value);
    must_refuse(f, ELF_SIZE, "kernel.img", rows[_i].phrase);
    free(f);
}
END_TEST

START_TEST(elf_bad_headers)
{
    uint8_t *f = pvh_image();
    put16(f + 18, 183); /* AArch64 */
    must_refuse(f, ELF_SIZE, "kernel.img", "another processor");
    put16(f + 18, 62);
    put16(f + 56, 400);
    must_refuse(f, ELF_SIZE, "kernel.img", "outside the file");
    put64(f + 32, UINT64_MAX);
    must_refuse(f, ELF_SIZE, "kernel.img", "");
    free(f);
}
END_TEST

/* ---- Multiboot ---- */

/* The ELF with a Multiboot 1 header at 0x400. */
static uint8_t *multiboot1_image(uint32_t flags)
{
    uint8_t *f = elf64_image();
    put_multiboot1(f + 0x400, flags);
    return f;
}

START_TEST(multiboot1_information)
{
    uint8_t *f = multiboot1_image(3);
    static const uint8_t initrd[100] = "module";
    pc.req.initrd.data = initrd;
    pc.req.initrd.size = sizeof initrd;
    pc.req.command_line = "a=b";
    must_load(f, ELF_SIZE);
    ck_assert_int_eq(pc.entry.mode, BOOT_FLAT32);
    ck_assert_uint_eq(pc.entry.rip, 0x200010); /* the virtual entry in physical terms */
    ck_assert_uint_eq(pc.entry.rax, 0x2BADB002);
    const uint8_t *info = pc.ram + pc.entry.rbx;
    ck_assert_uint_eq(get32(info), 0x24D); /* memory, command line, modules, map, name */
    ck_assert_uint_eq(get32(info + 4), 639);
    ck_assert_uint_eq(get32(info + 8), 63 * 1024);
    ck_assert_str_eq(guest_string(get32(info + 16)), "kernel.img a=b");
    ck_assert_uint_eq(get32(info + 20), 1);
    const uint8_t *module = pc.ram + get32(info + 24);
    ck_assert_uint_eq(get32(module) & 0xFFF, 0);
    ck_assert_uint_eq(get32(module + 4) - get32(module), sizeof initrd);
    ck_assert_mem_eq(pc.ram + get32(module), initrd, sizeof initrd);
    ck_assert_str_eq(guest_string(get32(module + 8)), "initrd.img");
    ck_assert_uint_eq(get32(info + 44), 4 * 24);
    const uint8_t *map = pc.ram + get32(info + 48);
    ck_assert_uint_eq(get32(map + 72), 20);
    ck_assert_uint_eq(get64(map + 76), MIB);
    ck_assert_str_eq(guest_string(get32(info + 64)), "Oxbow");
    free(f);
}
END_TEST

START_TEST(multiboot1_symbols)
{
    uint8_t *f = multiboot1_image(0);
    /* Two sections in the unused space: null and a string table of 16 bytes at 0x800. */
    put64(f + 40, 0x600);
    put16(f + 58, 64);
    put16(f + 60, 2);
    put16(f + 62, 1);
    put32(f + 0x640 + 4, 3);
    put64(f + 0x640 + 24, 0x800);
    put64(f + 0x640 + 32, 16);
    memcpy(f + 0x800, "\0a_symbol", 10);
    must_load(f, ELF_SIZE);
    const uint8_t *info = pc.ram + pc.entry.rbx;
    ck_assert_uint_eq(get32(info) & 0x20, 0x20);
    ck_assert_uint_eq(get32(info + 28), 2);
    ck_assert_uint_eq(get32(info + 32), 64);
    uint64_t strings = get64(pc.ram + get32(info + 36) + 64 + 16);
    ck_assert_str_eq(guest_string(strings + 1), "a_symbol");
    free(f);
}
END_TEST

START_TEST(multiboot1_addresses)
{
    static uint8_t f[0x800];
    memset(f, 0x11, sizeof f);
    put_multiboot1(f + 0x100, 1 << 16);
    put32(f + 0x10C, 0x300100); /* header */
    put32(f + 0x110, 0x300080); /* load: 0x80 bytes before the header, so from file offset 0x80 */
    put32(f + 0x114, 0x300480); /* load end */
    put32(f + 0x118, 0x301000); /* bss end */
    put32(f + 0x11C, 0x300200); /* entry */
    f[0x7F] = 0x22;
    f[0x80] = 0x33;
    must_load(f, sizeof f);
    ck_assert_uint_eq(pc.entry.rip, 0x300200);
    ck_assert_uint_eq(pc.ram[0x300080], 0x33);
    ck_assert_uint_eq(pc.ram[0x30047F], 0x11);
    ck_assert_uint_eq(pc.ram[0x300480], 0);
    ck_assert_uint_eq(pc.ram[0x300FFF], 0);
    ck_assert_uint_eq(pc.ram[0x301000], 0xCC);
    put32(f + 0x114, 0x300080 + 0x800 - 0x80 + 1);
    must_refuse(f, sizeof f, "kernel.img", "truncated");
    put32(f + 0x114, 0x300000);
    must_refuse(f, sizeof f, "kernel.img", "below the load address");
    put32(f + 0x110, 0x2FFFFF);
    must_refuse(f, sizeof f, "kernel.img", "don't fit");
}
END_TEST

START_TEST(multiboot1_demands)
{
    uint8_t *f = multiboot1_image(1 << 5);
    must_refuse(f, ELF_SIZE, "kernel.img", "demands features");
    put_multiboot1(f + 0x400, 4);
    put32(f + 0x420, 0); /* linear graphics */
    must_refuse(f, ELF_SIZE, "kernel.img", "graphics");
    put32(f + 0x420, 1); /* text */
    pc.req.vga = true;
    must_load(f, ELF_SIZE);
    const uint8_t *info = pc.ram + pc.entry.rbx;
    ck_assert_uint_eq(get32(info) & 0x1000, 0x1000);
    ck_assert_uint_eq(get64(info + 88), 0xB8000);
    ck_assert_uint_eq(info[109], 2);
    free(f);
}
END_TEST

/* Puts a Multiboot 2 header at `p` with the given tags (whole, padded to 8) and an end tag. */
static void put_multiboot2(uint8_t *p, const uint8_t *tags, uint32_t size)
{
    uint32_t length = 16 + size + 8;
    put32(p, 0xE85250D6);
    put32(p + 4, 0);
    put32(p + 8, length);
    put32(p + 12, 0u - 0xE85250D6u - length);
    if (size)
        memcpy(p + 16, tags, size);
    put32(p + 16 + size, 0);
    put32(p + 20 + size, 8);
}

static uint8_t *multiboot2_image(const uint8_t *tags, uint32_t size)
{
    uint8_t *f = elf64_image();
    put_multiboot2(f + 0x400, tags, size);
    return f;
}

/* The contents of the first information tag of a type; NULL without one. */
static const uint8_t *tag2(uint32_t type)
{
    const uint8_t *info = pc.ram + pc.entry.rbx;
    uint32_t total = get32(info);
    for (uint32_t at = 8; at + 8 <= total; at += (get32(info + at + 4) + 7) & ~7u)
        if (get32(info + at) == type)
            return info + at + 8;
    return NULL;
}

START_TEST(multiboot2_information)
{
    uint8_t *f = multiboot2_image(NULL, 0);
    static const uint8_t initrd[100] = "module";
    static uint8_t rsdp[36] = "RSD PTR ";
    rsdp[15] = 2;
    memcpy(pc.ram + 0xE0000, rsdp, sizeof rsdp);
    pc.req.initrd.data = initrd;
    pc.req.initrd.size = sizeof initrd;
    pc.req.command_line = "a=b";
    ck_assert_int_eq(image_kind(f, ELF_SIZE), IMAGE_MULTIBOOT2);
    must_load(f, ELF_SIZE);
    ck_assert_uint_eq(pc.entry.rip, 0x200010);
    ck_assert_uint_eq(pc.entry.rax, 0x36D76289);
    ck_assert_uint_eq(pc.entry.rbx & 7, 0);
    ck_assert_str_eq((const char *)tag2(1), "kernel.img a=b");
    ck_assert_str_eq((const char *)tag2(2), "Oxbow");
    const uint8_t *module = tag2(3);
    ck_assert_mem_eq(pc.ram + get32(module), initrd, sizeof initrd);
    ck_assert_uint_eq(get32(module + 4) - get32(module), sizeof initrd);
    ck_assert_str_eq((const char *)module + 8, "initrd.img");
    ck_assert_uint_eq(get32(tag2(4)), 639);
    ck_assert_uint_eq(get32(tag2(4) + 4), 63 * 1024);
    const uint8_t *map = tag2(6);
    ck_assert_uint_eq(get32(map), 24);
    ck_assert_uint_eq(get32(map - 4), 16 + 4 * 24);
    ck_assert_uint_eq(get64(map + 8 + 3 * 24), MIB);
    ck_assert_mem_eq(tag2(14), "RSD PTR ", 8);
    ck_assert_mem_eq(tag2(15), rsdp, sizeof rsdp);
    ck_assert_ptr_nonnull(tag2(0));
    ck_assert_ptr_null(tag2(8));
    free(f);
}
END_TEST

START_TEST(multiboot2_entry_and_addresses)
{
    static uint8_t f[0x800];
    uint8_t tags[40] = {0};
    memset(f, 0x11, sizeof f);
    put16(tags, 2);
    put32(tags + 4, 24);
    put32(tags + 8, 0x300100);
    put32(tags + 12, 0x300000);
    put32(tags + 20, 0x301000);
    put16(tags + 24, 3);
    put32(tags + 28, 12);
    put32(tags + 32, 0x300040);
    put_multiboot2(f + 0x100, tags, sizeof tags);
    must_load(f, sizeof f);
    ck_assert_uint_eq(pc.entry.rip, 0x300040);
    ck_assert_mem_eq(pc.ram + 0x300000, f, sizeof f);
    ck_assert_uint_eq(pc.ram[0x300800], 0);
    ck_assert_uint_eq(pc.ram[0x300FFF], 0);
    ck_assert_uint_eq(pc.ram[0x301000], 0xCC);
}
END_TEST

START_TEST(multiboot2_demands)
{
    uint8_t framebuffer[24] = {5, 0, 0, 0, 20};
    put32(framebuffer + 16, 32);
    uint8_t *f = multiboot2_image(framebuffer, sizeof framebuffer);
    must_refuse(f, ELF_SIZE, "kernel.img", "graphics");
    free(f);
    framebuffer[2] = 1; /* optional */
    f = multiboot2_image(framebuffer, sizeof framebuffer);
    must_load(f, ELF_SIZE);
    free(f);
    uint8_t request[16] = {1, 0, 0, 0, 12, 0, 0, 0, 7}; /* VBE */
    f = multiboot2_image(request, sizeof request);
    must_refuse(f, ELF_SIZE, "kernel.img", "tag 7");
    free(f);
    uint8_t unknown[8] = {99, 0, 0, 0, 8};
    f = multiboot2_image(unknown, sizeof unknown);
    must_refuse(f, ELF_SIZE, "kernel.img", "feature 99");
    free(f);
    uint8_t torn[8] = {3, 0, 0, 0, 8}; /* an entry tag without the entry */
    f = multiboot2_image(torn, sizeof torn);
    must_refuse(f, ELF_SIZE, "kernel.img", "too short");
    free(f);
}
END_TEST

/* A kernel over the place where tables usually go: they move out of its way. */
START_TEST(tables_avoid_the_kernel)
{
    uint8_t *f = pvh_image();
    put64(f + 64 + 24, 0x1000);
    put64(f + 64 + 40, 0x9E000);
    put32(f + 0x2024, 0x1000);
    pc.req.command_line = "kept";
    must_load(f, ELF_SIZE);
    ck_assert_uint_ge(pc.entry.rbx, 0x9F000);
    ck_assert_uint_ge(pc.entry.gdt_base, 0x9F000);
    ck_assert_str_eq(guest_string(get64(pc.ram + pc.entry.rbx + 24)), "kept");
    ck_assert_uint_eq(pc.ram[0x1000], 0x5A);
    free(f);
}
END_TEST

/* ---- hostile files ---- */

/* Damages every kind of kernel in thousands of ways. The load works or says why; sanitizers see the rest. */
START_TEST(damaged_files)
{
    uint64_t seed = 88172645463325252ull + (unsigned)_i;
    static const uint32_t evil[] = {0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFF000, 0x100000, 0x9F000};
    for (unsigned round = 0; round < 1500; round++) {
        uint8_t *f = _i == 0   ? linux_image()
                     : _i == 1 ? pvh_image()
                     : _i == 2 ? multiboot1_image(7)
                               : multiboot2_image(NULL, 0);
        size_t size = _i == 0 ? LINUX_SIZE : ELF_SIZE;
        size_t head = _i == 0 ? 0x1F1 : 0;
        for (unsigned n = 0; n <= round % 4; n++) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            size_t span = _i == 0 ? 0x80 : seed >> 60 == 0 ? 0x2028 : 0x430;
            put32(f + head + seed % span, seed >> 40 & 1 ? evil[seed >> 41 & 7] : (uint32_t)(seed >> 8));
        }
        if (round % 8 == 7)
            size = seed % size;
        pc.why[0] = 0;
        if (!load(f, size))
            ck_assert_msg(strlen(pc.why) > 10, "no message");
        free(f);
    }
}
END_TEST

Suite *boot_suite(void);
Suite *boot_suite(void)
{
    Suite *suite = suite_create("boot");
    TCase *tc = tcase_create("image");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, kinds_by_mark, 0, 11);
    tcase_add_test(tc, hybrid_iso_is_an_iso);
    tcase_add_test(tc, disk_with_grub_core_is_a_disk);
    tcase_add_test(tc, multiboot_needs_checksum_and_early_place);
    tcase_add_test(tc, disks_are_refused_as_kernels);
    suite_add_tcase(suite, tc);

    tc = tcase_create("linux");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, linux_64bit_entry);
    tcase_add_test(tc, linux_page_tables_and_gdt);
    tcase_add_test(tc, linux_32bit_entry);
    tcase_add_test(tc, linux_truncated);
    tcase_add_test(tc, linux_command_line_limit);
    tcase_add_test(tc, linux_moves_when_memory_is_small);
    tcase_add_test(tc, linux_initrd_below_its_limit);
    tcase_add_test(tc, linux_initrd_too_large);
    tcase_add_test(tc, linux_initrd_above_4g);
    tcase_add_test(tc, linux_old_and_odd);
    suite_add_tcase(suite, tc);

    tc = tcase_create("elf");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, pvh_start_info);
    tcase_add_test(tc, pvh_entry_must_be_loaded);
    tcase_add_test(tc, elf_without_protocol);
    tcase_add_loop_test(tc, elf_bad_segments, 0, 10);
    tcase_add_test(tc, elf_bad_headers);
    tcase_add_test(tc, tables_avoid_the_kernel);
    suite_add_tcase(suite, tc);

    tc = tcase_create("multiboot");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, multiboot1_information);
    tcase_add_test(tc, multiboot1_symbols);
    tcase_add_test(tc, multiboot1_addresses);
    tcase_add_test(tc, multiboot1_demands);
    tcase_add_test(tc, multiboot2_information);
    tcase_add_test(tc, multiboot2_entry_and_addresses);
    tcase_add_test(tc, multiboot2_demands);
    suite_add_tcase(suite, tc);

    tc = tcase_create("damaged");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, damaged_files, 0, 4);
    suite_add_tcase(suite, tc);
    return suite;
}
