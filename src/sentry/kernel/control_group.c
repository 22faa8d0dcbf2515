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
                                    .nr = path[1] ? ++kernel->control_group_last : 0,
                                    .limits = {.pids_max = CONTROL_NO_LIMIT,
                                               .cpu_shares = 1024,
                                               .cpu_period_us = 100000,
                                               .cpu_quota_us = -1,
                                               .memory_limit = CONTROL_NO_LIMIT,
                                               .memory_soft_limit = CONTROL_NO_LIMIT}};
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

struct control_group *control_group_by_nr(struct kernel *kernel, u32 nr)
{
    struct control_group *group;
    list_for_each (group, &kernel->control_groups, link)
        if (group->nr == nr)
            return group;
    return nr == 0 ? control_group_find(kernel, "/") : NULL;
}

struct control_group *control_group_of(struct kernel *kernel, const char *id)
{
    struct control_group *group = id ? of_container(kernel, id) : NULL;
    return group ? group : control_group_find(kernel, "/");
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

u64 control_group_cpu_ns(struct kernel *kernel, const struct control_group *group)
{
    u64 user, system;
    cpu_times(kernel, group, &user, &system);
    return user + system;
}

/* Of all processes: their resident pages, shared ones counted with each; of "/" what the memory
 * file has. */
u64 control_group_memory(struct kernel *kernel, const struct control_group *group)
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
        if (is_ours && group->limits.pids_max != CONTROL_NO_LIMIT &&
            task_count(kernel, group) >= group->limits.pids_max)
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
    CPU_STAT,
    CPUACCT_USAGE,
    CPUACCT_USER,
    CPUACCT_SYSTEM,
    CPUACCT_STAT,
    CPUSET_CPUS,
    CPUSET_MEMS,
    DEVICES_LIST,
    JOB_ID,
    MEMORY_USAGE,
    MEMORY_LIMIT,
    MEMORY_SOFT_LIMIT,
    FILE_PROCS,
    FILE_TASKS,
};

static const struct {
    u32 controller; /* CONTROL_COUNT: every one has it */
    const char *name;
    enum file file;
    bool is_writable;
} files[] = {
    {CONTROL_PIDS, "pids.max", PIDS_MAX, true},
    {CONTROL_PIDS, "pids.current", PIDS_CURRENT, false},
    {CONTROL_CPU, "cpu.shares", CPU_SHARES, true},
    {CONTROL_CPU, "cpu.cfs_period_us", CPU_PERIOD, true},
    {CONTROL_CPU, "cpu.cfs_quota_us", CPU_QUOTA, true},
    {CONTROL_CPU, "cpu.stat", CPU_STAT, false},
    {CONTROL_CPUACCT, "cpuacct.usage", CPUACCT_USAGE, false},
    {CONTROL_CPUACCT, "cpuacct.usage_user", CPUACCT_USER, false},
    {CONTROL_CPUACCT, "cpuacct.usage_sys", CPUACCT_SYSTEM, false},
    {CONTROL_CPUACCT, "cpuacct.stat", CPUACCT_STAT, false},
    {CONTROL_CPUSET, "cpuset.cpus", CPUSET_CPUS, true},
    {CONTROL_CPUSET, "cpuset.mems", CPUSET_MEMS, true},
    {CONTROL_DEVICES, "devices.list", DEVICES_LIST, false},
    {CONTROL_JOB, "job.id", JOB_ID, true},
    {CONTROL_MEMORY, "memory.usage_in_bytes", MEMORY_USAGE, false},
    {CONTROL_MEMORY, "memory.limit_in_bytes", MEMORY_LIMIT, true},
    {CONTROL_MEMORY, "memory.soft_limit_in_bytes", MEMORY_SOFT_LIMIT, true},
    {CONTROL_COUNT, "cgroup.procs", FILE_PROCS, true},
    {CONTROL_COUNT, "tasks", FILE_TASKS, true},
};

static const char *const controllers[CONTROL_COUNT] = {
    [CONTROL_CPU] = "cpu",         [CONTROL_CPUACCT] = "cpuacct", [CONTROL_CPUSET] = "cpuset",
    [CONTROL_DEVICES] = "devices", [CONTROL_JOB] = "job",         [CONTROL_MEMORY] = "memory",
    [CONTROL_PIDS] = "pids"};

#define ALWAYS_ACTIVE \
    (1u << CONTROL_CPU | 1u << CONTROL_CPUACCT | 1u << CONTROL_MEMORY | 1u << CONTROL_PIDS)

const char *control_controller_name(u32 controller)
{
    return controllers[controller];
}

u32 control_controller_find(const char *name)
{
    u32 i = 0;
    while (i < CONTROL_COUNT && strcmp(controllers[i], name) != 0)
        i++;
    return i;
}

const char *control_group_controller(const char *controller, u32 active)
{
    u32 found = control_controller_find(controller);
    if (found == CONTROL_COUNT)
        return "no such cgroup controller";
    return (active | ALWAYS_ACTIVE) & 1u << found ? NULL : "controller not active";
}

bool control_file_at(u32 index, struct control_file_info *out)
{
    if (index >= ARRAY_COUNT(files))
        return false;
    *out = (struct control_file_info){files[index].name, files[index].controller,
                                      files[index].is_writable};
    return true;
}

static bool find_file(const char *controller, const char *name, u32 *out)
{
    u32 of = control_controller_find(controller);
    for (*out = 0; *out < ARRAY_COUNT(files); ++*out)
        if (strcmp(files[*out].name, name) == 0 &&
            (files[*out].controller == CONTROL_COUNT || files[*out].controller == of))
            return true;
    return false;
}

static int put_members(struct kernel *kernel, const struct control_group *group, bool has_threads,
                       const struct pid_ns *ns, struct buf *out)
{
    const struct task *task;
    int err = 0;
    list_for_each (task, &kernel->tasks, kernel_link) {
        u32 nr = holds(group, task) && task->pid ? pid_nr_in(task->pid, ns) : 0;
        if (!err && nr && (has_threads || task->group->leader == task))
            err = buf_printf(out, "%u\n", nr);
    }
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

static int put_cpus(const struct kernel *kernel, const struct control_group *group, struct buf *out)
{
    u32 count = sched_cpu_count(kernel->sched);
    if (group->cpus[0])
        return buf_append_text(out, group->cpus);
    return count > 1 ? buf_printf(out, "0-%u", count - 1) : buf_append_text(out, "0");
}

static int put_file(struct kernel *kernel, const struct control_group *group, enum file file,
                    const struct pid_ns *ns, struct buf *out)
{
    static const char no_memory_limit[] = "9223372036854771712";
    const struct control_limits *limits = &group->limits;
    switch (file) {
    case PIDS_MAX:
        return put_limit(out, limits->pids_max, "max");
    case PIDS_CURRENT:
        return put_number(out, task_count(kernel, group));
    case CPU_SHARES:
        return put_number(out, limits->cpu_shares);
    case CPU_PERIOD:
        return put_number(out, limits->cpu_period_us);
    case CPU_QUOTA:
        return buf_printf(out, "%lld", (long long)limits->cpu_quota_us);
    case CPU_STAT: /* no quota is enforced */
        return buf_append_text(out, "nr_periods 0\nnr_throttled 0\nthrottled_time 0");
    case CPUSET_CPUS:
        return put_cpus(kernel, group, out);
    case CPUSET_MEMS:
        return buf_append_text(out, group->mems[0] ? group->mems : "0");
    case DEVICES_LIST: /* nothing is denied by a group */
        return buf_append_text(out, "a *:* rwm");
    case JOB_ID:
        return buf_printf(out, "%lld", (long long)limits->job_id);
    case MEMORY_USAGE:
        return put_number(out, control_group_memory(kernel, group));
    case MEMORY_LIMIT:
        return put_limit(out, limits->memory_limit, no_memory_limit);
    case MEMORY_SOFT_LIMIT:
        return put_limit(out, limits->memory_soft_limit, no_memory_limit);
    case FILE_PROCS:
    case FILE_TASKS:
        return put_members(kernel, group, file == FILE_TASKS, ns, out);
    default:
        return put_cpu(kernel, group, file, out);
    }
}

int control_file_show(struct kernel *kernel, const struct control_group *group, u32 index,
                      const struct pid_ns *ns, struct buf *out)
{
    return put_file(kernel, group, files[index].file, ns, out);
}

const char *control_group_read(struct kernel *kernel, const struct control_group *group,
                               const char *controller, const char *name, struct buf *out)
{
    u32 index;
    if (!find_file(controller, name, &index))
        return NOT_FOUND;
    return control_file_show(kernel, group, index, kernel->root_pid_ns, out) ? "out of memory"
                                                                             : NULL;
}

/* ---- writing -------------------------------------------------------------------------------- */

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

/* "0-2,5": numbers below COUNT, ranges the right way round. */
static bool is_list(const char *text, u32 count)
{
    if (!*text || strlen(text) >= CONTROL_LIST_SIZE)
        return false;
    for (;;) {
        char *end;
        unsigned long first = *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : count;
        if (first >= count)
            return false;
        if (*end == '-') {
            text = end + 1;
            unsigned long last = *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : count;
            if (last >= count || last < first)
                return false;
        }
        if (*end == 0)
            return true;
        if (*end != ',')
            return false;
        text = end + 1;
    }
}

static bool store_limit(const char *value, const char *none, u64 *limit)
{
    i64 number;
    if (!parse(value, none, 0, &number))
        return false;
    *limit = number < 0 ? CONTROL_NO_LIMIT : (u64)number;
    return true;
}

static bool store_cpu(struct control_limits *limits, enum file file, const char *value)
{
    i64 number;
    if (file == CPU_QUOTA) {
        if (!parse(value, "-1", 1000, &number))
            return false;
        limits->cpu_quota_us = number;
        return true;
    }
    if (!parse(value, NULL, file == CPU_SHARES ? 2 : 1000, &number) ||
        (file == CPU_PERIOD && number > 1000000))
        return false;
    *(file == CPU_SHARES ? &limits->cpu_shares : &limits->cpu_period_us) = (u64)number;
    return true;
}

/* Nobody changes groups: a task may be written into the one that it is in. */
static bool is_member(struct kernel *kernel, const struct control_group *group,
                      const struct pid_ns *ns, const char *value)
{
    const struct task *task;
    i64 nr;
    if (!parse(value, NULL, 1, &nr))
        return false;
    list_for_each (task, &kernel->tasks, kernel_link)
        if (holds(group, task) && task->pid && pid_nr_in(task->pid, ns) == (u64)nr)
            return true;
    return false;
}

int control_file_store(struct kernel *kernel, struct control_group *group, u32 index,
                       const struct pid_ns *ns, const char *value)
{
    struct control_limits *limits = &group->limits;
    i64 number;
    bool is_good;
    if (!files[index].is_writable)
        return -EACCES;
    switch (files[index].file) {
    case PIDS_MAX:
        is_good = store_limit(value, "max", &limits->pids_max);
        break;
    case MEMORY_LIMIT:
        is_good = store_limit(value, "-1", &limits->memory_limit);
        break;
    case MEMORY_SOFT_LIMIT:
        is_good = store_limit(value, "-1", &limits->memory_soft_limit);
        break;
    case JOB_ID:
        is_good = parse(value, NULL, INT64_MIN, &number);
        limits->job_id = is_good ? number : limits->job_id;
        break;
    case CPUSET_CPUS:
        is_good = is_list(value, sched_cpu_count(kernel->sched));
        if (is_good)
            memcpy(group->cpus, value, strlen(value) + 1);
        break;
    case CPUSET_MEMS:
        is_good = is_list(value, 1);
        if (is_good)
            memcpy(group->mems, value, strlen(value) + 1);
        break;
    case FILE_PROCS:
    case FILE_TASKS:
        is_good = is_member(kernel, group, ns, value);
        break;
    default:
        is_good = store_cpu(limits, files[index].file, value);
    }
    return is_good ? 0 : -EINVAL;
}

const char *control_group_write(struct kernel *kernel, struct control_group *group,
                                const char *controller, const char *name, const char *value)
{
    u32 index;
    if (!find_file(controller, name, &index))
        return NOT_FOUND;
    int err = control_file_store(kernel, group, index, kernel->root_pid_ns, value);
    return err == -EACCES ? NOT_ALLOWED : err ? NOT_VALID : NULL;
}
