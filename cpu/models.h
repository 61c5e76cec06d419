/*
 * models.h - CPU models and features by name, from features.def and cpu_models.def.
 */
#ifndef CPU_MODELS_H
#define CPU_MODELS_H

#include "cpu/internal.h"

enum model_id {
#define MODEL(id, name, brand, text) MODEL_##id,
#include "cpu/cpu_models.def"
#undef MODEL
    MODEL_COUNT
};

struct cpu_model {
    const char *name, *brand, *text;
};

/* A feature's name, and its bit in CPUID: register 0 to 3 is EAX, EBX, ECX, EDX. */
struct cpu_feature_row {
    const char *name;
    uint32_t leaf;
    uint8_t subleaf, reg, bit;
};

extern const struct cpu_model cpu_models[MODEL_COUNT];
extern const struct cpu_feature_row cpu_features[F_COUNT];

/* Whether this version implements the feature: then model "max" has it. */
bool feature_implemented(unsigned feature);
/* Whether the model has it; on this host, for model "host". */
bool model_has(unsigned model, unsigned feature);

/*
 * Sets cpu->feature[] and cpu->model from "model", "model,+feature,-feature" or changes to the default alone;
 * NULL is the default. What is taken away takes along what can't be without it; what is added must have what
 * it needs. False with a sentence in `why`, and the features as they were.
 */
bool cpuid_set_model(struct cpu *cpu, const char *model, char *why, size_t why_size);

#endif
