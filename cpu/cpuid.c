/*
 * cpuid.c - what the processor says of itself: models, feature lists, the leaves of CPUID.
 *
 * The processor calls itself an AMD of family 0x19: systems find there what this one has (x2APIC, TSC
 * deadline under a hypervisor's flag, no Meltdown, no chip errata to work around), and the leaves that say
 * "not vulnerable" are there too, truthfully, since nothing here is speculated. Leaves follow AMD APM 3
 * appendix E.
 */
#include <stdio.h>
#include <string.h>

#include "cpu/system.h"

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

enum model_id { MODEL_DEFAULT, MODEL_BASE, MODEL_MAX, MODEL_COUNT };

#define IN_NONE    0u
#define IN_DEFAULT (1u << MODEL_DEFAULT)
#define IN_BASE    (1u << MODEL_BASE)
#define IN_MAX     (1u << MODEL_MAX)

static const struct cpu_feature_row {
    const char *name;
    uint32_t leaf;
    uint8_t subleaf, reg, bit;
} feature_rows[F_COUNT] = {
#define FEATURE(id, name, leaf, subleaf, reg, bit) {name, leaf, subleaf, reg, bit},
#include "cpu/features.def"
#undef FEATURE
};

/* Bit m set: model m has it. 0: not implemented. */
static const uint8_t feature_models[F_COUNT] = {
#define HAS(feature, models) [F_##feature] = (models) | IN_MAX,
#include "cpu/cpu_models.def"
#undef HAS
};

static const struct model {
    const char *name, *brand, *text;
} models[MODEL_COUNT] = {
#define MODEL(name, brand, text) {name, brand, text},
#include "cpu/cpu_models.def"
#undef MODEL
};

static const struct {
    uint8_t feature, needs;
} dependencies[] = {
#define NEEDS(feature, other) {F_##feature, F_##other},
#include "cpu/cpu_models.def"
#undef NEEDS
};

/* --- Choosing a model -------------------------------------------------------------------------------------
 */

/* Edits (one letter changed, added, dropped) between two short words; words too long to matter count as far
 * apart. */
static unsigned edit_distance(const char *a, size_t a_length, const char *b)
{
    size_t b_length = strlen(b);
    unsigned row[32];

    if (a_length >= 32 || b_length >= 32)
        return 32;
    for (size_t j = 0; j <= b_length; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= a_length; i++) {
        unsigned diagonal = row[0]++;

        for (size_t j = 1; j <= b_length; j++) {
            unsigned best = diagonal + (a[i - 1] != b[j - 1]);

            diagonal = row[j];
            if (best > row[j] + 1)
                best = row[j] + 1;
            if (best > row[j - 1] + 1)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b_length];
}

static bool same_word(const char *word, size_t length, const char *name)
{
    return strlen(name) == length && memcmp(word, name, length) == 0;
}

static const char *nearest_feature(const char *word, size_t length)
{
    unsigned best = 3;
    const char *nearest = NULL;

    for (unsigned f = F_BASE + 1; f < F_COUNT; f++) {
        unsigned d = edit_distance(word, length, feature_rows[f].name);

        if (d < best && d < length) {
            best = d;
            nearest = feature_rows[f].name;
        }
    }
    return nearest;
}

static int find_model(const char *word, size_t length, char *why, size_t why_size)
{
    unsigned best = 4;
    const char *nearest = NULL;

    for (unsigned m = 0; m < MODEL_COUNT; m++) {
        unsigned d = edit_distance(word, length, models[m].name);

        if (same_word(word, length, models[m].name))
            return (int)m;
        if (d < best && d < length) {
            best = d;
            nearest = models[m].name;
        }
    }
    if (nearest)
        snprintf(why, why_size, "there is no CPU model \"%.*s\": did you mean \"%s\"?", (int)length, word,
                 nearest);
    else
        snprintf(why, why_size, "there is no CPU model \"%.*s\": the models are %s, %s and %s", (int)length,
                 word, models[0].name, models[1].name, models[2].name);
    return -1;
}

/* One "+feature" or "-feature". */
static bool change_feature(struct cpu *cpu, const char *word, size_t length, char *why, size_t why_size)
{
    bool on = word[0] == '+';
    const char *nearest;

    word++;
    length--;
    for (unsigned f = F_BASE + 1; f < F_COUNT; f++) {
        if (!same_word(word, length, feature_rows[f].name))
            continue;
        if (on && !feature_models[f]) {
            snprintf(why, why_size, "CPU feature \"%s\" is not implemented in this version: leave it out",
                     feature_rows[f].name);
            return false;
        }
        cpu->feature[f] = on;
        return true;
    }
    nearest = nearest_feature(word, length);
    if (nearest)
        snprintf(why, why_size, "there is no CPU feature \"%.*s\": did you mean \"%s\"?", (int)length, word,
                 nearest);
    else
        snprintf(why, why_size, "there is no CPU feature \"%.*s\"", (int)length, word);
    return false;
}

/* What was taken away takes along what can't be without it. */
static void drop_dependents(struct cpu *cpu)
{
    bool again;

    do {
        again = false;
        for (unsigned n = 0; n < sizeof(dependencies) / sizeof(dependencies[0]); n++) {
            if (cpu->feature[dependencies[n].feature] && !cpu->feature[dependencies[n].needs]) {
                cpu->feature[dependencies[n].feature] = 0;
                again = true;
            }
        }
    } while (again);
}

/*
 * Sets cpu->feature[] and cpu->model from "model", "model,+feature,-feature" or changes to the default alone;
 * NULL is the default. False with a sentence in `why`, and the features as they were.
 */
bool cpuid_set_model(struct cpu *cpu, const char *model, char *why, size_t why_size)
{
    const char *word = model ? model : "";
    uint8_t before[F_COUNT];
    int m = MODEL_DEFAULT;
    size_t length = strcspn(word, ",");

    if (length && word[0] != '+' && word[0] != '-') {
        m = find_model(word, length, why, why_size);
        if (m < 0)
            return false;
        word += length;
    }
    memcpy(before, cpu->feature, sizeof(before));
    for (unsigned f = 0; f < F_COUNT; f++)
        cpu->feature[f] = feature_models[f] >> m & 1;

    for (; *word; word += length) {
        word += *word == ',';
        length = strcspn(word, ",");
        if (length == 0)
            continue;
        if (word[0] != '+' && word[0] != '-') {
            snprintf(why, why_size, "CPU model \"%s\": \"%.*s\" must be \"+%.*s\" or \"-%.*s\"", model,
                     (int)length, word, (int)length, word, (int)length, word);
            goto undo;
        }
        if (!change_feature(cpu, word, length, why, why_size))
            goto undo;
    }
    drop_dependents(cpu);
    cpu->model = (uint8_t)m;
    return true;

undo:
    memcpy(cpu->feature, before, sizeof(before));
    return false;
}

void cpu_list_models(FILE *out)
{
    unsigned column = 0;

    for (unsigned m = 0; m < MODEL_COUNT; m++)
        fprintf(out, "%-8s %s\n", models[m].name, models[m].text);
    fprintf(out, "\nFeatures, to be added or taken away as in \"%s,+NAME,-NAME\":\n", models[0].name);
    for (unsigned f = F_BASE + 1; f < F_COUNT; f++) {
        unsigned length = (unsigned)strlen(feature_rows[f].name) + 1;

        if (!feature_models[f])
            continue;
        if (column && column + length > 78) {
            fputc('\n', out);
            column = 0;
        }
        fprintf(out, "%s%s", column ? " " : "  ", feature_rows[f].name);
        column += length + (column ? 0 : 2);
    }
    fputc('\n', out);
}

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
        const struct cpu_feature_row *row = &feature_rows[f];

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

    snprintf(text, sizeof(text), "%s", models[cpu->model].brand);
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
    out[EAX] = phys_bits(cpu) | (has_feature(cpu, F_LM) ? 48u : 32u) << 8;
    out[EBX] = 1u << 26 | 1u << 29; /* SsbdNotRequired, BtcNo */
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
        break;
    case 0xb:
        if (has_feature(cpu, F_X2APIC))
            leaf_topology(cpu, subleaf, out);
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
    } else if (leaf == 0x40000000 && has_feature(cpu, F_HYPERVISOR)) {
        out[EAX] = MAX_HYPERVISOR;
        put_text(&out[EBX], "OxbowOxbow\0", 12);
    }
}
