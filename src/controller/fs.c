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

const struct rpc_method fs_methods[] = {
    {"Fs.Cat", &cat_type, cat},
    {"Fs.Read", &read_type, read_file},
    {"Fs.TarRootfsUpperLayer", &tar_type, tar_upper},
    {"Fs.Mount"},
    {"Fs.Umount"},
    {NULL},
};
