/* SPDX-License-Identifier: Apache-2.0 */
/* wait4(2), waitid(2): which child, which of its changes, and what is told. */
#include "abi/errno.h"
#include "abi/process.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/task_internal.h"

static bool is_wanted(const struct task *task, const struct thread_group *child,
                      const struct wait_request *request)
{
    if (request->id_type == LINUX_P_PID && (!request->pid || child->leader->pid != request->pid))
        return false;
    if (request->id_type == LINUX_P_PGID &&
        (!request->pid || !child->pgrp || child->pgrp->pid != request->pid))
        return false;
    if (request->options & LINUX_WNOTHREAD && child->parent_task != task)
        return false;
    if (request->options & LINUX_WALL)
        return true;
    bool is_clone = child->exit_signal != LINUX_SIGCHLD;
    return is_clone == !!(request->options & LINUX_WCLONE);
}

static void fill_common(const struct task *task, const struct thread_group *child,
                        struct wait_result *out)
{
    out->pid = thread_group_pid_in(child, task->pid->ns);
    out->uid = user_ns_uid_shown(task->cred->user_ns, child->leader->cred->uid);
    thread_group_times(child, &out->user_ns, &out->system_ns);
    out->user_ns += child->children_user_ns;
    out->system_ns += child->children_system_ns;
    out->resident_max = MAX(child->dead_resident_max, child->children_resident_max);
}

static void fill_exit(const struct thread_group *child, struct wait_result *out)
{
    i32 status = child->exit_code;
    out->wait_status = status;
    if ((status & 0x7f) == 0) {
        out->code = LINUX_CLD_EXITED;
        out->status = status >> 8 & 0xff;
    } else {
        out->code = status & WAIT_STATUS_CORE ? LINUX_CLD_DUMPED : LINUX_CLD_KILLED;
        out->status = status & 0x7f;
    }
}

void wait_result_of_zombie(const struct task *task, const struct thread_group *group,
                           struct wait_result *out)
{
    *out = (struct wait_result){0};
    fill_common(task, group, out);
    fill_exit(group, out);
}

static void reap_child(struct task *task, struct thread_group *child,
                       const struct wait_result *result)
{
    struct thread_group *group = task->group;
    group->children_user_ns += result->user_ns;
    group->children_system_ns += result->system_ns;
    group->children_resident_max = MAX(group->children_resident_max, result->resident_max);
    thread_group_reap(child);
}

/* Has CHILD anything to tell? */
static bool take_news(struct task *task, struct thread_group *child, u32 options,
                      struct wait_result *out)
{
    struct group_signals *signals = &child->signals;
    *out = (struct wait_result){0};
    fill_common(task, child, out);
    if (child->is_zombie) {
        if (!(options & LINUX_WEXITED))
            return false;
        fill_exit(child, out);
        if (!(options & LINUX_WNOWAIT))
            reap_child(task, child, out);
        return true;
    }
    const struct task *tracer = child->leader->trace.tracer;
    bool is_tracee = tracer && tracer->group == task->group; /* its stops are told by trace_look */
    if (options & LINUX_WSTOPPED && signals->is_stopped && !signals->stop_reported && !is_tracee) {
        out->code = LINUX_CLD_STOPPED;
        out->status = (i32)signals->stop_signal;
        out->wait_status = WAIT_STATUS_STOPPED((i32)signals->stop_signal);
        signals->stop_reported = !(options & LINUX_WNOWAIT);
        return true;
    }
    if (options & LINUX_WCONTINUED && signals->is_continued) {
        out->code = LINUX_CLD_CONTINUED;
        out->status = LINUX_SIGCONT;
        out->wait_status = WAIT_STATUS_CONTINUED;
        signals->is_continued = options & LINUX_WNOWAIT;
        return true;
    }
    return false;
}

/* 1 with news, 0 when there are children but no news, -ECHILD. */
static int look_at_children(struct task *task, const struct wait_request *request,
                            struct wait_result *out)
{
    struct thread_group *child;
    bool has_child = false;
    list_for_each (child, &task->group->children, sibling_link) {
        if (!is_wanted(task, child, request))
            continue;
        if (child->is_zombie && child->leader->trace.tracer) {
            has_child = true; /* its tracer has not seen it yet */
            continue;
        }
        if (take_news(task, child, request->options, out))
            return 1;
        has_child = true;
    }
    int traced = trace_look(task, request, out);
    return traced > 0 ? traced : has_child || traced == 0 ? 0 : -ECHILD;
}

SLEEPS i64 task_wait(struct task *task, const struct wait_request *request, struct wait_result *out)
{
    for (;;) {
        int found = look_at_children(task, request, out);
        if (found != 0 || request->options & LINUX_WNOHANG)
            return found;
        int err = sleep_on(&task->group->child_changed, task, NO_DEADLINE);
        if (err)
            return err;
    }
}
