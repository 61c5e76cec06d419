/*
 * start.S - the subject's assembly: from 32-bit to 64-bit code, and, for each visit_legacy(), through 32-bit protected
 * and 16-bit real mode and back.
 */
#define CR0_PE     0x1
#define CR0_PG     0x80000000
#define CR4_PAE    0x20
#define CR4_OSFXSR 0x200
#define CR4_OSXMMEXCPT 0x400
#define MSR_EFER   0xc0000080
#define EFER_LME   0x100
#define PVH_ENTRY  18

#define CODE64     0x08
#define DATA       0x10
#define CODE32     0x18
#define CODE16     0x20
#define DATA16     0x28
#define LOW        0x7000

    .section .note.pvh, "a", @note
    .long 4, 4, PVH_ENTRY
    .asciz "Xen"
    .long start

    .text
    .code32
    .globl start, in32
start:
    movl $stack_top, %esp
    lgdt gdt_pointer
    movl $pml4, %eax
    movl %eax, %cr3
    movl %cr4, %eax
    orl $(CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT), %eax
    movl %eax, %cr4
    movl $MSR_EFER, %ecx
    rdmsr
    orl $EFER_LME, %eax
    wrmsr
    movl %cr0, %eax
    orl $(CR0_PE | CR0_PG), %eax
    movl %eax, %cr0
    ljmp $CODE64, $1f

    .code64
1:  movl $DATA, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %ebp, %ebp
    call prepare
    call main
2:  hlt
    jmp 2b

/* Long mode, compatibility mode, 32-bit code without paging, 16-bit code, real mode, and all the way back. */
    .globl visit_legacy
visit_legacy:
    pushq %rbp
    movq %rsp, %rbp
    pushq $CODE32
    pushq $compatibility
    lretq

    .code32
compatibility:
    movl %cr0, %eax
    andl $~CR0_PG, %eax
    movl %eax, %cr0
in32:
    incl count32
    inc %eax            /* a REX prefix to who takes this for 64-bit code */
    dec %eax
    ljmp $CODE16, $(protected16 - LOW)
back32:
    movl $DATA, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %cr0, %eax
    orl $CR0_PG, %eax
    movl %eax, %cr0
    ljmp $CODE64, $back64

    .code64
back64:
    popq %rbp
    ret

    .section .low, "awx"
    .code16
    .globl in16, count16
    .balign 16
protected16:
    movw $DATA16, %ax
    movw %ax, %ds
    movw %ax, %ss
    movl %cr0, %eax
    andl $~CR0_PE, %eax
    movl %eax, %cr0
    ljmp $(LOW >> 4), $(real - LOW)
real:
    movw %cs, %ax
    movw %ax, %ds
in16:
    incw count16 - LOW
    movw count16 - LOW, %bx
    movl %cr0, %eax
    orb $CR0_PE, %al
    movl %eax, %cr0
    ljmpl $CODE32, $back32
    .balign 4
count16:
    .long 0

    .data
    .globl count32
count32:
    .long 0
    .balign 8
gdt:
    .quad 0
    .quad 0x00af9b000000ffff /* 64-bit code */
    .quad 0x00cf93000000ffff /* data */
    .quad 0x00cf9b000000ffff /* 32-bit code */
    .quad 0x00009b007000ffff /* 16-bit code and data at LOW */
    .quad 0x000093007000ffff
gdt_pointer:
    .word . - gdt - 1
    .quad gdt

    .balign 4096
pml4:
    .quad pdpt + 7
    .fill 511, 8, 0
pdpt:
    .quad pd + 7
    .fill 511, 8, 0
pd:
    .set n, 0
    .rept 512
    .quad (n << 21) + 0x87
    .set n, n + 1
    .endr

    .bss
    .balign 16
    .skip 16384
stack_top:
