/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams and listeners of the real host. Nothing here may wait, and yet O_NONBLOCK is never set:
 * it belongs to the open file description, and that of inherited stdio is shared with the shell and
 * with who knows whom, whose own reads would begin to fail with EAGAIN. So each kind of descriptor
 * is asked not to wait in its own way, a call at a time; see enum stream_kind. A terminal can only
 * be asked by poll(2) first, and still a call may wait: a read, when another process takes the
 * input in between; a write, when whoever sits before the terminal stopped reading with a few bytes
 * of room left. Who can still open files gives us a description of our own:
 * host_linux_own_terminal.
 *
 * Descriptors in messages: room is always given for as many as Linux sends at most, so that none is
 * dropped unseen; what the caller does not want is closed here.
 */
#include "host/linux/linux.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

/* SCM_MAX_FD of Linux: more never come in one message. */
#define RIGHTS_MAX 253
/* What is written at a time where only poll(2) can be asked. A terminal says that it is writable
 * when it has room for one byte, and then waits until all is taken: so ask for little. */
#define POLLED_WRITE_MAX ((size_t)64)
#define PTMX_MAJOR 5
#define PTMX_MINOR 2

static struct linux_stream *linux_stream_of(const struct host_stream *stream)
{
    return container_of(stream, struct linux_stream, stream);
}

static enum stream_kind stream_kind_of(int fd, bool *is_terminal)
{
    struct stat stat;
    *is_terminal = false;
    if (fstat(fd, &stat) < 0)
        return STREAM_POLLED;
    if (S_ISSOCK(stat.st_mode))
        return STREAM_SOCKET;
    if (S_ISREG(stat.st_mode))
        return STREAM_PLAIN;
    if (S_ISCHR(stat.st_mode)) {
        struct termios unused;
        *is_terminal = tcgetattr(fd, &unused) == 0;
    }
    return STREAM_NOWAIT; /* until the first EOPNOTSUPP */
}

/* FD is taken in any case. */
struct host_stream *linux_stream_from_fd(struct host *host, int fd)
{
    struct linux_stream *stream = calloc(1, sizeof *stream);
    bool is_terminal;
    enum stream_kind kind = stream_kind_of(fd, &is_terminal);
    if (!stream ||
        linux_source_init(&stream->source, linux_of(host), fd, kind == STREAM_SOCKET) < 0) {
        free(stream);
        close(fd);
        return NULL;
    }
    stream->stream.host = host;
    stream->kind = kind;
    stream->is_terminal = is_terminal;
    return &stream->stream;
}

int linux_stream_pair(struct host *host, int type, struct host_stream **a, struct host_stream **b)
{
    int fds[2];
    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    struct host_stream *first = linux_stream_from_fd(host, fds[0]);
    struct host_stream *second = linux_stream_from_fd(host, fds[1]);
    if (!first || !second) {
        host_stream_put(first);
        host_stream_put(second);
        return -ENOMEM;
    }
    *a = first;
    *b = second;
    return 0;
}

void linux_stream_put(struct host_stream *base)
{
    struct linux_stream *stream = linux_stream_of(base);
    linux_source_fini(&stream->source);
    close(stream->source.fd);
    free(stream);
}

int linux_stream_fd(const struct host_stream *stream)
{
    return linux_stream_of(stream)->source.fd;
}

static u32 poll_bits(const struct linux_stream *stream, short events)
{
    struct pollfd ready = {.fd = stream->source.fd, .events = (short)(events | POLLRDHUP)};
    if (poll(&ready, 1, 0) != 1)
        return 0;
    return linux_ready_bits((u32)ready.revents, stream->kind == STREAM_SOCKET);
}

u32 linux_stream_poll(struct host_stream *base)
{
    return poll_bits(linux_stream_of(base), POLLIN | POLLOUT);
}

/* ---- messages with descriptors ---- */

void linux_close_fds(struct host *host, const int *fds, u32 count)
{
    for (u32 i = 0; i < count; i++)
        close(fds[i]);
}

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(RIGHTS_MAX * sizeof(int)) + 256]; /* and credentials, should they be on */
};

/* All descriptors of MESSAGE to FDS, which has room for RIGHTS_MAX; how many. */
static u32 rights_of(struct msghdr *message, int *fds)
{
    u32 count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t size = c->cmsg_len - CMSG_LEN(0);
        for (size_t at = 0; at + sizeof(int) <= size; at += sizeof(int)) {
            ASSERT(count < RIGHTS_MAX);
            memcpy(&fds[count++], CMSG_DATA(c) + at, sizeof(int));
        }
    }
    return count;
}

static i64 socket_read(struct linux_stream *stream, void *out, size_t size, int *fds, u32 *fd_count)
{
    union control control;
    struct iovec iov = {.iov_base = out, .iov_len = size};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t got;
    do {
        got = recvmsg(stream->source.fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    u32 room = fds ? *fd_count : 0;
    if (fd_count)
        *fd_count = 0;
    if (got < 0)
        return -errno;
    int came[RIGHTS_MAX];
    u32 count = rights_of(&message, came);
    /* MSG_CTRUNC: this process could not have them all (RLIMIT_NOFILE). Half a set is of no use. */
    bool is_cut = message.msg_flags & MSG_CTRUNC;
    if (fds && count <= room && !is_cut) {
        memcpy(fds, came, count * sizeof(int));
        *fd_count = count;
        return got;
    }
    linux_close_fds(stream->stream.host, came, count);
    return fds ? -EMFILE : got;
}

static i64 socket_write(struct linux_stream *stream, const void *bytes, size_t size, const int *fds,
                        u32 fd_count)
{
    union control control;
    struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd_count > 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(c), fds, fd_count * sizeof(int));
    }
    ssize_t put;
    do {
        put = sendmsg(stream->source.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (put < 0 && errno == EINTR);
    return put < 0 ? -errno : put;
}

/* ---- everything else ---- */

/* One try by RWF_NOWAIT; -EOPNOTSUPP turns the stream to polling for good. */
static i64 nowait(struct linux_stream *stream, void *bytes, size_t size, bool is_read)
{
    struct iovec iov = {.iov_base = bytes, .iov_len = size};
    int fd = stream->source.fd;
    ssize_t count;
    do {
        count = is_read ? preadv2(fd, &iov, 1, -1, RWF_NOWAIT)
                        : pwritev2(fd, &iov, 1, -1, RWF_NOWAIT);
    } while (count < 0 && errno == EINTR);
    if (count < 0 && errno == EOPNOTSUPP)
        stream->kind = STREAM_POLLED;
    return count < 0 ? -errno : count;
}

static i64 plain(struct linux_stream *stream, void *bytes, size_t size, bool is_read)
{
    int fd = stream->source.fd;
    ssize_t count;
    do {
        count = is_read ? read(fd, bytes, size) : write(fd, bytes, size);
    } while (count < 0 && errno == EINTR);
    return count < 0 ? -errno : count;
}

static i64 other_transfer(struct linux_stream *stream, void *bytes, size_t size, bool is_read)
{
    if (stream->kind == STREAM_NOWAIT) {
        i64 count = nowait(stream, bytes, size, is_read);
        if (stream->kind == STREAM_NOWAIT)
            return count;
    }
    if (stream->kind == STREAM_PLAIN)
        return plain(stream, bytes, size, is_read);
    /* Someone may have set O_NONBLOCK, and may clear it again if the description is shared. */
    int flags = fcntl(stream->source.fd, F_GETFL);
    if (flags >= 0 && flags & O_NONBLOCK)
        return plain(stream, bytes, size, is_read);
    if (poll_bits(stream, is_read ? POLLIN : POLLOUT) == 0)
        return -EAGAIN;
    return plain(stream, bytes, is_read ? size : MIN(size, POLLED_WRITE_MAX), is_read);
}

i64 linux_stream_read(struct host_stream *base, void *out, size_t size, int *fds, u32 *fd_count)
{
    struct linux_stream *stream = linux_stream_of(base);
    if (stream->kind == STREAM_SOCKET)
        return socket_read(stream, out, size, fds, fd_count);
    if (fd_count)
        *fd_count = 0;
    return other_transfer(stream, out, size, true);
}

i64 linux_stream_write(struct host_stream *base, const void *bytes, size_t size, const int *fds,
                       u32 fd_count)
{
    struct linux_stream *stream = linux_stream_of(base);
    if (stream->kind == STREAM_SOCKET)
        return socket_write(stream, bytes, size, fds, fd_count);
    if (fd_count > 0)
        return -ENOTSOCK;
    return other_transfer(stream, (void *)(uintptr_t)bytes, size, false);
}

void linux_stream_shutdown(struct host_stream *stream, int how)
{
    (void)shutdown(linux_stream_fd(stream), how); /* ENOTCONN: the peer was faster */
}

void linux_stream_watch(struct host_stream *stream, struct host_watch *watch)
{
    linux_source_watch(&linux_stream_of(stream)->source, watch);
}

int linux_stream_stat(struct host_stream *stream, struct host_stat *out)
{
    return linux_stat_fd(linux_stream_fd(stream), out);
}

int linux_stream_ioctl(struct host_stream *base, u32 request, void *arg)
{
    struct linux_stream *stream = linux_stream_of(base);
    if (!stream->is_terminal)
        return -ENOTTY;
    return ioctl(stream->source.fd, request, arg) < 0 ? -errno : 0;
}

int host_linux_own_terminal(int fd)
{
    struct stat stat;
    bool is_terminal;
    (void)stream_kind_of(fd, &is_terminal);
    int flags = fcntl(fd, F_GETFL);
    if (!is_terminal || flags < 0 || fstat(fd, &stat) < 0)
        return -ENOTTY;
    if (stat.st_rdev == makedev(PTMX_MAJOR, PTMX_MINOR))
        return -ENOTTY; /* opening it makes another terminal */
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int own = open(path, (flags & O_ACCMODE) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return own < 0 ? -errno : own;
}

/* ---- listeners ---- */

static struct linux_listener *linux_listener_of(struct host_listener *listener)
{
    return container_of(listener, struct linux_listener, listener);
}

/* Unlike stdio a listening socket is handed over for good: here O_NONBLOCK may be set. */
struct host_listener *linux_listener_from_fd(struct host *host, int fd)
{
    struct linux_listener *listener = calloc(1, sizeof *listener);
    int flags = fcntl(fd, F_GETFL);
    if (!listener || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        linux_source_init(&listener->source, linux_of(host), fd, true) < 0) {
        free(listener);
        close(fd);
        return NULL;
    }
    listener->listener.host = host;
    return &listener->listener;
}

void linux_listener_put(struct host_listener *base)
{
    struct linux_listener *listener = linux_listener_of(base);
    linux_source_fini(&listener->source);
    close(listener->source.fd);
    free(listener);
}

int linux_listener_accept(struct host_listener *base, struct host_stream **out)
{
    struct linux_listener *listener = linux_listener_of(base);
    int fd;
    do {
        fd = accept4(listener->source.fd, NULL, NULL, SOCK_CLOEXEC);
    } while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
    if (fd < 0)
        return -errno;
    struct host_stream *stream = linux_stream_from_fd(base->host, fd);
    if (!stream)
        return -ENOMEM;
    *out = stream;
    return 0;
}

void linux_listener_watch(struct host_listener *listener, struct host_watch *watch)
{
    linux_source_watch(&linux_listener_of(listener)->source, watch);
}

/* The socket is opened first, so that a symlink is never followed and no name is too long for
 * sun_path. */
int linux_connect_at(struct host_file *dir, const char *name, int type, struct host_stream **out)
{
    int target = openat(linux_fd(dir), name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (target < 0)
        return -errno;
    struct stat stat;
    int fd = -1;
    int err = -ECONNREFUSED;
    if (fstat(target, &stat) == 0 && S_ISSOCK(stat.st_mode)) {
        fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d", target);
        bool is_good = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
        err = is_good ? 0 : -errno;
    }
    close(target);
    if (err) {
        if (fd >= 0)
            close(fd);
        return err;
    }
    struct host_stream *stream = linux_stream_from_fd(dir->host, fd);
    if (!stream)
        return -ENOMEM;
    *out = stream;
    return 0;
}
