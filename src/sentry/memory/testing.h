/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of memory/: a memfile, a platform, an arena, and files whose bytes are
 * known. Include CUnit and stdio.h first. */
#pragma once
#include <string.h>

#include "abi/errno.h"
#include "abi/signal.h"
#include "base/arena_plain.h"
#include "base/hash.h"
#include "platform/pagetable.h"
#include "sentry/memory/cache.h"
#include "sentry/memory/frames.h"
#include "sentry/memory/mm.h"
#include "sentry/memory/table.h"
#include "sentry/memory/uio.h"
#include "sentry/memory/vma.h"

#define TEST_FRAMES ((u64)1 << 16)
#define RW (LINUX_PROT_READ | LINUX_PROT_WRITE)

struct test_world {
    struct arena *arena;
    struct machine_memory file;
    struct memory *memory;
    struct platform *platform;
};

static inline void test_world_begin(struct test_world *world, u64 frames_max)
{
    static const char *const names[] = {"script", "ptrace", "kvm"};
    *world = (struct test_world){.arena = arena_plain_create()};
    int err = machine_memory_create("test", TEST_FRAMES, &world->file);
    CU_ASSERT_FATAL(err == 0);
    err = memory_create(world->arena, &world->file, frames_max, &world->memory);
    CU_ASSERT_FATAL(err == 0);
    for (size_t i = 0; i < ARRAY_COUNT(names) && !world->platform; i++)
        if (platform_create(names[i], &world->file, 1, &world->platform, NULL, 0) < 0)
            world->platform = NULL;
    CU_ASSERT_FATAL(world->platform != NULL);
}

static inline void test_world_end(struct test_world *world)
{
    memory_destroy(world->memory); /* asserts that no frame is left */
    platform_destroy(world->platform);
    machine_memory_destroy(&world->file);
    arena_plain_destroy(world->arena);
}

SLEEPS_ROOT static inline struct mm *test_mm(struct test_world *world)
{
    struct mm *mm = NULL;
    int err = mm_create(world->arena, world->memory, world->platform, &mm);
    CU_ASSERT_FATAL(err == 0);
    return mm;
}

/* Anonymous memory at ADDRESS (fixed), or anywhere for 0; its address or -errno. */
SLEEPS_ROOT static inline i64 test_map(struct mm *mm, u64 address, u64 pages, u32 prot, u32 flags)
{
    struct mm_map_request request = {
        .address = address,
        .size = pages << PAGE_SHIFT,
        .prot = prot,
        .vma_flags = flags,
        .is_fixed = address != 0,
    };
    return mm_map(mm, NULL, &request);
}

SLEEPS_ROOT static inline int test_store(struct mm *mm, u64 address, u8 byte)
{
    return mm_copy_out(mm, NULL, uaddr_make(address), &byte, 1);
}

/* The byte, or -errno. */
SLEEPS_ROOT static inline int test_load(struct mm *mm, u64 address)
{
    u8 byte;
    int err = mm_copy_in(mm, NULL, &byte, uaddr_make(address), 1);
    return err ? err : byte;
}

static inline u32 test_entry(struct mm *mm, u64 address)
{
    struct pagetable_entry entry;
    return pagetable_get(space_table(mm->space), uaddr_make(address), &entry) ? entry.prot | 8 : 0;
}

static inline bool test_mm_is_right(struct mm *mm)
{
    const char *wrong = mm_check(mm);
    if (wrong)
        fprintf(stderr, "mm_check: %s\n", wrong);
    return wrong == NULL;
}

/* A file of the tests: page I holds bytes (I + 1) & 255 until something is written back. */
struct test_file {
    struct object object;
    struct mapping mapping;
    u8 *bytes;
    u64 fill_count, write_count;
    int error; /* what fills and write-backs answer */
};
extern const struct kind test_file_kind;
extern const struct mapping_ops test_file_ops;
struct test_file *test_file_create(struct test_world *world, u64 pages);
SLEEPS_ROOT static inline i64 test_map_file(struct mm *mm, struct test_file *file, u64 pages,
                                            u32 prot, u32 flags)
{
    struct mm_map_request request = {
        .size = pages << PAGE_SHIFT,
        .prot = prot,
        .vma_flags = flags,
        .file = &file->object,
        .mapping = &file->mapping,
    };
    return mm_map(mm, NULL, &request);
}
