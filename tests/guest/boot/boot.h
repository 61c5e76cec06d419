/*
 * boot.h - the frame of a 16-bit guest: a boot sector that loads the rest of its program from wherever the BIOS started
 * it, and what reports are made with. A program includes it first, has its own code behind it from main: on, and ends
 * with `image_end`.
 *
 * Reports go to COM1, a line each:
 *
 *     PASS name       FAIL name       SKIP name: why       RESULT passed, when all has been tried
 *
 * SHOW name asks whoever watches to look at the screen, and then to send a byte. At the end the program ends the run
 * through the exit device: status 33 when all passed, 35 when something failed.
 *
 * From a floppy or hard disk the BIOS loads one sector, by int 13h come the others; from a CD without emulation it
 * loads all.
 */
#define COM1     0x3F8
#define EXIT     0xF4
#define SECTOR   512
#define LOADED   0x7C00
#define MAGIC    0x774F784F
#define BDA(at)  (0x400 + (at)) /* the BIOS data area */

    .code16

/* Reports whether a condition (c, nc, e, ne...) holds. Changes AX, SI and flags. */
    .macro check condition:req, name:req
    set\condition %al
    call verdict
    .asciz "\name"
    .endm

    .macro skip name:req
    call skipped
    .asciz "\name"
    .endm

    .macro say text:req
    call say_this
    .asciz "\text"
    .endm

/* Shows the screen to whoever watches, and waits for a byte. */
    .macro show name:req
    say "SHOW \name\r\n"
    call receive
    .endm

    .macro image_end
    .balign SECTOR
last_sector:
    .long MAGIC
    .balign SECTOR
program_end:
    .endm

    .globl start
start:
    cli
    xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $LOADED, %sp
    sti
    cld
    ljmp $0, $1f
1:  mov %dl, drive
    cmpl $MAGIC, last_sector
    je loaded

    /* The drive's geometry. A floppy disk's parameter table comes back in ES:DI. */
    mov $0x08, %ah
    xor %di, %di
    int $0x13
    jc load_failed
    and $0x3F, %cx
    mov %cx, track_sectors
    mov %dh, %al
    mov $0, %ah
    inc %ax
    mov %ax, heads

    /* One sector at a time, from number 1 on. */
    mov $1, %si
    mov $(LOADED + SECTOR) >> 4, %bx
1:  mov %bx, %es
    mov %si, %ax
    xor %dx, %dx
    divw track_sectors
    mov %dl, %cl
    inc %cl
    xor %dx, %dx
    divw heads
    mov %al, %ch
    mov %dl, %dh
    mov drive, %dl
    push %bx
    xor %bx, %bx
    mov $0x0201, %ax
    int $0x13
    pop %bx
    jc load_failed
    add $SECTOR >> 4, %bx
    inc %si
    cmp $(program_end - start) >> 9, %si
    jb 1b
loaded:
    xor %ax, %ax
    mov %ax, %es
    call main
    say "RESULT "
    mov failures, %ax
    call put_decimal
    say " failed\r\n"
    mov $0x10, %al
    cmpw $0, failures
    je 1f
    inc %al
1:  out %al, $EXIT
2:  hlt
    jmp 2b

load_failed:
    mov $0x0E4C, %ax
    mov $7, %bx
    int $0x10
    mov $0x12, %al
    out %al, $EXIT
2:  hlt
    jmp 2b

drive:
    .byte 0
    .balign 2
track_sectors:
    .word 0
heads:
    .word 0
failures:
    .word 0

    .org 510
    .word 0xAA55

/* To COM1: AL. */
put:
    push %dx
    push %ax
    mov $COM1 + 5, %dx
1:  in %dx, %al
    test $0x20, %al
    jz 1b
    pop %ax
    mov $COM1, %dx
    out %al, %dx
    pop %dx
    ret

/* From COM1: a byte into AL. */
receive:
    push %dx
    mov $COM1 + 5, %dx
1:  in %dx, %al
    test $1, %al
    jz 1b
    mov $COM1, %dx
    in %dx, %al
    pop %dx
    ret

/* To COM1: the text at CS:SI; SI ends behind it. */
put_text:
    cs lodsb
    test %al, %al
    jz 1f
    call put
    jmp put_text
1:  ret

/* To COM1: the text behind the call. */
say_this:
    pop %si
    push %ax
    call put_text
    pop %ax
    jmp *%si

/* To COM1: AX in decimal, or in hexadecimal with four digits. Keep all registers. */
put_decimal:
    pusha
    mov $10, %bx
    xor %cx, %cx
1:  xor %dx, %dx
    div %bx
    push %dx
    inc %cx
    test %ax, %ax
    jnz 1b
2:  pop %ax
    add $'0', %al
    call put
    loop 2b
    popa
    ret

put_hex:
    pusha
    mov %ax, %bx
    mov $4, %cx
1:  rol $4, %bx
    mov %bl, %al
    and $15, %al
    add $'0', %al
    cmp $'9', %al
    jbe 2f
    add $'A' - '9' - 1, %al
2:  call put
    loop 1b
    popa
    ret

/* The name behind the call passed (AL 1) or failed (AL 0). */
verdict:
    pop %si
    test %al, %al
    jz 1f
    push %si
    say "PASS "
    pop %si
    jmp 2f
1:  incw %cs:failures
    push %si
    say "FAIL "
    pop %si
2:  call put_text
    push %si
    say "\r\n"
    pop %si
    jmp *%si

skipped:
    pop %si
    push %si
    say "SKIP "
    pop %si
    call put_text
    push %si
    say "\r\n"
    pop %si
    jmp *%si
