/*
 * system.h - control and debug registers beyond those of internal.h, and the CPU's way to its interrupt
 * controller.
 */
#ifndef CPU_SYSTEM_H
#define CPU_SYSTEM_H

#include "cpu/stop.h"

/* DR6 and DR7 bits that read as ones whatever was written; DR6.BD and DR7.GD. */
#define DR6_FIXED 0xffff0ff0u
#define DR6_VALID 0x0000e00fu /* BT, BS, BD, B3-B0 */
#define DR6_BD    (1u << 13)
#define DR7_FIXED 0x00000400u
#define DR7_VALID 0xffff23ffu
#define DR7_GD    (1u << 13)

/* The machine lock, which calls into the interrupt controller need. A CPU outside a machine has none. */
static inline void lock_machine(struct cpu *cpu)
{
    if (cpu->lock)
        pthread_mutex_lock(cpu->lock);
}

static inline void unlock_machine(struct cpu *cpu)
{
    if (cpu->lock)
        pthread_mutex_unlock(cpu->lock);
}

/* Whether `size` ports at `port` may be used by the present code; raises #GP(0) if not (SDM 1 19.5). */
static inline void check_port(struct cpu *cpu, const struct insn *i, uint16_t port, unsigned size)
{
    unsigned iopl = (cpu->s.rflags & FLAG_IOPL) >> 12;

    if (unlikely(!real_mode(cpu) && (cpu->s.cpl > iopl || vm86_mode(cpu))))
        check_io(cpu, i, port, size);
}

static inline void stop_port(struct cpu *cpu, const struct insn *i, uint16_t port, uint64_t value, unsigned size,
                             bool write)
{
    struct stop_event e = {.address = port, .size = size, .value = value, .write = write};

    stop_event(cpu, i, CPU_STOP_PORT, &e);
}

/* The access itself; check_port() comes first. */
static inline uint64_t read_port(struct cpu *cpu, const struct insn *i, uint16_t port, unsigned size)
{
    uint64_t value;

    if (unlikely(cpu->stops))
        stop_port(cpu, i, port, 0, size, false);
    if (unlikely(breakpoints_armed(cpu)))
        breakpoint_io(cpu, port, size);
    value = bus_read(cpu->ports, port, size);
    if (unlikely(cpu->stops))
        stop_value(cpu, CPU_STOP_PORT, value);
    return value;
}

static inline void write_port(struct cpu *cpu, const struct insn *i, uint16_t port, uint64_t value, unsigned size)
{
    if (unlikely(cpu->stops))
        stop_port(cpu, i, port, value, size, true);
    if (unlikely(breakpoints_armed(cpu)))
        breakpoint_io(cpu, port, size);
    bus_write(cpu->ports, port, value, size);
}

/* CR8; 0 and ignored without an interrupt controller. Writing raises #GP(0) above 15. */
uint64_t read_cr8(struct cpu *cpu);
void write_cr8(struct cpu *cpu, const struct insn *i, uint64_t value);

/* MOV to and from debug register `n` with all checks but that of the operand size: #UD, #GP(0), #DB. */
uint64_t read_dr(struct cpu *cpu, const struct insn *i, unsigned n);
void write_dr(struct cpu *cpu, const struct insn *i, unsigned n, uint64_t value);

/* kvmclock.c: the MSRs of kvm-clock, and CPUID where it says so. */
uint64_t kvmclock_read_system(struct cpu *cpu);
bool kvmclock_write_system(struct cpu *cpu, uint64_t value);
uint64_t kvmclock_read_wall(struct cpu *cpu);
bool kvmclock_write_wall(struct cpu *cpu, uint64_t value);
void kvmclock_leaf(const struct cpu *cpu, uint32_t leaf, uint32_t out[4]);

/* IA32_APIC_BASE; 0 without an interrupt controller. */
uint64_t apic_base(struct cpu *cpu);

#endif
