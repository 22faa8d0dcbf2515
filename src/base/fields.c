/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing members through their rows, for whoever walks tables. */
#include "base/fields.h"

#include <string.h>

bool kind_is(const struct kind *kind, const char *struct_name)
{
    if (strcmp(struct_name, "struct object") == 0)
        return true;
    for (const struct field *at = kind->fields; at;) {
        if (at->of && strcmp(at->of, struct_name) == 0)
            return true;
        /* What a struct begins with is a row with a table of its own at offset 0. */
        while (at->type != FIELD_TYPE_END && (at->type != FIELD_TYPE_STRUCT || at->offset != 0))
            at++;
        at = at->type == FIELD_TYPE_END ? NULL : at->sub;
    }
    return false;
}

const struct field *fields_find(const struct field *fields, const char *name)
{
    for (; fields->type != FIELD_TYPE_END; fields++)
        if (strcmp(fields->name, name) == 0)
            return fields;
    return NULL;
}

size_t fields_count(const struct field *fields)
{
    size_t count = 0;
    while (fields[count].type != FIELD_TYPE_END)
        count++;
    return count;
}

/* x86-64 is little endian: the low bytes come first. */
static u64 load(const void *at, size_t size)
{
    u64 value = 0;
    ASSERT(size <= sizeof value);
    memcpy(&value, at, size);
    return value;
}

u64 field_uint(const struct field *field, const void *base)
{
    ASSERT(field->type == FIELD_TYPE_UINT);
    return load((const u8 *)base + field->offset, field->size);
}

i64 field_int(const struct field *field, const void *base)
{
    ASSERT(field->type == FIELD_TYPE_INT);
    ASSERT(field->size > 0);
    u64 value = load((const u8 *)base + field->offset, field->size);
    unsigned unused = 64 - 8 * (unsigned)field->size;
    return (i64)(value << unused) >> unused;
}

bool field_set_uint(const struct field *field, void *base, u64 value)
{
    ASSERT(field->type == FIELD_TYPE_UINT && field->size <= sizeof value);
    if (field->size < sizeof value && value >> (8 * field->size) != 0)
        return false;
    memcpy((u8 *)base + field->offset, &value, field->size);
    return true;
}

bool field_set_int(const struct field *field, void *base, i64 value)
{
    ASSERT(field->type == FIELD_TYPE_INT && field->size > 0 && field->size <= sizeof value);
    unsigned unused = 64 - 8 * (unsigned)field->size;
    if ((i64)((u64)value << unused) >> unused != value)
        return false;
    memcpy((u8 *)base + field->offset, &value, field->size);
    return true;
}

u64 field_count(const struct field *field, const void *base)
{
    if (field->type == FIELD_TYPE_ARRAY)
        return field->count;
    ASSERT(field->type == FIELD_TYPE_REFS || field->type == FIELD_TYPE_STRUCTS);
    return load((const u8 *)base + field->count_offset, field->count_size);
}

void *field_pointer(const struct field *field, const void *base)
{
    void *pointer;
    memcpy(&pointer, (const u8 *)base + field->offset, sizeof pointer);
    return pointer;
}

void field_set_pointer(const struct field *field, void *base, void *pointer)
{
    memcpy((u8 *)base + field->offset, &pointer, sizeof pointer);
}
