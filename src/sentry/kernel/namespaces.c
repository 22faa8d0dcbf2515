/* SPDX-License-Identifier: Apache-2.0 */
/*
 * namespaces(7), user_namespaces(7). Maps hold the kernel's ids (those of the root namespace),
 * worked out when a map is written, so that a look-up never walks to the parents. NULL stands for
 * the root user namespace everywhere.
 */
#include "sentry/kernel/namespaces.h"

#include <string.h>

#include "abi/errno.h"
#include "base/fields.h"
#include "base/state.h"
#include "sentry/kernel/ipc/ipc.h"
#include "sentry/kernel/task.h"

u64 kernel_next_inode_nr(struct kernel *kernel)
{
    return kernel->inode_next_nr++;
}

/* ---- nsproxy -------------------------------------------------------------------------------- */

static const struct field nsproxy_fields[] = {
    FIELD_NONE(struct nsproxy, object, "the walker's own header"),
    FIELD_REF(struct nsproxy, pid_ns, struct pid_ns),
    FIELD_REF(struct nsproxy, uts_ns, struct uts_ns),
    FIELD_REF(struct nsproxy, ipc_ns, struct ipc_ns),
    FIELD_REF(struct nsproxy, mount_ns, struct mount_ns),
    FIELD_REF(struct nsproxy, net_ns, struct net_ns),
    FIELD_REF_ANY(struct nsproxy, cgroup_ns),
    FIELD_END,
};
FIELDS_COMPLETE(struct nsproxy, nsproxy_fields);

static void nsproxy_destroy(struct object *object)
{
    struct nsproxy *ns = container_of(object, struct nsproxy, object);
    REF_CLEAR(ns->pid_ns);
    REF_CLEAR(ns->uts_ns);
    REF_CLEAR(ns->ipc_ns);
    object_put((struct object *)(void *)ns->mount_ns);
    object_put((struct object *)(void *)ns->net_ns);
    object_put(ns->cgroup_ns);
}

const struct kind nsproxy_kind = {.name = "nsproxy",
                                  .size = sizeof(struct nsproxy),
                                  .fields = nsproxy_fields,
                                  .destroy = nsproxy_destroy};

int nsproxy_create(struct kernel *kernel, struct nsproxy **out)
{
    struct nsproxy *ns = object_create(kernel->arena, &nsproxy_kind);
    if (!ns)
        return -ENOMEM;
    ns->pid_ns = REF_GET(kernel->root_pid_ns);
    ns->uts_ns = REF_GET(kernel->root_uts_ns);
    ns->ipc_ns = REF_GET(kernel->root_ipc_ns);
    *out = ns;
    return 0;
}

static void *get_opaque(void *pointer)
{
    if (pointer)
        object_get_(pointer);
    return pointer;
}

int nsproxy_copy(const struct nsproxy *ns, struct nsproxy **out)
{
    struct nsproxy *copy = object_create(ns->object.arena, &nsproxy_kind);
    if (!copy)
        return -ENOMEM;
    copy->pid_ns = REF_GET(ns->pid_ns);
    copy->uts_ns = REF_GET(ns->uts_ns);
    copy->ipc_ns = REF_GET(ns->ipc_ns);
    copy->mount_ns = get_opaque(ns->mount_ns);
    copy->net_ns = get_opaque(ns->net_ns);
    copy->cgroup_ns = get_opaque(ns->cgroup_ns);
    *out = copy;
    return 0;
}

/* ---- uts, ipc ------------------------------------------------------------------------------- */

static const struct field uts_ns_fields[] = {
    FIELD_NONE(struct uts_ns, object, "the walker's own header"),
    FIELD_REF(struct uts_ns, user_ns, struct user_ns),
    FIELD_BYTES(struct uts_ns, hostname),
    FIELD_BYTES(struct uts_ns, domainname),
    FIELD(struct uts_ns, inode_nr),
    FIELD_END,
};
FIELDS_COMPLETE(struct uts_ns, uts_ns_fields);

static void uts_ns_destroy(struct object *object)
{
    REF_CLEAR(container_of(object, struct uts_ns, object)->user_ns);
}

static int uts_ns_loaded(struct object *object, struct state_reader *reader)
{
    struct uts_ns *uts = container_of(object, struct uts_ns, object);
    uts->hostname[UTS_NAME_SIZE - 1] = 0;
    uts->domainname[UTS_NAME_SIZE - 1] = 0;
    return 0;
}

const struct kind uts_ns_kind = {.name = "uts_ns",
                                 .size = sizeof(struct uts_ns),
                                 .fields = uts_ns_fields,
                                 .destroy = uts_ns_destroy,
                                 .loaded = uts_ns_loaded};

void uts_ns_set_hostname(struct uts_ns *uts, const char *name)
{
    memset(uts->hostname, 0, sizeof uts->hostname);
    strncpy(uts->hostname, name, sizeof uts->hostname - 1);
}

int uts_ns_create(struct kernel *kernel, struct user_ns *user_ns, const struct uts_ns *from,
                  struct uts_ns **out)
{
    struct uts_ns *uts = object_create(kernel->arena, &uts_ns_kind);
    if (!uts)
        return -ENOMEM;
    uts->user_ns = REF_GET(user_ns);
    uts->inode_nr = kernel_next_inode_nr(kernel);
    if (from) {
        memcpy(uts->hostname, from->hostname, sizeof uts->hostname);
        memcpy(uts->domainname, from->domainname, sizeof uts->domainname);
    }
    *out = uts;
    return 0;
}

static const struct field ipc_ns_fields[] = {
    FIELD_NONE(struct ipc_ns, object, "the walker's own header"),
    FIELD_NONE(struct ipc_ns, kernel, "the kernel that loads it"),
    FIELD_REF(struct ipc_ns, user_ns, struct user_ns),
    FIELD_REF(struct ipc_ns, shm, struct ipc_table),
    FIELD_REF(struct ipc_ns, sem, struct ipc_table),
    FIELD_REF(struct ipc_ns, msg, struct ipc_table),
    FIELD_REF(struct ipc_ns, mqueue, struct super),
    FIELD(struct ipc_ns, inode_nr),
    FIELD_END,
};
FIELDS_COMPLETE(struct ipc_ns, ipc_ns_fields);

static void ipc_ns_destroy(struct object *object)
{
    struct ipc_ns *ipc = container_of(object, struct ipc_ns, object);
    object_put(ipc->shm);
    object_put(ipc->sem);
    object_put(ipc->msg);
    object_put(ipc->mqueue);
    REF_CLEAR(ipc->user_ns);
}

/* A table's row says only that it has objects of System V; each table has its own. */
static bool table_has(const struct object *object, const char *struct_name)
{
    const struct ipc_object *entry;
    if (object)
        map_for_each (&container_of(object, const struct ipc_table, object)->by_index, index, entry)
            if (!kind_is(entry->object.kind, struct_name))
                return false;
    return true;
}

static int ipc_ns_loaded(struct object *object, struct state_reader *reader)
{
    struct ipc_ns *ipc = container_of(object, struct ipc_ns, object);
    ipc->kernel = state_reader_kernel(reader);
    bool fits = table_has(ipc->shm, "struct shm_segment") &&
                table_has(ipc->sem, "struct sem_set") && table_has(ipc->msg, "struct msg_queue");
    return fits ? 0 : -EINVAL;
}

const struct kind ipc_ns_kind = {.name = "ipc_ns",
                                 .size = sizeof(struct ipc_ns),
                                 .fields = ipc_ns_fields,
                                 .destroy = ipc_ns_destroy,
                                 .loaded = ipc_ns_loaded};

int ipc_ns_create(struct kernel *kernel, struct user_ns *user_ns, struct ipc_ns **out)
{
    struct ipc_ns *ipc = object_create(kernel->arena, &ipc_ns_kind);
    if (!ipc)
        return -ENOMEM;
    ipc->kernel = kernel;
    ipc->user_ns = REF_GET(user_ns);
    ipc->inode_nr = kernel_next_inode_nr(kernel);
    *out = ipc;
    return 0;
}

/* ---- user ----------------------------------------------------------------------------------- */

static const struct field id_extent_fields[] = {
    FIELD(struct id_extent, first),
    FIELD(struct id_extent, kernel_first),
    FIELD(struct id_extent, count),
    FIELD_END,
};
FIELDS_COMPLETE(struct id_extent, id_extent_fields);

static const struct field id_map_fields[] = {
    FIELD(struct id_map, count),
    FIELD_STRUCTS(struct id_map, extents, struct id_extent, id_extent_fields, count),
    FIELD_END,
};
FIELDS_COMPLETE(struct id_map, id_map_fields);

static const struct field user_ns_fields[] = {
    FIELD_NONE(struct user_ns, object, "the walker's own header"),
    FIELD_REF(struct user_ns, parent, struct user_ns),
    FIELD(struct user_ns, level),
    FIELD(struct user_ns, owner_uid),
    FIELD(struct user_ns, owner_gid),
    FIELD_STRUCT(struct user_ns, uids, id_map_fields),
    FIELD_STRUCT(struct user_ns, gids, id_map_fields),
    FIELD(struct user_ns, is_setgroups_denied),
    FIELD(struct user_ns, inode_nr),
    FIELD_END,
};
FIELDS_COMPLETE(struct user_ns, user_ns_fields);

static void user_ns_destroy(struct object *object)
{
    struct user_ns *ns = container_of(object, struct user_ns, object);
    arena_free(object->arena, ns->uids.extents, ns->uids.count * sizeof(struct id_extent));
    arena_free(object->arena, ns->gids.extents, ns->gids.count * sizeof(struct id_extent));
    REF_CLEAR(ns->parent);
}

const struct kind user_ns_kind = {.name = "user_ns",
                                  .size = sizeof(struct user_ns),
                                  .fields = user_ns_fields,
                                  .destroy = user_ns_destroy};

int user_ns_create(struct kernel *kernel, struct user_ns *parent, const struct cred *owner,
                   struct user_ns **out)
{
    if (parent && parent->level + 1 >= USER_NS_DEPTH_MAX)
        return -ENOSPC;
    if (parent && owner &&
        (user_ns_uid_out(parent, owner->euid) == ID_INVALID ||
         user_ns_gid_out(parent, owner->egid) == ID_INVALID))
        return -EPERM; /* an owner that PARENT does not know */
    struct user_ns *ns = object_create(kernel->arena, &user_ns_kind);
    if (!ns)
        return -ENOMEM;
    ns->parent = REF_GET(parent);
    ns->level = parent ? parent->level + 1 : 0;
    ns->owner_uid = owner ? owner->euid : 0;
    ns->owner_gid = owner ? owner->egid : 0;
    ns->is_setgroups_denied = parent && parent->is_setgroups_denied;
    ns->inode_nr = kernel_next_inode_nr(kernel);
    *out = ns;
    return 0;
}

static bool is_root_ns(const struct user_ns *ns)
{
    return ns == NULL || ns->parent == NULL;
}

static u32 map_in(const struct user_ns *ns, const struct id_map *map, u32 id)
{
    if (is_root_ns(ns) || id == ID_INVALID)
        return id;
    for (u32 i = 0; i < map->count; i++)
        if (id - map->extents[i].first < map->extents[i].count)
            return map->extents[i].kernel_first + (id - map->extents[i].first);
    return ID_INVALID;
}

static u32 map_out(const struct user_ns *ns, const struct id_map *map, u32 kernel_id)
{
    if (is_root_ns(ns) || kernel_id == ID_INVALID)
        return kernel_id;
    for (u32 i = 0; i < map->count; i++)
        if (kernel_id - map->extents[i].kernel_first < map->extents[i].count)
            return map->extents[i].first + (kernel_id - map->extents[i].kernel_first);
    return ID_INVALID;
}

u32 user_ns_uid_in(const struct user_ns *ns, u32 uid)
{
    return map_in(ns, ns ? &ns->uids : NULL, uid);
}

u32 user_ns_gid_in(const struct user_ns *ns, u32 gid)
{
    return map_in(ns, ns ? &ns->gids : NULL, gid);
}

u32 user_ns_uid_out(const struct user_ns *ns, u32 kernel_uid)
{
    return map_out(ns, ns ? &ns->uids : NULL, kernel_uid);
}

u32 user_ns_gid_out(const struct user_ns *ns, u32 kernel_gid)
{
    return map_out(ns, ns ? &ns->gids : NULL, kernel_gid);
}

u32 user_ns_uid_shown(const struct user_ns *ns, u32 kernel_uid)
{
    u32 uid = user_ns_uid_out(ns, kernel_uid);
    return uid == ID_INVALID ? ID_OVERFLOW : uid;
}

u32 user_ns_gid_shown(const struct user_ns *ns, u32 kernel_gid)
{
    u32 gid = user_ns_gid_out(ns, kernel_gid);
    return gid == ID_INVALID ? ID_OVERFLOW : gid;
}

bool user_ns_is_within(const struct user_ns *ns, const struct user_ns *ancestor)
{
    if (is_root_ns(ancestor))
        return true;
    for (; ns; ns = ns->parent)
        if (ns == ancestor)
            return true;
    return false;
}

static bool spans_overlap(u32 a, u32 a_count, u32 b, u32 b_count)
{
    return (u64)a < (u64)b + b_count && (u64)b < (u64)a + a_count;
}

static bool extent_clashes(const struct id_extent *extents, u32 index)
{
    const struct id_extent *e = &extents[index];
    for (u32 i = 0; i < index; i++)
        if (spans_overlap(e->first, e->count, extents[i].first, extents[i].count) ||
            spans_overlap(e->kernel_first, e->count, extents[i].kernel_first, extents[i].count))
            return true;
    return false;
}

static int check_extents(const struct id_extent *extents, u32 count)
{
    if (count == 0 || count > ID_MAP_COUNT_MAX)
        return -EINVAL;
    for (u32 i = 0; i < count; i++) {
        const struct id_extent *e = &extents[i];
        u64 end = (u64)e->first + e->count, kernel_end = (u64)e->kernel_first + e->count;
        if (e->count == 0 || end > ID_INVALID || kernel_end > ID_INVALID ||
            extent_clashes(extents, i))
            return -EINVAL;
    }
    return 0;
}

/* user_namespaces(7), "Defining user and group ID mappings": may WRITER give NS these ids of its
 * parent? */
static bool may_map(const struct user_ns *ns, bool is_gids, const struct id_extent *extents,
                    u32 count, const struct task *writer)
{
    const struct cred *cred = writer->cred;
    if (!cred_has_cap_in(cred, ns, CAP_SYS_ADMIN))
        return false;
    if (count == 1 && extents[0].count == 1 && ns->owner_uid == cred->euid) {
        u32 own = is_gids ? user_ns_gid_out(ns->parent, cred->egid)
                          : user_ns_uid_out(ns->parent, cred->euid);
        if (extents[0].kernel_first == own && (!is_gids || ns->is_setgroups_denied))
            return true;
    }
    return cred_has_cap_in(cred, ns->parent, is_gids ? CAP_SETGID : CAP_SETUID);
}

int user_ns_set_map(struct user_ns *ns, bool is_gids, const struct id_extent *extents, u32 count,
                    const struct task *writer)
{
    struct id_map *map = is_gids ? &ns->gids : &ns->uids;
    if (is_root_ns(ns) || map->count > 0)
        return -EPERM;
    int err = check_extents(extents, count);
    if (err)
        return err;
    if (!may_map(ns, is_gids, extents, count, writer))
        return -EPERM;
    struct id_extent *copy = arena_alloc_array(ns->object.arena, count, sizeof *copy);
    if (!copy)
        return -ENOMEM;
    for (u32 i = 0; i < count; i++) {
        u32 first = extents[i].kernel_first, last = first + extents[i].count - 1;
        const struct id_map *above = is_gids ? &ns->parent->gids : &ns->parent->uids;
        u32 kernel_first = map_in(ns->parent, above, first);
        u32 kernel_last = map_in(ns->parent, above, last);
        copy[i] = (struct id_extent){extents[i].first, kernel_first, extents[i].count};
        if (kernel_first == ID_INVALID || kernel_last == ID_INVALID ||
            kernel_last - kernel_first != last - first) {
            arena_free(ns->object.arena, copy, count * sizeof *copy);
            return -EPERM;
        }
    }
    map->extents = copy;
    map->count = count;
    return 0;
}
