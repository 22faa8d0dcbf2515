/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dentries inside fs/: the cache and changes of directories by dentry, without permission checks.
 * vfs (after its checks) and overlay (for its layers) build on these.
 */
#pragma once
#include "sentry/fs/path.h"

/* The cached entry NAME of DIR, lent until the next sleep, or NULL. */
struct dentry *dentry_find(const struct dentry *dir, const char *name);
/* As dentry_lookup with DIR's lock held by the caller. */
MUST_CHECK SLEEPS int dentry_lookup_locked(struct task *task, struct dentry *dir, const char *name,
                                           struct dentry **out);
/* A negative dentry becomes INODE's name; borrows. */
void dentry_instantiate(struct dentry *dentry, struct inode *inode);
/* The name is gone from the file system: out of tree and cache; users of it see an unlinked one. */
void dentry_unlink(struct dentry *dentry);
/* Out of tree and cache, nothing said about the file. */
void dentry_drop(struct dentry *dentry);
/* DENTRY now is NAME in DIR; what stood there was dropped before. 0 or -ENOMEM with nothing changed
 * (allocate first). */
void dentry_move(struct dentry *dentry, struct dentry *dir, char *name);
/* A dentry with a text and an inode of its own, below nothing: anonymous files. */
MUST_CHECK int dentry_create_anon(struct inode *inode, const char *name, struct dentry **out);
/* INODE has no name yet, but a place: "DIR/#12 (deleted)". */
MUST_CHECK int dentry_create_tmpfile(struct dentry *dir, struct inode *inode, struct dentry **out);
/* A description of DENTRY's file without a mount and without a check of permissions. */
MUST_CHECK SLEEPS int dentry_open(struct task *task, struct dentry *dentry, u32 flags,
                                  struct file **out);
/* Drop what the cache holds of SUPER (NULL: of all). */
void dentry_cache_drop(struct vfs *vfs, const struct super *super);
/* Is DENTRY equal to ANCESTOR or below it? */
bool dentry_is_below(const struct dentry *dentry, const struct dentry *ancestor);

/* ---- changes: DIR's lock must not be held. NAME as dentry_lookup ---------------------------- */

enum dir_make { DIR_MAKE_FILE, DIR_MAKE_DIR, DIR_MAKE_NODE, DIR_MAKE_SYMLINK, DIR_MAKE_LINK };
/* What to make; members by `what`. */
struct dir_make_args {
    enum dir_make what;
    u32 mode;            /* with umask applied */
    u32 rdev;            /* node */
    const char *target;  /* symlink */
    struct inode *inode; /* link */
};
/* -EEXIST when the name is taken, and then *OUT is that dentry; else 0 and the new dentry. */
MUST_CHECK SLEEPS int dir_make(struct task *task, struct dentry *dir, const char *name,
                               const struct dir_make_args *args, struct dentry **out);
/* JUDGE (may be NULL) sees the dentry under the lock, before anything is done. */
typedef int dir_judge(struct task *task, struct dentry *dir, struct dentry *dentry, u32 flags);
/* FLAGS: AT_REMOVEDIR. */
MUST_CHECK SLEEPS int dir_remove(struct task *task, struct dentry *dir, const char *name, u32 flags,
                                 dir_judge *judge);
struct dir_rename_args {
    struct dentry *from_dir;
    const char *from;
    struct dentry *to_dir;
    const char *to;
    u32 flags;                 /* RENAME_* */
    bool from_slash, to_slash; /* slashes followed the name: must be a directory */
    dir_judge *judge;          /* both sides; FLAGS AT_REMOVEDIR where it must be a directory */
};
MUST_CHECK SLEEPS int dir_rename(struct task *task, const struct dir_rename_args *args);

/* ---- operations of inodes, one wrapper each ------------------------------------------------- */

MUST_CHECK SLEEPS int inode_lookup(struct task *task, struct inode *dir, const char *name,
                                   struct inode **out);
MUST_CHECK SLEEPS int inode_getattr(struct task *task, struct inode *inode);
/* -EROFS through a read-only mount. */
MUST_CHECK int path_may_write(const struct path *path);
/* O_TRUNC: to nothing, permission is judged. */
MUST_CHECK SLEEPS int vfs_truncate_open(struct task *task, struct inode *inode);
/* With the lock where a size is changed (taken here). */
MUST_CHECK SLEEPS int inode_setattr(struct task *task, struct inode *inode,
                                    const struct attr *attr);
MUST_CHECK SLEEPS i64 inode_readlink(struct task *task, struct inode *inode, char *out,
                                     size_t size);
MUST_CHECK SLEEPS int inode_follow(struct task *task, struct inode *inode, struct path *out);
MUST_CHECK SLEEPS i64 inode_getxattr(struct task *task, struct inode *inode, const char *name,
                                     void *out, size_t size);
MUST_CHECK SLEEPS int inode_setxattr(struct task *task, struct inode *inode, const char *name,
                                     const void *value, size_t size, int flags);
MUST_CHECK SLEEPS i64 inode_listxattr(struct task *task, struct inode *inode, char *out,
                                      size_t size);
MUST_CHECK SLEEPS int inode_removexattr(struct task *task, struct inode *inode, const char *name);
