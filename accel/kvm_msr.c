/*
 * kvm_msr.c - model-specific registers under KVM.
 *
 * Those that the processor itself needs while it runs the guest are the kernel's, a row each. All others, and
 * all that the kernel would answer with #GP, come out as MSR exits and are answered by cpu/msr.c, so that a
 * guest finds the same registers under each engine. A register of the table that this KVM refuses is treated
 * like those others.
 */
#include <stddef.h>
#include <string.h>

#include "accel/kvm_internal.h"

#define ROW(index, member)                                                                                   \
    {                                                                                                        \
        index, #member, offsetof(struct cpu_state, member)                                                   \
    }

const struct kvm_msr_row kvm_msr_rows[KVM_MSRS] = {
    ROW(0x174, sysenter_cs), ROW(0x175, sysenter_esp),        ROW(0x176, sysenter_eip),
    ROW(0x277, pat),         ROW(0xc0000081, star),           ROW(0xc0000082, lstar),
    ROW(0xc0000083, cstar),  ROW(0xc0000084, sfmask),         ROW(0xc0000103, tsc_aux),
    ROW(0xda0, xss),         ROW(0xc0000102, kernel_gs_base),
};

/* Besides those: what is part of the segments and of sregs. */
static const uint32_t also_direct[] = {0xc0000080 /* EFER */, 0xc0000100 /* FS_BASE */,
                                       0xc0000101 /* GS_BASE */};

/* And what belongs to the APIC, where that is the kernel's; its x2APIC registers are in any case. */
static const uint32_t apic_direct[] = {0x1b /* APIC_BASE */, 0x6e0 /* TSC_DEADLINE */};

static uint64_t get_member(const struct cpu_state *s, unsigned n)
{
    uint64_t value;

    memcpy(&value, (const uint8_t *)s + kvm_msr_rows[n].offset, sizeof(value));
    return value;
}

/* struct kvm_msrs with its entry. */
struct one_msr {
    uint32_t count, pad;
    struct kvm_msr_entry entry;
};

bool kvm_msr_get_one(int fd, uint32_t index, uint64_t *value)
{
    struct one_msr msrs = {.count = 1, .entry.index = index};

    if (ioctl(fd, KVM_GET_MSRS, &msrs) != 1)
        return false;
    *value = msrs.entry.data;
    return true;
}

bool kvm_msr_set_one(int fd, uint32_t index, uint64_t value)
{
    struct one_msr msrs = {.count = 1, .entry = {.index = index, .data = value}};

    return ioctl(fd, KVM_SET_MSRS, &msrs) == 1;
}

/* --- What the guest reaches without an exit
 * ------------------------------------------------------------------ */

static void allow(uint8_t *bitmap, uint32_t base, uint32_t size, uint32_t index)
{
    if (index >= base && index - base < size)
        bitmap[(index - base) / 8] |= (uint8_t)(1u << (index - base) % 8);
}

#define LOW_SIZE  0x1000u
#define HIGH_BASE 0xc0000000u
#define HIGH_SIZE 0x1000u

static bool set_filter(struct kvm *kvm, char *why, size_t why_size)
{
    uint8_t low[LOW_SIZE / 8] = {0}, high[HIGH_SIZE / 8] = {0};
    struct kvm_msr_filter filter = {
        .flags = KVM_MSR_FILTER_DEFAULT_DENY,
        .ranges = {{KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE, LOW_SIZE, 0, low},
                   {KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE, HIGH_SIZE, HIGH_BASE, high}},
    };

    for (unsigned n = 0; n < KVM_MSRS; n++) {
        if (!kvm_msr_rows[n].name || kvm->msr_refused[n])
            continue;
        allow(low, 0, LOW_SIZE, kvm_msr_rows[n].index);
        allow(high, HIGH_BASE, HIGH_SIZE, kvm_msr_rows[n].index);
    }
    for (unsigned n = 0; n < sizeof(also_direct) / sizeof(also_direct[0]); n++)
        allow(high, HIGH_BASE, HIGH_SIZE, also_direct[n]);
    for (unsigned n = 0; kvm->chips && n < sizeof(apic_direct) / sizeof(apic_direct[0]); n++)
        allow(low, 0, LOW_SIZE, apic_direct[n]);
    return KVM_IOCTL(kvm->vm, KVM_X86_SET_MSR_FILTER, &filter, why, why_size);
}

bool kvm_msr_setup(struct kvm *kvm, char *why, size_t why_size)
{
    struct kvm_enable_cap exits = {
        .cap = KVM_CAP_X86_USER_SPACE_MSR,
        .args = {KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_FILTER}};
    uint64_t value;

    for (unsigned n = 0; n < KVM_MSRS; n++) {
        uint32_t index = kvm_msr_rows[n].index;

        kvm->msr_refused[n] = kvm_msr_rows[n].name && !(kvm_msr_get_one(kvm->fd, index, &value) &&
                                                        kvm_msr_set_one(kvm->fd, index, value));
        if (kvm->msr_refused[n])
            log_at(kvm->config.log, LOG_DEBUG, "kvm",
                   "MSR %#x (%s) can't be set here; the software CPU has it", index, kvm_msr_rows[n].name);
    }
    return KVM_IOCTL(kvm->vm, KVM_ENABLE_CAP, &exits, why, why_size) && set_filter(kvm, why, why_size);
}

/* --- To and from the kernel
 * ------------------------------------------------------------------------------------ */

struct msr_list { /* struct kvm_msrs, likewise */
    uint32_t count, pad;
    struct kvm_msr_entry entry[KVM_MSRS];
};

bool kvm_msrs_get(struct kvm *kvm, uint64_t values[KVM_MSRS])
{
    struct msr_list list = {.count = 0};
    unsigned count = 0;

    for (unsigned n = 0; n < KVM_MSRS; n++)
        if (kvm_msr_rows[n].name && !kvm->msr_refused[n])
            list.entry[count++].index = kvm_msr_rows[n].index;
    list.count = count;
    if (ioctl(kvm->fd, KVM_GET_MSRS, &list) != (int)count)
        return false;
    for (unsigned n = 0, k = 0; n < KVM_MSRS; n++)
        values[n] = !kvm_msr_rows[n].name ? 0
                    : kvm->msr_refused[n] ? get_member(kvm->s, n)
                                          : list.entry[k++].data;
    return true;
}

void kvm_msrs_set(struct kvm *kvm, const uint64_t values[KVM_MSRS], const uint64_t *before)
{
    for (unsigned n = 0; n < KVM_MSRS; n++) {
        const struct kvm_msr_row *row = &kvm_msr_rows[n];

        if (!row->name || kvm->msr_refused[n] || (before && before[n] == values[n]))
            continue;
        if (!kvm_msr_set_one(kvm->fd, row->index, values[n]))
            log_at(kvm->config.log, LOG_ERROR, "kvm", "MSR %#x (%s) can't be set to %#llx", row->index,
                   row->name, (unsigned long long)values[n]);
    }
}

/* --- Exits
 * ------------------------------------------------------------------------------------------------------- */

/* Whether the kernel has the register: then what it refuses is decided on the state that it has. */
static bool kernel_has(const struct kvm *kvm, uint32_t index)
{
    for (unsigned n = 0; n < sizeof(also_direct) / sizeof(also_direct[0]); n++)
        if (also_direct[n] == index)
            return true;
    for (unsigned n = 0; n < sizeof(apic_direct) / sizeof(apic_direct[0]); n++)
        if (apic_direct[n] == index)
            return kvm->chips;
    for (unsigned n = 0; n < KVM_MSRS; n++)
        if (kvm_msr_rows[n].name && kvm_msr_rows[n].index == index)
            return !kvm->msr_refused[n];
    return kvm->chips && index >> 8 == 8;
}

static uint64_t apic_base(struct kvm *kvm)
{
    const struct intc *intc = &kvm->config.intc;
    uint64_t base = 0;

    kvm_lock(kvm);
    if (intc->ops)
        base = intc->ops->get_base(intc->opaque);
    kvm_unlock(kvm);
    return base;
}

/* A register that is not in the kernel; what follows from it there, the TSC and the APIC's base, is. */
static bool write_here(struct kvm *kvm, uint32_t index, uint64_t value)
{
    uint64_t base = apic_base(kvm), tsc = kvm->s->tsc_offset;
    bool done = cpu_write_msr(kvm->cpu, index, value);

    if (apic_base(kvm) != base || kvm->s->tsc_offset != tsc) {
        uint64_t wanted = kvm->s->tsc_offset;

        kvm->run->msr.error = !done;
        if (kvm_home(kvm)) /* which finishes the exit */
            kvm->s->tsc_offset = wanted;
    }
    return done;
}

void kvm_msr_exit(struct kvm *kvm, bool write)
{
    uint32_t index = kvm->run->msr.index;
    uint64_t value = kvm->run->msr.data;
    bool done;

    if (kernel_has(kvm, index)) {
        log_at(kvm->config.log, LOG_GUEST, "kvm",
               "%s %#x: the kernel has no such register, or it can't be %#llx", write ? "WRMSR" : "RDMSR",
               index, (unsigned long long)value);
        kvm->run->msr.error = 1;
        return;
    }
    kvm_tsc_home(kvm); /* deadlines are reckoned by it */
    done = write ? write_here(kvm, index, value) : cpu_read_msr(kvm->cpu, index, &value);
    if (!done)
        log_at(kvm->config.log, LOG_GUEST, "kvm", "%s %#x: no such register here, or it can't be %#llx",
               write ? "WRMSR" : "RDMSR", index, (unsigned long long)value);
    kvm->run->msr.data = value;
    kvm->run->msr.error = !done;
}
