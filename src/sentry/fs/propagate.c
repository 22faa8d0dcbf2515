/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mount propagation (mount_namespaces(7)): peers of one group see each other's mounts, slaves see
 * their master's. Groups are numbers; who belongs to one is found by a walk over all mounts of the
 * sandbox, which are few. A receiver gets a copy of the tree at the same dentry.
 */
#include <string.h>

#include "abi/errno.h"
#include "abi/mount.h"
#include "sentry/fs/dentry.h"
#include "sentry/fs/mount.h"
#include "sentry/fs/vfs.h"

/* ---- copies --------------------------------------------------------------------------------- */

/* A copy of a shared mount is its peer, of a slave a slave of the same master. */
MUST_CHECK static int copy_one(struct mount *mount, struct dentry *root, struct mount **out)
{
    struct kernel *kernel = mount->super->kernel;
    struct mount *copy;
    int err = mount_create(kernel, mount->super, root, mount->flags, mount->source, &copy);
    if (err)
        return err;
    copy->peer_group = mount->peer_group;
    copy->master_group = mount->master_group;
    copy->is_unbindable = mount->is_unbindable;
    copy->locked_flags = mount->locked_flags;
    *out = copy;
    return 0;
}

/* The next of the tree that is copied: below what cannot be bound nothing is. */
static struct mount *copy_next(struct mount *root, struct mount *mount, bool skip_children)
{
    if (!skip_children)
        return mount_tree_next(root, mount);
    while (mount != root) {
        if (mount->sibling.next != &mount->parent->children)
            return list_entry(mount->sibling.next, struct mount, sibling);
        mount = mount->parent;
    }
    return NULL;
}

int mount_copy_tree(struct mount *mount, struct dentry *root, bool with_children,
                    bool with_unbindable, struct mount **out)
{
    struct mount *top;
    int err = copy_one(mount, root ? root : mount->root, &top);
    if (err)
        return err;
    struct mount *parent = top, *parent_source = mount;
    bool skip = !with_children;
    for (struct mount *m = copy_next(mount, mount, skip); m; m = copy_next(mount, m, skip)) {
        /* Up to the copy of M's parent. */
        while (parent_source != m->parent) {
            parent_source = parent_source->parent;
            parent = parent->parent;
        }
        bool is_inside = m->parent != mount || !root || dentry_is_below(m->point, root);
        skip = !is_inside || (m->is_unbindable && !with_unbindable);
        if (skip)
            continue;
        struct mount *copy;
        err = copy_one(m, m->root, &copy);
        if (err)
            goto undo_copy;
        const struct path at = {parent, m->point};
        mount_graft(copy, &at);
        REF_PUT(copy);
        parent = copy;
        parent_source = m;
    }
    *out = top;
    return 0;
undo_copy:
    mount_cut_tree(top);
    REF_PUT(top);
    return err;
}

/* ---- receivers ------------------------------------------------------------------------------ */

/* Would MOUNT receive what happens at POINT of SOURCE? */
static bool receives(const struct mount *mount, const struct mount *source,
                     const struct dentry *point)
{
    if (mount == source || source->peer_group == 0 || !mount->ns)
        return false;
    if (mount->peer_group != source->peer_group && mount->master_group != source->peer_group)
        return false;
    return mount->super == source->super && dentry_is_below(point, mount->root);
}

static void make_shared(struct vfs *vfs, struct mount *mount)
{
    if (mount->peer_group == 0)
        mount->peer_group = ++vfs->group_next;
}

/* A copy for a receiver: a peer's copy is a peer of ours, a slave's copy our slave. */
MUST_CHECK static int copy_for(struct mount *mount, bool is_slave, struct mount **out)
{
    int err = mount_copy_tree(mount, NULL, true, true, out);
    if (err || !is_slave)
        return err;
    struct mount *top = *out;
    for (struct mount *m = top; m; m = mount_tree_next(top, m)) {
        m->master_group = m->peer_group;
        m->peer_group = 0;
    }
    return 0;
}

struct receiver {
    struct mount *mount; /* lent: lives in a namespace */
    struct mount *copy;  /* owned */
};

#define RECEIVERS_MAX 1024u

/* Peers and slaves of the point's mount, and what those hand on. */
static u32 receivers_find(struct vfs *vfs, const struct path *point, struct receiver *list)
{
    u32 count = 0;
    const struct mount *source = point->mount;
    for (u32 done = 0;;) {
        struct mount *m;
        list_for_each (m, &vfs->mounts, all_link) {
            bool is_known = m == point->mount;
            for (u32 i = 0; i < count && !is_known; i++)
                is_known = list[i].mount == m;
            if (!is_known && count < RECEIVERS_MAX && receives(m, source, point->dentry))
                list[count++] = (struct receiver){.mount = m};
        }
        if (done == count)
            return count;
        source = list[done++].mount;
    }
}

MUST_CHECK static int receivers_copy(struct mount *mount, struct receiver *list, u32 count,
                                     u32 source_group)
{
    u32 size = mount_tree_count(mount);
    for (u32 i = 0; i < count; i++) {
        if (list[i].mount->ns->mount_count + size > MOUNTS_MAX)
            return -ENOSPC;
        bool is_slave = list[i].mount->peer_group != source_group;
        int err = copy_for(mount, is_slave, &list[i].copy);
        if (err)
            return err;
    }
    return 0;
}

int mount_graft_propagated(struct mount *mount, const struct path *point)
{
    struct mount_ns *ns = point->mount->ns;
    if (ns && ns->mount_count + mount_tree_count(mount) > MOUNTS_MAX)
        return -ENOSPC;
    if (point->mount->peer_group == 0) {
        mount_graft(mount, point);
        return 0;
    }
    struct vfs *vfs = mount->super->kernel->vfs;
    struct arena *arena = mount->super->kernel->arena;
    size_t size = RECEIVERS_MAX * sizeof(struct receiver);
    struct receiver *list = arena_alloc(arena, size);
    if (!list)
        return -ENOMEM;
    for (struct mount *m = mount; m; m = mount_tree_next(mount, m))
        make_shared(vfs, m);
    u32 count = receivers_find(vfs, point, list);
    int err = receivers_copy(mount, list, count, point->mount->peer_group);
    if (!err)
        mount_graft(mount, point);
    for (u32 i = 0; i < count; i++) {
        const struct path at = {list[i].mount, point->dentry};
        if (!err)
            mount_graft(list[i].copy, &at);
        else if (list[i].copy)
            mount_cut_tree(list[i].copy);
        REF_PUT(list[i].copy);
    }
    arena_free(arena, list, size);
    return err;
}

void mount_cut_propagated(struct mount *mount)
{
    struct mount *parent = mount->parent;
    AUTO_PUT struct dentry *point = REF_GET(mount->point);
    struct vfs *vfs = mount->super->kernel->vfs;
    struct super *super = mount->super;
    (void)REF_GET(super);
    struct dentry *root = REF_GET(mount->root);
    mount_cut_tree(mount);
    /* Elsewhere only what is bare goes: a mount with children of its own stays. */
    bool is_again = parent && parent->peer_group != 0;
    while (is_again) {
        is_again = false;
        struct mount *m;
        list_for_each (m, &vfs->mounts, all_link) {
            if (!m->parent || m->point != point || m->super != super || m->root != root ||
                !list_is_empty(&m->children) || !receives(m->parent, parent, point))
                continue;
            mount_cut(m);
            is_again = true;
            break;
        }
    }
    REF_PUT(root);
    REF_PUT(super);
}

void mount_set_propagation(struct mount *mount, u32 type)
{
    struct vfs *vfs = mount->super->kernel->vfs;
    mount->is_unbindable = type == LINUX_MS_UNBINDABLE;
    if (type == LINUX_MS_SHARED) {
        make_shared(vfs, mount);
        return;
    }
    if (type == LINUX_MS_SLAVE && mount->peer_group != 0) {
        u32 group = mount->peer_group;
        bool has_peer = false;
        struct mount *m;
        list_for_each (m, &vfs->mounts, all_link)
            has_peer |= m != mount && m->peer_group == group;
        if (has_peer)
            mount->master_group = group;
    } else if (type != LINUX_MS_SLAVE) {
        mount->master_group = 0;
    }
    mount->peer_group = 0;
}
