/* SPDX-License-Identifier: Apache-2.0 */
/* Queues of messages. A packet is taken out before its bytes are copied, for the copy may sleep. */
#include "sentry/net/packet.h"

#include <errno.h>

#include "base/fields.h"

static const struct field net_packet_fields[] = {
    FIELD_NONE(struct net_packet, object, "the walker's own header"),
    FIELD_NONE(struct net_packet, link, "the queue's list"),
    FIELD_BUF(struct net_packet, data),
    FIELD_BYTES(struct net_packet, from),
    FIELD_BYTES(struct net_packet, to),
    FIELD(struct net_packet, link_index),
    FIELD(struct net_packet, ttl),
    FIELD(struct net_packet, tos),
    FIELD_END,
};
FIELDS_COMPLETE(struct net_packet, net_packet_fields);

static void net_packet_destroy(struct object *object)
{
    buf_fini(&container_of(object, struct net_packet, object)->data);
}

const struct kind net_packet_kind = {.name = "net_packet",
                                     .size = sizeof(struct net_packet),
                                     .fields = net_packet_fields,
                                     .destroy = net_packet_destroy};

const struct field net_packet_queue_fields[] = {
    FIELD_LIST(struct net_packet_queue, packets, struct net_packet, link, true),
    FIELD(struct net_packet_queue, weight),
    FIELD(struct net_packet_queue, count),
    FIELD_END,
};
FIELDS_COMPLETE(struct net_packet_queue, net_packet_queue_fields);

int net_packet_create(struct arena *arena, struct net_packet **out)
{
    struct net_packet *packet = object_create(arena, &net_packet_kind);
    if (!packet)
        return -ENOMEM;
    buf_init(&packet->data, arena, 0);
    *out = packet;
    return 0;
}

static u64 weight_of(const struct net_packet *packet)
{
    return packet->data.size + NET_PACKET_OVERHEAD;
}

bool net_packet_queue_add(struct net_packet_queue *queue, struct net_packet *packet, u64 size_max)
{
    if (queue->weight > size_max) {
        REF_PUT(packet);
        return false;
    }
    queue->weight += weight_of(packet);
    queue->count++;
    list_add_tail(&queue->packets, &packet->link);
    return true;
}

static void take(struct net_packet_queue *queue, struct net_packet *packet)
{
    list_remove(&packet->link);
    queue->weight -= MIN(queue->weight, weight_of(packet));
    queue->count -= queue->count > 0;
}

void net_packet_queue_clear(struct net_packet_queue *queue)
{
    struct net_packet *packet, *next;
    list_for_each_safe (packet, next, &queue->packets, link) {
        take(queue, packet);
        REF_PUT(packet);
    }
}

struct net_packet *net_packet_queue_take(struct net_packet_queue *queue, bool is_peek)
{
    struct net_packet *packet = list_first_or_null(&queue->packets, struct net_packet, link);
    if (packet && is_peek)
        return REF_GET(packet);
    if (packet)
        take(queue, packet);
    return packet;
}

SLEEPS i64 net_packet_copy(struct net_packet *packet, struct socket_message *message)
{
    u64 full = packet->data.size, size = MIN(message->uio->remaining, full);
    message->full_size = full;
    i64 got = size ? uio_put(message->uio, buf_bytes(&packet->data), size) : 0;
    if (got < 0 || (u64)got < size)
        return got < 0 ? got : -EFAULT;
    if (size < full)
        message->out_flags |= LINUX_MSG_TRUNC;
    return message->flags & LINUX_MSG_TRUNC ? (i64)full : got;
}
