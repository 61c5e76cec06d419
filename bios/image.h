/*
 * image.h - what kind of file is this? Answered from its contents, never from its name.
 */
#ifndef BIOS_IMAGE_H
#define BIOS_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum image_kind {
    IMAGE_UNKNOWN,
    /* Kernels: boot_load() takes these. */
    IMAGE_LINUX,      /* bzImage: "HdrS" in its setup header */
    IMAGE_MULTIBOOT1, /* ELF, or any file with address fields in the header */
    IMAGE_MULTIBOOT2, /* likewise, with the address tag */
    IMAGE_PVH,        /* ELF with the note that names a 32-bit entry */
    IMAGE_ELF,        /* ELF, but with none of these: nothing says how to enter it */
    /* Disks: raw ones start with a boot sector that a BIOS runs. */
    IMAGE_DISK_MBR,
    IMAGE_DISK_GPT,
    IMAGE_ISO9660,
    IMAGE_QCOW2,
    IMAGE_VMDK,
    IMAGE_VDI,
    IMAGE_VHD,
    IMAGE_VHDX,
    /* Neither, but worth a name in a message. */
    IMAGE_EFI, /* a PE executable: only UEFI firmware starts it */
    IMAGE_GZIP,
    IMAGE_XZ,
    IMAGE_BZIP2,
    IMAGE_ZSTD,
    IMAGE_KINDS
};

/* How much of a file's start image_kind() needs to see for a sure answer (ELF notes may lie anywhere). */
#define IMAGE_HEAD_SIZE 0x8800

/*
 * The kind of a file of which data[0..size) is given, the whole or its first IMAGE_HEAD_SIZE bytes. A VHD of
 * fixed size has its mark at the end only and counts as the raw disk that it is.
 *
 * Where a file answers to several: an ELF is Multiboot 2 before Multiboot 1 before PVH; a hybrid ISO is an
 * ISO; a disk with a boot signature is a disk even when GRUB's core, which has a Multiboot header, follows in
 * its first sectors.
 */
enum image_kind image_kind(const uint8_t *data, size_t size);

/* As it reads in a message: "a Linux kernel", "an ISO 9660 image". */
const char *image_kind_name(enum image_kind kind);

/* True for what boot_load() can start. */
bool image_is_kernel(enum image_kind kind);

#endif
