/*
 * control.c - near jumps, calls and returns, loops, ENTER and LEAVE, and the ends of traces.
 *
 * Relative branches have three bodies: here, whose target is in the trace's own page; away, elsewhere in
 * 64-bit mode; any, where EIP wraps and CS has a limit.
 */
#include "cpu/interp/bodies.h"
#include "cpu/interp/chain.h"

/* Past the link that follows a conditional branch. */
#define NEXT_PAST_LINK                                                                                       \
    do {                                                                                                     \
        const struct insn *next_insn = i + 2;                                                                \
        next_insn->fn(cpu, next_insn);                                                                       \
        return;                                                                                              \
    } while (0)

BODY(body_undefined)
{
    ud(cpu, i);
}

BODY(body_too_long)
{
    gp0(cpu, i);
}

BODY(body_end_near)
{
    jump_near(cpu, i);
}

BODY(body_end)
{
    uint64_t rip = cpu->s.rip + (uint64_t)i->imm;

    jump(cpu, i, cpu->long64 ? rip : (uint32_t)rip);
}

/* The trace was overwritten while it ran: this instruction and the rest are to be fetched anew. */
BODY(body_stale)
{
    cpu->retired -= i->rest + 1u;
    LEAVE(rip_of(cpu, i));
}

/* Where a relative branch leads when EIP wraps at its operand size. */
static inline uint64_t wrapped_target(const struct cpu *cpu, const struct insn *i)
{
    uint64_t rip = cpu->s.rip + (uint64_t)i->imm;

    return i->osize == SIZE_Q ? rip : i->osize == SIZE_D ? (uint32_t)rip : (uint16_t)rip;
}

/* PAUSE: a spin loop waits for something outside, so let the loop look. */
BODY(pause)
{
    LEAVE(next_rip(cpu, i));
}

#define DEFINE_JCC(name, cc)                                                                                 \
    BODY(j##name##_here)                                                                                     \
    {                                                                                                        \
        if (condition(cpu, cc)) {                                                                            \
            jump_near(cpu, i);                                                                               \
            return;                                                                                          \
        }                                                                                                    \
        NEXT_PAST_LINK;                                                                                      \
    }                                                                                                        \
    BODY(j##name##_away)                                                                                     \
    {                                                                                                        \
        if (condition(cpu, cc)) {                                                                            \
            jump(cpu, i, cpu->s.rip + (uint64_t)i->imm);                                                     \
            return;                                                                                          \
        }                                                                                                    \
        NEXT_PAST_LINK;                                                                                      \
    }                                                                                                        \
    BODY(j##name##_any)                                                                                      \
    {                                                                                                        \
        if (condition(cpu, cc)) {                                                                            \
            jump(cpu, i, wrapped_target(cpu, i));                                                            \
            return;                                                                                          \
        }                                                                                                    \
        NEXT_PAST_LINK;                                                                                      \
    }
DEFINE_JCC(o, 0)
DEFINE_JCC(no, 1)
DEFINE_JCC(b, 2)
DEFINE_JCC(nb, 3)
DEFINE_JCC(z, 4)
DEFINE_JCC(nz, 5)
DEFINE_JCC(be, 6)
DEFINE_JCC(nbe, 7)
DEFINE_JCC(s, 8)
DEFINE_JCC(ns, 9)
DEFINE_JCC(p, 10)
DEFINE_JCC(np, 11)
DEFINE_JCC(l, 12)
DEFINE_JCC(nl, 13)
DEFINE_JCC(le, 14)
DEFINE_JCC(nle, 15)

BODY(jmp_here)
{
    jump_near(cpu, i);
}
BODY(jmp_away)
{
    jump(cpu, i, cpu->s.rip + (uint64_t)i->imm);
}
BODY(jmp_any)
{
    jump(cpu, i, wrapped_target(cpu, i));
}

/* The common case of a good target in 64-bit mode. */
static inline bool target_ok(const struct cpu *cpu, uint64_t rip)
{
    return cpu->long64 && !((rip + (1ull << 47)) >> 48);
}

/* A near branch that changes more than RIP checks its target before it does (SDM 2A CALL, RET). */
static inline void check_target(struct cpu *cpu, const struct insn *i, uint64_t rip)
{
    if (likely(target_ok(cpu, rip)))
        return;
    if (cpu->long64 ? !canonical(cpu, rip) : rip > cpu->s.seg[CS].limit)
        gp0(cpu, i);
}

/* Pushes the return address in 64-bit mode; false when it takes more than the TLB. */
static inline bool push_return(struct cpu *cpu, const struct insn *i)
{
    uint64_t sp = cpu->s.gpr[RSP] - 8;
    u64_any *p = tlb_write_host(cpu, sp, 8);

    if (unlikely(!p || (cpu->mode & MODE_AC)))
        return false;
    *p = cpu->s.rip + i->off + i->len;
    cpu->s.gpr[RSP] = sp;
    return true;
}

static __attribute__((noinline)) void call_general(struct cpu *cpu, const struct insn *i, uint64_t rip)
{
    check_target(cpu, i, rip);
    push(cpu, i, i->osize, next_rip(cpu, i));
    jump_slow(cpu, i, rip);
}

BODY(call_here)
{
    if (likely(push_return(cpu, i)))
        jump_near(cpu, i);
    else
        call_general(cpu, i, cpu->s.rip + (uint64_t)i->imm);
}
static inline void call_q(struct cpu *cpu, const struct insn *i, uint64_t rip)
{
    if (likely(target_ok(cpu, rip) && push_return(cpu, i)))
        jump(cpu, i, rip);
    else
        call_general(cpu, i, rip);
}

BODY(call_away)
{
    uint64_t rip = cpu->s.rip + (uint64_t)i->imm;

    call_q(cpu, i, rip);
}
BODY(call_any)
{
    call_general(cpu, i, wrapped_target(cpu, i));
}

/* Through a register or memory. */
#define DEFINE_INDIRECT(bits, suffix)                                                                        \
    BODY(jmp_e_r##suffix)                                                                                    \
    {                                                                                                        \
        jump(cpu, i, get##bits(cpu, i->rm));                                                                 \
    }                                                                                                        \
    BODY(jmp_e_m##suffix)                                                                                    \
    {                                                                                                        \
        jump(cpu, i, ld##bits(cpu, i, i->seg, ea64(cpu, i)));                                                \
    }                                                                                                        \
    BODY(jmp_e_g##suffix)                                                                                    \
    {                                                                                                        \
        jump(cpu, i, mem_read(cpu, i, bits / 8));                                                            \
    }
DEFINE_INDIRECT(16, _w)
DEFINE_INDIRECT(32, _d)
DEFINE_INDIRECT(64, _q)

static inline void call_to(struct cpu *cpu, const struct insn *i, unsigned size, uint64_t rip)
{
    if (size == SIZE_Q)
        call_q(cpu, i, rip);
    else
        call_general(cpu, i, rip);
}

#define DEFINE_CALL_E(bits, suffix, size)                                                                    \
    BODY(call_e_r##suffix)                                                                                   \
    {                                                                                                        \
        call_to(cpu, i, size, get##bits(cpu, i->rm));                                                        \
    }                                                                                                        \
    BODY(call_e_m##suffix)                                                                                   \
    {                                                                                                        \
        call_to(cpu, i, size, ld##bits(cpu, i, i->seg, ea64(cpu, i)));                                       \
    }                                                                                                        \
    BODY(call_e_g##suffix)                                                                                   \
    {                                                                                                        \
        call_to(cpu, i, size, mem_read(cpu, i, bits / 8));                                                   \
    }
DEFINE_CALL_E(16, _w, SIZE_W)
DEFINE_CALL_E(32, _d, SIZE_D)
DEFINE_CALL_E(64, _q, SIZE_Q)

/* RET and RET imm16 (the row without an immediate has imm = 0). */
static void return_general(struct cpu *cpu, const struct insn *i)
{
    uint64_t sp = cpu->s.gpr[RSP], rip = stack_read(cpu, i, sp, i->osize);

    check_target(cpu, i, rip);
    set_sp(cpu, sp + (1u << i->osize) + (uint64_t)i->imm);
    jump_slow(cpu, i, rip);
}
BODY(ret_w)
{
    return_general(cpu, i);
}
BODY(ret_d)
{
    return_general(cpu, i);
}
BODY(ret_q)
{
    uint64_t sp = cpu->s.gpr[RSP];
    const u64_any *p = tlb_read_host(cpu, sp, 8);
    uint64_t rip;

    if (unlikely(!p || (cpu->mode & MODE_AC) || !target_ok(cpu, rip = *p))) {
        return_general(cpu, i);
        return;
    }
    cpu->s.gpr[RSP] = sp + 8 + (uint64_t)i->imm;
    jump(cpu, i, rip);
}

/* LOOP, LOOPZ, LOOPNZ, JrCXZ: the counter is as wide as an address. */
static inline uint64_t counter(const struct cpu *cpu, const struct insn *i)
{
    return cpu->s.gpr[RCX] & address_mask(i->asize);
}

/* The target is checked before rCX changes. On AMD's processors F2 makes it LOOPNZ and F3 LOOPZ. */
#define DEFINE_LOOP(name, also)                                                                              \
    BODY(name)                                                                                               \
    {                                                                                                        \
        uint64_t count = (counter(cpu, i) - 1) & address_mask(i->asize), rip = wrapped_target(cpu, i);       \
        bool taken = count && (also);                                                                        \
                                                                                                             \
        if (taken)                                                                                           \
            check_target(cpu, i, rip);                                                                       \
        gpr_set(cpu, RCX, i->asize, count);                                                                  \
        if (taken) {                                                                                         \
            jump(cpu, i, rip);                                                                               \
            return;                                                                                          \
        }                                                                                                    \
        NEXT_PAST_LINK;                                                                                      \
    }
DEFINE_LOOP(loop, true)
DEFINE_LOOP(loopz, get_zf(cpu) != !!(i->flags & INSN_REPNE))
DEFINE_LOOP(loopnz, get_zf(cpu) == !!(i->flags & INSN_REP))

BODY(jcxz)
{
    if (!counter(cpu, i)) {
        jump(cpu, i, wrapped_target(cpu, i));
        return;
    }
    NEXT_PAST_LINK;
}

/* ENTER, SDM 2A: frame pointers of the enclosing levels are copied. */
static void enter_frame(struct cpu *cpu, const struct insn *i)
{
    unsigned size = i->osize, bytes = 1u << size, level = (unsigned)(i->imm >> 16) & 31;
    uint64_t frame_size = (uint64_t)i->imm & 0xffff, sp = cpu->s.gpr[RSP], bp = cpu->s.gpr[RBP], frame;
    uint64_t smask = address_mask(stack_size(cpu));

    sp -= bytes;
    stack_write(cpu, i, sp, size, gpr_get(cpu, RBP, size));
    frame = (sp & smask) | (cpu->s.gpr[RSP] & ~smask); /* all of ESP, with a 16-bit stack too */
    for (unsigned n = 1; n < level; n++) {
        bp -= bytes;
        sp -= bytes;
        stack_write(cpu, i, sp, size, stack_read(cpu, i, bp, size));
    }
    if (level) {
        sp -= bytes;
        stack_write(cpu, i, sp, size, frame);
    }
    sp -= frame_size;
    /* The final stack pointer must be writable. */
    probe_write(cpu, i, SS, seg_linear(cpu, i, SS, sp & smask, bytes, ACCESS_WRITE), bytes);
    gpr_set(cpu, RBP, size, frame);
    set_sp(cpu, sp);
}

BODY(enter_i_i)
{
    enter_frame(cpu, i);
    NEXT;
}

static inline void leave_frame(struct cpu *cpu, const struct insn *i, unsigned size)
{
    uint64_t bp = cpu->s.gpr[RBP], value = stack_read(cpu, i, bp, size);

    set_sp(cpu, bp + (1u << size));
    gpr_set(cpu, RBP, size, value);
}
BODY(leave_w)
{
    leave_frame(cpu, i, SIZE_W);
    NEXT;
}
BODY(leave_d)
{
    leave_frame(cpu, i, SIZE_D);
    NEXT;
}
BODY(leave_q)
{
    leave_frame(cpu, i, SIZE_Q);
    NEXT;
}

/* BOUND: a signed index against a pair of bounds in memory. */
static void check_bounds(struct cpu *cpu, const struct insn *i)
{
    unsigned bytes = 1u << i->osize, unused = 64 - 8 * bytes;
    uint64_t offset = ea(cpu, i), linear;
    int64_t index = (int64_t)(get64(cpu, i->reg) << unused) >> unused, bound[2];

    for (unsigned n = 0; n < 2; n++) {
        linear = seg_linear(cpu, i, i->seg, (offset + n * bytes) & address_mask(i->asize), bytes, ACCESS_READ);
        bound[n] = (int64_t)(linear_read(cpu, i, i->seg, linear, bytes) << unused) >> unused;
    }
    if (index < bound[0] || index > bound[1])
        fault0(cpu, i, EX_BR);
}

BODY(bound)
{
    check_bounds(cpu, i);
    NEXT;
}
