/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of boot.CreateLinksAndRoutesArgs, later members included. */
#include "controller/network_args.h"

static const struct wire_field address_fields[] = {
    WIRE_FIELD(struct network_address, ip, "Address", &wire_string),
    WIRE_FIELD(struct network_address, prefix, "PrefixLen", &wire_int),
    WIRE_END,
};
static const struct wire_type address_type = WIRE_TYPE_STRUCT(struct network_address,
                                                              address_fields, "boot.IPWithPrefix");
static const struct wire_field net_fields[] = {
    WIRE_FIELD(struct network_net, ip, "IP", &wire_string),
    WIRE_FIELD(struct network_net, mask, "Mask", &wire_bytes),
    WIRE_END,
};
static const struct wire_type net_type = WIRE_TYPE_STRUCT(struct network_net, net_fields,
                                                          "net.IPNet");
static const struct wire_field route_fields[] = {
    WIRE_FIELD(struct network_route, to, "Destination", &net_type),
    WIRE_FIELD(struct network_route, gateway, "Gateway", &wire_string),
    WIRE_FIELD(struct network_route, mtu, "MTU", &wire_int),
    WIRE_END,
};
static const struct wire_type route_type = WIRE_TYPE_STRUCT(struct network_route, route_fields,
                                                            "boot.Route");
static const struct wire_field neighbour_fields[] = {
    WIRE_FIELD(struct network_neighbour, ip, "IP", &wire_string),
    WIRE_FIELD(struct network_neighbour, hardware, "HardwareAddr", &wire_bytes),
    WIRE_END,
};
static const struct wire_type neighbour_type = WIRE_TYPE_STRUCT(struct network_neighbour,
                                                                neighbour_fields, "boot.Neighbor");

#define ADDRESSES                                                   \
    WIRE_FIELD(struct network_link, addresses, "Addresses",         \
               WIRE_LIST_OF(&address_type, "[]boot.IPWithPrefix")), \
        WIRE_FIELD(struct network_link, routes, "Routes",           \
                   WIRE_LIST_OF(&route_type, "[]boot.Route"))

static const struct wire_field loopback_fields[] = {
    WIRE_FIELD(struct network_link, name, "Name", &wire_string),
    ADDRESSES,
    WIRE_FIELD(struct network_link, gro, "GVisorGRO", &wire_bool),
    WIRE_END,
};
static const struct wire_type loopback_type = WIRE_TYPE_STRUCT(struct network_link, loopback_fields,
                                                               "boot.LoopbackLink");

#define OUTWARD                                                                        \
    WIRE_FIELD(struct network_link, name, "Name", &wire_string),                       \
        WIRE_FIELD(struct network_link, host_index, "InterfaceIndex", &wire_int),      \
        WIRE_FIELD(struct network_link, mtu, "MTU", &wire_int), ADDRESSES,             \
        WIRE_FIELD(struct network_link, gro, "GVisorGRO", &wire_bool),                 \
        WIRE_FIELD(struct network_link, tx_checksum, "TXChecksumOffload", &wire_bool), \
        WIRE_FIELD(struct network_link, rx_checksum, "RXChecksumOffload", &wire_bool), \
        WIRE_FIELD(struct network_link, hardware, "LinkAddress", &wire_bytes),         \
        WIRE_FIELD(struct network_link, qdisc, "QDisc",                                \
                   WIRE_NAMED(WIRE_INT, i64, "config.QueueingDiscipline")),            \
        WIRE_FIELD(struct network_link, tbf_rate, "TBFRate", &wire_uint64),            \
        WIRE_FIELD(struct network_link, tbf_burst, "TBFBurst", &wire_uint64),          \
        WIRE_FIELD(struct network_link, neighbours, "Neighbors",                       \
                   WIRE_LIST_OF(&neighbour_type, "[]boot.Neighbor")),                  \
        WIRE_FIELD(struct network_link, channel_count, "NumChannels", &wire_int)

static const struct wire_field fdbased_fields[] = {
    OUTWARD,
    WIRE_FIELD(struct network_link, gso_max_size, "GSOMaxSize", &wire_uint32),
    WIRE_FIELD(struct network_link, gso, "GVisorGSOEnabled", &wire_bool),
    WIRE_FIELD(struct network_link, processors, "ProcessorsPerChannel", &wire_int),
    WIRE_END,
};
static const struct wire_type fdbased_type = WIRE_TYPE_STRUCT(struct network_link, fdbased_fields,
                                                              "boot.FDBasedLink");
static const struct wire_field xdp_fields[] = {
    OUTWARD,
    WIRE_FIELD(struct network_link, bind, "Bind", WIRE_NAMED(WIRE_INT, i64, "boot.BindOpt")),
    WIRE_END,
};
static const struct wire_type xdp_type = WIRE_TYPE_STRUCT(struct network_link, xdp_fields,
                                                          "boot.XDPLink");
static const struct wire_field gateway_fields[] = {
    WIRE_FIELD(struct network_gateway, route, "Route", &route_type),
    WIRE_FIELD(struct network_gateway, name, "Name", &wire_string),
    WIRE_END,
};
static const struct wire_type gateway_type = WIRE_TYPE_STRUCT(struct network_gateway,
                                                              gateway_fields, "boot.DefaultRoute");
static const struct wire_field network_fields[] = {
    WIRE_FIELD(struct network_call, loopbacks, "LoopbackLinks",
               WIRE_LIST_OF(&loopback_type, "[]boot.LoopbackLink")),
    WIRE_FIELD(struct network_call, fdbased, "FDBasedLinks",
               WIRE_LIST_OF(&fdbased_type, "[]boot.FDBasedLink")),
    WIRE_FIELD(struct network_call, xdp, "XDPLinks", WIRE_LIST_OF(&xdp_type, "[]boot.XDPLink")),
    WIRE_FIELD(struct network_call, gateway4, "Defaultv4Gateway", &gateway_type),
    WIRE_FIELD(struct network_call, gateway6, "Defaultv6Gateway", &gateway_type),
    WIRE_FIELD(struct network_call, pcap, "PCAP", &wire_bool),
    WIRE_FIELD(struct network_call, log_packets, "LogPackets", &wire_bool),
    WIRE_FIELD(struct network_call, nat_blob, "NATBlob", &wire_bool),
    WIRE_FIELD(struct network_call, disconnect_ok, "DisconnectOk", &wire_bool),
    WIRE_FIELD(struct network_call, is_packet, "IsPacket", &wire_bool),
    WIRE_FIELD(struct network_call, is_preconfigured, "PreConfigured", &wire_bool),
    WIRE_FIELD(struct network_call, pauses, "PauseExternalNetworking", &wire_bool),
    WIRE_FIELD(struct network_call, allows_connected, "AllowConnectedOnSave", &wire_bool),
    WIRE_FIELD(struct network_call, is_restore, "IsRestore", &wire_bool),
    WIRE_END,
};
const struct wire_type rpc_network_type = WIRE_TYPE_STRUCT(struct network_call, network_fields,
                                                           "boot.CreateLinksAndRoutesArgs");
