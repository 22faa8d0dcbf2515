/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts inside fs/: the tree and its propagation (mount_namespaces(7)). */
#pragma once
#include "sentry/fs/path.h"

#define MOUNTS_MAX 10000u /* in one namespace: ENOSPC */

/* A mount in no tree yet. Takes nothing. SOURCE may be NULL. */
MUST_CHECK int mount_create(struct kernel *kernel, struct super *super, struct dentry *root,
                            u32 flags, const char *source, struct mount **out);
/* MOUNT, with its tree, becomes the mount at POINT; takes a reference of its own. Cannot fail. */
void mount_graft(struct mount *mount, const struct path *point);
/* Take MOUNT with its tree off its parent, still in its namespace: the caller gets the parent's
 * reference. */
void mount_unhook(struct mount *mount);
/* The opposite, at POINT of the same namespace: takes the reference. */
void mount_hook(struct mount *mount, const struct path *point);
/* Out of the tree, the mount alone; it stays alive while somebody holds it. Its children must be
 * gone. */
void mount_cut(struct mount *mount);
/* The whole tree below and with MOUNT, each for itself. */
void mount_cut_tree(struct mount *mount);
/* A copy of MOUNT's tree (ROOT instead of its root; NULL: its own), not grafted. WITH_CHILDREN:
 * MS_REC. */
MUST_CHECK int mount_copy_tree(struct mount *mount, struct dentry *root, bool with_children,
                               bool with_unbindable, struct mount **out);
/* The next of the tree of ROOT in preorder, lent; NULL at the end. */
struct mount *mount_tree_next(const struct mount *root, const struct mount *mount);
u32 mount_tree_count(const struct mount *root);
/* Graft MOUNT at POINT and copies of it at POINT's peers and slaves. 0 or -errno, and then nothing
 * was grafted. */
MUST_CHECK int mount_graft_propagated(struct mount *mount, const struct path *point);
/* Cut the tree of MOUNT and what propagation has made of it elsewhere. */
void mount_cut_propagated(struct mount *mount);
/* mount(2) with MS_SHARED, MS_PRIVATE, MS_SLAVE or MS_UNBINDABLE. */
void mount_set_propagation(struct mount *mount, u32 type);
