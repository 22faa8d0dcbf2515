/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of overlay directories: in the upper layer, with whiteouts where a lower layer would show
 * through. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "sentry/fs/overlay/overlay.h"

/* Does a lower layer of DIR have NAME, so that its removal needs a whiteout? */
SLEEPS static int is_below(struct task *task, struct overlay_inode *dir, const char *name,
                           bool *answer)
{
    *answer = false;
    for (u32 i = 0; i < dir->lower_count && !*answer; i++) {
        AUTO_PUT struct dentry *found = NULL;
        int err = dentry_lookup(task, dir->lowers[i], name, &found);
        if (err && err != -ENOENT)
            return err;
        if (err || dentry_is_negative(found))
            continue;
        *answer = !overlay_is_whiteout(found->inode);
        break;
    }
    return 0;
}

/* Takes a whiteout NAME out of DIR's upper layer; *WAS_THERE. */
SLEEPS static int drop_whiteout(struct task *task, struct dentry *upper, const char *name,
                                bool *was_there)
{
    AUTO_PUT struct dentry *found = NULL;
    *was_there = false;
    int err = dentry_lookup(task, upper, name, &found);
    if (err)
        return err == -ENOENT ? 0 : err;
    if (dentry_is_negative(found) || !overlay_is_whiteout(found->inode))
        return 0;
    *was_there = true;
    return dir_remove(task, upper, name, 0, NULL);
}

SLEEPS static int put_whiteout(struct task *task, struct dentry *upper, const char *name)
{
    const struct dir_make_args args = {.what = DIR_MAKE_NODE, .mode = LINUX_S_IFCHR, .rdev = 0};
    AUTO_PUT struct dentry *made = NULL;
    int err = dir_make(task, upper, name, &args, &made);
    return err == -EEXIST ? 0 : err;
}

static void dir_changed(struct overlay_inode *dir)
{
    overlay_refresh(dir);
}

/* ---- making --------------------------------------------------------------------------------- */

SLEEPS static int make(struct task *task, struct inode *base, const char *name,
                       const struct dir_make_args *args, struct dentry **out)
{
    struct overlay_inode *dir = overlay_of(base);
    bool had_whiteout = false;
    int err = overlay_copy_up(task, dir);
    if (!err)
        err = drop_whiteout(task, dir->upper, name, &had_whiteout);
    if (!err)
        err = dir_make(task, dir->upper, name, args, out);
    if (!err && had_whiteout && args->what == DIR_MAKE_DIR)
        err = overlay_set_opaque(task, *out);
    if (err && had_whiteout)
        (void)!put_whiteout(task, dir->upper, name); /* as it was */
    if (!err)
        dir_changed(dir);
    return err;
}

SLEEPS static int make_inode(struct task *task, struct inode *base, const char *name,
                             const struct dir_make_args *args, struct inode **out)
{
    struct overlay_layers layers = {0};
    int err = make(task, base, name, args, &layers.upper);
    if (err) {
        REF_CLEAR(layers.upper);
        return err;
    }
    struct overlay_inode *inode;
    err = overlay_inode_create(base->super, overlay_of(base), name, &layers, &inode);
    if (!err)
        *out = &inode->inode;
    return err;
}

SLEEPS int overlay_create_file(struct task *task, struct inode *dir, const char *name, u32 mode,
                               struct inode **out)
{
    return make_inode(task, dir, name, &(struct dir_make_args){.what = DIR_MAKE_FILE, .mode = mode},
                      out);
}

SLEEPS int overlay_mkdir(struct task *task, struct inode *dir, const char *name, u32 mode,
                         struct inode **out)
{
    return make_inode(task, dir, name, &(struct dir_make_args){.what = DIR_MAKE_DIR, .mode = mode},
                      out);
}

SLEEPS int overlay_mknod(struct task *task, struct inode *dir, const char *name, u32 mode, u32 rdev,
                         struct inode **out)
{
    if ((mode & LINUX_S_IFMT) == LINUX_S_IFCHR && rdev == 0)
        return -EPERM; /* it would be a whiteout */
    return make_inode(task, dir, name,
                      &(struct dir_make_args){.what = DIR_MAKE_NODE, .mode = mode, .rdev = rdev},
                      out);
}

SLEEPS int overlay_symlink(struct task *task, struct inode *dir, const char *name,
                           const char *target, struct inode **out)
{
    return make_inode(
        task, dir, name,
        &(struct dir_make_args){.what = DIR_MAKE_SYMLINK, .mode = 0777, .target = target}, out);
}

SLEEPS int overlay_link(struct task *task, struct inode *dir, const char *name, struct inode *base)
{
    struct overlay_inode *inode = overlay_of(base);
    AUTO_PUT struct dentry *made = NULL;
    if (base->object.kind != &overlay_inode_kind) /* of O_TMPFILE: the upper layer's own */
        return make(task, dir, name, &(struct dir_make_args){.what = DIR_MAKE_LINK, .inode = base},
                    &made);
    int err = overlay_copy_up(task, inode);
    if (!err)
        err = make(task, dir, name,
                   &(struct dir_make_args){.what = DIR_MAKE_LINK, .inode = inode->upper->inode},
                   &made);
    if (!err)
        overlay_refresh(inode);
    return err;
}

/* ---- removing ------------------------------------------------------------------------------- */

/* All whiteouts in an upper directory that is empty for programs. */
struct name_list {
    struct dir_emit emit;
    struct buf names;
};

SLEEPS static bool take_name(struct dir_emit *emit, const char *name, size_t size, u64 ino, u8 type,
                             u64 next)
{
    struct name_list *list = emit->owner;
    if (name[0] == '.' && (size == 1 || (size == 2 && name[1] == '.')))
        return true;
    return buf_append(&list->names, name, size) == 0 && buf_append(&list->names, "", 1) == 0;
}

SLEEPS static int clear_whiteouts(struct task *task, struct dentry *upper)
{
    struct name_list list = {.emit = {.emit = take_name, .owner = &list}};
    buf_init(&list.names, task->kernel->arena, 0);
    AUTO_PUT struct file *file = NULL;
    int err = dentry_open(task, upper, O_RDONLY | O_DIRECTORY, &file);
    if (!err)
        err = file_readdir(task, file, &list.emit);
    for (size_t at = 0; at < list.names.size && !err;) {
        const char *name = (const char *)buf_bytes(&list.names) + at;
        bool was_there;
        err = drop_whiteout(task, upper, name, &was_there);
        at += strlen(name) + 1;
    }
    buf_fini(&list.names);
    return err;
}

static void unname(struct overlay_inode *inode)
{
    struct overlay_inode *parent = MOVE(inode->parent);
    arena_free_string(inode->inode.object.arena, MOVE(inode->name));
    if (parent)
        object_put(&parent->inode.object);
}

SLEEPS static int remove_name(struct task *task, struct overlay_inode *dir, const char *name,
                              struct overlay_inode *inode, bool is_dir)
{
    bool needs_whiteout = false;
    int err = overlay_copy_up(task, dir);
    if (!err)
        err = is_below(task, dir, name, &needs_whiteout);
    if (!err && is_dir && inode->upper && inode->lower_count > 0)
        err = clear_whiteouts(task, inode->upper);
    if (!err && inode->upper)
        err = dir_remove(task, dir->upper, name, is_dir ? AT_REMOVEDIR : 0, NULL);
    if (!err && needs_whiteout)
        err = put_whiteout(task, dir->upper, name);
    if (err)
        return err;
    if (inode->upper)
        overlay_refresh(inode);
    else if (inode->inode.link_count > 0)
        inode->inode.link_count--;
    if (is_dir)
        inode->inode.link_count = 0;
    if (inode->inode.link_count == 0)
        unname(inode);
    dir_changed(dir);
    return 0;
}

SLEEPS int overlay_unlink(struct task *task, struct inode *dir, const char *name,
                          struct inode *inode)
{
    return remove_name(task, overlay_of(dir), name, overlay_of(inode), false);
}

SLEEPS int overlay_rmdir(struct task *task, struct inode *dir, const char *name,
                         struct inode *inode)
{
    bool is_empty;
    int err = overlay_is_empty(task, overlay_of(inode), &is_empty);
    if (!err && !is_empty)
        err = -ENOTEMPTY;
    return err ? err : remove_name(task, overlay_of(dir), name, overlay_of(inode), true);
}

/* ---- renaming ------------------------------------------------------------------------------- */

static void rename_inode(struct overlay_inode *inode, struct overlay_inode *dir, const char *name)
{
    unname(inode);
    inode->name = arena_strdup(inode->inode.object.arena, name);
    if (!inode->name)
        return; /* it has an upper already and will not need its name */
    object_get_(&dir->inode.object);
    inode->parent = dir;
}

/* rename(2) of what is (partly) below is refused, so that programs copy instead (redirect_dir=off).
 */
static bool is_merged_dir(const struct overlay_inode *inode)
{
    return inode_is_dir(&inode->inode) && inode->lower_count > 0;
}

SLEEPS static int prepare_rename(struct task *task, struct overlay_inode *from_dir,
                                 struct overlay_inode *inode, struct overlay_inode *to_dir,
                                 const char *to, struct overlay_inode *target, u32 flags)
{
    bool is_exchange = flags & 2;
    if (is_merged_dir(inode) || (is_exchange && target && is_merged_dir(target)))
        return -EXDEV;
    int err = overlay_copy_up(task, from_dir);
    if (!err)
        err = overlay_copy_up(task, to_dir);
    if (!err)
        err = overlay_copy_up(task, inode);
    if (!err && is_exchange)
        err = overlay_copy_up(task, target);
    if (err || is_exchange)
        return err;
    if (target && inode_is_dir(&target->inode)) {
        bool is_empty;
        err = overlay_is_empty(task, target, &is_empty);
        if (!err && !is_empty)
            err = -ENOTEMPTY;
        if (!err && target->upper && target->lower_count > 0)
            err = clear_whiteouts(task, target->upper);
        if (err)
            return err;
    }
    bool was_there;
    return drop_whiteout(task, to_dir->upper, to, &was_there);
}

SLEEPS int overlay_rename(struct task *task, struct inode *from_base, const char *from,
                          struct inode *base, struct inode *to_base, const char *to,
                          struct inode *target_base, u32 flags)
{
    struct overlay_inode *from_dir = overlay_of(from_base), *inode = overlay_of(base),
                         *to_dir = overlay_of(to_base);
    struct overlay_inode *target = target_base ? overlay_of(target_base) : NULL;
    bool needs_whiteout = false, hides_lower = false;
    int err = prepare_rename(task, from_dir, inode, to_dir, to, target, flags);
    if (!err)
        err = is_below(task, from_dir, from, &needs_whiteout);
    if (!err)
        err = is_below(task, to_dir, to, &hides_lower);
    if (!err && hides_lower && inode_is_dir(base))
        err = overlay_set_opaque(task, inode->upper);
    if (err)
        return err;
    const struct dir_rename_args args = {.from_dir = from_dir->upper,
                                         .from = from,
                                         .to_dir = to_dir->upper,
                                         .to = to,
                                         .flags = flags & ~1u};
    err = dir_rename(task, &args);
    if (err)
        return err;
    bool is_exchange = flags & 2;
    if (needs_whiteout && !is_exchange)
        err = put_whiteout(task, from_dir->upper, from);
    rename_inode(inode, to_dir, to);
    if (is_exchange)
        rename_inode(target, from_dir, from);
    else if (target) {
        target->inode.link_count = target->upper ? target->upper->inode->link_count : 0;
        unname(target);
    }
    dir_changed(from_dir);
    dir_changed(to_dir);
    return err;
}
