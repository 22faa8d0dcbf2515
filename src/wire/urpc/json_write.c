/* SPDX-License-Identifier: Apache-2.0 */
/* The writer: json.Marshal's spelling, HTML escapes and all, and MarshalIndent's layout. */
#include "wire/urpc/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void json_writer_init(struct json_writer *writer, struct buf *buf)
{
    *writer = (struct json_writer){.buf = buf};
}

static void put(struct json_writer *writer, const void *bytes, size_t size)
{
    if (!writer->failed && buf_append(writer->buf, bytes, size))
        writer->failed = true;
}

static void put_text(struct json_writer *writer, const char *text)
{
    put(writer, text, strlen(text));
}

static void put_line(struct json_writer *writer)
{
    if (!writer->indent)
        return;
    put(writer, "\n", 1);
    for (u32 i = 0; i < writer->depth; i++)
        put_text(writer, writer->indent);
}

/* What stands between the last value or name and the next. */
static void put_separator(struct json_writer *writer)
{
    if (writer->after_name) {
        writer->after_name = false;
        return;
    }
    if (writer->needs_comma)
        put(writer, ",", 1);
    if (writer->depth > 0)
        put_line(writer);
}

static void begin(struct json_writer *writer, const char *bracket)
{
    put_separator(writer);
    put(writer, bracket, 1);
    writer->depth++;
    writer->needs_comma = false;
}

static void end_bracket(struct json_writer *writer, const char *bracket)
{
    ASSERT(writer->depth > 0 && !writer->after_name);
    writer->depth--;
    if (writer->needs_comma)
        put_line(writer);
    put(writer, bracket, 1);
    writer->needs_comma = true;
}

void json_begin_object(struct json_writer *writer)
{
    begin(writer, "{");
}

void json_end_object(struct json_writer *writer)
{
    end_bracket(writer, "}");
}

void json_begin_array(struct json_writer *writer)
{
    begin(writer, "[");
}

void json_end_array(struct json_writer *writer)
{
    end_bracket(writer, "]");
}

static void put_plain(struct json_writer *writer, const char *text)
{
    put_separator(writer);
    put_text(writer, text);
    writer->needs_comma = true;
}

void json_put_null(struct json_writer *writer)
{
    put_plain(writer, "null");
}

void json_put_bool(struct json_writer *writer, bool value)
{
    put_plain(writer, value ? "true" : "false");
}

void json_put_i64(struct json_writer *writer, i64 value)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%lld", (long long)value);
    put_plain(writer, digits);
}

void json_put_u64(struct json_writer *writer, u64 value)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
    put_plain(writer, digits);
}

/* ES6's rule, as Go: exponents from 1e21 on and below 1e-6, without padding zeros in them. */
void json_put_double(struct json_writer *writer, double value)
{
    char digits[400];
    double magnitude = value < 0 ? -value : value;
    bool is_scientific = magnitude != 0 && (magnitude < 1e-6 || magnitude >= 1e21);
    for (int precision = 0; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*e", precision, value);
        char *exponent = strchr(digits, 'e');
        if (strtod(digits, NULL) != value || !exponent)
            continue;
        int power = atoi(exponent + 1);
        if (is_scientific)
            snprintf(exponent, 8, "e%+d", power);
        else
            snprintf(digits, sizeof digits, "%.*f", precision > power ? precision - power : 0,
                     value);
        break;
    }
    put_plain(writer, digits);
}

/* The letter behind the backslash for bytes that have a short escape, else 0. */
static char short_escape(u8 byte)
{
    switch (byte) {
    case '"':
    case '\\':
        return (char)byte;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return 0;
    }
}

/* Fills ESCAPE when the rune at AT (LENGTH bytes) cannot go out as it is. */
static void escape_rune(u8 first, u32 rune, size_t length, char escape[8])
{
    char letter = short_escape(first);
    bool is_html = first == '<' || first == '>' || first == '&';
    bool is_broken = rune == 0xfffd && length == 1;
    if (letter)
        memcpy(escape, (char[]){'\\', letter, '\0'}, 3);
    else if (first < 0x20 || is_html || rune == 0x2028 || rune == 0x2029 || is_broken)
        snprintf(escape, 8, "\\u%04x", rune & 0xffff);
    else
        escape[0] = '\0';
}

static void put_escaped(struct json_writer *writer, const char *text, size_t size)
{
    const u8 *at = (const u8 *)text;
    size_t plain = 0; /* bytes before AT that go out as they are */
    for (size_t left = size; left > 0;) {
        u32 rune;
        char escape[8];
        size_t length = json_utf8_decode(at, left, &rune);
        escape_rune(at[0], rune, length, escape);
        if (escape[0]) {
            put(writer, at - plain, plain);
            put_text(writer, escape);
        }
        plain = escape[0] ? 0 : plain + length;
        at += length;
        left -= length;
    }
    put(writer, at - plain, plain);
}

static void put_quoted(struct json_writer *writer, const char *text, size_t size)
{
    put(writer, "\"", 1);
    put_escaped(writer, text, size);
    put(writer, "\"", 1);
}

void json_name(struct json_writer *writer, const char *name)
{
    ASSERT(!writer->after_name);
    put_separator(writer);
    put_quoted(writer, name, strlen(name));
    put_text(writer, writer->indent ? ": " : ":");
    writer->after_name = true;
}

void json_put_string_size(struct json_writer *writer, const char *text, size_t size)
{
    put_separator(writer);
    put_quoted(writer, text, size);
    writer->needs_comma = true;
}

void json_put_string(struct json_writer *writer, const char *text)
{
    json_put_string_size(writer, text ? text : "", text ? strlen(text) : 0);
}

void json_put_bytes(struct json_writer *writer, const void *bytes, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (!bytes) {
        json_put_null(writer);
        return;
    }
    put_separator(writer);
    put(writer, "\"", 1);
    const u8 *at = bytes;
    for (size_t i = 0; i < size; i += 3) {
        size_t count = MIN(size - i, (size_t)3);
        u32 word = (u32)at[i] << 16 | (count > 1 ? (u32)at[i + 1] << 8 : 0) |
                   (count > 2 ? at[i + 2] : 0);
        char quad[4] = {digits[word >> 18], digits[word >> 12 & 63],
                        count > 1 ? digits[word >> 6 & 63] : '=',
                        count > 2 ? digits[word & 63] : '='};
        put(writer, quad, 4);
    }
    put(writer, "\"", 1);
    writer->needs_comma = true;
}

/* ---- raw values ----------------------------------------------------------------------------- */

/* Where the token at AT ends: a string with its quotes, a literal, a number. */
static const char *token_end(const char *at, const char *end)
{
    bool is_string = *at == '"';
    for (at++; at < end; at++) {
        if (is_string && *at == '"')
            return at + 1;
        if (is_string && *at == '\\')
            at++;
        else if (!is_string && strchr(" \t\r\n,:]}", *at))
            return at;
    }
    return end;
}

/* A string is not decoded; only what Go's compact escapes is changed. */
static void put_raw_token(struct json_writer *writer, const char *at, const char *end)
{
    const char *plain = at;
    for (; at < end; at++) {
        bool is_separator = end - at >= 3 && (u8)at[0] == 0xe2 && (u8)at[1] == 0x80 &&
                            ((u8)at[2] & 0xfe) == 0xa8;
        if (*at != '<' && *at != '>' && *at != '&' && !is_separator)
            continue;
        char escape[8];
        snprintf(escape, sizeof escape, "\\u%04x",
                 is_separator ? 0x2000u | ((u8)at[2] & 0x3f) : (u8)*at);
        put(writer, plain, (size_t)(at - plain));
        put_text(writer, escape);
        at += is_separator ? 2 : 0;
        plain = at + 1;
    }
    put(writer, plain, (size_t)(end - plain));
}

static const char *put_raw_step(struct json_writer *writer, const char *at, const char *end)
{
    switch (*at) {
    case ' ':
    case '\t':
    case '\r':
    case '\n':
    case ',':
        break;
    case '{':
    case '[':
        begin(writer, *at == '{' ? "{" : "[");
        break;
    case '}':
    case ']':
        end_bracket(writer, *at == '}' ? "}" : "]");
        break;
    case ':':
        put_text(writer, writer->indent ? ": " : ":");
        writer->after_name = true;
        break;
    default: {
        const char *stop = token_end(at, end);
        put_separator(writer);
        put_raw_token(writer, at, stop);
        writer->needs_comma = true;
        return stop;
    }
    }
    return at + 1;
}

void json_put_raw(struct json_writer *writer, struct json_text text)
{
    if (json_type(text) == JSON_ABSENT) {
        json_put_null(writer);
        return;
    }
    const char *end = text.bytes + text.size;
    for (const char *at = text.bytes; at < end;)
        at = put_raw_step(writer, at, end);
}
