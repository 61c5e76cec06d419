/*
 * lib.S - shared start-up of the guest tests: from the PVH entry (32-bit protected mode, paging off, EBX =
 * start information) to 64-bit C, entries for all 256 vectors, and run(), which executes a few instructions in
 * a chosen state and mode until something interrupts them.
 */
    .section .note.pvh, "a", @note
    .balign 4
    .long 4, 4, 18              /* XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .long guest_start

    .section .text.start, "ax", @progbits
    .code32
    .globl guest_start
guest_start:
    cld
    movl $lib_stack_top, %esp
    movl %ebx, %ebp

    /* 4 GiB mapped to itself in 2 MiB pages, for CPL 3 as well. */
    movl $(pdpt + 7), pml4
    movl $(directories + 7), %eax
    movl $pdpt, %edi
    movl $4, %ecx
1:  movl %eax, (%edi)
    addl $4096, %eax
    addl $8, %edi
    loop 1b
    movl $0x87, %eax
    movl $directories, %edi
    movl $2048, %ecx
2:  movl %eax, (%edi)
    addl $0x200000, %eax
    addl $8, %edi
    loop 2b
    /* One page table of the tests' own, at TEST_BASE (the second entry of the PML4). */
    movl $(test_pdpt + 7), pml4 + 8
    movl $(test_pd + 7), test_pdpt
    movl $(test_pt + 7), test_pd

    movl $0x20, %eax            /* CR4.PAE */
    movl %eax, %cr4
    movl $pml4, %eax
    movl %eax, %cr3
    movl $0xC0000080, %ecx      /* EFER.LME */
    rdmsr
    orl $0x100, %eax
    wrmsr
    movl %cr0, %eax
    andl $~0x60000000, %eax
    orl $0x80000001, %eax
    movl %eax, %cr0
    lgdt gdt_pointer
    ljmp $0x08, $long_mode

    .code64
long_mode:
    movl $0x23, %eax
    movl %eax, %ds
    movl %eax, %es
    movl $0x10, %eax
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movl $lib_stack_top, %esp
    movl %ebp, %edi
    xorl %ebp, %ebp
    call lib_main
3:  cli
    hlt
    jmp 3b

/* Entries: each leaves an error code (real or 0) and its vector on the stack. */
    .text
    .altmacro
    .macro entry n
    .balign 16
entry_\n:
    .if \n == 8 || (\n >= 10 && \n <= 14) || \n == 17 || \n == 21 || \n == 29 || \n == 30
    .else
    pushq $0
    .endif
    pushq $\n
    jmp common
    .endm
    .set i, 0
    .rept 256
    entry %i
    .set i, i + 1
    .endr

/* A vector with a handler is an interrupt: call it and go on. Anything else ends run(). */
common:
    pushq %rax
    movq 8(%rsp), %rax
    cmpq $0, handlers(, %rax, 8)
    jne handled
    movq run_regs, %rax
    testq %rax, %rax
    jz unexpected
    movq %rbx, 8(%rax)
    movq %rcx, 16(%rax)
    movq %rdx, 24(%rax)
    movq %rsi, 32(%rax)
    movq %rdi, 40(%rax)
    movq %rbp, 48(%rax)
    movq %r8, 56(%rax)
    movq %r9, 64(%rax)
    movq %r10, 72(%rax)
    movq %r11, 80(%rax)
    movq %r12, 88(%rax)
    movq %r13, 96(%rax)
    movq %r14, 104(%rax)
    movq %r15, 112(%rax)
    popq %rbx
    movq %rbx, 0(%rax)
    popq 160(%rax)              /* vector */
    popq 168(%rax)              /* error code */
    popq 120(%rax)              /* RIP, CS, RFLAGS, RSP, SS */
    popq 128(%rax)
    popq 136(%rax)
    popq 144(%rax)
    popq 152(%rax)
    movq %cr2, %rbx
    movq %rbx, 176(%rax)
    movq $0, run_regs
    movq run_rsp, %rsp
    movl $0x23, %eax            /* a way out to CPL 3 would clear others */
    movl %eax, %ds
    movl %eax, %es
    movl $0x10, %eax
    movl %eax, %ss
    pushq $2
    popfq
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    ret

handled:
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %rbp
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    cld
    leaq 80(%rsp), %rdi         /* struct frame */
    movq %rsp, %rbp
    andq $-16, %rsp
    call *handlers(, %rax, 8)
    movq %rbp, %rsp
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rbp
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    popq %rax
    addq $16, %rsp
    iretq

unexpected:
    leaq 8(%rsp), %rdi
    andq $-16, %rsp
    cld
    call lib_unexpected

/* void run(struct regs *regs) */
    .globl run
run:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, run_rsp
    movq %rdi, run_regs
    pushq 152(%rdi)
    pushq 144(%rdi)
    pushq 136(%rdi)
    pushq 128(%rdi)
    pushq 120(%rdi)
    movq 0(%rdi), %rax
    movq 8(%rdi), %rbx
    movq 16(%rdi), %rcx
    movq 24(%rdi), %rdx
    movq 32(%rdi), %rsi
    movq 48(%rdi), %rbp
    movq 56(%rdi), %r8
    movq 64(%rdi), %r9
    movq 72(%rdi), %r10
    movq 80(%rdi), %r11
    movq 88(%rdi), %r12
    movq 96(%rdi), %r13
    movq 104(%rdi), %r14
    movq 112(%rdi), %r15
    movq 40(%rdi), %rdi
    .globl run_iret
run_iret:
    iretq

    .section .rodata
    .balign 8
    .macro entry_address n
    .quad entry_\n
    .endm
    .globl lib_entries
lib_entries:
    .set i, 0
    .rept 256
    entry_address %i
    .set i, i + 1
    .endr

/* The selectors are named in lib.h. The rest of the table is for the tests. */
    .data
    .balign 16
    .globl gdt
gdt:
    .quad 0
    .quad 0x00AF9B000000FFFF    /* 08 code, 64-bit */
    .quad 0x00CF93000000FFFF    /* 10 data */
    .quad 0x00CF9B000000FFFF    /* 18 code, 32-bit */
    .quad 0x00CFF3000000FFFF    /* 20 data, DPL 3 */
    .quad 0x00AFFB000000FFFF    /* 28 code, 64-bit, DPL 3 */
    .quad 0x00CFFB000000FFFF    /* 30 code, 32-bit, DPL 3 */
    .quad 0, 0                  /* 38 TSS */
    .quad 0x00009B000000FFFF    /* 48 code, 16-bit */
    .quad 0x000093000000FFFF    /* 50 data, 16-bit */
    .fill 21, 8, 0              /* 58-F8 */
gdt_pointer:
    .word 32 * 8 - 1
    .quad gdt
    .balign 8
    .globl run_regs
run_regs:
    .quad 0
run_rsp:
    .quad 0

    .bss
    .balign 4096
    .globl pml4, test_pdpt, test_pd, test_pt
pml4:
    .skip 4096
pdpt:
    .skip 4096
directories:
    .skip 4 * 4096
test_pdpt:
    .skip 4096
test_pd:
    .skip 4096
test_pt:
    .skip 4096
    .skip 32768
lib_stack_top:
    .globl handlers
handlers:
    .skip 256 * 8
    .section .note.GNU-stack, "", @progbits
