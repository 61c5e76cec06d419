/*
 * image_command.c - `oxbow image`: create, info, check, convert, commit, resize; see image_command.h.
 */
#include "machine/image_command.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <json-c/json.h>

#include "core/log.h"
#include "core/options.h"
#include "host/image.h"

#define CLUSTER_USUAL 65536u
#define RAW_GRANULE   4096u

/* What stands on the command line. */
struct request {
    const char *command;
    const char *format, *from_format, *backing, *backing_format;
    uint32_t cluster_size;
    bool json, repair, shrink, keep, zstd, lazy, version2;
    const char *argument[2];
    int arguments;
    struct log log;
};

static int fail(int status, const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "oxbow image: ");
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return status;
}

/* A number of bytes, or with a letter behind it of KiB, MiB and so on. */
static bool read_size(const char *text, uint64_t *bytes)
{
    char *end;

    if (!isdigit((unsigned char)*text))
        return false;
    errno = 0;
    *bytes = strtoull(text, &end, 10);
    return !errno && (!*end || options_size(text, bytes));
}

/* Opens one of the files on the command line. NULL: said. */
static struct image *open_image(struct request *r, const char *path, const char *format, bool writing,
                                bool no_backing)
{
    const struct image_options options = {.path = path,
                                          .format = format,
                                          .read_only = !writing,
                                          .no_backing = no_backing,
                                          .repair = writing && r->repair,
                                          .backing = r->backing,
                                          .log = &r->log};
    char why[500];
    struct image *image = image_open(&options, why, sizeof(why));

    if (!image)
        fail(EXIT_USAGE, "%s", why);
    return image;
}

/* create */

/* How large what is behind a new image is; what it is, unless the user said so. */
static bool look_at_backing(struct request *r, const char *path, struct image_create_options *create)
{
    char behind[4096];
    const char *slash = strrchr(path, '/');
    int folder = *create->backing != '/' && slash ? (int)(slash - path) + 1 : 0;
    struct image *image;

    if (snprintf(behind, sizeof(behind), "%.*s%s", folder, path, create->backing) >= (int)sizeof(behind))
        return fail(EXIT_USAGE, "%s: the path is too long", create->backing), false;
    r->backing = "yes";
    image = open_image(r, behind, create->backing_format, false, true);
    if (!image)
        return false;
    if (!create->size)
        create->size = image->size;
    create->backing_format = image->ops->name;
    image_close(image);
    return true;
}

/* What the options say of an image that is made. */
static struct image_create_options new_image(const struct request *r, const char *path)
{
    return (struct image_create_options){.path = path,
                                         .format = r->format ? r->format : "qcow2",
                                         .cluster_size = r->cluster_size,
                                         .backing = r->backing,
                                         .backing_format = r->backing_format,
                                         .zstd = r->zstd,
                                         .lazy_refcounts = r->lazy,
                                         .version2 = r->version2};
}

static int create(struct request *r)
{
    struct image_create_options create = new_image(r, r->argument[0]);
    char why[400];

    if (r->arguments > 1 && !read_size(r->argument[1], &create.size))
        return fail(EXIT_USAGE, "\"%s\" is not a size; give a number of bytes, or one with K, M, G or T",
                    r->argument[1]);
    if (r->arguments < 2 && !r->backing)
        return fail(EXIT_USAGE, "create needs a size, like 'oxbow image create %s 10G'", r->argument[0]);
    if (create.backing && !look_at_backing(r, create.path, &create))
        return EXIT_USAGE;
    return image_create(&create, why, sizeof(why)) ? 0 : fail(EXIT_USAGE, "%s", why);
}

/* info */

static void print_size(const char *what, uint64_t bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    unsigned unit = 0;

    for (; value >= 1024 && unit < 6; unit++)
        value /= 1024;
    printf("%-16s%.4g %s (%" PRIu64 " bytes)\n", what, value, units[unit], bytes);
}

static void print_info(const char *path, const struct image *image, const struct image_info *info,
                       uint64_t actual)
{
    printf("%-16s%s\n%-16s%s\n", "image", path, "format", image->ops->name);
    print_size("disk", image->size);
    if (actual)
        print_size("on the host", actual);
    if (info->cluster_size)
        print_size("cluster", info->cluster_size);
    if (info->version)
        printf("%-16s%u\n", "version", info->version);
    if (info->compression)
        printf("%-16s%s\n", "compression", info->compression);
    if (*info->backing)
        printf("%-16s%s%s%s%s\n", "backing file", info->backing, *info->backing_format ? " (" : "",
               info->backing_format, *info->backing_format ? ")" : "");
    if (info->dirty)
        printf("%-16syes: refcounts are repaired when it is opened for writing\n", "dirty");
    if (info->corrupt)
        printf("%-16syes\n", "corrupt");
    for (unsigned n = 0; n < info->snapshot_count; n++) {
        const struct image_snapshot *snapshot = &info->snapshots[n];
        time_t seconds = (time_t)snapshot->seconds;
        char when[40] = "";
        struct tm tm;

        if (gmtime_r(&seconds, &tm))
            strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S UTC", &tm);
        printf("%-16s%s \"%s\" of %s, state %" PRIu64 " bytes\n", n ? "" : "snapshots", snapshot->id,
               snapshot->name, when, snapshot->state_size);
    }
}

static void add_text(struct json_object *to, const char *key, const char *text)
{
    json_object_object_add(to, key, json_object_new_string(text));
}

static void add_number(struct json_object *to, const char *key, uint64_t number)
{
    json_object_object_add(to, key, json_object_new_uint64(number));
}

static void add_flag(struct json_object *to, const char *key, bool flag)
{
    json_object_object_add(to, key, json_object_new_boolean(flag));
}

/* With the names that qemu-img has. */
static void print_json(const char *path, const struct image *image, const struct image_info *info,
                       uint64_t actual)
{
    struct json_object *top = json_object_new_object(), *list;

    add_text(top, "filename", path);
    add_text(top, "format", image->ops->name);
    add_number(top, "virtual-size", image->size);
    add_number(top, "actual-size", actual);
    if (info->cluster_size)
        add_number(top, "cluster-size", info->cluster_size);
    if (*info->backing)
        add_text(top, "backing-filename", info->backing);
    if (*info->backing_format)
        add_text(top, "backing-filename-format", info->backing_format);
    add_flag(top, "dirty-flag", info->dirty);
    if (info->snapshot_count) {
        list = json_object_new_array();
        for (unsigned n = 0; n < info->snapshot_count; n++) {
            struct json_object *one = json_object_new_object();

            add_text(one, "id", info->snapshots[n].id);
            add_text(one, "name", info->snapshots[n].name);
            add_number(one, "vm-state-size", info->snapshots[n].state_size);
            add_number(one, "date-sec", info->snapshots[n].seconds);
            add_number(one, "disk-size", info->snapshots[n].disk_size);
            json_object_array_add(list, one);
        }
        json_object_object_add(top, "snapshots", list);
    }
    if (info->version) {
        struct json_object *specific = json_object_new_object(), *data = json_object_new_object();

        add_text(specific, "type", image->ops->name);
        add_text(data, "compat", info->version == 2 ? "0.10" : "1.1");
        if (info->compression)
            add_text(data, "compression-type", info->compression);
        add_flag(data, "lazy-refcounts", info->lazy_refcounts);
        add_number(data, "refcount-bits", info->refcount_bits);
        add_flag(data, "corrupt", info->corrupt);
        json_object_object_add(specific, "data", data);
        json_object_object_add(top, "format-specific", specific);
    }
    puts(json_object_to_json_string_ext(top, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(top);
}

static int info(struct request *r)
{
    const char *path = r->argument[0];
    struct image *image = open_image(r, path, r->format, false, true);
    struct image_info info = {0};
    struct stat st;

    if (!image)
        return EXIT_USAGE;
    uint64_t actual = stat(path, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_blocks * 512 : 0;
    if (image->ops->info)
        image->ops->info(image, &info);
    (r->json ? print_json : print_info)(path, image, &info, actual);
    free(info.snapshots);
    image_close(image);
    return 0;
}

/* check */

static int check(struct request *r)
{
    struct image *image = open_image(r, r->argument[0], r->format, false, true);
    struct image_check result = {.out = stdout};
    struct image_info info = {0};
    int error;

    if (!image)
        return EXIT_USAGE;
    if (!image->ops->check) {
        fail(EXIT_USAGE, "%s: images of format %s have nothing that could be checked", r->argument[0],
             image->ops->name);
        image_close(image);
        return EXIT_USAGE;
    }
    error = image->ops->check(image, false, &result);
    image->ops->info(image, &info);
    free(info.snapshots);
    image_close(image);
    if (error)
        return fail(EXIT_HOST, "%s: can't be checked: %s", r->argument[0], strerror(error));
    printf("%" PRIu64 " errors, %" PRIu64 " leaked clusters, %" PRIu64 " of %" PRIu64 " clusters in use\n",
           result.errors, result.leaks, result.used, result.clusters);
    if (info.corrupt || info.dirty)
        printf("it is marked %s\n", info.corrupt ? "corrupt" : "dirty: refcounts may be wrong");
    if (!result.errors && !result.leaks && !info.corrupt && !info.dirty)
        return 0;
    if (!r->repair)
        return 1;
    /* Opened for writing, it is put right. */
    image = open_image(r, r->argument[0], r->format, true, true);
    if (!image)
        return EXIT_USAGE;
    result = (struct image_check){.out = stdout};
    error = image->ops->check(image, true, &result);
    if (!error)
        error = image_flush(image);
    image_close(image);
    if (error)
        return fail(EXIT_HOST, "%s: can't be repaired: %s", r->argument[0], strerror(error));
    puts(result.errors || result.leaks ? "not all of it could be repaired" : "repaired");
    return result.errors || result.leaks;
}

/* convert */

static int failed_copy(const struct image *image, int error)
{
    return fail(EXIT_HOST, "%s: %s", image->path, strerror(error));
}

/* Fills an image that was just made. */
static int fill(struct request *r, struct image *from, const struct image_create_options *create)
{
    struct image *to = open_image(r, create->path, create->format, true, false);
    const struct image *failed;
    int error;

    if (!to)
        return EXIT_USAGE;
    error = image_copy(from, to,
                       strcmp(create->format, "raw")
                           ? (create->cluster_size ? create->cluster_size : CLUSTER_USUAL)
                           : RAW_GRANULE,
                       create->backing, &failed);
    if (error)
        failed_copy(failed, error);
    image_close(to);
    return error ? EXIT_HOST : 0;
}

static int convert(struct request *r)
{
    struct image_create_options create = new_image(r, r->argument[1]);
    const char *backing = r->backing;
    struct image *from;
    char why[400];
    int status;

    /* What the source says is behind it is the user's word. */
    r->backing = "yes";
    from = open_image(r, r->argument[0], r->from_format, false, false);
    if (!from)
        return EXIT_USAGE;
    create.size = from->size;
    if (backing && !look_at_backing(r, create.path, &create))
        status = EXIT_USAGE;
    else if (!image_create(&create, why, sizeof(why)))
        status = fail(EXIT_USAGE, "%s", why);
    else if ((status = fill(r, from, &create)))
        unlink(create.path);
    image_close(from);
    return status;
}

/* commit */

static int copy_down(struct request *r, struct image *image, struct image *below)
{
    const struct image *failed = below;
    char why[400];
    int error = 0;

    if (below->size < image->size) {
        error = below->ops->resize ? below->ops->resize(below, image->size, why, sizeof(why)) : ENOTSUP;
        if (error == EINVAL)
            return fail(EXIT_USAGE, "%s", why);
    }
    if (!error)
        error = image_copy_down(image, below, &failed);
    if (error)
        return failed_copy(failed, error);
    /* Only now that it is durable below may it go here. */
    if (!r->keep)
        error = image->ops->empty(image);
    if (!error)
        error = image_flush(image);
    return error ? failed_copy(image, error) : 0;
}

static int commit(struct request *r)
{
    struct image *image = open_image(r, r->argument[0], r->format, !r->keep, true), *below;
    struct image_info info = {0};
    int status;

    if (!image)
        return EXIT_USAGE;
    if (image->ops->info)
        image->ops->info(image, &info);
    free(info.snapshots);
    if (!*info.backing || !*info.backing_path || !image->ops->empty) {
        image_close(image);
        if (*info.backing)
            return fail(EXIT_USAGE, "%s: its backing file \"%s\" lies outside its folder; add --backing yes",
                        r->argument[0], info.backing);
        return fail(EXIT_USAGE, "%s: has no backing file to commit to", r->argument[0]);
    }
    below = open_image(r, info.backing_path, *info.backing_format ? info.backing_format : NULL, true, false);
    status = below ? copy_down(r, image, below) : EXIT_USAGE;
    image_close(below);
    image_close(image);
    return status;
}

/* resize */

static int resize(struct request *r)
{
    const char *text = r->argument[1];
    char sign = *text == '+' || *text == '-' ? *text++ : 0;
    struct image *image;
    uint64_t size;
    char why[400] = "";
    int error;

    if (!read_size(text, &size))
        return fail(
            EXIT_USAGE,
            "\"%s\" is not a size; give a number of bytes, or one with K, M, G or T, + or - before it",
            r->argument[1]);
    image = open_image(r, r->argument[0], r->format, true, false);
    if (!image)
        return EXIT_USAGE;
    size = sign == '+'   ? image->size + size
           : sign == '-' ? (size < image->size ? image->size - size : 0)
                         : size;
    if (!size || size % IMAGE_SECTOR || size > INT64_MAX)
        error = fail(EXIT_USAGE, "a disk's size is a multiple of 512 bytes, and not 0");
    else if (size < image->size && !r->shrink)
        error =
            fail(EXIT_USAGE,
                 "%s: has %" PRIu64 " bytes; what lies behind %" PRIu64 " would be lost (--shrink does that)",
                 r->argument[0], image->size, size);
    else if (!image->ops->resize)
        error =
            fail(EXIT_USAGE, "%s: images of format %s can't be resized", r->argument[0], image->ops->name);
    else if ((error = image->ops->resize(image, size, why, sizeof(why))))
        error = fail(error == EINVAL ? EXIT_USAGE : EXIT_HOST, "%s%s%s", *why ? "" : r->argument[0],
                     *why ? "" : ": ", *why ? why : strerror(error));
    image_close(image);
    return error;
}

static const struct {
    const char *name;
    int (*run)(struct request *r);
    int least, most; /* arguments */
    const char *usage;
} subcommands[] = {
    {"create", create, 1, 2,
     "create [--format raw|qcow2] [--backing FILE [--backing-format F]] [--cluster-size SIZE] FILE [SIZE]"},
    {"info", info, 1, 1, "info [--json] FILE"},
    {"check", check, 1, 1, "check [--repair] FILE"},
    {"convert", convert, 2, 2,
     "convert [--from FORMAT] [--format raw|qcow2] [--backing FILE] [--cluster-size SIZE] FILE NEW"},
    {"commit", commit, 1, 1, "commit [--keep] [--backing yes] FILE"},
    {"resize", resize, 2, 2, "resize [--shrink] FILE [+|-]SIZE"},
};

static void usage(FILE *out)
{
    for (size_t n = 0; n < sizeof(subcommands) / sizeof(*subcommands); n++)
        fprintf(out, "%s oxbow image %s\n", n ? "      " : "usage:", subcommands[n].usage);
    fprintf(out, "New qcow2 images also take --zstd, --lazy-refcounts and --compat 0.10 (version 2).\n");
}

static const struct option longs[] = {{"format", required_argument, NULL, 'f'},
                                      {"from", required_argument, NULL, 'F'},
                                      {"backing", required_argument, NULL, 'b'},
                                      {"backing-format", required_argument, NULL, 'B'},
                                      {"cluster-size", required_argument, NULL, 'c'},
                                      {"json", no_argument, NULL, 'j'},
                                      {"repair", no_argument, NULL, 'r'},
                                      {"shrink", no_argument, NULL, 's'},
                                      {"keep", no_argument, NULL, 'k'},
                                      {"zstd", no_argument, NULL, 'z'},
                                      {"lazy-refcounts", no_argument, NULL, 'l'},
                                      {"compat", required_argument, NULL, 'C'},
                                      {"help", no_argument, NULL, 'h'},
                                      {NULL, 0, NULL, 0}};

/* One option; false: said. */
static bool take(struct request *r, int letter, const char *word)
{
    uint64_t size;

    switch (letter) {
    case 'f':
        r->format = optarg;
        return true;
    case 'F':
        r->from_format = optarg;
        return true;
    case 'b':
        r->backing = optarg;
        return true;
    case 'B':
        r->backing_format = optarg;
        return true;
    case 'c':
        if (!read_size(optarg, &size) || size > UINT32_MAX || !size)
            return fail(0, "\"%s\" is not a size for clusters", optarg), false;
        r->cluster_size = (uint32_t)size;
        return true;
    case 'j':
        return r->json = true;
    case 'r':
        return r->repair = true;
    case 's':
        return r->shrink = true;
    case 'k':
        return r->keep = true;
    case 'z':
        return r->zstd = true;
    case 'l':
        return r->lazy = true;
    case 'C':
        r->version2 = !strcmp(optarg, "0.10") || !strcmp(optarg, "v2");
        if (r->version2 || !strcmp(optarg, "1.1") || !strcmp(optarg, "v3"))
            return true;
        return fail(0, "--compat is 0.10 or 1.1, not \"%s\"", optarg), false;
    case ':':
        return fail(0, "%s needs a value", word), false;
    default:
        return fail(0, "there is no option %s; oxbow image --help lists them", word), false;
    }
}

int image_command(int argc, char **argv)
{
    struct request r = {.command = argc > 1 ? argv[1] : ""};
    size_t n = 0;
    int letter;

    if (!strcmp(r.command, "--help") || !strcmp(r.command, "-h") || !strcmp(r.command, "help"))
        return usage(stdout), 0;
    while (n < sizeof(subcommands) / sizeof(*subcommands) && strcmp(subcommands[n].name, r.command))
        n++;
    if (n == sizeof(subcommands) / sizeof(*subcommands))
        return *r.command
                   ? fail(EXIT_USAGE,
                          "there is no \"%.40s\"; choose from create, info, check, convert, commit, resize",
                          r.command)
                   : (usage(stderr), EXIT_USAGE);
    log_init(&r.log, stderr);
    optind = 0;
    opterr = 0;
    while ((letter = getopt_long(argc - 1, argv + 1, ":f:b:", longs, NULL)) != -1) {
        if (letter == 'h')
            return usage(stdout), 0;
        if (!take(&r, letter, argv[optind]))
            return EXIT_USAGE;
    }
    r.arguments = argc - 1 - optind;
    if (r.arguments < subcommands[n].least || r.arguments > subcommands[n].most)
        return fail(EXIT_USAGE, "usage: oxbow image %s", subcommands[n].usage);
    for (int i = 0; i < r.arguments; i++)
        r.argument[i] = argv[1 + optind + i];
    return subcommands[n].run(&r);
}
