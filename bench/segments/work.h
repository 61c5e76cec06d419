/*
 * work.h - the work of bench/segments, for 16-bit and 32-bit code: WIDE is defined for the latter. DS and SS are one
 * segment with this code, which begins at HERE; FAR1 and FAR2 are variables with two other segments of 64 KiB. Ends after
 * AX rounds, by RET.
 */
#ifdef WIDE
#define A    %eax
#define B    %ebx
#define C    %ecx
#define D    %edx
#define SI   %esi
#define DI   %edi
#define BP   %ebp
#define SP   %esp
#define ITEM 4
#define NAME(x) x##32
#else
#define A    %ax
#define B    %bx
#define C    %cx
#define D    %dx
#define SI   %si
#define DI   %di
#define BP   %bp
#define SP   %sp
#define ITEM 2
#define NAME(x) x##16
#endif

NAME(work):
    push A
    call NAME(sieve)
    call NAME(crc)
    call NAME(sort)
    mov $13, A
    call NAME(fibonacci)
    call NAME(copy)
    call NAME(chase)
    pop A
    dec A
    jnz NAME(work)
    ret

/* The primes below 8192, as bytes in FAR1. */
NAME(sieve):
    push %es
    mov FAR1, %es
    xor DI, DI
    mov $8192, C
    mov $1, %al
    cld
    rep stosb
    mov $2, SI
1:  cmpb $0, %es:(SI)
    je 3f
    mov SI, B
    add SI, B
2:  cmp $8192, B
    jae 3f
    movb $0, %es:(B)
    add SI, B
    jmp 2b
3:  inc SI
    cmp $8192, SI
    jb 1b
    pop %es
    ret

/* CRC-16 of 2 KiB of this segment, bit by bit. */
NAME(crc):
    mov $HERE, SI
    mov $2048, C
    mov $-1, D
1:  lodsb
    xor %al, %dl
    mov $8, B
2:  shr $1, %dx
    jnc 3f
    xor $0xa001, %dx
3:  dec B
    jnz 2b
    loop 1b
    mov %dx, CHECK
    ret

/* Words of FAR1 from a generator, sorted by insertion. */
NAME(sort):
    push %ds
    mov FAR1, %ds
    mov $200, C
    xor DI, DI
    mov $12345, %ax
1:  imul $25173, %ax, %ax
    add $13849, %ax
    mov %ax, (DI)
    add $2, DI
    loop 1b
    mov $2, SI
2:  mov (SI), %ax
    mov SI, DI
3:  cmp %ax, -2(DI)
    jbe 4f
    mov -2(DI), %dx
    mov %dx, (DI)
    sub $2, DI
    jnz 3b
4:  mov %ax, (DI)
    add $2, SI
    cmp $400, SI
    jb 2b
    pop %ds
    ret

/* The A-th number, with frames. */
NAME(fibonacci):
    push BP
    mov SP, BP
    sub $ITEM, SP
    cmp $2, A
    jb 1f
    mov A, -ITEM(BP)
    dec A
    call NAME(fibonacci)
    push A
    mov -ITEM(BP), A
    sub $2, A
    call NAME(fibonacci)
    pop D
    add D, A
1:  mov BP, SP
    pop BP
    ret

/* From FAR1 to FAR2, a word at a time, and back at once. */
NAME(copy):
    push %ds
    push %es
    mov FAR2, %es
    mov FAR1, %ds
    xor SI, SI
    xor DI, DI
    mov $2048, C
1:  lodsw
    add $3, %ax
    stosw
    loop 1b
    push %ds
    push %es
    pop %ds
    pop %es
    xor SI, SI
    xor DI, DI
    mov $2048, C
    rep movsw
    pop %es
    pop %ds
    ret

/* A list of far pointers, from one segment to the other, as programs for several segments have it. */
NAME(chase):
    push %es
    mov $64, C
    xor DI, DI
    mov FAR1, A
    mov FAR2, D
1:  mov A, %es
    lea 8(DI), B
    mov B, %es:(DI)
    mov D, %es:ITEM(DI)
    xchg A, D
    mov B, DI
    loop 1b
    xor B, B
    mov FAR1, %es
    mov $64, C
2:  les %es:(B), B
    loop 2b
    pop %es
    ret

#undef A
#undef B
#undef C
#undef D
#undef SI
#undef DI
#undef BP
#undef SP
#undef ITEM
#undef NAME
