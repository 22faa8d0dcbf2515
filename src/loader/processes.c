/* SPDX-License-Identifier: Apache-2.0 */
/* What ps and events see of a container's processes. Times of day are UTC: the sandbox has no zone.
 */
#include <errno.h>
#include <string.h>

#include "base/sort.h"
#include "base/time.h"
#include "loader/internal.h"
#include "sentry/fs/tty/tty.h"

#define CPU_PERCENT_MAX 99u
#define DAY_S 86400

/* HH:MM if it was today, else MonDD, else the year. */
static char *start_text(struct pool *pool, i64 start_s, i64 now_s)
{
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    i64 day = start_s / DAY_S, today = now_s / DAY_S;
    struct date date = date_of(day), now = date_of(today);
    u32 minutes = (u32)(start_s % DAY_S) / 60;
    if (day == today)
        return pool_printf(pool, "%02u:%02u", minutes / 60, minutes % 60);
    if (date.year == now.year)
        return pool_printf(pool, "%s%02u", months[date.month - 1], date.day);
    return pool_printf(pool, "%lld", (long long)date.year);
}

static char *tty_text(struct pool *pool, const struct thread_group *group)
{
    char name[32];
    u32 device;
    const struct session *session = group->pgrp ? group->pgrp->session : NULL;
    if (!session || !session->tty)
        return pool_strdup(pool, "?");
    tty_name(container_of(session->tty, struct tty, object), name, sizeof name, &device);
    return pool_strdup(pool, name);
}

static bool fill_threads(struct pool *pool, const struct thread_group *group,
                         const struct pid_ns *ns, struct process_row *row)
{
    const struct task *task;
    row->threads = pool_alloc_array(pool, group->task_count + 1, sizeof *row->threads);
    if (!row->threads)
        return false;
    list_for_each (task, &group->tasks, group_link)
        if (task->phase < PHASE_ZOMBIE && row->thread_count < group->task_count)
            row->threads[row->thread_count++] = task_tid_in(task, ns);
    return true;
}

/* LEADER's process as NS sees it; false without memory. */
static bool fill_row(struct kernel *kernel, struct pool *pool, struct task *leader,
                     const struct pid_ns *ns, struct process_row *row)
{
    struct thread_group *group = leader->group;
    u64 now = kernel_monotonic_ns(kernel);
    u64 realtime = kernel_realtime_ns(kernel);
    u64 alive = now > leader->start_ns ? now - leader->start_ns : 0;
    u64 user_ns;
    thread_group_times(group, &user_ns, &row->system_ns);
    row->group = group;
    row->uid = leader->cred->uid;
    row->pid = thread_group_pid_in(group, ns);
    row->ppid = group->parent ? thread_group_pid_in(group->parent, ns) : 0;
    row->pgid = group->pgrp ? pid_nr_in(group->pgrp->pid, ns) : 0;
    u64 percent = alive ? (user_ns + row->system_ns) / MAX(alive / 100, (u64)1) : 0;
    row->cpu_percent = (i32)MIN(percent, (u64)CPU_PERCENT_MAX);
    row->tty = tty_text(pool, group);
    row->start_time = start_text(pool, (i64)((realtime - MIN(alive, realtime)) / NS_PER_S),
                                 (i64)(realtime / NS_PER_S));
    row->command = pool_strndup(pool, leader->comm, strnlen(leader->comm, COMM_SIZE));
    return fill_threads(pool, group, ns, row) && row->tty && row->start_time && row->command;
}

static int compare_pids(const void *a, const void *b, void *arg)
{
    const struct process_row *left = a, *right = b;
    return left->pid < right->pid ? -1 : left->pid > right->pid;
}

/* ID NULL: all. */
static u32 count_groups(struct loader *loader, const char *id)
{
    struct task *task;
    u32 count = 0;
    list_for_each (task, &loader->kernel->tasks, kernel_link)
        count += task_leads(task, id) && !thread_group_has_ended(task->group);
    return count;
}

/* LIST has room for all; false without memory. */
static bool fill_rows(struct loader *loader, const char *id, const struct pid_ns *ns,
                      struct pool *pool, struct process_row *list)
{
    struct task *task;
    u32 used = 0;
    list_for_each (task, &loader->kernel->tasks, kernel_link) {
        if (!task_leads(task, id) || thread_group_has_ended(task->group))
            continue;
        if (!fill_row(loader->kernel, pool, task, ns, &list[used++]))
            return false;
    }
    return true;
}

int loader_processes(struct loader *loader, const char *id, struct pool *pool,
                     struct process_row **rows, u32 *count, struct error *err)
{
    const struct container *container = *id ? container_by_id(loader, id) : NULL;
    if (*id && !container)
        return not_found(id, err);
    const char *wanted = *id ? id : NULL;
    const struct pid_ns *ns = container && container->pid_ns ? container->pid_ns
                                                             : loader->kernel->root_pid_ns;
    *count = count_groups(loader, wanted);
    *rows = pool_alloc_array(pool, *count, sizeof **rows);
    if (!*rows || !fill_rows(loader, wanted, ns, pool, *rows))
        return error_set(err, ENOMEM, "out of memory");
    sort_stable(*rows, *count, sizeof **rows, compare_pids, NULL);
    return 0;
}

static u64 group_cpu_ns(const struct thread_group *group)
{
    u64 user_ns, system_ns;
    thread_group_times(group, &user_ns, &system_ns);
    return user_ns + system_ns + group->children_user_ns + group->children_system_ns;
}

/* Exec'd processes that have ended but were not waited for. */
static u64 ended_execs_cpu_ns(struct loader *loader, const char *id)
{
    const struct exec_entry *entry;
    u64 total = 0;
    list_for_each (entry, &loader->execs, link)
        if (strcmp(entry->container_id, id) == 0 && thread_group_has_ended(entry->group))
            total += group_cpu_ns(entry->group);
    return total;
}

u64 loader_container_cpu_ns(struct loader *loader, const char *id)
{
    const struct container *container = container_by_id(loader, id);
    struct task *task;
    if (!container)
        return 0;
    u64 total = container->past_cpu_ns + ended_execs_cpu_ns(loader, id);
    list_for_each (task, &loader->kernel->tasks, kernel_link)
        if (task_leads(task, id) && !thread_group_has_ended(task->group))
            total += group_cpu_ns(task->group);
    if (container_has_ended(container))
        total += group_cpu_ns(container->init);
    return total;
}

u32 loader_container_process_count(struct loader *loader, const char *id)
{
    return count_groups(loader, *id ? id : NULL);
}
