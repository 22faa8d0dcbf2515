/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unix(7): states, connections and options. A pair holds references to each other; the release of
 * either end's description breaks the cycle. Names are in unix_name.c, bytes in unix_io.c.
 */
#include "sentry/net/unix.h"

#include <errno.h>
#include <string.h>

#include "base/fields.h"
#include "base/state.h"
#include "sentry/kernel/cred.h"
#include "sentry/net/inet.h"

static const struct field unix_socket_fields[] = {
    FIELD_STRUCT(struct unix_socket, base, socket_base_fields),
    FIELD_REF(struct unix_socket, ns, struct net_ns),
    FIELD(struct unix_socket, state),
    FIELD_REF(struct unix_socket, peer, struct unix_socket),
    FIELD_LIST(struct unix_socket, packets, struct unix_packet, link, true),
    FIELD(struct unix_socket, queued_size),
    FIELD(struct unix_socket, packet_count),
    FIELD_LIST(struct unix_socket, pending, struct unix_socket, pending_link, true),
    FIELD_NONE(struct unix_socket, pending_link, "the listener's list"),
    FIELD(struct unix_socket, pending_count),
    FIELD(struct unix_socket, backlog),
    FIELD_NONE(struct unix_socket, abstract_link, "the stack's list"),
    FIELD_BYTES(struct unix_socket, name),
    FIELD(struct unix_socket, name_size),
    FIELD_BYTES(struct unix_socket, cred),
    FIELD_BYTES(struct unix_socket, peer_cred),
    FIELD_NONE(struct unix_socket, space, "a sleeper starts its system call again"),
    FIELD_NONE(struct unix_socket, receive_lock, "held inside one system call"),
    FIELD_END,
};
FIELDS_COMPLETE(struct unix_socket, unix_socket_fields);

static struct linux_ucred cred_of(const struct task *task)
{
    return (struct linux_ucred){.pid = task->group ? (i32)task->group->pid : 0,
                                .uid = task->cred->euid,
                                .gid = task->cred->egid};
}

static bool is_connection_type(const struct unix_socket *socket)
{
    return socket->base.type != LINUX_SOCK_DGRAM;
}

static void unix_put(struct unix_socket *socket)
{
    if (socket)
        object_put(&socket->base.object);
}

/* Never accepted: the other side sees a reset. */
static void pending_drop(struct unix_socket *listener)
{
    struct unix_socket *server, *next;
    list_for_each_safe (server, next, &listener->pending, pending_link) {
        list_remove(&server->pending_link);
        listener->pending_count--;
        if (server->peer) {
            server->peer->base.error = ECONNRESET;
            server->peer->base.is_shut_read = true;
            socket_wake(&server->peer->base, POLL_IN | POLL_OUT | POLL_HUP | POLL_RDHUP | POLL_ERR);
        }
        server->base.ops->release(&server->base);
        object_put(&server->base.object);
    }
}

static void unix_release(struct socket *base)
{
    struct unix_socket *socket = unix_of(base);
    bool had_data = socket->queued_size > 0;
    socket->state = UNIX_CLOSED;
    list_remove(&socket->abstract_link);
    pending_drop(socket);
    unix_drop_packets(socket);
    struct unix_socket *peer = MOVE(socket->peer);
    if (peer && is_connection_type(socket) && peer->peer == socket) {
        if (had_data && peer->base.error == 0)
            peer->base.error = ECONNRESET;
        socket_wake(&peer->base, POLL_IN | POLL_RDNORM | POLL_OUT | POLL_HUP | POLL_RDHUP);
        wake_up_all(&socket->space);
    }
    wake_up_all(&socket->space);
    socket_wake(base, POLL_IN | POLL_OUT | POLL_HUP);
    unix_put(peer);
}

static void unix_destroy(struct object *object)
{
    struct unix_socket *socket = container_of(object, struct unix_socket, base.object);
    list_remove(&socket->abstract_link);
    pending_drop(socket);
    unix_drop_packets(socket);
    unix_put(MOVE(socket->peer));
    REF_CLEAR(socket->ns);
}

SLEEPS static int unix_listen(struct task *task, struct socket *base, u32 backlog)
{
    struct unix_socket *socket = unix_of(base);
    if (!is_connection_type(socket))
        return -EOPNOTSUPP;
    if (socket->name_size == 0 || (socket->state != UNIX_OPEN && socket->state != UNIX_LISTENING))
        return -EINVAL;
    socket->state = UNIX_LISTENING;
    socket->backlog = MIN(backlog, LINUX_SOMAXCONN);
    socket->cred = cred_of(task);
    wake_up_all(&socket->space);
    return 0;
}

static void make_pair(struct unix_socket *a, struct unix_socket *b)
{
    object_get_(&a->base.object);
    object_get_(&b->base.object);
    a->peer = b;
    b->peer = a;
    a->state = UNIX_CONNECTED;
    b->state = UNIX_CONNECTED;
    a->peer_cred = b->cred;
    b->peer_cred = a->cred;
}

/* Room in LISTENER's queue, or why not. */
SLEEPS static int wait_backlog(struct task *task, struct unix_socket *socket,
                               struct unix_socket *listener, bool may_block)
{
    u64 timeout_ns = socket->base.send_timeout_ns;
    u64 deadline_ns = timeout_ns ? task_deadline(task, timeout_ns) : NO_DEADLINE;
    for (;;) {
        if (listener->state != UNIX_LISTENING)
            return -ECONNREFUSED;
        if (listener->pending_count <= listener->backlog)
            return 0;
        if (!may_block)
            return -EAGAIN;
        int err = sleep_on(&listener->space, task, deadline_ns);
        if (err)
            return err == -ETIMEDOUT ? -EAGAIN : err;
    }
}

SLEEPS static int connect_stream(struct task *task, struct unix_socket *socket, const u8 *name,
                                 u32 size, bool may_block)
{
    if (socket->state == UNIX_CONNECTED)
        return -EISCONN;
    if (socket->state != UNIX_OPEN)
        return -EINVAL;
    AUTO_PUT struct unix_socket *listener = NULL;
    int err = unix_lookup(task, socket, name, size, &listener);
    if (!err)
        err = wait_backlog(task, socket, listener, may_block);
    if (err)
        return err;
    struct socket *base;
    err = unix_create(listener->ns, socket->base.type, &base);
    if (err)
        return err;
    struct unix_socket *server = unix_of(base);
    memcpy(server->name, listener->name, listener->name_size);
    server->name_size = listener->name_size;
    server->cred = listener->cred;
    server->base.passes_cred = listener->base.passes_cred;
    socket->cred = cred_of(task);
    make_pair(socket, server);
    list_add_tail(&listener->pending, &server->pending_link); /* takes the reference */
    listener->pending_count++;
    socket_wake(&listener->base, POLL_IN | POLL_RDNORM);
    socket_wake(&socket->base, POLL_OUT | POLL_WRNORM);
    return 0;
}

SLEEPS static int unix_connect(struct task *task, struct socket *base, const u8 *name, u32 size,
                               bool may_block)
{
    struct unix_socket *socket = unix_of(base);
    u16 family;
    if (size < sizeof family)
        return -EINVAL;
    memcpy(&family, name, sizeof family);
    if (!is_connection_type(socket) && family == LINUX_AF_UNSPEC) {
        unix_put(MOVE(socket->peer));
        socket->state = UNIX_OPEN;
        return 0;
    }
    if (family != LINUX_AF_UNIX)
        return -EINVAL;
    if (is_connection_type(socket))
        return connect_stream(task, socket, name, size, may_block);
    struct unix_socket *peer = NULL;
    int err = unix_lookup(task, socket, name, size, &peer);
    if (err)
        return err;
    if (peer->peer && peer->peer != socket) {
        unix_put(peer);
        return -EPERM;
    }
    unix_put(socket->peer);
    socket->peer = peer;
    socket->state = UNIX_CONNECTED;
    socket_wake(base, POLL_OUT | POLL_WRNORM);
    return 0;
}

SLEEPS static int unix_accept(struct task *task, struct socket *base, bool may_block,
                              struct socket **out)
{
    struct unix_socket *socket = unix_of(base);
    if (!is_connection_type(socket))
        return -EOPNOTSUPP;
    u64 deadline_ns = base->receive_timeout_ns ? task_deadline(task, base->receive_timeout_ns)
                                               : NO_DEADLINE;
    for (;;) {
        if (socket->state != UNIX_LISTENING || base->is_shut_read)
            return -EINVAL;
        struct unix_socket *server = list_first_or_null(&socket->pending, struct unix_socket,
                                                        pending_link);
        if (server) {
            list_remove(&server->pending_link);
            socket->pending_count--;
            wake_up_all(&socket->space);
            *out = &server->base;
            return 0;
        }
        if (!may_block)
            return -EAGAIN;
        int err = sleep_on(&base->changed, task, deadline_ns);
        if (err)
            return err == -ETIMEDOUT ? -EAGAIN : err;
    }
}

static int unix_get_name(struct task *task, struct socket *base, bool of_peer, u8 *name, u32 *size)
{
    struct unix_socket *socket = unix_of(base);
    if (of_peer && (!socket->peer || socket->state != UNIX_CONNECTED))
        return -ENOTCONN;
    const struct unix_socket *whose = of_peer ? socket->peer : socket;
    if (whose->name_size == 0) {
        u16 family = LINUX_AF_UNIX;
        memcpy(name, &family, sizeof family);
        *size = sizeof family;
        return 0;
    }
    memcpy(name, whose->name, whose->name_size);
    *size = whose->name_size;
    return 0;
}

static int unix_shutdown(struct task *task, struct socket *base, bool read, bool write)
{
    struct unix_socket *socket = unix_of(base);
    struct unix_socket *peer = is_connection_type(socket) ? socket->peer : NULL;
    base->is_shut_read |= read; /* connected or not: Linux does not ask */
    base->is_shut_write |= write;
    if (peer) {
        peer->base.is_shut_read |= write;
        peer->base.is_shut_write |= read;
        socket_wake(&peer->base, POLL_IN | POLL_OUT | POLL_HUP | POLL_RDHUP);
        wake_up_all(&peer->space);
    }
    wake_up_all(&socket->space);
    socket_wake(base, POLL_IN | POLL_OUT | POLL_HUP | POLL_RDHUP);
    return 0;
}

static u32 unix_poll(struct socket *base)
{
    struct unix_socket *socket = unix_of(base);
    u32 ready = 0;
    if (base->error)
        ready |= POLL_ERR;
    if (socket->state == UNIX_LISTENING)
        return socket->pending_count > 0 ? ready | POLL_IN | POLL_RDNORM : ready;
    if (socket->packet_count > 0)
        ready |= POLL_IN | POLL_RDNORM;
    struct unix_socket *peer = socket->peer;
    if (!is_connection_type(socket)) {
        bool has_room = !peer || peer->queued_size < peer->base.receive_size_max;
        return ready | (has_room ? POLL_OUT | POLL_WRNORM : 0) |
               (base->is_shut_read ? POLL_RDHUP | POLL_IN : 0);
    }
    bool peer_gone = socket->state == UNIX_CONNECTED && (!peer || peer->state == UNIX_CLOSED);
    if (socket->state == UNIX_OPEN)
        return ready | POLL_OUT | POLL_WRNORM | POLL_HUP;
    if (peer_gone || base->is_shut_read)
        ready |= POLL_IN | POLL_RDNORM | POLL_RDHUP;
    if (peer_gone || (base->is_shut_read && base->is_shut_write))
        ready |= POLL_HUP;
    if (peer_gone || base->is_shut_write || peer->queued_size < peer->base.receive_size_max)
        ready |= POLL_OUT | POLL_WRNORM;
    return ready;
}

static int unix_get_option(struct task *task, struct socket *base, i32 level, i32 name, void *value,
                           u32 *size)
{
    const struct unix_socket *socket = unix_of(base);
    if (level != LINUX_SOL_SOCKET || name != LINUX_SO_PEERCRED)
        return -ENOPROTOOPT;
    struct linux_ucred cred = socket->state == UNIX_CONNECTED
                                  ? socket->peer_cred
                                  : (struct linux_ucred){
                                        .pid = 0, .uid = UINT32_MAX, .gid = UINT32_MAX};
    *size = MIN(*size, (u32)sizeof cred);
    memcpy(value, &cred, *size);
    return 0;
}

SLEEPS static i64 unix_ioctl(struct task *task, struct socket *base, u32 request, u64 arg)
{
    const struct unix_socket *socket = unix_of(base);
    i32 value;
    switch (request) {
    case 0x541b: { /* FIONREAD, SIOCINQ: bytes of a stream, else of the next packet */
        if (socket->state == UNIX_LISTENING)
            return -EINVAL;
        const struct unix_packet *first = list_first_or_null(&socket->packets, struct unix_packet,
                                                             link);
        value = base->type == LINUX_SOCK_STREAM ? (i32)socket->queued_size
                : first                         ? (i32)first->data.size
                                                : 0;
        break;
    }
    case 0x5411: /* TIOCOUTQ, SIOCOUTQ */
        value = socket->peer ? (i32)socket->peer->queued_size : 0;
        break;
    default:
        return net_ioctl(task, net_ns_of(task), request, arg);
    }
    return copy_to_user(task, uaddr_make(arg), &value, sizeof value);
}

static const struct socket_ops unix_ops = {
    .bind = unix_bind,
    .connect = unix_connect,
    .listen = unix_listen,
    .accept = unix_accept,
    .get_name = unix_get_name,
    .send = unix_send,
    .receive = unix_receive,
    .shutdown = unix_shutdown,
    .poll = unix_poll,
    .get_option = unix_get_option,
    .ioctl = unix_ioctl,
    .release = unix_release,
};

static int unix_loaded(struct object *object, struct state_reader *reader)
{
    struct unix_socket *socket = container_of(object, struct unix_socket, base.object);
    socket->base.kernel = state_reader_kernel(reader);
    socket->base.ops = &unix_ops;
    return socket->ns ? 0 : -EINVAL;
}

const struct kind unix_socket_kind = {.name = "unix_socket",
                                      .size = sizeof(struct unix_socket),
                                      .fields = unix_socket_fields,
                                      .destroy = unix_destroy,
                                      .loaded = unix_loaded,
                                      .ops = &unix_ops};

int unix_create(struct net_ns *ns, i32 type, struct socket **out)
{
    struct kernel *kernel = ns->kernel;
    if (type != LINUX_SOCK_STREAM && type != LINUX_SOCK_DGRAM && type != LINUX_SOCK_SEQPACKET)
        return -ESOCKTNOSUPPORT;
    struct unix_socket *socket = object_create(kernel->arena, &unix_socket_kind);
    if (!socket)
        return -ENOMEM;
    socket_init(&socket->base, kernel, LINUX_AF_UNIX, type, 0);
    list_init(&socket->packets);
    list_init(&socket->pending);
    socket->ns = REF_GET(ns);
    *out = &socket->base;
    return 0;
}

int unix_pair(struct task *task, i32 type, struct socket **a, struct socket **b)
{
    struct socket *first, *second;
    int err = unix_create(net_ns_of(task), type, &first);
    if (err)
        return err;
    err = unix_create(net_ns_of(task), type, &second);
    if (err) {
        object_put(&first->object);
        return err;
    }
    unix_of(first)->cred = cred_of(task);
    unix_of(second)->cred = cred_of(task);
    make_pair(unix_of(first), unix_of(second));
    *a = first;
    *b = second;
    return 0;
}
