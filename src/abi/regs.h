/* SPDX-License-Identifier: Apache-2.0 */
/* The registers of an x86-64 user program, in the order of Linux's struct user_regs_struct. */
#pragma once
#include "base/base.h"

struct regs {
    u64 r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8;
    u64 rax, rcx, rdx, rsi, rdi;
    u64 orig_rax; /* number of the system call in progress, or ~0 */
    u64 rip, cs, eflags, rsp, ss;
    u64 fs_base, gs_base;
    u64 ds, es, fs, gs;
};
_Static_assert(sizeof(struct regs) == 27 * 8, "user_regs_struct has 27 words");

#define REGS_CS_USER 0x33u
#define REGS_SS_USER 0x2bu

#define EFLAGS_TF 0x100u
#define EFLAGS_IF 0x200u
#define EFLAGS_DF 0x400u
#define EFLAGS_RF 0x10000u
/* What a program may set through sigreturn or ptrace. */
#define EFLAGS_USER_MASK 0x50dd5u

/*
 * Extended state: the standard (non-compacted) XSAVE layout with the fixed feature mask below, so
 * that images and signal frames look the same on every platform. Components outside a host's XCR0
 * stay in their initial state. FIP, FDP and FOP are kept zero. The components beyond AVX lie one
 * behind the other, as AMD's processors put them; Intel's leave gaps, so a platform moves each by
 * CPUID leaf 0xd.
 */
#define XSTATE_FEATURES 0xe7u /* x87, SSE, AVX, and AVX-512 in three parts */
#define XSTATE_SIZE \
    2432u /* 512 legacy + 64 header + 256 AVX + 64 masks + 512 ZMM 0-15 high + 1024 ZMM 16-31 */
/* The components with a place of their own: CPUID's number, offset and size in bytes here. */
#define XSTATE_COMPONENTS(X) \
    X(2, 576u, 256u)         \
    X(5, 832u, 64u)          \
    X(6, 896u, 512u)         \
    X(7, 1408u, 1024u)
struct xstate {
    u8 bytes[XSTATE_SIZE] __attribute__((aligned(16))); /* an arena gives no more */
};
#define XSTATE_MXCSR_OFFSET 24u
#define XSTATE_HEADER_OFFSET 512u
#define XSTATE_MXCSR_INIT 0x1f80u
#define XSTATE_FCW_INIT 0x37fu
/* The state of a fresh program: FCW 0x37f, MXCSR 0x1f80, all else zero. */
void xstate_init(struct xstate *xstate);
/* Make bytes from a signal frame or image safe to load: unknown features off, MXCSR masked,
 * reserved header bytes zero. False if the header is damaged beyond use. */
MUST_CHECK bool xstate_sanitize(struct xstate *xstate);
/* Would xrstor take this header of an area in the standard layout: known features, no compaction?
 */
MUST_CHECK bool xstate_header_is_good(const u64 header[8]);
/* XSTATE_BV of the canonical form: the features whose bytes differ from their initial state. MXCSR
 * stands beside the features: it is always in its place, whatever this says. */
u64 xstate_features_used(const struct xstate *xstate);
