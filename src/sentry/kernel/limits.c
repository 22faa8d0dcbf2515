/* SPDX-License-Identifier: Apache-2.0 */
/* Resource limits: names and the values of a process for which nothing was said (getrlimit(2)). */
#include "sentry/kernel/limits.h"

#include <string.h>

#include "sentry/kernel/task.h"

static const char *const limit_names[RLIMIT_COUNT] = {
    "CPU",     "FSIZE", "DATA",  "STACK",      "CORE",     "RSS",  "NPROC",  "NOFILE",
    "MEMLOCK", "AS",    "LOCKS", "SIGPENDING", "MSGQUEUE", "NICE", "RTPRIO", "RTTIME",
};

void limits_init(struct limits *limits)
{
    for (u32 i = 0; i < RLIMIT_COUNT; i++)
        limits->v[i] = (struct limit){RLIM_INFINITY_, RLIM_INFINITY_};
    limits->v[RLIMIT_STACK_].soft = (u64)8 << 20;
    limits->v[RLIMIT_NOFILE_] = (struct limit){1048576, 1048576};
    limits->v[RLIMIT_MEMLOCK_] = (struct limit){(u64)64 << 10, (u64)64 << 10};
    limits->v[RLIMIT_SIGPENDING_] = (struct limit){32768, 32768};
    limits->v[RLIMIT_MSGQUEUE_] = (struct limit){819200, 819200};
    limits->v[RLIMIT_NICE_] = (struct limit){0, 0};
    limits->v[RLIMIT_RTPRIO_] = (struct limit){0, 0};
}

int limit_by_name(const char *name)
{
    if (strncmp(name, "RLIMIT_", 7) == 0)
        name += 7;
    for (int i = 0; i < RLIMIT_COUNT; i++)
        if (strcmp(name, limit_names[i]) == 0)
            return i;
    return -1;
}

u64 task_limit(const struct task *task, u32 resource)
{
    ASSERT(resource < RLIMIT_COUNT);
    return task->group ? task->group->limits.v[resource].soft : RLIM_INFINITY_;
}

void task_apply_limits(struct task *task)
{
    if (!task->mm || !task->group)
        return;
    task->mm->limit_as = task_limit(task, RLIMIT_AS_);
    task->mm->limit_data = task_limit(task, RLIMIT_DATA_);
    task->mm->limit_stack = task_limit(task, RLIMIT_STACK_);
    task->mm->limit_memlock = task_limit(task, RLIMIT_MEMLOCK_);
}
