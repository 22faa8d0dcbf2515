/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state_load: read everything and check it, build the graph beside what the kernel has, and only
 * then put it in place. So a damaged, truncated or foreign image is refused before anything is
 * touched.
 */
#include <errno.h>
#include <string.h>

#include "sentry/exec/vdso.h"
#include "sentry/fs/vfs.h"
#include "sentry/kernel/namespaces.h"
#include "sentry/net/net.h"
#include "sentry/state/internal.h"

struct load {
    struct state_reader reader;
    const struct state_load_options *options;
    struct buf objects;
    struct image_head head;
    struct image_end end;
    bool has_end;
};

SLEEPS static int load_head(struct load *load, struct error *err)
{
    struct state_metadata own;
    state_metadata_init(&own, load->reader.arena);
    struct state_metadata *metadata = load->options->metadata ? load->options->metadata : &own;
    u64 hash;
    int result = metadata_read(load->options->state, metadata, &hash, err);
    state_metadata_fini(&own);
    if (result)
        return result;
    struct chunk_header header;
    u8 *bytes = NULL;
    result = chunk_read(load->options->state, load->reader.arena, &header, &bytes);
    if (result)
        return error_set(err, -result, "the image is damaged or cut off behind its metadata");
    bool is_head = header.type == CHUNK_HEAD && header.raw_size == sizeof load->head;
    if (is_head)
        memcpy(&load->head, bytes, sizeof load->head);
    arena_free(load->reader.arena, bytes, header.raw_size + 1u);
    if (!is_head || load->head.metadata_hash != hash)
        return error_set(err, EINVAL,
                         "hash mismatch: the image's metadata does not fit its checksum");
    if (load->head.format_version != STATE_FORMAT_VERSION)
        return error_set(err, EINVAL, "the image has format version %u, this build reads %u",
                         load->head.format_version, STATE_FORMAT_VERSION);
    if (load->head.schema_hash != state_schema_hash())
        return error_set(err, EINVAL,
                         "the image was written by another build; restore it with that one");
    if ((load->head.has_pages_file != 0) != (load->options->pages != NULL))
        return error_set(err, EINVAL,
                         load->head.has_pages_file
                             ? "the image's pages are in files of their own, which are missing"
                             : "the image has no pages files, but some were given");
    return 0;
}

static int load_end(struct load *load, const u8 *bytes, size_t size)
{
    if (size != sizeof load->end)
        return -EBADMSG;
    memcpy(&load->end, bytes, sizeof load->end);
    load->has_end = true;
    if (load->end.object_bytes != load->objects.size ||
        load->end.object_count > STATE_OBJECTS_MAX ||
        XXH3_64bits(buf_bytes(&load->objects), load->objects.size) != load->end.object_hash)
        return -EBADMSG;
    return 0;
}

SLEEPS static int load_chunk(struct load *load)
{
    struct chunk_header header;
    u8 *bytes = NULL;
    int err = chunk_read(load->options->state, load->reader.arena, &header, &bytes);
    if (err)
        return err;
    switch (header.type) {
    case CHUNK_OBJECTS:
        err = load->objects.size + header.raw_size > STATE_OBJECT_BYTES_MAX
                  ? -EFBIG
                  : buf_append(&load->objects, bytes, header.raw_size);
        break;
    case CHUNK_PAGES:
        err = load->head.has_pages_file ? -EBADMSG
                                        : pages_take_chunk(&load->reader, bytes, header.raw_size);
        break;
    case CHUNK_END:
        err = load_end(load, bytes, header.raw_size);
        break;
    default:
        err = -EBADMSG;
    }
    arena_free(load->reader.arena, bytes, header.raw_size + 1u);
    return err;
}

SLEEPS static int load_body(struct load *load, struct error *err)
{
    int result = 0;
    while (!result && !load->has_end)
        result = load_chunk(load);
    u8 more;
    if (!result && load->options->state->read(load->options->state, &more, 1) != 0)
        result = -EBADMSG;
    if (!result && load->options->pages)
        result = pages_read_files(&load->reader, load->options->pages_meta, load->options->pages);
    if (!result && load->end.frame_count != load->reader.frame_count)
        result = -EBADMSG;
    if (result == -EBADMSG)
        return error_set(err, EBADMSG, "the image is damaged or cut off: a checksum does not fit");
    if (result)
        return error_set(err, -result, "cannot read the image: %s", errno_text(-result));
    return 0;
}

static void replace_root(struct kernel *kernel, struct load *load)
{
    struct state_reader *reader = &load->reader;
    struct vfs *vfs = container_of(reader->roots[0], struct vfs, object);
    vfs->file_ops =
        kernel->vfs->file_ops; /* tables of upper rooms are this build's, not the image's */
    vfs_destroy(kernel);
    kernel->vfs = vfs;
    REF_PUT(kernel->root_pid_ns);
    kernel->root_pid_ns = container_of(reader->roots[1], struct pid_ns, object);
    REF_PUT(kernel->root_user_ns);
    kernel->root_user_ns = container_of(reader->roots[2], struct user_ns, object);
    REF_PUT(kernel->root_uts_ns);
    kernel->root_uts_ns = container_of(reader->roots[3], struct uts_ns, object);
    REF_PUT(kernel->root_ipc_ns);
    kernel->root_ipc_ns = container_of(reader->roots[4], struct ipc_ns, object);
    if (reader->roots[5])
        net_stack_replace(kernel, container_of(reader->roots[5], struct net_stack, object));
    if (reader->roots[6])
        vdso_replace(kernel, container_of(reader->roots[6], struct vdso, object));
    for (u32 i = 0; i < reader->task_count; i++) {
        struct task *task = container_of(reader->tasks[i], struct task, object);
        task->kernel = kernel;
        list_add_tail(&kernel->tasks, &task->kernel_link);
        kernel->task_count++;
    }
}

SLEEPS int state_load(struct kernel *kernel, struct task *by,
                      const struct state_load_options *options, struct object **extra,
                      struct error *err)
{
    (void)by;
    struct load *load = arena_alloc(kernel->arena, sizeof *load);
    if (!load)
        return error_set(err, ENOMEM, "no memory to begin a restore");
    load->options = options;
    load->reader.kernel = kernel;
    load->reader.arena = kernel->arena;
    buf_init(&load->objects, kernel->arena, STATE_OBJECT_BYTES_MAX);
    int result = load_head(load, err);
    if (!result)
        result = load_body(load, err);
    if (!result) {
        load->reader.at = buf_bytes(&load->objects);
        load->reader.end = load->reader.at + load->objects.size;
        load->reader.object_count = (u32)load->end.object_count;
        int built = reader_build(&load->reader);
        if (built) {
            reader_discard(&load->reader);
            const char *complaint = load->reader.complaint ? load->reader.complaint
                                                           : errno_text(-built);
            result = error_set(err, -built, "cannot build the checkpoint's objects: %s", complaint);
        }
    }
    if (!result) {
        replace_root(kernel, load);
        *extra = load->reader.roots[7];
    }
    reader_fini(&load->reader);
    buf_fini(&load->objects);
    arena_free(kernel->arena, load, sizeof *load);
    return result;
}

int state_start(struct kernel *kernel)
{
    struct task *task, *next;
    int err = 0;
    list_for_each_safe (task, next, &kernel->tasks, kernel_link)
        if (!err && !task->is_kernel && task->fiber.state == FIBER_NEW &&
            task->phase < PHASE_ZOMBIE)
            err = task_start(task);
    return err;
}
