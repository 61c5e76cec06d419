/*
 * lapic_print.c - the local APIC's state in words, for people.
 */
#include <inttypes.h>

#include "devices/lapic_internal.h"

static const char *const modes[8] = {
    "fixed", "lowest priority", "SMI", "reserved mode 3", "NMI", "INIT", "SIPI", "ExtINT: as the 8259s say"};

static void print_lvt(const struct lapic *lapic, unsigned n, FILE *out)
{
    static const char *const names[LVTS] = {"timer", "thermal sensor", "performance counters",
                                            "LINT0", "LINT1",          "error"};
    uint32_t lvt = lapic->lvt[n];
    unsigned mode = n == LVT_TIMER || n == LVT_ERROR ? APIC_FIXED : LVT_MODE(lvt);
    bool pin = n == LVT_LINT0 || n == LVT_LINT1;

    fprintf(out, "  %-20s ", names[n]);
    if (mode == APIC_FIXED || mode == APIC_LOWEST)
        fprintf(out, "vector %02" PRIx32, LVT_VECTOR(lvt));
    else
        fprintf(out, "%s", modes[mode]);
    if (pin)
        fprintf(out, ", %s, the pin is %s", lvt & LVT_LEVEL ? "level" : "edge",
                lapic->lint[n - LVT_LINT0] ? "high" : "low");
    fprintf(out, "%s%s\n", lvt & LVT_MASKED ? ", masked" : "",
            lvt & LVT_REMOTE_IRR ? ", waits for its end of interrupt" : "");
}

static void print_timer(const struct lapic *lapic, FILE *out)
{
    static const char *const timer_modes[4] = {"once", "periodic", "by TSC deadline", "in a reserved mode"};
    unsigned mode = LVT_TIMER_MODE(lapic->lvt[LVT_TIMER]),
             by = (lapic->divide & 3) | (lapic->divide >> 1 & 4);

    fprintf(out, "Timer: %s, ", timer_modes[mode]);
    if (mode == 2)
        fprintf(out, lapic->deadline_raw ? "armed for TSC %" PRIu64 "\n" : "not armed\n",
                lapic->deadline_raw);
    else
        fprintf(out, "%" PRIu32 " of %" PRIu32 ", a count every %u ns\n", lapic_timer_current(lapic),
                lapic->initial, by == 7 ? 1 : 2u << by);
}

static void print_set(const char *title, const uint32_t set[8], const uint32_t *level, FILE *out)
{
    unsigned count = 0;

    fprintf(out, "%s:", title);
    for (unsigned vector = 0; vector < 256; vector++) {
        if (!(set[vector >> 5] >> (vector & 31) & 1))
            continue;
        fprintf(out, " %02x%s", vector, level[vector >> 5] >> (vector & 31) & 1 ? " (level)" : "");
        count++;
    }
    fprintf(out, count ? "\n" : " none\n");
}

void lapic_print(const struct lapic *lapic, FILE *out)
{
    bool x2apic = lapic_in_x2apic(lapic);

    fprintf(out, "Local APIC %" PRIu32 ": ", lapic->id);
    if (!lapic_enabled(lapic)) {
        fprintf(out, "switched off by IA32_APIC_BASE; LINT0 is the processor's INTR pin, which is %s\n",
                lapic->lint[0] ? "high" : "low");
        return;
    }
    fprintf(out, x2apic ? "x2APIC mode, by MSRs" : "xAPIC mode, registers at %" PRIx64,
            lapic->base & ~(uint64_t)(LAPIC_SIZE - 1));
    fprintf(out, "; %s\n",
            lapic->svr & SVR_ENABLE ? "enabled"
                                    : "disabled by software: takes no fixed interrupts, LVT masked");
    fprintf(out, "Logical ID %" PRIx32 "%s; spurious vector %02" PRIx32 "\n",
            x2apic ? lapic_x2apic_ldr(lapic) : lapic->ldr >> 24,
            x2apic                   ? ", as x2APIC has it"
            : lapic->dfr >> 28 == 15 ? ", flat model"
                                     : ", cluster model",
            lapic->svr & 0xFF);
    fprintf(out,
            "Task priority %02" PRIx32 ", so that with what is in service vectors above %02x get through\n",
            lapic->tpr & 0xFF, lapic_ppr(lapic) | 15);
    print_set("Pending", lapic->irr, lapic->tmr, out);
    print_set("In service", lapic->isr, lapic->tmr, out);
    fprintf(out, "INTR to the processor is %s\n", lapic->intr ? "high" : "low");
    print_timer(lapic, out);
    fprintf(out, "Local vector table:\n");
    for (unsigned n = 0; n < LVTS; n++)
        print_lvt(lapic, n, out);
    if (lapic->esr | lapic->errors)
        fprintf(out, "Errors: %02" PRIx32 ", and since ESR was last written %02" PRIx32 "\n", lapic->esr,
                lapic->errors);
}
