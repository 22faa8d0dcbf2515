/* SPDX-License-Identifier: Apache-2.0 */
/* Content: pages filled from and written back to the descriptors that the gofer donated; directory
 * listings. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "abi/fcntl.h"
#include "sentry/fs/gofer/call.h"

/* ---- pages ---------------------------------------------------------------------------------- */

SLEEPS static int fill_some(struct kernel *kernel, struct host_file *file, struct fiber *fiber,
                            u64 index, u64 count, u8 *const *pages)
{
    u64 *metrics = kernel->metrics.plain;
    struct host_op *op = NULL;
    struct host_op storage; /* about 1.3 KiB: HOST_IOV_MAX vectors */
    op = &storage;
    memset(op, 0, sizeof *op);
    op->type = HOST_OP_PREAD;
    op->file = file;
    op->offset = index << PAGE_SHIFT;
    for (u64 i = 0; i < count; i++) {
        struct host_iovec *last = op->iov_count ? &op->iov[op->iov_count - 1] : NULL;
        if (last && (u8 *)last->base + last->size == pages[i])
            last->size += PAGE_SIZE;
        else
            op->iov[op->iov_count++] = (struct host_iovec){pages[i], PAGE_SIZE};
    }
    u64 begin = host_monotonic_ns(kernel->host);
    i64 got = fiber_host_op(fiber, op);
    u64 waited = host_monotonic_ns(kernel->host) - begin;
    metrics[METRIC_GOFER_READS_HOST]++;
    metrics[METRIC_GOFER_READ_WAIT_HOST] += waited;
    metrics[METRIC_FS_READ_WAIT] += waited;
    if (got < 0)
        return (int)got;
    for (u64 i = 0; i < count; i++) { /* behind the end of file: zero */
        u64 start = i << PAGE_SHIFT;
        u64 have = (u64)got > start ? MIN((u64)got - start, PAGE_SIZE) : 0;
        memset(pages[i] + have, 0, PAGE_SIZE - have);
    }
    return 0;
}

SLEEPS static int gofer_fill(struct mapping *mapping, struct fiber *fiber, u64 index, u64 count,
                             u8 *const *pages)
{
    struct gofer_inode *inode = gofer_of(mapping->owner);
    struct host_file *file = inode->read_file ? inode->read_file : inode->write_file;
    int err = file ? 0 : gofer_inode_open(inode, fiber, false, false, &file);
    while (!err && count > 0) {
        u64 step = MIN(count, (u64)HOST_IOV_MAX);
        err = fill_some(inode->conn->kernel, file, fiber, index, step, pages);
        index += step;
        pages += step;
        count -= step;
    }
    return err;
}

SLEEPS static int gofer_write_back(struct mapping *mapping, struct fiber *fiber, u64 index,
                                   const u8 *page, u64 size)
{
    struct gofer_inode *inode = gofer_of(mapping->owner);
    struct host_file *file;
    int err = gofer_inode_open(inode, fiber, true, false, &file);
    while (!err && size > 0) {
        struct host_op op;
        memset(&op, 0, sizeof op);
        op.type = HOST_OP_PWRITE;
        op.file = file;
        op.offset = index << PAGE_SHIFT;
        op.iov_count = 1;
        op.iov[0] = (struct host_iovec){(void *)(uintptr_t)page, size};
        i64 put = fiber_host_op(fiber, &op);
        if (put == (i64)size)
            return 0;
        err = put < 0 ? (int)put : -EIO;
    }
    return err;
}

const struct mapping_ops gofer_mapping_ops = {.fill = gofer_fill, .write_back = gofer_write_back};

/* ---- regular files -------------------------------------------------------------------------- */

SLEEPS static i64 gofer_read(struct task *task, struct file *file, struct uio *uio, u64 offset)
{
    if (gofer_of(file->inode)->conn->is_shared && file->inode->ops->getattr) {
        int err = file->inode->ops->getattr(task, file->inode);
        if (err)
            return err;
    }
    return mapping_read(&file->inode->mapping, &task->fiber, uio, offset);
}

/* What others on the host must see soon is written through; a file of this sandbox alone waits for
 * its close. */
SLEEPS static i64 gofer_write(struct task *task, struct file *file, struct uio *uio, u64 offset)
{
    struct inode *inode = file->inode;
    i64 moved = mapping_write(&inode->mapping, &task->fiber, uio, offset);
    inode->size = inode->mapping.size;
    if (moved > 0 && gofer_of(inode)->conn->is_shared) {
        int err = mapping_sync(&inode->mapping, &task->fiber);
        if (err)
            return err;
    }
    return moved;
}

SLEEPS static int gofer_flush(struct task *task, struct file *file)
{
    return file->inode->mapping.dirty_count > 0 ? mapping_sync(&file->inode->mapping, &task->fiber)
                                                : 0;
}

SLEEPS static int gofer_fsync(struct task *task, struct file *file)
{
    struct gofer_inode *inode = gofer_of(file->inode);
    int err = mapping_sync(&file->inode->mapping, &task->fiber);
    if (err || !inode->write_file)
        return err;
    struct host_op op;
    memset(&op, 0, sizeof op);
    op.type = HOST_OP_SYNC;
    op.file = inode->write_file;
    return (int)fiber_host_op(&task->fiber, &op);
}

/* The host's file does it, when it has all that was written; pages of a hole are forgotten. Modes
 * that move content are refused. */
int gofer_allocate(struct task *task, struct inode *inode, i32 mode, u64 offset, u64 size)
{
    const u32 clears = LINUX_FALLOC_PUNCH_HOLE | LINUX_FALLOC_ZERO_RANGE;
    u32 how = (u32)mode;
    if (how & ~(clears | LINUX_FALLOC_KEEP_SIZE) || (how & clears) == clears)
        return -EOPNOTSUPP;
    if ((how & LINUX_FALLOC_PUNCH_HOLE) && !(how & LINUX_FALLOC_KEEP_SIZE))
        return -EOPNOTSUPP;
    struct host_file *file;
    int err = gofer_inode_open(gofer_of(inode), &task->fiber, true, false, &file);
    if (!err)
        err = mapping_sync(&inode->mapping, &task->fiber);
    if (err)
        return err;
    struct host_op op;
    memset(&op, 0, sizeof op);
    op.type = HOST_OP_ALLOCATE;
    op.file = file;
    op.flags = how;
    op.offset = offset;
    op.length = size;
    err = (int)fiber_host_op(&task->fiber, &op);
    if (!err && (how & clears))
        err = mapping_punch(&inode->mapping, &task->fiber, offset, size);
    if (err)
        return err;
    if (!(how & LINUX_FALLOC_KEEP_SIZE) && offset + size > inode->size)
        inode->size = inode->mapping.size = offset + size;
    inode_touch(inode, (how & clears ? ATTR_MTIME : 0) | ATTR_CTIME);
    return 0;
}

i64 gofer_seek(struct task *task, struct inode *inode, u64 offset, bool is_data)
{
    struct gofer_inode *gofer = gofer_of(inode);
    struct host_file *file = gofer->read_file ? gofer->read_file : gofer->write_file;
    int err = file ? 0 : gofer_inode_open(gofer, &task->fiber, false, false, &file);
    if (!err)
        err = mapping_sync(&inode->mapping, &task->fiber);
    if (err)
        return err;
    struct host_op op;
    memset(&op, 0, sizeof op);
    op.type = HOST_OP_SEEK;
    op.file = file;
    op.flags = is_data ? LINUX_SEEK_DATA : LINUX_SEEK_HOLE;
    op.offset = offset;
    return fiber_host_op(&task->fiber, &op);
}

const struct file_ops gofer_file_ops = {
    .read = gofer_read,
    .write = gofer_write,
    .flush = gofer_flush,
    .fsync = gofer_fsync,
    .is_seekable = true,
};

/* ---- directories ---------------------------------------------------------------------------- */

/* Offsets: 0 and 1 are "." and ".."; the gofer's cookies follow, moved up by 2. */
#define COOKIE_SHIFT 2u

SLEEPS static bool emit_dot(struct file *file, struct dir_emit *emit)
{
    if (file->offset == 0) {
        if (!emit->emit(emit, ".", 1, file->inode->ino, LINUX_DT_DIR, 1))
            return false;
        file->offset = 1;
    }
    if (file->offset == 1) {
        const struct gofer_inode *parent = gofer_of(file->inode)->parent;
        u64 ino = parent ? parent->inode.ino : file->inode->ino;
        if (!emit->emit(emit, "..", 2, ino, LINUX_DT_DIR, COOKIE_SHIFT))
            return false;
        file->offset = COOKIE_SHIFT;
    }
    return true;
}

static u8 dirent_type(u32 mode)
{
    return (u8)((mode & LINUX_S_IFMT) >> 12);
}

/* The message, and whose descriptor it needs: a directory that has none yet is listed by its name,
 * which gives it one. */
SLEEPS static int ask_for_entries(struct gofer_inode *dir, struct fiber *fiber,
                                  struct gofer_read_dir *message)
{
    bool is_first = message->cookie == 0 && dir->fid == GOFER_FID_NONE && dir->parent && dir->name;
    if (is_first)
        message->name = dir->name;
    return gofer_inode_fid(is_first ? dir->parent : dir, fiber, &message->fid);
}

static void take_hint(struct gofer_inode *dir, const struct gofer_entry *entry, bool *keeps)
{
    bool is_dir = (entry->stat.mode & LINUX_S_IFMT) == LINUX_S_IFDIR;
    if (!*keeps || (dir->is_plain && !is_dir))
        return;
    if (!is_dir)
        gofer_credit(dir->conn, -1);
    if (gofer_hints_add(dir, entry->name, &entry->stat))
        *keeps = false;
}

static void take_node(struct gofer_inode *dir, const struct gofer_node *node)
{
    if (node->fid == GOFER_FID_NONE)
        return;
    if (dir->fid == GOFER_FID_NONE)
        dir->fid = node->fid;
    else
        gofer_forget(dir->conn, node->fid); /* another fiber was here meanwhile */
}

/* One answer's entries. 1: go on, 0: all is told or the caller is full; -errno. */
SLEEPS static int read_some(struct task *task, struct file *file, struct dir_emit *emit)
{
    struct gofer_inode *dir = gofer_of(file->inode);
    struct gofer_read_dir message = {
        .size_max = 32768, .cookie = file->offset - COOKIE_SHIFT, .name = ""};
    int err = ask_for_entries(dir, &task->fiber, &message);
    if (err)
        return err;
    bool keeps_hints = !dir->conn->is_shared;
    bool is_plain = !keeps_hints || dir->conn->listing_credit == 0;
    message.flags = is_plain ? GOFER_LIST_PLAIN : 0;
    struct gofer_read_dir_reply reply;
    struct gofer_call call;
    err = gofer_do_read_dir(dir->conn, &task->fiber, &message, &reply, &call);
    bool is_full = false;
    size_t at = 0;
    struct gofer_entry entry;
    if (!err) {
        take_node(dir, &reply.node);
        dir->is_plain = is_plain;
    }
    while (!err && !is_full && gofer_entry_next(&reply, &at, &entry)) {
        take_hint(dir, &entry, &keeps_hints);
        u64 next = entry.cookie + COOKIE_SHIFT;
        is_full = !emit->emit(emit, entry.name, strlen(entry.name), entry.stat.inode,
                              dirent_type(entry.stat.mode), next);
        if (!is_full)
            file->offset = next;
    }
    /* Hints of the entries behind a full buffer cost nothing now. */
    while (!err && is_full && keeps_hints && gofer_entry_next(&reply, &at, &entry))
        take_hint(dir, &entry, &keeps_hints);
    bool is_end = !err && reply.is_end;
    if (is_end && keeps_hints && !is_plain && message.cookie == 0)
        gofer_hints_complete(dir); /* the whole directory came in one answer */
    bool is_empty = !err && reply.count == 0;
    gofer_call_fini(dir->conn, &call);
    if (err)
        return err == -ENOENT && *message.name ? -ESTALE : err;
    if (is_end && !is_full)
        file->private_words[0] = 1; /* nothing more comes */
    return !is_full && !is_end && !is_empty;
}

SLEEPS static int gofer_readdir(struct task *task, struct file *file, struct dir_emit *emit)
{
    if (file->offset < COOKIE_SHIFT)
        file->private_words[0] = 0;
    if (!emit_dot(file, emit) || file->private_words[0])
        return 0;
    int more = 1;
    while (more > 0)
        more = read_some(task, file, emit);
    return more;
}

SLEEPS static i64 gofer_seek_dir(struct task *task, struct file *file, i64 offset, i32 whence)
{
    if (whence == SEEK_CUR && offset == 0)
        return (i64)file->offset;
    if (whence != SEEK_SET || offset < 0)
        return -EINVAL;
    file->private_words[0] = 0;
    file->offset = (u64)offset;
    return offset;
}

SLEEPS static int gofer_fsync_dir(struct task *task, struct file *file)
{
    struct gofer_inode *dir = gofer_of(file->inode);
    struct gofer_sync message;
    int err = gofer_inode_fid(dir, &task->fiber, &message.fid);
    if (err)
        return err;
    struct gofer_sync_reply reply;
    struct gofer_call call;
    err = gofer_do_sync(dir->conn, &task->fiber, &message, &reply, &call);
    gofer_call_fini(dir->conn, &call);
    return err;
}

const struct file_ops gofer_dir_ops = {
    .readdir = gofer_readdir,
    .seek = gofer_seek_dir,
    .fsync = gofer_fsync_dir,
    .is_seekable = true,
};
