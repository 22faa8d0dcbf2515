/* SPDX-License-Identifier: Apache-2.0 */
/* The wire form's own examples, nesting, and reading back what is broken. */
#include <CUnit/Basic.h>
#include <string.h>

#include "base/arena_plain.h"
#include "base/protobuf.h"

static void test_what_is_written_is_the_wire_form(void)
{
    static const u8 want[] = {0x08, 0x96, 0x01, 0x12, 0x07, 't',  'e', 's',  't', 'i',
                              'n',  'g',  0x1a, 0x03, 0x08, 0x96, 1,   0x22, 0};
    struct arena *arena = arena_plain_create();
    struct buf buf;
    buf_init(&buf, arena, 0);
    struct protobuf out = {.buf = &buf};
    protobuf_put_u64(&out, 1, 150);
    protobuf_put_text(&out, 2, "testing");
    size_t begun = protobuf_begin(&out, 3);
    protobuf_put_u64(&out, 1, 150);
    protobuf_end(&out, begun);
    protobuf_add_bytes(&out, 4, "", 0);
    protobuf_put_u64(&out, 5, 0);
    CU_ASSERT_FALSE(out.failed);
    CU_ASSERT_EQUAL_FATAL(buf.size, sizeof want);
    CU_ASSERT_EQUAL(memcmp(buf_bytes(&buf), want, sizeof want), 0);
    buf_fini(&buf);
    arena_plain_destroy(arena);
}

static void test_long_nested_messages_and_negative_numbers_come_back(void)
{
    struct arena *arena = arena_plain_create();
    char text[300];
    struct protobuf_field field;
    struct buf buf;
    buf_init(&buf, arena, 0);
    struct protobuf out = {.buf = &buf};
    memset(text, 'x', sizeof text);
    size_t begun = protobuf_begin(&out, 2);
    protobuf_put_bytes(&out, 1, text, sizeof text);
    protobuf_put_i64(&out, 2, -7);
    protobuf_end(&out, begun);
    const u8 *bytes = buf_bytes(&buf);
    size_t size = buf.size;
    CU_ASSERT_EQUAL_FATAL(protobuf_next(&bytes, &size, &field), 1);
    CU_ASSERT_EQUAL(field.number, 2);
    CU_ASSERT_EQUAL(protobuf_next(&bytes, &size, &field) + (int)size, 0);
    bytes = buf_bytes(&buf) + 3;
    size = buf.size - 3;
    CU_ASSERT_EQUAL(protobuf_next(&bytes, &size, &field), 1);
    CU_ASSERT_EQUAL(field.size, sizeof text);
    CU_ASSERT_EQUAL(protobuf_next(&bytes, &size, &field), 1);
    CU_ASSERT_EQUAL((i64)field.value, -7);
    buf_fini(&buf);
    arena_plain_destroy(arena);
}

static void test_broken_bytes_are_refused(void)
{
    static const struct {
        u8 bytes[12];
        size_t size;
    } cases[] = {
        {{0x08}, 1},
        {{0x08, 0x80}, 2},
        {{0x0a, 0x05, 'a'}, 3},
        {{0x00, 0x01}, 2},
        {{0x0b}, 1},
        {{0x09, 1, 2}, 3},
        {{0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, 12},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const u8 *bytes = cases[i].bytes;
        size_t size = cases[i].size;
        struct protobuf_field field;
        CU_ASSERT_EQUAL(protobuf_next(&bytes, &size, &field), -1);
    }
}

void protobuf_suite(void)
{
    CU_pSuite suite = CU_add_suite("base/protobuf", NULL, NULL);
    CU_ADD_TEST(suite, test_what_is_written_is_the_wire_form);
    CU_ADD_TEST(suite, test_long_nested_messages_and_negative_numbers_come_back);
    CU_ADD_TEST(suite, test_broken_bytes_are_refused);
}
