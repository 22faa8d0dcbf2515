/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing netlink messages. */
#pragma once
#include "sentry/net/netlink.h"

#define NETLINK_ATTRS_MAX 64u

/* One request, judged: its size is inside the bytes that came. */
struct netlink_request {
    struct task *task;
    struct netlink_socket *socket;
    struct linux_nlmsghdr head;
    const u8 *payload; /* head.size - sizeof head bytes */
    u32 size;          /* of the payload */
};
struct netlink_attr {
    const u8 *data; /* NULL: was not there */
    u32 size;
};
/* The attributes behind FIXED bytes of payload, by type; those of NETLINK_ATTRS_MAX and above are
 * left out. 0 or -EINVAL (too short, or broken). */
MUST_CHECK int netlink_parse(const struct netlink_request *request, u32 fixed,
                             struct netlink_attr attrs[NETLINK_ATTRS_MAX]);
MUST_CHECK int netlink_parse_bytes(const u8 *bytes, u32 size,
                                   struct netlink_attr attrs[NETLINK_ATTRS_MAX]);
/* The attribute as a number; ABSENT when it is not there or too short. */
u32 netlink_attr_u32(const struct netlink_attr *attr, u32 absent);
/* The attribute as an address of FAMILY: 1, 0 (not there) or -EINVAL. */
int netlink_attr_ip(const struct netlink_attr *attr, u32 family, struct ip *out);

/* Messages for one receiver; several go into one packet until it is full. The first error stays and
 * makes the rest do nothing. */
struct netlink_out {
    struct netlink_socket *to;
    struct net_packet *packet; /* owned */
    size_t at;                 /* of the open message's head */
    u32 seq, pid;
    int err;
};
void netlink_out_init(struct netlink_out *out, struct netlink_socket *to, u32 seq);
void netlink_begin(struct netlink_out *out, u16 type, u16 flags, const void *fixed, u32 size);
void netlink_put(struct netlink_out *out, u16 type, const void *data, u32 size);
void netlink_put_u32(struct netlink_out *out, u16 type, u32 value);
void netlink_put_text(struct netlink_out *out, u16 type, const char *text);
void netlink_put_ip(struct netlink_out *out, u16 type, const struct ip *ip);
void netlink_end(struct netlink_out *out);
/* Queue what there is at the receiver, also after an error: 0 or the first error. */
MUST_CHECK int netlink_flush(struct netlink_out *out);
/* Bytes as they are, an open message's. */
void netlink_put_bytes(struct netlink_out *out, const void *data, u32 size);

/* rtnetlink.c: act on a request of NETLINK_ROUTE and answer it: 0 or -errno, which is told the
 * program. */
MUST_CHECK int rtnetlink_serve(const struct netlink_request *request);
/* rtnetlink_ip.c: by type; -EOPNOTSUPP for others. */
MUST_CHECK int rtnetlink_serve_ip(const struct netlink_request *request);
bool rtnetlink_is_dump(const struct netlink_request *request);
/* All messages of a dump are out: the last one, and off. */
MUST_CHECK int rtnetlink_done(struct netlink_out *out);
