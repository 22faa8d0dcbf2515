/* SPDX-License-Identifier: Apache-2.0 */
/* The system call log (--strace): a line at each call's end, in strace(1)'s manner. */
#pragma once
#include "sentry/kernel/task.h"

struct strace;

struct strace_config {
    u32 size_max;      /* bytes of a buffer that are shown */
    const u64 *wanted; /* bitmap by number; NULL: all */
};
/* Starts looking: puts itself into kernel->call_observers. */
MUST_CHECK int strace_create(struct kernel *kernel, const struct strace_config *config,
                             struct strace **out);
void strace_destroy(struct strace *strace);
