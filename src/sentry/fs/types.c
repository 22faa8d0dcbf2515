/* SPDX-License-Identifier: Apache-2.0 */
/* All file system types. One row each; a type that users may not mount is for the sentry alone. */
#include <string.h>

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
    {.name = "proc", .may_users_mount = true, .super_ops = &proc_super_ops, .mount = proc_mount},
    {.name = "sysfs", .may_users_mount = true, .super_ops = &proc_super_ops, .mount = sysfs_mount},
    {.name = "cgroup",
     .may_users_mount = true,
     .super_ops = &proc_super_ops,
     .mount = cgroup_mount},
    {.name = "devpts",
     .may_users_mount = true,
     .super_ops = &devpts_super_ops,
     .mount = devpts_mount},
    {.name = "devtmpfs",
     .may_users_mount = true,
     .super_ops = &tmpfs_super_ops,
     .mount = devtmpfs_mount},
    {.name = "dev", .super_ops = &tmpfs_super_ops, .mount = dev_mount},
    {.name = "9p", .super_ops = &gofer_super_ops},
    {.name = "erofs", .super_ops = &erofs_super_ops}, /* by descriptor alone */
    {.name = "overlay",
     .may_users_mount = true,
     .super_ops = &overlay_super_ops,
     .mount = overlay_mount},
    {.name = "tmpfs",
     .may_users_mount = true,
     .judge_options = tmpfs_judge_options,
     .super_ops = &tmpfs_super_ops,
     .mount = tmpfs_mount},
    {.name = "mqueue",
     .may_users_mount = true,
     .super_ops = &tmpfs_super_ops,
     .mount = mqueue_mount},
    {.name = "shmfs", .super_ops = &tmpfs_super_ops},
    {.name = "pipefs"},
    {.name = "sockfs"},
    {.name = "anon_inodefs"},
};

const struct fs_type *fs_type_find(const char *name)
{
    for (u32 i = 0; i < ARRAY_COUNT(types); i++)
        if (strcmp(types[i].name, name) == 0)
            return &types[i];
    return NULL;
}

const struct fs_type *fs_type_at(u32 index)
{
    return index < ARRAY_COUNT(types) ? &types[index] : NULL;
}
