/* SPDX-License-Identifier: Apache-2.0 */
#include <CUnit/CUnit.h>
#include <stdio.h>

#include "sentry/memory/testing.h"

static struct test_world world;

SLEEPS_ROOT static void test_a_run_is_zeroed_counted_and_contiguous(void)
{
    test_world_begin(&world, 1024);
    frame first;
    u64 count;
    CU_ASSERT_EQUAL(frame_alloc_run(world.memory, FRAME_ANON, 16, 0, &first, &count), 0);
    CU_ASSERT_EQUAL(count, 16);
    CU_ASSERT_NOT_EQUAL(first.index, 0);
    for (u64 i = 0; i < 16; i++) {
        const u8 *bytes = frame_bytes(world.memory, (frame){first.index + i});
        CU_ASSERT(bytes[0] == 0 && bytes[PAGE_SIZE - 1] == 0);
        CU_ASSERT_EQUAL(frame_refs(world.memory, (frame){first.index + i}), 1);
    }
    CU_ASSERT_EQUAL(world.memory->used[FRAME_ANON], 16);
    frame_put_run(world.memory, first, 16);
    CU_ASSERT_EQUAL(memory_used(world.memory), 0);
    test_world_end(&world);
}

SLEEPS_ROOT static void test_a_used_frame_comes_back_zeroed_but_raw_ones_need_not(void)
{
    test_world_begin(&world, 1024);
    frame a, b;
    u64 count;
    CU_ASSERT_EQUAL(frame_alloc_run(world.memory, FRAME_ANON, 1, 0, &a, &count), 0);
    memset(frame_bytes(world.memory, a), 7, PAGE_SIZE);
    frame_put(world.memory, a);
    CU_ASSERT_EQUAL(frame_alloc_run_raw(world.memory, FRAME_ANON, 1, 0, &b, &count), 0);
    CU_ASSERT_EQUAL(a.index, b.index); /* the lowest first */
    frame_put(world.memory, b);
    CU_ASSERT_EQUAL(frame_alloc_run(world.memory, FRAME_ANON, 1, 0, &b, &count), 0);
    CU_ASSERT_EQUAL(frame_bytes(world.memory, b)[100], 0);
    frame_put(world.memory, b);
    test_world_end(&world);
}

SLEEPS_ROOT static void test_a_hint_is_followed_where_it_is_free(void)
{
    test_world_begin(&world, 1024);
    frame a, b, c;
    u64 count;
    CU_ASSERT_EQUAL(frame_alloc_run(world.memory, FRAME_ANON, 4, 0, &a, &count), 0);
    CU_ASSERT_EQUAL(frame_alloc_run(world.memory, FRAME_ANON, 4, 100, &b, &count), 0);
    CU_ASSERT_EQUAL(b.index, 100);
    CU_ASSERT_EQUAL(frame_alloc_run(world.memory, FRAME_ANON, 4, 102, &c, &count), 0);
    CU_ASSERT_NOT_EQUAL(c.index, 102);
    frame_put_run(world.memory, a, 4);
    frame_put_run(world.memory, b, 4);
    frame_put_run(world.memory, c, 4);
    test_world_end(&world);
}

SLEEPS_ROOT static void test_the_limit_refuses_and_broken_memory_gives_shorter_runs(void)
{
    test_world_begin(&world, 64);
    frame all[64], run;
    u64 count;
    for (u64 i = 0; i < 64; i++)
        CU_ASSERT_EQUAL(frame_alloc_run(world.memory, FRAME_ANON, 1, 0, &all[i], &count), 0);
    CU_ASSERT_EQUAL(frame_alloc_run(world.memory, FRAME_ANON, 1, 0, &run, &count), -ENOMEM);
    for (u64 i = 0; i < 64; i += 2)
        frame_put(world.memory, all[i]);
    CU_ASSERT_EQUAL(frame_alloc_run(world.memory, FRAME_ANON, 8, 0, &run, &count), 0);
    CU_ASSERT(count >= 1 && count <= 8);
    CU_ASSERT(memory_backed(world.memory) <= 64);
    frame_put_run(world.memory, run, count);
    for (u64 i = 1; i < 64; i += 2)
        frame_put(world.memory, all[i]);
    test_world_end(&world);
}

SLEEPS_ROOT static void test_trimming_gives_free_memory_back_and_keeps_the_used(void)
{
    test_world_begin(&world, 4096);
    frame a, b;
    u64 count;
    CU_ASSERT_EQUAL(frame_alloc_run(world.memory, FRAME_ANON, 512, 0, &a, &count), 0);
    CU_ASSERT_EQUAL(frame_alloc_run(world.memory, FRAME_ANON, 3, 0, &b, &count), 0);
    memset(frame_bytes(world.memory, b), 9, 3 * PAGE_SIZE);
    frame_put_run(world.memory, a, 512);
    CU_ASSERT(memory_backed(world.memory) >= 515);
    memory_trim(world.memory);
    CU_ASSERT_EQUAL(memory_backed(world.memory), 3);
    CU_ASSERT_EQUAL(frame_bytes(world.memory, b)[PAGE_SIZE], 9);
    CU_ASSERT_EQUAL(frame_alloc_run(world.memory, FRAME_ANON, 512, 0, &a, &count), 0);
    CU_ASSERT_EQUAL(frame_bytes(world.memory, a)[5], 0);
    frame_put_run(world.memory, a, count);
    frame_put_run(world.memory, b, 3);
    test_world_end(&world);
}

SLEEPS_ROOT static void test_walking_shows_exactly_the_used_frames(void)
{
    test_world_begin(&world, 16384);
    frame a, b, at = {0};
    u64 count, seen = 0;
    CU_ASSERT_EQUAL(frame_alloc_run(world.memory, FRAME_CACHE, 5, 0, &a, &count), 0);
    CU_ASSERT_EQUAL(frame_alloc_run(world.memory, FRAME_ANON, 4096, 0, &b, &count), 0);
    while (frame_next_used(world.memory, &at))
        seen++;
    CU_ASSERT_EQUAL(seen, 5 + count);
    CU_ASSERT_EQUAL(frame_use_of(world.memory, a), FRAME_CACHE);
    frame_put_run(world.memory, a, 5);
    frame_put_run(world.memory, b, count);
    test_world_end(&world);
}

SLEEPS_ROOT static void test_a_long_random_course_agrees_with_a_plain_model(void)
{
    test_world_begin(&world, 3000);
    struct rand_run {
        frame first;
        u64 count;
        u8 mark;
    } runs[64] = {0};
    u64 state = 1, used = 0;
    for (int step = 0; step < 20000; step++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        struct rand_run *run = &runs[state >> 58];
        if (run->count) {
            for (u64 i = 0; i < run->count; i++)
                CU_ASSERT_EQUAL_FATAL(frame_bytes(world.memory, (frame){run->first.index + i})[77],
                                      run->mark);
            frame_put_run(world.memory, run->first, run->count);
            used -= run->count;
            run->count = 0;
            continue;
        }
        u64 want = (state >> 40) % 90 + 1;
        if (frame_alloc_run(world.memory, FRAME_ANON, want, 0, &run->first, &run->count) < 0) {
            run->count = 0;
            continue;
        }
        run->mark = (u8)step;
        used += run->count;
        for (u64 i = 0; i < run->count; i++) {
            u8 *bytes = frame_bytes(world.memory, (frame){run->first.index + i});
            CU_ASSERT_EQUAL_FATAL(bytes[77], 0);
            bytes[77] = run->mark;
        }
        CU_ASSERT_EQUAL_FATAL(memory_used(world.memory), used);
        CU_ASSERT_FATAL(memory_backed(world.memory) <= 3000);
    }
    for (int i = 0; i < 64; i++)
        if (runs[i].count)
            frame_put_run(world.memory, runs[i].first, runs[i].count);
    test_world_end(&world);
}

void frames_suite(void);
void frames_suite(void)
{
    CU_pSuite suite = CU_add_suite("memory/frames", NULL, NULL);
    CU_ADD_TEST(suite, test_a_run_is_zeroed_counted_and_contiguous);
    CU_ADD_TEST(suite, test_a_used_frame_comes_back_zeroed_but_raw_ones_need_not);
    CU_ADD_TEST(suite, test_a_hint_is_followed_where_it_is_free);
    CU_ADD_TEST(suite, test_the_limit_refuses_and_broken_memory_gives_shorter_runs);
    CU_ADD_TEST(suite, test_trimming_gives_free_memory_back_and_keeps_the_used);
    CU_ADD_TEST(suite, test_walking_shows_exactly_the_used_frames);
    CU_ADD_TEST(suite, test_a_long_random_course_agrees_with_a_plain_model);
}
