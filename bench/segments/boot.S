/*
 * boot.S - a disk that does the work of work.h in one kind of code and switches the machine off. KIND says which:
 * 1 real mode, 2 virtual-8086 mode, 3 16-bit and 4 32-bit segments with bases of their own, 5 flat 32-bit code. ROUNDS says
 * how often. All is at 0x10000; the two other segments at 0x30000 and 0x40000. COM1 hears when the work begins and ends.
 */
#define SEGMENT 0x1000
#define BASE    0x10000
#define SECTORS 8
#define CODE    0x08
#define DATA    0x10
#define F1      0x18
#define F2      0x20
#define FLAT    0x28
#define TASK    0x30
#define STACK   0xf000

#if KIND == 5 /* what offsets have there that elsewhere segments have */
#define IN_FLAT BASE
#else
#define IN_FLAT 0
#endif

    .code16
    .globl start
start:
    cli
    xor %ax, %ax
    mov %ax, %ss
    mov $0x7c00, %sp
    sti
    mov $SEGMENT, %ax
    mov %ax, %es
    xor %bx, %bx
    mov $(0x0200 | (SECTORS + 1)), %ax /* this sector, too */
    mov $1, %cx
    xor %dh, %dh
    int $0x13
    ljmp $SEGMENT, $there
there:
    cli
    mov %cs, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $STACK, %sp
    jmp go

    .org 510
    .word 0xaa55

/* Says TEXT on COM1. */
.macro say text, at=0, index=%si
    mov $\text - start + \at, \index
1:  mov $0x3fd, %dx
2:  in %dx, %al
    test $0x20, %al
    jz 2b
    mov $0x3f8, %dx
    lodsb
    out %al, %dx
    test %al, %al
    jnz 1b
.endm

/* Powers off: ACPI as QEMU and Oxbow have it, and Bochs' port. */
.macro power_off at=0, index=%si
    mov $0x604, %dx
    mov $0x2000, %ax
    out %ax, %dx
    mov $0x8900, %dx
    mov $shutdown - start + \at, \index
1:  lodsb
    out %al, %dx
    test %al, %al
    jnz 1b
2:  hlt
    jmp 2b
.endm

off16:
    say done
    power_off
work:
    .asciz "@@work\r\n"
done:
    .asciz "@@done\r\n"
shutdown:
    .asciz "Shutdown"

    .balign 8
far1:
    .long 0x3000
far2:
    .long 0x4000
check:
    .long 0
#define FAR1  far1 - start + IN_FLAT
#define FAR2  far2 - start + IN_FLAT
#define CHECK check - start + IN_FLAT
#define HERE  IN_FLAT

#if KIND < 4
#include "work.h"
#else
    .code32
#define WIDE
#include "work.h"
    .code16
#endif

go:
    cld
    mov $0x3fb, %dx
    mov $3, %al /* 8 bits */
    out %al, %dx
    say work
#if KIND == 1
    mov $ROUNDS, %ax
    call work16
    jmp off16
#else
    movl $F1, far1 - start
    movl $F2, far2 - start
    lgdtl gdtr - start
    lidtl idtr - start
    mov %cr0, %eax
    or $1, %al
    mov %eax, %cr0
#if KIND == 3
    ljmp $CODE, $1f - start
1:  mov $DATA, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $ROUNDS, %ax
    call work16
    jmp off16
#else
    ljmpl $CODE, $1f - start + IN_FLAT
    .code32
1:  mov $DATA, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $STACK + IN_FLAT, %esp
#if KIND == 2
    /* Everything mapped to itself by a big page, for CPL 3 as well; then to the 16-bit code at that CPL. */
    mov $FLAT, %ax
    mov %ax, %es
    movl $0x87, %es:0x50000
    mov $0x50000, %eax
    mov %eax, %cr3
    mov %cr4, %eax
    or $0x10, %eax
    mov %eax, %cr4
    mov %cr0, %eax
    or $0x80000000, %eax
    mov %eax, %cr0
    movl $0x3000, far1 - start
    movl $0x4000, far2 - start
    mov $TASK, %ax
    ltr %ax
    pushl $0
    pushl $0
    pushl $SEGMENT
    pushl $SEGMENT
    pushl $SEGMENT
    pushl $STACK - 0x800
    pushl $0x23002 /* VM, IOPL 3 */
    pushl $SEGMENT
    pushl $1f - start
    iret
fault: /* the HLT */
    .code32
    mov $DATA, %ax
    mov %ax, %ds
    jmp off32
    .code16
1:  mov $ROUNDS, %ax
    call work16
    hlt
    .code32
#else
    mov $ROUNDS, %eax
    call work32
#endif
off32:
    say done, IN_FLAT, %esi
    power_off IN_FLAT, %esi
#endif

    .balign 8
gdt:
#if KIND == 5
    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00cf93000000ffff, 0x00cf93000000ffff
#elif KIND == 3
    .quad 0, 0x00009b010000ffff, 0x000093010000ffff, 0x000093030000ffff, 0x000093040000ffff
#else
    .quad 0, 0x00409b010000ffff, 0x004093010000ffff, 0x004093030000ffff, 0x004093040000ffff
#endif
    .quad 0x00cf93000000ffff
    .word 0x67, tss - start, 0x8901, 0
gdtr:
    .word . - gdt - 1
    .long gdt - start + BASE
idtr:
#if KIND == 2
    .word 14 * 8 - 1
    .long idt - start + BASE
    .balign 8
idt:
    .fill 13, 8, 0
    .word fault - start, CODE, 0xee00, 0
#else
    .word 0
    .long 0
#endif
    .balign 8
tss:
    .long 0, STACK, DATA
    .fill 92, 1, 0
#endif
    .org (SECTORS + 1) * 512
