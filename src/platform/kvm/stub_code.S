/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring-0 stub: saves the registers of the program in the cpu's area, stops by one `out`, and
 * goes on from what the area says then. It uses no stack but the area's frame and touches no memory
 * of the program. Between kvm_stub_resume and kvm_stub_resume_end the area stays whole, so a cpu that was
 * stopped there may begin again at kvm_stub_resume.
 */
#include "platform/kvm/stub.h"

#define WORD(offset) ((offset)-AREA_REGS)(%rsp)
#define REGS_FS_BASE AREA_REGS_FRAME_END
#define REGS_GS_BASE (AREA_REGS_FRAME_END + 8)
#define REGS_DS (AREA_REGS_FRAME_END + 16)
#define REGS_ES (AREA_REGS_FRAME_END + 24)
#define REGS_FS (AREA_REGS_FRAME_END + 32)
#define REGS_GS (AREA_REGS_FRAME_END + 40)

    .section .rodata
    .balign 16
    .globl kvm_stub_start, kvm_stub_syscall, kvm_stub_syscall32, kvm_stub_vectors
    .globl kvm_stub_resume, kvm_stub_resume_end, kvm_stub_end

/* rcx is the return address, r11 the flags; the stack is still the program's. */
    .macro enter_by_syscall vector, code
    swapgs
    mov %rsp, %gs:AREA_SCRATCH
    mov %gs:AREA_FRAME_END, %rsp
    push $SELECTOR_USER_DATA
    push %gs:AREA_SCRATCH
    swapgs
    push %r11
    push $\code
    push %rcx
    push %rax
    push %rdi
    mov $\vector, %edi
    .endm

kvm_stub_start:
kvm_stub_syscall:
    enter_by_syscall VECTOR_SYSCALL, SELECTOR_USER_CODE
    jmp save
kvm_stub_syscall32:
    enter_by_syscall VECTOR_SYSCALL32, SELECTOR_USER_CODE32
    jmp save

/* The frame is in its place already, the error code where struct regs has orig_rax. */
    .balign STUB_VECTOR_SIZE
kvm_stub_vectors:
    .set v, 0
    .rept STUB_VECTORS
    .balign STUB_VECTOR_SIZE
    .if !((v == 8) || (v >= 10 && v <= 14) || (v == 17) || (v == 21) || (v == 29) || (v == 30))
    push $0
    .endif
    push %rdi
    mov $v, %edi
    jmp trap
    .set v, v + 1
    .endr

trap:
    testb $3, 24(%rsp)
    jz fatal
save:
    push %rsi
    push %rdx
    push %rcx
    push %rax
    push %r8
    push %r9
    push %r10
    push %r11
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rdi, WORD(AREA_VECTOR)
    rdfsbase %rax
    mov %rax, WORD(REGS_FS_BASE)
    rdgsbase %rax
    mov %rax, WORD(REGS_GS_BASE)
    xor %eax, %eax
    mov %ds, %eax
    mov %rax, WORD(REGS_DS)
    mov %es, %eax
    mov %rax, WORD(REGS_ES)
    mov %fs, %eax
    mov %rax, WORD(REGS_FS)
    mov %gs, %eax
    mov %rax, WORD(REGS_GS)
    mov %cr2, %rax
    mov %rax, WORD(AREA_CR2)
    out %al, $PORT_EVENT

/* Everything comes from the area from here on. */
kvm_stub_resume:
    cmpl $0, WORD(AREA_MUST_FLUSH)
    je 1f
    mov WORD(AREA_CR3), %rax
    mov %rax, %cr3
    movl $0, WORD(AREA_MUST_FLUSH)
1:  cmpl $0, WORD(AREA_MUST_SELECT)
    je 2f
    mov WORD(REGS_DS), %eax
    mov %eax, %ds
    mov WORD(REGS_ES), %eax
    mov %eax, %es
    mov WORD(REGS_FS), %eax
    mov %eax, %fs
    mov WORD(REGS_GS), %eax
    mov %eax, %gs
    movl $0, WORD(AREA_MUST_SELECT)
2:  cmpl $0, WORD(AREA_MUST_SWITCH)
    je 5f
    mov $-1, %eax
    mov $-1, %edx
    mov WORD(AREA_SAVE_TO), %rcx
    test %rcx, %rcx
    jz 4f
    xsave64 (%rcx)
    movq $0, WORD(AREA_SAVE_TO) /* not again, should this begin anew */
4:  mov WORD(AREA_LOAD_FROM), %rcx
    xrstor64 (%rcx)
    movl $0, WORD(AREA_MUST_SWITCH)
5:  mov WORD(REGS_FS_BASE), %rax
    wrfsbase %rax
    mov WORD(REGS_GS_BASE), %rax
    wrgsbase %rax
    cmpl $0, WORD(AREA_IS_FAST)
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
    jne 3f
    lea 8(%rsp), %rsp
    iretq
3:  mov 32(%rsp), %rsp
    sysretq

kvm_stub_resume_end:

/* An exception of the stub itself: a defect. The sentry gives the space up. */
fatal:
    out %al, $PORT_FATAL
    jmp fatal
kvm_stub_end:

    .section .note.GNU-stack, "", @progbits
