/*
 * cpu.c - making, resetting and wiring a processor.
 */
#include <stdlib.h>
#include <string.h>

#include "cpu/history.h"
#include "cpu/interp/flags.h"
#include "cpu/models.h"
#include "cpu/stop.h"

#define DEFAULT_TSC_HZ NS_PER_SEC

static void raise_attention(struct cpu *cpu, uint32_t bit)
{
    atomic_fetch_or(&cpu->attention, bit);
    atomic_store(&cpu->stop_at, 0);
    if (cpu->engine.poke)
        cpu->engine.poke(cpu->engine.data);
    if (cpu->wake)
        cpu->wake(cpu->wake_opaque);
}

/* Decoded code was overwritten: at once when this CPU did it itself, else before its next trace. */
static void code_written(void *opaque, uint64_t addr, uint64_t size)
{
    struct cpu *cpu = opaque;

    if (pthread_equal(cpu->thread, pthread_self()))
        trace_written(cpu, addr, size);
    else
        raise_attention(cpu, ATT_CODE);
}

static void map_changed(void *opaque)
{
    raise_attention(opaque, ATT_MAP);
}

static void tracking_armed(void *opaque, struct region *ram)
{
    (void)ram;
    raise_attention(opaque, ATT_TRACK);
}

/* The same numbers in every run (Steele, Lea, Flood: SplitMix). */
static uint64_t counted_random(void *opaque)
{
    struct cpu *cpu = opaque;
    uint64_t z = ++cpu->random_count * 0x9e3779b97f4a7c15ull + cpu->id;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

struct cpu *cpu_new(const struct cpu_config *config, char *why, size_t why_size)
{
    struct cpu *cpu;

    if (posix_memalign((void **)&cpu, 4096, sizeof(*cpu))) {
        snprintf(why, why_size, "not enough memory for a CPU");
        return NULL;
    }
    memset(cpu, 0, sizeof(*cpu));
    cpu->id = config->id;
    cpu->count = config->count ? config->count : 1;
    cpu->memory = config->memory;
    cpu->ports = config->ports;
    cpu->clock = config->clock;
    cpu->lock = config->lock;
    cpu->log = config->log;
    cpu->intc = config->intc;
    cpu->random = config->random ? config->random : counted_random;
    cpu->random_opaque = config->random ? config->random_opaque : cpu;
    cpu->tsc_hz = config->tsc_hz ? config->tsc_hz : DEFAULT_TSC_HZ;
    cpu->a20_mask = UINT64_MAX;
    cpu->a20 = true;
    cpu->fault.vector = -1;
    cpu->fetch_page = NO_PAGE;
    cpu->link_gen = cpu->code_gen = 1;
    cpu->thread = pthread_self();
    for (unsigned n = 0; n < 16; n++)
        cpu->small[n] = n;
    if (!cpuid_set_model(cpu, config->model, why, why_size)) {
        free(cpu);
        return NULL;
    }
    cpu->decoder = decoder_new(cpu);
    if (!cpu->decoder || !trace_cache_new(cpu) || !tlb_new(cpu) || !history_new(cpu)) {
        snprintf(why, why_size, "not enough memory for a CPU");
        cpu_free(cpu);
        return NULL;
    }
    cpu->listener = (struct bus_listener){.map_changed = map_changed,
                                          .code_written = code_written,
                                          .tracking_armed = tracking_armed,
                                          .opaque = cpu};
    bus_listen(cpu->memory, &cpu->listener);
    cpu_reset(cpu, false);
    return cpu;
}

void cpu_free(struct cpu *cpu)
{
    if (!cpu)
        return;
    if (cpu->engine.release)
        cpu->engine.release(cpu->engine.data);
    if (cpu->listener.opaque)
        bus_unlisten(cpu->memory, &cpu->listener);
    cpu_end_jit(cpu);
    stops_free(cpu);
    history_free(cpu);
    trace_cache_free(cpu);
    tlb_free(cpu);
    decoder_free(cpu->decoder);
    free(cpu);
}

static void reset_segments(struct cpu_state *s)
{
    for (unsigned n = 0; n < SEG_COUNT; n++)
        s->seg[n] = (struct segment){.limit = 0xffff, .attr = SEG_P | SEG_S | SEG_WRITABLE | SEG_ACCESSED};
    s->seg[CS].selector = 0xf000;
    s->seg[CS].base = 0xffff0000;
    s->ldtr = (struct segment){.limit = 0xffff, .attr = SEG_P | 2};
    s->tr = (struct segment){.limit = 0xffff, .attr = SEG_P | 11}; /* busy 32-bit TSS */
    s->gdtr = s->idtr = (struct table_reg){.limit = 0xffff};
}

/* SDM 3A table 10-1: what RESET sets; INIT leaves the FPU, most MSRs and CR0's cache bits. */
void cpu_reset(struct cpu *cpu, bool init)
{
    struct cpu_state *s = &cpu->s, old = *s;
    uint32_t leaf[4];

    memset(s->gpr, 0, sizeof(s->gpr));
    cpuid(cpu, 1, 0, leaf);
    s->gpr[RDX] = leaf[0] & 0x0fff3fff; /* processor signature */
    s->rip = 0xfff0;
    s->rflags = FLAG_1;
    set_arith_flags(cpu, 0);
    reset_segments(s);
    s->cpl = 0;
    s->cr0 = CR0_CD | CR0_NW | CR0_ET;
    if (init)
        s->cr0 = (old.cr0 & (CR0_CD | CR0_NW)) | CR0_ET;
    s->cr2 = s->cr3 = s->cr4 = 0;
    s->efer = 0;
    memset(s->dr, 0, sizeof(s->dr));
    s->dr[6] = 0xffff0ff0;
    s->dr[7] = 0x400;
    s->activity = CPU_RUNNING;
    s->shadow = s->nmi_blocked = s->nmi_pending = s->event_pending = 0;
    s->pending_debug = 0;
    cpu->alone = false;
    stop_forget_exception(cpu, true);
    if (init) {
        /* An application processor then waits for its start-up message. */
        if (cpu->id)
            s->activity = CPU_WAIT_SIPI;
    } else {
        s->xcr0 = 1;
        s->star = s->lstar = s->cstar = s->sfmask = s->kernel_gs_base = 0;
        s->sysenter_cs = s->sysenter_esp = s->sysenter_eip = 0;
        s->pat = 0x0007040600070406ull;
        s->tsc_offset = cpu->tsc_base;
        s->tsc_adjust = s->tsc_aux = 0;
        s->misc_enable = 1;
        s->mtrr_def_type = 0;
        memset(s->mtrr_fixed, 0, sizeof(s->mtrr_fixed));
        memset(s->mtrr_base, 0, sizeof(s->mtrr_base));
        memset(s->mtrr_mask, 0, sizeof(s->mtrr_mask));
        s->mcg_status = s->xss = s->spec_ctrl = 0;
        memset(s->mc_ctl, 0, sizeof(s->mc_ctl));
        memset(s->mc_addr, 0, sizeof(s->mc_addr));
        s->pkru = 0;
        s->kvm_system_time = s->kvm_wall_clock = s->kvm_clock_offset = 0;
        memset(s->st, 0, sizeof(s->st));
        s->fcw = 0x40;
        s->fsw = 0;
        s->fptag = 0xff; /* all valid (zero): FNINIT empties them */
        s->fop = s->fcs = s->fds = 0;
        s->fip = s->fdp = 0;
        s->mxcsr = 0x1f80;
        memset(s->zmm, 0, sizeof(s->zmm));
        memset(s->opmask, 0, sizeof(s->opmask));
        if (cpu->id)
            s->activity = CPU_WAIT_SIPI;
    }
    cpu_push(cpu);
}

struct cpu_state *cpu_state(struct cpu *cpu)
{
    return &cpu->s;
}

void cpu_pull(struct cpu *cpu)
{
    cpu->s.rflags = get_rflags(cpu);
}

void cpu_push(struct cpu *cpu)
{
    set_arith_flags(cpu, (uint32_t)cpu->s.rflags);
    stop_forget_exception(cpu, false);
    tlb_flush_all(cpu);
    cpu->link_gen++;
    update_mode(cpu);
    history_outside(cpu);
}

void cpu_intr(struct cpu *cpu, bool level)
{
    if (level)
        raise_attention(cpu, ATT_INTR);
    else
        atomic_fetch_and(&cpu->attention, ~(uint32_t)ATT_INTR);
}

void cpu_nmi(struct cpu *cpu)
{
    raise_attention(cpu, ATT_NMI);
}

/* There is no system management mode behind SMI# here: it is ignored. */
void cpu_smi(struct cpu *cpu)
{
    log_at(cpu->log, LOG_GUEST, "cpu", "SMI ignored: system management mode is not modelled");
}

void cpu_init(struct cpu *cpu)
{
    raise_attention(cpu, ATT_INIT);
}

void cpu_sipi(struct cpu *cpu, uint8_t vector)
{
    atomic_store(&cpu->sipi_vector, vector);
    raise_attention(cpu, ATT_SIPI);
}

void cpu_a20(struct cpu *cpu, bool enabled)
{
    if (atomic_exchange(&cpu->a20, enabled) != enabled)
        raise_attention(cpu, ATT_A20);
}

void cpu_kick(struct cpu *cpu)
{
    raise_attention(cpu, ATT_KICK);
}

void cpu_on_wake(struct cpu *cpu, void (*fn)(void *opaque), void *opaque)
{
    cpu->wake_opaque = opaque;
    cpu->wake = fn;
}

void cpu_forget_code(struct cpu *cpu)
{
    raise_attention(cpu, ATT_MAP);
}

uint64_t cpu_tlb_invalidations(const struct cpu *cpu)
{
    return cpu->invalidations;
}

uint64_t cpu_instructions(const struct cpu *cpu)
{
    return cpu->retired;
}

void cpu_get_stats(const struct cpu *cpu, struct cpu_stats *stats)
{
    *stats = cpu->stats;
    stats->instructions = cpu->retired;
    jit_get_stats(cpu, &stats->jit);
}

unsigned cpu_code_bits(const struct cpu_state *state)
{
    if ((state->efer & EFER_LMA) && (state->seg[CS].attr & SEG_L))
        return 64;
    return (state->seg[CS].attr & SEG_DB) ? 32 : 16;
}
