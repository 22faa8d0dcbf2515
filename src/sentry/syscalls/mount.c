/* SPDX-License-Identifier: Apache-2.0 */
/* mount(2), umount2(2), pivot_root(2). */
#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "sentry/kernel/cred.h"
#include "sentry/syscalls/path.h"

/* A string that may be absent, in arena memory (NULL then). */
SLEEPS static int text_arg(struct task *task, uaddr at, struct user_path *out)
{
    if (at.value == 0)
        return 0;
    int err = user_path_get(task, LINUX_AT_FDCWD, at, true, out);
    return err == -ENAMETOOLONG ? -EINVAL : err;
}

SLEEPS i64 sys_mount(struct task *task, const struct sysargs *args)
{
    AUTO_USER_PATH struct user_path source = {0};
    AUTO_USER_PATH struct user_path target = {0};
    AUTO_USER_PATH struct user_path type = {0};
    AUTO_USER_PATH struct user_path options = {0};
    int err = text_arg(task, arg_uaddr(args, 2), &type);
    if (!err)
        err = text_arg(task, arg_uaddr(args, 0), &source);
    if (!err)
        err = text_arg(task, arg_uaddr(args, 4), &options);
    if (!err)
        err = user_path_get(task, LINUX_AT_FDCWD, arg_uaddr(args, 1), false, &target);
    if (!err)
        err = task_may_mount(task);
    return err ? err
               : vfs_mount(task, source.text, target.text, type.text, arg_u64(args, 3),
                           options.text);
}

SLEEPS i64 sys_umount2(struct task *task, const struct sysargs *args)
{
    if (arg_u32(args, 1) & ~15u)
        return -EINVAL;
    if (task_may_mount(task))
        return -EPERM;
    AUTO_USER_PATH struct user_path target = {0};
    int err = user_path_get(task, LINUX_AT_FDCWD, arg_uaddr(args, 0), false, &target);
    return err ? err : vfs_umount(task, target.text, arg_u32(args, 1));
}

SLEEPS i64 sys_pivot_root(struct task *task, const struct sysargs *args)
{
    if (task_may_mount(task))
        return -EPERM;
    AUTO_USER_PATH struct user_path new_root = {0};
    AUTO_USER_PATH struct user_path put_old = {0};
    int err = user_path_get(task, LINUX_AT_FDCWD, arg_uaddr(args, 0), false, &new_root);
    if (!err)
        err = user_path_get(task, LINUX_AT_FDCWD, arg_uaddr(args, 1), false, &put_old);
    return err ? err : vfs_pivot_root(task, new_root.text, put_old.text);
}
