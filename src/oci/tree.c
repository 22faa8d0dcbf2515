/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cJSON reads the structure and the strings. It keeps numbers as doubles, which lose every integer
 * above 2^53, and it accepts texts that are not JSON; so the strict scanner judges the text first,
 * and then tree and text are walked side by side (cJSON keeps order and duplicates): a number and a
 * raw part are taken from the text, byte for byte.
 */
#include "oci/tree.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/sort.h"

#define PATH_TEXT_MAX 256

/* One value, as cJSON has it and as it was written. */
struct node {
    const cJSON *item;
    struct json_text text;
};

struct walk {
    struct pool *pool;
    struct error *err;
    const char *label;
    char path[PATH_TEXT_MAX];
    size_t path_size;
};

static int decode_node(struct walk *walk, const struct wire_type *type, struct node node,
                       void *out);

static int node_error(struct walk *walk, const char *want, struct node node)
{
    static const char *const words[] = {"nothing",  "null",   "a boolean", "a number",
                                        "a string", "a list", "an object"};
    char shown[48] = "";
    if (json_type(node.text) == JSON_NUMBER && node.text.size < sizeof shown - 2)
        snprintf(shown, sizeof shown, " %.*s", (int)node.text.size, node.text.bytes);
    return error_set(walk->err, EINVAL, "%s: %s must be %s, not %s%s", walk->label,
                     walk->path[0] ? walk->path : "it", want, words[json_type(node.text)], shown);
}

static int out_of_memory(struct walk *walk)
{
    return error_set(walk->err, ENOMEM, "%s: out of memory", walk->label);
}

static void path_push(struct walk *walk, const char *name, size_t *mark)
{
    *mark = walk->path_size;
    int size = snprintf(walk->path + *mark, sizeof walk->path - *mark, "%s%s",
                        *mark && name[0] != '[' ? "." : "", name);
    if (size > 0)
        walk->path_size = MIN(*mark + (size_t)size, sizeof walk->path - 1);
}

static void path_pop(struct walk *walk, size_t mark)
{
    walk->path[mark] = '\0';
    walk->path_size = mark;
}

/* ---- scalars -------------------------------------------------------------------------------- */

static int decode_number(struct walk *walk, const struct wire_type *type, struct node node,
                         void *out)
{
    struct error unused;
    char want[64];
    if (wire_decode(type, node.text, walk->pool, out, &unused) == 0)
        return 0;
    snprintf(want, sizeof want, "%s integer of %u bits",
             type->kind == WIRE_INT ? "an" : "an unsigned", type->size * 8);
    return node_error(walk, want, node);
}

/* cJSON ends a string at such a byte. */
static bool has_nul(struct json_text text)
{
    for (size_t i = 0; i + 6 <= text.size; i++) {
        if (text.bytes[i] != '\\')
            continue;
        if (memcmp(text.bytes + i, "\\u0000", 6) == 0)
            return true;
        i++;
    }
    return false;
}

static int decode_string(struct walk *walk, struct node node, void *out)
{
    if (!cJSON_IsString(node.item))
        return node_error(walk, "a string", node);
    if (has_nul(node.text))
        return error_set(walk->err, EINVAL, "%s: %s contains a NUL byte", walk->label, walk->path);
    char *copy = pool_strdup(walk->pool, node.item->valuestring);
    if (!copy)
        return out_of_memory(walk);
    memcpy(out, &copy, sizeof copy);
    return 0;
}

static int decode_bool(struct walk *walk, struct node node, void *out)
{
    bool value = cJSON_IsTrue(node.item);
    if (!cJSON_IsBool(node.item))
        return node_error(walk, "true or false", node);
    memcpy(out, &value, sizeof value);
    return 0;
}

/* ---- containers: the tree's children and the text's elements go in step --------------------- */

struct steps {
    const cJSON *child;
    struct json_iter iter;
};

static struct steps steps_of(struct node node)
{
    struct steps steps = {.child = node.item->child};
    json_iter_init(&steps.iter, node.text);
    return steps;
}

static bool steps_next(struct steps *steps, struct json_text *name, struct node *out)
{
    if (!json_iter_next(&steps->iter, name, &out->text))
        return false;
    ASSERT(steps->child != NULL);
    out->item = steps->child;
    steps->child = steps->child->next;
    return true;
}

static int decode_list(struct walk *walk, const struct wire_type *type, struct node node, void *out)
{
    struct wire_list list = {WIRE_EMPTY, 0};
    struct json_text name;
    struct node element;
    if (!cJSON_IsArray(node.item))
        return node_error(walk, "a list", node);
    size_t count = (size_t)cJSON_GetArraySize(node.item);
    list.items = count ? pool_alloc_array(walk->pool, count, type->element->size) : WIRE_EMPTY;
    if (!list.items)
        return out_of_memory(walk);
    struct steps steps = steps_of(node);
    for (; steps_next(&steps, &name, &element); list.count++) {
        char index[24];
        size_t mark;
        snprintf(index, sizeof index, "[%zu]", list.count);
        path_push(walk, index, &mark);
        if (decode_node(walk, type->element, element,
                        (u8 *)list.items + list.count * type->element->size))
            return -1;
        path_pop(walk, mark);
    }
    memcpy(out, &list, sizeof list);
    return 0;
}

static int compare_names(const void *a, const void *b, void *arg)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted by name; of equal names the last one stays. */
static void sort_map(struct wire_list *map, size_t entry_size)
{
    u8 *items = map->items;
    size_t kept = 0;
    sort_stable(items, map->count, entry_size, compare_names, NULL);
    for (size_t i = 0; i < map->count; i++) {
        if (i + 1 == map->count ||
            compare_names(items + i * entry_size, items + (i + 1) * entry_size, NULL) != 0)
            memmove(items + kept++ * entry_size, items + i * entry_size, entry_size);
    }
    map->count = kept;
}

static int decode_map(struct walk *walk, const struct wire_type *type, struct node node, void *out)
{
    struct wire_list map = {WIRE_EMPTY, 0};
    struct json_text name;
    struct node value;
    size_t entry_size = wire_map_entry_size(type);
    if (!cJSON_IsObject(node.item))
        return node_error(walk, "an object", node);
    size_t count = (size_t)cJSON_GetArraySize(node.item);
    map.items = count ? pool_alloc_array(walk->pool, count, entry_size) : WIRE_EMPTY;
    if (!map.items)
        return out_of_memory(walk);
    struct steps steps = steps_of(node);
    for (; steps_next(&steps, &name, &value); map.count++) {
        u8 *entry = (u8 *)map.items + map.count * entry_size;
        char *copy = pool_strdup(walk->pool, value.item->string);
        size_t mark;
        if (!copy)
            return out_of_memory(walk);
        if (has_nul(name))
            return error_set(walk->err, EINVAL, "%s: a name in %s contains a NUL byte", walk->label,
                             walk->path);
        memcpy(entry, &copy, sizeof copy);
        path_push(walk, copy, &mark);
        if (decode_node(walk, type->element, value, entry + sizeof copy))
            return -1;
        path_pop(walk, mark);
    }
    sort_map(&map, entry_size);
    memcpy(out, &map, sizeof map);
    return 0;
}

static const struct wire_field *find_field(const struct wire_type *type, struct json_text name)
{
    for (const struct wire_field *field = type->fields; field->name; field++)
        if (json_name_is(name, field->name))
            return field;
    return NULL;
}

static int decode_struct(struct walk *walk, const struct wire_type *type, struct node node,
                         void *out)
{
    struct json_text name;
    struct node value;
    if (!cJSON_IsObject(node.item))
        return node_error(walk, "an object", node);
    struct steps steps = steps_of(node);
    while (steps_next(&steps, &name, &value)) {
        const struct wire_field *field = find_field(type, name);
        size_t mark;
        if (!field)
            continue;
        ASSERT(field->size == field->type->size);
        path_push(walk, field->name, &mark);
        if (decode_node(walk, field->type, value, (u8 *)out + field->offset))
            return -1;
        path_pop(walk, mark);
    }
    return 0;
}

static int decode_optional(struct walk *walk, const struct wire_type *type, struct node node,
                           void *out)
{
    void *value;
    memcpy(&value, out, sizeof value);
    if (!value)
        value = pool_alloc(walk->pool, type->element->size);
    if (!value)
        return out_of_memory(walk);
    memcpy(out, &value, sizeof value);
    return decode_node(walk, type->element, node, value);
}

static int decode_node(struct walk *walk, const struct wire_type *type, struct node node, void *out)
{
    /* null is a zero value for the parts of a specification. */
    if (cJSON_IsNull(node.item)) {
        memset(out, 0, type->size);
        return 0;
    }
    switch (type->kind) {
    case WIRE_RAW:
        memcpy(out, &node.text, sizeof node.text);
        return 0;
    case WIRE_BOOL:
        return decode_bool(walk, node, out);
    case WIRE_STRING:
        return decode_string(walk, node, out);
    case WIRE_LIST:
        return decode_list(walk, type, node, out);
    case WIRE_MAP:
        return decode_map(walk, type, node, out);
    case WIRE_OPTIONAL:
        return decode_optional(walk, type, node, out);
    case WIRE_STRUCT:
        return decode_struct(walk, type, node, out);
    default:
        return decode_number(walk, type, node, out);
    }
}

/* cJSON passes broken bytes on; Go would replace them, and then a path would be another one. */
static bool is_utf8(struct json_text text)
{
    const u8 *at = (const u8 *)text.bytes, *end = at + text.size;
    while (at < end) {
        u32 rune;
        size_t size = json_utf8_decode(at, (size_t)(end - at), &rune);
        if (size == 1 && *at >= 0x80)
            return false;
        at += size;
    }
    return true;
}

int tree_decode(const struct wire_type *type, struct json_text text, struct pool *pool, void *out,
                const char *label, struct error *err)
{
    struct walk walk = {.pool = pool, .err = err, .label = label};
    if (!is_utf8(text))
        return error_set(err, EINVAL, "%s: it is not UTF-8", label);
    cJSON *tree = cJSON_ParseWithLength(text.bytes, text.size);
    if (!tree) /* the text is JSON: cJSON refuses lone surrogates and numbers of more than 63 digits
                */
        return error_set(err, EINVAL, "%s: a string is not Unicode or a number is too long", label);
    int result = decode_node(&walk, type, (struct node){tree, text}, out);
    cJSON_Delete(tree);
    return result;
}
