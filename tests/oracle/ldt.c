/*
 * ldt.c - a local descriptor table for both sides: segments over CODE and DATA with bases and limits, so that
 * their checks are judged too, and 16-bit ones.
 */
#include <asm/ldt.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/oracle/oracle.h"

enum { CONTENTS_DATA, CONTENTS_EXPAND_DOWN, CONTENTS_CODE, CONTENTS_CONFORMING };

static const struct {
    uint64_t base;
    uint32_t limit;
    uint8_t contents, wide, no_write, pages, absent; /* no_write: for code, no read */
} table[LDT_COUNT] = {
    [LDT_CODE32] = {.base = CODE, .limit = CODE_SIZE - 1, .contents = CONTENTS_CODE, .wide = 1},
    [LDT_CODE16] = {.base = CODE, .limit = CODE_SIZE - 1, .contents = CONTENTS_CODE},
    [LDT_DATA32] = {.base = DATA, .limit = DATA_SIZE - 1, .contents = CONTENTS_DATA, .wide = 1},
    [LDT_DATA16] = {.base = DATA, .limit = DATA_SIZE - 1, .contents = CONTENTS_DATA},
    [LDT_CONST] = {.base = DATA, .limit = DATA_SIZE - 1, .contents = CONTENTS_DATA, .wide = 1, .no_write = 1},
    [LDT_DOWN32] = {.base = DATA, .limit = PAGE - 1, .contents = CONTENTS_EXPAND_DOWN, .wide = 1},
    [LDT_DOWN16] = {.base = DATA, .limit = PAGE - 1, .contents = CONTENTS_EXPAND_DOWN},
    [LDT_EXECUTE] =
        {.base = CODE, .limit = CODE_SIZE - 1, .contents = CONTENTS_CODE, .wide = 1, .no_write = 1},
    [LDT_ABSENT] = {.base = DATA, .limit = DATA_SIZE - 1, .contents = CONTENTS_DATA, .absent = 1},
    [LDT_CONFORMING] = {.base = CODE,
                        .limit = CODE_SIZE - 1,
                        .contents = CONTENTS_CONFORMING,
                        .wide = 1,
                        .absent = 1}, /* Linux wants that */
    [LDT_PAGES] = {.base = DATA, .limit = 0, .contents = CONTENTS_DATA, .wide = 1, .pages = 1},
    [LDT_SMALL] = {.base = DATA, .limit = 0x7ff, .contents = CONTENTS_DATA},
};

uint64_t ldt_descriptor(unsigned n)
{
    uint64_t type = (uint64_t)(table[n].no_write ^ 1) << 1 | (uint64_t)table[n].contents << 2 | 1;

    return (table[n].limit & 0xffff) | (table[n].base & 0xffffff) << 16 | (type | 0x70) << 40 |
           (uint64_t)!table[n].absent << 47 | (uint64_t)(table[n].limit >> 16) << 48 |
           (uint64_t)table[n].wide << 54 | (uint64_t)table[n].pages << 55 | (table[n].base >> 24) << 56;
}

uint64_t selector_base(uint16_t selector)
{
    return (selector & 4) && selector >> 3 < LDT_COUNT ? table[selector >> 3].base : 0;
}

unsigned selector_bits(uint16_t selector)
{
    if ((selector & 4) && selector >> 3 < LDT_COUNT)
        return table[selector >> 3].wide ? 32 : 16;
    return (selector | 3) == USER_CS64 ? 64 : 32;
}

bool ldt_install(void)
{
    for (unsigned n = 0; n < LDT_COUNT; n++) {
        struct user_desc d;

        memset(&d, 0, sizeof(d));
        d.entry_number = n;
        d.base_addr = (unsigned)table[n].base;
        d.limit = table[n].limit;
        d.seg_32bit = table[n].wide & 1;
        d.contents = table[n].contents & 3;
        d.read_exec_only = table[n].no_write & 1;
        d.limit_in_pages = table[n].pages & 1;
        d.seg_not_present = table[n].absent & 1;
        if (syscall(SYS_modify_ldt, 0x11, &d, sizeof(d)))
            return false;
    }
    return true;
}
