/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashes of bytes, equal on every machine and in every run: never of a pointer's value. 64 bits are
 * for tables and streams, 128 bits (XXH3-128) for chains and checksums.
 */
#pragma once
#include "base/base.h"

/* XXH3-64 of the bytes with SEED. */
u64 hash_bytes(const void *bytes, size_t size, u64 seed);
u64 hash_text(const char *text, u64 seed);
/* A one-to-one mixing of 64 bits: neighbours land far apart. */
static inline u64 hash_u64(u64 value)
{
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

struct hash128 {
    u64 low;
    u64 high;
};
struct hash128 hash128_bytes(const void *bytes, size_t size);
static inline bool hash128_is_equal(struct hash128 a, struct hash128 b)
{
    return a.low == b.low && a.high == b.high;
}
/* 32 hexadecimal digits, most significant first, and a terminator. */
#define HASH128_TEXT_SIZE 33
void hash128_text(struct hash128 hash, char out[HASH128_TEXT_SIZE]);

/* Hashing in pieces gives what hashing at once gives. The state is the arena's. */
struct arena;
struct hash_stream;
MUST_CHECK struct hash_stream *hash_stream_create(struct arena *arena);
void hash_stream_add(struct hash_stream *stream, const void *bytes, size_t size);
struct hash128 hash_stream_digest(const struct hash_stream *stream);
void hash_stream_destroy(struct hash_stream *stream);
