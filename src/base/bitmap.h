/* SPDX-License-Identifier: Apache-2.0 */
/* Bits in an array of u64 that the caller owns: bit i is bit i % 64 of word i / 64. */
#pragma once
#include "base/base.h"

#define BITMAP_WORDS(bits) (((size_t)(bits) + 63) / 64)

static inline bool bitmap_test(const u64 *words, size_t bit)
{
    return (words[bit / 64] >> (bit % 64)) & 1;
}

static inline void bitmap_set(u64 *words, size_t bit)
{
    words[bit / 64] |= (u64)1 << (bit % 64);
}

static inline void bitmap_clear(u64 *words, size_t bit)
{
    words[bit / 64] &= ~((u64)1 << (bit % 64));
}

/* The first set (or clear, with FLIP all ones) bit in [from, count); COUNT when there is none. */
static inline size_t bitmap_find_(const u64 *words, size_t count, size_t from, u64 flip)
{
    if (from >= count)
        return count;
    size_t index = from / 64;
    u64 word = (words[index] ^ flip) & (~(u64)0 << (from % 64));
    while (word == 0) {
        index++;
        if (index * 64 >= count)
            return count;
        word = words[index] ^ flip;
    }
    return MIN(index * 64 + (size_t)__builtin_ctzll(word), count);
}

static inline size_t bitmap_find_set(const u64 *words, size_t count, size_t from)
{
    return bitmap_find_(words, count, from, 0);
}

static inline size_t bitmap_find_zero(const u64 *words, size_t count, size_t from)
{
    return bitmap_find_(words, count, from, ~(u64)0);
}

/* The first run of RUN zero bits that begins at FROM or later and ends within COUNT; else COUNT. */
static inline size_t bitmap_find_zero_run(const u64 *words, size_t count, size_t from, size_t run)
{
    size_t start = bitmap_find_zero(words, count, from);
    while (start < count && count - start >= run) {
        size_t end = bitmap_find_set(words, count, start);
        if (end - start >= run)
            return start;
        start = bitmap_find_zero(words, count, end);
    }
    return count;
}

static inline size_t bitmap_count(const u64 *words, size_t count)
{
    size_t set = 0;
    for (size_t i = 0; i < count / 64; i++)
        set += (size_t)__builtin_popcountll(words[i]);
    if (count % 64)
        set += (size_t)__builtin_popcountll(words[count / 64] & (((u64)1 << (count % 64)) - 1));
    return set;
}
