/* ethernet.c - see ethernet.h. */
#include "devices/ethernet.h"

/* The lowest bit goes first (802.3, 3.2.9); by four bits at a time. */
uint32_t ethernet_crc(const uint8_t *data, size_t size)
{
    static const uint32_t of[16] = {0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4,
                                    0x4DB26158, 0x5005713C, 0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C,
                                    0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C};
    uint32_t crc = UINT32_MAX;

    for (; size--; data++) {
        crc = crc >> 4 ^ of[(crc ^ *data) & 15];
        crc = crc >> 4 ^ of[(crc ^ *data >> 4) & 15];
    }
    return crc;
}
