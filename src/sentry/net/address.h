/* SPDX-License-Identifier: Apache-2.0 */
/* Internet addresses. An IPv4 address is kept as IPv4-mapped IPv6 (RFC 4291, 2.5.5.2), so that all
 * families compare alike. */
#pragma once
#include <string.h>

#include "abi/inet.h"
#include "abi/socket.h"
#include "base/base.h"

struct ip {
    u8 bytes[16];
};
#define IP4_AT 12u /* where an IPv4 address stands in it */

/* Where a socket is or sends to. Without padding: images hold it as bytes. */
struct endpoint {
    struct ip ip;
    u16 port;
    u16 zero;
    u32 scope; /* an interface's index, of link-local addresses; 0: none */
};
_Static_assert(sizeof(struct endpoint) == 24, "an endpoint has no padding");

extern const struct ip ip_any4, ip_any6, ip_loopback4, ip_loopback6;

static inline bool ip_equal(const struct ip *a, const struct ip *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}
static inline bool ip_is_v4(const struct ip *ip)
{
    return memcmp(ip, &ip_any4, IP4_AT) == 0;
}
static inline bool ip_is_any(const struct ip *ip)
{
    return ip_equal(ip, &ip_any4) || ip_equal(ip, &ip_any6);
}
bool ip_is_multicast(const struct ip *ip);
bool ip_is_link_local6(const struct ip *ip);
struct ip ip_from_v4(const u8 bytes[4]);
/* "10.0.0.1", "fe80::1", "::ffff:1.2.3.4" and nothing else (RFC 4291, 2.2). */
MUST_CHECK bool ip_parse(const char *text, struct ip *out);
/* How many leading bits of the SIZE bytes of MASK are set; -1: it is no mask. */
i32 ip_mask_prefix(const u8 *mask, u32 size);
/* The family's "any" address. */
const struct ip *ip_any_of(i32 domain);
/* Do A and B agree in the first PREFIX bits of their own family? Different families never do. */
bool ip_in_prefix(const struct ip *a, const struct ip *b, u32 prefix);

/* A program's name for a socket of DOMAIN: 0, -EINVAL (too short), -EAFNOSUPPORT. */
MUST_CHECK int endpoint_parse(i32 domain, const u8 *name, u32 size, struct endpoint *out);
/* The name as a socket of DOMAIN shows it; its size. */
u32 endpoint_format(i32 domain, const struct endpoint *endpoint, u8 name[SOCKADDR_SIZE_MAX]);
static inline bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
    return a->port == b->port && ip_equal(&a->ip, &b->ip);
}
