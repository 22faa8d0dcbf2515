/* SPDX-License-Identifier: Apache-2.0 */
/* A fiber's registrations on the wait queues of several files. Each wake-up wakes the fiber, which
 * asks again. */
#include "sentry/fs/poll.h"

#include <errno.h>

struct poll_entry {
    struct list link;
    struct waiter waiter;
    struct file *file; /* counted: its queue must outlive the waiter */
};

static int poll_wait_add(struct poll_table *table, struct file *file, struct wait_queue *queue)
{
    struct poll_wait *wait = table->owner;
    struct arena *arena = wait->task->kernel->arena;
    struct poll_entry *entry = arena_alloc(arena, sizeof *entry);
    if (!entry)
        return -ENOMEM;
    entry->file = REF_GET(file);
    waiter_init_fiber(&entry->waiter, &wait->task->fiber);
    wait_queue_add(queue, &entry->waiter);
    list_add_tail(&wait->entries, &entry->link);
    return 0;
}

static int poll_ask_only(struct poll_table *table, struct file *file, struct wait_queue *queue)
{
    return 0;
}

void poll_table_ask(struct poll_table *table, struct task *task)
{
    *table = (struct poll_table){.add = poll_ask_only, .task = task};
}

void poll_wait_init(struct poll_wait *wait, struct task *task)
{
    wait->table = (struct poll_table){.add = poll_wait_add, .owner = wait, .task = task};
    wait->task = task;
    list_init(&wait->entries);
}

void poll_wait_fini(struct poll_wait *wait)
{
    struct poll_entry *entry, *next;
    list_for_each_safe (entry, next, &wait->entries, link) {
        list_remove(&entry->link);
        wait_queue_remove(&entry->waiter);
        REF_PUT(entry->file);
        arena_free(wait->task->kernel->arena, entry, sizeof *entry);
    }
}
