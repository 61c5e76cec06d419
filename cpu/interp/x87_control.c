/*
 * x87_control.c - x87 control instructions: control and status word, environment, whole state. The pointers
 * to the last instruction stay as they are in all of these but FLDENV, FRSTOR, FNINIT and FNSAVE.
 */
#include "cpu/fpu.h"
#include "cpu/interp/body.h"

/* WAIT looks at CR0.MP and TS together, and not at EM (SDM 3A 2.5). */
BODY(fwait)
{
    if (unlikely((cpu->s.cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS)))
        fault0(cpu, i, EX_NM);
    if (unlikely((cpu->s.fsw & FSW_ES) && (cpu->s.cr0 & CR0_NE)))
        fault0(cpu, i, EX_MF);
    NEXT;
}

BODY(fninit)
{
    x87_check_nowait(cpu, i);
    fpu_init(&cpu->s);
    NEXT;
}

BODY(fnclex)
{
    x87_check_nowait(cpu, i);
    cpu->s.fsw &= (uint16_t) ~(FSW_EXCEPTIONS | FSW_SF | FSW_ES | FSW_B);
    NEXT;
}

/* FNENI, FNDISI (8087) and FNSETPM (287): long without effect. */
BODY(fnop_nowait)
{
    x87_check_nowait(cpu, i);
    NEXT;
}

BODY(fldcw)
{
    x87_check(cpu, i);
    cpu->s.fcw = (uint16_t)((mem_read(cpu, i, 2) & FCW_WRITABLE) | FCW_RESERVED_ONE);
    fpu_update_summary(&cpu->s);
    NEXT;
}

BODY(fnstcw)
{
    x87_check_nowait(cpu, i);
    mem_write(cpu, i, 2, cpu->s.fcw);
    NEXT;
}

BODY(fnstsw_m16)
{
    x87_check_nowait(cpu, i);
    mem_write(cpu, i, 2, cpu->s.fsw);
    NEXT;
}

BODY(fnstsw_ax)
{
    x87_check_nowait(cpu, i);
    gpr_set(cpu, RAX, SIZE_W, cpu->s.fsw);
    NEXT;
}

/* --- Environment and state ----------------------------------------------------------------------- */

static bool is_wide(const struct insn *i)
{
    return i->osize != SIZE_W;
}

static enum fpu_layout layout(const struct cpu *cpu)
{
    return real_mode(cpu) || vm86_mode(cpu) ? FPU_REAL : FPU_PROTECTED;
}

/* An image's linear address. Where alignment is checked its words count. */
static uint64_t image_linear(struct cpu *cpu, const struct insn *i, unsigned size, enum access access)
{
    uint64_t linear = mem_linear(cpu, i, size, access);

    if (unlikely(cpu->mode & MODE_AC) && (linear & (is_wide(i) ? 3 : 1)))
        alignment_fault(cpu, i, i->seg, linear, size);
    return linear;
}

#define IMAGE_SIZE 108 /* the largest: 28 bytes of environment and eight registers */

static unsigned env_size(const struct insn *i)
{
    return is_wide(i) ? 28 : 14;
}

static void load_image(struct cpu *cpu, const struct insn *i, bool registers)
{
    unsigned env = env_size(i), size = env + (registers ? 80 : 0);
    uint64_t linear = image_linear(cpu, i, size, ACCESS_READ);
    uint8_t image[IMAGE_SIZE];

    linear_read_block(cpu, i, i->seg, linear, image, size);
    fpu_load_env(&cpu->s, image, is_wide(i), layout(cpu));
    if (registers)
        fpu_load_registers(&cpu->s, image + env);
}

static void store_image(struct cpu *cpu, const struct insn *i, bool registers)
{
    unsigned env = env_size(i), size = env + (registers ? 80 : 0);
    uint64_t linear = image_linear(cpu, i, size, ACCESS_WRITE);
    uint8_t image[IMAGE_SIZE];

    fpu_store_env(&cpu->s, image, is_wide(i), layout(cpu));
    if (registers)
        fpu_store_registers(&cpu->s, image + env);
    linear_write_block(cpu, i, i->seg, linear, image, size);
}

static __attribute__((noinline)) void do_fldenv(struct cpu *cpu, const struct insn *i)
{
    load_image(cpu, i, false);
}

static __attribute__((noinline)) void do_frstor(struct cpu *cpu, const struct insn *i)
{
    load_image(cpu, i, true);
}

/* Masks all exceptions once the image is stored. */
static __attribute__((noinline)) void do_fnstenv(struct cpu *cpu, const struct insn *i)
{
    store_image(cpu, i, false);
    cpu->s.fcw |= FSW_EXCEPTIONS;
    fpu_update_summary(&cpu->s);
}

static __attribute__((noinline)) void do_fnsave(struct cpu *cpu, const struct insn *i)
{
    store_image(cpu, i, true);
    fpu_init(&cpu->s);
}

BODY(fldenv)
{
    x87_check(cpu, i);
    do_fldenv(cpu, i);
    NEXT;
}

BODY(frstor)
{
    x87_check(cpu, i);
    do_frstor(cpu, i);
    NEXT;
}

BODY(fnstenv)
{
    x87_check_nowait(cpu, i);
    do_fnstenv(cpu, i);
    NEXT;
}

BODY(fnsave)
{
    x87_check_nowait(cpu, i);
    do_fnsave(cpu, i);
    NEXT;
}
