/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content of simulated files: chunks of 4 KiB by index, absent where nothing was written, so a
 * sparse file costs what it holds. Each chunk is charged to the file's limit of space and to all
 * outer ones.
 */
#include "host/sim/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define FILE_SIZE_MAX ((u64)1 << 43) /* as ext4 with 4 KiB blocks, roughly */

#define ALLOCATE_KEEP_SIZE 1u
#define ALLOCATE_PUNCH_HOLE 2u
#define ALLOCATE_ZERO_RANGE 16u

static bool charge(struct sim_domain *domain)
{
    for (struct sim_domain *d = domain; d; d = d->outer)
        if (d->used > d->size_max || d->size_max - d->used < SIM_CHUNK_SIZE)
            return false;
    for (struct sim_domain *d = domain; d; d = d->outer)
        d->used += SIM_CHUNK_SIZE;
    return true;
}

static void uncharge(struct sim_domain *domain)
{
    for (struct sim_domain *d = domain; d; d = d->outer) {
        ASSERT(d->used >= SIM_CHUNK_SIZE);
        d->used -= SIM_CHUNK_SIZE;
    }
}

/* The chunk INDEX, made if it is missing; NULL when there is no space. */
static u8 *chunk_make(struct sim_host *sim, struct sim_node *node, u64 index)
{
    u8 *chunk = map_find(&node->chunks, index);
    if (chunk || !charge(node->domain))
        return chunk;
    chunk = sim_new(sim, SIM_CHUNK_SIZE);
    int err = map_add(&node->chunks, index, chunk);
    ASSERT(err == 0);
    return chunk;
}

static void chunk_remove(struct sim_host *sim, struct sim_node *node, u64 index)
{
    void *chunk = map_remove(&node->chunks, index);
    ASSERT(chunk != NULL);
    uncharge(node->domain);
    sim_delete(sim, chunk, SIM_CHUNK_SIZE);
}

i64 sim_data_read(struct sim_node *node, void *out, size_t size, u64 offset)
{
    if (offset >= node->size)
        return 0;
    size = MIN(size, node->size - offset);
    u8 *to = out;
    size_t done = 0;
    while (done < size) {
        u64 at = offset + done;
        size_t part = MIN(size - done, SIM_CHUNK_SIZE - at % SIM_CHUNK_SIZE);
        const u8 *chunk = map_find(&node->chunks, at / SIM_CHUNK_SIZE);
        if (chunk)
            memcpy(to + done, chunk + at % SIM_CHUNK_SIZE, part);
        else
            memset(to + done, 0, part);
        done += part;
    }
    return (i64)size;
}

i64 sim_data_write(struct sim_host *sim, struct sim_node *node, const void *bytes, size_t size,
                   u64 offset)
{
    if (size == 0)
        return 0;
    if (offset >= FILE_SIZE_MAX)
        return -EFBIG;
    size = MIN(size, FILE_SIZE_MAX - offset);
    const u8 *from = bytes;
    size_t done = 0;
    while (done < size) {
        u64 at = offset + done;
        size_t part = MIN(size - done, SIM_CHUNK_SIZE - at % SIM_CHUNK_SIZE);
        u8 *chunk = chunk_make(sim, node, at / SIM_CHUNK_SIZE);
        if (!chunk)
            break;
        memcpy(chunk + at % SIM_CHUNK_SIZE, from + done, part);
        done += part;
    }
    if (done == 0)
        return -ENOSPC;
    node->size = MAX(node->size, offset + done);
    sim_touch(sim, node);
    return (i64)done;
}

/* Zero the bytes [offset, end) of what is there; whole chunks go. */
static void data_clear(struct sim_host *sim, struct sim_node *node, u64 offset, u64 end)
{
    u64 index = offset / SIM_CHUNK_SIZE;
    u8 *chunk;
    while ((chunk = map_ceiling(&node->chunks, index, &index)) != NULL) {
        u64 start = index * SIM_CHUNK_SIZE;
        if (start >= end)
            return;
        u64 first = MAX(start, offset);
        u64 last = MIN(start + SIM_CHUNK_SIZE, end);
        if (first == start && last == start + SIM_CHUNK_SIZE)
            chunk_remove(sim, node, index);
        else
            memset(chunk + (first - start), 0, last - first);
        index++;
    }
}

void sim_data_truncate(struct sim_host *sim, struct sim_node *node, u64 size)
{
    if (size < node->size)
        data_clear(sim, node, size, UINT64_MAX - SIM_CHUNK_SIZE);
    /* The tail of the last chunk was zeroed, but the chunk behind the end that holds nothing goes
     * too. */
    u64 index = ALIGN_UP(size, SIM_CHUNK_SIZE) / SIM_CHUNK_SIZE;
    u64 found;
    while (map_ceiling(&node->chunks, index, &found))
        chunk_remove(sim, node, found);
    node->size = size;
}

int sim_data_allocate(struct sim_host *sim, struct sim_node *node, u32 mode, u64 offset, u64 length)
{
    u64 end = offset + length; /* judged: does not wrap */
    if (end > FILE_SIZE_MAX)
        return -EFBIG;
    if (mode == (ALLOCATE_PUNCH_HOLE | ALLOCATE_KEEP_SIZE)) {
        data_clear(sim, node, offset, end);
        sim_touch(sim, node);
        return 0;
    }
    if (mode & ~(ALLOCATE_KEEP_SIZE | ALLOCATE_ZERO_RANGE))
        return -EOPNOTSUPP;
    if (mode & ALLOCATE_ZERO_RANGE)
        data_clear(sim, node, offset, end);
    for (u64 index = offset / SIM_CHUNK_SIZE; index * SIM_CHUNK_SIZE < end; index++)
        if (!chunk_make(sim, node, index))
            return -ENOSPC;
    if (!(mode & ALLOCATE_KEEP_SIZE))
        node->size = MAX(node->size, end);
    sim_touch(sim, node);
    return 0;
}

i64 sim_data_seek(const struct sim_node *node, u64 offset, bool wants_data)
{
    if (offset >= node->size)
        return -ENXIO;
    u64 index = offset / SIM_CHUNK_SIZE;
    u64 found = 0;
    if (wants_data) {
        if (!map_ceiling(&node->chunks, index, &found) || found * SIM_CHUNK_SIZE >= node->size)
            return -ENXIO;
        return (i64)MAX(offset, found * SIM_CHUNK_SIZE);
    }
    while (map_find(&node->chunks, index))
        index++;
    return (i64)MIN(MAX(offset, index * SIM_CHUNK_SIZE), node->size);
}
