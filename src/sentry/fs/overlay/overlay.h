/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The overlay file system: an upper layer that takes all changes over lower ones that are only
 * read. An inode names the dentries of its file in the layers; a directory may be in several at
 * once.
 *
 * Whiteouts are character devices 0:0; a directory that hides what is below has
 * trusted.overlay.opaque (Documentation/filesystems/overlayfs.rst, the format of images).
 */
#pragma once
#include "base/object.h"
#include "sentry/fs/dentry.h"
#include "sentry/fs/vfs.h"

#define OVERLAY_LOWER_MAX 500u

struct overlay_inode {
    struct inode inode;
    struct overlay_inode *parent; /* counted; NULL for the root and nameless files */
    char *name;                   /* in PARENT */
    struct dentry *upper;         /* counted; NULL: not copied up */
    struct dentry **lowers;       /* counted, topmost first; non-directories have at most one */
    u32 lower_count;
    u64 origin_ino; /* what programs see: stays when it is copied up */
    struct sleep_lock copy_lock;
};
extern const struct kind overlay_inode_kind;
extern const struct inode_ops overlay_inode_ops;
extern const struct super_ops overlay_super_ops;
extern const struct file_ops overlay_dir_ops;

MUST_CHECK SLEEPS int overlay_mount(struct task *task, const char *source, u32 flags,
                                    const char *options, struct super **out);
static inline struct overlay_inode *overlay_of(struct inode *inode)
{
    return container_of(inode, struct overlay_inode, inode);
}
/* Where the file's content and attributes are now, lent. */
static inline struct dentry *overlay_real(const struct overlay_inode *inode)
{
    return inode->upper ? inode->upper : inode->lowers[0];
}
static inline bool overlay_is_whiteout(const struct inode *inode)
{
    return inode_is(inode, LINUX_S_IFCHR) && inode->rdev == 0;
}

/* inode.c. UPPER and LOWERS: references are taken over in any case. */
struct overlay_layers {
    struct dentry *upper;
    struct dentry **lowers; /* arena array of lower_count */
    u32 lower_count;
};
void overlay_layers_put(struct arena *arena, struct overlay_layers *layers);
MUST_CHECK int overlay_inode_create(struct super *super, struct overlay_inode *parent,
                                    const char *name, struct overlay_layers *layers,
                                    struct overlay_inode **out);
/* One number for a file of any layer: numbers of layers in memory are mixed, those of the host's
 * files stay. */
u64 overlay_number(const struct super *layer, u64 ino);
/* The number of a file that lies in the upper layer: where it came from, or its own. */
SLEEPS u64 overlay_upper_number(struct task *task, struct inode *upper);
/* Attributes of the real file into the overlay's inode. */
void overlay_refresh(struct overlay_inode *inode);
/* NAME in the layers of DIR: 0 with *LAYERS filled, or -ENOENT. */
MUST_CHECK SLEEPS int overlay_find(struct task *task, struct overlay_inode *dir, const char *name,
                                   struct overlay_layers *layers);

/* copy_up.c: afterwards INODE has an upper. 0 or -errno, and then nothing is there that was not. */
MUST_CHECK SLEEPS int overlay_copy_up(struct task *task, struct overlay_inode *inode);
MUST_CHECK SLEEPS int overlay_set_opaque(struct task *task, struct dentry *upper);
bool overlay_is_opaque_name(const char *xattr);

/* change.c */
SLEEPS int overlay_create_file(struct task *task, struct inode *dir, const char *name, u32 mode,
                               struct inode **out);
SLEEPS int overlay_mkdir(struct task *task, struct inode *dir, const char *name, u32 mode,
                         struct inode **out);
SLEEPS int overlay_mknod(struct task *task, struct inode *dir, const char *name, u32 mode, u32 rdev,
                         struct inode **out);
SLEEPS int overlay_symlink(struct task *task, struct inode *dir, const char *name,
                           const char *target, struct inode **out);
SLEEPS int overlay_link(struct task *task, struct inode *dir, const char *name,
                        struct inode *inode);
SLEEPS int overlay_unlink(struct task *task, struct inode *dir, const char *name,
                          struct inode *inode);
SLEEPS int overlay_rmdir(struct task *task, struct inode *dir, const char *name,
                         struct inode *inode);
SLEEPS int overlay_rename(struct task *task, struct inode *from_dir, const char *from,
                          struct inode *inode, struct inode *to_dir, const char *to,
                          struct inode *target, u32 flags);
/* dir.c: is a merged directory empty? */
MUST_CHECK SLEEPS int overlay_is_empty(struct task *task, struct overlay_inode *dir,
                                       bool *is_empty);
