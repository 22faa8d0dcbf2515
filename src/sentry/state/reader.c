/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a stream of bytes to the object graph. The stream's checksum has been verified, but its
 * content is judged all the same: every count, number and size, before memory is asked for. Two
 * passes: all objects are made, then their fields are filled, so that references may point
 * anywhere.
 */
#include <errno.h>
#include <string.h>

#include "base/fields.h"
#include "sentry/exec/vdso.h"
#include "sentry/fs/vfs.h"
#include "sentry/kernel/namespaces.h"
#include "sentry/net/net.h"
#include "sentry/state/internal.h"

static int bad(struct state_reader *reader, const char *complaint)
{
    if (!reader->complaint)
        reader->complaint = complaint;
    return -EINVAL;
}

struct kernel *state_reader_kernel(struct state_reader *reader)
{
    return reader->kernel;
}

struct memory *state_reader_memory(struct state_reader *reader)
{
    return reader->kernel->memory;
}

struct platform *state_reader_platform(struct state_reader *reader)
{
    return reader->kernel->platform;
}

static size_t left(const struct state_reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

int state_read(struct state_reader *reader, void *out, size_t size)
{
    if (size > left(reader))
        return bad(reader, "an object is shorter than its description");
    memcpy(out, reader->at, size);
    reader->at += size;
    return 0;
}

int state_read_u64(struct state_reader *reader, u64 *out)
{
    return state_read(reader, out, sizeof *out);
}

static int read_u32(struct state_reader *reader, u32 *out)
{
    return state_read(reader, out, sizeof *out);
}

/* The object of a number: *OUT is lent, NULL for 0. TARGET is the struct that the field's row
 * promises, NULL where any will do: another kind there would be read as what it is not. */
static int read_object(struct state_reader *reader, const char *target, struct object **out)
{
    u32 number;
    int err = read_u32(reader, &number);
    if (err)
        return err;
    if (number > reader->object_count)
        return bad(reader, "a reference to an object that is not there");
    struct object *object = number ? reader->objects[number - 1] : NULL;
    if (object && target && !kind_is(object->kind, target))
        return bad(reader, "a reference to an object of another kind");
    *out = object;
    return 0;
}

/* A counted reference. Objects come from pass one with no reference at all: refs counts them here.
 */
static void take_ref(struct object *object)
{
    if (object)
        object->refs++;
}

static int read_counted(struct state_reader *reader, const char *target, struct object **slot)
{
    int err = read_object(reader, target, slot);
    if (!err)
        take_ref(*slot);
    return err;
}

int state_read_ref(struct state_reader *reader, struct object **slot)
{
    return read_counted(reader, NULL, slot);
}

int state_read_frame(struct state_reader *reader, frame *out)
{
    u64 number;
    int err = state_read_u64(reader, &number);
    if (err)
        return err;
    if (number >= reader->frame_count)
        return bad(reader, "a page that is not there");
    *out = reader->frames[number];
    frame_get(reader->kernel->memory, *out);
    return 0;
}

/* ---- fields --------------------------------------------------------------------------------- */

static int read_fields(struct state_reader *reader, void *base, const struct field *fields);

static int read_string(struct state_reader *reader, char **out)
{
    u32 size;
    int err = read_u32(reader, &size);
    *out = NULL;
    if (err || size == 0)
        return err;
    if (size > left(reader) || reader->at[size - 1] != 0 ||
        strlen((const char *)reader->at) != size - 1)
        return bad(reader, "a damaged text");
    *out = arena_strndup(reader->arena, (const char *)reader->at, size - 1);
    reader->at += size;
    return *out ? 0 : -ENOMEM;
}

static int read_buf(struct state_reader *reader, struct buf *buf)
{
    u64 size;
    buf_init(buf, reader->arena, 0);
    int err = state_read_u64(reader, &size);
    if (err)
        return err;
    if (size > left(reader))
        return bad(reader, "a buffer that is too long");
    err = size ? buf_append(buf, reader->at, size) : 0;
    reader->at += size;
    return err;
}

static int read_list(struct state_reader *reader, struct list *head, const struct field *field)
{
    list_init(head);
    u32 count;
    int err = read_u32(reader, &count);
    for (u32 i = 0; i < count && !err; i++) {
        struct object *object = NULL;
        err = read_object(reader, field->target, &object);
        if (!err && !object)
            err = bad(reader, "a list with a wrong member");
        if (err)
            return err;
        struct list *link = (struct list *)(void *)((char *)object + field->link_offset);
        if (list_is_linked(link))
            return bad(reader, "an object in two lists");
        list_add_tail(head, link);
        if (field->is_counted)
            take_ref(object);
    }
    return err;
}

static int read_map(struct state_reader *reader, struct map *map, const char *target)
{
    map_init(map, reader->arena);
    u64 count;
    int err = state_read_u64(reader, &count);
    if (!err && count > left(reader) / 12)
        err = bad(reader, "a map that is too long");
    for (u64 i = 0; i < count && !err; i++) {
        u64 key;
        struct object *object = NULL;
        err = state_read_u64(reader, &key);
        if (!err)
            err = read_object(reader, target, &object);
        if (!err && !object)
            err = bad(reader, "a map with a hole");
        if (!err)
            err = map_add(map, key, object);
        if (!err)
            take_ref(object);
    }
    return err;
}

static int store_count(struct state_reader *reader, char *base, const struct field *field,
                       u64 count)
{
    if (field->count_size == sizeof(u32)) {
        u32 narrow = (u32)count;
        if (narrow != count)
            return bad(reader, "an array that is too long");
        memcpy(base + field->count_offset, &narrow, sizeof narrow);
    } else {
        memcpy(base + field->count_offset, &count, sizeof count);
    }
    return 0;
}

/* An array of COUNT elements, its pointer and count stored; elements zero. */
static int make_array(struct state_reader *reader, char *base, const struct field *field,
                      size_t size, size_t stored_size_min, u64 *count, void **out)
{
    *out = NULL;
    int err = state_read_u64(reader, count);
    if (err)
        return err;
    if (*count > left(reader) / stored_size_min)
        return bad(reader, "an array that is too long");
    err = store_count(reader, base, field, *count);
    if (err || *count == 0)
        return err;
    *out = arena_alloc_array(reader->arena, *count, size);
    if (!*out)
        return -ENOMEM;
    memcpy(base + field->offset, out, sizeof *out);
    return 0;
}

static int read_refs(struct state_reader *reader, char *base, const struct field *field)
{
    u64 count = 0;
    void *array;
    int err = make_array(reader, base, field, sizeof(struct object *), sizeof(u32), &count, &array);
    struct object **refs = array;
    for (u64 i = 0; i < count && !err; i++)
        err = read_counted(reader, field->target, &refs[i]);
    return err;
}

static int read_structs(struct state_reader *reader, char *base, const struct field *field)
{
    u64 count = 0;
    void *array;
    int err = make_array(reader, base, field, field->size, 1, &count, &array);
    for (u64 i = 0; i < count && !err; i++)
        err = read_fields(reader, (char *)array + i * field->size, field->sub);
    return err;
}

static int read_field(struct state_reader *reader, char *base, const struct field *field)
{
    char *member = base + field->offset;
    struct object *object = NULL;
    int err;
    switch (field->type) {
    case FIELD_TYPE_UINT:
    case FIELD_TYPE_INT:
    case FIELD_TYPE_BYTES:
        return state_read(reader, member, field->size);
    case FIELD_TYPE_STRING:
        return read_string(reader, (char **)(void *)member);
    case FIELD_TYPE_BUF:
        return read_buf(reader, (struct buf *)(void *)member);
    case FIELD_TYPE_REF:
    case FIELD_TYPE_WEAK:
        err = read_object(reader, field->target, &object);
        if (err)
            return err;
        if (field->type == FIELD_TYPE_REF)
            take_ref(object);
        memcpy(member, &object, sizeof object);
        return 0;
    case FIELD_TYPE_LIST:
        return read_list(reader, (struct list *)(void *)member, field);
    case FIELD_TYPE_MAP:
        return read_map(reader, (struct map *)(void *)member, field->target);
    case FIELD_TYPE_REFS:
        return read_refs(reader, base, field);
    case FIELD_TYPE_STRUCT:
        return read_fields(reader, member, field->sub);
    case FIELD_TYPE_STRUCTS:
        return read_structs(reader, base, field);
    case FIELD_TYPE_ARRAY:
        err = 0;
        for (u64 i = 0; i < field->count && !err; i++)
            err = read_fields(reader, member + i * field->size, field->sub);
        return err;
    case FIELD_TYPE_NONE:
    case FIELD_TYPE_END:
        return 0;
    }
    return 0;
}

/* Is FIELD the count of an array of the same struct? The array brings its own. */
static bool is_count_of_array(const struct field *fields, const struct field *field)
{
    for (const struct field *other = fields; other->type != FIELD_TYPE_END; other++)
        if ((other->type == FIELD_TYPE_REFS || other->type == FIELD_TYPE_STRUCTS) &&
            other->count_offset == field->offset)
            return true;
    return false;
}

static int read_fields(struct state_reader *reader, void *base, const struct field *fields)
{
    for (const struct field *field = fields; field->type != FIELD_TYPE_END; field++) {
        u64 unused;
        int err = field->type == FIELD_TYPE_UINT && is_count_of_array(fields, field)
                      ? state_read(reader, &unused, field->size)
                      : read_field(reader, base, field);
        if (err)
            return err;
    }
    return 0;
}

/* ---- pass one: every record's kind ---------------------------------------------------------- */

static int read_kind(struct state_reader *reader, const struct kind **out)
{
    u32 number;
    int err = read_u32(reader, &number);
    if (err)
        return err;
    if (number >= 1 && number <= reader->kind_count) {
        *out = reader->kinds[number - 1];
        return 0;
    }
    if (number != reader->kind_count + 1)
        return bad(reader, "a kind that is not there");
    char *name = NULL;
    u64 schema;
    err = read_string(reader, &name);
    if (!err)
        err = state_read_u64(reader, &schema);
    if (err)
        return err;
    const struct kind *kind = name ? state_kind_find(name) : NULL;
    arena_free_string(reader->arena, name);
    if (!kind || state_kind_schema(kind) != schema)
        return bad(reader, "an object that this build does not know");
    if (reader->kind_count == reader->kind_capacity) {
        u32 wanted = reader->kind_capacity ? reader->kind_capacity * 2 : 32;
        void *bigger = arena_realloc(reader->arena, (void *)(uintptr_t)reader->kinds,
                                     reader->kind_capacity * sizeof *reader->kinds,
                                     wanted * sizeof *reader->kinds);
        if (!bigger)
            return -ENOMEM;
        reader->kinds = bigger;
        reader->kind_capacity = wanted;
    }
    reader->kinds[reader->kind_count++] = kind;
    *out = kind;
    return 0;
}

/* At a record: its kind, and where its body begins and ends. */
static int read_record(struct state_reader *reader, const struct kind **kind, const u8 **body_end)
{
    u32 size;
    int err = read_kind(reader, kind);
    if (!err)
        err = read_u32(reader, &size);
    if (err)
        return err;
    if (size > left(reader))
        return bad(reader, "an object that is cut off");
    *body_end = reader->at + size;
    return 0;
}

static int make_objects(struct state_reader *reader)
{
    for (u32 i = 0; i < reader->object_count; i++) {
        const struct kind *kind;
        const u8 *body_end;
        int err = read_record(reader, &kind, &body_end);
        if (err)
            return err;
        reader->objects[i] = object_create(reader->arena, kind);
        if (!reader->objects[i])
            return -ENOMEM;
        reader->objects[i]->refs = 0;
        reader->at = body_end;
    }
    return left(reader) ? bad(reader, "bytes behind the last object") : 0;
}

/* ---- pass two ------------------------------------------------------------------------------- */

static int fill_objects(struct state_reader *reader)
{
    reader->kind_count = 0; /* names come again in the same order */
    for (u32 i = 0; i < reader->object_count; i++) {
        const struct kind *kind;
        const u8 *body_end;
        int err = read_record(reader, &kind, &body_end);
        if (!err)
            err = read_fields(reader, reader->objects[i], kind->fields);
        if (!err && kind->load_more)
            err = kind->load_more(reader->objects[i], reader);
        if (!err && reader->at != body_end)
            err = bad(reader, "an object is longer than its description");
        if (err)
            return err;
    }
    return 0;
}

static int check_roots(struct state_reader *reader)
{
    static const struct kind *const wanted[] = {&vfs_kind,    &pid_ns_kind, &user_ns_kind,
                                                &uts_ns_kind, &ipc_ns_kind, &net_stack_kind,
                                                &vdso_kind};
    for (size_t i = 0; i < ARRAY_COUNT(wanted); i++)
        if (!reader->roots[i] ? i < 5 : reader->roots[i]->kind != wanted[i])
            return bad(reader, "a root of the wrong kind");
    for (u32 i = 0; i < reader->task_count; i++)
        if (!reader->tasks[i] || reader->tasks[i]->kind != &task_kind)
            return bad(reader, "a task of the wrong kind");
    for (u32 i = 0; i < reader->object_count; i++)
        if (reader->objects[i]->refs == 0)
            return bad(reader, "an object that nobody holds");
    return 0;
}

/* The roots come first in the stream but can be resolved only when the objects exist. */
static int read_roots(struct state_reader *reader, u64 *monotonic_ns, u64 *boot_ns, u64 *calls)
{
    int err = 0;
    for (size_t i = 0; i < STATE_ROOTS && !err; i++)
        err = state_read_ref(reader, &reader->roots[i]);
    if (!err)
        err = read_u32(reader, &reader->task_count);
    if (!err && reader->task_count > left(reader) / sizeof(u32))
        err = bad(reader, "more tasks than there can be");
    if (err)
        return err;
    reader->tasks = arena_alloc_array(reader->arena, reader->task_count + 1u,
                                      sizeof *reader->tasks);
    if (!reader->tasks)
        return -ENOMEM;
    for (u32 i = 0; i < reader->task_count && !err; i++)
        err = state_read_ref(reader, &reader->tasks[i]); /* the kernel's list holds one */
    if (!err)
        err = state_read_u64(reader, monotonic_ns);
    if (!err)
        err = state_read_u64(reader, boot_ns);
    if (!err)
        err = state_read_u64(reader, calls);
    return err;
}

static int run_loaded(struct state_reader *reader)
{
    for (u32 i = 0; i < reader->object_count; i++) {
        const struct kind *kind = reader->objects[i]->kind;
        int err = kind->loaded ? kind->loaded(reader->objects[i], reader) : 0;
        if (err)
            return err == -EINVAL ? bad(reader, kind->name) : err;
    }
    return 0;
}

int reader_build(struct state_reader *reader)
{
    const u8 *start = reader->at;
    /* Skip the roots: references, a count and that many, three numbers. */
    u32 task_count;
    if (left(reader) < (STATE_ROOTS + 1) * sizeof(u32))
        return bad(reader, "no roots");
    memcpy(&task_count, start + STATE_ROOTS * sizeof(u32), sizeof task_count);
    u64 roots_size = (STATE_ROOTS + 1) * sizeof(u32) + (u64)task_count * sizeof(u32) +
                     3 * sizeof(u64);
    if (roots_size > left(reader))
        return bad(reader, "roots that are cut off");
    reader->objects = arena_alloc_array(reader->arena, reader->object_count + 1u,
                                        sizeof *reader->objects);
    if (!reader->objects)
        return -ENOMEM;
    reader->at = start + roots_size;
    int err = make_objects(reader);
    if (err)
        return err;
    u64 monotonic_ns, boot_ns, calls;
    reader->at = start;
    err = read_roots(reader, &monotonic_ns, &boot_ns, &calls);
    if (!err)
        err = fill_objects(reader);
    if (!err)
        err = check_roots(reader);
    if (err)
        return err;
    struct kernel *kernel = reader->kernel;
    i64 own_offset_ns = kernel->monotonic_offset_ns;
    u64 own_boot_ns = kernel->boot_monotonic_ns, own_calls = kernel->call_count;
    kernel->monotonic_offset_ns = (i64)(monotonic_ns - sched_now_ns(kernel->sched));
    kernel->boot_monotonic_ns = boot_ns;
    kernel->call_count = calls;
    err = run_loaded(reader);
    if (err) {
        kernel->monotonic_offset_ns = own_offset_ns;
        kernel->boot_monotonic_ns = own_boot_ns;
        kernel->call_count = own_calls;
    }
    return err;
}

/* ---- the end -------------------------------------------------------------------------------- */

static void discard_fields(struct state_reader *reader, char *base, const struct field *fields);

/* An array that make_array made, or nothing. */
static void discard_array(struct state_reader *reader, char *base, const struct field *field)
{
    char *array;
    u64 count = 0;
    memcpy(&array, base + field->offset, sizeof array);
    memcpy(&count, base + field->count_offset, MIN(field->count_size, sizeof count));
    if (!array)
        return;
    bool is_structs = field->type == FIELD_TYPE_STRUCTS;
    for (u64 i = 0; is_structs && i < count; i++)
        discard_fields(reader, array + i * field->size, field->sub);
    arena_free(reader->arena, array, count * (is_structs ? field->size : sizeof(struct object *)));
}

static void discard_fields(struct state_reader *reader, char *base, const struct field *fields)
{
    for (const struct field *field = fields; field->type != FIELD_TYPE_END; field++) {
        char *member = base + field->offset;
        char *text;
        if (field->type == FIELD_TYPE_STRING) {
            memcpy(&text, member, sizeof text);
            arena_free_string(reader->arena, text);
        } else if (field->type == FIELD_TYPE_BUF && ((struct buf *)(void *)member)->arena) {
            buf_fini((struct buf *)(void *)member);
        } else if (field->type == FIELD_TYPE_MAP && ((struct map *)(void *)member)->arena) {
            map_fini((struct map *)(void *)member);
        } else if (field->type == FIELD_TYPE_STRUCT) {
            discard_fields(reader, member, field->sub);
        } else if (field->type == FIELD_TYPE_ARRAY) {
            for (u64 i = 0; i < field->count; i++)
                discard_fields(reader, member + i * field->size, field->sub);
        } else if (field->type == FIELD_TYPE_REFS || field->type == FIELD_TYPE_STRUCTS) {
            discard_array(reader, base, field);
        }
    }
}

void reader_discard(struct state_reader *reader)
{
    for (u32 i = 0; reader->objects && i < reader->object_count; i++) {
        struct object *object = reader->objects[i];
        if (object && object->kind->discard)
            object->kind->discard(object);
    }
    for (u32 i = 0; reader->objects && i < reader->object_count; i++) {
        struct object *object = reader->objects[i];
        if (!object)
            continue;
        static const struct kind no_destroy = {.name = "discarded"};
        size_t size = object->kind->size;
        discard_fields(reader, (char *)object, object->kind->fields);
        list_remove(&object->link);
        object->arena->object_count--;
        object->kind = &no_destroy;
        arena_free(reader->arena, object, size);
    }
}

void reader_fini(struct state_reader *reader)
{
    for (u64 i = 0; i < reader->frame_count; i++)
        if (reader->frames[i].index)
            frame_put(reader->kernel->memory, reader->frames[i]);
    arena_free(reader->arena, reader->frames, reader->frame_count * sizeof *reader->frames);
    arena_free(reader->arena, (void *)(uintptr_t)reader->kinds,
               reader->kind_capacity * sizeof *reader->kinds);
    if (reader->objects)
        arena_free(reader->arena, reader->objects,
                   (reader->object_count + 1u) * sizeof *reader->objects);
    if (reader->tasks)
        arena_free(reader->arena, reader->tasks, (reader->task_count + 1u) * sizeof *reader->tasks);
}
