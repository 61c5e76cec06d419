/*
 * report.c - what translated code tells of itself: blocks and thunks for who prints them, counters.
 */
#include <stdlib.h>
#include <string.h>

#include "cpu/jit/jit.h"

bool jit_report_new(struct jit *jit)
{
    jit->body_runs = calloc(opcode_row_count + 1, sizeof(*jit->body_runs));
    return jit->body_runs;
}

void jit_report_free(struct jit *jit)
{
    free(jit->body_runs);
}

uint64_t jit_now(const struct jit *jit)
{
    return jit->code.now ? jit->code.now() : 0;
}

/* --- Blocks ------------------------------------------------------------------------------------------- */

/* Bytes of guest code: up to where the block leaves the rest of its trace out. */
static size_t guest_bytes(const struct jit_block *block)
{
    const struct insn *i = block->trace->insn;

    for (unsigned n = 1; n < block->count; n++)
        i += i->flags & INSN_LINKED ? 2 : 1;
    return (size_t)i->off + i->len;
}

/* The block as it is where RIP has the page `page`. */
static void describe(struct cpu *cpu, const struct jit_block *block, uint64_t page, struct cpu_block *to)
{
    static const uint8_t bits[] = {[SIZE_W] = 16, [SIZE_D] = 32, [SIZE_Q] = 64};
    const struct trace *t = block->trace;
    size_t bytes = guest_bytes(block), size = bytes < sizeof(to->guest) ? bytes : sizeof(to->guest);

    *to = (struct cpu_block){.linear = block->segmented ? (uint32_t)(block->base + block->rip) : page + block->page_offset,
                             .bits = bits[t->mode & MODE_BITS],
                             .user = t->mode & MODE_USER,
                             .instructions = block->count,
                             .host = block->code,
                             .host_size = block->size};
    to->guest_size = cpu_peek(cpu, to->linear, to->guest, size);
}

void jit_translated(struct cpu *cpu, struct jit_block *block, uint64_t since)
{
    struct jit *jit = cpu->jit;
    struct cpu_block description;

    jit->stats.nanoseconds += jit_now(jit) - since;
    jit->stats.blocks++;
    jit->stats.instructions += block->count;
    jit->stats.guest_bytes += guest_bytes(block);
    jit->stats.bytes += block->size;
    if (!jit->watch.translated)
        return;
    describe(cpu, block, cpu->s.rip & ~(uint64_t)(BUS_PAGE - 1), &description);
    jit->watch.translated(jit->watch.opaque, &description);
}

bool cpu_block_at(struct cpu *cpu, const void *host, struct cpu_block *to)
{
    const struct jit *jit = cpu->jit;
    const uint8_t *at = host;

    if (!jit)
        return false;
    for (uint32_t n = 0; n < jit->block_count; n++) {
        const struct jit_block *block = &jit->blocks[n];

        if (at >= block->code && at < block->code + block->size) {
            describe(cpu, block, cpu->jt.code_page, to);
            return true;
        }
    }
    return false;
}

/* --- Thunks ------------------------------------------------------------------------------------------- */

struct thunk {
    const char *name;
    const uint8_t *code;
};

static int by_address(const void *a, const void *b)
{
    const struct thunk *x = a, *y = b;

    return (x->code > y->code) - (x->code < y->code);
}

void cpu_watch_code(struct cpu *cpu, const struct cpu_watch *watch)
{
    static const char *const quick[JIT_WAYS] = {"look again, read", "look again, write",
                                                "look again, stack read", "look again, stack write"};
    struct jit *jit = cpu->jit;
    const uint8_t *end = jit->exec + jit->keep;
    struct thunk thunks[16 + JIT_CONTEXTS * (JIT_WAYS + 2)] = {
        {"enter", (const uint8_t *)(uintptr_t)jit->enter},
        {"leave", jit->leave},
        {"slow access", jit->slow},
        {"useless near entry", jit->useless},
        {"look for a window", jit->window},
        {"body", jit->body},
        {"resolve", jit->resolve},
        {"indirect", jit->indirect},
        {"flags", jit->flags},
        {"load XMM", jit->xmm},
        {"load x87", jit->x87},
    };
    unsigned count = 11;

    jit->watch = *watch;
    if (!watch->thunk)
        return;
    for (unsigned c = 0; c < JIT_CONTEXTS; c++)
        for (unsigned way = 0; way < JIT_WAYS; way++)
            thunks[count++] = (struct thunk){quick[way], jit->quick[c][way]};
    for (unsigned c = 0; c < JIT_CONTEXTS; c++)
        for (unsigned way = WAY_READ; way <= WAY_WRITE; way++)
            thunks[count++] = (struct thunk){way ? "look into the table, write" : "look into the table, read", jit->near[c][way]};
    qsort(thunks, count, sizeof(*thunks), by_address);
    for (unsigned n = 0; n < count; n++) {
        const uint8_t *next = n + 1 < count ? thunks[n + 1].code : end;

        watch->thunk(watch->opaque, thunks[n].name, thunks[n].code, (size_t)(next - thunks[n].code));
    }
}

/* --- Counters ----------------------------------------------------------------------------------------- */

/* The rows with the most runs; rows of the same name count together. */
static void rank_bodies(const struct jit *jit, struct cpu_jit_stats *stats)
{
    for (unsigned row = 0; row <= opcode_row_count; row++) {
        const char *name = row < opcode_row_count ? opcode_rows[row].name : "(raises)";
        uint64_t count = 0;
        bool first = jit->body_runs[row];
        unsigned at;

        for (unsigned other = 0; other <= opcode_row_count && first; other++) {
            const char *its = other < opcode_row_count ? opcode_rows[other].name : "(raises)";

            if (!jit->body_runs[other] || strcmp(name, its))
                continue;
            first = other >= row;
            count += jit->body_runs[other];
        }
        if (!first)
            continue;
        for (at = CPU_BODIES; at && count > stats->body[at - 1].count; at--)
            if (at < CPU_BODIES)
                stats->body[at] = stats->body[at - 1];
        if (at < CPU_BODIES) {
            stats->body[at].name = name;
            stats->body[at].count = count;
        }
    }
}

void jit_get_stats(const struct cpu *cpu, struct cpu_jit_stats *stats)
{
    const struct jit *jit = cpu->jit ? cpu->jit : cpu->resting_jit;

    if (!jit)
        return;
    *stats = jit->stats;
    stats->active = true;
    stats->size = jit->size;
    stats->used = jit->used;
    rank_bodies(jit, stats);
}
