/* SPDX-License-Identifier: Apache-2.0 */
/* Overlay inodes: finding a name in the layers, attributes, opening. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/fields.h"
#include "base/hash.h"
#include "base/state.h"
#include "sentry/fs/overlay/overlay.h"

#define OVERLAY_MAGIC 0x794c7630u
#define XATTR_PREFIX "trusted.overlay."
#define XATTR_OPAQUE "trusted.overlay.opaque"
#define XATTR_ORIGIN "trusted.overlay.picket_ino"

static const struct field overlay_inode_fields[] = {
    FIELD_STRUCT(struct overlay_inode, inode, inode_base_fields),
    FIELD_REF(struct overlay_inode, parent, struct overlay_inode),
    FIELD_STRING(struct overlay_inode, name),
    FIELD_REF(struct overlay_inode, upper, struct dentry),
    FIELD_REFS(struct overlay_inode, lowers, struct dentry, lower_count),
    FIELD(struct overlay_inode, lower_count),
    FIELD(struct overlay_inode, origin_ino),
    FIELD_NONE(struct overlay_inode, copy_lock, "nothing is copied up at a boundary"),
    FIELD_END,
};
FIELDS_COMPLETE(struct overlay_inode, overlay_inode_fields);

void overlay_layers_put(struct arena *arena, struct overlay_layers *layers)
{
    REF_CLEAR(layers->upper);
    for (u32 i = 0; i < layers->lower_count; i++)
        REF_PUT(layers->lowers[i]);
    arena_free(arena, layers->lowers, layers->lower_count * sizeof *layers->lowers);
    layers->lowers = NULL;
    layers->lower_count = 0;
}

static void overlay_inode_destroy(struct object *object)
{
    struct overlay_inode *inode = container_of(object, struct overlay_inode, inode.object);
    struct overlay_layers layers = {inode->upper, inode->lowers, inode->lower_count};
    overlay_layers_put(object->arena, &layers);
    arena_free_string(object->arena, inode->name);
    if (inode->parent)
        object_put(&inode->parent->inode.object);
    inode_fini(&inode->inode);
}

const struct kind overlay_inode_kind = {.name = "overlay_inode",
                                        .size = sizeof(struct overlay_inode),
                                        .fields = overlay_inode_fields,
                                        .destroy = overlay_inode_destroy,
                                        .loaded = inode_loaded,
                                        .ops = &overlay_inode_ops};

/* ---- attributes ----------------------------------------------------------------------------- */

void overlay_refresh(struct overlay_inode *overlay)
{
    const struct inode *real = overlay_real(overlay)->inode;
    struct inode *inode = &overlay->inode;
    inode->mode = real->mode;
    inode->uid = real->uid;
    inode->gid = real->gid;
    /* What a merged directory has below it is not counted: 1 says so, as Linux does. */
    inode->link_count = inode_is_dir(real) && overlay->lower_count > 0 && real->link_count > 0
                            ? 1
                            : real->link_count;
    inode->rdev = real->rdev;
    inode->size = real->size;
    inode->blocks = real->blocks;
    inode->block_size = real->block_size;
    inode->atime_ns = real->atime_ns;
    inode->mtime_ns = real->mtime_ns;
    inode->ctime_ns = real->ctime_ns;
    inode->btime_ns = real->btime_ns;
    inode->ino = overlay->origin_ino;
}

u64 overlay_number(const struct super *layer, u64 ino)
{
    if (!layer || strcmp(layer->type_name, "tmpfs") != 0)
        return ino;
    return hash_u64(ino ^ (u64)layer->dev << 40) >> 16;
}

int overlay_inode_create(struct super *super, struct overlay_inode *parent, const char *name,
                         struct overlay_layers *layers, struct overlay_inode **out)
{
    struct arena *arena = super->object.arena;
    struct overlay_inode *inode = object_create(arena, &overlay_inode_kind);
    char *copy = name ? arena_strdup(arena, name) : NULL;
    if (!inode || (name && !copy)) {
        overlay_layers_put(arena, layers);
        arena_free_string(arena, copy);
        if (inode) {
            inode_init(&inode->inode, super, &overlay_inode_ops, 0, 0, 0);
            object_put(&inode->inode.object);
        }
        return -ENOMEM;
    }
    const struct inode *real = layers->upper ? layers->upper->inode : layers->lowers[0]->inode;
    inode_init(&inode->inode, super, &overlay_inode_ops, real->mode, real->uid, real->gid);
    inode->upper = layers->upper;
    inode->lowers = layers->lowers;
    inode->lower_count = layers->lower_count;
    *layers = (struct overlay_layers){0};
    inode->name = copy;
    if (parent) {
        object_get_(&parent->inode.object);
        inode->parent = parent;
    }
    const struct dentry *origin = inode->lower_count ? inode->lowers[inode->lower_count - 1]
                                                     : inode->upper;
    inode->origin_ino = overlay_number(origin->inode->super, origin->inode->ino);
    overlay_refresh(inode);
    *out = inode;
    return 0;
}

/* ---- looking up ----------------------------------------------------------------------------- */

SLEEPS static bool is_opaque(struct task *task, struct inode *dir)
{
    char value[4];
    return dir->ops->getxattr &&
           dir->ops->getxattr(task, dir, XATTR_OPAQUE, value, sizeof value) == 1 && value[0] == 'y';
}

static int add_lower(struct arena *arena, struct overlay_layers *layers, struct dentry *dentry)
{
    u32 count = layers->lower_count;
    struct dentry **bigger = arena_realloc(arena, layers->lowers, count * sizeof *bigger,
                                           (count + 1) * sizeof *bigger);
    if (!bigger)
        return -ENOMEM;
    layers->lowers = bigger;
    bigger[count] = REF_GET(dentry);
    layers->lower_count = count + 1;
    return 0;
}

/* One layer's answer. 1: look further down; 0: that is all; -errno. */
SLEEPS static int find_in_layer(struct task *task, struct dentry *dir, const char *name,
                                bool is_upper, struct overlay_layers *layers)
{
    AUTO_PUT struct dentry *found = NULL;
    int err = dentry_lookup(task, dir, name, &found);
    if (err)
        return err == -ENOENT ? 1 : err;
    if (dentry_is_negative(found))
        return 1;
    if (overlay_is_whiteout(found->inode))
        return 0;
    bool is_first = !layers->upper && layers->lower_count == 0;
    bool is_dir = inode_is_dir(found->inode);
    if (!is_first && !is_dir)
        return 0; /* a directory above hides it */
    bool ends = !is_dir || is_opaque(task, found->inode);
    if (is_upper)
        layers->upper = MOVE(found);
    else
        err = add_lower(task->kernel->arena, layers, found);
    return err ? err : !ends;
}

SLEEPS int overlay_find(struct task *task, struct overlay_inode *dir, const char *name,
                        struct overlay_layers *layers)
{
    *layers = (struct overlay_layers){0};
    int more = dir->upper ? find_in_layer(task, dir->upper, name, true, layers) : 1;
    for (u32 i = 0; i < dir->lower_count && more > 0; i++)
        more = find_in_layer(task, dir->lowers[i], name, false, layers);
    if (more < 0) {
        overlay_layers_put(task->kernel->arena, layers);
        return more;
    }
    return layers->upper || layers->lower_count ? 0 : -ENOENT;
}

u64 overlay_upper_number(struct task *task, struct inode *upper)
{
    u64 ino;
    if (upper->ops->getxattr &&
        upper->ops->getxattr(task, upper, XATTR_ORIGIN, &ino, sizeof ino) == (i64)sizeof ino)
        return ino;
    return overlay_number(upper->super, upper->ino);
}

/* A file that was copied up earlier keeps the number it had. */
SLEEPS static void take_origin(struct task *task, struct overlay_inode *inode)
{
    if (inode->upper && inode->lower_count == 0)
        inode->origin_ino = inode->inode.ino = overlay_upper_number(task, inode->upper->inode);
}

SLEEPS static int overlay_lookup(struct task *task, struct inode *base, const char *name,
                                 struct inode **out)
{
    struct overlay_inode *dir = overlay_of(base), *inode;
    struct overlay_layers layers;
    int err = overlay_find(task, dir, name, &layers);
    if (!err)
        err = overlay_inode_create(base->super, dir, name, &layers, &inode);
    if (err)
        return err;
    take_origin(task, inode);
    *out = &inode->inode;
    return 0;
}

/* ---- passing on ----------------------------------------------------------------------------- */

SLEEPS static i64 overlay_readlink(struct task *task, struct inode *base, char *out, size_t size)
{
    struct inode *real = overlay_real(overlay_of(base))->inode;
    return real->ops->readlink ? real->ops->readlink(task, real, out, size) : -EINVAL;
}

SLEEPS static int overlay_getattr(struct task *task, struct inode *base)
{
    struct overlay_inode *inode = overlay_of(base);
    struct inode *real = overlay_real(inode)->inode;
    int err = real->ops->getattr ? real->ops->getattr(task, real) : 0;
    if (!err)
        overlay_refresh(inode);
    return err;
}

SLEEPS static int overlay_setattr(struct task *task, struct inode *base, const struct attr *attr)
{
    struct overlay_inode *inode = overlay_of(base);
    int err = overlay_copy_up(task, inode);
    if (err)
        return err;
    struct inode *upper = inode->upper->inode;
    bool has_size = attr->mask & ATTR_SIZE;
    if (has_size)
        sleep_lock(&upper->lock, &task->fiber);
    err = upper->ops->setattr ? upper->ops->setattr(task, upper, attr) : -EPERM;
    if (has_size)
        sleep_unlock(&upper->lock, &task->fiber);
    if (!err)
        overlay_refresh(inode);
    return err;
}

/*
 * A regular file's description works on the real inode, so content, mappings and locks need no
 * detour. A description that was opened for reading before a copy-up goes on reading the lower
 * file, as on Linux.
 */
SLEEPS static int overlay_open(struct task *task, struct inode *base, struct file *file)
{
    struct overlay_inode *inode = overlay_of(base);
    if (inode_is_dir(base)) {
        file->ops = &overlay_dir_ops;
        return 0;
    }
    bool writes = (file->flags & O_ACCMODE) != O_RDONLY;
    int err = writes ? overlay_copy_up(task, inode) : 0;
    if (err)
        return err;
    struct inode *real = REF_GET(overlay_real(inode)->inode);
    object_put(&file->inode->object);
    file->inode = real;
    if (real->ops->open)
        return real->ops->open(task, real, file);
    if (!inode_is_regular(real))
        return -ENXIO;
    file->ops = &regular_file_ops;
    return 0;
}

SLEEPS static i64 overlay_getxattr(struct task *task, struct inode *base, const char *name,
                                   void *out, size_t size)
{
    struct inode *real = overlay_real(overlay_of(base))->inode;
    if (strncmp(name, XATTR_PREFIX, sizeof XATTR_PREFIX - 1) == 0)
        return -ENODATA;
    return real->ops->getxattr ? real->ops->getxattr(task, real, name, out, size) : -EOPNOTSUPP;
}

SLEEPS static int overlay_setxattr(struct task *task, struct inode *base, const char *name,
                                   const void *value, size_t size, int flags)
{
    struct overlay_inode *inode = overlay_of(base);
    if (strncmp(name, XATTR_PREFIX, sizeof XATTR_PREFIX - 1) == 0)
        return -EPERM;
    int err = overlay_copy_up(task, inode);
    struct inode *upper = err ? NULL : inode->upper->inode;
    if (!err)
        err = upper->ops->setxattr ? upper->ops->setxattr(task, upper, name, value, size, flags)
                                   : -EOPNOTSUPP;
    if (!err)
        overlay_refresh(inode);
    return err;
}

/* The layer's list without the overlay's own names. */
SLEEPS static i64 overlay_listxattr(struct task *task, struct inode *base, char *out, size_t size)
{
    struct inode *real = overlay_real(overlay_of(base))->inode;
    if (!real->ops->listxattr)
        return 0;
    i64 got = real->ops->listxattr(task, real, NULL, 0);
    if (got <= 0)
        return got;
    struct arena *arena = task->kernel->arena;
    size_t room = (size_t)got;
    char *list = arena_alloc(arena, room);
    if (!list)
        return -ENOMEM;
    got = real->ops->listxattr(task, real, list, room);
    i64 used = got < 0 ? got : 0;
    for (i64 at = 0; at < got;) {
        size_t step = strlen(list + at) + 1;
        if (strncmp(list + at, XATTR_PREFIX, sizeof XATTR_PREFIX - 1) != 0) {
            if (size > 0 && (size_t)used + step > size) {
                used = -ERANGE;
                break;
            }
            if (size > 0)
                memcpy(out + used, list + at, step);
            used += (i64)step;
        }
        at += (i64)step;
    }
    arena_free(arena, list, room);
    return used;
}

SLEEPS static int overlay_removexattr(struct task *task, struct inode *base, const char *name)
{
    struct overlay_inode *inode = overlay_of(base);
    if (strncmp(name, XATTR_PREFIX, sizeof XATTR_PREFIX - 1) == 0)
        return -EPERM;
    int err = overlay_copy_up(task, inode);
    struct inode *upper = err ? NULL : inode->upper->inode;
    if (!err)
        err = upper->ops->removexattr ? upper->ops->removexattr(task, upper, name) : -EOPNOTSUPP;
    return err;
}

SLEEPS static int overlay_tmpfile(struct task *task, struct inode *base, u32 mode,
                                  struct inode **out)
{
    struct overlay_inode *dir = overlay_of(base);
    int err = overlay_copy_up(task, dir);
    struct inode *upper = err ? NULL : dir->upper->inode;
    if (err)
        return err;
    return upper->ops->tmpfile ? upper->ops->tmpfile(task, upper, mode, out) : -EOPNOTSUPP;
}

const struct inode_ops overlay_inode_ops = {
    .lookup = overlay_lookup,
    .create = overlay_create_file,
    .mkdir = overlay_mkdir,
    .mknod = overlay_mknod,
    .symlink = overlay_symlink,
    .link = overlay_link,
    .unlink = overlay_unlink,
    .rmdir = overlay_rmdir,
    .rename = overlay_rename,
    .readlink = overlay_readlink,
    .getattr = overlay_getattr,
    .setattr = overlay_setattr,
    .open = overlay_open,
    .getxattr = overlay_getxattr,
    .setxattr = overlay_setxattr,
    .listxattr = overlay_listxattr,
    .removexattr = overlay_removexattr,
    .tmpfile = overlay_tmpfile,
};

/* ---- the whole ------------------------------------------------------------------------------ */

SLEEPS static int overlay_statfs(struct task *task, struct super *super, struct linux_statfs *out)
{
    struct super *real = overlay_real(overlay_of(super->root->inode))->inode->super;
    int err = real->ops && real->ops->statfs ? real->ops->statfs(task, real, out) : -ENOSYS;
    if (!err)
        out->type = OVERLAY_MAGIC;
    return err;
}

const struct super_ops overlay_super_ops = {.statfs = overlay_statfs};

/* The layers' file systems live as long as ours: dentries alone do not hold them. */
struct overlay_supers {
    struct object object;
    struct super **supers; /* counted */
    u32 count;
};
static const struct field overlay_supers_fields[] = {
    FIELD_REFS(struct overlay_supers, supers, struct super, count),
    FIELD(struct overlay_supers, count),
    FIELD_NONE(struct overlay_supers, object, "the walker's own header"),
    FIELD_END,
};
FIELDS_COMPLETE(struct overlay_supers, overlay_supers_fields);

static void overlay_supers_destroy(struct object *object)
{
    struct overlay_supers *all = container_of(object, struct overlay_supers, object);
    for (u32 i = 0; i < all->count; i++)
        REF_PUT(all->supers[i]);
    arena_free(object->arena, all->supers, all->count * sizeof *all->supers);
}
const struct kind overlay_supers_kind = {.name = "overlay_supers",
                                         .size = sizeof(struct overlay_supers),
                                         .fields = overlay_supers_fields,
                                         .destroy = overlay_supers_destroy};

static int hold_supers(struct super *super, const struct path *upper, const struct path *lowers,
                       u32 lower_count)
{
    struct overlay_supers *all = object_create(super->kernel->arena, &overlay_supers_kind);
    if (!all)
        return -ENOMEM;
    super->private_object = &all->object;
    u32 count = lower_count + (upper ? 1 : 0);
    all->supers = arena_alloc(super->kernel->arena, count * sizeof *all->supers);
    if (!all->supers)
        return -ENOMEM;
    for (u32 i = 0; i < lower_count; i++)
        all->supers[all->count++] = REF_GET(lowers[i].dentry->super);
    if (upper)
        all->supers[all->count++] = REF_GET(upper->dentry->super);
    return 0;
}

SLEEPS int overlay_create(struct task *task, const struct path *upper, const struct path *lowers,
                          u32 lower_count, struct super **out)
{
    struct arena *arena = task->kernel->arena;
    struct overlay_layers layers = {.upper = upper ? REF_GET(upper->dentry) : NULL};
    int err = lower_count > OVERLAY_LOWER_MAX || (!upper && lower_count == 0) ? -EINVAL : 0;
    for (u32 i = 0; i < lower_count && !err; i++)
        err = inode_is_dir(lowers[i].dentry->inode) ? add_lower(arena, &layers, lowers[i].dentry)
                                                    : -ENOTDIR;
    AUTO_PUT struct super *super = NULL;
    if (!err)
        err = super_create(task->kernel, "overlay", OVERLAY_MAGIC, upper ? 0 : 1, &super);
    if (err) {
        overlay_layers_put(arena, &layers);
        return err;
    }
    super->ops = &overlay_super_ops;
    err = hold_supers(super, upper, lowers, lower_count);
    if (err) {
        overlay_layers_put(arena, &layers);
        return err;
    }
    struct overlay_inode *root;
    err = overlay_inode_create(super, NULL, NULL, &layers, &root);
    if (err)
        return err;
    err = dentry_create_root(super, &root->inode, &super->root);
    object_put(&root->inode.object);
    if (!err)
        *out = MOVE(super);
    return err;
}
