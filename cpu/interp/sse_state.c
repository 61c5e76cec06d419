/*
 * sse_state.c - MXCSR, FXSAVE and FXRSTOR, fences, prefetches and cache-line flushes.
 */
#include <string.h>

#include "cpu/interp/sse.h"

BODY(ldmxcsr)
{
    uint32_t value;

    sse_check(cpu, i);
    value = (uint32_t)mem_read(cpu, i, 4);
    if (value & ~MXCSR_WRITABLE)
        gp0(cpu, i);
    cpu->s.mxcsr = value;
    NEXT;
}

BODY(stmxcsr)
{
    sse_check(cpu, i);
    mem_write(cpu, i, 4, cpu->s.mxcsr);
    NEXT;
}

/* Linear address of the FXSAVE area. Neither CR4.OSFXSR nor pending x87 exceptions matter. */
static uint64_t fxsave_area(struct cpu *cpu, const struct insn *i, enum access access)
{
    uint64_t linear;

    if (cpu->s.cr0 & CR0_EM)
        ud(cpu, i);
    if (cpu->s.cr0 & CR0_TS)
        fault0(cpu, i, EX_NM);
    linear = mem_linear(cpu, i, FXSAVE_SIZE, access);
    /* With alignment checks on, #AC comes first for what isn't even a multiple of 4, as on AMD's processors.
     */
    if ((cpu->mode & MODE_AC) && (linear & 3))
        alignment_fault(cpu, i, i->seg, linear, FXSAVE_SIZE);
    if (linear & 15)
        gp0(cpu, i);
    return linear;
}

static unsigned xmm_count(const struct cpu *cpu)
{
    return cpu->long64 ? 16 : 8;
}

static __attribute__((noinline)) void do_fxsave(struct cpu *cpu, const struct insn *i)
{
    uint64_t linear = fxsave_area(cpu, i, ACCESS_WRITE);
    uint8_t image[FXSAVE_SIZE] = {0};

    probe_write(cpu, i, i->seg, linear, FXSAVE_SIZE);
    fpu_fxsave(&cpu->s, image, i->osize == SIZE_Q, xmm_count(cpu));
    /* What lies behind the XMM registers stays as it is. */
    linear_write_block(cpu, i, i->seg, linear, image, 160 + 16 * xmm_count(cpu));
}

static __attribute__((noinline)) void do_fxrstor(struct cpu *cpu, const struct insn *i)
{
    uint64_t linear = fxsave_area(cpu, i, ACCESS_READ);
    uint8_t image[FXSAVE_SIZE];
    uint32_t mxcsr;

    linear_read_block(cpu, i, i->seg, linear, image, FXSAVE_SIZE);
    memcpy(&mxcsr, image + 24, sizeof(mxcsr));
    if (mxcsr & ~MXCSR_WRITABLE)
        gp0(cpu, i);
    fpu_fxrstor(&cpu->s, image, i->osize == SIZE_Q, xmm_count(cpu));
}

BODY(fxsave)
{
    do_fxsave(cpu, i);
    NEXT;
}

BODY(fxrstor)
{
    do_fxrstor(cpu, i);
    NEXT;
}

/* Guest memory accesses are in program order on this thread; MFENCE orders them for other processors too. */
BODY(mfence)
{
    atomic_thread_fence(memory_order_seq_cst);
    NEXT;
}

BODY(lfence)
{
    atomic_thread_fence(memory_order_acquire);
    NEXT;
}

BODY(sfence)
{
    atomic_thread_fence(memory_order_release);
    NEXT;
}

/* A hint: it never faults, so it doesn't even look at its address. */
BODY(prefetch)
{
    NEXT;
}

/*
 * Memory is always coherent here; what remains are the faults of a one-byte load, except that the segment may be execute-only
 * (SDM 2A, CLFLUSH).
 */
BODY(clflush)
{
    ld8(cpu, i, i->seg, mem_linear(cpu, i, 1, ACCESS_FETCH));
    NEXT;
}
