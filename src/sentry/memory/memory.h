/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames: the pages of the memfile, counted, allocated in runs so that neighbours in an address
 * space are neighbours in the file. The base of mm.h and mapping.h.
 */
#pragma once
#include "base/arena.h"
#include "base/base.h"
#include "platform/machine.h"

struct object;
struct mapping;

enum frame_use { FRAME_ANON, FRAME_CACHE, FRAME_TMPFS, FRAME_SYSTEM, FRAME_USE_COUNT };

struct memory {
    struct arena *arena;
    struct machine_memory *file; /* lent */
    struct frame_table *frames;  /* frames.c's */
    u64 frames_max;              /* the sandbox's limit, in frames */
    u64 used[FRAME_USE_COUNT];   /* frames by use */
    u64 cache_max;               /* bound of the page cache, in frames */
    struct page_lru *lru;        /* cache.c's: clean cache pages in the order they may go */
    /* Set by fs: what a loaded vma's file maps (lent), so that vmas find their mapping again after
     * a restore. */
    struct mapping *(*mapping_of)(struct object *file);
};

MUST_CHECK int memory_create(struct arena *arena, struct machine_memory *file, u64 frames_max,
                             struct memory **out);
void memory_destroy(struct memory *memory); /* asserts that no frame is in use */

/*
 * Up to WANT neighbouring frames (at least one), zero-filled and backed by real memory, each with
 * one reference. *COUNT says how many. Preferably starting at HINT (0: anywhere), so that runs go
 * on. 0 or -ENOMEM.
 */
MUST_CHECK int frame_alloc_run(struct memory *memory, enum frame_use use, u64 want, u64 hint,
                               frame *first, u64 *count);
/* The same, content undefined (about to be overwritten as a whole). */
MUST_CHECK int frame_alloc_run_raw(struct memory *memory, enum frame_use use, u64 want, u64 hint,
                                   frame *first, u64 *count);
void frame_get(struct memory *memory, frame f);
/* The last reference returns the frame. */
void frame_put(struct memory *memory, frame f);
u32 frame_refs(const struct memory *memory, frame f);
static inline u8 *frame_bytes(const struct memory *memory, frame f)
{
    return machine_frame(memory->file, f);
}
/* Give free frames back to the host. */
void memory_trim(struct memory *memory);
/* Frames with a reference, in order; for checkers and the state walker. Returns false at the end.
 */
bool frame_next_used(const struct memory *memory, frame *f);
