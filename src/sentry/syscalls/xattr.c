/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of xattr(7): by path, by path without following, by descriptor, and by directory. */
#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "sentry/syscalls/path.h"

#define XATTR_NAME_MAX 255u
#define XATTR_VALUE_MAX 65536u

enum by { BY_PATH, BY_LINK, BY_FD };

/* One call's arguments, wherever it has them. */
struct xattr_call {
    bool is_fd; /* `fd` itself, not a path from it */
    i32 fd;
    uaddr path, name, value;
    u64 size;
    u32 flags, walk_flags;
};

static struct xattr_call call_of(const struct sysargs *args, enum by by)
{
    return (struct xattr_call){.is_fd = by == BY_FD,
                               .fd = by == BY_FD ? arg_fd(args, 0) : LINUX_AT_FDCWD,
                               .path = arg_uaddr(args, 0),
                               .name = arg_uaddr(args, 1),
                               .value = arg_uaddr(args, 2),
                               .size = arg_u64(args, 3),
                               .flags = arg_u32(args, 4),
                               .walk_flags = by == BY_PATH ? WALK_FOLLOW : 0};
}

/* The file it is about, owned. */
SLEEPS static int subject(struct task *task, const struct xattr_call *call, struct path *out)
{
    if (!call->is_fd)
        return user_path_walk(task, call->fd, call->path, call->walk_flags, out);
    AUTO_PUT struct file *file = fd_get(task, call->fd);
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

SLEEPS static i64 do_set(struct task *task, const struct xattr_call *call)
{
    char name[XATTR_NAME_MAX + 1];
    u64 size = call->size;
    if (call->flags & ~3u)
        return -EINVAL;
    int err = name_arg(task, call->name, name);
    if (!err && size > XATTR_VALUE_MAX)
        err = -E2BIG;
    if (err)
        return err;
    struct arena *arena = task->kernel->arena;
    u8 *value = arena_alloc(arena, size + 1);
    if (!value)
        return -ENOMEM;
    err = size ? copy_from_user(task, value, call->value, size) : 0;
    AUTO_PATH struct path path = {0};
    if (!err)
        err = subject(task, call, &path);
    if (!err)
        err = vfs_setxattr(task, &path, name, value, size, (int)call->flags);
    arena_free(arena, value, size + 1);
    return err;
}

/* A value or a list: asked into memory of the sentry, then out. */
SLEEPS static i64 do_read(struct task *task, const struct xattr_call *call, bool is_list)
{
    char name[XATTR_NAME_MAX + 1];
    u64 room = MIN(call->size, (u64)XATTR_VALUE_MAX);
    i64 result = is_list ? 0 : name_arg(task, call->name, name);
    AUTO_PATH struct path path = {0};
    if (!result)
        result = subject(task, call, &path);
    if (result)
        return result;
    struct arena *arena = task->kernel->arena;
    char *value = arena_alloc(arena, room + 1);
    if (!value)
        return -ENOMEM;
    result = is_list ? vfs_listxattr(task, &path, value, room)
                     : vfs_getxattr(task, &path, name, value, room);
    if (result > 0 && room > 0 && copy_to_user(task, call->value, value, (u64)result))
        result = -EFAULT;
    arena_free(arena, value, room + 1);
    return result;
}

SLEEPS static i64 do_remove(struct task *task, const struct xattr_call *call)
{
    char name[XATTR_NAME_MAX + 1];
    AUTO_PATH struct path path = {0};
    int err = name_arg(task, call->name, name);
    if (!err)
        err = subject(task, call, &path);
    return err ? err : vfs_removexattr(task, &path, name);
}

/* ---- by path, link and descriptor ------------------------------------------------------------ */

SLEEPS i64 sys_setxattr(struct task *task, const struct sysargs *args)
{
    struct xattr_call call = call_of(args, BY_PATH);
    return do_set(task, &call);
}

SLEEPS i64 sys_lsetxattr(struct task *task, const struct sysargs *args)
{
    struct xattr_call call = call_of(args, BY_LINK);
    return do_set(task, &call);
}

SLEEPS i64 sys_fsetxattr(struct task *task, const struct sysargs *args)
{
    struct xattr_call call = call_of(args, BY_FD);
    return do_set(task, &call);
}

SLEEPS i64 sys_getxattr(struct task *task, const struct sysargs *args)
{
    struct xattr_call call = call_of(args, BY_PATH);
    return do_read(task, &call, false);
}

SLEEPS i64 sys_lgetxattr(struct task *task, const struct sysargs *args)
{
    struct xattr_call call = call_of(args, BY_LINK);
    return do_read(task, &call, false);
}

SLEEPS i64 sys_fgetxattr(struct task *task, const struct sysargs *args)
{
    struct xattr_call call = call_of(args, BY_FD);
    return do_read(task, &call, false);
}

SLEEPS static i64 do_list(struct task *task, const struct sysargs *args, enum by by)
{
    struct xattr_call call = call_of(args, by);
    call.value = arg_uaddr(args, 1);
    call.size = arg_u64(args, 2);
    return do_read(task, &call, true);
}

SLEEPS i64 sys_listxattr(struct task *task, const struct sysargs *args)
{
    return do_list(task, args, BY_PATH);
}

SLEEPS i64 sys_llistxattr(struct task *task, const struct sysargs *args)
{
    return do_list(task, args, BY_LINK);
}

SLEEPS i64 sys_flistxattr(struct task *task, const struct sysargs *args)
{
    return do_list(task, args, BY_FD);
}

SLEEPS i64 sys_removexattr(struct task *task, const struct sysargs *args)
{
    struct xattr_call call = call_of(args, BY_PATH);
    return do_remove(task, &call);
}

SLEEPS i64 sys_lremovexattr(struct task *task, const struct sysargs *args)
{
    struct xattr_call call = call_of(args, BY_LINK);
    return do_remove(task, &call);
}

SLEEPS i64 sys_fremovexattr(struct task *task, const struct sysargs *args)
{
    struct xattr_call call = call_of(args, BY_FD);
    return do_remove(task, &call);
}

/* ---- by directory ---------------------------------------------------------------------------- */

struct linux_xattr_args {
    u64 value;
    u32 size, flags;
};
_Static_assert(sizeof(struct linux_xattr_args) == 16, "Linux");

/* The first three arguments. An empty path with AT_EMPTY_PATH means the descriptor. */
SLEEPS static int call_at(struct task *task, const struct sysargs *args, struct xattr_call *call)
{
    *call = (struct xattr_call){.fd = arg_fd(args, 0), .path = arg_uaddr(args, 1)};
    u32 flags = arg_u32(args, 2);
    int err = at_flags(flags, LINUX_AT_SYMLINK_NOFOLLOW | LINUX_AT_EMPTY_PATH, true,
                       &call->walk_flags);
    if (err || !(flags & LINUX_AT_EMPTY_PATH) || call->fd == LINUX_AT_FDCWD)
        return err;
    char first = 0;
    if (call->path.value && copy_from_user(task, &first, call->path, 1))
        return -EFAULT;
    call->is_fd = first == 0;
    return 0;
}

/* The struct of setxattrat and getxattrat, which newer callers may have made longer: with nothing
 * in it. */
SLEEPS static int read_xattr_args(struct task *task, uaddr at, u64 size, struct xattr_call *call)
{
    struct linux_xattr_args known;
    if (size < sizeof known)
        return -EINVAL;
    if (size > PAGE_SIZE)
        return -E2BIG;
    int err = copy_from_user(task, &known, at, sizeof known);
    for (u64 done = sizeof known; !err && done < size;) {
        u8 rest[64];
        u64 count = MIN(size - done, sizeof rest);
        err = copy_from_user(task, rest, uaddr_add(at, done), count);
        for (u64 i = 0; !err && i < count; i++)
            err = rest[i] ? -E2BIG : 0;
        done += count;
    }
    call->value = uaddr_make(known.value);
    call->size = known.size;
    call->flags = known.flags;
    return err;
}

SLEEPS i64 sys_setxattrat(struct task *task, const struct sysargs *args)
{
    struct xattr_call call;
    int err = call_at(task, args, &call);
    call.name = arg_uaddr(args, 3);
    if (!err)
        err = read_xattr_args(task, arg_uaddr(args, 4), arg_u64(args, 5), &call);
    return err ? err : do_set(task, &call);
}

SLEEPS i64 sys_getxattrat(struct task *task, const struct sysargs *args)
{
    struct xattr_call call;
    int err = call_at(task, args, &call);
    call.name = arg_uaddr(args, 3);
    if (!err)
        err = read_xattr_args(task, arg_uaddr(args, 4), arg_u64(args, 5), &call);
    if (!err && call.flags)
        err = -EINVAL;
    return err ? err : do_read(task, &call, false);
}

SLEEPS i64 sys_listxattrat(struct task *task, const struct sysargs *args)
{
    struct xattr_call call;
    int err = call_at(task, args, &call);
    call.value = arg_uaddr(args, 3);
    call.size = arg_u64(args, 4);
    return err ? err : do_read(task, &call, true);
}

SLEEPS i64 sys_removexattrat(struct task *task, const struct sysargs *args)
{
    struct xattr_call call;
    int err = call_at(task, args, &call);
    call.name = arg_uaddr(args, 3);
    return err ? err : do_remove(task, &call);
}
