/* SPDX-License-Identifier: Apache-2.0 */
/* The in-memory list behind tmpfs's extended attributes. */
#include "sentry/fs/xattr.h"

#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "base/arena.h"
#include "base/fields.h"
#include "base/state.h"

static void xattr_destroy(struct object *object)
{
    struct xattr *xattr = container_of(object, struct xattr, object);
    arena_free_string(object->arena, xattr->name);
    arena_free(object->arena, xattr->value, xattr->size);
}

static const struct field xattr_fields[] = {
    FIELD_NONE(struct xattr, object, "the walker's own header"),
    FIELD_NONE(struct xattr, link, "the inode's list"),
    FIELD_STRING(struct xattr, name),
    FIELD_NONE(struct xattr, value, "xattr_save_more"),
    FIELD_NONE(struct xattr, size, "xattr_save_more"),
    FIELD_END,
};
FIELDS_COMPLETE(struct xattr, xattr_fields);

static int xattr_save_more(const struct object *object, struct state_writer *writer)
{
    const struct xattr *xattr = container_of(object, const struct xattr, object);
    int err = state_write_u64(writer, xattr->size);
    return err ? err : state_write(writer, xattr->value, xattr->size);
}

static int xattr_load_more(struct object *object, struct state_reader *reader)
{
    struct xattr *xattr = container_of(object, struct xattr, object);
    u64 size;
    int err = state_read_u64(reader, &size);
    if (err)
        return err;
    if (size > LINUX_XATTR_SIZE_MAX)
        return -EINVAL;
    xattr->value = arena_alloc(object->arena, size);
    if (!xattr->value)
        return -ENOMEM;
    xattr->size = size;
    return state_read(reader, xattr->value, size);
}

static void xattr_discard(struct object *object)
{
    struct xattr *xattr = container_of(object, struct xattr, object);
    arena_free(object->arena, xattr->value, xattr->size);
}

const struct kind xattr_kind = {.name = "xattr",
                                .size = sizeof(struct xattr),
                                .fields = xattr_fields,
                                .destroy = xattr_destroy,
                                .save_more = xattr_save_more,
                                .load_more = xattr_load_more,
                                .discard = xattr_discard};

const struct field xattr_list_fields[] = {
    FIELD_LIST(struct xattr_list, list, struct xattr, link, true),
    FIELD(struct xattr_list, bytes),
    FIELD_END,
};
FIELDS_COMPLETE(struct xattr_list, xattr_list_fields);

static struct xattr *xattr_find(const struct xattr_list *list, const char *name)
{
    if (!list->list.next)
        return NULL;
    struct xattr *xattr;
    list_for_each (xattr, &list->list, link)
        if (strcmp(xattr->name, name) == 0)
            return xattr;
    return NULL;
}

void xattr_list_fini(struct xattr_list *list)
{
    if (!list->list.next)
        return;
    struct xattr *xattr, *next;
    list_for_each_safe (xattr, next, &list->list, link) {
        list_remove(&xattr->link);
        REF_PUT(xattr);
    }
    list->bytes = 0;
}

i64 xattr_list_get(const struct xattr_list *list, const char *name, void *out, size_t size)
{
    const struct xattr *xattr = xattr_find(list, name);
    if (!xattr)
        return -ENODATA;
    if (size == 0)
        return (i64)xattr->size;
    if (xattr->size > size)
        return -ERANGE;
    memcpy(out, xattr->value, xattr->size);
    return (i64)xattr->size;
}

int xattr_list_set(struct xattr_list *list, struct arena *arena, const char *name,
                   const void *value, size_t size, int flags)
{
    struct xattr *old = xattr_find(list, name);
    if (old && (flags & LINUX_XATTR_CREATE))
        return -EEXIST;
    if (!old && (flags & LINUX_XATTR_REPLACE))
        return -ENODATA;
    u64 bytes = list->bytes - (old ? old->size : 0) + size + (old ? 0 : strlen(name));
    if (bytes > XATTR_BYTES_MAX)
        return -ENOSPC;
    u8 *copy = arena_alloc(arena, size);
    if (!copy)
        return -ENOMEM;
    if (size > 0)
        memcpy(copy, value, size);
    if (old) {
        arena_free(arena, old->value, old->size);
    } else {
        old = object_create(arena, &xattr_kind);
        if (old)
            old->name = arena_strdup(arena, name);
        if (!old || !old->name) {
            REF_PUT(old);
            arena_free(arena, copy, size);
            return -ENOMEM;
        }
        if (!list->list.next)
            list_init(&list->list);
        list_add_tail(&list->list, &old->link);
    }
    old->value = copy;
    old->size = size;
    list->bytes = bytes;
    return 0;
}

int xattr_list_remove(struct xattr_list *list, const char *name)
{
    struct xattr *xattr = xattr_find(list, name);
    if (!xattr)
        return -ENODATA;
    list->bytes -= xattr->size + strlen(name);
    list_remove(&xattr->link);
    REF_PUT(xattr);
    return 0;
}

i64 xattr_list_names(const struct xattr_list *list, char *out, size_t size)
{
    if (!list->list.next)
        return 0;
    size_t used = 0;
    const struct xattr *xattr;
    list_for_each (xattr, &list->list, link) {
        size_t name_size = strlen(xattr->name) + 1;
        if (size > 0) {
            if (name_size > size - used)
                return -ERANGE;
            memcpy(out + used, xattr->name, name_size);
        }
        used += name_size;
    }
    return (i64)used;
}
