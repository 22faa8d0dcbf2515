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
        if (put == -ERESTARTSYS && moved > 0) {
            /* A pipe took a part and was interrupted: that counts as moved, and the call is over.
             */
            put = (i64)task->progress.bytes;
            task->progress.bytes = 0;
        }
        if (put < got)
            place_unread(task, in, (u64)(got - MAX(put, 0)));
        if (put < 0) {
            result = put;
            break;
        }
        moved += (u64)put;
        if (put < got || task_is_interrupted(task))
            break;
        fiber_relax(&task->fiber);
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
    if (!in_file->ops->is_seekable || inode_is_dir(in_file->inode) ||
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
    u64 size = arg_u64(args, 4);
    u64 from = in.has_offset ? in.offset : in_file->offset,
        to = out.has_offset ? out.offset : out_file->offset;
    if (size > UINT64_MAX - MAX(from, to))
        return -EOVERFLOW;
    size = MIN(size, MOVE_MAX);
    if (in_file->inode == out_file->inode && from < to + size && to < from + size)
        return -EINVAL;
    i64 moved = copy_places(task, &in, &out, size);
    moved = offset_out(task, arg_uaddr(args, 1), &in, moved);
    return offset_out(task, arg_uaddr(args, 3), &out, moved);
}

/* ---- splice, tee ------------------------------------------------------------------------ */

/*
 * What is read from a pipe cannot be put back, so bytes leave it only when they have arrived. Its
 * lock is held meanwhile, as Linux holds it.
 */
SLEEPS static i64 pipe_to_place(struct task *task, struct pipe *in, struct place *out, u64 size)
{
    struct arena *arena = task->kernel->arena;
    u8 *bytes = arena_alloc(arena, STEP_SIZE);
    if (!bytes)
        return -ENOMEM;
    u64 moved = 0;
    i64 put = 0;
    pipe_lock(task, in);
    while (moved < size) {
        const u8 *slot;
        u64 step = 0;
        u64 most = MIN(size - moved, (u64)STEP_SIZE);
        for (u64 part; step < most && (part = pipe_peek(in, step, &slot)) > 0; step += part) {
            part = MIN(part, most - step);
            memcpy(bytes + step, slot, part);
        }
        put = step > 0 ? place_write(task, out, bytes, step) : 0;
        if (put == -ERESTARTSYS) { /* a part may have arrived */
            put = (i64)task->progress.bytes;
            task->progress.bytes = 0;
            if (put == 0 && moved == 0)
                put = -ERESTARTSYS;
        }
        if (put <= 0)
            break;
        pipe_consume(in, (u64)put);
        moved += (u64)put;
        if ((u64)put < step)
            break;
    }
    pipe_unlock(task, in);
    arena_free(arena, bytes, STEP_SIZE);
    return moved > 0 ? (i64)moved : put;
}

/* Copies of slots, at most SIZE bytes and as many as there is room for; nothing here sleeps. */
static i64 pipe_to_pipe(struct pipe *in, struct pipe *out, u64 size)
{
    u64 moved = 0;
    int err = 0;
    while (moved < size && pipe_has_room(out)) {
        const u8 *bytes;
        u64 step = MIN(pipe_peek(in, moved, &bytes), MIN(size - moved, PAGE_SIZE));
        if (step == 0)
            break;
        err = pipe_append(out, bytes, step);
        if (err)
            break;
        moved += step;
    }
    return moved > 0 ? (i64)moved : err;
}

/* Data in IN and room in OUT at the same time: 0, 1 for no more data ever, or -errno. */
SLEEPS static int wait_for_both(struct task *task, struct file *in, struct file *out,
                                bool may_block)
{
    for (;;) {
        bool is_end;
        int err = pipe_wait_data(task, pipe_of(in), may_block && !(in->flags & LINUX_O_NONBLOCK),
                                 &is_end);
        if (err || is_end)
            return err ? err : 1;
        err = pipe_wait_room(task, pipe_of(out), may_block && !(out->flags & LINUX_O_NONBLOCK));
        if (err || pipe_bytes(pipe_of(in)) > 0)
            return err;
    }
}

/* Both locks, always in the same order. */
SLEEPS static void lock_pipes(struct task *task, struct file *in, struct file *out)
{
    bool is_in_first = in->private_object->id < out->private_object->id;
    pipe_lock(task, pipe_of(is_in_first ? in : out));
    pipe_lock(task, pipe_of(is_in_first ? out : in));
}

/* Move (IS_COPY: copy) what is there into what is free, once there is something of both. */
SLEEPS static i64 splice_pipes(struct task *task, struct file *in, struct file *out, u64 size,
                               bool may_block, bool is_copy)
{
    i64 moved = 0;
    while (moved == 0) {
        int err = wait_for_both(task, in, out, may_block);
        if (err)
            return err > 0 ? 0 : err;
        lock_pipes(task, in, out);
        moved = pipe_to_pipe(pipe_of(in), pipe_of(out), size);
        if (moved > 0 && !is_copy)
            pipe_consume(pipe_of(in), (u64)moved);
        pipe_unlock(task, pipe_of(in));
        pipe_unlock(task, pipe_of(out));
    }
    return moved;
}

/* From a pipe to OUT: what is there, at most SIZE. */
SLEEPS static i64 splice_out(struct task *task, struct file *pipe_file, struct place *out, u64 size,
                             bool may_block)
{
    if (pipe_of(out->file))
        return splice_pipes(task, pipe_file, out->file, size, may_block, false);
    bool is_end;
    struct pipe *pipe = pipe_of(pipe_file);
    int err = pipe_wait_data(task, pipe, may_block && !(pipe_file->flags & LINUX_O_NONBLOCK),
                             &is_end);
    return err || is_end ? err : pipe_to_place(task, pipe, out, size);
}

/* One step from IN into the free pages of a pipe, whose lock is held. */
SLEEPS static i64 place_to_pipe(struct task *task, struct place *in, struct pipe *pipe, u64 size)
{
    struct arena *arena = task->kernel->arena;
    u8 *bytes = arena_alloc(arena, STEP_SIZE);
    if (!bytes)
        return -ENOMEM;
    i64 got = place_read(task, in, bytes, MIN(size, MIN(pipe_room(pipe), (u64)STEP_SIZE)));
    i64 done = MIN(got, 0);
    while (done >= 0 && done < got) {
        u64 step = MIN((u64)(got - done), PAGE_SIZE);
        if (pipe_append(pipe, bytes + done, step))
            break;
        done += (i64)step;
    }
    if (got > 0 && done < got)
        place_unread(task, in, (u64)(got - done));
    arena_free(arena, bytes, STEP_SIZE);
    return got > 0 && done == 0 ? -ENOMEM : done;
}

SLEEPS static i64 splice_in(struct task *task, struct place *in, struct file *pipe_file, u64 size,
                            bool may_block)
{
    struct pipe *pipe = pipe_of(pipe_file);
    for (;;) {
        int err = pipe_wait_room(task, pipe, may_block && !(pipe_file->flags & LINUX_O_NONBLOCK));
        if (err)
            return err;
        pipe_lock(task, pipe);
        bool has_room = pipe_has_room(pipe);
        i64 moved = has_room ? place_to_pipe(task, in, pipe, size) : 0;
        pipe_unlock(task, pipe);
        if (has_room)
            return moved;
    }
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
    u64 size = arg_u64(args, 2);
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
    return splice_pipes(task, in_file, out_file, size, !(flags & SPLICE_NONBLOCK), true);
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
