/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A path walk in steps, for operations that need more than its end: vfs_open follows symlinks in
 * the last place while it creates. Text, position and the count of symlinks are one object.
 */
#pragma once
#include "sentry/fs/path.h"

#define WALK_LINKS_MAX 40u

struct walk {
    struct task *task;
    struct path root; /* owned: where ".." and "/" end */
    struct path at;   /* owned: where we are */
    const char *rest; /* text not yet walked */
    char *link_text;  /* owned text of `rest` after a symlink, of link_size bytes; or NULL */
    size_t link_size;
    u32 flags; /* WALK_* */
    u32 link_count;
    char name[NAME_SIZE_MAX + 1]; /* the component of the last step; "" for none */
    bool is_last;                 /* nothing but slashes follow it */
    bool has_slash;               /* slashes follow it */
};

/* START NULL: the task's cwd. An empty PATH is the caller's affair: it ends at once. */
MUST_CHECK SLEEPS int walk_begin(struct walk *walk, struct task *task, const struct path *start,
                                 const char *path, u32 flags);
void walk_end(struct walk *walk);
#define AUTO_WALK CLEANUP(walk_end)
/* To the directory of the last component, which lands in `name` ("" when there is none). */
MUST_CHECK SLEEPS int walk_parent(struct walk *walk);
/* Walk `name` itself from there; FOLLOW: through symlinks, to the end of what they add. */
MUST_CHECK SLEEPS int walk_last(struct walk *walk, bool follow);
/* LINK, a symlink found at `name`, is replaced by its text; walk_parent may go on. A magic link
 * ends the walk: *IS_END. */
MUST_CHECK SLEEPS int walk_link(struct walk *walk, const struct path *link, bool *is_end);
/* Is NAME "." or ".."? */
bool name_is_dots(const char *name);

/* The mount on PATH's dentry, lent, or NULL. */
struct mount *mount_find(const struct mount *parent, const struct dentry *point);
/* Through all mounts that lie on PATH. -EXDEV if FLAGS forbid it. */
MUST_CHECK int path_cross_mounts(struct path *path, u32 flags);
/* A symlink was read or a file used: relatime. */
void path_accessed(const struct path *path, struct inode *inode);
