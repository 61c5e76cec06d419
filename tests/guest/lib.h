/*
 * lib.h - what the guest tests share. Each test is a small kernel of its own: it enters long mode, runs its
 * checks at CPL 0 and 3, and reports a line for each on COM1 and port 0xE9:
 *
 *     PASS name
 *     FAIL name: why
 *     SKIP name: why
 *     RESULT 41 passed, 0 failed
 *
 * Then it ends the machine: isa-debug-exit (port 0xF4) with 0 or, after a failure, 1; failing that, ACPI
 * power-off.
 *
 * The expected values come from the manuals, not from a run of some CPU.
 */
#ifndef GUEST_LIB_H
#define GUEST_LIB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Selectors of lib.S's GDT. Entries from SEL_FREE to 0xF8 are the tests' own. */
enum {
    SEL_CODE64 = 0x08,
    SEL_DATA = 0x10,
    SEL_CODE32 = 0x18,
    SEL_USER_DATA = 0x23,
    SEL_USER_CODE64 = 0x2B,
    SEL_USER_CODE32 = 0x33,
    SEL_TSS = 0x38,
    SEL_CODE16 = 0x48,
    SEL_DATA16 = 0x50,
    SEL_FREE = 0x58,
};

enum {
    VEC_DE,
    VEC_DB,
    VEC_NMI,
    VEC_BP,
    VEC_OF,
    VEC_BR,
    VEC_UD,
    VEC_NM,
    VEC_DF,
    VEC_TS = 10,
    VEC_NP,
    VEC_SS,
    VEC_GP,
    VEC_PF,
    VEC_MF = 16,
    VEC_AC,
    VEC_MC,
    VEC_XM,
    VEC_END = 0x80, /* INT 0x80, open to CPL 3: the end of a snippet */
};

enum {
    FLAG_CF = 1 << 0,
    FLAG_PF = 1 << 2,
    FLAG_AF = 1 << 4,
    FLAG_ZF = 1 << 6,
    FLAG_SF = 1 << 7,
    FLAG_TF = 1 << 8,
    FLAG_IF = 1 << 9,
    FLAG_DF = 1 << 10,
    FLAG_OF = 1 << 11,
    FLAG_IOPL = 3 << 12,
    FLAG_NT = 1 << 14,
    FLAG_RF = 1 << 16,
    FLAG_VM = 1 << 17,
    FLAG_AC = 1 << 18,
    FLAG_VIF = 1 << 19,
    FLAG_VIP = 1 << 20,
    FLAG_ID = 1 << 21,
    FLAGS_STATUS = FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF,
};

enum {
    PTE_P = 1,
    PTE_W = 2,
    PTE_U = 4,
    PTE_A = 0x20,
    PTE_D = 0x40,
    PTE_PS = 0x80,
    PTE_G = 0x100,
};
#define PTE_NX (1ull << 63)

/* Virtual addresses of the page table test_pt: 512 pages, none present at first. */
#define TEST_BASE 0x8000000000ull
extern volatile uint64_t pml4[512], test_pdpt[512], test_pd[512], test_pt[512];
extern uint64_t gdt[32];

/* The state that run() starts from and ends with; lib.S knows the offsets. */
struct regs {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t rip, cs, rflags, rsp, ss;
    uint64_t vector, error, cr2; /* what ended it */
};

/* What an interrupt finds on its stack. */
struct frame {
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

/* Loads all of *regs and executes from there until the first exception or unhandled interrupt, which fills
 * *regs. */
void run(struct regs *regs);

/* A vector with a handler doesn't end run(). */
extern void (*handlers[256])(struct frame *frame);

/*
 * A snippet: some preparation, the instruction in question, and what follows, ending with INT 0x80. `at` is
 * the instruction's address and `next` the following one's.
 */
struct snippet {
    const uint8_t *start, *at, *next;
};
#define SNIPPET_MODE(name, code, before, insn, after)                                                        \
    __asm__(".pushsection .text.snippets, \"ax\"\n.balign 64\n" code "\n" #name "_start: " before "\n" #name \
            "_at: " insn "\n" #name "_next: " after "\nint $0x80\n.code64\n.popsection");                    \
    extern const uint8_t name##_start[], name##_at[], name##_next[];                                         \
    static const struct snippet name __attribute__((unused)) = {name##_start, name##_at, name##_next}
#define SNIPPET(name, before, insn, after) SNIPPET_MODE(name, ".code64", before, insn, after)

/* A state to run a snippet from: given CPL in 64-bit mode, own stack, RFLAGS = 2, other registers zero. */
struct regs snippet_regs(const struct snippet *snippet, unsigned cpl);

/* Stacks of the snippets. A little above the top is theirs, too. */
extern uint8_t stack0[8192], stack3[8192];
#define stack0_top (stack0 + 8192 - 64)
#define stack3_top (stack3 + 8192 - 64)

/* IDT and TSS. Vectors 0-31 and 0x80 use IST 1. */
struct gate {
    uint16_t offset_low, selector;
    uint8_t ist, type;
    uint16_t offset_middle;
    uint32_t offset_high, reserved;
} __attribute__((packed));
struct tss {
    uint32_t reserved0;
    uint64_t rsp[3], reserved1, ist[8]; /* ist[0] does not exist: IST n is ist[n - 1] */
    uint16_t reserved2, io_map;
    uint8_t io_bits[32];
} __attribute__((packed));
extern struct gate idt[256];
extern struct tss tss;
extern const uint64_t lib_entries[256];
void set_gate(unsigned vector, uint64_t offset, uint16_t selector, uint8_t ist, uint8_t type);
void set_tss_limit(uint32_t limit); /* loads TR anew */

/* Descriptors for the free GDT entries. */
uint64_t descriptor(uint32_t base, uint32_t limit, unsigned access, unsigned flags);

/* Maps page `n` of TEST_BASE and forgets the old translation; returns its address. */
uint64_t map_page(unsigned n, uint64_t physical, uint64_t flags);

/* Reporting. A check that fails keeps the test's first reason. */
void test_begin(const char *name);
void test_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool test_equal(uint64_t got, uint64_t want, const char *what);
void test_end(void);
void test_skip(const char *name, const char *why);
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * One test: runs from *regs and compares what ended it. `where` is the expected RIP. NO_ERROR: the exception
 * has no error code.
 */
#define NO_ERROR 0
void test_run(const char *name, struct regs *regs, unsigned vector, uint64_t error, const uint8_t *where);

/* Ends the machine after the RESULT line. */
void test_result(void) __attribute__((noreturn));

/* The test itself; the loader's start information may be of use. */
void guest_main(void);
extern uint64_t lib_start_info;

void *memcpy(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);

static inline void outb(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void outw(uint16_t port, uint16_t value)
{
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline uint32_t inl(uint16_t port)
{
    uint32_t value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline uint64_t rdtsc(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static inline uint64_t rdmsr(uint32_t index)
{
    uint32_t low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
    return (uint64_t)high << 32 | low;
}

static inline void wrmsr(uint32_t index, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "a"((uint32_t)value), "d"((uint32_t)(value >> 32)), "c"(index) : "memory");
}

struct cpuid {
    uint32_t a, b, c, d;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid r;
    __asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "0"(leaf), "2"(subleaf));
    return r;
}

#define READ_CR(n)                                                                                           \
    static inline uint64_t read_cr##n(void)                                                                  \
    {                                                                                                        \
        uint64_t value;                                                                                      \
        __asm__ volatile("movq %%cr" #n ", %0" : "=r"(value) : : "memory");                                  \
        return value;                                                                                        \
    }
#define WRITE_CR(n)                                                                                          \
    static inline void write_cr##n(uint64_t value)                                                           \
    {                                                                                                        \
        __asm__ volatile("movq %0, %%cr" #n : : "r"(value) : "memory");                                      \
    }
READ_CR(0)
READ_CR(3)
READ_CR(4)
WRITE_CR(0)
WRITE_CR(3)
WRITE_CR(4)

static inline void invlpg(uint64_t address)
{
    __asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}

#endif
