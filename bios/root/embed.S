/*
 * The first program of --root's initial RAM disk as bytes between two symbols. The build passes -I for the folder that
 * has bios/root/init.elf.
 */
    .section .rodata
    .balign 16
    .globl oxbow_init_start, oxbow_init_end
    .type oxbow_init_start, @object
    .type oxbow_init_end, @object
oxbow_init_start:
    .incbin "bios/root/init.elf"
oxbow_init_end:
    .size oxbow_init_start, oxbow_init_end - oxbow_init_start
    .size oxbow_init_end, 0
    .section .note.GNU-stack, "", @progbits
