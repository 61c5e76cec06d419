/*
 * disk.S - int 13h on the drive it was started from: a hard disk or a floppy disk, by cylinder, head and sector and by
 * block number, or a CD. On a disk, sectors from FIRST on begin with their number; sectors WRITTEN_CHS and WRITTEN_LBA are
 * overwritten, with what they had, inverted.
 */
#include "tests/guest/boot/boot.h"

#define FIRST       64
#define WRITTEN_CHS 200
#define WRITTEN_LBA 300 /* two of them, on hard disks */
#define FAR         1000
#define BUFFER      0x2000 /* a segment */

main:
    mov $BUFFER, %ax
    mov %ax, %fs
    testb $0x80, drive
    jz 1f
    mov $packet, %si
    mov $0x4B01, %ax
    mov drive, %dl
    int $0x13
    jc 1f
    mov packet + 2, %al
    cmp %al, drive
    je cd
1:  mov $0x00, %ah
    mov drive, %dl
    int $0x13
    check nc, "int 13h 00: reset"
    call geometry
    call chs
    testb $0x80, drive
    jz floppy
    call hard_disk
    jmp write_sector

geometry:
    mov $0x08, %ah
    mov drive, %dl
    xor %di, %di
    int $0x13
    push %ds
    pop %es
    mov %bl, type
    mov %cl, %al
    and $0x3F, %ax
    mov %ax, track_sectors
    mov %dh, %al
    inc %ax
    mov %ax, heads
    xchg %cl, %ch
    shr $6, %ch
    mov %cx, last_cylinder
    ret

/* CHS of sector AX, for int 13h: CX, DX. */
convert:
    xor %dx, %dx
    divw track_sectors
    mov %dl, %cl
    inc %cl
    xor %dx, %dx
    divw heads
    mov %al, %ch
    shl $6, %ah
    or %ah, %cl
    mov %dl, %dh
    mov drive, %dl
    ret

/* Reads BX sectors from number AX on into FS:0. AH and carry are the BIOS's. */
read:
    push %bx
    call convert
    pop %ax
    mov $0x02, %ah
    push %fs
    pop %es
    xor %bx, %bx
    int $0x13
    push %ds
    pop %es
    ret

    .macro read_sectors first, count
    mov \first, %ax
    mov \count, %bx
    call read
    .endm

chs:
    read_sectors $FIRST, $1
    check nc, "int 13h 02: reads"
    cmpl $FIRST, %fs:0
    check e, "int 13h 02: the right sector"
    mov $0x01, %ah
    mov drive, %dl
    int $0x13
    cmp $0, %ah
    check e, "int 13h 01: that went well"
    /* To the end of a track. */
    mov $FIRST, %ax
    xor %dx, %dx
    divw track_sectors
    mov track_sectors, %bx
    sub %dx, %bx
    push %bx
    mov $FIRST, %ax
    call read
    pop %bx
    check nc, "int 13h 02: to the end of the track"
    dec %bx
    mov %bx, %di
    shl $9, %di
    add $FIRST, %bx
    cmp %bx, %fs:(%di)
    check e, "int 13h 02: the last sector of the track"
    read_sectors $FAR, $1
    check nc, "int 13h 02: further in"
    cmpl $FAR, %fs:0
    check e, "int 13h 02: the right one there"
    mov $FAR, %ax
    call convert
    mov $0x0402, %ax
    int $0x13
    check nc, "int 13h 04: verifies"
    /* What isn't there. A BIOS doesn't speak of a hard disk's last cylinder, which was for diagnostics. */
    mov $0x0201, %ax
    mov last_cylinder, %cx
    add $2, %cx
    xchg %cl, %ch
    shl $6, %cl
    inc %cl
    mov $0, %dh
    mov drive, %dl
    xor %bx, %bx
    push %fs
    pop %es
    int $0x13
    push %ds
    pop %es
    check c, "int 13h 02: no cylinder beyond the last"
    mov $0x01, %ah
    mov drive, %dl
    int $0x13
    cmp $0, %ah
    check ne, "int 13h 01: that went wrong"
    mov $0x5F, %ah
    mov drive, %dl
    int $0x13
    check c, "int 13h 5F: there is no such function"
    ret

/* A packet for 42h and 43h: sector, count; to FS:0. Uses AX, SI and DL. */
    .macro packet_for sector, count
    mov \sector, %eax
    mov %eax, packet + 8
    movl $0, packet + 12
    movw $16, packet
    movw \count, packet + 2
    movw $0, packet + 4
    movw $BUFFER, packet + 6
    mov $packet, %si
    mov drive, %dl
    .endm

has_extensions:
    mov $0x41, %ah
    mov $0x55AA, %bx
    mov drive, %dl
    int $0x13
    setc %al
    cmp $0xAA55, %bx
    setne %ah
    and $1, %cx
    xor $1, %cl
    or %cl, %al
    or %ah, %al
    test %al, %al
    check z, "int 13h 41: block numbers are understood"
    ret

hard_disk:
    mov $0x15, %ah
    mov drive, %dl
    int $0x13
    cmp $3, %ah
    check e, "int 13h 15: a hard disk"
    call has_extensions
    movw $30, packet
    mov $packet, %si
    mov $0x48, %ah
    mov drive, %dl
    int $0x13
    check nc, "int 13h 48: parameters"
    cmpw $512, packet + 24
    check e, "int 13h 48: sectors of 512 bytes"
    mov packet + 16, %eax
    mov %eax, size
    packet_for $FAR, $3
    mov $0x42, %ah
    int $0x13
    check nc, "int 13h 42: reads"
    cmpl $FAR, %fs:0
    check e, "int 13h 42: the first"
    cmpl $FAR + 2, %fs:0x400
    check e, "int 13h 42: the last"
    mov size, %ebx
    dec %ebx
    packet_for %ebx, $1
    mov $0x42, %ah
    int $0x13
    check nc, "int 13h 42: the disk's last sector"
    cmp %ebx, %fs:0
    check e, "int 13h 42: it is the last one"
    packet_for size, $1
    mov $0x42, %ah
    int $0x13
    check c, "int 13h 42: nothing behind it"
    packet_for %ebx, $2
    mov $0x42, %ah
    int $0x13
    check c, "int 13h 42: nor half of it"

    packet_for $WRITTEN_LBA, $2
    mov $0x42, %ah
    int $0x13
    call invert
    packet_for $WRITTEN_LBA, $2
    mov $0x4300, %ax
    int $0x13
    jc write_failed
    check nc, "int 13h 43: writes"
    movl $0, %fs:0x200
    packet_for $WRITTEN_LBA + 1, $1
    mov $0x42, %ah
    int $0x13
    cmpl $~(WRITTEN_LBA + 1), %fs:0
    check e, "int 13h 43: it can be read back"
write_failed:
    ret

/* Inverts 1 KiB at FS:0. */
invert:
    xor %di, %di
1:  notl %fs:(%di)
    add $4, %di
    cmp $1024, %di
    jb 1b
    ret

floppy:
    mov $0x15, %ah
    mov drive, %dl
    int $0x13
    cmp $1, %ah
    check e, "int 13h 15: a floppy disk"
    cmpb $4, type
    check e, "int 13h 08: a drive of 1.44 MB"
    cmpw $79, last_cylinder
    check e, "int 13h 08: 80 cylinders"
    cmpw $18, track_sectors
    check e, "int 13h 08: 18 sectors a track"
    cmpw $2, heads
    check e, "int 13h 08: two heads"
    read_sectors $2879, $1
    check nc, "int 13h 02: the disk's last sector"
    cmpl $2879, %fs:0
    check e, "int 13h 02: it is the last one"
    mov $0x0201, %ax
    mov $0x0013, %cx
    mov $0, %dh
    mov drive, %dl
    xor %bx, %bx
    push %fs
    pop %es
    int $0x13
    push %ds
    pop %es
    check c, "int 13h 02: no sector 19"
    /* The motor stops two seconds after the last access. */
    mov $0x3F2, %dx
    in %dx, %al
    test $0x10, %al
    check nz, "the motor runs"
    mov BDA(0x6C), %bx
1:  hlt
    in %dx, %al
    test $0x10, %al
    jz 2f
    mov BDA(0x6C), %ax
    sub %bx, %ax
    cmp $100, %ax
    jb 1b
2:  in %dx, %al
    test $0x10, %al
    check z, "the motor stops"

write_sector:
    read_sectors $WRITTEN_CHS, $1
    call invert
    mov $WRITTEN_CHS, %ax
    call convert
    mov $0x0301, %ax
    push %fs
    pop %es
    xor %bx, %bx
    int $0x13
    push %ds
    pop %es
    jc 1f
    check nc, "int 13h 03: writes"
    movl $0, %fs:0
    read_sectors $WRITTEN_CHS, $1
    cmpl $~WRITTEN_CHS, %fs:0
    check e, "int 13h 03: it can be read back"
    say "WRITTEN\r\n"
    ret
1:  testb $0x80, drive
    jnz 1f
    cmp $3, %ah
    check e, "int 13h 03: the disk is write-protected"
1:  say "PROTECTED\r\n"
    ret

cd:
    cmp %al, drive
    check e, "int 13h 4B01: started from a CD"
    testb $0x0F, packet + 1
    check z, "int 13h 4B01: without emulation"
    call has_extensions
    movw $30, packet
    mov $packet, %si
    mov $0x48, %ah
    mov drive, %dl
    int $0x13
    check nc, "int 13h 48: parameters"
    cmpw $2048, packet + 24
    check e, "int 13h 48: sectors of 2048 bytes"
    packet_for $16, $2
    mov $0x42, %ah
    int $0x13
    check nc, "int 13h 42: reads"
    cmpl $0x30304443, %fs:1 /* CD00 */
    check e, "int 13h 42: the volume descriptor"
    cmpl $0x54204C45, %fs:0x807 /* EL T */
    check e, "int 13h 42: the boot record behind it"
    packet_for $0xFFFFF0, $1
    mov $0x42, %ah
    int $0x13
    check c, "int 13h 42: nothing behind the end"
    packet_for $16, $1
    mov $0x4300, %ax
    int $0x13
    check c, "int 13h 43: nobody writes on a CD"
    packet_for $16, $1
    mov $0x42, %ah
    int $0x13
    check nc, "int 13h 42: after errors it goes on"
    ret

    .balign 4
packet:
    .byte 19
    .fill 31
size:
    .long 0
last_cylinder:
    .word 0
type:
    .byte 0

    image_end
