/* SPDX-License-Identifier: Apache-2.0 */
/* Faults inside memory/: what mm_fault, populating and forced copies have in common. */
#pragma once
#include "sentry/memory/mm.h"

struct fault {
    struct mm *mm;
    struct fiber *fiber;
    u64 address;
    u32 access;             /* one of PROT_*_BIT */
    bool is_forced;         /* the vma's rights do not matter (ptrace), its presence does */
    u64 run;                /* how many pages to fill at most; 0: by the vma's history */
    u64 run_start, run_end; /* with RUN: of anonymous memory nothing outside is filled */
    i32 signo, code;
};

/* 0: look again, or the access works now. Else -errno with signo and code set. */
MUST_CHECK SLEEPS int fault_serve(struct fault *fault);
/* A new mapping at START: entries for what the cache has of it. IS_PROGRAM: it was put where it is
 * by a linker. As far as it goes; never sleeps. */
void fault_ahead(struct mm *mm, u64 start, u64 size, bool is_program);
/* Extend a stack down to ADDRESS, which lies in no vma; NULL when it is nobody's. */
struct vma *stack_grow(struct mm *mm, u64 address);
