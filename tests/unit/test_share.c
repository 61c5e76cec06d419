/* Shared folders: what 9P2000.L messages do to the folder, and in which order they are answered. */
#include "tests/unit/share_client.h"

START_TEST(version_is_agreed)
{
    ck_assert_int_eq(version(8192), 0);
    ck_assert_uint_eq(get(4), 8192);
    ck_assert_uint_eq(get(2), 8);
    ck_assert_int_eq(memcmp(reply + reply_at, "9P2000.L", 8), 0);
    /* A new session has nothing of the old one. */
    ck_assert_int_eq(walk(2, ""), EBADF);

    ck_assert_int_eq(version(1u << 30), 0);
    ck_assert_uint_eq(get(4), P9_MSIZE_MAX);
    ck_assert_int_eq(version(100), EMSGSIZE);
    begin(P9_TVERSION);
    put(8192, 4);
    put_text("9P2000");
    ck_assert_int_eq(call(), 0);
    get(4);
    ck_assert_uint_eq(get(2), 7);
    ck_assert_int_eq(memcmp(reply + reply_at, "unknown", 7), 0);
}
END_TEST

START_TEST(files_are_read_and_written)
{
    struct attributes a;
    uint32_t got;
    char text[32] = {0};

    ck_assert_int_eq(walk(2, "file"), 0);
    ck_assert_int_eq(getattr(2, &a), 0);
    ck_assert_uint_eq(a.size, 8);
    ck_assert_uint_eq(a.type, 0);
    ck_assert(S_ISREG(a.mode));
    ck_assert_int_eq(read_at(2, 0, 100, &got), EBADF); /* not open */
    ck_assert_int_eq(lopen(2, O_RDWR), 0);
    ck_assert_int_eq(lopen(2, O_RDWR), EINVAL);
    ck_assert_int_eq(read_at(2, 3, 100, &got), 0);
    ck_assert_uint_eq(got, 5);
    ck_assert_int_eq(memcmp(reply + reply_at, "tents", 5), 0);
    ck_assert_int_eq(read_at(2, 8, 100, &got), 0);
    ck_assert_uint_eq(got, 0);
    ck_assert_int_eq(write_at(2, 6, "NTS, more", 9), 0);
    ck_assert_uint_eq(get(4), 9);
    begin(P9_TFSYNC);
    put(2, 4);
    put(0, 4);
    ck_assert_int_eq(call(), 0);
    FILE *file = fopen(in("file"), "r");
    ck_assert(file != NULL && fgets(text, sizeof(text), file));
    fclose(file);
    ck_assert_str_eq(text, "contenNTS, more");
    ck_assert_int_eq(clunk(2), 0);
    ck_assert_int_eq(clunk(2), EBADF);
}
END_TEST

START_TEST(files_and_folders_are_made_with_their_mode)
{
    struct stat st;

    ck_assert_int_eq(walk(2, ""), 0);
    ck_assert_int_eq(lcreate(2, "new", O_WRONLY | O_CREAT | O_EXCL, 0646), 0);
    ck_assert_int_eq(write_at(2, 0, "x", 1), 0);
    ck_assert_int_eq(stat(in("new"), &st), 0);
    ck_assert_uint_eq(st.st_mode, S_IFREG | 0646); /* whatever our umask is */
    ck_assert_uint_eq(st.st_size, 1);
    ck_assert_int_eq(clunk(2), 0);
    ck_assert_int_eq(walk(2, ""), 0);
    ck_assert_int_eq(lcreate(2, "new", O_WRONLY | O_CREAT | O_EXCL, 0600), EEXIST);
    ck_assert_int_eq(lcreate(2, "new", O_RDWR | O_CREAT, 0600), 0); /* that is an open */

    ck_assert_int_eq(mkdir_in(ROOT, "folder", 01777), 0);
    ck_assert_int_eq(stat(in("folder"), &st), 0);
    ck_assert_uint_eq(st.st_mode, S_IFDIR | 01777);
    ck_assert_int_eq(mkdir_in(ROOT, "folder", 0755), EEXIST);
    ck_assert_int_eq(unlink_in(ROOT, "folder", 0), EISDIR);
    ck_assert_int_eq(unlink_in(ROOT, "folder", AT_REMOVEDIR), 0);
    ck_assert_int_eq(unlink_in(ROOT, "new", 0), 0);
    ck_assert_int_lt(stat(in("new"), &st), 0);
}
END_TEST

START_TEST(links_are_handed_over)
{
    struct attributes a;
    struct stat st;

    ck_assert_int_eq(walk(2, "up"), 0);
    ck_assert_int_eq(getattr(2, &a), 0);
    ck_assert_uint_eq(a.type, 2);
    ck_assert(S_ISLNK(a.mode));
    begin(P9_TREADLINK);
    put(2, 4);
    ck_assert_int_eq(call(), 0);
    ck_assert_uint_eq(get(2), 2);
    ck_assert_int_eq(memcmp(reply + reply_at, "..", 2), 0);
    ck_assert_int_eq(symlink_in(ROOT, "new", "/etc/passwd"), 0);
    ck_assert_int_eq(lstat(in("new"), &st), 0);
    ck_assert(S_ISLNK(st.st_mode));
    ck_assert_uint_eq(st.st_size, 11);

    begin(P9_TREADLINK);
    put(ROOT, 4);
    ck_assert_int_eq(call(), EINVAL);

    /* A second name for a file, and for a link itself. */
    ck_assert_int_eq(walk(3, "file"), 0);
    begin(P9_TLINK);
    put(ROOT, 4);
    put(3, 4);
    put_text("again");
    ck_assert_int_eq(call(), 0);
    ck_assert_int_eq(stat(in("again"), &st), 0);
    ck_assert_uint_eq(st.st_nlink, 2);
    begin(P9_TLINK);
    put(ROOT, 4);
    put(2, 4);
    put_text("up2");
    ck_assert_int_eq(call(), 0);
    ck_assert_int_eq(lstat(in("up2"), &st), 0);
    ck_assert(S_ISLNK(st.st_mode));
}
END_TEST

START_TEST(things_are_renamed)
{
    struct attributes a;
    struct stat st;

    ck_assert_int_eq(walk(2, "dir/deep"), 0);
    ck_assert_int_eq(rename_in(2, "leaf", ROOT, "moved"), 0);
    ck_assert_int_eq(stat(in("moved"), &st), 0);
    ck_assert_int_eq(walk(3, "moved"), 0);
    begin(P9_TRENAME);
    put(3, 4);
    put(2, 4);
    put_text("back");
    ck_assert_int_eq(call(), 0);
    ck_assert_int_eq(stat(in("dir/deep/back"), &st), 0);
    /* What is open, or just known, stays what it is. */
    ck_assert_int_eq(getattr(3, &a), 0);
    ck_assert_uint_eq(a.size, 4);
    begin(P9_TREMOVE);
    put(3, 4);
    ck_assert_int_eq(call(), 0);
    ck_assert_int_lt(stat(in("dir/deep/back"), &st), 0);
    ck_assert_int_eq(clunk(3), EBADF);
    begin(P9_TREMOVE);
    put(ROOT, 4);
    ck_assert_int_eq(call(), EBUSY);
}
END_TEST

START_TEST(what_is_unlinked_lives_while_it_is_known)
{
    struct attributes a;
    uint32_t got;

    ck_assert_int_eq(walk(2, "file"), 0);
    ck_assert_int_eq(walk(3, "file"), 0);
    ck_assert_int_eq(lopen(3, O_RDWR), 0);
    ck_assert_int_eq(unlink_in(ROOT, "file", 0), 0);
    ck_assert_int_eq(getattr(2, &a), 0);
    ck_assert_uint_eq(a.links, 0);
    ck_assert_int_eq(read_at(3, 0, 8, &got), 0);
    ck_assert_uint_eq(got, 8);
    ck_assert_int_eq(setattr(2, 8, 0, 0, 0, 3), 0);
    ck_assert_int_eq(getattr(3, &a), 0);
    ck_assert_uint_eq(a.size, 3);
}
END_TEST

START_TEST(folders_are_listed)
{
    char name[300];
    uint64_t offset = 0;
    unsigned entries = 0, turns = 0;

    for (unsigned n = 0; n < 500; n++) {
        snprintf(name, sizeof(name), "dir/%0*u", 1 + (int)n % 200, n);
        make_file(in(name), "");
    }
    ck_assert_int_eq(walk(2, "dir"), 0);
    ck_assert_int_eq(lopen(2, O_RDONLY | 0200000), 0);
    for (;;) {
        begin(P9_TREADDIR);
        put(2, 4);
        put(offset, 8);
        put(700, 4);
        ck_assert_int_eq(call(), 0);
        uint32_t size = (uint32_t)get(4);
        ck_assert_uint_le(size, 700);
        if (!size)
            break;
        for (size_t end = reply_at + size; reply_at < end; entries++) {
            get(5);
            get(8);
            offset = get(8);
            get(1);
            reply_at += get(2);
            ck_assert_uint_le(reply_at, end);
        }
        turns++;
    }
    ck_assert_uint_eq(entries, 500 + 3); /* with ".", ".." and deep */
    ck_assert_uint_gt(turns, 50);
    begin(P9_TREADDIR); /* no room for one */
    put(2, 4);
    put(0, 8);
    put(10, 4);
    ck_assert_int_eq(call(), EINVAL);
    begin(P9_TREADDIR); /* no place in it */
    put(2, 4);
    put(UINT64_MAX, 8);
    put(4000, 4);
    ck_assert_int_eq(call(), EINVAL);
}
END_TEST

START_TEST(attributes_are_set)
{
    struct stat st;

    ck_assert_int_eq(walk(2, "file"), 0);
    ck_assert_int_eq(setattr(2, 1 | 8 | 0x20 | 0x100, 0604, 0, 0, 2), 0);
    ck_assert_int_eq(stat(in("file"), &st), 0);
    ck_assert_uint_eq(st.st_mode, S_IFREG | 0604);
    ck_assert_uint_eq(st.st_size, 2);
    ck_assert_int_eq(st.st_mtim.tv_sec, 1234567890);
    ck_assert_int_eq(st.st_mtim.tv_nsec, 5);
    begin(P9_TSTATFS);
    put(2, 4);
    ck_assert_int_eq(call(), 0);
    ck_assert_uint_eq(get(4), 0x01021997);
    ck_assert_uint_gt(get(4), 0);
    ck_assert_uint_gt(get(8), 0);
}
END_TEST

START_TEST(extended_attributes_are_kept)
{
    char value[4096];
    uint32_t size;

    if (!host_share_can_map(inside))
        return;
    ck_assert_int_eq(walk(2, "file"), 0);
    ck_assert_int_eq(xattr_read(2, "user.a", value, &size), ENODATA);
    ck_assert_int_eq(xattr_write(2, "user.a", "something", 0), 0);
    ck_assert_int_eq(getxattr(in("file"), "user.a", value, sizeof(value)), 9);
    ck_assert_int_eq(xattr_read(2, "user.a", value, &size), 0);
    ck_assert_uint_eq(size, 9);
    ck_assert_int_eq(memcmp(value, "something", 9), 0);
    ck_assert_int_eq(xattr_read(2, "", value, &size), 0);
    ck_assert_int_eq(memcmp(value, "user.a", 7), 0);
    ck_assert_int_eq(xattr_write(2, "user.a", "x", XATTR_CREATE), EEXIST);
    ck_assert_int_eq(xattr_write(2, "user.b", "x", XATTR_REPLACE), ENODATA);
    ck_assert_int_eq(xattr_write(2, "user.c", "", 0), 0);
    ck_assert_int_eq(getxattr(in("file"), "user.c", value, sizeof(value)), 0);
    ck_assert_int_eq(xattr_write(2, "user.a", "", XATTR_REPLACE), 0); /* that removes it */
    ck_assert_int_lt(getxattr(in("file"), "user.a", value, sizeof(value)), 0);
    /* Larger than it was said to be, and not complete. */
    ck_assert_int_eq(walk_from(2, 50, ""), 0);
    begin(P9_TXATTRCREATE);
    put(50, 4);
    put_text("user.d");
    put(4, 8);
    put(0, 4);
    ck_assert_int_eq(call(), 0);
    ck_assert_int_eq(write_at(50, 0, "12345", 5), EINVAL);
    ck_assert_int_eq(write_at(50, 2, "12", 2), EINVAL);
    ck_assert_int_eq(write_at(50, 0, "123", 3), 0);
    ck_assert_int_eq(clunk(50), EINVAL);
    ck_assert_int_eq(walk_from(2, 50, ""), 0);
    begin(P9_TXATTRCREATE);
    put(50, 4);
    put_text("user.e");
    put(1ull << 40, 8);
    put(0, 4);
    ck_assert_int_eq(call(), E2BIG);
}
END_TEST

START_TEST(locks_hold_against_the_host_and_other_processes)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(in("file"), O_RDWR);

    ck_assert_int_eq(walk(2, "file"), 0);
    ck_assert_int_eq(lock_as(1, 1, 0, 0, 2), -EBADF);
    ck_assert_int_eq(lopen(2, O_RDWR), 0);
    ck_assert_int_eq(walk(3, "file"), 0);
    ck_assert_int_eq(lopen(3, O_RDWR), 0);
    ck_assert_int_eq(lock_as(1, 1, 0, 4, 2), 0);
    ck_assert_int_eq(lock_as(1, 1, 0, 8, 3), 0); /* the same process, by another number */
    ck_assert_int_eq(lock_as(2, 0, 4, 1, 3), 1); /* another: it would have to wait */
    ck_assert_int_lt(fcntl(fd, F_OFD_SETLK, &whole), 0);
    begin(P9_TGETLOCK);
    put(3, 4);
    put(1, 1);
    put(2, 8);
    put(0, 8);
    put(2, 4);
    put_text("client");
    ck_assert_int_eq(call(), 0);
    ck_assert_uint_eq(get(1), 1);
    ck_assert_uint_eq(get(8), 0);
    ck_assert_uint_eq(get(8), 8);
    ck_assert_int_eq(lock_as(1, 2, 0, 0, 2), 0);
    ck_assert_int_eq(fcntl(fd, F_OFD_SETLK, &whole), 0);
    ck_assert_int_eq(lock_as(1, 0, 0, 1, 2), 1);
    close(fd);
    /* With its number a lock goes. */
    ck_assert_int_eq(lock_as(5, 1, 0, 0, 3), 0);
    ck_assert_int_eq(clunk(3), 0);
    ck_assert_int_eq(lock_as(6, 1, 0, 0, 2), 0);
    ck_assert_int_eq(lock_as(6, 1, UINT64_MAX, 1, 2), -EINVAL);
    ck_assert_int_eq(lock_as(6, 9, 0, 1, 2), -EINVAL);
}
END_TEST

/* Owners, modes and nodes that only the host's root could make. */
START_TEST(owners_are_mapped)
{
    struct attributes a;
    struct stat st;
    char value[4096];
    uint32_t size;

    if (!host_share_can_map(inside))
        return;
    serve(false, SHARE_OWNERS_MAPPED);
    ck_assert_int_eq(walk(2, "file"), 0);
    ck_assert_int_eq(getattr(2, &a), 0);
    ck_assert_uint_eq(a.uid, 0); /* what is the user's is root's */
    ck_assert_uint_eq(a.gid, 0);
    ck_assert_int_eq(setattr(2, 1 | 2 | 4, 04751, 33, 44, 0), 0);
    ck_assert_int_eq(getattr(2, &a), 0);
    ck_assert_uint_eq(a.uid, 33);
    ck_assert_uint_eq(a.gid, 44);
    ck_assert_uint_eq(a.mode, S_IFREG | 04751);
    ck_assert_int_eq(stat(in("file"), &st), 0);
    ck_assert_uint_eq(st.st_uid, geteuid());
    ck_assert_uint_eq(st.st_mode, S_IFREG | 0751); /* no set-user-ID on the host */

    ck_assert_int_eq(mknod_in(ROOT, "sda", S_IFBLK | 0660, 8, 17), 0);
    ck_assert_int_eq(stat(in("sda"), &st), 0);
    ck_assert(S_ISREG(st.st_mode));
    ck_assert_int_eq(walk(3, "sda"), 0);
    ck_assert_int_eq(getattr(3, &a), 0);
    ck_assert_uint_eq(a.mode, S_IFBLK | 0660);
    ck_assert_uint_eq(a.rdev, 8 << 8 | 17);
    ck_assert_int_eq(lopen(3, O_RDWR), ENXIO);

    ck_assert_int_eq(walk(4, ""), 0);
    ck_assert_int_eq(lcreate(4, "shadow", O_RDWR | O_CREAT, 0), 0);
    ck_assert_int_eq(getattr(4, &a), 0);
    ck_assert_uint_eq(a.mode, S_IFREG | 0);
    ck_assert_int_eq(stat(in("shadow"), &st), 0);
    ck_assert_uint_eq(st.st_mode & 0700, 0600); /* we get at it nevertheless */

    /* Attributes of root's, under another name; our own can't be seen. */
    ck_assert_int_eq(xattr_write(2, "security.capability", "caps", 0), 0);
    ck_assert_int_eq(xattr_read(2, "security.capability", value, &size), 0);
    ck_assert_uint_eq(size, 4);
    ck_assert_int_lt(getxattr(in("file"), "security.capability", value, sizeof(value)), 0);
    ck_assert_int_eq(xattr_read(2, "", value, &size), 0);
    ck_assert_uint_eq(size, sizeof("security.capability"));
    ck_assert_int_eq(memcmp(value, "security.capability", size), 0);
    ck_assert_int_eq(xattr_write(2, SHARE_OWNER_XATTR, "0 0 0 0:0", 0), EPERM);
    ck_assert_int_eq(xattr_read(2, SHARE_OWNER_XATTR, value, &size), ENODATA);
    /* What says nothing new isn't kept. */
    ck_assert_int_eq(setattr(2, 1 | 2 | 4, 0644, 0, 0, 0), 0);
    ck_assert_int_lt(getxattr(in("file"), SHARE_OWNER_XATTR, value, sizeof(value)), 0);
    /* Nonsense in the attribute is none. */
    ck_assert_int_eq(setxattr(in("file"), SHARE_OWNER_XATTR, "1 2 40755 0:0", 13, 0), 0);
    ck_assert_int_eq(getattr(2, &a), 0);
    ck_assert_uint_eq(a.uid, 0);
    ck_assert(S_ISREG(a.mode));
}
END_TEST

/* --- The queue */

static struct loop *loop;
static unsigned completed;

struct ticket {
    struct share_request request;
    struct iovec in, out;
    uint8_t message[64], reply[200];
    unsigned turn;
    size_t size;
};

static void ticket_done(struct share_request *request, size_t size)
{
    struct ticket *ticket = request->opaque;

    ticket->turn = ++completed;
    ticket->size = size;
}

static void send_ticket(struct share *share, struct ticket *ticket, uint8_t type, uint16_t tag)
{
    begin(type);
    message[5] = (uint8_t)tag;
    if (type == P9_TVERSION) {
        put(8192, 4);
        put_text("9P2000.L");
    } else if (type == P9_TATTACH) {
        put(ROOT, 4);
        put(P9_NOFID, 4);
        put_text("");
        put_text("");
        put(0, 4);
    } else if (type == P9_TFLUSH) {
        put(2, 2); /* the attach */
    } else {
        put(ROOT, 4);
        put(0, 8);
    }
    message[0] = (uint8_t)message_size;
    memcpy(ticket->message, message, message_size);
    ticket->in = (struct iovec){ticket->message, message_size};
    ticket->out = (struct iovec){ticket->reply, sizeof(ticket->reply)};
    ticket->request = (struct share_request){.in = &ticket->in,
                                             .out = &ticket->out,
                                             .in_count = 1,
                                             .out_count = 1,
                                             .done = ticket_done,
                                             .opaque = ticket};
    share_submit(share, &ticket->request);
}

START_TEST(the_queue_keeps_what_order_there_is)
{
    struct host_share_options options = {.tag = "t", .path = inside};
    struct ticket version_ticket, attach_ticket, flush_ticket, many[50], last;

    loop = loop_new();
    struct share *share = host_share_open(&options, loop, &log_, why, sizeof(why));
    ck_assert_msg(share != NULL, "%s", why);
    for (unsigned turn = 0; turn < 50; turn++) {
        completed = 0;
        send_ticket(share, &version_ticket, P9_TVERSION, 1);
        send_ticket(share, &attach_ticket, P9_TATTACH, 2);
        send_ticket(share, &flush_ticket, P9_TFLUSH, 3);
        while (completed < 3)
            loop_run_once(loop, NULL, NULL);
        ck_assert_uint_eq(version_ticket.turn, 1);
        ck_assert_uint_lt(attach_ticket.turn, flush_ticket.turn);
        ck_assert_uint_eq(attach_ticket.reply[4], P9_TATTACH + 1);
        for (unsigned n = 0; n < 50; n++)
            send_ticket(share, &many[n], P9_TGETATTR, (uint16_t)(10 + n));
        send_ticket(share, &version_ticket, P9_TVERSION, 1);
        send_ticket(share, &last, P9_TGETATTR, 5);
        while (completed < 55)
            loop_run_once(loop, NULL, NULL);
        for (unsigned n = 0; n < 50; n++)
            ck_assert_uint_eq(many[n].reply[4], P9_TGETATTR + 1);
        ck_assert_uint_gt(version_ticket.turn, 50);
        ck_assert_uint_eq(last.turn, 55);
        ck_assert_uint_eq(last.reply[4], P9_TLERROR + 1); /* of the old session */
    }
    /* A reset: nobody is told, nothing is touched, nothing is left open. */
    send_ticket(share, &version_ticket, P9_TVERSION, 1);
    send_ticket(share, &attach_ticket, P9_TATTACH, 2);
    for (unsigned n = 0; n < 50; n++)
        send_ticket(share, &many[n], P9_TGETATTR, (uint16_t)(10 + n));
    share_reset(share);
    memset(many, 0xAA, sizeof(many));
    completed = 0;
    send_ticket(share, &last, P9_TGETATTR, 5);
    while (completed < 1)
        loop_run_once(loop, NULL, NULL);
    ck_assert_uint_eq(last.reply[4], P9_TLERROR + 1);
    share_close(share);
    loop_free(loop);
}
END_TEST

Suite *share_suite(void);
Suite *share_suite(void)
{
    Suite *suite = suite_create("share");
    TCase *tests = tcase_create("tests");

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, version_is_agreed);
    tcase_add_test(tests, files_are_read_and_written);
    tcase_add_test(tests, files_and_folders_are_made_with_their_mode);
    tcase_add_test(tests, links_are_handed_over);
    tcase_add_test(tests, things_are_renamed);
    tcase_add_test(tests, what_is_unlinked_lives_while_it_is_known);
    tcase_add_test(tests, folders_are_listed);
    tcase_add_test(tests, attributes_are_set);
    tcase_add_test(tests, extended_attributes_are_kept);
    tcase_add_test(tests, locks_hold_against_the_host_and_other_processes);
    tcase_add_test(tests, owners_are_mapped);
    tcase_add_test(tests, the_queue_keeps_what_order_there_is);
    suite_add_tcase(suite, tests);
    return suite;
}
