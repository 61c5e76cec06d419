/*
 * root_initrd.c - archives in cpio's "newc" format: for each file a header of hexadecimal digits, its name
 * and its bytes, each padded to four.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "machine/root.h"

#define HEADER_SIZE 110

static bool pad(struct host_file *initrd)
{
    return host_file_append(initrd, "\0\0\0", -initrd->size & 3);
}

bool initrd_add(struct host_file *initrd, const char *name, uint32_t mode, uint32_t device, const void *data,
                size_t size)
{
    char header[HEADER_SIZE + 1];
    unsigned number = (unsigned)initrd->size; /* of the inode: any, but another for each file */
    unsigned links = S_ISDIR(mode) ? 2 : 1;
    size_t name_size = strlen(name) + 1;

    if (size > UINT32_MAX)
        return false;
    snprintf(header, sizeof(header), "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", number,
             mode, 0u, 0u, links, 0u, (unsigned)size, 0u, 0u, device >> 8, device & 0xFF, (unsigned)name_size,
             0u);
    return host_file_append(initrd, header, HEADER_SIZE) && host_file_append(initrd, name, name_size) &&
           pad(initrd) && host_file_append(initrd, data, size) && pad(initrd);
}

bool initrd_end(struct host_file *initrd)
{
    return initrd_add(initrd, "TRAILER!!!", 0, 0, "", 0);
}
