/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel lock and the loop of one cpu.
 *
 * The lock is released in two places: around cpu_run in fiber_run_user, and in cpu_idle. In
 * simulation there is no lock: all cpus are stepped by sched_run_until_quiet on one thread (sim.c),
 * and a fiber that goes to user code gives its cpu back until it is that cpu's turn.
 *
 * Waking another host thread is dear (tens of microseconds), and a fiber that moves takes its
 * extended state along by a signal to the thread it leaves. So a fiber that becomes ready while its
 * waker is about to block is left for the waker's own cpu, also by a cpu that is up for another
 * reason; only when the waker goes on to run application code for long does an idle cpu take it.
 */
#include "sentry/sched/internal.h"

#include "platform/machine.h"

#define SLICE_NS (10 * NS_PER_MS)
/* So many fibers are left for their waker's cpu; of more, one is for an idle cpu at once. */
#define HANDOVER_COUNT 3u
#define LOCK_SPINS 200u

/* ---- the kernel lock ------------------------------------------------------------------------ */

void sched_lock(struct sched *sched)
{
    if (sched->is_simulated)
        return;
    struct kernel_lock *lock = &sched->lock;
    u32 ticket = __atomic_fetch_add(&lock->next, 1, __ATOMIC_SEQ_CST);
    for (u32 spins = 0;; spins++) {
        u32 owner = __atomic_load_n(&lock->owner, __ATOMIC_ACQUIRE);
        if (owner == ticket)
            return;
        if (spins < LOCK_SPINS) {
            __builtin_ia32_pause();
            continue;
        }
        __atomic_fetch_add(&lock->sleepers, 1, __ATOMIC_SEQ_CST);
        machine_wait(&lock->owner, owner, NO_DEADLINE);
        __atomic_fetch_sub(&lock->sleepers, 1, __ATOMIC_SEQ_CST);
    }
}

void sched_unlock(struct sched *sched)
{
    if (sched->is_simulated)
        return;
    struct kernel_lock *lock = &sched->lock;
    __atomic_fetch_add(&lock->owner, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&lock->sleepers, __ATOMIC_SEQ_CST))
        machine_wake(&lock->owner, UINT32_MAX);
}

/* ---- interrupts ----------------------------------------------------------------------------- */

static void cpu_end_idle(struct sched_cpu *cpu)
{
    enum idle_state idle = cpu->idle;
    cpu->idle = IDLE_NO; /* one wake-up is enough */
    cpu->is_called = true;
    if (idle == IDLE_POLLS) {
        host_wait_end(cpu->sched->host);
    } else if (idle == IDLE_WAITS) {
        __atomic_store_n(&cpu->wake_word, 1, __ATOMIC_RELEASE);
        machine_wake(&cpu->wake_word, 1);
    }
}

static struct sched_cpu *find_idle(struct sched *sched)
{
    struct sched_cpu *polls = NULL;
    for (u32 i = 0; i < sched->cpu_count; i++) {
        if (sched->cpus[i].idle == IDLE_WAITS)
            return &sched->cpus[i];
        if (sched->cpus[i].idle == IDLE_POLLS)
            polls = &sched->cpus[i];
    }
    return polls;
}

/* The poller's thread, lock not held: only flags and kicks. A wrong guess costs an early return. */
static void sched_interrupted(struct host_interrupt *self)
{
    struct sched *sched = self->owner;
    __atomic_store_n(&sched->interrupt_pending, 1, __ATOMIC_SEQ_CST);
    for (u32 i = 0; i < sched->cpu_count; i++) {
        struct sched_cpu *cpu = &sched->cpus[i];
        if (__atomic_load_n(&cpu->is_in_user, __ATOMIC_SEQ_CST)) {
            cpu_kick(cpu->platform_cpu);
            return;
        }
    }
    host_wait_end(sched->host);
}

void sched_wake_idle(struct sched *sched, struct fiber *fiber)
{
    if (sched->is_simulated)
        return;
    /* The cpu that holds the lock will look at the queue itself before it idles; see
     * fiber_run_user. */
    fiber->waker = CPU_NONE;
    for (u32 i = 0; i < sched->cpu_count; i++)
        if (sched->cpus[i].is_looking && !sched->cpus[i].is_in_user)
            fiber->waker = i;
    fiber->ready_ns = sched_now_ns(sched);
    if (fiber->waker != CPU_NONE && sched->ready_count <= HANDOVER_COUNT)
        return;
    struct sched_cpu *idle = find_idle(sched);
    if (idle)
        cpu_end_idle(idle);
}

void sched_poll(struct sched *sched)
{
    __atomic_store_n(&sched->interrupt_pending, 0, __ATOMIC_SEQ_CST);
    host_reap(sched->host);
    sched_fire_timers(sched, sched_now_ns(sched));
}

/* ---- user code ------------------------------------------------------------------------------ */

static void tell_poller(struct sched *sched, u64 deadline_ns)
{
    if (deadline_ns == sched->poller_deadline_ns)
        return;
    sched->poller_deadline_ns = deadline_ns;
    host_poller_set_deadline(sched->host, deadline_ns);
}

/* A deadline a little too early only costs a kick; do not tell each small change. */
static void tell_earlier(struct sched *sched, u64 deadline_ns, u64 now_ns)
{
    if (deadline_ns < sched->poller_deadline_ns || sched->poller_deadline_ns <= now_ns)
        tell_poller(sched, deadline_ns);
}

/* Before going to user code: who else wants to run, and when must this run end at the latest? */
static void before_user(struct sched *sched, struct fiber *fiber, u64 now_ns)
{
    u64 deadline = sched_next_deadline(sched);
    if (sched->ready_count > 0) {
        u64 handover = now_ns + sched->handover_ns;
        if (find_idle(sched))
            sched->handover_at_ns = handover;
        else if (fiber->slice_end_ns > now_ns)
            handover = fiber->slice_end_ns;
        deadline = MIN(deadline, handover);
    }
    tell_earlier(sched, deadline, now_ns);
}

static void run_user_for_real(struct sched *sched, struct fiber *fiber, struct event *event)
{
    struct sched_cpu *cpu = &sched->cpus[fiber->cpu_index];
    u64 now_ns = sched_now_ns(sched);
    if (__atomic_load_n(&sched->interrupt_pending, __ATOMIC_ACQUIRE) ||
        sched_next_deadline(sched) <= now_ns)
        sched_poll(sched);
    if (fiber->is_interrupted) { /* perhaps by what was just reaped */
        *event = (struct event){.type = EVENT_KICK};
        return;
    }
    before_user(sched, fiber, now_ns);
    fiber->state = FIBER_USER;
    cpu_enter(cpu->platform_cpu, fiber->user_space, fiber->user_context);
    __atomic_store_n(&cpu->is_in_user, true, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&sched->interrupt_pending, __ATOMIC_SEQ_CST))
        cpu_kick(cpu->platform_cpu);
    sched_unlock(sched);
    cpu_run(cpu->platform_cpu, event);
    sched_lock(sched);
    __atomic_store_n(&cpu->is_in_user, false, __ATOMIC_SEQ_CST);
    cpu_leave(cpu->platform_cpu);
    fiber->state = FIBER_RUNNING;
    if (event->type == EVENT_KICK) {
        sched_poll(sched);
        if (sched->ready_count > 0) {
            struct sched_cpu *idle = find_idle(sched);
            if (idle)
                cpu_end_idle(idle);
        }
    }
}

SLEEPS void fiber_run_user(struct fiber *fiber, struct space *space, struct context *context,
                           struct event *event)
{
    struct sched *sched = fiber->sched;
    fiber->user_space = space;
    fiber->user_context = context;
    if (!sched->is_simulated) {
        run_user_for_real(sched, fiber, event);
        return;
    }
    fiber->state = FIBER_USER;
    sched_switch_away(fiber); /* sim.c runs cpu_run when it is this cpu's turn */
    *event = fiber->user_event;
}

bool fiber_should_yield(const struct fiber *fiber)
{
    const struct sched *sched = fiber->sched;
    if (sched->ready_count == 0)
        return false;
    return sched->is_simulated || host_monotonic_ns(sched->host) >= fiber->slice_end_ns;
}

/* ---- the loop ------------------------------------------------------------------------------- */

static bool somebody_polls(const struct sched *sched)
{
    for (u32 i = 0; i < sched->cpu_count; i++)
        if (sched->cpus[i].idle == IDLE_POLLS)
            return true;
    return false;
}

/* CPU is up, and nobody called it: is FIBER for the cpu of its waker? */
static bool is_left(const struct sched_cpu *cpu, const struct fiber *fiber)
{
    const struct sched *sched = cpu->sched;
    return cpu->has_idled && !cpu->is_called && fiber->waker != CPU_NONE &&
           fiber->waker != cpu->index && sched->cpus[fiber->waker].current &&
           sched->ready_count <= HANDOVER_COUNT &&
           sched_now_ns(cpu->sched) < fiber->ready_ns + sched->handover_ns;
}

/* CPU woke up to take a fiber that waits long, perhaps: was it worth it? */
static void handover_judge(struct sched_cpu *cpu)
{
    struct sched *sched = cpu->sched;
    if (sched->handover_at_ns == 0 || cpu->is_called || sched_now_ns(sched) < sched->handover_at_ns)
        return;
    const struct fiber *fiber = list_first_or_null(&sched->ready, struct fiber, link);
    sched->handover_at_ns = 0;
    sched->handover_ns = fiber && !is_left(cpu, fiber)
                             ? MAX(sched->handover_ns / 2, HANDOVER_MIN_NS)
                             : MIN(sched->handover_ns * 2, HANDOVER_MAX_NS);
}

static void cpu_idle(struct sched_cpu *cpu)
{
    struct sched *sched = cpu->sched;
    u64 deadline = sched_next_deadline(sched);
    const struct fiber *left = list_first_or_null(&sched->ready, struct fiber, link);
    if (left)
        deadline = MIN(deadline, left->ready_ns + sched->handover_ns);
    cpu->has_idled = true;
    cpu->is_called = false;
    cpu->is_looking = false;
    if (somebody_polls(sched)) {
        cpu->idle = IDLE_WAITS;
        tell_earlier(sched, deadline,
                     sched_now_ns(sched)); /* who polls does not know of a timer set since */
        __atomic_store_n(&cpu->wake_word, 0, __ATOMIC_RELEASE);
        sched_unlock(sched);
        machine_wait(&cpu->wake_word, 0, NO_DEADLINE);
    } else {
        cpu->idle = IDLE_POLLS;
        sched_unlock(sched);
        if (!__atomic_load_n(&sched->interrupt_pending, __ATOMIC_SEQ_CST))
            host_wait(sched->host, deadline);
    }
    sched_lock(sched);
    cpu->idle = IDLE_NO;
    cpu->is_looking = true; /* what the poll makes ready it runs itself */
    sched_poll(sched);
    handover_judge(cpu);
}

static struct fiber *take_ready(struct sched_cpu *cpu)
{
    struct sched *sched = cpu->sched;
    struct fiber *fiber = list_first_or_null(&sched->ready, struct fiber, link);
    if (!fiber || is_left(cpu, fiber))
        return NULL;
    cpu->has_idled = false;
    list_remove(&fiber->link);
    sched->ready_count--;
    return fiber;
}

static void cpu_loop(void *arg)
{
    struct sched_cpu *cpu = arg;
    struct sched *sched = cpu->sched;
    if (cpu->platform_cpu && cpu_attach(cpu->platform_cpu) != 0)
        return;
    sched_lock(sched);
    cpu->is_looking = true;
    while (!sched->is_stopping) {
        if (__atomic_load_n(&sched->interrupt_pending, __ATOMIC_ACQUIRE))
            sched_poll(sched);
        struct fiber *fiber = take_ready(cpu);
        if (!fiber) {
            sched_fire_timers(sched, sched_now_ns(sched));
            fiber = take_ready(cpu);
        }
        if (!fiber) {
            cpu_idle(cpu);
            continue;
        }
        fiber->slice_end_ns = sched_now_ns(sched) + SLICE_NS;
        sched_switch_to(cpu, fiber);
    }
    cpu->is_looking = false;
    for (u32 i = 0; i < sched->cpu_count; i++)
        cpu_end_idle(&sched->cpus[i]);
    sched_unlock(sched);
    if (cpu->platform_cpu)
        cpu_detach(cpu->platform_cpu);
}

void sched_run(struct sched *sched)
{
    ASSERT(!sched->is_simulated);
    sched->interrupt = (struct host_interrupt){.interrupt = sched_interrupted, .owner = sched};
    int err = host_poller_start(sched->host, &sched->interrupt);
    ASSERT(err == 0);
    for (u32 i = 1; i < sched->cpu_count; i++) {
        struct sched_cpu *cpu = &sched->cpus[i];
        if (machine_thread_start(cpu_loop, cpu, &cpu->thread) != 0)
            cpu->thread = NULL; /* fewer cpus then; nothing depends on one of them */
    }
    cpu_loop(&sched->cpus[0]);
    for (u32 i = 1; i < sched->cpu_count; i++)
        if (sched->cpus[i].thread)
            machine_thread_join(sched->cpus[i].thread);
    host_poller_stop(sched->host);
}

void sched_stop(struct sched *sched)
{
    sched->is_stopping = true;
    for (u32 i = 0; i < sched->cpu_count; i++) {
        struct sched_cpu *cpu = &sched->cpus[i];
        if (cpu->is_in_user)
            cpu_kick(cpu->platform_cpu);
        cpu_end_idle(cpu);
    }
}

SLEEPS void sched_kick_all(struct sched *sched, struct fiber *fiber)
{
    for (u32 i = 0; i < sched->cpu_count; i++)
        if (sched->cpus[i].is_in_user)
            cpu_kick(sched->cpus[i].platform_cpu);
    fiber_relax(fiber);
}
