/* SPDX-License-Identifier: Apache-2.0 */
/* What can be told of a process, for /proc and for the controller's dump alike. */
#pragma once
#include "base/buf.h"
#include "sentry/kernel/task.h"

struct process_look {
    u32 tid, ppid, pgid, sid; /* as NS numbers them; 0: none, or not visible there */
    u64 virtual_kib, resident_kib, peak_kib;
    u64 started_ns; /* of the program's monotonic clock */
};
void process_look(const struct task *task, const struct pid_ns *ns, struct process_look *out);
/* Bytes START to END of MM's own memory, SIZE_MAX_ at most, for FIBER; what is not there ends them.
 * 0 or -ENOMEM. The process may have gone afterwards. */
MUST_CHECK SLEEPS int process_read_area(struct mm *mm, struct fiber *fiber, u64 start, u64 end,
                                        u64 size_max, struct buf *out);
