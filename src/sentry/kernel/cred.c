/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials (credentials(7), capabilities(7)). An object is changed only before it is published;
 * ids in it are the kernel's, those of the root user namespace.
 */
#include "sentry/kernel/cred.h"

#include <string.h>

#include "abi/errno.h"
#include "base/fields.h"
#include "base/sort.h"
#include "sentry/kernel/task.h"

static const struct field group_id_fields[] = {
    {.name = "id", .type = FIELD_TYPE_UINT, .size = sizeof(u32)},
    FIELD_END,
};

static const struct field cred_fields[] = {
    FIELD_NONE(struct cred, object, "the walker's own header"),
    FIELD_REF(struct cred, user_ns, struct user_ns),
    FIELD(struct cred, uid),
    FIELD(struct cred, euid),
    FIELD(struct cred, suid),
    FIELD(struct cred, fsuid),
    FIELD(struct cred, gid),
    FIELD(struct cred, egid),
    FIELD(struct cred, sgid),
    FIELD(struct cred, fsgid),
    FIELD(struct cred, group_count),
    FIELD_STRUCTS(struct cred, groups, u32, group_id_fields, group_count),
    FIELD(struct cred, cap_permitted),
    FIELD(struct cred, cap_effective),
    FIELD(struct cred, cap_inheritable),
    FIELD(struct cred, cap_bounding),
    FIELD(struct cred, cap_ambient),
    FIELD(struct cred, securebits),
    FIELD(struct cred, no_new_privs),
    FIELD(struct cred, keep_caps),
    FIELD_END,
};
FIELDS_COMPLETE(struct cred, cred_fields);

static void cred_destroy(struct object *object)
{
    struct cred *cred = container_of(object, struct cred, object);
    REF_CLEAR(cred->user_ns);
    arena_free(object->arena, cred->groups, cred->group_count * sizeof(u32));
}

const struct kind cred_kind = {
    .name = "cred", .size = sizeof(struct cred), .fields = cred_fields, .destroy = cred_destroy};

int cred_create_root(struct arena *arena, struct cred **out)
{
    struct cred *cred = object_create(arena, &cred_kind);
    if (!cred)
        return -ENOMEM;
    cred->cap_permitted = CAP_ALL;
    cred->cap_effective = CAP_ALL;
    cred->cap_bounding = CAP_ALL;
    *out = cred;
    return 0;
}

int cred_copy(const struct cred *cred, struct cred **out)
{
    struct arena *arena = cred->object.arena;
    AUTO_PUT struct cred *copy = object_create(arena, &cred_kind);
    if (!copy)
        return -ENOMEM;
    if (cred->group_count > 0) {
        copy->groups = arena_alloc_array(arena, cred->group_count, sizeof(u32));
        if (!copy->groups)
            return -ENOMEM;
        memcpy(copy->groups, cred->groups, cred->group_count * sizeof(u32));
        copy->group_count = cred->group_count;
    }
    struct object header = copy->object;
    u32 *groups = copy->groups;
    *copy = *cred;
    copy->object = header;
    copy->groups = groups;
    copy->user_ns = REF_GET(cred->user_ns);
    *out = MOVE(copy);
    return 0;
}

bool cred_has_group(const struct cred *cred, u32 gid)
{
    if (gid == cred->fsgid)
        return true;
    u32 low = 0, high = cred->group_count;
    while (low < high) {
        u32 middle = low + (high - low) / 2;
        if (cred->groups[middle] == gid)
            return true;
        if (cred->groups[middle] < gid)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

bool cred_has_cap(const struct cred *cred, u32 capability)
{
    ASSERT(capability < 64);
    return cred->cap_effective >> capability & 1;
}

static bool is_root_ns(const struct user_ns *ns)
{
    return ns == NULL || ns->parent == NULL;
}

static bool is_same_ns(const struct user_ns *a, const struct user_ns *b)
{
    return a == b || (is_root_ns(a) && is_root_ns(b));
}

bool cred_has_cap_in(const struct cred *cred, const struct user_ns *ns, u32 capability)
{
    for (;;) {
        if (is_same_ns(cred->user_ns, ns))
            return cred_has_cap(cred, capability);
        if (is_root_ns(ns))
            return false;
        /* user_namespaces(7): the owner, in the parent namespace, has all capabilities in it. */
        if (is_same_ns(ns->parent, cred->user_ns) && ns->owner_uid == cred->euid)
            return true;
        ns = ns->parent;
    }
}

static int compare_groups(const void *a, const void *b, void *arg)
{
    const u32 *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

int cred_set_groups(struct cred *cred, const u32 *groups, u32 count)
{
    ASSERT(count <= GROUPS_MAX);
    struct arena *arena = cred->object.arena;
    u32 *copy = NULL;
    if (count > 0) {
        copy = arena_alloc_array(arena, count, sizeof(u32));
        if (!copy)
            return -ENOMEM;
        memcpy(copy, groups, count * sizeof(u32));
        sort_stable(copy, count, sizeof(u32), compare_groups, NULL);
    }
    arena_free(arena, cred->groups, cred->group_count * sizeof(u32));
    cred->groups = copy;
    cred->group_count = count;
    return 0;
}

void cred_enter_user_ns(struct cred *cred, struct user_ns *ns)
{
    struct user_ns *old = cred->user_ns;
    cred->user_ns = REF_GET(ns);
    REF_PUT(old);
    cred->cap_permitted = CAP_ALL;
    cred->cap_effective = CAP_ALL;
    cred->cap_bounding = CAP_ALL;
    cred->cap_inheritable = 0;
    cred->cap_ambient = 0;
    cred->securebits = 0;
    cred->keep_caps = false;
}

static bool is_root_uid(const struct cred *cred, u32 uid)
{
    return user_ns_uid_out(cred->user_ns, uid) == 0;
}

void cred_fix_caps_after_setuid(struct cred *cred, const struct cred *old)
{
    if (cred->securebits & SECBIT_NO_SETUID_FIXUP)
        return;
    bool had_root = is_root_uid(old, old->uid) || is_root_uid(old, old->euid) ||
                    is_root_uid(old, old->suid);
    bool has_root = is_root_uid(cred, cred->uid) || is_root_uid(cred, cred->euid) ||
                    is_root_uid(cred, cred->suid);
    if (had_root && !has_root) {
        if (!cred->keep_caps && !(cred->securebits & SECBIT_KEEP_CAPS)) {
            cred->cap_permitted = 0;
            cred->cap_effective = 0;
        }
        cred->cap_ambient = 0;
    }
    if (is_root_uid(old, old->euid) && !is_root_uid(cred, cred->euid))
        cred->cap_effective = 0;
    if (!is_root_uid(old, old->euid) && is_root_uid(cred, cred->euid))
        cred->cap_effective = cred->cap_permitted;
}

void task_set_cred(struct task *task, struct cred *cred)
{
    struct cred *old = task->cred;
    task->cred = cred;
    REF_PUT(old);
}

bool task_has_capability(const struct task *task, u32 capability)
{
    return cred_has_cap_in(task->cred, NULL, capability);
}

bool task_has_capability_in(const struct task *task, const struct user_ns *ns, u32 capability)
{
    return cred_has_cap_in(task->cred, ns, capability);
}
