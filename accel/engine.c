/*
 * engine.c - the engines of this build and the choice among them; see engine.h.
 */
#include <stdio.h>
#include <string.h>

#include "accel/engine.h"
#include "accel/software.h"

static bool kvm_probe(char *why, size_t why_size)
{
    snprintf(why, why_size, "KVM is not part of this version; use --accel jit or interp");
    return false;
}

/* They never serve, so nothing but their probe is called. */
static const struct engine engine_kvm = {
    .name = "kvm",
    .about = "the host's hardware virtualisation (not in this version)",
    .probe = kvm_probe,
};

const struct engine *const engines[] = {
    &engine_kvm,
#if defined(__x86_64__)
    &engine_jit,
#endif
    &engine_interp,
    NULL,
};

const struct engine *engine_pick(const char *name, char *why, size_t why_size)
{
    bool any = !strcmp(name, "auto");

    snprintf(why, why_size, "there is no engine \"%s\"", name);
    for (const struct engine *const *engine = engines; *engine; engine++) {
        if (!any && strcmp((*engine)->name, name))
            continue;
        if ((*engine)->probe(why, why_size))
            return *engine;
        if (!any)
            return NULL;
    }
    return NULL;
}
