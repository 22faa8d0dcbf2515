/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtnetlink(7): links, and which request goes where. Only loopbacks and dummies can exist, for no
 * link carries packets; other kinds are refused.
 */
#include <errno.h>
#include <stdio.h>

#include "sentry/net/netlink_message.h"

#define MTU_MIN 68u
#define MTU_MAX 65536u
#define STATS64_COUNT 24u

static void put_link(struct netlink_out *out, u16 type, u16 flags, const struct net_link *link)
{
    bool is_loopback = link->kind == NET_LINK_LOOPBACK, is_up = link->flags & LINUX_IFF_UP;
    struct linux_ifinfomsg info = {.type = is_loopback ? LINUX_ARPHRD_LOOPBACK : LINUX_ARPHRD_ETHER,
                                   .index = (i32)link->index,
                                   .flags = net_link_shown_flags(link)};
    u8 broadcast[6], zero = 0;
    memset(broadcast, is_loopback ? 0 : 0xff, sizeof broadcast);
    u64 stats[STATS64_COUNT] = {link->packets, link->packets, link->bytes, link->bytes};
    u8 state = !is_up && !is_loopback ? LINUX_OPERSTATE_DOWN : LINUX_OPERSTATE_UNKNOWN;
    netlink_begin(out, type, flags, &info, sizeof info);
    netlink_put_text(out, LINUX_IFLA_IFNAME, link->name);
    netlink_put_u32(out, LINUX_IFLA_TXQLEN, link->queue_size);
    netlink_put(out, LINUX_IFLA_OPERSTATE, &state, sizeof state);
    netlink_put(out, LINUX_IFLA_LINKMODE, &zero, sizeof zero);
    netlink_put_u32(out, LINUX_IFLA_MTU, link->mtu);
    netlink_put_text(out, LINUX_IFLA_QDISC, is_up ? "noqueue" : "noop");
    netlink_put(out, LINUX_IFLA_ADDRESS, link->hardware, sizeof link->hardware);
    netlink_put(out, LINUX_IFLA_BROADCAST, broadcast, sizeof broadcast);
    netlink_put(out, LINUX_IFLA_STATS64, stats, sizeof stats);
    if (!is_loopback) {
        u8 kind[12] = {10, 0, LINUX_IFLA_INFO_KIND, 0, 'd', 'u', 'm', 'm', 'y', 0};
        netlink_put(out, LINUX_IFLA_LINKINFO, kind, sizeof kind);
    }
    netlink_end(out);
}

/* To all who listen to RTNLGRP_LINK. */
static void notify_link(struct net_ns *ns, u16 type, const struct net_link *link)
{
    struct netlink_socket *socket;
    list_for_each (socket, &ns->netlinks, ns_link) {
        if (socket->base.protocol != LINUX_NETLINK_ROUTE ||
            !(socket->groups & (1u << (LINUX_RTNLGRP_LINK - 1))))
            continue;
        struct netlink_out out;
        netlink_out_init(&out, socket, 0);
        out.pid = 0;
        put_link(&out, type, 0, link);
        if (out.packet)
            out.packet->tos = 1u << (LINUX_RTNLGRP_LINK - 1);
        (void)!netlink_flush(&out); /* no memory: the news is lost */
    }
}

int rtnetlink_done(struct netlink_out *out)
{
    i32 zero = 0;
    netlink_begin(out, LINUX_NLMSG_DONE, LINUX_NLM_F_MULTI, &zero, sizeof zero);
    netlink_end(out);
    return netlink_flush(out);
}

bool rtnetlink_is_dump(const struct netlink_request *request)
{
    return (request->head.type & 3) == 2 &&
           (request->head.flags & LINUX_NLM_F_DUMP) == LINUX_NLM_F_DUMP;
}

/* ---- links ---------------------------------------------------------------------------------- */

struct link_request {
    struct linux_ifinfomsg info;
    struct netlink_attr attrs[NETLINK_ATTRS_MAX];
    char name[LINUX_IFNAMSIZ]; /* empty: none */
};

static int parse_link(const struct netlink_request *request, struct link_request *out)
{
    int err = netlink_parse(request, sizeof out->info, out->attrs);
    if (err)
        return err;
    memcpy(&out->info, request->payload, sizeof out->info);
    memset(out->name, 0, sizeof out->name);
    const struct netlink_attr *name = &out->attrs[LINUX_IFLA_IFNAME];
    if (!name->data)
        return 0;
    if (strnlen((const char *)name->data, name->size) >= sizeof out->name)
        return -ERANGE;
    memcpy(out->name, name->data, strnlen((const char *)name->data, name->size));
    return 0;
}

static struct net_link *link_of(struct net_ns *ns, const struct link_request *ask)
{
    if (ask->info.index > 0)
        return net_link_find(ns, (u32)ask->info.index);
    return ask->name[0] ? net_link_find_name(ns, ask->name) : NULL;
}

static int get_link(const struct netlink_request *request)
{
    struct net_ns *ns = request->socket->ns;
    struct netlink_out out;
    netlink_out_init(&out, request->socket, request->head.seq);
    if (rtnetlink_is_dump(request)) {
        const struct net_link *link;
        list_for_each (link, &ns->links, link)
            put_link(&out, LINUX_RTM_NEWLINK, LINUX_NLM_F_MULTI, link);
        return rtnetlink_done(&out);
    }
    struct link_request ask;
    int err = parse_link(request, &ask);
    if (err)
        return err;
    if (ask.info.index <= 0 && !ask.name[0])
        return -EINVAL;
    const struct net_link *link = link_of(ns, &ask);
    if (!link)
        return -ENODEV;
    put_link(&out, LINUX_RTM_NEWLINK, 0, link);
    return netlink_flush(&out);
}

static bool is_name_good(const char *name)
{
    if (!name[0] || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return false;
    for (; *name; name++)
        if (*name == '/' || *name == ':' || *name == ' ' || (*name >= '\t' && *name <= '\r'))
            return false;
    return true;
}

/* All is judged before anything is changed. */
static int change_link(struct net_ns *ns, struct net_link *link, const struct link_request *ask)
{
    const struct netlink_attr *hardware = &ask->attrs[LINUX_IFLA_ADDRESS];
    u32 mtu = netlink_attr_u32(&ask->attrs[LINUX_IFLA_MTU], link->mtu);
    bool renames = ask->name[0] && strcmp(ask->name, link->name) != 0;
    if (ask->attrs[LINUX_IFLA_MASTER].data || ask->attrs[LINUX_IFLA_NET_NS_PID].data ||
        ask->attrs[LINUX_IFLA_NET_NS_FD].data)
        return -EOPNOTSUPP;
    if (mtu < MTU_MIN || mtu > MTU_MAX ||
        (hardware->data && hardware->size < sizeof link->hardware) ||
        (renames && !is_name_good(ask->name)))
        return -EINVAL;
    if (renames && net_link_find_name(ns, ask->name))
        return -EEXIST;
    u32 mask = ask->info.change ? ask->info.change : ask->info.flags ? UINT32_MAX : 0;
    if (mask & LINUX_IFF_UP) {
        int err = net_link_set_up(ns, link, ask->info.flags & LINUX_IFF_UP);
        if (err)
            return err;
    }
    u32 free_flags = LINUX_IFF_PROMISC | LINUX_IFF_ALLMULTI | LINUX_IFF_MULTICAST | LINUX_IFF_NOARP;
    link->flags = (link->flags & ~(mask & free_flags)) | (ask->info.flags & mask & free_flags);
    link->mtu = mtu;
    link->queue_size = netlink_attr_u32(&ask->attrs[LINUX_IFLA_TXQLEN], link->queue_size);
    if (hardware->data)
        memcpy(link->hardware, hardware->data, sizeof link->hardware);
    if (renames)
        memcpy(link->name, ask->name, sizeof link->name);
    notify_link(ns, LINUX_RTM_NEWLINK, link);
    return 0;
}

static int create_link(struct net_ns *ns, const struct link_request *ask)
{
    struct netlink_attr info[NETLINK_ATTRS_MAX];
    const struct netlink_attr *nested = &ask->attrs[LINUX_IFLA_LINKINFO];
    if (!nested->data)
        return -EOPNOTSUPP;
    int err = netlink_parse_bytes(nested->data, nested->size, info);
    if (err)
        return err;
    const struct netlink_attr *kind = &info[LINUX_IFLA_INFO_KIND];
    if (!kind->data || kind->size < 5 || memcmp(kind->data, "dummy", 5) != 0)
        return -EOPNOTSUPP;
    char name[LINUX_IFNAMSIZ];
    memcpy(name, ask->name, sizeof name);
    for (u32 i = 0; !name[0] && i < NET_LINKS_MAX; i++) {
        snprintf(name, sizeof name, "dummy%u", i);
        if (net_link_find_name(ns, name))
            name[0] = 0;
    }
    if (!is_name_good(name))
        return -EINVAL;
    struct net_link *link;
    err = net_link_create(ns, NET_LINK_DUMMY, name, &link);
    if (err)
        return err;
    struct link_request rest = *ask;
    rest.name[0] = 0;
    err = change_link(ns, link, &rest);
    if (err)
        net_link_remove(ns, link);
    return err;
}

static int set_link(const struct netlink_request *request)
{
    struct net_ns *ns = request->socket->ns;
    struct link_request ask;
    int err = parse_link(request, &ask);
    if (err)
        return err;
    struct net_link *link = link_of(ns, &ask);
    bool is_new = request->head.type == LINUX_RTM_NEWLINK;
    if (link && is_new && request->head.flags & LINUX_NLM_F_EXCL)
        return -EEXIST;
    if (link)
        return change_link(ns, link, &ask);
    if (is_new && request->head.flags & LINUX_NLM_F_CREATE)
        return create_link(ns, &ask);
    return ask.info.index <= 0 && !ask.name[0] ? -EINVAL : -ENODEV;
}

static int delete_link(const struct netlink_request *request)
{
    struct net_ns *ns = request->socket->ns;
    struct link_request ask;
    int err = parse_link(request, &ask);
    if (err)
        return err;
    struct net_link *link = link_of(ns, &ask);
    if (!link)
        return ask.info.index <= 0 && !ask.name[0] ? -EINVAL : -ENODEV;
    if (link->kind == NET_LINK_LOOPBACK)
        return -EOPNOTSUPP;
    notify_link(ns, LINUX_RTM_DELLINK, link);
    net_link_remove(ns, link);
    return 0;
}

int rtnetlink_serve(const struct netlink_request *request)
{
    u32 type = request->head.type;
    bool only_looks = (type & 3) == 2;
    if (type > LINUX_RTM_GETNEIGH)
        return -EOPNOTSUPP;
    if (request->size < 1)
        return 0;
    if (!only_looks && !net_ns_may_change(request->task, request->socket->ns))
        return -EPERM;
    switch (type) {
    case LINUX_RTM_GETLINK:
        return get_link(request);
    case LINUX_RTM_NEWLINK:
    case LINUX_RTM_SETLINK:
        return set_link(request);
    case LINUX_RTM_DELLINK:
        return delete_link(request);
    default:
        return rtnetlink_serve_ip(request);
    }
}
