/* SPDX-License-Identifier: Apache-2.0 */
/* Points of the sentry's own events: a container's start, clone, execve, exits. */
#include <string.h>

#include "base/sha.h"
#include "sentry/fs/file.h"
#include "sentry/observe/points_internal.h"

#define AREA_MAX ((u64)64 << 10)
#define HASH_STEP ((u64)64 << 10)

enum { TYPE_START = 1, TYPE_CLONE, TYPE_EXECVE, TYPE_EXIT_NOTIFY, TYPE_EXIT };

/* The session that wants POINT, or NULL. */
static struct points *wanted(struct task_observer *self, u32 point)
{
    struct points *points = container_of(self, struct points, tasks);
    return !points->is_ending && points->settings[point].is_on ? points : NULL;
}

void points_container_start(struct kernel *kernel, const struct task *task,
                            const struct point_start *start)
{
    struct points *points = kernel->points;
    struct point_event event;
    if (!points || !wanted(&points->tasks, POINT_CONTAINER_START))
        return;
    point_event_begin(&event, points, POINT_CONTAINER_START, TYPE_START, task);
    protobuf_put_text(&event.out, 2, start->id);
    protobuf_put_text(&event.out, 3, start->cwd);
    for (size_t i = 0; i < start->arg_count; i++)
        protobuf_add_bytes(&event.out, 4, start->args[i], strlen(start->args[i]));
    for (size_t i = 0; i < start->env_count && point_wants(&event, OPTIONAL_ENV); i++)
        protobuf_add_bytes(&event.out, 5, start->env[i], strlen(start->env[i]));
    protobuf_put_u64(&event.out, 6, start->has_terminal);
    point_event_send(&event);
}

void points_cloned(struct task_observer *self, struct task *parent, struct task *child, u64 flags)
{
    struct points *points = wanted(self, POINT_CLONE);
    struct point_event event;
    if (!points)
        return;
    struct kernel *kernel = parent->kernel;
    point_event_begin(&event, points, POINT_CLONE, TYPE_CLONE, parent);
    protobuf_put_u64(&event.out, 3, child->root_tid);
    protobuf_put_u64(&event.out, 4, thread_group_pid_in(child->group, kernel->root_pid_ns));
    protobuf_put_u64(&event.out, 5, kernel_realtime_ns(kernel));
    protobuf_put_u64(&event.out, 6, flags);
    point_event_send(&event);
}

/* ---- execve --------------------------------------------------------------------------------- */

/* Strings that each end with a NUL, from the new memory. */
SLEEPS static void put_area(struct point_event *event, struct task *task, u32 field, u64 start,
                            u64 end)
{
    u8 *room;
    u64 size = MIN(end - start, AREA_MAX);
    buf_clear(&event->text);
    if (end <= start || buf_reserve(&event->text, size, &room))
        return;
    i64 got = mm_copy_in_some(task->mm, &task->fiber, room, uaddr_make(start), size);
    for (i64 at = 0; at < got;) {
        size_t length = strnlen((const char *)room + at, (size_t)(got - at));
        protobuf_add_bytes(&event->out, field, room + at, length);
        at += (i64)length + 1;
    }
}

SLEEPS static void put_hash(struct point_event *event, struct task *task, struct file *file)
{
    struct sha256 sha;
    u8 sum[SHA256_SIZE], *room;
    u64 offset = 0;
    i64 got = -1;
    buf_clear(&event->text);
    if (buf_reserve(&event->text, HASH_STEP, &room))
        return;
    sha256_init(&sha);
    while ((got = file_pread_kernel(task, file, room, HASH_STEP, offset)) > 0) {
        sha256_add(&sha, room, (size_t)got);
        offset += (u64)got;
    }
    sha256_end(&sha, sum);
    if (got == 0)
        protobuf_put_bytes(&event->out, 8, sum, sizeof sum);
}

SLEEPS static void tell_exec(struct points *points, struct task *task)
{
    struct point_event event;
    struct mm *mm = task->mm;
    AUTO_PUT struct file *exe = NULL;
    if (mm->exe)
        exe = REF_GET(container_of(mm->exe, struct file, object));
    point_event_begin(&event, points, POINT_EXECVE, TYPE_EXECVE, task);
    if (exe)
        point_put_path(&event, 2, &exe->path, task);
    put_area(&event, task, 3, mm->arg_start, mm->arg_end);
    put_area(&event, task, 4, mm->env_start, mm->env_end);
    if (exe && point_wants(&event, OPTIONAL_BINARY_INFO)) {
        protobuf_put_u64(&event.out, 5, exe->inode->mode & 0xffff);
        protobuf_put_u64(&event.out, 6, exe->inode->uid);
        protobuf_put_u64(&event.out, 7, exe->inode->gid);
    }
    if (exe && point_wants(&event, OPTIONAL_BINARY_SHA256))
        put_hash(&event, task, exe);
    point_event_send_patiently(&event, &task->fiber);
}

void points_execed(struct task_observer *self, struct task *task)
{
    struct points *points = wanted(self, POINT_EXECVE);
    if (!points || !task->mm)
        return;
    points->busy++;
    tell_exec(points, task);
    if (--points->busy == 0)
        wake_up_all(&points->idle);
}

/* ---- exits ---------------------------------------------------------------------------------- */

void points_exit_notify(struct task_observer *self, struct thread_group *group)
{
    struct points *points = wanted(self, POINT_EXIT_NOTIFY);
    struct point_event event;
    if (!points || !group->leader)
        return;
    point_event_begin(&event, points, POINT_EXIT_NOTIFY, TYPE_EXIT_NOTIFY, group->leader);
    protobuf_put_i64(&event.out, 2, group->exit_code);
    point_event_send(&event);
}

void points_exited(struct task_observer *self, struct task *task)
{
    struct points *points = wanted(self, POINT_TASK_EXIT);
    struct point_event event;
    if (!points || !task->group)
        return;
    point_event_begin(&event, points, POINT_TASK_EXIT, TYPE_EXIT, task);
    protobuf_put_i64(&event.out, 2, task->exit_code);
    point_event_send(&event);
}
