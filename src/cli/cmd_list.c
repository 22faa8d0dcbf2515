/* SPDX-License-Identifier: Apache-2.0 */
/* list: all containers of this root. */
#include "cli/commands.h"
#include "runtime/hooks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS 6u

static void print_ids(const struct full_id *ids, u32 count, bool is_sandbox)
{
    for (u32 i = 0; i < count; i++)
        if (!is_sandbox || strcmp(ids[i].container, ids[i].sandbox) == 0)
            puts(ids[i].container);
}

static void print_text(struct record **records, u32 count)
{
    const char **cells = calloc((count + 1) * COLUMNS, sizeof(char *));
    AUTO_POOL struct pool pool = {0};
    pool_init(&pool, NULL);
    if (!cells)
        abort();
    static const char *const head[COLUMNS] = {"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"};
    memcpy(cells, head, sizeof head);
    for (u32 i = 0; i < count; i++) {
        const struct record *record = records[i];
        const char *row[COLUMNS] = {record->id,
                                    pool_printf(&pool, "%lld", (long long)record_shown_pid(record)),
                                    record->status,
                                    record->bundle_dir ? record->bundle_dir : "",
                                    record->created_at ? record->created_at : "",
                                    record->owner ? record->owner : ""};
        memcpy(cells + (i + 1) * COLUMNS, row, sizeof row);
    }
    table_print(cells, count + 1, COLUMNS, 12);
    free(cells);
}

static void print_json(struct record **records, u32 count)
{
    if (count == 0) {
        puts("null");
        return;
    }
    for (u32 i = 0; i < count; i++) {
        struct error unused;
        AUTO_OCI_SPEC struct oci_spec *spec = NULL;
        (void)!record_spec(records[i], &spec, &unused);
        struct oci_state state = {.id = records[i]->id,
                                  .status = records[i]->status,
                                  .pid = record_shown_pid(records[i]),
                                  .bundle = records[i]->bundle_dir,
                                  .spec = spec};
        char *text = oci_state_json(&state, NULL);
        printf("%s%s", i ? "," : "[", text);
        free(text);
    }
    puts("]");
}

int cmd_list(struct cli *cli, const void *given, int argc, char **argv)
{
    const struct list_options *options = given;
    struct runtime runtime;
    struct error err;
    struct full_id *ids = NULL;
    u32 count = 0, loaded = 0;
    if (argc != 0)
        return cli_usage(cli);
    bool is_json = strcmp(options->format, "json") == 0;
    if (!is_json && strcmp(options->format, "text") != 0 && strcmp(options->format, "table") != 0) {
        error_set(&err, 0, "unknown list format \"%s\"", options->format);
        return cli_fail(cli, &err);
    }
    if (runtime_open(&cli->config, false, &runtime, &err) < 0 ||
        state_dir_list(runtime.dir, &ids, &count, &err) < 0)
        return cli_fail(cli, &err);
    if (options->is_quiet) {
        print_ids(ids, count, options->is_sandbox);
    } else {
        struct record **records = calloc(count + 1, sizeof *records);
        for (u32 i = 0; records && i < count; i++) {
            if (options->is_sandbox && strcmp(ids[i].container, ids[i].sandbox) != 0)
                continue;
            if (container_load(&runtime, &ids[i], true, &records[loaded], &err) == 0)
                loaded++;
            else if (err.code != ENOENT) /* else deleted meanwhile */
                fprintf(stderr, "warning: %s\n", err.text);
        }
        if (is_json)
            print_json(records, loaded);
        else
            print_text(records, loaded);
        for (u32 i = 0; i < loaded; i++)
            record_free(records[i]);
        free(records);
    }
    free(ids);
    runtime_close(&runtime);
    return 0;
}
