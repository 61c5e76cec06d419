/*
 * fill.S - writes to all sectors of its disk from FIRST on, until the BIOS says that it can't be. Then it reads the first one
 * again, and says how far it came: FULL number, or COMPLETE.
 */
#include "tests/guest/boot/boot.h"

#define FIRST 64
#define COUNT 32 /* sectors at a time */

#define BUFFER 0x2000 /* a segment */

main:
    mov $BUFFER, %ax
    mov %ax, %es
    xor %di, %di
    mov $0xA5, %al
    mov $COUNT * SECTOR, %cx
    rep stosb
    push %ds
    pop %es
    movw $30, packet
    mov $packet, %si
    mov $0x48, %ah
    mov drive, %dl
    int $0x13
    check nc, "int 13h 48: parameters"
    mov packet + 16, %ebp
    mov $FIRST, %ebx
    movw $16, packet

write_next:
    call set_packet
    mov $0x4300, %ax
    int $0x13
    jc full
    add $COUNT, %ebx
    lea COUNT(%ebx), %eax
    cmp %ebp, %eax
    jbe write_next
    say "COMPLETE\r\n"
    jmp read_again

full:
    mov %ah, error
    say "FULL "
    mov %bx, %ax
    call put_decimal
    say "\r\n"
    cmpb $0, error
    check ne, "int 13h 43: says what is wrong"

read_again:
    mov $FIRST, %ebx
    call set_packet
    mov $0x42, %ah
    int $0x13
    check nc, "int 13h 42: reading goes on"
    ret

/* A packet for sectors EBX on, DL and SI. */
set_packet:
    movw $COUNT, packet + 2
    movw $0, packet + 4
    movw $BUFFER, packet + 6
    mov %ebx, packet + 8
    movl $0, packet + 12
    mov $packet, %si
    mov drive, %dl
    ret

error:
    .byte 0
    .balign 4
packet:
    .fill 32

    image_end
