/* SPDX-License-Identifier: Apache-2.0 */
#include <CUnit/CUnit.h>
#include <stdio.h>

#include "host/sim/sim.h"
#include "sentry/memory/testing.h"

static struct test_world world;

/* ---- the tests' files ----------------------------------------------------------------------- */

static void test_file_destroy(struct object *object)
{
    struct test_file *file = container_of(object, struct test_file, object);
    mapping_fini(&file->mapping);
    arena_free(object->arena, file->bytes, 64 * PAGE_SIZE);
}
const struct kind test_file_kind = {
    .name = "test_file", .size = sizeof(struct test_file), .destroy = test_file_destroy};

static int test_fill(struct mapping *mapping, struct fiber *fiber, u64 index, u64 count,
                     u8 *const *pages)
{
    struct test_file *file = mapping->owner;
    file->fill_count++;
    for (u64 i = 0; i < count && !file->error; i++)
        memcpy(pages[i], file->bytes + ((index + i) << PAGE_SHIFT), PAGE_SIZE);
    return file->error;
}

static int test_write_back(struct mapping *mapping, struct fiber *fiber, u64 index, const u8 *page,
                           u64 size)
{
    struct test_file *file = mapping->owner;
    file->write_count++;
    if (!file->error)
        memcpy(file->bytes + (index << PAGE_SHIFT), page, size);
    return file->error;
}
const struct mapping_ops test_file_ops = {.fill = test_fill, .write_back = test_write_back};

struct test_file *test_file_create(struct test_world *w, u64 pages)
{
    struct test_file *file = object_create(w->arena, &test_file_kind);
    CU_ASSERT_FATAL(file != NULL && pages <= 64);
    file->bytes = arena_alloc(w->arena, 64 * PAGE_SIZE);
    mapping_init(&file->mapping, w->memory, FRAME_CACHE, &test_file_ops, file);
    file->mapping.size = pages << PAGE_SHIFT;
    for (u64 i = 0; i < pages; i++)
        memset(file->bytes + (i << PAGE_SHIFT), (int)((i + 1) & 255), PAGE_SIZE);
    return file;
}

SLEEPS_ROOT static i64 file_read(struct test_file *file, void *out, u64 size, u64 offset)
{
    struct uio_segment one;
    struct uio uio;
    uio_init_kernel(&uio, NULL, out, size, &one);
    return mapping_read(&file->mapping, NULL, &uio, offset);
}

SLEEPS_ROOT static i64 file_write(struct test_file *file, const void *bytes, u64 size, u64 offset)
{
    struct uio_segment one;
    struct uio uio;
    uio_init_kernel(&uio, NULL, (void *)(uintptr_t)bytes, size, &one);
    return mapping_write(&file->mapping, NULL, &uio, offset);
}

/* ---- reading and writing -------------------------------------------------------------------- */

static u8 big[64 * 4096];

SLEEPS_ROOT static void test_reading_stops_at_the_end_and_reads_ahead(void)
{
    test_world_begin(&world, 1024);
    struct test_file *file = test_file_create(&world, 20);
    file->mapping.size -= 96;
    CU_ASSERT_EQUAL(file_read(file, big, 10, PAGE_SIZE - 5), 10);
    CU_ASSERT(big[0] == 1 && big[5] == 2);
    CU_ASSERT_EQUAL(file_read(file, big, sizeof big, 0), (i64)(20 * PAGE_SIZE - 96));
    CU_ASSERT(file->fill_count <= 4);
    CU_ASSERT_EQUAL(big[19 * PAGE_SIZE], 20);
    CU_ASSERT_EQUAL(file_read(file, big, 1, 20 * PAGE_SIZE - 96), 0);
    CU_ASSERT_EQUAL(file_read(file, big, 1, UINT64_MAX - 5), 0);
    REF_PUT(file);
    test_world_end(&world);
}

SLEEPS_ROOT static void test_writing_grows_keeps_the_rest_and_is_written_back(void)
{
    test_world_begin(&world, 1024);
    struct test_file *file = test_file_create(&world, 4);
    CU_ASSERT_EQUAL(file_write(file, "abc", 3, PAGE_SIZE + 1), 3);
    CU_ASSERT_EQUAL(file->mapping.dirty_count, 1);
    CU_ASSERT_EQUAL(file_write(file, big, 2 * PAGE_SIZE, 4 * PAGE_SIZE), (i64)(2 * PAGE_SIZE));
    CU_ASSERT_EQUAL(file->mapping.size, 6 * PAGE_SIZE);
    CU_ASSERT_EQUAL(file->fill_count, 1); /* whole pages are not read first */
    CU_ASSERT_EQUAL(mapping_sync(&file->mapping, NULL), 0);
    CU_ASSERT_EQUAL(file->mapping.dirty_count, 0);
    CU_ASSERT_EQUAL(file->write_count, 3);
    CU_ASSERT(memcmp(file->bytes + PAGE_SIZE, "\2abc\2", 5) == 0);
    CU_ASSERT_EQUAL(mapping_sync(&file->mapping, NULL), 0);
    CU_ASSERT_EQUAL(file->write_count, 3);
    REF_PUT(file);
    test_world_end(&world);
}

SLEEPS_ROOT static void test_a_failed_fill_leaves_nothing_and_a_failed_write_back_stays_dirty(void)
{
    test_world_begin(&world, 1024);
    struct test_file *file = test_file_create(&world, 4);
    file->error = -EIO;
    CU_ASSERT_EQUAL(file_read(file, big, 10, 0), -EIO);
    CU_ASSERT_EQUAL(file->mapping.pages.count, 0);
    file->error = 0;
    CU_ASSERT_EQUAL(file_write(file, "x", 1, 0), 1);
    file->error = -EIO;
    CU_ASSERT_EQUAL(mapping_sync(&file->mapping, NULL), -EIO);
    CU_ASSERT_EQUAL(file->mapping.dirty_count, 1);
    file->error = 0;
    CU_ASSERT_EQUAL(mapping_sync(&file->mapping, NULL), 0);
    CU_ASSERT_EQUAL(file->bytes[0], 'x');
    REF_PUT(file);
    test_world_end(&world);
}

SLEEPS_ROOT static void test_the_cache_is_bounded_and_evicts_the_oldest_clean_page(void)
{
    test_world_begin(&world, 1024);
    struct test_file *file = test_file_create(&world, 64);
    world.memory->cache_max = 16;
    frame held;
    CU_ASSERT_EQUAL(mapping_get_page(&file->mapping, NULL, 0, 0, false, &held), 0);
    for (u64 i = 1; i < 64; i++)
        CU_ASSERT_EQUAL(file_read(file, big, 1, i << PAGE_SHIFT), 1);
    CU_ASSERT(world.memory->used[FRAME_CACHE] <= 16);
    frame again;
    CU_ASSERT(mapping_find_page(&file->mapping, 0, &again)); /* held: it could not go */
    CU_ASSERT(!mapping_find_page(&file->mapping, 1, &again));
    frame_put(world.memory, held);
    frame_put(world.memory, again);
    for (u64 i = 0; i < 64; i++) /* dirty pages are written back when they fill the cache */
        CU_ASSERT_EQUAL(file_write(file, "y", 1, i << PAGE_SHIFT), 1);
    CU_ASSERT(world.memory->used[FRAME_CACHE] <= 16);
    CU_ASSERT_EQUAL(mapping_sync(&file->mapping, NULL), 0);
    CU_ASSERT(file->bytes[0] == 'y' && file->bytes[63 * PAGE_SIZE] == 'y');
    mapping_drop_clean(&file->mapping);
    CU_ASSERT_EQUAL(file->mapping.pages.count, 0);
    REF_PUT(file);
    test_world_end(&world);
}

static int charge_budget;
static int charge(struct mapping *mapping, i64 pages)
{
    if (pages > 0 && charge_budget < pages)
        return -ENOSPC;
    charge_budget -= (int)pages;
    return 0;
}

SLEEPS_ROOT static void test_a_memory_file_has_holes_a_quota_and_truncates(void)
{
    test_world_begin(&world, 1024);
    struct shared_memory *shared;
    CU_ASSERT_EQUAL(shared_memory_create(world.memory, FRAME_TMPFS, 0, &shared), 0);
    struct mapping *mapping = &shared->mapping;
    mapping->charge = charge;
    charge_budget = 3;
    struct uio_segment one;
    struct uio uio;
    memset(big, 5, sizeof big);
    uio_init_kernel(&uio, NULL, big, 2 * PAGE_SIZE, &one);
    CU_ASSERT_EQUAL(mapping_write(mapping, NULL, &uio, PAGE_SIZE * 2), (i64)(2 * PAGE_SIZE));
    uio_init_kernel(&uio, NULL, big, 2 * PAGE_SIZE, &one);
    CU_ASSERT_EQUAL(mapping_write(mapping, NULL, &uio, PAGE_SIZE * 6), (i64)PAGE_SIZE);
    CU_ASSERT_EQUAL(charge_budget, 0);
    CU_ASSERT_EQUAL(mapping_seek(mapping, 0, true), (i64)(2 * PAGE_SIZE));
    CU_ASSERT_EQUAL(mapping_seek(mapping, 2 * PAGE_SIZE + 3, false), (i64)(4 * PAGE_SIZE));
    CU_ASSERT_EQUAL(mapping_seek(mapping, 7 * PAGE_SIZE, true), -ENXIO);
    uio_init_kernel(&uio, NULL, big, 16, &one);
    CU_ASSERT_EQUAL(mapping_read(mapping, NULL, &uio, 2 * PAGE_SIZE - 8), 16);
    CU_ASSERT(big[7] == 0 && big[8] == 5);
    mapping_truncate(mapping, NULL, 2 * PAGE_SIZE + 10);
    CU_ASSERT_EQUAL(mapping->pages.count, 1);
    CU_ASSERT_EQUAL(charge_budget, 2);
    mapping_truncate(mapping, NULL, 3 * PAGE_SIZE);
    uio_init_kernel(&uio, NULL, big, 16, &one);
    CU_ASSERT_EQUAL(mapping_read(mapping, NULL, &uio, 2 * PAGE_SIZE + 5), 16);
    CU_ASSERT(big[4] == 5 && big[5] == 0); /* the tail was zeroed */
    CU_ASSERT_EQUAL(mapping_punch(mapping, NULL, 2 * PAGE_SIZE + 1, 2), 0);
    uio_init_kernel(&uio, NULL, big, 4, &one);
    CU_ASSERT_EQUAL(mapping_read(mapping, NULL, &uio, 2 * PAGE_SIZE), 4);
    CU_ASSERT(big[0] == 5 && big[1] == 0 && big[2] == 0 && big[3] == 5);
    CU_ASSERT_EQUAL(mapping_punch(mapping, NULL, 0, UINT64_MAX), 0);
    CU_ASSERT_EQUAL(mapping->pages.count, 0);
    CU_ASSERT_EQUAL(mapping->size, 3 * PAGE_SIZE);
    REF_PUT(shared);
    test_world_end(&world);
}

SLEEPS_ROOT static void test_a_uio_walks_segments_and_goes_back(void)
{
    u8 a[3] = "xyz", b[5] = "12345", got[8];
    struct uio_segment segments[3] = {{(u64)(uintptr_t)a, 3}, {0, 0}, {(u64)(uintptr_t)b, 5}};
    struct uio uio = {.segments = segments, .segment_count = 3, .remaining = 8};
    CU_ASSERT_EQUAL(uio_take(&uio, got, 5), 5);
    CU_ASSERT(memcmp(got, "xyz12", 5) == 0);
    uio_revert(&uio, 4);
    CU_ASSERT_EQUAL(uio.remaining, 7);
    CU_ASSERT_EQUAL(uio_take(&uio, got, 100), 7);
    CU_ASSERT(memcmp(got, "yz12345", 7) == 0);
    CU_ASSERT_EQUAL(uio_take(&uio, got, 1), 0);
    uio_revert(&uio, 8);
    CU_ASSERT_EQUAL(uio_put_zeros(&uio, 4), 4);
    CU_ASSERT(a[2] == 0 && b[0] == 0 && b[1] == '2');
}

/* ---- several fibers ------------------------------------------------------------------------- */

#define FIBERS 6
static struct test_file *slow_file;
static struct fiber fibers[FIBERS];
static u32 ended_count;
static i64 results[FIBERS];

/* As test_fill, but others run meanwhile. */
SLEEPS_ROOT static int slow_fill(struct mapping *mapping, struct fiber *fiber, u64 index, u64 count,
                                 u8 *const *pages)
{
    for (int i = 0; i < 5; i++)
        fiber_yield(fiber);
    int err = test_fill(mapping, fiber, index, count, pages);
    fiber_yield(fiber);
    return err;
}

SLEEPS_ROOT static int slow_write_back(struct mapping *mapping, struct fiber *fiber, u64 index,
                                       const u8 *page, u64 size)
{
    for (int i = 0; i < 5; i++)
        fiber_yield(fiber);
    return test_write_back(mapping, fiber, index, page, size);
}
static const struct mapping_ops slow_ops = {.fill = slow_fill, .write_back = slow_write_back};

/* Fibers 0 and 1 read, 2 writes, 3 syncs, 4 truncates, 5 reads last. */
SLEEPS_ROOT static void fiber_body(void *arg)
{
    u64 me = (u64)(uintptr_t)arg;
    struct fiber *fiber = &fibers[me];
    struct mapping *mapping = &slow_file->mapping;
    static u8 bytes[FIBERS][4096];
    struct uio_segment one;
    struct uio uio;
    uio_init_kernel(&uio, fiber, bytes[me], 100, &one);
    for (u64 i = 0; i < me; i++)
        fiber_yield(fiber);
    if (me == 2)
        results[me] = mapping_write(mapping, fiber, &uio, 3 * PAGE_SIZE);
    else if (me == 3)
        results[me] = mapping_sync(mapping, fiber);
    else if (me == 4)
        mapping_truncate(mapping, fiber, PAGE_SIZE);
    else
        results[me] = mapping_read(mapping, fiber, &uio, me == 5 ? 10 : 3 * PAGE_SIZE);
}

static void fiber_ended(struct fiber *fiber)
{
    ended_count++;
}

SLEEPS_ROOT static void test_fibers_wait_for_busy_pages(void)
{
    test_world_begin(&world, 1024);
    const struct sim_config config = {.seed = 3};
    struct host *host = host_sim_create(&config);
    struct sched *sched = NULL;
    CU_ASSERT_EQUAL_FATAL(sched_create(world.arena, host, NULL, 2, &sched), 0);
    slow_file = test_file_create(&world, 20);
    slow_file->mapping.ops = &slow_ops;
    ended_count = 0;
    memset(fibers, 0, sizeof fibers);
    for (u64 i = 0; i < FIBERS; i++)
        CU_ASSERT_EQUAL(
            fiber_start(&fibers[i], sched, "test", fiber_body, (void *)(uintptr_t)i, fiber_ended),
            0);
    CU_ASSERT(sched_run_until_quiet(sched, 100000));
    CU_ASSERT_EQUAL(ended_count, FIBERS);
    CU_ASSERT(results[0] == 100 || results[0] == 0); /* before or after the truncation */
    CU_ASSERT_EQUAL(results[2], 100);
    CU_ASSERT_EQUAL(results[3], 0);
    CU_ASSERT_EQUAL(results[5], 100);
    CU_ASSERT(slow_file->fill_count <= 4); /* those who waited did not ask again */
    REF_PUT(slow_file);
    sched_destroy(sched);
    host_put(host);
    test_world_end(&world);
}

void mapping_suite(void);
void mapping_suite(void)
{
    CU_pSuite suite = CU_add_suite("memory/mapping", NULL, NULL);
    CU_ADD_TEST(suite, test_reading_stops_at_the_end_and_reads_ahead);
    CU_ADD_TEST(suite, test_writing_grows_keeps_the_rest_and_is_written_back);
    CU_ADD_TEST(suite, test_a_failed_fill_leaves_nothing_and_a_failed_write_back_stays_dirty);
    CU_ADD_TEST(suite, test_the_cache_is_bounded_and_evicts_the_oldest_clean_page);
    CU_ADD_TEST(suite, test_a_memory_file_has_holes_a_quota_and_truncates);
    CU_ADD_TEST(suite, test_fibers_wait_for_busy_pages);
    CU_ADD_TEST(suite, test_a_uio_walks_segments_and_goes_back);
}
