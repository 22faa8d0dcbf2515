/* SPDX-License-Identifier: Apache-2.0 */
/*
 * execve(2)'s part of the task: one thread remains, with the leader's number, fresh signal actions
 * and a new address space. What upper rooms do (descriptors, registers) is theirs.
 */
#include <string.h>

#include "abi/errno.h"
#include "sentry/kernel/futex.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/kernel/timers.h"

/* The others leave; this one sleeps until it is alone. */
SLEEPS static void end_siblings(struct task *task)
{
    struct thread_group *group = task->group;
    group->exec_task = task;
    task->phase = PHASE_EXEC_WAIT;
    struct task *other;
    list_for_each (other, &group->tasks, group_link)
        if (other != task)
            task_interrupt(other);
    while (group->task_count > 1)
        fiber_sleep_on_hard(&task->fiber, &group->task_gone);
    task->phase = PHASE_RUN;
    group->exec_task = NULL;
}

/* The leader has ended; its number, its place and its age go to TASK. */
static void become_leader(struct task *task)
{
    struct thread_group *group = task->group;
    struct task *old = group->leader;
    if (old == task)
        return;
    ASSERT(old->phase == PHASE_ZOMBIE);
    struct pid *pid = task->pid;
    task->pid = old->pid;
    old->pid = pid;
    task->pid->task = task;
    old->pid->task = old;
    task->tid = pid_nr(task->pid);
    task->root_tid = task->pid->nrs[0];
    task->start_ns = old->start_ns;
    group->leader = task;
    struct thread_group *child;
    list_for_each (child, &group->children, sibling_link)
        child->parent_task = task;
    old->phase = PHASE_DEAD;
    task_release(old);
}

static void take_sighand(struct task *task, struct sighand *sighand)
{
    struct sighand *old = task->group->sighand;
    task->group->sighand = sighand;
    wake_up_all(&old->signalfd_queue); /* sleepers look again, at the new one */
    REF_PUT(old);
    task->signals.altstack = (struct linux_stack){.flags = LINUX_SS_DISABLE};
}

SLEEPS static void take_memory(struct task *task, struct mm *mm)
{
    futex_exit_robust(task);
    task_clear_child_tid(task);
    task->robust_list = uaddr_make(0);
    task->robust_list_size = 0;
    struct mm *old = task->mm;
    if (old)
        task->group->dead_resident_max = MAX(task->group->dead_resident_max, old->resident_max);
    task->mm = mm;
    mm_use(mm);
    task_apply_limits(task);
    task_vfork_done(task);
    if (old) {
        mm_commit(old);
        mm_unuse(old);
    }
}

static void fresh_processor(struct task *task)
{
    if (task->kernel->platform)
        context_forget(task->kernel->platform, &task->context);
    memset(&task->context.regs, 0, sizeof task->context.regs);
    task->context.regs.cs = REGS_CS_USER;
    task->context.regs.ss = REGS_SS_USER;
    task->context.regs.eflags = EFLAGS_IF | 2u;
    task->context.regs.orig_rax = ~0ull;
    xstate_init(&task->xstate);
    task->context.xstate_changed = true;
    memset(&task->debug, 0, sizeof task->debug);
}

static void put_parts(struct task_exec *exec)
{
    REF_CLEAR(exec->mm);
    REF_CLEAR(exec->cred);
}

SLEEPS int task_exec_commit(struct task *task, struct task_exec *exec)
{
    struct thread_group *group = task->group;
    struct sighand *sighand = NULL;
    u32 old_tid = task->tid;
    int err = task_is_dying(task) || group->exec_task ? -EAGAIN : 0;
    if (!err)
        err = sighand_copy(task->kernel, group->sighand, true, &sighand);
    if (err) {
        put_parts(exec);
        return err;
    }
    end_siblings(task);
    become_leader(task);
    group_stop_count(group);
    take_sighand(task, sighand);
    if (exec->cred &&
        (exec->cred->euid != task->cred->euid || exec->cred->egid != task->cred->egid))
        task->death_signal = 0;
    if (exec->cred)
        task_set_cred(task, MOVE(exec->cred));
    group_timers_exec(group);
    take_memory(task, MOVE(exec->mm));
    fresh_processor(task);
    task_set_comm(task, exec->comm);
    group->is_dumpable = exec->is_dumpable;
    group->has_execed = true;
    group->exit_signal = LINUX_SIGCHLD;
    kernel_task_event(task, "exec", task->tid);
    if (task->kernel->task_observer)
        task->kernel->task_observer->execed(task->kernel->task_observer, task);
    trace_exec(task, old_tid);
    return 0;
}
