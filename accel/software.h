/*
 * software.h - the engines that are cpu/'s own.
 */
#ifndef ACCEL_SOFTWARE_H
#define ACCEL_SOFTWARE_H

#include "accel/engine.h"

extern const struct engine engine_interp;
#if defined(__x86_64__)
extern const struct engine engine_jit;
#endif

#endif
