/*
 * sector.S - a disk of two sectors for the tests of the firmware: it asks the BIOS for what a boot loader needs, tells
 * the debug port what it found, resets the CPU as programs of the 286's days did, and ends the run with status 33.
 */
    .code16

    .macro say text
    mov $\text, %si
    call print
    .endm

    .globl start
start:
    xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $0x7C00, %sp
    sti
    cld
    mov %dl, drive
    ljmp $0, $1f
1:  say hello

    /* Sector 2, by cylinder, head and sector. */
    mov $0x0201, %ax
    mov $0x7E00, %bx
    mov $0x0002, %cx
    mov drive, %dl
    mov $0, %dh
    int $0x13
    jc fail
    say second

    /* The first entry of the memory map begins at 0 and is RAM. */
    xor %ebx, %ebx
    mov $0xE820, %eax
    mov $0x534D4150, %edx
    mov $24, %ecx
    mov $map, %di
    int $0x15
    jc fail
    cmpl $0x534D4150, %eax
    jne fail
    mov map, %eax
    or map + 4, %eax
    jnz fail
    cmpl $1, map + 16
    jne fail
    say memory

    /* The BIOS in its shadow RAM can't be written any more. */
    mov $0xF000, %ax
    mov %ax, %es
    mov %es:0xFFFE, %al
    notb %es:0xFFFE
    cmp %es:0xFFFE, %al
    jne fail
    say shadow

    /* Half a second of the timer's interrupts. */
    mov 0x46C, %eax
    add $9, %eax
1:  hlt
    cmp %eax, 0x46C
    jb 1b
    say ticks

    /* Shutdown code 0Ah: after this reset the BIOS jumps to where 40:67 points. */
    movw $resumed, 0x467
    movw $0, 0x469
    cli
    mov $0x8F, %al
    out %al, $0x70
    mov $0x0A, %al
    out %al, $0x71
    mov $0xFE, %al
    out %al, $0x64
1:  hlt
    jmp 1b

resumed:
    xor %ax, %ax
    mov %ax, %ds
    mov %ax, %ss
    mov $0x7C00, %sp
    say back
    mov $0x10, %al
    out %al, $0xF4
1:  hlt
    jmp 1b

fail:
    say bad
    mov $0x11, %al
    out %al, $0xF4
1:  hlt
    jmp 1b

/* To the debug port and the screen. */
print:
    lodsb
    test %al, %al
    jz 1f
    out %al, $0xE9
    mov $0x0E, %ah
    mov $7, %bx
    int $0x10
    jmp print
1:  ret

hello:
    .asciz "sector: started\r\n"
memory:
    .asciz "sector: memory map\r\n"
shadow:
    .asciz "sector: ROM\r\n"
ticks:
    .asciz "sector: ticks\r\n"
back:
    .asciz "sector: back from reset\r\n"
bad:
    .asciz "sector: FAILED\r\n"
drive:
    .byte 0
    .align 4
map:
    .fill 24

    .org 510
    .word 0xAA55

second:
    .asciz "sector: second sector\r\n"
    .org 1024
