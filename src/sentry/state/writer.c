/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the object graph to a stream of bytes, by the field tables. An object gets its number when
 * it is first met and its body is written in that order, so the stream is one pass and the same
 * graph gives the same bytes. Surprising: a weak pointer also leads to its object, but only if
 * something counted does so too. A first walk, which writes nothing, finds what is counted: a mount
 * or a gofer's file system may be held by the loader alone, after its container's end.
 */
#include <errno.h>
#include <string.h>

#include "base/fields.h"
#include "sentry/exec/vdso.h"
#include "sentry/fs/vfs.h"
#include "sentry/kernel/namespaces.h"
#include "sentry/net/net.h"
#include "sentry/state/internal.h"

#define FLUSH_SIZE STATE_CHUNK_SIZE
#define MARKED UINT32_MAX /* held, and not numbered yet */

void writer_init(struct state_writer *writer, struct kernel *kernel)
{
    *writer = (struct state_writer){.kernel = kernel, .arena = kernel->arena};
    buf_init(&writer->out, kernel->arena, 0);
    map_init(&writer->frames, kernel->arena);
}

void writer_fini(struct state_writer *writer)
{
    for (u32 i = 0; i < writer->marked_count; i++)
        writer->marked[i]->save_index = 0;
    arena_free(writer->arena, writer->marked, writer->marked_capacity * sizeof *writer->marked);
    arena_free(writer->arena, writer->queue, writer->queue_capacity * sizeof *writer->queue);
    arena_free(writer->arena, writer->kinds, writer->kind_capacity * sizeof *writer->kinds);
    arena_free(writer->arena, writer->frame_list,
               writer->frame_capacity * sizeof *writer->frame_list);
    map_fini(&writer->frames);
    buf_fini(&writer->out);
}

/* Room for one more element; the array may move. */
static int grow(struct arena *arena, void **array, u64 count, u64 *capacity, size_t size)
{
    if (count < *capacity)
        return 0;
    u64 wanted = *capacity ? *capacity * 2 : 64;
    void *bigger = arena_realloc(arena, *array, *capacity * size, wanted * size);
    if (!bigger)
        return -ENOMEM;
    *array = bigger;
    *capacity = wanted;
    return 0;
}

static int number_of_object(struct state_writer *writer, struct object *object, u32 *number)
{
    *number = 0;
    if (!object || (!writer->is_marking && object->save_index == 0))
        return 0;
    if (writer->is_marking ? object->save_index == 0 : object->save_index == MARKED) {
        u64 capacity = writer->queue_capacity;
        int err = grow(writer->arena, (void **)&writer->queue, writer->queue_count, &capacity,
                       sizeof *writer->queue);
        writer->queue_capacity = (u32)capacity;
        if (err)
            return err;
        writer->queue[writer->queue_count++] = object;
        object->save_index = writer->queue_count;
    }
    *number = object->save_index;
    return 0;
}

int state_write(struct state_writer *writer, const void *bytes, size_t size)
{
    return writer->is_marking ? 0 : buf_append(&writer->out, bytes, size);
}

int state_write_u64(struct state_writer *writer, u64 value)
{
    return state_write(writer, &value, sizeof value);
}

static int write_u32(struct state_writer *writer, u32 value)
{
    return state_write(writer, &value, sizeof value);
}

int state_write_ref(struct state_writer *writer, struct object *object)
{
    u32 number;
    int err = number_of_object(writer, object, &number);
    return err ? err : write_u32(writer, number);
}

int state_write_frame(struct state_writer *writer, frame f)
{
    if (writer->skips_local || writer->is_marking)
        return 0;
    u64 known = (u64)(uintptr_t)map_find(&writer->frames, f.index);
    if (known == 0) {
        int err = grow(writer->arena, (void **)&writer->frame_list, writer->frame_count,
                       &writer->frame_capacity, sizeof *writer->frame_list);
        if (err)
            return err;
        known = writer->frame_count + 1;
        err = map_add(&writer->frames, f.index, (void *)(uintptr_t)known);
        if (err)
            return err;
        writer->frame_list[writer->frame_count++] = f;
    }
    return state_write_u64(writer, known - 1);
}

/* ---- fields --------------------------------------------------------------------------------- */

static u64 read_count(const char *base, const struct field *field)
{
    if (field->count_size == sizeof(u32)) {
        u32 count;
        memcpy(&count, base + field->count_offset, sizeof count);
        return count;
    }
    u64 count;
    ASSERT(field->count_size == sizeof count);
    memcpy(&count, base + field->count_offset, sizeof count);
    return count;
}

static int write_fields(struct state_writer *writer, const void *base, const struct field *fields);

static int write_string(struct state_writer *writer, const char *text)
{
    if (!text)
        return write_u32(writer, 0);
    size_t size = strlen(text) + 1;
    int err = write_u32(writer, (u32)size);
    return err ? err : state_write(writer, text, size);
}

static struct object *member_of(const struct list *link, const struct field *field)
{
    return (struct object *)(void *)((char *)(uintptr_t)link - field->link_offset);
}

static int write_list(struct state_writer *writer, const struct list *head,
                      const struct field *field)
{
    u32 count = 0;
    if (!head->next || (writer->is_marking && !field->is_counted))
        return write_u32(writer, 0);
    for (const struct list *link = head->next; link != head; link = link->next)
        count += writer->is_marking || member_of(link, field)->save_index != 0;
    int err = write_u32(writer, count);
    for (const struct list *link = head->next; link != head && !err; link = link->next) {
        struct object *object = member_of(link, field);
        if (writer->is_marking || object->save_index != 0)
            err = state_write_ref(writer, object);
    }
    return err;
}

static int write_map(struct state_writer *writer, const struct map *map)
{
    int err = state_write_u64(writer, map->count);
    void *value;
    map_for_each (map, key, value) {
        if (!err)
            err = state_write_u64(writer, key);
        if (!err)
            err = state_write_ref(writer, value);
    }
    return err;
}

static int write_refs(struct state_writer *writer, const char *base, const struct field *field)
{
    u64 count = read_count(base, field);
    struct object *const *refs;
    memcpy(&refs, base + field->offset, sizeof refs);
    if (!refs)
        count = 0;
    int err = state_write_u64(writer, count);
    for (u64 i = 0; i < count && !err; i++)
        err = state_write_ref(writer, refs[i]);
    return err;
}

static int write_structs(struct state_writer *writer, const char *base, const struct field *field)
{
    u64 count = read_count(base, field);
    const char *elements;
    memcpy(&elements, base + field->offset, sizeof elements);
    if (!elements)
        count = 0;
    int err = state_write_u64(writer, count);
    for (u64 i = 0; i < count && !err; i++)
        err = write_fields(writer, elements + i * field->size, field->sub);
    return err;
}

static int write_array(struct state_writer *writer, const char *member, const struct field *field)
{
    int err = 0;
    for (u64 i = 0; i < field->count && !err; i++)
        err = write_fields(writer, member + i * field->size, field->sub);
    return err;
}

static int write_field(struct state_writer *writer, const char *base, const struct field *field)
{
    const char *member = base + field->offset;
    void *pointer = NULL;
    switch (field->type) {
    case FIELD_TYPE_UINT:
    case FIELD_TYPE_INT:
    case FIELD_TYPE_BYTES:
        return state_write(writer, member, field->size);
    case FIELD_TYPE_STRING:
        memcpy(&pointer, member, sizeof pointer);
        return write_string(writer, pointer);
    case FIELD_TYPE_BUF: {
        const struct buf *buf = (const void *)member;
        int err = state_write_u64(writer, buf->size);
        return err || buf->size == 0 ? err : state_write(writer, buf_bytes(buf), buf->size);
    }
    case FIELD_TYPE_WEAK:
        memcpy(&pointer, member, sizeof pointer);
        return writer->is_marking ? 0 : state_write_ref(writer, pointer);
    case FIELD_TYPE_REF:
        memcpy(&pointer, member, sizeof pointer);
        return state_write_ref(writer, pointer);
    case FIELD_TYPE_LIST:
        return write_list(writer, (const void *)member, field);
    case FIELD_TYPE_MAP:
        return write_map(writer, (const void *)member);
    case FIELD_TYPE_REFS:
        return write_refs(writer, base, field);
    case FIELD_TYPE_STRUCT:
        return write_fields(writer, member, field->sub);
    case FIELD_TYPE_STRUCTS:
        return write_structs(writer, base, field);
    case FIELD_TYPE_ARRAY:
        return write_array(writer, member, field);
    case FIELD_TYPE_NONE:
    case FIELD_TYPE_END:
        return 0;
    }
    return 0;
}

/* Registers and the like differ between platforms; a portable hash leaves them out. */
static bool is_local(const struct field *field)
{
    return field->note && strcmp(field->note, "local") == 0;
}

static int write_fields(struct state_writer *writer, const void *base, const struct field *fields)
{
    for (const struct field *field = fields; field->type != FIELD_TYPE_END; field++) {
        if (writer->skips_local && is_local(field))
            continue;
        int err = write_field(writer, base, field);
        if (err)
            return err;
    }
    return 0;
}

/* ---- objects -------------------------------------------------------------------------------- */

static int number_of_kind(struct state_writer *writer, const struct kind *kind, u32 *number,
                          bool *is_new)
{
    *is_new = false;
    for (u32 i = 0; i < writer->kind_count; i++) {
        if (writer->kinds[i] == kind) {
            *number = i + 1;
            return 0;
        }
    }
    u64 capacity = writer->kind_capacity;
    int err = grow(writer->arena, (void **)(uintptr_t)&writer->kinds, writer->kind_count, &capacity,
                   sizeof *writer->kinds);
    writer->kind_capacity = (u32)capacity;
    if (err)
        return err;
    writer->kinds[writer->kind_count++] = kind;
    *number = writer->kind_count;
    *is_new = true;
    return 0;
}

/* A record: kind number (with name and schema the first time), size of the body, body. */
static int write_object(struct state_writer *writer, const struct object *object)
{
    const struct kind *kind = object->kind;
    ASSERT(kind->fields); /* a kind that is never saved must not be reachable */
    u32 number;
    bool is_new;
    int err = number_of_kind(writer, kind, &number, &is_new);
    if (!err)
        err = write_u32(writer, number);
    if (!err && is_new)
        err = write_string(writer, kind->name);
    if (!err && is_new)
        err = state_write_u64(writer, state_kind_schema(kind));
    size_t size_at = writer->out.size;
    if (!err)
        err = write_u32(writer, 0);
    if (!err)
        err = write_fields(writer, object, kind->fields);
    if (!err && kind->save_more && !(writer->skips_local && kind == &mm_kind))
        err = kind->save_more(object, writer);
    if (err || writer->is_marking)
        return err;
    u32 body_size = (u32)(writer->out.size - size_at - sizeof body_size);
    memcpy(buf_bytes(&writer->out) + size_at, &body_size, sizeof body_size);
    return 0;
}

static int write_roots(struct state_writer *writer, struct object *extra_root)
{
    struct kernel *kernel = writer->kernel;
    struct object *roots[] = {
        &kernel->vfs->object,
        &kernel->root_pid_ns->object,
        &kernel->root_user_ns->object,
        &kernel->root_uts_ns->object,
        &kernel->root_ipc_ns->object,
        kernel->net ? &kernel->net->object : NULL,
        kernel->vdso ? &kernel->vdso->object : NULL, /* its page is written anew after a restore */
        extra_root,
    };
    int err = 0;
    for (size_t i = 0; i < ARRAY_COUNT(roots) && !err; i++)
        err = state_write_ref(writer, roots[i]);
    u32 count = 0;
    struct task *task;
    list_for_each (task, &kernel->tasks, kernel_link)
        count += !task->is_kernel;
    if (!err)
        err = write_u32(writer, count);
    list_for_each (task, &kernel->tasks, kernel_link)
        if (!err && !task->is_kernel)
            err = state_write_ref(writer, &task->object);
    if (writer->skips_local)
        return err;
    if (!err)
        err = state_write_u64(writer, kernel_monotonic_ns(kernel));
    if (!err)
        err = state_write_u64(writer, kernel->boot_monotonic_ns);
    if (!err)
        err = state_write_u64(writer, kernel->call_count);
    return err;
}

static int mark(struct state_writer *writer, struct object *extra_root)
{
    writer->is_marking = true;
    int err = write_roots(writer, extra_root);
    while (!err && writer->next < writer->queue_count)
        err = write_object(writer, writer->queue[writer->next++]);
    for (u32 i = 0; i < writer->queue_count; i++)
        writer->queue[i]->save_index = MARKED;
    writer->marked = writer->queue;
    writer->marked_count = writer->queue_count;
    writer->marked_capacity = writer->queue_capacity;
    writer->queue = NULL;
    writer->queue_count = writer->queue_capacity = writer->next = writer->kind_count = 0;
    writer->is_marking = false;
    return err;
}

SLEEPS int writer_walk(struct state_writer *writer, struct object *extra_root)
{
    int err = mark(writer, extra_root);
    if (!err)
        err = write_roots(writer, extra_root);
    while (!err && writer->next < writer->queue_count) {
        err = write_object(writer, writer->queue[writer->next++]);
        if (!err && writer->flush && writer->out.size >= FLUSH_SIZE)
            err = writer->flush(writer);
    }
    return err;
}
