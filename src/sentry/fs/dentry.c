/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dentries and their cache. A directory knows its cached entries weakly, by hash of the name; the
 * cache of the sandbox holds one reference each and lets the oldest use go when it is full.
 * Surprising: a dentry holds its parent, so the last reference of a deep path frees a chain, and
 * that is a loop here and not a recursion.
 */
#include "sentry/fs/dentry.h"

#include <string.h>

#include "abi/errno.h"
#include "base/fields.h"
#include "base/hash.h"
#include "sentry/fs/vfs.h"

static void dentry_destroy(struct object *object);
static int dentry_loaded(struct object *object, struct state_reader *reader);

static const struct field dentry_fields[] = {
    FIELD_NONE(struct dentry, object, "the walker's own header"),
    FIELD_REF(struct dentry, parent, struct dentry),
    FIELD_REF(struct dentry, inode, struct inode),
    FIELD_WEAK(struct dentry, super, struct super),
    FIELD_STRING(struct dentry, name),
    FIELD_NONE(struct dentry, child_tree, "children add themselves when they are loaded"),
    FIELD_NONE(struct dentry, child_node, "derived from parent and name"),
    FIELD(struct dentry, is_hashed),
    FIELD_NONE(struct dentry, cache_link, "the cache fills again"),
    FIELD_NONE(struct dentry, mount_count, "mounts count themselves when they are loaded"),
    FIELD(struct dentry, is_unlinked),
    FIELD(struct dentry, is_pinned),
    FIELD_END,
};
FIELDS_COMPLETE(struct dentry, dentry_fields);

const struct kind dentry_kind = {.name = "dentry",
                                 .size = sizeof(struct dentry),
                                 .fields = dentry_fields,
                                 .destroy = dentry_destroy,
                                 .loaded = dentry_loaded};

/* ---- the tree of a directory ---------------------------------------------------------------- */

static void dentry_hash(struct dentry *dentry)
{
    dentry->child_node.key = hash_text(dentry->name, 0);
    tree_insert(&dentry->parent->child_tree, &dentry->child_node);
    dentry->is_hashed = true;
}

static void dentry_unhash(struct dentry *dentry)
{
    if (!dentry->is_hashed)
        return;
    tree_remove(&dentry->parent->child_tree, &dentry->child_node);
    dentry->is_hashed = false;
}

struct dentry *dentry_find(const struct dentry *dir, const char *name)
{
    u64 key = hash_text(name, 0);
    struct tree_node *node = tree_ceiling(&dir->child_tree, key);
    for (; node && node->key == key; node = tree_next(node)) {
        struct dentry *dentry = container_of(node, struct dentry, child_node);
        if (strcmp(dentry->name, name) == 0)
            return dentry;
    }
    return NULL;
}

/* ---- the cache ------------------------------------------------------------------------------ */

static struct vfs *dentry_vfs(const struct dentry *dentry)
{
    return dentry->super ? dentry->super->kernel->vfs : NULL;
}

static void cache_remove_dentry(struct vfs *vfs, struct dentry *dentry)
{
    if (!list_is_linked(&dentry->cache_link))
        return;
    list_remove(&dentry->cache_link);
    vfs->dentry_cache_count--;
    REF_PUT(dentry);
}

/* Used just now: to the young end; in, if it was not. */
static void cache_use(struct dentry *dentry)
{
    struct vfs *vfs = dentry_vfs(dentry);
    if (!vfs || !dentry->parent)
        return;
    if (list_is_linked(&dentry->cache_link)) {
        if (vfs->dentry_cache.prev != &dentry->cache_link) {
            list_remove(&dentry->cache_link);
            list_add_tail(&vfs->dentry_cache, &dentry->cache_link);
        }
        return;
    }
    list_add_tail(&vfs->dentry_cache, &REF_GET(dentry)->cache_link);
    vfs->dentry_cache_count++;
    while (vfs->dentry_cache_count > vfs->dentry_cache_max)
        cache_remove_dentry(vfs, list_first(&vfs->dentry_cache, struct dentry, cache_link));
}

void dentry_cache_drop(struct vfs *vfs, const struct super *super)
{
    struct dentry *dentry, *next;
    list_for_each_safe (dentry, next, &vfs->dentry_cache, cache_link) {
        if (super && dentry->super != super)
            continue;
        /* Dropping one may drop its parent, but never its neighbour in the list: the cache holds
         * that itself. */
        cache_remove_dentry(vfs, dentry);
    }
}

/* ---- birth and death ------------------------------------------------------------------------ */

MUST_CHECK static int dentry_create(struct dentry *parent, struct super *super, const char *name,
                                    struct inode *inode, struct arena *arena, struct dentry **out)
{
    struct dentry *dentry = object_create(arena, &dentry_kind);
    if (!dentry)
        return -ENOMEM;
    dentry->name = arena_strdup(arena, name);
    if (!dentry->name) {
        REF_PUT(dentry);
        return -ENOMEM;
    }
    dentry->parent = REF_GET(parent);
    dentry->super = super;
    dentry->inode = REF_GET(inode);
    if (parent)
        dentry_hash(dentry);
    *out = dentry;
    return 0;
}

int dentry_create_root(struct super *super, struct inode *inode, struct dentry **out)
{
    return dentry_create(NULL, super, "", inode, super->object.arena, out);
}

int dentry_create_anon(struct inode *inode, const char *name, struct dentry **out)
{
    return dentry_create(NULL, inode->super, name, inode, inode->object.arena, out);
}

int dentry_create_tmpfile(struct dentry *dir, struct inode *inode, struct dentry **out)
{
    AUTO_BUF struct buf name;
    buf_init(&name, dir->object.arena, 0);
    int err = buf_printf(&name, "#%llu", (unsigned long long)inode->ino);
    const char *text = err ? NULL : buf_text(&name);
    if (!text)
        return -ENOMEM;
    struct dentry *dentry;
    err = dentry_create(dir, dir->super, text, inode, dir->object.arena, &dentry);
    if (err)
        return err;
    dentry_unhash(dentry);
    dentry->is_unlinked = true;
    *out = dentry;
    return 0;
}

/* Parents whose last user this was go one after the other. */
static void dentry_put_parents(struct dentry *parent)
{
    while (parent && parent->object.refs == 1) {
        dentry_unhash(parent);
        struct dentry *next = MOVE(parent->parent);
        REF_PUT(parent);
        parent = next;
    }
    REF_PUT(parent);
}

static void dentry_destroy(struct object *object)
{
    struct dentry *dentry = container_of(object, struct dentry, object);
    ASSERT(!list_is_linked(&dentry->cache_link));
    dentry_unhash(dentry);
    ASSERT(dentry->child_tree.root == NULL);
    REF_CLEAR(dentry->inode);
    arena_free_string(object->arena, dentry->name);
    dentry_put_parents(MOVE(dentry->parent));
}

static int dentry_loaded(struct object *object, struct state_reader *reader)
{
    struct dentry *dentry = container_of(object, struct dentry, object);
    if (dentry->is_hashed && !dentry->parent)
        return -EINVAL;
    if (!dentry->name)
        return -EINVAL;
    if (dentry->is_hashed)
        dentry_hash(dentry);
    return 0;
}

/* ---- looking up ----------------------------------------------------------------------------- */

/* Is what is cached still right? If not it is dropped. */
SLEEPS static bool dentry_is_valid(struct task *task, struct dentry *dir, struct dentry *dentry)
{
    const struct inode_ops *ops = dir->inode->ops;
    if (!ops->revalidate)
        return true;
    AUTO_PUT struct dentry *held = REF_GET(dentry);
    if (ops->revalidate(task, dir->inode, dentry))
        return true;
    dentry_drop(dentry);
    return false;
}

int dentry_lookup_locked(struct task *task, struct dentry *dir, const char *name,
                         struct dentry **out)
{
    struct dentry *found = dentry_find(dir, name);
    if (found && dentry_is_valid(task, dir, found)) {
        cache_use(found);
        *out = REF_GET(found);
        return 0;
    }
    AUTO_PUT struct inode *inode = NULL;
    int err = inode_lookup(task, dir->inode, name, &inode);
    if (err && err != -ENOENT)
        return err;
    struct dentry *dentry;
    err = dentry_create(dir, dir->super, name, inode, dir->object.arena, &dentry);
    if (err)
        return err;
    if (dir->is_unlinked) /* nothing will ever be there; not worth the room */
        dentry_unhash(dentry);
    else
        cache_use(dentry);
    *out = dentry;
    return 0;
}

int dentry_lookup(struct task *task, struct dentry *dir, const char *name, struct dentry **out)
{
    struct dentry *found = dentry_find(dir, name);
    if (found && !dir->inode->ops->revalidate) {
        cache_use(found);
        *out = REF_GET(found);
        return 0;
    }
    AUTO_PUT struct inode *inode = REF_GET(dir->inode);
    sleep_lock(&inode->lock, &task->fiber);
    int err = dentry_lookup_locked(task, dir, name, out);
    sleep_unlock(&inode->lock, &task->fiber);
    return err;
}

/* ---- changes -------------------------------------------------------------------------------- */

void dentry_instantiate(struct dentry *dentry, struct inode *inode)
{
    ASSERT(dentry->inode == NULL);
    dentry->inode = REF_GET(inode);
}

void dentry_drop(struct dentry *dentry)
{
    dentry_unhash(dentry);
    struct vfs *vfs = dentry_vfs(dentry);
    if (vfs)
        cache_remove_dentry(vfs, dentry);
}

void dentry_unlink(struct dentry *dentry)
{
    dentry->is_unlinked = true;
    dentry_drop(dentry);
}

void dentry_move(struct dentry *dentry, struct dentry *dir, char *name)
{
    dentry_unhash(dentry);
    struct dentry *old_parent = dentry->parent;
    dentry->parent = REF_GET(dir);
    arena_free_string(dentry->object.arena, dentry->name);
    dentry->name = name;
    dentry_hash(dentry);
    dentry_put_parents(old_parent);
}

static void forget_below(struct dentry *dir)
{
    struct tree_node *node = tree_first(&dir->child_tree);
    while (node) {
        struct dentry *dentry = container_of(node, struct dentry, child_node);
        node = tree_next(node);
        if (dentry->mount_count == 0 && !dentry->is_pinned)
            dentry_drop(dentry);
    }
}

void dentry_forget(struct dentry *dir, const char *name)
{
    if (!name) {
        forget_below(dir);
        return;
    }
    struct dentry *dentry = dentry_find(dir, name);
    if (dentry && dentry->mount_count == 0)
        dentry_drop(dentry);
}

bool dentry_is_below(const struct dentry *dentry, const struct dentry *ancestor)
{
    while (dentry && dentry != ancestor)
        dentry = dentry->parent;
    return dentry != NULL;
}
