/* SPDX-License-Identifier: Apache-2.0 */
/* inotify_init(2), inotify_add_watch(2), inotify_rm_watch(2). */
#include "sentry/fs/inotify.h"

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "sentry/syscalls/path.h"

SLEEPS static i64 do_init(struct task *task, u32 flags)
{
    if (flags & ~(LINUX_O_CLOEXEC | LINUX_O_NONBLOCK))
        return -EINVAL;
    struct file *file;
    int err = inotify_create_file(task->kernel, flags, &file);
    return err ? err : fd_install(task, file, flags);
}

SLEEPS i64 sys_inotify_init(struct task *task, const struct sysargs *args)
{
    return do_init(task, 0);
}

SLEEPS i64 sys_inotify_init1(struct task *task, const struct sysargs *args)
{
    return do_init(task, arg_u32(args, 0));
}

SLEEPS i64 sys_inotify_add_watch(struct task *task, const struct sysargs *args)
{
    const u32 both = INOTIFY_MASK_ADD | INOTIFY_MASK_CREATE;
    u32 mask = arg_u32(args, 2);
    if (!(mask & INOTIFY_ALL_EVENTS) || (mask & both) == both)
        return -EINVAL;
    AUTO_PUT struct file *file = fd_get_open(task, arg_fd(args, 0));
    if (!file)
        return -EBADF;
    if (file->ops != &inotify_ops)
        return -EINVAL;
    u32 walk_flags = mask & INOTIFY_DONT_FOLLOW ? 0 : WALK_FOLLOW;
    if (mask & INOTIFY_ONLYDIR)
        walk_flags |= WALK_DIRECTORY;
    AUTO_PATH struct path path = {0};
    int err = user_path_walk(task, LINUX_AT_FDCWD, arg_uaddr(args, 1), walk_flags, &path);
    if (!err)
        err = vfs_permission(task, &path, 4);
    return err ? err : inotify_add(task, file, &path, mask);
}

SLEEPS i64 sys_inotify_rm_watch(struct task *task, const struct sysargs *args)
{
    AUTO_PUT struct file *file = fd_get_open(task, arg_fd(args, 0));
    return file ? inotify_remove(file, arg_i32(args, 1)) : -EBADF;
}
