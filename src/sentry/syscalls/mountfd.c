/* SPDX-License-Identifier: Apache-2.0 */
/* fsopen(2), fsconfig(2), fsmount(2), open_tree(2), move_mount(2), mount_setattr(2). */
#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "abi/mount.h"
#include "sentry/fs/mount_fd.h"
#include "sentry/syscalls/path.h"

#define KEY_SIZE_MAX 256u
#define VALUE_SIZE_MAX 4096u

static i64 install(struct task *task, struct file *file, bool is_cloexec)
{
    return fd_install(task, file, is_cloexec ? LINUX_O_CLOEXEC : 0);
}

SLEEPS i64 sys_fsopen(struct task *task, const struct sysargs *args)
{
    u32 flags = arg_u32(args, 1);
    int err = task_may_mount(task);
    if (!err && (flags & ~1u))
        err = -EINVAL;
    char name[KEY_SIZE_MAX];
    i64 size = err ? err : copy_string_from_user(task, name, arg_uaddr(args, 0), sizeof name);
    if (size < 0)
        return size == -ENAMETOOLONG ? -EINVAL : size;
    struct file *file;
    err = fs_config_create(task->kernel, name, &file);
    return err ? err : install(task, file, flags & 1u);
}

/* ---- fsconfig ------------------------------------------------------------------------------ */

enum { SET_FLAG, SET_STRING, SET_BINARY, SET_PATH, SET_PATH_EMPTY, SET_FD, MAKE, REMAKE };

/* Which arguments a command must have and which not: 0, -EINVAL, -EOPNOTSUPP. */
static int judge_command(u32 command, u64 key, u64 value, i32 aux)
{
    switch (command) {
    case SET_FLAG:
        return key && !value && !aux ? 0 : -EINVAL;
    case SET_STRING:
        return key && value && !aux ? 0 : -EINVAL;
    case SET_BINARY:
    case SET_PATH:
    case SET_PATH_EMPTY:
    case SET_FD:
        return key ? -EOPNOTSUPP : -EINVAL;
    case MAKE:
    case REMAKE:
        return !key && !value && !aux ? 0 : -EINVAL;
    default:
        return -EOPNOTSUPP;
    }
}

SLEEPS static i64 set_option(struct task *task, struct file *file, uaddr key_at, uaddr value_at)
{
    char key[KEY_SIZE_MAX], value[VALUE_SIZE_MAX];
    i64 size = copy_string_from_user(task, key, key_at, sizeof key);
    if (size >= 0 && value_at.value)
        size = copy_string_from_user(task, value, value_at, sizeof value);
    if (size < 0)
        return size == -ENAMETOOLONG ? -EINVAL : size;
    return fs_config_set(file, key, value_at.value ? value : NULL);
}

SLEEPS i64 sys_fsconfig(struct task *task, const struct sysargs *args)
{
    u32 command = arg_u32(args, 1);
    if (arg_fd(args, 0) < 0)
        return -EINVAL;
    int err = judge_command(command, arg_u64(args, 2), arg_u64(args, 3), arg_i32(args, 4));
    if (err)
        return err;
    AUTO_PUT struct file *file = fd_get(task, arg_fd(args, 0));
    if (!file)
        return -EBADF;
    if (!file_is_fs_config(file))
        return -EINVAL;
    if (command == MAKE)
        return fs_config_make(task, file);
    if (command == REMAKE)
        return fs_config_remake(task, file);
    return set_option(task, file, arg_uaddr(args, 2), arg_uaddr(args, 3));
}

/* ---- attributes ---------------------------------------------------------------------------- */

#define ATTR_PLAIN 0x8fu /* RDONLY NOSUID NODEV NOEXEC, NODIRATIME */
#define ATTR_ATIME_MASK 0x70u
#define ATTR_NOSYMFOLLOW 0x200000u
#define ATTR_KNOWN (ATTR_PLAIN | ATTR_ATIME_MASK | ATTR_NOSYMFOLLOW)

/* MOUNT_ATTR_* as MS_*. */
static u32 attr_flags(u64 attr)
{
    u32 flags = (u32)attr & 15u; /* the first four agree */
    if (attr & 0x80u)
        flags |= LINUX_MS_NODIRATIME;
    if ((attr & ATTR_ATIME_MASK) == 0x10u)
        flags |= LINUX_MS_NOATIME;
    if ((attr & ATTR_ATIME_MASK) == 0x20u)
        flags |= LINUX_MS_STRICTATIME;
    if (attr & ATTR_NOSYMFOLLOW)
        flags |= LINUX_MS_NOSYMFOLLOW;
    return flags;
}

SLEEPS i64 sys_fsmount(struct task *task, const struct sysargs *args)
{
    u32 flags = arg_u32(args, 1), attr = arg_u32(args, 2);
    int err = task_may_mount(task);
    if (err)
        return err;
    if ((flags & ~1u) || (attr & ~ATTR_KNOWN) || (attr & ATTR_ATIME_MASK) == ATTR_ATIME_MASK)
        return -EINVAL;
    AUTO_PUT struct file *config = fd_get(task, arg_fd(args, 0));
    if (!config)
        return -EBADF;
    if (!file_is_fs_config(config))
        return -EINVAL;
    struct file *file;
    err = fs_config_mount(config, attr_flags(attr), &file);
    return err ? err : install(task, file, flags & 1u);
}

struct linux_mount_attr {
    u64 set, clear, propagation, userns_fd;
};
#define MOUNT_ATTR_SIZE_MAX 4096u

/* A structure that may be newer than ours: what we do not know must be zero. */
SLEEPS static int attr_from_user(struct task *task, uaddr at, u64 size,
                                 struct linux_mount_attr *out)
{
    if (size < sizeof *out)
        return -EINVAL;
    if (size > MOUNT_ATTR_SIZE_MAX)
        return -E2BIG;
    int err = copy_from_user(task, out, at, sizeof *out);
    for (u64 done = sizeof *out; done < size && !err; done++) {
        u8 byte;
        err = copy_from_user(task, &byte, uaddr_add(at, done), 1);
        if (!err && byte)
            err = -E2BIG;
    }
    return err;
}

SLEEPS i64 sys_mount_setattr(struct task *task, const struct sysargs *args)
{
    const u32 recursive = 0x8000u;
    u32 flags = arg_u32(args, 2), walk_flags;
    struct linux_mount_attr attr;
    const u32 known = LINUX_AT_EMPTY_PATH | LINUX_AT_SYMLINK_NOFOLLOW | LINUX_AT_NO_AUTOMOUNT;
    if (flags & ~(known | recursive))
        return -EINVAL;
    int err = attr_from_user(task, arg_uaddr(args, 3), arg_u64(args, 4), &attr);
    if (!err)
        err = task_may_mount(task);
    if (err)
        return err;
    const u64 types = LINUX_MS_SHARED | LINUX_MS_PRIVATE | LINUX_MS_SLAVE | LINUX_MS_UNBINDABLE;
    if (((attr.set | attr.clear) & ~(u64)ATTR_KNOWN) || (attr.propagation & ~types) ||
        (attr.propagation && !is_power_of_two(attr.propagation)))
        return -EINVAL;
    bool sets_atime = (attr.set & ATTR_ATIME_MASK) != 0;
    if (sets_atime && (attr.clear & ATTR_ATIME_MASK) != ATTR_ATIME_MASK)
        return -EINVAL;
    err = at_flags(flags & ~recursive, known, true, &walk_flags);
    AUTO_PATH struct path path = {0};
    if (!err)
        err = user_path_walk(task, arg_fd(args, 0), arg_uaddr(args, 1), walk_flags, &path);
    if (err)
        return err;
    u32 clear = attr_flags(attr.clear & ~(u64)ATTR_ATIME_MASK);
    if (attr.clear & ATTR_ATIME_MASK)
        clear |= LINUX_MS_NOATIME | LINUX_MS_STRICTATIME;
    return mount_change_flags(&path, attr_flags(attr.set), clear, (u32)attr.propagation,
                              (flags & recursive) != 0);
}

/* ---- trees --------------------------------------------------------------------------------- */

SLEEPS i64 sys_open_tree(struct task *task, const struct sysargs *args)
{
    const u32 clone = 1u, recursive = 0x8000u;
    u32 flags = arg_u32(args, 2), walk_flags;
    const u32 known = LINUX_AT_EMPTY_PATH | LINUX_AT_SYMLINK_NOFOLLOW | LINUX_AT_NO_AUTOMOUNT;
    if (flags & ~(known | clone | recursive | LINUX_O_CLOEXEC))
        return -EINVAL;
    if ((flags & (clone | recursive)) == recursive)
        return -EINVAL;
    int err = flags & clone ? task_may_mount(task) : 0;
    if (!err)
        err = at_flags(flags & known, known, true, &walk_flags);
    AUTO_PATH struct path path = {0};
    if (!err)
        err = user_path_walk(task, arg_fd(args, 0), arg_uaddr(args, 1), walk_flags, &path);
    if (err)
        return err;
    struct file *file;
    err = flags & clone ? mount_clone_file(&path, (flags & recursive) != 0, &file)
                        : vfs_open_path(task, &path, LINUX_O_PATH, &file);
    return err ? err : install(task, file, (flags & LINUX_O_CLOEXEC) != 0);
}

#define MOVE_FROM_FOLLOW 0x1u
#define MOVE_FROM_EMPTY 0x4u
#define MOVE_TO_FOLLOW 0x10u
#define MOVE_TO_EMPTY 0x40u
#define MOVE_KNOWN 0x77u

SLEEPS i64 sys_move_mount(struct task *task, const struct sysargs *args)
{
    u32 flags = arg_u32(args, 4);
    int err = task_may_mount(task);
    if (!err && (flags & ~MOVE_KNOWN))
        err = -EINVAL;
    if (err)
        return err;
    u32 from_flags = (flags & MOVE_FROM_FOLLOW ? WALK_FOLLOW : 0) |
                     (flags & MOVE_FROM_EMPTY ? WALK_EMPTY : 0);
    u32 to_flags = (flags & MOVE_TO_FOLLOW ? WALK_FOLLOW : 0) |
                   (flags & MOVE_TO_EMPTY ? WALK_EMPTY : 0);
    AUTO_PATH struct path from = {0};
    AUTO_PATH struct path to = {0};
    err = user_path_walk(task, arg_fd(args, 0), arg_uaddr(args, 1), from_flags, &from);
    if (!err)
        err = user_path_walk(task, arg_fd(args, 2), arg_uaddr(args, 3), to_flags, &to);
    return err ? err : mount_move_path(task, &from, &to);
}
