/* SPDX-License-Identifier: Apache-2.0 */
/* netlink(7), rtnetlink(7): numbers and layouts of Linux. */
#pragma once
#include "base/base.h"

#define LINUX_NETLINK_ROUTE 0
#define LINUX_NETLINK_KOBJECT_UEVENT 15
#define LINUX_SOL_NETLINK 270
#define LINUX_NETLINK_ADD_MEMBERSHIP 1
#define LINUX_NETLINK_DROP_MEMBERSHIP 2
#define LINUX_NETLINK_PKTINFO 3
#define LINUX_NETLINK_BROADCAST_ERROR 4
#define LINUX_NETLINK_NO_ENOBUFS 5
#define LINUX_NETLINK_LISTEN_ALL_NSID 8
#define LINUX_NETLINK_CAP_ACK 10
#define LINUX_NETLINK_EXT_ACK 11
#define LINUX_NETLINK_GET_STRICT_CHK 12

struct linux_sockaddr_nl {
    u16 family;
    u16 pad;
    u32 pid;
    u32 groups;
};

struct linux_nlmsghdr {
    u32 size;
    u16 type;
    u16 flags;
    u32 seq;
    u32 pid;
};
_Static_assert(sizeof(struct linux_nlmsghdr) == 16, "struct nlmsghdr");
#define LINUX_NLM_F_REQUEST 0x1u
#define LINUX_NLM_F_MULTI 0x2u
#define LINUX_NLM_F_ACK 0x4u
#define LINUX_NLM_F_DUMP 0x300u
#define LINUX_NLM_F_REPLACE 0x100u
#define LINUX_NLM_F_EXCL 0x200u
#define LINUX_NLM_F_CREATE 0x400u
#define LINUX_NLM_F_CAPPED 0x100u
#define LINUX_NLMSG_NOOP 1u
#define LINUX_NLMSG_ERROR 2u
#define LINUX_NLMSG_DONE 3u
#define LINUX_NLMSG_MIN_TYPE 0x10u

struct linux_nlattr {
    u16 size;
    u16 type;
};
#define LINUX_NLA_TYPE_MASK 0x3fffu

#define LINUX_RTM_NEWLINK 16u
#define LINUX_RTM_DELLINK 17u
#define LINUX_RTM_GETLINK 18u
#define LINUX_RTM_SETLINK 19u
#define LINUX_RTM_NEWADDR 20u
#define LINUX_RTM_DELADDR 21u
#define LINUX_RTM_GETADDR 22u
#define LINUX_RTM_NEWROUTE 24u
#define LINUX_RTM_DELROUTE 25u
#define LINUX_RTM_GETROUTE 26u
#define LINUX_RTM_NEWNEIGH 28u
#define LINUX_RTM_DELNEIGH 29u
#define LINUX_RTM_GETNEIGH 30u
#define LINUX_RTNLGRP_LINK 1u
#define LINUX_RTNLGRP_IPV4_IFADDR 5u
#define LINUX_RTNLGRP_IPV6_IFADDR 9u

struct linux_ifinfomsg {
    u8 family, pad;
    u16 type;
    i32 index;
    u32 flags, change;
};
_Static_assert(sizeof(struct linux_ifinfomsg) == 16, "struct ifinfomsg");
#define LINUX_IFLA_ADDRESS 1u
#define LINUX_IFLA_BROADCAST 2u
#define LINUX_IFLA_IFNAME 3u
#define LINUX_IFLA_MTU 4u
#define LINUX_IFLA_QDISC 6u
#define LINUX_IFLA_MASTER 10u
#define LINUX_IFLA_TXQLEN 13u
#define LINUX_IFLA_OPERSTATE 16u
#define LINUX_IFLA_LINKMODE 17u
#define LINUX_IFLA_LINKINFO 18u
#define LINUX_IFLA_NET_NS_PID 19u
#define LINUX_IFLA_STATS64 23u
#define LINUX_IFLA_NET_NS_FD 28u
#define LINUX_IFLA_INFO_KIND 1u
#define LINUX_OPERSTATE_UNKNOWN 0u
#define LINUX_OPERSTATE_DOWN 2u

struct linux_ifaddrmsg {
    u8 family, prefix, flags, scope;
    u32 index;
};
_Static_assert(sizeof(struct linux_ifaddrmsg) == 8, "struct ifaddrmsg");
#define LINUX_IFA_ADDRESS 1u
#define LINUX_IFA_LOCAL 2u
#define LINUX_IFA_LABEL 3u
#define LINUX_IFA_BROADCAST 4u
#define LINUX_IFA_CACHEINFO 6u
#define LINUX_IFA_FLAGS 8u
#define LINUX_IFA_F_PERMANENT 0x80u

struct linux_rtmsg {
    u8 family, to_size, from_size, tos, table, protocol, scope, type;
    u32 flags;
};
_Static_assert(sizeof(struct linux_rtmsg) == 12, "struct rtmsg");
#define LINUX_RTA_DST 1u
#define LINUX_RTA_OIF 4u
#define LINUX_RTA_GATEWAY 5u
#define LINUX_RTA_PRIORITY 6u
#define LINUX_RTA_PREFSRC 7u
#define LINUX_RTA_TABLE 15u
#define LINUX_RTN_UNICAST 1u
#define LINUX_RTN_LOCAL 2u
#define LINUX_RTN_BROADCAST 3u
#define LINUX_RT_TABLE_MAIN 254u
#define LINUX_RT_TABLE_LOCAL 255u
#define LINUX_RTPROT_KERNEL 2u
#define LINUX_RTPROT_BOOT 3u
#define LINUX_RT_SCOPE_UNIVERSE 0u
#define LINUX_RT_SCOPE_LINK 253u
#define LINUX_RT_SCOPE_HOST 254u

struct linux_ndmsg {
    u8 family, pad0;
    u16 pad1;
    i32 index;
    u16 state;
    u8 flags, type;
};
_Static_assert(sizeof(struct linux_ndmsg) == 12, "struct ndmsg");
#define LINUX_NDA_DST 1u
#define LINUX_NDA_LLADDR 2u
#define LINUX_NUD_REACHABLE 2u
#define LINUX_NUD_PERMANENT 0x80u
