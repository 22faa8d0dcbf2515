/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes and packets between unix sockets. Each receiver has a queue of packets; a stream's writer
 * appends to the last one if nothing rides on it. Surprising: descriptors stick to the first byte
 * they were sent with, so a stream's read stops before the next packet that carries some (unix(7)).
 */
#include <errno.h>
#include <string.h>

#include "base/fields.h"
#include "sentry/kernel/cred.h"
#include "sentry/net/unix.h"

#define PACKET_SIZE_MAX ((u64)64 << 10)

static const struct field unix_packet_fields[] = {
    FIELD_NONE(struct unix_packet, object, "the walker's own header"),
    FIELD_NONE(struct unix_packet, link, "the socket's list"),
    FIELD_BUF(struct unix_packet, data),
    FIELD_REF(struct unix_packet, scm, struct scm),
    FIELD_BYTES(struct unix_packet, cred),
    FIELD_BYTES(struct unix_packet, name),
    FIELD(struct unix_packet, name_size),
    FIELD_END,
};
FIELDS_COMPLETE(struct unix_packet, unix_packet_fields);

static void packet_destroy(struct object *object)
{
    struct unix_packet *packet = container_of(object, struct unix_packet, object);
    buf_fini(&packet->data);
    REF_CLEAR(packet->scm);
}

const struct kind unix_packet_kind = {.name = "unix_packet",
                                      .size = sizeof(struct unix_packet),
                                      .fields = unix_packet_fields,
                                      .destroy = packet_destroy};

static void packet_drop(struct unix_socket *socket, struct unix_packet *packet)
{
    list_remove(&packet->link);
    socket->packet_count--;
    object_put(&packet->object);
}

void unix_drop_packets(struct unix_socket *socket)
{
    struct unix_packet *packet, *next;
    list_for_each_safe (packet, next, &socket->packets, link)
        packet_drop(socket, packet);
    socket->queued_size = 0;
}

/* ---- sending -------------------------------------------------------------------------------- */

/* Small pieces of a stream join the last packet, unless a receiver may be copying out of it. */
#define JOIN_SIZE_MAX 1024u

static bool joins_last(struct unix_socket *receiver, const struct unix_packet *fresh)
{
    if (receiver->packet_count == 0 || fresh->scm || fresh->data.size > JOIN_SIZE_MAX ||
        receiver->receive_lock.holder)
        return false;
    struct unix_packet *last = list_last(&receiver->packets, struct unix_packet, link);
    return !last->scm && last->data.size + fresh->data.size <= PACKET_SIZE_MAX &&
           buf_append(&last->data, buf_bytes(&fresh->data), fresh->data.size) == 0;
}

/* SIZE bytes from the uio into PACKET, which nobody else knows yet: the copy may sleep. How many,
 * or -errno. */
SLEEPS static i64 packet_fill(struct unix_packet *packet, struct socket_message *message, u64 size,
                              bool may_be_short)
{
    i64 moved = 0;
    while (size > 0) {
        u8 *room;
        u64 step = MIN(size, PACKET_SIZE_MAX);
        int err = buf_reserve(&packet->data, step, &room);
        if (err)
            return err;
        i64 got = uio_take(message->uio, room, step);
        if (got < 0)
            return moved > 0 && may_be_short ? moved : got;
        buf_grow(&packet->data, (size_t)got);
        moved += got;
        size -= (u64)got;
        if ((u64)got < step)
            break;
    }
    return moved;
}

/* SIZE more bytes from the uio to RECEIVER, with SCM (taken on success). How many, or -errno. */
SLEEPS static i64 deliver(struct task *task, struct unix_socket *sender,
                          struct unix_socket *receiver, struct socket_message *message, u64 size,
                          bool is_stream)
{
    AUTO_PUT struct unix_packet *packet = object_create(task->kernel->arena, &unix_packet_kind);
    if (!packet)
        return -ENOMEM;
    buf_init(&packet->data, task->kernel->arena, 0);
    i64 moved = packet_fill(packet, message, size, is_stream);
    if (moved < 0)
        return moved;
    packet->scm = MOVE(message->scm);
    receiver->queued_size += packet->data.size;
    if (!is_stream || !joins_last(receiver, packet)) {
        packet->cred = (struct linux_ucred){(i32)task->group->pid, task->cred->uid,
                                            task->cred->gid};
        if (packet->scm && packet->scm->has_cred)
            packet->cred = packet->scm->cred;
        memcpy(packet->name, sender->name, sender->name_size);
        packet->name_size = sender->name_size;
        list_add_tail(&receiver->packets, &MOVE(packet)->link);
        receiver->packet_count++;
    }
    socket_wake(&receiver->base, POLL_IN | POLL_RDNORM);
    return moved;
}

static u64 send_deadline(struct task *task, const struct unix_socket *socket)
{
    return socket->base.send_timeout_ns ? task_deadline(task, socket->base.send_timeout_ns)
                                        : NO_DEADLINE;
}

/* May SOCKET send to PEER at all? */
static int send_check(const struct unix_socket *socket, const struct unix_socket *peer)
{
    if (socket->base.is_shut_write)
        return -EPIPE;
    if (!peer)
        return -ENOTCONN;
    if (peer->state == UNIX_CLOSED)
        return socket->base.type == LINUX_SOCK_DGRAM ? -ECONNREFUSED : -EPIPE;
    return peer->base.is_shut_read && socket->base.type != LINUX_SOCK_DGRAM ? -EPIPE : 0;
}

SLEEPS static i64 send_stream(struct task *task, struct unix_socket *socket,
                              struct socket_message *message, bool may_block)
{
    u64 moved = task->progress.bytes;
    if (moved > 0) {
        u8 skip; /* the first try's bytes have gone already */
        for (u64 i = 0; i < moved; i++)
            (void)!uio_take(message->uio, &skip, 1);
        REF_CLEAR(message->scm);
    }
    while (message->uio->remaining > 0) {
        struct unix_socket *peer = socket->peer;
        int err = send_check(socket, peer);
        if (err)
            return moved > 0 ? (i64)moved : err;
        u64 room = peer->queued_size < peer->base.receive_size_max
                       ? peer->base.receive_size_max - peer->queued_size
                       : 0;
        if (room == 0) {
            if (!may_block)
                return moved > 0 ? (i64)moved : -EAGAIN;
            err = sleep_on(&peer->space, task, send_deadline(task, socket));
            if (err == -ETIMEDOUT)
                return moved > 0 ? (i64)moved : -EAGAIN;
            if (err)
                return task_interrupted(task, moved);
            continue;
        }
        i64 got = deliver(task, socket, peer, message,
                          MIN(MIN(room, message->uio->remaining), PACKET_SIZE_MAX), true);
        if (got < 0)
            return moved > 0 ? (i64)moved : got;
        moved += (u64)got;
    }
    return (i64)moved;
}

SLEEPS static i64 send_packet(struct task *task, struct unix_socket *socket,
                              struct socket_message *message, bool may_block)
{
    AUTO_PUT struct unix_socket *peer = NULL;
    if (message->name_size > 0 && socket->base.type == LINUX_SOCK_DGRAM) {
        int err = unix_lookup(task, socket, message->name, message->name_size, &peer);
        if (err)
            return err;
    } else if (socket->peer) {
        peer = socket->peer;
        object_get_(&peer->base.object);
    }
    u64 size = message->uio->remaining;
    if (size > socket->base.send_size_max)
        return -EMSGSIZE;
    for (;;) {
        int err = send_check(socket, peer);
        if (err)
            return err;
        if (peer->packet_count == 0 || peer->queued_size + size <= peer->base.receive_size_max)
            break;
        if (!may_block)
            return -EAGAIN;
        err = sleep_on(&peer->space, task, send_deadline(task, socket));
        if (err)
            return err == -ETIMEDOUT ? -EAGAIN : err;
    }
    return deliver(task, socket, peer, message, size, false);
}

SLEEPS i64 unix_send(struct task *task, struct socket *base, struct socket_message *message,
                     bool may_block)
{
    struct unix_socket *socket = unix_of(base);
    if (message->flags & LINUX_MSG_OOB)
        return -EOPNOTSUPP;
    if (base->type != LINUX_SOCK_DGRAM && message->name_size > 0)
        return socket->state == UNIX_CONNECTED ? -EISCONN : -EOPNOTSUPP;
    may_block = may_block && !(message->flags & LINUX_MSG_DONTWAIT);
    if (base->type == LINUX_SOCK_STREAM)
        return send_stream(task, socket, message, may_block);
    return send_packet(task, socket, message, may_block);
}

/* ---- receiving ------------------------------------------------------------------------------ */

/* Room was made in SOCKET's queue: whoever writes to it may go on. */
static void consumed(struct unix_socket *socket, u64 size)
{
    ASSERT(socket->queued_size >= size);
    socket->queued_size -= size;
    wake_up_all(&socket->space);
    if (socket->peer)
        socket_wake(&socket->peer->base, POLL_OUT | POLL_WRNORM);
}

/* What rides on PACKET, to the caller: once, also for MSG_PEEK (a new reference). */
static void take_extras(struct unix_socket *socket, struct unix_packet *packet,
                        struct socket_message *message)
{
    memcpy(message->name, packet->name, packet->name_size);
    message->name_size = packet->name_size;
    bool is_peek = message->flags & LINUX_MSG_PEEK;
    if (packet->scm)
        message->scm = is_peek ? REF_GET(packet->scm) : MOVE(packet->scm);
    if (!socket->base.passes_cred)
        return;
    if (!message->scm && scm_create(socket->base.kernel->arena, 0, &message->scm))
        return; /* no memory: the message comes without credentials */
    message->scm->has_cred = true;
    message->scm->cred = packet->cred;
}

/* At the end of data: 0 for an orderly end, an error, or 1 for "wait". */
static int receive_check(struct unix_socket *socket)
{
    if (socket->base.error) {
        int error = socket->base.error;
        socket->base.error = 0;
        return -error;
    }
    bool needs_peer = socket->base.type != LINUX_SOCK_DGRAM;
    if (needs_peer && socket->state != UNIX_CONNECTED)
        return socket->base.type == LINUX_SOCK_STREAM ? -EINVAL : -ENOTCONN;
    if (socket->base.is_shut_read ||
        (needs_peer && (!socket->peer || socket->peer->state == UNIX_CLOSED)))
        return 0;
    return 1;
}

/* Until a packet is there: 1; else receive_check's answer, -EAGAIN or -ERESTARTSYS. */
SLEEPS static int receive_wait(struct task *task, struct unix_socket *socket, bool may_block)
{
    u64 deadline_ns = socket->base.receive_timeout_ns
                          ? task_deadline(task, socket->base.receive_timeout_ns)
                          : NO_DEADLINE;
    for (;;) {
        if (socket->packet_count > 0)
            return 1;
        int check = receive_check(socket);
        if (check <= 0)
            return check;
        if (!may_block)
            return -EAGAIN;
        int err = sleep_on(&socket->base.changed, task, deadline_ns);
        if (err)
            return err == -ETIMEDOUT ? -EAGAIN : err;
    }
}

/* Bytes that are there now; stops where the next packet has something of its own to tell. */
SLEEPS static i64 receive_available(struct unix_socket *socket, struct socket_message *message)
{
    bool is_peek = message->flags & LINUX_MSG_PEEK;
    i64 moved = 0;
    struct unix_packet *packet, *next;
    list_for_each_safe (packet, next, &socket->packets, link) {
        /* Plain bytes and the bytes behind them that carry descriptors come together; senders stay
         * apart. */
        if (message->uio->remaining == 0 ||
            (moved > 0 && packet->scm && (message->scm || packet->scm->file_count == 0)))
            break;
        if (!message->scm)
            take_extras(socket, packet, message);
        u64 size = MIN(message->uio->remaining, (u64)packet->data.size);
        i64 got = uio_put(message->uio, buf_bytes(&packet->data), size);
        if (got < 0)
            return moved > 0 ? moved : got;
        moved += got;
        if (!is_peek) {
            buf_consume(&packet->data, (size_t)got);
            if (buf_is_empty(&packet->data))
                packet_drop(socket, packet);
            consumed(socket, (u64)got);
        }
        if (message->scm && message->scm->file_count > 0)
            break;
        if ((u64)got < size)
            break;
    }
    return moved;
}

SLEEPS static i64 receive_stream(struct task *task, struct unix_socket *socket,
                                 struct socket_message *message, bool may_block)
{
    bool waits_all = (message->flags & LINUX_MSG_WAITALL) && !(message->flags & LINUX_MSG_PEEK);
    i64 moved = waits_all ? (i64)task->progress.bytes
                          : 0; /* the first try's bytes are there already */
    if (message->uio->remaining == 0)
        return 0;
    if (moved > 0)
        uio_skip(message->uio, (u64)moved);
    for (;;) {
        int ready = receive_wait(task, socket, may_block);
        if (ready == -ERESTARTSYS && waits_all)
            return task_interrupted(task, (u64)moved);
        if (ready <= 0) {
            if (moved > 0)
                return moved;
            return ready;
        }
        sleep_lock(&socket->receive_lock, &task->fiber);
        bool is_empty = socket->packet_count == 0; /* somebody else was faster */
        i64 got = receive_available(socket, message);
        sleep_unlock(&socket->receive_lock, &task->fiber);
        if (is_empty)
            continue;
        if (got < 0)
            return moved > 0 ? moved : got;
        moved += got;
        if (!waits_all || message->uio->remaining == 0 || message->scm)
            return moved;
    }
}

/* The first packet, whole or cut; the receive lock is held. */
SLEEPS static i64 receive_first(struct unix_socket *socket, struct socket_message *message)
{
    struct unix_packet *packet = list_first(&socket->packets, struct unix_packet, link);
    take_extras(socket, packet, message);
    u64 full = packet->data.size;
    u64 size = MIN(message->uio->remaining, full);
    i64 got = size ? uio_put(message->uio, buf_bytes(&packet->data), size) : 0;
    message->full_size = full;
    if (size < full)
        message->out_flags |= LINUX_MSG_TRUNC;
    if (!(message->flags & LINUX_MSG_PEEK)) {
        packet_drop(socket, packet);
        consumed(socket, full);
    }
    if (got < 0 || (u64)got < size) /* the datagram is lost */
        return got < 0 ? got : -EFAULT;
    return message->flags & LINUX_MSG_TRUNC ? (i64)full : got;
}

SLEEPS static i64 receive_packet(struct task *task, struct unix_socket *socket,
                                 struct socket_message *message, bool may_block)
{
    for (;;) {
        int ready = receive_wait(task, socket, may_block);
        if (ready <= 0)
            return ready;
        sleep_lock(&socket->receive_lock, &task->fiber);
        bool is_there = socket->packet_count > 0; /* else somebody else was faster */
        i64 got = is_there ? receive_first(socket, message) : 0;
        sleep_unlock(&socket->receive_lock, &task->fiber);
        if (is_there)
            return got;
    }
}

SLEEPS i64 unix_receive(struct task *task, struct socket *base, struct socket_message *message,
                        bool may_block)
{
    struct unix_socket *socket = unix_of(base);
    if (message->flags & LINUX_MSG_OOB) /* no sender has such data here */
        return base->type == LINUX_SOCK_STREAM ? -EINVAL : -EOPNOTSUPP;
    may_block = may_block && !(message->flags & LINUX_MSG_DONTWAIT);
    if (base->type == LINUX_SOCK_STREAM)
        return receive_stream(task, socket, message, may_block);
    return receive_packet(task, socket, message, may_block);
}
