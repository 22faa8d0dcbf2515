/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel lock and cpus that are threads, on the real host. Application code is a made-up
 * platform's: a run lasts until somebody kicks or ends it, so nothing here waits for time to pass
 * but where a time slice is the subject.
 */
#include <CUnit/CUnit.h>
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "base/arena_plain.h"
#include "platform/machine.h"
#include "platform/ops.h"
#include "sentry/sched/internal.h"

#define CPUS_MAX 4u
#define FIBERS_MAX 8u
#define RUN_NS_MAX (20 * NS_PER_S) /* a run that nobody ends is an error */

/* ---- a platform whose application code does nothing ------------------------------------------- */

struct idle_cpu {
    struct cpu base;
    u32 kicked; /* machine_wait's */
    u32 kicks;
};

static struct idle_cpu idle_cpus[CPUS_MAX];
static u32 run_is_over[FIBERS_MAX]; /* by whose context; ends a run as a system call would */
static u32 lost_runs;

static struct cpu *idle_cpu_at(struct platform *platform, u32 index)
{
    return &idle_cpus[index].base;
}

static int idle_attach(struct cpu *cpu)
{
    return 0;
}

static void idle_detach(struct cpu *cpu)
{
}

static struct context *entered[CPUS_MAX];

static void idle_enter(struct cpu *cpu, struct space *space, struct context *context)
{
    entered[cpu->index] = context;
}

static void idle_run(struct cpu *cpu, struct event *event)
{
    struct idle_cpu *self = container_of(cpu, struct idle_cpu, base);
    const u32 *is_over = &run_is_over[entered[cpu->index]->id];
    struct host *clock = (struct host *)entered[cpu->index]->xstate_home;
    u64 end = host_monotonic_ns(clock) + RUN_NS_MAX;
    for (;;) {
        if (__atomic_exchange_n(&self->kicked, 0, __ATOMIC_SEQ_CST)) {
            *event = (struct event){.type = EVENT_KICK};
            return;
        }
        if (__atomic_load_n(is_over, __ATOMIC_SEQ_CST)) {
            *event = (struct event){.type = EVENT_SYSCALL};
            return;
        }
        if (host_monotonic_ns(clock) > end) {
            __atomic_add_fetch(&lost_runs, 1, __ATOMIC_SEQ_CST);
            *event = (struct event){.type = EVENT_GONE};
            return;
        }
        machine_wait(&self->kicked, 0, host_monotonic_ns(clock) + NS_PER_MS);
    }
}

static void idle_leave(struct cpu *cpu)
{
}

static void idle_kick(struct cpu *cpu)
{
    struct idle_cpu *self = container_of(cpu, struct idle_cpu, base);
    __atomic_add_fetch(&self->kicks, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&self->kicked, 1, __ATOMIC_SEQ_CST);
    machine_wake(&self->kicked, 1);
}

static const struct platform_ops idle_ops = {
    .features = {.name = "idle", .is_preemptible = true},
    .cpu = idle_cpu_at,
    .cpu_attach = idle_attach,
    .cpu_detach = idle_detach,
    .cpu_enter = idle_enter,
    .cpu_run = idle_run,
    .cpu_leave = idle_leave,
    .cpu_kick = idle_kick,
};

/* ---- one test's world ------------------------------------------------------------------------- */

static struct platform platform;
static struct space space = {.platform = &platform};
static struct arena *arena;
static struct host *host;
static struct sched *sched;
static struct fiber fibers[FIBERS_MAX];
static struct context contexts[FIBERS_MAX];
static struct wait_queue queue;
static u32 ended_count, wanted_count;
static u32 counts[FIBERS_MAX];

static void begin(u32 cpus)
{
    arena = arena_plain_create();
    host = host_linux_create();
    CU_ASSERT_PTR_NOT_NULL_FATAL(host);
    platform = (struct platform){.ops = &idle_ops, .cpu_count = cpus};
    memset(idle_cpus, 0, sizeof idle_cpus);
    for (u32 i = 0; i < CPUS_MAX; i++)
        idle_cpus[i].base = (struct cpu){.platform = &platform, .index = i};
    for (u32 i = 0; i < FIBERS_MAX; i++)
        contexts[i] = (struct context){.id = i, .xstate_home = host};
    memset(run_is_over, 0, sizeof run_is_over);
    memset(fibers, 0, sizeof fibers);
    memset(&queue, 0, sizeof queue);
    memset(counts, 0, sizeof counts);
    ended_count = wanted_count = lost_runs = 0;
    CU_ASSERT_EQUAL_FATAL(sched_create(arena, host, &platform, cpus, &sched), 0);
}

/* The last one turns the lights out. */
static void on_end(struct fiber *fiber)
{
    if (++ended_count == wanted_count)
        sched_stop(sched);
}

static void start(u32 index, void (*entry)(void *arg))
{
    wanted_count++;
    CU_ASSERT_EQUAL_FATAL(
        fiber_start(&fibers[index], sched, "test", entry, (void *)(uintptr_t)index, on_end), 0);
}

static void end(void)
{
    sched_destroy(sched);
    host_put(host);
    arena_plain_destroy(arena);
}

static void run_and_end(void)
{
    sched_run(sched);
    CU_ASSERT_EQUAL(ended_count, wanted_count);
    CU_ASSERT_EQUAL(lost_runs, 0);
    end();
}

static u32 index_of(void *arg)
{
    return (u32)(uintptr_t)arg;
}

/* Application code until somebody ends it, as a task's loop runs it; how often it was kicked. */
SLEEPS static u32 run_user(u32 me)
{
    struct event event;
    u32 kicks = 0;
    for (;;) {
        fiber_run_user(&fibers[me], &space, &contexts[me], &event);
        if (event.type != EVENT_KICK)
            return kicks;
        kicks++;
        if (fibers[me].is_interrupted)
            return kicks;
        if (fiber_should_yield(&fibers[me]))
            fiber_yield(&fibers[me]);
    }
}

static void end_run(u32 index)
{
    __atomic_store_n(&run_is_over[index], 1, __ATOMIC_SEQ_CST);
}

SLEEPS static void sleep_for(struct fiber *fiber, u64 ns)
{
    fiber_prepare(fiber);
    CU_ASSERT_EQUAL(fiber_block(fiber, sched_now_ns(sched) + ns, false), -ETIMEDOUT);
}

/* ---- the kernel lock -------------------------------------------------------------------------- */

#define THREADS 4u
#define ROUNDS 5000u

static u32 order[THREADS], order_size;
static u64 plain_counter;

static void takes_the_lock_once(void *arg)
{
    sched_lock(sched);
    order[order_size++] = index_of(arg);
    sched_unlock(sched);
}

static void takes_the_lock_often(void *arg)
{
    for (u32 i = 0; i < ROUNDS; i++) {
        sched_lock(sched);
        plain_counter++;
        sched_unlock(sched);
    }
}

static void test_the_lock_goes_to_who_asked_first(void)
{
    struct machine_thread *threads[THREADS];
    begin(1);
    order_size = 0;
    sched_lock(sched);
    for (u32 i = 0; i < THREADS; i++) {
        CU_ASSERT_EQUAL_FATAL(
            machine_thread_start(takes_the_lock_once, (void *)(uintptr_t)i, &threads[i]), 0);
        while (__atomic_load_n(&sched->lock.next, __ATOMIC_SEQ_CST) != i + 2)
            machine_wait(&order_size, 0, host_monotonic_ns(host) + NS_PER_US);
    }
    sched_unlock(sched);
    for (u32 i = 0; i < THREADS; i++)
        machine_thread_join(threads[i]);
    for (u32 i = 0; i < THREADS; i++)
        CU_ASSERT_EQUAL(order[i], i);
    CU_ASSERT_EQUAL(sched->lock.sleepers, 0);
    end();
}

static void test_the_lock_keeps_others_out(void)
{
    struct machine_thread *threads[THREADS];
    begin(1);
    plain_counter = 0;
    for (u32 i = 0; i < THREADS; i++)
        CU_ASSERT_EQUAL_FATAL(machine_thread_start(takes_the_lock_often, NULL, &threads[i]), 0);
    for (u32 i = 0; i < THREADS; i++)
        machine_thread_join(threads[i]);
    CU_ASSERT_EQUAL(plain_counter, THREADS * ROUNDS);
    CU_ASSERT_EQUAL(sched->lock.next, sched->lock.owner);
    end();
}

/* ---- fibers on threads ------------------------------------------------------------------------ */

static u32 ball;

SLEEPS_ROOT static void plays(void *arg)
{
    u32 me = index_of(arg);
    while (ball < 2000) {
        while (ball < 2000 && ball % 2 != me)
            (void)!fiber_sleep_on(&fibers[me], &queue, NO_DEADLINE);
        ball++;
        wake_up_all(&queue);
    }
}

static void test_fibers_wake_each_other_over_all_cpus(void)
{
    for (u32 cpus = 1; cpus <= CPUS_MAX; cpus++) {
        begin(cpus);
        ball = 0;
        start(0, plays);
        start(1, plays);
        run_and_end();
        CU_ASSERT(ball >= 2000);
    }
}

static struct sleep_lock lock;
static u32 is_inside;

SLEEPS_ROOT static void locks_over_a_sleep(void *arg)
{
    u32 me = index_of(arg);
    for (u32 i = 0; i < 20; i++) {
        sleep_lock(&lock, &fibers[me]);
        CU_ASSERT_FALSE(is_inside);
        is_inside = true;
        sleep_for(&fibers[me], NS_PER_US);
        is_inside = false;
        sleep_unlock(&lock, &fibers[me]);
        counts[me]++;
    }
}

static void test_sleep_locks_hold_on_threads_too(void)
{
    begin(3);
    for (u32 i = 0; i < 4; i++)
        start(i, locks_over_a_sleep);
    run_and_end();
    for (u32 i = 0; i < 4; i++)
        CU_ASSERT_EQUAL(counts[i], 20);
}

/* ---- application code ------------------------------------------------------------------------- */

SLEEPS_ROOT static void runs_until_ended(void *arg)
{
    u32 me = index_of(arg);
    counts[me] = run_user(me);
}

SLEEPS_ROOT static void interrupts_the_first(void *arg)
{
    struct fiber *fiber = &fibers[index_of(arg)];
    while (fibers[0].state != FIBER_USER)
        sleep_for(fiber, NS_PER_US);
    fiber_interrupt(&fibers[0]);
}

static void test_an_interrupt_ends_a_run_on_another_cpu(void)
{
    begin(2);
    start(0, runs_until_ended);
    start(1, interrupts_the_first);
    run_and_end();
    CU_ASSERT(counts[0] >= 1); /* or a poll's kick before */
    CU_ASSERT(fibers[0].is_interrupted);
}

static void test_what_is_interrupted_does_not_even_begin(void)
{
    begin(1);
    start(0, runs_until_ended);
    fiber_interrupt(&fibers[0]);
    run_and_end();
    CU_ASSERT_EQUAL(counts[0], 1);
    CU_ASSERT_EQUAL(idle_cpus[0].kicks, 0);
}

static u64 second_came_ns;

SLEEPS_ROOT static void ends_the_first_run(void *arg)
{
    second_came_ns = sched_now_ns(sched);
    end_run(0);
}

/* One cpu: who waits for it gets it when the slice is over, and not before. */
static void test_a_slice_ends_when_somebody_waits(void)
{
    begin(1);
    start(0, runs_until_ended);
    start(1, ends_the_first_run);
    u64 before = host_monotonic_ns(host);
    run_and_end();
    CU_ASSERT(counts[0] >= 1);
    CU_ASSERT(second_came_ns >= before + 10 * NS_PER_MS);
}

SLEEPS_ROOT static void sleeps_four_slices(void *arg)
{
    sleep_for(&fibers[index_of(arg)], 40 * NS_PER_MS);
    end_run(0);
}

/* Nobody waits for the cpu: the run is left alone but for the one timer that is set. */
static void test_nothing_is_sliced_when_nobody_waits(void)
{
    begin(1);
    start(1, sleeps_four_slices); /* first, so that its timer is set */
    start(0, runs_until_ended);
    run_and_end();
    CU_ASSERT(counts[0] <= 2);
}

static u32 in_user_count;

SLEEPS_ROOT static void meets_the_others(void *arg)
{
    u32 me = index_of(arg);
    if (++in_user_count == CPUS_MAX)
        for (u32 i = 0; i < CPUS_MAX; i++)
            end_run(i);
    run_user(me);
}

static void test_all_cpus_run_application_code_at_once(void)
{
    begin(CPUS_MAX);
    in_user_count = 0;
    for (u32 i = 0; i < CPUS_MAX; i++)
        start(i, meets_the_others);
    run_and_end();
    CU_ASSERT_EQUAL(in_user_count, CPUS_MAX);
}

SLEEPS_ROOT static void waits_and_ends_the_waker(void *arg)
{
    u32 me = index_of(arg);
    counts[me] = (u32)fiber_sleep_on(&fibers[me], &queue, NO_DEADLINE);
    end_run(1);
}

SLEEPS_ROOT static void wakes_and_goes_away(void *arg)
{
    u32 me = index_of(arg);
    while (wait_queue_is_empty(&queue))
        sleep_for(&fibers[me], NS_PER_US);
    wake_up_all(&queue);
    CU_ASSERT_EQUAL(fibers[0].state, FIBER_READY);
    run_user(me); /* for long: the woken one has to be taken by another cpu */
}

static void test_an_idle_cpu_takes_over_what_its_waker_has_no_time_for(void)
{
    begin(2);
    start(0, waits_and_ends_the_waker);
    start(1, wakes_and_goes_away);
    run_and_end();
    CU_ASSERT_EQUAL(counts[0], 0);
}

/* ---- idle cpus -------------------------------------------------------------------------------- */

static u32 polling_most, waiting_most, looks;

SLEEPS_ROOT static void looks_at_idle_cpus(void *arg)
{
    struct fiber *fiber = &fibers[index_of(arg)];
    for (looks = 0; looks < 5000 && waiting_most < 2; looks++) {
        u32 polling = 0, waiting = 0;
        for (u32 i = 0; i < sched->cpu_count; i++) {
            polling += sched->cpus[i].idle == IDLE_POLLS;
            waiting += sched->cpus[i].idle == IDLE_WAITS;
        }
        polling_most = MAX(polling_most, polling);
        waiting_most = MAX(waiting_most, waiting);
        sleep_for(fiber, 10 * NS_PER_US);
    }
}

static void test_one_idle_cpu_polls_and_the_others_sleep(void)
{
    begin(CPUS_MAX);
    polling_most = waiting_most = 0;
    start(0, looks_at_idle_cpus);
    run_and_end();
    CU_ASSERT_EQUAL(polling_most, 1);
    CU_ASSERT(waiting_most >= 2);
}

SLEEPS_ROOT static void sleeps_by_steps(void *arg)
{
    u32 me = index_of(arg);
    for (u32 i = 0; i < 10; i++) {
        u64 until = sched_now_ns(sched) + (me + 1) * 50 * NS_PER_US;
        fiber_prepare(&fibers[me]);
        CU_ASSERT_EQUAL(fiber_block(&fibers[me], until, false), -ETIMEDOUT);
        CU_ASSERT(sched_now_ns(sched) >= until);
        counts[me]++;
    }
}

static void test_timers_are_told_to_whoever_polls(void)
{
    begin(2);
    for (u32 i = 0; i < 6; i++)
        start(i, sleeps_by_steps);
    run_and_end();
    for (u32 i = 0; i < 6; i++)
        CU_ASSERT_EQUAL(counts[i], 10);
}

void cpu_suite(void);
void cpu_suite(void)
{
    CU_pSuite suite = CU_add_suite("sched/cpu", NULL, NULL);
    CU_ADD_TEST(suite, test_the_lock_goes_to_who_asked_first);
    CU_ADD_TEST(suite, test_the_lock_keeps_others_out);
    CU_ADD_TEST(suite, test_fibers_wake_each_other_over_all_cpus);
    CU_ADD_TEST(suite, test_sleep_locks_hold_on_threads_too);
    CU_ADD_TEST(suite, test_an_interrupt_ends_a_run_on_another_cpu);
    CU_ADD_TEST(suite, test_what_is_interrupted_does_not_even_begin);
    CU_ADD_TEST(suite, test_a_slice_ends_when_somebody_waits);
    CU_ADD_TEST(suite, test_nothing_is_sliced_when_nobody_waits);
    CU_ADD_TEST(suite, test_all_cpus_run_application_code_at_once);
    CU_ADD_TEST(suite, test_an_idle_cpu_takes_over_what_its_waker_has_no_time_for);
    CU_ADD_TEST(suite, test_one_idle_cpu_polls_and_the_others_sleep);
    CU_ADD_TEST(suite, test_timers_are_told_to_whoever_polls);
}
