/* SPDX-License-Identifier: Apache-2.0 */
/* Receiver Metrics: what is counted, and a snapshot of it. Counters at zero are left out of a
 * snapshot. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/regexp.h"
#include "controller/internal.h"

/* ---- the registration: names as the wire has them, zero members left out -------------------- */

static void put_values(struct json_writer *w, const struct metric_row *row)
{
    char number[16];
    json_begin_array(w);
    for (u32 i = 0; row->values ? row->values[i] != NULL : i < METRIC_SYSCALLS; i++) {
        snprintf(number, sizeof number, "%u", i);
        json_put_string(w, row->values ? row->values[i] : number);
    }
    json_end_array(w);
}

/* "/fs/opens" is "fs_opens". */
static void prometheus_name(const struct metric_row *row, char out[64])
{
    snprintf(out, 64, "%s", row->path + 1);
    for (char *at = out; *at; at++)
        if (*at == '/')
            *at = '_';
}

static void put_registration(struct json_writer *w, const struct metric_row *row)
{
    char name[64];
    prometheus_name(row, name);
    json_begin_object(w);
    json_name(w, "name");
    json_put_string(w, row->path);
    json_name(w, "description");
    json_put_string(w, row->text);
    json_name(w, "cumulative");
    json_put_bool(w, true);
    if (row->is_ns) {
        json_name(w, "units");
        json_put_u64(w, 1);
    }
    if (row->field) {
        json_name(w, "fields");
        json_begin_array(w);
        json_begin_object(w);
        json_name(w, "field_name");
        json_put_string(w, row->field);
        json_name(w, "allowed_values");
        put_values(w, row);
        json_end_object(w);
        json_end_array(w);
    }
    json_name(w, "prometheus_name");
    json_put_string(w, name);
    json_end_object(w);
}

static int get_registered(struct rpc_call *call, const void *arg)
{
    struct json_writer *w = call->result;
    json_begin_object(w);
    json_name(w, "RegisteredMetrics");
    json_begin_object(w);
    json_name(w, "metrics");
    json_begin_array(w);
    for (u32 i = 0; i < METRIC_COUNT; i++)
        put_registration(w, &metric_rows[i]);
    json_end_array(w);
    json_end_object(w);
    json_end_object(w);
    return 0;
}

/* ---- snapshots ------------------------------------------------------------------------------ */

struct export_call {
    char *only;
};
static const struct wire_field export_fields[] = {
    WIRE_FIELD(struct export_call, only, "only_metrics", &wire_string),
    WIRE_END,
};
static const struct wire_type export_type = WIRE_TYPE_STRUCT(struct export_call, export_fields,
                                                             "control.MetricsExportOpts");

#define TYPE_COUNTER 2u

static void put_point(struct json_writer *w, const struct metric_row *row, u32 index, u64 value)
{
    char name[64], number[16];
    prometheus_name(row, name);
    json_begin_object(w);
    json_name(w, "metric");
    json_begin_object(w);
    json_name(w, "name");
    json_put_string(w, name);
    json_name(w, "type");
    json_put_u64(w, TYPE_COUNTER);
    json_name(w, "help");
    json_put_string(w, row->text);
    json_end_object(w);
    json_name(w, "labels");
    if (row->field) {
        snprintf(number, sizeof number, "%u", index);
        json_begin_object(w);
        json_name(w, row->field);
        json_put_string(w, row->values ? row->values[index] : number);
        json_end_object(w);
    } else {
        json_put_null(w);
    }
    json_name(w, "val");
    json_begin_object(w);
    json_name(w, "int");
    json_put_u64(w, value);
    json_end_object(w);
    json_end_object(w);
}

static void put_points(struct rpc_call *call, const struct regexp *only)
{
    struct json_writer *w = call->result;
    char name[64];
    u64 value;
    for (u32 id = 0; id < METRIC_COUNT; id++) {
        const struct metric_row *row = &metric_rows[id];
        prometheus_name(row, name);
        if (!regexp_search(only, name))
            continue;
        for (u32 i = 0; metric_value(&call->kernel->metrics, id, i, &value); i++)
            if (value > 0)
                put_point(w, row, i, value);
    }
}

static int export(struct rpc_call *call, const void *arg)
{
    const struct export_call *export = arg;
    struct json_writer *w = call->result;
    char when[TIME_TEXT_SIZE];
    struct regexp *only = pool_alloc(call->pool, sizeof *only);
    if (!only)
        return error_set(call->err, ENOMEM, "out of memory");
    const char *wrong = regexp_compile(only, rpc_text(export->only));
    if (wrong)
        return error_set(call->err, EINVAL, "cannot compile regexp \"%.200s\": %s",
                         rpc_text(export->only), wrong);
    time_text(kernel_realtime_ns(call->kernel), when);
    json_begin_object(w);
    json_name(w, "snapshot");
    json_begin_object(w);
    json_name(w, "when");
    json_put_string(w, when);
    json_name(w, "data");
    json_begin_array(w);
    put_points(call, only);
    json_end_array(w);
    json_end_object(w);
    json_end_object(w);
    return 0;
}

const struct rpc_method metrics_methods[] = {
    {"Metrics.GetRegisteredMetrics", NULL, get_registered},
    {"Metrics.Export", &export_type, export},
    {NULL},
};
