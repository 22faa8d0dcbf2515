/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epoll(7). An item watches one (file, descriptor number). Its waiters sit on the file's queues and
 * put it on the ready list; epoll_wait asks the file again before it reports, so a stale wake-up is
 * harmless. Weak side: an item does not hold its file; the file's end takes the item away
 * (epoll_forget_file).
 */
#include <errno.h>
#include <fcntl.h>

#include "base/fields.h"
#include "base/state.h"
#include "sentry/fs/poll.h"

#define EPOLL_ET 0x80000000u
#define EPOLL_ONESHOT 0x40000000u
#define EPOLL_WAKEUP 0x20000000u
#define EPOLL_EXCLUSIVE 0x10000000u
#define EPOLL_PRIVATE (EPOLL_ET | EPOLL_ONESHOT | EPOLL_WAKEUP | EPOLL_EXCLUSIVE)
#define EPOLL_EXCLUSIVE_OK                                                                  \
    (EPOLL_EXCLUSIVE | EPOLL_ET | EPOLL_WAKEUP | POLL_IN | POLL_OUT | POLL_ERR | POLL_HUP | \
     POLL_RDNORM | POLL_WRNORM)
#define EPOLL_CTL_ADD_OP 1
#define EPOLL_CTL_DEL_OP 2
#define EPOLL_CTL_MOD_OP 3
#define NESTING_MAX 5u

struct epoll {
    struct object object;
    struct kernel *kernel;
    struct list items; /* struct epoll_item.link, in order of addition; owned */
    struct list ready; /* struct epoll_item.ready_link */
    struct file *file; /* weak: the description that shows this epoll */
    bool is_armed;     /* waiters are in place; false after a load */
    struct wait_queue changed;
};

struct epoll_item {
    struct object object;
    struct list link;
    struct list ready_link;
    struct list file_link; /* file->epoll_links */
    struct epoll *epoll;   /* weak */
    struct file *file;     /* weak */
    i32 fd;
    u32 events;       /* wanted, with EPOLL_ET and EPOLL_ONESHOT */
    bool is_disabled; /* a one-shot that has fired */
    u64 data;
    struct list waiters; /* struct item_waiter.link */
    struct task *task;   /* counted: who added it */
};

struct item_waiter {
    struct list link;
    struct waiter waiter;
};

static const struct field epoll_item_fields[] = {
    FIELD_NONE(struct epoll_item, object, "the walker's own header"),
    FIELD_NONE(struct epoll_item, link, "the epoll's list"),
    FIELD_NONE(struct epoll_item, ready_link, "derived: every item is asked after a load"),
    FIELD_NONE(struct epoll_item, file_link, "derived from file"),
    FIELD_WEAK(struct epoll_item, epoll, struct epoll),
    FIELD_WEAK(struct epoll_item, file, struct file),
    FIELD(struct epoll_item, fd),
    FIELD(struct epoll_item, events),
    FIELD(struct epoll_item, is_disabled),
    FIELD(struct epoll_item, data),
    FIELD_NONE(struct epoll_item, waiters, "derived"),
    FIELD_REF(struct epoll_item, task, struct task),
    FIELD_END,
};
FIELDS_COMPLETE(struct epoll_item, epoll_item_fields);

static const struct field epoll_fields[] = {
    FIELD_NONE(struct epoll, object, "the walker's own header"),
    FIELD_NONE(struct epoll, kernel, "the kernel that loads it"),
    FIELD_LIST(struct epoll, items, struct epoll_item, link, true),
    FIELD_NONE(struct epoll, ready, "derived: every item is asked after a load"),
    FIELD_WEAK(struct epoll, file, struct file),
    FIELD_NONE(struct epoll, is_armed, "derived"),
    FIELD_NONE(struct epoll, changed, "a sleeper starts its system call again"),
    FIELD_END,
};
FIELDS_COMPLETE(struct epoll, epoll_fields);

extern const struct file_ops epoll_ops;

static struct epoll *epoll_of(const struct file *file)
{
    return container_of(file->private_object, struct epoll, object);
}

bool file_is_epoll(const struct file *file)
{
    return file->ops == &epoll_ops;
}

const struct file *epoll_watched(const struct file *epoll, i32 fd, u32 skip)
{
    const struct epoll_item *item;
    list_for_each (item, &epoll_of(epoll)->items, link)
        if (item->fd == fd && skip-- == 0)
            return item->file;
    return NULL;
}

/* ---- items ---------------------------------------------------------------------------------- */

static void item_make_ready(struct epoll_item *item)
{
    if (!list_is_linked(&item->ready_link))
        list_add_tail(&item->epoll->ready, &item->ready_link);
    wake_up(&item->epoll->changed, POLL_IN | POLL_RDNORM);
}

static void item_woken(struct waiter *waiter, u32 events)
{
    struct epoll_item *item = waiter->owner;
    if (item->is_disabled)
        return;
    u32 wanted = (item->events & ~EPOLL_PRIVATE) | POLL_ERR | POLL_HUP;
    if (events & wanted)
        item_make_ready(item);
}

static int item_add_queue(struct poll_table *table, struct file *file, struct wait_queue *queue)
{
    struct epoll_item *item = table->owner;
    struct item_waiter *entry = arena_alloc(item->object.arena, sizeof *entry);
    if (!entry)
        return -ENOMEM;
    waiter_init(&entry->waiter, WAKE_ALL_EVENTS, item_woken, item);
    wait_queue_add(queue, &entry->waiter);
    list_add_tail(&item->waiters, &entry->link);
    return 0;
}

static void item_disarm(struct epoll_item *item)
{
    if (item->waiters.next == NULL)
        return;
    struct item_waiter *entry, *next;
    list_for_each_safe (entry, next, &item->waiters, link) {
        list_remove(&entry->link);
        wait_queue_remove(&entry->waiter);
        arena_free(item->object.arena, entry, sizeof *entry);
    }
}

/* What is ready of what is wanted, without registering. */
static u32 item_ask(struct epoll_item *item)
{
    if (item->is_disabled)
        return 0;
    struct poll_table ask;
    poll_table_ask(&ask, item->task);
    return file_poll(item->file, &ask) & ((item->events & ~EPOLL_PRIVATE) | POLL_ERR | POLL_HUP);
}

static void item_arm(struct epoll_item *item)
{
    list_init(&item->waiters);
    list_init(&item->ready_link);
    struct poll_table table = {.add = item_add_queue, .owner = item, .task = item->task};
    file_poll(item->file, &table);
    if (item_ask(item))
        item_make_ready(item);
}

static void item_remove(struct epoll_item *item)
{
    item_disarm(item);
    list_remove(&item->ready_link);
    list_remove(&item->file_link);
    list_remove(&item->link);
    object_put(&item->object);
}

static void item_destroy(struct object *object)
{
    REF_CLEAR(container_of(object, struct epoll_item, object)->task);
}

const struct kind epoll_item_kind = {.name = "epoll_item",
                                     .size = sizeof(struct epoll_item),
                                     .fields = epoll_item_fields,
                                     .destroy = item_destroy};

static struct epoll_item *epoll_find(struct epoll *epoll, const struct file *file, i32 fd)
{
    struct epoll_item *item;
    list_for_each (item, &epoll->items, link)
        if (item->file == file && item->fd == fd)
            return item;
    return NULL;
}

void epoll_forget_file(struct file *file)
{
    if (file->epoll_links.next == NULL)
        return;
    struct epoll_item *item, *next;
    list_for_each_safe (item, next, &file->epoll_links, file_link)
        item_remove(item);
}

/* ---- the epoll ------------------------------------------------------------------------------ */

static void epoll_destroy(struct object *object)
{
    struct epoll *epoll = container_of(object, struct epoll, object);
    struct epoll_item *item, *next;
    list_for_each_safe (item, next, &epoll->items, link)
        item_remove(item);
}

static int epoll_loaded(struct object *object, struct state_reader *reader)
{
    struct epoll *epoll = container_of(object, struct epoll, object);
    epoll->kernel = state_reader_kernel(reader);
    list_init(&epoll->ready);
    struct epoll_item *item;
    list_for_each (item, &epoll->items, link) {
        list_init(&item->ready_link);
        list_init(&item->waiters);
        if (item->file->epoll_links.next == NULL)
            list_init(&item->file->epoll_links);
        list_add_tail(&item->file->epoll_links, &item->file_link);
    }
    return 0;
}

const struct kind epoll_kind = {.name = "epoll",
                                .size = sizeof(struct epoll),
                                .fields = epoll_fields,
                                .destroy = epoll_destroy,
                                .loaded = epoll_loaded};

/* After a load the files' queues exist only now: hang the waiters in at the first use. */
static void epoll_arm(struct epoll *epoll)
{
    if (epoll->is_armed)
        return;
    epoll->is_armed = true;
    struct epoll_item *item;
    list_for_each (item, &epoll->items, link)
        item_arm(item);
}

static u32 epoll_poll(struct file *file, struct poll_table *table)
{
    struct epoll *epoll = epoll_of(file);
    epoll_arm(epoll);
    poll_add(table, file, &epoll->changed);
    struct epoll_item *item, *next;
    list_for_each_safe (item, next, &epoll->ready, ready_link) {
        if (item_ask(item))
            return POLL_IN | POLL_RDNORM;
        list_remove(&item->ready_link);
    }
    return 0;
}

static int epoll_show_info(struct file *file, struct buf *out)
{
    struct epoll_item *item;
    list_for_each (item, &epoll_of(file)->items, link) {
        int err = buf_printf(out, "tfd: %8d events: %8x data: %16llx\n", item->fd, item->events,
                             (unsigned long long)item->data);
        if (err)
            return err;
    }
    return 0;
}

const struct file_ops epoll_ops = {.poll = epoll_poll, .show_info = epoll_show_info};

int epoll_create_file(struct kernel *kernel, u32 flags, struct file **out)
{
    struct epoll *epoll = object_create(kernel->arena, &epoll_kind);
    if (!epoll)
        return -ENOMEM;
    epoll->kernel = kernel;
    epoll->is_armed = true;
    list_init(&epoll->items);
    list_init(&epoll->ready);
    int err = file_create_anon(kernel, "anon_inode:[eventpoll]", &epoll_ops, &epoll->object, O_RDWR,
                               0600, out);
    if (err)
        return err;
    epoll->file = *out;
    return 0;
}

/* Does WHERE watch WANTED, directly or through other epolls? Depths over the limit count as yes. */
static bool epoll_reaches(const struct epoll *where, const struct epoll *wanted, u32 depth)
{
    if (where == wanted || depth > NESTING_MAX)
        return true;
    struct epoll_item *item;
    list_for_each (item, &where->items, link)
        if (file_is_epoll(item->file) && epoll_reaches(epoll_of(item->file), wanted, depth + 1))
            return true;
    return false;
}

static int epoll_add(struct task *task, struct epoll *epoll, i32 fd, struct file *target,
                     const struct linux_epoll_event *event)
{
    if (epoll_find(epoll, target, fd))
        return -EEXIST;
    if (file_is_epoll(target) && epoll_reaches(epoll_of(target), epoll, 1))
        return -ELOOP;
    struct epoll_item *item = object_create(task->kernel->arena, &epoll_item_kind);
    if (!item)
        return -ENOMEM;
    item->epoll = epoll;
    item->file = target;
    item->fd = fd;
    item->events = event->events;
    item->data = event->data;
    item->task = REF_GET(task);
    list_add_tail(&epoll->items, &item->link);
    if (target->epoll_links.next == NULL)
        list_init(&target->epoll_links);
    list_add_tail(&target->epoll_links, &item->file_link);
    item_arm(item);
    return 0;
}

static int epoll_modify(struct epoll_item *item, const struct linux_epoll_event *event)
{
    if ((item->events | event->events) & EPOLL_EXCLUSIVE)
        return -EINVAL;
    item->events = event->events;
    item->data = event->data;
    item->is_disabled = false;
    if (item_ask(item))
        item_make_ready(item);
    return 0;
}

/* Files that are always ready cannot be watched: regular files and directories. */
static bool can_be_watched(const struct file *file)
{
    return file->ops->poll != NULL;
}

int epoll_control(struct task *task, struct file *file, i32 op, i32 fd, struct file *target,
                  const struct linux_epoll_event *event)
{
    if (!can_be_watched(target))
        return -EPERM;
    if (!file_is_epoll(file) || target == file)
        return -EINVAL;
    struct epoll *epoll = epoll_of(file);
    epoll_arm(epoll);
    if (op != EPOLL_CTL_DEL_OP && (event->events & EPOLL_EXCLUSIVE)) {
        if (op == EPOLL_CTL_MOD_OP || file_is_epoll(target) ||
            (event->events & ~EPOLL_EXCLUSIVE_OK))
            return -EINVAL;
    }
    struct epoll_item *item = epoll_find(epoll, target, fd);
    switch (op) {
    case EPOLL_CTL_ADD_OP:
        return epoll_add(task, epoll, fd, target, event);
    case EPOLL_CTL_MOD_OP:
        return item ? epoll_modify(item, event) : -ENOENT;
    case EPOLL_CTL_DEL_OP:
        if (!item)
            return -ENOENT;
        item_remove(item);
        return 0;
    default:
        return -EINVAL;
    }
}

/* Report what is ready now. A level-triggered item stays on the list, behind those not yet
 * reported. */
static u32 epoll_collect(struct epoll *epoll, struct linux_epoll_event *events, u32 count)
{
    u32 found = 0;
    struct list again;
    list_init(&again);
    while (found < count && !list_is_empty(&epoll->ready)) {
        struct epoll_item *item = list_first(&epoll->ready, struct epoll_item, ready_link);
        list_remove(&item->ready_link);
        u32 ready = item_ask(item);
        if (!ready)
            continue;
        events[found++] = (struct linux_epoll_event){.events = ready, .data = item->data};
        if (item->events & EPOLL_ONESHOT)
            item->is_disabled = true;
        else if (!(item->events & EPOLL_ET))
            list_add_tail(&again, &item->ready_link);
    }
    list_splice_tail(&epoll->ready, &again);
    return found;
}

SLEEPS i64 epoll_wait_events(struct task *task, struct file *file, struct linux_epoll_event *events,
                             u32 count, u64 deadline_ns, bool may_block)
{
    struct epoll *epoll = epoll_of(file);
    for (;;) {
        epoll_arm(epoll);
        u32 found = epoll_collect(epoll, events, count);
        if (found > 0 || !may_block)
            return found;
        int err = sleep_on(&epoll->changed, task, deadline_ns);
        if (err == -ETIMEDOUT)
            return epoll_collect(epoll, events, count);
        if (err)
            return err;
    }
}
