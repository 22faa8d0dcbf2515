/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets in depth: address reuse, IPv6, options and message flags, errors of state. */
#include "tap.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

static volatile sig_atomic_t signal_count;

static void on_signal(int signal)
{
    signal_count++;
}

static struct sockaddr_in loopback(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return address;
}

static int port_of(int fd)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    MUST(getsockname(fd, (void *)&address, &size));
    return ntohs(address.sin_port);
}

static int bind_to(int fd, int port)
{
    struct sockaddr_in address = loopback(port);
    return bind(fd, (void *)&address, sizeof address);
}

static int open_socket(int type)
{
    return (int)MUST(socket(AF_INET, type, 0));
}

static void set(int fd, int level, int name, int value)
{
    MUST(setsockopt(fd, level, name, &value, sizeof value));
}

static int get(int fd, int level, int name)
{
    int value = -1;
    socklen_t size = sizeof value;
    return getsockopt(fd, level, name, &value, &size) < 0 ? -errno : value;
}

static void tcp_pair(int pair[2])
{
    int server = open_socket(SOCK_STREAM);
    MUST(bind_to(server, 0));
    MUST(listen(server, 5));
    struct sockaddr_in address = loopback(port_of(server));
    pair[0] = open_socket(SOCK_STREAM);
    MUST(connect(pair[0], (void *)&address, sizeof address));
    pair[1] = (int)MUST(accept(server, NULL, NULL));
    close(server);
}

CASE(reuse_port_shares)
{
    int a = open_socket(SOCK_DGRAM);
    int b = open_socket(SOCK_DGRAM);
    set(a, SOL_SOCKET, SO_REUSEPORT, 1);
    MUST(bind_to(a, 0));
    EXPECT_ERRNO(bind_to(b, port_of(a)), EADDRINUSE);
    set(b, SOL_SOCKET, SO_REUSEPORT, 1);
    EXPECT_EQ(bind_to(b, port_of(a)), 0);
}

CASE(reuse_address_of_datagrams)
{
    int a = open_socket(SOCK_DGRAM);
    int b = open_socket(SOCK_DGRAM);
    set(a, SOL_SOCKET, SO_REUSEADDR, 1);
    set(b, SOL_SOCKET, SO_REUSEADDR, 1);
    MUST(bind_to(a, 0));
    EXPECT_EQ(bind_to(b, port_of(a)), 0);
}

CASE(two_listeners_on_one_port)
{
    int a = open_socket(SOCK_STREAM);
    int b = open_socket(SOCK_STREAM);
    set(a, SOL_SOCKET, SO_REUSEADDR, 1);
    set(b, SOL_SOCKET, SO_REUSEADDR, 1);
    MUST(bind_to(a, 0));
    EXPECT_EQ(bind_to(b, port_of(a)), 0);
    EXPECT_EQ(listen(a, 1), 0);
    EXPECT_ERRNO(listen(b, 1), EADDRINUSE);
}

CASE(any_address_and_one_address)
{
    int a = open_socket(SOCK_STREAM);
    int b = open_socket(SOCK_STREAM);
    struct sockaddr_in any = {.sin_family = AF_INET};
    MUST(bind(a, (void *)&any, sizeof any));
    EXPECT_ERRNO(bind_to(b, port_of(a)), EADDRINUSE);
}

CASE(listen_without_bind_takes_a_port)
{
    int fd = open_socket(SOCK_STREAM);
    EXPECT_EQ(listen(fd, 1), 0);
    EXPECT(port_of(fd) > 0);
}

CASE(connect_takes_a_port)
{
    int a = open_socket(SOCK_DGRAM);
    struct sockaddr_in address = loopback(9);
    EXPECT_EQ(connect(a, (void *)&address, sizeof address), 0);
    EXPECT(port_of(a) > 0);
    socklen_t size = sizeof address;
    EXPECT_EQ(getpeername(a, (void *)&address, &size), 0);
    EXPECT_EQ(ntohs(address.sin_port), 9);
}

CASE(self_connection)
{
    int fd = open_socket(SOCK_STREAM);
    MUST(bind_to(fd, 0));
    struct sockaddr_in address = loopback(port_of(fd));
    EXPECT_EQ(connect(fd, (void *)&address, sizeof address), 0);
    EXPECT_EQ(write(fd, "x", 1), 1);
    char byte = 0;
    EXPECT_EQ(read(fd, &byte, 1), 1);
    EXPECT_EQ(byte, 'x');
}

CASE(connected_twice)
{
    int pair[2];
    tcp_pair(pair);
    struct sockaddr_in address = loopback(9);
    EXPECT_ERRNO(connect(pair[0], (void *)&address, sizeof address), EISCONN);
    EXPECT_ERRNO(listen(pair[0], 1), EINVAL);
    EXPECT_EQ(sendto(pair[0], "x", 1, 0, (void *)&address, sizeof address), 1); /* ignored */
}

CASE(refused_connection_can_be_tried_again)
{
    int closed = open_socket(SOCK_STREAM);
    MUST(bind_to(closed, 0));
    int fd = open_socket(SOCK_STREAM);
    struct sockaddr_in address = loopback(port_of(closed));
    EXPECT_ERRNO(connect(fd, (void *)&address, sizeof address), ECONNREFUSED);
    MUST(listen(closed, 1));
    EXPECT_EQ(connect(fd, (void *)&address, sizeof address), 0);
}

CASE(asynchronous_refusal)
{
    int closed = open_socket(SOCK_STREAM);
    MUST(bind_to(closed, 0));
    int fd = open_socket(SOCK_STREAM | SOCK_NONBLOCK);
    struct sockaddr_in address = loopback(port_of(closed));
    int result = connect(fd, (void *)&address, sizeof address);
    EXPECT(result < 0 && (errno == EINPROGRESS || errno == ECONNREFUSED));
    if (errno == EINPROGRESS) {
        struct pollfd p = {fd, POLLOUT, 0};
        EXPECT_EQ(poll(&p, 1, 5000), 1);
        EXPECT_EQ(p.revents & (POLLERR | POLLHUP), POLLERR | POLLHUP);
        EXPECT_EQ(get(fd, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
        EXPECT_EQ(get(fd, SOL_SOCKET, SO_ERROR), 0);
    }
}

CASE(ipv6_accepts_ipv4)
{
    int server = socket(AF_INET6, SOCK_STREAM, 0);
    SKIP_IF(server < 0, "no IPv6");
    struct sockaddr_in6 any = {.sin6_family = AF_INET6};
    REQUIRE(bind(server, (void *)&any, sizeof any) == 0);
    MUST(listen(server, 1));
    socklen_t size = sizeof any;
    MUST(getsockname(server, (void *)&any, &size));
    int client = open_socket(SOCK_STREAM);
    struct sockaddr_in address = loopback(ntohs(any.sin6_port));
    EXPECT_EQ(connect(client, (void *)&address, sizeof address), 0);
    struct sockaddr_in6 peer;
    size = sizeof peer;
    EXPECT_OK(accept(server, (void *)&peer, &size));
    EXPECT(IN6_IS_ADDR_V4MAPPED(&peer.sin6_addr));
}

CASE(ipv6_only)
{
    int server = socket(AF_INET6, SOCK_STREAM, 0);
    SKIP_IF(server < 0, "no IPv6");
    set(server, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    struct sockaddr_in6 any = {.sin6_family = AF_INET6};
    REQUIRE(bind(server, (void *)&any, sizeof any) == 0);
    MUST(listen(server, 1));
    socklen_t size = sizeof any;
    MUST(getsockname(server, (void *)&any, &size));
    int client = open_socket(SOCK_STREAM);
    struct sockaddr_in address = loopback(ntohs(any.sin6_port));
    EXPECT_ERRNO(connect(client, (void *)&address, sizeof address), ECONNREFUSED);
    EXPECT_ERRNO(setsockopt(server, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, 4), EINVAL);
}

CASE(ipv6_datagrams)
{
    int a = socket(AF_INET6, SOCK_DGRAM, 0);
    SKIP_IF(a < 0, "no IPv6");
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int result = bind(a, (void *)&address, sizeof address);
    SKIP_IF(result < 0 && errno == EADDRNOTAVAIL, "no IPv6");
    REQUIRE(result == 0);
    socklen_t size = sizeof address;
    MUST(getsockname(a, (void *)&address, &size));
    EXPECT_EQ(sendto(a, "six", 3, 0, (void *)&address, size), 3);
    char text[8];
    struct sockaddr_in6 from = {0};
    size = sizeof from;
    EXPECT_EQ(recvfrom(a, text, 8, 0, (void *)&from, &size), 3);
    EXPECT_MEM(&from.sin6_addr, &address.sin6_addr, 16);
}

CASE(option_defaults)
{
    int tcp = open_socket(SOCK_STREAM);
    EXPECT_EQ(get(tcp, SOL_SOCKET, SO_REUSEADDR), 0);
    EXPECT_EQ(get(tcp, SOL_SOCKET, SO_KEEPALIVE), 0);
    EXPECT_EQ(get(tcp, SOL_SOCKET, SO_BROADCAST), 0);
    EXPECT_EQ(get(tcp, SOL_SOCKET, SO_OOBINLINE), 0);
    EXPECT_EQ(get(tcp, SOL_SOCKET, SO_RCVLOWAT), 1);
    EXPECT_EQ(get(tcp, SOL_SOCKET, SO_DOMAIN), AF_INET);
    EXPECT_EQ(get(tcp, IPPROTO_TCP, TCP_CORK), 0);
    EXPECT_EQ(get(tcp, IPPROTO_TCP, TCP_KEEPINTVL), 75);
    EXPECT_EQ(get(tcp, IPPROTO_TCP, TCP_KEEPCNT), 9);
    EXPECT_EQ(get(tcp, IPPROTO_TCP, TCP_KEEPIDLE), 7200);
    EXPECT_EQ(get(tcp, IPPROTO_IP, IP_TTL), 64);
    EXPECT_EQ(get(tcp, IPPROTO_IP, IP_TOS), 0);
    int udp = open_socket(SOCK_DGRAM);
    EXPECT_EQ(get(udp, IPPROTO_IP, IP_MULTICAST_TTL), 1);
    EXPECT_EQ(get(udp, IPPROTO_IP, IP_MULTICAST_LOOP), 1);
    EXPECT_EQ(get(udp, IPPROTO_IP, IP_PKTINFO), 0);
}

CASE(option_ranges)
{
    int fd = open_socket(SOCK_STREAM);
    int value = 0;
    EXPECT_ERRNO(setsockopt(fd, IPPROTO_IP, IP_TTL, &value, 4), EINVAL);
    value = 256;
    EXPECT_ERRNO(setsockopt(fd, IPPROTO_IP, IP_TTL, &value, 4), EINVAL);
    value = 7;
    EXPECT_EQ(setsockopt(fd, IPPROTO_IP, IP_TTL, &value, 4), 0);
    EXPECT_EQ(get(fd, IPPROTO_IP, IP_TTL), 7);
    EXPECT_ERRNO(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, 2), EINVAL);
    EXPECT_ERRNO(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, (void *)8, 4), EFAULT);
    EXPECT_ERRNO(setsockopt(fd, IPPROTO_TCP, 9999, &value, 4), ENOPROTOOPT);
    EXPECT_ERRNO(setsockopt(fd, 9999, 1, &value, 4), ENOPROTOOPT);
    EXPECT_EQ(get(fd, IPPROTO_IP, 9999), -ENOPROTOOPT);
}

CASE(low_water_mark)
{
    int pair[2];
    tcp_pair(pair);
    set(pair[1], SOL_SOCKET, SO_RCVLOWAT, 4);
    EXPECT_EQ(write(pair[0], "ab", 2), 2);
    struct pollfd p = {pair[1], POLLIN, 0};
    EXPECT_EQ(poll(&p, 1, 50), 0);
    EXPECT_EQ(write(pair[0], "cd", 2), 2);
    EXPECT_EQ(poll(&p, 1, 5000), 1);
}

CASE(urgent_byte)
{
    int pair[2];
    tcp_pair(pair);
    EXPECT_EQ(send(pair[0], "ab!", 3, MSG_OOB), 3);
    struct pollfd p = {pair[1], POLLPRI, 0};
    EXPECT_EQ(poll(&p, 1, 5000), 1);
    EXPECT_EQ(p.revents, POLLPRI);
    char byte = 0;
    EXPECT_EQ(recv(pair[1], &byte, 1, MSG_OOB), 1);
    EXPECT_EQ(byte, '!');
    char text[8] = {0};
    EXPECT_EQ(read(pair[1], text, 8), 2);
    EXPECT_STR(text, "ab");
    EXPECT_ERRNO(recv(pair[1], &byte, 1, MSG_OOB | MSG_DONTWAIT), EINVAL);
}

CASE(peeks_and_truncations_of_streams)
{
    int pair[2];
    tcp_pair(pair);
    char text[8] = {0};
    EXPECT_EQ(write(pair[0], "abcdef", 6), 6);
    struct pollfd p = {pair[1], POLLIN, 0};
    EXPECT_EQ(poll(&p, 1, 5000), 1);
    EXPECT_EQ(recv(pair[1], text, 3, MSG_PEEK), 3);
    EXPECT_EQ(recv(pair[1], NULL, 2, MSG_TRUNC), 2); /* thrown away */
    EXPECT_EQ(recv(pair[1], text, 8, 0), 4);
    EXPECT_MEM(text, "cdef", 4);
}

CASE(waiting_for_all)
{
    int pair[2];
    tcp_pair(pair);
    CHILD(pid)
    {
        for (int i = 0; i < 4; i++) {
            EXPECT_EQ(write(pair[0], "ab", 2), 2);
            tap_sleep_ms(5);
        }
    }
    char text[9] = {0};
    EXPECT_EQ(recv(pair[1], text, 8, MSG_WAITALL), 8);
    EXPECT_STR(text, "abababab");
    EXPECT_EXIT(pid, 0);
}

CASE(shutdown_wakes_a_reader)
{
    int pair[2];
    tcp_pair(pair);
    CHILD(pid)
    {
        char byte;
        EXPECT_EQ(read(pair[1], &byte, 1), 0);
    }
    tap_until_asleep(pid);
    EXPECT_EQ(shutdown(pair[1], SHUT_RD), 0);
    EXPECT_EXIT(pid, 0);
}

CASE(shutdown_wakes_an_acceptor)
{
    int server = open_socket(SOCK_STREAM);
    MUST(listen(server, 1));
    CHILD(pid)
    {
        EXPECT_ERRNO(accept(server, NULL, NULL), EINVAL);
    }
    tap_until_asleep(pid);
    EXPECT_EQ(shutdown(server, SHUT_RD), 0);
    EXPECT_EXIT(pid, 0);
}

CASE(epoll_over_a_connection)
{
    int pair[2];
    tcp_pair(pair);
    int set_fd = (int)MUST(epoll_create1(0));
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
    MUST(epoll_ctl(set_fd, EPOLL_CTL_ADD, pair[1], &event));
    EXPECT_EQ(epoll_wait(set_fd, &event, 1, 1000), 1);
    EXPECT_EQ(event.events, EPOLLOUT);
    EXPECT_EQ(write(pair[0], "x", 1), 1);
    EXPECT_EQ(epoll_wait(set_fd, &event, 1, 5000), 1);
    EXPECT_EQ(event.events & (EPOLLIN | EPOLLRDHUP), EPOLLIN);
    EXPECT_EQ(epoll_wait(set_fd, &event, 1, 0), 0);
    EXPECT_EQ(shutdown(pair[0], SHUT_WR), 0);
    EXPECT_EQ(epoll_wait(set_fd, &event, 1, 5000), 1);
    EXPECT_EQ(event.events & (EPOLLIN | EPOLLRDHUP), EPOLLIN | EPOLLRDHUP);
}

CASE(sendfile_to_a_socket)
{
    int pair[2];
    tcp_pair(pair);
    tap_tmpdir();
    tap_write_file("file", "from a file");
    int fd = (int)MUST(open("file", O_RDONLY));
    EXPECT_EQ(sendfile(pair[0], fd, NULL, 100), 11);
    char text[16] = {0};
    EXPECT_EQ(recv(pair[1], text, 11, MSG_WAITALL), 11);
    EXPECT_STR(text, "from a file");
}

CASE(splice_from_a_socket)
{
    int pair[2], fds[2];
    tcp_pair(pair);
    MUST(pipe(fds));
    EXPECT_EQ(write(pair[0], "spliced", 7), 7);
    EXPECT_EQ(splice(pair[1], NULL, fds[1], NULL, 100, 0), 7);
    char text[16] = {0};
    EXPECT_EQ(read(fds[0], text, 16), 7);
    EXPECT_STR(text, "spliced");
}

CASE(asynchronous_signal)
{
    int a = open_socket(SOCK_DGRAM);
    MUST(bind_to(a, 0));
    tap_handle(SIGIO, on_signal, 0);
    MUST(fcntl(a, F_SETOWN, getpid()));
    MUST(fcntl(a, F_SETFL, O_ASYNC | O_NONBLOCK));
    struct sockaddr_in address = loopback(port_of(a));
    EXPECT_EQ(sendto(a, "x", 1, 0, (void *)&address, sizeof address), 1);
    for (int i = 0; i < 2000 && signal_count == 0; i++)
        tap_sleep_ms(1);
    EXPECT(signal_count >= 1);
}

CASE(queue_sizes)
{
    int a = open_socket(SOCK_DGRAM);
    MUST(bind_to(a, 0));
    struct sockaddr_in address = loopback(port_of(a));
    EXPECT_EQ(sendto(a, "12345", 5, 0, (void *)&address, sizeof address), 5);
    EXPECT_EQ(sendto(a, "67", 2, 0, (void *)&address, sizeof address), 2);
    int count = 0;
    EXPECT_EQ(ioctl(a, FIONREAD, &count), 0);
    EXPECT_EQ(count, 5); /* of the first datagram */
}

CASE(packet_information)
{
    int a = open_socket(SOCK_DGRAM);
    MUST(bind_to(a, 0));
    set(a, IPPROTO_IP, IP_PKTINFO, 1);
    set(a, IPPROTO_IP, IP_RECVTTL, 1);
    struct sockaddr_in address = loopback(port_of(a));
    EXPECT_EQ(sendto(a, "x", 1, 0, (void *)&address, sizeof address), 1);
    char byte, control[256];
    struct iovec iov = {&byte, 1};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
                             .msg_controllen = sizeof control};
    EXPECT_EQ(recvmsg(a, &message, 0), 1);
    int seen = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            EXPECT_EQ(info.ipi_ifindex, 1);
            EXPECT_EQ(ntohl(info.ipi_addr.s_addr), INADDR_LOOPBACK);
            seen |= 1;
        }
        if (c->cmsg_type == IP_TTL) {
            EXPECT_EQ(*(int *)CMSG_DATA(c), 64);
            seen |= 2;
        }
    }
    EXPECT_EQ(seen, 3);
}

CASE(tcp_information)
{
    int pair[2];
    tcp_pair(pair);
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    EXPECT_EQ(getsockopt(pair[0], IPPROTO_TCP, TCP_INFO, &info, &size), 0);
    EXPECT_EQ(info.tcpi_state, TCP_ESTABLISHED);
    char name[16] = {0};
    size = sizeof name;
    EXPECT_EQ(getsockopt(pair[0], IPPROTO_TCP, TCP_CONGESTION, name, &size), 0);
    EXPECT(strlen(name) > 1);
}
