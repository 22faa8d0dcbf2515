/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams' control messages that are sent along, and the error queue (ip(7), ipv6(7)). */
#include "tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define SET(fd_, level_, name_, value_) \
    MUST(setsockopt(fd_, level_, name_, &(int){value_}, sizeof(int)))

/* A datagram socket on the loopback of its family, with its name. */
static int bound(int family, struct sockaddr_storage *name, socklen_t *size)
{
    int fd = (int)MUST(socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    memset(name, 0, sizeof *name);
    if (family == AF_INET) {
        struct sockaddr_in *in = (struct sockaddr_in *)name;
        in->sin_family = AF_INET;
        in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        *size = sizeof *in;
    } else {
        struct sockaddr_in6 *in = (struct sockaddr_in6 *)name;
        in->sin6_family = AF_INET6;
        in->sin6_addr = in6addr_loopback;
        *size = sizeof *in;
    }
    MUST(bind(fd, (struct sockaddr *)name, *size));
    MUST(getsockname(fd, (struct sockaddr *)name, size));
    return fd;
}

union control {
    char bytes[512];
    struct cmsghdr align;
};

static void add(struct msghdr *message, int level, int type, const void *data, size_t size)
{
    struct cmsghdr *head = (struct cmsghdr *)((char *)message->msg_control + message->msg_controllen);
    head->cmsg_level = level;
    head->cmsg_type = type;
    head->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(head), data, size);
    message->msg_controllen += CMSG_SPACE(size);
}

/* Send one byte from FD to NAME with one control message. */
static long send_with(int fd, struct sockaddr_storage *name, socklen_t name_size, int level, int type,
                      const void *data, size_t size)
{
    union control control = {{0}};
    struct iovec iov = {"x", 1};
    struct msghdr message = {name, name_size, &iov, 1, control.bytes, 0, 0};
    add(&message, level, type, data, size);
    return sendmsg(fd, &message, 0);
}

static long send_int(int fd, struct sockaddr_storage *name, socklen_t size, int level, int type, int value)
{
    return send_with(fd, name, size, level, type, &value, sizeof value);
}

/* Receive a datagram; the first word of the control message LEVEL, TYPE, or -1. */
static int receive_int(int fd, int level, int type)
{
    union control control = {{0}};
    char bytes[16];
    struct iovec iov = {bytes, sizeof bytes};
    struct msghdr message = {NULL, 0, &iov, 1, control.bytes, sizeof control.bytes, 0};
    if (recvmsg(fd, &message, MSG_DONTWAIT) < 0)
        return -2;
    for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
        if (head->cmsg_level != level || head->cmsg_type != type)
            continue;
        int value = 0;
        memcpy(&value, CMSG_DATA(head), head->cmsg_len - CMSG_LEN(0) < 4 ? 1 : 4);
        return value;
    }
    return -1;
}

CASE(ttl_and_tos_of_one_datagram)
{
    struct sockaddr_storage to, from;
    socklen_t size;
    int b = bound(AF_INET, &to, &size), a = bound(AF_INET, &from, &size);
    SET(b, IPPROTO_IP, IP_RECVTTL, 1);
    SET(b, IPPROTO_IP, IP_RECVTOS, 1);
    EXPECT_EQ(send_int(a, &to, size, IPPROTO_IP, IP_TTL, 17), 1);
    EXPECT_EQ(receive_int(b, IPPROTO_IP, IP_TTL), 17);
    EXPECT_EQ(send_int(a, &to, size, IPPROTO_IP, IP_TOS, 0x20), 1);
    EXPECT_EQ(receive_int(b, IPPROTO_IP, IP_TOS), 0x20);
    EXPECT_EQ(send_with(a, &to, size, IPPROTO_IP, IP_TOS, &(unsigned char){0x40}, 1), 1);
    EXPECT_EQ(receive_int(b, IPPROTO_IP, IP_TOS), 0x40);
    EXPECT_EQ(sendto(a, "x", 1, 0, (struct sockaddr *)&to, size), 1); /* the next has the socket's own */
    EXPECT_EQ(receive_int(b, IPPROTO_IP, IP_TTL), 64);
    EXPECT_ERRNO(send_int(a, &to, size, IPPROTO_IP, IP_TTL, 0), EINVAL);
    EXPECT_ERRNO(send_int(a, &to, size, IPPROTO_IP, IP_TTL, 256), EINVAL);
    EXPECT_ERRNO(send_with(a, &to, size, IPPROTO_IP, IP_TTL, "x", 1), EINVAL);
    EXPECT_ERRNO(send_int(a, &to, size, IPPROTO_IP, IP_TOS, 256), EINVAL);
    EXPECT_ERRNO(send_int(a, &to, size, IPPROTO_IP, IP_TOS, -1), EINVAL);
    EXPECT_ERRNO(send_int(a, &to, size, IPPROTO_IP, IP_RECVTTL, 1), EINVAL); /* not to be sent */
    EXPECT_EQ(send_int(a, &to, size, IPPROTO_TCP, 1, 1), 1);                /* another's: not looked at */
    EXPECT_EQ(receive_int(b, IPPROTO_IP, IP_TTL), 64);
    EXPECT_ERRNO(send_int(a, &to, size, SOL_SOCKET, 77, 1), EINVAL);
    close(a);
    close(b);
}

CASE(hops_and_class_of_one_datagram)
{
    struct sockaddr_storage to, from;
    socklen_t size;
    int b = bound(AF_INET6, &to, &size), a = bound(AF_INET6, &from, &size);
    SET(b, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
    SET(b, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
    EXPECT_EQ(send_int(a, &to, size, IPPROTO_IPV6, IPV6_HOPLIMIT, 3), 1);
    EXPECT_EQ(receive_int(b, IPPROTO_IPV6, IPV6_HOPLIMIT), 3);
    EXPECT_EQ(send_int(a, &to, size, IPPROTO_IPV6, IPV6_TCLASS, 0x28), 1);
    EXPECT_EQ(receive_int(b, IPPROTO_IPV6, IPV6_TCLASS), 0x28);
    EXPECT_EQ(send_int(a, &to, size, IPPROTO_IPV6, IPV6_HOPLIMIT, -1), 1); /* the default */
    EXPECT_EQ(receive_int(b, IPPROTO_IPV6, IPV6_HOPLIMIT), 64);
    EXPECT_ERRNO(send_int(a, &to, size, IPPROTO_IPV6, IPV6_HOPLIMIT, 256), EINVAL);
    EXPECT_ERRNO(send_int(a, &to, size, IPPROTO_IPV6, IPV6_HOPLIMIT, -2), EINVAL);
    EXPECT_ERRNO(send_with(a, &to, size, IPPROTO_IPV6, IPV6_HOPLIMIT, "x", 1), EINVAL);
    EXPECT_ERRNO(send_int(a, &to, size, IPPROTO_IPV6, IPV6_TCLASS, 256), EINVAL);
    EXPECT_ERRNO(send_int(a, &to, size, IPPROTO_IPV6, IPV6_RECVTCLASS, 1), EINVAL);
    EXPECT_EQ(send_int(a, &to, size, IPPROTO_IP, IP_TTL, 9), 1); /* another level */
    EXPECT_EQ(receive_int(b, IPPROTO_IPV6, IPV6_HOPLIMIT), 64);
    close(a);
    close(b);
}

CASE(source_of_one_datagram)
{
    struct sockaddr_storage to, from;
    struct sockaddr_in any = {.sin_family = AF_INET};
    socklen_t size, got = sizeof from;
    char byte;
    int b = bound(AF_INET, &to, &size);
    int a = (int)MUST(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    MUST(bind(a, (struct sockaddr *)&any, sizeof any));
    struct in_pktinfo info = {.ipi_spec_dst.s_addr = htonl(0x7f000005)};
    EXPECT_EQ(send_with(a, &to, size, IPPROTO_IP, IP_PKTINFO, &info, sizeof info), 1);
    EXPECT_EQ(recvfrom(b, &byte, 1, MSG_DONTWAIT, (struct sockaddr *)&from, &got), 1);
    EXPECT_EQ(ntohl(((struct sockaddr_in *)&from)->sin_addr.s_addr), 0x7f000005);
    EXPECT_ERRNO(send_with(a, &to, size, IPPROTO_IP, IP_PKTINFO, &info, 4), EINVAL);
    close(a);
    close(b);
    b = bound(AF_INET6, &to, &size);
    a = (int)MUST(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    struct in6_pktinfo info6 = {.ipi6_addr = in6addr_loopback};
    EXPECT_EQ(send_with(a, &to, size, IPPROTO_IPV6, IPV6_PKTINFO, &info6, sizeof info6), 1);
    EXPECT_EQ(recv(b, &byte, 1, MSG_DONTWAIT), 1);
    info6.ipi6_addr.s6_addr[3] = 9; /* nobody's here */
    EXPECT_ERRNO(send_with(a, &to, size, IPPROTO_IPV6, IPV6_PKTINFO, &info6, sizeof info6), EINVAL);
    EXPECT_ERRNO(send_with(a, &to, size, IPPROTO_IPV6, IPV6_PKTINFO, &info6, 4), EINVAL);
    close(a);
    close(b);
}

/* ---- the error queue -------------------------------------------------------------------------- */

struct seen_error {
    long result;
    struct sock_extended_err error;
    struct sockaddr_storage offender, name;
    int level, type, flags;
    char bytes[8];
};

static struct seen_error read_error(int fd)
{
    struct seen_error seen = {0};
    union control control = {{0}};
    struct iovec iov = {seen.bytes, sizeof seen.bytes};
    struct msghdr message = {&seen.name, sizeof seen.name, &iov, 1, control.bytes, sizeof control.bytes, 0};
    seen.result = recvmsg(fd, &message, MSG_ERRQUEUE);
    if (seen.result < 0) {
        seen.result = -errno;
        return seen;
    }
    seen.flags = message.msg_flags;
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    if (head) {
        seen.level = head->cmsg_level;
        seen.type = head->cmsg_type;
        memcpy(&seen.error, CMSG_DATA(head), sizeof seen.error);
        memcpy(&seen.offender, SO_EE_OFFENDER((struct sock_extended_err *)CMSG_DATA(head)),
               head->cmsg_len - CMSG_LEN(sizeof seen.error));
    }
    return seen;
}

static int events_of(int fd)
{
    struct pollfd poller = {fd, POLLIN, 0};
    poll(&poller, 1, 0);
    return poller.revents;
}

CASE(refusals_are_queued)
{
    struct sockaddr_storage gone, own;
    socklen_t size;
    char byte;
    int b = bound(AF_INET, &gone, &size);
    close(b);
    int a = bound(AF_INET, &own, &size);
    EXPECT_EQ(read_error(a).result, -EAGAIN); /* never waits */
    SET(a, IPPROTO_IP, IP_RECVERR, 1);
    EXPECT_EQ(sendto(a, "hello", 5, 0, (struct sockaddr *)&gone, size), 5);
    EXPECT_EQ(events_of(a) & POLLERR, POLLERR);
    struct seen_error seen = read_error(a);
    EXPECT_EQ(seen.result, 5);
    EXPECT_MEM(seen.bytes, "hello", 5);
    EXPECT_EQ(seen.flags & MSG_ERRQUEUE, MSG_ERRQUEUE);
    EXPECT_EQ(seen.level, IPPROTO_IP);
    EXPECT_EQ(seen.type, IP_RECVERR);
    EXPECT_EQ(seen.error.ee_errno, ECONNREFUSED);
    EXPECT_EQ(seen.error.ee_origin, SO_EE_ORIGIN_ICMP);
    EXPECT_EQ(seen.error.ee_type, 3);
    EXPECT_EQ(seen.error.ee_code, 3);
    EXPECT_EQ(seen.error.ee_info, 0);
    EXPECT_EQ(((struct sockaddr_in *)&seen.offender)->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    EXPECT_MEM(&seen.name, &gone, 8); /* where it was to go */
    EXPECT_EQ(read_error(a).result, -EAGAIN);
    EXPECT_EQ(events_of(a), 0); /* the pending error went with it */
    EXPECT_EQ(sendto(a, "1", 1, 0, (struct sockaddr *)&gone, size), 1);
    EXPECT_ERRNO(recv(a, &byte, 1, MSG_DONTWAIT), ECONNREFUSED); /* or as a result; the queue keeps it */
    EXPECT_EQ(events_of(a) & POLLERR, POLLERR);
    EXPECT_ERRNO(recv(a, &byte, 1, MSG_DONTWAIT), EAGAIN);
    EXPECT_EQ(read_error(a).result, 1);
    SET(a, IPPROTO_IP, IP_RECVERR, 0);
    EXPECT_EQ(sendto(a, "2", 1, 0, (struct sockaddr *)&gone, size), 1);
    EXPECT_EQ(read_error(a).result, -EAGAIN);
    EXPECT_EQ(events_of(a), 0); /* not connected and not asked: not told */
    close(a);
}

CASE(refusals_are_queued6)
{
    struct sockaddr_storage gone, own;
    socklen_t size;
    int b = bound(AF_INET6, &gone, &size);
    close(b);
    int a = bound(AF_INET6, &own, &size);
    SET(a, IPPROTO_IPV6, IPV6_RECVERR, 1);
    MUST(connect(a, (struct sockaddr *)&gone, size));
    EXPECT_EQ(send(a, "six", 3, 0), 3);
    struct seen_error seen = read_error(a);
    EXPECT_EQ(seen.result, 3);
    EXPECT_EQ(seen.level, IPPROTO_IPV6);
    EXPECT_EQ(seen.type, IPV6_RECVERR);
    EXPECT_EQ(seen.error.ee_errno, ECONNREFUSED);
    EXPECT_EQ(seen.error.ee_origin, SO_EE_ORIGIN_ICMP6);
    EXPECT_EQ(seen.error.ee_type, 1);
    EXPECT_EQ(seen.error.ee_code, 4);
    EXPECT_MEM(&((struct sockaddr_in6 *)&seen.offender)->sin6_addr, &in6addr_loopback, 16);
    EXPECT_MEM(&seen.name, &gone, 8);
    EXPECT_EQ(send(a, "more", 4, 0), 4);
    EXPECT_ERRNO(send(a, "again", 5, 0), ECONNREFUSED);
    EXPECT_EQ(read_error(a).result, 4);
    close(a);
}
