/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include "base/arena_plain.h"
#include "base/object.h"

#include <CUnit/CUnit.h>
#include <string.h>

struct thing {
    struct object object;
    u32 *deaths;
    struct thing *inner;
};

static void thing_destroy(struct object *object)
{
    struct thing *thing = (struct thing *)object;
    ++*thing->deaths;
    REF_PUT(thing->inner);
}

static const struct kind thing_kind = {
    .name = "thing", .size = sizeof(struct thing), .destroy = thing_destroy};
static const struct kind plain_kind = {.name = "plain", .size = sizeof(struct object)};

static void memory_is_zeroed_and_counted(void)
{
    struct arena *arena = arena_plain_create();
    u8 *a = arena_alloc(arena, 100);
    CU_ASSERT_PTR_NOT_NULL_FATAL(a);
    memset(a, 1, 100);
    arena_free(arena, a, 100);
    a = arena_alloc_array(arena, 10, 10);
    for (int i = 0; i < 100; i++)
        CU_ASSERT_EQUAL(a[i], 0);
    CU_ASSERT_EQUAL(arena->bytes_live, 100);
    CU_ASSERT_EQUAL(arena->allocations, 2);
    memset(a, 7, 100);
    a = arena_realloc(arena, a, 100, 300);
    CU_ASSERT_EQUAL(a[99], 7);
    CU_ASSERT_EQUAL(a[100], 0);
    CU_ASSERT_EQUAL(a[299], 0);
    a = arena_realloc(arena, a, 300, 10);
    CU_ASSERT_EQUAL(arena->bytes_live, 10);
    arena_free(arena, a, 10);
    void *empty = arena_alloc(arena, 0);
    CU_ASSERT_PTR_NOT_NULL(empty);
    arena_free(arena, empty, 0);
    arena_free(arena, NULL, 5);
    arena_plain_destroy(arena);
}

static void sizes_without_sense_are_refused(void)
{
    struct arena *arena = arena_plain_create();
    CU_ASSERT_PTR_NULL(arena_alloc(arena, ARENA_SIZE_MAX + 1));
    CU_ASSERT_PTR_NULL(arena_alloc_array(arena, SIZE_MAX / 2, 4));
    void *big = arena_alloc(arena, ARENA_SIZE_MAX);
    CU_ASSERT_PTR_NOT_NULL(big);
    CU_ASSERT_PTR_NULL(arena_realloc(arena, big, ARENA_SIZE_MAX, SIZE_MAX));
    arena_free(arena, big, ARENA_SIZE_MAX);
    arena_plain_destroy(arena);
}

static void strings_know_their_own_size(void)
{
    struct arena *arena = arena_plain_create();
    char *a = arena_strdup(arena, "hello");
    char *b = arena_strndup(arena, "hello", 3);
    char *c = arena_strndup(arena, "he\0lo", 5);
    CU_ASSERT_STRING_EQUAL(a, "hello");
    CU_ASSERT_STRING_EQUAL(b, "hel");
    CU_ASSERT_STRING_EQUAL(c, "he");
    arena_free_string(arena, a);
    arena_free_string(arena, b);
    arena_free_string(arena, c);
    arena_free_string(arena, NULL);
    arena_plain_destroy(arena);
}

static void the_plan_fails_one_allocation_or_all_from_one_on(void)
{
    struct arena *arena = arena_plain_create();
    for (int later = 0; later < 2; later++) {
        arena_plain_fail(arena, 3, later);
        for (int i = 1; i <= 6; i++) {
            void *memory = arena_alloc(arena, 8);
            CU_ASSERT_EQUAL(memory == NULL, i == 3 || (later && i > 3));
            arena_free(arena, memory, 8);
        }
    }
    arena_plain_fail(arena, 0, false);
    arena_plain_limit(arena, 100);
    void *a = arena_alloc(arena, 60);
    CU_ASSERT_PTR_NULL(arena_alloc(arena, 41));
    void *b = arena_alloc(arena, 40);
    CU_ASSERT_PTR_NOT_NULL(b);
    arena_free(arena, a, 60);
    arena_free(arena, b, 40);
    arena_plain_destroy(arena);
}

static void an_object_dies_with_its_last_reference(void)
{
    struct arena *arena = arena_plain_create();
    u32 deaths = 0;
    struct thing *outer = object_create(arena, &thing_kind);
    struct thing *inner = object_create(arena, &thing_kind);
    CU_ASSERT_TRUE_FATAL(outer && inner);
    CU_ASSERT_EQUAL(outer->object.id, 1);
    CU_ASSERT_EQUAL(inner->object.id, 2);
    outer->deaths = inner->deaths = &deaths;
    outer->inner = REF_GET(inner);
    CU_ASSERT_EQUAL(inner->object.refs, 2);
    REF_CLEAR(inner);
    CU_ASSERT_PTR_NULL(inner);
    CU_ASSERT_EQUAL(deaths, 0);
    {
        AUTO_PUT struct thing *lent = REF_GET(outer);
        CU_ASSERT_EQUAL(lent->object.refs, 2);
    }
    AUTO_PUT struct thing *nothing = NULL;
    CU_ASSERT_EQUAL(outer->object.refs, 1);
    struct thing *handed = MOVE(outer);
    CU_ASSERT_PTR_NULL(outer);
    object_put(&handed->object);
    CU_ASSERT_EQUAL(deaths, 2);
    CU_ASSERT_EQUAL(arena->object_count, 0);
    CU_ASSERT_PTR_NULL(REF_GET(nothing));
    arena_plain_fail(arena, 1, false);
    CU_ASSERT_PTR_NULL(object_create(arena, &thing_kind));
    arena_plain_destroy(arena);
}

struct report {
    char text[128];
};

static void add_report(void *arg, const char *kind, u64 count)
{
    struct report *report = arg;
    size_t used = strlen(report->text);
    report->text[used] = (char)('0' + count);
    strcpy(report->text + used + 1, kind);
}

static void living_objects_are_reported_by_kind(void)
{
    struct arena *arena = arena_plain_create();
    u32 deaths = 0;
    struct object *a = object_create(arena, &plain_kind);
    struct thing *b = object_create(arena, &thing_kind);
    struct object *c = object_create(arena, &plain_kind);
    CU_ASSERT_TRUE_FATAL(a && b && c);
    b->deaths = &deaths;
    struct report report = {""};
    CU_ASSERT_EQUAL(arena_report_live(arena, add_report, &report), 3);
    CU_ASSERT_STRING_EQUAL(report.text, "2plain1thing");
    object_put(a);
    object_put(&b->object);
    object_put(c);
    CU_ASSERT_EQUAL(arena_report_live(arena, NULL, NULL), 0);
    arena_plain_destroy(arena);
}

void arena_suite(void)
{
    CU_pSuite suite = CU_add_suite("base/arena and object", NULL, NULL);
#define ADD(test) CU_add_test(suite, #test, test)
    ADD(memory_is_zeroed_and_counted);
    ADD(sizes_without_sense_are_refused);
    ADD(strings_know_their_own_size);
    ADD(the_plan_fails_one_allocation_or_all_from_one_on);
    ADD(an_object_dies_with_its_last_reference);
    ADD(living_objects_are_reported_by_kind);
#undef ADD
}
