/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The serving side (spec/urpc.md). The surprising fact: descriptors belong to whatever call is
 * under way when they come, on whichever of its bytes; gVisor's own server looks only at the first
 * byte's.
 */
#include "wire/urpc/server.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "wire/urpc/codec.h"

struct call_frame {
    char *method;
    struct json_text arg;
};
static const struct wire_field call_fields[] = {
    WIRE_FIELD(struct call_frame, method, "method", &wire_string),
    WIRE_FIELD(struct call_frame, arg, "arg", &wire_raw),
    WIRE_END,
};
static const struct wire_type call_type = WIRE_TYPE_STRUCT(struct call_frame, call_fields,
                                                           "urpc.serverCall");

void urpc_conn_init(struct urpc_conn *conn, struct host *host, struct arena *arena)
{
    *conn = (struct urpc_conn){.host = host, .arena = arena};
    json_scanner_init(&conn->scanner, 0);
    /* A read may bring bytes behind the largest call. */
    buf_init(&conn->in, arena, 2 * JSON_SIZE_MAX);
    buf_init(&conn->out, arena, 0);
    pool_init(&conn->pool, arena);
}

/* Those of FDS that are left; -1 is a taken one. */
static void close_fds(struct urpc_conn *conn, int *fds, u32 *count)
{
    u32 left = 0;
    for (u32 i = 0; i < *count; i++)
        if (fds[i] >= 0)
            fds[left++] = fds[i];
    host_close_fds(conn->host, fds, left);
    *count = 0;
}

static void conn_end(struct urpc_conn *conn, const char *reason)
{
    close_fds(conn, conn->call.fds, &conn->call.fd_count);
    close_fds(conn, conn->out_fds, &conn->out_fd_count);
    buf_clear(&conn->in);
    buf_clear(&conn->out);
    pool_fini(&conn->pool);
    conn->is_calling = false;
    if (!conn->is_ended)
        conn->end_reason = reason;
    conn->is_ended = true;
}

void urpc_conn_fini(struct urpc_conn *conn)
{
    conn_end(conn, "closed");
    buf_fini(&conn->in);
    buf_fini(&conn->out);
}

static bool keep_fds(struct urpc_conn *conn, const int *fds, u32 fd_count)
{
    if (fd_count > HOST_FDS_MAX - conn->call.fd_count)
        return false;
    for (u32 i = 0; i < fd_count; i++)
        conn->call.fds[conn->call.fd_count++] = fds[i];
    return true;
}

void urpc_conn_feed(struct urpc_conn *conn, const void *bytes, size_t size, const int *fds,
                    u32 fd_count)
{
    ASSERT(!conn->is_calling);
    if (conn->is_ended || !keep_fds(conn, fds, fd_count)) {
        host_close_fds(conn->host, fds, fd_count);
        conn_end(conn, "too many files");
        return;
    }
    if (size == 0)
        conn_end(conn, json_scanner_is_idle(&conn->scanner) ? "end" : "end within a call");
    else if (buf_append(&conn->in, bytes, size))
        conn_end(conn, "out of memory");
}

static enum urpc_next end_of_scan(struct urpc_conn *conn, enum json_status status)
{
    conn_end(conn, status == JSON_TOO_DEEP    ? "call nests too deeply"
                   : status == JSON_TOO_LARGE ? "call is too large"
                                              : "call is not JSON");
    return URPC_END;
}

/* The scanner has seen a whole value: `scanned` bytes of `in`. */
static enum urpc_next begin_call(struct urpc_conn *conn)
{
    struct call_frame frame = {0};
    struct json_text text;
    struct error err;
    int failed = json_parse((char *)buf_bytes(&conn->in), conn->scanned, 0, &text, &err);
    if (failed || wire_decode(&call_type, text, &conn->pool, &frame, &err)) {
        conn_end(conn, "call is of the wrong type");
        return URPC_END;
    }
    conn->call.method = frame.method ? frame.method : "";
    conn->call.arg = frame.arg;
    conn->is_calling = true;
    return URPC_CALL;
}

enum urpc_next urpc_conn_next(struct urpc_conn *conn, struct urpc_call **call)
{
    ASSERT(!conn->is_calling);
    if (conn->is_ended)
        return URPC_END;
    size_t used = 0;
    if (conn->in.size == conn->scanned)
        return URPC_MORE;
    enum json_status status = json_scan(&conn->scanner, buf_bytes(&conn->in) + conn->scanned,
                                        conn->in.size - conn->scanned, &used);
    conn->scanned += used;
    if (status == JSON_MORE)
        return URPC_MORE;
    if (status != JSON_COMPLETE)
        return end_of_scan(conn, status);
    enum urpc_next next = begin_call(conn);
    *call = next == URPC_CALL ? &conn->call : NULL;
    return next;
}

int urpc_call_take_fd(struct urpc_call *call, u32 index)
{
    if (index >= call->fd_count)
        return -1;
    int fd = call->fds[index];
    call->fds[index] = -1;
    return fd;
}

static void finish_call(struct urpc_conn *conn)
{
    close_fds(conn, conn->call.fds, &conn->call.fd_count);
    conn->call = (struct urpc_call){0};
    conn->is_calling = false;
    buf_consume(&conn->in, conn->scanned);
    conn->scanned = 0;
    json_scanner_init(&conn->scanner, 0);
    pool_fini(&conn->pool);
}

static int write_answer(struct urpc_conn *conn, struct json_text result, const char *err_text)
{
    struct json_writer writer;
    json_writer_init(&writer, &conn->out);
    if (!err_text && json_type(result) == JSON_ABSENT)
        result = (struct json_text){"{}", 2};
    json_begin_object(&writer);
    json_name(&writer, "success");
    json_put_bool(&writer, !err_text);
    json_name(&writer, "err");
    json_put_string(&writer, err_text);
    json_name(&writer, "result");
    json_put_raw(&writer, err_text ? (struct json_text){0} : result);
    json_end_object(&writer);
    return writer.failed ? -ENOMEM : 0;
}

int urpc_conn_answer(struct urpc_conn *conn, struct json_text result, const int *fds, u32 fd_count,
                     const char *err_text)
{
    ASSERT(conn->is_calling && buf_is_empty(&conn->out) && fd_count <= HOST_FDS_MAX);
    int err = write_answer(conn, result, err_text);
    if (err || err_text) {
        host_close_fds(conn->host, fds, fd_count);
        fd_count = 0;
    }
    if (err) {
        conn_end(conn, "out of memory");
        return err;
    }
    for (u32 i = 0; i < fd_count; i++)
        conn->out_fds[i] = fds[i];
    conn->out_fd_count = fd_count;
    finish_call(conn);
    return 0;
}

size_t urpc_conn_output(const struct urpc_conn *conn, const u8 **bytes, const int **fds,
                        u32 *fd_count)
{
    *bytes = buf_bytes(&conn->out);
    *fds = conn->out_fds;
    *fd_count = conn->out_fd_count;
    return conn->out.size;
}

void urpc_conn_written(struct urpc_conn *conn, size_t size)
{
    if (size == 0)
        return;
    close_fds(conn, conn->out_fds, &conn->out_fd_count);
    buf_consume(&conn->out, size);
}

bool urpc_conn_is_idle(const struct urpc_conn *conn)
{
    return !conn->is_calling && buf_is_empty(&conn->out) && json_scanner_is_idle(&conn->scanner) &&
           conn->in.size == conn->scanned;
}
