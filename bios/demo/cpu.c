/* cpu.c - what CPUID says. */
#include <stddef.h>

#include "demo.h"

/* Feature bits by leaf and register; "" where a bit has no name worth a word. */
static const char *const leaf1_edx[32] = {
    "fpu",  "vme",  "de",   "pse", "tsc",  "msr", "pae",   "mce", "cx8",   "apic", "",
    "sep",  "mtrr", "pge",  "mca", "cmov", "pat", "pse36", "psn", "clfsh", "",     "ds",
    "acpi", "mmx",  "fxsr", "sse", "sse2", "ss",  "htt",   "tm",  "",      "pbe",
};
static const char *const leaf1_ecx[32] = {
    "sse3",    "pclmulqdq", "dtes64", "monitor", "ds_cpl",     "vmx",    "smx",          "eist", "tm2",
    "ssse3",   "cnxt_id",   "sdbg",   "fma",     "cx16",       "xtpr",   "pdcm",         "",     "pcid",
    "dca",     "sse4_1",    "sse4_2", "x2apic",  "movbe",      "popcnt", "tsc_deadline", "aes",  "xsave",
    "osxsave", "avx",       "f16c",   "rdrand",  "hypervisor",
};
static const char *const leaf7_ebx[32] = {
    "fsgsbase", "tsc_adjust", "sgx",      "bmi1",     "hle",      "avx2",       "",         "smep",
    "bmi2",     "erms",       "invpcid",  "rtm",      "",         "",           "mpx",      "",
    "avx512f",  "avx512dq",   "rdseed",   "adx",      "smap",     "avx512ifma", "",         "clflushopt",
    "clwb",     "pt",         "avx512pf", "avx512er", "avx512cd", "sha",        "avx512bw", "avx512vl",
};
static const char *const leaf7_ecx[32] = {
    "",
    "avx512vbmi",
    "umip",
    "pku",
    "ospke",
    "waitpkg",
    "avx512vbmi2",
    "cet_ss",
    "gfni",
    "vaes",
    "vpclmulqdq",
    "avx512vnni",
    "avx512bitalg",
    "",
    "avx512vpopcntdq",
    "",
    "la57",
    "",
    "",
    "",
    "",
    "",
    "rdpid",
    "",
    "",
    "cldemote",
    "",
    "movdiri",
    "movdir64b",
    "",
    "",
    "",
};
static const char *const extended_edx[32] = {
    "",        "", "", "",         "",        "",       "", "",   "",         "",      "",
    "syscall", "", "", "",         "",        "",       "", "",   "",         "nx",    "",
    "mmxext",  "", "", "fxsr_opt", "pdpe1gb", "rdtscp", "", "lm", "3dnowext", "3dnow",
};
static const char *const extended_ecx[32] = {
    "lahf_lm",
    "cmp_legacy",
    "svm",
    "extapic",
    "cr8_legacy",
    "abm",
    "sse4a",
    "misalignsse",
    "3dnowprefetch",
    "osvw",
    "ibs",
    "xop",
    "skinit",
    "wdt",
    "",
    "lwp",
    "fma4",
    "tce",
    "",
    "",
    "",
    "tbm",
    "topoext",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
};

static void cpuid(uint32_t leaf, uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d)
{
    __asm__ volatile("cpuid" : "=a"(*a), "=b"(*b), "=c"(*c), "=d"(*d) : "0"(leaf), "2"(0));
}

static void show_bits(unsigned *column, uint32_t bits, const char *const names[32])
{
    for (unsigned i = 0; i < 32; i++)
        if ((bits >> i & 1) && names[i][0])
            print_word(column, names[i]);
}

static void show_features(uint32_t basic_max, uint32_t extended_max)
{
    uint32_t a, b, c, d;
    unsigned column = 13;
    print("  %-11s", "features");
    cpuid(1, &a, &b, &c, &d);
    show_bits(&column, d, leaf1_edx);
    show_bits(&column, c, leaf1_ecx);
    if (basic_max >= 7) {
        cpuid(7, &a, &b, &c, &d);
        show_bits(&column, b, leaf7_ebx);
        show_bits(&column, c, leaf7_ecx);
    }
    if (extended_max >= 0x80000001) {
        cpuid(0x80000001, &a, &b, &c, &d);
        show_bits(&column, d, extended_edx);
        show_bits(&column, c, extended_ecx);
    }
    print_word(&column, NULL);
}

static void store(char *text, uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    uint32_t words[4] = {a, b, c, d};
    for (unsigned i = 0; i < 16; i++)
        text[i] = (char)(words[i / 4] >> i % 4 * 8);
}

static void show_name(uint32_t extended_max)
{
    uint32_t a, b, c, d;
    char name[49] = "";
    if (extended_max < 0x80000004)
        return;
    for (unsigned i = 0; i < 3; i++) {
        cpuid(0x80000002 + i, &a, &b, &c, &d);
        store(name + i * 16, a, b, c, d);
    }
    const char *p = name;
    while (*p == ' ')
        p++;
    print("  %-12s%s\n", "name", p);
}

void show_cpu(void)
{
    uint32_t a, b, c, d, basic_max, extended_max;
    char vendor[17] = "";
    cpuid(0, &basic_max, &b, &c, &d);
    store(vendor, b, d, c, 0);
    cpuid(0x80000000, &extended_max, &b, &c, &d);
    heading("Processor");
    print("  %-12s%s\n", "vendor", vendor);
    show_name(extended_max);
    cpuid(1, &a, &b, &c, &d);
    unsigned family = a >> 8 & 15, model = a >> 4 & 15;
    if (family == 6 || family == 15)
        model |= (a >> 16 & 15) << 4;
    if (family == 15)
        family += a >> 20 & 255;
    print("  %-12sfamily %u, model %u, stepping %u\n", "signature", family, model, a & 15);
    if (c >> 31) {
        char hypervisor[17] = "";
        cpuid(0x40000000, &a, &b, &c, &d);
        store(hypervisor, b, c, d, 0);
        print("  %-12s%s\n", "hypervisor", hypervisor);
    }
    if (extended_max >= 0x80000008) {
        cpuid(0x80000008, &a, &b, &c, &d);
        print("  %-12s%u bits physical, %u bits virtual\n", "addresses", a & 255, a >> 8 & 255);
    }
    show_features(basic_max, extended_max);
}
