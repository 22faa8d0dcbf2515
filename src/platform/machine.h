/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine itself, always real, also in simulation: memory that can be mapped in several places,
 * threads, waiting on a word, stacks. Together with platform.h the second door to the outside.
 */
#pragma once
#include "base/base.h"

/* ---- a memory file: pages that the sentry and application spaces map ------------------------ */

struct machine_memory {
    int fd;          /* -1: this process's own */
    u8 *base;        /* the sentry's own view of all of it */
    u64 frame_count; /* of the whole file; sparse until touched */
};

/* A sparse file of FRAME_COUNT pages, mapped here as a whole. 0 or -errno. */
MUST_CHECK int machine_memory_create(const char *name, u64 frame_count, struct machine_memory *out);
void machine_memory_destroy(struct machine_memory *memory);

/*
 * Nobody else will map it: let it be this process's own memory, for which hosts have huge pages
 * (for files they seldom have). Nothing but zeros may be in it, and `base` changes. -errno: it
 * stays a file. Source: Documentation/admin-guide/mm/transhuge.rst.
 */
MUST_CHECK int machine_memory_make_own(struct machine_memory *memory);

/* A descriptor of the same file for another process; the caller's. -errno; -EBADF: it is no file.
 */
MUST_CHECK int machine_memory_share(const struct machine_memory *memory);

/* The bytes of a frame in the sentry's view. */
static inline void *machine_frame(const struct machine_memory *memory, frame f)
{
    return memory->base + (f.index << PAGE_SHIFT);
}
/* Give COUNT pages real memory ahead of use (zero pages), in one host call. 0 or -ENOMEM. */
MUST_CHECK int machine_populate(struct machine_memory *memory, frame first, u64 count);
/* Return COUNT pages to the host; they read as zero afterwards. */
void machine_discard(struct machine_memory *memory, frame first, u64 count);
/* Bytes that the file really uses (st_blocks); only of a file. */
u64 machine_memory_usage(const struct machine_memory *memory);

/* ---- threads and waiting -------------------------------------------------------------------- */

struct machine_thread;
MUST_CHECK int machine_thread_start(void (*run)(void *arg), void *arg, struct machine_thread **out);
void machine_thread_join(struct machine_thread *thread);
/* Sleep while *WORD == VALUE, until woken or DEADLINE (monotonic ns, NO_DEADLINE). May wake early.
 */
void machine_wait(u32 *word, u32 value, u64 deadline_ns);
void machine_wake(u32 *word, u32 count);
/* How many cpus this process may use. */
u32 machine_cpu_count(void);

/* ---- stacks of fibers ----------------------------------------------------------------------- */

/* SIZE usable bytes above a guard page; the lowest usable address, or NULL. Sizes are multiples of
 * a page. */
MUST_CHECK void *machine_stack_create(size_t size);
void machine_stack_destroy(void *stack, size_t size);
