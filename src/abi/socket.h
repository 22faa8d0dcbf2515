/* SPDX-License-Identifier: Apache-2.0 */
/* socket(2), unix(7) numbers and layouts of x86-64 Linux. */
#pragma once
#include "base/base.h"
#define LINUX_AF_UNSPEC 0
#define LINUX_AF_UNIX 1
#define LINUX_AF_INET 2
#define LINUX_AF_INET6 10
#define LINUX_AF_NETLINK 16
#define LINUX_SOCK_STREAM 1
#define LINUX_SOCK_DGRAM 2
#define LINUX_SOCK_RAW 3
#define LINUX_SOCK_SEQPACKET 5
#define LINUX_SOCK_TYPE_MASK 0xfu
#define LINUX_SOL_SOCKET 1
#define LINUX_SO_DEBUG 1
#define LINUX_SO_REUSEADDR 2
#define LINUX_SO_TYPE 3
#define LINUX_SO_ERROR 4
#define LINUX_SO_DONTROUTE 5
#define LINUX_SO_BROADCAST 6
#define LINUX_SO_SNDBUF 7
#define LINUX_SO_RCVBUF 8
#define LINUX_SO_KEEPALIVE 9
#define LINUX_SO_OOBINLINE 10
#define LINUX_SO_PRIORITY 12
#define LINUX_SO_LINGER 13
#define LINUX_SO_REUSEPORT 15
#define LINUX_SO_PASSCRED 16
#define LINUX_SO_PEERCRED 17
#define LINUX_SO_NO_CHECK 11
#define LINUX_SO_RCVLOWAT 18
#define LINUX_SO_SNDLOWAT 19
#define LINUX_SO_RCVTIMEO 20
#define LINUX_SO_SNDTIMEO 21
#define LINUX_SO_BINDTODEVICE 25
#define LINUX_SO_TIMESTAMP 29
#define LINUX_SO_ACCEPTCONN 30
#define LINUX_SO_SNDBUFFORCE 32
#define LINUX_SO_RCVBUFFORCE 33
#define LINUX_SO_MARK 36
#define LINUX_SO_PROTOCOL 38
#define LINUX_SO_DOMAIN 39
#define LINUX_SO_LAST 82 /* the highest that Linux 6.6 knows */
#define LINUX_SCM_RIGHTS 1
#define LINUX_SCM_CREDENTIALS 2
#define LINUX_MSG_OOB 1u
#define LINUX_MSG_PEEK 2u
#define LINUX_MSG_DONTROUTE 4u
#define LINUX_MSG_CTRUNC 8u
#define LINUX_MSG_TRUNC 0x20u
#define LINUX_MSG_DONTWAIT 0x40u
#define LINUX_MSG_EOR 0x80u
#define LINUX_MSG_WAITALL 0x100u
#define LINUX_MSG_ERRQUEUE 0x2000u
#define LINUX_MSG_NOSIGNAL 0x4000u
#define LINUX_MSG_MORE 0x8000u
#define LINUX_MSG_WAITFORONE 0x10000u
#define LINUX_MSG_CMSG_CLOEXEC 0x40000000u
#define LINUX_SHUT_RD 0
#define LINUX_SHUT_WR 1
#define LINUX_SHUT_RDWR 2
#define LINUX_SOMAXCONN 4096u
#define SOCKADDR_SIZE_MAX 128u
#define SCM_FDS_MAX 253u

struct linux_sockaddr_un {
    u16 family;
    char path[108];
};
struct linux_msghdr {
    u64 name;
    u32 name_size, pad0;
    u64 iov, iov_count;
    u64 control, control_size;
    i32 flags;
    i32 pad1;
};
_Static_assert(sizeof(struct linux_msghdr) == 56, "struct msghdr");
struct linux_mmsghdr {
    struct linux_msghdr message;
    u32 size, pad;
};
struct linux_cmsghdr {
    u64 size;
    i32 level, type;
};
struct linux_ucred {
    i32 pid;
    u32 uid, gid;
};
