/*
 * root.c - --root: a folder of the host as the root file system, booted in one go. Finds a kernel and those
 * of its modules without which it can't mount the folder, and makes an initial RAM disk of them and of a
 * first program (bios/root/init.c) that loads them, mounts the folder and starts the system in it.
 *
 *     kernel    --kernel, or the newest vmlinuz in the folder's boot
 *     modules   lib/modules/VERSION of: --modules; the folder; beside the kernel's folder; this host
 *     initrd    --initrd, as it is, or the one that is made
 *     append    after what is needed, so that the user has the last word
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "host/folder.h"
#include "machine/machine.h"
#include "machine/root.h"

/* The first program, linked in by bios/root/embed.S. */
extern const uint8_t oxbow_init_start[], oxbow_init_end[];

#define MESSAGE_SIZE 512000 /* what Linux's transport takes at most */
#define VERSION_SIZE 128

/* The folder is the guest's as long as it runs, so it may remember what it has seen: that halves the time to boot. */
#define ROOT_CACHE "loose"

/* Where Linux's setup header has the kernel's version: a text, at this offset less 512 (boot protocol 2.00).
 */
#define HEADER_VERSION 0x20E

static void kernel_version(const struct host_file *kernel, char *version)
{
    size_t at = kernel->size > HEADER_VERSION + 2
                    ? (size_t)(kernel->data[HEADER_VERSION] | kernel->data[HEADER_VERSION + 1] << 8) + 0x200
                    : 0;
    size_t length = 0;

    if (at > 0x200 && at < kernel->size && !memcmp(kernel->data + 0x202, "HdrS", 4))
        while (length < VERSION_SIZE - 1 && at + length < kernel->size && kernel->data[at + length] > ' ' &&
               kernel->data[at + length] != '/') {
            version[length] = (char)kernel->data[at + length];
            length++;
        }
    version[length] = 0;
}

static bool join(char **text, const char *first, const char *second)
{
    *text = malloc(strlen(first) + strlen(second) + 2);
    if (*text)
        sprintf(*text, "%s/%s", first, second);
    return *text;
}

/* The kernel that the folder has itself. */
static int read_kernel(struct machine *m, int folder, char *why, size_t why_size)
{
    const char *path = m->options->root.path;
    char name[300], reason[400];

    if (!host_folder_newest(folder, "boot", "vmlinuz", name, sizeof(name))) {
        snprintf(why, why_size,
                 "--root %.200s: there is no kernel in its boot folder; give one with --kernel FILE", path);
        return EXIT_USAGE;
    }
    if (!host_folder_read(&m->kernel, folder, name, m->options->memory, reason, sizeof(reason))) {
        snprintf(why, why_size, "--root %.100s: the kernel %s", path, reason);
        return EXIT_USAGE;
    }
    if (!join(&m->root_kernel, path, name)) {
        snprintf(why, why_size, "out of memory");
        return EXIT_HOST;
    }
    m->kernel_name = m->root_kernel;
    return 0;
}

/* A folder of modules below `folder`; -1 when there is none. */
static int modules_in(int folder, const char *version)
{
    static const char *const places[] = {"lib/modules/", "usr/lib/modules/", ""};
    char path[VERSION_SIZE + 40];
    int found = -1;

    for (size_t n = 0; n < sizeof(places) / sizeof(*places) && found < 0 && folder >= 0; n++) {
        snprintf(path, sizeof(path), "%s%s", places[n], version);
        found = host_folder_below(folder, path);
    }
    return found;
}

static int modules_at(const char *path, const char *version)
{
    char why[300];
    int folder = host_folder_open(path, why, sizeof(why)), found = modules_in(folder, version);

    host_folder_close(folder);
    return found;
}

/* Those beside the folder that the kernel is in, as in an unpacked package. */
static int modules_beside(const char *kernel, const char *version)
{
    char *path = malloc(strlen(kernel) + sizeof("/../.."));
    int found = -1;

    if (path) {
        strcpy(path, kernel);
        char *slash = strrchr(path, '/');
        strcpy(slash ? slash + 1 : path, "..");
        found = modules_at(path, version);
    }
    free(path);
    return found;
}

/* -1 when there are none. *own: they are the root's own, from which it loads others itself. */
static int find_modules(struct machine *m, int root, const char *version, bool *own)
{
    int found = -1;

    *own = false;
    if (m->options->modules) {
        char why[300];
        found = *version ? modules_at(m->options->modules, version) : -1;
        return found < 0 ? host_folder_open(m->options->modules, why, sizeof(why)) : found;
    }
    if (!*version)
        return -1;
    found = modules_in(root, version);
    *own = found >= 0;
    if (found < 0 && !m->root_kernel)
        found = modules_beside(m->kernel_name, version);
    return found < 0 ? modules_at("/", version) : found;
}

/* What the root file system lies on; and what somebody without modules of that kernel would want, if it is
 * there. */
static bool add_modules(struct root_modules *modules, bool own, char *why, size_t why_size)
{
    static const char *const needed[] = {"virtio_pci", "9pnet_virtio", "9p"};
    static const char *const others[] = {"e1000", "virtio_net", "virtio_rng", "virtio_console"};

    for (size_t n = 0; n < sizeof(needed) / sizeof(*needed); n++)
        if (!root_modules_add(modules, needed[n], why, why_size))
            return false;
    for (size_t n = 0; n < sizeof(others) / sizeof(*others) && !own; n++)
        if (root_modules_have(modules, others[n]) && !root_modules_add(modules, others[n], why, why_size))
            return false;
    return root_modules_end(modules);
}

static int make_initrd(struct machine *m, int root, char *why, size_t why_size)
{
    static const char *const folders[] = {"dev", "proc", "root", "modules"};
    struct host_file *initrd = &m->initrd;
    char version[VERSION_SIZE], reason[300];
    bool own, made = true;
    int status = 0;

    for (size_t n = 0; n < sizeof(folders) / sizeof(*folders); n++)
        made = made && initrd_add(initrd, folders[n], S_IFDIR | 0755, 0, "", 0);
    made = made && initrd_add(initrd, "dev/console", S_IFCHR | 0600, 5 << 8 | 1, "", 0) &&
           initrd_add(initrd, "init", S_IFREG | 0755, 0, oxbow_init_start,
                      (size_t)(oxbow_init_end - oxbow_init_start));
    snprintf(why, why_size, "out of memory");
    if (!made)
        return EXIT_HOST;
    kernel_version(&m->kernel, version);
    int folder = find_modules(m, root, version, &own);
    if (folder >= 0) {
        struct root_modules modules;

        if (!root_modules_open(&modules, folder, initrd)) {
            snprintf(why, why_size,
                     "--root: the modules of kernel %s have neither modules.dep nor modules.order; depmod "
                     "makes one",
                     version);
            status = EXIT_USAGE;
        } else if (!add_modules(&modules, own, reason, sizeof(reason))) {
            snprintf(why, why_size, "--root: modules of kernel %s: %s", version, reason);
            status = EXIT_USAGE;
        }
        root_modules_close(&modules);
    } else if (m->options->modules) {
        snprintf(why, why_size, "--modules %.200s: no such folder", m->options->modules);
        status = EXIT_USAGE;
    } else {
        log_at(m->log, LOG_INFO, "oxbow",
               "no modules of kernel %s were found for --root; it must have 9P and virtio built in",
               *version ? version : "(unknown)");
    }
    if (!status && !initrd_end(initrd))
        return EXIT_HOST;
    return status;
}

static bool make_line(struct machine *m)
{
    const char *append = m->options->append ? m->options->append : "";
    size_t size = strlen(append) + 300;

    m->root_line = malloc(size);
    if (m->root_line)
        snprintf(m->root_line, size,
                 "%sroot=" ROOT_TAG
                 " rootfstype=9p rootflags=trans=virtio,version=9p2000.L,msize=%u,cache=%s %s%s%s",
                 strstr(append, "console=") ? "" : "console=ttyS0 ", MESSAGE_SIZE, ROOT_CACHE,
                 m->options->root.read_only ? "ro" : "rw", *append ? " " : "", append);
    return m->root_line;
}

int root_read(struct machine *m, char *why, size_t why_size)
{
    const struct options *options = m->options;
    char reason[300];
    int status = 0, root = host_folder_open(options->root.path, reason, sizeof(reason));

    if (root < 0) {
        snprintf(why, why_size, "--root %s", reason);
        return EXIT_USAGE;
    }
    if (!m->kernel_name)
        status = read_kernel(m, root, why, why_size);
    else if (!host_file_read(&m->kernel, m->kernel_name, options->memory, why, why_size))
        status = EXIT_USAGE;
    if (!status && !options->initrd)
        status = make_initrd(m, root, why, why_size);
    host_folder_close(root);
    if (!status && !make_line(m)) {
        snprintf(why, why_size, "out of memory");
        status = EXIT_HOST;
    }
    return status;
}

void root_free(struct machine *m)
{
    free(m->root_kernel);
    free(m->root_line);
}
