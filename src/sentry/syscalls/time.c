/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clocks, sleeps, interval timers, posix timers, times used (clock_gettime(2), nanosleep(2),
 * setitimer(2), timer_create(2), getrusage(2)). Clocks are read only here: setting them is refused
 * in system.c.
 */
#include <string.h>

#include "abi/errno.h"
#include "abi/process.h"
#include "sentry/kernel/timers.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/syscalls/timespec.h"

/* ---- times of the program ------------------------------------------------------------------- */

static struct linux_timespec timespec_of(u64 ns)
{
    return (struct linux_timespec){(i64)(ns / NS_PER_S), (i64)(ns % NS_PER_S)};
}

static struct linux_timeval timeval_of(u64 ns)
{
    return (struct linux_timeval){(i64)(ns / NS_PER_S), (i64)(ns % NS_PER_S / NS_PER_US)};
}

static int judge_timeval(const struct linux_timeval *time, u64 *ns)
{
    if (time->sec < 0 || time->usec < 0 || time->usec >= 1000000)
        return -EINVAL;
    *ns = time_to_ns((u64)time->sec, (u64)time->usec * NS_PER_US);
    return 0;
}

/* ---- clocks --------------------------------------------------------------------------------- */

SLEEPS i64 sys_clock_gettime(struct task *task, const struct sysargs *args)
{
    struct clock_ref clock;
    int err = clock_resolve(task, arg_i32(args, 0), &clock);
    if (err)
        return err;
    const struct linux_timespec time = timespec_of(clock_now_ns(task->kernel, &clock));
    return copy_to_user(task, arg_uaddr(args, 1), &time, sizeof time);
}

SLEEPS i64 sys_clock_getres(struct task *task, const struct sysargs *args)
{
    struct clock_ref clock;
    int err = clock_resolve(task, arg_i32(args, 0), &clock);
    if (err)
        return err;
    const struct linux_timespec resolution = {0, 1};
    return arg_u64(args, 1) ? copy_to_user(task, arg_uaddr(args, 1), &resolution, sizeof resolution)
                            : 0;
}

SLEEPS i64 sys_gettimeofday(struct task *task, const struct sysargs *args)
{
    if (arg_u64(args, 0)) {
        const struct linux_timeval time = timeval_of(kernel_realtime_ns(task->kernel));
        int err = copy_to_user(task, arg_uaddr(args, 0), &time, sizeof time);
        if (err)
            return err;
    }
    const i32 zone[2] = {0, 0};
    return arg_u64(args, 1) ? copy_to_user(task, arg_uaddr(args, 1), zone, sizeof zone) : 0;
}

SLEEPS i64 sys_time(struct task *task, const struct sysargs *args)
{
    const i64 now = (i64)(kernel_realtime_ns(task->kernel) / NS_PER_S);
    if (arg_u64(args, 0) && copy_to_user(task, arg_uaddr(args, 0), &now, sizeof now))
        return -EFAULT;
    return now;
}

/* ---- sleeps --------------------------------------------------------------------------------- */

/* 0 at the deadline, -ERESTARTSYS before it. */
SLEEPS static int sleep_until(struct task *task, u64 deadline_ns)
{
    for (;;) {
        fiber_prepare(&task->fiber);
        int err = fiber_block(&task->fiber, deadline_ns, true);
        if (err == -ETIMEDOUT)
            return 0;
        if (err)
            return err;
    }
}

/* A relative sleep tells what is left of it even if it is going to be made again: a handler may
 * still come. */
SLEEPS static i64 sleep_for(struct task *task, u64 duration_ns, uaddr left_at)
{
    u64 deadline = task_deadline(task, duration_ns);
    int err = sleep_until(task, deadline);
    if (err == 0)
        return 0;
    if (left_at.value) {
        u64 now = sched_now_ns(task->kernel->sched);
        const struct linux_timespec left = timespec_of(deadline > now ? deadline - now : 0);
        if (copy_to_user(task, left_at, &left, sizeof left))
            return -EFAULT;
    }
    return task_never_restarts(task);
}

SLEEPS i64 sys_nanosleep(struct task *task, const struct sysargs *args)
{
    struct linux_timespec time;
    u64 ns;
    int err = copy_from_user(task, &time, arg_uaddr(args, 0), sizeof time);
    if (!err)
        err = timespec_judge(&time, &ns);
    return err ? err : sleep_for(task, ns, arg_uaddr(args, 1));
}

/* A sleep on cpu time is a look now and then: others spend it. */
SLEEPS static i64 sleep_on_cpu_clock(struct task *task, const struct clock_ref *clock, u64 ns,
                                     bool is_absolute)
{
    struct progress *progress = &task->progress;
    if (!progress->has_mark) {
        progress->words[0] = is_absolute ? ns : clock_now_ns(task->kernel, clock) + ns;
        progress->has_mark = true;
    }
    struct pid *pid = REF_GET(clock->group->leader->pid);
    i64 result = 0;
    while (pid->task && !pid->task->group->is_zombie) {
        const struct clock_ref now = {.id = clock->id, .group = pid->task->group};
        u64 spent = clock_now_ns(task->kernel, &now);
        if (spent >= progress->words[0])
            break;
        u64 step = MAX(progress->words[0] - spent, NS_PER_MS);
        if (sleep_until(task, sched_now_ns(task->kernel->sched) + step)) {
            result = task_never_restarts(task);
            break;
        }
    }
    REF_PUT(pid);
    return result;
}

SLEEPS i64 sys_clock_nanosleep(struct task *task, const struct sysargs *args)
{
    struct clock_ref clock;
    struct linux_timespec time;
    u64 ns;
    bool is_absolute = arg_u32(args, 1) & LINUX_TIMER_ABSTIME;
    int err = clock_resolve(task, arg_i32(args, 0), &clock);
    if (!err &&
        (clock.id == LINUX_CLOCK_MONOTONIC_RAW || clock.id == LINUX_CLOCK_REALTIME_COARSE ||
         clock.id == LINUX_CLOCK_MONOTONIC_COARSE || clock.id == LINUX_CLOCK_THREAD_CPUTIME_ID))
        err = -EOPNOTSUPP;
    if (!err)
        err = copy_from_user(task, &time, arg_uaddr(args, 2), sizeof time);
    if (!err)
        err = timespec_judge(&time, &ns);
    if (err)
        return err;
    if (clock_is_cpu(clock.id))
        return sleep_on_cpu_clock(task, &clock, ns, is_absolute);
    if (!is_absolute)
        return sleep_for(task, ns, arg_uaddr(args, 3));
    return sleep_until(task, clock_deadline(task->kernel, clock.id, ns)) ? task_never_restarts(task)
                                                                         : 0;
}

/* ---- interval timers ------------------------------------------------------------------------ */

static struct linux_itimerval itimerval_of(const struct itimer *timer)
{
    u64 left_ns = timer->next_ns + NS_PER_US -
                  1; /* rounded up: what is left never shows as nothing */
    return (struct linux_itimerval){timeval_of(timer->interval_ns), timeval_of(left_ns)};
}

SLEEPS i64 sys_getitimer(struct task *task, const struct sysargs *args)
{
    i32 which = arg_i32(args, 0);
    if (which < LINUX_ITIMER_REAL || which > LINUX_ITIMER_PROF)
        return -EINVAL;
    struct itimer left;
    itimer_get(task, which, &left);
    const struct linux_itimerval out = itimerval_of(&left);
    return copy_to_user(task, arg_uaddr(args, 1), &out, sizeof out);
}

SLEEPS i64 sys_setitimer(struct task *task, const struct sysargs *args)
{
    i32 which = arg_i32(args, 0);
    struct linux_itimerval in = {{0}};
    struct itimer set, old;
    int err = arg_u64(args, 1) ? copy_from_user(task, &in, arg_uaddr(args, 1), sizeof in) : 0;
    if (!err)
        err = judge_timeval(&in.value, &set.next_ns);
    if (!err)
        err = judge_timeval(&in.interval, &set.interval_ns);
    if (!err && (which < LINUX_ITIMER_REAL || which > LINUX_ITIMER_PROF))
        err = -EINVAL;
    if (!err)
        err = itimer_set(task, which, &set, &old);
    if (err || arg_u64(args, 2) == 0)
        return err;
    const struct linux_itimerval out = itimerval_of(&old);
    return copy_to_user(task, arg_uaddr(args, 2), &out, sizeof out);
}

SLEEPS i64 sys_alarm(struct task *task, const struct sysargs *args)
{
    const struct itimer set = {.next_ns = (u64)arg_u32(args, 0) * NS_PER_S};
    struct itimer old;
    if (itimer_set(task, LINUX_ITIMER_REAL, &set, &old))
        return 0;
    u64 seconds = old.next_ns / NS_PER_S;
    /* alarm(2): never 0 while one was pending, else rounded to the nearest. */
    if ((seconds == 0 && old.next_ns) || old.next_ns % NS_PER_S >= NS_PER_S / 2)
        seconds++;
    return (i64)seconds;
}

/* ---- posix timers --------------------------------------------------------------------------- */

SLEEPS i64 sys_timer_create(struct task *task, const struct sysargs *args)
{
    struct clock_ref clock;
    struct linux_sigevent event;
    bool has_event = arg_u64(args, 1) != 0;
    int err = clock_resolve(task, arg_i32(args, 0), &clock);
    if (!err && (clock.id == LINUX_CLOCK_MONOTONIC_RAW || clock.id == LINUX_CLOCK_REALTIME_COARSE ||
                 clock.id == LINUX_CLOCK_MONOTONIC_COARSE))
        err = -EOPNOTSUPP;
    if (!err && clock_is_cpu(clock.id) && clock.group != task->group)
        err = -EINVAL; /* other processes' cpu timers are not kept */
    if (!err && has_event)
        err = copy_from_user(task, &event, arg_uaddr(args, 1), sizeof event);
    i32 id;
    if (!err)
        err = posix_timer_create(task, &clock, has_event ? &event : NULL, &id);
    if (err)
        return err;
    err = copy_to_user(task, arg_uaddr(args, 2), &id, sizeof id);
    struct posix_timer *timer = err ? posix_timer_find(task, id) : NULL;
    if (timer)
        posix_timer_delete(timer);
    return err;
}

static struct linux_itimerspec itimerspec_of(const struct itimer *timer)
{
    return (struct linux_itimerspec){timespec_of(timer->interval_ns), timespec_of(timer->next_ns)};
}

SLEEPS i64 sys_timer_settime(struct task *task, const struct sysargs *args)
{
    struct linux_itimerspec in;
    struct itimer set, old;
    int err = arg_u64(args, 2) ? copy_from_user(task, &in, arg_uaddr(args, 2), sizeof in) : -EINVAL;
    if (!err)
        err = timespec_judge(&in.value, &set.next_ns);
    if (!err)
        err = timespec_judge(&in.interval, &set.interval_ns);
    if (err)
        return err;
    struct posix_timer *timer = posix_timer_find(task, arg_i32(args, 0));
    if (!timer)
        return -EINVAL;
    posix_timer_set(timer, set.next_ns, set.interval_ns, arg_u32(args, 1) & LINUX_TIMER_ABSTIME,
                    &old);
    const struct linux_itimerspec out = itimerspec_of(&old);
    return arg_u64(args, 3) ? copy_to_user(task, arg_uaddr(args, 3), &out, sizeof out) : 0;
}

SLEEPS i64 sys_timer_gettime(struct task *task, const struct sysargs *args)
{
    struct posix_timer *timer = posix_timer_find(task, arg_i32(args, 0));
    struct itimer left;
    if (!timer)
        return -EINVAL;
    posix_timer_get(timer, &left);
    const struct linux_itimerspec out = itimerspec_of(&left);
    return copy_to_user(task, arg_uaddr(args, 1), &out, sizeof out);
}

SLEEPS i64 sys_timer_getoverrun(struct task *task, const struct sysargs *args)
{
    const struct posix_timer *timer = posix_timer_find(task, arg_i32(args, 0));
    return timer ? timer->overrun_last : -EINVAL;
}

SLEEPS i64 sys_timer_delete(struct task *task, const struct sysargs *args)
{
    struct posix_timer *timer = posix_timer_find(task, arg_i32(args, 0));
    if (!timer)
        return -EINVAL;
    posix_timer_delete(timer);
    return 0;
}

/* ---- times used ----------------------------------------------------------------------------- */

static i64 ticks(u64 ns)
{
    return (i64)(ns / (NS_PER_S / LINUX_USER_HZ));
}

SLEEPS i64 sys_times(struct task *task, const struct sysargs *args)
{
    const struct thread_group *group = task->group;
    u64 user_ns, system_ns;
    thread_group_times(group, &user_ns, &system_ns);
    const struct linux_tms tms = {ticks(user_ns), ticks(system_ns), ticks(group->children_user_ns),
                                  ticks(group->children_system_ns)};
    if (arg_u64(args, 0) && copy_to_user(task, arg_uaddr(args, 0), &tms, sizeof tms))
        return -EFAULT;
    return ticks(kernel_monotonic_ns(task->kernel));
}

#define RUSAGE_SELF_ 0
#define RUSAGE_CHILDREN_ (-1)
#define RUSAGE_THREAD_ 1

SLEEPS i64 sys_getrusage(struct task *task, const struct sysargs *args)
{
    const struct thread_group *group = task->group;
    u64 user_ns, system_ns, resident_max = MAX(task->mm->resident_max, group->dead_resident_max);
    switch (arg_i32(args, 0)) {
    case RUSAGE_SELF_:
        thread_group_times(group, &user_ns, &system_ns);
        break;
    case RUSAGE_THREAD_:
        task_times(task, &user_ns, &system_ns);
        break;
    case RUSAGE_CHILDREN_:
        user_ns = group->children_user_ns;
        system_ns = group->children_system_ns;
        resident_max = group->children_resident_max;
        break;
    default:
        return -EINVAL;
    }
    const struct linux_rusage usage = {.utime = timeval_of(user_ns),
                                       .stime = timeval_of(system_ns),
                                       .maxrss = (i64)(resident_max << PAGE_SHIFT >> 10)};
    return copy_to_user(task, arg_uaddr(args, 1), &usage, sizeof usage);
}
