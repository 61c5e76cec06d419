/*
 * share_torture.c - what programs do with files, in the folder that is its argument: run by share.sh in a
 * guest, where the folder is the host's, and on the host itself, which shows that the expectations are right.
 * Prints a line a test.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define BIG  (8u << 20)
#define MANY 1500

static unsigned failed;

#define TEST(name, condition) report(name, condition, #condition, __LINE__)

static bool report(const char *name, bool passed, const char *condition, int line)
{
    printf("%s %s\n", passed ? "ok" : "not ok", name);
    if (!passed)
        printf("# line %d: %s: %s\n", line, condition, strerror(errno));
    fflush(stdout);
    failed += !passed;
    return passed;
}

static bool contents_are(const char *path, const char *text)
{
    char got[256] = "";
    int fd = open(path, O_RDONLY);
    ssize_t size = fd < 0 ? -1 : read(fd, got, sizeof(got) - 1);

    if (fd >= 0)
        close(fd);
    return size == (ssize_t)strlen(text) && !memcmp(got, text, (size_t)size);
}

static bool make(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    return fd >= 0 && !close(fd) && done;
}

static bool fails_with(int result, int error)
{
    return result < 0 && errno == error;
}

static void contents(void)
{
    struct stat st;
    char buffer[64] = {0};
    int fd;

    TEST("a file is made", make("a", "hello") && contents_are("a", "hello"));
    TEST("it is there already", fails_with(open("a", O_CREAT | O_EXCL | O_WRONLY, 0644), EEXIST));
    fd = open("a", O_WRONLY | O_APPEND);
    TEST("appended", write(fd, " world", 6) == 6 && write(fd, "!", 1) == 1 && !close(fd) &&
                         contents_are("a", "hello world!"));
    TEST("truncated", !truncate("a", 5) && contents_are("a", "hello"));
    TEST("opened anew and empty",
         (fd = open("a", O_RDWR | O_TRUNC)) >= 0 && !fstat(fd, &st) && st.st_size == 0);
    TEST("written beyond its end",
         pwrite(fd, "end", 3, 100000) == 3 && !fstat(fd, &st) && st.st_size == 100003);
    TEST("a hole reads as zeroes",
         pread(fd, buffer, 10, 50000) == 10 && !memcmp(buffer, "\0\0\0\0\0\0\0\0\0\0", 10));
    TEST("grown", !ftruncate(fd, 200000) && !fstat(fd, &st) && st.st_size == 200000 &&
                      pread(fd, buffer, 9, 199990) == 9);
    TEST("nothing behind the end", pread(fd, buffer, 10, 200000) == 0);
    TEST("synced", !fsync(fd) && !fdatasync(fd) && !close(fd));
}

static void big(void)
{
    uint8_t *data = malloc(BIG), *back = malloc(BIG);
    unsigned seed = 1;
    size_t done = 0;
    int fd = open("big", O_RDWR | O_CREAT, 0600);

    for (size_t n = 0; n < BIG; n++)
        data[n] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
    /* In pieces that fit no page. */
    for (size_t piece = 1; done < BIG; piece = piece * 3 % 99991) {
        size_t size = piece < BIG - done ? piece : BIG - done;
        ssize_t now = write(fd, data + done, size);
        if (now <= 0)
            break;
        done += (size_t)now;
    }
    TEST("a big file is written", done == BIG && !close(fd));
    fd = open("big", O_RDONLY);
    TEST("and reads the same", read(fd, back, BIG) == BIG && !memcmp(data, back, BIG));
    TEST("in the middle, too",
         pread(fd, back, 70001, 1234567) == 70001 && !memcmp(data + 1234567, back, 70001));
    close(fd);
    free(data);
    free(back);
}

static void folders(void)
{
    static bool seen[MANY];
    char name[40];
    unsigned count = 0, others = 0;
    struct dirent *entry;
    DIR *dir;

    TEST("a folder is made", !mkdir("d", 0755) && fails_with(mkdir("d", 0755), EEXIST));
    for (unsigned n = 0; n < MANY; n++) {
        snprintf(name, sizeof(name), "d/file-%u", n);
        if (!make(name, "x"))
            break;
    }
    dir = opendir("d");
    while (dir && (entry = readdir(dir))) {
        unsigned n = MANY;
        if (sscanf(entry->d_name, "file-%u", &n) == 1 && n < MANY && !seen[n]) {
            seen[n] = true;
            count++;
        } else {
            others++;
        }
    }
    if (dir)
        closedir(dir);
    TEST("all of many files are listed, once", count == MANY && others == 2);
    TEST("it isn't empty", fails_with(rmdir("d"), ENOTEMPTY));
    TEST("a file is no folder",
         fails_with(rmdir("d/file-1"), ENOTDIR) && fails_with(mkdir("d/file-1/x", 0755), ENOTDIR));
    TEST("a folder is no file", fails_with(unlink("d"), EISDIR) && fails_with(open("d", O_WRONLY), EISDIR));
    count = 0;
    for (unsigned n = 0; n < MANY; n++) {
        snprintf(name, sizeof(name), "d/file-%u", n);
        count += !unlink(name);
    }
    TEST("removed", count == MANY && !rmdir("d") && fails_with(access("d", F_OK), ENOENT));
}

static void names(void)
{
    struct stat st, other;
    char text[64] = "";
    int fd;

    TEST("renamed", make("n1", "one") && !rename("n1", "n2") && contents_are("n2", "one") &&
                        fails_with(access("n1", F_OK), ENOENT));
    TEST("renamed onto another", make("n3", "three") && !rename("n2", "n3") && contents_are("n3", "one"));
    TEST("a folder with what is in it",
         !mkdir("m1", 0755) && make("m1/f", "in") && !rename("m1", "m2") && contents_are("m2/f", "in"));
    TEST("not into itself", fails_with(rename("m2", "m2/x"), EINVAL));
    TEST("moved", !rename("n3", "m2/n") && contents_are("m2/n", "one"));
    TEST("two names for a file", !link("m2/n", "n4") && !stat("n4", &st) && !stat("m2/n", &other) &&
                                     st.st_ino == other.st_ino && st.st_nlink == 2);
    TEST("a link", !symlink("m2/f", "l") && readlink("l", text, sizeof(text)) == 4 &&
                       !memcmp(text, "m2/f", 4) && contents_are("l", "in"));
    TEST("a link to nothing", !symlink("nowhere", "dead") && !lstat("dead", &st) && S_ISLNK(st.st_mode) &&
                                  fails_with(stat("dead", &st), ENOENT));
    TEST("a link that goes in circles",
         !symlink("loop", "loop") && fails_with(open("loop", O_RDONLY), ELOOP));
    fd = open("n4", O_RDWR);
    TEST("unlinked and still open", !unlink("n4") && !unlink("m2/n") && pread(fd, text, 3, 0) == 3 &&
                                        !memcmp(text, "one", 3) && pwrite(fd, "two", 3, 0) == 3 &&
                                        !close(fd));
    char longest[256];
    memset(longest, 'n', 255);
    longest[255] = 0;
    TEST("a name of 255 bytes", make(longest, "long") && contents_are(longest, "long"));
    TEST("bytes that aren't text",
         make("\xff\xfe \t\"'\\", "odd") && contents_are("\xff\xfe \t\"'\\", "odd"));
}

static void attributes(void)
{
    const struct timespec times[2] = {{1000000000, 123456789}, {1111111111, 987654321}};
    struct statvfs fs;
    struct stat st;

    TEST("modes", make("mode", "") && !chmod("mode", 04751) && !stat("mode", &st) &&
                      (st.st_mode & 07777) == 04751 && !chmod("mode", 0) && !stat("mode", &st) &&
                      (st.st_mode & 07777) == 0);
    TEST("modes of folders", !mkdir("sticky", 0700) && !chmod("sticky", 03777) && !stat("sticky", &st) &&
                                 (st.st_mode & 07777) == 03777);
    umask(027);
    TEST("umask", make("masked", "") && !stat("masked", &st) && (st.st_mode & 07777) == 0640);
    umask(022);
    TEST("times", make("time", "") && !utimensat(AT_FDCWD, "time", times, 0) && !stat("time", &st) &&
                      st.st_mtim.tv_sec == 1111111111 &&
                      (st.st_mtim.tv_nsec == 987654321 ||
                       !st.st_mtim.tv_nsec) && /* Linux's client takes whole seconds */
                      st.st_atim.tv_sec == 1000000000);
    if (!geteuid())
        TEST("owners", make("owned", "") && !chown("owned", 33, 44) && !stat("owned", &st) &&
                           st.st_uid == 33 && st.st_gid == 44);
    TEST("the file system", !statvfs(".", &fs) && fs.f_blocks && fs.f_namemax == 255);
}

static void extended(void)
{
    char value[64] = "", list[256];

    if (!make("x", "") || setxattr("x", "user.one", "value", 5, 0) < 0) {
        TEST("extended attributes", errno == ENOTSUP);
        return;
    }
    TEST("an attribute", getxattr("x", "user.one", value, sizeof(value)) == 5 && !memcmp(value, "value", 5));
    TEST("it is there already", fails_with(setxattr("x", "user.one", "v", 1, XATTR_CREATE), EEXIST));
    TEST("another isn't", fails_with((int)getxattr("x", "user.two", value, sizeof(value)), ENODATA));
    ssize_t size = listxattr("x", list, sizeof(list));
    TEST("listed", size > 0 && memmem(list, (size_t)size, "user.one", 9));
    TEST("removed",
         !removexattr("x", "user.one") && fails_with((int)getxattr("x", "user.one", value, 64), ENODATA));
    setxattr("x", "user.kept", "kept", 4, 0);
}

static int exit_of(pid_t child)
{
    int status;

    return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void locks(void)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 10};
    pid_t child;
    int fd;

    make("lock", "0123456789");
    fd = open("lock", O_RDWR);
    TEST("a range is locked", !fcntl(fd, F_SETLK, &lock));
    child = fork();
    if (!child) {
        int again = open("lock", O_RDWR);
        struct flock same = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 15, .l_len = 1};
        struct flock other = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 20, .l_len = 1};
        bool right = fcntl(again, F_SETLK, &same) < 0 && !fcntl(again, F_SETLK, &other) &&
                     !fcntl(again, F_GETLK, &same) && same.l_type == F_WRLCK;
        _exit(right ? 7 : 1);
    }
    TEST("another process sees it", exit_of(child) == 7);
    lock.l_type = F_UNLCK;
    TEST("unlocked", !fcntl(fd, F_SETLK, &lock));
    TEST("locked as a whole", !flock(fd, LOCK_EX | LOCK_NB));
    child = fork();
    if (!child) {
        int again = open("lock", O_RDWR);
        _exit(flock(again, LOCK_SH | LOCK_NB) < 0 ? 7 : 1);
    }
    TEST("another process sees that", exit_of(child) == 7);
    close(fd);
}

static void mapped(void)
{
    int fd = open("map", O_RDWR | O_CREAT, 0644);
    char text[16] = "";
    char *map;

    if (ftruncate(fd, 3 * 4096) < 0)
        return;
    map = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (!TEST("mapped", map != MAP_FAILED))
        return;
    memcpy(map + 4090, "across a page", 13);
    TEST("written through the map", !msync(map, 3 * 4096, MS_SYNC) && pread(fd, text, 13, 4090) == 13 &&
                                        !memcmp(text, "across a page", 13));
    munmap(map, 3 * 4096);
    close(fd);
}

static void pipes(void)
{
    char text[8] = "";
    pid_t child;
    int fd;

    TEST("a FIFO", !mkfifo("fifo", 0600));
    child = fork();
    if (!child) {
        fd = open("fifo", O_WRONLY);
        _exit(write(fd, "through", 7) == 7 ? 7 : 1);
    }
    fd = open("fifo", O_RDONLY);
    TEST("carries bytes", read(fd, text, 7) == 7 && !memcmp(text, "through", 7) && exit_of(child) == 7);
    close(fd);
}

/* Several processes that make, rename and remove in one folder. */
static void crowd(void)
{
    pid_t child[4];
    unsigned right = 0;
    char name[40], other[40];

    mkdir("crowd", 0755);
    for (unsigned c = 0; c < 4; c++) {
        child[c] = fork();
        if (child[c])
            continue;
        for (unsigned n = 0; n < 150; n++) {
            snprintf(name, sizeof(name), "crowd/%u-%u", c, n);
            snprintf(other, sizeof(other), "crowd/%u-%u-renamed", c, n);
            if (!make(name, name) || rename(name, other) || !contents_are(other, name) ||
                (n % 3 && unlink(other)))
                _exit(1);
        }
        _exit(7);
    }
    for (unsigned c = 0; c < 4; c++)
        right += exit_of(child[c]) == 7;
    TEST("several at once", right == 4);
}

int main(int argc, char **argv)
{
    if (argc != 2 || chdir(argv[1]) < 0) {
        fprintf(stderr, "usage: share_torture FOLDER\n");
        return 2;
    }
    umask(022);
    contents();
    big();
    folders();
    names();
    attributes();
    extended();
    locks();
    mapped();
    pipes();
    crowd();
    printf("done: %u failed\n", failed);
    return failed ? 1 : 0;
}
