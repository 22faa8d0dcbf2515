/* SPDX-License-Identifier: Apache-2.0 */
/* update ID: new limits for the host's cgroup of a sandbox, and for the record. */
#include "cli/commands.h"
#include "runtime/cgroup.h"
#include "runtime/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A spec that has nothing but these RESOURCES: so they are read by the one reader there is. */
static int limits_parse(struct pool *pool, const char *resources, struct oci_spec **out,
                        struct error *err)
{
    char *text = pool_printf(pool, "{\"ociVersion\":\"1.0.0\",\"linux\":{\"resources\":%s}}",
                             resources);
    return oci_spec_parse(text, strlen(text), out, err);
}

/* "512m" as bytes; plain numbers, -1 included, as they are. */
static bool bytes_parse(const char *text, i64 *out)
{
    char *end;
    errno = 0;
    *out = strtoll(text, &end, 10);
    if (end == text || errno)
        return false;
    static const char units[] = "bkmgt";
    const char *unit = *end ? strchr(units, *end | 0x20) : NULL;
    i64 scale = unit ? (i64)1 << (10 * (unit - units)) : 1;
    if (*end && (!unit || (end[1] && strcmp(end + 1, "b") != 0 && strcmp(end + 1, "B") != 0)))
        return false;
    return !__builtin_mul_overflow(*out, scale, out);
}

/* Flags as a resources object. */
static char *resources_of_flags(const struct update_options *options, struct pool *pool,
                                struct error *err)
{
    static const struct {
        const char *group, *name;
        bool is_text, is_bytes;
    } rows[UPDATE_COUNT] = {
        [UPDATE_BLKIO_WEIGHT] = {"blockIO", "weight", false, false},
        [UPDATE_CPU_BURST] = {"cpu", "burst", false, false},
        [UPDATE_CPU_IDLE] = {"cpu", "idle", false, false},
        [UPDATE_CPU_RT_PERIOD] = {"cpu", "realtimePeriod", false, false},
        [UPDATE_CPU_RT_RUNTIME] = {"cpu", "realtimeRuntime", false, false},
        [UPDATE_CPU_PERIOD] = {"cpu", "period", false, false},
        [UPDATE_CPU_QUOTA] = {"cpu", "quota", false, false},
        [UPDATE_CPU_SHARES] = {"cpu", "shares", false, false},
        [UPDATE_CPUSET_CPUS] = {"cpu", "cpus", true, false},
        [UPDATE_CPUSET_MEMS] = {"cpu", "mems", true, false},
        [UPDATE_MEMORY] = {"memory", "limit", false, true},
        [UPDATE_MEMORY_RESERVATION] = {"memory", "reservation", false, true},
        [UPDATE_MEMORY_SWAP] = {"memory", "swap", false, true},
        [UPDATE_PIDS] = {"pids", "limit", false, false},
    };
    char *text = pool_strdup(pool, "{");
    const char *group = "";
    for (u32 i = 0; i < UPDATE_COUNT; i++) { /* rows of one group stand together */
        i64 number = 0;
        if (!*options->values[i])
            continue;
        bool is_good = rows[i].is_text ||
                       (rows[i].is_bytes ? bytes_parse(options->values[i], &number)
                                         : int_parse(options->values[i], &number));
        if (!is_good) {
            error_set(err, EINVAL, "invalid value \"%s\" for %s.%s", options->values[i],
                      rows[i].group, rows[i].name);
            return NULL;
        }
        bool is_same = strcmp(group, rows[i].group) == 0;
        const char *before = is_same ? ","
                                     : pool_printf(pool, "%s\"%s\":{", *group ? "}," : "",
                                                   rows[i].group);
        group = rows[i].group;
        char *value = rows[i].is_text ? control_string(pool, options->values[i])
                                      : pool_printf(pool, "%lld", (long long)number);
        text = pool_printf(pool, "%s%s\"%s\":%s", text, before, rows[i].name, value);
    }
    return pool_printf(pool, "%s%s}", text, *group ? "}" : "");
}

static char *control_file(struct pool *pool, const char *id, const char *before,
                          const char *controller, const char *name, const char *value)
{
    return pool_printf(
        pool, "%s%s{\"file\":{\"controller\":\"%s\",\"path\":%s,\"name\":\"%s\"},\"value\":\"%s\"}",
        before, *before ? "," : "", controller, control_string(pool, pool_printf(pool, "/%s", id)),
        name, value);
}

/* The group that programs see, which is also what bounds their number. */
static int set_inside(struct record *record, const struct oci_limits *limits, struct error *err)
{
    const struct {
        const char *controller, *name;
        bool is_set;
        i64 value;
    } rows[] = {
        {"pids", "pids.max", limits->has_pids && limits->pids != 0, limits->pids},
        {"memory", "memory.limit_in_bytes", limits->has_memory && limits->memory != 0,
         limits->memory},
        {"memory", "memory.soft_limit_in_bytes",
         limits->has_memory_reservation && limits->memory_reservation != 0,
         limits->memory_reservation},
        {"cpu", "cpu.shares", limits->has_cpu_shares && limits->cpu_shares != 0,
         (i64)limits->cpu_shares},
        {"cpu", "cpu.cfs_period_us", limits->has_cpu_period && limits->cpu_period != 0,
         (i64)limits->cpu_period},
        {"cpu", "cpu.cfs_quota_us", limits->has_cpu_quota && limits->cpu_quota != 0,
         limits->cpu_quota},
    };
    struct pool *pool = &record->pool;
    char *files = pool_strdup(pool, "");
    for (u32 i = 0; i < ARRAY_COUNT(rows); i++) {
        bool is_max = strcmp(rows[i].controller, "pids") == 0 && rows[i].value < 0;
        char *value = is_max ? pool_strdup(pool, "max")
                             : pool_printf(pool, "%lld", (long long)rows[i].value);
        if (rows[i].is_set)
            files = control_file(pool, record->id, files, rows[i].controller, rows[i].name, value);
    }
    if (!*files)
        return 0;
    AUTO_URPC_ANSWER struct urpc_answer answer = {0};
    char *arg = pool_printf(pool, "{\"args\":[%s]}", files);
    if (control_call(record, "Cgroups.WriteControlFiles", arg, NULL, 0, &answer, err) < 0)
        return error_prefix(err, "updating container \"%s\"", record->id);
    return control_results(&answer, pool, NULL, err);
}

static int update(struct runtime *runtime, struct record *record,
                  const struct update_options *options, struct error *err)
{
    struct pool *pool = &record->pool;
    AUTO_OCI_SPEC struct oci_spec *wanted = NULL;
    AUTO_OCI_SPEC struct oci_spec *spec = NULL;
    char *resources;
    if (*options->resources) {
        char *text;
        size_t size;
        if (cli_read_file(options->resources, &text, &size, err) < 0)
            return -1;
        resources = pool_strdup(pool, text);
        free(text);
    } else {
        resources = resources_of_flags(options, pool, err);
        if (!resources)
            return -1;
    }
    if (limits_parse(pool, resources, &wanted, err) < 0 || record_spec(record, &spec, err) < 0)
        return error_prefix(err, "reading resources");
    struct cgroup cgroup;
    cgroup_decode(record->sandbox->cgroup, pool, &cgroup);
    if (cgroup.version != 0 &&
        cgroup_set_limits(&cgroup, &wanted->on_linux->limits, wanted->on_linux->resources, err) < 0)
        return error_prefix(err, "updating cgroups of container \"%s\"", record->id);
    if (set_inside(record, &wanted->on_linux->limits, err) < 0)
        return -1;
    spec->on_linux->resources = wanted->on_linux->resources;
    char *text = pool_strdup(pool, oci_spec_encode(spec, NULL));
    record->spec = (struct json_text){.bytes = text, .size = strlen(text)};
    return record_save(runtime->dir, record, err);
}

int cmd_update(struct cli *cli, const void *given, int argc, char **argv)
{
    static const char *const states[] = {STATUS_CREATED, STATUS_RUNNING, STATUS_PAUSED, NULL};
    struct runtime runtime;
    struct full_id id;
    struct error err;
    AUTO_RECORD struct record *record = NULL;
    int lock = -1;
    if (argc != 1)
        return cli_usage(cli);
    if (cli_container(cli, argv[0], true, &runtime, &record, &err) < 0)
        return cli_fail(cli, &err);
    int result = container_want_status(record, "update", states, &err);
    record_full_id(record, &id);
    if (result == 0)
        result = record_lock(runtime.dir, &id, false, &lock, &err);
    if (result == 0) {
        record_free(MOVE(record));
        result = record_load(runtime.dir, &id, &record, &err);
    }
    if (result == 0)
        result = update(&runtime, record, given, &err);
    if (lock >= 0)
        close(lock);
    runtime_close(&runtime);
    return result < 0 ? cli_fail(cli, &err) : 0;
}
