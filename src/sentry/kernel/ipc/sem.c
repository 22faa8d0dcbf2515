/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Semaphore sets (semop(2)). Operations are tried on a copy: all are done or none. A sleeper tries
 * again whenever the set changes, oldest first. SEM_UNDO is kept by process.
 */
#include <string.h>

#include "abi/errno.h"
#include "base/fields.h"
#include "base/state.h"
#include "sentry/kernel/ipc/ipc.h"

static const struct field sem_fields[] = {
    FIELD(struct sem, value),
    FIELD_NONE(struct sem, waits_more, "sleepers start their call again"),
    FIELD_NONE(struct sem, waits_zero, "sleepers start their call again"),
    FIELD(struct sem, last_pid),
    FIELD_END,
};
FIELDS_COMPLETE(struct sem, sem_fields);

static const struct field change_fields[] = {
    {.name = "change", .type = FIELD_TYPE_INT, .size = sizeof(i16)},
    FIELD_END,
};

static const struct field sem_undo_fields[] = {
    FIELD_NONE(struct sem_undo, object, "the walker's own header"),
    FIELD_NONE(struct sem_undo, link, "its set's list"),
    FIELD_WEAK(struct sem_undo, group, struct thread_group),
    FIELD(struct sem_undo, count),
    FIELD_STRUCTS(struct sem_undo, changes, i16, change_fields, count),
    FIELD_END,
};
FIELDS_COMPLETE(struct sem_undo, sem_undo_fields);

static void sem_undo_destroy(struct object *object)
{
    struct sem_undo *undo = container_of(object, struct sem_undo, object);
    arena_free(object->arena, undo->changes, undo->count * sizeof *undo->changes);
}

const struct kind sem_undo_kind = {.name = "sem_undo",
                                   .size = sizeof(struct sem_undo),
                                   .fields = sem_undo_fields,
                                   .destroy = sem_undo_destroy};

static const struct field sem_set_fields[] = {
    FIELD_STRUCT(struct sem_set, ipc, ipc_object_fields),
    FIELD(struct sem_set, count),
    FIELD_STRUCTS(struct sem_set, sems, struct sem, sem_fields, count),
    FIELD(struct sem_set, otime),
    FIELD_LIST(struct sem_set, undos, struct sem_undo, link, true),
    FIELD_NONE(struct sem_set, changed, "a sleeper starts its system call again"),
    FIELD_END,
};
FIELDS_COMPLETE(struct sem_set, sem_set_fields);

static void forget_undos(struct sem_set *set)
{
    while (set->undos.next && !list_is_empty(&set->undos)) {
        struct sem_undo *undo = list_first(&set->undos, struct sem_undo, link);
        list_remove(&undo->link);
        REF_PUT(undo);
    }
}

static void sem_set_destroy(struct object *object)
{
    struct sem_set *set = container_of(object, struct sem_set, ipc.object);
    forget_undos(set);
    arena_free(object->arena, set->sems, set->count * sizeof *set->sems);
}

static int sem_set_loaded(struct object *object, struct state_reader *reader)
{
    struct sem_set *set = container_of(object, struct sem_set, ipc.object);
    struct sem_undo *undo;
    if (set->count == 0 || set->count > SEM_COUNT_MAX)
        return -EINVAL;
    list_for_each (undo, &set->undos, link)
        if (undo->count != set->count || !undo->group)
            return -EINVAL;
    return 0;
}

const struct kind sem_set_kind = {.name = "sem_set",
                                  .size = sizeof(struct sem_set),
                                  .fields = sem_set_fields,
                                  .destroy = sem_set_destroy,
                                  .loaded = sem_set_loaded};

static struct sem_set *set_of(struct ipc_object *object)
{
    return object ? container_of(object, struct sem_set, ipc) : NULL;
}

/* ---- making and finding -------------------------------------------------------------------------------- */

static int set_create(struct task *task, u32 count, struct sem_set **out)
{
    AUTO_PUT struct sem_set *set = object_create(task->kernel->arena, &sem_set_kind);
    if (!set)
        return -ENOMEM;
    list_init(&set->undos);
    set->sems = arena_alloc_array(task->kernel->arena, count, sizeof *set->sems);
    if (!set->sems)
        return -ENOMEM;
    set->count = count;
    *out = MOVE(set);
    return 0;
}

int sem_get(struct task *task, i32 key, u32 count, u32 flags)
{
    struct ipc_table *table;
    if (count > SEM_COUNT_MAX)
        return -EINVAL;
    int err = ipc_table_get(task->kernel, &task->ns->ipc_ns->sem, &table);
    if (err)
        return err;
    struct sem_set *set = set_of(ipc_find_key(table, key));
    if (set) {
        if (flags & LINUX_IPC_CREAT && flags & LINUX_IPC_EXCL)
            return -EEXIST;
        if (count > set->count)
            return -EINVAL;
        err = ipc_permission(task, &set->ipc, (flags & 0777) >> 6);
        return err ? err : set->ipc.id;
    }
    if (key != LINUX_IPC_PRIVATE && !(flags & LINUX_IPC_CREAT))
        return -ENOENT;
    if (count == 0)
        return -EINVAL;
    err = set_create(task, count, &set);
    return err ? err : ipc_insert(table, &set->ipc, task, key, flags, SEM_SETS_MAX);
}

int sem_find(struct task *task, i32 id, bool by_index, struct sem_set **out)
{
    struct ipc_table *table;
    int err = ipc_table_get(task->kernel, &task->ns->ipc_ns->sem, &table);
    if (err)
        return err;
    struct ipc_object *found = ipc_find(table, id, by_index);
    if (!found)
        return -EINVAL;
    *out = set_of(found);
    return 0;
}

void sem_remove(struct task *task, struct sem_set *set)
{
    struct ipc_table *table = container_of(task->ns->ipc_ns->sem, struct ipc_table, object);
    object_get_(&set->ipc.object);
    ipc_remove(table, &set->ipc);
    forget_undos(set);
    wake_up_all(&set->changed);
    object_put(&set->ipc.object);
}

/* ---- operating ------------------------------------------------------------------------------------------- */

static struct sem_undo *find_undo(const struct sem_set *set, const struct thread_group *group)
{
    struct sem_undo *undo;
    list_for_each (undo, &set->undos, link)
        if (undo->group == group)
            return undo;
    return NULL;
}

static int undo_get(struct task *task, struct sem_set *set, struct sem_undo **out)
{
    *out = find_undo(set, task->group);
    if (*out)
        return 0;
    AUTO_PUT struct sem_undo *undo = object_create(task->kernel->arena, &sem_undo_kind);
    if (!undo)
        return -ENOMEM;
    undo->changes = arena_alloc_array(task->kernel->arena, set->count, sizeof *undo->changes);
    if (!undo->changes)
        return -ENOMEM;
    undo->count = set->count;
    undo->group = task->group;
    list_add_tail(&set->undos, &undo->link);
    *out = MOVE(undo);
    return 0;
}

static int judge_ops(const struct sem_set *set, const struct linux_sembuf *ops, u32 count,
                     bool *alters, bool *undoes)
{
    *alters = *undoes = false;
    for (u32 i = 0; i < count; i++) {
        if (ops[i].index >= set->count)
            return -EFBIG;
        *alters |= ops[i].change != 0;
        *undoes |= ops[i].change != 0 && ops[i].flags & LINUX_SEM_UNDO;
    }
    return 0;
}

/* Take back the first COUNT operations. */
static void revert(struct sem_set *set, const struct linux_sembuf *ops, u32 count)
{
    while (count-- > 0)
        set->sems[ops[count].index].value = (u16)(set->sems[ops[count].index].value -
                                                  ops[count].change);
}

/* 0: all done. 1: would have to wait at *BLOCKED. Else an error; nothing was done then. */
static int try_ops(struct sem_set *set, const struct linux_sembuf *ops, u32 count,
                   const struct sem_undo *undo, u32 *blocked)
{
    for (u32 i = 0; i < count; i++) {
        struct sem *sem = &set->sems[ops[i].index];
        i32 value = (i32)sem->value + ops[i].change;
        if ((ops[i].change == 0 && sem->value != 0) || value < 0) {
            *blocked = i;
            revert(set, ops, i);
            return ops[i].flags & LINUX_IPC_NOWAIT ? -EAGAIN : 1;
        }
        i32 taken_back = undo && ops[i].flags & LINUX_SEM_UNDO
                             ? undo->changes[ops[i].index] - ops[i].change
                             : 0;
        if (value > SEM_VALUE_MAX || taken_back < -SEM_VALUE_MAX - 1 ||
            taken_back > SEM_VALUE_MAX) {
            revert(set, ops, i);
            return -ERANGE;
        }
        sem->value = (u16)value;
    }
    return 0;
}

static void ops_done(struct task *task, struct sem_set *set, const struct linux_sembuf *ops,
                     u32 count, struct sem_undo *undo)
{
    for (u32 i = 0; i < count; i++) {
        set->sems[ops[i].index].last_pid = task->group->leader->root_tid;
        if (undo && ops[i].flags & LINUX_SEM_UNDO)
            undo->changes[ops[i].index] = (i16)(undo->changes[ops[i].index] - ops[i].change);
    }
    set->otime = ipc_now(task->kernel);
    wake_up_all(&set->changed);
}

SLEEPS static int wait_for_change(struct task *task, struct sem_set *set,
                                  const struct linux_sembuf *op, u64 deadline_ns)
{
    struct sem *sem = &set->sems[op->index];
    u16 *waits = op->change ? &sem->waits_more : &sem->waits_zero;
    ++*waits;
    int err = sleep_on(&set->changed, task, deadline_ns);
    --*waits;
    if (set->ipc.is_removed)
        return -EIDRM;
    return err == -ETIMEDOUT ? -EAGAIN : err;
}

SLEEPS int sem_operate(struct task *task, i32 id, const struct linux_sembuf *ops, u32 count,
                       u64 deadline_ns)
{
    struct sem_set *found;
    bool alters, undoes;
    int err = sem_find(task, id, false, &found);
    if (!err)
        err = judge_ops(found, ops, count, &alters, &undoes);
    if (!err)
        err = ipc_permission(task, &found->ipc, alters ? 2 : 4);
    struct sem_undo *undo = NULL;
    if (!err && undoes)
        err = undo_get(task, found, &undo);
    if (err)
        return err;
    object_get_(&found->ipc.object);
    AUTO_PUT struct sem_set *set = found;
    for (;;) {
        u32 blocked;
        int result = try_ops(set, ops, count, undo, &blocked);
        if (result == 0)
            ops_done(task, set, ops, count, undo);
        if (result <= 0)
            return result;
        err = wait_for_change(task, set, &ops[blocked], deadline_ns);
        if (err)
            return err;
        undo = undoes ? find_undo(set, task->group) : NULL;
    }
}

void sem_value_set(struct task *task, struct sem_set *set, u32 index, u16 value)
{
    struct sem_undo *undo;
    set->sems[index].value = value;
    set->sems[index].last_pid = task->group->leader->root_tid;
    list_for_each (undo, &set->undos, link)
        undo->changes[index] = 0;
    set->ipc.ctime = ipc_now(task->kernel);
    wake_up_all(&set->changed);
}

/* ---- ends ---------------------------------------------------------------------------------------------------- */

static void take_back(struct task *task, struct sem_set *set)
{
    struct sem_undo *undo = find_undo(set, task->group);
    if (!undo)
        return;
    for (u32 i = 0; i < set->count; i++) {
        if (undo->changes[i] == 0)
            continue;
        i32 value = (i32)set->sems[i].value + undo->changes[i];
        set->sems[i].value = (u16)(value < 0 ? 0 : MIN(value, SEM_VALUE_MAX));
        set->sems[i].last_pid = task->group->leader->root_tid;
    }
    list_remove(&undo->link);
    REF_PUT(undo);
    wake_up_all(&set->changed);
}

void sem_undo_leave(struct task *task)
{
    const struct task *other;
    list_for_each (other, &task->group->tasks, group_link)
        if (other != task && other->phase < PHASE_EXIT && other->ns->ipc_ns == task->ns->ipc_ns)
            return;
    struct object *sems = task->ns->ipc_ns->sem;
    struct ipc_object *entry;
    if (!sems)
        return;
    struct ipc_table *table = container_of(sems, struct ipc_table, object);
    map_for_each (&table->by_index, index, entry)
        take_back(task, set_of(entry));
}

const struct thread_group *sem_undo_holder(const struct task *task)
{
    struct object *sems = task->ns ? task->ns->ipc_ns->sem : NULL;
    struct ipc_object *entry;
    if (!sems)
        return NULL;
    struct ipc_table *table = container_of(sems, struct ipc_table, object);
    map_for_each (&table->by_index, index, entry)
        if (find_undo(set_of(entry), task->group))
            return task->group;
    return NULL;
}

void sem_totals(struct task *task, u64 *sets, u64 *sems, u32 *index_max)
{
    struct ipc_table *table;
    struct ipc_object *entry;
    *sets = *sems = *index_max = 0;
    if (ipc_table_get(task->kernel, &task->ns->ipc_ns->sem, &table))
        return;
    *index_max = ipc_index_max(table);
    map_for_each (&table->by_index, index, entry) {
        ++*sets;
        *sems += set_of(entry)->count;
    }
}
