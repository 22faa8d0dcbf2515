/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growable byte buffer. Capacity always has one byte more than the content, so that buf_text only
 * writes a terminator. Bytes dropped at the front are reused by moving the rest down, but only when
 * at least as many were dropped as must be moved: a queue costs O(1) a byte.
 */
#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BUF_CAPACITY_MIN 64

void buf_init(struct buf *buf, struct arena *arena, size_t size_max)
{
    *buf = (struct buf){.arena = arena, .size_max = size_max};
}

void buf_fini(struct buf *buf)
{
    if (buf->data)
        arena_free(buf->arena, buf->data, buf->capacity);
    buf->data = NULL;
    buf->head = buf->size = buf->capacity = 0;
}

static size_t buf_size_max(const struct buf *buf)
{
    return buf->size_max ? MIN(buf->size_max, ARENA_SIZE_MAX - 1) : ARENA_SIZE_MAX - 1;
}

static void buf_move_down(struct buf *buf)
{
    memmove(buf->data, buf->data + buf->head, buf->size);
    buf->head = 0;
}

/* Make room for SIZE bytes and a terminator behind the content. */
static int buf_make_room(struct buf *buf, size_t size)
{
    size_t size_max = buf_size_max(buf);
    if (size > size_max || buf->size > size_max - size)
        return -ENOMEM;
    size_t need = buf->size + size + 1;
    if (buf->data && need <= buf->capacity - buf->head)
        return 0;
    if (buf->data && need <= buf->capacity &&
        (buf->head >= buf->size || buf->capacity > size_max)) {
        buf_move_down(buf);
        return 0;
    }
    size_t capacity = MAX(MAX(need, buf->capacity * 2), (size_t)BUF_CAPACITY_MIN);
    capacity = MIN(capacity, MAX(size_max + 1, need));
    u8 *data = arena_alloc(buf->arena, capacity);
    if (!data)
        return -ENOMEM;
    if (buf->data) {
        memcpy(data, buf->data + buf->head, buf->size);
        arena_free(buf->arena, buf->data, buf->capacity);
    }
    buf->data = data;
    buf->head = 0;
    buf->capacity = capacity;
    return 0;
}

int buf_append(struct buf *buf, const void *bytes, size_t size)
{
    if (size == 0)
        return 0;
    int err = buf_make_room(buf, size);
    if (err)
        return err;
    memcpy(buf->data + buf->head + buf->size, bytes, size);
    buf->size += size;
    return 0;
}

int buf_append_text(struct buf *buf, const char *text)
{
    return buf_append(buf, text, strlen(text));
}

int buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int err = buf_vprintf(buf, format, args);
    va_end(args);
    return err;
}

int buf_vprintf(struct buf *buf, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (size < 0)
        return -ENOMEM;
    int err = buf_make_room(buf, (size_t)size);
    if (err)
        return err;
    vsnprintf((char *)buf->data + buf->head + buf->size, (size_t)size + 1, format, args);
    buf->size += (size_t)size;
    return 0;
}

int buf_reserve(struct buf *buf, size_t size, u8 **out)
{
    int err = buf_make_room(buf, size);
    if (err)
        return err;
    *out = buf->data + buf->head + buf->size;
    return 0;
}

void buf_grow(struct buf *buf, size_t size)
{
    ASSERT(size == 0 || (buf->data && size < buf->capacity - buf->head - buf->size));
    buf->size += size;
}

void buf_consume(struct buf *buf, size_t size)
{
    ASSERT(size <= buf->size);
    buf->size -= size;
    buf->head = buf->size > 0 ? buf->head + size : 0;
}

void buf_clear(struct buf *buf)
{
    buf->head = buf->size = 0;
}

char *buf_text(struct buf *buf)
{
    if (buf_make_room(buf, 0))
        return NULL;
    buf->data[buf->head + buf->size] = '\0';
    return (char *)buf->data + buf->head;
}
