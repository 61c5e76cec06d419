/*
 * services.S - what the BIOS says about the machine: memory (int 12h, int 15h), equipment (int 11h), time (int 1Ah),
 * and address line 20 by each way that closes and opens it.
 */
#include "tests/guest/boot/boot.h"

/* The test of A20: a word at 0:0500, which is also that at FFFF:0510 when the line is held low. */
#define LOW_WORD  0x500
#define HIGH_WORD 0x510 /* in segment FFFF */

main:
    call equipment
    call memory_sizes
    call memory_map
    call clock
    call waits
    jmp address_line

equipment:
    int $0x11
    test $0x02, %al
    check nz, "int 11h: there is an FPU"
    int $0x11
    and $0x30, %al
    cmp $0x20, %al
    check e, "int 11h: the screen starts with 80 columns"
    int $0x11
    cmp BDA(0x10), %ax
    check e, "int 11h: it is what the BIOS data area has"
    ret

memory_sizes:
    int $0x12
    cmp $639, %ax
    check e, "int 12h: 639 KiB and 1 KiB of the BIOS"
    mov $0x88, %ah
    clc
    int $0x15
    mov %ax, %bx
    check nc, "int 15h 88: extended memory"
    cmp $15 << 10, %bx
    check ae, "int 15h 88: at least 15 MiB"
    mov $0xE801, %ax
    xor %cx, %cx
    xor %dx, %dx
    int $0x15
    pushf
    pop %bp
    cmp $15 << 10, %cx
    mov %dx, %bx
    check e, "int 15h E801: 15 MiB below 16 MiB"
    /* 64 KiB each, of the 64 MiB that the test gives: 48 MiB, less what the BIOS keeps at the end. */
    cmp $48 << 4, %bx
    check be, "int 15h E801: no more above than there is"
    cmp $47 << 4, %bx
    check ae, "int 15h E801: hardly less"
    test $1, %bp
    check z, "int 15h E801: no error"
    ret

/* E820, entry after entry: they don't overlap, RAM is there at 0 and at 1 MiB, and all of it is 64 MiB but little. */
memory_map:
    xor %ebx, %ebx
    movl $0, ram
    movw $0, entries
1:  mov $0xE820, %eax
    mov $0x534D4150, %edx
    mov $24, %ecx
    mov $map, %di
    int $0x15
    jc 3f
    cmp $0x534D4150, %eax
    jne 4f
    cmp $20, %ecx
    jb 4f
    incw entries
    cmpl $1, map + 16
    jne 2f
    mov map + 8, %eax
    add %eax, ram
2:  cmpl $0x100000, map
    jne 2f
    cmpl $1, map + 16
    jne 2f
    movb $1, has_high
2:  test %ebx, %ebx
    jz 3f
    cmpw $40, entries
    jb 1b
3:  cmpw $3, entries
    check ae, "int 15h E820: some entries"
    cmpb $1, has_high
    check e, "int 15h E820: RAM from 1 MiB on"
    cmpl $64 << 20, ram
    check b, "int 15h E820: no more RAM than there is"
    cmpl $63 << 20, ram
    check a, "int 15h E820: hardly less"
    ret
4:  stc
    check nc, "int 15h E820: the signature"
    ret

    .macro is_bcd value, most
    mov \value, %al
    mov \most, %ah
    call bcd
    .endm

/* Carry clear if AL is two decimal digits and at most AH. */
bcd:
    cmp %al, %ah
    jb 1f
    and $0x0F, %al
    cmp $0x0A, %al
    cmc
1:  ret

clock:
    mov $0x02, %ah
    int $0x1A
    pushf
    mov %cx, time
    mov %dh, time + 2
    popf
    check nc, "int 1Ah 02: the time"
    is_bcd time + 1, $0x23
    check nc, "int 1Ah 02: hours"
    is_bcd time, $0x59
    check nc, "int 1Ah 02: minutes"
    is_bcd time + 2, $0x59
    check nc, "int 1Ah 02: seconds"
    mov $0x04, %ah
    int $0x1A
    pushf
    mov %cx, date
    mov %dx, date + 2
    popf
    check nc, "int 1Ah 04: the date"
    cmpb $0x20, date + 1
    check e, "int 1Ah 04: it is the 21st century"
    is_bcd date + 3, $0x12
    check nc, "int 1Ah 04: month"
    is_bcd date + 2, $0x31
    check nc, "int 1Ah 04: day"

    /* The ticks since midnight. */
    sti
    mov $0x00, %ah
    int $0x1A
    mov %dx, %bx
    mov $10000, %cx
1:  hlt
    push %cx
    mov $0x00, %ah
    int $0x1A
    pop %cx
    sub %bx, %dx
    cmp $3, %dx
    jae 2f
    loop 1b
2:  cmp $3, %dx
    check ae, "int 1Ah 00: ticks go on"
    /* Setting them. */
    mov $0x01, %ah
    mov $0x0012, %cx
    mov $0x3456, %dx
    int $0x1A
    mov $0x00, %ah
    int $0x1A
    cmp $0x0012, %cx
    check e, "int 1Ah 01: the ticks can be set"
    ret

/* 150 ms by the BIOS's own wait are two or three ticks of 55 ms, and what a busy host adds. */
waits:
    mov BDA(0x6C), %bx
1:  hlt
    cmp BDA(0x6C), %bx
    je 1b
    mov BDA(0x6C), %bx
    mov $0x86, %ah
    mov $150000 >> 16, %cx
    mov $150000 & 0xFFFF, %dx
    int $0x15
    check nc, "int 15h 86: waits"
    mov BDA(0x6C), %ax
    sub %bx, %ax
    cmp $2, %ax
    check ae, "int 15h 86: it takes its time"
    ret

/* Zero flag: is the line open? */
line_open:
    push %ds
    push %bx
    xor %bx, %bx
    mov %bx, %ds
    movw $0x1234, LOW_WORD
    mov $0xFFFF, %bx
    mov %bx, %ds
    movw $0xABCD, HIGH_WORD
    xor %bx, %bx
    mov %bx, %ds
    cmpw $0x1234, LOW_WORD
    pop %bx
    pop %ds
    ret

/* Waits until the keyboard controller takes a byte. */
controller_ready:
    in $0x64, %al
    test $2, %al
    jnz controller_ready
    ret

/* The keyboard controller's output port gets AL. */
controller_output:
    mov %al, %ah
    call controller_ready
    mov $0xD1, %al
    out %al, $0x64
    call controller_ready
    mov %ah, %al
    out %al, $0x60
    call controller_ready
    ret

address_line:
    mov $0x2401, %ax
    int $0x15
    check nc, "int 15h 2401: opens A20"
    call line_open
    check e, "A20 is open"
    mov $0x2402, %ax
    int $0x15
    cmp $1, %al
    check e, "int 15h 2402: says so"
    mov $0x2400, %ax
    int $0x15
    check nc, "int 15h 2400: closes A20"
    call line_open
    check ne, "A20 is closed: 1 MiB is 0"
    mov $0x2402, %ax
    int $0x15
    cmp $0, %al
    check e, "int 15h 2402: says so, closed"
    mov $0x2403, %ax
    int $0x15
    check nc, "int 15h 2403: which ways there are"

    in $0x92, %al
    or $2, %al
    and $0xFE, %al
    out %al, $0x92
    call line_open
    check e, "port 92 opens it"
    in $0x92, %al
    and $0xFC, %al
    out %al, $0x92
    call line_open
    check ne, "port 92 closes it"

    cli
    mov $0xDF, %al
    call controller_output
    call line_open
    check e, "the keyboard controller opens it"
    mov $0xDD, %al
    call controller_output
    call line_open
    check ne, "the keyboard controller closes it"
    sti
    mov $0x2401, %ax
    int $0x15
    call line_open
    check e, "A20 is open again"
    ret

    .balign 4
ram:
    .long 0
entries:
    .word 0
has_high:
    .byte 0
time:
    .byte 0, 0, 0, 0
date:
    .byte 0, 0, 0, 0
    .balign 4
map:
    .fill 24

    image_end
