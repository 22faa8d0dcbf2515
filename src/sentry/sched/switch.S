/* SPDX-License-Identifier: Apache-2.0 */
/* Fiber switch for x86-64 System V: six callee-saved registers, MXCSR and the x87 control word
 * stay as they are. */
    .text
    .globl fiber_switch
    .type fiber_switch, @function
fiber_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size fiber_switch, . - fiber_switch

/* r12 holds the fiber, r13 the C function to start; the stack is 16-byte aligned here. */
    .globl fiber_trampoline
    .type fiber_trampoline, @function
fiber_trampoline:
    movq %r12, %rdi
    xorl %ebp, %ebp
    callq *%r13
    ud2
    .size fiber_trampoline, . - fiber_trampoline
    .section .note.GNU-stack, "", @progbits
