/*
 * kvm_exits.c - why KVM_RUN comes back: a table by reason, a handler each; and what the software CPU does for
 * KVM.
 */
#include <stdlib.h>
#include <string.h>

#include "accel/kvm_internal.h"

/* What becomes of the run after an exit. */
enum outcome {
    GO_ON,
    LEAVE, /* with what is in *exit */
};

/* --- Accesses: to ports, chips' memory and MSRs
 * ------------------------------------------------------------------ */

/* A string instruction comes out once, with all its items. */
static enum outcome on_io(struct kvm *kvm, enum cpu_exit *exit)
{
    struct kvm_run *run = kvm->run;
    uint8_t *data = (uint8_t *)run + run->io.data_offset;
    unsigned size = run->io.size;

    (void)exit;
    for (uint32_t n = 0; n < run->io.count; n++, data += size) {
        uint64_t value = 0;

        if (run->io.direction == KVM_EXIT_IO_OUT) {
            memcpy(&value, data, size);
            bus_write(kvm->config.ports, run->io.port, value, size);
        } else {
            value = bus_read(kvm->config.ports, run->io.port, size);
            memcpy(data, &value, size);
        }
    }
    return GO_ON;
}

/* KVM passes pieces of up to 8 bytes, of any size. */
static enum outcome on_mmio(struct kvm *kvm, enum cpu_exit *exit)
{
    struct kvm_run *run = kvm->run;
    struct bus *memory = kvm->config.memory;
    unsigned size = run->mmio.len;
    bool whole = size == 1 || size == 2 || size == 4 || size == 8;
    uint64_t value = 0;

    (void)exit;
    if (!whole && run->mmio.is_write) {
        bus_write_block(memory, run->mmio.phys_addr, run->mmio.data, size);
    } else if (!whole) {
        bus_read_block(memory, run->mmio.phys_addr, run->mmio.data, size);
    } else if (run->mmio.is_write) {
        memcpy(&value, run->mmio.data, size);
        bus_write(memory, run->mmio.phys_addr, value, size);
    } else {
        value = bus_read(memory, run->mmio.phys_addr, size);
        memcpy(run->mmio.data, &value, size);
    }
    kvm->cr8_stale = true; /* it may have been the APIC */
    return GO_ON;
}

static enum outcome on_rdmsr(struct kvm *kvm, enum cpu_exit *exit)
{
    (void)exit;
    kvm_msr_exit(kvm, false);
    return GO_ON;
}

static enum outcome on_wrmsr(struct kvm *kvm, enum cpu_exit *exit)
{
    (void)exit;
    kvm_msr_exit(kvm, true);
    kvm->cr8_stale = true;
    return GO_ON;
}

/* --- What else the guest does
 * -------------------------------------------------------------------------------------- */

/* The kernel keeps the state; what decides on waking up is looked at here. */
static enum outcome on_hlt(struct kvm *kvm, enum cpu_exit *exit)
{
    struct cpu_state *s = kvm->s;

    (void)exit;
    s->activity = CPU_HALTED;
    s->rflags = (s->rflags & ~(uint64_t)FLAG_IF) | (kvm->run->if_flag ? FLAG_IF : 0);
    s->nmi_pending = 0;
    return GO_ON;
}

static enum outcome on_shutdown(struct kvm *kvm, enum cpu_exit *exit)
{
    if (kvm->user_only) {
        kvm_user_event(kvm);
        return GO_ON;
    }
    kvm_home(kvm);
    kvm->s->activity = CPU_SHUTDOWN;
    *exit = CPU_EXIT_SHUTDOWN;
    return LEAVE;
}

static enum outcome on_end_of_interrupt(struct kvm *kvm, enum cpu_exit *exit)
{
    (void)exit;
    kvm_chips_end_of_interrupt(kvm, kvm->run->eoi.vector);
    return GO_ON;
}

static enum outcome on_nothing(struct kvm *kvm, enum cpu_exit *exit)
{
    (void)kvm, (void)exit;
    return GO_ON;
}

/* --- Instructions that KVM can't do
 * ---------------------------------------------------------------------------------- */

static bool is_prefix(uint8_t byte, unsigned bits)
{
    static const uint8_t prefixes[] = {0x66, 0x67, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0xf0};

    return memchr(prefixes, byte, sizeof(prefixes)) || (bits == 64 && byte >> 4 == 4);
}

/* Opcodes of which the ModRM byte tells apart what they do. */
static bool is_group(const uint8_t *opcode, unsigned size)
{
    static const uint8_t one[] = {0x80, 0x81, 0x83, 0x8f, 0xc0, 0xc1, 0xc6, 0xc7,
                                  0xd0, 0xd1, 0xd2, 0xd3, 0xf6, 0xf7, 0xfe, 0xff},
                         two[] = {0x00, 0x01, 0x18, 0x71, 0x72, 0x73, 0xae, 0xba, 0xc7};

    return size == 1 ? !!memchr(one, opcode[0], sizeof(one))
                     : size == 2 && memchr(two, opcode[1], sizeof(two));
}

/* "0f c7 /1" */
static void opcode_text(struct kvm *kvm, char *text, size_t text_size)
{
    const struct cpu_state *s = kvm->s;
    unsigned bits = cpu_code_bits(s), at = 0, size = 1;
    uint64_t linear = bits == 64 ? s->rip : s->rip + s->seg[CS].base;
    uint8_t code[19] = {0};
    size_t got = cpu_peek(kvm->cpu, linear, code, 15);

    while (at < 14 && is_prefix(code[at], bits))
        at++;
    if (code[at] == 0x0f)
        size = code[at + 1] == 0x38 || code[at + 1] == 0x3a ? 3 : 2;
    else if ((code[at] == 0xc5 || code[at] == 0xc4 || code[at] == 0x62) && bits == 64)
        size = code[at] == 0xc5 ? 3 : code[at] == 0xc4 ? 4 : 5;
    if (at + size > got)
        snprintf(text, text_size, "not mapped");
    else if (is_group(code + at, size))
        snprintf(text, text_size, "%s%02x /%u", size == 2 ? "0f " : "", code[at + size - 1],
                 code[at + size] >> 3 & 7);
    else
        for (unsigned n = 0; n < size && 3 * n + 3 < text_size; n++)
            snprintf(text + 3 * n, text_size - 3 * n, n + 1 < size ? "%02x " : "%02x", code[at + n]);
}

static void count_opcode(struct kvm *kvm)
{
    char text[sizeof(kvm->stats.opcode[0].text)];

    opcode_text(kvm, text, sizeof(text));
    for (unsigned n = 0; n < KVM_OPCODES; n++) {
        struct kvm_opcode_count *row = &kvm->stats.opcode[n];

        if (!row->text[0] || n == KVM_OPCODES - 1)
            snprintf(row->text, sizeof(row->text), "%s", n < KVM_OPCODES - 1 ? text : "others");
        if (!strcmp(row->text, text) || n == KVM_OPCODES - 1) {
            row->count++;
            return;
        }
    }
}

/*
 * To bring the state here and back costs some 50 us on the worst of hosts, more with the kernel's interrupt
 * controllers, as much as the software CPU takes for a few hundred instructions one by one. So when KVM gives up again before it has run for longer than
 * that, twice as many are executed here, up to that number: whatever the guest does, it is at most half as
 * fast as in the better place.
 */
#define TRIP_NS      50000
#define PATIENCE_MAX 512

static void set_patience(struct kvm *kvm)
{
    uint64_t trip = kvm->trip > TRIP_NS ? kvm->trip : TRIP_NS;

    if (!kvm->patience || engine_host_ns() - kvm->gave_up_at > 2 * trip)
        kvm->patience = 1;
    else if (kvm->patience < PATIENCE_MAX)
        kvm->patience *= 2;
}

bool kvm_software(struct kvm *kvm, enum cpu_exit *exit)
{
    /* A breakpoint may lie behind the first instruction; the kernel asks again at each. */
    unsigned left = kvm->patience && !cpu_has_stops(kvm->cpu) ? kvm->patience : 1;

    do {
        *exit = cpu_step(kvm->cpu);
        kvm->stats.software++;
    } while (--left && *exit == CPU_EXIT_KICK && kvm->s->activity == CPU_RUNNING &&
             !atomic_load(&kvm->kicked));
    cpu_pull(kvm->cpu);
    kvm->gave_up_at = engine_host_ns();
    return *exit != CPU_EXIT_KICK;
}

static enum outcome on_debug(struct kvm *kvm, enum cpu_exit *exit)
{
    return kvm_debug_step(kvm, exit) ? LEAVE : GO_ON;
}

static enum outcome on_internal_error(struct kvm *kvm, enum cpu_exit *exit)
{
    uint64_t begin = engine_host_ns();

    if (kvm->run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION) {
        kvm_fail(kvm, "KVM gives up: internal error, suberror %u", kvm->run->internal.suberror);
        return GO_ON;
    }
    if (!kvm_home(kvm))
        return GO_ON;
    kvm->trip = 2 * (engine_host_ns() - begin);
    /* Without exits on failed emulation, KVM raises #UD besides. */
    if (!kvm->offer.emulation_exits && kvm->s->event_vector == 6)
        kvm->s->event_pending = 0;
    count_opcode(kvm);
    kvm->stats.failures++;
    set_patience(kvm);
    return kvm_software(kvm, exit) ? LEAVE : GO_ON;
}

/* --- The end
 * ------------------------------------------------------------------------------------------------------------
 */

static void fail_with_state(struct kvm *kvm, const char *what, uint64_t detail)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    kvm_home(kvm);
    if (out) {
        fields_print(cpu_state_fields, kvm->s, out, "  ");
        fclose(out);
    }
    kvm_fail(kvm, "KVM gives up: %s (%#llx)\n%s", what, (unsigned long long)detail, text ? text : "");
    free(text);
}

static enum outcome on_fail_entry(struct kvm *kvm, enum cpu_exit *exit)
{
    (void)exit;
    fail_with_state(kvm, "the processor can't enter the guest, hardware reason",
                    kvm->run->fail_entry.hardware_entry_failure_reason);
    return GO_ON;
}

static enum outcome on_unknown(struct kvm *kvm, enum cpu_exit *exit)
{
    (void)exit;
    fail_with_state(kvm, "the guest was left for a hardware reason that KVM doesn't know",
                    kvm->run->hw.hardware_exit_reason);
    return GO_ON;
}

/* --- The table
 * -----------------------------------------------------------------------------------------------------------
 */

static const struct exit_row {
    const char *name;
    enum outcome (*handle)(struct kvm *kvm, enum cpu_exit *exit);
    bool access; /* finished by the next KVM_RUN */
} exit_rows[KVM_REASONS] = {
    [KVM_EXIT_UNKNOWN] = {"unknown", on_unknown, false},
    [KVM_EXIT_IO] = {"port", on_io, true},
    [KVM_EXIT_DEBUG] = {"breakpoint", on_debug, false},
    [KVM_EXIT_HLT] = {"hlt", on_hlt, false},
    [KVM_EXIT_MMIO] = {"mmio", on_mmio, true},
    [KVM_EXIT_IRQ_WINDOW_OPEN] = {"interrupt window", on_nothing, false},
    [KVM_EXIT_SHUTDOWN] = {"shutdown", on_shutdown, false},
    [KVM_EXIT_FAIL_ENTRY] = {"failed entry", on_fail_entry, false},
    [KVM_EXIT_INTR] = {"signal", on_nothing, false},
    [KVM_EXIT_SET_TPR] = {"cr8", on_nothing, false}, /* cr8 was passed on already */
    [KVM_EXIT_INTERNAL_ERROR] = {"not emulated", on_internal_error, false},
    [KVM_EXIT_IOAPIC_EOI] = {"end of interrupt", on_end_of_interrupt, true},
    [KVM_EXIT_X86_RDMSR] = {"rdmsr", on_rdmsr, true},
    [KVM_EXIT_X86_WRMSR] = {"wrmsr", on_wrmsr, true},
};

bool kvm_is_access(const struct kvm *kvm)
{
    return kvm->run->exit_reason < KVM_REASONS && exit_rows[kvm->run->exit_reason].access;
}

void kvm_access_exit(struct kvm *kvm)
{
    enum cpu_exit exit;

    kvm_exit(kvm, &exit);
}

bool kvm_exit(struct kvm *kvm, enum cpu_exit *exit)
{
    unsigned reason = kvm->run->exit_reason;
    const struct exit_row *row = reason < KVM_REASONS ? &exit_rows[reason] : &exit_rows[KVM_EXIT_UNKNOWN];

    if (reason >= KVM_REASONS || !row->handle) {
        fail_with_state(kvm, "an exit of a kind that Oxbow doesn't know, reason", reason);
        return false;
    }
    kvm->stats.exits[reason]++;
    kvm->completing = row->access;
    return row->handle(kvm, exit) == LEAVE;
}

/* --- --stats
 * ---------------------------------------------------------------------------------------------------------------
 */

void kvm_print_stats(const struct kvm *kvm, FILE *out)
{
    const char *before = "; exits: ";

    fprintf(out, "stats: kvm: %llu entries, %llu signals, %llu interrupts",
            (unsigned long long)kvm->stats.entries, (unsigned long long)kvm->stats.signals,
            (unsigned long long)kvm->stats.interrupts);
    for (unsigned n = 0; n < KVM_REASONS; n++)
        if (kvm->stats.exits[n]) {
            fprintf(out, "%s%llu %s", before, (unsigned long long)kvm->stats.exits[n], exit_rows[n].name);
            before = ", ";
        }
    fprintf(out,
            "\nstats: kvm: %llu times an instruction was not KVM's, %llu executed by the software CPU; %llu "
            "slices of "
            "%s by it\n",
            (unsigned long long)kvm->stats.failures, (unsigned long long)kvm->stats.software,
            (unsigned long long)kvm->stats.unfit, "a state that KVM refuses");
    if (kvm->user_only)
        fprintf(out,
                "stats: kvm: user code only: left for %llu events; the software CPU had %llu stints; page tables read "
                "anew %llu times\n",
                (unsigned long long)kvm->stats.events, (unsigned long long)kvm->stats.stints,
                (unsigned long long)kvm->stats.renewals);
    if (!kvm->stats.failures)
        return;
    fprintf(out, "stats: kvm: not KVM's");
    before = ": ";
    for (unsigned n = 0; n < KVM_OPCODES && kvm->stats.opcode[n].text[0]; n++) {
        fprintf(out, "%s%s %llu", before, kvm->stats.opcode[n].text,
                (unsigned long long)kvm->stats.opcode[n].count);
        before = ", ";
    }
    fputc('\n', out);
}
