/* SPDX-License-Identifier: Apache-2.0 */
/* Signals: actions, masks, sending, waiting (signal(7)). */
#include <string.h>

#include "abi/errno.h"
#include "abi/stat.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/pid.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/syscalls/timespec.h"

#define ALTSTACK_SIZE_MIN 2048u

static bool is_signal(i32 signo)
{
    return signo >= 1 && signo <= LINUX_NSIG;
}

/* ---- actions and masks ---------------------------------------------------------------------- */

SLEEPS i64 sys_rt_sigaction(struct task *task, const struct sysargs *args)
{
    i32 signo = arg_i32(args, 0);
    struct linux_sigaction action, old;
    if (arg_u64(args, 3) != sizeof(u64))
        return -EINVAL;
    bool has_new = arg_u64(args, 1) != 0;
    int err = has_new ? copy_from_user(task, &action, arg_uaddr(args, 1), sizeof action) : 0;
    if (err)
        return err;
    if (!is_signal(signo) || (has_new && (SIGNAL_BIT(signo) & SIGNALS_UNBLOCKABLE)))
        return -EINVAL;
    signal_set_action(task, signo, has_new ? &action : NULL, &old);
    return arg_u64(args, 2) ? copy_to_user(task, arg_uaddr(args, 2), &old, sizeof old) : 0;
}

SLEEPS i64 sys_rt_sigprocmask(struct task *task, const struct sysargs *args)
{
    u64 old = task->signals.mask, set;
    if (arg_u64(args, 3) != sizeof(u64))
        return -EINVAL;
    if (arg_u64(args, 1)) {
        int err = copy_from_user(task, &set, arg_uaddr(args, 1), sizeof set);
        if (err)
            return err;
        switch (arg_i32(args, 0)) {
        case LINUX_SIG_BLOCK:
            set |= old;
            break;
        case LINUX_SIG_UNBLOCK:
            set = old & ~set;
            break;
        case LINUX_SIG_SETMASK:
            break;
        default:
            return -EINVAL;
        }
        signal_set_mask(task, set);
    }
    return arg_u64(args, 2) ? copy_to_user(task, arg_uaddr(args, 2), &old, sizeof old) : 0;
}

SLEEPS i64 sys_rt_sigpending(struct task *task, const struct sysargs *args)
{
    u64 set = signal_pending_set(task) & task->signals.mask, size = arg_u64(args, 1);
    if (size > sizeof set)
        return -EINVAL;
    return copy_to_user(task, arg_uaddr(args, 0), &set, size);
}

SLEEPS i64 sys_sigaltstack(struct task *task, const struct sysargs *args)
{
    u64 sp = task->context.regs.rsp;
    struct linux_stack stack, old;
    signal_get_altstack(task, sp, &old);
    if (arg_u64(args, 0)) {
        int err = copy_from_user(task, &stack, arg_uaddr(args, 0), sizeof stack);
        if (!err)
            err = signal_set_altstack(task, &stack, sp, ALTSTACK_SIZE_MIN);
        if (err)
            return err;
    }
    return arg_u64(args, 1) ? copy_to_user(task, arg_uaddr(args, 1), &old, sizeof old) : 0;
}

SLEEPS i64 sys_rt_sigreturn(struct task *task, const struct sysargs *args)
{
    task->in_syscall = false; /* the registers are the frame's */
    return signal_return(task);
}

/* ---- sending -------------------------------------------------------------------------------- */

static int send_group(struct task *task, struct thread_group *group,
                      const struct linux_siginfo *info, i32 signo)
{
    int err = signal_may_send(task, group, signo);
    if (err || signo == 0 || signal_is_absorbed(task, group, signo))
        return err;
    return signal_send_group(group, info);
}

static i64 kill_group_of(struct task *task, u32 pgid, i32 signo)
{
    struct process_group *pgrp = pgid == 0 ? task->group->pgrp
                                           : process_group_find(task->pid->ns, pgid);
    struct thread_group *member, *next;
    int err = -ESRCH;
    bool is_sent = false;
    if (!pgrp)
        return -ESRCH;
    list_for_each_safe (member, next, &pgrp->members, pgrp_link) {
        struct linux_siginfo info;
        signal_info_user(&info, signo, LINUX_SI_USER, task, member);
        int one = send_group(task, member, &info, signo);
        is_sent |= one == 0;
        if (one)
            err = one;
    }
    return is_sent ? 0 : err;
}

SLEEPS i64 sys_kill(struct task *task, const struct sysargs *args)
{
    i32 pid = arg_i32(args, 0), signo = arg_i32(args, 1);
    struct linux_siginfo info;
    if (signo < 0 || signo > LINUX_NSIG)
        return -EINVAL;
    if (pid == INT32_MIN)
        return -ESRCH;
    if (pid == -1) {
        int err = -ESRCH;
        signal_info_user(&info, signo, LINUX_SI_USER, task, task->group);
        return signal_send_all(task, &info, &err) ? 0 : err;
    }
    if (pid <= 0)
        return kill_group_of(task, (u32)-pid, signo);
    struct thread_group *group = thread_group_find(task->pid->ns, (u32)pid);
    if (!group)
        return -ESRCH;
    signal_info_user(&info, signo, LINUX_SI_USER, task, group);
    return send_group(task, group, &info, signo);
}

/* tkill(2), tgkill(2): TGID 0 for any process. */
static i64 kill_thread(struct task *task, i32 tgid, i32 tid, i32 signo,
                       const struct linux_siginfo *given)
{
    if (tid <= 0 || tgid < 0 || signo < 0 || signo > LINUX_NSIG)
        return -EINVAL;
    struct task *target = task_find(task->pid->ns, (u32)tid);
    if (!target || (tgid && thread_group_pid_in(target->group, task->pid->ns) != (u32)tgid))
        return -ESRCH;
    struct linux_siginfo info;
    if (given)
        info = *given;
    else
        signal_info_user(&info, signo, LINUX_SI_TKILL, task, target->group);
    int err = signal_may_send(task, target->group, signo);
    if (err || signo == 0 || signal_is_absorbed(task, target->group, signo))
        return err;
    return signal_send_task(target, &info);
}

SLEEPS i64 sys_tkill(struct task *task, const struct sysargs *args)
{
    return kill_thread(task, 0, arg_i32(args, 0), arg_i32(args, 1), NULL);
}

SLEEPS i64 sys_tgkill(struct task *task, const struct sysargs *args)
{
    return arg_i32(args, 0) <= 0
               ? -EINVAL
               : kill_thread(task, arg_i32(args, 0), arg_i32(args, 1), arg_i32(args, 2), NULL);
}

/* A siginfo of the program's own: to others it may not look like the kernel's or kill(2)'s. */
SLEEPS static int info_from_user(struct task *task, uaddr at, i32 signo, bool is_own,
                                 struct linux_siginfo *info)
{
    int err = copy_from_user(task, info, at, sizeof *info);
    if (err)
        return err;
    info->signo = signo;
    return !is_own && (info->code >= 0 || info->code == LINUX_SI_TKILL) ? -EPERM : 0;
}

SLEEPS i64 sys_rt_sigqueueinfo(struct task *task, const struct sysargs *args)
{
    i32 pid = arg_i32(args, 0), signo = arg_i32(args, 1);
    struct linux_siginfo info;
    int err = info_from_user(task, arg_uaddr(args, 2), signo, (u32)pid == task->group->pid, &info);
    if (err)
        return err;
    if (signo < 0 || signo > LINUX_NSIG)
        return -EINVAL;
    struct thread_group *group = pid > 0 ? thread_group_find(task->pid->ns, (u32)pid) : NULL;
    return group ? send_group(task, group, &info, signo) : -ESRCH;
}

SLEEPS i64 sys_rt_tgsigqueueinfo(struct task *task, const struct sysargs *args)
{
    i32 tgid = arg_i32(args, 0), tid = arg_i32(args, 1), signo = arg_i32(args, 2);
    struct linux_siginfo info;
    if (tgid <= 0 || tid <= 0)
        return -EINVAL;
    int err = info_from_user(task, arg_uaddr(args, 3), signo, (u32)tgid == task->group->pid, &info);
    return err ? err : kill_thread(task, tgid, tid, signo, &info);
}

/* ---- waiting -------------------------------------------------------------------------------- */

SLEEPS i64 sys_rt_sigsuspend(struct task *task, const struct sysargs *args)
{
    u64 mask;
    if (arg_u64(args, 1) != sizeof mask)
        return -EINVAL;
    int err = copy_from_user(task, &mask, arg_uaddr(args, 0), sizeof mask);
    if (err)
        return err;
    signal_set_temporary_mask(task, mask);
    struct wait_queue nobody = {{0}};
    while ((err = sleep_on(&nobody, task, NO_DEADLINE)) == 0)
        ;
    return task_never_restarts(task);
}

SLEEPS i64 sys_pause(struct task *task, const struct sysargs *args)
{
    struct wait_queue nobody = {{0}};
    while (sleep_on(&nobody, task, NO_DEADLINE) == 0)
        ;
    return task_never_restarts(task);
}

SLEEPS static i64 wait_for_signal(struct task *task, u64 set, u64 deadline_ns, bool may_block,
                                  struct linux_siginfo *info)
{
    for (;;) {
        if (signal_take(task, set, info))
            return info->signo;
        if (!may_block)
            return -EAGAIN;
        task->signals.wait_set = set;
        int err = sleep_on(signal_wait_queue(task), task, deadline_ns);
        task->signals.wait_set = 0;
        if (signal_take(task, set, info))
            return info->signo;
        if (err == -ETIMEDOUT)
            return -EAGAIN;
        if (err)
            return task_never_restarts(task);
    }
}

SLEEPS i64 sys_rt_sigtimedwait(struct task *task, const struct sysargs *args)
{
    u64 set, timeout_ns = NO_DEADLINE;
    if (arg_u64(args, 3) != sizeof set)
        return -EINVAL;
    int err = copy_from_user(task, &set, arg_uaddr(args, 0), sizeof set);
    if (!err)
        err = timespec_from_user(task, arg_uaddr(args, 2), &timeout_ns);
    if (err)
        return err;
    struct linux_siginfo info;
    i64 signo = wait_for_signal(task, set & ~SIGNALS_UNBLOCKABLE, task_deadline(task, timeout_ns),
                                timeout_ns != 0, &info);
    if (signo > 0 && arg_u64(args, 1) && copy_to_user(task, arg_uaddr(args, 1), &info, sizeof info))
        return -EFAULT;
    return signo;
}

/* Calls that were interrupted are made again by the sentry itself: a program finds nothing to
 * restart. */
SLEEPS i64 sys_restart_syscall(struct task *task, const struct sysargs *args)
{
    return -EINTR;
}
