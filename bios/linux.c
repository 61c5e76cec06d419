/*
 * linux.c - the Linux x86 boot protocol, entered in 64-bit mode where the kernel has that entry
 * (protocol 2.12, XLF_KERNEL_64), otherwise in 32-bit protected mode. The real-mode setup code is never run:
 * its work is done here by filling struct boot_params ("the zero page").
 *
 * A bzImage is: boot sector and setup code ((setup_sects + 1) * 512 bytes, with the setup header at 0x1F1),
 * then the protected-mode kernel of syssize * 16 bytes, which decompresses itself and needs init_size bytes
 * from its load address on.
 */
#include <string.h>

#include "bios/bytes.h"
#include "bios/loader.h"

/* The setup header, at the same offsets in the file and in boot_params. */
#define HDR_SETUP_SECTS   0x1F1
#define HDR_SYSSIZE       0x1F4
#define HDR_BOOT_FLAG     0x1FE
#define HDR_JUMP          0x200 /* its second byte tells the header's length */
#define HDR_VERSION       0x206
#define HDR_LOADER        0x210
#define HDR_LOADFLAGS     0x211
#define HDR_CODE32_START  0x214
#define HDR_RAMDISK_IMAGE 0x218
#define HDR_RAMDISK_SIZE  0x21C
#define HDR_CMD_LINE_PTR  0x228
#define HDR_INITRD_MAX    0x22C
#define HDR_ALIGNMENT     0x230
#define HDR_RELOCATABLE   0x234
#define HDR_XLOADFLAGS    0x236
#define HDR_CMDLINE_SIZE  0x238
#define HDR_PREF_ADDRESS  0x258
#define HDR_INIT_SIZE     0x260
#define HDR_LAST          0x290 /* beyond this, boot_params has other fields */

#define LOADED_HIGH      0x01
#define XLF_KERNEL_64    0x01
#define XLF_ABOVE_4G     0x02
#define LOADER_UNDEFINED 0xFF

/* The rest of boot_params. */
#define BP_VIDEO_MODE     0x006
#define BP_VIDEO_COLS     0x007
#define BP_VIDEO_LINES    0x00E
#define BP_VIDEO_IS_VGA   0x00F
#define BP_VIDEO_POINTS   0x010
#define BP_ACPI_RSDP      0x070
#define BP_EXT_RAMDISK    0x0C0
#define BP_EXT_RAMDISK_SZ 0x0C4
#define BP_E820_ENTRIES   0x1E8
#define BP_E820_TABLE     0x2D0
#define BP_E820_MAX       128
#define BP_SIZE           4096

#define ENTRY_64 0x200

/* What the header says, with the defaults of the protocol versions that lack a field. */
struct linux_image {
    const char *name;
    const uint8_t *file;
    unsigned version;
    uint64_t setup_size, kernel_size;
    uint64_t initrd_max; /* highest address that an initrd's byte may have */
    uint64_t cmdline_max;
    uint64_t alignment;
    bool relocatable, entry64, above_4g;
    uint64_t pref_address;
    uint64_t init_size;
};

static bool read_sizes(struct loader *l, struct linux_image *image)
{
    const struct boot_file *kernel = &l->req->kernel;
    unsigned setup_sects = image->file[HDR_SETUP_SECTS];
    image->setup_size = ((setup_sects ? setup_sects : 4) + 1) * 512ull;
    image->kernel_size = (uint64_t)get32(image->file + HDR_SYSSIZE) * 16;
    uint64_t need = image->setup_size + image->kernel_size;
    /* syssize is rounded up, and not every build pads the file: Linux's does from 2.08 on, memtest86+'s never. */
    const uint64_t slack = 15;
    if (kernel->size + slack < need)
        return loader_fail(
            l, "%s: is truncated: it has %llu bytes and its header says %llu; copy or download it again",
            image->name, (unsigned long long)kernel->size, (unsigned long long)need);
    if (kernel->size < need)
        image->kernel_size = kernel->size - image->setup_size;
    if (image->kernel_size == 0)
        return loader_fail(l, "%s: contains no kernel after its setup code; the file is damaged",
                           image->name);
    return true;
}

static bool read_header(struct loader *l, struct linux_image *image)
{
    const struct boot_file *kernel = &l->req->kernel;
    const uint8_t *f = kernel->data;
    *image = (struct linux_image){.name = kernel->name, .file = f};
    if (kernel->size < 0x268)
        return loader_fail(l, "%s: is truncated within its header; copy or download it again", image->name);
    image->version = get16(f + HDR_VERSION);
    if (image->version < 0x204)
        return loader_fail(
            l, "%s: uses boot protocol %u.%02u, which is too old; take a kernel of version 2.6.14 or later",
            image->name, image->version >> 8, image->version & 0xFF);
    if (!(f[HDR_LOADFLAGS] & LOADED_HIGH))
        return loader_fail(l, "%s: is a zImage for low memory; build it as a bzImage", image->name);
    if (!read_sizes(l, image))
        return false;
    image->initrd_max = get32(f + HDR_INITRD_MAX);
    image->cmdline_max = image->version >= 0x206 ? get32(f + HDR_CMDLINE_SIZE) : 255;
    image->relocatable = image->version >= 0x205 && f[HDR_RELOCATABLE];
    image->alignment = image->version >= 0x205 ? get32(f + HDR_ALIGNMENT) : 0;
    image->pref_address = image->version >= 0x20A ? get64(f + HDR_PREF_ADDRESS) : 0x100000;
    image->init_size = image->version >= 0x20A ? get32(f + HDR_INIT_SIZE) : 0;
    uint16_t xloadflags = image->version >= 0x20C ? get16(f + HDR_XLOADFLAGS) : 0;
    image->entry64 = xloadflags & XLF_KERNEL_64;
    image->above_4g = xloadflags & XLF_ABOVE_4G;

    if (image->alignment & (image->alignment - 1))
        return loader_fail(
            l, "%s: asks for an alignment of 0x%llx, which is not a power of two; the file is damaged",
            image->name, (unsigned long long)image->alignment);
    if (image->alignment < 4096)
        image->alignment = 4096;
    /* Older kernels don't tell how far they grow; three times their packed size was the boot loaders' rule.
     */
    if (image->init_size < image->kernel_size)
        image->init_size = image->version >= 0x20A ? image->kernel_size : image->kernel_size * 3;
    if (image->entry64 && image->kernel_size <= ENTRY_64)
        return loader_fail(l, "%s: is too short for its 64-bit entry; the file is damaged", image->name);
    return true;
}

/* At its preferred address if that is RAM; a relocatable kernel goes elsewhere if need be. */
static bool place_kernel(struct loader *l, const struct linux_image *image, uint64_t *addr)
{
    *addr = image->pref_address;
    if (image->pref_address < LOADER_4G && loader_is_ram(l, image->pref_address, image->init_size))
        return loader_take(l, image->pref_address, image->init_size, "the kernel");
    if (image->relocatable &&
        loader_place_low(l, image->init_size, image->alignment, 0x100000, LOADER_4G, addr))
        return true;
    uint64_t from = image->relocatable ? 0x100000 : image->pref_address;
    return loader_fail(
        l, "%s: the kernel needs %s of memory from %s on and the machine has %s; give it more with -m",
        image->name, loader_size(image->init_size).text, loader_size(from).text,
        loader_size(l->req->ram_size).text);
}

static bool add_e820(struct loader *l, const struct linux_image *image, uint8_t *bp)
{
    const struct boot_request *req = l->req;
    if (req->e820_count > BP_E820_MAX)
        return loader_fail(
            l, "%s: its boot protocol takes no more than %d memory ranges and the machine has %zu",
            image->name, BP_E820_MAX, req->e820_count);
    bp[BP_E820_ENTRIES] = (uint8_t)req->e820_count;
    for (size_t i = 0; i < req->e820_count; i++) {
        uint8_t *p = bp + BP_E820_TABLE + i * 20;
        put64(p, req->e820[i].base);
        put64(p + 8, req->e820[i].size);
        put32(p + 16, req->e820[i].type);
    }
    return true;
}

static bool add_command_line(struct loader *l, const struct linux_image *image, uint8_t *bp)
{
    const char *line = l->req->command_line ? l->req->command_line : "";
    uint64_t addr;
    if (strlen(line) > image->cmdline_max)
        return loader_fail(
            l, "%s: takes a command line of at most %llu characters and --append has %zu; shorten it",
            image->name, (unsigned long long)image->cmdline_max, strlen(line));
    if (!loader_add_string(l, line, "command line", &addr))
        return false;
    put32(bp + HDR_CMD_LINE_PTR, (uint32_t)addr);
    return true;
}

static void describe_text_screen(uint8_t *bp)
{
    bp[BP_VIDEO_MODE] = 3;
    bp[BP_VIDEO_COLS] = 80;
    bp[BP_VIDEO_LINES] = 25;
    bp[BP_VIDEO_IS_VGA] = 1;
    put16(bp + BP_VIDEO_POINTS, 16);
}

/* Everything but the addresses of kernel and initrd's data, which are placed first. */
static bool fill_boot_params(struct loader *l, const struct linux_image *image, uint64_t kernel,
                             uint64_t initrd, uint8_t *bp)
{
    size_t end = HDR_JUMP + 2 + image->file[HDR_JUMP + 1];
    if (end > HDR_LAST)
        end = HDR_LAST;
    if (end > l->req->kernel.size)
        end = l->req->kernel.size;
    memcpy(bp + HDR_SETUP_SECTS, image->file + HDR_SETUP_SECTS, end - HDR_SETUP_SECTS);
    bp[HDR_LOADER] = LOADER_UNDEFINED;
    put32(bp + HDR_CODE32_START, (uint32_t)kernel);
    put32(bp + HDR_RAMDISK_IMAGE, (uint32_t)initrd);
    put32(bp + BP_EXT_RAMDISK, (uint32_t)(initrd >> 32));
    put32(bp + HDR_RAMDISK_SIZE, (uint32_t)l->req->initrd.size);
    put32(bp + BP_EXT_RAMDISK_SZ, (uint32_t)((uint64_t)l->req->initrd.size >> 32));
    put64(bp + BP_ACPI_RSDP, l->req->rsdp);
    if (l->req->vga)
        describe_text_screen(bp);
    return add_e820(l, image, bp) && add_command_line(l, image, bp);
}

bool linux_load(struct loader *l, struct boot_entry *entry)
{
    struct linux_image image;
    uint64_t kernel, initrd, params;
    uint8_t bp[BP_SIZE] = {0};

    if (!read_header(l, &image) || !place_kernel(l, &image, &kernel) ||
        !loader_add_initrd(l, image.initrd_max + 1, image.above_4g, &initrd))
        return false;
    loader_write(l, kernel, image.file + image.setup_size, image.kernel_size);
    if (!fill_boot_params(l, &image, kernel, initrd, bp))
        return false;
    if (!loader_place_table(l, BP_SIZE, 4096, "boot parameters", &params))
        return false;
    loader_write(l, params, bp, sizeof bp);
    bool ok = image.entry64 ? loader_enter_long64(l, entry, kernel + ENTRY_64)
                            : loader_enter_flat32(l, entry, kernel);
    entry->rsi = params;
    return ok;
}
