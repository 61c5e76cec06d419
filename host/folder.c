/*
 * folder.c - see folder.h. RESOLVE_IN_ROOT keeps absolute links and ".." inside.
 */
#include "host/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/file.h"

static int open_in(int folder, const char *path, int flags)
{
    struct open_how how = {.flags = (uint64_t)flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};

    return (int)syscall(SYS_openat2, folder, path, &how, sizeof(how));
}

int host_folder_open(const char *path, char *why, size_t why_size)
{
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (folder < 0)
        snprintf(why, why_size, "%s: %s", path,
                 errno == ENOENT    ? "no such folder"
                 : errno == ENOTDIR ? "is not a folder"
                                    : strerror(errno));
    return folder;
}

void host_folder_close(int folder)
{
    if (folder >= 0)
        close(folder);
}

int host_folder_below(int folder, const char *path)
{
    return open_in(folder, path, O_RDONLY | O_DIRECTORY);
}

bool host_folder_read(struct host_file *file, int folder, const char *path, uint64_t limit, char *why,
                      size_t why_size)
{
    int fd = open_in(folder, path, O_RDONLY);

    if (fd < 0) {
        snprintf(why, why_size, "%s: %s", path, strerror(errno));
        return false;
    }
    bool done = host_file_read_fd(file, fd, path, limit, why, why_size);
    close(fd);
    return done;
}

bool host_folder_newest(int folder, const char *path, const char *prefix, char *name, size_t name_size)
{
    int fd = host_folder_below(folder, path);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    char best[256] = "";

    if (!dir) {
        host_folder_close(fd);
        return false;
    }
    for (struct dirent *entry; (entry = readdir(dir));)
        if (!strncmp(entry->d_name, prefix, strlen(prefix)) && strverscmp(entry->d_name, best) > 0)
            snprintf(best, sizeof(best), "%s", entry->d_name);
    closedir(dir);
    return *best && (size_t)snprintf(name, name_size, "%s/%s", path, best) < name_size;
}
