/* SPDX-License-Identifier: Apache-2.0 */
/* Scanner, reader and writer against what Go's encoding/json does. */
#include <CUnit/Basic.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "wire/urpc/json.h"

/* Whole-text parse: NULL when fine, else the error's text. */
static const char *fault_of(const char *text)
{
    static struct error err;
    struct json_text value;
    return json_parse(text, strlen(text), 0, &value, &err) ? err.text : NULL;
}

static void test_well_formed_values_are_taken(void)
{
    static const char *const texts[] = {"null",
                                        " true ",
                                        "false",
                                        "0",
                                        "-0",
                                        "12",
                                        "1.5",
                                        "-1e9",
                                        "1E+2",
                                        "1.25e-7",
                                        "\"\"",
                                        "\"a\\u00e9\\n\\/\"",
                                        "[]",
                                        "{}",
                                        "[1,[2,[3]]]",
                                        "{\"a\":{\"b\":[]},\"c\":null}",
                                        "\t[ 1 , 2 ]\r\n",
                                        "\"\xff\xfe\"",
                                        "{\"\":0}"};
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        if (fault_of(texts[i]))
            CU_FAIL(texts[i]);
}

static void test_malformed_values_say_what_go_says(void)
{
    static const struct {
        const char *text, *fault;
    } cases[] = {
        {"", "unexpected end of JSON input"},
        {"  ", "unexpected end of JSON input"},
        {"{\"a\":", "unexpected end of JSON input"},
        {"-", "unexpected end of JSON input"},
        {"1.", "unexpected end of JSON input"},
        {"tru", "unexpected end of JSON input"},
        {"x", "invalid character 'x' looking for beginning of value"},
        {"[1,]", "invalid character ']' looking for beginning of value"},
        {"{a:1}", "invalid character 'a' looking for beginning of object key string"},
        {"{\"a\":1,}", "invalid character '}' looking for beginning of object key string"},
        {"{\"a\" 1}", "invalid character '1' after object key"},
        {"{\"a\":1 2}", "invalid character '2' after object key:value pair"},
        {"[1 2]", "invalid character '2' after array element"},
        {"{\"a\":01}", "invalid character '1' after object key:value pair"},
        {"truth", "invalid character 't' in literal true (expecting 'e')"},
        {"nul\"", "invalid character '\"' in literal null (expecting 'l')"},
        {"1 2", "invalid character '2' after top-level value"},
        {"{}}", "invalid character '}' after top-level value"},
        {"\"\n\"", "invalid character '\\x0a' in string literal"},
        {"\"\\x\"", "invalid character 'x' in string escape code"},
        {"\"\\u12g4\"", "invalid character 'g' in \\u hexadecimal character escape"},
        {"-x", "invalid character 'x' in numeric literal"},
        {"1.x", "invalid character 'x' after decimal point in numeric literal"},
        {"1ex", "invalid character 'x' in exponent of numeric literal"},
        {"+1", "invalid character '+' looking for beginning of value"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const char *fault = fault_of(cases[i].text);
        CU_ASSERT_PTR_NOT_NULL_FATAL(fault);
        CU_ASSERT_STRING_EQUAL(fault, cases[i].fault);
    }
}

static void test_depth_and_size_are_bounded(void)
{
    char deep[2 * JSON_DEPTH_MAX + 8];
    for (size_t depth = JSON_DEPTH_MAX; depth <= JSON_DEPTH_MAX + 1; depth++) {
        memset(deep, '[', depth);
        memset(deep + depth, ']', depth);
        deep[2 * depth] = '\0';
        const char *fault = fault_of(deep);
        CU_ASSERT((fault == NULL) == (depth == JSON_DEPTH_MAX));
    }
    struct json_text value;
    struct error err;
    CU_ASSERT_EQUAL(json_parse("\"1234567\"", 9, 9, &value, &err), 0);
    CU_ASSERT_EQUAL(json_parse("\"12345678\"", 10, 9, &value, &err), -1);
}

static void test_a_value_ends_at_the_same_byte_however_it_is_cut(void)
{
    static const struct {
        const char *stream;
        size_t end; /* bytes of the first value, with leading space */
    } cases[] = {
        {"{\"a\":[1,\"]}\\\"\"]}{\"b\"", 16},
        {" \"x\"1", 4},
        {"123 4", 3},
        {"[]]", 2},
        {"true[", 4},
        {"0[", 1},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        size_t size = strlen(cases[i].stream);
        for (size_t piece = 1; piece <= size; piece++) {
            struct json_scanner scanner;
            json_scanner_init(&scanner, 0);
            size_t at = 0;
            enum json_status status = JSON_MORE;
            while (status == JSON_MORE && at < size) {
                size_t used;
                status = json_scan(&scanner, cases[i].stream + at, MIN(piece, size - at), &used);
                at += used;
            }
            CU_ASSERT_EQUAL(status, JSON_COMPLETE);
            CU_ASSERT_EQUAL(at, cases[i].end);
        }
    }
}

static struct json_text text_of(const char *text)
{
    struct error err;
    struct json_text value = {0};
    if (json_parse(text, strlen(text), 0, &value, &err))
        CU_FAIL(err.text);
    return value;
}

static void test_members_match_as_in_go(void)
{
    struct json_text object = text_of(
        "{\"PID\":1,\"pid\":2,\"\\u017fize\":3,\"n\\u0061me\":4,\"sub\":{\"x\":[7]}}");
    u64 value = 0;
    CU_ASSERT(json_u64(json_member(object, "Pid"), &value) && value == 2);
    CU_ASSERT(json_u64(json_member(object, "SIZE"), &value) && value == 3);
    CU_ASSERT(json_u64(json_member(object, "name"), &value) && value == 4);
    CU_ASSERT_EQUAL(json_type(json_member(object, "pi")), JSON_ABSENT);
    CU_ASSERT_EQUAL(json_type(json_path(object, "sub.x")), JSON_ARRAY);
    CU_ASSERT_EQUAL(json_type(json_path(object, "sub.y.z")), JSON_ABSENT);
    CU_ASSERT_EQUAL(json_count(object), 5);
}

static void test_integers_are_exact(void)
{
    i64 i;
    u64 u;
    CU_ASSERT(json_u64(text_of("18446744073709551615"), &u) && u == UINT64_MAX);
    CU_ASSERT(!json_u64(text_of("18446744073709551616"), &u));
    CU_ASSERT(json_u64(text_of("9007199254740993"), &u) && u == 9007199254740993u);
    CU_ASSERT(!json_u64(text_of("-1"), &u));
    CU_ASSERT(json_i64(text_of("-9223372036854775808"), &i) && i == INT64_MIN);
    CU_ASSERT(!json_i64(text_of("9223372036854775808"), &i));
    CU_ASSERT(!json_i64(text_of("1.0"), &i));
    CU_ASSERT(!json_i64(text_of("1e2"), &i));
}

static void test_strings_decode_as_in_go(void)
{
    static const struct {
        const char *text, *plain;
    } cases[] = {
        {"\"a\\u00e9\\ud83d\\ude00\"", "a\u00e9\U0001F600"},
        {"\"\\ud800x\"", "\ufffdx"},
        {"\"\\ud800\\u0041\"", "\ufffdA"},
        {"\"\\udc00\"", "\ufffd"},
        {"\"\xff\xc3\"", "\ufffd\ufffd"},
        {"\"\xc0\xaf\xed\xa0\x80\"", "\ufffd\ufffd\ufffd\ufffd\ufffd"},
        {"\"\\b\\f\\n\\r\\t\\/\\\\\\\"\"", "\b\f\n\r\t/\\\""},
    };
    AUTO_POOL struct pool pool;
    pool_init(&pool, NULL);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        size_t size = 0;
        char *plain = json_string(text_of(cases[i].text), &pool, &size);
        CU_ASSERT_STRING_EQUAL(plain, cases[i].plain);
        CU_ASSERT_EQUAL(size, strlen(cases[i].plain));
        CU_ASSERT(json_string_is(text_of(cases[i].text), plain));
    }
    CU_ASSERT(!json_string_is(text_of("\"a\\u0000b\""), "a"));
    CU_ASSERT_PTR_NULL(json_string(text_of("1"), &pool, NULL));
}

struct written {
    struct arena heap;
    struct buf buf;
    struct json_writer writer;
};

static void written_init(struct written *written, const char *indent)
{
    heap_arena_init(&written->heap);
    buf_init(&written->buf, &written->heap, 0);
    json_writer_init(&written->writer, &written->buf);
    written->writer.indent = indent;
}

static void expect_written(struct written *written, const char *text)
{
    CU_ASSERT(!written->writer.failed);
    char *got = buf_text(&written->buf);
    CU_ASSERT_STRING_EQUAL(got, text);
    if (strcmp(got, text))
        fprintf(stderr, "wrote %s\n", got);
    buf_fini(&written->buf);
}

static void test_strings_are_written_as_in_go(void)
{
    static const char text[] = "<a&b>\"\\\n\r\t\b\f\x01\x7f\xff\u2028\u00e9/bfnrt\0z";
    struct written written;
    written_init(&written, NULL);
    json_put_string_size(&written.writer, text, sizeof text - 1);
    expect_written(&written, "\"\\u003ca\\u0026b\\u003e\\\"\\\\\\n\\r\\t\\b\\f\\u0001\x7f\\ufffd\\u"
                             "2028\u00e9/bfnrt\\u0000z\"");
    written_init(&written, NULL);
    json_put_string(&written.writer, NULL);
    expect_written(&written, "\"\"");
}

static void test_byte_slices_are_base64(void)
{
    static const struct {
        const char *bytes, *text;
    } cases[] = {{"", "\"\""},
                 {"f", "\"Zg==\""},
                 {"fo", "\"Zm8=\""},
                 {"foo", "\"Zm9v\""},
                 {"\xff\xfe\xfd\xfc", "\"//79/A==\""}};
    struct written written;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        written_init(&written, NULL);
        json_put_bytes(&written.writer, cases[i].bytes, strlen(cases[i].bytes));
        expect_written(&written, cases[i].text);
    }
    written_init(&written, NULL);
    json_put_bytes(&written.writer, NULL, 0);
    expect_written(&written, "null");
}

static void test_floats_are_written_as_in_go(void)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0"},
                 {1, "1"},
                 {0.1, "0.1"},
                 {-2.5, "-2.5"},
                 {1e20, "100000000000000000000"},
                 {1e21, "1e+21"},
                 {1.5e-7, "1.5e-7"},
                 {0.000001, "0.000001"},
                 {123456789.125, "123456789.125"},
                 {1e100, "1e+100"},
                 {1.0 / 3, "0.3333333333333333"}};
    struct written written;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        written_init(&written, NULL);
        json_put_double(&written.writer, cases[i].value);
        expect_written(&written, cases[i].text);
    }
}

static void write_sample(struct json_writer *writer)
{
    json_begin_object(writer);
    json_name(writer, "a");
    json_put_u64(writer, UINT64_MAX);
    json_name(writer, "b");
    json_begin_array(writer);
    json_put_i64(writer, INT64_MIN);
    json_begin_object(writer);
    json_end_object(writer);
    json_begin_array(writer);
    json_end_array(writer);
    json_end_array(writer);
    json_name(writer, "c");
    json_put_raw(writer, text_of("{ \"x\" : [ 1 , \"<y ,]\u2028\" ] , \"z\":{} }"));
    json_name(writer, "d");
    json_put_raw(writer, (struct json_text){0});
    json_end_object(writer);
}

static void test_layouts_are_those_of_marshal_and_marshal_indent(void)
{
    struct written written;
    written_init(&written, NULL);
    write_sample(&written.writer);
    expect_written(&written, "{\"a\":18446744073709551615,\"b\":[-9223372036854775808,{},[]],"
                             "\"c\":{\"x\":[1,\"\\u003cy ,]\\u2028\"],\"z\":{}},\"d\":null}");
    written_init(&written, "  ");
    write_sample(&written.writer);
    expect_written(&written, "{\n  \"a\": 18446744073709551615,\n  \"b\": [\n    "
                             "-9223372036854775808,\n    {},\n    []\n  ],\n"
                             "  \"c\": {\n    \"x\": [\n      1,\n      \"\\u003cy ,]\\u2028\"\n   "
                             " ],\n    \"z\": {}\n  },\n  \"d\": null\n}");
}

void urpc_json_suite(void)
{
    CU_pSuite suite = CU_add_suite("wire/urpc/json", NULL, NULL);
    CU_ADD_TEST(suite, test_well_formed_values_are_taken);
    CU_ADD_TEST(suite, test_malformed_values_say_what_go_says);
    CU_ADD_TEST(suite, test_depth_and_size_are_bounded);
    CU_ADD_TEST(suite, test_a_value_ends_at_the_same_byte_however_it_is_cut);
    CU_ADD_TEST(suite, test_members_match_as_in_go);
    CU_ADD_TEST(suite, test_integers_are_exact);
    CU_ADD_TEST(suite, test_strings_decode_as_in_go);
    CU_ADD_TEST(suite, test_strings_are_written_as_in_go);
    CU_ADD_TEST(suite, test_byte_slices_are_base64);
    CU_ADD_TEST(suite, test_floats_are_written_as_in_go);
    CU_ADD_TEST(suite, test_layouts_are_those_of_marshal_and_marshal_indent);
}
