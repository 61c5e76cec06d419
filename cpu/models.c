/*
 * models.c - CPU models: what each has, and how "model,+feature,-feature" becomes a CPU's features.
 */
#include <stdio.h>
#include <string.h>

#include "cpu/models.h"

/* Each model has what those before it have; all of them are less than "max". */
#define IN_NONE    0u
#define IN_V3      (1u << MODEL_V3)
#define IN_V2      (1u << MODEL_V2 | IN_V3)
#define IN_DEFAULT (1u << MODEL_DEFAULT | IN_V2)
#define IN_BASE    (1u << MODEL_BASE | IN_DEFAULT)
#define IN_MAX     (1u << MODEL_MAX)

const struct cpu_feature_row cpu_features[F_COUNT] = {
#define EAX                                        0
#define EBX                                        1
#define ECX                                        2
#define EDX                                        3
#define FEATURE(id, name, leaf, subleaf, reg, bit) {name, leaf, subleaf, reg, bit},
#include "cpu/features.def"
#undef FEATURE
};

const struct cpu_model cpu_models[MODEL_COUNT] = {
#define MODEL(id, name, brand, text) {name, brand, text},
#include "cpu/cpu_models.def"
#undef MODEL
};

/* Bit m set: model m has it. 0: not implemented. */
static const uint8_t feature_models[F_COUNT] = {
#define HAS(feature, models) [F_##feature] = (models) | IN_MAX,
#include "cpu/cpu_models.def"
#undef HAS
};

static const bool of_machine[F_COUNT] = {
#define MACHINE(feature) [F_##feature] = true,
#include "cpu/cpu_models.def"
#undef MACHINE
};

static const struct {
    uint8_t feature, needs;
} dependencies[] = {
#define NEEDS(feature, other) {F_##feature, F_##other},
#include "cpu/cpu_models.def"
#undef NEEDS
};
#define DEPENDENCIES (sizeof(dependencies) / sizeof(dependencies[0]))

_Static_assert(F_COUNT <= 256, "features fit into a byte");

/* --- What a model has ---------------------------------------------------------------------------- */

#if defined(__x86_64__)

static void host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    __asm__ volatile("cpuid"
                     : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
                     : "a"(leaf), "c"(subleaf));
}

static bool host_has(const struct cpu_feature_row *row)
{
    uint32_t out[4];

    host_cpuid(row->leaf & 0x80000000, 0, out);
    if (row->leaf > out[0])
        return false;
    host_cpuid(row->leaf, row->subleaf, out);
    return row->leaf == 0 || (out[row->reg] >> row->bit & 1);
}

#define HOST_IS_X86 true

#else

static bool host_has(const struct cpu_feature_row *row)
{
    (void)row;
    return false;
}

#define HOST_IS_X86 false

#endif

bool feature_implemented(unsigned feature)
{
    return feature_models[feature];
}

bool model_has(unsigned model, unsigned feature)
{
    if (model == MODEL_HOST)
        return feature_implemented(feature) && (of_machine[feature] || host_has(&cpu_features[feature]));
    return feature_models[feature] >> model & 1;
}

bool cpu_default_has(const char *name)
{
    for (unsigned f = F_BASE + 1; f < F_COUNT; f++)
        if (!strcmp(cpu_features[f].name, name))
            return model_has(MODEL_DEFAULT, f);
    return false;
}

/* --- Names --------------------------------------------------------------------------------------- */

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
        unsigned d = edit_distance(word, length, cpu_features[f].name);

        if (d < best && d < length) {
            best = d;
            nearest = cpu_features[f].name;
        }
    }
    return nearest;
}

/* Adds to the text in `to`, as far as there is room. */
static void append(char *to, size_t size, const char *before, const char *text)
{
    size_t used = strlen(to);

    snprintf(to + used, size - used, "%s%s", before, text);
}

static int find_model(const char *word, size_t length, char *why, size_t why_size)
{
    unsigned best = 3;
    const char *nearest = NULL;

    for (unsigned m = 0; m < MODEL_COUNT; m++) {
        unsigned d = edit_distance(word, length, cpu_models[m].name);

        if (same_word(word, length, cpu_models[m].name)) {
            if (m != MODEL_HOST || HOST_IS_X86)
                return (int)m;
            snprintf(why, why_size, "CPU model \"host\" needs a host with an x86-64 processor: take \"max\"");
            return -1;
        }
        if (d < best && d < length) {
            best = d;
            nearest = cpu_models[m].name;
        }
    }
    snprintf(why, why_size, "there is no CPU model \"%.*s\": ", (int)length, word);
    if (nearest) {
        append(why, why_size, "did you mean \"", nearest);
        append(why, why_size, "\"?", "");
        return -1;
    }
    append(why, why_size, "the models are", "");
    for (unsigned m = 0; m < MODEL_COUNT; m++)
        append(why, why_size, m == 0 ? " " : m < MODEL_COUNT - 1 ? ", " : " and ", cpu_models[m].name);
    return -1;
}

/* --- Changes to a model -------------------------------------------------------------------------- */

/* One "+feature" or "-feature"; asked[] notes what was added. */
static bool change_feature(struct cpu *cpu, const char *word, size_t length, bool *asked, char *why,
                           size_t why_size)
{
    bool on = word[0] == '+';
    const char *nearest;

    word++;
    length--;
    for (unsigned f = F_BASE + 1; f < F_COUNT; f++) {
        if (!same_word(word, length, cpu_features[f].name))
            continue;
        if (on && !feature_implemented(f)) {
            snprintf(why, why_size, "CPU feature \"%s\" is not implemented in this version: leave it out",
                     cpu_features[f].name);
            return false;
        }
        cpu->feature[f] = on;
        asked[f] = on;
        return true;
    }
    nearest = nearest_feature(word, length);
    if (nearest)
        snprintf(why, why_size, "there is no CPU feature \"%.*s\": did you mean \"%s\"?", (int)length, word,
                 nearest);
    else
        snprintf(why, why_size, "there is no CPU feature \"%.*s\": \"help\" lists them", (int)length, word);
    return false;
}

/* Marks in wanted[] what `f` needs and the CPU is without, directly or through others. */
static void find_needs(const struct cpu *cpu, unsigned f, bool *wanted)
{
    bool again;

    memset(wanted, 0, F_COUNT * sizeof(*wanted));
    do {
        again = false;
        for (unsigned n = 0; n < DEPENDENCIES; n++) {
            unsigned needs = dependencies[n].needs;

            if ((dependencies[n].feature == f || wanted[dependencies[n].feature]) && !cpu->feature[needs] &&
                !wanted[needs])
                again = wanted[needs] = true;
        }
    } while (again);
}

/* Whether all that was asked for has what it needs. */
static bool needs_are_met(const struct cpu *cpu, const bool *asked, char *why, size_t why_size)
{
    bool wanted[F_COUNT];

    for (unsigned f = 0; f < F_COUNT; f++) {
        bool first = true;

        if (!asked[f])
            continue;
        find_needs(cpu, f, wanted);
        for (unsigned n = 0; n < F_COUNT; n++) {
            if (!wanted[n])
                continue;
            if (first)
                snprintf(why, why_size, "CPU feature \"%s\" can't be without what is off here: add ",
                         cpu_features[f].name);
            append(why, why_size, first ? "\"+" : ",+", cpu_features[n].name);
            first = false;
        }
        if (!first) {
            append(why, why_size, "\"", "");
            return false;
        }
    }
    return true;
}

/* What was taken away takes along what can't be without it. */
static void drop_dependents(struct cpu *cpu)
{
    bool again;

    do {
        again = false;
        for (unsigned n = 0; n < DEPENDENCIES; n++) {
            if (cpu->feature[dependencies[n].feature] && !cpu->feature[dependencies[n].needs]) {
                cpu->feature[dependencies[n].feature] = 0;
                again = true;
            }
        }
    } while (again);
}

bool cpuid_set_model(struct cpu *cpu, const char *model, char *why, size_t why_size)
{
    const char *word = model ? model : "";
    uint8_t before[F_COUNT];
    bool asked[F_COUNT] = {false};
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
        cpu->feature[f] = model_has((unsigned)m, f);

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
        if (!change_feature(cpu, word, length, asked, why, why_size))
            goto undo;
    }
    if (!needs_are_met(cpu, asked, why, why_size))
        goto undo;
    drop_dependents(cpu);
    cpu->model = (uint8_t)m;
    return true;

undo:
    memcpy(cpu->feature, before, sizeof(before));
    return false;
}

/* --- The listing --------------------------------------------------------------------------------- */

/* The models from the least to the largest. */
static const uint8_t by_size[] = {MODEL_BASE, MODEL_DEFAULT, MODEL_V2, MODEL_V3, MODEL_MAX, MODEL_HOST};
_Static_assert(sizeof(by_size) == MODEL_COUNT, "each model is listed");

static bool listed(unsigned m)
{
    return m != MODEL_HOST || HOST_IS_X86;
}

void cpu_list_models(FILE *out)
{
    bool none = true;
    int gap;

    for (unsigned n = 0; n < MODEL_COUNT; n++)
        if (listed(by_size[n]))
            fprintf(out, "%-8s %s\n", cpu_models[by_size[n]].name, cpu_models[by_size[n]].text);
    fprintf(out,
            "\nFeatures, to be added or taken away as in \"%s,+NAME,-NAME\", and the models that have "
            "them:\n\n%-16s",
            cpu_models[MODEL_DEFAULT].name, "");
    for (unsigned n = 0; n < MODEL_COUNT; n++)
        if (listed(by_size[n]))
            fprintf(out, " %s", cpu_models[by_size[n]].name);
    for (unsigned f = F_BASE + 1; f < F_COUNT; f++) {
        if (!feature_implemented(f))
            continue;
        fprintf(out, "\n  %-14s", cpu_features[f].name);
        gap = 0;
        for (unsigned n = 0; n < MODEL_COUNT; n++) {
            const struct cpu_model *m = &cpu_models[by_size[n]];

            if (listed(by_size[n]) && model_has(by_size[n], f)) {
                fprintf(out, "%*s x", gap, "");
                gap = -2;
            }
            gap += 1 + (int)strlen(m->name);
        }
    }
    for (unsigned f = F_BASE + 1; f < F_COUNT; f++) {
        if (feature_implemented(f))
            continue;
        fprintf(out, "%s %s", none ? "\n\nNot in this version:" : ",", cpu_features[f].name);
        none = false;
    }
    fputc('\n', out);
}
