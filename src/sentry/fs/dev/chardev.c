/* SPDX-License-Identifier: Apache-2.0 */
/* The table of character devices. A number without a row is ENXIO at open, as on Linux without the
 * driver. */
#include "abi/errno.h"
#include "abi/fcntl.h"
#include "abi/mount.h"
#include "sentry/fs/dev/dev.h"
#include "sentry/fs/tty/pty.h"

SLEEPS static int open_tty(struct task *task, struct inode *inode, struct file *file)
{
    return tty_open_current(task, file);
}

SLEEPS static int open_ptmx(struct task *task, struct inode *inode, struct file *file)
{
    return inode->ops->open && inode->super->magic == LINUX_DEVPTS_MAGIC
               ? inode->ops->open(task, inode, file)
               : tty_open_ptmx(task, file);
}

static const struct chardev rows[] = {
    {1, 3, 1, "mem", mem_open},      {1, 5, 1, "mem", mem_open},        {1, 7, 3, "mem", mem_open},
    {5, 0, 1, "/dev/tty", open_tty}, {5, 2, 1, "/dev/ptmx", open_ptmx},
};

const struct chardev *chardev_find(u32 rdev)
{
    u32 major = linux_major(rdev), minor = linux_minor(rdev);
    for (u32 i = 0; i < ARRAY_COUNT(rows); i++)
        if (rows[i].major == major && minor >= rows[i].minor_first &&
            minor - rows[i].minor_first < rows[i].minor_count)
            return &rows[i];
    return NULL;
}

const struct chardev *chardev_at(u32 index)
{
    return index < ARRAY_COUNT(rows) ? &rows[index] : NULL;
}

int chardev_open(struct task *task, struct inode *inode, struct file *file)
{
    const struct chardev *row = chardev_find(inode->rdev);
    return row ? row->open(task, inode, file) : -ENXIO;
}
