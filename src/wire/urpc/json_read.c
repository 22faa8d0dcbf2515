/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader of scanned text: it trusts the grammar and nothing else. Strings are decoded rune by
 * rune as Go does: a broken byte and a lone surrogate become U+FFFD; names match with letter case
 * folded, where Go also folds U+017F (long s) and U+212A (Kelvin sign).
 */
#include "wire/urpc/json.h"

#include <stdlib.h>
#include <string.h>

#define RUNE_BROKEN 0xfffdu
#define RUNE_END UINT32_MAX

enum json_type json_type(struct json_text text)
{
    if (!text.bytes || text.size == 0)
        return JSON_ABSENT;
    switch (text.bytes[0]) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 'n':
        return JSON_NULL;
    case 't':
    case 'f':
        return JSON_BOOL;
    default:
        return JSON_NUMBER;
    }
}

/* ---- structure ------------------------------------------------------------------------------ */

static bool is_space(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static const char *skip_space(const char *at, const char *end)
{
    while (at < end && is_space(*at))
        at++;
    return at;
}

/* AT is a quote; just behind the closing one. */
static const char *skip_string(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++)
        if (*at == '\\')
            at++;
    return at < end ? at + 1 : end;
}

static const char *skip_container(const char *at, const char *end)
{
    u32 depth = 0;
    while (at < end) {
        char byte = *at;
        if (byte == '"') {
            at = skip_string(at, end);
            continue;
        }
        at++;
        if (byte == '{' || byte == '[')
            depth++;
        else if ((byte == '}' || byte == ']') && --depth == 0)
            break;
    }
    return at;
}

static const char *skip_value(const char *at, const char *end)
{
    if (at == end)
        return end;
    if (*at == '"')
        return skip_string(at, end);
    if (*at == '{' || *at == '[')
        return skip_container(at, end);
    while (at < end && *at != ',' && *at != '}' && *at != ']' && !is_space(*at))
        at++;
    return at;
}

void json_iter_init(struct json_iter *iter, struct json_text container)
{
    enum json_type type = json_type(container);
    *iter = (struct json_iter){0};
    if (type != JSON_ARRAY && type != JSON_OBJECT)
        return;
    iter->at = container.bytes + 1;
    iter->end = container.bytes + container.size - 1;
    iter->is_object = type == JSON_OBJECT;
}

static struct json_text take_value(struct json_iter *iter)
{
    const char *start = skip_space(iter->at, iter->end);
    iter->at = skip_value(start, iter->end);
    return (struct json_text){start, (size_t)(iter->at - start)};
}

bool json_iter_next(struct json_iter *iter, struct json_text *name, struct json_text *value)
{
    iter->at = skip_space(iter->at, iter->end);
    if (iter->at < iter->end && *iter->at == ',')
        iter->at = skip_space(iter->at + 1, iter->end);
    if (iter->at >= iter->end)
        return false;
    *name = (struct json_text){0};
    if (iter->is_object) {
        *name = take_value(iter);
        iter->at = skip_space(iter->at, iter->end);
        if (iter->at < iter->end)
            iter->at++; /* the colon */
    }
    *value = take_value(iter);
    return true;
}

size_t json_count(struct json_text container)
{
    struct json_iter iter;
    struct json_text name, value;
    size_t count = 0;
    json_iter_init(&iter, container);
    while (json_iter_next(&iter, &name, &value))
        count++;
    return count;
}

struct json_text json_member(struct json_text object, const char *name)
{
    struct json_text found = {0}, member, value;
    struct json_iter iter;
    if (json_type(object) != JSON_OBJECT)
        return found;
    json_iter_init(&iter, object);
    while (json_iter_next(&iter, &member, &value))
        if (json_name_is(member, name))
            found = value;
    return found;
}

struct json_text json_path(struct json_text object, const char *path)
{
    char name[64];
    while (*path) {
        size_t size = strcspn(path, ".");
        if (size >= sizeof name)
            return (struct json_text){0};
        memcpy(name, path, size);
        name[size] = '\0';
        object = json_member(object, name);
        path += size + (path[size] == '.');
    }
    return object;
}

/* ---- numbers -------------------------------------------------------------------------------- */

static bool parse_digits(const char *at, const char *end, u64 *out)
{
    u64 value = 0;
    if (at == end)
        return false;
    for (; at < end; at++) {
        if (*at < '0' || *at > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (u64)(*at - '0'), &value))
            return false;
    }
    *out = value;
    return true;
}

bool json_u64(struct json_text text, u64 *out)
{
    return json_type(text) == JSON_NUMBER && parse_digits(text.bytes, text.bytes + text.size, out);
}

bool json_i64(struct json_text text, i64 *out)
{
    u64 magnitude;
    if (json_type(text) != JSON_NUMBER)
        return false;
    bool is_negative = text.bytes[0] == '-';
    if (!parse_digits(text.bytes + is_negative, text.bytes + text.size, &magnitude))
        return false;
    if (magnitude > (u64)INT64_MAX + is_negative)
        return false;
    *out = (i64)(is_negative ? 0 - magnitude : magnitude);
    return true;
}

bool json_bool(struct json_text text, bool *out)
{
    if (json_type(text) != JSON_BOOL)
        return false;
    *out = text.bytes[0] == 't';
    return true;
}

bool json_double(struct json_text text, double *out)
{
    char digits[128];
    if (json_type(text) != JSON_NUMBER || text.size >= sizeof digits)
        return false;
    memcpy(digits, text.bytes, text.size);
    digits[text.size] = '\0';
    *out = strtod(digits, NULL);
    return *out - *out == 0; /* neither infinite nor not a number */
}

/* ---- strings -------------------------------------------------------------------------------- */

/* What is left of a string's inside. */
struct runes {
    const u8 *at;
    const u8 *end;
};

static struct runes runes_of(struct json_text text)
{
    const u8 *bytes = (const u8 *)text.bytes;
    return (struct runes){bytes + 1, bytes + text.size - 1};
}

static u32 hex4(const u8 *at)
{
    u32 value = 0;
    for (int i = 0; i < 4; i++) {
        u8 c = at[i];
        value = value * 16 + (u32)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return value;
}

/* Behind "\u": one code unit, or two that make a pair. */
static u32 take_unicode_escape(struct runes *runes)
{
    u32 unit = hex4(runes->at);
    runes->at += 4;
    if (unit < 0xd800 || unit > 0xdfff)
        return unit;
    bool has_second = runes->end - runes->at >= 6 && runes->at[0] == '\\' && runes->at[1] == 'u';
    u32 second = has_second ? hex4(runes->at + 2) : 0;
    if (unit > 0xdbff || second < 0xdc00 || second > 0xdfff)
        return RUNE_BROKEN;
    runes->at += 6;
    return 0x10000 + ((unit - 0xd800) << 10) + (second - 0xdc00);
}

static u32 take_escape(struct runes *runes)
{
    u8 letter = *runes->at++;
    switch (letter) {
    case 'u':
        return take_unicode_escape(runes);
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return letter;
    }
}

static u32 take_utf8(struct runes *runes)
{
    u32 rune = 0;
    size_t size = json_utf8_decode(runes->at, (size_t)(runes->end - runes->at), &rune);
    runes->at += size;
    return rune;
}

static u32 take_rune(struct runes *runes)
{
    if (runes->at >= runes->end)
        return RUNE_END;
    if (*runes->at == '\\') {
        runes->at++;
        return take_escape(runes);
    }
    return take_utf8(runes);
}

size_t json_utf8_decode(const u8 *at, size_t size, u32 *rune)
{
    static const struct {
        u8 mask, lead;
        u32 least;
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    *rune = RUNE_BROKEN;
    for (size_t length = 1; length <= 4; length++) {
        if ((at[0] & forms[length - 1].mask) != forms[length - 1].lead)
            continue;
        u32 value = at[0] & (u8)~forms[length - 1].mask;
        for (size_t i = 1; i < length; i++) {
            if (i >= size || (at[i] & 0xc0) != 0x80)
                return 1;
            value = value << 6 | (at[i] & 0x3fu);
        }
        if (value < forms[length - 1].least || value > 0x10ffff ||
            (value >= 0xd800 && value <= 0xdfff))
            return 1;
        *rune = value;
        return length;
    }
    return 1;
}

static size_t put_utf8(u8 *out, u32 rune)
{
    if (rune < 0x80) {
        out[0] = (u8)rune;
        return 1;
    }
    size_t length = rune < 0x800 ? 2 : rune < 0x10000 ? 3 : 4;
    static const u8 leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = length - 1; i > 0; i--, rune >>= 6)
        out[i] = (u8)(0x80 | (rune & 0x3f));
    out[0] = (u8)(leads[length] | rune);
    return length;
}

static bool is_ascii(struct runes runes)
{
    for (; runes.at < runes.end; runes.at++)
        if (*runes.at >= 0x80)
            return false;
    return true;
}

char *json_string(struct json_text text, struct pool *pool, size_t *size)
{
    if (json_type(text) != JSON_STRING)
        return NULL;
    struct runes runes = runes_of(text);
    /* A broken byte grows to three; every other form shrinks or stays. */
    size_t growth = is_ascii(runes) ? 1 : 3;
    u8 *out = pool_alloc(pool, (size_t)(runes.end - runes.at) * growth + 1);
    if (!out)
        return NULL;
    size_t used = 0;
    for (u32 rune; (rune = take_rune(&runes)) != RUNE_END;)
        used += put_utf8(out + used, rune);
    out[used] = '\0';
    if (size)
        *size = used;
    return (char *)out;
}

bool json_string_is(struct json_text text, const char *plain)
{
    if (json_type(text) != JSON_STRING)
        return false;
    struct runes left = runes_of(text);
    const u8 *bytes = (const u8 *)plain;
    struct runes right = {bytes, bytes + strlen(plain)};
    for (;;) {
        u32 a = take_rune(&left);
        u32 b = right.at < right.end ? take_utf8(&right) : RUNE_END;
        if (a != b)
            return false;
        if (a == RUNE_END)
            return true;
    }
}

static u32 fold(u32 rune)
{
    if (rune >= 'A' && rune <= 'Z')
        return rune + ('a' - 'A');
    return rune == 0x17f ? 's' : rune == 0x212a ? 'k' : rune;
}

bool json_name_is(struct json_text name, const char *plain)
{
    if (json_type(name) != JSON_STRING)
        return false;
    struct runes runes = runes_of(name);
    for (; *plain; plain++)
        if (fold(take_rune(&runes)) != fold((u8)*plain))
            return false;
    return runes.at >= runes.end;
}
