/* SPDX-License-Identifier: Apache-2.0 */
/* kernel_check: what holds at every quiet point, whatever programs do. Only looks, changes nothing.
 */
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/timers.h"

static const char *check_queue(const struct signal_queue *queue)
{
    u32 count = 0;
    if (queue->list.next) {
        const struct pending_signal *pending;
        list_for_each (pending, &queue->list, link) {
            if (!(queue->set & SIGNAL_BIT(pending->info.signo)))
                return "a queued signal whose bit is not set";
            count++;
        }
    }
    return count == queue->count ? NULL : "a signal queue counts wrongly";
}

static const char *check_pid(const struct task *task)
{
    const struct pid *pid = task->pid;
    if (!pid || pid->task != task)
        return "a task whose pid knows another one";
    if (task->tid != pid_nr(pid) || task->root_tid != pid->nrs[0])
        return "a task with another number than its pid";
    for (const struct pid_ns *ns = pid->ns; ns; ns = ns->parent)
        if (pid_find(ns, pid->nrs[ns->level]) != pid)
            return "a pid that its namespace does not know";
    return NULL;
}

static const char *check_task(const struct task *task)
{
    const struct thread_group *group = task->group;
    if (!group || !task->cred || !task->ns)
        return "a task without group, credentials or namespaces";
    if (task->phase == PHASE_DEAD)
        return "a dead task that is still listed";
    if (task->phase == PHASE_ZOMBIE && (task->mm || task->fds || task->fs))
        return "a zombie that holds memory or files";
    if (task->phase < PHASE_EXIT && (!task->mm || task->mm->user_count == 0))
        return "a live task without an address space";
    if (task->vfork_child && task->vfork_child->vfork_parent != task)
        return "a vfork child that does not know its parent";
    if (task->signals.mask & SIGNALS_UNBLOCKABLE)
        return "SIGKILL or SIGSTOP is blocked";
    if (task->in_syscall && task->context.regs.rax != (u64)-ERESTARTSYS && task->is_parked)
        return "a task rests inside a call that does not restart";
    const char *wrong = check_queue(&task->signals.queue);
    return wrong ? wrong : check_pid(task);
}

static const char *check_threads(const struct thread_group *group)
{
    u32 live = 0, stopped = 0;
    const struct task *task;
    list_for_each (task, &group->tasks, group_link) {
        if (task->group != group)
            return "a thread in another group's list";
        live += task->phase < PHASE_ZOMBIE;
        stopped += task->phase == PHASE_STOPPED || task->phase == PHASE_TRACED;
    }
    if (live != group->task_count)
        return "a group counts its threads wrongly";
    if (stopped != group->stop_count)
        return "a group counts its stopped threads wrongly";
    return NULL;
}

static const char *check_group(const struct thread_group *group)
{
    const char *wrong = check_threads(group);
    if (wrong)
        return wrong;
    if (!group->leader || !group->sighand || !group->pgrp || !group->pgrp->session)
        return "a group without leader, actions, process group or session";
    if (group->is_zombie != (group->task_count == 0))
        return "a group is a zombie but has threads, or is none and has not";
    if (group->is_zombie && !group->parent)
        return "a zombie that nobody will reap";
    if (group->signals.is_stopped && !group->signals.stop_signal)
        return "a stopped group without a stop signal";
    const struct thread_group *child;
    list_for_each (child, &group->children, sibling_link)
        if (child->parent != group)
            return "a child in another parent's list";
    if (group->is_zombie && !list_is_empty(&group->children))
        return "a zombie with children";
    const struct group_timers *timers = group->timers;
    if (timers && timers->group != group)
        return "timers of another group";
    return check_queue(&group->signals.queue);
}

const char *kernel_check(struct kernel *kernel)
{
    u32 count = 0;
    const struct task *task;
    list_for_each (task, &kernel->tasks, kernel_link) {
        count++;
        if (task->is_kernel)
            continue;
        const char *wrong = check_task(task);
        if (!wrong && task->group->leader == task)
            wrong = check_group(task->group);
        if (wrong)
            return wrong;
    }
    return count == kernel->task_count ? NULL : "the kernel counts its tasks wrongly";
}
