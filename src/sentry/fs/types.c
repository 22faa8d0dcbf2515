/* SPDX-License-Identifier: Apache-2.0 */
/* All file system types. One row each; a type that users may not mount is for the sentry alone. */
#include <string.h>

#include "base/fields.h"
#include "sentry/fs/cgroup/cgroup.h"
#include "sentry/fs/dev/dev.h"
#include "sentry/fs/erofs/erofs.h"
#include "sentry/fs/gofer/gofer.h"
#include "sentry/fs/inode.h"
#include "sentry/fs/mqueue.h"
#include "sentry/fs/overlay/overlay.h"
#include "sentry/fs/proc/proc.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/fs/tty/pty.h"

extern const struct super_ops proc_super_ops, gofer_super_ops;

static const struct fs_type types[] = {
    {.name = "proc",
     .inodes_of = {"struct proc_inode"},
     .may_users_mount = true,
     .super_ops = &proc_super_ops,
     .mount = proc_mount},
    {.name = "sysfs",
     .inodes_of = {"struct proc_inode"},
     .may_users_mount = true,
     .super_ops = &proc_super_ops,
     .mount = sysfs_mount},
    {.name = "cgroup",
     .inodes_of = {"struct proc_inode"},
     .may_users_mount = true,
     .super_ops = &proc_super_ops,
     .mount = cgroup_mount},
    {.name = "devpts",
     .private_of = "struct devpts",
     .inodes_of = {"struct devpts_inode"},
     .may_users_mount = true,
     .super_ops = &devpts_super_ops,
     .mount = devpts_mount},
    {.name = "devtmpfs",
     .private_of = "struct tmpfs",
     .inodes_of = {"struct tmpfs_inode"},
     .may_users_mount = true,
     .super_ops = &tmpfs_super_ops,
     .mount = devtmpfs_mount},
    {.name = "dev",
     .private_of = "struct tmpfs",
     .inodes_of = {"struct tmpfs_inode"},
     .super_ops = &tmpfs_super_ops,
     .mount = dev_mount},
    {.name = "9p",
     .private_of = "struct gofer_conn",
     .inodes_of = {"struct gofer_inode"},
     .super_ops = &gofer_super_ops},
    {.name = "erofs",
     .private_of = "struct erofs",
     .inodes_of = {"struct erofs_inode"},
     .super_ops = &erofs_super_ops}, /* by descriptor alone */
    {.name = "overlay",
     .private_of = "struct overlay_supers",
     .inodes_of = {"struct overlay_inode"},
     .may_users_mount = true,
     .super_ops = &overlay_super_ops,
     .mount = overlay_mount},
    {.name = "tmpfs",
     .private_of = "struct tmpfs",
     .inodes_of = {"struct tmpfs_inode"},
     .may_users_mount = true,
     .judge_options = tmpfs_judge_options,
     .super_ops = &tmpfs_super_ops,
     .mount = tmpfs_mount},
    {.name = "mqueue",
     .private_of = "struct tmpfs",
     .inodes_of = {"struct tmpfs_inode"},
     .may_users_mount = true,
     .super_ops = &tmpfs_super_ops,
     .mount = mqueue_mount},
    {.name = "shmfs",
     .private_of = "struct tmpfs",
     .inodes_of = {"struct tmpfs_inode"},
     .super_ops = &tmpfs_super_ops},
    {.name = "pipefs", .inodes_of = {"struct inode"}},
    {.name = "sockfs", .inodes_of = {"struct inode"}},
    {.name = "anon_inodefs", .inodes_of = {"struct inode", "struct ns_inode"}},
};

const struct fs_type *fs_type_find(const char *name)
{
    for (u32 i = 0; i < ARRAY_COUNT(types); i++)
        if (strcmp(types[i].name, name) == 0)
            return &types[i];
    return NULL;
}

bool fs_type_has_inode(const struct fs_type *type, const struct kind *kind)
{
    for (u32 i = 0; i < ARRAY_COUNT(type->inodes_of); i++)
        if (type->inodes_of[i] && strcmp(kind->fields->of, type->inodes_of[i]) == 0)
            return true;
    return false;
}

const struct fs_type *fs_type_at(u32 index)
{
    return index < ARRAY_COUNT(types) ? &types[index] : NULL;
}
