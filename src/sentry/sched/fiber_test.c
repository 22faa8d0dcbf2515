/* SPDX-License-Identifier: Apache-2.0 */
/* Fibers, wait queues, sleep locks and timers under virtual time: nothing here depends on threads.
 */
#include <CUnit/CUnit.h>
#include <stdio.h>
#include <string.h>

#include "abi/errno.h"
#include "base/arena_plain.h"
#include "host/sim/sim.h"
#include "platform/machine.h"
#include "sentry/sched/internal.h"

#define STEPS 100000
#define FIBERS_MAX 16

/* One test's world; fibers write into `trace` who they are. */
static struct arena *arena;
static struct host *host;
static struct sched *sched;
static struct fiber fibers[FIBERS_MAX];
static struct wait_queue queue;
static struct sleep_lock lock;
static char trace[512];
static int results[FIBERS_MAX];
static u32 ended_count;

static void begin(u64 seed, u32 cpus)
{
    const struct sim_config config = {.seed = seed};
    arena = arena_plain_create();
    host = host_sim_create(&config);
    CU_ASSERT_EQUAL_FATAL(sched_create(arena, host, NULL, cpus, &sched), 0);
    memset(fibers, 0, sizeof fibers);
    memset(&queue, 0, sizeof queue);
    memset(&lock, 0, sizeof lock);
    memset(results, 0, sizeof results);
    trace[0] = 0;
    ended_count = 0;
}

static void end(void)
{
    sched_destroy(sched); /* asserts that nothing is ready and no timer is set */
    host_put(host);
    arena_plain_destroy(arena);
}

static void note(const char *format, u32 number)
{
    size_t size = strlen(trace);
    snprintf(trace + size, sizeof trace - size, format, number);
}

static void on_end(struct fiber *fiber)
{
    ended_count++;
}

static void start(u32 index, void (*entry)(void *arg))
{
    CU_ASSERT_EQUAL_FATAL(
        fiber_start(&fibers[index], sched, "test", entry, (void *)(uintptr_t)index, on_end), 0);
}

static u32 index_of(void *arg)
{
    return (u32)(uintptr_t)arg;
}

/* ---- the run queue ---------------------------------------------------------------------------- */

SLEEPS_ROOT static void three_turns(void *arg)
{
    u32 me = index_of(arg);
    for (u32 turn = 0; turn < 3; turn++) {
        note("%u", me);
        fiber_yield(&fibers[me]);
    }
}

static void test_fibers_take_turns_in_the_order_they_became_ready(void)
{
    begin(1, 1);
    for (u32 i = 0; i < 3; i++)
        start(i, three_turns);
    CU_ASSERT_EQUAL(fibers[0].state, FIBER_READY);
    CU_ASSERT(fibers[0].id < fibers[1].id && fibers[1].id < fibers[2].id);
    CU_ASSERT(sched_run_until_quiet(sched, STEPS));
    CU_ASSERT_STRING_EQUAL(trace, "012012012");
    CU_ASSERT_EQUAL(ended_count, 3);
    end();
}

SLEEPS_ROOT static void relaxes(void *arg)
{
    u32 me = index_of(arg);
    note("%u", me);
    fiber_relax(&fibers[me]);
    note("%u", me);
}

static void test_relaxing_gives_way_only_to_somebody(void)
{
    begin(1, 1);
    start(0, relaxes);
    CU_ASSERT(sched_run_until_quiet(sched, 2)); /* one switch, for there is nobody to give way to */
    CU_ASSERT_STRING_EQUAL(trace, "00");
    start(1, relaxes);
    start(2, relaxes);
    CU_ASSERT(sched_run_until_quiet(sched, STEPS));
    CU_ASSERT_STRING_EQUAL(trace, "001212");
    end();
}

SLEEPS_ROOT static void never_ends(void *arg)
{
    for (;;)
        fiber_yield(&fibers[index_of(arg)]);
}

static void test_a_run_that_does_not_become_quiet_is_given_up(void)
{
    begin(1, 2);
    start(0, never_ends);
    CU_ASSERT_FALSE(sched_run_until_quiet(sched, 1000));
    sched->is_stopping = true; /* the fiber's stack goes with the process */
    list_remove(&fibers[0].link);
    machine_stack_destroy(fibers[0].stack, fibers[0].stack_size);
    end();
}

SLEEPS_ROOT static void trace_of_seed(u64 seed, u32 cpus, char *out)
{
    begin(seed, cpus);
    for (u32 i = 0; i < 8; i++)
        start(i, three_turns);
    CU_ASSERT(sched_run_until_quiet(sched, STEPS));
    CU_ASSERT_EQUAL(ended_count, 8);
    strcpy(out, trace);
    for (u32 i = 0; i < 8; i++) { /* which cpu it ran on last is the seed's too */
        size_t size = strlen(out);
        snprintf(out + size, 4, "%u", fibers[i].cpu_index);
    }
    end();
}

static void test_the_seed_says_which_cpu_goes_next(void)
{
    char first[600], again[600], other[600];
    bool has_differed = false;
    trace_of_seed(7, 4, first);
    trace_of_seed(7, 4, again);
    CU_ASSERT_STRING_EQUAL(first, again);
    for (u64 seed = 8; seed < 12; seed++) {
        trace_of_seed(seed, 4, other);
        has_differed = has_differed || strcmp(first, other) != 0;
    }
    CU_ASSERT(has_differed);
}

SLEEPS_ROOT static void ends_at_once(void *arg)
{
    note("%u", index_of(arg));
}

static void test_stacks_of_ended_fibers_are_used_again(void)
{
    begin(1, 1);
    for (u32 round = 0; round < 3; round++) {
        for (u32 i = 0; i < 4; i++)
            start(i, ends_at_once); /* an ended fiber may be started again */
        CU_ASSERT(sched_run_until_quiet(sched, STEPS));
        CU_ASSERT_EQUAL(sched->stack_pool_count, 4);
        CU_ASSERT_PTR_NULL(fibers[0].stack);
    }
    CU_ASSERT_EQUAL(ended_count, 12);
    end();
}

/* ---- blocking --------------------------------------------------------------------------------- */

SLEEPS_ROOT static void blocks_hard(void *arg)
{
    u32 me = index_of(arg);
    fiber_prepare(&fibers[me]);
    results[me] = fiber_block(&fibers[me], NO_DEADLINE, false);
}

SLEEPS_ROOT static void blocks_softly(void *arg)
{
    u32 me = index_of(arg);
    fiber_prepare(&fibers[me]);
    results[me] = fiber_block(&fibers[me], NO_DEADLINE, true);
}

SLEEPS_ROOT static void woken_before_it_blocks(void *arg)
{
    u32 me = index_of(arg);
    fiber_prepare(&fibers[me]);
    fiber_wake(&fibers[me]);
    results[me] = fiber_block(&fibers[me], NO_DEADLINE, true);
    note("%u", me);
}

static void test_a_wake_up_before_the_block_is_not_lost(void)
{
    begin(1, 1);
    start(0, woken_before_it_blocks);
    CU_ASSERT(sched_run_until_quiet(sched, 2));
    CU_ASSERT_STRING_EQUAL(trace, "0");
    CU_ASSERT_EQUAL(results[0], 0);
    end();
}

static void test_an_interrupt_ends_only_interruptible_sleeps(void)
{
    begin(1, 1);
    results[0] = results[1] = 99;
    start(0, blocks_hard);
    start(1, blocks_softly);
    CU_ASSERT(sched_run_until_quiet(sched, STEPS));
    CU_ASSERT_EQUAL(fibers[0].state, FIBER_BLOCKED);
    fiber_interrupt(&fibers[0]);
    fiber_interrupt(&fibers[1]);
    CU_ASSERT(sched_run_until_quiet(sched, STEPS));
    CU_ASSERT_EQUAL(results[0], 99);
    CU_ASSERT_EQUAL(results[1], -ERESTARTSYS);
    CU_ASSERT(fibers[0].is_interrupted);
    fiber_wake(&fibers[0]);
    fiber_wake(&fibers[0]); /* twice is once */
    CU_ASSERT(sched_run_until_quiet(sched, STEPS));
    CU_ASSERT_EQUAL(results[0], 0);
    CU_ASSERT_EQUAL(ended_count, 2);
    end();
}

SLEEPS_ROOT static void interrupted_again_and_again(void *arg)
{
    struct fiber *fiber = &fibers[index_of(arg)];
    for (u32 i = 0; i < 2; i++) { /* sticky */
        fiber_prepare(fiber);
        CU_ASSERT_EQUAL(fiber_block(fiber, NO_DEADLINE, true), -ERESTARTSYS);
    }
    fiber_wake(fiber); /* a wake-up is stronger */
    CU_ASSERT_EQUAL(fiber_block(fiber, NO_DEADLINE, true), 0);
    fiber_clear_interrupt(fiber);
    fiber_prepare(fiber);
    CU_ASSERT_EQUAL(fiber_block(fiber, sched_now_ns(sched) + 5, true), -ETIMEDOUT);
}

static void test_an_interrupt_lasts_until_it_is_cleared(void)
{
    begin(1, 1);
    start(0, interrupted_again_and_again);
    fiber_interrupt(&fibers[0]);
    CU_ASSERT(sched_run_until(sched, NO_DEADLINE, STEPS));
    CU_ASSERT_EQUAL(ended_count, 1);
    end();
}

SLEEPS_ROOT static void sleeps_a_while(void *arg)
{
    u32 me = index_of(arg);
    u64 until = sched_now_ns(sched) + (me + 1) * 100;
    fiber_prepare(&fibers[me]);
    results[me] = fiber_block(&fibers[me], until, true);
    CU_ASSERT_EQUAL(sched_now_ns(sched), until);
    CU_ASSERT_EQUAL(fibers[me].away_ns, (me + 1) * 100);
    note("%u", me);
    fiber_prepare(&fibers[me]); /* what has passed does not block at all */
    CU_ASSERT_EQUAL(fiber_block(&fibers[me], until, false), -ETIMEDOUT);
}

static void test_deadlines_come_in_order_and_time_jumps_to_them(void)
{
    begin(1, 1);
    for (u32 i = 3; i > 0; i--)
        start(i - 1, sleeps_a_while);
    u64 before = sched_now_ns(sched);
    CU_ASSERT(sched_run_until_quiet(sched, STEPS));
    CU_ASSERT_EQUAL(sched_now_ns(sched), before); /* being quiet takes no time */
    CU_ASSERT_EQUAL(sched_next_deadline(sched), before + 100);
    CU_ASSERT(sched_run_until(sched, before + 250, STEPS));
    CU_ASSERT_STRING_EQUAL(trace, "01");
    CU_ASSERT_EQUAL(sched_now_ns(sched), before + 250);
    CU_ASSERT(sched_run_until(sched, NO_DEADLINE, STEPS));
    CU_ASSERT_STRING_EQUAL(trace, "012");
    CU_ASSERT_EQUAL(results[2], -ETIMEDOUT);
    CU_ASSERT_EQUAL(sched_next_deadline(sched), NO_DEADLINE);
    end();
}

SLEEPS_ROOT static void waits_with_a_deadline(void *arg)
{
    u32 me = index_of(arg);
    results[me] = fiber_sleep_on(&fibers[me], &queue, sched_now_ns(sched) + 1000);
}

static void test_a_wake_up_beats_the_deadline_and_takes_its_timer_along(void)
{
    begin(1, 1);
    results[0] = 99;
    start(0, waits_with_a_deadline);
    CU_ASSERT(sched_run_until_quiet(sched, STEPS));
    wake_up_all(&queue);
    sched_advance_to(sched, sched_now_ns(sched) + 2000); /* the deadline passes before it runs */
    CU_ASSERT(sched_run_until_quiet(sched, STEPS));
    CU_ASSERT_EQUAL(results[0], 0);
    CU_ASSERT(wait_queue_is_empty(&queue));
    CU_ASSERT_EQUAL(sched_next_deadline(sched), NO_DEADLINE);
    end();
}

/* ---- wait queues ------------------------------------------------------------------------------ */

static void count_wake(struct waiter *waiter, u32 events)
{
    *(u32 *)waiter->owner += events;
}

static void remove_and_count(struct waiter *waiter, u32 events)
{
    wait_queue_remove(waiter);
    ++*(u32 *)waiter->owner;
}

static void test_waiters_hear_of_their_own_events_only(void)
{
    u32 in = 0, out = 0, once = 0;
    struct waiter reader, writer, last;
    begin(1, 1);
    CU_ASSERT(wait_queue_is_empty(&queue)); /* zeroed */
    wake_up(&queue, 1);
    waiter_init(&reader, 1, count_wake, &in);
    waiter_init(&last, WAKE_ALL_EVENTS, remove_and_count, &once);
    waiter_init(&writer, 4, count_wake, &out);
    wait_queue_add(&queue, &reader);
    wait_queue_add(&queue, &last); /* removes itself while the queue is walked */
    wait_queue_add(&queue, &writer);
    wake_up(&queue, 1);
    CU_ASSERT(in == 1 && out == 0 && once == 1);
    wake_up(&queue, 4 | 1);
    CU_ASSERT(in == 6 && out == 5 && once == 1);
    wait_queue_remove(&reader);
    wait_queue_remove(&reader); /* harmless */
    wait_queue_remove(&writer);
    CU_ASSERT(wait_queue_is_empty(&queue));
    end();
}

SLEEPS_ROOT static void waits_in_line(void *arg)
{
    u32 me = index_of(arg);
    results[me] = fiber_sleep_on(&fibers[me], &queue, NO_DEADLINE);
    note("%u", me);
}

static void test_some_are_woken_oldest_first(void)
{
    begin(1, 1);
    for (u32 i = 0; i < 5; i++)
        start(i, waits_in_line);
    CU_ASSERT(sched_run_until_quiet(sched, STEPS));
    CU_ASSERT_EQUAL(wake_up_some(&queue, 2), 2);
    CU_ASSERT(sched_run_until_quiet(sched, STEPS));
    CU_ASSERT_STRING_EQUAL(trace, "01");
    CU_ASSERT_EQUAL(wake_up_some(&queue, 0), 0);
    fiber_interrupt(&fibers[3]);
    CU_ASSERT(sched_run_until_quiet(sched, STEPS));
    CU_ASSERT_EQUAL(results[3], -ERESTARTSYS);
    CU_ASSERT_EQUAL(wake_up_some(&queue, 9), 2);
    CU_ASSERT(sched_run_until_quiet(sched, STEPS));
    CU_ASSERT_STRING_EQUAL(trace, "01324");
    CU_ASSERT_EQUAL(wake_up_some(&queue, 9), 0);
    end();
}

/* ---- sleep locks ------------------------------------------------------------------------------ */

static u32 inside_count, inside_most;

SLEEPS_ROOT static void locks_and_sleeps(void *arg)
{
    struct fiber *fiber = &fibers[index_of(arg)];
    for (u32 round = 0; round < 3; round++) {
        sleep_lock(&lock, fiber);
        inside_count++;
        inside_most = MAX(inside_most, inside_count);
        fiber_yield(fiber);
        fiber_prepare(fiber);
        CU_ASSERT_EQUAL(fiber_block(fiber, sched_now_ns(sched) + 10, false), -ETIMEDOUT);
        inside_count--;
        sleep_unlock(&lock, fiber);
    }
}

static void test_a_sleep_lock_is_held_over_sleeps_by_one(void)
{
    for (u64 seed = 1; seed < 5; seed++) {
        begin(seed, 3);
        inside_count = inside_most = 0;
        for (u32 i = 0; i < 6; i++)
            start(i, locks_and_sleeps);
        CU_ASSERT(sched_run_until(sched, NO_DEADLINE, STEPS));
        CU_ASSERT_EQUAL(ended_count, 6);
        CU_ASSERT_EQUAL(inside_most, 1);
        CU_ASSERT_PTR_NULL(lock.holder);
        CU_ASSERT(wait_queue_is_empty(&lock.queue));
        end();
    }
}

/* ---- timers ----------------------------------------------------------------------------------- */

static struct timer timers[4];

static void fired(struct timer *timer)
{
    note("%u", (u32)(timer - timers));
}

static void fires_and_sets_another(struct timer *timer)
{
    fired(timer);
    timer_set(sched, &timers[3], sched_now_ns(sched)); /* due already */
    timer_cancel(sched, &timers[2]);
}

static void test_timers_fire_by_deadline_and_equal_ones_as_they_were_set(void)
{
    begin(1, 1);
    u64 now = sched_now_ns(sched);
    for (u32 i = 0; i < 4; i++)
        timer_init(&timers[i], fired, NULL);
    timer_set(sched, &timers[0], now + 30);
    timer_set(sched, &timers[1], now + 20);
    timer_set(sched, &timers[2], now + 20);
    timer_set(sched, &timers[3], now + 10);
    timer_set(sched, &timers[3], now + 20); /* moved, behind the others */
    sched_advance_to(sched, now + 19);
    CU_ASSERT_STRING_EQUAL(trace, "");
    sched_advance_to(sched, now + 20);
    CU_ASSERT_STRING_EQUAL(trace, "123");
    CU_ASSERT(!timers[1].is_set && timers[0].is_set);
    timer_cancel(sched, &timers[0]);
    timer_cancel(sched, &timers[0]);
    sched_advance_to(sched, now + 99);
    CU_ASSERT_STRING_EQUAL(trace, "123");
    end();
}

static void test_a_timer_may_set_and_cancel_others(void)
{
    begin(1, 1);
    u64 now = sched_now_ns(sched);
    timer_init(&timers[1], fires_and_sets_another, NULL);
    timer_init(&timers[2], fired, NULL);
    timer_init(&timers[3], fired, NULL);
    timer_set(sched, &timers[1], now + 5);
    timer_set(sched, &timers[2], now + 5);
    sched_advance_to(sched, now + 5);
    CU_ASSERT_STRING_EQUAL(trace, "13");
    CU_ASSERT_EQUAL(sched_next_deadline(sched), NO_DEADLINE);
    end();
}

static void test_a_served_call_costs_virtual_time(void)
{
    begin(1, 1);
    u64 now = sched_now_ns(sched);
    sched_charge_call(sched);
    sched_charge_call(sched);
    CU_ASSERT_EQUAL(sched_now_ns(sched), now + 2 * NS_PER_US);
    end();
}

static void collect(void *arg, const char *text)
{
    note("%u", 0);
    strncat(trace, text, sizeof trace - strlen(trace) - 1);
}

static void test_the_dump_names_cpus_and_ready_fibers(void)
{
    begin(1, 2);
    start(0, ends_at_once);
    sched_dump(sched, collect, NULL);
    CU_ASSERT_STRING_EQUAL(trace, "0cpu 0: idle0cpu 1: idle0fiber 1 test: ready");
    CU_ASSERT(sched_run_until_quiet(sched, STEPS));
    CU_ASSERT_EQUAL(sched_cpu_count(sched), 2);
    end();
}

void fiber_suite(void);
void fiber_suite(void)
{
    CU_pSuite suite = CU_add_suite("sched/fiber", NULL, NULL);
    CU_ADD_TEST(suite, test_fibers_take_turns_in_the_order_they_became_ready);
    CU_ADD_TEST(suite, test_relaxing_gives_way_only_to_somebody);
    CU_ADD_TEST(suite, test_a_run_that_does_not_become_quiet_is_given_up);
    CU_ADD_TEST(suite, test_the_seed_says_which_cpu_goes_next);
    CU_ADD_TEST(suite, test_stacks_of_ended_fibers_are_used_again);
    CU_ADD_TEST(suite, test_a_wake_up_before_the_block_is_not_lost);
    CU_ADD_TEST(suite, test_an_interrupt_ends_only_interruptible_sleeps);
    CU_ADD_TEST(suite, test_an_interrupt_lasts_until_it_is_cleared);
    CU_ADD_TEST(suite, test_deadlines_come_in_order_and_time_jumps_to_them);
    CU_ADD_TEST(suite, test_a_wake_up_beats_the_deadline_and_takes_its_timer_along);
    CU_ADD_TEST(suite, test_waiters_hear_of_their_own_events_only);
    CU_ADD_TEST(suite, test_some_are_woken_oldest_first);
    CU_ADD_TEST(suite, test_a_sleep_lock_is_held_over_sleeps_by_one);
    CU_ADD_TEST(suite, test_timers_fire_by_deadline_and_equal_ones_as_they_were_set);
    CU_ADD_TEST(suite, test_a_timer_may_set_and_cancel_others);
    CU_ADD_TEST(suite, test_a_served_call_costs_virtual_time);
    CU_ADD_TEST(suite, test_the_dump_names_cpus_and_ready_fibers);
}
