/* SPDX-License-Identifier: Apache-2.0 */
/*
 * events ID: one line a sample. The sandbox counts its own CPU time; what the host's cgroup counted
 * is more, so the total shown is the host's figure, shared out as the sandbox's counts are.
 */
#include "base/buf.h"
#include "cli/commands.h"
#include "runtime/cgroup.h"
#include "runtime/control.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static i64 member_i64(struct json_text object, const char *path)
{
    i64 value = 0;
    struct json_text text = json_path(object, path);
    return text.bytes && json_i64(text, &value) ? value : 0;
}

/* The container's share of the host's figure, or the sandbox's own one. */
static u64 cpu_total(const struct record *record, struct json_text result, struct pool *pool)
{
    struct json_text usage = json_member(result, "containerUsage");
    i64 own = member_i64(result, "event.data.cpu.usage.total");
    double sum = 0, ours = 0;
    size_t count = 0;
    if (json_type(usage) == JSON_OBJECT) {
        struct json_iter iter;
        struct json_text name, value;
        json_iter_init(&iter, usage);
        for (; json_iter_next(&iter, &name, &value); count++) {
            i64 ns;
            if (!json_i64(value, &ns))
                continue;
            sum += (double)ns;
            if (json_string_is(name, record->id)) {
                ours = (double)ns;
                own = own > 0 ? own : ns;
            }
        }
    }
    struct cgroup cgroup;
    cgroup_decode(record->sandbox->cgroup, pool, &cgroup);
    i64 host = cgroup_cpu_ns(&cgroup);
    if (host < 0)
        return (u64)own;
    if (sum <= 0)
        return count > 1 ? (u64)host / count : (u64)host;
    return (u64)((double)host * (ours / sum));
}

/* TEXT as it is, but for the member PATH[0] / PATH[1] / … of it, which becomes VALUE (left out when
 * 0). */
static void put_replaced(struct json_writer *writer, struct json_text text, const char *const *path,
                         u64 value)
{
    struct json_iter iter;
    struct json_text name, member;
    bool is_found = false, is_last = path[1] == NULL;
    json_begin_object(writer);
    if (json_type(text) == JSON_OBJECT) {
        AUTO_POOL struct pool pool = {0};
        pool_init(&pool, NULL);
        json_iter_init(&iter, text);
        while (json_iter_next(&iter, &name, &member)) {
            bool is_it = json_string_is(name, path[0]);
            is_found = is_found || is_it;
            if (is_it && is_last)
                continue;
            json_name(writer, json_string(name, &pool, NULL));
            if (is_it)
                put_replaced(writer, member, path + 1, value);
            else
                json_put_raw(writer, member);
        }
    }
    if (is_last && value > 0) {
        json_name(writer, path[0]);
        json_put_u64(writer, value);
    }
    json_end_object(writer);
}

/* 1: nobody takes it any more. */
static int sample(const struct record *record, struct error *err)
{
    static const char *const path[] = {"data", "cpu", "usage", "total", NULL};
    AUTO_POOL struct pool pool = {0};
    pool_init(&pool, NULL);
    AUTO_URPC_ANSWER struct urpc_answer answer = {0};
    if (control_call(record, "containerManager.Event", control_string(&pool, record->id), NULL, 0,
                     &answer, err) < 0)
        return -1;
    struct arena arena;
    heap_arena_init(&arena);
    AUTO_BUF struct buf buf;
    buf_init(&buf, &arena, 0);
    struct json_writer writer;
    json_writer_init(&writer, &buf);
    put_replaced(&writer, json_member(answer.result, "event"), path,
                 cpu_total(record, answer.result, &pool));
    puts(buf_text(&buf));
    return fflush(stdout) ? 1 : 0;
}

int cmd_events(struct cli *cli, const void *given, int argc, char **argv)
{
    static const char *const states[] = {STATUS_CREATED, STATUS_RUNNING, STATUS_PAUSED, NULL};
    const struct events_options *options = given;
    struct runtime runtime;
    struct error err;
    AUTO_RECORD struct record *record = NULL;
    i64 interval;
    if (argc != 1)
        return cli_usage(cli);
    if (int_parse(options->interval, &interval) && interval > 0 && interval < INT32_MAX)
        interval *= (i64)NS_PER_S;
    else if (!duration_parse(options->interval, &interval) || interval <= 0) {
        error_set(&err, 0, "invalid value \"%s\" for flag -interval: parse error",
                  options->interval);
        return cli_fail(cli, &err);
    }
    if (cli_container(cli, argv[0], true, &runtime, &record, &err) < 0)
        return cli_fail(cli, &err);
    runtime_close(&runtime);
    if (container_want_status(record, "get events for", states, &err) < 0)
        return cli_fail(cli, &err);
    struct timespec pause = {.tv_sec = interval / (i64)NS_PER_S,
                             .tv_nsec = interval % (i64)NS_PER_S};
    for (;;) {
        int failed = sample(record, &err);
        if (options->is_once || failed > 0)
            return failed < 0 ? cli_fail(cli, &err) : 0;
        if (failed && !sandbox_is_alive(record)) /* no sample will ever come again */
            return cli_fail(cli, &err);
        if (failed)
            fprintf(stderr, "warning: %s\n", err.text);
        nanosleep(&pause, NULL);
    }
}
