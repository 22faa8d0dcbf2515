/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image as a whole: its superblock, inodes by number, and where a file's bytes lie. Format: the
 * Linux kernel's documentation (filesystems/erofs). Surprising: an inode's number is its place, in
 * units of 32 bytes.
 */
#include "sentry/fs/erofs/erofs.h"

#include <errno.h>
#include <string.h>

#include "abi/mount.h"
#include "base/fields.h"
#include "base/state.h"
#include "sentry/fs/dentry.h"
#include "sentry/kernel/task.h"
#include "sentry/memory/mm.h"

#define SUPER_PLACE 1024u
#define NID_BITS 5u
#define COMPACT_SIZE 32u
#define EXTENDED_SIZE 64u
#define COMPAT_CHECKSUM 1u
#define INCOMPAT_ZERO_PADDING 1u /* says something of compressed files, of which there are none */
#define INCOMPAT_CHUNKS 4u
#define CHUNK_BITS 0x1fu
#define CHUNK_INDEXES 0x20u
#define CHUNK_KNOWN (CHUNK_BITS | CHUNK_INDEXES)
#define NO_BLOCK UINT32_MAX
#define XATTR_HEADER 12u
#define SYMLINK_MAX 4095u

struct disk_super {
    u32 magic, checksum, compat;
    u8 block_bits, ext_slots;
    u16 root_nid;
    u64 inodes, build_time;
    u32 build_time_nsec, blocks, meta_block, xattr_block;
    u8 uuid[16], name[16];
    u32 incompat;
    u16 compression, extra_devices, device_slot;
    u8 dir_bits, rest[37];
};
_Static_assert(sizeof(struct disk_super) == 128, "the superblock has 128 bytes");

struct disk_inode {
    u16 format, xattr_count, mode, link_count;
    u32 size;
    u32 reserved;
    u32 raw, ino;
    u16 uid, gid;
    u32 reserved2;
};
_Static_assert(sizeof(struct disk_inode) == COMPACT_SIZE, "a compact inode has 32 bytes");

struct disk_inode_extended {
    u16 format, xattr_count, mode, reserved;
    u64 size;
    u32 raw, ino, uid, gid;
    u64 mtime;
    u32 mtime_nsec, link_count;
    u8 reserved2[16];
};
_Static_assert(sizeof(struct disk_inode_extended) == EXTENDED_SIZE, "an extended one 64");

/* ---- the image ------------------------------------------------------------------------------ */

static const struct field erofs_fields[] = {
    FIELD_NONE(struct erofs, object, "the walker's own header"),
    FIELD_NONE(struct erofs, kernel, "the kernel that loads it"),
    FIELD_NONE(struct erofs, file, "a descriptor does not outlive its sandbox"),
    FIELD_REF(struct erofs, copy, struct shared_memory),
    FIELD(struct erofs, size),
    FIELD(struct erofs, block_bits),
    FIELD(struct erofs, blocks),
    FIELD(struct erofs, meta_block),
    FIELD(struct erofs, xattr_block),
    FIELD(struct erofs, root_nid),
    FIELD(struct erofs, build_time_ns),
    FIELD_END,
};
FIELDS_COMPLETE(struct erofs, erofs_fields);

static void erofs_destroy(struct object *object)
{
    struct erofs *image = container_of(object, struct erofs, object);
    host_file_put(image->file);
    REF_CLEAR(image->copy);
}

static int erofs_loaded(struct object *object, struct state_reader *reader)
{
    struct erofs *image = container_of(object, struct erofs, object);
    image->kernel = state_reader_kernel(reader);
    return image->copy && image->copy->mapping.size != image->size ? -EINVAL : 0;
}

const struct kind erofs_kind = {.name = "erofs",
                                .size = sizeof(struct erofs),
                                .fields = erofs_fields,
                                .destroy = erofs_destroy,
                                .loaded = erofs_loaded};

/* SIZE bytes at PLACE, which lie inside, from the copy. */
SLEEPS static int read_copy(struct erofs *image, struct fiber *fiber, u64 place, u8 *out, u64 size)
{
    struct memory *memory = image->kernel->memory;
    AUTO_PUT struct shared_memory *copy = REF_GET(image->copy);
    while (size > 0) {
        frame page;
        u64 at = place % PAGE_SIZE;
        u64 part = MIN(size, PAGE_SIZE - at);
        int err = mapping_get_page(&copy->mapping, fiber, place / PAGE_SIZE, 0, false, &page);
        if (err)
            return err;
        memcpy(out, frame_bytes(memory, page) + at, part);
        frame_put(memory, page);
        out += part;
        place += part;
        size -= part;
    }
    return 0;
}

int erofs_read(struct erofs *image, struct fiber *fiber, u64 place, void *out, u64 size)
{
    u64 end;
    if (__builtin_add_overflow(place, size, &end) || end > image->size)
        return -EUCLEAN;
    if (!image->file && image->copy)
        return read_copy(image, fiber, place, out, size);
    while (size > 0) {
        struct host_op op;
        if (!image->file)
            return -EIO;
        memset(&op, 0, sizeof op);
        op.type = HOST_OP_PREAD;
        op.file = image->file;
        op.offset = place;
        op.iov_count = 1;
        op.iov[0] = (struct host_iovec){out, size};
        i64 got = fiber_host_op(fiber, &op);
        if (got <= 0)
            return got < 0 ? (int)got : -EIO;
        out = (u8 *)out + got;
        place += (u64)got;
        size -= (u64)got;
    }
    return 0;
}

/* CRC-32C without the last inversion, bit by bit: one block at a mount. */
static u32 crc32c(u32 crc, const u8 *bytes, u64 size)
{
    for (u64 i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (u32 bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return crc;
}

SLEEPS static int check_sum(struct erofs *image, struct fiber *fiber, u32 want)
{
    u64 size = erofs_block_size(image);
    size = size > SUPER_PLACE ? size - SUPER_PLACE : size;
    u8 *block = arena_alloc(image->object.arena, size);
    if (!block)
        return -ENOMEM;
    int err = erofs_read(image, fiber, SUPER_PLACE, block, size);
    if (!err) {
        memset(block + offsetof(struct disk_super, checksum), 0, sizeof(u32));
        err = crc32c(UINT32_MAX, block, size) == want ? 0 : -EUCLEAN;
    }
    arena_free(image->object.arena, block, size);
    return err;
}

SLEEPS static int read_super(struct erofs *image, struct fiber *fiber)
{
    struct disk_super super;
    if (image->size < SUPER_PLACE + sizeof super)
        return -EINVAL;
    int err = erofs_read(image, fiber, SUPER_PLACE, &super, sizeof super);
    if (err)
        return err;
    if (super.magic != EROFS_MAGIC)
        return -EINVAL;
    if (super.incompat & ~(INCOMPAT_ZERO_PADDING | INCOMPAT_CHUNKS) || super.extra_devices)
        return -EOPNOTSUPP;
    if (super.block_bits < 9 || super.block_bits > 16 || super.dir_bits)
        return -EUCLEAN;
    image->block_bits = super.block_bits;
    image->blocks = super.blocks;
    image->meta_block = super.meta_block;
    image->xattr_block = super.xattr_block;
    image->root_nid = super.root_nid;
    image->build_time_ns = super.build_time * NS_PER_S + super.build_time_nsec;
    if ((u64)super.blocks << super.block_bits > image->size || super.meta_block >= super.blocks)
        return -EUCLEAN;
    return super.compat & COMPAT_CHECKSUM ? check_sum(image, fiber, super.checksum) : 0;
}

/* ---- inodes --------------------------------------------------------------------------------- */

struct inode_facts {
    u32 format, xattr_count, mode, link_count, raw, uid, gid;
    u64 size, time_ns;
};

SLEEPS static int read_facts(struct erofs *image, struct fiber *fiber, u64 place,
                             struct inode_facts *out)
{
    struct disk_inode compact;
    struct disk_inode_extended extended;
    int err = erofs_read(image, fiber, place, &compact, sizeof compact);
    if (err)
        return err;
    *out = (struct inode_facts){.format = compact.format,
                                .xattr_count = compact.xattr_count,
                                .mode = compact.mode,
                                .link_count = compact.link_count,
                                .raw = compact.raw,
                                .uid = compact.uid,
                                .gid = compact.gid,
                                .size = compact.size,
                                .time_ns = image->build_time_ns};
    if (!(compact.format & 1))
        return 0;
    err = erofs_read(image, fiber, place, &extended, sizeof extended);
    if (err)
        return err;
    out->size = extended.size;
    out->raw = extended.raw;
    out->uid = extended.uid;
    out->gid = extended.gid;
    out->link_count = extended.link_count;
    out->time_ns = extended.mtime * NS_PER_S + extended.mtime_nsec;
    return 0;
}

static bool type_is_known(u32 mode)
{
    static const u32 types[] = {LINUX_S_IFREG, LINUX_S_IFDIR, LINUX_S_IFLNK, LINUX_S_IFCHR,
                                LINUX_S_IFBLK, LINUX_S_IFIFO, LINUX_S_IFSOCK};
    for (size_t i = 0; i < ARRAY_COUNT(types); i++)
        if ((mode & LINUX_S_IFMT) == types[i])
            return true;
    return false;
}

/* Do the bytes of the file lie in the image, as far as the inode alone tells? */
static bool facts_are_right(const struct erofs *image, const struct inode_facts *facts)
{
    u32 layout = facts->format >> 1 & 7, type = facts->mode & LINUX_S_IFMT;
    bool has_data = type == LINUX_S_IFREG || type == LINUX_S_IFDIR || type == LINUX_S_IFLNK;
    if (!type_is_known(facts->mode) || facts->size > (u64)INT64_MAX || facts->format >> 4)
        return false;
    if (!has_data)
        return true;
    if (type == LINUX_S_IFLNK && (facts->size == 0 || facts->size > SYMLINK_MAX))
        return false;
    if (layout == EROFS_CHUNKS)
        return type == LINUX_S_IFREG && !(facts->raw & ~CHUNK_KNOWN) &&
               image->block_bits + (facts->raw & CHUNK_BITS) < 48;
    if (layout != EROFS_PLAIN && layout != EROFS_INLINE)
        return false;
    u64 whole = facts->size >> image->block_bits;
    return whole == 0 || (facts->size <= image->size && facts->raw < image->blocks &&
                          whole <= image->blocks - facts->raw);
}

static void fill_inode(struct erofs_inode *inode, const struct inode_facts *facts, u64 place)
{
    struct inode *base = &inode->inode;
    u32 type = facts->mode & LINUX_S_IFMT;
    inode->layout = facts->format >> 1 & 7;
    inode->raw = facts->raw;
    inode->xattr_place = place + (facts->format & 1 ? EXTENDED_SIZE : COMPACT_SIZE);
    inode->xattr_size = facts->xattr_count ? XATTR_HEADER + 4 * (facts->xattr_count - 1) : 0;
    base->ino = inode->nid;
    base->link_count = facts->link_count;
    base->size = facts->size;
    base->block_size = (u32)erofs_block_size(inode->image);
    base->blocks = (facts->size + 511) / 512;
    base->atime_ns = base->mtime_ns = base->ctime_ns = base->btime_ns = (i64)facts->time_ns;
    if (type == LINUX_S_IFCHR || type == LINUX_S_IFBLK) {
        base->rdev = facts->raw;
        base->size = 0;
    }
    if (type == LINUX_S_IFREG) {
        mapping_init(&base->mapping, base->super->kernel->memory, FRAME_CACHE, &erofs_mapping_ops,
                     base);
        base->mapping.size = facts->size;
    }
}

/* A file with several names is one inode. */
static struct inode *find_linked(struct super *super, u64 nid)
{
    struct inode *inode;
    list_for_each (inode, &super->inodes, super_link)
        if (inode->ino == nid && erofs_of(inode)->nid == nid)
            return inode;
    return NULL;
}

int erofs_inode_get(struct super *super, struct fiber *fiber, u64 nid, struct inode **out)
{
    struct erofs *image = container_of(super->private_object, struct erofs, object);
    struct inode_facts facts;
    u64 place = (u64)image->meta_block << image->block_bits;
    if (nid > image->size >> NID_BITS)
        return -EUCLEAN;
    place += nid << NID_BITS;
    int err = read_facts(image, fiber, place, &facts);
    if (err)
        return err;
    if (!facts_are_right(image, &facts))
        return -EUCLEAN;
    struct inode *known = facts.link_count > 1 ? find_linked(super, nid) : NULL;
    if (known) {
        *out = REF_GET(known);
        return 0;
    }
    struct erofs_inode *inode = object_create(super->object.arena, &erofs_inode_kind);
    if (!inode)
        return -ENOMEM;
    inode_init(&inode->inode, super, &erofs_inode_ops, facts.mode, facts.uid, facts.gid);
    inode->image = REF_GET(image);
    inode->nid = nid;
    fill_inode(inode, &facts, place);
    *out = &inode->inode;
    return 0;
}

/* ---- where bytes lie ------------------------------------------------------------------------ */

SLEEPS static int map_chunk(struct erofs_inode *inode, struct fiber *fiber, u64 offset, u64 *place,
                            u64 *size)
{
    struct erofs *image = inode->image;
    u32 bits = image->block_bits + (inode->raw & CHUNK_BITS);
    u64 unit = inode->raw & CHUNK_INDEXES ? 8 : 4, chunk = offset >> bits;
    u64 inside = offset & (((u64)1 << bits) - 1);
    u64 table = ALIGN_UP(inode->xattr_place + inode->xattr_size, unit), at;
    u32 words[2];
    if (__builtin_mul_overflow(chunk, unit, &at) || __builtin_add_overflow(at, table, &at))
        return -EUCLEAN;
    int err = erofs_read(image, fiber, at, words, unit);
    if (err)
        return err;
    u32 block = unit == 8 ? words[1] : words[0];
    if (unit == 8 && words[0] >> 16) /* another device */
        return -EUCLEAN;
    *size = MIN(((u64)1 << bits) - inside, inode->inode.size - offset);
    *place = block == NO_BLOCK ? 0 : ((u64)block << image->block_bits) + inside;
    return block != NO_BLOCK && block >= image->blocks ? -EUCLEAN : 0;
}

int erofs_map(struct erofs_inode *inode, struct fiber *fiber, u64 offset, u64 *place, u64 *size)
{
    struct erofs *image = inode->image;
    ASSERT(offset < inode->inode.size);
    if (inode->layout == EROFS_CHUNKS)
        return map_chunk(inode, fiber, offset, place, size);
    u64 inline_from = inode->inode.size;
    if (inode->layout == EROFS_INLINE) /* the last block, even a full one, lies behind the inode */
        inline_from = ALIGN_DOWN(inode->inode.size - 1, erofs_block_size(image));
    if (offset >= inline_from) {
        *place = inode->xattr_place + inode->xattr_size + (offset - inline_from);
        *size = inode->inode.size - offset;
        return 0;
    }
    *place = ((u64)inode->raw << image->block_bits) + offset;
    *size = inline_from - offset;
    return 0;
}

/* ---- mounting ------------------------------------------------------------------------------- */

SLEEPS static int erofs_statfs(struct task *task, struct super *super, struct linux_statfs *out)
{
    const struct erofs *image = container_of(super->private_object, struct erofs, object);
    *out = (struct linux_statfs){.type = EROFS_MAGIC,
                                 .bsize = (i64)erofs_block_size(image),
                                 .frsize = (i64)erofs_block_size(image),
                                 .blocks = image->blocks,
                                 .namelen = 255};
    return 0;
}

const struct super_ops erofs_super_ops = {.statfs = erofs_statfs};

SLEEPS static int file_size(struct fiber *fiber, struct host_file *file, u64 *size)
{
    struct host_op op;
    memset(&op, 0, sizeof op);
    op.type = HOST_OP_STAT;
    op.file = file;
    int err = (int)fiber_host_op(fiber, &op);
    if (!err && (op.stat.mode & LINUX_S_IFMT) != LINUX_S_IFREG)
        err = -EINVAL;
    *size = op.stat.size;
    return err;
}

SLEEPS int erofs_create(struct task *task, struct host_file *file, struct super **out)
{
    struct kernel *kernel = task->kernel;
    AUTO_PUT struct erofs *image = object_create(kernel->arena, &erofs_kind);
    if (!image) {
        host_file_put(file);
        return -ENOMEM;
    }
    image->kernel = kernel;
    image->file = file;
    int err = file_size(&task->fiber, file, &image->size);
    if (!err)
        err = read_super(image, &task->fiber);
    if (err)
        return err;
    AUTO_PUT struct super *super = NULL;
    err = super_create(kernel, "erofs", EROFS_MAGIC, LINUX_MS_RDONLY, &super);
    if (err)
        return err;
    super->ops = &erofs_super_ops;
    super->private_object = &REF_GET(image)->object;
    struct inode *root;
    err = erofs_inode_get(super, &task->fiber, image->root_nid, &root);
    if (err)
        return err;
    err = inode_is_dir(root) ? dentry_create_root(super, root, &super->root) : -EUCLEAN;
    object_put(&root->object);
    if (err)
        return err;
    *out = MOVE(super);
    return 0;
}

int erofs_reconnect(struct task *task, struct super *super, struct host_file *file)
{
    struct erofs *image = container_of(super->private_object, struct erofs, object);
    AUTO_PUT struct erofs *other = object_create(task->kernel->arena, &erofs_kind);
    if (!other) {
        host_file_put(file);
        return -ENOMEM;
    }
    other->kernel = task->kernel;
    other->file = file;
    int err = file_size(&task->fiber, file, &other->size);
    if (!err)
        err = read_super(other, &task->fiber);
    if (!err && (other->size != image->size || other->block_bits != image->block_bits ||
                 other->blocks != image->blocks || other->meta_block != image->meta_block ||
                 other->xattr_block != image->xattr_block || other->root_nid != image->root_nid ||
                 other->build_time_ns != image->build_time_ns))
        err = -ESTALE;
    if (err)
        return err;
    host_file_put(image->file);
    image->file = MOVE(other->file);
    REF_CLEAR(image->copy);
    return 0;
}

/* ---- the bytes in memory ---------------------------------------------------------------------- */

SLEEPS static int copy_pages(struct erofs *image, struct fiber *fiber, struct mapping *to)
{
    struct memory *memory = image->kernel->memory;
    for (u64 place = 0; place < image->size; place += PAGE_SIZE) {
        frame page;
        int err = mapping_get_page(to, fiber, place / PAGE_SIZE, 0, true, &page);
        if (err)
            return err;
        err = erofs_read(image, fiber, place, frame_bytes(memory, page),
                         MIN(PAGE_SIZE, image->size - place));
        frame_put(memory, page);
        if (err)
            return err;
    }
    return 0;
}

int erofs_copy(struct task *task, struct super *super)
{
    struct erofs *image = container_of(super->private_object, struct erofs, object);
    if (image->copy)
        return 0;
    AUTO_PUT struct erofs *held = REF_GET(image);
    AUTO_PUT struct shared_memory *copy = NULL;
    int err = shared_memory_create(task->kernel->memory, FRAME_TMPFS, image->size, &copy);
    if (!err)
        err = copy_pages(image, &task->fiber, &copy->mapping);
    if (!err)
        image->copy = MOVE(copy);
    return err;
}

void erofs_forget_copy(struct super *super)
{
    struct erofs *image = container_of(super->private_object, struct erofs, object);
    if (image->file)
        REF_CLEAR(image->copy);
}

bool erofs_is_there(const struct super *super)
{
    const struct erofs *image = container_of(super->private_object, struct erofs, object);
    return image->file || image->copy;
}
