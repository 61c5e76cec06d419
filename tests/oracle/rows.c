/*
 * rows.c - which rows of opcodes.def the host can judge, and what their instructions need of a state to do
 * more than fault.
 */
#include <cpuid.h>
#include <string.h>

#include "cpu/internal.h"
#include "tests/oracle/encode.h"

static const struct {
    const char *name;
    uint8_t leaf_register, bit;
    uint32_t leaf, subleaf;
} feature_bits[] = {
#define EAX                                        0
#define EBX                                        1
#define ECX                                        2
#define EDX                                        3
#define FEATURE(id, name, leaf, subleaf, reg, bit) {name, reg, bit, leaf, subleaf},
#include "cpu/features.def"
#undef FEATURE
};

const char *feature_name(unsigned feature)
{
    return feature_bits[feature].name;
}

unsigned feature_count(void)
{
    return F_COUNT;
}

static bool host_has(unsigned f)
{
    unsigned r[4];

    if (f == F_BASE)
        return true;
    return __get_cpuid_count(feature_bits[f].leaf, feature_bits[f].subleaf, &r[0], &r[1], &r[2], &r[3]) &&
           (r[feature_bits[f].leaf_register] >> feature_bits[f].bit & 1);
}

void features_find(struct features *features, const struct cpu *cpu)
{
    for (unsigned f = 0; f < F_COUNT; f++) {
        features->host[f] = host_has(f);
        features->cpu[f] = has_feature(cpu, (enum cpu_feature)f);
    }
    features->amd = __builtin_cpu_is("amd");
    features->avx = __builtin_cpu_supports("avx");
    features->fsgsbase = native_has_fsgsbase();
    features->ldt = native_has_ldt();
    if (features->avx)
        features->xcr0 = native_xcr0();
}

bool row_in_mode(const struct opcode_row *row, unsigned bits)
{
    return !(row->attr & (bits == 64 ? A_NO64 : A_ONLY64));
}

static bool one_of(const char *name, const char *list)
{
    size_t length = strlen(name);

    for (const char *p = list; (p = strstr(p, name)) != NULL; p += length)
        if ((p == list || p[-1] == ' ') && (p[length] == ' ' || !p[length]))
            return true;
    return false;
}

static const char *why_not(const struct opcode_row *row, const struct features *features)
{
    const char *name = row->name;

    if (!features->cpu[row->feature])
        return "the model lacks it";
    if (!features->host[row->feature])
        return "the host lacks it";
    if (one_of(name, "cpuid rdtsc rdtscp rdpid rdpmc rdrand rdseed xgetbv rdpkru wrpkru"))
        return "what it gives is each machine's own";
    if (one_of(name, "sgdt sidt smsw sldt str"))
        return "the host's kernel emulates it";
    if (!strcmp(name, "int1"))
        return "virtual machines report it as a fault";
    if (!strcmp(name, "ud"))
        return "hosts may have an instruction there";
    if (!strcmp(name, "sysexit"))
        return "virtual machines emulate it";
    if (one_of(name, "syscall sysenter"))
        return "it calls the host's kernel";
    if (one_of(name, "vmcall vmmcall"))
        return "it calls the host's hypervisor";
    if ((row->operand[0] == O_Sw && (row->sel & SEL_EXT(7)) == SEL_EXT(SS)) || !strcmp(name, "lss") ||
        (!strcmp(name, "pop") && row->operand[0] == O_SS))
        return "traps after it hang some hosts";
    if (one_of(name, "rdfsbase rdgsbase wrfsbase wrgsbase") && !features->fsgsbase)
        return "the host's kernel has not enabled it";
    return NULL;
}

static enum row_kind kind_of(const struct opcode_row *row)
{
    static const struct {
        enum row_kind kind;
        const char *names;
    } kinds[] = {
        {KIND_DIVIDE, "div idiv aam"},
        {KIND_STACK, "push pop pushf pusha popa enter"},
        {KIND_LEAVE, "leave"},
        {KIND_XLAT, "xlat"},
        {KIND_LINE, "clzero"},
        {KIND_COMPARE_EXCHANGE, "cmpxchg cmpxchg8b cmpxchg16b"},
        {KIND_RETURN, "ret"},
        {KIND_FAR_RETURN, "retf"},
        {KIND_IRET, "iret"},
        {KIND_POP_FLAGS, "popf"},
        {KIND_SEGMENT, "lar lsl verr verw arpl"},
        {KIND_MASKED_STORE, "maskmovq maskmovdqu vmaskmovdqu"},
        {KIND_LOOP, "loop loopz loopnz jcxz"},
        {KIND_SHIFT, "rol ror rcl rcr shl shr sar shld shrd"},
        {KIND_LOAD_MXCSR, "ldmxcsr vldmxcsr"},
        {KIND_FXRSTOR, "fxrstor"},
        {KIND_XSAVE, "xsave xsaveopt xsavec xsaves xrstor xrstors"},
        {KIND_MASK, "vmaskmovps vmaskmovpd vpmaskmovd vpmaskmovq"},
        {KIND_COMPARE_TEXT, "pcmpestri pcmpestrm vpcmpestri vpcmpestrm"},
    };

    for (unsigned n = 0; n < sizeof(kinds) / sizeof(kinds[0]); n++) {
        if (one_of(row->name, kinds[n].names)) {
            if (kinds[n].kind == KIND_STACK && row->operand[0] >= O_ES && row->operand[0] <= O_GS &&
                !strcmp(row->name, "pop"))
                return KIND_SEGMENT;
            return kinds[n].kind;
        }
    }
    if (row->operand[0] == O_Sw || one_of(row->name, "les lds lfs lgs"))
        return KIND_SEGMENT;
    if (row_has(row, O_Mvm))
        return KIND_GATHER;
    if (row->attr & A_REP)
        return KIND_STRING;
    if (one_of(row->name, "bt bts btr btc") && row->operand[1] == O_Gv)
        return KIND_BIT_STRING;
    if (one_of(row->name, "call jmp"))
        return row->operand[0] == O_Ev ? KIND_BRANCH : row->operand[0] == O_Mp ? KIND_FAR : KIND_PLAIN;
    return KIND_PLAIN;
}

static bool ends_in(const char *name, const char *tail)
{
    size_t a = strlen(name), b = strlen(tail);

    return a >= b && !strcmp(name + a - b, tail);
}

static enum value_kind values_of(const struct opcode_row *row)
{
    bool ext = false;

    for (unsigned n = 0; n < 4; n++)
        ext |= row->operand[n] == O_Mt;
    if (row->map == 0 && (row->attr & A_X87)) {
        if (ext)
            return one_of(row->name, "fbld fbstp") ? VALUE_BCD : VALUE_F80;
        if (row->name[1] == 'i' || row->operand[0] == O_Mw)
            return VALUE_INTEGER;
        return row->operand[0] == O_Md ? VALUE_F32 : row->operand[0] == O_Mq ? VALUE_F64 : VALUE_F80;
    }
    if (strstr(row->name, "cvtph"))
        return VALUE_F16;
    if (strstr(row->name, "pcmpestr") || strstr(row->name, "pcmpistr"))
        return VALUE_TEXT;
    if (strstr(row->name, "cvt")) /* named by where they come from */
        return strstr(row->name, "cvtps2") || strstr(row->name, "cvtss2") || strstr(row->name, "cvttps2") ||
                       strstr(row->name, "cvttss2")
                   ? VALUE_F32
               : strstr(row->name, "cvtpd") || strstr(row->name, "cvtsd") || strstr(row->name, "cvttpd") ||
                       strstr(row->name, "cvttsd")
                   ? VALUE_F64
                   : VALUE_INTEGER;
    if (ends_in(row->name, "ps") || ends_in(row->name, "ss"))
        return VALUE_F32;
    if (ends_in(row->name, "pd") || ends_in(row->name, "sd"))
        return VALUE_F64;
    return VALUE_INTEGER;
}

/* Whether F2 and F3 are without effect before this row: no other row claims them, and no host does. */
static bool takes_any_prefix(const struct opcode_row *row)
{
    unsigned op = row->opcode;

    if (row->prefix != PFX_ANY)
        return false;
    for (unsigned n = 0; n < opcode_row_count; n++) {
        const struct opcode_row *other = &opcode_rows[n];

        if (other->map == row->map &&
            (other->opcode == op || ((other->sel & SEL_PLUS_R) && other->opcode == (op & 0xf8u))) &&
            other->prefix != PFX_ANY)
            return false;
    }
    if (row->map == 0)
        return true;
    return row->map == 1 &&
           ((op >= 0x40 && op <= 0x4f) || (op >= 0x80 && op <= 0x9f) ||
            (op >= 0xa3 && op <= 0xad && op != 0xaa) || op == 0xaf || (op >= 0xb0 && op <= 0xb7) ||
            op == 0xba || op == 0xbb || op == 0xbe || op == 0xbf || op == 0xc0 || op == 0xc1 || op == 0xc8);
}

/* In a program of many instructions, those that mostly end it shall be few. */
static uint8_t program_odds(const struct opcode_row *row, const struct row_facts *facts)
{
    if (facts->stores_pointers || facts->last)
        return 0;
    switch (facts->kind) {
    case KIND_FAR:
    case KIND_FAR_RETURN:
    case KIND_IRET:
        return 60;
    case KIND_LEAVE:
    case KIND_GATHER:
    case KIND_SEGMENT:
    case KIND_LOAD_MXCSR:
    case KIND_FXRSTOR:
        return 16;
    case KIND_POP_FLAGS:
        return 4;
    default:
        break;
    }
    if ((row->attr & A_CPL0) || row_has(row, O_Ap) || row->operand[0] == O_Cy || row->operand[1] == O_Cy)
        return 100;
    if (one_of(row->name,
               "in out ins outs insb outsb hlt cli sti int int1 int3 into bound ud0 ud1 ud2 wbinvd "
               "invd lgdt lidt lldt ltr lmsw clts iret enter popa"))
        return 100;
    if (one_of(row->name, "fldcw fldenv frstor fldenv xrstor movdir64b"))
        return 16;
    return 1;
}

void rows_examine(struct row_facts *facts, const struct features *features)
{
    for (unsigned n = 0; n < opcode_row_count; n++) {
        const struct opcode_row *row = &opcode_rows[n];

        facts[n] = (struct row_facts){.kind = (uint8_t)kind_of(row),
                                      .values = (uint8_t)values_of(row),
                                      .reason = why_not(row, features),
                                      .any_prefix = takes_any_prefix(row),
                                      .stores_pointers =
                                          one_of(row->name, "fnstenv fnsave fxsave xsave xsaveopt xsavec"),
                                      .last = one_of(row->name, "fxsave xsave xsaveopt xsavec")};
        facts[n].usable = !facts[n].reason;
        facts[n].odds = program_odds(row, &facts[n]);
    }
}
