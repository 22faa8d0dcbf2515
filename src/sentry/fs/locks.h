/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX record locks, OFD locks and flock(2) of one inode. */
#pragma once
#include "sentry/fs/file.h"

/* What fcntl(2) is asked for, judged: [start, end), end UINT64_MAX: to the end of all. */
struct lock_request {
    i32 type; /* F_RDLCK, F_WRLCK, F_UNLCK */
    u64 start, end;
    bool is_ofd;
};
/* WAIT: sleeps for it; else -EAGAIN. -EDEADLK only for POSIX locks. */
MUST_CHECK SLEEPS int lock_set(struct task *task, struct file *file,
                               const struct lock_request *request, bool wait);
/* F_GETLK: the lock in the way in *REQUEST and its owner's pid (-1: OFD), or type F_UNLCK. */
void lock_test(struct task *task, struct file *file, struct lock_request *request, i32 *pid);
/* flock(2): TYPE F_RDLCK, F_WRLCK or F_UNLCK. */
MUST_CHECK SLEEPS int lock_flock(struct task *task, struct file *file, i32 type, bool wait);
/* A descriptor of TABLE was closed: all POSIX locks that TABLE has on INODE go. */
void locks_release_table(struct inode *inode, const struct fd_table *table);
/* The description's end: its OFD locks and flocks go. */
void locks_release_file(struct inode *inode, const struct file *file);
/* One line a lock as in /proc/locks; INDEX counts on. */
MUST_CHECK int locks_show(const struct inode *inode, u32 *index, struct buf *out);
