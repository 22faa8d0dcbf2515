/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading, writing, seeking and the rest of what is done to a description, with the rules that hold
 * for all files: access modes, shared offsets, O_APPEND, RLIMIT_FSIZE, set-id bits that a write
 * takes away.
 */
#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "abi/mount.h"
#include "sentry/fs/dentry.h"
#include "sentry/fs/fasync.h"
#include "sentry/fs/locks.h"
#include "sentry/fs/notify.h"
#include "sentry/fs/vfs.h"
#include "sentry/fs/walk.h"

/* Skips by moving the position; nothing is copied. */
void uio_skip(struct uio *uio, u64 size)
{
    ASSERT(size <= uio->remaining);
    uio->remaining -= size;
    uio->moved += size;
    while (size > 0) {
        u64 step = MIN(size, uio->segments[uio->segment].size - uio->segment_offset);
        uio->segment_offset += step;
        size -= step;
        if (size > 0) {
            uio->segment++;
            uio->segment_offset = 0;
        }
    }
}

/* ---- reading -------------------------------------------------------------------------------- */

i64 file_read(struct task *task, struct file *file, struct uio *uio, const u64 *offset)
{
    const struct file_ops *ops = file->ops;
    if (!file_may_read(file))
        return -EBADF;
    if (offset && !ops->is_seekable)
        return -ESPIPE;
    if (!ops->read)
        return inode_is_dir(file->inode) ? -EISDIR : -EINVAL;
    bool is_shared_place = !offset && ops->is_seekable;
    if (is_shared_place)
        sleep_lock(&file->offset_lock, &task->fiber);
    task->kernel->metrics.plain[METRIC_FS_READS]++;
    if (file->inode->super && file->inode->super->magic == LINUX_TMPFS_MAGIC)
        task->kernel->metrics.plain[METRIC_MEMORY_READS]++;
    i64 result = ops->read(task, file, uio, offset ? *offset : file->offset);
    if (is_shared_place) {
        if (result > 0)
            file->offset += (u64)result;
        sleep_unlock(&file->offset_lock, &task->fiber);
    }
    if (result >= 0 && !(file->flags & LINUX_O_NOATIME) && file->path.mount)
        path_accessed(&file->path, file->inode);
    if (result > 0)
        notify_dentry(file->path.dentry, NOTIFY_ACCESS);
    return result;
}

i64 file_pread_kernel(struct task *task, struct file *file, void *out, u64 size, u64 offset)
{
    if (!file->ops->read)
        return -EINVAL;
    u64 done = 0;
    while (done < size) {
        struct uio_segment segment;
        struct uio uio;
        uio_init_kernel(&uio, &task->fiber, (u8 *)out + done, size - done, &segment);
        i64 moved = file->ops->read(task, file, &uio, offset + done);
        if (moved < 0)
            return done ? (i64)done : moved;
        if (moved == 0)
            break;
        done += (u64)moved;
    }
    return (i64)done;
}

/* ---- writing -------------------------------------------------------------------------------- */

/* Set-id bits do not survive a write by somebody else (inode(7)). */
SLEEPS static int drop_set_id(struct task *task, struct inode *inode)
{
    u32 bits = inode->mode & LINUX_S_ISUID;
    if ((inode->mode & (LINUX_S_ISGID | 010)) == (LINUX_S_ISGID | 010))
        bits |= LINUX_S_ISGID;
    if (bits == 0 || inode_has_capability(task, inode, CAP_FSETID))
        return 0;
    const struct attr attr = {.mask = ATTR_MODE, .mode = inode->mode & ~bits};
    return inode_setattr(task, inode, &attr);
}

int file_size_limit(struct task *task, u64 offset, u64 *size)
{
    u64 limit = (u64)INT64_MAX;
    if (task->group)
        limit = MIN(limit, task->group->limits.v[RLIMIT_FSIZE_].soft);
    if (*size == 0 || offset < limit) {
        *size = offset < limit ? MIN(*size, limit - offset) : 0;
        return 0;
    }
    if (offset < (u64)INT64_MAX) {
        struct linux_siginfo info;
        signal_info_kernel(&info, LINUX_SIGXFSZ);
        (void)!signal_send_task(task, &info);
    }
    return -EFBIG;
}

/* A regular file, its lock held. *END: where the next write would go on. */
SLEEPS static i64 write_regular(struct task *task, struct file *file, struct uio *uio, u64 offset,
                                u64 *end)
{
    struct inode *inode = file->inode;
    if (file->flags & LINUX_O_APPEND) {
        int err = inode_getattr(task, inode);
        if (err)
            return err;
        offset = inode->size;
    }
    *end = offset;
    u64 all = uio->remaining, size = all;
    int err = file_size_limit(task, offset, &size);
    if (!err && size > 0)
        err = drop_set_id(task, inode);
    if (err)
        return err;
    uio->remaining = size;
    i64 result = size > 0 ? file->ops->write(task, file, uio, offset) : 0;
    uio->remaining += all - size;
    if (result > 0)
        *end = offset + (u64)result;
    return result;
}

SLEEPS static int sync_if_asked(struct task *task, struct file *file)
{
    if (!(file->flags & LINUX_O_DSYNC) || !file->ops->fsync)
        return 0;
    return file->ops->fsync(task, file);
}

i64 file_write(struct task *task, struct file *file, struct uio *uio, const u64 *offset)
{
    const struct file_ops *ops = file->ops;
    if (!file_may_write(file))
        return -EBADF;
    if (offset && !ops->is_seekable)
        return -ESPIPE;
    if (!ops->write)
        return -EINVAL;
    bool is_shared_place = !offset && ops->is_seekable;
    bool is_regular = ops->is_seekable && inode_is_regular(file->inode);
    if (is_shared_place)
        sleep_lock(&file->offset_lock, &task->fiber);
    u64 at = offset ? *offset : file->offset, end = at;
    i64 result;
    if (is_regular) {
        sleep_lock(&file->inode->lock, &task->fiber);
        result = write_regular(task, file, uio, at, &end);
        sleep_unlock(&file->inode->lock, &task->fiber);
    } else {
        result = ops->write(task, file, uio, at);
        end = result > 0 ? at + (u64)result : at;
    }
    if (is_shared_place) {
        if (result > 0)
            file->offset = end;
        sleep_unlock(&file->offset_lock, &task->fiber);
    }
    if (result <= 0)
        return result;
    notify_dentry(file->path.dentry, NOTIFY_MODIFY);
    int err = sync_if_asked(task, file);
    return err ? err : result;
}

i64 file_write_kernel(struct task *task, struct file *file, const void *bytes, u64 size)
{
    u64 done = 0;
    while (done < size) {
        struct uio_segment segment;
        struct uio uio;
        uio_init_kernel(&uio, &task->fiber, (u8 *)(uintptr_t)bytes + done, size - done, &segment);
        i64 moved = file_write(task, file, &uio, NULL);
        if (moved < 0)
            return done ? (i64)done : moved;
        if (moved == 0)
            break;
        done += (u64)moved;
    }
    return (i64)done;
}

/* ---- place ---------------------------------------------------------------------------------- */

MUST_CHECK SLEEPS static i64 seek_hole_or_data(struct task *task, struct inode *inode, i64 offset,
                                               bool data)
{
    if (offset < 0 || (u64)offset >= inode->size)
        return -ENXIO;
    if (inode->ops->seek)
        return inode->ops->seek(task, inode, (u64)offset, data);
    bool is_memory = inode->mapping.memory && !(inode->mapping.ops && inode->mapping.ops->fill);
    if (is_memory)
        return mapping_seek(&inode->mapping, (u64)offset, data);
    return data ? offset : (i64)inode->size;
}

SLEEPS static i64 seek_generic(struct task *task, struct file *file, i64 offset, i32 whence)
{
    struct inode *inode = file->inode;
    bool is_dir = inode_is_dir(inode);
    i64 base = 0;
    switch (whence) {
    case LINUX_SEEK_SET:
        break;
    case LINUX_SEEK_CUR:
        base = (i64)file->offset;
        break;
    case LINUX_SEEK_END:
    case LINUX_SEEK_DATA:
    case LINUX_SEEK_HOLE: {
        if (is_dir)
            return -EINVAL;
        int err = inode_getattr(task, inode);
        if (err)
            return err;
        if (whence != LINUX_SEEK_END)
            return seek_hole_or_data(task, inode, offset, whence == LINUX_SEEK_DATA);
        base = (i64)inode->size;
        break;
    }
    default:
        return -EINVAL;
    }
    i64 place;
    if (__builtin_add_overflow(base, offset, &place) || place < 0)
        return -EINVAL;
    return place;
}

i64 file_seek(struct task *task, struct file *file, i64 offset, i32 whence)
{
    const struct file_ops *ops = file->ops;
    if (!ops->is_seekable && !ops->seek)
        return -ESPIPE;
    if (whence < LINUX_SEEK_SET || whence > LINUX_SEEK_HOLE)
        return -EINVAL;
    sleep_lock(&file->offset_lock, &task->fiber);
    i64 place = ops->seek ? ops->seek(task, file, offset, whence)
                          : seek_generic(task, file, offset, whence);
    if (place >= 0)
        file->offset = (u64)place;
    sleep_unlock(&file->offset_lock, &task->fiber);
    return place;
}

int file_readdir(struct task *task, struct file *file, struct dir_emit *emit)
{
    if (!file->ops->readdir)
        return -ENOTDIR;
    if (file->path.dentry && file->path.dentry->is_unlinked)
        return -ENOENT;
    sleep_lock(&file->offset_lock, &task->fiber);
    int err = file->ops->readdir(task, file, emit);
    sleep_unlock(&file->offset_lock, &task->fiber);
    if (!err && !(file->flags & LINUX_O_NOATIME) && file->path.mount)
        path_accessed(&file->path, file->inode);
    if (!err)
        notify_dentry(file->path.dentry, NOTIFY_ACCESS);
    return err;
}

/* ---- the rest ------------------------------------------------------------------------------- */

u32 file_poll(struct file *file, struct poll_table *table)
{
    if (!file->ops->poll)
        return POLL_IN | POLL_OUT | POLL_RDNORM | POLL_WRNORM;
    return file->ops->poll(file, table);
}

i64 file_ioctl(struct task *task, struct file *file, u32 request, u64 arg)
{
    return file->ops->ioctl ? file->ops->ioctl(task, file, request, arg) : -ENOTTY;
}

int file_fsync(struct task *task, struct file *file)
{
    if (file->ops->fsync)
        return file->ops->fsync(task, file);
    return inode_is_regular(file->inode) || inode_is_dir(file->inode) ? 0 : -EINVAL;
}

int file_allocate(struct task *task, struct file *file, i32 mode, u64 offset, u64 size)
{
    struct inode *inode = file->inode;
    if (!file_may_write(file))
        return -EBADF;
    if (inode_is(inode, LINUX_S_IFIFO))
        return -ESPIPE;
    if (inode_is_dir(inode))
        return -EISDIR;
    if (!inode_is_regular(inode))
        return -ENODEV;
    u64 end;
    if (__builtin_add_overflow(offset, size, &end) || end > (u64)INT64_MAX)
        return -EFBIG;
    if (!((u32)mode & LINUX_FALLOC_KEEP_SIZE)) {
        u64 allowed = size;
        int err = file_size_limit(task, offset, &allowed);
        if (err || allowed < size)
            return -EFBIG;
    }
    if (!file->ops->allocate && !inode->ops->allocate)
        return -EOPNOTSUPP;
    sleep_lock(&inode->lock, &task->fiber);
    int err = file->ops->allocate ? file->ops->allocate(task, file, mode, offset, size)
                                  : inode->ops->allocate(task, inode, mode, offset, size);
    sleep_unlock(&inode->lock, &task->fiber);
    if (!err)
        notify_dentry(file->path.dentry, NOTIFY_MODIFY);
    return err;
}

int file_mmap(struct task *task, struct file *file, struct mapping **mapping, u64 *offset)
{
    if (file->ops->mmap)
        return file->ops->mmap(task, file, mapping, offset);
    if (!inode_is_regular(file->inode) || !file->inode->mapping.memory)
        return -ENODEV;
    *mapping = &file->inode->mapping;
    if (!(file->flags & LINUX_O_NOATIME) && file->path.mount)
        path_accessed(&file->path, file->inode);
    return 0;
}

struct mapping *file_mapping_of(struct object *object)
{
    if (object->kind != &file_kind)
        return NULL;
    return &container_of(object, struct file, object)->inode->mapping;
}

int file_set_flags(struct task *task, struct file *file, u32 flags)
{
    const u32 may = LINUX_O_APPEND | LINUX_O_NONBLOCK | LINUX_O_ASYNC | LINUX_O_DIRECT |
                    LINUX_O_NOATIME;
    u32 next = (file->flags & ~may) | (flags & may);
    u32 gained = next & ~file->flags;
    if ((gained & LINUX_O_NOATIME) && task->cred->fsuid != file->inode->uid &&
        !inode_has_capability(task, file->inode, CAP_FOWNER))
        return -EPERM;
    if (file->ops->set_flags) {
        int err = file->ops->set_flags(file, next);
        if (err)
            return err;
    }
    if ((next ^ file->flags) & LINUX_O_ASYNC) {
        fasync_stop(file);
        int err = next & LINUX_O_ASYNC ? fasync_start(file) : 0;
        if (err)
            return err;
    }
    file->flags = next;
    return 0;
}

int file_flush(struct task *task, struct file *file, struct fd_table *table)
{
    if (table)
        locks_release_table(file->inode, table);
    return file->ops->flush ? file->ops->flush(task, file) : 0;
}
