/*
 * folder.h - a folder that has a system in it, as that system sees it: links in it lead where they would if
 * the folder were all there is.
 */
#ifndef HOST_FOLDER_H
#define HOST_FOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct host_file;

/* A descriptor, to be closed by host_folder_close(); -1 with a line in `why`. */
int host_folder_open(const char *path, char *why, size_t why_size);
void host_folder_close(int folder);

/* One below it, -1 when there is none. */
int host_folder_below(int folder, const char *path);

/* Reads all of a file, as host_file_read() does. */
bool host_folder_read(struct host_file *file, int folder, const char *path, uint64_t limit, char *why,
                      size_t why_size);

/*
 * Of the files in the folder `path` whose names begin with `prefix` the one with the highest version behind
 * it, as PATH/NAME; false when there is none.
 */
bool host_folder_newest(int folder, const char *path, const char *prefix, char *name, size_t name_size);

#endif
