/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtnetlink(7): addresses, routes and neighbours, each a row of one table: which messages, where
 * the objects are, which attributes are addresses; the rest are small functions. The local table of
 * routes, which follows from the addresses, is shown and cannot be changed.
 */
#include <errno.h>

#include "sentry/net/netlink_message.h"

#define IP_ATTRS_MAX 3u

union ip_object {
    struct net_address address;
    struct net_route route;
    struct net_neighbour neighbour;
};

/* A request, taken apart. */
struct ip_ask {
    const struct netlink_request *request;
    struct net_ns *ns;
    u8 family;
    struct netlink_attr attrs[NETLINK_ATTRS_MAX];
};

struct ip_kind {
    u16 get;     /* RTM_GET…; RTM_NEW… is two less, RTM_DEL… one */
    u32 fixed;   /* bytes before the attributes; the first is the family */
    u32 list_at; /* in struct net_ns */
    u32 link_at; /* of an object's member of that list */
    u32 ip_at;   /* what a dump's family is compared with */
    bool needs_ip;
    /* Attributes that are addresses, and where in the object they go; a later row wins. */
    struct {
        u16 type;
        bool only_v4;
        u32 at;
    } ips[IP_ATTRS_MAX];
    u32 ip_count;
    void (*put)(struct netlink_out *out, u16 flags, const void *object);
    /* What is no address, before those are read. */
    int (*fill)(const struct ip_ask *ask, union ip_object *what);
    int (*add)(const struct ip_ask *ask, union ip_object *what);
    int (*remove)(const struct ip_ask *ask, union ip_object *what);
    /* May be NULL: one object by key, and what a dump has beside the list. */
    int (*get_one)(const struct ip_ask *ask, union ip_object *what, struct netlink_out *out);
    void (*put_more)(struct netlink_out *out, struct net_ns *ns, u8 family);
};

static u8 family_of(const struct ip *ip)
{
    return ip_is_v4(ip) ? LINUX_AF_INET : LINUX_AF_INET6;
}

static bool is_set(const struct ip *ip)
{
    return !ip_equal(ip, &ip_any6);
}

static bool is_wanted(u8 family, const struct ip *ip)
{
    return family == LINUX_AF_UNSPEC || family == family_of(ip);
}

static u32 width_of(u8 family)
{
    return family == LINUX_AF_INET ? 32 : 128;
}

/* ---- addresses ------------------------------------------------------------------------------ */

static void put_address(struct netlink_out *out, u16 flags, const void *object)
{
    const struct net_address *address = object;
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

static int fill_address(const struct ip_ask *ask, union ip_object *what)
{
    struct linux_ifaddrmsg info;
    struct net_address *address = &what->address;
    memcpy(&info, ask->request->payload, sizeof info);
    const struct net_link *link = net_link_find(ask->ns, info.index);
    if (!link)
        return -ENODEV;
    if (info.prefix > width_of(ask->family))
        return -EINVAL;
    *address = (struct net_address){.link_index = info.index,
                                    .prefix = info.prefix,
                                    .flags = LINUX_IFA_F_PERMANENT,
                                    .scope = info.scope};
    const struct netlink_attr *label = &ask->attrs[LINUX_IFA_LABEL];
    if (label->data)
        memcpy(address->label, label->data, MIN(label->size, LINUX_IFNAMSIZ - 1));
    else
        memcpy(address->label, link->name, sizeof address->label);
    return 0;
}

static struct net_address *same_address(const struct ip_ask *ask, const union ip_object *what)
{
    return net_address_find(ask->ns, what->address.link_index, &what->address.ip,
                            what->address.prefix);
}

static int add_address(const struct ip_ask *ask, union ip_object *what)
{
    if (ask->request->head.flags & LINUX_NLM_F_REPLACE && same_address(ask, what))
        return 0;
    return net_address_add(ask->ns, &what->address);
}

static int remove_address(const struct ip_ask *ask, union ip_object *what)
{
    struct net_address *old = same_address(ask, what);
    if (!old)
        return -EADDRNOTAVAIL;
    net_address_remove(ask->ns, old);
    return 0;
}

/* ---- routes --------------------------------------------------------------------------------- */

static void put_route(struct netlink_out *out, u16 flags, const void *object)
{
    const struct net_route *route = object;
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

static void put_local_routes(struct netlink_out *out, struct net_ns *ns, u8 family)
{
    const struct net_address *address;
    list_for_each (address, &ns->addresses, link) {
        const struct net_link *link = net_link_find(ns, address->link_index);
        if (!is_wanted(family, &address->ip) || !link || !(link->flags & LINUX_IFF_UP))
            continue;
        struct net_route local = local_route(address);
        put_route(out, LINUX_NLM_F_MULTI, &local);
    }
}

static int fill_route(const struct ip_ask *ask, union ip_object *what)
{
    struct linux_rtmsg info;
    memcpy(&info, ask->request->payload, sizeof info);
    if (info.to_size > width_of(ask->family))
        return -EINVAL;
    what->route = (struct net_route){
        .link_index = netlink_attr_u32(&ask->attrs[LINUX_RTA_OIF], 0),
        .prefix = info.to_size,
        .metric = netlink_attr_u32(&ask->attrs[LINUX_RTA_PRIORITY], 0),
        .table = netlink_attr_u32(&ask->attrs[LINUX_RTA_TABLE], info.table),
        .protocol = info.protocol,
        .scope = info.scope,
        .type = info.type,
        .to = ask->family == LINUX_AF_INET ? ip_any4 : ip_any6,
    };
    return 0;
}

/* The way to one address, as "ip route get" asks. */
static int get_route(const struct ip_ask *ask, union ip_object *what, struct netlink_out *out)
{
    const struct net_route *asked = &what->route;
    struct net_path path;
    int err = net_ns_find_path(ask->ns, &asked->to, asked->link_index, &path);
    if (err)
        return err;
    bool is_local = path.reach == NET_LOCAL;
    struct net_route found = {.link_index = path.link_index,
                              .prefix = width_of(ask->family),
                              .table = is_local ? LINUX_RT_TABLE_LOCAL : LINUX_RT_TABLE_MAIN,
                              .type = is_local                      ? LINUX_RTN_LOCAL
                                      : path.reach == NET_BROADCAST ? LINUX_RTN_BROADCAST
                                                                    : LINUX_RTN_UNICAST,
                              .to = asked->to,
                              .source = path.source};
    put_route(out, 0, &found);
    return 0;
}

static int add_route(const struct ip_ask *ask, union ip_object *what)
{
    struct net_route *route = &what->route;
    u32 flags = ask->request->head.flags;
    struct net_path path;
    if (route->table == LINUX_RT_TABLE_LOCAL || route->type != LINUX_RTN_UNICAST)
        return -EOPNOTSUPP;
    if (!route->link_index && is_set(&route->gateway)) {
        int err = net_ns_find_path(ask->ns, &route->gateway, 0, &path);
        if (err || path.reach == NET_LOCAL)
            return err ? err : -EINVAL;
        route->link_index = path.link_index;
    }
    const struct net_link *link = net_link_find(ask->ns, route->link_index);
    if (!link)
        return -ENODEV;
    if (!(link->flags & LINUX_IFF_UP))
        return -ENETDOWN;
    if (!(flags & (LINUX_NLM_F_CREATE | LINUX_NLM_F_REPLACE)))
        return -ENOENT;
    if (flags & LINUX_NLM_F_REPLACE)
        (void)!net_route_remove(
            ask->ns,
            &(struct net_route){.to = route->to, .prefix = route->prefix, .table = route->table});
    return net_route_add(ask->ns, route);
}

static int remove_route(const struct ip_ask *ask, union ip_object *what)
{
    return what->route.table == LINUX_RT_TABLE_LOCAL ? -EOPNOTSUPP
                                                     : net_route_remove(ask->ns, &what->route);
}

/* ---- neighbours ----------------------------------------------------------------------------- */

static void put_neighbour(struct netlink_out *out, u16 flags, const void *object)
{
    const struct net_neighbour *neighbour = object;
    struct linux_ndmsg info = {.family = family_of(&neighbour->ip),
                               .index = (i32)neighbour->link_index,
                               .state = (u16)neighbour->state,
                               .type = LINUX_RTN_UNICAST};
    netlink_begin(out, LINUX_RTM_NEWNEIGH, flags, &info, sizeof info);
    netlink_put_ip(out, LINUX_NDA_DST, &neighbour->ip);
    netlink_put(out, LINUX_NDA_LLADDR, neighbour->hardware, sizeof neighbour->hardware);
    netlink_end(out);
}

static int fill_neighbour(const struct ip_ask *ask, union ip_object *what)
{
    struct linux_ndmsg info;
    memcpy(&info, ask->request->payload, sizeof info);
    if (!net_link_find(ask->ns, (u32)info.index))
        return -ENODEV;
    what->neighbour = (struct net_neighbour){
        .link_index = (u32)info.index, .state = info.state ? info.state : LINUX_NUD_PERMANENT};
    return 0;
}

static int set_neighbour(const struct ip_ask *ask, union ip_object *what)
{
    const struct netlink_attr *hardware = &ask->attrs[LINUX_NDA_LLADDR];
    if (!hardware->data || hardware->size < sizeof what->neighbour.hardware)
        return -EINVAL;
    memcpy(what->neighbour.hardware, hardware->data, sizeof what->neighbour.hardware);
    return net_neighbour_set(ask->ns, &what->neighbour);
}

static int remove_neighbour(const struct ip_ask *ask, union ip_object *what)
{
    return net_neighbour_remove(ask->ns, what->neighbour.link_index, &what->neighbour.ip);
}

/* ---- the table ------------------------------------------------------------------------------ */

static const struct ip_kind kinds[] = {
    {.get = LINUX_RTM_GETADDR,
     .fixed = sizeof(struct linux_ifaddrmsg),
     .list_at = offsetof(struct net_ns, addresses),
     .link_at = offsetof(struct net_address, link),
     .ip_at = offsetof(struct net_address, ip),
     .needs_ip = true,
     .ips = {{LINUX_IFA_ADDRESS, false, offsetof(struct net_address, ip)},
             {LINUX_IFA_LOCAL, false, offsetof(struct net_address, ip)},
             {LINUX_IFA_BROADCAST, true, offsetof(struct net_address, broadcast)}},
     .ip_count = 3,
     .put = put_address,
     .fill = fill_address,
     .add = add_address,
     .remove = remove_address},
    {.get = LINUX_RTM_GETROUTE,
     .fixed = sizeof(struct linux_rtmsg),
     .list_at = offsetof(struct net_ns, routes),
     .link_at = offsetof(struct net_route, link),
     .ip_at = offsetof(struct net_route, to),
     .ips = {{LINUX_RTA_DST, false, offsetof(struct net_route, to)},
             {LINUX_RTA_GATEWAY, false, offsetof(struct net_route, gateway)},
             {LINUX_RTA_PREFSRC, false, offsetof(struct net_route, source)}},
     .ip_count = 3,
     .put = put_route,
     .fill = fill_route,
     .add = add_route,
     .remove = remove_route,
     .get_one = get_route,
     .put_more = put_local_routes},
    {.get = LINUX_RTM_GETNEIGH,
     .fixed = sizeof(struct linux_ndmsg),
     .list_at = offsetof(struct net_ns, neighbours),
     .link_at = offsetof(struct net_neighbour, link),
     .ip_at = offsetof(struct net_neighbour, ip),
     .needs_ip = true,
     .ips = {{LINUX_NDA_DST, false, offsetof(struct net_neighbour, ip)}},
     .ip_count = 1,
     .put = put_neighbour,
     .fill = fill_neighbour,
     .add = set_neighbour,
     .remove = remove_neighbour},
};

static int read_ips(const struct ip_kind *kind, const struct ip_ask *ask, union ip_object *what)
{
    bool has_ip = false;
    for (u32 i = 0; i < kind->ip_count; i++) {
        if (kind->ips[i].only_v4 && ask->family != LINUX_AF_INET)
            continue;
        struct ip *ip = (struct ip *)(void *)((char *)what + kind->ips[i].at);
        int has = netlink_attr_ip(&ask->attrs[kind->ips[i].type], ask->family, ip);
        if (has < 0)
            return has;
        has_ip |= has && kind->ips[i].at == kind->ip_at;
    }
    return kind->needs_ip && !has_ip ? -EINVAL : 0;
}

static int parse(const struct ip_kind *kind, struct ip_ask *ask, union ip_object *what)
{
    int err = netlink_parse(ask->request, kind->fixed, ask->attrs);
    if (err)
        return err;
    ask->family = ask->request->payload[0];
    if (ask->family != LINUX_AF_INET && ask->family != LINUX_AF_INET6)
        return -EOPNOTSUPP;
    err = kind->fill(ask, what);
    return err ? err : read_ips(kind, ask, what);
}

static void put_all(const struct ip_kind *kind, struct netlink_out *out, struct net_ns *ns,
                    u8 family)
{
    const struct list *head = (const void *)((const char *)ns + kind->list_at);
    for (const struct list *link = head->next; link != head; link = link->next) {
        const char *object = (const char *)link - kind->link_at;
        if (is_wanted(family, (const struct ip *)(const void *)(object + kind->ip_at)))
            kind->put(out, LINUX_NLM_F_MULTI, object);
    }
    if (kind->put_more)
        kind->put_more(out, ns, family);
}

static int get(const struct ip_kind *kind, struct ip_ask *ask)
{
    const struct netlink_request *request = ask->request;
    union ip_object what;
    struct netlink_out out;
    bool is_dump = rtnetlink_is_dump(request);
    if (!is_dump && !kind->get_one)
        return -EOPNOTSUPP;
    netlink_out_init(&out, request->socket, request->head.seq);
    if (is_dump) {
        put_all(kind, &out, ask->ns, request->size > 0 ? request->payload[0] : LINUX_AF_UNSPEC);
        return rtnetlink_done(&out);
    }
    int err = parse(kind, ask, &what);
    if (!err)
        err = kind->get_one(ask, &what, &out);
    return err ? err : netlink_flush(&out);
}

int rtnetlink_serve_ip(const struct netlink_request *request)
{
    u32 type = request->head.type;
    struct ip_ask ask = {.request = request, .ns = request->socket->ns};
    union ip_object what;
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        const struct ip_kind *kind = &kinds[i];
        if (type == kind->get)
            return get(kind, &ask);
        if (type + 2 != kind->get && type + 1 != kind->get)
            continue;
        int err = parse(kind, &ask, &what);
        if (err)
            return err;
        return type + 2 == kind->get ? kind->add(&ask, &what) : kind->remove(&ask, &what);
    }
    return -EOPNOTSUPP;
}
