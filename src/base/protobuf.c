/* SPDX-License-Identifier: Apache-2.0 */
/* A nested message's length is not known before its end: it is then moved by the bytes of its
 * length. */
#include "base/protobuf.h"

#include <string.h>

#define VARINT_SIZE_MAX 10u
enum { TYPE_VARINT = 0, TYPE_EIGHT = 1, TYPE_BYTES = 2, TYPE_FOUR = 5 };

static u32 varint(u8 out[VARINT_SIZE_MAX], u64 value)
{
    u32 size = 0;
    do {
        out[size++] = (u8)(value & 0x7f) | (value > 0x7f ? 0x80 : 0);
        value >>= 7;
    } while (value > 0);
    return size;
}

static void put_raw(struct protobuf *out, const void *bytes, size_t size)
{
    if (!out->failed && size > 0 && buf_append(out->buf, bytes, size))
        out->failed = true;
}

static void put_varint(struct protobuf *out, u64 value)
{
    u8 bytes[VARINT_SIZE_MAX];
    put_raw(out, bytes, varint(bytes, value));
}

void protobuf_add_u64(struct protobuf *out, u32 field, u64 value)
{
    put_varint(out, (u64)field << 3 | TYPE_VARINT);
    put_varint(out, value);
}

void protobuf_put_u64(struct protobuf *out, u32 field, u64 value)
{
    if (value != 0)
        protobuf_add_u64(out, field, value);
}

void protobuf_add_bytes(struct protobuf *out, u32 field, const void *bytes, size_t size)
{
    put_varint(out, (u64)field << 3 | TYPE_BYTES);
    put_varint(out, size);
    put_raw(out, bytes, size);
}

void protobuf_put_bytes(struct protobuf *out, u32 field, const void *bytes, size_t size)
{
    if (size > 0)
        protobuf_add_bytes(out, field, bytes, size);
}

void protobuf_put_text(struct protobuf *out, u32 field, const char *text)
{
    protobuf_put_bytes(out, field, text, strlen(text));
}

size_t protobuf_begin(struct protobuf *out, u32 field)
{
    put_varint(out, (u64)field << 3 | TYPE_BYTES);
    return out->buf->size;
}

void protobuf_end(struct protobuf *out, size_t begun)
{
    u8 length[VARINT_SIZE_MAX], *unused;
    if (out->failed)
        return;
    size_t size = out->buf->size - begun;
    u32 moved = varint(length, size);
    if (buf_reserve(out->buf, moved, &unused)) {
        out->failed = true;
        return;
    }
    buf_grow(out->buf, moved);
    u8 *at = buf_bytes(out->buf) + begun;
    memmove(at + moved, at, size);
    memcpy(at, length, moved);
}

/* ---- reading -------------------------------------------------------------------------------- */

static bool take_varint(const u8 **bytes, size_t *size, u64 *out)
{
    *out = 0;
    for (u32 i = 0; i<VARINT_SIZE_MAX && * size> 0; i++) {
        u8 byte = *(*bytes)++;
        (*size)--;
        *out |= (u64)(byte & 0x7f) << (7 * i);
        if (!(byte & 0x80))
            return true;
    }
    return false;
}

int protobuf_next(const u8 **bytes, size_t *size, struct protobuf_field *out)
{
    u64 key;
    if (*size == 0)
        return 0;
    *out = (struct protobuf_field){0};
    if (!take_varint(bytes, size, &key) || key >> 3 == 0 || key >> 3 > UINT32_MAX)
        return -1;
    out->number = (u32)(key >> 3);
    out->type = key & 7;
    size_t fixed = out->type == TYPE_EIGHT ? 8 : 4;
    switch (out->type) {
    case TYPE_VARINT:
        return take_varint(bytes, size, &out->value) ? 1 : -1;
    case TYPE_BYTES:
        if (!take_varint(bytes, size, &out->value) || out->value > *size)
            return -1;
        out->bytes = *bytes;
        out->size = (size_t)out->value;
        break;
    case TYPE_EIGHT:
    case TYPE_FOUR:
        if (*size < fixed)
            return -1;
        memcpy(&out->value, *bytes, fixed);
        out->size = fixed;
        break;
    default:
        return -1;
    }
    *bytes += out->size;
    *size -= out->size;
    return 1;
}
