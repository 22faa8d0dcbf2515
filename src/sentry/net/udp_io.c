/* SPDX-License-Identifier: Apache-2.0 */
/*
 * udp(7): datagrams from socket to socket. A datagram that nobody takes comes back as ECONNREFUSED,
 * as ICMP's "port unreachable" would; one that finds a full queue is lost. A ping socket answers
 * itself what the host behind the address would.
 */
#include <errno.h>

#include "sentry/net/udp.h"

#define DATAGRAM_SIZE_MAX 65535u
#define HEADERS_SIZE4 28u
#define HEADERS_SIZE6 8u
#define ICMP_ECHO 8u
#define ICMP_ECHO_REPLY 0u
#define ICMP6_ECHO 128u
#define ICMP6_ECHO_REPLY 129u
#define ICMP_HEADER_SIZE 8u

/* ---- delivery ------------------------------------------------------------------------------- */

static bool takes_group(const struct inet_socket *socket, const struct net_packet *packet)
{
    return socket->options.multicast_all ||
           inet_is_member(socket, &packet->to.ip, packet->link_index);
}

/* The socket that a packet to one host is for, or NULL. */
static struct udp_socket *receiver_find(struct net_ns *ns, const struct net_packet *packet,
                                        i32 protocol)
{
    struct inet_socket *socket, *best = NULL;
    u32 best_score = 0, shared = 0;
    list_for_each (socket, inet_bucket(ns, packet->to.port), port_link) {
        u32 score = socket->base.protocol == protocol
                        ? inet_match(socket, &packet->to, &packet->from)
                        : 0;
        if (score == 0 || score < best_score)
            continue;
        shared = score > best_score ? 1 : shared + 1;
        bool spreads = score == best_score && socket->base.reuses_port;
        best_score = score;
        if (!spreads || packet->from.port % shared == 0)
            best = socket; /* without SO_REUSEPORT the youngest has it */
    }
    return best ? container_of(best, struct udp_socket, inet) : NULL;
}

/* Takes PACKET. */
static void queue_at(struct udp_socket *receiver, struct net_packet *packet)
{
    struct socket *base = &receiver->inet.base;
    if (!net_packet_queue_add(&receiver->queue, packet, base->receive_size_max)) {
        receiver->drops++;
        return;
    }
    socket_wake(base, POLL_IN | POLL_RDNORM);
}

static bool is_group_known(struct net_ns *ns, const struct net_packet *packet)
{
    const struct inet_socket *socket;
    list_for_each (socket, &ns->bound, bound_link)
        if (inet_is_member(socket, &packet->to.ip, packet->link_index))
            return true;
    return false;
}

/* To all that listen for a group or a broadcast address. Borrows PACKET. */
static void deliver_many(struct net_ns *ns, const struct net_packet *packet, i32 protocol,
                         bool is_group)
{
    if (is_group && !is_group_known(ns, packet))
        return;
    struct inet_socket *socket;
    list_for_each (socket, inet_bucket(ns, packet->to.port), port_link) {
        if (socket->base.protocol != protocol || !inet_match(socket, &packet->to, &packet->from) ||
            (is_group && !takes_group(socket, packet)))
            continue;
        struct net_packet *copy;
        if (net_packet_create(ns->object.arena, &copy))
            return; /* no memory: lost, as datagrams may be */
        copy->from = packet->from;
        copy->to = packet->to;
        copy->link_index = packet->link_index;
        copy->ttl = packet->ttl;
        copy->tos = packet->tos;
        if (buf_append(&copy->data, buf_bytes(&packet->data), packet->data.size))
            REF_PUT(copy);
        else
            queue_at(container_of(socket, struct udp_socket, inet), copy);
    }
}

static void count_traffic(struct net_ns *ns, const struct net_packet *packet)
{
    struct net_link *link = net_link_find(ns, packet->link_index);
    if (!link)
        return;
    link->packets++;
    link->bytes += packet->data.size + HEADERS_SIZE4;
}

/* Takes PACKET. */
static void deliver(struct udp_socket *sender, struct net_packet *packet, enum net_reach reach)
{
    struct net_ns *ns = sender->inet.ns;
    struct socket *base = &sender->inet.base;
    count_traffic(ns, packet);
    if (reach == NET_LOCAL) {
        struct udp_socket *receiver = receiver_find(ns, packet, base->protocol);
        if (receiver) {
            queue_at(receiver, packet);
            return;
        }
        udp_refused(sender, packet);
        return;
    }
    if (reach == NET_BROADCAST || (reach == NET_MULTICAST && sender->inet.options.multicast_loop))
        deliver_many(ns, packet, base->protocol, reach == NET_MULTICAST);
    REF_PUT(packet);
}

/* ---- ping ----------------------------------------------------------------------------------- */

static u16 checksum(const u8 *bytes, size_t size)
{
    u32 sum = 0;
    for (size_t i = 0; i < size; i++)
        sum += i % 2 ? bytes[i] : (u32)bytes[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (u16)~sum;
}

/* Turns the request in PACKET into the answer to it: 0 or -EINVAL. */
static int answer_ping(const struct udp_socket *socket, struct net_packet *packet)
{
    u8 *bytes = buf_bytes(&packet->data);
    bool is_v4 = socket->inet.base.domain == LINUX_AF_INET;
    if (packet->data.size < ICMP_HEADER_SIZE || bytes[0] != (is_v4 ? ICMP_ECHO : ICMP6_ECHO) ||
        bytes[1] != 0)
        return -EINVAL;
    bytes[0] = is_v4 ? ICMP_ECHO_REPLY : ICMP6_ECHO_REPLY;
    bytes[2] = bytes[3] = 0;
    bytes[4] = (u8)(socket->inet.local.port >> 8); /* the port is the identifier */
    bytes[5] = (u8)socket->inet.local.port;
    u16 sum = checksum(bytes, packet->data.size);
    bytes[2] = (u8)(sum >> 8);
    bytes[3] = (u8)sum;
    struct endpoint to = packet->from;
    packet->from = packet->to;
    packet->from.port = 0;
    packet->to = to;
    return 0;
}

/* ---- sending -------------------------------------------------------------------------------- */

static int send_destination(const struct udp_socket *socket, const struct socket_message *message,
                            struct endpoint *to)
{
    const struct inet_socket *inet = &socket->inet;
    if (message->name_size == 0) {
        *to = inet->remote;
        return inet->has_remote ? 0 : -EDESTADDRREQ;
    }
    int err = inet_destination(inet, message->name, message->name_size, to);
    if (err)
        return err;
    if (udp_is_ping(socket))
        to->port = 0;
    else if (to->port == 0)
        return -EINVAL;
    return 0;
}

/* WANTED: the link that the message itself asks for, or 0. */
static int send_path(struct udp_socket *socket, const struct endpoint *to, u32 wanted,
                     struct net_path *path)
{
    struct inet_socket *inet = &socket->inet;
    u32 device = wanted         ? wanted
                 : inet->device ? inet->device
                 : ip_is_multicast(&to->ip) && inet->options.multicast_link
                     ? inet->options.multicast_link
                     : to->scope;
    int err = net_ns_find_path(inet->ns, &to->ip, device, path);
    if (err)
        return err;
    if (path->reach == NET_BROADCAST && !inet->base.broadcasts)
        return -EACCES;
    return inet_bind_auto(inet) ? -EAGAIN : 0;
}

SLEEPS static int fill(struct net_packet *packet, struct uio *uio, u64 size)
{
    u8 *room;
    int err = size ? buf_reserve(&packet->data, size, &room) : 0;
    if (err || size == 0)
        return err;
    i64 got = uio_take(uio, room, size);
    if (got < 0 || (u64)got < size)
        return got < 0 ? (int)got : -EFAULT;
    buf_grow(&packet->data, size);
    return 0;
}

SLEEPS i64 udp_send(struct task *task, struct socket *base, struct socket_message *message,
                    bool may_block)
{
    struct udp_socket *socket = udp_of(base);
    struct inet_socket *inet = &socket->inet;
    struct endpoint to;
    struct net_path path;
    struct udp_wishes wishes;
    u64 size = message->uio->remaining;
    if (size > DATAGRAM_SIZE_MAX)
        return -EMSGSIZE;
    if (message->flags & LINUX_MSG_OOB)
        return -EOPNOTSUPP;
    int err = send_destination(socket, message, &to);
    if (!err)
        err = udp_controls_judge(socket, &to, message, &wishes);
    if (!err)
        err = send_path(socket, &to, wishes.device, &path);
    if (err)
        return err;
    if (base->error) {
        err = base->error;
        base->error = 0;
        return -err;
    }
    if (base->is_shut_write)
        return -EPIPE;
    if (size > DATAGRAM_SIZE_MAX - (ip_is_v4(&to.ip) ? HEADERS_SIZE4 : HEADERS_SIZE6))
        return -EMSGSIZE;
    AUTO_PUT struct net_packet *packet = NULL;
    err = net_packet_create(base->kernel->arena, &packet);
    if (!err)
        err = fill(packet, message->uio, size);
    if (err)
        return err;
    packet->to = to;
    packet->from = inet->local;
    if (ip_is_any(&inet->local.ip) || ip_is_multicast(&inet->local.ip))
        packet->from.ip = path.source;
    if (wishes.has_source)
        packet->from.ip = wishes.source;
    packet->link_index = path.link_index;
    packet->ttl = wishes.ttl >= 0 ? (u32)wishes.ttl : inet_ttl(inet, &to.ip);
    i32 tos = ip_is_v4(&to.ip) ? inet->options.tos : MAX(inet->options.traffic_class, 0);
    packet->tos = (u32)(wishes.tos >= 0 ? wishes.tos : tos);
    if (!udp_is_ping(socket)) {
        deliver(socket, MOVE(packet), path.reach);
        return (i64)size;
    }
    err = answer_ping(socket, packet);
    if (err)
        return err;
    count_traffic(inet->ns, packet);
    if (path.reach == NET_LOCAL)
        queue_at(socket, MOVE(packet));
    return (i64)size;
}

/* ---- receiving ------------------------------------------------------------------------------ */

SLEEPS i64 udp_receive(struct task *task, struct socket *base, struct socket_message *message,
                       bool may_block)
{
    struct udp_socket *socket = udp_of(base);
    if (message->flags & LINUX_MSG_OOB && udp_is_ping(socket))
        return -EOPNOTSUPP;
    if (message->flags & LINUX_MSG_ERRQUEUE)
        return udp_receive_error(socket, message);
    may_block = may_block && !(message->flags & LINUX_MSG_DONTWAIT);
    AUTO_PUT struct net_packet *packet = NULL;
    for (;;) {
        if (base->error) {
            int error = base->error;
            base->error = 0;
            return -error;
        }
        packet = net_packet_queue_take(&socket->queue, message->flags & LINUX_MSG_PEEK);
        if (packet)
            break;
        if (base->is_shut_read)
            return 0;
        if (!may_block)
            return -EAGAIN;
        int err = socket_wait(task, &base->changed, base->receive_timeout_ns);
        if (err)
            return err;
    }
    message->name_size = endpoint_format(base->domain, &packet->from, message->name);
    udp_put_controls(&socket->inet, packet, message);
    return net_packet_copy(packet, message);
}
