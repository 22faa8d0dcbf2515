/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiver Network: links, addresses, routes and neighbours of the sandbox. They are objects of its
 * own namespace that programs see; what no descriptor belongs to (a loopback, an FD-based link
 * without channels) is there and carries nothing out. Links with descriptors are counted as the
 * wire demands, then refused. All is judged before anything is made.
 */
#include <errno.h>
#include <string.h>

#include "abi/netlink.h"
#include "controller/network_args.h"
#include "sentry/net/forward.h"
#include "sentry/net/net.h"
#include "sentry/net/ns.h"

#define MTU_MIN 68
#define MTU_MAX 65536

/* ---- judging -------------------------------------------------------------------------------- */

/* How many descriptors these arguments need. */
static u64 wanted_fds(const struct network_call *network)
{
    u64 want = (u64)network->pcap + network->nat_blob;
    for (size_t i = 0; i < network->fdbased.count; i++)
        want += (u64)MAX(network->fdbased.items[i].channel_count, (i64)0);
    for (size_t i = 0; i < network->xdp.count; i++)
        want += network->xdp.items[i].bind == 1 ? 1 : 4;
    return want;
}

static int check_counts(struct rpc_call *call, const struct network_call *network)
{
    u64 want = wanted_fds(network);
    if (network->fdbased.count > 0 && network->xdp.count > 0)
        return error_set(call->err, EINVAL,
                         "received both fdbased and XDP links, but only one can be used at a time");
    if (network->xdp.count > 1)
        return error_set(call->err, EINVAL, "XDP only supports one link device, but got %zu",
                         network->xdp.count);
    if (want != call->urpc->fd_count)
        return error_set(call->err, EINVAL,
                         "args.FilePayload.Files has %u FDs but we need %llu entries based on "
                         "FDBasedLinks, XDPLinks, and PCAP",
                         call->urpc->fd_count, (unsigned long long)want);
    if (want > (u64)network->pcap + network->nat_blob || network->xdp.count > 0)
        return error_set(call->err, ENOSYS,
                         "only loopback interfaces are supported: run with --network=none");
    if (network->pcap || network->nat_blob)
        return error_set(call->err, ENOSYS, "packet capture and NAT tables are not supported");
    return 0;
}

/* The i-th of all links, NULL after the last. */
static const struct network_link *link_at(const struct network_call *network, size_t index)
{
    if (index < network->loopbacks.count)
        return &network->loopbacks.items[index];
    index -= network->loopbacks.count;
    return index < network->fdbased.count ? &network->fdbased.items[index] : NULL;
}

static bool is_loopback(const struct network_call *network, const struct network_link *link)
{
    return link >= network->loopbacks.items &&
           link < network->loopbacks.items + network->loopbacks.count;
}

static bool has_link(const struct network_call *network, const char *name)
{
    const struct network_link *link;
    for (size_t i = 0; (link = link_at(network, i)) != NULL; i++)
        if (strcmp(rpc_text(link->name), name) == 0)
            return true;
    return false;
}

static int check_gateway(const struct network_call *network, const struct network_gateway *gateway,
                         struct error *err)
{
    const char *name = rpc_text(gateway->name);
    if (!*name || has_link(network, name))
        return 0;
    return error_set(err, EINVAL, "invalid interface name \"%s\" for default route", name);
}

static int read_ip(const char *text, struct ip *out, struct error *err)
{
    if (ip_parse(rpc_text(text), out))
        return 0;
    return error_set(err, EINVAL, "invalid IP address: %s", rpc_text(text));
}

static u32 width_of(const struct ip *ip)
{
    return ip_is_v4(ip) ? 32 : 128;
}

static int read_address(const struct network_address *address, struct net_address *out,
                        struct error *err)
{
    *out = (struct net_address){.flags = LINUX_IFA_F_PERMANENT,
                                .prefix = (u32)address->prefix,
                                .scope = LINUX_RT_SCOPE_UNIVERSE};
    if (read_ip(address->ip, &out->ip, err))
        return -1;
    if (address->prefix < 0 || address->prefix > width_of(&out->ip))
        return error_set(err, EINVAL, "invalid prefix length %lld of address %s",
                         (long long)address->prefix, address->ip);
    if (ip_is_link_local6(&out->ip))
        out->scope = LINUX_RT_SCOPE_LINK;
    if (ip_equal(&out->ip, &ip_loopback6) || (ip_is_v4(&out->ip) && out->ip.bytes[IP4_AT] == 127))
        out->scope = LINUX_RT_SCOPE_HOST;
    return 0;
}

/* IS_DEFAULT: without a destination it is to everywhere, in the gateway's family. */
static int read_route(const struct network_route *route, bool is_default, struct net_route *out,
                      struct error *err)
{
    bool has_gateway = *rpc_text(route->gateway), has_to = *rpc_text(route->to.ip);
    *out = (struct net_route){.table = LINUX_RT_TABLE_MAIN,
                              .protocol = LINUX_RTPROT_BOOT,
                              .scope = has_gateway ? LINUX_RT_SCOPE_UNIVERSE : LINUX_RT_SCOPE_LINK,
                              .type = LINUX_RTN_UNICAST,
                              .gateway = ip_any6};
    if (has_gateway && read_ip(route->gateway, &out->gateway, err))
        return -1;
    if (is_default && !has_to) {
        out->to = has_gateway && !ip_is_v4(&out->gateway) ? ip_any6 : ip_any4;
        return 0;
    }
    if (read_ip(route->to.ip, &out->to, err))
        return -1;
    i32 prefix = ip_mask_prefix(route->to.mask.bytes, (u32)route->to.mask.size);
    if (route->to.mask.size * 8 != width_of(&out->to) || prefix < 0)
        return error_set(err, EINVAL, "invalid mask of route to %s", route->to.ip);
    if (has_gateway && ip_is_v4(&out->gateway) != ip_is_v4(&out->to))
        return error_set(err, EINVAL, "gateway %s of route to %s is of another family",
                         route->gateway, route->to.ip);
    out->prefix = (u32)prefix;
    return 0;
}

static int read_neighbour(const struct network_neighbour *neighbour, struct net_neighbour *out,
                          struct error *err)
{
    *out = (struct net_neighbour){.state = LINUX_NUD_PERMANENT};
    if (read_ip(neighbour->ip, &out->ip, err))
        return -1;
    if (neighbour->hardware.size != sizeof out->hardware)
        return error_set(err, EINVAL, "invalid hardware address of neighbor %s", neighbour->ip);
    memcpy(out->hardware, neighbour->hardware.bytes, sizeof out->hardware);
    return 0;
}

static int check_link(const struct network_link *link, struct error *err)
{
    struct net_address address;
    struct net_route route;
    struct net_neighbour neighbour;
    const char *name = rpc_text(link->name);
    size_t size = strlen(name);
    if (size == 0 || size >= LINUX_IFNAMSIZ || strpbrk(name, "/: \t\n") || name[0] == '.')
        return error_set(err, EINVAL, "invalid interface name \"%s\"", name);
    if (link->mtu && (link->mtu < MTU_MIN || link->mtu > MTU_MAX))
        return error_set(err, EINVAL, "invalid MTU %lld of interface \"%s\"", (long long)link->mtu,
                         name);
    if (link->hardware.size && link->hardware.size != sizeof neighbour.hardware)
        return error_set(err, EINVAL, "invalid link address of interface \"%s\"", name);
    for (size_t i = 0; i < link->addresses.count; i++)
        if (read_address(&link->addresses.items[i], &address, err))
            return -1;
    for (size_t i = 0; i < link->routes.count; i++)
        if (read_route(&link->routes.items[i], false, &route, err))
            return -1;
    for (size_t i = 0; i < link->neighbours.count; i++)
        if (read_neighbour(&link->neighbours.items[i], &neighbour, err))
            return -1;
    return 0;
}

static int check_all(const struct network_call *network, struct error *err)
{
    struct net_route route;
    const struct network_link *link;
    if (check_gateway(network, &network->gateway4, err) ||
        check_gateway(network, &network->gateway6, err))
        return -1;
    for (size_t i = 0; (link = link_at(network, i)) != NULL; i++)
        if (check_link(link, err))
            return -1;
    if (*rpc_text(network->gateway4.name) &&
        read_route(&network->gateway4.route, true, &route, err))
        return -1;
    if (*rpc_text(network->gateway6.name) &&
        read_route(&network->gateway6.route, true, &route, err))
        return -1;
    return 0;
}

/* ---- making: only memory and the number of objects can be short ----------------------------- */

/* What is there already is as good as made. */
static int unless_there(int err)
{
    return err == -EEXIST ? 0 : err;
}

/* A loopback's own prefix is in the local table, as everywhere. */
static bool is_own_prefix(const struct network_link *link, const struct net_route *route)
{
    struct net_address address;
    struct error unused;
    for (size_t i = 0; i < link->addresses.count; i++)
        if (read_address(&link->addresses.items[i], &address, &unused) == 0 &&
            address.prefix == route->prefix && ip_in_prefix(&address.ip, &route->to, route->prefix))
            return true;
    return false;
}

static int add_objects(struct net_ns *ns, struct net_link *made, const struct network_link *link)
{
    struct error unused; /* all was judged */
    int err = 0;
    for (size_t i = 0; i < link->addresses.count && !err; i++) {
        struct net_address address;
        (void)!read_address(&link->addresses.items[i], &address, &unused);
        address.link_index = made->index;
        memcpy(address.label, made->name, sizeof address.label);
        err = unless_there(net_address_add(ns, &address));
    }
    for (size_t i = 0; i < link->routes.count && !err; i++) {
        struct net_route route;
        (void)!read_route(&link->routes.items[i], false, &route, &unused);
        route.link_index = made->index;
        if (!is_own_prefix(link, &route))
            err = unless_there(net_route_add(ns, &route));
    }
    for (size_t i = 0; i < link->neighbours.count && !err; i++) {
        struct net_neighbour neighbour;
        (void)!read_neighbour(&link->neighbours.items[i], &neighbour, &unused);
        neighbour.link_index = made->index;
        err = net_neighbour_set(ns, &neighbour);
    }
    return err;
}

static int add_link(struct net_ns *ns, const struct network_link *link, enum net_link_kind kind)
{
    struct net_link *made = net_link_find_name(ns, link->name);
    bool is_new = !made;
    int err = is_new ? net_link_create(ns, kind, link->name, &made) : 0;
    if (err)
        return err;
    if (link->mtu)
        made->mtu = (u32)link->mtu;
    if (link->hardware.size)
        memcpy(made->hardware, link->hardware.bytes, sizeof made->hardware);
    err = net_link_set_up(ns, made, true);
    if (!err)
        err = add_objects(ns, made, link);
    if (err && is_new)
        net_link_remove(ns, made);
    return err;
}

static int add_gateway(struct net_ns *ns, const struct network_gateway *gateway)
{
    struct net_route route;
    struct error unused;
    if (!*rpc_text(gateway->name))
        return 0;
    (void)!read_route(&gateway->route, true, &route, &unused);
    route.link_index = net_link_find_name(ns, gateway->name)->index;
    return unless_there(net_route_add(ns, &route));
}

static int apply(struct net_ns *ns, const struct network_call *network, struct error *err)
{
    const struct network_link *link;
    int result = 0;
    for (size_t i = 0; (link = link_at(network, i)) != NULL && !result; i++)
        result = add_link(ns, link,
                          is_loopback(network, link) ? NET_LINK_LOOPBACK : NET_LINK_DUMMY);
    if (!result)
        result = add_gateway(ns, &network->gateway4);
    if (!result)
        result = add_gateway(ns, &network->gateway6);
    return result ? error_set(err, -result, "creating links and routes: %s", errno_text(-result))
                  : 0;
}

/* ---- the calls ------------------------------------------------------------------------------ */

static int create_links_and_routes(struct rpc_call *call, const void *arg)
{
    const struct network_call *network = arg;
    if (check_counts(call, network) || check_all(network, call->err))
        return -1;
    const char *text = wire_encode_text(&rpc_network_type, network, call->pool);
    if (!text || loader_set_network_config(call->loader, text))
        return error_set(call->err, ENOMEM, "out of memory");
    return apply(call->kernel->net->root_ns, network, call->err);
}

/* Links of the restoring side are there beside those of the image. */
void network_renew(struct loader *loader)
{
    AUTO_POOL struct pool pool;
    struct network_call network = {.pcap = false};
    struct json_text value;
    struct error err;
    struct kernel *kernel = loader_kernel(loader);
    const char *text = loader_network_config(loader);
    pool_init(&pool, kernel->arena);
    if (!text)
        return;
    if (json_parse(text, strlen(text), 0, &value, &err) ||
        wire_decode(&rpc_network_type, value, &pool, &network, &err) ||
        apply(kernel->net->root_ns, &network, &err))
        log_warn(kernel->log, "controller", "links after the restore: %s", err.text);
}

static int get_network_config(struct rpc_call *call, const void *arg)
{
    static const struct network_call none;
    const char *text = loader_network_config(call->loader);
    if (text)
        json_put_raw(call->result, (struct json_text){text, strlen(text)});
    else
        wire_encode(call->result, &rpc_network_type, &none);
    return 0;
}

struct plugin_call {
    char *text;
};
static const struct wire_field plugin_fields[] = {
    WIRE_FIELD(struct plugin_call, text, "InitStr", &wire_string),
    WIRE_END,
};
static const struct wire_type plugin_type = WIRE_TYPE_STRUCT(struct plugin_call, plugin_fields,
                                                             "boot.InitPluginStackArgs");

SLEEPS static int init_plugin_stack(struct rpc_call *call, const void *arg)
{
    const struct plugin_call *plugin = arg;
    u32 count = call->urpc->fd_count;
    if (!call->kernel->net->plugin)
        return error_set(call->err, ENOSYS, "plugin stack is not registered");
    int *fds = pool_alloc_array(call->pool, count, sizeof *fds);
    if (!fds)
        return error_set(call->err, ENOMEM, "out of memory");
    for (u32 i = 0; i < count; i++)
        fds[i] = rpc_take_fd(call, i);
    int result = net_stack_plug(call->kernel, call->task, rpc_text(plugin->text), fds, count);
    return result ? error_set(call->err, -result, "initializing the plugin stack: %s",
                              errno_text(-result))
                  : 0;
}

/* ---- containerManager.PortForward ----------------------------------------------------------- */

struct forward_opts {
    char *cid;
    u16 port;
};
static const struct wire_field forward_fields[] = {
    WIRE_FIELD(struct forward_opts, cid, "ContainerID", &wire_string),
    WIRE_FIELD(struct forward_opts, port, "Port", &wire_uint16),
    WIRE_END,
};
const struct wire_type rpc_forward_type = WIRE_TYPE_STRUCT(struct forward_opts, forward_fields,
                                                           "boot.PortForwardOpts");

SLEEPS int container_port_forward(struct rpc_call *call, const void *arg)
{
    const struct forward_opts *opts = arg;
    const char *cid = rpc_text(opts->cid);
    if (call->urpc->fd_count != 1)
        return error_set(call->err, EINVAL, "stream FD is required for port forward");
    struct net_ns *ns = loader_container_net(call->loader, cid, call->err);
    if (!ns)
        return -1;
    if (loader_config(call->loader)->has_no_network)
        return error_set(call->err, EINVAL,
                         "unsupported network type \"none\" for container \"%s\"", cid);
    struct host_stream *stream = host_stream_from_fd(call->kernel->host, rpc_take_fd(call, 0));
    if (!stream)
        return error_set(call->err, ENOMEM, "no memory for a forwarded connection");
    AUTO_PUT struct net_ns *held = REF_GET(ns); /* the connection may wait */
    int err = net_forward(call->task, held, stream, opts->port);
    return err ? error_set(call->err, -err, "connecting to port %u of container \"%s\": %s",
                           opts->port, cid, errno_text(-err))
               : 0;
}

const struct rpc_method network_methods[] = {
    {"Network.CreateLinksAndRoutes", &rpc_network_type, create_links_and_routes},
    {"Network.InitPluginStack", &plugin_type, init_plugin_stack},
    {"containerManager.SetNetworkArgs", &rpc_network_type, create_links_and_routes},
    {"containerManager.GetNetworkConfig", NULL, get_network_config},
    {NULL},
};
