/* SPDX-License-Identifier: Apache-2.0 */
/* export-metrics ID: a sandbox's metrics in Prometheus' text form. metric-metadata: what there is
 * to be measured. */
#include "cli/commands.h"
#include "cli/prometheus.h"
#include "runtime/control.h"
#include "sentry/kernel/metrics.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int cmd_export_metrics(struct cli *cli, const void *given, int argc, char **argv)
{
    const struct export_options *options = given;
    struct runtime runtime;
    struct error err;
    AUTO_RECORD struct record *record = NULL;
    AUTO_URPC_ANSWER struct urpc_answer answer = {0};
    if (argc != 1)
        return cli_usage(cli);
    if (cli_container(cli, argv[0], false, &runtime, &record, &err) < 0)
        return cli_fail(cli, &err);
    runtime_close(&runtime);
    struct pool *pool = &record->pool;
    char *arg = pool_printf(pool, "{\"only_metrics\":%s}", control_string(pool, options->filter));
    if (control_call(record, "Metrics.Export", arg, NULL, 0, &answer, &err) < 0) {
        (void)error_prefix(&err, "failed to export metrics");
        return cli_fail(cli, &err);
    }
    struct arena arena;
    heap_arena_init(&arena);
    AUTO_BUF struct buf buf;
    buf_init(&buf, &arena, 0);
    u32 count = 0;
    const char *when = json_string(json_path(answer.result, "snapshot.when"), pool, NULL);
    if (buf_printf(&buf,
                   "# Command-line export for sandbox %s\n# Writing data from snapshot containing "
                   "%u data points taken at %s.\n\n",
                   record->sandbox->id, prometheus_count(answer.result), when ? when : "") ||
        prometheus_put(&buf, answer.result, options->prefix, record, &count) ||
        buf_append_text(&buf, "\n# End of metric data.\n")) {
        error_set(&err, EPROTO, "the sandbox's metrics are malformed");
        return cli_fail(cli, &err);
    }
    fwrite(buf_bytes(&buf), 1, buf.size, stdout);
    printf("Wrote %zu bytes of Prometheus metric data to stdout\n", buf.size);
    return 0;
}

/* Protobuf's text form of the registration. */
int cmd_metric_metadata(struct cli *cli, const void *given, int argc, char **argv)
{
    if (argc != 0)
        return cli_usage(cli);
    for (u32 id = 0; id < METRIC_COUNT; id++) {
        const struct metric_row *row = &metric_rows[id];
        printf("metrics:  {\n  name:  \"%s\"\n  description:  \"%s\"\n  cumulative:  true\n",
               row->path, row->text);
        if (row->is_ns)
            printf("  units:  UNITS_NANOSECONDS\n");
        if (row->field)
            printf("  fields:  {\n    field_name:  \"%s\"\n", row->field);
        for (u32 i = 0; row->field && (row->values ? row->values[i] != NULL : i < METRIC_SYSCALLS);
             i++)
            if (row->values)
                printf("    allowed_values:  \"%s\"\n", row->values[i]);
            else
                printf("    allowed_values:  \"%u\"\n", i);
        if (row->field)
            printf("  }\n");
        printf("  prometheus_name:  \"");
        for (const char *at = row->path + 1; *at; at++)
            putchar(*at == '/' ? '_' : *at);
        printf("\"\n}\n");
    }
    return 0;
}
