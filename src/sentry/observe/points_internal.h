/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the trace points share. */
#pragma once
#include "sentry/observe/points.h"
#include "sentry/syscalls/syscalls.h"

struct points {
    struct kernel *kernel;
    struct call_observer calls;
    struct task_observer tasks;
    u32 busy; /* fibers inside an observer */
    struct wait_queue idle;
    bool is_ending;
    struct point_sink sinks[POINT_SINKS_MAX];
    u32 sink_count;
    struct point_setting settings[POINT_COUNT];
};

/* A message in the making. */
struct point_event {
    struct points *points;
    const struct point_setting *setting;
    struct buf buf, text;
    struct protobuf out;
};
/* TYPE's header and TASK's context. SETTING is on. */
void point_event_begin(struct point_event *event, struct points *points, u32 point, u32 type,
                       const struct task *task);
/* To all sinks. FIBER NULL: a full sink gets no second try. */
void point_event_send(struct point_event *event);
SLEEPS void point_event_send_patiently(struct point_event *event, struct fiber *fiber);
void point_put_path(struct point_event *event, u32 field, const struct path *path,
                    const struct task *task);
static inline bool point_wants(const struct point_event *event, enum point_optional optional)
{
    return event->setting->optional >> optional & 1;
}

/* points_call.c and points_task.c */
SLEEPS void points_enter(struct call_observer *self, struct task *task, u64 nr,
                         const struct syscall_row *row, const struct sysargs *args);
SLEEPS void points_exit(struct call_observer *self, struct task *task, u64 nr,
                        const struct syscall_row *row, const struct sysargs *args, i64 result);
void points_cloned(struct task_observer *self, struct task *parent, struct task *child, u64 flags);
SLEEPS void points_execed(struct task_observer *self, struct task *task);
void points_exit_notify(struct task_observer *self, struct thread_group *group);
void points_exited(struct task_observer *self, struct task *task);
/* "4I0 5P0" of NR's row, or NULL. */
const char *point_call_fields(u64 nr, u32 *type);
const char *point_call_name(u64 nr);
