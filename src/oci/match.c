/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is a spec the one that a saved container began with? Each field is written out in one way, lists
 * sorted, and the texts are compared. What depends on the machine is left out: the root's path,
 * sources of mounts, paths of namespaces, host and domain name, environment, cgroup path, hooks,
 * resources, numbers of devices, the program's folder.
 */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/sort.h"
#include "oci/oci.h"

#define FLAG_PREFIX "dev.gvisor.flag."
#define MOUNT_PREFIX "dev.gvisor.spec.mount."

/* ---- lists as sets -------------------------------------------------------------------------- */

struct set {
    struct pool *pool;
    char **items;
    size_t count, capacity;
    bool has_failed; /* no memory */
};

static void set_add(struct set *set, char *text)
{
    if (set->count == set->capacity) {
        size_t capacity = set->capacity ? set->capacity * 2 : 16;
        char **items = pool_alloc_array(set->pool, capacity, sizeof *items);
        if (items && set->count)
            memcpy(items, set->items, set->count * sizeof *items);
        set->items = items;
        set->capacity = items ? capacity : 0;
    }
    if (!text || !set->items) {
        set->has_failed = true;
        return;
    }
    set->items[set->count++] = text;
}

static int compare_texts(const void *a, const void *b, void *arg)
{
    (void)arg;
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "[a b c]", sorted, as Go prints a slice. */
static char *set_text(struct set *set)
{
    if (set->has_failed)
        return NULL;
    sort_stable(set->items, set->count, sizeof *set->items, compare_texts, NULL);
    char *text = pool_strdup(set->pool, "[");
    for (size_t i = 0; i < set->count && text; i++)
        text = pool_printf(set->pool, "%s%s%s", text, i ? " " : "", set->items[i]);
    return text ? pool_printf(set->pool, "%s]", text) : NULL;
}

static const char *text_of(const char *text)
{
    return text ? text : "";
}

static char *strings_text(char *const *strings, size_t count, struct pool *pool)
{
    struct set set = {.pool = pool};
    for (size_t i = 0; i < count; i++)
        set_add(&set, pool_strdup(pool, text_of(strings[i])));
    return set_text(&set);
}

/* ---- fields --------------------------------------------------------------------------------- */

static char *version(const struct oci_spec *spec, struct pool *pool)
{
    return pool_strdup(pool, text_of(spec->oci_version));
}

static char *is_readonly(const struct oci_spec *spec, struct pool *pool)
{
    return pool_strdup(pool, spec->root && spec->root->readonly ? "true" : "false");
}

static char *mounts(const struct oci_spec *spec, struct pool *pool)
{
    struct set set = {.pool = pool};
    for (size_t i = 0; i < spec->mounts.count; i++) {
        const struct oci_mount *mount = &spec->mounts.items[i];
        const char *options = strings_text(mount->options.items, mount->options.count, pool);
        set_add(&set, options ? pool_printf(pool, "{%s %s %s}", text_of(mount->destination),
                                            text_of(mount->type), options)
                              : NULL);
    }
    return set_text(&set);
}

static char *terminal(const struct oci_spec *spec, struct pool *pool)
{
    return pool_strdup(pool, spec->process->terminal ? "true" : "false");
}

static char *cwd(const struct oci_spec *spec, struct pool *pool)
{
    return pool_strdup(pool, text_of(spec->process->cwd));
}

static char *user(const struct oci_spec *spec, struct pool *pool)
{
    const struct oci_user *user = &spec->process->user;
    struct set set = {.pool = pool};
    for (size_t i = 0; i < user->additional_gids.count; i++)
        set_add(&set, pool_printf(pool, "%u", user->additional_gids.items[i]));
    const char *groups = set_text(&set);
    return groups ? pool_printf(pool, "{%u %u %o %s}", user->uid, user->gid,
                                user->umask ? *user->umask : 022, groups)
                  : NULL;
}

static char *rlimits(const struct oci_spec *spec, struct pool *pool)
{
    struct set set = {.pool = pool};
    for (size_t i = 0; i < spec->process->rlimits.count; i++) {
        const struct oci_rlimit *limit = &spec->process->rlimits.items[i];
        set_add(&set,
                pool_printf(pool, "{%s %llu %llu}", text_of(limit->type),
                            (unsigned long long)limit->hard, (unsigned long long)limit->soft));
    }
    return set_text(&set);
}

static char *args(const struct oci_spec *spec, struct pool *pool)
{
    char *text = pool_strdup(pool, "[");
    for (size_t i = 0; i < spec->process->args.count && text; i++) {
        const char *word = text_of(spec->process->args.items[i]);
        const char *slash = i == 0 ? strrchr(word, '/') : NULL;
        text = pool_printf(pool, "%s%s%s", text, i ? " " : "", slash ? slash + 1 : word);
    }
    return text ? pool_printf(pool, "%s]", text) : NULL;
}

static char *capabilities(const struct oci_spec *spec, struct pool *pool)
{
    static const struct oci_capabilities none;
    const struct oci_capabilities *caps = spec->process->capabilities;
    caps = caps ? caps : &none;
    const char *parts[] = {
        strings_text(caps->bounding.items, caps->bounding.count, pool),
        strings_text(caps->effective.items, caps->effective.count, pool),
        strings_text(caps->inheritable.items, caps->inheritable.count, pool),
        strings_text(caps->permitted.items, caps->permitted.count, pool),
        strings_text(caps->ambient.items, caps->ambient.count, pool),
    };
    char *text = pool_strdup(pool, "{");
    for (size_t i = 0; i < ARRAY_COUNT(parts) && text; i++)
        text = parts[i] ? pool_printf(pool, "%s%s%s", text, i ? " " : "", parts[i]) : NULL;
    return text ? pool_printf(pool, "%s}", text) : NULL;
}

static char *no_new_privileges(const struct oci_spec *spec, struct pool *pool)
{
    return pool_strdup(pool, spec->process->no_new_privileges ? "true" : "false");
}

/* Flags that may be set anew for a look into the restored sandbox. */
static bool is_for_looking(const char *flag)
{
    return strncmp(flag, "debug", 5) == 0 || strncmp(flag, "strace", 6) == 0;
}

static bool annotation_counts(const char *name)
{
    size_t size = strlen(name);
    if (strncmp(name, "dev.gvisor.", 11) != 0 || strncmp(name, "dev.gvisor.internal.", 20) == 0)
        return false;
    if (strncmp(name, FLAG_PREFIX, sizeof FLAG_PREFIX - 1) == 0)
        return !is_for_looking(name + sizeof FLAG_PREFIX - 1);
    return strncmp(name, MOUNT_PREFIX, sizeof MOUNT_PREFIX - 1) != 0 || size < 7 ||
           strcmp(name + size - 7, ".source") != 0;
}

static char *annotations(const struct oci_spec *spec, struct pool *pool)
{
    struct set set = {.pool = pool};
    for (size_t i = 0; i < spec->annotations.count; i++)
        if (annotation_counts(spec->annotations.items[i].name))
            set_add(&set, pool_printf(pool, "%s:%s", spec->annotations.items[i].name,
                                      text_of(spec->annotations.items[i].value)));
    return set_text(&set);
}

static char *sysctl(const struct oci_spec *spec, struct pool *pool)
{
    struct set set = {.pool = pool};
    for (size_t i = 0; i < spec->on_linux->sysctl.count; i++)
        set_add(&set, pool_printf(pool, "%s:%s", spec->on_linux->sysctl.items[i].name,
                                  text_of(spec->on_linux->sysctl.items[i].value)));
    return set_text(&set);
}

static char *seccomp(const struct oci_spec *spec, struct pool *pool)
{
    struct json_text text = spec->on_linux->seccomp;
    return text.size ? pool_strndup(pool, text.bytes, text.size) : pool_strdup(pool, "");
}

static char *devices(const struct oci_spec *spec, struct pool *pool)
{
    struct set set = {.pool = pool};
    for (size_t i = 0; i < spec->on_linux->devices.count; i++) {
        const struct oci_device *device = &spec->on_linux->devices.items[i];
        set_add(&set, pool_printf(pool, "{%s %s}", text_of(device->path), text_of(device->type)));
    }
    return set_text(&set);
}

static char *id_maps(const struct oci_id_map *maps, size_t count, struct pool *pool)
{
    struct set set = {.pool = pool};
    for (size_t i = 0; i < count; i++)
        set_add(&set, pool_printf(pool, "{%u %u %u}", maps[i].container_id, maps[i].host_id,
                                  maps[i].size));
    return set_text(&set);
}

static char *uid_mappings(const struct oci_spec *spec, struct pool *pool)
{
    return id_maps(spec->on_linux->uid_mappings.items, spec->on_linux->uid_mappings.count, pool);
}

static char *gid_mappings(const struct oci_spec *spec, struct pool *pool)
{
    return id_maps(spec->on_linux->gid_mappings.items, spec->on_linux->gid_mappings.count, pool);
}

static char *namespaces(const struct oci_spec *spec, struct pool *pool)
{
    struct set set = {.pool = pool};
    for (size_t i = 0; i < spec->on_linux->namespaces.count; i++)
        set_add(&set, pool_strdup(pool, text_of(spec->on_linux->namespaces.items[i].type)));
    return set_text(&set);
}

static char *propagation(const struct oci_spec *spec, struct pool *pool)
{
    return pool_strdup(pool, text_of(spec->on_linux->rootfs_propagation));
}

static char *masked_paths(const struct oci_spec *spec, struct pool *pool)
{
    return strings_text(spec->on_linux->masked_paths.items, spec->on_linux->masked_paths.count,
                        pool);
}

static char *readonly_paths(const struct oci_spec *spec, struct pool *pool)
{
    return strings_text(spec->on_linux->readonly_paths.items, spec->on_linux->readonly_paths.count,
                        pool);
}

static const struct {
    const char *name;
    char *(*text)(const struct oci_spec *spec, struct pool *pool);
} fields[] = {
    {"ociVersion", version},
    {"root.readonly", is_readonly},
    {"mounts", mounts},
    {"process.terminal", terminal},
    {"process.cwd", cwd},
    {"process.user", user},
    {"process.rlimits", rlimits},
    {"process.args", args},
    {"process.capabilities", capabilities},
    {"process.noNewPrivileges", no_new_privileges},
    {"annotations", annotations},
    {"linux.sysctl", sysctl},
    {"linux.seccomp", seccomp},
    {"linux.devices", devices},
    {"linux.uidMappings", uid_mappings},
    {"linux.gidMappings", gid_mappings},
    {"linux.namespaces", namespaces},
    {"linux.rootfsPropagation", propagation},
    {"linux.maskedPaths", masked_paths},
    {"linux.readonlyPaths", readonly_paths},
};

int oci_spec_match(const struct oci_spec *saved, const struct oci_spec *now, struct pool *pool,
                   struct oci_difference *out)
{
    *out = (struct oci_difference){0};
    if (!saved->process || !now->process)
        return 0;
    for (size_t i = 0; i < ARRAY_COUNT(fields); i++) {
        const char *was = fields[i].text(saved, pool), *is = fields[i].text(now, pool);
        if (!was || !is)
            return -ENOMEM;
        if (strcmp(was, is) == 0)
            continue;
        *out = (struct oci_difference){.field = fields[i].name, .saved = was, .now = is};
        return 0;
    }
    return 0;
}
