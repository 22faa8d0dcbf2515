/* SPDX-License-Identifier: Apache-2.0 */
/* Making sockets, their names and states: socket(2), bind(2), connect(2), accept(2) and their
 * relatives. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "sentry/kernel/cred.h"
#include "sentry/net/socket.h"
#include "sentry/syscalls/syscalls.h"

#define TYPE_FLAGS ((u32)(O_CLOEXEC | O_NONBLOCK))

/* The file at FD and its socket: 0, -EBADF, -ENOTSOCK. *FILE has a reference. */
static int socket_get(struct task *task, i32 fd, struct file **file, struct socket **socket)
{
    *file = fd_get(task, fd);
    if (!*file || (*file)->is_path)
        return -EBADF;
    *socket = socket_of_file(*file);
    return *socket ? 0 : -ENOTSOCK;
}

static bool file_may_block(const struct file *file)
{
    return !(file->flags & O_NONBLOCK);
}

SLEEPS i64 sys_socket(struct task *task, const struct sysargs *args)
{
    u32 type = arg_u32(args, 1);
    if (type & ~(TYPE_FLAGS | LINUX_SOCK_TYPE_MASK))
        return -EINVAL;
    struct socket *socket;
    int err = socket_create(task, arg_i32(args, 0), (i32)(type & LINUX_SOCK_TYPE_MASK),
                            arg_i32(args, 2), &socket);
    if (err)
        return err;
    struct file *file;
    err = socket_file_create(socket, type & TYPE_FLAGS, &file);
    return err ? err : fd_install(task, file, type);
}

SLEEPS i64 sys_socketpair(struct task *task, const struct sysargs *args)
{
    u32 type = arg_u32(args, 1);
    if (type & ~(TYPE_FLAGS | LINUX_SOCK_TYPE_MASK))
        return -EINVAL;
    i32 domain = arg_i32(args, 0), protocol = arg_i32(args, 2);
    if (domain != LINUX_AF_UNIX)
        return domain == LINUX_AF_INET || domain == LINUX_AF_INET6 ? -EOPNOTSUPP : -EAFNOSUPPORT;
    if (protocol != 0 && protocol != LINUX_AF_UNIX)
        return -EPROTONOSUPPORT;
    AUTO_FD_SLOTS struct fd_slots slots = {0};
    int err = fd_slots_reserve(task, 2, 0, &slots);
    if (!err)
        err = copy_to_user(task, arg_uaddr(args, 3), slots.fds, 2 * sizeof slots.fds[0]);
    if (err)
        return err;
    struct socket *a, *b;
    err = unix_pair(task, (i32)(type & LINUX_SOCK_TYPE_MASK), &a, &b);
    if (err)
        return err;
    struct file *first, *second;
    err = socket_file_create(a, type, &first);
    if (err) {
        b->ops->release(b);
        object_put(&b->object);
        return err;
    }
    err = socket_file_create(b, type, &second);
    if (err) {
        object_put(&first->object);
        return err;
    }
    fd_slots_install(&slots, 0, first, type);
    fd_slots_install(&slots, 1, second, type);
    return 0;
}

/* A name of the program: its size, or -errno. */
SLEEPS static i64 name_from_user(struct task *task, uaddr at, u32 size, u8 name[SOCKADDR_SIZE_MAX])
{
    if (size > SOCKADDR_SIZE_MAX)
        return -EINVAL;
    memset(name, 0, SOCKADDR_SIZE_MAX);
    int err = size ? copy_from_user(task, name, at, size) : 0;
    return err ? err : (i64)size;
}

/* accept(2), getsockname(2): as much as fits, and the true size. */
SLEEPS static int name_to_user(struct task *task, uaddr at, uaddr size_at, const u8 *name, u32 size)
{
    i32 room;
    int err = copy_from_user(task, &room, size_at, sizeof room);
    if (err)
        return err;
    if (room < 0)
        return -EINVAL;
    u32 copied = MIN((u32)room, size);
    err = copied ? copy_to_user(task, at, name, copied) : 0;
    return err ? err : copy_to_user(task, size_at, &size, sizeof size);
}

SLEEPS i64 sys_bind(struct task *task, const struct sysargs *args)
{
    AUTO_PUT struct file *file = NULL;
    struct socket *socket;
    int err = socket_get(task, arg_fd(args, 0), &file, &socket);
    if (err)
        return err;
    u8 name[SOCKADDR_SIZE_MAX];
    i64 size = name_from_user(task, arg_uaddr(args, 1), arg_u32(args, 2), name);
    if (size < 0)
        return size;
    return socket->ops->bind ? socket->ops->bind(task, socket, name, (u32)size) : -EOPNOTSUPP;
}

SLEEPS i64 sys_connect(struct task *task, const struct sysargs *args)
{
    AUTO_PUT struct file *file = NULL;
    struct socket *socket;
    int err = socket_get(task, arg_fd(args, 0), &file, &socket);
    if (err)
        return err;
    u8 name[SOCKADDR_SIZE_MAX];
    i64 size = name_from_user(task, arg_uaddr(args, 1), arg_u32(args, 2), name);
    if (size < 0)
        return size;
    if (!socket->ops->connect)
        return -EOPNOTSUPP;
    return socket->ops->connect(task, socket, name, (u32)size, file_may_block(file));
}

SLEEPS i64 sys_listen(struct task *task, const struct sysargs *args)
{
    AUTO_PUT struct file *file = NULL;
    struct socket *socket;
    int err = socket_get(task, arg_fd(args, 0), &file, &socket);
    if (err)
        return err;
    return socket->ops->listen ? socket->ops->listen(task, socket, arg_u32(args, 1)) : -EOPNOTSUPP;
}

SLEEPS static i64 accept_common(struct task *task, const struct sysargs *args, u32 flags)
{
    if (flags & ~TYPE_FLAGS)
        return -EINVAL;
    AUTO_PUT struct file *file = NULL;
    struct socket *socket;
    int err = socket_get(task, arg_fd(args, 0), &file, &socket);
    if (err)
        return err;
    if (!socket->ops->accept)
        return -EOPNOTSUPP;
    AUTO_FD_SLOTS struct fd_slots slots = {0};
    err = fd_slots_reserve(task, 1, 0, &slots);
    if (err)
        return err;
    struct socket *peer;
    err = socket->ops->accept(task, socket, file_may_block(file), &peer);
    if (err)
        return err;
    u8 name[SOCKADDR_SIZE_MAX];
    u32 size = 2;
    AUTO_PUT struct file *accepted = NULL;
    err = socket_file_create(peer, flags, &accepted);
    if (err)
        return err;
    if (arg_u64(args, 1) != 0) {
        err = peer->ops->get_name(task, peer, true, name, &size);
        if (err == -ENOTCONN) { /* gone again already */
            memcpy(name, &(u16){(u16)peer->domain}, 2);
            err = 0;
        }
        if (!err)
            err = name_to_user(task, arg_uaddr(args, 1), arg_uaddr(args, 2), name, size);
        if (err)
            return err;
    }
    i32 fd = slots.fds[0];
    fd_slots_install(&slots, 0, MOVE(accepted), flags);
    return fd;
}

SLEEPS i64 sys_accept(struct task *task, const struct sysargs *args)
{
    return accept_common(task, args, 0);
}

SLEEPS i64 sys_accept4(struct task *task, const struct sysargs *args)
{
    return accept_common(task, args, arg_u32(args, 3));
}

SLEEPS static i64 get_name_common(struct task *task, const struct sysargs *args, bool of_peer)
{
    AUTO_PUT struct file *file = NULL;
    struct socket *socket;
    int err = socket_get(task, arg_fd(args, 0), &file, &socket);
    if (err)
        return err;
    u8 name[SOCKADDR_SIZE_MAX];
    u32 size = sizeof name;
    err = socket->ops->get_name(task, socket, of_peer, name, &size);
    return err ? err : name_to_user(task, arg_uaddr(args, 1), arg_uaddr(args, 2), name, size);
}

SLEEPS i64 sys_getsockname(struct task *task, const struct sysargs *args)
{
    return get_name_common(task, args, false);
}

SLEEPS i64 sys_getpeername(struct task *task, const struct sysargs *args)
{
    return get_name_common(task, args, true);
}

SLEEPS i64 sys_shutdown(struct task *task, const struct sysargs *args)
{
    AUTO_PUT struct file *file = NULL;
    struct socket *socket;
    int err = socket_get(task, arg_fd(args, 0), &file, &socket);
    if (err)
        return err;
    i32 how = arg_i32(args, 1);
    if (how < LINUX_SHUT_RD || how > LINUX_SHUT_RDWR)
        return -EINVAL;
    return socket->ops->shutdown(task, socket, how != LINUX_SHUT_WR, how != LINUX_SHUT_RD);
}

/* ---- options -------------------------------------------------------------------------------- */

#define BUFFER_SIZE_MIN 2304u
#define BUFFER_SIZE_MAX 425984u
#define OPTION_SIZE_MAX 4096u

static i32 option_int(const void *value, u32 size)
{
    i32 number = 0;
    memcpy(&number, value, MIN(size, (u32)sizeof number));
    return number;
}

static int set_timeout(u64 *timeout_ns, const void *value, u32 size)
{
    struct linux_timeval time;
    if (size < sizeof time)
        return -EINVAL;
    memcpy(&time, value, sizeof time);
    if (time.usec < 0 || time.usec >= 1000000)
        return -EDOM;
    *timeout_ns = time.sec <= 0 && time.usec == 0 ? 0
                  : time.sec < 0                  ? 0
                                 : (u64)time.sec * NS_PER_S + (u64)time.usec * NS_PER_US;
    return 0;
}

static u32 buffer_size(i32 asked)
{
    u32 wanted = MIN((u32)MAX(asked, 0), BUFFER_SIZE_MAX / 2) * 2;
    return MAX(wanted, BUFFER_SIZE_MIN);
}

/* Options that are on or off. */
static bool *flag_find(struct socket *socket, i32 name)
{
    switch (name) {
    case LINUX_SO_REUSEADDR:
        return &socket->reuses_address;
    case LINUX_SO_REUSEPORT:
        return &socket->reuses_port;
    case LINUX_SO_KEEPALIVE:
        return &socket->keeps_alive;
    case LINUX_SO_BROADCAST:
        return &socket->broadcasts;
    case LINUX_SO_PASSCRED:
        return &socket->passes_cred;
    case LINUX_SO_OOBINLINE:
        return &socket->is_oob_inline;
    default:
        return NULL;
    }
}

/* SOL_SOCKET options that are the same for every family. */
static int set_base_option(struct socket *socket, i32 name, const void *value, u32 size)
{
    if (name == LINUX_SO_RCVTIMEO)
        return set_timeout(&socket->receive_timeout_ns, value, size);
    if (name == LINUX_SO_SNDTIMEO)
        return set_timeout(&socket->send_timeout_ns, value, size);
    if (size < sizeof(i32))
        return -EINVAL;
    i32 number = option_int(value, size);
    bool *flag = flag_find(socket, name);
    if (flag) {
        *flag = number != 0;
        return 0;
    }
    switch (name) {
    case LINUX_SO_PRIORITY:
        socket->priority = number;
        return 0;
    case LINUX_SO_MARK:
        socket->mark = (u32)number;
        return 0;
    case LINUX_SO_SNDBUF:
    case LINUX_SO_SNDBUFFORCE:
        socket->send_size_max = buffer_size(number);
        return 0;
    case LINUX_SO_RCVBUF:
    case LINUX_SO_RCVBUFFORCE:
        socket->receive_size_max = buffer_size(number);
        return 0;
    case LINUX_SO_RCVLOWAT:
        socket->receive_low = number > 0 ? (u32)number : 1;
        return 0;
    case LINUX_SO_LINGER:
        if (size < 2 * sizeof(i32))
            return -EINVAL;
        socket->linger_on = number != 0;
        socket->linger_seconds = option_int((const char *)value + sizeof(i32), sizeof(i32));
        return 0;
    case LINUX_SO_TYPE:
    case LINUX_SO_ERROR:
    case LINUX_SO_DOMAIN:
    case LINUX_SO_PROTOCOL:
    case LINUX_SO_ACCEPTCONN:
        return -ENOPROTOOPT;
    default:
        return name <= LINUX_SO_LAST ? 0 : -ENOPROTOOPT; /* known to Linux, without effect here */
    }
}

SLEEPS i64 sys_setsockopt(struct task *task, const struct sysargs *args)
{
    AUTO_PUT struct file *file = NULL;
    struct socket *socket;
    int err = socket_get(task, arg_fd(args, 0), &file, &socket);
    if (err)
        return err;
    i32 size = arg_i32(args, 4);
    if (size < 0)
        return -EINVAL;
    u8 value[OPTION_SIZE_MAX];
    u32 taken = MIN((u32)size, OPTION_SIZE_MAX);
    err = taken ? copy_from_user(task, value, arg_uaddr(args, 3), taken) : 0;
    if (err)
        return err;
    i32 level = arg_i32(args, 1), name = arg_i32(args, 2);
    err = socket->ops->set_option ? socket->ops->set_option(task, socket, level, name, value, taken)
                                  : -ENOPROTOOPT;
    if (err == -ENOPROTOOPT && level == LINUX_SOL_SOCKET)
        err = set_base_option(socket, name, value, taken);
    return err;
}

static int get_base_option(struct socket *socket, i32 name, void *value, u32 *size)
{
    i32 number = 0;
    const bool *flag = flag_find(socket, name);
    switch (flag ? -1 : name) {
    case -1:
        number = *flag;
        break;
    case LINUX_SO_TYPE:
        number = socket->type;
        break;
    case LINUX_SO_DOMAIN:
        number = socket->domain;
        break;
    case LINUX_SO_PROTOCOL:
        number = socket->protocol;
        break;
    case LINUX_SO_ERROR:
        number = socket->error;
        socket->error = 0;
        break;
    case LINUX_SO_ACCEPTCONN:
        number = (socket->ops->get_option &&
                  socket->ops->get_option(NULL, socket, LINUX_SOL_SOCKET, name, value, size) == 0)
                     ? option_int(value, *size)
                     : 0;
        break;
    case LINUX_SO_PRIORITY:
        number = socket->priority;
        break;
    case LINUX_SO_MARK:
        number = (i32)socket->mark;
        break;
    case LINUX_SO_DEBUG:
    case LINUX_SO_DONTROUTE:
    case LINUX_SO_NO_CHECK:
    case LINUX_SO_TIMESTAMP:
        break;
    case LINUX_SO_SNDBUF:
        number = (i32)socket->send_size_max;
        break;
    case LINUX_SO_RCVBUF:
        number = (i32)socket->receive_size_max;
        break;
    case LINUX_SO_RCVLOWAT:
        number = (i32)socket->receive_low;
        break;
    case LINUX_SO_SNDLOWAT:
        number = 1;
        break;
    case LINUX_SO_RCVTIMEO:
    case LINUX_SO_SNDTIMEO: {
        u64 ns = name == LINUX_SO_RCVTIMEO ? socket->receive_timeout_ns : socket->send_timeout_ns;
        struct linux_timeval time = {(i64)(ns / NS_PER_S), (i64)(ns % NS_PER_S / NS_PER_US)};
        *size = MIN(*size, (u32)sizeof time);
        memcpy(value, &time, *size);
        return 0;
    }
    case LINUX_SO_LINGER: {
        i32 linger[2] = {socket->linger_on, socket->linger_seconds};
        *size = MIN(*size, (u32)sizeof linger);
        memcpy(value, linger, *size);
        return 0;
    }
    default:
        return -ENOPROTOOPT;
    }
    *size = MIN(*size, (u32)sizeof number);
    memcpy(value, &number, *size);
    return 0;
}

SLEEPS i64 sys_getsockopt(struct task *task, const struct sysargs *args)
{
    AUTO_PUT struct file *file = NULL;
    struct socket *socket;
    int err = socket_get(task, arg_fd(args, 0), &file, &socket);
    if (err)
        return err;
    i32 room;
    err = copy_from_user(task, &room, arg_uaddr(args, 4), sizeof room);
    if (err)
        return err;
    if (room < 0)
        return -EINVAL;
    u8 value[OPTION_SIZE_MAX];
    u32 size = MIN((u32)room, OPTION_SIZE_MAX);
    i32 level = arg_i32(args, 1), name = arg_i32(args, 2);
    err = socket->ops->get_option ? socket->ops->get_option(task, socket, level, name, value, &size)
                                  : -ENOPROTOOPT;
    if (err == -ENOPROTOOPT && level == LINUX_SOL_SOCKET)
        err = get_base_option(socket, name, value, &size);
    if (err)
        return err == -ENOPROTOOPT && level != LINUX_SOL_SOCKET && socket->domain == LINUX_AF_UNIX
                   ? -EOPNOTSUPP
                   : err;
    err = size ? copy_to_user(task, arg_uaddr(args, 3), value, size) : 0;
    return err ? err : copy_to_user(task, arg_uaddr(args, 4), &size, sizeof size);
}
