/* SPDX-License-Identifier: Apache-2.0 */
/* What lies in /dev besides what the file system "dev" brings, and the masks that lie over /proc
 * and /sys. */
#include <errno.h>
#include <string.h>

#include "abi/mount.h"
#include "abi/stat.h"
#include "loader/internal.h"

#define DEVICE_MODE 0666u

static u32 make_rdev(u64 major, u64 minor)
{
    return (u32)((minor & 0xff) | (major & 0xfff) << 8 | (minor & 0xfff00) << 12);
}

static u32 device_type(const struct oci_device *device)
{
    switch (device->type[0]) {
    case 'b':
        return LINUX_S_IFBLK;
    case 'p':
        return LINUX_S_IFIFO;
    default:
        return LINUX_S_IFCHR;
    }
}

/* Owner and mode as the spec says, whatever was there before. */
SLEEPS static int set_owner(struct task *by, const struct oci_device *device)
{
    AUTO_PATH struct path path = {0};
    int err = path_walk(by, NULL, device->path, 0, &path);
    if (err)
        return err;
    struct attr attr = {.mask = ATTR_UID | ATTR_GID,
                        .uid = device->uid ? *device->uid : 0,
                        .gid = device->gid ? *device->gid : 0};
    if (device->file_mode) {
        attr.mask |= ATTR_MODE;
        attr.mode = device_type(device) | (*device->file_mode & 07777);
    }
    return vfs_setattr(by, &path, &attr);
}

SLEEPS static int device_create(struct task *by, const struct oci_device *device)
{
    struct arena *arena = by->kernel->arena;
    const char *slash = strrchr(device->path, '/');
    char *dir = slash > device->path
                    ? arena_strndup(arena, device->path, (size_t)(slash - device->path))
                    : NULL;
    int err = dir ? vfs_mkdir_all(by, dir, 0755) : 0;
    arena_free_string(arena, dir);
    if (err)
        return err;
    u32 mode = device_type(device) | (device->file_mode ? *device->file_mode & 07777 : DEVICE_MODE);
    err = vfs_mknod(by, NULL, device->path, mode,
                    make_rdev((u64)device->major, (u64)device->minor));
    if (err == -EEXIST)
        return 0;
    return err ? err : set_owner(by, device);
}

SLEEPS static int link_create(struct task *by, const char *target, const char *path)
{
    int err = vfs_symlink(by, target, NULL, path);
    return err == -EEXIST ? 0 : err;
}

/* runtime-spec, config-linux.md, "Default Devices": the file system has them unless /dev is the
 * host's. */
SLEEPS static int links_create(struct task *by, struct error *err)
{
    static const struct {
        const char *target, *path;
    } links[] = {
        {"/proc/self/fd", "/dev/fd"},       {"/proc/self/fd/0", "/dev/stdin"},
        {"/proc/self/fd/1", "/dev/stdout"}, {"/proc/self/fd/2", "/dev/stderr"},
        {"pts/ptmx", "/dev/ptmx"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(links); i++) {
        int result = link_create(by, links[i].target, links[i].path);
        if (result && result != -EROFS && result != -EACCES && result != -ENOENT)
            return error_set(err, -result, "making \"%s\": %s", links[i].path, errno_text(-result));
    }
    return 0;
}

int devices_create(struct task *by, const struct oci_spec *spec, struct error *err)
{
    for (size_t i = 0; i < spec->on_linux->devices.count; i++) {
        const struct oci_device *device = &spec->on_linux->devices.items[i];
        int result = device_create(by, device);
        if (result)
            return error_set(err, -result, "making device \"%s\": %s", device->path,
                             errno_text(-result));
    }
    return links_create(by, err);
}

/* ---- masks ---------------------------------------------------------------------------------- */

/* Nothing can be read under PATH any more; a path that is not there needs no mask. */
SLEEPS static int mask(struct task *by, const char *path)
{
    AUTO_PATH struct path found = {0};
    int err = path_walk(by, NULL, path, WALK_FOLLOW, &found);
    if (err)
        return err == -ENOENT || err == -ENOTDIR ? 0 : err;
    if (inode_is_dir(found.dentry->inode))
        return vfs_mount(by, "tmpfs", path, "tmpfs", LINUX_MS_RDONLY, "size=0k");
    return vfs_mount(by, "/dev/null", path, NULL, LINUX_MS_BIND, NULL);
}

SLEEPS static int make_readonly(struct task *by, const char *path)
{
    AUTO_PATH struct path found = {0};
    int err = path_walk(by, NULL, path, WALK_FOLLOW, &found);
    if (err)
        return err == -ENOENT || err == -ENOTDIR ? 0 : err;
    u64 flags = found.mount->flags & (LINUX_MS_NOSUID | LINUX_MS_NODEV | LINUX_MS_NOEXEC);
    path_put(&found);
    err = vfs_mount(by, path, path, NULL, LINUX_MS_BIND | LINUX_MS_REC, NULL);
    if (!err)
        err = vfs_mount(by, NULL, path, NULL,
                        LINUX_MS_BIND | LINUX_MS_REMOUNT | LINUX_MS_RDONLY | flags, NULL);
    return err;
}

int masks_create(struct task *by, const struct oci_spec *spec, struct error *err)
{
    const struct oci_linux *on_linux = spec->on_linux;
    for (size_t i = 0; i < on_linux->masked_paths.count; i++) {
        const char *path = on_linux->masked_paths.items[i];
        int result = path ? mask(by, path) : 0;
        if (result)
            return error_set(err, -result, "masking \"%s\": %s", path, errno_text(-result));
    }
    for (size_t i = 0; i < on_linux->readonly_paths.count; i++) {
        const char *path = on_linux->readonly_paths.items[i];
        int result = path ? make_readonly(by, path) : 0;
        if (result)
            return error_set(err, -result, "making \"%s\" read-only: %s", path,
                             errno_text(-result));
    }
    return 0;
}
