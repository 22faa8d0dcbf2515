/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files and directories of an image. A directory is blocks, each with a table of entries and the
 * names behind it; "." and ".." stand among them. Nothing can be changed: every operation that
 * would is missing.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/fields.h"
#include "sentry/fs/erofs/erofs.h"
#include "sentry/fs/file.h"
#include "sentry/kernel/task.h"

#define NAME_MAX_SIZE 255u

static const struct field erofs_inode_fields[] = {
    FIELD_STRUCT(struct erofs_inode, inode, inode_base_fields),
    FIELD_REF(struct erofs_inode, image, struct erofs),
    FIELD(struct erofs_inode, nid),
    FIELD(struct erofs_inode, layout),
    FIELD(struct erofs_inode, raw),
    FIELD(struct erofs_inode, xattr_place),
    FIELD(struct erofs_inode, xattr_size),
    FIELD_END,
};
FIELDS_COMPLETE(struct erofs_inode, erofs_inode_fields);

static void erofs_inode_destroy(struct object *object)
{
    struct erofs_inode *inode = container_of(object, struct erofs_inode, inode.object);
    inode_fini(&inode->inode);
    REF_CLEAR(inode->image);
}

static int erofs_inode_save_pages(const struct object *object, struct state_writer *writer)
{
    const struct erofs_inode *inode = container_of(object, struct erofs_inode, inode.object);
    return inode_is_regular(&inode->inode) ? inode_save_pages(&inode->inode, writer) : 0;
}

static int erofs_inode_load_pages(struct object *object, struct state_reader *reader)
{
    struct erofs_inode *inode = container_of(object, struct erofs_inode, inode.object);
    return inode_is_regular(&inode->inode)
               ? inode_load_pages(&inode->inode, reader, &erofs_mapping_ops)
               : 0;
}

const struct kind erofs_inode_kind = {.name = "erofs_inode",
                                      .size = sizeof(struct erofs_inode),
                                      .fields = erofs_inode_fields,
                                      .destroy = erofs_inode_destroy,
                                      .loaded = inode_loaded,
                                      .save_more = erofs_inode_save_pages,
                                      .load_more = erofs_inode_load_pages,
                                      .discard = inode_discard,
                                      .ops = &erofs_inode_ops};

/* ---- content -------------------------------------------------------------------------------- */

/* SIZE bytes at OFFSET, zeros where there is a hole; all of them lie in the file. */
SLEEPS static int read_content(struct erofs_inode *inode, struct fiber *fiber, u64 offset,
                               void *out, u64 size)
{
    while (size > 0) {
        u64 place, extent;
        int err = erofs_map(inode, fiber, offset, &place, &extent);
        if (err)
            return err;
        u64 step = MIN(extent, size);
        if (place)
            err = erofs_read(inode->image, fiber, place, out, step);
        else
            memset(out, 0, step);
        if (err)
            return err;
        out = (u8 *)out + step;
        offset += step;
        size -= step;
    }
    return 0;
}

SLEEPS static int erofs_fill(struct mapping *mapping, struct fiber *fiber, u64 index, u64 count,
                             u8 *const *pages)
{
    struct erofs_inode *inode = erofs_of(mapping->owner);
    int err = 0;
    for (u64 i = 0; i < count && !err; i++) {
        u64 offset = (index + i) << PAGE_SHIFT;
        u64 size = offset < inode->inode.size ? MIN(inode->inode.size - offset, PAGE_SIZE) : 0;
        memset(pages[i] + size, 0, PAGE_SIZE - size);
        err = read_content(inode, fiber, offset, pages[i], size);
    }
    return err;
}

const struct mapping_ops erofs_mapping_ops = {.fill = erofs_fill};

SLEEPS static i64 erofs_readlink(struct task *task, struct inode *base, char *out, size_t size)
{
    u64 step = MIN(base->size, (u64)size);
    int err = read_content(erofs_of(base), &task->fiber, 0, out, step);
    return err ? err : (i64)step;
}

/* ---- directories ---------------------------------------------------------------------------- */

struct disk_entry {
    u64 nid;
    u16 name_offset;
    u8 type, reserved;
} __attribute__((packed));
_Static_assert(sizeof(struct disk_entry) == 12, "an entry has 12 bytes");

struct dir_block {
    struct arena *arena;
    u8 *bytes;
    u64 room;
    u64 size;  /* of what is used */
    u32 count; /* entries */
};

struct dir_entry {
    u64 nid;
    const char *name; /* lent by the block, not terminated */
    u32 name_size;
    u8 type;
};

/* Block NUMBER of DIR. */
SLEEPS static int block_read(struct dir_block *block, struct erofs_inode *dir, struct fiber *fiber,
                             u64 number)
{
    u64 room = erofs_block_size(dir->image), offset = number * room;
    struct disk_entry first;
    block->size = MIN(room, dir->inode.size - offset);
    int err = read_content(dir, fiber, offset, block->bytes, block->size);
    if (err)
        return err;
    if (block->size < sizeof first)
        return -EUCLEAN;
    memcpy(&first, block->bytes, sizeof first);
    if (first.name_offset < sizeof first || first.name_offset % sizeof first ||
        first.name_offset >= block->size)
        return -EUCLEAN;
    block->count = first.name_offset / (u32)sizeof first;
    return 0;
}

static int block_entry(const struct dir_block *block, u32 index, struct dir_entry *out)
{
    struct disk_entry entry, next;
    memcpy(&entry, block->bytes + index * sizeof entry, sizeof entry);
    u64 end = block->size;
    if (index + 1 < block->count) {
        memcpy(&next, block->bytes + (index + 1) * sizeof next, sizeof next);
        end = next.name_offset;
    }
    if (entry.name_offset < block->count * sizeof entry || end > block->size ||
        entry.name_offset >= end)
        return -EUCLEAN;
    const char *name = (const char *)block->bytes + entry.name_offset;
    size_t size = strnlen(name, end - entry.name_offset);
    if (size == 0 || size > NAME_MAX_SIZE || memchr(name, '/', size))
        return -EUCLEAN;
    *out = (struct dir_entry){entry.nid, name, (u32)size, entry.type};
    return 0;
}

static int block_init(struct dir_block *block, const struct erofs_inode *dir)
{
    block->arena = dir->inode.object.arena;
    block->room = erofs_block_size(dir->image);
    block->bytes = arena_alloc(block->arena, block->room);
    return block->bytes ? 0 : -ENOMEM;
}

static void block_fini(struct dir_block *block)
{
    arena_free(block->arena, block->bytes, block->room);
}

static u64 block_count(const struct erofs_inode *dir)
{
    return (dir->inode.size + erofs_block_size(dir->image) - 1) >> dir->image->block_bits;
}

/* Names are sorted, but nothing relies on it: an image may lie. */
SLEEPS static int find_in_block(const struct dir_block *block, const char *name, u64 *nid)
{
    struct dir_entry entry;
    size_t size = strlen(name);
    for (u32 i = 0; i < block->count; i++) {
        int err = block_entry(block, i, &entry);
        if (err)
            return err;
        if (entry.name_size == size && memcmp(entry.name, name, size) == 0) {
            *nid = entry.nid;
            return 0;
        }
    }
    return -ENOENT;
}

int erofs_lookup(struct task *task, struct inode *base, const char *name, struct inode **out)
{
    struct erofs_inode *dir = erofs_of(base);
    struct dir_block block;
    u64 nid = 0;
    int err = block_init(&block, dir);
    if (err)
        return err;
    err = -ENOENT;
    for (u64 i = 0; i < block_count(dir) && err == -ENOENT; i++) {
        err = block_read(&block, dir, &task->fiber, i);
        if (!err)
            err = find_in_block(&block, name, &nid);
    }
    block_fini(&block);
    return err ? err : erofs_inode_get(base->super, &task->fiber, nid, out);
}

/* Linux's DT_ of a file type of the image. */
static u8 entry_type(u8 type)
{
    static const u8 types[] = {0,           8 /* REG */,  4 /* DIR */,   2 /* CHR */,
                               6 /* BLK */, 1 /* FIFO */, 12 /* SOCK */, 10 /* LNK */};
    return type < ARRAY_COUNT(types) ? types[type] : 0;
}

/* The entries of block NUMBER from the file's place on. 1: go on, 0: the caller is full. */
SLEEPS static int emit_block(struct file *file, const struct dir_block *block, u64 number,
                             struct dir_emit *emit)
{
    struct dir_entry entry;
    u64 base = number * block->room;
    u64 index = (file->offset - base) / sizeof(struct disk_entry);
    for (; index < block->count; index++) {
        int err = block_entry(block, (u32)index, &entry);
        if (err)
            return err;
        u64 next = index + 1 < block->count ? base + (index + 1) * sizeof(struct disk_entry)
                                            : base + block->room;
        if (!emit->emit(emit, entry.name, entry.name_size, entry.nid, entry_type(entry.type), next))
            return 0;
        file->offset = next;
    }
    file->offset = base + block->room;
    return 1;
}

SLEEPS static int erofs_readdir(struct task *task, struct file *file, struct dir_emit *emit)
{
    struct erofs_inode *dir = erofs_of(file->inode);
    struct dir_block block;
    int err = block_init(&block, dir), more = 1;
    while (!err && more > 0 && file->offset < dir->inode.size) {
        u64 number = file->offset >> dir->image->block_bits;
        err = block_read(&block, dir, &task->fiber, number);
        if (!err)
            more = emit_block(file, &block, number, emit);
    }
    if (block.bytes)
        block_fini(&block);
    return err ? err : MIN(more, 0);
}

SLEEPS static i64 erofs_seek_dir(struct task *task, struct file *file, i64 offset, i32 whence)
{
    if (whence == SEEK_CUR && offset == 0)
        return (i64)file->offset;
    if (whence != SEEK_SET || offset < 0)
        return -EINVAL;
    file->offset = (u64)offset;
    return offset;
}

const struct file_ops erofs_dir_ops = {
    .readdir = erofs_readdir, .seek = erofs_seek_dir, .is_seekable = true};

SLEEPS static int erofs_open(struct task *task, struct inode *inode, struct file *file)
{
    if (inode_is_dir(inode))
        file->ops = &erofs_dir_ops;
    else if (inode_is_regular(inode))
        file->ops = &regular_file_ops;
    else
        return -ENXIO;
    return 0;
}

const struct inode_ops erofs_inode_ops = {.lookup = erofs_lookup,
                                          .readlink = erofs_readlink,
                                          .open = erofs_open,
                                          .getxattr = erofs_getxattr,
                                          .listxattr = erofs_listxattr};
