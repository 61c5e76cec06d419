/*
 * The linked demo guest as bytes between two symbols. The build passes -I for the folder that has bios/demo/demo.elf.
 */
    .section .rodata
    .balign 16
    .globl oxbow_demo_start, oxbow_demo_end
    .type oxbow_demo_start, @object
    .type oxbow_demo_end, @object
oxbow_demo_start:
    .incbin "bios/demo/demo.elf"
oxbow_demo_end:
    .size oxbow_demo_start, oxbow_demo_end - oxbow_demo_start
    .size oxbow_demo_end, 0
    .section .note.GNU-stack, "", @progbits
