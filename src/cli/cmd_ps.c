/* SPDX-License-Identifier: Apache-2.0 */
/* ps ID: the container's processes. */
#include "cli/commands.h"
#include "runtime/control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS 8u

static const char *member_text(struct json_text row, const char *name, struct pool *pool)
{
    struct json_text value = json_member(row, name);
    if (json_type(value) == JSON_STRING)
        return json_string(value, pool, NULL);
    return value.bytes ? pool_strndup(pool, value.bytes, value.size) : "0";
}

static void print_table(struct json_text list, struct pool *pool)
{
    static const char *const head[COLUMNS] = {"UID", "PID",   "PPID", "C",
                                              "TTY", "STIME", "TIME", "CMD"};
    static const char *const members[COLUMNS] = {"uid", "pid",   "ppid", "c",
                                                 "tty", "stime", "time", "cmd"};
    size_t count = json_type(list) == JSON_ARRAY ? json_count(list) : 0;
    const char **cells = calloc((count + 1) * COLUMNS, sizeof(char *));
    if (!cells)
        abort();
    memcpy(cells, head, sizeof head);
    struct json_iter iter;
    struct json_text name, row;
    size_t at = COLUMNS;
    if (count > 0)
        json_iter_init(&iter, list);
    while (count > 0 && json_iter_next(&iter, &name, &row))
        for (u32 i = 0; i < COLUMNS; i++)
            cells[at++] = member_text(row, members[i], pool);
    table_print(cells, (u32)count + 1, COLUMNS, 10);
    free(cells);
}

static void print_pids(struct json_text list, struct pool *pool)
{
    struct json_iter iter;
    struct json_text name, row;
    bool is_first = true;
    putchar('[');
    if (json_type(list) == JSON_ARRAY) {
        json_iter_init(&iter, list);
        for (; json_iter_next(&iter, &name, &row); is_first = false)
            printf("%s%s", is_first ? "" : ",", member_text(row, "pid", pool));
    }
    puts("]");
}

int cmd_ps(struct cli *cli, const void *given, int argc, char **argv)
{
    static const char *const states[] = {STATUS_RUNNING, STATUS_PAUSED, NULL};
    const struct ps_options *options = given;
    struct runtime runtime;
    struct error err;
    AUTO_RECORD struct record *record = NULL;
    AUTO_URPC_ANSWER struct urpc_answer answer = {0};
    if (argc < 1) /* words of ps(1) behind the id are ignored */
        return cli_usage(cli);
    bool is_json = strcmp(options->format, "json") == 0;
    if (!is_json && strcmp(options->format, "table") != 0) {
        error_set(&err, 0, "unsupported format: %s", options->format);
        return cli_fail(cli, &err);
    }
    if (cli_container(cli, argv[0], false, &runtime, &record, &err) < 0)
        return cli_fail(cli, &err);
    runtime_close(&runtime);
    if (container_want_status(record, "get processes of", states, &err) < 0 ||
        control_call(record, "containerManager.Processes",
                     control_string(&record->pool, record->id), NULL, 0, &answer, &err) < 0)
        return cli_fail(cli, &err);
    if (is_json)
        print_pids(answer.result, &record->pool);
    else
        print_table(answer.result, &record->pool);
    return 0;
}
