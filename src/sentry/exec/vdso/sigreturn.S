/* SPDX-License-Identifier: Apache-2.0 */
/* Where a handler returns to when the program gave no restorer; unwinders know it by its bytes. */
    .text
    .globl __kernel_rt_sigreturn
    .type __kernel_rt_sigreturn, @function
__kernel_rt_sigreturn:
    movq $15, %rax
    syscall
    .size __kernel_rt_sigreturn, . - __kernel_rt_sigreturn
    .section .note.GNU-stack, "", @progbits
