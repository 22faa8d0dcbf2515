/* SPDX-License-Identifier: Apache-2.0 */
/* UDP and ping sockets' struct. */
#pragma once
#include "sentry/net/inet.h"
#include "sentry/net/packet.h"

struct udp_socket {
    struct inet_socket inet;
    struct net_packet_queue queue;
    u64 drops; /* for want of room */
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
