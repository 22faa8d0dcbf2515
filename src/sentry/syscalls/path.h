/* SPDX-License-Identifier: Apache-2.0 */
/* Paths as system calls get them: copied in, with the directory they start from. */
#pragma once
#include "sentry/fs/file.h"
#include "sentry/fs/vfs.h"
#include "sentry/syscalls/syscalls.h"

/* A path of the program, and where it starts. Zero it first; user_path_fini releases it. Stays
 * where it is: most paths are short and lie in it. */
struct user_path {
    struct arena *arena;
    char *text;               /* `small`, or PATH_SIZE_MAX bytes of the arena */
    struct file *file;        /* counted: the directory's description, or NULL */
    const struct path *start; /* NULL: the task's cwd */
    char small[120];
};
/* DIRFD is looked at only for a relative path (or an empty one with MAY_BE_EMPTY). 0, -EFAULT,
 * -ENAMETOOLONG, -ENOENT, -EBADF, -ENOTDIR, -ENOMEM. */
MUST_CHECK SLEEPS int user_path_get(struct task *task, i32 dirfd, uaddr at, bool may_be_empty,
                                    struct user_path *out);
void user_path_fini(struct user_path *path);
#define AUTO_USER_PATH CLEANUP(user_path_fini)
/* The file that DIRFD and AT name, walked with WALK_* flags. */
MUST_CHECK SLEEPS int user_path_walk(struct task *task, i32 dirfd, uaddr at, u32 walk_flags,
                                     struct path *out);
/* AT_* of *at calls: 0 with WALK_* in *OUT, or -EINVAL for flags outside ALLOWED. FOLLOWS: without
 * AT_SYMLINK_NOFOLLOW. */
MUST_CHECK int at_flags(u32 flags, u32 allowed, bool follows, u32 *out);
