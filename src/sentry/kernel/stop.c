/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Job control: a process stops when all its tasks rest at their boundaries, and goes on when
 * SIGCONT is sent or it is killed (signal(7), wait(2)).
 */
#include "abi/errno.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/task_internal.h"

void group_stop_begin(struct thread_group *group, i32 signo)
{
    struct group_signals *signals = &group->signals;
    if (group->is_exiting || signals->stop_signal)
        return;
    signals->stop_signal = (u32)signo;
    signals->is_stopped = false;
    signals->stop_reported = false;
    signals->is_continued = false;
    struct task *task;
    list_for_each (task, &group->tasks, group_link)
        task_interrupt(task);
}

void group_stop_end(struct thread_group *group, bool tell_parent)
{
    struct group_signals *signals = &group->signals;
    if (!signals->stop_signal)
        return;
    bool was_stopped = signals->is_stopped;
    signals->stop_signal = 0;
    signals->is_stopped = false;
    signals->stop_reported = false;
    wake_up_all(&signals->continued);
    struct task *task;
    list_for_each (task, &group->tasks, group_link)
        if (task->trace.is_listening)
            wake_up_all(&task->signals.changed);
    if (!tell_parent || !was_stopped)
        return;
    signals->is_continued = true;
    thread_group_notify_parent(group, LINUX_CLD_CONTINUED, LINUX_SIGCONT);
}

void group_stop_count(struct thread_group *group)
{
    struct group_signals *signals = &group->signals;
    if (!signals->stop_signal || signals->is_stopped || group->task_count == 0 ||
        group->stop_count < group->task_count)
        return;
    signals->is_stopped = true;
    thread_group_notify_parent(group, LINUX_CLD_STOPPED, (i32)signals->stop_signal);
}

SLEEPS void task_stop_wait(struct task *task)
{
    struct thread_group *group = task->group;
    task->phase = PHASE_STOPPED;
    group->stop_count++;
    group_stop_count(group);
    kernel_task_event(task, "stopped", group->signals.stop_signal);
    while (group->signals.stop_signal && !task_is_dying(task))
        task_rest(task, &group->signals.continued);
    group->stop_count--;
    task->phase = PHASE_RUN;
}
