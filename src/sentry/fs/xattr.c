/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes of a path (xattr(7)): which name space allows what, before the file system is
 * asked. Sizes and names are judged by the system call.
 */
#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "sentry/fs/dentry.h"
#include "sentry/fs/notify.h"
#include "sentry/fs/vfs.h"

static bool is_in(const char *name, const char *space)
{
    return strncmp(name, space, strlen(space)) == 0;
}

/* What the name space says; FOR_WRITE: set or remove. */
MUST_CHECK static int xattr_judge(struct task *task, const struct path *path, const char *name,
                                  bool for_write)
{
    const struct inode *inode = path->dentry->inode;
    int err = for_write ? path_may_write(path) : 0;
    if (err)
        return err;
    if (is_in(name, "security."))
        return for_write && !task_has_capability(task, CAP_SYS_ADMIN) ? -EPERM : 0;
    if (is_in(name, "trusted.")) {
        if (task_has_capability(task, CAP_SYS_ADMIN))
            return 0;
        return for_write ? -EPERM : -ENODATA;
    }
    if (!is_in(name, "user."))
        return -EOPNOTSUPP;
    if (!inode_is_regular(inode) && !inode_is_dir(inode))
        return for_write ? -EPERM : -ENODATA;
    bool is_sticky = inode_is_dir(inode) && (inode->mode & LINUX_S_ISVTX);
    if (for_write && is_sticky && task->cred->fsuid != inode->uid &&
        !inode_has_capability(task, inode, CAP_FOWNER))
        return -EPERM;
    return inode_permission(task, inode, for_write ? 2 : 4);
}

i64 vfs_getxattr(struct task *task, const struct path *path, const char *name, void *out,
                 size_t size)
{
    int err = xattr_judge(task, path, name, false);
    if (err)
        return err;
    AUTO_PATH struct path held = *path;
    path_get(&held);
    return inode_getxattr(task, held.dentry->inode, name, out, size);
}

int vfs_setxattr(struct task *task, const struct path *path, const char *name, const void *value,
                 size_t size, int flags)
{
    int err = xattr_judge(task, path, name, true);
    if (err)
        return err;
    AUTO_PATH struct path held = *path;
    path_get(&held);
    err = inode_setxattr(task, held.dentry->inode, name, value, size, flags);
    if (!err)
        notify_dentry(held.dentry, NOTIFY_ATTRIB);
    return err;
}

/* Names of "trusted." are not shown to those who may not read them; the list is shortened in place.
 */
static i64 hide_trusted(char *names, size_t size)
{
    size_t kept = 0;
    for (size_t at = 0; at < size;) {
        size_t name_size = strlen(names + at) + 1;
        if (!is_in(names + at, "trusted.")) {
            memmove(names + kept, names + at, name_size);
            kept += name_size;
        }
        at += name_size;
    }
    return (i64)kept;
}

i64 vfs_listxattr(struct task *task, const struct path *path, char *out, size_t size)
{
    AUTO_PATH struct path held = *path;
    path_get(&held);
    i64 total = inode_listxattr(task, held.dentry->inode, out, size);
    if (total > 0 && size > 0 && !task_has_capability(task, CAP_SYS_ADMIN))
        total = hide_trusted(out, (size_t)total);
    return total;
}

int vfs_removexattr(struct task *task, const struct path *path, const char *name)
{
    int err = xattr_judge(task, path, name, true);
    if (err)
        return err;
    AUTO_PATH struct path held = *path;
    path_get(&held);
    err = inode_removexattr(task, held.dentry->inode, name);
    if (!err)
        notify_dentry(held.dentry, NOTIFY_ATTRIB);
    return err;
}
