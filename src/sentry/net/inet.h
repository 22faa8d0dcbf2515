/* SPDX-License-Identifier: Apache-2.0 */
/* What TCP, UDP and ping sockets share: names, ports and the options of IP. A family member embeds
 * struct inet_socket first. */
#pragma once
#include "sentry/net/ns.h"
#include "sentry/net/socket.h"

#define INET_MEMBERSHIPS_MAX 20u

struct inet_membership {
    struct ip group;
    u32 link_index;
};

struct inet_options {
    i32 ttl, hops; /* -1: the default */
    i32 multicast_ttl, multicast_hops;
    u32 multicast_link; /* index; 0: by route */
    i32 tos, traffic_class;
    bool multicast_loop, multicast_all;
    bool wants_errors, wants_packet_info, wants_ttl, wants_tos; /* SOL_IP */
    bool wants_errors6, wants_packet_info6, wants_hops6, wants_class6;
    bool wants_destination, binds_freely, binds_without_port;
    i32 mtu_discover;
};

struct inet_socket {
    struct socket base;
    struct net_ns *ns;      /* counted */
    struct list bound_link; /* net_ns.bound while it has a port */
    struct list port_link;  /* one of net_ns.buckets at that time */
    struct endpoint local, remote;
    u32 uid;            /* of who made it */
    u32 device;         /* SO_BINDTODEVICE: index; 0: any */
    bool has_remote;    /* connected, or connecting */
    bool is_port_given; /* by bind(2): it keeps the port when a connection ends */
    bool is_address_given;
    bool is_listening;
    bool is_v6only;
    struct inet_options options;
    u32 membership_count;
    struct inet_membership memberships[INET_MEMBERSHIPS_MAX];
};
extern const struct field inet_base_fields[];

static inline struct inet_socket *inet_of(struct socket *socket)
{
    return container_of(socket, struct inet_socket, base);
}

/* Base members; takes a reference to the namespace. */
void inet_init(struct inet_socket *socket, struct kernel *kernel, struct net_ns *ns, i32 domain,
               i32 type, i32 protocol);
/* What inet_init took and bind gave. */
void inet_fini(struct inet_socket *socket);
/* For ns_loaded: put SOCKET into its bucket. */
void inet_enter_bucket(struct net_ns *ns, struct inet_socket *socket);
/* One that listens is found before others of its port. */
void inet_set_listening(struct inet_socket *socket, bool is_listening);
/* The local name, which is set, is SOCKET's. */
void inet_claim(struct inet_socket *socket);
/* All sockets that may have PORT, listeners first. */
static inline struct list *inet_bucket(struct net_ns *ns, u16 port)
{
    return &ns->buckets[port % NET_PORT_BUCKETS];
}

/* socket_ops */
MUST_CHECK SLEEPS int inet_bind(struct task *task, struct socket *socket, const u8 *name, u32 size);
int inet_get_name(struct task *task, struct socket *socket, bool of_peer, u8 *name, u32 *size);
int inet_set_option(struct task *task, struct socket *socket, i32 level, i32 name,
                    const void *value, u32 size);
int inet_get_option(struct task *task, struct socket *socket, i32 level, i32 name, void *value,
                    u32 *size);
/* ioctls of interfaces, for sockets of every family: -ENOTTY for others. */
MUST_CHECK SLEEPS i64 net_ioctl(struct task *task, struct net_ns *ns, u32 request, u64 arg);

/* A free port of the ephemeral range for a socket that has none: 0 or -EADDRINUSE. */
MUST_CHECK int inet_bind_auto(struct inet_socket *socket);
/* The port is free for others; the name stays. */
void inet_unbind(struct inet_socket *socket);
/* Does another socket's claim forbid that SOCKET binds to LOCAL, or listens there? */
bool inet_has_conflict(const struct inet_socket *socket, const struct endpoint *local);
/* How well SOCKET's name fits a packet to TO from FROM: 0 not at all, more is better. */
u32 inet_match(const struct inet_socket *socket, const struct endpoint *to,
               const struct endpoint *from);
/* A program's destination, for a socket of its domain; the "any" address becomes the loopback.
 * 0 or -EINVAL, -EAFNOSUPPORT, -ENETUNREACH (IPv4 for a socket of IPv6 only). */
MUST_CHECK int inet_destination(const struct inet_socket *socket, const u8 *name, u32 size,
                                struct endpoint *out);
u32 inet_ttl(const struct inet_socket *socket, const struct ip *to);
bool inet_is_member(const struct inet_socket *socket, const struct ip *group, u32 link_index);
/* Option values as ints. */
static inline i32 option_number(const void *value, u32 size)
{
    i32 number = 0;
    memcpy(&number, value, MIN(size, (u32)sizeof number));
    return number;
}
int option_put(void *value, u32 *size, const void *what, u32 what_size);

/* tcp.c, udp.c */
MUST_CHECK int tcp_create(struct task *task, i32 domain, struct socket **out);
MUST_CHECK int udp_create(struct task *task, i32 domain, i32 protocol, struct socket **out);
