/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Delivery at a boundary: what each pending signal does, and what becomes of the interrupted call
 * (signal(7), "Interruption of system calls and library functions by signal handlers").
 */
#include <string.h>

#include "abi/errno.h"
#include "abi/process.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/signal_internal.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/task_internal.h"

#define SYSCALL_INSTRUCTION_SIZE 2u

/* A handler is about to run over a call that had to unwind: its result, or again after the handler.
 */
static void settle_call(struct task *task, const struct linux_sigaction *action)
{
    if (!task->in_syscall)
        return;
    struct regs *regs = &task->context.regs;
    if (task->progress.bytes > 0) {
        regs->rax = task->progress.bytes;
    } else if (task->progress.always_restarts ||
               (action->flags & LINUX_SA_RESTART && !task->progress.never_restarts)) {
        regs->rax = regs->orig_rax;
        regs->rip -= SYSCALL_INSTRUCTION_SIZE;
    } else {
        regs->rax = (u64)-EINTR;
    }
    memset(&task->progress, 0, sizeof task->progress);
    task->in_syscall = false;
}

/* The frame did not fit, or the handler has nowhere to return to. */
static void frame_failed(struct task *task, i32 signo)
{
    struct linux_sigaction *segv = &task->group->sighand->actions[LINUX_SIGSEGV - 1];
    if (signo == LINUX_SIGSEGV)
        segv->handler = LINUX_SIG_DFL;
    struct linux_siginfo info;
    signal_info_kernel(&info, LINUX_SIGSEGV);
    signal_force(task, &info);
}

SLEEPS static void run_handler(struct task *task, const struct linux_siginfo *info)
{
    i32 signo = info->signo;
    struct linux_sigaction *action = &task->group->sighand->actions[signo - 1];
    const struct linux_sigaction taken = *action;
    settle_call(task, &taken);
    u64 old_mask = task->signals.has_saved_mask ? task->signals.saved_mask : task->signals.mask;
    if (taken.flags & LINUX_SA_RESETHAND)
        action->handler = LINUX_SIG_DFL;
    int err = signal_frame_push(task, info, &taken, old_mask);
    task->signals.has_saved_mask = false;
    if (err) {
        frame_failed(task, signo);
        return;
    }
    u64 mask = task->signals.mask | taken.mask;
    if (!(taken.flags & LINUX_SA_NODEFER))
        mask |= SIGNAL_BIT(signo);
    signal_set_mask(task, mask);
    kernel_task_event(task, "handler", signo);
}

static void act_by_default(struct task *task, const struct linux_siginfo *info)
{
    i32 signo = info->signo;
    enum signal_default what = signal_default_action(signo);
    if (what == SIGNAL_DEFAULT_IGNORE || what == SIGNAL_DEFAULT_CONTINUE)
        return;
    bool is_forced = task->signals.forced_kill;
    if (thread_group_is_init(task->group) && !is_forced && signo != LINUX_SIGSTOP)
        return;
    if (what == SIGNAL_DEFAULT_STOP) {
        if (signo == LINUX_SIGSTOP || !process_group_is_orphaned(task->group->pgrp))
            group_stop_begin(task->group, signo);
        return;
    }
    task->signals.forced_kill = false;
    kernel_task_event(task, "killed", signo);
    thread_group_exit(task->group,
                      signo); /* no core is ever written, so wait(2)'s flag for one stays off */
}

SLEEPS void signal_act(struct task *task, const struct linux_siginfo *info)
{
    const struct linux_sigaction *action = &task->group->sighand->actions[info->signo - 1];
    if (action->handler == LINUX_SIG_DFL)
        act_by_default(task, info);
    else if (action->handler != LINUX_SIG_IGN)
        run_handler(task, info);
}

SLEEPS bool signal_deliver_one(struct task *task)
{
    struct linux_siginfo info;
    if (!signal_take(task, ~task->signals.mask, &info))
        return false;
    if (!trace_signal(task, &info))
        signal_act(task, &info);
    return true;
}

SLEEPS void signal_deliver(struct task *task)
{
    /* A call that ended by itself takes its temporary mask along, before anything is delivered. */
    if (task->signals.has_saved_mask && !task->in_syscall &&
        task->context.regs.rax != (u64)-EINTR) {
        task->signals.has_saved_mask = false;
        signal_set_mask(task, task->signals.saved_mask);
    }
    while (!task_is_dying(task) && !task->trace.stop &&
           (!task->group->signals.stop_signal || task->trace.ignores_stop) &&
           signal_deliver_one(task))
        ;
    if (task->signals.has_saved_mask && !task->in_syscall && !task->trace.stop &&
        !task_is_dying(task)) {
        task->signals.has_saved_mask = false;
        signal_set_mask(task, task->signals.saved_mask);
    }
}
