/* SPDX-License-Identifier: Apache-2.0 */
/* The twelve calls of xattr(7): by path, by path without following, by descriptor. */
#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "sentry/syscalls/path.h"

#define XATTR_NAME_MAX 255u
#define XATTR_VALUE_MAX 65536u

enum by { BY_PATH, BY_LINK, BY_FD };

/* The file of the first argument, owned. */
SLEEPS static int subject(struct task *task, const struct sysargs *args, enum by by,
                          struct path *out)
{
    if (by != BY_FD)
        return user_path_walk(task, LINUX_AT_FDCWD, arg_uaddr(args, 0),
                              by == BY_PATH ? WALK_FOLLOW : 0, out);
    AUTO_PUT struct file *file = fd_get(task, arg_fd(args, 0));
    if (!file || file->is_path)
        return -EBADF;
    path_get(&file->path);
    *out = file->path;
    return 0;
}

SLEEPS static int name_arg(struct task *task, uaddr at, char name[XATTR_NAME_MAX + 1])
{
    i64 size = copy_string_from_user(task, name, at, XATTR_NAME_MAX + 1);
    if (size == -ENAMETOOLONG || size == 0)
        return -ERANGE;
    if (size < 0)
        return (int)size;
    /* A name space alone is no name. */
    static const char *const spaces[] = {"user.", "trusted.", "security.", "system."};
    for (u32 i = 0; i < ARRAY_COUNT(spaces); i++)
        if (strcmp(name, spaces[i]) == 0)
            return -EINVAL;
    return 0;
}

SLEEPS static i64 do_set(struct task *task, const struct sysargs *args, enum by by)
{
    char name[XATTR_NAME_MAX + 1];
    u64 size = arg_u64(args, 3);
    u32 flags = arg_u32(args, 4);
    if (flags & ~3u)
        return -EINVAL;
    int err = name_arg(task, arg_uaddr(args, 1), name);
    if (!err && size > XATTR_VALUE_MAX)
        err = -E2BIG;
    if (err)
        return err;
    struct arena *arena = task->kernel->arena;
    u8 *value = arena_alloc(arena, size + 1);
    if (!value)
        return -ENOMEM;
    err = size ? copy_from_user(task, value, arg_uaddr(args, 2), size) : 0;
    AUTO_PATH struct path path = {0};
    if (!err)
        err = subject(task, args, by, &path);
    if (!err)
        err = vfs_setxattr(task, &path, name, value, size, (int)flags);
    arena_free(arena, value, size + 1);
    return err;
}

/* A value or a list: asked into memory of the sentry, then out. */
SLEEPS static i64 do_read(struct task *task, const struct sysargs *args, enum by by, bool is_list)
{
    char name[XATTR_NAME_MAX + 1];
    uaddr to = arg_uaddr(args, is_list ? 1 : 2);
    u64 room = MIN(arg_u64(args, is_list ? 2 : 3), (u64)XATTR_VALUE_MAX);
    i64 result = is_list ? 0 : name_arg(task, arg_uaddr(args, 1), name);
    AUTO_PATH struct path path = {0};
    if (!result)
        result = subject(task, args, by, &path);
    if (result)
        return result;
    struct arena *arena = task->kernel->arena;
    char *value = arena_alloc(arena, room + 1);
    if (!value)
        return -ENOMEM;
    result = is_list ? vfs_listxattr(task, &path, value, room)
                     : vfs_getxattr(task, &path, name, value, room);
    if (result > 0 && room > 0 && copy_to_user(task, to, value, (u64)result))
        result = -EFAULT;
    arena_free(arena, value, room + 1);
    return result;
}

SLEEPS static i64 do_remove(struct task *task, const struct sysargs *args, enum by by)
{
    char name[XATTR_NAME_MAX + 1];
    AUTO_PATH struct path path = {0};
    int err = name_arg(task, arg_uaddr(args, 1), name);
    if (!err)
        err = subject(task, args, by, &path);
    return err ? err : vfs_removexattr(task, &path, name);
}

SLEEPS i64 sys_setxattr(struct task *task, const struct sysargs *args)
{
    return do_set(task, args, BY_PATH);
}
SLEEPS i64 sys_lsetxattr(struct task *task, const struct sysargs *args)
{
    return do_set(task, args, BY_LINK);
}
SLEEPS i64 sys_fsetxattr(struct task *task, const struct sysargs *args)
{
    return do_set(task, args, BY_FD);
}
SLEEPS i64 sys_getxattr(struct task *task, const struct sysargs *args)
{
    return do_read(task, args, BY_PATH, false);
}
SLEEPS i64 sys_lgetxattr(struct task *task, const struct sysargs *args)
{
    return do_read(task, args, BY_LINK, false);
}
SLEEPS i64 sys_fgetxattr(struct task *task, const struct sysargs *args)
{
    return do_read(task, args, BY_FD, false);
}
SLEEPS i64 sys_listxattr(struct task *task, const struct sysargs *args)
{
    return do_read(task, args, BY_PATH, true);
}
SLEEPS i64 sys_llistxattr(struct task *task, const struct sysargs *args)
{
    return do_read(task, args, BY_LINK, true);
}
SLEEPS i64 sys_flistxattr(struct task *task, const struct sysargs *args)
{
    return do_read(task, args, BY_FD, true);
}
SLEEPS i64 sys_removexattr(struct task *task, const struct sysargs *args)
{
    return do_remove(task, args, BY_PATH);
}
SLEEPS i64 sys_lremovexattr(struct task *task, const struct sysargs *args)
{
    return do_remove(task, args, BY_LINK);
}
SLEEPS i64 sys_fremovexattr(struct task *task, const struct sysargs *args)
{
    return do_remove(task, args, BY_FD);
}
