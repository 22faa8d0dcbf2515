/* SPDX-License-Identifier: Apache-2.0 */
/* poll(2), select(2), epoll(7), eventfd(2), signalfd(2), timerfd_create(2) and their relatives. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "sentry/fs/poll.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/syscalls/timespec.h"

#define POLL_ALWAYS (POLL_ERR | POLL_HUP | POLL_NVAL)
#define EPOLL_EVENTS_MAX (INT32_MAX / (i32)sizeof(struct linux_epoll_event))
#define EPOLL_BATCH 64u

struct linux_pollfd {
    i32 fd;
    i16 events, revents;
};

/* ---- time-outs and masks -------------------------------------------------------------------- */

/* ppoll(2) and select(2) tell what is left of the time. A bad address there is not an error. */
SLEEPS static void timeout_to_user(struct task *task, uaddr at, u64 deadline_ns, u64 unit_ns)
{
    if (at.value == 0 || deadline_ns == NO_DEADLINE)
        return;
    u64 now = sched_now_ns(task->kernel->sched);
    u64 left = deadline_ns > now ? deadline_ns - now : 0;
    struct linux_timespec time = {(i64)(left / NS_PER_S), (i64)(left % NS_PER_S / unit_ns)};
    (void)!copy_to_user(task, at, &time, sizeof time);
}

SLEEPS static int mask_from_user(struct task *task, uaddr at, u64 size)
{
    if (at.value == 0)
        return 0;
    if (size != sizeof(u64))
        return -EINVAL;
    u64 mask;
    int err = copy_from_user(task, &mask, at, sizeof mask);
    if (err)
        return err;
    signal_set_temporary_mask(task, mask);
    return 0;
}

/* ---- poll ----------------------------------------------------------------------------------- */

SLEEPS static u32 poll_one(struct task *task, struct linux_pollfd *entry, struct poll_table *table)
{
    entry->revents = 0;
    if (entry->fd < 0)
        return 0;
    AUTO_PUT struct file *file = fd_get(task, entry->fd);
    u32 ready = file && !file->is_path ? file_poll(file, table) : POLL_NVAL;
    entry->revents = (i16)(ready & ((u32)(u16)entry->events | POLL_ALWAYS));
    return entry->revents != 0;
}

/* How many are ready; waits until DEADLINE. 0, a count or -ERESTARTSYS. */
SLEEPS static i64 poll_wait_for(struct task *task, struct linux_pollfd *entries, u32 count,
                                u64 deadline_ns, bool may_block)
{
    struct poll_wait wait;
    poll_wait_init(&wait, task);
    struct poll_table ask;
    poll_table_ask(&ask, task);
    struct poll_table *table = may_block ? &wait.table : &ask;
    i64 result;
    for (;;) {
        fiber_prepare(&task->fiber);
        u32 ready = 0;
        for (u32 i = 0; i < count; i++)
            ready += poll_one(task, &entries[i], ready ? &ask : table);
        table = &ask;
        result = ready;
        if (ready > 0 || !may_block)
            break;
        int err = fiber_block(&task->fiber, deadline_ns, true);
        if (err == -ETIMEDOUT) {
            may_block = false; /* one more look */
            continue;
        }
        if (err) {
            result = err;
            break;
        }
    }
    poll_wait_fini(&wait);
    return result;
}

SLEEPS static i64 poll_common(struct task *task, uaddr user, u32 count, u64 timeout_ns)
{
    if (count > task->group->limits.v[RLIMIT_NOFILE_].soft)
        return -EINVAL;
    size_t size = count * sizeof(struct linux_pollfd);
    struct arena *arena = task->kernel->arena;
    struct linux_pollfd *entries = arena_alloc(arena, size ? size : 1);
    if (!entries)
        return -ENOMEM;
    i64 result = copy_from_user(task, entries, user, size);
    if (result == 0)
        result = poll_wait_for(task, entries, count, task_deadline(task, timeout_ns),
                               timeout_ns != 0);
    if (result >= 0) {
        for (u32 i = 0; i < count; i++) {
            u64 at = i * sizeof *entries + offsetof(struct linux_pollfd, revents);
            if (copy_to_user(task, uaddr_add(user, at), &entries[i].revents, sizeof(i16))) {
                result = -EFAULT;
                break;
            }
        }
    }
    arena_free(arena, entries, size ? size : 1);
    return result == -ERESTARTSYS ? task_never_restarts(task) : result;
}

SLEEPS i64 sys_poll(struct task *task, const struct sysargs *args)
{
    i32 timeout_ms = arg_i32(args, 2);
    u64 timeout_ns = timeout_ms < 0 ? UINT64_MAX : (u64)timeout_ms * NS_PER_MS;
    return poll_common(task, arg_uaddr(args, 0), arg_u32(args, 1), timeout_ns);
}

SLEEPS i64 sys_ppoll(struct task *task, const struct sysargs *args)
{
    u64 timeout_ns;
    int err = timespec_from_user(task, arg_uaddr(args, 2), &timeout_ns);
    if (!err)
        err = mask_from_user(task, arg_uaddr(args, 3), arg_u64(args, 4));
    if (err)
        return err;
    i64 result = poll_common(task, arg_uaddr(args, 0), arg_u32(args, 1), timeout_ns);
    if (result != -ERESTARTSYS)
        timeout_to_user(task, arg_uaddr(args, 2), task_deadline(task, timeout_ns), 1);
    return result;
}

/* ---- select --------------------------------------------------------------------------------- */

#define SELECT_IN (POLL_RDNORM | POLL_IN | POLL_HUP | POLL_ERR)
#define SELECT_OUT (POLL_WRNORM | POLL_OUT | POLL_ERR)
#define SELECT_EX POLL_PRI

struct select_sets {
    uaddr user[3];
    u64 *bits[3]; /* NULL: not given */
    u32 count;    /* of descriptors */
    size_t size;  /* of a set, bytes */
};

SLEEPS static int sets_load(struct task *task, struct select_sets *sets)
{
    for (int i = 0; i < 3; i++) {
        if (sets->user[i].value == 0)
            continue;
        sets->bits[i] = arena_alloc(task->kernel->arena, sets->size ? sets->size : 1);
        if (!sets->bits[i])
            return -ENOMEM;
        int err = copy_from_user(task, sets->bits[i], sets->user[i], sets->size);
        if (err)
            return err;
    }
    return 0;
}

static void sets_free(struct task *task, struct select_sets *sets)
{
    for (int i = 0; i < 3; i++)
        arena_free(task->kernel->arena, sets->bits[i], sets->size ? sets->size : 1);
}

static bool set_has(const u64 *bits, u32 fd)
{
    return bits && (bits[fd / 64] >> (fd % 64) & 1);
}

/* The sets as pollfds; the number of them, or -EBADF. */
SLEEPS static i64 sets_to_pollfds(struct task *task, const struct select_sets *sets,
                                  struct linux_pollfd *out)
{
    u32 count = 0;
    for (u32 fd = 0; fd < sets->count; fd++) {
        u32 events = 0;
        if (set_has(sets->bits[0], fd))
            events |= SELECT_IN;
        if (set_has(sets->bits[1], fd))
            events |= SELECT_OUT;
        if (set_has(sets->bits[2], fd))
            events |= SELECT_EX;
        if (!events)
            continue;
        AUTO_PUT struct file *file = fd_get(task, (i32)fd);
        if (!file)
            return -EBADF;
        out[count++] = (struct linux_pollfd){.fd = (i32)fd, .events = (i16)events};
    }
    return count;
}

static u32 sets_from_pollfds(struct select_sets *sets, const struct linux_pollfd *entries,
                             u32 count)
{
    static const u32 masks[3] = {SELECT_IN, SELECT_OUT, SELECT_EX};
    u32 total = 0;
    for (int set = 0; set < 3; set++) {
        if (!sets->bits[set])
            continue;
        for (u32 i = 0; i < count; i++) {
            u32 fd = (u32)entries[i].fd;
            u64 bit = (u64)1 << (fd % 64);
            bool was_wanted = sets->bits[set][fd / 64] & bit;
            bool is_ready = (u32)(u16)entries[i].revents & masks[set];
            if (was_wanted && is_ready)
                total++;
            else
                sets->bits[set][fd / 64] &= ~bit;
        }
    }
    return total;
}

SLEEPS static i64 select_run(struct task *task, struct select_sets *sets, u64 timeout_ns)
{
    int err = sets_load(task, sets);
    if (err)
        return err;
    struct arena *arena = task->kernel->arena;
    size_t size = (sets->count + 1u) * sizeof(struct linux_pollfd);
    struct linux_pollfd *entries = arena_alloc(arena, size);
    if (!entries)
        return -ENOMEM;
    i64 count = sets_to_pollfds(task, sets, entries);
    i64 result = count;
    if (count >= 0)
        result = poll_wait_for(task, entries, (u32)count, task_deadline(task, timeout_ns),
                               timeout_ns != 0);
    if (result >= 0)
        result = sets_from_pollfds(sets, entries, (u32)count);
    arena_free(arena, entries, size);
    for (int i = 0; i < 3 && result >= 0; i++)
        if (sets->bits[i] && copy_to_user(task, sets->user[i], sets->bits[i], sets->size))
            result = -EFAULT;
    return result == -ERESTARTSYS ? task_never_restarts(task) : result;
}

SLEEPS static i64 select_common(struct task *task, const struct sysargs *args, u64 timeout_ns)
{
    i32 count = arg_i32(args, 0);
    if (count < 0)
        return -EINVAL;
    u32 count_max = task->fds->capacity;
    struct select_sets sets = {.user = {arg_uaddr(args, 1), arg_uaddr(args, 2), arg_uaddr(args, 3)},
                               .count = MIN((u32)count, MAX(count_max, 64u))};
    sets.size = (sets.count + 63u) / 64u * 8u;
    i64 result = select_run(task, &sets, timeout_ns);
    sets_free(task, &sets);
    return result;
}

SLEEPS i64 sys_select(struct task *task, const struct sysargs *args)
{
    u64 timeout_ns = UINT64_MAX;
    uaddr user = arg_uaddr(args, 4);
    if (user.value != 0) {
        struct linux_timeval time;
        int err = copy_from_user(task, &time, user, sizeof time);
        if (err)
            return err;
        if (time.sec < 0 || time.usec < 0)
            return -EINVAL;
        if (__builtin_mul_overflow((u64)time.sec, NS_PER_S, &timeout_ns) ||
            __builtin_add_overflow(timeout_ns, (u64)time.usec * NS_PER_US, &timeout_ns))
            timeout_ns = UINT64_MAX - 1;
    }
    i64 result = select_common(task, args, timeout_ns);
    if (result != -ERESTARTSYS)
        timeout_to_user(task, user, task_deadline(task, timeout_ns), NS_PER_US);
    return result;
}

SLEEPS i64 sys_pselect6(struct task *task, const struct sysargs *args)
{
    u64 timeout_ns;
    int err = timespec_from_user(task, arg_uaddr(args, 4), &timeout_ns);
    if (err)
        return err;
    uaddr mask_pair = arg_uaddr(args, 5);
    if (mask_pair.value != 0) {
        u64 pair[2];
        err = copy_from_user(task, pair, mask_pair, sizeof pair);
        if (!err)
            err = mask_from_user(task, uaddr_make(pair[0]), pair[1]);
        if (err)
            return err;
    }
    i64 result = select_common(task, args, timeout_ns);
    if (result != -ERESTARTSYS)
        timeout_to_user(task, arg_uaddr(args, 4), task_deadline(task, timeout_ns), 1);
    return result;
}

/* ---- epoll ---------------------------------------------------------------------------------- */

SLEEPS i64 sys_epoll_create1(struct task *task, const struct sysargs *args)
{
    u32 flags = arg_u32(args, 0);
    if (flags & ~(u32)O_CLOEXEC)
        return -EINVAL;
    struct file *file;
    int err = epoll_create_file(task->kernel, flags, &file);
    return err ? err : fd_install(task, file, flags);
}

SLEEPS i64 sys_epoll_create(struct task *task, const struct sysargs *args)
{
    if (arg_i32(args, 0) <= 0)
        return -EINVAL;
    const struct sysargs none = {{0}};
    return sys_epoll_create1(task, &none);
}

SLEEPS i64 sys_epoll_ctl(struct task *task, const struct sysargs *args)
{
    i32 op = arg_i32(args, 1);
    struct linux_epoll_event event = {0};
    if (op != 2) { /* EPOLL_CTL_DEL reads none */
        int err = copy_from_user(task, &event, arg_uaddr(args, 3), sizeof event);
        if (err)
            return err;
    }
    AUTO_PUT struct file *epoll = fd_get_open(task, arg_fd(args, 0));
    if (!epoll)
        return -EBADF;
    AUTO_PUT struct file *target = fd_get_open(task, arg_fd(args, 2));
    if (!target)
        return -EBADF;
    return epoll_control(task, epoll, op, arg_fd(args, 2), target, &event);
}

SLEEPS static i64 epoll_wait_common(struct task *task, const struct sysargs *args, u64 timeout_ns)
{
    i32 count = arg_i32(args, 2);
    if (count <= 0 || count > EPOLL_EVENTS_MAX)
        return -EINVAL;
    AUTO_PUT struct file *epoll = fd_get_open(task, arg_fd(args, 0));
    if (!epoll)
        return -EBADF;
    if (!file_is_epoll(epoll))
        return -EINVAL;
    struct linux_epoll_event events[EPOLL_BATCH];
    i64 found = epoll_wait_events(task, epoll, events, MIN((u32)count, EPOLL_BATCH),
                                  task_deadline(task, timeout_ns), timeout_ns != 0);
    if (found == -ERESTARTSYS)
        return task_never_restarts(task);
    if (found > 0 && copy_to_user(task, arg_uaddr(args, 1), events, (u64)found * sizeof events[0]))
        return -EFAULT;
    return found;
}

static u64 milliseconds(i32 timeout_ms)
{
    return timeout_ms < 0 ? UINT64_MAX : (u64)timeout_ms * NS_PER_MS;
}

SLEEPS i64 sys_epoll_wait(struct task *task, const struct sysargs *args)
{
    return epoll_wait_common(task, args, milliseconds(arg_i32(args, 3)));
}

SLEEPS i64 sys_epoll_pwait(struct task *task, const struct sysargs *args)
{
    int err = mask_from_user(task, arg_uaddr(args, 4), arg_u64(args, 5));
    return err ? err : epoll_wait_common(task, args, milliseconds(arg_i32(args, 3)));
}

SLEEPS i64 sys_epoll_pwait2(struct task *task, const struct sysargs *args)
{
    u64 timeout_ns;
    int err = timespec_from_user(task, arg_uaddr(args, 3), &timeout_ns);
    if (!err)
        err = mask_from_user(task, arg_uaddr(args, 4), arg_u64(args, 5));
    return err ? err : epoll_wait_common(task, args, timeout_ns);
}

/* ---- eventfd, signalfd ---------------------------------------------------------------------- */

SLEEPS i64 sys_eventfd2(struct task *task, const struct sysargs *args)
{
    u32 flags = arg_u32(args, 1);
    if (flags & ~(u32)(1 | O_CLOEXEC | O_NONBLOCK))
        return -EINVAL;
    struct file *file;
    int err = eventfd_create(task->kernel, arg_u32(args, 0), flags, &file);
    return err ? err : fd_install(task, file, flags);
}

SLEEPS i64 sys_eventfd(struct task *task, const struct sysargs *args)
{
    const struct sysargs plain = {{args->v[0], 0}};
    return sys_eventfd2(task, &plain);
}

SLEEPS static i64 signalfd_common(struct task *task, const struct sysargs *args, u32 flags)
{
    if (arg_u64(args, 2) != sizeof(u64) || (flags & ~(u32)(O_CLOEXEC | O_NONBLOCK)))
        return -EINVAL;
    u64 set;
    int err = copy_from_user(task, &set, arg_uaddr(args, 1), sizeof set);
    if (err)
        return err;
    struct file *file = NULL;
    if (arg_fd(args, 0) == -1) {
        err = signalfd_create(task, set, flags, &file);
        return err ? err : fd_install(task, file, flags);
    }
    AUTO_PUT struct file *old = fd_get_open(task, arg_fd(args, 0));
    if (!old)
        return -EBADF;
    err = signalfd_set(old, set);
    return err ? err : arg_fd(args, 0);
}

SLEEPS i64 sys_signalfd4(struct task *task, const struct sysargs *args)
{
    return signalfd_common(task, args, arg_u32(args, 3));
}

SLEEPS i64 sys_signalfd(struct task *task, const struct sysargs *args)
{
    return signalfd_common(task, args, 0);
}

/* ---- timerfd -------------------------------------------------------------------------------- */

struct linux_itimerspec {
    struct linux_timespec interval, value;
};

static struct linux_itimerspec itimerspec_make(u64 value_ns, u64 interval_ns)
{
    return (struct linux_itimerspec){
        .interval = {(i64)(interval_ns / NS_PER_S), (i64)(interval_ns % NS_PER_S)},
        .value = {(i64)(value_ns / NS_PER_S), (i64)(value_ns % NS_PER_S)},
    };
}

SLEEPS i64 sys_timerfd_create(struct task *task, const struct sysargs *args)
{
    i32 clock = arg_i32(args, 0);
    u32 flags = arg_u32(args, 1);
    if (flags & ~(u32)(O_CLOEXEC | O_NONBLOCK))
        return -EINVAL;
    if (clock != 0 && clock != 1 && clock != 7) /* REALTIME, MONOTONIC, BOOTTIME */
        return -EINVAL;
    struct file *file;
    int err = timerfd_create_file(task->kernel, clock, flags, &file);
    return err ? err : fd_install(task, file, flags);
}

SLEEPS i64 sys_timerfd_settime(struct task *task, const struct sysargs *args)
{
    u32 flags = arg_u32(args, 1);
    if (flags & ~3u)
        return -EINVAL;
    struct linux_itimerspec spec;
    int err = copy_from_user(task, &spec, arg_uaddr(args, 2), sizeof spec);
    if (err)
        return err;
    u64 value_ns, interval_ns, old_value_ns, old_interval_ns;
    if (timespec_judge(&spec.value, &value_ns) || timespec_judge(&spec.interval, &interval_ns))
        return -EINVAL;
    AUTO_PUT struct file *file = fd_get_open(task, arg_fd(args, 0));
    if (!file)
        return -EBADF;
    err = timerfd_set(task, file, flags, value_ns, interval_ns, &old_value_ns, &old_interval_ns);
    if (err || arg_u64(args, 3) == 0)
        return err;
    struct linux_itimerspec old = itimerspec_make(old_value_ns, old_interval_ns);
    return copy_to_user(task, arg_uaddr(args, 3), &old, sizeof old);
}

SLEEPS i64 sys_timerfd_gettime(struct task *task, const struct sysargs *args)
{
    AUTO_PUT struct file *file = fd_get_open(task, arg_fd(args, 0));
    if (!file)
        return -EBADF;
    u64 value_ns, interval_ns;
    int err = timerfd_get(task, file, &value_ns, &interval_ns);
    if (err)
        return err;
    struct linux_itimerspec spec = itimerspec_make(value_ns, interval_ns);
    return copy_to_user(task, arg_uaddr(args, 1), &spec, sizeof spec);
}
