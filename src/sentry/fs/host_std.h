/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptions over descriptors of the host: a sandbox's stdio. See vfs.h for host_std_open. */
#pragma once
#include "sentry/fs/tty/tty.h"
#include "sentry/fs/vfs.h"

struct host_std_file {
    struct tty tty; /* first; meant only when is_tty */
    struct kernel *kernel;
    struct host_stream *stream; /* one of the two, or neither after a load: a dead descriptor */
    struct host_file *file;
    u32 mode;
    bool is_tty;
    bool is_dead;
    char name[32];
    struct object *devpts;   /* counted: the file system that lists this terminal, or NULL */
    struct list devpts_link; /* its `terminals` */
    u32 number;              /* /dev/pts/N there */
    u32 uid, gid;            /* of that node */
    struct host_watch watch;
    struct wait_queue changed;
};
extern const struct kind host_std_kind;
extern const struct file_ops host_std_ops;
/* After a restore: FILE (a host_std description) gets the restoring side's descriptor. */
MUST_CHECK SLEEPS int host_std_replace(struct task *task, struct file *file,
                                       const struct host_std *std);
