/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that wait in a datagram socket: of UDP, ping and netlink. */
#pragma once
#include "base/buf.h"
#include "sentry/net/address.h"
#include "sentry/net/socket.h"

#define NET_PACKET_OVERHEAD 512u /* what a packet weighs beside its bytes */

struct net_packet {
    struct object object;
    struct list link;
    struct buf data;
    struct endpoint from, to;
    u32 link_index;
    u32 ttl, tos;
};
extern const struct kind net_packet_kind;

struct net_packet_queue {
    struct list packets; /* struct net_packet.link, counted */
    u64 weight;          /* bytes with their overhead */
    u32 count;
};
extern const struct field net_packet_queue_fields[];

MUST_CHECK int net_packet_create(struct arena *arena, struct net_packet **out);
/* Takes PACKET; false: SIZE_MAX is reached, it is dropped. */
bool net_packet_queue_add(struct net_packet_queue *queue, struct net_packet *packet, u64 size_max);
void net_packet_queue_clear(struct net_packet_queue *queue);
/* The first packet with a reference, taken out unless IS_PEEK; NULL: none. */
struct net_packet *net_packet_queue_take(struct net_packet_queue *queue, bool is_peek);
/* The bytes of PACKET to MESSAGE, with MSG_TRUNC in and out: the call's result. */
SLEEPS i64 net_packet_copy(struct net_packet *packet, struct socket_message *message);
