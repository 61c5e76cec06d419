/*
 * listing.c - machine code as text, by Zydis; see listing.h.
 */
#include "debug/listing.h"

#include <inttypes.h>

#include <Zydis/Zydis.h>

#define BYTES_SHOWN 10u

static ZydisMachineMode mode_of(unsigned bits)
{
    return bits == 64   ? ZYDIS_MACHINE_MODE_LONG_64
           : bits == 32 ? ZYDIS_MACHINE_MODE_LEGACY_32
                        : ZYDIS_MACHINE_MODE_LEGACY_16;
}

/* What the instruction refers to by an absolute or relative address, if that has a name. */
static void print_target(FILE *out, const ZydisDisassembledInstruction *insn, uint64_t address,
                         const struct symbols *symbols)
{
    char text[200];

    for (unsigned n = 0; n < insn->info.operand_count_visible; n++) {
        const ZydisDecodedOperand *operand = &insn->operands[n];
        ZyanU64 target;
        bool relative = operand->type == ZYDIS_OPERAND_TYPE_IMMEDIATE && operand->imm.is_relative;
        bool absolute =
            operand->type == ZYDIS_OPERAND_TYPE_MEMORY &&
            (operand->mem.base == ZYDIS_REGISTER_RIP || operand->mem.base == ZYDIS_REGISTER_NONE) &&
            operand->mem.index == ZYDIS_REGISTER_NONE;

        if ((relative || absolute) &&
            ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(&insn->info, operand, address, &target)) &&
            *symbols_format(symbols, target, text, sizeof(text)))
            fprintf(out, " <%s>", text);
    }
}

size_t listing_one(FILE *out, unsigned bits, uint64_t address, const uint8_t *code, size_t size,
                   const uint8_t *mark, const struct symbols *symbols)
{
    ZydisDisassembledInstruction insn;
    bool known = ZYAN_SUCCESS(ZydisDisassembleIntel(mode_of(bits), address, code, size, &insn));
    size_t length = known ? insn.info.length : 1;

    fprintf(out, "%s%016" PRIx64 " ", mark >= code && mark < code + length ? "> " : "  ", address);
    for (size_t b = 0; b < BYTES_SHOWN || b < length; b++) {
        if (b < length)
            fprintf(out, " %02x", code[b]);
        else
            fprintf(out, "   ");
    }
    fprintf(out, "  %s", known ? insn.text : "(no instruction)");
    if (known)
        print_target(out, &insn, address, symbols);
    fprintf(out, "\n");
    return length;
}

void listing_print(FILE *out, unsigned bits, uint64_t address, const uint8_t *code, size_t size,
                   const uint8_t *mark)
{
    for (size_t at = 0; at < size;)
        at += listing_one(out, bits, address + at, code + at, size - at, mark, NULL);
}

bool listing_branch(unsigned bits, uint64_t rip, const uint8_t *code, size_t size, struct listing_branch *branch)
{
    ZydisDisassembledInstruction insn;

    if (!ZYAN_SUCCESS(ZydisDisassembleIntel(mode_of(bits), rip, code, size, &insn)))
        return false;
    *branch = (struct listing_branch){.length = insn.info.length};
    switch (insn.info.meta.category) {
    case ZYDIS_CATEGORY_COND_BR:
        branch->kind = LISTING_CONDITIONAL;
        break;
    case ZYDIS_CATEGORY_CALL:
    case ZYDIS_CATEGORY_UNCOND_BR:
        branch->kind = insn.operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? LISTING_DIRECT : LISTING_INDIRECT;
        break;
    case ZYDIS_CATEGORY_RET:
    case ZYDIS_CATEGORY_SYSCALL:
    case ZYDIS_CATEGORY_SYSRET:
        branch->kind = LISTING_INDIRECT;
        break;
    default:
        return true;
    }
    if (insn.operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE && insn.operands[0].imm.is_relative)
        branch->target = rip + insn.info.length + insn.operands[0].imm.value.u;
    snprintf(branch->name, sizeof(branch->name), "%s", ZydisMnemonicGetString(insn.info.mnemonic));
    return true;
}
