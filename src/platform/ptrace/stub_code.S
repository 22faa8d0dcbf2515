/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The code of a stub process, mapped read-only at STUB_CODE. It uses no stack and no writable
 * memory, and nothing that it decides comes from memory that an application could write.
 *
 * The helper is the process's first thread and never traced: it waits on the request word, makes
 * the listed system calls until one fails, and adds to an eventfd 1 + how many succeeded. r14d is
 * the last request it served, r15 the control pages.
 *
 * Surprising: each call carries two keys in halves of arguments that the host ignores, the upper
 * ones of r8 and r10, for an application may jump here while its thread's calls are not stopped
 * (filter.c). They lie in registers alone and are gone before the application runs: the helper has
 * them in r13 and xmm0, a traced thread in r15 and rbp, one that is parked in r13 and r12.
 */
#include "platform/ptrace/stub.h"
#include <sys/syscall.h>

#define MAP_SHARED_FIXED 0x11
#define MAP_RESERVATION 0x4032 /* private, anonymous, fixed, no reserve */
#define PROT_NOBODY 0
#define PROT_READ_ONLY 1
#define PROT_READ_WRITE 3

    .section .rodata
    .balign 64
    .globl stub_code_start, stub_code_end, stub_code_boot, stub_code_handler, stub_code_park
    .globl stub_code_edit, stub_code_edit_over, stub_code_edit_done, stub_code_edit_failed
    .globl stub_code_land_end
stub_code_start:

/* From the sentry's fork: forget everything of the sentry's, put the reservation in its place
 * (clear.c), report 1 to the eventfd in ebp. The keys are where the helper has them. */
stub_code_boot:
    xor %edi, %edi
    movabs $STUB_BASE, %rsi
    movq %xmm0, %r10
    mov %r13, %r8
    mov $SYS_munmap, %eax
    syscall
    mov $STUB_SPACE_START, %edi
    movabs $(STUB_BASE - STUB_SPACE_START), %rsi
    mov $PROT_NOBODY, %edx
    mov $MAP_RESERVATION, %r10d
    movq %xmm0, %r11
    or %r11, %r10
    mov $-1, %r8d
    or %r13, %r8
    xor %r9d, %r9d
    mov $SYS_mmap, %eax
    syscall
    cmp $-4096, %rax
    ja dead
    movabs $STUB_CONTROL, %r15
    xor %r14d, %r14d
    xor %ebx, %ebx
    jmp report_ebp

wait:
    mov CONTROL_REQUEST(%r15), %edx
    cmp %edx, %r14d
    jne serve
    lea CONTROL_REQUEST(%r15), %rdi
    xor %esi, %esi /* FUTEX_WAIT while it is edx */
    xor %r10d, %r10d
    mov %r13, %r8
    mov $SYS_futex, %eax
    syscall
    jmp wait

serve:
    mov %edx, %r14d
    mov CONTROL_DONE_FD(%r15), %ebp
    lea CONTROL_OPS(%r15), %r12
    xor %ebx, %ebx
next:
    cmp CONTROL_COUNT(%r15), %ebx
    jae report_ebp
    mov OP_NR(%r12), %rax
    mov OP_ARGS + 0(%r12), %rdi
    mov OP_ARGS + 8(%r12), %rsi
    mov OP_ARGS + 16(%r12), %rdx
    mov OP_ARGS + 24(%r12), %r10
    mov OP_ARGS + 32(%r12), %r8
    mov OP_ARGS + 40(%r12), %r9
    movq OP_KIND(%r12), %xmm1 /* after a clone the child reports, and the page may be another's */
    movq %xmm0, %r11
    or %r11, %r10
    or %r13, %r8
    syscall
    cmp $-4096, %rax
    ja report_ebp
    movq %xmm1, %rcx
    cmp $OP_PLAIN, %rcx
    jne cloned
    inc %ebx
    add $OP_SIZE, %r12
    jmp next

/* Adds done_values[ebx] to the eventfd in ebp. */
report_ebp:
    lea done_values(%rip), %rsi
    lea (%rsi, %rbx, 8), %rsi
    mov %ebp, %edi
    mov $8, %edx
    movq %xmm0, %r10
    mov %r13, %r8
    mov $SYS_write, %eax
    syscall
    jmp wait

cloned:
    test %rax, %rax
    jnz wait /* the parent; the child reports */
    cmpq $OP_FORK, OP_KIND(%r12)
    je forked
    mov %r9, %rdi
    xor %esi, %esi
    movq %xmm0, %r10
    mov %r13, %r8
    mov $SYS_sigaltstack, %eax
    syscall
    lea done_values + 8(%rip), %rsi
    lea (%rsi, %rbx, 8), %rsi
    mov %ebp, %edi
    mov $8, %edx
    movq %xmm0, %r10
    mov %r13, %r8
    mov $SYS_write, %eax
    syscall
    movq %xmm0, %r12
stub_code_park:
    mov %r12, %r10
    mov %r13, %r8
    mov $SYS_pause, %eax
    syscall
    jmp stub_code_park

forked:
    mov CONTROL_FILE_FD(%r15), %r8d
    mov CONTROL_CHILD_OFFSET(%r15), %r9
    mov CONTROL_SLOTS_SIZE(%r15), %r12
    mov CONTROL_CLOSED_SIZE(%r15), %r14
    mov %r15, %rdi
    mov %r14, %rsi
    mov $PROT_READ_ONLY, %edx
    mov $MAP_SHARED_FIXED, %r10d
    movq %xmm0, %r11
    or %r11, %r10
    or %r13, %r8
    mov $SYS_mmap, %eax
    syscall
    cmp $-4096, %rax
    ja dead
    movabs $STUB_SLOTS, %rdi
    mov %r12, %rsi
    mov $PROT_READ_WRITE, %edx
    mov $MAP_SHARED_FIXED, %r10d
    movq %xmm0, %r11
    or %r11, %r10
    add %r14, %r9
    mov $SYS_mmap, %eax
    syscall
    cmp $-4096, %rax
    ja dead
    xor %r14d, %r14d
    inc %ebx
    jmp report_ebp

dead:
    hlt

/* In a traced thread, resumed by PTRACE_CONT: r13d operations from r12 on. When all have succeeded:
 * a breakpoint if rbx is 0; else the registers that lie there, and the application runs. An
 * undefined instruction when one has failed. */
stub_code_edit:
    mov OP_NR(%r12), %rax
    mov OP_ARGS + 0(%r12), %rdi
    mov OP_ARGS + 8(%r12), %rsi
    mov OP_ARGS + 16(%r12), %rdx
    mov OP_ARGS + 24(%r12), %r10
    mov OP_ARGS + 32(%r12), %r8
    mov OP_ARGS + 40(%r12), %r9
    or %rbp, %r10
    or %r15, %r8
    syscall
    cmp $-4096, %rax
    ja stub_code_edit_failed
    add $OP_SIZE, %r12
    dec %r13d
    jnz stub_code_edit
    test %rbx, %rbx
stub_code_edit_over:
    jnz land
    int3
stub_code_edit_done:
    nop
stub_code_edit_failed:
    ud2
land:
    mov %rbx, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rax
    pop %rcx
    pop %rdx
    pop %rsi
    pop %rdi
    add $8, %rsp
    iretq
stub_code_land_end:

/* A signal's handler: the tracer stops the thread before this and never lets it go on from here. */
stub_code_handler:
    hlt

    .balign 8
done_values:
    .set value, 1
    .rept STUB_OPS_MAX + 1
    .quad value
    .set value, value + 1
    .endr
stub_code_end:

    .section .note.GNU-stack, "", @progbits
