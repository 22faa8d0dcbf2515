/* SPDX-License-Identifier: Apache-2.0 */
/*
 * open(2). A name that is to be made is looked at first; a symlink there is followed and the search
 * for a place to make goes on behind it. Permissions are not asked of a file that this call has
 * made.
 */
#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "abi/mount.h"
#include "sentry/fs/dentry.h"
#include "sentry/fs/dev/dev.h"
#include "sentry/fs/notify.h"
#include "sentry/fs/vfs.h"
#include "sentry/fs/walk.h"

#define FLAGS_OF_OPEN \
    (LINUX_O_CREAT | LINUX_O_EXCL | LINUX_O_NOCTTY | LINUX_O_TRUNC | LINUX_O_CLOEXEC)
#define FLAGS_OF_PATH (LINUX_O_DIRECTORY | LINUX_O_NOFOLLOW | LINUX_O_PATH)

/* ---- judging -------------------------------------------------------------------------------- */

static u32 access_wanted(u32 flags)
{
    static const u32 wants[] = {4, 2, 6, 6};
    return wants[flags & LINUX_O_ACCMODE] | (flags & LINUX_O_TRUNC ? 2u : 0);
}

MUST_CHECK static int judge_type(const struct path *path, u32 flags)
{
    const struct inode *inode = path->dentry->inode;
    bool writes = (flags & LINUX_O_ACCMODE) != LINUX_O_RDONLY;
    switch (inode->mode & LINUX_S_IFMT) {
    case LINUX_S_IFLNK:
        return -ELOOP;
    case LINUX_S_IFDIR:
        return writes || (flags & (LINUX_O_CREAT | LINUX_O_TRUNC)) ? -EISDIR : 0;
    case LINUX_S_IFCHR:
    case LINUX_S_IFBLK:
        return path->mount && ((path->mount->flags | path->mount->super->flags) & LINUX_MS_NODEV)
                   ? -EACCES
                   : 0;
    case LINUX_S_IFSOCK:
        return -ENXIO;
    default:
        return 0;
    }
}

SLEEPS static int judge_open(struct task *task, const struct path *path, u32 flags, bool is_made)
{
    const struct inode *inode = path->dentry->inode;
    bool is_dir = inode_is_dir(inode);
    if ((flags & LINUX_O_DIRECTORY) && !is_dir)
        return -ENOTDIR;
    if (flags & LINUX_O_PATH)
        return 0;
    int err = judge_type(path, flags);
    bool is_real = inode_is_regular(inode) || is_dir;
    if (!is_real)
        flags &= ~LINUX_O_TRUNC;
    if (!err && !is_made)
        err = vfs_permission(task, path, access_wanted(flags));
    if (err)
        return err;
    if ((flags & LINUX_O_NOATIME) && task->cred->fsuid != inode->uid &&
        !inode_has_capability(task, inode, CAP_FOWNER))
        return -EPERM;
    bool writes = (flags & LINUX_O_ACCMODE) != LINUX_O_RDONLY || (flags & LINUX_O_TRUNC);
    return writes && inode->exec_count > 0 ? -ETXTBSY : 0;
}

/* ---- opening -------------------------------------------------------------------------------- */

static void count_open(struct metrics *metrics, const struct inode *inode, u32 flags)
{
    bool writes = (flags & LINUX_O_ACCMODE) != LINUX_O_RDONLY;
    metrics->plain[METRIC_FS_OPENS]++;
    if (inode->super && inode->super->magic == LINUX_TMPFS_MAGIC && inode_is_regular(inode))
        metrics->plain[writes ? METRIC_MEMORY_OPENS_W : METRIC_MEMORY_OPENS_RO]++;
    if (writes && inode_is_regular(inode) && (inode->mode & 0111))
        metrics->suspicious[SUSPICIOUS_OPENED_WRITE_EXECUTE]++;
}

SLEEPS static int open_by_type(struct task *task, struct inode *inode, struct file *file)
{
    u32 type = inode->mode & LINUX_S_IFMT;
    if (type == LINUX_S_IFIFO)
        return fifo_open(task, inode, file);
    if (type == LINUX_S_IFCHR &&
        (chardev_find(inode->rdev) || inode->super->magic != LINUX_DEVPTS_MAGIC))
        return chardev_open(task, inode, file);
    if (type == LINUX_S_IFBLK || type == LINUX_S_IFSOCK)
        return -ENXIO;
    if (inode->ops->open)
        return inode->ops->open(task, inode, file);
    if (type != LINUX_S_IFREG || !inode->mapping.memory)
        return -ENXIO;
    file->ops = &regular_file_ops;
    return 0;
}

SLEEPS static int open_found(struct task *task, const struct path *path, u32 flags, bool is_made,
                             struct file **out)
{
    struct inode *inode = path->dentry->inode;
    int err = judge_open(task, path, flags, is_made);
    if (err)
        return err;
    AUTO_PUT struct file *file = NULL;
    bool is_path = (flags & LINUX_O_PATH) != 0;
    u32 kept = is_path ? flags & FLAGS_OF_PATH : (flags & ~FLAGS_OF_OPEN) | LINUX_O_LARGEFILE;
    u32 seen = is_path ? 0 : flags & LINUX_O_NOCTTY; /* a terminal's open asks for it */
    err = file_create(task->kernel, path, inode, kept | seen, &file);
    if (err)
        return err;
    if (is_path) {
        file->is_path = true;
        file->ops = &path_file_ops;
        if (file->wrote) {
            file->wrote = false;
            inode->write_count--;
        }
        *out = MOVE(file);
        return 0;
    }
    err = open_by_type(task, inode, file);
    file->flags &= ~seen;
    if (!err && (flags & LINUX_O_TRUNC) && inode_is_regular(inode) && !is_made)
        err = vfs_truncate_open(task, inode);
    if (!err && (flags & LINUX_O_TRUNC) && inode_is_regular(inode) && !is_made)
        notify_dentry(path->dentry, NOTIFY_MODIFY);
    if (err)
        return err;
    count_open(&task->kernel->metrics, inode, flags);
    notify_dentry(path->dentry, NOTIFY_OPEN);
    *out = MOVE(file);
    return 0;
}

int vfs_open_path(struct task *task, const struct path *path, u32 flags, struct file **out)
{
    AUTO_PATH struct path held = *path;
    path_get(&held);
    return open_found(task, &held, flags & ~(LINUX_O_CREAT | LINUX_O_EXCL), false, out);
}

/* Overlay has judged its own permissions; a layer's files are opened without any. */
int dentry_open(struct task *task, struct dentry *dentry, u32 flags, struct file **out)
{
    AUTO_PATH struct path path = {.dentry = REF_GET(dentry)};
    return open_found(task, &path, flags, true, out);
}

/* ---- making --------------------------------------------------------------------------------- */

/* A file at the walk's name, if it is free: 0 and *OUT; -EEXIST when it is there now. */
SLEEPS static int open_make(struct walk *walk, u32 flags, u32 mode, struct file **out)
{
    struct task *task = walk->task;
    int err = vfs_permission(task, &walk->at, 3);
    if (err)
        return err;
    const struct dir_make_args args = {.what = DIR_MAKE_FILE,
                                       .mode = mode & 07777 & ~task->fs->umask};
    AUTO_PATH struct path made = {0};
    err = dir_make(task, walk->at.dentry, walk->name, &args, &made.dentry);
    if (err)
        return err;
    made.mount = REF_GET(walk->at.mount);
    return open_found(task, &made, flags, true, out);
}

/* What open(2) with O_CREAT finds at the walk's name. *IS_DONE: the result stands; else the walk
 * goes on. */
SLEEPS static int open_or_make(struct walk *walk, u32 flags, u32 mode, bool *is_done,
                               struct file **out)
{
    struct task *task = walk->task;
    *is_done = true;
    AUTO_PATH struct path found = {0};
    int err = dentry_lookup(task, walk->at.dentry, walk->name, &found.dentry);
    if (err)
        return err;
    if (dentry_is_negative(found.dentry)) {
        if (walk->has_slash)
            return -EISDIR;
        err = open_make(walk, flags, mode, out);
        *is_done = err != -EEXIST || (flags & LINUX_O_EXCL);
        return err;
    }
    if (flags & LINUX_O_EXCL)
        return -EEXIST;
    found.mount = REF_GET(walk->at.mount);
    err = path_cross_mounts(&found, walk->flags);
    if (err)
        return err;
    if (inode_is_symlink(found.dentry->inode) && (!(flags & LINUX_O_NOFOLLOW) || walk->has_slash)) {
        bool is_end;
        err = walk_link(walk, &found, &is_end);
        if (err)
            return err;
        if (is_end)
            return open_found(task, &walk->at, flags, false, out);
        *is_done = false;
        return walk_parent(walk);
    }
    if (walk->has_slash)
        return inode_is_dir(found.dentry->inode) ? -EISDIR : -ENOTDIR;
    return open_found(task, &found, flags, false, out);
}

SLEEPS static int open_create(struct walk *walk, u32 flags, u32 mode, struct file **out)
{
    int err = walk_parent(walk);
    while (!err) {
        if (walk->name[0] == 0 || name_is_dots(walk->name))
            return flags & LINUX_O_EXCL ? -EEXIST : -EISDIR;
        bool is_done;
        err = open_or_make(walk, flags, mode, &is_done, out);
        if (is_done)
            return err;
        if (err == -EEXIST)
            err = 0; /* somebody made it meanwhile: look again */
    }
    return err;
}

SLEEPS static int open_tmpfile(struct walk *walk, u32 flags, u32 mode, struct file **out)
{
    struct task *task = walk->task;
    struct inode *dir = walk->at.dentry->inode;
    if (!inode_is_dir(dir))
        return -ENOTDIR;
    int err = vfs_permission(task, &walk->at, 3);
    if (err)
        return err;
    if (!dir->ops->tmpfile)
        return -EOPNOTSUPP;
    AUTO_PUT struct inode *inode = NULL;
    err = dir->ops->tmpfile(task, dir, mode & 07777 & ~task->fs->umask, &inode);
    if (err)
        return err;
    AUTO_PATH struct path path = {.mount = REF_GET(walk->at.mount)};
    err = dentry_create_tmpfile(walk->at.dentry, inode, &path.dentry);
    inode->is_linkable = !(flags & LINUX_O_EXCL);
    return err ? err : open_found(task, &path, flags & ~LINUX_O_TMPFILE, true, out);
}

MUST_CHECK static int judge_flags(u32 *flags)
{
    if (*flags & LINUX_O_PATH) {
        *flags &= FLAGS_OF_PATH;
        return 0;
    }
    if (*flags & LINUX_O_TMPFILE_BIT) {
        bool is_whole = (*flags & LINUX_O_TMPFILE) == LINUX_O_TMPFILE;
        if (!is_whole || (*flags & LINUX_O_CREAT) || !(access_wanted(*flags & LINUX_O_ACCMODE) & 2))
            return -EINVAL;
        return 0;
    }
    if ((*flags & (LINUX_O_CREAT | LINUX_O_DIRECTORY)) == (LINUX_O_CREAT | LINUX_O_DIRECTORY))
        return -EINVAL;
    return 0;
}

int vfs_open(struct task *task, const struct path *start, const char *path, u32 flags, u32 mode,
             u32 walk_flags, struct file **out)
{
    int err = judge_flags(&flags);
    if (err)
        return err;
    if (!path[0] && !(walk_flags & WALK_EMPTY))
        return -ENOENT;
    AUTO_WALK struct walk walk = {0};
    if (!(flags & (LINUX_O_ACCMODE | LINUX_O_PATH | LINUX_O_DIRECTORY | LINUX_O_TRUNC)))
        walk_flags |= WALK_OPENS;
    err = walk_begin(&walk, task, start, path, walk_flags);
    if (err)
        return err;
    if (flags & LINUX_O_CREAT)
        return open_create(&walk, flags, mode, out);
    err = walk_parent(&walk);
    if (!err)
        err = walk_last(&walk, !(flags & LINUX_O_NOFOLLOW));
    if (err)
        return err;
    if (flags & LINUX_O_TMPFILE_BIT)
        return open_tmpfile(&walk, flags, mode, out);
    return open_found(task, &walk.at, flags, false, out);
}
