/* SPDX-License-Identifier: Apache-2.0 */
/* rtnetlink(7): addresses, routes and neighbours. The local table, which follows from the
 * addresses, is shown and cannot be changed. */
#include <errno.h>

#include "sentry/net/netlink_message.h"

static u8 family_of(const struct ip *ip)
{
    return ip_is_v4(ip) ? LINUX_AF_INET : LINUX_AF_INET6;
}

static bool is_set(const struct ip *ip)
{
    return !ip_equal(ip, &ip_any6);
}

/* The family that a dump is limited to: the first byte of every payload; 0: all. */
static u8 asked_family(const struct netlink_request *request)
{
    return request->size > 0 ? request->payload[0] : 0;
}

static bool is_wanted(u8 family, const struct ip *ip)
{
    return family == LINUX_AF_UNSPEC || family == family_of(ip);
}

static int check_family(u8 family)
{
    return family == LINUX_AF_INET || family == LINUX_AF_INET6 ? 0 : -EOPNOTSUPP;
}

static u32 width_of(u8 family)
{
    return family == LINUX_AF_INET ? 32 : 128;
}

/* ---- addresses ------------------------------------------------------------------------------ */

static void put_address(struct netlink_out *out, u16 flags, const struct net_address *address)
{
    struct linux_ifaddrmsg info = {.family = family_of(&address->ip),
                                   .prefix = (u8)address->prefix,
                                   .flags = (u8)address->flags,
                                   .scope = (u8)address->scope,
                                   .index = address->link_index};
    u32 cache[4] = {UINT32_MAX, UINT32_MAX, 0, 0}; /* both lives are for ever */
    netlink_begin(out, LINUX_RTM_NEWADDR, flags, &info, sizeof info);
    netlink_put_ip(out, LINUX_IFA_ADDRESS, &address->ip);
    if (info.family == LINUX_AF_INET) {
        netlink_put_ip(out, LINUX_IFA_LOCAL, &address->ip);
        if (is_set(&address->broadcast))
            netlink_put_ip(out, LINUX_IFA_BROADCAST, &address->broadcast);
        netlink_put_text(out, LINUX_IFA_LABEL, address->label);
    }
    netlink_put_u32(out, LINUX_IFA_FLAGS, address->flags);
    netlink_put(out, LINUX_IFA_CACHEINFO, cache, sizeof cache);
    netlink_end(out);
}

static int get_addresses(const struct netlink_request *request)
{
    if (!rtnetlink_is_dump(request))
        return -EOPNOTSUPP;
    struct netlink_out out;
    netlink_out_init(&out, request->socket, request->head.seq);
    const struct net_address *address;
    list_for_each (address, &request->socket->ns->addresses, link)
        if (is_wanted(asked_family(request), &address->ip))
            put_address(&out, LINUX_NLM_F_MULTI, address);
    return rtnetlink_done(&out);
}

static int parse_address(const struct netlink_request *request, struct net_address *out)
{
    struct linux_ifaddrmsg info;
    struct netlink_attr attrs[NETLINK_ATTRS_MAX];
    int err = netlink_parse(request, sizeof info, attrs);
    if (err)
        return err;
    memcpy(&info, request->payload, sizeof info);
    err = check_family(info.family);
    if (err)
        return err;
    const struct net_link *link = net_link_find(request->socket->ns, info.index);
    if (!link)
        return -ENODEV;
    *out = (struct net_address){.link_index = info.index,
                                .prefix = info.prefix,
                                .flags = LINUX_IFA_F_PERMANENT,
                                .scope = info.scope};
    const struct netlink_attr *which = attrs[LINUX_IFA_LOCAL].data ? &attrs[LINUX_IFA_LOCAL]
                                                                   : &attrs[LINUX_IFA_ADDRESS];
    int has = netlink_attr_ip(which, info.family, &out->ip);
    if (has <= 0 || info.prefix > width_of(info.family))
        return -EINVAL;
    if (info.family == LINUX_AF_INET &&
        netlink_attr_ip(&attrs[LINUX_IFA_BROADCAST], info.family, &out->broadcast) < 0)
        return -EINVAL;
    const struct netlink_attr *label = &attrs[LINUX_IFA_LABEL];
    if (label->data)
        memcpy(out->label, label->data, MIN(label->size, LINUX_IFNAMSIZ - 1));
    else
        memcpy(out->label, link->name, sizeof out->label);
    return 0;
}

static int change_address(const struct netlink_request *request)
{
    struct net_ns *ns = request->socket->ns;
    struct net_address what;
    int err = parse_address(request, &what);
    if (err)
        return err;
    struct net_address *old = net_address_find(ns, what.link_index, &what.ip, what.prefix);
    if (request->head.type == LINUX_RTM_DELADDR) {
        if (!old)
            return -EADDRNOTAVAIL;
        net_address_remove(ns, old);
        return 0;
    }
    if (old && request->head.flags & LINUX_NLM_F_REPLACE)
        return 0;
    return net_address_add(ns, &what);
}

/* ---- routes --------------------------------------------------------------------------------- */

static void put_route(struct netlink_out *out, u16 flags, const struct net_route *route)
{
    struct linux_rtmsg info = {.family = family_of(&route->to),
                               .to_size = (u8)route->prefix,
                               .table = (u8)route->table,
                               .protocol = (u8)route->protocol,
                               .scope = (u8)route->scope,
                               .type = (u8)route->type};
    netlink_begin(out, LINUX_RTM_NEWROUTE, flags, &info, sizeof info);
    netlink_put_u32(out, LINUX_RTA_TABLE, route->table);
    if (route->prefix > 0)
        netlink_put_ip(out, LINUX_RTA_DST, &route->to);
    if (route->metric)
        netlink_put_u32(out, LINUX_RTA_PRIORITY, route->metric);
    if (is_set(&route->source))
        netlink_put_ip(out, LINUX_RTA_PREFSRC, &route->source);
    if (is_set(&route->gateway))
        netlink_put_ip(out, LINUX_RTA_GATEWAY, &route->gateway);
    netlink_put_u32(out, LINUX_RTA_OIF, route->link_index);
    netlink_end(out);
}

static struct net_route local_route(const struct net_address *address)
{
    bool is_v4 = ip_is_v4(&address->ip);
    return (struct net_route){.link_index = address->link_index,
                              .prefix = is_v4 ? 32 : 128,
                              .table = LINUX_RT_TABLE_LOCAL,
                              .protocol = LINUX_RTPROT_KERNEL,
                              .scope = is_v4 ? LINUX_RT_SCOPE_HOST : LINUX_RT_SCOPE_UNIVERSE,
                              .type = LINUX_RTN_LOCAL,
                              .to = address->ip,
                              .source = is_v4 ? address->ip : ip_any6};
}

static void put_routes(struct netlink_out *out, struct net_ns *ns, u8 family)
{
    const struct net_route *route;
    list_for_each (route, &ns->routes, link)
        if (is_wanted(family, &route->to))
            put_route(out, LINUX_NLM_F_MULTI, route);
    const struct net_address *address;
    list_for_each (address, &ns->addresses, link) {
        const struct net_link *link = net_link_find(ns, address->link_index);
        if (!is_wanted(family, &address->ip) || !link || !(link->flags & LINUX_IFF_UP))
            continue;
        struct net_route local = local_route(address);
        put_route(out, LINUX_NLM_F_MULTI, &local);
    }
}

static int parse_route(const struct netlink_request *request, struct net_route *out)
{
    struct linux_rtmsg info;
    struct netlink_attr attrs[NETLINK_ATTRS_MAX];
    int err = netlink_parse(request, sizeof info, attrs);
    if (err)
        return err;
    memcpy(&info, request->payload, sizeof info);
    err = check_family(info.family);
    if (err)
        return err;
    if (info.to_size > width_of(info.family))
        return -EINVAL;
    *out = (struct net_route){
        .link_index = netlink_attr_u32(&attrs[LINUX_RTA_OIF], 0),
        .prefix = info.to_size,
        .metric = netlink_attr_u32(&attrs[LINUX_RTA_PRIORITY], 0),
        .table = netlink_attr_u32(&attrs[LINUX_RTA_TABLE], info.table),
        .protocol = info.protocol,
        .scope = info.scope,
        .type = info.type,
        .to = info.family == LINUX_AF_INET ? ip_any4 : ip_any6,
    };
    if (netlink_attr_ip(&attrs[LINUX_RTA_DST], info.family, &out->to) < 0 ||
        netlink_attr_ip(&attrs[LINUX_RTA_GATEWAY], info.family, &out->gateway) < 0 ||
        netlink_attr_ip(&attrs[LINUX_RTA_PREFSRC], info.family, &out->source) < 0)
        return -EINVAL;
    return 0;
}

/* The way to one address, as "ip route get" asks. */
static int get_route(const struct netlink_request *request)
{
    struct net_route ask;
    struct net_path path;
    struct netlink_out out;
    netlink_out_init(&out, request->socket, request->head.seq);
    if (rtnetlink_is_dump(request)) {
        put_routes(&out, request->socket->ns, asked_family(request));
        return rtnetlink_done(&out);
    }
    int err = parse_route(request, &ask);
    if (!err)
        err = net_ns_find_path(request->socket->ns, &ask.to, ask.link_index, &path);
    if (err)
        return err;
    struct net_route found = {.link_index = path.link_index,
                              .prefix = ip_is_v4(&ask.to) ? 32 : 128,
                              .table = path.reach == NET_LOCAL ? LINUX_RT_TABLE_LOCAL
                                                               : LINUX_RT_TABLE_MAIN,
                              .type = path.reach == NET_LOCAL       ? LINUX_RTN_LOCAL
                                      : path.reach == NET_BROADCAST ? LINUX_RTN_BROADCAST
                                                                    : LINUX_RTN_UNICAST,
                              .to = ask.to,
                              .source = path.source};
    put_route(&out, 0, &found);
    return netlink_flush(&out);
}

static int change_route(const struct netlink_request *request)
{
    struct net_ns *ns = request->socket->ns;
    struct net_route what;
    struct net_path path;
    int err = parse_route(request, &what);
    if (err)
        return err;
    if (what.table == LINUX_RT_TABLE_LOCAL)
        return -EOPNOTSUPP;
    if (request->head.type == LINUX_RTM_DELROUTE)
        return net_route_remove(ns, &what);
    if (what.type != LINUX_RTN_UNICAST)
        return -EOPNOTSUPP;
    if (!what.link_index && is_set(&what.gateway)) {
        err = net_ns_find_path(ns, &what.gateway, 0, &path);
        if (err || path.reach == NET_LOCAL)
            return err ? err : -EINVAL;
        what.link_index = path.link_index;
    }
    const struct net_link *link = net_link_find(ns, what.link_index);
    if (!link)
        return -ENODEV;
    if (!(link->flags & LINUX_IFF_UP))
        return -ENETDOWN;
    if (!(request->head.flags & LINUX_NLM_F_CREATE) && !(request->head.flags & LINUX_NLM_F_REPLACE))
        return -ENOENT;
    if (request->head.flags & LINUX_NLM_F_REPLACE)
        (void)!net_route_remove(
            ns, &(struct net_route){.to = what.to, .prefix = what.prefix, .table = what.table});
    return net_route_add(ns, &what);
}

/* ---- neighbours ----------------------------------------------------------------------------- */

static int get_neighbours(const struct netlink_request *request)
{
    if (!rtnetlink_is_dump(request))
        return -EOPNOTSUPP;
    struct netlink_out out;
    netlink_out_init(&out, request->socket, request->head.seq);
    const struct net_neighbour *neighbour;
    list_for_each (neighbour, &request->socket->ns->neighbours, link) {
        struct linux_ndmsg info = {.family = family_of(&neighbour->ip),
                                   .index = (i32)neighbour->link_index,
                                   .state = (u16)neighbour->state,
                                   .type = LINUX_RTN_UNICAST};
        if (!is_wanted(asked_family(request), &neighbour->ip))
            continue;
        netlink_begin(&out, LINUX_RTM_NEWNEIGH, LINUX_NLM_F_MULTI, &info, sizeof info);
        netlink_put_ip(&out, LINUX_NDA_DST, &neighbour->ip);
        netlink_put(&out, LINUX_NDA_LLADDR, neighbour->hardware, sizeof neighbour->hardware);
        netlink_end(&out);
    }
    return rtnetlink_done(&out);
}

static int change_neighbour(const struct netlink_request *request)
{
    struct net_ns *ns = request->socket->ns;
    struct linux_ndmsg info;
    struct netlink_attr attrs[NETLINK_ATTRS_MAX];
    struct net_neighbour what = {0};
    int err = netlink_parse(request, sizeof info, attrs);
    if (err)
        return err;
    memcpy(&info, request->payload, sizeof info);
    err = check_family(info.family);
    if (err)
        return err;
    if (!net_link_find(ns, (u32)info.index))
        return -ENODEV;
    if (netlink_attr_ip(&attrs[LINUX_NDA_DST], info.family, &what.ip) <= 0)
        return -EINVAL;
    what.link_index = (u32)info.index;
    if (request->head.type == LINUX_RTM_DELNEIGH)
        return net_neighbour_remove(ns, what.link_index, &what.ip);
    const struct netlink_attr *hardware = &attrs[LINUX_NDA_LLADDR];
    if (!hardware->data || hardware->size < sizeof what.hardware)
        return -EINVAL;
    what.state = info.state ? info.state : LINUX_NUD_PERMANENT;
    memcpy(what.hardware, hardware->data, sizeof what.hardware);
    return net_neighbour_set(ns, &what);
}

int rtnetlink_serve_ip(const struct netlink_request *request)
{
    switch (request->head.type) {
    case LINUX_RTM_GETADDR:
        return get_addresses(request);
    case LINUX_RTM_NEWADDR:
    case LINUX_RTM_DELADDR:
        return change_address(request);
    case LINUX_RTM_GETROUTE:
        return get_route(request);
    case LINUX_RTM_NEWROUTE:
    case LINUX_RTM_DELROUTE:
        return change_route(request);
    case LINUX_RTM_GETNEIGH:
        return get_neighbours(request);
    case LINUX_RTM_NEWNEIGH:
    case LINUX_RTM_DELNEIGH:
        return change_neighbour(request);
    default:
        return -EOPNOTSUPP;
    }
}
