/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control messages of datagrams, both ways, and the queue of errors (ip(7), ipv6(7), IP_RECVERR).
 * Surprising: an error that is queued is a socket's pending error too, and reading either does not
 * always take the other along.
 */
#include <errno.h>

#include "sentry/net/udp.h"

#define ORIGIN_ICMP 2u
#define ORIGIN_ICMP6 3u
#define UNREACHABLE 3u
#define UNREACHABLE6 1u
#define PORT_UNREACHABLE 3u
#define PORT_UNREACHABLE6 4u

/* ---- what goes along with one datagram -------------------------------------------------------- */

/* An int of CONTROL within MIN..MAX. */
static int number_of(const struct socket_control *control, i32 min, i32 max, i32 *out)
{
    if (control->size != sizeof *out)
        return -EINVAL;
    memcpy(out, control->data, sizeof *out);
    return *out < min || *out > max ? -EINVAL : 0;
}

/* ADDRESS is to be the datagram's source: is it one of ours? */
static int source_set(const struct udp_socket *socket, struct ip address, struct udp_wishes *out)
{
    struct net_path path;
    if (ip_is_any(&address))
        return 0;
    if (net_ns_find_path(socket->inet.ns, &address, 0, &path) || path.reach != NET_LOCAL)
        return -EINVAL;
    out->has_source = true;
    out->source = address;
    return 0;
}

static int judge4(const struct udp_socket *socket, const struct socket_control *control,
                  struct udp_wishes *out)
{
    struct linux_in_pktinfo info;
    switch (control->type) {
    case LINUX_IP_TTL:
        return number_of(control, 1, 255, &out->ttl);
    case LINUX_IP_TOS:
        if (control->size != 1)
            return number_of(control, 0, 255, &out->tos);
        out->tos = control->data[0];
        return 0;
    case LINUX_IP_PKTINFO:
        if (control->size != sizeof info)
            return -EINVAL;
        memcpy(&info, control->data, sizeof info);
        out->device = (u32)info.ifindex;
        return source_set(socket, ip_from_v4(info.spec_dst), out);
    default:
        return -EINVAL;
    }
}

static int judge6(const struct udp_socket *socket, const struct socket_control *control,
                  struct udp_wishes *out)
{
    struct linux_in6_pktinfo info;
    struct ip address;
    switch (control->type) {
    case LINUX_IPV6_HOPLIMIT:
        return number_of(control, -1, 255, &out->ttl);
    case LINUX_IPV6_TCLASS:
        return number_of(control, -1, 255, &out->tos);
    case LINUX_IPV6_PKTINFO:
        if (control->size < sizeof info)
            return -EINVAL;
        memcpy(&info, control->data, sizeof info);
        memcpy(address.bytes, info.address, sizeof address.bytes);
        out->device = info.ifindex;
        return source_set(socket, address, out);
    default:
        return -EINVAL;
    }
}

int udp_controls_judge(const struct udp_socket *socket, const struct endpoint *to,
                       const struct socket_message *message, struct udp_wishes *out)
{
    bool is_v4 = ip_is_v4(&to->ip);
    *out = (struct udp_wishes){.ttl = -1, .tos = -1};
    for (u32 i = 0; i < message->control_count; i++) {
        const struct socket_control *control = &message->controls[i];
        int err = 0;
        if (is_v4 && control->level == LINUX_IPPROTO_IP)
            err = judge4(socket, control, out);
        else if (!is_v4 && control->level == LINUX_IPPROTO_IPV6)
            err = judge6(socket, control, out);
        if (err)
            return err;
    }
    return 0;
}

/* ---- what came along -------------------------------------------------------------------------- */

static void put_control(struct socket_message *message, i32 level, i32 type, const void *data,
                        u32 size)
{
    if (message->control_count == SOCKET_CONTROLS_MAX)
        return;
    struct socket_control *control = &message->controls[message->control_count++];
    control->level = level;
    control->type = type;
    control->size = size;
    memcpy(control->data, data, size);
}

void udp_put_controls(const struct inet_socket *socket, const struct net_packet *packet,
                      struct socket_message *message)
{
    const struct inet_options *options = &socket->options;
    bool is_v4 = ip_is_v4(&packet->to.ip);
    i32 ttl = (i32)packet->ttl, traffic_class = (i32)packet->tos;
    u8 tos = (u8)packet->tos, name[SOCKADDR_SIZE_MAX];
    if (is_v4 && options->wants_packet_info) {
        struct linux_in_pktinfo info = {.ifindex = (i32)packet->link_index};
        memcpy(info.address, packet->to.ip.bytes + IP4_AT, sizeof info.address);
        memcpy(info.spec_dst, packet->to.ip.bytes + IP4_AT, sizeof info.spec_dst);
        put_control(message, LINUX_IPPROTO_IP, LINUX_IP_PKTINFO, &info, sizeof info);
    }
    if (is_v4 && options->wants_ttl)
        put_control(message, LINUX_IPPROTO_IP, LINUX_IP_TTL, &ttl, sizeof ttl);
    if (is_v4 && options->wants_tos)
        put_control(message, LINUX_IPPROTO_IP, LINUX_IP_TOS, &tos, sizeof tos);
    if (options->wants_packet_info6 && socket->base.domain == LINUX_AF_INET6) {
        struct linux_in6_pktinfo info = {.ifindex = packet->link_index};
        memcpy(info.address, packet->to.ip.bytes, sizeof info.address);
        put_control(message, LINUX_IPPROTO_IPV6, LINUX_IPV6_PKTINFO, &info, sizeof info);
    }
    if (!is_v4 && options->wants_hops6)
        put_control(message, LINUX_IPPROTO_IPV6, LINUX_IPV6_HOPLIMIT, &ttl, sizeof ttl);
    if (!is_v4 && options->wants_class6)
        put_control(message, LINUX_IPPROTO_IPV6, LINUX_IPV6_TCLASS, &traffic_class,
                    sizeof traffic_class);
    if (options->wants_destination) {
        u32 size = endpoint_format(is_v4 ? LINUX_AF_INET : LINUX_AF_INET6, &packet->to, name);
        put_control(message, is_v4 ? LINUX_IPPROTO_IP : LINUX_IPPROTO_IPV6,
                    is_v4 ? LINUX_IP_RECVORIGDSTADDR : LINUX_IPV6_RECVORIGDSTADDR, name, size);
    }
}

/* ---- the queue of errors ---------------------------------------------------------------------- */

void udp_refused(struct udp_socket *socket, struct net_packet *packet)
{
    struct socket *base = &socket->inet.base;
    const struct inet_options *options = &socket->inet.options;
    bool is_queued = ip_is_v4(&packet->to.ip) ? options->wants_errors : options->wants_errors6;
    if (is_queued || socket->inet.has_remote) {
        base->error = ECONNREFUSED;
        socket_wake(base, POLL_IN | POLL_OUT | POLL_ERR);
    }
    if (!is_queued)
        REF_PUT(packet);
    else if (!net_packet_queue_add(&socket->errors, packet, base->receive_size_max))
        socket->drops++;
}

SLEEPS i64 udp_receive_error(struct udp_socket *socket, struct socket_message *message)
{
    struct socket *base = &socket->inet.base;
    AUTO_PUT struct net_packet *packet = net_packet_queue_take(&socket->errors, false);
    if (!packet)
        return -EAGAIN;
    base->error = socket->errors.count > 0 ? ECONNREFUSED : 0;
    bool is_v4 = ip_is_v4(&packet->to.ip);
    struct {
        struct linux_sock_extended_err error;
        u8 offender[SOCKADDR_SIZE_MAX];
    } told = {.error = {.errno_ = ECONNREFUSED,
                        .origin = is_v4 ? ORIGIN_ICMP : ORIGIN_ICMP6,
                        .type = is_v4 ? UNREACHABLE : UNREACHABLE6,
                        .code = is_v4 ? PORT_UNREACHABLE : PORT_UNREACHABLE6}};
    struct endpoint offender = {.ip = packet->to.ip};
    u32 size = endpoint_format(is_v4 ? LINUX_AF_INET : LINUX_AF_INET6, &offender, told.offender);
    put_control(message, is_v4 ? LINUX_IPPROTO_IP : LINUX_IPPROTO_IPV6,
                is_v4 ? LINUX_IP_RECVERR : LINUX_IPV6_RECVERR, &told,
                (u32)sizeof told.error + size);
    message->name_size = endpoint_format(base->domain, &packet->to, message->name);
    message->out_flags |= LINUX_MSG_ERRQUEUE;
    return net_packet_copy(packet, message);
}
