/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime's side of the control socket. */
#include "runtime/control.h"

#include "base/buf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int control_connect(const struct record *record, struct urpc_client **out, struct error *err)
{
    const char *path = record->sandbox->control_socket_path;
    if (path && *path) {
        if (urpc_client_connect(path, out, err) == 0)
            return 0;
    } else {
        /* A client of 2022 wrote the record back without that member; it knows the abstract name.
         */
        AUTO_POOL struct pool pool = {0};
        pool_init(&pool, NULL);
        path = pool_printf(&pool, "runsc-sandbox.%s", record->sandbox->id);
        if (urpc_client_connect_abstract(path, strlen(path) + 1, out, err) == 0)
            return 0;
    }
    return error_prefix(err, "connecting to control server at PID %lld",
                        (long long)record->sandbox->pid);
}

int control_call(const struct record *record, const char *method, const char *arg_json,
                 const int *fds, u32 fd_count, struct urpc_answer *answer, struct error *err)
{
    AUTO_URPC_CLIENT struct urpc_client *client = NULL;
    AUTO_URPC_ANSWER struct urpc_answer own = {0};
    if (control_connect(record, &client, err) < 0)
        return -1;
    return urpc_call(client, method, arg_json, fds, fd_count, answer ? answer : &own, err);
}

/* Ends WRITER's text as a string of the pool. */
static char *writer_text(struct json_writer *writer, struct pool *pool)
{
    ASSERT(!writer->failed);
    return pool_strndup(pool, (const char *)buf_bytes(writer->buf), writer->buf->size);
}

char *control_string(struct pool *pool, const char *text)
{
    struct arena arena;
    heap_arena_init(&arena);
    AUTO_BUF struct buf buf;
    buf_init(&buf, &arena, 0);
    struct json_writer writer;
    json_writer_init(&writer, &buf);
    json_put_string(&writer, text);
    return writer_text(&writer, pool);
}

char *control_wait_pid_arg(struct pool *pool, const char *id, i64 pid)
{
    return pool_printf(pool, "{\"PID\":%lld,\"CID\":%s}", (long long)pid, control_string(pool, id));
}

int control_signal(const struct record *record, i32 signo, i32 pid, enum control_signal_mode mode,
                   i32 pgid, struct error *err)
{
    AUTO_POOL struct pool pool = {0};
    pool_init(&pool, NULL);
    char *group = mode == CONTROL_GROUP ? pool_printf(&pool, ",\"PGID\":%d", pgid)
                                        : pool_strdup(&pool, "");
    char *arg = pool_printf(&pool, "{\"CID\":%s,\"Signo\":%d,\"PID\":%d,\"Mode\":%d%s}",
                            control_string(&pool, record->id), signo, pid, (int)mode, group);
    return control_call(record, "containerManager.Signal", arg, NULL, 0, NULL, err);
}

int control_state(const struct record *record, i64 *state, struct error *err)
{
    AUTO_POOL struct pool pool = {0};
    pool_init(&pool, NULL);
    AUTO_URPC_ANSWER struct urpc_answer answer = {0};
    char *arg = control_string(&pool, record->id);
    if (control_call(record, "containerManager.ContainerRuntimeState", arg, NULL, 0, &answer, err) <
        0)
        return -1;
    return urpc_answer_i64(&answer, state, err);
}

int control_results(const struct urpc_answer *answer, struct pool *pool, char **first,
                    struct error *err)
{
    struct json_iter iter;
    struct json_text name, result, list = json_member(answer->result, "results");
    if (json_type(list) != JSON_ARRAY)
        return error_set(err, EPROTO, "malformed answer");
    if (json_count(list) == 0)
        return error_set(err, EPROTO, "no result");
    json_iter_init(&iter, list);
    for (bool is_first = true; json_iter_next(&iter, &name, &result); is_first = false) {
        bool is_error = true;
        (void)!json_bool(json_member(result, "is_error"), &is_error);
        char *text = json_string(json_member(result, "value"), pool, NULL);
        if (is_error)
            return error_set(err, EINVAL, "%s", text ? text : "malformed answer");
        if (is_first && first)
            *first = text ? text : pool_strdup(pool, "");
    }
    return 0;
}
