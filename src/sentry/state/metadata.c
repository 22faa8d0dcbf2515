/* SPDX-License-Identifier: Apache-2.0 */
/* The head of an image: magic, length, a JSON object from strings to strings. */
#include <errno.h>
#include <string.h>

#include "sentry/state/internal.h"
#include "wire/urpc/json.h"

void state_metadata_init(struct state_metadata *metadata, struct arena *arena)
{
    *metadata = (struct state_metadata){.arena = arena};
}

void state_metadata_fini(struct state_metadata *metadata)
{
    for (u32 i = 0; i < metadata->count; i++) {
        arena_free_string(metadata->arena, metadata->entries[i].key);
        arena_free_string(metadata->arena, metadata->entries[i].value);
    }
    arena_free(metadata->arena, metadata->entries, metadata->count * sizeof *metadata->entries);
    metadata->entries = NULL;
    metadata->count = 0;
}

static struct state_metadata_entry *find(const struct state_metadata *metadata, const char *key)
{
    for (u32 i = 0; i < metadata->count; i++)
        if (strcmp(metadata->entries[i].key, key) == 0)
            return &metadata->entries[i];
    return NULL;
}

int state_metadata_set(struct state_metadata *metadata, const char *key, const char *value)
{
    char *new_value = arena_strdup(metadata->arena, value);
    if (!new_value)
        return -ENOMEM;
    struct state_metadata_entry *entry = find(metadata, key);
    if (entry) {
        arena_free_string(metadata->arena, entry->value);
        entry->value = new_value;
        return 0;
    }
    char *new_key = arena_strdup(metadata->arena, key);
    struct state_metadata_entry *bigger = new_key ? arena_realloc(
                                                        metadata->arena, metadata->entries,
                                                        metadata->count * sizeof *bigger,
                                                        (metadata->count + 1) * sizeof *bigger)
                                                  : NULL;
    if (!bigger) {
        arena_free_string(metadata->arena, new_key);
        arena_free_string(metadata->arena, new_value);
        return -ENOMEM;
    }
    metadata->entries = bigger;
    bigger[metadata->count++] = (struct state_metadata_entry){new_key, new_value};
    return 0;
}

const char *state_metadata_get(const struct state_metadata *metadata, const char *key)
{
    const struct state_metadata_entry *entry = find(metadata, key);
    return entry ? entry->value : NULL;
}

/* The head as it stands in the file. */
int metadata_encode(const struct state_metadata *metadata, struct buf *out)
{
    struct buf text;
    buf_init(&text, out->arena, 0);
    struct json_writer writer;
    json_writer_init(&writer, &text);
    json_begin_object(&writer);
    for (u32 i = 0; i < metadata->count; i++) {
        json_name(&writer, metadata->entries[i].key);
        json_put_string(&writer, metadata->entries[i].value);
    }
    json_end_object(&writer);
    u64 size_be = __builtin_bswap64((u64)text.size);
    int err = writer.failed ? -ENOMEM : buf_append(out, STATE_MAGIC, sizeof STATE_MAGIC - 1);
    if (!err)
        err = buf_append(out, &size_be, sizeof size_be);
    if (!err)
        err = buf_append(out, buf_bytes(&text), text.size);
    buf_fini(&text);
    return err;
}

static int metadata_decode(struct state_metadata *metadata, const char *bytes, size_t size,
                           struct error *err)
{
    struct json_text text;
    if (json_parse(bytes, size, STATE_METADATA_MAX, &text, err))
        return error_prefix(err, "the image's metadata");
    if (json_type(text) != JSON_OBJECT)
        return error_set(err, EINVAL, "the image's metadata is not a JSON object");
    struct pool pool;
    pool_init(&pool, metadata->arena);
    struct json_iter iter;
    struct json_text name, value;
    int result = 0;
    json_iter_init(&iter, text);
    while (result == 0 && json_iter_next(&iter, &name, &value)) {
        char *key_text = json_string(name, &pool, NULL);
        char *value_text = json_string(value, &pool, NULL);
        if (!key_text || !value_text)
            result = error_set(err, EINVAL,
                               "the image's metadata has a value that is not a string");
        else if (state_metadata_set(metadata, key_text, value_text))
            result = error_set(err, ENOMEM, "no memory for the image's metadata");
    }
    pool_fini(&pool);
    return result;
}

/* Reads the head; *HASH is over its bytes. */
SLEEPS int metadata_read(struct state_input *input, struct state_metadata *out, u64 *hash,
                         struct error *err)
{
    char head[16];
    int result = input_read_all(input, head, sizeof head);
    if (result || memcmp(head, STATE_MAGIC, 8) != 0)
        return error_set(err, EINVAL, "bad magic header");
    u64 size;
    memcpy(&size, head + 8, sizeof size);
    size = __builtin_bswap64(size);
    if (size > STATE_METADATA_MAX)
        return error_set(err, EINVAL, "metadata length invalid, maximum size is %llu",
                         (unsigned long long)STATE_METADATA_MAX);
    char *bytes = arena_alloc(out->arena, size + 1);
    if (!bytes)
        return error_set(err, ENOMEM, "no memory for the image's metadata");
    result = input_read_all(input, bytes, size);
    if (result)
        result = error_set(err, EINVAL, "the image is cut off in its metadata");
    else
        result = metadata_decode(out, bytes, size, err);
    u64 first = XXH3_64bits(head, sizeof head);
    *hash = XXH3_64bits_withSeed(bytes, size, first);
    arena_free(out->arena, bytes, size + 1);
    return result;
}

SLEEPS int state_read_metadata(struct state_input *input, struct state_metadata *out,
                               struct error *err)
{
    u64 hash;
    return metadata_read(input, out, &hash, err);
}
