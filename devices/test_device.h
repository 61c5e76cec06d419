/*
 * test_device.h - a chip for operating systems' and processors' tests: a port and a memory that keep what is
 * written, and interrupt lines that the guest pulls itself.
 *
 * Compatible with the device that test suites know from other emulators as pc-testdev.
 */
#ifndef DEVICES_TEST_DEVICE_H
#define DEVICES_TEST_DEVICE_H

#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"

#define TEST_DEVICE_LINES  24
#define TEST_DEVICE_MEMORY 0x10000u

struct test_device;

extern const struct device_class test_device_class;

/* Line n is what the guest raises and lowers through port 0x2000 + n. NULL when memory ran out. */
struct test_device *test_device_new(struct bus *ports, struct bus *memory,
                                    const struct irq line[TEST_DEVICE_LINES]);

#endif
