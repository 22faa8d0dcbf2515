/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network_namespaces(7): the objects of a namespace and how they come and go. Surprising: the list
 * of bound sockets is saved in order, the buckets by port are made anew from it.
 */
#include "sentry/net/ns.h"

#include <errno.h>
#include <stdio.h>

#include "abi/netlink.h"
#include "base/fields.h"
#include "base/state.h"
#include "sentry/kernel/cred.h"
#include "sentry/net/inet.h"
#include "sentry/net/net.h"
#include "sentry/net/netlink.h"

#define LOOPBACK_MTU 65536u
#define DUMMY_MTU 1500u

static const struct field net_link_fields[] = {
    FIELD_NONE(struct net_link, object, "the walker's own header"),
    FIELD_NONE(struct net_link, link, "the namespace's list"),
    FIELD(struct net_link, index),
    FIELD(struct net_link, kind),
    FIELD(struct net_link, flags),
    FIELD(struct net_link, mtu),
    FIELD(struct net_link, queue_size),
    FIELD_BYTES(struct net_link, name),
    FIELD_BYTES(struct net_link, hardware),
    FIELD(struct net_link, packets),
    FIELD(struct net_link, bytes),
    FIELD_END,
};
FIELDS_COMPLETE(struct net_link, net_link_fields);

static int net_link_loaded(struct object *object, struct state_reader *reader)
{
    struct net_link *link = container_of(object, struct net_link, object);
    link->name[LINUX_IFNAMSIZ - 1] = 0;
    return 0;
}

const struct kind net_link_kind = {.name = "net_link",
                                   .size = sizeof(struct net_link),
                                   .fields = net_link_fields,
                                   .loaded = net_link_loaded};

static const struct field net_address_fields[] = {
    FIELD_NONE(struct net_address, object, "the walker's own header"),
    FIELD_NONE(struct net_address, link, "the namespace's list"),
    FIELD(struct net_address, link_index),
    FIELD(struct net_address, prefix),
    FIELD(struct net_address, flags),
    FIELD(struct net_address, scope),
    FIELD_BYTES(struct net_address, ip),
    FIELD_BYTES(struct net_address, broadcast),
    FIELD_BYTES(struct net_address, label),
    FIELD_END,
};
FIELDS_COMPLETE(struct net_address, net_address_fields);

static int net_address_loaded(struct object *object, struct state_reader *reader)
{
    struct net_address *address = container_of(object, struct net_address, object);
    address->label[LINUX_IFNAMSIZ - 1] = 0;
    return address->prefix <= 128 ? 0 : -EINVAL;
}

const struct kind net_address_kind = {.name = "net_address",
                                      .size = sizeof(struct net_address),
                                      .fields = net_address_fields,
                                      .loaded = net_address_loaded};

static const struct field net_route_fields[] = {
    FIELD_NONE(struct net_route, object, "the walker's own header"),
    FIELD_NONE(struct net_route, link, "the namespace's list"),
    FIELD(struct net_route, link_index),
    FIELD(struct net_route, prefix),
    FIELD(struct net_route, metric),
    FIELD(struct net_route, table),
    FIELD(struct net_route, protocol),
    FIELD(struct net_route, scope),
    FIELD(struct net_route, type),
    FIELD_BYTES(struct net_route, to),
    FIELD_BYTES(struct net_route, gateway),
    FIELD_BYTES(struct net_route, source),
    FIELD_END,
};
FIELDS_COMPLETE(struct net_route, net_route_fields);

static int net_route_loaded(struct object *object, struct state_reader *reader)
{
    return container_of(object, struct net_route, object)->prefix <= 128 ? 0 : -EINVAL;
}

const struct kind net_route_kind = {.name = "net_route",
                                    .size = sizeof(struct net_route),
                                    .fields = net_route_fields,
                                    .loaded = net_route_loaded};

static const struct field net_neighbour_fields[] = {
    FIELD_NONE(struct net_neighbour, object, "the walker's own header"),
    FIELD_NONE(struct net_neighbour, link, "the namespace's list"),
    FIELD(struct net_neighbour, link_index),
    FIELD(struct net_neighbour, state),
    FIELD_BYTES(struct net_neighbour, ip),
    FIELD_BYTES(struct net_neighbour, hardware),
    FIELD_END,
};
FIELDS_COMPLETE(struct net_neighbour, net_neighbour_fields);

const struct kind net_neighbour_kind = {
    .name = "net_neighbour", .size = sizeof(struct net_neighbour), .fields = net_neighbour_fields};

/* ---- namespaces ----------------------------------------------------------------------------- */

static const struct field net_ns_fields[] = {
    FIELD_NONE(struct net_ns, object, "the walker's own header"),
    FIELD_NONE(struct net_ns, kernel, "the kernel that loads it"),
    FIELD_REF(struct net_ns, user_ns, struct user_ns),
    FIELD(struct net_ns, inode_nr),
    FIELD_LIST(struct net_ns, links, struct net_link, link, true),
    FIELD_LIST(struct net_ns, addresses, struct net_address, link, true),
    FIELD_LIST(struct net_ns, routes, struct net_route, link, true),
    FIELD_LIST(struct net_ns, neighbours, struct net_neighbour, link, true),
    FIELD(struct net_ns, link_next_index),
    FIELD(struct net_ns, link_count),
    FIELD(struct net_ns, address_count),
    FIELD(struct net_ns, route_count),
    FIELD(struct net_ns, neighbour_count),
    FIELD(struct net_ns, port_next),
    FIELD_LIST(struct net_ns, bound, struct inet_socket, bound_link, false),
    FIELD_NONE(struct net_ns, buckets, "made from the list of bound sockets"),
    FIELD_LIST(struct net_ns, netlinks, struct netlink_socket, ns_link, false),
    FIELD_END,
};
FIELDS_COMPLETE(struct net_ns, net_ns_fields);

#define DROP_ALL(ns, list, type)                                 \
    do {                                                         \
        type *member_, *next_;                                   \
        list_for_each_safe (member_, next_, &(ns)->list, link) { \
            list_remove(&member_->link);                         \
            REF_PUT(member_);                                    \
        }                                                        \
    } while (0)

static void net_ns_destroy(struct object *object)
{
    struct net_ns *ns = container_of(object, struct net_ns, object);
    if (ns->links.next) {
        DROP_ALL(ns, addresses, struct net_address);
        DROP_ALL(ns, routes, struct net_route);
        DROP_ALL(ns, neighbours, struct net_neighbour);
        DROP_ALL(ns, links, struct net_link);
    }
    REF_CLEAR(ns->user_ns);
}

static int net_ns_loaded(struct object *object, struct state_reader *reader)
{
    struct net_ns *ns = container_of(object, struct net_ns, object);
    ns->kernel = state_reader_kernel(reader);
    for (u32 i = 0; i < NET_PORT_BUCKETS; i++)
        list_init(&ns->buckets[i]);
    struct inet_socket *socket;
    list_for_each (socket, &ns->bound, bound_link)
        inet_enter_bucket(ns, socket);
    return 0;
}

const struct kind net_ns_kind = {.name = "net_ns",
                                 .size = sizeof(struct net_ns),
                                 .fields = net_ns_fields,
                                 .destroy = net_ns_destroy,
                                 .loaded = net_ns_loaded};

int net_ns_create(struct kernel *kernel, struct user_ns *user_ns, struct net_ns **out)
{
    AUTO_PUT struct net_ns *ns = object_create(kernel->arena, &net_ns_kind);
    if (!ns)
        return -ENOMEM;
    ns->kernel = kernel;
    ns->user_ns = REF_GET(user_ns);
    ns->inode_nr = kernel_next_inode_nr(kernel);
    struct list *lists[] = {&ns->links,      &ns->addresses, &ns->routes,
                            &ns->neighbours, &ns->bound,     &ns->netlinks};
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++)
        list_init(lists[i]);
    for (u32 i = 0; i < NET_PORT_BUCKETS; i++)
        list_init(&ns->buckets[i]);
    u16 start;
    kernel_entropy(kernel, &start, sizeof start);
    ns->port_next = start % (NET_EPHEMERAL_LAST - NET_EPHEMERAL_FIRST + 1);
    struct net_link *loopback;
    int err = net_link_create(ns, NET_LINK_LOOPBACK, "lo", &loopback);
    if (err)
        return err;
    *out = MOVE(ns);
    return 0;
}

struct net_ns *net_ns_of(const struct task *task)
{
    return task->ns && task->ns->net_ns ? task->ns->net_ns : task->kernel->net->root_ns;
}

bool net_ns_may_change(const struct task *task, const struct net_ns *ns)
{
    return task_has_capability_in(task, ns->user_ns, CAP_NET_ADMIN);
}

/* ---- links ---------------------------------------------------------------------------------- */

struct net_link *net_link_find(struct net_ns *ns, u32 index)
{
    struct net_link *link;
    list_for_each (link, &ns->links, link)
        if (link->index == index)
            return link;
    return NULL;
}

struct net_link *net_link_find_name(struct net_ns *ns, const char *name)
{
    struct net_link *link;
    list_for_each (link, &ns->links, link)
        if (strncmp(link->name, name, LINUX_IFNAMSIZ) == 0)
            return link;
    return NULL;
}

u32 net_link_shown_flags(const struct net_link *link)
{
    return link->flags | (link->flags & LINUX_IFF_UP ? LINUX_IFF_RUNNING | LINUX_IFF_LOWER_UP : 0);
}

int net_link_create(struct net_ns *ns, enum net_link_kind kind, const char *name,
                    struct net_link **out)
{
    if (net_link_find_name(ns, name))
        return -EEXIST;
    if (ns->link_count >= NET_LINKS_MAX)
        return -ENOSPC;
    struct net_link *link = object_create(ns->object.arena, &net_link_kind);
    if (!link)
        return -ENOMEM;
    link->index = ++ns->link_next_index;
    link->kind = (u32)kind;
    snprintf(link->name, sizeof link->name, "%s", name);
    link->queue_size = 1000;
    if (kind == NET_LINK_LOOPBACK) {
        link->flags = LINUX_IFF_LOOPBACK;
        link->mtu = LOOPBACK_MTU;
    } else {
        link->flags = LINUX_IFF_BROADCAST | LINUX_IFF_NOARP;
        link->mtu = DUMMY_MTU;
        kernel_entropy(ns->kernel, link->hardware, sizeof link->hardware);
        link->hardware[0] = (u8)((link->hardware[0] & 0xfc) | 2); /* local, not a group */
    }
    list_add_tail(&ns->links, &link->link);
    ns->link_count++;
    *out = link;
    return 0;
}

void net_link_remove(struct net_ns *ns, struct net_link *link)
{
    struct net_address *address, *next_address;
    list_for_each_safe (address, next_address, &ns->addresses, link)
        if (address->link_index == link->index)
            net_address_remove(ns, address);
    struct net_route *route, *next_route;
    list_for_each_safe (route, next_route, &ns->routes, link) {
        if (route->link_index != link->index)
            continue;
        list_remove(&route->link);
        ns->route_count--;
        REF_PUT(route);
    }
    struct net_neighbour *neighbour, *next;
    list_for_each_safe (neighbour, next, &ns->neighbours, link)
        if (neighbour->link_index == link->index)
            (void)!net_neighbour_remove(ns, link->index, &neighbour->ip);
    list_remove(&link->link);
    ns->link_count--;
    REF_PUT(link);
}

static int add_own(struct net_ns *ns, const struct net_link *link, const struct ip *ip, u32 prefix)
{
    struct net_address what = {.link_index = link->index,
                               .prefix = prefix,
                               .flags = LINUX_IFA_F_PERMANENT,
                               .scope = LINUX_RT_SCOPE_HOST,
                               .ip = *ip};
    memcpy(what.label, link->name, sizeof what.label);
    int err = net_address_add(ns, &what);
    return err == -EEXIST ? 0 : err;
}

int net_link_set_up(struct net_ns *ns, struct net_link *link, bool is_up)
{
    bool was_up = link->flags & LINUX_IFF_UP;
    if (is_up == was_up)
        return 0;
    int err = 0;
    if (is_up && link->kind == NET_LINK_LOOPBACK && link->index == 1) {
        if (!net_address_first4(ns, link->index))
            err = add_own(ns, link, &ip_loopback4, 8);
        if (!err)
            err = add_own(ns, link, &ip_loopback6, 128);
    }
    if (!err)
        link->flags ^= LINUX_IFF_UP;
    return err;
}

/* ---- addresses ------------------------------------------------------------------------------ */

struct net_address *net_address_find(struct net_ns *ns, u32 link_index, const struct ip *ip,
                                     u32 prefix)
{
    struct net_address *address;
    list_for_each (address, &ns->addresses, link)
        if (address->link_index == link_index && ip_equal(&address->ip, ip) &&
            address->prefix == prefix)
            return address;
    return NULL;
}

struct net_address *net_address_first4(struct net_ns *ns, u32 link_index)
{
    struct net_address *address;
    list_for_each (address, &ns->addresses, link)
        if (address->link_index == link_index && ip_is_v4(&address->ip))
            return address;
    return NULL;
}

/* The route to the addresses beside ADDRESS; false: it has none. */
static bool connected_route(struct net_ns *ns, const struct net_address *address,
                            struct net_route *out)
{
    const struct net_link *link = net_link_find(ns, address->link_index);
    u32 whole = ip_is_v4(&address->ip) ? 32 : 128;
    if (!link || link->kind == NET_LINK_LOOPBACK || address->prefix >= whole)
        return false;
    *out = (struct net_route){.link_index = address->link_index,
                              .prefix = address->prefix,
                              .metric = whole == 128 ? 256 : 0,
                              .table = LINUX_RT_TABLE_MAIN,
                              .protocol = LINUX_RTPROT_KERNEL,
                              .scope = whole == 128 ? LINUX_RT_SCOPE_UNIVERSE : LINUX_RT_SCOPE_LINK,
                              .type = LINUX_RTN_UNICAST,
                              .to = address->ip};
    if (whole == 32)
        out->source = address->ip;
    u32 bits = address->prefix + (whole == 32 ? 8 * IP4_AT : 0);
    for (u32 bit = bits; bit < 128; bit++)
        out->to.bytes[bit / 8] &= (u8) ~(0x80u >> bit % 8);
    return true;
}

int net_address_add(struct net_ns *ns, const struct net_address *what)
{
    if (net_address_find(ns, what->link_index, &what->ip, what->prefix))
        return -EEXIST;
    if (ns->address_count >= NET_OBJECTS_MAX)
        return -ENOSPC;
    AUTO_PUT struct net_address *address = object_create(ns->object.arena, &net_address_kind);
    if (!address)
        return -ENOMEM;
    struct net_route route;
    int err = connected_route(ns, what, &route) ? net_route_add(ns, &route) : 0;
    if (err && err != -EEXIST)
        return err;
    address->link_index = what->link_index;
    address->prefix = what->prefix;
    address->flags = what->flags;
    address->scope = what->scope;
    address->ip = what->ip;
    address->broadcast = what->broadcast;
    memcpy(address->label, what->label, sizeof address->label);
    list_add_tail(&ns->addresses, &MOVE(address)->link);
    ns->address_count++;
    return 0;
}

void net_address_remove(struct net_ns *ns, struct net_address *address)
{
    struct net_route route;
    if (connected_route(ns, address, &route))
        (void)!net_route_remove(ns, &route);
    list_remove(&address->link);
    ns->address_count--;
    REF_PUT(address);
}

/* ---- routes --------------------------------------------------------------------------------- */

static bool route_equal(const struct net_route *a, const struct net_route *b)
{
    return ip_equal(&a->to, &b->to) && a->prefix == b->prefix && a->table == b->table &&
           a->metric == b->metric;
}

int net_route_add(struct net_ns *ns, const struct net_route *what)
{
    struct net_route *route;
    list_for_each (route, &ns->routes, link)
        if (route_equal(route, what))
            return -EEXIST;
    if (ns->route_count >= NET_OBJECTS_MAX)
        return -ENOSPC;
    route = object_create(ns->object.arena, &net_route_kind);
    if (!route)
        return -ENOMEM;
    route->link_index = what->link_index;
    route->prefix = what->prefix;
    route->metric = what->metric;
    route->table = what->table;
    route->protocol = what->protocol;
    route->scope = what->scope;
    route->type = what->type;
    route->to = what->to;
    route->gateway = what->gateway;
    route->source = what->source;
    list_add_tail(&ns->routes, &route->link);
    ns->route_count++;
    return 0;
}

int net_route_remove(struct net_ns *ns, const struct net_route *what)
{
    struct net_route *route;
    list_for_each (route, &ns->routes, link) {
        if (!ip_equal(&route->to, &what->to) || route->prefix != what->prefix ||
            (what->table && route->table != what->table) ||
            (what->link_index && route->link_index != what->link_index) ||
            (what->metric && route->metric != what->metric) ||
            (!ip_equal(&what->gateway, &ip_any6) && !ip_equal(&route->gateway, &what->gateway)))
            continue;
        list_remove(&route->link);
        ns->route_count--;
        REF_PUT(route);
        return 0;
    }
    return -ESRCH;
}

/* ---- neighbours ----------------------------------------------------------------------------- */

static struct net_neighbour *neighbour_find(struct net_ns *ns, u32 link_index, const struct ip *ip)
{
    struct net_neighbour *neighbour;
    list_for_each (neighbour, &ns->neighbours, link)
        if (neighbour->link_index == link_index && ip_equal(&neighbour->ip, ip))
            return neighbour;
    return NULL;
}

int net_neighbour_set(struct net_ns *ns, const struct net_neighbour *what)
{
    struct net_neighbour *neighbour = neighbour_find(ns, what->link_index, &what->ip);
    if (!neighbour) {
        if (ns->neighbour_count >= NET_OBJECTS_MAX)
            return -ENOSPC;
        neighbour = object_create(ns->object.arena, &net_neighbour_kind);
        if (!neighbour)
            return -ENOMEM;
        neighbour->link_index = what->link_index;
        neighbour->ip = what->ip;
        list_add_tail(&ns->neighbours, &neighbour->link);
        ns->neighbour_count++;
    }
    neighbour->state = what->state;
    memcpy(neighbour->hardware, what->hardware, sizeof neighbour->hardware);
    return 0;
}

int net_neighbour_remove(struct net_ns *ns, u32 link_index, const struct ip *ip)
{
    struct net_neighbour *neighbour = neighbour_find(ns, link_index, ip);
    if (!neighbour)
        return -ENOENT;
    list_remove(&neighbour->link);
    ns->neighbour_count--;
    REF_PUT(neighbour);
    return 0;
}

/* ---- paths ---------------------------------------------------------------------------------- */

static bool link_is_up(struct net_ns *ns, u32 index)
{
    const struct net_link *link = net_link_find(ns, index);
    return link && link->flags & LINUX_IFF_UP;
}

/* Whose address IP is; on a loopback link all addresses of the prefix are its own. */
static const struct net_address *local_find(struct net_ns *ns, const struct ip *ip)
{
    const struct net_address *address;
    list_for_each (address, &ns->addresses, link) {
        if (!link_is_up(ns, address->link_index))
            continue;
        if (ip_equal(&address->ip, ip))
            return address;
        const struct net_link *link = net_link_find(ns, address->link_index);
        if (link->kind == NET_LINK_LOOPBACK && ip_is_v4(ip) &&
            ip_in_prefix(ip, &address->ip, address->prefix))
            return address;
    }
    return NULL;
}

bool net_ns_is_local(struct net_ns *ns, const struct ip *ip)
{
    return local_find(ns, ip) != NULL;
}

/* The last address of ADDRESS's prefix, or the one that was given as its broadcast address. */
static bool is_broadcast_of(const struct net_address *address, const struct ip *ip)
{
    if (!ip_is_v4(&address->ip) || !ip_in_prefix(ip, &address->ip, address->prefix))
        return false;
    if (ip_equal(ip, &address->broadcast))
        return true;
    for (u32 bit = 8 * IP4_AT + address->prefix; bit < 128; bit++)
        if (!(ip->bytes[bit / 8] & (0x80u >> bit % 8)))
            return false;
    return address->prefix < 31;
}

static const struct net_address *broadcast_find(struct net_ns *ns, const struct ip *ip)
{
    const struct net_address *address;
    list_for_each (address, &ns->addresses, link)
        if (link_is_up(ns, address->link_index) && is_broadcast_of(address, ip))
            return address;
    return NULL;
}

static const struct net_route *route_find(struct net_ns *ns, const struct ip *to, u32 device)
{
    const struct net_route *route, *best = NULL;
    list_for_each (route, &ns->routes, link) {
        if (route->type != LINUX_RTN_UNICAST || !ip_in_prefix(to, &route->to, route->prefix) ||
            !link_is_up(ns, route->link_index) || (device && route->link_index != device))
            continue;
        if (!best || route->prefix > best->prefix ||
            (route->prefix == best->prefix && route->metric < best->metric))
            best = route;
    }
    return best;
}

/* The source address on a link for what goes to an address of the same family. */
static struct ip source_on(struct net_ns *ns, u32 link_index, const struct ip *to)
{
    const struct net_address *address;
    list_for_each (address, &ns->addresses, link)
        if (address->link_index == link_index && ip_is_v4(&address->ip) == ip_is_v4(to))
            return address->ip;
    return ip_is_v4(to) ? ip_any4 : ip_any6;
}

int net_ns_find_path(struct net_ns *ns, const struct ip *to, u32 device, struct net_path *out)
{
    static const struct ip all = {
        {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    bool is_multicast = ip_is_multicast(to), is_all = ip_equal(to, &all);
    const struct net_address *local = is_multicast || is_all ? NULL : broadcast_find(ns, to);
    if (local) {
        *out = (struct net_path){NET_BROADCAST, local->link_index, local->ip};
        return 0;
    }
    local = is_multicast || is_all ? NULL : local_find(ns, to);
    if (local) {
        const struct net_link *link = net_link_find(ns, local->link_index);
        *out = (struct net_path){NET_LOCAL, 1,
                                 link->kind == NET_LINK_LOOPBACK && ip_is_v4(to) ? local->ip : *to};
        return 0;
    }
    const struct net_route *route = route_find(ns, to, device);
    u32 link_index = route ? route->link_index : device;
    if (!link_index || !link_is_up(ns, link_index) || (!route && !is_multicast && !is_all))
        return -ENETUNREACH;
    out->reach = is_multicast ? NET_MULTICAST : is_all ? NET_BROADCAST : NET_AWAY;
    out->link_index = link_index;
    bool has_source = route && !ip_equal(&route->source, &ip_any6);
    out->source = has_source ? route->source : source_on(ns, link_index, to);
    return 0;
}
