/* SPDX-License-Identifier: Apache-2.0 */
/* udp(7) and the ping sockets of icmp(7): states and options; datagrams are in udp_io.c. */
#include "sentry/net/udp.h"

#include <errno.h>

#include "base/fields.h"
#include "base/state.h"
#include "sentry/kernel/cred.h"

static const struct field udp_socket_fields[] = {
    FIELD_STRUCT(struct udp_socket, inet, inet_base_fields),
    FIELD_STRUCT(struct udp_socket, queue, net_packet_queue_fields),
    FIELD_STRUCT(struct udp_socket, errors, net_packet_queue_fields),
    FIELD(struct udp_socket, drops),
    FIELD_END,
};
FIELDS_COMPLETE(struct udp_socket, udp_socket_fields);

static void udp_release(struct socket *base)
{
    struct udp_socket *socket = udp_of(base);
    inet_unbind(&socket->inet);
    net_packet_queue_clear(&socket->queue);
    net_packet_queue_clear(&socket->errors);
    base->is_shut_read = base->is_shut_write = true;
    socket_wake(base, POLL_IN | POLL_OUT | POLL_HUP);
}

static void udp_destroy(struct object *object)
{
    struct udp_socket *socket = container_of(object, struct udp_socket, inet.base.object);
    if (socket->queue.packets.next)
        net_packet_queue_clear(&socket->queue);
    if (socket->errors.packets.next)
        net_packet_queue_clear(&socket->errors);
    inet_fini(&socket->inet);
}

static int disconnect(struct inet_socket *socket)
{
    socket->has_remote = false;
    socket->remote = (struct endpoint){.ip = *ip_any_of(socket->base.domain)};
    if (!socket->is_address_given)
        socket->local.ip = *ip_any_of(socket->base.domain);
    if (!socket->is_port_given) {
        inet_unbind(socket);
        socket->local.port = 0;
    }
    return 0;
}

SLEEPS static int udp_connect(struct task *task, struct socket *base, const u8 *name, u32 size,
                              bool may_block)
{
    struct inet_socket *socket = inet_of(base);
    struct endpoint to;
    struct net_path path;
    u16 family;
    if (size < sizeof family)
        return -EINVAL;
    memcpy(&family, name, sizeof family);
    if (family == LINUX_AF_UNSPEC)
        return disconnect(socket);
    int err = inet_destination(socket, name, size, &to);
    if (err)
        return err;
    u32 device = socket->device ? socket->device
                 : ip_is_multicast(&to.ip) && socket->options.multicast_link
                     ? socket->options.multicast_link
                     : to.scope;
    err = net_ns_find_path(socket->ns, &to.ip, device, &path);
    if (err)
        return err;
    if (path.reach == NET_BROADCAST && !base->broadcasts)
        return -EACCES;
    err = inet_bind_auto(socket);
    if (err)
        return -EAGAIN;
    if (ip_is_any(&socket->local.ip))
        socket->local.ip = path.source;
    socket->remote = to;
    socket->has_remote = true;
    return 0;
}

static int udp_shutdown(struct task *task, struct socket *base, bool read, bool write)
{
    base->is_shut_read |= read;
    base->is_shut_write |= write;
    socket_wake(base, POLL_IN | POLL_OUT | POLL_HUP | POLL_RDHUP);
    return inet_of(base)->has_remote ? 0 : -ENOTCONN;
}

static u32 udp_poll(struct socket *base)
{
    const struct udp_socket *socket = udp_of(base);
    u32 ready = POLL_OUT | POLL_WRNORM; /* what is sent never waits here */
    if (base->error || socket->errors.count > 0)
        ready |= POLL_ERR;
    if (base->is_shut_read)
        ready |= POLL_RDHUP | POLL_IN | POLL_RDNORM;
    if (base->is_shut_read && base->is_shut_write)
        ready |= POLL_HUP;
    if (socket->queue.count > 0)
        ready |= POLL_IN | POLL_RDNORM;
    return ready;
}

static int udp_set_option(struct task *task, struct socket *base, i32 level, i32 name,
                          const void *value, u32 size)
{
    if (level == LINUX_IPPROTO_UDP)
        return -ENOPROTOOPT;
    int err = inet_set_option(task, base, level, name, value, size);
    bool is_of_errors = (level == LINUX_IPPROTO_IP && name == LINUX_IP_RECVERR) ||
                        (level == LINUX_IPPROTO_IPV6 && name == LINUX_IPV6_RECVERR);
    if (!err && is_of_errors && option_number(value, size) == 0)
        net_packet_queue_clear(&udp_of(base)->errors);
    return err;
}

SLEEPS static i64 udp_ioctl(struct task *task, struct socket *base, u32 request, u64 arg)
{
    const struct udp_socket *socket = udp_of(base);
    const struct net_packet *first = list_first_or_null(&socket->queue.packets, struct net_packet,
                                                        link);
    i32 value;
    switch (request) {
    case LINUX_SIOCINQ:
        value = first ? (i32)first->data.size : 0;
        break;
    case LINUX_SIOCOUTQ:
        value = 0;
        break;
    default:
        return net_ioctl(task, socket->inet.ns, request, arg);
    }
    return copy_to_user(task, uaddr_make(arg), &value, sizeof value);
}

static const struct socket_ops udp_ops = {
    .bind = inet_bind,
    .connect = udp_connect,
    .get_name = inet_get_name,
    .send = udp_send,
    .receive = udp_receive,
    .shutdown = udp_shutdown,
    .poll = udp_poll,
    .set_option = udp_set_option,
    .get_option = inet_get_option,
    .ioctl = udp_ioctl,
    .release = udp_release,
};

static int udp_loaded(struct object *object, struct state_reader *reader)
{
    struct udp_socket *socket = container_of(object, struct udp_socket, inet.base.object);
    socket->inet.base.kernel = state_reader_kernel(reader);
    socket->inet.base.ops = &udp_ops;
    return socket->inet.ns && socket->inet.membership_count <= INET_MEMBERSHIPS_MAX ? 0 : -EINVAL;
}

const struct kind udp_socket_kind = {.name = "udp_socket",
                                     .size = sizeof(struct udp_socket),
                                     .fields = udp_socket_fields,
                                     .destroy = udp_destroy,
                                     .loaded = udp_loaded,
                                     .ops = &udp_ops};

int udp_create(struct task *task, i32 domain, i32 protocol, struct socket **out)
{
    struct udp_socket *socket = object_create(task->kernel->arena, &udp_socket_kind);
    if (!socket)
        return -ENOMEM;
    inet_init(&socket->inet, task->kernel, net_ns_of(task), domain, LINUX_SOCK_DGRAM, protocol);
    socket->inet.uid = task->cred ? task->cred->euid : 0;
    list_init(&socket->queue.packets);
    list_init(&socket->errors.packets);
    *out = &socket->inet.base;
    return 0;
}
