/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes from description to description: sendfile(2), copy_file_range(2), splice(2), tee(2),
 * vmsplice(2). */
#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "sentry/fs/file.h"
#include "sentry/fs/pipe.h"
#include "sentry/fs/vfs.h"
#include "sentry/syscalls/syscalls.h"

#define STEP_SIZE 16384u
#define SPLICE_NONBLOCK 2u
#define SPLICE_FLAGS 15u
#define MOVE_MAX ((u64)0x7ffff000)

/* Where to read and write: a position of the caller's or the description's own. */
struct place {
    struct file *file;
    u64 offset;
    bool has_offset;
};

SLEEPS static i64 place_read(struct task *task, struct place *place, void *bytes, u64 size)
{
    struct uio_segment segment;
    struct uio uio;
    uio_init_kernel(&uio, &task->fiber, bytes, size, &segment);
    i64 got = file_read(task, place->file, &uio, place->has_offset ? &place->offset : NULL);
    if (got > 0 && place->has_offset)
        place->offset += (u64)got;
    return got;
}

SLEEPS static i64 place_write(struct task *task, struct place *place, const void *bytes, u64 size)
{
    struct uio_segment segment;
    struct uio uio;
    uio_init_kernel(&uio, &task->fiber, (void *)(uintptr_t)bytes, size, &segment);
    i64 put = file_write(task, place->file, &uio, place->has_offset ? &place->offset : NULL);
    if (put > 0 && place->has_offset)
        place->offset += (u64)put;
    return put;
}

/* Give back what was read and could not be written. */
SLEEPS static void place_unread(struct task *task, struct place *place, u64 size)
{
    if (place->has_offset)
        place->offset -= size;
    else if (place->file->ops->is_seekable)
        (void)!file_seek(task, place->file, -(i64)size, LINUX_SEEK_CUR);
}

/* From a seekable IN: bytes moved, or -errno when none was. Blocks only where OUT does. */
SLEEPS static i64 copy_places(struct task *task, struct place *in, struct place *out, u64 size)
{
    struct arena *arena = task->kernel->arena;
    u8 *bytes = arena_alloc(arena, STEP_SIZE);
    if (!bytes)
        return -ENOMEM;
    u64 moved = 0;
    i64 result = 0;
    while (moved < size) {
        i64 got = place_read(task, in, bytes, MIN(size - moved, (u64)STEP_SIZE));
        if (got <= 0) {
            result = got;
            break;
        }
        i64 put = place_write(task, out, bytes, (u64)got);
        if (put < got)
            place_unread(task, in, (u64)(got - MAX(put, 0)));
        if (put < 0) {
            result = put;
            break;
        }
        moved += (u64)put;
        if (put < got)
            break;
    }
    arena_free(arena, bytes, STEP_SIZE);
    return moved > 0 ? (i64)moved : result;
}

/* An offset the program points to: taken, and told again afterwards. */
SLEEPS static int offset_in(struct task *task, uaddr at, struct place *place)
{
    i64 offset;
    if (at.value == 0)
        return 0;
    int err = copy_from_user(task, &offset, at, sizeof offset);
    if (err)
        return err;
    if (!place->file->ops->is_seekable)
        return -ESPIPE;
    if (offset < 0)
        return -EINVAL;
    place->has_offset = true;
    place->offset = (u64)offset;
    return 0;
}

SLEEPS static i64 offset_out(struct task *task, uaddr at, const struct place *place, i64 result)
{
    if (result < 0 || at.value == 0)
        return result;
    return copy_to_user(task, at, &place->offset, sizeof place->offset) ? -EFAULT : result;
}

/* ---- sendfile, copy_file_range -------------------------------------------------------------- */

SLEEPS i64 sys_sendfile(struct task *task, const struct sysargs *args)
{
    AUTO_PUT struct file *out_file = fd_get(task, arg_fd(args, 0));
    AUTO_PUT struct file *in_file = fd_get(task, arg_fd(args, 1));
    if (!in_file || !file_may_read(in_file) || !out_file || !file_may_write(out_file))
        return -EBADF;
    struct place in = {.file = in_file}, out = {.file = out_file};
    int err = offset_in(task, arg_uaddr(args, 2), &in);
    if (err)
        return err;
    if ((!in_file->ops->is_seekable && !pipe_of(in_file)) || inode_is_dir(in_file->inode) ||
        (out_file->flags & LINUX_O_APPEND))
        return -EINVAL;
    i64 moved = copy_places(task, &in, &out, MIN(arg_u64(args, 3), MOVE_MAX));
    return offset_out(task, arg_uaddr(args, 2), &in, moved);
}

SLEEPS i64 sys_copy_file_range(struct task *task, const struct sysargs *args)
{
    AUTO_PUT struct file *in_file = fd_get(task, arg_fd(args, 0));
    AUTO_PUT struct file *out_file = fd_get(task, arg_fd(args, 2));
    if (!in_file || !out_file || !file_may_read(in_file) || !file_may_write(out_file) ||
        (out_file->flags & LINUX_O_APPEND))
        return -EBADF;
    if (inode_is_dir(in_file->inode) || inode_is_dir(out_file->inode))
        return -EISDIR;
    if (arg_u32(args, 5) || !inode_is_regular(in_file->inode) || !inode_is_regular(out_file->inode))
        return -EINVAL;
    struct place in = {.file = in_file}, out = {.file = out_file};
    int err = offset_in(task, arg_uaddr(args, 1), &in);
    if (!err)
        err = offset_in(task, arg_uaddr(args, 3), &out);
    if (err)
        return err;
    u64 size = MIN(arg_u64(args, 4), MOVE_MAX);
    u64 from = in.has_offset ? in.offset : in_file->offset,
        to = out.has_offset ? out.offset : out_file->offset;
    if (in_file->inode == out_file->inode && from < to + size && to < from + size)
        return -EINVAL;
    i64 moved = copy_places(task, &in, &out, size);
    moved = offset_out(task, arg_uaddr(args, 1), &in, moved);
    return offset_out(task, arg_uaddr(args, 3), &out, moved);
}

/* ---- splice, tee ---------------------------------------------------------------------------- */

/* From PIPE to OUT: what is there, at most SIZE. */
SLEEPS static i64 splice_out(struct task *task, struct file *pipe_file, struct place *out, u64 size,
                             bool may_block)
{
    struct pipe *pipe = pipe_of(pipe_file);
    bool is_end;
    int err = pipe_wait_data(task, pipe, may_block && !(pipe_file->flags & LINUX_O_NONBLOCK),
                             &is_end);
    if (err || is_end)
        return err;
    struct place in = {.file = pipe_file};
    return copy_places(task, &in, out, MIN(size, MAX(pipe_bytes(pipe), (u64)1)));
}

/* From IN to PIPE: one step that fits what is free, so that nothing read is lost. */
SLEEPS static i64 splice_in(struct task *task, struct place *in, struct file *pipe_file, u64 size,
                            bool may_block)
{
    struct pipe *pipe = pipe_of(pipe_file);
    int err = pipe_wait_room(task, pipe, may_block && !(pipe_file->flags & LINUX_O_NONBLOCK));
    if (err)
        return err;
    struct place out = {.file = pipe_file};
    return copy_places(task, in, &out, MIN(size, (u64)STEP_SIZE));
}

SLEEPS i64 sys_splice(struct task *task, const struct sysargs *args)
{
    u32 flags = arg_u32(args, 5);
    u64 size = MIN(arg_u64(args, 4), MOVE_MAX);
    if (size == 0)
        return 0;
    if (flags & ~SPLICE_FLAGS)
        return -EINVAL;
    AUTO_PUT struct file *in_file = fd_get(task, arg_fd(args, 0));
    AUTO_PUT struct file *out_file = fd_get(task, arg_fd(args, 2));
    if (!in_file || !out_file || !file_may_read(in_file) || !file_may_write(out_file))
        return -EBADF;
    bool from_pipe = pipe_of(in_file), to_pipe = pipe_of(out_file),
         may_block = !(flags & SPLICE_NONBLOCK);
    if ((from_pipe && arg_u64(args, 1)) || (to_pipe && arg_u64(args, 3)))
        return -ESPIPE;
    if ((!from_pipe && !to_pipe) || (from_pipe && to_pipe && pipe_of(in_file) == pipe_of(out_file)))
        return -EINVAL;
    struct place in = {.file = in_file}, out = {.file = out_file};
    int err = offset_in(task, arg_uaddr(args, 1), &in);
    if (!err)
        err = offset_in(task, arg_uaddr(args, 3), &out);
    if (!err && !to_pipe && (out_file->flags & LINUX_O_APPEND))
        err = -EINVAL;
    if (err)
        return err;
    i64 moved = from_pipe ? splice_out(task, in_file, &out, size, may_block)
                          : splice_in(task, &in, out_file, size, may_block);
    moved = offset_out(task, arg_uaddr(args, 1), &in, moved);
    return offset_out(task, arg_uaddr(args, 3), &out, moved);
}

SLEEPS i64 sys_tee(struct task *task, const struct sysargs *args)
{
    u64 size = arg_u64(args, 2), moved = 0;
    u32 flags = arg_u32(args, 3);
    if (flags & ~SPLICE_FLAGS)
        return -EINVAL;
    if (size == 0)
        return 0;
    AUTO_PUT struct file *in_file = fd_get(task, arg_fd(args, 0));
    AUTO_PUT struct file *out_file = fd_get(task, arg_fd(args, 1));
    if (!in_file || !out_file || !file_may_read(in_file) || !file_may_write(out_file))
        return -EBADF;
    struct pipe *in = pipe_of(in_file), *out = pipe_of(out_file);
    if (!in || !out || in == out)
        return -EINVAL;
    bool may_block = !(flags & SPLICE_NONBLOCK), is_end;
    int err = pipe_wait_data(task, in, may_block && !(in_file->flags & LINUX_O_NONBLOCK), &is_end);
    if (err || is_end)
        return err;
    err = pipe_wait_room(task, out, may_block && !(out_file->flags & LINUX_O_NONBLOCK));
    while (!err && moved < size && pipe_has_room(out)) {
        const u8 *bytes;
        u64 step = MIN(pipe_peek(in, moved, &bytes), MIN(size - moved, PAGE_SIZE));
        if (step == 0)
            break;
        err = pipe_append(out, bytes, step);
        if (!err)
            moved += step;
    }
    return moved > 0 ? (i64)moved : err;
}

/* vmsplice(2): copied; a page of the program is never lent to a pipe. */
SLEEPS i64 sys_vmsplice(struct task *task, const struct sysargs *args)
{
    AUTO_PUT struct file *file = fd_get(task, arg_fd(args, 0));
    u64 count = arg_u64(args, 2);
    if (arg_u32(args, 3) & ~SPLICE_FLAGS)
        return -EINVAL;
    if (!file || !pipe_of(file))
        return -EBADF;
    if (count > 64)
        return count > UIO_SEGMENTS_MAX ? -EINVAL : -ENOMEM;
    struct uio_segment segments[64];
    int err = count ? copy_from_user(task, segments, arg_uaddr(args, 1), count * sizeof segments[0])
                    : 0;
    if (err)
        return err;
    struct uio uio;
    uio_init_user(&uio, task->mm, &task->fiber, segments, (u32)count);
    return file_may_write(file) ? file_write(task, file, &uio, NULL)
                                : file_read(task, file, &uio, NULL);
}
