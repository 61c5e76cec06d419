/*
 * video.S - int 10h: text, cursor, colours, scrolling and pages; pixels in modes 12h and 13h; VBE modes with a linear
 * frame buffer and with banks. Three pictures are shown: text, mode13, and vbe.
 */
#include "tests/guest/boot/boot.h"

#define TEXT   0xB800
#define GRAPHS 0xA000
#define CELL(x, y) (2 * (80 * (y) + (x)))

    .macro set_cursor x, y
    mov $0x02, %ah
    mov $0, %bh
    mov $(\y) << 8 | (\x), %dx
    int $0x10
    .endm

    .macro get_cursor
    mov $0x03, %ah
    mov $0, %bh
    int $0x10
    .endm

    .macro teletype character
    mov $0x0E00 | \character, %ax
    mov $7, %bx
    int $0x10
    .endm

    /* Registers of Bochs's VBE extension. */
    .macro set_dispi index, value
    mov $\index, %ax
    mov $0x1CE, %dx
    out %ax, %dx
    mov $\value, %ax
    inc %dx
    out %ax, %dx
    .endm

    .macro get_dispi index
    mov $\index, %ax
    mov $0x1CE, %dx
    out %ax, %dx
    inc %dx
    in %dx, %ax
    .endm

main:
    mov $TEXT, %ax
    mov %ax, %fs
    mov $GRAPHS, %ax
    mov %ax, %gs
    call modes
    call cursor
    call characters
    call scrolling
    call pages
    call text_picture
    call planes
    call mode13
    jmp vbe

modes:
    mov $0x0003, %ax
    int $0x10
    mov $0x0F, %ah
    int $0x10
    mov %bx, %bp
    cmp $0x5003, %ax
    check e, "int 10h 0F: mode 3, 80 columns"
    test $0xFF00, %bp
    check z, "int 10h 0F: page 0"
    mov $0x1130, %ax
    mov $0x06, %bh
    int $0x10
    push %ds
    pop %es
    cmp $16, %cx
    mov %dx, %bx
    check e, "int 10h 1130: characters of 16 lines"
    cmp $24, %bl
    check e, "int 10h 1130: 25 rows"
    xor %ax, %ax
    mov %ax, %es
    mov $0x1A00, %ax
    int $0x10
    cmp $0x1A, %al
    check e, "int 10h 1A: knows what displays there are"
    cmp $0x08, %bl
    check e, "int 10h 1A: a VGA with colours"
    ret

cursor:
    set_cursor 20, 10
    get_cursor
    cmp $0x0A14, %dx
    check e, "int 10h 02 and 03: the cursor moves"
    /* The chip's cursor, in registers 0E and 0F. */
    mov $0x3D4, %dx
    mov $0x0E, %al
    out %al, %dx
    inc %dx
    in %dx, %al
    mov %al, %bh
    dec %dx
    mov $0x0F, %al
    out %al, %dx
    inc %dx
    in %dx, %al
    mov %al, %bl
    cmp $80 * 10 + 20, %bx
    check e, "the chip's cursor moves with it"
    mov $0x01, %ah
    mov $0x0007, %cx
    int $0x10
    get_cursor
    cmp $0x0007, %cx
    check e, "int 10h 01: the cursor's shape"
    mov $0x01, %ah
    mov $0x0607, %cx
    int $0x10
    ret

characters:
    set_cursor 20, 10
    teletype 'A'
    get_cursor
    cmp $0x0A15, %dx
    check e, "int 10h 0E: the cursor goes on"
    cmpw $0x0741, %fs:CELL(20, 10)
    check e, "int 10h 0E: the letter is on the screen"
    teletype 13
    teletype 10
    get_cursor
    cmp $0x0B00, %dx
    check e, "int 10h 0E: a new line"
    set_cursor 5, 11
    teletype 8
    get_cursor
    cmp $0x0B04, %dx
    check e, "int 10h 0E: backspace"

    set_cursor 30, 12
    mov $0x0978, %ax
    mov $0x001E, %bx
    mov $5, %cx
    int $0x10
    cmpw $0x1E78, %fs:CELL(34, 12)
    check e, "int 10h 09: five letters in yellow"
    cmpw $0x1E78, %fs:CELL(35, 12)
    check ne, "int 10h 09: no more"
    mov $0x08, %ah
    mov $0, %bh
    int $0x10
    cmp $0x1E78, %ax
    check e, "int 10h 08: reads one"
    mov $0x0A79, %ax
    mov $0x004F, %bx
    mov $1, %cx
    int $0x10
    cmpw $0x1E79, %fs:CELL(30, 12)
    check e, "int 10h 0A: the colour stays"

    mov $0x1301, %ax
    mov $0x002F, %bx
    mov $string_end - string, %cx
    mov $(15 << 8) | 10, %dx
    mov $string, %bp
    int $0x10
    cmpw $0x2F67, %fs:CELL(17, 15)
    check e, "int 10h 13: the string is on the screen"
    get_cursor
    cmp $(15 << 8) | (10 + string_end - string), %dx
    check e, "int 10h 13: the cursor is behind it"
    ret

string:
    .ascii "a string"
string_end:

scrolling:
    set_cursor 0, 20
    teletype 'S'
    /* All up by one. */
    mov $0x0601, %ax
    mov $0x17, %bh
    xor %cx, %cx
    mov $(24 << 8) | 79, %dx
    int $0x10
    cmpw $0x0753, %fs:CELL(0, 19)
    check e, "int 10h 06: up"
    cmpw $0x1720, %fs:CELL(79, 24)
    check e, "int 10h 06: the new line's colour"
    /* A part down by two. */
    mov $0x0702, %ax
    mov $0x07, %bh
    mov $(18 << 8) | 0, %cx
    mov $(24 << 8) | 10, %dx
    int $0x10
    cmpw $0x0753, %fs:CELL(0, 21)
    check e, "int 10h 07: down"
    cmpw $0x1720, %fs:CELL(79, 24)
    check e, "int 10h 07: what is beside it stays"
    /* A new line at the bottom scrolls. */
    set_cursor 3, 24
    teletype 10
    cmpw $0x0753, %fs:CELL(0, 20)
    check e, "int 10h 0E: a line feed at the bottom scrolls"
    get_cursor
    cmp $0x1803, %dx
    check e, "int 10h 0E: the cursor stays there"
    ret

pages:
    mov $0x0501, %ax
    int $0x10
    mov $0x0F, %ah
    int $0x10
    cmp $1, %bh
    check e, "int 10h 05: page 1"
    mov $0x3D4, %dx
    mov $0x0C, %al
    out %al, %dx
    inc %dx
    in %dx, %al
    cmp $0x08, %al
    check e, "the chip shows 4 KiB further"
    mov $0x0E50, %ax /* to the page that is shown */
    mov $0x0107, %bx
    int $0x10
    cmpb $0x50, %fs:0x1000
    check e, "int 10h 0E: writes there"
    mov $0x0500, %ax
    int $0x10
    ret

/* All colours, all characters. */
text_picture:
    mov $0x0003, %ax
    int $0x10
    mov $0x01, %ah
    mov $0x2000, %cx
    int $0x10
    mov $0x1003, %ax /* bright backgrounds in place of blinking */
    mov $0, %bl
    int $0x10
    mov $CELL(8, 2), %di
    xor %ax, %ax
1:  mov $0x23, %dl
    mov %al, %dh
    mov %dx, %fs:(%di)
    mov %dl, %fs:2(%di)
    mov %dh, %fs:3(%di)
    mov %al, %fs:CELL(44, 0) - CELL(8, 0)(%di)
    movb $0x0F, %fs:CELL(44, 0) - CELL(8, 0) + 1(%di)
    add $4, %di
    inc %ax
    test $15, %al
    jnz 1b
    add $2 * (80 - 32), %di
    test $0xFF, %al
    jnz 1b
    show "text"
    ret

/* Sixteen colours in four planes. */
planes:
    mov $0x0012, %ax
    int $0x10
    mov $0x0C05, %ax
    mov $0, %bh
    mov $631, %cx
    mov $471, %dx
    int $0x10
    mov $0x0D00, %ax
    mov $0, %bh
    mov $631, %cx
    mov $471, %dx
    int $0x10
    cmp $5, %al
    check e, "mode 12h: a pixel comes back"
    mov $0x0C83, %ax /* exclusive or */
    mov $0, %bh
    mov $631, %cx
    mov $471, %dx
    int $0x10
    mov $0x0D00, %ax
    mov $0, %bh
    mov $631, %cx
    mov $471, %dx
    int $0x10
    cmp $6, %al
    check e, "mode 12h: exclusive or"
    mov $0x0D00, %ax
    mov $0, %bh
    mov $632, %cx
    mov $471, %dx
    int $0x10
    cmp $0, %al
    check e, "mode 12h: its neighbour is black"
    ret

mode13:
    mov $0x0013, %ax
    int $0x10
    mov $0x0F, %ah
    int $0x10
    cmp $0x2813, %ax
    check e, "mode 13h is set"
    /* Sixteen colours of our own: block of DAC registers; red up, green down. */
    mov $dac, %di
    xor %cx, %cx
1:  mov %cl, %al
    shl $2, %al
    mov %al, (%di)
    mov $60, %ah
    sub %al, %ah
    mov %ah, 1(%di)
    movb $20, 2(%di)
    add $3, %di
    inc %cx
    cmp $16, %cx
    jb 1b
    mov $0x1012, %ax
    xor %bx, %bx
    mov $16, %cx
    mov $dac, %dx
    int $0x10
    mov $0x1015, %ax
    mov $9, %bx
    int $0x10
    cmp $(60 - 36) << 8 | 20, %cx
    check e, "int 10h 1015: green and blue of a colour"
    /* Squares of 20 x 20 pixels. */
    xor %di, %di
    xor %dx, %dx
2:  xor %cx, %cx
3:  mov %dx, %ax
    mov $20, %bl
    div %bl
    mov %al, %bh
    mov %cx, %ax
    div %bl
    xor %bh, %al
    and $15, %al
    mov %al, %gs:(%di)
    inc %di
    inc %cx
    cmp $320, %cx
    jb 3b
    inc %dx
    cmp $200, %dx
    jb 2b
    /* A line through the BIOS. */
    xor %cx, %cx
4:  mov $0x0C0F, %ax
    mov $0, %bh
    mov %cx, %dx
    int $0x10
    inc %cx
    cmp $200, %cx
    jb 4b
    cmpb $15, %gs:321 * 100
    check e, "int 10h 0C: mode 13h, a pixel"
    mov $0x0D00, %ax
    mov $0, %bh
    mov $310, %cx
    mov $199, %dx
    int $0x10
    cmp $(15 ^ 9), %al
    check e, "int 10h 0D: mode 13h, a pixel comes back"
    show "mode13"
    ret

/* The mode of 640 x 480 with 32 bits a pixel, looked for in the BIOS's list. */
vbe:
    movl $0x32454256, info /* VBE2 */
    mov $0x4F00, %ax
    mov $info, %di
    int $0x10
    cmp $0x004F, %ax
    check e, "VBE 00: is there"
    cmpl $0x41534556, info
    check e, "VBE 00: VESA"
    cmpw $0x0200, info + 4
    check ae, "VBE 00: 2.0 or later"
    cmpw $1024, info + 18 /* units of 64 KiB */
    check e, "VBE 00: 64 MiB"

    lds info + 14, %si
1:  lodsw
    cmp $0xFFFF, %ax
    je 2f
    mov %ax, %cx
    mov $0x4F01, %ax
    mov $mode, %di
    push %cx
    int $0x10
    pop %cx
    cmp $0x004F, %ax
    jne 1b
    cmpw $640, %es:mode + 18
    jne 1b
    cmpw $480, %es:mode + 20
    jne 1b
    cmpb $32, %es:mode + 25
    jne 1b
    mov %cx, %es:number
2:  xor %ax, %ax
    mov %ax, %ds
    cmpw $0, number
    check ne, "VBE 01: 640 x 480 with 32 bits is in the list"
    mov mode, %ax
    and $0x99, %ax
    cmp $0x99, %ax
    check e, "VBE 01: supported, in colours, graphics, linear"
    cmpw $2560, mode + 16
    check e, "VBE 01: bytes a line"
    cmpb $6, mode + 27
    check e, "VBE 01: direct colour"
    /* The frame buffer is where PCI says. */
    mov $0xB103, %ax
    mov $0x030000, %ecx
    xor %si, %si
    int $0x1A
    check nc, "int 1Ah B103: PCI has a display"
    mov $0xB10A, %ax
    mov $0x10, %di
    int $0x1A
    and $0xFFFFFFF0, %ecx
    cmp %ecx, mode + 40
    check e, "VBE 01: the frame buffer is the first BAR"

    mov $0x4F02, %ax
    mov number, %bx
    or $0x4000, %bx
    int $0x10
    cmp $0x004F, %ax
    check e, "VBE 02: the mode is set"
    mov $0x4F03, %ax
    int $0x10
    and $0x1FF, %bx
    cmp %bx, number
    check e, "VBE 03: it is this one"
    mov $0x4F06, %ax
    mov $1, %bl
    int $0x10
    cmp $2560, %bx
    check e, "VBE 06: the length of a line"
    call flat
    call draw
    show "vbe"

    /* The picture begins 100 lines further down. */
    mov $0x4F07, %ax
    xor %bx, %bx
    xor %cx, %cx
    mov $100, %dx
    int $0x10
    cmp $0x004F, %ax
    check e, "VBE 07: the start of the picture"
    mov $0x4F07, %ax
    mov $1, %bx
    int $0x10
    cmp $100, %dx
    check e, "VBE 07: it is said"
    show "vbe-moved"

    /* The same mode with a window, memory as it is: bank 2 is 128 KiB into the frame buffer. */
    mov $0x4F02, %ax
    mov number, %bx
    or $0x8000, %bx
    int $0x10
    cmp $0x004F, %ax
    check e, "VBE 02: the mode is set with banks"
    mov $0x4F05, %ax
    xor %bx, %bx
    mov $2, %dx
    int $0x10
    cmp $0x004F, %ax
    check e, "VBE 05: sets the bank"
    mov $GRAPHS, %ax
    mov %ax, %gs
    mov %gs:0x100, %eax
    push %eax
    call flat
    pop %eax
    mov mode + 40, %edi
    cmp 0x20100(%edi), %eax
    check e, "VBE 05: the window shows what is there"
    mov $0x4F01, %ax
    mov $0x01FF, %cx
    mov $mode, %di
    int $0x10
    cmp $0x004F, %ax
    check ne, "VBE 01: a mode that doesn't exist"
    mov $0x4F02, %ax
    mov $0x01FF, %bx
    int $0x10
    cmp $0x004F, %ax
    check ne, "VBE 02: it can't be set"

    /* The largest mode that the monitor names, by the adapter's own registers. */
    set_dispi 4, 0
    set_dispi 1, 3840
    set_dispi 2, 2160
    set_dispi 3, 32
    set_dispi 4, 0x41
    get_dispi 1
    cmp $3840, %ax
    check e, "3840 x 2160 with 32 bits: the width"
    get_dispi 2
    cmp $2160, %ax
    check e, "3840 x 2160 with 32 bits: the height"
    get_dispi 7
    cmp $2 * 2160, %ax
    check ae, "3840 x 2160 with 32 bits: room for two pictures"
    set_dispi 4, 0
    mov $0x0003, %ax
    int $0x10
    mov $0x4F03, %ax
    int $0x10
    cmp $3, %bl
    check e, "VBE 03: text again"
    set_cursor 0, 0
    teletype 'T'
    mov $TEXT, %ax
    mov %ax, %fs
    cmpw $0x0754, %fs:0
    check e, "text again"
    ret

/* From here on DS reaches all of 4 GiB: returning to real mode leaves the limit as it was (SDM 3A 9.9.2). */
flat:
    cli
    lgdt gdtr
    mov %cr0, %eax
    or $1, %al
    mov %eax, %cr0
    mov $8, %bx
    mov %bx, %ds
    and $0xFE, %al
    mov %eax, %cr0
    xor %bx, %bx
    mov %bx, %ds
    sti
    ret

/* Squares of 40 x 40 pixels in eight colours, 580 lines of them. */
draw:
    mov mode + 40, %edi
    xor %edx, %edx
1:  xor %ecx, %ecx
2:  mov %dx, %ax
    mov $40, %bl
    div %bl
    mov %al, %bh
    mov %cx, %ax
    div %bl
    add %bh, %al
    and $7, %ax
    mov %ax, %si
    shl $2, %si
    mov colors(%si), %eax
    mov %eax, (%edi)
    add $4, %edi
    inc %cx
    cmp $640, %cx
    jb 2b
    inc %dx
    cmp $580, %dx
    jb 1b
    /* A white line down the middle. */
    mov mode + 40, %edi
    mov $580, %cx
3:  movl $0xFFFFFF, 1280(%edi)
    add $2560, %edi
    loop 3b
    ret

    .balign 4
colors:
    .long 0x000000, 0xFF0000, 0x00FF00, 0x0000FF, 0x804000, 0x008040, 0x400080, 0xC0C0C0
    .balign 8
gdt:
    .quad 0, 0x00CF92000000FFFF
gdtr:
    .word 15
    .long gdt
number:
    .word 0

    image_end

/* Behind the program. */
    .set dac, program_end
    .set mode, program_end + 0x100
    .set info, program_end + 0x200
