/* SPDX-License-Identifier: Apache-2.0 */
/*
 * setitimer(2), timer_create(2), RLIMIT_CPU. Times are kept in the clock the program named; sched's
 * timers are derived from them, so that a restored timer fires when the program's clock says so.
 */
#pragma once
#include "abi/process.h"
#include "abi/signal.h"
#include "base/map.h"
#include "base/object.h"
#include "sentry/sched/sched.h"

struct kernel;
struct task;
struct thread_group;

#define POSIX_TIMERS_MAX 65536u

/* A clock as timer_create(2) and clock_gettime(2) name it, with the process or thread of a cpu
 * clock. */
struct clock_ref {
    i32 id;                     /* LINUX_CLOCK_*; cpu clocks of others: PROCESS or THREAD_CPUTIME */
    struct thread_group *group; /* lent; for cpu clocks */
    struct task *task;          /* lent; for thread clocks */
};
/* 0 or -EINVAL. */
MUST_CHECK int clock_resolve(struct task *task, i32 id, struct clock_ref *out);
u64 clock_now_ns(struct kernel *kernel, const struct clock_ref *clock);
static inline bool clock_is_cpu(i32 id)
{
    return id == LINUX_CLOCK_PROCESS_CPUTIME_ID || id == LINUX_CLOCK_THREAD_CPUTIME_ID;
}
static inline bool clock_is_realtime(i32 id)
{
    return id == LINUX_CLOCK_REALTIME || id == LINUX_CLOCK_REALTIME_COARSE ||
           id == LINUX_CLOCK_REALTIME_ALARM || id == LINUX_CLOCK_TAI;
}
/* When DEADLINE of the clock (not a cpu clock) comes, in sched's time. */
u64 clock_deadline(struct kernel *kernel, i32 id, u64 at_ns);

struct itimer {
    u64 next_ns;     /* 0: not armed; REAL: monotonic; VIRTUAL, PROF: cpu time of the process */
    u64 interval_ns; /* 0: once */
};

struct posix_timer {
    struct object object;
    struct thread_group *group; /* weak */
    struct task *target;        /* weak: SIGEV_THREAD_ID's; NULL: the process */
    struct task *clock_task;    /* weak: whose cpu clock */
    i32 id, clock, notify, signo;
    u64 value;   /* sigev_value */
    u64 next_ns; /* 0: not armed; in its clock */
    u64 interval_ns;
    i32 overrun, overrun_last;
    bool is_queued; /* its signal waits: armed again when that is taken */
    struct timer timer;
};
extern const struct kind posix_timer_kind;

struct group_timers {
    struct object object;
    struct kernel *kernel;
    struct thread_group *group; /* weak */
    struct itimer itimers[3];
    struct timer real; /* derived: ITIMER_REAL */
    struct map posix;  /* id -> struct posix_timer, counted */
    u32 next_id;
    u32 cpu_count;         /* armed timers on cpu clocks, with VIRTUAL and PROF */
    struct timer cpu_tick; /* while some thread runs and cpu timers or RLIMIT_CPU are armed */
};
extern const struct kind group_timers_kind;

/* WHICH is LINUX_ITIMER_*; NEW may be NULL. */
MUST_CHECK int itimer_set(struct task *task, i32 which, const struct itimer *set,
                          struct itimer *old);
void itimer_get(struct task *task, i32 which, struct itimer *left);
MUST_CHECK int posix_timer_create(struct task *task, const struct clock_ref *clock,
                                  const struct linux_sigevent *event, i32 *id);
struct posix_timer *posix_timer_find(struct task *task, i32 id); /* lent or NULL */
/* Nanoseconds; NEXT 0 disarms; IS_ABSOLUTE in the timer's clock. What was left goes to OLD. */
void posix_timer_set(struct posix_timer *timer, u64 next_ns, u64 interval_ns, bool is_absolute,
                     struct itimer *old);
void posix_timer_get(struct posix_timer *timer, struct itimer *left);
void posix_timer_delete(struct posix_timer *timer);
/* Its signal was taken (INFO's overrun is filled) or dropped (NULL): go on. */
void posix_timer_taken(struct object *timer, struct linux_siginfo *info);
/* execve(2): posix timers go; exit: all go. */
void group_timers_exec(struct thread_group *group);
void group_timers_end(struct thread_group *group);
/* A thread has ended: timers that aim at it or at its clock stop. */
void group_timers_task_gone(struct task *task);
/* A thread is about to run application code: is a tick for cpu timers needed? */
void cpu_timers_arm(struct task *task);
/* Time was accounted: whose time has come? */
void cpu_timers_check(struct thread_group *group);
