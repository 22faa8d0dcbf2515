/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One forwarded connection. Each direction is a task of its own; the end of data is handed on as a
 * half-close, a failure ends both. An image holds no forward: its socket comes back as a reset one.
 */
#include "sentry/net/forward.h"

#include <errno.h>
#include <sys/types.h>

#include "sentry/net/tcp.h"

#define PIECE_SIZE ((size_t)16 << 10)

/* SHUT_WR and SHUT_RDWR */
#define HOW_WRITE 1
#define HOW_BOTH 2

struct forward {
    struct kernel *kernel;
    struct host_stream *stream; /* owned */
    struct host_watch watch;
    struct wait_queue ready;
    struct socket *socket; /* owned */
    u32 users;             /* tasks that still copy */
};

/* From host_reap: never sleeps. */
static void stream_ready(struct host_watch *watch, u32 ready)
{
    struct forward *forward = watch->owner;
    wake_up_all(&forward->ready);
}

static void forward_put(struct forward *forward)
{
    if (--forward->users > 0)
        return;
    if (forward->stream) {
        host_stream_watch(forward->stream, NULL);
        host_stream_put(forward->stream);
    }
    if (forward->socket) {
        forward->socket->ops->release(forward->socket);
        object_put(&forward->socket->object);
    }
    arena_free(forward->kernel->arena, forward, sizeof *forward);
}

static void break_off(struct task *task, struct forward *forward)
{
    host_stream_shutdown(forward->stream, HOW_BOTH);
    (void)!forward->socket->ops->shutdown(task, forward->socket, true, true);
    wake_up_all(&forward->ready);
}

/* All SIZE bytes into the socket: 0 or -errno. */
SLEEPS static int send_all(struct task *task, struct socket *socket, u8 *bytes, u64 size)
{
    struct uio_segment one;
    struct uio uio;
    struct socket_message message = {.uio = &uio};
    uio_init_kernel(&uio, &task->fiber, bytes, size, &one);
    task->progress.bytes = 0;
    i64 sent = socket->ops->send(task, socket, &message, true);
    return sent < 0 ? (int)sent : (u64)sent < size ? -EPIPE : 0;
}

SLEEPS static int write_all(struct task *task, struct forward *forward, const u8 *bytes, u64 size)
{
    while (size > 0) {
        i64 done = host_stream_write(forward->stream, bytes, size, NULL, 0);
        if (done == -EAGAIN) {
            fiber_sleep_on_hard(&task->fiber, &forward->ready);
            continue;
        }
        if (done < 0)
            return (int)done;
        bytes += done;
        size -= (u64)done;
    }
    return 0;
}

SLEEPS static int copy_in(struct task *task, struct forward *forward)
{
    u8 piece[PIECE_SIZE];
    for (;;) {
        i64 got = host_stream_read(forward->stream, piece, sizeof piece, NULL, NULL);
        if (got == -EAGAIN) {
            fiber_sleep_on_hard(&task->fiber, &forward->ready);
            continue;
        }
        if (got < 0)
            return (int)got;
        if (got == 0)
            return forward->socket->ops->shutdown(task, forward->socket, false, true);
        int err = send_all(task, forward->socket, piece, (u64)got);
        if (err)
            return err;
    }
}

SLEEPS static int copy_out(struct task *task, struct forward *forward)
{
    u8 piece[PIECE_SIZE];
    for (;;) {
        struct uio_segment one;
        struct uio uio;
        struct socket_message message = {.uio = &uio};
        uio_init_kernel(&uio, &task->fiber, piece, sizeof piece, &one);
        task->progress.bytes = 0;
        i64 got = forward->socket->ops->receive(task, forward->socket, &message, true);
        if (got < 0)
            return (int)got;
        if (got == 0) {
            host_stream_shutdown(forward->stream, HOW_WRITE);
            return 0;
        }
        int err = write_all(task, forward, piece, (u64)got);
        if (err)
            return err;
    }
}

SLEEPS_ROOT static void in_main(struct task *task, void *arg)
{
    struct forward *forward = arg;
    int err = copy_in(task, forward);
    if (err && err != -ENOTCONN)
        break_off(task, forward);
    forward_put(forward);
}

SLEEPS_ROOT static void out_main(struct task *task, void *arg)
{
    struct forward *forward = arg;
    if (copy_out(task, forward))
        break_off(task, forward);
    forward_put(forward);
}

SLEEPS static int connect_to(struct task *by, struct socket *socket, u16 port)
{
    u8 name[SOCKADDR_SIZE_MAX];
    struct endpoint to = {.ip = ip_loopback4, .port = port};
    u32 size = endpoint_format(LINUX_AF_INET, &to, name);
    return socket->ops->connect(by, socket, name, size, true);
}

static int start(struct forward *forward, const char *name,
                 void (*main)(struct task *task, void *arg))
{
    AUTO_PUT struct task *task = NULL;
    int err = task_create_kernel(forward->kernel, name, main, forward, &task);
    if (err)
        return err;
    forward->users++;
    err = task_start(task);
    if (err)
        forward->users--;
    return err;
}

SLEEPS int net_forward(struct task *by, struct net_ns *ns, struct host_stream *stream, u16 port)
{
    struct forward *forward = arena_alloc(by->kernel->arena, sizeof *forward);
    if (!forward) {
        host_stream_put(stream);
        return -ENOMEM;
    }
    forward->kernel = by->kernel;
    forward->stream = stream;
    forward->users = 1;
    forward->watch.notify = stream_ready;
    forward->watch.owner = forward;
    wait_queue_init(&forward->ready);
    int err = tcp_create_outside(by->kernel, ns, &forward->socket);
    if (!err)
        err = connect_to(by, forward->socket, port);
    if (!err)
        err = start(forward, "forward-in", in_main);
    if (!err)
        err = start(forward, "forward-out", out_main);
    if (err && forward->users > 1)
        break_off(by, forward); /* the one that runs ends by it */
    else if (!err)
        host_stream_watch(forward->stream, &forward->watch);
    forward_put(forward);
    return err;
}
