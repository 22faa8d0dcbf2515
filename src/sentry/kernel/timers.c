/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clocks by name, setitimer(2), timer_create(2). A periodic posix timer is armed again when its
 * signal is taken, and counts what it missed by then, as Linux does: a program that takes no
 * signals costs nothing.
 */
#include "sentry/kernel/timers.h"

#include <string.h>

#include "abi/errno.h"
#include "base/fields.h"
#include "base/state.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/kernel/timers_internal.h"

#define OVERRUN_MAX INT32_MAX

/* ---- clocks --------------------------------------------------------------------------------- */

/* clock_getcpuclockid(3): ~pid in the upper bits, 4 for a thread, 2 for run time. */
static int resolve_cpu_clock(struct task *task, i32 id, struct clock_ref *out)
{
    u32 kind = (u32)id & 3;
    if (kind == 3)
        return -EINVAL; /* of a descriptor */
    u32 nr = ~(u32)(id >> 3);
    if (id & 4) {
        out->task = nr ? task_find(task->pid->ns, nr) : task;
        if (!out->task || out->task->group != task->group)
            return -EINVAL;
        out->group = out->task->group;
        out->id = LINUX_CLOCK_THREAD_CPUTIME_ID;
        return 0;
    }
    out->group = nr ? thread_group_find(task->pid->ns, nr) : task->group;
    out->id = LINUX_CLOCK_PROCESS_CPUTIME_ID;
    return out->group ? 0 : -EINVAL;
}

int clock_resolve(struct task *task, i32 id, struct clock_ref *out)
{
    *out = (struct clock_ref){.id = id, .group = task->group, .task = task};
    if (id < 0)
        return resolve_cpu_clock(task, id, out);
    switch (id) {
    case LINUX_CLOCK_REALTIME:
    case LINUX_CLOCK_MONOTONIC:
    case LINUX_CLOCK_PROCESS_CPUTIME_ID:
    case LINUX_CLOCK_THREAD_CPUTIME_ID:
    case LINUX_CLOCK_MONOTONIC_RAW:
    case LINUX_CLOCK_REALTIME_COARSE:
    case LINUX_CLOCK_MONOTONIC_COARSE:
    case LINUX_CLOCK_BOOTTIME:
    case LINUX_CLOCK_TAI:
        return 0;
    default:
        return -EINVAL;
    }
}

u64 clock_now_ns(struct kernel *kernel, const struct clock_ref *clock)
{
    u64 user_ns, system_ns;
    if (clock->id == LINUX_CLOCK_PROCESS_CPUTIME_ID)
        thread_group_times(clock->group, &user_ns, &system_ns);
    else if (clock->id == LINUX_CLOCK_THREAD_CPUTIME_ID)
        task_times(clock->task, &user_ns, &system_ns);
    else
        return clock_is_realtime(clock->id) ? kernel_realtime_ns(kernel)
                                            : kernel_monotonic_ns(kernel);
    return user_ns + system_ns;
}

u64 clock_deadline(struct kernel *kernel, i32 id, u64 at_ns)
{
    ASSERT(!clock_is_cpu(id));
    if (!clock_is_realtime(id))
        return kernel_deadline_to_sched(kernel, at_ns);
    u64 now = kernel_realtime_ns(kernel);
    u64 left = at_ns > now ? at_ns - now : 0;
    u64 sched_now = sched_now_ns(kernel->sched);
    return left < NO_DEADLINE - sched_now ? sched_now + left : NO_DEADLINE;
}

/* ---- the group's set ------------------------------------------------------------------------ */

static const struct field itimer_fields[] = {
    FIELD(struct itimer, next_ns),
    FIELD(struct itimer, interval_ns),
    FIELD_END,
};
FIELDS_COMPLETE(struct itimer, itimer_fields);

static const struct field group_timers_fields[] = {
    FIELD_NONE(struct group_timers, object, "the walker's own header"),
    FIELD_NONE(struct group_timers, kernel, "the kernel that loads it"),
    FIELD_WEAK(struct group_timers, group, struct thread_group),
    FIELD_ARRAY(struct group_timers, itimers, struct itimer, itimer_fields),
    FIELD_NONE(struct group_timers, real, "derived from itimers"),
    FIELD_MAP(struct group_timers, posix, struct posix_timer),
    FIELD(struct group_timers, next_id),
    FIELD(struct group_timers, cpu_count),
    FIELD_NONE(struct group_timers, cpu_tick, "set when a thread runs"),
    FIELD_END,
};
FIELDS_COMPLETE(struct group_timers, group_timers_fields);

static void real_fired(struct timer *timer);
static void arm_real(struct group_timers *timers);

static void group_timers_destroy(struct object *object)
{
    struct group_timers *timers = container_of(object, struct group_timers, object);
    ASSERT(timers->posix.count == 0 && !timers->real.is_set && !timers->cpu_tick.is_set);
    map_fini(&timers->posix);
}

static int group_timers_loaded(struct object *object, struct state_reader *reader)
{
    struct group_timers *timers = container_of(object, struct group_timers, object);
    timers->kernel = state_reader_kernel(reader);
    timer_init(&timers->real, real_fired, timers);
    timer_init(&timers->cpu_tick, cpu_tick_fired, timers);
    if (!timers->group)
        return -EINVAL;
    arm_real(timers);
    return 0;
}

static void group_timers_discard(struct object *object)
{
    struct group_timers *timers = container_of(object, struct group_timers, object);
    if (timers->real.is_set)
        timer_cancel(timers->kernel->sched, &timers->real);
    if (timers->cpu_tick.is_set)
        timer_cancel(timers->kernel->sched, &timers->cpu_tick);
}

const struct kind group_timers_kind = {.name = "group_timers",
                                       .size = sizeof(struct group_timers),
                                       .fields = group_timers_fields,
                                       .destroy = group_timers_destroy,
                                       .loaded = group_timers_loaded,
                                       .discard = group_timers_discard};

int group_timers_get(struct thread_group *group, struct group_timers **out)
{
    if (!group->timers) {
        struct group_timers *timers = object_create(group->object.arena, &group_timers_kind);
        if (!timers)
            return -ENOMEM;
        timers->kernel = group->kernel;
        timers->group = group;
        map_init(&timers->posix, group->object.arena);
        timer_init(&timers->real, real_fired, timers);
        timer_init(&timers->cpu_tick, cpu_tick_fired, timers);
        group->timers = timers;
    }
    *out = group->timers;
    return 0;
}

/* ---- interval timers ------------------------------------------------------------------------ */

u64 periods_until(u64 next_ns, u64 interval_ns, u64 now_ns)
{
    ASSERT(interval_ns > 0);
    return now_ns < next_ns ? 0 : (now_ns - next_ns) / interval_ns + 1;
}

static void arm_real(struct group_timers *timers)
{
    struct itimer *real = &timers->itimers[LINUX_ITIMER_REAL];
    if (real->next_ns)
        timer_set(timers->kernel->sched, &timers->real,
                  kernel_deadline_to_sched(timers->kernel, real->next_ns));
    else
        timer_cancel(timers->kernel->sched, &timers->real);
}

static void real_fired(struct timer *timer)
{
    struct group_timers *timers = timer->owner;
    struct itimer *real = &timers->itimers[LINUX_ITIMER_REAL];
    u64 now = kernel_monotonic_ns(timers->kernel);
    if (now >= real->next_ns) {
        if (real->interval_ns)
            real->next_ns += real->interval_ns *
                             periods_until(real->next_ns, real->interval_ns, now);
        else
            real->next_ns = 0;
        struct linux_siginfo info;
        signal_info_kernel(&info, LINUX_SIGALRM);
        (void)!signal_send_group(timers->group, &info);
    }
    arm_real(timers);
}

static u64 itimer_clock(const struct task *task, i32 which)
{
    if (which == LINUX_ITIMER_REAL)
        return kernel_monotonic_ns(task->kernel);
    u64 user_ns, system_ns;
    thread_group_times(task->group, &user_ns, &system_ns);
    return which == LINUX_ITIMER_VIRTUAL ? user_ns : user_ns + system_ns;
}

/* What is left of it; an armed one never shows 0. */
static struct itimer itimer_left(const struct itimer *timer, u64 now)
{
    struct itimer left = {.interval_ns = timer->interval_ns};
    if (timer->next_ns)
        left.next_ns = timer->next_ns > now ? timer->next_ns - now : NS_PER_US;
    return left;
}

void itimer_get(struct task *task, i32 which, struct itimer *left)
{
    const struct itimer none = {0};
    const struct group_timers *timers = task->group->timers;
    *left = itimer_left(timers ? &timers->itimers[which] : &none, itimer_clock(task, which));
}

int itimer_set(struct task *task, i32 which, const struct itimer *set, struct itimer *old)
{
    struct group_timers *timers;
    int err = group_timers_get(task->group, &timers);
    if (err)
        return err;
    struct itimer *timer = &timers->itimers[which];
    u64 now = itimer_clock(task, which);
    *old = itimer_left(timer, now);
    if (!set)
        return 0;
    bool was_armed = timer->next_ns;
    timer->next_ns = set->next_ns ? MIN(set->next_ns, NO_DEADLINE - 1 - now) + now : 0;
    timer->interval_ns = set->interval_ns;
    if (which == LINUX_ITIMER_REAL) {
        arm_real(timers);
        return 0;
    }
    timers->cpu_count -= was_armed;
    timers->cpu_count += timer->next_ns != 0;
    return 0;
}

/* ---- posix timers --------------------------------------------------------------------------- */

static const struct field posix_timer_fields[] = {
    FIELD_NONE(struct posix_timer, object, "the walker's own header"),
    FIELD_WEAK(struct posix_timer, group, struct thread_group),
    FIELD_WEAK(struct posix_timer, target, struct task),
    FIELD_WEAK(struct posix_timer, clock_task, struct task),
    FIELD(struct posix_timer, id),
    FIELD(struct posix_timer, clock),
    FIELD(struct posix_timer, notify),
    FIELD(struct posix_timer, signo),
    FIELD(struct posix_timer, value),
    FIELD(struct posix_timer, next_ns),
    FIELD(struct posix_timer, interval_ns),
    FIELD(struct posix_timer, overrun),
    FIELD(struct posix_timer, overrun_last),
    FIELD(struct posix_timer, is_queued),
    FIELD_NONE(struct posix_timer, timer, "derived from next_ns"),
    FIELD_END,
};
FIELDS_COMPLETE(struct posix_timer, posix_timer_fields);

static void posix_fired(struct timer *timer);
static void arm_posix(struct posix_timer *timer);

static void posix_timer_destroy(struct object *object)
{
    ASSERT(!container_of(object, struct posix_timer, object)->timer.is_set);
}

static int posix_timer_loaded(struct object *object, struct state_reader *reader)
{
    struct posix_timer *timer = container_of(object, struct posix_timer, object);
    timer_init(&timer->timer, posix_fired, timer);
    if (timer->signo < 0 || timer->signo > LINUX_NSIG)
        return -EINVAL;
    if (timer->group) {
        timer->group->kernel = state_reader_kernel(reader);
        arm_posix(timer);
    }
    return 0;
}

static void posix_timer_discard(struct object *object)
{
    struct posix_timer *timer = container_of(object, struct posix_timer, object);
    if (timer->timer.is_set)
        timer_cancel(timer->group->kernel->sched, &timer->timer);
}

const struct kind posix_timer_kind = {.name = "posix_timer",
                                      .size = sizeof(struct posix_timer),
                                      .fields = posix_timer_fields,
                                      .destroy = posix_timer_destroy,
                                      .loaded = posix_timer_loaded,
                                      .discard = posix_timer_discard};

u64 posix_timer_now(const struct posix_timer *timer)
{
    const struct clock_ref clock = {
        .id = timer->clock, .group = timer->group, .task = timer->clock_task};
    return clock_now_ns(timer->group->kernel, &clock);
}

static void arm_posix(struct posix_timer *timer)
{
    struct kernel *kernel = timer->group->kernel;
    timer_cancel(kernel->sched, &timer->timer);
    if (timer->next_ns == 0 || timer->is_queued || clock_is_cpu(timer->clock) ||
        timer->notify == LINUX_SIGEV_NONE)
        return;
    timer_set(kernel->sched, &timer->timer, clock_deadline(kernel, timer->clock, timer->next_ns));
}

void posix_timer_expire(struct posix_timer *timer)
{
    if (timer->notify == LINUX_SIGEV_NONE)
        return;
    struct linux_siginfo info;
    memset(&info, 0, sizeof info);
    info.signo = timer->signo;
    info.code = LINUX_SI_TIMER;
    info.timer.id = timer->id;
    info.timer.value = timer->value;
    timer->is_queued = true;
    if (timer->interval_ns == 0) {
        timer->group->timers->cpu_count -= clock_is_cpu(timer->clock) && timer->next_ns;
        timer->next_ns = 0;
    }
    if (signal_send_timer(timer->target, timer->group, &info, &timer->object))
        posix_timer_taken(&timer->object, NULL);
}

static void posix_fired(struct timer *fired)
{
    struct posix_timer *timer = fired->owner;
    if (posix_timer_now(timer) < timer->next_ns)
        arm_posix(timer); /* the realtime clock was set back */
    else
        posix_timer_expire(timer);
}

void posix_timer_taken(struct object *object, struct linux_siginfo *info)
{
    struct posix_timer *timer = container_of(object, struct posix_timer, object);
    if (!timer->is_queued || !timer->group)
        return; /* set anew or deleted while its signal was queued */
    timer->is_queued = false;
    timer->overrun = 0;
    if (timer->next_ns && timer->interval_ns) {
        u64 now = posix_timer_now(timer);
        u64 periods = periods_until(timer->next_ns, timer->interval_ns, now);
        if (!info) /* nobody takes it: do not fire in a storm */
            periods = MAX(periods, NS_PER_MS / timer->interval_ns + 1);
        timer->next_ns += periods * timer->interval_ns;
        timer->overrun = periods > OVERRUN_MAX ? OVERRUN_MAX : (i32)(periods ? periods - 1 : 0);
    }
    timer->overrun_last = timer->overrun;
    if (info)
        info->timer.overrun = timer->overrun;
    arm_posix(timer);
}

static int choose_id(struct group_timers *timers, i32 *id)
{
    if (timers->posix.count >= POSIX_TIMERS_MAX)
        return -EAGAIN;
    while (map_find(&timers->posix, timers->next_id))
        timers->next_id = (timers->next_id + 1) & INT32_MAX;
    *id = (i32)timers->next_id;
    timers->next_id = (timers->next_id + 1) & INT32_MAX;
    return 0;
}

static int judge_event(struct task *task, const struct linux_sigevent *event, struct task **target)
{
    *target = NULL;
    if (event->notify == LINUX_SIGEV_NONE)
        return 0;
    if (event->notify == LINUX_SIGEV_THREAD_ID) {
        *target = task_find(task->pid->ns, (u32)event->tid);
        if (!*target || (*target)->group != task->group)
            return -EINVAL;
    } else if (event->notify != LINUX_SIGEV_SIGNAL && event->notify != LINUX_SIGEV_THREAD) {
        return -EINVAL;
    }
    return event->signo > 0 && event->signo <= LINUX_NSIG ? 0 : -EINVAL;
}

int posix_timer_create(struct task *task, const struct clock_ref *clock,
                       const struct linux_sigevent *event, i32 *id)
{
    struct task *target = NULL;
    struct group_timers *timers;
    int err = event ? judge_event(task, event, &target) : 0;
    if (!err)
        err = group_timers_get(task->group, &timers);
    if (!err)
        err = choose_id(timers, id);
    if (err)
        return err;
    struct posix_timer *timer = object_create(task->kernel->arena, &posix_timer_kind);
    if (!timer)
        return -EAGAIN;
    timer->id = *id;
    timer->target = target;
    timer->clock = clock->id;
    timer->clock_task = clock->id == LINUX_CLOCK_THREAD_CPUTIME_ID ? clock->task : NULL;
    timer->notify = event ? event->notify : LINUX_SIGEV_SIGNAL;
    timer->signo = event ? event->signo : LINUX_SIGALRM;
    timer->value = event ? event->value : (u64)(u32)*id;
    timer_init(&timer->timer, posix_fired, timer);
    err = map_add(&timers->posix, (u32)*id, timer);
    if (err) {
        object_put(&timer->object);
        return -EAGAIN;
    }
    timer->group = task->group;
    return 0;
}

struct posix_timer *posix_timer_find(struct task *task, i32 id)
{
    if (!task->group->timers || id < 0)
        return NULL;
    return map_find(&task->group->timers->posix, (u32)id);
}

void posix_timer_get(struct posix_timer *timer, struct itimer *left)
{
    *left = (struct itimer){.interval_ns = timer->interval_ns};
    if (timer->next_ns == 0)
        return;
    u64 now = posix_timer_now(timer);
    u64 next = timer->next_ns;
    if (timer->interval_ns && now >= next)
        next += periods_until(next, timer->interval_ns, now) * timer->interval_ns;
    if (next > now)
        left->next_ns = next - now;
    else
        left->next_ns = timer->notify == LINUX_SIGEV_NONE ? 0 : 1; /* due, but not seen yet */
}

void posix_timer_set(struct posix_timer *timer, u64 next_ns, u64 interval_ns, bool is_absolute,
                     struct itimer *old)
{
    bool is_cpu = clock_is_cpu(timer->clock);
    posix_timer_get(timer, old);
    timer->group->timers->cpu_count -= is_cpu && timer->next_ns;
    if (next_ns && !is_absolute) {
        u64 now = posix_timer_now(timer);
        next_ns = next_ns < NO_DEADLINE - 1 - now ? now + next_ns : NO_DEADLINE - 1;
    }
    timer->next_ns = next_ns;
    timer->interval_ns = interval_ns;
    timer->overrun = 0;
    timer->overrun_last = 0;
    timer->is_queued = false; /* a signal still queued belongs to the old setting */
    timer->group->timers->cpu_count += is_cpu && timer->next_ns;
    arm_posix(timer);
}

void posix_timer_delete(struct posix_timer *timer)
{
    struct group_timers *timers = timer->group->timers;
    timer_cancel(timers->kernel->sched, &timer->timer);
    timers->cpu_count -= clock_is_cpu(timer->clock) && timer->next_ns;
    map_remove(&timers->posix, (u32)timer->id);
    timer->group = NULL;
    timer->target = NULL;
    timer->clock_task = NULL;
    timer->next_ns = 0;
    object_put(&timer->object);
}

/* ---- ends ----------------------------------------------------------------------------------- */

void group_timers_exec(struct thread_group *group)
{
    struct posix_timer *timer;
    if (!group->timers)
        return;
    map_for_each (&group->timers->posix, id, timer)
        posix_timer_delete(timer);
}

void group_timers_end(struct thread_group *group)
{
    struct group_timers *timers = group->timers;
    group_timers_exec(group);
    memset(timers->itimers, 0, sizeof timers->itimers);
    timers->cpu_count = 0;
    timer_cancel(timers->kernel->sched, &timers->real);
    timer_cancel(timers->kernel->sched, &timers->cpu_tick);
}

void group_timers_task_gone(struct task *task)
{
    struct posix_timer *timer;
    if (!task->group->timers)
        return;
    map_for_each (&task->group->timers->posix, id, timer) {
        if (timer->target == task || timer->clock_task == task) {
            timer_cancel(task->kernel->sched, &timer->timer);
            task->group->timers->cpu_count -= clock_is_cpu(timer->clock) && timer->next_ns;
            timer->next_ns = 0;
            timer->target = timer->target == task ? NULL : timer->target;
            timer->clock_task = NULL;
            timer->notify = LINUX_SIGEV_NONE;
            timer->clock = LINUX_CLOCK_MONOTONIC;
        }
    }
}
