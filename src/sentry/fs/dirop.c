/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of directories by dentry: lock, look, judge, act, tell. vfs calls these after its walk;
 * overlay calls them for its layers. The file system's operation is the point of no return:
 * dentries follow it and cannot fail.
 */
#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "sentry/fs/dentry.h"
#include "sentry/fs/notify.h"
#include "sentry/fs/vfs.h"

static u32 notify_dir_bit(const struct inode *inode)
{
    return inode_is_dir(inode) ? NOTIFY_ISDIR : 0;
}

/* ---- making --------------------------------------------------------------------------------- */

SLEEPS static int make_call(struct task *task, struct inode *dir, const char *name,
                            const struct dir_make_args *args, struct inode **out)
{
    const struct inode_ops *ops = dir->ops;
    switch (args->what) {
    case DIR_MAKE_FILE:
        return ops->create ? ops->create(task, dir, name, args->mode, out) : -EACCES;
    case DIR_MAKE_DIR:
        return ops->mkdir ? ops->mkdir(task, dir, name, args->mode, out) : -EPERM;
    case DIR_MAKE_NODE:
        return ops->mknod ? ops->mknod(task, dir, name, args->mode, args->rdev, out) : -EPERM;
    case DIR_MAKE_SYMLINK:
        return ops->symlink ? ops->symlink(task, dir, name, args->target, out) : -EPERM;
    case DIR_MAKE_LINK: {
        if (!ops->link)
            return -EPERM;
        int err = ops->link(task, dir, name, args->inode);
        if (!err)
            *out = REF_GET(args->inode);
        return err;
    }
    }
    return -EINVAL;
}

SLEEPS static int make_locked(struct task *task, struct dentry *dir, const char *name,
                              const struct dir_make_args *args, struct dentry **out)
{
    AUTO_PUT struct dentry *dentry = NULL;
    int err = dir->is_unlinked ? -ENOENT : dentry_lookup_locked(task, dir, name, &dentry);
    if (err)
        return err;
    if (!dentry_is_negative(dentry)) {
        *out = MOVE(dentry);
        return -EEXIST;
    }
    AUTO_PUT struct inode *inode = NULL;
    err = make_call(task, dir->inode, name, args, &inode);
    if (err)
        return err;
    dentry_instantiate(dentry, inode);
    if (args->what == DIR_MAKE_LINK)
        notify_inode(inode, NOTIFY_ATTRIB, 0, NULL); /* one link more */
    notify_inode(dir->inode, NOTIFY_CREATE | notify_dir_bit(inode), 0, name);
    *out = MOVE(dentry);
    return 0;
}

int dir_make(struct task *task, struct dentry *dir, const char *name,
             const struct dir_make_args *args, struct dentry **out)
{
    AUTO_PUT struct dentry *held = REF_GET(dir);
    struct inode *inode = dir->inode;
    *out = NULL;
    sleep_lock(&inode->lock, &task->fiber);
    int err = make_locked(task, dir, name, args, out);
    sleep_unlock(&inode->lock, &task->fiber);
    return err;
}

/* ---- removing ------------------------------------------------------------------------------- */

SLEEPS static int remove_call(struct task *task, struct inode *dir, const char *name,
                              struct inode *inode, bool is_dir)
{
    if (is_dir)
        return dir->ops->rmdir ? dir->ops->rmdir(task, dir, name, inode) : -EPERM;
    return dir->ops->unlink ? dir->ops->unlink(task, dir, name, inode) : -EPERM;
}

SLEEPS static int remove_locked(struct task *task, struct dentry *dir, const char *name, u32 flags,
                                dir_judge *judge)
{
    AUTO_PUT struct dentry *dentry = NULL;
    int err = dentry_lookup_locked(task, dir, name, &dentry);
    if (err)
        return err;
    if (dentry_is_negative(dentry))
        return -ENOENT;
    if (judge) {
        err = judge(task, dir, dentry, flags);
        if (err)
            return err;
    }
    if (dentry->mount_count > 0)
        return -EBUSY;
    AUTO_PUT struct inode *inode = REF_GET(dentry->inode);
    bool is_dir = (flags & LINUX_AT_REMOVEDIR) != 0;
    if (is_dir)
        sleep_lock(&inode->lock, &task->fiber); /* nobody makes something in it meanwhile */
    err = remove_call(task, dir->inode, name, inode, is_dir);
    if (!err)
        dentry_unlink(dentry);
    if (is_dir)
        sleep_unlock(&inode->lock, &task->fiber);
    if (err)
        return err;
    if (!is_dir)
        notify_inode(inode, NOTIFY_ATTRIB, 0, NULL); /* one link less */
    notify_gone(inode);
    notify_inode(dir->inode, NOTIFY_DELETE | notify_dir_bit(inode), 0, name);
    return 0;
}

int dir_remove(struct task *task, struct dentry *dir, const char *name, u32 flags, dir_judge *judge)
{
    AUTO_PUT struct dentry *held = REF_GET(dir);
    struct inode *inode = dir->inode;
    sleep_lock(&inode->lock, &task->fiber);
    int err = remove_locked(task, dir, name, flags, judge);
    sleep_unlock(&inode->lock, &task->fiber);
    return err;
}

/* ---- renaming ------------------------------------------------------------------------------- */

/* Slashes, kinds, loops: what rename(2) says before permissions. */
MUST_CHECK static int rename_judge_shape(const struct dir_rename_args *args,
                                         const struct dentry *old, const struct dentry *new)
{
    bool is_exchange = (args->flags & LINUX_RENAME_EXCHANGE) != 0;
    if (dentry_is_negative(old))
        return -ENOENT;
    if ((args->flags & LINUX_RENAME_NOREPLACE) && !dentry_is_negative(new))
        return -EEXIST;
    if (is_exchange && dentry_is_negative(new))
        return -ENOENT;
    if (is_exchange && !inode_is_dir(new->inode) && args->to_slash)
        return -ENOTDIR;
    if (!inode_is_dir(old->inode) && (args->from_slash || (!is_exchange && args->to_slash)))
        return -ENOTDIR;
    if (dentry_is_below(args->to_dir, old))
        return -EINVAL;
    if (!dentry_is_negative(new) && dentry_is_below(args->from_dir, new))
        return is_exchange ? -EINVAL : -ENOTEMPTY;
    return 0;
}

/* May OLD go and NEW be replaced? The judge of the caller says; then what holds for all. */
MUST_CHECK static int rename_judge_both(struct task *task, const struct dir_rename_args *args,
                                        struct dentry *old, struct dentry *new)
{
    bool is_dir = inode_is_dir(old->inode);
    bool is_exchange = (args->flags & LINUX_RENAME_EXCHANGE) != 0;
    u32 old_flags = is_dir ? LINUX_AT_REMOVEDIR : 0;
    u32 new_flags = old_flags;
    if (is_exchange)
        new_flags = inode_is_dir(new->inode) ? LINUX_AT_REMOVEDIR : 0;
    if (args->judge) {
        int err = args->judge(task, args->from_dir, old, old_flags);
        if (!err)
            err = args->judge(task, args->to_dir, new, new_flags);
        if (err)
            return err;
    }
    if (old->mount_count > 0 || new->mount_count > 0)
        return -EBUSY;
    return args->to_dir->is_unlinked ? -ENOENT : 0;
}

/* Names of dentries after an exchange. */
static void dentries_exchange(struct dentry *a, struct dentry *b, char *a_name, char *b_name)
{
    AUTO_PUT struct dentry *a_dir = REF_GET(a->parent);
    AUTO_PUT struct dentry *b_dir = REF_GET(b->parent);
    dentry_move(a, b_dir, a_name);
    dentry_move(b, a_dir, b_name);
}

static void rename_notify(const struct dir_rename_args *args, struct inode *inode,
                          struct inode *target)
{
    struct vfs *vfs = args->from_dir->super->kernel->vfs;
    u32 cookie = (u32)++vfs->rename_cookie;
    u32 bit = notify_dir_bit(inode);
    notify_inode(args->from_dir->inode, NOTIFY_MOVED_FROM | bit, cookie, args->from);
    notify_inode(args->to_dir->inode, NOTIFY_MOVED_TO | bit, cookie, args->to);
    notify_inode(inode, NOTIFY_MOVE_SELF, 0, NULL);
    if (!target)
        return;
    if (args->flags & LINUX_RENAME_EXCHANGE) {
        cookie = (u32)++vfs->rename_cookie;
        bit = notify_dir_bit(target);
        notify_inode(args->to_dir->inode, NOTIFY_MOVED_FROM | bit, cookie, args->to);
        notify_inode(args->from_dir->inode, NOTIFY_MOVED_TO | bit, cookie, args->from);
        notify_inode(target, NOTIFY_MOVE_SELF, 0, NULL);
    } else {
        notify_inode(target, NOTIFY_ATTRIB, 0, NULL);
        notify_gone(target);
    }
}

SLEEPS static int rename_act(struct task *task, const struct dir_rename_args *args,
                             struct dentry *old, struct dentry *new)
{
    struct arena *arena = old->object.arena;
    bool is_exchange = (args->flags & LINUX_RENAME_EXCHANGE) != 0;
    char *to = arena_strdup(arena, args->to);
    char *from = is_exchange ? arena_strdup(arena, args->from) : NULL;
    AUTO_PUT struct inode *inode = REF_GET(old->inode);
    AUTO_PUT struct inode *target = REF_GET(new->inode);
    int err = !to || (is_exchange && !from) ? -ENOMEM : 0;
    if (!err && !args->from_dir->inode->ops->rename)
        err = -EPERM;
    if (!err)
        err = args->from_dir->inode->ops->rename(task, args->from_dir->inode, args->from, inode,
                                                 args->to_dir->inode, args->to, target,
                                                 args->flags);
    if (err) {
        arena_free_string(arena, to);
        arena_free_string(arena, from);
        return err;
    }
    if (is_exchange) {
        dentries_exchange(old, new, to, from);
    } else {
        if (target)
            dentry_unlink(new);
        else
            dentry_drop(new);
        dentry_move(old, args->to_dir, to);
    }
    rename_notify(args, inode, target);
    return 0;
}

SLEEPS static int rename_locked(struct task *task, const struct dir_rename_args *args)
{
    AUTO_PUT struct dentry *old = NULL;
    AUTO_PUT struct dentry *new = NULL;
    int err = dentry_lookup_locked(task, args->from_dir, args->from, &old);
    if (!err)
        err = dentry_lookup_locked(task, args->to_dir, args->to, &new);
    if (!err)
        err = rename_judge_shape(args, old, new);
    if (err)
        return err;
    if (old->inode == new->inode) /* two names of one file: nothing happens (rename(2)) */
        return 0;
    err = rename_judge_both(task, args, old, new);
    if (err)
        return err;
    AUTO_PUT struct inode *victim = new->inode &&inode_is_dir(new->inode) ? REF_GET(new->inode)
                                                                          : NULL;
    if (victim)
        sleep_lock(&victim->lock, &task->fiber);
    err = rename_act(task, args, old, new);
    if (victim)
        sleep_unlock(&victim->lock, &task->fiber);
    return err;
}

/* Above before below, as rmdir locks; else by age. Nobody moves directories meanwhile. */
static bool is_second_first(const struct dir_rename_args *args)
{
    if (dentry_is_below(args->to_dir, args->from_dir))
        return false;
    if (dentry_is_below(args->from_dir, args->to_dir))
        return true;
    return args->from_dir->inode->object.id > args->to_dir->inode->object.id;
}

int dir_rename(struct task *task, const struct dir_rename_args *args)
{
    AUTO_PUT struct dentry *from_held = REF_GET(args->from_dir);
    AUTO_PUT struct dentry *to_held = REF_GET(args->to_dir);
    struct inode *first = args->from_dir->inode, *second = args->to_dir->inode;
    struct fiber *fiber = &task->fiber;
    if (first == second) {
        sleep_lock(&first->lock, fiber);
        int err = rename_locked(task, args);
        sleep_unlock(&first->lock, fiber);
        return err;
    }
    struct super *super = args->from_dir->super;
    if (super != args->to_dir->super)
        return -EXDEV;
    sleep_lock(&super->rename_lock, fiber);
    if (is_second_first(args)) {
        first = args->to_dir->inode;
        second = args->from_dir->inode;
    }
    sleep_lock(&first->lock, fiber);
    sleep_lock(&second->lock, fiber);
    int err = rename_locked(task, args);
    sleep_unlock(&second->lock, fiber);
    sleep_unlock(&first->lock, fiber);
    sleep_unlock(&super->rename_lock, fiber);
    return err;
}
