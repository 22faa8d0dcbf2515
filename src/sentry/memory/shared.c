/* SPDX-License-Identifier: Apache-2.0 */
/* Shared anonymous memory: a mapping with nothing behind it, alive as long as a vma maps it. */
#include "abi/errno.h"
#include "base/fields.h"
#include "base/state.h"
#include "sentry/memory/mm.h"

static const struct field shared_memory_fields[] = {
    FIELD_NONE(struct shared_memory, object, "the walker's own header"),
    FIELD_STRUCT(struct shared_memory, mapping, mapping_fields),
    FIELD_END,
};
FIELDS_COMPLETE(struct shared_memory, shared_memory_fields);

static void shared_memory_destroy(struct object *object)
{
    mapping_fini(&container_of(object, struct shared_memory, object)->mapping);
}

static int shared_memory_save_more(const struct object *object, struct state_writer *writer)
{
    return mapping_save(&container_of(object, struct shared_memory, object)->mapping, writer);
}

static int shared_memory_load_more(struct object *object, struct state_reader *reader)
{
    struct shared_memory *shared = container_of(object, struct shared_memory, object);
    mapping_loaded(&shared->mapping, state_reader_memory(reader), NULL, shared);
    return mapping_load(&shared->mapping, reader);
}

static void shared_memory_discard(struct object *object)
{
    mapping_discard(&container_of(object, struct shared_memory, object)->mapping);
}

const struct kind shared_memory_kind = {
    .name = "shared_memory",
    .size = sizeof(struct shared_memory),
    .fields = shared_memory_fields,
    .destroy = shared_memory_destroy,
    .save_more = shared_memory_save_more,
    .load_more = shared_memory_load_more,
    .discard = shared_memory_discard,
};

int shared_memory_create(struct memory *memory, enum frame_use use, u64 size,
                         struct shared_memory **out)
{
    struct shared_memory *shared = object_create(memory->arena, &shared_memory_kind);
    if (!shared)
        return -ENOMEM;
    mapping_init(&shared->mapping, memory, use, NULL, shared);
    shared->mapping.size = size;
    *out = shared;
    return 0;
}
