/*
 * outside.c - the processor as engines see it that run the guest elsewhere: its wires, and the parts of it that
 * stay here whoever runs; see cpu.h.
 */
#include "cpu/models.h"

void cpu_set_engine(struct cpu *cpu, const struct cpu_engine *engine)
{
    cpu->engine = *engine;
}

struct cpu_engine *cpu_get_engine(struct cpu *cpu)
{
    return &cpu->engine;
}

void cpu_get_config(const struct cpu *cpu, struct cpu_config *config)
{
    *config = (struct cpu_config){
        .id = cpu->id,
        .count = cpu->count,
        .memory = cpu->memory,
        .ports = cpu->ports,
        .clock = cpu->clock,
        .lock = cpu->lock,
        .log = cpu->log,
        .intc = cpu->intc,
        .tsc_hz = cpu->tsc_hz,
        .random = cpu->random,
        .random_opaque = cpu->random_opaque,
    };
}

unsigned cpu_requests(struct cpu *cpu)
{
    uint32_t bits = atomic_load(&cpu->attention);
    unsigned requests = 0;

    /* These are about what is cached here: nobody else needs to know. */
    if (bits & (ATT_CODE | ATT_MAP | ATT_A20 | ATT_TRACK))
        cpu_take_attention(cpu, bits);
    if (bits & ATT_INTR)
        requests |= CPU_REQUEST_INTR;
    if (bits & ATT_NMI)
        requests |= CPU_REQUEST_NMI;
    if (bits & ATT_INIT || (bits & ATT_SIPI && cpu->s.activity == CPU_WAIT_SIPI))
        requests |= CPU_REQUEST_START;
    if (bits & ATT_KICK)
        requests |= CPU_REQUEST_KICK;
    if (cpu->a20_mask != UINT64_MAX)
        requests |= CPU_REQUEST_A20;
    return requests;
}

void cpu_take_request(struct cpu *cpu, enum cpu_request request)
{
    uint32_t bits = request == CPU_REQUEST_NMI ? ATT_NMI : request == CPU_REQUEST_KICK ? ATT_KICK : 0;

    atomic_fetch_and(&cpu->attention, ~bits);
}

void cpu_start_tsc(struct cpu *cpu, uint64_t tsc)
{
    uint64_t before = cpu->tsc_base;

    cpu->tsc_base = tsc - clock_ns_to_ticks(clock_now(cpu->clock), cpu->tsc_hz);
    cpu->s.tsc_offset += cpu->tsc_base - before;
}

void cpu_cpuid(struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    cpuid(cpu, leaf, subleaf, out);
}

bool cpu_read_msr(struct cpu *cpu, uint32_t index, uint64_t *value)
{
    return get_msr(cpu, index, value);
}

bool cpu_write_msr(struct cpu *cpu, uint32_t index, uint64_t value)
{
    return set_msr(cpu, index, value);
}

const char *cpu_feature_name(uint32_t leaf, uint32_t subleaf, unsigned reg, unsigned bit)
{
    for (unsigned f = F_BASE + 1; f < F_COUNT; f++) {
        const struct cpu_feature_row *row = &cpu_features[f];

        if (row->leaf == leaf && row->subleaf == subleaf && row->reg == reg && row->bit == bit)
            return row->name;
    }
    return NULL;
}
