/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network namespace: links, addresses, routes, neighbours and who is bound to which port. No link
 * carries packets out of the sandbox; what is local to the namespace is reached over its loopback.
 */
#pragma once
#include "base/object.h"
#include "sentry/kernel/namespaces.h"
#include "sentry/kernel/task.h"
#include "sentry/net/address.h"

#define NET_PORT_BUCKETS 256u
#define NET_LINKS_MAX 1024u   /* of one namespace */
#define NET_OBJECTS_MAX 8192u /* addresses, routes, neighbours: of each */
#define NET_EPHEMERAL_FIRST 32768u
#define NET_EPHEMERAL_LAST 60999u

struct inet_socket;

enum net_link_kind { NET_LINK_LOOPBACK, NET_LINK_DUMMY };

struct net_link {
    struct object object;
    struct list link; /* net_ns.links */
    u32 index;
    u32 kind;  /* NET_LINK_* */
    u32 flags; /* IFF_*, without those that follow from IFF_UP */
    u32 mtu;
    u32 queue_size;
    char name[LINUX_IFNAMSIZ];
    u8 hardware[6];
    u64 packets, bytes; /* looped back: both sent and received */
};

struct net_address {
    struct object object;
    struct list link; /* net_ns.addresses */
    u32 link_index;
    u32 prefix;
    u32 flags; /* IFA_F_* */
    u32 scope; /* RT_SCOPE_* */
    struct ip ip;
    struct ip broadcast; /* "any6": none */
    char label[LINUX_IFNAMSIZ];
};

struct net_route {
    struct object object;
    struct list link; /* net_ns.routes */
    u32 link_index;
    u32 prefix;
    u32 metric;
    u32 table, protocol, scope, type; /* RT_TABLE_*, RTPROT_*, RT_SCOPE_*, RTN_* */
    struct ip to;
    struct ip gateway; /* "any6": none */
    struct ip source;  /* preferred; "any6": none */
};

struct net_neighbour {
    struct object object;
    struct list link; /* net_ns.neighbours */
    u32 link_index;
    u32 state; /* NUD_* */
    struct ip ip;
    u8 hardware[6];
};

struct net_ns {
    struct object object;
    struct kernel *kernel;
    struct user_ns *user_ns; /* counted */
    u64 inode_nr;
    struct list links, addresses, routes, neighbours; /* counted members */
    u32 link_next_index;
    u32 link_count, address_count, route_count, neighbour_count;
    u32 port_next;
    struct list bound;                     /* struct inet_socket.bound_link, oldest first */
    struct list buckets[NET_PORT_BUCKETS]; /* the same by port: inet_socket.port_link; listeners
                                              first */
    struct list netlinks;                  /* struct netlink_socket.ns_link: bound ones */
};
extern const struct kind net_ns_kind, net_link_kind, net_address_kind, net_route_kind,
    net_neighbour_kind;

/* A namespace with a loopback link that is down. */
MUST_CHECK int net_ns_create(struct kernel *kernel, struct user_ns *user_ns, struct net_ns **out);
/* TASK's own: lent. */
struct net_ns *net_ns_of(const struct task *task);
/* May TASK change NS (CAP_NET_ADMIN over it)? */
bool net_ns_may_change(const struct task *task, const struct net_ns *ns);

/* All lent; NULL: none. */
struct net_link *net_link_find(struct net_ns *ns, u32 index);
struct net_link *net_link_find_name(struct net_ns *ns, const char *name);
struct net_address *net_address_find(struct net_ns *ns, u32 link_index, const struct ip *ip,
                                     u32 prefix);
/* The first IPv4 address of a link. */
struct net_address *net_address_first4(struct net_ns *ns, u32 link_index);
/* The flags that programs see. */
u32 net_link_shown_flags(const struct net_link *link);

/* A link of KIND that is down. -EEXIST, -ENOSPC, -ENOMEM. Lends it. */
MUST_CHECK int net_link_create(struct net_ns *ns, enum net_link_kind kind, const char *name,
                               struct net_link **out);
/* With all that refers to it. */
void net_link_remove(struct net_ns *ns, struct net_link *link);
/* The first loopback takes 127.0.0.1/8 and ::1/128 when it comes up. */
MUST_CHECK int net_link_set_up(struct net_ns *ns, struct net_link *link, bool is_up);
/* Copies WHAT (its object and link members are not read) and the route that comes with it. -EEXIST,
 * -ENOSPC, -ENOMEM. */
MUST_CHECK int net_address_add(struct net_ns *ns, const struct net_address *what);
void net_address_remove(struct net_ns *ns, struct net_address *address);
/* As above. -EEXIST, -ENETUNREACH (a gateway that no link reaches), -ENOSPC, -ENOMEM. */
MUST_CHECK int net_route_add(struct net_ns *ns, const struct net_route *what);
/* The first one that agrees in what is given: 0 or -ESRCH. */
MUST_CHECK int net_route_remove(struct net_ns *ns, const struct net_route *what);
/* Adds or replaces. */
MUST_CHECK int net_neighbour_set(struct net_ns *ns, const struct net_neighbour *what);
/* 0 or -ENOENT. */
MUST_CHECK int net_neighbour_remove(struct net_ns *ns, u32 link_index, const struct ip *ip);

/* ---- where packets go ----------------------------------------------------------------------- */

enum net_reach { NET_LOCAL, NET_BROADCAST, NET_MULTICAST, NET_AWAY };
struct net_path {
    enum net_reach reach;
    u32 link_index; /* the link it is sent on; local traffic: the loopback */
    struct ip source;
};
/* Is IP an address of the namespace's own? */
bool net_ns_is_local(struct net_ns *ns, const struct ip *ip);
/* DEVICE: an index, 0: any. 0 or -ENETUNREACH. NET_AWAY: there is a route, but the link carries
 * nothing. */
MUST_CHECK int net_ns_find_path(struct net_ns *ns, const struct ip *to, u32 device,
                                struct net_path *out);
