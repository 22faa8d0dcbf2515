/* SPDX-License-Identifier: Apache-2.0 */
/* trace create, delete, list, procfs ID; trace metadata; trace collect SOCKET. */
#include "cli/trace_collect.h"
#include "base/sort.h"
#include "cli/commands.h"
#include "runtime/control.h"
#include "runtime/trace.h"
#include "sentry/observe/points.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct trace_options {
    const char *config, *name;
    bool is_forced;
    i64 count;
};
static const struct flag trace_flags[] = {
    FLAG_ROW("config", FLAG_STRING, struct trace_options, config, "", "file of the session"),
    FLAG_ROW("name", FLAG_STRING, struct trace_options, name, "", "of the session"),
    FLAG_ROW("force", FLAG_BOOL, struct trace_options, is_forced, "false", "replace a session"),
    FLAG_ROW("count", FLAG_INT, struct trace_options, count, "0", "end after so many messages"),
    FLAG_END,
};

struct trace_command {
    struct cli *cli;
    struct trace_options options;
    struct record *record; /* NULL: a command without an ID */
    const char *word;      /* its one argument */
};

/* ---- create --------------------------------------------------------------------------------- */

static int trace_create(struct trace_command *command, struct error *err)
{
    struct pool *pool = &command->record->pool;
    struct json_text session;
    char *text;
    size_t size;
    if (!*command->options.config)
        return error_set(err, EINVAL, "missing path to configuration file, please set --config");
    if (cli_read_file(command->options.config, &text, &size, err) < 0)
        return -1;
    int result = trace_session_parse(text, size, pool, &session, err);
    free(text);
    if (result < 0)
        return error_prefix(err, "loading %s", command->options.config);
    if (trace_session_create(command->record, session, command->options.is_forced, err) < 0)
        return error_prefix(err, "creating session");
    const char *name = json_string(json_member(session, "name"), pool, NULL);
    printf("Trace session \"%s\" created.\n", name ? name : "");
    return 0;
}

/* ---- the others ----------------------------------------------------------------------------- */

static int trace_delete(struct trace_command *command, struct error *err)
{
    struct pool *pool = &command->record->pool;
    if (!*command->options.name)
        return error_set(err, EINVAL, "missing session name, please set --name");
    if (control_call(command->record, "containerManager.DeleteTraceSession",
                     control_string(pool, command->options.name), NULL, 0, NULL, err) < 0)
        return error_prefix(err, "deleting session");
    printf("Trace session \"%s\" deleted.\n", command->options.name);
    return 0;
}

static int trace_list(struct trace_command *command, struct error *err)
{
    AUTO_URPC_ANSWER struct urpc_answer answer = {0};
    struct pool *pool = &command->record->pool;
    struct json_iter iter, inner;
    struct json_text name, session, sink;
    if (control_call(command->record, "containerManager.ListTraceSessions", NULL, NULL, 0, &answer,
                     err) < 0)
        return error_prefix(err, "listing sessions");
    bool is_list = json_type(answer.result) == JSON_ARRAY;
    printf("SESSIONS (%zu)\n", is_list ? json_count(answer.result) : (size_t)0);
    if (!is_list)
        return 0;
    json_iter_init(&iter, answer.result);
    while (json_iter_next(&iter, &name, &session)) {
        printf("\"%s\"\n", json_string(json_member(session, "name"), pool, NULL));
        struct json_text sinks = json_member(session, "sinks");
        if (json_type(sinks) != JSON_ARRAY)
            continue;
        json_iter_init(&inner, sinks);
        while (json_iter_next(&inner, &name, &sink)) {
            u64 dropped = 0;
            (void)!json_u64(json_path(sink, "status.DroppedCount"), &dropped);
            printf("\tSink: \"%s\", dropped: %llu\n",
                   json_string(json_member(sink, "name"), pool, NULL), (unsigned long long)dropped);
        }
    }
    return 0;
}

static int trace_procfs(struct trace_command *command, struct error *err)
{
    AUTO_URPC_ANSWER struct urpc_answer answer = {0};
    struct json_iter iter;
    struct json_text name, process;
    if (control_call(command->record, "containerManager.ProcfsDump", NULL, NULL, 0, &answer, err) <
        0)
        return error_prefix(err, "procfs dump");
    printf("PROCFS DUMP\n");
    if (json_type(answer.result) != JSON_ARRAY)
        return 0;
    json_iter_init(&iter, answer.result);
    while (json_iter_next(&iter, &name, &process))
        printf("\n%.*s\n", (int)process.size, process.bytes);
    return 0;
}

static void print_bits(const char *const *names, u32 count, u32 bits)
{
    bool is_first = true;
    putchar('[');
    for (u32 i = 0; i < count; i++)
        if (bits >> i & 1) {
            printf("%s%s", is_first ? "" : "|", names[i]);
            is_first = false;
        }
    putchar(']');
}

struct point_name {
    char name[POINT_NAME_MAX];
    u32 optional, context;
};

static int compare_points(const void *a, const void *b, void *arg)
{
    const struct point_name *left = a, *right = b;
    return strcmp(left->name, right->name);
}

static int trace_metadata(void)
{
    struct point_name *points = calloc(POINT_COUNT, sizeof *points);
    u32 count = 0;
    if (!points)
        abort();
    for (u32 i = 0; i < POINT_COUNT; i++)
        count += point_describe(i, points[count].name, &points[count].optional,
                                &points[count].context);
    sort_stable(points, count, sizeof *points, compare_points, NULL);
    printf("POINTS (%u)\n", count);
    for (u32 i = 0; i < count; i++) {
        printf("Name: %s, optional fields: ", points[i].name);
        print_bits(point_optional_names, OPTIONAL_COUNT, points[i].optional);
        printf(", context fields: ");
        print_bits(point_context_names, CONTEXT_COUNT, points[i].context);
        putchar('\n');
    }
    printf("\nSINKS (2)\nName: null\nName: remote\n");
    free(points);
    return 0;
}

static int with_sandbox(struct trace_command *command,
                        int (*run)(struct trace_command *command, struct error *err),
                        struct error *err)
{
    struct runtime runtime;
    AUTO_RECORD struct record *record = NULL;
    if (cli_container(command->cli, command->word, false, &runtime, &record, err) < 0)
        return -1;
    runtime_close(&runtime);
    command->record = record;
    return run(command, err);
}

int cmd_trace(struct cli *cli, const void *given, int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(struct trace_command *command, struct error *err);
    } rows[] = {{"create", trace_create},
                {"delete", trace_delete},
                {"list", trace_list},
                {"procfs", trace_procfs}};
    struct trace_command command = {.cli = cli};
    struct error err;
    int used = 0;
    if (argc < 1)
        return cli_usage(cli);
    flags_init(trace_flags, &command.options);
    if (flags_parse(trace_flags, &command.options, argc - 1, argv + 1, &used, &err) != 0)
        return cli_usage(cli);
    int words = argc - 1 - used;
    command.word = argv[1 + used];
    if (strcmp(argv[0], "metadata") == 0)
        return words == 0 ? trace_metadata() : cli_usage(cli);
    if (words != 1)
        return cli_usage(cli);
    if (strcmp(argv[0], "collect") == 0)
        return trace_collect(command.word, (u64)MAX(command.options.count, (i64)0), &err) < 0
                   ? cli_fail(cli, &err)
                   : 0;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        if (strcmp(argv[0], rows[i].name) == 0)
            return with_sandbox(&command, rows[i].run, &err) < 0 ? cli_fail(cli, &err) : 0;
    return cli_usage(cli);
}
