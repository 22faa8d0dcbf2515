/* SPDX-License-Identifier: Apache-2.0 */
/* The codec against what Go's encoding/json does with the same structs. */
#include <CUnit/Basic.h>
#include <errno.h>
#include <string.h>

#include "base/arena_plain.h"
#include "wire/urpc/codec.h"

struct inner {
    i32 a;
    char *b;
};
struct sample {
    i32 signo;
    i64 wide;
    u32 id;
    u64 mask;
    u8 tiny;
    bool flag;
    char *text;
    struct wire_bytes key;
    WIRE_LIST(char *) words;
    WIRE_LIST(struct inner) inners;
    WIRE_MAP(char *) labels;
    WIRE_MAP(struct inner) by_name;
    struct inner *maybe;
    struct inner sub;
    struct json_text raw;
    double ratio;
    char *quiet;
};

static const struct wire_field inner_fields[] = {
    WIRE_FIELD(struct inner, a, "A", &wire_int32),
    WIRE_OMIT(struct inner, b, "b", &wire_string),
    WIRE_END,
};
static const struct wire_type inner_type = WIRE_TYPE_STRUCT(struct inner, inner_fields,
                                                            "pkg.Inner");
static const struct wire_field sample_fields[] = {
    WIRE_FIELD(struct sample, signo, "Signo", &wire_int32),
    WIRE_OMIT(struct sample, wide, "Wide", &wire_int64),
    WIRE_OMIT(struct sample, id, "KUID", WIRE_NAMED(WIRE_UINT, u32, "auth.KUID")),
    WIRE_OMIT(struct sample, mask, "Mask", &wire_uint64),
    WIRE_OMIT(struct sample, tiny, "Tiny", &wire_uint8),
    WIRE_OMIT(struct sample, flag, "Flag", &wire_bool),
    WIRE_OMIT(struct sample, text, "Text", &wire_string),
    WIRE_OMIT(struct sample, key, "Key", &wire_bytes),
    WIRE_OMIT(struct sample, words, "Words", WIRE_LIST_OF(&wire_string, "[]string")),
    WIRE_OMIT(struct sample, inners, "Inners", WIRE_LIST_OF(&inner_type, "[]pkg.Inner")),
    WIRE_OMIT(struct sample, labels, "Labels", WIRE_MAP_OF(&wire_string, "map[string]string")),
    WIRE_OMIT(struct sample, by_name, "ByName", WIRE_MAP_OF(&inner_type, "map[string]pkg.Inner")),
    WIRE_OMIT(struct sample, maybe, "Maybe", WIRE_OPTIONAL_OF(&inner_type)),
    WIRE_FIELD(struct sample, sub, "Sub", &inner_type),
    WIRE_OMIT(struct sample, raw, "Raw", &wire_raw),
    WIRE_OMIT(struct sample, ratio, "Ratio", &wire_double),
    WIRE_OMIT(struct sample, quiet, "Quiet", &wire_string),
    WIRE_END,
};
static const struct wire_type sample_type = WIRE_TYPE_STRUCT(struct sample, sample_fields,
                                                             "control.SignalArgs");

static int decode(const char *text, struct pool *pool, struct sample *out, struct error *err)
{
    struct json_text value;
    *out = (struct sample){0};
    err->text[0] = '\0';
    if (json_parse(text, strlen(text), 0, &value, err))
        return -1;
    return wire_decode(&sample_type, value, pool, out, err);
}

static void test_a_full_struct_comes_back_byte_for_byte(void)
{
    static const char text[] = "{\"Signo\":-9,\"Wide\":-9223372036854775808,\"KUID\":4294967295,"
                               "\"Mask\":18446744073709551615,\"Tiny\":255,"
                               "\"Flag\":true,\"Text\":\"a\\u003cb\",\"Key\":\"AAEC\",\"Words\":["
                               "\"x\",\"\"],\"Inners\":[{\"A\":1,\"b\":\"q\"},{\"A\":2}],"
                               "\"Labels\":{\"a\":\"1\",\"b\":\"2\"},\"ByName\":{\"k\":{\"A\":7}},"
                               "\"Maybe\":{\"A\":3},\"Sub\":{\"A\":4},"
                               "\"Raw\":{\"any\":[1,2]},\"Ratio\":0.5}";
    AUTO_POOL struct pool pool;
    struct sample sample;
    struct error err;
    pool_init(&pool, NULL);
    CU_ASSERT_EQUAL_FATAL(decode(text, &pool, &sample, &err), 0);
    CU_ASSERT_EQUAL(sample.mask, UINT64_MAX);
    CU_ASSERT_EQUAL(sample.key.size, 3);
    CU_ASSERT_EQUAL(sample.inners.items[1].a, 2);
    CU_ASSERT_EQUAL(sample.by_name.items[0].value.a, 7);
    char *again = wire_encode_text(&sample_type, &sample, &pool);
    CU_ASSERT_STRING_EQUAL(again, text);
}

static void test_zero_null_unknown_and_duplicate_members_are_as_in_go(void)
{
    AUTO_POOL struct pool pool;
    struct sample sample;
    struct error err;
    pool_init(&pool, NULL);
    CU_ASSERT_EQUAL(decode("null", &pool, &sample, &err), 0);
    CU_ASSERT_EQUAL(
        decode(
            "{\"other\":[{}],\"signo\":5,\"SIGNO\":6,\"Signo\":null,\"words\":null,\"Maybe\":null}",
            &pool, &sample, &err),
        0);
    CU_ASSERT_EQUAL(sample.signo, 6);
    CU_ASSERT_PTR_NULL(sample.words.items);
    CU_ASSERT_PTR_NULL(sample.maybe);
    CU_ASSERT_EQUAL(
        decode(
            "{\"Sub\":{\"A\":1},\"sub\":{\"b\":\"x\"},\"words\":[\"a\"],\"Words\":[],\"Raw\":null}",
            &pool, &sample, &err),
        0);
    CU_ASSERT_EQUAL(sample.sub.a, 1);
    CU_ASSERT_STRING_EQUAL(sample.sub.b, "x");
    CU_ASSERT_PTR_NOT_NULL(sample.words.items);
    CU_ASSERT_EQUAL(sample.words.count, 0);
    CU_ASSERT_EQUAL(sample.raw.size, 4);
    CU_ASSERT_EQUAL(
        decode("{\"Labels\":{\"b\":\"1\",\"a\":\"2\",\"b\":\"3\"}}", &pool, &sample, &err), 0);
    CU_ASSERT_EQUAL(sample.labels.count, 2);
    CU_ASSERT_STRING_EQUAL(sample.labels.items[1].value, "3");
}

static void test_errors_have_gos_words(void)
{
    static const struct {
        const char *text, *fault;
    } cases[] = {
        {"{\"Signo\":\"9\"}",
         "json: cannot unmarshal string into Go struct field SignalArgs.Signo of type int32"},
        {"{\"Signo\":1.5}",
         "json: cannot unmarshal number 1.5 into Go struct field SignalArgs.Signo of type int32"},
        {"{\"Signo\":2147483648}", "json: cannot unmarshal number 2147483648 into Go struct field "
                                   "SignalArgs.Signo of type int32"},
        {"{\"Tiny\":256}",
         "json: cannot unmarshal number 256 into Go struct field SignalArgs.Tiny of type uint8"},
        {"{\"KUID\":-1}",
         "json: cannot unmarshal number -1 into Go struct field SignalArgs.KUID of type auth.KUID"},
        {"{\"Flag\":1}",
         "json: cannot unmarshal number into Go struct field SignalArgs.Flag of type bool"},
        {"{\"Text\":true}",
         "json: cannot unmarshal bool into Go struct field SignalArgs.Text of type string"},
        {"{\"Words\":{}}",
         "json: cannot unmarshal object into Go struct field SignalArgs.Words of type []string"},
        {"{\"Words\":[1]}",
         "json: cannot unmarshal number into Go struct field SignalArgs.Words of type string"},
        {"{\"Maybe\":[]}",
         "json: cannot unmarshal array into Go struct field SignalArgs.Maybe of type pkg.Inner"},
        {"{\"Inners\":[{\"A\":\"x\"}]}",
         "json: cannot unmarshal string into Go struct field Inner.Inners.A of type int32"},
        {"{\"Key\":\"AAE\"}", "illegal base64 data at input byte 3"},
        {"[]", "json: cannot unmarshal array into Go value of type control.SignalArgs"},
        {"\"x\"", "json: cannot unmarshal string into Go value of type control.SignalArgs"},
    };
    AUTO_POOL struct pool pool;
    struct sample sample;
    struct error err;
    pool_init(&pool, NULL);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        CU_ASSERT_EQUAL(decode(cases[i].text, &pool, &sample, &err), -1);
        CU_ASSERT_STRING_EQUAL(err.text, cases[i].fault);
    }
}

static void test_a_string_with_a_nul_byte_is_refused(void)
{
    AUTO_POOL struct pool pool;
    struct sample sample;
    struct error err;
    pool_init(&pool, NULL);
    CU_ASSERT_EQUAL(decode("{\"Text\":\"/bin/sh\\u0000x\"}", &pool, &sample, &err), -1);
}

static const struct wire_field bare_fields[] = {
    WIRE_FIELD(struct sample, words, "words", WIRE_LIST_OF(&wire_string, "[]string")),
    WIRE_FIELD(struct sample, key, "key", &wire_bytes),
    WIRE_FIELD(struct sample, labels, "labels", WIRE_MAP_OF(&wire_string, "map[string]string")),
    WIRE_FIELD(struct sample, maybe, "maybe", WIRE_OPTIONAL_OF(&inner_type)),
    WIRE_FIELD(struct sample, raw, "raw", &wire_raw),
    WIRE_END,
};
static const struct wire_type bare_type = WIRE_TYPE_STRUCT(struct sample, bare_fields, "pkg.T");

static void test_unset_lists_are_null_and_empty_ones_are_not(void)
{
    AUTO_POOL struct pool pool;
    pool_init(&pool, NULL);
    struct sample sample = {0};
    CU_ASSERT_STRING_EQUAL(
        wire_encode_text(&bare_type, &sample, &pool),
        "{\"words\":null,\"key\":null,\"labels\":null,\"maybe\":null,\"raw\":null}");
    sample.words.items = WIRE_EMPTY;
    sample.key.bytes = WIRE_EMPTY;
    sample.labels.items = WIRE_EMPTY;
    CU_ASSERT_STRING_EQUAL(wire_encode_text(&bare_type, &sample, &pool),
                           "{\"words\":[],\"key\":\"\",\"labels\":{},\"maybe\":null,\"raw\":null}");
}

static void test_maps_built_by_hand_are_written_sorted(void)
{
    AUTO_POOL struct pool pool;
    pool_init(&pool, NULL);
    struct sample sample = {.quiet = NULL};
    sample.labels.count = 3;
    sample.labels.items = pool_alloc_array(&pool, 3, sizeof sample.labels.items[0]);
    static char *const names[] = {"c", "a", "b"};
    for (size_t i = 0; i < 3; i++) {
        sample.labels.items[i].name = names[i];
        sample.labels.items[i].value = "v";
    }
    CU_ASSERT_STRING_EQUAL(
        wire_encode_text(&sample_type, &sample, &pool),
        "{\"Signo\":0,\"Labels\":{\"a\":\"v\",\"b\":\"v\",\"c\":\"v\"},\"Sub\":{\"A\":0}}");
}

static void test_every_refused_allocation_is_an_error_and_leaks_nothing(void)
{
    static const char text[] = "{\"Text\":\"abc\",\"Words\":[\"x\"],\"Labels\":{\"a\":\"b\"},"
                               "\"Maybe\":{\"A\":1},\"Key\":\"AAAA\"}";
    struct sample sample;
    struct error err;
    bool has_succeeded = false;
    for (u64 nth = 1; !has_succeeded; nth++) {
        struct arena *arena = arena_plain_create();
        struct pool pool;
        pool_init(&pool, arena);
        arena_plain_fail(arena, nth, true);
        has_succeeded = decode(text, &pool, &sample, &err) == 0;
        CU_ASSERT(has_succeeded || err.code == ENOMEM);
        pool_fini(&pool);
        arena_plain_destroy(arena);
    }
}

void urpc_codec_suite(void)
{
    CU_pSuite suite = CU_add_suite("wire/urpc/codec", NULL, NULL);
    CU_ADD_TEST(suite, test_a_full_struct_comes_back_byte_for_byte);
    CU_ADD_TEST(suite, test_zero_null_unknown_and_duplicate_members_are_as_in_go);
    CU_ADD_TEST(suite, test_errors_have_gos_words);
    CU_ADD_TEST(suite, test_a_string_with_a_nul_byte_is_refused);
    CU_ADD_TEST(suite, test_unset_lists_are_null_and_empty_ones_are_not);
    CU_ADD_TEST(suite, test_maps_built_by_hand_are_written_sorted);
    CU_ADD_TEST(suite, test_every_refused_allocation_is_an_error_and_leaks_nothing);
}
