/* The user network and the dump, against a card that keeps what it gets. */
#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "core/log.h"
#include "host/loop.h"
#include "host/net_dump.h"
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
    net->receiver = (struct net_receiver){card_ready, card_receive, NULL, &card};
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
    net->receiver = (struct net_receiver){card_ready, card_receive, NULL, &card};
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
