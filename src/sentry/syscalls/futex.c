/* SPDX-License-Identifier: Apache-2.0 */
/* futex(2): the operations by number, and the calls that stand for one each (futex_waitv and the
 * three with flags of their own). What they do is kernel/futex.c's. */
#include "sentry/kernel/futex.h"

#include "abi/errno.h"
#include "abi/process.h"
#include "sentry/kernel/timers.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/syscalls/timespec.h"

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
    u64 ns;
    int err = timespec_from_user(task, at, &ns);
    if (err)
        return err;
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
        .is_to_shared = call->is_shared,
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

/* ---- calls with flags of their own ---------------------------------------------------------- */

#define FUTEX2_SIZE_MASK_ 3u
#define FUTEX2_SIZE_U32_ 2u
#define FUTEX2_PRIVATE_ 128u

struct linux_futex_waitv {
    u64 value, address;
    u32 flags, reserved;
};
_Static_assert(sizeof(struct linux_futex_waitv) == 24, "Linux");

/* Words of 32 bits alone; NUMA hints are not there. */
static bool are_flags_valid(u32 flags)
{
    return !(flags & ~(FUTEX2_SIZE_MASK_ | FUTEX2_PRIVATE_)) &&
           (flags & FUTEX2_SIZE_MASK_) == FUTEX2_SIZE_U32_;
}

SLEEPS static int read_absolute(struct task *task, uaddr at, u32 clock, u64 *deadline_ns)
{
    *deadline_ns = NO_DEADLINE;
    if (at.value == 0)
        return 0;
    if (clock != LINUX_CLOCK_REALTIME && clock != LINUX_CLOCK_MONOTONIC)
        return -EINVAL;
    struct futex_call call = {.command = LINUX_FUTEX_WAIT_BITSET,
                              .is_realtime = clock == LINUX_CLOCK_REALTIME};
    int err = read_deadline(task, at, &call);
    *deadline_ns = call.deadline_ns;
    return err;
}

SLEEPS static int read_items(struct task *task, uaddr at, u32 count, struct futex_wait_item *items)
{
    for (u32 i = 0; i < count; i++) {
        struct linux_futex_waitv waiter;
        int err = copy_from_user(task, &waiter, uaddr_make(at.value + i * sizeof waiter),
                                 sizeof waiter);
        if (err)
            return err;
        if (!are_flags_valid(waiter.flags) || waiter.reserved || waiter.value > UINT32_MAX)
            return -EINVAL;
        items[i] = (struct futex_wait_item){.at = uaddr_make(waiter.address),
                                            .value = (u32)waiter.value,
                                            .is_shared = !(waiter.flags & FUTEX2_PRIVATE_)};
    }
    return 0;
}

SLEEPS i64 sys_futex_waitv(struct task *task, const struct sysargs *args)
{
    u32 count = arg_u32(args, 1);
    if (arg_u32(args, 2) || count == 0 || count > FUTEX_WAIT_MANY_MAX ||
        arg_uaddr(args, 0).value == 0)
        return -EINVAL;
    u64 deadline_ns;
    i64 result = read_absolute(task, arg_uaddr(args, 3), arg_u32(args, 4), &deadline_ns);
    if (result)
        return result;
    struct futex_wait_item *items = arena_alloc(task->kernel->arena, count * sizeof *items);
    if (!items)
        return -ENOMEM;
    result = read_items(task, arg_uaddr(args, 0), count, items);
    if (!result)
        result = futex_wait_many(task, items, count, deadline_ns);
    arena_free(task->kernel->arena, items, count * sizeof *items);
    return result;
}

SLEEPS i64 sys_futex_wake(struct task *task, const struct sysargs *args)
{
    u32 flags = arg_u32(args, 3), count = arg_u32(args, 2);
    u64 mask = arg_u64(args, 1);
    if (!are_flags_valid(flags) || mask > UINT32_MAX)
        return -EINVAL;
    return futex_wake(task, arg_uaddr(args, 0), !(flags & FUTEX2_PRIVATE_),
                      count ? wake_count(count) : 0, (u32)mask);
}

SLEEPS i64 sys_futex_wait(struct task *task, const struct sysargs *args)
{
    u32 flags = arg_u32(args, 3);
    u64 value = arg_u64(args, 1), mask = arg_u64(args, 2), deadline_ns;
    if (!are_flags_valid(flags) || value > UINT32_MAX || mask > UINT32_MAX)
        return -EINVAL;
    int err = read_absolute(task, arg_uaddr(args, 4), arg_u32(args, 5), &deadline_ns);
    if (err)
        return err;
    return futex_wait(task, arg_uaddr(args, 0), !(flags & FUTEX2_PRIVATE_), (u32)value, (u32)mask,
                      deadline_ns);
}

SLEEPS i64 sys_futex_requeue(struct task *task, const struct sysargs *args)
{
    if (arg_u32(args, 1) || arg_uaddr(args, 0).value == 0)
        return -EINVAL;
    struct futex_wait_item items[2];
    int err = read_items(task, arg_uaddr(args, 0), 2, items);
    if (err)
        return err;
    const struct futex_requeue request = {.from = items[0].at,
                                          .to = items[1].at,
                                          .is_shared = items[0].is_shared,
                                          .is_to_shared = items[1].is_shared,
                                          .has_value = true,
                                          .wake_count = arg_u32(args, 2),
                                          .move_count = arg_u32(args, 3),
                                          .value = items[0].value};
    return futex_requeue(task, &request);
}
