/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pid_namespaces(7). Tables go from number to struct pid, in every namespace where it is visible.
 * The table's reference and the namespace's make a cycle that pid_unuse of the last user breaks.
 */
#include "sentry/kernel/pid.h"

#include "abi/errno.h"
#include "base/fields.h"
#include "base/state.h"
#include "sentry/kernel/task.h"

static const struct field pid_ns_fields[] = {
    FIELD_NONE(struct pid_ns, object, "the walker's own header"),
    FIELD_NONE(struct pid_ns, kernel, "the kernel that loads it"),
    FIELD_REF(struct pid_ns, parent, struct pid_ns),
    FIELD_REF(struct pid_ns, user_ns, struct user_ns),
    FIELD_WEAK(struct pid_ns, init, struct thread_group),
    FIELD_MAP(struct pid_ns, pids, struct pid),
    FIELD(struct pid_ns, level),
    FIELD(struct pid_ns, last_nr),
    FIELD(struct pid_ns, inode_nr),
    FIELD(struct pid_ns, is_closed),
    FIELD_NONE(struct pid_ns, changed, "its init looks again"),
    FIELD_END,
};
FIELDS_COMPLETE(struct pid_ns, pid_ns_fields);

static void pid_ns_destroy(struct object *object)
{
    struct pid_ns *ns = container_of(object, struct pid_ns, object);
    ASSERT(ns->pids.count == 0);
    map_fini(&ns->pids);
    REF_CLEAR(ns->user_ns);
    REF_CLEAR(ns->parent);
}

static int pid_ns_loaded(struct object *object, struct state_reader *reader)
{
    struct pid_ns *ns = container_of(object, struct pid_ns, object);
    ns->kernel = state_reader_kernel(reader);
    return ns->level < PID_NS_DEPTH_MAX ? 0 : -EINVAL;
}

const struct kind pid_ns_kind = {.name = "pid_ns",
                                 .size = sizeof(struct pid_ns),
                                 .fields = pid_ns_fields,
                                 .destroy = pid_ns_destroy,
                                 .loaded = pid_ns_loaded};

int pid_ns_create(struct kernel *kernel, struct pid_ns *parent, struct user_ns *user_ns,
                  struct pid_ns **out)
{
    if (parent && parent->level + 1 >= PID_NS_DEPTH_MAX)
        return -ENOSPC;
    struct pid_ns *ns = object_create(kernel->arena, &pid_ns_kind);
    if (!ns)
        return -ENOMEM;
    ns->kernel = kernel;
    ns->parent = REF_GET(parent);
    ns->user_ns = REF_GET(user_ns);
    ns->level = parent ? parent->level + 1 : 0;
    ns->inode_nr = kernel_next_inode_nr(kernel);
    map_init(&ns->pids, kernel->arena);
    *out = ns;
    return 0;
}

bool pid_ns_is_within(const struct pid_ns *ns, const struct pid_ns *ancestor)
{
    for (; ns; ns = ns->parent)
        if (ns == ancestor)
            return true;
    return false;
}

/* ---- struct pid ----------------------------------------------------------------------------- */

static const struct field pid_fields[] = {
    FIELD_NONE(struct pid, object, "the walker's own header"),
    FIELD_REF(struct pid, ns, struct pid_ns),
    FIELD_BYTES(struct pid, nrs),
    FIELD(struct pid, user_count),
    FIELD_WEAK(struct pid, task, struct task),
    FIELD_WEAK(struct pid, pgrp, struct process_group),
    FIELD_WEAK(struct pid, session, struct session),
    FIELD(struct pid, has_exited),
    FIELD(struct pid, exit_code),
    FIELD_NONE(struct pid, exited, "a sleeper starts its system call again"),
    FIELD_END,
};
FIELDS_COMPLETE(struct pid, pid_fields);

static void pid_destroy(struct object *object)
{
    struct pid *pid = container_of(object, struct pid, object);
    ASSERT(pid->user_count == 0);
    wait_queue_abandon(&pid->exited);
    REF_CLEAR(pid->ns);
}

const struct kind pid_kind = {
    .name = "pid", .size = sizeof(struct pid), .fields = pid_fields, .destroy = pid_destroy};

/* The next free number after the last one, as Linux goes round; 0: none. */
static u32 next_free(const struct pid_ns *ns)
{
    u32 nr = ns->last_nr;
    for (u32 tries = 0; tries < PID_MAX; tries++) {
        nr++;
        if (nr >= PID_MAX)
            nr = PID_RESERVED;
        if (!map_find(&ns->pids, nr))
            return nr;
    }
    return 0;
}

/* Choose and insert a number in NS. */
static int take_number(struct pid_ns *ns, struct pid *pid, u32 wanted)
{
    u32 nr = wanted;
    if (wanted) {
        if (wanted >= PID_MAX || (wanted != 1 && !ns->init && ns->pids.count == 0))
            return -EINVAL;
    } else {
        nr = next_free(ns);
        if (nr == 0)
            return -EAGAIN;
    }
    int err = map_add(&ns->pids, nr, pid);
    if (err)
        return err;
    object_get_(&pid->object);
    pid->nrs[ns->level] = nr;
    if (!wanted)
        ns->last_nr = nr;
    return 0;
}

static void give_numbers_back(struct pid *pid, u32 from_level)
{
    for (struct pid_ns *ns = pid->ns; ns && ns->level >= from_level; ns = ns->parent)
        if (map_remove(&ns->pids, pid->nrs[ns->level]))
            object_put(&pid->object);
}

int pid_alloc(struct pid_ns *ns, const u32 *wanted, u32 count, struct pid **out)
{
    if (ns->is_closed)
        return -ENOMEM;
    if (count > ns->level + 1)
        return -EINVAL;
    struct pid *pid = object_create(ns->object.arena, &pid_kind);
    if (!pid)
        return -ENOMEM;
    pid->ns = REF_GET(ns);
    for (struct pid_ns *at = ns; at; at = at->parent) {
        u32 depth = ns->level - at->level;
        int err = take_number(at, pid, depth < count ? wanted[depth] : 0);
        if (err) {
            give_numbers_back(pid, at->level + 1);
            object_put(&pid->object);
            return err;
        }
    }
    *out = pid;
    return 0;
}

void pid_use(struct pid *pid)
{
    pid->user_count++;
}

void pid_unuse(struct pid *pid)
{
    ASSERT(pid->user_count > 0);
    if (--pid->user_count > 0)
        return;
    object_get_(&pid->object);
    give_numbers_back(pid, 0);
    object_put(&pid->object);
}

struct pid *pid_find(const struct pid_ns *ns, u32 nr)
{
    return nr ? map_find(&ns->pids, nr) : NULL;
}

u32 pid_nr_in(const struct pid *pid, const struct pid_ns *ns)
{
    return pid && pid_ns_is_within(pid->ns, ns) ? pid->nrs[ns->level] : 0;
}

struct task *task_find(struct pid_ns *ns, u32 tid)
{
    struct pid *pid = pid_find(ns, tid);
    return pid ? pid->task : NULL;
}

struct thread_group *thread_group_find(struct pid_ns *ns, u32 pid)
{
    struct task *task = task_find(ns, pid);
    return task && task->group->leader == task ? task->group : NULL;
}

struct process_group *process_group_find(struct pid_ns *ns, u32 pgid)
{
    struct pid *pid = pid_find(ns, pgid);
    return pid ? pid->pgrp : NULL;
}

u32 task_tid_in(const struct task *task, const struct pid_ns *ns)
{
    return pid_nr_in(task->pid, ns);
}

u32 thread_group_pid_in(const struct thread_group *group, const struct pid_ns *ns)
{
    return group && group->leader ? pid_nr_in(group->leader->pid, ns) : 0;
}

struct task *pid_ns_next_task(struct pid_ns *ns, u32 from, u32 *nr)
{
    u64 key = from;
    for (;;) {
        struct pid *pid = map_ceiling(&ns->pids, key, &key);
        if (!pid)
            return NULL;
        if (pid->task) {
            *nr = (u32)key;
            return pid->task;
        }
        key++;
    }
}

struct thread_group *pid_ns_next_group(struct pid_ns *ns, u32 from, u32 *nr)
{
    for (;;) {
        struct task *task = pid_ns_next_task(ns, from, nr);
        if (!task)
            return NULL;
        if (task->group->leader == task)
            return task->group;
        from = *nr + 1;
    }
}
