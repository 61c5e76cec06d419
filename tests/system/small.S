/*
 * small.S - Multiboot kernels of a few instructions, one for each way in which a run ends. GUEST_name says which:
 *
 *     hello  prints "hello" on COM1 and on port 0xE9, and powers off
 *     echo   prints "ready", sends back what COM1 receives until a q, and powers off
 *     panic  prints that it panics and halts
 *     exit   writes 0x10 to the exit device's port
 *     twice  writes 0x10 to it, and then 0
 *     reset  prints "start" and resets the machine through the keyboard controller
 *     crash  runs an invalid instruction without an IDT
 *     lost   calls into where there is no memory
 *     asks   asks for its debugger through Bochs's ports, and to be told of accesses to a word
 *     hang   runs in a circle
 *     wait   halts for good
 */
#define COM1         0x3F8
#define LINE_STATUS  (COM1 + 5)
#define DATA_READY   0x01
#define ROOM_TO_SEND 0x20
#define PM1_CONTROL  0x604
#define SLEEP_S5     0x2000
#define MAGIC        0x1BADB002

    .section .text, "ax", @progbits
    .code32
    .balign 4
    .long MAGIC, 0, -MAGIC

    .globl start
start:
    movl $stack_top, %esp

#if defined GUEST_hello
    movl $text, %esi
    call print
    movw $PM1_CONTROL, %dx
    movw $SLEEP_S5, %ax
    outw %ax, %dx

#elif defined GUEST_echo
    movl $text, %esi
    call print
next:
    movw $LINE_STATUS, %dx
1:  inb %dx, %al
    testb $DATA_READY, %al
    jz 1b
    movw $COM1, %dx
    inb %dx, %al
    movb %al, %bl
    call send
    cmpb $'q', %bl
    jne next
    movw $PM1_CONTROL, %dx
    movw $SLEEP_S5, %ax
    outw %ax, %dx

#elif defined GUEST_panic
    movl $text, %esi
    call print

#elif defined GUEST_exit
    movb $0x10, %al
    outb %al, $0xF4

#elif defined GUEST_twice
    movb $0x10, %al
    outb %al, $0xF4
    xorl %eax, %eax
    outb %al, $0xF4

#elif defined GUEST_reset
    movl $text, %esi
    call print
    movb $0xFE, %al
    outb %al, $0x64

#elif defined GUEST_crash
    lidt no_idt
    movl $0x12345678, %eax
    ud2

#elif defined GUEST_lost
    movl $text, %esi
    call print
    movl $0xE0000000, %eax
    call *%eax

#elif defined GUEST_asks
    movw $0x8A00, %dx
    movl $commands, %esi
1:  lodsl                       /* port less 8A00, command */
    movl %eax, %edx
    shrl $16, %edx
    addw $0x8A00, %dx
    testl %eax, %eax
    jz 2f
    outw %ax, %dx
    jmp 1b
2:  movl $0x12345678, 0x200000
    movw $0x8A00, %dx
    movw $0x8AE0, %ax
    outw %ax, %dx
asked:
    movl $text, %esi
    call print
    movw $PM1_CONTROL, %dx
    movw $SLEEP_S5, %ax
    outw %ax, %dx

#elif defined GUEST_hang
1:  jmp 1b
#endif

halt:
    cli
    hlt
    jmp halt

/* ESI: text */
print:
    lodsb
    testb %al, %al
    jz 1f
    outb %al, $0xE9
    call send
    jmp print
1:  ret

/* AL: character */
send:
    movb %al, %ah
    movw $LINE_STATUS, %dx
1:  inb %dx, %al
    testb $ROOM_TO_SEND, %al
    jz 1b
    movb %ah, %al
    movw $COM1, %dx
    outb %al, %dx
    ret

commands: /* watch 200000 to 200003 */
    .long 0x08A00, 0x08A01, 0x10020, 0x10000, 0x08A02, 0x10020, 0x10004, 0x08A80, 0

no_idt:
    .word 0
    .long 0
text:
#if defined GUEST_hello
    .asciz "hello\n"
#elif defined GUEST_echo
    .asciz "ready\n"
#elif defined GUEST_panic
    .asciz "[    1.5] Panic: no grass\r\n"
#else
    .asciz "start\n"
#endif

    .bss
    .balign 16
    .skip 4096
stack_top:

    .section .note.GNU-stack, "", @progbits
