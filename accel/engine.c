/*
 * engine.c - the engines of this build and the choice among them; see engine.h.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "accel/engine.h"
#include "accel/software.h"
#include "config.h"
#ifdef HAVE_KVM
#include "accel/kvm.h"
#endif

#ifndef HAVE_KVM
static bool no_kvm(char *why, size_t why_size)
{
    snprintf(why, why_size,
             "KVM is not part of this build, which had no <linux/kvm.h> of Linux 5.14 or newer; use --accel "
             "jit or interp");
    return false;
}

/* It never serves, so nothing but its probe is called. */
static const struct engine engine_kvm = {
    .name = "kvm",
    .about = "the host's hardware virtualisation (not in this build)",
    .probe = no_kvm,
};
#endif

const struct engine *const engines[] = {
    &engine_kvm,
#if defined(__x86_64__)
    &engine_jit,
#endif
    &engine_interp,
    NULL,
};

static bool well_served(const struct engine *engine, char *why, size_t why_size)
{
    return engine->probe(why, why_size) && !(engine->user_only && engine->user_only());
}

uint64_t engine_host_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

const struct engine *engine_pick(const char *name, char *why, size_t why_size)
{
    bool any = !strcmp(name, "auto");

    snprintf(why, why_size, "there is no engine \"%s\"", name);
    for (const struct engine *const *engine = engines; *engine; engine++) {
        if (any ? well_served(*engine, why, why_size)
                : !strcmp((*engine)->name, name) && (*engine)->probe(why, why_size))
            return *engine;
        if (!any && !strcmp((*engine)->name, name))
            return NULL;
    }
    return NULL;
}

uint64_t engine_tsc_hz(void)
{
    char why[200];

    for (const struct engine *const *engine = engines; *engine; engine++)
        if ((*engine)->tsc_hz && (*engine)->probe(why, sizeof(why)))
            return (*engine)->tsc_hz();
    return 0;
}

uint64_t engine_tsc_now(void)
{
    char why[200];

    for (const struct engine *const *engine = engines; *engine; engine++)
        if ((*engine)->tsc_now && (*engine)->probe(why, sizeof(why)))
            return (*engine)->tsc_now();
    return 0;
}

void engine_report(FILE *out)
{
    const struct engine *chosen;
    char why[300];

    for (const struct engine *const *engine = engines; *engine; engine++) {
        bool serves = (*engine)->probe(why, sizeof(why));

        fprintf(out, "%-7s %s\n", (*engine)->name, (*engine)->about);
        if (!serves)
            fprintf(out, "        not here: %s\n", why);
        else if ((*engine)->report)
            (*engine)->report(out);
    }
    chosen = engine_pick("auto", why, sizeof(why));
    fprintf(out, "%-7s the first of these that serves well, which is %s\n", "auto",
            chosen ? chosen->name : "none");
}
