/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of an image, by the numbers that the object stream uses. A chunk holds up to 256 of them: a
 * bitmap says which are not all zero, and only those follow.
 */
#include <errno.h>
#include <string.h>

#include "sentry/state/internal.h"

struct pages_head {
    u64 first;
    u32 count;
    u32 stored_count;
    u64 bitmap[STATE_PAGES_PER_CHUNK / 64];
};

static bool page_is_zero(const u8 *page)
{
    const u64 *words = (const void *)page;
    for (size_t i = 0; i < PAGE_SIZE / sizeof *words; i++)
        if (words[i])
            return false;
    return true;
}

/* One chunk's raw bytes into OUT (room for all): its size. */
static size_t pages_gather(const struct state_writer *writer, u64 first, u32 count, u8 *out)
{
    struct pages_head head = {.first = first, .count = count};
    u8 *at = out + sizeof head;
    for (u32 i = 0; i < count; i++) {
        const u8 *page = frame_bytes(writer->kernel->memory, writer->frame_list[first + i]);
        if (page_is_zero(page))
            continue;
        head.bitmap[i / 64] |= (u64)1 << (i % 64);
        head.stored_count++;
        memcpy(at, page, PAGE_SIZE);
        at += PAGE_SIZE;
    }
    memcpy(out, &head, sizeof head);
    return (size_t)(at - out);
}

SLEEPS int pages_write(struct state_writer *writer, struct state_output *output, bool is_compressed,
                       u64 *total)
{
    size_t room = sizeof(struct pages_head) + STATE_PAGES_PER_CHUNK * PAGE_SIZE;
    u8 *raw = arena_alloc(writer->arena, room);
    if (!raw)
        return -ENOMEM;
    int err = 0;
    for (u64 first = 0; first < writer->frame_count && !err; first += STATE_PAGES_PER_CHUNK) {
        u32 count = (u32)MIN(writer->frame_count - first, (u64)STATE_PAGES_PER_CHUNK);
        size_t size = pages_gather(writer, first, count, raw);
        err = chunk_write(output, writer->arena, CHUNK_PAGES, raw, size, is_compressed, total);
    }
    arena_free(writer->arena, raw, room);
    return err;
}

static u32 count_bits(const u64 *bitmap)
{
    u32 count = 0;
    for (size_t i = 0; i < STATE_PAGES_PER_CHUNK / 64; i++)
        count += (u32)__builtin_popcountll(bitmap[i]);
    return count;
}

/* Frames for pages [first, first+count), in runs as long as they can be had. */
static int pages_make(struct state_reader *reader, u64 first, u32 count)
{
    struct memory *memory = reader->kernel->memory;
    u64 hint = first > 0 ? reader->frames[first - 1].index + 1 : 0;
    while (count > 0) {
        frame got;
        u64 got_count;
        int err = frame_alloc_run(memory, FRAME_ANON, count, hint, &got, &got_count);
        if (err)
            return err;
        for (u64 i = 0; i < got_count; i++)
            reader->frames[first + i] = (frame){got.index + i};
        first += got_count;
        count -= (u32)got_count;
        hint = got.index + got_count;
    }
    return 0;
}

int pages_take_chunk(struct state_reader *reader, const u8 *bytes, size_t size)
{
    struct pages_head head;
    if (size < sizeof head)
        return -EBADMSG;
    memcpy(&head, bytes, sizeof head);
    if (head.first != reader->frame_count || head.count == 0 ||
        head.count > STATE_PAGES_PER_CHUNK || head.stored_count != count_bits(head.bitmap) ||
        size != sizeof head + (size_t)head.stored_count * PAGE_SIZE ||
        reader->frame_count + head.count > STATE_FRAMES_MAX)
        return -EBADMSG;
    frame *bigger = arena_realloc(reader->arena, reader->frames,
                                  reader->frame_count * sizeof *bigger,
                                  (reader->frame_count + head.count) * sizeof *bigger);
    if (!bigger)
        return -ENOMEM;
    reader->frames = bigger;
    reader->frame_count += head.count;
    int err = pages_make(reader, head.first, head.count);
    if (err)
        return err;
    const u8 *at = bytes + sizeof head;
    for (u32 i = 0; i < head.count; i++) {
        if (!(head.bitmap[i / 64] >> (i % 64) & 1))
            continue;
        memcpy(frame_bytes(reader->kernel->memory, reader->frames[head.first + i]), at, PAGE_SIZE);
        at += PAGE_SIZE;
    }
    return 0;
}

/* Two files: META has the magic and chunks whose pages were taken out, PAGES has just pages. */
SLEEPS int pages_write_files(struct state_writer *writer, struct state_output *meta,
                             struct state_output *pages, bool is_compressed, u64 *total)
{
    size_t room = sizeof(struct pages_head) + STATE_PAGES_PER_CHUNK * PAGE_SIZE;
    u8 *raw = arena_alloc(writer->arena, room);
    if (!raw)
        return -ENOMEM;
    int err = meta->write(meta, PAGES_MAGIC, sizeof PAGES_MAGIC - 1);
    for (u64 first = 0; first < writer->frame_count && !err; first += STATE_PAGES_PER_CHUNK) {
        u32 count = (u32)MIN(writer->frame_count - first, (u64)STATE_PAGES_PER_CHUNK);
        size_t size = pages_gather(writer, first, count, raw);
        size_t data_size = size - sizeof(struct pages_head);
        u8 record[sizeof(struct pages_head) + sizeof(u64)];
        u64 checksum = XXH3_64bits(raw + sizeof(struct pages_head), data_size);
        memcpy(record, raw, sizeof(struct pages_head));
        memcpy(record + sizeof(struct pages_head), &checksum, sizeof checksum);
        err = chunk_write(meta, writer->arena, CHUNK_PAGES, record, sizeof record, is_compressed,
                          total);
        if (!err && data_size)
            err = pages->write(pages, raw + sizeof(struct pages_head), data_size);
        if (total)
            *total += data_size;
    }
    if (!err)
        err = chunk_write(meta, writer->arena, CHUNK_END, &writer->frame_count,
                          sizeof writer->frame_count, false, total);
    arena_free(writer->arena, raw, room);
    return err;
}

SLEEPS static int pages_join(struct state_reader *reader, const u8 *record, size_t size,
                             struct state_input *pages)
{
    struct pages_head head;
    u64 checksum;
    if (size != sizeof head + sizeof checksum)
        return -EBADMSG;
    memcpy(&head, record, sizeof head);
    memcpy(&checksum, record + sizeof head, sizeof checksum);
    if (head.stored_count > STATE_PAGES_PER_CHUNK)
        return -EBADMSG;
    size_t data_size = (size_t)head.stored_count * PAGE_SIZE;
    u8 *raw = arena_alloc(reader->arena, sizeof head + data_size);
    if (!raw)
        return -ENOMEM;
    memcpy(raw, &head, sizeof head);
    int err = data_size ? input_read_all(pages, raw + sizeof head, data_size) : 0;
    if (!err && XXH3_64bits(raw + sizeof head, data_size) != checksum)
        err = -EBADMSG;
    if (!err)
        err = pages_take_chunk(reader, raw, sizeof head + data_size);
    arena_free(reader->arena, raw, sizeof head + data_size);
    return err;
}

SLEEPS int pages_read_files(struct state_reader *reader, struct state_input *meta,
                            struct state_input *pages)
{
    char magic[sizeof PAGES_MAGIC - 1];
    int err = input_read_all(meta, magic, sizeof magic);
    if (!err && memcmp(magic, PAGES_MAGIC, sizeof magic) != 0)
        err = -EBADMSG;
    bool is_end = false;
    while (!err && !is_end) {
        struct chunk_header header;
        u8 *bytes = NULL;
        err = chunk_read(meta, reader->arena, &header, &bytes);
        if (err)
            return err;
        u64 count = 0;
        is_end = header.type == CHUNK_END;
        if (header.type == CHUNK_PAGES)
            err = pages_join(reader, bytes, header.raw_size, pages);
        else if (is_end && header.raw_size == sizeof count)
            memcpy(&count, bytes, sizeof count);
        else
            err = -EBADMSG;
        if (is_end && count != reader->frame_count)
            err = -EBADMSG;
        arena_free(reader->arena, bytes, header.raw_size + 1u);
    }
    return err;
}
