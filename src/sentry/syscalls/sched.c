/* SPDX-License-Identifier: Apache-2.0 */
/* Priorities, policies and affinity: stored and shown, without effect on the sentry's own
 * scheduling (sched(7)). */
#include <errno.h>

#include <string.h>

#include "abi/process.h"
#include "abi/stat.h"
#include "sentry/kernel/cred.h"
#include "sentry/syscalls/syscalls.h"

#define POLICY_OTHER 0u
#define POLICY_FIFO 1u
#define POLICY_RR 2u
#define POLICY_BATCH 3u
#define POLICY_IDLE 5u
#define POLICY_RESET_ON_FORK 0x40000000u
#define PRIO_PROCESS_ 0
#define PRIO_PGRP_ 1
#define PRIO_USER_ 2

static struct task *target_of(struct task *task, i32 pid)
{
    if (pid == 0)
        return task;
    return pid < 0 ? NULL : task_find(task->pid->ns, (u32)pid);
}

/* May TASK change TARGET's priority? sched_setscheduler(2). */
static bool may_change(const struct task *task, const struct task *target)
{
    const struct cred *a = task->cred, *b = target->cred;
    return a->euid == b->uid || a->euid == b->euid || task_has_capability(task, CAP_SYS_NICE);
}

SLEEPS i64 sys_sched_yield(struct task *task, const struct sysargs *args)
{
    fiber_yield(&task->fiber);
    return 0;
}

SLEEPS i64 sys_sched_get_priority_max(struct task *task, const struct sysargs *args)
{
    switch (arg_u32(args, 0)) {
    case POLICY_FIFO:
    case POLICY_RR:
        return 99;
    case POLICY_OTHER:
    case POLICY_BATCH:
    case POLICY_IDLE:
    case 6: /* SCHED_DEADLINE */
        return 0;
    default:
        return -EINVAL;
    }
}

SLEEPS i64 sys_sched_get_priority_min(struct task *task, const struct sysargs *args)
{
    i64 max = sys_sched_get_priority_max(task, args);
    return max > 0 ? 1 : max;
}

/* Policies that time-sharing has; real-time ones cannot be promised here. */
static int check_policy(u32 policy, i32 priority)
{
    if (policy != POLICY_OTHER && policy != POLICY_BATCH && policy != POLICY_IDLE)
        return policy == POLICY_FIFO || policy == POLICY_RR
                   ? (priority < 1 || priority > 99 ? -EINVAL : -EPERM)
                   : -EINVAL;
    return priority ? -EINVAL : 0;
}

static int set_policy(struct task *task, i32 pid, u32 policy, i32 priority)
{
    if (pid < 0)
        return -EINVAL;
    struct task *target = target_of(task, pid);
    if (!target)
        return -ESRCH;
    int err = check_policy(policy & ~POLICY_RESET_ON_FORK, priority);
    if (err)
        return err;
    if (!may_change(task, target))
        return -EPERM;
    target->sched_attr.policy = policy & ~POLICY_RESET_ON_FORK;
    target->sched_attr.priority = priority;
    target->has_reset_on_fork = policy & POLICY_RESET_ON_FORK;
    return 0;
}

SLEEPS i64 sys_sched_setscheduler(struct task *task, const struct sysargs *args)
{
    i32 priority;
    if (arg_i32(args, 1) < 0 || arg_u64(args, 2) == 0)
        return -EINVAL;
    int err = copy_from_user(task, &priority, arg_uaddr(args, 2), sizeof priority);
    return err ? err : set_policy(task, arg_i32(args, 0), arg_u32(args, 1), priority);
}

SLEEPS i64 sys_sched_setparam(struct task *task, const struct sysargs *args)
{
    i32 priority;
    if (arg_i32(args, 0) < 0 || arg_u64(args, 1) == 0)
        return -EINVAL;
    int err = copy_from_user(task, &priority, arg_uaddr(args, 1), sizeof priority);
    if (err)
        return err;
    const struct task *target = target_of(task, arg_i32(args, 0));
    return target ? set_policy(task, arg_i32(args, 0), target->sched_attr.policy, priority)
                  : -ESRCH;
}

SLEEPS i64 sys_sched_getscheduler(struct task *task, const struct sysargs *args)
{
    if (arg_i32(args, 0) < 0)
        return -EINVAL;
    const struct task *target = target_of(task, arg_i32(args, 0));
    if (!target)
        return -ESRCH;
    return target->sched_attr.policy | (target->has_reset_on_fork ? POLICY_RESET_ON_FORK : 0);
}

SLEEPS i64 sys_sched_getparam(struct task *task, const struct sysargs *args)
{
    if (arg_i32(args, 0) < 0 || arg_u64(args, 1) == 0)
        return -EINVAL;
    const struct task *target = target_of(task, arg_i32(args, 0));
    if (!target)
        return -ESRCH;
    i32 priority = target->sched_attr.priority;
    return copy_to_user(task, arg_uaddr(args, 1), &priority, sizeof priority);
}

struct linux_sched_attr {
    u32 size, policy;
    u64 flags;
    i32 nice;
    u32 priority;
    u64 runtime, deadline, period;
};
_Static_assert(sizeof(struct linux_sched_attr) == 48, "struct sched_attr, first version");

SLEEPS i64 sys_sched_getattr(struct task *task, const struct sysargs *args)
{
    u32 size = arg_u32(args, 2);
    if (arg_i32(args, 0) < 0 || arg_u64(args, 1) == 0 || arg_u32(args, 3) != 0 ||
        size < sizeof(struct linux_sched_attr) || size > PAGE_SIZE)
        return -EINVAL;
    const struct task *target = target_of(task, arg_i32(args, 0));
    if (!target)
        return -ESRCH;
    struct linux_sched_attr attr = {.size = sizeof attr,
                                    .policy = target->sched_attr.policy,
                                    .flags = target->has_reset_on_fork,
                                    .nice = target->nice,
                                    .priority = (u32)target->sched_attr.priority};
    return copy_to_user(task, arg_uaddr(args, 1), &attr, sizeof attr);
}

SLEEPS i64 sys_sched_setattr(struct task *task, const struct sysargs *args)
{
    struct linux_sched_attr attr = {0};
    u32 size;
    if (arg_i32(args, 0) < 0 || arg_u64(args, 1) == 0 || arg_u32(args, 2) != 0)
        return -EINVAL;
    int err = copy_from_user(task, &size, arg_uaddr(args, 1), sizeof size);
    if (err)
        return err;
    if (size == 0)
        size = sizeof attr;
    if (size < sizeof attr || size > PAGE_SIZE)
        return -E2BIG;
    err = copy_from_user(task, &attr, arg_uaddr(args, 1), sizeof attr);
    if (err)
        return err;
    struct task *target = target_of(task, arg_i32(args, 0));
    if (!target)
        return -ESRCH;
    if (attr.flags & ~1ull)
        return -EINVAL;
    err = set_policy(task, arg_i32(args, 0),
                     attr.policy | (attr.flags & 1 ? POLICY_RESET_ON_FORK : 0), (i32)attr.priority);
    if (!err)
        target->nice = MAX(-20, MIN(19, attr.nice));
    return err;
}

SLEEPS i64 sys_sched_rr_get_interval(struct task *task, const struct sysargs *args)
{
    if (arg_i32(args, 0) < 0)
        return -EINVAL;
    if (!target_of(task, arg_i32(args, 0)))
        return -ESRCH;
    struct linux_timespec slice = {0, 100 * 1000 * 1000};
    return copy_to_user(task, arg_uaddr(args, 1), &slice, sizeof slice);
}

/* ---- affinity ------------------------------------------------------------------------------- */

SLEEPS i64 sys_sched_setaffinity(struct task *task, const struct sysargs *args)
{
    struct task *target = target_of(task, arg_i32(args, 0));
    u64 mask = 0;
    int err = copy_from_user(task, &mask, arg_uaddr(args, 2),
                             MIN(arg_u64(args, 1), (u64)sizeof mask));
    if (err)
        return err;
    if (!target)
        return -ESRCH;
    if (!may_change(task, target))
        return -EPERM;
    mask &= kernel_cpu_mask(task->kernel);
    if (!mask)
        return -EINVAL;
    target->sched_attr.affinity = mask;
    return 0;
}

SLEEPS i64 sys_sched_getaffinity(struct task *task, const struct sysargs *args)
{
    u64 size = arg_u64(args, 1);
    const struct task *target = target_of(task, arg_i32(args, 0));
    if (size < sizeof(u64) || size % sizeof(u64))
        return -EINVAL;
    if (!target)
        return -ESRCH;
    u64 mask = task_affinity(target);
    int err = copy_to_user(task, arg_uaddr(args, 2), &mask, sizeof mask);
    return err ? err : (i64)sizeof mask;
}

SLEEPS i64 sys_getcpu(struct task *task, const struct sysargs *args)
{
    u32 cpu = task->fiber.cpu_index, node = 0;
    int err = arg_u64(args, 0) ? copy_to_user(task, arg_uaddr(args, 0), &cpu, sizeof cpu) : 0;
    if (!err && arg_u64(args, 1))
        err = copy_to_user(task, arg_uaddr(args, 1), &node, sizeof node);
    return err;
}

/* ---- nice values ---------------------------------------------------------------------------- */

/* Calls VISIT for every task that WHICH and WHO name; how many there were. */
static u32 for_each_named(struct task *task, i32 which, i32 who,
                          void (*visit)(struct task *target, void *arg), void *arg)
{
    struct task *target;
    u32 count = 0;
    list_for_each (target, &task->kernel->tasks, kernel_link) {
        if (target->is_kernel || target->phase >= PHASE_ZOMBIE)
            continue;
        const struct pid_ns *ns = task->pid->ns;
        bool is_named = false;
        if (which == PRIO_PROCESS_)
            is_named = who == 0 ? target == task : (u32)who == task_tid_in(target, ns);
        else if (which == PRIO_PGRP_)
            is_named = who == 0 ? target->group->pgrp == task->group->pgrp
                                : (u32)who == pid_nr_in(target->group->pgrp->pid, ns);
        else
            is_named = target->cred->uid == (who == 0 ? task->cred->uid : (u32)who);
        if (!is_named)
            continue;
        count++;
        visit(target, arg);
    }
    return count;
}

static void take_best(struct task *target, void *arg)
{
    i32 *best = arg;
    *best = MIN(*best, target->nice);
}

SLEEPS i64 sys_getpriority(struct task *task, const struct sysargs *args)
{
    i32 which = arg_i32(args, 0), best = 20;
    if (which < PRIO_PROCESS_ || which > PRIO_USER_)
        return -EINVAL;
    if (!for_each_named(task, which, arg_i32(args, 1), take_best, &best))
        return -ESRCH;
    return 20 - best; /* the system call's own scale: 40 to 1 */
}

struct set_nice {
    struct task *by;
    i32 nice;
    int err;
};

static void set_nice(struct task *target, void *arg)
{
    struct set_nice *set = arg;
    if (!may_change(set->by, target)) {
        set->err = -EPERM;
        return;
    }
    u64 limit = target->group->limits.v[RLIMIT_NICE_].soft;
    bool is_raise = set->nice < target->nice;
    if (is_raise && (u64)(20 - set->nice) > limit && !task_has_capability(set->by, CAP_SYS_NICE)) {
        set->err = -EACCES;
        return;
    }
    target->nice = set->nice;
}

SLEEPS i64 sys_setpriority(struct task *task, const struct sysargs *args)
{
    i32 which = arg_i32(args, 0);
    if (which < PRIO_PROCESS_ || which > PRIO_USER_)
        return -EINVAL;
    struct set_nice set = {.by = task, .nice = MAX(-20, MIN(19, arg_i32(args, 2)))};
    return for_each_named(task, which, arg_i32(args, 1), set_nice, &set) ? set.err : -ESRCH;
}

SLEEPS i64 sys_ioprio_get(struct task *task, const struct sysargs *args)
{
    i32 which = arg_i32(args, 0);
    if (which < 1 || which > 3)
        return -EINVAL;
    const struct task *target = which == 1 ? target_of(task, arg_i32(args, 1)) : task;
    return target ? (i64)target->io_priority : -ESRCH;
}

SLEEPS i64 sys_ioprio_set(struct task *task, const struct sysargs *args)
{
    i32 which = arg_i32(args, 0);
    u32 class = arg_u32(args, 2) >> 13;
    if (which < 1 || which > 3 || class > 3)
        return -EINVAL;
    if (class == 1 && !task_has_capability(task, CAP_SYS_ADMIN) &&
        !task_has_capability(task, CAP_SYS_NICE))
        return -EPERM;
    struct task *target = which == 1 ? target_of(task, arg_i32(args, 1)) : task;
    if (!target)
        return -ESRCH;
    if (!may_change(task, target))
        return -EPERM;
    target->io_priority = arg_u32(args, 2);
    return 0;
}
