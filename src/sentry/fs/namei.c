/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mkdir(2), mknod(2), symlink(2), link(2), unlink(2), rmdir(2), rename(2) by path: the walk, and
 * who may. The order of errors is Linux's: the name, then a read-only mount, then permissions.
 */
#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "abi/mount.h"
#include "sentry/fs/dentry.h"
#include "sentry/fs/vfs.h"
#include "sentry/fs/walk.h"

int path_may_write(const struct path *path)
{
    if (path->mount && ((path->mount->flags | path->mount->super->flags) & LINUX_MS_RDONLY))
        return -EROFS;
    return 0;
}

int vfs_permission(struct task *task, const struct path *path, u32 want)
{
    struct inode *inode = path->dentry->inode;
    bool is_special = !inode_is_dir(inode) && !inode_is_regular(inode) && !inode_is_symlink(inode);
    int err = (want & 2) && !is_special ? path_may_write(path) : 0;
    return err ? err : inode_permission(task, inode, want);
}

/* ---- making --------------------------------------------------------------------------------- */

/* A name that is to be made: where, and is it free? */
struct new_name {
    struct path dir; /* owned */
    char name[NAME_SIZE_MAX + 1];
};

SLEEPS static int new_name_judge(struct task *task, const struct new_name *new_name, bool is_dir,
                                 bool has_slash)
{
    if (new_name->name[0] == 0 || name_is_dots(new_name->name))
        return -EEXIST;
    AUTO_PUT struct dentry *dentry = NULL;
    int err = dentry_lookup(task, new_name->dir.dentry, new_name->name, &dentry);
    if (err)
        return err;
    if (!dentry_is_negative(dentry))
        return -EEXIST;
    if (has_slash && !is_dir)
        return -ENOENT;
    err = path_may_write(&new_name->dir);
    if (err)
        return err;
    if (new_name->dir.dentry->is_unlinked)
        return -ENOENT;
    return inode_permission(task, new_name->dir.dentry->inode, 3);
}

SLEEPS static int new_name_find(struct task *task, const struct path *start, const char *path,
                                bool is_dir, struct new_name *new_name)
{
    bool has_slash;
    new_name->dir = (struct path){0};
    int err = path_walk_parent(task, start, path, 0, &new_name->dir, new_name->name, &has_slash);
    if (err)
        return err;
    err = new_name_judge(task, new_name, is_dir, has_slash);
    if (err)
        path_put(&new_name->dir);
    return err;
}

SLEEPS static int make_at(struct task *task, const struct path *start, const char *path,
                          const struct dir_make_args *args)
{
    struct new_name new_name;
    int err = new_name_find(task, start, path, args->what == DIR_MAKE_DIR, &new_name);
    if (err)
        return err;
    struct dentry *dentry = NULL;
    err = dir_make(task, new_name.dir.dentry, new_name.name, args, &dentry);
    REF_PUT(dentry);
    path_put(&new_name.dir);
    return err;
}

int vfs_mkdir(struct task *task, const struct path *start, const char *path, u32 mode)
{
    const struct dir_make_args args = {.what = DIR_MAKE_DIR,
                                       .mode = mode & 01777 & ~task->fs->umask};
    return make_at(task, start, path, &args);
}

int vfs_mknod(struct task *task, const struct path *start, const char *path, u32 mode, u32 rdev)
{
    u32 type = mode & LINUX_S_IFMT;
    if (type == 0)
        type = LINUX_S_IFREG;
    bool is_device = type == LINUX_S_IFCHR || type == LINUX_S_IFBLK;
    if (type == LINUX_S_IFDIR)
        return -EPERM;
    if (!is_device && type != LINUX_S_IFREG && type != LINUX_S_IFIFO && type != LINUX_S_IFSOCK)
        return -EINVAL;
    bool is_whiteout = type == LINUX_S_IFCHR && rdev == 0;
    if (is_device && !is_whiteout && !task_has_capability(task, CAP_MKNOD))
        return -EPERM;
    struct dir_make_args args = {.what = DIR_MAKE_NODE,
                                 .mode = type | (mode & 07777 & ~task->fs->umask),
                                 .rdev = is_device ? rdev : 0};
    if (type == LINUX_S_IFREG)
        args.what = DIR_MAKE_FILE;
    return make_at(task, start, path, &args);
}

int vfs_symlink(struct task *task, const char *target, const struct path *start, const char *path)
{
    if (!target[0])
        return -ENOENT;
    const struct dir_make_args args = {.what = DIR_MAKE_SYMLINK, .target = target};
    return make_at(task, start, path, &args);
}

/* The rule of fs.protected_hardlinks: nobody pins files that are not his own and not safe. */
MUST_CHECK static int may_link(struct task *task, const struct inode *inode)
{
    if (task->cred->fsuid == inode->uid || inode_has_capability(task, inode, CAP_FOWNER))
        return 0;
    bool is_set_id = (inode->mode & LINUX_S_ISUID) ||
                     (inode->mode & (LINUX_S_ISGID | 010)) == (LINUX_S_ISGID | 010);
    if (!inode_is_regular(inode) || is_set_id || inode_permission(task, inode, 6))
        return -EPERM;
    return 0;
}

int vfs_link(struct task *task, const struct path *old, const struct path *start, const char *path)
{
    struct inode *inode = old->dentry->inode;
    bool has_slash;
    struct new_name new_name = {0};
    int err = path_walk_parent(task, start, path, 0, &new_name.dir, new_name.name, &has_slash);
    if (err)
        return err;
    AUTO_PATH struct path dir = new_name.dir;
    if (new_name.name[0] == 0 || name_is_dots(new_name.name))
        return -EEXIST;
    AUTO_PUT struct dentry *dentry = NULL;
    err = dentry_lookup(task, dir.dentry, new_name.name, &dentry);
    if (!err && !dentry_is_negative(dentry))
        err = -EEXIST;
    if (!err && has_slash)
        err = -ENOENT;
    if (!err)
        err = path_may_write(&dir);
    if (!err && old->mount != dir.mount)
        err = -EXDEV;
    if (!err)
        err = may_link(task, inode);
    if (!err)
        err = inode_permission(task, dir.dentry->inode, 3);
    if (!err && inode_is_dir(inode))
        err = -EPERM;
    if (!err && inode->link_count == 0 && !inode->is_linkable)
        err = -ENOENT;
    if (err)
        return err;
    const struct dir_make_args args = {.what = DIR_MAKE_LINK, .inode = inode};
    struct dentry *made = NULL;
    err = dir_make(task, dir.dentry, new_name.name, &args, &made);
    REF_PUT(made);
    return err;
}

/* ---- removing ------------------------------------------------------------------------------- */

/* Sticky directories: only the owner of the directory or of the file (unlink(2)). */
static bool is_sticky_for(struct task *task, const struct inode *dir, const struct inode *inode)
{
    if (!(dir->mode & LINUX_S_ISVTX))
        return false;
    u32 uid = task->cred->fsuid;
    return uid != inode->uid && uid != dir->uid && !inode_has_capability(task, inode, CAP_FOWNER);
}

/* may_delete of Linux; a free name needs only the right to make one. */
static int judge_remove(struct task *task, struct dentry *dir, struct dentry *dentry, u32 flags)
{
    int err = inode_permission(task, dir->inode, 3);
    if (err || dentry_is_negative(dentry))
        return err;
    if (is_sticky_for(task, dir->inode, dentry->inode))
        return -EPERM;
    bool wants_dir = (flags & LINUX_AT_REMOVEDIR) != 0;
    if (wants_dir == inode_is_dir(dentry->inode))
        return 0;
    return wants_dir ? -ENOTDIR : -EISDIR;
}

SLEEPS static int judge_slash(struct task *task, const struct path *dir, const char *name)
{
    AUTO_PUT struct dentry *dentry = NULL;
    int err = dentry_lookup(task, dir->dentry, name, &dentry);
    if (err)
        return err;
    if (dentry_is_negative(dentry))
        return -ENOENT;
    return inode_is_dir(dentry->inode) ? -EISDIR : -ENOTDIR;
}

int vfs_unlink(struct task *task, const struct path *start, const char *path, u32 flags)
{
    bool is_dir = (flags & LINUX_AT_REMOVEDIR) != 0;
    char name[NAME_SIZE_MAX + 1];
    bool has_slash;
    AUTO_PATH struct path dir = {0};
    int err = path_walk_parent(task, start, path, 0, &dir, name, &has_slash);
    if (err)
        return err;
    if (name[0] == 0)
        return is_dir ? -EBUSY : -EISDIR;
    if (strcmp(name, ".") == 0)
        return is_dir ? -EINVAL : -EISDIR;
    if (strcmp(name, "..") == 0)
        return is_dir ? -ENOTEMPTY : -EISDIR;
    err = path_may_write(&dir);
    if (!err && has_slash && !is_dir)
        err = judge_slash(task, &dir, name);
    return err ? err : dir_remove(task, dir.dentry, name, flags, judge_remove);
}

/* ---- renaming ------------------------------------------------------------------------------- */

/* As judge_remove; a directory that gets another parent must be writable itself: its ".." changes.
 */
static int judge_rename(struct task *task, struct dentry *dir, struct dentry *dentry, u32 flags)
{
    return judge_remove(task, dir, dentry, flags);
}

static int judge_rename_far(struct task *task, struct dentry *dir, struct dentry *dentry, u32 flags)
{
    int err = judge_remove(task, dir, dentry, flags);
    if (!err && !dentry_is_negative(dentry) && inode_is_dir(dentry->inode))
        err = inode_permission(task, dentry->inode, 2);
    return err;
}

int vfs_rename(struct task *task, const struct path *old_start, const char *old_path,
               const struct path *new_start, const char *new_path, u32 flags)
{
    const u32 known = LINUX_RENAME_NOREPLACE | LINUX_RENAME_EXCHANGE;
    if ((flags & ~known) || flags == known)
        return -EINVAL;
    char from[NAME_SIZE_MAX + 1], to[NAME_SIZE_MAX + 1];
    AUTO_PATH struct path from_dir = {0};
    AUTO_PATH struct path to_dir = {0};
    struct dir_rename_args args = {.from = from, .to = to, .flags = flags};
    int err = path_walk_parent(task, old_start, old_path, 0, &from_dir, from, &args.from_slash);
    if (!err)
        err = path_walk_parent(task, new_start, new_path, 0, &to_dir, to, &args.to_slash);
    if (err)
        return err;
    if (from_dir.mount != to_dir.mount)
        return -EXDEV;
    if (from[0] == 0 || name_is_dots(from))
        return -EBUSY;
    if (to[0] == 0 || name_is_dots(to))
        return flags & LINUX_RENAME_NOREPLACE ? -EEXIST : -EBUSY;
    err = path_may_write(&from_dir);
    if (err)
        return err;
    args.from_dir = from_dir.dentry;
    args.to_dir = to_dir.dentry;
    args.judge = from_dir.dentry == to_dir.dentry ? judge_rename : judge_rename_far;
    return dir_rename(task, &args);
}

/* ---- for the loader ------------------------------------------------------------------------- */

int vfs_mkdir_all(struct task *task, const char *path, u32 mode)
{
    char part[PATH_SIZE_MAX];
    size_t size = strlen(path);
    if (size >= sizeof part)
        return -ENAMETOOLONG;
    memcpy(part, path, size + 1);
    for (size_t i = 1; i <= size; i++) {
        if (part[i] != '/' && part[i] != 0)
            continue;
        char kept = part[i];
        part[i] = 0;
        int err = vfs_mkdir(task, NULL, part, mode);
        if (err && err != -EEXIST)
            return err;
        part[i] = kept;
    }
    AUTO_PATH struct path made = {0};
    return path_walk(task, NULL, path, WALK_FOLLOW | WALK_DIRECTORY, &made);
}
