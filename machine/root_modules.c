/*
 * root_modules.c - a kernel's modules and what they need.
 *
 * depmod's modules.dep has a line a module, "PATH: PATH PATH...": all that it needs, what is to be loaded
 * first at the end. Where depmod didn't run, as in a package that was only unpacked, modules.order has the
 * paths, and each module says itself what it needs: "depends=NAME,NAME" among its strings.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "host/folder.h"
#include "machine/root.h"

#define TEXT_MAX   (16u << 20)
#define MODULE_MAX (64u << 20)
#define NAME_SIZE  64
#define DEPTH_MAX  16

/* The name by which modprobe knows it: without folder and suffixes, "_" for "-". False: it isn't a module's
 * path. */
static bool module_name(const char *path, size_t size, char *name)
{
    const char *slash = memrchr(path, '/', size), *start = slash ? slash + 1 : path, *end = path + size;
    const char *suffix = memmem(start, (size_t)(end - start), ".ko", 3);

    if (!suffix || suffix - start >= NAME_SIZE)
        return false;
    memcpy(name, start, (size_t)(suffix - start));
    name[suffix - start] = 0;
    for (char *at = name; *at; at++)
        if (*at == '-')
            *at = '_';
    return true;
}

/* The line of a list whose first path, which ends at one of `ends`, is this module's; NULL when there is
 * none. */
static const char *find_line(const struct host_file *list, const char *name)
{
    const char *at = (const char *)list->data, *end = list->size ? at + list->size : at;
    char found[NAME_SIZE];

    while (at && at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((stop ? stop : end) - at);
        const char *colon = memchr(at, ':', length);

        if (module_name(at, colon ? (size_t)(colon - at) : length, found) && !strcmp(found, name))
            return at;
        at = stop ? stop + 1 : NULL;
    }
    return NULL;
}

static bool added(const struct root_modules *modules, const char *name)
{
    return find_line(&modules->order, name);
}

/* Puts it into the RAM disk, under its file's name. */
static bool put(struct root_modules *modules, const char *base, const struct host_file *file)
{
    char name[300];

    snprintf(name, sizeof(name), "modules/%s", base);
    return initrd_add(modules->initrd, name, S_IFREG | 0644, 0, file->data, file->size) &&
           host_file_append(&modules->order, base, strlen(base)) &&
           host_file_append(&modules->order, "\n", 1);
}

static bool add_one(struct root_modules *modules, const char *name, unsigned depth, char *why,
                    size_t why_size);

/* What the module itself says that it needs. */
static bool add_needs(struct root_modules *modules, const struct host_file *file, unsigned depth, char *why,
                      size_t why_size)
{
    static const char key[] = "\0depends=";
    const char *at = memmem(file->data, file->size, key, sizeof(key) - 1),
               *end = (const char *)file->data + file->size;
    char name[NAME_SIZE];

    for (at = at ? at + sizeof(key) - 1 : NULL; at && at < end && *at;) {
        size_t length = 0;

        while (at + length < end && at[length] && at[length] != ',')
            length++;
        if (length >= sizeof(name) || depth > DEPTH_MAX) {
            snprintf(why, why_size, "%.*s: needed in a circle", (int)length, at);
            return false;
        }
        memcpy(name, at, length);
        name[length] = 0;
        if (length && !add_one(modules, name, depth + 1, why, why_size))
            return false;
        at += length;
        if (at < end && *at == ',')
            at++;
    }
    return true;
}

/* The module at `path`; with what it says that it needs before it, if `needs`. */
static bool add_path(struct root_modules *modules, const char *path, bool needs, unsigned depth, char *why,
                     size_t why_size)
{
    struct host_file file;
    char reason[300];

    if (!host_folder_read(&file, modules->folder, path, MODULE_MAX, reason, sizeof(reason))) {
        snprintf(why, why_size, "%s", reason);
        return false;
    }
    snprintf(why, why_size, "%s: can't be unpacked", path);
    const char *slash = strrchr(path, '/');
    char base[256];
    snprintf(base, sizeof(base), "%s", slash ? slash + 1 : path);
    bool done = root_unpack(&file, base) && (!needs || add_needs(modules, &file, depth, why, why_size)) &&
                put(modules, base, &file);
    host_file_free(&file);
    return done;
}

/* "PATH: PATH PATH": from the end. */
static bool add_line(struct root_modules *modules, const char *line, size_t size, char *why, size_t why_size)
{
    char *text = strndup(line, size), name[NAME_SIZE];
    bool done = text;

    while (done && *text) {
        char *space = strrchr(text, ' '), *path = space ? space + 1 : text;
        size_t length = strlen(path);

        if (length && path[length - 1] == ':')
            path[length - 1] = 0;
        if (*path && module_name(path, strlen(path), name) && !added(modules, name))
            done = add_path(modules, path, false, 0, why, why_size);
        *(space ? space : text) = 0;
    }
    free(text);
    return done;
}

static bool add_one(struct root_modules *modules, const char *name, unsigned depth, char *why,
                    size_t why_size)
{
    const struct host_file *list = modules->dep.size ? &modules->dep : &modules->list;
    const char *line = find_line(list, name);

    if (added(modules, name) || (!line && find_line(&modules->builtin, name)))
        return true;
    if (!line) {
        snprintf(why, why_size, "%s: the kernel has no such module", name);
        return false;
    }
    size_t size = strcspn(line, "\n");
    if (modules->dep.size)
        return add_line(modules, line, size, why, why_size);
    char *path = strndup(line, size);
    bool done = path && add_path(modules, path, true, depth, why, why_size);
    free(path);
    return done;
}

bool root_modules_have(const struct root_modules *modules, const char *name)
{
    return find_line(&modules->dep, name) || find_line(&modules->list, name) ||
           find_line(&modules->builtin, name);
}

bool root_modules_add(struct root_modules *modules, const char *name, char *why, size_t why_size)
{
    snprintf(why, why_size, "out of memory");
    return add_one(modules, name, 0, why, why_size);
}

bool root_modules_open(struct root_modules *modules, int folder, struct host_file *initrd)
{
    char why[300];

    *modules = (struct root_modules){.folder = folder, .initrd = initrd};
    if (!host_folder_read(&modules->dep, folder, "modules.dep", TEXT_MAX, why, sizeof(why)))
        host_folder_read(&modules->list, folder, "modules.order", TEXT_MAX, why, sizeof(why));
    host_folder_read(&modules->builtin, folder, "modules.builtin", TEXT_MAX, why, sizeof(why));
    /* So that lines end where the text does. */
    return (modules->dep.size || modules->list.size) &&
           (!modules->dep.size || host_file_append(&modules->dep, "\n", 2)) &&
           (!modules->list.size || host_file_append(&modules->list, "\n", 2));
}

bool root_modules_end(struct root_modules *modules)
{
    return initrd_add(modules->initrd, "modules/order", S_IFREG | 0644, 0, modules->order.data,
                      modules->order.size);
}

void root_modules_close(struct root_modules *modules)
{
    host_folder_close(modules->folder);
    host_file_free(&modules->dep);
    host_file_free(&modules->list);
    host_file_free(&modules->builtin);
    host_file_free(&modules->order);
}
