/*
 * listing.c - machine code as text, by Zydis; see listing.h.
 */
#include "debug/listing.h"

#include <inttypes.h>
#include <stdbool.h>

#include <Zydis/Zydis.h>

#define BYTES_SHOWN 10u

void listing_print(FILE *out, unsigned bits, uint64_t address, const uint8_t *code, size_t size,
                   const uint8_t *mark)
{
    ZydisMachineMode mode = bits == 64   ? ZYDIS_MACHINE_MODE_LONG_64
                            : bits == 32 ? ZYDIS_MACHINE_MODE_LEGACY_32
                                         : ZYDIS_MACHINE_MODE_LEGACY_16;
    ZydisDisassembledInstruction insn;

    for (size_t at = 0, n; at < size; at += n) {
        bool known = ZYAN_SUCCESS(ZydisDisassembleIntel(mode, address + at, code + at, size - at, &insn));

        n = known ? insn.info.length : 1;
        fprintf(out, "%s%016" PRIx64 " ", mark >= code + at && mark < code + at + n ? "> " : "  ",
                address + at);
        for (size_t b = 0; b < BYTES_SHOWN || b < n; b++) {
            if (b < n)
                fprintf(out, " %02x", code[at + b]);
            else
                fprintf(out, "   ");
        }
        fprintf(out, "  %s\n", known ? insn.text : "(no instruction)");
    }
}
