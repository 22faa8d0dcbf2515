/* SPDX-License-Identifier: Apache-2.0 */
/* Unix sockets' structs, for the files of this family and the stack's field table. */
#pragma once
#include "base/buf.h"
#include "sentry/net/net.h"
#include "sentry/net/socket.h"

enum unix_state { UNIX_OPEN, UNIX_LISTENING, UNIX_CONNECTED, UNIX_CLOSED };

#define UNIX_NAME_SIZE 110u /* sizeof(struct sockaddr_un) */

struct unix_packet {
    struct object object;
    struct list link;
    struct buf data;         /* what is left of it */
    struct scm *scm;         /* counted, or NULL */
    struct linux_ucred cred; /* the sender's, for SO_PASSCRED */
    u8 name[UNIX_NAME_SIZE]; /* the sender's */
    u32 name_size;
};

struct unix_socket {
    struct socket base;
    struct net_ns *ns; /* counted: of who made it */
    u32 state;
    struct unix_socket *peer; /* counted; cleared at release, which breaks the cycle of a pair */
    struct list packets;      /* struct unix_packet.link, counted */
    u64 queued_size;
    u32 packet_count;
    struct list pending; /* struct unix_socket.pending_link: connected, not accepted; counted */
    struct list pending_link;
    u32 pending_count, backlog;
    struct list abstract_link; /* in the stack's list while bound to an abstract name */
    u8 name[UNIX_NAME_SIZE];   /* bound name; size 0: none */
    u32 name_size;
    struct linux_ucred cred;        /* of who made, bound or connected it */
    struct linux_ucred peer_cred;   /* SO_PEERCRED */
    struct wait_queue space;        /* writers to it and connectors to a listener */
    struct sleep_lock receive_lock; /* held over copies of packets to programs */
};
extern const struct kind unix_socket_kind, unix_packet_kind;

static inline struct unix_socket *unix_of(struct socket *socket)
{
    return container_of(socket, struct unix_socket, base);
}
/* unix_io.c */
SLEEPS i64 unix_send(struct task *task, struct socket *socket, struct socket_message *message,
                     bool may_block);
SLEEPS i64 unix_receive(struct task *task, struct socket *socket, struct socket_message *message,
                        bool may_block);
void unix_drop_packets(struct unix_socket *socket);
/* unix_name.c: who listens or is bound at NAME, for SOCKET, which is of its type and in its network
 * namespace: a reference or -errno (ECONNREFUSED, ENOENT, EACCES, EPROTOTYPE…). */
MUST_CHECK SLEEPS int unix_lookup(struct task *task, const struct unix_socket *socket,
                                  const u8 *name, u32 size, struct unix_socket **out);
MUST_CHECK SLEEPS int unix_bind(struct task *task, struct socket *socket, const u8 *name, u32 size);
