/*
 * jit.c - the translator as an engine, and what it needs of the host: memory that is written at one address
 * and run at another, and the GS register.
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "accel/host_fault.h"
#include "accel/software.h"

/* `base` is the CPU, which this thread is going to run. */
static void set_gs(void *base)
{
    syscall(SYS_arch_prctl, ARCH_SET_GS, base);
    host_fault_thread(base);
}

static void release(struct cpu_code *code)
{
    host_fault_forget(code->exec);
    munmap(code->write, code->size);
    munmap(code->exec, code->size);
}

/*
 * False, with errno, when the host has no such memory to give. Shared memory without a file rather than a memfd: perf
 * looks for names of code (--perf-map) only in what the kernel shows as /dev/zero.
 */
static bool code_new(struct cpu_code *code, size_t size)
{
    *code = (struct cpu_code){.size = size, .set_gs = set_gs, .now = engine_host_ns, .release = release};
    code->write = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (code->write == MAP_FAILED)
        return false;
    code->exec = mremap(code->write, 0, size, MREMAP_MAYMOVE); /* of shared memory: the same once more */
    if (code->exec != MAP_FAILED && !mprotect(code->exec, size, PROT_READ | PROT_EXEC))
        return true;
    if (code->exec != MAP_FAILED)
        munmap(code->exec, size);
    munmap(code->write, size);
    return false;
}

static bool jit_probe(char *why, size_t why_size)
{
    struct cpu_code code;

    if (code_new(&code, 4096)) {
        release(&code);
        return true;
    }
    snprintf(why, why_size, "the host gives no executable memory (%s); use --accel interp", strerror(errno));
    return false;
}

static bool jit_attach(struct cpu *cpu, const struct engine_options *options, char *why, size_t why_size)
{
    static const struct engine_options none;
    struct cpu_code code;
    uint64_t size;

    if (cpu_wake_jit(cpu)) /* it has been there */
        return true;

    if (!options)
        options = &none;
    size = options->code_size ? options->code_size : ENGINE_CODE_SIZE;
    if (!code_new(&code, size)) {
        snprintf(why, why_size, "no %llu MiB for translated code: %s; give less with --jit-cache",
                 (unsigned long long)size >> 20, strerror(errno));
        return false;
    }
    snprintf(why, why_size, "out of memory for the translator");
    if (!host_fault_watch(cpu, &code, options)) {
        release(&code);
        return false;
    }
    if (cpu_use_jit(cpu, &code))
        return true;
    release(&code);
    return false;
}

const struct engine engine_jit = {
    .name = "jit",
    .about = "translates hot guest code to host code; the rest is interpreted",
    .probe = jit_probe,
    .attach = jit_attach,
    .detach = cpu_rest_jit,
    .check = cpu_check,
    .watch = cpu_watch_code,
    .run = cpu_run,
    .kick = cpu_kick,
    .pull = cpu_pull,
    .push = cpu_push,
};
