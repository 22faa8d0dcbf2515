/* SPDX-License-Identifier: Apache-2.0 */
/* What sched's own files share. Nobody else includes it. */
#pragma once
#include "sentry/sched/sched.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif
#ifndef HAS_ASAN
#define HAS_ASAN 0
#endif

enum idle_state {
    IDLE_NO,
    IDLE_POLLS, /* in host_wait: at most one cpu */
    IDLE_WAITS, /* in machine_wait on its own word */
};

/* A logical cpu. Guarded by the kernel lock but where it says otherwise. */
struct sched_cpu {
    struct sched *sched;
    u32 index;
    struct cpu *platform_cpu; /* NULL without a platform */
    struct fiber *current;    /* running or in user code */
    bool is_in_user;          /* production: between unlock and lock; sim: waits for its turn */
    bool is_looking; /* its loop runs: outside user code it looks at the queue before it sleeps */
    enum idle_state idle;
    bool has_idled;           /* since it ran a fiber */
    bool is_called;           /* another cpu ended its last wait to have a fiber run */
    u32 wake_word;            /* any thread: machine_wait's */
    void *loop_stack_pointer; /* while a fiber runs on it */
    void *sanitizer_stack;
    const void *loop_stack_bottom;
    size_t loop_stack_size;
    struct machine_thread *thread;
};

/* Ticket lock; waiters spin shortly, then sleep on `owner`. */
struct kernel_lock {
    u32 next;
    u32 owner;
    u32 sleepers;
};

#define STACK_POOL_MAX 64u

/* A ready fiber waits so long for the cpu of its waker before another cpu takes it: the longer the
 * more often it would have been in vain. */
#define HANDOVER_MIN_NS (500 * NS_PER_US)
#define HANDOVER_MAX_NS (8 * NS_PER_MS)

struct sched {
    struct arena *arena;
    struct host *host;
    struct platform *platform;
    bool is_simulated;
    struct kernel_lock lock;
    u32 cpu_count;
    struct sched_cpu *cpus;
    struct list ready; /* struct fiber.link, oldest first */
    u32 ready_count;
    struct tree timers;
    u64 fiber_next_id;
    bool is_stopping;
    u32 interrupt_pending; /* atomic: the poller has something, or a deadline came */
    struct host_interrupt interrupt;
    u64 poller_deadline_ns; /* what the poller was told */
    u64 handover_ns;        /* how long a ready fiber waits for its waker's cpu now */
    u64 handover_at_ns;     /* when an idle cpu is to look for one; 0: nobody asked for it */
    void *stack_pool[STACK_POOL_MAX];
    u32 stack_pool_count;
    struct list fibers_unused;
};

/* switch.S: save callee-saved registers on the stack, its pointer in *SAVE, and continue at TO. */
void fiber_switch(void **save, void *to);
/* The start of every fiber, reached by the first fiber_switch to it. */
void fiber_trampoline(void);

/* fiber.c */
void fiber_make_ready(struct fiber *fiber);
/* On a cpu's own stack: continue FIBER until it gives the cpu back. */
void sched_switch_to(struct sched_cpu *cpu, struct fiber *fiber);
/* On a fiber's stack: back to the cpu's loop. */
void sched_switch_away(struct fiber *fiber);
void sched_stack_put(struct sched *sched, void *stack);

/* cpu.c */
void sched_lock(struct sched *sched);
void sched_unlock(struct sched *sched);
/* Reap completions and fire timers that are due. */
void sched_poll(struct sched *sched);
/* FIBER became ready: is there a cpu to wake for it? */
void sched_wake_idle(struct sched *sched, struct fiber *fiber);
#define CPU_NONE UINT32_MAX

/* timer.c */
void sched_fire_timers(struct sched *sched, u64 now_ns);
