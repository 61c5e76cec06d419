/*
 * init.c - the first program of a guest that Oxbow starts with --root: the /init of the initial RAM disk that
 * is made for it. It loads the modules that lie beside it, mounts the folder as root file system and becomes
 * that system's init. Linux on x86-64; no library, system calls alone.
 *
 *     /modules/order    names of files in /modules, one a line, each after those it needs
 *     /proc/cmdline     root=TAG rootflags=OPTIONS ro rw init=PROGRAM: the last of each counts
 *
 * A folder without an init, as unpacked containers are, gets a shell, and the machine goes off when the shell
 * ends.
 */
#include <stddef.h>
#include <stdint.h>

/* System calls and their constants, as Linux has them on x86-64. */
enum {
    SYS_READ = 0,
    SYS_WRITE = 1,
    SYS_OPEN = 2,
    SYS_CLOSE = 3,
    SYS_IOCTL = 16,
    SYS_DUP2 = 33,
    SYS_NANOSLEEP = 35,
    SYS_FORK = 57,
    SYS_EXECVE = 59,
    SYS_WAIT4 = 61,
    SYS_CHDIR = 80,
    SYS_MKDIR = 83,
    SYS_UNLINK = 87,
    SYS_SETSID = 112,
    SYS_CHROOT = 161,
    SYS_SYNC = 162,
    SYS_MOUNT = 165,
    SYS_REBOOT = 169,
    SYS_FINIT_MODULE = 313,
};

#define O_RDONLY          0
#define O_RDWR            2
#define MS_RDONLY         1
#define MS_MOVE           8192
#define ENOENT            2
#define EEXIST            17
#define MODULE_COMPRESSED 4 /* the kernel unpacks it */
#define POWER_OFF         0x4321FEDC
#define TIOCSCTTY         0x540E
#define TRIES             50 /* at 0.1 s: until the device is there */

static long call(long number, long a, long b, long c, long d, long e)
{
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e;
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
}

#define CALL(number, a, b, c, d, e) call(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e))

/* The compiler calls these. */
void *memset(void *to, int value, size_t size);
void *memcpy(void *to, const void *from, size_t size);

void *memset(void *to, int value, size_t size)
{
    void *at = to;

    __asm__ volatile("rep stosb" : "+D"(at), "+c"(size) : "a"(value) : "memory");
    return to;
}

void *memcpy(void *to, const void *from, size_t size)
{
    void *at = to;

    __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(size) : : "memory");
    return to;
}

static size_t length(const char *text)
{
    size_t n = 0;

    while (text[n])
        n++;
    return n;
}

static int same(const char *a, const char *b, size_t size)
{
    for (size_t n = 0; n < size; n++)
        if (a[n] != b[n])
            return 0;
    return 1;
}

static void say(const char *text)
{
    CALL(SYS_WRITE, 2, text, length(text), 0, 0);
}

static void say_number(long number)
{
    char digits[24], *at = digits + sizeof(digits) - 1;

    *at = 0;
    do
        *--at = (char)('0' + number % 10);
    while (number /= 10);
    say(at);
}

static _Noreturn void power_off(void)
{
    CALL(SYS_SYNC, 0, 0, 0, 0, 0);
    CALL(SYS_REBOOT, 0xFEE1DEAD, 672274793, POWER_OFF, 0, 0);
    for (;;)
        CALL(SYS_WAIT4, -1, 0, 0, 0, 0);
}

static _Noreturn void give_up(const char *what, const char *which, long error)
{
    say("oxbow: ");
    say(what);
    say(which);
    say(" failed: error ");
    say_number(-error);
    say("\n");
    power_off();
}

static long mount(const char *what, const char *where, const char *type, long flags, const char *options)
{
    return CALL(SYS_MOUNT, what, where, type, flags, options);
}

/* Up to size - 1 bytes of a file, and a 0. */
static long read_file(const char *path, char *text, size_t size)
{
    long fd = CALL(SYS_OPEN, path, O_RDONLY, 0, 0, 0), got = 0, more = 1;

    if (fd < 0)
        return fd;
    while (more > 0 && (size_t)got < size - 1) {
        more = CALL(SYS_READ, fd, text + got, size - 1 - (size_t)got, 0, 0);
        got += more > 0 ? more : 0;
    }
    CALL(SYS_CLOSE, fd, 0, 0, 0, 0);
    text[got] = 0;
    return got;
}

static int ends_in(const char *text, const char *end)
{
    size_t whole = length(text), tail = length(end);

    return whole >= tail && same(text + whole - tail, end, tail);
}

static void load_module(const char *name)
{
    static char path[300] = "/modules/";
    long fd, result;

    if (length(name) > 256)
        return;
    memcpy(path + 9, name, length(name) + 1);
    fd = CALL(SYS_OPEN, path, O_RDONLY, 0, 0, 0);
    result = fd < 0 ? fd : CALL(SYS_FINIT_MODULE, fd, "", ends_in(name, ".ko") ? 0 : MODULE_COMPRESSED, 0, 0);
    if (fd >= 0)
        CALL(SYS_CLOSE, fd, 0, 0, 0, 0);
    CALL(SYS_UNLINK, path, 0, 0, 0, 0); /* its memory is wanted */
    if (result >= 0 || result == -EEXIST)
        return;
    say("oxbow: loading ");
    say(name);
    say(" failed: error ");
    say_number(-result);
    say("\n");
}

static void load_modules(void)
{
    static char order[16384];

    if (read_file("/modules/order", order, sizeof(order)) <= 0)
        return;
    for (char *at = order, *name = order; *at; at++)
        if (*at == '\n') {
            *at = 0;
            load_module(name);
            name = at + 1;
        }
}

static struct {
    const char *root, *flags, *init;
    int read_only;
} wanted = {"oxbow-root", "trans=virtio,version=9p2000.L", NULL, 0};

static void take_word(const char *word)
{
    if (same(word, "root=", 5))
        wanted.root = word + 5;
    else if (same(word, "rootflags=", 10))
        wanted.flags = word + 10;
    else if (same(word, "init=", 5))
        wanted.init = word + 5;
    else if (same(word, "ro", 3))
        wanted.read_only = 1;
    else if (same(word, "rw", 3))
        wanted.read_only = 0;
}

static void read_command_line(void)
{
    static char line[4096 + 16]; /* words may be compared a little beyond the end */
    char *word = line;

    mount("proc", "/proc", "proc", 0, 0);
    if (read_file("/proc/cmdline", line, 4096) <= 0)
        return;
    for (char *at = line;; at++) {
        int last = !*at;

        if (!last && *at != ' ' && *at != '\n')
            continue;
        *at = 0;
        take_word(word);
        word = at + 1;
        if (last)
            return;
    }
}

static void mount_root(void)
{
    static const struct {
        long seconds, nanoseconds;
    } pause = {0, 100000000};
    long error = 0;

    for (unsigned n = 0; n < TRIES; n++) {
        error = mount(wanted.root, "/root", "9p", wanted.read_only ? MS_RDONLY : 0, wanted.flags);
        if (error != -ENOENT)
            break;
        CALL(SYS_NANOSLEEP, &pause, 0, 0, 0, 0);
    }
    if (error < 0)
        give_up("mounting ", wanted.root, error);
}

/* What programs expect to find, where the folder has places for it; a real init mounts these itself, or finds
 * them. */
static void enter_root(void)
{
    mount("/proc", "/root/proc", 0, MS_MOVE, 0);
    mount("sysfs", "/root/sys", "sysfs", 0, 0);
    mount("devtmpfs", "/root/dev", "devtmpfs", 0, 0);
    CALL(SYS_CHDIR, "/root", 0, 0, 0, 0);
    mount(".", "/", 0, MS_MOVE, 0);
    long error = CALL(SYS_CHROOT, ".", 0, 0, 0, 0);
    if (error < 0)
        give_up("entering ", wanted.root, error);
    CALL(SYS_CHDIR, "/", 0, 0, 0, 0);
}

static long run(const char *program, char **argv, char **envp)
{
    argv[0] = (char *)program;
    return CALL(SYS_EXECVE, program, argv, envp, 0, 0);
}

/* The console as a terminal of its own, so that Ctrl-C and job control work. */
static void take_terminal(void)
{
    static char active[200], path[210] = "/dev/";
    const char *name = active;
    long fd;

    /* The last word is what /dev/console, which no session can have, stands for. */
    if (read_file("/sys/class/tty/console/active", active, sizeof(active)) <= 0)
        return;
    for (char *at = active; *at; at++) {
        if (*at == ' ')
            name = at + 1;
        if (*at == '\n') {
            *at = 0;
            break;
        }
    }
    memcpy(path + 5, name, length(name) + 1);
    CALL(SYS_SETSID, 0, 0, 0, 0, 0);
    fd = CALL(SYS_OPEN, path, O_RDWR, 0, 0, 0);
    if (fd < 0)
        return;
    CALL(SYS_IOCTL, fd, TIOCSCTTY, 1, 0, 0);
    for (long n = 0; n < 3; n++)
        CALL(SYS_DUP2, fd, n, 0, 0, 0);
}

static _Noreturn void run_shell(char **argv, char **envp)
{
    long child = CALL(SYS_FORK, 0, 0, 0, 0, 0);

    argv[1] = NULL;
    if (!child) {
        take_terminal();
        run("/bin/bash", argv, envp);
        give_up("running ", "/bin/sh", run("/bin/sh", argv, envp));
    }
    while (CALL(SYS_WAIT4, -1, 0, 0, 0, 0) != child)
        ;
    power_off();
}

_Noreturn void init_main(long *stack);

_Noreturn void init_main(long *stack)
{
    static const char *const usual[] = {"/sbin/init", "/etc/init", "/bin/init"};
    static char *alone[2];
    long argc = stack[0];
    char **argv = (char **)(stack + 1), **envp = argv + argc + 1;

    if (argc < 1)
        argv = alone;
    read_command_line();
    load_modules();
    mount_root();
    enter_root();
    if (wanted.init)
        give_up("running ", wanted.init, run(wanted.init, argv, envp));
    for (unsigned n = 0; n < sizeof(usual) / sizeof(*usual); n++)
        run(usual[n], argv, envp);
    run_shell(argv, envp);
}
