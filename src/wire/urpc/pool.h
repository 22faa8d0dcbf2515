/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that lives and dies together: what one decoded message needs. Chunks come from an arena
 * and are returned all at once, so a decoded struct, however nested, has no free function of its
 * own.
 */
#pragma once
#include "base/arena.h"
#include "base/base.h"

struct pool_chunk;
struct pool {
    struct pool_chunk *chunks;
    struct arena *arena;
    struct arena
        heap; /* used when the caller had no arena: the C heap, which ends the process when empty */
};

/* ARENA may be NULL (host side: the C heap). A pool must not move in memory while it is in use. */
void pool_init(struct pool *pool, struct arena *arena);
/* Frees everything that came from the pool; it may be used again. A zeroed pool is fine. */
void pool_fini(struct pool *pool);
/* SIZE zeroed bytes, 16-byte aligned; NULL when the arena refuses. SIZE 0 gives a pointer too. */
MUST_CHECK void *pool_alloc(struct pool *pool, size_t size);
MUST_CHECK void *pool_alloc_array(struct pool *pool, size_t count, size_t size);
/* Grow an array of COUNT elements by one half when it is full; returns the array (moved or not) or
 * NULL. */
MUST_CHECK void *pool_grow_array(struct pool *pool, void *items, size_t count, size_t *capacity,
                                 size_t size);
MUST_CHECK char *pool_strdup(struct pool *pool, const char *text);
MUST_CHECK char *pool_strndup(struct pool *pool, const char *text, size_t size);
MUST_CHECK char *pool_printf(struct pool *pool, const char *format, ...) PRINTF(2, 3);

/* An arena over the C heap, for the host side; allocations never fail (the process ends with one
 * line). */
void heap_arena_init(struct arena *arena);

#define AUTO_POOL CLEANUP(pool_fini)
