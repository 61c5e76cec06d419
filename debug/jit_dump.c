/*
 * jit_dump.c - translated code for people; see jit_dump.h.
 *
 * perf reads /tmp/perf-PID.map: lines of start, size and name, the numbers in hexadecimal. Where code memory
 * is used anew, later lines say something else of the same addresses; perf takes the last.
 */
#include "debug/jit_dump.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "debug/listing.h"
#include "debug/symbols.h"

#define NAME_MAX_SHOWN 80
#define AROUND         64u /* bytes of a thunk's code that are shown */

struct jit_dump {
    struct dump_option what;
    FILE *out;               /* NULL: nothing is printed */
    FILE *map;               /* NULL: none is written */
    struct symbols *symbols; /* NULL: none */
};

/* --- Blocks ------------------------------------------------------------------------------------------- */

static void print_block(const struct cpu_block *block, const uint8_t *mark, FILE *out)
{
    fprintf(out,
            "Block at %016" PRIx64 ": %u instructions of %u-bit %s code, %zu bytes; host code %zu bytes.\n",
            block->linear, block->instructions, block->bits, block->user ? "user" : "supervisor",
            block->guest_size, block->host_size);
    listing_print(out, block->bits, block->linear, block->guest, block->guest_size, NULL);
    fprintf(out, "Host code:\n");
    listing_print(out, 64, (uint64_t)(uintptr_t)block->host, block->host, block->host_size, mark);
}

static bool wanted(const struct dump_option *what, const struct cpu_block *block)
{
    return what->all || what->address - block->linear < block->guest_size;
}

static void map_block(const struct jit_dump *dump, const struct cpu_block *block)
{
    uint64_t offset;
    const char *symbol = symbols_code_at(dump->symbols, block->linear, &offset);
    char name[NAME_MAX_SHOWN + 20];

    if (symbol)
        snprintf(name, sizeof(name), "%.*s+0x%" PRIx64, NAME_MAX_SHOWN, symbol, offset);
    else
        snprintf(name, sizeof(name), "%016" PRIx64, block->linear);
    fprintf(dump->map, "%" PRIxPTR " %zx guest%u%s:%s\n", (uintptr_t)block->host, block->host_size,
            block->bits, block->user ? "u" : "k", name);
}

static void translated(void *opaque, const struct cpu_block *block)
{
    struct jit_dump *dump = opaque;

    if (dump->out && wanted(&dump->what, block)) {
        print_block(block, NULL, dump->out);
        fputc('\n', dump->out);
    }
    if (dump->map)
        map_block(dump, block);
}

static void thunk(void *opaque, const char *name, const uint8_t *host, size_t size)
{
    struct jit_dump *dump = opaque;

    if (dump->map)
        fprintf(dump->map, "%" PRIxPTR " %zx oxbow:%s\n", (uintptr_t)host, size, name);
}

struct cpu_watch jit_dump_watch(struct jit_dump *dump)
{
    return (struct cpu_watch){.opaque = dump, .translated = translated, .thunk = thunk};
}

static bool open_files(struct jit_dump *dump, const struct options *options, char *why, size_t why_size)
{
    char path[64];

    dump->what = options->jit_dump;
    if (options->jit_dump.on) {
        dump->out = options->jit_dump.path ? fopen(options->jit_dump.path, "w") : stderr;
        if (!dump->out) {
            snprintf(why, why_size, "--jit-dump: cannot write %s: %s", options->jit_dump.path,
                     strerror(errno));
            return false;
        }
    }
    if (!options->perf_map)
        return true;
    if (options->perf_symbols) {
        char reason[400];

        dump->symbols = symbols_read(options->perf_symbols, reason, sizeof(reason));
        snprintf(why, why_size, "--perf-map: %s", reason);
        if (!dump->symbols)
            return false;
    }
    snprintf(path, sizeof(path), "/tmp/perf-%ld.map", (long)getpid());
    /* Not through a link that somebody else has put there. */
    unlink(path);
    dump->map = fopen(path, "wxe");
    if (!dump->map) {
        snprintf(why, why_size, "--perf-map: cannot write %s: %s", path, strerror(errno));
        return false;
    }
    setvbuf(dump->map, NULL, _IOLBF, 0); /* perf top reads along */
    return true;
}

struct jit_dump *jit_dump_open(const struct options *options, char *why, size_t why_size)
{
    struct jit_dump *dump = calloc(1, sizeof(*dump));

    if (!dump) {
        snprintf(why, why_size, "out of memory");
        return NULL;
    }
    if (open_files(dump, options, why, why_size))
        return dump;
    jit_dump_close(dump);
    return NULL;
}

void jit_dump_close(struct jit_dump *dump)
{
    if (!dump)
        return;
    if (dump->out && dump->out != stderr)
        fclose(dump->out);
    if (dump->map)
        fclose(dump->map);
    symbols_free(dump->symbols);
    free(dump);
}

/* --- A host signal ------------------------------------------------------------------------------------ */

void jit_dump_fault(const struct cpu_host_fault *fault, FILE *out)
{
    static const char *const names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                          "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

    fprintf(out, "Oxbow crashed: translated code raised the host's signal %d (%s)", fault->signal,
            strsignal(fault->signal));
    if (fault->addressed)
        fprintf(out, " at an access to %016" PRIxPTR, (uintptr_t)fault->address);
    fprintf(out, ".\nThis is a mistake of the translator; please report it with what follows. --accel interp "
                 "does without it.\n");
    if (fault->block) {
        print_block(fault->block, fault->pc, out);
    } else {
        fprintf(out, "In no block; code at %016" PRIxPTR ":\n", (uintptr_t)fault->pc);
        listing_print(out, 64, (uint64_t)(uintptr_t)fault->pc, fault->pc, AROUND, fault->pc);
    }
    fprintf(out, "Host registers (guest's but for r12, its rsp, and r13 to r15; gs has the CPU):\n");
    for (int i = 0; i < 16; i++)
        fprintf(out, "  %-3s %016" PRIx64 "%s", names[i], fault->gpr[i], i % 4 == 3 ? "\n" : "");
    fprintf(out, "  rip %016" PRIxPTR "  rflags %08" PRIx64 "\n", (uintptr_t)fault->pc, fault->rflags);
    fflush(out);
}
