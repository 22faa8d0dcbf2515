/* SPDX-License-Identifier: Apache-2.0 */
/* futex(2): the operations by number; what they do is kernel/futex.c's. */
#include "sentry/kernel/futex.h"

#include "abi/errno.h"
#include "abi/process.h"
#include "sentry/kernel/timers.h"
#include "sentry/syscalls/syscalls.h"

struct futex_call {
    uaddr at;
    u32 command, value, value3;
    bool is_shared, is_realtime;
    u64 deadline_ns; /* sched's */
};

/* Linux wakes one at least. */
static u32 wake_count(u32 value)
{
    return (i32)value < 1 ? 1 : value;
}

/* Which operations have a time-out in the fourth argument? */
static bool has_timeout(u32 command)
{
    return command == LINUX_FUTEX_WAIT || command == LINUX_FUTEX_WAIT_BITSET ||
           command == LINUX_FUTEX_LOCK_PI || command == LINUX_FUTEX_LOCK_PI2 ||
           command == LINUX_FUTEX_WAIT_REQUEUE_PI;
}

/* FUTEX_WAIT's is relative, the others' absolute; FUTEX_LOCK_PI's always of the realtime clock. */
SLEEPS static int read_deadline(struct task *task, uaddr at, struct futex_call *call)
{
    call->deadline_ns = NO_DEADLINE;
    if (at.value == 0 || !has_timeout(call->command))
        return 0;
    struct linux_timespec time;
    int err = copy_from_user(task, &time, at, sizeof time);
    if (err)
        return err;
    if (time.sec < 0 || time.nsec < 0 || time.nsec >= (i64)NS_PER_S)
        return -EINVAL;
    u64 ns = MIN((u64)time.sec, UINT64_MAX / NS_PER_S - 1) * NS_PER_S + (u64)time.nsec;
    bool is_realtime = call->is_realtime || call->command == LINUX_FUTEX_LOCK_PI;
    if (call->command == LINUX_FUTEX_WAIT)
        call->deadline_ns = task_deadline(task, ns);
    else
        call->deadline_ns = clock_deadline(
            task->kernel, is_realtime ? LINUX_CLOCK_REALTIME : LINUX_CLOCK_MONOTONIC, ns);
    return 0;
}

/* signal(7): a wait with a time-out ends with EINTR, one without is made again if the handler says
 * so. */
static i64 end_wait(struct task *task, const struct futex_call *call, i64 result)
{
    if (result != -ERESTARTSYS || call->deadline_ns == NO_DEADLINE)
        return result;
    return task_never_restarts(task);
}

/* A lock is asked for again whatever the handler says. */
static i64 end_lock(struct task *task, i64 result)
{
    if (result == -ERESTARTSYS)
        task->progress.always_restarts = true;
    return result;
}

SLEEPS static i64 do_requeue(struct task *task, const struct sysargs *args,
                             const struct futex_call *call)
{
    const struct futex_requeue request = {
        .from = call->at,
        .to = arg_uaddr(args, 4),
        .is_shared = call->is_shared,
        .has_value = call->command == LINUX_FUTEX_CMP_REQUEUE,
        .wake_count = call->value,
        .move_count = arg_u32(args, 3),
        .value = call->value3,
    };
    return futex_requeue(task, &request);
}

SLEEPS static i64 do_wake_op(struct task *task, const struct sysargs *args,
                             const struct futex_call *call)
{
    const struct futex_wake_op request = {
        .first = call->at,
        .second = arg_uaddr(args, 4),
        .is_shared = call->is_shared,
        .first_count = wake_count(call->value),
        .second_count = wake_count(arg_u32(args, 3)),
        .op = call->value3,
    };
    return futex_wake_op(task, &request);
}

SLEEPS static i64 do_command(struct task *task, const struct sysargs *args,
                             const struct futex_call *call)
{
    switch (call->command) {
    case LINUX_FUTEX_WAIT:
        return end_wait(task, call,
                        futex_wait(task, call->at, call->is_shared, call->value,
                                   LINUX_FUTEX_BITSET_ANY, call->deadline_ns));
    case LINUX_FUTEX_WAIT_BITSET:
        return end_wait(task, call,
                        futex_wait(task, call->at, call->is_shared, call->value, call->value3,
                                   call->deadline_ns));
    case LINUX_FUTEX_WAKE:
        return futex_wake(task, call->at, call->is_shared, wake_count(call->value),
                          LINUX_FUTEX_BITSET_ANY);
    case LINUX_FUTEX_WAKE_BITSET:
        return futex_wake(task, call->at, call->is_shared, wake_count(call->value), call->value3);
    case LINUX_FUTEX_REQUEUE:
    case LINUX_FUTEX_CMP_REQUEUE:
        return do_requeue(task, args, call);
    case LINUX_FUTEX_WAKE_OP:
        return do_wake_op(task, args, call);
    case LINUX_FUTEX_LOCK_PI:
    case LINUX_FUTEX_LOCK_PI2:
        return end_lock(task,
                        futex_lock_pi(task, call->at, call->is_shared, call->deadline_ns, true));
    case LINUX_FUTEX_TRYLOCK_PI:
        return futex_lock_pi(task, call->at, call->is_shared, NO_DEADLINE, false);
    case LINUX_FUTEX_UNLOCK_PI:
        return futex_unlock_pi(task, call->at, call->is_shared);
    default:
        return -ENOSYS; /* FUTEX_FD, and the two that requeue to a PI futex */
    }
}

SLEEPS i64 sys_futex(struct task *task, const struct sysargs *args)
{
    u32 op = arg_u32(args, 1);
    struct futex_call call = {
        .at = arg_uaddr(args, 0),
        .command = op & ~(LINUX_FUTEX_PRIVATE | LINUX_FUTEX_CLOCK_REALTIME),
        .value = arg_u32(args, 2),
        .value3 = arg_u32(args, 5),
        .is_shared = !(op & LINUX_FUTEX_PRIVATE),
        .is_realtime = op & LINUX_FUTEX_CLOCK_REALTIME,
    };
    if (call.is_realtime && call.command != LINUX_FUTEX_WAIT_BITSET &&
        call.command != LINUX_FUTEX_LOCK_PI2 && call.command != LINUX_FUTEX_WAIT_REQUEUE_PI)
        return -ENOSYS;
    int err = read_deadline(task, arg_uaddr(args, 3), &call);
    return err ? err : do_command(task, args, &call);
}
