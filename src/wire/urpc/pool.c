/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks double in size up to a bound; what is larger gets a chunk of its own. */
#include "wire/urpc/pool.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CHUNK_SIZE_MIN ((size_t)1 << 10)
#define CHUNK_SIZE_MAX ((size_t)64 << 10)

struct pool_chunk {
    struct pool_chunk *next;
    size_t size; /* with this head */
    size_t used;
    size_t unused; /* keeps the bytes behind aligned */
};

void pool_init(struct pool *pool, struct arena *arena)
{
    *pool = (struct pool){.arena = arena};
    if (!arena)
        heap_arena_init(&pool->heap);
}

static struct arena *pool_arena(struct pool *pool)
{
    return pool->arena ? pool->arena : &pool->heap;
}

void pool_fini(struct pool *pool)
{
    while (pool->chunks) {
        struct pool_chunk *chunk = pool->chunks;
        pool->chunks = chunk->next;
        arena_free(pool_arena(pool), chunk, chunk->size);
    }
}

void *pool_alloc(struct pool *pool, size_t size)
{
    if (size > ARENA_SIZE_MAX - sizeof(struct pool_chunk) - 32)
        return NULL;
    size = ALIGN_UP(MAX(size, (size_t)1), (size_t)16);
    struct pool_chunk *chunk = pool->chunks;
    if (!chunk || chunk->size - chunk->used < size) {
        size_t want = chunk ? MIN(chunk->size * 2, CHUNK_SIZE_MAX) : CHUNK_SIZE_MIN;
        want = MAX(want, size + sizeof *chunk);
        chunk = arena_alloc(pool_arena(pool), want);
        if (!chunk)
            return NULL;
        *chunk = (struct pool_chunk){.next = pool->chunks, .size = want, .used = sizeof *chunk};
        pool->chunks = chunk;
    }
    void *memory = (u8 *)chunk + chunk->used;
    chunk->used += size;
    return memory;
}

void *pool_alloc_array(struct pool *pool, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        return NULL;
    return pool_alloc(pool, total);
}

void *pool_grow_array(struct pool *pool, void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return items;
    size_t bigger = *capacity + *capacity / 2 + 4;
    void *moved = pool_alloc_array(pool, bigger, size);
    if (!moved)
        return NULL;
    if (count)
        memcpy(moved, items, count * size);
    *capacity = bigger;
    return moved;
}

char *pool_strndup(struct pool *pool, const char *text, size_t size)
{
    char *copy = pool_alloc(pool, size + 1);
    if (!copy)
        return NULL;
    if (size)
        memcpy(copy, text, size);
    return copy;
}

char *pool_strdup(struct pool *pool, const char *text)
{
    return pool_strndup(pool, text, strlen(text));
}

char *pool_printf(struct pool *pool, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = size < 0 ? NULL : pool_alloc(pool, (size_t)size + 1);
    if (!text)
        return NULL;
    va_start(args, format);
    vsnprintf(text, (size_t)size + 1, format, args);
    va_end(args);
    return text;
}
