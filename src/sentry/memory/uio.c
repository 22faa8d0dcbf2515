/* SPDX-License-Identifier: Apache-2.0 */
/* Transfers between bytes of the sentry and a list of segments (readv(2)'s iovecs, or one buffer).
 */
#include "sentry/memory/uio.h"

#include <string.h>

#include "abi/errno.h"
#include "sentry/memory/mm.h"

void uio_init_kernel(struct uio *uio, struct fiber *fiber, void *base, u64 size,
                     struct uio_segment *one)
{
    *one = (struct uio_segment){.base = (u64)(uintptr_t)base, .size = size};
    *uio = (struct uio){.fiber = fiber, .segments = one, .segment_count = 1, .remaining = size};
}

void uio_init_user(struct uio *uio, struct mm *mm, struct fiber *fiber,
                   struct uio_segment *segments, u32 count)
{
    ASSERT(mm && count <= UIO_SEGMENTS_MAX);
    *uio = (struct uio){.mm = mm, .fiber = fiber, .segments = segments, .segment_count = count};
    for (u32 i = 0; i < count; i++) {
        /* The caller has judged that the sum stays below 2^63 (readv(2): EINVAL). */
        bool is_over = __builtin_add_overflow(uio->remaining, segments[i].size, &uio->remaining);
        ASSERT(!is_over);
    }
}

/* The next piece of at most SIZE bytes; 0 at the end. */
static u64 uio_piece(struct uio *uio, u64 size, u64 *at)
{
    while (uio->segment < uio->segment_count &&
           uio->segment_offset == uio->segments[uio->segment].size) {
        uio->segment++;
        uio->segment_offset = 0;
    }
    if (uio->segment == uio->segment_count)
        return 0;
    const struct uio_segment *segment = &uio->segments[uio->segment];
    *at = segment->base + uio->segment_offset;
    return MIN(size, segment->size - uio->segment_offset);
}

static void uio_advance(struct uio *uio, u64 size)
{
    ASSERT(size <= uio->remaining);
    uio->segment_offset += size;
    uio->remaining -= size;
    uio->moved += size;
}

enum uio_way { UIO_PUT, UIO_TAKE };

/* One piece: bytes moved or -EFAULT. */
SLEEPS static i64 uio_move_piece(struct uio *uio, enum uio_way way, u64 at, u8 *bytes, u64 size)
{
    if (uio->mm && way == UIO_PUT)
        return mm_copy_out_some(uio->mm, uio->fiber, uaddr_make(at), bytes, size);
    if (uio->mm)
        return mm_copy_in_some(uio->mm, uio->fiber, bytes, uaddr_make(at), size);
    void *own = (void *)(uintptr_t)at;
    if (way == UIO_PUT)
        memmove(own, bytes, size);
    else
        memmove(bytes, own, size);
    return (i64)size;
}

SLEEPS static i64 uio_move(struct uio *uio, enum uio_way way, u8 *bytes, u64 size)
{
    u64 done = 0;
    while (done < size) {
        u64 at;
        u64 piece = uio_piece(uio, size - done, &at);
        if (piece == 0)
            break;
        i64 moved = uio_move_piece(uio, way, at, bytes + done, piece);
        if (moved < 0)
            return done ? (i64)done : moved;
        uio_advance(uio, (u64)moved);
        done += (u64)moved;
        if ((u64)moved < piece)
            break;
    }
    return (i64)done;
}

i64 uio_put(struct uio *uio, const void *bytes, u64 size)
{
    return uio_move(uio, UIO_PUT, (u8 *)(uintptr_t)bytes, size); /* only read from */
}

i64 uio_take(struct uio *uio, void *bytes, u64 size)
{
    return uio_move(uio, UIO_TAKE, bytes, size);
}

i64 uio_put_zeros(struct uio *uio, u64 size)
{
    static const u8 zeros[1024];
    u64 done = 0;
    while (done < size) {
        u64 piece = MIN(size - done, sizeof zeros);
        i64 moved = uio_put(uio, zeros, piece);
        if (moved < 0)
            return done ? (i64)done : moved;
        done += (u64)moved;
        if ((u64)moved < piece)
            break;
    }
    return (i64)done;
}

void uio_revert(struct uio *uio, u64 size)
{
    ASSERT(size <= uio->moved);
    uio->moved -= size;
    uio->remaining += size;
    while (size > 0) {
        u64 step = MIN(size, uio->segment_offset);
        uio->segment_offset -= step;
        size -= step;
        if (size > 0) {
            ASSERT(uio->segment > 0);
            uio->segment--;
            uio->segment_offset = uio->segments[uio->segment].size;
        }
    }
}
