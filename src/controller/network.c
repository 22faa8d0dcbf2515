/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiver Network: the sandbox's interfaces. Only the loopback exists in this release, and it is
 * there from the start: links with descriptors are counted as the wire demands, then refused.
 */
#include <errno.h>
#include <string.h>

#include "controller/internal.h"
#include "sentry/net/forward.h"

struct network_link {
    char *name;
    i64 channel_count;
    i64 bind;
};
struct default_gateway {
    struct json_text route;
    char *name;
};
struct network_call {
    WIRE_LIST(struct network_link) loopbacks;
    WIRE_LIST(struct network_link) fdbased;
    WIRE_LIST(struct network_link) xdp;
    struct default_gateway gateway4, gateway6;
    bool pcap, log_packets, nat_blob, disconnect_ok;
};

static const struct wire_field link_fields[] = {
    WIRE_FIELD(struct network_link, name, "Name", &wire_string),
    WIRE_FIELD(struct network_link, channel_count, "NumChannels", &wire_int),
    WIRE_FIELD(struct network_link, bind, "Bind", WIRE_NAMED(WIRE_INT, i64, "boot.BindOpt")),
    WIRE_END,
};
static const struct wire_type link_type = WIRE_TYPE_STRUCT(struct network_link, link_fields,
                                                           "boot.FDBasedLink");
static const struct wire_field gateway_fields[] = {
    WIRE_FIELD(struct default_gateway, route, "Route", &wire_raw),
    WIRE_FIELD(struct default_gateway, name, "Name", &wire_string),
    WIRE_END,
};
static const struct wire_type gateway_type = WIRE_TYPE_STRUCT(struct default_gateway,
                                                              gateway_fields, "boot.DefaultRoute");
static const struct wire_field network_fields[] = {
    WIRE_FIELD(struct network_call, loopbacks, "LoopbackLinks",
               WIRE_LIST_OF(&link_type, "[]boot.LoopbackLink")),
    WIRE_FIELD(struct network_call, fdbased, "FDBasedLinks",
               WIRE_LIST_OF(&link_type, "[]boot.FDBasedLink")),
    WIRE_FIELD(struct network_call, xdp, "XDPLinks", WIRE_LIST_OF(&link_type, "[]boot.XDPLink")),
    WIRE_FIELD(struct network_call, gateway4, "Defaultv4Gateway", &gateway_type),
    WIRE_FIELD(struct network_call, gateway6, "Defaultv6Gateway", &gateway_type),
    WIRE_FIELD(struct network_call, pcap, "PCAP", &wire_bool),
    WIRE_FIELD(struct network_call, log_packets, "LogPackets", &wire_bool),
    WIRE_FIELD(struct network_call, nat_blob, "NATBlob", &wire_bool),
    WIRE_FIELD(struct network_call, disconnect_ok, "DisconnectOk", &wire_bool),
    WIRE_END,
};
static const struct wire_type network_type = WIRE_TYPE_STRUCT(struct network_call, network_fields,
                                                              "boot.CreateLinksAndRoutesArgs");

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
    return 0;
}

static bool has_link(const struct network_call *network, const char *name)
{
    for (size_t i = 0; i < network->loopbacks.count; i++)
        if (strcmp(rpc_text(network->loopbacks.items[i].name), name) == 0)
            return true;
    return false;
}

static int check_gateway(struct rpc_call *call, const struct network_call *network,
                         const struct default_gateway *gateway)
{
    const char *name = rpc_text(gateway->name);
    if (!*name || has_link(network, name))
        return 0;
    return error_set(call->err, EINVAL, "invalid interface name \"%s\" for default route", name);
}

static int create_links_and_routes(struct rpc_call *call, const void *arg)
{
    const struct network_call *network = arg;
    if (check_counts(call, network))
        return -1;
    if (network->fdbased.count + network->xdp.count > 0)
        return error_set(call->err, ENOSYS,
                         "only loopback interfaces are supported: run with --network=none");
    if (network->pcap || network->nat_blob)
        return error_set(call->err, ENOSYS, "packet capture and NAT tables are not supported");
    if (check_gateway(call, network, &network->gateway4) ||
        check_gateway(call, network, &network->gateway6))
        return -1;
    return 0;
}

static int init_plugin_stack(struct rpc_call *call, const void *arg)
{
    return error_set(call->err, ENOSYS, "plugin stack is not registered");
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
    {"Network.CreateLinksAndRoutes", &network_type, create_links_and_routes},
    {"Network.InitPluginStack", NULL, init_plugin_stack},
    {"containerManager.SetNetworkArgs", &network_type, create_links_and_routes},
    {"containerManager.GetNetworkConfig", NULL, NULL},
    {NULL},
};
