/*
 * keys.S - int 16h: says on the screen, in a line each, which keys come: KEY=scan code and character. The key q ends it.
 * No blanks in what it shows: who watches the screen on a terminal gets no blanks for what was blank.
 */
#include "tests/guest/boot/boot.h"

main:
    mov $0x0003, %ax
    int $0x10
    mov $0x01, %ah
    int $0x16
    check z, "int 16h 01: no key yet"
    mov $0x11, %ah
    int $0x16
    check z, "int 16h 11: no key yet"
    mov $0x02, %ah
    int $0x16
    test $0x0F, %al
    check z, "int 16h 02: no modifiers"
    mov $0x05, %ah
    mov $0x1E61, %cx
    int $0x16
    cmp $0, %al
    check e, "int 16h 05: puts a key into the queue"
    mov $0x01, %ah
    int $0x16
    check nz, "int 16h 01: it is there"
    mov $0x00, %ah
    int $0x16
    cmp $0x1E61, %ax
    check e, "int 16h 00: it is this one"
    mov $ready, %si
    call show_text

next_key:
    mov $0x10, %ah
    int $0x16
    push %ax
    mov $key, %si
    call show_text
    pop %ax
    push %ax
    call show_hex
    mov $line_end, %si
    call show_text
    pop %ax
    cmp $0x1071, %ax
    jne next_key
    ret

show_text:
    cs lodsb
    test %al, %al
    jz 1f
    call show_character
    jmp show_text
1:  ret

show_hex:
    mov %ax, %dx
    mov $4, %cx
1:  rol $4, %dx
    mov %dl, %al
    and $15, %al
    add $'0', %al
    cmp $'9', %al
    jbe 2f
    add $'A' - '9' - 1, %al
2:  call show_character
    loop 1b
    ret

show_character:
    push %si
    mov $0x0E, %ah
    mov $7, %bx
    int $0x10
    pop %si
    ret

ready:
    .asciz "READY\r\n"
key:
    .asciz "KEY="
line_end:
    .asciz "\r\n"

    image_end
