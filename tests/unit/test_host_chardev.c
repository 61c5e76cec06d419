/* Character devices: what goes in comes out, on ptys, sockets, pipes, files and a terminal. */
#define _GNU_SOURCE
#include "host/chardev.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static struct loop *loop;
static struct log host_log;
static char why[300], logged[300], dir[32];

/* A chip with room for `room` bytes. */
struct chip {
    uint8_t data[8192];
    size_t count, room, largest;
};

static struct chip chip;

static size_t chip_room(void *opaque)
{
    return ((struct chip *)opaque)->room;
}

static void chip_receive(void *opaque, const uint8_t *data, size_t size)
{
    struct chip *c = opaque;

    ck_assert_uint_le(size, c->room);
    ck_assert_uint_le(c->count + size, sizeof(c->data));
    memcpy(c->data + c->count, data, size);
    c->count += size;
    c->room -= size;
    if (size > c->largest)
        c->largest = size;
}

static void keep_line(void *opaque, enum log_level level, const char *line)
{
    (void)opaque;
    (void)level;
    snprintf(logged, sizeof(logged), "%s", line);
}

static void setup(void)
{
    loop = loop_new();
    log_init(&host_log, stderr);
    host_log.enabled = 0;
    host_log.tap = keep_line;
    why[0] = logged[0] = 0;
    memset(&chip, 0, sizeof(chip));
    chip.room = sizeof(chip.data);
    strcpy(dir, "/tmp/test_chardev.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void teardown(void)
{
    loop_free(loop);
    rmdir(dir);
}

static struct chardev *open_chr(const char *spec)
{
    struct chardev *chr = host_chardev_open(spec, loop, &host_log, why, sizeof(why));

    ck_assert_msg(chr != NULL, "%s", why);
    chr->receiver = (struct char_receiver){chip_room, chip_receive, &chip};
    return chr;
}

/* Until the chip has `count` bytes; the test's time-out is the bound. */
static void run_until(size_t count)
{
    while (chip.count < count)
        loop_run_once(loop, NULL, NULL);
}

/* Whatever is ready now, without sleeping. */
static void run_ready(void)
{
    for (int i = 0; i < 4; i++) {
        loop_kick(loop);
        loop_run_once(loop, NULL, NULL);
    }
}

static void read_exactly(int fd, char *to, size_t size)
{
    while (size) {
        ssize_t got = read(fd, to, size);
        ck_assert_int_gt(got, 0);
        to += got;
        size -= (size_t)got;
    }
}

START_TEST(bad_names_are_refused)
{
    const char *bad[] = {
        "", "stdin", "file:", "unix:", "file", "ptyx", "file:/no/such/dir/x", "unix:/no/such/dir/x"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        why[0] = 0;
        ck_assert_ptr_null(host_chardev_open(bad[i], loop, &host_log, why, sizeof(why)));
        ck_assert_str_ne(why, "");
    }
    char spec[300] = "unix:/";
    memset(spec + 6, 'x', 200);
    ck_assert_ptr_null(host_chardev_open(spec, loop, &host_log, why, sizeof(why)));
    ck_assert(strstr(why, "too long") != NULL);
}
END_TEST

START_TEST(none_swallows)
{
    struct chardev *chr = open_chr("none");

    chardev_write(chr, (const uint8_t *)"x", 1);
    chardev_room_changed(chr);
    chr->close(chr);
}
END_TEST

START_TEST(file_gets_every_byte)
{
    char spec[64], text[64] = "";

    snprintf(spec, sizeof(spec), "file:%s/out", dir);
    struct chardev *chr = open_chr(spec);
    for (const char *c = "Hello, serial\n"; *c; c++)
        chardev_write(chr, (const uint8_t *)c, 1);
    chr->close(chr);
    FILE *in = fopen(spec + 5, "r");
    ck_assert_ptr_nonnull(in);
    ck_assert_uint_eq(fread(text, 1, sizeof(text), in), 14);
    ck_assert_str_eq(text, "Hello, serial\n");
    fclose(in);
    unlink(spec + 5);
}
END_TEST

START_TEST(pty_both_ways)
{
    struct chardev *chr = open_chr("pty");
    char text[16] = "";
    char *name = strstr(logged, "/dev/");

    ck_assert_ptr_nonnull(name);
    /* Written before anybody listens, read after. */
    chardev_write(chr, (const uint8_t *)"boot\n", 5);
    int fd = open(name, O_RDWR | O_NOCTTY);
    ck_assert_int_ge(fd, 0);
    read_exactly(fd, text, 5);
    ck_assert_str_eq(text, "boot\n");
    ck_assert_int_eq(write(fd, "l\003s\r", 4), 4);
    run_until(4);
    ck_assert_mem_eq(chip.data, "l\003s\r", 4);
    close(fd);
    run_ready();
    chr->close(chr);
}
END_TEST

START_TEST(pty_without_reader_never_blocks)
{
    static uint8_t block[65536];
    struct chardev *chr = open_chr("pty");

    for (int i = 0; i < 40; i++)
        chardev_write(chr, block, sizeof(block));
    ck_assert(strstr(logged, "dropped") != NULL);
    chr->close(chr);
}
END_TEST

START_TEST(input_waits_for_room)
{
    struct chardev *chr = open_chr("pty");
    char sent[200];

    int fd = open(strstr(logged, "/dev/"), O_RDWR | O_NOCTTY);
    for (size_t i = 0; i < sizeof(sent); i++)
        sent[i] = (char)('0' + i % 10);
    chip.room = 16;
    ck_assert_int_eq(write(fd, sent, sizeof(sent)), sizeof(sent));
    run_until(16);
    run_ready();
    ck_assert_uint_eq(chip.count, 16);
    while (chip.count < sizeof(sent)) {
        size_t before = chip.count;
        chip.room = 1 + before % 5;
        size_t next = before + chip.room > sizeof(sent) ? sizeof(sent) : before + chip.room;
        chardev_room_changed(chr);
        /* Not from within the chip's own call. */
        ck_assert_uint_eq(chip.count, before);
        run_until(next);
        ck_assert_uint_eq(chip.count, next);
    }
    ck_assert_mem_eq(chip.data, sent, sizeof(sent));
    close(fd);
    chr->close(chr);
}
END_TEST

/* --- the socket ---------------------------------------------------------------------------------- */

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

START_TEST(socket_one_client_at_a_time)
{
    char spec[64], text[16] = "";
    struct stat st;

    snprintf(spec, sizeof(spec), "unix:%s/s", dir);
    struct chardev *chr = open_chr(spec);
    ck_assert_int_eq(stat(spec + 5, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    chardev_write(chr, (const uint8_t *)"lost", 4);

    int first = connect_to(spec + 5), second = connect_to(spec + 5);
    run_ready();
    chardev_write(chr, (const uint8_t *)"hi", 2);
    read_exactly(first, text, 2);
    ck_assert_str_eq(text, "hi");
    ck_assert_int_eq(read(second, text, 1), 0);
    close(second);
    ck_assert_int_eq(write(first, "in", 2), 2);
    run_until(2);
    ck_assert_mem_eq(chip.data, "in", 2);
    /* Half closed: still receives. */
    shutdown(first, SHUT_WR);
    run_ready();
    chardev_write(chr, (const uint8_t *)"bye", 3);
    read_exactly(first, text, 3);
    close(first);
    run_ready();
    /* The next one. */
    first = connect_to(spec + 5);
    ck_assert_int_eq(write(first, "new", 3), 3);
    run_until(5);
    ck_assert_mem_eq(chip.data + 2, "new", 3);
    chr->close(chr);
    ck_assert_int_eq(read(first, text, 1), 0);
    close(first);
    ck_assert_int_ne(stat(spec + 5, &st), 0);
}
END_TEST

START_TEST(socket_client_leaves_while_input_is_paused)
{
    char spec[64];

    snprintf(spec, sizeof(spec), "unix:%s/s", dir);
    struct chardev *chr = open_chr(spec);
    chip.room = 0;
    int fd = connect_to(spec + 5);
    ck_assert_int_eq(write(fd, "x", 1), 1);
    run_ready();
    close(fd);
    run_ready();
    chardev_write(chr, (const uint8_t *)"nobody", 6);
    fd = connect_to(spec + 5);
    run_ready();
    chip.room = 100;
    ck_assert_int_eq(write(fd, "y", 1), 1);
    run_until(1);
    ck_assert_int_eq(chip.data[0], 'y');
    close(fd);
    chr->close(chr);
}
END_TEST

START_TEST(socket_slow_client_is_bounded_and_resumes)
{
    static uint8_t block[65536];
    static char back[65536];
    char spec[64];
    size_t total = 0;

    snprintf(spec, sizeof(spec), "unix:%s/s", dir);
    struct chardev *chr = open_chr(spec);
    int fd = connect_to(spec + 5);
    run_ready();
    for (int i = 0; i < 4; i++)
        chardev_write(chr, block, sizeof(block));
    /* What didn't fit into the socket comes as it is read. */
    while (total < 4 * sizeof(block)) {
        ssize_t got = recv(fd, back, sizeof(back), MSG_DONTWAIT);
        if (got > 0)
            total += (size_t)got;
        run_ready();
    }
    ck_assert_str_eq(logged, "");
    for (int i = 0; i < 64; i++)
        chardev_write(chr, block, sizeof(block));
    ck_assert(strstr(logged, "dropped") != NULL);
    close(fd);
    chr->close(chr);
}
END_TEST

START_TEST(socket_stale_file_is_replaced_others_are_not)
{
    char spec[64];
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(spec, sizeof(spec), "unix:%s/s", dir);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", dir);
    int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(dead, (struct sockaddr *)&address, sizeof(address)), 0);
    close(dead);
    struct chardev *chr = open_chr(spec);
    ck_assert_ptr_null(host_chardev_open(spec, loop, &host_log, why, sizeof(why)));
    ck_assert(strstr(why, "in use") != NULL);
    chr->close(chr);

    int fd = open(spec + 5, O_CREAT | O_WRONLY, 0600);
    close(fd);
    ck_assert_ptr_null(host_chardev_open(spec, loop, &host_log, why, sizeof(why)));
    ck_assert(strstr(why, "not a socket") != NULL);
    ck_assert_int_eq(unlink(spec + 5), 0);
}
END_TEST

/* --- standard streams, in a child process -------------------------------------------------------- */

/* The child: says "ready", gives back what it gets, ends with 7 on Ctrl-A x and 8 after `want` bytes. */
static void echo_child(size_t room, size_t want)
{
    struct chardev *chr = host_chardev_open("stdio", loop, &host_log, why, sizeof(why));
    size_t echoed = 0;

    if (!chr || host_chardev_open("stdio", loop, &host_log, why, sizeof(why)))
        _exit(1);
    chr->receiver = (struct char_receiver){chip_room, chip_receive, &chip};
    chip.room = room;
    chardev_write(chr, (const uint8_t *)"ready\n", 6);
    while (echoed < want && loop_run_once(loop, NULL, NULL)) {
        chardev_write(chr, chip.data + echoed, chip.count - echoed);
        echoed = chip.count;
        if (!chip.room && room) {
            chip.room = room;
            chardev_room_changed(chr);
        }
    }
    chr->close(chr);
    _exit(loop_quitting(loop) ? 7 : 8);
}

static int child_status(pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0)
        ck_assert_int_eq(errno, EINTR);
    return status;
}

START_TEST(pipes_lose_nothing)
{
    int in[2], out[2];
    char sent[5000], back[sizeof(sent) + 6];

    for (size_t i = 0; i < sizeof(sent); i++)
        sent[i] = (char)(i * 7); /* Ctrl-A among them: not special in a pipe */
    ck_assert_int_eq(pipe(in), 0);
    ck_assert_int_eq(pipe(out), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (!pid) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[0]);
        close(in[1]);
        close(out[0]);
        close(out[1]);
        echo_child(16, sizeof(sent));
    }
    close(in[0]);
    close(out[1]);
    ck_assert_int_eq(write(in[1], sent, sizeof(sent)), sizeof(sent));
    close(in[1]);
    read_exactly(out[0], back, sizeof(back));
    ck_assert_mem_eq(back + 6, sent, sizeof(sent));
    ck_assert_int_eq(read(out[0], back, 1), 0);
    int status = child_status(pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 8);
    close(out[0]);
}
END_TEST

/* `before` are the terminal's settings as the child finds them. */
static struct termios before;

static pid_t terminal_child(int *master, int *slave, size_t room)
{
    *master = posix_openpt(O_RDWR | O_NOCTTY);
    ck_assert_int_eq(grantpt(*master), 0);
    ck_assert_int_eq(unlockpt(*master), 0);
    *slave = open(ptsname(*master), O_RDWR | O_NOCTTY);
    ck_assert_int_ge(*slave, 0);
    tcgetattr(*slave, &before);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (!pid) {
        setsid();
        ioctl(*slave, TIOCSCTTY, 0);
        dup2(*slave, 0);
        dup2(*slave, 1);
        echo_child(room, SIZE_MAX);
    }
    return pid;
}

START_TEST(terminal_keys_and_restore)
{
    int master, slave;
    struct termios during, after;
    char text[300] = "";

    pid_t pid = terminal_child(&master, &slave, 1000);
    read_exactly(master, text, 7);
    ck_assert_str_eq(text, "ready\r\n");
    tcgetattr(slave, &during);
    ck_assert_uint_eq(during.c_lflag & (ICANON | ECHO | ISIG), 0);
    ck_assert_uint_ne(during.c_oflag & OPOST, 0);
    /* Ctrl-C is the guest's, Ctrl-A twice is one, Ctrl-A b nothing, Ctrl-A h help. */
    ck_assert_int_eq(write(master, "a\003\001\001\001bz\r", 8), 8);
    read_exactly(master, text, 5);
    ck_assert_mem_eq(text, "a\003\001z\r", 5);
    ck_assert_int_eq(write(master, "\001h", 2), 2);
    read_exactly(master, text, 20);
    ck_assert(strstr(text, "Ctrl-A x") != NULL);
    ck_assert_int_eq(write(master, "\001x", 2), 2);
    int status = child_status(pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    tcgetattr(slave, &after);
    ck_assert_uint_eq(after.c_lflag, before.c_lflag);
    ck_assert_uint_eq(after.c_iflag, before.c_iflag);
    ck_assert_uint_eq(after.c_cflag, before.c_cflag);
    close(master);
    close(slave);
}
END_TEST

START_TEST(terminal_quits_with_a_deaf_guest)
{
    int master, slave;
    char text[8];

    pid_t pid = terminal_child(&master, &slave, 0);
    read_exactly(master, text, 7);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(write(master, "keys that nobody reads", 22), 22);
    ck_assert_int_eq(write(master, "\001x", 2), 2);
    int status = child_status(pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    close(master);
    close(slave);
}
END_TEST

START_TEST(terminal_comes_back_after_signals)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGSEGV, SIGABRT};

    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        int master, slave;
        struct termios settings;
        char text[8];

        signal(signals[i], SIG_DFL); /* sanitizers hold some, and the child must die of it */
        pid_t pid = terminal_child(&master, &slave, 10);
        read_exactly(master, text, 7);
        tcgetattr(slave, &settings);
        ck_assert_uint_eq(settings.c_lflag & ICANON, 0);
        kill(pid, signals[i]);
        int status = child_status(pid);
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == signals[i]);
        tcgetattr(slave, &settings);
        ck_assert_uint_ne(settings.c_lflag & ICANON, 0);
        ck_assert_uint_ne(settings.c_lflag & ECHO, 0);
        close(master);
        close(slave);
    }
}
END_TEST

START_TEST(terminal_comes_back_while_stopped)
{
    int master, slave, status = 0;
    struct termios settings;
    char text[8];

    /* An orphaned process group ignores SIGTSTP's stop, so the child needs a session leader that isn't
     * itself. */
    pid_t leader = fork();
    ck_assert_int_ge(leader, 0);
    if (!leader) {
        setsid();
        master = posix_openpt(O_RDWR | O_NOCTTY);
        grantpt(master);
        unlockpt(master);
        slave = open(ptsname(master), O_RDWR);
        pid_t pid = fork();
        if (!pid) {
            setpgid(0, 0);
            signal(SIGTTOU, SIG_IGN);
            tcsetpgrp(slave, getpgrp());
            dup2(slave, 0);
            dup2(slave, 1);
            echo_child(10, SIZE_MAX);
        }
        for (size_t got = 0; got < 7;) {
            ssize_t n = read(master, text, 7 - got);
            if (n <= 0)
                _exit(1);
            got += (size_t)n;
        }
        kill(pid, SIGTSTP);
        if (waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status))
            _exit(2);
        tcgetattr(slave, &settings);
        if (!(settings.c_lflag & ICANON))
            _exit(3);
        kill(pid, SIGCONT);
        /* An echo shows that it is at work again. */
        if (write(master, "k", 1) != 1)
            _exit(4);
        /* Cooked, the key would wait for a line; so this returning says raw. The terminal may echo it first.
         */
        if (read(master, text, 1) != 1)
            _exit(5);
        if (write(master, "\001x", 2) != 2 || waitpid(pid, &status, 0) != pid)
            _exit(6);
        tcgetattr(slave, &settings);
        _exit(WIFEXITED(status) && WEXITSTATUS(status) == 7 && settings.c_lflag & ICANON ? 0 : 7);
    }
    status = child_status(leader);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "step %d", WEXITSTATUS(status));
}
END_TEST

Suite *host_chardev_suite(void);

Suite *host_chardev_suite(void)
{
    Suite *suite = suite_create("host_chardev");
    TCase *tc = tcase_create("chardev");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 20);
    tcase_add_test(tc, bad_names_are_refused);
    tcase_add_test(tc, none_swallows);
    tcase_add_test(tc, file_gets_every_byte);
    tcase_add_test(tc, socket_one_client_at_a_time);
    tcase_add_test(tc, socket_client_leaves_while_input_is_paused);
    tcase_add_test(tc, socket_slow_client_is_bounded_and_resumes);
    tcase_add_test(tc, socket_stale_file_is_replaced_others_are_not);
    tcase_add_test(tc, pipes_lose_nothing);
    suite_add_tcase(suite, tc);

    /* The runner leaves these out where the host has no pseudo-terminals. */
    tc = tcase_create("pty");
    tcase_set_tags(tc, "pty");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 20);
    tcase_add_test(tc, pty_both_ways);
    tcase_add_test(tc, pty_without_reader_never_blocks);
    tcase_add_test(tc, input_waits_for_room);
    tcase_add_test(tc, terminal_keys_and_restore);
    tcase_add_test(tc, terminal_quits_with_a_deaf_guest);
    tcase_add_test(tc, terminal_comes_back_after_signals);
    tcase_add_test(tc, terminal_comes_back_while_stopped);
    suite_add_tcase(suite, tc);
    return suite;
}
