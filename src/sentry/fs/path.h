/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dentries, mounts, mount namespaces, path walks. A dentry is a name in a directory with the inode
 * behind it (or none: a negative entry). A path is a dentry seen through a mount.
 */
#pragma once
#include "base/object.h"
#include "sentry/fs/inode.h"

struct dentry {
    struct object object;
    struct dentry *parent; /* counted; NULL for a root */
    struct inode *inode;   /* counted; NULL: negative */
    struct super *super;   /* weak, as inode.super */
    char *name;            /* arena string; "" of a root */
    struct tree
        child_tree; /* cached entries by hash of name, weak; rebuilt by the children after a load */
    struct tree_node child_node;
    bool is_hashed;         /* in the parent's tree */
    struct list cache_link; /* vfs->dentry_cache, which holds a reference of its own */
    u32 mount_count;        /* mounts on it, in any namespace */
    bool is_unlinked;
    bool is_pinned; /* a reference is held by the file system itself (tmpfs) */
};

struct mount {
    struct object object;
    struct super *super;  /* counted */
    struct dentry *root;  /* counted: what this mount shows as its root */
    struct mount *parent; /* weak: NULL for a namespace's root */
    struct dentry *point; /* counted: where in the parent */
    struct list children; /* struct mount.sibling, owned */
    struct list sibling;
    struct list all_link; /* vfs->mounts */
    struct mount_ns *ns;  /* weak */
    u32 flags;            /* MS_RDONLY NOSUID NODEV NOEXEC NOATIME … */
    u32 id, parent_id;
    u32 peer_group;   /* shared propagation: 0 none */
    u32 master_group; /* slave of; 0 none */
    bool is_unbindable;
    bool is_locked;   /* came from a more privileged namespace: stays where it is … */
    u32 locked_flags; /* … and keeps these (mount_namespaces(7)) */
    char *source;     /* for /proc/mounts */
};
extern const struct kind mount_kind;

struct fs_context;

struct mount_ns {
    struct object object;
    struct mount *root; /* counted */
    u32 mount_count;
    struct user_ns *user_ns; /* counted: whose CAP_SYS_ADMIN counts; NULL: the root one's */
    struct kernel *kernel;
};
extern const struct kind mount_ns_kind;
/* NS, a fresh fork of FROM, belongs to USER_NS: what less privileged owners got is locked. */
void mount_ns_set_owner(struct mount_ns *ns, const struct mount_ns *from, struct user_ns *user_ns);
/* CAP_SYS_ADMIN over TASK's mounts: 0 or -EPERM. */
MUST_CHECK int task_may_mount(const struct task *task);

struct path {
    struct mount *mount;   /* counted where the path is owned */
    struct dentry *dentry; /* counted where the path is owned */
};
extern const struct field path_fields[]; /* for FIELD_STRUCT(struct x, path, path_fields) */
void path_get(const struct path *path);
void path_put(struct path *path); /* and clear; empty is fine */
static inline bool path_is_equal(const struct path *a, const struct path *b)
{
    return a->mount == b->mount && a->dentry == b->dentry;
}
#define AUTO_PATH CLEANUP(path_put)

/* Root, cwd and umask: CLONE_FS shares it. */
struct fs_context {
    struct object object;
    struct path root, cwd;
    u32 umask;
};
extern const struct kind fs_context_kind;
MUST_CHECK int fs_context_create(struct kernel *kernel, const struct path *root,
                                 const struct path *cwd, struct fs_context **out);
MUST_CHECK int fs_context_fork(const struct fs_context *from, struct fs_context **out);

/* ---- walking -------------------------------------------------------------------------------- */

#define WALK_FOLLOW 1u    /* follow a symlink in the last place */
#define WALK_DIRECTORY 2u /* the result must be a directory: -ENOTDIR */
#define WALK_EMPTY 4u     /* an empty path means the start itself (AT_EMPTY_PATH) */
#define WALK_NO_XDEV 8u   /* openat2's RESOLVE_* */
#define WALK_NO_SYMLINKS 16u
#define WALK_NO_MAGICLINKS 32u
#define WALK_BENEATH 64u
#define WALK_IN_ROOT 128u
#define WALK_OPENS 256u /* a file there is opened for reading next (task.is_opening) */

/* START: NULL for the task's cwd. PATH absolute starts at the task's root. 0 and an owned *OUT. */
MUST_CHECK SLEEPS int path_walk(struct task *task, const struct path *start, const char *path,
                                u32 flags, struct path *out);
/* All but the last component: the parent directory in *OUT, the last name in NAME (NAME_SIZE_MAX +
 * 1 bytes; "." or ".." or empty for "/" are left to the caller, *TRAILING_SLASH says if slashes
 * followed). */
MUST_CHECK SLEEPS int path_walk_parent(struct task *task, const struct path *start,
                                       const char *path, u32 flags, struct path *out, char *name,
                                       bool *trailing_slash);
/* Look NAME up in DIR (cached or by the file system): 0 with a dentry reference, possibly negative.
 */
MUST_CHECK SLEEPS int dentry_lookup(struct task *task, struct dentry *dir, const char *name,
                                    struct dentry **out);
/* The path as text seen from ROOT ("(unreachable)" in front if it is not below; " (deleted)" after
 * if unlinked). */
MUST_CHECK int path_text(const struct path *path, const struct path *root, struct buf *out);
/* Borrows INODE (takes its own reference). */
MUST_CHECK int dentry_create_root(struct super *super, struct inode *inode, struct dentry **out);
/* Forget what is cached under DIR's NAME, or below DIR as a whole (NAME NULL): the next lookup asks
 * the file system. */
void dentry_forget(struct dentry *dir, const char *name);
static inline bool dentry_is_negative(const struct dentry *dentry)
{
    return dentry->inode == NULL;
}

/* ---- operations by path (all judge permissions; used by syscalls/ and loader/) -------------- */
struct file;
/* open(2): FLAGS are O_*, MODE before umask. A struct file, not yet in a table. */
MUST_CHECK SLEEPS int vfs_open(struct task *task, const struct path *start, const char *path,
                               u32 flags, u32 mode, u32 walk_flags, struct file **out);
/* Open what PATH names already. */
MUST_CHECK SLEEPS int vfs_open_path(struct task *task, const struct path *path, u32 flags,
                                    struct file **out);
MUST_CHECK SLEEPS int vfs_mkdir(struct task *task, const struct path *start, const char *path,
                                u32 mode);
MUST_CHECK SLEEPS int vfs_mknod(struct task *task, const struct path *start, const char *path,
                                u32 mode, u32 rdev);
MUST_CHECK SLEEPS int vfs_symlink(struct task *task, const char *target, const struct path *start,
                                  const char *path);
MUST_CHECK SLEEPS int vfs_link(struct task *task, const struct path *old, const struct path *start,
                               const char *path);
/* FLAGS: AT_REMOVEDIR */
MUST_CHECK SLEEPS int vfs_unlink(struct task *task, const struct path *start, const char *path,
                                 u32 flags);
MUST_CHECK SLEEPS int vfs_rename(struct task *task, const struct path *old_start,
                                 const char *old_path, const struct path *new_start,
                                 const char *new_path, u32 flags);
MUST_CHECK SLEEPS int vfs_setattr(struct task *task, const struct path *path,
                                  const struct attr *attr);
/* A mount's read-only flag too: -EROFS. WANT as inode_permission. */
MUST_CHECK SLEEPS int vfs_permission(struct task *task, const struct path *path, u32 want);
/* Make all missing directories of an absolute path (loader). */
MUST_CHECK SLEEPS int vfs_mkdir_all(struct task *task, const char *path, u32 mode);

/* ---- mounts --------------------------------------------------------------------------------- */
/* Mount SUPER at POINT (owned path of a directory or, for bind of a file, a file). */
MUST_CHECK int mount_attach(struct task *task, struct super *super, struct dentry *root,
                            const struct path *point, u32 flags, const char *source,
                            struct mount **out);
MUST_CHECK int mount_ns_create(struct kernel *kernel, struct super *root_super, u32 flags,
                               struct mount_ns **out);
/* A copy of FROM's tree; FS is moved over by mount_ns_enter. */
MUST_CHECK int mount_ns_fork(struct task *task, struct mount_ns *from, struct mount_ns **out);
/* Root and cwd of FS from mounts of FROM to their copies in TO, a fresh fork of it. */
void mount_ns_enter(const struct mount_ns *from, const struct mount_ns *to, struct fs_context *fs);
/* mount(2), umount2(2), pivot_root(2) by text. */
MUST_CHECK SLEEPS int vfs_mount(struct task *task, const char *source, const char *target,
                                const char *type, u64 flags, const char *options);
MUST_CHECK SLEEPS int vfs_umount(struct task *task, const char *target, u32 flags);
MUST_CHECK SLEEPS int vfs_pivot_root(struct task *task, const char *new_root, const char *put_old);
/* All mounts of NS in the order of /proc/PID/mountinfo: the next after MOUNT (NULL: the root one),
 * lent, or NULL. */
struct mount *mount_next(const struct mount_ns *ns, const struct mount *mount);
/* The mount TASK's paths start in: nsproxy's, or its root's for kernel tasks. */
struct mount_ns *task_mount_ns(const struct task *task);

/* ---- attributes ----------------------------------------------------------------------------- */
/* Refresh the inode from what is behind it. */
MUST_CHECK SLEEPS int vfs_getattr(struct task *task, struct inode *inode);
/* stat(2)'s structure from the members as they are now. */
void inode_stat(const struct inode *inode, struct linux_stat *out);
MUST_CHECK SLEEPS int vfs_statfs(struct task *task, const struct path *path,
                                 struct linux_statfs *out);
MUST_CHECK SLEEPS int vfs_truncate(struct task *task, const struct path *path, u64 size);
MUST_CHECK SLEEPS i64 vfs_readlink(struct task *task, const struct path *path, char *out,
                                   size_t size);
MUST_CHECK SLEEPS i64 vfs_getxattr(struct task *task, const struct path *path, const char *name,
                                   void *out, size_t size);
MUST_CHECK SLEEPS int vfs_setxattr(struct task *task, const struct path *path, const char *name,
                                   const void *value, size_t size, int flags);
MUST_CHECK SLEEPS i64 vfs_listxattr(struct task *task, const struct path *path, char *out,
                                    size_t size);
MUST_CHECK SLEEPS int vfs_removexattr(struct task *task, const struct path *path, const char *name);
