/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks: a header with sizes and a checksum, then bytes, perhaps compressed. A file without its
 * end chunk, with a wrong checksum or with bytes behind its end is no image.
 */
#include <errno.h>
#include <string.h>
#include <zstd.h>

#include "sentry/state/internal.h"

#define ZSTD_LEVEL 1

static u64 chunk_checksum(const struct chunk_header *header, const void *stored)
{
    u64 seed = XXH3_64bits(header, offsetof(struct chunk_header, checksum));
    return XXH3_64bits_withSeed(stored, header->stored_size, seed);
}

SLEEPS static int output_write(struct state_output *output, const void *bytes, size_t size,
                               u64 *total)
{
    int err = output->write(output, bytes, size);
    if (!err && total)
        *total += size;
    return err;
}

SLEEPS int chunk_write(struct state_output *output, struct arena *arena, enum chunk_type type,
                       const void *bytes, size_t size, bool is_compressed, u64 *total)
{
    struct chunk_header header = {.type = type, .raw_size = (u32)size, .stored_size = (u32)size};
    const void *stored = bytes;
    void *memory = NULL;
    size_t memory_size = ZSTD_compressBound(size);
    if (is_compressed && size > 256) {
        memory = arena_alloc(arena, memory_size); /* refused: stored as it is */
        size_t got = memory ? ZSTD_compress(memory, memory_size, bytes, size, ZSTD_LEVEL) : 0;
        if (memory && !ZSTD_isError(got) && got < size) {
            header.stored_size = (u32)got;
            stored = memory;
        }
    }
    header.checksum = chunk_checksum(&header, stored);
    int err = output_write(output, &header, sizeof header, total);
    if (!err)
        err = output_write(output, stored, header.stored_size, total);
    arena_free(arena, memory, memory_size);
    return err;
}

SLEEPS int input_read_all(struct state_input *input, void *out, size_t size)
{
    u8 *at = out;
    while (size > 0) {
        i64 got = input->read(input, at, size);
        if (got < 0)
            return (int)got;
        if (got == 0)
            return -EBADMSG;
        at += got;
        size -= (size_t)got;
    }
    return 0;
}

SLEEPS int chunk_read(struct state_input *input, struct arena *arena, struct chunk_header *header,
                      u8 **out)
{
    int err = input_read_all(input, header, sizeof *header);
    if (err)
        return err;
    size_t size_max = STATE_CHUNK_SIZE + STATE_PAGES_PER_CHUNK * 16 + 4096;
    if (header->raw_size > size_max || header->stored_size > header->raw_size || header->pad != 0)
        return -EBADMSG;
    u8 *stored = arena_alloc(arena, header->stored_size + 1u);
    if (!stored)
        return -ENOMEM;
    err = input_read_all(input, stored, header->stored_size);
    if (!err && chunk_checksum(header, stored) != header->checksum)
        err = -EBADMSG;
    if (!err && header->stored_size == header->raw_size) {
        *out = stored;
        return 0;
    }
    u8 *raw = err ? NULL : arena_alloc(arena, header->raw_size + 1u);
    if (!err && !raw)
        err = -ENOMEM;
    if (!err) {
        size_t got = ZSTD_decompress(raw, header->raw_size, stored, header->stored_size);
        if (ZSTD_isError(got) || got != header->raw_size)
            err = -EBADMSG;
    }
    arena_free(arena, stored, header->stored_size + 1u);
    if (err && raw)
        arena_free(arena, raw, header->raw_size + 1u);
    else
        *out = raw;
    return err;
}
