/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io_setup(2), io_submit(2), io_getevents(2), io_destroy(2), io_cancel(2). An operation runs to its
 * end in its submitter, so a context only holds what is complete; io_cancel never finds one to
 * cancel.
 */
#include "sentry/fs/aio.h"

#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "sentry/fs/poll.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/syscalls/timespec.h"

struct linux_iocb {
    u64 data;
    u32 key, rw_flags;
    u16 opcode;
    i16 priority;
    u32 fd;
    u64 buffer, size;
    i64 offset;
    u64 reserved;
    u32 flags, event_fd;
};
_Static_assert(sizeof(struct linux_iocb) == 64, "iocb");

enum { IO_PREAD, IO_PWRITE, IO_FSYNC, IO_FDSYNC, IO_NOOP = 6, IO_PREADV, IO_PWRITEV };
#define IO_FLAG_EVENT_FD 1u

/* ---- contexts ------------------------------------------------------------------------------ */

/* The description that ID, an address, stands for: a reference, or NULL. */
static struct file *context_file(struct task *task, u64 id)
{
    const struct vma *vma = mm_find_vma(task->mm, id);
    if (!vma || vma->start != id || !vma->file || vma->file->kind != &file_kind)
        return NULL;
    struct file *file = container_of(vma->file, struct file, object);
    return aio_of(file) ? REF_GET(file) : NULL;
}

#define AIO_RING_MAX 0x10000000u /* bytes of a ring */
#define AIO_EVENT_SIZE 32u

SLEEPS i64 sys_io_setup(struct task *task, const struct sysargs *args)
{
    u32 count = arg_u32(args, 0);
    u64 id;
    int err = copy_from_user(task, &id, arg_uaddr(args, 1), sizeof id);
    if (err)
        return err;
    if (id != 0 || count == 0 || count > AIO_RING_MAX / AIO_EVENT_SIZE)
        return -EINVAL;
    if (count > AIO_EVENTS_MAX)
        return -EAGAIN;
    AUTO_PUT struct file *file = NULL;
    err = aio_create_file(task, count, &file);
    if (err)
        return err;
    const struct mm_map_request request = {.size = PAGE_SIZE,
                                           .prot = LINUX_PROT_READ | LINUX_PROT_WRITE,
                                           .vma_flags = VMA_SHARED | VMA_MAY_WRITE | VMA_DONTFORK,
                                           .file = &file->object,
                                           .mapping = &file->inode->mapping};
    i64 at = mm_map(task->mm, &task->fiber, &request);
    if (at < 0)
        return at;
    id = (u64)at;
    err = copy_to_user(task, arg_uaddr(args, 1), &id, sizeof id);
    if (err)
        (void)!mm_unmap(task->mm, &task->fiber, id, PAGE_SIZE);
    return err;
}

SLEEPS i64 sys_io_destroy(struct task *task, const struct sysargs *args)
{
    AUTO_PUT struct file *file = context_file(task, arg_u64(args, 0));
    if (!file)
        return -EINVAL;
    aio_kill(aio_of(file));
    return mm_unmap(task->mm, &task->fiber, arg_u64(args, 0), PAGE_SIZE);
}

SLEEPS i64 sys_io_cancel(struct task *task, const struct sysargs *args)
{
    AUTO_PUT struct file *file = context_file(task, arg_u64(args, 0));
    u32 key;
    if (copy_from_user(task, &key, uaddr_add(arg_uaddr(args, 1), 8), sizeof key))
        return -EFAULT;
    return -EINVAL;
}

/* ---- operations ---------------------------------------------------------------------------- */

/* What io_submit(2) refuses itself; all else is the operation's result. */
static int judge_block(const struct linux_iocb *block)
{
    if (block->reserved || (i64)block->size < 0 || (block->flags & ~3u))
        return -EINVAL;
    return 0;
}

static int judge_file(const struct linux_iocb *block, const struct file *file)
{
    bool is_write = block->opcode == IO_PWRITE || block->opcode == IO_PWRITEV;
    switch (block->opcode) {
    case IO_PREAD:
    case IO_PWRITE:
    case IO_PREADV:
    case IO_PWRITEV:
        if (!(is_write ? file_may_write(file) : file_may_read(file)))
            return -EBADF;
        return block->offset < 0 && file->ops->is_seekable ? -EINVAL : 0;
    case IO_FSYNC:
    case IO_FDSYNC:
    case IO_NOOP:
        return 0;
    default:
        return -EINVAL;
    }
}

SLEEPS static i64 move(struct task *task, struct file *file, const struct linux_iocb *block,
                       struct uio_segment *segments, u32 count)
{
    struct uio uio;
    u64 total = 0, offset = (u64)block->offset;
    for (u32 i = 0; i < count; i++)
        if ((i64)segments[i].size < 0 || __builtin_add_overflow(total, segments[i].size, &total) ||
            (i64)total < 0)
            return -EINVAL;
    uio_init_user(&uio, task->mm, &task->fiber, segments, count);
    const u64 *at = file->ops->is_seekable ? &offset : NULL;
    bool is_write = block->opcode == IO_PWRITE || block->opcode == IO_PWRITEV;
    return is_write ? file_write(task, file, &uio, at) : file_read(task, file, &uio, at);
}

SLEEPS static i64 move_vector(struct task *task, struct file *file, const struct linux_iocb *block)
{
    struct arena *arena = task->kernel->arena;
    u64 count = block->size;
    if (count > UIO_SEGMENTS_MAX)
        return -EINVAL;
    struct uio_segment *segments = arena_alloc(arena, count * sizeof *segments);
    if (!segments)
        return -ENOMEM;
    i64 result = copy_from_user(task, segments, uaddr_make(block->buffer),
                                count * sizeof *segments);
    if (!result)
        result = move(task, file, block, segments, (u32)count);
    arena_free(arena, segments, count * sizeof *segments);
    return result;
}

SLEEPS static i64 operate(struct task *task, struct file *file, const struct linux_iocb *block)
{
    struct uio_segment one = {block->buffer, block->size};
    switch (block->opcode) {
    case IO_PREAD:
    case IO_PWRITE:
        return move(task, file, block, &one, 1);
    case IO_PREADV:
    case IO_PWRITEV:
        return move_vector(task, file, block);
    case IO_NOOP:
        return 0;
    default:
        return file_fsync(task, file);
    }
}

SLEEPS static int submit_one(struct task *task, struct aio *aio, u64 at)
{
    struct linux_iocb block;
    int err = copy_from_user(task, &block, uaddr_make(at), sizeof block);
    if (!err)
        err = judge_block(&block);
    if (err)
        return err;
    AUTO_PUT struct file *file = fd_get(task, (i32)block.fd);
    if (!file || file->is_path)
        return -EBADF;
    AUTO_PUT struct file *notify = NULL;
    if (block.flags & IO_FLAG_EVENT_FD) {
        notify = fd_get(task, (i32)block.event_fd);
        if (!notify || notify->ops != &eventfd_ops)
            return notify ? -EINVAL : -EBADF;
    }
    err = judge_file(&block, file);
    if (!err)
        err = aio_begin(aio);
    if (err)
        return err;
    i64 result = operate(task, file, &block);
    if (result == -ERESTARTSYS) {
        result = -EINTR; /* the call as a whole is not made again */
        task->progress.bytes = 0;
    }
    const struct linux_io_event event = {.data = block.data, .object = at, .result = result};
    aio_complete(aio, &event);
    const u64 one = 1;
    if (notify)
        (void)!file_write_kernel(task, notify, &one, sizeof one);
    return 0;
}

SLEEPS i64 sys_io_submit(struct task *task, const struct sysargs *args)
{
    i64 count = arg_i64(args, 1);
    if (count < 0)
        return -EINVAL;
    AUTO_PUT struct file *file = context_file(task, arg_u64(args, 0));
    if (!file)
        return -EINVAL;
    for (i64 i = 0; i < count; i++) {
        u64 at;
        int err = copy_from_user(task, &at, uaddr_add(arg_uaddr(args, 2), (u64)i * 8), sizeof at);
        if (!err)
            err = submit_one(task, aio_of(file), at);
        if (err)
            return i > 0 ? i : err;
        fiber_relax(&task->fiber);
    }
    return count;
}

/* ---- completions --------------------------------------------------------------------------- */

SLEEPS static int deadline_arg(struct task *task, uaddr at, u64 *deadline_ns)
{
    u64 ns;
    int err = timespec_from_user(task, at, &ns);
    if (!err)
        *deadline_ns = task_deadline(task, ns);
    return err;
}

SLEEPS i64 sys_io_getevents(struct task *task, const struct sysargs *args)
{
    i64 min = arg_i64(args, 1), max = arg_i64(args, 2), done = 0;
    u64 deadline_ns;
    int err = deadline_arg(task, arg_uaddr(args, 4), &deadline_ns);
    if (err)
        return err;
    AUTO_PUT struct file *file = context_file(task, arg_u64(args, 0));
    if (!file || min < 0 || max < min)
        return -EINVAL;
    struct aio *aio = aio_of(file);
    err = aio_wait(task, aio, MIN((u64)min, (u64)aio->events_max), deadline_ns);
    if (err && err != -ETIMEDOUT)
        return err;
    struct linux_io_event event;
    for (; done < max && aio_take(aio, &event); done++) {
        uaddr to = uaddr_add(arg_uaddr(args, 3), (u64)done * sizeof event);
        if (copy_to_user(task, to, &event, sizeof event))
            return done > 0 ? done : -EFAULT;
    }
    return done;
}
