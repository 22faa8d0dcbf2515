/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic on numbers from outside: true when the result is exact, and only then *OUT is written.
 */
#pragma once
#include "base/base.h"

#define CHECKED_(name, op)                                               \
    MUST_CHECK static inline bool checked_##name(u64 a, u64 b, u64 *out) \
    {                                                                    \
        u64 result;                                                      \
        if (op(a, b, &result))                                           \
            return false;                                                \
        *out = result;                                                   \
        return true;                                                     \
    }
CHECKED_(add, __builtin_add_overflow)
CHECKED_(sub, __builtin_sub_overflow)
CHECKED_(mul, __builtin_mul_overflow)
#undef CHECKED_

MUST_CHECK static inline bool checked_add_i64(i64 a, i64 b, i64 *out)
{
    i64 result;
    if (__builtin_add_overflow(a, b, &result))
        return false;
    *out = result;
    return true;
}

/* Up to the next multiple of TO, a power of two. */
MUST_CHECK static inline bool checked_align_up(u64 value, u64 to, u64 *out)
{
    if (!checked_add(value, to - 1, &value))
        return false;
    *out = ALIGN_DOWN(value, to);
    return true;
}

/* Seconds and nanoseconds (under 10^9) as nanoseconds. */
MUST_CHECK static inline bool checked_ns(u64 seconds, u64 nanoseconds, u64 *out)
{
    u64 ns;
    return checked_mul(seconds, NS_PER_S, &ns) && checked_add(ns, nanoseconds, out);
}

/* A deadline: NOW + DELAY, or NO_DEADLINE when that is past the end of time. */
static inline u64 deadline_after(u64 now_ns, u64 delay_ns)
{
    u64 deadline;
    return checked_add(now_ns, delay_ns, &deadline) ? deadline : NO_DEADLINE;
}

MUST_CHECK static inline bool narrow_u32(u64 value, u32 *out)
{
    if (value > UINT32_MAX)
        return false;
    *out = (u32)value;
    return true;
}

MUST_CHECK static inline bool narrow_i64(u64 value, i64 *out)
{
    if (value > INT64_MAX)
        return false;
    *out = (i64)value;
    return true;
}
