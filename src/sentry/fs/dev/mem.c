/* SPDX-License-Identifier: Apache-2.0 */
/* mem(4)'s harmless ones: null, zero, full, random and urandom. Random bytes are the kernel's
 * entropy. */
#include "abi/errno.h"
#include "abi/fcntl.h"
#include "sentry/fs/dev/dev.h"
#include "sentry/kernel/kernel.h"

#define ZERO_PIECE ((u64)256 << 10)
#define RANDOM_PIECE 256u
#define RANDOM_READ_MAX ((u64)32 << 20)

SLEEPS static i64 null_read(struct task *task, struct file *file, struct uio *uio, u64 offset)
{
    return 0;
}

/* Bytes are not looked at: not even a bad address is noticed (as Linux's /dev/null). */
SLEEPS static i64 null_write(struct task *task, struct file *file, struct uio *uio, u64 offset)
{
    u64 size = uio->remaining;
    uio_skip(uio, size);
    return (i64)size;
}

SLEEPS static i64 zero_read(struct task *task, struct file *file, struct uio *uio, u64 offset)
{
    u64 done = 0;
    while (uio->remaining > 0) {
        u64 size = MIN(uio->remaining, ZERO_PIECE);
        i64 moved = uio_put_zeros(uio, size);
        if (moved < 0)
            return done ? (i64)done : moved;
        done += (u64)moved;
        if ((u64)moved < size || task_is_interrupted(task))
            break;
        fiber_relax(&task->fiber);
    }
    return (i64)done;
}

SLEEPS static i64 full_write(struct task *task, struct file *file, struct uio *uio, u64 offset)
{
    return -ENOSPC;
}

SLEEPS static i64 random_read(struct task *task, struct file *file, struct uio *uio, u64 offset)
{
    u64 done = 0;
    while (uio->remaining > 0 && done < RANDOM_READ_MAX) {
        u8 bytes[RANDOM_PIECE];
        u64 size = MIN(uio->remaining, sizeof bytes);
        kernel_entropy(task->kernel, bytes, size);
        i64 moved = uio_put(uio, bytes, size);
        if (moved < 0)
            return done ? (i64)done : moved;
        done += (u64)moved;
        if ((u64)moved < size)
            break;
        fiber_relax(&task->fiber);
    }
    return (i64)done;
}

/* Bytes that are written would stir the pool; here they are only read. */
SLEEPS static i64 random_write(struct task *task, struct file *file, struct uio *uio, u64 offset)
{
    u64 done = 0;
    while (uio->remaining > 0) {
        u8 bytes[RANDOM_PIECE];
        u64 size = MIN(uio->remaining, sizeof bytes);
        i64 moved = uio_take(uio, bytes, size);
        if (moved < 0)
            return done ? (i64)done : moved;
        done += (u64)moved;
        if ((u64)moved < size)
            break;
    }
    return (i64)done;
}

SLEEPS static i64 mem_seek(struct task *task, struct file *file, i64 offset, i32 whence)
{
    if (whence == LINUX_SEEK_SET || whence == LINUX_SEEK_CUR || whence == LINUX_SEEK_END)
        return 0;
    return -EINVAL;
}

SLEEPS static i64 random_ioctl(struct task *task, struct file *file, u32 request, u64 arg)
{
    const u32 get_entropy_count = 0x80045200u;
    if (request != get_entropy_count)
        return -EINVAL;
    const i32 bits = 256;
    return copy_to_user(task, uaddr_make(arg), &bits, sizeof bits);
}

/* Shared and private maps of /dev/zero are anonymous memory: mmap(2) is told so by the file's NULL
 * mapping. */
SLEEPS static int zero_mmap(struct task *task, struct file *file, struct mapping **mapping,
                            u64 *offset)
{
    *mapping = NULL;
    return 0;
}

const struct file_ops mem_null_ops = {
    .read = null_read, .write = null_write, .seek = mem_seek, .is_seekable = true};
const struct file_ops mem_zero_ops = {.read = zero_read,
                                      .write = null_write,
                                      .seek = mem_seek,
                                      .mmap = zero_mmap,
                                      .is_seekable = true};
const struct file_ops mem_full_ops = {
    .read = zero_read, .write = full_write, .seek = mem_seek, .is_seekable = true};
const struct file_ops mem_random_ops = {.read = random_read,
                                        .write = random_write,
                                        .seek = mem_seek,
                                        .ioctl = random_ioctl,
                                        .is_seekable = true};

int mem_open(struct task *task, struct inode *inode, struct file *file)
{
    switch (linux_minor(inode->rdev)) {
    case 3:
        file->ops = &mem_null_ops;
        return 0;
    case 5:
        file->ops = &mem_zero_ops;
        return 0;
    case 7:
        file->ops = &mem_full_ops;
        return 0;
    case 8:
    case 9:
        file->ops = &mem_random_ops;
        return 0;
    default:
        return -ENXIO;
    }
}
