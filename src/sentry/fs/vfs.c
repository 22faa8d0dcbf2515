/* SPDX-License-Identifier: Apache-2.0 */
/* The root object of the file systems: caches, lists, and the supers of files that have no path. */
#include "sentry/fs/vfs.h"

#include "abi/errno.h"
#include "abi/mount.h"
#include "base/fields.h"
#include "base/state.h"
#include "sentry/fs/dentry.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/namespaces.h"

#define DENTRY_CACHE_MAX 16384u
#define PIPE_SIZE_MAX_DEFAULT ((u64)1 << 20)

static void vfs_object_destroy(struct object *object);

static const struct field vfs_fields[] = {
    FIELD_NONE(struct vfs, object, "the walker's own header"),
    FIELD_NONE(struct vfs, kernel, "the kernel that loads it"),
    FIELD_REF(struct vfs, pipefs, struct super),
    FIELD_REF(struct vfs, sockfs, struct super),
    FIELD_REF(struct vfs, anonfs, struct super),
    FIELD_REF(struct vfs, shmfs, struct super),
    FIELD(struct vfs, dev_next),
    FIELD(struct vfs, mount_id_next),
    FIELD(struct vfs, group_next),
    FIELD_LIST(struct vfs, supers, struct super, link, false),
    FIELD_LIST(struct vfs, mounts, struct mount, all_link, false),
    FIELD_NONE(struct vfs, dentry_cache, "fills again"),
    FIELD_NONE(struct vfs, dentry_cache_count, "derived"),
    FIELD(struct vfs, dentry_cache_max),
    FIELD_NONE(struct vfs, lock_waiters, "a sleeper starts its system call again"),
    FIELD_NONE(struct vfs, file_ops, "upper rooms hang theirs in at boot"),
    FIELD(struct vfs, pipe_size_max),
    FIELD(struct vfs, rename_cookie),
    FIELD_REF(struct vfs, ptys, struct devpts),
    FIELD_END,
};
FIELDS_COMPLETE(struct vfs, vfs_fields);

static int vfs_loaded(struct object *object, struct state_reader *reader)
{
    struct vfs *vfs = container_of(object, struct vfs, object);
    vfs->kernel = state_reader_kernel(reader);
    list_init(&vfs->dentry_cache);
    list_init(&vfs->lock_waiters);
    return 0;
}

const struct kind vfs_kind = {.name = "vfs",
                              .size = sizeof(struct vfs),
                              .fields = vfs_fields,
                              .destroy = vfs_object_destroy,
                              .loaded = vfs_loaded};

static void vfs_object_destroy(struct object *object)
{
    struct vfs *vfs = container_of(object, struct vfs, object);
    dentry_cache_drop(vfs, NULL);
    REF_CLEAR(vfs->pipefs);
    REF_CLEAR(vfs->sockfs);
    REF_CLEAR(vfs->anonfs);
    REF_CLEAR(vfs->shmfs);
    object_put(vfs->ptys);
    vfs->ptys = NULL;
    ASSERT(list_is_empty(&vfs->supers));
}

int vfs_create(struct kernel *kernel)
{
    struct vfs *vfs = object_create(kernel->arena, &vfs_kind);
    if (!vfs)
        return -ENOMEM;
    vfs->kernel = kernel;
    vfs->dentry_cache_max = DENTRY_CACHE_MAX;
    vfs->pipe_size_max = PIPE_SIZE_MAX_DEFAULT;
    list_init(&vfs->supers);
    list_init(&vfs->mounts);
    list_init(&vfs->dentry_cache);
    list_init(&vfs->lock_waiters);
    kernel->vfs = vfs;
    if (kernel->memory)
        kernel->memory->mapping_of = file_mapping_of;
    int err = super_create(kernel, "pipefs", LINUX_PIPEFS_MAGIC, 0, &vfs->pipefs);
    if (!err)
        err = super_create(kernel, "sockfs", LINUX_SOCKFS_MAGIC, 0, &vfs->sockfs);
    if (!err)
        err = super_create(kernel, "anon_inodefs", LINUX_ANON_INODE_MAGIC, 0, &vfs->anonfs);
    if (!err)
        err = tmpfs_create_plain(kernel, "shmfs", LINUX_TMPFS_MAGIC, 0, 01777, &vfs->shmfs);
    if (err)
        vfs_destroy(kernel);
    return err;
}

void vfs_destroy(struct kernel *kernel)
{
    if (kernel->root_ipc_ns) /* it outlives us, but not its queues' file system */
        object_put(MOVE(kernel->root_ipc_ns->mqueue));
    REF_PUT(kernel->vfs);
    kernel->vfs = NULL;
}

void vfs_drop_cache(struct kernel *kernel)
{
    dentry_cache_drop(kernel->vfs, NULL);
}
