/*
 * kvmclock.c - kvm-clock: a clock that a guest reads in its own memory.
 *
 * Linux and others look for it where CPUID says KVM. The guest writes two addresses to MSRs. At one (wall
 * clock) it then finds when the machine was switched on; at the other (system time) a point of the clock
 * beside the TSC of that moment, and by what to multiply TSC ticks since then:
 *
 *     ns = system_time + ((tsc - tsc_timestamp) << shift) * mul / 2^32
 *
 * So it needs nothing from us when it reads the clock, and the point stays right until TSC or clock jump. An
 * odd version says that the rest is just being written.
 *
 * The layouts and numbers are those of Linux's Documentation/virt/kvm/x86/{msr,cpuid}.rst.
 */
#include <string.h>

#include "cpu/system.h"

#define ENABLED   1ull
#define STABLE    1u       /* flags: all CPUs read the same time */
#define BUS_KHZ   1000000u /* of the local APIC's timer */
#define LAST_LEAF 0x40000010u

/* Features (leaf 0x40000001, EAX). */
#define CLOCK_OLD    (1u << 0) /* MSRs 0x11, 0x12 */
#define NO_IO_DELAY  (1u << 1) /* no port needs a pause */
#define CLOCK_NEW    (1u << 3) /* F_KVMCLOCK */
#define CLOCK_STABLE (1u << 24)

struct system_time {
    uint32_t version, pad;
    uint64_t tsc_timestamp, system_time;
    uint32_t mul;
    int8_t shift;
    uint8_t flags, pad2[2];
};
_Static_assert(sizeof(struct system_time) == 32, "as guests have it");

struct wall_clock {
    uint32_t version, seconds, nanoseconds;
};

/* The guest's time: what its kvm-clock says. */
static uint64_t system_time(const struct cpu *cpu, uint64_t now)
{
    return now + cpu->s.kvm_clock_offset;
}

/* Writes a structure that begins with its version. False: not in RAM. */
static bool publish(struct cpu *cpu, uint64_t address, void *structure, size_t size)
{
    uint32_t *version = structure;
    uint64_t offset;

    for (unsigned end = 0; end < 2; end++) {
        struct region *region = bus_find(cpu->memory, address + (end ? size - 1 : 0), &offset);

        if (!region || region->kind != REGION_RAM)
            return false;
    }
    *version = ((uint32_t)bus_read(cpu->memory, address, 4) + 1) | 1;
    bus_write(cpu->memory, address, *version, 4);
    atomic_thread_fence(memory_order_seq_cst);
    bus_write_block(cpu->memory, address + 4, version + 1, size - 4);
    atomic_thread_fence(memory_order_seq_cst);
    bus_write(cpu->memory, address, ++*version, 4);
    return true;
}

/* Nanoseconds a tick as mul * 2^shift / 2^32, rounded down so that an older point never runs ahead of a newer
 * one. */
static void set_scale(struct system_time *t, uint64_t hz)
{
    unsigned __int128 mul;
    int shift = -31;

    while ((mul = ((unsigned __int128)NS_PER_SEC << (32 - shift)) / hz) > UINT32_MAX && shift < 31)
        shift++;
    t->mul = (uint32_t)mul;
    t->shift = (int8_t)shift;
}

void cpu_renew_clock(struct cpu *cpu)
{
    struct system_time t = {.flags = STABLE};
    uint64_t now = clock_now(cpu->clock);

    if (!(cpu->s.kvm_system_time & ENABLED))
        return;
    t.tsc_timestamp = clock_ns_to_ticks(now, cpu->tsc_hz) + cpu->s.tsc_offset;
    t.system_time = system_time(cpu, now);
    set_scale(&t, cpu->tsc_hz);
    if (!publish(cpu, cpu->s.kvm_system_time & ~ENABLED, &t, sizeof(t)))
        log_at(cpu->log, LOG_GUEST, "cpu", "kvm-clock: there is no RAM at %#llx",
               (unsigned long long)(cpu->s.kvm_system_time & ~ENABLED));
}

uint64_t kvmclock_read_system(struct cpu *cpu)
{
    return cpu->s.kvm_system_time;
}

bool kvmclock_write_system(struct cpu *cpu, uint64_t value)
{
    cpu->s.kvm_system_time = value;
    cpu_renew_clock(cpu);
    return true;
}

uint64_t kvmclock_read_wall(struct cpu *cpu)
{
    return cpu->s.kvm_wall_clock;
}

bool kvmclock_write_wall(struct cpu *cpu, uint64_t value)
{
    uint64_t on = clock_wall(cpu->clock) - system_time(cpu, clock_now(cpu->clock));
    struct wall_clock wall = {.seconds = (uint32_t)(on / NS_PER_SEC),
                              .nanoseconds = (uint32_t)(on % NS_PER_SEC)};

    cpu->s.kvm_wall_clock = value;
    if (!publish(cpu, value, &wall, sizeof(wall)))
        log_at(cpu->log, LOG_GUEST, "cpu", "kvm-clock: there is no RAM at %#llx", (unsigned long long)value);
    return true;
}

void kvmclock_leaf(const struct cpu *cpu, uint32_t leaf, uint32_t out[4])
{
    switch (leaf) {
    case 0x40000000:
        out[0] = LAST_LEAF;
        memcpy(&out[1], "KVMKVMKVM\0\0\0", 12);
        break;
    case 0x40000001:
        out[0] = CLOCK_OLD | NO_IO_DELAY | CLOCK_NEW | CLOCK_STABLE;
        break;
    case LAST_LEAF: /* what the TSC and the APIC's timer count, in kHz */
        out[0] = (uint32_t)(cpu->tsc_hz / 1000);
        out[1] = BUS_KHZ;
        break;
    }
}
