/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saving and loading address spaces, with a walker of the tests' own in place of sentry/state: a
 * list of words, in which a frame is its number (the test loads into the same memory).
 */
#include "base/state.h"

#include <CUnit/CUnit.h>
#include <stdio.h>

#include "sentry/memory/testing.h"

struct state_writer {
    u64 words[4096];
    u64 count;
};
struct state_reader {
    const struct state_writer *from;
    u64 at;
    struct test_world *world;
};

int state_write_u64(struct state_writer *writer, u64 value)
{
    if (writer->count == ARRAY_COUNT(writer->words))
        return -ENOSPC;
    writer->words[writer->count++] = value;
    return 0;
}
int state_read_u64(struct state_reader *reader, u64 *out)
{
    if (reader->at == reader->from->count)
        return -EINVAL;
    *out = reader->from->words[reader->at++];
    return 0;
}
int state_write_frame(struct state_writer *writer, frame f)
{
    return state_write_u64(writer, f.index);
}
int state_read_frame(struct state_reader *reader, frame *out)
{
    int err = state_read_u64(reader, &out->index);
    if (!err)
        frame_get(reader->world->memory, *out);
    return err;
}
struct memory *state_reader_memory(struct state_reader *reader)
{
    return reader->world->memory;
}
struct platform *state_reader_platform(struct state_reader *reader)
{
    return reader->world->platform;
}

static struct test_world world;

/* What the walker does with the fields: a new mm with copies of the vmas in its list. */
static struct mm *load_objects(struct mm *from)
{
    struct mm *mm = object_create(world.arena, &mm_kind);
    list_init(&mm->vma_list);
    struct vma *vma;
    list_for_each (vma, &from->vma_list, mm_link) {
        struct vma *copy = object_create(world.arena, &vma_kind);
        copy->start = vma->start;
        copy->end = vma->end;
        copy->prot = vma->prot;
        copy->flags = vma->flags;
        copy->file = vma->file;
        if (copy->file)
            object_get_(copy->file);
        copy->offset = vma->offset;
        list_add_tail(&mm->vma_list, &copy->mm_link);
    }
    return mm;
}

SLEEPS_ROOT static void test_a_saved_space_is_loaded_with_its_pages(void)
{
    test_world_begin(&world, 1024);
    struct mm *mm = test_mm(&world);
    u64 at = (u64)test_map(mm, 0, 40, RW, 0);
    u64 shared = (u64)test_map(mm, 0, 4, RW, VMA_SHARED);
    CU_ASSERT_EQUAL(test_store(mm, at + 5, 1), 0);
    CU_ASSERT_EQUAL(test_store(mm, at + 30 * PAGE_SIZE, 2), 0);
    CU_ASSERT_EQUAL(test_store(mm, shared, 3), 0);
    CU_ASSERT_EQUAL(mm_protect(mm, NULL, at, PAGE_SIZE, LINUX_PROT_READ), 0);
    struct state_writer writer = {0};
    CU_ASSERT_EQUAL(mm_kind.save_more(&mm->object, &writer), 0);

    struct mm *copy = load_objects(mm);
    struct state_reader reader = {&writer, 0, &world};
    CU_ASSERT_EQUAL(mm_kind.load_more(&copy->object, &reader), 0);
    CU_ASSERT_EQUAL(mm_kind.loaded(&copy->object, &reader), 0);
    CU_ASSERT(test_mm_is_right(copy));
    CU_ASSERT_EQUAL(copy->virtual_size, mm->virtual_size);
    CU_ASSERT_EQUAL(copy->vma_count, mm->vma_count);
    CU_ASSERT_EQUAL(test_load(copy, at + 5), 1);
    CU_ASSERT_EQUAL(test_load(copy, at + 30 * PAGE_SIZE), 2);
    CU_ASSERT_EQUAL(test_load(copy, shared), 3);
    CU_ASSERT_EQUAL(test_store(copy, at, 1), -EFAULT);
    CU_ASSERT_EQUAL(test_store(copy, at + 30 * PAGE_SIZE, 9), 0);
    CU_ASSERT_EQUAL(test_load(mm, at + 30 * PAGE_SIZE), 2);
    REF_PUT(copy);
    REF_PUT(mm);
    test_world_end(&world);
}

/* As the reader does when a load has failed; the areas are in no tree for REF_PUT then. */
static void discard(struct mm *mm)
{
    mm_kind.discard(&mm->object);
    mm->space = NULL;
    mm->vmas = (struct tree){0};
    REF_PUT(mm);
}

SLEEPS_ROOT static void test_a_damaged_image_is_refused_and_leaves_nothing(void)
{
    test_world_begin(&world, 1024);
    struct mm *mm = test_mm(&world);
    CU_ASSERT(test_map(mm, 0x100000, 2, RW, 0) > 0);
    CU_ASSERT(test_map(mm, 0x200000, 2, LINUX_PROT_READ, 0) > 0);
    CU_ASSERT_EQUAL(test_store(mm, 0x100000, 1), 0);
    struct state_writer writer = {0};
    CU_ASSERT_EQUAL(mm_kind.save_more(&mm->object, &writer), 0);
    struct state_reader reader = {&writer, 0, &world};
    struct mm *copy = load_objects(mm);
    writer.words[0] = UINT64_MAX - 100; /* not a user address */
    CU_ASSERT_EQUAL(mm_kind.load_more(&copy->object, &reader), -EINVAL);
    discard(copy);

    writer.words[0] = 0x300000 | 1; /* in no vma */
    reader.at = 0;
    copy = load_objects(mm);
    CU_ASSERT_EQUAL(mm_kind.load_more(&copy->object, &reader), 0);
    CU_ASSERT_EQUAL(mm_kind.loaded(&copy->object, &reader), -EINVAL);
    discard(copy);

    writer.words[0] = 0x100000 | 1;
    reader.at = 0;
    copy = load_objects(mm);
    list_last(&copy->vma_list, struct vma, mm_link)->start = 0x101000; /* overlaps */
    CU_ASSERT_EQUAL(mm_kind.load_more(&copy->object, &reader), 0);
    CU_ASSERT_EQUAL(mm_kind.loaded(&copy->object, &reader), -EINVAL);
    discard(copy);
    REF_PUT(mm);
    test_world_end(&world);
}

void state_stub_suite(void);
void state_stub_suite(void)
{
    CU_pSuite suite = CU_add_suite("memory/save", NULL, NULL);
    CU_ADD_TEST(suite, test_a_saved_space_is_loaded_with_its_pages);
    CU_ADD_TEST(suite, test_a_damaged_image_is_refused_and_leaves_nothing);
}
