/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page before the vDSO: written by the sentry, read by programs. A sequence lock: odd while it
 * is being written. Without `is_ready` the code makes the call, so that time in a simulation stays
 * virtual.
 */
#pragma once
#include <stdint.h>

#define VDSO_SHIFT 40

struct vdso_params {
    uint32_t sequence;
    uint32_t is_ready;
    uint64_t tsc_base;
    uint64_t ns_per_tick;  /* of the time stamp counter, << VDSO_SHIFT */
    uint64_t monotonic_ns; /* at tsc_base */
    int64_t realtime_ns;   /* at tsc_base, since the epoch */
};
