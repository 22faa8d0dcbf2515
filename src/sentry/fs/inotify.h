/* SPDX-License-Identifier: Apache-2.0 */
/* inotify(7): watches on inodes, events in a queue that read(2) empties. */
#pragma once
#include "sentry/fs/file.h"
#include "sentry/fs/notify.h"

#define INOTIFY_UNMOUNT 0x2000u
#define INOTIFY_Q_OVERFLOW 0x4000u
#define INOTIFY_IGNORED 0x8000u
#define INOTIFY_ONLYDIR 0x01000000u
#define INOTIFY_DONT_FOLLOW 0x02000000u
#define INOTIFY_EXCL_UNLINK 0x04000000u
#define INOTIFY_MASK_CREATE 0x10000000u
#define INOTIFY_MASK_ADD 0x20000000u
#define INOTIFY_ONESHOT 0x80000000u
#define INOTIFY_ALL_EVENTS 0xfffu

MUST_CHECK int inotify_create_file(struct kernel *kernel, u32 flags, struct file **out);
/* The watch's number. MASK is judged; -EINVAL if FILE is no inotify, -EEXIST, -ENOSPC, -ENOMEM. */
MUST_CHECK i32 inotify_add(struct task *task, struct file *file, const struct path *path, u32 mask);
MUST_CHECK int inotify_remove(struct file *file, i32 wd);
/* For notify.c: INODE has watches. */
void inotify_event(struct inode *inode, u32 mask, u32 cookie, const char *name);
/* INODE's last name and last user are gone, or (INOTIFY_UNMOUNT) its file system: watches end. */
void inotify_end(struct inode *inode, u32 mask);
bool inode_has_watches(const struct inode *inode);
extern const struct file_ops inotify_ops;
