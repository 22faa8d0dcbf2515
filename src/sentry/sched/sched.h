/* SPDX-License-Identifier: Apache-2.0 */
/*
 * K logical cpus, fibers, the kernel lock, wait queues, timers, completions.
 *
 * One kernel lock is held while any sentry code runs. It is released in two places only: around the
 * platform's cpu_run (inside fiber_run_user) and in the idle loop. So state is stable until you
 * sleep. In production each cpu is a host thread; in simulation all cpus are loops on one thread
 * and the seed's `sched` stream decides who goes next.
 */
#pragma once
#include "base/arena.h"
#include "base/base.h"
#include "base/list.h"
#include "base/map.h"
#include "host/host.h"
#include "platform/platform.h"

struct sched;
struct fiber;

/* Kernel-internal results: born in fiber_block, die in syscalls/dispatch.c. */
#define ERESTARTSYS 512

/* ---- fibers --------------------------------------------------------------------------------- */

enum fiber_state {
    FIBER_NEW,
    FIBER_READY,   /* in the run queue */
    FIBER_RUNNING, /* on a cpu, in kernel code */
    FIBER_USER,    /* on a cpu, in cpu_run */
    FIBER_BLOCKED,
    FIBER_ENDED,
};

/* Embedded in a task; may stand alone (poller clients, reaper). All members are sched's own. */
struct fiber {
    struct list link; /* run queue, or none */
    struct sched *sched;
    const char *name;
    u64 id; /* order of creation; ties are broken by it */
    enum fiber_state state;
    bool is_woken;         /* a wake-up came since the last fiber_block began to look */
    bool is_interrupted;   /* interruptible sleeps end at once; cleared by fiber_clear_interrupt */
    bool is_interruptible; /* the present sleep is */
    bool has_timed_out;
    u32 cpu_index; /* where it runs or last ran */
    u32 waker; /* production, while ready: which cpu woke it, by a fiber or a poll; or CPU_NONE */
    u64 ready_ns; /* and when */
    u64 slice_end_ns;
    u64 away_ns;       /* in all, spent blocked or waiting for a cpu: not the task's system time */
    u64 away_since_ns; /* 0: it is on a cpu */
    void *stack;
    size_t stack_size;
    void *stack_pointer;   /* while not running */
    void *sanitizer_stack; /* ASan's fake stack */
    void (*entry)(void *arg);
    void *arg;
    void (*ended)(struct fiber *fiber); /* runs on the cpu's own stack after the fiber has ended;
                                           may be NULL */
    struct space *user_space;           /* while FIBER_USER */
    struct context *user_context;
    struct event user_event;
};

#define FIBER_STACK_SIZE ((size_t)64 << 10)

/* Prepare and queue FIBER; ENTRY(ARG) runs on a stack of its own and ends the fiber by returning.
 * 0 or -ENOMEM. FIBER must live until `ended` has been called. */
MUST_CHECK int fiber_start(struct fiber *fiber, struct sched *sched, const char *name,
                           void (*entry)(void *arg), void *arg, void (*ended)(struct fiber *fiber));
/* Let others run if any wait for a cpu. Long loops call it. */
SLEEPS void fiber_relax(struct fiber *fiber);
/* Go to the end of the run queue in any case (sched_yield). */
SLEEPS void fiber_yield(struct fiber *fiber);
/*
 * Block until woken (0), DEADLINE (-ETIMEDOUT) or, if INTERRUPTIBLE, fiber_interrupt (-ERESTARTSYS;
 * at once when the fiber is interrupted already). Returns at once with 0 when a wake-up has come
 * since fiber_prepare. The pattern: prepare; add waiters / test the condition; block; remove
 * waiters; retest.
 */
void fiber_prepare(struct fiber *fiber);
MUST_CHECK SLEEPS int fiber_block(struct fiber *fiber, u64 deadline_ns, bool interruptible);
/* Make a blocked fiber ready (is_woken). Harmless in any state. */
void fiber_wake(struct fiber *fiber);
/* Signals, pause, checkpoint: end interruptible sleeps and kick the cpu if the fiber is in user
 * code. Sticky. */
void fiber_interrupt(struct fiber *fiber);
void fiber_clear_interrupt(struct fiber *fiber);
/*
 * Run application code: releases the kernel lock, cpu_run, takes it again. The cpu may differ
 * afterwards from before. EVENT_KICK is delivered as such.
 */
SLEEPS void fiber_run_user(struct fiber *fiber, struct space *space, struct context *context,
                           struct event *event);
/* Does someone else wait for this cpu while FIBER's slice has ended? */
bool fiber_should_yield(const struct fiber *fiber);

/* ---- wait queues ---------------------------------------------------------------------------- */

struct wait_queue {
    struct list waiters;
};

#define WAKE_ALL_EVENTS UINT32_MAX

/* One waiter on one queue. `wake` runs in the waker: it must not sleep. */
struct waiter {
    struct list link;
    u32 mask; /* of poll events; only wake_up calls that share a bit reach it */
    void (*wake)(struct waiter *waiter, u32 events);
    void *owner;
};

void wait_queue_init(struct wait_queue *queue);
/* A zeroed queue (fresh from an arena or a load) is an empty queue too. */
bool wait_queue_is_empty(const struct wait_queue *queue);
/* A waiter that wakes FIBER. */
void waiter_init_fiber(struct waiter *waiter, struct fiber *fiber);
void waiter_init(struct waiter *waiter, u32 mask, void (*wake)(struct waiter *, u32), void *owner);
void wait_queue_add(struct wait_queue *queue, struct waiter *waiter);
void wait_queue_remove(struct waiter *waiter);
/* Whoever changes a condition calls it, after the change. EVENTS are poll bits (POLLIN, …). */
void wake_up(struct wait_queue *queue, u32 events);
#define wake_up_all(queue) wake_up((queue), WAKE_ALL_EVENTS)
/* Wake at most COUNT waiters, oldest first; how many. */
u32 wake_up_some(struct wait_queue *queue, u32 count);
/* Block on one queue: 0, -ETIMEDOUT or -ERESTARTSYS. Test the condition again after it. */
MUST_CHECK SLEEPS int fiber_sleep_on(struct fiber *fiber, struct wait_queue *queue,
                                     u64 deadline_ns);
/* Not interruptible; for things that end by themselves soon (host operations, other fibers' locks).
 */
SLEEPS void fiber_sleep_on_hard(struct fiber *fiber, struct wait_queue *queue);

/* A lock that is held over sleeps (directory changes, copy-up). Zeroed is free. Not recursive. */
struct sleep_lock {
    struct fiber *holder;
    struct wait_queue queue;
};
SLEEPS void sleep_lock(struct sleep_lock *lock, struct fiber *fiber);
void sleep_unlock(struct sleep_lock *lock, struct fiber *fiber);

/* ---- timers --------------------------------------------------------------------------------- */

struct timer {
    struct tree_node node; /* key: deadline; equal ones fire in the order they were set */
    bool is_set;
    void (*fire)(struct timer *timer); /* lock held, on some cpu; must not sleep */
    void *owner;
};
void timer_init(struct timer *timer, void (*fire)(struct timer *), void *owner);
/* Absolute, monotonic. Setting a set timer moves it. */
void timer_set(struct sched *sched, struct timer *timer, u64 deadline_ns);
void timer_cancel(struct sched *sched, struct timer *timer);

/* ---- host operations ------------------------------------------------------------------------ */

/* Submit OP and sleep (not interruptibly) until it is done; its result. OP may live on the stack.
 */
SLEEPS i64 fiber_host_op(struct fiber *fiber, struct host_op *op);

/* ---- the whole ------------------------------------------------------------------------------ */

/* PLATFORM may be NULL in tests that run no user code. Lent: host, platform, arena. */
MUST_CHECK int sched_create(struct arena *arena, struct host *host, struct platform *platform,
                            u32 cpu_count, struct sched **out);
void sched_destroy(struct sched *sched);
struct host *sched_host(struct sched *sched);
u32 sched_cpu_count(const struct sched *sched);
/* Monotonic time now: virtual in simulation. */
u64 sched_now_ns(struct sched *sched);
u64 sched_realtime_ns(struct sched *sched);
/* Nanoseconds of user and system time are accounted by the caller (tasks); the sim adds a fixed
 * cost: */
void sched_charge_call(
    struct sched *sched); /* sim: move virtual time by the cost of one system call */
/* Production: run all cpus until sched_stop; cpu 0 on the calling thread. Takes the lock itself. */
void sched_run(struct sched *sched);
void sched_stop(struct sched *sched);
/*
 * Simulation and tests, one thread: run until no fiber is ready and nothing of the host is pending;
 * time does not move except by sched_charge_call. False: STEP_MAX fiber switches were used up.
 */
MUST_CHECK bool sched_run_until_quiet(struct sched *sched, u64 step_max);
/* The earliest timer's deadline, or NO_DEADLINE. */
u64 sched_next_deadline(const struct sched *sched);
/* Move virtual time to NS and fire what is due (does not run fibers). */
void sched_advance_to(struct sched *sched, u64 ns);
/* Convenience: quiet, jump to the next deadline, and so on, until nothing is left or virtual
 * UNTIL_NS. */
MUST_CHECK bool sched_run_until(struct sched *sched, u64 until_ns, u64 step_max);
/* Called with the lock held at each point where the sentry is quiet (sim checkers). */
/* For tests outside fibers: state may be touched between runs, the "lock" is free then. */

/* Stop all application code: kick every cpu in user code; returns when none is (the caller is a
 * fiber). */
SLEEPS void sched_kick_all(struct sched *sched, struct fiber *fiber);
/* One line a cpu and a fiber, for debug.Stacks. */
void sched_dump(struct sched *sched, void (*line)(void *arg, const char *text), void *arg);
