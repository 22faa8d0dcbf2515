/* SPDX-License-Identifier: Apache-2.0 */
/* What shared memory, semaphores and message queues have in common: tables, ids, keys, rights
 * (ipc(2), sysvipc(7)). */
#include "sentry/kernel/ipc/ipc.h"

#include "abi/errno.h"
#include "base/fields.h"
#include "sentry/kernel/namespaces.h"

const struct field ipc_object_fields[] = {
    FIELD_NONE(struct ipc_object, object, "the walker's own header"),
    FIELD(struct ipc_object, key),
    FIELD(struct ipc_object, id),
    FIELD(struct ipc_object, uid),
    FIELD(struct ipc_object, gid),
    FIELD(struct ipc_object, cuid),
    FIELD(struct ipc_object, cgid),
    FIELD(struct ipc_object, mode),
    FIELD(struct ipc_object, ctime),
    FIELD(struct ipc_object, is_removed),
    FIELD_END,
};
FIELDS_COMPLETE(struct ipc_object, ipc_object_fields);

static const struct field ipc_table_fields[] = {
    FIELD_NONE(struct ipc_table, object, "the walker's own header"),
    FIELD_MAP(struct ipc_table, by_index, struct ipc_object),
    FIELD(struct ipc_table, sequence),
    FIELD_END,
};
FIELDS_COMPLETE(struct ipc_table, ipc_table_fields);

static void ipc_table_destroy(struct object *object)
{
    struct ipc_table *table = container_of(object, struct ipc_table, object);
    struct ipc_object *entry;
    map_for_each (&table->by_index, index, entry) {
        map_remove(&table->by_index, index);
        entry->is_removed = true;
        object_put(&entry->object);
    }
    map_fini(&table->by_index);
}

const struct kind ipc_table_kind = {.name = "ipc_table",
                                    .size = sizeof(struct ipc_table),
                                    .fields = ipc_table_fields,
                                    .destroy = ipc_table_destroy};

int ipc_table_get(struct kernel *kernel, struct object **slot, struct ipc_table **out)
{
    if (!*slot) {
        struct ipc_table *table = object_create(kernel->arena, &ipc_table_kind);
        if (!table)
            return -ENOMEM;
        map_init(&table->by_index, kernel->arena);
        *slot = &table->object;
    }
    *out = container_of(*slot, struct ipc_table, object);
    return 0;
}

struct ipc_object *ipc_find_key(const struct ipc_table *table, i32 key)
{
    struct ipc_object *entry;
    if (key == LINUX_IPC_PRIVATE)
        return NULL;
    map_for_each (&table->by_index, index, entry)
        if (entry->key == key)
            return entry;
    return NULL;
}

struct ipc_object *ipc_find(const struct ipc_table *table, i32 id, bool by_index)
{
    if (id < 0)
        return NULL;
    if (by_index)
        return map_find(&table->by_index, (u32)id);
    struct ipc_object *entry = map_find(&table->by_index, (u32)id & ((1u << IPC_INDEX_BITS) - 1));
    return entry && entry->id == id ? entry : NULL;
}

u32 ipc_index_max(const struct ipc_table *table)
{
    u64 index;
    return map_floor(&table->by_index, UINT64_MAX, &index) ? (u32)index : 0;
}

int ipc_insert(struct ipc_table *table, struct ipc_object *object, struct task *task, i32 key,
               u32 flags, u32 count_max)
{
    u32 index = 0;
    while (map_find(&table->by_index, index))
        index++;
    int err = table->by_index.count >= count_max ? -ENOSPC
                                                 : map_add(&table->by_index, index, object);
    if (err) {
        object_put(&object->object);
        return err;
    }
    object->key = key;
    object->id = (i32)((table->sequence << IPC_INDEX_BITS | index) & INT32_MAX);
    table->sequence = (table->sequence + 1) & 0xffff;
    object->uid = object->cuid = task->cred->euid;
    object->gid = object->cgid = task->cred->egid;
    object->mode = flags & 0777;
    object->ctime = ipc_now(task->kernel);
    return object->id;
}

void ipc_remove(struct ipc_table *table, struct ipc_object *object)
{
    u32 index = (u32)object->id & ((1u << IPC_INDEX_BITS) - 1);
    ASSERT(map_find(&table->by_index, index) == object);
    object->is_removed = true;
    map_remove(&table->by_index, index);
    object_put(&object->object);
}

int ipc_permission(const struct task *task, const struct ipc_object *object, u32 want)
{
    const struct cred *cred = task->cred;
    u32 bits = object->mode;
    if (cred->euid == object->uid || cred->euid == object->cuid)
        bits >>= 6;
    else if (cred->egid == object->gid || cred->egid == object->cgid ||
             cred_has_group(cred, object->gid) || cred_has_group(cred, object->cgid))
        bits >>= 3;
    if ((bits & want) == want ||
        task_has_capability_in(task, task->ns->ipc_ns->user_ns, CAP_IPC_OWNER))
        return 0;
    return -EACCES;
}

int ipc_owner(const struct task *task, const struct ipc_object *object)
{
    u32 euid = task->cred->euid;
    if (euid == object->uid || euid == object->cuid ||
        task_has_capability_in(task, task->ns->ipc_ns->user_ns, CAP_SYS_ADMIN))
        return 0;
    return -EPERM;
}

void ipc_show(const struct task *task, const struct ipc_object *object, struct linux_ipc_perm *out)
{
    const struct user_ns *ns = task->cred->user_ns;
    *out = (struct linux_ipc_perm){
        .key = object->key,
        .uid = user_ns_uid_shown(ns, object->uid),
        .gid = user_ns_gid_shown(ns, object->gid),
        .cuid = user_ns_uid_shown(ns, object->cuid),
        .cgid = user_ns_gid_shown(ns, object->cgid),
        .mode = object->mode,
        .seq = (u16)((u32)object->id >> IPC_INDEX_BITS),
    };
}

int ipc_set(const struct task *task, struct ipc_object *object, const struct linux_ipc_perm *perm)
{
    u32 uid = user_ns_uid_in(task->cred->user_ns, perm->uid);
    u32 gid = user_ns_gid_in(task->cred->user_ns, perm->gid);
    if (uid == ID_INVALID || gid == ID_INVALID)
        return -EINVAL;
    object->uid = uid;
    object->gid = gid;
    object->mode = perm->mode & 0777;
    object->ctime = ipc_now(task->kernel);
    return 0;
}

i64 ipc_now(struct kernel *kernel)
{
    return (i64)(kernel_realtime_ns(kernel) / NS_PER_S);
}
