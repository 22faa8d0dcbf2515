/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts, their tree, and namespaces. A parent owns its children; a namespace owns its root. Weak
 * sides: mount.parent and mount.ns, cleared when a mount is cut. A cut mount lives on for whoever
 * holds a path.
 */
#include "sentry/fs/mount.h"

#include <string.h>

#include "abi/errno.h"
#include "abi/mount.h"
#include "base/fields.h"
#include "base/state.h"
#include "sentry/fs/vfs.h"
#include "sentry/fs/walk.h"
#include "sentry/kernel/namespaces.h"

static void mount_destroy(struct object *object);
static void mount_ns_destroy(struct object *object);

static const struct field mount_fields[] = {
    FIELD_NONE(struct mount, object, "the walker's own header"),
    FIELD_REF(struct mount, super, struct super),
    FIELD_REF(struct mount, root, struct dentry),
    FIELD_WEAK(struct mount, parent, struct mount),
    FIELD_REF(struct mount, point, struct dentry),
    FIELD_LIST(struct mount, children, struct mount, sibling, true),
    FIELD_NONE(struct mount, sibling, "the parent's list"),
    FIELD_NONE(struct mount, all_link, "vfs->mounts"),
    FIELD_WEAK(struct mount, ns, struct mount_ns),
    FIELD(struct mount, flags),
    FIELD(struct mount, id),
    FIELD(struct mount, parent_id),
    FIELD(struct mount, peer_group),
    FIELD(struct mount, master_group),
    FIELD(struct mount, is_unbindable),
    FIELD(struct mount, is_locked),
    FIELD(struct mount, locked_flags),
    FIELD_STRING(struct mount, source),
    FIELD_END,
};
FIELDS_COMPLETE(struct mount, mount_fields);

static int mount_loaded(struct object *object, struct state_reader *reader)
{
    struct mount *mount = container_of(object, struct mount, object);
    if (!mount->super || !mount->root)
        return -EINVAL;
    if (mount->point)
        mount->point->mount_count++;
    return 0;
}

const struct kind mount_kind = {.name = "mount",
                                .size = sizeof(struct mount),
                                .fields = mount_fields,
                                .destroy = mount_destroy,
                                .loaded = mount_loaded};

static const struct field mount_ns_fields[] = {
    FIELD_NONE(struct mount_ns, object, "the walker's own header"),
    FIELD_REF(struct mount_ns, root, struct mount),
    FIELD(struct mount_ns, mount_count),
    FIELD_REF(struct mount_ns, user_ns, struct user_ns),
    FIELD_NONE(struct mount_ns, kernel, "the kernel that loads it"),
    FIELD_END,
};
FIELDS_COMPLETE(struct mount_ns, mount_ns_fields);

static int mount_ns_loaded(struct object *object, struct state_reader *reader)
{
    container_of(object, struct mount_ns, object)->kernel = state_reader_kernel(reader);
    return 0;
}

const struct kind mount_ns_kind = {.name = "mount_ns",
                                   .size = sizeof(struct mount_ns),
                                   .fields = mount_ns_fields,
                                   .destroy = mount_ns_destroy,
                                   .loaded = mount_ns_loaded};

/* ---- one mount ------------------------------------------------------------------------------ */

int mount_create(struct kernel *kernel, struct super *super, struct dentry *root, u32 flags,
                 const char *source, struct mount **out)
{
    struct mount *mount = object_create(kernel->arena, &mount_kind);
    if (!mount)
        return -ENOMEM;
    list_init(&mount->children);
    mount->source = arena_strdup(kernel->arena, source ? source : "none");
    if (!mount->source) {
        REF_PUT(mount);
        return -ENOMEM;
    }
    mount->super = REF_GET(super);
    mount->root = REF_GET(root);
    mount->flags = flags;
    mount->id = ++kernel->vfs->mount_id_next;
    list_add_tail(&kernel->vfs->mounts, &mount->all_link);
    *out = mount;
    return 0;
}

static void mount_destroy(struct object *object)
{
    struct mount *mount = container_of(object, struct mount, object);
    ASSERT(list_is_empty(&mount->children) || !mount->children.next);
    ASSERT(!mount->parent);
    list_remove(&mount->all_link);
    REF_CLEAR(mount->root);
    REF_CLEAR(mount->super);
    arena_free_string(object->arena, mount->source);
}

struct mount *mount_find(const struct mount *parent, const struct dentry *point)
{
    /* The youngest wins; there is one only, save where propagation has put two. */
    for (struct list *link = parent->children.prev; link != &parent->children; link = link->prev) {
        struct mount *mount = list_entry(link, struct mount, sibling);
        if (mount->point == point)
            return mount;
    }
    return NULL;
}

/* ---- the tree ------------------------------------------------------------------------------- */

struct mount *mount_tree_next(const struct mount *root, const struct mount *mount)
{
    if (!list_is_empty(&mount->children))
        return list_first(&mount->children, struct mount, sibling);
    while (mount != root) {
        if (mount->sibling.next != &mount->parent->children)
            return list_entry(mount->sibling.next, struct mount, sibling);
        mount = mount->parent;
    }
    return NULL;
}

u32 mount_tree_count(const struct mount *root)
{
    u32 count = 0;
    for (const struct mount *mount = root; mount; mount = mount_tree_next(root, mount))
        count++;
    return count;
}

struct mount *mount_next(const struct mount_ns *ns, const struct mount *mount)
{
    return mount ? mount_tree_next(ns->root, mount) : ns->root;
}

void mount_hook(struct mount *mount, const struct path *point)
{
    ASSERT(!mount->parent && point->mount);
    mount->parent = point->mount;
    mount->parent_id = point->mount->id;
    mount->point = REF_GET(point->dentry);
    mount->point->mount_count++;
    list_add_tail(&point->mount->children, &mount->sibling);
}

void mount_unhook(struct mount *mount)
{
    mount->parent = NULL;
    mount->point->mount_count--;
    list_remove(&mount->sibling);
    REF_CLEAR(mount->point);
}

void mount_graft(struct mount *mount, const struct path *point)
{
    ASSERT(!mount->ns);
    mount_hook(REF_GET(mount), point);
    struct mount_ns *ns = point->mount->ns;
    if (!ns)
        return;
    for (struct mount *m = mount; m; m = mount_tree_next(mount, m)) {
        m->ns = ns;
        ns->mount_count++;
    }
}

void mount_cut(struct mount *mount)
{
    ASSERT(list_is_empty(&mount->children));
    if (mount->ns) {
        mount->ns->mount_count--;
        mount->ns = NULL;
    }
    mount->peer_group = mount->master_group = 0;
    if (!mount->parent)
        return;
    mount_unhook(mount);
    REF_PUT(mount); /* the parent's */
}

void mount_cut_tree(struct mount *root)
{
    (void)REF_GET(root);
    /* Leaves first; each cut makes its parent's turn come. */
    struct mount *mount = root;
    for (;;) {
        while (!list_is_empty(&mount->children))
            mount = list_last(&mount->children, struct mount, sibling);
        struct mount *parent = mount == root ? NULL : mount->parent;
        mount_cut(mount);
        if (!parent)
            break;
        mount = parent;
    }
    REF_PUT(root);
}

/* ---- namespaces ----------------------------------------------------------------------------- */

int mount_ns_create(struct kernel *kernel, struct super *root_super, u32 flags,
                    struct mount_ns **out)
{
    AUTO_PUT struct mount_ns *ns = object_create(kernel->arena, &mount_ns_kind);
    if (!ns)
        return -ENOMEM;
    ns->kernel = kernel;
    int err = mount_create(kernel, root_super, root_super->root, flags, root_super->type_name,
                           &ns->root);
    if (err)
        return err;
    ns->root->ns = ns;
    ns->root->parent_id = ns->root->id;
    ns->mount_count = 1;
    *out = MOVE(ns);
    return 0;
}

static void mount_ns_destroy(struct object *object)
{
    struct mount_ns *ns = container_of(object, struct mount_ns, object);
    REF_CLEAR(ns->user_ns);
    if (!ns->root)
        return;
    struct mount *root = MOVE(ns->root);
    mount_cut_tree(root);
    REF_PUT(root);
}

int mount_ns_fork(struct task *task, struct mount_ns *from, struct mount_ns **out)
{
    if (!from)
        return -EINVAL;
    AUTO_PUT struct mount_ns *ns = object_create(task->kernel->arena, &mount_ns_kind);
    if (!ns)
        return -ENOMEM;
    ns->kernel = task->kernel;
    ns->user_ns = REF_GET(from->user_ns);
    int err = mount_copy_tree(from->root, NULL, true, true, &ns->root);
    if (err)
        return err;
    ns->root->parent_id = ns->root->id;
    for (struct mount *m = ns->root; m; m = mount_tree_next(ns->root, m)) {
        m->ns = ns;
        ns->mount_count++;
    }
    *out = MOVE(ns);
    return 0;
}

#define LOCKABLE (LINUX_MS_RDONLY | LINUX_MS_NOSUID | LINUX_MS_NODEV | LINUX_MS_NOEXEC)

void mount_ns_set_owner(struct mount_ns *ns, const struct mount_ns *from, struct user_ns *user_ns)
{
    struct user_ns *owner = user_ns && user_ns->parent ? user_ns : NULL;
    REF_PUT(ns->user_ns);
    ns->user_ns = REF_GET(owner);
    if (owner == from->user_ns)
        return;
    for (struct mount *m = ns->root; m; m = mount_tree_next(ns->root, m)) {
        m->is_locked = m != ns->root;
        m->locked_flags = m->flags & LOCKABLE;
        if (m->peer_group) { /* what happens here is not shown there */
            m->master_group = m->peer_group;
            m->peer_group = 0;
        }
    }
}

int task_may_mount(const struct task *task)
{
    const struct mount_ns *ns = task_mount_ns(task);
    if (task->is_kernel || !ns)
        return 0;
    return task_has_capability_in(task, ns->user_ns, CAP_SYS_ADMIN) ? 0 : -EPERM;
}

static void path_enter(struct path *path, struct mount *from, struct mount *to)
{
    if (path->mount != from)
        return;
    path->mount = REF_GET(to);
    REF_PUT(from);
}

/* The copy has the shape of the original: both are walked in step. */
void mount_ns_enter(const struct mount_ns *from, const struct mount_ns *to, struct fs_context *fs)
{
    struct mount *a = from->root, *b = to->root;
    while (a && b) {
        if (fs->root.mount == a)
            path_enter(&fs->root, a, b);
        if (fs->cwd.mount == a)
            path_enter(&fs->cwd, a, b);
        a = mount_tree_next(from->root, a);
        b = mount_tree_next(to->root, b);
    }
}

struct mount_ns *task_mount_ns(const struct task *task)
{
    if (task->ns && task->ns->mount_ns)
        return task->ns->mount_ns;
    const struct mount *mount = task->fs ? task->fs->root.mount : NULL;
    return mount ? mount->ns : NULL;
}

int mount_attach(struct task *task, struct super *super, struct dentry *root,
                 const struct path *point, u32 flags, const char *source, struct mount **out)
{
    bool is_dir = inode_is_dir(root->inode);
    if (is_dir != inode_is_dir(point->dentry->inode))
        return -ENOTDIR;
    if (point->dentry->is_unlinked)
        return -ENOENT;
    AUTO_PUT struct mount *mount = NULL;
    int err = mount_create(task->kernel, super, root, flags, source, &mount);
    if (err)
        return err;
    AUTO_PATH struct path at = {REF_GET(point->mount), REF_GET(point->dentry)};
    err = path_cross_mounts(&at, 0);
    if (err)
        return err;
    err = mount_graft_propagated(mount, &at);
    if (err)
        return err;
    if (out)
        *out = MOVE(mount);
    return 0;
}
