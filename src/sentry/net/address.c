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

/* ---- text ----------------------------------------------------------------------------------- */

/* Four numbers up to 255 without leading zeros, and the end. */
static bool parse_v4(const char *text, u8 out[4])
{
    for (u32 i = 0; i < 4; i++) {
        u32 value = 0, digits = 0;
        for (; *text >= '0' && *text <= '9' && digits < 4; text++, digits++)
            value = value * 10 + (u32)(*text - '0');
        if (digits == 0 || digits > 3 || value > 255 || (digits > 1 && text[-(i32)digits] == '0'))
            return false;
        out[i] = (u8)value;
        if (*text++ != (i < 3 ? '.' : 0))
            return false;
    }
    return true;
}

static i32 hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Groups until the end; *GAP: where "::" stood, 16 if nowhere. The bytes that there were, or -1. */
static i32 parse_groups(const char *at, u8 out[16], u32 *gap)
{
    u32 used = 0;
    *gap = 16;
    if (at[0] == ':' && at[1] == ':') {
        *gap = 0;
        at += 2;
    }
    while (*at) {
        const char *start = at;
        u32 value = 0;
        for (; hex_digit(*at) >= 0 && at - start < 5; at++)
            value = value << 4 | (u32)hex_digit(*at);
        if (*at == '.' && used <= 12)
            return parse_v4(start, out + used) ? (i32)used + 4 : -1;
        if (at == start || at - start > 4 || used > 14)
            return -1;
        out[used++] = (u8)(value >> 8);
        out[used++] = (u8)value;
        if (at[0] == ':' && at[1] == ':' && *gap == 16) {
            *gap = used;
            at += 2;
        } else if (at[0] == ':' && at[1] && at[1] != ':') {
            at++;
        } else if (*at) {
            return -1;
        }
    }
    return (i32)used;
}

bool ip_parse(const char *text, struct ip *out)
{
    u8 bytes[16] = {0};
    u32 gap;
    if (parse_v4(text, bytes)) {
        *out = ip_from_v4(bytes);
        return true;
    }
    i32 used = parse_groups(text, bytes, &gap);
    if (used < 0 || (used == 16) != (gap == 16))
        return false;
    *out = ip_any6;
    u32 head = MIN(gap, (u32)used), tail = (u32)used - head;
    memcpy(out->bytes, bytes, head);
    memcpy(out->bytes + 16 - tail, bytes + head, tail);
    return true;
}

i32 ip_mask_prefix(const u8 *mask, u32 size)
{
    i32 prefix = 0;
    for (u32 bit = 0; bit < 8 * size; bit++) {
        bool is_set = mask[bit / 8] & 0x80u >> bit % 8;
        if (is_set && prefix != (i32)bit)
            return -1;
        prefix += is_set;
    }
    return prefix;
}

/* ---- names of sockets ----------------------------------------------------------------------- */

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
