/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growable byte buffer, used as a string builder and as a queue of bytes: valid bytes are
 * data[head .. head + size). Memory comes from an arena.
 */
#pragma once
#include "base/arena.h"
#include "base/base.h"

struct buf {
    u8 *data;
    size_t head;
    size_t size;
    size_t capacity;
    size_t size_max; /* appending past it fails; 0: ARENA_SIZE_MAX */
    struct arena *arena;
};

void buf_init(struct buf *buf, struct arena *arena, size_t size_max);
void buf_fini(struct buf *buf);
static inline bool buf_is_empty(const struct buf *buf)
{
    return buf->size == 0;
}
static inline u8 *buf_bytes(const struct buf *buf)
{
    return buf->data + buf->head;
}
/* All appends: 0 or -ENOMEM, and then nothing was appended. */
MUST_CHECK int buf_append(struct buf *buf, const void *bytes, size_t size);
MUST_CHECK int buf_append_text(struct buf *buf, const char *text);
MUST_CHECK int buf_printf(struct buf *buf, const char *format, ...) PRINTF(2, 3);
MUST_CHECK int buf_vprintf(struct buf *buf, const char *format, __builtin_va_list args);
/* Room for SIZE more bytes at the end; *OUT lends it until the next call; commit with buf_grow. */
MUST_CHECK int buf_reserve(struct buf *buf, size_t size, u8 **out);
void buf_grow(struct buf *buf, size_t size);
/* Drop SIZE bytes from the front. */
void buf_consume(struct buf *buf, size_t size);
void buf_clear(struct buf *buf);
/* The content as a C string (a terminator is kept behind the last byte); NULL when out of memory.
 */
MUST_CHECK char *buf_text(struct buf *buf);

#define AUTO_BUF CLEANUP(buf_fini)
