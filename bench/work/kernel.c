/*
 * kernel.c - workloads of the kernel's paths: entry and exit, page faults, processes, programs, wake-ups,
 * signals.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "work.h"

uint64_t work_syscall(unsigned long count)
{
    long parent = getppid();
    uint64_t same = 0;

    for (unsigned long i = 0; i < count; i++)
        same += syscall(SYS_getppid) == parent;
    return same;
}

/* `count` times 2 MiB in pages of 4 KiB are touched for the first time. */
uint64_t work_faults(unsigned long count)
{
    enum { SIZE = 2 << 20, PAGE = 4096 };
    uint64_t sum = 0;

    for (unsigned long i = 0; i < count; i++) {
        uint8_t *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED)
            work_fail("mmap");
        madvise(memory, SIZE, MADV_NOHUGEPAGE);
        for (size_t at = 0; at < SIZE; at += PAGE) {
            sum += memory[at] == 0;
            memory[at] = (uint8_t)i;
        }
        sum = work_mix(sum, memory[SIZE - PAGE]);
        munmap(memory, SIZE);
    }
    return sum;
}

uint64_t work_fork(unsigned long count)
{
    uint64_t sum = 0;

    for (unsigned long i = 0; i < count; i++) {
        int status;
        pid_t child = fork();
        if (child < 0)
            work_fail("fork");
        if (!child)
            _exit((int)(i & 127));
        if (waitpid(child, &status, 0) != child)
            work_fail("waitpid");
        sum = work_mix(sum, (uint64_t)WEXITSTATUS(status));
    }
    return sum;
}

/* `count` times this program is started anew, by a child, to do nothing. */
uint64_t work_exec(unsigned long count)
{
    uint64_t sum = 0;

    for (unsigned long i = 0; i < count; i++) {
        char number[16], *arguments[] = {"work", "exit", number, NULL}, *environment[] = {NULL};
        int status;
        snprintf(number, sizeof(number), "%lu", i & 63);
        pid_t child = fork();
        if (child < 0)
            work_fail("fork");
        if (!child) {
            execve("/proc/self/exe", arguments, environment);
            _exit(127);
        }
        if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) == 127)
            work_fail("execve");
        sum = work_mix(sum, (uint64_t)WEXITSTATUS(status));
    }
    return sum;
}

/* The other side of work_pipe(): every byte goes back with 1 added, until there are no more. */
static void echo(int in, int out)
{
    uint8_t byte;

    while (read(in, &byte, 1) == 1) {
        byte++;
        if (write(out, &byte, 1) != 1)
            break;
    }
}

uint64_t work_pipe(unsigned long count)
{
    int there[2], back[2];
    uint64_t sum = 0;

    if (pipe(there) || pipe(back))
        work_fail("pipe");
    pid_t child = fork();
    if (child < 0)
        work_fail("fork");
    if (!child) {
        close(there[1]);
        close(back[0]);
        echo(there[0], back[1]);
        _exit(0);
    }
    close(there[0]);
    close(back[1]);
    for (unsigned long i = 0; i < count; i++) {
        uint8_t byte = (uint8_t)i;
        if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
            work_fail("pipe");
        sum = work_mix(sum, byte);
    }
    close(there[1]);
    close(back[0]);
    waitpid(child, NULL, 0);
    return sum;
}

/* The only thing that a handler can reach. */
static volatile sig_atomic_t handled;

static void on_signal(int number)
{
    handled += number == SIGUSR1;
}

uint64_t work_signal(unsigned long count)
{
    struct sigaction old, new = {.sa_handler = on_signal};

    sigemptyset(&new.sa_mask);
    handled = 0;
    if (sigaction(SIGUSR1, &new, &old))
        work_fail("sigaction");
    for (unsigned long i = 0; i < count; i++)
        raise(SIGUSR1);
    sigaction(SIGUSR1, &old, NULL);
    return (uint64_t)handled;
}
