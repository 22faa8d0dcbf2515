/* SPDX-License-Identifier: Apache-2.0 */
/* Internet addresses: kinds of them, prefixes, and the names that programs give and get. */
#include "sentry/net/address.h"

#include <errno.h>

const struct ip ip_any4 = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}};
const struct ip ip_any6 = {{0}};
const struct ip ip_loopback4 = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1}};
const struct ip ip_loopback6 = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

bool ip_is_multicast(const struct ip *ip)
{
    return ip_is_v4(ip) ? (ip->bytes[IP4_AT] & 0xf0) == 0xe0 : ip->bytes[0] == 0xff;
}

bool ip_is_link_local6(const struct ip *ip)
{
    return ip->bytes[0] == 0xfe && (ip->bytes[1] & 0xc0) == 0x80;
}

struct ip ip_from_v4(const u8 bytes[4])
{
    struct ip ip = ip_any4;
    memcpy(ip.bytes + IP4_AT, bytes, 4);
    return ip;
}

const struct ip *ip_any_of(i32 domain)
{
    return domain == LINUX_AF_INET ? &ip_any4 : &ip_any6;
}

bool ip_in_prefix(const struct ip *a, const struct ip *b, u32 prefix)
{
    if (ip_is_v4(a) != ip_is_v4(b))
        return false;
    u32 bits = prefix + (ip_is_v4(a) ? 8 * IP4_AT : 0);
    u32 whole = MIN(bits / 8, 16u), rest = bits % 8;
    if (memcmp(a, b, whole) != 0)
        return false;
    return rest == 0 || whole == 16 ||
           ((a->bytes[whole] ^ b->bytes[whole]) & (0xff00u >> rest) & 0xff) == 0;
}

static u16 port_parse(const u8 port[2])
{
    return (u16)(port[0] << 8 | port[1]);
}

int endpoint_parse(i32 domain, const u8 *name, u32 size, struct endpoint *out)
{
    u16 family;
    *out = (struct endpoint){.ip = *ip_any_of(domain)};
    if (size < sizeof family)
        return -EINVAL;
    memcpy(&family, name, sizeof family);
    if (domain == LINUX_AF_INET) {
        struct linux_sockaddr_in in;
        if (size < sizeof in)
            return -EINVAL;
        memcpy(&in, name, sizeof in);
        out->ip = ip_from_v4(in.address);
        out->port = port_parse(in.port);
        return family == LINUX_AF_INET ? 0 : -EAFNOSUPPORT;
    }
    struct linux_sockaddr_in6 in = {0};
    if (size < LINUX_SOCKADDR_IN6_SIZE_MIN)
        return -EINVAL;
    if (family != LINUX_AF_INET6)
        return -EAFNOSUPPORT;
    memcpy(&in, name, MIN(size, (u32)sizeof in));
    memcpy(out->ip.bytes, in.address, sizeof in.address);
    out->port = port_parse(in.port);
    out->scope = ip_is_link_local6(&out->ip) ? in.scope : 0;
    return 0;
}

u32 endpoint_format(i32 domain, const struct endpoint *endpoint, u8 name[SOCKADDR_SIZE_MAX])
{
    u8 port[2] = {(u8)(endpoint->port >> 8), (u8)endpoint->port};
    if (domain == LINUX_AF_INET) {
        struct linux_sockaddr_in in = {.family = LINUX_AF_INET};
        memcpy(in.port, port, sizeof port);
        memcpy(in.address, endpoint->ip.bytes + IP4_AT, sizeof in.address);
        memcpy(name, &in, sizeof in);
        return sizeof in;
    }
    struct linux_sockaddr_in6 in = {.family = LINUX_AF_INET6, .scope = endpoint->scope};
    memcpy(in.port, port, sizeof port);
    memcpy(in.address, endpoint->ip.bytes, sizeof in.address);
    memcpy(name, &in, sizeof in);
    return sizeof in;
}
