/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of an arena that every maker shares: sizes are judged and counted here, so that an
 * implementation only gets and gives back memory. The fault plan's "nth" is `allocations`, which is
 * already raised when the implementation's `alloc` runs.
 */
#include "base/arena.h"

#include "base/object.h"

#include <string.h>

#define KINDS_REPORTED_MAX 256

void arena_init(struct arena *arena, void *(*alloc)(struct arena *, size_t),
                void (*free)(struct arena *, void *, size_t), void *owner)
{
    *arena = (struct arena){.alloc = alloc, .free = free, .owner = owner};
    list_init(&arena->objects);
}

void *arena_alloc(struct arena *arena, size_t size)
{
    arena->allocations++;
    size = MAX(size, (size_t)1);
    if (size > ARENA_SIZE_MAX)
        return NULL;
    void *memory = arena->alloc(arena, size);
    if (!memory)
        return NULL;
    ASSERT(((uintptr_t)memory & 15) == 0);
    arena->bytes_live += size;
    return memory;
}

void *arena_alloc_array(struct arena *arena, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        bytes = SIZE_MAX; /* counted as a request, and refused */
    return arena_alloc(arena, bytes);
}

void arena_free(struct arena *arena, void *memory, size_t size)
{
    if (!memory)
        return;
    size = MAX(size, (size_t)1);
    ASSERT(arena->bytes_live >= size);
    arena->bytes_live -= size;
    arena->free(arena, memory, size);
}

void *arena_realloc(struct arena *arena, void *memory, size_t old_size, size_t new_size)
{
    void *grown = arena_alloc(arena, new_size);
    if (!grown)
        return NULL;
    if (memory) {
        memcpy(grown, memory, MIN(old_size, new_size));
        arena_free(arena, memory, old_size);
    }
    return grown;
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return arena_strndup(arena, text, strlen(text));
}

/* A zero byte within SIZE ends the text early, so that the copy's strlen tells its allocation. */
char *arena_strndup(struct arena *arena, const char *text, size_t size)
{
    size = strnlen(text, size);
    char *copy = arena_alloc(arena, size + 1);
    if (copy)
        memcpy(copy, text, size);
    return copy;
}

void arena_free_string(struct arena *arena, char *text)
{
    if (text)
        arena_free(arena, text, strlen(text) + 1);
}

u64 arena_report_live(struct arena *arena, void (*report)(void *arg, const char *kind, u64 count),
                      void *arg)
{
    struct {
        const struct kind *kind;
        u64 count;
    } seen[KINDS_REPORTED_MAX];
    size_t seen_count = 0;
    u64 others = 0;
    struct object *object;
    list_for_each (object, &arena->objects, link) {
        size_t i = 0;
        while (i < seen_count && seen[i].kind != object->kind)
            i++;
        if (i == KINDS_REPORTED_MAX) {
            others++;
            continue;
        }
        if (i == seen_count)
            seen[seen_count++].kind = object->kind, seen[i].count = 0;
        seen[i].count++;
    }
    for (size_t i = 0; report && i < seen_count; i++)
        report(arg, seen[i].kind->name, seen[i].count);
    if (report && others > 0)
        report(arg, "(other kinds)", others);
    return arena->object_count;
}
