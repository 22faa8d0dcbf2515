/* SPDX-License-Identifier: Apache-2.0 */
/* Moving bytes: read(2), write(2), pread(2), readv(2), preadv2(2) and their writing halves;
 * lseek(2). */
#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "sentry/fs/file.h"
#include "sentry/syscalls/syscalls.h"

#define RW_SIZE_MAX ((u64)0x7ffff000) /* MAX_RW_COUNT */
#define ACCESS_END \
    0x7ffffffff000u /* what Linux calls a possible address; what is not there fails later */
#define SEGMENTS_ON_STACK 8u
#define RWF_HIPRI 1u
#define RWF_DSYNC 2u
#define RWF_SYNC 4u
#define RWF_NOWAIT 8u
#define RWF_APPEND 16u

struct transfer {
    bool is_write;
    bool has_offset;
    u64 offset;
    u32 rwf;
};

/* A description that may do it: 0, -EBADF, -ESPIPE for an offset where there is none. */
static int transfer_file(struct task *task, i32 fd, const struct transfer *transfer,
                         struct file **out)
{
    *out = fd_get(task, fd);
    if (!*out || !(transfer->is_write ? file_may_write(*out) : file_may_read(*out)))
        return -EBADF;
    if (transfer->has_offset && !(*out)->ops->is_seekable)
        return -ESPIPE;
    return 0;
}

SLEEPS static i64 move(struct task *task, struct file *file, struct uio *uio,
                       const struct transfer *transfer)
{
    const u64 *offset = transfer->has_offset ? &transfer->offset : NULL;
    i64 moved = transfer->is_write ? file_write(task, file, uio, offset)
                                   : file_read(task, file, uio, offset);
    if (moved > 0 && transfer->is_write && (transfer->rwf & (RWF_DSYNC | RWF_SYNC))) {
        int err = file_fsync(task, file);
        return err ? err : moved;
    }
    return moved;
}

/* A transfer may not end behind the last offset there is. */
static bool offset_is_over(u64 offset, u64 size)
{
    return offset + size > (u64)INT64_MAX;
}

SLEEPS static i64 move_plain(struct task *task, const struct sysargs *args,
                             const struct transfer *transfer)
{
    if (transfer->has_offset && (i64)transfer->offset < 0)
        return -EINVAL;
    AUTO_PUT struct file *file = NULL;
    int err = transfer_file(task, arg_fd(args, 0), transfer, &file);
    if (err)
        return err;
    u64 size = arg_u64(args, 2), end;
    if (__builtin_add_overflow(args->v[1], size, &end) || end > ACCESS_END)
        return -EFAULT;
    if (transfer->has_offset && offset_is_over(transfer->offset, MIN(size, RW_SIZE_MAX)))
        return -EINVAL;
    struct uio_segment segment = {args->v[1], MIN(size, RW_SIZE_MAX)};
    struct uio uio;
    uio_init_user(&uio, task->mm, &task->fiber, &segment, 1);
    return move(task, file, &uio, transfer);
}

SLEEPS i64 sys_read(struct task *task, const struct sysargs *args)
{
    return move_plain(task, args, &(struct transfer){0});
}
SLEEPS i64 sys_write(struct task *task, const struct sysargs *args)
{
    return move_plain(task, args, &(struct transfer){.is_write = true});
}
SLEEPS i64 sys_pread64(struct task *task, const struct sysargs *args)
{
    return move_plain(task, args, &(struct transfer){.has_offset = true, .offset = args->v[3]});
}
SLEEPS i64 sys_pwrite64(struct task *task, const struct sysargs *args)
{
    return move_plain(
        task, args, &(struct transfer){.is_write = true, .has_offset = true, .offset = args->v[3]});
}

/* ---- vectors -------------------------------------------------------------------------------- */

/* Sizes judged: none negative, the sum cut to what one call may move. 0 or -EINVAL, -EFAULT. */
static int judge_segments(struct uio_segment *segments, u32 count)
{
    u64 total = 0;
    for (u32 i = 0; i < count; i++) {
        u64 end;
        if ((i64)segments[i].size < 0)
            return -EINVAL;
        if (segments[i].size &&
            (__builtin_add_overflow(segments[i].base, segments[i].size, &end) || end > ACCESS_END))
            return -EFAULT;
        segments[i].size = MIN(segments[i].size, RW_SIZE_MAX - total);
        total += segments[i].size;
    }
    return 0;
}

SLEEPS static i64 move_vector(struct task *task, const struct sysargs *args,
                              const struct transfer *transfer)
{
    if (transfer->has_offset && (i64)transfer->offset < 0)
        return -EINVAL;
    AUTO_PUT struct file *file = NULL;
    int err = transfer_file(task, arg_fd(args, 0), transfer, &file);
    if (err)
        return err;
    u64 count = arg_u64(args, 2);
    if (count > UIO_SEGMENTS_MAX)
        return -EINVAL;
    struct uio_segment few[SEGMENTS_ON_STACK], *segments = few;
    struct arena *arena = task->kernel->arena;
    if (count > SEGMENTS_ON_STACK)
        segments = arena_alloc(arena, count * sizeof *segments);
    if (!segments)
        return -ENOMEM;
    i64 result = count
                     ? copy_from_user(task, segments, arg_uaddr(args, 1), count * sizeof *segments)
                     : 0;
    if (!result)
        result = judge_segments(segments, (u32)count);
    if (!result) {
        struct uio uio;
        uio_init_user(&uio, task->mm, &task->fiber, segments, (u32)count);
        bool is_over = transfer->has_offset && offset_is_over(transfer->offset, uio.remaining);
        result = is_over ? -EINVAL : move(task, file, &uio, transfer);
    }
    if (segments != few)
        arena_free(arena, segments, count * sizeof *segments);
    return result;
}

SLEEPS i64 sys_readv(struct task *task, const struct sysargs *args)
{
    return move_vector(task, args, &(struct transfer){0});
}
SLEEPS i64 sys_writev(struct task *task, const struct sysargs *args)
{
    return move_vector(task, args, &(struct transfer){.is_write = true});
}
SLEEPS i64 sys_preadv(struct task *task, const struct sysargs *args)
{
    return move_vector(task, args, &(struct transfer){.has_offset = true, .offset = args->v[3]});
}
SLEEPS i64 sys_pwritev(struct task *task, const struct sysargs *args)
{
    return move_vector(
        task, args, &(struct transfer){.is_write = true, .has_offset = true, .offset = args->v[3]});
}

/* preadv2(2): offset -1 means the description's own. RWF_APPEND and RWF_NOWAIT are not promised by
 * any file here. */
SLEEPS static i64 move_vector2(struct task *task, const struct sysargs *args, bool is_write)
{
    u32 rwf = arg_u32(args, 5);
    if (rwf & ~(RWF_HIPRI | RWF_DSYNC | RWF_SYNC))
        return -EOPNOTSUPP;
    const struct transfer transfer = {.is_write = is_write,
                                      .has_offset = (i64)args->v[3] != -1,
                                      .offset = args->v[3],
                                      .rwf = rwf};
    return move_vector(task, args, &transfer);
}

SLEEPS i64 sys_preadv2(struct task *task, const struct sysargs *args)
{
    return move_vector2(task, args, false);
}
SLEEPS i64 sys_pwritev2(struct task *task, const struct sysargs *args)
{
    return move_vector2(task, args, true);
}

SLEEPS i64 sys_lseek(struct task *task, const struct sysargs *args)
{
    AUTO_PUT struct file *file = fd_get(task, arg_fd(args, 0));
    if (!file || file->is_path)
        return -EBADF;
    i32 whence = arg_i32(args, 2);
    if (whence < LINUX_SEEK_SET || whence > LINUX_SEEK_HOLE)
        return -EINVAL;
    return file_seek(task, file, arg_i64(args, 1), whence);
}
