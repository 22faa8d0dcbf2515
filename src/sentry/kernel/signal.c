/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sending signals, masks, actions, alternate stacks: everything about them but delivery
 * (signal_deliver.c). Surprising: SIGKILL never enters a queue, it makes the process exit at once,
 * and SIGCONT acts when it is sent, not when it is delivered.
 */
#include "sentry/kernel/signal.h"

#include <string.h>

#include "abi/errno.h"
#include "base/fields.h"
#include "sentry/kernel/signal_internal.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/kernel/timers.h"

#define STOP_SIGNALS                                                                     \
    (SIGNAL_BIT(LINUX_SIGSTOP) | SIGNAL_BIT(LINUX_SIGTSTP) | SIGNAL_BIT(LINUX_SIGTTIN) | \
     SIGNAL_BIT(LINUX_SIGTTOU))

/* ---- actions -------------------------------------------------------------------------------- */

static const struct field sigaction_fields[] = {
    FIELD(struct linux_sigaction, handler),
    FIELD(struct linux_sigaction, flags),
    FIELD(struct linux_sigaction, restorer),
    FIELD(struct linux_sigaction, mask),
    FIELD_END,
};
FIELDS_COMPLETE(struct linux_sigaction, sigaction_fields);

static const struct field sighand_fields[] = {
    FIELD_NONE(struct sighand, object, "the walker's own header"),
    FIELD_ARRAY(struct sighand, actions, struct linux_sigaction, sigaction_fields),
    FIELD_NONE(struct sighand, signalfd_queue, "a sleeper starts its system call again"),
    FIELD_END,
};
FIELDS_COMPLETE(struct sighand, sighand_fields);

static void sighand_destroy(struct object *object)
{
    wait_queue_abandon(&container_of(object, struct sighand, object)->signalfd_queue);
}

const struct kind sighand_kind = {.name = "sighand",
                                  .size = sizeof(struct sighand),
                                  .fields = sighand_fields,
                                  .destroy = sighand_destroy};

int sighand_create(struct kernel *kernel, struct sighand **out)
{
    struct sighand *sighand = object_create(kernel->arena, &sighand_kind);
    if (!sighand)
        return -ENOMEM;
    *out = sighand;
    return 0;
}

int sighand_copy(struct kernel *kernel, const struct sighand *from, bool only_ignored,
                 struct sighand **out)
{
    struct sighand *copy;
    int err = sighand_create(kernel, &copy);
    if (err)
        return err;
    for (u32 i = 0; i < LINUX_NSIG; i++) {
        if (!only_ignored)
            copy->actions[i] = from->actions[i];
        else if (from->actions[i].handler == LINUX_SIG_IGN)
            copy->actions[i].handler = LINUX_SIG_IGN;
    }
    *out = copy;
    return 0;
}

static struct linux_sigaction *action_of(const struct thread_group *group, i32 signo)
{
    ASSERT(signo > 0 && signo <= LINUX_NSIG);
    return &group->sighand->actions[signo - 1];
}

void signal_set_action(struct task *task, i32 signo, const struct linux_sigaction *set,
                       struct linux_sigaction *old)
{
    struct thread_group *group = task->group;
    struct linux_sigaction *action = action_of(group, signo);
    if (old)
        *old = *action;
    if (!set)
        return;
    *action = *set;
    action->mask &= ~SIGNALS_UNBLOCKABLE;
    if (!signal_action_is_ignore(action, signo))
        return;
    signal_queue_drop(&group->signals.queue, SIGNAL_BIT(signo));
    struct task *other;
    list_for_each (other, &group->tasks, group_link)
        signal_queue_drop(&other->signals.queue, SIGNAL_BIT(signo));
}

/* ---- siginfo -------------------------------------------------------------------------------- */

void signal_info_user(struct linux_siginfo *info, i32 signo, i32 code, const struct task *sender,
                      const struct thread_group *to)
{
    memset(info, 0, sizeof *info);
    info->signo = signo;
    info->code = code;
    if (!sender || sender->is_kernel)
        return;
    info->sender.pid = (i32)thread_group_pid_in(sender->group, to->pid_ns);
    const struct user_ns *ns = to->leader && to->leader->cred ? to->leader->cred->user_ns : NULL;
    info->sender.uid = user_ns_uid_shown(ns, sender->cred->uid);
}

void signal_info_kernel(struct linux_siginfo *info, i32 signo)
{
    memset(info, 0, sizeof *info);
    info->signo = signo;
    info->code = LINUX_SI_KERNEL;
}

/* ---- permission ----------------------------------------------------------------------------- */

int signal_may_send(const struct task *sender, const struct thread_group *to, i32 signo)
{
    if (!sender || sender->is_kernel || sender->group == to)
        return 0;
    const struct cred *from = sender->cred;
    const struct cred *cred = to->leader->cred;
    if (from->euid == cred->suid || from->euid == cred->uid || from->uid == cred->suid ||
        from->uid == cred->uid)
        return 0;
    if (cred_has_cap_in(from, cred->user_ns, CAP_KILL))
        return 0;
    if (signo == LINUX_SIGCONT && sender->group->pgrp && to->pgrp &&
        sender->group->pgrp->session == to->pgrp->session)
        return 0;
    return -EPERM;
}

bool signal_is_absorbed(const struct task *sender, const struct thread_group *to, i32 signo)
{
    if (signo != LINUX_SIGKILL && signo != LINUX_SIGSTOP)
        return false;
    return sender && !sender->is_kernel && thread_group_is_init(to) &&
           pid_ns_is_within(sender->pid->ns, to->pid_ns);
}

/* ---- who takes it --------------------------------------------------------------------------- */

static bool task_may_take(const struct task *task, i32 signo)
{
    if (task->phase >= PHASE_EXIT || task_is_dying(task))
        return false;
    return !((task->signals.mask & ~task->signals.wait_set) & SIGNAL_BIT(signo));
}

/* Linux's order: the main thread if it wants it, else one that is not busy with another signal. */
static struct task *choose_taker(const struct thread_group *group, i32 signo)
{
    if (group->leader && task_may_take(group->leader, signo))
        return group->leader;
    struct task *task, *busy = NULL;
    list_for_each (task, &group->tasks, group_link) {
        if (!task_may_take(task, signo))
            continue;
        if (!task->fiber.is_interrupted)
            return task;
        busy = busy ? busy : task;
    }
    return busy;
}

void signal_retarget(struct thread_group *group)
{
    u64 set = group->signals.queue.set;
    while (set) {
        i32 signo = __builtin_ctzll(set) + 1;
        set &= set - 1;
        struct task *taker = choose_taker(group, signo);
        if (taker && !taker->fiber.is_interrupted)
            task_interrupt(taker);
    }
}

/* ---- sending -------------------------------------------------------------------------------- */

static bool is_dropped(const struct thread_group *group, const struct task *task, i32 signo)
{
    const struct task *asked = task ? task : group->leader;
    if (asked && asked->trace.tracer)
        return false; /* its tracer sees it, whatever it does */
    if (asked && (asked->signals.mask | asked->signals.wait_set) & SIGNAL_BIT(signo))
        return false;
    const struct linux_sigaction *action = action_of(group, signo);
    if (thread_group_is_init(group) && action->handler == LINUX_SIG_DFL && signo != LINUX_SIGSTOP)
        return true; /* pid_namespaces(7): what it has no handler for does not reach an init */
    return signal_action_is_ignore(action, signo);
}

static void drop_everywhere(struct thread_group *group, u64 set)
{
    signal_queue_drop(&group->signals.queue, set);
    struct task *task;
    list_for_each (task, &group->tasks, group_link)
        signal_queue_drop(&task->signals.queue, set);
}

/* What a stop or a continuation does when it is sent, whatever its action. */
static void act_on_send(struct thread_group *group, i32 signo)
{
    if (SIGNAL_BIT(signo) & STOP_SIGNALS) {
        drop_everywhere(group, SIGNAL_BIT(LINUX_SIGCONT));
    } else if (signo == LINUX_SIGCONT) {
        drop_everywhere(group, STOP_SIGNALS);
        group_stop_end(group, true);
    }
}

void signal_wake_watchers(struct thread_group *group, struct task *task)
{
    wake_up_all(&group->sighand->signalfd_queue);
    if (task)
        wake_up_all(&task->signals.changed);
}

static int send_to(struct thread_group *group, struct task *task, const struct linux_siginfo *info,
                   struct object *timer)
{
    i32 signo = info->signo;
    ASSERT(signo > 0 && signo <= LINUX_NSIG);
    if (group->is_zombie || group->is_exiting || (task && task->phase >= PHASE_EXIT)) {
        if (timer)
            posix_timer_taken(timer, NULL);
        return 0;
    }
    if (signo == LINUX_SIGKILL) {
        thread_group_exit(group, LINUX_SIGKILL);
        return 0;
    }
    act_on_send(group, signo);
    if (is_dropped(group, task, signo)) {
        if (timer)
            posix_timer_taken(timer, NULL);
        return 0;
    }
    struct signal_queue *queue = task ? &task->signals.queue : &group->signals.queue;
    if (timer && signo < LINUX_SIGRTMIN && signal_queue_has(queue, signo)) {
        posix_timer_taken(timer, NULL);
        return 0;
    }
    int err = signal_queue_add(queue, group->object.arena, info,
                               group->limits.v[RLIMIT_SIGPENDING_].soft, timer);
    if (err)
        return err;
    signal_wake_watchers(group, task);
    struct task *taker = task ? (task_may_take(task, signo) ? task : NULL)
                              : choose_taker(group, signo);
    if (taker)
        task_interrupt(taker);
    return 0;
}

int signal_send_task(struct task *task, const struct linux_siginfo *info)
{
    if (!task->group)
        return -ESRCH;
    return send_to(task->group, task, info, NULL);
}

int signal_send_group(struct thread_group *group, const struct linux_siginfo *info)
{
    return send_to(group, NULL, info, NULL);
}

int signal_send_timer(struct task *task, struct thread_group *group,
                      const struct linux_siginfo *info, struct object *timer)
{
    return send_to(group, task, info, timer);
}

int signal_send_pgrp(struct process_group *pgrp, const struct linux_siginfo *info)
{
    struct thread_group *group;
    int result = -ESRCH;
    list_for_each (group, &pgrp->members, pgrp_link) {
        int err = signal_send_group(group, info);
        if (result != 0)
            result = err;
    }
    return result;
}

u32 signal_send_all(struct task *sender, const struct linux_siginfo *info, int *err)
{
    struct pid_ns *ns = sender->pid->ns;
    u32 reached = 0, nr = 0;
    *err = 0;
    for (;;) {
        struct thread_group *group = pid_ns_next_group(ns, nr + 1, &nr);
        if (!group)
            return reached;
        if (nr <= 1 || group == sender->group)
            continue;
        struct linux_siginfo own = *info;
        if (info->code == LINUX_SI_USER)
            signal_info_user(&own, info->signo, info->code, sender, group);
        int result = signal_may_send(sender, group, info->signo);
        if (!result && info->signo && !signal_is_absorbed(sender, group, info->signo))
            result = signal_send_group(group, &own);
        if (result)
            *err = result;
        else
            reached++;
    }
}

void signal_force(struct task *task, const struct linux_siginfo *info)
{
    struct thread_group *group = task->group;
    i32 signo = info->signo;
    struct linux_sigaction *action = action_of(group, signo);
    bool is_blocked = task->signals.mask & SIGNAL_BIT(signo);
    if (is_blocked || action->handler == LINUX_SIG_IGN)
        action->handler = LINUX_SIG_DFL;
    task->signals.mask &= ~SIGNAL_BIT(signo);
    if (action->handler == LINUX_SIG_DFL)
        task->signals.forced_kill = true;
    int err = signal_queue_add(&task->signals.queue, group->object.arena, info, UINT64_MAX, NULL);
    ASSERT(err == 0);
    task_interrupt(task);
}

/* ---- masks and pending sets ----------------------------------------------------------------- */

u64 signal_pending_set(const struct task *task)
{
    return task->signals.queue.set | (task->group ? task->group->signals.queue.set : 0);
}

bool signal_is_pending(const struct task *task)
{
    return signal_pending_set(task) & ~task->signals.mask;
}

bool signal_will_act(const struct task *task)
{
    if (task_is_dying(task))
        return true;
    u64 set = signal_pending_set(task) & ~task->signals.mask;
    while (set) {
        i32 signo = __builtin_ctzll(set) + 1;
        set &= set - 1;
        const struct linux_sigaction *action = action_of(task->group, signo);
        if (signal_action_is_ignore(action, signo))
            continue;
        if (action->handler != LINUX_SIG_DFL)
            return true;
        if (signal_default_action(signo) != SIGNAL_DEFAULT_STOP &&
            (!thread_group_is_init(task->group) || task->signals.forced_kill))
            return true;
    }
    return false;
}

void signal_set_mask(struct task *task, u64 mask)
{
    mask &= ~SIGNALS_UNBLOCKABLE;
    u64 newly_blocked = mask & ~task->signals.mask;
    task->signals.mask = mask;
    if (!task->group)
        return;
    if (newly_blocked & task->group->signals.queue.set)
        signal_retarget(task->group);
    if (signal_is_pending(task))
        task_interrupt(task);
}

void signal_set_temporary_mask(struct task *task, u64 mask)
{
    if (!task->signals.has_saved_mask) {
        task->signals.saved_mask = task->signals.mask;
        task->signals.has_saved_mask = true;
    }
    signal_set_mask(task, mask);
}

bool signal_take(struct task *task, u64 set, struct linux_siginfo *info)
{
    if (signal_queue_take(&task->signals.queue, set, info))
        return true;
    return task->group && signal_queue_take(&task->group->signals.queue, set, info);
}

struct wait_queue *signal_wait_queue(struct task *task)
{
    return task->group ? &task->group->sighand->signalfd_queue : &task->signals.changed;
}

/* ---- the alternate stack -------------------------------------------------------------------- */

static bool is_on_altstack(const struct task *task, u64 sp)
{
    const struct linux_stack *stack = &task->signals.altstack;
    if ((u32)stack->flags & LINUX_SS_AUTODISARM)
        return false;
    return sp > stack->sp && sp - stack->sp <= stack->size;
}

void signal_get_altstack(const struct task *task, u64 sp, struct linux_stack *out)
{
    *out = task->signals.altstack;
    out->pad = 0;
    out->flags &= (i32)LINUX_SS_AUTODISARM;
    if (out->size == 0)
        out->flags |= LINUX_SS_DISABLE;
    else if (is_on_altstack(task, sp))
        out->flags |= LINUX_SS_ONSTACK;
}

int signal_set_altstack(struct task *task, const struct linux_stack *stack, u64 sp, u64 size_min)
{
    if (task->signals.altstack.size && is_on_altstack(task, sp))
        return -EPERM;
    u32 mode = (u32)stack->flags & ~LINUX_SS_AUTODISARM;
    if (mode != 0 && mode != LINUX_SS_ONSTACK && mode != LINUX_SS_DISABLE)
        return -EINVAL;
    if (mode == LINUX_SS_DISABLE) {
        task->signals.altstack = (struct linux_stack){.flags = stack->flags};
        return 0;
    }
    if (stack->size < size_min)
        return -ENOMEM;
    task->signals.altstack = (struct linux_stack){
        .sp = stack->sp,
        .size = stack->size,
        .flags = (i32)((u32)stack->flags & LINUX_SS_AUTODISARM)};
    return 0;
}
