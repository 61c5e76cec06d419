/*
 * start.S - the demo guest's way from the PVH entry (32-bit protected mode, paging off, EBX = start
 * information) into 64-bit C, and its interrupt entries.
 */
    .section .note.pvh, "a", @note
    .balign 4
    .long 4, 4, 18              /* XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .long demo_start

    .section .text.start, "ax", @progbits
    .code32
    .globl demo_start
demo_start:
    cld
    movl $stack_top, %esp
    movl %ebx, %ebp

    /* Page tables: 4 GiB mapped to itself in 2 MiB pages. */
    movl $pml4, %edi
    movl $(6 * 4096 / 4), %ecx
    xorl %eax, %eax
    rep stosl
    movl $(pdpt + 3), pml4
    movl $(directories + 3), %eax
    movl $pdpt, %edi
    movl $4, %ecx
1:  movl %eax, (%edi)
    addl $4096, %eax
    addl $8, %edi
    loop 1b
    movl $0x83, %eax            /* present, writable, large */
    movl $directories, %edi
    movl $2048, %ecx
2:  movl %eax, (%edi)
    addl $0x200000, %eax
    addl $8, %edi
    loop 2b

    movl $0x20, %eax            /* CR4.PAE */
    movl %eax, %cr4
    movl $pml4, %eax
    movl %eax, %cr3
    movl $0xC0000080, %ecx      /* EFER.LME */
    rdmsr
    orl $0x100, %eax
    wrmsr
    movl %cr0, %eax
    andl $~0x60000000, %eax     /* caches on */
    orl $0x80000001, %eax       /* PG, PE */
    movl %eax, %cr0
    lgdt gdt_pointer
    ljmp $8, $long_mode

    .code64
long_mode:
    movl $16, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movl $stack_top, %esp
    movl %ebp, %edi
    xorl %ebp, %ebp
    call demo_main
3:  cli
    hlt
    jmp 3b

/* Entries for vectors 0-47: each leaves an error code (real or 0) and its vector on the stack. */
    .text
    .altmacro
    .macro entry n
entry_\n:
    .if \n == 8 || (\n >= 10 && \n <= 14) || \n == 17 || \n == 21 || \n == 29 || \n == 30
    .else
    pushq $0
    .endif
    pushq $\n
    jmp common
    .endm
    .set i, 0
    .rept 48
    entry %i
    .set i, i + 1
    .endr

common:
    pushq %rax
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    cld
    leaq 72(%rsp), %rdi         /* struct interrupt_frame */
    subq $8, %rsp
    call demo_interrupt
    addq $8, %rsp
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    popq %rax
    addq $16, %rsp
    iretq

    .section .rodata
    .balign 8
    .macro entry_address n
    .quad entry_\n
    .endm
    .globl demo_entries
demo_entries:
    .set i, 0
    .rept 48
    entry_address %i
    .set i, i + 1
    .endr

    .data
    .balign 8
gdt:
    .quad 0
    .quad 0x00AF9B000000FFFF
    .quad 0x00CF93000000FFFF
gdt_pointer:
    .word . - gdt - 1
    .long gdt
    .long 0

    .bss
    .balign 4096
pml4:
    .skip 4096
pdpt:
    .skip 4096
directories:
    .skip 4 * 4096
    .skip 16384
stack_top:
    .section .note.GNU-stack, "", @progbits
