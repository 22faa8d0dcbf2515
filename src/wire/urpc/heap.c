/* SPDX-License-Identifier: Apache-2.0 */
/* The C heap as an arena, for the host side, where a small allocation that fails ends the process.
 */
#include "wire/urpc/pool.h"

#include <stdio.h>
#include <stdlib.h>

static void *heap_alloc(struct arena *arena, size_t size)
{
    void *memory = calloc(1, size);
    if (!memory) {
        fputs("out of memory\n", stderr);
        exit(128);
    }
    return memory;
}

static void heap_free(struct arena *arena, void *memory, size_t size)
{
    free(memory);
}

void heap_arena_init(struct arena *arena)
{
    arena_init(arena, heap_alloc, heap_free, NULL);
}
