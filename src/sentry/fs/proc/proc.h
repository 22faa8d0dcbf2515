/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Generated file systems: /proc and /sys. A tree of nodes, each a row of a table: a directory has a
 * table of its own or answers names itself; a file has a function that writes its text; a link one
 * that finds its target. Text is made when a file is read from its start and then stays as it is.
 */
#pragma once
#include "base/buf.h"
#include "sentry/fs/file.h"
#include "sentry/fs/inode.h"

struct proc_node;
struct proc_inode;

/* What a text or a link is made from: who asks, and of which process it speaks (NULL outside
 * /proc/PID). */
struct proc_ask {
    struct task *asker;
    struct task *target; /* lent */
    struct proc_inode *inode;
    u64 key; /* of a node made by `children`: a descriptor's number, … */
};

#define PROC_NAME_MAX 32u /* bytes of a name that `next` gives */
#define CGROUP_MAGIC 0x27e0ebu

struct proc_node {
    const char *name;
    u32 mode;                      /* with the type */
    const struct proc_node *table; /* of a directory; ends with a NULL name */
    SLEEPS_OP int (*show)(struct proc_ask *ask, struct buf *out);
    SLEEPS_OP i64 (*write)(struct proc_ask *ask, char *text,
                           size_t size);                             /* text has a terminator */
    SLEEPS_OP int (*link)(struct proc_ask *ask, struct buf *out);    /* readlink's text */
    SLEEPS_OP int (*follow)(struct proc_ask *ask, struct path *out); /* magic link */
    /* A directory with names of its own beside the table's: the node and key for NAME (NULL: none)
     * … */
    SLEEPS_OP const struct proc_node *(*find)(struct proc_ask *ask, const char *name, u64 *key);
    /* … and the next name at or after *KEY into NAME; false at the end. */
    bool (*next)(struct proc_ask *ask, u64 *key, char name[PROC_NAME_MAX], u8 *type);
    SLEEPS_OP int (*open)(struct proc_ask *ask,
                          struct file *file); /* other than text: /proc/PID/mem */
    void (*attr)(const struct proc_ask *ask,
                 struct inode *inode); /* mode and link count that change */
    bool is_private;                   /* only for the owner and those who may trace it */
};

struct proc_inode {
    struct inode inode;
    const struct proc_node *node;
    struct pid *pid; /* counted, or NULL */
    u64 key;
    char *path; /* of the node in its tree, for images */
};
extern const struct kind proc_inode_kind;

#define PROC_DIR (LINUX_S_IFDIR | 0555)
#define PROC_FILE (LINUX_S_IFREG | 0444)
#define PROC_LINK (LINUX_S_IFLNK | 0777)
#define PROC_END     \
    {                \
        .name = NULL \
    }

extern const struct proc_node proc_root, sys_root; /* the two trees */
extern const struct proc_node proc_pid_table[], proc_task_table[], proc_sys_table[],
    proc_net_table[];
extern const struct proc_node proc_pid_dir, proc_task_dir;
extern const struct proc_node proc_fd_dir, proc_fd_link, proc_fdinfo_dir, proc_fdinfo_file,
    proc_ns_dir, sys_cpu_dir;
extern const struct proc_node cgroup_root, cgroup_file, cgroup_writable; /* fs/cgroup */

extern const struct super_ops proc_super_ops;
SLEEPS int proc_mount(struct task *task, const char *source, u32 flags, const char *options,
                      struct super **out);
SLEEPS int sysfs_mount(struct task *task, const char *source, u32 flags, const char *options,
                       struct super **out);
/* The process whose folder /proc/PID FILE is: lent, or NULL if it is something else. */
struct pid *proc_dir_pid(const struct file *file);
/* A file system of TYPE made of the tree ROOT, whose inode has KEY. */
MUST_CHECK SLEEPS int proc_tree_mount(struct task *task, const char *type, u32 magic,
                                      const struct proc_node *root, u64 key, u32 flags,
                                      struct super **out);
/* May ASKER look into TARGET (ptrace(2), PTRACE_MODE_READ)? */
bool proc_may_look(const struct task *asker, const struct task *target);
/* A process's mounts: root.c */
SLEEPS int proc_show_mounts(struct proc_ask *ask, struct buf *out);
SLEEPS int proc_show_mountinfo(struct proc_ask *ask, struct buf *out);
/* Kernel's texts */
SLEEPS int proc_show_maps(struct proc_ask *ask, struct buf *out);
SLEEPS int proc_show_smaps(struct proc_ask *ask, struct buf *out);
SLEEPS int proc_show_stat(struct proc_ask *ask, struct buf *out);
SLEEPS int proc_show_status(struct proc_ask *ask, struct buf *out);
