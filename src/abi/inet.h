/* SPDX-License-Identifier: Apache-2.0 */
/* ip(7), ipv6(7), tcp(7), udp(7), netdevice(7): numbers and layouts of x86-64 Linux. */
#pragma once
#include "base/base.h"

#define LINUX_IPPROTO_IP 0
#define LINUX_IPPROTO_ICMP 1
#define LINUX_IPPROTO_TCP 6
#define LINUX_IPPROTO_UDP 17
#define LINUX_IPPROTO_IPV6 41
#define LINUX_IPPROTO_ICMPV6 58
#define LINUX_IPPROTO_MAX 256 /* IPPROTO_RAW + 1; MPTCP aside */

/* SOL_IP */
#define LINUX_IP_TOS 1
#define LINUX_IP_TTL 2
#define LINUX_IP_HDRINCL 3
#define LINUX_IP_OPTIONS 4
#define LINUX_IP_RECVOPTS 6
#define LINUX_IP_RETOPTS 7
#define LINUX_IP_PKTINFO 8
#define LINUX_IP_MTU_DISCOVER 10
#define LINUX_IP_RECVERR 11
#define LINUX_IP_RECVTTL 12
#define LINUX_IP_RECVTOS 13
#define LINUX_IP_MTU 14
#define LINUX_IP_FREEBIND 15
#define LINUX_IP_TRANSPARENT 19
#define LINUX_IP_RECVORIGDSTADDR 20
#define LINUX_IP_MINTTL 21
#define LINUX_IP_BIND_ADDRESS_NO_PORT 24
#define LINUX_IP_MULTICAST_IF 32
#define LINUX_IP_MULTICAST_TTL 33
#define LINUX_IP_MULTICAST_LOOP 34
#define LINUX_IP_ADD_MEMBERSHIP 35
#define LINUX_IP_DROP_MEMBERSHIP 36
#define LINUX_MCAST_JOIN_GROUP 42
#define LINUX_MCAST_LEAVE_GROUP 45
#define LINUX_IP_MULTICAST_ALL 49
#define LINUX_IP_UNICAST_IF 50

/* SOL_IPV6 */
#define LINUX_IPV6_UNICAST_HOPS 16
#define LINUX_IPV6_MULTICAST_IF 17
#define LINUX_IPV6_MULTICAST_HOPS 18
#define LINUX_IPV6_MULTICAST_LOOP 19
#define LINUX_IPV6_ADD_MEMBERSHIP 20
#define LINUX_IPV6_DROP_MEMBERSHIP 21
#define LINUX_IPV6_MTU_DISCOVER 23
#define LINUX_IPV6_MTU 24
#define LINUX_IPV6_RECVERR 25
#define LINUX_IPV6_V6ONLY 26
#define LINUX_IPV6_RECVPKTINFO 49
#define LINUX_IPV6_PKTINFO 50
#define LINUX_IPV6_RECVHOPLIMIT 51
#define LINUX_IPV6_HOPLIMIT 52
#define LINUX_IPV6_RECVTCLASS 66
#define LINUX_IPV6_TCLASS 67
#define LINUX_IPV6_RECVORIGDSTADDR 74

/* SOL_TCP */
#define LINUX_TCP_NODELAY 1
#define LINUX_TCP_MAXSEG 2
#define LINUX_TCP_CORK 3
#define LINUX_TCP_KEEPIDLE 4
#define LINUX_TCP_KEEPINTVL 5
#define LINUX_TCP_KEEPCNT 6
#define LINUX_TCP_SYNCNT 7
#define LINUX_TCP_LINGER2 8
#define LINUX_TCP_DEFER_ACCEPT 9
#define LINUX_TCP_WINDOW_CLAMP 10
#define LINUX_TCP_INFO 11
#define LINUX_TCP_QUICKACK 12
#define LINUX_TCP_CONGESTION 13
#define LINUX_TCP_USER_TIMEOUT 18
#define LINUX_TCP_INQ 36
#define LINUX_TCP_CM_INQ LINUX_TCP_INQ

/* States, as TCP_INFO and /proc/net/tcp show them. */
#define LINUX_TCP_ESTABLISHED 1u
#define LINUX_TCP_SYN_SENT 2u
#define LINUX_TCP_FIN_WAIT2 5u
#define LINUX_TCP_CLOSE 7u
#define LINUX_TCP_CLOSE_WAIT 8u
#define LINUX_TCP_LISTEN 10u

struct linux_sockaddr_in {
    u16 family;
    u8 port[2]; /* big endian */
    u8 address[4];
    u8 zero[8];
};
_Static_assert(sizeof(struct linux_sockaddr_in) == 16, "struct sockaddr_in");
struct linux_sockaddr_in6 {
    u16 family;
    u8 port[2]; /* big endian */
    u8 flow[4];
    u8 address[16];
    u32 scope;
};
_Static_assert(sizeof(struct linux_sockaddr_in6) == 28, "struct sockaddr_in6");
#define LINUX_SOCKADDR_IN6_SIZE_MIN 24u /* without the scope: RFC 2133 */

/* What IP_RECVERR's control message begins with; the offender's address follows. */
struct linux_sock_extended_err {
    u32 errno_;
    u8 origin, type, code, pad;
    u32 info, data;
};
_Static_assert(sizeof(struct linux_sock_extended_err) == 16, "ABI");

struct linux_in_pktinfo {
    i32 ifindex;
    u8 spec_dst[4];
    u8 address[4];
};
struct linux_in6_pktinfo {
    u8 address[16];
    u32 ifindex;
};
struct linux_ip_mreqn {
    u8 group[4];
    u8 address[4];
    i32 ifindex;
};
struct linux_ipv6_mreq {
    u8 group[16];
    i32 ifindex;
};

struct linux_tcp_info {
    u8 state, ca_state, retransmits, probes, backoff, options, wscale, delivery_rate_app_limited;
    u32 rto, ato, snd_mss, rcv_mss;
    u32 unacked, sacked, lost, retrans, fackets;
    u32 last_data_sent, last_ack_sent, last_data_recv, last_ack_recv;
    u32 pmtu, rcv_ssthresh, rtt, rttvar, snd_ssthresh, snd_cwnd, advmss, reordering;
    u32 rcv_rtt, rcv_space, total_retrans;
    u64 pacing_rate, max_pacing_rate, bytes_acked, bytes_received;
    u32 segs_out, segs_in, notsent_bytes, min_rtt, data_segs_in, data_segs_out;
    u64 delivery_rate, busy_time, rwnd_limited, sndbuf_limited;
    u32 delivered, delivered_ce;
    u64 bytes_sent, bytes_retrans;
    u32 dsack_dups, reord_seen, rcv_ooopack, snd_wnd;
};
_Static_assert(sizeof(struct linux_tcp_info) == 232, "struct tcp_info");

/* ioctls, netdevice(7) */
#define LINUX_SIOCINQ 0x541bu
#define LINUX_SIOCOUTQ 0x5411u
#define LINUX_SIOCATMARK 0x8905u
#define LINUX_SIOCGSTAMP 0x8906u
#define LINUX_SIOCADDRT 0x890bu
#define LINUX_SIOCDELRT 0x890cu
#define LINUX_SIOCGIFNAME 0x8910u
#define LINUX_SIOCGIFCONF 0x8912u
#define LINUX_SIOCGIFFLAGS 0x8913u
#define LINUX_SIOCSIFFLAGS 0x8914u
#define LINUX_SIOCGIFADDR 0x8915u
#define LINUX_SIOCSIFADDR 0x8916u
#define LINUX_SIOCGIFDSTADDR 0x8917u
#define LINUX_SIOCGIFBRDADDR 0x8919u
#define LINUX_SIOCGIFNETMASK 0x891bu
#define LINUX_SIOCSIFNETMASK 0x891cu
#define LINUX_SIOCGIFMETRIC 0x891du
#define LINUX_SIOCGIFMTU 0x8921u
#define LINUX_SIOCSIFMTU 0x8922u
#define LINUX_SIOCGIFHWADDR 0x8927u
#define LINUX_SIOCGIFINDEX 0x8933u
#define LINUX_SIOCGIFTXQLEN 0x8942u
#define LINUX_SIOCETHTOOL 0x8946u
#define LINUX_SIOCGIFMAP 0x8970u

#define LINUX_IFNAMSIZ 16u
struct linux_ifreq {
    char name[LINUX_IFNAMSIZ];
    union {
        u8 bytes[24];
        i32 number;
        i16 flags;
        struct linux_sockaddr_in address;
    };
};
_Static_assert(sizeof(struct linux_ifreq) == 40, "struct ifreq");
struct linux_ifconf {
    i32 size;
    i32 pad;
    u64 buffer;
};

#define LINUX_IFF_UP 0x1u
#define LINUX_IFF_BROADCAST 0x2u
#define LINUX_IFF_LOOPBACK 0x8u
#define LINUX_IFF_RUNNING 0x40u
#define LINUX_IFF_NOARP 0x80u
#define LINUX_IFF_PROMISC 0x100u
#define LINUX_IFF_ALLMULTI 0x200u
#define LINUX_IFF_MULTICAST 0x1000u
#define LINUX_IFF_LOWER_UP 0x10000u
#define LINUX_ARPHRD_ETHER 1u
#define LINUX_ARPHRD_LOOPBACK 772u
