/* SPDX-License-Identifier: Apache-2.0 */
/* Files as a whole: sync(2), truncate(2), fallocate(2), advice, pipe(2), memfd_create(2). Moving is
 * in io.c and splice.c. */
#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "abi/mount.h"
#include "sentry/fs/memfd.h"
#include "sentry/syscalls/path.h"

/* An open description that is more than a place. */
static int file_arg(struct task *task, const struct sysargs *args, u32 index, struct file **out)
{
    *out = fd_get(task, arg_fd(args, index));
    return !*out || (*out)->is_path ? -EBADF : 0;
}

/* ---- sync ----------------------------------------------------------------------------------- */

SLEEPS i64 sys_fsync(struct task *task, const struct sysargs *args)
{
    AUTO_PUT struct file *file = NULL;
    int err = file_arg(task, args, 0, &file);
    return err ? err : file_fsync(task, file);
}
SLEEPS i64 sys_fdatasync(struct task *task, const struct sysargs *args)
{
    return sys_fsync(task, args);
}

/* Files whose content is on the host write through or at their close; what is in memory has nothing
 * behind it. */
SLEEPS i64 sys_sync(struct task *task, const struct sysargs *args)
{
    return 0;
}
SLEEPS i64 sys_syncfs(struct task *task, const struct sysargs *args)
{
    AUTO_PUT struct file *file = NULL;
    return file_arg(task, args, 0, &file);
}

SLEEPS i64 sys_sync_file_range(struct task *task, const struct sysargs *args)
{
    AUTO_PUT struct file *file = NULL;
    i64 offset = arg_i64(args, 1), size = arg_i64(args, 2), end;
    int err = file_arg(task, args, 0, &file);
    if (err)
        return err;
    if ((arg_u32(args, 3) & ~7u) || offset < 0 || size < 0 ||
        __builtin_add_overflow(offset, size, &end))
        return -EINVAL;
    if (!inode_is_regular(file->inode) && !inode_is_dir(file->inode) &&
        !inode_is_symlink(file->inode))
        return -ESPIPE;
    return arg_u32(args, 3) & 4u ? file_fsync(task, file) : 0;
}

/* ---- sizes ---------------------------------------------------------------------------------- */

SLEEPS i64 sys_truncate(struct task *task, const struct sysargs *args)
{
    if (arg_i64(args, 1) < 0)
        return -EINVAL;
    AUTO_PATH struct path path = {0};
    int err = user_path_walk(task, LINUX_AT_FDCWD, arg_uaddr(args, 0), WALK_FOLLOW, &path);
    return err ? err : vfs_truncate(task, &path, arg_u64(args, 1));
}

SLEEPS i64 sys_ftruncate(struct task *task, const struct sysargs *args)
{
    if (arg_i64(args, 1) < 0)
        return -EINVAL;
    AUTO_PUT struct file *file = NULL;
    int err = file_arg(task, args, 0, &file);
    if (err)
        return err;
    if (!inode_is_regular(file->inode) || !file_may_write(file))
        return -EINVAL;
    return file_truncate(task, file, arg_u64(args, 1));
}

SLEEPS i64 sys_fallocate(struct task *task, const struct sysargs *args)
{
    i64 offset = arg_i64(args, 2), size = arg_i64(args, 3), end;
    AUTO_PUT struct file *file = NULL;
    if (offset < 0 || size <= 0)
        return -EINVAL;
    int err = file_arg(task, args, 0, &file);
    if (err)
        return err;
    if (!file_may_write(file))
        return -EBADF;
    if (inode_is(file->inode, LINUX_S_IFIFO))
        return -ESPIPE;
    if (inode_is_dir(file->inode))
        return -EISDIR;
    if (!inode_is_regular(file->inode))
        return -ENODEV;
    if (__builtin_add_overflow(offset, size, &end))
        return -EFBIG;
    return file_allocate(task, file, arg_i32(args, 1), (u64)offset, (u64)size);
}

/* ---- advice: judged, without effect --------------------------------------------------------- */

SLEEPS i64 sys_fadvise64(struct task *task, const struct sysargs *args)
{
    AUTO_PUT struct file *file = NULL;
    int err = file_arg(task, args, 0, &file);
    if (err)
        return err;
    if (inode_is(file->inode, LINUX_S_IFIFO))
        return -ESPIPE;
    return arg_i64(args, 2) < 0 || arg_u32(args, 3) > 5 ? -EINVAL : 0;
}

SLEEPS i64 sys_readahead(struct task *task, const struct sysargs *args)
{
    AUTO_PUT struct file *file = NULL;
    int err = file_arg(task, args, 0, &file);
    if (err)
        return err;
    if (!file_may_read(file))
        return -EBADF;
    return inode_is_regular(file->inode) ? 0 : -EINVAL;
}

/* ---- new descriptions ----------------------------------------------------------------------- */

SLEEPS i64 sys_pipe2(struct task *task, const struct sysargs *args)
{
    u32 flags = arg_u32(args, 1);
    if (flags & ~(LINUX_O_CLOEXEC | LINUX_O_NONBLOCK | LINUX_O_DIRECT))
        return -EINVAL;
    AUTO_FD_SLOTS struct fd_slots slots = {0};
    int err = fd_slots_reserve(task, 2, 0, &slots);
    if (!err)
        err = copy_to_user(task, arg_uaddr(args, 0), slots.fds, 2 * sizeof slots.fds[0]);
    struct file *reader, *writer;
    if (!err)
        err = pipe_create(task->kernel, flags & ~LINUX_O_CLOEXEC, &reader, &writer);
    if (err)
        return err;
    fd_slots_install(&slots, 0, reader, flags);
    fd_slots_install(&slots, 1, writer, flags);
    return 0;
}
SLEEPS i64 sys_pipe(struct task *task, const struct sysargs *args)
{
    const struct sysargs all = {{args->v[0], 0}};
    return sys_pipe2(task, &all);
}

SLEEPS i64 sys_memfd_create(struct task *task, const struct sysargs *args)
{
    char name[250];
    u32 flags = arg_u32(args, 1);
    if ((flags & ~27u) || (flags & 24u) == 24u)
        return -EINVAL;
    i64 size = copy_string_from_user(task, name, arg_uaddr(args, 0), sizeof name);
    if (size < 0)
        return size == -ENAMETOOLONG ? -EINVAL : size;
    struct file *file;
    int err = memfd_create_file(task, name, flags, &file);
    return err ? err : fd_install(task, file, flags & 1u ? LINUX_O_CLOEXEC : 0);
}
