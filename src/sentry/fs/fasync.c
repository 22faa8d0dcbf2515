/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signal-driven I/O. Waiters sit on the file's own poll queues and turn each wake-up into a signal
 * to the owner, so no file has to know of it.
 */
#include "sentry/fs/fasync.h"

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "sentry/fs/poll.h"
#include "sentry/kernel/namespaces.h"
#include "sentry/kernel/pid.h"

#define QUEUES_MAX 4u

struct fasync {
    struct file *file; /* weak: it owns us */
    struct waiter waiters[QUEUES_MAX];
    u32 count;
};

/* sigio_perm of Linux: what kill(2) would allow. */
static bool may_signal(const struct file *file, const struct task *task)
{
    if (!file->owner_cred || !task->cred)
        return false;
    const struct cred *cred = container_of(file->owner_cred, struct cred, object);
    const struct cred *target = task->cred;
    return cred->euid == 0 || cred->euid == target->suid || cred->euid == target->uid ||
           cred->uid == target->suid || cred->uid == target->uid;
}

/* The signal of F_SETSIG says what is ready on which descriptor; plain SIGIO says nothing. */
static void make_info(const struct file *file, u32 events, struct linux_siginfo *info)
{
    signal_info_kernel(info, LINUX_SIGIO);
    if (!file->owner_signal)
        return;
    static const struct {
        u32 bit;
        i32 code; /* POLL_IN … of siginfo */
    } codes[] = {{POLL_IN, 1}, {POLL_OUT, 2}, {POLL_ERR, 4}, {POLL_PRI, 5}, {POLL_HUP, 6}};
    signal_info_kernel(info, file->owner_signal);
    for (u32 i = 0; i < ARRAY_COUNT(codes); i++) {
        if (!(events & codes[i].bit))
            continue;
        info->code = codes[i].code;
        break;
    }
    info->poll.band = (i64)events;
    info->poll.fd = -1;
}

static void send(struct file *file, const struct linux_siginfo *info)
{
    const struct pid *pid = container_of(file->owner_pid, struct pid, object);
    if (file->owner_type == LINUX_F_OWNER_PGRP) {
        if (pid->pgrp)
            (void)!signal_send_pgrp(pid->pgrp, info);
        return;
    }
    if (!pid->task || !may_signal(file, pid->task))
        return;
    if (file->owner_type == LINUX_F_OWNER_TID)
        (void)!signal_send_task(pid->task, info);
    else
        (void)!signal_send_group(pid->task->group, info);
}

static void fasync_wake(struct waiter *waiter, u32 events)
{
    struct fasync *fasync = waiter->owner;
    struct file *file = fasync->file;
    u32 wanted = POLL_ERR | POLL_HUP | POLL_PRI;
    if (file_may_read(file))
        wanted |= POLL_IN;
    if (file_may_write(file))
        wanted |= POLL_OUT;
    if (!file->owner_pid || !(events & wanted))
        return;
    struct linux_siginfo info;
    make_info(file, events & wanted, &info);
    send(file, &info);
}

static int fasync_add(struct poll_table *table, struct file *file, struct wait_queue *queue)
{
    struct fasync *fasync = table->owner;
    if (fasync->count == QUEUES_MAX)
        return -ENOMEM;
    struct waiter *waiter = &fasync->waiters[fasync->count++];
    waiter_init(waiter, WAKE_ALL_EVENTS, fasync_wake, fasync);
    wait_queue_add(queue, waiter);
    return 0;
}

int fasync_start(struct file *file)
{
    struct fasync *fasync = arena_alloc(file->object.arena, sizeof *fasync);
    if (!fasync)
        return -ENOMEM;
    fasync->file = file;
    file->fasync = fasync;
    struct poll_table table = {.add = fasync_add, .owner = fasync};
    (void)file_poll(file, &table);
    return 0;
}

void fasync_stop(struct file *file)
{
    struct fasync *fasync = MOVE(file->fasync);
    if (!fasync)
        return;
    for (u32 i = 0; i < fasync->count; i++)
        wait_queue_remove(&fasync->waiters[i]);
    arena_free(file->object.arena, fasync, sizeof *fasync);
}

int file_set_owner(struct task *task, struct file *file, i32 type, u32 nr)
{
    struct pid *pid = nr && task->pid ? pid_find(task->pid->ns, nr) : NULL;
    if (nr && !pid)
        return -ESRCH;
    object_put(file->owner_pid);
    file->owner_pid = pid ? &REF_GET(pid)->object : NULL;
    object_put(file->owner_cred);
    file->owner_cred = &REF_GET(task->cred)->object;
    file->owner = (i32)nr;
    file->owner_type = type;
    return 0;
}
