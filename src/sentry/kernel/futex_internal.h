/* SPDX-License-Identifier: Apache-2.0 */
/* What the files about futexes share. */
#pragma once
#include "sentry/kernel/futex.h"

#define FUTEX_BUCKETS 256u

struct futex_table {
    struct arena *arena;
    struct list buckets[FUTEX_BUCKETS]; /* struct futex_waiter.link */
    u32 waiter_count;
    u32 pi_count; /* those that wait for a priority-inheriting lock */
};

struct futex_waiter {
    struct list link;
    struct task *task; /* its own; lives as long as it sleeps */
    struct futex_key key;
    uaddr at;
    u32 bitset;
    u32 owner; /* PI: tid of the holder, as the waiter's namespace has it */
    bool is_shared;
    bool is_pi;
    bool is_moved;  /* requeued: it waits elsewhere than its call says */
    bool is_chosen; /* a waker took it out: the call succeeds whatever else happens */
};

static inline bool futex_key_is_equal(const struct futex_key *a, const struct futex_key *b)
{
    return a->object == b->object && a->offset == b->offset;
}
struct list *futex_bucket(struct futex_table *table, const struct futex_key *key);
void futex_waiter_add(struct futex_table *table, struct futex_waiter *waiter);
void futex_waiter_remove(struct futex_table *table, struct futex_waiter *waiter);
void futex_waiter_wake(struct futex_table *table, struct futex_waiter *waiter);
/* 0, -EINVAL (alignment), -EFAULT. WORD until the next sleep. */
MUST_CHECK SLEEPS int futex_word(struct task *task, uaddr at, bool is_shared, bool for_write,
                                 u32 **word, struct futex_key *key);
