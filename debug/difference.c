/*
 * difference.c - the report of --check; see difference.h.
 */
#include <inttypes.h>

#include <Zydis/Zydis.h>

#include "debug/crash.h"
#include "debug/difference.h"

#define BYTES_SHOWN 10u

/* Instructions from `code`, which runs at `address`, a line each. */
static void print_code(ZydisMachineMode mode, uint64_t address, const uint8_t *code, size_t size, FILE *out)
{
    ZydisDisassembledInstruction insn;

    for (size_t at = 0, n; at < size; at += n) {
        bool known = ZYAN_SUCCESS(ZydisDisassembleIntel(mode, address + at, code + at, size - at, &insn));

        n = known ? insn.info.length : 1;
        fprintf(out, "  %016" PRIx64 " ", address + at);
        for (size_t b = 0; b < BYTES_SHOWN || b < n; b++) {
            if (b < n)
                fprintf(out, " %02x", code[at + b]);
            else
                fprintf(out, "   ");
        }
        fprintf(out, "  %s\n", known ? insn.text : "(no instruction)");
    }
}

void difference_report(const struct cpu_difference *difference, FILE *out)
{
    unsigned bits = cpu_code_bits(difference->before);

    fprintf(out, "Translated code did something else than the interpreter.\n%s", difference->what);
    fprintf(out, "The block's guest code:\n");
    print_code(bits == 64   ? ZYDIS_MACHINE_MODE_LONG_64
               : bits == 32 ? ZYDIS_MACHINE_MODE_LEGACY_32
                            : ZYDIS_MACHINE_MODE_LEGACY_16,
               difference->before->rip, difference->guest, difference->guest_size, out);
    fprintf(out, "Its host code:\n");
    print_code(ZYDIS_MACHINE_MODE_LONG_64, (uint64_t)(uintptr_t)difference->host, difference->host,
               difference->host_size, out);
    fprintf(out, "Before. ");
    crash_print_registers(difference->before, out);
    fprintf(out, "Interpreted. ");
    crash_print_registers(difference->interpreted, out);
    fprintf(out, "Translated. ");
    crash_print_registers(difference->translated, out);
    fflush(out);
}
