/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.Unmarshal and json.Marshal by tables. Two facts of Go's decoder that surprise: null leaves a
 * scalar as it was (so `{"PID":1,"PID":null}` is 1), and a struct named twice is merged.
 */
#include "wire/urpc/codec.h"

#include <errno.h>
#include <string.h>

#include "base/sort.h"

#define PATH_TEXT_MAX 256

const struct wire_type wire_int32 = {.kind = WIRE_INT, .size = 4, .name = "int32"};
const struct wire_type wire_int64 = {.kind = WIRE_INT, .size = 8, .name = "int64"};
const struct wire_type wire_int = {.kind = WIRE_INT, .size = 8, .name = "int"};
const struct wire_type wire_duration = {.kind = WIRE_INT, .size = 8, .name = "time.Duration"};
const struct wire_type wire_uint8 = {.kind = WIRE_UINT, .size = 1, .name = "uint8"};
const struct wire_type wire_uint16 = {.kind = WIRE_UINT, .size = 2, .name = "uint16"};
const struct wire_type wire_uint32 = {.kind = WIRE_UINT, .size = 4, .name = "uint32"};
const struct wire_type wire_uint64 = {.kind = WIRE_UINT, .size = 8, .name = "uint64"};
const struct wire_type wire_uint = {.kind = WIRE_UINT, .size = 8, .name = "uint"};
const struct wire_type wire_bool = {.kind = WIRE_BOOL, .size = sizeof(bool), .name = "bool"};
const struct wire_type wire_double = {
    .kind = WIRE_DOUBLE, .size = sizeof(double), .name = "float64"};
const struct wire_type wire_string = {
    .kind = WIRE_STRING, .size = sizeof(char *), .name = "string"};
const struct wire_type wire_bytes = {
    .kind = WIRE_BYTES, .size = sizeof(struct wire_bytes), .name = "[]uint8"};
const struct wire_type wire_raw = {
    .kind = WIRE_RAW, .size = sizeof(struct json_text), .name = "json.RawMessage"};

/* ---- decoding ------------------------------------------------------------------------------- */

struct decoder {
    struct pool *pool;
    struct error *err;
    const char *struct_name;  /* innermost, NULL at top level */
    char path[PATH_TEXT_MAX]; /* member names from the outermost struct on */
    size_t path_size;
};

static int decode_value(struct decoder *decoder, const struct wire_type *type,
                        struct json_text text, void *out);

static int out_of_memory(struct decoder *decoder)
{
    return error_set(decoder->err, ENOMEM, "out of memory");
}

/* VALUE is Go's word for what was found: "string", "number 1.5", … */
static int type_error(struct decoder *decoder, const struct wire_type *type, const char *value)
{
    if (!decoder->struct_name)
        return error_set(decoder->err, EINVAL, "json: cannot unmarshal %s into Go value of type %s",
                         value, type->name);
    return error_set(decoder->err, EINVAL,
                     "json: cannot unmarshal %s into Go struct field %s.%s of type %s", value,
                     decoder->struct_name, decoder->path, type->name);
}

static int kind_error(struct decoder *decoder, const struct wire_type *type, struct json_text text)
{
    static const char *const words[] = {"nothing", "null",  "bool",  "number",
                                        "string",  "array", "object"};
    return type_error(decoder, type, words[json_type(text)]);
}

/* A number that does not fit: Go shows it. */
static int number_error(struct decoder *decoder, const struct wire_type *type,
                        struct json_text text)
{
    char value[80];
    size_t size = MIN(text.size, sizeof value - 8);
    if (json_type(text) != JSON_NUMBER)
        return kind_error(decoder, type, text);
    memcpy(value, "number ", 7);
    memcpy(value + 7, text.bytes, size);
    value[7 + size] = '\0';
    return type_error(decoder, type, value);
}

static int decode_int(struct decoder *decoder, const struct wire_type *type, struct json_text text,
                      void *out)
{
    i64 value;
    u32 shift = 64 - type->size * 8;
    if (!json_i64(text, &value) || (i64)((u64)value << shift) >> shift != value)
        return number_error(decoder, type, text);
    memcpy(out, &value, type->size); /* little endian: the low bytes come first */
    return 0;
}

static int decode_uint(struct decoder *decoder, const struct wire_type *type, struct json_text text,
                       void *out)
{
    u64 value;
    u32 shift = 64 - type->size * 8;
    if (!json_u64(text, &value) || value << shift >> shift != value)
        return number_error(decoder, type, text);
    memcpy(out, &value, type->size);
    return 0;
}

static int decode_string(struct decoder *decoder, const struct wire_type *type,
                         struct json_text text, void *out)
{
    size_t size;
    if (json_type(text) != JSON_STRING)
        return kind_error(decoder, type, text);
    char *plain = json_string(text, decoder->pool, &size);
    if (!plain)
        return out_of_memory(decoder);
    if (strlen(plain) != size)
        return type_error(decoder, type, "string with a NUL byte");
    memcpy(out, &plain, sizeof plain);
    return 0;
}

static int base64_digit(char digit)
{
    if (digit >= 'A' && digit <= 'Z')
        return digit - 'A';
    if (digit >= 'a' && digit <= 'z')
        return digit - 'a' + 26;
    if (digit >= '0' && digit <= '9')
        return digit - '0' + 52;
    return digit == '+' ? 62 : digit == '/' ? 63 : -1;
}

/* Four digits at QUAD of which LEFT exist; bytes gained (1 to 3), or -1 and *BAD says which digit.
 */
static int decode_quad(const char *quad, size_t left, u8 *out, size_t *bad)
{
    u32 word = 0;
    size_t count = 0;
    for (; count < 4 && count < left && base64_digit(quad[count]) >= 0; count++)
        word = word << 6 | (u32)base64_digit(quad[count]);
    *bad = count;
    bool is_padded = count >= 2 && count < 4 && left == 4 && quad[3] == '=' && quad[count] == '=';
    if (count < 4 && !is_padded)
        return -1;
    word <<= 6 * (4 - count);
    out[0] = (u8)(word >> 16);
    out[1] = (u8)(word >> 8);
    out[2] = (u8)word;
    return (int)count - 1;
}

static int decode_bytes(struct decoder *decoder, const struct wire_type *type,
                        struct json_text text, void *out)
{
    size_t size, bad;
    if (json_type(text) != JSON_STRING)
        return kind_error(decoder, type, text);
    char *plain = json_string(text, decoder->pool, &size);
    u8 *bytes = plain ? pool_alloc(decoder->pool, size / 4 * 3 + 3) : NULL;
    if (!bytes)
        return out_of_memory(decoder);
    struct wire_bytes value = {bytes, 0};
    for (size_t i = 0; i < size; i += 4) {
        int gained = decode_quad(plain + i, size - i, bytes + value.size, &bad);
        if (gained < 0)
            return error_set(decoder->err, EINVAL, "illegal base64 data at input byte %zu",
                             i + bad);
        value.size += (size_t)gained;
    }
    memcpy(out, &value, sizeof value);
    return 0;
}

static int decode_list(struct decoder *decoder, const struct wire_type *type, struct json_text text,
                       void *out)
{
    struct wire_list list = {WIRE_EMPTY, 0};
    struct json_iter iter;
    struct json_text name, value;
    if (json_type(text) != JSON_ARRAY)
        return kind_error(decoder, type, text);
    size_t count = json_count(text);
    if (count > 0) {
        list.items = pool_alloc_array(decoder->pool, count, type->element->size);
        if (!list.items)
            return out_of_memory(decoder);
    }
    json_iter_init(&iter, text);
    for (; json_iter_next(&iter, &name, &value); list.count++) {
        int err = decode_value(decoder, type->element, value,
                               (u8 *)list.items + list.count * type->element->size);
        if (err)
            return err;
    }
    memcpy(out, &list, sizeof list);
    return 0;
}

static int compare_names(const void *a, const void *b, void *arg)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

size_t wire_map_entry_size(const struct wire_type *type)
{
    return sizeof(char *) + ALIGN_UP(type->element->size, 8u);
}

/* Sorted by name; of equal names the last one stays. */
static void sort_map(struct wire_list *map, size_t entry_size)
{
    u8 *items = map->items;
    size_t kept = 0;
    sort_stable(items, map->count, entry_size, compare_names, NULL);
    for (size_t i = 0; i < map->count; i++) {
        bool is_last = i + 1 == map->count ||
                       compare_names(items + i * entry_size, items + (i + 1) * entry_size, NULL) !=
                           0;
        if (is_last)
            memmove(items + kept++ * entry_size, items + i * entry_size, entry_size);
    }
    map->count = kept;
}

static int decode_map(struct decoder *decoder, const struct wire_type *type, struct json_text text,
                      void *out)
{
    struct wire_list map = {WIRE_EMPTY, 0};
    struct json_iter iter;
    struct json_text name, value;
    size_t entry_size = wire_map_entry_size(type);
    if (json_type(text) != JSON_OBJECT)
        return kind_error(decoder, type, text);
    size_t count = json_count(text);
    if (count > 0) {
        map.items = pool_alloc_array(decoder->pool, count, entry_size);
        if (!map.items)
            return out_of_memory(decoder);
    }
    json_iter_init(&iter, text);
    for (; json_iter_next(&iter, &name, &value); map.count++) {
        u8 *entry = (u8 *)map.items + map.count * entry_size;
        int err = decode_string(decoder, &wire_string, name, entry);
        if (!err)
            err = decode_value(decoder, type->element, value, entry + sizeof(char *));
        if (err)
            return err;
    }
    sort_map(&map, entry_size);
    memcpy(out, &map, sizeof map);
    return 0;
}

static int decode_optional(struct decoder *decoder, const struct wire_type *type,
                           struct json_text text, void *out)
{
    void *value;
    memcpy(&value, out, sizeof value); /* named twice: merged */
    if (!value)
        value = pool_alloc(decoder->pool, type->element->size);
    if (!value)
        return out_of_memory(decoder);
    memcpy(out, &value, sizeof value);
    return decode_value(decoder, type->element, text, value);
}

static const struct wire_field *find_field(const struct wire_type *type, struct json_text name)
{
    for (const struct wire_field *field = type->fields; field->name; field++)
        if (json_name_is(name, field->name))
            return field;
    return NULL;
}

/* "control.SignalArgs" -> "SignalArgs". */
static const char *short_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot ? dot + 1 : name;
}

static int decode_member(struct decoder *decoder, const struct wire_field *field,
                         struct json_text value, void *out)
{
    size_t size = decoder->path_size;
    size_t name_size = strlen(field->name);
    if (size + name_size + 2 < sizeof decoder->path) {
        if (size)
            decoder->path[decoder->path_size++] = '.';
        memcpy(decoder->path + decoder->path_size, field->name, name_size + 1);
        decoder->path_size += name_size;
    }
    ASSERT(field->size == field->type->size);
    int err = decode_value(decoder, field->type, value, (u8 *)out + field->offset);
    if (!err) {
        decoder->path_size = size;
        decoder->path[size] = '\0';
    }
    return err;
}

static int decode_struct(struct decoder *decoder, const struct wire_type *type,
                         struct json_text text, void *out)
{
    struct json_iter iter;
    struct json_text name, value;
    if (json_type(text) != JSON_OBJECT)
        return kind_error(decoder, type, text);
    const char *outer = decoder->struct_name;
    json_iter_init(&iter, text);
    while (json_iter_next(&iter, &name, &value)) {
        const struct wire_field *field = find_field(type, name);
        if (!field)
            continue;
        decoder->struct_name = short_name(type->name);
        int err = decode_member(decoder, field, value, out);
        if (err)
            return err;
    }
    decoder->struct_name = outer;
    return 0;
}

static int decode_bool(struct decoder *decoder, const struct wire_type *type, struct json_text text,
                       void *out)
{
    bool value;
    if (!json_bool(text, &value))
        return kind_error(decoder, type, text);
    memcpy(out, &value, sizeof value);
    return 0;
}

static int decode_double(struct decoder *decoder, const struct wire_type *type,
                         struct json_text text, void *out)
{
    double value;
    if (!json_double(text, &value))
        return number_error(decoder, type, text);
    memcpy(out, &value, sizeof value);
    return 0;
}

/* null: containers and pointers become unset, everything else stays as it is. */
static void decode_null(const struct wire_type *type, void *out)
{
    if (type->kind == WIRE_BYTES || type->kind == WIRE_LIST || type->kind == WIRE_MAP ||
        type->kind == WIRE_OPTIONAL)
        memset(out, 0, type->size);
}

static int decode_value(struct decoder *decoder, const struct wire_type *type,
                        struct json_text text, void *out)
{
    static int (*const decoders[])(struct decoder *, const struct wire_type *, struct json_text,
                                   void *) = {
        [WIRE_INT] = decode_int,           [WIRE_UINT] = decode_uint,
        [WIRE_BOOL] = decode_bool,         [WIRE_DOUBLE] = decode_double,
        [WIRE_STRING] = decode_string,     [WIRE_BYTES] = decode_bytes,
        [WIRE_LIST] = decode_list,         [WIRE_MAP] = decode_map,
        [WIRE_OPTIONAL] = decode_optional, [WIRE_STRUCT] = decode_struct};
    if (type->kind == WIRE_RAW) {
        memcpy(out, &text, sizeof text);
        return 0;
    }
    if (json_type(text) == JSON_NULL) {
        decode_null(type, out);
        return 0;
    }
    return decoders[type->kind](decoder, type, text, out);
}

int wire_decode(const struct wire_type *type, struct json_text text, struct pool *pool, void *out,
                struct error *err)
{
    struct decoder decoder = {.pool = pool, .err = err};
    if (json_type(text) == JSON_ABSENT)
        return error_set(err, EINVAL, "unexpected end of JSON input");
    return decode_value(&decoder, type, text, out);
}

/* ---- encoding ------------------------------------------------------------------------------- */

static bool is_empty(const struct wire_type *type, const void *value)
{
    static const u8 zeros[8];
    struct wire_list list;
    char *text;
    switch (type->kind) {
    case WIRE_STRUCT:
        return false;
    case WIRE_STRING:
        memcpy(&text, value, sizeof text);
        return !text || !*text;
    case WIRE_LIST:
    case WIRE_MAP:
    case WIRE_BYTES:
    case WIRE_RAW:
        memcpy(&list, value, sizeof list); /* all of them: a pointer and a count */
        return list.count == 0;
    default:
        return memcmp(value, zeros, type->size) == 0;
    }
}

static void encode_struct(struct json_writer *writer, const struct wire_type *type,
                          const void *value)
{
    json_begin_object(writer);
    for (const struct wire_field *field = type->fields; field->name; field++) {
        const u8 *member = (const u8 *)value + field->offset;
        ASSERT(field->size == field->type->size);
        if (field->omit_empty && is_empty(field->type, member))
            continue;
        json_name(writer, field->name);
        wire_encode(writer, field->type, member);
    }
    json_end_object(writer);
}

static void encode_list(struct json_writer *writer, const struct wire_type *type, const void *value)
{
    struct wire_list list;
    memcpy(&list, value, sizeof list);
    if (!list.items) {
        json_put_null(writer);
        return;
    }
    json_begin_array(writer);
    for (size_t i = 0; i < list.count; i++)
        wire_encode(writer, type->element, (u8 *)list.items + i * type->element->size);
    json_end_array(writer);
}

/* Decoded maps are; only such as were built by hand need a search for each next name. */
static bool map_is_sorted(const struct wire_list *map, size_t entry_size)
{
    for (size_t i = 1; i < map->count; i++)
        if (compare_names((u8 *)map->items + (i - 1) * entry_size,
                          (u8 *)map->items + i * entry_size, NULL) >= 0)
            return false;
    return true;
}

/* The smallest name above AFTER (NULL: of all), so that the caller's map is not touched; NULL at
 * the end. */
static u8 *map_next(const struct wire_list *map, size_t entry_size, const char *after)
{
    u8 *found = NULL;
    for (size_t i = 0; i < map->count; i++) {
        u8 *entry = (u8 *)map->items + i * entry_size;
        bool is_above = !after || strcmp(*(char **)(void *)entry, after) > 0;
        if (is_above && (!found || compare_names(entry, found, NULL) < 0))
            found = entry;
    }
    return found;
}

static void encode_map(struct json_writer *writer, const struct wire_type *type, const void *value)
{
    struct wire_list map;
    size_t entry_size = wire_map_entry_size(type);
    memcpy(&map, value, sizeof map);
    if (!map.items) {
        json_put_null(writer);
        return;
    }
    bool is_sorted = map_is_sorted(&map, entry_size);
    const char *name = NULL;
    json_begin_object(writer);
    for (size_t i = 0; i < map.count; i++) {
        u8 *entry = is_sorted ? (u8 *)map.items + i * entry_size : map_next(&map, entry_size, name);
        if (!entry)
            break; /* a name stood there twice */
        name = *(char **)(void *)entry;
        json_name(writer, name);
        wire_encode(writer, type->element, entry + sizeof(char *));
    }
    json_end_object(writer);
}

static i64 load_int(const void *value, u32 size)
{
    u64 wide = 0;
    u32 shift = 64 - size * 8;
    memcpy(&wide, value, size);
    return (i64)(wide << shift) >> shift;
}

static u64 load_uint(const void *value, u32 size)
{
    u64 wide = 0;
    memcpy(&wide, value, size);
    return wide;
}

static void encode_optional(struct json_writer *writer, const struct wire_type *type,
                            const void *value)
{
    void *target;
    memcpy(&target, value, sizeof target);
    if (target)
        wire_encode(writer, type->element, target);
    else
        json_put_null(writer);
}

static double load_double(const void *value)
{
    double number;
    memcpy(&number, value, sizeof number);
    return number;
}

void wire_encode(struct json_writer *writer, const struct wire_type *type, const void *value)
{
    struct json_text text;
    switch (type->kind) {
    case WIRE_INT:
        json_put_i64(writer, load_int(value, type->size));
        break;
    case WIRE_UINT:
        json_put_u64(writer, load_uint(value, type->size));
        break;
    case WIRE_BOOL:
        json_put_bool(writer, load_uint(value, sizeof(bool)) != 0);
        break;
    case WIRE_DOUBLE:
        json_put_double(writer, load_double(value));
        break;
    case WIRE_STRING:
        json_put_string(writer, *(char *const *)value);
        break;
    case WIRE_BYTES:
        json_put_bytes(writer, ((const struct wire_bytes *)value)->bytes,
                       ((const struct wire_bytes *)value)->size);
        break;
    case WIRE_RAW:
        memcpy(&text, value, sizeof text);
        json_put_raw(writer, text);
        break;
    case WIRE_LIST:
        encode_list(writer, type, value);
        break;
    case WIRE_MAP:
        encode_map(writer, type, value);
        break;
    case WIRE_OPTIONAL:
        encode_optional(writer, type, value);
        break;
    case WIRE_STRUCT:
        encode_struct(writer, type, value);
        break;
    }
}

char *wire_encode_text(const struct wire_type *type, const void *value, struct pool *pool)
{
    AUTO_BUF struct buf buf;
    struct json_writer writer;
    buf_init(&buf, pool->arena ? pool->arena : &pool->heap, 0);
    json_writer_init(&writer, &buf);
    wire_encode(&writer, type, value);
    return writer.failed ? NULL : pool_strndup(pool, (char *)buf_bytes(&buf), buf.size);
}
