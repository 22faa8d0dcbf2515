/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vDSO of a sandbox: pages that every program maps (parameter page, then the image), and the
 * clock in the parameter page. Programs then read clocks by rdtsc, without a call and without a
 * trap. In a simulation the page says "make the call", so time stays virtual.
 *
 * The time stamp counter is measured against the host's monotonic clock: at vdso_create, before the
 * first program, and later by a timer in growing steps up to a second. The platform must let
 * programs see the host's counter unchanged (kvm: TSC offset 0).
 */
#pragma once
#include "base/object.h"
#include "sentry/kernel/kernel.h"
#include "sentry/memory/mm.h"

struct vdso_clock {
    u64 tsc, monotonic_ns;   /* the last sample */
    u64 first_tsc, first_ns; /* a sample some time ago: what the rate is measured against */
    u64 ns_per_tick;         /* << VDSO_SHIFT; 0: not known yet */
    u64 step_ns;             /* until the next update */
};

struct vdso {
    struct object object;
    struct kernel *kernel;       /* lent */
    struct shared_memory *pages; /* counted: page 0 parameters, then the image */
    struct vdso_clock clock;
    struct timer timer;
    u64 hwcap; /* AT_HWCAP */
};
extern const struct kind vdso_kind;

/* Sets kernel->vdso (also without config.has_vdso: then programs get none, but hwcap is known). 0
 * or -ENOMEM. */
MUST_CHECK int vdso_create(struct kernel *kernel);
/* VDSO came from an image (a reference is taken over): programs have its pages mapped, so it
 * becomes the kernel's, and its clock starts here. After the program's clocks are right. */
void vdso_replace(struct kernel *kernel, struct vdso *vdso);
/* Before kernel_destroy. NULL is fine. */
void vdso_destroy(struct kernel *kernel);
/* Measure and write the parameter page; starts the timer. Call it before a program's first
 * instruction (vdso_map does) and after a jump of the program's clocks (restore). Does nothing in a
 * simulation. */
void vdso_update(struct kernel *kernel);
/* Map it into a new address space, mm->vdso becomes the image's address (0 without one). 0 or
 * -ENOMEM. */
MUST_CHECK SLEEPS int vdso_map(struct task *task, struct mm *mm);
/* Where a handler without SA_RESTORER returns to in MM; 0: it has no vDSO. */
u64 vdso_sigreturn(const struct mm *mm);
u64 vdso_hwcap(const struct kernel *kernel);

/* ---- the measuring, for tests --------------------------------------------------------------- */

struct vdso_params;
u64 vdso_read_tsc(void);
/* A new sample (TSC at MONOTONIC_NS on the program's clock): next values of PARAMS, never behind
 * what the old ones would say now. False: the rate is not known yet, PARAMS is as before. */
MUST_CHECK bool vdso_clock_step(struct vdso_clock *clock, u64 tsc, u64 monotonic_ns,
                                i64 realtime_ns, struct vdso_params *params);
