/* SPDX-License-Identifier: Apache-2.0 */
/* A struct timespec of a program as nanoseconds: one reader for all calls that wait. */
#pragma once
#include "abi/stat.h"
#include "sentry/kernel/task.h"

/* SEC seconds and NS nanoseconds; what does not fit is INT64_MAX, the end of time. */
u64 time_to_ns(u64 sec, u64 ns);
/* 0 with *NS, or -EINVAL: negative, or not less than a second of nanoseconds. */
MUST_CHECK int timespec_judge(const struct linux_timespec *time, u64 *ns);
/* The one at AT, judged: *NS is NO_DEADLINE where AT is NULL. -EFAULT, -EINVAL. */
MUST_CHECK SLEEPS int timespec_from_user(struct task *task, uaddr at, u64 *ns);
