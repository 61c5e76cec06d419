/*
 * gdb_registers.c - see gdb_registers.h. The features org.gnu.gdb.i386.* and the names and order of what is
 * in them are GDB's (its manual, "i386 Features"); org.oxbow.system is ours.
 */
#include "debug/gdb_registers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum source {
    GPR,
    PC,
    FLAGS,
    SELECTOR,
    BASE,
    ST,
    FPU,
    XMM,
    YMMH,
    MXCSR,
    IP,
    CONTROL,
    DEBUG,
    TABLE, /* n: enum table */
};

enum { FCTRL, FSTAT, FTAG, FISEG, FIOFF, FOSEG, FOOFF, FOP };
enum { C_CR0, C_CR2, C_CR3, C_CR4, C_CR8, C_EFER };
enum { LDTR, LDTR_BASE, TR, TR_BASE, GDT_BASE, GDT_LIMIT, IDT_BASE, IDT_LIMIT };

enum feature { CORE, SSE, AVX, SEGMENTS, SYSTEM, FEATURES };

static const char *const feature_names[FEATURES] = {
    "org.gnu.gdb.i386.core",     "org.gnu.gdb.i386.sse", "org.gnu.gdb.i386.avx",
    "org.gnu.gdb.i386.segments", "org.oxbow.system",
};

struct row {
    const char *name;
    uint8_t feature, bits, source, n;
    const char *type;
};

/* clang-format off */
#define SELECTORS \
    {"cs", CORE, 32, SELECTOR, CS, "int32"}, {"ss", CORE, 32, SELECTOR, SS, "int32"}, \
    {"ds", CORE, 32, SELECTOR, DS, "int32"}, {"es", CORE, 32, SELECTOR, ES, "int32"}, \
    {"fs", CORE, 32, SELECTOR, FS, "int32"}, {"gs", CORE, 32, SELECTOR, GS, "int32"},
#define X87_REGISTER(n) {"st" #n, CORE, 80, ST, n, "i387_ext"},
#define X87 \
    X87_REGISTER(0) X87_REGISTER(1) X87_REGISTER(2) X87_REGISTER(3) \
    X87_REGISTER(4) X87_REGISTER(5) X87_REGISTER(6) X87_REGISTER(7) \
    {"fctrl", CORE, 32, FPU, FCTRL, "int"}, {"fstat", CORE, 32, FPU, FSTAT, "int"}, \
    {"ftag", CORE, 32, FPU, FTAG, "int"}, {"fiseg", CORE, 32, FPU, FISEG, "int"}, \
    {"fioff", CORE, 32, FPU, FIOFF, "int"}, {"foseg", CORE, 32, FPU, FOSEG, "int"}, \
    {"fooff", CORE, 32, FPU, FOOFF, "int"}, {"fop", CORE, 32, FPU, FOP, "int"},
#define XMM_REGISTER(n) {"xmm" #n, SSE, 128, XMM, n, "vec128"},
#define YMM_REGISTER(n) {"ymm" #n "h", AVX, 128, YMMH, n, "uint128"},
#define EIGHT(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#define SIXTEEN(X) EIGHT(X) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define MXCSR_REGISTER {"mxcsr", SSE, 32, MXCSR, 0, "i386_mxcsr"},
#define SYSTEM_REGISTERS \
    {"ip", SYSTEM, 64, IP, 0, "int64"}, \
    {"cs_base", SYSTEM, 64, BASE, CS, "int64"}, {"ss_base", SYSTEM, 64, BASE, SS, "int64"}, \
    {"ds_base", SYSTEM, 64, BASE, DS, "int64"}, {"es_base", SYSTEM, 64, BASE, ES, "int64"}, \
    {"cr0", SYSTEM, 64, CONTROL, C_CR0, "cr0"}, {"cr2", SYSTEM, 64, CONTROL, C_CR2, "int64"}, \
    {"cr3", SYSTEM, 64, CONTROL, C_CR3, "int64"}, {"cr4", SYSTEM, 64, CONTROL, C_CR4, "cr4"}, \
    {"cr8", SYSTEM, 64, CONTROL, C_CR8, "int64"}, {"efer", SYSTEM, 64, CONTROL, C_EFER, "efer"}, \
    {"dr0", SYSTEM, 64, DEBUG, 0, "int64"}, {"dr1", SYSTEM, 64, DEBUG, 1, "int64"}, \
    {"dr2", SYSTEM, 64, DEBUG, 2, "int64"}, {"dr3", SYSTEM, 64, DEBUG, 3, "int64"}, \
    {"dr6", SYSTEM, 64, DEBUG, 6, "int64"}, {"dr7", SYSTEM, 64, DEBUG, 7, "int64"}, \
    {"gdt_base", SYSTEM, 64, TABLE, GDT_BASE, "int64"}, {"gdt_limit", SYSTEM, 32, TABLE, GDT_LIMIT, "int32"}, \
    {"idt_base", SYSTEM, 64, TABLE, IDT_BASE, "int64"}, {"idt_limit", SYSTEM, 32, TABLE, IDT_LIMIT, "int32"}, \
    {"ldtr", SYSTEM, 32, TABLE, LDTR, "int32"}, {"ldtr_base", SYSTEM, 64, TABLE, LDTR_BASE, "int64"}, \
    {"tr", SYSTEM, 32, TABLE, TR, "int32"}, {"tr_base", SYSTEM, 64, TABLE, TR_BASE, "int64"},

static const struct row rows_x86_64[] = {
    {"rax", CORE, 64, GPR, RAX, "int64"}, {"rbx", CORE, 64, GPR, RBX, "int64"},
    {"rcx", CORE, 64, GPR, RCX, "int64"}, {"rdx", CORE, 64, GPR, RDX, "int64"},
    {"rsi", CORE, 64, GPR, RSI, "int64"}, {"rdi", CORE, 64, GPR, RDI, "int64"},
    {"rbp", CORE, 64, GPR, RBP, "data_ptr"}, {"rsp", CORE, 64, GPR, RSP, "data_ptr"},
    {"r8", CORE, 64, GPR, R8, "int64"}, {"r9", CORE, 64, GPR, R9, "int64"},
    {"r10", CORE, 64, GPR, R10, "int64"}, {"r11", CORE, 64, GPR, R11, "int64"},
    {"r12", CORE, 64, GPR, R12, "int64"}, {"r13", CORE, 64, GPR, R13, "int64"},
    {"r14", CORE, 64, GPR, R14, "int64"}, {"r15", CORE, 64, GPR, R15, "int64"},
    {"rip", CORE, 64, PC, 0, "code_ptr"}, {"eflags", CORE, 32, FLAGS, 0, "i386_eflags"},
    SELECTORS
    X87
    SIXTEEN(XMM_REGISTER)
    MXCSR_REGISTER
    SIXTEEN(YMM_REGISTER)
    {"fs_base", SEGMENTS, 64, BASE, FS, "int64"}, {"gs_base", SEGMENTS, 64, BASE, GS, "int64"},
    SYSTEM_REGISTERS
};

static const struct row rows_i386[] = {
    {"eax", CORE, 32, GPR, RAX, "int32"}, {"ecx", CORE, 32, GPR, RCX, "int32"},
    {"edx", CORE, 32, GPR, RDX, "int32"}, {"ebx", CORE, 32, GPR, RBX, "int32"},
    {"esp", CORE, 32, GPR, RSP, "data_ptr"}, {"ebp", CORE, 32, GPR, RBP, "data_ptr"},
    {"esi", CORE, 32, GPR, RSI, "int32"}, {"edi", CORE, 32, GPR, RDI, "int32"},
    {"eip", CORE, 32, PC, 0, "code_ptr"}, {"eflags", CORE, 32, FLAGS, 0, "i386_eflags"},
    SELECTORS
    X87
    EIGHT(XMM_REGISTER)
    MXCSR_REGISTER
    EIGHT(YMM_REGISTER)
    {"fs_base", SYSTEM, 64, BASE, FS, "int64"}, {"gs_base", SYSTEM, 64, BASE, GS, "int64"},
    SYSTEM_REGISTERS
};
/* clang-format on */

static const struct {
    const char *name;
    const struct row *rows;
    unsigned count;
} archs[GDB_ARCHS] = {
    {"i386:x86-64", rows_x86_64, sizeof(rows_x86_64) / sizeof(rows_x86_64[0])},
    {"i386", rows_i386, sizeof(rows_i386) / sizeof(rows_i386[0])},
};

/* --- Values --------------------------------------------------------------------------------------- */

static bool code_is_64(const struct cpu_state *s)
{
    return cpu_code_bits(s) == 64;
}

uint64_t gdb_pc(const struct cpu_state *s)
{
    return code_is_64(s) ? s->rip : (uint32_t)(s->seg[CS].base + s->rip);
}

void gdb_set_pc(struct cpu_state *s, uint64_t linear)
{
    s->rip = code_is_64(s) ? linear : (uint32_t)(linear - s->seg[CS].base);
}

/* As the tag word has it: 0 valid, 1 zero, 2 special, 3 empty (SDM 1 8.1.7). */
static unsigned full_tag(const struct cpu_state *s)
{
    unsigned word = 0;

    for (unsigned n = 0; n < 8; n++) {
        const struct f80 *r = &s->st[n];
        unsigned exponent = r->exponent & 0x7fff, tag = 0;

        if (!(s->fptag >> n & 1))
            tag = 3;
        else if (!exponent && !r->mantissa)
            tag = 1;
        else if (!exponent || exponent == 0x7fff || !(r->mantissa >> 63))
            tag = 2;
        word |= tag << 2 * n;
    }
    return word;
}

static uint64_t fpu_value(const struct cpu_state *s, unsigned n)
{
    switch (n) {
    case FCTRL:
        return s->fcw;
    case FSTAT:
        return s->fsw;
    case FTAG:
        return full_tag(s);
    case FISEG:
        return s->fcs;
    case FIOFF:
        return s->fip;
    case FOSEG:
        return s->fds;
    case FOOFF:
        return s->fdp;
    default:
        return s->fop;
    }
}

static void set_fpu(struct cpu_state *s, unsigned n, uint32_t value)
{
    switch (n) {
    case FCTRL:
        s->fcw = (uint16_t)((value & 0x1f3f) | 0x40);
        break;
    case FSTAT:
        s->fsw = (uint16_t)value;
        break;
    case FTAG:
        s->fptag = 0;
        for (unsigned k = 0; k < 8; k++)
            s->fptag |= (uint8_t)(((value >> 2 * k & 3) != 3) << k);
        break;
    case FISEG:
        s->fcs = (uint16_t)value;
        break;
    case FIOFF:
        s->fip = value;
        break;
    case FOSEG:
        s->fds = (uint16_t)value;
        break;
    case FOOFF:
        s->fdp = value;
        break;
    default:
        s->fop = value & 0x7ff;
    }
    /* ES and B say whether an unmasked exception is pending (SDM 1 8.1.3.3). */
    s->fsw &= 0x7f7f;
    if (s->fsw & ~s->fcw & 0x3f)
        s->fsw |= 0x8080;
}

static uint64_t cr8(struct cpu *cpu)
{
    struct cpu_config config;
    uint64_t value;

    cpu_get_config(cpu, &config);
    if (!config.intc.ops || !config.intc.ops->get_cr8)
        return 0;
    pthread_mutex_lock(config.lock);
    value = config.intc.ops->get_cr8(config.intc.opaque);
    pthread_mutex_unlock(config.lock);
    return value;
}

static uint64_t control_value(struct cpu *cpu, unsigned n)
{
    const struct cpu_state *s = cpu_state(cpu);

    switch (n) {
    case C_CR0:
        return s->cr0;
    case C_CR2:
        return s->cr2;
    case C_CR3:
        return s->cr3;
    case C_CR4:
        return s->cr4;
    case C_CR8:
        return cr8(cpu);
    default:
        return s->efer;
    }
}

static uint64_t table_value(const struct cpu_state *s, unsigned n)
{
    switch (n) {
    case LDTR:
        return s->ldtr.selector;
    case LDTR_BASE:
        return s->ldtr.base;
    case TR:
        return s->tr.selector;
    case TR_BASE:
        return s->tr.base;
    case GDT_BASE:
        return s->gdtr.base;
    case GDT_LIMIT:
        return s->gdtr.limit;
    case IDT_BASE:
        return s->idtr.base;
    default:
        return s->idtr.limit;
    }
}

static struct f80 *st_of(struct cpu_state *s, unsigned n)
{
    return &s->st[((s->fsw >> 11) + n) & 7];
}

static uint64_t value_of(struct cpu *cpu, const struct row *row)
{
    const struct cpu_state *s = cpu_state(cpu);

    switch (row->source) {
    case GPR:
        return s->gpr[row->n];
    case PC:
        return gdb_pc(s);
    case FLAGS:
        return s->rflags;
    case SELECTOR:
        return s->seg[row->n].selector;
    case BASE:
        return s->seg[row->n].base;
    case FPU:
        return fpu_value(s, row->n);
    case MXCSR:
        return s->mxcsr;
    case IP:
        return s->rip;
    case CONTROL:
        return control_value(cpu, row->n);
    case DEBUG:
        return s->dr[row->n];
    default:
        return table_value(s, row->n);
    }
}

unsigned gdb_register_count(enum gdb_arch arch)
{
    return archs[arch].count;
}

size_t gdb_register_size(enum gdb_arch arch, unsigned n)
{
    return archs[arch].rows[n].bits / 8;
}

size_t gdb_register_get(enum gdb_arch arch, struct cpu *cpu, unsigned n, uint8_t out[GDB_REGISTER_MAX])
{
    const struct row *row = &archs[arch].rows[n];
    struct cpu_state *s = cpu_state(cpu);
    uint64_t value;

    switch (row->source) {
    case ST:
        memcpy(out, &st_of(s, row->n)->mantissa, 8);
        memcpy(out + 8, &st_of(s, row->n)->exponent, 2);
        break;
    case XMM:
        memcpy(out, s->zmm[row->n].u8, 16);
        break;
    case YMMH:
        memcpy(out, s->zmm[row->n].u8 + 16, 16);
        break;
    default:
        value = value_of(cpu, row);
        memcpy(out, &value, row->bits / 8);
    }
    return row->bits / 8;
}

/* The hidden part stays, except where it follows from the selector. */
static void set_selector(struct cpu_state *s, unsigned n, uint16_t selector)
{
    s->seg[n].selector = selector;
    if (!(s->cr0 & CR0_PE) || s->rflags & FLAG_VM)
        s->seg[n].base = (uint64_t)selector << 4;
}

static bool set_control(struct cpu_state *s, unsigned n, uint64_t value)
{
    if (n == C_CR2)
        s->cr2 = value;
    else if (n == C_CR3 && !(value >> 52))
        s->cr3 = value;
    else
        return false;
    return true;
}

/* Bits that a program can set; VM is left as it is, since what goes with it doesn't change. */
#define FLAGS_WRITABLE                                                                                       \
    (FLAGS_ARITH | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_IOPL | FLAG_NT | FLAG_RF | FLAG_AC | FLAG_VIF |        \
     FLAG_VIP | FLAG_ID)
#define DR6_WRITABLE 0xe00fu
#define DR6_ONES     0xffff0ff0u
#define DR7_WRITABLE 0xffff23ffu
#define DR7_ONES     0x400u

static void set_debug(struct cpu_state *s, unsigned n, uint64_t value)
{
    if (n == 6)
        value = (value & DR6_WRITABLE) | DR6_ONES;
    else if (n == 7)
        value = (value & DR7_WRITABLE) | DR7_ONES;
    s->dr[n] = value;
}

bool gdb_register_set(enum gdb_arch arch, struct cpu *cpu, unsigned n, const uint8_t *in)
{
    const struct row *row = &archs[arch].rows[n];
    struct cpu_state *s = cpu_state(cpu);
    uint64_t value = 0;

    memcpy(&value, in, row->bits < 64 ? row->bits / 8 : 8);
    switch (row->source) {
    case GPR:
        s->gpr[row->n] = value;
        return true;
    case PC:
        gdb_set_pc(s, value);
        return true;
    case IP:
        s->rip = code_is_64(s) ? value : (uint32_t)value;
        return true;
    case FLAGS:
        s->rflags = (s->rflags & ~(uint64_t)FLAGS_WRITABLE) | (value & FLAGS_WRITABLE) | FLAG_1;
        return true;
    case SELECTOR:
        set_selector(s, row->n, (uint16_t)value);
        return true;
    case BASE:
        s->seg[row->n].base = value;
        return true;
    case ST:
        st_of(s, row->n)->mantissa = value;
        memcpy(&st_of(s, row->n)->exponent, in + 8, 2);
        return true;
    case FPU:
        set_fpu(s, row->n, (uint32_t)value);
        return true;
    case XMM:
        memcpy(s->zmm[row->n].u8, in, 16);
        return true;
    case YMMH:
        memcpy(s->zmm[row->n].u8 + 16, in, 16);
        return true;
    case MXCSR:
        s->mxcsr = value & 0xffff;
        return true;
    case CONTROL:
        return set_control(s, row->n, value);
    case DEBUG:
        set_debug(s, row->n, value);
        return true;
    default:
        return false;
    }
}

/* --- The description ------------------------------------------------------------------------------ */

struct flag_bit {
    const char *name;
    uint8_t bit;
};

/* clang-format off */
static const struct {
    const char *name;
    uint8_t bytes, feature;
    struct flag_bit bits[24];
} flag_types[] = {
    {"i386_eflags", 4, CORE,
     {{"CF", 0}, {"", 1}, {"PF", 2}, {"AF", 4}, {"ZF", 6}, {"SF", 7}, {"TF", 8}, {"IF", 9}, {"DF", 10}, {"OF", 11},
      {"NT", 14}, {"RF", 16}, {"VM", 17}, {"AC", 18}, {"VIF", 19}, {"VIP", 20}, {"ID", 21}}},
    {"i386_mxcsr", 4, SSE,
     {{"IE", 0}, {"DE", 1}, {"ZE", 2}, {"OE", 3}, {"UE", 4}, {"PE", 5}, {"DAZ", 6}, {"IM", 7}, {"DM", 8}, {"ZM", 9},
      {"OM", 10}, {"UM", 11}, {"PM", 12}, {"FZ", 15}}},
    {"cr0", 8, SYSTEM,
     {{"PE", 0}, {"MP", 1}, {"EM", 2}, {"TS", 3}, {"ET", 4}, {"NE", 5}, {"WP", 16}, {"AM", 18}, {"NW", 29},
      {"CD", 30}, {"PG", 31}}},
    {"cr4", 8, SYSTEM,
     {{"VME", 0}, {"PVI", 1}, {"TSD", 2}, {"DE", 3}, {"PSE", 4}, {"PAE", 5}, {"MCE", 6}, {"PGE", 7}, {"PCE", 8},
      {"OSFXSR", 9}, {"OSXMMEXCPT", 10}, {"UMIP", 11}, {"LA57", 12}, {"FSGSBASE", 16}, {"PCIDE", 17},
      {"OSXSAVE", 18}, {"SMEP", 20}, {"SMAP", 21}, {"PKE", 22}}},
    {"efer", 8, SYSTEM, {{"SCE", 0}, {"LME", 8}, {"LMA", 10}, {"NXE", 11}, {"SVME", 12}, {"FFXSR", 14}}},
};

/* What xmm registers may be looked at as. */
static const struct {
    const char *id, *type, *field;
    unsigned count;
} vectors[] = {
    {"v4f", "ieee_single", "v4_float", 4}, {"v2d", "ieee_double", "v2_double", 2},
    {"v16i8", "int8", "v16_int8", 16}, {"v8i16", "int16", "v8_int16", 8},
    {"v4i32", "int32", "v4_int32", 4}, {"v2i64", "int64", "v2_int64", 2},
};
/* clang-format on */

static void describe_types(FILE *out, enum feature feature)
{
    for (unsigned n = 0; feature == SSE && n < sizeof(vectors) / sizeof(vectors[0]); n++)
        fprintf(out, "<vector id=\"%s\" type=\"%s\" count=\"%u\"/>", vectors[n].id, vectors[n].type,
                vectors[n].count);
    if (feature == SSE) {
        fprintf(out, "<union id=\"vec128\">");
        for (unsigned n = 0; n < sizeof(vectors) / sizeof(vectors[0]); n++)
            fprintf(out, "<field name=\"%s\" type=\"%s\"/>", vectors[n].field, vectors[n].id);
        fprintf(out, "<field name=\"uint128\" type=\"uint128\"/></union>\n");
    }
    for (unsigned n = 0; n < sizeof(flag_types) / sizeof(flag_types[0]); n++) {
        if (flag_types[n].feature != feature)
            continue;
        fprintf(out, "<flags id=\"%s\" size=\"%u\">", flag_types[n].name, flag_types[n].bytes);
        for (const struct flag_bit *bit = flag_types[n].bits; bit->name; bit++)
            fprintf(out, "<field name=\"%s\" start=\"%u\" end=\"%u\"/>", bit->name, bit->bit, bit->bit);
        fprintf(out, "</flags>\n");
    }
}

static void describe_feature(FILE *out, enum gdb_arch arch, enum feature feature, unsigned *n)
{
    const struct row *rows = archs[arch].rows;

    if (*n == archs[arch].count || rows[*n].feature != feature)
        return;
    fprintf(out, "<feature name=\"%s\">\n", feature_names[feature]);
    describe_types(out, feature);
    for (; *n < archs[arch].count && rows[*n].feature == feature; ++*n)
        fprintf(out, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\" regnum=\"%u\"/>\n", rows[*n].name,
                rows[*n].bits, rows[*n].type, *n);
    fprintf(out, "</feature>\n");
}

char *gdb_target_description(enum gdb_arch arch)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    unsigned n = 0;

    if (!out)
        return NULL;
    fprintf(out,
            "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target>\n"
            "<architecture>%s</architecture>\n",
            archs[arch].name);
    for (unsigned f = 0; f < FEATURES; f++)
        describe_feature(out, arch, f, &n);
    fprintf(out, "</target>\n");
    if (fclose(out)) {
        free(text);
        return NULL;
    }
    return text;
}
