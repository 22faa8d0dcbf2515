/* SPDX-License-Identifier: Apache-2.0 */
/* tmpfs(5): a tree in memory. Also stands behind dev, devtmpfs, mqueue, memfds and overlay uppers.
 */
#pragma once
#include "sentry/fs/file.h"
#include "sentry/fs/inode.h"
#include "sentry/fs/xattr.h"

/* super.private_object. A maximum of 0 is none. */
struct tmpfs {
    struct object object;
    u64 pages_max, pages_used;
    u64 inodes_max, inodes_used;
    u32 root_mode, root_uid, root_gid; /* as asked for, for /proc/mounts */
};

struct tmpfs_entry {
    struct object object;
    struct tree_node name_node; /* dir->names */
    struct list link;           /* of a dying directory */
    struct inode *inode;        /* counted */
    char *name;
    u64 cookie;
};

struct tmpfs_inode {
    struct inode inode;
    char *target;       /* symlink */
    struct map entries; /* directory: cookie -> struct tmpfs_entry, counted; in order of creation */
    struct tree names;  /* the same by hash of the name, weak */
    u64 cookie_next;
    struct xattr_list xattrs;
};
extern const struct kind tmpfs_inode_kind;
extern const struct super_ops tmpfs_super_ops;
extern const struct inode_ops tmpfs_inode_ops;
extern const struct file_ops tmpfs_dir_ops;

static inline struct tmpfs_inode *tmpfs_inode_of(struct inode *inode)
{
    return container_of(inode, struct tmpfs_inode, inode);
}

MUST_CHECK SLEEPS int tmpfs_mount(struct task *task, const char *source, u32 flags,
                                  const char *options, struct super **out);
MUST_CHECK int tmpfs_judge_options(struct kernel *kernel, const char *options);
/* A tmpfs of the type NAME, without limits and with a root of MODE 01777 owned by root. */
MUST_CHECK int tmpfs_create_plain(struct kernel *kernel, const char *type_name, u32 magic,
                                  u32 flags, u32 mode, struct super **out);
/* An inode without a name (link_count as inode_init). -ENOSPC, -ENOMEM. */
MUST_CHECK int tmpfs_inode_create(struct super *super, u32 mode, u32 uid, u32 gid,
                                  struct inode **out);
/* Options of tmpfs(5) into FS; NULL or "": none. -EINVAL. */
MUST_CHECK int tmpfs_parse_options(struct kernel *kernel, struct tmpfs *fs, const char *options);
/* One name less; what is no directory paid for all but its last one. */
void tmpfs_drop_link(struct inode *inode);

/* ---- directories (tmpfs_dir.c) -------------------------------------------------------------- */
struct tmpfs_entry *tmpfs_find(struct tmpfs_inode *dir, const char *name); /* lent */
/* INODE becomes NAME in DIR: one more reference, no link count. -ENOMEM. */
MUST_CHECK int tmpfs_add(struct tmpfs_inode *dir, const char *name, struct inode *inode);
void tmpfs_remove(struct tmpfs_inode *dir, struct tmpfs_entry *entry);
void tmpfs_dir_clear(struct tmpfs_inode *dir);
/* After a load: names from entries. */
void tmpfs_dir_loaded(struct tmpfs_inode *dir);
MUST_CHECK SLEEPS int tmpfs_rename(struct task *task, struct inode *from_dir, const char *from,
                                   struct inode *inode, struct inode *to_dir, const char *to,
                                   struct inode *target, u32 flags);
