/* SPDX-License-Identifier: Apache-2.0 */
/* What checkpoint and restore say to each other in an image's metadata, and how an image file is
 * read. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "loader/internal.h"
#include "sentry/state/state.h"

static const struct wire_field limits_fields[] = {
    WIRE_FIELD(struct control_limits, pids_max, "pids_max", &wire_uint64),
    WIRE_FIELD(struct control_limits, cpu_shares, "cpu_shares", &wire_uint64),
    WIRE_FIELD(struct control_limits, cpu_period_us, "cpu_period", &wire_uint64),
    WIRE_FIELD(struct control_limits, cpu_quota_us, "cpu_quota", &wire_int64),
    WIRE_FIELD(struct control_limits, memory_limit, "memory", &wire_uint64),
    WIRE_FIELD(struct control_limits, memory_soft_limit, "memory_soft", &wire_uint64),
    WIRE_FIELD(struct control_limits, job_id, "job", &wire_int64),
    WIRE_END,
};
static const struct wire_type limits_type = WIRE_TYPE_STRUCT(struct control_limits, limits_fields,
                                                             "picket.Limits");
static const struct wire_field image_container_fields[] = {
    WIRE_FIELD(struct image_container, name, "name", &wire_string),
    WIRE_FIELD(struct image_container, id, "id", &wire_string),
    WIRE_FIELD(struct image_container, init, "init", &wire_uint32),
    WIRE_FIELD(struct image_container, status, "status", &wire_uint32),
    WIRE_FIELD(struct image_container, group, "group", &wire_uint32),
    WIRE_FIELD(struct image_container, limits, "limits", &limits_type),
    WIRE_FIELD(struct image_container, cpus, "cpus", &wire_string),
    WIRE_FIELD(struct image_container, mems, "mems", &wire_string),
    WIRE_FIELD(struct image_container, gofers, "gofers", WIRE_LIST_OF(&wire_uint32, "[]uint32")),
    WIRE_FIELD(struct image_container, stdio, "stdio", WIRE_LIST_OF(&wire_uint32, "[]uint32")),
    WIRE_END,
};
static const struct wire_type image_container_type = WIRE_TYPE_STRUCT(
    struct image_container, image_container_fields, "picket.Container");
static const struct wire_field image_containers_fields[] = {
    WIRE_FIELD(struct image_containers, list, "containers",
               WIRE_LIST_OF(&image_container_type, "[]picket.Container")),
    WIRE_END,
};
const struct wire_type image_containers_type = WIRE_TYPE_STRUCT(
    struct image_containers, image_containers_fields, "picket.Containers");

char *container_name(struct container *container, struct pool *pool)
{
    const char *name = container->spec
                           ? oci_annotation(container->spec, "io.kubernetes.cri.container-name")
                           : "";
    if (*name)
        return pool_strdup(pool, name);
    u32 index = 0;
    struct container *other;
    list_for_each (other, &container->loader->containers, link) {
        if (other == container)
            break;
        index += !other->spec || !*oci_annotation(other->spec, "io.kubernetes.cri.container-name");
    }
    return pool_printf(pool, "__no_name_%u", index);
}

/* ---- reading -------------------------------------------------------------------------------- */

struct image_file {
    struct state_input input;
    struct loader *loader;
    struct task *by;
    struct host_file *file;
    u64 offset;
};

SLEEPS static i64 image_read(struct state_input *input, void *out, size_t size)
{
    struct image_file *file = input->owner;
    struct host_op *op = arena_alloc(file->loader->kernel->arena, sizeof *op);
    if (!op)
        return -ENOMEM;
    op->type = HOST_OP_PREAD;
    op->file = file->file;
    op->offset = file->offset;
    op->iov_count = 1;
    op->iov[0] = (struct host_iovec){out, size};
    i64 got = fiber_host_op(&file->by->fiber, op);
    arena_free(file->loader->kernel->arena, op, sizeof *op);
    if (got > 0)
        file->offset += (u64)got;
    return got;
}

int image_file_open(struct loader *loader, struct task *by, int *fd, struct image_file **out)
{
    struct image_file *file = arena_alloc(loader->kernel->arena, sizeof *file);
    if (!file)
        return -ENOMEM;
    *file = (struct image_file){
        .loader = loader, .by = by, .input = {.read = image_read, .owner = file}};
    file->file = host_file_from_fd(loader->kernel->host, *fd);
    if (!file->file) {
        arena_free(loader->kernel->arena, file, sizeof *file);
        return -EBADF;
    }
    *fd = -1;
    *out = file;
    return 0;
}

struct state_input *image_file_input(struct image_file *file)
{
    file->offset = 0;
    return &file->input;
}

i64 image_file_size(struct image_file *file)
{
    struct host_stat stat;
    int err = host_stat(file->file, &stat);
    return err ? err : (i64)MIN(stat.size, (u64)INT64_MAX);
}

void image_file_close(struct image_file *file)
{
    if (!file)
        return;
    host_file_put(file->file);
    arena_free(file->loader->kernel->arena, file, sizeof *file);
}

void image_file_release(struct image_file *file, int *fd)
{
    *fd = host_file_release(file->file);
    arena_free(file->loader->kernel->arena, file, sizeof *file);
}
