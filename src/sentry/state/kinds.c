/* SPDX-License-Identifier: Apache-2.0 */
/* Which kinds there are, and how their tables look. */
#include <string.h>
#include <xxhash.h>

#include "base/fields.h"
#include "sentry/state/internal.h"

#define KIND(name) extern const struct kind name##_kind;
#include "sentry/state/kinds.def"
#undef KIND

static const struct kind *const kinds[] = {
#define KIND(name) &name##_kind,
#include "sentry/state/kinds.def"
#undef KIND
};

const struct kind *state_kind_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++)
        if (strcmp(kinds[i]->name, name) == 0)
            return kinds[i];
    return NULL;
}

static u64 schema_of(const struct field *fields, u64 seed)
{
    for (const struct field *field = fields; field->type != FIELD_TYPE_END; field++) {
        if (field->type == FIELD_TYPE_NONE)
            continue;
        const u64 numbers[] = {field->type, field->size, field->count, field->is_counted};
        seed = XXH3_64bits_withSeed(field->name, strlen(field->name), seed);
        seed = XXH3_64bits_withSeed(numbers, sizeof numbers, seed);
        if (field->sub)
            seed = schema_of(field->sub, seed);
    }
    return seed;
}

u64 state_kind_schema(const struct kind *kind)
{
    return schema_of(kind->fields, XXH3_64bits(kind->name, strlen(kind->name)));
}

u64 state_schema_hash(void)
{
    u64 hash = 0;
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        u64 one = state_kind_schema(kinds[i]);
        hash = XXH3_64bits_withSeed(&one, sizeof one, hash);
    }
    return hash;
}
