/* Shared folders: what hostile messages, and a host that changes things meanwhile, can't bring about. */
#include "tests/unit/share_client.h"

START_TEST(no_way_leads_out)
{
    struct attributes root, a;

    ck_assert_int_eq(getattr(ROOT, &root), 0);
    ck_assert_int_eq(walk(2, ".."), 0);
    ck_assert_int_eq(getattr(2, &a), 0);
    ck_assert_uint_eq(a.path, root.path); /* it is its own parent */
    ck_assert_int_eq(clunk(2), 0);
    ck_assert_int_eq(walk(2, "dir/../../../.."), 0);
    ck_assert_int_eq(getattr(2, &a), 0);
    ck_assert_uint_eq(a.path, root.path);
    ck_assert_int_eq(clunk(2), 0);
    ck_assert_int_eq(walk(2, "../secret"), ENOENT);
    ck_assert_int_eq(walk(2, "up/secret"), ENOENT); /* a link is no folder */
    ck_assert_int_eq(walk(2, "to_dir/deep"), ENOENT);
    ck_assert_int_eq(walk(2, "absolute"), 0); /* the link itself, which can't be opened */
    ck_assert_int_eq(lopen(2, O_RDONLY), ELOOP);
    ck_assert_int_ne(setattr(2, 8, 0, 0, 0, 0), 0);
    ck_assert_int_eq(clunk(2), 0);
    ck_assert_int_eq(walk(2, "loop"), 0);
    ck_assert_int_eq(lopen(2, O_RDWR), ELOOP);
    ck_assert_int_eq(access(outside, F_OK), 0);
}
END_TEST

/* Names that are more than a name, in each message that has one. */
START_TEST(names_are_names)
{
    static const char *const names[] = {"",        ".",  "..", "../secret", "dir/../../secret", "/etc/passwd",
                                        "dir/new", "a/", "/"};
    struct stat st;

    for (size_t n = 0; n < sizeof(names) / sizeof(*names); n++) {
        const char *name = names[n];

        if (strcmp(name, "..")) {
            begin(P9_TWALK);
            put(ROOT, 4);
            put(2, 4);
            put(1, 2);
            put_text(name);
            ck_assert_int_eq(call(), ENOENT);
        }
        ck_assert_int_eq(walk(3, ""), 0);
        ck_assert_int_eq(lcreate(3, name, O_RDWR | O_CREAT, 0644), EINVAL);
        ck_assert_int_eq(clunk(3), 0);
        ck_assert_int_eq(mkdir_in(ROOT, name, 0755), EINVAL);
        ck_assert_int_eq(symlink_in(ROOT, name, "x"), EINVAL);
        ck_assert_int_eq(mknod_in(ROOT, name, S_IFREG | 0644, 0, 0), EINVAL);
        ck_assert_int_eq(unlink_in(ROOT, name, 0), EINVAL);
        ck_assert_int_eq(unlink_in(ROOT, name, AT_REMOVEDIR), EINVAL);
        ck_assert_int_eq(rename_in(ROOT, name, ROOT, "x"), EINVAL);
        ck_assert_int_eq(rename_in(ROOT, "file", ROOT, name), EINVAL);
        ck_assert_int_eq(walk(3, "file"), 0);
        begin(P9_TLINK);
        put(ROOT, 4);
        put(3, 4);
        put_text(name);
        ck_assert_int_eq(call(), EINVAL);
        begin(P9_TRENAME);
        put(3, 4);
        put(ROOT, 4);
        put_text(name);
        ck_assert_int_eq(call(), EINVAL);
        ck_assert_int_eq(clunk(3), 0);
    }
    begin(P9_TMKDIR); /* with a NUL in it */
    put(ROOT, 4);
    put(3, 2);
    put_bytes("a\0b", 3);
    put(0755, 4);
    put(0, 4);
    ck_assert_int_eq(call(), EINVAL);
    char longest[NAME_MAX + 2];
    memset(longest, 'x', sizeof(longest));
    longest[NAME_MAX + 1] = 0;
    ck_assert_int_eq(mkdir_in(ROOT, longest, 0755), ENAMETOOLONG);
    longest[NAME_MAX] = 0;
    ck_assert_int_eq(mkdir_in(ROOT, longest, 0755), 0);
    ck_assert_int_eq(stat(in("file"), &st), 0);
}
END_TEST

/* A link that is put in a folder's or file's place, between any two messages, isn't followed. */
START_TEST(places_that_become_links_stay_places)
{
    struct attributes a;
    uint32_t got;

    ck_assert_int_eq(walk(2, "dir"), 0);
    ck_assert_int_eq(walk(3, "file"), 0);
    char old[400];
    snprintf(old, sizeof(old), "%s", in("dir"));
    ck_assert_int_eq(rename(old, in("elsewhere")), 0);
    ck_assert_int_eq(symlink(folder, old), 0);
    snprintf(old, sizeof(old), "%s", in("file"));
    ck_assert_int_eq(unlink(old), 0);
    ck_assert_int_eq(symlink(outside, old), 0);

    ck_assert_int_eq(walk_from(2, 4, "secret"), ENOENT);
    ck_assert_int_eq(walk_from(2, 4, "deep"), 0); /* it is the folder that it was */
    ck_assert_int_eq(getattr(3, &a), 0);
    ck_assert_uint_eq(a.size, 8);
    ck_assert_int_eq(lopen(3, O_RDWR), 0);
    ck_assert_int_eq(read_at(3, 0, 10, &got), 0);
    ck_assert_int_eq(memcmp(reply + reply_at, "contents", 8), 0);
    ck_assert_int_eq(walk(5, ""), 0);
    ck_assert_int_eq(lcreate(5, "file", O_RDWR | O_CREAT | 01000, 0644), ELOOP);
    ck_assert_int_eq(walk(6, "dir"), 0);
    ck_assert_int_eq(lcreate(6, "new", O_RDWR | O_CREAT, 0644), ENOTDIR);
    ck_assert_int_eq(mkdir_in(6, "new", 0755), ENOTDIR);
    ck_assert_int_eq(rename_in(6, "secret", ROOT, "mine"), ENOTDIR);
    ck_assert_int_eq(unlink_in(6, "secret", 0), ENOTDIR);
    struct stat st;
    ck_assert_int_eq(stat(outside, &st), 0);
    ck_assert_uint_eq(st.st_size, 6);
}
END_TEST

/* A folder that the host moved out leads up to nowhere. */
START_TEST(up_from_outside_leads_nowhere)
{
    char moved[400], old[400];

    ck_assert_int_eq(walk(2, "dir/deep"), 0);
    snprintf(old, sizeof(old), "%s", in("dir"));
    snprintf(moved, sizeof(moved), "%s/moved", folder);
    ck_assert_int_eq(rename(old, moved), 0);
    ck_assert_int_eq(walk_from(2, 3, "../../secret"), ENOENT);
    ck_assert_int_eq(walk_from(2, 3, ".."), ENOENT);
}
END_TEST

static volatile bool racing;

/* Swaps a folder and a link to the outside as fast as the host can. */
static void *race(void *opaque)
{
    char place[200], link[200], spare[200];

    (void)opaque;
    snprintf(place, sizeof(place), "%s/place", inside);
    snprintf(link, sizeof(link), "%s/link", inside);
    snprintf(spare, sizeof(spare), "%s/spare", inside);
    while (racing) {
        if (rename(place, spare) || rename(link, place) || rename(place, link) || rename(spare, place))
            break;
    }
    return NULL;
}

START_TEST(races_lead_nowhere)
{
    pthread_t thread;
    unsigned reached = 0;

    ck_assert_int_eq(mkdir(in("place"), 0755), 0);
    make_file(in("place/here"), "");
    ck_assert_int_eq(symlink(folder, in("link")), 0);
    racing = true;
    ck_assert_int_eq(pthread_create(&thread, NULL, race, NULL), 0);
    for (unsigned n = 0; n < 3000; n++) {
        ck_assert_int_ne(walk(2, "place/secret"), 0);
        if (!walk(2, "place/here")) {
            reached++;
            clunk(2);
        }
        if (!walk(3, "place")) {
            ck_assert_int_ne(unlink_in(3, "secret", 0), 0);
            clunk(3);
        }
    }
    racing = false;
    pthread_join(thread, NULL);
    ck_assert_uint_gt(reached, 0);
    ck_assert_int_eq(access(outside, F_OK), 0);
}
END_TEST

/* Opening a FIFO would wait, opening a device would do something: neither is opened. */
START_TEST(nodes_are_not_opened)
{
    ck_assert_int_eq(mknod_in(ROOT, "pipe", S_IFIFO | 0666, 0, 0), 0);
    ck_assert_int_eq(walk(2, "pipe"), 0);
    ck_assert_int_eq(lopen(2, O_RDONLY), ENXIO);
    ck_assert_int_eq(lopen(2, O_RDWR), ENXIO);
    ck_assert_int_eq(setattr(2, 8, 0, 0, 0, 0), ENXIO);
    ck_assert_int_eq(walk(3, ""), 0);
    ck_assert_int_eq(lcreate(3, "pipe", O_RDWR | O_CREAT, 0644), ENXIO);
    ck_assert_int_eq(mknod_in(ROOT, "device", S_IFCHR | 0666, 1, 3), EPERM);
    ck_assert_int_eq(mknod_in(ROOT, "device", S_IFBLK | 0666, 8, 0), EPERM);
}
END_TEST

START_TEST(numbers_are_checked)
{
    ck_assert_int_eq(attach(ROOT), EBADF); /* in use */
    ck_assert_int_eq(attach(P9_NOFID), EBADF);
    ck_assert_int_eq(walk(2, "file"), 0);
    ck_assert_int_eq(walk(2, "dir"), EBADF);
    ck_assert_int_eq(walk_from(77, 3, ""), EBADF);
    ck_assert_int_eq(walk(ROOT, "dir"), 0); /* onto itself */
    ck_assert_int_eq(walk(3, "deep"), 0);
    ck_assert_int_eq(lopen(3, O_RDONLY), 0);
    ck_assert_int_eq(walk_from(3, 3, "leaf"), EBADF); /* open */
    ck_assert_int_eq(unlink_in(2, "x", 0), ENOTDIR);
    ck_assert_int_eq(clunk(1000), EBADF);
    begin(P9_TWALK);
    put(ROOT, 4);
    put(4, 4);
    put(17, 2);
    for (unsigned n = 0; n < 17; n++)
        put_text("..");
    ck_assert_int_eq(call(), EINVAL);
    begin(P9_TATTACH);
    put(9, 4);
    put(5, 4); /* there is no authentication */
    put_text("");
    put_text("");
    put(0, 4);
    ck_assert_int_eq(call(), EOPNOTSUPP);
    begin(102); /* Tauth */
    ck_assert_int_eq(call(), EOPNOTSUPP);
}
END_TEST

/* A walk that ends early answers with what it found, and the new number isn't taken. */
START_TEST(a_walk_may_end_early)
{
    begin(P9_TWALK);
    put(ROOT, 4);
    put(2, 4);
    put(3, 2);
    put_text("dir");
    put_text("nothing");
    put_text("more");
    ck_assert_int_eq(call(), 0);
    ck_assert_uint_eq(get(2), 1);
    ck_assert_int_eq(clunk(2), EBADF);
}
END_TEST

START_TEST(messages_are_cut_and_lie)
{
    struct iovec in_iov = {message, 0}, out_iov = {reply, sizeof(reply)};

    /* Every beginning of a message, with its true size and with a larger one. */
    begin(P9_TLCREATE);
    put(ROOT, 4);
    put_text("file");
    put(O_RDWR, 4);
    put(0644, 4);
    put(0, 4);
    size_t whole = message_size;
    for (size_t size = 0; size < whole; size++)
        for (unsigned lie = 0; lie < 2; lie++) {
            size_t said = lie ? whole : size;
            for (unsigned n = 0; n < 4; n++)
                message[n] = (uint8_t)(said >> 8 * n);
            in_iov.iov_len = size;
            size_t got = share_answer(server, &in_iov, 1, &out_iov, 1);
            if (size < P9_HEADER) {
                ck_assert_uint_eq(got, 0);
                continue;
            }
            ck_assert_uint_eq(got, P9_IO_HEADER);
            ck_assert_uint_eq(reply[4], P9_TLERROR + 1);
            ck_assert_uint_eq(reply[7], EPROTO);
        }
    /* No room for an answer, and for no more than an error. */
    begin(P9_TGETATTR);
    put(ROOT, 4);
    put(0, 8);
    message[0] = (uint8_t)message_size;
    in_iov.iov_len = message_size;
    out_iov.iov_len = 10;
    ck_assert_uint_eq(share_answer(server, &in_iov, 1, &out_iov, 1), 0);
    out_iov.iov_len = 20;
    ck_assert_uint_eq(share_answer(server, &in_iov, 1, &out_iov, 1), P9_IO_HEADER);
    ck_assert_uint_eq(reply[4], P9_TLERROR + 1);
    /* Counts beyond what is there. */
    uint32_t got;
    ck_assert_int_eq(walk(2, "file"), 0);
    ck_assert_int_eq(lopen(2, O_RDWR), 0);
    ck_assert_int_eq(read_at(2, 0, UINT32_MAX, &got), 0);
    ck_assert_uint_eq(got, 8);
    ck_assert_int_eq(read_at(2, UINT64_MAX, 1, &got), EINVAL);
    begin(P9_TWRITE);
    put(2, 4);
    put(0, 8);
    put(UINT32_MAX, 4);
    put_bytes("abc", 3);
    ck_assert_int_eq(call(), EPROTO);
    begin(P9_TREAD); /* larger than the session's messages */
    message_size = 100000;
    ck_assert_int_eq(version(8192), 0);
    begin(P9_TFLUSH);
    memset(message + message_size, 0, 9000);
    message_size += 9000;
    ck_assert_int_eq(call(), EMSGSIZE);
}
END_TEST

/* A message and an answer in pieces of any size are the same as in one. */
START_TEST(memory_comes_in_pieces)
{
    struct iovec in_iov[64], out_iov[600];
    unsigned count = 0, pieces = 0;
    uint8_t whole[64];

    ck_assert_int_eq(walk(2, "file"), 0);
    ck_assert_int_eq(lopen(2, O_RDWR), 0);
    begin(P9_TREAD);
    put(2, 4);
    put(0, 8);
    put(8, 4);
    message[0] = (uint8_t)message_size;
    for (; count < message_size; count++)
        in_iov[count] = (struct iovec){message + count, 1};
    memset(reply, 0, sizeof(reply));
    for (size_t at = 0; at < 600; at += pieces++ % 5)
        out_iov[pieces] = (struct iovec){reply + at, pieces % 5};
    ck_assert_uint_eq(share_answer(server, in_iov, count, out_iov, pieces), P9_IO_HEADER + 8);
    share_gather(whole, sizeof(whole), out_iov, pieces, 0);
    ck_assert_uint_eq(whole[4], P9_TREAD + 1);
    ck_assert_uint_eq(whole[7], 8);
    ck_assert_int_eq(memcmp(whole + P9_IO_HEADER, "contents", 8), 0);
}
END_TEST

/* With few descriptors, numbers beyond them still work, through renames of what is above them, too. */
START_TEST(numbers_outnumber_descriptors)
{
    struct attributes first, again;
    char name[40], from[400];

    server->paths_max = 20;
    ck_assert_int_eq(walk(2, "dir/deep"), 0);
    ck_assert_int_eq(walk(3, "dir/deep/leaf"), 0);
    ck_assert_int_eq(getattr(3, &first), 0);
    for (unsigned n = 0; n < 200; n++) {
        snprintf(name, sizeof(name), "n%u", n);
        make_file(in(name), "");
        ck_assert_int_eq(walk(1000 + n, name), 0);
    }
    ck_assert_uint_le(server->paths, 30);
    ck_assert_int_eq(rename_in(ROOT, "dir", ROOT, "renamed"), 0);
    ck_assert_int_eq(getattr(3, &again), 0);
    ck_assert_uint_eq(first.path, again.path);
    ck_assert_int_eq(walk_from(2, 4, "leaf"), 0);
    for (unsigned n = 0; n < 200; n++)
        ck_assert_int_eq(getattr(1000 + n, &again), 0);
    /* Something else in its place is another file. */
    snprintf(from, sizeof(from), "%s", in("n199"));
    ck_assert_int_eq(rename(from, in("n0")), 0);
    ck_assert_int_eq(getattr(1000, &again), ESTALE);
    for (unsigned n = 0; n < 200; n++)
        ck_assert_int_eq(clunk(1000 + n), 0);
}
END_TEST

START_TEST(numbers_are_limited)
{
    unsigned n = 0;
    int error = 0;

    server->paths_max = 16;
    server->fids = SHARE_FIDS_MAX - 10;
    while (!error && n < 100)
        error = walk(100 + n++, "file");
    ck_assert_int_eq(error, ENFILE);
    ck_assert_uint_eq(n, 11);
}
END_TEST

START_TEST(read_only_is_read_only)
{
    struct stat before, after;
    uint32_t got;

    serve(true, SHARE_OWNERS_HOST);
    ck_assert_int_eq(stat(in("file"), &before), 0);
    ck_assert_int_eq(walk(2, "file"), 0);
    ck_assert_int_eq(lopen(2, O_RDWR), EROFS);
    ck_assert_int_eq(lopen(2, O_WRONLY), EROFS);
    ck_assert_int_eq(lopen(2, O_RDONLY | 01000), EROFS);
    ck_assert_int_eq(setattr(2, 1, 0, 0, 0, 0), EROFS);
    ck_assert_int_eq(setattr(2, 8, 0, 0, 0, 0), EROFS);
    ck_assert_int_eq(mkdir_in(ROOT, "x", 0755), EROFS);
    ck_assert_int_eq(symlink_in(ROOT, "x", "y"), EROFS);
    ck_assert_int_eq(mknod_in(ROOT, "x", S_IFIFO, 0, 0), EROFS);
    ck_assert_int_eq(unlink_in(ROOT, "file", 0), EROFS);
    ck_assert_int_eq(rename_in(ROOT, "file", ROOT, "x"), EROFS);
    begin(P9_TXATTRCREATE);
    put(2, 4);
    put_text("user.x");
    put(0, 8);
    put(0, 4);
    ck_assert_int_eq(call(), EROFS);
    begin(P9_TLINK);
    put(ROOT, 4);
    put(2, 4);
    put_text("x");
    ck_assert_int_eq(call(), EROFS);
    ck_assert_int_eq(lopen(2, O_RDONLY), 0);
    ck_assert_int_eq(read_at(2, 0, 8, &got), 0);
    ck_assert_uint_eq(got, 8);
    ck_assert_int_eq(write_at(2, 0, "x", 1), EBADF);
    ck_assert_int_eq(lock_as(1, 1, 0, 0, 2), 0);
    ck_assert_int_eq(walk(3, ""), 0);
    ck_assert_int_eq(lcreate(3, "x", O_RDWR | O_CREAT, 0644), EROFS);
    begin(P9_TREMOVE);
    put(2, 4);
    ck_assert_int_eq(call(), EROFS);
    ck_assert_int_eq(stat(in("file"), &after), 0);
    ck_assert_int_eq(memcmp(&before.st_mtim, &after.st_mtim, sizeof(before.st_mtim)), 0);
}
END_TEST

START_TEST(folders_are_refused)
{
    struct host_share_options options = {.tag = "t", .path = "/nowhere/at/all"};

    ck_assert(share_server_new(&options, &log_, why, sizeof(why)) == NULL);
    ck_assert_str_eq(why, "/nowhere/at/all: no such folder");
    options.path = outside;
    ck_assert(share_server_new(&options, &log_, why, sizeof(why)) == NULL);
    ck_assert(strstr(why, "is not a folder") != NULL);
}
END_TEST

Suite *share_limits_suite(void);
Suite *share_limits_suite(void)
{
    Suite *suite = suite_create("share_limits");
    TCase *tests = tcase_create("tests");

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, no_way_leads_out);
    tcase_add_test(tests, names_are_names);
    tcase_add_test(tests, places_that_become_links_stay_places);
    tcase_add_test(tests, up_from_outside_leads_nowhere);
    tcase_add_test(tests, races_lead_nowhere);
    tcase_add_test(tests, nodes_are_not_opened);
    tcase_add_test(tests, numbers_are_checked);
    tcase_add_test(tests, a_walk_may_end_early);
    tcase_add_test(tests, messages_are_cut_and_lie);
    tcase_add_test(tests, memory_comes_in_pieces);
    tcase_add_test(tests, numbers_outnumber_descriptors);
    tcase_add_test(tests, numbers_are_limited);
    tcase_add_test(tests, read_only_is_read_only);
    tcase_add_test(tests, folders_are_refused);
    suite_add_tcase(suite, tests);
    return suite;
}
