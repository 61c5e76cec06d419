/*
 * cpuid.c - what the processor says of itself: the leaves of CPUID. What the models are is in models.c.
 *
 * The processor calls itself an AMD of family 0x19: systems find there what this one has (x2APIC, TSC
 * deadline under a hypervisor's flag, no Meltdown, no chip errata to work around), and the leaves that say
 * "not vulnerable" are there too, truthfully, since nothing here is speculated. Leaves follow AMD APM 3
 * appendix E.
 */
#include <stdio.h>
#include <string.h>

#include "cpu/models.h"
#include "cpu/system.h"
#include "cpu/xsave.h"

#define FAMILY   0x19u
#define MODEL_ID 0x01u
#define STEPPING 1u
/* SDM 2A CPUID figure 3-6: extended family 27:20, extended model 19:16, family 11:8, model 7:4. */
#define SIGNATURE ((FAMILY - 15) << 20 | (MODEL_ID >> 4) << 16 | 15u << 8 | (MODEL_ID & 15) << 4 | STEPPING)

#define MAX_BASIC      0x0000000du
#define MAX_EXTENDED   0x80000021u
#define MAX_HYPERVISOR 0x40000000u
#define CACHE_LINE     64u

enum { EAX, EBX, ECX, EDX };

/* --- Leaves -----------------------------------------------------------------------------------------------
 */

unsigned phys_bits(const struct cpu *cpu)
{
    return has_feature(cpu, F_LM) ? 40 : has_feature(cpu, F_PAE) || has_feature(cpu, F_PSE36) ? 36 : 32;
}

/* Bits of an APIC id that tell CPUs of the package apart. */
static unsigned id_bits(const struct cpu *cpu)
{
    unsigned bits = 0;

    while (bits < 8 && 1u << bits < cpu->count)
        bits++;
    return bits;
}

static void feature_bits(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    for (unsigned f = F_BASE + 1; f < F_COUNT; f++) {
        const struct cpu_feature_row *row = &cpu_features[f];

        if (row->leaf == leaf && row->subleaf == subleaf && cpu->feature[f])
            out[row->reg] |= 1u << row->bit;
    }
}

static void put_text(uint32_t *out, const char *text, size_t size)
{
    memcpy(out, text, size);
}

/* Leaf 0 and its extended twin: the highest leaf, and the vendor in EBX, EDX, ECX. */
static void leaf_vendor(uint32_t highest, uint32_t out[4])
{
    out[EAX] = highest;
    put_text(&out[EBX], "Auth", 4);
    put_text(&out[EDX], "enti", 4);
    put_text(&out[ECX], "cAMD", 4);
}

/* EDX of leaf 1 follows the APIC's global enable (SDM 3A 11.4.3). */
static uint32_t live_edx(struct cpu *cpu, uint32_t edx)
{
    if (has_feature(cpu, F_APIC) && !(apic_base(cpu) & 1u << 11))
        edx &= ~(1u << 9);
    return edx;
}

static void leaf_1(struct cpu *cpu, uint32_t out[4])
{
    out[EAX] = SIGNATURE;
    out[EBX] = (cpu->id & 0xff) << 24 | (cpu->count > 255 ? 255 : cpu->count) << 16 | CACHE_LINE / 8 << 8;
    feature_bits(cpu, 1, 0, out);
    if (cpu->s.cr4 & CR4_OSXSAVE)
        out[ECX] |= 1u << 27;
    if (cpu->count > 1)
        out[EDX] |= 1u << 28; /* more than one CPU in the package */
    out[EDX] = live_edx(cpu, out[EDX]);
}

/* Topology: a thread a core, and all cores in one package. */
static void leaf_topology(const struct cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    out[ECX] = subleaf & 0xff;
    out[EDX] = cpu->id;
    if (subleaf == 0) {
        out[EAX] = 0;
        out[EBX] = 1;
        out[ECX] |= 1u << 8; /* threads */
    } else if (subleaf == 1) {
        out[EAX] = id_bits(cpu);
        out[EBX] = cpu->count;
        out[ECX] |= 2u << 8; /* cores */
    }
}

static void leaf_extended_features(struct cpu *cpu, uint32_t out[4])
{
    /* AMD repeats there what leaf 1 EDX says: these bits. */
    const uint32_t repeated = 0x0183f3ff;
    uint32_t one[4] = {0};

    out[EAX] = SIGNATURE;
    feature_bits(cpu, 0x80000001, 0, out);
    feature_bits(cpu, 1, 0, one);
    out[EDX] |= live_edx(cpu, one[EDX]) & repeated;
    if (cpu->count > 1)
        out[ECX] |= 1u << 1; /* CmpLegacy: the package's CPUs are cores */
}

static void leaf_brand(const struct cpu *cpu, unsigned part, uint32_t out[4])
{
    char text[48] = {0};

    snprintf(text, sizeof(text), "%s", cpu_models[cpu->model].brand);
    put_text(out, text + 16 * part, 16);
}

/* The caches: level, type (1 data, 2 code, 3 both), KiB, ways; whether all CPUs share one. */
static const struct cache {
    uint8_t level, type;
    uint16_t ways;
    uint32_t kib;
    bool shared;
} caches[] = {
    {1, 1, 8, 32, false},
    {1, 2, 8, 32, false},
    {2, 3, 8, 512, false},
    {3, 3, 16, 16384, true},
};

static void leaf_cache(const struct cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    const struct cache *c;

    if (!has_feature(cpu, F_TOPOEXT) || subleaf >= sizeof(caches) / sizeof(caches[0]))
        return;
    c = &caches[subleaf];
    out[EAX] = c->type | (uint32_t)c->level << 5 | 1u << 8 | (c->shared ? (cpu->count - 1) & 0xfff : 0) << 14;
    out[EBX] = (CACHE_LINE - 1) | (uint32_t)(c->ways - 1) << 22;
    out[ECX] = c->kib * 1024 / (c->ways * CACHE_LINE) - 1;
}

static void leaf_core(const struct cpu *cpu, uint32_t out[4])
{
    if (!has_feature(cpu, F_TOPOEXT))
        return;
    out[EAX] = cpu->id;
    out[EBX] = cpu->id & 0xff; /* core; one thread in it */
}

/* The same caches in the older form, and TLBs: APM 3 E.4.4, E.4.5. */
static void leaf_l1(uint32_t out[4])
{
    out[EAX] = out[EBX] = 0xff40ff40; /* 64 entries each, fully associative */
    out[ECX] = out[EDX] = 32u << 24 | 8u << 16 | 1u << 8 | CACHE_LINE;
}

static void leaf_l2(uint32_t out[4])
{
    out[EAX] = out[EBX] = 0x68006800;                        /* 2048 entries, 8 ways */
    out[ECX] = 512u << 16 | 6u << 12 | 1u << 8 | CACHE_LINE; /* 6: 8 ways */
    out[EDX] = 32u << 18 | 8u << 12 | 1u << 8 | CACHE_LINE;  /* 32 times 512 KiB, 8: 16 ways */
}

static void leaf_sizes(const struct cpu *cpu, uint32_t out[4])
{
    unsigned linear_bits = has_feature(cpu, F_LA57) ? 57 : has_feature(cpu, F_LM) ? 48 : 32;

    out[EAX] = phys_bits(cpu) | linear_bits << 8;
    out[EBX] |= 1u << 2 | 1u << 26 | 1u << 29; /* RstrFpErrPtrs, SsbdNotRequired, BtcNo */
    out[ECX] = id_bits(cpu) << 12 | ((cpu->count - 1) & 0xff);
}

static void leaf_basic(struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    switch (leaf) {
    case 0:
        leaf_vendor(MAX_BASIC, out);
        break;
    case 1:
        leaf_1(cpu, out);
        break;
    case 6:
        if (has_feature(cpu, F_APIC))
            out[EAX] = 1u << 2; /* ARAT: the APIC timer never stops */
        break;
    case 7:
        feature_bits(cpu, leaf, subleaf, out);
        if (subleaf == 0 && cpu->s.cr4 & CR4_PKE)
            out[ECX] |= 1u << 4; /* OSPKE */
        break;
    case 0xb:
        if (has_feature(cpu, F_X2APIC))
            leaf_topology(cpu, subleaf, out);
        break;
    case 0xd:
        feature_bits(cpu, leaf, subleaf, out);
        xsave_leaf(cpu, subleaf, out);
        break;
    }
}

static void leaf_extended(struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    switch (leaf) {
    case 0x80000000:
        leaf_vendor(MAX_EXTENDED, out);
        break;
    case 0x80000001:
        leaf_extended_features(cpu, out);
        break;
    case 0x80000002:
    case 0x80000003:
    case 0x80000004:
        leaf_brand(cpu, leaf - 0x80000002, out);
        break;
    case 0x80000005:
        leaf_l1(out);
        break;
    case 0x80000006:
        leaf_l2(out);
        break;
    case 0x80000007:
        feature_bits(cpu, leaf, 0, out);
        break;
    case 0x80000008:
        feature_bits(cpu, leaf, 0, out);
        leaf_sizes(cpu, out);
        break;
    case 0x8000001d:
        leaf_cache(cpu, subleaf, out);
        break;
    case 0x8000001e:
        leaf_core(cpu, out);
        break;
    case 0x80000021:
        /* LFENCE is serialising, null selectors clear the base; not subject to SRSO, nor (ECX) to TSA. */
        out[EAX] = 1u << 2 | 1u << 6 | 1u << 29;
        out[ECX] = 1u << 1 | 1u << 2;
        break;
    }
}

/* AMD: a leaf beyond the last reads as zeros. */
void cpuid(struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    memset(out, 0, 4 * sizeof(out[0]));
    if (leaf <= MAX_BASIC) {
        leaf_basic(cpu, leaf, subleaf, out);
    } else if (leaf >= 0x80000000 && leaf <= MAX_EXTENDED) {
        leaf_extended(cpu, leaf, subleaf, out);
    } else if (leaf >> 8 == 0x400000 && has_feature(cpu, F_KVMCLOCK)) {
        kvmclock_leaf(cpu, leaf, out);
    } else if (leaf == 0x40000000 && has_feature(cpu, F_HYPERVISOR)) {
        out[EAX] = MAX_HYPERVISOR;
        put_text(&out[EBX], "OxbowOxbow\0", 12);
    }
}
