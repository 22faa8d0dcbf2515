/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Path walks (path_resolution(7), openat2(2)'s RESOLVE_*). A symlink in the way is no recursion:
 * its target is put in front of the text that is left. Surprising: slashes after the last name ask
 * for a directory and make a symlink there be followed.
 */
#include "sentry/fs/walk.h"

#include <string.h>

#include "abi/errno.h"
#include "abi/mount.h"
#include "sentry/fs/dentry.h"
#include "sentry/fs/vfs.h"

#define WALK_SCOPED (WALK_BENEATH | WALK_IN_ROOT)

bool name_is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static void path_set(struct path *path, struct mount *mount, struct dentry *dentry)
{
    struct path next = {REF_GET(mount), REF_GET(dentry)};
    path_put(path);
    *path = next;
}

/* ---- mounts in the way ---------------------------------------------------------------------- */

int path_cross_mounts(struct path *path, u32 flags)
{
    while (path->mount && path->dentry->mount_count > 0) {
        struct mount *mount = mount_find(path->mount, path->dentry);
        if (!mount)
            return 0;
        if (flags & WALK_NO_XDEV)
            return -EXDEV;
        path_set(path, mount, mount->root);
    }
    return 0;
}

MUST_CHECK static int walk_up(struct walk *walk)
{
    struct path *at = &walk->at;
    for (;;) {
        if (path_is_equal(at, &walk->root)) {
            if (walk->flags & WALK_BENEATH)
                return -EXDEV;
            break;
        }
        if (!at->mount || at->dentry != at->mount->root) {
            if (at->dentry->parent)
                path_set(at, at->mount, at->dentry->parent);
            break;
        }
        if (!at->mount->parent)
            break;
        if (walk->flags & WALK_NO_XDEV)
            return -EXDEV;
        path_set(at, at->mount->parent, at->mount->point);
    }
    return path_cross_mounts(at, walk->flags);
}

/* ---- symlinks ------------------------------------------------------------------------------- */

void path_accessed(const struct path *path, struct inode *inode)
{
    u32 flags = path->mount ? path->mount->flags | path->mount->super->flags : 0;
    if (inode->ops->getattr || (flags & (LINUX_MS_NOATIME | LINUX_MS_RDONLY)))
        return; /* what is behind it keeps its own times */
    if ((flags & LINUX_MS_NODIRATIME) && inode_is_dir(inode))
        return;
    i64 old = inode->atime_ns;
    inode_touch(inode, ATTR_ATIME);
    i64 day = 24 * 3600 * (i64)NS_PER_S;
    bool is_stale = old <= inode->mtime_ns || old <= inode->ctime_ns ||
                    inode->atime_ns - old >= day;
    if (!is_stale && !(flags & LINUX_MS_STRICTATIME))
        inode->atime_ns = old;
}

#define TARGET_SHORT 128u /* most targets are */

/* INODE's target of at most TARGET_MAX bytes, with room for REST_SIZE more, SIZE bytes in all: how
 * long it is, or -errno, and then nothing is left. */
SLEEPS static i64 target_read(struct walk *walk, struct inode *inode, size_t target_max,
                              size_t rest_size, char **text, size_t *size)
{
    struct arena *arena = walk->task->kernel->arena;
    *size = target_max + 1 + rest_size + 1;
    *text = arena_alloc(arena, *size);
    if (!*text)
        return -ENOMEM;
    i64 got = inode_readlink(walk->task, inode, *text, target_max);
    if (got == 0)
        got = -ENOENT;
    if (got >= (i64)target_max)
        got = -ENAMETOOLONG;
    if (got < 0)
        arena_free(arena, *text, *size);
    return got;
}

/* The target in front of what is left of the text. */
SLEEPS static int walk_push(struct walk *walk, struct inode *inode)
{
    struct arena *arena = walk->task->kernel->arena;
    size_t rest_size = strlen(walk->rest), size;
    char *text;
    i64 target_size = target_read(walk, inode, TARGET_SHORT, rest_size, &text, &size);
    if (target_size == -ENAMETOOLONG)
        target_size = target_read(walk, inode, PATH_SIZE_MAX, rest_size, &text, &size);
    if (target_size < 0)
        return (int)target_size;
    char *end = text + target_size;
    if (walk->has_slash)
        *end++ = '/';
    memcpy(end, walk->rest, rest_size + 1);
    if (walk->link_text)
        arena_free(arena, walk->link_text, walk->link_size);
    walk->link_text = text;
    walk->link_size = size;
    walk->rest = text;
    return 0;
}

MUST_CHECK static int walk_to_root(struct walk *walk)
{
    if (walk->flags & WALK_BENEATH)
        return -EXDEV;
    if ((walk->flags & WALK_NO_XDEV) && walk->at.mount != walk->root.mount)
        return -EXDEV;
    path_set(&walk->at, walk->root.mount, walk->root.dentry);
    return 0;
}

/* /proc's links lead to a place, not to a text. */
SLEEPS static int walk_magic(struct walk *walk, struct inode *inode)
{
    if (walk->flags & WALK_NO_MAGICLINKS)
        return -ELOOP;
    if (walk->flags & WALK_SCOPED)
        return -EXDEV;
    struct path target = {0};
    int err = inode_follow(walk->task, inode, &target);
    if (err)
        return err;
    if ((walk->flags & WALK_NO_XDEV) && target.mount != walk->at.mount) {
        path_put(&target);
        return -EXDEV;
    }
    path_put(&walk->at);
    walk->at = target;
    return 0;
}

int walk_link(struct walk *walk, const struct path *link, bool *is_end)
{
    AUTO_PUT struct inode *inode = REF_GET(link->dentry->inode);
    *is_end = false;
    if (++walk->link_count > WALK_LINKS_MAX || (walk->flags & WALK_NO_SYMLINKS) ||
        (link->mount && (link->mount->flags & LINUX_MS_NOSYMFOLLOW)))
        return -ELOOP;
    path_accessed(link, inode);
    if (inode->ops->follow) {
        *is_end = walk->is_last;
        return walk_magic(walk, inode);
    }
    int err = walk_push(walk, inode);
    if (!err && walk->rest[0] == '/')
        err = walk_to_root(walk);
    return err;
}

/* ---- steps ---------------------------------------------------------------------------------- */

/* The next component into `name`; false at the end of the text. */
MUST_CHECK static int walk_next_name(struct walk *walk, bool *has_name)
{
    const char *text = walk->rest;
    size_t size = 0;
    while (text[size] && text[size] != '/')
        size++;
    *has_name = size > 0;
    walk->rest = text;
    if (size == 0) {
        walk->name[0] = 0;
        walk->is_last = true;
        walk->has_slash = false;
        return 0;
    }
    if (size > NAME_SIZE_MAX)
        return -ENAMETOOLONG;
    memcpy(walk->name, text, size);
    walk->name[size] = 0;
    text += size;
    walk->has_slash = *text == '/';
    while (*text == '/')
        text++;
    walk->is_last = *text == 0;
    walk->rest = text;
    return 0;
}

/* May we look for names here? */
MUST_CHECK static int walk_may_search(const struct walk *walk)
{
    const struct inode *inode = walk->at.dentry->inode;
    if (!inode_is_dir(inode))
        return -ENOTDIR;
    return inode_permission(walk->task, inode, 1);
}

/* One component. With a symlink and FOLLOW the text grows by its target. */
SLEEPS static int walk_step(struct walk *walk, bool follow)
{
    if (strcmp(walk->name, ".") == 0)
        return 0;
    if (strcmp(walk->name, "..") == 0)
        return walk_up(walk);
    AUTO_PATH struct path next = {0};
    int err = dentry_lookup(walk->task, walk->at.dentry, walk->name, &next.dentry);
    if (err)
        return err;
    if (dentry_is_negative(next.dentry))
        return -ENOENT;
    next.mount = REF_GET(walk->at.mount);
    err = path_cross_mounts(&next, walk->flags);
    if (err)
        return err;
    if (follow && inode_is_symlink(next.dentry->inode)) {
        bool is_end;
        return walk_link(walk, &next, &is_end);
    }
    path_put(&walk->at);
    walk->at = (struct path){MOVE(next.mount), MOVE(next.dentry)};
    return 0;
}

int walk_parent(struct walk *walk)
{
    for (;;) {
        while (walk->rest[0] == '/')
            walk->rest++;
        int err = walk->rest[0] ? walk_may_search(walk) : 0;
        if (err)
            return err;
        bool has_name;
        err = walk_next_name(walk, &has_name);
        if (err || !has_name || walk->is_last)
            return err;
        err = walk_step(walk, true);
        if (err)
            return err;
    }
}

int walk_last(struct walk *walk, bool follow)
{
    for (;;) {
        if (walk->name[0] == 0)
            return 0;
        bool must_be_dir = walk->has_slash;
        walk->task->is_opening = (walk->flags & WALK_OPENS) && !must_be_dir;
        int err = walk_step(walk, follow || must_be_dir);
        walk->task->is_opening = false;
        if (err)
            return err;
        if (!walk->rest[0])
            return must_be_dir && !inode_is_dir(walk->at.dentry->inode) ? -ENOTDIR : 0;
        err = walk_parent(walk); /* a symlink added text */
        if (err)
            return err;
    }
}

int walk_begin(struct walk *walk, struct task *task, const struct path *start, const char *path,
               u32 flags)
{
    memset(walk, 0, sizeof *walk);
    walk->task = task;
    walk->rest = path;
    walk->flags = flags;
    walk->is_last = true;
    const struct path *from = start ? start : &task->fs->cwd;
    const struct path *root = flags & WALK_SCOPED ? from : &task->fs->root;
    path_get(root);
    walk->root = *root;
    if (path[0] == '/')
        from = root;
    path_get(from);
    walk->at = *from;
    return path[0] == '/' && (flags & WALK_BENEATH) ? -EXDEV : 0;
}

void walk_end(struct walk *walk)
{
    path_put(&walk->root);
    path_put(&walk->at);
    if (walk->link_text)
        arena_free(walk->task->kernel->arena, walk->link_text, walk->link_size);
    walk->link_text = NULL;
}

int path_walk(struct task *task, const struct path *start, const char *path, u32 flags,
              struct path *out)
{
    if (!path[0] && !(flags & WALK_EMPTY))
        return -ENOENT;
    AUTO_WALK struct walk walk = {0};
    int err = walk_begin(&walk, task, start, path, flags);
    if (!err)
        err = walk_parent(&walk);
    if (!err)
        err = walk_last(&walk, (flags & WALK_FOLLOW) != 0);
    if (err)
        return err;
    if ((flags & WALK_DIRECTORY) && !inode_is_dir(walk.at.dentry->inode))
        return -ENOTDIR;
    *out = walk.at;
    walk.at = (struct path){0};
    return 0;
}

int path_walk_parent(struct task *task, const struct path *start, const char *path, u32 flags,
                     struct path *out, char *name, bool *trailing_slash)
{
    if (!path[0])
        return -ENOENT;
    AUTO_WALK struct walk walk = {0};
    int err = walk_begin(&walk, task, start, path, flags);
    if (!err)
        err = walk_parent(&walk);
    if (err)
        return err;
    memcpy(name, walk.name, sizeof walk.name);
    *trailing_slash = walk.has_slash;
    *out = walk.at;
    walk.at = (struct path){0};
    return 0;
}
