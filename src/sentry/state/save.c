/* SPDX-License-Identifier: Apache-2.0 */
/* state_save: head, objects, pages, end. Nothing of the kernel changes; a failure leaves it as it
 * was. */
#include <errno.h>
#include <string.h>

#include "sentry/state/internal.h"

struct save {
    struct state_writer writer;
    const struct state_save_options *options;
    u64 total;
    u64 object_bytes;
    XXH3_state_t *hash;
};

/* The writer's flush: full chunks of the object stream. */
SLEEPS static int save_flush(struct state_writer *writer)
{
    struct save *save = writer->flush_owner;
    while (writer->out.size > 0) {
        size_t size = MIN(writer->out.size, STATE_CHUNK_SIZE);
        XXH3_64bits_update(save->hash, buf_bytes(&writer->out), size);
        int err = chunk_write(save->options->state, writer->arena, CHUNK_OBJECTS,
                              buf_bytes(&writer->out), size, save->options->is_compressed,
                              &save->total);
        if (err)
            return err;
        save->object_bytes += size;
        buf_consume(&writer->out, size);
    }
    return 0;
}

/* The kernel's own entries beside the caller's. */
static int save_metadata(struct save *save, struct buf *out)
{
    struct state_metadata all;
    state_metadata_init(&all, save->writer.arena);
    const struct state_metadata *given = save->options->metadata;
    int err = 0;
    for (u32 i = 0; given && i < given->count && !err; i++)
        err = state_metadata_set(&all, given->entries[i].key, given->entries[i].value);
    if (!err)
        err = state_metadata_set(&all, "format", "picket-1");
    if (!err)
        err = metadata_encode(&all, out);
    state_metadata_fini(&all);
    return err;
}

SLEEPS static int save_head(struct save *save)
{
    struct buf head;
    buf_init(&head, save->writer.arena, 0);
    int err = save_metadata(save, &head);
    struct image_head image = {
        .format_version = STATE_FORMAT_VERSION,
        .has_pages_file = save->options->pages != NULL,
        .schema_hash = state_schema_hash(),
    };
    if (!err) {
        u64 first = XXH3_64bits(buf_bytes(&head), 16);
        image.metadata_hash = XXH3_64bits_withSeed(buf_bytes(&head) + 16, head.size - 16, first);
        err = save->options->state->write(save->options->state, buf_bytes(&head), head.size);
        save->total += head.size;
    }
    buf_fini(&head);
    if (err)
        return err;
    return chunk_write(save->options->state, save->writer.arena, CHUNK_HEAD, &image, sizeof image,
                       false, &save->total);
}

SLEEPS static int save_all(struct save *save)
{
    const struct state_save_options *options = save->options;
    struct state_writer *writer = &save->writer;
    int err = save_head(save);
    if (!err)
        err = writer_walk(writer, options->extra_root);
    if (!err)
        err = save_flush(writer);
    if (!err && options->pages)
        err = pages_write_files(writer, options->pages_meta, options->pages, false, &save->total);
    else if (!err)
        err = pages_write(writer, options->state, options->is_compressed, &save->total);
    if (err)
        return err;
    const struct image_end end = {
        .object_bytes = save->object_bytes,
        .object_count = writer->queue_count,
        .frame_count = writer->frame_count,
        .object_hash = XXH3_64bits_digest(save->hash),
    };
    return chunk_write(options->state, writer->arena, CHUNK_END, &end, sizeof end, false,
                       &save->total);
}

SLEEPS int state_save(struct kernel *kernel, struct task *by,
                      const struct state_save_options *options, struct error *err)
{
    ASSERT(kernel->pause_count > 0);
    struct save *save = arena_alloc(kernel->arena, sizeof *save);
    if (!save)
        return error_set(err, ENOMEM, "no memory to begin a checkpoint");
    save->options = options;
    writer_init(&save->writer, kernel);
    save->writer.flush = save_flush;
    save->writer.flush_owner = save;
    /* The hash state wants more alignment than an arena gives. */
    save->hash = XXH3_createState();
    int result = save->hash ? 0 : -ENOMEM;
    if (!result) {
        XXH3_64bits_reset(save->hash);
        result = save_all(save);
    }
    XXH3_freeState(save->hash);
    writer_fini(&save->writer);
    if (!result && options->bytes_written)
        *options->bytes_written = save->total;
    arena_free(kernel->arena, save, sizeof *save);
    (void)by;
    return result ? error_set(err, -result, "cannot write the checkpoint: %s", errno_text(-result))
                  : 0;
}
