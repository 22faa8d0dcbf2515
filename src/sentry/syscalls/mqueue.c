/* SPDX-License-Identifier: Apache-2.0 */
/* mq_open(2), mq_unlink(2), mq_timedsend(2), mq_timedreceive(2), mq_notify(2), mq_getsetattr(2). */
#include "sentry/fs/mqueue.h"

#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "abi/signal.h"
#include "sentry/kernel/timers.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/syscalls/timespec.h"

#define NAME_SIZE (NAME_SIZE_MAX + 2u)

SLEEPS i64 sys_mq_open(struct task *task, const struct sysargs *args)
{
    char name[NAME_SIZE];
    struct linux_mq_attr attr;
    bool has_attr = arg_u64(args, 3) != 0;
    int err = has_attr ? copy_from_user(task, &attr, arg_uaddr(args, 3), sizeof attr) : 0;
    i64 size = err ? err : copy_string_from_user(task, name, arg_uaddr(args, 0), sizeof name);
    if (size < 0)
        return size;
    struct file *file;
    err = mqueue_open(task, name, arg_u32(args, 1), arg_u32(args, 2), has_attr ? &attr : NULL,
                      &file);
    return err ? err : fd_install(task, file, LINUX_O_CLOEXEC);
}

SLEEPS i64 sys_mq_unlink(struct task *task, const struct sysargs *args)
{
    char name[NAME_SIZE];
    i64 size = copy_string_from_user(task, name, arg_uaddr(args, 0), sizeof name);
    return size < 0 ? size : mqueue_unlink(task, name);
}

static struct file *queue_get(struct task *task, i32 fd)
{
    AUTO_PUT struct file *file = fd_get(task, fd);
    return file && file_is_mqueue(file) ? MOVE(file) : NULL;
}

/* An absolute time of the realtime clock as a deadline. */
SLEEPS static int deadline_arg(struct task *task, uaddr at, u64 *deadline_ns)
{
    u64 ns;
    *deadline_ns = NO_DEADLINE;
    int err = timespec_from_user(task, at, &ns);
    if (err || ns == NO_DEADLINE)
        return err;
    u64 now = kernel_realtime_ns(task->kernel);
    u64 left = ns > now ? ns - now : 0;
    if (__builtin_add_overflow(sched_now_ns(task->kernel->sched), left, deadline_ns))
        *deadline_ns = NO_DEADLINE;
    return 0;
}

SLEEPS i64 sys_mq_timedsend(struct task *task, const struct sysargs *args)
{
    u64 size = arg_u64(args, 2), deadline_ns;
    int err = deadline_arg(task, arg_uaddr(args, 4), &deadline_ns);
    if (err)
        return err;
    if (arg_u32(args, 3) >= MQUEUE_PRIORITY_MAX)
        return -EINVAL;
    AUTO_PUT struct file *file = queue_get(task, arg_fd(args, 0));
    if (!file || !file_may_write(file))
        return -EBADF;
    if (size > MQUEUE_SIZE_MAX)
        return -EMSGSIZE;
    struct arena *arena = task->kernel->arena;
    u8 *bytes = arena_alloc(arena, size + 1);
    if (!bytes)
        return -ENOMEM;
    struct linux_mq_attr attr;
    mqueue_attributes(file, &attr);
    if (size > (u64)attr.message_size)
        err = -EMSGSIZE;
    if (!err)
        err = copy_from_user(task, bytes, arg_uaddr(args, 1), size);
    if (!err)
        err = mqueue_send(task, file, bytes, size, arg_u32(args, 3), deadline_ns);
    arena_free(arena, bytes, size + 1);
    return err;
}

SLEEPS i64 sys_mq_timedreceive(struct task *task, const struct sysargs *args)
{
    u64 deadline_ns;
    int err = deadline_arg(task, arg_uaddr(args, 4), &deadline_ns);
    if (err)
        return err;
    AUTO_PUT struct file *file = queue_get(task, arg_fd(args, 0));
    if (!file || !file_may_read(file))
        return -EBADF;
    struct linux_mq_attr attr;
    mqueue_attributes(file, &attr);
    if (arg_u64(args, 2) < (u64)attr.message_size)
        return -EMSGSIZE;
    struct arena *arena = task->kernel->arena;
    size_t room = (size_t)attr.message_size;
    u8 *bytes = arena_alloc(arena, room);
    if (!bytes)
        return -ENOMEM;
    u32 priority = 0;
    i64 size = mqueue_receive(task, file, bytes, room, &priority, deadline_ns);
    if (size > 0 && copy_to_user(task, arg_uaddr(args, 1), bytes, (u64)size))
        size = -EFAULT;
    if (size >= 0 && arg_u64(args, 3) &&
        copy_to_user(task, arg_uaddr(args, 3), &priority, sizeof priority))
        size = -EFAULT;
    arena_free(arena, bytes, room);
    return size;
}

SLEEPS i64 sys_mq_notify(struct task *task, const struct sysargs *args)
{
    struct linux_sigevent event;
    bool has_event = arg_u64(args, 1) != 0;
    int err = has_event ? copy_from_user(task, &event, arg_uaddr(args, 1), sizeof event) : 0;
    if (err)
        return err;
    if (has_event && event.notify != LINUX_SIGEV_SIGNAL && event.notify != LINUX_SIGEV_NONE)
        return -EINVAL; /* SIGEV_THREAD needs a netlink socket */
    bool is_signal = has_event && event.notify == LINUX_SIGEV_SIGNAL;
    if (is_signal && (event.signo <= 0 || event.signo > LINUX_NSIG))
        return -EINVAL;
    AUTO_PUT struct file *file = queue_get(task, arg_fd(args, 0));
    if (!file)
        return -EBADF;
    if (has_event)
        return mqueue_notify(task, file, is_signal ? event.signo : 0, event.value);
    mqueue_notify_end(task, file);
    return 0;
}

SLEEPS i64 sys_mq_getsetattr(struct task *task, const struct sysargs *args)
{
    struct linux_mq_attr next, old;
    bool has_next = arg_u64(args, 1) != 0;
    int err = has_next ? copy_from_user(task, &next, arg_uaddr(args, 1), sizeof next) : 0;
    if (err)
        return err;
    if (has_next && (next.flags & ~(i64)LINUX_O_NONBLOCK))
        return -EINVAL;
    AUTO_PUT struct file *file = queue_get(task, arg_fd(args, 0));
    if (!file)
        return -EBADF;
    mqueue_attributes(file, &old);
    if (has_next) {
        u32 flags = (file->flags & ~LINUX_O_NONBLOCK) | (u32)next.flags;
        err = file_set_flags(task, file, flags);
        if (err)
            return err;
    }
    if (arg_u64(args, 2) == 0)
        return 0;
    return copy_to_user(task, arg_uaddr(args, 2), &old, sizeof old);
}
