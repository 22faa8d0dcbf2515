/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inodes of tmpfs: the inode is all there is, so attributes are its members and content is its
 * mapping, which has nothing behind it: a hole is a page that is not there.
 */
#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "abi/mount.h"
#include "base/fields.h"
#include "base/state.h"
#include "sentry/fs/mqueue.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/fs/vfs.h"
#include "sentry/kernel/kernel.h"

static struct tmpfs *tmpfs_of(const struct inode *inode)
{
    if (!inode->super)
        return NULL;
    return container_of(inode->super->private_object, struct tmpfs, object);
}

/* Pages of FILE come and go: the quota's and stat(2)'s view. */
static int tmpfs_charge(struct mapping *mapping, i64 pages)
{
    struct inode *inode = mapping->owner;
    struct tmpfs *fs = tmpfs_of(inode);
    if (fs && pages > 0 && fs->pages_max &&
        (u64)pages > fs->pages_max - MIN(fs->pages_max, fs->pages_used))
        return -ENOSPC;
    inode->blocks += (u64)pages * (PAGE_SIZE / 512);
    if (fs)
        fs->pages_used += (u64)pages;
    return 0;
}

static void tmpfs_inode_destroy(struct object *object)
{
    struct tmpfs_inode *node = container_of(object, struct tmpfs_inode, inode.object);
    struct tmpfs *fs = tmpfs_of(&node->inode);
    if (inode_is_dir(&node->inode)) {
        tmpfs_dir_clear(node);
        map_fini(&node->entries);
    }
    arena_free_string(object->arena, node->target);
    xattr_list_fini(&node->xattrs);
    mapping_fini(&node->inode.mapping); /* pages are given back while the super is known */
    if (fs)
        fs->inodes_used--;
    inode_fini(&node->inode);
}

static const struct field tmpfs_inode_fields[] = {
    FIELD_STRUCT(struct tmpfs_inode, inode, inode_base_fields),
    FIELD_STRING(struct tmpfs_inode, target),
    FIELD_MAP(struct tmpfs_inode, entries, struct tmpfs_entry),
    FIELD_NONE(struct tmpfs_inode, names, "derived from entries"),
    FIELD(struct tmpfs_inode, cookie_next),
    FIELD_STRUCT(struct tmpfs_inode, xattrs, xattr_list_fields),
    FIELD_END,
};
FIELDS_COMPLETE(struct tmpfs_inode, tmpfs_inode_fields);

static int tmpfs_inode_loaded(struct object *object, struct state_reader *reader)
{
    int err = inode_loaded(object, reader);
    if (err)
        return err;
    struct tmpfs_inode *node = container_of(object, struct tmpfs_inode, inode.object);
    if (inode_is_dir(&node->inode))
        tmpfs_dir_loaded(node);
    return 0;
}

static int tmpfs_inode_save_more(const struct object *object, struct state_writer *writer)
{
    return inode_save_pages(container_of(object, const struct inode, object), writer);
}

static int tmpfs_inode_load_more(struct object *object, struct state_reader *reader)
{
    struct inode *inode = container_of(object, struct inode, object);
    int err = inode_load_pages(inode, reader, NULL);
    if (inode->mapping.memory)
        inode->mapping.charge =
            tmpfs_charge; /* after the pages: they are counted in what was saved */
    return err;
}

const struct kind tmpfs_inode_kind = {.name = "tmpfs_inode",
                                      .size = sizeof(struct tmpfs_inode),
                                      .fields = tmpfs_inode_fields,
                                      .destroy = tmpfs_inode_destroy,
                                      .loaded = tmpfs_inode_loaded,
                                      .save_more = tmpfs_inode_save_more,
                                      .load_more = tmpfs_inode_load_more,
                                      .discard = inode_discard,
                                      .ops = &tmpfs_inode_ops};

int tmpfs_inode_create(struct super *super, u32 mode, u32 uid, u32 gid, struct inode **out)
{
    struct tmpfs *fs = container_of(super->private_object, struct tmpfs, object);
    if (fs->inodes_max && fs->inodes_used >= fs->inodes_max)
        return -ENOSPC;
    struct tmpfs_inode *node = object_create(super->object.arena, &tmpfs_inode_kind);
    if (!node)
        return -ENOMEM;
    fs->inodes_used++;
    inode_init(&node->inode, super, &tmpfs_inode_ops, mode, uid, gid);
    map_init(&node->entries, super->object.arena);
    if (inode_is_regular(&node->inode)) {
        inode_init_mapping(&node->inode, FRAME_TMPFS, NULL, 0);
        node->inode.mapping.charge = tmpfs_charge;
    }
    *out = &node->inode;
    return 0;
}

/* ---- names ---------------------------------------------------------------------------------- */

SLEEPS static int tmpfs_lookup(struct task *task, struct inode *dir, const char *name,
                               struct inode **out)
{
    struct tmpfs_entry *entry = tmpfs_find(tmpfs_inode_of(dir), name);
    if (!entry)
        return -ENOENT;
    *out = REF_GET(entry->inode);
    return 0;
}

/* A fresh inode under NAME. */
MUST_CHECK static int make(struct task *task, struct inode *dir, const char *name, u32 mode,
                           u32 rdev, const char *target, struct inode **out)
{
    u32 uid, gid;
    inode_owner(task, dir, &mode, &uid, &gid);
    AUTO_PUT struct inode *inode = NULL;
    int err = tmpfs_inode_create(dir->super, mode, uid, gid, &inode);
    if (err)
        return err;
    inode->rdev = rdev;
    if (target) {
        char *copy = arena_strdup(dir->object.arena, target);
        if (!copy)
            return -ENOMEM;
        tmpfs_inode_of(inode)->target = copy;
        inode->size = strlen(target);
    }
    err = tmpfs_add(tmpfs_inode_of(dir), name, inode);
    if (err)
        return err;
    if (inode_is_dir(inode))
        dir->link_count++;
    inode_touch(dir, ATTR_MTIME | ATTR_CTIME);
    *out = MOVE(inode);
    return 0;
}

SLEEPS static int tmpfs_create_file(struct task *task, struct inode *dir, const char *name,
                                    u32 mode, struct inode **out)
{
    return make(task, dir, name, LINUX_S_IFREG | (mode & ~LINUX_S_IFMT), 0, NULL, out);
}

SLEEPS static int tmpfs_mkdir(struct task *task, struct inode *dir, const char *name, u32 mode,
                              struct inode **out)
{
    return make(task, dir, name, LINUX_S_IFDIR | (mode & ~LINUX_S_IFMT), 0, NULL, out);
}

SLEEPS static int tmpfs_mknod(struct task *task, struct inode *dir, const char *name, u32 mode,
                              u32 rdev, struct inode **out)
{
    return make(task, dir, name, mode, rdev, NULL, out);
}

SLEEPS static int tmpfs_symlink(struct task *task, struct inode *dir, const char *name,
                                const char *target, struct inode **out)
{
    return make(task, dir, name, LINUX_S_IFLNK | 0777, 0, target, out);
}

SLEEPS static int tmpfs_tmpfile(struct task *task, struct inode *dir, u32 mode, struct inode **out)
{
    u32 uid, gid;
    mode = LINUX_S_IFREG | (mode & ~LINUX_S_IFMT);
    inode_owner(task, dir, &mode, &uid, &gid);
    int err = tmpfs_inode_create(dir->super, mode, uid, gid, out);
    if (!err)
        (*out)->link_count = 0;
    return err;
}

SLEEPS static int tmpfs_link(struct task *task, struct inode *dir, const char *name,
                             struct inode *inode)
{
    struct tmpfs *fs = tmpfs_of(inode);
    bool costs = fs && inode->link_count > 0; /* each further name counts as an inode */
    if (costs && fs->inodes_max && fs->inodes_used >= fs->inodes_max)
        return -ENOSPC;
    int err = tmpfs_add(tmpfs_inode_of(dir), name, inode);
    if (err)
        return err;
    if (costs)
        fs->inodes_used++;
    inode->link_count++;
    inode_touch(inode, ATTR_CTIME);
    inode_touch(dir, ATTR_MTIME | ATTR_CTIME);
    return 0;
}

void tmpfs_drop_link(struct inode *inode)
{
    struct tmpfs *fs = tmpfs_of(inode);
    inode->link_count--;
    if (fs && inode->link_count > 0)
        fs->inodes_used--;
}

static void remove_entry(struct inode *dir, const char *name, struct inode *inode)
{
    struct tmpfs_entry *entry = tmpfs_find(tmpfs_inode_of(dir), name);
    ASSERT(entry && entry->inode == inode);
    inode_touch(inode, ATTR_CTIME);
    inode_touch(dir, ATTR_MTIME | ATTR_CTIME);
    tmpfs_remove(tmpfs_inode_of(dir), entry);
}

SLEEPS static int tmpfs_unlink(struct task *task, struct inode *dir, const char *name,
                               struct inode *inode)
{
    tmpfs_drop_link(inode);
    remove_entry(dir, name, inode);
    return 0;
}

SLEEPS static int tmpfs_rmdir(struct task *task, struct inode *dir, const char *name,
                              struct inode *inode)
{
    if (tmpfs_inode_of(inode)->entries.count > 0)
        return -ENOTEMPTY;
    inode->link_count = 0;
    dir->link_count--;
    remove_entry(dir, name, inode);
    return 0;
}

/* ---- content and attributes ----------------------------------------------------------------- */

SLEEPS static i64 tmpfs_readlink(struct task *task, struct inode *inode, char *out, size_t size)
{
    size_t target_size = strlen(tmpfs_inode_of(inode)->target);
    size = MIN(size, target_size);
    memcpy(out, tmpfs_inode_of(inode)->target, size);
    return (i64)size;
}

SLEEPS static int tmpfs_setattr(struct task *task, struct inode *inode, const struct attr *attr)
{
    if ((attr->mask & ATTR_SIZE) && inode_is_regular(inode)) {
        if ((inode->seals & LINUX_F_SEAL_SHRINK) && attr->size < inode->size)
            return -EPERM;
        if ((inode->seals & LINUX_F_SEAL_GROW) && attr->size > inode->size)
            return -EPERM;
        mapping_truncate(&inode->mapping, &task->fiber, attr->size);
        inode->size = attr->size;
    }
    inode_apply_attr(inode, attr);
    return 0;
}

SLEEPS static int tmpfs_open(struct task *task, struct inode *inode, struct file *file)
{
    if (inode_is_regular(inode) && inode->super->magic == LINUX_MQUEUE_MAGIC)
        return mqueue_open_inode(task, inode, file);
    if (!inode_is_regular(inode) && !inode_is_dir(inode))
        return -ENXIO; /* a device without a driver */
    file->ops = inode_is_dir(inode) ? &tmpfs_dir_ops : &regular_file_ops;
    return 0;
}

/* Make all pages of the range present; what a refused one leaves behind stays, as in a short write.
 */
SLEEPS static int tmpfs_populate(struct task *task, struct inode *inode, u64 offset, u64 size)
{
    struct tmpfs *fs = tmpfs_of(inode);
    u64 first = offset >> PAGE_SHIFT, end = (offset + size + PAGE_SIZE - 1) >> PAGE_SHIFT;
    u64 missing = 0;
    for (u64 index = first; index < end; index++)
        missing += map_find(&inode->mapping.pages, index) == NULL;
    if (fs && fs->pages_max && missing > fs->pages_max - MIN(fs->pages_max, fs->pages_used))
        return -ENOSPC;
    for (u64 index = first; index < end; index++) {
        frame f;
        int err = mapping_get_page(&inode->mapping, &task->fiber, index, 0, true, &f);
        if (err)
            return err;
        frame_put(inode->mapping.memory, f);
        if (index % 64 == 63)
            fiber_relax(&task->fiber);
    }
    return 0;
}

SLEEPS static int tmpfs_allocate(struct task *task, struct inode *inode, i32 mode, u64 offset,
                                 u64 size)
{
    u32 how = (u32)mode;
    if (how == (LINUX_FALLOC_PUNCH_HOLE | LINUX_FALLOC_KEEP_SIZE)) {
        if (inode->seals & (LINUX_F_SEAL_WRITE | LINUX_F_SEAL_FUTURE_WRITE))
            return -EPERM;
        int err = mapping_punch(&inode->mapping, &task->fiber, offset, size);
        if (!err)
            inode_touch(inode, ATTR_MTIME | ATTR_CTIME);
        return err;
    }
    if (how & ~LINUX_FALLOC_KEEP_SIZE)
        return -EOPNOTSUPP;
    bool grows = !(how & LINUX_FALLOC_KEEP_SIZE) && offset + size > inode->size;
    if (grows && (inode->seals & LINUX_F_SEAL_GROW))
        return -EPERM;
    int err = tmpfs_populate(task, inode, offset, size);
    if (err)
        return err;
    if (grows)
        inode->size = inode->mapping.size = offset + size;
    inode_touch(inode, ATTR_CTIME);
    return 0;
}

/* ---- extended attributes -------------------------------------------------------------------- */

SLEEPS static i64 tmpfs_getxattr(struct task *task, struct inode *inode, const char *name,
                                 void *out, size_t size)
{
    return xattr_list_get(&tmpfs_inode_of(inode)->xattrs, name, out, size);
}

SLEEPS static int tmpfs_setxattr(struct task *task, struct inode *inode, const char *name,
                                 const void *value, size_t size, int flags)
{
    int err = xattr_list_set(&tmpfs_inode_of(inode)->xattrs, inode->object.arena, name, value, size,
                             flags);
    if (!err)
        inode_touch(inode, ATTR_CTIME);
    return err;
}

SLEEPS static i64 tmpfs_listxattr(struct task *task, struct inode *inode, char *out, size_t size)
{
    return xattr_list_names(&tmpfs_inode_of(inode)->xattrs, out, size);
}

SLEEPS static int tmpfs_removexattr(struct task *task, struct inode *inode, const char *name)
{
    int err = xattr_list_remove(&tmpfs_inode_of(inode)->xattrs, name);
    if (!err)
        inode_touch(inode, ATTR_CTIME);
    return err;
}

const struct inode_ops tmpfs_inode_ops = {
    .lookup = tmpfs_lookup,
    .create = tmpfs_create_file,
    .mkdir = tmpfs_mkdir,
    .mknod = tmpfs_mknod,
    .symlink = tmpfs_symlink,
    .link = tmpfs_link,
    .unlink = tmpfs_unlink,
    .rmdir = tmpfs_rmdir,
    .rename = tmpfs_rename,
    .readlink = tmpfs_readlink,
    .setattr = tmpfs_setattr,
    .open = tmpfs_open,
    .getxattr = tmpfs_getxattr,
    .setxattr = tmpfs_setxattr,
    .listxattr = tmpfs_listxattr,
    .removexattr = tmpfs_removexattr,
    .allocate = tmpfs_allocate,
    .tmpfile = tmpfs_tmpfile,
};
