/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks that know their holder: priority-inheriting futexes (priorities have no effect here, so it
 * is a fair queue) and the robust list of a task that ends (get_robust_list(2)).
 */
#include "abi/errno.h"
#include "abi/process.h"
#include "sentry/kernel/futex_internal.h"
#include "sentry/kernel/task.h"

static bool exchange(u32 *word, u32 *expected, u32 desired)
{
    return __atomic_compare_exchange_n(word, expected, desired, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

static struct futex_waiter *first_pi_waiter(struct futex_table *table, const struct futex_key *key)
{
    struct futex_waiter *waiter;
    list_for_each (waiter, futex_bucket(table, key), link)
        if (waiter->is_pi && futex_key_is_equal(&waiter->key, key))
            return waiter;
    return NULL;
}

/* ---- lock ----------------------------------------------------------------------------------- */

/* 0: the lock is TASK's. -EAGAIN: the word changed, look again. -EBUSY: held, and marked so that
 * its holder calls. */
static int try_lock(struct task *task, u32 *word, u32 value, bool may_mark)
{
    u32 owner = value & LINUX_FUTEX_TID_MASK;
    if (owner == task->tid)
        return -EDEADLK;
    if (owner == 0) {
        u32 next = task->tid | (value & (LINUX_FUTEX_OWNER_DIED | LINUX_FUTEX_WAITERS));
        return exchange(word, &value, next) ? 0 : -EAGAIN;
    }
    const struct task *holder = task_find(task->pid->ns, owner);
    if (!holder || holder->phase >= PHASE_EXIT)
        return -ESRCH;
    if (!may_mark)
        return -EBUSY;
    return exchange(word, &value, value | LINUX_FUTEX_WAITERS) ? -EBUSY : -EAGAIN;
}

SLEEPS static i64 block_for_lock(struct task *task, struct futex_waiter *waiter, u64 deadline_ns)
{
    struct futex_table *table = task->kernel->futexes;
    fiber_prepare(&task->fiber);
    futex_waiter_add(table, waiter);
    int err = 0;
    while (!waiter->is_chosen && err == 0) {
        err = fiber_block(&task->fiber, deadline_ns, true);
        if (err == 0 && !waiter->is_chosen)
            fiber_prepare(&task->fiber);
    }
    futex_waiter_remove(table, waiter);
    return waiter->is_chosen ? 0 : err;
}

SLEEPS i64 futex_lock_pi(struct task *task, uaddr at, bool is_shared, u64 deadline_ns,
                         bool may_block)
{
    for (;;) {
        struct futex_waiter waiter = {
            .task = task, .at = at, .is_shared = is_shared, .is_pi = true};
        u32 *word;
        int err = futex_word(task, at, is_shared, true, &word, &waiter.key);
        if (err)
            return err;
        u32 value = __atomic_load_n(word, __ATOMIC_SEQ_CST);
        err = try_lock(task, word, value, may_block);
        if (err == -EAGAIN)
            continue;
        if (err != -EBUSY)
            return err;
        if (!may_block)
            return -EAGAIN;
        waiter.owner = value & LINUX_FUTEX_TID_MASK;
        return block_for_lock(task, &waiter, deadline_ns);
    }
}

/* ---- unlock --------------------------------------------------------------------------------- */

/* The lock's word goes to the oldest waiter; FLAGS are kept in it. */
static void hand_over(struct futex_table *table, struct futex_waiter *waiter, u32 *word, u32 flags)
{
    const struct futex_key key = waiter->key;
    u32 tid = waiter->task->tid;
    futex_waiter_wake(table, waiter);
    struct futex_waiter *next;
    bool has_more = false;
    list_for_each (next, futex_bucket(table, &key), link) {
        if (!next->is_pi || !futex_key_is_equal(&next->key, &key))
            continue;
        next->owner = tid;
        has_more = true;
    }
    __atomic_store_n(word, tid | flags | (has_more ? LINUX_FUTEX_WAITERS : 0), __ATOMIC_SEQ_CST);
}

SLEEPS i64 futex_unlock_pi(struct task *task, uaddr at, bool is_shared)
{
    struct futex_table *table = task->kernel->futexes;
    u32 *word;
    struct futex_key key;
    int err = futex_word(task, at, is_shared, true, &word, &key);
    if (err)
        return err;
    u32 value = __atomic_load_n(word, __ATOMIC_SEQ_CST);
    do {
        if ((value & LINUX_FUTEX_TID_MASK) != task->tid)
            return -EPERM;
        struct futex_waiter *waiter = first_pi_waiter(table, &key);
        if (waiter) {
            hand_over(table, waiter, word, 0);
            return 0;
        }
    } while (!exchange(word, &value, 0));
    return 0;
}

/* ---- ends ----------------------------------------------------------------------------------- */

static struct futex_waiter *find_waiter_for(struct futex_table *table, const struct task *holder)
{
    for (u32 i = 0; i < FUTEX_BUCKETS; i++) {
        struct futex_waiter *waiter;
        list_for_each (waiter, &table->buckets[i], link)
            if (waiter->is_pi && waiter->owner == task_tid_in(holder, waiter->task->pid->ns))
                return waiter;
    }
    return NULL;
}

/* Whoever waits for a lock of TASK gets it, marked. */
SLEEPS static void release_pi_locks(struct task *task)
{
    struct futex_table *table = task->kernel->futexes;
    while (table->pi_count > 0) {
        struct futex_waiter *waiter = find_waiter_for(table, task);
        if (!waiter)
            return;
        AUTO_PUT struct mm *mm = REF_GET(waiter->task->mm);
        u32 *word;
        struct futex_key key;
        if (mm_futex_word(mm, &task->fiber, waiter->at, waiter->is_shared, true, &word, &key)) {
            waiter = find_waiter_for(table, task);
            if (waiter)
                waiter->owner = 0; /* its memory is gone: it will wait for ever, as on Linux */
            continue;
        }
        waiter = first_pi_waiter(table, &key);
        if (!waiter)
            continue;
        hand_over(table, waiter, word, LINUX_FUTEX_OWNER_DIED);
    }
}

/* One entry of the list: its futex is told that the owner died. */
SLEEPS static void bury_entry(struct task *task, uaddr at, bool is_pi, bool is_pending)
{
    struct futex_table *table = task->kernel->futexes;
    u32 *word;
    struct futex_key key;
    if (futex_word(task, at, true, true, &word, &key))
        return;
    u32 value = __atomic_load_n(word, __ATOMIC_SEQ_CST);
    for (;;) {
        if (is_pending && !is_pi && value == 0) {
            futex_wake_any(task, at, 1);
            return;
        }
        if ((value & LINUX_FUTEX_TID_MASK) != task->tid)
            return;
        struct futex_waiter *waiter = is_pi ? first_pi_waiter(table, &key) : NULL;
        if (waiter)
            return; /* release_pi_locks hands it over */
        if (exchange(word, &value, (value & LINUX_FUTEX_WAITERS) | LINUX_FUTEX_OWNER_DIED))
            break;
    }
    if (!is_pi && value & LINUX_FUTEX_WAITERS)
        futex_wake_any(task, at, 1);
}

SLEEPS static void walk_robust_list(struct task *task)
{
    struct linux_robust_list_head head;
    uaddr at = task->robust_list;
    if (at.value == 0 || copy_from_user(task, &head, at, sizeof head))
        return;
    u64 pending = head.list_op_pending;
    u64 entry = head.list;
    u64 offset = (u64)head.futex_offset;
    for (u32 i = 0; i < LINUX_ROBUST_LIST_MAX && (entry & ~1ull) != at.value; i++) {
        u64 next;
        bool is_readable = copy_from_user(task, &next, uaddr_make(entry & ~1ull), sizeof next) == 0;
        if (entry != pending)
            bury_entry(task, uaddr_make((entry & ~1ull) + offset), entry & 1, false);
        if (!is_readable)
            break;
        entry = next;
        fiber_relax(&task->fiber);
    }
    if (pending & ~1ull)
        bury_entry(task, uaddr_make((pending & ~1ull) + offset), pending & 1, true);
}

SLEEPS void futex_exit_robust(struct task *task)
{
    walk_robust_list(task);
    task->robust_list = uaddr_make(0);
    release_pi_locks(task);
}
