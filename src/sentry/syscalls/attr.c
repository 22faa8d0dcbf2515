/* SPDX-License-Identifier: Apache-2.0 */
/* What files are: stat(2), statx(2), access(2), chmod(2), chown(2), utimensat(2), statfs(2),
 * xattr(7). */
#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/namespaces.h"
#include "sentry/syscalls/path.h"

/* ---- stat ----------------------------------------------------------------------------------- */

/* The inode whose attributes FILE shows: the name's, which an overlay keeps apart from the
 * content's. */
static struct inode *shown_inode(const struct file *file)
{
    return file->path.dentry && file->path.dentry->inode ? file->path.dentry->inode : file->inode;
}

/* With the owners as TASK's user namespace shows them. */
static void stat_shown(const struct task *task, const struct inode *inode, struct linux_stat *out)
{
    const struct user_ns *ns = task->cred->user_ns;
    inode_stat(inode, out);
    if (!ns || !ns->parent)
        return;
    out->uid = user_ns_uid_shown(ns, out->uid);
    out->gid = user_ns_gid_shown(ns, out->gid);
}

SLEEPS static int stat_inode(struct task *task, struct inode *inode, uaddr to)
{
    struct linux_stat stat;
    int err = vfs_getattr(task, inode);
    if (err)
        return err;
    stat_shown(task, inode, &stat);
    return copy_to_user(task, to, &stat, sizeof stat);
}

SLEEPS static i64 stat_path(struct task *task, i32 dirfd, uaddr at, u32 walk_flags, uaddr to)
{
    AUTO_PATH struct path path = {0};
    int err = user_path_walk(task, dirfd, at, walk_flags, &path);
    return err ? err : stat_inode(task, path.dentry->inode, to);
}

SLEEPS i64 sys_stat(struct task *task, const struct sysargs *args)
{
    return stat_path(task, LINUX_AT_FDCWD, arg_uaddr(args, 0), WALK_FOLLOW, arg_uaddr(args, 1));
}
SLEEPS i64 sys_lstat(struct task *task, const struct sysargs *args)
{
    return stat_path(task, LINUX_AT_FDCWD, arg_uaddr(args, 0), 0, arg_uaddr(args, 1));
}
SLEEPS i64 sys_fstat(struct task *task, const struct sysargs *args)
{
    AUTO_PUT struct file *file = fd_get(task, arg_fd(args, 0));
    return file ? stat_inode(task, shown_inode(file), arg_uaddr(args, 1)) : -EBADF;
}

SLEEPS i64 sys_newfstatat(struct task *task, const struct sysargs *args)
{
    u32 walk_flags, flags = arg_u32(args, 3);
    int err = at_flags(flags,
                       LINUX_AT_SYMLINK_NOFOLLOW | LINUX_AT_NO_AUTOMOUNT | LINUX_AT_EMPTY_PATH,
                       true, &walk_flags);
    if (err)
        return err;
    if ((walk_flags & WALK_EMPTY) && arg_fd(args, 0) != LINUX_AT_FDCWD) {
        char first = 1; /* fstat(3) of new libraries: no walk for an empty path */
        if (copy_from_user(task, &first, arg_uaddr(args, 1), 1) == 0 && first == 0) {
            const struct sysargs all = {{args->v[0], args->v[2]}};
            return sys_fstat(task, &all);
        }
    }
    return stat_path(task, arg_fd(args, 0), arg_uaddr(args, 1), walk_flags, arg_uaddr(args, 2));
}

static struct linux_statx_time statx_time(struct linux_timespec time)
{
    return (struct linux_statx_time){.sec = time.sec, .nsec = (u32)time.nsec};
}

#define STATX_BASIC 0x7ffu
#define STATX_BTIME 0x800u
#define STATX_MNT_ID 0x1000u
#define STATX_RESERVED 0x80000000u
#define STATX_ATTR_MOUNT_ROOT 0x2000u

SLEEPS static int statx_inode(struct task *task, struct inode *inode, const struct path *path,
                              uaddr to)
{
    struct linux_stat stat;
    int err = vfs_getattr(task, inode);
    if (err)
        return err;
    stat_shown(task, inode, &stat);
    struct linux_statx out = {
        .mask = STATX_BASIC | STATX_BTIME | STATX_MNT_ID,
        .blksize = (u32)stat.blksize,
        .nlink = (u32)stat.nlink,
        .uid = stat.uid,
        .gid = stat.gid,
        .mode = (u16)stat.mode,
        .ino = stat.ino,
        .size = (u64)stat.size,
        .blocks = (u64)stat.blocks,
        .attributes_mask = STATX_ATTR_MOUNT_ROOT,
        .atime = statx_time(stat.atime),
        .ctime = statx_time(stat.ctime),
        .mtime = statx_time(stat.mtime),
        .btime = {.sec = inode->btime_ns / (i64)NS_PER_S,
                  .nsec = (u32)(inode->btime_ns % (i64)NS_PER_S)},
        .rdev_major = (u32)(stat.rdev >> 8 & 0xfff),
        .rdev_minor = (u32)((stat.rdev & 0xff) | (stat.rdev >> 12 & 0xfff00)),
        .dev_major = (u32)(stat.dev >> 8 & 0xfff),
        .dev_minor = (u32)((stat.dev & 0xff) | (stat.dev >> 12 & 0xfff00)),
    };
    if (path && path->mount) {
        out.mnt_id = path->mount->id;
        if (path->mount->root == path->dentry)
            out.attributes |= STATX_ATTR_MOUNT_ROOT;
    }
    return copy_to_user(task, to, &out, sizeof out);
}

SLEEPS i64 sys_statx(struct task *task, const struct sysargs *args)
{
    u32 walk_flags, flags = arg_u32(args, 2);
    u32 allowed = LINUX_AT_SYMLINK_NOFOLLOW | LINUX_AT_NO_AUTOMOUNT | LINUX_AT_EMPTY_PATH |
                  LINUX_AT_STATX_SYNC_TYPE;
    int err = at_flags(flags, allowed, true, &walk_flags);
    if (!err && ((flags & LINUX_AT_STATX_SYNC_TYPE) == LINUX_AT_STATX_SYNC_TYPE ||
                 (arg_u32(args, 3) & STATX_RESERVED)))
        err = -EINVAL;
    AUTO_PATH struct path path = {0};
    if (!err)
        err = user_path_walk(task, arg_fd(args, 0), arg_uaddr(args, 1), walk_flags, &path);
    return err ? err : statx_inode(task, path.dentry->inode, &path, arg_uaddr(args, 4));
}

/* ---- access --------------------------------------------------------------------------------- */

/* faccessat2(2) asks for the real ids: as if they were the ones for files. */
SLEEPS static int access_as_real(struct task *task, const struct path *path, u32 mode)
{
    AUTO_PUT struct cred *cred = NULL;
    int err = cred_copy(task->cred, &cred);
    if (err)
        return err;
    cred->fsuid = cred->uid;
    cred->fsgid = cred->gid;
    if (!(cred->securebits & SECBIT_NO_SETUID_FIXUP))
        cred->cap_effective = cred->uid == 0 ? cred->cap_permitted : 0;
    struct cred *own = task->cred;
    task->cred = cred; /* nobody else looks at it while this call runs but /proc, which may */
    err = vfs_permission(task, path, mode);
    task->cred = own;
    return err;
}

SLEEPS static i64 do_access(struct task *task, i32 dirfd, uaddr at, u32 mode, u32 flags)
{
    u32 walk_flags;
    int err = mode & ~7u
                  ? -EINVAL
                  : at_flags(flags,
                             LINUX_AT_EACCESS | LINUX_AT_SYMLINK_NOFOLLOW | LINUX_AT_EMPTY_PATH,
                             true, &walk_flags);
    AUTO_PATH struct path path = {0};
    if (!err)
        err = user_path_walk(task, dirfd, at, walk_flags, &path);
    if (err)
        return err;
    bool is_plain = (flags & LINUX_AT_EACCESS) ||
                    (task->cred->uid == task->cred->fsuid && task->cred->gid == task->cred->fsgid);
    return is_plain ? vfs_permission(task, &path, mode) : access_as_real(task, &path, mode);
}

SLEEPS i64 sys_access(struct task *task, const struct sysargs *args)
{
    return do_access(task, LINUX_AT_FDCWD, arg_uaddr(args, 0), arg_u32(args, 1), 0);
}
SLEEPS i64 sys_faccessat(struct task *task, const struct sysargs *args)
{
    return do_access(task, arg_fd(args, 0), arg_uaddr(args, 1), arg_u32(args, 2), 0);
}
SLEEPS i64 sys_faccessat2(struct task *task, const struct sysargs *args)
{
    return do_access(task, arg_fd(args, 0), arg_uaddr(args, 1), arg_u32(args, 2), arg_u32(args, 3));
}

/* ---- changes -------------------------------------------------------------------------------- */

SLEEPS static i64 set_path_attr(struct task *task, i32 dirfd, uaddr at, u32 walk_flags,
                                const struct attr *attr)
{
    AUTO_PATH struct path path = {0};
    int err = user_path_walk(task, dirfd, at, walk_flags, &path);
    return err ? err : vfs_setattr(task, &path, attr);
}

SLEEPS static i64 set_fd_attr(struct task *task, i32 fd, const struct attr *attr)
{
    AUTO_PUT struct file *file = fd_get(task, fd);
    if (!file || file->is_path)
        return -EBADF;
    return vfs_setattr(task, &file->path, attr);
}

static struct attr mode_attr(u32 mode)
{
    return (struct attr){.mask = ATTR_MODE, .mode = mode & 07777u};
}

SLEEPS i64 sys_chmod(struct task *task, const struct sysargs *args)
{
    const struct attr attr = mode_attr(arg_u32(args, 1));
    return set_path_attr(task, LINUX_AT_FDCWD, arg_uaddr(args, 0), WALK_FOLLOW, &attr);
}
SLEEPS i64 sys_fchmod(struct task *task, const struct sysargs *args)
{
    const struct attr attr = mode_attr(arg_u32(args, 1));
    return set_fd_attr(task, arg_fd(args, 0), &attr);
}
SLEEPS i64 sys_fchmodat(struct task *task, const struct sysargs *args)
{
    const struct attr attr = mode_attr(arg_u32(args, 2));
    return set_path_attr(task, arg_fd(args, 0), arg_uaddr(args, 1), WALK_FOLLOW, &attr);
}
SLEEPS i64 sys_fchmodat2(struct task *task, const struct sysargs *args)
{
    u32 walk_flags;
    const struct attr attr = mode_attr(arg_u32(args, 2));
    int err = at_flags(arg_u32(args, 3), LINUX_AT_SYMLINK_NOFOLLOW | LINUX_AT_EMPTY_PATH, true,
                       &walk_flags);
    return err ? err : set_path_attr(task, arg_fd(args, 0), arg_uaddr(args, 1), walk_flags, &attr);
}

/* The program's numbers as the kernel's; -1 leaves an owner as it is. */
static int owner_attr(const struct task *task, u32 uid, u32 gid, struct attr *out)
{
    const struct user_ns *ns = task->cred->user_ns;
    *out = (struct attr){0};
    if (uid != UINT32_MAX) {
        out->mask |= ATTR_UID;
        out->uid = ns && ns->parent ? user_ns_uid_in(ns, uid) : uid;
    }
    if (gid != UINT32_MAX) {
        out->mask |= ATTR_GID;
        out->gid = ns && ns->parent ? user_ns_gid_in(ns, gid) : gid;
    }
    bool is_mapped = (!(out->mask & ATTR_UID) || out->uid != ID_INVALID) &&
                     (!(out->mask & ATTR_GID) || out->gid != ID_INVALID);
    return is_mapped ? 0 : -EINVAL;
}

SLEEPS i64 sys_chown(struct task *task, const struct sysargs *args)
{
    struct attr attr;
    int judged = owner_attr(task, arg_u32(args, 1), arg_u32(args, 2), &attr);
    if (judged)
        return judged;
    return set_path_attr(task, LINUX_AT_FDCWD, arg_uaddr(args, 0), WALK_FOLLOW, &attr);
}
SLEEPS i64 sys_lchown(struct task *task, const struct sysargs *args)
{
    struct attr attr;
    int judged = owner_attr(task, arg_u32(args, 1), arg_u32(args, 2), &attr);
    if (judged)
        return judged;
    return set_path_attr(task, LINUX_AT_FDCWD, arg_uaddr(args, 0), 0, &attr);
}
SLEEPS i64 sys_fchown(struct task *task, const struct sysargs *args)
{
    struct attr attr;
    int judged = owner_attr(task, arg_u32(args, 1), arg_u32(args, 2), &attr);
    if (judged)
        return judged;
    return set_fd_attr(task, arg_fd(args, 0), &attr);
}
SLEEPS i64 sys_fchownat(struct task *task, const struct sysargs *args)
{
    u32 walk_flags;
    struct attr attr;
    int judged = owner_attr(task, arg_u32(args, 2), arg_u32(args, 3), &attr);
    if (judged)
        return judged;
    int err = at_flags(arg_u32(args, 4), LINUX_AT_SYMLINK_NOFOLLOW | LINUX_AT_EMPTY_PATH, true,
                       &walk_flags);
    return err ? err : set_path_attr(task, arg_fd(args, 0), arg_uaddr(args, 1), walk_flags, &attr);
}

/* ---- times ---------------------------------------------------------------------------------- */

#define UTIME_NOW 0x3fffffff
#define UTIME_OMIT 0x3ffffffe

/* The owner may set any time; who may write only "now" (utimensat(2)). */
SLEEPS static i64 set_times(struct task *task, const struct path *path,
                            const struct linux_timespec *times)
{
    static const struct linux_timespec now[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
    if (!times)
        times = now;
    if (times[0].nsec == UTIME_OMIT && times[1].nsec == UTIME_OMIT)
        return 0;
    struct attr attr = {.mask = 0};
    i64 ns_now = (i64)kernel_realtime_ns(task->kernel);
    static const u32 masks[2] = {ATTR_ATIME, ATTR_MTIME};
    for (int i = 0; i < 2; i++) {
        if (times[i].nsec == UTIME_OMIT)
            continue;
        attr.mask |= masks[i];
        i64 ns = times[i].nsec == UTIME_NOW ? ns_now : times[i].sec * (i64)NS_PER_S + times[i].nsec;
        *(i == 0 ? &attr.atime_ns : &attr.mtime_ns) = ns;
    }
    if (times[0].nsec == UTIME_NOW && times[1].nsec == UTIME_NOW)
        attr.mask |= ATTR_TOUCH;
    return vfs_setattr(task, path, &attr);
}

static bool time_is_valid(const struct linux_timespec *time)
{
    return time->nsec == UTIME_NOW || time->nsec == UTIME_OMIT ||
           (time->nsec >= 0 && time->nsec < (i64)NS_PER_S);
}

SLEEPS static i64 times_at(struct task *task, i32 dirfd, uaddr at, u32 walk_flags,
                           const struct linux_timespec *times)
{
    AUTO_PATH struct path path = {0};
    int err = user_path_walk(task, dirfd, at, walk_flags, &path);
    return err ? err : set_times(task, &path, times);
}

SLEEPS i64 sys_utimensat(struct task *task, const struct sysargs *args)
{
    struct linux_timespec times[2];
    const struct linux_timespec *given = NULL;
    u32 walk_flags;
    if (arg_u64(args, 2)) {
        int err = copy_from_user(task, times, arg_uaddr(args, 2), sizeof times);
        if (err)
            return err;
        if (times[0].nsec == UTIME_OMIT && times[1].nsec == UTIME_OMIT)
            return 0;
        if (!time_is_valid(&times[0]) || !time_is_valid(&times[1]))
            return -EINVAL;
        given = times;
    }
    if (arg_u64(args, 1) == 0 && arg_fd(args, 0) != LINUX_AT_FDCWD) { /* futimens(3) */
        AUTO_PUT struct file *file = fd_get(task, arg_fd(args, 0));
        if (arg_u32(args, 3))
            return -EINVAL;
        return file && !file->is_path ? set_times(task, &file->path, given) : -EBADF;
    }
    int err = at_flags(arg_u32(args, 3), LINUX_AT_SYMLINK_NOFOLLOW | LINUX_AT_EMPTY_PATH, true,
                       &walk_flags);
    return err ? err : times_at(task, arg_fd(args, 0), arg_uaddr(args, 1), walk_flags, given);
}

SLEEPS i64 sys_utime(struct task *task, const struct sysargs *args)
{
    i64 seconds[2];
    struct linux_timespec times[2];
    if (arg_u64(args, 1)) {
        int err = copy_from_user(task, seconds, arg_uaddr(args, 1), sizeof seconds);
        if (err)
            return err;
        times[0] = (struct linux_timespec){seconds[0], 0};
        times[1] = (struct linux_timespec){seconds[1], 0};
    }
    return times_at(task, LINUX_AT_FDCWD, arg_uaddr(args, 0), WALK_FOLLOW,
                    arg_u64(args, 1) ? times : NULL);
}

SLEEPS i64 sys_futimesat(struct task *task, const struct sysargs *args)
{
    struct linux_timeval given[2];
    struct linux_timespec times[2];
    if (arg_u64(args, 2)) {
        int err = copy_from_user(task, given, arg_uaddr(args, 2), sizeof given);
        if (err)
            return err;
        for (int i = 0; i < 2; i++) {
            if (given[i].usec < 0 || given[i].usec >= 1000000)
                return -EINVAL;
            times[i] = (struct linux_timespec){given[i].sec, given[i].usec * 1000};
        }
    }
    return times_at(task, arg_fd(args, 0), arg_uaddr(args, 1), WALK_FOLLOW,
                    arg_u64(args, 2) ? times : NULL);
}
SLEEPS i64 sys_utimes(struct task *task, const struct sysargs *args)
{
    const struct sysargs all = {{(u64)(i64)LINUX_AT_FDCWD, args->v[0], args->v[1]}};
    return sys_futimesat(task, &all);
}

/* ---- statfs --------------------------------------------------------------------------------- */

SLEEPS static i64 put_statfs(struct task *task, const struct path *path, uaddr to)
{
    struct linux_statfs out = {0};
    int err = vfs_statfs(task, path, &out);
    return err ? err : copy_to_user(task, to, &out, sizeof out);
}

SLEEPS i64 sys_statfs(struct task *task, const struct sysargs *args)
{
    AUTO_PATH struct path path = {0};
    int err = user_path_walk(task, LINUX_AT_FDCWD, arg_uaddr(args, 0), WALK_FOLLOW, &path);
    return err ? err : put_statfs(task, &path, arg_uaddr(args, 1));
}
SLEEPS i64 sys_fstatfs(struct task *task, const struct sysargs *args)
{
    AUTO_PUT struct file *file = fd_get(task, arg_fd(args, 0));
    return file ? put_statfs(task, &file->path, arg_uaddr(args, 1)) : -EBADF;
}
