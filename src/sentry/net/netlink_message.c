/* SPDX-License-Identifier: Apache-2.0 */
/* netlink(7): heads, attributes, alignment to four bytes. */
#include "sentry/net/netlink_message.h"

#include <errno.h>

#define PACKET_SIZE_FULL 2816u /* another message fits into a page: getifaddrs(3) reads one */

static u32 align4(u32 size)
{
    return (size + 3) & ~3u;
}

/* ---- reading -------------------------------------------------------------------------------- */

int netlink_parse_bytes(const u8 *bytes, u32 size, struct netlink_attr attrs[NETLINK_ATTRS_MAX])
{
    memset(attrs, 0, NETLINK_ATTRS_MAX * sizeof *attrs);
    for (u32 at = 0; at + sizeof(struct linux_nlattr) <= size;) {
        struct linux_nlattr attr;
        memcpy(&attr, bytes + at, sizeof attr);
        if (attr.size < sizeof attr || attr.size > size - at)
            return -EINVAL;
        u32 type = attr.type & LINUX_NLA_TYPE_MASK;
        if (type < NETLINK_ATTRS_MAX)
            attrs[type] = (struct netlink_attr){bytes + at + sizeof attr,
                                                attr.size - (u32)sizeof attr};
        at += align4(attr.size);
    }
    return 0;
}

int netlink_parse(const struct netlink_request *request, u32 fixed,
                  struct netlink_attr attrs[NETLINK_ATTRS_MAX])
{
    if (request->size < fixed)
        return -EINVAL;
    u32 start = MIN(align4(fixed), request->size);
    return netlink_parse_bytes(request->payload + start, request->size - start, attrs);
}

u32 netlink_attr_u32(const struct netlink_attr *attr, u32 absent)
{
    u32 value = absent;
    if (attr->data && attr->size >= sizeof value)
        memcpy(&value, attr->data, sizeof value);
    return value;
}

int netlink_attr_ip(const struct netlink_attr *attr, u32 family, struct ip *out)
{
    if (!attr->data)
        return 0;
    if (attr->size < (family == LINUX_AF_INET ? 4u : 16u))
        return -EINVAL;
    if (family == LINUX_AF_INET)
        *out = ip_from_v4(attr->data);
    else
        memcpy(out->bytes, attr->data, sizeof out->bytes);
    return 1;
}

/* ---- writing -------------------------------------------------------------------------------- */

void netlink_out_init(struct netlink_out *out, struct netlink_socket *to, u32 seq)
{
    *out = (struct netlink_out){.to = to, .seq = seq, .pid = to->pid};
}

void netlink_put_bytes(struct netlink_out *out, const void *data, u32 size)
{
    static const u8 zeros[4];
    if (!out->err)
        out->err = buf_append(&out->packet->data, data, size);
    if (!out->err)
        out->err = buf_append(&out->packet->data, zeros, align4(size) - size);
}

static void queue_packet(struct netlink_out *out)
{
    struct netlink_socket *to = out->to;
    struct net_packet *packet = MOVE(out->packet);
    if (!packet)
        return;
    if (!net_packet_queue_add(&to->queue, packet, to->base.receive_size_max))
        to->has_overrun = true;
    socket_wake(&to->base, POLL_IN | POLL_RDNORM);
}

void netlink_begin(struct netlink_out *out, u16 type, u16 flags, const void *fixed, u32 size)
{
    if (out->packet && out->packet->data.size > PACKET_SIZE_FULL)
        queue_packet(out);
    if (!out->packet && !out->err)
        out->err = net_packet_create(out->to->base.kernel->arena, &out->packet);
    if (out->err)
        return;
    struct linux_nlmsghdr head = {.type = type, .flags = flags, .seq = out->seq, .pid = out->pid};
    out->at = out->packet->data.size;
    netlink_put_bytes(out, &head, sizeof head);
    netlink_put_bytes(out, fixed, size);
}

void netlink_put(struct netlink_out *out, u16 type, const void *data, u32 size)
{
    struct linux_nlattr attr = {(u16)(sizeof attr + size), type};
    if (out->err)
        return;
    netlink_put_bytes(out, &attr, sizeof attr);
    netlink_put_bytes(out, data, size);
}

void netlink_put_u32(struct netlink_out *out, u16 type, u32 value)
{
    netlink_put(out, type, &value, sizeof value);
}

void netlink_put_text(struct netlink_out *out, u16 type, const char *text)
{
    netlink_put(out, type, text, (u32)strlen(text) + 1);
}

void netlink_put_ip(struct netlink_out *out, u16 type, const struct ip *ip)
{
    if (ip_is_v4(ip))
        netlink_put(out, type, ip->bytes + IP4_AT, 4);
    else
        netlink_put(out, type, ip->bytes, sizeof ip->bytes);
}

void netlink_end(struct netlink_out *out)
{
    if (out->err)
        return;
    u32 size = (u32)(out->packet->data.size - out->at);
    memcpy(buf_bytes(&out->packet->data) + out->at, &size, sizeof size);
}

int netlink_flush(struct netlink_out *out)
{
    if (out->err)
        REF_CLEAR(out->packet);
    queue_packet(out);
    return out->err;
}
