/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256. The round constants are the first 32 bits of the fractions of primes' cube roots. */
#include "base/sha.h"

#include <string.h>

static const u32 rounds[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static u32 turn(u32 x, u32 by)
{
    return x >> by | x << (32 - by);
}

static void take_block(struct sha256 *sha)
{
    u32 w[64], v[8];
    for (u32 i = 0; i < 16; i++)
        w[i] = (u32)sha->block[i * 4] << 24 | (u32)sha->block[i * 4 + 1] << 16 |
               (u32)sha->block[i * 4 + 2] << 8 | sha->block[i * 4 + 3];
    for (u32 i = 16; i < 64; i++) {
        u32 a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + (turn(a, 7) ^ turn(a, 18) ^ a >> 3) + w[i - 7] +
               (turn(b, 17) ^ turn(b, 19) ^ b >> 10);
    }
    memcpy(v, sha->state, sizeof v);
    for (u32 i = 0; i < 64; i++) {
        u32 one = v[7] + (turn(v[4], 6) ^ turn(v[4], 11) ^ turn(v[4], 25)) +
                  ((v[4] & v[5]) ^ (~v[4] & v[6])) + rounds[i] + w[i];
        u32 two = (turn(v[0], 2) ^ turn(v[0], 13) ^ turn(v[0], 22)) +
                  ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += one;
        v[0] = one + two;
    }
    for (u32 i = 0; i < 8; i++)
        sha->state[i] += v[i];
}

void sha256_init(struct sha256 *sha)
{
    *sha = (struct sha256){.state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
                                     0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

void sha256_add(struct sha256 *sha, const void *bytes, size_t size)
{
    for (const u8 *at = bytes; size > 0;) {
        size_t have = sha->size % 64, step = MIN(size, 64 - have);
        memcpy(sha->block + have, at, step);
        sha->size += step;
        at += step;
        size -= step;
        if (sha->size % 64 == 0)
            take_block(sha);
    }
}

void sha256_end(struct sha256 *sha, u8 out[SHA256_SIZE])
{
    static const u8 pad[64] = {0x80};
    u64 bits = sha->size * 8;
    u8 length[8];
    sha256_add(sha, pad, 1 + (119 - sha->size % 64) % 64);
    for (u32 i = 0; i < 8; i++)
        length[i] = (u8)(bits >> (56 - i * 8));
    sha256_add(sha, length, sizeof length);
    for (u32 i = 0; i < SHA256_SIZE; i++)
        out[i] = (u8)(sha->state[i / 4] >> (24 - i % 4 * 8));
}
