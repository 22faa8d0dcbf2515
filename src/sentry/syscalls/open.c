/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors come, go and are copied: open(2), openat2(2), close(2), close_range(2), dup(2). */
#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "sentry/syscalls/path.h"

#define OPEN_FLAGS                                                                       \
    (LINUX_O_ACCMODE | LINUX_O_CREAT | LINUX_O_EXCL | LINUX_O_NOCTTY | LINUX_O_TRUNC |   \
     LINUX_O_APPEND | LINUX_O_NONBLOCK | LINUX_O_SYNC | LINUX_O_ASYNC | LINUX_O_DIRECT | \
     LINUX_O_LARGEFILE | LINUX_O_DIRECTORY | LINUX_O_NOFOLLOW | LINUX_O_NOATIME |        \
     LINUX_O_CLOEXEC | LINUX_O_PATH | LINUX_O_TMPFILE_BIT)

SLEEPS static i64 do_open(struct task *task, i32 dirfd, uaddr at, u32 flags, u32 mode,
                          u32 walk_flags)
{
    flags &= OPEN_FLAGS;
    if (!(flags & (LINUX_O_CREAT | LINUX_O_TMPFILE_BIT)))
        mode = 0;
    AUTO_USER_PATH struct user_path path = {0};
    int err = user_path_get(task, dirfd, at, false, &path);
    AUTO_FD_SLOTS struct fd_slots slots = {0};
    if (!err)
        err = fd_slots_reserve(task, 1, 0, &slots);
    struct file *file;
    if (!err)
        err = vfs_open(task, path.start, path.text, flags, mode & 07777u, walk_flags, &file);
    if (err)
        return err;
    i32 fd = slots.fds[0];
    fd_slots_install(&slots, 0, file, flags);
    return fd;
}

SLEEPS i64 sys_open(struct task *task, const struct sysargs *args)
{
    return do_open(task, LINUX_AT_FDCWD, arg_uaddr(args, 0), arg_u32(args, 1), arg_u32(args, 2), 0);
}
SLEEPS i64 sys_openat(struct task *task, const struct sysargs *args)
{
    return do_open(task, arg_fd(args, 0), arg_uaddr(args, 1), arg_u32(args, 2), arg_u32(args, 3),
                   0);
}
SLEEPS i64 sys_creat(struct task *task, const struct sysargs *args)
{
    return do_open(task, LINUX_AT_FDCWD, arg_uaddr(args, 0),
                   LINUX_O_CREAT | LINUX_O_WRONLY | LINUX_O_TRUNC, arg_u32(args, 1), 0);
}

struct linux_open_how {
    u64 flags, mode, resolve;
};

static int resolve_flags(u64 resolve, u32 *walk_flags)
{
    static const u32 bits[][2] = {{LINUX_RESOLVE_NO_XDEV, WALK_NO_XDEV},
                                  {LINUX_RESOLVE_NO_MAGICLINKS, WALK_NO_MAGICLINKS},
                                  {LINUX_RESOLVE_NO_SYMLINKS, WALK_NO_SYMLINKS},
                                  {LINUX_RESOLVE_BENEATH, WALK_BENEATH},
                                  {LINUX_RESOLVE_IN_ROOT, WALK_IN_ROOT}};
    *walk_flags = 0;
    for (size_t i = 0; i < ARRAY_COUNT(bits); i++) {
        if (resolve & bits[i][0])
            *walk_flags |= bits[i][1];
        resolve &= ~(u64)bits[i][0];
    }
    bool both = (*walk_flags & WALK_BENEATH) && (*walk_flags & WALK_IN_ROOT);
    if (resolve == LINUX_RESOLVE_CACHED)
        return -EAGAIN;
    return resolve || both ? -EINVAL : 0;
}

SLEEPS i64 sys_openat2(struct task *task, const struct sysargs *args)
{
    struct linux_open_how how = {0};
    u64 size = arg_u64(args, 3);
    if (size < sizeof how)
        return -EINVAL;
    if (size > PAGE_SIZE)
        return -E2BIG;
    int err = copy_from_user(task, &how, arg_uaddr(args, 2), sizeof how);
    for (u64 i = sizeof how; i < size && !err; i++) {
        u8 byte;
        err = copy_from_user(task, &byte, uaddr_add(arg_uaddr(args, 2), i), 1);
        if (!err && byte)
            err = -E2BIG;
    }
    u32 walk_flags;
    if (!err)
        err = resolve_flags(how.resolve, &walk_flags);
    if (err)
        return err;
    bool makes = how.flags & (LINUX_O_CREAT | LINUX_O_TMPFILE_BIT);
    if ((how.flags & ~(u64)OPEN_FLAGS) || how.mode & ~(u64)07777 || (how.mode && !makes))
        return -EINVAL;
    return do_open(task, arg_fd(args, 0), arg_uaddr(args, 1), (u32)how.flags, (u32)how.mode,
                   walk_flags);
}

/* ---- closing -------------------------------------------------------------------------------- */

SLEEPS i64 sys_close(struct task *task, const struct sysargs *args)
{
    return fd_close(task, arg_fd(args, 0));
}

#define CLOSE_RANGE_UNSHARE 2u
#define CLOSE_RANGE_CLOEXEC 4u

SLEEPS i64 sys_close_range(struct task *task, const struct sysargs *args)
{
    u32 first = arg_u32(args, 0), last = arg_u32(args, 1), flags = arg_u32(args, 2);
    if (first > last || (flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)))
        return -EINVAL;
    if ((flags & CLOSE_RANGE_UNSHARE) && task->fds->object.refs > 1) {
        struct fd_table *own;
        int err = fd_table_fork(task->fds, &own);
        if (err)
            return err;
        REF_PUT(task->fds);
        task->fds = own;
    }
    for (u32 fd = first; fd < task->fds->capacity && fd <= last; fd++) {
        if (!task->fds->files[fd])
            continue;
        if (flags & CLOSE_RANGE_CLOEXEC)
            (void)!fd_set_cloexec(task->fds, (i32)fd, true);
        else
            (void)!fd_close(task, (i32)fd);
    }
    return 0;
}

/* ---- copying -------------------------------------------------------------------------------- */

SLEEPS i64 sys_dup(struct task *task, const struct sysargs *args)
{
    struct file *file = fd_get(task, arg_fd(args, 0));
    return file ? fd_install(task, file, 0) : -EBADF;
}

SLEEPS i64 sys_dup3(struct task *task, const struct sysargs *args)
{
    i32 from = arg_fd(args, 0), to = arg_fd(args, 1);
    u32 flags = arg_u32(args, 2);
    if ((flags & ~LINUX_O_CLOEXEC) || from == to)
        return -EINVAL;
    struct file *file = fd_get(task, from);
    if (!file)
        return -EBADF;
    int err = fd_install_at(task, to, file, flags);
    return err ? err : to;
}

SLEEPS i64 sys_dup2(struct task *task, const struct sysargs *args)
{
    i32 from = arg_fd(args, 0), to = arg_fd(args, 1);
    if (from == to) {
        AUTO_PUT struct file *file = fd_get(task, from);
        return file ? to : -EBADF;
    }
    const struct sysargs all = {{args->v[0], args->v[1], 0}};
    return sys_dup3(task, &all);
}
