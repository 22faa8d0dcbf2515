/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protocol buffers' wire form (proto3): fields appended to a buf, and fields read from bytes. As
 * proto3 wants it, zero scalars and empty strings are left out.
 */
#pragma once
#include "base/buf.h"

struct protobuf {
    struct buf *buf;
    bool failed; /* no memory: look once at the end */
};

void protobuf_put_u64(struct protobuf *out, u32 field, u64 value);
/* int32 and int64: negative ones have ten bytes. */
static inline void protobuf_put_i64(struct protobuf *out, u32 field, i64 value)
{
    protobuf_put_u64(out, field, (u64)value);
}
void protobuf_put_bytes(struct protobuf *out, u32 field, const void *bytes, size_t size);
void protobuf_put_text(struct protobuf *out, u32 field, const char *text);
/* An element of a repeated field: written though it is empty or zero. */
void protobuf_add_bytes(struct protobuf *out, u32 field, const void *bytes, size_t size);
void protobuf_add_u64(struct protobuf *out, u32 field, u64 value);
/* A nested message: what is put between begin and end. Nests. */
MUST_CHECK size_t protobuf_begin(struct protobuf *out, u32 field);
void protobuf_end(struct protobuf *out, size_t begun);

struct protobuf_field {
    u32 number;
    u32 type;        /* 0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes */
    u64 value;       /* of types 0, 1, 5 */
    const u8 *bytes; /* of type 2, lent */
    size_t size;
};
/* The next field of *SIZE bytes at *BYTES, which move on: 1, 0 at the end, -1 when malformed. */
MUST_CHECK int protobuf_next(const u8 **bytes, size_t *size, struct protobuf_field *out);
