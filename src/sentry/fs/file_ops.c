/* SPDX-License-Identifier: Apache-2.0 */
/* Names of file operations, for images: a loaded description finds its operations by the saved
 * name. */
#include <string.h>

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
    {"aio", &aio_ops},
    {"devpts_dir", &devpts_dir_ops},
    {"epoll", &epoll_ops},
    {"erofs_dir", &erofs_dir_ops},
    {"eventfd", &eventfd_ops},
    {"fs_config", &fs_config_ops},
    {"gofer_dir", &gofer_dir_ops},
    {"gofer_file", &gofer_file_ops},
    {"host_std", &host_std_ops},
    {"inotify", &inotify_ops},
    {"mem_full", &mem_full_ops},
    {"mem_null", &mem_null_ops},
    {"mem_random", &mem_random_ops},
    {"mem_zero", &mem_zero_ops},
    {"mqueue", &mqueue_ops},
    {"overlay_dir", &overlay_dir_ops},
    {"nsfs", &nsfs_ops},
    {"path", &path_file_ops},
    {"pidfd", &pidfd_ops},
    {"pipe", &pipe_ops},
    {"proc_dir", &proc_dir_ops},
    {"proc_mem", &proc_mem_ops},
    {"proc_text", &proc_text_ops},
    {"pty_master", &pty_master_ops},
    {"pty_slave", &pty_slave_ops},
    {"regular", &regular_file_ops},
    {"signalfd", &signalfd_ops},
    {"timerfd", &timerfd_ops},
    {"tree", &tree_file_ops},
    {"tmpfs_dir", &tmpfs_dir_ops},
};

void file_ops_add(struct kernel *kernel, struct file_ops_table *table)
{
    table->next = kernel->vfs->file_ops;
    kernel->vfs->file_ops = table;
}

static const struct file_ops *find_name(const struct file_ops_name *names, u32 count,
                                        const char *name)
{
    for (u32 i = 0; i < count; i++)
        if (strcmp(names[i].name, name) == 0)
            return names[i].ops;
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

const struct file_ops *file_ops_find(struct kernel *kernel, const char *name)
{
    const struct file_ops *ops = find_name(rows, ARRAY_COUNT(rows), name);
    for (const struct file_ops_table *table = kernel->vfs->file_ops; table && !ops;
         table = table->next)
        ops = find_name(table->rows, table->count, name);
    return ops;
}

const char *file_ops_name(struct kernel *kernel, const struct file_ops *ops)
{
    const char *name = find_ops(rows, ARRAY_COUNT(rows), ops);
    for (const struct file_ops_table *table = kernel->vfs->file_ops; table && !name;
         table = table->next)
        name = find_ops(table->rows, table->count, ops);
    return name;
}
