/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts by descriptor: what fsopen(2), fsmount(2), open_tree(2), move_mount(2) are made of. */
#pragma once
#include "sentry/fs/file.h"

/* ---- a file system that is being configured ------------------------------------------------ */

/* The caller has judged CAP_SYS_ADMIN. -ENODEV: no such type for users. */
MUST_CHECK int fs_config_create(struct kernel *kernel, const char *type, struct file **out);
bool file_is_fs_config(const struct file *file);
/* One option; VALUE NULL: a flag. -EINVAL (unknown, wrong value), -EBUSY (it is made already). */
MUST_CHECK int fs_config_set(struct file *file, const char *key, const char *value);
/* Make the super of the options so far. */
MUST_CHECK SLEEPS int fs_config_make(struct task *task, struct file *file);
/* The options so far are for the super that is there. */
MUST_CHECK SLEEPS int fs_config_remake(struct task *task, struct file *file);
/* A detached mount (FLAGS MS_*) of the super that was made, as an O_PATH description. -EINVAL
 * before. */
MUST_CHECK int fs_config_mount(struct file *file, u32 flags, struct file **out);

/* ---- detached trees ------------------------------------------------------------------------ */

/* A copy of the tree at PATH in no namespace; the description's end dissolves it if it is in none
 * still. */
MUST_CHECK int mount_clone_file(const struct path *path, bool is_recursive, struct file **out);
/* move_mount(2): FROM, a mount's root, to TO. -EINVAL, -ELOOP, -ENOTDIR, -ENOSPC. */
MUST_CHECK int mount_move_path(struct task *task, const struct path *from, const struct path *to);
/* mount_setattr(2): flags of the mount at PATH, with the tree below it. */
MUST_CHECK int mount_change_flags(const struct path *path, u32 set, u32 clear, u32 propagation,
                                  bool is_recursive);
extern const struct file_ops fs_config_ops, tree_file_ops;
