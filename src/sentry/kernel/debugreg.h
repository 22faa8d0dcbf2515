/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The debug registers of a task, as ptrace(2) shows them in the user area: four addresses whose
 * writes, or whose code, stop the task. While one is on, its task is stepped through its code.
 */
#pragma once
#include "base/base.h"
#include "base/fields.h"

struct task;
struct event;

#define DEBUG_ADDRESS_COUNT 4u

struct task_debug {
    u64 addresses[DEBUG_ADDRESS_COUNT];
    u64 status;    /* DR6: DEBUG_STEP and a bit an address */
    u64 control;   /* DR7 */
    u64 passed_at; /* code there was stopped at and may run now; 0: none */
};
extern const struct field task_debug_fields[];

static inline bool task_debug_is_on(const struct task_debug *debug)
{
    return debug->control & 0xff;
}

/* Registers 0 to 7 as a tracer reads them. */
u64 task_debug_read(const struct task_debug *debug, u32 nr);
/* 0, -EIO (4 and 5), -EINVAL (an address that programs cannot have or that is not aligned, what no
 * address can be watched for) or -ENOSPC (watching reads, which this does not). */
MUST_CHECK int task_debug_write(struct task_debug *debug, u32 nr, u64 value);

/* What a task looked like before one step. */
struct debug_look {
    u64 values[DEBUG_ADDRESS_COUNT];
    bool was_stepping; /* by its tracer */
};

/* Before application code runs with registers on: it is to make one step. False: it may not run,
 * for it stands at watched code; its SIGTRAP was sent. */
MUST_CHECK SLEEPS bool task_debug_begin(struct task *task, struct debug_look *look);
/* Afterwards, with the EVENT that ended it. True: it was a step that nobody is to hear of. May
 * change the event's code. */
MUST_CHECK SLEEPS bool task_debug_end(struct task *task, const struct debug_look *look,
                                      struct event *event);
