/* SPDX-License-Identifier: Apache-2.0 */
/* Receiver Fs, and containerManager.Mount: files of a container, by descriptor out of it or into
 * it. */
#include <errno.h>
#include <string.h>

#include "controller/internal.h"

/* ---- images --------------------------------------------------------------------------------- */

struct mount_call {
    char *container_id, *source, *destination, *type;
};
static const struct wire_field mount_fields[] = {
    WIRE_FIELD(struct mount_call, container_id, "ContainerID", &wire_string),
    WIRE_FIELD(struct mount_call, source, "Source", &wire_string),
    WIRE_FIELD(struct mount_call, destination, "Destination", &wire_string),
    WIRE_FIELD(struct mount_call, type, "FsType", &wire_string),
    WIRE_END,
};
const struct wire_type rpc_mount_type = WIRE_TYPE_STRUCT(struct mount_call, mount_fields,
                                                         "boot.MountArgs");

SLEEPS int container_mount(struct rpc_call *call, const void *arg)
{
    const struct mount_call *mount = arg;
    if (strcmp(rpc_text(mount->type), "erofs") != 0)
        return error_set(call->err, EINVAL, "unsupported filesystem type: %s",
                         rpc_text(mount->type));
    if (call->urpc->fd_count != 1)
        return error_set(call->err, EINVAL, "exactly one image file must be provided");
    if (rpc_text(mount->destination)[0] != '/')
        return error_set(call->err, EINVAL, "absolute path must be provided for destination");
    return loader_mount_image(call->loader, call->task, rpc_text(mount->container_id),
                              rpc_take_fd(call, 0), rpc_text(mount->source), mount->destination,
                              call->err);
}

/* ---- reading -------------------------------------------------------------------------------- */

struct cat_call {
    WIRE_LIST(char *) files;
};
static const struct wire_field cat_fields[] = {
    WIRE_FIELD(struct cat_call, files, "files", WIRE_LIST_OF(&wire_string, "[]string")),
    WIRE_END,
};
static const struct wire_type cat_type = WIRE_TYPE_STRUCT(struct cat_call, cat_fields,
                                                          "control.CatOpts");
struct read_call {
    char *container_id, *path;
    i64 offset, size;
};
static const struct wire_field read_fields[] = {
    WIRE_FIELD(struct read_call, container_id, "container_id", &wire_string),
    WIRE_FIELD(struct read_call, path, "path", &wire_string),
    WIRE_FIELD(struct read_call, offset, "offset", &wire_int64),
    WIRE_FIELD(struct read_call, size, "size", &wire_int64),
    WIRE_END,
};
static const struct wire_type read_type = WIRE_TYPE_STRUCT(struct read_call, read_fields,
                                                           "control.ReadOpts");

/* The output, the caller's to put; NULL with an error. */
static struct host_file *take_output(struct rpc_call *call)
{
    if (call->urpc->fd_count != 1) {
        error_set(call->err, EINVAL, "exactly one output file must be provided");
        return NULL;
    }
    struct host_file *file = host_file_from_fd(call->kernel->host, rpc_take_fd(call, 0));
    if (!file)
        error_set(call->err, ENOMEM, "out of memory");
    return file;
}

SLEEPS static int cat(struct rpc_call *call, const void *arg)
{
    const struct cat_call *cat = arg;
    struct host_file *out = take_output(call);
    int result = out ? 0 : -1;
    for (size_t i = 0; i < cat->files.count && !result; i++) {
        const struct read_args args = {.path = rpc_text(cat->files.items[i]),
                                       .size = (u64)INT64_MAX};
        result = loader_read_file(call->loader, call->task, &args, out, call->err);
    }
    host_file_put(out);
    return result;
}

SLEEPS static int read_file(struct rpc_call *call, const void *arg)
{
    const struct read_call *read = arg;
    if (read->offset < 0 || read->size < 0)
        return error_set(call->err, EINVAL, "offset and size must not be negative");
    struct host_file *out = take_output(call);
    if (!out)
        return -1;
    const struct read_args args = {.container_id = read->container_id,
                                   .path = rpc_text(read->path),
                                   .offset = (u64)read->offset,
                                   .size = read->size ? (u64)read->size : (u64)INT64_MAX};
    int result = loader_read_file(call->loader, call->task, &args, out, call->err);
    host_file_put(out);
    return result;
}

struct tar_call {
    char *container_id;
};
static const struct wire_field tar_fields[] = {
    WIRE_FIELD(struct tar_call, container_id, "ContainerID", &wire_string),
    WIRE_END,
};
static const struct wire_type tar_type = WIRE_TYPE_STRUCT(struct tar_call, tar_fields,
                                                          "control.TarRootfsUpperLayerOpts");

SLEEPS static int tar_upper(struct rpc_call *call, const void *arg)
{
    const struct tar_call *tar = arg;
    struct host_file *out = take_output(call);
    if (!out)
        return -1;
    int result = loader_tar_upper(call->loader, call->task, rpc_text(tar->container_id), out,
                                  call->err);
    host_file_put(out);
    return result;
}

/* ---- mounts --------------------------------------------------------------------------------- */

struct mount_opts {
    char *container_id, *source, *target, *type;
    u64 flags;
    char *data;
};
static const struct wire_field mount_opts_fields[] = {
    WIRE_FIELD(struct mount_opts, container_id, "container_id", &wire_string),
    WIRE_FIELD(struct mount_opts, source, "source", &wire_string),
    WIRE_FIELD(struct mount_opts, target, "target", &wire_string),
    WIRE_FIELD(struct mount_opts, type, "fs_type", &wire_string),
    WIRE_FIELD(struct mount_opts, flags, "flags", &wire_uint64),
    WIRE_FIELD(struct mount_opts, data, "data", &wire_string),
    WIRE_END,
};
static const struct wire_type mount_opts_type = WIRE_TYPE_STRUCT(
    struct mount_opts, mount_opts_fields, "control.MountOpts");
struct umount_opts {
    char *container_id, *target;
    u32 flags;
};
static const struct wire_field umount_opts_fields[] = {
    WIRE_FIELD(struct umount_opts, container_id, "container_id", &wire_string),
    WIRE_FIELD(struct umount_opts, target, "target", &wire_string),
    WIRE_FIELD(struct umount_opts, flags, "flags", &wire_uint32),
    WIRE_END,
};
static const struct wire_type umount_opts_type = WIRE_TYPE_STRUCT(
    struct umount_opts, umount_opts_fields, "control.UmountOpts");

SLEEPS static int mount_type(struct rpc_call *call, const void *arg)
{
    const struct mount_opts *opts = arg;
    const struct mount_args args = {.container_id = opts->container_id,
                                    .source = rpc_text(opts->source),
                                    .target = rpc_text(opts->target),
                                    .type = rpc_text(opts->type),
                                    .data = rpc_text(opts->data),
                                    .flags = opts->flags,
                                    .fd = rpc_take_fd(call, 0)};
    return loader_mount(call->loader, call->task, &args, call->err);
}

SLEEPS static int umount(struct rpc_call *call, const void *arg)
{
    const struct umount_opts *opts = arg;
    return loader_umount(call->loader, call->task, opts->container_id, rpc_text(opts->target),
                         opts->flags, call->err);
}

/* ---- file systems alone --------------------------------------------------------------------- */

struct fs_save_call {
    WIRE_LIST(struct json_text) paths;
    bool exits;
    bool uses_gofer;
};
static const struct wire_field fs_save_fields[] = {
    WIRE_FIELD(struct fs_save_call, paths, "paths",
               WIRE_LIST_OF(&wire_raw, "[]checkpoint.ResourceID")),
    WIRE_FIELD(struct fs_save_call, exits, "exit_after_saving", &wire_bool),
    WIRE_FIELD(struct fs_save_call, uses_gofer, "use_checkpoint_gofer", &wire_bool),
    WIRE_END,
};
const struct wire_type rpc_fs_save_type = WIRE_TYPE_STRUCT(struct fs_save_call, fs_save_fields,
                                                           "boot.FSSaveArgs");

/* "[NAME:]PATH", or {ContainerName, Path}. */
static int read_path(struct rpc_call *call, struct json_text text, struct fs_path *out)
{
    char *name = NULL, *path = NULL;
    if (json_type(text) == JSON_STRING) {
        path = json_string(text, call->pool, NULL);
        char *colon = path && *path != '/' ? strchr(path, ':') : NULL;
        if (colon) {
            *colon = 0;
            name = path;
            path = colon + 1;
        }
    } else if (json_type(text) == JSON_OBJECT) {
        name = json_string(json_member(text, "ContainerName"), call->pool, NULL);
        path = json_string(json_member(text, "Path"), call->pool, NULL);
    }
    *out = (struct fs_path){rpc_text(name), rpc_text(path)};
    if (*out->path == '/' || strcmp(out->path, "all-tmpfs") == 0)
        return 0;
    return error_set(call->err, EINVAL, "path to save must be absolute: \"%s\"", out->path);
}

SLEEPS int container_fs_save(struct rpc_call *call, const void *arg)
{
    const struct fs_save_call *save = arg;
    if (call->urpc->fd_count != FS_SAVE_FILES)
        return error_set(call->err, EINVAL, "got %u files, want %u", call->urpc->fd_count,
                         FS_SAVE_FILES);
    struct fs_path *paths = pool_alloc_array(call->pool, save->paths.count, sizeof *paths);
    if (!paths)
        return error_set(call->err, ENOMEM, "out of memory");
    for (size_t i = 0; i < save->paths.count; i++)
        if (read_path(call, save->paths.items[i], &paths[i]))
            return -1;
    struct fs_save_args args = {
        .paths = paths, .path_count = (u32)save->paths.count, .exits = save->exits};
    for (u32 i = 0; i < FS_SAVE_FILES; i++)
        args.fds[i] = rpc_take_fd(call, i);
    return loader_fs_save(call->loader, call->task, &args, call->err);
}

const struct rpc_method fs_methods[] = {
    {"Fs.Cat", &cat_type, cat},
    {"Fs.Read", &read_type, read_file},
    {"Fs.TarRootfsUpperLayer", &tar_type, tar_upper},
    {"Fs.Mount", &mount_opts_type, mount_type},
    {"Fs.Umount", &umount_opts_type, umount},
    {NULL},
};
