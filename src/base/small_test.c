/* SPDX-License-Identifier: Apache-2.0 */
/* The small helpers: lists, bitmaps, checked arithmetic, hashes, seeded numbers, sorting, marks,
 * fields, and what a failed assertion does. */
#include "base/arena_plain.h"
#include "base/bitmap.h"
#include "base/checked.h"
#include "base/fields.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/marks.h"
#include "base/rand.h"
#include "base/sort.h"

#include <CUnit/CUnit.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct member {
    struct list link;
    int number;
};

static void a_list_keeps_order_and_survives_removal(void)
{
    struct list head, other;
    struct member members[5], *pos, *tmp;
    list_init(&head);
    list_init(&other);
    CU_ASSERT_TRUE(list_is_empty(&head));
    CU_ASSERT_PTR_NULL(list_first_or_null(&head, struct member, link));
    for (int i = 0; i < 5; i++) {
        members[i] = (struct member){.number = i};
        CU_ASSERT_FALSE(list_is_linked(&members[i].link));
        list_add_tail(i < 3 ? &head : &other, &members[i].link);
    }
    list_splice_tail(&head, &other);
    list_splice_tail(&head, &other);
    int expected = 0;
    list_for_each_safe (pos, tmp, &head, link) {
        CU_ASSERT_EQUAL(pos->number, expected++);
        if (pos->number % 2)
            list_remove(&pos->link);
    }
    CU_ASSERT_EQUAL(expected, 5);
    int sum = 0;
    list_for_each (pos, &head, link)
        sum = sum * 10 + pos->number;
    CU_ASSERT_EQUAL(sum, 24); /* 0, 2, 4 */
    list_remove(&members[1].link);
    CU_ASSERT_FALSE(list_is_linked(&members[1].link));
    list_add_head(&head, &members[1].link);
    CU_ASSERT_EQUAL(list_first(&head, struct member, link)->number, 1);
    CU_ASSERT_EQUAL(list_last(&head, struct member, link)->number, 4);
}

static void aligning_keeps_the_high_bits_whatever_the_unit_s_type(void)
{
    u64 address = 0x7fcf228a1f11ull;
    CU_ASSERT_EQUAL(ALIGN_DOWN(address, 256u << 12), 0x7fcf22800000ull);
    CU_ASSERT_EQUAL(ALIGN_UP(address, 256u << 12), 0x7fcf22900000ull);
    CU_ASSERT_EQUAL(ALIGN_DOWN(address, 16), 0x7fcf228a1f10ull);
    CU_ASSERT_EQUAL(ALIGN_UP(17u, 16ull), 32u);
}

static void bitmaps_agree_with_an_array(void)
{
    enum { BITS = 200 };
    u64 words[BITMAP_WORDS(BITS)] = {0};
    bool model[BITS] = {false};
    struct rand rand;
    rand_init(&rand, 4, "bitmap");
    for (int step = 0; step < 2000; step++) {
        size_t bit = (size_t)rand_below(&rand, BITS);
        model[bit] = rand_chance(&rand, step % 400 < 200 ? 3 : 1, 4);
        if (model[bit])
            bitmap_set(words, bit);
        else
            bitmap_clear(words, bit);
        size_t from = (size_t)rand_below(&rand, BITS + 1), zero = from, set = from, count = 0;
        while (zero < BITS && model[zero])
            zero++;
        while (set < BITS && !model[set])
            set++;
        for (size_t i = 0; i < BITS; i++)
            count += model[i];
        CU_ASSERT_EQUAL(bitmap_test(words, bit), model[bit]);
        CU_ASSERT_EQUAL(bitmap_find_zero(words, BITS, from), zero);
        CU_ASSERT_EQUAL(bitmap_find_set(words, BITS, from), set);
        CU_ASSERT_EQUAL(bitmap_count(words, BITS), count);
        size_t run = 1 + (size_t)rand_below(&rand, 5), start = from;
        for (size_t length = 0; start + run <= BITS && length < run;) {
            length = 0;
            while (length < run && !model[start + length])
                length++;
            if (length < run)
                start++;
        }
        CU_ASSERT_EQUAL(bitmap_find_zero_run(words, BITS, from, run),
                        start + run <= BITS ? start : BITS);
    }
}

static void arithmetic_is_exact_or_refused(void)
{
    u64 out = 7;
    CU_ASSERT_TRUE(checked_add(1, 2, &out) && out == 3);
    CU_ASSERT_FALSE(checked_add(UINT64_MAX, 1, &out));
    CU_ASSERT_EQUAL(out, 3);
    CU_ASSERT_FALSE(checked_sub(1, 2, &out));
    CU_ASSERT_FALSE(checked_mul((u64)1 << 33, (u64)1 << 33, &out));
    CU_ASSERT_TRUE(checked_align_up(4097, 4096, &out) && out == 8192);
    CU_ASSERT_FALSE(checked_align_up(UINT64_MAX - 5, 4096, &out));
    CU_ASSERT_TRUE(checked_ns(3, 4, &out) && out == 3000000004);
    CU_ASSERT_FALSE(checked_ns(UINT64_MAX / 2, 0, &out));
    CU_ASSERT_EQUAL(deadline_after(UINT64_MAX - 5, 10), NO_DEADLINE);
    CU_ASSERT_EQUAL(deadline_after(5, 10), 15);
    u32 narrow = 0;
    i64 sign = 0;
    CU_ASSERT_TRUE(narrow_u32(UINT32_MAX, &narrow));
    CU_ASSERT_FALSE(narrow_u32((u64)UINT32_MAX + 1, &narrow));
    CU_ASSERT_FALSE(narrow_i64((u64)1 << 63, &sign));
    CU_ASSERT_FALSE(checked_add_i64(INT64_MAX, 1, &sign));
    struct range range;
    CU_ASSERT_FALSE(range_make(UINT64_MAX, 2, &range));
    CU_ASSERT_TRUE(range_make(10, 5, &range));
    CU_ASSERT_TRUE(range_overlaps(range, (struct range){14, 1}));
    CU_ASSERT_FALSE(range_overlaps(range, (struct range){15, 1}));
    CU_ASSERT_TRUE(is_power_of_two(64) && !is_power_of_two(0) && !is_power_of_two(65));
}

static void hashes_are_the_same_everywhere(void)
{
    CU_ASSERT_EQUAL(hash_text("", 0),
                    0x2d06800538d394c2u); /* XXH3-64 of nothing, from its specification */
    CU_ASSERT_NOT_EQUAL(hash_text("a", 0), hash_text("a", 1));
    CU_ASSERT_EQUAL(hash_text("abc", 9), hash_bytes("abc", 3, 9));
    char text[HASH128_TEXT_SIZE];
    hash128_text(hash128_bytes("", 0), text);
    CU_ASSERT_STRING_EQUAL(text, "99aa06d3014798d86001c324468d497f");
    struct arena *arena = arena_plain_create();
    struct hash_stream *stream = hash_stream_create(arena);
    CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
    hash_stream_add(stream, "hel", 3);
    hash_stream_add(stream, "lo", 2);
    CU_ASSERT_TRUE(hash128_is_equal(hash_stream_digest(stream), hash128_bytes("hello", 5)));
    hash_stream_destroy(stream);
    arena_plain_destroy(arena);
}

static void seeded_numbers_repeat_and_spread(void)
{
    struct rand a, b, c;
    rand_init(&a, 1, "sched");
    rand_init(&b, 1, "sched");
    rand_init(&c, 1, "fault");
    u32 equal = 0, counts[7] = {0};
    for (int i = 0; i < 7000; i++) {
        u64 value = rand_u64(&a);
        CU_ASSERT_EQUAL_FATAL(value, rand_u64(&b));
        equal += value == rand_u64(&c);
        counts[rand_below(&c, 7)]++;
    }
    CU_ASSERT_EQUAL(equal, 0);
    for (int i = 0; i < 7; i++)
        CU_ASSERT_TRUE(counts[i] > 800 && counts[i] < 1200);
    struct rand before = a;
    CU_ASSERT_EQUAL(rand_below(&a, 1), 0);
    CU_ASSERT_EQUAL(rand_below(&a, 0), 0);
    CU_ASSERT_EQUAL(memcmp(&a, &before, sizeof a), 0); /* no choice, no draw */
    CU_ASSERT_TRUE(rand_below(&a, UINT64_MAX) < UINT64_MAX);
    u8 bytes[11] = {0};
    rand_fill(&a, bytes, sizeof bytes);
    CU_ASSERT_FALSE(rand_chance(&a, 0, 10));
    CU_ASSERT_TRUE(rand_chance(&a, 10, 10));
}

struct pair {
    u32 key;
    u32 order;
};

static int compare_keys(const void *a, const void *b, void *arg)
{
    ++*(u32 *)arg;
    u32 left = ((const struct pair *)a)->key, right = ((const struct pair *)b)->key;
    return left < right ? -1 : left > right;
}

static void equal_elements_keep_their_order_in_a_sort(void)
{
    static struct pair pairs[1000];
    struct rand rand;
    rand_init(&rand, 5, "sort");
    for (u32 count = 0; count < 1000; count = count * 3 / 2 + 1) {
        for (u32 i = 0; i < count; i++)
            pairs[i] = (struct pair){(u32)rand_below(&rand, 1 + count / 4), i};
        u32 compared = 0;
        sort_stable(pairs, count, sizeof pairs[0], compare_keys, &compared);
        for (u32 i = 1; i < count; i++)
            CU_ASSERT_TRUE_FATAL(
                pairs[i - 1].key < pairs[i].key ||
                (pairs[i - 1].key == pairs[i].key && pairs[i - 1].order < pairs[i].order));
        CU_ASSERT_TRUE(compared < 100 + count * 40);
    }
}

static void marks_are_counted_by_name(void)
{
    struct marks marks = {{0}}, sum = {{0}};
    SOMETIMES(&marks, signal_pending_in_image, 1 == 2);
    SOMETIMES(&marks, signal_pending_in_image, 1 == 1);
    SOMETIMES((struct marks *)NULL, signal_pending_in_image, true);
    enum mark mark = marks_find("signal.pending-in-image");
    CU_ASSERT_EQUAL_FATAL(mark, MARK_signal_pending_in_image);
    CU_ASSERT_STRING_EQUAL(marks_name(mark), "signal.pending-in-image");
    marks_add(&sum, &marks);
    marks_add(&sum, &marks);
    CU_ASSERT_EQUAL(sum.counts[mark], 2);
    CU_ASSERT_EQUAL(marks_find("none"), MARK_COUNT);
    for (int i = 1; i < MARK_COUNT; i++)
        for (int j = 0; j < i; j++)
            CU_ASSERT_NOT_EQUAL(strcmp(marks_name((enum mark)i), marks_name((enum mark)j)), 0);
}

struct sample {
    u8 small;
    i16 sign;
    u64 big;
    bool flag;
    uaddr address;
    u32 count;
    struct object **array;
};
static const struct field sample_fields[] = {
    FIELD(struct sample, small),
    FIELD(struct sample, sign),
    FIELD(struct sample, big),
    FIELD(struct sample, flag),
    FIELD(struct sample, address),
    FIELD(struct sample, count),
    FIELD_REFS(struct sample, array, struct object, count),
    FIELD_END,
};
FIELDS_COMPLETE(struct sample, sample_fields);

static void members_are_reached_through_their_rows(void)
{
    struct sample sample = {.small = 200, .sign = -3, .big = UINT64_MAX, .count = 5};
    CU_ASSERT_EQUAL(fields_count(sample_fields), 7);
    CU_ASSERT_PTR_NULL(fields_find(sample_fields, "none"));
    const struct field *small = fields_find(sample_fields, "small");
    const struct field *sign = fields_find(sample_fields, "sign");
    const struct field *array = fields_find(sample_fields, "array");
    CU_ASSERT_TRUE_FATAL(small && sign && array);
    CU_ASSERT_EQUAL(field_uint(small, &sample), 200);
    CU_ASSERT_EQUAL(field_int(sign, &sample), -3);
    CU_ASSERT_EQUAL(field_uint(fields_find(sample_fields, "big"), &sample), UINT64_MAX);
    CU_ASSERT_TRUE(field_set_uint(small, &sample, 255));
    CU_ASSERT_FALSE(field_set_uint(small, &sample, 256));
    CU_ASSERT_EQUAL(sample.small, 255);
    CU_ASSERT_TRUE(field_set_int(sign, &sample, -32768));
    CU_ASSERT_FALSE(field_set_int(sign, &sample, 32768));
    CU_ASSERT_EQUAL(sample.sign, -32768);
    CU_ASSERT_EQUAL(field_count(array, &sample), 5);
    field_set_pointer(array, &sample, &sample);
    CU_ASSERT_PTR_EQUAL(field_pointer(array, &sample), &sample);
}

static void assert_hook(void *arg, const char *text)
{
    /* In the child: tell the parent through its pipe. */
    ssize_t written = write(*(int *)arg, text, strlen(text));
    (void)written;
}

static void a_failed_assertion_says_where_and_stops(void)
{
    int fds[2];
    CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        close(STDERR_FILENO);
        assert_hook_set(assert_hook, &fds[1]);
        ASSERT(1 + 1 == 3);
        _exit(0);
    }
    close(fds[1]);
    char text[256] = "";
    CU_ASSERT_TRUE(read(fds[0], text, sizeof text - 1) > 0);
    close(fds[0]);
    int status = 0;
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "small_test.c:"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "assertion failed: 1 + 1 == 3"));
    CU_ASSERT_PTR_NULL(strchr(text, '\n'));
}

void small_suite(void)
{
    CU_pSuite suite = CU_add_suite("base: small helpers", NULL, NULL);
#define ADD(test) CU_add_test(suite, #test, test)
    ADD(a_list_keeps_order_and_survives_removal);
    ADD(aligning_keeps_the_high_bits_whatever_the_unit_s_type);
    ADD(bitmaps_agree_with_an_array);
    ADD(arithmetic_is_exact_or_refused);
    ADD(hashes_are_the_same_everywhere);
    ADD(seeded_numbers_repeat_and_spread);
    ADD(equal_elements_keep_their_order_in_a_sort);
    ADD(marks_are_counted_by_name);
    ADD(members_are_reached_through_their_rows);
    ADD(a_failed_assertion_says_where_and_stops);
#undef ADD
}
