/* SPDX-License-Identifier: Apache-2.0 */
/* What control calls do with the files of a running container: mount and unmount, read a file. By
 * root, in its root. */
#include <errno.h>
#include <string.h>

#include "abi/fcntl.h"
#include "abi/mount.h"
#include "loader/internal.h"
#include "sentry/fs/erofs/erofs.h"
#include "sentry/fs/mount.h"

#define PIECE_SIZE ((u64)64 << 10)

int inside_enter(struct inside *inside, struct loader *loader, struct task *by, const char *id,
                 struct error *err)
{
    *inside = (struct inside){.container = container_lookup(loader, id)};
    struct container *container = inside->container;
    if (!container)
        return error_set(err, ENOENT, "container %s is deleted", id);
    int result = 0;
    if (container_has_ended(container))
        result = error_set(err, ESRCH, "failed to find init process");
    else if (!container->init || !container->mounts)
        result = error_set(err, EINVAL, "container %s isn't started", id);
    if (!result && (view_root(loader->kernel, container->mounts, &inside->fs) ||
                    cred_create_root(loader->kernel->arena, &inside->cred)))
        result = error_set(err, ENOMEM, "out of memory");
    if (!result) {
        view_enter(&inside->view, by, inside->fs, inside->cred, NULL);
        return 0;
    }
    REF_CLEAR(inside->fs);
    object_put(&container->object);
    return -1;
}

void inside_leave(struct inside *inside)
{
    view_leave(&inside->view);
    REF_CLEAR(inside->fs);
    REF_CLEAR(inside->cred);
    object_put(&inside->container->object);
}

/* ---- images --------------------------------------------------------------------------------- */

static int point_error(const char *destination, int result, struct error *err)
{
    return error_set(err, -result, "mount point \"%s\": %s", destination, errno_text(-result));
}

SLEEPS static int attach_image(struct task *by, struct host_file *file, const char *source,
                               const char *destination, struct error *err)
{
    AUTO_PATH struct path point = {0};
    AUTO_PUT struct super *super = NULL;
    AUTO_PUT struct mount *mount = NULL;
    int found = path_walk(by, NULL, destination, WALK_FOLLOW, &point);
    if (found && found != -ENOENT) {
        host_file_put(file);
        return point_error(destination, found, err);
    }
    int result = erofs_create(by, file, &super);
    if (!result && found) { /* only for an image that is one: who fails leaves nothing */
        found = vfs_mkdir_all(by, destination, 0755);
        if (!found)
            found = path_walk(by, NULL, destination, WALK_FOLLOW, &point);
        if (found)
            return point_error(destination, found, err);
    }
    if (!result)
        result = mount_attach(by, super, super->root, &point, LINUX_MS_RDONLY, source, &mount);
    return result
               ? error_set(err, -result, "mounting image \"%s\": %s", source, errno_text(-result))
               : 0;
}

int loader_mount_image(struct loader *loader, struct task *by, const char *id, int fd,
                       const char *source, const char *destination, struct error *err)
{
    struct inside inside;
    struct host_file *file = host_file_from_fd(loader->kernel->host, fd);
    if (!file)
        return error_set(err, ENOMEM, "out of memory");
    if (inside_enter(&inside, loader, by, id, err)) {
        host_file_put(file);
        return -1;
    }
    int result = attach_image(by, file, source, destination, err);
    inside_leave(&inside);
    return result;
}

/* ---- mounts --------------------------------------------------------------------------------- */

#define MOUNT_FLAGS \
    (LINUX_MS_RDONLY | LINUX_MS_NOEXEC | LINUX_MS_NODEV | LINUX_MS_NOSUID | LINUX_MS_NOATIME)

SLEEPS static int type_mount(const struct fs_type *type, struct task *by,
                             const struct mount_args *args, struct super **out)
{
    return type->mount(by, args->source, (u32)args->flags, *args->data ? args->data : NULL, out);
}

/* The file system that ARGS describe. FD: taken. */
SLEEPS static int make_super(struct task *by, const struct mount_args *args, int *fd,
                             struct super **out)
{
    bool is_gofer = strcmp(args->type, "gofer") == 0 || strcmp(args->type, "9p") == 0;
    if (is_gofer) {
        struct host_stream *stream = *fd < 0 ? NULL : host_stream_from_fd(by->kernel->host, *fd);
        if (!stream)
            return *fd < 0 ? -EBADF : -ENOMEM;
        *fd = -1;
        return gofer_fs_create(by, stream, args->flags & LINUX_MS_RDONLY, true, out);
    }
    const struct fs_type *type = fs_type_find(args->type);
    return type && type->mount ? type_mount(type, by, args, out) : -ENODEV;
}

/* The folder that PATH names; the last part of it may be missing and is made. */
SLEEPS static int find_target(struct task *by, const char *target, struct path *out)
{
    int err = path_walk(by, NULL, target, WALK_FOLLOW, out);
    if (err == -ENOENT) {
        err = vfs_mkdir(by, NULL, target, 0755);
        if (!err)
            err = path_walk(by, NULL, target, WALK_FOLLOW, out);
    }
    return err;
}

SLEEPS static int attach_type(struct task *by, const struct mount_args *args, int *fd)
{
    AUTO_PATH struct path point = {0};
    AUTO_PUT struct super *super = NULL;
    AUTO_PUT struct mount *mount = NULL;
    int err = find_target(by, args->target, &point);
    if (!err)
        err = make_super(by, args, fd, &super);
    if (!err)
        err = mount_attach(by, super, super->root, &point, (u32)args->flags, args->source, &mount);
    return err;
}

static const char *id_or_root(const struct loader *loader, const char *id)
{
    return id && *id ? id : loader->config.sandbox_id;
}

int loader_mount(struct loader *loader, struct task *by, const struct mount_args *args,
                 struct error *err)
{
    struct inside inside;
    int fd = args->fd, result = -1;
    if (args->target[0] != '/')
        error_set(err, EINVAL, "target must be an absolute path: \"%s\"", args->target);
    else if (inside_enter(&inside, loader, by, id_or_root(loader, args->container_id), err) == 0) {
        result = args->flags & ~(u64)MOUNT_FLAGS ? -EINVAL : attach_type(by, args, &fd);
        inside_leave(&inside);
        if (result)
            error_set(err, -result, "failed to mount %s at %s: %s", args->type, args->target,
                      errno_text(-result));
    }
    loader_close_fd(loader, &fd);
    return result ? -1 : 0;
}

int loader_umount(struct loader *loader, struct task *by, const char *id, const char *target,
                  u32 flags, struct error *err)
{
    struct inside inside;
    if (target[0] != '/')
        return error_set(err, EINVAL, "target must be an absolute path: \"%s\"", target);
    if (inside_enter(&inside, loader, by, id_or_root(loader, id), err))
        return -1;
    int result = vfs_umount(by, target, flags);
    inside_leave(&inside);
    return result ? error_set(err, -result, "failed to unmount %s: %s", target, errno_text(-result))
                  : 0;
}

/* ---- reading -------------------------------------------------------------------------------- */

int loader_write_all(struct task *by, struct host_file *out, const void *from, u64 size)
{
    const u8 *bytes = from;
    while (size > 0) {
        struct host_op op;
        memset(&op, 0, sizeof op);
        op.type = HOST_OP_WRITE;
        op.file = out;
        op.iov_count = 1;
        op.iov[0] = (struct host_iovec){(void *)(uintptr_t)bytes, size};
        i64 put = fiber_host_op(&by->fiber, &op);
        if (put <= 0)
            return put < 0 ? (int)put : -EIO;
        bytes += put;
        size -= (u64)put;
    }
    return 0;
}

int loader_read_all(struct task *by, struct host_file *file, u64 offset, void *out, u64 size)
{
    u8 *bytes = out;
    while (size > 0) {
        struct host_op op;
        memset(&op, 0, sizeof op);
        op.type = HOST_OP_PREAD;
        op.file = file;
        op.offset = offset;
        op.iov_count = 1;
        op.iov[0] = (struct host_iovec){bytes, size};
        i64 got = fiber_host_op(&by->fiber, &op);
        if (got <= 0)
            return got < 0 ? (int)got : -ENODATA;
        bytes += got;
        offset += (u64)got;
        size -= (u64)got;
    }
    return 0;
}

SLEEPS static int copy_file(struct task *by, struct file *file, u64 offset, u64 size,
                            struct host_file *out)
{
    u8 *piece = arena_alloc(by->kernel->arena, PIECE_SIZE);
    int err = piece ? 0 : -ENOMEM;
    while (!err && size > 0) {
        i64 got = file_pread_kernel(by, file, piece, MIN(size, PIECE_SIZE), offset);
        if (got <= 0) {
            err = (int)got;
            break;
        }
        err = loader_write_all(by, out, piece, (u64)got);
        offset += (u64)got;
        size -= (u64)got;
        if (!err && by->fiber.is_interrupted)
            err = -EINTR;
    }
    arena_free(by->kernel->arena, piece, PIECE_SIZE);
    return err;
}

SLEEPS static int copy_path(struct task *by, const char *path, u64 offset, u64 size,
                            struct host_file *out)
{
    AUTO_PUT struct file *file = NULL;
    int err = vfs_open(by, NULL, path, LINUX_O_RDONLY | LINUX_O_NONBLOCK, 0, WALK_FOLLOW, &file);
    if (!err && !inode_is_regular(file->inode))
        err = inode_is_dir(file->inode) ? -EISDIR : -EINVAL;
    return err ? err : copy_file(by, file, offset, size, out);
}

int loader_read_file(struct loader *loader, struct task *by, const struct read_args *args,
                     struct host_file *out, struct error *err)
{
    struct inside inside;
    const char *id = args->container_id;
    if (!id || !*id)
        id = loader->config.sandbox_id;
    if (inside_enter(&inside, loader, by, id, err))
        return -1;
    int result = copy_path(by, args->path, args->offset, args->size, out);
    inside_leave(&inside);
    return result ? error_set(err, -result, "open %s: %s", args->path, errno_text(-result)) : 0;
}
