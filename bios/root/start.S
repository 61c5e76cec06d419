/* Where the kernel enters the program: argc, argv and envp lie on the stack (System V ABI, 3.4.1). */
    .globl  _start
    .text
_start:
    xorl    %ebp, %ebp
    movq    %rsp, %rdi
    andq    $-16, %rsp
    call    init_main
    ud2

    .section .note.GNU-stack, "", @progbits
