/*
 * virtio_input_internal.h - what virtio_input.c and virtio_input_keys.c share.
 */
#ifndef DEVICES_VIRTIO_INPUT_INTERNAL_H
#define DEVICES_VIRTIO_INPUT_INTERNAL_H

#include <stdint.h>

/* By HID usage; 0: there is no such key. */
extern const uint8_t virtio_input_keys[256];

#endif
