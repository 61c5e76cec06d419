/*
 * test_models.c - CPU models and their features: what each has, changes to them, and that an instruction
 * whose feature is off raises #UD.
 */
#include "cpu/models.h"
#include "tests/unit/cpu_rig.h"

static struct rig *r;
static char why[200];

static void setup(void)
{
    r = rig_new(NULL, 0);
}

static void teardown(void)
{
    rig_free(r);
}

static bool model(const char *name)
{
    why[0] = '\0';
    return cpuid_set_model(r->cpu, name, why, sizeof(why));
}

static bool has(enum cpu_feature feature)
{
    return has_feature(r->cpu, feature);
}

/* --- What models have ---------------------------------------------------------------------------- */

static void expect_all(const char *name, const enum cpu_feature *features, unsigned count)
{
    ck_assert_msg(model(name), "%s", why);
    for (unsigned n = 0; n < count; n++)
        ck_assert_msg(has(features[n]), "%s lacks %s", name, cpu_features[features[n]].name);
}
#define EXPECT_ALL(name, ...)                                                                                \
    expect_all(name, (const enum cpu_feature[]){__VA_ARGS__},                                                \
               sizeof((const enum cpu_feature[]){__VA_ARGS__}) / sizeof(enum cpu_feature))

/* The levels of the x86-64 psABI, table 3.1; OSFXSR and OSXSAVE are the operating system's part. */
#define LEVEL_1 F_CMOV, F_CX8, F_FPU, F_FXSR, F_MMX, F_SYSCALL, F_SSE, F_SSE2, F_LM
#define LEVEL_2 F_CX16, F_LAHF64, F_POPCNT, F_SSE3, F_SSE41, F_SSE42, F_SSSE3
#define LEVEL_3 F_AVX, F_AVX2, F_BMI1, F_BMI2, F_F16C, F_FMA, F_ABM, F_MOVBE, F_XSAVE

START_TEST(levels_are_those_of_the_abi)
{
    EXPECT_ALL("base", LEVEL_1);
    EXPECT_ALL("qemu64", LEVEL_1);
    EXPECT_ALL("v2", LEVEL_1, LEVEL_2);
    ck_assert(!has(F_AVX) && !has(F_XSAVE) && !has(F_BMI1));
    EXPECT_ALL("v3", LEVEL_1, LEVEL_2, LEVEL_3);
    EXPECT_ALL("max", LEVEL_1, LEVEL_2, LEVEL_3);
}
END_TEST

START_TEST(the_default_has_no_vectors_beyond_sse2)
{
    ck_assert(model(NULL));
    ck_assert(!has(F_SSE3) && !has(F_SSSE3) && !has(F_POPCNT) && !has(F_XSAVE) && !has(F_AES));
    ck_assert(has(F_CX16) && has(F_SMEP) && has(F_SMAP) && has(F_X2APIC) && has(F_FSGSBASE));
}
END_TEST

START_TEST(each_model_has_what_the_one_before_it_has)
{
    static const uint8_t order[] = {MODEL_BASE, MODEL_DEFAULT, MODEL_V2, MODEL_V3, MODEL_MAX};

    for (unsigned f = 0; f < F_COUNT; f++)
        for (unsigned n = 1; n < sizeof(order); n++)
            ck_assert_msg(!model_has(order[n - 1], f) || model_has(order[n], f), "%s has %s, %s has not",
                          cpu_models[order[n - 1]].name, cpu_features[f].name, cpu_models[order[n]].name);
}
END_TEST

/* No model loses a feature because it lacks another. */
START_TEST(models_are_complete)
{
    for (unsigned m = 0; m < MODEL_HOST; m++) {
        ck_assert_msg(model(cpu_models[m].name), "%s", why);
        for (unsigned f = 0; f < F_COUNT; f++)
            ck_assert_msg(has((enum cpu_feature)f) == model_has(m, f), "%s in %s", cpu_features[f].name,
                          cpu_models[m].name);
    }
}
END_TEST

START_TEST(max_has_all_that_is_implemented)
{
    for (unsigned f = 0; f < F_COUNT; f++)
        ck_assert_uint_eq(model_has(MODEL_MAX, f), feature_implemented(f));
    /* and all that has instructions */
    for (unsigned n = 0; n < opcode_row_count; n++)
        ck_assert_msg(feature_implemented(opcode_rows[n].feature), "%s: no model has %s", opcode_rows[n].name,
                      cpu_features[opcode_rows[n].feature].name);
}
END_TEST

START_TEST(host_is_within_max)
{
#if defined(__x86_64__)
    ck_assert_msg(model("host"), "%s", why);
    for (unsigned f = 0; f < F_COUNT; f++)
        ck_assert(!has((enum cpu_feature)f) || feature_implemented(f));
    ck_assert(has(F_LM) && has(F_SSE2) && has(F_HYPERVISOR) && has(F_X2APIC));
    ck_assert_uint_eq(has(F_SSSE3), !!__builtin_cpu_supports("ssse3"));
    ck_assert_uint_eq(has(F_BMI2), !!__builtin_cpu_supports("bmi2"));
    ck_assert_uint_eq(has(F_AES), !!__builtin_cpu_supports("aes"));
    ck_assert_uint_eq(has(F_PCLMULQDQ), !!__builtin_cpu_supports("pclmul"));
#else
    ck_assert(!model("host"));
    ck_assert_ptr_nonnull(strstr(why, "x86-64"));
#endif
}
END_TEST

START_TEST(bits_are_where_features_def_says)
{
    uint32_t out[4];

    ck_assert(model("max"));
    for (unsigned f = F_BASE + 1; f < F_COUNT; f++) {
        const struct cpu_feature_row *row = &cpu_features[f];

        cpuid(r->cpu, row->leaf, row->subleaf, out);
        ck_assert_msg((out[row->reg] >> row->bit & 1) == has((enum cpu_feature)f), "%s", row->name);
        for (unsigned other = 0; other < f; other++)
            ck_assert_msg(strcmp(cpu_features[other].name, row->name) != 0 &&
                              memcmp(&cpu_features[other].leaf, &row->leaf,
                                     sizeof(*row) - offsetof(struct cpu_feature_row, leaf)) != 0,
                          "%s is there twice", row->name);
    }
    ck_assert(model("qemu64")); /* no XSAVE: nothing of its leaf */
    for (unsigned n = 0; n < 3; n++) {
        cpuid(r->cpu, 0xd, n, out);
        ck_assert_uint_eq(out[0] | out[1] | out[2] | out[3], 0);
    }
    /* no sub-leaves that nothing is in */
    cpuid(r->cpu, 7, 0, out);
    ck_assert_uint_eq(out[0], 0);
    cpuid(r->cpu, 7, 1, out);
    ck_assert_uint_eq(out[0] | out[1] | out[2] | out[3], 0);
}
END_TEST

/* --- Changes ------------------------------------------------------------------------------------- */

START_TEST(what_is_added_must_have_what_it_needs)
{
    ck_assert(!model("base,+vaes"));
    ck_assert_ptr_nonnull(strstr(why, "\"vaes\" can't be without"));
    ck_assert_ptr_nonnull(strstr(why, "+aes"));
    ck_assert_ptr_nonnull(strstr(why, "+avx"));
    ck_assert_ptr_null(strstr(why, "+sse2"));
    ck_assert(!model("qemu64,+invpcid,-pcid"));
    ck_assert_ptr_nonnull(strstr(why, "\"+pcid\""));
    ck_assert(!model("qemu64,+xsaves"));
    ck_assert_str_eq(why, "CPU feature \"xsaves\" can't be without what is off here: add \"+xsave,+xsavec\"");
    ck_assert(model("qemu64,+xsaves,+xsavec,+xsave"));
    ck_assert(has(F_XSAVES) && has(F_XSAVEC) && has(F_XSAVE));
    ck_assert(model("qemu64,+aes"));
    ck_assert(has(F_AES));
}
END_TEST

/* The sentence fits even for the feature with the longest list of needs. */
START_TEST(sentences_are_whole)
{
    for (unsigned f = F_BASE + 1; f < F_COUNT; f++) {
        char word[80];

        snprintf(word, sizeof(word), "base,-fpu,-msr,-tsc,-apic,+%s", cpu_features[f].name);
        if (model(word))
            continue;
        ck_assert_uint_lt(strlen(why), sizeof(why) - 1);
        ck_assert_ptr_nonnull(strstr(why, cpu_features[f].name));
    }
}
END_TEST

START_TEST(what_is_taken_away_takes_others_along)
{
    ck_assert(model("max,-avx"));
    ck_assert(!has(F_AVX) && !has(F_VAES) && !has(F_VPCLMULQDQ));
    ck_assert(has(F_AES) && has(F_BMI2) && has(F_GFNI));
    ck_assert(model("max,-xsave"));
    ck_assert(!has(F_XSAVEOPT) && !has(F_XSAVES) && !has(F_AVX));
    ck_assert(model("max,-sse2"));
    ck_assert(!has(F_SSE3) && !has(F_SHA) && !has(F_GFNI) && !has(F_LM));
}
END_TEST

START_TEST(features_of_other_processors_are_answered)
{
    unsigned count = 0;

    for (unsigned f = F_BASE + 1; f < F_COUNT; f++) {
        char word[80];

        if (feature_implemented(f))
            continue;
        snprintf(word, sizeof(word), "max,+%s", cpu_features[f].name);
        ck_assert(!model(word));
        ck_assert_ptr_nonnull(strstr(why, "not implemented"));
        snprintf(word, sizeof(word), "max,-%s", cpu_features[f].name);
        ck_assert(model(word)); /* which it is without anyhow */
        count++;
    }
    ck_assert_uint_gt(count, 0);
}
END_TEST

START_TEST(the_list_has_a_line_for_each_feature)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);

    cpu_list_models(f);
    fclose(f);
    for (unsigned m = 0; m < MODEL_HOST; m++)
        ck_assert_ptr_nonnull(strstr(text, cpu_models[m].text));
    for (unsigned n = F_BASE + 1; n < F_COUNT; n++) {
        char line[40];

        snprintf(line, sizeof(line), "\n  %-14s ", cpu_features[n].name);
        ck_assert_msg(!!strstr(text, line) == feature_implemented(n), "%s", cpu_features[n].name);
        ck_assert_ptr_nonnull(strstr(text, cpu_features[n].name));
    }
    free(text);
}
END_TEST

/* --- Features that are off ----------------------------------------------------------------------- */

/* The row's instruction with zeros for what is left open; 64-bit code where the row exists there. */
static uint32_t encode(const struct opcode_row *row, uint8_t bytes[16])
{
    static const uint8_t prefix[] = {[PFX_66] = 0x66, [PFX_F3] = 0xf3, [PFX_F2] = 0xf2};
    static const uint8_t pp[] = {[PFX_66] = 1, [PFX_F3] = 2, [PFX_F2] = 3};
    unsigned n = 0, vvvv = 15, reg = row->sel & SEL_HAS_EXT ? row->sel >> 5 & 7 : 1;
    unsigned form = row->sel & SEL_FORM, rm = 4; /* with a SIB byte, which vector indices need */

    memset(bytes, 0, 16);
    for (unsigned o = 0; o < 4; o++)
        if (row->operand[o] == O_Hx || row->operand[o] == O_By)
            vvvv = 13; /* register 2 */
    if (row->map > VEX) {
        bytes[n++] = 0xc4;
        bytes[n++] = (uint8_t)(0xe0 | (row->map - VEX));
        bytes[n++] = (uint8_t)((row->sel & SEL_W1 ? 0x80 : 0) | vvvv << 3 | (row->sel & SEL_L1 ? 4 : 0) |
                               pp[row->prefix]);
    } else {
        if (row->prefix >= PFX_66)
            bytes[n++] = prefix[row->prefix];
        if (row->map)
            bytes[n++] = 0x0f;
        if (row->map > 1)
            bytes[n++] = row->map == 2 ? 0x38 : 0x3a;
    }
    bytes[n++] = row->opcode;
    if (form) {
        bool registers = form == SEL_REG || (row->attr & A_MODRM_REG);

        if (row->sel & SEL_HAS_RM)
            rm = row->sel & 7;
        bytes[n++] =
            (uint8_t)((registers ? 0xc0 : 0) | reg << 3 | (registers && !(row->sel & SEL_HAS_RM) ? 0 : rm));
        if (!registers)
            bytes[n++] = 0x98; /* RAX + 4 * RBX */
    }
    return row->attr & A_NO64 ? SIZE_D | MODE_SS32 : SIZE_Q;
}

static const struct opcode_row *decode_row(const struct opcode_row *row)
{
    uint8_t bytes[16];
    uint32_t mode = encode(row, bytes);
    struct insn insn;
    unsigned attr;

    ck_assert_uint_gt(decode(r->cpu, mode, bytes, 15, 0, 0, &insn, &attr), 0);
    return insn.row == UINT16_MAX ? NULL : &opcode_rows[insn.row];
}

/* What an encoding is without the feature that gave it another meaning (SDM 2B): a repeat prefix that is
 * ignored. */
static bool older_meaning(const struct opcode_row *row, const struct opcode_row *without)
{
    static const char *const pairs[][2] = {{"tzcnt", "bsf"}, {"lzcnt", "bsr"}, {"wbnoinvd", "wbinvd"}};

    for (unsigned n = 0; n < sizeof(pairs) / sizeof(pairs[0]); n++)
        if (!strcmp(row->name, pairs[n][0]) && !strcmp(without->name, pairs[n][1]))
            return true;
    return !strcmp(without->name, "ud") || !strcmp(without->name, "nop");
}

/* All rows decode as themselves, so that the test below is one. */
START_TEST(rows_decode_as_themselves)
{
    rig_free(r);
    r = rig_new("max", 0);
    for (unsigned n = 0; n < opcode_row_count; n++) {
        const struct opcode_row *row = &opcode_rows[n], *got = decode_row(row);

        ck_assert_msg(got != NULL, "row %u, %s: undefined", n, row->name);
        ck_assert_msg(!strcmp(got->name, row->name) || !strcmp(row->name, "ud"), "row %u, %s: %s", n,
                      row->name, got->name);
    }
}
END_TEST

START_TEST(rows_of_a_feature_that_is_off_are_undefined)
{
    for (unsigned f = F_BASE + 1; f < F_COUNT; f++) {
        char word[80];

        if (!feature_implemented(f))
            continue;
        snprintf(word, sizeof(word), "max,-%s", cpu_features[f].name);
        rig_free(r);
        r = rig_new(word, 0);
        ck_assert(!has((enum cpu_feature)f));
        for (unsigned n = 0; n < opcode_row_count; n++) {
            const struct opcode_row *row = &opcode_rows[n], *got;

            if (has((enum cpu_feature)row->feature) && (!(row->attr & A_VEC) || has(F_AVX)))
                continue;
            got = decode_row(row);
            ck_assert_msg(!got || older_meaning(row, got), "%s, row %u, %s: %s", word, n, row->name,
                          got->name);
        }
    }
}
END_TEST

/* And executed, one of each kind of row. */
START_TEST(undefined_instructions_raise)
{
    static const struct {
        const char *model;
        uint8_t code[6];
    } cases[] = {
        {"max,-popcnt", {0xf3, 0x0f, 0xb8, 0xc0}},
        {"max,-bmi1", {0xc4, 0xe2, 0x70, 0xf2, 0xc0}},
        {"max,-avx", {0xc4, 0xe2, 0x71, 0xdc, 0xc0}},
        {"max,-vaes", {0xc4, 0xe2, 0x75, 0xdc, 0xc0}},
        {"max,-aes", {0x66, 0x0f, 0x38, 0xdc, 0xc0}},
        {"max,-sse4.2", {0xf2, 0x0f, 0x38, 0xf0, 0xc0}},
        {"max,-movbe", {0x0f, 0x38, 0xf0, 0x00}},
        {"max,-cx16", {0x48, 0x0f, 0xc7, 0x08}},
        {"max,-lahf-lm", {0x9f}},
    };

    for (unsigned n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
        rig_free(r);
        r = rig_new(cases[n].model, 0);
        rig_long_mode(r);
        r->cpu->s.cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
        r->cpu->s.xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX;
        r->cpu->s.idtr.limit = 0;
        rig_run(r, cases[n].code, sizeof(cases[n].code));
        ck_assert_int_eq(r->cpu->chain[0].vector, EX_UD);
        ck_assert_uint_eq(r->cpu->s.rip, RIG_CODE);
    }
}
END_TEST

Suite *models_suite(void)
{
    Suite *suite = suite_create("models");
    TCase *tc = tcase_create("models");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, levels_are_those_of_the_abi);
    tcase_add_test(tc, the_default_has_no_vectors_beyond_sse2);
    tcase_add_test(tc, each_model_has_what_the_one_before_it_has);
    tcase_add_test(tc, models_are_complete);
    tcase_add_test(tc, max_has_all_that_is_implemented);
    tcase_add_test(tc, host_is_within_max);
    tcase_add_test(tc, bits_are_where_features_def_says);
    tcase_add_test(tc, what_is_added_must_have_what_it_needs);
    tcase_add_test(tc, sentences_are_whole);
    tcase_add_test(tc, what_is_taken_away_takes_others_along);
    tcase_add_test(tc, features_of_other_processors_are_answered);
    tcase_add_test(tc, the_list_has_a_line_for_each_feature);
    tcase_add_test(tc, rows_decode_as_themselves);
    tcase_add_test(tc, rows_of_a_feature_that_is_off_are_undefined);
    tcase_add_test(tc, undefined_instructions_raise);
    suite_add_tcase(suite, tc);
    return suite;
}
