/* SPDX-License-Identifier: Apache-2.0 */
/* netdevice(7): interfaces asked by ioctl, on sockets of every family. Changes come by netlink
 * alone, but for flags. */
#include <errno.h>

#include "sentry/kernel/cred.h"
#include "sentry/net/inet.h"

#define IFCONF_COUNT_MAX 1024u

static void put_address(struct linux_ifreq *request, const struct ip *ip)
{
    request->address = (struct linux_sockaddr_in){.family = LINUX_AF_INET};
    memcpy(request->address.address, ip->bytes + IP4_AT, 4);
}

static struct ip mask_of(u32 prefix)
{
    struct ip mask = ip_any4;
    for (u32 bit = 8 * IP4_AT; bit < 8 * IP4_AT + prefix; bit++)
        mask.bytes[bit / 8] |= (u8)(0x80u >> bit % 8);
    return mask;
}

static int get_address(struct net_ns *ns, const struct net_link *link, u32 request,
                       struct linux_ifreq *out)
{
    const struct net_address *address = net_address_first4(ns, link->index);
    if (!address)
        return -EADDRNOTAVAIL;
    struct ip mask = mask_of(address->prefix);
    bool has_broadcast = ip_is_v4(&address->broadcast);
    put_address(out, request == LINUX_SIOCGIFNETMASK ? &mask
                     : request == LINUX_SIOCGIFBRDADDR
                         ? (has_broadcast ? &address->broadcast : &ip_any4)
                         : &address->ip);
    return 0;
}

static int get_one(struct net_ns *ns, const struct net_link *link, u32 request,
                   struct linux_ifreq *out)
{
    switch (request) {
    case LINUX_SIOCGIFINDEX:
        out->number = (i32)link->index;
        return 0;
    case LINUX_SIOCGIFFLAGS:
        out->flags = (i16)(net_link_shown_flags(link) & 0xffff);
        return 0;
    case LINUX_SIOCGIFMTU:
        out->number = (i32)link->mtu;
        return 0;
    case LINUX_SIOCGIFMETRIC:
        out->number = 0;
        return 0;
    case LINUX_SIOCGIFTXQLEN:
        out->number = (i32)link->queue_size;
        return 0;
    case LINUX_SIOCGIFHWADDR: {
        u16 type = link->kind == NET_LINK_LOOPBACK ? LINUX_ARPHRD_LOOPBACK : LINUX_ARPHRD_ETHER;
        memset(out->bytes, 0, sizeof out->bytes);
        memcpy(out->bytes, &type, sizeof type);
        memcpy(out->bytes + sizeof type, link->hardware, sizeof link->hardware);
        return 0;
    }
    case LINUX_SIOCGIFMAP:
        memset(out->bytes, 0, sizeof out->bytes);
        return 0;
    case LINUX_SIOCETHTOOL:
        return -EOPNOTSUPP;
    default:
        return get_address(ns, link, request, out);
    }
}

/* SIOCGIFCONF: the IPv4 addresses; without a buffer only how much they are. */
SLEEPS static i64 get_list(struct task *task, struct net_ns *ns, u64 arg)
{
    struct linux_ifconf conf;
    int err = copy_from_user(task, &conf, uaddr_make(arg), sizeof conf);
    if (err)
        return err;
    u64 room = conf.buffer ? (u64)MAX(conf.size, 0) : UINT64_MAX, used = 0;
    u32 count = MIN(ns->address_count, IFCONF_COUNT_MAX);
    for (u32 i = 0; i < count && used + sizeof(struct linux_ifreq) <= room; i++) {
        const struct net_address *address;
        u32 at = 0;
        bool is_found = false;
        list_for_each (address, &ns->addresses, link) {
            is_found = at++ == i;
            if (is_found)
                break;
        }
        if (!is_found) /* the list has become shorter while a copy slept */
            break;
        if (!ip_is_v4(&address->ip))
            continue;
        struct linux_ifreq entry = {0};
        memcpy(entry.name, address->label, sizeof entry.name);
        put_address(&entry, &address->ip);
        err = conf.buffer ? copy_to_user(task, uaddr_make(conf.buffer + used), &entry, sizeof entry)
                          : 0;
        if (err)
            return err;
        used += sizeof entry;
    }
    conf.size = (i32)used;
    return copy_to_user(task, uaddr_make(arg), &conf, sizeof conf);
}

SLEEPS static i64 get_name(struct task *task, struct net_ns *ns, u64 arg)
{
    struct linux_ifreq request;
    int err = copy_from_user(task, &request, uaddr_make(arg), sizeof request);
    if (err)
        return err;
    const struct net_link *link = net_link_find(ns, (u32)request.number);
    if (!link)
        return -ENODEV;
    memcpy(request.name, link->name, sizeof request.name);
    return copy_to_user(task, uaddr_make(arg), &request, sizeof request);
}

static int set_flags(struct task *task, struct net_ns *ns, struct net_link *link,
                     const struct linux_ifreq *request)
{
    if (!net_ns_may_change(task, ns))
        return -EPERM;
    return net_link_set_up(ns, link, request->flags & (i16)LINUX_IFF_UP);
}

SLEEPS i64 net_ioctl(struct task *task, struct net_ns *ns, u32 request, u64 arg)
{
    switch (request) {
    case LINUX_SIOCGIFCONF:
        return get_list(task, ns, arg);
    case LINUX_SIOCGIFNAME:
        return get_name(task, ns, arg);
    case LINUX_SIOCGIFFLAGS:
    case LINUX_SIOCSIFFLAGS:
    case LINUX_SIOCGIFADDR:
    case LINUX_SIOCGIFDSTADDR:
    case LINUX_SIOCGIFBRDADDR:
    case LINUX_SIOCGIFNETMASK:
    case LINUX_SIOCGIFMETRIC:
    case LINUX_SIOCGIFMTU:
    case LINUX_SIOCGIFHWADDR:
    case LINUX_SIOCGIFINDEX:
    case LINUX_SIOCGIFTXQLEN:
    case LINUX_SIOCGIFMAP:
    case LINUX_SIOCETHTOOL:
        break;
    case LINUX_SIOCADDRT:
    case LINUX_SIOCDELRT:
    case LINUX_SIOCSIFADDR:
    case LINUX_SIOCSIFNETMASK:
    case LINUX_SIOCSIFMTU:
        return net_ns_may_change(task, ns) ? -EOPNOTSUPP : -EPERM;
    default:
        return -ENOTTY;
    }
    struct linux_ifreq one;
    int err = copy_from_user(task, &one, uaddr_make(arg), sizeof one);
    if (err)
        return err;
    one.name[LINUX_IFNAMSIZ - 1] = 0;
    struct net_link *link = net_link_find_name(ns, one.name);
    if (!link)
        return -ENODEV;
    if (request == LINUX_SIOCSIFFLAGS)
        return set_flags(task, ns, link, &one);
    err = get_one(ns, link, request, &one);
    return err ? err : copy_to_user(task, uaddr_make(arg), &one, sizeof one);
}
