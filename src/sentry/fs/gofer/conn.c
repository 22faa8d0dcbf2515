/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection to a gofer: requests go out at once, their fibers sleep, answers are matched by
 * tag. The gofer is trusted less than the sentry's own code: every answer is judged by the codec.
 */
#include <errno.h>
#include <string.h>
#include <sys/types.h>

#include "base/fields.h"
#include "base/state.h"
#include "sentry/fs/dentry.h"
#include "sentry/fs/gofer/gofer.h"

static const struct field gofer_conn_fields[] = {
    FIELD_NONE(struct gofer_conn, object, "the walker's own header"),
    FIELD_NONE(struct gofer_conn, kernel, "the kernel that loads it"),
    FIELD_NONE(struct gofer_conn, stream, "given anew by the restoring side"),
    FIELD_NONE(struct gofer_conn, watch, "of the stream"),
    FIELD_NONE(struct gofer_conn, tag_next, "of the stream"),
    FIELD_NONE(struct gofer_conn, calls, "none at a boundary"),
    FIELD_NONE(struct gofer_conn, writable, "a sleeper starts its system call again"),
    FIELD_NONE(struct gofer_conn, in, "of the stream"),
    FIELD_NONE(struct gofer_conn, is_broken, "of the stream"),
    FIELD(struct gofer_conn, is_readonly),
    FIELD(struct gofer_conn, is_shared),
    FIELD_NONE(struct gofer_conn, super, "a pointer back; without it all names are forgotten"),
    FIELD_NONE(struct gofer_conn, close_count, "of the stream"),
    FIELD_NONE(struct gofer_conn, close_fids, "of the stream"),
    FIELD_NONE(struct gofer_conn, rpc_count, "a figure of this run"),
    FIELD_NONE(struct gofer_conn, listing_credit, "a figure of this run"),
    FIELD_END,
};
FIELDS_COMPLETE(struct gofer_conn, gofer_conn_fields);

/* All calls end with ERROR; later ones too. */
static void conn_break(struct gofer_conn *conn, int error)
{
    conn->is_broken = true;
    struct gofer_call *call, *next;
    list_for_each_safe (call, next, &conn->calls, link) {
        list_remove(&call->link);
        call->result = error;
        fiber_wake(call->fiber);
    }
    wake_up_all(&conn->writable);
}

static struct gofer_call *conn_find_call(struct gofer_conn *conn, u64 tag)
{
    struct gofer_call *call;
    list_for_each (call, &conn->calls, link)
        if (call->tag == tag)
            return call;
    return NULL;
}

/* One message in conn->in. */
static int conn_take_answer(struct gofer_conn *conn, size_t size, int fd)
{
    struct gofer_header header;
    int err = gofer_get_header(conn->in, size, &header);
    struct gofer_call *call = err ? NULL : conn_find_call(conn, header.tag);
    if (!call || !(header.flags & GOFER_REPLY) || header.type != call->type) {
        if (fd >= 0)
            host_close_fds(conn->kernel->host, &fd, 1);
        return -EPROTO;
    }
    list_remove(&call->link);
    call->fd = fd;
    call->result = 0;
    if (header.flags & GOFER_ERROR) {
        call->result = -gofer_get_error(conn->in, size);
        if (call->result > 0)
            call->result = -EPROTO;
    } else {
        call->reply = arena_alloc(conn->object.arena, size);
        call->reply_size = size;
        if (call->reply)
            memcpy(call->reply, conn->in, size);
        else
            call->result = -ENOMEM;
    }
    fiber_wake(call->fiber);
    return 0;
}

static void conn_read(struct gofer_conn *conn)
{
    while (!conn->is_broken) {
        int fds[1];
        u32 fd_count = 1;
        i64 got = host_stream_read(conn->stream, conn->in, GOFER_MESSAGE_MAX, fds, &fd_count);
        if (got == -EAGAIN)
            return;
        int err = got <= 0 ? -EIO : conn_take_answer(conn, (size_t)got, fd_count ? fds[0] : -1);
        if (err)
            conn_break(conn, -EIO);
    }
}

static void conn_ready(struct host_watch *watch, u32 ready)
{
    struct gofer_conn *conn = watch->owner;
    if (ready & HOST_WRITABLE)
        wake_up_all(&conn->writable);
    if (ready & (HOST_READABLE | HOST_HANGUP))
        conn_read(conn);
}

static void conn_disconnect(struct gofer_conn *conn)
{
    if (!conn->stream)
        return;
    host_stream_watch(conn->stream, NULL);
    host_stream_put(MOVE(conn->stream));
}

static void conn_destroy(struct object *object)
{
    struct gofer_conn *conn = container_of(object, struct gofer_conn, object);
    conn_disconnect(conn);
    arena_free(object->arena, conn->in, GOFER_MESSAGE_MAX);
}

static int conn_loaded(struct object *object, struct state_reader *reader)
{
    struct gofer_conn *conn = container_of(object, struct gofer_conn, object);
    conn->kernel = state_reader_kernel(reader);
    list_init(&conn->calls);
    conn->tag_next = 1;
    conn->listing_credit = GOFER_CREDIT_FIRST;
    conn->is_broken = true; /* until the restoring side gives a stream */
    return 0;
}

const struct kind gofer_conn_kind = {.name = "gofer_conn",
                                     .size = sizeof(struct gofer_conn),
                                     .fields = gofer_conn_fields,
                                     .destroy = conn_destroy,
                                     .loaded = conn_loaded};

int gofer_conn_connect(struct gofer_conn *conn, struct host_stream *stream)
{
    conn_disconnect(conn);
    if (!conn->in)
        conn->in = arena_alloc(conn->object.arena, GOFER_MESSAGE_MAX);
    if (!conn->in) {
        host_stream_put(stream);
        return -ENOMEM;
    }
    conn->stream = stream;
    conn->is_broken = false;
    conn->watch = (struct host_watch){.notify = conn_ready, .owner = conn};
    host_stream_watch(stream, &conn->watch);
    return 0;
}

int gofer_conn_create(struct kernel *kernel, struct host_stream *stream, struct gofer_conn **out)
{
    AUTO_PUT struct gofer_conn *conn = object_create(kernel->arena, &gofer_conn_kind);
    if (!conn) {
        host_stream_put(stream);
        return -ENOMEM;
    }
    conn->kernel = kernel;
    conn->tag_next = 1;
    conn->listing_credit = GOFER_CREDIT_FIRST;
    list_init(&conn->calls);
    int err = gofer_conn_connect(conn, stream);
    if (!err)
        *out = MOVE(conn);
    return err;
}

/* A packet goes out whole or not at all. */
SLEEPS static int conn_write(struct gofer_conn *conn, struct fiber *fiber, const u8 *bytes,
                             size_t size)
{
    while (!conn->is_broken) {
        i64 put = host_stream_write(conn->stream, bytes, size, NULL, 0);
        if (put == (i64)size)
            return 0;
        if (put != -EAGAIN)
            break;
        fiber_sleep_on_hard(fiber, &conn->writable);
    }
    conn_break(conn, -EIO);
    return -EIO;
}

static void conn_send_closes(struct gofer_conn *conn)
{
    struct gofer_close message = {.count = conn->close_count};
    u8 bytes[GOFER_HEADER_SIZE + 4 + GOFER_CLOSE_BATCH * 4 + 64];
    if (conn->close_count == 0 || conn->is_broken)
        return;
    memcpy(message.fids, conn->close_fids, conn->close_count * sizeof conn->close_fids[0]);
    i64 size = gofer_put_close(bytes, sizeof bytes, conn->tag_next++, &message);
    if (size > 0 && host_stream_write(conn->stream, bytes, (size_t)size, NULL, 0) == size)
        conn->close_count = 0;
}

void gofer_forget(struct gofer_conn *conn, u32 fid)
{
    if (fid == GOFER_FID_NONE || conn->is_broken)
        return;
    if (conn->close_count == GOFER_CLOSE_BATCH)
        conn_send_closes(conn);
    if (conn->close_count <
        GOFER_CLOSE_BATCH) /* else the gofer keeps it until the connection's end */
        conn->close_fids[conn->close_count++] = fid;
}

/* Once there and back. */
SLEEPS static int request_once(struct gofer_conn *conn, struct fiber *fiber, const u8 *bytes,
                               i64 size, struct gofer_call *call)
{
    if (conn->is_broken)
        return -EIO;
    if (conn->close_count >= GOFER_CLOSE_SEND)
        conn_send_closes(conn);
    call->result = 1;
    conn->rpc_count++;
    list_add_tail(&conn->calls, &call->link);
    int err = conn_write(conn, fiber, bytes, (size_t)size);
    if (err) {
        list_remove(&call->link);
        return err;
    }
    while (call->result == 1) {
        fiber_prepare(fiber);
        if (call->result == 1 && fiber_block(fiber, NO_DEADLINE, false) != 0)
            break;
    }
    return call->result;
}

SLEEPS int gofer_request(struct gofer_conn *conn, struct fiber *fiber, u16 type, const u8 *bytes,
                         i64 size, u64 tag, struct gofer_call *call)
{
    *call = (struct gofer_call){.tag = tag, .type = type, .fiber = fiber, .fd = -1, .result = 1};
    if (size < 0)
        return (int)size;
    int err = request_once(conn, fiber, bytes, size, call);
    if (err != -EMFILE)
        return err;
    /* The gofer's descriptors are all taken, most of them by names that nobody uses just now. */
    dentry_cache_drop(conn->kernel->vfs, conn->super);
    conn_send_closes(conn);
    return request_once(conn, fiber, bytes, size, call);
}

void gofer_call_fini(struct gofer_conn *conn, struct gofer_call *call)
{
    ASSERT(!list_is_linked(&call->link));
    if (call->fd >= 0)
        host_close_fds(conn->kernel->host, &call->fd, 1);
    arena_free(conn->object.arena, call->reply, call->reply_size);
    call->reply = NULL;
    call->fd = -1;
}

int gofer_call_take_file(struct gofer_conn *conn, struct gofer_call *call, struct host_file **out)
{
    if (call->fd < 0)
        return -EIO;
    *out = host_file_from_fd(conn->kernel->host, call->fd);
    call->fd = -1;
    return *out ? 0 : -ENOMEM;
}
