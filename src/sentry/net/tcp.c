/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp(7) inside one namespace: states, connections, ends. No segment exists: two sockets hold each
 * other, and what one sends stands in the other's queue at once. So FIN and RST arrive when they
 * are sent, and states that wait for an acknowledgement are never seen. Bytes are in tcp_io.c.
 */
#include "sentry/net/tcp.h"

#include <errno.h>

#include "base/fields.h"
#include "base/state.h"
#include "sentry/kernel/cred.h"

#define SEND_SIZE_DEFAULT 16384u
#define RECEIVE_SIZE_DEFAULT 131072u
#define SEND_SIZE_TUNED 262144u /* what an untouched send buffer grows to */

static const struct field tcp_socket_fields[] = {
    FIELD_STRUCT(struct tcp_socket, inet, inet_base_fields),
    FIELD(struct tcp_socket, state),
    FIELD(struct tcp_socket, phase),
    FIELD_REF(struct tcp_socket, peer, struct tcp_socket),
    FIELD_BUF(struct tcp_socket, queue),
    FIELD(struct tcp_socket, sent),
    FIELD(struct tcp_socket, received),
    FIELD(struct tcp_socket, read),
    FIELD(struct tcp_socket, is_done),
    FIELD(struct tcp_socket, is_orphan),
    FIELD(struct tcp_socket, is_outside),
    FIELD(struct tcp_socket, is_send_size_given),
    FIELD(struct tcp_socket, is_receive_size_given),
    FIELD(struct tcp_socket, urgent),
    FIELD(struct tcp_socket, urgent_at),
    FIELD(struct tcp_socket, urgent_byte),
    FIELD_LIST(struct tcp_socket, pending, struct tcp_socket, pending_link, true),
    FIELD_LIST(struct tcp_socket, waiting, struct tcp_socket, pending_link, false),
    FIELD_NONE(struct tcp_socket, pending_link, "the listener's list"),
    FIELD(struct tcp_socket, pending_count),
    FIELD(struct tcp_socket, backlog),
    FIELD_STRUCT(struct tcp_socket, options, tcp_options_fields),
    FIELD_NONE(struct tcp_socket, space, "a sleeper starts its system call again"),
    FIELD_NONE(struct tcp_socket, receive_lock, "held inside one system call"),
    FIELD_END,
};
FIELDS_COMPLETE(struct tcp_socket, tcp_socket_fields);

static void tcp_put(struct tcp_socket *socket)
{
    if (socket)
        object_put(&socket->inet.base.object);
}

static void wake_everybody(struct tcp_socket *socket)
{
    socket_wake(&socket->inet.base,
                POLL_IN | POLL_RDNORM | POLL_OUT | POLL_WRNORM | POLL_HUP | POLL_RDHUP | POLL_ERR);
    wake_up_all(&socket->space);
}

/* The connection is over for SOCKET; what it has received can still be read. */
static void tcp_finish(struct tcp_socket *socket)
{
    socket->state = LINUX_TCP_CLOSE;
    socket->inet.base.is_shut_read = socket->inet.base.is_shut_write = true;
    socket->inet.has_remote = false;
    list_remove(&socket->pending_link);
    if (!socket->inet.is_port_given)
        inet_unbind(&socket->inet);
    wake_everybody(socket);
}

void tcp_reset(struct tcp_socket *socket)
{
    if (socket->state == LINUX_TCP_CLOSE)
        return;
    socket->inet.base.error = socket->state == LINUX_TCP_SYN_SENT     ? ECONNREFUSED
                              : socket->state == LINUX_TCP_CLOSE_WAIT ? EPIPE
                                                                      : ECONNRESET;
    tcp_finish(socket);
}

/* SOCKET says that it sends no more. */
static void send_fin(struct tcp_socket *socket)
{
    struct tcp_socket *peer = socket->peer;
    if (socket->state != LINUX_TCP_ESTABLISHED && socket->state != LINUX_TCP_CLOSE_WAIT)
        return;
    bool was_last = socket->state == LINUX_TCP_CLOSE_WAIT;
    if (was_last)
        tcp_finish(socket);
    else
        socket->state = LINUX_TCP_FIN_WAIT2;
    if (!peer || !tcp_is_open(peer))
        return;
    peer->is_done = true;
    peer->inet.base.is_shut_read = true;
    if (was_last || peer->state == LINUX_TCP_FIN_WAIT2) {
        tcp_finish(peer);
    } else {
        peer->state = LINUX_TCP_CLOSE_WAIT;
        wake_everybody(peer);
    }
}

/* The end of SOCKET's part, as the last close makes it: FIN, or RST if something is lost by it. */
static void tcp_end(struct tcp_socket *socket)
{
    struct tcp_socket *peer = MOVE(socket->peer);
    bool resets = !buf_is_empty(&socket->queue) ||
                  (socket->inet.base.linger_on && socket->inet.base.linger_seconds == 0);
    if (peer && tcp_is_open(socket)) {
        socket->peer = peer;
        if (resets)
            tcp_reset(peer);
        else
            send_fin(socket);
        socket->peer = NULL;
    }
    tcp_put(peer);
}

/* All that a listener has not handed out goes. */
static void drop_pending(struct tcp_socket *listener)
{
    struct tcp_socket *member, *next;
    list_for_each_safe (member, next, &listener->pending, pending_link) {
        list_remove(&member->pending_link);
        listener->pending_count--;
        struct tcp_socket *peer = MOVE(member->peer);
        if (peer)
            tcp_reset(peer);
        tcp_put(peer);
        tcp_finish(member);
        inet_unbind(&member->inet);
        tcp_put(member);
    }
    list_for_each_safe (member, next, &listener->waiting, pending_link) {
        list_remove(&member->pending_link);
        tcp_reset(member);
    }
}

static void tcp_release(struct socket *base)
{
    struct tcp_socket *socket = tcp_of(base);
    socket->is_orphan = true;
    drop_pending(socket);
    tcp_end(socket);
    list_remove(&socket->pending_link);
    socket->state = LINUX_TCP_CLOSE;
    inet_unbind(&socket->inet);
    buf_fini(&socket->queue);
    wake_everybody(socket);
}

static void tcp_destroy(struct object *object)
{
    struct tcp_socket *socket = container_of(object, struct tcp_socket, inet.base.object);
    if (socket->pending.next) {
        drop_pending(socket);
        tcp_end(socket);
    }
    list_remove(&socket->pending_link);
    buf_fini(&socket->queue);
    inet_fini(&socket->inet);
}

/* ---- connections ---------------------------------------------------------------------------- */

static struct tcp_socket *listener_find(struct net_ns *ns, const struct endpoint *to,
                                        const struct endpoint *from)
{
    struct inet_socket *socket, *best = NULL;
    u32 best_score = 0, shared = 0;
    list_for_each (socket, inet_bucket(ns, to->port), port_link) {
        if (!socket->is_listening)
            break;
        u32 score = socket->base.protocol == LINUX_IPPROTO_TCP ? inet_match(socket, to, NULL) : 0;
        if (score > best_score) {
            best = socket;
            best_score = score;
            shared = 1;
        } else if (score && score == best_score && from->port % ++shared == 0) {
            best = socket; /* SO_REUSEPORT: connections are spread by their ports */
        }
    }
    return best ? container_of(best, struct tcp_socket, inet) : NULL;
}

static int tcp_create_in(struct kernel *kernel, struct net_ns *ns, i32 domain,
                         struct tcp_socket **out);

/* The server's side of CLIENT's connection, in LISTENER's queue. */
static int establish(struct tcp_socket *client, struct tcp_socket *listener)
{
    struct socket *from = &listener->inet.base;
    struct tcp_socket *server;
    int err = tcp_create_in(from->kernel, listener->inet.ns, from->domain, &server);
    if (err)
        return err;
    struct socket *base = &server->inet.base;
    base->reuses_address = from->reuses_address;
    base->reuses_port = from->reuses_port;
    base->keeps_alive = from->keeps_alive;
    base->linger_on = from->linger_on;
    base->linger_seconds = from->linger_seconds;
    base->send_size_max = from->send_size_max;
    base->receive_size_max = from->receive_size_max;
    base->receive_low = from->receive_low;
    base->is_oob_inline = from->is_oob_inline;
    base->priority = from->priority;
    base->mark = from->mark;
    server->is_send_size_given = listener->is_send_size_given;
    server->is_receive_size_given = listener->is_receive_size_given;
    server->inet.options = listener->inet.options;
    server->options = listener->options;
    server->inet.is_v6only = listener->inet.is_v6only;
    server->inet.uid = listener->inet.uid;
    server->inet.local = client->inet.remote;
    server->inet.remote = client->inet.local;
    server->inet.has_remote = true;
    inet_claim(&server->inet);
    server->state = client->state = LINUX_TCP_ESTABLISHED;
    server->phase = TCP_CONNECTED;
    object_get_(&client->inet.base.object);
    server->peer = client;
    object_get_(&base->object);
    client->peer = server;
    list_add_tail(&listener->pending, &server->pending_link); /* takes the first reference */
    listener->pending_count++;
    socket_wake(from, POLL_IN | POLL_RDNORM);
    socket_wake(&client->inet.base, POLL_OUT | POLL_WRNORM);
    return 0;
}

/* Those who wait at a full queue come in while there is room. */
static void admit(struct tcp_socket *listener)
{
    while (listener->pending_count <= listener->backlog && !list_is_empty(&listener->waiting)) {
        struct tcp_socket *client = list_first(&listener->waiting, struct tcp_socket, pending_link);
        list_remove(&client->pending_link);
        if (establish(client, listener)) {
            list_add_head(&listener->waiting, &client->pending_link);
            return;
        }
    }
}

/* The SYN: the other side answers at once, or SOCKET waits at its queue. */
static void send_syn(struct tcp_socket *socket)
{
    struct tcp_socket *listener = listener_find(socket->inet.ns, &socket->inet.remote,
                                                &socket->inet.local);
    if (listener) {
        list_add_tail(&listener->waiting, &socket->pending_link);
        admit(listener);
    } else if (endpoint_equal(&socket->inet.local, &socket->inet.remote)) {
        object_get_(&socket->inet.base.object); /* it met itself: RFC 793, simultaneous open */
        socket->peer = socket;
        socket->state = LINUX_TCP_ESTABLISHED;
    } else {
        tcp_reset(socket);
    }
}

/* Back to what it was before connect(2). */
static void tcp_disconnect(struct tcp_socket *socket)
{
    struct inet_socket *inet = &socket->inet;
    struct tcp_socket *peer = MOVE(socket->peer);
    list_remove(&socket->pending_link);
    if (peer && peer != socket && tcp_is_open(socket))
        tcp_reset(peer);
    tcp_put(peer);
    drop_pending(socket);
    buf_clear(&socket->queue);
    socket->state = LINUX_TCP_CLOSE;
    socket->phase = TCP_UNCONNECTED;
    socket->is_done = false;
    socket->urgent = TCP_URGENT_NONE;
    inet->base.error = 0;
    inet->base.is_shut_read = inet->base.is_shut_write = false;
    inet->has_remote = false;
    inet_set_listening(inet, false);
    inet->remote = (struct endpoint){.ip = *ip_any_of(inet->base.domain)};
    if (!inet->is_address_given)
        inet->local.ip = *ip_any_of(inet->base.domain);
    if (!inet->is_port_given) {
        inet_unbind(inet);
        inet->local.port = 0;
    }
    wake_everybody(socket);
}

/* What came of the connection: 0, -errno of its failure, or 1 while it is not known. */
static int connect_result(struct tcp_socket *socket)
{
    if (socket->state == LINUX_TCP_SYN_SENT)
        return 1;
    if (socket->state != LINUX_TCP_CLOSE) {
        socket->phase = TCP_CONNECTED;
        return 0;
    }
    int error = socket->inet.base.error;
    tcp_disconnect(socket);
    return error ? -error : -ECONNABORTED;
}

SLEEPS static int connect_wait(struct task *task, struct tcp_socket *socket)
{
    u64 timeout_ns = socket->inet.base.send_timeout_ns;
    for (;;) {
        int result = connect_result(socket);
        if (result <= 0)
            return result;
        int err = socket_wait(task, &socket->inet.base.changed, timeout_ns);
        if (err)
            return err == -EAGAIN ? -EINPROGRESS : err;
    }
}

static int connect_start(struct tcp_socket *socket, const u8 *name, u32 size)
{
    struct inet_socket *inet = &socket->inet;
    struct endpoint to;
    struct net_path path;
    int err = inet_destination(inet, name, size, &to);
    if (!err)
        err = net_ns_find_path(inet->ns, &to.ip, inet->device, &path);
    if (err)
        return err;
    if (path.reach == NET_MULTICAST || path.reach == NET_BROADCAST)
        return path.reach == NET_BROADCAST ? -EACCES : -ENETUNREACH;
    if (path.reach == NET_AWAY)
        return -EHOSTUNREACH;
    struct endpoint before = inet->local;
    if (!inet->is_address_given)
        inet->local.ip = path.source;
    err = inet_bind_auto(inet);
    if (err) {
        inet->local = before;
        return err == -EADDRINUSE ? -EADDRNOTAVAIL : err;
    }
    inet->remote = to;
    inet->has_remote = true;
    inet->base.is_shut_read = inet->base.is_shut_write = false;
    inet->base.error = 0;
    socket->is_done = false;
    socket->state = LINUX_TCP_SYN_SENT;
    socket->phase = TCP_CONNECTING;
    send_syn(socket);
    return 0;
}

SLEEPS static int tcp_connect(struct task *task, struct socket *base, const u8 *name, u32 size,
                              bool may_block)
{
    struct tcp_socket *socket = tcp_of(base);
    u16 family;
    if (size < sizeof family)
        return -EINVAL;
    memcpy(&family, name, sizeof family);
    if (family == LINUX_AF_UNSPEC) {
        tcp_disconnect(socket);
        return 0;
    }
    if (socket->phase == TCP_CONNECTED)
        return -EISCONN;
    if (socket->phase == TCP_CONNECTING) {
        int result = connect_result(socket);
        if (result <= 0)
            return result;
        return may_block ? connect_wait(task, socket) : -EALREADY;
    }
    if (socket->state != LINUX_TCP_CLOSE)
        return -EISCONN;
    int err = connect_start(socket, name, size);
    if (err)
        return err;
    return may_block ? connect_wait(task, socket) : -EINPROGRESS;
}

SLEEPS static int tcp_listen(struct task *task, struct socket *base, u32 backlog)
{
    struct tcp_socket *socket = tcp_of(base);
    if (socket->phase != TCP_UNCONNECTED ||
        (socket->state != LINUX_TCP_CLOSE && socket->state != LINUX_TCP_LISTEN))
        return -EINVAL;
    if (socket->state == LINUX_TCP_CLOSE) {
        int err = inet_bind_auto(&socket->inet);
        if (!err && inet_has_conflict(&socket->inet, &socket->inet.local))
            err = -EADDRINUSE;
        if (err)
            return err;
        socket->state = LINUX_TCP_LISTEN;
        base->is_shut_read = base->is_shut_write = false;
        inet_set_listening(&socket->inet, true);
    }
    socket->backlog = MIN(backlog, LINUX_SOMAXCONN);
    admit(socket);
    return 0;
}

SLEEPS static int tcp_accept(struct task *task, struct socket *base, bool may_block,
                             struct socket **out)
{
    struct tcp_socket *socket = tcp_of(base);
    for (;;) {
        if (socket->state != LINUX_TCP_LISTEN)
            return -EINVAL;
        struct tcp_socket *server = list_first_or_null(&socket->pending, struct tcp_socket,
                                                       pending_link);
        if (server) {
            list_remove(&server->pending_link);
            socket->pending_count--;
            admit(socket);
            *out = &server->inet.base;
            return 0;
        }
        if (!may_block)
            return -EAGAIN;
        int err = socket_wait(task, &base->changed, base->receive_timeout_ns);
        if (err)
            return err;
    }
}

static int tcp_shutdown(struct task *task, struct socket *base, bool read, bool write)
{
    struct tcp_socket *socket = tcp_of(base);
    switch (socket->state) {
    case LINUX_TCP_CLOSE:
        base->is_shut_read |= read;
        base->is_shut_write |= write;
        wake_everybody(socket);
        return -ENOTCONN;
    case LINUX_TCP_LISTEN:
        if (!read)
            return 0;
        tcp_disconnect(socket);
        break;
    case LINUX_TCP_SYN_SENT:
        tcp_disconnect(socket);
        break;
    default:
        base->is_shut_read |= read;
        base->is_shut_write |= write;
        if (write)
            send_fin(socket);
    }
    wake_everybody(socket);
    return 0;
}

static u32 tcp_poll(struct socket *base)
{
    const struct tcp_socket *socket = tcp_of(base);
    if (socket->state == LINUX_TCP_LISTEN)
        return socket->pending_count > 0 ? POLL_IN | POLL_RDNORM : 0;
    u32 ready = base->error ? POLL_ERR : 0;
    if (socket->state == LINUX_TCP_CLOSE || (base->is_shut_read && base->is_shut_write))
        ready |= POLL_HUP;
    if (base->is_shut_read)
        ready |= POLL_IN | POLL_RDNORM | POLL_RDHUP;
    if (socket->state == LINUX_TCP_SYN_SENT)
        return ready;
    u64 low = MIN((u64)base->receive_low, (u64)base->receive_size_max);
    if (socket->queue.size > 0 && socket->queue.size >= low && tcp_readable(socket) > 0)
        ready |= POLL_IN | POLL_RDNORM;
    if (base->is_shut_write || tcp_may_send_more(socket))
        ready |= POLL_OUT | POLL_WRNORM;
    if (socket->urgent == TCP_URGENT_VALID)
        ready |= POLL_PRI;
    return ready;
}

SLEEPS static i64 tcp_ioctl(struct task *task, struct socket *base, u32 request, u64 arg)
{
    const struct tcp_socket *socket = tcp_of(base);
    const struct tcp_socket *peer = socket->peer;
    i32 value;
    switch (request) {
    case LINUX_SIOCINQ:
        if (socket->state == LINUX_TCP_LISTEN)
            return -EINVAL;
        value = (i32)tcp_readable(socket);
        break;
    case LINUX_SIOCOUTQ:
        if (socket->state == LINUX_TCP_LISTEN)
            return -EINVAL;
        value = peer && peer->queue.size > peer->inet.base.receive_size_max
                    ? (i32)(peer->queue.size - peer->inet.base.receive_size_max)
                    : 0;
        break;
    case LINUX_SIOCATMARK:
        value = socket->urgent != TCP_URGENT_NONE && socket->urgent_at == socket->read;
        break;
    default:
        return net_ioctl(task, socket->inet.ns, request, arg);
    }
    return copy_to_user(task, uaddr_make(arg), &value, sizeof value);
}

u64 tcp_room_max(const struct tcp_socket *socket, const struct tcp_socket *peer)
{
    u64 own = socket->is_send_size_given ? socket->inet.base.send_size_max : SEND_SIZE_TUNED;
    return own + peer->inet.base.receive_size_max;
}

static const struct socket_ops tcp_ops = {
    .bind = inet_bind,
    .connect = tcp_connect,
    .listen = tcp_listen,
    .accept = tcp_accept,
    .get_name = inet_get_name,
    .send = tcp_send,
    .receive = tcp_receive,
    .shutdown = tcp_shutdown,
    .poll = tcp_poll,
    .set_option = tcp_set_option,
    .get_option = tcp_get_option,
    .ioctl = tcp_ioctl,
    .release = tcp_release,
};

/* Nobody holds the other side of a forward after a load: its peer finds the end of data. */
static void cut_off(struct tcp_socket *socket)
{
    struct tcp_socket *peer = socket->peer;
    socket->is_orphan = true;
    inet_unbind(&socket->inet);
    if (!peer || !tcp_is_open(peer))
        return;
    peer->is_done = peer->inet.base.is_shut_read = true;
    if (peer->state == LINUX_TCP_ESTABLISHED)
        peer->state = LINUX_TCP_CLOSE_WAIT;
}

static int tcp_loaded(struct object *object, struct state_reader *reader)
{
    struct tcp_socket *socket = container_of(object, struct tcp_socket, inet.base.object);
    socket->inet.base.kernel = state_reader_kernel(reader);
    socket->inet.base.ops = &tcp_ops;
    socket->options.congestion[TCP_CONGESTION_SIZE - 1] = 0;
    if (socket->is_outside)
        cut_off(socket);
    return socket->inet.ns && socket->inet.membership_count <= INET_MEMBERSHIPS_MAX &&
                   socket->read <= socket->received
               ? 0
               : -EINVAL;
}

const struct kind tcp_socket_kind = {.name = "tcp_socket",
                                     .size = sizeof(struct tcp_socket),
                                     .fields = tcp_socket_fields,
                                     .destroy = tcp_destroy,
                                     .loaded = tcp_loaded,
                                     .ops = &tcp_ops};

static int tcp_create_in(struct kernel *kernel, struct net_ns *ns, i32 domain,
                         struct tcp_socket **out)
{
    struct tcp_socket *socket = object_create(kernel->arena, &tcp_socket_kind);
    if (!socket)
        return -ENOMEM;
    inet_init(&socket->inet, kernel, ns, domain, LINUX_SOCK_STREAM, LINUX_IPPROTO_TCP);
    socket->state = LINUX_TCP_CLOSE;
    socket->inet.base.send_size_max = SEND_SIZE_DEFAULT;
    socket->inet.base.receive_size_max = RECEIVE_SIZE_DEFAULT;
    buf_init(&socket->queue, kernel->arena, 0);
    list_init(&socket->pending);
    list_init(&socket->waiting);
    tcp_options_init(&socket->options);
    *out = socket;
    return 0;
}

int tcp_create(struct task *task, i32 domain, struct socket **out)
{
    struct tcp_socket *socket;
    int err = tcp_create_in(task->kernel, net_ns_of(task), domain, &socket);
    if (err)
        return err;
    socket->inet.uid = task->cred ? task->cred->euid : 0;
    *out = &socket->inet.base;
    return 0;
}

int tcp_create_outside(struct kernel *kernel, struct net_ns *ns, struct socket **out)
{
    struct tcp_socket *socket;
    int err = tcp_create_in(kernel, ns, LINUX_AF_INET, &socket);
    if (err)
        return err;
    socket->is_outside = true;
    *out = &socket->inet.base;
    return 0;
}
