/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles as pprof reads them (profile.proto): two values a sample, stacks of named frames. */
#pragma once
#include "base/protobuf.h"

#define PPROF_NAME_MAX 64u
#define PPROF_SAMPLES_MAX 4096u

struct pprof_sample {
    char leaf[PPROF_NAME_MAX];
    char root[PPROF_NAME_MAX];
    u64 values[2];
};
struct pprof {
    struct arena *arena;
    struct pprof_sample *samples; /* arena array of `capacity` */
    u32 count, capacity;
    const char *types[2], *units[2];
    u64 time_ns, duration_ns, period;
    u32 lost; /* samples there was no room or no memory for */
};
void pprof_init(struct pprof *pprof, struct arena *arena, const char *const types[2],
                const char *const units[2]);
void pprof_fini(struct pprof *pprof);
/* Add VALUES to the stack LEAF called by ROOT. */
void pprof_add(struct pprof *pprof, const char *leaf, const char *root, u64 first, u64 second);
/* The whole as protobuf. 0 or -ENOMEM. */
MUST_CHECK int pprof_encode(const struct pprof *pprof, struct buf *out);
