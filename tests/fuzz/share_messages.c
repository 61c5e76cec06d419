/*
 * share_messages.c - anything at all as what a guest sends to the server of a shared folder: conversations of
 * 9P messages, most of them nearly right, in a small tree. What must hold: each answer is framed rightly and
 * is one to its message, no answer has a byte of what lies outside the folder, and that stays as it is; all
 * else is up to the sanitizers.
 *
 *     share_messages                   CASES conversations from seed 1, as TAP
 *     share_messages --seconds 600 --seed 7
 *     share_messages --case 7:1234     one of them again
 *
 * With -DFUZZ_LIBFUZZER it is a target of libFuzzer's.
 */
#include <ftw.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/log.h"
#include "host/share_internal.h"
#include "tests/oracle/random.h"

#define CASES      600u
#define INPUT_SIZE 16384u
#define ROOM       9000u
#define SECRET     "what nobody may see"

static char folder[64], inside[80], outside[80];

static _Noreturn void broken(const char *what)
{
    fprintf(stderr, "share_messages: %s\n", what);
    abort();
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void make_file(const char *where, const char *name, const char *text)
{
    char path[200];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", where, name);
    file = fopen(path, "w");
    if (!file || fputs(text, file) < 0 || fclose(file))
        broken("the host gives no files");
}

/* A tree with something outside, and ways that would lead there. */
static void make_tree(void)
{
    char path[200];

    if (*folder) {
        nftw(inside, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    } else {
        strcpy(folder, "/var/tmp/oxbow-fuzz-XXXXXX");
        if (!mkdtemp(folder))
            broken("the host gives no folder");
        snprintf(inside, sizeof(inside), "%s/in", folder);
        snprintf(outside, sizeof(outside), "%s/secret", folder);
        make_file(folder, "secret", SECRET);
    }
    mkdir(inside, 0755);
    make_file(inside, "a", "contents of a");
    snprintf(path, sizeof(path), "%s/d", inside);
    mkdir(path, 0755);
    make_file(path, "b", "contents of b");
    snprintf(path, sizeof(path), "%s/l", inside);
    if (symlink("../secret", path))
        broken("the host gives no links");
    snprintf(path, sizeof(path), "%s/up", inside);
    if (symlink("..", path))
        broken("the host gives no links");
}

static void check_outside(void)
{
    char text[64] = "";
    FILE *file = fopen(outside, "r");
    struct stat st;

    if (!file || !fgets(text, sizeof(text), file) || strcmp(text, SECRET) || fstat(fileno(file), &st) ||
        st.st_nlink != 1)
        broken("something outside was changed");
    fclose(file);
}

/* One message, both ways in pieces. */
static void send_message(struct share_server *server, const uint8_t *message, size_t size)
{
    uint8_t reply[ROOM];
    struct iovec in[2] = {{(void *)message, size / 3}, {(void *)(message + size / 3), size - size / 3}};
    struct iovec out[3] = {{reply, 5}, {reply + 5, size % 97}, {reply + 5 + size % 97, ROOM - 5 - size % 97}};
    size_t got = share_answer(server, in, 2, out, 3);

    if (!got) {
        if (size >= P9_HEADER)
            broken("a message without an answer");
        return;
    }
    size_t said = reply[0] | reply[1] << 8 | (size_t)reply[2] << 16;
    if (got < P9_HEADER || got > ROOM || said != got)
        broken("an answer of the wrong size");
    if (reply[4] != P9_TLERROR + 1 && reply[4] != message[4] + 1)
        broken("an answer to another message");
    if (reply[5] != message[5] || reply[6] != message[6])
        broken("an answer with another tag");
    if (memmem(reply, got, SECRET, sizeof(SECRET) - 1))
        broken("an answer from outside");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A byte of switches; then messages, each with its size in two bytes before it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct host_share_options options = {.tag = "fuzz", .path = inside};
    struct share_server *server;
    struct log log;
    char why[300];

    if (size < 1)
        return 0;
    make_tree();
    log_init(&log, stderr);
    log.enabled = 0;
    options.read_only = !(data[0] & 7);
    options.owners = data[0] & 8 && host_share_can_map(inside) ? SHARE_OWNERS_MAPPED : SHARE_OWNERS_HOST;
    server = share_server_new(&options, &log, why, sizeof(why));
    if (!server)
        broken(why);
    if (data[0] & 16)
        server->paths_max = 3;
    for (size_t at = 1; at + 2 <= size;) {
        size_t length = data[at] | data[at + 1] << 8;

        at += 2;
        if (length > size - at)
            length = size - at;
        uint8_t *message = malloc(length + !length); /* so that reading beyond it is seen */
        if (!message)
            break;
        memcpy(message, data + at, length);
        send_message(server, message, length);
        free(message);
        at += length;
    }
    share_server_free(server);
    check_outside();
    return 0;
}

#ifndef FUZZ_LIBFUZZER

/* --- Conversations from a seed -------------------------------------------------------------------- */

/* A message's fields after its header: f a number of the client's, n a name, t any text, 1 2 4 8 numbers, w
 * walk's names, d bytes with their count. */
static const struct {
    uint8_t type;
    const char *fields;
} kinds[] = {
    {P9_TSTATFS, "f"},
    {P9_TLOPEN, "fo"},
    {P9_TLCREATE, "fno44"},
    {P9_TSYMLINK, "fnt4"},
    {P9_TMKNOD, "fnm444"},
    {P9_TRENAME, "ffn"},
    {P9_TREADLINK, "f"},
    {P9_TGETATTR, "f8"},
    {P9_TSETATTR, "fv444s8888"},
    {P9_TXATTRWALK, "ffx"},
    {P9_TXATTRCREATE, "fxs1111"},
    {P9_TREADDIR, "fsc"},
    {P9_TLOCK, "f11111ss4t"},
    {P9_TGETLOCK, "f1ss4t"},
    {P9_TLINK, "ffn"},
    {P9_TMKDIR, "fnm4"},
    {P9_TRENAMEAT, "fnfn"},
    {P9_TUNLINKAT, "fnu"},
    {P9_TFLUSH, "2"},
    {P9_TWALK, "ffw"},
    {P9_TWALK, "ffw"},
    {P9_TWALK, "ffw"},
    {P9_TREAD, "fsc"},
    {P9_TWRITE, "fsd"},
    {P9_TCLUNK, "f"},
    {P9_TREMOVE, "f"},
};

static const char *const names[] = {"a",  "b", "d", "l",         "up",  "new",         "x",
                                    "..", ".", "",  "../secret", "d/b", "/etc/passwd", "l/x"};
static const char *const xattrs[] = {"", "user.a", "user.b", "security.x", "user.oxbow.owner", "trusted.t"};

struct writer {
    struct random *r;
    uint8_t *out;
    size_t size;
};

static void put(struct writer *w, uint64_t value, unsigned size)
{
    for (unsigned n = 0; n < size; n++)
        w->out[w->size++] = (uint8_t)(value >> 8 * n);
}

static void put_text(struct writer *w, const char *text)
{
    put(w, strlen(text), 2);
    memcpy(w->out + w->size, text, strlen(text));
    w->size += strlen(text);
}

static uint64_t any(struct random *r)
{
    static const uint64_t edges[] = {0, 1, 3, 100, 4096, INT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX};

    return one_in(r, 2) ? edges[below(r, sizeof(edges) / sizeof(*edges))] : random64(r) >> below(r, 64);
}

static void put_names(struct writer *w)
{
    unsigned count = below(w->r, one_in(w->r, 10) ? 20 : 3);

    put(w, count, 2);
    while (count--)
        put_text(w, names[below(w->r, sizeof(names) / sizeof(*names))]);
}

static void put_field(struct writer *w, char field)
{
    struct random *r = w->r;

    switch (field) {
    case 'f':
        put(w, one_in(r, 40) ? random64(r) : below(r, 8), 4);
        break;
    case 'n':
        put_text(w, names[one_in(r, 4) ? below(r, sizeof(names) / sizeof(*names)) : below(r, 7)]);
        break;
    case 't':
        put_text(w, one_in(r, 2) ? "../../secret" : "text");
        break;
    case 'x':
        put_text(w, xattrs[below(r, sizeof(xattrs) / sizeof(*xattrs))]);
        break;
    case 'w':
        put_names(w);
        break;
    case 'o':
        put(w, one_in(r, 2) ? below(r, 3) : random64(r), 4);
        break;
    case 'm':
        put(w, (uint64_t)below(r, 16) << 12 | below(r, 4096), 4);
        break;
    case 'v':
        put(w, below(r, 512), 4);
        break;
    case 'u':
        put(w, one_in(r, 3) ? 0x200 : 0, 4);
        break;
    case 's':
        put(w, one_in(r, 8) ? any(r) : below(r, 100), 8);
        break;
    case 'c':
        put(w, one_in(r, 8) ? any(r) : below(r, 9000), 4);
        break;
    case 'd':
        put(w, one_in(r, 8) ? any(r) : 8, 4);
        put(w, random64(r), 8);
        break;
    default:
        put(w, any(r), (unsigned)(field - '0'));
    }
}

static void put_message(struct writer *w, uint8_t type, const char *fields)
{
    size_t start = w->size;

    put(w, 0, 2);
    put(w, 0, 4);
    put(w, type, 1);
    put(w, random64(w->r), 2);
    for (; *fields; fields++)
        put_field(w, *fields);
    size_t size = w->size - start - 2;
    for (unsigned n = 0; n < 4; n++)
        w->out[start + 2 + n] = (uint8_t)(size >> 8 * n);
    for (unsigned changes = one_in(w->r, 12) ? 1 + below(w->r, 3) : 0; changes; changes--)
        w->out[start + 2 + below(w->r, (unsigned)size)] = (uint8_t)random64(w->r);
    if (one_in(w->r, 40))
        size = below(w->r, (unsigned)size);
    w->size = start + 2 + size;
    w->out[start] = (uint8_t)size;
    w->out[start + 1] = (uint8_t)(size >> 8);
}

static size_t make_input(uint64_t seed, uint64_t number, uint8_t *out)
{
    struct random r = {seed * 0xd1342543de82ef95ull + number * 0x2545f4914f6cdd1dull};
    struct writer w = {&r, out, 0};
    static const uint8_t opening[] = {
        21,  0,   21,  0,   0,   0,   P9_TVERSION, 1,   0,   0,   32, 0, 0,
        8,   0,   '9', 'P', '2', '0', '0',         '0', '.', 'L', /* msize 8192 */
        23,  0,   23,  0,   0,   0,   P9_TATTACH,  2,   0,   0,   0,  0, 0,
        255, 255, 255, 255, 0,   0,   0,           0,   0,   0,   0,  0,
    };

    (void)random64(&r);
    put(&w, random64(&r), 1);
    memcpy(out + w.size, opening, sizeof(opening));
    w.size += sizeof(opening);
    for (unsigned want = 1 + below(&r, 60); want && w.size < INPUT_SIZE - 1000; want--) {
        unsigned kind = below(&r, sizeof(kinds) / sizeof(*kinds));

        put_message(&w, kinds[kind].type, kinds[kind].fields);
    }
    return w.size;
}

static void run_one(uint64_t seed, uint64_t number)
{
    uint8_t input[INPUT_SIZE];

    LLVMFuzzerTestOneInput(input, make_input(seed, number, input));
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seconds", 1, NULL, 't'}, {"seed", 1, NULL, 's'}, {"case", 1, NULL, 'c'}, {0}};
    uint64_t seed = 1, number = 0, cases = CASES;
    unsigned seconds = 0;
    bool one = false;
    time_t begin = time(NULL);

    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 't')
            seconds = (unsigned)strtoul(optarg, NULL, 0);
        else if (c == 's')
            seed = strtoull(optarg, NULL, 0);
        else if (c == 'c')
            one = sscanf(optarg, "%" SCNu64 ":%" SCNu64, &seed, &number) == 2;
        else
            return 2;
    }
    if (one)
        run_one(seed, number);
    while (!one && (seconds ? time(NULL) - begin < (time_t)seconds : number < cases)) {
        /* Whoever finds something dies with it: its number is on the last line. */
        if (number % 100 == 0)
            printf("# --case %" PRIu64 ":%" PRIu64 " and on\n", seed, number), fflush(stdout);
        run_one(seed, number++);
    }
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    printf("ok 1 - %" PRIu64 " conversations from seed %" PRIu64 "\n1..1\n", number, seed);
    return 0;
}

#endif
