/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stat(2), chmod(2), chown(2), utimensat(2), truncate(2), readlink(2) on a path that is found: who
 * may, and what else a change takes along (set-id bits: chmod(2), chown(2)).
 */
#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "sentry/fs/dentry.h"
#include "sentry/fs/notify.h"
#include "sentry/fs/vfs.h"
#include "sentry/fs/walk.h"

int vfs_getattr(struct task *task, struct inode *inode)
{
    return inode_getattr(task, inode);
}

static struct linux_timespec timespec_of(i64 ns)
{
    i64 second = (i64)NS_PER_S;
    i64 nsec = ns % second;
    if (nsec < 0)
        nsec += second;
    return (struct linux_timespec){(ns - nsec) / second, nsec};
}

void inode_stat(const struct inode *inode, struct linux_stat *out)
{
    memset(out, 0, sizeof *out);
    out->dev = inode->super ? inode->super->dev : 0;
    out->ino = inode->ino;
    out->nlink = inode->link_count;
    out->mode = inode->mode;
    out->uid = inode->uid;
    out->gid = inode->gid;
    out->rdev = inode->rdev;
    out->size = (i64)inode->size;
    out->blksize = inode->block_size;
    out->blocks = (i64)inode->blocks;
    out->atime = timespec_of(inode->atime_ns);
    out->mtime = timespec_of(inode->mtime_ns);
    out->ctime = timespec_of(inode->ctime_ns);
}

i64 vfs_readlink(struct task *task, const struct path *path, char *out, size_t size)
{
    AUTO_PATH struct path held = *path;
    path_get(&held);
    i64 result = inode_readlink(task, held.dentry->inode, out, size);
    if (result >= 0)
        path_accessed(&held, held.dentry->inode);
    return result;
}

/* ---- who may change what -------------------------------------------------------------------- */

static bool is_owner(struct task *task, const struct inode *inode)
{
    return task->cred->fsuid == inode->uid || inode_has_capability(task, inode, CAP_FOWNER);
}

MUST_CHECK static int judge_owner_change(struct task *task, const struct inode *inode,
                                         const struct attr *attr)
{
    const struct cred *cred = task->cred;
    bool is_mine = cred->fsuid == inode->uid;
    if (inode_has_capability(task, inode, CAP_CHOWN))
        return 0;
    if ((attr->mask & ATTR_UID) && !(is_mine && attr->uid == inode->uid))
        return -EPERM;
    if (attr->mask & ATTR_GID)
        if (!is_mine || (attr->gid != inode->gid && !cred_has_group(cred, attr->gid)))
            return -EPERM;
    return 0;
}

MUST_CHECK static int judge_times(struct task *task, const struct inode *inode,
                                  const struct attr *attr)
{
    if (!(attr->mask & (ATTR_ATIME | ATTR_MTIME)) || is_owner(task, inode))
        return 0;
    if (!(attr->mask & ATTR_TOUCH))
        return -EPERM;
    return inode_permission(task, inode, 2);
}

/* Bits that a new owner or a new mode does not get. */
static void adjust_mode(struct task *task, const struct inode *inode, struct attr *attr)
{
    u32 gid = attr->mask & ATTR_GID ? attr->gid : inode->gid;
    if (attr->mask & ATTR_MODE) {
        if (!cred_has_group(task->cred, gid) && !inode_has_capability(task, inode, CAP_FSETID))
            attr->mode &= ~LINUX_S_ISGID;
        return;
    }
    if (!(attr->mask & (ATTR_UID | ATTR_GID)) || inode_is_dir(inode))
        return;
    u32 mode = inode->mode & ~LINUX_S_ISUID;
    if (mode & 010)
        mode &= ~LINUX_S_ISGID;
    if (mode != inode->mode) {
        attr->mask |= ATTR_MODE;
        attr->mode = mode;
    }
}

/* One time alone looks like a read or a write (Linux's fsnotify_change). */
static u32 attr_event(const struct attr *attr)
{
    switch (attr->mask & (ATTR_MODE | ATTR_UID | ATTR_GID | ATTR_ATIME | ATTR_MTIME)) {
    case ATTR_ATIME:
        return NOTIFY_ACCESS;
    case ATTR_MTIME:
        return NOTIFY_MODIFY;
    default:
        return NOTIFY_ATTRIB;
    }
}

int vfs_setattr(struct task *task, const struct path *path, const struct attr *asked)
{
    AUTO_PATH struct path held = *path;
    path_get(&held);
    struct inode *inode = held.dentry->inode;
    struct attr attr = *asked;
    int err = path_may_write(&held);
    if (!err)
        err = inode_getattr(task, inode);
    if (!err)
        err = judge_owner_change(task, inode, &attr);
    if (!err && (attr.mask & ATTR_MODE) && !is_owner(task, inode))
        err = -EPERM;
    if (!err && (attr.mask & ATTR_MODE) && inode_is_symlink(inode))
        err = -EOPNOTSUPP; /* a link has no mode of its own */
    if (!err)
        err = judge_times(task, inode, &attr);
    if (err)
        return err;
    adjust_mode(task, inode, &attr);
    attr.mask &= ~ATTR_TOUCH;
    err = inode_setattr(task, inode, &attr);
    if (!err)
        notify_dentry(held.dentry, attr_event(&attr));
    return err;
}

/* ---- sizes ---------------------------------------------------------------------------------- */

SLEEPS static int set_size(struct task *task, struct inode *inode, u64 size)
{
    i64 now = (i64)kernel_realtime_ns(task->kernel);
    struct attr attr = {.mask = ATTR_SIZE | ATTR_MTIME | ATTR_CTIME,
                        .size = size,
                        .mtime_ns = now,
                        .ctime_ns = now};
    u32 bits = inode->mode & LINUX_S_ISUID;
    if ((inode->mode & (LINUX_S_ISGID | 010)) == (LINUX_S_ISGID | 010))
        bits |= LINUX_S_ISGID;
    if (bits && !inode_has_capability(task, inode, CAP_FSETID)) {
        attr.mask |= ATTR_MODE;
        attr.mode = inode->mode & ~bits;
    }
    return inode_setattr(task, inode, &attr);
}

MUST_CHECK static int judge_size(struct task *task, u64 size)
{
    if (size > (u64)INT64_MAX)
        return -EINVAL;
    if (size == 0)
        return 0;
    u64 one = 1;
    return file_size_limit(task, size - 1, &one);
}

int vfs_truncate_open(struct task *task, struct inode *inode)
{
    return set_size(task, inode, 0);
}

int vfs_truncate(struct task *task, const struct path *path, u64 size)
{
    AUTO_PATH struct path held = *path;
    path_get(&held);
    struct inode *inode = held.dentry->inode;
    if (inode_is_dir(inode))
        return -EISDIR;
    if (!inode_is_regular(inode))
        return -EINVAL;
    int err = vfs_permission(task, &held, 2);
    if (!err && inode->exec_count > 0)
        err = -ETXTBSY;
    if (!err)
        err = judge_size(task, size);
    if (!err)
        err = set_size(task, inode, size);
    if (!err)
        notify_dentry(held.dentry, NOTIFY_MODIFY);
    return err;
}

int file_truncate(struct task *task, struct file *file, u64 size)
{
    struct inode *inode = file->inode;
    if (!inode_is_regular(inode) || !file_may_write(file))
        return -EINVAL;
    int err = judge_size(task, size);
    if (!err)
        err = set_size(task, inode, size);
    if (!err)
        notify_dentry(file->path.dentry, NOTIFY_MODIFY);
    return err;
}
