/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counted objects of the sentry. A struct that is counted, saved or referred to by saved structs
 * has a `struct object` as its FIRST member and one `struct kind` that describes it.
 *
 * Counts are plain integers: the kernel lock protects them. `object_put` never sleeps; what must
 * sleep to die (flush a file) is queued by the kind's `destroy` for the kernel's reaper fiber.
 */
#pragma once
#include "base/base.h"
#include "base/list.h"

struct arena;
struct field;
struct state_writer;
struct state_reader;

struct object {
    const struct kind *kind;
    struct arena *arena; /* where the object's memory came from */
    struct list link;    /* in arena->objects, in order of creation */
    u64 id; /* creation number in its arena; order and hash by this, never by address */
    u32 refs;
    u32 save_index; /* the state walker's number for it during a save; 0 outside */
};

struct kind {
    const char *name;           /* unique and stable: it is written in images */
    size_t size;                /* of the whole struct */
    const struct field *fields; /* ends with FIELD_END; NULL only for kinds that are never saved */
    /* Last reference gone: release what the object owns (not its own memory). Must not sleep. */
    void (*destroy)(struct object *object);
    /* After a load has filled all fields of all objects: rebuild what is derived (queues, maps,
     * timers, ops pointers). Called in image order. 0 or -errno. May be NULL. */
    int (*loaded)(struct object *object, struct state_reader *reader);
    /* For what fields cannot say (memory, tables): writes after / reads after the fields. */
    int (*save_more)(const struct object *object, struct state_writer *writer);
    int (*load_more)(struct object *object, struct state_reader *reader);
    /* An object of a load that failed goes without destroy: gives back what load_more and loaded
     * took besides the object's fields (frames, timers, tables). All objects of the load are still
     * there. It may be half loaded. May be NULL. */
    void (*discard)(struct object *object);
    const void *ops; /* the operations that belong to this kind, for users of the base struct */
};

/* A zeroed object of KIND with one reference, or NULL when the arena refuses. */
MUST_CHECK void *object_create(struct arena *arena, const struct kind *kind);

static inline void object_get_(struct object *object)
{
    ASSERT(object->refs > 0 && object->refs < UINT32_MAX);
    object->refs++;
}

/* Drop one reference; the last one destroys and frees. NULL is fine. Never sleeps. */
void object_put(struct object *object);

/* Returns P with one more reference; P's struct starts with `struct object object`. NULL is fine.
 */
#define REF_GET(p)                      \
    __extension__({                     \
        __typeof__(p) got_ = (p);       \
        if (got_)                       \
            object_get_(&got_->object); \
        got_;                           \
    })
#define REF_PUT(p)                     \
    __extension__({                    \
        __typeof__(p) put_ = (p);      \
        if (put_)                      \
            object_put(&put_->object); \
    })
/* Drop the reference in a member and clear it. */
#define REF_CLEAR(p) \
    __extension__({  \
        REF_PUT(p);  \
        (p) = NULL;  \
    })

/* For AUTO_PUT locals: pointer to a pointer to anything that starts with an object. */
static inline void object_put_auto(void *slot)
{
    struct object *object;
    __builtin_memcpy(&object, slot, sizeof object);
    object_put(object);
}
#define AUTO_PUT CLEANUP(object_put_auto) UNUSED
