/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Character devices by number: one table (dev/chardev.c); a driver adds a row and an `open` that
 * sets file->ops and file->private_object. Nodes are ordinary inodes of any file system with that
 * rdev.
 */
#pragma once
#include "sentry/fs/file.h"

struct chardev {
    u32 major;
    u32 minor_first, minor_count;
    const char *name; /* of /proc/devices */
    SLEEPS_OP int (*open)(struct task *task, struct inode *inode, struct file *file);
};
/* The driver of RDEV, or NULL. */
const struct chardev *chardev_find(u32 rdev);
const struct chardev *chardev_at(u32 index); /* NULL at the end */
MUST_CHECK SLEEPS int chardev_open(struct task *task, struct inode *inode, struct file *file);

/* null, zero, full, random, urandom (dev/mem.c). */
MUST_CHECK SLEEPS int mem_open(struct task *task, struct inode *inode, struct file *file);
extern const struct file_ops mem_null_ops, mem_zero_ops, mem_full_ops, mem_random_ops;

/* Types "dev" and "devtmpfs": a tmpfs with the nodes and links of a container's /dev. */
MUST_CHECK SLEEPS int dev_mount(struct task *task, const char *source, u32 flags,
                                const char *options, struct super **out);
MUST_CHECK SLEEPS int devtmpfs_mount(struct task *task, const char *source, u32 flags,
                                     const char *options, struct super **out);
