/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes: some stand behind the inode, others, shared by many files, are named there
 * by their place in a pool. A name is a number for its prefix and the rest.
 */
#include <errno.h>
#include <string.h>

#include "sentry/fs/erofs/erofs.h"
#include "sentry/kernel/task.h"

#define HEADER_SIZE 12u
#define ENTRY_SIZE 4u
#define TEXT_MAX 280u
#define VALUE_MAX 65536u

static const char *const prefixes[] = {
    NULL, "user.",    "system.posix_acl_access", "system.posix_acl_default", "trusted.",
    NULL, "security."};

struct xattr_walk {
    struct erofs_inode *inode;
    struct fiber *fiber;
    u64 at, end; /* entries behind the inode */
    u32 shared, shared_count;
    /* the present one */
    char name[TEXT_MAX];
    u64 value_place;
    u32 value_size;
};

SLEEPS static int walk_begin(struct xattr_walk *walk, struct erofs_inode *inode,
                             struct fiber *fiber)
{
    u8 header[HEADER_SIZE];
    *walk = (struct xattr_walk){.inode = inode, .fiber = fiber};
    if (inode->xattr_size == 0)
        return 0;
    int err = erofs_read(inode->image, fiber, inode->xattr_place, header, sizeof header);
    if (err)
        return err;
    walk->shared_count = header[4];
    walk->at = inode->xattr_place + HEADER_SIZE + walk->shared_count * sizeof(u32);
    walk->end = inode->xattr_place + inode->xattr_size;
    return walk->at > walk->end ? -EUCLEAN : 0;
}

/* The entry at PLACE; *SIZE is what it takes. -ENODATA: a name of a kind that is not known. */
SLEEPS static int read_entry(struct xattr_walk *walk, u64 place, u64 *size)
{
    u8 entry[ENTRY_SIZE];
    struct erofs *image = walk->inode->image;
    int err = erofs_read(image, walk->fiber, place, entry, sizeof entry);
    if (err)
        return err;
    u32 name_size = entry[0], index = entry[1];
    const char *prefix = index < ARRAY_COUNT(prefixes) ? prefixes[index] : NULL;
    walk->value_size = (u32)entry[2] | (u32)entry[3] << 8;
    walk->value_place = place + ENTRY_SIZE + name_size;
    *size = ALIGN_UP((u64)ENTRY_SIZE + name_size + walk->value_size, (u64)4);
    if (!prefix)
        return -ENODATA;
    size_t length = strlen(prefix);
    memcpy(walk->name, prefix, length);
    walk->name[length + name_size] = 0;
    err = erofs_read(image, walk->fiber, place + ENTRY_SIZE, walk->name + length, name_size);
    return err ? err : strlen(walk->name) == length + name_size ? 0 : -EUCLEAN;
}

/* 1: there is one, 0: no more, or an error. */
SLEEPS static int walk_next(struct xattr_walk *walk)
{
    struct erofs *image = walk->inode->image;
    u64 size;
    int err;
    while (walk->shared < walk->shared_count) {
        u32 id;
        u64 place = walk->inode->xattr_place + HEADER_SIZE + walk->shared++ * sizeof id;
        err = erofs_read(image, walk->fiber, place, &id, sizeof id);
        if (err)
            return err;
        place = ((u64)image->xattr_block << image->block_bits) + (u64)id * 4;
        err = read_entry(walk, place, &size);
        if (err != -ENODATA)
            return err ? err : 1;
    }
    while (walk->at + ENTRY_SIZE <= walk->end) {
        err = read_entry(walk, walk->at, &size);
        if (err && err != -ENODATA)
            return err;
        if (size > walk->end - walk->at)
            return -EUCLEAN;
        walk->at += size;
        if (!err)
            return 1;
    }
    return 0;
}

i64 erofs_getxattr(struct task *task, struct inode *base, const char *name, void *out, size_t size)
{
    struct xattr_walk walk;
    int err = walk_begin(&walk, erofs_of(base), &task->fiber);
    while (!err && (err = walk_next(&walk)) > 0) {
        err = 0;
        if (strcmp(walk.name, name) != 0)
            continue;
        if (size == 0)
            return walk.value_size;
        if (size < walk.value_size)
            return -ERANGE;
        err = erofs_read(walk.inode->image, walk.fiber, walk.value_place, out, walk.value_size);
        return err ? err : (i64)walk.value_size;
    }
    return err ? err : -ENODATA;
}

i64 erofs_listxattr(struct task *task, struct inode *base, char *out, size_t size)
{
    struct xattr_walk walk;
    size_t used = 0;
    int err = walk_begin(&walk, erofs_of(base), &task->fiber);
    while (!err && (err = walk_next(&walk)) > 0) {
        size_t length = strlen(walk.name) + 1;
        err = 0;
        if (size > 0 && length > size - used)
            return -ERANGE;
        if (size > 0)
            memcpy(out + used, walk.name, length);
        used += length;
    }
    return err ? err : (i64)used;
}
