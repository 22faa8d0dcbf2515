/* SPDX-License-Identifier: Apache-2.0 */
/* Namespaces as files (namespaces(7)): what /proc/PID/ns/ leads to, and what setns(2) takes. */
#pragma once
#include "sentry/fs/file.h"

/* The place of NS, whose TYPE is one of CLONE_NEW*; NR and NAME make its text, "uts:[4026531838]".
 */
MUST_CHECK int nsfs_path(struct kernel *kernel, struct object *ns, u32 type, const char *name,
                         u64 nr, struct path *out);
/* The namespace behind FILE and its type, lent; NULL if FILE is none. */
struct object *nsfs_object(const struct file *file, u32 *type);
extern const struct kind ns_inode_kind;
extern const struct file_ops nsfs_ops;
