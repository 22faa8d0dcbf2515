/* SPDX-License-Identifier: Apache-2.0 */
/* Names are written once for each sample: location, function and string of one frame have the same
 * number. */
#include "controller/pprof.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void pprof_init(struct pprof *pprof, struct arena *arena, const char *const types[2],
                const char *const units[2])
{
    *pprof = (struct pprof){
        .arena = arena, .types = {types[0], types[1]}, .units = {units[0], units[1]}, .period = 1};
}

void pprof_fini(struct pprof *pprof)
{
    arena_free(pprof->arena, pprof->samples, pprof->capacity * sizeof *pprof->samples);
}

static struct pprof_sample *find(struct pprof *pprof, const char *leaf, const char *root)
{
    for (u32 i = 0; i < pprof->count; i++)
        if (strcmp(pprof->samples[i].leaf, leaf) == 0 && strcmp(pprof->samples[i].root, root) == 0)
            return &pprof->samples[i];
    if (pprof->count == PPROF_SAMPLES_MAX)
        return NULL;
    if (pprof->count == pprof->capacity) {
        u32 more = pprof->capacity ? pprof->capacity * 2 : 64;
        void *bigger = arena_realloc(pprof->arena, pprof->samples,
                                     pprof->capacity * sizeof *pprof->samples,
                                     more * sizeof *pprof->samples);
        if (!bigger)
            return NULL;
        pprof->samples = bigger;
        pprof->capacity = more;
    }
    struct pprof_sample *sample = &pprof->samples[pprof->count++];
    *sample = (struct pprof_sample){.leaf = ""};
    snprintf(sample->leaf, sizeof sample->leaf, "%s", leaf);
    snprintf(sample->root, sizeof sample->root, "%s", root);
    return sample;
}

void pprof_add(struct pprof *pprof, const char *leaf, const char *root, u64 first, u64 second)
{
    struct pprof_sample *sample = find(pprof, leaf, root);
    if (!sample) {
        pprof->lost++;
        return;
    }
    sample->values[0] += first;
    sample->values[1] += second;
}

/* ---- encoding ------------------------------------------------------------------------------- */

/* Strings: 0 is "", 1 to 4 are types and units, then leaf and root of each sample. */
#define STRING_FIRST 5u

static void put_value_type(struct protobuf *out, u32 field, u32 type)
{
    size_t begun = protobuf_begin(out, field);
    protobuf_put_u64(out, 1, type);
    protobuf_put_u64(out, 2, type + 1);
    protobuf_end(out, begun);
}

static void put_sample(struct protobuf *out, const struct pprof_sample *sample, u32 index)
{
    size_t begun = protobuf_begin(out, 2);
    protobuf_add_u64(out, 1, index * 2 + 1);
    protobuf_add_u64(out, 1, index * 2 + 2);
    protobuf_add_u64(out, 2, sample->values[0]);
    protobuf_add_u64(out, 2, sample->values[1]);
    protobuf_end(out, begun);
}

static void put_location(struct protobuf *out, u32 id)
{
    size_t begun = protobuf_begin(out, 4);
    protobuf_put_u64(out, 1, id);
    size_t line = protobuf_begin(out, 4);
    protobuf_put_u64(out, 1, id);
    protobuf_end(out, line);
    protobuf_end(out, begun);
}

static void put_function(struct protobuf *out, u32 id)
{
    size_t begun = protobuf_begin(out, 5);
    protobuf_put_u64(out, 1, id);
    protobuf_put_u64(out, 2, STRING_FIRST + id - 1);
    protobuf_put_u64(out, 3, STRING_FIRST + id - 1);
    protobuf_end(out, begun);
}

static void put_string(struct protobuf *out, const char *text)
{
    protobuf_add_bytes(out, 6, text, strlen(text));
}

int pprof_encode(const struct pprof *pprof, struct buf *buf)
{
    struct protobuf out = {.buf = buf};
    put_value_type(&out, 1, 1);
    put_value_type(&out, 1, 3);
    for (u32 i = 0; i < pprof->count; i++)
        put_sample(&out, &pprof->samples[i], i);
    for (u32 i = 1; i <= pprof->count * 2; i++)
        put_location(&out, i);
    for (u32 i = 1; i <= pprof->count * 2; i++)
        put_function(&out, i);
    put_string(&out, "");
    for (u32 i = 0; i < 2; i++) {
        put_string(&out, pprof->types[i]);
        put_string(&out, pprof->units[i]);
    }
    for (u32 i = 0; i < pprof->count; i++) {
        put_string(&out, pprof->samples[i].leaf);
        put_string(&out, pprof->samples[i].root);
    }
    protobuf_put_u64(&out, 9, pprof->time_ns);
    protobuf_put_u64(&out, 10, pprof->duration_ns);
    put_value_type(&out, 11, 3);
    protobuf_put_u64(&out, 12, pprof->period);
    return out.failed ? -ENOMEM : 0;
}
