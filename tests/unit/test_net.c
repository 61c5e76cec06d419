/* The user network, cables to other machines and to the host, and the dump, against a card that keeps what it
 * gets. */
#include <arpa/inet.h>
#include <check.h>
#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "core/log.h"
#include "host/loop.h"
#include "host/net_dump.h"
#include "host/net_socket.h"
#include "host/net_tap.h"
#include "host/net_user.h"
#include "host/time.h"

#define PATIENCE 20 /* seconds */

static pthread_mutex_t lock;
static struct loop *loop;
static struct clock *guest;
static struct log quiet;
static char why[300];
static struct fake {
    uint8_t frame[8][2048];
    size_t size[8];
    unsigned count;
    bool full;
} card;

static bool card_ready(void *opaque)
{
    return !((struct fake *)opaque)->full;
}

static void card_receive(void *opaque, const uint8_t *frame, size_t size)
{
    struct fake *fake = opaque;

    ck_assert(!fake->full);
    if (fake->count < 8 && size <= 2048) {
        memcpy(fake->frame[fake->count], frame, size);
        fake->size[fake->count] = size;
    }
    fake->count++;
}

static void setup(void)
{
    pthread_mutexattr_t attributes;
    struct clock_source source;

    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
    memset(&quiet, 0, sizeof(quiet));
    memset(&card, 0, sizeof(card));
    loop = loop_new();
    source = host_clock_source(loop);
    guest = clock_new(&source);
    clock_start(guest);
    why[0] = 0;
}

static void teardown(void)
{
    clock_free(guest);
    loop_free(loop);
    pthread_mutex_destroy(&lock);
}

/* --- a network that echoes, for the dump */

static struct net *echoed_to;
static unsigned echoes;

static void echo(struct net *net, const uint8_t *frame, size_t size)
{
    (void)frame;
    (void)size;
    ck_assert(net == echoed_to);
    echoes++;
}

static void echo_close(struct net *net)
{
    ck_assert(net == echoed_to);
    echoed_to = NULL;
}

START_TEST(dump)
{
    struct net inner = {.send = echo, .close = echo_close, .up = true};
    char path[] = "/tmp/oxbow-net-XXXXXX";
    uint8_t frame[100] = {1, 2, 3};
    uint32_t words[6 + 4 + 25 + 4 + 15];

    close(mkstemp(path));
    echoed_to = &inner;
    echoes = 0;
    ck_assert_ptr_null(net_dump_open(&inner, "/nowhere/x", guest, &quiet, why, sizeof(why)));
    ck_assert_str_eq(why, "dump=/nowhere/x: No such file or directory");
    struct net *net = net_dump_open(&inner, path, guest, &quiet, why, sizeof(why));
    ck_assert_ptr_nonnull(net);
    net->receiver = (struct net_receiver){.ready = card_ready, .receive = card_receive, .opaque = &card};
    net_send(net, frame, 100);
    ck_assert_uint_eq(echoes, 1);
    ck_assert(net_can_receive(&inner));
    net_receive(&inner, frame, 60);
    ck_assert_uint_eq(card.count, 1);
    card.full = true;
    ck_assert(!net_can_receive(&inner));
    net_set_link(&inner, false);
    ck_assert(!net->up);
    net_send(net, frame, 100);
    ck_assert_uint_eq(echoes, 1);
    FILE *file = fopen(path, "rb"); /* all is there before it is closed */
    ck_assert_uint_eq(fread(words, 1, sizeof(words), file), 24 + 16 + 100 + 16 + 60);
    ck_assert_int_eq(fgetc(file), EOF);
    fclose(file);
    unlink(path);
    ck_assert_uint_eq(words[0], 0xA1B23C4D);
    ck_assert_uint_eq(words[1], 2 | 4 << 16);
    ck_assert_uint_eq(words[5], 1);
    ck_assert_uint_ge(words[6] + 5, (uint32_t)time(NULL));
    ck_assert_uint_eq(words[8], 100);
    ck_assert_uint_eq(words[9], 100);
    ck_assert_mem_eq(&words[10], frame, 100);
    ck_assert_uint_eq(words[38], 60);
    net->close(net);
    ck_assert_ptr_null(echoed_to);
}
END_TEST

/* --- a cable to another machine */

static struct folder {
    char path[32], socket[48];
} folder;
static char logged[200];

static void keep_line(void *opaque, enum log_level level, const char *line)
{
    (void)opaque;
    if (level == LOG_WARN)
        snprintf(logged, sizeof(logged), "%s", line);
}

static void make_folder(void)
{
    strcpy(folder.path, "/tmp/oxbow-net-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder.path));
    snprintf(folder.socket, sizeof(folder.socket), "%s/s", folder.path);
    logged[0] = 0;
    quiet.tap = keep_line;
}

/* Nothing of the socket is left. */
static void remove_folder(void)
{
    ck_assert_int_eq(rmdir(folder.path), 0);
}

static struct net *open_socket(void)
{
    struct net *net = net_socket_open(folder.socket, loop, guest, &quiet, why, sizeof(why));

    ck_assert_msg(net, "%s", why);
    net->receiver = (struct net_receiver){.ready = card_ready, .receive = card_receive, .opaque = &card};
    return net;
}

/* Turns the loop until it is so. */
#define TURN_UNTIL(condition)                                                                                \
    do {                                                                                                     \
        for (time_t end = time(NULL) + PATIENCE; !(condition) && time(NULL) < end;)                          \
            turn_once();                                                                                     \
        ck_assert(condition);                                                                                \
    } while (0)

static void wake_up(void *opaque)
{
    (void)opaque;
}

/* A sleep that another's silence doesn't make endless. */
static void turn_once(void)
{
    struct timer timer;

    timer_init(&timer, guest, "patience", wake_up, NULL);
    if (clock_running(guest))
        timer_arm(&timer, clock_now(guest) + NS_PER_SEC / 20);
    else
        loop_kick(loop);
    loop_run_once(loop, guest, &lock);
    timer_disarm(&timer);
}

static void send_sized(struct net *net, size_t size, uint8_t with)
{
    static uint8_t frame[NET_FRAME_MAX];

    memset(frame, with, sizeof(frame));
    pthread_mutex_lock(&lock);
    net_send(net, frame, size);
    pthread_mutex_unlock(&lock);
}

START_TEST(two_machines)
{
    make_folder();
    struct net *a = open_socket();
    ck_assert(!a->up); /* there is nobody yet */
    struct net *b = open_socket();
    ck_assert(b->up);
    TURN_UNTIL(a->up);
    send_sized(a, 60, 1);
    send_sized(b, NET_HEADER_SIZE, 2);
    send_sized(b, NET_FRAME_MAX, 3);
    TURN_UNTIL(card.count == 3);
    ck_assert_uint_eq(card.size[0] + card.size[1],
                      60 + NET_HEADER_SIZE); /* the third is larger than is kept */
    unsigned first = card.size[0] == 60 ? 0 : 1;
    ck_assert_uint_eq(card.frame[first][59], 1);
    ck_assert_uint_eq(card.frame[!first][13], 2);

    /* The peer goes and comes back, */
    b->close(b);
    TURN_UNTIL(!a->up);
    send_sized(a, 60, 1); /* lost */
    b = open_socket();
    TURN_UNTIL(a->up && b->up);
    /* and so does the one that listened; then the other does. */
    a->close(a);
    TURN_UNTIL(!b->up);
    TURN_UNTIL(access(folder.socket, F_OK) == 0);
    a = open_socket();
    TURN_UNTIL(a->up && b->up);
    send_sized(a, 100, 4);
    TURN_UNTIL(card.count == 4);
    ck_assert_uint_eq(card.size[3], 100);
    a->close(a);
    b->close(b);
    remove_folder();
}
END_TEST

/* What a card has no room for waits, and what nobody takes is lost; nothing blocks. */
START_TEST(cable_is_full)
{
    make_folder();
    struct net *a = open_socket(), *b = open_socket();

    TURN_UNTIL(a->up);
    card.full = true;
    for (unsigned n = 0; n < 20000; n++)
        send_sized(a, 1000, 5);
    for (unsigned n = 0; n < 10; n++) {
        loop_kick(loop);
        loop_run_once(loop, guest, &lock);
    }
    ck_assert_uint_eq(card.count, 0);
    card.full = false;
    clock_stop(guest);
    turn_once();
    ck_assert_uint_eq(card.count, 0);
    clock_start(guest);
    net_ready(b);
    TURN_UNTIL(card.count > 100);
    send_sized(b, 60, 6);
    unsigned before = card.count;
    TURN_UNTIL(card.count > before);
    b->close(b);
    a->close(a);
    remove_folder();
}
END_TEST

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    strcpy(address.sun_path, path);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* A size that no frame has ends the connection; so does the next one, later. */
START_TEST(lying_peers)
{
    static const uint8_t lies[][8] = {{0, 0, 0, 13}, {0, 0, 0x40, 1}, {0xFF, 0xFF, 0xFF, 0xFF}, {0}};
    uint8_t truth[4 + 60] = {0, 0, 0, 60, 1, 2, 3};
    char byte, *line = logged;

    make_folder();
    struct net *net = open_socket();
    for (unsigned n = 0; n < 4; n++) {
        int liar = connect_to(folder.socket);
        TURN_UNTIL(net->up);
        ck_assert_int_eq(send(liar, truth, n < 2 ? sizeof(truth) : 0, 0), n < 2 ? sizeof(truth) : 0);
        logged[0] = 0;
        ck_assert_int_eq(send(liar, lies[n], 8, 0), 8);
        TURN_UNTIL(*line);
        ck_assert_msg(strstr(line, "which there is not; it is cut off"), "%s", line);
        ck_assert(!net->up);
        ck_assert_int_eq(recv(liar, &byte, 1, 0) <= 0, 1);
        close(liar);
    }
    ck_assert_uint_eq(card.count, 2);
    net->close(net);
    remove_folder();
}
END_TEST

START_TEST(no_such_cable)
{
    char path[200] = "/tmp/";

    memset(path + 5, 'x', sizeof(path) - 6);
    ck_assert_ptr_null(net_socket_open(path, loop, guest, &quiet, why, sizeof(why)));
    ck_assert_msg(strstr(why, "too long for a socket's path"), "%s", why);
    ck_assert_ptr_null(net_socket_open("/nowhere/s", loop, guest, &quiet, why, sizeof(why)));
    ck_assert_str_eq(why, "socket:/nowhere/s: No such file or directory");
    ck_assert_ptr_null(net_socket_open("/dev/null", loop, guest, &quiet, why, sizeof(why)));
    ck_assert_str_eq(why, "socket:/dev/null: exists and is not a socket");
}
END_TEST

/* --- an interface of the host, in a network that is this process's alone */

#define NEED(condition)                                                                                      \
    if (!(condition))                                                                                        \
    return __LINE__

/* A socket that sees the interface, which is up from now on; -1: there is none. */
static int look_at(const char *name)
{
    struct ifreq request = {0};
    int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
    struct sockaddr_ll where = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};

    strcpy(request.ifr_name, name);
    if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request))
        return -1;
    request.ifr_flags |= IFF_UP;
    if (ioctl(fd, SIOCSIFFLAGS, &request) || ioctl(fd, SIOCGIFINDEX, &request))
        return -1;
    where.sll_ifindex = request.ifr_ifindex;
    return bind(fd, (struct sockaddr *)&where, sizeof(where)) ? -1 : fd;
}

/* Whether the interface passes on a frame of ours, among those that the kernel sends by itself. */
static bool hears(int fd, const uint8_t *frame, size_t size)
{
    uint8_t heard[2048];
    struct timeval patience = {.tv_sec = PATIENCE};

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    for (ssize_t got; (got = recv(fd, heard, sizeof(heard), 0)) > 0;)
        if (got == (ssize_t)size && !memcmp(heard, frame, size))
            return true;
    return false;
}

/* The line that failed; 0: none. */
static int use_tap(void)
{
    struct net_tap_options options = {.ifname = "ox0", .script = "/bin/true", .downscript = "/bin/false"};
    uint8_t frame[100] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2, 1, 2, 3, 4, 5, 0x88, 0xB5, 42};
    time_t end = time(NULL) + PATIENCE;
    bool came = false;

    options.script = "/bin/false";
    NEED(!net_tap_open(&options, loop, guest, &quiet, why, sizeof(why)));
    NEED(!strcmp(why, "tap: script /bin/false: it ended with status 1"));
    options.script = "/bin/true";
    struct net *net = net_tap_open(&options, loop, guest, &quiet, why, sizeof(why));
    NEED(net);
    NEED(strstr(logged, "the interface ox0 is down"));
    net->receiver = (struct net_receiver){.ready = card_ready, .receive = card_receive, .opaque = &card};
    NEED(!net_tap_open(&options, loop, guest, &quiet, why, sizeof(why)));
    NEED(!strcmp(why, "tap: ox0 is in use by another program"));
    options.ifname = "lo";
    NEED(!net_tap_open(&options, loop, guest, &quiet, why, sizeof(why)));
    NEED(!strcmp(why, "tap: lo is not a TAP interface; name another with ifname="));
    net_send(net, frame, sizeof(frame)); /* lost: it is down */
    int eye = look_at("ox0");
    NEED(eye >= 0);
    net_send(net, frame, sizeof(frame));
    NEED(hears(eye, frame, sizeof(frame)));
    card.full = true;
    NEED(send(eye, frame, sizeof(frame), 0) == sizeof(frame));
    turn_once();
    NEED(!card.count);
    card.full = false;
    net_ready(net);
    while (!came && time(NULL) < end) {
        turn_once();
        for (unsigned n = 0; n < card.count && n < 8; n++)
            came |= card.size[n] == sizeof(frame) && !memcmp(card.frame[n], frame, sizeof(frame));
        if (!came)
            card.count = 0;
    }
    NEED(came);
    close(eye);
    net->close(net);
    NEED(strstr(logged, "/bin/false: it ended with status 1"));
    return 0;
}

START_TEST(tap)
{
    int status, here[2];

    ck_assert_int_eq(pipe(here), 0);
    pid_t pid = fork();
    if (!pid) {
        quiet.tap = keep_line;
        int line =
            unshare(CLONE_NEWUSER | CLONE_NEWNET) || access("/dev/net/tun", R_OK | W_OK) ? -1 : use_tap();
        ssize_t ignored = write(here[1], &line, sizeof(line));
        (void)ignored;
        _exit(0);
    }
    ck_assert_int_eq(read(here[0], &status, sizeof(status)), sizeof(status));
    waitpid(pid, NULL, 0);
    close(here[0]);
    close(here[1]);
    if (status < 0)
        puts("net: no namespace or no /dev/net/tun for a TAP interface; not tested");
    else
        ck_assert_msg(!status, "line %d: %s", status, why);
}
END_TEST

START_TEST(tap_errors)
{
    struct net_tap_options options = {.ifname = "a234567890123456"};

    ck_assert_ptr_null(net_tap_open(&options, loop, guest, &quiet, why, sizeof(why)));
    ck_assert_msg(strstr(why, "is too long"), "%s", why);
}
END_TEST

#ifdef HAVE_SLIRP

static const uint8_t mac[6] = {0x52, 0x54, 0, 1, 2, 3};

static const struct net_user_options usual = {.network = 0x0A000200, .mask = 0xFFFFFF00};

/* Turns the loop until the card has `count` frames. */
static void turn(unsigned count)
{
    for (time_t end = time(NULL) + PATIENCE; card.count < count && time(NULL) < end;)
        loop_run_once(loop, guest, &lock);
    ck_assert_uint_ge(card.count, count);
}

static void ask_for(struct net *net, uint8_t host)
{
    uint8_t arp[42] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
    static const uint8_t rest[] = {8, 6, 0, 1, 8, 0, 6, 4, 0, 1};

    memcpy(arp + 6, mac, 6);
    memcpy(arp + 12, rest, 10);
    memcpy(arp + 22, mac, 6);
    memcpy(arp + 28, "\x0A\0\x02\x0F", 4);
    memcpy(arp + 38, "\x0A\0\x02", 3);
    arp[41] = host;
    pthread_mutex_lock(&lock);
    net_send(net, arp, sizeof(arp));
    pthread_mutex_unlock(&lock);
}

static struct net *open_user(const struct net_user_options *options)
{
    struct net *net = net_user_open(options, loop, guest, &quiet, why, sizeof(why));

    ck_assert_msg(net, "%s", why);
    net->receiver = (struct net_receiver){.ready = card_ready, .receive = card_receive, .opaque = &card};
    return net;
}

START_TEST(router_answers)
{
    struct net *net = open_user(&usual);

    ask_for(net, 2);
    ck_assert_uint_eq(card.count, 0); /* not from within the call */
    turn(1);
    ck_assert_mem_eq(card.frame[0], mac, 6);
    ck_assert_mem_eq(card.frame[0] + 12, "\x08\x06", 2);
    ck_assert_mem_eq(card.frame[0] + 28, "\x0A\0\x02\x02", 4);
    net->close(net);
}
END_TEST

/* Frames wait for a card that has no room. */
START_TEST(frames_wait)
{
    struct net *net = open_user(&usual);
    struct timespec start, now;

    card.full = true;
    for (unsigned n = 0; n < 5; n++)
        ask_for(net, 2);
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        loop_kick(loop);
        loop_run_once(loop, guest, &lock);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 < 20);
    ck_assert_uint_eq(card.count, 0);
    card.full = false;
    pthread_mutex_lock(&lock);
    net_ready(net);
    pthread_mutex_unlock(&lock);
    ck_assert_uint_eq(card.count, 5);
    net->close(net);
}
END_TEST

/* While the machine is paused nothing changes in it. */
START_TEST(paused)
{
    struct net *net = open_user(&usual);

    clock_stop(guest);
    ask_for(net, 2);
    for (unsigned n = 0; n < 10; n++) {
        loop_kick(loop);
        loop_run_once(loop, guest, &lock);
    }
    net_ready(net);
    ck_assert_uint_eq(card.count, 0);
    clock_start(guest);
    turn(1);
    net->close(net);
}
END_TEST

/* A flood is dropped, not kept; and closing with frames under way loses nothing but them. */
START_TEST(floods)
{
    struct net *net = open_user(&usual);
    static const uint8_t frame[1000];

    for (unsigned n = 0; n < 100000; n++)
        net_send(net, frame, sizeof(frame));
    ask_for(net, 2);
    loop_run_once(loop, guest, &lock);
    ask_for(net, 2);
    turn(1);
    net_send(net, frame, sizeof(frame));
    net->close(net);
    loop_kick(loop);
    loop_run_once(loop, guest, &lock);
}
END_TEST

/* Who connects to the forwarded port makes the network look for the guest. */
START_TEST(forwards)
{
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(where);
    int taken = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);

    ck_assert(!bind(taken, (struct sockaddr *)&where, size) && !listen(taken, 1));
    ck_assert(!getsockname(taken, (struct sockaddr *)&where, &size));
    struct net_user_forward forward = {
        .host_address = INADDR_LOOPBACK, .host_port = ntohs(where.sin_port), .guest_port = 80};
    struct net_user_options options = usual;
    options.forward = &forward;
    options.forwards = 1;
    ck_assert_ptr_null(net_user_open(&options, loop, guest, &quiet, why, sizeof(why)));
    ck_assert_msg(strstr(why, "the port is in use; choose another"), "%s", why);
    close(taken);
    struct net *net = open_user(&options);
    ck_assert(!connect(client, (struct sockaddr *)&where, sizeof(where)));
    turn(1);
    ck_assert_mem_eq(card.frame[0] + 12, "\x08\x06", 2); /* who has 10.0.2.15? */
    ck_assert_mem_eq(card.frame[0] + 38, "\x0A\0\x02\x0F", 4);
    close(client);
    net->close(net);
}
END_TEST

START_TEST(folders)
{
    struct net_user_options options = usual;

    options.tftp = "/nowhere";
    ck_assert_ptr_null(net_user_open(&options, loop, guest, &quiet, why, sizeof(why)));
    ck_assert_str_eq(why, "tftp=/nowhere: No such file or directory");
    options.tftp = "/dev/null";
    ck_assert_ptr_null(net_user_open(&options, loop, guest, &quiet, why, sizeof(why)));
    ck_assert_str_eq(why, "tftp=/dev/null: this is not a folder; name the one that has the files");
}
END_TEST

#endif

Suite *net_suite(void)
{
    Suite *suite = suite_create("net");
    TCase *tcase = tcase_create("net");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, dump);
    tcase_add_test(tcase, two_machines);
    tcase_add_test(tcase, cable_is_full);
    tcase_add_test(tcase, lying_peers);
    tcase_add_test(tcase, no_such_cable);
    tcase_add_test(tcase, tap);
    tcase_add_test(tcase, tap_errors);
#ifdef HAVE_SLIRP
    tcase_add_test(tcase, router_answers);
    tcase_add_test(tcase, frames_wait);
    tcase_add_test(tcase, paused);
    tcase_add_test(tcase, floods);
    tcase_add_test(tcase, forwards);
    tcase_add_test(tcase, folders);
#endif
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return suite;
}
