/* SPDX-License-Identifier: Apache-2.0 */
/* The system call log (--strace): a line at each call's end, in strace(1)'s manner. */
#pragma once
#include "sentry/kernel/task.h"

struct syscall_row;
struct strace;

struct strace_config {
    u32 size_max; /* bytes of a buffer that are shown */
    const u64 *wanted; /* bitmap by number; NULL: all */
};
MUST_CHECK int strace_create(struct kernel *kernel, const struct strace_config *config, struct strace **out);
void strace_destroy(struct strace *strace);
SLEEPS void strace_enter(struct task *task, u64 nr, const struct syscall_row *row, const struct sysargs *args);
SLEEPS void strace_exit(struct task *task, u64 nr, const struct syscall_row *row, const struct sysargs *args, i64 result);
