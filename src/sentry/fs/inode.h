/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inodes, super blocks and the operations a file system implements. Names are checked (no '/', not
 * empty, at most 255 bytes, not "." or "..") and permissions judged by vfs before an operation is
 * called; an operation decides, acts, and reports -errno.
 */
#pragma once
#include "abi/stat.h"
#include "base/fields.h"
#include "base/object.h"
#include "sentry/kernel/task.h"
#include "sentry/memory/mapping.h"
#include "sentry/sched/sched.h"

#define NAME_SIZE_MAX 255u
#define PATH_SIZE_MAX 4096u

struct dentry;
struct file;
struct inode;
struct super;
struct path;
struct poll_table;
struct state_reader;
struct state_writer;

/* What setattr is asked to change. Times are nanoseconds since the epoch. */
#define ATTR_MODE 1u
#define ATTR_UID 2u
#define ATTR_GID 4u
#define ATTR_SIZE 8u
#define ATTR_ATIME 16u
#define ATTR_MTIME 32u
#define ATTR_CTIME 64u
#define ATTR_TOUCH 128u /* the times are "now": who may write may set them */
struct attr {
    u32 mask;
    u32 mode;
    u32 uid, gid;
    u64 size;
    i64 atime_ns, mtime_ns, ctime_ns;
};

struct inode_ops {
    /* Directory. LOOKUP: 0 with a reference in *OUT, or -ENOENT. */
    SLEEPS_OP int (*lookup)(struct task *task, struct inode *dir, const char *name,
                            struct inode **out);
    SLEEPS_OP int (*create)(struct task *task, struct inode *dir, const char *name, u32 mode,
                            struct inode **out);
    SLEEPS_OP int (*mkdir)(struct task *task, struct inode *dir, const char *name, u32 mode,
                           struct inode **out);
    SLEEPS_OP int (*mknod)(struct task *task, struct inode *dir, const char *name, u32 mode,
                           u32 rdev, struct inode **out);
    SLEEPS_OP int (*symlink)(struct task *task, struct inode *dir, const char *name,
                             const char *target, struct inode **out);
    SLEEPS_OP int (*link)(struct task *task, struct inode *dir, const char *name,
                          struct inode *inode);
    SLEEPS_OP int (*unlink)(struct task *task, struct inode *dir, const char *name,
                            struct inode *inode);
    SLEEPS_OP int (*rmdir)(struct task *task, struct inode *dir, const char *name,
                           struct inode *inode);
    /* FLAGS: RENAME_NOREPLACE, RENAME_EXCHANGE. TARGET: what is at the new name or NULL. */
    SLEEPS_OP int (*rename)(struct task *task, struct inode *from_dir, const char *from,
                            struct inode *inode, struct inode *to_dir, const char *to,
                            struct inode *target, u32 flags);
    /* Symlink: the target without terminator in OUT; its length. */
    SLEEPS_OP i64 (*readlink)(struct task *task, struct inode *inode, char *out, size_t size);
    /* Magic links of /proc: the target itself; 0 with references in *OUT (struct path). NULL for
     * ordinary ones. */
    SLEEPS_OP int (*follow)(struct task *task, struct inode *inode, struct path *out);
    /* Refresh the inode's members from behind (host files). NULL: they are always right. */
    SLEEPS_OP int (*getattr)(struct task *task, struct inode *inode);
    /* Change members; vfs has judged permission and computed set-id clearing. NULL: -EPERM. */
    SLEEPS_OP int (*setattr)(struct task *task, struct inode *inode, const struct attr *attr);
    /* Make FILE (flags, inode, path are set) usable: set file->ops, file->private_object. NULL:
     * generic regular/dir. */
    SLEEPS_OP int (*open)(struct task *task, struct inode *inode, struct file *file);
    SLEEPS_OP i64 (*getxattr)(struct task *task, struct inode *inode, const char *name, void *out,
                              size_t size);
    SLEEPS_OP int (*setxattr)(struct task *task, struct inode *inode, const char *name,
                              const void *value, size_t size, int flags);
    SLEEPS_OP i64 (*listxattr)(struct task *task, struct inode *inode, char *out, size_t size);
    SLEEPS_OP int (*removexattr)(struct task *task, struct inode *inode, const char *name);
    /* Is a cached dentry still right? (shared host directories, /proc/PID). NULL: yes. */
    SLEEPS_OP bool (*revalidate)(struct task *task, struct inode *dir, struct dentry *dentry);
    SLEEPS_OP int (*allocate)(struct task *task, struct inode *inode, i32 mode, u64 offset,
                              u64 size); /* fallocate */
    /* The next data or hole at OFFSET or behind it, below the size; -ENXIO. NULL: what the pages
     * in memory say, or a file without holes. */
    SLEEPS_OP i64 (*seek)(struct task *task, struct inode *inode, u64 offset, bool is_data);
    /* O_TMPFILE: a regular file without a name, link_count 0. NULL: -EOPNOTSUPP. */
    SLEEPS_OP int (*tmpfile)(struct task *task, struct inode *dir, u32 mode, struct inode **out);
};

/*
 * Locks held when an operation is called: changes of a directory hold its `lock` (rename: of both,
 * by id), setattr of a size, write and allocate of a regular file hold the file's.
 */

struct inode {
    struct object object;        /* first; file systems embed struct inode first in their own */
    const struct inode_ops *ops; /* found again from the kind after a load */
    struct super *super; /* weak: whoever holds an inode holds a mount or the super too; NULL when
                            it is gone */
    struct list super_link; /* super->inodes */
    u64 ino;
    u32 mode; /* type and permission bits */
    u32 uid, gid;
    u32 link_count;
    u32 rdev;   /* makedev(major, minor) of device nodes, Linux's 32-bit encoding */
    u64 size;   /* == mapping.size for regular files with a mapping */
    u64 blocks; /* of 512 bytes */
    u32 block_size;
    i64 atime_ns, mtime_ns, ctime_ns, btime_ns;
    struct mapping mapping;       /* regular files and memfds; zero for others */
    struct sleep_lock lock;       /* directory changes, truncation, appends */
    struct lock_list *locks;      /* POSIX, OFD and flock locks (fs/locks.c) or NULL */
    struct inotify_list *watches; /* fs/inotify.c or NULL */
    struct object *socket;        /* counted: bound unix socket (net/), or NULL */
    struct object *fifo;          /* counted: the pipe of a named fifo while open, or NULL */
    u32 write_count;              /* open for writing (ETXTBSY, seals) */
    u32 exec_count;
    u32 open_count; /* descriptions by this dentry's inode; 0 and no link: it is gone */
    u32 seals;      /* memfd: F_SEAL_* */
    bool has_seals;
    bool is_unlinked_root_of_memfd;
    bool is_linkable; /* of O_TMPFILE: link(2) may give it a name */
};

struct super_ops {
    SLEEPS_OP int (*statfs)(struct task *task, struct super *super, struct linux_statfs *out);
    SLEEPS_OP int (*sync)(struct task *task, struct super *super);
    SLEEPS_OP int (*remount)(struct task *task, struct super *super, u32 flags,
                             const char *options);
    void (*destroy)(struct super *super);
};

struct super {
    struct object object;
    const struct super_ops *ops;
    struct kernel *kernel;
    struct list link;      /* vfs->supers, weak */
    struct list inodes;    /* struct inode.super_link: all that live, weak */
    const char *type_name; /* "tmpfs": static text of the fs_type */
    u32 magic;
    u32 flags; /* SB_RDONLY … as MS_* */
    u32 dev;   /* st_dev, unique in the sandbox */
    u64 ino_next;
    char *options;       /* as shown in /proc/mounts; arena string or NULL */
    struct dentry *root; /* counted */
    struct sleep_lock
        rename_lock; /* renames between directories: one at a time, so that no loop can be made */
    struct object *private_object; /* counted: the file system's own */
};

/* A file system type; all in one table (fs/types.c). */
struct fs_type {
    const char *name;
    bool may_users_mount;
    /* Would `mount` take these options? NULL: it will say. */
    int (*judge_options)(struct kernel *kernel, const char *options);
    const char *private_of;   /* the struct of a super's private object; NULL: it has none */
    const char *inodes_of[2]; /* the structs that its inodes are, and nothing else */
    const struct super_ops *super_ops; /* found again by type_name after a load; may be NULL */
    /* SOURCE and OPTIONS as mount(2) got them; a new super with a root dentry. */
    SLEEPS_OP int (*mount)(struct task *task, const char *source, u32 flags, const char *options,
                           struct super **out);
};
const struct fs_type *fs_type_find(const char *name);
/* Is an inode of KIND one that a file system of TYPE makes? */
bool fs_type_has_inode(const struct fs_type *type, const struct kind *kind);
/* For /proc/filesystems: NULL at the end. */
const struct fs_type *fs_type_at(u32 index);

extern const struct kind super_kind;
/* A fresh super of the type NAME (a row of fs/types.c) with one reference, no root yet. The file
 * system makes the root inode, and `dentry_create_root(super, root_inode, &super->root)`. MAGIC for
 * statfs, FLAGS MS_*. */
MUST_CHECK int super_create(struct kernel *kernel, const char *type_name, u32 magic, u32 flags,
                            struct super **out);

/* For file systems: set up the base of a fresh inode (object_create'd with the fs's kind). */
void inode_init(struct inode *inode, struct super *super, const struct inode_ops *ops, u32 mode,
                u32 uid, u32 gid);
/* For kinds' destroy: releases the base. */
void inode_fini(struct inode *inode);
/* Give a fresh regular inode its page cache; OPS as mapping_init. inode->size becomes the
 * mapping's. */
void inode_init_mapping(struct inode *inode, enum frame_use use, const struct mapping_ops *ops,
                        u64 size);
/* Who owns what TASK makes in DIR, and with which mode (set-group-id directories, umask is done
 * already). */
void inode_owner(struct task *task, const struct inode *dir, u32 *mode, u32 *uid, u32 *gid);
/* A kind's `loaded`, or the first thing in it: ops from the kind, the base's derived members. */
MUST_CHECK int inode_loaded(struct object *object, struct state_reader *reader);
/* A kind's `discard` where load_more calls inode_load_pages. */
void inode_discard(struct object *object);
/* For save_more and load_more of kinds with regular files: pages of the mapping. OPS as
 * inode_init_mapping. */
MUST_CHECK int inode_save_pages(const struct inode *inode, struct state_writer *writer);
MUST_CHECK int inode_load_pages(struct inode *inode, struct state_reader *reader,
                                const struct mapping_ops *ops);
static inline bool inode_is(const struct inode *inode, u32 type)
{
    return (inode->mode & LINUX_S_IFMT) == type;
}
static inline bool inode_is_dir(const struct inode *inode)
{
    return inode_is(inode, LINUX_S_IFDIR);
}
static inline bool inode_is_regular(const struct inode *inode)
{
    return inode_is(inode, LINUX_S_IFREG);
}
static inline bool inode_is_symlink(const struct inode *inode)
{
    return inode_is(inode, LINUX_S_IFLNK);
}
/* Applies ATTR to the members (not the size's pages) with a new ctime: for file systems whose
 * inodes are all there is. */
void inode_apply_attr(struct inode *inode, const struct attr *attr);
u64 inode_next_number(struct super *super);
/* Touch times with the kernel's clock: bits ATTR_ATIME, ATTR_MTIME, ATTR_CTIME. */
void inode_touch(struct inode *inode, u32 which);
extern const struct field
    inode_base_fields[]; /* for FIELD_STRUCT(struct x, inode, inode_base_fields) */
/* Permission bits (1 x, 2 w, 4 r) for TASK's fsuid/fsgid and capabilities: 0 or -EACCES. */
MUST_CHECK int inode_permission(struct task *task, const struct inode *inode, u32 want);
/* A capability over INODE: TASK has it in its user namespace, and that knows the inode's owners. */
bool inode_has_capability(const struct task *task, const struct inode *inode, u32 capability);
