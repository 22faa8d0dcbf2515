/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mount(2), umount2(2), pivot_root(2). The caller has judged CAP_SYS_ADMIN. A mount is busy when
 * somebody but the tree and this call holds it: open files and working directories do.
 */
#include <string.h>

#include "abi/errno.h"
#include "abi/mount.h"
#include "sentry/fs/dentry.h"
#include "sentry/fs/mount.h"
#include "sentry/fs/vfs.h"
#include "sentry/fs/walk.h"

#define PER_MOUNT                                                                              \
    (LINUX_MS_RDONLY | LINUX_MS_NOSUID | LINUX_MS_NODEV | LINUX_MS_NOEXEC | LINUX_MS_NOATIME | \
     LINUX_MS_NODIRATIME | LINUX_MS_RELATIME | LINUX_MS_STRICTATIME | LINUX_MS_NOSYMFOLLOW)
#define PER_SUPER                                                                    \
    (LINUX_MS_RDONLY | LINUX_MS_SYNCHRONOUS | LINUX_MS_DIRSYNC | LINUX_MS_MANDLOCK | \
     LINUX_MS_LAZYTIME)
#define PROPAGATION (LINUX_MS_SHARED | LINUX_MS_PRIVATE | LINUX_MS_SLAVE | LINUX_MS_UNBINDABLE)

static bool is_mount_root(const struct path *path)
{
    return path->mount && path->dentry == path->mount->root;
}

static u32 mount_flags(u64 flags)
{
    return (u32)flags & PER_MOUNT;
}

/* ---- mount ---------------------------------------------------------------------------------- */

SLEEPS static int mount_new(struct task *task, const struct path *target, const char *source,
                            const char *type_name, u64 flags, const char *options)
{
    if (!type_name)
        return -EINVAL;
    const struct fs_type *type = fs_type_find(type_name);
    if (!type || !type->mount || !(type->may_users_mount || task->is_kernel))
        return -ENODEV;
    AUTO_PUT struct super *super = NULL;
    int err = type->mount(task, source, (u32)flags & PER_SUPER, options, &super);
    if (err)
        return err;
    if (is_mount_root(target) && target->mount->super == super && target->dentry == super->root)
        return -EBUSY; /* the same on itself */
    return mount_attach(task, super, super->root, target, mount_flags(flags), source, NULL);
}

static bool has_locked_below(const struct path *path)
{
    const struct mount *child;
    list_for_each (child, &path->mount->children, sibling)
        if (child->is_locked && dentry_is_below(child->point, path->dentry))
            return true;
    return false;
}

SLEEPS static int mount_bind(struct task *task, const struct path *target, const char *source,
                             u64 flags)
{
    if (!source || !source[0])
        return -EINVAL;
    AUTO_PATH struct path from = {0};
    int err = path_walk(task, NULL, source, WALK_FOLLOW, &from);
    if (err)
        return err;
    if (!from.mount || from.mount->is_unbindable || !from.mount->ns)
        return -EINVAL;
    if (inode_is_dir(from.dentry->inode) != inode_is_dir(target->dentry->inode))
        return -ENOTDIR;
    if (target->dentry->is_unlinked || from.dentry->is_unlinked)
        return -ENOENT;
    if (!(flags & LINUX_MS_REC) && has_locked_below(&from))
        return -EINVAL; /* it would show what a mount hides */
    AUTO_PUT struct mount *copy = NULL;
    err = mount_copy_tree(from.mount, from.dentry, (flags & LINUX_MS_REC) != 0, false, &copy);
    if (err)
        return err;
    err = mount_graft_propagated(copy, target);
    if (err)
        mount_cut_tree(copy);
    return err;
}

/* Nothing may be open for writing when a file system becomes read-only. */
static bool has_writers(const struct super *super)
{
    const struct inode *inode;
    list_for_each (inode, &super->inodes, super_link)
        if (inode->write_count > 0)
            return true;
    return false;
}

SLEEPS static int mount_remount(struct task *task, const struct path *target, u64 flags,
                                const char *options)
{
    if (!is_mount_root(target))
        return -EINVAL;
    struct mount *mount = target->mount;
    if (mount->locked_flags & ~mount_flags(flags))
        return -EPERM;
    if (!(flags & LINUX_MS_BIND)) {
        struct super *super = mount->super;
        bool becomes_readonly = (flags & LINUX_MS_RDONLY) && !(super->flags & LINUX_MS_RDONLY);
        if (becomes_readonly && has_writers(super))
            return -EBUSY;
        if (super->ops && super->ops->remount) {
            int err = super->ops->remount(task, super, (u32)flags & PER_SUPER, options);
            if (err)
                return err;
        }
        super->flags = (super->flags & ~PER_SUPER) | ((u32)flags & PER_SUPER);
    }
    mount->flags = (mount->flags & ~PER_MOUNT) | mount_flags(flags);
    return 0;
}

MUST_CHECK static int mount_change_type(const struct path *target, u64 flags)
{
    u32 type = (u32)flags & PROPAGATION;
    if (!is_power_of_two(type) || (flags & ~(u64)(PROPAGATION | LINUX_MS_REC | LINUX_MS_SILENT)))
        return -EINVAL;
    if (!is_mount_root(target))
        return -EINVAL;
    struct mount *root = target->mount;
    for (struct mount *m = root; m; m = flags & LINUX_MS_REC ? mount_tree_next(root, m) : NULL)
        mount_set_propagation(m, type);
    return 0;
}

static bool mount_is_below(const struct mount *mount, const struct mount *ancestor)
{
    while (mount && mount != ancestor)
        mount = mount->parent;
    return mount != NULL;
}

SLEEPS static int mount_move(struct task *task, const struct path *target, const char *source)
{
    if (!source || !source[0])
        return -EINVAL;
    AUTO_PATH struct path from = {0};
    int err = path_walk(task, NULL, source, WALK_FOLLOW, &from);
    if (err)
        return err;
    struct mount *mount = from.mount;
    if (!is_mount_root(&from) || !mount->parent || mount->parent->peer_group != 0 ||
        mount->is_locked)
        return -EINVAL;
    if (mount->ns != target->mount->ns)
        return -EINVAL;
    if (inode_is_dir(from.dentry->inode) != inode_is_dir(target->dentry->inode))
        return -ENOTDIR;
    if (mount_is_below(target->mount, mount))
        return -ELOOP;
    mount_unhook(mount);
    mount_hook(mount, target);
    return 0;
}

int vfs_mount(struct task *task, const char *source, const char *target_path, const char *type,
              u64 flags, const char *options)
{
    if ((flags & LINUX_MS_MGC_MASK) == LINUX_MS_MGC_VAL)
        flags &= ~(u64)LINUX_MS_MGC_MASK;
    AUTO_PATH struct path target = {0};
    int err = path_walk(task, NULL, target_path, WALK_FOLLOW, &target);
    if (err)
        return err;
    if (!target.mount || !target.mount->ns)
        return -EINVAL;
    if (flags & LINUX_MS_REMOUNT)
        return mount_remount(task, &target, flags, options);
    if (flags & LINUX_MS_BIND)
        return mount_bind(task, &target, source, flags);
    if (flags & PROPAGATION)
        return mount_change_type(&target, flags);
    if (flags & LINUX_MS_MOVE)
        return mount_move(task, &target, source);
    return mount_new(task, &target, source, type, flags, options);
}

/* ---- umount --------------------------------------------------------------------------------- */

/* Held by its parent and by the caller's path, and by nobody else. */
static bool mount_is_busy(const struct mount *mount)
{
    return !list_is_empty(&mount->children) || mount->object.refs > 2;
}

int vfs_umount(struct task *task, const char *target_path, u32 flags)
{
    const u32 known = LINUX_MNT_FORCE | LINUX_MNT_DETACH | LINUX_UMOUNT_NOFOLLOW;
    if (flags & ~known)
        return -EINVAL;
    AUTO_PATH struct path target = {0};
    u32 walk_flags = flags & LINUX_UMOUNT_NOFOLLOW ? 0 : WALK_FOLLOW;
    int err = path_walk(task, NULL, target_path, walk_flags, &target);
    if (err)
        return err;
    struct mount *mount = target.mount;
    if (!is_mount_root(&target) || mount->ns != task_mount_ns(task) || !mount->parent ||
        mount->is_locked)
        return -EINVAL;
    struct super *super = mount->super;
    if (super->ops && super->ops->sync) {
        err = super->ops->sync(task, super);
        if (err)
            return err;
        if (!mount->parent) /* somebody was quicker */
            return -EINVAL;
    }
    if (!(flags & LINUX_MNT_DETACH) && mount_is_busy(mount))
        return -EBUSY;
    mount_cut_propagated(mount);
    return 0;
}

/* ---- pivot_root ----------------------------------------------------------------------------- */

/* The whole rule list of pivot_root(2). */
MUST_CHECK static int pivot_judge(const struct task *task, const struct path *root,
                                  const struct path *new_root, const struct path *put_old)
{
    const struct mount_ns *ns = task_mount_ns(task);
    if (!new_root->mount || !put_old->mount || !root->mount)
        return -EINVAL;
    const struct mount *new_mount = new_root->mount, *root_mount = root->mount;
    if (put_old->mount->peer_group || root_mount->peer_group)
        return -EINVAL;
    if ((new_mount->parent && new_mount->parent->peer_group) ||
        (root_mount->parent && root_mount->parent->peer_group))
        return -EINVAL;
    if (new_mount->ns != ns || root_mount->ns != ns || put_old->mount->ns != ns)
        return -EINVAL;
    if (new_root->dentry->is_unlinked || put_old->dentry->is_unlinked)
        return -ENOENT;
    if (new_mount == root_mount || put_old->mount == root_mount)
        return -EBUSY;
    if (!is_mount_root(root) || !is_mount_root(new_root) || !new_mount->parent ||
        new_mount->is_locked)
        return -EINVAL;
    /* The old root goes to a place at or below the new one. */
    const struct mount *m = put_old->mount;
    if (m == new_mount)
        return 0;
    return mount_is_below(m, new_mount) ? 0 : -EINVAL;
}

/* Whoever had the old root as root or working directory has the new one (in this namespace). */
static void pivot_tasks(struct kernel *kernel, const struct path *old, const struct path *new)
{
    struct task *task;
    list_for_each (task, &kernel->tasks, kernel_link) {
        struct fs_context *fs = task->fs;
        if (!fs || task->is_kernel)
            continue;
        struct path *paths[] = {&fs->root, &fs->cwd};
        for (u32 i = 0; i < ARRAY_COUNT(paths); i++) {
            if (!path_is_equal(paths[i], old))
                continue;
            path_get(new);
            path_put(paths[i]);
            *paths[i] = *new;
        }
    }
}

static void pivot_act(struct mount_ns *ns, const struct path *root, const struct path *new_root,
                      const struct path *put_old)
{
    struct mount *new_mount = new_root->mount, *old_mount = root->mount;
    struct path place = {0};
    if (old_mount->parent) {
        place = (struct path){REF_GET(old_mount->parent), REF_GET(old_mount->point)};
        mount_unhook(old_mount);
    }
    mount_unhook(new_mount);
    if (place.mount) {
        mount_hook(new_mount, &place);
    } else {
        ASSERT(ns->root ==
               old_mount); /* its reference becomes the hook's, the hook's the namespace's */
        ns->root = new_mount;
        new_mount->parent_id = new_mount->id;
    }
    mount_hook(old_mount, put_old);
    path_put(&place);
}

int vfs_pivot_root(struct task *task, const char *new_path, const char *old_path)
{
    AUTO_PATH struct path new_root = {0};
    AUTO_PATH struct path put_old = {0};
    int err = path_walk(task, NULL, new_path, WALK_FOLLOW | WALK_DIRECTORY, &new_root);
    if (!err)
        err = path_walk(task, NULL, old_path, WALK_FOLLOW | WALK_DIRECTORY, &put_old);
    if (err)
        return err;
    AUTO_PATH struct path root = task->fs->root;
    path_get(&root);
    err = pivot_judge(task, &root, &new_root, &put_old);
    if (err)
        return err;
    pivot_act(task_mount_ns(task), &root, &new_root, &put_old);
    pivot_tasks(task->kernel, &root, &new_root);
    return 0;
}
