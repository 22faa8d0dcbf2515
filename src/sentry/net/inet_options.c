/* SPDX-License-Identifier: Apache-2.0 */
/* ip(7), ipv6(7): options of IPPROTO_IP and IPPROTO_IPV6, memberships of groups, SO_BINDTODEVICE.
 */
#include <errno.h>

#include "sentry/kernel/cred.h"
#include "sentry/net/inet.h"

#define MTU_LOOPBACK 65536

int option_put(void *value, u32 *size, const void *what, u32 what_size)
{
    *size = MIN(*size, what_size);
    memcpy(value, what, *size);
    return 0;
}

/* ---- rows ----------------------------------------------------------------------------------- */

enum row_type { ROW_BOOL, ROW_INT };
struct row {
    i32 name;
    enum row_type type;
    size_t offset; /* in struct inet_options */
    i32 min, max;  /* of an int */
};
#define BOOL(name, member)                                          \
    {                                                               \
        name, ROW_BOOL, offsetof(struct inet_options, member), 0, 0 \
    }
#define INT(name, member, min, max)                                    \
    {                                                                  \
        name, ROW_INT, offsetof(struct inet_options, member), min, max \
    }

static const struct row rows4[] = {
    INT(LINUX_IP_TOS, tos, INT32_MIN, INT32_MAX),
    INT(LINUX_IP_MULTICAST_TTL, multicast_ttl, -1, 255),
    INT(LINUX_IP_MTU_DISCOVER, mtu_discover, 0, 5),
    BOOL(LINUX_IP_PKTINFO, wants_packet_info),
    BOOL(LINUX_IP_RECVERR, wants_errors),
    BOOL(LINUX_IP_RECVTTL, wants_ttl),
    BOOL(LINUX_IP_RECVTOS, wants_tos),
    BOOL(LINUX_IP_FREEBIND, binds_freely),
    BOOL(LINUX_IP_RECVORIGDSTADDR, wants_destination),
    BOOL(LINUX_IP_BIND_ADDRESS_NO_PORT, binds_without_port),
    BOOL(LINUX_IP_MULTICAST_LOOP, multicast_loop),
    BOOL(LINUX_IP_MULTICAST_ALL, multicast_all),
};
static const struct row rows6[] = {
    INT(LINUX_IPV6_UNICAST_HOPS, hops, -1, 255),
    INT(LINUX_IPV6_MULTICAST_HOPS, multicast_hops, -1, 255),
    INT(LINUX_IPV6_TCLASS, traffic_class, -1, 255),
    INT(LINUX_IPV6_MTU_DISCOVER, mtu_discover, 0, 5),
    BOOL(LINUX_IPV6_MULTICAST_LOOP, multicast_loop),
    BOOL(LINUX_IPV6_RECVERR, wants_errors6),
    BOOL(LINUX_IPV6_RECVPKTINFO, wants_packet_info6),
    BOOL(LINUX_IPV6_RECVHOPLIMIT, wants_hops6),
    BOOL(LINUX_IPV6_RECVTCLASS, wants_class6),
    BOOL(LINUX_IPV6_RECVORIGDSTADDR, wants_destination),
};

static const struct row *row_find(i32 level, i32 name)
{
    const struct row *rows = level == LINUX_IPPROTO_IP ? rows4 : rows6;
    size_t count = level == LINUX_IPPROTO_IP ? ARRAY_COUNT(rows4) : ARRAY_COUNT(rows6);
    for (size_t i = 0; i < count; i++)
        if (rows[i].name == name)
            return &rows[i];
    return NULL;
}

static int row_set(const struct row *row, struct inet_options *options, i32 value)
{
    char *at = (char *)options + row->offset;
    if (row->type == ROW_BOOL) {
        *(bool *)at = value != 0;
        return 0;
    }
    if (value < row->min || value > row->max)
        return -EINVAL;
    memcpy(at, &value, sizeof value);
    return 0;
}

static i32 row_get(const struct row *row, const struct inet_options *options)
{
    const char *at = (const char *)options + row->offset;
    i32 value;
    if (row->type == ROW_BOOL)
        return *(const bool *)at;
    memcpy(&value, at, sizeof value);
    return value;
}

/* ---- groups --------------------------------------------------------------------------------- */

/* The link that a membership or IP_MULTICAST_IF names: by index, else by its address, else the
 * first that is up. 0: none. */
static u32 link_of(struct inet_socket *socket, i32 index, const struct ip *address)
{
    struct net_ns *ns = socket->ns;
    if (index)
        return index > 0 && net_link_find(ns, (u32)index) ? (u32)index : 0;
    if (address && !ip_is_any(address)) {
        const struct net_address *found;
        list_for_each (found, &ns->addresses, link)
            if (ip_equal(&found->ip, address))
                return found->link_index;
        return 0;
    }
    const struct net_link *link;
    list_for_each (link, &ns->links, link)
        if (link->flags & LINUX_IFF_UP)
            return link->index;
    return 0;
}

static int group_join(struct inet_socket *socket, const struct ip *group, u32 link_index)
{
    if (!ip_is_multicast(group))
        return -EINVAL;
    if (!link_index)
        return -ENODEV;
    if (inet_is_member(socket, group, link_index))
        return -EADDRINUSE;
    if (socket->membership_count == INET_MEMBERSHIPS_MAX)
        return -ENOBUFS;
    socket->memberships[socket->membership_count++] = (struct inet_membership){*group, link_index};
    return 0;
}

static int group_leave(struct inet_socket *socket, const struct ip *group, u32 link_index)
{
    for (u32 i = 0; i < socket->membership_count; i++) {
        struct inet_membership *member = &socket->memberships[i];
        if (!ip_equal(&member->group, group) || (link_index && member->link_index != link_index))
            continue;
        *member = socket->memberships[--socket->membership_count];
        socket->memberships[socket->membership_count] = (struct inet_membership){0};
        return 0;
    }
    return -EADDRNOTAVAIL;
}

/* struct ip_mreq (8 bytes) or ip_mreqn. */
static int change_group4(struct inet_socket *socket, bool joins, const void *value, u32 size)
{
    struct linux_ip_mreqn request = {0};
    if (size < 8)
        return -EINVAL;
    memcpy(&request, value, size < sizeof request ? 8 : sizeof request);
    struct ip group = ip_from_v4(request.group), address = ip_from_v4(request.address);
    u32 link_index = link_of(socket, request.ifindex, &address);
    return joins ? group_join(socket, &group, link_index)
                 : group_leave(socket, &group,
                               request.ifindex || !ip_is_any(&address) ? link_index : 0);
}

static int change_group6(struct inet_socket *socket, bool joins, const void *value, u32 size)
{
    struct linux_ipv6_mreq request;
    struct ip group;
    if (size < sizeof request)
        return -EINVAL;
    memcpy(&request, value, sizeof request);
    memcpy(group.bytes, request.group, sizeof group.bytes);
    return joins ? group_join(socket, &group, link_of(socket, request.ifindex, NULL))
                 : group_leave(socket, &group, (u32)request.ifindex);
}

/* struct group_req: an index and a socket address at 8. */
static int change_group_any(struct inet_socket *socket, bool joins, const void *value, u32 size)
{
    struct endpoint group;
    i32 index = option_number(value, size);
    if (size < 8 + 128)
        return -EINVAL;
    u16 family;
    memcpy(&family, (const u8 *)value + 8, sizeof family);
    int err = endpoint_parse(family == LINUX_AF_INET ? LINUX_AF_INET : LINUX_AF_INET6,
                             (const u8 *)value + 8, 128, &group);
    if (err)
        return err == -EAFNOSUPPORT ? -EADDRNOTAVAIL : err;
    return joins ? group_join(socket, &group.ip, link_of(socket, index, NULL))
                 : group_leave(socket, &group.ip, (u32)index);
}

/* IP_MULTICAST_IF: an address, or struct ip_mreq or ip_mreqn, whose second and third count. */
static int set_multicast_link4(struct inet_socket *socket, const void *value, u32 size)
{
    struct linux_ip_mreqn request = {0};
    if (size < 4)
        return -EINVAL;
    if (size >= 8)
        memcpy(&request, value, MIN(size, (u32)sizeof request));
    else
        memcpy(request.address, value, sizeof request.address);
    struct ip address = ip_from_v4(request.address);
    if (!request.ifindex && ip_is_any(&address)) {
        socket->options.multicast_link = 0;
        return 0;
    }
    u32 link_index = link_of(socket, request.ifindex, &address);
    if (!link_index)
        return -EADDRNOTAVAIL;
    socket->options.multicast_link = link_index;
    return 0;
}

/* ---- set ------------------------------------------------------------------------------------ */

static int set_device(struct inet_socket *socket, const void *value, u32 size)
{
    char name[LINUX_IFNAMSIZ] = {0};
    memcpy(name, value, MIN(size, LINUX_IFNAMSIZ - 1));
    const struct net_link *link = name[0] ? net_link_find_name(socket->ns, name) : NULL;
    if (name[0] && !link)
        return -ENODEV;
    socket->device = link ? link->index : 0;
    return 0;
}

static int set_option4(struct inet_socket *socket, i32 name, const void *value, u32 size)
{
    i32 number = size >= sizeof(i32) ? option_number(value, size)
                 : size >= 1         ? *(const u8 *)value
                                     : 0;
    switch (name) {
    case LINUX_IP_TTL:
        if (size < 1 || (number != -1 && (number < 1 || number > 255)))
            return -EINVAL;
        socket->options.ttl = number;
        return 0;
    case LINUX_IP_MULTICAST_IF:
        return socket->base.type == LINUX_SOCK_STREAM ? -EINVAL
                                                      : set_multicast_link4(socket, value, size);
    case LINUX_IP_ADD_MEMBERSHIP:
    case LINUX_IP_DROP_MEMBERSHIP:
        return socket->base.type == LINUX_SOCK_STREAM
                   ? -EPROTO
                   : change_group4(socket, name == LINUX_IP_ADD_MEMBERSHIP, value, size);
    case LINUX_MCAST_JOIN_GROUP:
    case LINUX_MCAST_LEAVE_GROUP:
        return change_group_any(socket, name == LINUX_MCAST_JOIN_GROUP, value, size);
    case LINUX_IP_HDRINCL:
    case LINUX_IP_TRANSPARENT:
        return name == LINUX_IP_HDRINCL ? -ENOPROTOOPT : -EPERM;
    case LINUX_IP_OPTIONS:
    case LINUX_IP_RECVOPTS:
    case LINUX_IP_RETOPTS:
    case LINUX_IP_MINTTL:
    case LINUX_IP_UNICAST_IF:
        return 0; /* no packet shows it */
    }
    const struct row *row = row_find(LINUX_IPPROTO_IP, name);
    if (!row)
        return -ENOPROTOOPT;
    return size < 1 ? -EINVAL : row_set(row, &socket->options, number);
}

static int set_option6(struct inet_socket *socket, i32 name, const void *value, u32 size)
{
    i32 number = option_number(value, size);
    if (size < sizeof number)
        return -EINVAL;
    switch (name) {
    case LINUX_IPV6_V6ONLY:
        if (list_is_linked(&socket->bound_link) || socket->has_remote)
            return -EINVAL;
        socket->is_v6only = number != 0;
        return 0;
    case LINUX_IPV6_MULTICAST_IF:
        if (number && !net_link_find(socket->ns, (u32)number))
            return -ENODEV;
        socket->options.multicast_link = (u32)number;
        return 0;
    case LINUX_IPV6_ADD_MEMBERSHIP:
    case LINUX_IPV6_DROP_MEMBERSHIP:
        return change_group6(socket, name == LINUX_IPV6_ADD_MEMBERSHIP, value, size);
    case LINUX_MCAST_JOIN_GROUP:
    case LINUX_MCAST_LEAVE_GROUP:
        return change_group_any(socket, name == LINUX_MCAST_JOIN_GROUP, value, size);
    }
    const struct row *row = row_find(LINUX_IPPROTO_IPV6, name);
    return row ? row_set(row, &socket->options, number) : -ENOPROTOOPT;
}

int inet_set_option(struct task *task, struct socket *base, i32 level, i32 name, const void *value,
                    u32 size)
{
    struct inet_socket *socket = inet_of(base);
    if (level == LINUX_SOL_SOCKET)
        return name == LINUX_SO_BINDTODEVICE ? set_device(socket, value, size) : -ENOPROTOOPT;
    if (level == LINUX_IPPROTO_IP)
        return set_option4(socket, name, value, size);
    if (level == LINUX_IPPROTO_IPV6 && base->domain == LINUX_AF_INET6)
        return set_option6(socket, name, value, size);
    return -ENOPROTOOPT;
}

/* ---- get ------------------------------------------------------------------------------------ */

int inet_get_option(struct task *task, struct socket *base, i32 level, i32 name, void *value,
                    u32 *size)
{
    struct inet_socket *socket = inet_of(base);
    i32 number;
    if (level == LINUX_SOL_SOCKET && name == LINUX_SO_BINDTODEVICE) {
        const struct net_link *link = net_link_find(socket->ns, socket->device);
        if (link && *size < LINUX_IFNAMSIZ)
            return -EINVAL;
        return option_put(value, size, link ? link->name : "", link ? LINUX_IFNAMSIZ : 0);
    }
    bool is_v4 = level == LINUX_IPPROTO_IP;
    if (!is_v4 && (level != LINUX_IPPROTO_IPV6 || base->domain != LINUX_AF_INET6))
        return level == LINUX_SOL_SOCKET ? -ENOPROTOOPT : -EOPNOTSUPP;
    const struct row *row = row_find(level, name);
    if (row) {
        number = row_get(row, &socket->options);
        if (!is_v4 && number < 0)
            number = name == LINUX_IPV6_UNICAST_HOPS ? 64 : name == LINUX_IPV6_TCLASS ? 0 : 1;
        if (name == LINUX_IP_MULTICAST_TTL && is_v4 && number < 0)
            number = 1;
    } else if (is_v4 && name == LINUX_IP_TTL) {
        number = socket->options.ttl < 0 ? 64 : socket->options.ttl;
    } else if (!is_v4 && name == LINUX_IPV6_V6ONLY) {
        number = socket->is_v6only;
    } else if (!is_v4 && name == LINUX_IPV6_MULTICAST_IF) {
        number = (i32)socket->options.multicast_link;
    } else if (name == (is_v4 ? LINUX_IP_MTU : LINUX_IPV6_MTU)) {
        if (!socket->has_remote)
            return -ENOTCONN;
        number = MTU_LOOPBACK;
    } else if (is_v4 && name == LINUX_IP_MULTICAST_IF) {
        const struct net_address *address = net_address_first4(socket->ns,
                                                               socket->options.multicast_link);
        return option_put(value, size, (address ? address->ip : ip_any4).bytes + IP4_AT, 4);
    } else {
        return -ENOPROTOOPT;
    }
    if (is_v4 && *size > 0 && *size < sizeof number && number >= 0 && number <= 255)
        return option_put(value, size, &(u8){(u8)number}, 1); /* as ip(7) of old */
    return option_put(value, size, &number, sizeof number);
}
