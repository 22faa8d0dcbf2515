/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups in a list, files in a table. Tasks are not linked to groups: who belongs to a container
 * says so by its id, and a count walks all tasks; it is made where a limit is set, at each birth.
 */
#include "sentry/kernel/control_group.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sentry/kernel/task.h"

#define NOT_FOUND "no such file or directory"
#define NOT_ALLOWED "permission denied"
#define NOT_VALID "invalid argument"

static struct control_group *make(struct kernel *kernel, const char *path)
{
    struct control_group *group = arena_alloc(kernel->arena, sizeof *group);
    char *copy = arena_strdup(kernel->arena, path);
    if (!group || !copy) {
        arena_free_string(kernel->arena, copy);
        arena_free(kernel->arena, group, sizeof *group);
        return NULL;
    }
    *group = (struct control_group){.path = copy,
                                    .pids_max = CONTROL_NO_LIMIT,
                                    .cpu_shares = 1024,
                                    .cpu_period_us = 100000,
                                    .cpu_quota_us = -1,
                                    .memory_limit = CONTROL_NO_LIMIT};
    list_add_tail(&kernel->control_groups, &group->link);
    return group;
}

struct control_group *control_group_find(struct kernel *kernel, const char *path)
{
    struct control_group *group;
    list_for_each (group, &kernel->control_groups, link)
        if (strcmp(group->path, path) == 0)
            return group;
    return strcmp(path, "/") == 0 ? make(kernel, "/") : NULL;
}

static struct control_group *of_container(struct kernel *kernel, const char *id)
{
    struct control_group *group;
    list_for_each (group, &kernel->control_groups, link)
        if (strcmp(group->path + 1, id) == 0 && id[0])
            return group;
    return NULL;
}

struct control_group *control_group_make(struct kernel *kernel, const char *id)
{
    AUTO_BUF struct buf path;
    struct control_group *group = of_container(kernel, id);
    if (group)
        return group;
    buf_init(&path, kernel->arena, 0);
    return buf_printf(&path, "/%s", id) || !buf_text(&path) ? NULL : make(kernel, buf_text(&path));
}

static void remove_group(struct kernel *kernel, struct control_group *group)
{
    list_remove(&group->link);
    arena_free_string(kernel->arena, group->path);
    arena_free(kernel->arena, group, sizeof *group);
}

void control_group_remove(struct kernel *kernel, const char *id)
{
    struct control_group *group = of_container(kernel, id);
    if (group)
        remove_group(kernel, group);
}

void control_groups_fini(struct kernel *kernel)
{
    while (!list_is_empty(&kernel->control_groups))
        remove_group(kernel, list_first(&kernel->control_groups, struct control_group, link));
}

/* ---- what they hold ------------------------------------------------------------------------- */

static bool holds(const struct control_group *group, const struct task *task)
{
    if (!task->group || task->phase >= PHASE_ZOMBIE)
        return false;
    const char *id = task->group->container_id;
    return group->path[1] == 0 || (id && strcmp(id, group->path + 1) == 0);
}

static u64 task_count(struct kernel *kernel, const struct control_group *group)
{
    const struct task *task;
    u64 count = 0;
    list_for_each (task, &kernel->tasks, kernel_link)
        count += holds(group, task);
    return count;
}

static void cpu_times(struct kernel *kernel, const struct control_group *group, u64 *user,
                      u64 *system)
{
    const struct task *task;
    *user = *system = 0;
    list_for_each (task, &kernel->tasks, kernel_link) {
        u64 task_user, task_system;
        if (!holds(group, task))
            continue;
        task_times(task, &task_user, &task_system);
        *user += task_user;
        *system += task_system;
        if (task->group->leader == task) {
            *user += task->group->dead_user_ns + task->group->children_user_ns;
            *system += task->group->dead_system_ns + task->group->children_system_ns;
        }
    }
}

/* Of all processes: their resident pages, shared ones counted with each; of "/" what the memory
 * file has. */
static u64 memory_usage(struct kernel *kernel, const struct control_group *group)
{
    const struct task *task;
    u64 frames = 0;
    if (group->path[1] == 0) {
        for (u32 use = 0; use < FRAME_USE_COUNT; use++)
            frames += kernel->memory->used[use];
        return frames * PAGE_SIZE;
    }
    list_for_each (task, &kernel->tasks, kernel_link)
        if (holds(group, task) && task->group->leader == task && task->mm)
            frames += task->mm->resident_count;
    return frames * PAGE_SIZE;
}

bool control_group_allows_task(struct kernel *kernel, const char *id)
{
    struct control_group *group;
    list_for_each (group, &kernel->control_groups, link) {
        bool is_ours = group->path[1] == 0 || (id && strcmp(group->path + 1, id) == 0);
        if (is_ours && group->pids_max != CONTROL_NO_LIMIT &&
            task_count(kernel, group) >= group->pids_max)
            return false;
    }
    return true;
}

/* ---- files ---------------------------------------------------------------------------------- */

enum file {
    PIDS_MAX,
    PIDS_CURRENT,
    CPU_SHARES,
    CPU_PERIOD,
    CPU_QUOTA,
    CPUACCT_USAGE,
    CPUACCT_USER,
    CPUACCT_SYSTEM,
    CPUACCT_STAT,
    MEMORY_USAGE,
    MEMORY_LIMIT,
    FILE_PROCS,
};

static const struct {
    const char *controller, *name; /* controller NULL: every one has it */
    enum file file;
} files[] = {
    {"pids", "pids.max", PIDS_MAX},
    {"pids", "pids.current", PIDS_CURRENT},
    {"cpu", "cpu.shares", CPU_SHARES},
    {"cpu", "cpu.cfs_period_us", CPU_PERIOD},
    {"cpu", "cpu.cfs_quota_us", CPU_QUOTA},
    {"cpuacct", "cpuacct.usage", CPUACCT_USAGE},
    {"cpuacct", "cpuacct.usage_user", CPUACCT_USER},
    {"cpuacct", "cpuacct.usage_sys", CPUACCT_SYSTEM},
    {"cpuacct", "cpuacct.stat", CPUACCT_STAT},
    {"memory", "memory.usage_in_bytes", MEMORY_USAGE},
    {"memory", "memory.limit_in_bytes", MEMORY_LIMIT},
    {NULL, "cgroup.procs", FILE_PROCS},
};

const char *control_group_controller(const char *controller)
{
    static const char *const active[] = {"cpu", "cpuacct", "memory", "pids"}, *const others[] = {
                                                                                  "cpuset",
                                                                                  "devices", "job"};
    for (size_t i = 0; i < ARRAY_COUNT(active); i++)
        if (strcmp(active[i], controller) == 0)
            return NULL;
    for (size_t i = 0; i < ARRAY_COUNT(others); i++)
        if (strcmp(others[i], controller) == 0)
            return "controller not active";
    return "no such cgroup controller";
}

static bool find_file(const char *controller, const char *name, enum file *out)
{
    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        const char *of = files[i].controller;
        if (strcmp(files[i].name, name) == 0 && (!of || strcmp(of, controller) == 0)) {
            *out = files[i].file;
            return true;
        }
    }
    return false;
}

static int put_procs(struct kernel *kernel, const struct control_group *group, struct buf *out)
{
    const struct task *task;
    int err = 0;
    list_for_each (task, &kernel->tasks, kernel_link)
        if (!err && holds(group, task) && task->group->leader == task)
            err = buf_printf(out, "%u\n", thread_group_pid_in(task->group, kernel->root_pid_ns));
    return err;
}

static int put_limit(struct buf *out, u64 limit, const char *none)
{
    return limit == CONTROL_NO_LIMIT ? buf_append_text(out, none)
                                     : buf_printf(out, "%llu", (unsigned long long)limit);
}

static int put_number(struct buf *out, u64 number)
{
    return buf_printf(out, "%llu", (unsigned long long)number);
}

static int put_cpu(struct kernel *kernel, const struct control_group *group, enum file file,
                   struct buf *out)
{
    u64 user, system, tick = NS_PER_S / 100;
    cpu_times(kernel, group, &user, &system);
    if (file == CPUACCT_STAT)
        return buf_printf(out, "user %llu\nsystem %llu", (unsigned long long)(user / tick),
                          (unsigned long long)(system / tick));
    return put_number(out, file == CPUACCT_USER     ? user
                           : file == CPUACCT_SYSTEM ? system
                                                    : user + system);
}

static int put_file(struct kernel *kernel, const struct control_group *group, enum file file,
                    struct buf *out)
{
    switch (file) {
    case PIDS_MAX:
        return put_limit(out, group->pids_max, "max");
    case PIDS_CURRENT:
        return put_number(out, task_count(kernel, group));
    case CPU_SHARES:
        return put_number(out, group->cpu_shares);
    case CPU_PERIOD:
        return put_number(out, group->cpu_period_us);
    case CPU_QUOTA:
        return buf_printf(out, "%lld", (long long)group->cpu_quota_us);
    case MEMORY_USAGE:
        return put_number(out, memory_usage(kernel, group));
    case MEMORY_LIMIT:
        return put_limit(out, group->memory_limit, "9223372036854771712");
    case FILE_PROCS:
        return put_procs(kernel, group, out);
    default:
        return put_cpu(kernel, group, file, out);
    }
}

const char *control_group_read(struct kernel *kernel, const struct control_group *group,
                               const char *controller, const char *name, struct buf *out)
{
    enum file file;
    if (!find_file(controller, name, &file))
        return NOT_FOUND;
    return put_file(kernel, group, file, out) ? "out of memory" : NULL;
}

/* A number within bounds; NONE stands for no limit. */
static bool parse(const char *text, const char *none, i64 min, i64 *out)
{
    char *end;
    if (none && strcmp(text, none) == 0) {
        *out = -1;
        return true;
    }
    if (!*text || strlen(text) > 18)
        return false;
    *out = strtol(text, &end, 10);
    return *end == 0 && *out >= min;
}

const char *control_group_write(struct control_group *group, const char *controller,
                                const char *name, const char *value)
{
    enum file file;
    i64 number;
    if (!find_file(controller, name, &file))
        return NOT_FOUND;
    switch (file) {
    case PIDS_MAX:
        if (!parse(value, "max", 0, &number))
            return NOT_VALID;
        group->pids_max = number < 0 ? CONTROL_NO_LIMIT : (u64)number;
        return NULL;
    case CPU_SHARES:
        if (!parse(value, NULL, 2, &number))
            return NOT_VALID;
        group->cpu_shares = (u64)number;
        return NULL;
    case CPU_PERIOD:
        if (!parse(value, NULL, 1000, &number) || number > 1000000)
            return NOT_VALID;
        group->cpu_period_us = (u64)number;
        return NULL;
    case CPU_QUOTA:
        if (!parse(value, "-1", 1000, &number))
            return NOT_VALID;
        group->cpu_quota_us = number;
        return NULL;
    case MEMORY_LIMIT:
        if (!parse(value, "-1", 0, &number))
            return NOT_VALID;
        group->memory_limit = number < 0 ? CONTROL_NO_LIMIT : (u64)number;
        return NULL;
    default:
        return NOT_ALLOWED;
    }
}
