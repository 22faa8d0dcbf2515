/* SPDX-License-Identifier: Apache-2.0 */
/* fcntl(2), flock(2) and the ioctls that every description has (ioctl(2)). */
#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "abi/termios.h"
#include "sentry/fs/locks.h"
#include "sentry/fs/memfd.h"
#include "sentry/fs/pipe.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/pid.h"
#include "sentry/syscalls/path.h"

/* ---- locks ---------------------------------------------------------------------------------- */

#define F_RDLCK_ 0
#define F_WRLCK_ 1
#define F_UNLCK_ 2

/* [start, end) of what FLOCK says: 0, -EINVAL, -EOVERFLOW. */
SLEEPS static int lock_range(struct task *task, struct file *file, const struct linux_flock *flock,
                             struct lock_request *out)
{
    i64 base = 0, start;
    switch (flock->whence) {
    case LINUX_SEEK_SET:
        break;
    case LINUX_SEEK_CUR:
        base = (i64)file->offset;
        break;
    case LINUX_SEEK_END: {
        int err = vfs_getattr(task, file->inode);
        if (err)
            return err;
        base = (i64)file->inode->size;
        break;
    }
    default:
        return -EINVAL;
    }
    if (__builtin_add_overflow(base, flock->start, &start))
        return -EOVERFLOW;
    if (start < 0)
        return -EINVAL;
    i64 end = start;
    if (flock->length > 0 && __builtin_add_overflow(start, flock->length, &end))
        return -EOVERFLOW;
    if (flock->length < 0) {
        start += flock->length;
        if (start < 0)
            return -EINVAL;
    }
    out->start = (u64)start;
    out->end = flock->length == 0 ? UINT64_MAX : (u64)end;
    out->type = flock->type;
    return 0;
}

SLEEPS static i64 do_lock(struct task *task, struct file *file, i32 cmd, uaddr at)
{
    struct linux_flock flock;
    struct lock_request request = {.is_ofd = cmd >= LINUX_F_OFD_GETLK};
    bool is_test = cmd == LINUX_F_GETLK || cmd == LINUX_F_OFD_GETLK;
    int err = copy_from_user(task, &flock, at, sizeof flock);
    if (err)
        return err;
    if (flock.type < F_RDLCK_ || flock.type > F_UNLCK_ || (is_test && flock.type == F_UNLCK_) ||
        (request.is_ofd && flock.pid))
        return -EINVAL;
    err = lock_range(task, file, &flock, &request);
    if (err)
        return err;
    if (is_test) {
        i32 pid = 0;
        lock_test(task, file, &request, &pid);
        flock.type = (i16)request.type;
        if (request.type != F_UNLCK_) {
            flock.whence = LINUX_SEEK_SET;
            flock.start = (i64)request.start;
            flock.length = request.end == UINT64_MAX ? 0 : (i64)(request.end - request.start);
            flock.pid = pid;
        }
        return copy_to_user(task, at, &flock, sizeof flock);
    }
    if ((flock.type == F_RDLCK_ && !file_may_read(file)) ||
        (flock.type == F_WRLCK_ && !file_may_write(file)))
        return -EBADF;
    return lock_set(task, file, &request, cmd == LINUX_F_SETLKW || cmd == LINUX_F_OFD_SETLKW);
}

SLEEPS i64 sys_flock(struct task *task, const struct sysargs *args)
{
    AUTO_PUT struct file *file = fd_get(task, arg_fd(args, 0));
    if (!file || file->is_path)
        return -EBADF;
    u32 op = arg_u32(args, 1);
    i32 type = (op & ~4u) == 1   ? F_RDLCK_
               : (op & ~4u) == 2 ? F_WRLCK_
               : (op & ~4u) == 8 ? F_UNLCK_
                                 : -1;
    return type < 0 ? -EINVAL : lock_flock(task, file, type, !(op & 4u));
}

/* ---- owners of SIGIO ------------------------------------------------------------------------ */

struct linux_owner {
    i32 type, pid;
};

SLEEPS static i64 set_owner_ex(struct task *task, struct file *file, uaddr at)
{
    struct linux_owner owner;
    int err = copy_from_user(task, &owner, at, sizeof owner);
    if (err)
        return err;
    if (owner.type < LINUX_F_OWNER_TID || owner.type > LINUX_F_OWNER_PGRP)
        return -EINVAL;
    return file_set_owner(task, file, owner.type, (u32)owner.pid);
}

static i64 set_owner(struct task *task, struct file *file, i32 pid)
{
    if (pid == INT32_MIN)
        return -EINVAL;
    u32 nr = pid < 0 ? (u32)-pid : (u32)pid;
    return file_set_owner(task, file, pid < 0 ? LINUX_F_OWNER_PGRP : LINUX_F_OWNER_PID, nr);
}

/* ---- fcntl ---------------------------------------------------------------------------------- */

static i64 dup_from(struct task *task, struct file *file, u64 from, u32 flags)
{
    if (from >= task->group->limits.v[RLIMIT_NOFILE_].soft || from > INT32_MAX)
        return -EINVAL;
    AUTO_FD_SLOTS struct fd_slots slots = {0};
    int err = fd_slots_reserve(task, 1, (i32)from, &slots);
    if (err)
        return err;
    i32 fd = slots.fds[0];
    fd_slots_install(&slots, 0, REF_GET(file), flags);
    return fd;
}

/* What an O_PATH description has too. */
static i64 fcntl_path(struct task *task, struct file *file, i32 fd, i32 cmd, u64 arg)
{
    switch (cmd) {
    case LINUX_F_DUPFD:
        return dup_from(task, file, arg, 0);
    case LINUX_F_DUPFD_CLOEXEC:
        return dup_from(task, file, arg, LINUX_O_CLOEXEC);
    case LINUX_F_GETFD:
        return fd_is_cloexec(task->fds, fd) ? LINUX_FD_CLOEXEC : 0;
    case LINUX_F_SETFD:
        return fd_set_cloexec(task->fds, fd, arg & LINUX_FD_CLOEXEC);
    case LINUX_F_GETFL:
        return file->flags & ~LINUX_O_CLOEXEC;
    default:
        return file->is_path ? -EBADF : 1; /* 1: not one of these */
    }
}

SLEEPS static i64 fcntl_more(struct task *task, struct file *file, i32 cmd, u64 arg)
{
    struct pipe *pipe = pipe_of(file);
    switch (cmd) {
    case LINUX_F_SETFL:
        return file_set_flags(task, file, (u32)arg);
    case LINUX_F_GETLK:
    case LINUX_F_SETLK:
    case LINUX_F_SETLKW:
    case LINUX_F_OFD_GETLK:
    case LINUX_F_OFD_SETLK:
    case LINUX_F_OFD_SETLKW:
        return do_lock(task, file, cmd, uaddr_make(arg));
    case LINUX_F_SETOWN:
        return set_owner(task, file, (i32)(u32)arg);
    case LINUX_F_GETOWN:
        return file->owner_type == LINUX_F_OWNER_PGRP ? -file->owner : file->owner;
    case LINUX_F_SETOWN_EX:
        return set_owner_ex(task, file, uaddr_make(arg));
    case LINUX_F_GETOWN_EX: {
        struct linux_owner owner = {file->owner_type, file->owner};
        return copy_to_user(task, uaddr_make(arg), &owner, sizeof owner);
    }
    case LINUX_F_SETSIG:
        if (arg > LINUX_NSIG)
            return -EINVAL;
        file->owner_signal = (i32)arg;
        return 0;
    case LINUX_F_GETSIG:
        return file->owner_signal;
    case LINUX_F_SETPIPE_SZ:
        return pipe ? pipe_set_capacity(task, pipe, (u32)arg) : -EBADF;
    case LINUX_F_GETPIPE_SZ:
        return pipe ? (i64)pipe_capacity(pipe) : -EBADF;
    case LINUX_F_ADD_SEALS:
        return memfd_add_seals(task, file, (u32)arg);
    case LINUX_F_GET_SEALS:
        return memfd_get_seals(file);
    case LINUX_F_NOTIFY:
        return inode_is_dir(file->inode) ? -EINVAL : -ENOTDIR;
    default:
        return -EINVAL;
    }
}

SLEEPS i64 sys_fcntl(struct task *task, const struct sysargs *args)
{
    AUTO_PUT struct file *file = fd_get(task, arg_fd(args, 0));
    if (!file)
        return -EBADF;
    i64 result = fcntl_path(task, file, arg_fd(args, 0), arg_i32(args, 1), arg_u64(args, 2));
    return result == 1 && arg_i32(args, 1) != LINUX_F_GETFD && arg_i32(args, 1) != LINUX_F_DUPFD &&
                   arg_i32(args, 1) != LINUX_F_DUPFD_CLOEXEC && arg_i32(args, 1) != LINUX_F_GETFL
               ? fcntl_more(task, file, arg_i32(args, 1), arg_u64(args, 2))
               : result;
}

/* ---- ioctl ---------------------------------------------------------------------------------- */

#define FIOCLEX_ 0x5451u
#define FIONCLEX_ 0x5450u
#define FIOASYNC_ 0x5452u
#define FIOQSIZE_ 0x5460u
#define FIOSETOWN_ 0x8901u
#define FIOGETOWN_ 0x8903u

SLEEPS static i64 set_flag_by_ioctl(struct task *task, struct file *file, u32 flag, uaddr at)
{
    i32 is_on;
    int err = copy_from_user(task, &is_on, at, sizeof is_on);
    if (err)
        return err;
    return file_set_flags(task, file, is_on ? file->flags | flag : file->flags & ~flag);
}

SLEEPS static i64 ioctl_any(struct task *task, struct file *file, i32 fd, u32 request, uaddr at)
{
    i32 number;
    int err;
    switch (request) {
    case FIOCLEX_:
        return fd_set_cloexec(task->fds, fd, true);
    case FIONCLEX_:
        return fd_set_cloexec(task->fds, fd, false);
    case LINUX_FIONBIO:
        return set_flag_by_ioctl(task, file, LINUX_O_NONBLOCK, at);
    case FIOASYNC_:
        return set_flag_by_ioctl(task, file, LINUX_O_ASYNC, at);
    case FIOSETOWN_:
        err = copy_from_user(task, &number, at, sizeof number);
        return err ? err : set_owner(task, file, number);
    case FIOGETOWN_:
        number = file->owner_type == LINUX_F_OWNER_PGRP ? -file->owner : file->owner;
        return copy_to_user(task, at, &number, sizeof number);
    case FIOQSIZE_: {
        i64 size = (i64)file->inode->size;
        return inode_is_regular(file->inode) || inode_is_dir(file->inode)
                   ? copy_to_user(task, at, &size, sizeof size)
                   : -ENOTTY;
    }
    default:
        return 1;
    }
}

SLEEPS i64 sys_ioctl(struct task *task, const struct sysargs *args)
{
    AUTO_PUT struct file *file = fd_get(task, arg_fd(args, 0));
    if (!file || file->is_path)
        return -EBADF;
    i64 result = ioctl_any(task, file, arg_fd(args, 0), arg_u32(args, 1), arg_uaddr(args, 2));
    if (result != 1)
        return result;
    if (arg_u32(args, 1) == LINUX_FIONREAD && inode_is_regular(file->inode)) {
        i32 left = (i32)(file->inode->size > file->offset ? file->inode->size - file->offset : 0);
        return copy_to_user(task, arg_uaddr(args, 2), &left, sizeof left);
    }
    return file_ioctl(task, file, arg_u32(args, 1), arg_u64(args, 2));
}
