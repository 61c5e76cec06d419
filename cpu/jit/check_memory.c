/*
 * check_memory.c - memory while translated code is compared with the interpreter: what was written is noted
 * by lines, and undone; where translated code may store.
 */
#include <string.h>

#include "cpu/interp/body.h"
#include "cpu/jit/check.h"

static unsigned bucket_of(const uint8_t *host)
{
    return (unsigned)((uintptr_t)host / LINE) & (BUCKETS - 1);
}

static struct line *find_line(struct checker *c, const uint8_t *host)
{
    for (unsigned b = bucket_of(host); c->bucket[b]; b = (b + 1) & (BUCKETS - 1))
        if (c->line[c->bucket[b] - 1].host == host)
            return &c->line[c->bucket[b] - 1];
    return NULL;
}

static struct line *add_line(struct checker *c, uint8_t *host, uint64_t phys)
{
    struct line *l = &c->line[c->line_count];
    unsigned b = bucket_of(host);

    if (c->line_count == MAX_LINES)
        return NULL;
    while (c->bucket[b])
        b = (b + 1) & (BUCKETS - 1);
    c->bucket[b] = (uint16_t)++c->line_count;
    l->host = host;
    l->phys = phys;
    l->written = 0;
    memcpy(l->before, host, LINE);
    memcpy(l->after, host, LINE);
    return l;
}

void check_forget_lines(struct checker *c)
{
    if (c->line_count > BUCKETS / 16) {
        memset(c->bucket, 0, sizeof(c->bucket));
    } else {
        for (unsigned n = 0; n < c->line_count; n++)
            for (unsigned b = bucket_of(c->line[n].host); c->bucket[b]; b = (b + 1) & (BUCKETS - 1))
                c->bucket[b] = 0;
    }
    c->line_count = 0;
}

/* A page on the host, if the TLB knows it to be plain memory that may be written. */
static uint8_t *plain_memory(const struct cpu *cpu, uint64_t page)
{
    const struct tlb *tlb =
        (const struct tlb *)(const void *)((char *)cpu->tlb - offsetof(struct tlb, entry));
    const struct tlb_side *s = &tlb->side[page >> 12 & (TLB_SIZE - 1)];

    if (s->tag != tlb_tag(cpu, page) || !(s->allow & 1u << ACCESS_WRITE) || !s->region ||
        s->region->kind != REGION_RAM || s->offset + BUS_PAGE > s->region->size ||
        __atomic_load_n(&s->region->page_flags[s->offset >> 12], __ATOMIC_SEQ_CST) & (PAGE_CODE | PAGE_TRACK))
        return NULL;
    return s->region->host + s->offset;
}

/* Remembers where translated code may store. */
static void note_page(struct cpu *cpu, uint64_t linear)
{
    struct checker *c = cpu->checker;
    uint64_t page = linear & ~(uint64_t)(BUS_PAGE - 1);

    for (unsigned n = 0; n < c->page_count; n++)
        if (c->page[n].linear == page)
            return;
    if (c->page_count < MAX_PAGES)
        c->page[c->page_count++] = (struct page){.linear = page, .host = plain_memory(cpu, page)};
}

void check_write(struct cpu *cpu, void *host, uint64_t phys, uint64_t linear, unsigned size)
{
    struct checker *c = cpu->checker;
    uint8_t *at = host;

    if (c->pass == PASS_NONE || c->reason != NO_REASON)
        return;
    if (c->pass == PASS_INTERPRETED && linear != NO_PAGE)
        note_page(cpu, linear);
    while (size) {
        unsigned first = (unsigned)((uintptr_t)at & (LINE - 1)),
                 n = size < LINE - first ? size : LINE - first;
        struct line *l = find_line(c, at - first);

        if (!l)
            l = add_line(c, at - first, phys - first);
        if (!l) {
            c->reason = UNCHECKED_LARGE;
            return;
        }
        l->written |= UINT64_MAX >> (LINE - n) << first;
        at += n;
        phys += n;
        size -= n;
    }
}

/* Accessed and dirty bits stay set when writes are undone: the TLB knows that they are. */
void check_bits_set(struct cpu *cpu, const void *host, uint64_t bits, unsigned size)
{
    struct checker *c = cpu->checker;
    unsigned in_line = (unsigned)((uintptr_t)host & (LINE - 1));
    struct line *l = c->pass == PASS_NONE ? NULL : find_line(c, (const uint8_t *)host - in_line);

    for (unsigned n = 0; l && n < size && in_line + n < LINE; n++) {
        l->before[in_line + n] |= (uint8_t)(bits >> 8 * n);
        l->after[in_line + n] |= (uint8_t)(bits >> 8 * n);
    }
}

void check_chip(struct cpu *cpu)
{
    struct checker *c = cpu->checker;

    if (c->pass == PASS_INTERPRETED)
        c->reason = UNCHECKED_CHIP;
    c->chip |= c->pass == PASS_TRANSLATED;
}

void check_undo_writes(struct checker *c)
{
    for (unsigned n = 0; n < c->line_count; n++) {
        struct line *l = &c->line[n];

        for (unsigned b = 0; b < LINE; b++)
            if (l->written >> b & 1)
                l->host[b] = l->before[b];
    }
}

static void open_page(struct page *p, struct jit_page *entry)
{
    p->entry = entry;
    p->old = *entry;
    if (p->host)
        *entry = (struct jit_page){p->linear, (uint64_t)(uintptr_t)p->host};
}

/* Those that were written, and the one that RSP points to, where translated code finds it for pushes and
 * pops. */
void check_open_pages(struct cpu *cpu, unsigned context)
{
    struct checker *c = cpu->checker;
    uint64_t sp = cpu->s.gpr[RSP] & address_mask(stack_size(cpu));
    uint64_t page = (cpu->long64 ? sp : (uint32_t)(cpu->s.seg[SS].base + sp)) & ~(uint64_t)(BUS_PAGE - 1);

    if (!c->stack_known)
        c->stack = plain_memory(cpu, page);
    c->stack_known = true;
    c->context = context;
    c->old_stack = cpu->jt.stack[context];
    if (c->stack)
        jit_set_run(&cpu->jt.stack[context], page, (uint64_t)(uintptr_t)c->stack, BUS_PAGE);
    for (unsigned n = 0; n < c->page_count; n++)
        open_page(&c->page[n], &cpu->jt.write[context][c->page[n].linear >> 12 & (JIT_TLB_SIZE - 1)]);
}

void check_close_pages(struct cpu *cpu)
{
    struct checker *c = cpu->checker;

    jit_clear_near(cpu);                   /* may know a page from what is closed here */
    for (unsigned n = c->page_count; n--;) /* two may share an entry */
        *c->page[n].entry = c->page[n].old;
    cpu->jt.stack[c->context] = c->old_stack;
}
