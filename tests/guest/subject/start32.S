/*
 * start32.S - the 32-bit subject's assembly: a Multiboot kernel without paging.
 */
#define MAGIC 0x1badb002

    .text
    .balign 4
    .long MAGIC, 0, -MAGIC

    .globl start, visit_legacy
start:
    movl $stack_top, %esp
    xorl %ebp, %ebp
    call main
1:  hlt
    jmp 1b

visit_legacy:
    incl count32
    ret

    .data
    .globl count32
count32:
    .long 0

    .bss
    .balign 16
    .skip 16384
stack_top:
