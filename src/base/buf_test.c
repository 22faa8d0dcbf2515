/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include "base/arena_plain.h"
#include "base/rand.h"

#include <CUnit/CUnit.h>
#include <errno.h>
#include <string.h>

static void text_is_built_piece_by_piece(void)
{
    struct arena *arena = arena_plain_create();
    struct buf buf;
    buf_init(&buf, arena, 0);
    CU_ASSERT_STRING_EQUAL(buf_text(&buf), "");
    CU_ASSERT_EQUAL(buf_append_text(&buf, "one "), 0);
    CU_ASSERT_EQUAL(buf_printf(&buf, "%d-%s", 2, "two"), 0);
    CU_ASSERT_EQUAL(buf_append(&buf, NULL, 0), 0);
    CU_ASSERT_STRING_EQUAL(buf_text(&buf), "one 2-two");
    u8 *room;
    CU_ASSERT_EQUAL(buf_reserve(&buf, 1000, &room), 0);
    memset(room, 'x', 10);
    buf_grow(&buf, 10);
    CU_ASSERT_EQUAL(buf.size, 19);
    buf_consume(&buf, 15);
    CU_ASSERT_STRING_EQUAL(buf_text(&buf), "xxxx");
    buf_clear(&buf);
    CU_ASSERT_TRUE(buf_is_empty(&buf));
    buf_fini(&buf);
    buf_fini(&buf); /* twice is harmless */
    arena_plain_destroy(arena);
}

static void a_limit_is_kept_to_the_byte(void)
{
    struct arena *arena = arena_plain_create();
    struct buf buf;
    buf_init(&buf, arena, 10);
    CU_ASSERT_EQUAL(buf_append(&buf, "0123456789", 10), 0);
    CU_ASSERT_EQUAL(buf_append(&buf, "x", 1), -ENOMEM);
    CU_ASSERT_EQUAL(buf_printf(&buf, "%d", 1), -ENOMEM);
    CU_ASSERT_STRING_EQUAL(buf_text(&buf), "0123456789");
    buf_consume(&buf, 3);
    CU_ASSERT_EQUAL(buf_append(&buf, "abc", 3), 0);
    CU_ASSERT_EQUAL(buf_append(&buf, "d", 1), -ENOMEM);
    CU_ASSERT_STRING_EQUAL(buf_text(&buf), "3456789abc");
    CU_ASSERT_EQUAL(buf_append(&buf, "d", SIZE_MAX), -ENOMEM);
    buf_fini(&buf);
    arena_plain_destroy(arena);
}

static void a_refused_append_changes_nothing(void)
{
    struct arena *arena = arena_plain_create();
    struct buf buf;
    buf_init(&buf, arena, 0);
    arena_plain_fail(arena, 1, true);
    CU_ASSERT_EQUAL(buf_append_text(&buf, "x"), -ENOMEM);
    CU_ASSERT_PTR_NULL(buf_text(&buf));
    arena_plain_fail(arena, 0, false);
    CU_ASSERT_EQUAL(buf_append_text(&buf, "kept"), 0);
    arena_plain_fail(arena, 1, true);
    char big[200] = "";
    memset(big, 'y', sizeof big - 1);
    CU_ASSERT_EQUAL(buf_append_text(&buf, big), -ENOMEM);
    CU_ASSERT_EQUAL(buf_printf(&buf, "%s", big), -ENOMEM);
    CU_ASSERT_STRING_EQUAL(buf_text(&buf), "kept");
    arena_plain_fail(arena, 0, false);
    buf_fini(&buf);
    arena_plain_destroy(arena);
}

static void as_a_queue_it_agrees_with_a_naive_one(void)
{
    struct arena *arena = arena_plain_create();
    struct buf buf;
    buf_init(&buf, arena, 300);
    static u8 model[1 << 16];
    size_t first = 0, end = 0;
    struct rand rand;
    rand_init(&rand, 1, "buf");
    for (int step = 0; step < 2000; step++) {
        u8 bytes[64];
        size_t size = (size_t)rand_below(&rand, sizeof bytes);
        if (rand_chance(&rand, 1, 2)) {
            rand_fill(&rand, bytes, size);
            bool fits = end - first + size <= 300;
            CU_ASSERT_EQUAL(buf_append(&buf, bytes, size), fits ? 0 : -ENOMEM);
            if (fits) {
                memcpy(model + end, bytes, size);
                end += size;
            }
        } else {
            size = MIN(size, end - first);
            buf_consume(&buf, size);
            first += size;
        }
        CU_ASSERT_EQUAL_FATAL(buf.size, end - first);
        if (buf.size > 0)
            CU_ASSERT_EQUAL_FATAL(memcmp(buf_bytes(&buf), model + first, buf.size), 0);
        CU_ASSERT_TRUE(buf.capacity <= 301);
        if (end > sizeof model - 100) {
            memmove(model, model + first, end - first);
            end -= first;
            first = 0;
        }
    }
    buf_fini(&buf);
    arena_plain_destroy(arena);
}

void buf_suite(void)
{
    CU_pSuite suite = CU_add_suite("base/buf", NULL, NULL);
#define ADD(test) CU_add_test(suite, #test, test)
    ADD(text_is_built_piece_by_piece);
    ADD(a_limit_is_kept_to_the_byte);
    ADD(a_refused_append_changes_nothing);
    ADD(as_a_queue_it_agrees_with_a_naive_one);
#undef ADD
}
