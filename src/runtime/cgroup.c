/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Version 1 (a tree a controller), version 2 (one tree), found from /proc/self/mountinfo. In a
 * hybrid set-up version 1 counts. Joining a version 1 tree costs the host milliseconds, so only
 * controllers that are asked for, by a limit or by a path, are joined.
 */
#include "runtime/cgroup.h"

#include "base/buf.h"
#include "wire/urpc/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOTE_SIZE_MAX ((size_t)256 << 10)
#define REMOVE_TRIES 2000 /* of a millisecond: what a killed creator began ends by itself */

/* Controllers of version 1 that a container joins. */
static const char *const joined[] = {"cpu", "cpuacct", "memory", "pids", "blkio", "cpuset"};

/* ---- small files ---- */

static int file_write(const char *dir, const char *name, const char *text, struct error *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0) {
        error_errno(err, "cannot write \"%s\" to %s", text, path);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    close(fd);
    return 0;
}

static bool file_read(const char *dir, const char *name, char *out, size_t size)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t got = read(fd, out, size - 1);
    close(fd);
    out[MAX(got, 0)] = 0;
    return got > 0;
}

/* ---- finding ---- */

static bool list_has(const char *list, const char *word)
{
    size_t size = strlen(word);
    while (*list) {
        size_t part = strcspn(list, ",");
        if (part == size && strncmp(list, word, size) == 0)
            return true;
        list += part + (list[part] == ',');
    }
    return false;
}

struct mounts {
    char *points[ARRAY_COUNT(joined)]; /* version 1 */
    char *unified;
};

/* Fields of /proc/self/mountinfo: the fifth is the mount point; behind " - ": type, source,
 * options. */
static void mounts_find(struct pool *pool, struct mounts *out)
{
    *out = (struct mounts){0};
    FILE *file = fopen("/proc/self/mountinfo", "re");
    char *line = NULL;
    size_t capacity = 0;
    while (file && getline(&line, &capacity, file) > 0) {
        char point[2048], type[64], options[1024];
        const char *dash = strstr(line, " - ");
        if (!dash || sscanf(line, "%*d %*d %*s %*s %2047s", point) != 1 ||
            sscanf(dash + 3, "%63s %*s %1023s", type, options) != 2)
            continue;
        if (strcmp(type, "cgroup2") == 0 && !out->unified)
            out->unified = pool_strdup(pool, point);
        if (strcmp(type, "cgroup") != 0)
            continue;
        for (u32 i = 0; i < ARRAY_COUNT(joined); i++)
            if (!out->points[i] && list_has(options, joined[i]))
                out->points[i] = pool_strdup(pool, point);
    }
    free(line);
    if (file)
        fclose(file);
}

/* The caller's own path in the tree of CONTROLLER ("" version 2); "/" when unknown. */
static char *own_path(struct pool *pool, const char *controller)
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    char *line = NULL, *found = NULL;
    size_t capacity = 0;
    while (file && !found && getline(&line, &capacity, file) > 0) {
        char *names = strchr(line, ':');
        char *path = names ? strchr(names + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = 0;
        path[strcspn(path, "\n")] = 0;
        if (*controller ? list_has(names + 1, controller) : names[1] == 0)
            found = pool_strdup(pool, path);
    }
    free(line);
    if (file)
        fclose(file);
    return found ? found : pool_strdup(pool, "/");
}

/* "user-1000.slice" lies in "user.slice": a slice's path below the root. */
static char *slice_path(struct pool *pool, const char *slice)
{
    char *path = pool_strdup(pool, "");
    size_t stem = strlen(slice) > 6 ? strlen(slice) - 6 : 0; /* without ".slice" */
    for (size_t i = 1; i <= stem; i++)
        if (i == stem || slice[i] == '-')
            path = pool_printf(pool, "%s/%.*s.slice", path, (int)i, slice);
    return path;
}

/* What the spec's cgroupsPath means, as a path below a tree's mount point, or relative to the
 * caller's. */
static char *wanted_path(const struct config *config, const struct oci_spec *spec, const char *id,
                         struct pool *pool)
{
    const char *path = spec->on_linux->cgroups_path;
    if (!path || !*path)
        return pool_printf(pool, "/%s", id);
    if (!config->has_systemd_cgroup)
        return pool_strdup(pool, path);
    char *copy = pool_strdup(pool, path);
    char *prefix = strchr(copy, ':');
    char *name = prefix ? strchr(prefix + 1, ':') : NULL;
    if (!name)
        return copy;
    *prefix++ = 0;
    *name++ = 0;
    const char *slice = *copy ? copy : config->is_rootless ? "user.slice" : "system.slice";
    return pool_printf(pool, "%s/%s%s%s.scope", slice_path(pool, slice), prefix, *prefix ? "-" : "",
                       name);
}

/* ---- making ---- */

/* cpuset of version 1 refuses processes until it is filled; version 2 wants controllers turned on
 * above. */
static void dir_prepare(const char *parent, const char *dir, const char *controller)
{
    struct error unused;
    char text[1024];
    if (strcmp(controller, "cpuset") == 0) {
        if (file_read(parent, "cpuset.cpus", text, sizeof text))
            (void)!file_write(dir, "cpuset.cpus", text, &unused);
        if (file_read(parent, "cpuset.mems", text, sizeof text))
            (void)!file_write(dir, "cpuset.mems", text, &unused);
    } else if (!*controller) {
        static const char *const wanted[] = {"+cpu", "+memory", "+pids", "+io", "+cpuset"};
        for (size_t i = 0; i < ARRAY_COUNT(wanted); i++)
            (void)!file_write(parent, "cgroup.subtree_control", wanted[i], &unused);
    }
}

/* Make DIR below POINT, a component at a time. Is the last one ours? False also when it could not
 * be made. */
static bool dirs_make(struct pool *pool, const char *point, const char *path,
                      const char *controller, bool *is_there)
{
    char *dir = pool_strdup(pool, point);
    bool is_own = false;
    *is_there = true;
    while (*path && *is_there) {
        path += strspn(path, "/");
        size_t size = strcspn(path, "/");
        if (size == 0)
            break;
        char *next = pool_printf(pool, "%s/%.*s", dir, (int)size, path);
        is_own = mkdir(next, 0755) == 0;
        *is_there = is_own || errno == EEXIST;
        if (is_own)
            dir_prepare(dir, next, controller);
        dir = next;
        path += size;
    }
    return is_own;
}

static bool path_is_safe(const char *path)
{
    return !strstr(path, "/../") && strncmp(path, "../", 3) != 0 && strcmp(path, "..") != 0 &&
           (strlen(path) < 3 || strcmp(path + strlen(path) - 3, "/..") != 0);
}

/* What dir_make is to make; until then it is called ours when nothing is there. */
static void dir_plan(struct cgroup *out, struct pool *pool, const char *point, const char *wanted,
                     const char *controller)
{
    char *path = pool_strdup(pool, wanted);
    if (path[0] != '/') {
        char *own = own_path(pool, controller);
        char *slash = strrchr(own, '/');
        if (!*controller &&
            slash) /* version 2: no processes in inner nodes, so beside the caller's */
            *slash = 0;
        path = pool_printf(pool, "%s/%s", own, path);
    }
    char *whole = pool_printf(pool, "%s/%s", point, path + strspn(path, "/"));
    out->dirs[out->dir_count++] = (struct cgroup_dir){.controllers = pool_strdup(pool, controller),
                                                      .path = whole,
                                                      .point_size = strlen(point),
                                                      .is_own = access(whole, F_OK) < 0};
}

/* Make what was planned; what cannot be made is left out. */
static void dirs_create(struct cgroup *cgroup, struct pool *pool)
{
    u32 count = 0;
    for (u32 i = 0; i < cgroup->dir_count; i++) {
        struct cgroup_dir *dir = &cgroup->dirs[i];
        char *point = pool_strndup(pool, dir->path, dir->point_size);
        bool is_there;
        dir->is_own = dirs_make(pool, point, dir->path + dir->point_size, dir->controllers,
                                &is_there);
        if (is_there)
            cgroup->dirs[count++] = *dir;
    }
    cgroup->dir_count = count;
}

/* For who has to clear up after us: written before anything is made. */
static void note_write(const struct cgroup *cgroup, struct pool *pool, int note_fd)
{
    struct json_text text = cgroup_encode(cgroup, pool);
    if (note_fd >= 0)
        (void)!pwrite(note_fd, text.bytes, text.size, 0);
}

void cgroup_remove_noted(int note_fd)
{
    AUTO_POOL struct pool pool = {0};
    pool_init(&pool, NULL);
    char *bytes = pool_alloc(&pool, NOTE_SIZE_MAX);
    ssize_t size = pread(note_fd, bytes, NOTE_SIZE_MAX, 0);
    struct json_text text;
    struct error unused;
    struct cgroup cgroup;
    if (size <= 0 || json_parse(bytes, (size_t)size, NOTE_SIZE_MAX, &text, &unused) < 0)
        return;
    cgroup_decode(text, &pool, &cgroup);
    cgroup_remove(&cgroup);
}

static bool controller_is_asked(const struct oci_limits *limits, const char *controller,
                                bool has_path)
{
    if (strcmp(controller, "cpuset") == 0)
        return (limits->cpuset_cpus && *limits->cpuset_cpus) ||
               (limits->cpuset_mems && *limits->cpuset_mems);
    if (has_path)
        return true;
    if (strcmp(controller, "cpu") == 0 || strcmp(controller, "cpuacct") == 0)
        return limits->has_cpu_shares || limits->has_cpu_quota || limits->has_cpu_period;
    if (strcmp(controller, "memory") == 0)
        return limits->has_memory || limits->has_memory_swap || limits->has_memory_reservation;
    if (strcmp(controller, "pids") == 0)
        return limits->has_pids;
    return false;
}

void cgroup_create(const struct config *config, const struct oci_spec *spec, const char *id,
                   int note_fd, struct pool *pool, struct cgroup *out)
{
    *out = (struct cgroup){0};
    const struct oci_limits *limits = &spec->on_linux->limits;
    const char *manager = config->cgroup_manager ? config->cgroup_manager : "";
    bool has_path = spec->on_linux->cgroups_path && *spec->on_linux->cgroups_path;
    bool is_asked = has_path;
    for (u32 i = 0; i < ARRAY_COUNT(joined); i++)
        is_asked = is_asked || controller_is_asked(limits, joined[i], has_path);
    if (config->ignores_cgroups || strcmp(manager, "disabled") == 0 || !is_asked)
        return;
    char *wanted = wanted_path(config, spec, id, pool);
    if (!path_is_safe(wanted))
        return;
    struct mounts mounts;
    mounts_find(pool, &mounts);
    for (u32 i = 0; i < ARRAY_COUNT(joined); i++)
        if (mounts.points[i] && controller_is_asked(limits, joined[i], has_path))
            dir_plan(out, pool, mounts.points[i], wanted, joined[i]);
    out->version = 1;
    if (out->dir_count == 0 && mounts.unified) {
        dir_plan(out, pool, mounts.unified, wanted, "");
        out->version = 2;
    }
    out->name = wanted;
    note_write(out, pool, note_fd);
    dirs_create(out, pool);
    if (out->dir_count == 0)
        out->version = 0;
    struct error unused;
    (void)!cgroup_set_limits(out, limits, spec->on_linux->resources, &unused);
}

u32 cgroup_open_procs(const struct cgroup *cgroup, int *fds, u32 max)
{
    u32 count = 0;
    for (u32 i = 0; i < cgroup->dir_count && count < max; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/cgroup.procs", cgroup->dirs[i].path);
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd >= 0)
            fds[count++] = fd;
    }
    return count;
}

/* ---- limits ---- */

struct limit_writer {
    const struct cgroup *cgroup;
    struct error *err;
    int result;
};

/* Into the own directory of CONTROLLER; what cannot be written is remembered, the rest goes on. */
static void limit_put(struct limit_writer *writer, const char *controller, const char *name,
                      const char *format, ...) PRINTF(4, 5);
static void limit_put(struct limit_writer *writer, const char *controller, const char *name,
                      const char *format, ...)
{
    char text[128];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (u32 i = 0; i < writer->cgroup->dir_count; i++) {
        const struct cgroup_dir *dir = &writer->cgroup->dirs[i];
        if (!dir->is_own || (*dir->controllers && strcmp(dir->controllers, controller) != 0))
            continue;
        struct error err;
        if (file_write(dir->path, name, text, &err) < 0 && writer->result == 0) {
            writer->result = -1;
            *writer->err = err;
        }
    }
}

#define HOST_PIDS_MAX (4 << 20) /* the kernel takes no greater limit */

/*
 * The sentry counts the container's tasks; what the host counts are its own threads and, for each
 * space, a helper and a thread for each cpu. So the host's limit is only the fence behind the
 * limit.
 */
static i64 host_pids(i64 limit)
{
    i64 cpus = MAX(sysconf(_SC_NPROCESSORS_ONLN), 1), threads, result;
    if (__builtin_mul_overflow(limit, cpus + 1, &threads) ||
        __builtin_add_overflow(threads, 64 + 4 * cpus, &result) || result > HOST_PIDS_MAX)
        return -1;
    return result;
}

/* One number, or "max" for a negative one. */
static void limit_put_max(struct limit_writer *w, const char *controller, const char *name,
                          i64 value)
{
    if (value < 0)
        limit_put(w, controller, name, "max");
    else
        limit_put(w, controller, name, "%lld", (long long)value);
}

static void put_pids(struct limit_writer *w, const struct oci_limits *l)
{
    if (l->has_pids && l->pids != 0)
        limit_put_max(w, "pids", "pids.max", l->pids < 0 ? -1 : host_pids(l->pids));
}

static void limits_put_v1(struct limit_writer *w, const struct oci_limits *l)
{
    put_pids(w, l);
    if (l->has_memory && l->memory != 0)
        limit_put(w, "memory", "memory.limit_in_bytes", "%lld", (long long)l->memory);
    if (l->has_memory_swap && l->memory_swap != 0)
        limit_put(w, "memory", "memory.memsw.limit_in_bytes", "%lld", (long long)l->memory_swap);
    if (l->has_memory_reservation && l->memory_reservation != 0)
        limit_put(w, "memory", "memory.soft_limit_in_bytes", "%lld",
                  (long long)l->memory_reservation);
    if (l->has_cpu_shares && l->cpu_shares != 0)
        limit_put(w, "cpu", "cpu.shares", "%llu", (unsigned long long)l->cpu_shares);
    if (l->has_cpu_period && l->cpu_period != 0)
        limit_put(w, "cpu", "cpu.cfs_period_us", "%llu", (unsigned long long)l->cpu_period);
    if (l->has_cpu_quota && l->cpu_quota != 0)
        limit_put(w, "cpu", "cpu.cfs_quota_us", "%lld", (long long)l->cpu_quota);
}

static void limits_put_v2(struct limit_writer *w, const struct oci_limits *l)
{
    put_pids(w, l);
    if (l->has_memory && l->memory != 0)
        limit_put_max(w, "memory", "memory.max", l->memory);
    if (l->has_memory_swap &&
        l->memory_swap != 0) /* version 1 counts memory in, version 2 does not */
        limit_put_max(w, "memory", "memory.swap.max",
                      l->memory_swap < 0 ? -1 : MAX(l->memory_swap - MAX(l->memory, 0), 0));
    if (l->has_memory_reservation && l->memory_reservation != 0)
        limit_put_max(w, "memory", "memory.low", l->memory_reservation);
    if (l->has_cpu_shares && l->cpu_shares >= 2 && l->cpu_shares <= 262144)
        limit_put(w, "cpu", "cpu.weight", "%llu",
                  (unsigned long long)(1 + (l->cpu_shares - 2) * 9999 / 262142));
    u64 period = l->has_cpu_period && l->cpu_period ? l->cpu_period : 100000;
    if (l->has_cpu_quota && l->cpu_quota > 0)
        limit_put(w, "cpu", "cpu.max", "%lld %llu", (long long)l->cpu_quota,
                  (unsigned long long)period);
    else if ((l->has_cpu_quota && l->cpu_quota < 0) || (l->has_cpu_period && l->cpu_period))
        limit_put(w, "cpu", "cpu.max", "max %llu", (unsigned long long)period);
}

int cgroup_set_limits(const struct cgroup *cgroup, const struct oci_limits *limits,
                      struct json_text resources, struct error *err)
{
    struct limit_writer writer = {.cgroup = cgroup, .err = err};
    if (cgroup->version == 1)
        limits_put_v1(&writer, limits);
    else
        limits_put_v2(&writer, limits);
    if (limits->cpuset_cpus && *limits->cpuset_cpus)
        limit_put(&writer, "cpuset", "cpuset.cpus", "%s", limits->cpuset_cpus);
    if (limits->cpuset_mems && *limits->cpuset_mems)
        limit_put(&writer, "cpuset", "cpuset.mems", "%s", limits->cpuset_mems);
    static const struct {
        const char *path, *v1, *v2;
    } rows[] = {{"cpu.burst", "cpu.cfs_burst_us", "cpu.max.burst"},
                {"cpu.idle", "cpu.idle", "cpu.idle"},
                {"cpu.realtimePeriod", "cpu.rt_period_us", NULL},
                {"cpu.realtimeRuntime", "cpu.rt_runtime_us", NULL}};
    for (u32 i = 0; i < ARRAY_COUNT(rows) && resources.bytes; i++) {
        const char *file = cgroup->version == 1 ? rows[i].v1 : rows[i].v2;
        i64 value;
        if (file && json_i64(json_path(resources, rows[i].path), &value))
            limit_put(&writer, "cpu", file, "%lld", (long long)value);
    }
    i64 weight;
    struct json_text block = resources.bytes ? json_path(resources, "blockIO.weight") : resources;
    if (block.bytes && json_i64(block, &weight) && weight > 0) {
        if (cgroup->version == 1)
            limit_put(&writer, "blkio", "blkio.weight", "%lld", (long long)weight);
        else
            limit_put(&writer, "io", "io.weight", "default %lld",
                      (long long)(1 + (weight - 10) * 9999 / 990));
    }
    return writer.result;
}

i64 cgroup_cpu_ns(const struct cgroup *cgroup)
{
    char text[4096];
    for (u32 i = 0; i < cgroup->dir_count; i++) {
        const struct cgroup_dir *dir = &cgroup->dirs[i];
        if (strcmp(dir->controllers, "cpuacct") == 0 &&
            file_read(dir->path, "cpuacct.usage", text, sizeof text))
            return strtoll(text, NULL, 10);
        if (*dir->controllers || !file_read(dir->path, "cpu.stat", text, sizeof text))
            continue;
        const char *usage = strstr(text, "usage_usec ");
        return usage ? strtoll(usage + strlen("usage_usec "), NULL, 10) * 1000 : -1;
    }
    return -1;
}

void cgroup_remove(const struct cgroup *cgroup)
{
    for (u32 i = 0; i < cgroup->dir_count; i++) {
        if (!cgroup->dirs[i].is_own)
            continue;
        /* A process that was just reaped may be counted a moment longer. */
        for (int tries = 0;
             rmdir(cgroup->dirs[i].path) < 0 && errno == EBUSY && tries < REMOVE_TRIES; tries++)
            usleep(1000);
    }
}

/* ---- in the record ---- */

struct json_text cgroup_encode(const struct cgroup *cgroup, struct pool *pool)
{
    struct arena arena;
    heap_arena_init(&arena);
    AUTO_BUF struct buf buf;
    buf_init(&buf, &arena, 0);
    struct json_writer writer;
    json_writer_init(&writer, &buf);
    json_begin_object(&writer);
    json_name(&writer, cgroup->version == 1   ? "cgroupv1"
                       : cgroup->version == 2 ? "cgroupv2"
                                              : "cgroupunknown");
    if (cgroup->version == 0) {
        json_put_null(&writer);
    } else {
        json_begin_object(&writer);
        json_name(&writer, cgroup->version == 1 ? "name" : "path");
        json_put_string(&writer, cgroup->name);
        json_name(&writer, "dirs"); /* ours: the other members are derived from these */
        json_begin_object(&writer);
        for (u32 i = 0; i < cgroup->dir_count; i++) {
            json_name(&writer, cgroup->dirs[i].controllers);
            json_put_string(&writer, cgroup->dirs[i].path);
        }
        json_end_object(&writer);
        json_name(&writer, "own");
        json_begin_object(&writer);
        for (u32 i = 0; i < cgroup->dir_count; i++) {
            json_name(&writer, cgroup->dirs[i].controllers);
            json_put_bool(&writer, cgroup->dirs[i].is_own);
        }
        json_end_object(&writer);
        json_end_object(&writer);
    }
    json_end_object(&writer);
    char *text = pool_strndup(pool, (const char *)buf_bytes(&buf), buf.size);
    return (struct json_text){.bytes = text, .size = buf.size};
}

void cgroup_decode(struct json_text text, struct pool *pool, struct cgroup *out)
{
    *out = (struct cgroup){0};
    if (json_type(text) != JSON_OBJECT)
        return;
    struct json_text body = json_member(text, "cgroupv1");
    u32 version = 1;
    if (json_type(body) != JSON_OBJECT) {
        body = json_member(text, "cgroupv2");
        version = 2;
    }
    struct json_text dirs = json_type(body) == JSON_OBJECT ? json_member(body, "dirs") : body;
    if (json_type(dirs) != JSON_OBJECT)
        return;
    struct json_text own = json_member(body, "own"), name, value;
    struct json_iter iter;
    json_iter_init(&iter, dirs);
    while (json_iter_next(&iter, &name, &value) && out->dir_count < CGROUP_CONTROLLERS_MAX) {
        struct cgroup_dir *dir = &out->dirs[out->dir_count];
        dir->controllers = json_string(name, pool, NULL);
        dir->path = json_string(value, pool, NULL);
        if (!dir->controllers || !dir->path || dir->path[0] != '/')
            continue;
        struct json_text is_own = json_type(own) == JSON_OBJECT ? json_member(own, dir->controllers)
                                                                : own;
        dir->is_own = json_type(is_own) == JSON_BOOL && json_bool(is_own, &dir->is_own) &&
                      dir->is_own;
        out->dir_count++;
    }
    out->name = json_string(json_member(body, version == 1 ? "name" : "path"), pool, NULL);
    out->version = version;
}
