/*
 * machine_file.c - a machine from an INI file: the options' long names without dashes as keys, in a section
 * [machine] or in none. Paths are relative to the working directory, as on the command line. Bochs's own file is taken
 * as well.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <ini.h>

#include "machine/bochsrc.h"
#include "machine/machine.h"

struct reader {
    const char *path;
    struct options *options;
    char why[200]; /* the first thing that is wrong; empty: nothing is */
};

/* inih's handler: returns 0 for a line that can't be used. */
static int take(void *opaque, const char *section, const char *name, const char *value)
{
    struct reader *reader = opaque;

    if (reader->why[0])
        return 0;
    if (*section && strcmp(section, "machine")) {
        snprintf(reader->why, sizeof(reader->why), "there is no section [%.40s]; put options in [machine]",
                 section);
        return 0;
    }
    return options_set(reader->options, name, value ? value : "", reader->why, sizeof(reader->why));
}

bool machine_file_read(const char *path, struct options *options, char *why, size_t why_size)
{
    struct reader reader = {.path = path, .options = options};
    struct stat info;
    FILE *file = fopen(path, "r");

    if (!file || fstat(fileno(file), &info) || S_ISDIR(info.st_mode)) {
        snprintf(why, why_size, "--machine %s: %s; give a machine file that can be read", path,
                 file ? "this is a directory" : strerror(errno));
        if (file)
            fclose(file);
        return false;
    }
    if (S_ISREG(info.st_mode) && bochsrc_recognise(file)) {
        bool good = bochsrc_read(file, path, options, stderr, why, why_size);
        fclose(file);
        return good;
    }
    int line = ini_parse_file(file, take, &reader);
    bool failed = ferror(file);
    fclose(file);
    if (line < 0 || failed)
        snprintf(why, why_size, "--machine %s: cannot be read", path);
    else if (line && reader.why[0])
        snprintf(why, why_size, "%s, line %d: %s", path, line, reader.why);
    else if (line)
        snprintf(why, why_size, "%s, line %d: neither \"name = value\" nor a [section]", path, line);
    return !line && !failed;
}
