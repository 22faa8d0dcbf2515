/* SPDX-License-Identifier: Apache-2.0 */
/* The file protocol's codec: what goes in comes out, at every size; what is not the protocol is
 * refused. */
#include "wire/gofer/gofer_wire.h"

#include <CUnit/Basic.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static u8 bytes[GOFER_MESSAGE_MAX + 16];

static struct host_stat sample_stat(u64 seed)
{
    return (struct host_stat){.device = seed,
                              .inode = ~seed,
                              .mode = 0100644,
                              .link_count = 3,
                              .uid = 4,
                              .gid = 5,
                              .rdev_major = 6,
                              .rdev_minor = 7,
                              .size = seed << 20,
                              .blocks = 9,
                              .block_size = 4096,
                              .atime_ns = -1,
                              .mtime_ns = INT64_MAX,
                              .ctime_ns = INT64_MIN,
                              .btime_ns = 0};
}

static bool stat_is_equal(const struct host_stat *a, const struct host_stat *b)
{
    return a->device == b->device && a->inode == b->inode && a->mode == b->mode &&
           a->link_count == b->link_count && a->uid == b->uid && a->gid == b->gid &&
           a->rdev_major == b->rdev_major && a->rdev_minor == b->rdev_minor && a->size == b->size &&
           a->blocks == b->blocks && a->block_size == b->block_size && a->atime_ns == b->atime_ns &&
           a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns && a->btime_ns == b->btime_ns;
}

static void test_a_header_says_what_follows(void)
{
    struct gofer_get_attr request = {.fid = 0x01020304};
    struct gofer_header header;
    i64 size = gofer_put_get_attr(bytes, sizeof bytes, 0x1122334455667788, &request);
    CU_ASSERT_EQUAL(size, (i64)GOFER_HEADER_SIZE + 4);
    static const u8 wire[] = {20,   0,    0,    0,    3,    0,    0, 0, 0x88, 0x77,
                              0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 4, 3, 2,    1};
    CU_ASSERT_EQUAL(memcmp(bytes, wire, sizeof wire), 0);
    CU_ASSERT_EQUAL(gofer_get_header(bytes, (size_t)size, &header), 0);
    CU_ASSERT(header.type == GOFER_GET_ATTR && header.tag == 0x1122334455667788 &&
              header.flags == 0);
    CU_ASSERT_STRING_EQUAL(gofer_type_name(header.type), "get_attr");
    CU_ASSERT_PTR_NULL(gofer_type_name(GOFER_TYPE_END));
    CU_ASSERT_EQUAL(gofer_get_header(bytes, (size_t)size - 1, &header), -EPROTO);
    CU_ASSERT_EQUAL(gofer_get_header(bytes, 3, &header), -EPROTO);
    bytes[6] = GOFER_ERROR; /* without GOFER_REPLY */
    CU_ASSERT_EQUAL(gofer_get_header(bytes, (size_t)size, &header), -EPROTO);
    bytes[6] = 0;
    bytes[4] = 0;
    CU_ASSERT_EQUAL(gofer_get_header(bytes, (size_t)size, &header), -EPROTO);
}

static void test_a_walk_and_its_reply_come_through(void)
{
    char name[256];
    memset(name, 'n', 255);
    name[255] = 0;
    struct gofer_walk walk = {.fid = 9, .flags = GOFER_WALK_OPEN, .count = GOFER_WALK_MAX};
    struct gofer_walk read_walk;
    for (u32 i = 0; i < GOFER_WALK_MAX; i++)
        walk.names[i] = name;
    i64 size = gofer_put_walk(bytes, sizeof bytes, 1, &walk);
    CU_ASSERT(size > 0);
    CU_ASSERT_EQUAL(gofer_get_walk(bytes, (size_t)size, &read_walk), 0);
    CU_ASSERT_EQUAL(read_walk.flags, GOFER_WALK_OPEN);
    CU_ASSERT_EQUAL(read_walk.count, GOFER_WALK_MAX);
    CU_ASSERT_STRING_EQUAL(read_walk.names[GOFER_WALK_MAX - 1], name);
    CU_ASSERT_EQUAL(gofer_get_walk(bytes, (size_t)size - 1, &read_walk), -EPROTO);
    walk.count = GOFER_WALK_MAX + 1;
    CU_ASSERT_EQUAL(gofer_put_walk(bytes, sizeof bytes, 1, &walk), -EINVAL);
    walk.count = 0;
    CU_ASSERT_EQUAL(gofer_put_walk(bytes, sizeof bytes, 1, &walk), -EINVAL);
    walk.count = 1;
    walk.flags = 2;
    CU_ASSERT_EQUAL(gofer_put_walk(bytes, sizeof bytes, 1, &walk), -EINVAL);

    static struct gofer_walk_reply reply, read_reply;
    char target[GOFER_TARGET_MAX + 2];
    memset(target, 't', sizeof target);
    target[GOFER_TARGET_MAX] = 0;
    reply = (struct gofer_walk_reply){.count = GOFER_WALK_MAX, .error = ENOENT, .target = target};
    for (u32 i = 0; i < GOFER_WALK_MAX; i++)
        reply.nodes[i] = (struct gofer_node){.fid = i + 1, .stat = sample_stat(i)};
    size = gofer_put_walk_reply(bytes, sizeof bytes, 1, 0, &reply);
    CU_ASSERT(size > 0);
    CU_ASSERT_EQUAL(gofer_get_walk_reply(bytes, (size_t)size, &read_reply), 0);
    CU_ASSERT_STRING_EQUAL(read_reply.target, target);
    for (u32 i = 0; i < GOFER_WALK_MAX; i++)
        CU_ASSERT(stat_is_equal(&reply.nodes[i].stat, &read_reply.nodes[i].stat));
    reply.nodes[3].fid = GOFER_FID_NONE;
    CU_ASSERT_EQUAL(gofer_put_walk_reply(bytes, sizeof bytes, 1, 0, &reply), -EINVAL);
    reply.nodes[3].fid = 1;
    target[GOFER_TARGET_MAX] = 't';
    target[GOFER_TARGET_MAX + 1] = 0;
    CU_ASSERT_EQUAL(gofer_put_walk_reply(bytes, sizeof bytes, 1, 0, &reply), -EINVAL);
}

static void test_values_and_lists_come_through(void)
{
    struct gofer_set_xattr set = {.fid = 1,
                                  .flags = 2,
                                  .name = "user.a/b",
                                  .value = (const u8 *)"a\0b",
                                  .size = 3},
                           read_set;
    i64 size = gofer_put_set_xattr(bytes, sizeof bytes, 1, &set);
    CU_ASSERT_EQUAL(gofer_get_set_xattr(bytes, (size_t)size, &read_set), 0);
    CU_ASSERT(read_set.size == 3 && memcmp(read_set.value, "a\0b", 3) == 0);
    set.size = GOFER_XATTR_MAX + 1;
    CU_ASSERT_EQUAL(gofer_put_set_xattr(bytes, sizeof bytes, 1, &set), -EINVAL);

    struct gofer_get_xattr_reply value = {.size = 100, .value = NULL}, read_value;
    size = gofer_put_get_xattr_reply(bytes, sizeof bytes, 1, 0, &value);
    CU_ASSERT_EQUAL(gofer_get_get_xattr_reply(bytes, (size_t)size, &read_value), 0);
    CU_ASSERT(read_value.size == 100 && read_value.value == NULL);

    struct gofer_list_xattr_reply list = {.size = 4, .names = (const u8 *)"abcd"}, read_list;
    CU_ASSERT_EQUAL(gofer_put_list_xattr_reply(bytes, sizeof bytes, 1, 0, &list),
                    -EINVAL); /* no terminator */
    list.names = (const u8 *)"a\0b";
    size = gofer_put_list_xattr_reply(bytes, sizeof bytes, 1, 0, &list);
    CU_ASSERT_EQUAL(gofer_get_list_xattr_reply(bytes, (size_t)size, &read_list), 0);
    CU_ASSERT(read_list.size == 4 && strcmp((const char *)read_list.names + 2, "b") == 0);

    struct gofer_close close = {.count = GOFER_CLOSE_MAX, .fids = {7}}, read_close;
    size = gofer_put_close(bytes, sizeof bytes, 1, &close);
    CU_ASSERT_EQUAL(gofer_get_close(bytes, (size_t)size, &read_close), 0);
    CU_ASSERT(read_close.count == GOFER_CLOSE_MAX && read_close.fids[0] == 7);
    close.count = 0;
    CU_ASSERT_EQUAL(gofer_put_close(bytes, sizeof bytes, 1, &close), -EINVAL);
}

static void test_entries_are_written_one_by_one(void)
{
    u8 entries[1000];
    size_t used = 0, at = 0;
    u32 count = 0;
    char name[] = "entry-0";
    for (;; count++) {
        name[6] = (char)('0' + count);
        struct gofer_entry entry = {.cookie = count + 1, .stat = sample_stat(count), .name = name};
        if (gofer_entry_put(entries, sizeof entries, &used, &entry) < 0)
            break;
    }
    CU_ASSERT(count > 5);
    struct gofer_entry bad = {.name = ".."};
    size_t before = used = 0;
    CU_ASSERT_EQUAL(gofer_entry_put(entries, sizeof entries, &used, &bad), -EINVAL);
    CU_ASSERT_EQUAL(used, before);
    for (u32 i = 0; i < count; i++) {
        name[6] = (char)('0' + i);
        struct gofer_entry entry = {.cookie = i + 1, .stat = sample_stat(i), .name = name};
        CU_ASSERT_EQUAL(gofer_entry_put(entries, sizeof entries, &used, &entry), 0);
    }
    struct gofer_read_dir_reply reply = {.count = count,
                                         .is_end = true,
                                         .entries = entries,
                                         .entries_size = used},
                                read;
    i64 size = gofer_put_read_dir_reply(bytes, sizeof bytes, 1, 0, &reply);
    CU_ASSERT_EQUAL(size, (i64)(used + GOFER_READ_DIR_OVERHEAD));
    CU_ASSERT_EQUAL(gofer_get_read_dir_reply(bytes, (size_t)size, &read), 0);
    struct gofer_entry entry;
    for (u32 i = 0; i < count; i++) {
        CU_ASSERT(gofer_entry_next(&read, &at, &entry));
        CU_ASSERT(entry.cookie == i + 1 && entry.name[6] == (char)('0' + i) && read.is_end);
    }
    CU_ASSERT(!gofer_entry_next(&read, &at, &entry));
    reply.count = count + 1; /* more than there are */
    size = gofer_put_read_dir_reply(bytes, sizeof bytes, 1, 0, &reply);
    CU_ASSERT_EQUAL(gofer_get_read_dir_reply(bytes, (size_t)size, &read), -EPROTO);
}

static void test_small_buffers_and_errors(void)
{
    struct gofer_rename rename = {.from_dir = 1, .from = "a", .to_dir = 2, .to = "b", .flags = 1},
                        read;
    i64 size = gofer_put_rename(bytes, sizeof bytes, 1, &rename);
    for (i64 room = 0; room < size; room++)
        CU_ASSERT_EQUAL(gofer_put_rename(bytes, (size_t)room, 1, &rename), -EMSGSIZE);
    CU_ASSERT_EQUAL(gofer_put_rename(bytes, (size_t)size, 1, &rename), size);
    for (i64 cut = (i64)GOFER_HEADER_SIZE; cut < size; cut++)
        CU_ASSERT_EQUAL(gofer_get_rename(bytes, (size_t)cut, &read), -EPROTO);
    CU_ASSERT_EQUAL(gofer_get_rename(bytes, (size_t)size, &read), 0);
    CU_ASSERT_EQUAL(gofer_get_rename(bytes, (size_t)size + 1, &read),
                    -EPROTO); /* something unread */

    size = gofer_put_error(bytes, sizeof bytes, GOFER_WALK, 3, EACCES);
    struct gofer_header header;
    CU_ASSERT_EQUAL(gofer_get_header(bytes, (size_t)size, &header), 0);
    CU_ASSERT_EQUAL(header.flags, GOFER_REPLY | GOFER_ERROR);
    CU_ASSERT_EQUAL(gofer_get_error(bytes, (size_t)size), EACCES);
    CU_ASSERT_EQUAL(gofer_put_error(bytes, sizeof bytes, GOFER_WALK, 3, 0), -EINVAL);
    memset(bytes + GOFER_HEADER_SIZE, 0xff, 4);
    CU_ASSERT_EQUAL(gofer_get_error(bytes, (size_t)size), -EPROTO);
}

/* Random bytes behind good headers: decoders answer, and what they accept they encode to the same
 * bytes. */
static void test_random_bodies_are_judged(void)
{
    u64 seed = 7;
    static union {
#define MESSAGE(name, NAME, number) \
    struct gofer_##name name;       \
    struct gofer_##name##_reply name##_reply;
        GOFER_MESSAGES(MESSAGE)
#undef MESSAGE
    } out;
    u8 body[512], again[1024];
    u32 accepted = 0;
    for (u32 round = 0; round < 30000; round++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        size_t size = GOFER_HEADER_SIZE + (seed >> 40) % 80;
        for (size_t i = 0; i < size; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            body[i] = (u8)((seed >> 61) ? seed >> 33 & 7
                                        : seed >> 33); /* small numbers most of the time */
        }
        switch (round % (GOFER_TYPE_END - 1) + 1) {
#define MESSAGE(name, NAME, number)                                                     \
    case number:                                                                        \
        if (gofer_get_##name(body, size, &out.name) == 0) {                             \
            i64 put = gofer_put_##name(again, sizeof again, 0, &out.name);              \
            CU_ASSERT_EQUAL(put, (i64)size);                                            \
            CU_ASSERT_EQUAL(memcmp(body + GOFER_HEADER_SIZE, again + GOFER_HEADER_SIZE, \
                                   size - GOFER_HEADER_SIZE),                           \
                            0);                                                         \
            accepted++;                                                                 \
        }                                                                               \
        (void)!gofer_get_##name##_reply(body, size, &out.name##_reply);                 \
        break;
            GOFER_MESSAGES(MESSAGE)
#undef MESSAGE
        }
    }
    CU_ASSERT(accepted > 20);
}

void gofer_wire_suite(void)
{
    CU_pSuite suite = CU_add_suite("gofer_wire", NULL, NULL);
#define TEST(name) CU_add_test(suite, #name, test_##name)
    TEST(a_header_says_what_follows);
    TEST(a_walk_and_its_reply_come_through);
    TEST(values_and_lists_come_through);
    TEST(entries_are_written_one_by_one);
    TEST(small_buffers_and_errors);
    TEST(random_bodies_are_judged);
#undef TEST
}
