/* SPDX-License-Identifier: Apache-2.0 */
/* xoshiro256** (Blackman and Vigna), seeded by splitmix64 as its authors advise. */
#include "base/rand.h"

#include "base/hash.h"

#include <string.h>

void rand_init(struct rand *rand, u64 seed, const char *name)
{
    u64 value = hash_text(name, seed);
    for (int i = 0; i < 4; i++) {
        value += 0x9e3779b97f4a7c15u;
        rand->state[i] = hash_u64(value);
    }
}

static u64 rotate_left(u64 value, int by)
{
    return (value << by) | (value >> (64 - by));
}

u64 rand_u64(struct rand *rand)
{
    u64 *s = rand->state;
    u64 result = rotate_left(s[1] * 5, 7) * 9;
    u64 shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    return result;
}

u64 rand_below(struct rand *rand, u64 count)
{
    if (count <= 1)
        return 0;
    /* The low 2^64 mod count values would come once too often: draw again (rarely). */
    u64 refused = (0 - count) % count;
    u64 value;
    do {
        value = rand_u64(rand);
    } while (value < refused);
    return value % count;
}

bool rand_chance(struct rand *rand, u64 numerator, u64 denominator)
{
    return rand_below(rand, denominator) < numerator;
}

void rand_fill(struct rand *rand, void *out, size_t size)
{
    u8 *bytes = out;
    while (size > 0) {
        u64 value = rand_u64(rand);
        size_t part = MIN(size, sizeof value);
        for (size_t i = 0; i < part; i++)
            bytes[i] = (u8)(value >> (8 * i));
        bytes += part;
        size -= part;
    }
}
