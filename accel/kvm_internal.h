/*
 * kvm_internal.h - what the files of the KVM engine share.
 *
 * The kernel's vCPU and cpu_state() take turns in having the state. kvm->home says that cpu_state() has it:
 * after pull() and push(), and while the software CPU executes what KVM can't. kvm_take() hands it to the
 * kernel, kvm_home() brings it back. What KVM was last seen to have is kept (kvm->raw), so that the way back
 * costs only what has changed.
 *
 * The chips are devices/'s. Without interrupt controllers of KVM's own, INTR reaches the guest by KVM_INTERRUPT and
 * the APIC's registers by MMIO exits; with them, they are on loan while the thread is in kvm_run() (kvm_irqchip.c).
 * All MSRs but those that the processor itself needs come out as MSR exits, which cpu/msr.c answers.
 */
#ifndef ACCEL_KVM_INTERNAL_H
#define ACCEL_KVM_INTERNAL_H

#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "accel/engine.h"

#define KVM_KICK_SIGNAL SIGRTMIN

#define KVM_SLOTS     64 /* spans of RAM and ROM that the guest can have at once */
#define KVM_MSRS      16
#define KVM_OPCODES   32 /* kinds of instructions counted apart */
#define KVM_REASONS   64
#define KVM_XSAVE     4096
#define KVM_LOG_PAGES 8192 /* of a slot with dirty logging: 32 MiB */

/* What KVM offers beyond what can't be done without. */
struct kvm_offer {
    bool tsc_offset, tsc_scaling, emulation_exits;
    bool tsc_fixed; /* the guest's TSC is the host's, whatever is set */
    unsigned tsc_khz;
};

/* Guest memory that KVM reaches by itself. */
struct kvm_slot {
    uint64_t address, size;
    uint8_t *host;
    uint32_t flags;        /* KVM_MEM_* */
    struct region *region; /* NULL: the slot is free */
    uint64_t offset;       /* of the slot in the region */
};

/* The state in the kernel's words. */
struct kvm_raw {
    struct kvm_regs regs;
    struct kvm_sregs2 sregs;
    struct kvm_debugregs debug;
    struct kvm_vcpu_events events;
    uint64_t xcr0;
    uint64_t msr[KVM_MSRS];
    uint64_t tsc_offset; /* as in cpu_state: follows from the kernel's TSC */
    uint8_t xsave[KVM_XSAVE] __attribute__((aligned(64)));
};

/* An instruction that KVM could not execute: its opcode's bytes, in text, and how often. */
struct kvm_opcode_count {
    char text[24]; /* "" : none yet */
    uint64_t count;
};

/* Whose interrupt controllers there are: see kvm_irqchip.c. */
enum kvm_chips { KVM_CHIPS_OFF, KVM_CHIPS_SPLIT, KVM_CHIPS_FULL };

struct kvm {
    struct cpu *cpu;
    struct cpu_state *s;
    struct cpu_config config;
    struct engine_options options;
    int device, vm, fd; /* -1: not open */
    struct kvm_run *run;
    size_t run_size;
    struct kvm_offer offer;

    /* Others to the thread. */
    _Atomic bool attached, inside; /* inside: in KVM_RUN, or about to be: a signal is needed */
    _Atomic bool kicked;
    _Atomic bool map_stale;
    pthread_t thread;

    bool home;       /* cpu_state() is right, and the kernel's is not to be looked at */
    bool raw_valid;  /* `raw` is what the kernel has */
    bool exit_waits; /* the last exit is to be handled still */
    bool completing; /* the last exit's access is finished by the next KVM_RUN only */
    bool ready;      /* the guest would take an interrupt now */
    bool broken;     /* the engine gave up */
    bool unfit;      /* the kernel won't have the state as it is */
    bool warned_unfit;
    struct kvm_raw raw;
    uint64_t left_clock, left_host; /* when the thread last left the engine: guest's and host's ns */
    uint8_t cr8;                    /* as the kernel has it */
    bool cr8_stale;                 /* the APIC may have another */

    /* Only 64-bit code at CPL 3 is KVM's, see kvm_user.c; what follows is for that. */
    bool user_only;
    bool owed;             /* an instruction that KVM left to the software CPU */
    bool ran;              /* KVM, since the software CPU was told that RAM may have changed */
    uint64_t entered_at;   /* host ns when KVM's turn began */
    uint64_t cr3, settled; /* CR3 as last seen, and how many instructions it has been so */
    uint64_t stint;        /* instructions that the software CPU executes in one go */

    /* KVM keeps tables of its own after the guest's, and doesn't see who else writes those. */
    bool shadow_paging;
    uint64_t invalidations; /* cpu_tlb_invalidations() when KVM's tables were right at last; UINT64_MAX: never */
    void *spare;            /* a page for that */

    enum kvm_chips chips;
    const struct irqchips *irqchips;
    struct irqchip_tenant tenant;
    bool has_chips;                   /* on loan: between kvm_chips_take() and kvm_chips_home() */
    bool halted;                      /* the kernel's vCPU, as last brought home */
    uint64_t msi_routes[IRQCHIP_IOAPIC_PINS]; /* split: redirection entries as the kernel knows them */
    _Atomic bool routes_stale;
    bool by_deadline;       /* the kernel's timer was in that mode at last */
    uint32_t spent_initial; /* of a one-shot timer that has fired, which the kernel wasn't told */

    struct kvm_slot slot[KVM_SLOTS];
    struct bus_listener listener;
    struct region *logged[4]; /* whose writes are asked for */

    unsigned avx_offset, pkru_offset; /* in the XSAVE area; 0: KVM has none */
    unsigned opmask_offset, zmm_high_offset, zmm_more_offset;
    uint64_t xsave_mask; /* components to hand over */
    bool msr_refused[KVM_MSRS];
    char lost[400]; /* the features of the guest's processor that KVM hasn't, by name */

    struct kvm_guest_debug debug;              /* as the kernel has it */
    bool breakpoints_tried, breakpoints_work;

    unsigned patience;   /* instructions that the software CPU executes next time KVM can't */
    uint64_t gave_up_at; /* host ns when it last did */
    uint64_t trip;       /* host ns that the state's way here and back took then */

    struct {
        uint64_t exits[KVM_REASONS], entries, signals, software, failures, unfit, interrupts, stints, events, renewals;
        struct kvm_opcode_count opcode[KVM_OPCODES];
    } stats;
};

/* ioctl() that says what failed: false, and a line in `why`. */
bool kvm_ioctl(int fd, unsigned long request, const char *name, void *argument, char *why, size_t why_size);
#define KVM_IOCTL(fd, request, argument, why, why_size)                                                      \
    kvm_ioctl(fd, request, #request, argument, why, why_size)

/* The machine lock, if the CPU is in a machine. */
static inline void kvm_lock(struct kvm *kvm)
{
    if (kvm->config.lock)
        pthread_mutex_lock(kvm->config.lock);
}

static inline void kvm_unlock(struct kvm *kvm)
{
    if (kvm->config.lock)
        pthread_mutex_unlock(kvm->config.lock);
}

/* kvm.c: the engine can't go on; `format` says why, as printf. */
void kvm_fail(struct kvm *kvm, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Finishes the access of the last exit, so that the kernel's state is at an instruction boundary. False:
 * failed. */
bool kvm_complete(struct kvm *kvm);

/* KVM_RUN with a signal waiting, until it comes back for that: what has happened becomes visible, the guest isn't entered. */
void kvm_drain(struct kvm *kvm);

/* kvm_exits.c: does what the exit asks for. True when the engine is to be left, with *exit. */
bool kvm_exit(struct kvm *kvm, enum cpu_exit *exit);
/* The same for an exit that completes an access: ports, memory, MSRs. */
void kvm_access_exit(struct kvm *kvm);
bool kvm_is_access(const struct kvm *kvm);
/* Lets the software CPU execute some instructions or events, one at least; the state is here. As kvm_exit().
 */
bool kvm_software(struct kvm *kvm, enum cpu_exit *exit);
void kvm_print_stats(const struct kvm *kvm, FILE *out);

/* kvm_state.c */
void kvm_state_setup(struct kvm *kvm);
/* The state from the kernel to cpu_state(). False after kvm_fail(). */
bool kvm_home(struct kvm *kvm);
/* The other way; false, with unfit set, when the kernel refuses. */
bool kvm_take(struct kvm *kvm);
/* kvm_tsc.c: the kernel's TSC becomes cpu_state()'s. */
void kvm_tsc_take(struct kvm *kvm);
/* cpu_state()'s TSC becomes the kernel's. */
void kvm_tsc_home(struct kvm *kvm);
/* The thread leaves the engine; and comes back to it: while the clock stood, the guest's TSC did. */
void kvm_tsc_leave(struct kvm *kvm);
void kvm_tsc_return(struct kvm *kvm);

/* kvm_msr.c */
extern const struct kvm_msr_row {
    uint32_t index;
    const char *name;
    uint16_t offset; /* in struct cpu_state */
} kvm_msr_rows[KVM_MSRS];
bool kvm_msr_setup(struct kvm *kvm, char *why, size_t why_size);
bool kvm_msrs_get(struct kvm *kvm, uint64_t values[KVM_MSRS]);
/* Sets those that differ from `before` (NULL: all). */
void kvm_msrs_set(struct kvm *kvm, const uint64_t values[KVM_MSRS], const uint64_t *before);
bool kvm_msr_get_one(int fd, uint32_t index, uint64_t *value);
bool kvm_msr_set_one(int fd, uint32_t index, uint64_t value);
void kvm_msr_exit(struct kvm *kvm, bool write);

/* kvm_user.c, where only user code is KVM's. */
void kvm_user_setup(struct kvm *kvm, const char *code);
/* Whether what comes next is KVM's. */
bool kvm_user_turn(const struct kvm *kvm, unsigned requests);
/* Lets the software CPU execute what isn't. As kvm_exit(). */
bool kvm_user_software(struct kvm *kvm, enum cpu_exit *exit);
/* User code was left for an event, which has been kept from the kernel's virtual CPU. */
void kvm_user_event(struct kvm *kvm);
/* What the kernel gets in place of the guest's own state. */
void kvm_user_disguise(struct kvm_raw *raw);
/* The registers have come home. */
void kvm_user_home(struct kvm *kvm);

/* kvm_irqchip.c: before there is a vCPU; and after. `wanted` as --kvm-irqchip, NULL: off. */
bool kvm_chips_create(struct kvm *kvm, const char *wanted, const struct irqchips *chips, char *why, size_t why_size);
/* The chips' registers to the kernel; back. Nothing when they are there already. False after kvm_fail(). */
bool kvm_chips_take(struct kvm *kvm);
bool kvm_chips_home(struct kvm *kvm);
/* The kernel's I/O APIC entries are brought up to date, before it is entered. */
bool kvm_chips_route(struct kvm *kvm);
void kvm_chips_end_of_interrupt(struct kvm *kvm, uint8_t vector);

/* kvm_debug.c: as struct engine has it. */
bool kvm_stops(struct cpu *cpu);
/* Before the kernel is entered: tells it of breakpoints that came or went. */
void kvm_debug_take(struct kvm *kvm);
/* The CPU was stopped and is let go now. And lets the software CPU go on for an instruction, when it was, or where a
 * breakpoint was reached; as kvm_exit(). */
bool kvm_stopped(const struct kvm *kvm);
bool kvm_debug_step(struct kvm *kvm, enum cpu_exit *exit);

/* kvm_memory.c */
bool kvm_memory_setup(struct kvm *kvm, char *why, size_t why_size);
void kvm_memory_end(struct kvm *kvm);
void kvm_memory_update(struct kvm *kvm);
/* KVM's translations of addresses are right again, whatever the software CPU did. */
void kvm_memory_renew_tables(struct kvm *kvm);

/* kvm_cpuid.c */
bool kvm_cpuid_setup(struct kvm *kvm, char *why, size_t why_size);
/* Whether the guest has turned on a feature that KVM hasn't; then what it is and what to do about it, in `why`. */
bool kvm_cpuid_in_the_way(const struct kvm *kvm, char *why, size_t why_size);
/* The features that this version knows and KVM does not offer, by name, separated by spaces. */
void kvm_cpuid_lacking(int device, char *names, size_t names_size);
struct kvm_cpuid2 *kvm_cpuid_supported(int device);

/* kvm_probe.c */
int kvm_open(char *why, size_t why_size); /* /dev/kvm, if it serves; or -1 */
void kvm_get_offer(int vm, int fd, struct kvm_offer *offer);
bool kvm_probe(char *why, size_t why_size);
bool kvm_user_only(void);
/* Whether code of this CPL stops at a breakpoint of KVM_SET_GUEST_DEBUG; takes milliseconds to find out. */
bool kvm_breakpoints_work(unsigned cpl);
void kvm_lacking(char *names, size_t size);
uint64_t kvm_tsc_hz(void);
uint64_t kvm_tsc_now(void);
void kvm_report(FILE *out);

#endif
