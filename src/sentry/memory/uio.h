/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where bytes of a read or write go or come from: user memory (iovecs) or the sentry's own. File
 * operations move bytes only through it, so each is written once for both.
 */
#pragma once
#include "base/base.h"

struct mm;
struct fiber;

#define UIO_SEGMENTS_MAX 1024 /* UIO_MAXIOV */

struct uio_segment {
    u64 base; /* a uaddr's value or a sentry pointer */
    u64 size;
};

struct uio {
    struct mm *mm;                /* NULL: segments are the sentry's own memory */
    struct fiber *fiber;          /* who moves */
    struct uio_segment *segments; /* lent */
    u32 segment_count;
    u32 segment; /* position: index and offset in it */
    u64 segment_offset;
    u64 remaining; /* bytes left in all */
    u64 moved;     /* bytes moved so far */
};

void uio_init_kernel(struct uio *uio, struct fiber *fiber, void *base, u64 size,
                     struct uio_segment *one);
void uio_init_user(struct uio *uio, struct mm *mm, struct fiber *fiber,
                   struct uio_segment *segments, u32 count);
/* From BYTES to the uio ("read") / from the uio to BYTES ("write"). Bytes moved, less than SIZE at
 * the uio's end or at bad memory; -EFAULT when bad memory came first. Never faults in the sentry;
 * may sleep for pages. */
MUST_CHECK SLEEPS i64 uio_put(struct uio *uio, const void *bytes, u64 size);
MUST_CHECK SLEEPS i64 uio_take(struct uio *uio, void *bytes, u64 size);
MUST_CHECK SLEEPS i64 uio_put_zeros(struct uio *uio, u64 size);
/* Step back over SIZE bytes just moved (a write that was cut). */
void uio_revert(struct uio *uio, u64 size);
