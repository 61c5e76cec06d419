/*
 * paging.h - bits of page-table entries and of page-fault error codes (SDM 3A 4.7, tables 4-4 to 4-20), for the processor
 * and for those who explain what it does.
 */
#ifndef CPU_PAGING_H
#define CPU_PAGING_H

#define PTE_P  (1ull << 0)
#define PTE_W  (1ull << 1)
#define PTE_U  (1ull << 2)
#define PTE_A  (1ull << 5)
#define PTE_D  (1ull << 6)
#define PTE_PS (1ull << 7)
#define PTE_G  (1ull << 8)
#define PTE_NX (1ull << 63)

#define PF_P     1u
#define PF_W     2u
#define PF_U     4u
#define PF_RSVD  8u
#define PF_FETCH 16u
#define PF_PK    32u

#endif
