/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories of tmpfs: entries by cookie, which only grows, so that a reader's place stays valid
 * while others add and remove; and by hash of the name. Sizes are Linux's: 20 bytes an entry.
 */
#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "base/fields.h"
#include "base/hash.h"
#include "sentry/fs/path.h"
#include "sentry/fs/tmpfs/tmpfs.h"

#define ENTRY_SIZE 20u
#define COOKIE_FIRST 2u /* 0 is ".", 1 is ".." */

static void tmpfs_entry_destroy(struct object *object)
{
    struct tmpfs_entry *entry = container_of(object, struct tmpfs_entry, object);
    REF_CLEAR(entry->inode);
    arena_free_string(object->arena, entry->name);
}

static const struct field tmpfs_entry_fields[] = {
    FIELD_NONE(struct tmpfs_entry, object, "the walker's own header"),
    FIELD_NONE(struct tmpfs_entry, name_node, "the directory enters it when it is loaded"),
    FIELD_NONE(struct tmpfs_entry, link, "only while a directory dies"),
    FIELD_REF(struct tmpfs_entry, inode, struct inode),
    FIELD_STRING(struct tmpfs_entry, name),
    FIELD(struct tmpfs_entry, cookie),
    FIELD_END,
};
FIELDS_COMPLETE(struct tmpfs_entry, tmpfs_entry_fields);

const struct kind tmpfs_entry_kind = {.name = "tmpfs_entry",
                                      .size = sizeof(struct tmpfs_entry),
                                      .fields = tmpfs_entry_fields,
                                      .destroy = tmpfs_entry_destroy};

struct tmpfs_entry *tmpfs_find(struct tmpfs_inode *dir, const char *name)
{
    u64 key = hash_text(name, 0);
    struct tree_node *node = tree_ceiling(&dir->names, key);
    for (; node && node->key == key; node = tree_next(node)) {
        struct tmpfs_entry *entry = container_of(node, struct tmpfs_entry, name_node);
        if (strcmp(entry->name, name) == 0)
            return entry;
    }
    return NULL;
}

static void enter_name(struct tmpfs_inode *dir, struct tmpfs_entry *entry)
{
    entry->name_node.key = hash_text(entry->name, 0);
    tree_insert(&dir->names, &entry->name_node);
}

int tmpfs_add(struct tmpfs_inode *dir, const char *name, struct inode *inode)
{
    struct arena *arena = dir->inode.object.arena;
    AUTO_PUT struct tmpfs_entry *entry = object_create(arena, &tmpfs_entry_kind);
    if (!entry)
        return -ENOMEM;
    entry->name = arena_strdup(arena, name);
    if (!entry->name)
        return -ENOMEM;
    u64 cookie = MAX(dir->cookie_next, COOKIE_FIRST);
    int err = map_add(&dir->entries, cookie, entry);
    if (err)
        return err;
    entry->cookie = cookie;
    dir->cookie_next = cookie + 1;
    entry->inode = REF_GET(inode);
    enter_name(dir, entry);
    dir->inode.size += ENTRY_SIZE;
    (void)MOVE(entry); /* the map's now */
    return 0;
}

void tmpfs_remove(struct tmpfs_inode *dir, struct tmpfs_entry *entry)
{
    tree_remove(&dir->names, &entry->name_node);
    void *removed = map_remove(&dir->entries, entry->cookie);
    ASSERT(removed == entry);
    dir->inode.size -= ENTRY_SIZE;
    REF_PUT(entry);
}

void tmpfs_dir_loaded(struct tmpfs_inode *dir)
{
    struct tmpfs_entry *entry;
    map_for_each (&dir->entries, cookie, entry)
        enter_name(dir, entry);
}

/* All entries of DIR to LIST. */
static void take_entries(struct tmpfs_inode *dir, struct list *list)
{
    u64 cookie;
    for (struct tmpfs_entry *entry; (entry = map_ceiling(&dir->entries, 0, &cookie)) != NULL;) {
        (void)map_remove(&dir->entries, cookie);
        list_add_tail(list, &entry->link);
    }
    dir->names.root = NULL;
}

/* The end of a tree as a loop: depth is the program's choice. */
void tmpfs_dir_clear(struct tmpfs_inode *dir)
{
    struct list dying;
    list_init(&dying);
    take_entries(dir, &dying);
    while (!list_is_empty(&dying)) {
        struct tmpfs_entry *entry = list_first(&dying, struct tmpfs_entry, link);
        list_remove(&entry->link);
        struct inode *inode = entry->inode;
        if (inode_is_dir(inode) && inode->object.refs == 1)
            take_entries(tmpfs_inode_of(inode), &dying);
        REF_PUT(entry);
    }
}

/* ---- rename --------------------------------------------------------------------------------- */

static void touch_dirs(struct inode *from_dir, struct inode *to_dir)
{
    inode_touch(from_dir, ATTR_MTIME | ATTR_CTIME);
    inode_touch(to_dir, ATTR_MTIME | ATTR_CTIME);
}

/* A directory that moves takes its ".." along. */
static void move_dotdot(const struct inode *inode, struct inode *from_dir, struct inode *to_dir)
{
    if (inode && inode_is_dir(inode) && from_dir != to_dir) {
        from_dir->link_count--;
        to_dir->link_count++;
    }
}

static void exchange(struct tmpfs_entry *a, struct tmpfs_entry *b)
{
    struct inode *inode = a->inode;
    a->inode = b->inode;
    b->inode = inode;
}

/* What stood at the new name has one link less. */
static void replace_target(struct inode *to_dir, struct inode *target)
{
    if (inode_is_dir(target)) {
        target->link_count = 0;
        to_dir->link_count--;
    } else {
        tmpfs_drop_link(target);
    }
    inode_touch(target, ATTR_CTIME);
}

int tmpfs_rename(struct task *task, struct inode *from_dir, const char *from, struct inode *inode,
                 struct inode *to_dir, const char *to, struct inode *target, u32 flags)
{
    struct tmpfs_entry *old = tmpfs_find(tmpfs_inode_of(from_dir), from);
    ASSERT(old && old->inode == inode);
    if (flags & LINUX_RENAME_EXCHANGE) {
        struct tmpfs_entry *other = tmpfs_find(tmpfs_inode_of(to_dir), to);
        ASSERT(other && other->inode == target);
        exchange(old, other);
        move_dotdot(inode, from_dir, to_dir);
        move_dotdot(target, to_dir, from_dir);
        inode_touch(target, ATTR_CTIME);
    } else {
        if (target && inode_is_dir(target) && tmpfs_inode_of(target)->entries.count > 0)
            return -ENOTEMPTY;
        struct tmpfs_entry *place = target ? tmpfs_find(tmpfs_inode_of(to_dir), to) : NULL;
        if (place) {
            ASSERT(place->inode == target);
            replace_target(to_dir, target);
            exchange(old, place);
        } else {
            int err = tmpfs_add(tmpfs_inode_of(to_dir), to, inode);
            if (err)
                return err;
        }
        move_dotdot(inode, from_dir, to_dir);
        tmpfs_remove(tmpfs_inode_of(from_dir), old);
    }
    inode_touch(inode, ATTR_CTIME);
    touch_dirs(from_dir, to_dir);
    return 0;
}

/* ---- reading -------------------------------------------------------------------------------- */

static u8 entry_type(const struct inode *inode)
{
    return (u8)((inode->mode & LINUX_S_IFMT) >> 12);
}

/* "." and ".."; false when the reader is full. */
SLEEPS static bool emit_dots(struct file *file, struct dir_emit *emit)
{
    const struct dentry *dentry = file->path.dentry;
    if (file->offset == 0) {
        if (!emit->emit(emit, ".", 1, file->inode->ino, LINUX_DT_DIR, 1))
            return false;
        file->offset = 1;
    }
    if (file->offset == 1) {
        const struct inode *parent = dentry && dentry->parent ? dentry->parent->inode : file->inode;
        if (!emit->emit(emit, "..", 2, parent->ino, LINUX_DT_DIR, COOKIE_FIRST))
            return false;
        file->offset = COOKIE_FIRST;
    }
    return true;
}

SLEEPS static int tmpfs_readdir(struct task *task, struct file *file, struct dir_emit *emit)
{
    struct tmpfs_inode *dir = tmpfs_inode_of(file->inode);
    if (!emit_dots(file, emit))
        return 0;
    u64 cookie;
    for (struct tmpfs_entry *found;
         (found = map_ceiling(&dir->entries, file->offset, &cookie)) != NULL;) {
        AUTO_PUT struct tmpfs_entry *entry = REF_GET(found);
        if (!emit->emit(emit, entry->name, strlen(entry->name), entry->inode->ino,
                        entry_type(entry->inode), cookie + 1))
            return 0;
        file->offset = cookie + 1;
    }
    return 0;
}

const struct file_ops tmpfs_dir_ops = {.readdir = tmpfs_readdir, .is_seekable = true};
