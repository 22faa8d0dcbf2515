/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fiber around one control connection: read when readable, hand calls over, write when
 * writable. A client that dies while its call runs interrupts the call's sleeps; the answer then
 * goes nowhere.
 */
#include <errno.h>
#include <string.h>

#include "controller/internal.h"

#define READ_SIZE ((size_t)4 << 10)

/* From host_reap: never sleeps. */
static void connection_notify(struct host_watch *watch, u32 ready)
{
    struct connection *connection = watch->owner;
    connection->readiness |= ready;
    if (ready & HOST_HANGUP) {
        connection->is_hung_up = true;
        if (connection->is_calling)
            fiber_interrupt(&connection->task->fiber);
    }
    wake_up_all(&connection->ready);
}

/* Must this connection, which has no call running, end? */
static bool is_over(const struct connection *connection)
{
    const struct controller *controller = connection->controller;
    return controller->is_closing || connection->generation != controller->generation;
}

/* Sleep until the stream has told something new or the controller wants attention. */
SLEEPS static void connection_wait(struct connection *connection)
{
    if (connection->readiness == 0)
        fiber_sleep_on_hard(&connection->task->fiber, &connection->ready);
    connection->readiness = 0;
}

/* One read; false when the connection must wait. */
static bool connection_read(struct connection *connection)
{
    u8 bytes[READ_SIZE];
    int fds[HOST_FDS_MAX];
    u32 fd_count = HOST_FDS_MAX;
    i64 got = host_stream_read(connection->stream, bytes, sizeof bytes, fds, &fd_count);
    if (got == -EAGAIN)
        return false;
    if (got < 0) {
        log_info(connection->controller->kernel->log, "controller",
                 "a control connection broke: %s", errno_text((int)-got));
        got = 0;
        fd_count = 0;
    }
    urpc_conn_feed(&connection->conn, bytes, (size_t)got, fds, fd_count);
    return true;
}

/* Write the queued answer; false when the peer is gone. */
SLEEPS static bool connection_write(struct connection *connection)
{
    const u8 *bytes;
    const int *fds;
    u32 fd_count;
    size_t size;
    while ((size = urpc_conn_output(&connection->conn, &bytes, &fds, &fd_count)) > 0) {
        i64 written = host_stream_write(connection->stream, bytes, size, fds, fd_count);
        if (written == -EAGAIN) {
            if (connection->is_hung_up)
                return false;
            connection_wait(connection);
            continue;
        }
        if (written < 0)
            return false;
        urpc_conn_written(&connection->conn, (size_t)written);
    }
    return true;
}

/* Run the call that was yielded and write its answer. */
SLEEPS static bool connection_call(struct connection *connection, struct urpc_call *call)
{
    connection->is_calling = true;
    if (connection->is_hung_up || connection->controller->is_closing)
        fiber_interrupt(&connection->task->fiber);
    rpc_serve(connection, call);
    connection->is_calling = false;
    fiber_clear_interrupt(&connection->task->fiber);
    return connection_write(connection);
}

SLEEPS static void connection_serve(struct connection *connection)
{
    for (;;) {
        struct urpc_call *call = NULL;
        enum urpc_next next = urpc_conn_next(&connection->conn, &call);
        if (next == URPC_END || is_over(connection))
            return;
        if (next == URPC_CALL) {
            if (!connection_call(connection, call))
                return;
        } else if (!connection_read(connection)) {
            connection_wait(connection);
        }
    }
}

static void connection_destroy(struct connection *connection)
{
    struct controller *controller = connection->controller;
    host_stream_watch(connection->stream, NULL);
    urpc_conn_fini(&connection->conn);
    host_stream_put(connection->stream);
    list_remove(&connection->link);
    controller->connection_count--;
    arena_free(controller->kernel->arena, connection, sizeof *connection);
    wake_up_all(&controller->changed);
}

SLEEPS_ROOT static void connection_main(struct task *task, void *arg)
{
    struct connection *connection = arg;
    connection->task = task;
    host_stream_watch(connection->stream, &connection->watch);
    connection_serve(connection);
    log_debug(connection->controller->kernel->log, "controller", "a control connection ended: %s",
              connection->conn.end_reason ? connection->conn.end_reason : "closed by the sandbox");
    connection_destroy(connection);
}

int connection_start(struct controller *controller, struct host_stream *stream)
{
    struct kernel *kernel = controller->kernel;
    struct connection *connection = arena_alloc(kernel->arena, sizeof *connection);
    if (!connection) {
        host_stream_put(stream);
        return -ENOMEM;
    }
    connection->controller = controller;
    connection->stream = stream;
    connection->generation = controller->generation;
    connection->watch.notify = connection_notify;
    connection->watch.owner = connection;
    wait_queue_init(&connection->ready);
    urpc_conn_init(&connection->conn, kernel->host, kernel->arena);
    list_add_tail(&controller->connections, &connection->link);
    controller->connection_count++;
    AUTO_PUT struct task *task = NULL;
    int err = task_create_kernel(kernel, "control", connection_main, connection, &task);
    if (!err)
        err = task_start(task);
    if (err)
        connection_destroy(connection);
    return err;
}
