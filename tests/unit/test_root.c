/* --share and --root: what their values may be, the RAM disk, and a kernel's modules in it. */
#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "core/options.h"
#include "host/folder.h"
#include "machine/root.h"

static struct options o;
static struct host_file initrd;
static struct root_modules modules;
static char folder[64], why[400];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void setup(void)
{
    options_init(&o);
    strcpy(folder, "/tmp/oxbow-root-XXXXXX");
    ck_assert(mkdtemp(folder) != NULL);
    memset(&initrd, 0, sizeof(initrd));
    memset(&modules, 0, sizeof(modules));
    modules.folder = -1;
}

static void teardown(void)
{
    options_free(&o);
    root_modules_close(&modules);
    host_file_free(&initrd);
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void make_bytes(const char *name, const void *data, size_t size)
{
    char path[200];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    for (char *slash = strchr(path + strlen(folder) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(path, 0755);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    ck_assert(file != NULL);
    ck_assert_uint_eq(fwrite(data, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

static void make(const char *name, const char *text)
{
    make_bytes(name, text, strlen(text));
}

/* --- Options */

START_TEST(shares_are_read)
{
    ck_assert(options_set(&o, "share", "work=/a/b,c", why, sizeof(why)));
    ck_assert(options_set(&o, "share", "x.y_z-1=/d,owners=mapped,readonly", why, sizeof(why)));
    ck_assert(options_set(&o, "root", "/tree,readonly", why, sizeof(why)));
    ck_assert_uint_eq(o.shares, 2);
    ck_assert_str_eq(o.share[0].tag, "work");
    ck_assert_str_eq(o.share[0].path, "/a/b,c"); /* a comma may be part of a name */
    ck_assert(!o.share[0].read_only && o.share[0].owners == OWNERS_USUAL);
    ck_assert_str_eq(o.share[1].path, "/d");
    ck_assert(o.share[1].read_only && o.share[1].owners == OWNERS_MAPPED);
    ck_assert_str_eq(o.root.path, "/tree");
    ck_assert(o.root.read_only);
}
END_TEST

START_TEST(shares_are_refused)
{
    static const char *const values[] = {"/folder",
                                         "=/folder",
                                         "a b=/folder",
                                         "tag=",
                                         "tag=,readonly",
                                         "tag=/f,owners=me",
                                         "a-tag-that-is-longer-than-anybody-types=/f"};

    for (size_t n = 0; n < sizeof(values) / sizeof(*values); n++) {
        ck_assert(!options_set(&o, "share", values[n], why, sizeof(why)));
        ck_assert_int_eq(strncmp(why, "--share: ", 9), 0);
    }
    for (unsigned n = 0; n < OPTIONS_SHARES; n++) {
        char value[20];
        snprintf(value, sizeof(value), "t%u=/f", n);
        ck_assert(options_set(&o, "share", value, why, sizeof(why)));
    }
    ck_assert(!options_set(&o, "share", "more=/f", why, sizeof(why)));
}
END_TEST

/* --- The RAM disk */

/* The next file of the archive; its contents' size. */
static size_t next_file(size_t *at, char *name, const uint8_t **data, unsigned *mode)
{
    const char *header = (const char *)initrd.data + *at;
    unsigned fields[13];

    ck_assert_uint_eq(*at % 4, 0);
    ck_assert_uint_le(*at + 110, initrd.size);
    ck_assert_int_eq(memcmp(header, "070701", 6), 0);
    for (unsigned n = 0; n < 13; n++) {
        char digits[9] = "";
        memcpy(digits, header + 6 + 8 * n, 8);
        fields[n] = (unsigned)strtoul(digits, NULL, 16);
    }
    *mode = fields[1];
    strcpy(name, header + 110);
    ck_assert_uint_eq(fields[11], strlen(name) + 1);
    *at += (110 + fields[11] + 3) & ~3u;
    *data = initrd.data + *at;
    *at += (fields[6] + 3) & ~3u;
    ck_assert_uint_le(*at, initrd.size);
    return fields[6];
}

START_TEST(the_archive_is_newc)
{
    const uint8_t *data;
    unsigned mode;
    char name[100];
    size_t at = 0;

    ck_assert(initrd_add(&initrd, "folder", S_IFDIR | 0755, 0, "", 0));
    ck_assert(initrd_add(&initrd, "init", S_IFREG | 0755, 0, "12345", 5));
    ck_assert(initrd_end(&initrd));
    ck_assert_uint_eq(next_file(&at, name, &data, &mode), 0);
    ck_assert_str_eq(name, "folder");
    ck_assert_uint_eq(mode, S_IFDIR | 0755);
    ck_assert_uint_eq(next_file(&at, name, &data, &mode), 5);
    ck_assert_str_eq(name, "init");
    ck_assert_int_eq(memcmp(data, "12345", 5), 0);
    ck_assert_uint_eq(next_file(&at, name, &data, &mode), 0);
    ck_assert_str_eq(name, "TRAILER!!!");
    ck_assert_uint_eq(at, initrd.size);
}
END_TEST

/* --- Modules */

static void open_modules(void)
{
    int fd = host_folder_open(folder, why, sizeof(why));

    ck_assert_msg(fd >= 0, "%s", why);
    ck_assert(root_modules_open(&modules, fd, &initrd));
}

static void order_is(const char *text)
{
    ck_assert_uint_eq(modules.order.size, strlen(text));
    ck_assert_int_eq(memcmp(modules.order.data, text, strlen(text)), 0);
}

/* As depmod lists them: what is to be loaded first stands last. */
START_TEST(needs_come_first)
{
    make(
        "modules.dep",
        "kernel/top.ko: kernel/mid-dle.ko kernel/low.ko\nkernel/mid-dle.ko: kernel/low.ko\nkernel/low.ko:\n");
    make("modules.builtin", "kernel/inside.ko\n");
    make("kernel/top.ko", "top");
    make("kernel/mid-dle.ko", "middle");
    make("kernel/low.ko", "low");
    open_modules();
    ck_assert(root_modules_add(&modules, "mid_dle", why, sizeof(why)));
    ck_assert(root_modules_add(&modules, "top", why, sizeof(why)));
    ck_assert(root_modules_add(&modules, "inside", why, sizeof(why)));
    order_is("low.ko\nmid-dle.ko\ntop.ko\n");
    ck_assert(root_modules_have(&modules, "low"));
    ck_assert(!root_modules_have(&modules, "nothing"));
    ck_assert(!root_modules_add(&modules, "nothing", why, sizeof(why)));
    ck_assert_str_eq(why, "nothing: the kernel has no such module");
}
END_TEST

/* Without depmod's list the modules say it themselves, packed or not. */
START_TEST(modules_say_what_they_need)
{
    static const char top[] = "\1\2\0license=x\0depends=low,packed\0more", low[] = "\0depends=\0",
                      packed[] = "\0depends=low\0";
    uint8_t gz[200];
    z_stream stream = {
        .next_in = (uint8_t *)packed, .avail_in = sizeof(packed), .next_out = gz, .avail_out = sizeof(gz)};
    const uint8_t *data;
    unsigned mode;
    char name[100];
    size_t at = 0;

    ck_assert_int_eq(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    ck_assert_int_eq(deflate(&stream, Z_FINISH), Z_STREAM_END);
    make("modules.order", "kernel/a/top.ko\nkernel/b/low.ko\nkernel/packed.ko.gz");
    make_bytes("kernel/a/top.ko", top, sizeof(top));
    make_bytes("kernel/b/low.ko", low, sizeof(low));
    make_bytes("kernel/packed.ko.gz", gz, stream.total_out);
    deflateEnd(&stream);
    open_modules();
    ck_assert_msg(root_modules_add(&modules, "top", why, sizeof(why)), "%s", why);
    order_is("low.ko\npacked.ko\ntop.ko\n");
    next_file(&at, name, &data, &mode);
    ck_assert_uint_eq(next_file(&at, name, &data, &mode), sizeof(packed));
    ck_assert_str_eq(name, "modules/packed.ko");
    ck_assert_int_eq(memcmp(data, packed, sizeof(packed)), 0);
}
END_TEST

START_TEST(what_is_wrong_with_modules_is_said)
{
    make("modules.order", "kernel/circle.ko\nkernel/gone.ko\nkernel/damaged.ko.gz\n");
    make_bytes("kernel/circle.ko", "\0depends=circle\0", 16);
    make("kernel/damaged.ko.gz", "this was never packed");
    open_modules();
    ck_assert(!root_modules_add(&modules, "circle", why, sizeof(why)));
    ck_assert_str_eq(why, "circle: needed in a circle");
    ck_assert(!root_modules_add(&modules, "gone", why, sizeof(why)));
    ck_assert_int_eq(strncmp(why, "kernel/gone.ko: ", 16), 0);
    ck_assert(!root_modules_add(&modules, "damaged", why, sizeof(why)));
    ck_assert_str_eq(why, "kernel/damaged.ko.gz: can't be unpacked");
}
END_TEST

/* Links in a system's folder lead where they would if it were all there is. */
START_TEST(folders_are_worlds_of_their_own)
{
    struct host_file file;
    char path[200];

    make("usr/lib/x", "inside");
    snprintf(path, sizeof(path), "%s/lib", folder);
    ck_assert_int_eq(symlink("/usr/lib", path), 0);
    snprintf(path, sizeof(path), "%s/out", folder);
    ck_assert_int_eq(symlink("../../../../etc/passwd", path), 0);
    int fd = host_folder_open(folder, why, sizeof(why));
    ck_assert(host_folder_read(&file, fd, "lib/x", 0, why, sizeof(why)));
    ck_assert_uint_eq(file.size, 6);
    host_file_free(&file);
    ck_assert(!host_folder_read(&file, fd, "out", 0, why, sizeof(why)));
    make("boot/vmlinuz-6.9.1", "");
    make("boot/vmlinuz-6.10.0", "");
    make("boot/other-7", "");
    ck_assert(host_folder_newest(fd, "boot", "vmlinuz", path, sizeof(path)));
    ck_assert_str_eq(path, "boot/vmlinuz-6.10.0");
    ck_assert(!host_folder_newest(fd, "nowhere", "vmlinuz", path, sizeof(path)));
    host_folder_close(fd);
}
END_TEST

Suite *root_suite(void);
Suite *root_suite(void)
{
    Suite *suite = suite_create("root");
    TCase *tests = tcase_create("tests");

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, shares_are_read);
    tcase_add_test(tests, shares_are_refused);
    tcase_add_test(tests, the_archive_is_newc);
    tcase_add_test(tests, needs_come_first);
    tcase_add_test(tests, modules_say_what_they_need);
    tcase_add_test(tests, what_is_wrong_with_modules_is_said);
    tcase_add_test(tests, folders_are_worlds_of_their_own);
    suite_add_tcase(suite, tests);
    return suite;
}
