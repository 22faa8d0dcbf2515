/* SPDX-License-Identifier: Apache-2.0 */
/* Unix sockets: stream, datagram, seqpacket; names, descriptors and credentials in messages. */
#include "tap.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/uio.h>

static volatile sig_atomic_t signal_count;

static void on_signal(int signal)
{
    signal_count++;
}

static void pair_of(int type, int pair[2])
{
    MUST(socketpair(AF_UNIX, type, 0, pair));
}

static socklen_t name_of(struct sockaddr_un *address, const char *path)
{
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    size_t size = strlen(path);
    memcpy(address->sun_path + (path[0] == '@'), path + (path[0] == '@'),
           size - (path[0] == '@'));
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + (path[0] != '@'));
}

static int bound(int type, const char *path)
{
    struct sockaddr_un address;
    int fd = MUST(socket(AF_UNIX, type, 0));
    socklen_t size = name_of(&address, path);
    MUST(bind(fd, (void *)&address, size));
    return fd;
}

static int connect_to(int fd, const char *path)
{
    struct sockaddr_un address;
    socklen_t size = name_of(&address, path);
    return connect(fd, (void *)&address, size);
}

CASE(socket_errors)
{
    int pair[2];
    EXPECT_ERRNO(socket(AF_UNIX, 99, 0), EINVAL);
    EXPECT_ERRNO(socket(AF_UNIX, SOCK_STREAM, 99), EPROTONOSUPPORT);
    EXPECT_ERRNO(socket(999, SOCK_STREAM, 0), EAFNOSUPPORT);
    EXPECT_ERRNO(socket(AF_UNIX, SOCK_RDM, 0), ESOCKTNOSUPPORT);
    EXPECT_ERRNO(syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, 8), EFAULT);
    EXPECT_ERRNO(socketpair(AF_INET, SOCK_STREAM, 0, pair), EOPNOTSUPP);
    int fd = MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
}

CASE(not_a_socket)
{
    int null = MUST(open("/dev/null", O_RDWR));
    struct sockaddr_un address;
    socklen_t size = sizeof address;
    char byte;
    EXPECT_ERRNO(listen(null, 1), ENOTSOCK);
    EXPECT_ERRNO(accept(null, NULL, NULL), ENOTSOCK);
    EXPECT_ERRNO(getsockname(null, (void *)&address, &size), ENOTSOCK);
    EXPECT_ERRNO(recv(null, &byte, 1, 0), ENOTSOCK);
    EXPECT_ERRNO(send(null, "x", 1, 0), ENOTSOCK);
    EXPECT_ERRNO(shutdown(null, SHUT_RD), ENOTSOCK);
    EXPECT_ERRNO(setsockopt(null, SOL_SOCKET, SO_DEBUG, &size, 4), ENOTSOCK);
    EXPECT_ERRNO(shutdown(-1, SHUT_RD), EBADF);
}

CASE(stream_pair_is_two_byte_pipes)
{
    int pair[2];
    pair_of(SOCK_STREAM, pair);
    char text[16] = {0};
    EXPECT_EQ(write(pair[0], "abc", 3), 3);
    EXPECT_EQ(send(pair[0], "def", 3, 0), 3);
    EXPECT_EQ(read(pair[1], text, 4), 4);
    EXPECT_STR(text, "abcd");
    EXPECT_EQ(recv(pair[1], text, 16, 0), 2);
    EXPECT_EQ(write(pair[1], "back", 4), 4);
    EXPECT_EQ(read(pair[0], text, 16), 4);
    EXPECT_ERRNO(recv(pair[0], text, 1, MSG_DONTWAIT), EAGAIN);
    EXPECT_ERRNO(lseek(pair[0], 0, SEEK_SET), ESPIPE);
}

CASE(stream_peer_closes)
{
    int pair[2];
    pair_of(SOCK_STREAM, pair);
    EXPECT_EQ(write(pair[0], "x", 1), 1);
    close(pair[0]);
    char text[4];
    EXPECT_EQ(read(pair[1], text, 4), 1);
    EXPECT_EQ(read(pair[1], text, 4), 0);
    tap_handle(SIGPIPE, on_signal, 0);
    EXPECT_ERRNO(write(pair[1], "x", 1), EPIPE);
    EXPECT_EQ(signal_count, 1);
    EXPECT_ERRNO(send(pair[1], "x", 1, MSG_NOSIGNAL), EPIPE);
    EXPECT_EQ(signal_count, 1);
}

CASE(stream_unread_data_resets)
{
    int pair[2];
    pair_of(SOCK_STREAM, pair);
    EXPECT_EQ(write(pair[1], "unread", 6), 6);
    close(pair[0]);
    char text[4];
    EXPECT_ERRNO(read(pair[1], text, 4), ECONNRESET);
    EXPECT_EQ(read(pair[1], text, 4), 0);
}

CASE(shutdown_directions)
{
    int pair[2];
    pair_of(SOCK_STREAM, pair);
    char text[4];
    signal(SIGPIPE, SIG_IGN);
    EXPECT_EQ(shutdown(pair[0], SHUT_WR), 0);
    EXPECT_EQ(read(pair[1], text, 4), 0);
    EXPECT_ERRNO(write(pair[0], "x", 1), EPIPE);
    EXPECT_EQ(write(pair[1], "y", 1), 1);
    EXPECT_EQ(read(pair[0], text, 4), 1);
    EXPECT_EQ(shutdown(pair[0], SHUT_RD), 0);
    EXPECT_ERRNO(write(pair[1], "z", 1), EPIPE);
    EXPECT_EQ(read(pair[0], text, 4), 0);
    EXPECT_ERRNO(shutdown(pair[0], 99), EINVAL);
    int fd = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    EXPECT_EQ(shutdown(fd, SHUT_RDWR), 0);
}

CASE(peek_and_waitall)
{
    int pair[2];
    pair_of(SOCK_STREAM, pair);
    char text[8] = {0};
    EXPECT_EQ(write(pair[0], "abc", 3), 3);
    EXPECT_EQ(recv(pair[1], text, 8, MSG_PEEK), 3);
    EXPECT_EQ(recv(pair[1], text, 2, MSG_PEEK), 2);
    CHILD(pid)
    {
        tap_until_asleep(getppid());
        EXPECT_EQ(write(pair[0], "def", 3), 3);
    }
    EXPECT_EQ(recv(pair[1], text, 6, MSG_WAITALL), 6);
    EXPECT_STR(text, "abcdef");
    EXPECT_EXIT(pid, 0);
}

CASE(datagrams_keep_their_bounds)
{
    int pair[2];
    pair_of(SOCK_DGRAM, pair);
    char text[16] = {0};
    EXPECT_EQ(send(pair[0], "abc", 3, 0), 3);
    EXPECT_EQ(send(pair[0], "", 0, 0), 0);
    EXPECT_EQ(send(pair[0], "defgh", 5, 0), 5);
    EXPECT_EQ(recv(pair[1], text, 16, 0), 3);
    EXPECT_EQ(recv(pair[1], text, 16, 0), 0);
    EXPECT_EQ(recv(pair[1], text, 2, MSG_PEEK | MSG_TRUNC), 5);
    struct iovec iov = {text, 2};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    EXPECT_EQ(recvmsg(pair[1], &message, 0), 2);
    EXPECT_EQ(message.msg_flags & MSG_TRUNC, MSG_TRUNC);
    EXPECT_ERRNO(recv(pair[1], text, 16, MSG_DONTWAIT), EAGAIN);
}

CASE(seqpacket_pair)
{
    int pair[2];
    pair_of(SOCK_SEQPACKET, pair);
    char text[16] = {0};
    EXPECT_EQ(send(pair[0], "abc", 3, 0), 3);
    EXPECT_EQ(send(pair[0], "de", 2, 0), 2);
    EXPECT_EQ(recv(pair[1], text, 16, 0), 3);
    EXPECT_EQ(recv(pair[1], text, 1, 0), 1);
    EXPECT_ERRNO(recv(pair[1], text, 16, MSG_DONTWAIT), EAGAIN);
    close(pair[0]);
    EXPECT_EQ(recv(pair[1], text, 16, 0), 0);
}

CASE(pathname_connection)
{
    tap_tmpdir();
    int server = bound(SOCK_STREAM, "sock");
    struct stat st;
    EXPECT_EQ(stat("sock", &st), 0);
    EXPECT_EQ(st.st_mode, S_IFSOCK | 0755);
    int client = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    EXPECT_ERRNO(connect_to(client, "sock"), ECONNREFUSED);
    EXPECT_EQ(listen(server, 5), 0);
    EXPECT_EQ(connect_to(client, "sock"), 0);
    EXPECT_ERRNO(connect_to(client, "sock"), EISCONN);
    EXPECT_EQ(write(client, "early", 5), 5);
    struct sockaddr_un address;
    socklen_t size = sizeof address;
    int peer = MUST(accept4(server, (void *)&address, &size, SOCK_CLOEXEC));
    EXPECT_EQ(size, sizeof(sa_family_t)); /* the client has no name */
    EXPECT_EQ(fcntl(peer, F_GETFD), FD_CLOEXEC);
    char text[8] = {0};
    EXPECT_EQ(read(peer, text, 8), 5);
    EXPECT_STR(text, "early");
    size = sizeof address;
    EXPECT_EQ(getpeername(client, (void *)&address, &size), 0);
    EXPECT_STR(address.sun_path, "sock");
    EXPECT_EQ(size, 7);
    size = sizeof address;
    EXPECT_EQ(getsockname(peer, (void *)&address, &size), 0);
    EXPECT_STR(address.sun_path, "sock");
    MUST(unlink("sock"));
    int other = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    EXPECT_ERRNO(connect_to(other, "sock"), ENOENT);
}

CASE(bind_errors)
{
    tap_tmpdir();
    struct sockaddr_un address;
    socklen_t size = name_of(&address, "sock");
    int fd = bound(SOCK_STREAM, "sock");
    struct sockaddr_un second;
    socklen_t second_size = name_of(&second, "second");
    EXPECT_ERRNO(bind(fd, (void *)&second, second_size), EINVAL);
    int other = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    EXPECT_ERRNO(bind(other, (void *)&address, size), EADDRINUSE);
    size = name_of(&address, "missing/sock");
    EXPECT_ERRNO(bind(other, (void *)&address, size), ENOENT);
    EXPECT_ERRNO(bind(other, (void *)&address, 1), EINVAL);
    EXPECT_ERRNO(bind(other, (void *)&address, 200), EINVAL);
    address.sun_family = AF_INET;
    EXPECT_ERRNO(bind(other, (void *)&address, size), EINVAL);
    EXPECT_ERRNO(listen(other, 1), EINVAL);
    EXPECT_ERRNO(accept(other, NULL, NULL), EINVAL);
    EXPECT_EQ(close(fd), 0);
    EXPECT_EQ(access("sock", F_OK), 0); /* the file stays */
}

CASE(abstract_names)
{
    char name[64];
    snprintf(name, sizeof name, "@conformance.%d", (int)getpid());
    int server = bound(SOCK_STREAM, name);
    EXPECT_EQ(listen(server, 1), 0);
    int client = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    EXPECT_EQ(connect_to(client, name), 0);
    struct sockaddr_un address;
    socklen_t size = sizeof address;
    EXPECT_EQ(getpeername(client, (void *)&address, &size), 0);
    EXPECT_EQ(size, 2 + strlen(name));
    EXPECT_EQ(address.sun_path[0], 0);
    EXPECT_MEM(address.sun_path + 1, name + 1, strlen(name) - 1);
    close(server);
    int other = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    EXPECT_ERRNO(connect_to(other, name), ECONNREFUSED);
}

CASE(autobind)
{
    int fd = MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    EXPECT_EQ(bind(fd, (void *)&address, sizeof(sa_family_t)), 0);
    socklen_t size = sizeof address;
    EXPECT_EQ(getsockname(fd, (void *)&address, &size), 0);
    EXPECT_EQ(size, 8); /* a zero byte and five hex digits */
    EXPECT_EQ(address.sun_path[0], 0);
}

CASE(datagram_addresses)
{
    tap_tmpdir();
    int a = bound(SOCK_DGRAM, "a");
    int b = bound(SOCK_DGRAM, "b");
    struct sockaddr_un address;
    socklen_t size = name_of(&address, "b");
    EXPECT_EQ(sendto(a, "hi", 2, 0, (void *)&address, size), 2);
    char text[8] = {0};
    memset(&address, 0, sizeof address);
    size = sizeof address;
    EXPECT_EQ(recvfrom(b, text, 8, 0, (void *)&address, &size), 2);
    EXPECT_STR(address.sun_path, "a");
    EXPECT_ERRNO(send(a, "hi", 2, 0), ENOTCONN);
    EXPECT_EQ(connect_to(a, "b"), 0);
    EXPECT_EQ(send(a, "hi", 2, 0), 2);
    close(b);
    EXPECT_ERRNO(send(a, "hi", 2, 0), ECONNREFUSED);
    int stream = bound(SOCK_STREAM, "s");
    EXPECT_ERRNO(connect_to(a, "s"), EPROTOTYPE);
    close(stream);
}

CASE(accept_waits_and_nonblocks)
{
    tap_tmpdir();
    int server = bound(SOCK_STREAM, "sock");
    MUST(listen(server, 1));
    MUST(fcntl(server, F_SETFL, O_NONBLOCK));
    EXPECT_ERRNO(accept(server, NULL, NULL), EAGAIN);
    struct pollfd p = {server, POLLIN, 0};
    EXPECT_EQ(poll(&p, 1, 0), 0);
    MUST(fcntl(server, F_SETFL, 0));
    CHILD(pid)
    {
        tap_until_asleep(getppid());
        int client = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
        EXPECT_EQ(connect_to(client, "sock"), 0);
        char byte;
        EXPECT_EQ(read(client, &byte, 1), 1);
    }
    int peer = MUST(accept(server, NULL, NULL));
    EXPECT_EQ(write(peer, "x", 1), 1);
    EXPECT_EXIT(pid, 0);
}

CASE(backlog_fills)
{
    tap_tmpdir();
    int server = bound(SOCK_STREAM, "sock");
    MUST(listen(server, 0));
    int a = MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
    int b = MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
    EXPECT_EQ(connect_to(a, "sock"), 0);
    EXPECT_ERRNO(connect_to(b, "sock"), EAGAIN);
    close(server);
    char byte;
    EXPECT_ERRNO(read(a, &byte, 1), ECONNRESET);
}

static long send_fds(int sock, const int *fds, size_t count, const char *text)
{
    char control[CMSG_SPACE(sizeof(int) * 8)] = {0};
    struct iovec iov = {(void *)text, strlen(text)};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
                             .msg_controllen = CMSG_SPACE(sizeof(int) * count)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(header), fds, sizeof(int) * count);
    return sendmsg(sock, &message, 0);
}

/* Receives text and descriptors; the count of descriptors, or -1. */
static int receive_fds(int sock, int *fds, size_t room, char *text, size_t text_size, int flags,
                       int *flags_out)
{
    char control[CMSG_SPACE(sizeof(int) * 8)] = {0};
    struct iovec iov = {text, text_size};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
                             .msg_controllen = room ? CMSG_LEN(sizeof(int) * room) : 0};
    if (recvmsg(sock, &message, flags) < 0)
        return -1;
    *flags_out = message.msg_flags;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (!header || header->cmsg_type != SCM_RIGHTS)
        return 0;
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(fds, CMSG_DATA(header), sizeof(int) * count);
    return (int)count;
}

CASE(descriptor_passing)
{
    int pair[2], fds[2], got[8], flags = 0;
    pair_of(SOCK_STREAM, pair);
    MUST(pipe(fds));
    EXPECT_EQ(send_fds(pair[0], fds, 2, "x"), 1);
    close(fds[0]);
    close(fds[1]);
    char text[4];
    EXPECT_EQ(receive_fds(pair[1], got, 8, text, 4, MSG_CMSG_CLOEXEC, &flags), 2);
    EXPECT_EQ(flags & ~MSG_CMSG_CLOEXEC, 0);
    EXPECT_EQ(fcntl(got[0], F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(write(got[1], "q", 1), 1);
    EXPECT_EQ(read(got[0], text, 1), 1);
    EXPECT_EQ(text[0], 'q');
}

CASE(descriptor_passing_truncates)
{
    int pair[2], fds[2], got[8], flags = 0;
    pair_of(SOCK_STREAM, pair);
    MUST(pipe(fds));
    EXPECT_EQ(send_fds(pair[0], fds, 2, "x"), 1);
    char text[4];
    EXPECT_EQ(receive_fds(pair[1], got, 1, text, 4, 0, &flags), 1);
    EXPECT_EQ(flags & MSG_CTRUNC, MSG_CTRUNC);
    EXPECT_EQ(send_fds(pair[0], fds, 2, "x"), 1);
    EXPECT_EQ(receive_fds(pair[1], got, 0, text, 4, 0, &flags), 0);
    EXPECT_EQ(flags & MSG_CTRUNC, MSG_CTRUNC);
    int bad = 999;
    EXPECT_ERRNO(send_fds(pair[0], &bad, 1, "x"), EBADF);
}

CASE(descriptors_divide_the_stream)
{
    int pair[2], fds[2], got[8], flags = 0;
    pair_of(SOCK_STREAM, pair);
    MUST(pipe(fds));
    EXPECT_EQ(write(pair[0], "aa", 2), 2);
    EXPECT_EQ(send_fds(pair[0], fds, 1, "bb"), 2);
    EXPECT_EQ(write(pair[0], "cc", 2), 2);
    char text[16] = {0};
    EXPECT_EQ(read(pair[1], text, 1), 1);
    memset(text, 0, sizeof text);
    EXPECT_EQ(receive_fds(pair[1], got, 8, text, 16, 0, &flags), 1);
    EXPECT_STR(text, "abb"); /* a read stops behind the bytes that carry descriptors */
    memset(text, 0, sizeof text);
    EXPECT_EQ(receive_fds(pair[1], got, 8, text, 16, 0, &flags), 0);
    EXPECT_STR(text, "cc");
}

CASE(passed_descriptor_shares_its_offset)
{
    tap_tmpdir();
    tap_write_file("file", "abcdef");
    int pair[2], got[8], flags = 0;
    pair_of(SOCK_DGRAM, pair);
    int fd = MUST(open("file", O_RDONLY));
    char text[4] = {0};
    EXPECT_EQ(send_fds(pair[0], &fd, 1, "x"), 1);
    EXPECT_EQ(read(fd, text, 2), 2);
    EXPECT_EQ(receive_fds(pair[1], got, 8, text, 4, 0, &flags), 1);
    EXPECT_EQ(read(got[0], text, 2), 2);
    EXPECT_MEM(text, "cd", 2);
}

CASE(unread_descriptors_are_closed)
{
    int pair[2], fds[2];
    pair_of(SOCK_STREAM, pair);
    MUST(pipe(fds));
    EXPECT_EQ(send_fds(pair[0], &fds[1], 1, "x"), 1);
    close(fds[1]);
    close(pair[0]);
    close(pair[1]);
    char byte;
    EXPECT_EQ(read(fds[0], &byte, 1), 0); /* the writer in flight died with the socket */
}

CASE(credentials_on_request)
{
    int pair[2];
    int on = 1;
    pair_of(SOCK_STREAM, pair);
    EXPECT_EQ(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
    CHILD(pid)
    {
        MUST(setgid(2000));
        MUST(setuid(1000));
        EXPECT_EQ(write(pair[0], "x", 1), 1);
    }
    EXPECT_EXIT(pid, 0);
    char byte;
    char control[CMSG_SPACE(sizeof(struct ucred))];
    struct iovec iov = {&byte, 1};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
                             .msg_controllen = sizeof control};
    EXPECT_EQ(recvmsg(pair[1], &message, 0), 1);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    REQUIRE(header != NULL);
    EXPECT_EQ(header->cmsg_type, SCM_CREDENTIALS);
    struct ucred cred;
    memcpy(&cred, CMSG_DATA(header), sizeof cred);
    EXPECT_EQ(cred.pid, pid);
    EXPECT_EQ(cred.uid, 1000);
    EXPECT_EQ(cred.gid, 2000);
}

CASE(credentials_may_not_lie)
{
    int pair[2];
    pair_of(SOCK_DGRAM, pair);
    CHILD(child)
    {
        MUST(setuid(1000));
        char control[CMSG_SPACE(sizeof(struct ucred))] = {0};
        struct iovec iov = {"x", 1};
        struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
                                 .msg_controllen = sizeof control};
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_CREDENTIALS;
        header->cmsg_len = CMSG_LEN(sizeof(struct ucred));
        struct ucred *cred = (struct ucred *)CMSG_DATA(header);
        *cred = (struct ucred){getpid(), 1000, 0};
        EXPECT_EQ(sendmsg(pair[0], &message, 0), 1);
        *cred = (struct ucred){getpid(), 0, 0};
        EXPECT_ERRNO(sendmsg(pair[0], &message, 0), EPERM);
        *cred = (struct ucred){getppid(), 1000, 0};
        EXPECT_ERRNO(sendmsg(pair[0], &message, 0), EPERM);
    }
    EXPECT_EXIT(child, 0);
}

CASE(peer_credentials)
{
    int pair[2];
    pair_of(SOCK_STREAM, pair);
    struct ucred cred = {0};
    socklen_t size = sizeof cred;
    EXPECT_EQ(getsockopt(pair[0], SOL_SOCKET, SO_PEERCRED, &cred, &size), 0);
    EXPECT_EQ(cred.pid, getpid());
    EXPECT_EQ(cred.uid, 0);
}

CASE(socket_options)
{
    int pair[2];
    pair_of(SOCK_SEQPACKET, pair);
    int value = 0;
    socklen_t size = sizeof value;
    EXPECT_EQ(getsockopt(pair[0], SOL_SOCKET, SO_TYPE, &value, &size), 0);
    EXPECT_EQ(value, SOCK_SEQPACKET);
    EXPECT_EQ(getsockopt(pair[0], SOL_SOCKET, SO_DOMAIN, &value, &size), 0);
    EXPECT_EQ(value, AF_UNIX);
    EXPECT_EQ(getsockopt(pair[0], SOL_SOCKET, SO_PROTOCOL, &value, &size), 0);
    EXPECT_EQ(value, 0);
    EXPECT_EQ(getsockopt(pair[0], SOL_SOCKET, SO_ERROR, &value, &size), 0);
    EXPECT_EQ(value, 0);
    EXPECT_EQ(getsockopt(pair[0], SOL_SOCKET, SO_ACCEPTCONN, &value, &size), 0);
    EXPECT_EQ(value, 0);
    EXPECT_ERRNO(getsockopt(pair[0], SOL_SOCKET, 9999, &value, &size), ENOPROTOOPT);
    EXPECT_ERRNO(setsockopt(pair[0], SOL_SOCKET, 9999, &value, size), ENOPROTOOPT);
    EXPECT_ERRNO(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &value, 2), EINVAL);
}

CASE(receive_timeout)
{
    int pair[2];
    pair_of(SOCK_STREAM, pair);
    struct timeval span = {0, 30000};
    EXPECT_EQ(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &span, sizeof span), 0);
    char byte;
    long before = tap_now_ms();
    EXPECT_ERRNO(read(pair[0], &byte, 1), EAGAIN);
    EXPECT(tap_now_ms() - before >= 29);
}

CASE(full_stream_blocks_and_polls)
{
    int pair[2];
    pair_of(SOCK_STREAM | SOCK_NONBLOCK, pair);
    static char block[4096];
    long total = 0;
    ssize_t count;
    while ((count = write(pair[0], block, sizeof block)) > 0)
        total += count;
    EXPECT_EQ(errno, EAGAIN);
    EXPECT(total >= 16384);
    struct pollfd p = {pair[0], POLLOUT, 0};
    EXPECT_EQ(poll(&p, 1, 0), 0);
    while ((count = read(pair[1], block, sizeof block)) > 0)
        total -= count;
    EXPECT_EQ(total, 0);
    EXPECT_EQ(poll(&p, 1, 0), 1);
    EXPECT_EQ(p.revents, POLLOUT);
}

CASE(poll_states)
{
    int pair[2];
    pair_of(SOCK_STREAM, pair);
    struct pollfd p = {pair[0], POLLIN | POLLOUT | POLLRDHUP, 0};
    EXPECT_EQ(poll(&p, 1, 0), 1);
    EXPECT_EQ(p.revents, POLLOUT);
    EXPECT_EQ(write(pair[1], "x", 1), 1);
    EXPECT_EQ(poll(&p, 1, 0), 1);
    EXPECT_EQ(p.revents, POLLIN | POLLOUT);
    close(pair[1]);
    EXPECT_EQ(poll(&p, 1, 0), 1);
    EXPECT_EQ(p.revents, POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
    int fd = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    p = (struct pollfd){fd, POLLIN | POLLOUT, 0};
    EXPECT_EQ(poll(&p, 1, 0), 1);
    EXPECT_EQ(p.revents, POLLOUT | POLLHUP);
}

CASE(many_messages_at_once)
{
    int pair[2];
    pair_of(SOCK_DGRAM, pair);
    struct iovec iov[3] = {{"a", 1}, {"bb", 2}, {"ccc", 3}};
    struct mmsghdr out[3] = {0};
    for (int i = 0; i < 3; i++)
        out[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
    EXPECT_EQ(sendmmsg(pair[0], out, 3, 0), 3);
    EXPECT_EQ(out[2].msg_len, 3);
    char text[4][8] = {{0}};
    struct iovec in_iov[4];
    struct mmsghdr in[4] = {0};
    for (int i = 0; i < 4; i++) {
        in_iov[i] = (struct iovec){text[i], 8};
        in[i].msg_hdr = (struct msghdr){.msg_iov = &in_iov[i], .msg_iovlen = 1};
    }
    EXPECT_EQ(recvmmsg(pair[1], in, 4, MSG_DONTWAIT, NULL), 3);
    EXPECT_EQ(in[1].msg_len, 2);
    EXPECT_STR(text[2], "ccc");
    EXPECT_ERRNO(recvmmsg(pair[1], in, 4, MSG_DONTWAIT, NULL), EAGAIN);
}

CASE(bytes_waiting)
{
    int pair[2];
    pair_of(SOCK_STREAM, pair);
    int count = 0;
    EXPECT_EQ(write(pair[0], "abcd", 4), 4);
    EXPECT_EQ(ioctl(pair[1], FIONREAD, &count), 0);
    EXPECT_EQ(count, 4);
}

CASE(permission_of_the_name)
{
    tap_tmpdir();
    int server = bound(SOCK_STREAM, "sock");
    MUST(listen(server, 5));
    CHILD(pid)
    {
        MUST(setuid(1000));
        int client = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
        EXPECT_ERRNO(connect_to(client, "sock"), EACCES);
    }
    EXPECT_EXIT(pid, 0);
}
