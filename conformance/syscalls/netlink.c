/* SPDX-License-Identifier: Apache-2.0 */
/* Netlink route sockets and the files of /proc/net, in a network namespace of our own. */
#include "tap.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static char answer[16384];
static long answer_size;

static int route_socket(void)
{
    return (int)MUST(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
}

/* Sends one request; the first answer is received into answer. */
static struct nlmsghdr *ask(int fd, int type, int flags, const void *payload, size_t size)
{
    struct {
        struct nlmsghdr header;
        char payload[256];
    } request = {{.nlmsg_len = (uint32_t)NLMSG_LENGTH(size), .nlmsg_type = (uint16_t)type,
                  .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags), .nlmsg_seq = 77}, {0}};
    memcpy(request.payload, payload, size);
    REQUIRE(send(fd, &request, request.header.nlmsg_len, 0) == request.header.nlmsg_len);
    answer_size = MUST(recv(fd, answer, sizeof answer, 0));
    return (void *)answer;
}

static int error_of(const struct nlmsghdr *header)
{
    const struct nlmsgerr *error = NLMSG_DATA(header);
    return header->nlmsg_type == NLMSG_ERROR ? error->error : 1;
}

CASE(socket_and_its_name)
{
    int fd = route_socket();
    struct sockaddr_nl name = {.nl_family = AF_NETLINK};
    socklen_t size = sizeof name;
    EXPECT_EQ(bind(fd, (void *)&name, sizeof name), 0);
    EXPECT_EQ(getsockname(fd, (void *)&name, &size), 0);
    EXPECT_EQ(size, sizeof name);
    EXPECT_EQ(name.nl_family, AF_NETLINK);
    EXPECT_EQ(name.nl_pid, getpid()); /* the first socket takes the process's number */
    int other = route_socket();
    name = (struct sockaddr_nl){.nl_family = AF_NETLINK, .nl_pid = (uint32_t)getpid()};
    EXPECT_ERRNO(bind(other, (void *)&name, sizeof name), EADDRINUSE);
    EXPECT_ERRNO(socket(AF_NETLINK, SOCK_RAW, 99), EPROTONOSUPPORT);
    EXPECT_ERRNO(socket(AF_NETLINK, SOCK_STREAM, NETLINK_ROUTE), ESOCKTNOSUPPORT);
}

CASE(links_are_dumped)
{
    struct ifinfomsg info = {.ifi_family = AF_UNSPEC};
    int fd = route_socket();
    struct nlmsghdr *header = ask(fd, RTM_GETLINK, NLM_F_DUMP, &info, sizeof info);
    int loopbacks = 0;
    long left = answer_size;
    for (; NLMSG_OK(header, left) && header->nlmsg_type == RTM_NEWLINK;
         header = NLMSG_NEXT(header, left)) {
        struct ifinfomsg *link = NLMSG_DATA(header);
        EXPECT_EQ(header->nlmsg_seq, 77);
        EXPECT_EQ(header->nlmsg_flags & NLM_F_MULTI, NLM_F_MULTI);
        loopbacks += link->ifi_index == 1 && (link->ifi_flags & IFF_LOOPBACK);
    }
    EXPECT_EQ(loopbacks, 1);
}

CASE(one_link_by_index)
{
    struct ifinfomsg info = {.ifi_family = AF_UNSPEC, .ifi_index = 1};
    int fd = route_socket();
    struct nlmsghdr *header = ask(fd, RTM_GETLINK, 0, &info, sizeof info);
    EXPECT_EQ(header->nlmsg_type, RTM_NEWLINK);
    struct ifinfomsg *link = NLMSG_DATA(header);
    long left = (long)header->nlmsg_len - (long)NLMSG_LENGTH(sizeof *link);
    const char *name = NULL;
    for (struct rtattr *attr = IFLA_RTA(link); RTA_OK(attr, left); attr = RTA_NEXT(attr, left)) {
        if (attr->rta_type == IFLA_IFNAME)
            name = RTA_DATA(attr);
    }
    EXPECT_STR(name, "lo");
    info.ifi_index = 12345;
    EXPECT_EQ(error_of(ask(fd, RTM_GETLINK, 0, &info, sizeof info)), -ENODEV);
}

CASE(addresses_are_dumped)
{
    struct ifaddrmsg info = {.ifa_family = AF_INET};
    int fd = route_socket();
    struct nlmsghdr *header = ask(fd, RTM_GETADDR, NLM_F_DUMP, &info, sizeof info);
    int found = 0;
    long left = answer_size;
    for (; NLMSG_OK(header, left) && header->nlmsg_type == RTM_NEWADDR;
         header = NLMSG_NEXT(header, left)) {
        struct ifaddrmsg *address = NLMSG_DATA(header);
        long inner = (long)header->nlmsg_len - (long)NLMSG_LENGTH(sizeof *address);
        for (struct rtattr *attr = IFA_RTA(address); RTA_OK(attr, inner);
             attr = RTA_NEXT(attr, inner)) {
            found += attr->rta_type == IFA_LOCAL && address->ifa_prefixlen == 8 &&
                     *(uint32_t *)RTA_DATA(attr) == htonl(INADDR_LOOPBACK);
        }
    }
    EXPECT_EQ(found, 1);
}

CASE(acknowledgement_and_errors)
{
    struct ifinfomsg info = {.ifi_family = AF_UNSPEC, .ifi_index = 1};
    int fd = route_socket();
    EXPECT_EQ(error_of(ask(fd, RTM_SETLINK, NLM_F_ACK, &info, sizeof info)), 0);
    EXPECT_EQ(error_of(ask(fd, 9999, NLM_F_ACK, &info, sizeof info)), -EOPNOTSUPP);
    char byte = 0;
    EXPECT_EQ(error_of(ask(fd, RTM_GETLINK, NLM_F_ACK, &byte, 1)), -EINVAL);
    CHILD(pid)
    {
        MUST(setuid(1000));
        int own = route_socket();
        info.ifi_change = IFF_UP;
        EXPECT_EQ(error_of(ask(own, RTM_SETLINK, NLM_F_ACK, &info, sizeof info)), -EPERM);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(truncated_message_is_dropped)
{
    int fd = route_socket();
    char bytes[4] = {0};
    EXPECT_EQ(send(fd, bytes, sizeof bytes, 0), 4);
    EXPECT_ERRNO(recv(fd, answer, sizeof answer, MSG_DONTWAIT), EAGAIN);
}

CASE(interface_is_raised_in_a_new_namespace)
{
    SKIP_IF(unshare(CLONE_NEWNET) < 0, "no new namespaces");
    struct ifinfomsg info = {.ifi_family = AF_UNSPEC, .ifi_index = 1, .ifi_flags = IFF_UP,
                             .ifi_change = IFF_UP};
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int udp = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
    address.sin_port = htons(9);
    EXPECT_ERRNO(connect(udp, (void *)&address, sizeof address), ENETUNREACH);
    int fd = route_socket();
    EXPECT_EQ(error_of(ask(fd, RTM_NEWLINK, NLM_F_ACK, &info, sizeof info)), 0);
    EXPECT_EQ(connect(udp, (void *)&address, sizeof address), 0);
}

CASE(proc_net_files)
{
    static char text[16384];
    EXPECT(tap_read_file("/proc/net/dev", text, sizeof text) > 0);
    EXPECT(strstr(text, "    lo:") != NULL);
    const char *paths[] = {"/proc/net/tcp", "/proc/net/udp", "/proc/net/unix", "/proc/net/route",
                           "/proc/net/snmp", "/proc/net/arp", "/proc/net/packet",
                           "/proc/net/netlink"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        EXPECT(tap_read_file(paths[i], text, sizeof text) > 0);
}

CASE(sockets_are_listed)
{
    static char text[65536];
    char want[64];
    int fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    MUST(bind(fd, (void *)&address, size));
    MUST(listen(fd, 1));
    MUST(getsockname(fd, (void *)&address, &size));
    EXPECT(tap_read_file("/proc/net/tcp", text, sizeof text) > 0);
    snprintf(want, sizeof want, ": 0100007F:%04X 00000000:0000 0A ", ntohs(address.sin_port));
    EXPECT(strstr(text, want) != NULL);
}
