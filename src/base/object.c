/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Birth and death of counted objects. An object stays in its arena's list until `destroy` has run,
 * so that a leak report made from within still shows it.
 */
#include "base/object.h"

#include "base/arena.h"

void *object_create(struct arena *arena, const struct kind *kind)
{
    ASSERT(kind->size >= sizeof(struct object));
    struct object *object = arena_alloc(arena, kind->size);
    if (!object)
        return NULL;
    object->kind = kind;
    object->arena = arena;
    object->id = ++arena->object_next_id;
    object->refs = 1;
    list_add_tail(&arena->objects, &object->link);
    arena->object_count++;
    return object;
}

void object_put(struct object *object)
{
    if (!object)
        return;
    ASSERT(object->refs > 0);
    object->refs--;
    if (object->refs > 0)
        return;
    const struct kind *kind = object->kind;
    struct arena *arena = object->arena;
    if (kind->destroy)
        kind->destroy(object);
    ASSERT(object->refs == 0); /* destroy must not bring it back to life */
    ASSERT(arena->object_count > 0);
    arena->object_count--;
    list_remove(&object->link);
    arena_free(arena, object, kind->size);
}
