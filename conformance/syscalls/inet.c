/* SPDX-License-Identifier: Apache-2.0 */
/* TCP and UDP over the loopback interface. */
#include "tap.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

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

static int bound(int type)
{
    int fd = MUST(socket(AF_INET, type, 0));
    struct sockaddr_in address = loopback(0);
    MUST(bind(fd, (void *)&address, sizeof address));
    return fd;
}

static int listening(void)
{
    int fd = bound(SOCK_STREAM);
    MUST(listen(fd, 5));
    return fd;
}

static int connect_to(int fd, int port)
{
    struct sockaddr_in address = loopback(port);
    return connect(fd, (void *)&address, sizeof address);
}

static void tcp_pair(int pair[2])
{
    int server = listening();
    pair[0] = MUST(socket(AF_INET, SOCK_STREAM, 0));
    MUST(connect_to(pair[0], port_of(server)));
    pair[1] = MUST(accept(server, NULL, NULL));
    close(server);
}

CASE(tcp_connect_and_talk)
{
    int server = listening();
    int client = MUST(socket(AF_INET, SOCK_STREAM, 0));
    EXPECT(port_of(server) > 1023);
    EXPECT_EQ(connect_to(client, port_of(server)), 0);
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    int peer = MUST(accept(server, (void *)&address, &size));
    EXPECT_EQ(size, sizeof address);
    EXPECT_EQ(address.sin_family, AF_INET);
    EXPECT_EQ(ntohl(address.sin_addr.s_addr), INADDR_LOOPBACK);
    EXPECT_EQ(ntohs(address.sin_port), port_of(client));
    EXPECT_EQ(write(client, "hello", 5), 5);
    char text[8] = {0};
    EXPECT_EQ(read(peer, text, 8), 5);
    EXPECT_STR(text, "hello");
    EXPECT_EQ(write(peer, "world", 5), 5);
    EXPECT(recv(client, text, 8, MSG_PEEK) > 0);
    EXPECT_EQ(read(client, text, 8), 5);
    EXPECT_STR(text, "world");
}

CASE(tcp_refused)
{
    int server = bound(SOCK_STREAM);
    int client = MUST(socket(AF_INET, SOCK_STREAM, 0));
    EXPECT_ERRNO(connect_to(client, port_of(server)), ECONNREFUSED);
}

CASE(tcp_end_of_stream)
{
    int pair[2];
    tcp_pair(pair);
    char text[8];
    EXPECT_EQ(write(pair[0], "x", 1), 1);
    EXPECT_EQ(shutdown(pair[0], SHUT_WR), 0);
    EXPECT_EQ(read(pair[1], text, 8), 1);
    EXPECT_EQ(read(pair[1], text, 8), 0);
    EXPECT_EQ(write(pair[1], "y", 1), 1);
    EXPECT_EQ(read(pair[0], text, 8), 1);
    signal(SIGPIPE, SIG_IGN);
    EXPECT_ERRNO(write(pair[0], "z", 1), EPIPE);
    close(pair[1]);
    EXPECT_EQ(read(pair[0], text, 8), 0);
}

CASE(tcp_reset_when_data_is_unread)
{
    int pair[2];
    tcp_pair(pair);
    EXPECT_EQ(write(pair[0], "unread", 6), 6);
    struct pollfd p = {pair[1], POLLIN, 0};
    EXPECT_EQ(poll(&p, 1, 5000), 1);
    close(pair[1]);
    char text[8];
    p = (struct pollfd){pair[0], POLLIN, 0};
    EXPECT_EQ(poll(&p, 1, 5000), 1);
    EXPECT_ERRNO(read(pair[0], text, 8), ECONNRESET);
}

CASE(tcp_bulk)
{
    int pair[2];
    tcp_pair(pair);
    static char out[300000], in[300000];
    for (size_t i = 0; i < sizeof out; i++)
        out[i] = (char)(i * 13 + i / 250);
    CHILD(pid)
    {
        close(pair[1]);
        size_t sent = 0;
        while (sent < sizeof out) {
            ssize_t count = write(pair[0], out + sent, sizeof out - sent);
            REQUIRE(count > 0);
            sent += (size_t)count;
        }
    }
    close(pair[0]);
    size_t size = 0;
    ssize_t count;
    while (size < sizeof in && (count = read(pair[1], in + size, sizeof in - size)) > 0)
        size += (size_t)count;
    EXPECT_EQ(size, sizeof in);
    EXPECT_MEM(in, out, sizeof in);
    EXPECT_EXIT(pid, 0);
}

CASE(tcp_nonblocking_connect)
{
    int server = listening();
    int client = MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    int result = connect_to(client, port_of(server));
    EXPECT(result == 0 || errno == EINPROGRESS);
    struct pollfd p = {client, POLLOUT, 0};
    EXPECT_EQ(poll(&p, 1, 5000), 1);
    EXPECT_EQ(p.revents, POLLOUT);
    int error = -1;
    socklen_t size = sizeof error;
    EXPECT_EQ(getsockopt(client, SOL_SOCKET, SO_ERROR, &error, &size), 0);
    EXPECT_EQ(error, 0);
    char byte;
    EXPECT_ERRNO(read(client, &byte, 1), EAGAIN);
}

CASE(tcp_accept_states)
{
    int server = listening();
    MUST(fcntl(server, F_SETFL, O_NONBLOCK));
    EXPECT_ERRNO(accept(server, NULL, NULL), EAGAIN);
    int client = MUST(socket(AF_INET, SOCK_STREAM, 0));
    MUST(connect_to(client, port_of(server)));
    struct pollfd p = {server, POLLIN, 0};
    EXPECT_EQ(poll(&p, 1, 5000), 1);
    int peer = MUST(accept4(server, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
    EXPECT_EQ(fcntl(peer, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    EXPECT_ERRNO(accept4(server, NULL, NULL, 1), EINVAL);
    EXPECT_ERRNO(accept(client, NULL, NULL), EINVAL);
}

CASE(tcp_unconnected)
{
    int fd = MUST(socket(AF_INET, SOCK_STREAM, 0));
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    char byte;
    signal(SIGPIPE, SIG_IGN);
    EXPECT_ERRNO(getpeername(fd, (void *)&address, &size), ENOTCONN);
    EXPECT_ERRNO(read(fd, &byte, 1), ENOTCONN);
    EXPECT_ERRNO(write(fd, "x", 1), EPIPE);
    EXPECT_ERRNO(shutdown(fd, SHUT_RDWR), ENOTCONN);
    EXPECT_EQ(getsockname(fd, (void *)&address, &size), 0);
    EXPECT_EQ(address.sin_port, 0);
}

CASE(bind_rules)
{
    int a = bound(SOCK_STREAM);
    int b = MUST(socket(AF_INET, SOCK_STREAM, 0));
    struct sockaddr_in address = loopback(port_of(a));
    EXPECT_ERRNO(bind(b, (void *)&address, sizeof address), EADDRINUSE);
    EXPECT_ERRNO(bind(a, (void *)&address, sizeof address), EINVAL);
    EXPECT_ERRNO(bind(b, (void *)&address, 4), EINVAL);
    address.sin_addr.s_addr = htonl(0x08080808);
    address.sin_port = 0;
    EXPECT_ERRNO(bind(b, (void *)&address, sizeof address), EADDRNOTAVAIL);
    address.sin_family = AF_UNIX;
    EXPECT_ERRNO(bind(b, (void *)&address, sizeof address), EAFNOSUPPORT);
    CHILD(pid)
    {
        MUST(setuid(1000));
        address = loopback(1);
        EXPECT_ERRNO(bind(b, (void *)&address, sizeof address), EACCES);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(reuse_of_an_address)
{
    int on = 1;
    int server = MUST(socket(AF_INET, SOCK_STREAM, 0));
    MUST(setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
    struct sockaddr_in address = loopback(0);
    MUST(bind(server, (void *)&address, sizeof address));
    MUST(listen(server, 5));
    int port = port_of(server);
    int client = MUST(socket(AF_INET, SOCK_STREAM, 0));
    MUST(connect_to(client, port));
    int peer = MUST(accept(server, NULL, NULL));
    close(server);
    close(peer); /* the side that closes first keeps the port busy */
    close(client);
    int again = MUST(socket(AF_INET, SOCK_STREAM, 0));
    MUST(setsockopt(again, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
    address = loopback(port);
    EXPECT_EQ(bind(again, (void *)&address, sizeof address), 0);
    EXPECT_EQ(listen(again, 1), 0);
}

CASE(tcp_options)
{
    int fd = MUST(socket(AF_INET, SOCK_STREAM, 0));
    int value = -1;
    socklen_t size = sizeof value;
    EXPECT_EQ(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &size), 0);
    EXPECT_EQ(value, 0);
    value = 1;
    EXPECT_EQ(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value), 0);
    EXPECT_EQ(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof value), 0);
    value = 0;
    EXPECT_EQ(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &size), 0);
    EXPECT_EQ(value, 1);
    EXPECT_EQ(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &size), 0);
    EXPECT_EQ(value, 1);
    value = 77;
    EXPECT_EQ(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &value, sizeof value), 0);
    EXPECT_EQ(getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &value, &size), 0);
    EXPECT_EQ(value, 77);
    EXPECT_ERRNO(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, (value = 0, &value), sizeof value),
                 EINVAL);
    EXPECT_EQ(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &size), 0);
    EXPECT_EQ(value, SOCK_STREAM);
    EXPECT_EQ(getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &value, &size), 0);
    EXPECT_EQ(value, IPPROTO_TCP);
    EXPECT_EQ(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &size), 0);
    EXPECT_EQ(value, 0);
    MUST(listen(fd, 1));
    EXPECT_EQ(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &size), 0);
    EXPECT_EQ(value, 1);
}

CASE(buffer_sizes_double)
{
    int fd = MUST(socket(AF_INET, SOCK_STREAM, 0));
    int value = 20000;
    socklen_t size = sizeof value;
    EXPECT_EQ(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &value, sizeof value), 0);
    EXPECT_EQ(getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &value, &size), 0);
    EXPECT_EQ(value, 40000);
    value = 20000;
    EXPECT_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &value, sizeof value), 0);
    EXPECT_EQ(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &value, &size), 0);
    EXPECT_EQ(value, 40000);
}

CASE(linger_option)
{
    int pair[2];
    tcp_pair(pair);
    struct linger linger = {1, 0};
    socklen_t size = sizeof linger;
    EXPECT_EQ(setsockopt(pair[0], SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    linger = (struct linger){0, 9};
    EXPECT_EQ(getsockopt(pair[0], SOL_SOCKET, SO_LINGER, &linger, &size), 0);
    EXPECT_EQ(linger.l_onoff, 1);
    close(pair[0]); /* aborts */
    struct pollfd p = {pair[1], POLLIN, 0};
    EXPECT_EQ(poll(&p, 1, 5000), 1);
    char byte;
    EXPECT_ERRNO(read(pair[1], &byte, 1), ECONNRESET);
}

CASE(udp_datagrams)
{
    int a = bound(SOCK_DGRAM);
    int b = bound(SOCK_DGRAM);
    struct sockaddr_in address = loopback(port_of(b));
    EXPECT_EQ(sendto(a, "hello", 5, 0, (void *)&address, sizeof address), 5);
    EXPECT_EQ(sendto(a, "", 0, 0, (void *)&address, sizeof address), 0);
    char text[8] = {0};
    socklen_t size = sizeof address;
    memset(&address, 0, sizeof address);
    EXPECT_EQ(recvfrom(b, text, 8, 0, (void *)&address, &size), 5);
    EXPECT_STR(text, "hello");
    EXPECT_EQ(ntohs(address.sin_port), port_of(a));
    EXPECT_EQ(recv(b, text, 8, 0), 0);
    EXPECT_ERRNO(recv(b, text, 8, MSG_DONTWAIT), EAGAIN);
}

CASE(udp_truncation)
{
    int a = bound(SOCK_DGRAM);
    int b = bound(SOCK_DGRAM);
    MUST(connect_to(a, port_of(b)));
    EXPECT_EQ(send(a, "hello", 5, 0), 5);
    char text[8];
    EXPECT_EQ(recv(b, text, 2, MSG_TRUNC), 5);
    EXPECT_EQ(send(a, "again", 5, 0), 5);
    EXPECT_EQ(recv(b, text, 2, 0), 2);
    EXPECT_ERRNO(recv(b, text, 8, MSG_DONTWAIT), EAGAIN);
}

CASE(udp_connected_refused)
{
    int a = MUST(socket(AF_INET, SOCK_DGRAM, 0));
    int closed = bound(SOCK_DGRAM);
    int port = port_of(closed);
    close(closed);
    EXPECT_EQ(connect_to(a, port), 0);
    EXPECT_EQ(send(a, "x", 1, 0), 1);
    struct pollfd p = {a, POLLIN, 0};
    EXPECT_EQ(poll(&p, 1, 5000), 1);
    char byte;
    EXPECT_ERRNO(recv(a, &byte, 1, MSG_DONTWAIT), ECONNREFUSED);
    EXPECT_ERRNO(recv(a, &byte, 1, MSG_DONTWAIT), EAGAIN);
}

CASE(udp_unconnected)
{
    int fd = MUST(socket(AF_INET, SOCK_DGRAM, 0));
    EXPECT_ERRNO(send(fd, "x", 1, 0), EDESTADDRREQ);
    EXPECT_ERRNO(listen(fd, 1), EOPNOTSUPP);
    EXPECT_ERRNO(accept(fd, NULL, NULL), EOPNOTSUPP);
    static char big[70000];
    struct sockaddr_in address = loopback(9);
    EXPECT_ERRNO(sendto(fd, big, sizeof big, 0, (void *)&address, sizeof address), EMSGSIZE);
    EXPECT_ERRNO(sendto(fd, big, 1, 0, (void *)&address, 4), EINVAL);
    EXPECT_EQ(connect_to(fd, 9), 0);
    address.sin_family = AF_UNSPEC;
    EXPECT_EQ(connect(fd, (void *)&address, sizeof address), 0);
    EXPECT_ERRNO(send(fd, "x", 1, 0), EDESTADDRREQ);
}

CASE(broadcast_needs_the_option)
{
    int fd = MUST(socket(AF_INET, SOCK_DGRAM, 0));
    struct sockaddr_in address = loopback(9);
    address.sin_addr.s_addr = htonl(0x7fffffff);
    EXPECT_ERRNO(sendto(fd, "x", 1, 0, (void *)&address, sizeof address), EACCES);
}

CASE(ipv6_loopback)
{
    int server = socket(AF_INET6, SOCK_STREAM, 0);
    SKIP_IF(server < 0, "no IPv6");
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int result = bind(server, (void *)&address, sizeof address);
    SKIP_IF(result < 0 && errno == EADDRNOTAVAIL, "no IPv6");
    REQUIRE(result == 0);
    MUST(listen(server, 1));
    socklen_t size = sizeof address;
    MUST(getsockname(server, (void *)&address, &size));
    EXPECT_EQ(size, sizeof address);
    int client = MUST(socket(AF_INET6, SOCK_STREAM, 0));
    EXPECT_EQ(connect(client, (void *)&address, sizeof address), 0);
    int peer = MUST(accept(server, NULL, NULL));
    EXPECT_EQ(write(client, "six", 3), 3);
    char text[8];
    EXPECT_EQ(read(peer, text, 8), 3);
}

CASE(loopback_interface)
{
    int fd = MUST(socket(AF_INET, SOCK_DGRAM, 0));
    struct ifreq request = {0};
    strcpy(request.ifr_name, "lo");
    EXPECT_EQ(ioctl(fd, SIOCGIFFLAGS, &request), 0);
    EXPECT_EQ(request.ifr_flags & (IFF_UP | IFF_LOOPBACK), IFF_UP | IFF_LOOPBACK);
    EXPECT_EQ(ioctl(fd, SIOCGIFINDEX, &request), 0);
    EXPECT_EQ(request.ifr_ifindex, 1);
    EXPECT_EQ(ioctl(fd, SIOCGIFADDR, &request), 0);
    EXPECT_EQ(((struct sockaddr_in *)&request.ifr_addr)->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    EXPECT_EQ(ioctl(fd, SIOCGIFMTU, &request), 0);
    EXPECT_EQ(request.ifr_mtu, 65536);
    strcpy(request.ifr_name, "nothere0");
    EXPECT_ERRNO(ioctl(fd, SIOCGIFINDEX, &request), ENODEV);
}

CASE(socket_families)
{
    EXPECT_ERRNO(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
    EXPECT_ERRNO(socket(AF_INET, SOCK_SEQPACKET, 0), ESOCKTNOSUPPORT);
    EXPECT_ERRNO(socket(AF_INET, SOCK_STREAM | 0x100, 0), EINVAL);
    EXPECT_OK(socket(AF_INET, SOCK_STREAM, IPPROTO_TCP));
    EXPECT_OK(socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP));
    CHILD(pid)
    {
        MUST(setuid(1000));
        EXPECT_ERRNO(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), EPERM);
    }
    EXPECT_EXIT(pid, 0);
}
