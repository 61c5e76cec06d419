/*
 * translate.h - a block under translation: what translate.c and the emitters of its instructions share.
 */
#ifndef CPU_JIT_TRANSLATE_H
#define CPU_JIT_TRANSLATE_H

#include "cpu/jit/jit.h"

#define MAX_INSNS 32

/* Code out of line, behind the block's. */
struct later {
    enum { LATER_SLOW, LATER_TAKEN, LATER_STUB, LATER_BODY, LATER_WINDOW } kind;
    uint8_t *rel; /* the jump that leads there */
    uint32_t site;
    int32_t table;  /* SLOW: offset of the table, or the one page, that was looked up */
    bool stack, near;
    int32_t offset; /* TAKEN: where the branch leads, from the block's page */
    unsigned rest;  /* TAKEN: instructions not done */
    struct jit_exit *exit; /* STUB */
};

struct trans {
    struct cpu *cpu;
    struct jit *jit;
    struct jit_block *block;
    struct emit e;
    unsigned n; /* instructions */
    const struct insn *insn[MAX_INSNS + 1];
    const struct rule *rule[MAX_INSNS + 1];
    unsigned at;     /* the one being translated */
    uint32_t host_flags;  /* those of the host's flags that are the guest's */
    struct jit_kind kind; /* how they are kept in struct cpu: op if kind_known, the others if not 0 */
    bool kind_known;
    bool ended;           /* control has left the block */
    bool x87_page;        /* jt.x87_page is the block's */
    unsigned word;        /* bytes of an address and of a stack item: 8 in 64-bit code, else 4 */
    unsigned stack;       /* the stack pointer's size: SIZE_W, SIZE_D, SIZE_Q */
    uint32_t page_rip;    /* of segmented code: RIP where the block's page begins, modulo 2^32 */
    uint64_t near[MAX_INSNS]; /* how addresses of this block are made that share an entry */
    unsigned near_count;
    unsigned later_count;
    struct later later[6 * MAX_INSNS];
};

/* Instead of a table: the block wants XMM registers; the address is unsuitable. */
enum { XMM_ABSENT = -1, NOT_LOOKED_UP = -2, X87_ABSENT = -3 };

/* What an instruction's translation does besides computing. */
enum rule_flags {
    R_READS = 1,    /* reads flags (as the row says) */
    R_MAYBE = 2,    /* may write no flags */
    R_STACK = 4,    /* accesses the stack */
    R_CLOBBERS = 8, /* host flags are lost, though the guest's stay */
    R_NOMEM = 16,   /* a memory operand is not accessed */
    R_EXITS = 32,   /* can leave the block at its start, without an access */
    R_BRANCH = 64,
    R_XMM = 128,
    R_LAST = 256, /* control doesn't come past it */
    R_REGISTER = 512, /* only where E is a register */
    R_WIDE = 1024,    /* not with 16-bit operands */
    R_HOST = 2048,    /* only where the host has the row's feature too */
    R_MEMORY = 8192,  /* only where E is memory; LOCK is allowed */
    R_X87 = 16384,
    R_64 = 262144,    /* only in 64-bit code */
    R_ONCE = 1048576, /* string instructions: not repeated */
    R_PLAIN = 524288, /* without F2, F3 */
    R_CPL0 = 32768,   /* only in code of CPL 0 */
    R_YMM = 131072,
    R_REAL = 2097152, /* only in real and virtual-8086 mode */
    R_ENDS = 65536,   /* ends its trace, but a block need not leave */
    R_SHIFT = 4096,   /* R_MAYBE and R_CLOBBERS depend on the count */
};

struct rule {
    uint8_t map, first, last; /* opcodes */
    int8_t ext;               /* ModRM.reg; from 8 on its low six bits; or -1 */
    uint8_t prefix;           /* PFX_*: the row's, or PFX_ANY */
    uint32_t flags;
    void (*emit)(struct trans *t, const struct insn *i);
    uint16_t arg;
};

/* translate.c */
extern const struct rule move_rules[], alu_rules[], shift_rules[], muldiv_rules[], atomic_rules[], branch_rules[], simd_rules[], x87_rules[],
    string_rules[], system_rules[], segment_rules[]; /* each ends with a NULL emit */
void emit_body(struct trans *t, const struct insn *i);                  /* by the interpreter's body */

/* flags.c */
uint32_t condition_flags(unsigned cc);                      /* that Jcc, SETcc and CMOVcc look at */
bool flags_needed(const struct trans *t, uint32_t flags);   /* after this instruction, by anybody */
bool flags_stored(const struct trans *t, uint32_t flags);   /* whether `flags`, made here, must be kept in struct cpu */
void flags_kind(struct trans *t, unsigned op, unsigned size, unsigned count); /* all are kept so */
void flags_step(struct trans *t, bool dec, unsigned size);  /* all but CF, by jt.stepped */
void flags_carry(struct trans *t);                          /* CF is made here, and kept if it must be; the others stay */
void flags_save_image(struct trans *t);                     /* all are made here, the hard way */
void flags_load(struct trans *t, uint32_t wanted);          /* to the host's flags; clobbers r13 */
bool row_flags(const struct insn *i, uint32_t *read, uint32_t *written);

/* address.c */
bool address_supported(const struct insn *i);
void emit_fixed_address(struct trans *t, const struct insn *i); /* the same of MOV with a fixed address */
/* To r14: a linear address; but where has_checked_segment() says so the offset. */
void emit_address(struct trans *t, const struct insn *i);
void emit_lookup(struct trans *t, const struct insn *i, unsigned size, bool write); /* that to a host address, in r14 */
/* r14 to a host address by the struct jit_run at field `run`. Returns the jump that is taken where that doesn't have it. */
uint8_t *emit_run(struct trans *t, int32_t run, unsigned size);
void emit_operand(struct trans *t, const struct insn *i, unsigned size, bool write); /* all of it: to host */
/* The element at a register of string instructions. */
void emit_string_lookup(struct trans *t, const struct insn *i, unsigned seg, unsigned reg, unsigned size, bool write);
/* The same at RSP + disp, and at the frame that RBP points to. */
void emit_stack_lookup(struct trans *t, const struct insn *i, int disp, unsigned size, bool write);
void emit_frame_lookup(struct trans *t, const struct insn *i, unsigned size);
void emit_add(struct trans *t, unsigned size, unsigned to, unsigned from, int disp); /* to = from + disp; flags stay */

/* segment.c */
bool has_checked_segment(const struct trans *t, unsigned seg);
/* r14: offset to host address; what the segment doesn't allow is left to the body. */
void emit_window(struct trans *t, const struct insn *i, unsigned seg, unsigned size, bool write);
void emit_beside_window(struct trans *t, const struct later *l); /* the same out of line, by table */
/* To the body where an operand at offset r14 isn't aligned. Clobbers r13. */
void emit_alignment(struct trans *t, const struct insn *i, unsigned seg, unsigned size);
void emit_thunk(struct trans *t, uint32_t number, const uint8_t *thunk); /* jumps to it with the number in r13 */

/* Where a guest register is: the host's, or its field. `offset` as in struct insn. */
struct place guest(unsigned offset);
static inline bool is_high(unsigned offset) /* AH to BH */
{
    return (offset & 7) == 1;
}

/* Prefixes for an operand size; byte registers 4 to 7 take REX unless they are AH to BH. */
static inline unsigned size_flags(unsigned size)
{
    return size == SIZE_Q ? E_W : size == SIZE_W ? E_66 : 0;
}

uint32_t new_site(struct trans *t, const struct insn *i);
struct later *emit_later(struct trans *t, uint8_t *rel, int kind);

/* simd.c */
bool simd_supported(const struct jit *jit, const struct insn *i);

/* x87.c */
bool x87_supported(const struct insn *i);

/* operands.c */
bool is_dest_e(const struct insn *i); /* the first operand is ModRM.rm, the opcode's register or the accumulator */
unsigned operand_size(const struct insn *i, unsigned n); /* of a byte operand SIZE_B, else the instruction's */
unsigned rex8(unsigned size, struct place p, bool high); /* E_REX for SPL to DIL, which without it are AH to BH */
bool high_rm(const struct insn *i);
unsigned opcode_bit(unsigned size);                          /* the low bit of opcodes that says: not bytes */
struct place e_place(struct trans *t, const struct insn *i, unsigned size, bool write); /* memory is looked up */
void load_tmp(struct trans *t, struct place p, unsigned size);  /* r13, zero-extended */
void store_tmp(struct trans *t, struct place p, unsigned size); /* r13 to a guest register */
void keep_place(struct trans *t, int32_t slot, struct place p, unsigned size, bool high); /* as a flags operand */

/* branch.c */
void emit_rip(struct trans *t, unsigned reg, int32_t offset); /* RIP at `offset` of the block's page, to a register */
int32_t branch_target(const struct trans *t, const struct insn *i); /* of a relative branch, from the block's page */
bool branches_near(const struct trans *t, const struct insn *i);    /* relative, within the block's page */
bool branch_within_limit(const struct trans *t, const struct insn *i); /* of CS; any but relative branches find out */
void emit_page_check(struct trans *t, int32_t page); /* r14: the code page at `page` from the block's; equal: its place is known */
uint8_t *emit_frame_check(struct trans *t, int32_t page, uint32_t frame); /* ... and then equal: it is there. Where the number is */
void emit_goto(struct trans *t, int32_t offset); /* a jump to `offset` of the block's page, linked */
void emit_stub(struct trans *t, struct jit_exit *x);
void emit_leave_at(struct trans *t, int32_t offset); /* to C, with RIP there */

#endif
