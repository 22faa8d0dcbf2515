/* SPDX-License-Identifier: Apache-2.0 */
/* New memory is malloc's, zeroed; freed memory is filled with a pattern, so that late readers show.
 */
#include "base/arena_plain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FREED_BYTE 0xa5

struct arena_plain {
    struct arena arena;
    u64 fail_at; /* in counts of arena.allocations; 0: never */
    bool fail_later;
    u64 bytes_max;
};

static void *plain_alloc(struct arena *arena, size_t size)
{
    struct arena_plain *plain = arena->owner;
    u64 nth = arena->allocations;
    if (plain->fail_at && (nth == plain->fail_at || (plain->fail_later && nth > plain->fail_at)))
        return NULL;
    if (plain->bytes_max && size > plain->bytes_max - MIN(arena->bytes_live, plain->bytes_max))
        return NULL;
    return calloc(1, size);
}

static void plain_free(struct arena *arena, void *memory, size_t size)
{
    memset(memory, FREED_BYTE, size);
    __asm__ volatile("" : : "r"(memory) : "memory"); /* or the compiler drops the fill */
    free(memory);
}

struct arena *arena_plain_create(void)
{
    struct arena_plain *plain = calloc(1, sizeof *plain);
    if (!plain) {
        fputs("out of memory\n", stderr);
        exit(1);
    }
    arena_init(&plain->arena, plain_alloc, plain_free, plain);
    return &plain->arena;
}

static void print_live(void *arg, const char *kind, u64 count)
{
    fprintf(stderr, "still alive: %llu %s\n", (unsigned long long)count, kind);
}

void arena_plain_destroy(struct arena *arena)
{
    arena_report_live(arena, print_live, NULL);
    ASSERT(arena->object_count == 0);
    ASSERT(arena->bytes_live == 0);
    free(arena->owner);
}

void arena_plain_fail(struct arena *arena, u64 nth, bool and_later)
{
    struct arena_plain *plain = arena->owner;
    plain->fail_at = nth ? arena->allocations + nth : 0;
    plain->fail_later = and_later;
}

void arena_plain_limit(struct arena *arena, u64 bytes_max)
{
    struct arena_plain *plain = arena->owner;
    plain->bytes_max = bytes_max;
}
