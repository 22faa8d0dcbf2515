/* SPDX-License-Identifier: Apache-2.0 */
/*
 * futex(2): sleepers in buckets by key, oldest first. A sleeper lives on its fiber's stack and
 * unwinds when it is interrupted; only one that was chosen by a waker before that returns 0. A word
 * is read and a sleeper added without a sleep between, so no wake-up is lost.
 */
#include "sentry/kernel/futex.h"

#include "abi/errno.h"
#include "abi/process.h"
#include "base/hash.h"
#include "sentry/kernel/futex_internal.h"
#include "sentry/kernel/task.h"

int futex_table_create(struct kernel *kernel, struct futex_table **out)
{
    struct futex_table *table = arena_alloc(kernel->arena, sizeof *table);
    if (!table)
        return -ENOMEM;
    table->arena = kernel->arena;
    for (u32 i = 0; i < FUTEX_BUCKETS; i++)
        list_init(&table->buckets[i]);
    *out = table;
    return 0;
}

void futex_table_destroy(struct futex_table *table)
{
    ASSERT(table->waiter_count == 0);
    arena_free(table->arena, table, sizeof *table);
}

u32 futex_waiter_count(const struct futex_table *table)
{
    return table->waiter_count;
}

struct list *futex_bucket(struct futex_table *table, const struct futex_key *key)
{
    return &table->buckets[hash_u64(key->object * 31 + key->offset) % FUTEX_BUCKETS];
}

void futex_waiter_add(struct futex_table *table, struct futex_waiter *waiter)
{
    list_add_tail(futex_bucket(table, &waiter->key), &waiter->link);
    table->waiter_count++;
    table->pi_count += waiter->is_pi;
}

void futex_waiter_remove(struct futex_table *table, struct futex_waiter *waiter)
{
    if (!list_is_linked(&waiter->link))
        return;
    list_remove(&waiter->link);
    table->waiter_count--;
    table->pi_count -= waiter->is_pi;
}

void futex_waiter_wake(struct futex_table *table, struct futex_waiter *waiter)
{
    futex_waiter_remove(table, waiter);
    waiter->is_chosen = true;
    fiber_wake(&waiter->task->fiber);
}

int futex_word(struct task *task, uaddr at, bool is_shared, bool for_write, u32 **word,
               struct futex_key *key)
{
    if (at.value % sizeof(u32))
        return -EINVAL;
    return mm_futex_word(task->mm, &task->fiber, at, is_shared, for_write, word, key);
}

/* ---- wait and wake -------------------------------------------------------------------------- */

SLEEPS static i64 block_on(struct task *task, struct futex_waiter *waiter, u64 deadline_ns)
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
    /* A pause has the call made again, which would wait where nobody wakes it any more, or miss a
     * wake-up that came in between: it returns for nothing, as futex(2) says it may. */
    if (err == -ERESTARTSYS && waiter->is_moved && kernel_is_paused_for(task->kernel, task))
        return 0;
    return waiter->is_chosen ? 0 : err;
}

SLEEPS i64 futex_wait(struct task *task, uaddr at, bool is_shared, u32 value, u32 bitset,
                      u64 deadline_ns)
{
    if (bitset == 0)
        return -EINVAL;
    struct futex_waiter waiter = {.task = task, .at = at, .bitset = bitset, .is_shared = is_shared};
    u32 *word;
    int err = futex_word(task, at, is_shared, false, &word, &waiter.key);
    if (err)
        return err;
    if (__atomic_load_n(word, __ATOMIC_SEQ_CST) != value)
        return -EAGAIN;
    return block_on(task, &waiter, deadline_ns);
}

/* The first of COUNT waiters that was chosen, or COUNT. */
static u32 first_chosen(const struct futex_waiter *waiters, u32 count)
{
    u32 i = 0;
    while (i < count && !waiters[i].is_chosen)
        i++;
    return i;
}

/* Words are looked at and sleepers added one by one: a waker may find the first while the last
 * one's page is being fetched. */
SLEEPS static int add_many(struct task *task, const struct futex_wait_item *items,
                           struct futex_waiter *waiters, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        struct futex_waiter *waiter = &waiters[i];
        *waiter = (struct futex_waiter){.task = task,
                                        .at = items[i].at,
                                        .bitset = LINUX_FUTEX_BITSET_ANY,
                                        .is_shared = items[i].is_shared};
        u32 *word;
        int err = futex_word(task, waiter->at, waiter->is_shared, false, &word, &waiter->key);
        if (err)
            return err;
        if (__atomic_load_n(word, __ATOMIC_SEQ_CST) != items[i].value)
            return -EAGAIN;
        futex_waiter_add(task->kernel->futexes, waiter);
    }
    return 0;
}

SLEEPS i64 futex_wait_many(struct task *task, const struct futex_wait_item *items, u32 count,
                           u64 deadline_ns)
{
    ASSERT(count > 0 && count <= FUTEX_WAIT_MANY_MAX);
    size_t size = count * sizeof(struct futex_waiter);
    struct futex_waiter *waiters = arena_alloc(task->kernel->arena, size); /* zeroed */
    if (!waiters)
        return -ENOMEM;
    int err = add_many(task, items, waiters, count);
    while (!err && first_chosen(waiters, count) == count) {
        fiber_prepare(&task->fiber);
        err = fiber_block(&task->fiber, deadline_ns, true);
    }
    for (u32 i = 0; i < count; i++)
        futex_waiter_remove(task->kernel->futexes, &waiters[i]);
    u32 chosen = first_chosen(waiters, count);
    arena_free(task->kernel->arena, waiters, size);
    return chosen < count ? (i64)chosen : err;
}

static u32 wake_key(struct futex_table *table, const struct futex_key *key, u32 count, u32 bitset)
{
    struct futex_waiter *waiter, *next;
    u32 woken = 0;
    list_for_each_safe (waiter, next, futex_bucket(table, key), link) {
        if (woken == count)
            break;
        if (waiter->is_pi || !futex_key_is_equal(&waiter->key, key) || !(waiter->bitset & bitset))
            continue;
        futex_waiter_wake(table, waiter);
        woken++;
    }
    return woken;
}

static bool has_pi_waiter(struct futex_table *table, const struct futex_key *key)
{
    struct futex_waiter *waiter;
    list_for_each (waiter, futex_bucket(table, key), link)
        if (waiter->is_pi && futex_key_is_equal(&waiter->key, key))
            return true;
    return false;
}

SLEEPS i64 futex_wake(struct task *task, uaddr at, bool is_shared, u32 count, u32 bitset)
{
    if (bitset == 0)
        return -EINVAL;
    u32 *word;
    struct futex_key key;
    int err = futex_word(task, at, is_shared, false, &word, &key);
    if (err)
        return err;
    struct futex_table *table = task->kernel->futexes;
    if (table->pi_count > 0 && has_pi_waiter(table, &key))
        return -EINVAL;
    return wake_key(table, &key, count, bitset);
}

SLEEPS void futex_wake_any(struct task *task, uaddr at, u32 count)
{
    u32 *word;
    struct futex_key key;
    struct futex_table *table = task->kernel->futexes;
    if (futex_word(task, at, true, false, &word, &key) == 0)
        wake_key(table, &key, count, LINUX_FUTEX_BITSET_ANY);
    if (futex_word(task, at, false, false, &word, &key) == 0)
        wake_key(table, &key, count, LINUX_FUTEX_BITSET_ANY);
}

/* ---- requeue -------------------------------------------------------------------------------- */

static u32 move_waiters(struct futex_table *table, const struct futex_key *from,
                        const struct futex_key *to, u32 count)
{
    struct futex_waiter *waiter, *next;
    struct list moved;
    list_init(&moved);
    u32 moved_count = 0;
    list_for_each_safe (waiter, next, futex_bucket(table, from), link) {
        if (moved_count == count)
            break;
        if (waiter->is_pi || !futex_key_is_equal(&waiter->key, from))
            continue;
        list_remove(&waiter->link);
        waiter->key = *to;
        waiter->is_moved = true;
        list_add_tail(&moved, &waiter->link);
        moved_count++;
    }
    list_splice_tail(futex_bucket(table, to), &moved);
    return moved_count;
}

SLEEPS i64 futex_requeue(struct task *task, const struct futex_requeue *request)
{
    if ((i32)request->wake_count < 0 || (i32)request->move_count < 0)
        return -EINVAL;
    u32 *word;
    struct futex_key from, to;
    int err = futex_word(task, request->from, request->is_shared, false, &word, &from);
    if (!err)
        err = futex_word(task, request->to, request->is_to_shared, false, &word, &to);
    if (!err) /* again, for the word: its page may have gone while the other came */
        err = futex_word(task, request->from, request->is_shared, false, &word, &from);
    if (err)
        return err;
    if (request->has_value && __atomic_load_n(word, __ATOMIC_SEQ_CST) != request->value)
        return -EAGAIN;
    struct futex_table *table = task->kernel->futexes;
    u32 woken = wake_key(table, &from, request->wake_count, LINUX_FUTEX_BITSET_ANY);
    return woken + move_waiters(table, &from, &to, request->move_count);
}

/* ---- wake and operate ----------------------------------------------------------------------- */

/* FUTEX_OP(): what becomes of the old value; false for an operation that is not there. */
static bool apply_op(u32 op, u32 old, u32 argument, u32 *result)
{
    switch (op) {
    case 0:
        *result = argument;
        return true;
    case 1:
        *result = old + argument;
        return true;
    case 2:
        *result = old | argument;
        return true;
    case 3:
        *result = old & ~argument;
        return true;
    case 4:
        *result = old ^ argument;
        return true;
    default:
        return false;
    }
}

static int compare_op(u32 op, i32 old, i32 argument)
{
    switch (op) {
    case 0:
        return old == argument;
    case 1:
        return old != argument;
    case 2:
        return old < argument;
    case 3:
        return old <= argument;
    case 4:
        return old > argument;
    case 5:
        return old >= argument;
    default:
        return -ENOSYS;
    }
}

static i32 sign_extend_12(u32 value)
{
    return (i32)(value << 20) >> 20;
}

SLEEPS i64 futex_wake_op(struct task *task, const struct futex_wake_op *request)
{
    u32 code = request->op >> 28 & 7;
    u32 argument = (u32)sign_extend_12(request->op >> 12 & 0xfff);
    if (request->op >> 31)
        argument = 1u << (argument & 31);
    u32 compare = request->op >> 24 & 15;
    u32 *word, *second;
    struct futex_key first_key, second_key;
    int err = futex_word(task, request->first, request->is_shared, false, &word, &first_key);
    if (!err)
        err = futex_word(task, request->second, request->is_shared, true, &second, &second_key);
    if (err)
        return err;
    u32 old = __atomic_load_n(second, __ATOMIC_SEQ_CST), next;
    do {
        if (!apply_op(code, old, argument, &next))
            return -ENOSYS;
    } while (!__atomic_compare_exchange_n(second, &old, next, false, __ATOMIC_SEQ_CST,
                                          __ATOMIC_SEQ_CST));
    int holds = compare_op(compare, (i32)old, sign_extend_12(request->op & 0xfff));
    if (holds < 0)
        return holds;
    struct futex_table *table = task->kernel->futexes;
    u32 woken = wake_key(table, &first_key, request->first_count, LINUX_FUTEX_BITSET_ANY);
    if (holds)
        woken += wake_key(table, &second_key, request->second_count, LINUX_FUTEX_BITSET_ANY);
    return woken;
}
