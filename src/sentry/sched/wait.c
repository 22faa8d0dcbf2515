/* SPDX-License-Identifier: Apache-2.0 */
/* Wait queues and the lock that is held over sleeps. A zeroed queue is an empty queue. */
#include "sentry/sched/internal.h"

static void queue_prepare(struct wait_queue *queue)
{
    if (queue->waiters.next == NULL)
        list_init(&queue->waiters);
}

void wait_queue_init(struct wait_queue *queue)
{
    list_init(&queue->waiters);
}

bool wait_queue_is_empty(const struct wait_queue *queue)
{
    return queue->waiters.next == NULL || list_is_empty(&queue->waiters);
}

static void wake_fiber(struct waiter *waiter, u32 events)
{
    (void)events;
    fiber_wake(waiter->owner);
}

void waiter_init(struct waiter *waiter, u32 mask, void (*wake)(struct waiter *, u32), void *owner)
{
    *waiter = (struct waiter){.mask = mask, .wake = wake, .owner = owner};
}

void waiter_init_fiber(struct waiter *waiter, struct fiber *fiber)
{
    waiter_init(waiter, WAKE_ALL_EVENTS, wake_fiber, fiber);
}

void wait_queue_add(struct wait_queue *queue, struct waiter *waiter)
{
    queue_prepare(queue);
    ASSERT(!list_is_linked(&waiter->link));
    list_add_tail(&queue->waiters, &waiter->link);
}

void wait_queue_remove(struct waiter *waiter)
{
    list_remove(&waiter->link);
}

/* A waker may remove its own waiter or add others: walk a list that was taken aside. */
void wake_up(struct wait_queue *queue, u32 events)
{
    if (wait_queue_is_empty(queue))
        return;
    struct list aside;
    list_init(&aside);
    list_splice_tail(&aside, &queue->waiters);
    while (!list_is_empty(&aside)) {
        struct waiter *waiter = list_first(&aside, struct waiter, link);
        list_remove(&waiter->link);
        list_add_tail(&queue->waiters, &waiter->link);
        if (waiter->mask & events)
            waiter->wake(waiter, events);
    }
}

u32 wake_up_some(struct wait_queue *queue, u32 count)
{
    u32 woken = 0;
    if (wait_queue_is_empty(queue))
        return 0;
    struct waiter *waiter, *next;
    list_for_each_safe (waiter, next, &queue->waiters, link) {
        if (woken == count)
            break;
        waiter->wake(waiter, WAKE_ALL_EVENTS);
        woken++;
    }
    return woken;
}

SLEEPS int fiber_sleep_on(struct fiber *fiber, struct wait_queue *queue, u64 deadline_ns)
{
    struct waiter waiter;
    waiter_init_fiber(&waiter, fiber);
    fiber_prepare(fiber);
    wait_queue_add(queue, &waiter);
    int err = fiber_block(fiber, deadline_ns, true);
    wait_queue_remove(&waiter);
    return err;
}

SLEEPS void fiber_sleep_on_hard(struct fiber *fiber, struct wait_queue *queue)
{
    struct waiter waiter;
    waiter_init_fiber(&waiter, fiber);
    fiber_prepare(fiber);
    wait_queue_add(queue, &waiter);
    int err = fiber_block(fiber, NO_DEADLINE, false);
    ASSERT(err == 0);
    wait_queue_remove(&waiter);
}

SLEEPS void sleep_lock(struct sleep_lock *lock, struct fiber *fiber)
{
    ASSERT(fiber == NULL || lock->holder != fiber);
    while (lock->holder) {
        ASSERT(fiber);
        fiber_sleep_on_hard(fiber, &lock->queue);
    }
    lock->holder = fiber;
}

void sleep_unlock(struct sleep_lock *lock, struct fiber *fiber)
{
    ASSERT(lock->holder == fiber);
    lock->holder = NULL;
    wake_up_some(&lock->queue, 1);
}
