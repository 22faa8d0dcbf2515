/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stops of traced tasks (ptrace(2)). What a tracee does next is decided when it is sent on and done
 * in its own fiber. Surprising: a signal is taken from its queue before its stop, so the stop's
 * info is the only place where it still is.
 */
#include "sentry/kernel/trace.h"

#include <string.h>

#include "abi/errno.h"
#include "abi/process.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/task_internal.h"

const struct field task_trace_fields[] = {
    FIELD_WEAK(struct task_trace, tracer, struct task),
    FIELD_NONE(struct task_trace, link, "its tracer's list"),
    FIELD_LIST(struct task_trace, tracees, struct task, trace.link, false),
    FIELD(struct task_trace, options),
    FIELD(struct task_trace, is_seized),
    FIELD(struct task_trace, is_announced),
    FIELD(struct task_trace, is_reported),
    FIELD(struct task_trace, is_listening),
    FIELD(struct task_trace, call_waits),
    FIELD(struct task_trace, exit_due),
    FIELD(struct task_trace, ignores_stop),
    FIELD(struct task_trace, is_passed_seccomp),
    FIELD(struct task_trace, stop),
    FIELD(struct task_trace, stopped_in),
    FIELD(struct task_trace, resume),
    FIELD(struct task_trace, code),
    FIELD(struct task_trace, resume_signal),
    FIELD(struct task_trace, message),
    FIELD_BYTES(struct task_trace, info),
    FIELD_END,
};
FIELDS_COMPLETE(struct task_trace, task_trace_fields);

/* ---- links --------------------------------------------------------------------------------------------- */

static void link_to(struct task *tracer, struct task *task, u32 options, bool is_seized)
{
    if (!tracer->trace.tracees.next)
        list_init(&tracer->trace.tracees);
    task->trace.tracer = tracer;
    task->trace.options = options;
    task->trace.is_seized = is_seized;
    list_add_tail(&tracer->trace.tracees, &task->trace.link);
}

static void unlink_from(struct task *task)
{
    struct task_trace *trace = &task->trace;
    if (!trace->tracer)
        return;
    list_remove(&trace->link);
    struct task_trace fresh = {.tracees = trace->tracees, /* the head stays where it is */
                               .stopped_in = trace->stopped_in,
                               .resume_signal = trace->resume_signal,
                               .info = trace->info,
                               .call_waits = trace->call_waits};
    *trace = fresh;
    task->context.single_step = false;
}

int trace_may_access(const struct task *task, const struct task *target)
{
    const struct cred *a = task->cred, *b = target->cred;
    if (task->group == target->group)
        return 0;
    bool is_same = a->uid == b->uid && a->uid == b->euid && a->uid == b->suid && a->gid == b->gid &&
                   a->gid == b->egid && a->gid == b->sgid;
    if (cred_has_cap_in(a, b->user_ns, CAP_SYS_PTRACE))
        return 0;
    return is_same && target->group->is_dumpable && !(b->cap_permitted & ~a->cap_permitted)
               ? 0
               : -EPERM;
}

int trace_attach(struct task *tracer, struct task *task, u32 options, bool is_seized)
{
    if (task->group == tracer->group || task->trace.tracer || task->phase >= PHASE_EXIT)
        return -EPERM;
    link_to(tracer, task, options, is_seized);
    return 0;
}

/* ---- stops ------------------------------------------------------------------------------------------------ */

void trace_stop(struct task *task, enum trace_stop stop, i32 code, u64 message)
{
    struct task_trace *trace = &task->trace;
    trace->stop = stop;
    trace->code = code;
    trace->message = message;
    trace->is_announced = false;
    trace->is_reported = false;
    trace->is_listening = false;
    if (stop != TRACE_SIGNAL) {
        memset(&trace->info, 0, sizeof trace->info);
        trace->info.signo = LINUX_SIGTRAP;
        trace->info.code = code;
        trace->info.sender.pid = (i32)task->tid;
        trace->info.sender.uid = task->cred->uid;
    }
    task_interrupt(task);
}

bool trace_is_stopped(const struct task *task)
{
    return task->trace.stop != TRACE_NONE && task->phase == PHASE_TRACED;
}

/* SIGCHLD and a wake-up for the tracer. */
static void announce(struct task *task)
{
    struct thread_group *group = task->trace.tracer->group;
    const struct linux_sigaction *action = &group->sighand->actions[LINUX_SIGCHLD - 1];
    task->trace.is_announced = true;
    if (action->handler != LINUX_SIG_IGN && !(action->flags & LINUX_SA_NOCLDSTOP)) {
        struct linux_siginfo info;
        memset(&info, 0, sizeof info);
        info.signo = LINUX_SIGCHLD;
        info.code = LINUX_CLD_TRAPPED;
        info.sender.pid = (i32)task_tid_in(task, group->pid_ns);
        info.sender.uid = task->cred->uid;
        info.sender.child.status = task->trace.code & 0x7f;
        (void)!signal_send_group(group, &info);
    }
    wake_up_all(&group->child_changed);
}

static void send_self(struct task *task, i32 signo)
{
    struct linux_siginfo info;
    signal_info_user(&info, signo, LINUX_SI_USER, task, task->group);
    (void)!signal_send_task(task, &info);
}

/* The tracer has spoken: what it means for a task that stood in STOPPED_IN. */
SLEEPS static void go_on(struct task *task)
{
    struct task_trace *trace = &task->trace;
    i32 signo = trace->resume_signal;
    u32 from = trace->stopped_in;
    trace->stopped_in = TRACE_NONE;
    trace->resume_signal = 0;
    if (from == TRACE_SIGNAL) {
        if (signo && signo != trace->info.signo) {
            memset(&trace->info, 0, sizeof trace->info);
            trace->info.signo = signo;
            trace->info.code = LINUX_SI_USER;
        }
        if (signo)
            signal_act(task, &trace->info);
        else
            task->signals.forced_kill = false;
        return;
    }
    if (from == TRACE_GROUP)
        trace->ignores_stop = task->group->signals.stop_signal != 0;
    if (signo)
        send_self(task, signo);
    if (from == TRACE_EVENT && trace->exit_due) {
        trace->exit_due = false;
        trace_call_exit(task);
    }
}

SLEEPS void trace_rest(struct task *task)
{
    struct task_trace *trace = &task->trace;
    struct thread_group *group = task->group;
    task->phase = PHASE_TRACED;
    group->stop_count++;
    if (trace->stop == TRACE_GROUP)
        group_stop_count(group);
    task->context.single_step = false;
    if (trace->tracer && !trace->is_announced)
        announce(task);
    kernel_task_event(task, "traced", trace->code);
    bool was_continued = false;
    while (trace->stop != TRACE_NONE && trace->tracer && !task_is_dying(task)) {
        was_continued = trace->is_listening && !group->signals.stop_signal;
        if (was_continued)
            break;
        task_rest(task, &task->signals.changed);
    }
    group->stop_count--;
    task->phase = PHASE_RUN;
    if (was_continued) { /* its tracer hears of that before the signal's own stop */
        trace_stop(task, TRACE_INTERRUPT, LINUX_SIGTRAP | TRACE_EVENT_STOP << 8, 0);
        return;
    }
    if (trace->stop != TRACE_NONE && !trace->stopped_in)
        trace->stopped_in = trace->stop;
    trace->stop = TRACE_NONE;
    if (!task_is_dying(task))
        go_on(task);
}

/* ---- calls, signals, group stops ------------------------------------------------------------------------------ */

static bool wants_calls(const struct task_trace *trace)
{
    return trace->tracer && trace->resume != TRACE_CONT && trace->resume != TRACE_STEP;
}

static i32 call_code(const struct task_trace *trace)
{
    return LINUX_SIGTRAP | (trace->options & TRACE_O_SYSGOOD ? 0x80 : 0);
}

bool trace_call_enter(struct task *task)
{
    if (!wants_calls(&task->trace))
        return false;
    task->trace.call_waits = true;
    trace_stop(task, TRACE_CALL_ENTER, call_code(&task->trace), 0);
    return true;
}

void trace_call_exit(struct task *task)
{
    struct task_trace *trace = &task->trace;
    bool is_put_off = trace->stop == TRACE_EVENT && trace->is_passed_seccomp; /* not served yet */
    if (!trace->tracer || trace->resume != TRACE_CALLS || is_put_off)
        return;
    if (trace->stop != TRACE_NONE)
        trace->exit_due = true;
    else
        trace_stop(task, TRACE_CALL_EXIT, call_code(trace), 0);
}

bool trace_signal(struct task *task, const struct linux_siginfo *info)
{
    if (!task->trace.tracer || info->signo == LINUX_SIGKILL)
        return false;
    task->trace.info = *info;
    trace_stop(task, TRACE_SIGNAL, info->signo, 0);
    return true;
}

bool trace_group_stop(struct task *task)
{
    struct task_trace *trace = &task->trace;
    if (!trace->tracer)
        return false;
    if (trace->ignores_stop)
        return true;
    i32 signo = (i32)task->group->signals.stop_signal;
    trace_stop(task, TRACE_GROUP, trace->is_seized ? signo | TRACE_EVENT_STOP << 8 : signo, 0);
    return true;
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static void event_stop(struct task *task, i32 event, u64 message)
{
    trace_stop(task, TRACE_EVENT, LINUX_SIGTRAP | event << 8, message);
}

void trace_clone(struct task *parent, struct task *child, u64 flags, u32 exit_signal)
{
    struct task_trace *trace = &parent->trace;
    if (!trace->tracer || flags & LINUX_CLONE_UNTRACED)
        return;
    i32 event = flags & LINUX_CLONE_VFORK      ? TRACE_EVENT_VFORK
                : exit_signal != LINUX_SIGCHLD ? TRACE_EVENT_CLONE
                                               : TRACE_EVENT_FORK;
    bool is_wanted = trace->options & 1u << event;
    if (!is_wanted && !(flags & LINUX_CLONE_PTRACE))
        return;
    link_to(trace->tracer, child, trace->options, trace->is_seized);
    if (trace->is_seized)
        trace_stop(child, TRACE_INTERRUPT, LINUX_SIGTRAP | TRACE_EVENT_STOP << 8, 0);
    else
        send_self(child, LINUX_SIGSTOP);
    if (is_wanted)
        event_stop(parent, event, task_tid_in(child, trace->tracer->pid->ns));
}

void trace_vfork_done(struct task *task)
{
    if (task->trace.tracer && task->trace.options & TRACE_O_VFORKDONE)
        event_stop(task, TRACE_EVENT_VFORK_DONE, 0);
}

void trace_exec(struct task *task, u32 old_tid)
{
    if (!task->trace.tracer)
        return;
    if (task->trace.options & TRACE_O_EXEC)
        event_stop(task, TRACE_EVENT_EXEC, old_tid);
    else if (!task->trace.is_seized)
        send_self(task, LINUX_SIGTRAP);
}

SLEEPS void trace_exit(struct task *task)
{
    struct task_trace *trace = &task->trace;
    if (!trace->tracer || !(trace->options & TRACE_O_EXIT) ||
        task->group->exit_code == LINUX_SIGKILL)
        return;
    event_stop(task, TRACE_EVENT_EXIT, (u64)(u32)task->exit_code);
    task->phase = PHASE_TRACED;
    task->group->stop_count++;
    announce(task);
    while (trace->stop != TRACE_NONE && trace->tracer && task->group->exit_code != LINUX_SIGKILL)
        task_rest(task, &task->signals.changed);
    trace->stop = TRACE_NONE;
    task->group->stop_count--;
    task->phase = PHASE_EXIT;
}

/* ---- tracers --------------------------------------------------------------------------------------------------------- */

void trace_continue(struct task *task, enum trace_resume resume, i32 signo)
{
    struct task_trace *trace = &task->trace;
    trace->resume = resume;
    trace->resume_signal = signo;
    trace->stopped_in = trace->stop;
    trace->stop = TRACE_NONE;
    task->context.single_step = resume == TRACE_STEP || resume == TRACE_EMULATE_STEP;
    wake_up_all(&task->signals.changed);
}

void trace_detach(struct task *task, i32 signo)
{
    bool was_stopped = trace_is_stopped(task);
    if (was_stopped)
        trace_continue(task, TRACE_CONT, signo);
    unlink_from(task);
    if (was_stopped)
        wake_up_all(&task->signals.changed);
}

void trace_interrupt(struct task *task)
{
    if (task->trace.stop == TRACE_NONE)
        trace_stop(task, TRACE_INTERRUPT, LINUX_SIGTRAP | TRACE_EVENT_STOP << 8, 0);
    else if (task->trace.is_listening) { /* the same stop is told again */
        task->trace.is_listening = false;
        task->trace.is_reported = false;
        announce(task);
    }
}

/* A tracer is gone: its tracee goes on as if it had never been one. */
static void set_free(struct task *task)
{
    bool must_die = task->trace.options & TRACE_O_EXITKILL;
    bool is_zombie = task->phase >= PHASE_ZOMBIE;
    i32 signo = task->trace.stop == TRACE_SIGNAL ? task->trace.info.signo : 0;
    trace_detach(task, signo);
    if (must_die)
        thread_group_exit(task->group, LINUX_SIGKILL);
    if (is_zombie && task->group->leader == task && task->group->is_zombie)
        thread_group_announce(task->group);
}

void trace_task_gone(struct task *task)
{
    struct list *tracees = &task->trace.tracees;
    while (tracees->next && !list_is_empty(tracees))
        set_free(list_first(tracees, struct task, trace.link));
    struct task *tracer = task->trace.tracer;
    if (!tracer)
        return;
    bool is_awaited = task->group->leader == task && tracer->group != task->group->parent;
    wake_up_all(&tracer->group->child_changed);
    if (!is_awaited)
        unlink_from(task);
}

void trace_zombie(struct task *leader)
{
    leader->trace.code = leader->group->exit_code;
    announce(leader);
}

bool trace_seccomp(struct task *task, u32 data)
{
    struct task_trace *trace = &task->trace;
    if (!trace->tracer || !(trace->options & TRACE_O_SECCOMP))
        return false;
    trace->is_passed_seccomp = true;
    event_stop(task, TRACE_EVENT_SECCOMP, data);
    return true;
}

/* ---- wait ----------------------------------------------------------------------------------------------------------------- */

static bool fits(const struct task *tracee, const struct wait_request *request)
{
    const struct thread_group *group = tracee->group;
    if (request->id_type == LINUX_P_PID)
        return request->pid && tracee->pid == request->pid;
    if (request->id_type == LINUX_P_PGID)
        return request->pid && group->pgrp && group->pgrp->pid == request->pid;
    return true;
}

static bool take_stop(struct task *task, struct task *tracee, u32 options, struct wait_result *out)
{
    struct task_trace *trace = &tracee->trace;
    if (!trace_is_stopped(tracee) || trace->is_reported)
        return false;
    trace->is_reported = !(options & LINUX_WNOWAIT);
    *out = (struct wait_result){.pid = task_tid_in(tracee, task->pid->ns),
                                .uid = user_ns_uid_shown(task->cred->user_ns, tracee->cred->uid),
                                .code = LINUX_CLD_TRAPPED,
                                .status = trace->code,
                                .wait_status = 0x7f | trace->code << 8};
    task_times(tracee, &out->user_ns, &out->system_ns);
    return true;
}

/* A tracee that is no child of the tracer's has ended: the tracer hears first, its parent then. */
static bool take_end(struct task *task, struct task *tracee, u32 options, struct wait_result *out)
{
    struct thread_group *group = tracee->group;
    if (!group->is_zombie || !(options & LINUX_WEXITED) || group->parent == task->group)
        return false;
    wait_result_of_zombie(task, group, out);
    if (options & LINUX_WNOWAIT)
        return true;
    unlink_from(tracee);
    thread_group_announce(group);
    return true;
}

static int look_at(struct task *task, struct task *tracer, const struct wait_request *request,
                   struct wait_result *out)
{
    struct task *tracee, *next;
    bool has_any = false;
    if (!tracer->trace.tracees.next)
        return -ECHILD;
    list_for_each_safe (tracee, next, &tracer->trace.tracees, trace.link) {
        if (!fits(tracee, request))
            continue;
        if (take_stop(task, tracee, request->options, out) ||
            take_end(task, tracee, request->options, out))
            return 1;
        has_any = true;
    }
    return has_any ? 0 : -ECHILD;
}

int trace_look(struct task *task, const struct wait_request *request, struct wait_result *out)
{
    struct task *tracer;
    int result = -ECHILD;
    list_for_each (tracer, &task->group->tasks, group_link) {
        if (request->options & LINUX_WNOTHREAD && tracer != task)
            continue;
        int found = look_at(task, tracer, request, out);
        if (found > 0)
            return found;
        if (found == 0)
            result = 0;
    }
    return result;
}
