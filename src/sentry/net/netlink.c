/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netlink(7): sockets to the kernel itself. A request is served inside the send; its answers wait
 * in the socket's queue.
 */
#include "sentry/net/netlink.h"

#include <errno.h>

#include "base/fields.h"
#include "base/state.h"
#include "sentry/net/inet.h"
#include "sentry/net/netlink_message.h"

#define MESSAGE_SIZE_MAX ((u64)64 << 10)
#define PID_AUTO_FIRST 0xffffefffu /* where Linux begins when the process's own is taken */
#define PID_AUTO_TRIES 65536u

static const struct field netlink_socket_fields[] = {
    FIELD_STRUCT(struct netlink_socket, base, socket_base_fields),
    FIELD_REF(struct netlink_socket, ns, struct net_ns),
    FIELD_NONE(struct netlink_socket, ns_link, "the namespace's list"),
    FIELD(struct netlink_socket, pid),
    FIELD(struct netlink_socket, groups),
    FIELD(struct netlink_socket, is_bound),
    FIELD(struct netlink_socket, caps_acks),
    FIELD(struct netlink_socket, has_overrun),
    FIELD_STRUCT(struct netlink_socket, queue, net_packet_queue_fields),
    FIELD_END,
};
FIELDS_COMPLETE(struct netlink_socket, netlink_socket_fields);

static void netlink_release(struct socket *base)
{
    struct netlink_socket *socket = netlink_of(base);
    list_remove(&socket->ns_link);
    net_packet_queue_clear(&socket->queue);
    socket_wake(base, POLL_IN | POLL_OUT | POLL_HUP);
}

static void netlink_destroy(struct object *object)
{
    struct netlink_socket *socket = container_of(object, struct netlink_socket, base.object);
    list_remove(&socket->ns_link);
    if (socket->queue.packets.next)
        net_packet_queue_clear(&socket->queue);
    REF_CLEAR(socket->ns);
}

/* ---- names ---------------------------------------------------------------------------------- */

static bool is_taken(const struct netlink_socket *socket, u32 pid)
{
    const struct netlink_socket *other;
    list_for_each (other, &socket->ns->netlinks, ns_link)
        if (other->pid == pid && other->base.protocol == socket->base.protocol)
            return true;
    return false;
}

static int take_pid(struct netlink_socket *socket, u32 pid)
{
    if (is_taken(socket, pid))
        return -EADDRINUSE;
    socket->pid = pid;
    socket->is_bound = true;
    list_add_tail(&socket->ns->netlinks, &socket->ns_link);
    return 0;
}

static int bind_auto(const struct task *task, struct netlink_socket *socket)
{
    if (socket->is_bound)
        return 0;
    int err = task->group ? take_pid(socket, task->group->pid) : -EADDRINUSE;
    for (u32 i = 0; err && i < PID_AUTO_TRIES; i++)
        err = take_pid(socket, PID_AUTO_FIRST - i);
    return err;
}

static int parse_name(const u8 *name, u32 size, struct linux_sockaddr_nl *out)
{
    if (size < sizeof *out)
        return -EINVAL;
    memcpy(out, name, sizeof *out);
    return out->family == LINUX_AF_NETLINK ? 0 : -EINVAL;
}

SLEEPS static int netlink_bind(struct task *task, struct socket *base, const u8 *name, u32 size)
{
    struct netlink_socket *socket = netlink_of(base);
    struct linux_sockaddr_nl at;
    int err = parse_name(name, size, &at);
    if (err)
        return err;
    if (socket->is_bound && at.pid != 0 && at.pid != socket->pid)
        return -EINVAL;
    err = at.pid && !socket->is_bound ? take_pid(socket, at.pid) : bind_auto(task, socket);
    if (!err)
        socket->groups = at.groups;
    return err;
}

SLEEPS static int netlink_connect(struct task *task, struct socket *base, const u8 *name, u32 size,
                                  bool may_block)
{
    struct linux_sockaddr_nl to;
    u16 family;
    if (size < sizeof family)
        return -EINVAL;
    memcpy(&family, name, sizeof family);
    if (family == LINUX_AF_UNSPEC)
        return 0;
    int err = parse_name(name, size, &to);
    if (!err && (to.pid || to.groups))
        err = -ECONNREFUSED; /* nobody but the kernel */
    return err ? err : bind_auto(task, netlink_of(base));
}

static int netlink_get_name(struct task *task, struct socket *base, bool of_peer, u8 *name,
                            u32 *size)
{
    const struct netlink_socket *socket = netlink_of(base);
    struct linux_sockaddr_nl at = {.family = LINUX_AF_NETLINK};
    if (!of_peer) {
        at.pid = socket->pid;
        at.groups = socket->groups;
    }
    memcpy(name, &at, sizeof at);
    *size = sizeof at;
    return 0;
}

/* ---- requests ------------------------------------------------------------------------------- */

/* struct nlmsgerr: the error and the request, of which an acknowledgement has the head alone. */
static int answer_error(const struct netlink_request *request, int err)
{
    struct netlink_out out;
    i32 number = err;
    bool is_capped = err == 0 || request->socket->caps_acks;
    netlink_out_init(&out, request->socket, request->head.seq);
    netlink_begin(&out, LINUX_NLMSG_ERROR, is_capped ? LINUX_NLM_F_CAPPED : 0, &number,
                  sizeof number);
    netlink_put_bytes(&out, &request->head, sizeof request->head);
    if (!is_capped)
        netlink_put_bytes(&out, request->payload, request->size);
    netlink_end(&out);
    return netlink_flush(&out);
}

/* All requests in BYTES; what is cut off at the end is left. */
static int serve(struct task *task, struct netlink_socket *socket, const u8 *bytes, u64 size)
{
    while (size >= sizeof(struct linux_nlmsghdr)) {
        struct netlink_request request = {.task = task, .socket = socket};
        memcpy(&request.head, bytes, sizeof request.head);
        if (request.head.size < sizeof request.head || request.head.size > size)
            return 0;
        request.payload = bytes + sizeof request.head;
        request.size = request.head.size - (u32)sizeof request.head;
        bool is_request = request.head.flags & LINUX_NLM_F_REQUEST &&
                          request.head.type >= LINUX_NLMSG_MIN_TYPE;
        int err = 0;
        if (is_request)
            err = socket->base.protocol == LINUX_NETLINK_ROUTE ? rtnetlink_serve(&request)
                                                               : -EOPNOTSUPP;
        bool is_dump = is_request && rtnetlink_is_dump(&request);
        if (err || (request.head.flags & LINUX_NLM_F_ACK && !is_dump))
            err = answer_error(&request, err);
        if (err)
            return err;
        u64 step = MIN(ALIGN_UP((u64)request.head.size, (u64)4), size);
        bytes += step;
        size -= step;
    }
    return 0;
}

SLEEPS static i64 netlink_send(struct task *task, struct socket *base,
                               struct socket_message *message, bool may_block)
{
    struct netlink_socket *socket = netlink_of(base);
    struct linux_sockaddr_nl to = {.family = LINUX_AF_NETLINK};
    u64 size = message->uio->remaining;
    if (message->flags & LINUX_MSG_OOB)
        return -EOPNOTSUPP;
    int err = message->name_size ? parse_name(message->name, message->name_size, &to) : 0;
    if (!err)
        err = bind_auto(task, socket);
    if (err)
        return err;
    if (to.pid || to.groups)
        return to.groups ? -EPERM : -ECONNREFUSED;
    if (size > MIN((u64)base->send_size_max, MESSAGE_SIZE_MAX))
        return -EMSGSIZE;
    struct arena *arena = base->kernel->arena;
    u8 *bytes = arena_alloc(arena, size + 1);
    if (!bytes)
        return -ENOBUFS;
    i64 got = uio_take(message->uio, bytes, size);
    if (got >= 0 && (u64)got < size)
        got = -EFAULT;
    if (got > 0) {
        err = serve(task, socket, bytes, (u64)got);
        if (err)
            got = err;
    }
    arena_free(arena, bytes, size + 1);
    return got;
}

SLEEPS static i64 netlink_receive(struct task *task, struct socket *base,
                                  struct socket_message *message, bool may_block)
{
    struct netlink_socket *socket = netlink_of(base);
    if (message->flags & LINUX_MSG_OOB)
        return -EOPNOTSUPP;
    may_block = may_block && !(message->flags & LINUX_MSG_DONTWAIT);
    AUTO_PUT struct net_packet *packet = NULL;
    for (;;) {
        if (socket->has_overrun) {
            socket->has_overrun = false;
            return -ENOBUFS;
        }
        packet = net_packet_queue_take(&socket->queue, message->flags & LINUX_MSG_PEEK);
        if (packet)
            break;
        if (!may_block)
            return -EAGAIN;
        int err = socket_wait(task, &base->changed, base->receive_timeout_ns);
        if (err)
            return err;
    }
    struct linux_sockaddr_nl from = {.family = LINUX_AF_NETLINK, .groups = packet->tos};
    memcpy(message->name, &from, sizeof from);
    message->name_size = sizeof from;
    return net_packet_copy(packet, message);
}

static int netlink_shutdown(struct task *task, struct socket *base, bool read, bool write)
{
    return -EOPNOTSUPP;
}

static u32 netlink_poll(struct socket *base)
{
    const struct netlink_socket *socket = netlink_of(base);
    return POLL_OUT | POLL_WRNORM | (socket->queue.count > 0 ? POLL_IN | POLL_RDNORM : 0) |
           (socket->has_overrun ? POLL_ERR : 0);
}

static int netlink_set_option(struct task *task, struct socket *base, i32 level, i32 name,
                              const void *value, u32 size)
{
    struct netlink_socket *socket = netlink_of(base);
    if (level != LINUX_SOL_NETLINK)
        return -ENOPROTOOPT;
    if (size < sizeof(u32))
        return -EINVAL;
    u32 number = (u32)option_number(value, size);
    switch (name) {
    case LINUX_NETLINK_ADD_MEMBERSHIP:
    case LINUX_NETLINK_DROP_MEMBERSHIP:
        if (number == 0)
            return -EINVAL;
        if (number > 32)
            return 0; /* groups that never speak here */
        if (name == LINUX_NETLINK_ADD_MEMBERSHIP)
            socket->groups |= 1u << (number - 1);
        else
            socket->groups &= ~(1u << (number - 1));
        return bind_auto(task, socket);
    case LINUX_NETLINK_CAP_ACK:
        socket->caps_acks = number != 0;
        return 0;
    case LINUX_NETLINK_PKTINFO:
    case LINUX_NETLINK_BROADCAST_ERROR:
    case LINUX_NETLINK_NO_ENOBUFS:
        return 0;
    default:
        return -ENOPROTOOPT;
    }
}

static int netlink_get_option(struct task *task, struct socket *base, i32 level, i32 name,
                              void *value, u32 *size)
{
    return -ENOPROTOOPT;
}

SLEEPS static i64 netlink_ioctl(struct task *task, struct socket *base, u32 request, u64 arg)
{
    return net_ioctl(task, netlink_of(base)->ns, request, arg);
}

static const struct socket_ops netlink_ops = {
    .bind = netlink_bind,
    .connect = netlink_connect,
    .get_name = netlink_get_name,
    .send = netlink_send,
    .receive = netlink_receive,
    .shutdown = netlink_shutdown,
    .poll = netlink_poll,
    .set_option = netlink_set_option,
    .get_option = netlink_get_option,
    .ioctl = netlink_ioctl,
    .release = netlink_release,
};

static int netlink_loaded(struct object *object, struct state_reader *reader)
{
    struct netlink_socket *socket = container_of(object, struct netlink_socket, base.object);
    socket->base.kernel = state_reader_kernel(reader);
    socket->base.ops = &netlink_ops;
    return socket->ns ? 0 : -EINVAL;
}

const struct kind netlink_socket_kind = {.name = "netlink_socket",
                                         .size = sizeof(struct netlink_socket),
                                         .fields = netlink_socket_fields,
                                         .destroy = netlink_destroy,
                                         .loaded = netlink_loaded,
                                         .ops = &netlink_ops};

int netlink_create(struct task *task, i32 type, i32 protocol, struct socket **out)
{
    if (type != LINUX_SOCK_RAW && type != LINUX_SOCK_DGRAM)
        return -ESOCKTNOSUPPORT;
    if (protocol != LINUX_NETLINK_ROUTE && protocol != LINUX_NETLINK_KOBJECT_UEVENT)
        return -EPROTONOSUPPORT;
    struct netlink_socket *socket = object_create(task->kernel->arena, &netlink_socket_kind);
    if (!socket)
        return -ENOMEM;
    socket_init(&socket->base, task->kernel, LINUX_AF_NETLINK, type, protocol);
    socket->ns = REF_GET(net_ns_of(task));
    list_init(&socket->queue.packets);
    *out = &socket->base;
    return 0;
}
