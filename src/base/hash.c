/* SPDX-License-Identifier: Apache-2.0 */
/* A thin wrapper of libxxhash, so that no other file knows which hash it is. */
#include "base/hash.h"

#include "base/arena.h"

#define XXH_STATIC_LINKING_ONLY /* for the size of the streaming state */
#include <string.h>
#include <xxhash.h>

u64 hash_bytes(const void *bytes, size_t size, u64 seed)
{
    return XXH3_64bits_withSeed(bytes, size, seed);
}

u64 hash_text(const char *text, u64 seed)
{
    return hash_bytes(text, strlen(text), seed);
}

struct hash128 hash128_bytes(const void *bytes, size_t size)
{
    XXH128_hash_t hash = XXH3_128bits(bytes, size);
    return (struct hash128){.low = hash.low64, .high = hash.high64};
}

void hash128_text(struct hash128 hash, char out[HASH128_TEXT_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 16; i++) {
        out[i] = digits[(hash.high >> (60 - 4 * i)) & 15];
        out[16 + i] = digits[(hash.low >> (60 - 4 * i)) & 15];
    }
    out[32] = '\0';
}

struct hash_stream {
    struct arena *arena;
    XXH3_state_t *state; /* inside `space`, at a 64-byte boundary as it demands */
    u8 space[sizeof(XXH3_state_t) + 64];
};

struct hash_stream *hash_stream_create(struct arena *arena)
{
    struct hash_stream *stream = arena_alloc(arena, sizeof *stream);
    if (!stream)
        return NULL;
    stream->arena = arena;
    stream->state = (XXH3_state_t *)(void *)ALIGN_UP((uintptr_t)stream->space, (uintptr_t)64);
    XXH3_128bits_reset(stream->state);
    return stream;
}

void hash_stream_add(struct hash_stream *stream, const void *bytes, size_t size)
{
    XXH3_128bits_update(stream->state, bytes, size);
}

struct hash128 hash_stream_digest(const struct hash_stream *stream)
{
    XXH128_hash_t hash = XXH3_128bits_digest(stream->state);
    return (struct hash128){.low = hash.low64, .high = hash.high64};
}

void hash_stream_destroy(struct hash_stream *stream)
{
    if (stream)
        arena_free(stream->arena, stream, sizeof *stream);
}
