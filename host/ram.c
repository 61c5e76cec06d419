/* ram.c - guest RAM as a sealed memfd. */
#include "host/ram.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define PAGE      UINT64_C(4096)
#define HUGE_PAGE (UINT64_C(2) << 20)

static struct host_ram *refuse(struct host_ram *ram, uint64_t size, const char *text, char *why,
                               size_t why_size)
{
    snprintf(why, why_size, "no %" PRIu64 " MiB of guest memory: %s", size >> 20, text);
    if (ram && ram->fd >= 0)
        close(ram->fd);
    free(ram);
    return NULL;
}

/* Maps the descriptor at a multiple of 2 MiB, so that huge pages fit. MAP_FAILED and errno when the host
 * refuses. */
static void *map_aligned(int fd, uint64_t size)
{
    uint8_t *space =
        mmap(NULL, size + HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (space == MAP_FAILED)
        return MAP_FAILED;
    uint64_t head = -(uintptr_t)space % HUGE_PAGE;
    void *base =
        mmap(space + head, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd, 0);
    if (base == MAP_FAILED) {
        int error = errno;
        munmap(space, size + HUGE_PAGE);
        errno = error;
        return MAP_FAILED;
    }
    if (head)
        munmap(space, head);
    munmap(space + head + size, HUGE_PAGE - head);
    return base;
}

struct host_ram *host_ram_new(uint64_t size, char *why, size_t why_size)
{
    struct rlimit files;

    if (!size || size % PAGE)
        return refuse(NULL, size, "the size must be a multiple of 4 KiB and not 0", why, why_size);
    if (size > (uint64_t)INT64_MAX - HUGE_PAGE)
        return refuse(NULL, size, "no host has that much address space", why, why_size);
    /* Growing a file past this limit would kill us with a signal instead of failing. */
    if (getrlimit(RLIMIT_FSIZE, &files) == 0 && files.rlim_cur != RLIM_INFINITY && files.rlim_cur < size)
        return refuse(NULL, size, "the limit on file sizes (ulimit -f) is smaller", why, why_size);

    struct host_ram *ram = calloc(1, sizeof(*ram));
    if (!ram)
        return refuse(NULL, size, strerror(ENOMEM), why, why_size);
    ram->size = size;
    ram->fd = memfd_create("guest-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (ram->fd < 0)
        return refuse(ram, size, strerror(errno), why, why_size);
    if (ftruncate(ram->fd, (off_t)size) < 0)
        return refuse(ram, size, strerror(errno), why, why_size);
    void *base = map_aligned(ram->fd, size);
    if (base == MAP_FAILED)
        return refuse(ram, size, errno == ENOMEM ? "the host won't give that much" : strerror(errno), why,
                      why_size);
    ram->base = base;
    /* Nobody who gets the descriptor can pull the pages from under the others. */
    fcntl(ram->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    /* Both are wishes: a kernel without huge pages for shared memory serves as well. */
    madvise(ram->base, size, MADV_HUGEPAGE);
    madvise(ram->base, size, MADV_DONTDUMP);
    return ram;
}

void host_ram_release(struct host_ram *ram, uint8_t *at, size_t size)
{
    uint64_t offset = (uint64_t)(at - ram->base);

    if (at < ram->base || offset >= ram->size || size > ram->size - offset || offset % PAGE || size % PAGE)
        return;
    /* A host that can't punch holes keeps the memory, but the guest must not find its old bytes. */
    if (madvise(at, size, MADV_REMOVE))
        memset(at, 0, size);
}

void host_ram_free(struct host_ram *ram)
{
    if (!ram)
        return;
    munmap(ram->base, ram->size);
    close(ram->fd);
    free(ram);
}
