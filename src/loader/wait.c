/* SPDX-License-Identifier: Apache-2.0 */
/* Wait statuses for callers outside: of a container's first process, of exec'd ones, of any other.
 */
#include <errno.h>
#include <string.h>

#include "loader/internal.h"

static int interrupted(struct error *err)
{
    return error_set(err, EINTR, "interrupted");
}

/* Sleeps until GROUP, which the caller holds, has ended. */
SLEEPS static int wait_group(struct loader *loader, struct task *by, struct thread_group *group,
                             struct error *err)
{
    while (!thread_group_has_ended(group))
        if (sleep_on(&loader->kernel->task_ended, by, NO_DEADLINE))
            return interrupted(err);
    return 0;
}

/* A restore under way decides what there is to wait for. */
SLEEPS static int wait_for_restore(struct loader *loader, struct task *by, struct error *err)
{
    while (loader->state == LOADER_RESTORING_UNSTARTED || loader->state == LOADER_RESTORING_STARTED)
        if (sleep_on(&loader->changed, by, NO_DEADLINE))
            return interrupted(err);
    return 0;
}

int loader_wait(struct loader *loader, struct task *by, const char *id, u32 *status,
                struct error *err)
{
    if (wait_for_restore(loader, by, err))
        return -1;
    AUTO_PUT struct container *container = container_lookup(loader, id);
    if (!container)
        return not_found(id, err);
    if (loader->state == LOADER_RESTORE_FAILED) {
        *status = 1u << 8;
        return 0;
    }
    if (container->phase != CONTAINER_PHASE_STARTED)
        return error_set(err, EINVAL, "container \"%s\" not started", id);
    if (wait_group(loader, by, container->init, err))
        return -1;
    *status = (u32)container->init->exit_code;
    return 0;
}

/* ---- WaitPID -------------------------------------------------------------------------------- */

static struct exec_entry *find_exec(struct loader *loader, const char *id, u32 pid)
{
    struct exec_entry *entry;
    list_for_each (entry, &loader->execs, link)
        if (entry->pid == pid && strcmp(entry->container_id, id) == 0)
            return entry;
    return NULL;
}

/* GROUP's status was told: its row goes, if it still is there. */
static void reap_exec(struct loader *loader, const struct thread_group *group)
{
    struct arena *arena = loader->kernel->arena;
    struct exec_entry *entry;
    list_for_each (entry, &loader->execs, link) {
        if (entry->group != group)
            continue;
        struct container *container = container_by_id(loader, entry->container_id);
        u64 user_ns, system_ns;
        thread_group_times(group, &user_ns, &system_ns);
        if (container)
            container->past_cpu_ns += user_ns + system_ns + group->children_user_ns +
                                      group->children_system_ns;
        list_remove(&entry->link);
        REF_PUT(entry->group);
        arena_free_string(arena, entry->container_id);
        arena_free(arena, entry, sizeof *entry);
        return;
    }
}

/* A reference to the process PID of container ID, or the error. */
static int find_process(struct loader *loader, const char *id, u32 pid, struct thread_group **out,
                        struct error *err)
{
    const struct exec_entry *entry = find_exec(loader, id, pid);
    if (entry) {
        *out = REF_GET(entry->group);
        return 0;
    }
    const struct container *container = container_by_id(loader, id);
    if (!container)
        return not_found(id, err);
    struct thread_group *group = container->pid_ns ? thread_group_find(container->pid_ns, pid)
                                                   : NULL;
    if (!group && container->init && container->init->pid == pid)
        group = container->init; /* ended: its number may be free already */
    if (!group)
        return error_set(err, ESRCH, "waiting for PID %u: no such process", pid);
    if (!group->container_id || strcmp(group->container_id, id) != 0)
        return error_set(err, EINVAL, "process %u is part of a different container: \"%s\"", pid,
                         group->container_id ? group->container_id : "");
    *out = REF_GET(group);
    return 0;
}

int loader_wait_pid(struct loader *loader, struct task *by, const char *id, i32 pid, u32 *status,
                    struct error *err)
{
    AUTO_PUT struct thread_group *group = NULL;
    if (pid <= 0)
        return error_set(err, EINVAL, "PID (%d) must be positive", pid);
    if (wait_for_restore(loader, by, err) || find_process(loader, id, (u32)pid, &group, err) ||
        wait_group(loader, by, group, err))
        return -1;
    *status = (u32)group->exit_code;
    reap_exec(loader, group);
    return 0;
}
