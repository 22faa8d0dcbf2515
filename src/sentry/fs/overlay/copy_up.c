/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copying a file to the upper layer before its first change: parents first, then the file itself
 * under its final name, with owner, mode, times and attributes. A regular file is made without a
 * name and linked in when it is complete, so a failure leaves nothing behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "sentry/fs/overlay/overlay.h"

#define STEP_SIZE ((u64)64 << 10)
#define XATTR_PREFIX "trusted.overlay."
#define XATTR_OPAQUE "trusted.overlay.opaque"
#define XATTR_ORIGIN "trusted.overlay.picket_ino"

SLEEPS int overlay_set_opaque(struct task *task, struct dentry *upper)
{
    struct inode *inode = upper->inode;
    return inode->ops->setxattr ? inode->ops->setxattr(task, inode, XATTR_OPAQUE, "y", 1, 0)
                                : -EOPNOTSUPP;
}

static bool is_zero(const u8 *bytes, u64 size)
{
    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

/* One piece at OFFSET: its size, 0 at the end, or -errno. What is all zeros stays a hole. */
SLEEPS static i64 copy_piece(struct task *task, struct file *from, struct inode *to, u8 *bytes,
                             u64 offset)
{
    i64 got = file_pread_kernel(task, from, bytes, STEP_SIZE, offset);
    if (got <= 0 || is_zero(bytes, (u64)got))
        return got;
    struct uio_segment segment;
    struct uio uio;
    uio_init_kernel(&uio, &task->fiber, bytes, (u64)got, &segment);
    i64 put = mapping_write(&to->mapping, &task->fiber, &uio, offset);
    return put == got ? got : put < 0 ? put : -ENOSPC;
}

SLEEPS static int copy_data(struct task *task, struct dentry *from_dentry, struct inode *to)
{
    struct arena *arena = task->kernel->arena;
    AUTO_PUT struct file *from = NULL;
    int err = dentry_open(task, from_dentry, O_RDONLY, &from);
    if (err)
        return err;
    u8 *bytes = arena_alloc(arena, STEP_SIZE);
    if (!bytes)
        return -ENOMEM;
    i64 got = 0;
    u64 offset = 0;
    do {
        offset += (u64)got;
        got = copy_piece(task, from, to, bytes, offset);
        fiber_relax(&task->fiber);
    } while (got > 0);
    arena_free(arena, bytes, STEP_SIZE);
    to->size = to->mapping.size = MAX(to->mapping.size, offset);
    return (int)got;
}

SLEEPS static int copy_xattr(struct task *task, struct inode *from, struct inode *to,
                             const char *name)
{
    u8 value[4096];
    if (strncmp(name, XATTR_PREFIX, sizeof XATTR_PREFIX - 1) == 0)
        return 0;
    i64 size = from->ops->getxattr(task, from, name, value, sizeof value);
    if (size < 0)
        return 0; /* gone meanwhile, or not for us */
    int err = to->ops->setxattr(task, to, name, value, (size_t)size, 0);
    return err == -EOPNOTSUPP ? 0 : err;
}

SLEEPS static int copy_xattrs(struct task *task, struct inode *from, struct inode *to)
{
    char list[4096];
    if (!from->ops->listxattr || !from->ops->getxattr || !to->ops->setxattr)
        return 0;
    i64 size = from->ops->listxattr(task, from, list, sizeof list);
    for (i64 at = 0; at < size; at += (i64)strlen(list + at) + 1) {
        int err = copy_xattr(task, from, to, list + at);
        if (err)
            return err;
    }
    return 0;
}

SLEEPS static int copy_attributes(struct task *task, struct overlay_inode *inode,
                                  struct inode *from, struct inode *to)
{
    const struct attr attr = {
        .mask = ATTR_MODE | ATTR_UID | ATTR_GID | ATTR_ATIME | ATTR_MTIME,
        .mode = from->mode & 07777u,
        .uid = from->uid,
        .gid = from->gid,
        .atime_ns = from->atime_ns,
        .mtime_ns = from->mtime_ns,
    };
    int err = copy_xattrs(task, from, to);
    if (!err && to->ops->setxattr)
        err = to->ops->setxattr(task, to, XATTR_ORIGIN, &inode->origin_ino,
                                sizeof inode->origin_ino, 0);
    if (!err && to->ops->setattr)
        err = to->ops->setattr(task, to, &attr);
    return err;
}

/* What to make in the upper layer for FROM. */
SLEEPS static int make_args(struct task *task, struct inode *from, struct dir_make_args *args,
                            char *target)
{
    *args = (struct dir_make_args){.mode = from->mode & 07777u, .rdev = from->rdev};
    switch (from->mode & LINUX_S_IFMT) {
    case LINUX_S_IFDIR:
        args->what = DIR_MAKE_DIR;
        return 0;
    case LINUX_S_IFREG:
        args->what = DIR_MAKE_FILE;
        return 0;
    case LINUX_S_IFLNK: {
        i64 size = from->ops->readlink(task, from, target, PATH_SIZE_MAX - 1);
        if (size < 0)
            return (int)size;
        target[size] = 0;
        args->what = DIR_MAKE_SYMLINK;
        args->target = target;
        return 0;
    }
    default:
        args->what = DIR_MAKE_NODE;
        args->mode = from->mode;
        return 0;
    }
}

/* A complete regular file without a name, then its name. */
SLEEPS static int copy_regular(struct task *task, struct overlay_inode *inode, struct dentry *dir,
                               struct dentry **out)
{
    struct inode *from = inode->lowers[0]->inode, *parent = dir->inode;
    AUTO_PUT struct inode *made = NULL;
    if (!parent->ops->tmpfile)
        return -EOPNOTSUPP;
    int err = parent->ops->tmpfile(task, parent, from->mode & 07777u, &made);
    if (!err)
        err = copy_data(task, inode->lowers[0], made);
    if (!err)
        err = copy_attributes(task, inode, from, made);
    if (err)
        return err;
    const struct dir_make_args args = {.what = DIR_MAKE_LINK, .inode = made};
    return dir_make(task, dir, inode->name, &args, out);
}

SLEEPS static int copy_other(struct task *task, struct overlay_inode *inode, struct dentry *dir,
                             struct dentry **out)
{
    struct inode *from = inode->lowers[0]->inode;
    struct dir_make_args args;
    struct arena *arena = task->kernel->arena;
    char *target = arena_alloc(arena, PATH_SIZE_MAX);
    if (!target)
        return -ENOMEM;
    int err = make_args(task, from, &args, target);
    if (!err)
        err = dir_make(task, dir, inode->name, &args, out);
    arena_free(arena, target, PATH_SIZE_MAX);
    if (!err)
        err = copy_attributes(task, inode, from, (*out)->inode);
    return err;
}

SLEEPS static int copy_one(struct task *task, struct overlay_inode *inode)
{
    if (!inode->parent || !inode->name)
        return inode->parent ? -ESTALE : -EROFS; /* the root of an overlay without an upper layer */
    if (!inode->parent->upper)
        return -EROFS;
    AUTO_PUT struct dentry *dir = REF_GET(inode->parent->upper);
    AUTO_PUT struct dentry *made = NULL;
    int err = inode_is_regular(&inode->inode) ? copy_regular(task, inode, dir, &made)
                                              : copy_other(task, inode, dir, &made);
    if (err)
        return err;
    inode->upper = MOVE(made);
    overlay_refresh(inode);
    return 0;
}

SLEEPS int overlay_copy_up(struct task *task, struct overlay_inode *inode)
{
    while (!inode->upper) {
        /* The topmost ancestor that is not there yet; no recursion, paths may be deep. */
        struct overlay_inode *at = inode;
        while (at->parent && !at->parent->upper)
            at = at->parent;
        object_get_(&at->inode.object);
        sleep_lock(&at->copy_lock, &task->fiber);
        int err = at->upper ? 0 : copy_one(task, at);
        sleep_unlock(&at->copy_lock, &task->fiber);
        object_put(&at->inode.object);
        if (err)
            return err;
    }
    return 0;
}
