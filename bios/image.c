/* image.c - see image.h. */
#include "bios/image.h"

#include <string.h>

#include "bios/bytes.h"
#include "bios/elf.h"
#include "bios/multiboot.h"

static bool has(const uint8_t *data, size_t size, size_t offset, const char *mark, size_t mark_size)
{
    return offset + mark_size <= size && memcmp(data + offset, mark, mark_size) == 0;
}

static enum image_kind elf_kind(const uint8_t *data, size_t size)
{
    struct elf elf;
    const char *problem;
    uint64_t entry;
    size_t header;
    if (multiboot2_find(data, size, &header))
        return IMAGE_MULTIBOOT2;
    if (multiboot1_find(data, size, &header))
        return IMAGE_MULTIBOOT1;
    if (elf_open(&elf, data, size, &problem) && elf_pvh_entry(&elf, &entry))
        return IMAGE_PVH;
    return IMAGE_ELF;
}

/* A Multiboot file that is no ELF says in its header where it goes; without that nobody can load it. */
static enum image_kind flat_kind(const uint8_t *data, size_t size)
{
    size_t header;
    if (multiboot2_find(data, size, &header) && multiboot2_has_addresses(data, header))
        return IMAGE_MULTIBOOT2;
    if (multiboot1_find(data, size, &header) && multiboot1_has_addresses(data, header))
        return IMAGE_MULTIBOOT1;
    return IMAGE_UNKNOWN;
}

enum image_kind image_kind(const uint8_t *data, size_t size)
{
    static const struct {
        enum image_kind kind;
        size_t offset;
        const char *mark;
        size_t mark_size;
    } marks[] = {
        {IMAGE_LINUX, 0x202, "HdrS", 4},
        {IMAGE_ISO9660, 0x8001, "CD001", 5},
        {IMAGE_QCOW2, 0, "QFI\xfb", 4},
        {IMAGE_VMDK, 0, "KDMV", 4},
        {IMAGE_VMDK, 0, "# Disk DescriptorFile", 21},
        {IMAGE_VDI, 0x40, "\x7f\x10\xda\xbe", 4},
        {IMAGE_VHDX, 0, "vhdxfile", 8},
        {IMAGE_VHD, 0, "conectix", 8},
        {IMAGE_GZIP, 0, "\x1f\x8b\x08", 3},
        {IMAGE_XZ, 0,
         "\xfd"
         "7zXZ\0",
         6},
        {IMAGE_BZIP2, 0, "BZh", 3},
        {IMAGE_ZSTD, 0, "\x28\xb5\x2f\xfd", 4},
        {IMAGE_DISK_GPT, 512, "EFI PART", 8},
        {IMAGE_DISK_GPT, 4096, "EFI PART", 8},
        {IMAGE_DISK_MBR, 510, "\x55\xaa", 2},
    };
    if (has(data, size, 0, "\177ELF", 4))
        return elf_kind(data, size);
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        if (has(data, size, marks[i].offset, marks[i].mark, marks[i].mark_size))
            return marks[i].kind;
    enum image_kind kind = flat_kind(data, size);
    if (kind == IMAGE_UNKNOWN && has(data, size, 0, "MZ", 2) && size >= 0x40) {
        uint32_t pe = get32(data + 0x3C);
        if (pe < size && has(data, size, pe, "PE\0\0", 4))
            kind = IMAGE_EFI;
    }
    return kind;
}

const char *image_kind_name(enum image_kind kind)
{
    static const char *const names[IMAGE_KINDS] = {
        [IMAGE_UNKNOWN] = "a file of unknown kind",
        [IMAGE_LINUX] = "a Linux kernel",
        [IMAGE_MULTIBOOT1] = "a Multiboot kernel",
        [IMAGE_MULTIBOOT2] = "a Multiboot 2 kernel",
        [IMAGE_PVH] = "a PVH kernel",
        [IMAGE_ELF] = "an ELF file without a Multiboot header or PVH note",
        [IMAGE_DISK_MBR] = "a raw disk image",
        [IMAGE_DISK_GPT] = "a raw disk image (GPT)",
        [IMAGE_ISO9660] = "an ISO 9660 image",
        [IMAGE_QCOW2] = "a qcow2 disk image",
        [IMAGE_VMDK] = "a VMDK disk image",
        [IMAGE_VDI] = "a VDI disk image",
        [IMAGE_VHD] = "a VHD disk image",
        [IMAGE_VHDX] = "a VHDX disk image",
        [IMAGE_EFI] = "an EFI program",
        [IMAGE_GZIP] = "a gzip file",
        [IMAGE_XZ] = "an xz file",
        [IMAGE_BZIP2] = "a bzip2 file",
        [IMAGE_ZSTD] = "a zstd file",
    };
    return (unsigned)kind < IMAGE_KINDS ? names[kind] : names[IMAGE_UNKNOWN];
}

bool image_is_kernel(enum image_kind kind)
{
    return kind == IMAGE_LINUX || kind == IMAGE_MULTIBOOT1 || kind == IMAGE_MULTIBOOT2 || kind == IMAGE_PVH;
}
