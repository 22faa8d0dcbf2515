/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the sentry and the ring-0 stub agree on; C and assembly include it. The stub's pages lie in
 * the kernel half of every space, for the supervisor alone. A cpu has one page, its area: task
 * state, a few words, the registers of the program, and a stack for double faults. The area holds
 * nothing but what the program running on that cpu knows.
 */
#pragma once

/* Where the stub's memory lies in every space: the last of the top table's 512 entries. */
#define STUB_BASE 0xffffff8000000000
#define STUB_ROOT_INDEX 511

/* Selectors, Linux's. */
#define SELECTOR_KERNEL_CODE 0x10
#define SELECTOR_KERNEL_DATA 0x18
#define SELECTOR_USER_CODE32 0x23
#define SELECTOR_USER_DATA 0x2b
#define SELECTOR_USER_CODE 0x33
#define SELECTOR_TSS 0x40

/* Offsets in a cpu's area. */
#define AREA_TSS 0x000
#define AREA_VECTOR 0x100    /* why the stub stopped: an exception's vector, or: */
#define VECTOR_SYSCALL 256   /* `syscall` of 64-bit code */
#define VECTOR_SYSCALL32 257 /* of 32-bit code */
#define AREA_CR2 0x108
#define AREA_CR3 0x110
#define AREA_MUST_FLUSH 0x118  /* 32 bits: load AREA_CR3 before going on */
#define AREA_MUST_SELECT 0x11c /* 32 bits: load the data selectors */
#define AREA_IS_FAST 0x120     /* 32 bits: leave by sysret */
#define AREA_SCRATCH 0x128     /* the program's stack pointer while `syscall` changes stacks */
#define AREA_FRAME_END 0x130   /* address of the end of the frame in AREA_REGS */
#define AREA_MUST_SWITCH 0x138 /* 32 bits: load the extended state at AREA_LOAD_FROM, */
#define AREA_SAVE_TO 0x140     /* having saved the present one here, if not 0 */
#define AREA_LOAD_FROM 0x148
#define AREA_REGS 0x208           /* struct regs; its words r15 to ss are the stub's stack */
#define AREA_REGS_FRAME_END 0x2b0 /* a multiple of 16, as the processor wants it */
#define AREA_STACK_END 0x1000     /* of the stack for double faults */

/* Ports by which the stub stops, the only exits it makes. */
#define PORT_EVENT 0x10
#define PORT_FATAL 0x11

#define STUB_VECTORS 32     /* exceptions with an entry each; the rest share the last one */
#define STUB_VECTOR_SIZE 16 /* bytes of code for an entry */
