/* SPDX-License-Identifier: Apache-2.0 */
/* boot.CreateLinksAndRoutesArgs as the wire has it. */
#pragma once
#include "controller/internal.h"

struct network_address {
    char *ip;
    i64 prefix;
};
struct network_net {
    char *ip;
    struct wire_bytes mask;
};
struct network_route {
    struct network_net to;
    char *gateway; /* "" none */
    i64 mtu;       /* not looked at */
};
struct network_neighbour {
    char *ip;
    struct wire_bytes hardware;
};
/* One of each kind; members that a kind does not have are never set. */
struct network_link {
    char *name;
    i64 host_index, mtu;
    WIRE_LIST(struct network_address) addresses;
    WIRE_LIST(struct network_route) routes;
    u32 gso_max_size;
    bool gso, gro, tx_checksum, rx_checksum;
    struct wire_bytes hardware;
    i64 qdisc, channel_count, processors;
    u64 tbf_rate, tbf_burst;
    WIRE_LIST(struct network_neighbour) neighbours;
    i64 bind;
};
struct network_gateway {
    struct network_route route;
    char *name; /* "" none */
};
struct network_call {
    WIRE_LIST(struct network_link) loopbacks;
    WIRE_LIST(struct network_link) fdbased;
    WIRE_LIST(struct network_link) xdp;
    struct network_gateway gateway4, gateway6;
    bool pcap, log_packets, nat_blob, disconnect_ok;
    bool is_packet, is_preconfigured, pauses, allows_connected, is_restore;
};
extern const struct wire_type rpc_network_type;
