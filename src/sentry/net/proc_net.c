/* SPDX-License-Identifier: Apache-2.0 */
/* proc(5), /proc/PID/net: tables of sockets and of the namespace's objects. Counters that packets
 * would move are zero. */
#include <errno.h>
#include <stdio.h>

#include "sentry/net/netlink.h"
#include "sentry/net/tcp.h"
#include "sentry/net/udp.h"
#include "sentry/net/unix.h"

#define SNMP_TCP_HEAD                                                                            \
    "Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets " \
    "CurrEstab InSegs OutSegs RetransSegs InErrs OutRsts InCsumErrors\n"                         \
    "Tcp: 1 200 120000 -1 0 0 0 0 0 0 0 0 0 0 0\n"
#define SNMP_TEXT                                                                                \
    "Ip: Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams "               \
    "InUnknownProtos InDiscards InDelivers OutRequests OutDiscards OutNoRoutes ReasmTimeout "    \
    "ReasmReqds ReasmOKs ReasmFails FragOKs FragFails FragCreates\n"                             \
    "Ip: 2 64 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"                                               \
    "Icmp: InMsgs InErrors InCsumErrors InDestUnreachs InTimeExcds InParmProbs InSrcQuenchs "    \
    "InRedirects InEchos InEchoReps InTimestamps InTimestampReps InAddrMasks InAddrMaskReps "    \
    "OutMsgs OutErrors OutDestUnreachs OutTimeExcds OutParmProbs OutSrcQuenchs OutRedirects "    \
    "OutEchos OutEchoReps OutTimestamps OutTimestampReps OutAddrMasks OutAddrMaskReps\n"         \
    "Icmp: 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n" SNMP_TCP_HEAD                \
    "Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors "     \
    "IgnoredMulti MemErrors\n"                                                                   \
    "Udp: 0 0 0 0 0 0 0 0 0\n"                                                                   \
    "UdpLite: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors " \
    "IgnoredMulti MemErrors\n"                                                                   \
    "UdpLite: 0 0 0 0 0 0 0 0 0\n"

/* ---- addresses as the kernel prints them: words of the machine ------------------------------ */

static void words(const struct ip *ip, bool is_v6, char text[40])
{
    u32 word[4];
    memcpy(word, ip->bytes, sizeof word);
    if (is_v6)
        snprintf(text, 40, "%08X%08X%08X%08X", word[0], word[1], word[2], word[3]);
    else
        snprintf(text, 40, "%08X", word[3]);
}

static void name_words(const struct endpoint *endpoint, bool is_v6, char text[48])
{
    char ip[40];
    words(&endpoint->ip, is_v6, ip);
    snprintf(text, 48, "%s:%04X", ip, endpoint->port);
}

/* ---- internet sockets ----------------------------------------------------------------------- */

struct row {
    u32 index, state;
    u64 sending, received;
};

static int put_row(struct buf *out, const struct inet_socket *socket, const struct row *row,
                   int index_width, const char *end)
{
    bool is_v6 = socket->base.domain == LINUX_AF_INET6;
    char local[48], remote[48];
    name_words(&socket->local, is_v6, local);
    struct endpoint none = {.ip = ip_any6};
    name_words(socket->has_remote ? &socket->remote : &none, is_v6, remote);
    return buf_printf(out, "%*u: %s %s %02X %08X:%08X 00:00000000 00000000 %5u        0 %llu %s\n",
                      index_width, row->index, local, remote, row->state, (u32)row->sending,
                      (u32)row->received, socket->uid, (unsigned long long)socket->base.ino, end);
}

static int show_tcp(struct net_ns *ns, i32 domain, struct buf *out)
{
    int err = buf_append_text(
        out, domain == LINUX_AF_INET ? "  sl  local_address rem_address   st tx_queue rx_queue tr "
                                       "tm->when retrnsmt   uid  timeout inode\n"
                                     : "  sl  local_address                         remote_address"
                                       "                        st tx_queue rx_queue tr tm->when "
                                       "retrnsmt   uid  timeout inode\n");
    struct row row = {0};
    const struct inet_socket *inet;
    list_for_each (inet, &ns->bound, bound_link) {
        if (err)
            break;
        if (inet->base.protocol != LINUX_IPPROTO_TCP || inet->base.domain != domain)
            continue;
        const struct tcp_socket *socket = container_of(inet, struct tcp_socket, inet);
        if (socket->state == LINUX_TCP_CLOSE)
            continue;
        bool listens = socket->state == LINUX_TCP_LISTEN;
        row.state = socket->state;
        row.received = listens ? socket->pending_count : socket->queue.size;
        err = put_row(out, inet, &row, 4, "1 0000000000000000 100 0 0 10 0");
        row.index++;
    }
    return err;
}

static int show_udp(struct net_ns *ns, i32 domain, struct buf *out)
{
    int err = buf_append_text(
        out, domain == LINUX_AF_INET ? "   sl  local_address rem_address   st tx_queue rx_queue "
                                       "tr tm->when retrnsmt   uid  timeout inode ref pointer "
                                       "drops             \n"
                                     : "  sl  local_address                         remote_address"
                                       "                        st tx_queue rx_queue tr tm->when "
                                       "retrnsmt   uid  timeout inode ref pointer drops\n");
    struct row row = {0};
    const struct inet_socket *inet;
    list_for_each (inet, &ns->bound, bound_link) {
        if (err)
            break;
        if (inet->base.protocol != LINUX_IPPROTO_UDP || inet->base.domain != domain)
            continue;
        const struct udp_socket *socket = container_of(inet, struct udp_socket, inet);
        char end[64];
        snprintf(end, sizeof end, "2 0000000000000000 %llu", (unsigned long long)socket->drops);
        row.state = inet->has_remote ? LINUX_TCP_ESTABLISHED : LINUX_TCP_CLOSE;
        row.received = socket->queue.weight;
        err = put_row(out, inet, &row, 5, end);
        row.index++;
    }
    return err;
}

/* ---- unix and netlink sockets --------------------------------------------------------------- */

static int put_unix(struct buf *out, const struct unix_socket *socket)
{
    bool listens = socket->state == UNIX_LISTENING;
    int err = buf_printf(out, "%016x: %08X %08X %08X %04X %02X %5llu", 0, socket->base.object.refs,
                         0, listens ? 0x10000 : 0, socket->base.type,
                         socket->state == UNIX_CONNECTED ? 3 : 1,
                         (unsigned long long)socket->base.ino);
    u32 size = socket->name_size;
    if (!err && size > 2) {
        bool is_abstract = socket->name[2] == 0;
        err = buf_append_text(out, is_abstract ? " @" : " ");
        for (u32 i = is_abstract ? 3 : 2; i < size && !err; i++) {
            u8 byte = socket->name[i];
            if (byte == 0 && !is_abstract)
                break;
            err = buf_append(out, byte ? (const char *)&byte : "@", 1);
        }
    }
    return err ? err : buf_append(out, "\n", 1);
}

/* Those of NS, in the order they were made. */
static int show_unix(struct net_ns *ns, struct buf *out)
{
    int err = buf_append_text(out, "Num       RefCount Protocol Flags    Type St Inode Path\n");
    const struct object *object;
    list_for_each (object, &ns->kernel->arena->objects, link) {
        const struct unix_socket *socket = container_of(object, struct unix_socket, base.object);
        if (err)
            break;
        if (object->kind == &unix_socket_kind && socket->ns == ns)
            err = put_unix(out, socket);
    }
    return err;
}

static int show_netlink(struct net_ns *ns, struct buf *out)
{
    int err = buf_append_text(out,
                              "sk               Eth Pid        Groups   Rmem     Wmem     Dump "
                              " Locks    Drops    Inode\n");
    const struct netlink_socket *socket;
    list_for_each (socket, &ns->netlinks, ns_link) {
        if (err)
            break;
        err = buf_printf(
            out, "%016x %-3d %-10u %08x %-8llu 0        0     2        0        %llu\n", 0,
            socket->base.protocol, socket->pid, socket->groups,
            (unsigned long long)socket->queue.weight, (unsigned long long)socket->base.ino);
    }
    return err;
}

/* ---- objects of the namespace --------------------------------------------------------------- */

static int show_dev(struct net_ns *ns, struct buf *out)
{
    int err = buf_append_text(
        out, "Inter-|   Receive                                                |  Transmit\n"
             " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets "
             "errs drop fifo colls carrier compressed\n");
    const struct net_link *link;
    list_for_each (link, &ns->links, link) {
        if (err)
            break;
        err = buf_printf(
            out,
            "%6s: %7llu %7llu    0    0    0     0          0         0 %8llu %7llu    "
            "0    0    0     0       0          0\n",
            link->name, (unsigned long long)link->bytes, (unsigned long long)link->packets,
            (unsigned long long)link->bytes, (unsigned long long)link->packets);
    }
    return err;
}

static const char *link_name(struct net_ns *ns, u32 index)
{
    const struct net_link *link = net_link_find(ns, index);
    return link ? link->name : "*";
}

static int show_route(struct net_ns *ns, struct buf *out)
{
    int err = buf_append_text(out, "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask"
                                   "\t\tMTU\tWindow\tIRTT                                        "
                                   "               \n");
    const struct net_route *route;
    list_for_each (route, &ns->routes, link) {
        if (err)
            break;
        if (!ip_is_v4(&route->to))
            continue;
        bool has_gateway = ip_is_v4(&route->gateway);
        char to[40], gateway[40];
        u8 mask[4] = {0};
        for (u32 bit = 0; bit < route->prefix && bit < 32; bit++)
            mask[bit / 8] |= (u8)(0x80u >> bit % 8);
        u32 mask_word;
        memcpy(&mask_word, mask, sizeof mask_word);
        words(&route->to, false, to);
        words(has_gateway ? &route->gateway : &ip_any6, false, gateway);
        err = buf_printf(out, "%s\t%s\t%s\t%04X\t0\t0\t%u\t%08X\t0\t0\t0\n",
                         link_name(ns, route->link_index), to, gateway,
                         1u | (has_gateway ? 2u : 0) | (route->prefix == 32 ? 4u : 0),
                         route->metric, mask_word);
    }
    return err;
}

static int put_hex(struct buf *out, const struct ip *ip)
{
    int err = 0;
    for (u32 i = 0; i < sizeof ip->bytes && !err; i++)
        err = buf_printf(out, "%02x", ip->bytes[i]);
    return err;
}

static int show_if_inet6(struct net_ns *ns, struct buf *out)
{
    int err = 0;
    const struct net_address *address;
    list_for_each (address, &ns->addresses, link) {
        if (ip_is_v4(&address->ip))
            continue;
        err = put_hex(out, &address->ip);
        if (!err)
            err = buf_printf(out, " %02x %02x %02x %02x %8s\n", address->link_index,
                             address->prefix,
                             address->scope == LINUX_RT_SCOPE_HOST   ? 0x10
                             : address->scope == LINUX_RT_SCOPE_LINK ? 0x20
                                                                     : 0,
                             address->flags, link_name(ns, address->link_index));
        if (err)
            break;
    }
    return err;
}

static int show_ipv6_route(struct net_ns *ns, struct buf *out)
{
    int err = 0;
    const struct net_route *route;
    list_for_each (route, &ns->routes, link) {
        if (ip_is_v4(&route->to))
            continue;
        err = put_hex(out, &route->to);
        if (!err)
            err = buf_printf(out, " %02x %032d 00 ", route->prefix, 0);
        if (!err)
            err = put_hex(out, &route->gateway);
        if (!err)
            err = buf_printf(out, " %08x 00000001 00000000 %08x %8s\n", route->metric,
                             ip_equal(&route->gateway, &ip_any6) ? 1u : 3u,
                             link_name(ns, route->link_index));
        if (err)
            break;
    }
    return err;
}

static int show_arp(struct net_ns *ns, struct buf *out)
{
    int err = buf_append_text(out, "IP address       HW type     Flags       HW address            "
                                   "Mask     Device\n");
    const struct net_neighbour *neighbour;
    list_for_each (neighbour, &ns->neighbours, link) {
        if (err)
            break;
        const u8 *ip = neighbour->ip.bytes + IP4_AT, *hardware = neighbour->hardware;
        char text[16];
        if (!ip_is_v4(&neighbour->ip))
            continue;
        snprintf(text, sizeof text, "%u.%u.%u.%u", ip[0], ip[1], ip[2], ip[3]);
        err = buf_printf(out,
                         "%-16s 0x1         0x%x         %02x:%02x:%02x:%02x:%02x:%02x     *      "
                         "  %s\n",
                         text, neighbour->state == LINUX_NUD_PERMANENT ? 6u : 2u, hardware[0],
                         hardware[1], hardware[2], hardware[3], hardware[4], hardware[5],
                         link_name(ns, neighbour->link_index));
    }
    return err;
}

static int show_sockstat(struct net_ns *ns, i32 domain, struct buf *out)
{
    u32 tcp = 0, udp = 0;
    const struct inet_socket *socket;
    list_for_each (socket, &ns->bound, bound_link) {
        tcp += socket->base.domain == domain && socket->base.protocol == LINUX_IPPROTO_TCP;
        udp += socket->base.domain == domain && socket->base.protocol == LINUX_IPPROTO_UDP;
    }
    if (domain == LINUX_AF_INET6)
        return buf_printf(
            out,
            "TCP6: inuse %u\nUDP6: inuse %u\nUDPLITE6: inuse 0\nRAW6: inuse 0\nFRAG6: "
            "inuse 0 memory 0\n",
            tcp, udp);
    return buf_printf(out,
                      "sockets: used %u\nTCP: inuse %u orphan 0 tw 0 alloc %u mem 0\nUDP: inuse %u "
                      "mem 0\nUDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 0 memory 0\n",
                      tcp + udp, tcp, tcp, udp);
}

/* ---- by name -------------------------------------------------------------------------------- */

static const struct {
    const char *name, *text;
} fixed[] = {
    {"igmp", "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n"},
    {"netstat", "TcpExt: SyncookiesSent\nTcpExt: 0\nIpExt: InNoRoutes\nIpExt: 0\n"},
    {"packet", "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n"},
    {"protocols",
     "protocol  size sockets  memory press maxhdr  slab module     cl co di ac io in de "
     "sh ss gs se re sp bi br ha uh gp em\n"},
    {"raw", "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  "
            "timeout inode ref pointer drops\n"},
    {"raw6", "  sl  local_address                         remote_address                        st "
             "tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n"},
    {"snmp", SNMP_TEXT},
};

int net_proc_show(const struct task *task, const char *name, struct buf *out)
{
    struct net_ns *ns = net_ns_of(task);
    static const struct {
        const char *name;
        int (*show)(struct net_ns *ns, struct buf *out);
    } shows[] = {{"arp", show_arp},           {"dev", show_dev},
                 {"if_inet6", show_if_inet6}, {"ipv6_route", show_ipv6_route},
                 {"netlink", show_netlink},   {"route", show_route},
                 {"unix", show_unix}};
    static const struct {
        const char *name;
        i32 domain;
        int (*show)(struct net_ns *ns, i32 domain, struct buf *out);
    } families[] = {
        {"tcp", LINUX_AF_INET, show_tcp},           {"tcp6", LINUX_AF_INET6, show_tcp},
        {"udp", LINUX_AF_INET, show_udp},           {"udp6", LINUX_AF_INET6, show_udp},
        {"sockstat", LINUX_AF_INET, show_sockstat}, {"sockstat6", LINUX_AF_INET6, show_sockstat}};
    for (size_t i = 0; i < ARRAY_COUNT(fixed); i++)
        if (strcmp(fixed[i].name, name) == 0)
            return buf_append_text(out, fixed[i].text);
    for (size_t i = 0; i < ARRAY_COUNT(shows); i++)
        if (strcmp(shows[i].name, name) == 0)
            return shows[i].show(ns, out);
    for (size_t i = 0; i < ARRAY_COUNT(families); i++)
        if (strcmp(families[i].name, name) == 0)
            return families[i].show(ns, families[i].domain, out);
    return -ENOENT;
}
