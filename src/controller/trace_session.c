/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiver containerManager: trace sessions. Everything is judged before anything changes, so a
 * call that fails leaves the session that was there. The i-th descriptor is the i-th sink's; the
 * null sink needs none and closes what it got.
 */
#include <errno.h>
#include <string.h>

#include "abi/stat.h"
#include "controller/internal.h"
#include "sentry/observe/points.h"

#define SESSION_NAME "Default"
#define RETRIES_MAX 1000u
#define BACKOFF_NS 25000u
#define BACKOFF_MAX_NS 10000000u

struct trace_point {
    char *name;
    WIRE_LIST(char *) optional;
    WIRE_LIST(char *) context;
};
struct sink_status {
    u64 dropped;
};
struct trace_sink {
    char *name;
    struct json_text config;
    bool ignores_setup_error;
    struct sink_status status;
};
struct trace_config {
    char *name;
    WIRE_LIST(struct trace_point) points;
    bool ignores_missing;
    WIRE_LIST(struct trace_sink) sinks;
};
struct trace_call {
    struct trace_config config;
    bool is_forced;
};

static const struct wire_field point_fields[] = {
    WIRE_FIELD(struct trace_point, name, "name", &wire_string),
    WIRE_FIELD(struct trace_point, optional, "optional_fields",
               WIRE_LIST_OF(&wire_string, "[]string")),
    WIRE_FIELD(struct trace_point, context, "context_fields",
               WIRE_LIST_OF(&wire_string, "[]string")),
    WIRE_END,
};
static const struct wire_type point_type = WIRE_TYPE_STRUCT(struct trace_point, point_fields,
                                                            "seccheck.PointConfig");
static const struct wire_field status_fields[] = {
    WIRE_FIELD(struct sink_status, dropped, "DroppedCount", &wire_uint64),
    WIRE_END,
};
static const struct wire_type status_type = WIRE_TYPE_STRUCT(struct sink_status, status_fields,
                                                             "seccheck.SinkStatus");
static const struct wire_field sink_fields[] = {
    WIRE_FIELD(struct trace_sink, name, "name", &wire_string),
    WIRE_FIELD(struct trace_sink, config, "config", &wire_raw),
    WIRE_FIELD(struct trace_sink, ignores_setup_error, "ignore_setup_error", &wire_bool),
    WIRE_FIELD(struct trace_sink, status, "status", &status_type),
    WIRE_END,
};
static const struct wire_type sink_type = WIRE_TYPE_STRUCT(struct trace_sink, sink_fields,
                                                           "seccheck.SinkConfig");
static const struct wire_field config_fields[] = {
    WIRE_FIELD(struct trace_config, name, "name", &wire_string),
    WIRE_FIELD(struct trace_config, points, "points",
               WIRE_LIST_OF(&point_type, "[]seccheck.PointConfig")),
    WIRE_FIELD(struct trace_config, ignores_missing, "ignore_missing", &wire_bool),
    WIRE_FIELD(struct trace_config, sinks, "sinks",
               WIRE_LIST_OF(&sink_type, "[]seccheck.SinkConfig")),
    WIRE_END,
};
static const struct wire_type config_type = WIRE_TYPE_STRUCT(struct trace_config, config_fields,
                                                             "seccheck.SessionConfig");
static const struct wire_field call_fields[] = {
    WIRE_FIELD(struct trace_call, config, "Config", &config_type),
    WIRE_FIELD(struct trace_call, is_forced, "Force", &wire_bool),
    WIRE_END,
};
const struct wire_type rpc_trace_type = WIRE_TYPE_STRUCT(struct trace_call, call_fields,
                                                         "boot.CreateTraceSessionArgs");

/* ---- points --------------------------------------------------------------------------------- */

/* Bits of NAMES among TABLE, of which ALLOWED may be asked for. */
static int parse_names(struct rpc_call *call, const struct trace_config *config,
                       const struct trace_point *point, char *const *names, size_t count,
                       const char *const *table, u32 table_count, u32 allowed, u32 *bits)
{
    *bits = 0;
    for (size_t i = 0; i < count; i++) {
        u32 at = 0;
        while (at < table_count && strcmp(table[at], rpc_text(names[i])) != 0)
            at++;
        if (at < table_count && allowed >> at & 1)
            *bits |= 1u << at;
        else if (!config->ignores_missing)
            return error_set(call->err, EINVAL, "configuring point \"%s\": field \"%s\" not found",
                             rpc_text(point->name), rpc_text(names[i]));
    }
    return 0;
}

static int parse_point(struct rpc_call *call, const struct trace_config *config,
                       const struct trace_point *point, struct point_setting *settings)
{
    char name[POINT_NAME_MAX];
    u32 can_optional, can_context, optional, context;
    i32 index = point_find(rpc_text(point->name));
    if (index < 0)
        return config->ignores_missing
                   ? 0
                   : error_set(call->err, ENOENT, "point \"%s\" not found", rpc_text(point->name));
    (void)point_describe((u32)index, name, &can_optional, &can_context);
    if (parse_names(call, config, point, point->optional.items, point->optional.count,
                    point_optional_names, OPTIONAL_COUNT, can_optional, &optional) ||
        parse_names(call, config, point, point->context.items, point->context.count,
                    point_context_names, CONTEXT_COUNT, can_context, &context))
        return -1;
    settings[index] = (struct point_setting){
        .context = (u16)context, .optional = (u8)optional, .is_on = true};
    return 0;
}

/* ---- sinks ---------------------------------------------------------------------------------- */

/* "25us" and the like, of one unit. */
static bool parse_duration(struct rpc_call *call, struct json_text text, u64 *ns)
{
    static const struct {
        const char *unit;
        u64 ns;
    } units[] = {{"ns", 1},       {"us", 1000},    {"\xc2\xb5s", 1000},
                 {"ms", 1000000}, {"s", NS_PER_S}, {"m", 60 * NS_PER_S}};
    u64 number = 0;
    const char *at = json_string(text, call->pool, NULL);
    if (!at || *at < '0' || *at > '9')
        return false;
    for (; *at >= '0' && *at <= '9' && number < 1000000; at++)
        number = number * 10 + (u64)(*at - '0');
    for (size_t i = 0; i < ARRAY_COUNT(units); i++)
        if (strcmp(at, units[i].unit) == 0) {
            *ns = number * units[i].ns;
            return true;
        }
    return false;
}

static int parse_remote(struct rpc_call *call, const struct trace_sink *from, u32 index,
                        struct point_sink *to)
{
    struct host_stat stat;
    u64 retries = 0;
    struct json_text count = json_member(from->config, "retries"),
                     backoff = json_member(from->config, "backoff"),
                     backoff_max = json_member(from->config, "backoff_max");
    to->backoff_ns = BACKOFF_NS;
    to->backoff_max_ns = BACKOFF_MAX_NS;
    if ((count.bytes && (!json_u64(count, &retries) || retries > RETRIES_MAX)) ||
        (backoff.bytes && !parse_duration(call, backoff, &to->backoff_ns)) ||
        (backoff_max.bytes && !parse_duration(call, backoff_max, &to->backoff_max_ns)))
        return error_set(call->err, EINVAL, "sink \"%s\": invalid configuration", from->name);
    to->retries = (u32)retries;
    int fd = rpc_take_fd(call, index);
    if (fd < 0)
        return error_set(call->err, EINVAL, "sink \"%s\" needs a connected descriptor", from->name);
    to->stream = host_stream_from_fd(call->kernel->host, fd);
    if (!to->stream)
        return error_set(call->err, ENOMEM, "out of memory");
    if (host_stream_stat(to->stream, &stat) || (stat.mode & LINUX_S_IFMT) != LINUX_S_IFSOCK)
        return error_set(call->err, ENOTSOCK, "sink \"%s\" needs a connected descriptor",
                         from->name);
    return 0;
}

static int parse_sinks(struct rpc_call *call, const struct trace_config *config,
                       struct points_config *out)
{
    if (config->sinks.count > POINT_SINKS_MAX)
        return error_set(call->err, EINVAL, "at most %u sinks are supported", POINT_SINKS_MAX);
    for (size_t i = 0; i < config->sinks.count; i++) {
        const struct trace_sink *sink = &config->sinks.items[i];
        bool is_null = strcmp(rpc_text(sink->name), "null") == 0;
        if (!is_null && strcmp(rpc_text(sink->name), "remote") != 0)
            return error_set(call->err, ENOENT, "sink \"%s\" not found", rpc_text(sink->name));
        out->sinks[i].name = sink->name;
        out->sink_count++;
        if (!is_null && parse_remote(call, sink, (u32)i, &out->sinks[i]))
            return -1;
    }
    return 0;
}

/* ---- sessions ------------------------------------------------------------------------------- */

static int check_name(struct rpc_call *call, const struct trace_call *args)
{
    const char *name = rpc_text(args->config.name);
    if (strcmp(name, SESSION_NAME) != 0)
        return error_set(call->err, EINVAL, "only a single \"%s\" session is supported",
                         SESSION_NAME);
    if (call->kernel->points && !args->is_forced)
        return error_set(call->err, EEXIST, "session \"%s\" already exists", name);
    return 0;
}

static int parse(struct rpc_call *call, const struct trace_config *config,
                 struct point_setting *settings, struct points_config *out)
{
    for (size_t i = 0; i < config->points.count; i++)
        if (parse_point(call, config, &config->points.items[i], settings))
            return -1;
    return parse_sinks(call, config, out);
}

SLEEPS int container_create_trace(struct rpc_call *call, const void *arg)
{
    const struct trace_call *args = arg;
    struct point_setting *settings = pool_alloc_array(call->pool, POINT_COUNT, sizeof *settings);
    struct points_config config = {
        .settings = settings,
        .sinks = pool_alloc_array(call->pool, POINT_SINKS_MAX, sizeof *config.sinks)};
    if (!settings || !config.sinks)
        return error_set(call->err, ENOMEM, "out of memory");
    if (check_name(call, args))
        return -1;
    int failed = parse(call, &args->config, settings, &config);
    if (!failed && call->kernel->points)
        points_stop(call->kernel, &call->task->fiber);
    if (!failed && !call->kernel->points) {
        failed = points_start(call->kernel, &config);
        return failed ? error_set(call->err, ENOMEM, "out of memory") : 0;
    }
    for (u32 i = 0; i < config.sink_count; i++)
        if (config.sinks[i].stream)
            host_stream_put(config.sinks[i].stream);
    return failed ? -1
                  : error_set(call->err, EEXIST, "session \"%s\" already exists", SESSION_NAME);
}

SLEEPS int container_delete_trace(struct rpc_call *call, const void *arg)
{
    const struct rpc_string *name = arg;
    if (!call->kernel->points || strcmp(rpc_text(name->text), SESSION_NAME) != 0)
        return error_set(call->err, ENOENT, "session \"%s\" not found", rpc_text(name->text));
    points_stop(call->kernel, &call->task->fiber);
    return 0;
}

SLEEPS int container_list_traces(struct rpc_call *call, const void *arg)
{
    struct json_writer *w = call->result;
    const struct point_sink *sink;
    if (!call->kernel->points) {
        json_put_null(w);
        return 0;
    }
    json_begin_array(w);
    json_begin_object(w);
    json_name(w, "name");
    json_put_string(w, SESSION_NAME);
    json_name(w, "sinks");
    json_begin_array(w);
    for (u32 i = 0; (sink = points_sink(call->kernel, i)) != NULL; i++) {
        json_begin_object(w);
        json_name(w, "name");
        json_put_string(w, sink->name);
        json_name(w, "status");
        json_begin_object(w);
        json_name(w, "DroppedCount");
        json_put_u64(w, sink->dropped);
        json_end_object(w);
        json_end_object(w);
    }
    json_end_array(w);
    json_end_object(w);
    json_end_array(w);
    return 0;
}
