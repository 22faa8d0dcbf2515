/* SPDX-License-Identifier: Apache-2.0 */
/* Life of a spec: parse, copy, encode, defaults, small changes. The text stays in the pool: raw
 * parts point into it. */
#include "oci/oci.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "oci/tree.h"

struct holder {
    struct oci_spec spec;
    struct pool pool;
    struct arena *arena; /* the holder's own memory */
    struct arena heap;
};

static int spec_create(struct arena *arena, struct oci_spec **out, struct error *err)
{
    struct arena heap;
    heap_arena_init(&heap);
    struct holder *holder = arena_alloc(arena ? arena : &heap, sizeof *holder);
    if (!holder)
        return error_set(err, ENOMEM, "OCI spec: out of memory");
    holder->heap = heap;
    holder->arena = arena ? arena : &holder->heap;
    pool_init(&holder->pool, arena);
    holder->spec.pool = &holder->pool;
    *out = &holder->spec;
    return 0;
}

void oci_spec_free(struct oci_spec *spec)
{
    if (!spec)
        return;
    struct holder *holder = container_of(spec, struct holder, spec);
    struct arena heap = holder->heap; /* it dies with the holder, but its counts do not matter */
    struct arena *arena = holder->arena == &holder->heap ? &heap : holder->arena;
    pool_fini(&holder->pool);
    arena_free(arena, holder, sizeof *holder);
}

void oci_spec_free_auto(struct oci_spec **spec)
{
    oci_spec_free(*spec);
}

/* ---- parsing -------------------------------------------------------------------------------- */

struct limit_row {
    const char *path;
    const struct wire_type *type;
    size_t has_offset;
    size_t value_offset;
};
#define LIMIT(path, member, type)                                                                  \
    {                                                                                              \
        path, type, offsetof(struct oci_limits, has_##member), offsetof(struct oci_limits, member) \
    }
static const struct limit_row limit_rows[] = {
    LIMIT("pids.limit", pids, &wire_int64),
    LIMIT("memory.limit", memory, &wire_int64),
    LIMIT("memory.swap", memory_swap, &wire_int64),
    LIMIT("memory.reservation", memory_reservation, &wire_int64),
    LIMIT("cpu.shares", cpu_shares, &wire_uint64),
    LIMIT("cpu.quota", cpu_quota, &wire_int64),
    LIMIT("cpu.period", cpu_period, &wire_uint64),
};

static int parse_limit(const struct limit_row *row, struct json_text value,
                       struct oci_limits *limits, struct error *err)
{
    struct error unused;
    if (json_type(value) == JSON_ABSENT || json_type(value) == JSON_NULL)
        return 0;
    if (wire_decode(row->type, value, NULL, (u8 *)limits + row->value_offset, &unused))
        return error_set(err, EINVAL, "OCI spec: linux.resources.%s must be an integer of 64 bits",
                         row->path);
    *(bool *)(void *)((u8 *)limits + row->has_offset) = true;
    return 0;
}

static int parse_cpuset(struct oci_spec *spec, struct json_text value, char **out,
                        struct error *err)
{
    if (json_type(value) == JSON_ABSENT || json_type(value) == JSON_NULL)
        return 0;
    return wire_decode(&wire_string, value, spec->pool, out, err)
               ? error_prefix(err, "OCI spec: linux.resources.cpu")
               : 0;
}

static int parse_limits(struct oci_spec *spec, struct error *err)
{
    struct json_text resources = spec->on_linux->resources;
    struct oci_limits *limits = &spec->on_linux->limits;
    for (size_t i = 0; i < ARRAY_COUNT(limit_rows); i++)
        if (parse_limit(&limit_rows[i], json_path(resources, limit_rows[i].path), limits, err))
            return -1;
    if (parse_cpuset(spec, json_path(resources, "cpu.cpus"), &limits->cpuset_cpus, err))
        return -1;
    return parse_cpuset(spec, json_path(resources, "cpu.mems"), &limits->cpuset_mems, err);
}

/* A copy of the text in the pool, judged by the strict scanner. */
static int keep_text(struct pool *pool, const char *json, size_t size, const char *label,
                     struct json_text *out, struct error *err)
{
    if (size > JSON_SIZE_MAX)
        return error_set(err, EFBIG, "%s is larger than %zu bytes", label, JSON_SIZE_MAX);
    char *copy = pool_strndup(pool, json, size);
    if (!copy)
        return error_set(err, ENOMEM, "%s: out of memory", label);
    if (json_parse(copy, size, 0, out, err)) {
        err->code = EINVAL;
        return error_prefix(err, "%s", label);
    }
    return 0;
}

int oci_spec_parse_in(struct arena *arena, const char *json, size_t size, struct oci_spec **out,
                      struct error *err)
{
    AUTO_OCI_SPEC struct oci_spec *spec = NULL;
    struct json_text text;
    if (spec_create(arena, &spec, err) || keep_text(spec->pool, json, size, "OCI spec", &text, err))
        return -1;
    if (json_type(text) != JSON_OBJECT)
        return error_set(err, EINVAL, "OCI spec is not a JSON object");
    if (tree_decode(&oci_spec_type, text, spec->pool, spec, "OCI spec", err))
        return -1;
    if (!spec->on_linux)
        spec->on_linux = pool_alloc(spec->pool, sizeof *spec->on_linux);
    if (!spec->on_linux)
        return error_set(err, ENOMEM, "OCI spec: out of memory");
    if (parse_limits(spec, err))
        return -1;
    *out = MOVE(spec);
    return 0;
}

int oci_spec_parse(const char *json, size_t size, struct oci_spec **out, struct error *err)
{
    return oci_spec_parse_in(NULL, json, size, out, err);
}

int oci_process_parse(struct oci_spec *spec, const char *json, size_t size,
                      struct oci_process **out, struct error *err)
{
    struct json_text text;
    struct oci_process *process = pool_alloc(spec->pool, sizeof *process);
    if (!process)
        return error_set(err, ENOMEM, "OCI process: out of memory");
    if (keep_text(spec->pool, json, size, "OCI process", &text, err))
        return -1;
    if (json_type(text) != JSON_OBJECT)
        return error_set(err, EINVAL, "OCI process is not a JSON object");
    if (tree_decode(&oci_process_type, text, spec->pool, process, "OCI process", err))
        return -1;
    *out = process;
    return 0;
}

/* ---- encoding and copying ------------------------------------------------------------------- */

char *oci_spec_encode(const struct oci_spec *spec, const char *indent)
{
    struct arena heap;
    AUTO_BUF struct buf buf;
    struct json_writer writer;
    heap_arena_init(&heap);
    buf_init(&buf, spec->pool->arena ? spec->pool->arena : &heap, 0);
    json_writer_init(&writer, &buf);
    writer.indent = indent;
    wire_encode(&writer, &oci_spec_type, spec);
    return writer.failed ? NULL : pool_strndup(spec->pool, (char *)buf_bytes(&buf), buf.size);
}

int oci_spec_copy(const struct oci_spec *spec, struct oci_spec **out, struct error *err)
{
    const char *text = oci_spec_encode(spec, NULL);
    if (!text)
        return error_set(err, ENOMEM, "OCI spec: out of memory");
    return oci_spec_parse_in(spec->pool->arena, text, strlen(text), out, err);
}

/* ---- unknown members ------------------------------------------------------------------------ */

struct unknown_walk {
    void (*report)(void *arg, const char *path);
    void *arg;
};

static void walk_unknown(const struct unknown_walk *walk, const struct wire_type *type,
                         struct json_text text, const char *path);

static void walk_unknown_members(const struct unknown_walk *walk, const struct wire_type *type,
                                 struct json_text text, const char *path)
{
    struct json_iter iter;
    struct json_text name, value;
    json_iter_init(&iter, text);
    while (json_iter_next(&iter, &name, &value)) {
        char member[256];
        const struct wire_field *field = type->fields;
        while (field->name && !json_name_is(name, field->name))
            field++;
        snprintf(member, sizeof member, "%s%s%.*s", path, *path ? "." : "",
                 (int)MIN(name.size - 2, (size_t)100), name.bytes + 1);
        if (field->name)
            walk_unknown(walk, field->type, value, member);
        else
            walk->report(walk->arg, member);
    }
}

static void walk_unknown(const struct unknown_walk *walk, const struct wire_type *type,
                         struct json_text text, const char *path)
{
    struct json_iter iter;
    struct json_text name, value;
    if (type->kind == WIRE_OPTIONAL)
        type = type->element;
    if (type->kind == WIRE_STRUCT && json_type(text) == JSON_OBJECT)
        walk_unknown_members(walk, type, text, path);
    if (type->kind != WIRE_LIST || json_type(text) != JSON_ARRAY)
        return;
    json_iter_init(&iter, text);
    while (json_iter_next(&iter, &name, &value))
        walk_unknown(walk, type->element, value, path);
}

void oci_spec_unknown_members(const char *json, size_t size,
                              void (*report)(void *arg, const char *path), void *arg)
{
    struct unknown_walk walk = {report, arg};
    struct json_text text;
    struct error err;
    if (json_parse(json, size, 0, &text, &err) == 0)
        walk_unknown(&walk, &oci_spec_type, text, "");
}

/* ---- defaults ------------------------------------------------------------------------------- */

/* The text that `spec` fills in; cwd and args follow. */
static const char default_text[] =
    "{\"ociVersion\":\"1.0.0\",\"process\":{\"user\":{\"uid\":0,\"gid\":0},\"args\":[],\"env\":["
    "\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/"
    "bin\",\"TERM=xterm\"],\"cwd\":\"/\","
    "\"capabilities\":{\"bounding\":[\"CAP_AUDIT_WRITE\",\"CAP_KILL\",\"CAP_NET_BIND_SERVICE\"],"
    "\"effective\":[\"CAP_AUDIT_WRITE\",\"CAP_KILL\",\"CAP_NET_BIND_SERVICE\"],"
    "\"inheritable\":[\"CAP_AUDIT_WRITE\",\"CAP_KILL\",\"CAP_NET_BIND_SERVICE\"],"
    "\"permitted\":[\"CAP_AUDIT_WRITE\",\"CAP_KILL\",\"CAP_NET_BIND_SERVICE\"]},"
    "\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"hard\":1024,\"soft\":1024}]},"
    "\"root\":{\"path\":\"rootfs\",\"readonly\":true},\"hostname\":\"runsc\",\"mounts\":["
    "{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},"
    "{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\"},"
    "{\"destination\":\"/"
    "sys\",\"type\":\"sysfs\",\"source\":\"sysfs\",\"options\":[\"nosuid\",\"noexec\",\"nodev\","
    "\"ro\"]}],"
    "\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"network\"},{\"type\":\"ipc\"},{"
    "\"type\":\"uts\"},"
    "{\"type\":\"mount\"}]}}";

int oci_spec_default(const char *const *args, size_t arg_count, const char *cwd,
                     struct oci_spec **out, struct error *err)
{
    AUTO_OCI_SPEC struct oci_spec *spec = NULL;
    if (oci_spec_parse(default_text, sizeof default_text - 1, &spec, err))
        return -1;
    spec->process->cwd = oci_strdup(spec, cwd);
    for (size_t i = 0; i < arg_count; i++) {
        char **arg = OCI_APPEND(spec, spec->process->args);
        if (!arg || !(*arg = oci_strdup(spec, args[i])))
            return error_set(err, ENOMEM, "OCI spec: out of memory");
    }
    *out = MOVE(spec);
    return 0;
}

/* ---- small changes and look-ups ------------------------------------------------------------- */

void *oci_alloc(struct oci_spec *spec, size_t size)
{
    return pool_alloc(spec->pool, size);
}

char *oci_strdup(struct oci_spec *spec, const char *text)
{
    return pool_strdup(spec->pool, text);
}

void *oci_list_append(struct oci_spec *spec, struct wire_list *list, size_t size)
{
    u8 *items = pool_alloc_array(spec->pool, list->count + 1, size);
    if (!items)
        return NULL;
    if (list->count)
        memcpy(items, list->items, list->count * size);
    list->items = items;
    return items + list->count++ * size;
}

const char *oci_annotation(const struct oci_spec *spec, const char *name)
{
    for (size_t i = 0; i < spec->annotations.count; i++)
        if (strcmp(spec->annotations.items[i].name, name) == 0)
            return spec->annotations.items[i].value ? spec->annotations.items[i].value : "";
    return "";
}

int oci_annotation_set(struct oci_spec *spec, const char *name, const char *value)
{
    char *copy = oci_strdup(spec, value);
    if (!copy)
        return -ENOMEM;
    for (size_t i = 0; i < spec->annotations.count; i++) {
        if (strcmp(spec->annotations.items[i].name, name) == 0) {
            spec->annotations.items[i].value = copy;
            return 0;
        }
    }
    char *name_copy = oci_strdup(spec, name);
    __typeof__(spec->annotations.items) entry = name_copy ? OCI_APPEND(spec, spec->annotations)
                                                          : NULL;
    if (!entry)
        return -ENOMEM;
    entry->name = name_copy;
    entry->value = copy;
    return 0;
}

const struct oci_namespace *oci_namespace_find(const struct oci_spec *spec, const char *type)
{
    for (size_t i = 0; i < spec->on_linux->namespaces.count; i++) {
        const struct oci_namespace *ns = &spec->on_linux->namespaces.items[i];
        if (ns->type && strcmp(ns->type, type) == 0)
            return ns;
    }
    return NULL;
}

bool oci_mount_has_option(const struct oci_mount *mount, const char *option)
{
    for (size_t i = 0; i < mount->options.count; i++)
        if (mount->options.items[i] && strcmp(mount->options.items[i], option) == 0)
            return true;
    return false;
}

bool oci_mount_is_bind(const struct oci_mount *mount)
{
    if (mount->type && strcmp(mount->type, "bind") == 0)
        return true;
    return oci_mount_has_option(mount, "bind") || oci_mount_has_option(mount, "rbind");
}

bool oci_mount_is_readonly(const struct oci_mount *mount)
{
    bool is_readonly = false;
    for (size_t i = 0; i < mount->options.count; i++) {
        const char *option = mount->options.items[i] ? mount->options.items[i] : "";
        if (strcmp(option, "ro") == 0 || strcmp(option, "rro") == 0)
            is_readonly = true;
        if (strcmp(option, "rw") == 0)
            is_readonly = false;
    }
    return is_readonly;
}
