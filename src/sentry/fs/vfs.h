/* SPDX-License-Identifier: Apache-2.0 */
/* The file systems' root object, and what other rooms ask of fs as a whole. */
#pragma once
#include "sentry/fs/file.h"
#include "sentry/fs/inode.h"
#include "sentry/fs/path.h"

struct vfs {
    struct object object;
    struct kernel *kernel;
    struct super *pipefs, *sockfs, *anonfs, *shmfs; /* counted: inodes without a path */
    u32 dev_next, mount_id_next, group_next;
    struct list supers;       /* struct super.link: all that live, weak */
    struct list mounts;       /* struct mount.all_link: all that live, weak */
    struct list dentry_cache; /* struct dentry.cache_link: kept though nobody uses them, oldest use
                                 first; counted */
    u32 dentry_cache_count, dentry_cache_max;
    struct list lock_waiters;        /* fs/locks.c: who waits for a POSIX lock, for EDEADLK */
    struct file_ops_table *file_ops; /* of upper rooms */
    u64 pipe_size_max;               /* /proc/sys/fs/pipe-max-size */
    u64 rename_cookie;               /* inotify's */
    struct object *ptys;             /* fs/tty: master numbers */
};
extern const struct kind vfs_kind;
MUST_CHECK int vfs_create(struct kernel *kernel); /* sets kernel->vfs */
void vfs_destroy(struct kernel *kernel);

/* tmpfs made by the sentry itself (roots, overlay uppers, /dev). OPTIONS as mount(8)'s -o or NULL.
 */
MUST_CHECK SLEEPS int tmpfs_create(struct task *task, const char *options, struct super **out);
/* overlay of UPPER (NULL: read-only) over LOWERS, topmost first. */
MUST_CHECK SLEEPS int overlay_create(struct task *task, const struct path *upper,
                                     const struct path *lowers, u32 lower_count,
                                     struct super **out);
/* The host's files behind a gofer connection; takes STREAM. IS_SHARED: others change them too:
 * revalidate. */
MUST_CHECK SLEEPS int gofer_fs_create(struct task *task, struct host_stream *stream,
                                      bool is_readonly, bool is_shared, struct super **out);
/* A descriptor pair of pipe2(2): FLAGS O_NONBLOCK, O_DIRECT. */
MUST_CHECK int pipe_create(struct kernel *kernel, u32 flags, struct file **reader,
                           struct file **writer);
/* memfd_create(2) and SysV/shared memory objects: NAME as shown after "memfd:". */
MUST_CHECK int memfd_create_file(struct task *task, const char *name, u32 flags, struct file **out);
/* Drop all cached dentries that nobody uses (a checkpoint, memory pressure, an unmount). */
void vfs_drop_cache(struct kernel *kernel);

/* After a restore: the mount SUPER speaks to a new gofer over STREAM (taken). */
MUST_CHECK SLEEPS int gofer_fs_reconnect(struct task *task, struct super *super,
                                         struct host_stream *stream);

/* Device files, proc, sysfs, devpts, mqueue: through fs_type_find(name)->mount. */

/* stdio of the sandbox: a description over the host's descriptor (regular file with its own shared
 * offset, pipe, socket, tty, null). Takes STREAM or FILE: exactly one is not NULL. IS_TTY: terminal
 * ioctls work and it may become a controlling terminal. */
struct host_std {
    struct host_stream *stream;
    struct host_file *file;
    u32 mode;  /* st_mode of the host's file */
    u32 flags; /* O_ACCMODE, O_APPEND of the host's description */
    bool is_tty;
    const char *name; /* "host:[1]" */
};
MUST_CHECK SLEEPS int host_std_open(struct task *task, const struct host_std *std,
                                    struct file **out);

/* A pty pair for a container's terminal when the host gives none: master for the sentry's relay,
 * slave for the program. */
MUST_CHECK SLEEPS int pty_create(struct task *task, struct file **master, struct file **slave);
