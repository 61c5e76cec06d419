/*
 * paging.c - four-level paging: rights at every level, accessed and dirty bits, NX, WP, SMEP, SMAP, reserved
 * bits, large pages, and what must be forgotten when (SDM 3A chapter 4). Nothing here expects a stale
 * translation to live on: that a CPU may.
 */
#include "lib.h"

enum {
    CR4_PGE = 1 << 7,
    CR4_PCIDE = 1 << 17,
    CR4_SMEP = 1 << 20,
    CR4_SMAP = 1 << 21,
    CR0_WP = 1 << 16,
    MSR_EFER = 0xC0000080,
    EFER_NXE = 1 << 11,
    ERR_P = 1,
    ERR_W = 2,
    ERR_U = 4,
    ERR_RSVD = 8,
    ERR_I = 16,
    RW = PTE_P | PTE_W | PTE_U,
    RO = PTE_P | PTE_U,
};
#define MIB2 0x200000ull
#define GIB  0x40000000ull

static uint8_t frames[3][4096] __attribute__((aligned(4096)));
static uint64_t second_pml4[512] __attribute__((aligned(4096)));

SNIPPET(s_read, "", "mov (%rdi), %al", "");
SNIPPET(s_write, "", "mov %al, (%rdi)", "");
SNIPPET(s_call, "", "nop; jmp *%rdi", "");

static struct regs r;

static void access(const struct snippet *s, unsigned cpl, uint64_t address)
{
    r = snippet_regs(s, cpl);
    r.rdi = address;
    run(&r);
}

static void passes(const char *what, const struct snippet *s, unsigned cpl, uint64_t address)
{
    access(s, cpl, address);
    if (r.vector != VEC_END)
        test_fail("%s: vector %lu, error code 0x%lx", what, r.vector, r.error);
}

static void faults(const char *what, const struct snippet *s, unsigned cpl, uint64_t address, uint64_t error)
{
    access(s, cpl, address);
    if (r.vector != VEC_PF || r.error != error || r.cr2 != address)
        test_fail("%s: vector %lu, error code 0x%lx, CR2 0x%lx, not #PF 0x%lx", what, r.vector, r.error,
                  r.cr2, error);
}

/* ---- accessed and dirty ---- */

static void accessed_dirty(void)
{
    uint64_t a = map_page(0, (uint64_t)frames[0], RW);
    test_begin("accessed bits at all levels");
    pml4[1] &= ~(uint64_t)PTE_A;
    test_pdpt[0] &= ~(uint64_t)PTE_A;
    test_pd[0] &= ~(uint64_t)PTE_A;
    write_cr3(read_cr3());
    passes("read", &s_read, 3, a);
    test_equal(pml4[1] & PTE_A, PTE_A, "A of the PML4 entry");
    test_equal(test_pdpt[0] & PTE_A, PTE_A, "A of the PDPT entry");
    test_equal(test_pd[0] & PTE_A, PTE_A, "A of the directory entry");
    test_equal(test_pt[0] & (PTE_A | PTE_D), PTE_A, "A and D of the table entry");
    test_end();
    test_begin("dirty bit at the first write after a read");
    passes("write", &s_write, 3, a);
    test_equal(test_pt[0] & (PTE_A | PTE_D), PTE_A | PTE_D, "A and D");
    test_equal(test_pd[0] & PTE_D, 0, "D of the directory entry");
    test_end();
    test_begin("dirty bit again after INVLPG");
    test_pt[0] &= ~(uint64_t)(PTE_A | PTE_D);
    invlpg(a);
    passes("write", &s_write, 3, a);
    test_equal(test_pt[0] & (PTE_A | PTE_D), PTE_A | PTE_D, "A and D");
    test_end();
    test_begin("no dirty bit from a write that faults");
    map_page(0, (uint64_t)frames[0], RO);
    faults("write", &s_write, 3, a, ERR_P | ERR_W | ERR_U);
    test_equal(test_pt[0] & PTE_D, 0, "D");
    test_end();
    test_begin("accessed and dirty bits of a 2 MiB page");
    test_pd[1] = RW | PTE_PS;
    invlpg(TEST_BASE + MIB2);
    passes("read", &s_read, 3, TEST_BASE + MIB2);
    test_equal(test_pd[1] & (PTE_A | PTE_D), PTE_A, "A and D after a read");
    passes("write", &s_write, 0, TEST_BASE + MIB2 + 0x10000);
    test_equal(test_pd[1] & (PTE_A | PTE_D), PTE_A | PTE_D, "A and D after a write");
    test_pd[1] = 0;
    invlpg(TEST_BASE + MIB2);
    test_end();
    map_page(0, 0, 0);
}

/* ---- rights ---- */

static void levels(void)
{
    volatile uint64_t *entries[] = {&pml4[1], &test_pdpt[0], &test_pd[0], &test_pt[0]};
    static const char *const names[] = {"rights in the PML4 entry", "rights in the PDPT entry",
                                        "rights in the directory entry", "rights in the table entry"};
    uint64_t a = map_page(0, (uint64_t)frames[0], RW);
    for (unsigned i = 0; i < 4; i++) {
        uint64_t full = *entries[i] | RW;
        test_begin(names[i]);
        *entries[i] = full & ~(uint64_t)PTE_W;
        write_cr3(read_cr3());
        passes("read-only, read", &s_read, 3, a);
        faults("read-only, write", &s_write, 3, a, ERR_P | ERR_W | ERR_U);
        passes("read-only, write at CPL 0", &s_write, 0, a);
        *entries[i] = full & ~(uint64_t)PTE_U;
        write_cr3(read_cr3());
        faults("supervisor, read", &s_read, 3, a, ERR_P | ERR_U);
        faults("supervisor, write", &s_write, 3, a, ERR_P | ERR_W | ERR_U);
        passes("supervisor, write at CPL 0", &s_write, 0, a);
        *entries[i] = full & ~(uint64_t)PTE_P;
        write_cr3(read_cr3());
        faults("not present, read", &s_read, 3, a, ERR_U);
        faults("not present, write at CPL 0", &s_write, 0, a, ERR_W);
        *entries[i] = full;
        write_cr3(read_cr3());
        test_end();
    }
    test_begin("CR0.WP");
    map_page(0, (uint64_t)frames[0], RO);
    write_cr0(read_cr0() | CR0_WP);
    faults("write to a user page", &s_write, 0, a, ERR_P | ERR_W);
    map_page(0, (uint64_t)frames[0], PTE_P);
    faults("write to a supervisor page", &s_write, 0, a, ERR_P | ERR_W);
    write_cr0(read_cr0() & ~(uint64_t)CR0_WP);
    passes("write without WP", &s_write, 0, a);
    test_end();
    map_page(0, 0, 0);
}

static void no_execute(void)
{
    uint64_t a = map_page(0, (uint64_t)frames[0], RW | PTE_NX);
    memcpy(frames[0], "\xCD\x80", 2);
    test_begin("NX is reserved without EFER.NXE");
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~(uint64_t)EFER_NXE);
    faults("read", &s_read, 3, a, ERR_P | ERR_U | ERR_RSVD);
    faults("write at CPL 0", &s_write, 0, a, ERR_P | ERR_W | ERR_RSVD);
    test_end();
    test_begin("NX");
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
    write_cr3(read_cr3());
    passes("read", &s_read, 3, a);
    faults("fetch", &s_call, 3, a, ERR_P | ERR_U | ERR_I);
    faults("fetch at CPL 0", &s_call, 0, a, ERR_P | ERR_I);
    map_page(0, (uint64_t)frames[0], RW);
    passes("fetch without NX", &s_call, 3, a);
    test_pd[0] |= PTE_NX;
    write_cr3(read_cr3());
    faults("fetch, NX in the directory", &s_call, 3, a, ERR_P | ERR_U | ERR_I);
    test_pd[0] &= ~PTE_NX;
    pml4[1] |= PTE_NX;
    write_cr3(read_cr3());
    faults("fetch, NX in the PML4", &s_call, 3, a, ERR_P | ERR_U | ERR_I);
    pml4[1] &= ~PTE_NX;
    write_cr3(read_cr3());
    map_page(0, 0, 0);
    faults("fetch, not present", &s_call, 3, a, ERR_U | ERR_I);
    test_end();
    /* MOV EAX, imm32 begins two bytes before a page that isn't there. */
    test_begin("an instruction across two pages");
    map_page(0, (uint64_t)frames[0], RW);
    frames[0][4094] = 0xB8;
    frames[0][4095] = 0x11;
    memcpy(frames[1], "\x22\x33\x44\xCD\x80", 5);
    access(&s_call, 3, a + 4094);
    test_equal(r.vector, VEC_PF, "vector");
    test_equal(r.error, ERR_U | ERR_I, "error code");
    test_equal(r.cr2, a + 4096, "CR2");
    test_equal(r.rip, a + 4094, "RIP");
    map_page(1, (uint64_t)frames[1], RW);
    passes("both present", &s_call, 3, a + 4094);
    test_equal(r.rax, 0x44332211, "EAX");
    test_end();
    map_page(0, 0, 0);
    map_page(1, 0, 0);
}

/* The kernel's own memory becomes supervisor memory for these. */
static void smep_smap(void)
{
    struct cpuid features = cpuid(7, 0);
    uint64_t a = map_page(0, (uint64_t)frames[0], RW), cr4 = read_cr4();
    memcpy(frames[0], "\xCD\x80", 2);
    pml4[0] &= ~(uint64_t)PTE_U;
    write_cr3(read_cr3());
    if (features.b & 1 << 7) {
        test_begin("SMEP");
        passes("fetch without SMEP", &s_call, 0, a);
        write_cr4(cr4 | CR4_SMEP);
        faults("fetch from a user page", &s_call, 0, a, ERR_P | ERR_I);
        passes("read", &s_read, 0, a);
        map_page(0, (uint64_t)frames[0], PTE_P);
        passes("fetch from a supervisor page", &s_call, 0, a);
        map_page(0, (uint64_t)frames[0], RW);
        test_end();
    } else {
        test_skip("SMEP", "the CPU lacks it");
    }
    if (features.b & 1 << 20) {
        test_begin("SMAP");
        write_cr4(cr4 | CR4_SMAP);
        faults("read", &s_read, 0, a, ERR_P);
        faults("write", &s_write, 0, a, ERR_P | ERR_W);
        r = snippet_regs(&s_write, 0);
        r.rdi = a;
        r.rflags |= FLAG_AC;
        run(&r);
        test_equal(r.vector, VEC_END, "vector with RFLAGS.AC");
        write_cr4(cr4);
        passes("read without SMAP", &s_read, 0, a);
        test_end();
    } else {
        test_skip("SMAP", "the CPU lacks it");
    }
    write_cr4(cr4);
    pml4[0] |= PTE_U;
    write_cr3(read_cr3());
    map_page(0, 0, 0);
}

/* ---- reserved bits ---- */

static void reserved(void)
{
    unsigned bits = cpuid(0x80000000, 0).a >= 0x80000008 ? cpuid(0x80000008, 0).a & 0xFF : 36;
    uint64_t a = map_page(0, (uint64_t)frames[0], RW);
    volatile uint64_t *entries[] = {&pml4[1], &test_pdpt[0], &test_pd[0], &test_pt[0]};
    test_begin("reserved address bits");
    for (unsigned i = 0; i < 4 && bits < 52; i++) {
        for (unsigned bit = bits; bit < 52; bit++) {
            *entries[i] ^= 1ull << bit;
            write_cr3(read_cr3());
            faults("read", &s_read, 3, a, ERR_P | ERR_U | ERR_RSVD);
            faults("write at CPL 0", &s_write, 0, a, ERR_P | ERR_W | ERR_RSVD);
            *entries[i] ^= 1ull << bit;
        }
    }
    write_cr3(read_cr3());
    test_end();
    test_begin("PS is reserved in the PML4");
    pml4[1] |= PTE_PS;
    write_cr3(read_cr3());
    faults("read", &s_read, 3, a, ERR_P | ERR_U | ERR_RSVD);
    pml4[1] &= ~(uint64_t)PTE_PS;
    write_cr3(read_cr3());
    test_end();
    test_begin("low address bits of a 2 MiB page are reserved");
    for (unsigned bit = 13; bit < 21; bit++) {
        test_pd[1] = RW | PTE_PS | 1ull << bit;
        invlpg(TEST_BASE + MIB2);
        faults("read", &s_read, 3, TEST_BASE + MIB2, ERR_P | ERR_U | ERR_RSVD);
    }
    test_pd[1] = 0;
    test_end();
    test_begin("an entry not present has no reserved bits");
    map_page(0, ~0ull << 12, 0);
    faults("read", &s_read, 3, a, ERR_U);
    test_end();
    test_begin("ignored bits are ignored");
    map_page(0, (uint64_t)frames[0], RW | 0xE00 | 0x7FFull << 52 | 0x18);
    passes("read", &s_read, 3, a);
    test_end();
    map_page(0, 0, 0);
}

/* ---- large pages, aliases ---- */

static void large_pages(void)
{
    static volatile uint32_t cell;
    uint64_t here = (uint64_t)&cell;
    test_begin("2 MiB pages");
    test_pd[2] = (here & ~(MIB2 - 1)) | RW | PTE_PS;
    volatile uint32_t *alias = (uint32_t *)(TEST_BASE + 2 * MIB2 + (here & (MIB2 - 1)));
    *alias = 0x12345678;
    test_equal(cell, 0x12345678, "cell");
    cell = 0x9ABCDEF0;
    test_equal(*alias, 0x9ABCDEF0, "alias");
    /* Smaller again: INVLPG of any address in it ends the large page. */
    test_pd[2] = 0;
    invlpg(TEST_BASE + 2 * MIB2 + 0x5000);
    faults("read after INVLPG", &s_read, 3, (uint64_t)alias, ERR_U);
    test_end();
    if (!(cpuid(0x80000001, 0).d & 1 << 26)) {
        test_skip("1 GiB pages", "the CPU lacks them");
        return;
    }
    test_begin("1 GiB pages");
    test_pdpt[1] = RW | PTE_PS;
    alias = (uint32_t *)(TEST_BASE + GIB + here);
    test_equal(*alias, 0x9ABCDEF0, "alias");
    *alias = 0x55AA;
    test_equal(cell, 0x55AA, "cell");
    test_equal(test_pdpt[1] & (PTE_A | PTE_D), PTE_A | PTE_D, "A and D");
    for (unsigned bit = 13; bit < 30; bit++) {
        test_pdpt[1] = RW | PTE_PS | 1ull << bit;
        invlpg((uint64_t)alias);
        faults("reserved bit", &s_read, 3, (uint64_t)alias, ERR_P | ERR_U | ERR_RSVD);
    }
    test_pdpt[1] = 0;
    invlpg((uint64_t)alias);
    test_end();
}

static void aliases(void)
{
    volatile uint8_t *a = (uint8_t *)map_page(0, (uint64_t)frames[0], RW),
                     *b = (uint8_t *)map_page(1, (uint64_t)frames[0], RW);
    test_begin("two addresses of one page");
    for (unsigned i = 0; i < 4096; i++)
        a[i] = (uint8_t)(i * 5);
    for (unsigned i = 0; i < 4096; i++)
        if (b[i] != (uint8_t)(i * 5))
            test_fail("offset %u is %u", i, b[i]);
    *(volatile uint64_t *)(a + 4092) = 0x1122334455667788; /* the upper half lands on the same page's start */
    test_equal(*(volatile uint32_t *)b, 0x11223344, "start of the page");
    test_equal(*(volatile uint32_t *)(b + 4092), 0x55667788, "end of the page");
    test_end();
    test_begin("the upper half of the address space");
    pml4[511] = pml4[1];
    passes("read", &s_read, 3, 0xFFFFFF8000000000);
    pml4[511] = 0;
    write_cr3(read_cr3());
    faults("read when gone", &s_read, 3, 0xFFFFFF8000000000, ERR_U);
    test_end();
    map_page(0, 0, 0);
    map_page(1, 0, 0);
}

/* ---- forgetting ---- */

static uint8_t byte_at(uint64_t address)
{
    return *(volatile uint8_t *)address;
}

static void invalidation(void)
{
    uint64_t a = map_page(0, (uint64_t)frames[0], RW), cr4 = read_cr4();
    for (unsigned i = 0; i < 3; i++)
        memset(frames[i], (int)(0x10 + i), 4096);
    test_begin("INVLPG and CR3 make changes seen");
    test_equal(byte_at(a), 0x10, "first page");
    map_page(0, (uint64_t)frames[1], RW);
    test_equal(byte_at(a), 0x11, "after INVLPG");
    test_pt[0] = (uint64_t)frames[2] | RW;
    write_cr3(read_cr3());
    test_equal(byte_at(a), 0x12, "after a write to CR3");
    test_end();
    test_begin("no invalidation is needed to grant more");
    map_page(0, 0, 0);
    faults("not present", &s_read, 3, a, ERR_U);
    test_pt[0] = (uint64_t)frames[0] | RO;
    passes("present at once", &s_read, 3, a);
    faults("read-only", &s_write, 3, a, ERR_P | ERR_W | ERR_U);
    test_pt[0] = (uint64_t)frames[0] | RW;
    passes("writable after the fault", &s_write, 3, a);
    test_end();
    test_begin("global pages");
    write_cr4(cr4 | CR4_PGE);
    map_page(0, (uint64_t)frames[0], RW | PTE_G);
    test_equal(byte_at(a + 8), 0x10, "first page");
    map_page(0, (uint64_t)frames[1], RW | PTE_G);
    test_equal(byte_at(a + 8), 0x11, "after INVLPG");
    test_pt[0] = (uint64_t)frames[2] | RW | PTE_G;
    write_cr4(cr4);
    test_equal(byte_at(a + 8), 0x12, "after CR4.PGE changed");
    test_end();
    test_begin("another CR3, another mapping");
    uint64_t cr3 = read_cr3();
    memcpy(second_pml4, (void *)pml4, sizeof second_pml4);
    second_pml4[1] = 0;
    write_cr3((uint64_t)second_pml4);
    faults("read under the second CR3", &s_read, 3, a, ERR_U);
    write_cr3(cr3);
    passes("read under the first CR3", &s_read, 3, a);
    test_end();
    map_page(0, 0, 0);
}

SNIPPET(s_set_cr3, "", "mov %rax, %cr3", "");
SNIPPET(s_set_cr4, "", "mov %rax, %cr4", "");
SNIPPET(s_invpcid, "", "invpcid (%rdi), %rax", "");

static void invpcid(uint64_t type, uint64_t pcid, uint64_t address, unsigned vector)
{
    uint64_t descriptor[2] = {pcid, address};
    r = snippet_regs(&s_invpcid, 0);
    r.rax = type;
    r.rdi = (uint64_t)descriptor;
    run(&r);
    if (r.vector != vector)
        test_fail("INVPCID type %lu: vector %lu, not %u", type, r.vector, vector);
}

static void context_identifiers(void)
{
    uint64_t cr3 = read_cr3(), cr4 = read_cr4(), a = map_page(0, (uint64_t)frames[0], RW);
    test_begin("CR3 bit 63 is reserved without CR4.PCIDE");
    r = snippet_regs(&s_set_cr3, 0);
    r.rax = cr3 | 1ull << 63;
    run(&r);
    test_equal(r.vector, VEC_GP, "vector");
    test_end();
    if (!(cpuid(1, 0).c & 1 << 17)) {
        test_skip("PCID", "the CPU lacks it");
        return;
    }
    test_begin("PCID");
    write_cr3(cr3 | 0x18); /* PWT and PCD, which will be bits of the PCID */
    r = snippet_regs(&s_set_cr4, 0);
    r.rax = cr4 | CR4_PCIDE;
    run(&r);
    test_equal(r.vector, VEC_GP, "vector of setting PCIDE with CR3 bits set");
    write_cr3(cr3);
    write_cr4(cr4 | CR4_PCIDE);
    memcpy(second_pml4, (void *)pml4, sizeof second_pml4);
    second_pml4[1] = 0;
    write_cr3(cr3 | 1);
    passes("first context", &s_read, 3, a);
    write_cr3((uint64_t)second_pml4 | 2);
    test_equal(read_cr3(), (uint64_t)second_pml4 | 2, "CR3");
    faults("second context", &s_read, 3, a, ERR_U);
    write_cr3(cr3 | 1 | 1ull << 63);
    test_equal(read_cr3(), cr3 | 1, "CR3 without bit 63");
    passes("back", &s_read, 3, a);
    test_pt[0] = 0;
    write_cr3(cr3 | 1);
    faults("after a flushing write to CR3", &s_read, 3, a, ERR_U);
    test_end();
    if (cpuid(7, 0).b & 1 << 10) {
        test_begin("INVPCID");
        for (unsigned type = 0; type < 4; type++) {
            test_pt[0] = (uint64_t)frames[0] | RW;
            passes("mapped", &s_read, 3, a);
            test_pt[0] = 0;
            invpcid(type, type < 2, type ? 0 : a, VEC_END);
            faults("after INVPCID", &s_read, 3, a, ERR_U);
        }
        invpcid(4, 0, 0, VEC_GP);
        invpcid(0, 0x1000, 0, VEC_GP);
        invpcid(0, 1, 1ull << 63, VEC_GP);
        test_end();
    } else {
        test_skip("INVPCID", "the CPU lacks it");
    }
    write_cr3(cr3);
    write_cr4(cr4);
    map_page(0, 0, 0);
}

void guest_main(void)
{
    accessed_dirty();
    levels();
    no_execute();
    smep_smap();
    reserved();
    large_pages();
    aliases();
    invalidation();
    context_identifiers();
}
