/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the sentry's memory comes from. One arena a kernel; it charges, may refuse (-ENOMEM, also
 * by fault plan) and knows every live object. The host makes arenas (host_arena); base only uses
 * them.
 */
#pragma once
#include "base/base.h"
#include "base/list.h"

struct kind;

struct arena {
    /* SIZE bytes, 16-byte aligned, zeroed; NULL when refused. */
    void *(*alloc)(struct arena *arena, size_t size);
    void (*free)(struct arena *arena, void *memory, size_t size);
    u64 bytes_live;
    u64 allocations; /* how many were asked for since the start: the fault plan's "nth" */
    u64 object_next_id;
    u64 object_count;
    struct list objects; /* of struct object.link, in order of creation */
    void *owner;         /* the host's */
};

/* For makers of arenas: an empty arena over these two. The functions below count and judge sizes.
 */
void arena_init(struct arena *arena, void *(*alloc)(struct arena *arena, size_t size),
                void (*free)(struct arena *arena, void *memory, size_t size), void *owner);

/* Zeroed memory or NULL. SIZE must be under ARENA_SIZE_MAX; no guest number comes here unjudged. */
#define ARENA_SIZE_MAX ((size_t)64 << 20)
MUST_CHECK void *arena_alloc(struct arena *arena, size_t size);
/* COUNT elements of SIZE bytes; NULL on overflow too. */
MUST_CHECK void *arena_alloc_array(struct arena *arena, size_t count, size_t size);
/* SIZE must be the size that was asked for. NULL memory is fine. */
void arena_free(struct arena *arena, void *memory, size_t size);
/* Grow or shrink; the new part is zeroed; on NULL the old block stands. */
MUST_CHECK void *arena_realloc(struct arena *arena, void *memory, size_t old_size, size_t new_size);
/* A copy of TEXT with its own terminator; free with arena_free_string. */
MUST_CHECK char *arena_strdup(struct arena *arena, const char *text);
MUST_CHECK char *arena_strndup(struct arena *arena, const char *text, size_t size);
void arena_free_string(struct arena *arena, char *text);

/* Calls REPORT for every kind that still has live objects; returns how many objects live. */
u64 arena_report_live(struct arena *arena, void (*report)(void *arg, const char *kind, u64 count),
                      void *arg);
