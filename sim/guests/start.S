/* SPDX-License-Identifier: Apache-2.0 */
/* The native interpreter's fixed addresses (bytecode.h): entry, restorer, handler trampolines; calls and threads. */
    .section .start, "ax", @progbits
    .globl _start
_start:                         /* 0x401000 */
    xorl %ebp, %ebp
    andq $-16, %rsp
    call vm_main
    ud2
    .org 0x40
restorer:                       /* 0x401040 */
    movl $15, %eax
    syscall
    .org 0x100
    .set i, 0
    .rept 64                    /* 0x401100 + 16 * i */
    .balign 16
    movl $i, %edi
    jmp handler
    .set i, i + 1
    .endr
    .balign 16
handler:                        /* rsp is as at a function's entry: the restorer's address lies on it */
    call vm_handler_aligned
    ret
vm_handler_aligned:
    pushq %rbp
    movq %rsp, %rbp
    andq $-16, %rsp
    call vm_handler
    movq %rbp, %rsp
    popq %rbp
    ret

/* long vm_call(long nr, const long args[6]): the kernel sees nothing but the call's own registers. */
    .globl vm_call
vm_call:
    movq %rdi, %rax
    movq %rsi, %r11
    movq 0(%r11), %rdi
    movq 8(%r11), %rsi
    movq 16(%r11), %rdx
    movq 24(%r11), %r10
    movq 32(%r11), %r8
    movq 40(%r11), %r9
    syscall
    ret

/* long vm_thread(flags, stack, offset): the thread runs vm_run(offset) on its own stack and never comes back. */
    .globl vm_thread
vm_thread:
    pushq %r12
    movq %rdx, %r12
    xorl %edx, %edx
    xorl %r10d, %r10d
    xorl %r8d, %r8d
    xorl %r9d, %r9d
    movl $56, %eax
    syscall
    testq %rax, %rax
    jz 1f
    popq %r12
    ret
1:  movl %r12d, %edi
    xorl %ebp, %ebp
    call vm_child
    ud2
    .section .note.GNU-stack, "", @progbits
