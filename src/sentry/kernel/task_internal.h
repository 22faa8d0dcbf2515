/* SPDX-License-Identifier: Apache-2.0 */
/* What kernel/'s own files share about tasks. Nobody else includes it. */
#pragma once
#include "sentry/kernel/task.h"

/* Fill what is derived: the kernel, the context's places. */
void task_bind(struct task *task, struct kernel *kernel);
/* kernel->tasks holds a reference. */
void task_list_add(struct task *task);
void task_list_remove(struct task *task);
void task_set_comm(struct task *task, const char *name);
/* A zombie or a thread nobody waits for: out of all tables. Its number is free afterwards. */
void task_release(struct task *task);
/* Is GROUP its pid namespace's init? */
static inline bool thread_group_is_init(const struct thread_group *group)
{
    return group->pid_ns->init == group;
}
static inline void kernel_task_event(struct task *task, const char *what, i64 value)
{
    if (task->kernel->task_event)
        task->kernel->task_event(task, what, value);
}
SLEEPS void task_clear_child_tid(struct task *task);
/* Rest at a boundary on QUEUE until woken or interrupted. */
SLEEPS void task_rest(struct task *task, struct wait_queue *queue);
/* Deliver at most one signal; false: none was deliverable. */
SLEEPS bool signal_deliver_one(struct task *task);
/* Do what a signal does: its handler or its default action. */
SLEEPS void signal_act(struct task *task, const struct linux_siginfo *info);
/* signal_frame.c: build a handler's frame and set the registers to run it. -EFAULT: it does not
 * fit. */
MUST_CHECK SLEEPS int signal_frame_push(struct task *task, const struct linux_siginfo *info,
                                        const struct linux_sigaction *action, u64 mask);
