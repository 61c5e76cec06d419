/*
 * system_bodies.c - instructions of the operating system: control, debug and table registers, MSRs, the TSC,
 * CPUID, TLB control, FS/GS base, ports (SDM 2, under each name).
 *
 * Those that can change mode, translation or what is pending are A_END in their rows and leave their trace.
 */
#include "cpu/interp/body.h"
#include "cpu/system.h"

static inline void require_cpl0(struct cpu *cpu, const struct insn *i)
{
    if (cpu->s.cpl != 0)
        gp0(cpu, i);
}

/* Registers that are 64 bits in 64-bit mode and 32 elsewhere, whatever the prefixes say. */
static inline uint64_t get_native(const struct cpu *cpu, uint16_t reg)
{
    return cpu->long64 ? get64(cpu, reg) : get32(cpu, reg);
}

static inline void set_native(struct cpu *cpu, uint16_t reg, uint64_t value)
{
    if (cpu->long64)
        set64(cpu, reg, value);
    else
        set32(cpu, reg, (uint32_t)value);
}

/* --- Control and debug registers --------------------------------------------------------------------------
 */

BODY(mov_from_cr)
{
    uint64_t value;

    if (i->reg != 0 && i->reg != 2 && i->reg != 3 && i->reg != 4 && i->reg != 8)
        ud(cpu, i);
    require_cpl0(cpu, i);
    switch (i->reg) {
    case 0:
        value = cpu->s.cr0;
        break;
    case 2:
        value = cpu->s.cr2;
        break;
    case 3:
        value = cpu->s.cr3;
        break;
    case 4:
        value = cpu->s.cr4;
        break;
    default:
        value = read_cr8(cpu);
        break;
    }
    set_native(cpu, i->rm, value);
    NEXT;
}

static inline void stop_cr(struct cpu *cpu, const struct insn *i, unsigned n, uint64_t value)
{
    if (unlikely(cpu->stops))
        stop_event(cpu, i, CPU_STOP_CR, &(struct stop_event){.address = n, .size = 1, .value = value});
}

BODY(mov_to_cr)
{
    uint64_t next = next_rip(cpu, i), value = get_native(cpu, i->rm);

    if (i->reg != 0 && i->reg != 2 && i->reg != 3 && i->reg != 4 && i->reg != 8)
        ud(cpu, i);
    require_cpl0(cpu, i);
    stop_cr(cpu, i, i->reg, value);
    switch (i->reg) {
    case 0:
        write_cr0(cpu, i, value);
        break;
    case 2:
        cpu->s.cr2 = value;
        break;
    case 3:
        write_cr3(cpu, i, value);
        break;
    case 4:
        write_cr4(cpu, i, value);
        break;
    default:
        write_cr8(cpu, i, value);
        break;
    }
    LEAVE(next);
}

BODY(mov_from_dr)
{
    set_native(cpu, i->rm, read_dr(cpu, i, i->reg));
    NEXT;
}

BODY(mov_to_dr)
{
    write_dr(cpu, i, i->reg, get_native(cpu, i->rm));
    LEAVE(next_rip(cpu, i));
}

BODY(clts)
{
    require_cpl0(cpu, i);
    stop_cr(cpu, i, 0, cpu->s.cr0 & ~(uint64_t)CR0_TS);
    cpu->s.cr0 &= ~(uint64_t)CR0_TS;
    NEXT;
}

BODY(lmsw)
{
    const uint64_t mask = CR0_PE | CR0_MP | CR0_EM | CR0_TS;
    uint64_t next = next_rip(cpu, i), value;

    require_cpl0(cpu, i);
    value = i->flags & INSN_MEM ? mem_read(cpu, i, 2) : get16(cpu, i->rm);
    value |= cpu->s.cr0 & CR0_PE; /* PE can be set this way, not cleared */
    value = (cpu->s.cr0 & ~mask) | (value & mask);
    stop_cr(cpu, i, 0, value);
    write_cr0(cpu, i, value);
    LEAVE(next);
}

/* UMIP: SGDT, SIDT, SMSW (SLDT and STR are with the segments) keep the kernel's addresses from user code. */
static inline void check_umip(struct cpu *cpu, const struct insn *i)
{
    if (cpu->s.cr4 & CR4_UMIP && cpu->s.cpl > 0)
        gp0(cpu, i);
}

BODY(smsw)
{
    check_umip(cpu, i);
    if (i->flags & INSN_MEM)
        mem_write(cpu, i, 2, cpu->s.cr0);
    else if (i->osize == SIZE_W)
        set16(cpu, i->rm, (uint16_t)cpu->s.cr0);
    else if (i->osize == SIZE_D)
        set32(cpu, i->rm, (uint32_t)cpu->s.cr0);
    else
        set64(cpu, i->rm, cpu->s.cr0);
    NEXT;
}

/* --- Descriptor tables ------------------------------------------------------------------------------------
 */

/* Linear address of the base behind the limit, at the operand plus two. */
static uint64_t base_linear(struct cpu *cpu, const struct insn *i, enum access access)
{
    uint64_t offset = (ea(cpu, i) + 2) & address_mask(i->asize);

    return seg_linear(cpu, i, i->seg, offset, cpu->long64 ? 8 : 4, access);
}

static void load_table(struct cpu *cpu, const struct insn *i, struct table_reg *table)
{
    uint64_t limit, base, linear;

    require_cpl0(cpu, i);
    limit = mem_read(cpu, i, 2);
    linear = base_linear(cpu, i, ACCESS_READ);
    if (cpu->long64) {
        base = ld64(cpu, i, i->seg, linear);
        if (!canonical_value(cpu, base))
            gp0(cpu, i);
    } else {
        base = ld32(cpu, i, i->seg, linear);
        if (i->osize == SIZE_W)
            base &= 0xffffff;
    }
    table->limit = (uint16_t)limit;
    table->base = base;
}

/* All 32 bits of the base are stored in 16-bit operand size too, as chips since the 386 do. */
static void store_table(struct cpu *cpu, const struct insn *i, const struct table_reg *table)
{
    uint64_t linear;

    check_umip(cpu, i);
    linear = base_linear(cpu, i, ACCESS_WRITE);
    probe_write(cpu, i, i->seg, linear, cpu->long64 ? 8 : 4);
    mem_write(cpu, i, 2, table->limit);
    if (cpu->long64)
        st64(cpu, i, i->seg, linear, table->base);
    else
        st32(cpu, i, i->seg, linear, (uint32_t)table->base);
}

BODY(lgdt)
{
    load_table(cpu, i, &cpu->s.gdtr);
    NEXT;
}

BODY(lidt)
{
    load_table(cpu, i, &cpu->s.idtr);
    NEXT;
}

BODY(sgdt)
{
    store_table(cpu, i, &cpu->s.gdtr);
    NEXT;
}

BODY(sidt)
{
    store_table(cpu, i, &cpu->s.idtr);
    NEXT;
}

/* --- TLB and caches ---------------------------------------------------------------------------------------
 */

/* The operand is never accessed: neither its segment's limit nor its form is checked. */
BODY(invlpg)
{
    uint64_t linear = ea(cpu, i);

    require_cpl0(cpu, i);
    if (cpu->long64)
        linear += i->seg >= FS ? cpu->s.seg[i->seg].base : 0;
    else
        linear = (uint32_t)(linear + cpu->s.seg[i->seg].base);
    if (canonical(cpu, linear))
        tlb_flush_page(cpu, linear);
    LEAVE(next_rip(cpu, i));
}

enum { INVPCID_ADDRESS, INVPCID_CONTEXT, INVPCID_ALL_GLOBAL, INVPCID_ALL };

static void invalidate_pcid(struct cpu *cpu, const struct insn *i)
{
    uint64_t type = get_native(cpu, i->reg), words[2];
    unsigned pcid;

    require_cpl0(cpu, i);
    linear_read_block(cpu, i, i->seg, mem_linear(cpu, i, 16, ACCESS_READ), words, sizeof(words));
    pcid = words[0] & 0xfff;
    if (type > INVPCID_ALL || words[0] >> 12)
        gp0(cpu, i);
    if (type <= INVPCID_CONTEXT && pcid != 0 && !(cpu->s.cr4 & CR4_PCIDE))
        gp0(cpu, i);
    if (type == INVPCID_ADDRESS && !canonical_value(cpu, words[1]))
        gp0(cpu, i);

    /* More may be dropped than was asked for: another context's page takes its context along. */
    cpu->invalidations++;
    if (type >= INVPCID_ALL_GLOBAL)
        tlb_flush_all(cpu);
    else if (type == INVPCID_ADDRESS && (!(cpu->s.cr4 & CR4_PCIDE) || pcid == (cpu->s.cr3 & 0xfff)))
        tlb_flush_page(cpu, words[1]);
    else
        tlb_flush_pcid(cpu, pcid);
}

BODY(invpcid)
{
    invalidate_pcid(cpu, i);
    LEAVE(next_rip(cpu, i));
}

/* INVD, WBINVD and WBNOINVD: caches here always agree with memory. */
BODY(flush_caches)
{
    require_cpl0(cpu, i);
    NEXT;
}

/* CLZERO: the cache line that the linear address lies in, whatever its alignment (APM 3). */
static __attribute__((noinline)) void clear_line(struct cpu *cpu, const struct insn *i)
{
    static const uint8_t zeros[64];
    uint64_t offset = cpu->s.gpr[RAX] & address_mask(i->asize), linear;

    if (!cpu->long64)
        offset &= ~63ull;
    linear = seg_linear(cpu, i, i->seg, offset, sizeof(zeros), ACCESS_WRITE) & ~63ull;
    linear_write_block(cpu, i, i->seg, linear, zeros, sizeof(zeros));
}

BODY(clzero)
{
    clear_line(cpu, i);
    NEXT;
}

/* --- MSRs, time, identification ---------------------------------------------------------------------------
 */

static inline void set_edx_eax(struct cpu *cpu, uint64_t value)
{
    cpu->s.gpr[RAX] = (uint32_t)value;
    cpu->s.gpr[RDX] = value >> 32;
}

static __attribute__((noinline)) void stop_msr(struct cpu *cpu, const struct insn *i, uint64_t value, bool write)
{
    struct stop_event e = {.address = (uint32_t)cpu->s.gpr[RCX], .size = 1, .value = value, .write = write};

    stop_event(cpu, i, CPU_STOP_MSR, &e);
}

BODY(rdmsr)
{
    uint64_t value;

    require_cpl0(cpu, i);
    if (unlikely(cpu->stops))
        stop_msr(cpu, i, 0, false);
    value = read_msr(cpu, i, (uint32_t)cpu->s.gpr[RCX]);
    if (unlikely(cpu->stops))
        stop_value(cpu, CPU_STOP_MSR, value);
    set_edx_eax(cpu, value);
    NEXT;
}

BODY(wrmsr)
{
    uint64_t value = cpu->s.gpr[RDX] << 32 | (uint32_t)cpu->s.gpr[RAX];

    require_cpl0(cpu, i);
    if (unlikely(cpu->stops))
        stop_msr(cpu, i, value, true);
    write_msr(cpu, i, (uint32_t)cpu->s.gpr[RCX], value);
    LEAVE(next_rip(cpu, i));
}

static inline void check_tsd(struct cpu *cpu, const struct insn *i)
{
    if (cpu->s.cr4 & CR4_TSD && cpu->s.cpl > 0)
        gp0(cpu, i);
}

BODY(rdtsc)
{
    check_tsd(cpu, i);
    set_edx_eax(cpu, read_tsc(cpu));
    NEXT;
}

BODY(rdtscp)
{
    check_tsd(cpu, i);
    set_edx_eax(cpu, read_tsc(cpu));
    cpu->s.gpr[RCX] = (uint32_t)cpu->s.tsc_aux;
    NEXT;
}

/*
 * KVM's calls: number in RAX, result there. There are none, but guests that see KVM in CPUID try some; from above CPL 0
 * none is allowed (KVM_ENOSYS, KVM_EPERM).
 */
BODY(hypercall)
{
    int64_t result = cpu->s.cpl ? -1 : -1000;

    cpu->s.gpr[RAX] = cpu->long64 ? (uint64_t)result : (uint32_t)result;
    NEXT;
}

BODY(rdpid)
{
    set_native(cpu, i->rm, cpu->s.tsc_aux);
    NEXT;
}

/* RDRAND and RDSEED: always something there, so CF is 1 and the other flags are 0. */
BODY(rdrand)
{
    uint64_t value;

    if (i->flags & (INSN_REP | INSN_REPNE)) /* 66 is the operand size; these make another instruction of it */
        ud(cpu, i);
    value = cpu->random(cpu->random_opaque);
    if (i->osize == SIZE_W)
        set16(cpu, i->rm, (uint16_t)value);
    else if (i->osize == SIZE_D)
        set32(cpu, i->rm, (uint32_t)value);
    else
        set64(cpu, i->rm, value);
    set_arith_flags(cpu, FLAG_CF);
    NEXT;
}

/* Four counters, which stand still (msr.c). */
BODY(rdpmc)
{
    if ((cpu->s.cpl != 0 && !(cpu->s.cr4 & CR4_PCE)) || (uint32_t)cpu->s.gpr[RCX] > 3)
        gp0(cpu, i);
    set_edx_eax(cpu, 0);
    NEXT;
}

/* --- Protection keys --------------------------------------------------------------------------------------
 */

static inline void check_pkru(struct cpu *cpu, const struct insn *i)
{
    if (!(cpu->s.cr4 & CR4_PKE))
        ud(cpu, i);
    if ((uint32_t)cpu->s.gpr[RCX] != 0)
        gp0(cpu, i);
}

BODY(rdpkru)
{
    check_pkru(cpu, i);
    set_edx_eax(cpu, cpu->s.pkru);
    NEXT;
}

BODY(wrpkru)
{
    check_pkru(cpu, i);
    if ((uint32_t)cpu->s.gpr[RDX] != 0)
        gp0(cpu, i);
    write_pkru(cpu, (uint32_t)cpu->s.gpr[RAX]);
    NEXT;
}

/* --- Identification ---------------------------------------------------------------------------------------
 */

static __attribute__((noinline)) void identify(struct cpu *cpu)
{
    uint32_t out[4];

    cpuid(cpu, (uint32_t)cpu->s.gpr[RAX], (uint32_t)cpu->s.gpr[RCX], out);
    cpu->s.gpr[RAX] = out[0];
    cpu->s.gpr[RBX] = out[1];
    cpu->s.gpr[RCX] = out[2];
    cpu->s.gpr[RDX] = out[3];
}

BODY(cpuid_body)
{
    identify(cpu);
    NEXT;
}

/* Outside system-management mode, where this processor always is. */
BODY(rsm)
{
    ud(cpu, i);
}

/* --- FS and GS base ---------------------------------------------------------------------------------------
 */

static inline void require_fsgsbase(struct cpu *cpu, const struct insn *i)
{
    if (!(cpu->s.cr4 & CR4_FSGSBASE))
        ud(cpu, i);
}

static inline void read_base(struct cpu *cpu, const struct insn *i, unsigned seg)
{
    require_fsgsbase(cpu, i);
    if (i->osize == SIZE_Q)
        set64(cpu, i->rm, cpu->s.seg[seg].base);
    else
        set32(cpu, i->rm, (uint32_t)cpu->s.seg[seg].base);
}

static inline void write_base(struct cpu *cpu, const struct insn *i, unsigned seg)
{
    uint64_t value = i->osize == SIZE_Q ? get64(cpu, i->rm) : get32(cpu, i->rm);

    require_fsgsbase(cpu, i);
    if (!canonical_value(cpu, value))
        gp0(cpu, i);
    cpu->s.seg[seg].base = value;
}

BODY(rdfsbase)
{
    read_base(cpu, i, FS);
    NEXT;
}

BODY(rdgsbase)
{
    read_base(cpu, i, GS);
    NEXT;
}

BODY(wrfsbase)
{
    write_base(cpu, i, FS);
    NEXT;
}

BODY(wrgsbase)
{
    write_base(cpu, i, GS);
    NEXT;
}

/* --- STAC, CLAC -------------------------------------------------------------------------------------------
 */

/*
 * Around every copy between kernel and user: at CPL 0 RFLAGS.AC decides nothing but which TLB is asked, so
 * there is no need to leave the trace.
 */
BODY(stac)
{
    if (cpu->s.cpl != 0)
        ud(cpu, i);
    cpu->s.rflags |= FLAG_AC;
    if (cpu->s.cr4 & CR4_SMAP)
        cpu->tlb = cpu->tlbs[TLB_SUPER_AC].entry;
    NEXT;
}

BODY(clac)
{
    if (cpu->s.cpl != 0)
        ud(cpu, i);
    cpu->s.rflags &= ~(uint64_t)FLAG_AC;
    if (cpu->s.cr4 & CR4_SMAP)
        cpu->tlb = cpu->tlbs[TLB_SUPER].entry;
    NEXT;
}

/* --- Ports ------------------------------------------------------------------------------------------------
 */

/* IN and OUT of AX or EAX: REX.W changes nothing. */
static inline unsigned port_size(const struct insn *i)
{
    return i->osize == SIZE_W ? 2 : 4;
}

static inline void port_in(struct cpu *cpu, const struct insn *i, uint16_t port, unsigned size)
{
    uint64_t value;

    check_port(cpu, i, port, size);
    value = read_port(cpu, i, port, size);
    if (size == 1)
        set8(cpu, REG_OFFSET(RAX), (uint8_t)value);
    else if (size == 2)
        set16(cpu, REG_OFFSET(RAX), (uint16_t)value);
    else
        set32(cpu, REG_OFFSET(RAX), (uint32_t)value);
}

static inline void port_out(struct cpu *cpu, const struct insn *i, uint16_t port, unsigned size)
{
    uint64_t value = cpu->s.gpr[RAX] & (size == 4 ? UINT32_MAX : (1u << 8 * size) - 1);

    check_port(cpu, i, port, size);
    write_port(cpu, i, port, value, size);
}

BODY(in_imm_b)
{
    port_in(cpu, i, (uint8_t)i->imm, 1);
    NEXT;
}

BODY(in_imm_v)
{
    port_in(cpu, i, (uint8_t)i->imm, port_size(i));
    NEXT;
}

BODY(in_dx_b)
{
    port_in(cpu, i, (uint16_t)cpu->s.gpr[RDX], 1);
    NEXT;
}

BODY(in_dx_v)
{
    port_in(cpu, i, (uint16_t)cpu->s.gpr[RDX], port_size(i));
    NEXT;
}

/* A chip may answer a write with an interrupt, a reset, A20 or another memory map: leave. */
BODY(out_imm_b)
{
    port_out(cpu, i, (uint8_t)i->imm, 1);
    LEAVE(next_rip(cpu, i));
}

BODY(out_imm_v)
{
    port_out(cpu, i, (uint8_t)i->imm, port_size(i));
    LEAVE(next_rip(cpu, i));
}

BODY(out_dx_b)
{
    port_out(cpu, i, (uint16_t)cpu->s.gpr[RDX], 1);
    LEAVE(next_rip(cpu, i));
}

BODY(out_dx_v)
{
    port_out(cpu, i, (uint16_t)cpu->s.gpr[RDX], port_size(i));
    LEAVE(next_rip(cpu, i));
}
