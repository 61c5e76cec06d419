/*
 * kvm_cpuid.c - what CPUID says to a guest under KVM: what the software CPU says, without the features that
 * this KVM doesn't offer (KVM_GET_SUPPORTED_CPUID). Those of the interrupt controller and the TSC's MSRs are
 * ours, and stay.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "accel/kvm_internal.h"

#define MAX_ENTRIES 100

enum { EAX, EBX, ECX, EDX };

/* Registers that are sets of features, and what of them doesn't depend on KVM. */
static const struct feature_word {
    uint32_t leaf, subleaf;
    unsigned reg;
    uint32_t ours;
} feature_words[] = {
    /* x2APIC and TSC deadline, by MSR exits; OSXSAVE, which KVM keeps up to date; hypervisor */
    {1, 0, ECX, 1u << 21 | 1u << 24 | 1u << 27 | 1u << 31},
    {1, 0, EDX,
     1u << 9 | 1u << 12 | 1u << 14 | 1u << 28}, /* APIC, MTRR, MCA, by exits; HTT: there are several CPUs */
    {7, 0, EBX, 1u << 1},                       /* IA32_TSC_ADJUST */
    {7, 0, ECX, 1u << 4},                       /* OSPKE */
    {7, 0, EDX, 0},
    {7, 1, EAX, 0},
    {0xd, 1, EAX, 0},
    {0x80000001, 0, ECX, 1u << 1 | 1u << 22}, /* CmpLegacy, topology extensions: only said */
    {0x80000001, 0, EDX, 1u << 9 | 1u << 12 | 1u << 14},
    {0x80000007, 0, EDX, 1u << 8}, /* the TSC is invariant here: else it could not be shared */
    {0x80000008, 0, EBX, 1u << 2 | 1u << 26 | 1u << 29},
};

#define FEATURE_WORDS (sizeof(feature_words) / sizeof(feature_words[0]))

/* To be freed; NULL when KVM doesn't say. */
struct kvm_cpuid2 *kvm_cpuid_supported(int device)
{
    struct kvm_cpuid2 *list = calloc(1, sizeof(*list) + 4 * MAX_ENTRIES * sizeof(list->entries[0]));

    if (!list)
        return NULL;
    list->nent = 4 * MAX_ENTRIES;
    if (!ioctl(device, KVM_GET_SUPPORTED_CPUID, list))
        return list;
    free(list);
    return NULL;
}

static uint32_t word_of(const struct kvm_cpuid_entry2 *entry, unsigned reg)
{
    return reg == EAX ? entry->eax : reg == EBX ? entry->ebx : reg == ECX ? entry->ecx : entry->edx;
}

/* A leaf that isn't listed has nothing. */
static uint32_t supported_word(const struct kvm_cpuid2 *list, const struct feature_word *word)
{
    for (unsigned n = 0; n < list->nent; n++)
        if (list->entries[n].function == word->leaf && list->entries[n].index == word->subleaf)
            return word_of(&list->entries[n], word->reg) | word->ours;
    return word->ours;
}

static void append_names(const struct feature_word *word, uint32_t bits, char *names, size_t size)
{
    for (unsigned bit = 0; bit < 32; bit++) {
        const char *name =
            bits >> bit & 1 ? cpu_feature_name(word->leaf, word->subleaf, word->reg, bit) : NULL;
        size_t used = strlen(names);

        if (name)
            snprintf(names + used, size - used, "%s%s", used ? " " : "", name);
    }
}

void kvm_cpuid_lacking(int device, char *names, size_t names_size)
{
    struct kvm_cpuid2 *list = kvm_cpuid_supported(device);

    names[0] = 0;
    for (unsigned n = 0; list && n < FEATURE_WORDS; n++)
        append_names(&feature_words[n], ~supported_word(list, &feature_words[n]), names, names_size);
    free(list);
}

/* --- The guest's
 * ------------------------------------------------------------------------------------------------ */

static void filter(const struct kvm_cpuid2 *list, uint32_t leaf, uint32_t subleaf, uint32_t out[4],
                   char *lost, size_t lost_size)
{
    for (unsigned n = 0; n < FEATURE_WORDS; n++) {
        const struct feature_word *word = &feature_words[n];
        uint32_t had = out[word->reg];

        if (word->leaf != leaf || word->subleaf != subleaf)
            continue;
        out[word->reg] &= supported_word(list, word);
        append_names(word, had & ~out[word->reg], lost, lost_size);
    }
}

/* How many subleaves of a leaf there can be; 0: the leaf has none. */
static unsigned subleaves(uint32_t leaf)
{
    switch (leaf) {
    case 4:
    case 0x8000001d:
        return 8;
    case 7:
        return 2;
    case 0xb:
        return 3;
    case 0xd:
        return 16;
    default:
        return 0;
    }
}

static void add(struct kvm_cpuid2 *mine, uint32_t leaf, uint32_t subleaf, const uint32_t out[4])
{
    if (mine->nent == MAX_ENTRIES)
        return;
    mine->entries[mine->nent++] = (struct kvm_cpuid_entry2){
        .function = leaf,
        .index = subleaf,
        .flags = subleaves(leaf) ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
        .eax = out[EAX],
        .ebx = out[EBX],
        .ecx = out[ECX],
        .edx = out[EDX],
    };
}

static void add_range(struct kvm *kvm, const struct kvm_cpuid2 *list, struct kvm_cpuid2 *mine, uint32_t first,
                      char *lost, size_t lost_size)
{
    uint32_t out[4], last;

    cpu_cpuid(kvm->cpu, first, 0, out);
    last = out[EAX];
    if (last < first || last - first > 0x100)
        return;
    for (uint32_t leaf = first; leaf <= last; leaf++)
        for (uint32_t subleaf = 0; subleaf == 0 || subleaf < subleaves(leaf); subleaf++) {
            cpu_cpuid(kvm->cpu, leaf, subleaf, out);
            filter(list, leaf, subleaf, out, lost, lost_size);
            if (!subleaf || out[EAX] | out[EBX] | out[ECX] | out[EDX])
                add(mine, leaf, subleaf, out);
        }
}

bool kvm_cpuid_setup(struct kvm *kvm, char *why, size_t why_size)
{
    static const uint32_t firsts[] = {0, 0x40000000, 0x80000000};
    struct kvm_cpuid2 *list = kvm_cpuid_supported(kvm->device);
    struct kvm_cpuid2 *mine = calloc(1, sizeof(*mine) + MAX_ENTRIES * sizeof(mine->entries[0]));
    bool done = false;

    snprintf(why, why_size, "KVM_GET_SUPPORTED_CPUID: %s", strerror(errno));
    if (list && mine) {
        for (unsigned n = 0; n < sizeof(firsts) / sizeof(firsts[0]); n++)
            add_range(kvm, list, mine, firsts[n], kvm->lost, sizeof(kvm->lost));
        done = KVM_IOCTL(kvm->fd, KVM_SET_CPUID2, mine, why, why_size);
    }
    if (done && kvm->lost[0])
        log_at(kvm->config.log, LOG_INFO, "kvm", "the guest's processor is without what KVM lacks here: %s",
               kvm->lost);
    free(list);
    free(mine);
    return done;
}

/* Features that a bit of CR4 turns on. */
static const struct {
    uint32_t cr4;
    const char *name;
} enabled_by[] = {
    {CR4_VME | CR4_PVI, "vme"}, {CR4_DE, "de"},     {CR4_PSE, "pse"},           {CR4_PGE, "pge"},
    {CR4_UMIP, "umip"},         {CR4_LA57, "la57"}, {CR4_FSGSBASE, "fsgsbase"}, {CR4_PCIDE, "pcid"},
    {CR4_OSXSAVE, "xsave"},     {CR4_SMEP, "smep"}, {CR4_SMAP, "smap"},         {CR4_PKE, "pku"},
};

static bool names_word(const char *words, const char *word)
{
    size_t length = strlen(word);

    for (const char *at = words; (at = strstr(at, word)) != NULL; at += length)
        if ((at == words || at[-1] == ' ') && (at[length] == ' ' || !at[length]))
            return true;
    return false;
}

bool kvm_cpuid_in_the_way(const struct kvm *kvm, char *why, size_t why_size)
{
    char names[120] = "", option[140] = "";

    for (unsigned n = 0; n < sizeof(enabled_by) / sizeof(enabled_by[0]); n++) {
        size_t used = strlen(names), noted = strlen(option);

        if (!(kvm->s->cr4 & enabled_by[n].cr4) || !names_word(kvm->lost, enabled_by[n].name))
            continue;
        snprintf(names + used, sizeof(names) - used, "%s%s", used ? ", " : "", enabled_by[n].name);
        snprintf(option + noted, sizeof(option) - noted, "%s-%s", noted ? "," : "", enabled_by[n].name);
    }
    snprintf(why, why_size,
             "the guest uses what KVM lacks here: %s; begin with --cpu %s (without --cpu, --accel kvm and "
             "--switch-at ...:kvm "
             "leave such features out)",
             names, option);
    return names[0];
}
