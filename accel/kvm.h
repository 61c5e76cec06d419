/*
 * kvm.h - Linux's KVM as an engine, where there is a <linux/kvm.h> to build it with.
 */
#ifndef ACCEL_KVM_H
#define ACCEL_KVM_H

#include "accel/engine.h"

extern const struct engine engine_kvm;

#endif
