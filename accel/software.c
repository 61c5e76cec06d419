/*
 * software.c - the software processor as an engine: it serves on every host.
 */
#include "accel/software.h"

static bool interp_probe(char *why, size_t why_size)
{
    (void)why;
    (void)why_size;
    return true;
}

const struct engine engine_interp = {
    .name = "interp",
    .about = "the interpreter: complete and strict, on every host",
    .probe = interp_probe,
    .run = cpu_run,
    .kick = cpu_kick,
    .pull = cpu_pull,
    .push = cpu_push,
};
