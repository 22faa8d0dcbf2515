/* SPDX-License-Identifier: Apache-2.0 */
/* Errors of the calls on sockets: no socket at all, wrong state, wrong address, nobody there. */
#include "tap.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

static char room[256];
static struct iovec iov = {room, 1};
static struct msghdr plain = {.msg_iov = &iov, .msg_iovlen = 1};

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

/* A socket bound to a free port of the loopback, whose address is stored. */
static int bound(int type, struct sockaddr_in *name)
{
    socklen_t size = sizeof *name;
    int fd = MUST(socket(AF_INET, type, 0));
    *name = loopback(0);
    MUST(bind(fd, (void *)name, size));
    MUST(getsockname(fd, (void *)name, &size));
    return fd;
}

/* The four ways to send one byte, and the three to receive, as rows. */
struct way {
    const char *name;
    long (*call)(int fd, int flags);
};
static long way_sendto(int fd, int flags)
{
    return syscall(SYS_sendto, fd, iov.iov_base, iov.iov_len, flags, NULL, 0);
}
static long way_sendmsg(int fd, int flags)
{
    return syscall(SYS_sendmsg, fd, &plain, flags);
}
static long way_sendmmsg(int fd, int flags)
{
    struct mmsghdr two[2] = {{plain, 0}, {plain, 0}};
    return syscall(SYS_sendmmsg, fd, two, 2, flags);
}
static long way_recvfrom(int fd, int flags)
{
    return syscall(SYS_recvfrom, fd, room, 1, flags, NULL, NULL);
}
static long way_recvmsg(int fd, int flags)
{
    struct msghdr message = plain;
    return syscall(SYS_recvmsg, fd, &message, flags);
}
static long way_recvmmsg(int fd, int flags)
{
    struct mmsghdr two[2] = {{plain, 0}, {plain, 0}};
    return syscall(SYS_recvmmsg, fd, two, 2, flags, NULL);
}
static const struct way senders[] = {
    {"sendto", way_sendto}, {"sendmsg", way_sendmsg}, {"sendmmsg", way_sendmmsg}};
static const struct way receivers[] = {
    {"recvfrom", way_recvfrom}, {"recvmsg", way_recvmsg}, {"recvmmsg", way_recvmmsg}};

#define ALL_FAIL(ways_, fd_, flags_, error_)                                                      \
    for (size_t i_ = 0; i_ < sizeof(ways_) / sizeof(ways_)[0]; i_++) {                            \
        errno = 0;                                                                                \
        tap_fails(__LINE__, ways_[i_].name, ways_[i_].call(fd_, flags_), error_, #error_);        \
    }

/* shows: sendto sendmsg sendmmsg recvfrom recvmsg recvmmsg: ENOTSOCK */
CASE(no_socket)
{
    int fd = MUST(open("/dev/null", O_RDWR));
    struct sockaddr_in name = loopback(1);
    socklen_t size = sizeof name;
    ALL_FAIL(senders, fd, 0, ENOTSOCK);
    ALL_FAIL(receivers, fd, 0, ENOTSOCK);
    EXPECT_ERRNO(connect(fd, (void *)&name, size), ENOTSOCK);
    EXPECT_ERRNO(bind(fd, (void *)&name, size), ENOTSOCK);
    EXPECT_ERRNO(listen(fd, 1), ENOTSOCK);
    EXPECT_ERRNO(accept(fd, NULL, NULL), ENOTSOCK);
    EXPECT_ERRNO(accept4(fd, NULL, NULL, 0), ENOTSOCK);
    EXPECT_ERRNO(getsockname(fd, (void *)&name, &size), ENOTSOCK);
    EXPECT_ERRNO(getpeername(fd, (void *)&name, &size), ENOTSOCK);
    EXPECT_ERRNO(getsockopt(fd, SOL_SOCKET, SO_TYPE, room, &size), ENOTSOCK);
    EXPECT_ERRNO(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, room, 4), ENOTSOCK);
    EXPECT_ERRNO(shutdown(fd, 2), ENOTSOCK);
}

/* shows: recvfrom recvmsg recvmmsg sendto sendmsg sendmmsg: ENOTCONN */
/* shows: sendto sendmsg sendmmsg: EPIPE EDESTADDRREQ EOPNOTSUPP EMSGSIZE */
CASE(not_connected)
{
    signal(SIGPIPE, SIG_IGN);
    int tcp = MUST(socket(AF_INET, SOCK_STREAM, 0));
    ALL_FAIL(receivers, tcp, 0, ENOTCONN);
    ALL_FAIL(senders, tcp, 0, EPIPE);
    int stream = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    ALL_FAIL(senders, stream, 0, ENOTCONN);
    int udp = MUST(socket(AF_INET, SOCK_DGRAM, 0));
    ALL_FAIL(senders, udp, 0, EDESTADDRREQ);
    int dgram = MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
    ALL_FAIL(senders, dgram, 0, ENOTCONN);
    socklen_t size = sizeof room;
    EXPECT_ERRNO(getpeername(tcp, (void *)room, &size), ENOTCONN);
    EXPECT_ERRNO(shutdown(tcp, 2), ENOTCONN);
    ALL_FAIL(senders, udp, MSG_OOB, EOPNOTSUPP);
}

CASE(message_too_long)
{
    struct sockaddr_in name;
    int udp = bound(SOCK_DGRAM, &name);
    static char big[70000];
    MUST(connect(udp, (void *)&name, sizeof name));
    iov = (struct iovec){big, sizeof big};
    ALL_FAIL(senders, udp, 0, EMSGSIZE);
}

/* shows: recvfrom recvmsg recvmmsg: EAGAIN */
/* shows: sendto sendmsg sendmmsg: EAGAIN ECONNRESET */
CASE(nothing_there_and_no_room)
{
    struct sockaddr_in name;
    int udp = bound(SOCK_DGRAM, &name), pair[2];
    ALL_FAIL(receivers, udp, MSG_DONTWAIT, EAGAIN);
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair));
    ALL_FAIL(receivers, pair[0], 0, EAGAIN);
    while (write(pair[0], room, sizeof room) > 0)
        ;
    ALL_FAIL(senders, pair[0], 0, EAGAIN);
    EXPECT_ERRNO(accept(MUST(socket(AF_UNIX, SOCK_STREAM, 0)), NULL, NULL), EINVAL);
    int listener = bound(SOCK_STREAM, &name);
    MUST(listen(listener, 1));
    MUST(fcntl(listener, F_SETFL, O_NONBLOCK));
    EXPECT_ERRNO(accept(listener, NULL, NULL), EAGAIN);
    EXPECT_ERRNO(accept4(listener, NULL, NULL, 0), EAGAIN);
    EXPECT_ERRNO(accept4(udp, NULL, NULL, 0), EOPNOTSUPP);
    EXPECT_ERRNO(accept(udp, NULL, NULL), EOPNOTSUPP);
    EXPECT_ERRNO(accept4(listener, NULL, NULL, 1), EINVAL);
    EXPECT_ERRNO(listen(udp, 1), EOPNOTSUPP);
    /* data that nobody read is lost: the other side hears of it */
    int back[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, back));
    MUST(write(back[0], room, 1));
    close(back[1]);
    signal(SIGPIPE, SIG_IGN);
    EXPECT_ERRNO(recv(back[0], room, 1, 0), ECONNRESET);
}

/* shows: sendto sendmsg sendmmsg: ECONNRESET */
CASE(reset_by_the_peer)
{
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < 3; i++) {
        struct sockaddr_in name;
        int listener = bound(SOCK_STREAM, &name);
        MUST(listen(listener, 1));
        int client = MUST(socket(AF_INET, SOCK_STREAM, 0));
        MUST(connect(client, (void *)&name, sizeof name));
        int server = MUST(accept(listener, NULL, NULL));
        struct linger linger = {1, 0};
        MUST(setsockopt(server, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
        close(server);
        errno = 0;
        tap_fails(__LINE__, senders[i].name, senders[i].call(client, 0), ECONNRESET, "ECONNRESET");
        errno = 0;
        tap_fails(__LINE__, senders[i].name, senders[i].call(client, 0), EPIPE, "EPIPE");
        close(client);
        close(listener);
    }
}

/* shows: recvfrom recvmsg recvmmsg sendto sendmsg sendmmsg: ECONNREFUSED */
CASE(refused_datagrams)
{
    struct sockaddr_in name;
    int fd = MUST(socket(AF_INET, SOCK_DGRAM, 0));
    int gone = bound(SOCK_DGRAM, &name);
    close(gone);
    MUST(connect(fd, (void *)&name, sizeof name));
    for (int i = 0; i < 3; i++) {
        MUST(send(fd, room, 1, 0));
        errno = 0;
        tap_fails(__LINE__, receivers[i].name, receivers[i].call(fd, 0), ECONNREFUSED,
                  "ECONNREFUSED");
        MUST(send(fd, room, 1, 0));
        errno = 0;
        tap_fails(__LINE__, senders[i].name, senders[i].call(fd, 0), ECONNREFUSED, "ECONNREFUSED");
    }
}

/* shows: recvfrom recvmsg recvmmsg: EFAULT EINVAL */
/* shows: sendto sendmsg sendmmsg: EFAULT EINVAL EISCONN EACCES EMSGSIZE */
CASE(bad_messages)
{
    struct sockaddr_in name;
    int udp = bound(SOCK_DGRAM, &name), pair[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    MUST(write(pair[1], "text", 4));
    struct iovec bad = {(void *)8, 1}, huge = {room, -1ul};
    struct msghdr bad_data = {.msg_iov = &bad, .msg_iovlen = 1};
    struct msghdr bad_vector = {.msg_iov = (void *)8, .msg_iovlen = 1};
    struct msghdr long_vector = {.msg_iov = &iov, .msg_iovlen = 2000};
    struct msghdr huge_vector = {.msg_iov = &huge, .msg_iovlen = 1};
    EXPECT_ERRNO(sendto(pair[0], (void *)8, 1, 0, NULL, 0), EFAULT);
    EXPECT_ERRNO(sendto(udp, room, 1, 0, (void *)8, 16), EFAULT);
    EXPECT_ERRNO(sendto(udp, room, 1, 0, (void *)&name, 3), EINVAL);
    EXPECT_ERRNO(sendto(udp, room, 1, 0, (void *)&name, 200), EINVAL);
    EXPECT_ERRNO(sendmsg(pair[0], &bad_data, 0), EFAULT);
    EXPECT_ERRNO(sendmsg(pair[0], &bad_vector, 0), EFAULT);
    EXPECT_ERRNO(sendmsg(pair[0], (void *)8, 0), EFAULT);
    EXPECT_ERRNO(sendmsg(pair[0], &long_vector, 0), EMSGSIZE);
    EXPECT_ERRNO(sendmsg(pair[0], &huge_vector, 0), EINVAL);
    EXPECT_ERRNO(sendmmsg(pair[0], (void *)8, 1, 0), EFAULT);
    struct mmsghdr many = {huge_vector, 0};
    EXPECT_ERRNO(sendmmsg(pair[0], &many, 1, 0), EINVAL);
    many.msg_hdr = long_vector;
    EXPECT_ERRNO(sendmmsg(pair[0], &many, 1, 0), EMSGSIZE);
    EXPECT_ERRNO(recvfrom(pair[0], (void *)8, 1, 0, NULL, NULL), EFAULT);
    EXPECT_ERRNO(recvfrom(pair[0], room, 1, MSG_OOB, NULL, NULL), EINVAL);
    EXPECT_ERRNO(recvmsg(pair[0], &bad_data, 0), EFAULT);
    EXPECT_ERRNO(recvmsg(pair[0], (void *)8, 0), EFAULT);
    EXPECT_ERRNO(recvmsg(pair[0], &huge_vector, 0), EINVAL);
    many.msg_hdr = huge_vector;
    EXPECT_ERRNO(recvmmsg(pair[0], &many, 1, 0, NULL), EINVAL);
    EXPECT_ERRNO(recvmmsg(pair[0], (void *)8, 1, 0, NULL), EFAULT);
    many.msg_hdr = plain;
    EXPECT_ERRNO(recvmmsg(pair[0], &many, 1, 0, &(struct timespec){0, 1000000000}), EINVAL);
    /* a connected stream takes no address; broadcasts need an option */
    struct sockaddr_un other = {AF_UNIX, "other"};
    EXPECT_ERRNO(sendto(pair[0], room, 1, 0, (void *)&other, sizeof other), EISCONN);
    struct msghdr addressed = plain;
    addressed.msg_name = &other;
    addressed.msg_namelen = sizeof other;
    EXPECT_ERRNO(sendmsg(pair[0], &addressed, 0), EISCONN);
    many.msg_hdr = addressed;
    EXPECT_ERRNO(sendmmsg(pair[0], &many, 1, 0), EISCONN);
    int sender = MUST(socket(AF_INET, SOCK_DGRAM, 0));
    struct sockaddr_in all = loopback(9);
    all.sin_addr.s_addr = htonl(0x7fffffff);
    EXPECT_ERRNO(sendto(sender, room, 1, 0, (void *)&all, sizeof all), EACCES);
    addressed.msg_name = &all;
    addressed.msg_namelen = sizeof all;
    EXPECT_ERRNO(sendmsg(sender, &addressed, 0), EACCES);
    many.msg_hdr = addressed;
    EXPECT_ERRNO(sendmmsg(sender, &many, 1, 0), EACCES);
}

CASE(bad_addresses)
{
    struct sockaddr_in name;
    int tcp = MUST(socket(AF_INET, SOCK_STREAM, 0));
    int listener = bound(SOCK_STREAM, &name);
    MUST(listen(listener, 4));
    socklen_t size = sizeof name, bad_size = -1;
    EXPECT_ERRNO(connect(tcp, (void *)8, size), EFAULT);
    EXPECT_ERRNO(connect(tcp, (void *)&name, 3), EINVAL);
    struct sockaddr_in odd = name;
    odd.sin_family = 77;
    EXPECT_ERRNO(connect(tcp, (void *)&odd, size), EAFNOSUPPORT);
    EXPECT_ERRNO(bind(tcp, (void *)&odd, size), EAFNOSUPPORT);
    EXPECT_ERRNO(bind(tcp, (void *)8, size), EFAULT);
    EXPECT_ERRNO(bind(tcp, (void *)&name, size), EADDRINUSE);
    EXPECT_ERRNO(getsockname(tcp, (void *)8, &size), EFAULT);
    EXPECT_ERRNO(getsockname(tcp, (void *)room, &bad_size), EINVAL);
    MUST(connect(tcp, (void *)&name, sizeof name));
    size = sizeof name;
    EXPECT_ERRNO(getpeername(tcp, (void *)8, &size), EFAULT);
    EXPECT_ERRNO(getpeername(tcp, (void *)room, (void *)8), EFAULT);
    EXPECT_ERRNO(getpeername(tcp, (void *)room, &bad_size), EINVAL);
    EXPECT_ERRNO(connect(tcp, (void *)&name, sizeof name), EISCONN);
    EXPECT_ERRNO(getsockopt(tcp, SOL_SOCKET, SO_TYPE, room, &bad_size), EINVAL);
    EXPECT_ERRNO(getsockopt(tcp, SOL_SOCKET, SO_TYPE, room, (void *)8), EFAULT);
    EXPECT_ERRNO(setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, (void *)8, 4), EFAULT);
    EXPECT_ERRNO(setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, room, 1), EINVAL);
    EXPECT_ERRNO(accept(listener, (void *)8, &size), EFAULT);
    int again = MUST(socket(AF_INET, SOCK_STREAM, 0));
    MUST(connect(again, (void *)&name, sizeof name));
    EXPECT_ERRNO(accept4(listener, (void *)8, &size, 0), EFAULT);
    int udp = MUST(socket(AF_INET, SOCK_DGRAM, 0));
    struct sockaddr_in all = loopback(9);
    all.sin_addr.s_addr = htonl(0x7fffffff);
    EXPECT_ERRNO(connect(udp, (void *)&all, sizeof all), EACCES);
}

CASE(connections_under_way)
{
    struct sockaddr_in name;
    int listener = bound(SOCK_STREAM, &name);
    MUST(listen(listener, 0));
    int one = MUST(socket(AF_INET, SOCK_STREAM, 0));
    MUST(connect(one, (void *)&name, sizeof name)); /* the backlog is full now */
    int waiting = MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    EXPECT_ERRNO(connect(waiting, (void *)&name, sizeof name), EINPROGRESS);
    EXPECT_ERRNO(connect(waiting, (void *)&name, sizeof name), EALREADY);
    /* two connections from one port to one place */
    struct sockaddr_in mine;
    socklen_t size = sizeof mine;
    MUST(getsockname(one, (void *)&mine, &size));
    int two = MUST(socket(AF_INET, SOCK_STREAM, 0));
    EXPECT_ERRNO(bind(two, (void *)&mine, size), EADDRINUSE);
}

CASE(names_of_files)
{
    tap_tmpdir();
    struct sockaddr_un name = {AF_UNIX, "name"}, none = {AF_UNIX, "none"}, loop = {AF_UNIX, "loop/x"};
    struct sockaddr_un below = {AF_UNIX, "file/x"}, deep = {AF_UNIX, "none/x"};
    tap_write_file("file", "");
    MUST(symlink("loop", "loop"));
    int stream = MUST(socket(AF_UNIX, SOCK_STREAM, 0)), dgram = MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
    EXPECT_ERRNO(bind(stream, (void *)&loop, sizeof loop), ELOOP);
    EXPECT_ERRNO(bind(stream, (void *)&below, sizeof below), ENOTDIR);
    EXPECT_ERRNO(bind(stream, (void *)&deep, sizeof deep), ENOENT);
    EXPECT_ERRNO(connect(stream, (void *)&none, sizeof none), ENOENT);
    MUST(bind(stream, (void *)&name, sizeof name));
    EXPECT_ERRNO(connect(dgram, (void *)&name, sizeof name), EPROTOTYPE);
    int client = MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
    EXPECT_ERRNO(connect(client, (void *)&name, sizeof name), ECONNREFUSED);
    MUST(listen(stream, 0));
    MUST(connect(client, (void *)&name, sizeof name));
    int late = MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
    EXPECT_ERRNO(connect(late, (void *)&name, sizeof name), EAGAIN);
    MUST(chmod("name", 0600));
    MUST(chmod(".", 0755));
    /* a datagram socket that is connected takes from its peer alone */
    struct sockaddr_un a = {AF_UNIX, "a"}, b = {AF_UNIX, "b"};
    int first = MUST(socket(AF_UNIX, SOCK_DGRAM, 0)), second = MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
    MUST(bind(first, (void *)&a, sizeof a));
    MUST(bind(second, (void *)&b, sizeof b));
    MUST(connect(first, (void *)&b, sizeof b));
    EXPECT_ERRNO(connect(dgram, (void *)&a, sizeof a), EPERM);
    CHILD(pid)
    {
        MUST(setresuid(1000, 1000, 1000));
        int fd = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
        struct sockaddr_un mine = {AF_UNIX, "mine"};
        EXPECT_ERRNO(connect(fd, (void *)&name, sizeof name), EACCES);
        EXPECT_ERRNO(bind(fd, (void *)&mine, sizeof mine), EACCES);
    }
    EXPECT_EXIT(pid, 0);
    MUST(unshare(CLONE_NEWNS));
    MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    MUST(mkdir("mnt", 0700));
    MUST(mount("none", "mnt", "tmpfs", MS_RDONLY, NULL));
    struct sockaddr_un fixed = {AF_UNIX, "mnt/x"};
    EXPECT_ERRNO(bind(dgram, (void *)&fixed, sizeof fixed), EROFS);
    MUST(umount2("mnt", 0));
}

/* shows: sendto sendmsg sendmmsg recvfrom recvmsg recvmmsg accept accept4 connect: EINTR */
CASE(interrupted)
{
    tap_tmpdir();
    int pair[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    INTERRUPTED(way_recvfrom(pair[0], 0));
    INTERRUPTED(way_recvmsg(pair[0], 0));
    INTERRUPTED(way_recvmmsg(pair[0], 0));
    while (send(pair[0], room, sizeof room, MSG_DONTWAIT) > 0)
        ;
    INTERRUPTED(way_sendto(pair[0], 0));
    INTERRUPTED(way_sendmsg(pair[0], 0));
    INTERRUPTED(way_sendmmsg(pair[0], 0));
    struct sockaddr_un name = {AF_UNIX, "name"};
    int listener = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    MUST(bind(listener, (void *)&name, sizeof name));
    MUST(listen(listener, 0));
    INTERRUPTED(accept(listener, NULL, NULL));
    INTERRUPTED(accept4(listener, NULL, NULL, 0));
    int client = MUST(socket(AF_UNIX, SOCK_STREAM, 0)), late = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    MUST(connect(client, (void *)&name, sizeof name));
    INTERRUPTED(connect(late, (void *)&name, sizeof name));
}

CASE(kinds_that_are_not_there)
{
    int pair[2];
    EXPECT_ERRNO(socket(77, SOCK_STREAM, 0), EAFNOSUPPORT);
    EXPECT_ERRNO(socket(AF_INET, 77, 0), EINVAL);
    EXPECT_ERRNO(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
    EXPECT_ERRNO(socketpair(77, SOCK_STREAM, 0, pair), EAFNOSUPPORT);
    EXPECT_ERRNO(socketpair(AF_INET, SOCK_STREAM, 0, pair), EOPNOTSUPP);
    EXPECT_ERRNO(socketpair(AF_UNIX, SOCK_STREAM, 77, pair), EPROTONOSUPPORT);
    EXPECT_ERRNO(socketpair(AF_UNIX, SOCK_STREAM | 0x40000000, 0, pair), EINVAL);
    EXPECT_ERRNO(socketpair(AF_UNIX, SOCK_STREAM, 0, (void *)8), EFAULT);
    EXPECT_ERRNO(shutdown(MUST(socket(AF_UNIX, SOCK_STREAM, 0)), 7), EINVAL);
}
