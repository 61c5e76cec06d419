/*
 * table.c - prints the table of instructions in docs/conformance.md: for each CPUID feature the models that
 * have it and its instructions, from the rows of opcodes.def.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/models.h"

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The different names of a feature's rows, sorted; their number. "ud" rows are only there to be undefined. */
static unsigned find_names(unsigned feature, const char **names, unsigned *encodings)
{
    unsigned count = 0, different = 0;

    for (unsigned n = 0; n < opcode_row_count; n++)
        if (opcode_rows[n].feature == feature && strcmp(opcode_rows[n].name, "ud") != 0)
            names[count++] = opcode_rows[n].name;
    *encodings = count;
    qsort(names, count, sizeof(*names), by_name);
    for (unsigned n = 0; n < count; n++)
        if (!n || strcmp(names[n], names[n - 1]) != 0)
            names[different++] = names[n];
    return different;
}

static const char *models_with(unsigned feature)
{
    return !feature_implemented(feature)       ? "none"
           : model_has(MODEL_BASE, feature)    ? "all"
           : model_has(MODEL_DEFAULT, feature) ? "qemu64, v2, v3, max"
           : model_has(MODEL_V2, feature)      ? "v2, v3, max"
           : model_has(MODEL_V3, feature)      ? "v3, max"
                                               : "max";
}

int main(void)
{
    const char **names = calloc(opcode_row_count, sizeof(*names));
    unsigned instructions = 0, encodings = 0, features = 0;

    if (!names)
        return 1;
    printf(
        "| CPUID feature | in this version | models | encodings | instructions |\n|---|---|---|---:|---|\n");
    for (unsigned f = 0; f < F_COUNT; f++) {
        unsigned rows, count = find_names(f, names, &rows);

        printf("| %s | %s | %s | %u |", cpu_features[f].name, feature_implemented(f) ? "yes" : "no",
               models_with(f), rows);
        for (unsigned n = 0; n < count; n++)
            printf(" %s", names[n]);
        printf(" |\n");
        instructions += count;
        encodings += rows;
        features += feature_implemented(f);
    }
    printf("\n%u features, %u instructions, %u encodings. Features without instructions are of other kinds: "
           "paging, MSRs, "
           "or what an\ninstruction does. Model \"host\" has of these what the host's processor has.\n",
           features, instructions, encodings);
    free(names);
    return 0;
}
