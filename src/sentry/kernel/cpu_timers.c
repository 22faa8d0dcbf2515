/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers on cpu time: ITIMER_VIRTUAL, ITIMER_PROF, posix timers on cpu clocks, RLIMIT_CPU. They are
 * looked at whenever time is accounted, and by a tick while a thread runs application code.
 */
#include "abi/errno.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/timers.h"
#include "sentry/kernel/timers_internal.h"

#define TICK_NS_MIN (NS_PER_MS)
#define TICK_NS_MAX (NS_PER_S)

static void send(struct thread_group *group, i32 signo)
{
    struct linux_siginfo info;
    signal_info_kernel(&info, signo);
    (void)!signal_send_group(group, &info);
}

static void check_itimer(struct thread_group *group, i32 which, i32 signo, u64 now)
{
    struct itimer *timer = &group->timers->itimers[which];
    if (timer->next_ns == 0 || now < timer->next_ns)
        return;
    if (timer->interval_ns) {
        timer->next_ns += timer->interval_ns *
                          periods_until(timer->next_ns, timer->interval_ns, now);
    } else {
        timer->next_ns = 0;
        group->timers->cpu_count--;
    }
    send(group, signo);
}

/* setrlimit(2), RLIMIT_CPU: SIGXCPU at the soft limit and each second after, SIGKILL at the hard
 * one. */
static void check_limit(struct thread_group *group, u64 spent_ns)
{
    const struct limit *limit = &group->limits.v[RLIMIT_CPU_];
    if (limit->soft == RLIM_INFINITY_ && limit->hard == RLIM_INFINITY_)
        return;
    if (limit->hard != RLIM_INFINITY_ && spent_ns / NS_PER_S >= MAX(limit->hard, 1)) {
        send(group, LINUX_SIGKILL);
        return;
    }
    if (limit->soft == RLIM_INFINITY_ || spent_ns / NS_PER_S < limit->soft ||
        spent_ns < group->cpu_limit_next_ns)
        return;
    group->cpu_limit_next_ns = spent_ns + NS_PER_S;
    send(group, LINUX_SIGXCPU);
}

static bool has_limit(const struct thread_group *group)
{
    return group->limits.v[RLIMIT_CPU_].soft != RLIM_INFINITY_ ||
           group->limits.v[RLIMIT_CPU_].hard != RLIM_INFINITY_;
}

static bool is_idle(const struct thread_group *group)
{
    return !has_limit(group) && (!group->timers || group->timers->cpu_count == 0);
}

void cpu_timers_check(struct thread_group *group)
{
    if (is_idle(group) || group->is_exiting)
        return;
    u64 user_ns, system_ns;
    thread_group_times(group, &user_ns, &system_ns);
    check_limit(group, user_ns + system_ns);
    if (!group->timers)
        return;
    check_itimer(group, LINUX_ITIMER_VIRTUAL, LINUX_SIGVTALRM, user_ns);
    check_itimer(group, LINUX_ITIMER_PROF, LINUX_SIGPROF, user_ns + system_ns);
    struct posix_timer *timer;
    map_for_each (&group->timers->posix, id, timer)
        if (clock_is_cpu(timer->clock) && timer->next_ns && !timer->is_queued &&
            posix_timer_now(timer) >= timer->next_ns)
            posix_timer_expire(timer);
}

static u64 sooner(u64 left, u64 next, u64 now)
{
    if (next == 0)
        return left;
    return MIN(left, next > now ? next - now : 0);
}

/* How much cpu time may pass at least until something is due. */
static u64 time_left(const struct thread_group *group)
{
    u64 user_ns, system_ns, left = TICK_NS_MAX;
    thread_group_times(group, &user_ns, &system_ns);
    const struct group_timers *timers = group->timers;
    if (!timers)
        return left;
    left = sooner(left, timers->itimers[LINUX_ITIMER_VIRTUAL].next_ns, user_ns);
    left = sooner(left, timers->itimers[LINUX_ITIMER_PROF].next_ns, user_ns + system_ns);
    const struct posix_timer *timer;
    map_for_each (&timers->posix, id, timer)
        if (clock_is_cpu(timer->clock) && !timer->is_queued)
            left = sooner(left, timer->next_ns, posix_timer_now(timer));
    u32 running = 0;
    const struct task *task;
    list_for_each (task, &group->tasks, group_link)
        running += task->is_user;
    return left / MAX(running, 1u);
}

void cpu_timers_arm(struct task *task)
{
    struct thread_group *group = task->group;
    struct group_timers *timers;
    if (is_idle(group) || group_timers_get(group, &timers) || timers->cpu_tick.is_set)
        return;
    u64 left = MAX(time_left(group), TICK_NS_MIN);
    timer_set(task->kernel->sched, &timers->cpu_tick, sched_now_ns(task->kernel->sched) + left);
}

void cpu_tick_fired(struct timer *timer)
{
    struct group_timers *timers = timer->owner;
    cpu_timers_check(timers->group);
    struct task *task;
    bool is_running = false;
    list_for_each (task, &timers->group->tasks, group_link)
        is_running |= task->is_user;
    if (!is_running || is_idle(timers->group))
        return;
    u64 left = MAX(time_left(timers->group), TICK_NS_MIN);
    timer_set(timers->kernel->sched, &timers->cpu_tick, sched_now_ns(timers->kernel->sched) + left);
}
