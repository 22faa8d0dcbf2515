/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp(7): bytes. They are copied by way of the fiber's stack: while a page of the program is
 * fetched others may append to the queue, and it may move.
 */
#include <errno.h>

#include "sentry/net/tcp.h"

#define PIECE_SIZE ((u64)16 << 10)

u64 tcp_readable(const struct tcp_socket *socket)
{
    u64 size = socket->queue.size;
    if (socket->urgent == TCP_URGENT_NONE || socket->urgent_at <= socket->read)
        return size;
    return MIN(size, socket->urgent_at - socket->read);
}

bool tcp_may_send_more(const struct tcp_socket *socket)
{
    const struct tcp_socket *peer = socket->peer;
    if (!peer)
        return true;
    return peer->queue.size * 3 <= tcp_room_max(socket, peer) * 2; /* a third is free */
}

/* ---- sending -------------------------------------------------------------------------------- */

/* Why SOCKET cannot send now: 0, -errno, or 1 to wait for its connection. */
static int send_check(const struct tcp_socket *socket)
{
    const struct socket *base = &socket->inet.base;
    if (base->error)
        return -base->error;
    if (base->is_shut_write)
        return -EPIPE;
    if (socket->state == LINUX_TCP_SYN_SENT)
        return 1;
    return tcp_is_open(socket) && socket->peer ? 0 : -EPIPE;
}

/* The call's result when ERR ends it: an error of the socket is told once. */
static i64 send_result(struct tcp_socket *socket, u64 moved, i64 err)
{
    if (moved > 0)
        return (i64)moved;
    if (err == -socket->inet.base.error)
        socket->inet.base.error = 0;
    return err;
}

/* The last byte is urgent: it stands beside the queue unless the receiver wants it inside. */
static int deliver_urgent(struct tcp_socket *peer, u8 byte)
{
    if (peer->inet.base.is_oob_inline) {
        int err = buf_append(&peer->queue, &byte, 1);
        if (err)
            return err;
        peer->urgent_at = peer->received++;
    } else {
        peer->urgent_at = peer->received;
    }
    peer->urgent_byte = byte;
    peer->urgent = TCP_URGENT_VALID;
    socket_wake(&peer->inet.base, POLL_PRI);
    return 0;
}

/* Up to SIZE bytes of MESSAGE to the peer. */
SLEEPS static i64 send_piece(struct tcp_socket *socket, struct socket_message *message, u64 size)
{
    u8 piece[PIECE_SIZE];
    size = MIN(MIN(size, message->uio->remaining), PIECE_SIZE);
    bool is_urgent = message->flags & LINUX_MSG_OOB && size == message->uio->remaining;
    i64 got = uio_take(message->uio, piece, size);
    if (got <= 0)
        return got;
    struct tcp_socket *peer = socket->peer; /* the copy may have slept */
    int err = send_check(socket);
    if (err < 0)
        return err;
    if (peer->is_orphan) { /* nobody will read it: the answer is RST */
        tcp_reset(socket);
        return got;
    }
    u64 plain = (u64)got - (is_urgent ? 1 : 0);
    err = buf_append(&peer->queue, piece, plain);
    if (err)
        return err;
    peer->received += plain;
    if (is_urgent)
        err = deliver_urgent(peer, piece[plain]);
    socket->sent += (u64)got;
    socket_wake(&peer->inet.base, POLL_IN | POLL_RDNORM);
    return err ? err : got;
}

SLEEPS static int send_wait(struct task *task, struct tcp_socket *socket, bool may_block)
{
    bool is_connecting = socket->state == LINUX_TCP_SYN_SENT;
    if (!may_block)
        return -EAGAIN;
    return socket_wait(task, is_connecting ? &socket->inet.base.changed : &socket->space,
                       socket->inet.base.send_timeout_ns);
}

SLEEPS i64 tcp_send(struct task *task, struct socket *base, struct socket_message *message,
                    bool may_block)
{
    struct tcp_socket *socket = tcp_of(base);
    may_block = may_block && !(message->flags & LINUX_MSG_DONTWAIT);
    u64 moved = task->progress.bytes; /* the first try's bytes have gone already */
    if (moved > 0)
        uio_skip(message->uio, moved);
    int err = send_check(socket);
    if (err < 0)
        return send_result(socket, moved, err);
    while (message->uio->remaining > 0) {
        err = send_check(socket);
        if (err < 0)
            return send_result(socket, moved, err);
        u64 room = 0;
        if (err == 0) {
            u64 room_max = tcp_room_max(socket, socket->peer);
            room = socket->peer->queue.size < room_max ? room_max - socket->peer->queue.size : 0;
        }
        if (room == 0) {
            err = send_wait(task, socket, may_block);
            if (err == -EAGAIN)
                return moved > 0 ? (i64)moved : -EAGAIN;
            if (err)
                return task_interrupted(task, moved);
            continue;
        }
        i64 got = send_piece(socket, message, room);
        if (got < 0)
            return send_result(socket, moved, got);
        moved += (u64)got;
        if (got == 0)
            break;
    }
    return (i64)moved;
}

/* ---- receiving ------------------------------------------------------------------------------ */

SLEEPS static i64 receive_urgent(struct tcp_socket *socket, struct socket_message *message)
{
    if (socket->inet.base.is_oob_inline || socket->urgent == TCP_URGENT_NONE ||
        socket->urgent == TCP_URGENT_READ)
        return -EINVAL;
    if (socket->state == LINUX_TCP_CLOSE && !socket->is_done)
        return -ENOTCONN;
    message->out_flags |= LINUX_MSG_OOB;
    u8 byte = socket->urgent_byte;
    if (!(message->flags & LINUX_MSG_PEEK))
        socket->urgent = TCP_URGENT_READ;
    if (message->uio->remaining == 0) {
        message->out_flags |= LINUX_MSG_TRUNC;
        return 0;
    }
    return uio_put(message->uio, &byte, 1);
}

/* Room was made. */
static void consumed(struct tcp_socket *socket, u64 size)
{
    buf_consume(&socket->queue, size);
    socket->read += size;
    struct tcp_socket *peer = socket->peer;
    if (!peer || !tcp_may_send_more(peer))
        return;
    wake_up_all(&peer->space);
    socket_wake(&peer->inet.base, POLL_OUT | POLL_WRNORM);
}

/* What is there now, up to the urgent mark, from SKIP on (for MSG_PEEK); with the receive lock. */
SLEEPS static i64 receive_locked(struct tcp_socket *socket, struct socket_message *message,
                                 u64 *want)
{
    bool is_peek = message->flags & LINUX_MSG_PEEK, is_drop = message->flags & LINUX_MSG_TRUNC;
    u8 piece[PIECE_SIZE];
    u64 moved = 0;
    if (socket->urgent == TCP_URGENT_READ && socket->urgent_at == socket->read)
        socket->urgent = TCP_URGENT_NONE; /* the mark is passed */
    while (*want > 0) {
        u64 ready = tcp_readable(socket), skip = is_peek ? moved : 0;
        if (ready <= skip)
            break;
        u64 size = MIN(MIN(ready - skip, *want), PIECE_SIZE);
        i64 got = (i64)size;
        if (!is_drop) {
            memcpy(piece, buf_bytes(&socket->queue) + skip, size);
            got = uio_put(message->uio, piece, size);
        }
        if (got <= 0)
            return moved > 0 || got == 0 ? (i64)moved : got;
        if (!is_peek)
            consumed(socket, MIN((u64)got, socket->queue.size));
        moved += (u64)got;
        *want -= (u64)got;
        if ((u64)got < size)
            break;
    }
    return (i64)moved;
}

/* At the end of the queue: 0 for the end of data, -errno, or 1 to wait. */
static int receive_check(struct tcp_socket *socket)
{
    struct socket *base = &socket->inet.base;
    if (socket->is_done)
        return 0;
    if (base->error) {
        int error = base->error;
        base->error = 0;
        return -error;
    }
    if (base->is_shut_read)
        return 0;
    return socket->state == LINUX_TCP_CLOSE ? -ENOTCONN : 1;
}

SLEEPS i64 tcp_receive(struct task *task, struct socket *base, struct socket_message *message,
                       bool may_block)
{
    struct tcp_socket *socket = tcp_of(base);
    if (socket->state == LINUX_TCP_LISTEN)
        return -ENOTCONN;
    if (message->flags & LINUX_MSG_OOB)
        return receive_urgent(socket, message);
    may_block = may_block && !(message->flags & LINUX_MSG_DONTWAIT);
    bool is_peek = message->flags & LINUX_MSG_PEEK;
    u64 moved = is_peek ? 0 : task->progress.bytes; /* the first try's bytes are there already */
    u64 want = message->uio->remaining;
    u64 target = message->flags & LINUX_MSG_WAITALL ? want : MIN((u64)base->receive_low, want);
    if (moved > 0)
        uio_skip(message->uio, moved);
    want -= moved;
    for (;;) {
        if (!buf_is_empty(&socket->queue) && want > 0) {
            sleep_lock(&socket->receive_lock, &task->fiber);
            i64 got = receive_locked(socket, message, &want);
            sleep_unlock(&socket->receive_lock, &task->fiber);
            if (got < 0)
                return moved > 0 ? (i64)moved : got;
            moved += (u64)got;
        }
        bool is_at_mark = socket->urgent != TCP_URGENT_NONE && socket->urgent_at == socket->read;
        if (moved > 0 && is_at_mark)
            return (i64)moved;
        if (moved >= MAX(target, 1u) || (moved > 0 && is_peek) || (moved > 0 && want == 0))
            return (i64)moved;
        int check = receive_check(socket);
        if (check <= 0)
            return moved > 0 ? (i64)moved : check;
        if (want == 0)
            return (i64)moved;
        if (!may_block)
            return moved > 0 ? (i64)moved : -EAGAIN;
        int err = socket_wait(task, &base->changed, base->receive_timeout_ns);
        if (err == -ERESTARTSYS && !is_peek)
            return task_interrupted(task, moved);
        if (err)
            return moved > 0 ? (i64)moved : err;
    }
}
