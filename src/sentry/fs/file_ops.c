/* SPDX-License-Identifier: Apache-2.0 */
/* Names of file operations, for images: a loaded description finds its operations by the saved
 * name. */
#include <string.h>

#include "base/fields.h"
#include "sentry/fs/aio.h"
#include "sentry/fs/dev/dev.h"
#include "sentry/fs/host_std.h"
#include "sentry/fs/inotify.h"
#include "sentry/fs/mount_fd.h"
#include "sentry/fs/mqueue.h"
#include "sentry/fs/pipe.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/fs/tty/pty.h"
#include "sentry/fs/vfs.h"
#include "sentry/kernel/kernel.h"

extern const struct file_ops nsfs_ops, eventfd_ops, signalfd_ops, timerfd_ops, epoll_ops;
extern const struct file_ops devpts_dir_ops, gofer_file_ops, gofer_dir_ops, proc_dir_ops,
    proc_mem_ops, proc_text_ops, overlay_dir_ops, pidfd_ops, erofs_dir_ops;

static const struct file_ops_name rows[] = {
    {"aio", &aio_ops, .private_of = "struct aio"},
    {"devpts_dir", &devpts_dir_ops, .inode_of = "struct devpts_inode"},
    {"epoll", &epoll_ops, .private_of = "struct epoll"},
    {"erofs_dir", &erofs_dir_ops, .inode_of = "struct erofs_inode"},
    {"eventfd", &eventfd_ops, .private_of = "struct eventfd"},
    {"fs_config", &fs_config_ops, .private_of = "struct fs_config"},
    {"gofer_dir", &gofer_dir_ops, .inode_of = "struct gofer_inode"},
    {"gofer_file", &gofer_file_ops, .inode_of = "struct gofer_inode"},
    {"host_std", &host_std_ops, .private_of = "struct host_std_file"},
    {"inotify", &inotify_ops, .private_of = "struct inotify"},
    {"mem_full", &mem_full_ops},
    {"mem_null", &mem_null_ops},
    {"mem_random", &mem_random_ops},
    {"mem_zero", &mem_zero_ops},
    {"mqueue", &mqueue_ops, .private_of = "struct mqueue"},
    {"overlay_dir", &overlay_dir_ops, .private_of = "struct overlay_listing",
     .may_lack_private = true, .inode_of = "struct overlay_inode"},
    {"nsfs", &nsfs_ops, .inode_of = "struct ns_inode"},
    {"path", &path_file_ops},
    {"pidfd", &pidfd_ops, .private_of = "struct pid"},
    {"pipe", &pipe_ops, .private_of = "struct pipe"},
    {"proc_dir", &proc_dir_ops, .inode_of = "struct proc_inode"},
    {"proc_mem", &proc_mem_ops, .private_of = "struct proc_mem"},
    {"proc_text", &proc_text_ops, .private_of = "struct proc_text"},
    {"pty_master", &pty_master_ops, .private_of = "struct pty"},
    {"pty_slave", &pty_slave_ops, .private_of = "struct pty"},
    {"regular", &regular_file_ops},
    {"signalfd", &signalfd_ops, .private_of = "struct signalfd"},
    {"timerfd", &timerfd_ops, .private_of = "struct timerfd"},
    {"tree", &tree_file_ops},
    {"tmpfs_dir", &tmpfs_dir_ops, .inode_of = "struct tmpfs_inode"},
};

void file_ops_add(struct kernel *kernel, struct file_ops_table *table)
{
    table->next = kernel->vfs->file_ops;
    kernel->vfs->file_ops = table;
}

static const struct file_ops_name *find_name(const struct file_ops_name *names, u32 count,
                                             const char *name)
{
    for (u32 i = 0; i < count; i++)
        if (strcmp(names[i].name, name) == 0)
            return &names[i];
    return NULL;
}

static const char *find_ops(const struct file_ops_name *names, u32 count,
                            const struct file_ops *ops)
{
    for (u32 i = 0; i < count; i++)
        if (names[i].ops == ops)
            return names[i].name;
    return NULL;
}

const struct file_ops_name *file_ops_find(struct kernel *kernel, const char *name)
{
    const struct file_ops_name *row = find_name(rows, ARRAY_COUNT(rows), name);
    for (const struct file_ops_table *table = kernel->vfs->file_ops; table && !row;
         table = table->next)
        row = find_name(table->rows, table->count, name);
    return row;
}

bool file_ops_fit(const struct file_ops_name *row, const struct file *file)
{
    const struct object *private = file->private_object;
    if (!file->inode || (row->inode_of && !kind_is(file->inode->object.kind, row->inode_of)))
        return false;
    if (!row->private_of)
        return true;
    return private ? kind_is(private->kind, row->private_of) : row->may_lack_private;
}

const char *file_ops_name(struct kernel *kernel, const struct file_ops *ops)
{
    const char *name = find_ops(rows, ARRAY_COUNT(rows), ops);
    for (const struct file_ops_table *table = kernel->vfs->file_ops; table && !name;
         table = table->next)
        name = find_ops(table->rows, table->count, ops);
    return name;
}
