/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends: of a thread, of a process, of a PID namespace (exit(2), wait(2), pid_namespaces(7)). First
 * comes what may sleep (user memory, descriptors), then, in one step, what others see.
 */
#include <string.h>

#include "abi/errno.h"
#include "abi/process.h"
#include "sentry/kernel/futex.h"
#include "sentry/kernel/ipc/ipc.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/signal_internal.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/kernel/timers.h"

/* ---- asking for an end ---------------------------------------------------------------------- */

void thread_group_exit(struct thread_group *group, i32 status)
{
    if (group->is_exiting)
        return;
    group->is_exiting = true;
    group->exit_code = status;
    group_stop_end(group, false);
    struct task *task;
    list_for_each (task, &group->tasks, group_link)
        task_interrupt(task);
}

void thread_group_kill(struct thread_group *group, i32 status)
{
    thread_group_exit(group, status);
}

void task_exit(struct task *task, i32 status, bool with_group)
{
    if (with_group) {
        thread_group_exit(task->group, status);
        return;
    }
    task->is_exiting = true;
    task->exit_code = status;
}

/* ---- leaving tables ------------------------------------------------------------------------- */

void task_release(struct task *task)
{
    struct thread_group *group = task->group;
    struct pid *pid = task->pid;
    list_remove(&task->group_link);
    if (group->leader == task)
        group->leader = NULL;
    ASSERT(pid->task == task);
    pid->task = NULL;
    pid_unuse(pid);
    task_list_remove(task);
}

void thread_group_reap(struct thread_group *group)
{
    ASSERT(group->is_zombie);
    list_remove(&group->sibling_link);
    group->parent = NULL;
    group->parent_task = NULL;
    process_group_leave(group);
    if (group->pid_ns->init == group)
        group->pid_ns->init = NULL;
    struct task *leader = group->leader;
    ASSERT(leader && leader->phase == PHASE_ZOMBIE);
    leader->phase = PHASE_DEAD;
    task_release(leader);
}

/* ---- families ------------------------------------------------------------------------------- */

static struct task *other_live_task(const struct thread_group *group, const struct task *except)
{
    struct task *task;
    list_for_each (task, &group->tasks, group_link)
        if (task != except && task->phase < PHASE_EXIT)
            return task;
    return NULL;
}

/* PR_SET_PDEATHSIG: the thread that made GROUP has ended. */
static void send_death_signals(struct thread_group *group, const struct task *dead)
{
    struct task *task;
    list_for_each (task, &group->tasks, group_link) {
        if (!task->death_signal || task->phase >= PHASE_EXIT)
            continue;
        struct linux_siginfo info;
        signal_info_user(&info, (i32)task->death_signal, LINUX_SI_USER, dead, group);
        (void)!signal_send_group(group, &info);
    }
}

/* prctl(2), PR_SET_CHILD_SUBREAPER: the nearest one above in the same namespace, else the
 * namespace's init. */
static struct thread_group *find_reaper(const struct thread_group *dead)
{
    for (struct thread_group *up = dead->parent; up && up->pid_ns == dead->pid_ns; up = up->parent)
        if (up->is_subreaper && !up->is_exiting)
            return up;
    struct thread_group *init = dead->pid_ns->init;
    return init && init != dead && !init->is_zombie ? init : NULL;
}

/* Does the parent take no notice of a child's end (wait(2), "SIG_IGN or SA_NOCLDWAIT")? */
static bool is_reaped_by_itself(const struct thread_group *group)
{
    const struct thread_group *parent = group->parent;
    if (!parent || parent->is_zombie)
        return true;
    if (group->exit_signal != LINUX_SIGCHLD)
        return false;
    const struct linux_sigaction *action = &parent->sighand->actions[LINUX_SIGCHLD - 1];
    return action->handler == LINUX_SIG_IGN || action->flags & LINUX_SA_NOCLDWAIT;
}

static i64 ticks(u64 ns)
{
    return (i64)(ns / (NS_PER_S / LINUX_USER_HZ));
}

static void child_info(const struct thread_group *group, i32 signo, i32 code, i32 status,
                       struct linux_siginfo *info)
{
    const struct thread_group *parent = group->parent;
    const struct user_ns *ns = parent->leader ? parent->leader->cred->user_ns : NULL;
    u64 user_ns, system_ns;
    thread_group_times(group, &user_ns, &system_ns);
    memset(info, 0, sizeof *info);
    info->signo = signo;
    info->code = code;
    info->sender.pid = (i32)thread_group_pid_in(group, parent->pid_ns);
    info->sender.uid = user_ns_uid_shown(ns, group->leader->cred->uid);
    info->sender.child.status = status;
    info->sender.child.utime = ticks(user_ns);
    info->sender.child.stime = ticks(system_ns);
}

void thread_group_notify_parent(struct thread_group *group, i32 code, i32 status)
{
    struct thread_group *parent = group->parent;
    if (!parent || parent->is_zombie)
        return;
    const struct linux_sigaction *action = &parent->sighand->actions[LINUX_SIGCHLD - 1];
    if (action->handler != LINUX_SIG_IGN && !(action->flags & LINUX_SA_NOCLDSTOP)) {
        struct linux_siginfo info;
        child_info(group, LINUX_SIGCHLD, code, status, &info);
        (void)!signal_send_group(parent, &info);
    }
    wake_up_all(&parent->child_changed);
}

static void exit_code_to_cld(i32 wait_status, i32 *code, i32 *status)
{
    if ((wait_status & 0x7f) == 0) {
        *code = LINUX_CLD_EXITED;
        *status = wait_status >> 8 & 0xff;
    } else {
        *code = wait_status & WAIT_STATUS_CORE ? LINUX_CLD_DUMPED : LINUX_CLD_KILLED;
        *status = wait_status & 0x7f;
    }
}

/* GROUP is a zombie: its parent hears of it, or it goes at once. */
void thread_group_announce(struct thread_group *group)
{
    struct thread_group *parent = group->parent;
    bool goes = is_reaped_by_itself(group);
    if (parent && !parent->is_zombie) {
        bool is_ignored = group->exit_signal == LINUX_SIGCHLD &&
                          parent->sighand->actions[LINUX_SIGCHLD - 1].handler == LINUX_SIG_IGN;
        if (group->exit_signal && group->exit_signal <= LINUX_NSIG && !is_ignored) {
            struct linux_siginfo info;
            i32 code, status;
            exit_code_to_cld(group->exit_code, &code, &status);
            child_info(group, (i32)group->exit_signal, code, status, &info);
            (void)!signal_send_group(parent, &info);
        }
    }
    if (goes)
        thread_group_reap(group);
    if (parent)
        wake_up_all(&parent->child_changed);
}

/* CHILD's parent has ended: it gets another one, or none. */
static void reparent(struct thread_group *child, struct thread_group *dead,
                     struct thread_group *reaper)
{
    bool was_linked = child->pgrp && dead->pgrp && child->pgrp != dead->pgrp &&
                      child->pgrp->session == dead->pgrp->session;
    list_remove(&child->sibling_link);
    child->parent = reaper;
    child->parent_task = reaper ? reaper->leader : NULL;
    if (reaper)
        list_add_tail(&reaper->children, &child->sibling_link);
    child->exit_signal = LINUX_SIGCHLD;
    if (was_linked)
        process_group_check_orphaned(child->pgrp);
    if (child->is_zombie && !child->leader->trace.tracer)
        thread_group_announce(child);
}

static void give_children_away(struct thread_group *group)
{
    struct thread_group *reaper = find_reaper(group);
    while (!list_is_empty(&group->children))
        reparent(list_first(&group->children, struct thread_group, sibling_link), group, reaper);
}

/* One thread ends, others go on: they take over its children. */
static void pass_children(struct task *task)
{
    struct thread_group *group = task->group;
    struct task *heir = other_live_task(group, task);
    struct thread_group *child;
    list_for_each (child, &group->children, sibling_link) {
        if (child->parent_task != task)
            continue;
        child->parent_task = heir;
        send_death_signals(child, task);
    }
}

/* ---- the end of a process ------------------------------------------------------------------- */

/* setsid(2): with its leader a session loses its terminal. */
static void end_session(struct thread_group *group)
{
    struct session *session = group->pgrp ? group->pgrp->session : NULL;
    if (!session || session->leader != group)
        return;
    session->leader = NULL;
    if (!session->tty)
        return;
    struct process_group *foreground = session->foreground ? session->foreground->pgrp : NULL;
    if (foreground) {
        struct linux_siginfo info;
        signal_info_kernel(&info, LINUX_SIGHUP);
        (void)!signal_send_pgrp(foreground, &info);
        signal_info_kernel(&info, LINUX_SIGCONT);
        (void)!signal_send_pgrp(foreground, &info);
    }
    if (group->kernel->hooks && group->kernel->hooks->session_ended)
        group->kernel->hooks->session_ended(session);
    REF_CLEAR(session->foreground);
    object_put(session->tty);
    session->tty = NULL;
}

static void thread_group_end(struct thread_group *group)
{
    struct kernel *kernel = group->kernel;
    struct pid *pid = group->leader->pid;
    struct pid_ns *ns = group->pid_ns;
    object_get_(&group->object);
    if (!group->is_exiting)
        group->exit_code = group->leader->exit_code;
    group->is_exiting = true;
    if (group->timers)
        group_timers_end(group);
    signal_queue_clear(&group->signals.queue);
    end_session(group);
    group->is_zombie = true;
    if (ns->init == group)
        ns->init = NULL; /* is_closed: nobody takes its place */
    process_group_check_orphans(group);
    give_children_away(group);
    pid->has_exited = true;
    pid->exit_code = group->exit_code;
    wake_up_all(&pid->exited);
    if (kernel->hooks && kernel->hooks->group_exit)
        kernel->hooks->group_exit(group);
    if (kernel->task_observer)
        kernel->task_observer->exit_notify(kernel->task_observer, group);
    if (group->leader->trace.tracer)
        trace_zombie(group->leader); /* it hears first */
    else
        thread_group_announce(group);
    wake_up_all(&kernel->task_ended);
    for (struct pid_ns *up = ns; up; up = up->parent)
        wake_up_all(&up->changed);
    object_put(&group->object);
}

/* ---- the end of a namespace ----------------------------------------------------------------- */

static bool others_live(struct pid_ns *ns, const struct thread_group *init)
{
    u32 nr = 0;
    for (;;) {
        struct thread_group *group = pid_ns_next_group(ns, nr + 1, &nr);
        if (!group)
            return false;
        if (group != init && !group->is_zombie)
            return true;
    }
}

/* The init's last thread takes everybody with it and waits until they are gone. */
SLEEPS static void end_pid_ns(struct task *task)
{
    struct pid_ns *ns = task->group->pid_ns;
    ns->is_closed = true;
    u32 nr = 0;
    for (;;) {
        struct thread_group *group = pid_ns_next_group(ns, nr + 1, &nr);
        if (!group)
            break;
        if (group != task->group)
            thread_group_exit(group, LINUX_SIGKILL);
    }
    while (others_live(ns, task->group))
        fiber_sleep_on_hard(&task->fiber, &ns->changed);
}

/* ---- the end of a thread -------------------------------------------------------------------- */

void task_vfork_done(struct task *task)
{
    struct task *parent = task->vfork_parent;
    if (!parent)
        return;
    ASSERT(parent->vfork_child == task);
    task->vfork_parent = NULL;
    parent->vfork_child = NULL;
    wake_up_all(&parent->signals.changed);
}

/* set_tid_address(2): whoever joins the thread hears of its end through memory. */
SLEEPS void task_clear_child_tid(struct task *task)
{
    uaddr at = task->clear_child_tid;
    task->clear_child_tid = uaddr_make(0);
    if (at.value == 0 || task->mm->user_count < 2)
        return;
    const u32 zero = 0;
    if (copy_to_user(task, at, &zero, sizeof zero) == 0)
        futex_wake_any(task, at, 1);
}

SLEEPS static void release_memory(struct task *task)
{
    if (!task->mm)
        return;
    futex_exit_robust(task);
    task_clear_child_tid(task);
    task->group->dead_resident_max = MAX(task->group->dead_resident_max, task->mm->resident_max);
    mm_commit(task->mm);
    mm_unuse(MOVE(task->mm));
}

SLEEPS static void call_exit_hooks(struct task *task)
{
    sem_undo_leave(task);
    const struct kernel_hooks *hooks = task->kernel->hooks;
    if (hooks && hooks->task_exit)
        hooks->task_exit(task);
    if (task->fds && hooks && hooks->fds_release)
        hooks->fds_release(task);
    object_put((struct object *)(void *)task->fds);
    task->fds = NULL;
    object_put((struct object *)(void *)task->fs);
    task->fs = NULL;
}

static void count_dead(struct task *task)
{
    task_account(task);
    task->group->dead_user_ns += task->user_ns_time;
    task->group->dead_system_ns += task->system_ns_time;
}

/* What others see, in one step. The task may be released before this returns; its fiber keeps it.
 */
static void leave_group(struct task *task)
{
    struct thread_group *group = task->group;
    bool is_leader = group->leader == task;
    count_dead(task);
    task->phase = PHASE_ZOMBIE;
    if (group->kernel->platform)
        context_forget(task->kernel->platform, &task->context);
    xstate_init(&task->xstate);
    signal_queue_clear(&task->signals.queue);
    pass_children(task);
    group_timers_task_gone(task);
    trace_task_gone(task);
    ASSERT(group->task_count > 0);
    bool is_last = --group->task_count == 0;
    if (!is_leader) {
        task->phase = PHASE_DEAD;
        task_release(task);
    }
    if (is_last) {
        thread_group_end(group);
        return;
    }
    group_stop_count(group);
    signal_retarget(group);
    wake_up_all(&group->task_gone);
}

SLEEPS void task_end(struct task *task)
{
    struct thread_group *group = task->group;
    task->phase = PHASE_EXIT;
    if (group->is_exiting)
        task->exit_code = group->exit_code;
    kernel_task_event(task, "exit", task->exit_code);
    struct task_observer *observer = task->kernel->task_observer;
    if (observer)
        observer->exited(observer, task);
    trace_exit(task);
    release_memory(task);
    task_vfork_done(task);
    if (task->vfork_child) { /* killed while it waited */
        task->vfork_child->vfork_parent = NULL;
        task->vfork_child = NULL;
    }
    call_exit_hooks(task);
    if (group->task_count == 1 && thread_group_is_init(group))
        end_pid_ns(task);
    leave_group(task);
    wake_up_all(&task->kernel->parked);
}

void task_discard(struct task *task)
{
    struct thread_group *group = task->group;
    ASSERT(task->fiber.state == FIBER_NEW);
    task_vfork_done(task);
    if (task->mm)
        mm_unuse(MOVE(task->mm));
    task->phase = PHASE_ZOMBIE;
    group->task_count--;
    if (group->leader == task) {
        ASSERT(group->task_count == 0);
        group->is_zombie = true;
        group->is_exiting = true;
        if (group->pid_ns->init == group)
            group->pid_ns->last_nr = 0; /* as if it had never been */
        thread_group_reap(group);
    } else {
        task_release(task);
    }
    object_put(&task->object);
}
