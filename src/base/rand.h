/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seeded random numbers. One 64-bit seed feeds any number of named streams that do not disturb each
 * other: one more draw in "sched" shifts nothing in "fault". Not for secrets.
 */
#pragma once
#include "base/base.h"

struct rand {
    u64 state[4]; /* xoshiro256** */
};

/* The stream NAME of SEED; the same two give the same numbers on every machine. */
void rand_init(struct rand *rand, u64 seed, const char *name);
u64 rand_u64(struct rand *rand);
/* Even in [0, count); 0 for a count of 0 or 1, and then nothing is drawn. */
u64 rand_below(struct rand *rand, u64 count);
/* True NUMERATOR times in DENOMINATOR. */
bool rand_chance(struct rand *rand, u64 numerator, u64 denominator);
void rand_fill(struct rand *rand, void *out, size_t size);
