/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Super blocks. Mounts and whoever made one hold it; its inodes and dentries do not. Its end drops
 * the tree: cached dentries, the root dentry, the file system's own object.
 */
#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "base/fields.h"
#include "base/state.h"
#include "sentry/fs/dentry.h"
#include "sentry/fs/inotify.h"
#include "sentry/fs/vfs.h"
#include "sentry/kernel/kernel.h"

static void super_destroy(struct object *object);
static int super_loaded(struct object *object, struct state_reader *reader);

static const struct field super_fields[] = {
    FIELD_NONE(struct super, object, "the walker's own header"),
    FIELD_NONE(struct super, ops, "the type's"),
    FIELD_NONE(struct super, kernel, "the kernel that loads it"),
    FIELD_NONE(struct super, link, "vfs->supers, derived"),
    FIELD_NONE(struct super, inodes, "inodes add themselves when they are loaded"),
    FIELD_NONE(struct super, type_name, "super_save_more"),
    FIELD(struct super, magic),
    FIELD(struct super, flags),
    FIELD(struct super, dev),
    FIELD(struct super, ino_next),
    FIELD_STRING(struct super, options),
    FIELD_REF(struct super, root, struct dentry),
    FIELD_NONE(struct super, rename_lock, "nobody holds it while the sandbox is quiet"),
    FIELD_REF_ANY(struct super, private_object),
    FIELD_END,
};
FIELDS_COMPLETE(struct super, super_fields);

/* The type is saved by its place's name: "tmpfs". */
static int super_save_more(const struct object *object, struct state_writer *writer)
{
    const struct super *super = container_of(object, const struct super, object);
    char name[32] = {0};
    size_t size = strlen(super->type_name);
    ASSERT(size < sizeof name);
    memcpy(name, super->type_name, size);
    return state_write(writer, name, sizeof name);
}

static int super_load_more(struct object *object, struct state_reader *reader)
{
    struct super *super = container_of(object, struct super, object);
    char name[32];
    int err = state_read(reader, name, sizeof name);
    if (err)
        return err;
    name[sizeof name - 1] = 0;
    const struct fs_type *type = fs_type_find(name);
    const struct object *private = super->private_object;
    if (!type || (type->private_of && !(private && kind_is(private->kind, type->private_of))))
        return -EINVAL;
    super->type_name = type->name;
    super->ops = type->super_ops;
    super->kernel = state_reader_kernel(reader);
    return 0;
}

const struct kind super_kind = {.name = "super",
                                .size = sizeof(struct super),
                                .fields = super_fields,
                                .destroy = super_destroy,
                                .loaded = super_loaded,
                                .save_more = super_save_more,
                                .load_more = super_load_more};

int super_create(struct kernel *kernel, const char *type_name, u32 magic, u32 flags,
                 struct super **out)
{
    struct super *super = object_create(kernel->arena, &super_kind);
    if (!super)
        return -ENOMEM;
    const struct fs_type *type = fs_type_find(type_name);
    ASSERT(type);
    super->type_name = type->name;
    super->ops = type->super_ops;
    super->kernel = kernel;
    super->magic = magic;
    super->flags = flags;
    super->dev = linux_makedev(0, ++kernel->vfs->dev_next);
    list_init(&super->inodes);
    list_add_tail(&kernel->vfs->supers, &super->link);
    *out = super;
    return 0;
}

static int super_loaded(struct object *object, struct state_reader *reader)
{
    struct super *super = container_of(object, struct super, object);
    if (!super->inodes.next)
        list_init(&super->inodes);
    return 0;
}

/* A watch holds a dentry and so its inode, but must not outlive the file system. */
static void watches_end(struct super *super)
{
    struct inode *inode = NULL;
    do {
        list_for_each (inode, &super->inodes, super_link)
            if (inode->watches && inode_has_watches(inode))
                break;
        bool is_found = &inode->super_link != &super->inodes;
        inode = is_found ? inode : NULL;
        if (inode)
            inotify_end(inode, INOTIFY_UNMOUNT);
    } while (inode);
}

static void super_destroy(struct object *object)
{
    struct super *super = container_of(object, struct super, object);
    watches_end(super);
    dentry_cache_drop(super->kernel->vfs, super);
    REF_CLEAR(super->root);
    if (super->ops && super->ops->destroy)
        super->ops->destroy(super);
    struct inode *inode, *next;
    list_for_each_safe (inode, next, &super->inodes, super_link) {
        list_remove(
            &inode->super_link); /* held by somebody who does not hold us: it stays, without us */
        inode->super = NULL;
    }
    object_put(super->private_object);
    super->private_object = NULL;
    arena_free_string(object->arena, super->options);
    list_remove(&super->link);
}

int vfs_statfs(struct task *task, const struct path *path, struct linux_statfs *out)
{
    struct super *super = path->mount ? path->mount->super : path->dentry->super;
    memset(out, 0, sizeof *out);
    out->type = super->magic;
    out->bsize = out->frsize = (i64)PAGE_SIZE;
    out->namelen = NAME_SIZE_MAX;
    out->fsid[0] = (i32)super->dev;
    u32 flags = path->mount ? path->mount->flags : 0;
    if (super->ops && super->ops->statfs) {
        AUTO_PUT struct super *held = REF_GET(super);
        int err = super->ops->statfs(task, super, out);
        if (err)
            return err;
    }
    /* ST_* and MS_* agree in the low bits and in NOATIME; RELATIME does not. */
    out->flags |= (i64)(0x20u | ((flags | super->flags) & 0x40fu));
    if (!(flags & 0x400u))
        out->flags |= 0x1000;
    return 0;
}
