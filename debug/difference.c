/*
 * difference.c - the report of --check; see difference.h.
 */
#include "debug/crash.h"
#include "debug/difference.h"
#include "debug/listing.h"

void difference_report(const struct cpu_difference *difference, FILE *out)
{
    unsigned bits = cpu_code_bits(difference->before);

    fprintf(out, "Translated code did something else than the interpreter.\n%s", difference->what);
    fprintf(out, "The block's guest code:\n");
    listing_print(out, bits, difference->before->rip, difference->guest, difference->guest_size, NULL);
    fprintf(out, "Its host code:\n");
    listing_print(out, 64, (uint64_t)(uintptr_t)difference->host, difference->host, difference->host_size, NULL);
    fprintf(out, "Before. ");
    crash_print_registers(difference->before, out);
    fprintf(out, "Interpreted. ");
    crash_print_registers(difference->interpreted, out);
    fprintf(out, "Translated. ");
    crash_print_registers(difference->translated, out);
    fflush(out);
}
