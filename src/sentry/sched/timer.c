/* SPDX-License-Identifier: Apache-2.0 */
/* One ordered queue of timers. Equal deadlines fire in the order they were set. */
#include "sentry/sched/internal.h"

void timer_init(struct timer *timer, void (*fire)(struct timer *), void *owner)
{
    *timer = (struct timer){.fire = fire, .owner = owner};
}

void timer_set(struct sched *sched, struct timer *timer, u64 deadline_ns)
{
    timer_cancel(sched, timer);
    timer->node.key = deadline_ns;
    timer->is_set = true;
    tree_insert(&sched->timers, &timer->node);
}

void timer_cancel(struct sched *sched, struct timer *timer)
{
    if (!timer->is_set)
        return;
    tree_remove(&sched->timers, &timer->node);
    timer->is_set = false;
}

u64 sched_next_deadline(const struct sched *sched)
{
    const struct tree_node *first = tree_first(&sched->timers);
    return first ? first->key : NO_DEADLINE;
}

void sched_fire_timers(struct sched *sched, u64 now_ns)
{
    for (;;) {
        struct tree_node *first = tree_first(&sched->timers);
        if (!first || first->key > now_ns)
            return;
        struct timer *timer = container_of(first, struct timer, node);
        tree_remove(&sched->timers, first);
        timer->is_set = false;
        timer->fire(timer);
    }
}
