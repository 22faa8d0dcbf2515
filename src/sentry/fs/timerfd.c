/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timerfd_create(2). Time is kept in the clock the program named; the scheduler's timer is derived
 * from it, so that a restored timer fires when the program's clock says so.
 */
#include <errno.h>
#include <fcntl.h>

#include "base/fields.h"
#include "base/state.h"
#include "sentry/fs/poll.h"

#define CLOCK_REALTIME_NR 0
#define TIMER_ABSTIME_FLAG 1u
#define TIMER_CANCEL_ON_SET_FLAG 2u

struct timerfd {
    struct object object;
    struct kernel *kernel;
    i32 clock;
    bool is_armed;
    u64 next_ns;       /* in the program's clock */
    u64 interval_ns;   /* 0: once */
    u64 expired_count; /* since the last read */
    struct timer timer;
    struct wait_queue changed;
};

static const struct field timerfd_fields[] = {
    FIELD_NONE(struct timerfd, object, "the walker's own header"),
    FIELD_NONE(struct timerfd, kernel, "the kernel that loads it"),
    FIELD(struct timerfd, clock),
    FIELD(struct timerfd, is_armed),
    FIELD(struct timerfd, next_ns),
    FIELD(struct timerfd, interval_ns),
    FIELD(struct timerfd, expired_count),
    FIELD_NONE(struct timerfd, timer, "derived from next_ns"),
    FIELD_NONE(struct timerfd, changed, "a sleeper starts its system call again"),
    FIELD_END,
};
FIELDS_COMPLETE(struct timerfd, timerfd_fields);

static u64 clock_now(const struct timerfd *timerfd)
{
    return timerfd->clock == CLOCK_REALTIME_NR ? kernel_realtime_ns(timerfd->kernel)
                                               : kernel_monotonic_ns(timerfd->kernel);
}

static void timerfd_arm(struct timerfd *timerfd)
{
    struct sched *sched = timerfd->kernel->sched;
    u64 now = clock_now(timerfd);
    u64 left = timerfd->next_ns > now ? timerfd->next_ns - now : 0;
    timer_set(sched, &timerfd->timer, sched_now_ns(sched) + left);
}

/* Count what has expired by now and arm for the next; true if any. */
static bool timerfd_expire(struct timerfd *timerfd)
{
    u64 now = clock_now(timerfd);
    if (!timerfd->is_armed || now < timerfd->next_ns)
        return false;
    if (timerfd->interval_ns == 0) {
        timerfd->expired_count++;
        timerfd->is_armed = false;
        return true;
    }
    u64 periods = (now - timerfd->next_ns) / timerfd->interval_ns + 1;
    timerfd->expired_count += periods;
    timerfd->next_ns += periods * timerfd->interval_ns;
    return true;
}

static void timerfd_fired(struct timer *timer)
{
    struct timerfd *timerfd = timer->owner;
    bool has_expired = timerfd_expire(timerfd);
    if (timerfd->is_armed)
        timerfd_arm(timerfd);
    if (has_expired)
        wake_up(&timerfd->changed, POLL_IN | POLL_RDNORM);
}

static void timerfd_destroy(struct object *object)
{
    struct timerfd *timerfd = container_of(object, struct timerfd, object);
    timer_cancel(timerfd->kernel->sched, &timerfd->timer);
}

static int timerfd_loaded(struct object *object, struct state_reader *reader)
{
    struct timerfd *timerfd = container_of(object, struct timerfd, object);
    timerfd->kernel = state_reader_kernel(reader);
    timer_init(&timerfd->timer, timerfd_fired, timerfd);
    if (timerfd->is_armed)
        timerfd_arm(timerfd);
    return 0;
}

static void timerfd_discard(struct object *object)
{
    struct timerfd *timerfd = container_of(object, struct timerfd, object);
    if (timerfd->timer.is_set)
        timer_cancel(timerfd->kernel->sched, &timerfd->timer);
}

const struct kind timerfd_kind = {.name = "timerfd",
                                  .size = sizeof(struct timerfd),
                                  .fields = timerfd_fields,
                                  .destroy = timerfd_destroy,
                                  .loaded = timerfd_loaded,
                                  .discard = timerfd_discard};

static struct timerfd *timerfd_of(const struct file *file)
{
    return container_of(file->private_object, struct timerfd, object);
}

SLEEPS static i64 timerfd_read(struct task *task, struct file *file, struct uio *uio, u64 offset)
{
    struct timerfd *timerfd = timerfd_of(file);
    if (uio->remaining < sizeof(u64))
        return -EINVAL;
    while (timerfd->expired_count == 0) {
        if (file->flags & O_NONBLOCK)
            return -EAGAIN;
        int err = sleep_on(&timerfd->changed, task, NO_DEADLINE);
        if (err)
            return err;
    }
    u64 count = timerfd->expired_count;
    timerfd->expired_count = 0;
    i64 moved = uio_put(uio, &count, sizeof count);
    return moved < 0 ? moved : (i64)sizeof count;
}

static u32 timerfd_poll(struct file *file, struct poll_table *table)
{
    struct timerfd *timerfd = timerfd_of(file);
    poll_add(table, file, &timerfd->changed);
    return timerfd->expired_count > 0 ? POLL_IN | POLL_RDNORM : 0;
}

static int timerfd_show_info(struct file *file, struct buf *out)
{
    const struct timerfd *timerfd = timerfd_of(file);
    u64 now = clock_now(timerfd);
    u64 left = timerfd->is_armed && timerfd->next_ns > now ? timerfd->next_ns - now : 0;
    return buf_printf(out,
                      "clockid: %d\nticks: %llu\nsettime flags: 0\nit_value: (%llu, %llu)\n"
                      "it_interval: (%llu, %llu)\n",
                      timerfd->clock, (unsigned long long)timerfd->expired_count,
                      (unsigned long long)(left / NS_PER_S), (unsigned long long)(left % NS_PER_S),
                      (unsigned long long)(timerfd->interval_ns / NS_PER_S),
                      (unsigned long long)(timerfd->interval_ns % NS_PER_S));
}

const struct file_ops timerfd_ops = {
    .read = timerfd_read,
    .poll = timerfd_poll,
    .show_info = timerfd_show_info,
};

int timerfd_create_file(struct kernel *kernel, i32 clock, u32 flags, struct file **out)
{
    struct timerfd *timerfd = object_create(kernel->arena, &timerfd_kind);
    if (!timerfd)
        return -ENOMEM;
    timerfd->kernel = kernel;
    timerfd->clock = clock;
    timer_init(&timerfd->timer, timerfd_fired, timerfd);
    return file_create_anon(kernel, "anon_inode:[timerfd]", &timerfd_ops, &timerfd->object,
                            O_RDWR | (flags & O_NONBLOCK), 0600, out);
}

static void timerfd_settings(const struct timerfd *timerfd, u64 *value_ns, u64 *interval_ns)
{
    u64 now = clock_now(timerfd);
    *interval_ns = timerfd->interval_ns;
    *value_ns = 0;
    if (timerfd->is_armed)
        *value_ns = timerfd->next_ns > now ? timerfd->next_ns - now : 1;
}

int timerfd_set(struct task *task, struct file *file, u32 flags, u64 value_ns, u64 interval_ns,
                u64 *old_value_ns, u64 *old_interval_ns)
{
    if (file->ops != &timerfd_ops)
        return -EINVAL;
    struct timerfd *timerfd = timerfd_of(file);
    timerfd_settings(timerfd, old_value_ns, old_interval_ns);
    timer_cancel(task->kernel->sched, &timerfd->timer);
    timerfd->expired_count = 0;
    timerfd->interval_ns = interval_ns;
    timerfd->is_armed = value_ns != 0;
    if (!timerfd->is_armed)
        return 0;
    u64 start = flags & TIMER_ABSTIME_FLAG ? 0 : clock_now(timerfd);
    if (__builtin_add_overflow(start, value_ns, &timerfd->next_ns))
        timerfd->next_ns = UINT64_MAX;
    bool has_expired = timerfd_expire(timerfd);
    if (timerfd->is_armed)
        timerfd_arm(timerfd);
    if (has_expired)
        wake_up(&timerfd->changed, POLL_IN | POLL_RDNORM);
    return 0;
}

int timerfd_get(struct task *task, struct file *file, u64 *value_ns, u64 *interval_ns)
{
    if (file->ops != &timerfd_ops)
        return -EINVAL;
    timerfd_settings(timerfd_of(file), value_ns, interval_ns);
    return 0;
}
