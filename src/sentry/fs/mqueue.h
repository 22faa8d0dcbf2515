/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POSIX message queues (mq_overview(7)). Queues are files of an IPC namespace's own mqueue file
 * system, which may be mounted to be looked at; a queue hangs on its inode.
 */
#pragma once
#include "sentry/fs/file.h"

#define MQUEUE_MESSAGES_DEFAULT 10
#define MQUEUE_SIZE_DEFAULT 8192
#define MQUEUE_MESSAGES_MAX 65536 /* with CAP_SYS_RESOURCE */
#define MQUEUE_SIZE_MAX (16 << 20)
#define MQUEUE_PRIORITY_MAX 32768u
#define MQUEUES_MAX 256u /* of a namespace */

struct linux_mq_attr {
    i64 flags, messages_max, message_size, messages;
    i64 reserved[4];
};
_Static_assert(sizeof(struct linux_mq_attr) == 64, "mq_attr");

/* mq_open(2): FLAGS are O_*; ATTR NULL: the defaults. NAME is the program's, without a slash. */
MUST_CHECK SLEEPS int mqueue_open(struct task *task, const char *name, u32 flags, u32 mode,
                                  const struct linux_mq_attr *attr, struct file **out);
MUST_CHECK SLEEPS int mqueue_unlink(struct task *task, const char *name);
bool file_is_mqueue(const struct file *file);
/* Judged before: priority and that FILE may. BYTES are the kernel's. Deadlines are monotonic. */
MUST_CHECK SLEEPS int mqueue_send(struct task *task, struct file *file, const void *bytes, u64 size,
                                  u32 priority, u64 deadline_ns);
/* The first message, which is taken: its size; -EMSGSIZE when SIZE is less than a message's
 * maximum. */
MUST_CHECK SLEEPS i64 mqueue_receive(struct task *task, struct file *file, void *out, u64 size,
                                     u32 *priority, u64 deadline_ns);
void mqueue_attributes(const struct file *file, struct linux_mq_attr *out);
/* SIGNO 0: told in no way (SIGEV_NONE). -EBUSY. */
MUST_CHECK int mqueue_notify(struct task *task, struct file *file, i32 signo, u64 value);
/* This process's registration ends, if it has one. */
void mqueue_notify_end(struct task *task, struct file *file);
extern const struct kind mqueue_kind, mqueue_message_kind;
extern const struct file_ops mqueue_ops;
/* The type "mqueue": the file system of the mounter's IPC namespace. */
MUST_CHECK SLEEPS int mqueue_mount(struct task *task, const char *source, u32 flags,
                                   const char *options, struct super **out);
/* inode_ops.open of the file system's files. */
MUST_CHECK int mqueue_open_inode(struct task *task, struct inode *inode, struct file *file);
