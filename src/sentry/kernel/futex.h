/* SPDX-License-Identifier: Apache-2.0 */
/* futex(2): sleepers by key. A sleeper that must unwind is taken out and makes its call again. */
#pragma once
#include "base/object.h"
#include "sentry/memory/mm.h"

struct task;
struct kernel;
struct futex_table;

MUST_CHECK int futex_table_create(struct kernel *kernel, struct futex_table **out);
void futex_table_destroy(struct futex_table *table); /* nobody sleeps */

/* All results as futex(2). AT is judged (alignment: -EINVAL). */
/* DEADLINE is sched's. 0, -EAGAIN, -ETIMEDOUT, -ERESTARTSYS. */
MUST_CHECK SLEEPS i64 futex_wait(struct task *task, uaddr at, bool is_shared, u32 value, u32 bitset,
                                 u64 deadline_ns);
#define FUTEX_WAIT_MANY_MAX 128u
struct futex_wait_item {
    uaddr at;
    u32 value;
    bool is_shared;
};
/* Sleep on up to FUTEX_WAIT_MANY_MAX words at once: the index of one that was woken, or as
 * futex_wait; -ENOMEM. */
MUST_CHECK SLEEPS i64 futex_wait_many(struct task *task, const struct futex_wait_item *items,
                                      u32 count, u64 deadline_ns);
MUST_CHECK SLEEPS i64 futex_wake(struct task *task, uaddr at, bool is_shared, u32 count,
                                 u32 bitset);
struct futex_requeue {
    uaddr from, to;
    bool is_shared, is_to_shared, has_value;
    u32 wake_count, move_count, value;
};
MUST_CHECK SLEEPS i64 futex_requeue(struct task *task, const struct futex_requeue *request);
struct futex_wake_op {
    uaddr first, second;
    bool is_shared;
    u32 first_count, second_count, op;
};
MUST_CHECK SLEEPS i64 futex_wake_op(struct task *task, const struct futex_wake_op *request);
MUST_CHECK SLEEPS i64 futex_lock_pi(struct task *task, uaddr at, bool is_shared, u64 deadline_ns,
                                    bool may_block);
MUST_CHECK SLEEPS i64 futex_unlock_pi(struct task *task, uaddr at, bool is_shared);
/* Wake sleepers of a word of the task's own memory, shared or not; faults are ignored
 * (clear_child_tid). */
SLEEPS void futex_wake_any(struct task *task, uaddr at, u32 count);
/* The task ends or execs: its robust list, and priority-inheriting locks that it holds. */
SLEEPS void futex_exit_robust(struct task *task);
u32 futex_waiter_count(const struct futex_table *table);
