/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON as Go's encoding/json reads and writes it, because both ends of the control socket must
 * agree.
 *
 * Three parts. The *scanner* is fed bytes as they come and says where one value ends; it is strict
 * and bounded in depth and size, so nothing behind it needs to be. The *reader* walks the text of a
 * scanned value without copying. The *writer* appends to a buf. Integers never pass through
 * floating point.
 */
#pragma once
#include "base/base.h"
#include "base/buf.h"
#include "wire/urpc/pool.h"

#define JSON_DEPTH_MAX 64
#define JSON_SIZE_MAX ((size_t)4 << 20)

/* ---- scanner ------------------------------------------------------------------------------------
 */

enum json_status {
    JSON_MORE,      /* so far well-formed; the value has not ended */
    JSON_COMPLETE,  /* the value ended */
    JSON_MALFORMED, /* no continuation makes it JSON */
    JSON_TOO_DEEP,
    JSON_TOO_LARGE,
};

/* A plain value: copy it freely. All members are the scanner's own. */
struct json_scanner {
    u8 state;
    u8 hex_left;  /* digits of \uXXXX still to come */
    bool is_name; /* the string under way is a member's name */
    u8 literal_at;
    const char *literal; /* "true", "false" or "null", of which literal_at letters have come */
    u32 depth;
    u64 objects; /* bit i: level i is an object, else an array */
    size_t size; /* bytes taken since the value began, leading space not counted */
    size_t size_max;
    u64 offset; /* bytes taken since init, for messages */
};

/* SIZE_MAX of 0 means JSON_SIZE_MAX. */
void json_scanner_init(struct json_scanner *scanner, size_t size_max);
/*
 * Take bytes up to the end of the value. *USED becomes how many of SIZE belong to it (leading space
 * included); what follows is not looked at, except that a number at top level ends only with the
 * byte after it (which is not used) or with json_scan_end.
 */
enum json_status json_scan(struct json_scanner *scanner, const void *bytes, size_t size,
                           size_t *used);
/* The stream has ended: COMPLETE for a number at top level, else MALFORMED. */
enum json_status json_scan_end(struct json_scanner *scanner);
/* True when nothing but white space was seen: the stream may end here cleanly. */
bool json_scanner_is_idle(const struct json_scanner *scanner);

/* ---- reader
 * --------------------------------------------------------------------------------------- */

/* The text of one well-formed value, without space around it. BYTES NULL: absent. Lent. */
struct json_text {
    const char *bytes;
    size_t size;
};

enum json_type {
    JSON_ABSENT,
    JSON_NULL,
    JSON_BOOL,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
};

/* Scan a whole text: exactly one value and space around it. 0 with *OUT, or -1 with Go's error text
 * ("unexpected end of JSON input", "invalid character 'x' looking for beginning of value"). */
struct error;
MUST_CHECK int json_parse(const char *bytes, size_t size, size_t size_max, struct json_text *out,
                          struct error *err);
enum json_type json_type(struct json_text text);

/* Walk an array or object: `name` is set for objects (a string value with its quotes). */
struct json_iter {
    const char *at;
    const char *end;
    bool is_object;
};
void json_iter_init(struct json_iter *iter, struct json_text container);
bool json_iter_next(struct json_iter *iter, struct json_text *name, struct json_text *value);
/* How many elements or members. */
size_t json_count(struct json_text container);
/* Member NAME of an object, last one wins, letter case ignored as Go does; absent if there is none.
 */
struct json_text json_member(struct json_text object, const char *name);
/* Member by a path of names: json_path(text, "event.data.cpu"). */
struct json_text json_path(struct json_text object, const char *path);

/* True only for an integer without fraction or exponent that fits. */
MUST_CHECK bool json_i64(struct json_text text, i64 *out);
MUST_CHECK bool json_u64(struct json_text text, u64 *out);
MUST_CHECK bool json_bool(struct json_text text, bool *out);
MUST_CHECK bool json_double(struct json_text text, double *out);
/* The decoded string with a terminator behind it; broken UTF-8 and lone surrogates become U+FFFD as
 * in Go. It may contain NUL bytes: compare SIZE with strlen where that matters. NULL: no memory, or
 * TEXT is not a string. SIZE may be NULL. */
MUST_CHECK char *json_string(struct json_text text, struct pool *pool, size_t *size);
/* Does the string value TEXT decode to exactly PLAIN? */
bool json_string_is(struct json_text text, const char *plain);
/* Do two string values, the second plain, match as Go matches member names (letter case folded)? */
bool json_name_is(struct json_text name, const char *plain);

/* One rune of UTF-8 from SIZE > 0 bytes; how many bytes it took. A broken byte gives U+FFFD and 1,
 * as in Go. */
size_t json_utf8_decode(const u8 *at, size_t size, u32 *rune);

/* ---- writer -------------------------------------------------------------------------------------
 */

/* Errors stick: check `failed` (no memory) once at the end. Compact unless INDENT is set (then as
 * Go's MarshalIndent). Text goes to a buf that the caller owns. */
struct json_writer {
    struct buf *buf;
    const char *indent; /* NULL: compact; else one level's white space */
    u32 depth;
    bool needs_comma;
    bool after_name;
    bool failed;
};

void json_writer_init(struct json_writer *writer, struct buf *buf);
void json_begin_object(struct json_writer *writer);
void json_end_object(struct json_writer *writer);
void json_begin_array(struct json_writer *writer);
void json_end_array(struct json_writer *writer);
void json_name(struct json_writer *writer, const char *name);
void json_put_null(struct json_writer *writer);
void json_put_bool(struct json_writer *writer, bool value);
void json_put_i64(struct json_writer *writer, i64 value);
void json_put_u64(struct json_writer *writer, u64 value);
void json_put_double(struct json_writer *writer, double value);
/* NULL is the empty string. */
void json_put_string(struct json_writer *writer, const char *text);
void json_put_string_size(struct json_writer *writer, const char *text, size_t size);
/* Base64, or null for NULL. */
void json_put_bytes(struct json_writer *writer, const void *bytes, size_t size);
/* One well-formed value as it is; absent becomes null. Space in it is dropped when writing compact,
 * and it is laid out anew when indenting, as Go does with a RawMessage. */
void json_put_raw(struct json_writer *writer, struct json_text text);
