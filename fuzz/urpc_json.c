/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scanner, reader, writer and codec on any bytes: what is accepted is written back as JSON that
 * reads the same (and then no longer changes); wherever the text is cut, the scanner says the same.
 */
#include <stdlib.h>
#include <string.h>

#include "base/arena_plain.h"
#include "base/error.h"
#include "wire/urpc/codec.h"

struct inner {
    i32 number;
    char *text;
};
struct all {
    i32 i4;
    i64 i8;
    u32 u4;
    u64 u8_;
    bool flag;
    double real;
    char *text;
    struct wire_bytes bytes;
    struct json_text raw;
    WIRE_LIST(char *) words;
    WIRE_MAP(struct inner) map;
    struct inner *maybe;
    struct inner sub;
};
static const struct wire_field inner_fields[] = {
    WIRE_FIELD(struct inner, number, "n", &wire_int32),
    WIRE_OMIT(struct inner, text, "t", &wire_string),
    WIRE_END,
};
static const struct wire_type inner_type = WIRE_TYPE_STRUCT(struct inner, inner_fields,
                                                            "pkg.Inner");
static const struct wire_field all_fields[] = {
    WIRE_FIELD(struct all, i4, "i4", &wire_int32),
    WIRE_FIELD(struct all, i8, "i8", &wire_int64),
    WIRE_FIELD(struct all, u4, "u4", &wire_uint32),
    WIRE_FIELD(struct all, u8_, "u8", &wire_uint64),
    WIRE_FIELD(struct all, flag, "flag", &wire_bool),
    WIRE_FIELD(struct all, real, "real", &wire_double),
    WIRE_FIELD(struct all, text, "text", &wire_string),
    WIRE_FIELD(struct all, bytes, "bytes", &wire_bytes),
    WIRE_FIELD(struct all, raw, "raw", &wire_raw),
    WIRE_FIELD(struct all, words, "words", WIRE_LIST_OF(&wire_string, "[]string")),
    WIRE_FIELD(struct all, map, "map", WIRE_MAP_OF(&inner_type, "map[string]pkg.Inner")),
    WIRE_FIELD(struct all, maybe, "maybe", WIRE_OPTIONAL_OF(&inner_type)),
    WIRE_FIELD(struct all, sub, "sub", &inner_type),
    WIRE_END,
};
static const struct wire_type all_type = WIRE_TYPE_STRUCT(struct all, all_fields, "pkg.All");

static void must(bool is_true)
{
    if (!is_true)
        abort();
}

/* The scanner, one byte at a time, agrees with the whole. */
static void check_scan(const char *bytes, size_t size, bool is_value)
{
    struct json_scanner scanner;
    enum json_status status = JSON_MORE;
    size_t at = 0;
    json_scanner_init(&scanner, 0);
    while (status == JSON_MORE && at < size) {
        size_t used;
        status = json_scan(&scanner, bytes + at, 1, &used);
        at += used;
    }
    if (status == JSON_MORE)
        status = json_scan_end(&scanner);
    if (is_value)
        must(status == JSON_COMPLETE);
}

static void write_raw(struct json_text value, const char *indent, struct buf *out)
{
    struct json_writer writer;
    json_writer_init(&writer, out);
    writer.indent = indent;
    json_put_raw(&writer, value);
    must(!writer.failed);
}

/* Compact and indented forms are JSON and compact to the same bytes. */
static void check_rewrite(struct json_text value, struct arena *arena)
{
    AUTO_BUF struct buf compact, indented, again;
    struct json_text text = {0};
    struct error err;
    buf_init(&compact, arena, 0);
    buf_init(&indented, arena, 0);
    buf_init(&again, arena, 0);
    write_raw(value, NULL, &compact);
    write_raw(value, "  ", &indented);
    must(json_parse((char *)buf_bytes(&indented), indented.size, ARENA_SIZE_MAX, &text, &err) == 0);
    write_raw(text, NULL, &again);
    must(again.size == compact.size &&
         memcmp(buf_bytes(&again), buf_bytes(&compact), compact.size) == 0);
}

/* Encode, decode, encode: a fixed point. */
static void check_codec(struct json_text value, struct arena *arena)
{
    AUTO_POOL struct pool pool;
    struct all first = {0}, second = {0};
    struct json_text text = {0};
    struct error err;
    pool_init(&pool, arena);
    if (wire_decode(&all_type, value, &pool, &first, &err))
        return;
    char *a = wire_encode_text(&all_type, &first, &pool);
    must(a && json_parse(a, strlen(a), 0, &text, &err) == 0);
    must(wire_decode(&all_type, text, &pool, &second, &err) == 0);
    char *b = wire_encode_text(&all_type, &second, &pool);
    must(b && strcmp(a, b) == 0);
}

int LLVMFuzzerTestOneInput(const u8 *bytes, size_t size);
int LLVMFuzzerTestOneInput(const u8 *bytes, size_t size)
{
    struct arena *arena = arena_plain_create();
    struct json_text value;
    struct error err;
    bool is_value = json_parse((const char *)bytes, size, 0, &value, &err) == 0;
    check_scan((const char *)bytes, size, is_value);
    if (is_value) {
        check_rewrite(value, arena);
        check_codec(value, arena);
    }
    arena_plain_destroy(arena);
    return 0;
}
