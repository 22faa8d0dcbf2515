/* SPDX-License-Identifier: Apache-2.0 */
/* UDP and ping sockets' struct. */
#pragma once
#include "sentry/net/inet.h"
#include "sentry/net/packet.h"

struct udp_socket {
    struct inet_socket inet;
    struct net_packet_queue queue;
    struct net_packet_queue errors; /* what was sent and refused, for IP_RECVERR */
    u64 drops;                      /* for want of room */
};
extern const struct kind udp_socket_kind;

static inline struct udp_socket *udp_of(struct socket *socket)
{
    return container_of(socket, struct udp_socket, inet.base);
}
static inline bool udp_is_ping(const struct udp_socket *socket)
{
    return socket->inet.base.protocol != LINUX_IPPROTO_UDP;
}
/* udp_io.c */
SLEEPS i64 udp_send(struct task *task, struct socket *socket, struct socket_message *message,
                    bool may_block);
SLEEPS i64 udp_receive(struct task *task, struct socket *socket, struct socket_message *message,
                       bool may_block);

/* What control messages ask for one datagram. */
struct udp_wishes {
    i32 ttl, tos; /* -1: the socket's own */
    u32 device;   /* a link's index, or 0 */
    bool has_source;
    struct ip source;
};

/* udp_control.c */
/* The control messages of MESSAGE, which goes to TO: 0 or -EINVAL. */
MUST_CHECK int udp_controls_judge(const struct udp_socket *socket, const struct endpoint *to,
                                  const struct socket_message *message, struct udp_wishes *out);
/* Those that SOCKET wants to see of PACKET, into MESSAGE. */
void udp_put_controls(const struct inet_socket *socket, const struct net_packet *packet,
                      struct socket_message *message);
/* Nobody takes PACKET, which SOCKET sent. Takes PACKET. */
void udp_refused(struct udp_socket *socket, struct net_packet *packet);
/* The oldest refused packet with what became of it; -EAGAIN: none. */
SLEEPS i64 udp_receive_error(struct udp_socket *socket, struct socket_message *message);
