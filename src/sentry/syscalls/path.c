/* SPDX-License-Identifier: Apache-2.0 */
/* Names: mkdir(2), rmdir(2), rename(2), link(2), unlink(2), symlink(2), readlink(2), mknod(2),
 * chdir(2), getdents(2). */
#include "sentry/syscalls/path.h"

#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "sentry/kernel/cred.h"

/* ---- paths of the program ------------------------------------------------------------------- */

void user_path_fini(struct user_path *path)
{
    if (path->text && path->text != path->small)
        arena_free(path->arena, path->text, PATH_SIZE_MAX);
    REF_CLEAR(path->file);
    path->text = NULL;
}

SLEEPS int user_path_get(struct task *task, i32 dirfd, uaddr at, bool may_be_empty,
                         struct user_path *out)
{
    out->arena = task->kernel->arena;
    out->text = out->small;
    out->file = NULL;
    out->start = NULL;
    i64 size = copy_string_from_user(task, out->text, at, sizeof out->small);
    if (size == -ENAMETOOLONG) {
        out->text = arena_alloc(out->arena, PATH_SIZE_MAX);
        if (!out->text)
            return -ENOMEM;
        size = copy_string_from_user(task, out->text, at, PATH_SIZE_MAX);
    }
    if (size < 0)
        return (int)size;
    if (size == 0 && !may_be_empty)
        return -ENOENT;
    if (out->text[0] == '/' || dirfd == LINUX_AT_FDCWD)
        return 0;
    out->file = fd_get(task, dirfd);
    if (!out->file)
        return -EBADF;
    if (size > 0 && !inode_is_dir(out->file->path.dentry->inode))
        return -ENOTDIR;
    out->start = &out->file->path;
    return 0;
}

SLEEPS int user_path_walk(struct task *task, i32 dirfd, uaddr at, u32 walk_flags, struct path *out)
{
    AUTO_USER_PATH struct user_path path = {0};
    int err = user_path_get(task, dirfd, at, walk_flags & WALK_EMPTY, &path);
    return err ? err : path_walk(task, path.start, path.text, walk_flags, out);
}

int at_flags(u32 flags, u32 allowed, bool follows, u32 *out)
{
    if (flags & ~allowed)
        return -EINVAL;
    *out = 0;
    if (follows ? !(flags & LINUX_AT_SYMLINK_NOFOLLOW) : (flags & LINUX_AT_SYMLINK_FOLLOW) != 0)
        *out |= WALK_FOLLOW;
    if (flags & LINUX_AT_EMPTY_PATH)
        *out |= WALK_EMPTY;
    return 0;
}

/* ---- making --------------------------------------------------------------------------------- */

SLEEPS static i64 do_mkdir(struct task *task, i32 dirfd, uaddr at, u32 mode)
{
    AUTO_USER_PATH struct user_path path = {0};
    int err = user_path_get(task, dirfd, at, false, &path);
    return err ? err : vfs_mkdir(task, path.start, path.text, mode & 01777u);
}

SLEEPS i64 sys_mkdir(struct task *task, const struct sysargs *args)
{
    return do_mkdir(task, LINUX_AT_FDCWD, arg_uaddr(args, 0), arg_u32(args, 1));
}
SLEEPS i64 sys_mkdirat(struct task *task, const struct sysargs *args)
{
    return do_mkdir(task, arg_fd(args, 0), arg_uaddr(args, 1), arg_u32(args, 2));
}

SLEEPS static i64 do_mknod(struct task *task, i32 dirfd, uaddr at, u32 mode, u32 rdev)
{
    u32 type = mode & LINUX_S_IFMT;
    if (type == 0)
        mode |= type = LINUX_S_IFREG;
    if (type == LINUX_S_IFDIR)
        return -EPERM;
    if (type != LINUX_S_IFREG && type != LINUX_S_IFIFO && type != LINUX_S_IFSOCK &&
        type != LINUX_S_IFCHR && type != LINUX_S_IFBLK)
        return -EINVAL;
    bool is_device = type == LINUX_S_IFCHR || type == LINUX_S_IFBLK;
    AUTO_USER_PATH struct user_path path = {0};
    int err = user_path_get(task, dirfd, at, false, &path);
    if (!err && is_device && rdev != 0 && !task_has_capability(task, CAP_MKNOD))
        err = -EPERM;
    return err ? err : vfs_mknod(task, path.start, path.text, mode, is_device ? rdev : 0);
}

SLEEPS i64 sys_mknod(struct task *task, const struct sysargs *args)
{
    return do_mknod(task, LINUX_AT_FDCWD, arg_uaddr(args, 0), arg_u32(args, 1), arg_u32(args, 2));
}
SLEEPS i64 sys_mknodat(struct task *task, const struct sysargs *args)
{
    return do_mknod(task, arg_fd(args, 0), arg_uaddr(args, 1), arg_u32(args, 2), arg_u32(args, 3));
}

SLEEPS static i64 do_symlink(struct task *task, uaddr target_at, i32 dirfd, uaddr at)
{
    AUTO_USER_PATH struct user_path target = {0};
    AUTO_USER_PATH struct user_path path = {0};
    int err = user_path_get(task, LINUX_AT_FDCWD, target_at, false, &target);
    if (!err)
        err = user_path_get(task, dirfd, at, false, &path);
    return err ? err : vfs_symlink(task, target.text, path.start, path.text);
}

SLEEPS i64 sys_symlink(struct task *task, const struct sysargs *args)
{
    return do_symlink(task, arg_uaddr(args, 0), LINUX_AT_FDCWD, arg_uaddr(args, 1));
}
SLEEPS i64 sys_symlinkat(struct task *task, const struct sysargs *args)
{
    return do_symlink(task, arg_uaddr(args, 0), arg_fd(args, 1), arg_uaddr(args, 2));
}

SLEEPS i64 sys_linkat(struct task *task, const struct sysargs *args)
{
    u32 walk_flags;
    int err = at_flags(arg_u32(args, 4), LINUX_AT_SYMLINK_FOLLOW | LINUX_AT_EMPTY_PATH, false,
                       &walk_flags);
    if (!err && (walk_flags & WALK_EMPTY) && !task_has_capability(task, CAP_DAC_READ_SEARCH))
        err = -ENOENT;
    AUTO_PATH struct path old = {0};
    if (!err)
        err = user_path_walk(task, arg_fd(args, 0), arg_uaddr(args, 1), walk_flags, &old);
    AUTO_USER_PATH struct user_path path = {0};
    if (!err)
        err = user_path_get(task, arg_fd(args, 2), arg_uaddr(args, 3), false, &path);
    return err ? err : vfs_link(task, &old, path.start, path.text);
}

SLEEPS i64 sys_link(struct task *task, const struct sysargs *args)
{
    const struct sysargs all = {
        {(u64)(i64)LINUX_AT_FDCWD, args->v[0], (u64)(i64)LINUX_AT_FDCWD, args->v[1], 0}};
    return sys_linkat(task, &all);
}

/* ---- taking away and moving ----------------------------------------------------------------- */

SLEEPS static i64 do_unlink(struct task *task, i32 dirfd, uaddr at, u32 flags)
{
    if (flags & ~LINUX_AT_REMOVEDIR)
        return -EINVAL;
    AUTO_USER_PATH struct user_path path = {0};
    int err = user_path_get(task, dirfd, at, false, &path);
    return err ? err : vfs_unlink(task, path.start, path.text, flags);
}

SLEEPS i64 sys_unlink(struct task *task, const struct sysargs *args)
{
    return do_unlink(task, LINUX_AT_FDCWD, arg_uaddr(args, 0), 0);
}
SLEEPS i64 sys_unlinkat(struct task *task, const struct sysargs *args)
{
    return do_unlink(task, arg_fd(args, 0), arg_uaddr(args, 1), arg_u32(args, 2));
}
SLEEPS i64 sys_rmdir(struct task *task, const struct sysargs *args)
{
    return do_unlink(task, LINUX_AT_FDCWD, arg_uaddr(args, 0), LINUX_AT_REMOVEDIR);
}

SLEEPS i64 sys_renameat2(struct task *task, const struct sysargs *args)
{
    u32 flags = arg_u32(args, 4);
    bool is_exchange = flags & 2u, is_whiteout = flags & 4u;
    if ((flags & ~7u) || ((flags & 1u) && is_exchange) || (is_whiteout && is_exchange))
        return -EINVAL;
    if (is_whiteout)
        return -EINVAL; /* RENAME_WHITEOUT: no file system here has it for programs */
    AUTO_USER_PATH struct user_path from = {0};
    AUTO_USER_PATH struct user_path to = {0};
    int err = user_path_get(task, arg_fd(args, 0), arg_uaddr(args, 1), false, &from);
    if (!err)
        err = user_path_get(task, arg_fd(args, 2), arg_uaddr(args, 3), false, &to);
    return err ? err : vfs_rename(task, from.start, from.text, to.start, to.text, flags);
}

SLEEPS i64 sys_renameat(struct task *task, const struct sysargs *args)
{
    const struct sysargs all = {{args->v[0], args->v[1], args->v[2], args->v[3], 0}};
    return sys_renameat2(task, &all);
}
SLEEPS i64 sys_rename(struct task *task, const struct sysargs *args)
{
    const struct sysargs all = {
        {(u64)(i64)LINUX_AT_FDCWD, args->v[0], (u64)(i64)LINUX_AT_FDCWD, args->v[1], 0}};
    return sys_renameat2(task, &all);
}

SLEEPS static i64 do_readlink(struct task *task, i32 dirfd, uaddr at, uaddr to, i32 size)
{
    if (size <= 0)
        return -EINVAL;
    AUTO_PATH struct path path = {0};
    int err = user_path_walk(task, dirfd, at, WALK_EMPTY, &path);
    if (err)
        return err;
    if (!inode_is_symlink(path.dentry->inode)) {
        u8 first = 1; /* an empty path names the descriptor, which has to be a link then */
        err = copy_from_user(task, &first, at, 1);
        return err ? err : first ? -EINVAL : -ENOENT;
    }
    struct arena *arena = task->kernel->arena;
    char *text = arena_alloc(arena, PATH_SIZE_MAX);
    if (!text)
        return -ENOMEM;
    i64 length = vfs_readlink(task, &path, text, MIN((size_t)size, (size_t)PATH_SIZE_MAX));
    if (length > 0 && copy_to_user(task, to, text, (u64)length))
        length = -EFAULT;
    arena_free(arena, text, PATH_SIZE_MAX);
    return length;
}

SLEEPS i64 sys_readlink(struct task *task, const struct sysargs *args)
{
    return do_readlink(task, LINUX_AT_FDCWD, arg_uaddr(args, 0), arg_uaddr(args, 1),
                       arg_i32(args, 2));
}
SLEEPS i64 sys_readlinkat(struct task *task, const struct sysargs *args)
{
    return do_readlink(task, arg_fd(args, 0), arg_uaddr(args, 1), arg_uaddr(args, 2),
                       arg_i32(args, 3));
}

/* ---- where the task is ---------------------------------------------------------------------- */

/* PATH (owned) becomes the cwd or root; it is a directory one may search. */
SLEEPS static int set_place(struct task *task, struct path *path, struct path *place)
{
    if (!inode_is_dir(path->dentry->inode))
        return -ENOTDIR;
    int err = vfs_permission(task, path, 1);
    if (err)
        return err;
    struct path old = *place;
    *place = *path;
    *path = (struct path){0};
    path_put(&old);
    return 0;
}

SLEEPS i64 sys_chdir(struct task *task, const struct sysargs *args)
{
    AUTO_PATH struct path path = {0};
    int err = user_path_walk(task, LINUX_AT_FDCWD, arg_uaddr(args, 0), WALK_FOLLOW | WALK_DIRECTORY,
                             &path);
    return err ? err : set_place(task, &path, &task->fs->cwd);
}

SLEEPS i64 sys_fchdir(struct task *task, const struct sysargs *args)
{
    AUTO_PUT struct file *file = fd_get(task, arg_fd(args, 0));
    if (!file)
        return -EBADF;
    AUTO_PATH struct path path = file->path;
    path_get(&path);
    return set_place(task, &path, &task->fs->cwd);
}

SLEEPS i64 sys_chroot(struct task *task, const struct sysargs *args)
{
    AUTO_PATH struct path path = {0};
    int err = user_path_walk(task, LINUX_AT_FDCWD, arg_uaddr(args, 0), WALK_FOLLOW | WALK_DIRECTORY,
                             &path);
    if (!err)
        err = vfs_permission(task, &path, 1);
    if (!err && !task_has_capability_in(task, task->cred->user_ns, CAP_SYS_CHROOT))
        err = -EPERM;
    return err ? err : set_place(task, &path, &task->fs->root);
}

SLEEPS i64 sys_getcwd(struct task *task, const struct sysargs *args)
{
    struct buf text;
    buf_init(&text, task->kernel->arena, PATH_SIZE_MAX * 2);
    int err = task->fs->cwd.dentry->is_unlinked ? -ENOENT
                                                : path_text(&task->fs->cwd, &task->fs->root, &text);
    if (!err)
        err = buf_append(&text, "", 1);
    if (!err && text.size > PATH_SIZE_MAX)
        err = -ENAMETOOLONG;
    if (!err && text.size > arg_u64(args, 1))
        err = -ERANGE;
    i64 size = (i64)text.size;
    if (!err)
        err = copy_to_user(task, arg_uaddr(args, 0), buf_bytes(&text), (u64)size);
    buf_fini(&text);
    return err ? err : size;
}

SLEEPS i64 sys_umask(struct task *task, const struct sysargs *args)
{
    u32 old = task->fs->umask;
    task->fs->umask = arg_u32(args, 0) & 0777u;
    return old;
}

/* ---- listings ------------------------------------------------------------------------------- */

/* Records go to the program one by one: what did not fit or had no memory is still there next time.
 */
struct dents {
    struct dir_emit emit;
    struct task *task;
    uaddr at;
    u64 room; /* bytes of the program's buffer that are left */
    u64 written;
    bool is_64;
    int err; /* why the last one was not taken */
};

#define DENT_SIZE_MAX 280u

SLEEPS static bool put_dent(struct dir_emit *emit, const char *name, size_t size, u64 ino, u8 type,
                            u64 next)
{
    struct dents *dents = emit->owner;
    /* linux_dirent64: type before the name; linux_dirent: type in the record's last byte. */
    size_t name_at = dents->is_64 ? 19 : 18;
    size_t record = ALIGN_UP(name_at + size + (dents->is_64 ? 1u : 2u), (size_t)8);
    u8 bytes[DENT_SIZE_MAX] = {0};
    u16 record_size = (u16)record;
    ASSERT(record <= sizeof bytes);
    if (record > dents->room) {
        dents->err = -EINVAL;
        return false;
    }
    memcpy(bytes, &ino, 8);
    memcpy(bytes + 8, &next, 8);
    memcpy(bytes + 16, &record_size, 2);
    memcpy(bytes + name_at, name, size);
    bytes[dents->is_64 ? 18 : record - 1] = type;
    dents->err = copy_to_user(dents->task, uaddr_add(dents->at, dents->written), bytes, record);
    if (dents->err)
        return false;
    dents->written += record;
    dents->room -= record;
    return true;
}

SLEEPS static i64 do_getdents(struct task *task, const struct sysargs *args, bool is_64)
{
    AUTO_PUT struct file *file = fd_get(task, arg_fd(args, 0));
    if (!file || file->is_path)
        return -EBADF;
    struct dents dents = {.emit = {.emit = put_dent, .owner = &dents},
                          .task = task,
                          .at = arg_uaddr(args, 1),
                          .room = MIN((u64)arg_u32(args, 2), (u64)INT32_MAX),
                          .is_64 = is_64};
    int err = file_readdir(task, file, &dents.emit);
    if (dents.written > 0)
        return (i64)dents.written;
    return err ? err : dents.err;
}

SLEEPS i64 sys_getdents(struct task *task, const struct sysargs *args)
{
    return do_getdents(task, args, false);
}
SLEEPS i64 sys_getdents64(struct task *task, const struct sysargs *args)
{
    return do_getdents(task, args, true);
}
