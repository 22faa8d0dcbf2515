/* SPDX-License-Identifier: Apache-2.0 */
/* eventfd(2): a 64-bit counter with a descriptor. */
#include <errno.h>
#include <fcntl.h>

#include "base/fields.h"
#include "sentry/fs/poll.h"

#define EVENTFD_SEMAPHORE 1u
#define EVENTFD_COUNT_MAX (UINT64_MAX - 1)

struct eventfd {
    struct object object;
    u64 count;
    bool is_semaphore;
    struct wait_queue changed;
};

static const struct field eventfd_fields[] = {
    FIELD_NONE(struct eventfd, object, "the walker's own header"),
    FIELD(struct eventfd, count),
    FIELD(struct eventfd, is_semaphore),
    FIELD_NONE(struct eventfd, changed, "a sleeper starts its system call again"),
    FIELD_END,
};
FIELDS_COMPLETE(struct eventfd, eventfd_fields);

const struct kind eventfd_kind = {
    .name = "eventfd", .size = sizeof(struct eventfd), .fields = eventfd_fields};

static struct eventfd *eventfd_of(const struct file *file)
{
    return container_of(file->private_object, struct eventfd, object);
}

SLEEPS static i64 counter_read(struct task *task, struct file *file, struct uio *uio, u64 offset)
{
    struct eventfd *eventfd = eventfd_of(file);
    if (uio->remaining < sizeof(u64))
        return -EINVAL;
    while (eventfd->count == 0) {
        if (file->flags & O_NONBLOCK)
            return -EAGAIN;
        int err = sleep_on(&eventfd->changed, task, NO_DEADLINE);
        if (err)
            return err;
    }
    u64 value = eventfd->is_semaphore ? 1 : eventfd->count;
    eventfd->count -= value;
    wake_up(&eventfd->changed, POLL_OUT | POLL_WRNORM);
    i64 moved = uio_put(uio, &value, sizeof value);
    return moved < 0 ? moved : (i64)sizeof value;
}

SLEEPS static i64 counter_write(struct task *task, struct file *file, struct uio *uio, u64 offset)
{
    struct eventfd *eventfd = eventfd_of(file);
    u64 value;
    if (uio->remaining < sizeof value)
        return -EINVAL;
    i64 moved = uio_take(uio, &value, sizeof value);
    if (moved != (i64)sizeof value)
        return -EFAULT;
    if (value == UINT64_MAX)
        return -EINVAL;
    while (value > EVENTFD_COUNT_MAX - eventfd->count) {
        if (file->flags & O_NONBLOCK)
            return -EAGAIN;
        int err = sleep_on(&eventfd->changed, task, NO_DEADLINE);
        if (err)
            return err;
    }
    eventfd->count += value;
    wake_up(&eventfd->changed, POLL_IN | POLL_RDNORM);
    return (i64)sizeof value;
}

static u32 eventfd_poll(struct file *file, struct poll_table *table)
{
    struct eventfd *eventfd = eventfd_of(file);
    poll_add(table, file, &eventfd->changed);
    u32 ready = 0;
    if (eventfd->count > 0)
        ready |= POLL_IN | POLL_RDNORM;
    if (eventfd->count < EVENTFD_COUNT_MAX)
        ready |= POLL_OUT | POLL_WRNORM;
    return ready;
}

static int eventfd_show_info(struct file *file, struct buf *out)
{
    return buf_printf(out, "eventfd-count: %16llx\n", (unsigned long long)eventfd_of(file)->count);
}

const struct file_ops eventfd_ops = {
    .read = counter_read,
    .write = counter_write,
    .poll = eventfd_poll,
    .show_info = eventfd_show_info,
};

int eventfd_create(struct kernel *kernel, u32 initial, u32 flags, struct file **out)
{
    struct eventfd *eventfd = object_create(kernel->arena, &eventfd_kind);
    if (!eventfd)
        return -ENOMEM;
    eventfd->count = initial;
    eventfd->is_semaphore = (flags & EVENTFD_SEMAPHORE) != 0;
    return file_create_anon(kernel, "anon_inode:[eventfd]", &eventfd_ops, &eventfd->object,
                            O_RDWR | (flags & O_NONBLOCK), 0600, out);
}
