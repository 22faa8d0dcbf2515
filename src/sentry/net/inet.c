/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ip(7): names and ports of internet sockets. Surprising: IPv4 and IPv6 share the ports, for a
 * socket bound to "::" takes IPv4 too unless IPV6_V6ONLY says otherwise.
 */
#include "sentry/net/inet.h"

#include <errno.h>

#include "base/fields.h"
#include "sentry/kernel/cred.h"

#define TTL_DEFAULT 64u
#define PORT_PRIVILEGED_END 1024u

static const struct field inet_options_fields[] = {
    FIELD(struct inet_options, ttl),
    FIELD(struct inet_options, hops),
    FIELD(struct inet_options, multicast_ttl),
    FIELD(struct inet_options, multicast_hops),
    FIELD(struct inet_options, multicast_link),
    FIELD(struct inet_options, tos),
    FIELD(struct inet_options, traffic_class),
    FIELD(struct inet_options, multicast_loop),
    FIELD(struct inet_options, multicast_all),
    FIELD(struct inet_options, wants_errors),
    FIELD(struct inet_options, wants_packet_info),
    FIELD(struct inet_options, wants_ttl),
    FIELD(struct inet_options, wants_tos),
    FIELD(struct inet_options, wants_errors6),
    FIELD(struct inet_options, wants_packet_info6),
    FIELD(struct inet_options, wants_hops6),
    FIELD(struct inet_options, wants_class6),
    FIELD(struct inet_options, wants_destination),
    FIELD(struct inet_options, binds_freely),
    FIELD(struct inet_options, binds_without_port),
    FIELD(struct inet_options, mtu_discover),
    FIELD_END,
};
FIELDS_COMPLETE(struct inet_options, inet_options_fields);

const struct field inet_base_fields[] = {
    FIELD_STRUCT(struct inet_socket, base, socket_base_fields),
    FIELD_REF(struct inet_socket, ns, struct net_ns),
    FIELD_NONE(struct inet_socket, bound_link, "the namespace's list"),
    FIELD_NONE(struct inet_socket, port_link, "the namespace's bucket"),
    FIELD_BYTES(struct inet_socket, local),
    FIELD_BYTES(struct inet_socket, remote),
    FIELD(struct inet_socket, uid),
    FIELD(struct inet_socket, device),
    FIELD(struct inet_socket, has_remote),
    FIELD(struct inet_socket, is_port_given),
    FIELD(struct inet_socket, is_address_given),
    FIELD(struct inet_socket, is_listening),
    FIELD(struct inet_socket, is_v6only),
    FIELD_STRUCT(struct inet_socket, options, inet_options_fields),
    FIELD(struct inet_socket, membership_count),
    FIELD_BYTES(struct inet_socket, memberships),
    FIELD_END,
};
FIELDS_COMPLETE(struct inet_socket, inet_base_fields);

void inet_init(struct inet_socket *socket, struct kernel *kernel, struct net_ns *ns, i32 domain,
               i32 type, i32 protocol)
{
    socket_init(&socket->base, kernel, domain, type, protocol);
    socket->ns = REF_GET(ns);
    socket->local.ip = *ip_any_of(domain);
    socket->remote.ip = *ip_any_of(domain);
    socket->options = (struct inet_options){.ttl = -1,
                                            .hops = -1,
                                            .multicast_ttl = 1,
                                            .multicast_hops = 1,
                                            .multicast_loop = true,
                                            .multicast_all = true,
                                            .mtu_discover = 1};
}

void inet_fini(struct inet_socket *socket)
{
    inet_unbind(socket);
    REF_CLEAR(socket->ns);
}

u32 inet_ttl(const struct inet_socket *socket, const struct ip *to)
{
    bool is_v4 = ip_is_v4(to);
    i32 value = ip_is_multicast(to)
                    ? (is_v4 ? socket->options.multicast_ttl : socket->options.multicast_hops)
                    : (is_v4 ? socket->options.ttl : socket->options.hops);
    return value < 0 ? TTL_DEFAULT : (u32)value;
}

bool inet_is_member(const struct inet_socket *socket, const struct ip *group, u32 link_index)
{
    for (u32 i = 0; i < socket->membership_count; i++)
        if (ip_equal(&socket->memberships[i].group, group) &&
            (!link_index || socket->memberships[i].link_index == link_index))
            return true;
    return false;
}

/* ---- ports ---------------------------------------------------------------------------------- */

void inet_enter_bucket(struct net_ns *ns, struct inet_socket *socket)
{
    struct list *bucket = inet_bucket(ns, socket->local.port);
    if (socket->is_listening)
        list_add_head(bucket, &socket->port_link);
    else
        list_add_tail(bucket, &socket->port_link);
}

void inet_set_listening(struct inet_socket *socket, bool is_listening)
{
    socket->is_listening = is_listening;
    if (!list_is_linked(&socket->port_link))
        return;
    list_remove(&socket->port_link);
    inet_enter_bucket(socket->ns, socket);
}

void inet_claim(struct inet_socket *socket)
{
    list_add_tail(&socket->ns->bound, &socket->bound_link);
    inet_enter_bucket(socket->ns, socket);
}

void inet_unbind(struct inet_socket *socket)
{
    list_remove(&socket->bound_link);
    list_remove(&socket->port_link);
    socket->is_listening = false;
}

/* May one packet be meant for both A and B? */
static bool names_overlap(const struct ip *a, bool a_v6only, const struct ip *b, bool b_v6only)
{
    if (ip_equal(a, b))
        return true;
    if (ip_equal(a, &ip_any6))
        return !ip_is_v4(b) || !a_v6only;
    if (ip_equal(b, &ip_any6))
        return !ip_is_v4(a) || !b_v6only;
    return ip_is_v4(a) && ip_is_v4(b) && (ip_is_any(a) || ip_is_any(b));
}

bool inet_has_conflict(const struct inet_socket *socket, const struct endpoint *local)
{
    const struct inet_socket *other;
    list_for_each (other, inet_bucket(socket->ns, local->port), port_link) {
        if (other == socket || other->local.port != local->port ||
            other->base.protocol != socket->base.protocol ||
            (other->device && socket->device && other->device != socket->device) ||
            !names_overlap(&local->ip, socket->is_v6only, &other->local.ip, other->is_v6only))
            continue;
        if (socket->base.reuses_port && other->base.reuses_port && socket->uid == other->uid)
            continue;
        if (socket->base.reuses_address && other->base.reuses_address && !other->is_listening)
            continue;
        return true;
    }
    return false;
}

/* A port for LOCAL, whose address stands. */
static int pick_port(struct inet_socket *socket, struct endpoint *local)
{
    struct net_ns *ns = socket->ns;
    u32 count = NET_EPHEMERAL_LAST - NET_EPHEMERAL_FIRST + 1;
    for (u32 tries = 0; tries < count; tries++) {
        ns->port_next = (ns->port_next + 1) % count;
        local->port = (u16)(NET_EPHEMERAL_FIRST + ns->port_next);
        bool reuses = socket->base.reuses_address, shares = socket->base.reuses_port;
        socket->base.reuses_address = socket->base.reuses_port = false;
        bool is_taken = inet_has_conflict(socket, local);
        socket->base.reuses_address = reuses;
        socket->base.reuses_port = shares;
        if (!is_taken)
            return 0;
    }
    local->port = 0;
    return -EADDRINUSE;
}

int inet_bind_auto(struct inet_socket *socket)
{
    if (list_is_linked(&socket->bound_link))
        return 0;
    int err = pick_port(socket, &socket->local);
    if (!err)
        inet_claim(socket);
    return err;
}

/* May SOCKET be at IP? */
static bool may_be_at(const struct inet_socket *socket, const struct ip *ip)
{
    if (ip_is_any(ip) || socket->options.binds_freely || net_ns_is_local(socket->ns, ip))
        return true;
    if (socket->base.type == LINUX_SOCK_STREAM)
        return false;
    struct net_path path;
    return ip_is_multicast(ip) ||
           (net_ns_find_path(socket->ns, ip, 0, &path) == 0 && path.reach == NET_BROADCAST);
}

SLEEPS int inet_bind(struct task *task, struct socket *base, const u8 *name, u32 size)
{
    struct inet_socket *socket = inet_of(base);
    struct endpoint local;
    int err = endpoint_parse(base->domain, name, size, &local);
    u16 family = 0;
    memcpy(&family, name, MIN(size, (u32)sizeof family));
    if (err == -EAFNOSUPPORT && base->domain == LINUX_AF_INET && family == LINUX_AF_UNSPEC &&
        ip_is_any(&local.ip))
        err = 0; /* ip(7): old programs leave the family out */
    if (err)
        return err;
    if (ip_is_v4(&local.ip) && base->domain == LINUX_AF_INET6 && socket->is_v6only)
        return -EINVAL;
    if (ip_is_link_local6(&local.ip) && !local.scope)
        return -EINVAL;
    if (!may_be_at(socket, &local.ip))
        return -EADDRNOTAVAIL;
    if (local.port && local.port < PORT_PRIVILEGED_END &&
        !task_has_capability_in(task, socket->ns->user_ns, CAP_NET_BIND_SERVICE))
        return -EACCES;
    if (list_is_linked(&socket->bound_link) || socket->has_remote)
        return -EINVAL;
    if (local.port && inet_has_conflict(socket, &local))
        return -EADDRINUSE;
    socket->is_port_given = local.port != 0;
    bool waits_for_port = !local.port && socket->options.binds_without_port;
    if (!local.port && !waits_for_port)
        err = pick_port(socket, &local);
    if (err)
        return err;
    socket->local = local;
    socket->is_address_given = !ip_is_any(&local.ip);
    if (!waits_for_port)
        inet_claim(socket);
    return 0;
}

int inet_get_name(struct task *task, struct socket *base, bool of_peer, u8 *name, u32 *size)
{
    const struct inet_socket *socket = inet_of(base);
    if (of_peer && !socket->has_remote)
        return -ENOTCONN;
    *size = endpoint_format(base->domain, of_peer ? &socket->remote : &socket->local, name);
    return 0;
}

u32 inet_match(const struct inet_socket *socket, const struct endpoint *to,
               const struct endpoint *from)
{
    if (socket->local.port != to->port)
        return 0;
    u32 score = 1;
    const struct ip *at = &socket->local.ip;
    if (ip_equal(at, &ip_any6)) {
        if (ip_is_v4(&to->ip) && (socket->base.domain == LINUX_AF_INET || socket->is_v6only))
            return 0;
    } else if (ip_equal(at, &ip_any4)) {
        if (!ip_is_v4(&to->ip))
            return 0;
        score += 1;
    } else if (ip_equal(at, &to->ip)) {
        score += 2;
    } else {
        return 0;
    }
    if (from && socket->has_remote) {
        if (!endpoint_equal(&socket->remote, from))
            return 0;
        score += 4;
    }
    return score;
}

int inet_destination(const struct inet_socket *socket, const u8 *name, u32 size,
                     struct endpoint *out)
{
    u16 family = 0;
    memcpy(&family, name, MIN(size, (u32)sizeof family));
    bool is_dgram = socket->base.type == LINUX_SOCK_DGRAM;
    i32 domain = socket->base.domain;
    if (is_dgram && domain == LINUX_AF_INET6 && family == LINUX_AF_INET)
        domain = LINUX_AF_INET; /* udpv6 takes IPv4 names too */
    int err = endpoint_parse(domain, name, size, out);
    if (err == -EAFNOSUPPORT && is_dgram && family == LINUX_AF_UNSPEC && domain == LINUX_AF_INET)
        err = 0;
    if (err)
        return err;
    if (socket->base.domain == LINUX_AF_INET6 && ip_is_v4(&out->ip)) {
        if (socket->is_v6only || (socket->is_address_given && !ip_is_v4(&socket->local.ip)))
            return -ENETUNREACH;
    }
    if (ip_equal(&out->ip, &ip_any4))
        out->ip = ip_loopback4;
    else if (ip_equal(&out->ip, &ip_any6))
        out->ip = socket->is_address_given && ip_is_v4(&socket->local.ip) ? ip_loopback4
                                                                          : ip_loopback6;
    return 0;
}
