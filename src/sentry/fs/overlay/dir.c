/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merged listings. All layers are read when a directory is read from its start; names of an upper
 * layer hide those below, whiteouts hide and do not show. The listing then stays with the
 * description.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/fields.h"
#include "base/hash.h"
#include "base/map.h"
#include "sentry/fs/overlay/overlay.h"

struct overlay_listing {
    struct object object;
    struct buf entries; /* struct entry and name, back to back */
    bool is_made;
};

struct entry {
    u64 ino;
    u32 name_size; /* with terminator */
    u8 type;
    u8 is_whiteout;
    u16 pad;
};

static const struct field overlay_listing_fields[] = {
    FIELD_NONE(struct overlay_listing, object, "the walker's own header"),
    FIELD_BUF(struct overlay_listing, entries),
    FIELD(struct overlay_listing, is_made),
    FIELD_END,
};
FIELDS_COMPLETE(struct overlay_listing, overlay_listing_fields);

static void listing_destroy(struct object *object)
{
    buf_fini(&container_of(object, struct overlay_listing, object)->entries);
}

const struct kind overlay_listing_kind = {.name = "overlay_listing",
                                          .size = sizeof(struct overlay_listing),
                                          .fields = overlay_listing_fields,
                                          .destroy = listing_destroy};

/* ---- gathering ------------------------------------------------------------------------------ */

struct gather {
    struct dir_emit emit;
    struct buf *entries;
    struct map
        seen;     /* hash of name -> offset + 1 of the first entry with it; collisions are walked */
    bool is_last; /* the lowest layer: its names need not be remembered */
    int err;
};

static const struct entry *entry_at(const struct buf *entries, size_t offset)
{
    return (const void *)(buf_bytes(entries) + offset);
}

static bool is_seen(struct gather *gather, const char *name, size_t size, u64 hash)
{
    size_t offset = (size_t)(uintptr_t)map_find(&gather->seen, hash);
    if (offset == 0)
        return false;
    /* 64 bits of a hash do not collide by accident; an equal hash of another name only hides
     * nothing. */
    const struct entry *entry = entry_at(gather->entries, offset - 1);
    return entry->name_size == size + 1 && memcmp(entry + 1, name, size) == 0;
}

SLEEPS static bool gather_one(struct dir_emit *emit, const char *name, size_t size, u64 ino,
                              u8 type, u64 next)
{
    struct gather *gather = emit->owner;
    if (name[0] == '.' && (size == 1 || (size == 2 && name[1] == '.')))
        return true;
    u64 hash = hash_bytes(name, size, 0);
    if (is_seen(gather, name, size, hash))
        return true;
    struct entry entry = {.ino = ino, .name_size = (u32)size + 1, .type = type};
    size_t offset = gather->entries->size;
    static const char zeros[8];
    size_t pad = ALIGN_UP(entry.name_size, 8u) - entry.name_size;
    int err = buf_append(gather->entries, &entry, sizeof entry);
    if (!err)
        err = buf_append(gather->entries, name, size);
    if (!err)
        err = buf_append(gather->entries, zeros, 1 + pad);
    if (!err && !gather->is_last) {
        int added = map_add(&gather->seen, hash, (void *)(uintptr_t)(offset + 1));
        err = added == -EEXIST ? 0 : added;
    }
    gather->err = err;
    return !err;
}

/* The entry at *AT as programs see it: its number, and whether it is there at all. */
SLEEPS static int complete_entry(struct task *task, struct gather *gather, struct dentry *dir,
                                 bool is_upper, size_t *at)
{
    struct entry *entry = (void *)(buf_bytes(gather->entries) + *at);
    u64 ino = overlay_number(dir->super, entry->ino);
    bool is_whiteout = false;
    if (is_upper || entry->type == LINUX_DT_CHR) {
        AUTO_PUT struct inode *inode = NULL;
        int err = inode_lookup(task, dir->inode, (const char *)(entry + 1), &inode);
        if (err && err != -ENOENT)
            return err;
        is_whiteout = inode && overlay_is_whiteout(inode);
        if (inode && is_upper)
            ino = overlay_upper_number(task, inode);
    }
    entry->ino = ino;
    entry->is_whiteout = is_whiteout;
    *at += sizeof *entry + ALIGN_UP(entry->name_size, 8u);
    return 0;
}

/* Entries of one layer's directory; those of its character devices 0:0 become whiteouts. */
SLEEPS static int gather_layer(struct task *task, struct gather *gather, struct dentry *dir,
                               bool is_upper)
{
    AUTO_PUT struct file *file = NULL;
    size_t start = gather->entries->size;
    int err = dentry_open(task, dir, O_RDONLY | O_DIRECTORY, &file);
    if (!err)
        err = file_readdir(task, file, &gather->emit);
    if (!err)
        err = gather->err;
    for (size_t at = start; at < gather->entries->size && !err;)
        err = complete_entry(task, gather, dir, is_upper, &at);
    return err;
}

SLEEPS static int gather_all(struct task *task, struct overlay_inode *dir, struct buf *entries)
{
    struct gather gather = {.emit = {.emit = gather_one, .owner = &gather}, .entries = entries};
    map_init(&gather.seen, task->kernel->arena);
    int err = 0;
    if (dir->upper) {
        gather.is_last = dir->lower_count == 0;
        err = gather_layer(task, &gather, dir->upper, true);
    }
    for (u32 i = 0; i < dir->lower_count && !err; i++) {
        gather.is_last = i + 1 == dir->lower_count;
        err = gather_layer(task, &gather, dir->lowers[i], false);
    }
    map_fini(&gather.seen);
    return err;
}

SLEEPS int overlay_is_empty(struct task *task, struct overlay_inode *dir, bool *is_empty)
{
    struct buf entries;
    buf_init(&entries, task->kernel->arena, 0);
    int err = gather_all(task, dir, &entries);
    *is_empty = true;
    for (size_t at = 0; at < entries.size;) {
        const struct entry *entry = entry_at(&entries, at);
        *is_empty &= entry->is_whiteout;
        at += sizeof *entry + ALIGN_UP(entry->name_size, 8u);
    }
    buf_fini(&entries);
    return err;
}

/* ---- reading -------------------------------------------------------------------------------- */

SLEEPS static int make_listing(struct task *task, struct file *file, struct overlay_listing **out)
{
    struct overlay_listing *listing;
    if (!file->private_object) {
        listing = object_create(task->kernel->arena, &overlay_listing_kind);
        if (!listing)
            return -ENOMEM;
        buf_init(&listing->entries, task->kernel->arena, 0);
        file->private_object = &listing->object;
    }
    listing = container_of(file->private_object, struct overlay_listing, object);
    *out = listing;
    if (listing->is_made && file->offset > 0)
        return 0;
    buf_clear(&listing->entries);
    listing->is_made = true;
    return gather_all(task, overlay_of(file->inode), &listing->entries);
}

/* Offsets: 0 ".", 1 "..", then 2 + the byte offset of the entry. */
SLEEPS static int overlay_readdir(struct task *task, struct file *file, struct dir_emit *emit)
{
    struct overlay_inode *dir = overlay_of(file->inode);
    struct overlay_listing *listing;
    int err = make_listing(task, file, &listing);
    if (err)
        return err;
    while (file->offset < 2) {
        bool is_dot = file->offset == 0;
        const struct dentry *parent = file->path.dentry ? file->path.dentry->parent : NULL;
        u64 ino = is_dot || !parent ? dir->inode.ino : parent->inode->ino;
        if (!emit->emit(emit, "..", is_dot ? 1 : 2, ino, LINUX_DT_DIR, file->offset + 1))
            return 0;
        file->offset++;
    }
    while (file->offset - 2 < listing->entries.size) {
        const struct entry *entry = entry_at(&listing->entries, file->offset - 2);
        u64 next = file->offset + sizeof *entry + ALIGN_UP(entry->name_size, 8u);
        if (!entry->is_whiteout && !emit->emit(emit, (const char *)(entry + 1),
                                               entry->name_size - 1, entry->ino, entry->type, next))
            return 0;
        file->offset = next;
    }
    return 0;
}

SLEEPS static i64 overlay_seek(struct task *task, struct file *file, i64 offset, i32 whence)
{
    if (whence == SEEK_CUR && offset == 0)
        return (i64)file->offset;
    if (whence != SEEK_SET || offset < 0)
        return -EINVAL;
    const struct overlay_listing *listing = file->private_object
                                                ? container_of(file->private_object,
                                                               struct overlay_listing, object)
                                                : NULL;
    u64 end = listing ? 2 + listing->entries.size : 2;
    if ((u64)offset > end || ((u64)offset > 2 && ((u64)offset - 2) % 8 != 0))
        offset = (i64)end; /* not a place that readdir told: nothing comes there */
    file->offset = (u64)offset;
    return offset;
}

const struct file_ops overlay_dir_ops = {
    .readdir = overlay_readdir, .seek = overlay_seek, .is_seekable = true};
