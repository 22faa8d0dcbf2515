/* SPDX-License-Identifier: Apache-2.0 */
/* netlink(7) sockets: a program talks with the namespace's objects. */
#pragma once
#include "abi/netlink.h"
#include "sentry/net/ns.h"
#include "sentry/net/packet.h"
#include "sentry/net/socket.h"

struct netlink_socket {
    struct socket base;
    struct net_ns *ns;   /* counted */
    struct list ns_link; /* net_ns.netlinks while it has a number */
    u32 pid;             /* its number: nl_pid; 0: none yet */
    u32 groups;          /* bit N - 1: group N */
    bool is_bound, caps_acks, has_overrun;
    struct net_packet_queue queue;
};
extern const struct kind netlink_socket_kind;

static inline struct netlink_socket *netlink_of(struct socket *socket)
{
    return container_of(socket, struct netlink_socket, base);
}
MUST_CHECK int netlink_create(struct task *task, i32 type, i32 protocol, struct socket **out);
