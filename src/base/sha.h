/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 (FIPS 180-4), for formats that demand it; hash.h is faster and enough for everything
 * else. */
#pragma once
#include "base/base.h"

#define SHA256_SIZE 32u

struct sha256 {
    u32 state[8];
    u64 size;
    u8 block[64];
};
void sha256_init(struct sha256 *sha);
void sha256_add(struct sha256 *sha, const void *bytes, size_t size);
void sha256_end(struct sha256 *sha, u8 out[SHA256_SIZE]);
