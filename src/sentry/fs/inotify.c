/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inotify(7). An instance owns its watches and its queue; an inode knows its watches weakly. A
 * watch holds the dentry it was made on, so that the inode a later walk finds is the one that is
 * watched; the end of a file system takes its watches away first.
 */
#include "sentry/fs/inotify.h"

#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "base/fields.h"
#include "base/state.h"
#include "sentry/fs/poll.h"
#include "sentry/fs/vfs.h"
#include "sentry/kernel/kernel.h"

#define WATCHES_MAX 65536u /* of one instance */
#define EVENTS_MAX 16384u  /* then one that says that some are lost */

struct linux_inotify_event {
    i32 wd;
    u32 mask, cookie, name_size;
};
_Static_assert(sizeof(struct linux_inotify_event) == 16, "inotify_event");

struct inotify {
    struct object object;
    struct list watches; /* struct inotify_watch.link, owned, by number */
    struct list events;  /* struct inotify_queued.link, owned, oldest first */
    u32 watch_count, event_count;
    u64 event_bytes; /* FIONREAD */
    i32 wd_last;
    struct wait_queue changed;
};

struct inotify_watch {
    struct object object;
    struct list link;
    struct list inode_link;  /* struct inotify_list.watches */
    struct inotify *inotify; /* weak: it owns us */
    struct dentry *dentry;   /* counted */
    i32 wd;
    u32 mask;
};

struct inotify_queued {
    struct object object;
    struct list link;
    i32 wd;
    u32 mask, cookie;
    char *name; /* or NULL */
};

/* inode->watches. */
struct inotify_list {
    struct object object;
    struct list watches; /* struct inotify_watch.inode_link, weak */
};

/* ---- kinds --------------------------------------------------------------------------------- */

static void queued_destroy(struct object *object)
{
    struct inotify_queued *event = container_of(object, struct inotify_queued, object);
    arena_free_string(object->arena, event->name);
}

static const struct field inotify_queued_fields[] = {
    FIELD_NONE(struct inotify_queued, object, "the walker's own header"),
    FIELD_NONE(struct inotify_queued, link, "the queue"),
    FIELD(struct inotify_queued, wd),
    FIELD(struct inotify_queued, mask),
    FIELD(struct inotify_queued, cookie),
    FIELD_STRING(struct inotify_queued, name),
    FIELD_END,
};
FIELDS_COMPLETE(struct inotify_queued, inotify_queued_fields);

const struct kind inotify_queued_kind = {.name = "inotify_queued",
                                         .size = sizeof(struct inotify_queued),
                                         .fields = inotify_queued_fields,
                                         .destroy = queued_destroy};

static void watch_destroy(struct object *object)
{
    struct inotify_watch *watch = container_of(object, struct inotify_watch, object);
    list_remove(&watch->inode_link);
    REF_CLEAR(watch->dentry);
}

static const struct field inotify_watch_fields[] = {
    FIELD_NONE(struct inotify_watch, object, "the walker's own header"),
    FIELD_NONE(struct inotify_watch, link, "the instance's list"),
    FIELD_NONE(struct inotify_watch, inode_link, "the inode's list"),
    FIELD_WEAK(struct inotify_watch, inotify, struct inotify),
    FIELD_REF(struct inotify_watch, dentry, struct dentry),
    FIELD(struct inotify_watch, wd),
    FIELD(struct inotify_watch, mask),
    FIELD_END,
};
FIELDS_COMPLETE(struct inotify_watch, inotify_watch_fields);

const struct kind inotify_watch_kind = {.name = "inotify_watch",
                                        .size = sizeof(struct inotify_watch),
                                        .fields = inotify_watch_fields,
                                        .destroy = watch_destroy};

static const struct field inotify_list_fields[] = {
    FIELD_NONE(struct inotify_list, object, "the walker's own header"),
    FIELD_LIST(struct inotify_list, watches, struct inotify_watch, inode_link, false),
    FIELD_END,
};
FIELDS_COMPLETE(struct inotify_list, inotify_list_fields);

static void inode_list_destroy(struct object *object)
{
    ASSERT(list_is_empty(&container_of(object, struct inotify_list, object)->watches));
}

const struct kind inotify_list_kind = {.name = "inotify_list",
                                       .size = sizeof(struct inotify_list),
                                       .fields = inotify_list_fields,
                                       .destroy = inode_list_destroy};

static void watch_drop(struct inotify_watch *watch)
{
    list_remove(&watch->link);
    list_remove(&watch->inode_link);
    watch->inotify->watch_count--;
    REF_PUT(watch);
}

static void event_drop(struct inotify *inotify, struct inotify_queued *event);

static void inotify_destroy(struct object *object)
{
    struct inotify *inotify = container_of(object, struct inotify, object);
    struct inotify_watch *watch, *next_watch;
    list_for_each_safe (watch, next_watch, &inotify->watches, link)
        watch_drop(watch);
    struct inotify_queued *event, *next_event;
    list_for_each_safe (event, next_event, &inotify->events, link)
        event_drop(inotify, event);
}

static const struct field inotify_fields[] = {
    FIELD_NONE(struct inotify, object, "the walker's own header"),
    FIELD_LIST(struct inotify, watches, struct inotify_watch, link, true),
    FIELD_LIST(struct inotify, events, struct inotify_queued, link, true),
    FIELD(struct inotify, watch_count),
    FIELD(struct inotify, event_count),
    FIELD(struct inotify, event_bytes),
    FIELD(struct inotify, wd_last),
    FIELD_NONE(struct inotify, changed, "a sleeper starts its system call again"),
    FIELD_END,
};
FIELDS_COMPLETE(struct inotify, inotify_fields);

const struct kind inotify_kind = {.name = "inotify",
                                  .size = sizeof(struct inotify),
                                  .fields = inotify_fields,
                                  .destroy = inotify_destroy};

/* ---- the queue ----------------------------------------------------------------------------- */

/* With its terminator, in units of the header. */
static u32 padded_name_size(const char *name)
{
    size_t unit = sizeof(struct linux_inotify_event);
    return name ? (u32)ALIGN_UP(strlen(name) + 1, unit) : 0;
}

static u64 event_size(const struct inotify_queued *event)
{
    return sizeof(struct linux_inotify_event) + padded_name_size(event->name);
}

static void event_drop(struct inotify *inotify, struct inotify_queued *event)
{
    inotify->event_bytes -= event_size(event);
    inotify->event_count--;
    list_remove(&event->link);
    REF_PUT(event);
}

static bool is_same(const struct inotify_queued *event, i32 wd, u32 mask, u32 cookie,
                    const char *name)
{
    if (event->wd != wd || event->mask != mask || event->cookie != cookie)
        return false;
    return event->name && name ? strcmp(event->name, name) == 0 : !event->name && !name;
}

/* Who cannot be told for want of memory is told that something is lost, at least. */
static void queue_event(struct inotify *inotify, i32 wd, u32 mask, u32 cookie, const char *name)
{
    if (inotify->event_count >= EVENTS_MAX) {
        wd = -1;
        mask = INOTIFY_Q_OVERFLOW;
        cookie = 0;
        name = NULL;
    }
    if (!list_is_empty(&inotify->events) &&
        is_same(list_last(&inotify->events, struct inotify_queued, link), wd, mask, cookie, name))
        return;
    if (inotify->event_count > EVENTS_MAX)
        return;
    struct arena *arena = inotify->object.arena;
    struct inotify_queued *event = object_create(arena, &inotify_queued_kind);
    if (event && name)
        event->name = arena_strdup(arena, name);
    if (!event || (name && !event->name)) {
        REF_PUT(event);
        return;
    }
    event->wd = wd;
    event->mask = mask;
    event->cookie = cookie;
    list_add_tail(&inotify->events, &event->link);
    inotify->event_count++;
    inotify->event_bytes += event_size(event);
    wake_up(&inotify->changed, POLL_IN | POLL_RDNORM);
}

/* ---- events -------------------------------------------------------------------------------- */

static void watch_end(struct inotify_watch *watch)
{
    queue_event(watch->inotify, watch->wd, INOTIFY_IGNORED, 0, NULL);
    watch_drop(watch);
}

void inotify_event(struct inode *inode, u32 mask, u32 cookie, const char *name)
{
    bool is_unlinked = (mask & NOTIFY_UNLINKED) != 0;
    mask &= ~NOTIFY_UNLINKED;
    struct inotify_watch *watch, *next;
    list_for_each_safe (watch, next, &inode->watches->watches, inode_link) {
        if (!(watch->mask & mask & INOTIFY_ALL_EVENTS))
            continue;
        if (is_unlinked && (watch->mask & INOTIFY_EXCL_UNLINK))
            continue;
        queue_event(watch->inotify, watch->wd, mask, cookie, name);
        if (watch->mask & INOTIFY_ONESHOT)
            watch_end(watch);
    }
}

bool inode_has_watches(const struct inode *inode)
{
    return inode->watches && !list_is_empty(&inode->watches->watches);
}

void inotify_end(struct inode *inode, u32 mask)
{
    if (!inode->watches)
        return;
    AUTO_PUT struct inode *held = REF_GET(inode); /* a watch may be its last user */
    struct list *watches = &inode->watches->watches;
    while (!list_is_empty(watches)) {
        struct inotify_watch *watch = list_first(watches, struct inotify_watch, inode_link);
        u32 told = mask & (watch->mask | INOTIFY_UNMOUNT);
        if (told)
            queue_event(watch->inotify, watch->wd, told, 0, NULL);
        watch_end(watch);
    }
}

/* ---- the file ------------------------------------------------------------------------------ */

static struct inotify *inotify_of(const struct file *file)
{
    return container_of(file->private_object, struct inotify, object);
}

/* One record; the event leaves the queue first: it is lost in bad memory, as on Linux. */
SLEEPS static i64 put_event(struct inotify *inotify, struct uio *uio)
{
    struct inotify_queued *first = list_first(&inotify->events, struct inotify_queued, link);
    AUTO_PUT struct inotify_queued *event = REF_GET(first);
    event_drop(inotify, event);
    char name[NAME_SIZE_MAX + 1 + sizeof(struct linux_inotify_event)] = {0};
    const struct linux_inotify_event head = {
        .wd = event->wd,
        .mask = event->mask,
        .cookie = event->cookie,
        .name_size = padded_name_size(event->name),
    };
    if (event->name)
        memcpy(name, event->name, strlen(event->name));
    i64 moved = uio_put(uio, &head, sizeof head);
    if (moved == (i64)sizeof head && head.name_size > 0)
        moved = uio_put(uio, name, head.name_size) == (i64)head.name_size ? moved : -EFAULT;
    if (moved != (i64)sizeof head)
        return -EFAULT;
    return (i64)(sizeof head + head.name_size);
}

SLEEPS static i64 inotify_read(struct task *task, struct file *file, struct uio *uio, u64 offset)
{
    struct inotify *inotify = inotify_of(file);
    while (list_is_empty(&inotify->events)) {
        if (file->flags & LINUX_O_NONBLOCK)
            return -EAGAIN;
        int err = sleep_on(&inotify->changed, task, NO_DEADLINE);
        if (err)
            return err;
    }
    i64 total = 0;
    while (!list_is_empty(&inotify->events)) {
        const struct inotify_queued *first = list_first(&inotify->events, struct inotify_queued,
                                                        link);
        if (event_size(first) > uio->remaining)
            return total ? total : -EINVAL;
        i64 moved = put_event(inotify, uio);
        if (moved < 0)
            return total ? total : moved;
        total += moved;
    }
    return total;
}

static u32 inotify_poll(struct file *file, struct poll_table *table)
{
    struct inotify *inotify = inotify_of(file);
    poll_add(table, file, &inotify->changed);
    return list_is_empty(&inotify->events) ? 0 : POLL_IN | POLL_RDNORM;
}

SLEEPS static i64 inotify_ioctl(struct task *task, struct file *file, u32 request, u64 arg)
{
    if (request != LINUX_FIONREAD)
        return -ENOTTY;
    i32 bytes = (i32)inotify_of(file)->event_bytes;
    return copy_to_user(task, uaddr_make(arg), &bytes, sizeof bytes);
}

static int inotify_show_info(struct file *file, struct buf *out)
{
    const struct inotify *inotify = inotify_of(file);
    const struct inotify_watch *watch;
    list_for_each (watch, &inotify->watches, link) {
        const struct inode *inode = watch->dentry->inode;
        int err = buf_printf(out, "inotify wd:%d ino:%llx sdev:%x mask:%x ignored_mask:0\n",
                             watch->wd, (unsigned long long)inode->ino,
                             inode->super ? inode->super->dev : 0, watch->mask);
        if (err)
            return err;
    }
    return 0;
}

const struct file_ops inotify_ops = {
    .read = inotify_read,
    .poll = inotify_poll,
    .ioctl = inotify_ioctl,
    .show_info = inotify_show_info,
};

int inotify_create_file(struct kernel *kernel, u32 flags, struct file **out)
{
    struct inotify *inotify = object_create(kernel->arena, &inotify_kind);
    if (!inotify)
        return -ENOMEM;
    list_init(&inotify->watches);
    list_init(&inotify->events);
    return file_create_anon(kernel, "anon_inode:inotify", &inotify_ops, &inotify->object,
                            LINUX_O_RDONLY | (flags & LINUX_O_NONBLOCK), 0600, out);
}

/* ---- watches ------------------------------------------------------------------------------- */

MUST_CHECK static int inode_list(struct inode *inode, struct inotify_list **out)
{
    if (!inode->watches) {
        inode->watches = object_create(inode->object.arena, &inotify_list_kind);
        if (!inode->watches)
            return -ENOMEM;
        list_init(&inode->watches->watches);
    }
    *out = inode->watches;
    return 0;
}

static struct inotify_watch *watch_on(const struct inotify *inotify, const struct inode *inode)
{
    if (!inode->watches)
        return NULL;
    struct inotify_watch *watch;
    list_for_each (watch, &inode->watches->watches, inode_link)
        if (watch->inotify == inotify)
            return watch;
    return NULL;
}

i32 inotify_add(struct task *task, struct file *file, const struct path *path, u32 mask)
{
    if (file->ops != &inotify_ops)
        return -EINVAL;
    struct inotify *inotify = inotify_of(file);
    struct inode *inode = path->dentry->inode;
    const u32 kept = INOTIFY_ALL_EVENTS | INOTIFY_EXCL_UNLINK | INOTIFY_ONESHOT;
    struct inotify_watch *watch = watch_on(inotify, inode);
    if (watch) {
        if (mask & INOTIFY_MASK_CREATE)
            return -EEXIST;
        watch->mask = (mask & INOTIFY_MASK_ADD ? watch->mask : 0) | (mask & kept);
        return watch->wd;
    }
    if (inotify->watch_count >= WATCHES_MAX || inotify->wd_last == INT32_MAX)
        return -ENOSPC;
    struct inotify_list *list;
    int err = inode_list(inode, &list);
    if (err)
        return err;
    watch = object_create(file->object.arena, &inotify_watch_kind);
    if (!watch)
        return -ENOMEM;
    watch->inotify = inotify;
    watch->dentry = REF_GET(path->dentry);
    watch->wd = ++inotify->wd_last;
    watch->mask = mask & kept;
    list_add_tail(&inotify->watches, &watch->link);
    list_add_tail(&list->watches, &watch->inode_link);
    inotify->watch_count++;
    return watch->wd;
}

int inotify_remove(struct file *file, i32 wd)
{
    if (file->ops != &inotify_ops)
        return -EINVAL;
    struct inotify_watch *watch;
    list_for_each (watch, &inotify_of(file)->watches, link) {
        if (watch->wd == wd) {
            watch_end(watch);
            return 0;
        }
    }
    return -EINVAL;
}
