/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The types "dev" (a container's own /dev) and "devtmpfs": a tmpfs that comes with device nodes,
 * links and the places to mount pts, shm and mqueue on. The runtime adds what the OCI spec asks for
 * by mknod.
 */
#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "abi/mount.h"
#include "sentry/fs/dentry.h"
#include "sentry/fs/dev/dev.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/fs/vfs.h"

static const struct dev_node {
    const char *name;
    u32 mode; /* with the type */
    u32 major, minor;
    const char *target; /* symlink */
} nodes[] = {
    {"null", LINUX_S_IFCHR | 0666, 1, 3, NULL},
    {"zero", LINUX_S_IFCHR | 0666, 1, 5, NULL},
    {"full", LINUX_S_IFCHR | 0666, 1, 7, NULL},
    {"random", LINUX_S_IFCHR | 0666, 1, 8, NULL},
    {"urandom", LINUX_S_IFCHR | 0666, 1, 9, NULL},
    {"tty", LINUX_S_IFCHR | 0666, 5, 0, NULL},
    {"fd", LINUX_S_IFLNK | 0777, 0, 0, "/proc/self/fd"},
    {"stdin", LINUX_S_IFLNK | 0777, 0, 0, "/proc/self/fd/0"},
    {"stdout", LINUX_S_IFLNK | 0777, 0, 0, "/proc/self/fd/1"},
    {"stderr", LINUX_S_IFLNK | 0777, 0, 0, "/proc/self/fd/2"},
    {"ptmx", LINUX_S_IFLNK | 0777, 0, 0, "pts/ptmx"},
    {"pts", LINUX_S_IFDIR | 0755, 0, 0, NULL},
    {"shm", LINUX_S_IFDIR | 01777, 0, 0, NULL},
    {"mqueue", LINUX_S_IFDIR | 0755, 0, 0, NULL},
};

/* Root's, whoever mounts. */
MUST_CHECK static int add_node(struct super *super, const struct dev_node *node)
{
    AUTO_PUT struct inode *inode = NULL;
    int err = tmpfs_inode_create(super, node->mode, 0, 0, &inode);
    if (err)
        return err;
    inode->rdev = linux_makedev(node->major, node->minor);
    if (node->target) {
        char *target = arena_strdup(super->object.arena, node->target);
        if (!target)
            return -ENOMEM;
        tmpfs_inode_of(inode)->target = target;
        inode->size = strlen(target);
    }
    struct inode *root = super->root->inode;
    err = tmpfs_add(tmpfs_inode_of(root), node->name, inode);
    if (!err && inode_is_dir(inode))
        root->link_count++;
    return err;
}

MUST_CHECK static int dev_create(struct kernel *kernel, const char *type_name, u32 flags,
                                 struct super **out)
{
    AUTO_PUT struct super *super = NULL;
    int err = tmpfs_create_plain(kernel, type_name, LINUX_TMPFS_MAGIC, flags, 0755, &super);
    for (u32 i = 0; i < ARRAY_COUNT(nodes) && !err; i++)
        err = add_node(super, &nodes[i]);
    if (err)
        return err;
    *out = MOVE(super);
    return 0;
}

int dev_mount(struct task *task, const char *source, u32 flags, const char *options,
              struct super **out)
{
    return dev_create(task->kernel, "tmpfs", flags, out);
}

/* One shared instance: whoever mounts it sees the same nodes. */
int devtmpfs_mount(struct task *task, const char *source, u32 flags, const char *options,
                   struct super **out)
{
    struct vfs *vfs = task->kernel->vfs;
    struct super *super;
    list_for_each (super, &vfs->supers, link) {
        if (strcmp(super->type_name, "devtmpfs") == 0) {
            *out = REF_GET(super);
            return 0;
        }
    }
    return dev_create(task->kernel, "devtmpfs", flags, out);
}
